// SPDX-License-Identifier: GPL-2.0

//! Regular files through the netfs library.
//!
//! C header: [`include/linux/netfs.h`](srctree/include/linux/netfs.h)
//!
//! The library owns the page cache, readahead, writing back and direct I/O, and asks the
//! file system for nothing but to read and write: [`Operations::issue_read`] is given a
//! [`ReadSubrequest`], [`Operations::issue_write`] a [`WriteSubrequest`]. Each must be
//! completed once, at any later time and from any context that can take spinlocks. Dropping
//! one completes it with EIO, so that none can be forgotten.

mod inode;
mod killable;
mod lock;
mod subrequest;
mod table;

use kernel::{prelude::*, types::ForeignOwnable};

use crate::{
    fs::{
        lock::{FileLock, Owner},
        File, FileSystem, Inode,
    },
    vfs::Allocation,
};

pub use subrequest::{ReadSubrequest, WriteSubrequest};

/// What a file system gives to the library; C: `struct netfs_request_ops`, and of `struct
/// file_operations` what the library does not do.
pub trait Operations<F: FileSystem>: 'static {
    /// Most bytes in one subrequest that reads.
    const READ_SIZE: u32;

    /// Most bytes in one subrequest that writes.
    const WRITE_SIZE: u32;

    /// What belongs to an open file.
    type Private: ForeignOwnable + Send + Sync;

    /// Opens a file: sees to it that the attributes of the inode are right and that the page
    /// cache holds nothing stale. No lock is held; may sleep.
    fn open(inode: &Inode<F>, file: &File<F>) -> Result<Self::Private>;

    /// Begins to read. May sleep, but must not wait for the data.
    fn issue_read(inode: &Inode<F>, read: ReadSubrequest);

    /// Begins to write. May sleep, but must not wait for the data to be written. Memory
    /// reclaim may wait for this: allocations are made as with `GFP_NOFS`.
    fn issue_write(write: WriteSubrequest<F>);

    /// What is known of an `fsync` while it is under way.
    type Syncing;

    /// What was written is about to be written back, and [`Operations::fsync`] to be called. Must not
    /// sleep.
    fn begin_fsync(inode: &Inode<F>, data_only: bool) -> Self::Syncing;

    /// Waits until what was written is on stable storage. No lock is held; may sleep.
    fn fsync(inode: &Inode<F>, syncing: Self::Syncing) -> Result;

    /// Allocates or frees space, and takes over the attributes that the file has then. The inode
    /// is locked, and what was written is with the owner; pages of the range are dropped
    /// afterwards.
    fn fallocate(
        inode: &Inode<F>,
        what: Allocation,
        keep_size: bool,
        offset: u64,
        length: u64,
    ) -> Result;

    /// Copies from one inode to another, which is locked, and takes over the attributes that it
    /// has then; gives the number of bytes. What was written to either is with the owner; the pages
    /// of the target's range are dropped afterwards.
    ///
    /// With `clone`, the two share what is copied. [`EXDEV`] when the two have not the same owner.
    fn copy(source: &Inode<F>, target: &Inode<F>, range: &CopyRange) -> Result<u64>;

    /// The next data, or hole, from `offset` on; [`ENXIO`] when there is none. What was written is
    /// with the owner.
    fn seek(inode: &Inode<F>, offset: u64, hole: bool) -> Result<u64>;

    /// Takes a lock or gives locks up, and records that with [`FileLock::record`]. No lock of the
    /// kernel is held; may sleep.
    fn lock(inode: &Inode<F>, lock: &mut FileLock<'_, F>) -> Result;

    /// Answers whether a lock would be granted. No lock of the kernel is held; may sleep.
    fn test_lock(inode: &Inode<F>, lock: &mut FileLock<'_, F>) -> Result;

    /// An open file was closed, or one of a process: all locks that `owner` may still have on the
    /// inode are to be given up. No lock of the kernel is held; may sleep.
    fn closed(inode: &Inode<F>, owner: Owner);

    /// Whether the calling task may read and write through `file` as far as locks go. Called for
    /// each read and write.
    fn may_transfer(inode: &Inode<F>, file: &File<F>) -> Result;

    /// Whether what a program is about to write has to go to the owner at once, and no more than that.
    /// Called for each write without O_DIRECT. No lock is held; may sleep.
    fn writes_through(inode: &Inode<F>) -> bool;

    /// Sees to it that the size of the inode, which is locked, is right: a program is about to append.
    fn find_end(inode: &Inode<F>);

    /// Whether what was just written to the page cache may stay there; otherwise it is sent. No lock is
    /// held; may sleep.
    fn may_stay(inode: &Inode<F>) -> bool;
}

/// What to copy from one file to another.
#[derive(Clone, Copy, Debug)]
pub struct CopyRange {
    /// First byte of the source.
    pub source_offset: u64,
    /// First byte of the target.
    pub offset: u64,
    /// Number of bytes; zero, of a clone: to the end of the source.
    pub length: u64,
    /// Whether the files share the space afterwards.
    pub clone: bool,
}
