// SPDX-License-Identifier: GPL-2.0

//! What this device has written to a file of another one, and which content of it is cached.
//!
//! A write ends without any lock but the one here ([`Node::wrote`]); what the owner told then is
//! taken over when somebody asks for attributes ([`super::attributes`]). Answers to questions that
//! were asked before the last change was made do not know of it, so they are not used
//! ([`Node::knows`]).
//!
//! Until the owner says that it is on stable storage, what was written is remembered with the epoch
//! and the errors of the owner, so that `fsync` finds out what was lost ([`super::write::fsync`]).

use hmdfs_model::content::Content;
use hmdfs_proto::{self as proto, Attributes};
use kernel::{new_spinlock, prelude::*, sync::SpinLock};

use super::inode::Node;
use crate::mount::{Mount, Question};

/// What this device has written to one file.
#[pin_data]
pub(super) struct Written {
    /// Taken when a write ends.
    #[pin]
    own: SpinLock<Own>,
}

struct Own {
    content: Content,
    /// Answers to questions before this one do not know of all that was written.
    number: u64,
    /// What the owner told after the last write, until it is taken over.
    latest: Option<(Question, Attributes)>,
    /// What may not be on the owner's stable storage.
    unsynced: Option<Unsynced>,
    /// How many are waiting for it to be there.
    syncing: u32,
    /// Number of the question with the answer to which everything was there last.
    synced: u64,
}

/// Data that this device has written since they were last brought to stable storage.
#[derive(Clone, Copy)]
pub(super) struct Unsynced {
    /// The epoch of the owner in which the first were written. In another one they may be lost.
    pub(super) epoch: u64,
    /// The errors that the owner had met with before.
    pub(super) errors: u32,
    /// How often something was written.
    count: u64,
}

impl Written {
    /// Nothing; what is cached belongs to the change attribute `change`.
    pub(super) fn new(change: u64) -> impl PinInit<Self> {
        pin_init!(Self {
            own <- new_spinlock!(
                Own {
                    content: Content::new(change),
                    number: 0,
                    latest: None,
                    unsynced: None,
                    syncing: 0,
                    synced: 0,
                },
                "hmdfs::remote::Written"
            ),
        })
    }
}

impl Node {
    /// Whether the answer to the question `number` knows of all changes that this device has made.
    pub(super) fn knows(&self, number: u64) -> bool {
        number >= self.written().own.lock().number
    }

    /// This device has changed the file, or its names, and will not be told what became of that.
    /// Answers to questions that were asked until now are not to be used.
    pub(super) fn changed(&self, mount: &Mount) {
        self.written().own.lock().number = mount.ask().number;
    }

    /// This device has changed the file, other than by writing to it; answers to questions before
    /// `number` are not to be used. The change attribute is `after`, and was `before` if what is
    /// cached stays as it is.
    pub(super) fn changed_to(&self, number: u64, before: Option<u64>, after: u64) {
        let mut written = self.written().own.lock();
        match before {
            Some(before) => written.content.changed(before, after),
            None => written.content.doubt(),
        }
        written.number = number;
    }

    /// Whether what is cached is what a file with this change attribute has.
    pub(super) fn is_cached(&self, change: u64) -> bool {
        self.written().own.lock().content.is_current(change)
    }

    /// The file has this change attribute, by the answer to the question `number`. Gives whether what
    /// is cached was that of another one, and has to be dropped.
    ///
    /// Nothing if the answer is not to be used: because it is too old, or because something would have
    /// to be dropped, which the caller may not do (`may_drop`).
    pub(super) fn take_content(&self, number: u64, change: u64, may_drop: bool) -> Option<bool> {
        let mut written = self.written().own.lock();
        if number < written.number {
            return None;
        }
        let changed = !written.content.is_current(change);
        if changed && !may_drop {
            return None;
        }
        if changed {
            written.content.replace(change);
        }
        written.latest = None;
        Some(changed)
    }

    /// A write that was begun with `question` has ended with `outcome` in this epoch of the owner,
    /// and `attributes` are what it told then. Does not sleep.
    pub(super) fn wrote(
        &self,
        mount: &Mount,
        question: Question,
        outcome: proto::Written,
        epoch: u64,
        attributes: Attributes,
    ) {
        let number = mount.ask().number;
        let mut written = self.written().own.lock();
        written.content.changed(outcome.before, outcome.after);
        written.number = number;
        let unsynced = written.unsynced.get_or_insert(Unsynced {
            epoch,
            errors: outcome.errors,
            count: 0,
        });
        unsynced.count = unsynced.count.wrapping_add(1);
        written.latest = written
            .content
            .is_current(attributes.change)
            .then_some((Question { number, ..question }, attributes));
    }

    /// A write has failed: what is cached may not be what the owner has. Does not sleep.
    pub(super) fn write_failed(&self) {
        let mut written = self.written().own.lock();
        written.content.doubt();
        written.latest = None;
    }

    /// What the owner told after the last write, if that is still to be taken over.
    pub(super) fn take_latest(&self) -> Option<(Question, Attributes)> {
        self.written().own.lock().latest.take()
    }

    /// What has to be brought to the owner's stable storage.
    pub(super) fn unsynced(&self) -> Option<Unsynced> {
        self.written().own.lock().unsynced
    }

    /// Somebody waits until the file is on the owner's stable storage. Does not sleep.
    pub(super) fn begin_sync(&self) {
        let mut written = self.written().own.lock();
        written.syncing = written.syncing.saturating_add(1);
    }

    /// The counterpart of [`Self::begin_sync`].
    pub(super) fn end_sync(&self) {
        let mut written = self.written().own.lock();
        written.syncing = written.syncing.saturating_sub(1);
    }

    /// Whether somebody waits for that.
    pub(super) fn is_syncing(&self) -> bool {
        self.written().own.lock().syncing != 0
    }

    /// A write that was begun with `question` was brought there together with all that the owner had of
    /// the file before, without an error. Does not sleep.
    pub(super) fn synced_with_write(&self, question: Question) {
        let mut written = self.written().own.lock();
        // Of others it is not known whether they came before.
        if written.unsynced.is_some_and(|unsynced| unsynced.count == 1) {
            written.unsynced = None;
            written.synced = question.number;
        }
    }

    /// Whether all of the file has been brought there since the question `begun` was asked.
    pub(super) fn is_synced_since(&self, begun: u64) -> bool {
        let written = self.written().own.lock();
        written.unsynced.is_none() && written.synced > begun
    }

    /// What was `unsynced` has been brought there, or is known to be lost. `errors` marks what was
    /// told of errors.
    pub(super) fn synced(&self, unsynced: Option<Unsynced>, errors: Option<u32>) {
        let mut written = self.written().own.lock();
        let (Some(before), Some(now)) = (unsynced, &mut written.unsynced) else {
            return;
        };
        if now.count == before.count {
            written.unsynced = None;
        } else if let Some(errors) = errors {
            // What was written meanwhile is still to be asked about, and only that.
            now.errors = errors;
        }
    }
}
