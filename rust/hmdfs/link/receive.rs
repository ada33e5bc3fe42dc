// SPDX-License-Identifier: GPL-2.0

//! The receiver of a link.

use super::{
    arriving::Arriving,
    serve::Incoming,
    DownReason,
    Link,
    DATA_WINDOW,
    FEATURES,
    WINDOW, //
};
use crate::{
    control::notify,
    remote::unfinished, //
};
use hmdfs_kapi::{
    errno::{
        EBADMSG,
        ECONNABORTED,
        EKEYEXPIRED, //
    },
    memalloc::NofsScope,
    net::{
        socket::Received,
        tls, //
    },
    page_run::PageRun,
    schedule::give_way,
};
use hmdfs_proto::{
    self as proto,
    Encoder,
    Header,
    Hello,
    Kind,
    Opcode, //
};
use kernel::{
    iov::IovIterDest,
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    }, //
};

/// Bytes that are read at once when they are of no use.
const SCRATCH: usize = 4096;

/// Most bytes that are decrypted before others may have the processor.
const AT_ONCE: usize = 64 << 10;

/// Why the receiver stops.
pub(super) struct End(pub(super) DownReason, pub(super) u32);

impl From<proto::Error> for End {
    fn from(error: proto::Error) -> Self {
        if error == proto::Error::Version {
            return End(DownReason::Version, 0);
        }
        pr_warn!("bad message from a peer: {}\n", error.as_str());
        End(DownReason::Protocol, 0)
    }
}

/// The peer sent what is well formed and yet not allowed.
pub(super) fn violation(what: &str) -> End {
    pr_warn!("a peer broke the protocol: {}\n", what);
    End(DownReason::Protocol, 0)
}

pub(super) fn usize_of(length: u32) -> usize {
    // CAST: `usize` has at least 32 bits here.
    length as usize
}

impl Link {
    /// Greets the peer, and receives until the link ends.
    pub(super) fn receive(self: &Arc<Self>) -> (DownReason, u32) {
        let _nofs = NofsScope::enter();
        let mut arriving = None;
        let result = self.greet().and_then(|()| loop {
            self.receive_message(&mut arriving)?;
        });
        let (reason, errno) = match result {
            Ok(()) => (DownReason::Closed, 0),
            Err(End(reason, errno)) => (reason, errno),
        };
        if let Some(arriving) = arriving {
            self.end(reason, errno);
            self.give_back(arriving);
        }
        (reason, errno)
    }

    fn greet(self: &Arc<Self>) -> Result<(), End> {
        let mut body = [0; Hello::SIZE];
        let session = self.peer.sessions().ours();
        Hello {
            version_min: proto::VERSION_MIN,
            version_max: proto::VERSION_MAX,
            features: FEATURES,
            epoch: self.peer.epoch(),
            session,
            window: WINDOW,
            data_window: DATA_WINDOW,
        }
        .encode(&mut Encoder::new(&mut body))?;
        let header = Header::new(Kind::Notice, Opcode::Hello, 0);
        if let Err(error) = self.send(header, &body, &[], None) {
            return Err(End(DownReason::IoError, error.to_errno().unsigned_abs()));
        }

        let header = self.receive_header()?;
        if header.kind != Kind::Notice || header.opcode != Opcode::Hello || header.all_data() != 0 {
            return Err(violation("the first message is not HELLO"));
        }
        let mut body = [0; Hello::SIZE];
        if usize_of(header.body) != body.len() {
            return Err(violation("HELLO of a wrong size"));
        }
        self.fill(&mut body)?;
        let hello = Hello::decode(&body)?;
        hello.common_version()?;
        self.set_window(hello.window);
        self.set_data_window(hello.data_window);
        // Before the link is up, which is when others look at it.
        self.epoch.store(hello.epoch, Relaxed);
        let share = self.mount.share();
        let errors = share.map_or(0, |share| share.export.errors());
        if !self.peer.greet(hello.epoch, hello.window, errors) {
            // Of a mount that is gone: what it sent has been on its way for long.
            return Err(End(DownReason::Closed, 0));
        }
        self.peer.sessions().greeted(&hello);
        self.peer.expire();
        self.come_up(session)
    }

