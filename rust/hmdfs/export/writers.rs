// SPDX-License-Identifier: GPL-2.0

//! Files that are open for writing, while requests write them.
//!
//! Requests that write one file at the same time share one open file, and take
//! turns. It is closed when the last of them is done: a file that is open for writing
//! cannot be executed, so none may stay open for longer than it is written to.

use hmdfs_kapi::vfs::{Path, WritableFile};
use kernel::{
    cred::Credential,
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

/// The files that are being written.
#[pin_data]
pub(super) struct Writers {
    /// Nothing is opened, closed or waited for with it locked.
    #[pin]
    open: Mutex<KVec<Entry>>,
}

struct Entry {
    writer: Arc<Writer>,
    /// Number of [`Use`]s of it.
    uses: usize,
}

/// A file that is being written.
#[pin_data]
pub(super) struct Writer {
    pub(super) file: WritableFile,
    identity: usize,
    /// Held while the file is changed and the change attribute read before and after, so that
    /// no other request's change comes between. Taken before all locks of the lower file
    /// system.
    #[pin]
    pub(super) turn: Mutex<()>,
}

/// One use of a writer.
pub(super) struct Use<'a> {
    writers: &'a Writers,
    writer: Arc<Writer>,
}

impl Writers {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            open <- new_mutex!(KVec::new(), "Writers::open"),
        })
    }

    /// The open file of `path`; see [`WritableFile::open`] for errors.
    pub(super) fn open(&self, path: &Path, cred: &Credential) -> Result<Use<'_>> {
        let identity = path.identity();
        if let Some(writer) = self.share(identity) {
            return Ok(writer);
        }
        let file = WritableFile::open(path, cred)?;
        let writer = Arc::pin_init(
            pin_init!(Writer {
                file,
                identity,
                turn <- new_mutex!((), "Writer::turn"),
            }),
            GFP_KERNEL,
        )?;
        let mut open = self.open.lock();
        // Another request may have opened it meanwhile.
        if let Some(writer) = self.share_of(&mut open, identity) {
            return Ok(writer);
        }
        let entry = Entry {
            writer: writer.clone(),
            uses: 1,
        };
        open.push(entry, GFP_KERNEL)?;
        Ok(Use {
            writers: self,
            writer,
        })
    }

    /// How many of the open files are of the file at `path`.
    pub(super) fn count(&self, path: &Path) -> usize {
        let identity = path.identity();
        let open = self.open.lock();
        let is_it = |entry: &&Entry| entry.writer.identity == identity;
        open.iter().filter(is_it).count()
    }

    fn share(&self, identity: usize) -> Option<Use<'_>> {
        self.share_of(&mut self.open.lock(), identity)
    }

    fn share_of(&self, open: &mut KVec<Entry>, identity: usize) -> Option<Use<'_>> {
        let entry = open
            .iter_mut()
            .find(|entry| entry.writer.identity == identity)?;
        entry.uses = entry.uses.saturating_add(1);
        Some(Use {
            writers: self,
            writer: entry.writer.clone(),
        })
    }
}

impl core::ops::Deref for Use<'_> {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let mut open = self.writers.open.lock();
        let place = open
            .iter()
            .position(|entry| Arc::ptr_eq(&entry.writer, &self.writer));
        let unused = place.and_then(|place| {
            let entry = open.get_mut(place)?;
            entry.uses = entry.uses.saturating_sub(1);
            (entry.uses == 0).then(|| open.remove(place).ok())?
        });
        // The file is closed without the lock.
        drop(open);
        drop(unused);
    }
}
