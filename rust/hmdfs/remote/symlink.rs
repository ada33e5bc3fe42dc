// SPDX-License-Identifier: GPL-2.0

//! Symbolic links of other devices.
//!
//! A link is an object like any other, and can be read. It is followed only if it
//! stays inside the tree that it is seen in: another device must not be able to send
//! a program of this one anywhere else.

use hmdfs_kapi::{
    fs::inode_operations::{Operations, Query, Stat},
    vfs::Changes,
};
use hmdfs_model::link::climbs;
use kernel::prelude::*;

use super::{
    attributes::{fill_stat, getattr},
    inode::of,
    set,
};
use crate::{
    mount::Hmdfs,
    node::{Dentry, Inode, Node},
};

/// Inode operations of symbolic links.
pub(super) struct LinkOps;

/// How many directories there are between the one that `dentry` is in and the root of the
/// device's or the merged tree.
fn depth(dentry: &Dentry) -> usize {
    let mut depth = 0usize;
    let mut directory = dentry.parent();
    loop {
        let parent = directory.parent();
        match parent.inode().map(Inode::data) {
            // A tree that is in no view is not followed out of either.
            Some(Node::View(_)) | None => return depth,
            Some(_) if core::ptr::eq(&*parent, &*directory) => return depth,
            Some(_) => depth = depth.saturating_add(1),
        }
        directory = parent;
    }
}

#[vtable]
impl Operations<Hmdfs> for LinkOps {
    fn getattr(inode: &Inode, query: Query) -> Result {
        getattr(inode, query)
    }

    fn fill_stat(inode: &Inode, stat: &mut Stat<'_>) {
        fill_stat(inode, stat);
    }

    fn setattr(inode: &Inode, changes: &Changes) -> Result {
        set::setattr(inode, changes)
    }

    fn get_link<'a>(inode: &'a Inode, dentry: &Dentry) -> Result<&'a CStr> {
        let target = of(inode)?.target()?;
        match climbs(target.to_bytes()) {
            Some(up) if up <= depth(dentry) => Ok(target),
            _ => Err(EACCES),
        }
    }

    fn readlink(inode: &Inode) -> Result<&CStr> {
        of(inode)?.target()
    }
}
