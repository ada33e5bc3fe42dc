// SPDX-License-Identifier: MIT OR Apache-2.0

//! Corners of the file interface, on another device's files.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};

use crate::fleet::{Fleet, Plan};
use crate::mapping::Mapping;
use crate::random::Random;
use crate::storage::Storage;
use crate::suite::support::{drop_caches, fails, holds, open_with, same, same_bytes, writable};
use crate::suite::{tests, Group};

/// A laptop that may write to a tablet.
pub const GROUP: Group = Group {
    name: "interface",
    fleet: Some(prepare),
    seconds: 1,
    tests: tests![
        Fleet: path_descriptors,
        opened_for_neither_reading_nor_writing,
        flags_of_single_reads_and_writes,
        data_move_through_pipes,
        files_are_sent,
        advice_about_files,
        advice_about_memory,
        parts_are_written_back,
        large_attributes,
    ],
};

fn prepare() -> Result<Fleet> {
    Plan::with_storage(vec![
        ("laptop", Storage::Memory(64)),
        ("tablet", Storage::Image("xfs", 320)),
    ])
    .policy("tablet", "laptop", "write", 4)
    .start()
}

/// A file of the tablet: its path there, and on the laptop.
fn file(fleet: &Fleet, name: &str, content: &[u8]) -> Result<(PathBuf, PathBuf)> {
    let home = fleet.device("tablet")?.export().join(name);
    fs::write(&home, content)?;
    Ok((home, fleet.device("laptop")?.view("tablet").join(name)))
}

fn checked(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn path_descriptors(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "by-path", b"content")?;
    let path = open_with(&there, libc::O_PATH)?;
    same("size", path.metadata()?.len(), 7)?;
    let mut buffer = [0; 7];
    fails(
        "reading it",
        path.read_exact_at(&mut buffer, 0),
        libc::EBADF,
    )?;
    let again = PathBuf::from(format!("/proc/self/fd/{}", path.as_raw_fd()));
    holds(&again, b"content")?;
    fs::write(&again, "changed")?;
    holds(&home, b"changed")?;
    let folder = open_with(
        there.parent().context("a parent")?,
        libc::O_PATH | libc::O_DIRECTORY,
    )?;
    // SAFETY: the name is a C string, and the descriptor is open.
    let inside = unsafe { libc::openat(folder.as_raw_fd(), c"by-path".as_ptr(), libc::O_RDONLY) };
    let inside = checked(inside as isize)? as i32;
    // SAFETY: it was just opened, for us alone.
    let mut inside = File::from(unsafe { OwnedFd::from_raw_fd(inside) });
    let mut content = Vec::new();
    inside.read_to_end(&mut content)?;
    same_bytes("through the directory", &content, b"changed")
}

/// The access mode 3 of open(2) asks whether both would be allowed.
fn opened_for_neither_reading_nor_writing(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "neither", b"content")?;
    let neither = libc::O_WRONLY | libc::O_RDWR;
    for cached in [false, true] {
        if !cached {
            drop_caches()?;
        }
        let open = open_with(&there, neither)?;
        let mut buffer = [0; 7];
        fails("reading", open.read_exact_at(&mut buffer, 0), libc::EBADF)?;
        fails("writing", open.write_all_at(b"x", 0), libc::EBADF)?;
        holds(&there, b"content")?;
    }
    let made = there.with_file_name("made for neither");
    drop(open_with(&made, neither | libc::O_CREAT | libc::O_EXCL)?);
    fs::remove_file(made)?;
    fs::remove_file(home)?;
    Ok(())
}

fn read_with(file: &File, buffer: &mut [u8], offset: i64, flags: i32) -> io::Result<usize> {
    let vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: the vector describes the buffer.
    checked(unsafe { libc::preadv2(file.as_raw_fd(), &vector, 1, offset, flags) })
}

fn write_with(file: &File, data: &[u8], offset: i64, flags: i32) -> io::Result<usize> {
    let vector = libc::iovec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    // SAFETY: the vector describes the data, which are only read.
    checked(unsafe { libc::pwritev2(file.as_raw_fd(), &vector, 1, offset, flags) })
}

