// SPDX-License-Identifier: GPL-2.0

//! Extended attributes of files.
//!
//! C header: [`include/linux/xattr.h`](srctree/include/linux/xattr.h)

use hmdfs_bindings as bindings;
use kernel::{error::to_result, prelude::*, str::CStrExt};

use super::{modify::WriteAccess, Path};

/// Most bytes of a value, and of a list of names; C: `XATTR_SIZE_MAX`, `XATTR_LIST_MAX`.
pub const XATTR_MAX: usize = 64 << 10;

/// Whether an extended attribute may exist when it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrMode {
    /// It may.
    Any,
    /// It must not; C: `XATTR_CREATE`.
    Create,
    /// It must; C: `XATTR_REPLACE`.
    Replace,
}

impl XattrMode {
    pub(crate) fn from_raw(flags: c_int) -> Self {
        // CAST: A set of flags.
        match flags as u32 {
            flags if flags & bindings::XATTR_CREATE != 0 => Self::Create,
            flags if flags & bindings::XATTR_REPLACE != 0 => Self::Replace,
            _ => Self::Any,
        }
    }

    const fn as_raw(self) -> c_int {
        // CAST: Small numbers.
        match self {
            Self::Any => 0,
            Self::Create => bindings::XATTR_CREATE as c_int,
            Self::Replace => bindings::XATTR_REPLACE as c_int,
        }
    }
}

impl Path {
    /// Reads an extended attribute into `value` and gives its length; C: `vfs_getxattr`.
    ///
    /// # Errors
    ///
    /// - `ENODATA`: there is none of this name.
    /// - `EOPNOTSUPP`: the file system has none at all.
    /// - [`ERANGE`]: it is longer than `value`.
    /// - [`EACCES`]: the task may not read it.
    pub fn getxattr(&self, name: &CStr, value: &mut [u8]) -> Result<usize> {
        if value.is_empty() {
            // The call would give the length of the value.
            return Err(ERANGE);
        }
        // SAFETY: The dentry is valid, the name a C string, and the value may be written.
        let length = unsafe {
            bindings::vfs_getxattr(
                self.idmap(),
                self.dentry(),
                name.as_char_ptr(),
                value.as_mut_ptr().cast(),
                value.len(),
            )
        };
        usize::try_from(length).map_err(|_| {
            // CAST: A negative result is an error number.
            Error::from_errno(length as c_int)
        })
    }

    /// The names of all extended attributes, with a NUL after each; C: `vfs_listxattr`.
    ///
    /// `EOPNOTSUPP`: the file system has none at all.
    pub fn listxattr(&self) -> Result<KVVec<u8>> {
        let mut list = KVVec::from_elem(0u8, XATTR_MAX, GFP_KERNEL)?;
        // SAFETY: The dentry is valid, and the list may be written.
        let length =
            unsafe { bindings::vfs_listxattr(self.dentry(), list.as_mut_ptr().cast(), list.len()) };
        let length = usize::try_from(length).map_err(|_| {
            // CAST: A negative result is an error number.
            Error::from_errno(length as c_int)
        })?;
        list.truncate(length);
        Ok(list)
    }

    /// Whether the file has no extended attributes at all, of whatever kind; C: `vfs_listxattr`.
    pub fn has_no_xattrs(&self) -> bool {
        // SAFETY: The dentry is valid; without a list, only its length is asked for.
        let length = unsafe { bindings::vfs_listxattr(self.dentry(), core::ptr::null_mut(), 0) };
        length == 0
    }

    /// Sets an extended attribute; C: `vfs_setxattr`, within `mnt_want_write`.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: the file system has none of this kind.
    /// - [`EEXIST`], `ENODATA`: there is one, or none, against `mode`.
    /// - [`EPERM`], [`EACCES`]: the task may not set it.
    /// - [`EROFS`]: the mount is read-only.
    pub fn setxattr(&self, name: &CStr, value: &[u8], mode: XattrMode) -> Result {
        let _write = WriteAccess::to(self)?;
        // SAFETY: The dentry is valid, the name a C string, and the value may be read.
        to_result(unsafe {
            bindings::vfs_setxattr(
                self.idmap(),
                self.dentry(),
                name.as_char_ptr(),
                value.as_ptr().cast(),
                value.len(),
                mode.as_raw(),
            )
        })
    }

    /// Removes an extended attribute; C: `vfs_removexattr`. Errors as of [`Path::setxattr`];
    /// `ENODATA` when there is none of this name.
    pub fn removexattr(&self, name: &CStr) -> Result {
        let _write = WriteAccess::to(self)?;
        // SAFETY: The dentry is valid, and the name a C string.
        to_result(unsafe {
            bindings::vfs_removexattr(self.idmap(), self.dentry(), name.as_char_ptr())
        })
    }
}
