// SPDX-License-Identifier: GPL-2.0

//! Directories of other devices.

use hmdfs_kapi::{
    errno::{ENAMETOOLONG, EPROTO, ESTALE},
    fs::{
        dentry::{InLookup, Intent, Spliced},
        directory::{Context, EntryType},
        file::{DirectoryOperations, File},
        inode_operations::{Operations, Query, Stat},
    },
};
use hmdfs_proto::{Attributes, Entry, Handle, Name, Operation, Outcome};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, ArcBorrow, Mutex},
};

use super::{
    compound::{self, Outcomes},
    inode::{self, fill_stat, getattr, iget, of, Locking, Node},
};
use crate::{
    link::Reply,
    mount::{Hmdfs, Mount, Question},
    node::{Dentry, Inode, Key, Node as AnyNode},
    peer::Peer,
    validity::Validity,
};

/// Most bytes of entries that are asked for at once.
const CHUNK: u32 = hmdfs_proto::MAX_BODY - 4096;

/// Position after "." and "..", where the owner's listing begins.
const START: u64 = 2;

/// What is known of an entry after it was asked for.
pub(crate) struct Child {
    pub(crate) handle: Handle,
    pub(crate) attributes: Attributes,
    /// The target, of a symbolic link that this device may read.
    pub(crate) target: Option<KVec<u8>>,
    /// What it is the answer to.
    pub(crate) question: Question,
}

/// The operations that [`find`] consists of.
///
/// The last one fails unless the entry is a symbolic link, and that costs nothing.
pub(crate) fn find_operations<'a>(directory: Handle, name: Name<'a>) -> [Operation<'a>; 5] {
    [
        Operation::File(directory),
        Operation::Walk(name),
        Operation::GetHandle,
        Operation::GetAttributes,
        Operation::ReadLink,
    ]
}

/// Asks for an entry of a directory; `None` when there is no such name.
pub(crate) fn find(
    mount: &Mount,
    peer: &Peer,
    directory: Handle,
    name: Name<'_>,
) -> Result<Option<Child>> {
    let question = mount.ask();
    let operations = find_operations(directory, name);
    let reply = compound::call(peer, &operations, 0)?;
    found(&reply, &operations, question)
}

