// SPDX-License-Identifier: GPL-2.0

//! What a link counts.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// A number that only grows.
pub(crate) struct Counter(Atomic<u64>);

impl Counter {
    const fn new() -> Self {
        Self(Atomic::new(0))
    }

    pub(super) fn add(&self, number: usize) {
        // CAST: `usize` has at most 64 bits here.
        self.0.add(number as u64, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counters of a link. Bytes are those of messages, before encryption.
pub(crate) struct Counters {
    /// Compounds sent.
    pub(crate) requests_sent: Counter,
    /// Compounds received.
    pub(crate) requests_received: Counter,
    /// Replies to compounds received.
    pub(crate) replies_received: Counter,
    /// Bytes received.
    pub(crate) rx_bytes: Counter,
    /// Bytes sent.
    pub(crate) tx_bytes: Counter,
    /// Calls whose deadline passed.
    pub(crate) timeouts: Counter,
    rtt: Atomic<u32>,
}

impl Counters {
    pub(super) const fn new() -> Self {
        Self {
            requests_sent: Counter::new(),
            requests_received: Counter::new(),
            replies_received: Counter::new(),
            rx_bytes: Counter::new(),
            tx_bytes: Counter::new(),
            timeouts: Counter::new(),
            rtt: Atomic::new(0),
        }
    }

    /// Smoothed round-trip time of PING, in microseconds; zero before the first.
    pub(crate) fn rtt(&self) -> u32 {
        self.rtt.load(Relaxed)
    }

    /// Another round trip took `time` microseconds. Only the receiver calls it.
    pub(super) fn measured(&self, time: u32) {
        let smoothed = match self.rtt() {
            0 => time,
            old => old - old / 8 + time / 8,
        };
        self.rtt.store(smoothed.max(1), Relaxed);
    }
}
