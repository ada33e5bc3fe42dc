// SPDX-License-Identifier: GPL-2.0

//! Parts of reads and writes.
//!
//! C header: [`include/linux/netfs.h`](srctree/include/linux/netfs.h)

use core::{marker::PhantomData, ptr::NonNull};

use hmdfs_bindings as bindings;
use kernel::{iov::IovIterDest, prelude::*};

use crate::{
    fs::{FileSystem, Inode},
    page_run::PageRun,
};

/// A part of a read that the file system has to carry out; C: `struct netfs_io_subrequest`.
///
/// # Invariants
///
/// `subreq` is in progress, and nobody else will terminate it. Its iterator had `length` bytes, and
/// has only been advanced since, and taken back.
pub struct ReadSubrequest {
    subreq: NonNull<bindings::netfs_io_subrequest>,
    length: usize,
}

// SAFETY: The library allows to complete a subrequest from any thread.
unsafe impl Send for ReadSubrequest {}

impl ReadSubrequest {
    /// # Safety
    ///
    /// The subrequest must be in progress, and the caller gives it up.
    pub(super) unsafe fn new(subreq: NonNull<bindings::netfs_io_subrequest>) -> Self {
        // INVARIANT: By the function's contract; the length follows.
        let mut this = Self { subreq, length: 0 };
        this.length = this.destination().len();
        this
    }

    /// First byte that is wanted, in the file.
    pub fn offset(&self) -> u64 {
        // SAFETY: In progress, by the type invariant; the fields are ours until it ends.
        unsafe {
            let subreq = self.subreq.as_ref();
            subreq.start.saturating_add(subreq.transferred as u64)
        }
    }

    /// Number of bytes that are wanted.
    pub fn length(&self) -> usize {
        // SAFETY: As above.
        unsafe {
            let subreq = self.subreq.as_ref();
            subreq.len.saturating_sub(subreq.transferred)
        }
    }

    /// The memory that the data are to be written to, but for what it was advanced by.
    pub fn destination(&mut self) -> &mut IovIterDest<'_> {
        // SAFETY: The iterator is for this subrequest alone, and is one that is read into.
        unsafe { IovIterDest::from_raw(&raw mut (*self.subreq.as_ptr()).io_iter) }
    }

    /// Takes the destination back to where it began.
    pub fn rewind(&mut self) {
        let length = self.length;
        let destination = self.destination();
        let advanced = length.saturating_sub(destination.len());
        // SAFETY: By the type invariant it was advanced by that much.
        unsafe { destination.revert(advanced) };
    }

    /// Ends the read with `length` bytes in the destination.
    ///
    /// `end_of_file` tells that the file ends after them; the rest of what was wanted then reads
    /// as zeros, up to the size that the reader takes the file to have. Without it a short read is
    /// continued by the library.
    pub fn complete(self, length: usize, end_of_file: bool) {
        let subreq = self.subreq.as_ptr();
        core::mem::forget(self);
        // SAFETY: In progress, by the type invariant; the value is gone, so this is the one time.
        unsafe {
            (*subreq).transferred = (*subreq).transferred.saturating_add(length);
            if length != 0 {
                bindings::netfs_sreq_set_flag(subreq, bindings::NETFS_SREQ_MADE_PROGRESS as i32);
            }
            if end_of_file {
                bindings::netfs_sreq_set_flag(subreq, bindings::NETFS_SREQ_HIT_EOF as i32);
                let origin = (*(*subreq).rreq).origin;
                if origin != bindings::netfs_io_origin_NETFS_UNBUFFERED_READ
                    && origin != bindings::netfs_io_origin_NETFS_DIO_READ
                {
                    bindings::netfs_sreq_set_flag(subreq, bindings::NETFS_SREQ_CLEAR_TAIL as i32);
                }
            }
            (*subreq).error = 0;
            bindings::netfs_read_subreq_terminated(subreq);
        }
    }

    /// Ends the read with an error.
    pub fn fail(self, error: Error) {
        let subreq = self.subreq;
        core::mem::forget(self);
        // SAFETY: In progress, by the type invariant; the value is gone, so this is the one time.
        unsafe { fail(subreq, error) };
    }
}

