// SPDX-License-Identifier: GPL-2.0

//! Listings of other devices' directories.

use hmdfs_kapi::{
    errno::EPROTO,
    fs::{
        dentry::InLookup,
        directory::{Context, EntryType},
    },
};
use hmdfs_proto::{Entry, Operation, Outcome};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

use super::{
    attributes::{self, Locking},
    compound::{self, Outcomes},
    directory::Child,
    entries::{Builder, Entries, START},
    inode::{self, iget, Node},
    leases,
};
use crate::{
    link::Reply,
    mount::{Hmdfs, Mount, Question},
    node::{Dentry, Inode, Key, Node as AnyNode},
    validity::Validity,
};

/// Most bytes of entries that are asked for at once.
const CHUNK: u32 = hmdfs_proto::MAX_BODY - 4096;

/// An open directory.
#[pin_data]
pub(crate) struct Listing {
    #[pin]
    progress: Mutex<Progress>,
}

/// How far a program has listed it.
struct Progress {
    /// The chunk of the listing that was fetched last.
    chunk: Option<Chunk>,
    /// What was fetched so far, to be kept when it is all.
    builder: Option<Builder>,
}

/// A part of a listing.
struct Chunk {
    contents: Contents,
    question: Question,
    /// For how long its names are right.
    names: Validity,
    /// The cookie that it was asked for with.
    cookie: u64,
    /// How many of the entries were given to the program, or where those are that were not.
    consumed: usize,
    /// The cookie after the entries that were given.
    next: u64,
}

/// Where the entries are.
enum Contents {
    /// As the owner sent them.
    Reply(Reply),
    /// All of the listing.
    Kept(Arc<Entries>),
}

impl Listing {
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                // Held while a chunk is fetched; only the one reader of this open file waits.
                progress <- new_mutex!(
                    Progress {
                        chunk: None,
                        builder: None,
                    },
                    "hmdfs::remote::Listing"
                ),
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
        let mut progress = self.progress.lock();
        loop {
            let cookie = match context.position() {
                START => 0,
                position => position,
            };
            let chunk = progress.chunk.as_ref();
            if chunk.is_none_or(|chunk| chunk.next != cookie) {
                progress.chunk = None;
                progress.chunk = Some(progress.get(mount, dir, node, cookie)?);
            }
            let Some(chunk) = progress.chunk.as_mut() else {
                return Ok(());
            };
            if !chunk.give(mount, dir, node, context)? {
                return Ok(());
            }
            // All of the chunk was given, and it is not the last one.
            progress.chunk = None;
        }
    }
}

impl Progress {
    /// The part of the listing that begins with `cookie`: of what is kept, or else from the owner.
    fn get(&mut self, mount: &Mount, dir: &Inode, node: &Node, cookie: u64) -> Result<Chunk> {
        if let Some(entries) = node.entries(mount, dir) {
            if let Some(place) = entries.find(cookie) {
                return Ok(Chunk {
                    question: mount.ask(),
                    names: entries.names,
                    contents: Contents::Kept(entries),
                    cookie,
                    consumed: place,
                    next: cookie,
                });
            }
        }
        let chunk = fetch(mount, dir, node, cookie)?;
        if cookie == 0 {
            self.builder = Some(Builder::new(chunk.question, chunk.names));
        }
        // It is not the listing's failure when it is not kept.
        self.builder = match self.builder.take() {
            Some(builder) if builder.goes_on(cookie, chunk.names) => {
                chunk.keep(node, builder).unwrap_or(None)
            }
            _ => None,
        };
        Ok(chunk)
    }
}

/// What the part of the listing that begins with `cookie` is asked for with. `plus` says whether the
/// entries are to come with handles, attributes and leases.
pub(crate) fn operations(node: &Node, cookie: u64, plus: bool) -> [Operation<'static>; 4] {
    [
        Operation::File(node.handle()),
        Operation::Lease,
        Operation::GetAttributes,
        Operation::ReadDirectory {
            cookie,
            limit: CHUNK,
            plus,
            lease: plus,
        },
    ]
}

/// The entries in the reply to `operations`, and whether there are no more.
pub(crate) fn listed<'a>(
    reply: &'a Reply,
    operations: &'a [Operation<'a>],
) -> Result<(hmdfs_proto::directory::Entries<'a>, bool)> {
    let mut outcomes = Outcomes::new(reply, operations)?;
    outcomes.done()?;
    outcomes.lease()?;
    outcomes.attributes()?;
    match outcomes.next()? {
        Outcome::Directory {
            entries,
            end_of_directory,
        } => Ok((entries, end_of_directory)),
        _ => Err(EPROTO.into()),
    }
}

