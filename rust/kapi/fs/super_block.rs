// SPDX-License-Identifier: GPL-2.0

//! Superblocks.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    types::{ForeignOwnable, Opaque},
};

use super::{
    context::FileSystem,
    dentry,
    inode::{self, InodeWithData},
    stack, Inode,
};

/// A superblock; C: `struct super_block`.
///
/// # Invariants
///
/// It belongs to the file system `F`, and `s_fs_info` holds a foreign-owned `F::Data`.
#[repr(transparent)]
pub struct SuperBlock<F: FileSystem>(Opaque<bindings::super_block>, PhantomData<F>);

impl<F: FileSystem> SuperBlock<F> {
    /// # Safety
    ///
    /// `sb` must be valid for `'a` and belong to `F`.
    pub(crate) unsafe fn from_raw<'a>(sb: *mut bindings::super_block) -> &'a Self {
        // SAFETY: By the function's contract; the type is transparent.
        unsafe { &*sb.cast() }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::super_block {
        self.0.get()
    }

    /// What belongs to the superblock.
    pub fn data(&self) -> <F::Data as ForeignOwnable>::Borrowed<'_> {
        // SAFETY: By the type invariant.
        unsafe { F::Data::borrow((*self.as_raw()).s_fs_info) }
    }

    /// Sets the operations of all dentries; C: `set_default_d_op`. To be called by
    /// [`FileSystem::fill_super`] before any dentry is made.
    pub fn set_default_d_op<T: dentry::Operations<F>>(&self) {
        // SAFETY: The superblock is valid and the table is static.
        unsafe { bindings::set_default_d_op(self.as_raw(), dentry::table::<F, T>()) };
    }

    /// Sets up a backing device with the given readahead, in bytes; C: `super_setup_bdi`.
    pub fn setup_bdi(&self, readahead: usize) -> Result {
        // SAFETY: The superblock is new, so it has no backing device.
        to_result(unsafe { bindings::super_setup_bdi(self.as_raw()) })?;
        let pages = readahead >> kernel::page::PAGE_SHIFT;
        // SAFETY: `super_setup_bdi` has made the device, and nothing uses it yet.
        unsafe {
            let bdi = (*self.as_raw()).s_bdi;
            (*bdi).ra_pages = pages;
            (*bdi).io_pages = pages;
        }
        Ok(())
    }

    /// What [`SuperBlock::set_stack_depth`] has said.
    pub fn stack_depth(&self) -> u32 {
        // SAFETY: The superblock is valid; the field does not change once it is mounted.
        let depth = unsafe { (*self.as_raw()).s_stack_depth };
        u32::try_from(depth).unwrap_or(0)
    }

    /// Says that the file system is stacked `depth` levels above what it stacks on.
    /// EINVAL when that is more than the kernel allows.
    pub fn set_stack_depth(&self, depth: u32) -> Result {
        if depth > bindings::FILESYSTEM_MAX_STACK_DEPTH {
            return Err(EINVAL);
        }
        // SAFETY: The superblock is valid and not in use yet.
        unsafe { (*self.as_raw()).s_stack_depth = depth as c_int };
        Ok(())
    }
}

/// The C entry points of a superblock.
pub(super) struct Vtable<F>(PhantomData<F>);

impl<F: FileSystem> Vtable<F> {
    pub(super) const OPERATIONS: bindings::super_operations = bindings::super_operations {
        alloc_inode: Some(inode::alloc_inode::<F>),
        free_inode: Some(inode::free_inode),
        drop_inode: Some(stack::drop_inode),
        evict_inode: Some(inode::evict_inode::<F>),
        write_inode: Some(Self::write_inode),
        statfs: Some(Self::statfs),
        sync_fs: Some(Self::sync_fs),
        umount_begin: Some(Self::umount_begin),
        show_options: Some(Self::show_options),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `inode` must be an inode of this file system.
    unsafe extern "C" fn write_inode(
        inode: *mut bindings::inode,
        wbc: *mut bindings::writeback_control,
    ) -> c_int {
        // SAFETY: All our inodes have a netfs context in front; see `InodeWithData`.
        unsafe { bindings::netfs_unpin_writeback(inode, wbc) }
    }

    /// # Safety
    ///
    /// `dentry` must be a positive dentry of this file system, `buffer` valid for writing.
    unsafe extern "C" fn statfs(
        dentry: *mut bindings::dentry,
        buffer: *mut kernel::bindings::kstatfs,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The dentry is positive and holds its inode.
            let inode = unsafe { Inode::<F>::from_raw((*dentry).d_inode) };
            let stat = F::statfs(inode)?;
            let buffer = buffer.cast::<bindings::kstatfs>();
            // SAFETY: Valid by the function's contract.
            let buffer = unsafe { &mut *buffer };
            buffer.f_type = F::MAGIC as isize;
            buffer.f_bsize = stat.block_size as isize;
            buffer.f_frsize = stat.block_size as isize;
            buffer.f_blocks = stat.blocks;
            buffer.f_bfree = stat.blocks_free;
            buffer.f_bavail = stat.blocks_available;
            buffer.f_files = stat.files;
            buffer.f_ffree = stat.files_free;
            buffer.f_namelen = stat.name_max as isize;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `sb` must be a superblock of this file system, with `s_umount` held.
    unsafe extern "C" fn sync_fs(sb: *mut bindings::super_block, wait: c_int) -> c_int {
        if wait == 0 {
            // Writing is begun elsewhere; there is a second call that waits.
            return 0;
        }
        from_result(|| {
            // SAFETY: By the function's contract.
            F::sync_fs(unsafe { SuperBlock::<F>::from_raw(sb) }.data())?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `sb` must be a superblock of this file system.
    unsafe extern "C" fn umount_begin(sb: *mut bindings::super_block) {
        // SAFETY: By the function's contract.
        F::umount_begin(unsafe { SuperBlock::<F>::from_raw(sb) }.data());
    }

    /// # Safety
    ///
    /// `dentry` must be a dentry of this file system.
    unsafe extern "C" fn show_options(
        seq: *mut bindings::seq_file,
        dentry: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: A dentry refers to its superblock as long as it lives.
        let sb = unsafe { SuperBlock::<F>::from_raw((*dentry).d_sb) };
        // SAFETY: The VFS gives a valid `seq_file` for the call.
        let seq = unsafe { kernel::seq_file::SeqFile::from_raw(seq) };
        F::show_options(sb.data(), seq);
        0
    }
}

// Inodes are laid out as `InodeWithData`; the C inode comes first.
const _: () = assert!(core::mem::offset_of!(InodeWithData<(), ()>, stacked) == 0);
