// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The wire format of hmdfs (Documentation/protocol.md).
//!
//! Everything here is pure: bytes in, values out, and back. Every length that
//! comes from the wire is checked in the one place where it is decoded, and the
//! types that come out can be relied on: a [`Name`] is one path component, a
//! [`Handle`] fits its buffer, a [`Header`] announces no more than the limits.

#![cfg_attr(all(not(CONFIG_RUST), not(test)), no_std)]
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod attributes;
pub mod changes;
pub mod codec;
pub mod compound;
pub mod directory;
pub mod error;
pub mod handle;
pub mod header;
pub mod hello;
pub mod lock;
pub mod name;
pub mod operation;
pub mod outcome;
pub mod recall;

pub use attributes::{Attributes, FileSystem, Timestamp};
pub use changes::{Allocate, AllocateMode, RenameFlags, SetAttributes, SetMode, SetTime};
pub use codec::{Decoder, Encoder};
pub use compound::{numbered, ReplyReader, ReplyWriter, RequestReader, RequestWriter, ONCE_SIZE};
pub use directory::Entry;
pub use error::{Error, Result, Status};
pub use handle::{Handle, Identity};
pub use header::{Header, Kind, Opcode};
pub use hello::{session, Hello};
pub use lock::{
    Conflict, Lock, LockClass, LockKind, LockOwner, LockRange, Locking, TestLock, Unlock,
};
pub use name::{AttributeName, Name, Target};
pub use operation::Operation;
pub use outcome::{Fetched, Outcome, Written};
pub use recall::{Lease, OpenFiles, Recall};

/// The oldest version of the protocol that this code speaks.
pub const VERSION_MIN: u16 = 1;

/// The newest version of the protocol that this code speaks.
pub const VERSION_MAX: u16 = 1;

/// Most bytes in the body of a message.
pub const MAX_BODY: u32 = 1 << 20;

/// Most bytes in the data run at the end of a message.
pub const MAX_DATA: u32 = 1 << 20;

/// Most operations in one compound.
pub const MAX_OPERATIONS: u16 = 64;

/// Most requests that a peer may ever have waiting here.
pub const MAX_REQUESTS: u16 = 1024;

/// Most bytes in the target of a symbolic link (PATH_MAX without the NUL).
pub const MAX_SYMLINK: usize = 4095;
