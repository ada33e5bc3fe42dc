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

use super::{copy_attributes, lower, lower_rcu};
use crate::{errno::EOPNOTSUPP, vfs::modify::WriteAccess};

/// A list of handlers, ended by a null pointer.
#[repr(transparent)]
struct Handlers([*const bindings::xattr_handler; 2]);

// SAFETY: The handlers never change.
unsafe impl Sync for Handlers {}

/// A handler that never changes.
#[repr(transparent)]
struct Handler(bindings::xattr_handler);

// SAFETY: It never changes.
unsafe impl Sync for Handler {}

/// Takes all names.
static ANY: Handler = Handler(bindings::xattr_handler {
    prefix: c"".to_bytes_with_nul().as_ptr().cast(),
    get: Some(get),
    set: Some(set),
    ..pin_init::zeroed()
});

static HANDLERS: Handlers = Handlers([&raw const ANY.0, core::ptr::null()]);

/// What a superblock has for `s_xattr`.
pub(in crate::fs) fn handlers() -> *const *const bindings::xattr_handler {
    HANDLERS.0.as_ptr()
}

/// # Safety
///
/// The VFS calls this with an inode of ours, a name, and room for the value.
unsafe extern "C" fn get(
    _handler: *const bindings::xattr_handler,
    _dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    name: *const c_char,
    buffer: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: A reference is held.
    if unsafe { lower_rcu(inode) }.0.is_null() {
        return EOPNOTSUPP.error().to_errno();
    }
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
/// The VFS calls this with a locked inode of ours, a name, and a value, or null to remove it.
unsafe extern "C" fn set(
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
        // SAFETY: A reference is held.
        if unsafe { lower_rcu(inode) }.0.is_null() {
            return Err(EOPNOTSUPP.into());
        }
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

/// The name of the attribute that stands for a list of this type.
fn acl_name(acl_type: c_int) -> &'static CStr {
    if acl_type == bindings::ACL_TYPE_ACCESS {
        c"system.posix_acl_access"
    } else {
        c"system.posix_acl_default"
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
    let name = acl_name(acl_type).as_char_ptr();
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
        let name = acl_name(acl_type).as_char_ptr();
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
