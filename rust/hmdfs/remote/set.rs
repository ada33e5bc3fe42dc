// SPDX-License-Identifier: GPL-2.0

//! Changing attributes of other devices' files.

use hmdfs_kapi::vfs::{Changes, SetTime};
use hmdfs_proto::{self as proto, Operation};
use kernel::prelude::*;

use super::{
    attributes,
    compound::{self, Outcomes},
    inode::{of, Node},
};
use crate::node::Inode;

/// `setattr` of everything that is remote, in one round trip.
pub(crate) fn setattr(inode: &Inode, changes: &Changes) -> Result {
    let node = of(inode)?;
    if node.attributes().is_regular() {
        if changes.size.is_some() {
            inode.dio_wait();
        }
        // What is written later would set the time of modification once more, or come back
        // behind the new end.
        inode.write_and_wait()?;
    }
    let operation = Operation::SetAttributes(proto::SetAttributes {
        mode: changes.mode,
        uid: changes.uid,
        gid: changes.gid,
        size: changes.size,
        atime: changes.atime.map(time).transpose()?,
        mtime: changes.mtime.map(time).transpose()?,
    });
    change(inode, node, operation, || {
        if let Some(size) = changes.size {
            resized(inode, node, size);
        }
    })
}

/// Sends an operation that changes the file itself, with what is needed to know its attributes
/// afterwards. `then` is called when it has succeeded.
pub(super) fn change(
    inode: &Inode,
    node: &Node,
    operation: Operation<'_>,
    then: impl FnOnce(),
) -> Result {
    change_by(inode, node, &[operation], then)
}

/// As [`change`], by several operations.
pub(super) fn change_by(
    inode: &Inode,
    node: &Node,
    changes: &[Operation<'_>],
    then: impl FnOnce(),
) -> Result {
    let mount = inode.super_block().data();
    let question = mount.ask();
    let mut operations = KVec::with_capacity(changes.len() + 4, GFP_KERNEL)?;
    operations.extend_from_slice(
        &[Operation::File(node.handle()), Operation::GetChange],
        GFP_KERNEL,
    )?;
    operations.extend_from_slice(changes, GFP_KERNEL)?;
    operations.extend_from_slice(&[Operation::Lease, Operation::GetAttributes], GFP_KERNEL)?;
    let reply = compound::change(&mount, node.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    let before = outcomes.change()?;
    for _ in changes {
        outcomes.done()?;
    }
    then();
    let (question, attributes) = outcomes.told(inode, node, question)?;
    attributes::take_own(inode, node, question, Some(before), &attributes)
}

/// What the page cache has of a regular file follows a size that was just set.
fn resized(inode: &Inode, node: &Node, size: u64) {
    node.set_beginning(None);
    inode.resize_netfs(size);
}

fn time(time: SetTime) -> Result<proto::SetTime> {
    Ok(match time {
        SetTime::Now => proto::SetTime::Now,
        SetTime::To(time) => proto::SetTime::To(
            proto::Timestamp::new(time.seconds, time.nanoseconds).map_err(|_| EINVAL)?,
        ),
    })
}
