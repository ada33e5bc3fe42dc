// SPDX-License-Identifier: GPL-2.0

//! What other devices have that is neither a directory nor a symbolic link.

use hmdfs_kapi::{
    fs::inode_operations::{Operations, Query, Stat},
    vfs::{AclType, Changes},
};
use kernel::prelude::*;

use super::{
    attributes::{fill_stat, getattr},
    extended, set,
};
use crate::{mount::Hmdfs, node::Inode};

/// Inode operations of all that is no directory and no symbolic link.
pub(super) struct PlainOps;

#[vtable]
impl Operations<Hmdfs> for PlainOps {
    fn getattr(inode: &Inode, query: Query) -> Result {
        getattr(inode, query)
    }

    fn fill_stat(inode: &Inode, stat: &mut Stat<'_>) {
        fill_stat(inode, stat);
    }

    fn setattr(inode: &Inode, changes: &Changes) -> Result {
        set::setattr(inode, changes)
    }

    fn listxattr(inode: &Inode, list: &mut [u8]) -> Result<usize> {
        extended::listxattr(inode, list)
    }

    fn get_acl(inode: &Inode, acl_type: AclType) -> Result<Option<KVVec<u8>>> {
        extended::get_acl(inode, acl_type)
    }

    fn set_acl(inode: &Inode, acl_type: AclType, acl: Option<&[u8]>) -> Result {
        extended::set_acl(inode, acl_type, acl)
    }
}
