// SPDX-License-Identifier: GPL-2.0

//! All names of a merged directory, as they are at one moment.
//!
//! Devices are listed in rounds, all that have more at once. Then the entries are
//! sorted by name and device, which tells what each is shown as. That takes
//! O(n log n) steps for n entries of all devices together. An entry takes its name
//! and 32 bytes, which are charged to the program that lists.

use hmdfs_kapi::{
    cred::prepare_creds,
    errno::{ENOTCONN, EPROTO},
    fs::{dentry::jiffies, directory::EntryType},
    random::get_random_u64,
    signal::fatal_signal_pending,
    sort::sort_by,
    vfs,
};
use hmdfs_model::names::{
    list, list_shortened, Entries, Entry, Holder, Item, Kind, Slot, Suffix, Taken, Text, MAX,
};
use hmdfs_proto::{Handle, Operation, Outcome};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT, pr_warn_once, prelude::*, sync::Arc, time::msecs_to_jiffies,
};

use super::Parts;
use crate::{
    link::Reply,
    mount::Mount,
    node::Key,
    peer::Peer,
    remote::{
        compound::{request, Outcomes},
        gather::call_all,
    },
};

/// Most bytes of entries that are asked for at once.
const CHUNK: u32 = 256 << 10;

/// How long all of a listing may take, in milliseconds. A device that has not told all of its
/// names then, however many messages it needs, has told none.
const DEADLINE: u32 = 30_000;

/// Most names of one directory that are taken from one device: what a list may cost has an end,
/// even if the device's listing has none.
const MOST_NAMES: usize = 1 << 20;

/// All names of a merged directory.
pub(super) struct Snapshot {
    collected: Collected,
    shown: KVVec<Shown>,
}

/// What is shown: an entry, and what is added to its name.
struct Shown {
    /// The entry's place.
    record: u32,
    /// Zero for nothing; else twice the counter, and one more for a directory.
    addition: u32,
}

/// The entries of all devices.
struct Collected {
    /// All names, one after the other.
    text: KVVec<u8>,
    records: KVVec<Record>,
}

/// One entry of one device.
struct Record {
    ino: u64,
    device: u32,
    /// Where in the text the name begins.
    start: u32,
    length: u8,
    file_type: EntryType,
}

impl Snapshot {
    /// Asks all devices of a merged directory. One that fails has no entries; when all do, that is
    /// the error. May sleep.
    pub(super) fn collect(mount: &Mount, directory: &Parts) -> Result<Self> {
        let mut collected = Collected {
            text: KVVec::new(),
            records: KVVec::new(),
        };
        if let Some(path) = directory.local() {
            collected.add_local(path)?;
        }
        let answered = collected.add_remote(directory)?;
        if directory.local().is_none() {
            answered?;
        }
        let Collected { text, records } = &mut collected;
        sort_by(records, |a, b| a.entry(text).order(&b.entry(text)));

        let mut shown = KVVec::with_capacity(collected.records.len(), GFP_KERNEL_ACCOUNT)?;
        let mut add = |item: Item| -> Result {
            if shown.len() % 4096 == 0 && fatal_signal_pending() {
                return Err(EINTR);
            }
            shown.push(Shown::new(item)?, GFP_KERNEL_ACCOUNT)?;
            Ok(())
        };
        let directories = mount.directories();
        let shortened = list(&collected, directories, &mut add)?;
        if shortened != 0 {
            let size = shortened.saturating_mul(2);
            let slots = KVVec::from_elem(Slot::default(), size, GFP_KERNEL_ACCOUNT)?;
            let taken = Taken::new(slots, (get_random_u64(), get_random_u64()));
            list_shortened(&collected, directories, taken, &mut add)?;
        }
        Ok(Self { collected, shown })
    }

    /// The name at a place of the list, with its inode number and type. There are none from some
    /// place on.
    ///
    /// The list is given from its end, where names with a suffix stand behind those that they are
    /// made of: who removes all in this order finds each under the name that was listed.
    pub(super) fn get(&self, index: usize) -> Option<(Text, u64, EntryType)> {
        let last = self.shown.len().checked_sub(1)?;
        let shown = self.shown.get(last.checked_sub(index)?)?;
        let record = self.collected.record(shown)?;
        let name = record.name(&self.collected.text);
        let text = shown.item(record).shown(name);
        Some((text, record.ino, record.file_type))
    }

    /// The real name that is shown as `name`, and what was added to it.
    pub(super) fn find(&self, name: &[u8]) -> Option<(Text, Option<Suffix>)> {
        self.shown.iter().find_map(|shown| {
            let record = self.collected.record(shown)?;
            let real = record.name(&self.collected.text);
            let item = shown.item(record);
            let suffix = item.suffix.map(|(suffix, _)| suffix);
            (item.shown(real).as_bytes() == name).then(|| (Text::new(real), suffix))
        })
    }
}

impl Shown {
    fn new(item: Item) -> Result<Self> {
        let addition = match item.suffix {
            None => 0,
            Some((Suffix::Conflict(_), counter)) => counter.saturating_mul(2),
            Some((Suffix::RemoteDirectory, counter)) => counter.saturating_mul(2) | 1,
        };
        Ok(Self {
            record: item.entry.try_into()?,
            addition,
        })
    }

