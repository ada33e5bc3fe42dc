// SPDX-License-Identifier: GPL-2.0

//! Private clones of mounts.
//!
//! C header: [`include/linux/mount.h`](srctree/include/linux/mount.h)

use core::ptr::NonNull;

use hmdfs_bindings as bindings;
use kernel::{error::from_err_ptr, prelude::*};

use super::Path;

/// A mount that is in no mount namespace and has no other mounts below it.
///
/// It goes on when the mount that it was cloned from is unmounted, and keeps the
/// file system alive. Dropping it sleeps.
///
/// # Invariants
///
/// Points to the result of `clone_private_mount`, which has not been unmounted.
pub struct PrivateMount(NonNull<bindings::vfsmount>);

// SAFETY: Mounts belong to no task.
unsafe impl Send for PrivateMount {}

// SAFETY: All that is done with a shared reference is to take further references.
unsafe impl Sync for PrivateMount {}

impl PrivateMount {
    /// Clones the mount of `path`, with `path` as its root; C: `clone_private_mount`.
    ///
    /// # Errors
    ///
    /// - [`EPERM`]: the task has not `CAP_SYS_ADMIN` in the mount's user namespace.
    /// - [`EINVAL`]: the mount is not of the task's mount namespace, or unbindable, or something
    ///   below `path` is covered by a mount that the task may not take away.
    pub fn clone_private_mount(path: &Path) -> Result<Self> {
        // SAFETY: `path` is valid.
        let mount = from_err_ptr(unsafe { bindings::clone_private_mount(path.as_raw()) })?;
        // INVARIANT: That is what it is.
        NonNull::new(mount).map(Self).ok_or(EINVAL)
    }

    /// A new, empty file system in memory; C: `kern_mount`.
    #[cfg(HMDFS_KUNIT)]
    pub(super) fn tmpfs() -> Result<Self> {
        // SAFETY: The name is a C string.
        let file_system_type = unsafe { bindings::get_fs_type(c"tmpfs".as_char_ptr()) };
        if file_system_type.is_null() {
            return Err(ENODEV);
        }
        // SAFETY: The type is valid.
        let mount = from_err_ptr(unsafe { bindings::kern_mount(file_system_type) })?;
        // INVARIANT: As good as a clone: in no namespace, and to be given to `kern_unmount`.
        NonNull::new(mount).map(Self).ok_or(EINVAL)
    }

    /// The root of the mount.
    pub fn root(&self) -> Path {
        let path = bindings::path {
            mnt: self.0.as_ptr(),
            // SAFETY: By the type invariant the mount is valid; its root never changes.
            dentry: unsafe { (*self.0.as_ptr()).mnt_root },
        };
        // SAFETY: Both are valid as long as the mount is.
        unsafe { bindings::path_get(&path) };
        // SAFETY: With the references just taken; the root of a mount is never negative.
        unsafe { Path::from_raw(path) }
    }
}

impl Drop for PrivateMount {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; this is the one call that ends the invariant. Paths
        // that still refer to the mount hold their own references.
        unsafe { bindings::kern_unmount(self.0.as_ptr()) };
    }
}
