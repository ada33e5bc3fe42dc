// SPDX-License-Identifier: GPL-2.0

//! Noticing what others do to lower files.
//!
//! C header: [`include/linux/fsnotify_backend.h`](srctree/include/linux/fsnotify_backend.h)
//!
//! When somebody changes the mode or owner of a lower file, the copies in the inode
//! that stands on it are brought up to date: path walks judge directories by them.
//!
//! A cached dentry refers to a lower dentry, and that to an inode. When the file is
//! removed by somebody else, its space could not be freed as long as the cache
//! keeps our dentry. So such a dentry is dropped when the lower file system says
//! that a file has no links any more, or, if it is in use then, when it is not used
//! any more (C: `d_mark_dontcache`).
//!
//! The file system is told of every change too ([`FileSystem::lower_changed`]). Of data it is told
//! when a file is opened for writing, for what is written through a mapping is not seen: a
//! file that is open for writing ([`Path::has_writers_besides`]) may change at any time. That only
//! the time of access was set is not noticed. It is told of every opening, too, before anything was read:
//! there may be newer data elsewhere ([`FileSystem::lower_opened`]). What is open by way of an inode of ours says nothing
//! more, unless somebody else watched the file system when it was opened: to find out at each
//! write that nobody needs to be told costs as much as all else that is ours there.

use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
};

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*,
    sync::{atomic::Relaxed, SetOnce},
};

use super::{copy_attributes, Stacked};
use crate::{
    fs::{FileSystem, SuperBlock},
    vfs::Path,
};

/// A mark on the lower superblock. The C part comes first.
#[repr(C)]
struct Mark {
    inner: bindings::fsnotify_mark,
    sb: *mut bindings::super_block,
    hash: fn(usize) -> u64,
}

/// Watches a lower file system. Dropping it waits until nobody is told of anything any more.
///
/// # Invariants
///
/// `mark` is in `group`, on the lower superblock, and a reference to each is owned. The upper
/// superblock outlives this.
pub struct Watch {
    group: NonNull<bindings::fsnotify_group>,
    mark: NonNull<Mark>,
}

// SAFETY: Groups and marks belong to no task.
unsafe impl Send for Watch {}

/// The table never changes.
#[repr(transparent)]
struct Operations(bindings::fsnotify_ops);

// SAFETY: It never changes.
unsafe impl Sync for Operations {}

/// The C table of a file system.
struct Vtable<F>(PhantomData<F>);

impl<F: FileSystem> Vtable<F> {
    const OPERATIONS: &'static Operations = &Operations(bindings::fsnotify_ops {
        handle_event: Some(handle_event::<F>),
        free_mark: Some(free_mark),
        ..pin_init::zeroed()
    });
}

/// Changes of a directory's names, of which the directory comes along.
const NAMES: u32 =
    bindings::FS_CREATE | bindings::FS_DELETE | bindings::FS_MOVED_FROM | bindings::FS_MOVED_TO;

/// All that is watched for.
pub(super) const EVENTS: u32 =
    NAMES | bindings::FS_ATTRIB | bindings::FS_MODIFY | bindings::FS_OPEN;

impl<F: FileSystem> SuperBlock<F> {
    /// Watches the file system of `lower`, on which inodes of this superblock stand.
    ///
    /// `hash` gives what an inode that stands on the file with this [`Path::identity`] was
    /// hashed by. The result must be dropped in [`FileSystem::unmounting`].
    pub fn watch(&self, lower: &Path, hash: fn(usize) -> u64) -> Result<Watch> {
        // SAFETY: The table is static.
        let group = from_err_ptr(unsafe {
            bindings::fsnotify_alloc_group(&raw const Vtable::<F>::OPERATIONS.0, 0)
        })?;
        let group = NonNull::new(group).ok_or(ENOMEM)?;
        let mark = KBox::new(
            Mark {
                inner: bindings::fsnotify_mark::default(),
                sb: self.as_raw(),
                hash,
            },
            GFP_KERNEL,
        )
        .inspect_err(|_| {
            // SAFETY: The reference is ours.
            unsafe { bindings::fsnotify_put_group(group.as_ptr()) };
        })?;
        let mark = NonNull::from(KBox::leak(mark));
        // SAFETY: Both are valid; the mark is new.
        unsafe { bindings::fsnotify_init_mark(mark.as_ptr().cast(), group.as_ptr()) };
        // SAFETY: The mark was initialised, and nobody uses it yet.
        unsafe { (*mark.as_ptr()).inner.mask = EVENTS };
        // SAFETY: All are valid.
        let added = to_result(unsafe {
            bindings::fsnotify_add_mark(
                mark.as_ptr().cast(),
                lower.super_block().cast(),
                bindings::fsnotify_obj_type_FSNOTIFY_OBJ_TYPE_SB as u32,
                0,
            )
        });
        if let Err(error) = added {
            // SAFETY: The references are ours; the last one frees the mark.
            unsafe { bindings::fsnotify_put_mark(mark.as_ptr().cast()) };
            // SAFETY: As above.
            unsafe { bindings::fsnotify_wait_marks_destroyed() };
            // SAFETY: As above.
            unsafe { bindings::fsnotify_put_group(group.as_ptr()) };
            return Err(error);
        }
        OPENED.populate(opened_of::<F>);
        // INVARIANT: Just made so.
        Ok(Watch { group, mark })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: The mark is in the group, by the type invariant.
        unsafe { bindings::fsnotify_destroy_mark(self.mark.as_ptr().cast(), self.group.as_ptr()) };
        // SAFETY: The reference is ours. The mark is freed when nobody walks over it any more.
        unsafe { bindings::fsnotify_put_mark(self.mark.as_ptr().cast()) };
        // SAFETY: Sleeping is allowed here.
        unsafe { bindings::fsnotify_wait_marks_destroyed() };
        // SAFETY: The reference is ours.
        unsafe { bindings::fsnotify_put_group(self.group.as_ptr()) };
    }
}

