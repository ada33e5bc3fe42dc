// SPDX-License-Identifier: GPL-2.0

//! All names of a merged directory, as they are at one moment.
//!
//! The entries of all devices ([`Collected`]) are sorted by name and device, which tells
//! what each is shown as. That takes O(n log n) steps for n entries of all devices
//! together. An entry takes its name and 32 bytes, which are charged to the program that
//! lists; and what was told of it ([`super::prime`]) until listing begins.

use hmdfs_kapi::{
    fs::directory::EntryType, random::get_random_u64, signal::fatal_signal_pending, sort::sort_by,
};
use hmdfs_model::names::{list, list_shortened, Item, Slot, Suffix, Taken, Text};
use kernel::{alloc::flags::GFP_KERNEL_ACCOUNT, prelude::*};

use super::{
    collect::{Collected, Record},
    leases::Told,
    Parts,
};
use crate::{node::Inode, remote::directory::Child};

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

impl Snapshot {
    /// Asks all devices of the merged directory `dir`, made of `directory`, unless it is known what
    /// they would say. One that fails has no entries; when all do, that is the error. Also gives the
    /// leases under which they have told. May sleep.
    pub(super) fn collect(dir: &Inode, directory: &Parts) -> Result<(Self, Told)> {
        let mount = dir.super_block().data();
        let mut told = Told::new(&mount, directory)?;
        let mut collected = Collected::new(dir, directory, &mut told)?;
        let Collected { text, records, .. } = &mut collected;
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
        Ok((Self { collected, shown }, told))
    }

    /// The name at a place of the list, with its inode number and type. There are none from some
    /// place on.
    ///
    /// The list is given from its end, where names with a suffix stand behind those that they are
    /// made of: who removes all in this order finds each under the name that was listed.
    pub(super) fn get(&self, index: usize) -> Option<(Text, u64, EntryType)> {
        let last = self.shown.len().checked_sub(1)?;
        let shown = self.shown.get(last.checked_sub(index)?)?;
        let record = self.collected.record(shown.record)?;
        let name = record.name(&self.collected.text);
        let text = shown.item(record).shown(name);
        Some((text, record.ino, record.file_type))
    }

    /// Calls `each` with what is shown of other devices and was told with attributes: the name, the
    /// device, what was told, and whether no other device has anything of the real name. Then that
    /// is given up.
    pub(super) fn take_nodes(
        &mut self,
        mut each: impl FnMut(&Text, u32, Child, bool) -> Result,
    ) -> Result {
        let mut nodes = self.collected.take_nodes()?;
        for shown in &self.shown {
            let Some(record) = self.collected.record(shown.record) else {
                continue;
            };
            let node = record.node().and_then(|place| nodes.get_mut(place));
            let Some(child) = node.and_then(Option::take) else {
                continue;
            };
            let name = record.name(&self.collected.text);
            let is_only = self.collected.is_only(shown.record, name);
            let text = shown.item(record).shown(name);
            each(&text, record.device, child, is_only)?;
        }
        Ok(())
    }

    /// The real name that is shown as `name`, and what was added to it.
    pub(super) fn find(&self, name: &[u8]) -> Option<(Text, Option<Suffix>)> {
        self.shown.iter().find_map(|shown| {
            let record = self.collected.record(shown.record)?;
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
