// SPDX-License-Identifier: GPL-2.0

//! Filling the dentry cache with what the listing of a merged directory tells.
//!
//! So the attributes of all that was listed cost no further message, as in the directory of
//! one device. Left out are symbolic links, whose targets are not in a listing, and
//! directories that several devices have: of these, more is to be known than the
//! listing tells.

use hmdfs_kapi::{fs::dentry::InLookup, signal::fatal_signal_pending};
use kernel::{prelude::*, sync::Arc};

use super::{iget, leases::Told, of, parts::Part, snapshot::Snapshot, stand, Parts};
use crate::{
    mount::Hmdfs,
    node::{Dentry, Inode, InodeRef, Node},
    peer::Peer,
    remote::{directory::Child, inode},
    validity::Validity,
};

/// Has everything in the dentry cache that `snapshot`, of the merged directory `dir` with the dentry
/// `parent`, was told under the leases `told`; it is not kept there any longer.
///
/// Errors are not the listing's: EINTR when the task is being killed, ENOMEM.
pub(super) fn prime(
    dir: &Inode,
    directory: &Parts,
    parent: &Dentry,
    snapshot: &mut Snapshot,
    told: &Told,
) -> Result {
    let mut validity = Validity::NONE;
    told.stamp(dir, directory, |now| validity = now);
    let is_right = validity != Validity::NONE;
    let mut all = true;
    snapshot.take_nodes(|name, device, child, is_only| {
        if fatal_signal_pending() {
            return Err(EINTR);
        }
        let mut devices = directory.remote();
        let peer = devices.find(|(peer, _)| peer.number() == device);
        let (Some((peer, _)), true) = (peer, is_right) else {
            return Ok(());
        };
        let entry = Entry {
            dir,
            directory,
            parent,
            told,
            name: name.as_bytes(),
            peer,
        };
        let primed = match child.attributes.file_type() {
            0o120_000 => Ok(()),
            0o040_000 if is_only => entry.prime_directory(child),
            0o040_000 => Ok(()),
            _ => entry.prime_file(&child),
        };
        if let Err(error) = primed {
            pr_debug!("an entry of a listing is not cached: {error:?}\n");
            all = false;
        }
        Ok(())
    })?;
    if is_right && all {
        of(dir)?.set_primed(told.leases());
    }
    Ok(())
}

/// An entry that was listed.
struct Entry<'a> {
    dir: &'a Inode,
    directory: &'a Parts,
    parent: &'a Dentry,
    told: &'a Told,
    /// What it is shown as.
    name: &'a [u8],
    peer: &'a Arc<Peer>,
}

impl Entry<'_> {
    fn prime_file(&self, child: &Child) -> Result {
        let inode = inode::iget(self.dir.super_block(), self.peer, child)?;
        let told = |dentry: &Dentry| {
            self.told.stamp(self.dir, self.directory, |validity| {
                dentry.set_time(validity.as_time());
            });
        };
        let keep = |dentry: &Dentry| {
            // Anything else is for a lookup to judge.
            if dentry
                .inode()
                .is_some_and(|known| core::ptr::eq(known, &*inode))
            {
                told(dentry);
            }
            true
        };
        let make = |dentry: InLookup<'_, Hmdfs>| {
            dentry.splice_alias(Some(inode.clone()), Validity::NONE.as_time())
        };
        self.parent.prime(self.name, keep, make, told)
    }

    /// A directory that only this device has.
    fn prime_directory(&self, child: Child) -> Result {
        let mut parts = KVec::new();
        let child = Arc::new(child, GFP_KERNEL)?;
        parts.push(Part::Remote(self.peer.clone(), child), GFP_KERNEL)?;
        let parts = Parts::new(parts, self.told.begin().generation)?;
        let has_local = self.directory.local().is_some();
        let told = |dentry: &Dentry| {
            let Some(inode) = dentry.inode() else {
                return;
            };
            self.told.stamp(self.dir, self.directory, |validity| {
                if has_local {
                    inode.set_time(validity.as_time());
                } else {
                    dentry.set_time(validity.as_time());
                }
            });
        };
        let keep = |dentry: &Dentry| {
            if let Some((inode, Node::Merge(known))) =
                dentry.inode().map(|inode| (inode, inode.data()))
            {
                let same = known.take(inode, parts.clone()).unwrap_or(false)
                    && (!has_local
                        || self
                            .directory
                            .stand_if_same(self.name, dentry, None)
                            .unwrap_or(false));
                if same {
                    told(dentry);
                }
            }
            true
        };
        let make = |dentry: InLookup<'_, Hmdfs>| {
            let inode: InodeRef = iget(self.dir.super_block(), parts.clone())?;
            if has_local {
                stand(self.directory, dentry, &inode)
            } else {
                dentry.splice_alias(Some(inode), Validity::NONE.as_time())
            }
        };
        self.parent.prime(self.name, keep, make, told)
    }
}
