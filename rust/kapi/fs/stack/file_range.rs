// SPDX-License-Identifier: GPL-2.0

//! Operations on ranges of open regular files that stand on open lower files.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use hmdfs_bindings as bindings;
use kernel::prelude::*;

use super::file::{lower_file, lower_of, update_size};

/// C: `file_operations.fallocate`.
///
/// # Safety
///
/// The VFS calls this with an open file.
pub(super) unsafe extern "C" fn fallocate(
    file: *mut bindings::file,
    mode: c_int,
    offset: i64,
    length: i64,
) -> c_long {
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file(file) };
    // SAFETY: The lower file is open.
    let result = unsafe { bindings::vfs_fallocate(lower, mode, offset, length) };
    // SAFETY: Both are open.
    unsafe { update_size(file, lower) };
    result as c_long
}

/// C: `file_operations.fadvise`.
///
/// # Safety
///
/// The VFS calls this with an open file.
pub(super) unsafe extern "C" fn fadvise(
    file: *mut bindings::file,
    offset: i64,
    length: i64,
    advice: c_int,
) -> c_int {
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file(file) };
    // SAFETY: The lower file is open.
    unsafe { bindings::vfs_fadvise(lower, offset, length, advice) }
}

/// C: `file_operations.copy_file_range`.
///
/// # Safety
///
/// The VFS calls this with two open files.
pub(super) unsafe extern "C" fn copy_file_range(
    from: *mut bindings::file,
    from_offset: i64,
    to: *mut bindings::file,
    to_offset: i64,
    length: usize,
    flags: c_uint,
) -> isize {
    // SAFETY: By the function's contract.
    let (Some(lower_from), Some(lower_to)) = (unsafe { lower_of(from) }, unsafe { lower_of(to) })
    else {
        return EXDEV.to_errno() as isize;
    };
    // SAFETY: Both lower files are open.
    let copied = unsafe {
        bindings::vfs_copy_file_range(lower_from, from_offset, lower_to, to_offset, length, flags)
    };
    // SAFETY: Both are open.
    unsafe { update_size(to, lower_to) };
    copied
}

/// C: `file_operations.remap_file_range`.
///
/// # Safety
///
/// The VFS calls this with two open files, of which `from` is of this table.
pub(super) unsafe extern "C" fn remap_file_range(
    from: *mut bindings::file,
    from_offset: i64,
    to: *mut bindings::file,
    to_offset: i64,
    length: i64,
    flags: c_uint,
) -> i64 {
    if flags & !(bindings::REMAP_FILE_DEDUP | bindings::REMAP_FILE_ADVISORY) != 0 {
        return i64::from(EINVAL.to_errno());
    }
    // SAFETY: By the function's contract.
    let (Some(lower_from), Some(lower_to)) = (unsafe { lower_of(from) }, unsafe { lower_of(to) })
    else {
        return i64::from(EXDEV.to_errno());
    };
    if flags & bindings::REMAP_FILE_DEDUP != 0 {
        // The VFS sets the flag itself there.
        let flags = flags & !bindings::REMAP_FILE_DEDUP;
        // SAFETY: Both lower files are open.
        return unsafe {
            bindings::vfs_dedupe_file_range_one(
                lower_from,
                from_offset,
                lower_to,
                to_offset,
                length,
                flags,
            )
        };
    }
    // SAFETY: Both lower files are open.
    let cloned = unsafe {
        bindings::vfs_clone_file_range(lower_from, from_offset, lower_to, to_offset, length, flags)
    };
    // SAFETY: Both are open.
    unsafe { update_size(to, lower_to) };
    cloned
}
