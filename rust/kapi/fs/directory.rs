// SPDX-License-Identifier: GPL-2.0

//! Listing directories.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::error::Result;

use super::{context::FileSystem, Dentry, File};
use crate::vfs::DirectoryFile;

/// Type of an entry as in `d_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryType(pub u8);

impl EntryType {
    /// A directory.
    pub const DIRECTORY: Self = Self(bindings::DT_DIR as u8);

    /// The file system does not tell.
    pub const UNKNOWN: Self = Self(bindings::DT_UNKNOWN as u8);

    /// That of a file whose mode has these type bits; C: `S_DT`.
    pub const fn of(file_type: u16) -> Self {
        // CAST: Four bits.
        Self((file_type >> 12) as u8)
    }
}

/// Where the entries of a listing go, and where it stands; C: `struct dir_context`.
pub struct Context<'a, F: FileSystem> {
    raw: &'a mut bindings::dir_context,
    file: &'a File<F>,
    _fs: PhantomData<F>,
}

impl<'a, F: FileSystem> Context<'a, F> {
    pub(super) fn new(raw: &'a mut bindings::dir_context, file: &'a File<F>) -> Self {
        Self {
            raw,
            file,
            _fs: PhantomData,
        }
    }

    /// The position: zero at the beginning, else what was set last or what the program has
    /// sought.
    pub fn position(&self) -> u64 {
        self.raw.pos as u64
    }

    /// Sets where the listing goes on.
    pub fn set_position(&mut self, position: u64) {
        self.raw.pos = position as i64;
    }

    /// Gives an entry; false when there is no room for it, and then it was not taken.
    pub fn emit(&mut self, name: &[u8], ino: u64, file_type: EntryType) -> bool {
        let Ok(length) = i32::try_from(name.len()) else {
            return false;
        };
        // SAFETY: The name is valid for its length.
        unsafe {
            bindings::dir_emit(
                self.raw,
                name.as_ptr().cast(),
                length,
                ino,
                file_type.0.into(),
            )
        }
    }

    /// Gives "." at position 0 and ".." at position 1, and goes on to position 2.
    /// False when there is no room.
    pub fn emit_dots(&mut self) -> bool {
        if self.raw.pos == 0 {
            // SAFETY: The file is open and of a directory.
            if !unsafe { bindings::dir_emit_dot(self.file.as_raw(), self.raw) } {
                return false;
            }
            self.raw.pos = 1;
        }
        if self.raw.pos == 1 {
            // SAFETY: As above.
            if !unsafe { bindings::dir_emit_dotdot(self.file.as_raw(), self.raw) } {
                return false;
            }
            self.raw.pos = 2;
        }
        true
    }

    /// Lists another directory in place of this one, with its positions, and "." and "..".
    pub fn iterate(&mut self, other: &mut DirectoryFile) -> Result {
        // SAFETY: The context is valid.
        unsafe { other.iterate_into(self.raw) }
    }

    /// The dentry of the directory.
    pub fn dentry(&self) -> &'a Dentry<F> {
        self.file.dentry()
    }
}
