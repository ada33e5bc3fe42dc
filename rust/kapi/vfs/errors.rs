// SPDX-License-Identifier: GPL-2.0

//! Errors of writing back: what was written is with the kernel, and cannot be stored.
//!
//! The kernel counts them for each file and each file system. A *mark* says which of them were
//! seen, so that each of many observers learns of every error once.
//!
//! C header: [`include/linux/errseq.h`](srctree/include/linux/errseq.h)

use hmdfs_bindings as bindings;
use kernel::{error::to_result, prelude::*};

use super::Path;

impl Path {
    /// A mark of the errors that the file's data have met with; C: `errseq_sample`.
    pub fn sample_errors(&self) -> u32 {
        // SAFETY: The inode is valid.
        unsafe { bindings::inode_sample_errors(self.inode()) }
    }

    /// Whether the file's data have met with an error since `mark`, or with one that nobody has seen yet;
    /// C: `errseq_check`.
    pub fn has_errors_since(&self, mark: u32) -> bool {
        // SAFETY: The inode is valid.
        unsafe { bindings::inode_has_errors(self.inode(), mark) }
    }

    /// Whether the file's data have met with an error since `mark`, which is moved on; C:
    /// `errseq_check_and_advance`.
    pub fn check_errors(&self, mark: &mut u32) -> Result {
        // SAFETY: The inode is valid.
        to_result(unsafe { bindings::inode_check_errors(self.inode(), mark) })
    }

    /// Whether some of the file's data are not on stable storage yet, nor known to be lost.
    pub fn is_dirty(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe { bindings::inode_is_dirty(self.inode()) }
    }

    /// As [`Path::sample_errors`], of the whole file system.
    pub fn sample_filesystem_errors(&self) -> u32 {
        // SAFETY: The superblock is valid.
        unsafe { bindings::sb_sample_errors(self.super_block()) }
    }

    /// As [`Path::check_errors`], of the whole file system.
    pub fn check_filesystem_errors(&self, mark: &mut u32) -> Result {
        // SAFETY: The superblock is valid.
        to_result(unsafe { bindings::sb_check_errors(self.super_block(), mark) })
    }
}
