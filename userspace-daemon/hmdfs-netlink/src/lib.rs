// SPDX-License-Identifier: MIT OR Apache-2.0

//! The netlink interface of hmdfs.ko (Documentation/netlink/specs/hmdfs.yaml).
//!
//! [`Client`] sends requests, [`Events`] receives notifications. A socket belongs to the network
//! namespace of the thread that opened it and sees the mount of that namespace only.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod client;
mod error;
pub mod message;
mod network;
mod socket;
mod types;
pub mod uapi;

pub use client::{Client, Events};
pub use error::{Error, Refusal};
pub use network::NetworkChanges;
pub use types::{Device, DeviceSettings, Event, Instance, Link, LinkStats, PeerId};
pub use uapi::{Access, DownReason, LinkRole, LinkState};