/// A file of the lower file system that has no links any more, and is held by whoever removed the
/// last one.
///
/// # Invariants
///
/// The inode is valid for `'a`.
pub struct Unlinked<'a>(*const bindings::inode, PhantomData<&'a bindings::inode>);

impl Unlinked<'_> {
    /// The file as a path of the mount of `root`, if it is a regular one of that file system;
    /// C: `d_find_any_alias`. Keeping it keeps the file.
    pub fn path(&self, root: &Path) -> Option<Path> {
        let inode = self.0.cast_mut();
        // SAFETY: By the type invariant; neither the superblock nor the type changes.
        let is_it = unsafe {
            ptr::eq((*inode).i_sb, root.super_block())
                && (*inode).i_mode & bindings::S_IFMT as u16 == bindings::S_IFREG as u16
        };
        if !is_it {
            return None;
        }
        // SAFETY: By the type invariant.
        let alias = unsafe { bindings::d_find_any_alias(inode) };
        // SAFETY: A dentry of that superblock, which stands for the inode, with a reference for us.
        (!alias.is_null()).then(|| unsafe { root.with_dentry(alias) })
    }
}

/// What is to be called when a lower file was opened. There is one file system in this module.
static OPENED: SetOnce<unsafe fn(*mut bindings::super_block, *const bindings::inode)> =
    SetOnce::new();

/// Tells the file system that the lower file of `inode` was opened by way of that.
///
/// # Safety
///
/// Both must be valid.
pub(super) unsafe fn opened(inode: *mut bindings::inode, lower: *const bindings::inode) {
    if let Some(opened) = OPENED.as_ref() {
        // SAFETY: By the function's contract.
        unsafe { opened((*inode).i_sb, lower) };
    }
}

/// # Safety
///
/// `sb` must be a superblock of `F`, `lower` an inode of the file system that it watches.
unsafe fn opened_of<F: FileSystem>(sb: *mut bindings::super_block, lower: *const bindings::inode) {
    // SAFETY: By the function's contract.
    let upper = unsafe { SuperBlock::<F>::from_raw(sb) };
    // SAFETY: By the function's contract.
    let ino = unsafe { (*lower).i_ino };
    // SAFETY: By the function's contract.
    if unsafe { bindings::inode_is_open_for_write(lower) } {
        // SAFETY: As above; the count is only a hint.
        let links = unsafe { (&raw const (*lower).__bindgen_anon_1.i_nlink).read_volatile() };
        F::lower_changed(upper.data(), ino, links != 0);
    }
    F::lower_opened(upper.data(), ino);
}

/// # Safety
///
/// The mark must be one of ours that nobody uses any more.
unsafe extern "C" fn free_mark(mark: *mut bindings::fsnotify_mark) {
    // SAFETY: It was made by `SuperBlock::watch` from a box.
    drop(unsafe { KBox::from_raw(mark.cast::<Mark>()) });
}

