// SPDX-License-Identifier: GPL-2.0

//! Regular files through the netfs library.
//!
//! C header: [`include/linux/netfs.h`](srctree/include/linux/netfs.h)
//!
//! The library owns the page cache, readahead and direct I/O, and asks the file
//! system for nothing but to read: [`Operations::issue_read`] is given a
//! [`ReadSubrequest`], which must be completed once, at any later time and from any
//! context that can take spinlocks. Dropping it completes it with EIO, so that none
//! can be forgotten. This version has no writing.

use core::{marker::PhantomData, ptr::NonNull};

use hmdfs_bindings as bindings;
use kernel::{error::from_result, iov::IovIterDest, prelude::*, types::ForeignOwnable};

use crate::fs::{inode::New, File, FileSystem, Inode};

/// What a file system gives to the library; C: `struct netfs_request_ops`.
pub trait Operations<F: FileSystem>: 'static {
    /// Most bytes in one subrequest.
    const READ_SIZE: u32;

    /// What belongs to an open file.
    type Private: ForeignOwnable + Send + Sync;

    /// Opens a file: sees to it that the attributes of the inode are right and that the page
    /// cache holds nothing stale. No lock is held; may sleep.
    fn open(inode: &Inode<F>, file: &File<F>) -> Result<Self::Private>;

    /// Begins to read. May sleep, but must not wait for the data.
    fn issue_read(inode: &Inode<F>, read: ReadSubrequest);
}

/// A part of a read that the file system has to carry out; C: `struct netfs_io_subrequest`.
///
/// # Invariants
///
/// The subrequest is in progress, and nobody else will terminate it.
pub struct ReadSubrequest(NonNull<bindings::netfs_io_subrequest>);

// SAFETY: The library allows to complete a subrequest from any thread.
unsafe impl Send for ReadSubrequest {}

impl ReadSubrequest {
    /// First byte that is wanted, in the file.
    pub fn offset(&self) -> u64 {
        // SAFETY: In progress, by the type invariant; the fields are ours until it ends.
        unsafe {
            let subreq = self.0.as_ref();
            subreq.start.saturating_add(subreq.transferred as u64)
        }
    }

    /// Number of bytes that are wanted.
    pub fn length(&self) -> usize {
        // SAFETY: As above.
        unsafe {
            let subreq = self.0.as_ref();
            subreq.len.saturating_sub(subreq.transferred)
        }
    }

    /// The memory that the data are to be written to.
    pub fn destination(&mut self) -> &mut IovIterDest<'_> {
        // SAFETY: The iterator is for this subrequest alone, and is one that is read into.
        unsafe { IovIterDest::from_raw(&raw mut (*self.0.as_ptr()).io_iter) }
    }

    /// Ends the read with `length` bytes in the destination.
    ///
    /// `end_of_file` tells that the file ends after them; the rest of what was wanted then reads
    /// as zeros, up to the size that the reader takes the file to have. Without it a short read is
    /// continued by the library.
    pub fn complete(self, length: usize, end_of_file: bool) {
        let subreq = self.0.as_ptr();
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
        let subreq = self.0.as_ptr();
        core::mem::forget(self);
        // SAFETY: As in `complete`. Errno numbers fit into the field.
        unsafe {
            (*subreq).error = error.to_errno() as i16;
            bindings::netfs_read_subreq_terminated(subreq);
        }
    }
}

impl Drop for ReadSubrequest {
    fn drop(&mut self) {
        Self(self.0).fail(EIO);
    }
}

impl<F: FileSystem> New<F> {
    /// Makes the inode, a regular file whose size is set, one of the library's.
    pub fn set_netfs_operations<T: Operations<F>>(&self) {
        let inode = self.as_raw();
        // SAFETY: The inode is ours alone; the tables are static.
        unsafe {
            bindings::netfs_inode_init(self.netfs(), &Vtable::<F, T>::REQUESTS, false);
            (*inode).__bindgen_anon_3.i_fop = &Vtable::<F, T>::FILES;
            (*(*inode).i_mapping).a_ops = &Vtable::<F, T>::MAPPING;
            bindings::mapping_set_large_folios((*inode).i_mapping);
        }
    }
}

