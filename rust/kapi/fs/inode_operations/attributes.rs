// SPDX-License-Identifier: GPL-2.0

//! Entry points of the operations on attributes and access control lists.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/posix_acl_xattr.h`](srctree/include/linux/posix_acl_xattr.h)

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_result, to_result},
    prelude::*,
};

use super::{table::Vtable, Operations, Query, Stat};
use crate::{
    fs::{context::FileSystem, Inode},
    vfs::{acl, AclType, Changes},
};

/// C: `inode_operations.get_inode_acl`. A path walk that asks for permission is told of no list.
///
/// # Safety
///
/// None.
pub(super) unsafe extern "C" fn no_inode_acl(
    _inode: *mut bindings::inode,
    _acl_type: c_int,
    _in_rcu_walk: bool,
) -> *mut kernel::bindings::posix_acl {
    ptr::null_mut()
}

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    /// # Safety
    ///
    /// The VFS calls this with a path of `F` and a `stat` to fill.
    pub(super) unsafe extern "C" fn getattr(
        idmap: *mut bindings::mnt_idmap,
        path: *const bindings::path,
        stat: *mut bindings::kstat,
        mask: u32,
        flags: c_uint,
    ) -> c_int {
        from_result(|| {
            // SAFETY: A path that is stat'ed is positive and holds its inode.
            let inode = unsafe { Inode::<F>::from_raw((*(*path).dentry).d_inode) };
            T::getattr(inode, Query { mask, flags })?;
            // SAFETY: All are valid for the call.
            unsafe { bindings::generic_fillattr(idmap, mask, inode.as_raw(), stat) };
            // SAFETY: As above.
            let mut stat = Stat(unsafe { &mut *stat });
            if T::HAS_FILL_STAT {
                T::fill_stat(inode, &mut stat);
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a positive dentry of `F`, whose inode is locked, and valid
    /// attributes.
    pub(super) unsafe extern "C" fn setattr(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        attributes: *mut bindings::iattr,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            to_result(unsafe { bindings::setattr_prepare(idmap, dentry, attributes) })?;
            // SAFETY: A positive dentry holds its inode.
            let inode = unsafe { Inode::<F>::from_raw((*dentry).d_inode) };
            // SAFETY: By the function's contract.
            let changes = Changes::of(unsafe { &*attributes });
            if !changes.is_empty() {
                T::setattr(inode, &changes)?;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a positive dentry of `F` and room for the list.
    pub(super) unsafe extern "C" fn listxattr(
        dentry: *mut bindings::dentry,
        list: *mut c_char,
        size: usize,
    ) -> isize {
        // SAFETY: A positive dentry holds its inode.
        let inode = unsafe { Inode::<F>::from_raw((*dentry).d_inode) };
        let list = if size == 0 {
            &mut [][..]
        } else {
            // SAFETY: By the function's contract; the VFS has cleared it.
            unsafe { core::slice::from_raw_parts_mut(list.cast(), size) }
        };
        match T::listxattr(inode, list) {
            Ok(length) => isize::try_from(length).unwrap_or(isize::MAX),
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// The VFS calls this with a positive dentry of `F`.
    pub(super) unsafe extern "C" fn get_acl(
        _idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        acl_type: c_int,
    ) -> *mut kernel::bindings::posix_acl {
        // SAFETY: A positive dentry holds its inode.
        let inode = unsafe { Inode::<F>::from_raw((*dentry).d_inode) };
        let found = T::get_acl(inode, AclType::from_raw(acl_type)).and_then(|value| match value {
            Some(value) => acl::from_xattr(&value),
            None => Ok(ptr::null_mut()),
        });
        match found {
            Ok(acl) => acl.cast(),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// The VFS calls this with a positive dentry of `F`, whose inode is locked, and a list or null.
    pub(super) unsafe extern "C" fn set_acl(
        _idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        acl: *mut kernel::bindings::posix_acl,
        acl_type: c_int,
    ) -> c_int {
        from_result(|| {
            // SAFETY: A positive dentry holds its inode.
            let inode = unsafe { Inode::<F>::from_raw((*dentry).d_inode) };
            let acl_type = AclType::from_raw(acl_type);
            if acl.is_null() {
                T::set_acl(inode, acl_type, None)?;
            } else {
                // SAFETY: By the function's contract.
                let value = unsafe { acl::to_xattr(acl.cast()) }?;
                T::set_acl(inode, acl_type, Some(&value))?;
            }
            Ok(0)
        })
    }
}