fn flags_of_single_reads_and_writes(fleet: &mut Fleet) -> Result<()> {
    let content = Random::new(90).bytes(200_000);
    let (home, there) = file(fleet, "flags", &content)?;
    drop_caches()?;
    let open = File::open(&there)?;
    let mut buffer = vec![0; 4096];
    fails(
        "reading without waiting",
        read_with(&open, &mut buffer, 150_000, libc::RWF_NOWAIT),
        libc::EOPNOTSUPP,
    )?;
    let length = read_with(&open, &mut buffer, 0, libc::RWF_HIPRI).context("with priority")?;
    same_bytes("with priority", &buffer[..length], &content[..length])?;
    let open = writable(&there)?;
    same(
        "appended",
        write_with(&open, b"end", 0, libc::RWF_APPEND)?,
        3,
    )?;
    let end = fs::metadata(&there)?.len();
    same("size", end, content.len() as u64 + 3)?;
    same(
        "written",
        write_with(&open, b"sync", 0, libc::RWF_DSYNC)?,
        4,
    )?;
    // It is with the owner before the file is closed.
    let mut first = [0; 4];
    File::open(&home)?.read_exact_at(&mut first, 0)?;
    same("at home", &first, b"sync")?;
    same("written", write_with(&open, b"more", 4, libc::RWF_SYNC)?, 4)?;
    let unknown = write_with(&open, b"x", 0, 1 << 30);
    fails("an unknown flag", unknown, libc::EOPNOTSUPP)?;
    drop(open);
    let mut expected = content;
    expected.extend(b"end");
    expected[..8].copy_from_slice(b"syncmore");
    holds(&home, &expected)
}

fn data_move_through_pipes(fleet: &mut Fleet) -> Result<()> {
    let content = Random::new(91).bytes(100_000);
    let (_, from) = file(fleet, "source", &content)?;
    let (home, to) = file(fleet, "sink", b"")?;
    let (source, sink) = (File::open(&from)?, writable(&to)?);
    let (read, write) = rustix::pipe::pipe()?;
    let splice = |from: i32, to: i32, length: usize| {
        // SAFETY: both descriptors are open, and use their own positions.
        checked(unsafe {
            libc::splice(
                from,
                std::ptr::null_mut(),
                to,
                std::ptr::null_mut(),
                length,
                0,
            )
        })
    };
    let mut moved = 0;
    while moved < content.len() {
        let length = splice(source.as_raw_fd(), write.as_raw_fd(), 65_536)?;
        ensure!(length != 0, "the file ends after {moved} bytes");
        let mut left = length;
        while left != 0 {
            left -= splice(read.as_raw_fd(), sink.as_raw_fd(), left)?;
        }
        moved += length;
    }
    // And from memory.
    let vector = libc::iovec {
        iov_base: b"memory".as_ptr().cast_mut().cast(),
        iov_len: 6,
    };
    // SAFETY: the vector describes constant bytes, which are only read.
    let given = unsafe { libc::vmsplice(write.as_raw_fd(), &vector, 1, 0) };
    same("vmsplice", checked(given)?, 6)?;
    same("splice", splice(read.as_raw_fd(), sink.as_raw_fd(), 6)?, 6)?;
    drop(sink);
    let mut expected = content;
    expected.extend(b"memory");
    holds(&home, &expected)
}

fn files_are_sent(fleet: &mut Fleet) -> Result<()> {
    let content = Random::new(92).bytes(300_000);
    let (_, from) = file(fleet, "sent", &content)?;
    let (home, to) = file(fleet, "received", b"")?;
    let (source, sink) = (File::open(&from)?, writable(&to)?);
    let mut offset = 0;
    while offset < content.len() as i64 {
        // SAFETY: both descriptors are open, and the offset is ours.
        let sent = checked(unsafe {
            libc::sendfile(sink.as_raw_fd(), source.as_raw_fd(), &mut offset, 1 << 20)
        })?;
        ensure!(sent != 0, "the file ends at {offset}");
    }
    drop(sink);
    holds(&home, &content)
}

