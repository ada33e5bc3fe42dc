// SPDX-License-Identifier: GPL-2.0

//! Compounds as a caller sees them: operations in, outcomes out.

use hmdfs_kapi::errno::EPROTO;
use hmdfs_proto::{
    Attributes, Conflict, Fetched, FileSystem, Handle, Lease, OpenFiles, Operation, Outcome,
    ReplyReader, RequestWriter, Written,
};
use kernel::prelude::*;

use super::{inode::Node, leases};
use crate::{
    link::{Effect, Reply, Request},
    mount::{Mount, Question},
    node::Inode,
    peer::Peer,
};

/// In front of what must not be executed twice. The peer puts the number in.
const ONCE: Operation<'_> = Operation::Once {
    slot: 0,
    sequence: 0,
};

/// What becomes of the operations when they are executed more than once.
fn effect(operations: &[Operation<'_>]) -> Effect {
    let mut effect = Effect::None;
    for operation in operations.iter().filter(|operation| has_effect(operation)) {
        match operation {
            Operation::Write { .. } => effect = Effect::Same,
            _ => return Effect::Once,
        }
    }
    effect
}

/// Whether the owner may have to wait for its disk.
fn is_slow(operations: &[Operation<'_>]) -> bool {
    operations.iter().any(|operation| {
        matches!(
            operation,
            Operation::Sync { .. }
                | Operation::SyncFileSystem
                | Operation::Allocate(_)
                | Operation::Copy { .. }
        )
    })
}

/// Whether executing an operation again would not be the same.
fn has_effect(operation: &Operation<'_>) -> bool {
    match operation {
        Operation::Locking(locking) => locking.is_change(),
        operation => operation.is_change(),
    }
}

/// Encodes the operations of a request whose reply carries at most `data_limit` bytes of data.
pub(crate) fn request(operations: &[Operation<'_>], data_limit: u32) -> Result<Request> {
    let effect = effect(operations);
    let size = operations
        .iter()
        .fold(2 + ONCE.max_size(), |size, operation| {
            usize::saturating_add(size, operation.max_size())
        });
    let mut body = KVVec::from_elem(0u8, size, GFP_KERNEL)?;
    let mut writer = RequestWriter::new(&mut body).map_err(|_| EMSGSIZE)?;
    if effect != Effect::None {
        writer.push(&ONCE).map_err(|_| EMSGSIZE)?;
    }
    for operation in operations {
        writer.push(operation).map_err(|_| EMSGSIZE)?;
    }
    let length = writer.len();
    body.truncate(length);
    Ok(Request {
        body,
        data: None,
        data_limit,
        effect,
        slow: is_slow(operations),
    })
}

/// Sends the operations and waits for the reply; see [`Peer::call_sync`] for errors.
pub(crate) fn call(peer: &Peer, operations: &[Operation<'_>], data_limit: u32) -> Result<Reply> {
    peer.call_sync(request(operations, data_limit)?)
}

/// As [`call`], of operations that change something.
pub(crate) fn change(mount: &Mount, peer: &Peer, operations: &[Operation<'_>]) -> Result<Reply> {
    let reply = call(peer, operations, 0).inspect_err(|_| {
        // It may have been done, and the owner recalls no leases for what this device does.
        leases::doubt(mount, peer, operations);
    })?;
    peer.set_unsynced(reply.epoch);
    Ok(reply)
}

/// The outcomes in a reply, one after the other.
///
/// Each method is for the next operation. Errors: the operation's own, or EPROTO for a reply that
/// does not fit the request.
pub(crate) struct Outcomes<'a> {
    reader: ReplyReader<'a>,
    operations: core::slice::Iter<'a, Operation<'a>>,
}

impl<'a> Outcomes<'a> {
    /// Reads `reply`, which answers `operations`.
    pub(crate) fn new(reply: &'a Reply, operations: &'a [Operation<'a>]) -> Result<Self> {
        let mut reader = ReplyReader::new(&reply.body).map_err(|_| EPROTO.error())?;
        if effect(operations) != Effect::None {
            // That the number is not the one that the peer expects says nothing about files.
            match reader.next(&ONCE) {
                Ok(Ok(Outcome::Done)) => {}
                Ok(Err(_)) => return Err(EIO),
                _ => return Err(EPROTO.into()),
            }
        }
        Ok(Self {
            reader,
            operations: operations.iter(),
        })
    }

    /// The next outcome.
    pub(crate) fn next(&mut self) -> Result<Outcome<'a>> {
        let operation = self.operations.next().ok_or(EINVAL)?;
        match self.reader.next(operation) {
            Ok(Ok(outcome)) => Ok(outcome),
            // All errno numbers of the protocol are small and positive.
            Ok(Err(status)) => Err(Error::from_errno(-(status.errno() as c_int))),
            Err(_) => Err(EPROTO.into()),
        }
    }

    /// Success without a value.
    pub(crate) fn done(&mut self) -> Result {
        match self.next()? {
            Outcome::Done => Ok(()),
            _ => Err(EPROTO.into()),
        }
    }

    /// Success of an operation that makes something; whether it did not exist before.
    pub(crate) fn made(&mut self) -> Result<bool> {
        match self.next()? {
            Outcome::Done => Ok(true),
            Outcome::Created(created) => Ok(created),
            _ => Err(EPROTO.into()),
        }
    }

    /// A handle.
    pub(crate) fn handle(&mut self) -> Result<Handle> {
        match self.next()? {
            Outcome::Handle(handle) => Ok(handle),
            _ => Err(EPROTO.into()),
        }
    }

    /// Whether there is a lease.
    pub(crate) fn lease(&mut self) -> Result<Lease> {
        match self.next()? {
            Outcome::Lease(lease) => Ok(lease),
            _ => Err(EPROTO.into()),
        }
    }

    /// Attributes.
    pub(crate) fn attributes(&mut self) -> Result<Attributes> {
        match self.next()? {
            Outcome::Attributes(attributes) => Ok(attributes),
            _ => Err(EPROTO.into()),
        }
    }

    /// Whether there is a lease on the file `inode`, and its attributes: the next two outcomes.
    /// The question says how long they are right.
    pub(super) fn told(
        &mut self,
        inode: &Inode,
        node: &Node,
        question: Question,
    ) -> Result<(Question, Attributes)> {
        let lease = self.lease()?;
        let attributes = self.attributes()?;
        let validity = leases::settle(inode, node, lease, question);
        Ok((
            Question {
                validity,
                ..question
            },
            attributes,
        ))
    }

    /// Length of the data, and whether they reach the end of the file.
    pub(crate) fn read(&mut self) -> Result<(u32, bool)> {
        match self.next()? {
            Outcome::Read {
                length,
                end_of_file,
            } => Ok((length, end_of_file)),
            _ => Err(EPROTO.into()),
        }
    }

    /// A change attribute.
    pub(crate) fn change(&mut self) -> Result<u64> {
        match self.next()? {
            Outcome::Change(change) => Ok(change),
            _ => Err(EPROTO.into()),
        }
    }

    /// How a write ended.
    pub(crate) fn written(&mut self) -> Result<Written> {
        match self.next()? {
            Outcome::Written(written) => Ok(written),
            _ => Err(EPROTO.into()),
        }
    }

    /// Success of `Sync`; the mark of errors.
    pub(crate) fn synced(&mut self) -> Result<u32> {
        match self.next()? {
            Outcome::Synced(errors) => Ok(errors),
            _ => Err(EPROTO.into()),
        }
    }

    /// Whether a lock was granted.
    pub(crate) fn locked(&mut self) -> Result<bool> {
        match self.next()? {
            Outcome::Locked(granted) => Ok(granted),
            _ => Err(EPROTO.into()),
        }
    }

    /// A lock that is in the way.
    pub(crate) fn conflict(&mut self) -> Result<Option<Conflict>> {
        match self.next()? {
            Outcome::Conflict(conflict) => Ok(conflict),
            _ => Err(EPROTO.into()),
        }
    }

    /// Number of bytes that were copied.
    pub(crate) fn copied(&mut self) -> Result<u64> {
        match self.next()? {
            Outcome::Copied(length) => Ok(length),
            _ => Err(EPROTO.into()),
        }
    }

    /// A position in a file.
    pub(crate) fn position(&mut self) -> Result<u64> {
        match self.next()? {
            Outcome::Position(position) => Ok(position),
            _ => Err(EPROTO.into()),
        }
    }

    /// Whether the data of `reply`, which are all that were read, reach the end of the file.
    pub(crate) fn read_all(&mut self, reply: &Reply) -> Result<bool> {
        let (length, end_of_file) = self.read()?;
        if length != reply.data_length {
            return Err(EPROTO.into());
        }
        Ok(end_of_file)
    }

    /// A file that was fetched.
    pub(crate) fn fetched(&mut self) -> Result<Option<Fetched>> {
        match self.next()? {
            Outcome::Fetched(fetched) => Ok(fetched),
            _ => Err(EPROTO.into()),
        }
    }

    /// Files that may be written to.
    pub(crate) fn writing(&mut self) -> Result<OpenFiles> {
        match self.next()? {
            Outcome::Writing(files) => Ok(files),
            _ => Err(EPROTO.into()),
        }
    }

    /// Space and file counts.
    pub(crate) fn file_system(&mut self) -> Result<FileSystem> {
        match self.next()? {
            Outcome::FileSystem(file_system) => Ok(file_system),
            _ => Err(EPROTO.into()),
        }
    }
}
