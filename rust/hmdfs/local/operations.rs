// SPDX-License-Identifier: GPL-2.0

//! Which operations the inodes of this device's files have.

use hmdfs_kapi::{
    fs::{
        inode::New,
        inode_operations::Operations, //
    },
    vfs,
};
use kernel::prelude::*;

use super::directory::DirectoryOps;
use crate::mount::Hmdfs;

/// Operations of all that is not a directory: everything is done below.
struct FileOps;

#[vtable]
impl Operations<Hmdfs> for FileOps {
    const STACKED: bool = true;
}

/// Makes a new inode stand on `path`.
pub(super) fn set(new: &New<Hmdfs>, path: vfs::Path) {
    let (is_dir, is_reg, is_symlink) = (path.is_dir(), path.is_reg(), path.is_symlink());
    new.set_lower(path);
    if is_dir {
        new.set_inode_operations::<DirectoryOps>();
        new.set_stacked_directory_operations();
        return;
    }
    new.set_inode_operations::<FileOps>();
    if is_reg {
        new.set_stacked_file_operations();
    } else if !is_symlink {
        new.init_special_inode();
    }
}
