// SPDX-License-Identifier: GPL-2.0

//! Renaming in other file systems.
//!
//! C headers: [`include/linux/namei.h`](srctree/include/linux/namei.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{error::to_result, prelude::*};

use super::{
    modify::{break_delegations, WriteAccess},
    path::{qstr, Path},
    Component, Entry,
};
use crate::errno::ESTALE;

/// How to rename; C: the flags of `renameat2(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// `RENAME_NOREPLACE`: fail when the new name exists.
    pub const NOREPLACE: u32 = bindings::RENAME_NOREPLACE;

    /// `RENAME_EXCHANGE`: the two names exchange what they stand for.
    pub const EXCHANGE: u32 = bindings::RENAME_EXCHANGE;

    /// A set of [`Flags::NOREPLACE`] and [`Flags::EXCHANGE`].
    pub const fn new(flags: u32) -> Self {
        Self(flags)
    }

    /// Whether all of the flags that are set are among `allowed`.
    pub fn only(self, allowed: u32) -> bool {
        self.0 & !allowed == 0
    }

    /// Whether it is to fail when the new name exists.
    pub fn is_noreplace(self) -> bool {
        self.0 & Self::NOREPLACE != 0
    }

    /// Whether the names exchange what they stand for.
    pub fn is_exchange(self) -> bool {
        self.0 & Self::EXCHANGE != 0
    }
}

/// A name in a directory, and what it is believed to stand for.
pub struct Name<'a> {
    /// The directory.
    pub parent: &'a Path,
    /// The name.
    pub name: Component<'a>,
    /// The file; `None`: there is none.
    pub file: Option<&'a Path>,
}

impl Name<'_> {
    /// # Safety
    ///
    /// `dentry` must be valid, with its directory locked.
    unsafe fn is(&self, dentry: *mut bindings::dentry) -> bool {
        // SAFETY: By the function's contract.
        let inode = unsafe { (*dentry).d_inode };
        match self.file {
            Some(file) => ptr::eq(inode, file.inode()),
            None => inode.is_null(),
        }
    }
}

/// Renames; C: `vfs_rename`. Both directories must be of the same mount.
///
/// Gives what the new name stands for, and what the old name stands for after an exchange.
///
/// # Errors
///
/// - `ESTALE`: a name stands for something else than was said.
/// - `EXDEV`: the directories are of different mounts.
/// - [`ENOTDIR`]: a parent is no directory.
pub fn rename<'a>(
    old: &Name<'a>,
    new: &Name<'a>,
    flags: Flags,
) -> Result<(Entry<'a>, Option<Entry<'a>>)> {
    if !ptr::eq(old.parent.mount(), new.parent.mount()) {
        return Err(EXDEV);
    }
    old.parent.check_directory()?;
    new.parent.check_directory()?;
    break_delegations(|delegated| {
        let _write = WriteAccess::to(old.parent)?;
        let (mut old_name, mut new_name) = (qstr(old.name.name)?, qstr(new.name.name)?);
        let mut data = bindings::renamedata {
            mnt_idmap: old.parent.idmap(),
            old_parent: old.parent.dentry(),
            new_parent: new.parent.dentry(),
            delegated_inode: delegated,
            flags: flags.0,
            ..Default::default()
        };
        if !old.name.lock_both_known(&new.name, &mut data)? {
            // SAFETY: All that is filled in is valid, and outlives the calls.
            to_result(unsafe {
                bindings::start_renaming(&mut data, 0, &mut old_name, &mut new_name)
            })?;
        }
        // SAFETY: Both dentries are valid, and both directories are locked.
        let known = unsafe { old.is(data.old_dentry) && new.is(data.new_dentry) };
        let result = if known {
            // SAFETY: `start_renaming` has locked and looked up what is renamed.
            to_result(unsafe { bindings::vfs_rename(&mut data) })
        } else {
            Err(ESTALE.into())
        };
        let result = result.map(|()| {
            // SAFETY: The dentry is valid; the new reference goes to the entry.
            let moved = unsafe { Entry::new(new.parent, bindings::dget(data.old_dentry)) };
            let other = flags.is_exchange().then(|| {
                // SAFETY: As above.
                unsafe { Entry::new(old.parent, bindings::dget(data.new_dentry)) }
            });
            (moved, other)
        });
        // SAFETY: Ends what `start_renaming` has begun.
        unsafe { bindings::end_renaming(&mut data) };
        result
    })
}
