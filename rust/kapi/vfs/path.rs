// SPDX-License-Identifier: GPL-2.0

//! Places in mounted file systems.
//!
//! C headers: [`include/linux/path.h`](srctree/include/linux/path.h),
//! [`include/linux/namei.h`](srctree/include/linux/namei.h)

use core::mem::ManuallyDrop;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*,
    sync::barrier,
    types::ScopeGuard,
};

/// What [`Path::inode_permission`] asks for; C: `MAY_READ`...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// To read a file or list a directory.
    Read,
    /// To write a file or change a directory.
    Write,
    /// To execute a file or look up names in a directory.
    Exec,
}

/// An existing file or directory, and the mount through which it is seen; C: `struct path`.
///
/// # Invariants
///
/// Holds a reference to the mount and one to the dentry. The dentry is positive; it stays so
/// because of the reference, even if the file is deleted.
pub struct Path(bindings::path);

// SAFETY: References to mounts and dentries belong to no task.
unsafe impl Send for Path {}

// SAFETY: The fields do not change, and what they point to has its own locks.
unsafe impl Sync for Path {}

impl Path {
    /// Takes over a `struct path`.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to each of the mount and the dentry, and give them up;
    /// the dentry must be positive.
    pub(crate) unsafe fn from_raw(path: bindings::path) -> Self {
        // INVARIANT: By the function's contract.
        Self(path)
    }

    pub(crate) fn as_raw(&self) -> *const bindings::path {
        &self.0
    }

    /// The path of an open file.
    ///
    /// # Safety
    ///
    /// `file` must be open.
    pub(crate) unsafe fn of_file(file: *mut bindings::file) -> Self {
        // SAFETY: The file is valid and its path never changes; reading either member of the
        // union gives the path.
        let path = unsafe { (*file).__bindgen_anon_1.f_path };
        // SAFETY: Both are valid.
        unsafe { bindings::path_get(&path) };
        // SAFETY: With the references just taken; what is open is positive.
        unsafe { Self::from_raw(path) }
    }

    pub(crate) fn dentry(&self) -> *mut bindings::dentry {
        self.0.dentry
    }

    pub(super) fn mount(&self) -> *mut bindings::vfsmount {
        self.0.mnt
    }

    pub(crate) fn inode(&self) -> *mut bindings::inode {
        // SAFETY: The dentry is valid, and positive for as long as we hold it, so the field
        // does not change.
        unsafe { (*self.0.dentry).d_inode }
    }

    pub(crate) fn super_block(&self) -> *mut bindings::super_block {
        // SAFETY: The dentry is valid; the field never changes.
        unsafe { (*self.0.dentry).d_sb }
    }

    pub(crate) fn idmap(&self) -> *mut bindings::mnt_idmap {
        // SAFETY: The mount is valid.
        unsafe { bindings::mnt_idmap(self.0.mnt) }
    }

    /// A path of the same mount.
    ///
    /// # Safety
    ///
    /// `dentry` must be positive and of the same superblock, and the caller gives up a reference
    /// to it.
    pub(crate) unsafe fn with_dentry(&self, dentry: *mut bindings::dentry) -> Self {
        // SAFETY: The mount is valid.
        unsafe { bindings::mntget(self.0.mnt) };
        // INVARIANT: The reference to the mount was just taken, the one to the dentry is the
        // caller's.
        Self(bindings::path {
            mnt: self.0.mnt,
            dentry,
        })
    }

    /// The directory of a path name in the calling task's view; C: `kern_path` with
    /// `LOOKUP_FOLLOW | LOOKUP_DIRECTORY`.
    pub fn kern_path_directory(name: &CStr) -> Result<Self> {
        let mut path = bindings::path::default();
        // SAFETY: The name is a C string, and `path` may be written.
        to_result(unsafe {
            bindings::kern_path(
                name.as_char_ptr(),
                bindings::LOOKUP_FOLLOW | bindings::LOOKUP_DIRECTORY,
                &mut path,
            )
        })?;
        // SAFETY: `kern_path` gave both references, and only finds what exists.
        Ok(unsafe { Self::from_raw(path) })
    }

