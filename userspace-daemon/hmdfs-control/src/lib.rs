// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `hmdfsctl` asks and `hmdfsd` answers: one line of JSON each, over a Unix socket.
//!
//! The names of fields are an interface that scripts rely on: they are added to, never changed.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ask;

use serde::{Deserialize, Serialize};

pub use ask::{ask, AskError};

/// Where the daemon listens, unless its configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/hmdfs/hmdfsd.sock";

/// Longest line of a request, in octets.
pub const REQUEST_MAX: usize = 4096;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// This device and its view of the others.
    Status,
    /// The other devices.
    Devices,
    /// The links with their counters.
    Links,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Devices`].
    Devices(Vec<Device>),
    /// To [`Request::Links`].
    Links(Vec<Link>),
    /// Instead of an answer.
    Error(Failure),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub code: FailureCode,
    /// What was wrong and what to do, for people.
    pub message: String,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// The request is not one that the daemon knows.
    BadRequest,
    /// The user may not ask.
    NotPermitted,
    /// The kernel did not answer as it should.
    Kernel,
}

/// This device and its view of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// ID of this device.
    pub id: String,
    /// What this device calls itself.
    pub name: String,
    /// Version of the daemon.
    pub version: String,
    /// Addresses on which the daemon accepts connections.
    pub listen: Vec<String>,
    /// The mount, if there is one.
    pub mount: Option<Mount>,
    /// Why there is no mount.
    pub problem: Option<String>,
    /// The other devices, in the order of their numbers.
    pub devices: Vec<Device>,
}

/// The mount of the daemon's network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The kernel's number of the mount.
    pub instance: u32,
    /// Oldest protocol version that the kernel speaks.
    pub protocol_min: u32,
    /// Newest protocol version that the kernel speaks.
    pub protocol_max: u32,
    /// Feature bits of the kernel.
    pub features: u64,
}

/// Another device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its ID.
    pub id: String,
    /// Its number, which orders name conflicts.
    pub number: u32,
    /// Its directory under `device_view`.
    pub name: String,
    /// What it may do here: `none`, `read` or `write`.
    pub access: String,
    /// Its security level, 1 to 5.
    pub level: Option<u32>,
    /// Where it is sought.
    pub addresses: Vec<String>,
    /// Whether a link is up.
    pub online: bool,
    /// Links that are up.
    pub links: u32,
    /// Why it is not online.
    pub reason: Option<String>,
}

/// A link. The counters are those of `link-stats` in the netlink specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The kernel's number of the link.
    pub id: u32,
    /// ID of the device at its other end.
    pub peer_id: String,
    /// That device's name, if it is configured.
    pub device: Option<String>,
    /// `initiator` or `acceptor`: what this side was.
    pub role: String,
    /// `greeting`, `up` or `down`.
    pub state: String,
    /// Why it is down; `none` otherwise.
    pub down_reason: String,
    /// Positive error number behind the reason; 0 when there is none.
    pub error: i32,
    /// Counters.
    pub stats: LinkStats,
}

/// Counters of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStats {
    /// Requests to the peer, which are round trips; PING and HELLO are not counted.
    pub requests_sent: u64,
    /// Requests of the peer.
    pub requests_received: u64,
    /// Replies of the peer.
    pub replies_received: u64,
    /// Octets received.
    pub rx_bytes: u64,
    /// Octets sent.
    pub tx_bytes: u64,
    /// Requests whose deadline passed.
    pub timeouts: u64,
    /// Requests that wait for their replies.
    pub inflight: u32,
    /// Smoothed round-trip time of PING, in microseconds.
    pub rtt_usec: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_on_the_wire() {
        let text = serde_json::to_string(&Request::Status).unwrap();
        assert_eq!(text, r#"{"op":"status"}"#);
        assert_eq!(
            serde_json::from_str::<Request>(r#"{"op":"links"}"#).unwrap(),
            Request::Links
        );
        assert!(serde_json::from_str::<Request>(r#"{"op":"format-disk"}"#).is_err());
    }

    #[test]
    fn counters_have_the_names_of_the_specification() {
        let json = serde_json::to_value(LinkStats::default()).unwrap();
        let mut names: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        names.sort();
        let mut expected = [
            "requests_sent",
            "requests_received",
            "replies_received",
            "rx_bytes",
            "tx_bytes",
            "timeouts",
            "inflight",
            "rtt_usec",
        ];
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_failure_on_the_wire() {
        let reply = Reply::Error(Failure {
            code: FailureCode::NotPermitted,
            message: "no".into(),
        });
        let text = serde_json::to_string(&reply).unwrap();
        assert_eq!(text, r#"{"error":{"code":"not-permitted","message":"no"}}"#);
    }
}
