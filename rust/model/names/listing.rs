// SPDX-License-Identifier: GPL-2.0 OR MIT

//! All names of a merged directory.

use core::cmp::Ordering;
use core::ops::DerefMut;

use super::{
    hash::siphash, lookup::Rules, Decorated, Directories, Holder, RealNames, Role, Suffix, Text,
};

/// One entry of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The real name.
    pub name: &'a [u8],
    /// The device that has it, and what it has.
    pub holder: Holder,
}

impl Entry<'_> {
    /// The order that [`Entries`] are in: by name, then by device.
    pub fn order(&self, other: &Self) -> Ordering {
        let of_device = |entry: &Self| (entry.holder.device, entry.holder.kind);
        let by_device = of_device(self).cmp(&of_device(other));
        self.name.cmp(other.name).then(by_device)
    }
}

/// The entries of all devices, in ascending order ([`Entry::order`]).
pub trait Entries {
    /// How many there are.
    fn count(&self) -> usize;

    /// One of them; `None` from [`Entries::count`] on.
    fn entry(&self, index: usize) -> Option<Entry<'_>>;
}

/// All real names are known.
struct Known<'a, E>(&'a E);

impl<E: Entries> RealNames for Known<'_, E> {
    fn holders(&mut self, name: &[u8], mut each: impl FnMut(Holder)) -> bool {
        let (mut low, mut high) = (0, self.0.count());
        while low < high {
            let middle = low.midpoint(high);
            match self.0.entry(middle) {
                Some(entry) if entry.name < name => low = middle.saturating_add(1),
                _ => high = middle,
            }
        }
        let mut last = None;
        while let Some(entry) = self.0.entry(low).filter(|entry| entry.name == name) {
            // A device that tells a name twice has it once.
            if last != Some(entry.holder.device) {
                each(entry.holder);
            }
            last = Some(entry.holder.device);
            low = low.saturating_add(1);
        }
        true
    }
}

/// A name of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The first of the entries that it stands for.
    pub entry: usize,
    /// What is added to that one's name, and the counter.
    pub suffix: Option<(Suffix, u32)>,
}

impl Item {
    /// The shown name, where `name` is that of the entry.
    pub fn shown(&self, name: &[u8]) -> Text {
        match self.suffix {
            None => Text::new(name),
            Some((suffix, counter)) => Decorated::new(name, suffix, counter).text,
        }
    }
}

/// Calls `each` for all names but those that are cut, and gives the number of these. An error of
/// `each` ends it.
///
/// Takes O(n) steps for n entries, and O(log n) for each name that is decorated.
pub fn list<E>(
    entries: &impl Entries,
    directories: Directories,
    mut each: impl FnMut(Item) -> Result<(), E>,
) -> Result<usize, E> {
    let mut shortened = 0usize;
    let mut names = Known(entries);
    let mut rules = Rules {
        names: &mut names,
        directories,
    };
    for_each_shown(entries, directories, |index, name, suffix| {
        let suffix = match suffix {
            None => None,
            Some(suffix) => match rules.counter(name, suffix) {
                Some(counter) => Some((suffix, counter)),
                None => {
                    shortened = shortened.saturating_add(1);
                    return Ok(());
                }
            },
        };
        each(Item {
            entry: index,
            suffix,
        })
    })?;
    Ok(shortened)
}

/// Calls `each` for the names that are cut, for which `taken` must have room. An error of `each`
/// ends it.
pub fn list_shortened<E, S: DerefMut<Target = [Slot]>>(
    entries: &impl Entries,
    directories: Directories,
    mut taken: Taken<S>,
    mut each: impl FnMut(Item) -> Result<(), E>,
) -> Result<(), E> {
    let mut names = Known(entries);
    let mut rules = Rules {
        names: &mut names,
        directories,
    };
    for_each_shown(entries, directories, |index, name, suffix| {
        let Some(suffix) = suffix.filter(|&suffix| rules.counter(name, suffix).is_none()) else {
            return Ok(());
        };
        match rules.counter_shortened(name, suffix, &mut taken) {
            Some(counter) => each(Item {
                entry: index,
                suffix: Some((suffix, counter)),
            }),
            None => Ok(()),
        }
    })
}

/// Calls `each` for the first entry of everything that is shown, with its name and suffix.
fn for_each_shown<E>(
    entries: &impl Entries,
    directories: Directories,
    mut each: impl FnMut(usize, &[u8], Option<Suffix>) -> Result<(), E>,
) -> Result<(), E> {
    let mut first: Option<Entry<'_>> = None;
    let mut last = None;
    let mut has_directory = false;
    for index in 0..entries.count() {
        let Some(entry) = entries.entry(index) else {
            break;
        };
        let Some(first) = first.as_ref().filter(|first| first.name == entry.name) else {
            first = Some(entry);
            last = Some(entry.holder.device);
            has_directory = false;
            each(index, entry.name, None)?;
            continue;
        };
        if last.replace(entry.holder.device) == Some(entry.holder.device) {
            continue;
        }
        let role = Role::of(entry.holder, first.holder, directories);
        let Some(suffix) = role.suffix(entry.holder.device) else {
            continue;
        };
        if role == Role::RemoteDirectory && core::mem::replace(&mut has_directory, true) {
            continue;
        }
        each(index, entry.name, Some(suffix))?;
    }
    Ok(())
}

/// Room for one name that was cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot(u64);

/// Which names that were cut are taken.
///
/// A table of hashes. With a key that nobody knows, two names have the same one with a
/// probability of 2^-64; the second would then count on.
#[derive(Debug)]
pub struct Taken<S> {
    slots: S,
    key: (u64, u64),
}

impl<S: DerefMut<Target = [Slot]>> Taken<S> {
    /// None, in the memory of `slots`, which must be at least twice as many as names will come.
    /// `key` is random.
    pub fn new(slots: S, key: (u64, u64)) -> Self {
        Self { slots, key }
    }

    /// Takes a name; false when it is taken already, or there is no room.
    pub(super) fn insert(&mut self, name: &[u8]) -> bool {
        // Zero stands for no name.
        let hash = siphash(self.key, name).max(1);
        let count = self.slots.len() as u64;
        let Some(start) = hash.checked_rem(count) else {
            return false;
        };
        // CAST: Less than the length.
        let (end, begin) = self
            .slots
            .split_at_mut_checked(start as usize)
            .unwrap_or_default();
        for slot in begin.iter_mut().chain(end) {
            if slot.0 == hash {
                return false;
            }
            if slot.0 == 0 {
                slot.0 = hash;
                return true;
            }
        }
        false
    }
}
