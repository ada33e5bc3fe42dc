// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The first message of each side of a link.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::{MAX_DATA, MAX_REQUESTS, VERSION_MAX, VERSION_MIN};

/// What one side says of itself when a link begins.
///
/// Both sides send theirs at once and wait for nothing; a link carries requests
/// as soon as the other's has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Oldest version spoken.
    pub version_min: u16,
    /// Newest version spoken.
    pub version_max: u16,
    /// Feature bits. None is defined in version 1.
    pub features: u64,
    /// Random number of the mount: another one after a remount or a reboot.
    pub epoch: u64,
    /// Another number whenever the sender has seen the receiver go offline; at first a random one.
    /// What either holds for the other, such as locks, is gone then.
    pub session: u64,
    /// How many requests the sender will hold for the receiver at once, 1 to
    /// [`MAX_REQUESTS`]; headers may change it later.
    pub window: u16,
    /// How many bytes of data in requests the sender will hold for the receiver at once; at
    /// least [`MAX_DATA`].
    pub data_window: u32,
}

impl Hello {
    /// Bytes of an encoded value.
    pub const SIZE: usize = 34;

    /// Decodes the body of a HELLO.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let mut decoder = Decoder::new(body);
        let hello = Self {
            version_min: decoder.u16()?,
            version_max: decoder.u16()?,
            features: decoder.u64()?,
            epoch: decoder.u64()?,
            session: decoder.u64()?,
            window: decoder.u16()?,
            data_window: decoder.u32()?,
        };
        decoder.finish()?;
        if hello.version_min > hello.version_max {
            return Err(Error::Version);
        }
        if hello.window == 0 || hello.window > MAX_REQUESTS {
            return Err(Error::TooLong);
        }
        if hello.data_window < MAX_DATA {
            return Err(Error::Truncated);
        }
        Ok(hello)
    }

    /// Encodes the body of a HELLO.
    pub fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.u16(self.version_min)?;
        encoder.u16(self.version_max)?;
        encoder.u64(self.features)?;
        encoder.u64(self.epoch)?;
        encoder.u64(self.session)?;
        encoder.u16(self.window)?;
        encoder.u32(self.data_window)
    }

    /// The newest version that both this code and the sender of `self` speak.
    pub fn common_version(&self) -> Result<u16> {
        let version = self.version_max.min(VERSION_MAX);
        if version < self.version_min || version < VERSION_MIN {
            return Err(Error::Version);
        }
        Ok(version)
    }
}

/// How requests call a session (section 5 of Documentation/protocol.md): `owner` and `client` are
/// the [`Hello::session`] of the device that has the file and of the one that asks.
pub const fn session(owner: u64, client: u64) -> u64 {
    owner ^ client.rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version_min: u16, version_max: u16) -> Hello {
        Hello {
            version_min,
            version_max,
            features: 0,
            epoch: 1,
            session: 2,
            window: 1,
            data_window: MAX_DATA,
        }
    }

    #[test]
    fn survives_the_wire() {
        let mut buffer = [0; Hello::SIZE];
        let mut encoder = Encoder::new(&mut buffer);
        hello(1, 9).encode(&mut encoder).unwrap();
        assert_eq!(encoder.len(), Hello::SIZE);
        assert_eq!(Hello::decode(&buffer).unwrap(), hello(1, 9));
    }

    #[test]
    fn the_newest_common_version_is_spoken() {
        assert_eq!(hello(1, 1).common_version(), Ok(1));
        assert_eq!(hello(1, 7).common_version(), Ok(VERSION_MAX));
        assert_eq!(
            hello(VERSION_MAX + 1, VERSION_MAX + 1).common_version(),
            Err(Error::Version)
        );
    }
}
