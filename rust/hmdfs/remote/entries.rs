// SPDX-License-Identifier: GPL-2.0

//! Listings that are kept as long as there is a lease on the directory, so that listing
//! it again costs nothing.

use core::mem::size_of_val;

use hmdfs_kapi::{fs::directory::EntryType, sort::sort_by};
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
    /// Hashes of all names, sorted.
    hashes: KVVec<u32>,
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

/// FNV-1a. Names that have the same by chance, or because somebody wants it, cost round trips.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

impl Entries {
    /// The entry at this place, and the place of the one after it.
    pub(crate) fn get(&self, place: usize) -> Option<(Kept<'_>, usize)> {
        let rest = self.bytes.get(place..)?;
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

    /// Whether there may be an entry of this name; false when there certainly is none.
    pub(crate) fn may_have(&self, name: &[u8]) -> bool {
        self.hashes.binary_search(&hash(name)).is_ok()
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

/// Bytes that a listing takes.
fn size(bytes: &[u8], hashes: &[u32]) -> usize {
    bytes.len().saturating_add(size_of_val(hashes))
}

impl Drop for Entries {
    fn drop(&mut self) {
        KEPT.fetch_sub(size(&self.bytes, &self.hashes), Relaxed);
    }
}

/// A listing that is being put together.
pub(crate) struct Builder {
    names: Validity,
    number: u64,
    bytes: KVVec<u8>,
    hashes: KVVec<u32>,
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
            hashes: KVVec::new(),
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
        for part in [
            entry.next.to_le_bytes().as_slice(),
            &entry.ino.to_le_bytes(),
            &[type_of(entry).0, length],
            name,
        ] {
            self.bytes.extend_from_slice(part, GFP_KERNEL)?;
        }
        self.hashes.push(hash(name), GFP_KERNEL)?;
        self.next = entry.next;
        Ok(())
    }

    /// All of it, when there is nothing more.
    pub(crate) fn finish(mut self) -> Result<Arc<Entries>> {
        sort_by(&mut self.hashes, u32::cmp);
        let length = size(&self.bytes, &self.hashes);
        let entries = Entries {
            names: self.names,
            number: self.number,
            bytes: self.bytes,
            hashes: self.hashes,
        };
        // Taken back when the entries are dropped.
        if KEPT.fetch_add(length, Relaxed).saturating_add(length) > MOST_IN_ALL {
            return Err(ENOMEM);
        }
        Ok(Arc::new(entries, GFP_KERNEL)?)
    }
}