impl<F: FileSystem> Inode<F> {
    /// Takes over a size that the owner of the file told.
    ///
    /// Only for inodes with [`Operations`]. Pages beyond a smaller size must be gone, or go after
    /// this.
    pub fn resize_netfs(&self, size: u64) {
        // SAFETY: The inode is valid and one of the library's.
        unsafe { bindings::netfs_set_size(self.netfs(), size as i64) };
    }

    /// Drops everything from the page cache, mapped or not. May sleep.
    pub fn invalidate_pages(&self) -> Result {
        // SAFETY: The inode is valid.
        kernel::error::to_result(unsafe {
            bindings::filemap_invalidate_inode(self.as_raw(), true, 0, i64::MAX)
        })
    }
}

struct Vtable<F, T>(PhantomData<(F, T)>);

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    const REQUESTS: bindings::netfs_request_ops = bindings::netfs_request_ops {
        init_request: Some(Self::init_request),
        prepare_read: Some(Self::prepare_read),
        issue_read: Some(Self::issue_read),
        ..pin_init::zeroed()
    };

    const FILES: bindings::file_operations = bindings::file_operations {
        open: Some(Self::open),
        release: Some(Self::release),
        llseek: Some(bindings::generic_file_llseek),
        read_iter: Some(bindings::netfs_file_read_iter),
        mmap_prepare: Some(bindings::generic_file_readonly_mmap_prepare),
        get_unmapped_area: Some(bindings::thp_get_unmapped_area),
        splice_read: Some(bindings::filemap_splice_read),
        fsync: Some(bindings::noop_fsync),
        ..pin_init::zeroed()
    };

    const MAPPING: bindings::address_space_operations = bindings::address_space_operations {
        read_folio: Some(bindings::netfs_read_folio),
        readahead: Some(bindings::netfs_readahead),
        release_folio: Some(bindings::netfs_release_folio),
        invalidate_folio: Some(bindings::netfs_invalidate_folio),
        migrate_folio: Some(bindings::filemap_migrate_folio),
        direct_IO: Some(bindings::noop_direct_IO),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// The VFS calls this with a file of `F` that is being opened.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let private = T::open(unsafe { Inode::from_raw(inode) }, unsafe {
                File::from_raw(file)
            })?;
            // SAFETY: The field is ours from `open` to `release`.
            unsafe { (*file).private_data = private.into_foreign() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a file that `open` has succeeded for.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` has set it, and this is the last use.
        drop(unsafe { T::Private::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// The library calls this with a new request.
    unsafe extern "C" fn init_request(
        rreq: *mut bindings::netfs_io_request,
        _file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: By the function's contract.
        unsafe { (*rreq).rsize = T::READ_SIZE };
        0
    }

    /// # Safety
    ///
    /// The library calls this with a new subrequest.
    unsafe extern "C" fn prepare_read(subreq: *mut bindings::netfs_io_subrequest) -> c_int {
        // SAFETY: By the function's contract; the stream is the one for downloads.
        unsafe { (*(*subreq).rreq).io_streams[0].sreq_max_len = T::READ_SIZE as usize };
        0
    }

    /// # Safety
    ///
    /// The library calls this with a subrequest that it leaves to us from here on.
    unsafe extern "C" fn issue_read(subreq: *mut bindings::netfs_io_subrequest) {
        let Some(subreq) = NonNull::new(subreq) else {
            return;
        };
        // SAFETY: A request holds its inode.
        let inode = unsafe { Inode::<F>::from_raw((*(*subreq.as_ptr()).rreq).inode) };
        // INVARIANT: By the function's contract.
        T::issue_read(inode, ReadSubrequest(subreq));
    }
}
