// SPDX-License-Identifier: GPL-2.0

//! Names in directories, whether or not there is a file of that name.
//!
//! C header: [`include/linux/namei.h`](srctree/include/linux/namei.h)

use core::{marker::PhantomData, ptr};

use hmdfs_bindings as bindings;
use kernel::{error::from_err_ptr, prelude::*};

use super::path::{qstr, Path};

/// What a name in a directory stood for when it was looked up: a file, or nothing.
///
/// # Invariants
///
/// Holds a reference to the dentry, which is in the file system of `mount`; that is valid for `'a`. If
/// the inode is not null, it is that of the dentry.
pub struct Entry<'a> {
    mount: &'a Path,
    dentry: *mut bindings::dentry,
    /// The inode that the dentry had when this was made.
    inode: *mut bindings::inode,
}

// SAFETY: References to dentries belong to no task.
unsafe impl Send for Entry<'_> {}

// SAFETY: The fields do not change, and what they point to has its own locks.
unsafe impl Sync for Entry<'_> {}

impl<'a> Entry<'a> {
    /// # Safety
    ///
    /// The caller gives up a reference to `dentry`, which is in the file system of `mount`.
    pub(super) unsafe fn new(mount: &'a Path, dentry: *mut bindings::dentry) -> Self {
        // SAFETY: The dentry is valid. A positive one stays positive while it is referred to.
        let inode = unsafe { (&raw const (*dentry).d_inode).read_volatile() };
        // INVARIANT: By the function's contract.
        Self {
            mount,
            dentry,
            inode,
        }
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<Path> {
        if self.inode.is_null() {
            return None;
        }
        // SAFETY: The dentry is valid, and the new reference goes to the path; it is positive, because
        // it had an inode before.
        Some(unsafe { self.mount.with_dentry(bindings::dget(self.dentry)) })
    }

    /// What it is, for as long as this is held.
    pub fn as_lower(&self) -> Lower<'_> {
        // INVARIANT: By the type invariant.
        Lower {
            dentry: self.dentry,
            inode: self.inode,
            held: PhantomData,
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        // SAFETY: The reference is ours, and given up here. May sleep.
        unsafe { bindings::dput(self.dentry) };
    }
}

/// What a name stands for, that somebody holds; see
/// [`Dentry::set_lower`](crate::fs::Dentry::set_lower).
///
/// # Invariants
///
/// A reference to the dentry is held for `'a`. If the inode is not null, it is that of the dentry.
#[derive(Clone, Copy)]
pub struct Lower<'a> {
    dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    held: PhantomData<&'a ()>,
}

impl Lower<'_> {
    pub(crate) fn dentry(self) -> *mut bindings::dentry {
        self.dentry
    }

    /// The inode, or null; only to be compared.
    pub(crate) fn inode(self) -> *mut bindings::inode {
        self.inode
    }
}

/// A name in a directory, and perhaps what may well stand for it.
///
/// # Invariants
///
/// `upper` is null, or a dentry of ours that is valid for `'a`.
#[derive(Clone, Copy)]
pub struct Component<'a> {
    pub(super) name: &'a [u8],
    upper: *mut bindings::dentry,
}

impl<'a> Component<'a> {
    /// The name is most likely what this dentry stands on, and then is not looked up.
    ///
    /// # Safety
    ///
    /// The dentry must be one of ours that is valid for `'a`.
    pub(crate) unsafe fn known(name: &'a [u8], upper: *mut bindings::dentry) -> Self {
        // INVARIANT: By the function's contract.
        Self { name, upper }
    }

    /// The dentry of this name in `parent`, if that is known, with a reference; `parent` is locked then.
    ///
    /// The calling task must be allowed to search there, or must not be allowed what follows.
    pub(super) fn lock_known(&self, parent: &Path) -> Result<Option<*mut bindings::dentry>> {
        if self.upper.is_null() {
            return Ok(None);
        }
        let name = qstr(self.name)?;
        // SAFETY: All are valid.
        let dentry = unsafe { bindings::start_known(self.upper, parent.dentry(), &name) };
        Ok((!dentry.is_null()).then_some(dentry))
    }
}

impl Component<'_> {
    /// As [`Component::lock_known`], for renaming this one to `new`; whether it is known what both are.
    pub(super) fn lock_both_known(
        &self,
        new: &Self,
        data: &mut bindings::renamedata,
    ) -> Result<bool> {
        if self.upper.is_null() || new.upper.is_null() {
            return Ok(false);
        }
        let (old_name, new_name) = (qstr(self.name)?, qstr(new.name)?);
        // SAFETY: All are valid.
        Ok(unsafe {
            bindings::start_renaming_known(data, self.upper, new.upper, &old_name, &new_name)
        })
    }
}

impl<'a> From<&'a [u8]> for Component<'a> {
    fn from(name: &'a [u8]) -> Self {
        // INVARIANT: Nothing is known.
        Self {
            name,
            upper: ptr::null_mut(),
        }
    }
}

impl Path {
    /// What it is, for as long as this is held.
    pub fn as_lower(&self) -> Lower<'_> {
        // INVARIANT: By the type invariant.
        Lower {
            dentry: self.dentry(),
            inode: self.inode(),
            held: PhantomData,
        }
    }

    /// What this name stands for in this directory; C: `lookup_one_unlocked`.
    ///
    /// Symbolic links are not followed, and neither are mounts.
    ///
    /// # Errors
    ///
    /// - [`ENOTDIR`]: this is not a directory.
    /// - [`EACCES`]: the name is not a single component, or the task may not search here.
    pub fn lookup_entry(&self, name: &[u8]) -> Result<Entry<'_>> {
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
