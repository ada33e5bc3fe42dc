// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The fixed header in front of every message.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result, Status};
use crate::{MAX_BODY, MAX_DATA, MAX_REQUESTS};

/// Whether a message asks, answers or tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Is answered by exactly one reply with the same identifier.
    Request = 1,
    /// Answers the request with the same identifier.
    Reply = 2,
    /// Is not answered.
    Notice = 3,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Notice, the first message of each side; the body is a [`crate::Hello`].
    Hello,
    /// Notice: the sender ends the link on purpose.
    Bye,
    /// Request and reply without a body: is the peer there?
    Ping,
    /// Request and reply: several operations, see [`crate::compound`].
    Compound,
    /// Request, with a body ([`crate::Recall`]), and its bare reply: the sender takes leases back.
    Recall,
    /// Notice: more data of a message that has not ended.
    Data,
    /// One that this version does not know. A request is answered with
    /// [`Status::EOPNOTSUPP`], a notice is ignored.
    Other(u8),
}

impl Opcode {
    const fn from_u8(number: u8) -> Self {
        match number {
            1 => Opcode::Hello,
            2 => Opcode::Bye,
            3 => Opcode::Ping,
            4 => Opcode::Compound,
            5 => Opcode::Recall,
            6 => Opcode::Data,
            other => Opcode::Other(other),
        }
    }

    const fn as_u8(self) -> u8 {
        match self {
            Opcode::Hello => 1,
            Opcode::Bye => 2,
            Opcode::Ping => 3,
            Opcode::Compound => 4,
            Opcode::Recall => 5,
            Opcode::Data => 6,
            Opcode::Other(number) => number,
        }
    }
}

/// The header of a message.
///
/// # Invariants
///
/// A decoded header announces at most [`MAX_BODY`] bytes of body and
/// [`MAX_DATA`] bytes of data, now and later together, and a window of at most
/// [`MAX_REQUESTS`]. If data come later, some come now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Request, reply or notice.
    pub kind: Kind,
    /// The subject.
    pub opcode: Opcode,
    /// How many requests the sender of this message will hold for its receiver
    /// at once, from now on; zero leaves it as it is.
    pub window: u16,
    /// Chosen by the requester, unique among its requests that wait; a reply
    /// repeats it.
    pub id: u64,
    /// Bytes of body after this header.
    pub body: u32,
    /// Bytes of data after the body, in TLS records of their own.
    pub data: u32,
    /// In a reply: how the whole message ended. Otherwise [`Status::Ok`].
    pub status: Status,
    /// In a request: for how long the sender waits, in milliseconds; the receiver
    /// need not begin with a request that is older. Zero: without limit.
    pub patience: u32,
    /// Bytes of data that come later, in [`Opcode::Data`] notices with the same identifier. Other
    /// messages may come in between.
    pub more: u32,
}

impl Header {
    /// Bytes of an encoded header.
    pub const SIZE: usize = 36;

    const MAGIC: u32 = u32::from_le_bytes(*b"hmdf");

    /// A header with no body, no data, and everything else neutral.
    pub const fn new(kind: Kind, opcode: Opcode, id: u64) -> Self {
        Self {
            kind,
            opcode,
            window: 0,
            id,
            body: 0,
            data: 0,
            status: Status::Ok,
            patience: 0,
            more: 0,
        }
    }

    /// Decodes and checks a header.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<Self> {
        let mut decoder = Decoder::new(bytes);
        if decoder.u32()? != Self::MAGIC {
            return Err(Error::Magic);
        }
        let kind = match decoder.u8()? {
            1 => Kind::Request,
            2 => Kind::Reply,
            3 => Kind::Notice,
            _ => return Err(Error::Unknown),
        };
        let header = Self {
            kind,
            opcode: Opcode::from_u8(decoder.u8()?),
            window: decoder.u16()?,
            id: decoder.u64()?,
            body: decoder.u32()?,
            data: decoder.u32()?,
            status: Status::from_errno(decoder.u32()?),
            patience: decoder.u32()?,
            more: decoder.u32()?,
        };
        decoder.finish()?;
        let data = header.data.saturating_add(header.more);
        if header.body > MAX_BODY || data > MAX_DATA || header.window > MAX_REQUESTS {
            return Err(Error::TooLong);
        }
        if header.more != 0 && header.data == 0 {
            return Err(Error::Misplaced);
        }
        Ok(header)
    }

    /// Bytes of data of the whole message.
    pub const fn all_data(&self) -> u32 {
        self.data.saturating_add(self.more)
    }

    /// Encodes the header.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut encoder = Encoder::new(&mut bytes);
        let written = (|| {
            encoder.u32(Self::MAGIC)?;
            encoder.u8(self.kind as u8)?;
            encoder.u8(self.opcode.as_u8())?;
            encoder.u16(self.window)?;
            encoder.u64(self.id)?;
            encoder.u32(self.body)?;
            encoder.u32(self.data)?;
            encoder.u32(self.status.errno())?;
            encoder.u32(self.patience)?;
            encoder.u32(self.more)
        })();
        debug_assert!(written.is_ok());
        bytes
    }
}
