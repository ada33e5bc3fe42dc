// SPDX-License-Identifier: GPL-2.0

//! Leases that were given to peers, and taken back.
//!
//! A lease is noted before what it is about is looked up. Whoever changes a file, be
//! it a program of this device or the export for another one, makes the lower file
//! system tell of it ([`Leases::changed`]), in the changing task and after the change
//! was made. That breaks the leases on the file at once, and a worker tells their
//! holders.
//!
//! A peer is answered about a change only when all holders of what it has changed
//! have replied, or cannot rely on their leases any more ([`Changing`]). So what one
//! device was told is done is what every other one sees. Programs of this device wait
//! for that too, but for a moment only ([`MOMENT`]), because they may hold locks of
//! the lower file system; a holder that takes longer is not waited for again soon.
//!
//! # When a holder does not reply
//!
//! A device relies on leases only as long as it has a link, and a link on which nothing
//! arrives for six seconds is dead (`link::liveness`). After [`PATIENCE`], which is longer, a
//! device that has not replied either has no link any more, or its link works and it breaks the
//! rules, which is its own loss. Its links are ended, and for a while it gets no leases.

use hmdfs_kapi::{
    vfs::Path,
    workqueue::OwnedQueue, //
};
use hmdfs_model::lease::{Granted, Slot};
use hmdfs_proto::{Encoder, Handle, Lease, Opcode, OpenFiles, Recall};
use kernel::{
    new_condvar, new_spinlock,
    prelude::*,
    sync::{atomic::Atomic, Arc, CondVar, CondVarTimeoutResult, SpinLock},
    time::{delay::fsleep, msecs_to_jiffies, Delta, Instant, Monotonic},
};

use super::{opened::Opened, writers::Writers, writing::Writing};
use crate::{link::DownReason, peer::Peer};

/// Most leases of one holder.
const MOST: usize = 1 << 16;

/// Lists among which these are found.
const BUCKETS: usize = 1 << 15;

/// How long a holder may take to reply, in milliseconds. More than a link without a sign of life
/// lives, and less than a call may take.
const PATIENCE: u32 = 7_000;

/// How long a peer that opens a file for writing waits for the holders of leases on it, in milliseconds.
const SHORT: u32 = 3_000;

/// How long a program of this device waits for a holder to reply, in milliseconds.
pub(super) const MOMENT: u32 = 1_000;

/// How long no program of this device waits for a holder that took longer.
const SLOW: Delta = Delta::from_secs(10);

/// For how many holders it waits.
const MOST_WAITED_FOR: usize = 8;

/// How often, in milliseconds, a holder without a link is looked for.
const RETRY: i64 = 100;

/// How long a device that did not reply gets no leases.
const DISTRUST: Delta = Delta::from_secs(60);

/// A device that changes something keeps its own lease on it, because it is told what became of it.
/// When that takes so long that it may have given up waiting, it does not.
const PROMPT: Delta = Delta::from_secs(5);

/// All leases of an export.
pub(crate) struct Leases {
    shared: Pin<KBox<Shared>>,
    /// In which holders are told.
    queue: OwnedQueue,
    /// Whether leases are given at all.
    enabled: bool,
}

/// What tasks that change something look at. The locks of [`Holder`] are taken under `holders`.
#[pin_data]
struct Shared {
    /// The peers that have leases.
    #[pin]
    holders: SpinLock<KVec<Arc<Peer>>>,
    /// The tasks that change something for a peer.
    #[pin]
    changing: SpinLock<KVec<Change>>,
    /// How many files any peer may be writing to.
    noted: Atomic<usize>,
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
enum Changer {
    /// A program of this device.
    Program,
    /// The peer that has the lease.
    Holder,
    /// Another one.
    Peer,
}

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
    granted: Option<Granted<KVVec<Slot>, KVVec<u32>>>,
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

    /// Whether it took too long lately to be waited for again.
    pub(super) fn is_late(&self) -> bool {
        let late = self.state.lock().late;
        late.is_some_and(|since| since.elapsed() < SLOW)
    }

    /// It has taken too long to send what it has written.
    pub(super) fn set_late(&self) {
        self.state.lock().late = Some(Instant::now());
    }

    /// Gives up the files without a name that are kept for the peer in other sessions than
    /// `session`. Sleeps.
    pub(crate) fn expire(&self, session: u64) {
        let before = self.opened.lock().begin(session);
        // Not under the lock.
        drop(before);
    }

