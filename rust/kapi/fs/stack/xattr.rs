// SPDX-License-Identifier: GPL-2.0

//! Extended attributes and access control lists of stacked inodes.
//!
//! C headers: [`include/linux/xattr.h`](srctree/include/linux/xattr.h),
//! [`include/linux/posix_acl.h`](srctree/include/linux/posix_acl.h)

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    str::CStrExt,
};

use super::{copy_attributes, lower};
use crate::vfs::{modify::WriteAccess, AclType};

/// # Safety
///
/// Called with a stacked inode, a name, and room for the value.
pub(in crate::fs) unsafe extern "C" fn get(
    _handler: *const bindings::xattr_handler,
    _dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    name: *const c_char,
    buffer: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: A reference is held.
    let path = match unsafe { lower(inode) } {
        Ok(path) => path,
        Err(error) => return error.to_errno(),
    };
    // SAFETY: All are valid.
    let length = unsafe { bindings::vfs_getxattr(path.idmap(), path.dentry(), name, buffer, size) };
    // CAST: At most `XATTR_SIZE_MAX`, or an error number.
    length as c_int
}

/// # Safety
///
/// Called with a locked, stacked inode, a name, and a value, or null to remove it.
pub(in crate::fs) unsafe extern "C" fn set(
    _handler: *const bindings::xattr_handler,
    _idmap: *mut bindings::mnt_idmap,
    _dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    name: *const c_char,
    value: *const c_void,
    size: usize,
    flags: c_int,
) -> c_int {
    from_result(|| {
        // The VFS has cleared the flag for a security attribute.
        // SAFETY: The inode is locked.
        unsafe { bindings::inode_set_nosec(inode) };
        // SAFETY: A reference is held.
        let path = unsafe { lower(inode) }?;
        let _write = WriteAccess::to(path)?;
        let result = if value.is_null() {
            // SAFETY: All are valid.
            unsafe { bindings::vfs_removexattr(path.idmap(), path.dentry(), name) }
        } else {
            // SAFETY: All are valid.
            unsafe { bindings::vfs_setxattr(path.idmap(), path.dentry(), name, value, size, flags) }
        };
        // SAFETY: A reference is held.
        unsafe { copy_attributes(inode) };
        to_result(result)?;
        Ok(0)
    })
}

/// C: `inode_operations.listxattr`.
///
/// # Safety
///
/// The VFS calls this with a positive dentry of ours and room for the list.
pub(in crate::fs) unsafe extern "C" fn listxattr(
    dentry: *mut bindings::dentry,
    list: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: A positive dentry holds its inode.
    match unsafe { lower((*dentry).d_inode) } {
        // SAFETY: All are valid.
        Ok(path) => unsafe { bindings::vfs_listxattr(path.dentry(), list, size) },
        Err(error) => error.to_errno() as isize,
    }
}

/// C: `inode_operations.get_acl`.
///
/// # Safety
///
/// The VFS calls this with a positive dentry of ours.
pub(in crate::fs) unsafe extern "C" fn get_acl(
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    acl_type: c_int,
) -> *mut kernel::bindings::posix_acl {
    // SAFETY: A positive dentry holds its inode.
    let path = match unsafe { lower((*dentry).d_inode) } {
        Ok(path) => path,
        Err(error) => return error.to_ptr(),
    };
    let name = AclType::from_raw(acl_type).name().as_char_ptr();
    // SAFETY: All are valid.
    unsafe { bindings::vfs_get_acl(path.idmap(), path.dentry(), name) }.cast()
}

/// C: `inode_operations.set_acl`.
///
/// # Safety
///
/// The VFS calls this with a positive dentry of ours, whose inode is locked, and a list or null.
pub(in crate::fs) unsafe extern "C" fn set_acl(
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    acl: *mut kernel::bindings::posix_acl,
    acl_type: c_int,
) -> c_int {
    from_result(|| {
        // SAFETY: A positive dentry holds its inode.
        let inode = unsafe { (*dentry).d_inode };
        // SAFETY: As above.
        let path = unsafe { lower(inode) }?;
        let name = AclType::from_raw(acl_type).name().as_char_ptr();
        let _write = WriteAccess::to(path)?;
        let result = if acl.is_null() {
            // SAFETY: All are valid.
            unsafe { bindings::vfs_remove_acl(path.idmap(), path.dentry(), name) }
        } else {
            // SAFETY: All are valid.
            unsafe { bindings::vfs_set_acl(path.idmap(), path.dentry(), name, acl.cast()) }
        };
        // A list may change the mode.
        // SAFETY: A positive dentry holds its inode.
        unsafe { copy_attributes(inode) };
        to_result(result)?;
        Ok(0)
    })
}
