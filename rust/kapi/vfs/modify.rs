// SPDX-License-Identifier: GPL-2.0

//! Changing directories of other file systems.
//!
//! C headers: [`include/linux/namei.h`](srctree/include/linux/namei.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! Each function asks for write access to the mount, locks the directory, looks
//! the name up (unless it is known: [`Component`]), checks the permissions of the calling task, and breaks delegations
//! as the system call does: it waits, with no locks held, and starts again.

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{
    cred::Credential,
    error::{from_err_ptr, to_result},
    prelude::*,
    str::CStrExt,
    types::ScopeGuard,
};

use super::{
    path::{qstr, Path},
    Component,
};
use crate::errno::ESTALE;

/// Write access to a mount; C: `mnt_want_write`.
pub(crate) struct WriteAccess(*mut bindings::vfsmount);

impl WriteAccess {
    /// [`EROFS`] when the mount is read-only. The result must not outlive `path`.
    pub(crate) fn to(path: &Path) -> Result<Self> {
        // SAFETY: The mount is valid.
        to_result(unsafe { bindings::mnt_want_write(path.mount()) })?;
        Ok(Self(path.mount()))
    }
}

impl Drop for WriteAccess {
    fn drop(&mut self) {
        // SAFETY: The access was given by `mnt_want_write`, and the mount is still valid.
        unsafe { bindings::mnt_drop_write(self.0) };
    }
}

/// Runs `operation` until no delegation is in its way.
///
/// `operation` must hold no locks when it returns. It hands the pointer to a `vfs_*` function,
/// which tells whose delegation it has asked for.
pub(crate) fn break_delegations<R>(
    mut operation: impl FnMut(*mut kernel::bindings::delegated_inode) -> Result<R>,
) -> Result<R> {
    loop {
        let mut delegated = bindings::delegated_inode {
            di_inode: ptr::null_mut(),
        };
        let result = operation((&raw mut delegated).cast());
        // SAFETY: `delegated` is valid.
        if !unsafe { bindings::is_delegated(&mut delegated) } {
            return result;
        }
        // SAFETY: It holds a reference to an inode, which this gives up.
        to_result(unsafe { bindings::break_deleg_wait(&mut delegated) })?;
    }
}

impl Path {
    /// Makes a regular file without a name in the file system of this directory, as the user of
    /// `cred`; C: `kernel_tmpfile_open`. It stays until the path is given up, or gets a name by
    /// [`Path::link`].
    ///
    /// `EOPNOTSUPP` when the file system has no such files.
    pub fn tmpfile(&self, mode: u16, cred: &Credential) -> Result<Self> {
        self.check_directory()?;
        let _write = WriteAccess::to(self)?;
        // CAST: All flags are low bits.
        let flags = (bindings::O_RDWR | bindings::O_LARGEFILE) as c_int;
        // SAFETY: All are valid; the file takes its own references.
        let file = from_err_ptr(unsafe {
            bindings::kernel_tmpfile_open(
                self.idmap(),
                self.as_raw(),
                bindings::S_IFREG as u16 | mode,
                flags,
                cred.as_ptr(),
            )
        })?;
        // SAFETY: It is open.
        let path = unsafe { Self::of_file(file) };
        // SAFETY: The reference is ours, and given up here. No locks are held.
        unsafe { bindings::__fput_sync(file) };
        Ok(path)
    }

    /// [`ENOTDIR`] unless this is a directory: in anything else, the VFS must not look for names.
    pub(super) fn check_directory(&self) -> Result {
        if self.is_dir() {
            Ok(())
        } else {
            Err(ENOTDIR)
        }
    }

    /// Locks the directory, and finds what is there of the name; C: `start_creating`.
    ///
    /// `end_dirop` ends it.
    fn start_creating(&self, at: Component<'_>) -> Result<*mut bindings::dentry> {
        if let Some(dentry) = at.lock_known(self)? {
            return Ok(dentry);
        }
        let mut qstr = qstr(at.name)?;
        // SAFETY: The dentry is valid, and the name outlives the call.
        from_err_ptr(unsafe { bindings::start_creating(self.idmap(), self.dentry(), &mut qstr) })
    }

    /// What was made as `dentry`, after [`Path::start_creating`], which this ends; `None` if it has to be
    /// looked up.
    fn end_creating(&self, dentry: *mut bindings::dentry) -> Option<Self> {
        // SAFETY: The dentry is valid, and the lock of its directory is held.
        let usable = unsafe { !(*dentry).d_inode.is_null() && !bindings::d_unhashed(dentry) };
        if !usable {
            // SAFETY: Ends what `start_creating` has begun.
            unsafe { bindings::end_dirop(dentry) };
            return None;
        }
        // SAFETY: Ends what `start_creating` has begun, but for the reference.
        unsafe { bindings::inode_unlock(self.inode()) };
        // SAFETY: The reference goes to the path. The dentry is positive.
        Some(unsafe { self.with_dentry(dentry) })
    }

