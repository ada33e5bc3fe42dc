// SPDX-License-Identifier: GPL-2.0

//! Looking up, making and opening a file in one step.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    types::ForeignOwnable,
};

use super::{table::Vtable, Operations};
use crate::fs::{
    context::FileSystem,
    dentry::{self, Dentry, Name},
    inode, Inode,
};

/// A name that is to be opened; see [`Operations::atomic_open`].
///
/// # Invariants
///
/// `file` is being opened: the VFS waits for `atomic_open` to say what became of it.
pub struct Opening<'a, F: FileSystem> {
    dentry: &'a Dentry<F>,
    file: *mut bindings::file,
    flags: c_uint,
    mode: u16,
}

/// Proof that the VFS was told how to go on with a file.
pub struct Opened(());

impl<F: FileSystem> Opening<'_, F> {
    /// The name.
    pub fn name(&self) -> Name {
        self.dentry.name()
    }

    /// `O_CREAT`: whether the file is to be made if it does not exist.
    pub fn creates(&self) -> bool {
        self.flags & bindings::O_CREAT != 0
    }

    /// `O_EXCL`: whether it is an error if it exists.
    pub fn is_exclusive(&self) -> bool {
        self.creates() && self.flags & bindings::O_EXCL != 0
    }

    /// Whether the file is to be read through this.
    pub fn is_readable(&self) -> bool {
        // SAFETY: The file is being opened, by the type invariant.
        unsafe { (*self.file).f_mode & bindings::FMODE_READ != 0 }
    }

    /// Whether the file is to be written through this.
    pub fn is_writable(&self) -> bool {
        // SAFETY: The file is being opened, by the type invariant.
        unsafe { (*self.file).f_mode & bindings::FMODE_WRITE != 0 }
    }

    /// The permissions of a new file. The umask is not applied yet.
    pub fn mode(&self) -> u16 {
        self.mode & 0o7777
    }

    /// Gives the dentry an inode, or the knowledge that there is none, and the alias that is to be
    /// used instead of it, if any.
    fn splice(&self, inode: Option<inode::Ref<F>>, time: usize) -> Result<*mut bindings::dentry> {
        // SAFETY: The dentry is valid.
        if !unsafe { bindings::d_in_lookup(self.dentry.as_raw()) } {
            // Known not to exist, a moment ago.
            self.dentry.d_drop();
        }
        // SAFETY: The dentry is in lookup, or neither cached nor positive.
        let dentry = unsafe { dentry::InLookup::<F>::from_raw(self.dentry.as_raw(), 0) };
        Ok(dentry.splice_alias(inode, time)?.into_raw())
    }

    /// Leaves opening to the VFS, after the name was looked up; C: `finish_no_open`. `time` is
    /// given to the dentry.
    pub fn finish_no_open(self, inode: Option<inode::Ref<F>>, time: usize) -> Result<Opened> {
        let alias = self.splice(inode, time)?;
        // SAFETY: The file is being opened. The alias is null or comes with a reference, which
        // goes to the VFS.
        to_result(unsafe { bindings::finish_no_open(self.file, alias) })?;
        Ok(Opened(()))
    }

    /// The file is `inode`, a regular one, and is open; C: `finish_open`.
    ///
    /// `created` says that it was made just now. `private` is what opening the inode by its own
    /// operations would have kept for the file. `time` is given to the dentry.
    pub fn finish_open<P: ForeignOwnable>(
        self,
        inode: inode::Ref<F>,
        time: usize,
        created: bool,
        private: P,
    ) -> Result<Opened> {
        if inode.file_type() != 0o100_000 {
            return Err(EINVAL);
        }
        // What is no directory has no other dentry that would be used instead.
        if !ptr::eq(self.splice(Some(inode), time)?, ptr::null_mut()) {
            return Err(EINVAL);
        }
        let file = self.file;
        if created {
            // SAFETY: The file is being opened by this task alone.
            unsafe { (*file).f_mode |= bindings::FMODE_CREATED };
        }
        // SAFETY: As above; the field is the file system's.
        unsafe { (*file).private_data = private.into_foreign().cast() };
        // SAFETY: As above; the dentry is positive now.
        let result =
            to_result(unsafe { bindings::finish_open(file, self.dentry.as_raw(), Some(opened)) });
        // SAFETY: The file is valid.
        if result.is_err() && unsafe { (*file).f_mode } & bindings::FMODE_OPENED == 0 {
            // SAFETY: It was put there above; only the `release` of an open file would take it.
            drop(unsafe { P::from_foreign((*file).private_data.cast()) });
        }
        result.map(|()| Opened(()))
    }
}

/// # Safety
///
/// Called in place of `open`.
unsafe extern "C" fn opened(_inode: *mut bindings::inode, _file: *mut bindings::file) -> c_int {
    0
}

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    /// # Safety
    ///
    /// The VFS calls this with a locked directory of `F`, a dentry in it that is in lookup or
    /// negative, and a file that is being opened.
    pub(super) unsafe extern "C" fn atomic_open(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        file: *mut bindings::file,
        flags: c_uint,
        mode: u16,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let dir = unsafe { Inode::<F>::from_raw(dir) };
            // INVARIANT: By the function's contract.
            let opening = Opening {
                // SAFETY: By the function's contract.
                dentry: unsafe { Dentry::from_raw(dentry) },
                file,
                flags,
                mode,
            };
            T::atomic_open(dir, opening)?;
            Ok(0)
        })
    }
}
