// SPDX-License-Identifier: GPL-2.0

//! The entries of all devices of a merged directory.
//!
//! Devices are listed in rounds, all that have more at once. One of whose directory this
//! device has a lease, and knows all names, is not asked; unless what is cached of the
//! merged directory was not told by that listing: then it is wanted once more, with the
//! attributes.

use hmdfs_kapi::{
    cred::prepare_creds,
    errno::{ENOTCONN, EPROTO},
    fs::{dentry::jiffies, directory::EntryType},
    signal::fatal_signal_pending,
    vfs,
};
use hmdfs_model::names::{Entries, Entry, Holder, Kind, MAX};
use hmdfs_proto::Operation;
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT, pr_warn_once, prelude::*, sync::Arc, time::msecs_to_jiffies,
};

use super::{leases::Told, of, Parts};
use crate::{
    link::Reply,
    mount::{Mount, Question},
    node::{Inode, InodeRef, Key},
    peer::Peer,
    remote::{
        compound::request,
        directory::Child,
        entries::{self, Builder},
        gather::call_all,
        inode, listing,
    },
    validity::Validity,
};

/// How long all of a listing may take, in milliseconds. A device that has not told all of its
/// names then, however many messages it needs, has told none.
const DEADLINE: u32 = 30_000;

/// Most names of one directory that are taken from one device: what a list may cost has an end,
/// even if the device's listing has none.
const MOST_NAMES: usize = 1 << 20;

/// Most files of which what was told is kept until the dentry cache has it. The others are looked up
/// when they are used.
const MOST_NODES: usize = 1 << 17;

/// The entries of all devices.
pub(super) struct Collected {
    /// All names, one after the other.
    pub(super) text: KVVec<u8>,
    pub(super) records: KVVec<Record>,
    /// What was told of files of other devices.
    nodes: KVVec<Child>,
}

/// One entry of one device.
pub(super) struct Record {
    pub(super) ino: u64,
    pub(super) device: u32,
    /// Where in the text the name begins.
    start: u32,
    length: u8,
    pub(super) file_type: EntryType,
    /// One more than the place of what was told of the file; zero for nothing.
    node: u32,
}

impl Record {
    /// The place of what was told of the file, if anything was.
    pub(super) fn node(&self) -> Option<usize> {
        self.node.checked_sub(1).map(|place| place as usize)
    }

    pub(super) fn name<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        text.get(start..start.saturating_add(self.length.into()))
            .unwrap_or(&[])
    }

    pub(super) fn entry<'a>(&self, text: &'a [u8]) -> Entry<'a> {
        let kind = match self.file_type {
            EntryType::DIRECTORY => Kind::Directory,
            _ => Kind::Other,
        };
        Entry {
            name: self.name(text),
            holder: Holder {
                device: self.device,
                kind,
            },
        }
    }
}

impl Entries for Collected {
    fn count(&self) -> usize {
        self.records.len()
    }

    fn entry(&self, index: usize) -> Option<Entry<'_>> {
        Some(self.records.get(index)?.entry(&self.text))
    }
}

impl Collected {
    /// See [`super::snapshot::Snapshot::collect`]; in the order of the devices.
    pub(super) fn new(dir: &Inode, directory: &Parts, told: &mut Told) -> Result<Self> {
        let mut collected = Self {
            text: KVVec::new(),
            records: KVVec::new(),
            nodes: KVVec::new(),
        };
        if let Some(path) = directory.local() {
            collected.add_local(path)?;
        }
        let answered = collected.add_remote(dir, directory, told)?;
        if directory.local().is_none() {
            answered?;
        }
        Ok(collected)
    }

    pub(super) fn record(&self, place: u32) -> Option<&Record> {
        // CAST: `usize` has at least 32 bits here.
        self.records.get(place as usize)
    }

