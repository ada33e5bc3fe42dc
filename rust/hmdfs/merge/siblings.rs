// SPDX-License-Identifier: GPL-2.0

//! What a change of one name does to others.
//!
//! When a name is gone, the next device's file takes its place, and is not shown under
//! the name any more that it had until then. Lookups and listings find that out; what
//! is cached of other devices' files is held to be right for a while, so it is told.

use hmdfs_model::names::{Decorated, Suffix};

use super::Parts;
use crate::{
    node::{Dentry, Node},
    validity::Validity,
};

/// Has all cached names that the real name `name` in the directory `dir` may give rise to looked
/// up again before they are used.
///
/// Where a counter follows, only as far as the names before it are cached too; others are
/// as old as what is told of changes that another device makes.
pub(super) fn forget(dir: &Dentry, parts: &Parts, name: &[u8]) {
    if parts.only_local().is_some() {
        // All that is cached stands on the names of this device.
        return;
    }
    expire(dir, name);
    let devices = parts.remote().map(|(peer, _)| peer.number());
    let conflicts = devices.map(Suffix::Conflict);
    for suffix in conflicts.chain([Suffix::RemoteDirectory]) {
        let mut counter = 1u32;
        while expire(dir, Decorated::new(name, suffix, counter).as_bytes()) {
            counter = counter.saturating_add(1);
        }
    }
}

/// Has a name looked up again, if it is cached; whether it is.
fn expire(dir: &Dentry, name: &[u8]) -> bool {
    let Some(dentry) = dir.cached(name) else {
        return false;
    };
    doubt(&dentry);
    true
}

/// Has a name looked up again with all devices before it is used.
pub(super) fn doubt(dentry: &Dentry) {
    let never = Validity::NONE.as_time();
    dentry.set_time(never);
    if let Some(inode) = dentry.inode() {
        if matches!(inode.data(), Node::Merge(_)) {
            inode.set_time(never);
        }
    }
}
