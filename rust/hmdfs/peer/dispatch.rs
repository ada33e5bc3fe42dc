// SPDX-License-Identifier: GPL-2.0

//! How calls get to links, and get there again when a link ends.

use super::{
    call::{
        Call,
        Flow,
        Sink,
        Waiter, //
    },
    queue::{
        Lane,
        Place, //
    },
    Peer, MAX_LINKS, MAX_REQUEST_BODY,
};
use crate::link::{
    Completion,
    Effect,
    Link,
    Reply,
    Request,
    Sending, //
};
use hmdfs_kapi::{
    errno::ENOTCONN,
    memalloc::NofsScope, //
};
use hmdfs_model::slots::Ticket;
use hmdfs_proto::{
    Operation,
    RequestWriter,
    ONCE_SIZE, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc, //
    },
    workqueue::WorkItem,
};

/// What came of the attempt to give a call to a link.
enum Attempt {
    /// This is to be sent on that link.
    Send(Arc<Link>, Sending),
    /// There is no room.
    Later(Call),
    /// Nobody can tell any more whether it was executed.
    Lost(Call),
}

impl Peer {
    /// Asks the peer, and waits for its reply. Data that follow it are in
    /// [`Reply::data`].
    ///
    /// Errors: `ENOTCONN` when the peer is or goes offline, `ETIMEDOUT` when it
    /// does not answer, `EINTR` when the task is being killed, `EMSGSIZE` when the
    /// body is above [`MAX_REQUEST_BODY`], `ENOMEM`, `EIO` when the peer has begun anew and
    /// cannot tell whether it has executed a change, and the error of the reply when
    /// the peer did not begin with the request.
    pub(crate) fn call_sync(&self, request: Request) -> Result<Reply> {
        let _nofs = NofsScope::enter();
        let waiter = Waiter::new()?;
        let Some(call) = Call::new(request, Sink::Waiter(waiter.clone())) else {
            return Err(ENOMEM);
        };
        let limit = call.limit();
        self.dispatch(call);
        waiter.wait(limit)
    }

    /// As [`Peer::call_sync`], but gives up after so many milliseconds: `ETIMEDOUT`.
    pub(crate) fn call_within(&self, request: Request, limit: u32) -> Result<Reply> {
        let _nofs = NofsScope::enter();
        let waiter = Waiter::new()?;
        let Some(call) = Call::new(request, Sink::Waiter(waiter.clone())) else {
            return Err(ENOMEM);
        };
        self.dispatch(call);
        waiter.wait_within(limit)
    }

    /// Asks the peer; `completion` is told the reply. Never waits for the peer to
    /// answer anything; may wait for room in the socket.
    ///
    /// The completion ends with the errors of [`Peer::call_sync`], but for `EINTR`,
    /// perhaps before this returns.
    pub(crate) fn call(&self, request: Request, completion: KBox<dyn Completion>) {
        let _nofs = NofsScope::enter();
        if let Some(call) = Call::new(request, Sink::Completion(completion)) {
            self.dispatch(call);
        }
    }

    fn dispatch(&self, mut call: Call) {
        if call.message().body.len() > MAX_REQUEST_BODY {
            return call.complete(Err(EMSGSIZE));
        }
        // Nobody overtakes others of the kind who wait already.
        if self.queued(Lane::of(&call)).load(Relaxed) == 0 {
            match self.reserve(call) {
                Attempt::Send(link, sending) => return link.send_call(&sending),
                Attempt::Later(back) => call = back,
                Attempt::Lost(call) => return self.retire(call, EIO),
            }
        }
        self.enqueue(call, false);
    }

    /// Sends a call again whose link has ended before the reply came.
    pub(crate) fn resubmit(&self, call: Call) {
        if call.is_overdue(self.flow()) {
            self.retire(call, ETIMEDOUT);
        } else {
            self.enqueue(call, true);
        }
    }

