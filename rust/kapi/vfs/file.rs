// SPDX-License-Identifier: GPL-2.0

//! Open regular files, for reading.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/splice.h`](srctree/include/linux/splice.h)

use core::ptr::NonNull;

use hmdfs_bindings as bindings;
use kernel::{
    cred::Credential,
    error::{from_err_ptr, to_result},
    prelude::*,
};

use crate::page_run::PageRun;

use super::path::{BorrowedPath, Path};

/// An open file; C: `struct file`.
///
/// # Invariants
///
/// Holds a reference to a file that was opened with `dentry_open`.
pub(super) struct OpenFile(NonNull<bindings::file>);

// SAFETY: Nobody uses the file's position through `fdget_pos`, and references to files belong to
// no task.
unsafe impl Send for OpenFile {}

// SAFETY: As above; what changes in a file has its own locks, but for the position, which only
// `DirectoryFile` uses, through `&mut`.
unsafe impl Sync for OpenFile {}

impl OpenFile {
    /// Opens with `flags`, as the user of `cred`; C: `dentry_open`.
    pub(super) fn open(path: &Path, flags: u32, cred: &Credential) -> Result<Self> {
        // CAST: All flags are low bits.
        let flags = (flags | bindings::O_LARGEFILE) as c_int;
        // SAFETY: Path and credentials are valid; the file takes its own references.
        let file =
            from_err_ptr(unsafe { bindings::dentry_open(path.as_raw(), flags, cred.as_ptr()) })?;
        // INVARIANT: That is what was done.
        NonNull::new(file).map(Self).ok_or(EINVAL)
    }

    pub(super) fn as_raw(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }

    pub(super) fn path(&self) -> BorrowedPath {
        // SAFETY: The file is valid and its path never changes; reading either member of the
        // union gives the path.
        let path = unsafe { (*self.as_raw()).__bindgen_anon_1.f_path };
        // SAFETY: The file holds references to both, and what is open is positive.
        unsafe { BorrowedPath::new(path) }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // At once, not when the task returns to user space: a kernel thread never does, and
        // whoever unmounts wants to be done.
        // SAFETY: The reference is ours, and given up here. No locks are held: see the callers'
        // documentation.
        unsafe { bindings::__fput_sync(self.as_raw()) };
    }
}

/// A regular file that is open for reading.
///
/// Dropping it closes the file, which may sleep; no locks may be held.
pub struct RegularFile(OpenFile);

impl RegularFile {
    /// Opens a regular file, as the user of `cred`; C: `dentry_open`.
    ///
    /// Waits for nobody who has a lease on the file.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`]: not a regular file.
    /// - [`EACCES`]: that user may not read it.
    /// - [`EAGAIN`]: somebody has a write lease, and was just asked to give it up.
    pub fn open(path: &Path, cred: &Credential) -> Result<Self> {
        if !path.is_reg() {
            return Err(EINVAL);
        }
        // SAFETY: The inode is valid.
        to_result(unsafe {
            bindings::break_lease(path.inode(), bindings::O_RDONLY | bindings::O_NONBLOCK)
        })?;
        OpenFile::open(path, bindings::O_RDONLY, cred).map(Self)
    }

    /// The file's path.
    pub fn path(&self) -> Path {
        (*self.0.path()).clone()
    }

    pub(super) fn as_raw(&self) -> *mut bindings::file {
        self.0.as_raw()
    }

    /// Waits until the file is on stable storage; C: `vfs_fsync`.
    ///
    /// With `data_only`, what is needed to read the data again is enough.
    pub fn fsync(&self, data_only: bool) -> Result {
        // SAFETY: The file is valid.
        to_result(unsafe { bindings::vfs_fsync(self.0.as_raw(), data_only.into()) })
    }

