// SPDX-License-Identifier: GPL-2.0

//! Names that stand on names of another file system.
//!
//! C header: [`include/linux/dcache.h`](srctree/include/linux/dcache.h)
//!
//! Such a dentry keeps a reference to the lower dentry in `d_fsdata`, and in
//! `d_time` the sequence number that the lower dentry had when it was seen to have
//! the right parent, name and inode. All that could make the lower dentry stand for
//! something else (a rename, an unlink, a file made in place of nothing) changes
//! the number. So it is one comparison to see that a name is still right, and a
//! path walk in RCU mode can make it: dentries are freed by RCU, and a dentry gives
//! up its lower one only after it was taken out of the hash table.
//!
//! That is all that counts in a directory whose names are the lower ones and no others
//! ([`Inode::set_alone`](crate::fs::Inode::set_alone)). Elsewhere, a name for which there is nothing
//! below may exist all the same, and a directory be more than the lower one: the
//! inode's time ([`Inode::set_time`](crate::fs::Inode::set_time)) must be fresh, too, or zero where
//! there is no inode.

use hmdfs_bindings as bindings;
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Full, Relaxed},
};

use super::{Stacked, ALWAYS};
use crate::{
    fs::{
        context::FileSystem,
        dentry::Dentry,
        inode::Inode, //
    },
    vfs::{path::qstr, Component, Lower, Path},
};

/// A number that no sequence number is equal to, because those are even.
pub(in crate::fs) const NEVER: usize = 1;

/// Whether the lower name is as it was; `None` when the dentry stands on none.
///
/// # Safety
///
/// `dentry` must be valid, and the call in an RCU read-side section.
#[inline]
pub(in crate::fs) unsafe fn is_unchanged(dentry: *mut bindings::dentry) -> Option<bool> {
    // SAFETY: By the function's contract.
    let lower = unsafe { (&raw const (*dentry).d_fsdata).read_volatile() };
    if lower.is_null() {
        return None;
    }
    let lower = lower.cast::<bindings::dentry>();
    // SAFETY: By the function's contract.
    let seen = unsafe { (&raw const (*dentry).d_time).read_volatile() };
    // SAFETY: The dentry holds a reference to the lower one, or gave it up after the RCU
    // read-side section began, and then it is freed after the section ends.
    let now = unsafe { (&raw const (*lower).d_seq.seqcount.sequence).read_volatile() };
    Some(now as c_ulong == seen)
}

/// The time that counts for a dentry whose lower name is as it was; `None` when nothing else
/// counts.
///
/// # Safety
///
/// `dir` must be an inode of ours and `dentry` a name in it, both valid if only for an RCU read-side
/// section.
#[inline]
pub(in crate::fs) unsafe fn time(
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> Option<usize> {
    // SAFETY: By the function's contract; the field is read as a whole.
    if unsafe { (&raw const (*dir.cast::<Stacked>()).alone).read_volatile() } {
        return None;
    }
    // SAFETY: By the function's contract; the field is read as a whole.
    let inode = unsafe { (&raw const (*dentry).d_inode).read_volatile() };
    if inode.is_null() {
        return Some(0);
    }
    // SAFETY: The memory of an inode is freed an RCU grace period after its last dentry gave it
    // up; where there is no RCU read-side section, the dentry is referred to.
    let time = unsafe { (&raw const (*inode.cast::<Stacked>()).time).read_volatile() };
    (time != ALWAYS).then_some(time)
}

/// Whether a dentry is right because the lower name is as it was, and nothing else counts.
///
/// # Safety
///
/// As for [`time`], in an RCU read-side section.
#[inline]
pub(in crate::fs) unsafe fn is_right(
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> bool {
    // SAFETY: By the function's contract.
    let unchanged = unsafe { is_unchanged(dentry) };
    // SAFETY: As above.
    unchanged == Some(true) && unsafe { time(dir, dentry) }.is_none()
}

/// C: `dentry_operations.d_release`.
///
/// # Safety
///
/// The VFS calls this with a dentry of ours that nothing refers to.
pub(in crate::fs) unsafe extern "C" fn release(dentry: *mut bindings::dentry) {
    // SAFETY: By the function's contract.
    let lower = unsafe { (*dentry).d_fsdata };
    if !lower.is_null() {
        // SAFETY: The reference is that of the dentry, which goes.
        unsafe { bindings::dput(lower.cast()) };
    }
}

impl<F: FileSystem> Dentry<F> {
    /// Whether the dentry stands on a lower one.
    pub fn has_lower(&self) -> bool {
        // SAFETY: The field is read and written as a whole.
        let lower = unsafe { (&raw const (*self.as_raw()).d_fsdata).read_volatile() };
        !lower.is_null()
    }

    /// Has the name of a lower file that was removed meanwhile not cached. Whoever removes it afterwards
    /// finds the name: see [`super::watch`].
    pub(in crate::fs) fn drop_if_removed(&self) {
        let Some(lower) = self.inode().and_then(Inode::lower) else {
            return;
        };
        if lower.has_no_links() {
            self.d_drop();
        }
    }

    /// The name of the dentry, for changing it below: what the dentry stands on is most likely what the
    /// name stands for there.
    pub fn component<'a>(&'a self, name: &'a [u8]) -> Component<'a> {
        // SAFETY: The dentry is valid as long as it is borrowed.
        unsafe { Component::known(name, self.as_raw()) }
    }

    /// Makes the dentry stand on `lower`, which `name` in `parent` was found to be. The dentry is
    /// right while it is so; see [`super::super::dentry::Operations`].
    ///
    /// Must be called with the dentry's directory locked, or in lookup or revalidation: not by
    /// two at once for different entries.
    pub fn set_lower(&self, parent: &Path, name: &[u8], lower: Lower<'_>) -> Result {
        let dentry = self.as_raw();
        let name = qstr(name)?;
        // SAFETY: The field is read and written as a whole; see the module's documentation.
        let time = unsafe { &raw mut (*dentry).d_time };
        // SAFETY: As above. Nobody may take the number of one for that of the other.
        unsafe { time.write_volatile(NEVER) };
        // SAFETY: As above.
        let field = unsafe { Atomic::<*mut c_void>::from_ptr(&raw mut (*dentry).d_fsdata) };
        if field.load(Relaxed) != lower.dentry().cast() {
            // SAFETY: The lower dentry is valid.
            let reference = unsafe { bindings::dget(lower.dentry()) };
            // Swapped as a whole: two that revalidate at once each give up one reference.
            let old = field.xchg(reference.cast(), Full);
            if !old.is_null() {
                // SAFETY: It was the dentry's reference. Readers use it under RCU only.
                unsafe { bindings::dput(old.cast()) };
            }
        }
        // SAFETY: All are valid; the inode is only compared.
        let seq =
            unsafe { bindings::d_seq_if(lower.dentry(), parent.dentry(), &name, lower.inode()) };
        // SAFETY: As above.
        unsafe { time.write_volatile(seq as c_ulong) };
        Ok(())
    }
}
