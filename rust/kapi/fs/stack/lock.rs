// SPDX-License-Identifier: GPL-2.0

//! Locks on files that stand on lower files.
//!
//! C header: [`include/linux/filelock.h`](srctree/include/linux/filelock.h)
//!
//! They are locks of the lower file, so that they meet those of programs that use it directly. What
//! belongs to an open file belongs to the lower open file, and goes with it.

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{prelude::*, types::ScopeGuard};

use super::file::lower_file;

/// # Safety
///
/// The VFS calls this with an open file, and a lock of the calling task that is in no list.
pub(super) unsafe extern "C" fn lock(
    file: *mut bindings::file,
    command: c_int,
    lock: *mut kernel::bindings::file_lock,
) -> c_int {
    let lock = lock.cast::<bindings::file_lock>();
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file(file) };
    // SAFETY: By the function's contract.
    let core = unsafe { &raw mut (*lock).c };
    // SAFETY: By the function's contract.
    let (of_file, owner) = unsafe { ((*core).flc_file, (*core).flc_owner) };
    let is_own = ptr::eq(owner, file.cast());
    // SAFETY: As above.
    unsafe {
        (*core).flc_file = lower;
        if is_own {
            (*core).flc_owner = lower.cast();
        }
    }
    // The caller goes on with it, and finds what it knows.
    let _restore = ScopeGuard::new(|| {
        // SAFETY: As above; a lock that was found to be in the way has no file, and an owner of
        // its own.
        unsafe {
            (*core).flc_file = of_file;
            if is_own && ptr::eq((*core).flc_owner, lower.cast()) {
                (*core).flc_owner = owner;
            }
        }
    });
    if command as u32 == bindings::F_GETLK {
        // SAFETY: Both are valid, and the lock is of the lower file.
        return unsafe { bindings::vfs_test_lock(lower, lock) };
    }
    // SAFETY: An open file has operations.
    match unsafe { (*(*lower).f_op).lock } {
        // SAFETY: The operation is of the lower file.
        Some(operation) => unsafe { operation(lower, command, lock.cast()) },
        // Waits here, if that is wanted, with the lower file as the lock's: nobody sees another.
        // SAFETY: An open file holds its inode.
        None => unsafe { bindings::locks_lock_inode_wait(bindings::file_inode(lower), lock) },
    }
}

/// # Safety
///
/// As for [`lock`].
pub(super) unsafe extern "C" fn flock(
    file: *mut bindings::file,
    command: c_int,
    lock: *mut kernel::bindings::file_lock,
) -> c_int {
    let lock = lock.cast::<bindings::file_lock>();
    // SAFETY: By the function's contract.
    let lower = unsafe { lower_file(file) };
    // SAFETY: By the function's contract.
    let core = unsafe { &raw mut (*lock).c };
    // SAFETY: By the function's contract.
    unsafe {
        (*core).flc_file = lower;
        (*core).flc_owner = lower.cast();
    }
    // SAFETY: An open file has operations.
    let result = match unsafe { (*(*lower).f_op).flock } {
        // SAFETY: The operation is of the lower file.
        Some(operation) => unsafe { operation(lower, command, lock.cast()) },
        // SAFETY: An open file holds its inode.
        None => unsafe { bindings::locks_lock_inode_wait(bindings::file_inode(lower), lock) },
    };
    // SAFETY: By the function's contract.
    unsafe {
        (*core).flc_file = file;
        (*core).flc_owner = file.cast();
    }
    result
}

/// Gives up what a process has locked. The VFS does it only for locks of our own inode.
///
/// # Safety
///
/// `lower` must be an open file.
pub(super) unsafe fn remove_posix(lower: *mut bindings::file, owner: bindings::fl_owner_t) {
    // SAFETY: By the function's contract.
    unsafe { bindings::locks_remove_posix(lower, owner) };
}