    /// The next data, or hole, from `offset` on; C: `vfs_llseek` with `SEEK_DATA`, `SEEK_HOLE`.
    ///
    /// [`ENXIO`] when there is none.
    pub fn seek(&self, offset: u64, hole: bool) -> Result<u64> {
        let whence = if hole {
            bindings::SEEK_HOLE
        } else {
            bindings::SEEK_DATA
        };
        // SAFETY: The file is valid. Its position changes, which nothing here uses.
        let found = unsafe {
            bindings::vfs_llseek(self.0.as_raw(), i64::try_from(offset)?, whence as c_int)
        };
        u64::try_from(found).map_err(|_| {
            // CAST: A negative result is an error number.
            Error::from_errno(found as c_int)
        })
    }

    /// The file's size in bytes, now; C: `i_size_read`.
    pub fn size(&self) -> u64 {
        // SAFETY: The file is valid.
        let size = unsafe { bindings::file_size(self.0.as_raw()) };
        u64::try_from(size).unwrap_or(0)
    }

    /// The pages with up to `length` bytes at `offset`; C: `splice_direct_to_actor`.
    ///
    /// They are the page cache's own where there is one. Fewer bytes than asked for are given
    /// at the end of the file, and in front of a place that cannot be read.
    pub fn splice_read(&self, offset: u64, length: usize) -> Result<PageRun> {
        let position = i64::try_from(offset)?;
        // A range that ends above the highest position would be refused as a whole.
        let length = length.min(usize::try_from(i64::MAX.saturating_sub(position))?);
        let mut run = PageRun::new();
        if length == 0 {
            return Ok(run);
        }
        // SAFETY: The file is valid.
        to_result(unsafe {
            bindings::rw_verify_area(bindings::READ as c_int, self.0.as_raw(), &position, length)
        })?;
        let mut desc = bindings::splice_desc {
            total_len: length,
            pos: position,
            u: bindings::splice_desc__bindgen_ty_1 {
                data: core::ptr::from_mut(&mut run).cast(),
            },
            ..Default::default()
        };
        // SAFETY: The file is valid; the actor gets the pointer to `run`, which outlives the
        // call and which nobody else uses meanwhile.
        let read = unsafe {
            bindings::splice_direct_to_actor(self.0.as_raw(), &mut desc, Some(direct_actor))
        };
        if read < 0 && run.is_empty() {
            // CAST: A negative result is an error number.
            return Err(Error::from_errno(read as c_int));
        }
        Ok(run)
    }
}

/// # Safety
///
/// As for `splice_direct_actor`; `desc` must be that of [`RegularFile::splice_read`].
unsafe extern "C" fn direct_actor(
    pipe: *mut bindings::pipe_inode_info,
    desc: *mut bindings::splice_desc,
) -> c_int {
    // SAFETY: Called with the pipe that belongs to the calling task.
    let taken = unsafe { bindings::__splice_from_pipe(pipe, desc, Some(take_pages)) };
    // CAST: At most the bytes of a pipe, or an error number.
    taken as c_int
}

/// # Safety
///
/// As for `splice_actor`; the data of `desc` must be a [`PageRun`].
unsafe extern "C" fn take_pages(
    _pipe: *mut bindings::pipe_inode_info,
    buffer: *mut bindings::pipe_buffer,
    desc: *mut bindings::splice_desc,
) -> c_int {
    // SAFETY: By the function's contract.
    let run = unsafe { &mut *(*desc).u.data.cast::<PageRun>() };
    // SAFETY: By the function's contract.
    let length = unsafe { (*desc).len };
    // SAFETY: By the function's contract.
    let (page, offset) = unsafe { ((*buffer).page, (*buffer).offset) };
    // SAFETY: A pipe buffer lies within one folio, and the page has been confirmed. What was
    // read from a file is in pages of the page cache, or in fresh ones, never in slab pages.
    match unsafe { run.push(page, offset, length, GFP_KERNEL) } {
        // CAST: A pipe buffer has at most a folio's bytes.
        Ok(()) => length as c_int,
        Err(error) => error.to_errno(),
    }
}
