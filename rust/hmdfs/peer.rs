// SPDX-License-Identifier: GPL-2.0

//! Peers: the other devices, as one mount sees them.
//!
//! A call goes to the link of the peer that has the least to do. When the peer
//! holds as many requests as it said it would, calls wait in a queue, which is
//! emptied as replies arrive. A call whose link ends before the reply came is sent
//! again on another one; what changes something has a number, by which the
//! peer tells that it has executed it already. Calls to a peer that is offline fail
//! at once.
//!
//! # Locks
//!
//! `epochs` and `queue`, then `links`, then the table of calls of a link and `slots`;
//! none is held while a message is sent or a call ends.

pub(crate) mod call;
pub(crate) mod device;
mod dispatch;
pub(crate) mod grants;
#[cfg(HMDFS_KUNIT)]
mod kunit;
mod presence;
mod queue;
pub(crate) mod session;
mod table;
mod writing;

pub(crate) use device::{
    DeviceId,
    DeviceName,
    DeviceSettings,
    SettingsError, //
};
pub(crate) use presence::LinkRefusal;
pub(crate) use table::Peers;

use crate::export::{
    self,
    Holder,
    Replay, //
};
use hmdfs_kapi::{
    memalloc::NofsScope,
    random::get_random_u64, //
};
use hmdfs_model::{
    lease::Recalled,
    security::{
        Access,
        Level, //
    },
    slots::{
        Epochs,
        Slots, //
    },
};
use kernel::{
    impl_has_delayed_work, impl_has_work, new_delayed_work, new_mutex, new_spinlock, new_work,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        Mutex,
        SpinLock, //
    },
    workqueue::{
        DelayedWork,
        Work,
        WorkItem, //
    },
};
use presence::Links;
use queue::Lanes;
use session::Sessions;

/// Most links to one peer.
pub(crate) const MAX_LINKS: usize = 4;

/// Most bytes in the body of a request; bounds what requests that wait for their
/// turn may keep in memory, together with the window.
pub(crate) const MAX_REQUEST_BODY: usize = 68 << 10;

/// Most compounds that change something and are on their way to one peer.
const SLOTS: usize = 64;

/// How many recalls are remembered one by one, until the answers that they may have overtaken have
/// arrived.
const RECALLS: usize = 64;

/// Serial number of the next peer.
static NEXT_SERIAL: Atomic<u64> = Atomic::new(1);

/// Another device, as one mount sees it.
#[pin_data]
pub(crate) struct Peer {
    id: DeviceId,
    serial: u64,
    number: u32,
    #[pin]
    name: SpinLock<DeviceName>,
    /// An [`Access`] in its order of declaration.
    access: Atomic<u32>,
    /// The number of a level, or zero.
    level: Atomic<u32>,
    /// How many of its requests wait until something was sent to it.
    flushing: Atomic<u32>,
    #[pin]
    links: SpinLock<Links>,
    /// Number of links that are up; changed with `links` locked.
    up: Atomic<u32>,
    /// Whether the peer counts as there, 0 or 1; changed with `links` locked.
    online: Atomic<u32>,
    /// What this side calls the time in which it remembers what it was sent, and what it sent.
    epoch: u64,
    /// What the peer calls it.
    #[pin]
    epochs: Mutex<Epochs>,
    /// The numbers of what is sent.
    #[pin]
    slots: SpinLock<Slots<SLOTS>>,
    /// What was executed for the peer.
    #[pin]
    replay: Replay,
    #[pin]
    queue: Mutex<Lanes>,
    /// Length of the urgent queue; changed with `queue` locked.
    urgent: Atomic<u32>,
    /// Length of the other one.
    bulk: Atomic<u32>,
    /// The epoch in which something was changed there first, since the peer was last asked to bring
    /// everything to stable storage; 0 when nothing was.
    unsynced: Atomic<u64>,
    #[pin]
    pump: Work<Peer, 0>,
    #[pin]
    look: DelayedWork<Peer, 1>,
    #[pin]
    sessions: Sessions,
    #[pin]
    grants: DelayedWork<Peer, 2>,
    #[pin]
    fence: DelayedWork<Peer, 3>,
    /// What it took back of the leases that it gave.
    #[pin]
    recalled: SpinLock<Recalled<RECALLS>>,
    /// The leases that it was given.
    #[pin]
    holder: Holder,
    #[pin]
    teller: Work<Peer, 4>,
}

