// SPDX-License-Identifier: GPL-2.0

//! Sending.
//!
//! A message leaves as a whole: one that was begun and cannot go on ends the link.
//! Header and body share TLS records. The data that follow are in records of their own, so that
//! the other side can decrypt them where it wants them; a few share the record of the body, because
//! a second record costs more than to copy them.
//!
//! Small messages overtake those with much data that wait for their turn. The socket
//! takes little more than what TCP has on its way, so that what is urgent waits for
//! the rest of one message at most.

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
    net::tls, //
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

/// A message with more bytes of data than this lets others go first.
const BULK: usize = 64 << 10;

/// How many times it does, so that it gets its turn.
const COURTESIES: usize = 16;

/// What whoever sends needs to have for itself.
pub(super) struct Sender {
    /// Records sent.
    records: u64,
}

impl Sender {
    pub(super) const fn new() -> Self {
        Self { records: 0 }
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
        mut header: Header,
        beginning: &[u8],
        rest: &[u8],
        data: Option<&PageRun>,
    ) -> Result {
        let body = beginning.len().saturating_add(rest.len());
        let data_length = data.map_or(0, PageRun::len);
        header.body = u32::try_from(body)?;
        header.data = u32::try_from(data_length)?;
        let mut sender = self.take_turn(data_length > BULK);
        let sent = if self.down().0 == DownReason::None {
            self.send_now(&mut sender, [&header.encode(), beginning, rest], data)
        } else {
            Err(ENOTCONN.into())
        };
        let exhausted = sender.records >= RECORD_LIMIT;
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

    fn send_now(&self, sender: &mut Sender, parts: [&[u8]; 3], data: Option<&PageRun>) -> Result {
        self.sending.store(self.now().max(1), Relaxed);
        let data = data.filter(|run| !run.is_empty());
        let few = data.is_some_and(|run| run.len() <= FEW);
        let mut sent = self.socket.send(parts, few);
        sender.count(parts.iter().map(|part| part.len()).sum());
        if let (Ok(()), Some(run)) = (&sent, data) {
            sent = self.socket.send_pages(run);
            sender.count(run.len());
        }
        self.sending.store(0, Relaxed);
        sent
    }

    /// Waits for the right to send a message, for longer if it is a `bulk` one and others wait, too.
    fn take_turn(&self, bulk: bool) -> MutexGuard<'_, Sender> {
        if !bulk {
            self.urgent.fetch_add(1, Full);
            let sender = self.sender.lock();
            self.urgent.fetch_sub(1, Full);
            return sender;
        }
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