    /// The directory that a path name leads to from this one; C: `vfs_path_lookup` with
    /// `LOOKUP_FOLLOW | LOOKUP_DIRECTORY | LOOKUP_BENEATH`. Other mounts count only if they are
    /// below this path's mount itself.
    ///
    /// # Errors
    ///
    /// [`EXDEV`] when it, or a symbolic link on the way, leads out of this directory; those of
    /// looking up.
    pub fn vfs_path_lookup(&self, name: &CStr) -> Result<Self> {
        let mut path = bindings::path::default();
        // SAFETY: Mount and dentry are valid, the name is a C string, and `path` may be written.
        to_result(unsafe {
            bindings::vfs_path_lookup(
                self.dentry(),
                self.mount(),
                name.as_char_ptr(),
                bindings::LOOKUP_FOLLOW | bindings::LOOKUP_DIRECTORY | bindings::LOOKUP_BENEATH,
                &mut path,
            )
        })?;
        // SAFETY: `vfs_path_lookup` gave both references, and only finds what exists.
        Ok(unsafe { Self::from_raw(path) })
    }

    /// The type bits of the file's mode (`S_IFMT`), which never change.
    pub fn file_type(&self) -> u16 {
        // SAFETY: The inode is valid, and the type bits of its mode never change.
        let mode = unsafe { (*self.inode()).i_mode };
        // CAST: The mask has 16 bits.
        mode & bindings::S_IFMT as u16
    }

    /// The permission bits of the file's mode, as of now.
    pub fn permissions(&self) -> u16 {
        // SAFETY: The inode is valid; the field is read as a whole.
        unsafe { (&raw const (*self.inode()).i_mode).read_volatile() & 0o7777 }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        // CAST: All of `S_IFMT` are 16 bits.
        self.file_type() == bindings::S_IFDIR as u16
    }

    /// Whether it is a regular file.
    pub fn is_reg(&self) -> bool {
        // CAST: All of `S_IFMT` are 16 bits.
        self.file_type() == bindings::S_IFREG as u16
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        // CAST: All of `S_IFMT` are 16 bits.
        self.file_type() == bindings::S_IFLNK as u16
    }

    /// The name of the file system's type.
    pub fn file_system_name(&self) -> &CStr {
        // SAFETY: The superblock is valid; its type never changes.
        let file_system_type = unsafe { (*self.super_block()).s_type };
        // SAFETY: A type stays as long as superblocks of it exist, so the field may be read.
        let name = unsafe { (*file_system_type).name };
        // SAFETY: The name is a C string that stays as long as the type does.
        unsafe { CStr::from_char_ptr(name) }
    }

    /// How many file systems are stacked below this one; C: `s_stack_depth`.
    pub fn stack_depth(&self) -> u32 {
        // SAFETY: The superblock is valid; the field does not change once it is mounted.
        let depth = unsafe { (*self.super_block()).s_stack_depth };
        u32::try_from(depth).unwrap_or(0)
    }

    /// The file system's UUID, all zero where it has none; C: `s_uuid`.
    pub fn file_system_uuid(&self) -> [u8; 16] {
        // SAFETY: The superblock is valid; the field does not change once it is mounted.
        unsafe { (*self.super_block()).s_uuid }.b
    }

    /// The entry of this name; C: `lookup_one_positive_unlocked`.
    ///
    /// Symbolic links are not followed, and neither are mounts: the result is of the same mount.
    ///
    /// # Errors
    ///
    /// - [`ENOTDIR`]: this is not a directory.
    /// - [`ENOENT`]: there is no such entry.
    /// - [`EACCES`]: the name is not a single component, or the task may not search here.
    pub fn lookup(&self, name: &[u8]) -> Result<Self> {
        if !self.is_dir() {
            return Err(ENOTDIR);
        }
        let mut qstr = qstr(name)?;
        // SAFETY: The dentry is a directory, to which we hold a reference; the name has the
        // length that is said, and outlives the call.
        let dentry = from_err_ptr(unsafe {
            bindings::lookup_one_positive_unlocked(self.idmap(), &mut qstr, self.dentry())
        })?;
        // SAFETY: The lookup gave a reference to a positive dentry below ours.
        Ok(unsafe { self.with_dentry(dentry) })
    }

    /// Whether this is `root` or lies below it; C: `is_subdir`.
    pub fn is_below(&self, root: &Path) -> bool {
        // SAFETY: Both dentries are valid.
        unsafe { bindings::is_subdir(self.dentry(), root.dentry()) }
    }

    /// The directory that has this entry; of a root, the root itself; C: `dget_parent`.
    pub fn parent(&self) -> Self {
        // SAFETY: The dentry is valid.
        let dentry = unsafe { bindings::dget_parent(self.dentry()) };
        // SAFETY: With the reference just taken; a parent is positive as long as it has children.
        unsafe { self.with_dentry(dentry) }
    }

    /// Whether no name leads to the file any more; C: `d_unlinked`.
    pub fn is_unlinked(&self) -> bool {
        // SAFETY: The dentry is valid.
        unsafe { bindings::d_unlinked(self.dentry()) }
    }

