// SPDX-License-Identifier: GPL-2.0

//! Leases that peers have given: for as long as one is held, what they told of a
//! file is right without asking again.
//!
//! A lease on a directory is about its names, also those that do not exist, and its
//! attributes; one on any other file about its attributes and data. Which lease is
//! held is in the note of the inode: a number ([`Validity`]), or zero. Whatever was
//! told under it keeps the same number, and is right while the two are equal. So a
//! recall only clears the note, at once and without touching anything else, and a
//! path walk in RCU mode can compare.
//!
//! Each question that wants a lease asks for it first, in the same compound. The
//! owner has then noted the lease before it looks: whatever changes afterwards is
//! recalled. A recall may arrive before the answer does; see
//! [`hmdfs_model::lease::Recalled`].
//!
//! When a link to the owner ends, the generation of the set of peers changes, and
//! with it all leases are void. A device's own changes leave its leases alone: it is
//! told what has become of what it changed.

use hmdfs_proto::{Handle, Lease, Name, OpenFiles, Operation, Recall};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, SpinLock,
    },
};

use super::{
    ahead::Ahead,
    entries::Entries,
    inode::{of, Node},
    opens,
};
use crate::{
    merge,
    mount::{Mount, Question},
    node::{Inode, Key},
    peer::Peer,
    validity::Validity,
};

/// How long what was told in answer to `question` about the file `inode` is right, where the owner
/// gave this lease on it.
pub(super) fn settle(inode: &Inode, node: &Node, lease: Lease, question: Question) -> Validity {
    node.sharing().told(lease);
    let validity = validity(inode, node, lease, question);
    node.set_bare(lease == Lease::Bare, question, validity);
    validity
}

/// How long an answer to `question` about names of the directory `dir` is right, where the owner gave
/// this lease on it.
pub(crate) fn settle_names(dir: &Inode, lease: Lease, question: Question) -> Result<Validity> {
    let node = of(dir)?;
    let validity = settle(dir, node, lease, question);
    // This device may have changed them in another view meanwhile.
    Ok(if node.knows(question.number) {
        validity
    } else {
        Validity::NONE
    })
}

fn validity(inode: &Inode, node: &Node, lease: Lease, question: Question) -> Validity {
    let mount = inode.super_block().data();
    match lease {
        Lease::None => return question.validity,
        Lease::Busy => return Validity::NONE,
        Lease::Granted | Lease::Bare => {}
    }
    if question.generation != mount.peers.generation() {
        return Validity::NONE;
    }
    let note = inode.note();
    let recalled = node.peer().recalled().lock();
    if !recalled.allows(node.key(), question.number) {
        // It has changed since.
        return Validity::NONE;
    }
    let held = Validity::from_number(note.load(Relaxed));
    if held.is_leased() && held.holds(question.generation, held.as_number()) {
        // It has been held since before the answer was given, or was given after the last change.
        return held;
    }
    let lease = Validity::leased(question.generation, question.number);
    note.store(lease.as_number(), Relaxed);
    lease
}

/// What is known of a file as long as a lease on it is held.
#[pin_data]
pub(super) struct Leased {
    /// The lease under which the owner has last allowed to read it.
    readable: Atomic<u64>,
    /// The lease under which the owner has last said that it has no extended attributes.
    bare: Atomic<u64>,
    /// All names of a directory.
    #[pin]
    entries: SpinLock<Option<Arc<Entries>>>,
    /// What was opened in a directory.
    #[pin]
    ahead: SpinLock<Ahead>,
}

impl Leased {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            readable: Atomic::new(0),
            bare: Atomic::new(0),
            entries <- new_spinlock!(None, "hmdfs::remote::Entries"),
            ahead <- new_spinlock!(Ahead::new(), "hmdfs::remote::Ahead"),
        })
    }

    /// What was opened in a directory. Held for moments.
    pub(super) fn ahead(&self) -> &SpinLock<Ahead> {
        &self.ahead
    }
}

impl Node {
    /// The owner has allowed to read the file, and told about it for as long as `validity`.
    pub(super) fn set_readable(&self, validity: Validity) {
        self.leased().readable.store(validity.as_number(), Relaxed);
    }

    /// Whether the owner would allow to read the file, which is `inode`, and has what is cached of
    /// it, both for certain.
    pub(super) fn is_readable(&self, mount: &Mount, inode: &Inode) -> bool {
        let readable = Validity::from_number(self.leased().readable.load(Relaxed));
        readable.is_leased() && holds(mount, inode, readable) && self.is_fresh(mount, inode)
    }

