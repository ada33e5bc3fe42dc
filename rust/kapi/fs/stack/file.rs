// SPDX-License-Identifier: GPL-2.0

//! Open regular files that stand on open lower files.
//!
//! C header: [`include/linux/backing-file.h`](srctree/include/linux/backing-file.h)
//!
//! `private_data` is the lower file, opened as with `backing_file_open`. There is no
//! lock and no copy of attributes around a read or write: the lower file does all
//! that is needed, as the calling task.

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_err_ptr, from_result, to_result},
    prelude::*,
};

use super::{file_range, lock, lower, watch};

/// A table that never changes.
#[repr(transparent)]
pub(super) struct Table(pub(super) bindings::file_operations);

// SAFETY: It never changes.
unsafe impl Sync for Table {}

static OPERATIONS: Table = Table(bindings::file_operations {
    // The VFS holds the superblock, and with it the module, as long as a file is open.
    fop_flags: bindings::FOP_DIO_PARALLEL_WRITE | bindings::FOP_DONTCACHE,
    open: Some(open),
    release: Some(release),
    flush: Some(flush),
    llseek: Some(llseek),
    read_iter: Some(read_iter),
    write_iter: Some(write_iter),
    splice_read: Some(splice_read),
    splice_write: Some(splice_write),
    mmap: Some(mmap),
    get_unmapped_area: Some(get_unmapped_area),
    fsync: Some(fsync),
    fallocate: Some(file_range::fallocate),
    fadvise: Some(file_range::fadvise),
    copy_file_range: Some(file_range::copy_file_range),
    remap_file_range: Some(file_range::remap_file_range),
    lock: Some(lock::lock),
    flock: Some(lock::flock),
    setlease: Some(bindings::generic_setlease),
    ..pin_init::zeroed()
});

/// The C table.
pub(super) fn operations() -> *const bindings::file_operations {
    &raw const OPERATIONS.0
}

/// The lower file of an open file, if it has these operations.
///
/// # Safety
///
/// `file` must be an open file.
pub(super) unsafe fn lower_of(file: *mut bindings::file) -> Option<*mut bindings::file> {
    // SAFETY: By the function's contract.
    let ours = unsafe { ptr::eq((*file).f_op, operations()) };
    // SAFETY: Then `open` has succeeded.
    ours.then(|| unsafe { lower_file(file) })
}

/// The lower file, with the flags that `fcntl` may have changed.
///
/// # Safety
///
/// `file` must be an open file of this table.
pub(super) unsafe fn lower_file(file: *mut bindings::file) -> *mut bindings::file {
    /// Those that `fcntl` can change.
    const FLAGS: u32 =
        bindings::O_APPEND | bindings::O_NONBLOCK | bindings::O_DIRECT | bindings::O_NOATIME;
    // SAFETY: `open` has set it, and `release` comes later.
    let lower = unsafe { (*file).private_data }.cast::<bindings::file>();
    // SAFETY: Both are valid; flags are taken as they come.
    let (ours, its) = unsafe {
        (
            (&raw const (*file).f_flags).read_volatile(),
            (&raw const (*lower).f_flags).read_volatile(),
        )
    };
    if (ours ^ its) & FLAGS != 0 {
        // SAFETY: Both are valid.
        unsafe { bindings::file_set_flags(lower, FLAGS, ours) };
    }
    lower
}

/// The size that generic code sees is brought up to date.
///
/// # Safety
///
/// `file` and `lower` must be an open file of this table and its lower file.
pub(super) unsafe fn update_size(file: *mut bindings::file, lower: *mut bindings::file) {
    // SAFETY: Open files hold their inodes.
    let (inode, lower) = unsafe { ((*file).f_inode, (*lower).f_inode) };
    // SAFETY: As above. On a machine where the read of a size is not a whole, a mixture of two is
    // not that which we have copied.
    let (ours, its) = unsafe {
        (
            (&raw const (*inode).i_size).read_volatile(),
            (&raw const (*lower).i_size).read_volatile(),
        )
    };
    if ours != its {
        // SAFETY: Both are valid.
        unsafe { bindings::inode_copy_size(inode, lower) };
    }
}

/// What the backing-file functions need: the credentials are those of the calling task.
fn context(end_write: bool) -> bindings::backing_file_ctx {
    bindings::backing_file_ctx {
        // SAFETY: There is a calling task.
        cred: unsafe { bindings::current_cred() },
        accessed: None,
        end_write: if end_write { Some(write_ended) } else { None },
    }
}

/// # Safety
///
/// Called at the end of an asynchronous write, with the request as the VFS gave it.
unsafe extern "C" fn write_ended(request: *mut bindings::kiocb, _result: isize) {
    // SAFETY: By the function's contract.
    let file = unsafe { (*request).ki_filp };
    // SAFETY: The file is open until the request is completed.
    unsafe { update_size(file, (*file).private_data.cast()) };
}

