// SPDX-License-Identifier: GPL-2.0

//! Operations of inodes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_result, VTABLE_DEFAULT_ERROR},
    prelude::*,
    str::CStrExt,
    uaccess::{UserPtr, UserSlice},
};

use super::{context::FileSystem, dentry, inode, stack, Dentry, Inode};
use crate::vfs::{self, rename::Flags};

/// Result of `getattr`: what `stat` tells; C: `struct kstat`.
pub struct Stat<'a>(&'a mut bindings::kstat);

impl Stat<'_> {
    /// Sets the preferred size of an I/O, in bytes.
    pub fn set_blksize(&mut self, bytes: u32) {
        self.0.blksize = bytes;
    }

    /// Shows permission bits that the inode does not have.
    pub fn add_mode(&mut self, bits: u16) {
        self.0.mode |= bits & 0o7777;
    }

    /// Sets the time of creation, in seconds and nanoseconds.
    pub fn set_btime(&mut self, seconds: i64, nanoseconds: u32) {
        self.0.btime.tv_sec = seconds;
        self.0.btime.tv_nsec = nanoseconds as isize;
        self.0.result_mask |= bindings::STATX_BTIME;
    }
}

/// What `getattr` was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Wanted fields (`STATX_*`).
    pub mask: u32,
    flags: u32,
}

impl Query {
    /// `AT_STATX_DONT_SYNC`: what is known is good enough.
    pub fn dont_sync(&self) -> bool {
        self.flags & bindings::AT_STATX_DONT_SYNC != 0
    }

    /// `AT_STATX_FORCE_SYNC`: the owner must be asked.
    pub fn force_sync(&self) -> bool {
        self.flags & bindings::AT_STATX_FORCE_SYNC != 0
    }
}

