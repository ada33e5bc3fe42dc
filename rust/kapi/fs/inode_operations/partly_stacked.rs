// SPDX-License-Identifier: GPL-2.0

//! Entry points of inodes that may or may not have a lower one.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! An inode that has none now can be given one at any moment, so each call looks.

use hmdfs_bindings as bindings;
use kernel::prelude::*;

use super::{table::Vtable, Operations};
use crate::fs::{context::FileSystem, stack};

/// C: `inode_operations.permission`.
///
/// # Safety
///
/// The VFS calls this with an inode of ours, found under RCU when `mask` has `MAY_NOT_BLOCK`.
pub(super) unsafe extern "C" fn permission(
    idmap: *mut bindings::mnt_idmap,
    inode: *mut bindings::inode,
    mask: c_int,
) -> c_int {
    // SAFETY: By the function's contract.
    if unsafe { stack::has_lower(inode) } {
        // SAFETY: As above.
        return unsafe { stack::attributes::permission(idmap, inode, mask) };
    }
    // SAFETY: As above; the function knows about RCU walks.
    unsafe { bindings::generic_permission(idmap, inode, mask) }
}

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    /// # Safety
    ///
    /// As for `setattr`.
    pub(super) unsafe extern "C" fn partly_setattr(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        attributes: *mut bindings::iattr,
    ) -> c_int {
        // SAFETY: By the function's contract.
        unsafe {
            if stack::has_lower((*dentry).d_inode) {
                stack::attributes::setattr(idmap, dentry, attributes)
            } else {
                Self::setattr(idmap, dentry, attributes)
            }
        }
    }

    /// # Safety
    ///
    /// As for `listxattr`.
    pub(super) unsafe extern "C" fn partly_listxattr(
        dentry: *mut bindings::dentry,
        list: *mut c_char,
        size: usize,
    ) -> isize {
        // SAFETY: By the function's contract.
        unsafe {
            if stack::has_lower((*dentry).d_inode) {
                stack::xattr::listxattr(dentry, list, size)
            } else {
                Self::listxattr(dentry, list, size)
            }
        }
    }

    /// # Safety
    ///
    /// As for `get_acl`.
    pub(super) unsafe extern "C" fn partly_get_acl(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        acl_type: c_int,
    ) -> *mut kernel::bindings::posix_acl {
        // SAFETY: By the function's contract.
        unsafe {
            if stack::has_lower((*dentry).d_inode) {
                stack::xattr::get_acl(idmap, dentry, acl_type)
            } else {
                Self::get_acl(idmap, dentry, acl_type)
            }
        }
    }

    /// # Safety
    ///
    /// As for `set_acl`.
    pub(super) unsafe extern "C" fn partly_set_acl(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        acl: *mut kernel::bindings::posix_acl,
        acl_type: c_int,
    ) -> c_int {
        // SAFETY: By the function's contract.
        unsafe {
            if stack::has_lower((*dentry).d_inode) {
                stack::xattr::set_acl(idmap, dentry, acl, acl_type)
            } else {
                Self::set_acl(idmap, dentry, acl, acl_type)
            }
        }
    }
}
