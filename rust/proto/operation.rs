// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The operations of a compound, with their arguments.

use crate::changes::{Allocate, RenameFlags, SetAttributes, SetMode};
use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::lock::Locking;
use crate::name::{AttributeName, Name, Target};
use crate::recall::Recall;
use crate::MAX_DATA;

/// One operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// The current file becomes the root of the exported tree.
    Root,
    /// The current file becomes the one of this handle.
    File(Handle),
    /// The current file becomes its entry of this name.
    Walk(Name<'a>),
    /// The handle of the current file.
    GetHandle,
    /// The attributes of the current file.
    GetAttributes,
    /// Checks that the current file, a regular one, may be opened like this: the
    /// permissions, and the security label.
    Open {
        /// To be read.
        read: bool,
        /// To be written.
        write: bool,
    },
    /// Data of the current file, which follow the reply's body. Only the last
    /// operation of a compound may be this.
    Read {
        /// First byte; at most `i64::MAX`.
        offset: u64,
        /// Number of bytes; at most [`MAX_DATA`].
        length: u32,
    },
    /// The target of the current file, a symbolic link.
    ReadLink,
    /// Entries of the current file, a directory.
    ReadDirectory {
        /// Where to go on: zero, or [`crate::Entry::next`] of the last entry seen.
        cookie: u64,
        /// Most bytes of encoded entries.
        limit: u32,
        /// Whether handles and attributes are wanted.
        plus: bool,
        /// Whether leases on what they are of are wanted, too.
        lease: bool,
    },
    /// Space and file counts of the file system that holds the current file.
    StatFileSystem,
    /// The change attribute of the current file: what an operation on it, later in the same
    /// compound, finds before it changes anything.
    GetChange,
    /// Writes the request's data to the current file, a regular one. There may be one of it in a
    /// compound, and then the request has as many bytes of data.
    Write {
        /// First byte.
        offset: u64,
        /// Number of bytes; at most [`MAX_DATA`], and `offset + length` at most `i64::MAX`.
        length: u32,
    },
    /// Makes a regular file in the current file, a directory. It becomes the current file.
    Create {
        /// Its name.
        name: Name<'a>,
        /// Its permissions, and what of them a umask takes away; it does not where the directory
        /// has a default access control list.
        mode: (u16, u16),
        /// Whether it is an error when there is such a file already; if it is not, that becomes
        /// the current file.
        exclusive: bool,
    },
    /// Makes a directory in the current file. It becomes the current file.
    MakeDirectory {
        /// Its name.
        name: Name<'a>,
        /// Its permissions, and what of them a umask takes away; it does not where the directory
        /// has a default access control list.
        mode: (u16, u16),
    },
    /// Makes a FIFO, socket or device node in the current file. It becomes the current file.
    MakeNode {
        /// Its name.
        name: Name<'a>,
        /// Its type and permissions, and what of these a umask takes away.
        mode: (u16, u16),
        /// Major and minor number, of a device node.
        device: (u32, u32),
    },
    /// Makes a symbolic link in the current file. It becomes the current file.
    MakeLink {
        /// Its name.
        name: Name<'a>,
        /// Where it points.
        target: Target<'a>,
    },
    /// Gives the file of a handle another name in the current file, a directory. It becomes the
    /// current file.
    Link {
        /// The new name.
        name: Name<'a>,
        /// The file.
        file: Handle,
    },
    /// Removes a name from the current file, a directory.
    Remove {
        /// The name.
        name: Name<'a>,
        /// What it is believed to stand for.
        file: Handle,
        /// Whether that is a directory.
        directory: bool,
        /// Whether the client has it open, and wants to go on using it.
        open: bool,
    },
    /// Renames an entry of the current file, a directory.
    Rename {
        /// The old name.
        name: Name<'a>,
        /// What it is believed to stand for.
        file: Handle,
        /// The directory of the new name.
        new_directory: Handle,
        /// The new name.
        new_name: Name<'a>,
        /// How.
        flags: RenameFlags,
        /// Whether the client has what is replaced open, and wants to go on using it.
        open: bool,
    },
    /// Changes attributes of the current file.
    SetAttributes(SetAttributes),
    /// Waits until the current file, regular or a directory, is on stable storage.
    Sync {
        /// Only what is needed to read the data again.
        data_only: bool,
        /// What a `Write` or `Sync` of before told: it fails when storing the file's data has met
        /// with an error since.
        errors: Option<u32>,
    },
    /// Allocates or frees space of the current file.
    Allocate(Allocate),
    /// Copies data into the current file, within this device.
    Copy {
        /// The file that is copied from.
        source: Handle,
        /// First byte there.
        source_offset: u64,
        /// First byte in the current file.
        offset: u64,
        /// Number of bytes.
        length: u64,
        /// Whether the files have to share the space afterwards (`FICLONERANGE`).
        clone: bool,
    },
    /// The next data or hole of the current file, from a position on.
    Seek {
        /// The position.
        offset: u64,
        /// Whether a hole is looked for.
        hole: bool,
    },
    /// The value of an extended attribute of the current file.
    GetExtended(AttributeName<'a>),
    /// Sets an extended attribute of the current file.
    SetExtended {
        /// Its name.
        name: AttributeName<'a>,
        /// Its value.
        value: &'a [u8],
        /// Whether it may, or must, exist.
        mode: SetMode,
    },
    /// The names of the current file's extended attributes.
    ListExtended,
    /// Removes an extended attribute of the current file.
    RemoveExtended(AttributeName<'a>),
    /// Comes first in a compound that must not be executed twice (section 5 of
    /// Documentation/protocol.md).
    Once {
        /// Which of the sender's slots it uses; below [`crate::MAX_REQUESTS`].
        slot: u16,
        /// One more than that of the compound before it in the slot; from 1 on.
        sequence: u64,
    },
    /// Waits until all of the file system that holds the current file is on stable storage.
    SyncFileSystem,
    /// All data of the current file, which follow the reply's body, if they are few enough; otherwise
    /// none. Only the last operation of a compound may be this.
    ReadWhole {
        /// Most bytes; at most [`MAX_DATA`].
        limit: u32,
    },
    /// What the value begins with that a later `SetExtended` sets: so it can be longer than the
    /// arguments of one operation.
    Value(&'a [u8]),
    /// What has to do with locks.
    Locking(Locking),
    /// Wants a lease on the current file: to be told before what later operations tell of it is not
    /// right any more.
    Lease,
    /// The client has no open file of the current file any more.
    Closed,
    /// Makes a regular file without a name, in the file system of the current file, a directory.
    /// It becomes the current file, and is open.
    MakeUnnamed {
        /// Its permissions, and what of them a umask takes away; it does not where the directory
        /// has a default access control list.
        mode: (u16, u16),
    },
    /// All of a regular file, if it has few bytes and may be opened to be read, with its attributes and
    /// a lease. Not being able to is no failure. The current file stays what it is.
    Fetch {
        /// The file.
        file: Handle,
        /// Most bytes; at most [`MAX_DATA`].
        limit: u32,
    },
    /// Asks which of some files of the sender the receiver may have written to without having sent that, or
    /// write to at any moment. Of the first ones, what was written is sent before that is answered.
    /// It is the only operation of its compound.
    Writing {
        /// How many are the first ones.
        flush: u16,
        /// The keys of the files.
        files: Recall<'a>,
    },
    /// One that this version does not know; its outcome is
    /// [`crate::Status::EOPNOTSUPP`].
    Other(u8),
}

/// Bits of the argument of `Open`.
const OPEN_READ: u8 = 1;
const OPEN_WRITE: u8 = 2;

/// Bits of the last argument of `Remove`.
const REMOVE_DIRECTORY: u8 = 1;
const REMOVE_OPEN: u8 = 2;

/// What `ReadDirectory` may want of the entries besides their names.
const PLUS: u8 = 1;
const PLUS_AND_LEASE: u8 = 2;

/// Bits of the argument of `Sync`.
const SYNC_DATA_ONLY: u8 = 1;
const SYNC_ERRORS: u8 = 2;

impl<'a> Operation<'a> {
    /// Bytes in front of the arguments of each operation.
    pub const HEADER: usize = 3;

    /// The number of the operation on the wire.
    pub const fn code(&self) -> u8 {
        match self {
            Operation::Root => 1,
            Operation::File(_) => 2,
            Operation::Walk(_) => 3,
            Operation::GetHandle => 4,
            Operation::GetAttributes => 5,
            Operation::Open { .. } => 6,
            Operation::Read { .. } => 7,
            Operation::ReadLink => 8,
            Operation::ReadDirectory { .. } => 9,
            Operation::StatFileSystem => 10,
            Operation::GetChange => 11,
            Operation::Write { .. } => 12,
            Operation::Create { .. } => 13,
            Operation::MakeDirectory { .. } => 14,
            Operation::MakeNode { .. } => 15,
            Operation::MakeLink { .. } => 16,
            Operation::Link { .. } => 17,
            Operation::Remove { .. } => 18,
            Operation::Rename { .. } => 19,
            Operation::SetAttributes(_) => 20,
            Operation::Sync { .. } => 21,
            Operation::Allocate(_) => 22,
            Operation::Copy { .. } => 23,
            Operation::Seek { .. } => 24,
            Operation::GetExtended(_) => 25,
            Operation::SetExtended { .. } => 26,
            Operation::ListExtended => 27,
            Operation::RemoveExtended(_) => 28,
            Operation::Once { .. } => 29,
            Operation::SyncFileSystem => 30,
            Operation::Lease => 31,
            Operation::ReadWhole { .. } => 32,
            Operation::Locking(locking) => locking.code(),
            Operation::Value(_) => 38,
            Operation::Closed => 39,
            Operation::MakeUnnamed { .. } => 40,
            Operation::Fetch { .. } => 41,
            Operation::Writing { .. } => 42,
            Operation::Other(code) => *code,
        }
    }

    /// Whether executing it may change something.
    pub const fn is_change(&self) -> bool {
        matches!(self.code(), 12..=20 | 22 | 23 | 26 | 28 | 40)
    }

    /// Most bytes that the encoded operation takes, with its header.
    pub const fn max_size(&self) -> usize {
        const NAME: usize = 1 + Name::MAX;
        const HANDLE: usize = Handle::MAX_SIZE;
        let arguments = match self {
            Operation::Root
            | Operation::GetHandle
            | Operation::GetAttributes
            | Operation::ReadLink
            | Operation::StatFileSystem
            | Operation::GetChange
            | Operation::ListExtended
            | Operation::SyncFileSystem
            | Operation::Lease
            | Operation::Closed
            | Operation::Other(_) => 0,
            Operation::File(_) => HANDLE,
            Operation::Walk(_) | Operation::GetExtended(_) | Operation::RemoveExtended(_) => NAME,
            Operation::Open { .. } => 1,
            Operation::ReadWhole { .. } | Operation::MakeUnnamed { .. } => 4,
            Operation::Fetch { .. } => HANDLE + 4,
            Operation::Sync { .. } => 5,
            Operation::Locking(locking) => locking.size(),
            Operation::Value(bytes) => bytes.len(),
            Operation::Writing { files, .. } => files.as_bytes().len().saturating_add(2),
            Operation::Seek { .. } => 9,
            Operation::Once { .. } => 10,
            Operation::Read { .. } | Operation::ReadDirectory { .. } | Operation::Write { .. } => {
                13
            }
            Operation::Allocate(_) => Allocate::SIZE,
            Operation::SetAttributes(_) => SetAttributes::SIZE,
            Operation::Create { .. }
            | Operation::MakeDirectory { .. }
            | Operation::MakeNode { .. } => NAME + 12,
            Operation::Copy { .. } => HANDLE + 25,
            Operation::Link { .. } | Operation::Remove { .. } => NAME + HANDLE + 1,
            Operation::Rename { .. } => 2 * (NAME + HANDLE) + 2,
            Operation::MakeLink { target, .. } => NAME.saturating_add(target.as_bytes().len()),
            Operation::SetExtended { value, .. } => {
                NAME.saturating_add(1).saturating_add(value.len())
            }
        };
        arguments.saturating_add(Self::HEADER)
    }

    pub(crate) fn decode(code: u8, payload: &'a [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(payload);
        let from = &mut decoder;
        let operation = match code {
            1 => Operation::Root,
            2 => Operation::File(Handle::decode(from)?),
            3 => Operation::Walk(Name::decode(from)?),
            4 => Operation::GetHandle,
            5 => Operation::GetAttributes,
            6 => match from.u8()? {
                bits @ 1..=3 => Operation::Open {
                    read: bits & OPEN_READ != 0,
                    write: bits & OPEN_WRITE != 0,
                },
                _ => return Err(Error::Unknown),
            },
            7 => {
                let (offset, length) = (position(from)?, from.u32()?);
                if length > MAX_DATA {
                    return Err(Error::TooLong);
                }
                Operation::Read { offset, length }
            }
            8 => Operation::ReadLink,
            9 => {
                let (cookie, limit) = (from.u64()?, from.u32()?);
                let (plus, lease) = match from.u8()? {
                    0 => (false, false),
                    PLUS => (true, false),
                    PLUS_AND_LEASE => (true, true),
                    _ => return Err(Error::Unknown),
                };
                Operation::ReadDirectory {
                    cookie,
                    limit,
                    plus,
                    lease,
                }
            }
            10 => Operation::StatFileSystem,
            11 => Operation::GetChange,
            12 => {
                let (offset, length) = (position(from)?, from.u32()?);
                check_range(offset, length.into())?;
                if length > MAX_DATA {
                    return Err(Error::TooLong);
                }
                Operation::Write { offset, length }
            }
            13 => Operation::Create {
                name: Name::decode(from)?,
                mode: (from.u16()?, from.u16()?),
                exclusive: from.flag()?,
            },
            14 => Operation::MakeDirectory {
                name: Name::decode(from)?,
                mode: (from.u16()?, from.u16()?),
            },
            15 => Operation::MakeNode {
                name: Name::decode(from)?,
                mode: (from.u16()?, from.u16()?),
                device: (from.u32()?, from.u32()?),
            },
            16 => Operation::MakeLink {
                name: Name::decode(from)?,
                target: Target::new(from.bytes(from.remaining())?)?,
            },
            17 => Operation::Link {
                name: Name::decode(from)?,
                file: Handle::decode(from)?,
            },
            18 => {
                let (name, file) = (Name::decode(from)?, Handle::decode(from)?);
                let bits = from.u8()?;
                if bits & !(REMOVE_DIRECTORY | REMOVE_OPEN) != 0 {
                    return Err(Error::Unknown);
                }
                Operation::Remove {
                    name,
                    file,
                    directory: bits & REMOVE_DIRECTORY != 0,
                    open: bits & REMOVE_OPEN != 0,
                }
            }
            19 => Operation::Rename {
                name: Name::decode(from)?,
                file: Handle::decode(from)?,
                new_directory: Handle::decode(from)?,
                new_name: Name::decode(from)?,
                flags: RenameFlags::decode(from)?,
                open: from.flag()?,
            },
            20 => Operation::SetAttributes(SetAttributes::decode(from)?),
            21 => {
                let (bits, errors) = (from.u8()?, from.u32()?);
                if bits & !(SYNC_DATA_ONLY | SYNC_ERRORS) != 0 {
                    return Err(Error::Unknown);
                }
                Operation::Sync {
                    data_only: bits & SYNC_DATA_ONLY != 0,
                    errors: (bits & SYNC_ERRORS != 0).then_some(errors),
                }
            }
            22 => Operation::Allocate(Allocate::decode(from)?),
            23 => {
                let copy = Operation::Copy {
                    source: Handle::decode(from)?,
                    source_offset: position(from)?,
                    offset: position(from)?,
                    length: position(from)?,
                    clone: from.flag()?,
                };
                if let Operation::Copy {
                    source_offset,
                    offset,
                    length,
                    ..
                } = copy
                {
                    check_range(source_offset, length)?;
                    check_range(offset, length)?;
                }
                copy
            }
            24 => Operation::Seek {
                offset: position(from)?,
                hole: from.flag()?,
            },
            25 => Operation::GetExtended(AttributeName::decode(from)?),
            26 => Operation::SetExtended {
                name: AttributeName::decode(from)?,
                mode: SetMode::decode(from)?,
                value: from.bytes(from.remaining())?,
            },
            27 => Operation::ListExtended,
            28 => Operation::RemoveExtended(AttributeName::decode(from)?),
            29 => {
                let (slot, sequence) = (from.u16()?, from.u64()?);
                if slot >= crate::MAX_REQUESTS || sequence == 0 {
                    return Err(Error::TooLong);
                }
                Operation::Once { slot, sequence }
            }
            30 => Operation::SyncFileSystem,
            31 => Operation::Lease,
            32 => match from.u32()? {
                limit @ 0..=MAX_DATA => Operation::ReadWhole { limit },
                _ => return Err(Error::TooLong),
            },
            33..=37 => Operation::Locking(Locking::decode(code, from)?),
            38 => Operation::Value(from.bytes(from.remaining())?),
            39 => Operation::Closed,
            40 => Operation::MakeUnnamed {
                mode: (from.u16()?, from.u16()?),
            },
            41 => match (Handle::decode(from)?, from.u32()?) {
                (file, limit @ 0..=MAX_DATA) => Operation::Fetch { file, limit },
                _ => return Err(Error::TooLong),
            },
            42 => Operation::Writing {
                flush: from.u16()?,
                files: Recall::decode(from.bytes(from.remaining())?)?,
            },
            other => return Ok(Operation::Other(other)),
        };
        decoder.finish()?;
        Ok(operation)
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        match self {
            Operation::Root
            | Operation::GetHandle
            | Operation::GetAttributes
            | Operation::ReadLink
            | Operation::StatFileSystem
            | Operation::GetChange
            | Operation::ListExtended
            | Operation::SyncFileSystem
            | Operation::Lease
            | Operation::Closed
            | Operation::Other(_) => Ok(()),
            Operation::File(handle) => handle.encode(encoder),
            Operation::Walk(name) => name.encode(encoder),
            Operation::Open { read, write } => {
                let bits = |given: bool, bit: u8| if given { bit } else { 0 };
                encoder.u8(bits(*read, OPEN_READ) | bits(*write, OPEN_WRITE))
            }
            Operation::Read { offset, length } | Operation::Write { offset, length } => {
                encoder.u64(*offset)?;
                encoder.u32(*length)
            }
            Operation::ReadDirectory {
                cookie,
                limit,
                plus,
                lease,
            } => {
                encoder.u64(*cookie)?;
                encoder.u32(*limit)?;
                encoder.u8(match (plus, lease) {
                    (false, _) => 0,
                    (true, false) => PLUS,
                    (true, true) => PLUS_AND_LEASE,
                })
            }
            Operation::Create {
                name,
                mode,
                exclusive,
            } => {
                name.encode(encoder)?;
                encoder.u16(mode.0)?;
                encoder.u16(mode.1)?;
                encoder.flag(*exclusive)
            }
            Operation::MakeDirectory { name, mode } => {
                name.encode(encoder)?;
                encoder.u16(mode.0)?;
                encoder.u16(mode.1)
            }
            Operation::MakeUnnamed { mode } => {
                encoder.u16(mode.0)?;
                encoder.u16(mode.1)
            }
            Operation::MakeNode { name, mode, device } => {
                name.encode(encoder)?;
                encoder.u16(mode.0)?;
                encoder.u16(mode.1)?;
                encoder.u32(device.0)?;
                encoder.u32(device.1)
            }
            Operation::MakeLink { name, target } => {
                name.encode(encoder)?;
                encoder.bytes(target.as_bytes())
            }
            Operation::Link { name, file } => {
                name.encode(encoder)?;
                file.encode(encoder)
            }
            Operation::Remove {
                name,
                file,
                directory,
                open,
            } => {
                name.encode(encoder)?;
                file.encode(encoder)?;
                let bits = |given: bool, bit: u8| if given { bit } else { 0 };
                encoder.u8(bits(*directory, REMOVE_DIRECTORY) | bits(*open, REMOVE_OPEN))
            }
            Operation::Rename {
                name,
                file,
                new_directory,
                new_name,
                flags,
                open,
            } => {
                name.encode(encoder)?;
                file.encode(encoder)?;
                new_directory.encode(encoder)?;
                new_name.encode(encoder)?;
                flags.encode(encoder)?;
                encoder.flag(*open)
            }
            Operation::ReadWhole { limit } => encoder.u32(*limit),
            Operation::Fetch { file, limit } => {
                file.encode(encoder)?;
                encoder.u32(*limit)
            }
            Operation::Writing { flush, files } => {
                encoder.u16(*flush)?;
                encoder.bytes(files.as_bytes())
            }
            Operation::Locking(locking) => locking.encode(encoder),
            Operation::Value(bytes) => encoder.bytes(bytes),
            Operation::SetAttributes(set) => set.encode(encoder),
            Operation::Sync { data_only, errors } => {
                let data_only = if *data_only { SYNC_DATA_ONLY } else { 0 };
                let marked = errors.map_or(0, |_| SYNC_ERRORS);
                encoder.u8(data_only | marked)?;
                encoder.u32(errors.unwrap_or(0))
            }
            Operation::Allocate(allocate) => allocate.encode(encoder),
            Operation::Copy {
                source,
                source_offset,
                offset,
                length,
                clone,
            } => {
                source.encode(encoder)?;
                encoder.u64(*source_offset)?;
                encoder.u64(*offset)?;
                encoder.u64(*length)?;
                encoder.flag(*clone)
            }
            Operation::Seek { offset, hole } => {
                encoder.u64(*offset)?;
                encoder.flag(*hole)
            }
            Operation::GetExtended(name) | Operation::RemoveExtended(name) => name.encode(encoder),
            Operation::SetExtended { name, value, mode } => {
                name.encode(encoder)?;
                mode.encode(encoder)?;
                encoder.bytes(value)
            }
            Operation::Once { slot, sequence } => {
                encoder.u16(*slot)?;
                encoder.u64(*sequence)
            }
        }
    }
}

/// A position in a file, or a length: at most `i64::MAX`.
fn position(decoder: &mut Decoder<'_>) -> Result<u64> {
    let position = decoder.u64()?;
    i64::try_from(position).map_err(|_| Error::TooLong)?;
    Ok(position)
}

/// [`Error::TooLong`] when a range goes beyond what a file can have.
fn check_range(offset: u64, length: u64) -> Result<()> {
    let end = offset.checked_add(length).ok_or(Error::TooLong)?;
    i64::try_from(end).map_err(|_| Error::TooLong)?;
    Ok(())
}