    /// Takes all leases back: what the peer may do here has changed. The caller has it told.
    fn break_all(&self) {
        if let Some(granted) = &mut self.state.lock().granted {
            granted.change_all();
        }
    }
}

impl Leases {
    /// No leases yet, on files of the file system of `root`.
    pub(super) fn new(root: &Path) -> Result<Self> {
        Ok(Self {
            shared: KBox::pin_init(
                pin_init!(Shared {
                    holders <- new_spinlock!(KVec::new(), "Leases::holders"),
                    changing <- new_spinlock!(KVec::new(), "Leases::changing"),
                    noted: Atomic::new(0),
                }),
                GFP_KERNEL,
            )?,
            queue: OwnedQueue::new(c"hmdfs-leases")?,
            // Leases are found by inode numbers, also when the inode has left the memory meanwhile.
            // On these file systems it comes back with another one.
            enabled: ![c"vfat", c"msdos", c"exfat"].contains(&root.file_system_name()),
        })
    }

    /// Gives a lease on the file at `path`, if one can be had now. To be called before what it is
    /// about is looked up. What the export itself has open for writing is in
    /// `writers`.
    pub(super) fn grant(
        &self,
        peer: &Arc<Peer>,
        path: &Path,
        handle: &Handle,
        writers: &Writers,
    ) -> Lease {
        let given = self.note(peer, path, handle);
        if path.is_reg() && path.has_writers_besides(writers.count(path)) {
            // Its data may change at any time, and nobody would tell. The lease stays: there may be an
            // older one.
            return Lease::Busy;
        }
        match given {
            true if path.has_no_xattrs() => Lease::Bare,
            true => Lease::Granted,
            false => Lease::None,
        }
    }

    /// Notes a lease; false if none can be had.
    fn note(&self, peer: &Arc<Peer>, path: &Path, handle: &Handle) -> bool {
        let (ino, key) = (path.ino(), handle.identity().key());
        if !self.enabled || self.admit(peer).is_err() {
            return false;
        }
        let (given, has_broken) = {
            let mut state = peer.holder().state.lock();
            if state
                .distrusted
                .is_some_and(|since| since.elapsed() < DISTRUST)
            {
                return false;
            }
            let Some(granted) = &mut state.granted else {
                return false;
            };
            (granted.grant(ino, key), granted.has_broken())
        };
        if has_broken {
            self.wake(peer);
        }
        given
    }

    /// Makes a peer one of those that have leases.
    pub(super) fn admit(&self, peer: &Arc<Peer>) -> Result {
        let holder = peer.holder();
        if holder.state.lock().granted.is_some() {
            return Ok(());
        }
        let slots = KVVec::from_elem(Slot::EMPTY, MOST, GFP_KERNEL)?;
        let buckets = KVVec::from_elem(0, BUCKETS, GFP_KERNEL)?;
        let mut granted = Some(Granted::new(slots, buckets));
        let mut forgotten = None;
        let result = {
            let mut holders = self.shared.holders.lock();
            let known = holders.iter().position(|other| other.is_forgotten());
            if let Some(place) = known {
                forgotten = holders.remove(place).ok();
            }
            let is_forgotten = peer.is_forgotten();
            let mut state = holder.state.lock();
            if state.granted.is_some() || is_forgotten {
                Ok(())
            } else {
                holders
                    .push(peer.clone(), GFP_ATOMIC)
                    .map(|()| state.granted = granted.take())
            }
        };
        // Not under the locks: it may be the last reference, and much memory.
        drop((forgotten, granted));
        Ok(result?)
    }

    /// The file with this inode number has changed. Called by the task that changed it, perhaps with
    /// locks of the lower file system held. Sleeps for a moment at most.
    ///
    /// Nobody waits for what is not there any more (`is_there`): that it is gone is told of its
    /// directory, which counts.
    pub(crate) fn changed(&self, ino: u64, is_there: bool) {
        let mut waited_for: [Option<Arc<Peer>>; MOST_WAITED_FOR] =
            [const { None }; MOST_WAITED_FOR];
        {
            let holders = self.shared.holders.lock();
            let mut places = waited_for.iter_mut();
            for peer in holders.iter() {
                let mut state = peer.holder().state.lock();
                let Some(granted) = &mut state.granted else {
                    continue;
                };
                if !granted.has(ino) {
                    continue;
                }
                let by = self.changer(peer);
                if by == Changer::Holder {
                    continue;
                }
                granted.change(ino);
                self.wake(peer);
                let is_slow = state.slow.is_some_and(|since| since.elapsed() < SLOW);
                if by == Changer::Program && is_there && !is_slow {
                    if let Some(place) = places.next() {
                        *place = Some(peer.clone());
                    }
                }
            }
        }
        for peer in waited_for.into_iter().flatten() {
            let holder = peer.holder();
            if !holder.wait(MOMENT) {
                holder.state.lock().slow = Some(Instant::now());
            }
        }
    }

