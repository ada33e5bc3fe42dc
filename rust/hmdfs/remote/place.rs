// SPDX-License-Identifier: GPL-2.0

//! Putting a file that has no name in the place of another one.
//!
//! One compound, as every change is ([`super::names`]). The owner gives the name from the one to the
//! other; there is no moment in which it stands for nothing.

use hmdfs_proto::Operation;
use kernel::prelude::*;

use super::{
    changed,
    compound::{self, Outcomes},
    directory::name,
    inode::of,
    leases,
    names::same_device,
    opens::Removal,
};
use crate::node::Inode;

/// Gives `file`, which has no name, the name `wanted` in `dir` of the regular file `target`, which loses
/// it and is locked.
pub(super) fn place(dir: &Inode, wanted: &[u8], target: &Inode, file: &Inode) -> Result {
    let node = of(dir)?;
    let (placed, replaced) = (same_device(node, file)?, same_device(node, target)?);
    let removal = Removal::begin(target)?;
    let wanted = name(wanted)?;
    let operations = [
        Operation::File(placed.handle()),
        Operation::GetChange,
        Operation::File(node.handle()),
        Operation::GetChange,
        Operation::Replace {
            name: wanted,
            replaced: replaced.handle(),
            file: placed.handle(),
            open: removal.is_open,
        },
        Operation::GetHandle,
        Operation::Lease,
        Operation::GetAttributes,
        Operation::File(node.handle()),
        Operation::Lease,
        Operation::GetAttributes,
        Operation::File(replaced.handle()),
        Operation::Lease,
        Operation::GetAttributes,
    ];
    let mount = dir.super_block().data();
    let question = mount.ask();
    let reply = compound::change(&mount, node.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    let before = changed::before(&mut outcomes)?;
    // Whatever happens from here on, it is in its place.
    let learn = |outcomes: &mut Outcomes<'_>| {
        changed::linked(dir, wanted, file, outcomes, before, question)?;
        changed::replaced(target, outcomes, Some(&removal), question)
    };
    learn(&mut outcomes).or_else(|error| {
        pr_debug!("what was replaced is not known well: {error:?}\n");
        leases::doubt(&mount, node.peer(), &operations);
        Ok(())
    })
}
