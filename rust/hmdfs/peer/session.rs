// SPDX-License-Identifier: GPL-2.0

//! Sessions with a peer, which what either side holds for the other belongs to.
//!
//! A session ends when one of the two has seen the other go offline; that need not be at the same
//! time. Each tells a number in HELLO ([`hmdfs_proto::Hello::session`]), and takes another one when
//! the peer goes offline. So a side that noticed nothing finds out with the next link, for the
//! other's number has changed; and what a request says of its session ([`hmdfs_proto::session`]) is
//! made of both numbers, so that one of an earlier session has no effect.

use hmdfs_kapi::{
    completion::Completion as Event, errno::ENOTCONN, random::get_random_u64, siphash::Key,
};
use hmdfs_proto::{Hello, Status};
use kernel::{
    new_mutex, new_spinlock,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex, SpinLock,
    },
};

use super::Peer;
use crate::export::Held;

/// What the two devices hold for each other.
#[pin_data]
pub(crate) struct Sessions {
    /// Innermost lock.
    #[pin]
    numbers: SpinLock<Numbers>,
    /// The session as it is called in requests to the peer; changed with `numbers` locked.
    asking: Atomic<u64>,
    /// The session as it is called in requests of the peer; changed with `numbers` locked.
    serving: Atomic<u64>,
    /// What this device holds for the peer.
    #[pin]
    held: Held,
    /// Locks of the peer that tasks here wait for.
    #[pin]
    waits: Mutex<KVec<Arc<LockWait>>>,
    /// Number of the last of them.
    last_wait: Atomic<u64>,
    /// By which owners of locks are hidden from the peer: they are addresses here.
    secret: Key,
}

/// What the two devices tell each other in HELLO.
struct Numbers {
    ours: u64,
    theirs: u64,
    /// The peer's mount that `theirs` is of.
    epoch: u64,
}

impl Sessions {
    pub(super) fn new() -> impl PinInit<Self> {
        let mut secret = [0; 16];
        secret
            .chunks_exact_mut(8)
            .for_each(|half| half.copy_from_slice(&get_random_u64().to_le_bytes()));
        pin_init!(Self {
            numbers <- new_spinlock!(
                Numbers { ours: get_random_u64(), theirs: 0, epoch: 0 },
                "Sessions::numbers"
            ),
            asking: Atomic::new(0),
            serving: Atomic::new(0),
            held <- Held::new(),
            waits <- new_mutex!(KVec::new(), "Sessions::waits"),
            last_wait: Atomic::new(0),
            secret: Key::new(secret),
        })
    }

    /// The number for HELLO.
    pub(crate) fn ours(&self) -> u64 {
        self.numbers.lock().ours
    }

    /// What this device holds for the peer.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// The session now, as it is called in requests to the peer. What was got from the peer in
    /// another one is lost.
    pub(crate) fn asking(&self) -> u64 {
        self.asking.load(Relaxed)
    }

    /// The session now, as it is called in requests of the peer.
    pub(crate) fn serving(&self) -> u64 {
        self.serving.load(Relaxed)
    }

    fn set(&self, numbers: &Numbers) {
        let Numbers { ours, theirs, .. } = *numbers;
        self.asking
            .store(hmdfs_proto::session(theirs, ours), Relaxed);
        self.serving
            .store(hmdfs_proto::session(ours, theirs), Relaxed);
    }

    /// The peer went offline. Does not sleep.
    pub(super) fn end(&self) {
        let mut numbers = self.numbers.lock();
        numbers.ours = numbers.ours.wrapping_add(1);
        self.set(&numbers);
    }

    /// The peer has greeted. When it or this device has seen the other go offline, nothing is to be
    /// left of what was held before: the caller sees to that ([`Peer::expire`]).
    pub(crate) fn greeted(&self, hello: &Hello) {
        {
            let mut numbers = self.numbers.lock();
            let newer = hello.session.wrapping_sub(numbers.theirs) <= u64::MAX / 2;
            // What was said on another link may have arrived first.
            if hello.epoch != numbers.epoch || newer {
                numbers.theirs = hello.session;
                numbers.epoch = hello.epoch;
                self.set(&numbers);
            }
        }
    }

    /// Gives up what was held in sessions before this one. Sleeps.
    pub(super) fn expire(&self) {
        self.held.expire(|| self.serving());
        self.wake_ended();
    }

    /// Ends the waits that belong to sessions before this one.
    pub(super) fn wake_ended(&self) {
        let mut waits = self.waits.lock();
        waits.retain(|wait| {
            let current = wait.session == self.asking();
            if !current {
                wait.complete(Err(ENOTCONN.into()));
            }
            current
        });
    }

    /// Begins to wait for a lock that is about to be asked for in `session`.
    pub(crate) fn wait(&self, session: u64) -> Result<Arc<LockWait>> {
        let id = self.last_wait.fetch_add(1, Relaxed).wrapping_add(1);
        let wait = LockWait::new(id, session)?;
        self.waits.lock().push(wait.clone(), GFP_KERNEL)?;
        Ok(wait)
    }

    /// Stops waiting.
    pub(crate) fn give_up(&self, wait: &Arc<LockWait>) {
        self.waits.lock().retain(|other| !Arc::ptr_eq(other, wait));
    }

    /// The peer has granted a lock, or has failed to.
    pub(crate) fn granted(&self, session: u64, id: u64, status: Status) {
        let result = match status {
            Status::Ok => Ok(()),
            // CAST: The numbers of the protocol are below 4096.
            status => Err(Error::from_errno(-(status.errno() as c_int))),
        };
        let waits = self.waits.lock();
        if let Some(wait) = waits
            .iter()
            .find(|wait| wait.id == id && wait.session == session)
        {
            wait.complete(result);
        }
    }

    /// The number by which the peer knows an owner of locks.
    pub(crate) fn owner(&self, address: usize) -> u64 {
        self.secret.siphash(&address.to_le_bytes())
    }
}

/// A task that waits for a lock.
#[pin_data]
pub(crate) struct LockWait {
    id: u64,
    session: u64,
    #[pin]
    done: Event,
    /// Innermost lock.
    #[pin]
    result: SpinLock<Option<Result>>,
}

impl LockWait {
    fn new(id: u64, session: u64) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                id,
                session,
                done <- Event::new(),
                result <- new_spinlock!(None, "LockWait::result"),
            }),
            GFP_KERNEL,
        )
    }

    /// The number by which the peer knows it.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    fn complete(&self, result: Result) {
        self.result.lock().get_or_insert(result);
        self.done.complete_all();
    }

    /// Waits for the lock, and gives how it ended; the outer error is ERESTARTSYS: there is a signal.
    pub(crate) fn wait(&self) -> Result<Result> {
        self.done.wait_interruptible()?;
        Ok(self.result().unwrap_or(Err(EIO)))
    }

    /// How it ended, if it has.
    pub(crate) fn result(&self) -> Option<Result> {
        *self.result.lock()
    }
}

impl Peer {
    /// What the two devices hold for each other.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}
