// SPDX-License-Identifier: GPL-2.0

//! Opening files of other devices by names that are not cached, in one round trip.

use hmdfs_kapi::{
    cred::current_umask,
    fs::inode_operations::{Opened, Opening, Tmpfile, TmpfileOpened},
};
use hmdfs_proto::Operation;
use kernel::prelude::*;

use super::{
    attributes::{self, Locking},
    beginning::Beginning,
    changed,
    compound::{self, Outcomes},
    directory::{find, name, Child},
    file::BEGINNING,
    inode::{iget, of},
    leases,
    opens::{self, Open},
};
use crate::{
    mount::{Hmdfs, Question},
    node::{Inode, InodeRef},
    validity::Validity,
};

/// `atomic_open`: `open(2)` of a name that is not cached.
pub(super) fn atomic_open(dir: &Inode, opening: Opening<'_, Hmdfs>) -> Result<Opened> {
    if !opening.creates() {
        return open(dir, opening);
    }
    match create(dir, &opening) {
        Ok((child, created, validity)) => {
            let inode = iget(dir.super_block(), of(dir)?.peer(), &child)?;
            let private = opened(&inode, &opening, child.question)?;
            if !created {
                catch_up(&inode, &child)?;
            }
            opening.finish_open(inode, validity.as_time(), created, private)
        }
        // What exists and is no regular file is for the VFS to judge: it may be a link that leads
        // to one. And what exists can be opened where nothing can be made.
        Err(error) if error == EEXIST || error == EROFS => look_up(dir, opening, Some(error)),
        Err(error) => Err(error),
    }
}

/// Makes a file without a name in the file system of the directory `dir`, and opens it.
pub(crate) fn tmpfile(dir: &Inode, file: Tmpfile<'_, Hmdfs>) -> Result<TmpfileOpened> {
    let (inode, open) = make_unnamed(dir, (file.mode(), current_umask()), file.access())?;
    file.open(inode, open)
}

/// Makes a file without a name in the file system of the directory `dir`. Until the second value is
/// dropped, it is open to be read, written or both.
pub(super) fn make_unnamed(
    dir: &Inode,
    mode: (u16, u16),
    (read, write): (bool, bool),
) -> Result<(InodeRef, KBox<Open>)> {
    let mount = dir.super_block().data();
    let node = of(dir)?;
    let operations = [
        Operation::File(node.handle()),
        Operation::MakeUnnamed { mode },
        Operation::GetHandle,
        Operation::Lease,
        Operation::GetAttributes,
    ];
    let question = mount.ask();
    let reply = compound::change(&mount, node.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    outcomes.done()?;
    let child = changed::made(&mut outcomes, 0o100_000, None, question)?;
    let inode = iget(dir.super_block(), node.peer(), &child)?;
    let (open, must_ask) = Open::new(&inode, write)?;
    opens::set_told(&inode)?;
    opens::confirm(&inode, question, must_ask, Operation::Open { read, write })?;
    Ok((inode, open))
}

/// What belongs to the open file of `inode`, which the owner has opened in answer to `question`.
fn opened(inode: &Inode, opening: &Opening<'_, Hmdfs>, question: Question) -> Result<KBox<Open>> {
    let (open, must_ask) = Open::new(inode, opening.is_writable())?;
    let wanted = access(opening.is_readable(), opening.is_writable());
    opens::confirm(inode, question, must_ask, wanted)?;
    Ok(open)
}

/// How a file is to be opened. Who opens it for neither (the access mode 3 of open(2)) must be
/// allowed to do both.
pub(super) fn access(readable: bool, writable: bool) -> Operation<'static> {
    Operation::Open {
        read: readable || !writable,
        write: writable || !readable,
    }
}

/// Sees to it that what is cached of a file that existed before is what the owner has told.
fn catch_up(inode: &Inode, child: &Child) -> Result {
    let node = of(inode)?;
    let validity = leases::settle(inode, node, child.lease, child.question);
    let question = Question {
        validity,
        ..child.question
    };
    let attributes = &child.attributes;
    attributes::take(inode, node, question, attributes, None, Locking::Wait)
}

