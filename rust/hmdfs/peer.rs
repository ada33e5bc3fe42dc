// SPDX-License-Identifier: GPL-2.0

//! Peers: the other devices, as one mount sees them.
//!
//! A call goes to the link of the peer that has the least to do. When the peer
//! holds as many requests as it said it would, calls wait in a queue, which is
//! emptied as replies arrive. A peer without a link is offline, and calls to it
//! fail at once.
//!
//! # Locks
//!
//! `queue`, then `links`, then the table of calls of a link; none is held while a
//! message is sent or a call ends.

pub(crate) mod call;
pub(crate) mod device;
#[cfg(HMDFS_KUNIT)]
mod kunit;
mod queue;
mod table;

pub(crate) use device::{
    DeviceId,
    DeviceName,
    DeviceSettings,
    SettingsError, //
};
pub(crate) use table::Peers;

use crate::{
    export::Client,
    link::{
        Completion,
        Link,
        Reply,
        Request, //
    },
};
use call::{
    Call,
    Sink,
    Waiter, //
};
use hmdfs_kapi::{
    errno::ENOTCONN,
    memalloc::NofsScope, //
};
use hmdfs_model::security::{
    Access,
    Level, //
};
use kernel::{
    impl_has_work, new_mutex, new_spinlock, new_work,
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
        Work,
        WorkItem, //
    },
};
use queue::{
    Outgoing,
    Place,
    Queue, //
};

/// Most links to one peer.
pub(crate) const MAX_LINKS: usize = 4;

/// Most bytes in the body of a request; bounds what requests that wait for their
/// turn may keep in memory, together with the window.
pub(crate) const MAX_REQUEST_BODY: usize = 64 << 10;

/// The links of a peer.
struct Links {
    places: [Option<Arc<Link>>; MAX_LINKS],
    /// The device was deleted; there will be no more links.
    forgotten: bool,
}

/// Why a peer did not take a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkRefusal {
    /// There are [`MAX_LINKS`].
    TooMany,
    /// The device was deleted.
    Forgotten,
}

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
    #[pin]
    links: SpinLock<Links>,
    /// Number of links that are up; changed with `links` locked.
    up: Atomic<u32>,
    #[pin]
    queue: Mutex<Queue>,
    /// Length of the queue; changed with `queue` locked.
    queued: Atomic<u32>,
    /// Whether something was changed there since the peer was last asked to bring everything to
    /// stable storage; 0 or 1.
    unsynced: Atomic<u32>,
    #[pin]
    pump: Work<Peer>,
}

impl_has_work! {
    impl HasWork<Self> for Peer { self.pump }
}

