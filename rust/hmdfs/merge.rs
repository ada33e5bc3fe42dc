// SPDX-License-Identifier: GPL-2.0

//! Directories of several devices as one.
//!
//! Devices are ordered, this one first, then the others by their numbers, and
//! [`hmdfs_model::names`] says what each entry of each is called. All devices are
//! asked at once, and one that fails costs its own entries only.
//!
//! What a dentry stands for may have another name on its device. Whatever is to be
//! done there under the real name begins with [`lookup::find`].
//!
//! A merged directory is made of the directories that existed when it was looked up,
//! and stays the same inode as long as a new lookup finds the same ones. When a device
//! comes or goes, every name of the view is looked up again before it is used.

use hmdfs_kapi::{
    errno::{EPROTO, ESTALE},
    fs::{
        dentry::{InLookup, Intent, Spliced},
        inode::{Attributes, Found},
        inode_operations::{Operations, Query},
        SuperBlock,
    },
    vfs::{self, Entry},
};
use hmdfs_model::names::is_decorated;
use hmdfs_proto::Handle;
use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
};

use crate::{
    local,
    mount::{Hmdfs, Mount},
    node::{Dentry, Inode, InodeRef, Key, Node},
    peer::Peer,
    remote::{
        compound::request,
        directory::{root_of, Child, ROOT_OPERATIONS},
        gather::call_all,
        inode,
    },
    validity::Validity,
};

mod listing;
mod lookup;
mod snapshot;

use lookup::{find, Meaning};

/// Number of the next merged directory.
static NEXT: Atomic<u64> = Atomic::new(1);

/// A directory that several devices have.
pub(crate) struct Directory {
    /// The directory of each, in the order of the devices; never empty.
    parts: KVec<Part>,
}

/// One device's directory.
pub(crate) enum Part {
    /// Of this device.
    Local(vfs::Path),
    /// Of a peer.
    Remote(Arc<Peer>, KBox<Child>),
}

impl Directory {
    /// The directory of the device with this number, if a file of that device which is shown as
    /// `name` has that very name there.
    pub(crate) fn handle_by_name(&self, device: u32, name: &[u8]) -> Option<Handle> {
        if is_decorated(name) {
            return None;
        }
        self.parts.iter().find_map(|part| match part {
            Part::Remote(peer, child) if peer.number() == device => Some(child.handle),
            _ => None,
        })
    }

    /// Whether these are its parts, in this order.
    fn is_made_of(&self, parts: &[Part]) -> bool {
        self.parts.len() == parts.len()
            && self.parts.iter().zip(parts).all(|pair| match pair {
                (Part::Local(one), Part::Local(other)) => one.is_same(other),
                (Part::Remote(one, known), Part::Remote(other, found)) => {
                    Arc::ptr_eq(one, other) && known.handle == found.handle
                }
                _ => false,
            })
    }

    fn local(&self) -> Option<&vfs::Path> {
        self.parts.iter().find_map(|part| match part {
            Part::Local(path) => Some(path),
            Part::Remote(..) => None,
        })
    }

    fn remote(&self) -> impl Iterator<Item = (&Arc<Peer>, &Child)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Local(_) => None,
            Part::Remote(peer, child) => Some((peer, &**child)),
        })
    }
}

/// Makes the inode of a merged directory.
fn iget(sb: &SuperBlock<Hmdfs>, parts: KVec<Part>) -> Result<InodeRef> {
    let attributes = match parts.first() {
        Some(Part::Local(path)) => local::attributes(path)?,
        Some(Part::Remote(_, child)) => inode::vfs_attributes(&child.attributes),
        None => return Err(ENOENT),
    };
    let key = Key::Merge(NEXT.fetch_add(1, Relaxed));
    let node = Node::Merge(Directory { parts });
    match sb.iget5_locked(key.hash(), key.hash(), key, node)? {
        // The number was never used before.
        Found::Existing(_) => Err(ESTALE.into()),
        Found::New(new) => {
            new.set_type(0o040_000 | attributes.mode & 0o7777, 0, (0, 0));
            new.set_attributes(&Attributes {
                // The link count of one stands for "not known" with directories.
                nlink: 1,
                ..attributes
            });
            new.set_inode_operations::<MergeOps>();
            new.set_directory_operations::<MergeOps>();
            new.unlock().ok_or(ENOMEM)
        }
    }
}

/// Makes `merge_view` as it is now.
pub(crate) fn root(mount: &Mount, sb: &SuperBlock<Hmdfs>) -> Result<InodeRef> {
    iget(sb, root_parts(mount)?)
}

/// Whether `merge_view` consists of what it would be made of now.
pub(crate) fn root_is_current(mount: &Mount, root: &Directory) -> Result<bool> {
    Ok(root.is_made_of(&root_parts(mount)?))
}

