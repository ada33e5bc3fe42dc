// SPDX-License-Identifier: GPL-2.0

//! The hash table of inodes: finding the inode that has a key, and making one that is not there.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
};

use hmdfs_bindings as bindings;
use kernel::{
    prelude::*,
    sync::{atomic::Atomic, rcu},
};

use super::{note, tally, Inode, InodeRef, Layout};
use crate::fs::{context::FileSystem, file, inode_operations, SuperBlock};

/// What [`SuperBlock::iget5_locked`] found.
pub enum Found<F: FileSystem> {
    /// An inode that others use already.
    Existing(InodeRef<F>),
    /// A new one, to be filled.
    New(New<F>),
}

/// An inode that is being made (`I_NEW`). Dropping it gives it up (`iget_failed`).
///
/// # Invariants
///
/// The reference is owned, and the inode is in the state `I_NEW`.
pub struct New<F: FileSystem>(Option<InodeRef<F>>);

impl<F: FileSystem> New<F> {
    pub(in crate::fs) fn raw(&self) -> *mut bindings::inode {
        self.0
            .as_ref()
            .map_or(ptr::null_mut(), |inode| inode.as_raw())
    }

    /// Sets the mode with the type of the file, its size, and the device number of a node.
    ///
    /// A device node, FIFO or socket is one by name only: without file operations, opening it
    /// fails with `ENXIO`.
    pub fn set_type(&self, mode: u16, size: u64, rdev: (u32, u32)) {
        let inode = self.raw();
        // SAFETY: The inode is ours alone.
        unsafe {
            (*inode).i_mode = mode;
            (*inode).i_rdev = bindings::mkdev(rdev.0, rdev.1);
            bindings::i_size_write(inode, size as i64);
        }
    }

    /// Sets the inode operations.
    pub fn set_inode_operations<T: inode_operations::Operations<F>>(&self) {
        // SAFETY: The inode is ours alone; the table is static.
        unsafe { (*self.raw()).i_op = inode_operations::table::<F, T>() };
        if T::HAS_GET_ACL {
            // SAFETY: The inode is ours alone.
            unsafe { bindings::inode_dont_cache_acl(self.raw()) };
        }
    }

    /// Sets the operations of a directory's open files.
    pub fn set_directory_operations<T: file::DirectoryOperations<F>>(&self) {
        // SAFETY: The inode is ours alone; the table is static.
        unsafe { (*self.raw()).__bindgen_anon_3.i_fop = file::directory_table::<F, T>() };
    }

    /// Publishes the inode; C: `unlock_new_inode`.
    pub fn unlock(mut self) -> Option<InodeRef<F>> {
        let inode = self.0.take();
        if let Some(inode) = &inode {
            // SAFETY: It is in the state `I_NEW`.
            unsafe { bindings::unlock_new_inode(inode.as_raw()) };
        }
        inode
    }
}

impl<F: FileSystem> core::ops::Deref for New<F> {
    type Target = Inode<F>;

    fn deref(&self) -> &Inode<F> {
        // SAFETY: The reference is there until `unlock` or `drop` take it.
        unsafe { Inode::from_raw(self.raw()) }
    }
}

impl<F: FileSystem> Drop for New<F> {
    fn drop(&mut self) {
        if let Some(inode) = self.0.take() {
            // SAFETY: It is in the state `I_NEW`; this takes over the reference.
            unsafe { bindings::iget_failed(inode.into_raw()) };
        }
    }
}

/// What `iget5_locked` hands to its callbacks.
struct Wanted<F: FileSystem> {
    ino: u64,
    key: F::InodeKey,
    data: Option<F::InodeData>,
}

impl<F: FileSystem> SuperBlock<F> {
    /// Finds the inode that has `key`, or makes it with `data`.
    ///
    /// `hash` must be equal for equal keys. `ino` becomes the inode number of a new inode. May
    /// sleep, until another that makes or evicts this very inode is done.
    pub fn iget5_locked(
        &self,
        hash: u64,
        ino: u64,
        key: F::InodeKey,
        data: F::InodeData,
    ) -> Result<Found<F>> {
        let mut wanted = Wanted::<F> {
            ino,
            key,
            data: Some(data),
        };
        // SAFETY: The superblock is valid; the callbacks expect a `Wanted<F>`.
        let inode = unsafe {
            bindings::iget5_locked(
                self.as_raw(),
                hash,
                Some(test::<F>),
                Some(set::<F>),
                (&raw mut wanted).cast(),
            )
        };
        let inode = NonNull::new(inode).ok_or(ENOMEM)?;
        // SAFETY: `iget5_locked` gives a reference to an inode that `set` has given its data.
        let inode = unsafe { InodeRef::from_raw(inode) };
        // `set` has taken the data exactly when the inode is ours to fill.
        if wanted.data.is_none() {
            // INVARIANT: `iget5_locked` gives new inodes in the state `I_NEW`.
            Ok(Found::New(New(Some(inode))))
        } else {
            Ok(Found::Existing(inode))
        }
    }

