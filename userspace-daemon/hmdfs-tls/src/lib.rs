// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who a device is, how two devices prove it to each other, and how the connection that results
//! is handed to the kernel.
//!
//! A [`Handshake`] ends with a [`Session`]; [`ktls::install`] puts its keys into the socket.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod config;
mod device_id;
mod handshake;
mod hello;
mod identity;
pub mod ktls;
mod record;
mod session;

pub use device_id::{DeviceId, ParseError};
pub use handshake::{Handshake, HandshakeError, Step};
pub use hello::Answer;
pub use identity::{write_private, Identity, IdentityError};
pub use session::{Cipher, Session, TrafficKeys};
