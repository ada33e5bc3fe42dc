// SPDX-License-Identifier: GPL-2.0

//! Operations of dentries: whether what is cached of a name may be used.
//!
//! C header: [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, rcu},
};

use super::{Dentry, Intent, Name};
use crate::fs::{context::FileSystem, inode, stack, Inode, SuperBlock};

/// Operations of dentries; C: `struct dentry_operations`.
pub trait Operations<F: FileSystem>: 'static {
    /// Whether a dentry with this time may be used without asking, for what the path walk intends.
    ///
    /// The time is that of the dentry ([`Dentry::set_time`]), or of the inode ([`Inode::set_time`])
    /// when the dentry stands on a lower one; see [`crate::fs::stack`]. `note` is that of the directory
    /// ([`Inode::note`]).
    ///
    /// Called in an RCU walk too: must not sleep.
    fn is_fresh(
        data: <F::Data as kernel::types::ForeignOwnable>::Borrowed<'_>,
        note: u64,
        time: usize,
        intent: Intent,
    ) -> bool;

    /// Whether `name` in `dir` still means what `dentry` says. May sleep; no lock is held.
    fn revalidate(dir: &Inode<F>, name: &[u8], dentry: &Dentry<F>, intent: Intent) -> Result<bool>;
}

/// Makes the C table for `T`.
pub(in crate::fs) const fn table<F: FileSystem, T: Operations<F>>(
) -> &'static bindings::dentry_operations {
    &Vtable::<F, T>::OPERATIONS
}

struct Vtable<F, T>(PhantomData<(F, T)>);

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    const OPERATIONS: bindings::dentry_operations = bindings::dentry_operations {
        d_release: Some(stack::dentry::release),
        d_revalidate: Some(Self::d_revalidate),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// The VFS calls this with a directory of `F`, a name and the dentry of that name in it.
    unsafe extern "C" fn d_revalidate(
        dir: *mut bindings::inode,
        name: *const bindings::qstr,
        dentry: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        const RCU_WALK: c_uint = bindings::LOOKUP_RCU;
        // A path walk comes here for every component, so nothing is called for a local name.
        if flags & (RCU_WALK | bindings::LOOKUP_REVAL) == RCU_WALK {
            // SAFETY: The dentry is valid for the RCU read-side section of the walk.
            if unsafe { stack::dentry::is_right(dir, dentry) } {
                return 1;
            }
        }
        // SAFETY: By the function's contract.
        unsafe { Self::d_revalidate_all(dir, name, dentry, flags) }
    }

    /// # Safety
    ///
    /// As for `d_revalidate`.
    #[inline(never)]
    unsafe fn d_revalidate_all(
        dir: *mut bindings::inode,
        name: *const bindings::qstr,
        dentry: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        let in_rcu_walk = flags & bindings::LOOKUP_RCU != 0;
        let is_fresh = |time| {
            // SAFETY: A dentry refers to its superblock, whose data are freed only a grace period
            // after the last dentry.
            let data = unsafe { SuperBlock::<F>::from_raw((*dentry).d_sb) }.data();
            // SAFETY: The directory is one of ours, to which a reference is held or which was found in
            // this RCU walk.
            let note = unsafe { inode::note::<F>(dir) }.load(Relaxed);
            T::is_fresh(data, note, time, Intent(flags))
        };
        let unchanged = {
            // Another walk that is not in RCU mode may replace the lower dentry.
            let _rcu = (!in_rcu_walk).then(rcu::read_lock);
            // SAFETY: The dentry is valid for the RCU read-side section.
            unsafe { stack::dentry::is_unchanged(dentry) }
        };
        let is_right = match unchanged {
            // SAFETY: The dentry is valid, if only for an RCU read-side section.
            Some(true) => unsafe { stack::dentry::time(dir, dentry) }.is_none_or(is_fresh),
            Some(false) => false,
            // SAFETY: As above; the field is a plain number.
            None => is_fresh(unsafe { (&raw const (*dentry).d_time).read_volatile() }),
        };
        if is_right && flags & bindings::LOOKUP_REVAL == 0 {
            return 1;
        }
        if in_rcu_walk {
            return -(bindings::ECHILD as c_int);
        }
        // SAFETY: Not in an RCU walk, so references are held. The name may be followed by
        // anything, but its length is given.
        let (dir, name, dentry) = unsafe {
            (
                Inode::<F>::from_raw(dir),
                Name::from_qstr(&*name),
                Dentry::<F>::from_raw(dentry),
            )
        };
        match T::revalidate(dir, name.as_bytes(), dentry, Intent(flags)) {
            Ok(valid) => valid.into(),
            Err(error) => error.to_errno(),
        }
    }
}
