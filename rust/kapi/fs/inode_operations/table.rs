// SPDX-License-Identifier: GPL-2.0

//! The C table of inode operations, and the entry points of those that find something.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::{
    error::from_result,
    prelude::*,
    str::CStrExt,
    uaccess::{UserPtr, UserSlice},
};

use super::{attributes, partly_stacked, Operations};
use crate::fs::{context::FileSystem, dentry, stack, Dentry, Inode};

/// Makes the C table for `T`.
pub(in crate::fs) const fn table<F: FileSystem, T: Operations<F>>(
) -> &'static bindings::inode_operations {
    &Vtable::<F, T>::OPERATIONS
}

pub(super) struct Vtable<F, T>(PhantomData<(F, T)>);

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    const OPERATIONS: bindings::inode_operations = bindings::inode_operations {
        lookup: if T::HAS_LOOKUP {
            Some(Self::lookup)
        } else {
            None
        },
        getattr: if T::STACKED {
            Some(stack::attributes::getattr)
        } else if T::HAS_GETATTR {
            Some(Self::getattr)
        } else {
            None
        },
        atomic_open: if T::HAS_ATOMIC_OPEN {
            Some(Self::atomic_open)
        } else {
            None
        },
        create: if T::HAS_CREATE {
            Some(Self::create)
        } else {
            None
        },
        link: if T::HAS_LINK { Some(Self::link) } else { None },
        mkdir: if T::HAS_MKDIR {
            Some(Self::mkdir)
        } else {
            None
        },
        mknod: if T::HAS_MKNOD {
            Some(Self::mknod)
        } else {
            None
        },
        rename: if T::HAS_RENAME {
            Some(Self::rename)
        } else {
            None
        },
        rmdir: if T::HAS_RMDIR {
            Some(Self::rmdir)
        } else {
            None
        },
        symlink: if T::HAS_SYMLINK {
            Some(Self::symlink)
        } else {
            None
        },
        tmpfile: if T::HAS_TMPFILE {
            Some(Self::tmpfile)
        } else {
            None
        },
        unlink: if T::HAS_UNLINK {
            Some(Self::unlink)
        } else {
            None
        },
        fiemap: if T::STACKED {
            Some(stack::attributes::fiemap)
        } else {
            None
        },
        fileattr_get: if T::STACKED || T::PARTLY_STACKED {
            Some(stack::attributes::fileattr_get)
        } else {
            None
        },
        fileattr_set: if T::STACKED || T::PARTLY_STACKED {
            Some(stack::attributes::fileattr_set)
        } else {
            None
        },
        get_acl: if T::STACKED {
            Some(stack::xattr::get_acl)
        } else if T::PARTLY_STACKED {
            Some(Self::partly_get_acl)
        } else if T::HAS_GET_ACL {
            Some(Self::get_acl)
        } else {
            None
        },
        get_inode_acl: if T::HAS_GET_ACL {
            Some(attributes::no_inode_acl)
        } else {
            None
        },
        get_link: if T::STACKED_LINK {
            Some(stack::attributes::get_link)
        } else if T::HAS_GET_LINK {
            Some(Self::get_link)
        } else {
            None
        },
        listxattr: if T::STACKED {
            Some(stack::xattr::listxattr)
        } else if T::PARTLY_STACKED {
            Some(Self::partly_listxattr)
        } else if T::HAS_LISTXATTR {
            Some(Self::listxattr)
        } else {
            None
        },
        permission: if T::STACKED {
            Some(stack::attributes::permission)
        } else if T::PARTLY_STACKED {
            Some(partly_stacked::permission)
        } else if T::READ_ONLY {
            Some(Self::read_only_permission)
        } else {
            None
        },
        set_acl: if T::STACKED {
            Some(stack::xattr::set_acl)
        } else if T::PARTLY_STACKED {
            Some(Self::partly_set_acl)
        } else if T::HAS_SET_ACL {
            Some(Self::set_acl)
        } else {
            None
        },
        setattr: if T::STACKED {
            Some(stack::attributes::setattr)
        } else if T::PARTLY_STACKED {
            Some(Self::partly_setattr)
        } else if T::READ_ONLY {
            Some(Self::read_only_setattr)
        } else if T::HAS_SETATTR {
            Some(Self::setattr)
        } else {
            None
        },
        readlink: if T::HAS_READLINK {
            Some(Self::readlink)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// The VFS calls this with a symbolic link of `F`; `dentry` is null in an RCU walk.
    unsafe extern "C" fn get_link(
        dentry: *mut bindings::dentry,
        inode: *mut bindings::inode,
        _done: *mut bindings::delayed_call,
    ) -> *const c_char {
        if dentry.is_null() {
            return ECHILD.to_ptr();
        }
        // SAFETY: By the function's contract; a walk that is not under RCU holds both.
        let (inode, dentry) = unsafe { (Inode::<F>::from_raw(inode), Dentry::from_raw(dentry)) };
        match T::get_link(inode, dentry) {
            // The walk holds the inode, and with it the target, as long as it needs it.
            Ok(target) => target.as_char_ptr(),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// The VFS calls this with a positive dentry of `F` and memory of user space.
    unsafe extern "C" fn readlink(
        dentry: *mut bindings::dentry,
        buffer: *mut c_char,
        length: c_int,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let inode = unsafe { Inode::<F>::from_raw((*dentry).d_inode) };
            let target = T::readlink(inode)?.to_bytes();
            let room = usize::try_from(length)?;
            let target = target.get(..room).unwrap_or(target);
            let user = UserSlice::new(UserPtr::from_ptr(buffer.cast()), room);
            user.writer().write_slice(target)?;
            Ok(c_int::try_from(target.len())?)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with an inode of `F`, which may be in an RCU walk.
    unsafe extern "C" fn read_only_permission(
        idmap: *mut bindings::mnt_idmap,
        inode: *mut bindings::inode,
        mask: c_int,
    ) -> c_int {
        if mask & bindings::MAY_WRITE as c_int != 0 {
            return EROFS.to_errno();
        }
        // SAFETY: By the function's contract; the function knows about RCU walks.
        unsafe { bindings::generic_permission(idmap, inode, mask) }
    }

    /// # Safety
    ///
    /// None.
    unsafe extern "C" fn read_only_setattr(
        _idmap: *mut bindings::mnt_idmap,
        _dentry: *mut bindings::dentry,
        _attributes: *mut bindings::iattr,
    ) -> c_int {
        EROFS.to_errno()
    }

    /// # Safety
    ///
    /// The VFS calls this with a directory of `F` and a dentry in it that is in lookup.
    unsafe extern "C" fn lookup(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        flags: c_uint,
    ) -> *mut bindings::dentry {
        // SAFETY: The name of a dentry in lookup does not change; the length is a plain number.
        let length = unsafe {
            (*dentry)
                .__bindgen_anon_1
                .d_name
                .__bindgen_anon_1
                .__bindgen_anon_1
                .len
        };
        if length > bindings::NAME_MAX {
            return crate::errno::ENAMETOOLONG.error().to_ptr();
        }
        // SAFETY: The VFS holds a reference to the directory.
        let dir = unsafe { Inode::<F>::from_raw(dir) };
        // SAFETY: By the function's contract.
        let dentry = unsafe { dentry::InLookup::from_raw(dentry, flags) };
        match T::lookup(dir, dentry) {
            Ok(spliced) => spliced.into_raw(),
            Err(error) => error.to_ptr(),
        }
    }
}