    /// Whom the calling task makes changes for, seen from the holder `peer`. If that is another
    /// peer, it is noted that this one's leases were broken.
    fn changer(&self, peer: &Peer) -> Changer {
        let task = current!().pid();
        let mut changing = self.shared.changing.lock();
        let Some(change) = changing.iter_mut().find(|change| change.task == task) else {
            return Changer::Program;
        };
        if change.peer == peer.serial() && change.begun.elapsed() < PROMPT {
            return Changer::Holder;
        }
        change.broke = true;
        Changer::Peer
    }

    /// A peer is about to make changes to the file with this inode number that nobody will be told of:
    /// breaks the leases of others, and waits until they rely on them no more; but not for long, because when
    /// the changes come, they are waited for again.
    pub(super) fn break_others(&self, peer: &Peer, ino: u64) {
        let mut broke = false;
        for other in self.shared.holders.lock().iter() {
            if other.serial() == peer.serial() {
                continue;
            }
            let mut state = other.holder().state.lock();
            if state
                .granted
                .as_mut()
                .is_some_and(|granted| granted.change(ino))
            {
                broke = true;
                self.wake(other);
            }
        }
        if broke {
            self.wait_for_others(peer.serial(), |other| {
                other.holder().wait(SHORT);
            });
        }
    }

    /// Calls `wait` with all holders but one.
    fn wait_for_others(&self, changer: u64, wait: impl Fn(&Peer)) {
        for number in 0.. {
            let peer = self.shared.holders.lock().get(number).cloned();
            let Some(peer) = peer else {
                return;
            };
            if peer.serial() != changer {
                wait(&peer);
            }
        }
    }

    /// Whether leases are given at all.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// How many files any peer may be writing to.
    pub(super) fn noted(&self) -> &Atomic<usize> {
        &self.shared.noted
    }

    /// The peers that have leases, or files open.
    pub(super) fn holders(&self) -> &SpinLock<KVec<Arc<Peer>>> {
        &self.shared.holders
    }

    /// From here on, what the calling task removes for a peer is what that has open, or is not.
    pub(super) fn set_keeps(&self, keeps: bool) {
        let task = current!().pid();
        let mut changing = self.shared.changing.lock();
        if let Some(change) = changing.iter_mut().find(|change| change.task == task) {
            change.keeps = keeps;
        }
    }

    /// If the calling task makes changes for `peer`: whether that has what is removed open.
    pub(super) fn keeps(&self, peer: &Peer) -> Option<bool> {
        let task = current!().pid();
        let changing = self.shared.changing.lock();
        let change = changing.iter().find(|change| change.task == task)?;
        (change.peer == peer.serial()).then_some(change.keeps)
    }

    /// Takes all leases of a peer back, and waits until it knows.
    pub(crate) fn break_all(&self, peer: &Arc<Peer>) {
        peer.holder().break_all();
        self.wake(peer);
        if !peer.holder().wait(PATIENCE) {
            distrust(peer);
        }
    }

    /// Has a holder told. Does not sleep.
    pub(super) fn wake(&self, peer: &Arc<Peer>) {
        // Refused when that is about to be done.
        let _ = self.queue.enqueue::<Arc<Peer>, 4>(peer.clone());
    }

    /// From here on until [`Changing::settle`], the calling task makes changes for `peer`.
    pub(super) fn change(&self, peer: &Arc<Peer>) -> Result<Changing<'_>> {
        let change = Change {
            task: current!().pid(),
            peer: peer.serial(),
            begun: Instant::now(),
            broke: false,
            keeps: false,
        };
        self.shared.changing.lock().push(change, GFP_ATOMIC)?;
        Ok(Changing(self))
    }

    /// Gives up all holders, when there will be no more, and waits until nobody is told anything.
    pub(crate) fn flush(&self) {
        let holders = core::mem::take(&mut *self.shared.holders.lock());
        self.queue.flush();
        for peer in &holders {
            // No session has this number any more.
            peer.holder().expire(!peer.sessions().serving());
        }
        drop(holders);
    }
}

