// SPDX-License-Identifier: GPL-2.0

//! Networking: namespaces and sockets.

pub mod namespace;
pub mod socket;
pub mod tls;

pub use namespace::Namespace;
pub use socket::Socket;
