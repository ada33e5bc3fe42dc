// SPDX-License-Identifier: GPL-2.0

//! Dentries.
//!
//! C header: [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

use core::{marker::PhantomData, mem::MaybeUninit, ptr::NonNull};

use hmdfs_bindings as bindings;
use kernel::{
    prelude::*,
    sync::{
        aref::{ARef, AlwaysRefCounted},
        atomic::{Atomic, Full},
    },
    types::Opaque,
};

use super::{context::FileSystem, stack, Inode};
use crate::vfs::path::qstr;

mod lookup;
mod operations;

pub use lookup::{InLookup, Instantiated, Negative, Spliced};
pub(super) use operations::table;
pub use operations::Operations;

/// A dentry; C: `struct dentry`.
///
/// # Invariants
///
/// It belongs to the file system `F`.
#[repr(transparent)]
pub struct Dentry<F: FileSystem>(Opaque<bindings::dentry>, PhantomData<F>);

// SAFETY: `dget` and `dput` count references.
unsafe impl<F: FileSystem> AlwaysRefCounted for Dentry<F> {
    fn inc_ref(&self) {
        // SAFETY: A reference exists.
        unsafe { bindings::dget(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up its reference.
        unsafe { bindings::dput(obj.as_ptr().cast()) };
    }
}

// SAFETY: The C code locks what it changes.
unsafe impl<F: FileSystem> Send for Dentry<F> {}
// SAFETY: As above.
unsafe impl<F: FileSystem> Sync for Dentry<F> {}

impl<F: FileSystem> Dentry<F> {
    /// # Safety
    ///
    /// `dentry` must belong to `F`, and a reference must be held for `'a`.
    pub(crate) unsafe fn from_raw<'a>(dentry: *mut bindings::dentry) -> &'a Self {
        // SAFETY: By the function's contract; the type is transparent.
        unsafe { &*dentry.cast() }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::dentry {
        self.0.get()
    }

    /// The inode, unless the dentry is negative.
    ///
    /// A positive dentry stays positive while a reference to it is held.
    pub fn inode(&self) -> Option<&Inode<F>> {
        // SAFETY: The dentry is valid; the pointer is set once.
        let inode = unsafe { (&raw const (*self.as_raw()).d_inode).read_volatile() };
        // SAFETY: A dentry holds a reference to its inode.
        NonNull::new(inode).map(|inode| unsafe { Inode::from_raw(inode.as_ptr()) })
    }

    /// The parent; C: `dget_parent`.
    pub fn parent(&self) -> ARef<Self> {
        // SAFETY: The dentry is valid.
        let parent = unsafe { bindings::dget_parent(self.as_raw()) };
        // SAFETY: `dget_parent` gives a reference, and a dentry always has a parent.
        unsafe { ARef::from_raw(NonNull::new_unchecked(parent.cast())) }
    }

    /// The name as it is now; a rename may change it at any time.
    pub fn name(&self) -> Name {
        let mut snapshot = MaybeUninit::<bindings::name_snapshot>::uninit();
        // SAFETY: The dentry is valid, and the snapshot stays where it is until it is released.
        unsafe { bindings::take_dentry_name_snapshot(snapshot.as_mut_ptr(), self.as_raw()) };
        // SAFETY: It was just taken.
        let name = unsafe { &(*snapshot.as_ptr()).name };
        // SAFETY: The length of a name goes with its bytes.
        let name = unsafe { Name::from_qstr(name) };
        // SAFETY: It was taken above and is not used any more.
        unsafe { bindings::release_dentry_name_snapshot(snapshot.as_mut_ptr()) };
        name
    }

    /// The cached entry of this name; C: `d_lookup`.
    pub fn cached(&self, name: &[u8]) -> Option<ARef<Self>> {
        let mut qstr = qstr(name).ok()?;
        // SAFETY: The name is valid for its length.
        qstr.__bindgen_anon_1.__bindgen_anon_1.hash = unsafe {
            bindings::full_name_hash(self.as_raw().cast(), name.as_ptr(), name.len() as u32)
        };
        // SAFETY: The dentry and the name are valid.
        let found = unsafe { bindings::d_lookup(self.as_raw(), &qstr) };
        // SAFETY: `d_lookup` gives a reference to a dentry of the same file system.
        NonNull::new(found.cast()).map(|found| unsafe { ARef::from_raw(found) })
    }

    /// Remembers a number for [`Operations::is_fresh`]. A dentry that stands on a lower one has no
    /// room for it: whether it is right is found out anew then.
    pub fn set_time(&self, time: usize) {
        let time = if self.has_lower() {
            stack::dentry::NEVER
        } else {
            time
        };
        // SAFETY: The field is the file system's; readers take it as it comes.
        unsafe { (&raw mut (*self.as_raw()).d_time).write_volatile(time) };
    }

    /// What [`Dentry::set_time`] has set last.
    pub fn time(&self) -> usize {
        // SAFETY: As above.
        unsafe { (&raw const (*self.as_raw()).d_time).read_volatile() }
    }

    /// Remembers `new` if what is remembered now is `old`; see [`Dentry::set_time`]. False when it is
    /// something else, or the dentry stands on a lower one.
    pub fn renew_time(&self, old: usize, new: usize) -> bool {
        if self.has_lower() {
            return false;
        }
        // SAFETY: The field is valid as long as the dentry is, and read and written as a whole.
        let time = unsafe { Atomic::<usize>::from_ptr((&raw mut (*self.as_raw()).d_time).cast()) };
        time.cmpxchg(old, new, Full).is_ok()
    }

    /// Whether path walks do not find it: the name is gone, or is to be looked up anew; C:
    /// `d_unhashed`.
    pub fn is_unhashed(&self) -> bool {
        // SAFETY: The dentry is valid.
        unsafe { bindings::d_unhashed(self.as_raw()) }
    }

    /// Takes the name out of the cache, so that it is looked up anew; C: `d_drop`.
    pub fn d_drop(&self) {
        // SAFETY: The dentry is valid.
        unsafe { bindings::d_drop(self.as_raw()) };
    }
}

/// A copy of a name.
///
/// The VFS does not limit names: of one that is longer than 255 bytes there are 256 here, so that
/// it is seen to be too long.
///
/// # Invariants
///
/// The first `length` bytes are initialised.
pub struct Name {
    length: u16,
    bytes: [MaybeUninit<u8>; 256],
}

impl Name {
    /// # Safety
    ///
    /// `name.name` must be valid for `name.len` bytes.
    unsafe fn from_qstr(name: &bindings::qstr) -> Self {
        // SAFETY: The union is made of plain numbers.
        let length = unsafe { name.__bindgen_anon_1.__bindgen_anon_1.len }.min(256) as u16;
        let mut bytes = [MaybeUninit::uninit(); 256];
        // SAFETY: The source is valid by the function's contract, the target has room for 256.
        unsafe {
            bytes
                .as_mut_ptr()
                .cast::<u8>()
                .copy_from_nonoverlapping(name.name, length.into());
        }
        // INVARIANT: Just copied.
        Self { length, bytes }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: By the type invariant.
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.length.into()) }
    }
}

/// The name of a dentry, while that does not change.
#[derive(Clone, Copy)]
pub struct NameRef<'a>(&'a [u8]);

