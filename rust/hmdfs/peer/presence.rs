// SPDX-License-Identifier: GPL-2.0

//! Whether a peer is there: its links, and its epochs.
//!
//! A peer is online from its first link on until its last one is gone. If that ended without
//! a goodbye, the peer counts as there for a little longer, in which another link may come
//! about: until nothing has been heard of it for as long as a call may take. Calls
//! wait for that meanwhile.

use super::{
    call::DEADLINE,
    Peer,
    MAX_LINKS, //
};
use crate::{
    control::notify,
    link::{
        DownReason,
        Link,
        LinkState, //
    },
    mount::Mount,
};
use hmdfs_kapi::memalloc::NofsScope;
use hmdfs_model::slots::Greeting;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Full,
            Relaxed, //
        },
        Arc, //
    },
    time::{
        msecs_to_jiffies,
        Instant,
        Monotonic, //
    },
    workqueue::WorkItem,
};

/// Milliseconds between two looks at a peer without links.
const TICK: u32 = 500;

/// The links of a peer.
pub(super) struct Links {
    places: [Option<Arc<Link>>; MAX_LINKS],
    /// The device was deleted; there will be no more links.
    forgotten: bool,
    /// While the last link has ended, and another one is hoped for.
    hope: Option<Hope>,
    /// When the last link ended.
    lost: Option<Instant<Monotonic>>,
}

struct Hope {
    since: Instant<Monotonic>,
    /// Milliseconds.
    patience: u32,
    /// The mount. It ends all hope before it ends itself.
    mount: Arc<Mount>,
}

impl Hope {
    fn is_over(&self) -> bool {
        self.since.elapsed().as_millis() >= i64::from(self.patience)
    }
}

impl Links {
    pub(super) const fn new() -> Self {
        Self {
            places: [const { None }; MAX_LINKS],
            forgotten: false,
            hope: None,
            lost: None,
        }
    }

    pub(super) fn places(&self) -> &[Option<Arc<Link>>; MAX_LINKS] {
        &self.places
    }

    /// Whether there will be no more links.
    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten
    }

    fn is_greeting(&self) -> bool {
        self.places
            .iter()
            .flatten()
            .any(|link| link.state() == LinkState::Greeting)
    }
}

/// Why a peer did not take a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkRefusal {
    /// There are [`MAX_LINKS`].
    TooMany,
    /// The device was deleted.
    Forgotten,
}

impl Peer {
    /// Whether at least one link is up, or may be again soon.
    pub(crate) fn is_online(&self) -> bool {
        self.online.load(Relaxed) != 0
    }

    /// Number of links that are up.
    pub(crate) fn links_up(&self) -> u32 {
        self.up.load(Relaxed)
    }

    /// The links, in no order.
    pub(crate) fn links(&self) -> [Option<Arc<Link>>; MAX_LINKS] {
        self.links.lock().places.clone()
    }

    /// Takes a link that is about to begin.
    pub(crate) fn add_link(&self, link: &Arc<Link>) -> Result<(), LinkRefusal> {
        let mut links = self.links.lock();
        if links.forgotten {
            return Err(LinkRefusal::Forgotten);
        }
        match links.places.iter_mut().find(|place| place.is_none()) {
            Some(place) => {
                *place = Some(link.clone());
                Ok(())
            }
            None => Err(LinkRefusal::TooMany),
        }
    }

    /// The peer tells the epoch in which it speaks on a new link, and for how many slots it
    /// keeps replies; false when that epoch has ended. `errors` marks those that it cannot have
    /// caused in a new one.
    ///
    /// In a new epoch the peer knows nothing of what was sent before, and sends nothing of
    /// before either.
    pub(crate) fn greet(&self, epoch: u64, slots: u16, errors: u32) -> bool {
        // Locked until everything is as in the new epoch.
        let mut epochs = self.epochs.lock();
        match epochs.greet(epoch) {
            Greeting::Known => true,
            Greeting::Ended => false,
            Greeting::New => {
                self.slots.lock().begin(epoch, slots);
                self.replay.begin_epoch(epoch, errors);
                for link in self.links().iter().flatten() {
                    if link.is_up() && link.epoch() != epoch {
                        link.end(DownReason::Closed, 0);
                    }
                }
                true
            }
        }
    }

