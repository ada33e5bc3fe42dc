// SPDX-License-Identifier: GPL-2.0

//! Inodes of the library: their sizes, and what the page cache has of them.
//!
//! C headers: [`include/linux/netfs.h`](srctree/include/linux/netfs.h),
//! [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h)

use hmdfs_bindings as bindings;
use kernel::{error::to_result, prelude::*};

use super::{table::Vtable, Operations};
use crate::fs::{inode::New, FileSystem, Inode};

impl<F: FileSystem> New<F> {
    /// Makes the inode, a regular file whose size is set, one of the library's.
    ///
    /// Its times are not kept by the VFS: the owner of the file does that, and this device for
    /// what it has not sent yet.
    pub fn set_netfs_operations<T: Operations<F>>(&self) {
        let inode = self.as_raw();
        // SAFETY: The inode is ours alone; the tables are static.
        unsafe {
            bindings::netfs_inode_init(self.netfs(), &Vtable::<F, T>::REQUESTS, false);
            (*inode).__bindgen_anon_3.i_fop = &Vtable::<F, T>::FILES;
            (*(*inode).i_mapping).a_ops = &Vtable::<F, T>::MAPPING;
            (*inode).i_flags |= bindings::S_NOATIME | bindings::S_NOCMTIME;
            bindings::mapping_set_large_folios((*inode).i_mapping);
        }
    }
}

/// The lock of an inode, held exclusively; C: `i_rwsem`.
pub struct InodeLock<'a, F: FileSystem>(&'a Inode<F>);

impl<F: FileSystem> Drop for InodeLock<'_, F> {
    fn drop(&mut self) {
        // SAFETY: It was taken when the value was made.
        unsafe { bindings::inode_unlock(self.0.as_raw()) };
    }
}

/// Functions for inodes with [`Operations`].
impl<F: FileSystem> Inode<F> {
    /// Takes over the size that the file has at its owner; C: `truncate_setsize`.
    ///
    /// The inode is locked exclusively, and nothing that was written is missing at the owner.
    /// Drops the pages beyond the size; may sleep.
    pub fn resize_netfs(&self, size: u64) {
        // SAFETY: The inode is valid, one of the library's, and locked.
        unsafe { bindings::netfs_truncate(self.netfs(), size as i64) };
    }

    /// Waits until direct reads and writes have ended; C: `inode_dio_wait`.
    ///
    /// The inode is locked exclusively, so that none begin.
    pub fn dio_wait(&self) {
        // SAFETY: The inode is valid.
        unsafe { bindings::inode_dio_wait(self.as_raw()) };
    }

    /// Drops a range from the page cache, with the whole folios that it touches; what was written
    /// to them is sent first. May sleep.
    pub fn invalidate_range(&self, offset: u64, length: u64) -> Result {
        let last = offset.saturating_add(length).saturating_sub(1);
        let (start, last) = (
            i64::try_from(offset)?,
            i64::try_from(last).unwrap_or(i64::MAX),
        );
        if length != 0 {
            // For the result see `invalidate_pages`.
            // SAFETY: The inode is valid.
            let _ = unsafe { bindings::filemap_invalidate_inode(self.as_raw(), true, start, last) };
        }
        Ok(())
    }

    /// Drops everything from the page cache, mapped or not; what was written is sent first. May
    /// sleep.
    pub fn invalidate_pages(&self) {
        // The result tells of writes that failed, perhaps long ago: `fsync` and `close` do that.
        // SAFETY: The inode is valid.
        let _ = unsafe { bindings::filemap_invalidate_inode(self.as_raw(), true, 0, i64::MAX) };
    }

    /// Sends all that was written, and waits; as `filemap_write_and_wait`, but EINTR when the task is
    /// being killed, or was: then sending goes on by itself. May sleep.
    ///
    /// Its errors are also told to `fsync` and `close`.
    pub fn write_and_wait(&self) -> Result {
        // SAFETY: The inode is valid.
        to_result(unsafe { bindings::mapping_write_and_wait_killable((*self.as_raw()).i_mapping) })
    }

    /// As [`Inode::write_and_wait`], but whatever the signal, and also of a task that was killed: for what
    /// must not be seen before the data are.
    pub fn write_and_wait_uninterruptible(&self) -> Result {
        // SAFETY: The inode is valid.
        to_result(unsafe {
            bindings::filemap_write_and_wait_range((*self.as_raw()).i_mapping, 0, i64::MAX)
        })
    }

    /// Something that was written is lost: `fsync` and `close` of each open file tell so; C:
    /// `mapping_set_error`.
    pub fn set_write_error(&self, error: Error) {
        // SAFETY: The inode is valid.
        unsafe { bindings::mapping_set_error((*self.as_raw()).i_mapping, error.to_errno()) };
    }

    /// Whether something that was written to the page cache has not arrived at the owner.
    pub fn is_being_written(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe { bindings::mapping_is_being_written((*self.as_raw()).i_mapping) }
    }

    /// Locks the inode exclusively; EINTR when the task is being killed.
    pub fn lock_killable(&self) -> Result<InodeLock<'_, F>> {
        // SAFETY: The inode is valid.
        to_result(unsafe { bindings::down_write_killable(&raw mut (*self.as_raw()).i_rwsem) })?;
        Ok(InodeLock(self))
    }

    /// Locks the inode exclusively if that needs no waiting.
    pub fn try_lock(&self) -> Option<InodeLock<'_, F>> {
        // SAFETY: The inode is valid.
        let locked = unsafe { bindings::down_write_trylock(&raw mut (*self.as_raw()).i_rwsem) };
        (locked != 0).then(|| InodeLock(self))
    }
}
