// SPDX-License-Identifier: GPL-2.0

//! Inodes of other devices' files, and what is known of their attributes.

use hmdfs_kapi::{
    errno::{ENOTCONN, ESTALE},
    fs::{
        inode::{self, Found},
        inode_operations::{Operations, Query, Stat},
        SuperBlock,
    },
};
use hmdfs_proto::{Attributes, Handle, Operation};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

use super::{
    compound::{self, Outcomes},
    directory::{Child, DirectoryOps},
    file::FileOps,
    symlink::LinkOps,
};
use crate::{
    mount::{Hmdfs, Mount, Question},
    node::{Inode, InodeRef, Key, Node as AnyNode},
    peer::Peer,
};

/// `S_ISUID` and `S_ISGID`: shown, but of no effect. Another device must not be able to let
/// programs run here as somebody else.
const SET_ID: u16 = 0o6000;

/// A file or directory of another device.
pub(crate) struct Node {
    peer: Arc<Peer>,
    handle: Handle,
    /// The target of a symbolic link, with a NUL at its end. Empty of anything else, and of a
    /// link that this device may not read.
    target: KVec<u8>,
    state: Pin<KBox<State>>,
}

/// What changes.
#[pin_data]
struct State {
    /// Held while pages are dropped, so it may not be taken on the way of a read.
    #[pin]
    known: Mutex<Known>,
    /// The beginning of the file, which came with its opening, until it is closed. Taken on the
    /// way of a read, under the locks of folios.
    #[pin]
    beginning: Mutex<Option<Beginning>>,
}

/// What the owner told last.
struct Known {
    attributes: Attributes,
    question: Question,
}

/// The first bytes of a file.
pub(super) struct Beginning {
    pub(super) data: KVVec<u8>,
    /// Whether that is all of the file.
    pub(super) end_of_file: bool,
}

impl Node {
    /// The owner.
    pub(crate) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// The owner's name for it.
    pub(crate) fn handle(&self) -> Handle {
        self.handle
    }

    /// The target of a symbolic link.
    pub(super) fn target(&self) -> Result<&CStr> {
        if self.target.is_empty() {
            return Err(EACCES);
        }
        CStr::from_bytes_with_nul(&self.target).map_err(|_| EINVAL)
    }

    /// The attributes as last told, whatever their age.
    pub(super) fn attributes(&self) -> Attributes {
        self.state.known.lock().attributes
    }

    /// Whether the attributes may still be used.
    pub(super) fn is_fresh(&self, mount: &Mount) -> bool {
        self.state
            .known
            .lock()
            .question
            .validity
            .holds(mount.peers.generation())
    }

    /// Keeps the beginning of the file for the reads that follow its opening, or gives it up.
    pub(super) fn set_beginning(&self, beginning: Option<Beginning>) {
        *self.state.beginning.lock() = beginning;
    }

    /// Calls `use_it` with the beginning of the file, if it is there.
    pub(super) fn with_beginning<R>(
        &self,
        use_it: impl FnOnce(&Beginning) -> Option<R>,
    ) -> Option<R> {
        (*self.state.beginning.lock()).as_ref().and_then(use_it)
    }
}

