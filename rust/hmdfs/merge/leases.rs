// SPDX-License-Identifier: GPL-2.0

//! For how long what a merged directory shows is right.
//!
//! Its names depend on those of all directories that it is made of. As long as there are leases on
//! those of other devices, and this device's stays as it is, nobody has to be asked. That is one
//! number in the note of the merged directory, as for remote directories (see `remote::leases`): a name
//! that was found while it was there keeps it, and is right while the two are equal.
//!
//! The number is cleared as soon as names of any of the directories change: by a RECALL, by a
//! program of this device in the exported tree, and by a change that this device makes in another
//! view. [`Dependents`] knows what to clear then. All this happens under the spin lock
//! `Mount::inodes`, and so does giving a number ([`stamp`]): whoever looks a name up notes when
//! that began, and gets no number if anything was cleared since.
//!
//! When the number is gone, a name need not be asked for again. If the leases on the directories of
//! other devices are as old as the number that the name has, these would say what they said last
//! ([`renew`]). And what this device changes itself, it tells each name that means something else then
//! ([`changed_here`]): leases stay when the holder of one makes the change.

use hmdfs_model::names::is_decorated;
use hmdfs_proto::Handle;
use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{atomic::Relaxed, Arc, SpinLock},
};

use super::{parts::Part, siblings, Key, Parts};
use crate::{
    mount::{Hmdfs, Mount, Question},
    node::{self, Dentry, Inode, Node},
    peer::Peer,
    validity::Validity,
};

/// What tells the directories that merged ones are made of apart. That two have the same costs
/// nothing but time.
type PartKey = u64;

/// Which merged directories are made of which directories.
#[pin_data]
pub(crate) struct Dependents {
    /// The keys of a part and of a merged directory; with the number of the question
    /// before which names of the part have changed last.
    #[pin]
    tree: SpinLock<RBTree<(PartKey, Key), u64>>,
}

/// Has memory for all parts of a merged directory; by default, of none.
#[derive(Default)]
pub(super) struct Reserved(KVec<RBTreeNode<(PartKey, Key), u64>>);

impl Dependents {
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                tree <- new_spinlock!(RBTree::new(), "hmdfs::merge::Dependents"),
            }),
            GFP_KERNEL,
        )
    }

    /// Prepares [`Dependents::replace`] for the merged directory `key`, from now on made of `parts`.
    pub(super) fn reserve(mount: &Mount, key: Key, parts: &Parts) -> Result<Reserved> {
        let mut nodes = KVec::new();
        if parts.only_local().is_none() {
            let now = mount.ask().number;
            for part in parts.iter() {
                let node = RBTreeNode::new((key_of(part), key), now, GFP_KERNEL)?;
                nodes.push(node, GFP_KERNEL)?;
            }
        }
        Ok(Reserved(nodes))
    }

    /// The merged directory `key` is not made of `old` any more, but of what `new` was made for.
    /// Calls `replaced` so that no names of it are said to be right meanwhile. Does not sleep.
    pub(super) fn replace(
        &self,
        key: Key,
        old: Option<&Parts>,
        new: Reserved,
        replaced: impl FnOnce(),
    ) {
        let mut tree = self.tree.lock();
        for part in old.into_iter().flat_map(Parts::iter) {
            tree.remove(&(key_of(part), key));
        }
        for node in new.0 {
            tree.insert(node);
        }
        replaced();
    }

    /// Clears the numbers of all merged directories that are made of `part`. Questions that were asked
    /// before have numbers below `number`. Does not sleep.
    fn clear(&self, inodes: &Inodes, part: PartKey, number: u64) {
        let mut tree = self.tree.lock();
        let mut place = tree.cursor_lower_bound_mut(&(part, Key::NONE));
        while let Some(mut at) = place {
            let (&(other, merged), changed) = at.current_mut();
            if other != part {
                return;
            }
            *changed = (*changed).max(number);
            let key = node::Key::Merge(merged);
            inodes.with_note(
                key.hash(),
                |found| *found == key,
                |note, _| note.store(0, Relaxed),
            );
            place = at.move_next();
        }
    }

    /// The next merged directory that is made of `part`, after the one with the key `after`.
    fn next(&self, part: PartKey, after: Key) -> Option<Key> {
        let tree = self.tree.lock();
        let (&(other, merged), _) = tree.cursor_lower_bound(&(part, after.next()))?.current();
        (other == part).then_some(merged)
    }
}

/// Whether names of any of these parts of the merged directory `key` may have changed since `begin`
/// was asked.
fn has_changed(
    tree: &RBTree<(PartKey, Key), u64>,
    key: Key,
    parts: &Parts,
    begin: Question,
) -> bool {
    parts.iter().any(|part| {
        // Whatever is not there was replaced meanwhile.
        tree.get(&(key_of(part), key))
            .is_none_or(|&changed| changed >= begin.number)
    })
}

