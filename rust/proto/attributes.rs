// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Attributes of files and of file systems.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};

/// A point in time: seconds since 1970 and nanoseconds.
///
/// # Invariants
///
/// `nanoseconds < 1_000_000_000`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

impl Timestamp {
    /// A time; [`Error::Unknown`] for a billion nanoseconds and more.
    pub const fn new(seconds: i64, nanoseconds: u32) -> Result<Self> {
        if nanoseconds >= 1_000_000_000 {
            return Err(Error::Unknown);
        }
        Ok(Self {
            seconds,
            nanoseconds,
        })
    }

    /// Seconds since 1970.
    pub const fn seconds(&self) -> i64 {
        self.seconds
    }

    /// Nanoseconds, less than a billion.
    pub const fn nanoseconds(&self) -> u32 {
        self.nanoseconds
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        Self::new(decoder.i64()?, decoder.u32()?)
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.i64(self.seconds)?;
        encoder.u32(self.nanoseconds)
    }
}

/// What `stat` tells of a file, and its change attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Type and permission bits, as in `st_mode`; see [`Attributes::file_type`].
    pub mode: u16,
    /// Number of hard links.
    pub nlink: u32,
    /// Owning user, as a number of the owner device.
    pub uid: u32,
    /// Owning group, as a number of the owner device.
    pub gid: u32,
    /// Device number of a device node: major and minor.
    pub rdev: (u32, u32),
    /// Inode number on the owner device.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Space taken, in units of 512 bytes.
    pub blocks: u64,
    /// Preferred size of an I/O, in bytes.
    pub blksize: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the data.
    pub mtime: Timestamp,
    /// Last change of anything.
    pub ctime: Timestamp,
    /// Creation, or all zero where the lower file system does not know it.
    pub btime: Timestamp,
    /// The change attribute: different whenever data or attributes changed.
    pub change: u64,
}

impl Attributes {
    /// Bytes of an encoded value.
    pub const SIZE: usize = 106;

    const TYPE_MASK: u16 = 0o170_000;

    /// The type bits of the mode: `S_IFREG`, `S_IFDIR`...
    pub const fn file_type(&self) -> u16 {
        self.mode & Self::TYPE_MASK
    }

    /// Whether this is a directory.
    pub const fn is_directory(&self) -> bool {
        self.file_type() == 0o040_000
    }

    /// Whether this is a regular file.
    pub const fn is_regular(&self) -> bool {
        self.file_type() == 0o100_000
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        let attributes = Self {
            mode: decoder.u16()?,
            nlink: decoder.u32()?,
            uid: decoder.u32()?,
            gid: decoder.u32()?,
            rdev: (decoder.u32()?, decoder.u32()?),
            ino: decoder.u64()?,
            size: decoder.u64()?,
            blocks: decoder.u64()?,
            blksize: decoder.u32()?,
            atime: Timestamp::decode(decoder)?,
            mtime: Timestamp::decode(decoder)?,
            ctime: Timestamp::decode(decoder)?,
            btime: Timestamp::decode(decoder)?,
            change: decoder.u64()?,
        };
        match attributes.file_type() {
            // FIFO, character device, directory, block device, file, link, socket.
            0o010_000 | 0o020_000 | 0o040_000 | 0o060_000 | 0o100_000 | 0o120_000 | 0o140_000 => {}
            _ => return Err(Error::Unknown),
        }
        // loff_t is signed.
        if i64::try_from(attributes.size).is_err() {
            return Err(Error::TooLong);
        }
        Ok(attributes)
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.u16(self.mode)?;
        encoder.u32(self.nlink)?;
        encoder.u32(self.uid)?;
        encoder.u32(self.gid)?;
        encoder.u32(self.rdev.0)?;
        encoder.u32(self.rdev.1)?;
        encoder.u64(self.ino)?;
        encoder.u64(self.size)?;
        encoder.u64(self.blocks)?;
        encoder.u32(self.blksize)?;
        self.atime.encode(encoder)?;
        self.mtime.encode(encoder)?;
        self.ctime.encode(encoder)?;
        self.btime.encode(encoder)?;
        encoder.u64(self.change)
    }
}

/// What `statfs` tells of the file system that holds a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// Size of a block, in bytes.
    pub block_size: u32,
    /// All blocks.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Blocks that are free for ordinary users.
    pub blocks_available: u64,
    /// All file nodes.
    pub files: u64,
    /// Free file nodes.
    pub files_free: u64,
    /// Most bytes in a name.
    pub name_max: u32,
}

impl FileSystem {
    /// Bytes of an encoded value.
    pub const SIZE: usize = 48;

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        Ok(Self {
            block_size: decoder.u32()?,
            blocks: decoder.u64()?,
            blocks_free: decoder.u64()?,
            blocks_available: decoder.u64()?,
            files: decoder.u64()?,
            files_free: decoder.u64()?,
            name_max: decoder.u32()?,
        })
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.u32(self.block_size)?;
        encoder.u64(self.blocks)?;
        encoder.u64(self.blocks_free)?;
        encoder.u64(self.blocks_available)?;
        encoder.u64(self.files)?;
        encoder.u64(self.files_free)?;
        encoder.u32(self.name_max)
    }
}