/// Takes over what a reply to `operations`, asked with `question`, tells of the directory itself; for
/// how long its names are right.
pub(crate) fn learn(
    dir: &Inode,
    reply: &Reply,
    operations: &[Operation<'_>],
    question: Question,
) -> Result<Validity> {
    let node = inode::of(dir)?;
    let mut outcomes = Outcomes::new(reply, operations)?;
    outcomes.done()?;
    let (told, attributes) = outcomes.told(dir, node, question)?;
    attributes::take(dir, node, told, &attributes, None, Locking::Try)?;
    Ok(told.validity)
}

fn fetch(mount: &Mount, dir: &Inode, node: &Node, cookie: u64) -> Result<Chunk> {
    let question = mount.ask();
    let operations = operations(node, cookie, true);
    let reply = compound::call(node.peer(), &operations, 0)?;
    let names = learn(dir, &reply, &operations, question)?;
    Ok(Chunk {
        contents: Contents::Reply(reply),
        question,
        names,
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
        let reply = match &self.contents {
            Contents::Reply(reply) => reply,
            Contents::Kept(entries) => {
                let entries = entries.clone();
                self.give_kept(&entries, node, context);
                return Ok(false);
            }
        };
        let operations = operations(node, self.cookie, true);
        let (entries, end_of_directory) = listed(reply, &operations)?;
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
            if leases::holds(mount, dir, self.names) && node.knows(self.question.number) {
                self.prime(dir, node, context.dentry(), &entry);
            }
            self.consumed = index.saturating_add(1);
            self.next = entry.next;
            context.set_position(entry.next);
        }
        Ok(!end_of_directory && !empty)
    }

    /// Gives what is kept of the listing, as far as there is room.
    fn give_kept(&mut self, entries: &Entries, node: &Node, context: &mut Context<'_, Hmdfs>) {
        while let Some((entry, after)) = entries.get(self.consumed) {
            let ino = Key::remote_number(node.peer().number(), entry.ino);
            if !context.emit(entry.name, ino, EntryType(entry.file_type)) {
                return;
            }
            self.consumed = after;
            self.next = entry.next;
            context.set_position(entry.next);
        }
    }

    /// Adds the entries to the ones that are to be kept, and keeps them if that is all.
    fn keep(&self, node: &Node, mut builder: Builder) -> Result<Option<Builder>> {
        let Contents::Reply(reply) = &self.contents else {
            return Ok(None);
        };
        let operations = operations(node, self.cookie, true);
        let (entries, end_of_directory) = listed(reply, &operations)?;
        for entry in entries {
            builder.push(&entry.map_err(|_| EPROTO.error())?)?;
        }
        if !end_of_directory {
            return Ok(Some(builder));
        }
        node.set_entries(Some(builder.finish()?));
        Ok(None)
    }

    /// Puts an entry into the dentry cache, so that looking it up costs nothing.
    ///
    /// An error is not the listing's: the name is then looked up when it is used.
    fn prime(&self, dir: &Inode, node: &Node, parent: &Dentry, entry: &Entry<'_>) {
        let Some((handle, attributes)) = &entry.node else {
            return;
        };
        if attributes.file_type() == 0o120_000 {
            // The target of a link is not in the listing; it is read when it is looked up.
            return;
        }
        let child = || Child {
            handle: *handle,
            attributes: *attributes,
            target: None,
            question: self.question,
            lease: entry.lease,
        };
        let time = self.names.as_time();
        let keep = |dentry: &Dentry| {
            let Some(inode) = dentry.inode() else {
                return false;
            };
            match inode.data() {
                AnyNode::Remote(known) if known.learn(*handle) => {
                    dentry.set_time(time);
                    attributes::learn(inode, known, &child()).is_ok()
                }
                _ => false,
            }
        };
        let make = |dentry: InLookup<'_, Hmdfs>| {
            let inode = iget(dir.super_block(), node.peer(), &child())?;
            dentry.splice_alias(Some(inode), time)
        };
        if let Err(error) = parent.prime(entry.name.as_bytes(), keep, make, |_| {}) {
            pr_debug!("an entry of a listing is not cached: {error:?}\n");
        }
    }
}
