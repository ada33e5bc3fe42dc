// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Entries of a directory listing.

use crate::attributes::Attributes;
use crate::codec::{Decoder, Encoder};
use crate::error::Result;
use crate::handle::Handle;
use crate::name::Name;
use crate::recall::Lease;

/// What stands in front of a handle and attributes, plus the number of a [`Lease`].
const NODE: u8 = 1;

/// One entry of a listing. "." and ".." are never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where a listing goes on after this entry.
    pub next: u64,
    /// Inode number on the owner device.
    pub ino: u64,
    /// Type as in `d_type` of `readdir` (`DT_REG`, `DT_DIR`...).
    pub file_type: u8,
    /// The name.
    pub name: Name<'a>,
    /// Handle and attributes, when they were asked for and could be had.
    pub node: Option<(Handle, Attributes)>,
    /// Whether there is a lease on it; [`Lease::None`] without handle and attributes.
    pub lease: Lease,
}

impl<'a> Entry<'a> {
    /// Bytes of an encoded entry, without its name, handle and attributes.
    pub const MIN_SIZE: usize = 8 + 8 + 1 + 1 + 1;

    /// Most bytes that one encoded entry takes.
    pub const MAX_SIZE: usize = 8 + 8 + 1 + 1 + Name::MAX + 1 + Handle::MAX_SIZE + Attributes::SIZE;

    /// Decodes the next entry.
    pub fn decode(decoder: &mut Decoder<'a>) -> Result<Self> {
        let mut entry = Self {
            next: decoder.u64()?,
            ino: decoder.u64()?,
            file_type: decoder.u8()?,
            name: Name::decode(decoder)?,
            node: None,
            lease: Lease::None,
        };
        let Some(lease) = decoder.u8()?.checked_sub(NODE) else {
            return Ok(entry);
        };
        entry.lease = Lease::from_u8(lease)?;
        entry.node = Some((Handle::decode(decoder)?, Attributes::decode(decoder)?));
        Ok(entry)
    }

    /// Encodes the entry; when it does not fit, nothing is written.
    pub fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        let start = encoder.len();
        let written = self.encode_fields(encoder);
        if written.is_err() {
            encoder.truncate(start);
        }
        written
    }

    fn encode_fields(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.u64(self.next)?;
        encoder.u64(self.ino)?;
        encoder.u8(self.file_type)?;
        self.name.encode(encoder)?;
        match &self.node {
            None => encoder.u8(0),
            Some((handle, attributes)) => {
                encoder.u8(NODE.saturating_add(self.lease as u8))?;
                handle.encode(encoder)?;
                attributes.encode(encoder)
            }
        }
    }
}

/// The entries of one reply.
#[derive(Clone, Debug)]
pub struct Entries<'a>(Decoder<'a>);

impl<'a> Entries<'a> {
    /// Reads encoded entries, one after the other, from `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(Decoder::new(bytes))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.remaining() == 0 {
            return None;
        }
        let entry = Entry::decode(&mut self.0);
        if entry.is_err() {
            self.0 = Decoder::new(&[]);
        }
        Some(entry)
    }
}
