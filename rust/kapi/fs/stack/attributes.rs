// SPDX-License-Identifier: GPL-2.0

//! Attributes and permissions of stacked inodes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_result, to_result},
    prelude::*,
};

use super::{copy_attributes, file, lower, lower_rcu};
use crate::vfs::{modify::WriteAccess, set::notify_change};

/// C: `inode_operations.getattr`.
///
/// # Safety
///
/// The VFS calls this with a path of ours and a `stat` to fill.
pub(in crate::fs) unsafe extern "C" fn getattr(
    _idmap: *mut bindings::mnt_idmap,
    path: *const bindings::path,
    stat: *mut bindings::kstat,
    mask: u32,
    flags: c_uint,
) -> c_int {
    // SAFETY: A path that is stat'ed is positive and holds its inode.
    let inode = unsafe { (*(*path).dentry).d_inode };
    // SAFETY: As above.
    let lower = match unsafe { lower(inode) } {
        Ok(lower) => lower,
        Err(error) => return error.to_errno(),
    };
    // SAFETY: The lower path is valid, and the VFS has prepared `stat`.
    let error = unsafe { bindings::getattr_below(lower.as_raw(), stat, mask, flags) };
    // SAFETY: The inode has a superblock as long as it lives.
    unsafe { (*stat).dev = (*(*inode).i_sb).s_dev };
    error
}

/// C: `inode_operations.permission`.
///
/// # Safety
///
/// The VFS calls this with an inode of ours, found under RCU when `mask` has `MAY_NOT_BLOCK`.
pub(in crate::fs) unsafe extern "C" fn permission(
    _idmap: *mut bindings::mnt_idmap,
    inode: *mut bindings::inode,
    mask: c_int,
) -> c_int {
    // SAFETY: By the function's contract.
    let (lower, idmap) = unsafe { lower_rcu(inode) };
    if lower.is_null() {
        return -(bindings::EIO as c_int);
    }
    // What the VFS judges by itself (sticky directories, ownership) shall be as true.
    // SAFETY: Both inodes are valid for the RCU read-side section, or referred to. An inode that
    // is evicted meanwhile takes no harm.
    unsafe { bindings::inode_copy_owner(inode, lower) };
    // SAFETY: As above; the function sleeps only when `mask` allows it.
    unsafe { bindings::inode_permission(idmap, lower, mask) }
}

/// C: `inode_operations.setattr`.
///
/// # Safety
///
/// The VFS calls this with a positive dentry of ours, whose inode is locked, and valid
/// attributes.
pub(in crate::fs) unsafe extern "C" fn setattr(
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    attributes: *mut bindings::iattr,
) -> c_int {
    from_result(|| {
        // SAFETY: By the function's contract.
        let inode = unsafe { (*dentry).d_inode };
        // `notify_change` has cleared the flag for a mode with privileges.
        // SAFETY: The inode is locked.
        unsafe { bindings::inode_set_nosec(inode) };
        // SAFETY: A positive dentry holds its inode.
        let path = unsafe { lower(inode) }?;
        // SAFETY: By the function's contract.
        let mut changes = unsafe { ptr::read(attributes) };
        translate(&mut changes);
        let result = notify_change(path, &changes);
        // SAFETY: A positive dentry holds its inode.
        unsafe { copy_attributes(inode) };
        result.map(|()| 0)
    })
}

/// Makes what was asked of our inode into what is asked of the lower one.
fn translate(changes: &mut bindings::iattr) {
    const PRIVILEGES: u32 = bindings::ATTR_KILL_SUID | bindings::ATTR_KILL_SGID;
    if changes.ia_valid & PRIVILEGES != 0 {
        // Which bits these clear is decided anew, by the mode of the lower inode.
        changes.ia_valid &= !bindings::ATTR_MODE;
    }
    // The lower file was not opened with `O_TRUNC`, so it must be truncated here.
    changes.ia_valid &= !bindings::ATTR_OPEN;
    if changes.ia_valid & bindings::ATTR_FILE != 0 {
        // SAFETY: With this flag the file is valid.
        match unsafe { file::lower_of(changes.ia_file) } {
            Some(lower) => changes.ia_file = lower,
            None => changes.ia_valid &= !bindings::ATTR_FILE,
        }
    }
}

