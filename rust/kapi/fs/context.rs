// SPDX-License-Identifier: GPL-2.0

//! Registering a file system and mounting it.
//!
//! C header: [`include/linux/fs_context.h`](srctree/include/linux/fs_context.h)

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::{
    error::to_result,
    fmt,
    prelude::*,
    str::{CStrExt, CString},
    types::{ForeignOwnable, Opaque},
};

use super::{
    inode::{self, InodeCache},
    Inode, SuperBlock,
};
use crate::{
    net::Namespace,
    vfs::{Path, StatFs, XattrMode}, //
};

mod table;

use table::Vtable;

/// A type of file system; C: `struct file_system_type` and `struct super_operations`.
pub trait FileSystem: Sized + Send + Sync + 'static {
    /// The name that `mount -t` takes.
    const NAME: &'static CStr;

    /// `f_type` of `statfs`.
    const MAGIC: u32;

    /// What mounting collects before there is a superblock.
    type Options: Clone + Send;

    /// A directory of the tree that can be mounted by itself.
    type Subtree<'a>;

    /// What belongs to a superblock (`s_fs_info`).
    type Data: ForeignOwnable + Send + Sync;

    /// What tells inodes apart.
    type InodeKey: Copy + Eq + Send + Sync;

    /// What belongs to an inode, beside the C inode.
    ///
    /// It is dropped when the inode is evicted, where sleeping is allowed.
    type InodeData: Send + Sync;

    /// Options before any is given.
    fn options() -> Result<Self::Options>;

    /// Takes one option. `Ok(false)`: there is no option of this name.
    fn parse_parameter(
        options: &mut Self::Options,
        parameter: &Parameter<'_>,
        log: &Log<'_>,
    ) -> Result<bool>;

    /// Which directory of the tree is to be mounted by itself; `None` for all of it.
    fn subtree<'a>(request: &'a Request<'_>) -> Result<Option<Self::Subtree<'a>>>;

    /// Finds that directory. `whole` is the root of the tree, in a mount of its own. No lock is
    /// held; may sleep.
    fn find_subtree(
        data: <Self::Data as ForeignOwnable>::Borrowed<'_>,
        whole: &Path,
        subtree: &Self::Subtree<'_>,
        log: &Log<'_>,
    ) -> Result<Path>;

    /// Makes what a new superblock would have. Without a source, it is made for the sake of a
    /// [`FileSystem::Subtree`].
    fn prepare(options: &Self::Options, request: &Request<'_>) -> Result<Self::Data>;

    /// Whether a mount that would have `proposed` gets the superblock that has
    /// `existing`. Called under a spinlock; `proposed` may be an `existing` later.
    fn same_superblock(
        existing: <Self::Data as ForeignOwnable>::Borrowed<'_>,
        proposed: <Self::Data as ForeignOwnable>::Borrowed<'_>,
    ) -> bool;

    /// Agrees to a superblock that [`FileSystem::same_superblock`] has chosen, or refuses.
    /// `s_umount` is held exclusively; may sleep.
    fn share(
        existing: &SuperBlock<Self>,
        proposed: <Self::Data as ForeignOwnable>::Borrowed<'_>,
        log: &Log<'_>,
    ) -> Result;

    /// Sets up a new superblock and gives its root inode.
    fn fill_super(sb: &SuperBlock<Self>, log: &Log<'_>) -> Result<inode::Ref<Self>>;

    /// Called when a new superblock is complete, after `fill_super`.
    fn mounted(data: <Self::Data as ForeignOwnable>::Borrowed<'_>) -> Result;

    /// Called when the superblock is used no more; its inodes and dentries are still there.
    fn unmounting(data: <Self::Data as ForeignOwnable>::Borrowed<'_>);

    /// Called when all inodes and dentries of the superblock are gone; also when mounting has
    /// failed, before or after `mounted`.
    fn unmounted(data: <Self::Data as ForeignOwnable>::Borrowed<'_>);

    /// `umount -f`: lets nothing wait any longer.
    fn umount_begin(data: <Self::Data as ForeignOwnable>::Borrowed<'_>);

    /// The names, attributes or data of the lower file with this inode number have changed, or are
    /// about to; see [`SuperBlock::watch`]. Called in the task that makes the change, perhaps under
    /// locks of the lower file system: may sleep, for a moment only.
    ///
    /// `is_there` says whether the file still has a name after the change.
    fn lower_changed(data: <Self::Data as ForeignOwnable>::Borrowed<'_>, ino: u64, is_there: bool);

    /// A program, or the kernel itself, has opened the lower file with this inode number, and not looked at
    /// it yet. Called in the task that opens it, after [`FileSystem::lower_changed`] if it was opened for
    /// writing; perhaps with its directory locked, if the lower file system opens and creates at once. May
    /// sleep, for a moment only.
    fn lower_opened(data: <Self::Data as ForeignOwnable>::Borrowed<'_>, ino: u64);

    /// A regular file of the lower file system that is watched has lost its last name, which
    /// [`FileSystem::lower_changed`] is told of afterwards. Called by the task that removed it, as
    /// that is.
    fn lower_unlinked(
        data: <Self::Data as ForeignOwnable>::Borrowed<'_>,
        file: &super::stack::watch::Unlinked<'_>,
    );

    /// Names in the lower directory with this inode number have changed. Called before
    /// [`FileSystem::lower_changed`] is for the same, under the same circumstances; must not sleep.
    fn lower_names_changed(data: <Self::Data as ForeignOwnable>::Borrowed<'_>, ino: u64);

    /// Brings what was written, and is kept elsewhere than in this superblock's inodes, to stable
    /// storage: `syncfs(2)`. May sleep.
    fn sync_fs(data: <Self::Data as ForeignOwnable>::Borrowed<'_>) -> Result;

    /// Reads an extended attribute of an inode that stands on no lower one into `value`, and gives
    /// its length; [`ERANGE`] when it is longer. An empty `value` asks for the length alone. No
    /// lock is held; may sleep.
    fn getxattr(inode: &Inode<Self>, name: &CStr, value: &mut [u8]) -> Result<usize>;

    /// Sets an extended attribute of an inode that stands on no lower one, or removes it. The
    /// inode is locked exclusively; may sleep.
    fn setxattr(inode: &Inode<Self>, name: &CStr, value: Option<&[u8]>, mode: XattrMode) -> Result;

    /// `statfs` of a file.
    fn statfs(inode: &Inode<Self>) -> Result<StatFs>;

    /// Writes the options to show, each with a comma in front.
    fn show_options(
        data: <Self::Data as ForeignOwnable>::Borrowed<'_>,
        seq: &kernel::seq_file::SeqFile,
    );
}

/// One option of a mount.
pub struct Parameter<'a> {
    raw: &'a bindings::fs_parameter,
}

impl Parameter<'_> {
    /// Its name.
    pub fn name(&self) -> &CStr {
        // SAFETY: The key of a parameter is a C string that lives as long as it does.
        unsafe { CStr::from_char_ptr(self.raw.key) }
    }

    /// Its value, for an option that was given as text.
    pub fn string(&self) -> Option<&CStr> {
        if self.raw.type_() != bindings::fs_value_type_fs_value_is_string {
            return None;
        }
        // SAFETY: The type was checked, and such a value is a C string that lives as long as the
        // parameter does.
        Some(unsafe { CStr::from_char_ptr(self.raw.__bindgen_anon_1.string) })
    }
}

/// Where messages about a mount go: to the caller of `fsconfig`, or the kernel log.
pub struct Log<'a> {
    fc: *mut bindings::fs_context,
    _borrow: PhantomData<&'a bindings::fs_context>,
}

impl Log<'_> {
    /// Says what is wrong; C: `errorfc`. Losing the message for lack of memory is allowed.
    pub fn error(&self, message: fmt::Arguments<'_>) {
        if let Ok(message) = CString::try_from_fmt(message) {
            // SAFETY: `fc` is valid as long as `self`, and the message is a C string that
            // `errorfc` copies.
            unsafe { bindings::errorfc(self.fc, message.as_char_ptr()) };
        }
    }
}

/// What is known when a mount is asked for.
pub struct Request<'a> {
    fc: &'a bindings::fs_context,
    log: Log<'a>,
}

impl<'a> Request<'a> {
    /// What is to be mounted: the first argument of `mount`.
    pub fn source(&self) -> Option<&CStr> {
        if self.fc.source.is_null() {
            return None;
        }
        // SAFETY: A source is a C string that belongs to the context.
        Some(unsafe { CStr::from_char_ptr(self.fc.source) })
    }

    /// The network namespace of the mounting process.
    pub fn net_ns(&self) -> &Namespace {
        // SAFETY: The context holds a reference to the namespace.
        unsafe { Namespace::from_raw(self.fc.net_ns) }
    }

    /// Where messages go.
    pub fn log(&self) -> &Log<'a> {
        &self.log
    }
}

/// A registered file system.
///
/// # Invariants
///
/// `fs_type` is registered, and `cache` is the cache of its inodes, from initialisation to drop.
#[pin_data(PinnedDrop)]
pub struct Registration<F: FileSystem> {
    #[pin]
    fs_type: Opaque<bindings::file_system_type>,
    cache: InodeCache<F>,
}

// SAFETY: After initialisation only the kernel touches `fs_type`, with its own locking.
unsafe impl<F: FileSystem> Send for Registration<F> {}
// SAFETY: As above; there are no methods that take `&self`.
unsafe impl<F: FileSystem> Sync for Registration<F> {}

impl<F: FileSystem> Registration<F> {
    /// Registers the file system; it can be mounted from here on.
    pub fn new(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // The cache must be there when the first mount is made.
            cache: InodeCache::new()?,
            fs_type <- Opaque::try_ffi_init(|slot: *mut bindings::file_system_type| {
                let fs_type = bindings::file_system_type {
                    owner: module.as_ptr(),
                    name: F::NAME.as_char_ptr(),
                    fs_flags: (bindings::FS_RENAME_DOES_D_MOVE) as i32,
                    init_fs_context: Some(Vtable::<F>::init_fs_context),
                    kill_sb: Some(Vtable::<F>::kill_sb),
                    ..pin_init::zeroed()
                };
                // SAFETY: `slot` is valid for writing.
                unsafe { slot.write(fs_type) };
                // SAFETY: It was just initialised, it is pinned, and it is unregistered before it
                // is freed.
                to_result(unsafe { bindings::register_filesystem(slot) })
            }),
        })
    }
}

#[pinned_drop]
impl<F: FileSystem> PinnedDrop for Registration<F> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: It is registered, by the type invariant. A mounted file system holds a
        // reference to the module, so none is mounted now. An error is only possible for a type
        // that is not registered.
        unsafe { bindings::unregister_filesystem(self.fs_type.get()) };
    }
}
