// SPDX-License-Identifier: GPL-2.0

//! Making and removing files of other devices; renaming them is [`super::rename`].
//!
//! Each change is one compound, which also tells what the change attribute of the
//! directory was before and what its attributes are afterwards: so what is known of
//! a directory stays known while only this device changes it.

use hmdfs_kapi::{
    cred::current_umask,
    errno::ESTALE,
    fs::dentry::{Instantiated, Intent, Negative, Spliced},
};
use hmdfs_proto::{Name, Operation, Target};
use kernel::{prelude::*, sync::Arc};

use super::{
    attributes, changed,
    compound::{self, Outcomes},
    directory::{name, Child},
    inode::{iget, of, Node},
    leases,
    opens::Removal,
};
use crate::{
    mount::Hmdfs,
    node::{Dentry, Inode, InodeRef, Node as AnyNode},
    validity::Validity,
};

/// `S_ISVTX`: only the owner of a file may remove it from this directory.
const STICKY: u16 = 0o1000;

/// Whether the operation that a lookup is for finds out by itself what the name stands for, so
/// that a round trip is saved: the owner refuses to make what exists already.
pub(super) fn finds_out(dir: &Inode, intent: Intent) -> Result<bool> {
    if intent.is_exclusive() {
        return Ok(true);
    }
    // In a sticky directory, whose file would be replaced decides whether it may be.
    Ok(intent.is_rename_target() && of(dir)?.attributes().mode & STICKY == 0)
}

/// Makes something of the type `file_type` and with this name in `dir` by `operation`, and gives its
/// inode.
fn make(
    dir: &Inode,
    dentry: &Dentry,
    name: Name<'_>,
    operation: Operation<'_>,
    file_type: u16,
    target: Option<KVec<u8>>,
) -> Result<InodeRef> {
    let (child, validity) = make_child(dir, name, operation, file_type, target)?;
    let inode = adopt(dir, &child)?;
    dentry.set_time(validity.as_time());
    Ok(inode)
}

/// Makes something of the type `file_type` and with this name in `dir` by `operation`, and gives for how
/// long the names of `dir` are right then.
fn make_child(
    dir: &Inode,
    name: Name<'_>,
    operation: Operation<'_>,
    file_type: u16,
    target: Option<KVec<u8>>,
) -> Result<(Child, Validity)> {
    let node = of(dir)?;
    let directory = Operation::File(node.handle());
    let operations = [
        directory,
        Operation::GetChange,
        operation,
        Operation::GetHandle,
        Operation::Lease,
        Operation::GetAttributes,
        directory,
        Operation::Lease,
        Operation::GetAttributes,
    ];
    let mount = dir.super_block().data();
    let question = mount.ask();
    let reply = compound::change(&mount, node.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    let before = outcomes.change()?;
    outcomes.made()?;
    // Whatever happens from here on, the file is there.
    let doubt = |_: &Error| leases::doubt(&mount, node.peer(), &operations);
    let child = changed::made(&mut outcomes, file_type, target, question).inspect_err(doubt)?;
    let validity = changed::directory(dir, node, name, &mut outcomes, before, question);
    Ok((child, validity))
}

/// The inode of what was made in `dir`.
fn adopt(dir: &Inode, child: &Child) -> Result<InodeRef> {
    let node = of(dir)?;
    iget(dir.super_block(), node.peer(), child).inspect_err(|_| {
        // It is there, and nothing here says so.
        leases::forget(&dir.super_block().data(), node.peer(), &node.handle());
    })
}

/// Makes a directory of this name in `dir`, for which there is no dentry, with just this mode.
pub(crate) fn make_directory(dir: &Inode, wanted: &[u8], mode: u16) -> Result<Child> {
    Ok(make_directory_with(dir, wanted, (mode, 0))?.0)
}

/// Makes a directory of this name in `dir`, for which there is no dentry, as [`mkdir`] does.
pub(crate) fn make_directory_as(dir: &Inode, wanted: &[u8], mode: u16) -> Result<Child> {
    Ok(make_directory_with(dir, wanted, (mode & 0o7777, current_umask()))?.0)
}

fn make_directory_with(dir: &Inode, wanted: &[u8], mode: (u16, u16)) -> Result<(Child, Validity)> {
    let name = name(wanted)?;
    let operation = Operation::MakeDirectory { name, mode };
    make_child(dir, name, operation, 0o040_000, None)
}

/// Makes a regular file of this name in `dir`, for which there is no dentry yet, with just this
/// mode.
pub(super) fn make_file(dir: &Inode, wanted: &[u8], mode: u16) -> Result<Child> {
    let name = name(wanted)?;
    let operation = Operation::Create {
        name,
        mode: (mode, 0),
        exclusive: true,
    };
    Ok(make_child(dir, name, operation, 0o100_000, None)?.0)
}

/// Makes a regular file, which must not exist.
pub(crate) fn create(dir: &Inode, dentry: Negative<'_, Hmdfs>, mode: u16) -> Result<Instantiated> {
    let wanted = dentry.name();
    let name = name(wanted.as_bytes())?;
    let operation = Operation::Create {
        name,
        mode: (mode & 0o7777, current_umask()),
        exclusive: true,
    };
    let inode = make(dir, &dentry, name, operation, 0o100_000, None)?;
    let time = dentry.time();
    dentry.add(inode, time)
}

/// Makes a directory.
pub(super) fn mkdir(dir: &Inode, dentry: Negative<'_, Hmdfs>, mode: u16) -> Result<Spliced<Hmdfs>> {
    let wanted = dentry.name();
    let mode = (mode & 0o7777, current_umask());
    let (child, validity) = make_directory_with(dir, wanted.as_bytes(), mode)?;
    let inode = adopt(dir, &child)?;
    dentry.set_time(validity.as_time());
    dentry.d_splice_alias(inode)
}

/// Makes a FIFO or a socket; the owner refuses device nodes.
pub(crate) fn mknod(
    dir: &Inode,
    dentry: Negative<'_, Hmdfs>,
    mode: u16,
    device: u32,
) -> Result<Instantiated> {
    let wanted = dentry.name();
    let name = name(wanted.as_bytes())?;
    let operation = Operation::MakeNode {
        name,
        mode: (mode, current_umask()),
        device: (device >> 20, device & 0xf_ffff),
    };
    let inode = make(dir, &dentry, name, operation, mode & 0o170_000, None)?;
    let time = dentry.time();
    dentry.add(inode, time)
}

/// Makes a symbolic link.
pub(crate) fn symlink(
    dir: &Inode,
    dentry: Negative<'_, Hmdfs>,
    target: &CStr,
) -> Result<Instantiated> {
    let wanted = dentry.name();
    let bytes = target.to_bytes();
    let name = name(wanted.as_bytes())?;
    let operation = Operation::MakeLink {
        name,
        target: Target::new(bytes).map_err(|_| hmdfs_kapi::errno::ENAMETOOLONG)?,
    };
    let mut target = KVec::new();
    target.extend_from_slice(bytes, GFP_KERNEL)?;
    let inode = make(dir, &dentry, name, operation, 0o120_000, Some(target))?;
    let time = dentry.time();
    dentry.add(inode, time)
}

/// Gives a file another name; EXDEV for one that is not the same device's.
pub(crate) fn link(file: &Inode, dir: &Inode, dentry: Negative<'_, Hmdfs>) -> Result<Instantiated> {
    let node = of(dir)?;
    let handle = same_device(node, file)?.handle();
    let wanted = dentry.name();
    let wanted = name(wanted.as_bytes())?;
    let directory = Operation::File(node.handle());
    let operations = [
        Operation::File(handle),
        Operation::GetChange,
        directory,
        Operation::GetChange,
        Operation::Link {
            name: wanted,
            file: handle,
        },
        Operation::GetHandle,
        Operation::Lease,
        Operation::GetAttributes,
        directory,
        Operation::Lease,
        Operation::GetAttributes,
    ];
    let mount = dir.super_block().data();
    let question = mount.ask();
    let reply = compound::change(&mount, node.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    let before = changed::before(&mut outcomes)?;
    let validity = changed::linked(dir, wanted, file, &mut outcomes, before, question)?;
    dentry.add(file.to_ref(), validity.as_time())
}

/// The node of `inode`, if it belongs to the same device as `node`; EXDEV if not.
pub(super) fn same_device<'a>(node: &Node, inode: &'a Inode) -> Result<&'a Node> {
    match inode.data() {
        AnyNode::Remote(other) if Arc::ptr_eq(other.peer(), node.peer()) => Ok(other),
        _ => Err(EXDEV),
    }
}