impl Drop for ReadSubrequest {
    fn drop(&mut self) {
        // SAFETY: In progress, by the type invariant; the value goes, so this is the one time.
        unsafe { fail(self.subreq, EIO) };
    }
}

/// # Safety
///
/// The subrequest must be in progress, and the caller gives it up.
unsafe fn fail(subreq: NonNull<bindings::netfs_io_subrequest>, error: Error) {
    let subreq = subreq.as_ptr();
    // SAFETY: By the function's contract. Errno numbers fit into the field.
    unsafe {
        (*subreq).error = error.to_errno() as i16;
        bindings::netfs_read_subreq_terminated(subreq);
    }
}

/// A part of a write that the file system has to carry out; C: `struct netfs_io_subrequest`.
///
/// # Invariants
///
/// The subrequest is in progress, of an inode of `F`, and nobody else will terminate it.
pub struct WriteSubrequest<F: FileSystem>(NonNull<bindings::netfs_io_subrequest>, PhantomData<F>);

// SAFETY: The library allows to complete a subrequest from any thread.
unsafe impl<F: FileSystem> Send for WriteSubrequest<F> {}

impl<F: FileSystem> WriteSubrequest<F> {
    /// # Safety
    ///
    /// The subrequest must be in progress, of an inode of `F`, and the caller gives it up.
    pub(super) unsafe fn new(subreq: NonNull<bindings::netfs_io_subrequest>) -> Self {
        // INVARIANT: By the function's contract.
        Self(subreq, PhantomData)
    }

    /// The inode that is written to. There is always a reference to it while its subrequests are
    /// in progress.
    pub fn inode(&self) -> &Inode<F> {
        // SAFETY: A request holds its inode until its subrequests have ended.
        unsafe { Inode::from_raw((*self.0.as_ref().rreq).inode) }
    }

    /// Where in the file the first byte is to be written.
    pub fn offset(&self) -> u64 {
        // SAFETY: In progress, by the type invariant; the fields are ours until it ends.
        unsafe {
            let subreq = self.0.as_ref();
            subreq.start.saturating_add(subreq.transferred as u64)
        }
    }

    /// Number of bytes to be written.
    pub fn length(&self) -> usize {
        // SAFETY: As above.
        unsafe {
            let subreq = self.0.as_ref();
            subreq.len.saturating_sub(subreq.transferred)
        }
    }

    /// The first bytes, at most `limit`: those of the page cache or of the writer's own memory,
    /// which may go on changing until they have been sent.
    pub fn data(&self, limit: u32) -> Result<PageRun> {
        // SAFETY: The iterator is that of this subrequest, in progress, whose memory stays.
        unsafe { PageRun::of_iterator(&raw const (*self.0.as_ptr()).io_iter, limit as usize) }
    }

    /// Ends the write: so many bytes were written, and the library sees to the rest.
    pub fn complete(self, length: usize) {
        self.terminate(isize::try_from(length).unwrap_or(isize::MAX));
    }

    /// Ends the write with an error, which is told by the next `fsync` or `close` of each open
    /// file.
    pub fn fail(self, error: Error) {
        self.terminate(error.to_errno() as isize);
    }

    fn terminate(self, result: isize) {
        let subreq = self.0.as_ptr();
        core::mem::forget(self);
        // SAFETY: In progress, by the type invariant; the value is gone, so this is the one time.
        unsafe { bindings::netfs_write_subrequest_terminated(subreq.cast(), result) };
    }
}

impl<F: FileSystem> Drop for WriteSubrequest<F> {
    fn drop(&mut self) {
        Self(self.0, PhantomData).fail(EIO);
    }
}
