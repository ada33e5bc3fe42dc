// SPDX-License-Identifier: GPL-2.0

//! Entry points of the operations that change directories.

use hmdfs_bindings as bindings;
use kernel::{error::from_result, prelude::*, str::CStrExt};

use super::{table::Vtable, Operations, Renamed};
use crate::{
    fs::{context::FileSystem, dentry, stack, Dentry, Inode},
    vfs::rename::Flags,
};

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    /// # Safety
    ///
    /// The VFS calls this with a locked directory of `F` and a negative dentry in it.
    pub(super) unsafe extern "C" fn create(
        _idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: u16,
        #[cfg(HMDFS_CREATE_EXCL)] exclusive: bool,
    ) -> c_int {
        // Where the VFS does not say so, it looks the name up again and sees.
        #[cfg(not(HMDFS_CREATE_EXCL))]
        let exclusive = false;
        from_result(|| {
            // SAFETY: By the function's contract.
            let dir = unsafe { Inode::<F>::from_raw(dir) };
            // SAFETY: By the function's contract.
            let dentry = unsafe { dentry::Negative::from_raw(dentry) };
            T::create(dir, dentry, mode, exclusive)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a locked directory of `F` and a negative dentry in it.
    pub(super) unsafe extern "C" fn mkdir(
        _idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: u16,
    ) -> *mut bindings::dentry {
        // SAFETY: By the function's contract.
        let dir = unsafe { Inode::<F>::from_raw(dir) };
        // SAFETY: By the function's contract.
        let dentry = unsafe { dentry::Negative::from_raw(dentry) };
        match T::mkdir(dir, dentry, mode) {
            Ok(spliced) => spliced.into_raw(),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// The VFS calls this with a locked directory of `F` and a negative dentry in it.
    pub(super) unsafe extern "C" fn mknod(
        _idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: u16,
        device: bindings::dev_t,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let dir = unsafe { Inode::<F>::from_raw(dir) };
            // SAFETY: By the function's contract.
            let dentry = unsafe { dentry::Negative::from_raw(dentry) };
            T::mknod(dir, dentry, mode, device)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a locked directory of `F` and a negative dentry in it, and a target.
    pub(super) unsafe extern "C" fn symlink(
        _idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        target: *const c_char,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let dir = unsafe { Inode::<F>::from_raw(dir) };
            // SAFETY: By the function's contract.
            let dentry = unsafe { dentry::Negative::from_raw(dentry) };
            // SAFETY: The target is a C string.
            let target = unsafe { CStr::from_char_ptr(target) };
            T::symlink(dir, dentry, target)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a positive dentry, a locked directory, all of `F`, and a negative dentry in it.
    pub(super) unsafe extern "C" fn link(
        old: *mut bindings::dentry,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> c_int {
        from_result(|| {
            // SAFETY: A positive dentry holds its inode.
            let file = unsafe { Inode::<F>::from_raw((*old).d_inode) };
            // SAFETY: By the function's contract.
            let dir = unsafe { Inode::<F>::from_raw(dir) };
            // SAFETY: By the function's contract.
            let dentry = unsafe { dentry::Negative::from_raw(dentry) };
            T::link(file, dir, dentry)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a locked directory of `F` and a positive dentry in it.
    pub(super) unsafe extern "C" fn unlink(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let dir = unsafe { Inode::<F>::from_raw(dir) };
            // SAFETY: By the function's contract.
            let dentry = unsafe { Dentry::<F>::from_raw(dentry) };
            T::unlink(dir, dentry)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a locked directory of `F` and a positive dentry in it.
    pub(super) unsafe extern "C" fn rmdir(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let dir = unsafe { Inode::<F>::from_raw(dir) };
            // SAFETY: By the function's contract.
            let dentry = unsafe { Dentry::<F>::from_raw(dentry) };
            T::rmdir(dir, dentry)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with two locked directories of `F` and a dentry in each.
    pub(super) unsafe extern "C" fn rename(
        _idmap: *mut bindings::mnt_idmap,
        old_dir: *mut bindings::inode,
        old: *mut bindings::dentry,
        new_dir: *mut bindings::inode,
        new: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        from_result(|| {
            let flags = Flags::new(flags);
            // SAFETY: By the function's contract.
            let dirs = unsafe { (Inode::from_raw(old_dir), Inode::from_raw(new_dir)) };
            // SAFETY: By the function's contract.
            let dentries = unsafe { (Dentry::from_raw(old), Dentry::from_raw(new)) };
            let renamed = T::rename(dirs.0, dentries.0, dirs.1, dentries.1, flags)?;
            // The file system says that it does this (`FS_RENAME_DOES_D_MOVE`).
            if flags.is_exchange() {
                // SAFETY: Both dentries and directories are locked for it.
                unsafe { bindings::d_exchange(old, new) };
            } else {
                // SAFETY: As above.
                unsafe { bindings::d_move(old, new) };
            }
            if renamed == Renamed::Apart {
                dentries.0.d_drop();
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a locked directory of `F` and a file that is being opened.
    pub(super) unsafe extern "C" fn tmpfile(
        _idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        file: *mut bindings::file,
        mode: u16,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let dir = unsafe { Inode::<F>::from_raw(dir) };
            // SAFETY: By the function's contract.
            let file = unsafe { stack::tmpfile::Tmpfile::from_raw(file, mode) };
            T::tmpfile(dir, file)?;
            Ok(0)
        })
    }
}
