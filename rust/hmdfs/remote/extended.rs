// SPDX-License-Identifier: GPL-2.0

//! Extended attributes and access control lists of other devices' files.
//!
//! They are asked for whenever a program wants them; all that is kept here is that a file has none,
//! which the owner tells with a lease.

use hmdfs_kapi::{
    errno::{ENODATA, EOPNOTSUPP},
    vfs::{AclType, XattrMode},
};
use hmdfs_proto::{AttributeName, Operation, Outcome, SetMode};
use kernel::prelude::*;

use super::{
    compound::{self, Outcomes},
    inode::{of, Node},
    set,
};
use crate::node::Inode;

/// What programs may keep with files. All else belongs to the device that the file is on.
const USER: &[u8] = b"user.";

/// How much of a long value goes into an operation of its own: half of the longest.
const PART: usize = 32 << 10;

fn user(name: &CStr) -> Result<AttributeName<'_>> {
    let name = name.to_bytes();
    if !name.starts_with(USER) || name.len() == USER.len() {
        return Err(EOPNOTSUPP.into());
    }
    AttributeName::new(name).map_err(|_| ERANGE)
}

/// Whether there is nothing to be asked for.
fn is_bare(inode: &Inode) -> Result<bool> {
    Ok(of(inode)?.is_bare(&inode.super_block().data(), inode))
}

/// Asks for what `operation` gives, which are bytes, and calls `use_it` with them.
fn ask<R>(
    node: &Node,
    operation: Operation<'_>,
    use_it: impl FnOnce(&[u8]) -> Result<R>,
) -> Result<R> {
    let operations = [Operation::File(node.handle()), operation];
    let reply = compound::call(node.peer(), &operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    match outcomes.next()? {
        Outcome::Value(bytes) | Outcome::Names(bytes) => use_it(bytes),
        _ => Err(hmdfs_kapi::errno::EPROTO.into()),
    }
}

/// Copies `bytes` to where a program wants them; [`ERANGE`] when there is no room. Without any room
/// it is only the length that is wanted.
fn give(bytes: &[u8], room: &mut [u8]) -> Result<usize> {
    if !room.is_empty() {
        room.get_mut(..bytes.len())
            .ok_or(ERANGE)?
            .copy_from_slice(bytes);
    }
    Ok(bytes.len())
}

/// Reads an extended attribute.
pub(crate) fn getxattr(inode: &Inode, name: &CStr, value: &mut [u8]) -> Result<usize> {
    let name = user(name)?;
    if is_bare(inode)? {
        return Err(ENODATA.into());
    }
    ask(of(inode)?, Operation::GetExtended(name), |bytes| {
        give(bytes, value)
    })
}

/// Sets an extended attribute, or removes it.
pub(crate) fn setxattr(
    inode: &Inode,
    node: &Node,
    name: &CStr,
    value: Option<&[u8]>,
    mode: XattrMode,
) -> Result {
    let name = user(name)?;
    let mode = match mode {
        XattrMode::Any => SetMode::Any,
        XattrMode::Create => SetMode::Create,
        XattrMode::Replace => SetMode::Replace,
    };
    change(inode, node, name, value, mode)
}

fn change(
    inode: &Inode,
    node: &Node,
    name: AttributeName<'_>,
    value: Option<&[u8]>,
    mode: SetMode,
) -> Result {
    let Some(value) = value else {
        return set::change(inode, node, Operation::RemoveExtended(name), || ());
    };
    // The longest ones are longer than the arguments of an operation can be.
    let (front, value) = value.split_at_checked(PART).unwrap_or((&[], value));
    let set = Operation::SetExtended { name, value, mode };
    let changed = if front.is_empty() {
        set::change(inode, node, set, || ())
    } else {
        set::change_by(inode, node, &[Operation::Value(front), set], || ())
    };
    node.forget_bare();
    changed
}

/// Lists the names of all extended attributes.
pub(crate) fn listxattr(inode: &Inode, list: &mut [u8]) -> Result<usize> {
    if is_bare(inode)? {
        return Ok(0);
    }
    ask(of(inode)?, Operation::ListExtended, |names| {
        give(names, list)
    })
}

fn acl_name(acl_type: AclType) -> Result<AttributeName<'static>> {
    AttributeName::new(acl_type.name().to_bytes()).map_err(|_| EINVAL)
}

/// An access control list.
pub(crate) fn get_acl(inode: &Inode, acl_type: AclType) -> Result<Option<KVVec<u8>>> {
    if is_bare(inode)? {
        return Ok(None);
    }
    let operation = Operation::GetExtended(acl_name(acl_type)?);
    let found = ask(of(inode)?, operation, |bytes| {
        let mut value = KVVec::new();
        value.extend_from_slice(bytes, GFP_KERNEL)?;
        Ok(value)
    });
    match found {
        Ok(value) => Ok(Some(value)),
        Err(error) if error == ENODATA => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets or removes an access control list.
pub(crate) fn set_acl(inode: &Inode, acl_type: AclType, acl: Option<&[u8]>) -> Result {
    let name = acl_name(acl_type)?;
    match change(inode, of(inode)?, name, acl, SetMode::Any) {
        Err(error) if acl.is_none() && error == ENODATA => Ok(()),
        result => result,
    }
}
