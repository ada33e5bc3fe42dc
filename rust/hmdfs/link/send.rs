// SPDX-License-Identifier: GPL-2.0

//! Sending.
//!
//! A message that was begun and cannot go on ends the link.
//! Header and body share TLS records. The data that follow are in records of their own, so that
//! the other side can decrypt them where it wants them; a few share the record of the body, because
//! a second record costs more than to copy them.
//!
//! What has much data is sent in parts, and small messages in between. The socket
//! takes little more than what TCP has on its way, so that what is urgent waits for
//! the rest of one part at most. Parts are small when there have been such messages lately: a stream that
//! is alone on the link has larger ones, which cost less.

use super::{
    DownReason,
    Link, //
};
use crate::peer::call::Message;
use hmdfs_kapi::page_run::PageRun;
use hmdfs_kapi::{
    errno::{
        EKEYEXPIRED,
        ENOTCONN, //
    },
    net::tls,
    schedule::give_way, //
};
use hmdfs_model::slots::Ticket;
use hmdfs_proto::{
    numbered,
    Header,
    Kind,
    Opcode,
    ONCE_SIZE, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Full,
            Relaxed, //
        },
        Arc,
        MutexGuard, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// Records that one key may protect. AES-GCM stays safe for about three times as
/// many full ones (RFC 8446, section 5.5); then the daemon must bring a new link.
const RECORD_LIMIT: u64 = 1 << 23;

/// How often, and with what pauses in milliseconds, a goodbye waits for a message
/// that is being sent.
const GOODBYE_TRIES: u32 = 20;
const GOODBYE_PAUSE: i64 = 5;

/// Up to so many bytes of data share the record of the body.
const FEW: usize = 8 << 10;

/// A message with more bytes of data than this lets others go first, and is sent in parts of so many.
const BULK: usize = 64 << 10;

/// A part of a message where nobody else has anything to send.
const LARGE_PART: usize = 256 << 10;

/// So many parts are sent in a row with nothing in between before the next ones are large.
const CALM: u32 = 32;

/// How many times each part lets others go first, so that it gets its turn.
const COURTESIES: usize = 8;

/// What whoever sends needs to have for itself.
pub(super) struct Sender {
    /// Records sent.
    records: u64,
    /// Parts sent since the last small message.
    calm: u32,
}

impl Sender {
    pub(super) const fn new() -> Self {
        Self {
            records: 0,
            calm: 0,
        }
    }

    /// How much of `left` bytes of data the next part has.
    fn part(&self, left: usize) -> usize {
        left.min(if self.calm < CALM { BULK } else { LARGE_PART })
    }

    fn count(&mut self, bytes: usize) {
        let records = bytes.div_ceil(tls::RECORD_SIZE);
        // CAST: `usize` has at most 64 bits here.
        self.records = self.records.saturating_add(records as u64);
    }
}

/// A call that is about to be sent on a link, which has it in its table.
pub(crate) struct Sending {
    /// The identifier of the request.
    pub(super) id: u64,
    /// For how long the peer may think that somebody waits for the reply, in milliseconds.
    pub(super) patience: u32,
    /// The number under which the request may be executed once.
    pub(super) ticket: Option<Ticket>,
    /// What is sent.
    pub(super) message: Arc<Message>,
}

impl Link {
    /// Sends a call that [`Link::reserve`] took. Failing ends the link, which gives the call
    /// back to the peer.
    pub(crate) fn send_call(&self, sending: &Sending) {
        let mut header = Header::new(Kind::Request, Opcode::Compound, sending.id);
        header.patience = sending.patience;
        let Message { body, data } = &*sending.message;
        let beginning = sending
            .ticket
            .and_then(|ticket| numbered(body, ticket.slot, ticket.sequence).ok());
        // The number takes the place of one that is in the body for that.
        let (beginning, rest) = match (&beginning, body.get(ONCE_SIZE..)) {
            (Some(beginning), Some(rest)) => (&beginning[..], rest),
            _ => (&[][..], &body[..]),
        };
        // An error means that the link has ended.
        let _ = self.send(header, beginning, rest, data.as_ref());
    }

    /// Sends a message, whose body is `beginning` and `rest`; its lengths are filled in. An error
    /// means that the link has ended.
    pub(super) fn send(
        &self,
        header: Header,
        beginning: &[u8],
        rest: &[u8],
        data: Option<&PageRun>,
    ) -> Result {
        match data.filter(|run| !run.is_empty()) {
            Some(run) if run.len() > BULK => self.send_parts(header, [beginning, rest], run),
            data => {
                let data = data.map(|run| (run, 0, run.len()));
                let mut sender = self.take_turn();
                sender.calm = 0;
                self.send_part(sender, header, [beginning, rest], data)
            }
        }
    }