    /// A link is ready for calls; says whether the peer is online only now.
    pub(crate) fn link_came_up(&self) -> bool {
        let (hope, online) = {
            let mut links = self.links.lock();
            self.up.fetch_add(1, Full);
            (links.hope.take(), self.online.xchg(1, Full) == 0)
        };
        // Not under the lock, like everything that may have to be freed.
        drop(hope);
        online
    }

    /// Gives a link up that has ended for this reason. It has spoken for the peer if it `was_up`;
    /// whether a peer without links may return depends on how the last one ended.
    pub(crate) fn remove_link(
        self: &Arc<Self>,
        link: &Arc<Link>,
        mount: &Arc<Mount>,
        was_up: bool,
        reason: DownReason,
    ) {
        let mut gone = false;
        let mut hopes = false;
        let removed = {
            let mut links = self.links.lock();
            let removed = links
                .places
                .iter_mut()
                .find(|place| place.as_ref().is_some_and(|other| Arc::ptr_eq(other, link)))
                .and_then(Option::take);
            if was_up && removed.is_some() && self.up.fetch_sub(1, Full) == 1 {
                links.lost = Some(Instant::now());
                hopes = !links.forgotten && (!reason.is_final() || links.is_greeting());
                gone = !hopes;
                if hopes {
                    links.hope = Some(Hope {
                        since: Instant::now(),
                        patience: DEADLINE.saturating_sub(link.silence()),
                        mount: mount.clone(),
                    });
                } else {
                    self.go_offline();
                    if reason == DownReason::PeerBye {
                        // Before it can have another link: it relies on nothing any more.
                        self.holder.clear();
                    }
                }
            }
            removed
        };
        drop(removed);
        if hopes {
            self.look_again(mount);
        }
        if gone {
            self.leave(mount, reason.is_final());
        }
    }

    /// Whether there will be no more links.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.links.lock().forgotten
    }

    /// Whether there was no link for more than so many milliseconds.
    pub(crate) fn is_without_link_for(&self, milliseconds: i64) -> bool {
        let links = self.links.lock();
        self.links_up() == 0
            && links
                .lost
                .is_none_or(|since| since.elapsed().as_millis() > milliseconds)
    }

    /// Ends all links, without waiting.
    pub(crate) fn end_links(&self, reason: DownReason) {
        for link in self.links().into_iter().flatten() {
            link.end(reason, 0);
        }
    }

    /// Takes no more links.
    pub(super) fn forget(&self) {
        let hope = {
            let mut links = self.links.lock();
            links.forgotten = true;
            if links.hope.is_some() {
                self.go_offline();
            }
            links.hope.take()
        };
        if hope.is_some() {
            self.fail_queue();
        }
    }

    /// Without a link, the peer is gone as soon as somebody looks.
    pub(super) fn lose_hope(&self) {
        if let Some(hope) = &mut self.links.lock().hope {
            hope.patience = 0;
        }
    }

    fn look_again(self: &Arc<Self>, mount: &Mount) {
        // Refused when it is waiting already, or being cancelled.
        let _ = mount
            .peers
            .control()
            .enqueue_delayed::<Arc<Self>, 1>(self.clone(), msecs_to_jiffies(TICK));
    }

    fn look(self: &Arc<Self>) {
        let (mount, hope) = {
            let mut links = self.links.lock();
            let Some(hope) = &links.hope else {
                return;
            };
            let mount = hope.mount.clone();
            let over = links.hope.take_if(|hope| hope.is_over());
            if over.is_some() {
                self.go_offline();
            }
            (mount, over)
        };
        if hope.is_some() {
            return self.leave(&mount, false);
        }
        self.expire_queue();
        self.look_again(&mount);
    }

    /// The peer is offline from now on. `links` are locked.
    fn go_offline(&self) {
        self.online.store(0, Relaxed);
        self.sessions.end();
    }

    /// The peer has gone offline, and perhaps `knows` that it has.
    fn leave(self: &Arc<Self>, mount: &Mount, knows: bool) {
        self.end_session(mount.peers.serve(), knows);
        self.fail_queue();
        mount.peers.bump();
        pr_info!("{} is offline\n", self.name());
        notify::device(mount, self);
    }
}

impl WorkItem<1> for Peer {
    type Pointer = Arc<Peer>;

    fn run(this: Arc<Peer>) {
        let _nofs = NofsScope::enter();
        this.look();
    }
}
