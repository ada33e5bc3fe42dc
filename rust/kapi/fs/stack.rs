// SPDX-License-Identifier: GPL-2.0

//! Inodes that stand on an inode of another file system.
//!
//! C headers: [`include/linux/fs_stack.h`](srctree/include/linux/fs_stack.h),
//! [`include/linux/backing-file.h`](srctree/include/linux/backing-file.h)
//!
//! An inode that is given a lower one ([`New::set_lower`]) can have operations that
//! pass everything on to it, as the calling task and with no copy of anything: one
//! page cache, one set of attributes, one place where permissions are judged.
//!
//! - [`super::inode_operations::Operations::STACKED`]: attributes, extended
//!   attributes, access control lists, links.
//! - [`New::set_stacked_file_operations`]: open files.
//! - [`New::set_stacked_directory_operations`]: open directories.
//! - [`super::Dentry::set_lower`]: names, which are right while the lower names are.
//!
//! The attributes that the VFS keeps in an inode are copies here. They are brought
//! up to date when something is changed through this inode, when the lower file
//! system tells of a change ([`watch`]), and what counts for permissions also
//! whenever an open or a change asks for permission.
//!
//! A directory may also be given its lower one later, while it is in use
//! ([`Inode::gain_lower`]), and then has operations that pass on what there is a
//! lower inode for: [`super::inode_operations::Operations::PARTLY_STACKED`].
//!
//! Not supported: `ioctl`, and a lower file system that has its own idea of whether
//! two names are equal (it works, but each path walk asks it).

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Full, Release},
        SetOnce,
    },
};

use super::{
    context::FileSystem,
    inode::{Inode, New},
};
use crate::vfs;

pub(super) mod attributes;
pub(super) mod dentry;
pub(super) mod directory;
pub(super) mod file;
pub(super) mod file_range;
mod lock;
pub(super) mod tmpfile;
pub mod watch;
pub(super) mod xattr;

/// What every inode of ours begins with.
///
/// # Invariants
///
/// `inode` is null, or was valid when `path` was set, just before: it and `idmap` are those of
/// `path`, and neither is written again. They stay when the inode is evicted, for path walks in
/// RCU mode: what they point to is freed an RCU grace period after the references in `path` are
/// dropped.
#[repr(C)]
pub(crate) struct Stacked {
    pub(crate) netfs: bindings::netfs_inode,
    path: SetOnce<vfs::Path>,
    pub(super) inode: Atomic<*mut bindings::inode>,
    /// Only to be read after `inode` was seen not to be null.
    idmap: *mut bindings::mnt_idmap,
    /// See [`Inode::set_time`]. Read and written as a whole.
    time: usize,
    /// See [`Inode::set_alone`]. Read and written as a whole.
    alone: bool,
}

/// The time of a new inode: its dentries are right while the lower ones are.
const ALWAYS: usize = usize::MAX;

impl Stacked {
    /// Prepares a new inode.
    ///
    /// # Safety
    ///
    /// `this` must be a new inode that nobody else uses.
    pub(super) unsafe fn init(this: *mut Self) {
        // SAFETY: By the function's contract; there is no old value to be dropped.
        unsafe {
            (&raw mut (*this).path).write(SetOnce::new());
            (&raw mut (*this).inode).write(Atomic::new(ptr::null_mut()));
            (*this).idmap = ptr::null_mut();
            (*this).time = ALWAYS;
            (*this).alone = false;
        }
    }

    /// Makes the inode stand on `path`, unless it stands on something already; whether it does.
    ///
    /// # Safety
    ///
    /// `this` must be an inode of ours to which a reference is held.
    unsafe fn set(this: *mut Self, path: vfs::Path) -> bool {
        let (inode, idmap) = (path.inode(), path.idmap());
        // SAFETY: By the function's contract.
        if !unsafe { (*this).path.populate(path) } {
            return false;
        }
        // SAFETY: Only one caller gets here, and nobody reads the field before it sees `inode`.
        unsafe { (&raw mut (*this).idmap).write(idmap) };
        // INVARIANT: They are those of `path`.
        // SAFETY: By the function's contract.
        unsafe { (*this).inode.store(inode, Release) };
        true
    }

