// SPDX-License-Identifier: GPL-2.0

//! Saving: a file of this device that is renamed over one of another device.
//!
//! Programs that save a file write a new one beside it, which is made on this device,
//! and rename it over the old one. They do not copy when that fails. So the new one's
//! content goes to the device of the old one, replaces it there at once, and then
//! the new one is removed here. When anything fails, both files are there still.

use hmdfs_kapi::fs::inode_operations::Renamed;
use kernel::prelude::*;

use super::{change::real_name, of, rename::Renaming};
use crate::{
    node::{Inode, Node},
    remote::replace::replace,
};

/// `S_IFREG`.
const REGULAR: u16 = 0o100_000;

/// Renames the file of this device `moved` over `target`, another device's; EXDEV unless both are
/// regular files. May take as long as sending the file takes.
pub(super) fn save(renaming: &Renaming<'_>, moved: &Inode, target: &Inode) -> Result<Renamed> {
    let is_regular = moved.file_type() == REGULAR && target.file_type() == REGULAR;
    let Node::Remote(node) = target.data() else {
        return Err(EXDEV);
    };
    if !is_regular || renaming.flags.is_exchange() {
        return Err(EXDEV);
    }
    let source = moved.lower().ok_or(EIO)?;
    let old_parent = renaming.old_dir.lower().ok_or(EIO)?;
    let old_name = renaming.old.name();
    let new_name = real_name(renaming.new_dir, renaming.new)?;
    let directory = of(renaming.new_dir)?.parts();
    let directory = directory.inode_of(renaming.new_dir, node.peer())?;
    replace(&directory, &new_name, target, source)?;
    old_parent.unlink(renaming.old.component(old_name.as_bytes()), source)?;
    renaming.old_dir.copy_lower_attributes();
    moved.copy_lower_attributes();
    renaming.forget_old(old_name.as_bytes())?;
    Ok(Renamed::Apart)
}