/// Operations of an inode; C: `struct inode_operations`.
///
/// An operation that is left out is answered by the VFS as the table's documentation says
/// (Documentation/filesystems/vfs.rst): for those that change something, with an error.
#[vtable]
pub trait Operations<F: FileSystem>: 'static {
    /// Finds an entry of `dir`. `dir`'s lock is held, shared or exclusive; may sleep.
    fn lookup(dir: &Inode<F>, dentry: dentry::InLookup<'_, F>) -> Result<dentry::Spliced<F>> {
        let _ = (dir, dentry);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Brings the inode's attributes up to date; the common fields of `stat` are then filled from
    /// the inode (C: `generic_fillattr`), and this may set more. No lock is held; may sleep.
    fn getattr(inode: &Inode<F>, query: Query) -> Result {
        let _ = (inode, query);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Completes `stat` after the common fields were filled from the inode.
    fn fill_stat(inode: &Inode<F>, stat: &mut Stat<'_>) {
        let _ = (inode, stat);
    }

    /// Whether attributes, permissions, extended attributes, access control lists and links are
    /// those of the lower inode, which an inode with these operations then must have; see
    /// [`super::stack`]. [`Operations::getattr`] is not called then.
    const STACKED: bool = false;

    /// Whether these are the operations of symbolic links that stand on lower ones. The VFS takes
    /// every inode for a symbolic link that has the operation to follow it.
    const STACKED_LINK: bool = false;

    /// Whether everything that would change the inode fails with `EROFS`.
    const READ_ONLY: bool = false;

    /// The target of a symbolic link, for a path walk that follows it at `dentry`, and may be
    /// refused. No lock is held; may sleep.
    fn get_link<'a>(inode: &'a Inode<F>, dentry: &Dentry<F>) -> Result<&'a CStr> {
        let _ = (inode, dentry);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The target of a symbolic link, for a program that wants to know it.
    fn readlink(inode: &Inode<F>) -> Result<&CStr> {
        let _ = inode;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a regular file. Like all operations that change a directory: `dir`'s lock is held
    /// exclusively; may sleep. `exclusive`: `EEXIST` if there is one, else `ESTALE` to have the
    /// name looked up anew. The umask is not applied to `mode` yet.
    fn create(
        dir: &Inode<F>,
        dentry: dentry::Negative<'_, F>,
        mode: u16,
        exclusive: bool,
    ) -> Result<dentry::Instantiated> {
        let _ = (dir, dentry, mode, exclusive);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a directory. The umask is not applied to `mode` yet.
    fn mkdir(
        dir: &Inode<F>,
        dentry: dentry::Negative<'_, F>,
        mode: u16,
    ) -> Result<dentry::Spliced<F>> {
        let _ = (dir, dentry, mode);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a device node, FIFO or socket. The umask is not applied to `mode` yet.
    fn mknod(
        dir: &Inode<F>,
        dentry: dentry::Negative<'_, F>,
        mode: u16,
        device: u32,
    ) -> Result<dentry::Instantiated> {
        let _ = (dir, dentry, mode, device);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a symbolic link.
    fn symlink(
        dir: &Inode<F>,
        dentry: dentry::Negative<'_, F>,
        target: &CStr,
    ) -> Result<dentry::Instantiated> {
        let _ = (dir, dentry, target);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Gives a file, which is locked too, another name.
    fn link(
        file: &Inode<F>,
        dir: &Inode<F>,
        dentry: dentry::Negative<'_, F>,
    ) -> Result<dentry::Instantiated> {
        let _ = (file, dir, dentry);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes a name of a file, which is locked too.
    fn unlink(dir: &Inode<F>, dentry: &Dentry<F>) -> Result {
        let _ = (dir, dentry);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes an empty directory, which is locked too.
    fn rmdir(dir: &Inode<F>, dentry: &Dentry<F>) -> Result {
        let _ = (dir, dentry);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Renames. Both directories are locked exclusively. After success `old` is moved to where
    /// `new` is, or the two change places, before anybody sees them.
    fn rename(
        old_dir: &Inode<F>,
        old: &Dentry<F>,
        new_dir: &Inode<F>,
        new: &Dentry<F>,
        flags: Flags,
    ) -> Result {
        let _ = (old_dir, old, new_dir, new, flags);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The inode for a file without a name that was just made as `lower`; C: `tmpfile`.
    fn tmpfile(dir: &Inode<F>, lower: vfs::Path) -> Result<inode::Ref<F>> {
        let _ = (dir, lower);
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// Makes the C table for `T`.
pub(super) const fn table<F: FileSystem, T: Operations<F>>() -> &'static bindings::inode_operations
{
    &Vtable::<F, T>::OPERATIONS
}

struct Vtable<F, T>(PhantomData<(F, T)>);

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    const OPERATIONS: bindings::inode_operations = bindings::inode_operations {
        lookup: if T::HAS_LOOKUP {
            Some(Self::lookup)
        } else {
            None
        },
        getattr: if T::STACKED {
            Some(stack::attributes::getattr)
        } else if T::HAS_GETATTR {
            Some(Self::getattr)
        } else {
            None
        },
        create: if T::HAS_CREATE {
            Some(Self::create)
        } else {
            None
        },
        link: if T::HAS_LINK { Some(Self::link) } else { None },
        mkdir: if T::HAS_MKDIR {
            Some(Self::mkdir)
        } else {
            None
        },
        mknod: if T::HAS_MKNOD {
            Some(Self::mknod)
        } else {
            None
        },
        rename: if T::HAS_RENAME {
            Some(Self::rename)
        } else {
            None
        },
        rmdir: if T::HAS_RMDIR {
            Some(Self::rmdir)
        } else {
            None
        },
        symlink: if T::HAS_SYMLINK {
            Some(Self::symlink)
        } else {
            None
        },
        tmpfile: if T::HAS_TMPFILE {
            Some(Self::tmpfile)
        } else {
            None
        },
        unlink: if T::HAS_UNLINK {
            Some(Self::unlink)
        } else {
            None
        },
        fiemap: if T::STACKED {
            Some(stack::attributes::fiemap)
        } else {
            None
        },
        fileattr_get: if T::STACKED {
            Some(stack::attributes::fileattr_get)
        } else {
            None
        },
        fileattr_set: if T::STACKED {
            Some(stack::attributes::fileattr_set)
        } else {
            None
        },
        get_acl: if T::STACKED {
            Some(stack::xattr::get_acl)
        } else {
            None
        },
        get_link: if T::STACKED_LINK {
            Some(stack::attributes::get_link)
        } else if T::HAS_GET_LINK {
            Some(Self::get_link)
        } else {
            None
        },
        listxattr: if T::STACKED {
            Some(stack::xattr::listxattr)
        } else {
            None
        },
        permission: if T::STACKED {
            Some(stack::attributes::permission)
        } else if T::READ_ONLY {
            Some(Self::read_only_permission)
        } else {
            None
        },
        set_acl: if T::STACKED {
            Some(stack::xattr::set_acl)
        } else {
            None
        },
        setattr: if T::STACKED {
            Some(stack::attributes::setattr)
        } else if T::READ_ONLY {
            Some(Self::read_only_setattr)
        } else {
            None
        },
        readlink: if T::HAS_READLINK {
            Some(Self::readlink)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// The VFS calls this with a symbolic link of `F`; `dentry` is null in an RCU walk.
    unsafe extern "C" fn get_link(
        dentry: *mut bindings::dentry,
        inode: *mut bindings::inode,
        _done: *mut bindings::delayed_call,
    ) -> *const c_char {
        if dentry.is_null() {
            return ECHILD.to_ptr();
        }
        // SAFETY: By the function's contract; a walk that is not under RCU holds both.
        let (inode, dentry) = unsafe { (Inode::<F>::from_raw(inode), Dentry::from_raw(dentry)) };
        match T::get_link(inode, dentry) {
            // The walk holds the inode, and with it the target, as long as it needs it.
            Ok(target) => target.as_char_ptr(),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// The VFS calls this with a positive dentry of `F` and memory of user space.
    unsafe extern "C" fn readlink(
        dentry: *mut bindings::dentry,
        buffer: *mut c_char,
        length: c_int,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let inode = unsafe { Inode::<F>::from_raw((*dentry).d_inode) };
            let target = T::readlink(inode)?.to_bytes();
            let room = usize::try_from(length)?;
            let target = target.get(..room).unwrap_or(target);
            let user = UserSlice::new(UserPtr::from_ptr(buffer.cast()), room);
            user.writer().write_slice(target)?;
            Ok(c_int::try_from(target.len())?)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with an inode of `F`, which may be in an RCU walk.
    unsafe extern "C" fn read_only_permission(
        idmap: *mut bindings::mnt_idmap,
        inode: *mut bindings::inode,
        mask: c_int,
    ) -> c_int {
        if mask & bindings::MAY_WRITE as c_int != 0 {
            return EROFS.to_errno();
        }
        // SAFETY: By the function's contract; the function knows about RCU walks.
        unsafe { bindings::generic_permission(idmap, inode, mask) }
    }

    /// # Safety
    ///
    /// None.
    unsafe extern "C" fn read_only_setattr(
        _idmap: *mut bindings::mnt_idmap,
        _dentry: *mut bindings::dentry,
        _attributes: *mut bindings::iattr,
    ) -> c_int {
        EROFS.to_errno()
    }

    /// # Safety
    ///
    /// The VFS calls this with a directory of `F` and a dentry in it that is in lookup.
    unsafe extern "C" fn lookup(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        _flags: c_uint,
    ) -> *mut bindings::dentry {
        // SAFETY: The name of a dentry in lookup does not change; the length is a plain number.
        let length = unsafe {
            (*dentry)
                .__bindgen_anon_1
                .d_name
                .__bindgen_anon_1
                .__bindgen_anon_1
                .len
        };
        if length > bindings::NAME_MAX {
            return crate::errno::ENAMETOOLONG.error().to_ptr();
        }
        // SAFETY: The VFS holds a reference to the directory.
        let dir = unsafe { Inode::<F>::from_raw(dir) };
        // SAFETY: By the function's contract.
        let dentry = unsafe { dentry::InLookup::from_raw(dentry) };
        match T::lookup(dir, dentry) {
            Ok(spliced) => spliced.into_raw(),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// The VFS calls this with a path of `F` and a `stat` to fill.
    unsafe extern "C" fn getattr(
        idmap: *mut bindings::mnt_idmap,
        path: *const bindings::path,
        stat: *mut bindings::kstat,
        mask: u32,
        flags: c_uint,
    ) -> c_int {
        from_result(|| {
            // SAFETY: A path that is stat'ed is positive and holds its inode.
            let inode = unsafe { Inode::<F>::from_raw((*(*path).dentry).d_inode) };
            T::getattr(inode, Query { mask, flags })?;
            // SAFETY: All are valid for the call.
            unsafe { bindings::generic_fillattr(idmap, mask, inode.as_raw(), stat) };
            // SAFETY: As above.
            let mut stat = Stat(unsafe { &mut *stat });
            if T::HAS_FILL_STAT {
                T::fill_stat(inode, &mut stat);
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a locked directory of `F` and a negative dentry in it.
    unsafe extern "C" fn create(
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
    unsafe extern "C" fn mkdir(
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
    unsafe extern "C" fn mknod(
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
    unsafe extern "C" fn symlink(
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
    unsafe extern "C" fn link(
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
    unsafe extern "C" fn unlink(dir: *mut bindings::inode, dentry: *mut bindings::dentry) -> c_int {
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
    unsafe extern "C" fn rmdir(dir: *mut bindings::inode, dentry: *mut bindings::dentry) -> c_int {
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
    unsafe extern "C" fn rename(
        _idmap: *mut bindings::mnt_idmap,
        old_dir: *mut bindings::inode,
        old: *mut bindings::dentry,
        new_dir: *mut bindings::inode,
        new: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        from_result(|| {
            let flags = Flags::from_raw(flags);
            // SAFETY: By the function's contract.
            let dirs = unsafe { (Inode::from_raw(old_dir), Inode::from_raw(new_dir)) };
            // SAFETY: By the function's contract.
            let dentries = unsafe { (Dentry::from_raw(old), Dentry::from_raw(new)) };
            T::rename(dirs.0, dentries.0, dirs.1, dentries.1, flags)?;
            // The file system says that it does this (`FS_RENAME_DOES_D_MOVE`).
            if flags.is_exchange() {
                // SAFETY: Both dentries and directories are locked for it.
                unsafe { bindings::d_exchange(old, new) };
            } else {
                // SAFETY: As above.
                unsafe { bindings::d_move(old, new) };
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a locked directory of `F` and a file that is being opened.
    unsafe extern "C" fn tmpfile(
        _idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        file: *mut bindings::file,
        mode: u16,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let dir = unsafe { Inode::<F>::from_raw(dir) };
            let parent = dir.lower().ok_or(crate::errno::EOPNOTSUPP)?;
            // SAFETY: By the function's contract.
            unsafe { stack::tmpfile::tmpfile(file, parent, mode, |path| T::tmpfile(dir, path)) }?;
            Ok(0)
        })
    }
}