impl<'a> NameRef<'a> {
    /// # Safety
    ///
    /// The dentry must be valid, and its directory locked or the dentry in lookup, for `'a`.
    unsafe fn of(dentry: *mut bindings::dentry) -> Self {
        // SAFETY: By the function's contract; the union is made of plain numbers.
        let (name, length) = unsafe {
            let name = &raw const (*dentry).__bindgen_anon_1.d_name;
            ((*name).name, (*name).__bindgen_anon_1.__bindgen_anon_1.len)
        };
        // SAFETY: The length of a name goes with its bytes, and neither changes for `'a`.
        Self(unsafe { core::slice::from_raw_parts(name, length as usize) })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

/// Why a path walk asks whether a dentry is still right.
#[derive(Clone, Copy, Debug)]
pub struct Intent(c_uint);

impl Intent {
    /// The file is about to be opened, and this is the last component: the open itself will see
    /// whether the name is right.
    pub fn is_open(&self) -> bool {
        self.0 & bindings::LOOKUP_OPEN != 0
            && self.0 & (bindings::LOOKUP_CREATE | bindings::LOOKUP_EXCL) == 0
    }

    /// Something is to be made that must not exist yet: whoever makes it will see.
    pub fn is_exclusive(&self) -> bool {
        const BOTH: c_uint = bindings::LOOKUP_CREATE | bindings::LOOKUP_EXCL;
        self.0 & BOTH == BOTH
    }

    /// Something is to be renamed to this name, and may replace what has it.
    pub fn is_rename_target(&self) -> bool {
        self.0 & bindings::LOOKUP_RENAME_TARGET != 0
    }

    /// A cached answer was wrong, and this is the second try.
    pub fn must_ask(&self) -> bool {
        self.0 & bindings::LOOKUP_REVAL != 0
    }
}

/// The current time in jiffies.
pub fn jiffies() -> usize {
    // SAFETY: Reading the counter is always allowed.
    unsafe { bindings::jiffies() }
}