/// Reads the reply to [`find_operations`].
pub(crate) fn found(
    reply: &Reply,
    operations: &[Operation<'_>],
    question: Question,
) -> Result<Option<Child>> {
    let mut outcomes = Outcomes::new(reply, operations)?;
    outcomes.done()?;
    match outcomes.done() {
        Ok(()) => {}
        Err(error) if error == ENOENT => return Ok(None),
        Err(error) => return Err(error),
    }
    let (handle, attributes) = (outcomes.handle()?, outcomes.attributes()?);
    let target = match outcomes.next() {
        Ok(Outcome::Target(target)) => {
            let mut copy = KVec::new();
            copy.extend_from_slice(target.as_bytes(), GFP_KERNEL)?;
            Some(copy)
        }
        Ok(_) => return Err(EPROTO.into()),
        Err(_) => None,
    };
    Ok(Some(Child {
        handle,
        attributes,
        target,
        question,
    }))
}

/// The operations that [`root`] consists of.
pub(crate) const ROOT_OPERATIONS: [Operation<'static>; 3] = [
    Operation::Root,
    Operation::GetHandle,
    Operation::GetAttributes,
];

/// Asks for the root of a peer's tree.
pub(crate) fn root(mount: &Mount, peer: &Peer) -> Result<Child> {
    let question = mount.ask();
    let operations = ROOT_OPERATIONS;
    let reply = compound::call(peer, &operations, 0)?;
    root_of(&reply, &operations, question)
}

/// Reads the reply to what [`root`] asks: a directory, or EPROTO.
pub(crate) fn root_of(
    reply: &Reply,
    operations: &[Operation<'_>],
    question: Question,
) -> Result<Child> {
    let mut outcomes = Outcomes::new(reply, operations)?;
    outcomes.done()?;
    let (handle, attributes) = (outcomes.handle()?, outcomes.attributes()?);
    if !attributes.is_directory() {
        return Err(EPROTO.into());
    }
    Ok(Child {
        handle,
        attributes,
        target: None,
        question,
    })
}

/// Checks a name that a program gave.
pub(crate) fn name(bytes: &[u8]) -> Result<Name<'_>> {
    Name::new(bytes).map_err(|_| {
        if bytes.len() > Name::MAX {
            ENAMETOOLONG.into()
        } else {
            EINVAL
        }
    })
}

/// Whether `name` in the remote directory `dir` still means what `dentry` says; what the owner
/// tells is taken over.
pub(crate) fn revalidate(
    mount: &Mount,
    dir: &Node,
    bytes: &[u8],
    dentry: &Dentry,
    intent: Intent,
) -> Result<bool> {
    let Some(inode) = dentry.inode() else {
        // A new lookup costs what asking here would.
        return Ok(false);
    };
    let AnyNode::Remote(node) = inode.data() else {
        return Ok(false);
    };
    if intent.is_open() && !intent.must_ask() && inode.file_type() == 0o100_000 {
        // Opening resolves the name again, in the same round trip.
        return Ok(true);
    }
    match find(mount, dir.peer(), dir.handle(), name(bytes)?) {
        Ok(Some(child)) if child.handle == node.handle() => {
            inode::take(
                inode,
                node,
                child.question,
                &child.attributes,
                None,
                Locking::Try,
            )?;
            dentry.set_time(child.question.validity.as_time());
            Ok(true)
        }
        Ok(_) => Ok(false),
        // The directory itself is gone.
        Err(error) if error == ESTALE => Ok(false),
        Err(error) => Err(error),
    }
}

/// Operations of remote directories.
pub(crate) struct DirectoryOps;

#[vtable]
impl Operations<Hmdfs> for DirectoryOps {
    const READ_ONLY: bool = true;

    fn lookup(dir: &Inode, dentry: InLookup<'_, Hmdfs>) -> Result<Spliced<Hmdfs>> {
        let mount = dir.super_block().data();
        let node = of(dir)?;
        let wanted = dentry.name();
        let found = find(&mount, node.peer(), node.handle(), name(wanted.as_bytes())?)?;
        let (inode, validity) = match found {
            Some(child) => (
                Some(iget(dir.super_block(), node.peer(), &child)?),
                child.question.validity,
            ),
            // That there is no such name is not remembered: it may be made at any moment.
            None => (None, Validity::NONE),
        };
        dentry.splice_alias(inode, validity.as_time())
    }

    fn getattr(inode: &Inode, query: Query) -> Result {
        getattr(inode, query)
    }

    fn fill_stat(inode: &Inode, stat: &mut Stat<'_>) {
        fill_stat(inode, stat);
    }
}

/// An open directory: the chunk of the listing that was fetched last.
#[pin_data]
pub(crate) struct Listing {
    #[pin]
    chunk: Mutex<Option<Chunk>>,
}

/// A part of a listing.
struct Chunk {
    reply: Reply,
    question: Question,
    /// The cookie that it was asked for with.
    cookie: u64,
    /// Bytes of entries that were given to the program.
    consumed: usize,
    /// The cookie after the entries that were given.
    next: u64,
}

impl Listing {
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                // Held while a chunk is fetched; only the one reader of this open file waits.
                chunk <- new_mutex!(None, "hmdfs::remote::Listing"),
            }),
            GFP_KERNEL,
        )
    }

    /// Gives the entries of the directory `node` from the context's position on.
    ///
    /// Position 2 is the beginning, after "." and ".."; all others are cookies of the owner.
    pub(crate) fn iterate(
        &self,
        mount: &Mount,
        dir: &Inode,
        node: &Node,
        context: &mut Context<'_, Hmdfs>,
    ) -> Result {
        if !context.emit_dots() {
            return Ok(());
        }
        let mut current = self.chunk.lock();
        loop {
            let cookie = match context.position() {
                START => 0,
                position => position,
            };
            if (*current).as_ref().is_none_or(|chunk| chunk.next != cookie) {
                *current = None;
                *current = Some(fetch(mount, dir, node, cookie)?);
            }
            let Some(chunk) = (*current).as_mut() else {
                return Ok(());
            };
            if !chunk.give(mount, dir, node, context)? {
                return Ok(());
            }
            // All of the chunk was given, and it is not the last one.
            *current = None;
        }
    }
}