/// # Safety
///
/// The VFS calls this with a file of ours that is being opened.
unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    from_result(|| {
        // SAFETY: A file that is being opened holds its inode.
        let path = unsafe { lower(inode) }?;
        // What these ask for is done already.
        const DONE: u32 =
            bindings::O_CREAT | bindings::O_EXCL | bindings::O_NOCTTY | bindings::O_TRUNC;
        // SAFETY: By the function's contract.
        let flags = unsafe { (*file).f_flags } & !DONE;
        let mut is_quiet = false;
        // SAFETY: All are valid; the file takes its own references.
        let lower = from_err_ptr(unsafe {
            bindings::open_below(file, flags, path.as_raw(), watch::EVENTS, &mut is_quiet)
        })?;
        if is_quiet {
            // Asking whoever watches to find out that it was us costs more than all else here.
            // SAFETY: Both files are open, the lower one on a file system that is watched.
            unsafe { watch::opened(inode, (*lower).f_inode) };
        }
        // SAFETY: The file is being opened, and the lower one is open.
        unsafe { attach(file, lower) };
        Ok(0)
    })
}

/// Gives an open file its lower file.
///
/// # Safety
///
/// `file` must be being opened with this table; a reference to `lower` goes to it.
pub(super) unsafe fn attach(file: *mut bindings::file, lower: *mut bindings::file) {
    // SAFETY: By the function's contract.
    unsafe { (*file).private_data = lower.cast() };
    // SAFETY: By the function's contract.
    unsafe { bindings::file_follow(file, lower) };
    // SAFETY: By the function's contract.
    unsafe { update_size(file, lower) };
}

/// # Safety
///
/// The VFS calls this with a file that `open` has succeeded for.
pub(super) unsafe extern "C" fn release(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // No lock is held here, so that what is to be done at the last reference can be done at once.
    // SAFETY: The reference is that of the open file, which goes.
    unsafe { bindings::__fput_sync((*file).private_data.cast()) };
    0
}

/// # Safety
///
/// The VFS calls this with an open file.
unsafe extern "C" fn flush(file: *mut bindings::file, id: bindings::fl_owner_t) -> c_int {
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file(file) };
    // SAFETY: The lower file is open.
    unsafe { lock::remove_posix(lower, id) };
    // SAFETY: An open file has operations.
    match unsafe { (*(*lower).f_op).flush } {
        // SAFETY: The operation is of this file.
        Some(flush) => unsafe { flush(lower, id) },
        None => 0,
    }
}

/// # Safety
///
/// The VFS calls this with an open file, whose position is locked.
pub(super) unsafe extern "C" fn llseek(
    file: *mut bindings::file,
    offset: i64,
    whence: c_int,
) -> i64 {
    // SAFETY: `open` has set it.
    let lower = unsafe { (*file).private_data }.cast::<bindings::file>();
    // Only here is the position of the lower file looked at.
    // SAFETY: The lower file is nobody else's.
    unsafe { (*lower).f_pos = (*file).f_pos };
    // SAFETY: The lower file is open.
    let position = unsafe { bindings::vfs_llseek(lower, offset, whence) };
    // SAFETY: As above.
    unsafe { (*file).f_pos = (*lower).f_pos };
    position
}

/// Passes `request` on to `lower`, if somebody waits for its end; else [`None`].
///
/// # Safety
///
/// The VFS has called an operation of an open file, whose lower file is `lower`, with `request`.
unsafe fn pass_on(
    request: *mut bindings::kiocb,
    lower: *mut bindings::file,
    operation: impl FnOnce() -> isize,
) -> Option<isize> {
    // SAFETY: The request is valid.
    if unsafe { (*request).ki_complete }.is_some() {
        return None;
    }
    // Who waits has the request for himself, and the lower file needs nothing else in it: it
    // has the flags of ours.
    // SAFETY: The request is valid.
    let file = unsafe { core::mem::replace(&mut (*request).ki_filp, lower) };
    let result = operation();
    // SAFETY: As above.
    unsafe { (*request).ki_filp = file };
    Some(result)
}

/// Whether the lower file cannot do what the VFS believes that every file of ours can.
///
/// # Safety
///
/// `request` must be valid, and `lower` an open file.
unsafe fn is_refused(request: *mut bindings::kiocb, lower: *mut bindings::file) -> bool {
    // SAFETY: By the function's contract; an open file has operations.
    unsafe {
        (*request).ki_flags & bindings::IOCB_DONTCACHE != 0
            && (*(*lower).f_op).fop_flags & bindings::FOP_DONTCACHE == 0
    }
}

/// # Safety
///
/// The VFS calls this with a request for an open file, and where its data go.
unsafe extern "C" fn read_iter(
    request: *mut bindings::kiocb,
    to: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file((*request).ki_filp) };
    // SAFETY: Both are valid.
    if unsafe { is_refused(request, lower) } {
        return crate::errno::EOPNOTSUPP.error().to_errno() as isize;
    }
    // SAFETY: All are valid, and the call is synchronous.
    let read = || unsafe { bindings::vfs_iocb_iter_read(lower, request, to) };
    // SAFETY: By the function's contract.
    if let Some(read) = unsafe { pass_on(request, lower, read) } {
        return read;
    }
    let mut context = context(false);
    // SAFETY: All are valid; the lower file is a backing file.
    unsafe {
        bindings::backing_file_read_iter(lower, to, request, (*request).ki_flags, &mut context)
    }
}

