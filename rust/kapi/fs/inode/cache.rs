// SPDX-License-Identifier: GPL-2.0

//! The memory of inodes: where it comes from, and what becomes of it.
//!
//! C header: [`include/linux/slab.h`](srctree/include/linux/slab.h)

use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
};

use hmdfs_bindings as bindings;
use kernel::{
    prelude::*,
    str::CStrExt,
    sync::atomic::{Atomic, Relaxed},
};

use super::Layout;
use crate::fs::{context::FileSystem, stack::Stacked};

/// The cache that inodes are allocated from; C: `struct kmem_cache`.
///
/// # Invariants
///
/// The global pointer of `F` is this cache as long as it lives.
pub(crate) struct InodeCache<F: FileSystem>(NonNull<bindings::kmem_cache>, PhantomData<F>);

/// Where `alloc_inode` finds the cache. There is one file system in this module.
static CACHE: Atomic<usize> = Atomic::new(0);

impl<F: FileSystem> InodeCache<F> {
    pub(crate) fn new() -> Result<Self> {
        let mut args = bindings::kmem_cache_args {
            align: core::mem::align_of::<Layout<F>>() as u32,
            ctor: Some(init_once::<F>),
            ..pin_init::zeroed()
        };
        // SAFETY: The arguments are valid; the constructor is for objects of this size.
        let cache = unsafe {
            bindings::__kmem_cache_create_args(
                c"hmdfs_inode".as_char_ptr(),
                core::mem::size_of::<Layout<F>>() as u32,
                &mut args,
                bindings::SLAB_RECLAIM_ACCOUNT | bindings::SLAB_ACCOUNT,
            )
        };
        let cache = NonNull::new(cache).ok_or(ENOMEM)?;
        CACHE.store(cache.as_ptr().expose_provenance(), Relaxed);
        // INVARIANT: Just stored.
        Ok(Self(cache, PhantomData))
    }
}

impl<F: FileSystem> Drop for InodeCache<F> {
    fn drop(&mut self) {
        // Inodes are freed by RCU callbacks; all must have run.
        // SAFETY: Sleeping is allowed when a module goes.
        unsafe { bindings::rcu_barrier() };
        // SAFETY: The file system is unregistered, so there are no inodes left.
        unsafe { bindings::kmem_cache_destroy(self.0.as_ptr()) };
    }
}

/// # Safety
///
/// `object` must be a new object of the inode cache of `F`.
unsafe extern "C" fn init_once<F: FileSystem>(object: *mut c_void) {
    let inode = object.cast::<Layout<F>>();
    // SAFETY: The object is large enough and nobody else uses it.
    unsafe {
        (&raw mut (*inode).has_data).write(false);
        bindings::inode_init_once(&raw mut (*inode).stacked.netfs.inode);
    }
}

/// # Safety
///
/// `sb` must be a superblock of `F`.
pub(in crate::fs) unsafe extern "C" fn alloc_inode<F: FileSystem>(
    sb: *mut bindings::super_block,
) -> *mut bindings::inode {
    let cache = ptr::with_exposed_provenance_mut(CACHE.load(Relaxed));
    // SAFETY: A mounted file system is registered, so the cache lives.
    let inode = unsafe { bindings::alloc_inode_sb(sb, cache) };
    if !inode.is_null() {
        let inode = inode.cast::<Layout<F>>();
        // SAFETY: The object comes from our cache and is ours alone. Directories and symbolic
        // links are never given to the netfs library, but eviction waits for its count.
        unsafe { bindings::netfs_inode_init(&raw mut (*inode).stacked.netfs, ptr::null(), false) };
        // SAFETY: As above.
        unsafe { Stacked::init(&raw mut (*inode).stacked) };
        // SAFETY: As above; a number has nothing to drop.
        unsafe { (&raw mut (*inode).note).write(Atomic::new(0)) };
        // SAFETY: As above.
        unsafe { (&raw mut (*inode).tally).write(Atomic::new(0)) };
    }
    inode
}

/// # Safety
///
/// `inode` must be an evicted inode from `alloc_inode` to which nothing refers, after a grace
/// period.
pub(in crate::fs) unsafe extern "C" fn free_inode(inode: *mut bindings::inode) {
    let cache = ptr::with_exposed_provenance_mut(CACHE.load(Relaxed));
    // SAFETY: It came from this cache.
    unsafe { bindings::kmem_cache_free(cache, inode.cast()) };
}

/// # Safety
///
/// `inode` must be an inode of `F` that is being evicted.
pub(in crate::fs) unsafe extern "C" fn evict_inode<F: FileSystem>(inode: *mut bindings::inode) {
    let this = inode.cast::<Layout<F>>();
    // SAFETY: This is the order that the netfs library asks for; nobody else uses the inode.
    unsafe {
        bindings::netfs_wait_for_outstanding_io(inode);
        bindings::truncate_inode_pages_final(&raw mut (*inode).i_data);
        bindings::netfs_clear_inode_writeback(inode, ptr::null());
        bindings::clear_inode(inode);
        if (*this).has_data {
            (*this).has_data = false;
            (*this).data.assume_init_drop();
        }
    }
    // SAFETY: The inode is being evicted.
    unsafe { Stacked::evict(&raw mut (*this).stacked) };
}