fn root_parts(mount: &Mount) -> Result<KVec<Part>> {
    let operations = ROOT_OPERATIONS;
    let question = mount.ask();
    let mut parts = KVec::new();
    if let Some(share) = mount.share() {
        parts.push(Part::Local(share.root.clone()), GFP_KERNEL)?;
    }
    let mut peers = mount.peers.snapshot()?;
    peers.retain(|peer| peer.is_online());
    let mut requests = KVec::with_capacity(peers.len(), GFP_KERNEL)?;
    for peer in &peers {
        requests.push((peer.clone(), request(&operations, 0)?), GFP_KERNEL)?;
    }
    for (peer, reply) in peers.into_iter().zip(call_all(requests)?) {
        let child = reply.and_then(|reply| root_of(&reply, &operations, question));
        match child {
            Ok(child) => parts.push(
                Part::Remote(peer, KBox::new(child, GFP_KERNEL)?),
                GFP_KERNEL,
            )?,
            Err(error) => pr_debug!("a device is not in the merged view: {error:?}\n"),
        }
    }
    Ok(parts)
}

/// Whether `name` in the merged directory `dir` still means what `dentry` says.
pub(crate) fn revalidate(
    mount: &Mount,
    dir: &Inode,
    bytes: &[u8],
    dentry: &Dentry,
    intent: Intent,
) -> Result<bool> {
    let directory = of(dir)?;
    let known = dentry.inode();
    if let Some(Node::Remote(node)) = known.map(Inode::data) {
        let regular = known.is_some_and(|inode| inode.file_type() == 0o100_000);
        let validity = Validity::from_time(dentry.time());
        if regular
            && intent.is_open()
            && !intent.must_ask()
            && validity.holds(mount.peers.generation())
            && directory.lookup_local(bytes)?.is_none()
            && directory
                .handle_by_name(node.peer().number(), bytes)
                .is_some()
        {
            // Opening resolves the name again on its device.
            return Ok(true);
        }
    }
    let validity = mount.ask().validity;
    let found = find(mount, directory, bytes)?;
    let Some(known) = known else {
        return Ok(found.is_none());
    };
    let valid = match (found, known.data()) {
        (Some(Meaning::Local(path)), Node::Local(node)) => {
            let same = node.is(&path);
            if same {
                stand_on(directory, bytes, dentry, path)?;
                known.copy_lower_attributes();
            }
            // It is right until the name changes in the exported tree.
            return Ok(same);
        }
        (Some(Meaning::Remote(peer, child)), Node::Remote(node)) => {
            let same = Arc::ptr_eq(&peer, node.peer()) && child.handle == node.handle();
            if same {
                inode::iget(dir.super_block(), &peer, &child)?;
            }
            same
        }
        (Some(Meaning::Directory(parts)), Node::Merge(merged)) => merged.is_made_of(&parts),
        _ => false,
    };
    if valid {
        dentry.set_time(validity.as_time());
    }
    Ok(valid)
}

/// Makes the dentry of a file of this device stand on the name in the exported tree.
fn stand_on(directory: &Directory, name: &[u8], dentry: &Dentry, path: vfs::Path) -> Result {
    let parent = directory.local().ok_or(EIO)?;
    dentry.set_lower(parent, name, &Entry::from(path))
}

/// Operations of merged directories.
pub(crate) struct MergeOps;

/// The merged directory of an inode that is known to be one.
fn of(inode: &Inode) -> Result<&Directory> {
    match inode.data() {
        Node::Merge(directory) => Ok(directory),
        _ => Err(EPROTO.into()),
    }
}

#[vtable]
impl Operations<Hmdfs> for MergeOps {
    const READ_ONLY: bool = true;

    fn lookup(dir: &Inode, dentry: InLookup<'_, Hmdfs>) -> Result<Spliced<Hmdfs>> {
        let sb = dir.super_block();
        let mount = sb.data();
        let directory = of(dir)?;
        let validity = mount.ask().validity.as_time();
        match find(&mount, directory, dentry.name().as_bytes())? {
            Some(Meaning::Local(path)) => {
                let inode = local::iget(sb, path.clone())?;
                let parent = directory.local().ok_or(EIO)?;
                dentry.splice_lower(Some(inode), parent, &Entry::from(path))
            }
            Some(Meaning::Remote(peer, child)) => {
                dentry.splice_alias(Some(inode::iget(sb, &peer, &child)?), validity)
            }
            Some(Meaning::Directory(parts)) => {
                dentry.splice_alias(Some(iget(sb, parts)?), validity)
            }
            // That there is no such name is not remembered: it may be made at any moment.
            None => dentry.splice_alias(None, Validity::NONE.as_time()),
        }
    }

    fn getattr(inode: &Inode, _query: Query) -> Result {
        match of(inode)?.parts.first() {
            Some(Part::Local(path)) => {
                inode.set_attributes(&Attributes {
                    nlink: 1,
                    ..local::attributes(path)?
                });
                Ok(())
            }
            // As fresh as the directory itself.
            _ => Ok(()),
        }
    }
}
