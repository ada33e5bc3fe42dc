// SPDX-License-Identifier: GPL-2.0

//! Who makes a change: which tasks change something for which peer.
//!
//! What the lower file system tells of a change, it tells in the task that has made it. From that it
//! is known whose change it is: one of a program of this device, of the very peer that has the lease,
//! which is told what became of it, or of another one, which is then answered only when nobody relies
//! on what was before ([`Changing::settle`]).

use kernel::{
    new_spinlock,
    prelude::*,
    sync::{Arc, SpinLock},
    time::{Delta, Instant, Monotonic},
};

use super::{
    leases::Leases,
    recall::{distrust, PATIENCE},
};
use crate::peer::Peer;

/// A device that changes something keeps its own lease on it, because it is told what became of it.
/// When that takes so long that it may have given up waiting, it does not.
const PROMPT: Delta = Delta::from_secs(5);

/// The tasks that change something for a peer.
#[pin_data]
pub(super) struct Changes {
    #[pin]
    changing: SpinLock<KVec<Change>>,
}

/// Something that is being changed for a peer, by one task.
struct Change {
    task: i32,
    /// Serial number of the peer.
    peer: u64,
    begun: Instant<Monotonic>,
    /// Whether leases were broken by it.
    broke: bool,
    /// Whether the peer has what is removed open.
    keeps: bool,
}

/// Who makes a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Changer {
    /// A program of this device.
    Program,
    /// The peer that has the lease.
    Holder,
    /// Another one.
    Peer,
}

impl Changes {
    /// None.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            changing <- new_spinlock!(KVec::new(), "Leases::changing"),
        })
    }

    fn begin(&self, peer: &Peer) -> Result {
        let change = Change {
            task: current!().pid(),
            peer: peer.serial(),
            begun: Instant::now(),
            broke: false,
            keeps: false,
        };
        Ok(self.changing.lock().push(change, GFP_ATOMIC)?)
    }

    /// The change of the calling task, which is over.
    fn end(&self) -> Option<Change> {
        let task = current!().pid();
        let mut changing = self.changing.lock();
        let place = changing.iter().position(|change| change.task == task)?;
        changing.remove(place).ok()
    }

    /// Calls `with` with the change that the calling task makes, if it makes one.
    fn with_own<R>(&self, with: impl FnOnce(&mut Change) -> R) -> Option<R> {
        let task = current!().pid();
        let mut changing = self.changing.lock();
        changing
            .iter_mut()
            .find(|change| change.task == task)
            .map(with)
    }

    /// Whom the calling task makes changes for, seen from the holder `peer`. If that is another
    /// peer, it is noted that this one's leases were broken.
    pub(super) fn changer(&self, peer: &Peer) -> Changer {
        let by_peer = self.with_own(|change| {
            if change.peer == peer.serial() && change.begun.elapsed() < PROMPT {
                return Changer::Holder;
            }
            change.broke = true;
            Changer::Peer
        });
        by_peer.unwrap_or(Changer::Program)
    }
}

impl Leases {
    /// From here on until [`Changing::settle`], the calling task makes changes for `peer`.
    pub(super) fn change(&self, peer: &Arc<Peer>) -> Result<Changing<'_>> {
        self.changes().begin(peer)?;
        Ok(Changing(self))
    }

    /// From here on, what the calling task removes for a peer is what that has open, or is not.
    pub(super) fn set_keeps(&self, keeps: bool) {
        self.changes().with_own(|change| change.keeps = keeps);
    }

    /// If the calling task makes changes for `peer`: whether that has what is removed open.
    pub(super) fn keeps(&self, peer: &Peer) -> Option<bool> {
        self.changes()
            .with_own(|change| (change.peer == peer.serial()).then_some(change.keeps))
            .flatten()
    }
}

/// Changes that are made for a peer, by one task.
pub(super) struct Changing<'a>(&'a Leases);

impl Changing<'_> {
    /// All changes were made: waits until no other device relies on what was before.
    pub(super) fn settle(self) {
        let leases = self.0;
        let Some(change) = leases.changes().end() else {
            return;
        };
        if change.broke {
            leases.wait_for_others(change.peer, |holder| {
                // Its own time begins a moment later, when it is told.
                if !holder.holder().wait(PATIENCE + PATIENCE / 10) {
                    distrust(holder);
                }
            });
        }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        // Nothing is left after `settle`.
        let _ = self.0.changes().end();
    }
}
