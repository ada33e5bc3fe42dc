// SPDX-License-Identifier: GPL-2.0

//! Requests of the peer, on their way to the export and back.

use super::{
    DownReason,
    Link,
    WINDOW, //
};
use hmdfs_kapi::{
    memalloc::NofsScope,
    page_run::PageRun, //
};
use hmdfs_proto::{
    Header,
    Kind,
    Opcode,
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
        if self.is_too_old() {
            return self.reply(Status::ETIMEDOUT, &[], None);
        }
        let Some(share) = link.mount.share() else {
            return self.reply(Status::ENODEV, &[], None);
        };
        match share.export.compound(&*link.peer, &self.body, data) {
            Ok(response) => self.reply(response.status, &response.body, response.data.as_ref()),
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

    fn reply(&self, status: Status, body: &[u8], data: Option<&PageRun>) {
        let mut header = Header::new(Kind::Reply, self.header.opcode, self.header.id);
        header.status = status;
        // An error means that the link has ended; nobody waits for this reply.
        let _ = self.link.send(header, body, data);
        // Only now: a peer that does not read its replies must not get more of them made.
        self.link.held.fetch_sub(1, Full);
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
}
