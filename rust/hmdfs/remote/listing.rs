// SPDX-License-Identifier: GPL-2.0

//! Listings of other devices' directories.

use hmdfs_kapi::{
    errno::EPROTO,
    fs::directory::{Context, EntryType},
};
use hmdfs_proto::{Entry, Operation, Outcome};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

use super::{
    compound::{self, Outcomes},
    directory::Child,
    inode::{self, iget, Locking, Node},
};
use crate::{
    link::Reply,
    mount::{Hmdfs, Mount, Question},
    node::{Dentry, Inode, Key, Node as AnyNode},
};

/// Most bytes of entries that are asked for at once.
const CHUNK: u32 = hmdfs_proto::MAX_BODY - 4096;

/// Position after "." and "..", where the owner's listing begins.
const START: u64 = 2;

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
            AnyNode::Remote(known) if known.learn(*handle) => {
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
