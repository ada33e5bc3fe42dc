// SPDX-License-Identifier: GPL-2.0

//! Open directories.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use hmdfs_bindings as bindings;
use kernel::{cred::Credential, error::to_result, prelude::*};

use super::{file::OpenFile, Path};

/// An entry, as the file system tells it.
#[derive(Clone, Copy, Debug)]
pub struct Emit<'a> {
    /// The name; any bytes, and "." and ".." too.
    pub name: &'a [u8],
    /// The position of this entry: seeking there lists it again.
    pub position: u64,
    /// Inode number.
    pub ino: u64,
    /// Type, `DT_REG`, `DT_DIR`...
    pub file_type: u8,
}

/// An open directory, with a position.
///
/// Dropping it closes the directory, which may sleep; no locks may be held.
pub struct DirectoryFile(OpenFile);

impl DirectoryFile {
    /// Opens a directory, as the user of `cred`; C: `dentry_open`.
    ///
    /// # Errors
    ///
    /// - [`ENOTDIR`]: not a directory.
    /// - [`EACCES`]: that user may not list it.
    pub fn open(path: &Path, cred: &Credential) -> Result<Self> {
        if !path.is_dir() {
            return Err(ENOTDIR);
        }
        OpenFile::open(path, bindings::O_RDONLY, cred).map(Self)
    }

    /// Waits until the directory is on stable storage; C: `vfs_fsync`.
    pub fn fsync(&self) -> Result {
        // SAFETY: The file is valid.
        to_result(unsafe { bindings::vfs_fsync(self.0.as_raw(), 0) })
    }

    /// Goes to a position that [`Self::iterate`] gave, or to 0, the beginning; C: `vfs_llseek`.
    pub fn seek(&mut self, position: u64) -> Result {
        let position = i64::try_from(position)?;
        // SAFETY: The file is valid.
        let reached =
            unsafe { bindings::vfs_llseek(self.0.as_raw(), position, bindings::SEEK_SET as c_int) };
        if reached < 0 {
            // CAST: A negative result is an error number.
            return Err(Error::from_errno(reached as c_int));
        }
        Ok(())
    }

    /// Calls `emit` for entries from the present position on, until it returns false or the file
    /// system has no more for now, and gives the position reached; C: `iterate_dir`.
    ///
    /// `emit` is called with the directory locked: it must not look anything up. When it was
    /// not called at all, the directory is at its end.
    pub fn iterate<F: FnMut(Emit<'_>) -> bool>(&mut self, emit: F) -> Result<u64> {
        let mut context = Context {
            inner: bindings::dir_context {
                actor: Some(actor::<F>),
                count: c_int::MAX,
                ..Default::default()
            },
            emit,
        };
        // SAFETY: The file is valid, and nobody else uses its position: `self` is exclusive.
        // The context outlives the call.
        to_result(unsafe { bindings::iterate_dir(self.0.as_raw(), (&raw mut context).cast()) })?;
        Ok(u64::try_from(context.inner.pos)?)
    }
}

impl DirectoryFile {
    /// Lists entries into `context`, from its position on; C: `iterate_dir`.
    ///
    /// # Safety
    ///
    /// `context` must be valid.
    pub(crate) unsafe fn iterate_into(&mut self, context: *mut bindings::dir_context) -> Result {
        let file = self.0.as_raw();
        // SAFETY: By the function's contract; `self` is exclusive, and with it the position.
        unsafe { (*file).f_pos = (*context).pos };
        // SAFETY: The file is valid, and the context by the function's contract.
        to_result(unsafe { bindings::iterate_dir(file, context) })
    }
}

#[repr(C)]
struct Context<F> {
    inner: bindings::dir_context,
    emit: F,
}

/// # Safety
///
/// `context` must point to the first field of a [`Context<F>`] that nobody else uses, and `name`
/// be valid for `length` bytes.
unsafe extern "C" fn actor<F: FnMut(Emit<'_>) -> bool>(
    context: *mut bindings::dir_context,
    name: *const c_char,
    length: c_int,
    position: bindings::loff_t,
    ino: u64,
    file_type: c_uint,
) -> bool {
    let (Ok(length), Ok(position)) = (usize::try_from(length), u64::try_from(position)) else {
        // Nothing that a listing could say or go on from.
        return true;
    };
    // SAFETY: By the function's contract.
    let name = unsafe { core::slice::from_raw_parts(name.cast(), length) };
    // SAFETY: By the function's contract; the field is the first one.
    let context = unsafe { &mut *context.cast::<Context<F>>() };
    (context.emit)(Emit {
        name,
        position,
        ino,
        // CAST: The types have four bits; higher ones are flags that were not asked for.
        file_type: (file_type & 0xf) as u8,
    })
}
