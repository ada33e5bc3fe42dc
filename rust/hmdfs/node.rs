// SPDX-License-Identifier: GPL-2.0

//! What hmdfs keeps for each inode.

use hmdfs_kapi::fs;
use hmdfs_proto::Identity;

use crate::{local, merge, mount::Hmdfs, remote, view};

/// An inode of hmdfs.
pub(crate) type Inode = fs::Inode<Hmdfs>;

/// A counted reference to an inode of hmdfs.
pub(crate) type InodeRef = fs::inode::Ref<Hmdfs>;

/// A dentry of hmdfs.
pub(crate) type Dentry = fs::Dentry<Hmdfs>;

/// What an inode stands for.
pub(crate) enum Node {
    /// A directory that exists in views only.
    View(view::View),
    /// A directory that several devices have.
    Merge(merge::Directory),
    /// A file or directory of this device.
    Local(local::Node),
    /// A file or directory of another device.
    Remote(remote::Node),
}

/// What tells inodes apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// A directory of views.
    View(view::View),
    /// A merged directory, each of which is made anew.
    Merge(merge::Key),
    /// The inode below, which has its own identity.
    Local(local::Key),
    /// Serial number of the peer, and which of its files it is.
    Remote(u64, Identity),
}

impl Key {
    /// Bit of the inode numbers that are not those of the exported tree.
    const NOT_LOCAL: u64 = 1 << 63;

    /// The inode number of a file that has the number `ino` on the device `device`. Different
    /// numbers for different files are as good as certain.
    pub(crate) fn remote_number(device: u32, ino: u64) -> u64 {
        let start = fnv(FNV_START, &device.to_le_bytes());
        Self::NOT_LOCAL | fnv(start, &ino.to_le_bytes())
    }

    /// The hash of a file of the peer with the serial number `peer`, by the key of its identity.
    pub(crate) fn remote_hash(peer: u64, key: u64) -> u64 {
        let start = fnv(FNV_START, &peer.to_le_bytes());
        Self::NOT_LOCAL | fnv(start, &key.to_le_bytes())
    }

    /// Whether it is one of the files that [`Key::remote_hash`] is meant for.
    pub(crate) fn is_remote(&self, peer: u64, key: u64) -> bool {
        matches!(self, Key::Remote(owner, file) if *owner == peer && file.key() == key)
    }

    /// The inode number of the merged directory `number`.
    pub(crate) fn merged_number(number: u64) -> u64 {
        Self::NOT_LOCAL | fnv(fnv(FNV_START, b"merge"), &number.to_le_bytes())
    }

    /// A hash for finding the inode; of a directory of views, also its number.
    pub(crate) fn hash(&self) -> u64 {
        match self {
            Key::View(view) => Self::NOT_LOCAL | *view as u64,
            Key::Merge(key) => key.hash(),
            Key::Local(key) => key.hash(),
            Key::Remote(peer, file) => Self::remote_hash(*peer, file.key()),
        }
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a.
fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
