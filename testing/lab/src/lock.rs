// SPDX-License-Identifier: MIT OR Apache-2.0

//! Locks of every kind.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `F_SETLK`: for the process.
    Posix,
    /// `F_OFD_SETLK`: for the open file.
    Ofd,
    /// `flock`: for the open file, and all of it.
    Flock,
}

/// All of them.
pub const CLASSES: [Class; 3] = [Class::Posix, Class::Ofd, Class::Flock];

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A shared lock.
    Read,
    /// An exclusive one.
    Write,
    /// Nothing any more.
    Unlock,
}

/// First byte and number of bytes; no bytes are all up to the end.
pub type Range = (i64, i64);

/// All of a file.
pub const WHOLE: Range = (0, 0);

/// A lock that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Which kind.
    pub kind: Kind,
    /// Of which bytes.
    pub range: Range,
    /// The process: negative of another device, -1 for an open file.
    pub pid: i32,
}

fn request(kind: Kind, range: Range) -> libc::flock {
    let number = match kind {
        Kind::Read => libc::F_RDLCK,
        Kind::Write => libc::F_WRLCK,
        Kind::Unlock => libc::F_UNLCK,
    };
    libc::flock {
        l_type: number as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: range.0,
        l_len: range.1,
        l_pid: 0,
    }
}

fn set(file: &File, class: Class, kind: Kind, range: Range, wait: bool) -> io::Result<()> {
    let result = if class == Class::Flock {
        let operation = match kind {
            Kind::Read => libc::LOCK_SH,
            Kind::Write => libc::LOCK_EX,
            Kind::Unlock => libc::LOCK_UN,
        };
        let operation = if wait {
            operation
        } else {
            operation | libc::LOCK_NB
        };
        // SAFETY: the descriptor is open.
        unsafe { libc::flock(file.as_raw_fd(), operation) }
    } else {
        let command = match (class, wait) {
            (Class::Posix, false) => libc::F_SETLK,
            (Class::Posix, true) => libc::F_SETLKW,
            (_, false) => libc::F_OFD_SETLK,
            (_, true) => libc::F_OFD_SETLKW,
        };
        // SAFETY: the descriptor is open, and the command reads such a structure.
        unsafe { libc::fcntl(file.as_raw_fd(), command, &request(kind, range)) }
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Takes a lock, or fails with EAGAIN.
pub fn lock(file: &File, class: Class, kind: Kind, range: Range) -> io::Result<()> {
    set(file, class, kind, range, false)
}

/// Takes a lock, and waits for it.
pub fn wait(file: &File, class: Class, kind: Kind, range: Range) -> io::Result<()> {
    set(file, class, kind, range, true)
}

/// Gives all locks up.
pub fn unlock(file: &File, class: Class) -> io::Result<()> {
    set(file, class, Kind::Unlock, WHOLE, false)
}

/// What would be in the way of a lock; not by `flock`.
pub fn test(file: &File, class: Class, kind: Kind, range: Range) -> io::Result<Option<Conflict>> {
    let command = match class {
        Class::Posix => libc::F_GETLK,
        _ => libc::F_OFD_GETLK,
    };
    let mut lock = request(kind, range);
    // SAFETY: the descriptor is open, and the command fills such a structure.
    if unsafe { libc::fcntl(file.as_raw_fd(), command, &mut lock) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let kind = match i32::from(lock.l_type) {
        libc::F_RDLCK => Kind::Read,
        libc::F_WRLCK => Kind::Write,
        _ => return Ok(None),
    };
    Ok(Some(Conflict {
        kind,
        range: (lock.l_start, lock.l_len),
        pid: lock.l_pid,
    }))
}

/// Takes a lock on all of a file by `flock`, and keeps it until the process is killed.
pub fn hold(path: &str) -> anyhow::Result<()> {
    let file = File::open(path)?;
    wait(&file, Class::Flock, Kind::Write, WHOLE)?;
    loop {
        std::thread::park();
    }
}

/// How many locks are waited for in the kernel's own list, which has those of all devices.
pub fn waiters() -> io::Result<usize> {
    let list = fs::read_to_string("/proc/locks")?;
    Ok(list.lines().filter(|line| line.contains("->")).count())
}
