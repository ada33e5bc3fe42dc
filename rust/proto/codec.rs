// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Little-endian values in and out of byte slices.

use crate::error::{Error, Result};

/// Reads values from the front of a message.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads from `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// The next byte, which is 0 or 1; [`Error::Unknown`] when it is something else.
    pub fn flag(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Unknown),
        }
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The next eight bytes as a signed number.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Number of bytes that were not read yet.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Ends reading: nothing may be left.
    pub const fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::TrailingBytes)
        }
    }
}

/// Writes values into a buffer of fixed size.
///
/// # Invariants
///
/// `at <= buffer.len()`.
#[derive(Debug)]
pub struct Encoder<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl<'a> Encoder<'a> {
    /// Writes to `buffer`, from its beginning.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, at: 0 }
    }

    /// Appends `bytes`; [`Error::TooLong`] when the buffer is full, and then
    /// nothing was written.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.put(self.at, bytes)?;
        self.at = self.at.saturating_add(bytes.len());
        Ok(())
    }

    /// Appends a byte.
    pub fn u8(&mut self, value: u8) -> Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a byte that is 0 or 1.
    pub fn flag(&mut self, value: bool) -> Result<()> {
        self.u8(value.into())
    }

    /// Appends two bytes.
    pub fn u16(&mut self, value: u16) -> Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends four bytes.
    pub fn u32(&mut self, value: u32) -> Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends eight bytes.
    pub fn u64(&mut self, value: u64) -> Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends eight bytes of a signed number.
    pub fn i64(&mut self, value: i64) -> Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    /// Overwrites bytes that were written before, at `offset`.
    pub fn patch(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        if offset.saturating_add(bytes.len()) > self.at {
            return Err(Error::TooLong);
        }
        self.put(offset, bytes)
    }

    /// Forgets everything that was written after the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.at = self.at.min(length);
    }

    /// Number of bytes written.
    pub const fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.at == 0
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        let end = offset.checked_add(bytes.len()).ok_or(Error::TooLong)?;
        self.buffer
            .get_mut(offset..end)
            .ok_or(Error::TooLong)?
            .copy_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_is_refused_and_unchanged() {
        let mut buffer = [0; 5];
        let mut encoder = Encoder::new(&mut buffer);
        encoder.u32(0x0403_0201).unwrap();
        assert_eq!(encoder.u16(7), Err(Error::TooLong));
        encoder.u8(5).unwrap();
        assert_eq!(encoder.len(), 5);
        assert_eq!(buffer, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn patching_cannot_go_past_what_was_written() {
        let mut buffer = [0; 8];
        let mut encoder = Encoder::new(&mut buffer);
        encoder.u16(0).unwrap();
        assert_eq!(encoder.patch(1, &[1, 2]), Err(Error::TooLong));
        encoder.patch(0, &[1, 2]).unwrap();
    }
}
