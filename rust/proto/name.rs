// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Names of directory entries and of extended attributes, and targets of links.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::MAX_SYMLINK;

/// One path component.
///
/// # Invariants
///
/// 1 to 255 bytes, none of them '/' or NUL; not "." and not "..".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Most bytes in a name.
    pub const MAX: usize = 255;

    /// Checks `bytes`; [`Error::Name`] when they are not one path component.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        if bytes.is_empty()
            || bytes.len() > Self::MAX
            || bytes == b"."
            || bytes == b".."
            || bytes.iter().any(|&byte| byte == b'/' || byte == 0)
        {
            return Err(Error::Name);
        }
        // INVARIANT: All of it was just checked.
        Ok(Self(bytes))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn decode(decoder: &mut Decoder<'a>) -> Result<Self> {
        let length = decoder.u8()?;
        Self::new(decoder.bytes(length.into())?)
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.u8(u8::try_from(self.0.len()).map_err(|_| Error::TooLong)?)?;
        encoder.bytes(self.0)
    }
}

/// The name of an extended attribute, with its namespace, such as `user.comment`.
///
/// # Invariants
///
/// 1 to 255 bytes, none of them NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeName<'a>(&'a [u8]);

impl<'a> AttributeName<'a> {
    /// Most bytes in a name (`XATTR_NAME_MAX`).
    pub const MAX: usize = 255;

    /// Checks `bytes`; [`Error::Name`] when they cannot be a name.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        if bytes.is_empty() || bytes.len() > Self::MAX || bytes.contains(&0) {
            return Err(Error::Name);
        }
        // INVARIANT: All of it was just checked.
        Ok(Self(bytes))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn decode(decoder: &mut Decoder<'a>) -> Result<Self> {
        let length = decoder.u8()?;
        Self::new(decoder.bytes(length.into())?)
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.u8(u8::try_from(self.0.len()).map_err(|_| Error::TooLong)?)?;
        encoder.bytes(self.0)
    }
}

/// Where a symbolic link points.
///
/// # Invariants
///
/// 1 to [`MAX_SYMLINK`] bytes, none of them NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a>(&'a [u8]);

impl<'a> Target<'a> {
    /// Checks `bytes`; [`Error::Name`] when they cannot be a target.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        if bytes.is_empty() || bytes.len() > MAX_SYMLINK || bytes.contains(&0) {
            return Err(Error::Name);
        }
        // INVARIANT: All of it was just checked.
        Ok(Self(bytes))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_components_are_names() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", &[b'x'; 256]] {
            assert_eq!(Name::new(bad), Err(Error::Name));
        }
        for good in [&b"a"[..], b"...", b" ", b"\n", b"\xff\xfe", &[b'x'; 255]] {
            assert_eq!(Name::new(good).unwrap().as_bytes(), good);
        }
    }
}