/// Changes that are made for a peer, by one task.
pub(super) struct Changing<'a>(&'a Leases);

impl Changing<'_> {
    /// All changes were made: waits until no other device relies on what was before.
    pub(super) fn settle(self) {
        let leases = self.0;
        let Some(change) = self.remove() else {
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

    fn remove(&self) -> Option<Change> {
        let task = current!().pid();
        let mut changing = self.0.shared.changing.lock();
        let place = changing.iter().position(|change| change.task == task)?;
        changing.remove(place).ok()
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        // Nothing is left after `settle`.
        let _ = self.remove();
    }
}

impl Holder {
    /// Waits until the holder relies on none of the leases that are broken now; false when that is
    /// not known after so many milliseconds.
    fn wait(&self, patience: u32) -> bool {
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

    /// The next broken leases, and of how many the holder was told when it was told of these.
    fn take(&self, keys: &mut [u64]) -> Option<(usize, u64)> {
        let mut state = self.state.lock();
        let granted = state.granted.as_mut()?;
        let count = granted.take(keys);
        (count != 0).then(|| (count, granted.taken()))
    }

    /// The holder relies on none of the first `count` leases that were broken.
    fn set_void(&self, count: u64) {
        {
            let mut state = self.state.lock();
            state.void = state.void.max(count);
        }
        self.told.notify_all();
    }
}

/// Tells a holder of all leases that were broken, and asks which files it has open.
pub(crate) fn tell(peer: &Arc<Peer>) {
    let holder = peer.holder();
    let mut keys = [0; Recall::MAX / 8];
    let mut answers = true;
    loop {
        let broken = holder.take(&mut keys);
        let count = broken.map_or(0, |(count, _)| count);
        let count = holder.opened.lock().ask(&mut keys, count, answers);
        if count == 0 {
            return;
        }
        let asked = keys.get(..count).unwrap_or(&[]);
        let answer = match deliver(peer, asked) {
            Delivery::Answered(open) => Some(open),
            Delivery::Gone => None,
            Delivery::Silent => {
                distrust(peer);
                None
            }
        };
        answers &= answer.is_some();
        let closed = holder.opened.lock().answered(asked, answer.as_ref());
        if let Some((_, told)) = broken {
            holder.set_void(told);
        }
        // Not under the lock: files may be closed.
        drop(closed);
    }
}

/// How it went to tell a holder something.
enum Delivery {
    /// It has replied.
    Answered(OpenFiles),
    /// It cannot rely on leases any more.
    Gone,
    /// It is there, and does not reply.
    Silent,
}

/// Tells a holder that the leases on the files with these keys are broken.
fn deliver(peer: &Peer, keys: &[u64]) -> Delivery {
    let begun = Instant::<Monotonic>::now();
    let mut body = [0; Recall::MAX_SIZE / 8];
    let mut encoder = Encoder::new(&mut body);
    if keys.is_empty() || Recall::encode(keys, &mut encoder).is_err() {
        return Delivery::Silent;
    }
    let length = encoder.len();
    let body = body.get(..length).unwrap_or(&[]);
    loop {
        let passed = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        let left = PATIENCE.saturating_sub(passed);
        // After so long without a link, it relies on nothing.
        if left == 0 || peer.is_forgotten() || peer.is_without_link_for(i64::from(PATIENCE)) {
            return Delivery::Gone;
        }
        match peer.tell(Opcode::Recall, body, left) {
            Ok(open) => return Delivery::Answered(open),
            Err(error) if error == ETIMEDOUT => return Delivery::Silent,
            // The link has ended. There may be another one.
            Err(_) => fsleep(Delta::from_millis(RETRY)),
        }
    }
}

/// Ends the links of a peer that does not reply, so that it cannot rely on its leases.
fn distrust(peer: &Peer) {
    pr_warn!("{} does not give leases back\n", peer.name());
    peer.holder().state.lock().distrusted = Some(Instant::now());
    peer.end_links(DownReason::Timeout);
}
