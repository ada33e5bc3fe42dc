// SPDX-License-Identifier: GPL-2.0

//! Locks on files and on ranges of them, as a file server takes them for its clients.
//!
//! C header: [`include/linux/filelock.h`](srctree/include/linux/filelock.h)
//!
//! The locks are those of the file system's inode: they meet the locks of all programs. A server
//! waits for one without a task where the kernel can do it ([`LockRequest`]).

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{
    cred::Credential,
    error::to_result,
    prelude::*,
    sync::Arc,
    types::{Opaque, ScopeGuard},
};

use super::{Path, RegularFile};

mod wait;

pub use wait::{FlockWait, LockRequest, Unblocked};

/// How a lock is asked for, which says who its owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// By `fcntl`, for a process; C: `FL_POSIX`.
    Posix,
    /// By `fcntl`, for an open file; C: `FL_POSIX | FL_OFDLCK`.
    Ofd,
    /// By `flock`, for an open file; C: `FL_FLOCK`.
    Flock,
}

impl Class {
    /// The flags of a lock.
    pub(crate) const fn flags(self) -> u32 {
        match self {
            Class::Posix => bindings::FL_POSIX,
            Class::Ofd => bindings::FL_POSIX | bindings::FL_OFDLCK,
            Class::Flock => bindings::FL_FLOCK,
        }
    }

    /// The class of a lock with these flags.
    pub(crate) const fn of(flags: u32) -> Self {
        if flags & bindings::FL_FLOCK != 0 {
            Class::Flock
        } else if flags & bindings::FL_OFDLCK != 0 {
            Class::Ofd
        } else {
            Class::Posix
        }
    }
}

/// What a lock keeps others from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From write locks.
    Read,
    /// From all locks.
    Write,
}

impl Kind {
    /// The type of a lock; C: `F_RDLCK`, `F_WRLCK`.
    pub(crate) const fn number(self) -> u8 {
        match self {
            // CAST: Small numbers.
            Kind::Read => bindings::F_RDLCK as u8,
            Kind::Write => bindings::F_WRLCK as u8,
        }
    }

    /// What a type means; nothing for `F_UNLCK`.
    pub(crate) const fn of(number: u8) -> Option<Self> {
        match number as u32 {
            bindings::F_RDLCK => Some(Kind::Read),
            bindings::F_WRLCK => Some(Kind::Write),
            _ => None,
        }
    }
}

/// First and last byte of what is locked, both at most `i64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub start: u64,
    /// The last.
    pub end: u64,
}

impl Range {
    /// All of a file.
    pub const WHOLE: Self = Self {
        start: 0,
        end: i64::MAX as u64,
    };
}

/// A lock that is in the way of another.
#[derive(Clone, Copy, Debug)]
pub struct Conflict {
    /// What its owner is.
    pub class: Class,
    /// Which kind.
    pub kind: Kind,
    /// Of which bytes.
    pub range: Range,
    /// The process; negative of one on another device.
    pub pid: i32,
}

/// One owner of locks: its locks are never in each other's way; C: `fl_owner_t`.
///
/// Clones are the same owner.
#[derive(Clone)]
pub struct Owner(Arc<u8>);

impl Owner {
    /// An owner without locks.
    pub fn new() -> Result<Self> {
        Ok(Self(Arc::new(0, GFP_KERNEL)?))
    }

    fn as_raw(&self) -> bindings::fl_owner_t {
        // The address is all that counts.
        Arc::as_ptr(&self.0).cast_mut().cast()
    }
}

/// An open file, through which one owner has locks. When it is dropped, it has none any more.
///
/// Dropping it closes the file, which may sleep; no locks may be held.
pub struct LockFile {
    file: RegularFile,
    owner: Owner,
    class: Class,
}

impl LockFile {
    /// `file` must be nobody else's.
    pub fn new(file: RegularFile, owner: Owner, class: Class) -> Self {
        Self { file, owner, class }
    }

    /// Opens a regular file for it; see [`RegularFile::open`] for errors.
    pub fn open(path: &Path, cred: &Credential) -> Result<RegularFile> {
        RegularFile::open(path, cred)
    }

    /// Whose locks they are.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// How many locks the owner has on the file.
    pub fn count(&self) -> usize {
        let flock = self.class == Class::Flock;
        let owner = if flock {
            self.file.as_raw().cast()
        } else {
            self.owner.as_raw()
        };
        // SAFETY: An open file holds its inode; the owner is compared only.
        let count = unsafe {
            bindings::locks_count(bindings::file_inode(self.file.as_raw()), flock, owner)
        };
        // CAST: `usize` has at least 32 bits here.
        count as usize
    }

    /// Takes a lock, without waiting; C: `vfs_lock_file` with `F_SETLK`, `flock` with `LOCK_NB`.
    ///
    /// `pid` is shown to others.
    ///
    /// # Errors
    ///
    /// - [`EAGAIN`]: another lock is in the way.
    /// - `ENOLCK`, [`ENOMEM`]: no memory.
    pub fn lock(&self, kind: Kind, range: Range, pid: i32) -> Result {
        self.apply(kind.number(), range, pid)
    }

