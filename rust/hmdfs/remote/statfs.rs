// SPDX-License-Identifier: GPL-2.0

//! Space on other devices.

use hmdfs_kapi::vfs::StatFs;
use hmdfs_proto::{Handle, Operation};
use kernel::prelude::*;

use super::{
    compound::{self, Outcomes},
    Node,
};
use crate::link::Reply;

/// Asks for the space of the file system that holds a file.
pub(crate) fn statfs(node: &Node) -> Result<StatFs> {
    let handle = node.handle();
    told(handle, &compound::call(node.peer(), &question(handle), 0)?)
}

/// What to ask for the space of the file system that holds the file of this handle.
pub(crate) fn question(handle: Handle) -> [Operation<'static>; 2] {
    [Operation::File(handle), Operation::StatFileSystem]
}

/// Reads the reply to [`question`].
pub(crate) fn told(handle: Handle, reply: &Reply) -> Result<StatFs> {
    let operations = question(handle);
    let mut outcomes = Outcomes::new(reply, &operations)?;
    outcomes.done()?;
    let told = outcomes.file_system()?;
    Ok(StatFs {
        block_size: told.block_size,
        blocks: told.blocks,
        blocks_free: told.blocks_free,
        blocks_available: told.blocks_available,
        files: told.files,
        files_free: told.files_free,
        name_max: told.name_max,
    })
}
