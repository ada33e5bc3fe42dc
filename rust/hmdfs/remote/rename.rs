// SPDX-License-Identifier: GPL-2.0

//! Renaming files of other devices.
//!
//! One compound, as every change is ([`super::names`]): it tells of both directories, of
//! what was moved, and of what had the new name.

use hmdfs_kapi::{errno::ESTALE, fs::inode_operations::Renamed, vfs::rename::Flags};
use hmdfs_proto::{Name, Operation, RenameFlags};
use kernel::prelude::*;

use super::{
    attributes, changed,
    compound::{self, Outcomes},
    directory::name,
    inode::of,
    names::same_device,
    opens::Removal,
};
use crate::{
    merge,
    mount::Question,
    node::{Dentry, Inode},
    validity::Validity,
};

/// Renames within one device; EXDEV to another one.
pub(super) fn rename(
    old_dir: &Inode,
    old: &Dentry,
    new_dir: &Inode,
    new: &Dentry,
    flags: Flags,
) -> Result<Renamed> {
    let (old_name, new_name) = (old.name(), new.name());
    let renamed = rename_entries(
        &Entry {
            dir: old_dir,
            name: old_name.as_bytes(),
            inode: old.inode(),
        },
        &Entry {
            dir: new_dir,
            name: new_name.as_bytes(),
            inode: new.inode(),
        },
        flags,
    );
    let (from, to) = renamed.inspect_err(|&error| {
        if error == ENOENT || error == ESTALE {
            // One of them is not what it was taken for.
            old.d_drop();
            new.d_drop();
        }
    })?;
    // Each is about to get the name of the other.
    old.set_time(to.as_time());
    if flags.is_exchange() {
        new.set_time(from.as_time());
    }
    Ok(Renamed::Moved)
}

/// A name in a remote directory, and what it is known to stand for.
pub(crate) struct Entry<'a> {
    pub(crate) dir: &'a Inode,
    pub(crate) name: &'a [u8],
    pub(crate) inode: Option<&'a Inode>,
}

/// Renames `old` to `new`, in directories of one device; EXDEV if they are not. Whatever the new
/// name stands for is replaced, unless the flags say otherwise. Gives for how long the names of both
/// directories are right then.
pub(crate) fn rename_entries(
    old: &Entry<'_>,
    new: &Entry<'_>,
    flags: Flags,
) -> Result<(Validity, Validity)> {
    let how = match (flags.is_noreplace(), flags.is_exchange()) {
        _ if !flags.only(Flags::NOREPLACE | Flags::EXCHANGE) => return Err(EINVAL),
        (false, false) => RenameFlags::Replace,
        (true, false) => RenameFlags::NoReplace,
        (false, true) => RenameFlags::Exchange,
        (true, true) => return Err(EINVAL),
    };
    let replaced = new.inode.filter(|_| how == RenameFlags::Replace);
    let renaming = Renaming {
        from: old.dir,
        to: new.dir,
        names: (name(old.name)?, name(new.name)?),
        moved: old.inode.ok_or(ENOENT)?,
        other: new.inode,
        how,
        removal: replaced.map(Removal::begin).transpose()?,
    };
    let mount = old.dir.super_block().data();
    let question = mount.ask();
    let operations = renaming.operations()?;
    let reply = compound::change(&mount, of(old.dir)?.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    let before = renaming.outcome(&mut outcomes)?;
    let learned = renaming.learn_directories(&mut outcomes, &before, question);
    let validity = learned.unwrap_or((question.validity, question.validity));
    if let Err(error) = renaming.learn(&mut outcomes, &before, question) {
        pr_debug!("what was renamed is not known well: {error:?}\n");
    }
    Ok(validity)
}

/// A rename, as far as inodes go.
struct Renaming<'a> {
    from: &'a Inode,
    to: &'a Inode,
    /// The old and the new one.
    names: (Name<'a>, Name<'a>),
    moved: &'a Inode,
    /// What has the new name, as far as it is known.
    other: Option<&'a Inode>,
    how: RenameFlags,
    /// What is replaced.
    removal: Option<Removal<'a>>,
}

/// Change attributes before a rename.
struct Before {
    from: u64,
    to: u64,
    moved: u64,
    /// Of the file that is exchanged for the moved one.
    other: Option<u64>,
}