/// What a chunk is asked for with.
fn operations(node: &Node, cookie: u64) -> [Operation<'static>; 3] {
    [
        Operation::File(node.handle()),
        Operation::GetAttributes,
        Operation::ReadDirectory {
            cookie,
            limit: CHUNK,
            plus: true,
        },
    ]
}

fn fetch(mount: &Mount, dir: &Inode, node: &Node, cookie: u64) -> Result<Chunk> {
    let question = mount.ask();
    let operations = operations(node, cookie);
    let reply = compound::call(node.peer(), &operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    inode::take(
        dir,
        node,
        question,
        &outcomes.attributes()?,
        None,
        Locking::Try,
    )?;
    Ok(Chunk {
        reply,
        question,
        cookie,
        consumed: 0,
        next: cookie,
    })
}

impl Chunk {
    /// Gives the rest of the chunk; whether the listing goes on after it, and there is room.
    fn give(
        &mut self,
        mount: &Mount,
        dir: &Inode,
        node: &Node,
        context: &mut Context<'_, Hmdfs>,
    ) -> Result<bool> {
        let operations = operations(node, self.cookie);
        let mut outcomes = Outcomes::new(&self.reply, &operations)?;
        outcomes.done()?;
        outcomes.attributes()?;
        let Outcome::Directory {
            entries,
            end_of_directory,
        } = outcomes.next()?
        else {
            return Err(EPROTO.into());
        };
        let mut empty = true;
        for (index, entry) in entries.enumerate() {
            let entry = entry.map_err(|_| EPROTO.error())?;
            empty = false;
            if entry.next <= START {
                return Err(EPROTO.into());
            }
            if index < self.consumed {
                continue;
            }
            if !context.emit(
                entry.name.as_bytes(),
                Key::remote_number(node.peer().number(), entry.ino),
                EntryType(entry.file_type),
            ) {
                return Ok(false);
            }
            // What a slow reader was told long ago is not news any more.
            if self.question.validity.holds(mount.peers.generation()) {
                prime(dir, node, context.dentry(), &entry, self.question);
            }
            self.consumed = index.saturating_add(1);
            self.next = entry.next;
            context.set_position(entry.next);
        }
        Ok(!end_of_directory && !empty)
    }
}

/// Puts an entry into the dentry cache, so that looking it up costs nothing.
///
/// An error is not the listing's: the name is then looked up when it is used.
fn prime(dir: &Inode, node: &Node, parent: &Dentry, entry: &Entry<'_>, question: Question) {
    let Some((handle, attributes)) = &entry.node else {
        return;
    };
    if attributes.file_type() == 0o120_000 {
        // The target of a link is not in the listing; it is read when it is looked up.
        return;
    }
    let time = question.validity.as_time();
    let keep = |dentry: &Dentry| {
        let Some(inode) = dentry.inode() else {
            return false;
        };
        match inode.data() {
            AnyNode::Remote(known) if known.handle() == *handle => {
                dentry.set_time(time);
                inode::take(inode, known, question, attributes, None, Locking::Try).is_ok()
            }
            _ => false,
        }
    };
    let make = || {
        let child = Child {
            handle: *handle,
            attributes: *attributes,
            target: None,
            question,
        };
        iget(dir.super_block(), node.peer(), &child)
    };
    if let Err(error) = parent.prime(entry.name.as_bytes(), time, keep, make) {
        pr_debug!("an entry of a listing is not cached: {error:?}\n");
    }
}

impl DirectoryOperations<Hmdfs> for DirectoryOps {
    type Private = Arc<Listing>;

    fn open(_inode: &Inode, _file: &File<Hmdfs>) -> Result<Arc<Listing>> {
        Listing::new()
    }

    fn iterate(
        inode: &Inode,
        listing: ArcBorrow<'_, Listing>,
        context: &mut Context<'_, Hmdfs>,
    ) -> Result {
        listing.iterate(&inode.super_block().data(), inode, of(inode)?, context)
    }
}
