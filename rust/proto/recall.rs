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

    /// The body.
    pub(crate) const fn as_bytes(&self) -> &'a [u8] {
        self.0
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

/// Which of some files that it was asked about a device has open, a bit for each key: the body of the
/// reply to a RECALL, and the outcome of [`crate::Operation::Writing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFiles([u64; Self::WORDS]);

impl OpenFiles {
    const WORDS: usize = Recall::MAX / 64;

    /// Bytes of an encoded value.
    pub const SIZE: usize = Recall::MAX / 8;

    /// The file of the key number `place` is open.
    pub fn add(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    /// Whether the file of the key number `place` is open.
    pub fn has(&self, place: usize) -> bool {
        self.0
            .get(place / 64)
            .is_some_and(|word| word & 1 << (place % 64) != 0)
    }

    /// Whether no file is open.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the body of a message: nothing, when no file is open, or a bit for each.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let mut bits = Self::default();
        if body.is_empty() {
            return Ok(bits);
        }
        let mut decoder = Decoder::new(body);
        for word in &mut bits.0 {
            *word = decoder.u64()?;
        }
        decoder.finish()?;
        Ok(bits)
    }

    /// Writes the body of a message that says that some file is open.
    pub fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        self.0.iter().try_for_each(|&word| encoder.u64(word))
    }
}
