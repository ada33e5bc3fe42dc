// SPDX-License-Identifier: GPL-2.0

//! Directories of several devices as one.
//!
//! Devices are ordered, this one first, then the others by their numbers. The first
//! that has a name decides what it stands for: a file of that device, or a directory
//! that is merged with those of the same name on all others. All devices are asked
//! at once, and one that fails costs its own entries only.
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
    vfs,
};
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
        directory::{find_operations, found, name, root_of, Child, ROOT_OPERATIONS},
        gather::call_all,
        inode,
    },
    validity::Validity,
};

pub(crate) mod listing;

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
    /// The handle of the directory on the device with this number.
    pub(crate) fn handle_of(&self, device: u32) -> Option<Handle> {
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
    parts.push(Part::Local(mount.local_path()), GFP_KERNEL)?;
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

/// What a name of a merged directory stands for.
enum Meaning {
    /// One device's file.
    File(InodeRef),
    /// The directories of these devices.
    Directory(KVec<Part>),
}

/// Finds what `name` stands for in a merged directory.
fn find(
    mount: &Mount,
    sb: &SuperBlock<Hmdfs>,
    directory: &Directory,
    bytes: &[u8],
) -> Result<Option<Meaning>> {
    let name = name(bytes)?;
    let mut parts = KVec::new();
    if let Some(path) = directory.local() {
        match path.lookup(bytes) {
            Ok(path) if !path.is_dir() => return Ok(Some(Meaning::File(local::iget(sb, path)?))),
            Ok(path) => parts.push(Part::Local(path), GFP_KERNEL)?,
            Err(error) if error == ENOENT => {}
            Err(error) => return Err(error),
        }
    }
    let question = mount.ask();
    let mut requests = KVec::new();
    for (peer, part) in directory.remote() {
        let operations = find_operations(part.handle, name);
        requests.push((peer.clone(), request(&operations, 0)?), GFP_KERNEL)?;
    }
    for ((peer, part), reply) in directory.remote().zip(call_all(requests)?) {
        let operations = find_operations(part.handle, name);
        let child = match reply.and_then(|reply| found(&reply, &operations, question)) {
            Ok(Some(child)) => child,
            Ok(None) => continue,
            Err(error) => {
                pr_debug!("a device did not look up a name: {error:?}\n");
                continue;
            }
        };
        if child.attributes.is_directory() {
            let child = KBox::new(child, GFP_KERNEL)?;
            parts.push(Part::Remote(peer.clone(), child), GFP_KERNEL)?;
        } else if parts.is_empty() {
            return Ok(Some(Meaning::File(inode::iget(sb, peer, &child)?)));
        }
    }
    Ok((!parts.is_empty()).then_some(Meaning::Directory(parts)))
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
        if regular && intent.is_open() && !intent.must_ask() {
            // Opening resolves the name again on its device. Whether a device that comes before
            // it has the name by now, shows when the entry gets too old.
            return Ok(directory.handle_of(node.peer().number()).is_some());
        }
    }
    let found = find(mount, dir.super_block(), directory, bytes)?;
    let valid = match (&found, known) {
        (Some(Meaning::File(found)), Some(known)) => core::ptr::eq(&**found, known),
        (Some(Meaning::Directory(parts)), Some(known)) => {
            matches!(known.data(), Node::Merge(merged) if merged.is_made_of(parts))
        }
        (None, None) => true,
        _ => false,
    };
    if valid {
        dentry.set_time(validity(mount, known).as_time());
    }
    Ok(valid)
}

/// For how long a name in a merged directory that leads to `inode` is not looked up again. What
/// is local is compared with the exported tree at every use, and a name that does not exist may
/// be made at any moment.
fn validity(mount: &Mount, inode: Option<&Inode>) -> Validity {
    match inode.map(Inode::data) {
        Some(Node::Local(_)) | None => Validity::NONE,
        _ => mount.ask().validity,
    }
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
        let mount = dir.super_block().data();
        let sb = dir.super_block();
        let inode = match find(&mount, sb, of(dir)?, dentry.name().as_bytes())? {
            Some(Meaning::File(inode)) => Some(inode),
            Some(Meaning::Directory(parts)) => Some(iget(sb, parts)?),
            None => None,
        };
        let validity = validity(&mount, inode.as_deref());
        dentry.splice_alias(inode, validity.as_time())
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