    /// `session` is the number that the peer was told.
    fn come_up(self: &Arc<Self>, session: u64) -> Result<(), End> {
        if !self.state.lock().come_up() {
            return Ok(());
        }
        let online = self.peer.link_came_up();
        if online {
            self.mount.peers.bump();
            pr_info!("{} is online\n", self.peer.name());
        }
        notify::link(&self.mount, self);
        if online {
            notify::device(&self.mount, &self.peer);
            unfinished::wake(self.mount.as_arc_borrow(), 0);
        }
        self.pump();
        self.ping();
        if self.peer.sessions().ours() != session {
            // The peer went offline meanwhile, and would not know that it was.
            return Err(End(DownReason::IoError, ECONNABORTED.number()));
        }
        Ok(())
    }

    /// Receives a message, or the next part of the one that is `arriving`.
    fn receive_message(self: &Arc<Self>, arriving: &mut Option<Arriving>) -> Result<(), End> {
        let header = self.receive_header()?;
        if header.window != 0 {
            self.set_window(header.window);
            self.pump();
        }
        if header.more != 0 && !may_have_parts(&header, arriving) {
            return Err(violation("a message in parts out of place"));
        }
        match (header.kind, header.opcode) {
            (Kind::Reply, Opcode::Compound) => self.receive_reply(&header, arriving),
            (Kind::Request, Opcode::Compound) => self.receive_request(header, arriving),
            (Kind::Notice, Opcode::Data) => self.receive_part(&header, arriving),
            (Kind::Request, Opcode::Other(_)) => self.receive_unknown(header),
            (Kind::Request, Opcode::Ping) if is_bare(&header) => self
                .take_ping(header.id)
                .map_err(|_| violation("too many PINGs at once")),
            (Kind::Reply, Opcode::Ping) if is_bare(&header) => self
                .take_pong(header.id)
                .map_err(|_| violation("reply to a PING that was not sent")),
            (Kind::Request, Opcode::Recall) => self.receive_notice(&header),
            (Kind::Reply, Opcode::Recall) => self.take_notice_reply(&header),
            (Kind::Notice, Opcode::Bye) => Err(End(DownReason::PeerBye, 0)),
            (Kind::Notice, Opcode::Other(_)) => self.skip_rest(&header),
            _ => Err(violation("message out of place")),
        }
    }

    fn receive_reply(
        self: &Arc<Self>,
        header: &Header,
        arriving: &mut Option<Arriving>,
    ) -> Result<(), End> {
        let taken = self
            .take_call(header.id)
            .map_err(|_| violation("reply to a request that was not sent"))?;
        let mut reply = Arriving::reply(taken);
        if arriving.is_none() && reply.is_wanted() {
            self.filling.store(self.now().max(1), Relaxed);
        }
        let received = self.receive_beginning(header, &mut reply);
        self.settle(header, reply, received, arriving)
    }

    fn receive_request(
        self: &Arc<Self>,
        header: Header,
        arriving: &mut Option<Arriving>,
    ) -> Result<(), End> {
        self.hold()?;
        if !self.hold_data(header.all_data()) {
            return Err(violation("more data than the window allows"));
        }
        if usize_of(header.body) > crate::peer::MAX_REQUEST_BODY {
            return Err(violation("request too long"));
        }
        self.counters.requests_received.add(1);
        let body = self.receive_body(&header)?;
        if header.data == 0 {
            return self.take_request(header, body, None);
        }
        let run = PageRun::allocate(usize_of(header.all_data()))
            .map_err(|_| End(DownReason::IoError, no_memory()))?;
        let mut request = Arriving::request(header, body, run);
        if header.more != 0 {
            self.filling.store(self.now().max(1), Relaxed);
        }
        let received = self.receive_data(&mut request, header.data);
        self.settle(&header, request, received, arriving)
    }

    /// A request that this version does not know is answered, too.
    fn receive_unknown(self: &Arc<Self>, header: Header) -> Result<(), End> {
        self.hold()?;
        self.skip_rest(&header)?;
        self.take_request(header, KVVec::new(), None)
    }

    /// Counts a request of the peer.
    fn hold(&self) -> Result<(), End> {
        if !self.hold_request() {
            return Err(violation("more requests than the window allows"));
        }
        Ok(())
    }

    /// Leaves a request that has arrived to the workers.
    pub(super) fn take_request(
        self: &Arc<Self>,
        header: Header,
        body: KVVec<u8>,
        data: Option<PageRun>,
    ) -> Result<(), End> {
        Incoming::queue(self, header, body, data).map_err(|_| End(DownReason::IoError, no_memory()))
    }

