// SPDX-License-Identifier: GPL-2.0

//! The C tables of the library's files.
//!
//! C headers: [`include/linux/netfs.h`](srctree/include/linux/netfs.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
};

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    types::ForeignOwnable,
};

use super::{killable::read_folio, CopyRange, Operations, ReadSubrequest, WriteSubrequest};
use crate::{
    errno::EOPNOTSUPP,
    fs::{File, FileSystem, Inode},
    memalloc::NofsScope,
    vfs::Allocation,
};

/// Most pages that are read around one that a program touches in a mapping. The program waits for
/// all of them, whether it needs them or not, and they are folios of one page each: the folios
/// of what is read ahead from there on are larger.
const MAPPED_READAHEAD: c_uint = (256 << 10) >> kernel::page::PAGE_SHIFT;

/// The C tables for `T`.
pub(super) struct Vtable<F, T>(PhantomData<(F, T)>);

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    pub(super) const REQUESTS: bindings::netfs_request_ops = bindings::netfs_request_ops {
        init_request: Some(Self::init_request),
        prepare_read: Some(Self::prepare_read),
        issue_read: Some(Self::issue_read),
        post_modify: Some(post_modify),
        begin_writeback: Some(begin_writeback),
        issue_write: Some(Self::issue_write),
        ..pin_init::zeroed()
    };

    pub(super) const FILES: bindings::file_operations = bindings::file_operations {
        open: Some(Self::open),
        release: Some(Self::release),
        llseek: Some(Self::llseek),
        read_iter: Some(Self::read_iter),
        write_iter: Some(Self::write_iter),
        mmap_prepare: Some(Self::mmap_prepare),
        get_unmapped_area: Some(bindings::thp_get_unmapped_area),
        splice_read: Some(bindings::filemap_splice_read),
        splice_write: Some(bindings::iter_file_splice_write),
        flush: Some(Self::flush),
        lock: Some(Self::lock),
        flock: Some(Self::flock),
        fsync: Some(Self::fsync),
        fallocate: Some(Self::fallocate),
        copy_file_range: Some(Self::copy_file_range),
        remap_file_range: Some(Self::remap_file_range),
        ..pin_init::zeroed()
    };

    pub(super) const MAPPING: bindings::address_space_operations =
        bindings::address_space_operations {
            read_folio: Some(read_folio),
            readahead: Some(bindings::netfs_readahead),
            writepages: Some(bindings::netfs_writepages),
            dirty_folio: Some(bindings::netfs_dirty_folio),
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
        // SAFETY: By the function's contract.
        Self::released(unsafe { File::from_raw(file) });
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
        unsafe {
            (*rreq).rsize = T::READ_SIZE;
            (*rreq).wsize = T::WRITE_SIZE;
        }
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
        // SAFETY: By the function's contract.
        T::issue_read(inode, unsafe { ReadSubrequest::new(subreq) });
    }

    /// # Safety
    ///
    /// The library calls this with a subrequest that it leaves to us from here on.
    unsafe extern "C" fn issue_write(subreq: *mut bindings::netfs_io_subrequest) {
        let Some(subreq) = NonNull::new(subreq) else {
            return;
        };
        let _nofs = NofsScope::enter();
        // SAFETY: By the function's contract.
        T::issue_write(unsafe { WriteSubrequest::new(subreq) });
    }

    const MAPPED: bindings::vm_operations_struct = bindings::vm_operations_struct {
        fault: Some(bindings::filemap_fault),
        map_pages: Some(bindings::filemap_map_pages),
        page_mkwrite: Some(page_mkwrite),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// The VFS calls this with a mapping of an open file that is being made.
    unsafe extern "C" fn mmap_prepare(desc: *mut bindings::vm_area_desc) -> c_int {
        // SAFETY: By the function's contract.
        let result = unsafe { bindings::generic_file_mmap_prepare(desc) };
        if result == 0 {
            // SAFETY: As above; the table is static.
            unsafe { (*desc).vm_ops = &Self::MAPPED };
            // SAFETY: As above; the file is open, so that the union is its state of reading ahead,
            // which is a hint that needs no lock.
            let pages = unsafe { &mut (*(*desc).file).__bindgen_anon_3.f_ra.ra_pages };
            *pages = MAPPED_READAHEAD.min(*pages);
        }
        result
    }

    /// # Safety
    ///
    /// The VFS calls this with an open file.
    unsafe extern "C" fn llseek(file: *mut bindings::file, offset: i64, whence: c_int) -> i64 {
        let hole = match whence as u32 {
            bindings::SEEK_DATA => false,
            bindings::SEEK_HOLE => true,
            // SAFETY: By the function's contract.
            _ => return unsafe { bindings::generic_file_llseek(file, offset, whence) },
        };
        let found = (|| {
            // SAFETY: By the function's contract.
            let inode = unsafe { File::<F>::from_raw(file) }.inode();
            let offset = u64::try_from(offset).map_err(|_| ENXIO)?;
            if inode.is_being_written() {
                inode.write_and_wait()?;
            }
            Ok::<_, Error>(i64::try_from(T::seek(inode, offset, hole)?)?)
        })();
        match found {
            // SAFETY: By the function's contract.
            Ok(position) => unsafe { bindings::vfs_setpos(file, position, i64::MAX) },
            Err(error) => error.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// The VFS calls this with an open file.
    unsafe extern "C" fn fsync(
        file: *mut bindings::file,
        start: i64,
        end: i64,
        data_only: c_int,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let inode = unsafe { File::<F>::from_raw(file) }.inode();
            let syncing = T::begin_fsync(inode, data_only != 0);
            // SAFETY: By the function's contract.
            to_result(unsafe { bindings::file_write_and_wait_killable(file, start, end) })?;
            T::fsync(inode, syncing)?;
            // What it found out is for all who have the file open, each once.
            // SAFETY: By the function's contract.
            to_result(unsafe { bindings::file_check_and_advance_wb_err(file) })?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a file that is open for writing.
    unsafe extern "C" fn fallocate(
        file: *mut bindings::file,
        mode: c_int,
        offset: i64,
        length: i64,
    ) -> c_long {
        let result: c_int = from_result(|| {
            // SAFETY: By the function's contract.
            let inode = unsafe { File::<F>::from_raw(file) }.inode();
            let (what, keep_size) = Allocation::of_mode(mode as u32).ok_or(EOPNOTSUPP)?;
            let (start, length) = (u64::try_from(offset)?, u64::try_from(length)?);
            let _lock = inode.lock_killable()?;
            inode.dio_wait();
            inode.write_and_wait()?;
            T::fallocate(inode, what, keep_size, start, length)?;
            match what {
                Allocation::Allocate | Allocation::Unshare => {}
                Allocation::PunchHole | Allocation::ZeroRange => {
                    inode.invalidate_range(start, length)?;
                }
                Allocation::CollapseRange | Allocation::InsertRange => {
                    inode.invalidate_range(start, u64::MAX)?;
                }
            }
            Ok(0)
        });
        result as c_long
    }

    /// # Safety
    ///
    /// The VFS calls this with two open files; the first may be of another file system.
    unsafe extern "C" fn copy_file_range(
        from: *mut bindings::file,
        source_offset: i64,
        to: *mut bindings::file,
        offset: i64,
        length: usize,
        _flags: c_uint,
    ) -> isize {
        // SAFETY: By the function's contract.
        let copied = unsafe {
            Self::copy(
                from,
                to,
                source_offset,
                offset,
                length.min(COPY_LIMIT) as u64,
                false,
            )
        };
        match copied {
            Ok(length) => length as isize,
            Err(error) if error == EXDEV || error == EOPNOTSUPP => {
                // Two owners: the data have to come here.
                // SAFETY: By the function's contract.
                unsafe { bindings::splice_copy_file_range(from, source_offset, to, offset, length) }
            }
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// The VFS calls this with two open files of one superblock.
    unsafe extern "C" fn remap_file_range(
        from: *mut bindings::file,
        source_offset: i64,
        to: *mut bindings::file,
        offset: i64,
        length: i64,
        flags: c_uint,
    ) -> i64 {
        if flags & !bindings::REMAP_FILE_CAN_SHORTEN != 0 {
            return EOPNOTSUPP.error().to_errno().into();
        }
        // SAFETY: By the function's contract.
        match unsafe { Self::copy(from, to, source_offset, offset, length as u64, true) } {
            Ok(length) => length as i64,
            Err(error) => error.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// Both files must be open, `to` one of `F`.
    unsafe fn copy(
        from: *mut bindings::file,
        to: *mut bindings::file,
        source_offset: i64,
        offset: i64,
        length: u64,
        clone: bool,
    ) -> Result<u64> {
        // SAFETY: Both are open. Tables are compared by address, and belong to one type of file.
        let same_kind = unsafe { ptr::eq((*from).f_op, (*to).f_op) };
        // SAFETY: As above.
        let same_sb = unsafe {
            ptr::eq(
                (*bindings::file_inode(from)).i_sb,
                (*bindings::file_inode(to)).i_sb,
            )
        };
        if !same_kind || !same_sb {
            return Err(EXDEV);
        }
        // SAFETY: Both are files of `F`, as the first is of the same kind as the second.
        let (source, target) = unsafe {
            (
                File::<F>::from_raw(from).inode(),
                File::<F>::from_raw(to).inode(),
            )
        };
        let range = CopyRange {
            source_offset: u64::try_from(source_offset)?,
            offset: u64::try_from(offset)?,
            length,
            clone,
        };
        // The owner copies what it has: ours has to be there. A write to the source in between
        // is one after the copy.
        {
            let _lock = source.lock_killable()?;
            source.dio_wait();
            source.write_and_wait()?;
        }
        let _lock = target.lock_killable()?;
        target.dio_wait();
        target.write_and_wait()?;
        let copied = T::copy(source, target, &range)?;
        target.invalidate_range(range.offset, copied)?;
        Ok(copied)
    }
}

/// Most bytes that one call asks an owner to copy, who may have to read and write them: as little
/// as surely is done before anybody loses patience.
const COPY_LIMIT: usize = 32 << 20;

/// # Safety
///
/// The library calls this after it has written to pages of the inode.
unsafe extern "C" fn post_modify(inode: *mut bindings::inode) {
    // SAFETY: By the function's contract.
    unsafe { bindings::inode_touch_mtime(inode) };
}

/// # Safety
///
/// The library calls this with a new request to write back.
unsafe extern "C" fn begin_writeback(wreq: *mut bindings::netfs_io_request) {
    // SAFETY: By the function's contract; the stream is the one for uploads.
    unsafe { (*wreq).io_streams[0].avail = true };
}

/// # Safety
///
/// The VFS calls this with the fault of a page of one of the library's files.
unsafe extern "C" fn page_mkwrite(fault: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: By the function's contract; there are no groups.
    unsafe { bindings::netfs_page_mkwrite(fault, ptr::null_mut()) }
}
