// SPDX-License-Identifier: GPL-2.0

//! Files without a name, which may stand on lower ones.
//!
//! C header: [`include/linux/backing-file.h`](srctree/include/linux/backing-file.h)

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*,
    sync::aref::ARef,
    types::{ForeignOwnable, ScopeGuard},
};

use super::{file::attach, watch};
use crate::{
    fs::{context::FileSystem, inode, Dentry, Inode},
    vfs::{self, modify::WriteAccess},
};

/// A file without a name that is to be made and opened; see
/// [`Operations::tmpfile`](crate::fs::inode_operations::Operations::tmpfile).
///
/// # Invariants
///
/// `file` is being opened by the VFS, which has called `tmpfile` with it.
pub struct Tmpfile<'a, F: FileSystem> {
    file: *mut bindings::file,
    mode: u16,
    _dir: PhantomData<&'a Inode<F>>,
}

/// Proof that a [`Tmpfile`] was opened.
pub struct Opened(());

impl<F: FileSystem> Tmpfile<'_, F> {
    /// # Safety
    ///
    /// `file` must be what the VFS gave to `tmpfile`.
    pub(in crate::fs) unsafe fn from_raw(file: *mut bindings::file, mode: u16) -> Self {
        // INVARIANT: By the function's contract.
        Self {
            file,
            mode,
            _dir: PhantomData,
        }
    }

    /// The directory that it is to be made in.
    pub fn parent(&self) -> ARef<Dentry<F>> {
        // SAFETY: A file that is being opened has a dentry of its file system.
        unsafe { Dentry::<F>::from_raw(bindings::file_dentry(self.file)) }.parent()
    }

    /// Makes it in the lower directory `parent`. `make` gives the inode that stands on the lower
    /// file.
    pub fn make(
        self,
        parent: &vfs::Path,
        make: impl FnOnce(vfs::Path) -> Result<inode::Ref<F>>,
    ) -> Result<Opened> {
        // SAFETY: By the type invariant.
        unsafe { tmpfile(self.file, parent, self.mode, make) }?;
        Ok(Opened(()))
    }

    /// The permissions that were asked for. The umask is not applied yet.
    pub fn mode(&self) -> u16 {
        self.mode & 0o7777
    }

    /// How it is to be opened: to be read, and to be written.
    pub fn access(&self) -> (bool, bool) {
        // SAFETY: The file is being opened, by the type invariant.
        let mode = unsafe { (*self.file).f_mode };
        let has = |bit| mode & bit != 0;
        (has(bindings::FMODE_READ), has(bindings::FMODE_WRITE))
    }

    /// The file is `inode`, a regular one that stands on none, and is open. `private` is what opening
    /// the inode by its own operations would have kept for the file.
    pub fn open<P: ForeignOwnable>(self, inode: inode::Ref<F>, private: P) -> Result<Opened> {
        let file = self.file;
        // SAFETY: By the type invariant.
        let dentry = unsafe { instantiate(file, inode) };
        // SAFETY: The field is the file system's.
        unsafe { (*file).private_data = private.into_foreign().cast() };
        // SAFETY: The dentry is positive now, and nothing was opened yet.
        let result = to_result(unsafe { bindings::finish_open(file, dentry, Some(opened_alone)) });
        // SAFETY: The file is valid.
        if result.is_err() && unsafe { (*file).f_mode } & bindings::FMODE_OPENED == 0 {
            // SAFETY: It was put there above; only the `release` of an open file would take it.
            drop(unsafe { P::from_foreign((*file).private_data.cast()) });
        }
        result.map(|()| Opened(()))
    }
}

/// Makes a file without a name in the lower directory `parent`, and opens it as `file`;
/// C: `inode_operations.tmpfile`.
///
/// # Safety
///
/// The VFS has called `tmpfile` with `file`.
unsafe fn tmpfile<F: FileSystem>(
    file: *mut bindings::file,
    parent: &vfs::Path,
    mode: u16,
    make: impl FnOnce(vfs::Path) -> Result<inode::Ref<F>>,
) -> Result {
    let _write = WriteAccess::to(parent)?;
    // SAFETY: All are valid; the file takes its own references.
    let lower = from_err_ptr(unsafe {
        bindings::backing_tmpfile_open(
            file,
            (*file).f_flags as c_int,
            parent.as_raw(),
            mode,
            bindings::current_cred(),
        )
    })?;
    let lower = ScopeGuard::new_with_data(lower, |lower| {
        // SAFETY: The reference was not given away.
        unsafe { bindings::fput(lower) };
    });
    // SAFETY: An open file holds its path.
    let path = unsafe { vfs::Path::of_file(*lower) };
    let inode = make(path)?;
    // SAFETY: By the function's contract.
    let dentry = unsafe { instantiate(file, inode) };
    // SAFETY: The field is ours.
    unsafe { (*file).private_data = (*lower).cast() };
    // SAFETY: The dentry is positive now, and nothing was opened yet. `open` of the table is not
    // called.
    let result = to_result(unsafe { bindings::finish_open(file, dentry, Some(opened)) });
    // SAFETY: The file is valid.
    if unsafe { (*file).f_mode } & bindings::FMODE_OPENED != 0 {
        // Also after an error, `release` gives up the reference.
        lower.dismiss();
    }
    result
}

/// Gives the dentry of a file without a name its inode; C: `d_tmpfile`, but for the number of links.
///
/// # Safety
///
/// The VFS has called `tmpfile` with `file`, which has no inode yet.
unsafe fn instantiate<F: FileSystem>(
    file: *mut bindings::file,
    inode: inode::Ref<F>,
) -> *mut bindings::dentry {
    // SAFETY: A file that is being opened has a dentry.
    let dentry = unsafe { bindings::file_dentry(file) };
    // SAFETY: The dentry is unhashed, negative and unused, as the VFS gives it to `tmpfile`.
    unsafe { bindings::d_mark_tmpfile(file, inode.as_raw()) };
    // SAFETY: As above; this takes over the reference to the inode.
    unsafe { bindings::d_instantiate(dentry, inode.into_raw()) };
    dentry
}

/// # Safety
///
/// Called in place of `open`.
unsafe extern "C" fn opened_alone(
    _inode: *mut bindings::inode,
    _file: *mut bindings::file,
) -> c_int {
    0
}

/// # Safety
///
/// Called in place of `open`, with the lower file in its place.
unsafe extern "C" fn opened(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: By the function's contract.
    let lower = unsafe { (*file).private_data }.cast();
    // SAFETY: The lower file is open, and nobody else's.
    unsafe { bindings::file_be_quiet(lower, watch::EVENTS) };
    // SAFETY: By the function's contract.
    unsafe { attach(file, lower) };
    0
}
