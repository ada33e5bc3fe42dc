// SPDX-License-Identifier: GPL-2.0

//! Access control lists, in the form of their extended attributes.
//!
//! C headers: [`include/linux/posix_acl.h`](srctree/include/linux/posix_acl.h),
//! [`include/linux/posix_acl_xattr.h`](srctree/include/linux/posix_acl_xattr.h)
//!
//! The numbers in them are those of the initial user namespace.

use core::ptr::NonNull;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*,
    str::CStrExt,
};

use super::{modify::WriteAccess, Path};
use crate::errno::{ENODATA, EOPNOTSUPP};

/// Which list of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclType {
    /// The one that says who may do what; C: `ACL_TYPE_ACCESS`.
    Access,
    /// The one that new files in a directory get; C: `ACL_TYPE_DEFAULT`.
    Default,
}

impl AclType {
    pub(crate) fn from_raw(acl_type: c_int) -> Self {
        if acl_type == bindings::ACL_TYPE_ACCESS {
            Self::Access
        } else {
            Self::Default
        }
    }

    /// The name of the extended attribute that holds the list.
    pub const fn name(self) -> &'static CStr {
        match self {
            Self::Access => c"system.posix_acl_access",
            Self::Default => c"system.posix_acl_default",
        }
    }
}

/// A counted reference to a list.
///
/// # Invariants
///
/// The reference is owned.
struct Acl(NonNull<bindings::posix_acl>);

impl Drop for Acl {
    fn drop(&mut self) {
        // SAFETY: The reference is ours, and given up here.
        unsafe { bindings::posix_acl_release(self.0.as_ptr()) };
    }
}

/// A new list with what `value` says, to which the caller gets a reference; null for none.
pub(crate) fn from_xattr(value: &[u8]) -> Result<*mut bindings::posix_acl> {
    // SAFETY: The value is valid for its length.
    from_err_ptr(unsafe { bindings::posix_acl_from_xattr(value.as_ptr().cast(), value.len()) })
}

/// What a list says.
///
/// # Safety
///
/// `acl` must be a valid list.
pub(crate) unsafe fn to_xattr(acl: *const bindings::posix_acl) -> Result<KVVec<u8>> {
    let mut size = 0;
    // SAFETY: By the function's contract.
    let memory = unsafe { bindings::posix_acl_to_xattr(acl, &mut size) };
    let memory = NonNull::new(memory.cast::<u8>()).ok_or(ENOMEM)?;
    let mut value = KVVec::new();
    // SAFETY: The function has given memory of this size.
    let copied = value.extend_from_slice(
        unsafe { core::slice::from_raw_parts(memory.as_ptr(), size) },
        GFP_KERNEL,
    );
    // SAFETY: The memory is ours, and not used any more.
    unsafe { bindings::kfree(memory.as_ptr().cast()) };
    copied?;
    Ok(value)
}

impl Path {
    /// A list of the file; C: `vfs_get_acl`.
    ///
    /// # Errors
    ///
    /// - `ENODATA`: there is none.
    /// - `EOPNOTSUPP`: the file system has none at all.
    pub fn get_acl(&self, acl_type: AclType) -> Result<KVVec<u8>> {
        let name = acl_type.name().as_char_ptr();
        // SAFETY: All are valid.
        let acl =
            from_err_ptr(unsafe { bindings::vfs_get_acl(self.idmap(), self.dentry(), name) })?;
        // INVARIANT: `vfs_get_acl` gives a reference.
        let acl = Acl(NonNull::new(acl.cast()).ok_or(ENODATA)?);
        // SAFETY: The list is valid.
        unsafe { to_xattr(acl.0.as_ptr()) }
    }

    /// Sets a list of the file, or removes it; C: `vfs_set_acl`, `vfs_remove_acl`.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: the file system has none.
    /// - [`EINVAL`]: the value is no list.
    /// - [`EACCES`]: a default list of what is no directory.
    /// - [`EPERM`]: the task may not do that.
    /// - [`EROFS`]: the mount is read-only.
    pub fn set_acl(&self, acl_type: AclType, value: Option<&[u8]>) -> Result {
        let name = acl_type.name().as_char_ptr();
        if self.is_symlink() {
            return Err(EOPNOTSUPP.into());
        }
        let acl = match value {
            Some(value) => from_xattr(value)?,
            None => core::ptr::null_mut(),
        };
        // INVARIANT: `from_xattr` gives a reference.
        let acl = NonNull::new(acl).map(Acl);
        let _write = WriteAccess::to(self)?;
        match acl {
            Some(acl) => {
                // SAFETY: All are valid.
                to_result(unsafe {
                    bindings::vfs_set_acl(self.idmap(), self.dentry(), name, acl.0.as_ptr().cast())
                })
            }
            None => {
                // SAFETY: All are valid.
                to_result(unsafe { bindings::vfs_remove_acl(self.idmap(), self.dentry(), name) })
            }
        }
    }
}
