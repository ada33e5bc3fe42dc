// SPDX-License-Identifier: GPL-2.0

//! Dentries that are being completed: by a lookup, by making a file, or by a listing.
//!
//! C header: [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

use core::ptr::{self, NonNull};

use hmdfs_bindings as bindings;
use kernel::{prelude::*, sync::aref::ARef};

use super::{Dentry, Intent, NameRef};
use crate::{
    fs::{context::FileSystem, inode},
    vfs::{Lower, Path},
};

/// A dentry that a lookup is to complete, by splicing an inode or nothing in.
pub struct InLookup<'a, F: FileSystem>(&'a Dentry<F>, Intent);

impl<'a, F: FileSystem> InLookup<'a, F> {
    /// # Safety
    ///
    /// `dentry` must be what the VFS gave to `lookup`, with these flags.
    pub(in crate::fs) unsafe fn from_raw(dentry: *mut bindings::dentry, flags: c_uint) -> Self {
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
    pub(in crate::fs) unsafe fn from_raw(dentry: *mut bindings::dentry) -> Self {
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

/// Proof that a lookup was completed; the VFS is given the dentry that was used instead of its
/// own, if any.
pub struct Spliced<F: FileSystem>(Option<ARef<Dentry<F>>>);

impl<F: FileSystem> Spliced<F> {
    /// The dentry that is used instead of the one that was looked up, if any.
    pub fn dentry(&self) -> Option<&Dentry<F>> {
        self.0.as_deref()
    }

    pub(in crate::fs) fn into_raw(self) -> *mut bindings::dentry {
        self.0.map_or(ptr::null_mut(), |alias| {
            ARef::into_raw(alias).as_ptr().cast()
        })
    }
}

impl<F: FileSystem> Dentry<F> {
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