impl<'a> Renaming<'a> {
    fn is_within_one(&self) -> bool {
        core::ptr::eq(self.from, self.to)
    }

    fn operations(&self) -> Result<KVec<Operation<'a>>> {
        let (name, new_name) = self.names;
        let node = of(self.from)?;
        let (from, to) = (node.handle(), same_device(node, self.to)?.handle());
        let mut operations = KVec::with_capacity(25, GFP_KERNEL)?;
        let mut push = |more: &[Operation<'a>]| operations.extend_from_slice(more, GFP_KERNEL);
        push(&[Operation::File(to), Operation::GetChange])?;
        if self.how == RenameFlags::Exchange {
            push(&[Operation::Walk(new_name), Operation::GetChange])?;
        }
        push(&[
            Operation::File(from),
            Operation::Walk(name),
            Operation::GetChange,
            Operation::File(from),
            Operation::GetChange,
            Operation::Rename {
                name,
                file: of(self.moved)?.handle(),
                new_directory: to,
                new_name,
                flags: self.how,
                open: self.removal.as_ref().is_some_and(|removal| removal.is_open),
            },
            Operation::File(from),
            Operation::Lease,
            Operation::GetAttributes,
            Operation::File(to),
            Operation::Lease,
            Operation::GetAttributes,
            Operation::Walk(new_name),
            Operation::GetHandle,
            Operation::Lease,
            Operation::GetAttributes,
        ])?;
        match (self.how, self.other) {
            (RenameFlags::Exchange, _) => push(&[
                Operation::File(from),
                Operation::Walk(name),
                Operation::GetHandle,
                Operation::Lease,
                Operation::GetAttributes,
            ])?,
            (_, Some(other)) => push(&[
                Operation::File(same_device(node, other)?.handle()),
                Operation::Lease,
                Operation::GetAttributes,
            ])?,
            (_, None) => {}
        }
        Ok(operations)
    }

    /// Whether it was done.
    fn outcome(&self, outcomes: &mut Outcomes<'_>) -> Result<Before> {
        outcomes.done()?;
        let to = outcomes.change()?;
        let mut other = None;
        if self.how == RenameFlags::Exchange {
            outcomes.done()?;
            other = Some(outcomes.change()?);
        }
        outcomes.done()?;
        outcomes.done()?;
        let moved = outcomes.change()?;
        outcomes.done()?;
        let from = outcomes.change()?;
        outcomes.done()?;
        Ok(Before {
            from,
            to,
            moved,
            other,
        })
    }

    /// Takes over what the owner told of the directories, and gives for how long their names are
    /// right.
    fn learn_directories(
        &self,
        outcomes: &mut Outcomes<'_>,
        before: &Before,
        question: Question,
    ) -> Result<(Validity, Validity)> {
        let (name, new_name) = self.names;
        let node = of(self.from)?;
        let from = changed::directory(self.from, node, name, outcomes, before.from, question);
        if self.is_within_one() {
            merge::changed_here(self.from, node.peer(), &node.handle(), new_name.as_bytes());
            outcomes.done()?;
            outcomes.lease()?;
            outcomes.attributes()?;
            return Ok((from, from));
        }
        let node = of(self.to)?;
        let to = changed::directory(self.to, node, new_name, outcomes, before.to, question);
        Ok((from, to))
    }

    /// Takes over what the owner told of the files.
    fn learn(&self, outcomes: &mut Outcomes<'_>, before: &Before, question: Question) -> Result {
        learn(self.moved, outcomes, before.moved, question)?;
        match (self.other, before.other) {
            (Some(other), Some(other_before)) => {
                outcomes.done()?;
                learn(other, outcomes, other_before, question)
            }
            (Some(other), None) => {
                changed::replaced(other, outcomes, self.removal.as_ref(), question)
            }
            (None, _) => Ok(()),
        }
    }
}

/// Takes over the handle and the attributes that a walk has led to: the next three outcomes.
fn learn(inode: &Inode, outcomes: &mut Outcomes<'_>, before: u64, question: Question) -> Result {
    let node = of(inode)?;
    outcomes.done()?;
    if !node.learn(outcomes.handle()?) {
        return Err(ESTALE.into());
    }
    let (question, attributes) = outcomes.told(inode, node, question)?;
    attributes::take_own(inode, node, question, Some(before), &attributes)
}
