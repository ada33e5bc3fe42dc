// SPDX-License-Identifier: GPL-2.0

//! Open files of directories, and what all open files have in common.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::{
    error::from_result,
    prelude::*,
    types::{ForeignOwnable, Opaque},
};

use super::{context::FileSystem, directory, Dentry, Inode};

/// An open file; C: `struct file`.
///
/// # Invariants
///
/// It belongs to the file system `F`.
#[repr(transparent)]
pub struct File<F: FileSystem>(Opaque<bindings::file>, PhantomData<F>);

impl<F: FileSystem> File<F> {
    /// # Safety
    ///
    /// `file` must be valid for `'a` and belong to `F`.
    pub(crate) unsafe fn from_raw<'a>(file: *mut bindings::file) -> &'a Self {
        // SAFETY: By the function's contract; the type is transparent.
        unsafe { &*file.cast() }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::file {
        self.0.get()
    }

    /// The dentry by which it was opened; C: `file_dentry`.
    pub fn dentry(&self) -> &Dentry<F> {
        // SAFETY: An open file holds its dentry.
        unsafe { Dentry::from_raw(bindings::file_dentry(self.as_raw())) }
    }

    /// The inode; C: `file_inode`.
    pub fn inode(&self) -> &Inode<F> {
        // SAFETY: An open file holds its inode.
        unsafe { Inode::from_raw(bindings::file_inode(self.as_raw())) }
    }

    /// Whether it is opened for reading.
    pub fn is_readable(&self) -> bool {
        // SAFETY: The mode does not change any more.
        unsafe { (*self.as_raw()).f_mode & bindings::FMODE_READ != 0 }
    }

    /// Whether it is opened for writing.
    pub fn is_writable(&self) -> bool {
        // SAFETY: The mode does not change any more.
        unsafe { (*self.as_raw()).f_mode & bindings::FMODE_WRITE != 0 }
    }

    /// The flags of `open(2)`.
    pub fn flags(&self) -> u32 {
        // SAFETY: Some flags may change at any time; they are taken as they come.
        unsafe { (&raw const (*self.as_raw()).f_flags).read_volatile() }
    }
}

/// Open directories; C: `struct file_operations`.
pub trait DirectoryOperations<F: FileSystem>: 'static {
    /// What belongs to an open directory.
    type Private: ForeignOwnable + Send + Sync;

    /// Opens. No lock is held; may sleep.
    fn open(inode: &Inode<F>, file: &File<F>) -> Result<Self::Private>;

    /// Gives entries until there is no room or there are no more. The lock of the directory is
    /// held shared, and that of the file's position exclusively; may sleep.
    fn iterate(
        inode: &Inode<F>,
        private: <Self::Private as ForeignOwnable>::Borrowed<'_>,
        context: &mut directory::Context<'_, F>,
    ) -> Result;

    /// Brings the names in the directory to stable storage; `data_only` as in `fdatasync(2)`. No
    /// lock is held; may sleep.
    fn fsync(
        inode: &Inode<F>,
        private: <Self::Private as ForeignOwnable>::Borrowed<'_>,
        data_only: bool,
    ) -> Result {
        let _ = (inode, private, data_only);
        Ok(())
    }
}

/// Makes the C table for open directories.
pub(super) const fn directory_table<F: FileSystem, T: DirectoryOperations<F>>(
) -> &'static bindings::file_operations {
    &DirectoryVtable::<F, T>::OPERATIONS
}

struct DirectoryVtable<F, T>(PhantomData<(F, T)>);

impl<F: FileSystem, T: DirectoryOperations<F>> DirectoryVtable<F, T> {
    const OPERATIONS: bindings::file_operations = bindings::file_operations {
        // The VFS holds the superblock, and with it the module, as long as a file is open.
        open: Some(Self::open),
        release: Some(Self::release),
        iterate_shared: Some(Self::iterate_shared),
        llseek: Some(Self::llseek),
        read: Some(bindings::generic_read_dir),
        fsync: Some(Self::fsync),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// The VFS calls this with a file of `F` that is being opened.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let private = T::open(unsafe { Inode::from_raw(inode) }, unsafe {
                File::from_raw(file)
            })?;
            // SAFETY: The field is ours from `open` to `release`.
            unsafe { (*file).private_data = private.into_foreign() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with a file that `open` has succeeded for.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` has set it, and this is the last use.
        drop(unsafe { T::Private::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// The VFS calls this with an open file and a valid context.
    unsafe extern "C" fn iterate_shared(
        file: *mut bindings::file,
        context: *mut bindings::dir_context,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let file = unsafe { File::<F>::from_raw(file) };
            // SAFETY: `open` has set it, and `release` comes later.
            let private = unsafe { T::Private::borrow((*file.as_raw()).private_data) };
            // SAFETY: By the function's contract.
            let mut context = directory::Context::new(unsafe { &mut *context }, file);
            T::iterate(file.inode(), private, &mut context)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with an open file.
    unsafe extern "C" fn fsync(
        file: *mut bindings::file,
        _start: i64,
        _end: i64,
        data_only: c_int,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let file = unsafe { File::<F>::from_raw(file) };
            // SAFETY: `open` has set it, and `release` comes later.
            let private = unsafe { T::Private::borrow((*file.as_raw()).private_data) };
            T::fsync(file.inode(), private, data_only != 0)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// The VFS calls this with an open file.
    unsafe extern "C" fn llseek(file: *mut bindings::file, offset: i64, whence: c_int) -> i64 {
        // Positions are opaque: there is no end to seek from, and none is too large.
        // SAFETY: By the function's contract.
        unsafe { bindings::generic_file_llseek_size(file, offset, whence, i64::MAX, 0) }
    }
}