    /// `record` is that of its place.
    fn item(&self, record: &Record) -> Item {
        let suffix = match self.addition & 1 {
            0 => Suffix::Conflict(record.device),
            _ => Suffix::RemoteDirectory,
        };
        Item {
            entry: self.record as usize,
            suffix: (self.addition != 0).then_some((suffix, self.addition / 2)),
        }
    }
}

impl Record {
    fn name<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        text.get(start..start.saturating_add(self.length.into()))
            .unwrap_or(&[])
    }

    fn entry<'a>(&self, text: &'a [u8]) -> Entry<'a> {
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
    fn record(&self, shown: &Shown) -> Option<&Record> {
        self.records.get(shown.record as usize)
    }

    /// Adds an entry; a name that cannot be looked up either is left out.
    fn push(&mut self, device: u32, name: &[u8], ino: u64, file_type: EntryType) -> Result {
        let Some(length) = u8::try_from(name.len()).ok().filter(|_| name.len() <= MAX) else {
            return Ok(());
        };
        let record = Record {
            ino,
            device,
            start: self.text.len().try_into()?,
            length,
            file_type,
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
                    result = self.push(0, entry.name, entry.ino, file_type);
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
    fn add_remote(&mut self, directory: &Parts) -> Result<Result> {
        let mut active = KVec::new();
        let mut answered = Err(ENOTCONN.into());
        let begin = jiffies();
        for (peer, child) in directory.remote() {
            active.push(Progress::new(peer, child.handle), GFP_KERNEL)?;
        }
        while !active.is_empty() {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            let mut requests = KVec::with_capacity(active.len(), GFP_KERNEL)?;
            for progress in &active {
                let request = request(&progress.operations(), 0)?;
                requests.push((progress.peer.clone(), request), GFP_KERNEL)?;
            }
            let mut next = KVec::with_capacity(active.len(), GFP_KERNEL)?;
            for (mut progress, reply) in active.into_iter().zip(call_all(requests)?) {
                let taken = reply.and_then(|reply| self.take(&mut progress, &reply));
                let is_late = jiffies().wrapping_sub(begin) > msecs_to_jiffies(DEADLINE) as usize;
                match taken {
                    Ok(true) if is_late => {
                        answered = answered.or(Err(self.forget(&progress, ETIMEDOUT)));
                    }
                    Ok(true) => next.push(progress, GFP_KERNEL)?,
                    Ok(false) => answered = Ok(()),
                    Err(error) if error == ENOMEM => return Err(error),
                    Err(error) => answered = answered.or(Err(self.forget(&progress, error))),
                }
            }
            active = next;
        }
        Ok(answered)
    }

    /// Takes back what a device has listed that failed to list the rest: all of its names or
    /// none, for the others' depend on them. Gives the error.
    fn forget(&mut self, progress: &Progress, error: Error) -> Error {
        pr_debug!("a device did not list its directory: {error:?}\n");
        let device = progress.peer.number();
        self.records.retain(|record| record.device != device);
        error
    }

    /// Takes the entries of a reply; whether there are more.
    fn take(&mut self, progress: &mut Progress, reply: &Reply) -> Result<bool> {
        let operations = progress.operations();
        let mut outcomes = Outcomes::new(reply, &operations)?;
        outcomes.done()?;
        let Outcome::Directory {
            entries,
            end_of_directory,
        } = outcomes.next()?
        else {
            return Err(EPROTO.into());
        };
        let device = progress.peer.number();
        let mut any = false;
        for entry in entries {
            let entry = entry.map_err(|_| EPROTO.error())?;
            let file_type = EntryType(entry.file_type);
            if file_type == EntryType::UNKNOWN && !progress.plus {
                // From here on with attributes, which tell the type.
                progress.plus = true;
                return Ok(true);
            }
            if progress.names == MOST_NAMES {
                pr_warn_once!("a device lists more than {MOST_NAMES} names in one directory\n");
                return Ok(false);
            }
            let ino = Key::remote_number(device, entry.ino);
            self.push(device, entry.name.as_bytes(), ino, file_type)?;
            progress.names = progress.names.saturating_add(1);
            progress.cookie = entry.next;
            any = true;
        }
        Ok(any && !end_of_directory)
    }
}

/// How far the listing of another device has come.
struct Progress {
    peer: Arc<Peer>,
    handle: Handle,
    cookie: u64,
    /// Whether attributes are asked for.
    plus: bool,
    names: usize,
}

impl Progress {
    fn new(peer: &Arc<Peer>, handle: Handle) -> Self {
        Self {
            peer: peer.clone(),
            handle,
            cookie: 0,
            plus: false,
            names: 0,
        }
    }

    /// What the next entries are asked for with.
    fn operations(&self) -> [Operation<'static>; 2] {
        [
            Operation::File(self.handle),
            Operation::ReadDirectory {
                cookie: self.cookie,
                limit: CHUNK,
                plus: self.plus,
                lease: false,
            },
        ]
    }
}
