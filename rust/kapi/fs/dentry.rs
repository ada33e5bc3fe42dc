// SPDX-License-Identifier: GPL-2.0

//! Dentries.
//!
//! C header: [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::{self, NonNull},
};

use hmdfs_bindings as bindings;
use kernel::{
    prelude::*,
    sync::{
        aref::{ARef, AlwaysRefCounted},
        atomic::{Atomic, Full, Relaxed},
        rcu,
    },
    types::Opaque,
};

use super::{context::FileSystem, inode, stack, Inode};
use crate::vfs::{path::qstr, Lower, Path};

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

    /// Fills the dentry cache with an entry that a listing told of.
    ///
    /// `self` is the directory, whose lock is held. When the name is in the cache, `keep` decides
    /// whether it stays (and may refresh it); otherwise, and when `keep` refuses it, `make`
    /// completes the lookup of a new dentry, and `made` is called with the one that has the name
    /// then. May sleep.
    pub fn prime(
        &self,
        name: &[u8],
        mut keep: impl FnMut(&Dentry<F>) -> bool,
        make: impl FnOnce(InLookup<'_, F>) -> Result<Spliced<F>>,
        made: impl FnOnce(&Dentry<F>),
    ) -> Result {
        let mut qstr = bindings::qstr {
            name: name.as_ptr(),
            ..Default::default()
        };
        qstr.__bindgen_anon_1.__bindgen_anon_1.len = u32::try_from(name.len())?;
        // SAFETY: The name is valid for its length.
        qstr.__bindgen_anon_1.__bindgen_anon_1.hash = unsafe {
            bindings::full_name_hash(self.as_raw().cast(), name.as_ptr(), name.len() as u32)
        };
        loop {
            // SAFETY: The name is valid, and the directory's lock is held.
            let dentry = kernel::error::from_err_ptr(unsafe {
                bindings::d_alloc_parallel(self.as_raw(), &qstr)
            })?;
            // SAFETY: `d_alloc_parallel` gives a reference.
            let dentry: ARef<Dentry<F>> =
                unsafe { ARef::from_raw(NonNull::new(dentry.cast()).ok_or(ENOMEM)?) };
            // SAFETY: The dentry is valid.
            if unsafe { bindings::d_in_lookup(dentry.as_raw()) } {
                let result = make(InLookup(&dentry, Intent(0)))
                    .map(|spliced| made(spliced.dentry().unwrap_or(&dentry)));
                // SAFETY: The dentry is in lookup until here.
                unsafe { bindings::d_lookup_done(dentry.as_raw()) };
                return result;
            }
            if keep(&dentry) {
                return Ok(());
            }
            // SAFETY: The dentry is valid, and sleeping is allowed.
            unsafe { bindings::d_invalidate(dentry.as_raw()) };
        }
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

/// A dentry that a lookup is to complete, by splicing an inode or nothing in.
pub struct InLookup<'a, F: FileSystem>(&'a Dentry<F>, Intent);

impl<'a, F: FileSystem> InLookup<'a, F> {
    /// # Safety
    ///
    /// `dentry` must be what the VFS gave to `lookup`, with these flags.
    pub(super) unsafe fn from_raw(dentry: *mut bindings::dentry, flags: c_uint) -> Self {
        // SAFETY: By the function's contract.
        Self(unsafe { Dentry::from_raw(dentry) }, Intent(flags))
    }

    /// What the lookup is for.
    pub fn intent(&self) -> Intent {
        self.1
    }

    /// Completes the lookup without an answer: the dentry has no inode, and will not be found
    /// again. For a name of which the operation that follows will find out more, at once.
    pub fn leave(self) -> Spliced<F> {
        Spliced(None)
    }

    /// The name that is looked up.
    pub fn name(&self) -> NameRef<'a> {
        // SAFETY: The dentry is in lookup, or its directory locked for a change.
        unsafe { NameRef::of(self.0.as_raw()) }
    }

    /// The directory in which it is looked up.
    pub fn parent(&self) -> ARef<Dentry<F>> {
        self.0.parent()
    }

    /// The dentry, which gets the name unless [`Spliced::dentry`] gives another one.
    pub fn dentry(&self) -> ARef<Dentry<F>> {
        self.0.into()
    }

    /// Completes the lookup: with an inode, or with the knowledge that there is none.
    /// C: `d_splice_alias`. `time` is given to the dentry that the name gets.
    pub fn splice_alias(self, inode: Option<inode::Ref<F>>, time: usize) -> Result<Spliced<F>> {
        self.0.set_time(time);
        let spliced = self.splice(inode)?;
        if let Some(alias) = &spliced.0 {
            alias.set_time(time);
        }
        Ok(spliced)
    }

    /// Completes the lookup of a name that stands on `lower`, which the name was found to be in
    /// `parent`; see [`Dentry::set_lower`].
    pub fn splice_lower(
        self,
        inode: Option<inode::Ref<F>>,
        parent: &Path,
        lower: Lower<'_>,
    ) -> Result<Spliced<F>> {
        let (own, name) = (self.0, self.name());
        own.set_lower(parent, name.as_bytes(), lower)?;
        let spliced = self.splice(inode)?;
        if let Some(alias) = &spliced.0 {
            alias.set_lower(parent, name.as_bytes(), lower)?;
        }
        spliced.dentry().unwrap_or(own).drop_if_removed();
        Ok(spliced)
    }

    fn splice(self, inode: Option<inode::Ref<F>>) -> Result<Spliced<F>> {
        let inode = inode.map_or(ptr::null_mut(), |inode| inode.into_raw());
        // SAFETY: The dentry is unhashed or in lookup, as the VFS gives it to `lookup`; the
        // reference to the inode is taken over.
        let alias = kernel::error::from_err_ptr(unsafe {
            bindings::d_splice_alias(inode, self.0.as_raw())
        })?;
        let alias = NonNull::new(alias.cast::<Dentry<F>>())
            // SAFETY: An alias comes with a reference.
            .map(|alias| unsafe { ARef::from_raw(alias) });
        Ok(Spliced(alias))
    }
}