/// # Safety
///
/// Called with an event of the superblock that a mark of ours is on, below a superblock of `F`.
unsafe extern "C" fn handle_event<F: FileSystem>(
    _group: *mut bindings::fsnotify_group,
    mask: u32,
    data: *const c_void,
    data_type: c_int,
    dir: *mut bindings::inode,
    _name: *const bindings::qstr,
    _cookie: u32,
    info: *mut bindings::fsnotify_iter_info,
) -> c_int {
    // SAFETY: By the function's contract; a dentry that is positive stays so.
    let lower = unsafe { bindings::fsnotify_data_inode(data, data_type) }.cast_const();
    const SB: usize = bindings::fsnotify_iter_type_FSNOTIFY_ITER_TYPE_SB as usize;
    // SAFETY: By the function's contract.
    let mark = unsafe { (*info).marks[SB] }.cast::<Mark>();
    if mark.is_null() {
        return 0;
    }
    // SAFETY: The mark is valid while its events are handled, and with it the superblock.
    let (sb, hash) = unsafe { ((*mark).sb, (*mark).hash) };
    // SAFETY: As above, and it is one of `F`.
    let upper = unsafe { SuperBlock::<F>::from_raw(sb) };
    if mask & NAMES != 0 && !dir.is_null() {
        // SAFETY: The event holds the directory.
        let ino = unsafe { (*dir).i_ino };
        F::lower_names_changed(upper.data(), ino);
        F::lower_changed(upper.data(), ino, true);
    }
    if lower.is_null() {
        // Some file systems give a new name no inode until it is looked up.
        return 0;
    }
    // SAFETY: The event holds the lower inode; the count is only a hint.
    let links = unsafe { (&raw const (*lower).__bindgen_anon_1.i_nlink).read_volatile() };
    if mask & bindings::FS_ATTRIB != 0 && links == 0 {
        // Who removes the file holds it.
        F::lower_unlinked(upper.data(), &Unlinked(lower, PhantomData));
    }
    if mask & EVENTS == bindings::FS_OPEN {
        // SAFETY: The superblock and the lower inode are valid.
        unsafe { opened_of::<F>(sb, lower) };
    } else {
        // SAFETY: As above.
        let ino = unsafe { (*lower).i_ino };
        let is_there = mask & bindings::FS_DELETE == 0 && links != 0;
        F::lower_changed(upper.data(), ino, is_there);
    }
    const REMOVED_DIRECTORY: u32 = bindings::FS_DELETE | bindings::FS_ISDIR;
    let is_removed = links == 0 || mask & REMOVED_DIRECTORY == REMOVED_DIRECTORY;
    if mask & bindings::FS_ATTRIB != 0 || is_removed {
        // SAFETY: The superblock and the lower inode are valid, by the function's contract.
        unsafe { update(sb, hash(lower.addr()), lower, is_removed) };
    }
    0
}

/// Brings the inodes that stand on `lower` up to date, and has none of their dentries cached if
/// that was removed.
///
/// # Safety
///
/// `sb` and `lower` must be valid; inodes of `sb` that stand on `lower` are hashed by `hash`.
unsafe fn update(
    sb: *mut bindings::super_block,
    hash: u64,
    lower: *const bindings::inode,
    is_removed: bool,
) {
    // SAFETY: By the function's contract; the type does not change.
    let is_dir = unsafe { (*lower).i_mode } & bindings::S_IFMT as u16 == bindings::S_IFDIR as u16;
    let mut wanted = Wanted { lower, skip: 0 };
    loop {
        let mut place = wanted;
        let mut is_new = false;
        // Waits, if at all, for an inode that is being evicted, which waits for nobody.
        // SAFETY: The superblock is valid; `test` expects a `Wanted`.
        let inode = unsafe {
            bindings::ilookup5_nowait(sb, hash, Some(test), (&raw mut place).cast(), &mut is_new)
        };
        if inode.is_null() {
            return;
        }
        // SAFETY: A reference is held.
        unsafe { copy_attributes(inode) };
        if is_removed {
            // SAFETY: A reference is held. Dentries that are in use go when they are not used any
            // more.
            unsafe { bindings::d_mark_dontcache(inode) };
            // SAFETY: As above. The others go now.
            unsafe { bindings::d_prune_aliases(inode) };
        }
        // Who removes the file holds it, so it is not freed here, under his locks.
        // SAFETY: The reference is given up.
        unsafe { bindings::iput(inode) };
        if !is_dir {
            return;
        }
        // A directory has an inode in each view.
        wanted.skip += 1;
    }
}

/// An inode that stands on `lower`, but not one of the first `skip`.
#[derive(Clone, Copy)]
struct Wanted {
    lower: *const bindings::inode,
    skip: usize,
}

/// # Safety
///
/// `inode` must be a hashed inode of ours, `wanted` a `Wanted` that nobody else uses.
unsafe extern "C" fn test(inode: *mut bindings::inode, wanted: *mut c_void) -> c_int {
    // SAFETY: By the function's contract.
    let wanted = unsafe { &mut *wanted.cast::<Wanted>() };
    // SAFETY: By the function's contract.
    let stands_on = unsafe { (*inode.cast::<Stacked>()).inode.load(Relaxed) };
    if !ptr::eq(stands_on, wanted.lower) {
        return 0;
    }
    if wanted.skip == 0 {
        return 1;
    }
    wanted.skip -= 1;
    // Path walks count on this, so it is not left to a second look, which may miss one.
    // SAFETY: The inode stays for the section that this is called in, and the lower one for the
    // event.
    unsafe { bindings::inode_copy_owner(inode, wanted.lower) };
    0
}
