// SPDX-License-Identifier: GPL-2.0

//! What a merged directory is made of.
//!
//! The list is swapped as a whole, so whoever works with one has one that does not
//! change. A directory that is found again with other parts stays the same inode,
//! and with it the current directory of a program, as long as it has one part in
//! common with what it was before. Only the part of this device, once there, is
//! there for ever: the inode stands on it ([`hmdfs_kapi::fs::stack`]), and one that
//! has another one is another directory.

use hmdfs_kapi::{
    errno::{ENOTCONN, ESTALE},
    fs::inode::Attributes,
    vfs,
};
use hmdfs_model::names::is_decorated;
use hmdfs_proto::Handle;
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, SpinLock,
    },
};

use super::{
    is_entry_of,
    leases::{Dependents, Reserved},
    Key,
};
use crate::{
    local,
    mount::Mount,
    node::{Dentry, Inode, InodeRef},
    peer::Peer,
    remote::{attributes, directory::Child, inode},
    validity::Validity,
};

/// A directory that several devices have.
///
/// # Invariants
///
/// `dependents` knows that it is made of `parts`, unless it is this device's alone.
pub(crate) struct Directory {
    /// Held for an assignment.
    parts: Pin<KBox<SpinLock<Arc<Parts>>>>,
    /// What its inode is found by.
    key: Key,
    dependents: Arc<Dependents>,
    /// Stands for the leases under which what is cached of all its names was told.
    primed: Atomic<u64>,
    /// Number of a question from when the parts have become others.
    composed: Atomic<u64>,
}

impl Drop for Directory {
    fn drop(&mut self) {
        let parts = self.parts();
        let none = Reserved::default();
        self.dependents.replace(self.key, Some(&parts), none, || {});
    }
}

/// The directories of which a merged one is made.
pub(crate) struct Parts {
    /// In the order of their devices; never none.
    list: KVec<Part>,
    /// The generation of the set of peers in which they were found.
    pub(super) generation: u64,
}

/// One device's directory.
pub(crate) enum Part {
    /// Of this device.
    Local(vfs::Path),
    /// Of a peer.
    Remote(Arc<Peer>, Arc<Child>),
}

impl Part {
    fn copy(&self) -> Self {
        match self {
            Part::Local(path) => Part::Local(path.clone()),
            Part::Remote(peer, child) => Part::Remote(peer.clone(), child.clone()),
        }
    }

    /// Whether both are the same directory.
    fn is(&self, other: &Part) -> bool {
        match (self, other) {
            (Part::Local(one), Part::Local(other)) => one.is_same(other),
            (Part::Remote(one, known), Part::Remote(other, found)) => {
                Arc::ptr_eq(one, other) && known.handle == found.handle
            }
            _ => false,
        }
    }

    /// This device's directory.
    pub(super) fn local(&self) -> Option<&vfs::Path> {
        match self {
            Part::Local(path) => Some(path),
            Part::Remote(..) => None,
        }
    }

    /// The inode of a peer's directory, in the superblock of `any`.
    pub(super) fn remote_inode(&self, any: &Inode) -> Result<InodeRef> {
        match self {
            Part::Local(_) => Err(EINVAL),
            Part::Remote(peer, child) => inode::iget(any.super_block(), peer, child),
        }
    }

    /// The number of the device.
    pub(super) fn device(&self) -> u32 {
        match self {
            Part::Local(_) => 0,
            Part::Remote(peer, _) => peer.number(),
        }
    }
}

impl Parts {
    /// `generation` is that from before they were asked for.
    pub(super) fn new(list: KVec<Part>, generation: u64) -> Result<Arc<Self>> {
        if list.is_empty() {
            return Err(ENOENT);
        }
        Ok(Arc::new(Self { list, generation }, GFP_KERNEL)?)
    }

    /// Whether both are the same directories of the same devices.
    fn is_same(&self, other: &Self) -> bool {
        let mut pairs = self.list.iter().zip(&other.list);
        self.list.len() == other.list.len() && pairs.all(|(one, other)| one.is(other))
    }