    /// Finds the inode that has `key`, if it is in memory; C: `ilookup5`.
    ///
    /// `hash` is what it was hashed by. May sleep, until another that makes or evicts this very inode
    /// is done.
    pub fn ilookup5<W: FnMut(&F::InodeKey) -> bool>(
        &self,
        hash: u64,
        mut is_wanted: W,
    ) -> Option<InodeRef<F>> {
        // SAFETY: The superblock is valid; the callback expects a `W`, and is called with the
        // lock of the hash table or in an RCU read-side section.
        let inode = unsafe {
            bindings::ilookup5(
                self.as_raw(),
                hash,
                Some(test_key::<F, W>),
                (&raw mut is_wanted).cast(),
            )
        };
        // SAFETY: It comes with a reference, and is not new any more.
        NonNull::new(inode).map(|inode| unsafe { InodeRef::from_raw(inode) })
    }
}

/// # Safety
///
/// `inode` must be a hashed inode of `F`, `wanted` a `Wanted<F>`.
unsafe extern "C" fn test<F: FileSystem>(
    inode: *mut bindings::inode,
    wanted: *mut c_void,
) -> c_int {
    let this = inode.cast::<Layout<F>>();
    // SAFETY: By the function's contract.
    let wanted = unsafe { &*wanted.cast::<Wanted<F>>() };
    // SAFETY: `set` runs before an inode is hashed. The inode may be evicted at the same time, but
    // its memory, and with it the key, stays for the RCU read-side section that this runs in.
    let key = unsafe { (*this).key.assume_init() };
    (key == wanted.key).into()
}

/// # Safety
///
/// `inode` must be a new inode of `F`, `wanted` a `Wanted<F>`.
unsafe extern "C" fn set<F: FileSystem>(inode: *mut bindings::inode, wanted: *mut c_void) -> c_int {
    let this = inode.cast::<Layout<F>>();
    // SAFETY: By the function's contract; nobody else uses it now.
    let wanted = unsafe { &mut *wanted.cast::<Wanted<F>>() };
    let Some(data) = wanted.data.take() else {
        return -(bindings::EINVAL as c_int);
    };
    // SAFETY: The inode is new and ours alone.
    unsafe {
        (*this).key.write(wanted.key);
        (*this).data.write(data);
        (*this).has_data = true;
        (*inode).i_ino = wanted.ino;
    }
    0
}

/// The inodes of a superblock, for those who have no reference to any.
///
/// # Invariants
///
/// The superblock outlives this.
pub struct Inodes<F: FileSystem>(NonNull<bindings::super_block>, PhantomData<F>);

impl<F: FileSystem> Clone for Inodes<F> {
    /// To be dropped in [`FileSystem::unmounting`], as the original.
    fn clone(&self) -> Self {
        // INVARIANT: By the function's contract.
        Self(self.0, PhantomData)
    }
}

// SAFETY: Superblocks belong to no task.
unsafe impl<F: FileSystem> Send for Inodes<F> {}

impl<F: FileSystem> SuperBlock<F> {
    /// Its inodes. The result must be dropped in [`FileSystem::unmounting`].
    pub fn inodes(&self) -> Inodes<F> {
        // INVARIANT: By the function's contract.
        Inodes(NonNull::from(self).cast(), PhantomData)
    }
}

impl<F: FileSystem> Inodes<F> {
    /// As [`SuperBlock::ilookup5`]. The result must be dropped before this is.
    pub fn ilookup5(
        &self,
        hash: u64,
        is_wanted: impl FnMut(&F::InodeKey) -> bool,
    ) -> Option<InodeRef<F>> {
        // SAFETY: The superblock is valid, by the type invariant, and one of `F`.
        unsafe { SuperBlock::<F>::from_raw(self.0.as_ptr()) }.ilookup5(hash, is_wanted)
    }

    /// Calls `visit` with the note and the tally of an inode that was hashed by `hash` and has a key that
    /// `is_wanted`, if there is one. Does not sleep.
    ///
    /// No reference is taken: the inode may be evicted meanwhile.
    pub fn with_note<W: FnMut(&F::InodeKey) -> bool>(
        &self,
        hash: u64,
        mut is_wanted: W,
        visit: impl FnOnce(&Atomic<u64>, &Atomic<u64>),
    ) {
        let _rcu = rcu::read_lock();
        // SAFETY: The superblock is valid, by the type invariant, and this is an RCU read-side
        // section; the callback expects a `W`.
        let inode = unsafe {
            bindings::find_inode_rcu(
                self.0.as_ptr(),
                hash,
                Some(test_key::<F, W>),
                (&raw mut is_wanted).cast(),
            )
        };
        if !inode.is_null() {
            // SAFETY: It was found in the section that lasts until the end of this function.
            let (note, tally) = unsafe { (note::<F>(inode), tally::<F>(inode)) };
            visit(note, tally);
        }
    }
}

/// # Safety
///
/// `inode` must be a hashed inode of `F`, in an RCU read-side section, `is_wanted` a `W` that
/// nobody else uses.
unsafe extern "C" fn test_key<F: FileSystem, W: FnMut(&F::InodeKey) -> bool>(
    inode: *mut bindings::inode,
    is_wanted: *mut c_void,
) -> c_int {
    // SAFETY: By the function's contract; as in `test`.
    let key = unsafe { (*inode.cast::<Layout<F>>()).key.assume_init_ref() };
    // SAFETY: By the function's contract.
    unsafe { (*is_wanted.cast::<W>())(key) }.into()
}
