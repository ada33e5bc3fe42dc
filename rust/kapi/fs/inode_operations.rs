// SPDX-License-Identifier: GPL-2.0

//! Operations of inodes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use hmdfs_bindings as bindings;
use kernel::{error::VTABLE_DEFAULT_ERROR, prelude::*};

use super::{context::FileSystem, dentry, stack, Dentry, Inode};
use crate::vfs::{rename::Flags, AclType, Changes};

mod attributes;
mod change;
mod open;
mod partly_stacked;
mod table;

pub use open::{Opened, Opening};
pub use stack::tmpfile::{Opened as TmpfileOpened, Tmpfile};
pub(super) use table::table;

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

/// What becomes of dentries after a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// The old one moves to where the new one is, or the two change places.
    Moved,
    /// As with the other, but the new name stands for something else: it is looked up anew.
    Apart,
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

    /// As [`Operations::STACKED`], but only while the inode has a lower one; otherwise permissions
    /// are judged by the inode's mode, and the rest by the methods of this trait. The latter goes
    /// for [`Operations::getattr`] always. Links and files are not meant: for directories only.
    const PARTLY_STACKED: bool = false;

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

    /// Renames. Both directories are locked exclusively. After success the dentries become what
    /// [`Renamed`] says, before anybody sees them.
    fn rename(
        old_dir: &Inode<F>,
        old: &Dentry<F>,
        new_dir: &Inode<F>,
        new: &Dentry<F>,
        flags: Flags,
    ) -> Result<Renamed> {
        let _ = (old_dir, old, new_dir, new, flags);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Opens the name `opening`, and makes the file if that is wanted, in one step. `dir`'s lock is
    /// held, exclusively if a file may be made; may sleep. Where this is left out, the VFS looks
    /// the name up, makes the file and opens it one after the other.
    fn atomic_open(dir: &Inode<F>, opening: Opening<'_, F>) -> Result<Opened> {
        let _ = (dir, opening);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes attributes, which the calling task may do as far as the inode tells
    /// (C: `setattr_prepare`). The inode is locked exclusively; may sleep.
    fn setattr(inode: &Inode<F>, changes: &Changes) -> Result {
        let _ = (inode, changes);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes the names of the extended attributes to `list`, with a NUL after each, and gives
    /// their length; [`ERANGE`] when they do not fit. An empty `list` asks for the length alone.
    /// No lock is held; may sleep.
    fn listxattr(inode: &Inode<F>, list: &mut [u8]) -> Result<usize> {
        let _ = (inode, list);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// An access control list in the form of its extended attribute, if there is one. It is
    /// asked for by programs only, and not cached: the permissions that count here are those of
    /// the inode's mode. May sleep.
    fn get_acl(inode: &Inode<F>, acl_type: AclType) -> Result<Option<KVVec<u8>>> {
        let _ = (inode, acl_type);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets or removes an access control list. The inode is locked exclusively; may sleep.
    fn set_acl(inode: &Inode<F>, acl_type: AclType, acl: Option<&[u8]>) -> Result {
        let _ = (inode, acl_type, acl);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes and opens a file without a name. `dir` is not locked; may sleep.
    fn tmpfile(dir: &Inode<F>, file: Tmpfile<'_, F>) -> Result<TmpfileOpened> {
        let _ = (dir, file);
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}
