// SPDX-License-Identifier: GPL-2.0

//! What is known of the attributes of other devices' files.
//!
//! Every answer with attributes ends in [`take`] or, after a change of this device, in [`take_own`]:
//! it counts if it is not older than what is known, and pages of a content that the file has no more
//! are dropped. Whether what is known may be used without asking ([`Node::is_fresh`]) is a matter of
//! leases.

use hmdfs_kapi::{
    errno::{ENOTCONN, ESTALE},
    fs::{
        inode,
        inode_operations::{Query, Stat},
    },
};
use hmdfs_proto::{Attributes, Operation};
use kernel::prelude::*;

use super::{
    beginning::Beginning,
    compound::{self, Outcomes},
    directory::Child,
    inode::{of, Node},
    leases, opens,
};
use crate::{
    mount::{Mount, Question},
    node::Inode,
};

/// `S_ISUID` and `S_ISGID`: shown, but of no effect. Another device must not be able to let
/// programs run here as somebody else.
pub(super) const SET_ID: u16 = 0o6000;

/// What the owner told last.
pub(super) struct Known {
    attributes: Attributes,
    question: Question,
}

impl Known {
    /// What the owner told of a file that is new here.
    pub(super) fn new(child: &Child) -> Self {
        Self {
            attributes: child.attributes,
            question: child.question,
        }
    }
}

impl Node {
    /// The attributes as last told, whatever their age.
    pub(crate) fn attributes(&self) -> Attributes {
        self.known().lock().attributes
    }

    /// Whether the attributes, which are those of `inode`, may still be used.
    pub(super) fn is_fresh(&self, mount: &Mount, inode: &Inode) -> bool {
        let question = self.known().lock().question;
        self.knows(question.number) && leases::holds(mount, inode, question.validity)
    }
}

/// Takes over what the owner told of a file, which is that of `inode`. May sleep.
pub(super) fn learn(inode: &Inode, node: &Node, child: &Child) -> Result {
    let question = Question {
        validity: leases::settle(inode, node, child.lease, child.question),
        ..child.question
    };
    take(inode, node, question, &child.attributes, None, Locking::Try)
}

/// Whether [`take`] may lock the inode, which it has to when the data have changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Locking {
    /// It waits for the lock.
    Wait,
    /// When somebody else has the lock, nothing is taken over: the owner is asked again later.
    Try,
    /// The caller has the lock.
    Held,
}

/// Takes over attributes that the owner told in answer to `question`, and the beginning of the
/// file if it came along; the answer to an earlier question than the last one is ignored. When
/// the file has changed, its pages are dropped. May sleep.
///
/// Of a file that this device is writing, only what has nothing to do with its data is taken over.
pub(super) fn take(
    inode: &Inode,
    node: &Node,
    question: Question,
    attributes: &Attributes,
    beginning: Option<Beginning>,
    locking: Locking,
) -> Result {
    if inode.file_type() != attributes.file_type() {
        // A handle stands for one file, and that cannot change its type.
        return Err(ESTALE.into());
    }
    let regular = attributes.is_regular();
    let differs =
        regular && (inode.size() != attributes.size || !node.is_cached(attributes.change));
    let _lock = match (differs, locking) {
        (false, _) | (true, Locking::Held) => None,
        (true, Locking::Wait) => Some(inode.lock_killable()?),
        (true, Locking::Try) => match inode.try_lock() {
            Some(lock) => Some(lock),
            None => return Ok(()),
        },
    };
    let mut known = node.known().lock();
    if question.number < known.question.number {
        return Ok(());
    }
    if !differs && regular && inode.size() != attributes.size {
        // It has begun to differ just now, and the inode is not locked: not for this answer.
        return Ok(());
    }
    if !regular {
        known.question = question;
        known.attributes = *attributes;
        inode.set_attributes(&vfs_attributes(attributes));
        return Ok(());
    }
    // Whatever becomes of the rest, this has nothing to do with the data.
    known.attributes = Attributes {
        mode: attributes.mode,
        nlink: attributes.nlink,
        uid: attributes.uid,
        gid: attributes.gid,
        ..known.attributes
    };
    inode.set_permissions(&vfs_attributes(attributes));
    if inode.is_being_written() {
        known.question = question;
        return Ok(());
    }
    // If it has begun to differ just now, the inode is not locked.
    let Some(changed) = node.take_content(question.number, attributes.change, differs) else {
        return Ok(());
    };
    known.question = question;
    known.attributes = *attributes;
    inode.set_attributes(&vfs_attributes(attributes));
    if changed || beginning.is_some() {
        node.set_beginning(beginning);
    }
    if changed && inode.has_pages() {
        inode.invalidate_pages();
    }
    if inode.size() != attributes.size {
        inode.resize_netfs(attributes.size);
    }
    Ok(())
}

