// SPDX-License-Identifier: GPL-2.0

//! Renaming in merged directories.
//!
//! A file stays on its device, which gets the directories that it lacks on the way to the
//! new name ([`super::parents`]). To a name that another device's file has, it would
//! have to move, and that is for programs to do: EXDEV. But for one case: [`save()`].

use hmdfs_kapi::{
    errno::ESTALE,
    fs::inode_operations::{Operations, Renamed},
    vfs::rename::Flags,
};
use kernel::{prelude::*, sync::Arc};

use super::{
    change::{real_name, same_real_name},
    of, parents,
    rename_directory::rename_directory,
    save::save,
    siblings,
};
use crate::{
    local::directory::DirectoryOps as LocalOps,
    node::{Dentry, Inode, Node},
    peer::Peer,
    remote::rename::{rename_entries, Entry},
};

/// A rename, as the VFS asks for it.
pub(super) struct Renaming<'a> {
    pub(super) old_dir: &'a Inode,
    pub(super) old: &'a Dentry,
    pub(super) new_dir: &'a Inode,
    pub(super) new: &'a Dentry,
    pub(super) flags: Flags,
}

/// See [`Operations::rename`].
pub(super) fn rename(renaming: &Renaming<'_>) -> Result<Renamed> {
    if !renaming.flags.only(Flags::NOREPLACE | Flags::EXCHANGE) {
        return Err(EINVAL);
    }
    // Where it would be shown by another view, something else would be shown.
    of(renaming.new_dir).map_err(|_| EXDEV)?;
    let moved = renaming.old.inode().ok_or(ENOENT)?;
    let target = renaming.new.inode();
    match (moved.data(), target.map(Inode::data)) {
        (Node::Merge(_), _) => rename_directory(renaming),
        (Node::Local(_), None | Some(Node::Local(_))) => renaming.on_this_device(),
        (Node::Remote(node), None) => renaming.on_peer(node.peer()),
        (Node::Remote(node), Some(Node::Remote(other)))
            if Arc::ptr_eq(node.peer(), other.peer()) =>
        {
            renaming.on_peer(node.peer())
        }
        (Node::Local(_), Some(Node::Remote(_))) => save(renaming, moved, target.ok_or(ENOENT)?),
        _ => Err(EXDEV),
    }
}

impl Renaming<'_> {
    fn on_this_device(&self) -> Result<Renamed> {
        if parents::place(self.new_dir, || self.new.parent())?.is_some() {
            return Err(EXDEV);
        }
        let rename =
            || LocalOps::rename(self.old_dir, self.old, self.new_dir, self.new, self.flags);
        if of(self.old_dir)?.parts().only_local().is_some() {
            return rename();
        }
        let name = self.old.name();
        let renamed = rename()?;
        self.forget_old(name.as_bytes())?;
        Ok(renamed)
    }

    fn on_peer(&self, peer: &Arc<Peer>) -> Result<Renamed> {
        let old_name = real_name(self.old_dir, self.old)?;
        let new_name = match self.new.inode() {
            Some(_) => real_name(self.new_dir, self.new)?,
            None => same_real_name(self.new)?,
        };
        let validity = self.old_dir.super_block().data().ask().validity;
        let renamed = rename_entries(
            &Entry {
                dir: &*of(self.old_dir)?.parts().inode_of(self.old_dir, peer)?,
                name: &old_name,
                inode: self.old.inode(),
            },
            &Entry {
                dir: &*parents::on_peer(self.new_dir, &self.new.parent(), peer)?,
                name: &new_name,
                inode: self.new.inode(),
            },
            self.flags,
        );
        renamed.inspect_err(|&error| {
            if error == ENOENT || error == ESTALE {
                // One of them is not what it was taken for.
                siblings::doubt(self.old);
                siblings::doubt(self.new);
            }
        })?;
        self.forget_old(&old_name)?;
        // Other devices count, too: leases on this one's directories say too little.
        let time = validity.as_time();
        self.old.set_time(time);
        if self.flags.is_exchange() {
            self.new.set_time(time);
        }
        Ok(Renamed::Moved)
    }

    /// Other devices' files of the old name may be called otherwise now.
    pub(super) fn forget_old(&self, name: &[u8]) -> Result {
        siblings::forget(&self.old.parent(), &of(self.old_dir)?.parts(), name);
        Ok(())
    }
}