    /// Receives the body of a request, whose length was checked.
    pub(super) fn receive_body(&self, header: &Header) -> Result<KVVec<u8>, End> {
        let mut body = KVVec::from_elem(0, usize_of(header.body), GFP_KERNEL)
            .map_err(|_| End(DownReason::IoError, no_memory()))?;
        self.fill(&mut body)?;
        Ok(body)
    }

    /// Receives `length` bytes of `run`, from `from` on.
    pub(super) fn fill_pages(
        &self,
        run: &mut PageRun,
        from: usize,
        length: usize,
    ) -> Result<(), End> {
        let end = from.saturating_add(length);
        let mut at = from;
        while at < end {
            let received = self
                .socket
                .receive_pages(run, at, end.saturating_sub(at).min(AT_ONCE));
            at = at.saturating_add(self.arrived(received)?);
            self.flowed.store(self.now().max(1), Relaxed);
            give_way();
        }
        Ok(())
    }

    fn receive_header(&self) -> Result<Header, End> {
        let mut bytes = [0; Header::SIZE];
        self.fill(&mut bytes)?;
        Ok(Header::decode(&bytes)?)
    }

    /// Receives all of `buffer`.
    pub(super) fn fill(&self, buffer: &mut [u8]) -> Result<(), End> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let received = self.socket.receive(rest);
            if let Ok(Received::Record(kind, length)) = received {
                return Err(end_of_record(kind, rest.get(..length).unwrap_or(&[])));
            }
            let length = self.arrived(received)?;
            rest = rest.get_mut(length..).unwrap_or(&mut []);
        }
        Ok(())
    }

    /// Receives `length` bytes, by which the iterator is advanced, or by some of them before an error.
    pub(super) fn fill_iterator(
        &self,
        iterator: &mut IovIterDest<'_>,
        length: usize,
    ) -> Result<(), End> {
        let mut left = length;
        while left != 0 {
            let received = self.socket.receive_into(iterator, left.min(AT_ONCE));
            left = left.saturating_sub(self.arrived(received)?);
            self.flowed.store(self.now().max(1), Relaxed);
            give_way();
        }
        Ok(())
    }

    /// Receives `length` bytes that nobody wants.
    pub(super) fn skip(&self, length: usize) -> Result<(), End> {
        if length == 0 {
            return Ok(());
        }
        let mut scratch = KVVec::from_elem(0, length.min(SCRATCH), GFP_KERNEL)
            .map_err(|_| End(DownReason::IoError, no_memory()))?;
        let mut left = length;
        while left != 0 {
            let part = left.min(scratch.len());
            self.fill(scratch.get_mut(..part).unwrap_or(&mut []))?;
            left = left.saturating_sub(part);
        }
        Ok(())
    }

    pub(super) fn skip_rest(&self, header: &Header) -> Result<(), End> {
        self.skip(usize_of(header.body))?;
        self.skip(usize_of(header.data))
    }

    /// Notes that something arrived, and gives the number of bytes.
    fn arrived(&self, received: Result<Received>) -> Result<usize, End> {
        match received {
            Ok(Received::Data(length)) => {
                self.heard.store(self.now(), Relaxed);
                self.counters.rx_bytes.add(length);
                Ok(length)
            }
            // The bytes of an alert went where data were expected; what it says does
            // not matter there, for a message was cut.
            Ok(Received::Record(..)) => Err(End(DownReason::BadRecord, 0)),
            Ok(Received::Closed) => Err(End(DownReason::Closed, 0)),
            Err(error) => {
                let reason = if error == EBADMSG || error == EKEYEXPIRED {
                    DownReason::BadRecord
                } else {
                    DownReason::IoError
                };
                Err(End(reason, error.to_errno().unsigned_abs()))
            }
        }
    }
}

fn no_memory() -> u32 {
    ENOMEM.to_errno().unsigned_abs()
}

fn is_bare(header: &Header) -> bool {
    header.body == 0 && header.data == 0
}

/// Whether the data of this message may come in parts: one message at a time, of those that have
/// any.
fn may_have_parts(header: &Header, arriving: &Option<Arriving>) -> bool {
    match (header.kind, header.opcode) {
        (Kind::Request | Kind::Reply, Opcode::Compound) => arriving.is_none(),
        (Kind::Notice, Opcode::Data) => true,
        _ => false,
    }
}

/// What a record that is not data means.
fn end_of_record(kind: u8, contents: &[u8]) -> End {
    match (kind, contents) {
        (tls::RECORD_ALERT, [_, tls::ALERT_CLOSE_NOTIFY]) => End(DownReason::PeerBye, 0),
        _ => End(DownReason::BadRecord, 0),
    }
}
