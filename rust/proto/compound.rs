// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Compounds: several operations in one round trip.
//!
//! The operations of a compound run in order. They work on a current file, which
//! `Root`, `File` and `Walk` set; the first one that fails ends the compound. The
//! reply has one outcome for each operation that was begun.
//!
//! Each operation and each outcome carries its length, so that one side can step
//! over what only the other side knows.

use crate::attributes::{Attributes, FileSystem};
use crate::codec::{Decoder, Encoder};
use crate::directory::Entries;
use crate::error::{Error, Result, Status};
use crate::handle::Handle;
use crate::name::Name;
use crate::{MAX_DATA, MAX_OPERATIONS, MAX_SYMLINK};

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
    /// Opens the current file, a regular one, for reading: permissions and the
    /// security label are checked, and it is kept at hand for [`Operation::Read`].
    Open,
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
    },
    /// Space and file counts of the file system that holds the current file.
    StatFileSystem,
    /// One that this version does not know; its outcome is
    /// [`Status::EOPNOTSUPP`].
    Other(u8),
}

impl<'a> Operation<'a> {
    /// The number of the operation on the wire.
    pub const fn code(&self) -> u8 {
        match self {
            Operation::Root => 1,
            Operation::File(_) => 2,
            Operation::Walk(_) => 3,
            Operation::GetHandle => 4,
            Operation::GetAttributes => 5,
            Operation::Open => 6,
            Operation::Read { .. } => 7,
            Operation::ReadLink => 8,
            Operation::ReadDirectory { .. } => 9,
            Operation::StatFileSystem => 10,
            Operation::Other(code) => *code,
        }
    }

    fn decode(code: u8, payload: &'a [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(payload);
        let operation = match code {
            1 => Operation::Root,
            2 => Operation::File(Handle::decode(&mut decoder)?),
            3 => Operation::Walk(Name::decode(&mut decoder)?),
            4 => Operation::GetHandle,
            5 => Operation::GetAttributes,
            6 => Operation::Open,
            7 => {
                let (offset, length) = (decoder.u64()?, decoder.u32()?);
                if length > MAX_DATA || i64::try_from(offset).is_err() {
                    return Err(Error::TooLong);
                }
                Operation::Read { offset, length }
            }
            8 => Operation::ReadLink,
            9 => Operation::ReadDirectory {
                cookie: decoder.u64()?,
                limit: decoder.u32()?,
                plus: decoder.u8()? != 0,
            },
            10 => Operation::StatFileSystem,
            other => return Ok(Operation::Other(other)),
        };
        decoder.finish()?;
        Ok(operation)
    }

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        match self {
            Operation::File(handle) => handle.encode(encoder),
            Operation::Walk(name) => name.encode(encoder),
            Operation::Read { offset, length } => {
                encoder.u64(*offset)?;
                encoder.u32(*length)
            }
            Operation::ReadDirectory {
                cookie,
                limit,
                plus,
            } => {
                encoder.u64(*cookie)?;
                encoder.u32(*limit)?;
                encoder.u8((*plus).into())
            }
            Operation::Root
            | Operation::GetHandle
            | Operation::GetAttributes
            | Operation::Open
            | Operation::ReadLink
            | Operation::StatFileSystem
            | Operation::Other(_) => Ok(()),
        }
    }
}

/// What a successful operation gave.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// Nothing but success: of `Root`, `File`, `Walk` and `Open`.
    Done,
    /// Of `GetHandle`.
    Handle(Handle),
    /// Of `GetAttributes`.
    Attributes(Attributes),
    /// Of `Read`: so many bytes of data follow the body.
    Read {
        /// Number of bytes; less than asked for at the end of the file, and in front of a place
        /// that cannot be read.
        length: u32,
        /// Whether the data reach the end of the file.
        end_of_file: bool,
    },
    /// Of `ReadLink`: 1 to [`MAX_SYMLINK`] bytes without NUL.
    Target(&'a [u8]),
    /// Of `ReadDirectory`.
    Directory {
        /// The entries.
        entries: Entries<'a>,
        /// Whether there are no more.
        end_of_directory: bool,
    },
    /// Of `StatFileSystem`.
    FileSystem(FileSystem),
}

