// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Locks on files, and ranges of them.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result, Status};

/// How programs ask for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LockClass {
    /// For a process, with `F_SETLK`.
    Posix = 0,
    /// For an open file description, with `F_OFD_SETLK`.
    Ofd = 1,
    /// For an open file description and all of the file, with `flock`.
    Flock = 2,
}

impl LockClass {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        match decoder.u8()? {
            0 => Ok(Self::Posix),
            1 => Ok(Self::Ofd),
            2 => Ok(Self::Flock),
            _ => Err(Error::Unknown),
        }
    }
}

/// What a lock keeps others from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LockKind {
    /// From write locks; shared.
    Read = 0,
    /// From all locks; exclusive.
    Write = 1,
}

impl LockKind {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        match decoder.u8()? {
            0 => Ok(Self::Read),
            1 => Ok(Self::Write),
            _ => Err(Error::Unknown),
        }
    }
}

/// Whose lock it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockOwner {
    /// The session ([`crate::session`]): what was locked in another one is not locked any more.
    pub session: u64,
    /// What the owner is.
    pub class: LockClass,
    /// The client's number for it, as long as it has or wants locks.
    pub owner: u64,
}

impl LockOwner {
    /// Bytes of an encoded value.
    pub const SIZE: usize = 8 + 1 + 8;

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        Ok(Self {
            session: decoder.u64()?,
            class: LockClass::decode(decoder)?,
            owner: decoder.u64()?,
        })
    }

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.u64(self.session)?;
        // CAST: The number of the variant.
        encoder.u8(self.class as u8)?;
        encoder.u64(self.owner)
    }
}

/// The bytes of a file that a lock is about.
///
/// # Invariants
///
/// `start <= end <= i64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockRange {
    start: u64,
    end: u64,
}

impl LockRange {
    /// Bytes of an encoded value.
    pub const SIZE: usize = 8 + 8;

    /// All that a file can have.
    pub const WHOLE: Self = Self {
        start: 0,
        // CAST: Positive.
        end: i64::MAX as u64,
    };

    /// From `start` to `end`, both included.
    pub fn new(start: u64, end: u64) -> Result<Self> {
        if start > end || i64::try_from(end).is_err() {
            return Err(Error::TooLong);
        }
        // INVARIANT: Checked.
        Ok(Self { start, end })
    }

    /// The first byte.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The last byte.
    pub const fn end(&self) -> u64 {
        self.end
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        let (start, end) = (decoder.u64()?, decoder.u64()?);
        Self::new(start, end)
    }

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.u64(self.start)?;
        encoder.u64(self.end)
    }
}

/// Arguments of [`Locking::Lock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who wants it.
    pub by: LockOwner,
    /// Which kind.
    pub kind: LockKind,
    /// Of which bytes; of `flock`, [`LockRange::WHOLE`].
    pub range: LockRange,
    /// The process, for those who are told what is in their way.
    pub pid: u32,
    /// The client's number for this request, by which it is told when the lock was granted later;
    /// zero when it does not wait.
    pub waiter: u64,
}

impl Lock {
    /// Bytes of an encoded value.
    pub const SIZE: usize = LockOwner::SIZE + 1 + LockRange::SIZE + 4 + 8;

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        Ok(Self {
            by: LockOwner::decode(decoder)?,
            kind: LockKind::decode(decoder)?,
            range: LockRange::decode(decoder)?,
            pid: decoder.u32()?,
            waiter: decoder.u64()?,
        })
    }

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        self.by.encode(encoder)?;
        // CAST: The number of the variant.
        encoder.u8(self.kind as u8)?;
        self.range.encode(encoder)?;
        encoder.u32(self.pid)?;
        encoder.u64(self.waiter)
    }
}

/// Arguments of [`Locking::Unlock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlock {
    /// Who gives it up.
    pub by: LockOwner,
    /// Which bytes.
    pub range: LockRange,
}

impl Unlock {
    /// Bytes of an encoded value.
    pub const SIZE: usize = LockOwner::SIZE + LockRange::SIZE;

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        Ok(Self {
            by: LockOwner::decode(decoder)?,
            range: LockRange::decode(decoder)?,
        })
    }

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        self.by.encode(encoder)?;
        self.range.encode(encoder)
    }
}

/// Arguments of [`Locking::Test`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestLock {
    /// Who asks; its own locks are in nobody's way.
    pub by: LockOwner,
    /// Which kind.
    pub kind: LockKind,
    /// Of which bytes.
    pub range: LockRange,
}

