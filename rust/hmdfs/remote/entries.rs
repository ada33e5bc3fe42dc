// SPDX-License-Identifier: GPL-2.0

//! Listings that are kept as long as there is a lease on the directory, so that listing
//! it again costs nothing.

use hmdfs_proto::Entry;
use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
};

use crate::{mount::Question, validity::Validity};

/// Most bytes that are kept of one directory.
const MOST: usize = 1 << 20;

/// Most bytes that are kept at all.
const MOST_IN_ALL: usize = 32 << 20;

/// Bytes that are kept now.
static KEPT: Atomic<usize> = Atomic::new(0);

/// Bytes in front of a name: where the listing goes on, the inode number, the type, and the length.
const HEADER: usize = 8 + 8 + 1 + 1;

/// A whole listing.
pub(super) struct Entries {
    /// For how long it is right.
    pub(super) names: Validity,
    /// Number of the question that its first part answers.
    pub(super) number: u64,
    bytes: KVVec<u8>,
}

/// An entry that was kept.
pub(super) struct Kept<'a> {
    pub(super) next: u64,
    pub(super) ino: u64,
    pub(super) file_type: u8,
    pub(super) name: &'a [u8],
}

impl Entries {
    /// The entry at this place, and the place of the one after it.
    pub(super) fn get(&self, place: usize) -> Option<(Kept<'_>, usize)> {
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

impl Drop for Entries {
    fn drop(&mut self) {
        KEPT.fetch_sub(self.bytes.len(), Relaxed);
    }
}

/// A listing that is being put together.
pub(super) struct Builder {
    names: Validity,
    number: u64,
    bytes: KVVec<u8>,
    /// Where the next part begins.
    next: u64,
}

impl Builder {
    /// One whose first part answers `question`.
    pub(super) fn new(question: Question, names: Validity) -> Self {
        Self {
            names,
            number: question.number,
            bytes: KVVec::new(),
            next: 0,
        }
    }

    /// Whether the part that begins with `cookie` is the next one.
    pub(super) fn goes_on(&self, cookie: u64, names: Validity) -> bool {
        names.is_leased() && self.names == names && self.next == cookie
    }

    /// Adds an entry; an error when it is not worth it any more.
    pub(super) fn push(&mut self, entry: &Entry<'_>) -> Result {
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
        let length = u8::try_from(name.len())?;
        for part in [
            entry.next.to_le_bytes().as_slice(),
            &entry.ino.to_le_bytes(),
            &[entry.file_type, length],
            name,
        ] {
            self.bytes.extend_from_slice(part, GFP_KERNEL)?;
        }
        self.next = entry.next;
        Ok(())
    }

    /// All of it, when there is nothing more.
    pub(super) fn finish(self) -> Result<Arc<Entries>> {
        let length = self.bytes.len();
        let entries = Entries {
            names: self.names,
            number: self.number,
            bytes: self.bytes,
        };
        // Taken back when the entries are dropped.
        if KEPT.fetch_add(length, Relaxed).saturating_add(length) > MOST_IN_ALL {
            return Err(ENOMEM);
        }
        Ok(Arc::new(entries, GFP_KERNEL)?)
    }
}