    /// All of them.
    pub(super) fn iter(&self) -> core::slice::Iter<'_, Part> {
        self.list.iter()
    }

    /// This device's.
    pub(super) fn local(&self) -> Option<&vfs::Path> {
        self.list.iter().find_map(Part::local)
    }

    /// This device's, if no other device has one.
    pub(super) fn only_local(&self) -> Option<&vfs::Path> {
        match &*self.list {
            [Part::Local(path)] => Some(path),
            _ => None,
        }
    }

    /// Makes a dentry stand on what its name is in the exported tree, if that is `file` or,
    /// without one, nothing.
    pub(super) fn stand_if_same(
        &self,
        name: &[u8],
        dentry: &Dentry,
        file: Option<&vfs::Path>,
    ) -> Result<bool> {
        let parent = self.local().ok_or(EIO)?;
        let entry = parent.lookup_entry(name)?;
        let same = is_entry_of(&entry, file);
        if same {
            dentry.set_lower(parent, name, entry.as_lower())?;
            if let Some(inode) = dentry.inode() {
                inode.copy_lower_attributes();
            }
        }
        Ok(same)
    }

    /// That of the device that has this part of some directory.
    pub(super) fn of_same_device(&self, part: &Part) -> Option<&Part> {
        self.list
            .iter()
            .find(|other| other.device() == part.device())
    }

    /// Those of other devices.
    pub(super) fn remote(&self) -> impl Iterator<Item = (&Arc<Peer>, &Child)> {
        self.list.iter().filter_map(|part| match part {
            Part::Local(_) => None,
            Part::Remote(peer, child) => Some((peer, &**child)),
        })
    }

    /// The directory of the device with this number, if a file of that device which is shown as
    /// `name` has that very name there.
    pub(crate) fn handle_by_name(&self, device: u32, name: &[u8]) -> Option<Handle> {
        if is_decorated(name) {
            return None;
        }
        self.remote()
            .find(|(peer, _)| peer.number() == device)
            .map(|(_, child)| child.handle)
    }

    /// The inode of this peer's directory; ENOTCONN when it is away, EXDEV when it has none.
    pub(super) fn inode_of(&self, dir: &Inode, peer: &Arc<Peer>) -> Result<InodeRef> {
        let part = self.remote().find(|(other, _)| Arc::ptr_eq(other, peer));
        match part {
            Some((peer, child)) => inode::iget(dir.super_block(), peer, child),
            None if peer.is_online() => Err(EXDEV),
            None => Err(ENOTCONN.into()),
        }
    }

    /// The inode of the first device's directory, which is not this device.
    pub(super) fn first_remote(&self, dir: &Inode) -> Result<InodeRef> {
        let (peer, child) = self.remote().next().ok_or(EIO)?;
        inode::iget(dir.super_block(), peer, child)
    }

    /// The attributes of the whole: those of the first.
    pub(super) fn attributes(&self) -> Result<Attributes> {
        let attributes = match self.list.first() {
            Some(Part::Local(path)) => local::attributes(path)?,
            Some(Part::Remote(_, child)) => attributes::vfs_attributes(&child.attributes),
            None => return Err(ENOENT),
        };
        Ok(Attributes {
            // A link count of one stands for "not known" with directories.
            nlink: 1,
            ..attributes
        })
    }

    /// The same with one more, in its place.
    fn with(&self, part: Part) -> Result<Arc<Self>> {
        let mut parts = KVec::with_capacity(self.list.len().saturating_add(1), GFP_KERNEL)?;
        let device = part.device();
        for known in self.list.iter().filter(|known| known.device() < device) {
            parts.push(known.copy(), GFP_KERNEL)?;
        }
        parts.push(part, GFP_KERNEL)?;
        for known in self.list.iter().filter(|known| known.device() > device) {
            parts.push(known.copy(), GFP_KERNEL)?;
        }
        Self::new(parts, self.generation)
    }
}

impl Directory {
    /// One made of `parts`, whose inode will be found by `key`.
    pub(super) fn new(mount: &Mount, key: Key, parts: Arc<Parts>) -> Result<Self> {
        let reserved = Dependents::reserve(mount, key, &parts)?;
        let directory = Self {
            parts: KBox::pin_init(
                new_spinlock!(parts, "hmdfs::merge::Directory::parts"),
                GFP_KERNEL,
            )?,
            key,
            dependents: mount.dependents.clone(),
            primed: Atomic::new(0),
            composed: Atomic::new(0),
        };
        directory.dependents.replace(key, None, reserved, || {});
        Ok(directory)
    }

    /// What its inode is found by.
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Its number, never used again.
    pub(super) fn number(&self) -> u64 {
        self.key.number
    }

