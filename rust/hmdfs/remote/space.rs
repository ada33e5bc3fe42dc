// SPDX-License-Identifier: GPL-2.0

//! Space of other devices' files: allocating, freeing, copying and finding it.

use hmdfs_kapi::{errno::EPROTO, netfs::CopyRange, vfs::Allocation};
use hmdfs_proto::{Allocate, AllocateMode, Operation};
use kernel::{prelude::*, sync::Arc};

use super::{
    attributes::take_own,
    compound::{self, Outcomes},
    inode::{of, Node},
};
use crate::node::Inode;

/// Allocates or frees space. The inode is locked.
pub(super) fn fallocate(
    inode: &Inode,
    what: Allocation,
    keep_size: bool,
    offset: u64,
    length: u64,
) -> Result {
    let node = of(inode)?;
    let mode = match what {
        Allocation::Allocate => AllocateMode::Allocate,
        Allocation::PunchHole => AllocateMode::PunchHole,
        Allocation::ZeroRange => AllocateMode::ZeroRange,
        Allocation::CollapseRange => AllocateMode::CollapseRange,
        Allocation::InsertRange => AllocateMode::InsertRange,
        Allocation::Unshare => AllocateMode::Unshare,
    };
    let operations = [
        Operation::File(node.handle()),
        Operation::Allocate(Allocate {
            mode,
            keep_size,
            offset,
            length,
        }),
        Operation::Lease,
        Operation::GetAttributes,
    ];
    let mount = inode.super_block().data();
    let question = mount.ask();
    let reply = compound::change(&mount, node.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    outcomes.done()?;
    let (question, attributes) = outcomes.told(inode, node, question)?;
    take_own(inode, node, question, None, &attributes)?;
    Ok(())
}

/// Copies between two files of one device, which is asked to do it. `target` is locked.
pub(super) fn copy(source: &Inode, target: &Inode, range: &CopyRange) -> Result<u64> {
    let (from, to) = (of(source)?, of(target)?);
    if !Arc::ptr_eq(from.peer(), to.peer()) {
        return Err(EXDEV);
    }
    let operations = [
        Operation::File(to.handle()),
        Operation::Copy {
            source: from.handle(),
            source_offset: range.source_offset,
            offset: range.offset,
            length: range.length,
            clone: range.clone,
        },
        Operation::Lease,
        Operation::GetAttributes,
    ];
    let mount = target.super_block().data();
    let question = mount.ask();
    let reply = compound::change(&mount, to.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    let copied = outcomes.copied()?;
    let limit = match (range.clone, range.length) {
        (true, 0) => i64::MAX as u64,
        (_, length) => length,
    };
    if copied > limit {
        return Err(EPROTO.into());
    }
    let (question, attributes) = outcomes.told(target, to, question)?;
    take_own(target, to, question, None, &attributes)?;
    Ok(copied)
}

/// The next data, or hole, from `offset` on.
pub(super) fn seek(node: &Node, offset: u64, hole: bool) -> Result<u64> {
    let operations = [
        Operation::File(node.handle()),
        Operation::Seek { offset, hole },
    ];
    let reply = compound::call(node.peer(), &operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    outcomes.position()
}