impl<'a> Outcome<'a> {
    fn decode(code: u8, payload: &'a [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(payload);
        let outcome = match code {
            1 | 2 | 3 | 6 => Outcome::Done,
            4 => Outcome::Handle(Handle::decode(&mut decoder)?),
            5 => Outcome::Attributes(Attributes::decode(&mut decoder)?),
            7 => Outcome::Read {
                length: decoder.u32()?,
                end_of_file: decoder.u8()? != 0,
            },
            8 => {
                let target = decoder.bytes(decoder.remaining())?;
                if target.is_empty() || target.len() > MAX_SYMLINK || target.contains(&0) {
                    return Err(Error::Name);
                }
                Outcome::Target(target)
            }
            9 => {
                let end_of_directory = decoder.u8()? != 0;
                Outcome::Directory {
                    entries: Entries::new(decoder.bytes(decoder.remaining())?),
                    end_of_directory,
                }
            }
            10 => Outcome::FileSystem(FileSystem::decode(&mut decoder)?),
            _ => return Err(Error::Unknown),
        };
        decoder.finish()?;
        Ok(outcome)
    }

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        match self {
            Outcome::Done => Ok(()),
            Outcome::Handle(handle) => handle.encode(encoder),
            Outcome::Attributes(attributes) => attributes.encode(encoder),
            Outcome::Read {
                length,
                end_of_file,
            } => {
                encoder.u32(*length)?;
                encoder.u8((*end_of_file).into())
            }
            Outcome::Target(target) => encoder.bytes(target),
            // Written by `ReplyWriter::directory`, in place.
            Outcome::Directory { .. } => Err(Error::Misplaced),
            Outcome::FileSystem(file_system) => file_system.encode(encoder),
        }
    }
}

/// Writes the body of a compound request.
#[derive(Debug)]
pub struct RequestWriter<'a> {
    encoder: Encoder<'a>,
    count: u16,
}

impl<'a> RequestWriter<'a> {
    /// Most bytes that one operation takes.
    pub const MAX_OPERATION_SIZE: usize = 3 + 1 + Name::MAX;

    /// Writes to `buffer`; [`Error::TooLong`] when not even the count fits.
    pub fn new(buffer: &'a mut [u8]) -> Result<Self> {
        let mut encoder = Encoder::new(buffer);
        encoder.u16(0)?;
        Ok(Self { encoder, count: 0 })
    }

    /// Appends an operation.
    pub fn push(&mut self, operation: &Operation<'_>) -> Result<()> {
        if self.count >= MAX_OPERATIONS {
            return Err(Error::TooLong);
        }
        self.encoder.u8(operation.code())?;
        let at = self.encoder.len();
        self.encoder.u16(0)?;
        operation.encode(&mut self.encoder)?;
        let length = self.encoder.len().saturating_sub(at).saturating_sub(2);
        let length = u16::try_from(length).map_err(|_| Error::TooLong)?;
        self.encoder.patch(at, &length.to_le_bytes())?;
        self.count = self.count.saturating_add(1);
        self.encoder.patch(0, &self.count.to_le_bytes())
    }

    /// Bytes of the body so far.
    pub const fn len(&self) -> usize {
        self.encoder.len()
    }

    /// Whether no operation was written.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Reads the body of a compound request.
///
/// Iteration ends after the announced number of operations or at the first
/// malformed one.
#[derive(Debug)]
pub struct RequestReader<'a> {
    decoder: Decoder<'a>,
    left: u16,
}

impl<'a> RequestReader<'a> {
    /// Reads from the body of a message.
    pub fn new(body: &'a [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(body);
        let left = decoder.u16()?;
        if left > MAX_OPERATIONS {
            return Err(Error::TooLong);
        }
        Ok(Self { decoder, left })
    }

    fn operation(&mut self) -> Result<Operation<'a>> {
        let code = self.decoder.u8()?;
        let length = self.decoder.u16()?;
        let operation = Operation::decode(code, self.decoder.bytes(length.into())?)?;
        if matches!(operation, Operation::Read { .. }) && self.left != 0 {
            return Err(Error::Misplaced);
        }
        if self.left == 0 && self.decoder.remaining() != 0 {
            return Err(Error::TrailingBytes);
        }
        Ok(operation)
    }
}