    /// Makes what is made by `make`, which is given the locked, negative dentry of the name.
    fn make(
        &self,
        at: Component<'_>,
        make: impl Fn(*mut bindings::dentry, *mut kernel::bindings::delegated_inode) -> Result,
    ) -> Result<Self> {
        self.check_directory()?;
        let made = break_delegations(|delegated| {
            let _write = WriteAccess::to(self)?;
            let dentry = self.start_creating(at)?;
            // SAFETY: The dentry is valid, and the lock of its directory is held.
            let exists = unsafe { !(*dentry).d_inode.is_null() };
            let result = if exists {
                Err(EEXIST)
            } else {
                make(dentry, delegated)
            };
            match result {
                Ok(()) => Ok(self.end_creating(dentry)),
                Err(error) => {
                    // SAFETY: Ends what `start_creating` has begun.
                    unsafe { bindings::end_dirop(dentry) };
                    Err(error)
                }
            }
        })?;
        match made {
            Some(path) => Ok(path),
            // Some file systems want a new lookup after they have made something.
            None => self.lookup(at.name),
        }
    }

    /// Makes a regular file; C: `vfs_create`. The umask is applied.
    ///
    /// [`EEXIST`] when there is something of this name.
    pub fn create<'a>(&self, name: impl Into<Component<'a>>, mode: u16) -> Result<Self> {
        self.make(name.into(), |dentry, delegated| {
            // SAFETY: The dentry is locked for creating it.
            to_result(unsafe { bindings::vfs_create(self.idmap(), dentry, mode, delegated) })
        })
    }

    /// Makes a device node, FIFO or socket; C: `vfs_mknod`. The umask is applied.
    pub fn mknod<'a>(
        &self,
        name: impl Into<Component<'a>>,
        mode: u16,
        device: u32,
    ) -> Result<Self> {
        self.make(name.into(), |dentry, delegated| {
            // SAFETY: The dentry is locked for creating it, in this directory.
            to_result(unsafe {
                bindings::vfs_mknod(self.idmap(), self.inode(), dentry, mode, device, delegated)
            })
        })
    }

    /// Makes a symbolic link; C: `vfs_symlink`.
    pub fn symlink<'a>(&self, name: impl Into<Component<'a>>, target: &CStr) -> Result<Self> {
        self.make(name.into(), |dentry, delegated| {
            // SAFETY: The dentry is locked for creating it, in this directory.
            to_result(unsafe {
                bindings::vfs_symlink(
                    self.idmap(),
                    self.inode(),
                    dentry,
                    target.as_char_ptr(),
                    delegated,
                )
            })
        })
    }

    /// Gives `file` another name; C: `vfs_link`.
    pub fn link<'a>(&self, name: impl Into<Component<'a>>, file: &Path) -> Result<Self> {
        self.make(name.into(), |dentry, delegated| {
            // SAFETY: The dentry is locked for creating it, in this directory.
            to_result(unsafe {
                bindings::vfs_link(file.dentry(), self.idmap(), self.inode(), dentry, delegated)
            })
        })
    }

    /// Gives `file`, which has no name, the name of another file, which loses it: at once, for all
    /// who list this directory or know no other name than that one. Until then it has the name
    /// `temporary`, and nobody else can lock the directory. C: `vfs_link` and `vfs_rename`.
    ///
    /// # Errors
    ///
    /// - `ESTALE`: the name stands for another file than `expected`.
    /// - [`EEXIST`]: there is something called `temporary`.
    pub fn replace(
        &self,
        name: &[u8],
        expected: &Path,
        file: &Path,
        temporary: &[u8],
    ) -> Result<Self> {
        let place = |dentry: *mut bindings::dentry,
                     delegated: *mut kernel::bindings::delegated_inode| {
            let mut qstr = qstr(name)?;
            // SAFETY: The directory is valid and locked, and the name outlives the call.
            let target = from_err_ptr(unsafe {
                bindings::lookup_one(self.idmap(), &mut qstr, self.dentry())
            })?;
            // SAFETY: The reference is ours.
            let _put = ScopeGuard::new(|| unsafe { bindings::dput(target) });
            // SAFETY: The dentry is valid, and the lock of its directory is held.
            if !ptr::eq(unsafe { (*target).d_inode }, expected.inode()) {
                return Err(ESTALE.into());
            }
            // What has had a name and lost it gets no other: all is waited for before.
            // SAFETY: The inode is valid.
            to_result(unsafe { bindings::try_break_deleg(expected.inode(), 0, delegated.cast()) })?;
            // SAFETY: The dentry is locked for creating it, in this directory.
            to_result(unsafe {
                bindings::vfs_link(file.dentry(), self.idmap(), self.inode(), dentry, delegated)
            })?;
            let mut data = bindings::renamedata {
                mnt_idmap: self.idmap(),
                old_parent: self.dentry(),
                old_dentry: dentry,
                new_parent: self.dentry(),
                new_dentry: target,
                delegated_inode: delegated,
                ..Default::default()
            };
            // SAFETY: Both dentries are valid, and of this directory, which is locked.
            let renamed = to_result(unsafe { bindings::vfs_rename(&mut data) });
            if renamed.is_err() {
                // SAFETY: The dentry is valid, and of this directory, which is locked.
                let removed = to_result(unsafe {
                    bindings::vfs_unlink(self.idmap(), self.inode(), dentry, ptr::null_mut())
                });
                if let Err(error) = removed {
                    pr_warn!("a file keeps a name that is not its own: {error:?}\n");
                }
            }
            renamed
        };
        self.make(temporary.into(), place)
    }

    /// Makes a directory; C: `vfs_mkdir`. The umask is applied.
    pub fn mkdir<'a>(&self, name: impl Into<Component<'a>>, mode: u16) -> Result<Self> {
        let at = name.into();
        self.check_directory()?;
        let made = break_delegations(|delegated| {
            let _write = WriteAccess::to(self)?;
            let dentry = self.start_creating(at)?;
            // SAFETY: The dentry is valid, and the lock of its directory is held.
            if unsafe { !(*dentry).d_inode.is_null() } {
                // SAFETY: Ends what `start_creating` has begun.
                unsafe { bindings::end_dirop(dentry) };
                return Err(EEXIST);
            }
            // After an error this has ended what `start_creating` has begun.
            // SAFETY: The dentry is locked for creating it, in this directory.
            let dentry = from_err_ptr(unsafe {
                bindings::vfs_mkdir(self.idmap(), self.inode(), dentry, mode, delegated)
            })?;
            Ok(self.end_creating(dentry))
        })?;
        match made {
            Some(path) => Ok(path),
            None => self.lookup(at.name),
        }
    }

    fn remove(
        &self,
        at: Component<'_>,
        expected: &Path,
        remove: impl Fn(*mut bindings::dentry, *mut kernel::bindings::delegated_inode) -> Result,
    ) -> Result {
        self.check_directory()?;
        break_delegations(|delegated| {
            let _write = WriteAccess::to(self)?;
            let dentry = match at.lock_known(self)? {
                Some(dentry) => dentry,
                None => {
                    let mut qstr = qstr(at.name)?;
                    // SAFETY: The dentry is valid, and the name outlives the call.
                    from_err_ptr(unsafe {
                        bindings::start_removing(self.idmap(), self.dentry(), &mut qstr)
                    })?
                }
            };
            // SAFETY: The dentry is valid, and the lock of its directory is held.
            let inode = unsafe { (*dentry).d_inode };
            let result = if inode.is_null() {
                Err(ENOENT)
            } else if ptr::eq(inode, expected.inode()) {
                remove(dentry, delegated)
            } else {
                Err(ESTALE.into())
            };
            // SAFETY: Ends what `start_removing` has begun.
            unsafe { bindings::end_dirop(dentry) };
            result
        })
    }

    /// Removes a name; C: `vfs_unlink`.
    ///
    /// # Errors
    ///
    /// - [`ENOENT`]: there is no such name.
    /// - `ESTALE`: the name stands for another file than `expected`.
    pub fn unlink<'a>(&self, name: impl Into<Component<'a>>, expected: &Path) -> Result {
        self.remove(name.into(), expected, |dentry, delegated| {
            // SAFETY: The dentry is locked for removing it, in this directory.
            to_result(unsafe {
                bindings::vfs_unlink(self.idmap(), self.inode(), dentry, delegated)
            })
        })
    }

    /// Removes an empty directory; C: `vfs_rmdir`. Errors as of [`Path::unlink`].
    pub fn rmdir<'a>(&self, name: impl Into<Component<'a>>, expected: &Path) -> Result {
        self.remove(name.into(), expected, |dentry, delegated| {
            // SAFETY: The dentry is locked for removing it, in this directory.
            to_result(unsafe { bindings::vfs_rmdir(self.idmap(), self.inode(), dentry, delegated) })
        })
    }
}
