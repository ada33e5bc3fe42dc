// SPDX-License-Identifier: GPL-2.0

//! Making and removing names in merged directories.
//!
//! What is made is made on this device ([`parents::place`]); what has a name is changed
//! on the device that it is on, by its real name there. Both are done by the operations
//! of [`local`](crate::local) and [`remote`] directories: a merged
//! directory stands on the one of this device, and has the inode of another's as its part.

use hmdfs_kapi::{
    errno::ESTALE,
    fs::{
        dentry::{Instantiated, Negative, Spliced},
        inode_operations::{Operations, Tmpfile, TmpfileOpened},
    },
};
use hmdfs_model::names::is_decorated;
use kernel::{
    prelude::*,
    sync::{aref::ARef, Arc},
};

use super::{
    iget, leases,
    lookup::{find_real, Meaning},
    of, parents, siblings, Part, Parts,
};
use crate::{
    local::directory::DirectoryOps as LocalOps,
    mount::Hmdfs,
    node::{Dentry, Inode, Node},
    remote::{self, names},
    validity::Validity,
};

/// Makes a regular file.
pub(super) fn create(
    dir: &Inode,
    dentry: Negative<'_, Hmdfs>,
    mode: u16,
    exclusive: bool,
) -> Result<Instantiated> {
    let Some(part) = parents::place(dir, || dentry.parent())? else {
        return LocalOps::create(dir, dentry, mode, exclusive);
    };
    make(dentry, |dentry| names::create(&part, dentry, mode)).map_err(|error| {
        if error == EEXIST && !exclusive {
            // Somebody else has just made it: it is to be opened as it is.
            ESTALE.into()
        } else {
            error
        }
    })
}

/// Has something made by the operations of a remote directory.
fn make(
    dentry: Negative<'_, Hmdfs>,
    make: impl FnOnce(Negative<'_, Hmdfs>) -> Result<Instantiated>,
) -> Result<Instantiated> {
    let own: ARef<Dentry> = (&*dentry).into();
    let before = Validity::from_time(own.time());
    let made = make(dentry)?;
    leases::made(&own, before);
    Ok(made)
}

/// Makes a directory, which is a merged one of one part.
pub(super) fn mkdir(dir: &Inode, dentry: Negative<'_, Hmdfs>, mode: u16) -> Result<Spliced<Hmdfs>> {
    let sb = dir.super_block();
    let mount = sb.data();
    let name = dentry.name();
    let validity = mount.ask().validity.as_time();
    let generation = mount.peers.generation();
    let (part, made) = match parents::place(dir, || dentry.parent())? {
        None => {
            let parent = dir.lower().ok_or(EIO)?;
            let path = parent.mkdir(dentry.component(name.as_bytes()), mode)?;
            dir.copy_lower_attributes();
            (Part::Local(path.clone()), Some((parent, path)))
        }
        Some(parent) => {
            let child = names::make_directory_as(&parent, name.as_bytes(), mode)?;
            let peer = remote::inode::of(&parent)?.peer().clone();
            (Part::Remote(peer, Arc::new(child, GFP_KERNEL)?), None)
        }
    };
    let mut parts = KVec::new();
    parts.push(part, GFP_KERNEL)?;
    let inode = iget(sb, Parts::new(parts, generation)?)?;
    match made {
        Some((parent, path)) => {
            inode.set_time(validity);
            dentry.set_lower(parent, name.as_bytes(), path.as_lower())?;
        }
        None => dentry.set_time(validity),
    }
    dentry.d_splice_alias(inode)
}

/// Makes a device node, a FIFO or a socket.
pub(super) fn mknod(
    dir: &Inode,
    dentry: Negative<'_, Hmdfs>,
    mode: u16,
    device: u32,
) -> Result<Instantiated> {
    match parents::place(dir, || dentry.parent())? {
        None => LocalOps::mknod(dir, dentry, mode, device),
        Some(part) => make(dentry, |dentry| names::mknod(&part, dentry, mode, device)),
    }
}

/// Makes a symbolic link.
pub(super) fn symlink(
    dir: &Inode,
    dentry: Negative<'_, Hmdfs>,
    target: &CStr,
) -> Result<Instantiated> {
    match parents::place(dir, || dentry.parent())? {
        None => LocalOps::symlink(dir, dentry, target),
        Some(part) => make(dentry, |dentry| names::symlink(&part, dentry, target)),
    }
}

/// Makes a file without a name, where a file with one would be made.
pub(super) fn tmpfile(dir: &Inode, file: Tmpfile<'_, Hmdfs>) -> Result<TmpfileOpened> {
    match parents::place(dir, || file.parent())? {
        None => LocalOps::tmpfile(dir, file),
        Some(part) => remote::open::tmpfile(&part, file),
    }
}

/// Gives a file another name, on its device; EXDEV when that cannot have it.
pub(super) fn link(file: &Inode, dir: &Inode, dentry: Negative<'_, Hmdfs>) -> Result<Instantiated> {
    match file.data() {
        Node::Local(_) => match parents::place(dir, || dentry.parent())? {
            None => LocalOps::link(file, dir, dentry),
            Some(_) => Err(EXDEV),
        },
        Node::Remote(node) => {
            let part = parents::on_peer(dir, &dentry.parent(), node.peer())?;
            make(dentry, |dentry| names::link(file, &part, dentry))
        }
        _ => Err(EPERM),
    }
}

/// Removes a name of a file.
pub(super) fn unlink(dir: &Inode, dentry: &Dentry) -> Result {
    let inode = dentry.inode().ok_or(ENOENT)?;
    let parts = of(dir)?.parts();
    if matches!(inode.data(), Node::Local(_)) && parts.only_local().is_some() {
        return LocalOps::unlink(dir, dentry);
    }
    let real = real_name(dir, dentry)?;
    match inode.data() {
        Node::Local(_) => LocalOps::unlink(dir, dentry)?,
        Node::Remote(node) => {
            let part = parts.inode_of(dir, node.peer())?;
            names::remove(&part, &real, dentry, false)?;
        }
        _ => return Err(EISDIR),
    }
    siblings::forget(&dentry.parent(), &parts, &real);
    Ok(())
}

/// The real name of what `dentry` in the merged directory `dir` stands for.
///
/// ESTALE when the name stands for something else by now.
pub(super) fn real_name(dir: &Inode, dentry: &Dentry) -> Result<KVec<u8>> {
    let inode = dentry.inode().ok_or(ENOENT)?;
    let shown = dentry.name();
    let mut name = KVec::new();
    let is_local = matches!(inode.data(), Node::Local(_));
    if !is_local && is_decorated(shown.as_bytes()) {
        let found = find_real(dir, &of(dir)?.parts(), shown.as_bytes(), &mut name)?;
        let is_same = match (found, inode.data()) {
            (Some(Meaning::Remote(peer, child)), Node::Remote(node)) => {
                Arc::ptr_eq(&peer, node.peer()) && node.handle().is_same_file(&child.handle)
            }
            (Some(Meaning::Directory(parts)), Node::Merge(merged)) => merged.take(inode, parts)?,
            _ => false,
        };
        if !is_same {
            siblings::doubt(dentry);
            return Err(ESTALE.into());
        }
    }
    if name.is_empty() {
        return same_real_name(dentry);
    }
    Ok(name)
}

/// The real name of what `dentry` stands for if that is shown by its real name, or is to be.
pub(super) fn same_real_name(dentry: &Dentry) -> Result<KVec<u8>> {
    let mut name = KVec::new();
    name.extend_from_slice(dentry.name().as_bytes(), GFP_KERNEL)?;
    Ok(name)
}
