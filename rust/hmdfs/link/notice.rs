// SPDX-License-Identifier: GPL-2.0

//! What a device tells another one that holds something of it: that a lease is
//! taken back. The reply says which of the files are open.
//!
//! These are requests with a reply, but whoever asks holds others up, who may be on
//! the other side. So they do not wait behind requests that take work: they are not
//! counted for the windows, and the receiver itself acts on them, which must not
//! sleep for anything but memory. The courier sends the replies.

use super::{
    receive::{
        violation,
        End, //
    },
    Link, //
};
use crate::{
    peer::Peer,
    remote::leases, //
};
use hmdfs_kapi::{
    completion::Completion as Event,
    errno::ENOTCONN, //
};
use hmdfs_proto::{
    Encoder,
    Header,
    Kind,
    Opcode,
    OpenFiles,
    Recall, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    }, //
};

/// Most that wait for their reply on a link, in each direction.
const MOST: usize = 8;

/// The identifiers have this bit, those of calls and PINGs do not.
const NOTICE: u64 = 1 << 62;

/// Those in both directions.
pub(super) struct Notices {
    count: u64,
    /// What this side has told, by the identifier.
    told: [Option<(u64, Arc<Told>)>; MOST],
    /// What the peer has told and waits for the reply to.
    replies: [Option<Answer>; MOST],
    /// The link has ended.
    closed: bool,
}

/// A reply to what the peer has told.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    opcode: Opcode,
    id: u64,
    open: OpenFiles,
}

/// Something that was told to the peer.
#[pin_data]
struct Told {
    #[pin]
    done: Event,
    /// What the peer has replied.
    #[pin]
    reply: SpinLock<Option<OpenFiles>>,
}

impl Told {
    fn complete(&self, reply: Option<OpenFiles>) {
        *self.reply.lock() = reply;
        self.done.complete_all();
    }
}

impl Notices {
    pub(super) const fn new() -> Self {
        Self {
            count: 0,
            told: [const { None }; MOST],
            replies: [None; MOST],
            closed: false,
        }
    }

    /// The next reply for the courier.
    fn next(&mut self) -> Option<Answer> {
        self.replies.iter_mut().find_map(Option::take)
    }

    fn add(&mut self, told: &Arc<Told>) -> Result<u64> {
        if self.closed {
            return Err(ENOTCONN.into());
        }
        let place = self.told.iter_mut().find(|place| place.is_none());
        let place = place.ok_or(EBUSY)?;
        self.count = self.count.wrapping_add(1);
        let id = self.count & (NOTICE - 1) | NOTICE;
        *place = Some((id, told.clone()));
        Ok(id)
    }

    fn take(&mut self, id: u64) -> Option<Arc<Told>> {
        let place = self
            .told
            .iter_mut()
            .find(|place| place.as_ref().is_some_and(|&(other, _)| other == id))?;
        place.take().map(|(_, told)| told)
    }
}

impl Link {
    /// Tells the peer something, and waits for its reply for at most `timeout` milliseconds after
    /// the message is sent.
    ///
    /// Errors: `ENOTCONN` when the link has ended, `ETIMEDOUT`, `EBUSY` when too much is being told.
    fn tell(&self, opcode: Opcode, body: &[u8], timeout: u32) -> Result<OpenFiles> {
        let told = Arc::pin_init(
            pin_init!(Told {
                done <- Event::new(),
                reply <- new_spinlock!(None, "Told::reply"),
            }),
            GFP_KERNEL,
        )?;
        let id = self.notices.lock().add(&told)?;
        let mut header = Header::new(Kind::Request, opcode, id);
        header.patience = timeout;
        let result = self
            .send(header, body, &[], None)
            .and_then(|()| told.done.wait_killable_timeout(timeout));
        // Not under the lock: it may be the last reference.
        let left = self.notices.lock().take(id);
        drop(left);
        result?;
        let reply = *told.reply.lock();
        reply.ok_or_else(|| ENOTCONN.error())
    }

    /// Takes what the peer tells.
    pub(super) fn receive_notice(self: &Arc<Self>, header: &Header) -> Result<(), End> {
        if header.body as usize > Recall::MAX_SIZE || header.data != 0 {
            return Err(violation("RECALL too long"));
        }
        let body = self.receive_body(header)?;
        let open = leases::recalled(&self.mount, &self.peer, Recall::decode(&body)?);
        let answer = Answer {
            opcode: header.opcode,
            id: header.id,
            open,
        };
        {
            let mut notices = self.notices.lock();
            let place = notices.replies.iter_mut().find(|place| place.is_none());
            *place.ok_or_else(|| violation("too much told at once"))? = Some(answer);
        }
        self.send_courier();
        Ok(())
    }

    /// The peer has replied to what it was told.
    pub(super) fn take_notice_reply(&self, header: &Header) -> Result<(), End> {
        if header.body as usize > OpenFiles::SIZE || header.data != 0 {
            return Err(violation("reply to RECALL too long"));
        }
        let open = OpenFiles::decode(&self.receive_body(header)?)?;
        // One that comes too late is not waited for any more.
        let told = self.notices.lock().take(header.id);
        if let Some(told) = told {
            told.complete(Some(open));
        }
        Ok(())
    }

    /// The next reply that is to be sent.
    pub(super) fn next_notice_reply(&self) -> Option<Answer> {
        self.notices.lock().next()
    }

    /// Sends a reply to what the peer has told. May wait for room in the socket.
    pub(super) fn send_notice_reply(&self, answer: &Answer) -> Result {
        let header = Header::new(Kind::Reply, answer.opcode, answer.id);
        let mut body = [0; OpenFiles::SIZE];
        let mut encoder = Encoder::new(&mut body);
        if !answer.open.is_empty() {
            answer.open.encode(&mut encoder).map_err(|_| EMSGSIZE)?;
        }
        let length = encoder.len();
        self.send(header, body.get(..length).unwrap_or(&[]), &[], None)
    }

    /// Lets everybody go who waits for the peer to reply.
    pub(super) fn fail_notices(&self) {
        let told = {
            let mut notices = self.notices.lock();
            notices.closed = true;
            core::mem::replace(&mut notices.told, [const { None }; MOST])
        };
        for (_, told) in told.into_iter().flatten() {
            told.complete(None);
        }
    }
}

impl Peer {
    /// Tells the peer something, and waits for its reply for at most `timeout` milliseconds: which of
    /// the files that it was told of it has open.
    ///
    /// Errors: `ENOTCONN` when there is no link, or it has ended; `ETIMEDOUT`.
    pub(crate) fn tell(&self, opcode: Opcode, body: &[u8], timeout: u32) -> Result<OpenFiles> {
        let link = self.any_link().ok_or_else(|| ENOTCONN.error())?;
        link.tell(opcode, body, timeout)
    }
}
