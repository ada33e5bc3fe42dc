// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Compounds: several operations in one round trip.
//!
//! The operations of a compound run in order. They work on a current file, which
//! some of them set; the first one that fails ends the compound. The reply has one
//! outcome for each operation that was begun.
//!
//! Each operation and each outcome carries its length, so that one side can step
//! over what only the other side knows.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result, Status};
use crate::operation::Operation;
use crate::outcome::Outcome;
use crate::MAX_OPERATIONS;

/// Writes the body of a compound request.
#[derive(Debug)]
pub struct RequestWriter<'a> {
    encoder: Encoder<'a>,
    count: u16,
}

impl<'a> RequestWriter<'a> {
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

/// Bytes of the body of a request up to the end of its first operation, when that is
/// [`Operation::Once`].
pub const ONCE_SIZE: usize = 15;

/// The first bytes of the request `body`, which begins with [`Operation::Once`], with this slot
/// and number in the place of what is there.
pub fn numbered(body: &[u8], slot: u16, sequence: u64) -> Result<[u8; ONCE_SIZE]> {
    let once = Operation::Once { slot, sequence };
    let beginning = body.first_chunk::<ONCE_SIZE>().ok_or(Error::Truncated)?;
    if body.get(2) != Some(&once.code()) {
        return Err(Error::Misplaced);
    }
    let mut numbered = [0; ONCE_SIZE];
    let mut encoder = Encoder::new(&mut numbered);
    encoder.bytes(beginning)?;
    encoder.patch(5, &slot.to_le_bytes())?;
    encoder.patch(7, &sequence.to_le_bytes())?;
    Ok(numbered)
}

/// Reads the body of a compound request.
///
/// Iteration ends after the announced number of operations or at the first
/// malformed one.
#[derive(Debug)]
pub struct RequestReader<'a> {
    decoder: Decoder<'a>,
    left: u16,
    first: bool,
    written: bool,
}

impl<'a> RequestReader<'a> {
    /// Reads from the body of a message.
    pub fn new(body: &'a [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(body);
        let left = decoder.u16()?;
        if left > MAX_OPERATIONS {
            return Err(Error::TooLong);
        }
        Ok(Self {
            decoder,
            left,
            first: true,
            written: false,
        })
    }

    fn operation(&mut self) -> Result<Operation<'a>> {
        let code = self.decoder.u8()?;
        let length = self.decoder.u16()?;
        let operation = Operation::decode(code, self.decoder.bytes(length.into())?)?;
        let first = core::mem::replace(&mut self.first, false);
        let misplaced = match operation {
            Operation::Read { .. } | Operation::ReadWhole { .. } => self.left != 0,
            Operation::Write { .. } => core::mem::replace(&mut self.written, true),
            Operation::Once { .. } => !first,
            _ => false,
        };
        if misplaced {
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