/// Looks the name up, and opens what it stands for if that is a regular file. A small one that is to
/// be read comes along.
fn open(dir: &Inode, opening: Opening<'_, Hmdfs>) -> Result<Opened> {
    let mount = dir.super_block().data();
    let node = of(dir)?;
    let wanted = opening.name();
    let wanted = name(wanted.as_bytes())?;
    if let Some(validity) = node.lacks(&mount, dir, wanted) {
        return opening.finish_no_open(None, validity.as_time());
    }
    let mut operations = KVec::with_capacity(8, GFP_KERNEL)?;
    operations.extend_from_slice(
        &[
            Operation::File(node.handle()),
            Operation::Lease,
            Operation::Walk(wanted),
            Operation::GetHandle,
            Operation::Lease,
            Operation::GetAttributes,
            access(opening.is_readable(), opening.is_writable()),
        ],
        GFP_KERNEL,
    )?;
    let limit = if opening.is_readable() { BEGINNING } else { 0 };
    if limit != 0 {
        operations.push(Operation::ReadWhole { limit }, GFP_KERNEL)?;
    }
    let question = mount.ask();
    let reply = compound::call(node.peer(), &operations, limit)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    let validity = leases::settle_names(dir, outcomes.lease()?, question)?;
    match outcomes.done() {
        Ok(()) => {}
        Err(error) if error == ENOENT => {
            return opening.finish_no_open(None, leases::of_nothing(validity).as_time());
        }
        Err(error) => return Err(error),
    }
    let (handle, lease) = (outcomes.handle()?, outcomes.lease()?);
    let child = Child {
        handle,
        attributes: outcomes.attributes()?,
        target: None,
        question,
        lease,
    };
    if child.attributes.file_type() == 0o120_000 {
        // The target is needed, too.
        return look_up(dir, opening, None);
    }
    let inode = iget(dir.super_block(), node.peer(), &child)?;
    let time = validity.as_time();
    if !child.attributes.is_regular() {
        return opening.finish_no_open(Some(inode), time);
    }
    outcomes.done()?;
    let mut beginning = None;
    if limit != 0 {
        let end_of_file = outcomes.read_all(&reply)?;
        let complete = end_of_file && !inode.has_pages();
        beginning = complete.then(|| Beginning::new(question, reply.data, end_of_file));
    }
    let node = of(&inode)?;
    let question = Question {
        validity: leases::settle(&inode, node, lease, question),
        ..question
    };
    attributes::take(
        &inode,
        node,
        question,
        &child.attributes,
        beginning,
        Locking::Wait,
    )?;
    if opening.is_readable() {
        node.set_readable(question.validity);
    }
    let private = opened(&inode, &opening, question)?;
    opening.finish_open(inode, time, false, private)
}

/// Looks the name up, and leaves opening to the VFS. `otherwise` is the error when there is no such
/// name.
fn look_up(dir: &Inode, opening: Opening<'_, Hmdfs>, otherwise: Option<Error>) -> Result<Opened> {
    let mount = dir.super_block().data();
    let node = of(dir)?;
    let wanted = opening.name();
    let found = find(&mount, node.peer(), node.handle(), name(wanted.as_bytes())?)?;
    let validity = leases::settle_names(dir, found.lease, found.question)?;
    match (found.child, otherwise) {
        (Some(child), _) => {
            if opening.is_exclusive() {
                return Err(EEXIST);
            }
            let inode = iget(dir.super_block(), node.peer(), &child)?;
            opening.finish_no_open(Some(inode), validity.as_time())
        }
        (None, Some(error)) => Err(error),
        (None, None) => opening.finish_no_open(None, leases::of_nothing(validity).as_time()),
    }
}

/// Makes the file, or finds it, and sees whether it may be opened. Gives the file, whether it was
/// made, and for how long its name is known.
fn create(dir: &Inode, opening: &Opening<'_, Hmdfs>) -> Result<(Child, bool, Validity)> {
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
        Operation::Lease,
        Operation::GetAttributes,
        directory,
        Operation::Lease,
        Operation::GetAttributes,
        // Only counts if the file was there before: who makes one may open it, whatever its mode.
        Operation::Walk(wanted),
        access(opening.is_readable(), opening.is_writable()),
    ];
    let question = mount.ask();
    let reply = compound::change(&mount, node.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    let before = outcomes.change()?;
    let created = outcomes.made()?;
    let child = changed::made(&mut outcomes, 0o100_000, None, question)?;
    let validity = changed::directory(dir, node, wanted, &mut outcomes, before, question);
    if !created {
        outcomes.done()?;
        outcomes.done()?;
    }
    Ok((child, created, validity))
}
