// SPDX-License-Identifier: GPL-2.0

//! Requests of the peer, on their way to the export and back.

use super::{
    DownReason,
    Link,
    DATA_WINDOW,
    WINDOW, //
};
use crate::{
    export::{
        Client,
        Export,
        Held,
        Replay,
        Waker, //
    },
    peer::{grants::Bell, Peer},
    remote::writing,
};
use hmdfs_kapi::{
    memalloc::NofsScope,
    page_run::PageRun, //
};
use hmdfs_model::security::{
    Access,
    Level, //
};
use hmdfs_proto::{
    Header,
    Kind,
    Locking,
    Opcode,
    Operation,
    RequestReader,
    Status, //
};
use kernel::{
    impl_has_work, new_work,
    prelude::*,
    sync::{
        atomic::Full,
        Arc, //
    },
    time::{
        Instant,
        Monotonic, //
    },
    workqueue::{
        Work,
        WorkItem, //
    },
};

/// A request that was received.
#[pin_data]
pub(super) struct Incoming {
    #[pin]
    work: Work<Incoming>,
    link: Arc<Link>,
    header: Header,
    body: KVVec<u8>,
    data: Option<PageRun>,
    arrived: Instant<Monotonic>,
}

impl_has_work! {
    impl HasWork<Self> for Incoming { self.work }
}

impl Incoming {
    /// Leaves a request, which [`Link::hold_request`] allowed, to the workers.
    pub(super) fn queue(
        link: &Arc<Link>,
        header: Header,
        body: KVVec<u8>,
        data: Option<PageRun>,
    ) -> Result {
        let incoming = KBox::pin_init(
            pin_init!(Self {
                work <- new_work!("Incoming::work"),
                link: link.clone(),
                header,
                body,
                data,
                arrived: Instant::now(),
            }),
            GFP_KERNEL,
        )?;
        link.mount.peers.serve().enqueue(incoming);
        Ok(())
    }

    /// Whether the peer does not wait for the reply any more.
    fn is_too_old(&self) -> bool {
        let patience = i64::from(self.header.patience);
        patience != 0 && self.arrived.elapsed().as_millis() >= patience
    }

    fn serve(mut self: Pin<KBox<Self>>) {
        // Whatever a peer sent is given back before anything is sent to it, which may take long.
        let data = self.as_mut().project().data.take();
        let link = &self.link;
        if !link.is_up() {
            return;
        }
        if self.header.opcode != Opcode::Compound {
            return self.reply(Status::EOPNOTSUPP, &[], None);
        }
        // It is the client's business, whether or not anything is exported here.
        if self.header.all_data() == 0 && !self.is_too_old() {
            if let Some(body) = writing::answer(&link.mount, &link.peer, &self.body) {
                return self.reply(Status::Ok, &body, None);
            }
        }
        // That nothing is executed is an answer, too, and may have to be kept.
        let export = match link.mount.share() {
            _ if self.is_too_old() => Err(Status::ETIMEDOUT),
            Some(share) => Ok(&*share.export),
            None => {
                self.take_grants();
                Err(Status::ENODEV)
            }
        };
        let served = Export::compound(export, &**link, &self.body, data);
        // The data are gone by now.
        link.held_data.fetch_sub(self.header.all_data(), Full);
        match served {
            Ok(Some(response)) => {
                self.reply(response.status, &response.body, response.data.as_ref())
            }
            Ok(None) => self.release(),
            Err(error) => {
                pr_warn!(
                    "bad request from {}: {}\n",
                    link.peer.name(),
                    error.as_str()
                );
                link.end(DownReason::Protocol, 0);
            }
        }
    }

    /// Takes notice of locks that the peer has granted, which needs no share.
    fn take_grants(&self) {
        for operation in RequestReader::new(&self.body).into_iter().flatten() {
            if let Ok(Operation::Locking(Locking::Granted {
                session,
                waiter,
                status,
            })) = operation
            {
                self.link.granted(session, waiter, status);
            }
        }
    }

    fn reply(&self, status: Status, body: &[u8], data: Option<&PageRun>) {
        let mut header = Header::new(Kind::Reply, self.header.opcode, self.header.id);
        header.status = status;
        // An error means that the link has ended; nobody waits for this reply.
        let _ = self.link.send(header, body, &[], data);
        // Only now: a peer that does not read its replies must not get more of them made.
        self.release();
    }

    fn release(&self) {
        self.link.held.fetch_sub(1, Full);
    }
}

impl Client for Link {
    fn access(&self) -> Access {
        self.peer.access()
    }

    fn level(&self) -> Option<u8> {
        self.peer.level().map(Level::number)
    }

    fn replay(&self) -> Option<(&Replay, u64)> {
        Some((self.peer.replay(), self.epoch()))
    }

    fn held(&self) -> Option<&Held> {
        Some(self.peer.sessions().held())
    }

    fn session(&self) -> u64 {
        self.peer.sessions().serving()
    }

    fn waker(&self) -> Result<Arc<dyn Waker>> {
        Bell::of(&self.mount, &self.peer)
    }

    fn granted(&self, session: u64, waiter: u64, status: Status) {
        self.peer.sessions().granted(session, waiter, status);
    }

    fn peer(&self) -> Option<&Arc<Peer>> {
        Some(&self.peer)
    }
}

impl WorkItem for Incoming {
    type Pointer = Pin<KBox<Self>>;

    fn run(this: Pin<KBox<Self>>) {
        // Memory that is reclaimed here must not be written to a peer which in turn
        // needs this device.
        let _nofs = NofsScope::enter();
        this.serve();
    }
}

impl Link {
    /// Counts a request of the peer; false when it sent more than it was allowed.
    ///
    /// The peer may have a reply, and send the next request, a moment before that reply is
    /// counted here as sent; so up to a second window is put up with.
    pub(super) fn hold_request(&self) -> bool {
        self.held.fetch_add(1, Full) < 2 * u32::from(WINDOW)
    }

    /// Counts data of the peer; false when it sent more than it was allowed.
    ///
    /// They are gone before the peer has the reply, so nothing beyond the window is put up with.
    /// Only the receiver calls it.
    pub(super) fn hold_data(&self, length: u32) -> bool {
        let held = self.held_data.fetch_add(length, Full);
        u64::from(held).saturating_add(length.into()) <= DATA_WINDOW.into()
    }
}