/// C: `inode_operations.fileattr_get`.
///
/// # Safety
///
/// The VFS calls this with a positive dentry of ours and attributes to fill.
pub(in crate::fs) unsafe extern "C" fn fileattr_get(
    dentry: *mut bindings::dentry,
    attributes: *mut bindings::file_kattr,
) -> c_int {
    from_result(|| {
        // SAFETY: A positive dentry holds its inode.
        let path = unsafe { lower((*dentry).d_inode) }?;
        // SAFETY: Both are valid.
        to_result(unsafe { bindings::vfs_fileattr_get(path.dentry(), attributes.cast()) })?;
        Ok(0)
    })
}

/// C: `inode_operations.fileattr_set`.
///
/// # Safety
///
/// The VFS calls this with a positive dentry of ours, whose inode is locked, and valid
/// attributes.
pub(in crate::fs) unsafe extern "C" fn fileattr_set(
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    attributes: *mut bindings::file_kattr,
) -> c_int {
    from_result(|| {
        // SAFETY: A positive dentry holds its inode.
        let path = unsafe { lower((*dentry).d_inode) }?;
        let _write = WriteAccess::to(path)?;
        // SAFETY: All are valid.
        to_result(unsafe {
            bindings::vfs_fileattr_set(path.idmap(), path.dentry(), attributes.cast())
        })?;
        // SAFETY: A positive dentry holds its inode.
        unsafe { copy_attributes((*dentry).d_inode) };
        Ok(0)
    })
}

/// C: `inode_operations.fiemap`.
///
/// # Safety
///
/// The VFS calls this with an inode of ours and a request that is valid.
pub(in crate::fs) unsafe extern "C" fn fiemap(
    inode: *mut bindings::inode,
    info: *mut bindings::fiemap_extent_info,
    start: u64,
    length: u64,
) -> c_int {
    from_result(|| {
        // SAFETY: A reference is held.
        let path = unsafe { lower(inode) }?;
        // SAFETY: A valid inode has operations.
        let operation = unsafe { (*(*path.inode()).i_op).fiemap };
        let operation = operation.ok_or(crate::errno::EOPNOTSUPP)?;
        // SAFETY: The operation is of this inode; the rest is as the VFS gave it.
        to_result(unsafe { operation(path.inode(), info, start, length) })?;
        Ok(0)
    })
}

/// C: `inode_operations.get_link`.
///
/// # Safety
///
/// The VFS calls this with a symbolic link of ours. `dentry` is null in an RCU walk.
pub(in crate::fs) unsafe extern "C" fn get_link(
    dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    done: *mut bindings::delayed_call,
) -> *const c_char {
    // SAFETY: By the function's contract.
    let (lower_inode, _) = unsafe { lower_rcu(inode) };
    if lower_inode.is_null() {
        return EIO.to_ptr();
    }
    // SAFETY: The inode is valid, if only for the RCU read-side section, and so is a target that
    // it keeps in memory.
    let link = unsafe { bindings::inode_cached_link(lower_inode) };
    if !link.is_null() {
        return link;
    }
    if dentry.is_null() {
        return Error::from_errno(-(bindings::ECHILD as c_int)).to_ptr();
    }
    // SAFETY: Not in an RCU walk, so a reference is held.
    match unsafe { lower(inode) } {
        // SAFETY: The path is valid, and `done` may be written.
        Ok(path) => unsafe { bindings::vfs_get_link(path.dentry(), done) },
        Err(error) => error.to_ptr(),
    }
}