/// Removes the name `wanted`, of a directory or of something else, which is what `dentry` stands
/// for.
pub(crate) fn remove(dir: &Inode, wanted: &[u8], dentry: &Dentry, directory: bool) -> Result {
    let inode = dentry.inode().ok_or(ENOENT)?;
    let validity = remove_inode(dir, wanted, inode, directory).inspect_err(|&error| {
        if error == ENOENT || error == ESTALE {
            // It is not what it was taken for.
            dentry.d_drop();
        }
    })?;
    dentry.set_time(validity.as_time());
    Ok(())
}

/// Removes the name `wanted` of `inode`, and gives for how long it is right that there is none.
pub(crate) fn remove_inode(
    dir: &Inode,
    wanted: &[u8],
    inode: &Inode,
    directory: bool,
) -> Result<Validity> {
    let node = of(dir)?;
    let removed = of(inode)?;
    let removal = Removal::begin(inode)?;
    let wanted = name(wanted)?;
    let parent = Operation::File(node.handle());
    let operations = [
        parent,
        Operation::Walk(wanted),
        Operation::GetChange,
        parent,
        Operation::GetChange,
        Operation::Remove {
            name: wanted,
            file: removed.handle(),
            directory,
            open: removal.is_open,
        },
        Operation::Lease,
        Operation::GetAttributes,
        parent,
        Operation::Lease,
        Operation::GetAttributes,
    ];
    let mount = dir.super_block().data();
    let question = mount.ask();
    let reply = compound::change(&mount, node.peer(), &operations)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    let (file_before, before) = changed::before(&mut outcomes)?;
    let told = outcomes.told(inode, removed, question);
    // When those of the file could not be had, nothing else was.
    let validity = changed::directory(dir, node, wanted, &mut outcomes, before, question);
    let validity = leases::of_nothing(validity);
    let (question, attributes) =
        told.unwrap_or_else(|_| (question, changed::without_a_name(&removed.attributes())));
    if attributes.nlink == 0 {
        removal.was_last();
    }
    attributes::take_own(inode, removed, question, Some(file_before), &attributes)?;
    Ok(validity)
}

/// Brings the names in a directory to its owner's stable storage.
pub(super) fn fsync(dir: &Inode, data_only: bool) -> Result {
    let node = of(dir)?;
    let operations = [
        Operation::File(node.handle()),
        Operation::Sync {
            data_only,
            errors: None,
        },
    ];
    let reply = compound::call(node.peer(), &operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    outcomes.synced()?;
    Ok(())
}
