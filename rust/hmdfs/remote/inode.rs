// SPDX-License-Identifier: GPL-2.0

//! Inodes of other devices' files, and what is known of their attributes.

use hmdfs_kapi::{
    errno::{ENOTCONN, ESTALE},
    fs::{
        inode::{self, Found},
        inode_operations::{Query, Stat},
        SuperBlock,
    },
};
use hmdfs_model::content::Content;
use hmdfs_proto::{Attributes, Handle, Operation, Written};
use kernel::{
    new_mutex, new_spinlock,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex, SpinLock,
    },
};

use super::{
    ahead::Batch,
    compound::{self, Outcomes},
    directory::{Child, DirectoryOps},
    file::FileOps,
    leases::{self, Leased},
    lock::Locks,
    opens,
    plain::PlainOps,
    sharing::Sharing,
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
    /// What leases on it are recalled by.
    key: u64,
    /// The target of a symbolic link, with a NUL at its end. Empty of anything else, and of a
    /// link that this device may not read.
    target: KVec<u8>,
    state: Pin<KBox<State>>,
}

/// What changes.
///
/// Locks, from the outside: the inode's, `known`, then `content` or `beginning`.
#[pin_data]
struct State {
    /// One of the handles of the file, the one that was told last.
    #[pin]
    handle: SpinLock<Handle>,
    /// Held while pages are dropped, so it may not be taken on the way of a read.
    #[pin]
    known: Mutex<Known>,
    /// Which content of the file is cached. Taken when a write ends.
    #[pin]
    content: SpinLock<Own>,
    /// The beginning of the file, which came with its opening, until it is closed. Taken on the
    /// way of a read, under the locks of folios.
    #[pin]
    beginning: Mutex<Option<Beginning>>,
    /// Whether the file was opened last without being read; 0 or 1.
    unread: Atomic<u32>,
    /// Whether others write to it.
    sharing: Sharing,
    /// Who has locks. Taken on the way of a write.
    #[pin]
    locks: Locks,
    /// What is known as long as a lease is held.
    #[pin]
    leased: Leased,
}

/// What the owner told last.
struct Known {
    attributes: Attributes,
    question: Question,
}

/// What this device has written.
struct Own {
    content: Content,
    /// Answers to questions before this one do not know of all that was written.
    number: u64,
    /// What the owner told after the last write, until it is taken over.
    latest: Option<(Question, Attributes)>,
    /// What may not be on the owner's stable storage.
    unsynced: Option<Unsynced>,
    /// How many are waiting for it to be there.
    syncing: u32,
    /// Number of the question with the answer to which everything was there last.
    synced: u64,
}

/// Data that this device has written since they were last brought to stable storage.
#[derive(Clone, Copy)]
pub(super) struct Unsynced {
    /// The epoch of the owner in which the first were written. In another one they may be lost.
    pub(super) epoch: u64,
    /// The errors that the owner had met with before.
    pub(super) errors: u32,
    /// How often something was written.
    count: u64,
}

/// The first bytes of a file.
pub(super) struct Beginning {
    pub(super) data: KVVec<u8>,
    /// Whether that is all of the file.
    pub(super) end_of_file: bool,
    /// Number of the question that it answers.
    number: u64,
    /// Whether anybody read it.
    used: bool,
    /// What it came with, if that is to know when it is used.
    batch: Option<Arc<Batch>>,
}

impl Beginning {
    /// What came with the opening of a file.
    pub(super) fn new(question: Question, data: KVVec<u8>, end_of_file: bool) -> Self {
        Self {
            data,
            end_of_file,
            number: question.number,
            used: false,
            batch: None,
        }
    }

    /// All of a file that was fetched ahead, with others.
    pub(super) fn ahead(question: Question, data: KVVec<u8>, batch: Arc<Batch>) -> Self {
        Self {
            batch: Some(batch),
            ..Self::new(question, data, true)
        }
    }

