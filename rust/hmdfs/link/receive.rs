// SPDX-License-Identifier: GPL-2.0

//! The receiver of a link.

use super::{
    request::{
        Destination,
        Reply, //
    },
    serve::Incoming,
    status_error, DownReason, Link, DATA_WINDOW, FEATURES, WINDOW,
};
use crate::{
    control::notify,
    peer::call::{
        Call,
        Sink, //
    },
};
use hmdfs_kapi::{
    errno::{
        EBADMSG,
        ECONNABORTED,
        EKEYEXPIRED, //
    },
    memalloc::NofsScope,
    net::{
        socket::{
            Filling,
            Received, //
        },
        tls, //
    },
    page_run::PageRun,
};
use hmdfs_model::calls::Taken;
use hmdfs_proto::{
    self as proto,
    Encoder,
    Header,
    Hello,
    Kind,
    Opcode,
    Status, //
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

/// Why the receiver stops.
pub(super) struct End(DownReason, u32);

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

fn usize_of(length: u32) -> usize {
    // CAST: `usize` has at least 32 bits here.
    length as usize
}

impl Link {
    /// Greets the peer, and receives until the link ends.
    pub(super) fn receive(self: &Arc<Self>) -> (DownReason, u32) {
        let _nofs = NofsScope::enter();
        let result = self.greet().and_then(|()| loop {
            self.receive_message()?;
        });
        match result {
            Ok(()) => (DownReason::Closed, 0),
            Err(End(reason, errno)) => (reason, errno),
        }
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
        if header.kind != Kind::Notice || header.opcode != Opcode::Hello || header.data != 0 {
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
        }
        self.pump();
        self.ping();
        if self.peer.sessions().ours() != session {
            // The peer went offline meanwhile, and would not know that it was.
            return Err(End(DownReason::IoError, ECONNABORTED.number()));
        }
        Ok(())
    }

    fn receive_message(self: &Arc<Self>) -> Result<(), End> {
        let header = self.receive_header()?;
        if header.window != 0 {
            self.set_window(header.window);
            self.pump();
        }
        match (header.kind, header.opcode) {
            (Kind::Reply, Opcode::Compound) => self.receive_reply(&header),
            (Kind::Request, Opcode::Compound | Opcode::Other(_)) => self.receive_request(header),
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

    fn receive_reply(self: &Arc<Self>, header: &Header) -> Result<(), End> {
        let Taken { call, note } = self
            .take_call(header.id)
            .map_err(|_| violation("reply to a request that was not sent"))?;
        let Some(call) = call else {
            let skipped = self.skip_rest(header);
            match (note, &skipped) {
                (Some(ticket), Ok(())) => self.peer.replied(&ticket),
                (Some(ticket), Err(_)) => self.peer.doubt(&ticket),
                (None, _) => {}
            }
            self.pump();
            return skipped;
        };
        let received = self.receive_reply_to(header, call);
        if let (Some(ticket), Ok(())) = (note, &received) {
            self.peer.replied(&ticket);
        }
        self.pump();
        received
    }

    fn receive_reply_to(&self, header: &Header, mut call: Call) -> Result<(), End> {
        let result = if header.data > call.data_limit() {
            Err(violation("more data than were asked for"))
        } else {
            self.counters.replies_received.add(1);
            // The call ends or goes back only after this: what it receives into is in use until
            // `receive_contents` returns.
            self.filling.store(self.now().max(1), Relaxed);
            let result = self.receive_contents(header, &mut call);
            self.filling.store(0, Relaxed);
            result
        };
        if header.data != 0 {
            self.flowed.store(self.now().max(1), Relaxed);
        }
        if call.data_length() != 0 {
            self.taken.store(self.now(), Relaxed);
        }
        match result {
            Ok(result) => {
                call.complete(result);
                Ok(())
            }
            Err(End(reason, errno)) => {
                // Not on this link.
                self.end(reason, errno);
                self.peer.resubmit(call);
                Err(End(reason, errno))
            }
        }
    }

    fn receive_contents(&self, header: &Header, call: &mut Call) -> Result<Result<Reply>, End> {
        let Ok(mut body) = KVVec::from_elem(0, usize_of(header.body), GFP_KERNEL) else {
            self.skip_rest(header)?;
            return Ok(Err(ENOMEM));
        };
        self.fill(&mut body)?;
        if header.status != Status::Ok {
            self.skip(usize_of(header.data))?;
            return Ok(Err(status_error(header.status)));
        }
        let mut reply = Reply {
            body,
            data_length: header.data,
            data: KVVec::new(),
            epoch: self.epoch(),
        };
        if header.data == 0 {
            return Ok(Ok(reply));
        }
        let received = match call.sink() {
            Some(Sink::Waiter(_)) => {
                let data = KVVec::from_elem(0, usize_of(header.data), GFP_KERNEL);
                let destination = data.map_err(Error::from).map(|data| {
                    reply.data = data;
                    Destination::Buffer(&mut reply.data)
                });
                self.receive_data(destination, header.data)
            }
            Some(Sink::Completion(completion)) => {
                self.receive_data(completion.destination(header.data), header.data)
            }
            Some(Sink::Nobody) | None => self.drop_data(header.data, EIO),
        }?;
        Ok(received.map(|()| reply))
    }

    fn receive_data(
        &self,
        destination: Result<Destination<'_>>,
        length: u32,
    ) -> Result<Result, End> {
        match destination {
            Ok(Destination::Iterator(iterator)) if iterator.len() >= usize_of(length) => {
                self.fill_iterator(iterator, usize_of(length))?;
                Ok(Ok(()))
            }
            Ok(Destination::Buffer(buffer)) => match buffer.get_mut(..usize_of(length)) {
                Some(buffer) => {
                    self.fill(buffer)?;
                    Ok(Ok(()))
                }
                None => self.drop_data(length, EIO),
            },
            Ok(Destination::Iterator(_)) => self.drop_data(length, EIO),
            Err(error) => self.drop_data(length, error),
        }
    }

    fn drop_data(&self, length: u32, error: Error) -> Result<Result, End> {
        self.skip(usize_of(length))?;
        Ok(Err(error))
    }

    fn receive_request(self: &Arc<Self>, header: Header) -> Result<(), End> {
        let compound = header.opcode == Opcode::Compound;
        if !self.hold_request() {
            return Err(violation("more requests than the window allows"));
        }
        if compound && !self.hold_data(header.data) {
            return Err(violation("more data than the window allows"));
        }
        let mut body = KVVec::new();
        let mut data = None;
        if compound {
            if usize_of(header.body) > crate::peer::MAX_REQUEST_BODY {
                return Err(violation("request too long"));
            }
            self.counters.requests_received.add(1);
            body = self.receive_body(&header)?;
            if header.data != 0 {
                data = Some(self.receive_run(usize_of(header.data))?);
            }
        } else {
            self.skip_rest(&header)?;
        }
        Incoming::queue(self, header, body, data).map_err(|_| End(DownReason::IoError, no_memory()))
    }

    /// Receives the body of a request, whose length was checked.
    pub(super) fn receive_body(&self, header: &Header) -> Result<KVVec<u8>, End> {
        let mut body = KVVec::from_elem(0, usize_of(header.body), GFP_KERNEL)
            .map_err(|_| End(DownReason::IoError, no_memory()))?;
        self.fill(&mut body)?;
        Ok(body)
    }

    /// Receives the data of a request.
    fn receive_run(&self, length: usize) -> Result<PageRun, End> {
        let mut run =
            PageRun::allocate(length).map_err(|_| End(DownReason::IoError, no_memory()))?;
        let mut at = 0;
        while at < length {
            let received = self.socket.receive_pages(&mut run, at);
            at = at.saturating_add(self.arrived(received)?);
            self.flowed.store(self.now().max(1), Relaxed);
        }
        Ok(run)
    }

    fn receive_header(&self) -> Result<Header, End> {
        let mut bytes = [0; Header::SIZE];
        self.fill(&mut bytes)?;
        Ok(Header::decode(&bytes)?)
    }

    /// Receives all of `buffer`.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), End> {
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

    /// Receives `length` bytes; on an error the iterator is as before.
    fn fill_iterator(&self, iterator: &mut IovIterDest<'_>, length: usize) -> Result<(), End> {
        let mut filling = Filling::new(iterator);
        let mut left = length;
        while left != 0 {
            let received = self.socket.receive_into(&mut filling, left);
            match self.arrived(received) {
                Ok(length) => left = left.saturating_sub(length),
                Err(end) => {
                    filling.rewind();
                    return Err(end);
                }
            }
            self.flowed.store(self.now().max(1), Relaxed);
        }
        Ok(())
    }

    /// Receives `length` bytes that nobody wants.
    fn skip(&self, length: usize) -> Result<(), End> {
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

    fn skip_rest(&self, header: &Header) -> Result<(), End> {
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

/// What a record that is not data means.
fn end_of_record(kind: u8, contents: &[u8]) -> End {
    match (kind, contents) {
        (tls::RECORD_ALERT, [_, tls::ALERT_CLOSE_NOTIFY]) => End(DownReason::PeerBye, 0),
        _ => End(DownReason::BadRecord, 0),
    }
}
