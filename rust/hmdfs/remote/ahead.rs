// SPDX-License-Identifier: GPL-2.0

//! Small files that are fetched ahead, together with one that is opened.
//!
//! When files of a listed directory are read one after the other ([`mod@hmdfs_model::ahead`] says
//! when), some of the next ones come with the reply that opens one: attributes, a lease and
//! all data. As long as the lease is held, opening and reading such a file costs nothing; when it was
//! recalled, opening asks as always. So close-to-open holds.
//!
//! What was fetched and not used yet is kept with the inode of each file, [`MOST_BYTES`] at
//! most of one message, and of [`BATCHES`] messages in all: older ones are given up.

use hmdfs_model::ahead::Sequence;
use hmdfs_proto::{Fetched, Operation};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, SpinLock,
    },
};

use super::{
    attributes::{self, Locking},
    beginning::Beginning,
    file::BEGINNING,
    inode::{of, Node},
    leases,
};
use crate::{
    mount::{Mount, Question},
    node::{Dentry, Inode, InodeRef, Key, Node as AnyNode},
    validity::Validity,
};

/// Most bytes that are fetched ahead with one message.
const MOST_BYTES: u64 = 512 << 10;

/// Of how many messages files are kept that were not used yet, in one mount.
const BATCHES: usize = 8;

/// Most entries that are looked at to find files worth fetching.
const MOST_ENTRIES: u32 = 128;

/// `DT_REG`.
const REGULAR: u8 = 8;

/// Files that came with one message.
pub(super) struct Batch {
    files: KVec<Key>,
    /// How many of them were kept, and how many of those were read by now.
    kept: Atomic<u32>,
    used: Atomic<u32>,
}

impl Batch {
    fn new(files: KVec<Key>) -> Result<Arc<Self>> {
        let batch = Self {
            files,
            kept: Atomic::new(0),
            used: Atomic::new(0),
        };
        Ok(Arc::new(batch, GFP_KERNEL)?)
    }

    /// One of the files was read.
    pub(super) fn note_use(&self) {
        self.used.fetch_add(1, Relaxed);
    }

    /// Whether most were read.
    fn is_used(&self) -> bool {
        let (kept, used) = (self.kept.load(Relaxed), self.used.load(Relaxed));
        used.saturating_mul(4) >= kept.saturating_mul(3)
    }
}

/// The files that were fetched last, of all directories of a mount.
#[pin_data]
pub(crate) struct Batches {
    #[pin]
    last: SpinLock<([Option<Arc<Batch>>; BATCHES], usize)>,
}

impl Batches {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            last <- new_spinlock!(([const { None }; BATCHES], 0), "hmdfs::remote::Batches"),
        })
    }

    /// Adds files, and gives those that they take the place of.
    fn add(&self, batch: Arc<Batch>) -> Option<Arc<Batch>> {
        let mut last = self.last.lock();
        let (batches, next) = &mut *last;
        let place = batches.get_mut(*next)?;
        *next = next.saturating_add(1) % BATCHES;
        place.replace(batch)
    }
}

/// What a directory knows of the files in it that were opened.
pub(super) struct Ahead {
    /// Under which lease it was listed, in answer to which question.
    listing: (Validity, u64),
    sequence: Sequence,
    /// The file that was opened last.
    last: Option<Arc<Batch>>,
    /// What was fetched last.
    batch: Option<Arc<Batch>>,
}

impl Ahead {
    pub(super) const fn new() -> Self {
        Self {
            listing: (Validity::NONE, 0),
            sequence: Sequence::new(),
            last: None,
            batch: None,
        }
    }
}

/// What is to come along when a file is opened.
pub(super) struct Plan {
    /// Stands for the file itself.
    pub(super) own: Arc<Batch>,
    files: KVec<InodeRef>,
    bytes: u64,
}