    /// The same, of which `batch` is to know when it is used.
    pub(super) fn noted(self, batch: Option<Arc<Batch>>) -> Self {
        Self { batch, ..self }
    }
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
    pub(super) fn learn(&self, handle: Handle) -> bool {
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

    /// The attributes as last told, whatever their age.
    pub(crate) fn attributes(&self) -> Attributes {
        self.state.known.lock().attributes
    }

    /// Whether the attributes, which are those of `inode`, may still be used.
    pub(super) fn is_fresh(&self, mount: &Mount, inode: &Inode) -> bool {
        let question = self.state.known.lock().question;
        question.number >= self.state.content.lock().number
            && leases::holds(mount, inode, question.validity)
    }

    /// What is known as long as a lease is held.
    pub(super) fn leased(&self) -> &Leased {
        &self.state.leased
    }

    /// Whether the answer to the question `number` knows of all changes that this device has made.
    pub(super) fn knows(&self, number: u64) -> bool {
        number >= self.state.content.lock().number
    }

    /// This device has changed the file, or its names, and will not be told what became of that.
    /// Answers to questions that were asked until now are not to be used.
    pub(super) fn changed(&self, mount: &Mount) {
        self.state.content.lock().number = mount.ask().number;
    }

    /// A write that was begun with `question` has ended with `outcome` in this epoch of the owner,
    /// and `attributes` are what it told then. Does not sleep.
    pub(super) fn wrote(
        &self,
        mount: &Mount,
        question: Question,
        outcome: Written,
        epoch: u64,
        attributes: Attributes,
    ) {
        let number = mount.ask().number;
        let mut written = self.state.content.lock();
        written.content.changed(outcome.before, outcome.after);
        written.number = number;
        let unsynced = written.unsynced.get_or_insert(Unsynced {
            epoch,
            errors: outcome.errors,
            count: 0,
        });
        unsynced.count = unsynced.count.wrapping_add(1);
        written.latest = written
            .content
            .is_current(attributes.change)
            .then_some((Question { number, ..question }, attributes));
    }

    /// What has to be brought to the owner's stable storage.
    pub(super) fn unsynced(&self) -> Option<Unsynced> {
        self.state.content.lock().unsynced
    }

    /// Somebody waits until the file is on the owner's stable storage. Does not sleep.
    pub(super) fn begin_sync(&self) {
        let mut written = self.state.content.lock();
        written.syncing = written.syncing.saturating_add(1);
    }

    /// The counterpart of [`Self::begin_sync`].
    pub(super) fn end_sync(&self) {
        let mut written = self.state.content.lock();
        written.syncing = written.syncing.saturating_sub(1);
    }

    /// Whether somebody waits for that.
    pub(super) fn is_syncing(&self) -> bool {
        self.state.content.lock().syncing != 0
    }

    /// A write that was begun with `question` was brought there together with all that the owner had of
    /// the file before, without an error. Does not sleep.
    pub(super) fn synced_with_write(&self, question: Question) {
        let mut written = self.state.content.lock();
        // Of others it is not known whether they came before.
        if written.unsynced.is_some_and(|unsynced| unsynced.count == 1) {
            written.unsynced = None;
            written.synced = question.number;
        }
    }

    /// Whether all of the file has been brought there since the question `begun` was asked.
    pub(super) fn is_synced_since(&self, begun: u64) -> bool {
        let written = self.state.content.lock();
        written.unsynced.is_none() && written.synced > begun
    }

    /// What was `unsynced` has been brought there, or is known to be lost. `errors` marks what was
    /// told of errors.
    pub(super) fn synced(&self, unsynced: Option<Unsynced>, errors: Option<u32>) {
        let mut written = self.state.content.lock();
        let (Some(before), Some(now)) = (unsynced, &mut written.unsynced) else {
            return;
        };
        if now.count == before.count {
            written.unsynced = None;
        } else if let Some(errors) = errors {
            // What was written meanwhile is still to be asked about, and only that.
            now.errors = errors;
        }
    }

    /// A write has failed: what is cached may not be what the owner has. Does not sleep.
    pub(super) fn write_failed(&self) {
        let mut written = self.state.content.lock();
        written.content.doubt();
        written.latest = None;
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
        let mut beginning = self.state.beginning.lock();
        let beginning = (*beginning).as_mut()?;
        if beginning.number < self.state.content.lock().number {
            // This device has changed the file since.
            return None;
        }
        let result = use_it(beginning);
        if result.is_some() && !beginning.used {
            beginning.used = true;
            beginning.batch.iter().for_each(|batch| batch.note_use());
        }
        result
    }

    /// Gives up the file if it came with `batch` and nobody has read it.
    pub(super) fn forget_ahead(&self, batch: &Arc<Batch>) {
        let mut beginning = self.state.beginning.lock();
        let is_unused = |kept: &Beginning| {
            let its = kept.batch.as_ref();
            !kept.used && its.is_some_and(|its| Arc::ptr_eq(its, batch))
        };
        if beginning.as_ref().is_some_and(is_unused) {
            *beginning = None;
        }
    }

    /// Gives up the beginning of the file, which was closed. When nobody had read it, it is not
    /// asked for again until somebody reads the file.
    pub(super) fn closed(&self) {
        if let Some(beginning) = self.state.beginning.lock().take() {
            self.set_read(beginning.used);
        }
    }

    /// Whether the file was read after it was opened, so far as is known.
    pub(super) fn is_read(&self) -> bool {
        self.state.unread.load(Relaxed) == 0
    }

    /// Says whether the file was read after it was opened.
    pub(super) fn set_read(&self, read: bool) {
        self.state.unread.store((!read).into(), Relaxed);
    }
}

/// The inode of a peer's file, if it is in memory. May sleep.
pub(super) fn find(sb: &SuperBlock<Hmdfs>, peer: &Peer, handle: &Handle) -> Option<InodeRef> {
    let key = Key::Remote(peer.serial(), handle.identity());
    sb.ilookup5(key.hash(), |found| *found == key)
}

/// Finds or makes the inode of a peer's file, and takes over the attributes. May sleep.
pub(crate) fn iget(sb: &SuperBlock<Hmdfs>, peer: &Arc<Peer>, child: &Child) -> Result<InodeRef> {
    let (handle, attributes) = (child.handle, &child.attributes);
    if let Some(inode) = find(sb, peer, &handle) {
        let node = of(&inode)?;
        node.learn(handle);
        learn(&inode, node, child)?;
        return Ok(inode);
    }
    let key = Key::Remote(peer.serial(), handle.identity());
    let ino = Key::remote_number(peer.number(), attributes.ino);
    let node = Node {
        peer: peer.clone(),
        key: handle.identity().key(),
        target: link_target(child)?,
        state: KBox::pin_init(
            pin_init!(State {
                handle <- new_spinlock!(handle, "hmdfs::remote::Handle"),
                known <- new_mutex!(
                    Known {
                        attributes: *attributes,
                        question: child.question,
                    },
                    "hmdfs::remote::Known"
                ),
                content <- new_spinlock!(
                    Own {
                        content: Content::new(attributes.change),
                        number: 0,
                        latest: None,
                        unsynced: None,
                        syncing: 0,
                        synced: 0,
                    },
                    "hmdfs::remote::Written"
                ),
                beginning <- new_mutex!(None, "hmdfs::remote::Beginning"),
                unread: Atomic::new(0),
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

/// Takes over what the owner told of a file, which is that of `inode`. May sleep.
pub(super) fn learn(inode: &Inode, node: &Node, child: &Child) -> Result {
    let question = Question {
        validity: leases::settle(inode, node, child.lease, child.question),
        ..child.question
    };
    take(inode, node, question, &child.attributes, None, Locking::Try)
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

/// Whether [`take`] may lock the inode, which it has to when the data have changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Locking {
    /// It waits for the lock.
    Wait,
    /// When somebody else has the lock, nothing is taken over: the owner is asked again later.
    Try,
    /// The caller has the lock.
    Held,
}

/// Takes over attributes that the owner told in answer to `question`, and the beginning of the
/// file if it came along; the answer to an earlier question than the last one is ignored. When
/// the file has changed, its pages are dropped. May sleep.
///
/// Of a file that this device is writing, only what has nothing to do with its data is taken over.
pub(super) fn take(
    inode: &Inode,
    node: &Node,
    question: Question,
    attributes: &Attributes,
    beginning: Option<Beginning>,
    locking: Locking,
) -> Result {
    if inode.file_type() != attributes.file_type() {
        // A handle stands for one file, and that cannot change its type.
        return Err(ESTALE.into());
    }
    let regular = attributes.is_regular();
    let differs = regular
        && (inode.size() != attributes.size
            || !node
                .state
                .content
                .lock()
                .content
                .is_current(attributes.change));
    let _lock = match (differs, locking) {
        (false, _) | (true, Locking::Held) => None,
        (true, Locking::Wait) => Some(inode.lock_killable()?),
        (true, Locking::Try) => match inode.try_lock() {
            Some(lock) => Some(lock),
            None => return Ok(()),
        },
    };
    let mut known = node.state.known.lock();
    if question.number < known.question.number {
        return Ok(());
    }
    if !differs && regular && inode.size() != attributes.size {
        // It has begun to differ just now, and the inode is not locked: not for this answer.
        return Ok(());
    }
    if !regular {
        known.question = question;
        known.attributes = *attributes;
        inode.set_attributes(&vfs_attributes(attributes));
        return Ok(());
    }
    // Whatever becomes of the rest, this has nothing to do with the data.
    known.attributes = Attributes {
        mode: attributes.mode,
        nlink: attributes.nlink,
        uid: attributes.uid,
        gid: attributes.gid,
        ..known.attributes
    };
    inode.set_permissions(&vfs_attributes(attributes));
    if inode.is_being_written() {
        known.question = question;
        return Ok(());
    }
    let changed = {
        let mut written = node.state.content.lock();
        if question.number < written.number {
            return Ok(());
        }
        let changed = !written.content.is_current(attributes.change);
        if changed && !differs {
            // It has begun to differ just now, and the inode is not locked: not for this answer.
            return Ok(());
        }
        if changed {
            written.content.replace(attributes.change);
        }
        written.latest = None;
        changed
    };
    known.question = question;
    known.attributes = *attributes;
    inode.set_attributes(&vfs_attributes(attributes));
    if changed || beginning.is_some() {
        node.set_beginning(beginning);
    }
    if changed && inode.has_pages() {
        inode.invalidate_pages();
    }
    if inode.size() != attributes.size {
        inode.resize_netfs(attributes.size);
    }
    Ok(())
}

/// Takes over what the owner told after this device has changed the file, other than by writing
/// to it. The inode is locked. May sleep.
///
/// `before` is the change attribute before, if what is cached stays as it is; without it, all of
/// that is dropped.
pub(super) fn take_own(
    inode: &Inode,
    node: &Node,
    question: Question,
    before: Option<u64>,
    attributes: &Attributes,
) -> Result {
    // The owner may have answered questions that were asked after this one before it made the
    // change: all that were asked until now are older.
    let number = inode.super_block().data().ask().number;
    {
        let mut written = node.state.content.lock();
        match before {
            Some(before) => written.content.changed(before, attributes.change),
            None => written.content.doubt(),
        }
        written.number = number;
    }
    let question = Question { number, ..question };
    take(inode, node, question, attributes, None, Locking::Held)
}

/// Takes over what the owner told after the last write, if there are no more.
fn settle(inode: &Inode, node: &Node) -> Result {
    if inode.is_being_written() {
        return Ok(());
    }
    let latest = node.state.content.lock().latest.take();
    match latest {
        Some((question, attributes)) => {
            take(inode, node, question, &attributes, None, Locking::Try)
        }
        None => Ok(()),
    }
}

/// Asks the owner for the attributes of an inode. An owner that has begun anew does not know who is
/// writing to the file, so it is told.
pub(super) fn refresh(inode: &Inode, locking: Locking) -> Result {
    let node = of(inode)?;
    let question = inode.super_block().data().ask();
    let (read, write) = (false, true);
    let operations = [
        Operation::File(node.handle()),
        Operation::Lease,
        Operation::GetAttributes,
        // It is not of interest whether that is allowed by now.
        Operation::Open { read, write },
    ];
    let count = if opens::is_open_for_write(inode) {
        operations.len()
    } else {
        operations.len().saturating_sub(1)
    };
    let operations = operations.get(..count).ok_or(EINVAL)?;
    let reply = compound::call(&node.peer, operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, operations)?;
    outcomes.done()?;
    let (question, attributes) = outcomes.told(inode, node, question)?;
    take(inode, node, question, &attributes, None, locking)
}

/// The node of an inode that is known to be remote.
pub(crate) fn of(inode: &Inode) -> Result<&Node> {
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
pub(crate) fn getattr(inode: &Inode, query: Query) -> Result {
    let mount = inode.super_block().data();
    let node = of(inode)?;
    if !node.peer.is_online() {
        return Err(ENOTCONN.into());
    }
    settle(inode, node)?;
    if query.dont_sync() || (!query.force_sync() && node.is_fresh(&mount, inode)) {
        return Ok(());
    }
    match refresh(inode, Locking::Try) {
        // Only still open here: its owner knows it no more.
        Err(error) if error == ESTALE && node.attributes().nlink == 0 => Ok(()),
        result => result,
    }
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