fn advice_about_files(fleet: &mut Fleet) -> Result<()> {
    let content = Random::new(93).bytes(1 << 20);
    let (home, there) = file(fleet, "advised", &content)?;
    drop_caches()?;
    let open = File::open(&there)?;
    let advise = |offset: i64, length: i64, advice: i32| {
        // SAFETY: the descriptor is open.
        unsafe { libc::posix_fadvise(open.as_raw_fd(), offset, length, advice) }
    };
    for advice in [
        libc::POSIX_FADV_SEQUENTIAL,
        libc::POSIX_FADV_RANDOM,
        libc::POSIX_FADV_NORMAL,
        libc::POSIX_FADV_NOREUSE,
        libc::POSIX_FADV_WILLNEED,
    ] {
        same("advice", advise(0, 0, advice), 0)?;
    }
    // SAFETY: the descriptor is open.
    let ahead = unsafe { libc::readahead(open.as_raw_fd(), 0, 1 << 20) };
    same("readahead", checked(ahead)?, 0)?;
    let mut read = vec![0; 1 << 20];
    open.read_exact_at(&mut read, 0)?;
    same_bytes("the file", &read, &content)?;
    // What is not needed is fetched anew.
    same("advice", advise(0, 0, libc::POSIX_FADV_DONTNEED), 0)?;
    open.read_exact_at(&mut read, 0)?;
    same_bytes("the file again", &read, &content)?;
    same("unknown advice", advise(0, 0, 99), libc::EINVAL)?;
    // What was written is not lost by it.
    let open = writable(&there)?;
    open.write_all_at(b"new", 10)?;
    // SAFETY: the descriptor is open.
    let dropped = unsafe { libc::posix_fadvise(open.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    same("advice", dropped, 0)?;
    drop(open);
    let mut expected = content;
    expected[10..13].copy_from_slice(b"new");
    holds(&home, &expected)
}

fn advice_about_memory(fleet: &mut Fleet) -> Result<()> {
    const LENGTH: usize = 64 << 10;
    let content = Random::new(94).bytes(LENGTH);
    let (home, there) = file(fleet, "mapped", &content)?;
    let open = writable(&there)?;
    let mapping = Mapping::of(&open, LENGTH, true)?;
    for advice in [
        libc::MADV_NORMAL,
        libc::MADV_RANDOM,
        libc::MADV_SEQUENTIAL,
        libc::MADV_WILLNEED,
        libc::MADV_COLD,
        libc::MADV_POPULATE_READ,
        libc::MADV_POPULATE_WRITE,
        libc::MADV_PAGEOUT,
    ] {
        mapping
            .advise(advice)
            .with_context(|| format!("advice {advice}"))?;
    }
    mapping.write(5000, b"through memory")?;
    // Of a shared mapping, what was written stays.
    mapping.advise(libc::MADV_DONTNEED)?;
    let mut read = vec![0; 14];
    open.read_exact_at(&mut read, 5000)?;
    same_bytes("what was written", &read, b"through memory")?;
    // A hole in the file itself.
    mapping.advise_range(8192, 4096, libc::MADV_REMOVE)?;
    mapping.sync()?;
    drop((mapping, open));
    let mut expected = content;
    expected[5000..5014].copy_from_slice(b"through memory");
    expected[8192..12_288].fill(0);
    holds(&home, &expected)
}

fn parts_are_written_back(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "partly", &[0; 100_000])?;
    let mut open = writable(&there)?;
    open.seek(SeekFrom::Start(50_000))?;
    open.write_all(b"middle")?;
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the descriptor is open.
    let synced = unsafe { libc::sync_file_range(open.as_raw_fd(), 49_152, 8192, flags) };
    same("sync_file_range", checked(synced as isize)?, 0)?;
    let mut part = [0; 6];
    File::open(&home)?.read_exact_at(&mut part, 50_000)?;
    same("at home", &part, b"middle")
}

fn large_attributes(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "attributes", b"x")?;
    let (home, there) = (
        CString::new(home.as_os_str().as_bytes())?,
        CString::new(there.as_os_str().as_bytes())?,
    );
    let name = c"user.large";
    for size in [1, 32_768, 65_535, 65_536] {
        let value = Random::new(95).bytes(size);
        // SAFETY: names and paths are C strings; the value has that length.
        let set = unsafe {
            libc::setxattr(
                there.as_ptr(),
                name.as_ptr(),
                value.as_ptr().cast(),
                size,
                0,
            )
        };
        checked(set as isize).with_context(|| format!("setting {size} bytes"))?;
        for path in [&home, &there] {
            let mut found = vec![0; size];
            // SAFETY: as above; there is room for as many bytes.
            let length = unsafe {
                libc::getxattr(
                    path.as_ptr(),
                    name.as_ptr(),
                    found.as_mut_ptr().cast(),
                    size,
                )
            };
            same("length", checked(length)?, size)?;
            same_bytes("the value", &found, &value)?;
        }
    }
    let value = vec![0u8; 65_537];
    // SAFETY: as above.
    let set = unsafe {
        libc::setxattr(
            there.as_ptr(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    fails("more than there can be", checked(set as isize), libc::E2BIG)
}
