// SPDX-License-Identifier: GPL-2.0

//! Opening files of other devices that may have to be made, in one round trip.

use hmdfs_kapi::{
    cred::current_umask,
    fs::inode_operations::{Opened, Opening},
};
use hmdfs_proto::Operation;
use kernel::prelude::*;

use super::{
    compound::{self, Outcomes},
    directory::{find, name, Child},
    file,
    inode::{iget, of},
    names,
};
use crate::{
    mount::Hmdfs,
    node::Inode,
    validity::Validity, //
};

/// `atomic_open`: `open(2)` of a name that is not cached.
pub(super) fn atomic_open(dir: &Inode, opening: Opening<'_, Hmdfs>) -> Result<Opened> {
    if !opening.creates() {
        return look_up(dir, opening, None);
    }
    match create(dir, &opening) {
        Ok((child, created)) => {
            let inode = iget(dir.super_block(), of(dir)?.peer(), &child)?;
            let private = file::opened(&inode)?;
            let time = child.question.validity.as_time();
            opening.finish_open(inode, time, created, private)
        }
        // What exists and is no regular file is for the VFS to judge: it may be a link that leads
        // to one. And what exists can be opened where nothing can be made.
        Err(error) if error == EEXIST || error == EROFS => look_up(dir, opening, Some(error)),
        Err(error) => Err(error),
    }
}

/// Looks the name up, and leaves opening to the VFS. `otherwise` is the error when there is no such
/// name.
fn look_up(dir: &Inode, opening: Opening<'_, Hmdfs>, otherwise: Option<Error>) -> Result<Opened> {
    let mount = dir.super_block().data();
    let node = of(dir)?;
    let wanted = opening.name();
    let found = find(&mount, node.peer(), node.handle(), name(wanted.as_bytes())?)?;
    match (found, otherwise) {
        (Some(child), _) => {
            if opening.is_exclusive() {
                return Err(EEXIST);
            }
            let inode = iget(dir.super_block(), node.peer(), &child)?;
            opening.finish_no_open(Some(inode), child.question.validity.as_time())
        }
        (None, Some(error)) => Err(error),
        (None, None) => opening.finish_no_open(None, Validity::NONE.as_time()),
    }
}

/// Makes the file, or finds it, and sees whether it may be opened.
fn create(dir: &Inode, opening: &Opening<'_, Hmdfs>) -> Result<(Child, bool)> {
    let mount = dir.super_block().data();
    let node = of(dir)?;
    let wanted = opening.name();
    let wanted = name(wanted.as_bytes())?;
    let directory = Operation::File(node.handle());
    let operations = [
        directory,
        Operation::GetChange,
        Operation::Create {
            name: wanted,
            mode: (opening.mode(), current_umask()),
            exclusive: opening.is_exclusive(),
        },
        Operation::GetHandle,
        Operation::GetAttributes,
        directory,
        Operation::GetAttributes,
        // Only counts if the file was there before: who makes one may open it, whatever its mode.
        Operation::Walk(wanted),
        Operation::Open {
            read: opening.is_readable(),
            write: opening.is_writable(),
        },
    ];
    let question = mount.ask();
    let reply = compound::change(node.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    let before = outcomes.change()?;
    let created = outcomes.made()?;
    let child = names::made(&mut outcomes, 0o100_000, None, question)?;
    names::changed(dir, node, &mut outcomes, before, question);
    if !created {
        outcomes.done()?;
        outcomes.done()?;
    }
    Ok((child, created))
}
