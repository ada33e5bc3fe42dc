// SPDX-License-Identifier: GPL-2.0

//! Inodes.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/netfs.h`](srctree/include/linux/netfs.h)
//!
//! Every inode has room for a netfs context and for the file system's own data in
//! the same allocation. The data are made before the inode is published, and
//! dropped when it is evicted; code that runs under RCU (a path walk in RCU mode)
//! may therefore not look at them, and gets no [`Inode`] from this crate. The key,
//! by which inodes are found, the note and the tally, two numbers that are the file system's to
//! use, stay until the memory is freed.

use core::{marker::PhantomData, mem::MaybeUninit, ptr::NonNull};

use hmdfs_bindings as bindings;
use kernel::{
    sync::{
        aref::{ARef, AlwaysRefCounted},
        atomic::Atomic,
    },
    types::Opaque,
};

use super::{context::FileSystem, dentry::Dentry, stack::Stacked, SuperBlock};

mod cache;
mod hash;

pub(crate) use cache::InodeCache;
pub(super) use cache::{alloc_inode, evict_inode, free_inode};
pub use hash::{Found, Inodes, New};

/// A counted reference to an inode. Dropping it may sleep (`iput`).
pub type Ref<F> = InodeRef<F>;

/// Layout of the memory of an inode.
#[repr(C)]
pub(crate) struct InodeWithData<K, T> {
    pub(crate) stacked: Stacked,
    /// Initialised by `set`, before the inode is hashed.
    key: MaybeUninit<K>,
    /// Zero in a new inode.
    note: Atomic<u64>,
    /// Zero in a new inode.
    tally: Atomic<u64>,
    /// Whether `data` is initialised. Written by `set` and `evict_inode` only.
    has_data: bool,
    data: MaybeUninit<T>,
}

type Layout<F> = InodeWithData<<F as FileSystem>::InodeKey, <F as FileSystem>::InodeData>;

/// An inode; C: `struct inode`.
///
/// # Invariants
///
/// It belongs to the file system `F`, its data are initialised, and it is not evicted.
#[repr(transparent)]
pub struct Inode<F: FileSystem>(Opaque<bindings::inode>, PhantomData<F>);

// SAFETY: The C code locks what it changes; the data are `Send` and `Sync`.
unsafe impl<F: FileSystem> Send for Inode<F> {}
// SAFETY: As above.
unsafe impl<F: FileSystem> Sync for Inode<F> {}