/// # Safety
///
/// The VFS calls this with a request for an open file, and where its data come from.
unsafe extern "C" fn write_iter(
    request: *mut bindings::kiocb,
    from: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: By the function's contract.
    let file = unsafe { (*request).ki_filp };
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file(file) };
    // SAFETY: Both are valid.
    if unsafe { is_refused(request, lower) } {
        return crate::errno::EOPNOTSUPP.error().to_errno() as isize;
    }
    // SAFETY: All are valid, and the call is synchronous.
    let write = || unsafe { bindings::vfs_iocb_iter_write(lower, request, from) };
    // SAFETY: By the function's contract.
    if let Some(written) = unsafe { pass_on(request, lower, write) } {
        // SAFETY: Both are open.
        unsafe { update_size(file, lower) };
        return written;
    }
    let mut context = context(true);
    // SAFETY: All are valid; the lower file is a backing file.
    unsafe {
        bindings::backing_file_write_iter(lower, from, request, (*request).ki_flags, &mut context)
    }
}

/// Calls `operation` with a synchronous request for `file` at `position`, and moves that on.
///
/// # Safety
///
/// `file` must be an open file, `position` valid.
unsafe fn at_position(
    file: *mut bindings::file,
    position: *mut i64,
    operation: impl FnOnce(*mut bindings::kiocb) -> isize,
) -> isize {
    let mut request = bindings::kiocb::default();
    // SAFETY: By the function's contract.
    unsafe { bindings::init_sync_kiocb(&mut request, file) };
    // SAFETY: By the function's contract.
    request.ki_pos = unsafe { *position };
    let result = operation(&mut request);
    // SAFETY: By the function's contract.
    unsafe { *position = request.ki_pos };
    result
}

/// # Safety
///
/// The VFS calls this with an open file, a position and a pipe.
unsafe extern "C" fn splice_read(
    file: *mut bindings::file,
    position: *mut i64,
    pipe: *mut bindings::pipe_inode_info,
    length: usize,
    flags: c_uint,
) -> isize {
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file(file) };
    let mut context = context(false);
    // SAFETY: By the function's contract; the lower file is a backing file.
    unsafe {
        at_position(file, position, |request| {
            bindings::backing_file_splice_read(lower, request, pipe, length, flags, &mut context)
        })
    }
}

/// # Safety
///
/// The VFS calls this with a pipe, an open file, and a position.
unsafe extern "C" fn splice_write(
    pipe: *mut bindings::pipe_inode_info,
    file: *mut bindings::file,
    position: *mut i64,
    length: usize,
    flags: c_uint,
) -> isize {
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file(file) };
    let mut context = context(true);
    // SAFETY: By the function's contract; the lower file is a backing file.
    unsafe {
        at_position(file, position, |request| {
            bindings::backing_file_splice_write(pipe, lower, request, length, flags, &mut context)
        })
    }
}

/// # Safety
///
/// The VFS calls this with an open file and a mapping that is being made.
unsafe extern "C" fn mmap(file: *mut bindings::file, vma: *mut bindings::vm_area_struct) -> c_int {
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file(file) };
    let mut context = context(false);
    // SAFETY: As above.
    unsafe { bindings::file_show_path(lower, file) };
    // From here on the mapping is one of the lower file.
    // SAFETY: All are valid; the lower file is a backing file.
    unsafe { bindings::backing_file_mmap(lower, vma, &mut context) }
}

/// # Safety
///
/// The VFS calls this with an open file that the calling task wants to map.
unsafe extern "C" fn get_unmapped_area(
    file: *mut bindings::file,
    address: usize,
    length: usize,
    offset: usize,
    flags: usize,
) -> usize {
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file(file) };
    // Where large pages fit is known to the lower file system.
    // SAFETY: An open file has operations.
    match unsafe { (*(*lower).f_op).get_unmapped_area } {
        // SAFETY: The operation is of this file.
        Some(operation) => unsafe { operation(lower, address, length, offset, flags) },
        // SAFETY: The file is open.
        None => unsafe { bindings::mm_get_unmapped_area(lower, address, length, offset, flags) },
    }
}

/// # Safety
///
/// The VFS calls this with an open file.
pub(super) unsafe extern "C" fn fsync(
    file: *mut bindings::file,
    start: i64,
    end: i64,
    only_data: c_int,
) -> c_int {
    from_result(|| {
        // SAFETY: `open` has set it.
        let lower = unsafe { (*file).private_data }.cast();
        // SAFETY: The lower file is open.
        to_result(unsafe { bindings::vfs_fsync_range(lower, start, end, only_data) })?;
        Ok(0)
    })
}
