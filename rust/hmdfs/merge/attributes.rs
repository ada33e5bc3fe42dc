// SPDX-License-Identifier: GPL-2.0

//! Attributes of merged directories: those of the first device in order.
//!
//! Where that is this device, the inode stands on its directory, and most of this
//! is not called; see [`hmdfs_kapi::fs::stack`].

use hmdfs_kapi::{
    errno::ENOTCONN,
    fs::{inode::Attributes, inode_operations::Query},
    vfs::{AclType, Changes, XattrMode},
};
use kernel::prelude::*;

use super::of;
use crate::{
    local,
    node::{Inode, InodeRef},
    remote::{attributes, extended, inode, set},
};

/// The directory of the first device that is there; ENOTCONN when none is.
fn first(inode: &Inode) -> Result<InodeRef> {
    let parts = of(inode)?.parts();
    let (peer, _) = parts
        .remote()
        .find(|(peer, _)| peer.is_online())
        .ok_or(ENOTCONN)?;
    parts.inode_of(inode, peer)
}

/// Takes over what is known of the first device's directory.
fn copy(inode: &Inode, part: &Inode) -> Result {
    inode.set_attributes(&Attributes {
        // Stands for "not known" with directories.
        nlink: 1,
        ..attributes::vfs_attributes(&inode::of(part)?.attributes())
    });
    Ok(())
}

pub(super) fn getattr(inode: &Inode, query: Query) -> Result {
    if let Some(path) = inode.lower() {
        inode.set_attributes(&Attributes {
            nlink: 1,
            ..local::attributes(path)?
        });
        return Ok(());
    }
    let part = first(inode)?;
    attributes::getattr(&part, query)?;
    copy(inode, &part)
}

pub(super) fn setattr(inode: &Inode, changes: &Changes) -> Result {
    let part = first(inode)?;
    set::setattr(&part, changes)?;
    copy(inode, &part)
}

pub(super) fn listxattr(inode: &Inode, list: &mut [u8]) -> Result<usize> {
    extended::listxattr(&*first(inode)?, list)
}

pub(super) fn get_acl(inode: &Inode, acl_type: AclType) -> Result<Option<KVVec<u8>>> {
    extended::get_acl(&*first(inode)?, acl_type)
}

pub(super) fn set_acl(inode: &Inode, acl_type: AclType, acl: Option<&[u8]>) -> Result {
    let part = first(inode)?;
    extended::set_acl(&part, acl_type, acl)?;
    copy(inode, &part)
}

/// Reads an extended attribute.
pub(crate) fn getxattr(inode: &Inode, name: &CStr, value: &mut [u8]) -> Result<usize> {
    extended::getxattr(&*first(inode)?, name, value)
}

/// Sets an extended attribute, or removes it.
pub(crate) fn setxattr(
    inode: &Inode,
    name: &CStr,
    value: Option<&[u8]>,
    mode: XattrMode,
) -> Result {
    let part = first(inode)?;
    extended::setxattr(&part, inode::of(&part)?, name, value, mode)?;
    copy(inode, &part)
}
