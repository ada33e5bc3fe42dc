// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Handles: how a request names a file of the device that it is sent to.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};

/// A file of a device, in that device's own encoding.
///
/// Only the device that made it can read it. To all others its first bytes tell which file it is,
/// and the others where that was: a file with several names, and one that was moved, may have
/// several handles, of which these first bytes, the [identity](Identity), are the same.
///
/// # Invariants
///
/// `1 <= identity <= length <= Handle::MAX`, and all bytes after the first `length` are zero, so
/// that the derived comparison is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    length: u8,
    identity: u8,
    bytes: [u8; Handle::MAX],
}

/// What all handles of a file have in common, and those of no two files of a device.
///
/// # Invariants
///
/// As of [`Handle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    length: u8,
    bytes: [u8; Handle::MAX],
}

impl Identity {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or(&[])
    }
}

impl Identity {
    /// A short name for it, by which leases are taken back: FNV-1a of the bytes. Two files may
    /// have the same, by chance.
    pub fn key(&self) -> u64 {
        self.as_bytes().iter().fold(FNV_START, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
        })
    }
}

/// The numbers of FNV-1a with 64 bits.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

impl Handle {
    /// Most bytes in a handle.
    pub const MAX: usize = 64;

    /// Most bytes of an encoded handle.
    pub const MAX_SIZE: usize = 2 + Self::MAX;

    /// A handle of these bytes, which is the only one of its file; [`Error::TooLong`] for none or
    /// too many.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        Self::with_identity(bytes, bytes.len())
    }

    /// A handle of these bytes, of which the first `identity` are the same in all handles of the
    /// file; [`Error::TooLong`] for none or too many.
    pub fn with_identity(bytes: &[u8], identity: usize) -> Result<Self> {
        if identity == 0 || identity > bytes.len() {
            return Err(Error::TooLong);
        }
        let mut handle = Self {
            length: u8::try_from(bytes.len()).map_err(|_| Error::TooLong)?,
            identity: u8::try_from(identity).map_err(|_| Error::TooLong)?,
            bytes: [0; Self::MAX],
        };
        // INVARIANT: The rest of the array stays zero.
        handle
            .bytes
            .get_mut(..bytes.len())
            .ok_or(Error::TooLong)?
            .copy_from_slice(bytes);
        Ok(handle)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or(&[])
    }

    /// Which file it is of.
    pub fn identity(&self) -> Identity {
        let mut bytes = [0; Self::MAX];
        let source = self.bytes.iter().take(self.identity.into());
        for (place, byte) in bytes.iter_mut().zip(source) {
            *place = *byte;
        }
        // INVARIANT: Those of `self`.
        Identity {
            length: self.identity,
            bytes,
        }
    }

    /// Whether both are of the same file.
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        let (length, identity) = (decoder.u8()?, decoder.u8()?);
        Self::with_identity(decoder.bytes(length.into())?, identity.into())
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.u8(self.length)?;
        encoder.u8(self.identity)?;
        encoder.bytes(self.as_bytes())
    }
}
