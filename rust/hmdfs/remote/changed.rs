// SPDX-License-Identifier: GPL-2.0

//! Taking over what the owner tells after this device has changed names: of the directory, of what
//! was made or has another name, and of what has lost its name.
//!
//! Each of these is some outcomes of the compound that has made the change, and each change
//! ([`super::names`], [`super::open`], [`super::rename`], [`super::place`]) has some of these.

use hmdfs_kapi::errno::EPROTO;
use hmdfs_proto::{Attributes, Name};
use kernel::prelude::*;

use super::{
    attributes,
    compound::Outcomes,
    directory::Child,
    inode::{of, Node},
    leases,
    opens::Removal,
};
use crate::{merge, mount::Question, node::Inode, validity::Validity};

/// The change attributes of a file and its directory before a change of both, and the outcome of
/// that: the next five outcomes.
pub(super) fn before(outcomes: &mut Outcomes<'_>) -> Result<(u64, u64)> {
    outcomes.done()?;
    let file = outcomes.change()?;
    outcomes.done()?;
    let directory = outcomes.change()?;
    outcomes.done()?;
    Ok((file, directory))
}

/// Takes over a directory's attributes after a change of ours to `name`: the next three outcomes. Gives
/// for how long what is known of its names is right. That they cannot be had is no failure of the
/// change. What is cached of the name, in any view, is doubted; the caller knows better.
pub(super) fn directory(
    dir: &Inode,
    node: &Node,
    name: Name<'_>,
    outcomes: &mut Outcomes<'_>,
    before: u64,
    question: Question,
) -> Validity {
    let taken = outcomes
        .done()
        .and_then(|()| outcomes.told(dir, node, question))
        .and_then(|(question, attributes)| {
            attributes::take_own(dir, node, question, Some(before), &attributes)?;
            Ok(question.validity)
        });
    let validity = taken.unwrap_or_else(|error| {
        pr_debug!("a directory's attributes are not known after a change: {error:?}\n");
        let mount = dir.super_block().data();
        node.changed(&mount);
        leases::forget(&mount, node.peer(), &node.handle());
        question.validity
    });
    merge::changed_here(dir, node.peer(), &node.handle(), name.as_bytes());
    validity
}

/// What was just made: the next three outcomes. It must be of the type `file_type`.
pub(super) fn made(
    outcomes: &mut Outcomes<'_>,
    file_type: u16,
    target: Option<KVec<u8>>,
    question: Question,
) -> Result<Child> {
    let (handle, lease) = (outcomes.handle()?, outcomes.lease()?);
    let attributes = outcomes.attributes()?;
    if attributes.file_type() != file_type {
        return Err(EPROTO.into());
    }
    Ok(Child {
        handle,
        attributes,
        target,
        question,
        lease,
    })
}

/// Takes over what the owner told of `file`, which was just given the name `wanted` in `dir`: the next
/// six outcomes. Gives for how long what is known of the names in `dir` is right.
///
/// The change attributes of file and directory were `before`.
pub(super) fn linked(
    dir: &Inode,
    wanted: Name<'_>,
    file: &Inode,
    outcomes: &mut Outcomes<'_>,
    before: (u64, u64),
    question: Question,
) -> Result<Validity> {
    let (node, linked) = (of(dir)?, of(file)?);
    let (file_before, before) = before;
    let child = made(outcomes, file.file_type(), None, question)?;
    let validity = directory(dir, node, wanted, outcomes, before, question);
    if !linked.learn(child.handle) {
        return Err(EPROTO.into());
    }
    let question = Question {
        validity: leases::settle(file, linked, child.lease, question),
        ..question
    };
    attributes::take_own(file, linked, question, Some(file_before), &child.attributes)?;
    Ok(validity)
}

/// Takes over what has become of a file that has lost a name to another one: the next three outcomes.
pub(super) fn replaced(
    replaced: &Inode,
    outcomes: &mut Outcomes<'_>,
    removal: Option<&Removal<'_>>,
    question: Question,
) -> Result {
    let node = of(replaced)?;
    let known = node.attributes();
    let left = outcomes
        .done()
        .and_then(|()| outcomes.told(replaced, node, question));
    // Its last name is gone, or the other ones are elsewhere.
    let (question, attributes) = left.unwrap_or((question, without_a_name(&known)));
    if let (0, Some(removal)) = (attributes.nlink, removal) {
        removal.was_last();
    }
    // What it was before is not known: somebody may have written to it, and who opens
    // another name of it has to see that.
    let before = (attributes.nlink == 0).then_some(known.change);
    attributes::take_own(replaced, node, question, before, &attributes)
}

/// What is known of a file after it has lost a name.
pub(super) fn without_a_name(known: &Attributes) -> Attributes {
    Attributes {
        nlink: if known.is_directory() {
            0
        } else {
            known.nlink.saturating_sub(1)
        },
        ..*known
    }
}
