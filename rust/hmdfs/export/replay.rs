// SPDX-License-Identifier: GPL-2.0

//! What is kept of a client: compounds that must be executed once, however often they arrive,
//! and which errors it was told of.
//!
//! Of each slot of a client the last reply is kept until the next compound of the slot
//! arrives, or the client begins a new epoch. What that takes is bounded by [`SLOTS`] and
//! [`MAX_REPLY`]. The rules are those of [`hmdfs_model::replay`].

use hmdfs_kapi::vfs::Path;
use hmdfs_model::replay::{self, Poll, Slot};
use hmdfs_proto::Status;
use kernel::{
    new_condvar, new_mutex,
    prelude::*,
    sync::{Arc, CondVar, Mutex},
};

/// Slots of one client.
pub(crate) const SLOTS: u16 = 64;

/// Most bytes of a reply that is kept.
pub(super) const MAX_REPLY: usize = 8 << 10;

/// A reply that is kept.
#[derive(Clone)]
pub(super) enum Kept {
    /// The body of one that says what became of the operations.
    Body(Arc<KVVec<u8>>),
    /// Nothing was executed.
    Failed(Status),
}

/// What a client had executed.
#[pin_data]
pub(crate) struct Replay {
    /// Nothing is waited for while it is locked, but memory.
    #[pin]
    table: Mutex<Table>,
    /// Something was executed, or an epoch has begun.
    #[pin]
    changed: CondVar,
}

struct Table {
    epoch: u64,
    /// Which errors of the exported file system the client was told of.
    errors: u32,
    slots: replay::Replay<Kept, KVVec<Slot<Kept>>>,
}

/// What is to be done with a compound that arrived.
pub(super) enum Begin<'a> {
    /// Execute it.
    Execute(Turn<'a>),
    /// Wait for what becomes of an earlier copy.
    Wait(Waiter<'a>),
    /// Send this reply again.
    Again(Kept),
    /// It is not one that may arrive now.
    Stale,
}

/// Which compound of a client.
#[derive(Clone, Copy)]
struct Which {
    epoch: u64,
    slot: u16,
    sequence: u64,
}

impl Replay {
    /// Nothing was executed, and no epoch has begun.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            table <- {
                let mut slots = KVVec::with_capacity(SLOTS.into(), GFP_KERNEL)?;
                for _ in 0..SLOTS {
                    slots.push(Slot::default(), GFP_KERNEL)?;
                }
                new_mutex!(
                    Table {
                        epoch: 0,
                        errors: 0,
                        slots: replay::Replay::new(slots),
                    },
                    "Replay::table"
                )
            },
            changed <- new_condvar!("Replay::changed"),
        })
    }

    /// The client began a new epoch: nothing that it sent before will be executed. `errors` marks
    /// what went wrong before.
    pub(crate) fn begin_epoch(&self, epoch: u64, errors: u32) {
        let mut table = self.table.lock();
        table.epoch = epoch;
        table.errors = errors;
        table.slots.clear();
        self.changed.notify_all();
    }

    /// Fails with an error of storing anything in the file system of `path` that the client was not
    /// told of.
    pub(super) fn check_errors(&self, path: &Path) -> Result {
        path.check_filesystem_errors(&mut self.table.lock().errors)
    }

    /// A compound has arrived.
    pub(super) fn begin(&self, epoch: u64, slot: u16, sequence: u64) -> Begin<'_> {
        let which = Which {
            epoch,
            slot,
            sequence,
        };
        let mut table = self.table.lock();
        if table.epoch != epoch {
            return Begin::Stale;
        }
        match table.slots.begin(slot, sequence) {
            replay::Begin::Execute => Begin::Execute(Turn {
                replay: self,
                which,
            }),
            replay::Begin::Wait(asked) => {
                // Whoever waited before need not any more.
                self.changed.notify_all();
                Begin::Wait(Waiter {
                    replay: self,
                    which,
                    asked,
                })
            }
            replay::Begin::Again(kept) => Begin::Again(kept.clone()),
            replay::Begin::Stale => Begin::Stale,
        }
    }
}

/// The right to execute a compound. What becomes of it is kept, at the latest when this is
/// dropped.
pub(super) struct Turn<'a> {
    replay: &'a Replay,
    which: Which,
}

impl Turn<'_> {
    /// It has been executed, or never will be.
    pub(super) fn end(self, kept: Kept) {
        self.keep(kept);
    }

    fn keep(&self, kept: Kept) {
        let mut table = self.replay.table.lock();
        if table.epoch == self.which.epoch {
            let Which { slot, sequence, .. } = self.which;
            table.slots.end(slot, sequence, kept);
        }
        self.replay.changed.notify_all();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Without effect if it has ended.
        self.keep(Kept::Failed(Status::EIO));
    }
}

/// A copy of a compound that is being executed.
pub(super) struct Waiter<'a> {
    replay: &'a Replay,
    which: Which,
    asked: u32,
}

impl Waiter<'_> {
    /// Waits for the reply; [`None`] when the client does not wait for it here any more.
    pub(super) fn wait(self) -> Option<Kept> {
        let Which {
            epoch,
            slot,
            sequence,
        } = self.which;
        let mut table = self.replay.table.lock();
        loop {
            if table.epoch != epoch {
                return None;
            }
            match table.slots.poll(slot, sequence, self.asked) {
                Poll::Again(kept) => return Some(kept.clone()),
                Poll::Gone => return None,
                Poll::Wait => {}
            }
            // Interruptible so that it does not count as a task that hangs; what works here
            // gets no signals.
            let _ = self.replay.changed.wait_interruptible(&mut table);
        }
    }
}