/// Takes over what the owner told after this device has changed the file, other than by writing
/// to it. The inode is locked. May sleep.
///
/// `before` is the change attribute before, if what is cached stays as it is; without it, all of
/// that is dropped.
pub(super) fn take_own(
    inode: &Inode,
    node: &Node,
    question: Question,
    before: Option<u64>,
    attributes: &Attributes,
) -> Result {
    // The owner may have answered questions that were asked after this one before it made the
    // change: all that were asked until now are older.
    let number = inode.super_block().data().ask().number;
    node.changed_to(number, before, attributes.change);
    let question = Question { number, ..question };
    take(inode, node, question, attributes, None, Locking::Held)
}

/// Takes over what the owner told after the last write, if there are no more.
fn settle(inode: &Inode, node: &Node) -> Result {
    if inode.is_being_written() {
        return Ok(());
    }
    match node.take_latest() {
        Some((question, attributes)) => {
            take(inode, node, question, &attributes, None, Locking::Try)
        }
        None => Ok(()),
    }
}

/// Asks the owner for the attributes of an inode. An owner that has begun anew does not know who is
/// writing to the file, so it is told.
pub(super) fn refresh(inode: &Inode, locking: Locking) -> Result {
    let node = of(inode)?;
    let question = inode.super_block().data().ask();
    let (read, write) = (false, true);
    let operations = [
        Operation::File(node.handle()),
        Operation::Lease,
        Operation::GetAttributes,
        // It is not of interest whether that is allowed by now.
        Operation::Open { read, write },
    ];
    let count = if opens::is_open_for_write(inode) {
        operations.len()
    } else {
        operations.len().saturating_sub(1)
    };
    let operations = operations.get(..count).ok_or(EINVAL)?;
    let reply = compound::call(node.peer(), operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, operations)?;
    outcomes.done()?;
    let (question, attributes) = outcomes.told(inode, node, question)?;
    take(inode, node, question, &attributes, None, locking)
}

/// Attributes as the VFS keeps them.
pub(crate) fn vfs_attributes(attributes: &Attributes) -> inode::Attributes {
    let time = |time: hmdfs_proto::Timestamp| (time.seconds(), time.nanoseconds());
    inode::Attributes {
        mode: attributes.mode & !SET_ID,
        nlink: attributes.nlink,
        uid: attributes.uid,
        gid: attributes.gid,
        blocks: attributes.blocks,
        atime: time(attributes.atime),
        mtime: time(attributes.mtime),
        ctime: time(attributes.ctime),
    }
}

/// `getattr` of everything that is remote.
pub(crate) fn getattr(inode: &Inode, query: Query) -> Result {
    let mount = inode.super_block().data();
    let node = of(inode)?;
    if !node.peer().is_online() {
        return Err(ENOTCONN.into());
    }
    settle(inode, node)?;
    if query.dont_sync() || (!query.force_sync() && node.is_fresh(&mount, inode)) {
        return Ok(());
    }
    match refresh(inode, Locking::Try) {
        // Only still open here: its owner knows it no more.
        Err(error) if error == ESTALE && node.attributes().nlink == 0 => Ok(()),
        result => result,
    }
}

/// Completes `stat` of everything that is remote.
pub(super) fn fill_stat(inode: &Inode, stat: &mut Stat<'_>) {
    if let Ok(node) = of(inode) {
        let attributes = node.attributes();
        stat.set_blksize(attributes.blksize.max(4096));
        stat.add_mode(attributes.mode & SET_ID);
        let btime = attributes.btime;
        if btime.seconds() != 0 || btime.nanoseconds() != 0 {
            stat.set_btime(btime.seconds(), btime.nanoseconds());
        }
    }
}
