// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Arguments of the operations that change something.

use crate::attributes::Timestamp;
use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};

/// How to rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RenameFlags {
    /// What has the new name is replaced.
    Replace = 0,
    /// It is an error when something has the new name.
    NoReplace = 1,
    /// The two names exchange what they stand for.
    Exchange = 2,
}

impl RenameFlags {
    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        match decoder.u8()? {
            0 => Ok(Self::Replace),
            1 => Ok(Self::NoReplace),
            2 => Ok(Self::Exchange),
            _ => Err(Error::Unknown),
        }
    }

    pub(crate) fn encode(self, encoder: &mut Encoder<'_>) -> Result<()> {
        // CAST: The number of the variant.
        encoder.u8(self as u8)
    }
}

/// Whether an extended attribute may exist when it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SetMode {
    /// It may.
    Any = 0,
    /// It must not.
    Create = 1,
    /// It must.
    Replace = 2,
}

impl SetMode {
    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        match decoder.u8()? {
            0 => Ok(Self::Any),
            1 => Ok(Self::Create),
            2 => Ok(Self::Replace),
            _ => Err(Error::Unknown),
        }
    }

    pub(crate) fn encode(self, encoder: &mut Encoder<'_>) -> Result<()> {
        // CAST: The number of the variant.
        encoder.u8(self as u8)
    }
}

/// A time to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The time at which the operation is executed.
    Now,
    /// This one.
    To(Timestamp),
}

/// Attributes to be changed; what is not given stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Permission bits.
    pub mode: Option<u16>,
    /// Owning user, as the owner device numbers them.
    pub uid: Option<u32>,
    /// Owning group, as the owner device numbers them.
    pub gid: Option<u32>,
    /// Size in bytes, of a regular file; at most `i64::MAX`.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of the data.
    pub mtime: Option<SetTime>,
}

impl SetAttributes {
    /// Bytes of an encoded value.
    pub const SIZE: usize = 1 + 2 + 4 + 4 + 8 + 12 + 12;

    const MODE: u8 = 1;
    const UID: u8 = 2;
    const GID: u8 = 4;
    const SIZE_BIT: u8 = 8;
    const ATIME: u8 = 16;
    const ATIME_NOW: u8 = 32;
    const MTIME: u8 = 64;
    const MTIME_NOW: u8 = 128;

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        let bits = decoder.u8()?;
        let has = |bit: u8| bits & bit != 0;
        let (mode, uid, gid) = (decoder.u16()?, decoder.u32()?, decoder.u32()?);
        let size = decoder.u64()?;
        let (atime, mtime) = (Timestamp::decode(decoder)?, Timestamp::decode(decoder)?);
        let time = |now: bool, set: bool, time: Timestamp| match (now, set) {
            (true, true) => Err(Error::Unknown),
            (true, false) => Ok(Some(SetTime::Now)),
            (false, true) => Ok(Some(SetTime::To(time))),
            (false, false) => Ok(None),
        };
        if i64::try_from(size).is_err() {
            return Err(Error::TooLong);
        }
        Ok(Self {
            mode: has(Self::MODE).then_some(mode),
            uid: has(Self::UID).then_some(uid),
            gid: has(Self::GID).then_some(gid),
            size: has(Self::SIZE_BIT).then_some(size),
            atime: time(has(Self::ATIME_NOW), has(Self::ATIME), atime)?,
            mtime: time(has(Self::MTIME_NOW), has(Self::MTIME), mtime)?,
        })
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        let mut bits = 0;
        let mut set = |given: bool, bit: u8| {
            if given {
                bits |= bit;
            }
        };
        set(self.mode.is_some(), Self::MODE);
        set(self.uid.is_some(), Self::UID);
        set(self.gid.is_some(), Self::GID);
        set(self.size.is_some(), Self::SIZE_BIT);
        set(matches!(self.atime, Some(SetTime::To(_))), Self::ATIME);
        set(matches!(self.atime, Some(SetTime::Now)), Self::ATIME_NOW);
        set(matches!(self.mtime, Some(SetTime::To(_))), Self::MTIME);
        set(matches!(self.mtime, Some(SetTime::Now)), Self::MTIME_NOW);
        let time = |time: Option<SetTime>| match time {
            Some(SetTime::To(time)) => time,
            _ => Timestamp::default(),
        };
        encoder.u8(bits)?;
        encoder.u16(self.mode.unwrap_or(0))?;
        encoder.u32(self.uid.unwrap_or(0))?;
        encoder.u32(self.gid.unwrap_or(0))?;
        encoder.u64(self.size.unwrap_or(0))?;
        time(self.atime).encode(encoder)?;
        time(self.mtime).encode(encoder)
    }
}

/// What to do with the space of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AllocateMode {
    /// Allocate it.
    Allocate = 0,
    /// Free it; it reads as zeros. The size stays.
    PunchHole = 1,
    /// Let it read as zeros, with space allocated.
    ZeroRange = 2,
    /// Take it out: what follows moves forward.
    CollapseRange = 3,
    /// Put a hole in: what follows moves back.
    InsertRange = 4,
    /// Allocate it, and share it with no other file.
    Unshare = 5,
}

/// Arguments of [`crate::Operation::Allocate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocate {
    /// What to do.
    pub mode: AllocateMode,
    /// Whether the size stays even if the range goes beyond it.
    pub keep_size: bool,
    /// First byte of the range.
    pub offset: u64,
    /// Number of bytes; `offset + length` is at most `i64::MAX`.
    pub length: u64,
}

impl Allocate {
    /// Bytes of an encoded value.
    pub const SIZE: usize = 1 + 1 + 8 + 8;

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        let mode = match decoder.u8()? {
            0 => AllocateMode::Allocate,
            1 => AllocateMode::PunchHole,
            2 => AllocateMode::ZeroRange,
            3 => AllocateMode::CollapseRange,
            4 => AllocateMode::InsertRange,
            5 => AllocateMode::Unshare,
            _ => return Err(Error::Unknown),
        };
        let keep_size = decoder.flag()?;
        let (offset, length) = (decoder.u64()?, decoder.u64()?);
        let end = offset.checked_add(length).ok_or(Error::TooLong)?;
        i64::try_from(end).map_err(|_| Error::TooLong)?;
        Ok(Self {
            mode,
            keep_size,
            offset,
            length,
        })
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        // CAST: The number of the variant.
        encoder.u8(self.mode as u8)?;
        encoder.flag(self.keep_size)?;
        encoder.u64(self.offset)?;
        encoder.u64(self.length)
    }
}
