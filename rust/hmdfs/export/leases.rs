// SPDX-License-Identifier: GPL-2.0

//! Leases that were given to peers, and taken back.
//!
//! A lease is noted before what it is about is looked up. Whoever changes a file, be
//! it a program of this device or the export for another one, makes the lower file
//! system tell of it ([`Leases::changed`]), in the changing task and after the change
//! was made. That breaks the leases on the file at once, and a worker tells their
//! holders ([`super::recall`]).
//!
//! A peer is answered about a change only when all holders of what it has changed
//! have replied, or cannot rely on their leases any more ([`super::changing`]). So what one
//! device was told is done is what every other one sees. Programs of this device wait
//! for that too, but for a moment only ([`MOMENT`]), because they may hold locks of
//! the lower file system; a holder that takes longer is not waited for again soon.

use hmdfs_kapi::{
    vfs::Path,
    workqueue::OwnedQueue, //
};
use hmdfs_proto::{Handle, Lease};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{atomic::Atomic, Arc, SpinLock},
};

use super::{
    changing::{Changer, Changes},
    holder::table,
    recall::{distrust, PATIENCE},
    writers::Writers,
};
use crate::peer::Peer;

/// How long a peer that opens a file for writing waits for the holders of leases on it, in milliseconds.
const SHORT: u32 = 3_000;

/// How long a program of this device waits for a holder to reply, in milliseconds.
pub(super) const MOMENT: u32 = 1_000;

/// For how many holders it waits.
const MOST_WAITED_FOR: usize = 8;

/// All leases of an export.
pub(crate) struct Leases {
    shared: Pin<KBox<Shared>>,
    /// In which holders are told.
    queue: OwnedQueue,
    /// Whether leases are given at all.
    enabled: bool,
}

/// What tasks that change something look at. The locks of a
/// [`Holder`](super::holder::Holder) are taken under `holders`.
#[pin_data]
struct Shared {
    /// The peers that have leases.
    #[pin]
    holders: SpinLock<KVec<Arc<Peer>>>,
    /// The tasks that change something for a peer.
    #[pin]
    changes: Changes,
    /// How many files any peer may be writing to.
    noted: Atomic<usize>,
}

impl Leases {
    /// No leases yet, on files of the file system of `root`.
    pub(super) fn new(root: &Path) -> Result<Self> {
        Ok(Self {
            shared: KBox::pin_init(
                pin_init!(Shared {
                    holders <- new_spinlock!(KVec::new(), "Leases::holders"),
                    changes <- Changes::new(),
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
        let (given, has_broken) = peer.holder().grant(ino, key);
        if has_broken {
            self.wake(peer);
        }
        given
    }

    /// Makes a peer one of those that have leases.
    pub(super) fn admit(&self, peer: &Arc<Peer>) -> Result {
        let holder = peer.holder();
        if holder.is_admitted() {
            return Ok(());
        }
        let mut table = Some(table()?);
        let mut forgotten = None;
        let result = {
            let mut holders = self.shared.holders.lock();
            let known = holders.iter().position(|other| other.is_forgotten());
            if let Some(place) = known {
                forgotten = holders.remove(place).ok();
            }
            if holder.is_admitted() || peer.is_forgotten() {
                Ok(())
            } else {
                holders
                    .push(peer.clone(), GFP_ATOMIC)
                    .map(|()| holder.admit(&mut table))
            }
        };
        // Not under the locks: it may be the last reference, and much memory.
        drop((forgotten, table));
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
                let mut by = Changer::Holder;
                let broke = peer.holder().changed(ino, || {
                    by = self.shared.changes.changer(peer);
                    by != Changer::Holder
                });
                if !broke {
                    continue;
                }
                self.wake(peer);
                if by == Changer::Program && is_there && !peer.holder().is_slow() {
                    if let Some(place) = places.next() {
                        *place = Some(peer.clone());
                    }
                }
            }
        }
        for peer in waited_for.into_iter().flatten() {
            if !peer.holder().wait(MOMENT) {
                peer.holder().set_slow();
            }
        }
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
            if other.holder().changed(ino, || true) {
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
    pub(super) fn wait_for_others(&self, changer: u64, wait: impl Fn(&Peer)) {
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

    /// The tasks that change something for a peer.
    pub(super) fn changes(&self) -> &Changes {
        &self.shared.changes
    }

    /// The peers that have leases, or files open.
    pub(super) fn holders(&self) -> &SpinLock<KVec<Arc<Peer>>> {
        &self.shared.holders
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