impl TestLock {
    /// Bytes of an encoded value.
    pub const SIZE: usize = LockOwner::SIZE + 1 + LockRange::SIZE;

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self> {
        Ok(Self {
            by: LockOwner::decode(decoder)?,
            kind: LockKind::decode(decoder)?,
            range: LockRange::decode(decoder)?,
        })
    }

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        self.by.encode(encoder)?;
        // CAST: The number of the variant.
        encoder.u8(self.kind as u8)?;
        self.range.encode(encoder)
    }
}

/// A lock that is in the way of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What its owner is.
    pub class: LockClass,
    /// Which kind.
    pub kind: LockKind,
    /// Of which bytes.
    pub range: LockRange,
    /// The process, as the device numbers it that the process runs on.
    pub pid: u32,
}

impl Conflict {
    /// Most bytes of an encoded value.
    pub const MAX_SIZE: usize = 1 + 1 + 1 + LockRange::SIZE + 4;

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Option<Self>> {
        if !decoder.flag()? {
            return Ok(None);
        }
        Ok(Some(Self {
            class: LockClass::decode(decoder)?,
            kind: LockKind::decode(decoder)?,
            range: LockRange::decode(decoder)?,
            pid: decoder.u32()?,
        }))
    }

    pub(crate) fn encode(conflict: Option<&Self>, encoder: &mut Encoder<'_>) -> Result<()> {
        encoder.flag(conflict.is_some())?;
        let Some(conflict) = conflict else {
            return Ok(());
        };
        // CAST: The numbers of the variants.
        encoder.u8(conflict.class as u8)?;
        encoder.u8(conflict.kind as u8)?;
        conflict.range.encode(encoder)?;
        encoder.u32(conflict.pid)
    }
}

/// The operations that have to do with locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// Takes a lock on the current file, a regular one.
    Lock(Lock),
    /// Gives locks on the current file up.
    Unlock(Unlock),
    /// Looks for a lock on the current file that would be in the way.
    Test(TestLock),
    /// Stops waiting for a lock.
    Cancel {
        /// As in the [`LockOwner`] that waits.
        session: u64,
        /// The [`Lock::waiter`].
        waiter: u64,
    },
    /// The sender has granted a lock that the receiver waits for, or has failed to.
    Granted {
        /// As in the [`LockOwner`] that waits.
        session: u64,
        /// The [`Lock::waiter`].
        waiter: u64,
        /// How it ended.
        status: Status,
    },
}

impl Locking {
    /// The number of the operation on the wire.
    pub const fn code(&self) -> u8 {
        match self {
            Locking::Lock(_) => 33,
            Locking::Unlock(_) => 34,
            Locking::Test(_) => 35,
            Locking::Cancel { .. } => 36,
            Locking::Granted { .. } => 37,
        }
    }

    /// Whether executing it changes who has or gets locks.
    pub const fn is_change(&self) -> bool {
        matches!(
            self,
            Locking::Lock(_) | Locking::Unlock(_) | Locking::Cancel { .. }
        )
    }

    /// Bytes of the arguments.
    pub const fn size(&self) -> usize {
        match self {
            Locking::Lock(_) => Lock::SIZE,
            Locking::Unlock(_) => Unlock::SIZE,
            Locking::Test(_) => TestLock::SIZE,
            Locking::Cancel { .. } => 16,
            Locking::Granted { .. } => 20,
        }
    }

    /// Most bytes of the result.
    pub const fn result_size(&self) -> usize {
        match self {
            Locking::Lock(_) | Locking::Cancel { .. } => 1,
            Locking::Test(_) => Conflict::MAX_SIZE,
            Locking::Unlock(_) | Locking::Granted { .. } => 0,
        }
    }

    pub(crate) fn decode(code: u8, decoder: &mut Decoder<'_>) -> Result<Self> {
        match code {
            33 => Ok(Locking::Lock(Lock::decode(decoder)?)),
            34 => Ok(Locking::Unlock(Unlock::decode(decoder)?)),
            35 => Ok(Locking::Test(TestLock::decode(decoder)?)),
            36 => Ok(Locking::Cancel {
                session: decoder.u64()?,
                waiter: decoder.u64()?,
            }),
            37 => Ok(Locking::Granted {
                session: decoder.u64()?,
                waiter: decoder.u64()?,
                status: Status::from_errno(decoder.u32()?),
            }),
            _ => Err(Error::Unknown),
        }
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder<'_>) -> Result<()> {
        match self {
            Locking::Lock(lock) => lock.encode(encoder),
            Locking::Unlock(unlock) => unlock.encode(encoder),
            Locking::Test(test) => test.encode(encoder),
            Locking::Cancel { session, waiter } => {
                encoder.u64(*session)?;
                encoder.u64(*waiter)
            }
            Locking::Granted {
                session,
                waiter,
                status,
            } => {
                encoder.u64(*session)?;
                encoder.u64(*waiter)?;
                encoder.u32(status.errno())
            }
        }
    }
}
