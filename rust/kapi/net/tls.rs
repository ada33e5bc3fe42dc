// SPDX-License-Identifier: GPL-2.0

//! What the kernel's TLS says of a socket.
//!
//! C headers: [`include/net/tls.h`](srctree/include/net/tls.h),
//! [`include/uapi/linux/tls.h`](srctree/include/uapi/linux/tls.h)

/// Why a socket is not fit for use as an encrypted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is not a TCP socket.
    NotTcp,
    /// It is not connected, or not any more.
    NotEstablished,
    /// The upper-layer protocol "tls" was not attached.
    NoTls,
    /// There are no keys for sending.
    NoSendKeys,
    /// There are no keys for receiving.
    NoReceiveKeys,
    /// It is TLS, but not of version 1.3.
    NotVersion13,
}

/// Type of the records that carry what programs send.
pub const RECORD_DATA: u8 = 23;

/// Type of the records that carry alerts: a level and a description.
pub const RECORD_ALERT: u8 = 21;

/// Level of an alert that does not mean trouble.
pub const ALERT_WARNING: u8 = 1;

/// Description of the alert by which a side ends the connection properly.
pub const ALERT_CLOSE_NOTIFY: u8 = 0;

/// The version number of TLS 1.3.
pub(crate) const VERSION_13: u16 = 0x0304;

/// Plaintext bytes that fit into one record.
pub const RECORD_SIZE: usize = 16384;
