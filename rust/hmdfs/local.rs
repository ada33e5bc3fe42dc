// SPDX-License-Identifier: GPL-2.0

//! Files and directories of this device, as they are in the exported directory.
//!
//! Each inode stands on the inode of the file system below, and passes everything
//! on to it; see [`hmdfs_kapi::fs::stack`]. The caller acts as himself: what counts
//! are the permissions of the file system below. What is changed below directly is
//! seen at once.
//!
//! Locks: ours first, then those of the file system below, of the same objects in
//! the same order.

use hmdfs_kapi::{
    fs::{
        inode::{Attributes, Found},
        stack::watch::Watch,
        SuperBlock,
    },
    vfs,
};
use kernel::prelude::*;

use crate::{
    mount::Hmdfs,
    node::{self, Dentry, Inode, InodeRef},
};

pub(crate) mod directory;
mod operations;

/// A file or directory of this device.
pub(crate) struct Node(Key);

impl Node {
    /// Whether it stands for this file.
    pub(crate) fn is(&self, path: &vfs::Path) -> bool {
        self.0 == Key::of(path)
    }
}

/// Which file of this device: all names of a file have the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(usize);

impl Key {
    pub(crate) fn of(path: &vfs::Path) -> Self {
        Self(path.identity())
    }

    /// A hash for finding the inode.
    pub(crate) fn hash(&self) -> u64 {
        hash(self.0)
    }
}

fn hash(identity: usize) -> u64 {
    // Inodes are at least this large, so the lowest bits are the same for all.
    identity as u64 >> 6
}

/// Has the space of files freed that are removed from the exported directory directly.
pub(crate) fn watch(sb: &SuperBlock<Hmdfs>, root: &vfs::Path) -> Result<Watch> {
    sb.watch(root, hash)
}

/// Finds or makes the inode that stands for a file of this device.
pub(crate) fn iget(sb: &SuperBlock<Hmdfs>, path: vfs::Path) -> Result<InodeRef> {
    let key = Key::of(&path);
    let data = node::Node::Local(Node(key));
    match sb.iget5_locked(key.hash(), path.ino(), node::Key::Local(key), data)? {
        Found::Existing(inode) => {
            inode.copy_lower_attributes();
            Ok(inode)
        }
        Found::New(new) => {
            operations::set(&new, path);
            new.unlock().ok_or(ENOMEM)
        }
    }
}

/// The attributes of a file of this device, for a directory that has them from there.
pub(crate) fn attributes(path: &vfs::Path) -> Result<Attributes> {
    let stat = path.getattr()?;
    let time = |time: vfs::Timespec| (time.seconds, time.nanoseconds);
    Ok(Attributes {
        mode: stat.mode & 0o7777,
        nlink: stat.nlink,
        uid: stat.uid,
        gid: stat.gid,
        blocks: stat.blocks,
        atime: time(stat.atime),
        mtime: time(stat.mtime),
        ctime: time(stat.ctime),
    })
}

/// Whether `name` in the directory `dir` still stands for what `dentry` says; if so, the dentry
/// is right until the name changes again.
///
/// Only called when something about the name has changed below, because else the dentry itself
/// tells that it has not.
pub(crate) fn revalidate(dir: &Inode, name: &[u8], dentry: &Dentry) -> Result<bool> {
    let parent = dir.lower().ok_or(EIO)?;
    let entry = parent.lookup_entry(name)?;
    let same = match (entry.path(), dentry.inode().map(Inode::data)) {
        (Some(path), Some(node::Node::Local(node))) => node.is(&path),
        (None, None) => true,
        _ => false,
    };
    if same {
        dentry.set_lower(parent, name, entry.as_lower())?;
    }
    if let Some(inode) = dentry.inode().filter(|_| same) {
        inode.copy_lower_attributes();
    }
    Ok(same)
}