/// A dentry without an inode, for which a file is to be made. Its directory is locked exclusively.
pub struct Negative<'a, F: FileSystem>(&'a Dentry<F>);

impl<'a, F: FileSystem> Negative<'a, F> {
    /// # Safety
    ///
    /// `dentry` must be what the VFS gave to an operation that makes a file.
    pub(super) unsafe fn from_raw(dentry: *mut bindings::dentry) -> Self {
        // SAFETY: By the function's contract.
        Self(unsafe { Dentry::from_raw(dentry) })
    }

    /// Its name.
    pub fn name(&self) -> NameRef<'a> {
        // SAFETY: The directory is locked as long as this is there.
        unsafe { NameRef::of(self.0.as_raw()) }
    }

    /// Gives it the inode of the new file, which must not be a directory; C: `d_instantiate`.
    pub fn d_instantiate(self, inode: inode::Ref<F>) -> Result<Instantiated> {
        if inode.file_type() == 0o040_000 {
            return Err(EISDIR);
        }
        // SAFETY: The dentry is negative and not in lookup, as the VFS gives it; the reference to
        // the inode is taken over.
        unsafe { bindings::d_instantiate(self.0.as_raw(), inode.into_raw()) };
        self.0.drop_if_removed();
        Ok(Instantiated(()))
    }

    /// Gives it the inode of the new file, which must not be a directory, whether or not the
    /// dentry is cached (see [`InLookup::leave`]); C: `d_splice_alias`.
    pub fn add(self, inode: inode::Ref<F>, time: usize) -> Result<Instantiated> {
        if inode.file_type() == 0o040_000 {
            return Err(EISDIR);
        }
        self.0.d_drop();
        // What is no directory has no other dentry that would be used instead.
        InLookup(self.0, Intent(0)).splice_alias(Some(inode), time)?;
        Ok(Instantiated(()))
    }

    /// Gives it the inode of the new directory; C: `d_splice_alias`.
    pub fn d_splice_alias(self, inode: inode::Ref<F>) -> Result<Spliced<F>> {
        // A directory has one dentry at most: should this one have been found elsewhere already,
        // that is moved here.
        // SAFETY: The dentry is valid, and its directory is locked.
        unsafe { bindings::d_drop(self.0.as_raw()) };
        let time = self.0.time();
        let spliced = InLookup(self.0, Intent(0)).splice(Some(inode))?;
        if let Some(alias) = &spliced.0 {
            alias.set_time(time);
        }
        Ok(spliced)
    }
}

impl<F: FileSystem> core::ops::Deref for Negative<'_, F> {
    type Target = Dentry<F>;

    fn deref(&self) -> &Dentry<F> {
        self.0
    }
}

/// Proof that a dentry was given the inode of a new file.
pub struct Instantiated(());

impl<F: FileSystem> Dentry<F> {
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

/// Proof that a lookup was completed; the VFS is given the dentry that was used instead of its
/// own, if any.
pub struct Spliced<F: FileSystem>(Option<ARef<Dentry<F>>>);

impl<F: FileSystem> Spliced<F> {
    /// The dentry that is used instead of the one that was looked up, if any.
    pub fn dentry(&self) -> Option<&Dentry<F>> {
        self.0.as_deref()
    }

    pub(super) fn into_raw(self) -> *mut bindings::dentry {
        self.0.map_or(ptr::null_mut(), |alias| {
            ARef::into_raw(alias).as_ptr().cast()
        })
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

/// Operations of dentries; C: `struct dentry_operations`.
pub trait Operations<F: FileSystem>: 'static {
    /// Whether a dentry with this time may be used without asking, for what the path walk intends.
    ///
    /// The time is that of the dentry ([`Dentry::set_time`]), or of the inode ([`Inode::set_time`])
    /// when the dentry stands on a lower one; see [`super::stack`]. `note` is that of the directory
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
pub(super) const fn table<F: FileSystem, T: Operations<F>>() -> &'static bindings::dentry_operations
{
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
            let data = unsafe { super::SuperBlock::<F>::from_raw((*dentry).d_sb) }.data();
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

/// The current time in jiffies.
pub fn jiffies() -> usize {
    // SAFETY: Reading the counter is always allowed.
    unsafe { bindings::jiffies() }
}
