// SPDX-License-Identifier: GPL-2.0

//! Listings of directories.
//!
//! The names are first collected, with the directory locked by the lower file
//! system; handles and attributes are then looked up name by name, without that
//! lock. What vanishes in between is left out.

use core::cell::Cell;

use hmdfs_kapi::{
    errno::EOPNOTSUPP,
    vfs::{DirectoryFile, Emit, Mask, Path},
};
use hmdfs_proto::{Attributes, Encoder, Entry, Handle, Lease, Name, Operation, ReplyWriter};
use kernel::{error::code::EOVERFLOW, prelude::*, sync::Arc};

use super::{attributes, compound::Execution, plan::listing_size, writing::File, Client, Export};
use crate::peer::Peer;

/// Most entries that are collected for one reply.
const MAX_ENTRIES: usize = 8192;

/// What to list, and how.
struct Listing<'a> {
    export: &'a Export,
    directory: &'a Path,
    /// The directory's handle.
    handle: Handle,
    /// Most bytes of encoded entries, enough for one entry at least.
    limit: usize,
    /// Whether handles and attributes are wanted.
    plus: bool,
    /// Who gets leases on what is listed.
    holder: Option<&'a Arc<Peer>>,
    /// Whether other peers were asked what they are writing to.
    has_looked: Cell<bool>,
}

impl<C: Client + ?Sized> Execution<'_, C> {
    /// Lists the current file, a directory, from some place on.
    pub(super) fn read_directory(
        &mut self,
        operation: &Operation<'_>,
        writer: &mut ReplyWriter<'_>,
    ) -> Result {
        let &Operation::ReadDirectory {
            cookie,
            limit,
            plus,
            lease,
        } = operation
        else {
            return Err(EOPNOTSUPP.into());
        };
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        let handle = current.handle(export)?;
        let listing = Listing {
            export,
            directory: &current.path,
            handle,
            limit: listing_size(limit),
            plus,
            holder: client.peer().filter(|_| lease),
            has_looked: Cell::new(false),
        };
        listing.write(cookie, operation, writer)
    }
}