/// Finds or makes the inode of a peer's file, and takes over the attributes. May sleep.
pub(crate) fn iget(sb: &SuperBlock<Hmdfs>, peer: &Arc<Peer>, child: &Child) -> Result<InodeRef> {
    let (handle, attributes) = (child.handle, &child.attributes);
    let key = Key::Remote(peer.serial(), handle);
    let ino = Key::remote_number(peer.number(), attributes.ino);
    let node = Node {
        peer: peer.clone(),
        handle,
        target: link_target(child)?,
        state: KBox::pin_init(
            pin_init!(State {
                known <- new_mutex!(
                    Known {
                        attributes: *attributes,
                        question: child.question,
                    },
                    "hmdfs::remote::Known"
                ),
                beginning <- new_mutex!(None, "hmdfs::remote::Beginning"),
            }),
            GFP_KERNEL,
        )?,
    };
    match sb.iget5_locked(key.hash(), ino, key, AnyNode::Remote(node))? {
        Found::Existing(inode) => {
            if inode.file_type() != attributes.file_type() {
                // A handle stands for one file, and that cannot change its type.
                return Err(ESTALE.into());
            }
            let node = of(&inode)?;
            take(&inode, node, child.question, attributes, None)?;
            Ok(inode)
        }
        Found::New(new) => {
            fill(&new, child)?;
            new.unlock().ok_or(ENOMEM)
        }
    }
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

/// Takes over attributes that the owner told in answer to `question`, and the beginning of the
/// file if it came along; the answer to an earlier question than the last one is ignored. When
/// the file has changed, its pages are dropped. May sleep.
pub(super) fn take(
    inode: &Inode,
    node: &Node,
    question: Question,
    attributes: &Attributes,
    beginning: Option<Beginning>,
) -> Result {
    let mut known = node.state.known.lock();
    if question.number < known.question.number {
        return Ok(());
    }
    let changed = known.attributes.change != attributes.change;
    known.question = question;
    known.attributes = *attributes;
    inode.set_attributes(&vfs_attributes(attributes));
    if attributes.is_regular() {
        if changed || beginning.is_some() {
            node.set_beginning(beginning);
        }
        if changed && inode.has_pages() {
            inode.invalidate_pages()?;
        }
        inode.resize_netfs(attributes.size);
    }
    Ok(())
}

/// Asks the owner for the attributes of an inode.
pub(super) fn refresh(mount: &Mount, inode: &Inode) -> Result {
    let node = of(inode)?;
    let question = mount.ask();
    let operations = [Operation::File(node.handle), Operation::GetAttributes];
    let reply = compound::call(&node.peer, &operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    take(inode, node, question, &outcomes.attributes()?, None)
}

/// The node of an inode that is known to be remote.
pub(super) fn of(inode: &Inode) -> Result<&Node> {
    match inode.data() {
        AnyNode::Remote(node) => Ok(node),
        _ => Err(EINVAL),
    }
}

/// Attributes as the VFS keeps them.
pub(crate) fn vfs_attributes(attributes: &Attributes) -> inode::Attributes {
    let time = |time: hmdfs_proto::Timestamp| (time.seconds(), time.nanoseconds());
    inode::Attributes {
        mode: attributes.mode & !SET_ID,
        nlink: attributes.nlink,
        uid: attributes.uid,
        gid: attributes.gid,
        blocks: attributes.blocks,
        atime: time(attributes.atime),
        mtime: time(attributes.mtime),
        ctime: time(attributes.ctime),
    }
}

/// `getattr` of everything that is remote.
pub(super) fn getattr(inode: &Inode, query: Query) -> Result {
    let mount = inode.super_block().data();
    let node = of(inode)?;
    if !node.peer.is_online() {
        return Err(ENOTCONN.into());
    }
    if query.dont_sync() || (!query.force_sync() && node.is_fresh(&mount)) {
        return Ok(());
    }
    refresh(&mount, inode)
}

/// Completes `stat` of everything that is remote.
pub(super) fn fill_stat(inode: &Inode, stat: &mut Stat<'_>) {
    if let Ok(node) = of(inode) {
        let attributes = node.attributes();
        stat.set_blksize(attributes.blksize.max(4096));
        stat.add_mode(attributes.mode & SET_ID);
        let btime = attributes.btime;
        if btime.seconds() != 0 || btime.nanoseconds() != 0 {
            stat.set_btime(btime.seconds(), btime.nanoseconds());
        }
    }
}

/// Inode operations of everything but directories.
pub(super) struct PlainOps;

#[vtable]
impl Operations<Hmdfs> for PlainOps {
    const READ_ONLY: bool = true;

    fn getattr(inode: &Inode, query: Query) -> Result {
        getattr(inode, query)
    }

    fn fill_stat(inode: &Inode, stat: &mut Stat<'_>) {
        fill_stat(inode, stat);
    }
}