    /// Gives the locks on `range` up.
    pub fn unlock(&self, range: Range) -> Result {
        // CAST: A small number.
        self.apply(bindings::F_UNLCK as u8, range, 0)
    }

    fn apply(&self, number: u8, range: Range, pid: i32) -> Result {
        let lock = KBox::pin_init(new_lock(), GFP_KERNEL)?;
        let lock = lock.get();
        // SAFETY: The lock is initialised and in no list.
        unsafe { self.fill(lock, number, range, pid) };
        // SAFETY: What the file system may have attached is released once, when the lock is in no
        // list.
        let _release = ScopeGuard::new(|| unsafe { bindings::locks_release_private(lock) });
        // SAFETY: File and lock are valid; without `FL_SLEEP` nothing is waited for.
        unsafe { self.submit(lock) }
    }

    /// Looks for a lock that would be in the way of `owner`; C: `vfs_test_lock`.
    pub fn test(
        file: &RegularFile,
        owner: Option<&Owner>,
        kind: Kind,
        range: Range,
    ) -> Result<Option<Conflict>> {
        let lock = KBox::pin_init(new_lock(), GFP_KERNEL)?;
        let lock = lock.get();
        // SAFETY: The lock is initialised and ours.
        unsafe {
            (*lock).c.flc_file = file.as_raw();
            (*lock).c.flc_owner = owner.map_or(ptr::null_mut(), Owner::as_raw);
            (*lock).c.flc_flags = bindings::FL_POSIX;
            (*lock).c.flc_type = kind.number();
            (*lock).fl_start = i64::try_from(range.start)?;
            (*lock).fl_end = i64::try_from(range.end)?;
        }
        // SAFETY: File and lock are valid.
        let tested = to_result(unsafe { bindings::vfs_test_lock(file.as_raw(), lock) });
        // SAFETY: It was filled in, at most.
        let found = unsafe { conflict(lock) };
        // SAFETY: The lock is in no list.
        unsafe { bindings::locks_release_private(lock) };
        tested?;
        found
    }

    /// Prepares a lock that is in no list.
    ///
    /// # Safety
    ///
    /// `lock` must be initialised, in no list, and nobody else's.
    unsafe fn fill(&self, lock: *mut bindings::file_lock, number: u8, range: Range, pid: i32) {
        // SAFETY: By the function's contract.
        unsafe {
            (*lock).c.flc_file = self.file.as_raw();
            (*lock).c.flc_owner = if self.class == Class::Flock {
                self.file.as_raw().cast()
            } else {
                self.owner.as_raw()
            };
            (*lock).c.flc_flags = self.class.flags();
            (*lock).c.flc_type = number;
            (*lock).c.flc_pid = pid;
            (*lock).fl_start = i64::try_from(range.start).unwrap_or(i64::MAX);
            (*lock).fl_end = i64::try_from(range.end).unwrap_or(i64::MAX);
        }
    }

    /// # Safety
    ///
    /// `lock` must be initialised with [`LockFile::fill`].
    unsafe fn submit(&self, lock: *mut bindings::file_lock) -> Result {
        let file = self.file.as_raw();
        // SAFETY: The file is open, and has operations.
        let flock = unsafe { (*(*file).f_op).flock };
        let result = match (self.class, flock) {
            (Class::Flock, Some(flock)) => {
                // SAFETY: The operation is of this file; the two are one type.
                unsafe { flock(file, bindings::F_SETLK as c_int, lock.cast()) }
            }
            (Class::Flock, None) => {
                // SAFETY: An open file holds its inode.
                unsafe { bindings::locks_lock_inode_wait(bindings::file_inode(file), lock) }
            }
            (Class::Posix | Class::Ofd, _) => {
                // SAFETY: Both are valid.
                unsafe { bindings::vfs_lock_file(file, bindings::F_SETLK, lock, ptr::null_mut()) }
            }
        };
        to_result(result)
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Before the file is closed, which the locks refer to. Without memory for it nothing can be
        // done; closing removes what belongs to the file.
        let _ = self.unlock(Range::WHOLE);
    }
}

/// A lock in no list; C: `locks_init_lock`.
fn new_lock() -> impl PinInit<Opaque<bindings::file_lock>> {
    Opaque::ffi_init(|slot: *mut bindings::file_lock| {
        // SAFETY: `slot` is memory for a lock.
        unsafe { bindings::locks_init_lock(slot) }
    })
}

/// What a test has found.
///
/// # Safety
///
/// `lock` must have been given to `vfs_test_lock` or `posix_test_lock`.
unsafe fn conflict(lock: *mut bindings::file_lock) -> Result<Option<Conflict>> {
    // SAFETY: By the function's contract.
    let (core, start, end) = unsafe { (&(*lock).c, (*lock).fl_start, (*lock).fl_end) };
    let Some(kind) = Kind::of(core.flc_type) else {
        return Ok(None);
    };
    Ok(Some(Conflict {
        class: Class::of(core.flc_flags),
        kind,
        range: Range {
            start: u64::try_from(start)?,
            end: u64::try_from(end)?,
        },
        pid: core.flc_pid,
    }))
}
