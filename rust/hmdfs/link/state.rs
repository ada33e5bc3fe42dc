// SPDX-License-Identifier: GPL-2.0

//! How far a link has come, and why it ended.
//!
//! The numbers are those of Documentation/netlink/specs/hmdfs.yaml.

/// Which side opened the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Role {
    /// This one.
    Initiator = 0,
    /// The peer.
    Acceptor = 1,
}

/// How far a link has come.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum LinkState {
    /// The peer's HELLO has not arrived.
    Greeting = 0,
    /// Carries requests.
    Up = 1,
    /// Has ended, or is about to.
    Down = 2,
}

/// Why a link ended.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum DownReason {
    /// It did not.
    None = 0,
    /// This side wanted it.
    Admin = 1,
    /// The peer said that it ends the link.
    PeerBye = 2,
    /// The connection ended without a goodbye.
    Closed = 3,
    /// The peer stayed silent.
    Timeout = 4,
    /// The socket reported an error.
    IoError = 5,
    /// A TLS record was not authentic, or of an unexpected type.
    BadRecord = 6,
    /// The peer sent what the protocol does not allow.
    Protocol = 7,
    /// There is no common protocol version.
    Version = 8,
    /// The keys have protected as many records as they may.
    KeyLimit = 9,
}

impl DownReason {
    /// For logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            DownReason::None => "it is not",
            DownReason::Admin => "ended here",
            DownReason::PeerBye => "ended by the peer",
            DownReason::Closed => "connection closed without a goodbye",
            DownReason::Timeout => "the peer is silent",
            DownReason::IoError => "error of the socket",
            DownReason::BadRecord => "bad TLS record",
            DownReason::Protocol => "the peer broke the protocol",
            DownReason::Version => "no common protocol version",
            DownReason::KeyLimit => "the keys are used up",
        }
    }

    /// Whether another link in its place is not to be waited for: it was meant to end, or would
    /// end in the same way.
    pub(crate) const fn is_final(self) -> bool {
        matches!(
            self,
            DownReason::Admin | DownReason::PeerBye | DownReason::Version | DownReason::Protocol
        )
    }

    /// Whether the peer is still there to be told. It is not told when another link is to come at
    /// once: it would take a goodbye for the end.
    pub(super) const fn is_polite(self) -> bool {
        matches!(
            self,
            DownReason::Admin | DownReason::Protocol | DownReason::Version
        )
    }
}

/// The state of a link, with how it came about.
pub(super) struct State {
    state: LinkState,
    was_up: bool,
    reason: DownReason,
    errno: u32,
}

impl State {
    pub(super) const fn new() -> Self {
        Self {
            state: LinkState::Greeting,
            was_up: false,
            reason: DownReason::None,
            errno: 0,
        }
    }

    pub(super) const fn get(&self) -> LinkState {
        self.state
    }

    pub(super) const fn reason(&self) -> DownReason {
        self.reason
    }

    pub(super) const fn errno(&self) -> u32 {
        self.errno
    }

    pub(super) const fn was_up(&self) -> bool {
        self.was_up
    }

    /// The greeting succeeded; false when the link has ended meanwhile.
    pub(super) fn come_up(&mut self) -> bool {
        if self.state != LinkState::Greeting {
            return false;
        }
        self.state = LinkState::Up;
        self.was_up = true;
        true
    }

    /// The link ends; false when it did already.
    pub(super) fn end(&mut self, reason: DownReason, errno: u32) -> bool {
        if self.state == LinkState::Down {
            return false;
        }
        self.state = LinkState::Down;
        self.reason = reason;
        self.errno = errno;
        true
    }
}

impl super::Link {
    /// How far the link has come.
    pub(crate) fn state(&self) -> LinkState {
        self.state.lock().get()
    }

    /// Whether the link carries requests.
    pub(crate) fn is_up(&self) -> bool {
        self.state() == LinkState::Up
    }

    /// Why the link ended, and the errno behind that or zero.
    pub(crate) fn down(&self) -> (DownReason, u32) {
        let state = self.state.lock();
        (state.reason(), state.errno())
    }
}
