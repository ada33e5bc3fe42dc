// SPDX-License-Identifier: GPL-2.0

//! Inodes of other devices' files: what is kept for each, and how they are found and made.
//!
//! What is kept are parts with a file each: attributes ([`super::attributes`]), what this device has
//! written ([`super::written`]), what came with the opening ([`super::beginning`]), what leases are
//! about ([`super::leases`]), locks ([`super::locks`]), and whether others write, too
//! ([`super::sharing`]).

use hmdfs_kapi::fs::{
    inode::{self, Found},
    SuperBlock,
};
use hmdfs_proto::Handle;
use kernel::{
    new_mutex, new_spinlock,
    prelude::*,
    sync::{Arc, Mutex, SpinLock},
};

use super::{
    attributes::{learn, vfs_attributes, Known, SET_ID},
    beginning::Opening,
    directory::{Child, DirectoryOps},
    file::FileOps,
    leases::Leased,
    locks::Locks,
    plain::PlainOps,
    sharing::Sharing,
    symlink::LinkOps,
    written::Written,
};
use crate::{
    mount::Hmdfs,
    node::{Inode, InodeRef, Key, Node as AnyNode},
    peer::Peer,
};

/// A file or directory of another device.
pub(crate) struct Node {
    peer: Arc<Peer>,
    /// What leases on it are recalled by.
    key: u64,
    /// The target of a symbolic link, with a NUL at its end. Empty of anything else, and of a
    /// link that this device may not read.
    target: KVec<u8>,
    state: Pin<KBox<State>>,
}

/// What changes.
///
/// Locks, from the outside: the inode's, `known`, then those of `written` or `opening`.
#[pin_data]
struct State {
    /// One of the handles of the file, the one that was told last.
    #[pin]
    handle: SpinLock<Handle>,
    /// Held while pages are dropped, so it may not be taken on the way of a read.
    #[pin]
    known: Mutex<Known>,
    /// What this device has written, and which content is cached.
    #[pin]
    written: Written,
    /// What came with the last opening, until the file is closed.
    #[pin]
    opening: Opening,
    /// Whether others write to it.
    sharing: Sharing,
    /// Who has locks. Taken on the way of a write.
    #[pin]
    locks: Locks,
    /// What is known as long as a lease is held.
    #[pin]
    leased: Leased,
}

impl Node {
    /// The owner.
    pub(crate) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Who has locks on it.
    pub(super) fn locks(&self) -> &Locks {
        &self.state.locks
    }

    /// Whether others write to it.
    pub(super) fn sharing(&self) -> &Sharing {
        &self.state.sharing
    }

    /// What the owner told last of its attributes.
    pub(super) fn known(&self) -> &Mutex<Known> {
        &self.state.known
    }

    /// What this device has written to it.
    pub(super) fn written(&self) -> &Written {
        &self.state.written
    }

    /// What came with its last opening.
    pub(super) fn opening(&self) -> &Opening {
        &self.state.opening
    }

    /// What is known as long as a lease is held.
    pub(super) fn leased(&self) -> &Leased {
        &self.state.leased
    }

    /// What leases on it are recalled by.
    pub(super) fn key(&self) -> u64 {
        self.key
    }

    /// The owner's name for it.
    pub(crate) fn handle(&self) -> Handle {
        *self.state.handle.lock()
    }

    /// Takes over a handle that the owner told, if it is one of this file, and says whether it is.
    ///
    /// The handle of a file that is no directory changes with the directory that it is in.
    pub(crate) fn learn(&self, handle: Handle) -> bool {
        let mut known = self.state.handle.lock();
        let same = known.is_same_file(&handle);
        if same {
            *known = handle;
        }
        same
    }

    /// The target of a symbolic link.
    pub(super) fn target(&self) -> Result<&CStr> {
        if self.target.is_empty() {
            return Err(EACCES);
        }
        CStr::from_bytes_with_nul(&self.target).map_err(|_| EINVAL)
    }
}

/// The inode of a peer's file, if it is in memory. May sleep.
pub(super) fn find(sb: &SuperBlock<Hmdfs>, peer: &Peer, handle: &Handle) -> Option<InodeRef> {
    let key = Key::Remote(peer.serial(), handle.identity());
    sb.ilookup5(key.hash(), |found| *found == key)
}

/// Finds or makes the inode of a peer's file, and takes over the attributes. May sleep.
pub(crate) fn iget(sb: &SuperBlock<Hmdfs>, peer: &Arc<Peer>, child: &Child) -> Result<InodeRef> {
    let handle = child.handle;
    if let Some(inode) = find(sb, peer, &handle) {
        let node = of(&inode)?;
        node.learn(handle);
        learn(&inode, node, child)?;
        return Ok(inode);
    }
    let key = Key::Remote(peer.serial(), handle.identity());
    let ino = Key::remote_number(peer.number(), child.attributes.ino);
    let node = Node {
        peer: peer.clone(),
        key: handle.identity().key(),
        target: link_target(child)?,
        state: KBox::pin_init(
            pin_init!(State {
                handle <- new_spinlock!(handle, "hmdfs::remote::Handle"),
                known <- new_mutex!(Known::new(child), "hmdfs::remote::Known"),
                written <- Written::new(child.attributes.change),
                opening <- Opening::new(),
                sharing: Sharing::new(),
                locks <- Locks::new(),
                leased <- Leased::new(),
            }),
            GFP_KERNEL,
        )?,
    };
    let inode = match sb.iget5_locked(key.hash(), ino, key, AnyNode::Remote(node))? {
        Found::Existing(inode) => inode,
        Found::New(new) => {
            fill(&new, child)?;
            new.unlock().ok_or(ENOMEM)?
        }
    };
    let node = of(&inode)?;
    node.learn(handle);
    learn(&inode, node, child)?;
    Ok(inode)
}

/// The target of a symbolic link, with a NUL at its end; nothing of anything else.
fn link_target(child: &Child) -> Result<KVec<u8>> {
    let mut target = KVec::new();
    if let Some(bytes) = &child.target {
        target.extend_from_slice(bytes, GFP_KERNEL)?;
        target.push(0, GFP_KERNEL)?;
    }
    Ok(target)
}

/// Sets up a new inode.
fn fill(new: &inode::New<Hmdfs>, child: &Child) -> Result {
    let attributes = &child.attributes;
    new.set_type(attributes.mode & !SET_ID, attributes.size, attributes.rdev);
    new.set_attributes(&vfs_attributes(attributes));
    match attributes.file_type() {
        0o040_000 => {
            new.set_inode_operations::<DirectoryOps>();
            new.set_directory_operations::<DirectoryOps>();
        }
        0o100_000 => {
            new.set_inode_operations::<PlainOps>();
            new.set_netfs_operations::<FileOps>();
        }
        0o120_000 => {
            new.set_inode_operations::<LinkOps>();
        }
        _ => new.set_inode_operations::<PlainOps>(),
    }
    Ok(())
}

/// The node of an inode that is known to be remote.
pub(crate) fn of(inode: &Inode) -> Result<&Node> {
    match inode.data() {
        AnyNode::Remote(node) => Ok(node),
        _ => Err(EINVAL),
    }
}
