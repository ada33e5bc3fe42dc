// SPDX-License-Identifier: GPL-2.0

//! Extended attributes of inodes.
//!
//! C header: [`include/linux/xattr.h`](srctree/include/linux/xattr.h)
//!
//! One handler takes all names. Those of an inode that stands on a lower one are
//! the lower one's ([`super::stack::xattr`]); for others the file system is asked.

use core::{marker::PhantomData, ptr};

use hmdfs_bindings as bindings;
use kernel::{error::from_result, prelude::*, str::CStrExt};

use super::{context::FileSystem, stack, Inode};
use crate::vfs::XattrMode;

/// The C entry points.
pub(super) struct Vtable<F>(PhantomData<F>);

impl<F: FileSystem> Vtable<F> {
    const ANY: bindings::xattr_handler = bindings::xattr_handler {
        prefix: c"".to_bytes_with_nul().as_ptr().cast(),
        get: Some(Self::get),
        set: Some(Self::set),
        ..pin_init::zeroed()
    };

    /// What a superblock has for `s_xattr`: a list that ends with a null pointer.
    pub(super) const HANDLERS: &'static [*const bindings::xattr_handler; 2] =
        &[&Self::ANY, ptr::null()];

    /// # Safety
    ///
    /// The VFS calls this with an inode of `F`, a name, and room for the value.
    unsafe extern "C" fn get(
        handler: *const bindings::xattr_handler,
        dentry: *mut bindings::dentry,
        inode: *mut bindings::inode,
        name: *const c_char,
        buffer: *mut c_void,
        size: usize,
    ) -> c_int {
        // SAFETY: A reference is held.
        let this = unsafe { Inode::<F>::from_raw(inode) };
        if this.lower().is_some() {
            // SAFETY: By the function's contract.
            return unsafe { stack::xattr::get(handler, dentry, inode, name, buffer, size) };
        }
        from_result(|| {
            // SAFETY: The name is a C string.
            let name = unsafe { CStr::from_char_ptr(name) };
            let value = if size == 0 {
                &mut [][..]
            } else {
                // SAFETY: By the function's contract; the VFS has cleared it, or another user has
                // written to it.
                unsafe { core::slice::from_raw_parts_mut(buffer.cast(), size) }
            };
            Ok(c_int::try_from(F::getxattr(this, name, value)?)?)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a locked inode of `F`, a name, and a value, or null to remove it.
    unsafe extern "C" fn set(
        handler: *const bindings::xattr_handler,
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        inode: *mut bindings::inode,
        name: *const c_char,
        value: *const c_void,
        size: usize,
        flags: c_int,
    ) -> c_int {
        // SAFETY: A reference is held.
        let this = unsafe { Inode::<F>::from_raw(inode) };
        if this.lower().is_some() {
            // SAFETY: By the function's contract.
            return unsafe {
                stack::xattr::set(handler, idmap, dentry, inode, name, value, size, flags)
            };
        }
        from_result(|| {
            // SAFETY: The name is a C string.
            let name = unsafe { CStr::from_char_ptr(name) };
            let value = match (value.is_null(), size) {
                (true, _) => None,
                (false, 0) => Some(&[][..]),
                (false, size) => {
                    // SAFETY: By the function's contract.
                    Some(unsafe { core::slice::from_raw_parts(value.cast::<u8>(), size) })
                }
            };
            F::setxattr(this, name, value, XattrMode::from_raw(flags))?;
            Ok(0)
        })
    }
}
