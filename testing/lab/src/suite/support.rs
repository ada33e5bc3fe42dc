// SPDX-License-Identifier: MIT OR Apache-2.0

//! What many tests need.

use std::ffi::CString;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};

/// An error with both values unless they are equal.
pub fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<()> {
    ensure!(
        found == expected,
        "{what}: found {found:?}, expected {expected:?}"
    );
    Ok(())
}

/// An error unless `result` failed with `errno`.
pub fn fails<T>(what: &str, result: io::Result<T>, errno: i32) -> Result<()> {
    let expected = io::Error::from_raw_os_error(errno);
    match result {
        Ok(_) => bail!("{what} succeeded; expected: {expected}"),
        Err(error) if error.raw_os_error() == Some(errno) => Ok(()),
        Err(error) => bail!("{what} failed with: {error}; expected: {expected}"),
    }
}

/// An error unless the file at `path` has exactly this content.
pub fn holds(path: &Path, content: &[u8]) -> Result<()> {
    let found = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    same_bytes(&path.display().to_string(), &found, content)
}

/// An error that says where two byte strings begin to differ.
pub fn same_bytes(what: &str, found: &[u8], expected: &[u8]) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let equal = found
        .iter()
        .zip(expected)
        .take_while(|(found, expected)| found == expected)
        .count();
    let there = |bytes: &[u8]| {
        bytes
            .iter()
            .skip(equal)
            .take(8)
            .copied()
            .collect::<Vec<_>>()
    };
    bail!(
        "{what}: {} bytes where {} were expected; they differ from byte {equal} on: {:?} instead of {:?}",
        found.len(),
        expected.len(),
        there(found),
        there(expected)
    )
}

/// Compares two files piece by piece, without holding either in memory.
pub fn same_file(found: &Path, expected: &Path) -> Result<()> {
    let (theirs, ours) = (File::open(found)?, File::open(expected)?);
    let size = ours.metadata()?.len();
    same("size", theirs.metadata()?.len(), size)?;
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut offset = 0;
    while offset < size {
        let length = (size - offset).min(1 << 20) as usize;
        theirs
            .read_exact_at(&mut left[..length], offset)
            .with_context(|| format!("cannot read {} at {offset}", found.display()))?;
        ours.read_exact_at(&mut right[..length], offset)?;
        same_bytes(
            &format!("{} at {offset}", found.display()),
            &left[..length],
            &right[..length],
        )?;
        offset += length as u64;
    }
    Ok(())
}

/// Drops the page cache, dentries and inodes that nobody uses.
pub fn drop_caches() -> Result<()> {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").context("cannot drop the caches")
}

/// Cuts or extends a file by its name; C: `truncate`.
pub fn truncate(path: &Path, size: u64) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let size = libc::off_t::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the path is a C string.
    if unsafe { libc::truncate(path.as_ptr(), size) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Opens a file to be read and written.
pub fn writable(path: &Path) -> Result<File> {
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {} for writing", path.display()))
}

/// Opens a file with just these flags; what it may make has mode 0644.
pub fn open_with(path: &Path, flags: i32) -> io::Result<File> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is a C string.
    let descriptor = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just opened, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }.into())
}

/// Closes a file, and says what came of it, which dropping it does not.
pub fn close(file: File) -> io::Result<()> {
    // SAFETY: the descriptor is ours, and given up here.
    if unsafe { libc::close(file.into_raw_fd()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
