// SPDX-License-Identifier: GPL-2.0

//! Merged directories that are in use while devices come and go.
//!
//! A path walk looks every name up again when the set of devices has changed. It does
//! not come past a current directory, or one that a program has open, so these are
//! brought up to date when they are used: from the outermost one on that may be out of
//! date, each is looked up in the one above.

use kernel::{
    prelude::*,
    sync::{aref::ARef, Arc},
};

use super::{
    lookup::{find, Found, Meaning},
    of, root_parts, Directory, Parts,
};
use crate::{
    mount::Mount,
    node::{Dentry, Inode, Node},
};

/// What the directory `dir`, whose dentry `dentry` gives, is made of now.
///
/// Of one that is not found any more it is what it was: its devices say themselves what is left.
pub(super) fn current(
    mount: &Mount,
    dir: &Inode,
    dentry: impl FnOnce() -> ARef<Dentry>,
) -> Result<Arc<Parts>> {
    let parts = of(dir)?.parts();
    if parts.generation == mount.peers.generation() {
        return Ok(parts);
    }
    for dentry in outdated(mount, &dentry())?.iter().rev() {
        if !refresh(mount, dentry)? {
            break;
        }
    }
    Ok(of(dir)?.parts())
}

/// The directory and those above it that may be out of date.
fn outdated(mount: &Mount, dentry: &Dentry) -> Result<KVec<ARef<Dentry>>> {
    let generation = mount.peers.generation();
    let mut outdated = KVec::new();
    let mut current: ARef<Dentry> = dentry.into();
    while merged(&current).is_some_and(|(_, directory)| directory.parts().generation != generation)
    {
        let parent = current.parent();
        outdated.push(current, GFP_KERNEL)?;
        current = parent;
    }
    Ok(outdated)
}

/// Looks a directory up again; whether it is there still.
#[inline(never)]
fn refresh(mount: &Mount, dentry: &Dentry) -> Result<bool> {
    let Some((inode, directory)) = merged(dentry) else {
        return Ok(false);
    };
    let parent = dentry.parent();
    let found = match merged(&parent) {
        None => root_parts(mount)?,
        Some((dir, above)) => match find(dir, &above.parts(), dentry.name().as_bytes()) {
            Ok(Found {
                meaning: Some(Meaning::Directory(parts)),
                ..
            }) => parts,
            Err(error) if error == EINTR || error == ENOMEM => return Err(error),
            _ => return Ok(false),
        },
    };
    directory.take(inode, found)
}

fn merged(dentry: &Dentry) -> Option<(&Inode, &Directory)> {
    let inode = dentry.inode()?;
    match inode.data() {
        Node::Merge(directory) => Some((inode, directory)),
        _ => None,
    }
}
