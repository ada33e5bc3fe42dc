// SPDX-License-Identifier: GPL-2.0

//! The leases of one peer, and what is known of how it gives them back.
//!
//! A lease is first broken and then, when the holder was told ([`super::recall`]) and has replied,
//! known to be void. Both are counted: who wants to know whether the holder relies on any of those
//! that are broken by now waits until as many are void ([`Holder::wait`]).

use hmdfs_model::lease::{Granted, Slot};
use kernel::{
    new_condvar, new_spinlock,
    prelude::*,
    sync::{atomic::Atomic, CondVar, CondVarTimeoutResult, SpinLock},
    time::{msecs_to_jiffies, Delta, Instant, Monotonic},
};

use super::{opened::Opened, writing::Writing};

/// Most leases of one holder.
const MOST: usize = 1 << 16;

/// Lists among which these are found.
const BUCKETS: usize = 1 << 15;

/// How long nobody waits for a holder that took longer than it was waited for.
const SLOW: Delta = Delta::from_secs(10);

/// How long a device that did not reply gets no leases.
const DISTRUST: Delta = Delta::from_secs(60);

/// The leases of one peer.
#[pin_data]
pub(crate) struct Holder {
    #[pin]
    state: SpinLock<State>,
    /// What it may have open.
    #[pin]
    opened: SpinLock<Opened>,
    /// What it may be writing to.
    #[pin]
    writing: SpinLock<Writing>,
    /// How many tasks wait for what it has written.
    waiting: Atomic<u32>,
    /// More leases are known to be void.
    #[pin]
    told: CondVar,
}

struct State {
    granted: Option<Table>,
    /// Of how many broken leases the holder is known not to rely on any more, of all that were ever
    /// broken.
    void: u64,
    /// When it did not reply last.
    distrusted: Option<Instant<Monotonic>>,
    /// When it did not reply in a moment last.
    slow: Option<Instant<Monotonic>>,
    /// When it did not send what it has written in time last.
    late: Option<Instant<Monotonic>>,
}

/// Room for leases, which is much memory.
pub(super) type Table = Granted<KVVec<Slot>, KVVec<u32>>;

/// Room for the leases of one holder, with none in it.
pub(super) fn table() -> Result<Table> {
    let slots = KVVec::from_elem(Slot::EMPTY, MOST, GFP_KERNEL)?;
    let buckets = KVVec::from_elem(0, BUCKETS, GFP_KERNEL)?;
    Ok(Granted::new(slots, buckets))
}

impl Holder {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(
                State {
                    granted: None,
                    void: 0,
                    distrusted: None,
                    slow: None,
                    late: None,
                },
                "Holder::state"
            ),
            opened <- new_spinlock!(Opened::new(), "Holder::opened"),
            writing <- new_spinlock!(Writing::new(), "Holder::writing"),
            waiting: Atomic::new(0),
            told <- new_condvar!("Holder::told"),
        })
    }

    /// What the peer may have open.
    pub(super) fn opened(&self) -> &SpinLock<Opened> {
        &self.opened
    }

    /// What the peer may be writing to.
    pub(super) fn writing(&self) -> &SpinLock<Writing> {
        &self.writing
    }

    /// How many tasks wait for what it has written.
    pub(super) fn waiting(&self) -> &Atomic<u32> {
        &self.waiting
    }

    /// Gives up the files without a name that are kept for the peer in other sessions than
    /// `session`. Sleeps.
    pub(crate) fn expire(&self, session: u64) {
        let before = self.opened.lock().begin(session);
        // Not under the lock.
        drop(before);
    }

    /// Whether it can have leases.
    pub(super) fn is_admitted(&self) -> bool {
        self.state.lock().granted.is_some()
    }

    /// It can have leases from now on, in the room of `table`.
    pub(super) fn admit(&self, table: &mut Option<Table>) {
        self.state.lock().granted = table.take();
    }

    /// Notes a lease on a file. Gives whether there is one, and whether the holder has to be told of others
    /// that were broken.
    pub(super) fn grant(&self, ino: u64, key: u64) -> (bool, bool) {
        let mut state = self.state.lock();
        if is_within(state.distrusted, DISTRUST) {
            return (false, false);
        }
        match &mut state.granted {
            Some(granted) => (granted.grant(ino, key), granted.has_broken()),
            None => (false, false),
        }
    }

    /// The file with this inode number has changed: breaks the leases on it, if there are any and
    /// `is_other` agrees that it was not the holder who changed it. Gives whether any were broken, of
    /// which the holder has to be told.
    pub(super) fn changed(&self, ino: u64, is_other: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        let Some(granted) = &mut state.granted else {
            return false;
        };
        granted.has(ino) && is_other() && granted.change(ino)
    }

    /// Takes all leases back: what the peer may do here has changed. The caller has it told.
    pub(super) fn break_all(&self) {
        if let Some(granted) = &mut self.state.lock().granted {
            granted.change_all();
        }
    }

    /// The next broken leases, and of how many the holder was told when it was told of these.
    pub(super) fn take(&self, keys: &mut [u64]) -> Option<(usize, u64)> {
        let mut state = self.state.lock();
        let granted = state.granted.as_mut()?;
        let count = granted.take(keys);
        (count != 0).then(|| (count, granted.taken()))
    }

    /// The holder relies on none of the first `count` leases that were broken.
    pub(super) fn set_void(&self, count: u64) {
        {
            let mut state = self.state.lock();
            state.void = state.void.max(count);
        }
        self.told.notify_all();
    }

    /// The peer has ended its last link itself, and relies on nothing any more. To be called before
    /// it can have another link.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock();
        if let Some(granted) = &mut state.granted {
            granted.clear();
            state.void = granted.broken();
        }
        drop(state);
        self.told.notify_all();
    }

    /// Waits until the holder relies on none of the leases that are broken now; false when that is
    /// not known after so many milliseconds.
    pub(super) fn wait(&self, patience: u32) -> bool {
        let begun = Instant::<Monotonic>::now();
        let mut state = self.state.lock();
        let Some(target) = state.granted.as_ref().map(Granted::broken) else {
            return true;
        };
        while state.void < target {
            let passed = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
            let left = patience.saturating_sub(passed);
            if left == 0 {
                return false;
            }
            let woken = self
                .told
                .wait_interruptible_timeout(&mut state, msecs_to_jiffies(left));
            if matches!(woken, CondVarTimeoutResult::Signal { .. }) {
                // A program that is to do something else; workers get no signals.
                return true;
            }
        }
        true
    }

    /// It did not reply, and gets no leases for a while.
    pub(super) fn set_distrusted(&self) {
        self.state.lock().distrusted = Some(Instant::now());
    }

    /// Whether it took too long lately for a program of this device to wait for its reply again.
    pub(super) fn is_slow(&self) -> bool {
        is_within(self.state.lock().slow, SLOW)
    }

    /// It has taken too long to reply for a program of this device.
    pub(super) fn set_slow(&self) {
        self.state.lock().slow = Some(Instant::now());
    }

    /// Whether it took too long lately to be waited for again, until it has sent what it has written.
    pub(super) fn is_late(&self) -> bool {
        is_within(self.state.lock().late, SLOW)
    }

    /// It has taken too long to send what it has written.
    pub(super) fn set_late(&self) {
        self.state.lock().late = Some(Instant::now());
    }
}

/// Whether something has happened not longer ago than that.
fn is_within(since: Option<Instant<Monotonic>>, limit: Delta) -> bool {
    since.is_some_and(|since| since.elapsed() < limit)
}
