// SPDX-License-Identifier: GPL-2.0

//! Listings that are kept as long as there is a lease on the directory, so that listing
//! it again costs nothing, nor does looking for what is not in it.

use core::mem::size_of_val;

use hmdfs_kapi::{fs::directory::EntryType, sort::sort_by};
use hmdfs_model::ahead::{Order, Places};
use hmdfs_proto::Entry;
use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
};

use crate::{mount::Question, validity::Validity};

/// Position after "." and "..", where the owner's listing begins. No entry has a lower one after it.
pub(super) const START: u64 = 2;

/// Most bytes that are kept of one directory.
const MOST: usize = 1 << 20;

/// Most bytes that are kept at all.
const MOST_IN_ALL: usize = 32 << 20;

/// Bytes that are kept now.
static KEPT: Atomic<usize> = Atomic::new(0);

/// Bytes in front of a name: where the listing goes on, the inode number, the type, and the length.
const HEADER: usize = 8 + 8 + 1 + 1;

/// A whole listing.
pub(crate) struct Entries {
    /// For how long it is right.
    pub(crate) names: Validity,
    /// Number of the question that its first part answers.
    pub(super) number: u64,
    bytes: KVVec<u8>,
    /// Where each entry is.
    places: KVVec<u32>,
    /// Which entries these are, sorted by name.
    sorted: KVVec<u32>,
}

/// An entry that was kept.
pub(crate) struct Kept<'a> {
    pub(super) next: u64,
    pub(crate) ino: u64,
    pub(crate) file_type: u8,
    pub(crate) name: &'a [u8],
}

/// The type of an entry: that of the file, if the listing does not tell.
pub(crate) fn type_of(entry: &Entry<'_>) -> EntryType {
    match (EntryType(entry.file_type), &entry.node) {
        (EntryType::UNKNOWN, Some((_, attributes))) => EntryType::of(attributes.file_type()),
        (told, _) => told,
    }
}

impl Entries {
    /// The entry at this place, and the place of the one after it.
    pub(crate) fn get(&self, place: usize) -> Option<(Kept<'_>, usize)> {
        kept(&self.bytes, place)
    }

    /// Whether there is an entry of this name.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.places_of(name).is_some()
    }

    /// The places of an entry of this name among all of them.
    pub(super) fn places_of(&self, name: &[u8]) -> Option<Places> {
        let compare = |&entry: &u32| name_of(&self.bytes, &self.places, entry).cmp(name);
        let place = self.sorted.binary_search_by(compare).ok()?;
        Some(Places {
            listing: *self.sorted.get(place)?,
            name: u32::try_from(place).ok()?,
        })
    }

    /// The entry that has this place in this order.
    pub(super) fn at(&self, order: Order, place: u32) -> Option<Kept<'_>> {
        // CAST: `usize` has at least 32 bits here.
        let entry = match order {
            Order::Listing => place,
            Order::Name => *self.sorted.get(place as usize)?,
        };
        let place = *self.places.get(entry as usize)?;
        Some(self.get(place as usize)?.0)
    }

    /// Where the entries are after which the listing goes on with `cookie`.
    pub(super) fn find(&self, cookie: u64) -> Option<usize> {
        let mut place = 0;
        let mut next = 0;
        while next != cookie {
            let (entry, after) = self.get(place)?;
            (next, place) = (entry.next, after);
        }
        Some(place)
    }
}

/// The name of an entry; none of one that is not there.
fn name_of<'a>(bytes: &'a [u8], places: &[u32], entry: u32) -> &'a [u8] {
    // CAST: `usize` has at least 32 bits here.
    let place = places.get(entry as usize).map(|&place| place as usize);
    let kept = place.and_then(|place| kept(bytes, place));
    kept.map_or(&[], |(kept, _)| kept.name)
}

/// The entry at this place, and the place of the one after it.
fn kept(bytes: &[u8], place: usize) -> Option<(Kept<'_>, usize)> {
    let rest = bytes.get(place..)?;
    let (next, rest) = rest.split_first_chunk()?;
    let (ino, rest) = rest.split_first_chunk()?;
    let (&[file_type, length], rest) = rest.split_first_chunk()?;
    let length = usize::from(length);
    let entry = Kept {
        next: u64::from_le_bytes(*next),
        ino: u64::from_le_bytes(*ino),
        file_type,
        name: rest.get(..length)?,
    };
    Some((entry, place.saturating_add(HEADER).saturating_add(length)))
}

/// Bytes that a listing takes.
fn size(bytes: &[u8], places: &[u32]) -> usize {
    let indices = size_of_val(places).saturating_mul(2);
    bytes.len().saturating_add(indices)
}

impl Drop for Entries {
    fn drop(&mut self) {
        KEPT.fetch_sub(size(&self.bytes, &self.places), Relaxed);
    }
}

/// A listing that is being put together.
pub(crate) struct Builder {
    names: Validity,
    number: u64,
    bytes: KVVec<u8>,
    places: KVVec<u32>,
    /// Where the next part begins.
    next: u64,
}

impl Builder {
    /// One whose first part answers `question`.
    pub(crate) fn new(question: Question, names: Validity) -> Self {
        Self {
            names,
            number: question.number,
            bytes: KVVec::new(),
            places: KVVec::new(),
            next: 0,
        }
    }

    /// Whether the part that begins with `cookie` is the next one.
    pub(crate) fn goes_on(&self, cookie: u64, names: Validity) -> bool {
        names.is_leased() && self.names == names && self.next == cookie
    }

    /// Adds an entry; an error when it is not worth it any more.
    pub(crate) fn push(&mut self, entry: &Entry<'_>) -> Result {
        let name = entry.name.as_bytes();
        if self
            .bytes
            .len()
            .saturating_add(HEADER)
            .saturating_add(name.len())
            > MOST
        {
            return Err(EFBIG);
        }
        if entry.next <= START {
            return Err(EINVAL);
        }
        let length = u8::try_from(name.len())?;
        self.places
            .push(u32::try_from(self.bytes.len())?, GFP_KERNEL)?;
        for part in [
            entry.next.to_le_bytes().as_slice(),
            &entry.ino.to_le_bytes(),
            &[type_of(entry).0, length],
            name,
        ] {
            self.bytes.extend_from_slice(part, GFP_KERNEL)?;
        }
        self.next = entry.next;
        Ok(())
    }

    /// All of it, when there is nothing more.
    pub(crate) fn finish(self) -> Result<Arc<Entries>> {
        let mut sorted = KVVec::with_capacity(self.places.len(), GFP_KERNEL)?;
        for entry in 0..u32::try_from(self.places.len())? {
            sorted.push(entry, GFP_KERNEL)?;
        }
        let name = |entry| name_of(&self.bytes, &self.places, entry);
        sort_by(&mut sorted, |&one, &other| name(one).cmp(name(other)));
        let length = size(&self.bytes, &self.places);
        let entries = Entries {
            names: self.names,
            number: self.number,
            bytes: self.bytes,
            places: self.places,
            sorted,
        };
        // Taken back when the entries are dropped.
        if KEPT.fetch_add(length, Relaxed).saturating_add(length) > MOST_IN_ALL {
            return Err(ENOMEM);
        }
        Ok(Arc::new(entries, GFP_KERNEL)?)
    }
}