impl_has_work! {
    impl HasWork<Self, 0> for Peer { self.pump }
    impl HasWork<Self, 4> for Peer { self.teller }
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self, 1> for Peer { self.look }
    impl HasDelayedWork<Self, 2> for Peer { self.grants }
    impl HasDelayedWork<Self, 3> for Peer { self.fence }
}

impl Peer {
    fn new(id: DeviceId, number: u32, name: DeviceName) -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                id,
                serial: NEXT_SERIAL.fetch_add(1, Relaxed),
                number,
                name <- new_spinlock!(name, "Peer::name"),
                access: Atomic::new(0),
                level: Atomic::new(0),
                flushing: Atomic::new(0),
                links <- new_spinlock!(Links::new(), "Peer::links"),
                up: Atomic::new(0),
                online: Atomic::new(0),
                epoch: get_random_u64(),
                epochs <- new_mutex!(Epochs::default(), "Peer::epochs"),
                slots <- new_spinlock!(Slots::default(), "Peer::slots"),
                replay <- Replay::new(),
                queue <- new_mutex!(Lanes::default(), "Peer::queue"),
                urgent: Atomic::new(0),
                bulk: Atomic::new(0),
                unsynced: Atomic::new(0),
                pump <- new_work!("Peer::pump"),
                look <- new_delayed_work!("Peer::look"),
                sessions <- Sessions::new(),
                grants <- new_delayed_work!("Peer::grants"),
                fence <- new_delayed_work!("Peer::fence"),
                recalled <- new_spinlock!(Recalled::new(), "Peer::recalled"),
                holder <- Holder::new(),
                teller <- new_work!("Peer::teller"),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// The device.
    pub(crate) fn id(&self) -> &DeviceId {
        &self.id
    }

    /// A number that no other peer of this module ever had: a device that is forgotten and
    /// made known again is another peer.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// The device's number, which orders conflicts of names.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The name of the device's directory, as of now.
    pub(crate) fn name(&self) -> DeviceName {
        *self.name.lock()
    }

    /// What the device may do here.
    pub(crate) fn access(&self) -> Access {
        match self.access.load(Relaxed) {
            1 => Access::Read,
            2 => Access::Write,
            _ => Access::None,
        }
    }

    /// How far the device is trusted; [`None`] when nobody said so.
    pub(crate) fn level(&self) -> Option<Level> {
        u8::try_from(self.level.load(Relaxed))
            .ok()
            .and_then(Level::new)
    }

    /// The epoch of this side: another one after a restart, a remount, and after the device was
    /// forgotten here.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What was executed for the peer.
    pub(crate) fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Whether something may have to be brought to stable storage there.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.unsynced.load(Relaxed) != 0
    }

    /// Something was changed there in this epoch of the peer, which may not be on stable storage.
    pub(crate) fn set_unsynced(&self, epoch: u64) {
        // What was changed before counts.
        let _ = self.unsynced.cmpxchg(0, epoch, Full);
    }

    /// Since which of its epochs something may have to be brought to stable storage there. The
    /// caller sees to that, or says [`Peer::set_unsynced`] again.
    pub(crate) fn take_unsynced(&self) -> Option<u64> {
        Some(self.unsynced.xchg(0, Full)).filter(|&epoch| epoch != 0)
    }

    /// What it took back of the leases that it gave.
    pub(crate) fn recalled(&self) -> &SpinLock<Recalled<RECALLS>> {
        &self.recalled
    }

    /// The leases that it was given.
    pub(crate) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Changes what may change; returns whether the name did.
    fn apply(&self, settings: &DeviceSettings) -> bool {
        if let Some(access) = settings.access {
            // CAST: A small number.
            self.access.store(access as u32, Relaxed);
        }
        if let Some(level) = settings.level {
            self.level.store(level.number().into(), Relaxed);
        }
        let Some(name) = settings.name else {
            return false;
        };
        let mut current = self.name.lock();
        let renamed = *current != name;
        *current = name;
        renamed
    }
}

impl WorkItem<4> for Peer {
    type Pointer = Arc<Peer>;

    fn run(this: Arc<Peer>) {
        let _nofs = NofsScope::enter();
        export::tell(&this);
    }
}