impl Listing<'_> {
    /// Writes the entries from `cookie` on as the outcome of `operation`.
    fn write(
        &self,
        cookie: u64,
        operation: &Operation<'_>,
        writer: &mut ReplyWriter<'_>,
    ) -> Result {
        // Afresh, because an open directory may have been kept from before.
        self.directory.inode_permission(Mask::Read)?;
        let export = self.export;
        let mut file = match export.files.take_directory(&self.handle, cookie) {
            Some(file) => file,
            None => {
                let mut file = DirectoryFile::open(self.directory, &export.server)?;
                file.seek(cookie)?;
                file
            }
        };
        let mut progress = Progress {
            cookie,
            any: false,
            end: false,
        };
        let mut failed = Ok(());
        writer
            .directory(operation, |encoder| {
                failed = self.fill(&mut file, &mut progress, encoder);
                Ok(progress.end)
            })
            .map_err(|_| EOVERFLOW)?;
        if failed.is_ok() && !progress.end {
            export
                .files
                .keep_directory(&self.handle, progress.cookie, file);
        }
        // Entries that were found before a failure are sent; whoever goes on after them
        // meets it again.
        if progress.any {
            Ok(())
        } else {
            failed
        }
    }

    /// Encodes entries until there is no room or there are no more.
    fn fill(
        &self,
        file: &mut DirectoryFile,
        progress: &mut Progress,
        encoder: &mut Encoder<'_>,
    ) -> Result {
        let start = encoder.len();
        // Without any entry the client would not learn where to go on, so a batch of which
        // nothing is left is followed by another.
        while !progress.any && !progress.end {
            let mut position = progress.cookie;
            let names = self.collect(file)?;
            for collected in &names.entries {
                match self.encode(&names, collected, start, encoder) {
                    Encoded::Sent => {
                        progress.any = true;
                        progress.cookie = collected.next;
                    }
                    Encoded::Skipped => {}
                    // What was collected and does not fit is to be listed again.
                    Encoded::NoRoom => return file.seek(position),
                }
                position = collected.next;
            }
            progress.end = names.end;
        }
        Ok(())
    }

    /// Collects at least as many names as can fit, or all.
    fn collect(&self, file: &mut DirectoryFile) -> Result<Names> {
        let mut names = Names::new();
        let mut failed = Ok(());
        // Encoded entries are never shorter than this.
        let fixed = Entry::MIN_SIZE
            + if self.plus {
                1 + self.handle.as_bytes().len() + Attributes::SIZE
            } else {
                0
            };
        let mut size = 0_usize;
        loop {
            let mut called = false;
            let mut full = false;
            let position = file.iterate(|entry| {
                called = true;
                names.set_next(entry.position);
                let needed = size.saturating_add(fixed).saturating_add(entry.name.len());
                if size >= self.limit || names.entries.len() >= MAX_ENTRIES {
                    full = true;
                    return false;
                }
                match names.push(&entry) {
                    Ok(true) => size = needed,
                    Ok(false) => {}
                    Err(error) => {
                        failed = Err(error);
                        return false;
                    }
                }
                true
            })?;
            failed?;
            if full {
                return Ok(names);
            }
            names.set_next(position);
            if !called {
                names.end = true;
                return Ok(names);
            }
        }
    }

    /// Encodes an entry, if there is room for it and it still exists.
    fn encode(
        &self,
        names: &Names,
        collected: &Collected,
        start: usize,
        encoder: &mut Encoder<'_>,
    ) -> Encoded {
        let Some(Ok(name)) = names.name(collected).map(Name::new) else {
            return Encoded::Skipped;
        };
        let mut entry = Entry {
            next: collected.next,
            ino: collected.ino,
            file_type: collected.file_type,
            name,
            node: None,
            lease: Lease::None,
        };
        if self.plus {
            match self.node(&name) {
                Ok((lease, node @ (_, attributes))) => {
                    entry.lease = lease;
                    entry.ino = attributes.ino;
                    // CAST: The type bits are the highest four of sixteen.
                    entry.file_type = (attributes.file_type() >> 12) as u8;
                    entry.node = Some(node);
                }
                Err(error) if error == ENOENT => return Encoded::Skipped,
                // There, but with nothing more to say: not to be searched, or too long a handle.
                Err(_) => {}
            }
        }
        let before = encoder.len();
        if entry.encode(encoder).is_err() {
            return Encoded::NoRoom;
        }
        if encoder.len().saturating_sub(start) > self.limit {
            encoder.truncate(before);
            return Encoded::NoRoom;
        }
        Encoded::Sent
    }

    /// What an entry stands for, and whether there is a lease on it.
    fn node(&self, name: &Name<'_>) -> Result<(Lease, (Handle, Attributes))> {
        let path = self.directory.lookup(name.as_bytes())?;
        let handle = self.export.handles.encode(&path)?;
        let leases = &self.export.leases;
        let mut lease = Lease::None;
        if let Some(peer) = self.holder {
            lease = leases.grant(peer, &path, &handle, &self.export.writers);
            let (ino, key) = (path.ino(), handle.identity().key());
            let is_written = || leases.may_be_written(peer, File { ino, key });
            if is_written() && !self.has_looked.replace(true) {
                leases.look_through_written(peer);
            }
            if is_written() {
                // Whoever wants to know more asks about it alone.
                lease = Lease::Busy;
            }
        }
        let attributes = attributes::attributes(&path.getattr()?);
        Ok((lease, (handle, attributes)))
    }
}

/// How far a listing has come.
struct Progress {
    /// Where the client will go on.
    cookie: u64,
    /// Whether there are entries.
    any: bool,
    /// Whether there are no more.
    end: bool,
}

/// What became of an entry.
enum Encoded {
    Sent,
    /// Not one to send.
    Skipped,
    /// Not written.
    NoRoom,
}

/// Names that were collected from a directory.
struct Names {
    entries: KVVec<Collected>,
    /// All names, one after the other.
    text: KVVec<u8>,
    /// Whether there are no more.
    end: bool,
}

struct Collected {
    /// Position of the entry after this one.
    next: u64,
    ino: u64,
    file_type: u8,
    /// Where in the text the name begins.
    name_start: usize,
    /// Where in the text the name ends.
    name_end: usize,
}

impl Names {
    const fn new() -> Self {
        Self {
            entries: KVVec::new(),
            text: KVVec::new(),
            end: false,
        }
    }

    /// Adds an entry, and says whether it is one to send.
    fn push(&mut self, entry: &Emit<'_>) -> Result<bool> {
        if Name::new(entry.name).is_err() {
            // "." and "..", and what could not be named in a request.
            return Ok(false);
        }
        let name_start = self.text.len();
        self.text.extend_from_slice(entry.name, GFP_KERNEL)?;
        self.entries.push(
            Collected {
                // Not known before the next entry is.
                next: entry.position,
                ino: entry.ino,
                file_type: entry.file_type,
                name_start,
                name_end: self.text.len(),
            },
            GFP_KERNEL,
        )?;
        Ok(true)
    }

    /// Says where the listing goes on after the last entry added.
    fn set_next(&mut self, position: u64) {
        if let Some(last) = self.entries.last_mut() {
            last.next = position;
        }
    }

    fn name(&self, collected: &Collected) -> Option<&[u8]> {
        self.text.get(collected.name_start..collected.name_end)
    }
}
