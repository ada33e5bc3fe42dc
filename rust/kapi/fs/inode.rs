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

use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::{self, NonNull},
};

use hmdfs_bindings as bindings;
use kernel::{
    prelude::*,
    str::CStrExt,
    sync::{
        aref::{ARef, AlwaysRefCounted},
        atomic::Atomic,
        rcu,
    },
    types::Opaque,
};

use super::{
    context::FileSystem, dentry::Dentry, file, inode_operations, stack::Stacked, SuperBlock,
};

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

/// The cache that inodes are allocated from; C: `struct kmem_cache`.
///
/// # Invariants
///
/// The global pointer of `F` is this cache as long as it lives.
pub(crate) struct InodeCache<F: FileSystem>(NonNull<bindings::kmem_cache>, PhantomData<F>);

/// Where `alloc_inode` finds the cache. There is one file system in this module.
static CACHE: kernel::sync::atomic::Atomic<usize> = kernel::sync::atomic::Atomic::new(0);

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
        CACHE.store(
            cache.as_ptr().expose_provenance(),
            kernel::sync::atomic::Relaxed,
        );
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
pub(super) unsafe extern "C" fn alloc_inode<F: FileSystem>(
    sb: *mut bindings::super_block,
) -> *mut bindings::inode {
    let cache = ptr::with_exposed_provenance_mut(CACHE.load(kernel::sync::atomic::Relaxed));
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
pub(super) unsafe extern "C" fn free_inode(inode: *mut bindings::inode) {
    let cache = ptr::with_exposed_provenance_mut(CACHE.load(kernel::sync::atomic::Relaxed));
    // SAFETY: It came from this cache.
    unsafe { bindings::kmem_cache_free(cache, inode.cast()) };
}

/// # Safety
///
/// `inode` must be an inode of `F` that is being evicted.
pub(super) unsafe extern "C" fn evict_inode<F: FileSystem>(inode: *mut bindings::inode) {
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
    pub(super) fn raw(&self) -> *mut bindings::inode {
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
}

impl<F: FileSystem> SuperBlock<F> {
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

/// The time of day, in seconds and nanoseconds; C: `ktime_get_real_ts64`.
pub fn current_time() -> (i64, u32) {
    let mut now = bindings::timespec64::default();
    // SAFETY: `now` may be written.
    unsafe { bindings::ktime_get_real_ts64(&mut now) };
    (now.tv_sec, now.tv_nsec as u32)
}
