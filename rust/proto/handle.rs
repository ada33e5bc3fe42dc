// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Handles: how a request names a file of the device that it is sent to.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};

/// A file of a device, in that device's own encoding.
///
/// Only the device that made it can read it; to all others it is bytes that are
/// different for different files. A file with several names may have several.
///
/// # Invariants
///
/// `length <= Handle::MAX`, and all bytes after the first `length` are zero, so
/// that the derived comparison is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    length: u8,
    bytes: [u8; Handle::MAX],
}

impl Handle {
    /// Most bytes in a handle.
    pub const MAX: usize = 64;

    /// A handle of these bytes; [`Error::TooLong`] for none or too many.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let mut handle = Self {
            length: u8::try_from(bytes.len()).map_err(|_| Error::TooLong)?,
            bytes: [0; Self::MAX],
        };
        if bytes.is_empty() {
            return Err(Error::TooLong);
        }
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

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        let length = decoder.u8()?;
        Self::new(decoder.bytes(length.into())?)
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.u8(self.length)?;
        encoder.bytes(self.as_bytes())
    }
}