    /// The owner has said whether the file has no extended attributes, for as long as `validity`.
    pub(super) fn set_bare(&self, bare: bool, question: Question, validity: Validity) {
        if !bare {
            self.forget_bare();
        } else if self.knows(question.number) {
            self.leased().bare.store(validity.as_number(), Relaxed);
        }
    }

    /// This device gives the file extended attributes, or takes them away.
    pub(super) fn forget_bare(&self) {
        self.leased().bare.store(0, Relaxed);
    }

    /// Whether the file, which is `inode`, has no extended attributes for certain.
    pub(super) fn is_bare(&self, mount: &Mount, inode: &Inode) -> bool {
        let bare = Validity::from_number(self.leased().bare.load(Relaxed));
        bare.is_leased() && holds(mount, inode, bare)
    }

    /// All names of the directory, which is `inode`, if they are known for certain.
    pub(crate) fn entries(&self, mount: &Mount, inode: &Inode) -> Option<Arc<Entries>> {
        let entries = self.leased().entries.lock().clone()?;
        let is_right = holds(mount, inode, entries.names) && self.knows(entries.number);
        if !is_right {
            self.set_entries(None);
        }
        is_right.then_some(entries)
    }

    /// If it is known that there is no such name in the directory, which is `inode`: for how long.
    pub(super) fn lacks(&self, mount: &Mount, inode: &Inode, name: Name<'_>) -> Option<Validity> {
        let entries = self.entries(mount, inode)?;
        (!entries.has(name.as_bytes())).then_some(entries.names)
    }

    /// Keeps the names of the directory.
    pub(crate) fn set_entries(&self, entries: Option<Arc<Entries>>) {
        let before = core::mem::replace(&mut *self.leased().entries.lock(), entries);
        // Not under the lock: it may be much memory.
        drop(before);
    }
}

/// For how long it is remembered that a name does not exist, where others of its directory are right
/// for `validity`: without a lease it may be made at any moment.
pub(crate) fn of_nothing(validity: Validity) -> Validity {
    if validity.is_leased() {
        validity
    } else {
        Validity::NONE
    }
}

/// Whether something that was told about the file `inode` is still right.
pub(super) fn holds(mount: &Mount, inode: &Inode, validity: Validity) -> bool {
    validity.holds(mount.peers.generation(), inode.note().load(Relaxed))
}

/// The owner takes leases back. Gives which of the files are open. Called by the receiver of a
/// link: does not sleep.
pub(crate) fn recalled(mount: &Mount, peer: &Peer, recall: Recall<'_>) -> OpenFiles {
    let mut open = OpenFiles::default();
    let inodes = mount.inodes.lock();
    let mut recalled = peer.recalled().lock();
    let number = mount.ask().number;
    if recall.is_of_all() {
        recalled.note_all(number);
        drop(recalled);
        // Rare, and as if the device had gone for a moment.
        mount.peers.bump();
        return open;
    }
    for (place, key) in recall.keys().enumerate() {
        recalled.note(key, number);
        let Some(inodes) = inodes.as_ref() else {
            continue;
        };
        inodes.with_note(
            Key::remote_hash(peer.serial(), key),
            |found| found.is_remote(peer.serial(), key),
            |note, tally| {
                note.store(0, Relaxed);
                if opens::tell_open(tally) {
                    open.add(place);
                }
            },
        );
        merge::recalled(mount, inodes, peer, key, number);
    }
    open
}

/// Gives up what is known of all files that `operations` name: they may have been changed.
pub(super) fn doubt(mount: &Mount, peer: &Peer, operations: &[Operation<'_>]) {
    for operation in operations {
        match operation {
            Operation::File(handle) => forget(mount, peer, handle),
            Operation::Link { file, .. } | Operation::Remove { file, .. } => {
                forget(mount, peer, file);
            }
            Operation::Replace { replaced, file, .. } => {
                forget(mount, peer, replaced);
                forget(mount, peer, file);
            }
            Operation::Rename {
                file,
                new_directory,
                ..
            } => {
                forget(mount, peer, file);
                forget(mount, peer, new_directory);
            }
            _ => {}
        }
    }
}

/// Gives up what is known of a file: this device may have changed it, and does not know what has
/// become of it. Does not sleep.
pub(crate) fn forget(mount: &Mount, peer: &Peer, handle: &Handle) {
    let key = [handle.identity().key().to_le_bytes()];
    if let Ok(recall) = Recall::decode(key.as_flattened()) {
        recalled(mount, peer, recall);
    }
}