type Inodes = hmdfs_kapi::fs::inode::Inodes<Hmdfs>;

fn key_of(part: &Part) -> PartKey {
    match part {
        Part::Local(path) => local_key(path.ino()),
        Part::Remote(peer, child) => remote_key(peer, &child.handle),
    }
}

fn local_key(ino: u64) -> PartKey {
    // Of those of other devices, the highest bit is set.
    ino & !(1 << 63)
}

fn remote_key(peer: &Peer, handle: &Handle) -> PartKey {
    node::Key::remote_hash(peer.serial(), handle.identity().key())
}

/// The owner has taken back the lease on the file with this key. `inodes` are those of the mount, which
/// are locked. Does not sleep.
pub(crate) fn recalled(mount: &Mount, inodes: &Inodes, peer: &Peer, key: u64, number: u64) {
    let part = node::Key::remote_hash(peer.serial(), key);
    mount.dependents.clear(inodes, part, number);
}

/// Names have changed in the directory of the exported tree with this inode number. Does not sleep.
pub(crate) fn local_changed(mount: &Mount, ino: u64) {
    let part = local_key(ino);
    // Most directories are no part of any. What becomes one now has its names looked up afterwards.
    if mount.dependents.next(part, Key::NONE).is_some() {
        clear(mount, part);
    }
}

fn clear(mount: &Mount, part: PartKey) {
    let inodes = mount.inodes.lock();
    if let Some(inodes) = inodes.as_ref() {
        mount.dependents.clear(inodes, part, mount.ask().number);
    }
}

/// This device has changed what `name` stands for in the directory `dir` of the device `peer`, which has
/// this handle. Whatever is cached of it, in any view, is found anew; the caller may then say what it
/// is. May sleep.
pub(crate) fn changed_here(dir: &Inode, peer: &Peer, handle: &Handle, name: &[u8]) {
    let mount = dir.super_block().data();
    let part = remote_key(peer, handle);
    let mut last = Key::NONE;
    if mount.dependents.next(part, last).is_some() {
        // First: who has asked before gets no number.
        clear(&mount, part);
    }
    if let Some(child) = dir.any_alias().and_then(|dentry| dentry.cached(name)) {
        child.set_time(Validity::NONE.as_time());
    }
    while let Some(merged) = mount.dependents.next(part, last) {
        last = merged;
        let key = node::Key::Merge(merged);
        let inode = dir
            .super_block()
            .ilookup5(key.hash(), |found| *found == key);
        let Some(inode) = inode else {
            continue;
        };
        if let (Node::Merge(directory), Some(dentry)) = (inode.data(), inode.any_alias()) {
            siblings::forget(&dentry, &directory.parts(), name);
        }
    }
}

/// The leases under which the other devices have answered about names of a merged directory.
pub(super) struct Told {
    begin: Question,
    /// For each of the others, in their order; for ever if it was not asked.
    leases: KVec<Validity>,
}

impl Told {
    /// Looking for something in `parts` begins.
    pub(super) fn new(mount: &Mount, parts: &Parts) -> Result<Self> {
        let count = parts.remote().count();
        Ok(Self {
            begin: mount.ask(),
            leases: KVec::from_elem(Validity::FOREVER, count, GFP_KERNEL)?,
        })
    }

    /// When it began.
    pub(super) fn begin(&self) -> Question {
        self.begin
    }

    /// The other device at this place has answered, and that is right for as long as `validity`.
    pub(super) fn add(&mut self, index: usize, validity: Validity) {
        if let Some(lease) = self.leases.get_mut(index) {
            *lease = match *lease {
                Validity::FOREVER => validity,
                known if known == validity => known,
                _ => Validity::NONE,
            };
        }
    }

    /// All have answered something that is right for as long as `validity`.
    pub(super) fn add_all(&mut self, validity: Validity) {
        for index in 0..self.leases.len() {
            self.add(index, validity);
        }
    }

    /// Calls `set` with how long is right what was found in the merged directory `dir`, which is made of
    /// `parts`. Under a spin lock: a change of names comes either before, and then there is no lease,
    /// or after.
    pub(super) fn stamp(&self, dir: &Inode, parts: &Parts, set: impl FnOnce(Validity)) {
        let is_held = |index: usize, note: Validity| {
            note.is_leased() && self.leases.get(index).is_some_and(|&lease| lease == note)
        };
        stamp(dir, parts, self.begin, is_held, |validity| {
            set(validity.unwrap_or(if self.is_leased() {
                // It was taken back.
                Validity::NONE
            } else {
                self.begin.validity
            }));
        });
    }