impl<'a> Iterator for RequestReader<'a> {
    type Item = Result<Operation<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let operation = self.operation();
        if operation.is_err() {
            self.left = 0;
        }
        Some(operation)
    }
}

/// Writes the body of a compound reply.
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    encoder: Encoder<'a>,
    count: u16,
}

impl<'a> ReplyWriter<'a> {
    /// Bytes in front of the payload of each outcome.
    pub const OUTCOME_HEADER: usize = 9;

    /// Writes to `buffer`; [`Error::TooLong`] when not even the count fits.
    pub fn new(buffer: &'a mut [u8]) -> Result<Self> {
        let mut encoder = Encoder::new(buffer);
        encoder.u16(0)?;
        Ok(Self { encoder, count: 0 })
    }

    /// Appends the outcome of `operation`.
    pub fn push(&mut self, operation: &Operation<'_>, outcome: &Outcome<'_>) -> Result<()> {
        self.outcome(operation, |encoder| outcome.encode(encoder))
    }

    /// Appends the failure of `operation`.
    pub fn fail(&mut self, operation: &Operation<'_>, status: Status) -> Result<()> {
        let at = self.begin(operation, status)?;
        self.end(at)
    }

    /// Appends a directory listing. `fill` writes the entries and says whether
    /// there are no more; it may stop when an entry does not fit.
    pub fn directory(
        &mut self,
        operation: &Operation<'_>,
        fill: impl FnOnce(&mut Encoder<'_>) -> Result<bool>,
    ) -> Result<()> {
        self.outcome(operation, |encoder| {
            let at = encoder.len();
            encoder.u8(0)?;
            let end_of_directory = fill(encoder)?;
            encoder.patch(at, &[end_of_directory.into()])
        })
    }

    /// Bytes of the body so far.
    pub const fn len(&self) -> usize {
        self.encoder.len()
    }

    /// Whether no outcome was written.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn outcome(
        &mut self,
        operation: &Operation<'_>,
        write: impl FnOnce(&mut Encoder<'_>) -> Result<()>,
    ) -> Result<()> {
        let start = self.encoder.len();
        let written = self.begin(operation, Status::Ok).and_then(|at| {
            write(&mut self.encoder)?;
            self.end(at)
        });
        if written.is_err() {
            self.encoder.truncate(start);
        }
        written
    }

    fn begin(&mut self, operation: &Operation<'_>, status: Status) -> Result<usize> {
        self.encoder.u8(operation.code())?;
        self.encoder.u32(status.errno())?;
        let at = self.encoder.len();
        self.encoder.u32(0)?;
        Ok(at)
    }

    fn end(&mut self, at: usize) -> Result<()> {
        let length = self.encoder.len().saturating_sub(at).saturating_sub(4);
        let length = u32::try_from(length).map_err(|_| Error::TooLong)?;
        self.encoder.patch(at, &length.to_le_bytes())?;
        self.count = self.count.saturating_add(1);
        self.encoder.patch(0, &self.count.to_le_bytes())
    }
}

/// Reads the body of a compound reply.
#[derive(Debug)]
pub struct ReplyReader<'a> {
    decoder: Decoder<'a>,
    left: u16,
}

impl<'a> ReplyReader<'a> {
    /// Reads from the body of a message.
    pub fn new(body: &'a [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(body);
        let left = decoder.u16()?;
        if left > MAX_OPERATIONS {
            return Err(Error::TooLong);
        }
        Ok(Self { decoder, left })
    }

    /// The outcome of the next operation, which must be `expected`.
    ///
    /// The inner result is the operation's own. A reply that ends before its
    /// first failure is [`Error::Truncated`].
    pub fn next(
        &mut self,
        expected: &Operation<'_>,
    ) -> Result<core::result::Result<Outcome<'a>, Status>> {
        self.left = self.left.checked_sub(1).ok_or(Error::Truncated)?;
        let code = self.decoder.u8()?;
        let status = Status::from_errno(self.decoder.u32()?);
        let length = usize::try_from(self.decoder.u32()?).map_err(|_| Error::TooLong)?;
        let payload = self.decoder.bytes(length)?;
        if code != expected.code() {
            return Err(Error::Misplaced);
        }
        if status != Status::Ok {
            return Ok(Err(status));
        }
        Ok(Ok(Outcome::decode(code, payload)?))
    }
}
