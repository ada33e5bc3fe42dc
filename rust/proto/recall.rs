// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Leases, and what a device that gave some takes back.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};

/// The answer to the wish for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Lease {
    /// It cannot be had. What is told of the file may be used for a while all the same.
    None = 0,
    /// It was granted.
    Granted = 1,
    /// Somebody has the file open for writing, and it may change at any time.
    Busy = 2,
    /// It was granted, and the file has no extended attributes and no access control lists.
    Bare = 3,
}

impl Lease {
    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        Self::from_u8(decoder.u8()?)
    }

    pub(crate) const fn from_u8(number: u8) -> Result<Self> {
        Ok(match number {
            0 => Lease::None,
            1 => Lease::Granted,
            2 => Lease::Busy,
            3 => Lease::Bare,
            _ => return Err(Error::Unknown),
        })
    }
}

/// The body of a RECALL: the keys of files ([`crate::Identity::key`]), or nothing for all that the
/// sender has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall<'a>(&'a [u8]);

impl<'a> Recall<'a> {
    /// Most keys in one message.
    pub const MAX: usize = 512;

    /// Most bytes of a body.
    pub const MAX_SIZE: usize = Self::MAX * Self::KEY;

    /// Bytes of a key.
    const KEY: usize = 8;

    /// Reads the body of a message.
    pub fn decode(body: &'a [u8]) -> Result<Self> {
        if body.len() > Self::MAX_SIZE {
            return Err(Error::TooLong);
        }
        if !body.chunks_exact(Self::KEY).remainder().is_empty() {
            return Err(Error::TrailingBytes);
        }
        Ok(Self(body))
    }

    /// Writes a body that takes back the leases on the files with these keys; [`Error::TooLong`]
    /// for more than [`Recall::MAX`].
    pub fn encode(keys: &[u64], encoder: &mut Encoder<'_>) -> Result<()> {
        if keys.len() > Self::MAX {
            return Err(Error::TooLong);
        }
        keys.iter().try_for_each(|&key| encoder.u64(key))
    }

    /// Whether all leases are taken back.
    pub fn is_of_all(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of the files.
    pub fn keys(&self) -> impl Iterator<Item = u64> + 'a {
        let mut decoder = Decoder::new(self.0);
        core::iter::from_fn(move || decoder.u64().ok())
    }
}