    /// Gives up the lower inode.
    ///
    /// # Safety
    ///
    /// `this` must be an inode that is being evicted.
    pub(super) unsafe fn evict(this: *mut Self) {
        // SAFETY: By the function's contract; nobody else uses the path any more.
        drop(unsafe { core::mem::take(&mut (*this).path) });
    }
}

/// The lower file of an inode.
///
/// # Safety
///
/// `inode` must be an inode of ours to which a reference is held for `'a`.
pub(super) unsafe fn lower<'a>(inode: *mut bindings::inode) -> Result<&'a vfs::Path> {
    // SAFETY: By the function's contract; once set, the path stays until the inode is evicted.
    unsafe { (*inode.cast::<Stacked>()).path.as_ref() }.ok_or(EIO)
}

/// The lower inode and its map, or null pointers. They may be used in the RCU read-side section
/// in which `inode` was found, also when no reference is held.
///
/// # Safety
///
/// `inode` must be an inode of ours that was published before the section began, or to which
/// a reference is held.
unsafe fn lower_rcu(
    inode: *mut bindings::inode,
) -> (*mut bindings::inode, *mut bindings::mnt_idmap) {
    let this = inode.cast::<Stacked>();
    // SAFETY: By the function's contract.
    let lower = unsafe { (*this).inode.load(Acquire) };
    if lower.is_null() {
        return (ptr::null_mut(), ptr::null_mut());
    }
    // SAFETY: As above; the field was written before the other one, and does not change.
    (lower, unsafe { (*this).idmap })
}

/// Whether an inode stands on a lower one.
///
/// # Safety
///
/// As for [`lower_rcu`].
pub(super) unsafe fn has_lower(inode: *mut bindings::inode) -> bool {
    // SAFETY: By the function's contract.
    let (lower, _) = unsafe { lower_rcu(inode) };
    !lower.is_null()
}

/// Whether an inode to which nothing refers is to be evicted; C: `drop_inode`.
///
/// # Safety
///
/// `inode` must be an inode of ours, with `i_lock` held.
pub(super) unsafe extern "C" fn drop_inode(inode: *mut bindings::inode) -> c_int {
    // SAFETY: A reference is held, and the fields do not change.
    let (lower, _) = unsafe { lower_rcu(inode) };
    if lower.is_null() {
        // SAFETY: By the function's contract.
        return unsafe { bindings::inode_generic_drop(inode) }.into();
    }
    // A stacked inode has nothing worth keeping, but keeps the lower one from being freed.
    1
}

impl<F: FileSystem> Inode<F> {
    /// The lower file, if the inode stands on one.
    pub fn lower(&self) -> Option<&vfs::Path> {
        // SAFETY: A reference is held for the life of the result.
        unsafe { lower(self.as_raw()) }.ok()
    }

    /// Makes a directory that stands on nothing stand on `path`, and copies the attributes; false
    /// when it stands on something already. It may be in use.
    pub fn gain_lower(&self, path: vfs::Path) -> bool {
        // SAFETY: A reference is held.
        let gained = unsafe { Stacked::set(self.as_raw().cast(), path) };
        if gained {
            self.copy_lower_attributes();
        }
        gained
    }

    /// Remembers a number for [`super::dentry::Operations::is_fresh`], for the dentry of this inode
    /// when it stands on a lower one; see [`dentry`]. For directories, which have one dentry only.
    pub fn set_time(&self, time: usize) {
        let this = self.as_raw().cast::<Stacked>();
        // SAFETY: The inode is valid; readers take the field as it comes.
        unsafe { (&raw mut (*this).time).write_volatile(time) };
    }

    /// What [`Inode::set_time`] has set last.
    pub fn time(&self) -> usize {
        let this = self.as_raw().cast::<Stacked>();
        // SAFETY: The inode is valid; the field is read as a whole.
        unsafe { (&raw const (*this).time).read_volatile() }
    }