    /// Ends a call that is on no link.
    pub(super) fn retire(&self, call: Call, error: Error) {
        if let Some(ticket) = call.ticket {
            let mut slots = self.slots.lock();
            if call.sent {
                slots.doubt(&ticket);
            } else {
                slots.give_back(&ticket);
            }
        }
        call.complete(Err(error));
    }

    /// The reply to the compound of this number has arrived.
    pub(crate) fn replied(&self, ticket: &Ticket) {
        self.slots.lock().replied(ticket);
    }

    /// The link of a compound that was given up has ended without a reply.
    pub(crate) fn doubt(&self, ticket: &Ticket) {
        self.slots.lock().doubt(ticket);
    }

    /// Sees to it that a call that must not be executed twice has a number; false when there is
    /// none at present.
    ///
    /// Errors: `EIO` when it may have been executed, and the peer does not know.
    fn assign_number(&self, call: &mut Call) -> Result<bool> {
        if call.effect() == Effect::None {
            return Ok(true);
        }
        let mut slots = self.slots.lock();
        match call.ticket {
            Some(ticket) if slots.is_current(&ticket) => return Ok(true),
            Some(_) if call.sent && call.effect() == Effect::Once => return Err(EIO),
            _ => {}
        }
        call.sent = false;
        call.ticket = slots.take();
        Ok(call.ticket.is_some())
    }

    /// Gives a call to the link with the fewest calls that has room for it.
    fn reserve(&self, mut call: Call) -> Attempt {
        match self.assign_number(&mut call) {
            Ok(true) => {}
            Ok(false) => return Attempt::Later(call),
            Err(_) => return Attempt::Lost(call),
        }
        let mut tried = [false; MAX_LINKS];
        for _ in 0..MAX_LINKS {
            let Some((place, link)) = self.least_busy(&tried) else {
                break;
            };
            if let Some(tried) = tried.get_mut(place) {
                *tried = true;
            }
            match link.reserve(call) {
                Ok(sending) => return Attempt::Send(link, sending),
                Err(back) => call = back,
            }
        }
        // Others may have more luck.
        if let Some(ticket) = call.ticket.take_if(|_| !call.sent) {
            self.slots.lock().give_back(&ticket);
        }
        Attempt::Later(call)
    }

    fn least_busy(&self, tried: &[bool; MAX_LINKS]) -> Option<(usize, Arc<Link>)> {
        let links = self.links.lock();
        links
            .places()
            .iter()
            .enumerate()
            .zip(tried)
            .filter_map(|((place, link), &tried)| Some((place, link.as_ref()?, tried)))
            .filter(|(_, link, tried)| !tried && link.is_up())
            .min_by_key(|(_, link, _)| link.in_flight())
            .map(|(place, link, _)| (place, link.clone()))
    }

    /// A link that is up, the one with the least to do.
    pub(crate) fn any_link(&self) -> Option<Arc<Link>> {
        self.least_busy(&[false; MAX_LINKS]).map(|(_, link)| link)
    }

    fn enqueue(&self, call: Call, first: bool) {
        let lane = Lane::of(&call);
        let mut place = match Place::new(call) {
            Ok(place) => place,
            Err(call) => return self.retire(call, ENOMEM),
        };
        {
            let mut queue = self.queue.lock();
            // Whoever finds that the peer is gone empties the queue afterwards: a call
            // that is queued here while the peer is online is not forgotten.
            if !self.is_online() {
                drop(queue);
                if let Some(call) = place.take() {
                    self.retire(call, ENOTCONN.into());
                }
                return;
            }
            if first {
                queue.lane(lane).push_front(place);
            } else {
                queue.lane(lane).push(place);
            }
            self.queued(lane).fetch_add(1, Full);
        }
        // A slot may have become free before the call was seen in the queue.
        if let Some((_, link)) = self.least_busy(&[false; MAX_LINKS]) {
            link.pump();
        }
    }