// SAFETY: `ihold` and `iput` count references.
unsafe impl<F: FileSystem> AlwaysRefCounted for Inode<F> {
    fn inc_ref(&self) {
        // SAFETY: A reference exists, so the count is not zero.
        unsafe { bindings::ihold(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up its reference.
        unsafe { bindings::iput(obj.as_ptr().cast()) };
    }
}

/// A counted reference to an inode.
pub struct InodeRef<F: FileSystem>(ARef<Inode<F>>);

impl<F: FileSystem> InodeRef<F> {
    /// # Safety
    ///
    /// The caller must own a reference to `inode`, which goes to the result.
    pub(crate) unsafe fn from_raw(inode: NonNull<bindings::inode>) -> Self {
        // SAFETY: By the function's contract.
        Self(unsafe { ARef::from_raw(inode.cast()) })
    }

    /// Gives up the value, but not the reference.
    pub(crate) fn into_raw(self) -> *mut bindings::inode {
        ARef::into_raw(self.0).as_ptr().cast()
    }
}

impl<F: FileSystem> Clone for InodeRef<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: FileSystem> core::ops::Deref for InodeRef<F> {
    type Target = Inode<F>;

    fn deref(&self) -> &Inode<F> {
        &self.0
    }
}

/// Times and other attributes that the VFS keeps in an inode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes {
    /// Permission bits; the type is fixed when the inode is made. The bits count: a program
    /// with `S_ISUID` runs as the owner of the inode.
    pub mode: u16,
    /// Number of links.
    pub nlink: u32,
    /// Owner, in the initial user namespace.
    pub uid: u32,
    /// Group, in the initial user namespace.
    pub gid: u32,
    /// Units of 512 bytes.
    pub blocks: u64,
    /// Seconds and nanoseconds of the last access.
    pub atime: (i64, u32),
    /// Seconds and nanoseconds of the last change of data.
    pub mtime: (i64, u32),
    /// Seconds and nanoseconds of the last change.
    pub ctime: (i64, u32),
}

impl<F: FileSystem> Inode<F> {
    /// # Safety
    ///
    /// `inode` must be an inode of `F` with initialised data, and a reference must be held for
    /// `'a`.
    pub(crate) unsafe fn from_raw<'a>(inode: *mut bindings::inode) -> &'a Self {
        // SAFETY: By the function's contract; the type is transparent.
        unsafe { &*inode.cast() }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::inode {
        self.0.get()
    }

    pub(crate) fn netfs(&self) -> *mut bindings::netfs_inode {
        self.as_raw().cast()
    }

    /// The file system's data.
    pub fn data(&self) -> &F::InodeData {
        let this = self.as_raw().cast::<Layout<F>>();
        // SAFETY: Initialised and not evicted, by the type invariant.
        unsafe { (*this).data.assume_init_ref() }
    }

    /// A number that is the file system's to use; it is zero in a new inode.
    pub fn note(&self) -> &Atomic<u64> {
        // SAFETY: The inode is valid.
        unsafe { note::<F>(self.as_raw()) }
    }

    /// Another number that is the file system's to use; it is zero in a new inode.
    pub fn tally(&self) -> &Atomic<u64> {
        // SAFETY: The inode is valid.
        unsafe { tally::<F>(self.as_raw()) }
    }

    /// The superblock.
    pub fn super_block(&self) -> &SuperBlock<F> {
        // SAFETY: An inode refers to its superblock as long as it lives.
        unsafe { SuperBlock::from_raw((*self.as_raw()).i_sb) }
    }

    /// Another reference.
    pub fn to_ref(&self) -> InodeRef<F> {
        InodeRef(self.into())
    }

    /// The inode number.
    pub fn ino(&self) -> u64 {
        // SAFETY: Written only before the inode is published.
        unsafe { (*self.as_raw()).i_ino }
    }

    /// The type bits of the mode (`S_IFMT`).
    pub fn file_type(&self) -> u16 {
        // SAFETY: The type never changes; a torn read of two bytes is not possible.
        unsafe { (&raw const (*self.as_raw()).i_mode).read_volatile() & 0o170_000 }
    }

    /// The size in bytes; C: `i_size_read`.
    pub fn size(&self) -> u64 {
        // SAFETY: The inode is valid.
        unsafe { bindings::i_size_read(self.as_raw()) as u64 }
    }

    /// Sets all but the type and the size. The caller serialises changes.
    pub fn set_attributes(&self, attributes: &Attributes) {
        let inode = self.as_raw();
        // SAFETY: The inode is valid; readers take these fields as they come, as they do with
        // every network file system.
        unsafe {
            let mode = (*inode).i_mode & 0o170_000 | attributes.mode & 0o7777;
            (&raw mut (*inode).i_mode).write_volatile(mode);
            bindings::i_uid_write(inode, attributes.uid);
            bindings::i_gid_write(inode, attributes.gid);
            bindings::set_nlink(inode, attributes.nlink);
            (*inode).i_blocks = attributes.blocks;
            bindings::inode_set_atime(inode, attributes.atime.0, attributes.atime.1);
            bindings::inode_set_mtime(inode, attributes.mtime.0, attributes.mtime.1);
            bindings::inode_set_ctime(inode, attributes.ctime.0, attributes.ctime.1);
        }
    }

    /// Sets permissions, owners and the number of links only. The caller serialises changes.
    pub fn set_permissions(&self, attributes: &Attributes) {
        let inode = self.as_raw();
        // SAFETY: As in `set_attributes`.
        unsafe {
            let mode = (*inode).i_mode & 0o170_000 | attributes.mode & 0o7777;
            (&raw mut (*inode).i_mode).write_volatile(mode);
            bindings::i_uid_write(inode, attributes.uid);
            bindings::i_gid_write(inode, attributes.gid);
            bindings::set_nlink(inode, attributes.nlink);
        }
    }

    /// A dentry that has this inode, if any is cached; of a directory, there is one at most. C:
    /// `d_find_any_alias`.
    pub fn any_alias(&self) -> Option<ARef<Dentry<F>>> {
        // SAFETY: The inode is valid.
        let dentry = unsafe { bindings::d_find_any_alias(self.as_raw()) };
        // SAFETY: It comes with a reference, and belongs to the same file system.
        NonNull::new(dentry.cast()).map(|dentry| unsafe { ARef::from_raw(dentry) })
    }

    /// Whether the page cache holds any of the file.
    pub fn has_pages(&self) -> bool {
        // SAFETY: The inode is valid; the count is only a hint.
        unsafe { bindings::mapping_has_pages((*self.as_raw()).i_mapping) }
    }
}

/// The note of an inode.
///
/// # Safety
///
/// `inode` must be an inode of `F` whose memory is not freed during `'a`: a reference is held, or it
/// was found in an RCU read-side section that lasts as long.
pub(super) unsafe fn note<'a, F: FileSystem>(inode: *mut bindings::inode) -> &'a Atomic<u64> {
    // SAFETY: By the function's contract; the note was initialised when the inode was made.
    unsafe { &(*inode.cast::<Layout<F>>()).note }
}

/// The tally of an inode.
///
/// # Safety
///
/// As for [`note`].
unsafe fn tally<'a, F: FileSystem>(inode: *mut bindings::inode) -> &'a Atomic<u64> {
    // SAFETY: By the function's contract; it was initialised when the inode was made.
    unsafe { &(*inode.cast::<Layout<F>>()).tally }
}

/// The time of day, in seconds and nanoseconds; C: `ktime_get_real_ts64`.
pub fn current_time() -> (i64, u32) {
    let mut now = bindings::timespec64::default();
    // SAFETY: `now` may be written.
    unsafe { bindings::ktime_get_real_ts64(&mut now) };
    (now.tv_sec, now.tv_nsec as u32)
}