    /// The identity of the file: the same for all its names, and no other file of any file system
    /// has it as long as this path lives.
    pub fn identity(&self) -> usize {
        self.inode().addr()
    }

    /// The number of the file's inode, as the file system has it.
    pub fn ino(&self) -> u64 {
        // SAFETY: The inode is valid, and its number does not change.
        unsafe { (*self.inode()).i_ino }
    }

    /// Whether the file has no name any more.
    pub(crate) fn has_no_links(&self) -> bool {
        // SAFETY: The inode is valid; the field is read as a whole.
        unsafe { (&raw const (*self.inode()).__bindgen_anon_1.i_nlink).read_volatile() == 0 }
    }

    /// Whether the file is open for writing now more than `own` times. What was done before this is
    /// called is done for whoever opens the file afterwards.
    pub fn has_writers_besides(&self, own: usize) -> bool {
        barrier::smp_mb();
        let own = c_int::try_from(own).unwrap_or(c_int::MAX);
        // SAFETY: The inode is valid.
        unsafe { bindings::inode_has_writers(self.inode(), own) }
    }

    /// Whether `self` and `other` are the same place of the same file system.
    pub fn is_same(&self, other: &Path) -> bool {
        core::ptr::eq(self.dentry(), other.dentry())
    }

    /// Whether the task may do that with the file; C: `inode_permission`.
    pub fn inode_permission(&self, mask: Mask) -> Result {
        let mask = match mask {
            Mask::Read => bindings::MAY_READ,
            Mask::Write => bindings::MAY_WRITE,
            Mask::Exec => bindings::MAY_EXEC,
        };
        // SAFETY: The inode is valid, and the map is that of the path's mount.
        to_result(unsafe {
            // CAST: One of the lowest three bits.
            bindings::inode_permission(self.idmap(), self.inode(), mask as c_int)
        })
    }

    /// Whether the file belongs to the user as whom the task acts on files (`fsuid`).
    pub fn is_own(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe { bindings::inode_is_own(self.inode()) }
    }

    /// Writes all of the file system to stable storage, and waits; C: `sync_filesystem`.
    pub fn sync_filesystem(&self) -> Result {
        let sb = self.super_block();
        // SAFETY: The superblock is valid and active, because the mount is.
        unsafe { bindings::down_read(&raw mut (*sb).s_umount) };
        // SAFETY: As above; the lock that it wants is held.
        let result = to_result(unsafe { bindings::sync_filesystem(sb) });
        // SAFETY: It was taken above.
        unsafe { bindings::up_read(&raw mut (*sb).s_umount) };
        result
    }

    /// Calls `f` with the target of the symbolic link; C: `vfs_get_link`.
    ///
    /// [`EINVAL`] when this is not a symbolic link.
    pub fn with_link<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Result<R> {
        let mut done = ScopeGuard::new_with_data(
            bindings::delayed_call::default(),
            |mut done: bindings::delayed_call| {
                // SAFETY: Is neutral, or was set by `vfs_get_link`, and called just once.
                unsafe { bindings::do_delayed_call(&mut done) };
            },
        );
        // SAFETY: The dentry is valid, and `done` may be written.
        let target = unsafe { bindings::vfs_get_link(self.dentry(), &mut *done) };
        let target = from_err_ptr(target.cast_mut())?;
        if target.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: A C string that stays until `done` is called.
        let target = unsafe { CStr::from_char_ptr(target) };
        Ok(f(target.to_bytes()))
    }
}

impl Clone for Path {
    fn clone(&self) -> Self {
        // SAFETY: Both are valid.
        unsafe { bindings::path_get(self.as_raw()) };
        // INVARIANT: The references were just taken.
        Self(self.0)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // SAFETY: The references are ours, and given up here. May sleep.
        unsafe { bindings::path_put(self.as_raw()) };
    }
}

/// `QSTR_LEN`; valid as long as `name` is.
pub(crate) fn qstr(name: &[u8]) -> Result<bindings::qstr> {
    Ok(bindings::qstr {
        __bindgen_anon_1: bindings::qstr__bindgen_ty_1 {
            __bindgen_anon_1: bindings::qstr__bindgen_ty_1__bindgen_ty_1 {
                hash: 0,
                len: u32::try_from(name.len())?,
            },
        },
        name: name.as_ptr(),
    })
}

/// A path that somebody else owns.
pub(super) struct BorrowedPath(ManuallyDrop<Path>);

impl BorrowedPath {
    /// # Safety
    ///
    /// `path` must be valid and its dentry positive for as long as the result is used.
    pub(super) unsafe fn new(path: bindings::path) -> Self {
        Self(ManuallyDrop::new(Path(path)))
    }
}

impl core::ops::Deref for BorrowedPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}