    /// Whether it was made of the same directories already when a lease of one of its names was given.
    pub(super) fn is_as_of(&self, lease: Validity) -> bool {
        lease.is_later_than(self.composed.load(Relaxed))
    }

    /// All names that other devices have told under these leases, one of each, are in the dentry cache.
    pub(super) fn set_primed(&self, leases: impl Iterator<Item = Validity>) {
        self.primed.store(sum(leases), Relaxed);
    }

    /// Whether all names that other devices tell under these leases have been put into the dentry
    /// cache. Some may have left it since.
    pub(super) fn is_primed(&self, leases: impl Iterator<Item = Validity>) -> bool {
        self.primed.load(Relaxed) == sum(leases)
    }

    /// What it is made of now.
    pub(crate) fn parts(&self) -> Arc<Parts> {
        self.parts.lock().clone()
    }

    /// Swaps the list, unless it is not `known` any more. `inode` is that of the directory.
    fn replace(&self, inode: &Inode, known: &Arc<Parts>, parts: Arc<Parts>) -> Result<bool> {
        shared(inode, &parts);
        let is_same = parts.is_same(known);
        let mount = inode.super_block().data();
        let reserved = if is_same {
            Reserved::default()
        } else {
            Dependents::reserve(&mount, self.key, &parts)?
        };
        let old = {
            let mut current = self.parts.lock();
            if !Arc::ptr_eq(known, &current) {
                return Ok(false);
            }
            if !is_same {
                // What was found in the others does not count any more.
                self.dependents
                    .replace(self.key, Some(known), reserved, || {
                        inode.note().store(0, Relaxed);
                        self.composed.store(mount.ask().number, Relaxed);
                    });
            }
            core::mem::replace(&mut *current, parts)
        };
        // Without the lock: giving up a directory may sleep.
        drop(old);
        Ok(true)
    }

    /// Adds a part, whatever others do to the list meanwhile.
    fn add(&self, inode: &Inode, part: Part) -> Result {
        loop {
            let known = self.parts();
            if self.replace(inode, &known, known.with(part.copy())?)? {
                return Ok(());
            }
        }
    }

    /// Takes over what the directory `inode` was found to be made of now; false when that is
    /// another directory.
    pub(super) fn take(&self, inode: &Inode, found: Arc<Parts>) -> Result<bool> {
        let known = self.parts();
        let is_same = match (inode.lower(), found.local()) {
            (Some(known), Some(found)) => known.is_same(found),
            (None, _) => known
                .iter()
                .any(|known| found.iter().any(|found| known.is(found))),
            (Some(_), None) => false,
        };
        if !is_same {
            return Ok(false);
        }
        if let Some(path) = found.local() {
            if !stands_on(inode, path) {
                return Ok(false);
            }
        }
        inode.set_attributes(&found.attributes()?);
        let mut known = known;
        while !self.replace(inode, &known, found.clone())? {
            known = self.parts();
        }
        Ok(true)
    }

    /// This device's directory was made, or found, for what `inode` is made of.
    pub(super) fn gain_local(&self, inode: &Inode, path: vfs::Path) -> Result {
        if !stands_on(inode, &path) {
            return Err(ESTALE.into());
        }
        self.add(inode, Part::Local(path))
    }

    /// A peer's directory was made, or found, for this one.
    pub(super) fn gain_remote(&self, inode: &Inode, peer: &Arc<Peer>, child: Child) -> Result {
        let child = Arc::new(child, GFP_KERNEL)?;
        self.add(inode, Part::Remote(peer.clone(), child))
    }
}

/// A number for several leases, another one when any of them is another one, as good as certainly.
fn sum(leases: impl Iterator<Item = Validity>) -> u64 {
    leases.fold(1, |sum, lease| {
        sum.rotate_left(21).wrapping_add(lease.as_number())
    })
}

/// Notes that the names in `inode` are not those of this device alone, if that is so. They stay so
/// when others leave: what is cached of their names does not stand on anything here.
fn shared(inode: &Inode, parts: &Parts) {
    if parts.only_local().is_none() {
        inode.set_alone(false);
    }
}

/// Makes `inode` stand on `path`, and says whether it does.
fn stands_on(inode: &Inode, path: &vfs::Path) -> bool {
    let is_on = |inode: &Inode| inode.lower().is_some_and(|lower| lower.is_same(path));
    is_on(inode) || inode.gain_lower(path.clone()) || is_on(inode)
}