/// Notes that the file `name` of the directory `dir`, whose dentry in some view is `parent`, is opened and
/// its owner asked, and finds out what should come along. Never fails: without memory nothing is
/// fetched.
pub(super) fn plan(mount: &Mount, dir: &Inode, parent: &Dentry, name: &[u8]) -> Option<Plan> {
    let node = of(dir).ok()?;
    let entries = node.entries(mount, dir)?;
    let at = entries.places_of(name)?;
    let own = Batch::new(KVec::new()).ok()?;
    own.kept.store(1, Relaxed);
    let (wanted, forgotten) = {
        let mut ahead = node.leased().ahead().lock();
        let listing = (entries.names, entries.number);
        if ahead.listing != listing {
            *ahead = Ahead {
                listing,
                ..Ahead::new()
            };
        }
        let was_used = |batch: &Option<Arc<Batch>>| {
            let batch = batch.as_ref();
            batch.is_none_or(|batch| batch.is_used())
        };
        let (was_read, were_used) = (was_used(&ahead.last), was_used(&ahead.batch));
        let wanted = ahead.sequence.opened(at, was_read, were_used);
        (wanted, ahead.last.replace(own.clone()))
    };
    drop(forgotten);
    let mut plan = Plan {
        own,
        files: KVec::new(),
        bytes: 0,
    };
    let Some((order, count)) = wanted else {
        return Some(plan);
    };
    let mut until = order.of(at);
    for _ in 0..MOST_ENTRIES {
        let Some(entry) = entries.at(order, until.saturating_add(1)) else {
            break;
        };
        if entry.file_type == REGULAR {
            let dentry = parent.cached(entry.name);
            if let Some(inode) = dentry.as_ref().and_then(|dentry| dentry.inode()) {
                if !plan.add(mount, node, inode) {
                    break;
                }
            }
        }
        until = until.saturating_add(1);
        if plan.files.len() >= count.into() {
            break;
        }
    }
    node.leased().ahead().lock().sequence.fetched(order, until);
    Some(plan)
}

impl Plan {
    /// Adds a file if it is worth it; false when there is no room for more.
    fn add(&mut self, mount: &Mount, dir: &Node, inode: &Inode) -> bool {
        let AnyNode::Remote(node) = inode.data() else {
            return true;
        };
        let is_wanted = Arc::ptr_eq(node.peer(), dir.peer())
            && inode.file_type() == 0o100_000
            && inode.size() <= BEGINNING.into()
            && !inode.has_pages()
            && node.is_read()
            && !node.is_readable(mount, inode);
        if !is_wanted {
            return true;
        }
        let bytes = self.bytes.saturating_add(inode.size());
        if bytes > MOST_BYTES || self.files.push(inode.to_ref(), GFP_KERNEL).is_err() {
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// How many files are to come along.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// What they are asked for with.
    pub(super) fn operations(&self) -> impl Iterator<Item = Operation<'static>> + '_ {
        self.files.iter().filter_map(|inode| {
            Some(Operation::Fetch {
                file: of(inode).ok()?.handle(),
                limit: BEGINNING,
            })
        })
    }

    /// Takes over what has come along in answer to `question`: of each file, in their order, what was
    /// told, and its data.
    pub(super) fn take(
        self,
        mount: &Mount,
        dir: &Inode,
        question: Question,
        fetched: KVec<(Option<Fetched>, KVVec<u8>)>,
    ) {
        let mut keys = KVec::new();
        for inode in &self.files {
            if let Ok(node) = of(inode) {
                let key = Key::Remote(node.peer().serial(), node.handle().identity());
                if keys.push(key, GFP_KERNEL).is_err() {
                    return;
                }
            }
        }
        let Ok(batch) = Batch::new(keys) else {
            return;
        };
        for (inode, (fetched, data)) in self.files.iter().zip(fetched) {
            let Some(fetched) = fetched else {
                continue;
            };
            if let Err(error) = keep(mount, inode, question, &fetched, data, &batch) {
                pr_debug!("a file that was fetched ahead is not kept: {error:?}\n");
            }
        }
        if let Ok(node) = of(dir) {
            let before = node.leased().ahead().lock().batch.replace(batch.clone());
            drop(before);
        }
        if let Some(old) = mount.ahead.add(batch) {
            give_up(dir, &old);
        }
    }
}

/// Keeps a file that was fetched ahead.
fn keep(
    mount: &Mount,
    inode: &Inode,
    question: Question,
    fetched: &Fetched,
    data: KVVec<u8>,
    batch: &Arc<Batch>,
) -> Result {
    let node = of(inode)?;
    let attributes = &fetched.attributes;
    if !attributes.is_regular() || attributes.size != data.len() as u64 {
        // It has just changed; opening it finds out.
        return Ok(());
    }
    let question = Question {
        validity: leases::settle(inode, node, fetched.lease, question),
        ..question
    };
    if !question.validity.is_leased() || inode.has_pages() || inode.is_being_written() {
        return Ok(());
    }
    let beginning = Beginning::ahead(question, data, batch.clone());
    attributes::take(
        inode,
        node,
        question,
        attributes,
        Some(beginning),
        Locking::Try,
    )?;
    if node.is_fresh(mount, inode) {
        batch.kept.fetch_add(1, Relaxed);
        node.set_readable(question.validity);
    }
    Ok(())
}

/// Gives up the files of a batch that were not used. `any` is an inode of the superblock.
fn give_up(any: &Inode, batch: &Arc<Batch>) {
    for &key in &batch.files {
        let found = any
            .super_block()
            .ilookup5(key.hash(), |other| *other == key);
        if let Some(inode) = found {
            if let Ok(node) = of(&inode) {
                node.forget_ahead(batch);
            }
        }
    }
}