    /// Remembers `new` if what is remembered now is `old`; see [`Inode::set_time`].
    pub fn renew_time(&self, old: usize, new: usize) -> bool {
        let this = self.as_raw().cast::<Stacked>();
        // SAFETY: The inode is valid; the field is read and written as a whole.
        let time = unsafe { Atomic::<usize>::from_ptr(&raw mut (*this).time) };
        time.cmpxchg(old, new, Full).is_ok()
    }

    /// Says whether the names in this directory are those in the lower one and no others, so that
    /// a dentry that stands on a lower one is right while that is.
    pub fn set_alone(&self, alone: bool) {
        let this = self.as_raw().cast::<Stacked>();
        // SAFETY: As in `set_time`.
        unsafe { (&raw mut (*this).alone).write_volatile(alone) };
    }

    /// Copies the attributes that the VFS keeps in inodes from the lower inode.
    pub fn copy_lower_attributes(&self) {
        // SAFETY: A reference is held, so both inodes are valid.
        unsafe { copy_attributes(self.as_raw()) };
    }
}

/// # Safety
///
/// `inode` must be an inode of ours to which a reference is held.
pub(super) unsafe fn copy_attributes(inode: *mut bindings::inode) {
    // SAFETY: By the function's contract.
    let (lower, _) = unsafe { lower_rcu(inode) };
    if !lower.is_null() {
        // SAFETY: Both are valid, by the type invariant.
        unsafe { bindings::inode_copy_attributes(inode, lower) };
        // SAFETY: As above.
        unsafe { bindings::inode_copy_size(inode, lower) };
    }
}

impl<F: FileSystem> New<F> {
    /// Makes the inode stand on `path`, and copies the attributes.
    pub fn set_lower(&self, path: vfs::Path) {
        let inode = self.raw();
        let (lower, idmap) = (path.inode(), path.idmap());
        // SAFETY: The inode is ours alone.
        if !unsafe { Stacked::set(inode.cast(), path) } {
            return;
        }
        self.set_alone(true);
        // SAFETY: Both inodes are valid.
        unsafe { copy_attributes(inode) };
        // SAFETY: Both inodes are valid, the new one is ours alone.
        unsafe {
            (*inode).i_rdev = (*lower).i_rdev;
            (*inode).i_blkbits = (*lower).i_blkbits;
        }
        // SAFETY: The inode is ours alone.
        unsafe { bindings::inode_set_stacked(inode) };
        // SAFETY: As above; both inodes are valid.
        unsafe { bindings::inode_allow_fast_exec(inode, lower, idmap) };
    }

    /// Lets path walks through a directory that stands on a lower one judge its mode by themselves,
    /// if nothing else counts below.
    ///
    /// The inode must be hashed by what [`watch`] finds it by: its mode must always be that of the
    /// lower one.
    pub fn allow_fast_exec(&self) {
        let inode = self.raw();
        // SAFETY: The inode is ours alone.
        let (lower, idmap) = unsafe { lower_rcu(inode) };
        if !lower.is_null() {
            // SAFETY: Both inodes are valid, the new one is ours alone.
            unsafe { bindings::inode_allow_fast_exec(inode, lower, idmap) };
        }
    }

    /// Sets the operations of open files, of a regular file with a lower one.
    pub fn set_stacked_file_operations(&self) {
        // SAFETY: The inode is ours alone; the table is static.
        unsafe { (*self.raw()).__bindgen_anon_3.i_fop = file::operations() };
    }

    /// Sets the operations of open directories, of a directory with a lower one.
    pub fn set_stacked_directory_operations(&self) {
        // SAFETY: The inode is ours alone; the table is static.
        unsafe { (*self.raw()).__bindgen_anon_3.i_fop = directory::operations() };
    }

    /// Sets the operations of device nodes, FIFOs and sockets by the type of the lower one;
    /// C: `init_special_inode`.
    pub fn init_special_inode(&self) {
        let inode = self.raw();
        // SAFETY: The inode is ours alone.
        unsafe { bindings::init_special_inode(inode, (*inode).i_mode, (*inode).i_rdev) };
    }
}