    /// The leases under which the others have answered, in their order.
    pub(super) fn leases(&self) -> impl Iterator<Item = Validity> + '_ {
        self.leases.iter().copied()
    }

    /// Whether all devices have given a lease.
    fn is_leased(&self) -> bool {
        self.leases.iter().all(|lease| lease.is_leased())
    }
}

/// Calls `set` with the number that the names of the merged directory `dir` have now, if it is made of
/// `parts` still, `is_held` says so of the lease on each of those of other devices, and no name has
/// changed since `begin`.
fn stamp(
    dir: &Inode,
    parts: &Parts,
    begin: Question,
    is_held: impl Fn(usize, Validity) -> bool,
    set: impl FnOnce(Option<Validity>),
) {
    let mount = dir.super_block().data();
    let generation = mount.peers.generation();
    let inodes = mount.inodes.lock();
    let Node::Merge(directory) = dir.data() else {
        return;
    };
    // Held until the end: the parts stay what they are.
    let tree = mount.dependents.tree.lock();
    let mut all_held =
        begin.generation == generation && !has_changed(&tree, directory.key(), parts, begin);
    for (index, (peer, child)) in parts.remote().enumerate() {
        let key = child.handle.identity().key();
        let mut held = false;
        if let Some(inodes) = inodes.as_ref().filter(|_| all_held) {
            inodes.with_note(
                node::Key::remote_hash(peer.serial(), key),
                |found| found.is_remote(peer.serial(), key),
                |note, _| held = is_held(index, Validity::from_number(note.load(Relaxed))),
            );
        }
        all_held &= held;
    }
    if !all_held {
        return set(None);
    }
    let note = dir.note();
    let known = Validity::from_number(note.load(Relaxed));
    if known.is_leased() && known.holds(generation, known.as_number()) {
        return set(Some(known));
    }
    // It is higher than those of the leases, and lower than those of all that come.
    let validity = Validity::leased(generation, mount.ask().number);
    note.store(validity.as_number(), Relaxed);
    set(Some(validity));
}

/// Whether `name` in the merged directory `dir`, made of `parts`, is right still because no other device
/// would tell anything new about it, and this one has nothing to say either. Then it is so for
/// as long as names of `dir` stay as they are. Sends no message; may sleep.
///
/// `None` when that is not known.
pub(super) fn renew(
    dir: &Inode,
    parts: &Parts,
    name: &[u8],
    dentry: &Dentry,
) -> Result<Option<bool>> {
    let known = dentry.inode();
    // See `Inode::set_time`.
    let standing = match known {
        Some(inode) if matches!(inode.data(), Node::Merge(_)) && parts.local().is_some() => {
            Some(inode)
        }
        _ => None,
    };
    let before = standing.map_or_else(|| dentry.time(), Inode::time);
    let since = Validity::from_time(before);
    // What is called otherwise than on its device depends on more than one name.
    if !since.is_leased() || is_decorated(name) {
        return Ok(None);
    }
    // A directory that has become a part since was not asked, whatever there is a lease on.
    if !matches!(dir.data(), Node::Merge(merged) if merged.is_as_of(since)) {
        return Ok(None);
    }
    let mount = dir.super_block().data();
    let begin = mount.ask();
    let is_same = match known.map(Inode::data) {
        None | Some(Node::Remote(_)) => parts.lookup_local(name)?.is_none(),
        Some(Node::Merge(merged)) if parts.local().is_some() => {
            parts.stand_if_same(name, dentry, merged.parts().local())?
        }
        Some(Node::Merge(_)) => true,
        Some(_) => false,
    };
    if !is_same {
        return Ok(None);
    }
    let is_held = |_: usize, note: Validity| note.is_held_since(mount.peers.generation(), since);
    let mut renewed = false;
    stamp(dir, parts, begin, is_held, |validity| {
        if let Some(validity) = validity {
            // Unless this device has changed just this name meanwhile.
            renewed = match standing {
                Some(inode) => inode.renew_time(before, validity.as_time()),
                None => dentry.renew_time(before, validity.as_time()),
            };
        }
    });
    Ok(renewed.then_some(true))
}

/// The name `dentry` of a merged directory was made by the operations of a remote one. They have noted
/// how long the device that was asked is right, which says too little: what the others have told
/// before, when there was no such name, is right as long as it was to be `before`.
pub(super) fn made(dentry: &Dentry, before: Validity) {
    let now = Validity::from_time(dentry.time());
    if now.is_leased() {
        let validity = if before.is_leased() {
            before
        } else {
            Validity::NONE
        };
        dentry.renew_time(now.as_time(), validity.as_time());
    }
}
