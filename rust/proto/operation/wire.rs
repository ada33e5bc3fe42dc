// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How the arguments of operations are encoded: section 3 of Documentation/protocol.md.

use super::Operation;
use crate::changes::{Allocate, RenameFlags, SetAttributes, SetMode};
use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::lock::Locking;
use crate::name::{AttributeName, Name, Target};
use crate::recall::Recall;
use crate::MAX_DATA;

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
            Operation::Writing { files, .. } => files.as_bytes().len().saturating_add(1),
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
            Operation::Replace { .. } => NAME + 2 * HANDLE + 1,
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
                flush: from.flag()?,
                files: Recall::decode(from.bytes(from.remaining())?)?,
            },
            43 => Operation::Replace {
                name: Name::decode(from)?,
                replaced: Handle::decode(from)?,
                file: Handle::decode(from)?,
                open: from.flag()?,
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
            Operation::Replace {
                name,
                replaced,
                file,
                open,
            } => {
                name.encode(encoder)?;
                replaced.encode(encoder)?;
                file.encode(encoder)?;
                encoder.flag(*open)
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
                encoder.flag(*flush)?;
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
