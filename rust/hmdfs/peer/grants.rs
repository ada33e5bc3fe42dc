// SPDX-License-Identifier: GPL-2.0

//! Telling a peer of locks that it got after it had waited, and ending what is held for it.

use hmdfs_kapi::{errno::ENOTCONN, memalloc::NofsScope, workqueue::cancel_delayed_work};
use hmdfs_proto::{Locking, Operation};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{msecs_to_jiffies, Jiffies},
    workqueue::{Queue, WorkItem},
};

use super::Peer;
use crate::{
    export::{Grant, Waker},
    link::{Completion, Destination, Reply},
    mount::Mount,
    remote::compound,
};

/// For how long a peer that went offline keeps its locks, in milliseconds, if it may not know that
/// it is: it must have given them up when others get them. It notices by the same rules as this
/// device, but what it heard last may be two PINGs newer.
const FENCE: u32 = 4_000;

/// Milliseconds after which a peer is told again.
const PAUSE: u32 = 100;

/// Sees to it that a peer is told of the locks that it got.
pub(crate) struct Bell {
    mount: Arc<Mount>,
    peer: Arc<Peer>,
}

impl Bell {
    /// The bell of `peer`. It must not be kept for longer than what the peer holds.
    pub(crate) fn of(mount: &Arc<Mount>, peer: &Arc<Peer>) -> Result<Arc<dyn Waker>> {
        let bell = Self {
            mount: mount.clone(),
            peer: peer.clone(),
        };
        Ok(Arc::new(bell, GFP_KERNEL)?)
    }
}

impl Waker for Bell {
    fn wake(&self) {
        // Refused when it is about to run: then it sees what there is.
        let queue = self.mount.peers.serve();
        let _ = queue.enqueue_delayed::<Arc<Peer>, 2>(self.peer.clone(), 0);
    }

    fn wake_later(&self) {
        let queue = self.mount.peers.serve();
        self.peer.schedule::<2>(queue, msecs_to_jiffies(PAUSE));
    }
}

impl Peer {
    /// The peer went offline. What is held for it is given up: at once if it knows, or after a
    /// while.
    pub(crate) fn end_session(self: &Arc<Self>, queue: &Queue, knows: bool) {
        self.sessions.wake_ended();
        if knows || !self.schedule::<3>(queue, msecs_to_jiffies(FENCE)) {
            self.expire();
        }
    }

    /// Cancels what would be done later; called when no more links are taken.
    pub(super) fn cancel_delayed(self: &Arc<Self>) {
        cancel_delayed_work::<Self, 2>(self);
        cancel_delayed_work::<Self, 3>(self);
        self.expire();
    }

    /// Gives up what was held for the peer in sessions before this one. Sleeps.
    pub(crate) fn expire(&self) {
        self.sessions.expire();
        self.holder().expire(self.sessions.serving());
    }

    /// Has work done later; false when the peer is forgotten, and nothing may come later.
    fn schedule<const ID: u64>(self: &Arc<Self>, queue: &Queue, delay: Jiffies) -> bool
    where
        Self: kernel::workqueue::HasDelayedWork<Self, ID> + WorkItem<ID, Pointer = Arc<Self>>,
    {
        let links = self.links.lock();
        if !links.is_forgotten() {
            // Refused when it is to come already.
            let _ = queue.enqueue_delayed::<Arc<Self>, ID>(self.clone(), delay);
        }
        !links.is_forgotten()
    }

    fn tell_granted(self: &Arc<Self>, grant: Grant) {
        let operation = Operation::Locking(Locking::Granted {
            session: grant.session,
            waiter: grant.waiter,
            status: grant.status,
        });
        let told = Told {
            peer: self.clone(),
            grant,
            heard: false,
        };
        if let Ok(request) = compound::request(&[operation], 0) {
            // Without memory, dropping it says that nobody was told.
            if let Ok(told) = KBox::new(told, GFP_KERNEL) {
                self.call(request, told);
            }
        }
    }
}

/// A peer that is being told.
struct Told {
    peer: Arc<Peer>,
    grant: Grant,
    heard: bool,
}

impl Completion for Told {
    fn destination(&mut self, _length: u32) -> Result<Destination<'_>> {
        // No data are asked for.
        Err(EINVAL)
    }

    fn complete(&mut self, result: Result<Reply>) {
        // Any answer will do but one that says that the message was not looked at.
        self.heard = match result {
            Ok(_) => true,
            Err(error) => error != ENOTCONN && error != ETIMEDOUT && error != ENOMEM,
        };
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.peer
            .sessions
            .held()
            .answered(self.grant.waiter, self.heard);
        if !self.heard && self.peer.is_online() {
            self.grant.waker.wake_later();
        }
    }
}

impl WorkItem<2> for Peer {
    type Pointer = Arc<Peer>;

    fn run(this: Arc<Peer>) {
        let _nofs = NofsScope::enter();
        for grant in this.sessions.held().grants() {
            this.tell_granted(grant);
        }
    }
}

impl WorkItem<3> for Peer {
    type Pointer = Arc<Peer>;

    fn run(this: Arc<Peer>) {
        this.expire();
    }
}
