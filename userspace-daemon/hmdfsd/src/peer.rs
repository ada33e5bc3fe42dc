// SPDX-License-Identifier: MIT OR Apache-2.0

//! One trusted device: when to dial it, and why it is not online.

use std::time::{Duration, Instant};

use crate::backoff::{self, Backoff};
use crate::config::PeerConfig;

const FIRST: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_secs(30);
/// Both sides may dial at once. The one with the larger ID waits so long first, so that normally
/// just one link arises.
const COURTESY: Duration = Duration::from_millis(1500);
/// So long a connection of the other side, which has proven who it is, may take to become a link.
const EXPECTATION: Duration = Duration::from_secs(5);
/// A link that was up for so long was a success: after it, dialling begins anew.
const LASTING: Duration = Duration::from_secs(5);

/// A trusted device.
#[derive(Debug)]
pub struct Peer {
    /// What the configuration says.
    pub config: PeerConfig,
    /// Why there is no link; for people.
    pub reason: String,
    courteous: bool,
    backoff: Backoff,
    next: Option<Instant>,
    dialling: bool,
}

impl Peer {
    /// A device that is not dialled yet. `courteous` is whether this side has the larger ID.
    pub fn new(config: PeerConfig, courteous: bool) -> Self {
        Peer {
            config,
            reason: "not tried yet".to_owned(),
            courteous,
            backoff: Backoff::new(FIRST, LAST),
            next: None,
            dialling: false,
        }
    }

    fn delay(&self) -> Duration {
        if self.courteous {
            COURTESY
        } else {
            Duration::ZERO
        }
    }

    /// Dial at the next opportunity.
    pub fn dial_now(&mut self, now: Instant) {
        self.backoff.reset();
        self.next = Some(now + self.delay());
    }

    /// Dial after a wait that grows.
    pub fn dial_later(&mut self, now: Instant) {
        let wait = self.backoff.wait(backoff::random());
        self.next = Some(now + self.delay() + wait);
    }

    /// A link went down that had been up since `up`, if it ever was.
    pub fn lost(&mut self, now: Instant, up: Option<Duration>) {
        if up.is_some_and(|up| up >= LASTING) {
            self.dial_now(now);
        } else {
            self.dial_later(now);
        }
    }

    /// The other side's connection was accepted: another one should not be needed.
    pub fn expect(&mut self, now: Instant) {
        self.next = Some(now + EXPECTATION);
    }

    /// Do not dial.
    pub fn rest(&mut self) {
        self.next = None;
    }

    /// Whether dialling is neither under way nor planned.
    pub fn is_idle(&self) -> bool {
        self.next.is_none() && !self.dialling
    }

    /// When to dial next.
    pub fn due(&self) -> Option<Instant> {
        self.next
            .filter(|_| !self.dialling && !self.config.addresses.is_empty())
    }

    /// Whether dialling should begin; it is then under way.
    pub fn begin(&mut self, now: Instant) -> bool {
        let begins = self.due().is_some_and(|due| due <= now);
        if begins {
            self.dialling = true;
            self.next = None;
        }
        begins
    }

    /// Dialling has ended, one way or the other.
    pub fn end(&mut self) {
        self.dialling = false;
    }

    /// Remembers why there is no link; tells whether that is news.
    pub fn note(&mut self, reason: String) -> bool {
        let news = self.reason != reason;
        self.reason = reason;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmdfs_netlink::Access;
    use hmdfs_tls::DeviceId;

    fn peer(courteous: bool, addresses: &[&str]) -> Peer {
        let config = PeerConfig {
            id: DeviceId([1; 32]),
            number: 1,
            name: "tablet".into(),
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            access: Access::None,
            level: None,
        };
        Peer::new(config, courteous)
    }

    #[test]
    fn the_larger_id_waits() {
        let now = Instant::now();
        let (mut small, mut large) = (peer(false, &["a:1"]), peer(true, &["a:1"]));
        small.dial_now(now);
        large.dial_now(now);
        assert!(small.begin(now));
        assert!(!large.begin(now));
        assert!(large.begin(now + COURTESY));
    }

    #[test]
    fn one_attempt_at_a_time() {
        let now = Instant::now();
        let mut peer = peer(false, &["a:1"]);
        assert_eq!(peer.due(), None);
        assert!(peer.is_idle());
        peer.dial_now(now);
        assert!(peer.begin(now));
        assert!(!peer.is_idle());
        peer.dial_now(now);
        assert!(!peer.begin(now));
        peer.end();
        assert!(peer.begin(now));
    }

    #[test]
    fn whoever_is_expected_is_not_dialled() {
        let now = Instant::now();
        let mut peer = peer(false, &["a:1"]);
        peer.dial_now(now);
        peer.expect(now);
        assert!(!peer.begin(now));
        assert!(peer.begin(now + EXPECTATION), "it did not come");
    }

    #[test]
    fn without_an_address_nobody_is_dialled() {
        let mut peer = peer(false, &[]);
        peer.dial_now(Instant::now());
        assert_eq!(peer.due(), None);
    }

    #[test]
    fn a_link_that_fails_again_and_again_is_dialled_ever_more_seldom() {
        let now = Instant::now();
        let mut peer = peer(false, &["a:1"]);
        for _ in 0..8 {
            peer.lost(now, Some(Duration::from_millis(10)));
        }
        assert!(peer.due().unwrap() >= now + LAST / 2);
        peer.lost(now, Some(LASTING));
        assert_eq!(peer.due(), Some(now));
        peer.rest();
        assert_eq!(peer.due(), None);
    }

    #[test]
    fn a_reason_is_news_once() {
        let mut peer = peer(false, &[]);
        assert!(peer.note("refused".into()));
        assert!(!peer.note("refused".into()));
        assert!(peer.note("timed out".into()));
    }
}