    /// Whether calls wait for a link with room.
    pub(crate) fn has_queue(&self) -> bool {
        let waits = |lane| self.queued(lane).load(Relaxed) != 0;
        Lane::ALL.into_iter().any(waits)
    }

    /// Length of a queue.
    fn queued(&self, lane: Lane) -> &Atomic<u32> {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Bulk => &self.bulk,
        }
    }

    /// Ends the calls whose deadline passed while they were in the queue, and gives
    /// their number.
    pub(crate) fn expire_queue(&self) -> usize {
        if !self.has_queue() {
            return 0;
        }
        let flow = self.flow();
        self.end_queued(|call| call.is_overdue(flow), || ETIMEDOUT)
    }

    /// What moves on any link.
    fn flow(&self) -> Flow {
        let links = self.links();
        let flows = links.iter().flatten().map(|link| link.flow());
        flows.fold(Flow::NONE, Flow::or)
    }

    /// Ends all calls in the queue, to which none is added any more.
    pub(super) fn fail_queue(&self) {
        self.end_queued(|_| true, || ENOTCONN.into());
    }

    fn end_queued(&self, condition: impl Fn(&Call) -> bool, error: impl Fn() -> Error) -> usize {
        let mut ended: usize = 0;
        for lane in Lane::ALL {
            let mut extracted = self.queue.lock().lane(lane).extract(&condition);
            while let Some(mut place) = extracted.pop() {
                self.queued(lane).fetch_sub(1, Full);
                if let Some(call) = place.take() {
                    self.retire(call, error());
                }
                ended = ended.saturating_add(1);
            }
        }
        ended
    }

    /// Sends what waits until there is no more room.
    fn run_pump(&self) {
        self.settle_doubts();
        while let Some((link, sending)) = self.next_to_send() {
            link.send_call(&sending);
        }
    }

    fn next_to_send(&self) -> Option<(Arc<Link>, Sending)> {
        // What cannot be sent in one lane does not keep back the other.
        Lane::ALL.into_iter().find_map(|lane| self.next_of(lane))
    }

    fn next_of(&self, lane: Lane) -> Option<(Arc<Link>, Sending)> {
        loop {
            let mut queue = self.queue.lock();
            let mut place = queue.lane(lane).pop()?;
            let attempt = self.reserve(place.take()?);
            if let Attempt::Later(call) = attempt {
                place.put_back(call);
                queue.lane(lane).push_front(place);
                return None;
            }
            self.queued(lane).fetch_sub(1, Full);
            drop(queue);
            match attempt {
                Attempt::Send(link, sending) => return Some((link, sending)),
                Attempt::Lost(call) => self.retire(call, EIO),
                Attempt::Later(_) => {}
            }
        }
    }

    /// Asks what became of compounds that were given up, so that their slots can be used again.
    fn settle_doubts(&self) {
        if self.links_up() == 0 {
            return;
        }
        // Bounded, because what cannot be asked about is in doubt again.
        for _ in 0..super::SLOTS {
            let Some(ticket) = self.slots.lock().probe() else {
                return;
            };
            match probe_body().map(|body| Call::probe(ticket, body)) {
                Ok(Some(call)) => self.enqueue(call, true),
                _ => return self.doubt(&ticket),
            }
        }
    }
}

/// A compound of which only the number counts.
fn probe_body() -> Result<KVVec<u8>> {
    let mut body = KVVec::from_elem(0, ONCE_SIZE, GFP_KERNEL)?;
    let once = Operation::Once {
        slot: 0,
        sequence: 0,
    };
    RequestWriter::new(&mut body)
        .and_then(|mut writer| writer.push(&once))
        .map_err(|_| EIO)?;
    Ok(body)
}

impl WorkItem<0> for Peer {
    type Pointer = Arc<Peer>;

    fn run(this: Arc<Peer>) {
        let _nofs = NofsScope::enter();
        this.run_pump();
    }
}
