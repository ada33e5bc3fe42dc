// SPDX-License-Identifier: GPL-2.0

//! Whether the peer is still there, and the deadlines of calls.
//!
//! A tick looks at the clock and never waits for anything. PINGs and the answers to
//! the peer's are sent by the courier, which may wait for room in the socket.

use super::{
    DownReason,
    Link,
    LinkState, //
};
use crate::peer::call::Flow;
use hmdfs_kapi::{
    errno::EPROTO,
    memalloc::NofsScope, //
};
use hmdfs_proto::{
    Header,
    Kind,
    Opcode, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    },
    time::{
        msecs_to_jiffies,
        Instant,
        Monotonic, //
    },
    workqueue::WorkItem,
};

/// Milliseconds between two looks at the clock.
const TICK: u32 = 500;

const MILLISECOND: i64 = 1_000_000;

/// A link on which nothing arrived for so long is asked for a sign of life.
const QUIET: i64 = 2_000 * MILLISECOND;

/// A link on which nothing arrived for so long is dead.
const SILENCE: i64 = 6_000 * MILLISECOND;

/// The peer's HELLO must have come by then.
const GREETING: i64 = 10_000 * MILLISECOND;

/// One reply must not take longer to arrive: a call whose reply is arriving does not
/// end at its deadline.
const FILLING: i64 = 20_000 * MILLISECOND;

/// One message must not take longer to be sent, for others wait behind it.
const SENDING: i64 = FILLING;

/// For how long data that arrived keep calls from ending whose data are behind them.
const FLOWING: i64 = 2_000 * MILLISECOND;

/// Most PINGs of the peer that wait for their answer.
const MAX_PONGS: usize = 8;

/// The identifiers of PINGs have the highest bit, those of calls do not.
const PING: u64 = 1 << 63;

/// PINGs in both directions.
pub(super) struct Pulse {
    count: u64,
    /// Bytes that the peer's TCP had acknowledged at the last look.
    acknowledged: u64,
    wanted: bool,
    sent: Option<(u64, Instant<Monotonic>)>,
    pongs: [u64; MAX_PONGS],
    pending: usize,
}

impl Pulse {
    pub(super) const fn new() -> Self {
        Self {
            count: 0,
            acknowledged: 0,
            wanted: false,
            sent: None,
            pongs: [0; MAX_PONGS],
            pending: 0,
        }
    }

    /// The next message for the courier.
    fn next(&mut self) -> Option<Header> {
        if let Some(last) = self.pending.checked_sub(1) {
            self.pending = last;
            let id = self.pongs.get(last).copied()?;
            return Some(Header::new(Kind::Reply, Opcode::Ping, id));
        }
        if !self.wanted || self.sent.is_some() {
            return None;
        }
        self.wanted = false;
        self.count = self.count.wrapping_add(1);
        let id = self.count | PING;
        self.sent = Some((id, Instant::now()));
        Some(Header::new(Kind::Request, Opcode::Ping, id))
    }
}

impl Link {
    /// Looks at the clock again after a while, until the link ends.
    pub(super) fn schedule_tick(self: &Arc<Self>) {
        // Refused when it is waiting already, or being cancelled.
        let _ = self
            .mount
            .peers
            .control()
            .enqueue_delayed::<Arc<Self>, 2>(self.clone(), msecs_to_jiffies(TICK));
    }

    /// Asks for a sign of life.
    pub(super) fn ping(self: &Arc<Self>) {
        self.pulse.lock().wanted = true;
        self.send_courier();
    }

    /// The peer asks for a sign of life; an error when it asks too often.
    pub(super) fn take_ping(self: &Arc<Self>, id: u64) -> Result {
        {
            let mut pulse = self.pulse.lock();
            let pending = pulse.pending;
            *pulse.pongs.get_mut(pending).ok_or(EPROTO)? = id;
            pulse.pending = pending.saturating_add(1);
        }
        self.send_courier();
        Ok(())
    }

    /// The peer gave the sign of life `id`; an error when nobody asked for it.
    pub(super) fn take_pong(&self, id: u64) -> Result {
        let sent = {
            let mut pulse = self.pulse.lock();
            pulse.sent.take_if(|(sent, _)| *sent == id)
        };
        let (_, sent) = sent.ok_or(EPROTO)?;
        let time = sent.elapsed().as_micros_ceil();
        self.counters
            .measured(u32::try_from(time).unwrap_or(u32::MAX));
        Ok(())
    }

    pub(super) fn send_courier(self: &Arc<Self>) {
        // Refused when it waits for its turn: then it will see what there is.
        let _ = self
            .mount
            .peers
            .control()
            .enqueue::<Arc<Self>, 1>(self.clone());
    }

    fn check(self: &Arc<Self>) {
        let now = self.now();
        if self.peer_is_reading() {
            self.heard.store(now, Relaxed);
            self.taken.store(now, Relaxed);
        }
        let silence = now.saturating_sub(self.heard.load(Relaxed));
        let filling = self.filling.load(Relaxed);
        let sending = self.sending.load(Relaxed);
        let greeting = self.state() == LinkState::Greeting;
        if silence > SILENCE
            || (greeting && now > GREETING)
            || (filling != 0 && now.saturating_sub(filling) > FILLING)
            || (sending != 0 && now.saturating_sub(sending) > SENDING)
        {
            return self.end(DownReason::Timeout, 0);
        }
        if self.expire_calls() {
            return self.end(DownReason::Timeout, 0);
        }
        self.counters.timeouts.add(self.peer.expire_queue());
        if !greeting && silence > QUIET {
            self.ping();
        }
        self.schedule_tick();
    }
}

impl Link {
    /// Whether a message is on its way out, and the peer has taken some of it since the last look.
    ///
    /// A peer to which much is being sent need not say anything: what it would answer is behind
    /// the rest of what it is being sent.
    fn peer_is_reading(&self) -> bool {
        let acknowledged = self.socket.bytes_acked();
        let mut pulse = self.pulse.lock();
        let progress = acknowledged != pulse.acknowledged;
        pulse.acknowledged = acknowledged;
        drop(pulse);
        progress && (self.bulk.try_lock().is_none() || self.sender.try_lock().is_none())
    }

    /// For how many milliseconds nothing has arrived.
    pub(crate) fn silence(&self) -> u32 {
        self.milliseconds_since(self.heard.load(Relaxed))
    }

    /// What moves on the link.
    pub(crate) fn flow(&self) -> Flow {
        let flowed = self.flowed.load(Relaxed);
        Flow {
            arriving: flowed != 0 && self.now().saturating_sub(flowed) < FLOWING,
            standing: self.milliseconds_since(self.taken.load(Relaxed)),
        }
    }

    fn milliseconds_since(&self, time: i64) -> u32 {
        let nanoseconds = self.now().saturating_sub(time);
        u32::try_from(nanoseconds / MILLISECOND).unwrap_or(u32::MAX)
    }
}

impl WorkItem<1> for Link {
    type Pointer = Arc<Link>;

    fn run(this: Arc<Link>) {
        let _nofs = NofsScope::enter();
        loop {
            let pulse = this.pulse.lock().next();
            let sent = match pulse {
                Some(header) => this.send(header, &[], &[], None),
                None => match this.next_notice_reply() {
                    Some(answer) => this.send_notice_reply(&answer),
                    None => return,
                },
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

impl WorkItem<2> for Link {
    type Pointer = Arc<Link>;

    fn run(this: Arc<Link>) {
        let _nofs = NofsScope::enter();
        if this.state() != LinkState::Down {
            this.check();
        }
    }
}
