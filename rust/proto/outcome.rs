// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The outcomes of a compound's operations.

use crate::attributes::{Attributes, FileSystem};
use crate::codec::{Decoder, Encoder};
use crate::directory::Entries;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::lock::Conflict;
use crate::name::Target;
use crate::recall::{Lease, OpenFiles};

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Number of bytes that were written; fewer than there were only if no more could be.
    pub length: u32,
    /// The change attribute of the file before the write.
    pub before: u64,
    /// The change attribute after it. No other peer's write came between.
    pub after: u64,
    /// A mark of the errors that storing the file's data had met with before: see `Sync`.
    pub errors: u32,
}

/// A file that was fetched as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Whether there is a lease on it.
    pub lease: Lease,
    /// Its attributes, from before it was read.
    pub attributes: Attributes,
    /// So many bytes of data are its content.
    pub length: u32,
}

/// What a successful operation gave.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// Nothing but success.
    Done,
    /// Of `GetHandle`.
    Handle(Handle),
    /// Of `GetAttributes`.
    Attributes(Attributes),
    /// Of `Read` and `ReadWhole`: so many bytes of data follow the body.
    Read {
        /// Number of bytes; less than asked for at the end of the file, and in front of a place
        /// that cannot be read.
        length: u32,
        /// Whether the data reach the end of the file.
        end_of_file: bool,
    },
    /// Of `ReadLink`.
    Target(Target<'a>),
    /// Of `ReadDirectory`.
    Directory {
        /// The entries.
        entries: Entries<'a>,
        /// Whether there are no more.
        end_of_directory: bool,
    },
    /// Of `StatFileSystem`.
    FileSystem(FileSystem),
    /// Of `GetChange`.
    Change(u64),
    /// Of `Write`.
    Written(Written),
    /// Of `Sync`: a mark of the errors that storing the file's data has met with by now.
    Synced(u32),
    /// Of `Create`: whether the file did not exist before.
    Created(bool),
    /// Of `Copy`: so many bytes were copied.
    Copied(u64),
    /// Of `Seek`: the position found.
    Position(u64),
    /// Of `GetExtended`: the value.
    Value(&'a [u8]),
    /// Of `ListExtended`: the names, with a NUL after each.
    Names(&'a [u8]),
    /// Of `Lock`: whether it was granted; if not, it will be later, and `Granted` tells so. Of
    /// `Cancel`: whether it had been granted before.
    Locked(bool),
    /// Of `Test`: a lock that is in the way.
    Conflict(Option<Conflict>),
    /// Of `Lease`.
    Lease(Lease),
    /// Of `Fetch`; `None` when the file cannot be had in this way.
    Fetched(Option<Fetched>),
    /// Of `Writing`: the files that may be written to.
    Writing(OpenFiles),
}

impl<'a> Outcome<'a> {
    pub(crate) fn decode(code: u8, payload: &'a [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(payload);
        let outcome = match code {
            1..=3 | 6 | 14..=20 | 22 | 26 | 28..=30 | 34 | 37..=40 | 43 => Outcome::Done,
            4 => Outcome::Handle(Handle::decode(&mut decoder)?),
            5 => Outcome::Attributes(Attributes::decode(&mut decoder)?),
            7 | 32 => Outcome::Read {
                length: decoder.u32()?,
                end_of_file: decoder.u8()? != 0,
            },
            8 => Outcome::Target(Target::new(decoder.bytes(decoder.remaining())?)?),
            9 => {
                let end_of_directory = decoder.u8()? != 0;
                Outcome::Directory {
                    entries: Entries::new(decoder.bytes(decoder.remaining())?),
                    end_of_directory,
                }
            }
            10 => Outcome::FileSystem(FileSystem::decode(&mut decoder)?),
            11 => Outcome::Change(decoder.u64()?),
            12 => Outcome::Written(Written {
                length: decoder.u32()?,
                before: decoder.u64()?,
                after: decoder.u64()?,
                errors: decoder.u32()?,
            }),
            21 => Outcome::Synced(decoder.u32()?),
            13 => Outcome::Created(decoder.flag()?),
            23 => Outcome::Copied(decoder.u64()?),
            24 => {
                let position = decoder.u64()?;
                i64::try_from(position).map_err(|_| Error::TooLong)?;
                Outcome::Position(position)
            }
            31 => Outcome::Lease(Lease::decode(&mut decoder)?),
            25 => Outcome::Value(decoder.bytes(decoder.remaining())?),
            27 => {
                let names = decoder.bytes(decoder.remaining())?;
                if names.last().is_some_and(|&last| last != 0) {
                    return Err(Error::Name);
                }
                Outcome::Names(names)
            }
            41 => Outcome::Fetched(if decoder.flag()? {
                Some(Fetched {
                    lease: Lease::decode(&mut decoder)?,
                    attributes: Attributes::decode(&mut decoder)?,
                    length: decoder.u32()?,
                })
            } else {
                None
            }),
            42 => Outcome::Writing(OpenFiles::decode(decoder.bytes(decoder.remaining())?)?),
            33 | 36 => Outcome::Locked(decoder.flag()?),
            35 => Outcome::Conflict(Conflict::decode(&mut decoder)?),
            _ => return Err(Error::Unknown),
        };
        decoder.finish()?;
        Ok(outcome)
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        match self {
            Outcome::Done => Ok(()),
            Outcome::Handle(handle) => handle.encode(encoder),
            Outcome::Attributes(attributes) => attributes.encode(encoder),
            Outcome::Read {
                length,
                end_of_file,
            } => {
                encoder.u32(*length)?;
                encoder.flag(*end_of_file)
            }
            Outcome::Target(target) => encoder.bytes(target.as_bytes()),
            // Written by `ReplyWriter::directory`, in place.
            Outcome::Directory { .. } => Err(Error::Misplaced),
            Outcome::FileSystem(file_system) => file_system.encode(encoder),
            Outcome::Written(written) => {
                encoder.u32(written.length)?;
                encoder.u64(written.before)?;
                encoder.u64(written.after)?;
                encoder.u32(written.errors)
            }
            Outcome::Synced(errors) => encoder.u32(*errors),
            Outcome::Created(created) => encoder.flag(*created),
            Outcome::Writing(files) if files.is_empty() => Ok(()),
            Outcome::Writing(files) => files.encode(encoder),
            Outcome::Lease(lease) => encoder.u8(*lease as u8),
            Outcome::Fetched(fetched) => {
                encoder.flag(fetched.is_some())?;
                let Some(fetched) = fetched else {
                    return Ok(());
                };
                encoder.u8(fetched.lease as u8)?;
                fetched.attributes.encode(encoder)?;
                encoder.u32(fetched.length)
            }
            Outcome::Change(number) | Outcome::Copied(number) | Outcome::Position(number) => {
                encoder.u64(*number)
            }
            Outcome::Locked(granted) => encoder.flag(*granted),
            Outcome::Conflict(conflict) => Conflict::encode(conflict.as_ref(), encoder),
            Outcome::Value(bytes) | Outcome::Names(bytes) => encoder.bytes(bytes),
        }
    }
}