    /// Sends a message with much data.
    fn send_parts(&self, mut header: Header, mut body: [&[u8]; 2], run: &PageRun) -> Result {
        let _bulk = self.bulk.lock();
        let mut sent = 0;
        while sent < run.len() {
            let mut sender = self.take_bulk_turn();
            let left = run.len().saturating_sub(sent);
            let part = sender.part(left);
            sender.calm = sender.calm.saturating_add(1);
            header.more = u32::try_from(left.saturating_sub(part))?;
            self.send_part(sender, header, body, Some((run, sent, part)))?;
            sent = sent.saturating_add(part);
            header = Header::new(Kind::Notice, Opcode::Data, header.id);
            body = [&[], &[]];
            // To encrypt takes long enough for others to have become urgent, if only they get the
            // processor to say so.
            give_way();
        }
        Ok(())
    }

    /// Sends a header with what follows it: a body, and so many bytes of a run from an offset on.
    fn send_part(
        &self,
        mut sender: MutexGuard<'_, Sender>,
        mut header: Header,
        [beginning, rest]: [&[u8]; 2],
        data: Option<(&PageRun, usize, usize)>,
    ) -> Result {
        let body = beginning.len().saturating_add(rest.len());
        let data_length = data.map_or(0, |(_, _, length)| length);
        header.body = u32::try_from(body)?;
        header.data = u32::try_from(data_length)?;
        let sent = if self.down().0 == DownReason::None {
            self.send_now(&mut sender, [&header.encode(), beginning, rest], data)
        } else {
            Err(ENOTCONN.into())
        };
        let exhausted = sender.records >= RECORD_LIMIT && header.more == 0;
        drop(sender);
        self.turn.notify_one();
        match sent {
            Ok(()) => {
                let length = Header::SIZE
                    .saturating_add(body)
                    .saturating_add(data_length);
                self.counters.tx_bytes.add(length);
                if exhausted {
                    self.end(DownReason::KeyLimit, EKEYEXPIRED.number());
                }
                Ok(())
            }
            Err(error) => {
                self.end(DownReason::IoError, error.to_errno().unsigned_abs());
                Err(error)
            }
        }
    }

    fn send_now(
        &self,
        sender: &mut Sender,
        parts: [&[u8]; 3],
        data: Option<(&PageRun, usize, usize)>,
    ) -> Result {
        self.sending.store(self.now().max(1), Relaxed);
        let few = data.is_some_and(|(_, _, length)| length <= FEW);
        let mut sent = self.socket.send(parts, few);
        sender.count(parts.iter().map(|part| part.len()).sum());
        if let (Ok(()), Some((run, from, length))) = (&sent, data) {
            sent = self.socket.send_pages(run, from, length);
            sender.count(length);
        }
        self.sending.store(0, Relaxed);
        sent
    }

    /// Waits for the right to send a small message.
    fn take_turn(&self) -> MutexGuard<'_, Sender> {
        self.urgent.fetch_add(1, Full);
        let sender = self.sender.lock();
        self.urgent.fetch_sub(1, Full);
        sender
    }

    /// Waits for the right to send a part of a large one, for longer if others wait, too.
    fn take_bulk_turn(&self) -> MutexGuard<'_, Sender> {
        let mut sender = self.sender.lock();
        for _ in 0..COURTESIES {
            if self.urgent.load(Relaxed) == 0 {
                break;
            }
            // Whoever is urgent takes the lock, and tells when the message is sent.
            self.turn.wait(&mut sender);
        }
        sender
    }

    /// Tells the peer that the link ends on purpose, unless a message is stuck on
    /// its way out.
    pub(super) fn say_goodbye(&self) {
        for _ in 0..GOODBYE_TRIES {
            if let Some(_sender) = self.sender.try_lock() {
                let bye = Header::new(Kind::Notice, Opcode::Bye, 0).encode();
                // Courtesy: a peer that does not get it sees the connection end.
                if self.socket.try_send(&bye).is_ok() {
                    let _ = self
                        .socket
                        .try_send_alert(tls::ALERT_WARNING, tls::ALERT_CLOSE_NOTIFY);
                }
                return;
            }
            fsleep(Delta::from_millis(GOODBYE_PAUSE));
        }
    }
}