impl Peer {
    fn new(id: DeviceId, number: u32, name: DeviceName) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                id,
                serial: NEXT_SERIAL.fetch_add(1, Relaxed),
                number,
                name <- new_spinlock!(name, "Peer::name"),
                access: Atomic::new(0),
                level: Atomic::new(0),
                links <- new_spinlock!(
                    Links { places: [const { None }; MAX_LINKS], forgotten: false },
                    "Peer::links"
                ),
                up: Atomic::new(0),
                queue <- new_mutex!(Queue::default(), "Peer::queue"),
                queued: Atomic::new(0),
                unsynced: Atomic::new(0),
                pump <- new_work!("Peer::pump"),
            }),
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

    /// Whether at least one link is up.
    pub(crate) fn is_online(&self) -> bool {
        self.links_up() != 0
    }

    /// Number of links that are up.
    pub(crate) fn links_up(&self) -> u32 {
        self.up.load(Relaxed)
    }

    /// Something was changed there, which may not be on stable storage.
    pub(crate) fn set_unsynced(&self) {
        self.unsynced.store(1, Relaxed);
    }

    /// Whether something may have to be brought to stable storage there. The caller sees to that,
    /// or says [`Peer::set_unsynced`] again.
    pub(crate) fn take_unsynced(&self) -> bool {
        self.unsynced.xchg(0, Full) != 0
    }

    /// Asks the peer, and waits for its reply. Data that follow it are in
    /// [`Reply::data`].
    ///
    /// Errors: `ENOTCONN` when the peer is or goes offline, `ETIMEDOUT` when it
    /// does not answer, `EINTR` when the task is being killed, `EMSGSIZE` when the
    /// body is above [`MAX_REQUEST_BODY`], `ENOMEM`, and the error of the reply when
    /// the peer did not begin with the request.
    pub(crate) fn call_sync(&self, request: Request) -> Result<Reply> {
        let _nofs = NofsScope::enter();
        let waiter = Waiter::new()?;
        self.dispatch(request, Sink::Waiter(waiter.clone()));
        waiter.wait()
    }

    /// Asks the peer; `completion` is told the reply. Never waits for the peer to
    /// answer anything; may wait for room in the socket.
    ///
    /// The completion ends with the errors of [`Peer::call_sync`], but for `EINTR`,
    /// perhaps before this returns.
    pub(crate) fn call(&self, request: Request, completion: KBox<dyn Completion>) {
        let _nofs = NofsScope::enter();
        self.dispatch(request, Sink::Completion(completion));
    }

    fn dispatch(&self, request: Request, sink: Sink) {
        let call = Call::new(&request, sink);
        if request.body.len() > MAX_REQUEST_BODY {
            return call.complete(Err(EMSGSIZE));
        }
        let mut outgoing = Outgoing {
            call,
            body: request.body,
            data: request.data,
        };
        // Nobody overtakes those who wait already.
        if self.queued.load(Relaxed) == 0 {
            match self.reserve(outgoing.call) {
                Ok((link, id, patience)) => {
                    return link.send_call(id, patience, &outgoing.body, outgoing.data.as_ref())
                }
                Err(call) => outgoing.call = call,
            }
        }
        self.enqueue(outgoing);
    }

    /// Gives a call to the link with the fewest calls that has room for it.
    fn reserve(&self, mut call: Call) -> Result<(Arc<Link>, u64, u32), Call> {
        let mut tried = [false; MAX_LINKS];
        for _ in 0..MAX_LINKS {
            let Some((place, link)) = self.least_busy(&tried) else {
                break;
            };
            if let Some(tried) = tried.get_mut(place) {
                *tried = true;
            }
            let patience = call.patience();
            match link.reserve(call) {
                Ok(id) => return Ok((link, id, patience)),
                Err(back) => call = back,
            }
        }
        Err(call)
    }

    fn least_busy(&self, tried: &[bool; MAX_LINKS]) -> Option<(usize, Arc<Link>)> {
        let links = self.links.lock();
        links
            .places
            .iter()
            .enumerate()
            .zip(tried)
            .filter_map(|((place, link), &tried)| Some((place, link.as_ref()?, tried)))
            .filter(|(_, link, tried)| !tried && link.is_up())
            .min_by_key(|(_, link, _)| link.in_flight())
            .map(|(place, link, _)| (place, link.clone()))
    }

    fn enqueue(&self, outgoing: Outgoing) {
        let place = match Place::new(outgoing) {
            Ok(place) => place,
            Err(outgoing) => return outgoing.call.complete(Err(ENOMEM)),
        };
        {
            let mut queue = self.queue.lock();
            // Whoever takes the last link away empties the queue afterwards: a call
            // that is queued here while the peer is online is not forgotten.
            if !self.is_online() {
                drop(queue);
                return Place::into_outgoing(place)
                    .call
                    .complete(Err(ENOTCONN.into()));
            }
            queue.push(place);
            self.queued.fetch_add(1, Full);
        }
        // A slot may have become free before the call was seen in the queue.
        if let Some((_, link)) = self.least_busy(&[false; MAX_LINKS]) {
            link.pump();
        }
    }

    /// Whether calls wait for a link with room.
    pub(crate) fn has_queue(&self) -> bool {
        self.queued.load(Relaxed) != 0
    }

    /// Ends the calls whose deadline passed while they were in the queue, and gives
    /// their number.
    pub(crate) fn expire_queue(&self) -> u64 {
        let mut expired: u64 = 0;
        while self.has_queue() {
            let Some(outgoing) = self.pop_queue_if(|call| call.patience() == 0) else {
                break;
            };
            outgoing.call.complete(Err(ETIMEDOUT));
            expired = expired.saturating_add(1);
        }
        expired
    }

    fn pop_queue_if(&self, condition: impl FnOnce(&Call) -> bool) -> Option<Outgoing> {
        let mut queue = self.queue.lock();
        let outgoing = queue.pop_if(condition)?;
        self.queued.fetch_sub(1, Full);
        Some(outgoing)
    }

    /// Sends what waits until there is no more room.
    fn run_pump(&self) {
        while self.has_room() {
            let (link, id, patience, body, data) = {
                let mut queue = self.queue.lock();
                let Some(place) = queue.pop() else {
                    return;
                };
                let outgoing = Place::into_outgoing(place);
                match self.reserve(outgoing.call) {
                    Ok((link, id, patience)) => {
                        self.queued.fetch_sub(1, Full);
                        (link, id, patience, outgoing.body, outgoing.data)
                    }
                    Err(call) => {
                        let outgoing = Outgoing {
                            call,
                            body: outgoing.body,
                            data: outgoing.data,
                        };
                        match Place::new(outgoing) {
                            Ok(place) => queue.push_front(place),
                            Err(outgoing) => {
                                self.queued.fetch_sub(1, Full);
                                drop(queue);
                                outgoing.call.complete(Err(ENOMEM));
                            }
                        }
                        return;
                    }
                }
            };
            link.send_call(id, patience, &body, data.as_ref());
        }
    }

    fn has_room(&self) -> bool {
        self.links()
            .iter()
            .flatten()
            .any(|link| link.is_up() && link.has_room())
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

    /// A link is ready for calls; says whether the peer is online only now.
    pub(crate) fn link_came_up(&self) -> bool {
        let _links = self.links.lock();
        self.up.fetch_add(1, Full) == 0
    }

    /// Gives a link up that has ended; says whether the peer is offline only now.
    pub(crate) fn remove_link(&self, link: &Arc<Link>, was_up: bool) -> bool {
        let (removed, offline) = {
            let mut links = self.links.lock();
            let removed = links
                .places
                .iter_mut()
                .find(|place| place.as_ref().is_some_and(|other| Arc::ptr_eq(other, link)))
                .and_then(Option::take);
            let offline = was_up && removed.is_some() && self.up.fetch_sub(1, Full) == 1;
            (removed, offline)
        };
        // Not under the lock: it may be the last reference.
        drop(removed);
        if offline {
            while let Some(outgoing) = self.pop_queue_if(|_| true) {
                outgoing.call.complete(Err(ENOTCONN.into()));
            }
        }
        offline
    }

    /// The links, in no order.
    pub(crate) fn links(&self) -> [Option<Arc<Link>>; MAX_LINKS] {
        self.links.lock().places.clone()
    }

    /// Takes no more links.
    fn forget(&self) {
        self.links.lock().forgotten = true;
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

impl Client for Peer {
    fn access(&self) -> Access {
        Peer::access(self)
    }

    fn level(&self) -> Option<u8> {
        Peer::level(self).map(Level::number)
    }
}

impl WorkItem for Peer {
    type Pointer = Arc<Peer>;

    fn run(this: Arc<Peer>) {
        let _nofs = NofsScope::enter();
        this.run_pump();
    }
}
