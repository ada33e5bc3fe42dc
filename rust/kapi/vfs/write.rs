// SPDX-License-Identifier: GPL-2.0

//! Open regular files, for writing.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use hmdfs_bindings as bindings;
use kernel::{cred::Credential, error::to_result, prelude::*};

use super::{file::OpenFile, Path, RegularFile};
use crate::page_run::PageRun;

/// What [`WritableFile::fallocate`] does; C: the `FALLOC_FL_*` of `fallocate(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Allocate space.
    Allocate,
    /// Free it.
    PunchHole,
    /// Zeros, with space.
    ZeroRange,
    /// Take the range out.
    CollapseRange,
    /// Put a hole in.
    InsertRange,
    /// Space that is shared with no other file.
    Unshare,
}

impl Allocation {
    /// The mode of `fallocate(2)`.
    pub const fn mode(self, keep_size: bool) -> u32 {
        let mode = match self {
            Allocation::Allocate => 0,
            Allocation::PunchHole => bindings::FALLOC_FL_PUNCH_HOLE,
            Allocation::ZeroRange => bindings::FALLOC_FL_ZERO_RANGE,
            Allocation::CollapseRange => bindings::FALLOC_FL_COLLAPSE_RANGE,
            Allocation::InsertRange => bindings::FALLOC_FL_INSERT_RANGE,
            Allocation::Unshare => bindings::FALLOC_FL_UNSHARE_RANGE,
        };
        if keep_size {
            mode | bindings::FALLOC_FL_KEEP_SIZE
        } else {
            mode
        }
    }

    /// What a mode of `fallocate(2)` means, and whether the size stays; `None` when it is
    /// something else.
    pub const fn of_mode(mode: u32) -> Option<(Self, bool)> {
        let keep_size = mode & bindings::FALLOC_FL_KEEP_SIZE != 0;
        let what = match mode & !bindings::FALLOC_FL_KEEP_SIZE {
            0 => Allocation::Allocate,
            bindings::FALLOC_FL_PUNCH_HOLE => Allocation::PunchHole,
            bindings::FALLOC_FL_ZERO_RANGE => Allocation::ZeroRange,
            bindings::FALLOC_FL_COLLAPSE_RANGE => Allocation::CollapseRange,
            bindings::FALLOC_FL_INSERT_RANGE => Allocation::InsertRange,
            bindings::FALLOC_FL_UNSHARE_RANGE => Allocation::Unshare,
            _ => return None,
        };
        Some((what, keep_size))
    }
}

/// A regular file that is open for writing.
///
/// As long as it is, the file cannot be executed. Dropping it closes the file, which may sleep; no
/// locks may be held.
pub struct WritableFile(OpenFile);

impl WritableFile {
    /// Opens a regular file, as the user of `cred`, whose permissions are not checked; C:
    /// `dentry_open`.
    ///
    /// Waits for nobody who has a lease on the file.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`]: not a regular file.
    /// - `ETXTBSY`: it is being executed.
    /// - [`EPERM`]: it is immutable or append-only.
    /// - [`EROFS`]: the mount is read-only.
    /// - [`EAGAIN`]: somebody has a lease, and was just asked to give it up.
    pub fn open(path: &Path, cred: &Credential) -> Result<Self> {
        if !path.is_reg() {
            return Err(EINVAL);
        }
        // SAFETY: The inode is valid.
        if unsafe { bindings::inode_keeps_data(path.inode()) } {
            return Err(EPERM);
        }
        // SAFETY: The inode is valid.
        to_result(unsafe {
            bindings::break_lease(path.inode(), bindings::O_WRONLY | bindings::O_NONBLOCK)
        })?;
        OpenFile::open(path, bindings::O_WRONLY, cred).map(Self)
    }

    /// The file's path.
    pub fn path(&self) -> Path {
        (*self.0.path()).clone()
    }

    /// Whether somebody else has the file open for writing, or mapped so.
    pub fn has_other_writers(&self) -> bool {
        // SAFETY: An open file has a valid inode. This one counts as one that writes.
        unsafe { bindings::inode_has_writers(bindings::file_inode(self.0.as_raw()), 1) }
    }

    /// Writes all of `data` at `offset`, and gives the number of bytes written; C:
    /// `vfs_iter_write`.
    ///
    /// Fewer are written when there is an error after some of them.
    pub fn write(&self, offset: u64, data: &PageRun) -> Result<usize> {
        let mut position = i64::try_from(offset)?;
        let vectors = data.bio_vecs();
        let mut iterator = bindings::iov_iter::default();
        // SAFETY: The vectors outlive the iterator, and have as many bytes as the run says.
        unsafe {
            bindings::iov_iter_bvec(
                &mut iterator,
                bindings::ITER_SOURCE,
                vectors.as_ptr(),
                vectors.len(),
                data.len(),
            )
        };
        // SAFETY: The file is valid, and the iterator is of memory to read.
        let written =
            unsafe { bindings::vfs_iter_write(self.0.as_raw(), &mut iterator, &mut position, 0) };
        length_or_error(written)
    }

    /// Allocates or frees space; C: `vfs_fallocate`.
    pub fn fallocate(&self, what: Allocation, keep_size: bool, offset: u64, length: u64) -> Result {
        let (offset, length) = (i64::try_from(offset)?, i64::try_from(length)?);
        // CAST: A few low bits.
        let mode = what.mode(keep_size) as c_int;
        // SAFETY: The file is valid.
        to_result(unsafe { bindings::vfs_fallocate(self.0.as_raw(), mode, offset, length) })
    }

    /// Copies from another file, and gives the number of bytes copied; C:
    /// `vfs_copy_file_range`.
    pub fn copy_from(
        &self,
        source: &RegularFile,
        source_offset: u64,
        offset: u64,
        length: u64,
    ) -> Result<u64> {
        // SAFETY: Both files are valid.
        let copied = unsafe {
            bindings::vfs_copy_file_range(
                source.as_raw(),
                i64::try_from(source_offset)?,
                self.0.as_raw(),
                i64::try_from(offset)?,
                usize::try_from(length)?,
                0,
            )
        };
        Ok(length_or_error(copied)? as u64)
    }

    /// Lets the two files share what they have in these ranges; C: `vfs_clone_file_range`.
    ///
    /// A length of zero means all up to the end of the source.
    pub fn clone_from(
        &self,
        source: &RegularFile,
        source_offset: u64,
        offset: u64,
        length: u64,
    ) -> Result<u64> {
        // SAFETY: Both files are valid.
        let cloned = unsafe {
            bindings::vfs_clone_file_range(
                source.as_raw(),
                i64::try_from(source_offset)?,
                self.0.as_raw(),
                i64::try_from(offset)?,
                i64::try_from(length)?,
                0,
            )
        };
        Ok(length_or_error(cloned as isize)? as u64)
    }
}

/// The number of bytes that a function of the VFS gives, or its error.
fn length_or_error(result: isize) -> Result<usize> {
    usize::try_from(result).map_err(|_| {
        // CAST: A negative result is an error number.
        Error::from_errno(result as c_int)
    })
}
