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
    view,
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

    /// This device's directory, if no other device has one.
    fn only_local(&self) -> Option<&vfs::Path> {
        match &*self.parts {
            [Part::Local(path)] => Some(path),
            _ => None,
        }
    }

    /// Makes a dentry stand on what its name is in the exported tree, if that is `file` or,
    /// without one, nothing.
    fn stand_if_same(
        &self,
        name: &[u8],
        dentry: &Dentry,
        file: Option<&vfs::Path>,
    ) -> Result<bool> {
        let parent = self.local().ok_or(EIO)?;
        let entry = parent.lookup_entry(name)?;
        let same = is_entry_of(&entry, file);
        if same {
            dentry.set_lower(parent, name, &entry)?;
            if let Some(inode) = dentry.inode() {
                inode.copy_lower_attributes();
            }
        }
        Ok(same)
    }

    fn remote(&self) -> impl Iterator<Item = (&Arc<Peer>, &Child)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Local(_) => None,
            Part::Remote(peer, child) => Some((peer, &**child)),
        })
    }
}

/// Whether an entry of the exported tree is `file`, or nothing if that is none.
fn is_entry_of(entry: &Entry, file: Option<&vfs::Path>) -> bool {
    match (entry.path(), file) {
        (Some(path), Some(file)) => path.identity() == file.identity(),
        (None, None) => true,
        _ => false,
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
    let directory = Directory { parts };
    let is_alone = directory.only_local().is_some();
    let node = Node::Merge(directory);
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
            new.set_alone(is_alone);
            // Also where nobody else can have it now, another device may get the parent directory.
            new.set_time(Validity::NONE.as_time());
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
    if directory.only_local().is_some() {
        let Some(known) = known else {
            return directory.stand_if_same(bytes, dentry, None);
        };
        let file = match known.data() {
            Node::Merge(merged) => merged.only_local(),
            _ => known.lower(),
        };
        return match file {
            Some(file) => directory.stand_if_same(bytes, dentry, Some(file)),
            None => Ok(false),
        };
    }
    if let Some(Node::Remote(node)) = known.map(Inode::data) {
        let regular = known.is_some_and(|inode| inode.file_type() == 0o100_000);
        let validity = Validity::from_time(dentry.time());
        if regular
            && intent.is_open()
            && !intent.must_ask()
            && validity.holds(mount.peers.generation(), dir.note().load(Relaxed))
            && directory.lookup_local(bytes)?.is_none()
            && directory
                .handle_by_name(node.peer().number(), bytes)
                .is_some()
        {
            // Opening resolves the name again on its device.
            return Ok(true);
        }
    }
    if let (Some(inode), Some(Node::Merge(merged)), Some(_)) =
        (known, known.map(Inode::data), directory.local())
    {
        let is_fresh = !intent.must_ask() && view::is_fresh(mount, 0, inode.time(), intent);
        if is_fresh && directory.stand_if_same(bytes, dentry, merged.local())? {
            // What has changed about the name here was something else.
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
        (Some(Meaning::Directory(parts)), Node::Merge(merged)) => {
            let same = merged.is_made_of(&parts);
            if same && directory.local().is_some() {
                known.set_time(validity.as_time());
                return directory.stand_if_same(bytes, dentry, merged.local());
            }
            same
        }
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

/// Looks up a name where only this device has the directory: nobody else is asked, nor ever about
/// what is below it.
fn lookup_local(
    sb: &SuperBlock<Hmdfs>,
    parent: &vfs::Path,
    dentry: InLookup<'_, Hmdfs>,
) -> Result<Spliced<Hmdfs>> {
    let entry = parent.lookup_entry(dentry.name().as_bytes())?;
    let inode = match entry.path() {
        Some(path) if path.is_dir() => {
            let mut parts = KVec::new();
            parts.push(Part::Local(path), GFP_KERNEL)?;
            Some(iget(sb, parts)?)
        }
        Some(path) => Some(local::iget(sb, path)?),
        None => None,
    };
    dentry.splice_lower(inode, parent, &entry)
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
        if let Some(parent) = directory.only_local() {
            return lookup_local(sb, parent, dentry);
        }
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
                let inode = iget(sb, parts)?;
                let Some(parent) = directory.local() else {
                    return dentry.splice_alias(Some(inode), validity);
                };
                let entry = parent.lookup_entry(dentry.name().as_bytes())?;
                if !is_entry_of(&entry, of(&inode)?.local()) {
                    // Somebody has just changed it.
                    return Err(ESTALE.into());
                }
                inode.set_time(validity);
                dentry.splice_lower(Some(inode), parent, &entry)
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
