// SPDX-License-Identifier: GPL-2.0

//! Names in directories, whether or not there is a file of that name.
//!
//! C header: [`include/linux/namei.h`](srctree/include/linux/namei.h)

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{error::from_err_ptr, prelude::*};

use super::path::{qstr, Path};

/// What a name in a directory stood for when it was looked up: a file, or nothing.
///
/// # Invariants
///
/// Holds a reference to the mount and one to the dentry. If the inode is not null, it is that of
/// the dentry.
pub struct Entry {
    path: bindings::path,
    /// The inode that the dentry had when this was made.
    inode: *mut bindings::inode,
}

// SAFETY: References to mounts and dentries belong to no task.
unsafe impl Send for Entry {}

// SAFETY: The fields do not change, and what they point to has its own locks.
unsafe impl Sync for Entry {}

impl Entry {
    /// # Safety
    ///
    /// The caller gives up a reference to `dentry`, which is in the file system of `mount`.
    pub(super) unsafe fn new(mount: &Path, dentry: *mut bindings::dentry) -> Self {
        let path = bindings::path {
            mnt: mount.mount(),
            dentry,
        };
        // SAFETY: The mount is valid.
        unsafe { bindings::mntget(path.mnt) };
        // SAFETY: The dentry is valid. A positive one stays positive while it is referred to.
        let inode = unsafe { (&raw const (*dentry).d_inode).read_volatile() };
        // INVARIANT: The reference to the mount was just taken, the other is the caller's.
        Self { path, inode }
    }

    pub(crate) fn dentry(&self) -> *mut bindings::dentry {
        self.path.dentry
    }

    /// The inode, or null; only to be compared.
    pub(crate) fn inode(&self) -> *mut bindings::inode {
        self.inode
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<Path> {
        if self.inode.is_null() {
            return None;
        }
        // SAFETY: Both are valid.
        unsafe { bindings::path_get(&self.path) };
        // SAFETY: With the references just taken; the dentry is positive.
        Some(unsafe { Path::from_raw(self.path) })
    }
}

impl From<Path> for Entry {
    fn from(path: Path) -> Self {
        // SAFETY: A path is valid; its references go to the result.
        let raw = unsafe { ptr::read(path.as_raw()) };
        let inode = path.inode();
        core::mem::forget(path);
        // INVARIANT: By the invariant of `Path`.
        Self { path: raw, inode }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: The references are ours, and given up here. May sleep.
        unsafe { bindings::path_put(&self.path) };
    }
}

impl Path {
    /// What this name stands for in this directory; C: `lookup_one_unlocked`.
    ///
    /// Symbolic links are not followed, and neither are mounts.
    ///
    /// # Errors
    ///
    /// - [`ENOTDIR`]: this is not a directory.
    /// - [`EACCES`]: the name is not a single component, or the task may not search here.
    pub fn lookup_entry(&self, name: &[u8]) -> Result<Entry> {
        if !self.is_dir() {
            return Err(ENOTDIR);
        }
        let mut qstr = qstr(name)?;
        // SAFETY: The dentry is a directory, to which we hold a reference; the name has the
        // length that is said, and outlives the call.
        let dentry = from_err_ptr(unsafe {
            bindings::lookup_one_unlocked(self.idmap(), &mut qstr, self.dentry())
        })?;
        // SAFETY: The lookup gave a reference to a dentry below ours.
        Ok(unsafe { Entry::new(self, dentry) })
    }
}