    /// What was told of the files of the records: to be taken out once, by [`Record::node`].
    pub(super) fn take_nodes(&mut self) -> Result<KVVec<Option<Child>>> {
        let nodes = core::mem::take(&mut self.nodes);
        let mut all = KVVec::with_capacity(nodes.len(), GFP_KERNEL_ACCOUNT)?;
        for node in nodes {
            all.push(Some(node), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(all)
    }

    /// Whether no other device has an entry of the name that the entry at this place has.
    pub(super) fn is_only(&self, place: u32, name: &[u8]) -> bool {
        let is_other = |place: Option<u32>| {
            let record = place.and_then(|place| self.record(place));
            record.is_none_or(|record| record.name(&self.text) != name)
        };
        is_other(place.checked_sub(1)) && is_other(place.checked_add(1))
    }

    /// Adds an entry; a name that cannot be looked up either is left out.
    fn push(
        &mut self,
        device: u32,
        name: &[u8],
        ino: u64,
        file_type: EntryType,
        child: Option<Child>,
    ) -> Result {
        let Some(length) = u8::try_from(name.len()).ok().filter(|_| name.len() <= MAX) else {
            return Ok(());
        };
        let mut node = 0;
        if let Some(child) = child.filter(|_| self.nodes.len() < MOST_NODES) {
            self.nodes.push(child, GFP_KERNEL_ACCOUNT)?;
            node = u32::try_from(self.nodes.len())?;
        }
        let record = Record {
            ino,
            device,
            start: self.text.len().try_into()?,
            length,
            file_type,
            node,
        };
        self.text.extend_from_slice(name, GFP_KERNEL_ACCOUNT)?;
        self.records.push(record, GFP_KERNEL_ACCOUNT)?;
        Ok(())
    }

    /// Adds the entries of this device, and finds out what the file system did not tell.
    fn add_local(&mut self, path: &vfs::Path) -> Result {
        let mut directory = vfs::DirectoryFile::open(path, &*prepare_creds()?)?;
        let mut seen = true;
        while seen {
            seen = false;
            let mut result = Ok(());
            directory.iterate(|entry| {
                seen = true;
                if entry.name != b"." && entry.name != b".." {
                    let file_type = EntryType(entry.file_type);
                    result = self.push(0, entry.name, entry.ino, file_type, None);
                }
                result.is_ok() && !fatal_signal_pending()
            })?;
            result?;
            if fatal_signal_pending() {
                return Err(EINTR);
            }
        }
        for record in &mut self.records {
            if record.file_type == EntryType::UNKNOWN {
                if let Ok(path) = path.lookup(record.name(&self.text)) {
                    record.file_type = EntryType::of(path.file_type());
                }
            }
        }
        Ok(())
    }

    /// Adds the entries of the other devices; the inner result is an error when none has answered.
    fn add_remote(&mut self, dir: &Inode, directory: &Parts, told: &mut Told) -> Result<Result> {
        let mount = dir.super_block().data();
        let mut active = KVec::new();
        let mut answered = Err(ENOTCONN.into());
        let begin = jiffies();
        let mut parts = KVec::new();
        for (index, (peer, child)) in directory.remote().enumerate() {
            match inode::iget(dir.super_block(), peer, child) {
                Ok(part) => parts.push((index, peer, part), GFP_KERNEL)?,
                Err(error) if error == ENOMEM => return Err(error),
                Err(error) => {
                    told.add(index, Validity::NONE);
                    answered = answered.or(Err(error));
                }
            }
        }
        let known = self.known(&mount, dir, &parts)?;
        let mut known = known.into_iter();
        for (index, peer, part) in parts {
            if let Some(entries) = known.next() {
                self.add_kept(peer.number(), &entries)?;
                told.add(index, entries.names);
                answered = Ok(());
            } else {
                active.push(Progress::new(index, peer, part), GFP_KERNEL)?;
            }
        }
        while !active.is_empty() {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            let question = mount.ask();
            let mut requests = KVec::with_capacity(active.len(), GFP_KERNEL)?;
            let plus = self.nodes.len() < MOST_NODES;
            for progress in &mut active {
                progress.plus = plus;
                let request = request(&progress.operations()?, 0)?;
                requests.push((progress.peer.clone(), request), GFP_KERNEL)?;
            }
            let mut next = KVec::with_capacity(active.len(), GFP_KERNEL)?;
            for (mut progress, reply) in active.into_iter().zip(call_all(requests)?) {
                let index = progress.index;
                let taken = reply.and_then(|reply| self.take(&mut progress, &reply, question));
                let is_late = jiffies().wrapping_sub(begin) > msecs_to_jiffies(DEADLINE) as usize;
                let failed = match taken {
                    Ok((more, validity)) => {
                        told.add(index, validity);
                        if more && is_late {
                            Some(ETIMEDOUT)
                        } else if more {
                            next.push(progress, GFP_KERNEL)?;
                            continue;
                        } else {
                            progress.keep();
                            answered = Ok(());
                            continue;
                        }
                    }
                    Err(error) if error == ENOMEM => return Err(error),
                    Err(error) => Some(error),
                };
                if let Some(error) = failed {
                    told.add(index, Validity::NONE);
                    answered = answered.or(Err(self.forget(&progress, error)));
                }
            }
            active = next;
        }
        Ok(answered)
    }

    /// All entries of all of these, the parts that other devices have of the directory `dir`, if they are
    /// known, and what is cached of the names of `dir` was told with them; else nothing.
    fn known(
        &self,
        mount: &Mount,
        dir: &Inode,
        parts: &[(usize, &Arc<Peer>, InodeRef)],
    ) -> Result<KVec<Arc<entries::Entries>>> {
        let mut known = KVec::with_capacity(parts.len(), GFP_KERNEL)?;
        for (_, _, part) in parts {
            if let Some(entries) = inode::of(part)?.entries(mount, part) {
                known.push(entries, GFP_KERNEL)?;
            }
        }
        let leases = known.iter().map(|entries| entries.names);
        if known.len() != parts.len() || !of(dir)?.is_primed(leases) {
            known.clear();
        }
        Ok(known)
    }

    /// Adds the entries of another device that are known already.
    fn add_kept(&mut self, device: u32, entries: &entries::Entries) -> Result {
        let mut place = 0;
        while let Some((entry, after)) = entries.get(place) {
            let ino = Key::remote_number(device, entry.ino);
            self.push(device, entry.name, ino, EntryType(entry.file_type), None)?;
            place = after;
        }
        Ok(())
    }

    /// Takes back what a device has listed that failed to list the rest: all of its names or
    /// none, for the others' depend on them. Gives the error.
    fn forget(&mut self, progress: &Progress, error: Error) -> Error {
        pr_debug!("a device did not list its directory: {error:?}\n");
        let device = progress.peer.number();
        self.records.retain(|record| record.device != device);
        error
    }

    /// Takes the entries of a reply; whether there are more, and for how long they are right.
    fn take(
        &mut self,
        progress: &mut Progress,
        reply: &Reply,
        question: Question,
    ) -> Result<(bool, Validity)> {
        let operations = progress.operations()?;
        let names = listing::learn(&progress.part, reply, &operations, question)?;
        let (listed, end_of_directory) = listing::listed(reply, &operations)?;
        if progress.cookie == 0 {
            progress.builder = Some(Builder::new(question, names));
        } else if let Some(builder) = progress.builder.take() {
            let goes_on = builder.goes_on(progress.cookie, names);
            progress.builder = goes_on.then_some(builder);
        }
        let device = progress.peer.number();
        let mut any = false;
        for entry in listed {
            let entry = entry.map_err(|_| EPROTO.error())?;
            if progress.names == MOST_NAMES {
                pr_warn_once!("a device lists more than {MOST_NAMES} names in one directory\n");
                progress.builder = None;
                return Ok((false, Validity::NONE));
            }
            let child = entry.node.as_ref().map(|(handle, attributes)| Child {
                handle: *handle,
                attributes: *attributes,
                target: None,
                question,
                lease: entry.lease,
            });
            let ino = Key::remote_number(device, entry.ino);
            let file_type = entries::type_of(&entry);
            self.push(device, entry.name.as_bytes(), ino, file_type, child)?;
            // It is not the listing's failure when it is not kept.
            let builder = progress.builder.take();
            progress.builder =
                builder.and_then(|mut builder| builder.push(&entry).ok().map(|()| builder));
            progress.names = progress.names.saturating_add(1);
            progress.cookie = entry.next;
            any = true;
        }
        Ok((any && !end_of_directory, names))
    }
}

/// How far the listing of another device has come.
struct Progress {
    /// Its place among the other devices.
    index: usize,
    peer: Arc<Peer>,
    /// Its directory.
    part: InodeRef,
    cookie: u64,
    names: usize,
    /// Whether handles and attributes are asked for.
    plus: bool,
    /// What was listed so far, to be kept when it is all.
    builder: Option<Builder>,
}

impl Progress {
    fn new(index: usize, peer: &Arc<Peer>, part: InodeRef) -> Self {
        Self {
            index,
            peer: peer.clone(),
            part,
            cookie: 0,
            names: 0,
            plus: true,
            builder: None,
        }
    }

    /// What the next entries are asked for with.
    fn operations(&self) -> Result<[Operation<'static>; 4]> {
        Ok(listing::operations(
            inode::of(&self.part)?,
            self.cookie,
            self.plus,
        ))
    }

    /// All was listed.
    fn keep(self) {
        let entries = self.builder.and_then(|builder| builder.finish().ok());
        if let (Some(entries), Ok(node)) = (entries, inode::of(&self.part)) {
            node.set_entries(Some(entries));
        }
    }
}
