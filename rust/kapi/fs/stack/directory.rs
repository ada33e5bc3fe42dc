// SPDX-License-Identifier: GPL-2.0

//! Open directories that stand on open lower directories.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! `private_data` is the lower file. Entries and positions are those of the lower
//! directory, which is given the very place where the entries go.

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_err_ptr, from_result},
    prelude::*,
};

use super::{
    file::{self, Table},
    lower,
};

static OPERATIONS: Table = Table(bindings::file_operations {
    // The VFS holds the superblock, and with it the module, as long as a file is open.
    open: Some(open),
    release: Some(file::release),
    iterate_shared: Some(iterate_shared),
    llseek: Some(file::llseek),
    read: Some(bindings::generic_read_dir),
    fsync: Some(file::fsync),
    setlease: Some(bindings::generic_setlease),
    ..pin_init::zeroed()
});

/// The C table.
pub(super) fn operations() -> *const bindings::file_operations {
    &raw const OPERATIONS.0
}

/// # Safety
///
/// The VFS calls this with a directory of ours that is being opened.
unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    from_result(|| {
        // SAFETY: A file that is being opened holds its inode.
        let path = unsafe { lower(inode) }?;
        // SAFETY: By the function's contract.
        let flags = unsafe { (*file).f_flags };
        // SAFETY: All are valid; the file takes its own references.
        let lower = from_err_ptr(unsafe {
            bindings::dentry_open(path.as_raw(), flags as c_int, bindings::current_cred())
        })?;
        // SAFETY: The field is ours from `open` to `release`.
        unsafe { (*file).private_data = lower.cast() };
        Ok(0)
    })
}

/// # Safety
///
/// The VFS calls this with an open directory, whose position is locked, and a valid context.
unsafe extern "C" fn iterate_shared(
    file: *mut bindings::file,
    context: *mut bindings::dir_context,
) -> c_int {
    // SAFETY: `open` has set it.
    let lower = unsafe { (*file).private_data }.cast::<bindings::file>();
    // SAFETY: The lower file is nobody else's, and the position is locked.
    unsafe { (*lower).f_pos = (*context).pos };
    // SAFETY: The lower directory is open, and the context valid. Our directory is locked, and
    // the lower one is locked after it.
    unsafe { bindings::iterate_dir(lower, context) }
}
