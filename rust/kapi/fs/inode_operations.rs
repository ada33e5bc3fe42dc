// SPDX-License-Identifier: GPL-2.0

//! Operations of inodes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_result, VTABLE_DEFAULT_ERROR},
    prelude::*,
};

use super::{context::FileSystem, dentry, Dentry, Inode};

/// Result of `getattr`: what `stat` tells; C: `struct kstat`.
pub struct Stat<'a>(&'a mut bindings::kstat);

impl Stat<'_> {
    /// Sets the preferred size of an I/O, in bytes.
    pub fn set_blksize(&mut self, bytes: u32) {
        self.0.blksize = bytes;
    }

    /// Sets the time of creation, in seconds and nanoseconds.
    pub fn set_btime(&mut self, seconds: i64, nanoseconds: u32) {
        self.0.btime.tv_sec = seconds;
        self.0.btime.tv_nsec = nanoseconds as isize;
        self.0.result_mask |= bindings::STATX_BTIME;
    }

    pub(crate) fn as_raw(&mut self) -> *mut bindings::kstat {
        self.0
    }
}

/// What `getattr` was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Wanted fields (`STATX_*`).
    pub mask: u32,
    flags: u32,
}

impl Query {
    /// `AT_STATX_DONT_SYNC`: what is known is good enough.
    pub fn dont_sync(&self) -> bool {
        self.flags & bindings::AT_STATX_DONT_SYNC != 0
    }

    /// `AT_STATX_FORCE_SYNC`: the owner must be asked.
    pub fn force_sync(&self) -> bool {
        self.flags & bindings::AT_STATX_FORCE_SYNC != 0
    }

    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }
}

/// Operations of an inode; C: `struct inode_operations`.
///
/// An operation that is left out is answered by the VFS as the table's documentation says
/// (Documentation/filesystems/vfs.rst): for those that change something, with an error.
#[vtable]
pub trait Operations<F: FileSystem>: 'static {
    /// Finds an entry of `dir`. `dir`'s lock is held, shared or exclusive; may sleep.
    fn lookup(dir: &Inode<F>, dentry: dentry::InLookup<'_, F>) -> Result<dentry::Spliced<F>> {
        let _ = (dir, dentry);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Brings the inode's attributes up to date; the common fields of `stat` are then filled from
    /// the inode (C: `generic_fillattr`), and this may set more. No lock is held; may sleep.
    fn getattr(inode: &Inode<F>, query: Query) -> Result {
        let _ = (inode, query);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Completes `stat` after the common fields were filled from the inode.
    fn fill_stat(inode: &Inode<F>, stat: &mut Stat<'_>) {
        let _ = (inode, stat);
    }

    /// Creates a regular file. `dir`'s lock is held exclusively; may sleep.
    fn create(dir: &Inode<F>, dentry: &Dentry<F>, mode: u16, exclusive: bool) -> Result {
        let _ = (dir, dentry, mode, exclusive);
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// Makes the C table for `T`.
pub(super) const fn table<F: FileSystem, T: Operations<F>>() -> &'static bindings::inode_operations
{
    &Vtable::<F, T>::OPERATIONS
}

struct Vtable<F, T>(PhantomData<(F, T)>);

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    const OPERATIONS: bindings::inode_operations = bindings::inode_operations {
        lookup: if T::HAS_LOOKUP {
            Some(Self::lookup)
        } else {
            None
        },
        getattr: if T::HAS_GETATTR {
            Some(Self::getattr)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// The VFS calls this with a directory of `F` and a dentry in it that is in lookup.
    unsafe extern "C" fn lookup(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        _flags: c_uint,
    ) -> *mut bindings::dentry {
        // SAFETY: The VFS holds a reference to the directory.
        let dir = unsafe { Inode::<F>::from_raw(dir) };
        // SAFETY: By the function's contract.
        let dentry = unsafe { dentry::InLookup::from_raw(dentry) };
        match T::lookup(dir, dentry) {
            Ok(spliced) => spliced.into_raw(),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// The VFS calls this with a path of `F` and a `stat` to fill.
    unsafe extern "C" fn getattr(
        idmap: *mut bindings::mnt_idmap,
        path: *const bindings::path,
        stat: *mut bindings::kstat,
        mask: u32,
        flags: c_uint,
    ) -> c_int {
        from_result(|| {
            // SAFETY: A path that is stat'ed is positive and holds its inode.
            let inode = unsafe { Inode::<F>::from_raw((*(*path).dentry).d_inode) };
            T::getattr(inode, Query { mask, flags })?;
            // SAFETY: All are valid for the call.
            unsafe { bindings::generic_fillattr(idmap, mask, inode.as_raw(), stat) };
            // SAFETY: As above.
            let mut stat = Stat(unsafe { &mut *stat });
            if T::HAS_FILL_STAT {
                T::fill_stat(inode, &mut stat);
            }
            Ok(0)
        })
    }
}
