// SPDX-License-Identifier: GPL-2.0

//! What is found out about a compound request before anything of it is done: whether it is well
//! formed, how long its reply can become, and whether it must not be executed twice.

use hmdfs_proto::{
    self as proto, Attributes, Entry, FileSystem, Handle, OpenFiles, Operation, ReplyWriter,
    RequestReader,
};

use super::replay::MAX_REPLY;

/// Most bytes of encoded entries in a reply, whatever the client would take.
const MAX_LISTING: usize = 256 << 10;

/// Most bytes of an extended attribute's value, and of a list of names (`XATTR_SIZE_MAX`,
/// `XATTR_LIST_MAX`).
const MAX_EXTENDED: usize = 64 << 10;

/// What is known of a request before anything is done.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// Most bytes of the reply.
    pub(super) size: usize,
    /// Slot and number, if it must not be executed twice.
    pub(super) once: Option<(u16, u64)>,
    /// Whether it may change something.
    pub(super) changes: bool,
}

impl Plan {
    /// Checks all of a request that comes with `input` bytes of data.
    ///
    /// So a malformed request has no effect, and a short reply takes little memory.
    pub(super) fn new(body: &[u8], input: usize) -> proto::Result<Self> {
        // The count, and the failure of an operation whose outcome does not fit.
        let mut size = 2 + ReplyWriter::OUTCOME_HEADER;
        let mut written = 0;
        let mut once = None;
        let mut changes = false;
        for operation in RequestReader::new(body)? {
            let operation = operation?;
            match operation {
                Operation::Write { length, .. } => {
                    written = usize::try_from(length).map_err(|_| proto::Error::TooLong)?;
                }
                Operation::Once { slot, sequence } => once = Some((slot, sequence)),
                // Their data are not kept.
                Operation::Read { .. } | Operation::ReadWhole { .. } | Operation::Fetch { .. }
                    if once.is_some() =>
                {
                    return Err(proto::Error::Misplaced);
                }
                _ => {}
            }
            size = usize::saturating_add(size, outcome_size(&operation));
            changes |= operation.is_change();
        }
        if written != input {
            return Err(proto::Error::Misplaced);
        }
        // CAST: A megabyte.
        let limit = once.map_or(proto::MAX_BODY as usize, |_| MAX_REPLY);
        Ok(Self {
            size: size.min(limit),
            once,
            changes,
        })
    }
}

/// Most bytes that the outcome of an operation takes.
pub(super) fn outcome_size(operation: &Operation<'_>) -> usize {
    ReplyWriter::OUTCOME_HEADER
        + match operation {
            Operation::Root
            | Operation::File(_)
            | Operation::Walk(_)
            | Operation::Open { .. }
            | Operation::MakeDirectory { .. }
            | Operation::MakeNode { .. }
            | Operation::MakeLink { .. }
            | Operation::Link { .. }
            | Operation::Replace { .. }
            | Operation::Remove { .. }
            | Operation::Rename { .. }
            | Operation::SetAttributes(_)
            | Operation::Allocate(_)
            | Operation::SetExtended { .. }
            | Operation::RemoveExtended(_)
            | Operation::Once { .. }
            | Operation::SyncFileSystem
            | Operation::Value(_)
            | Operation::Closed
            | Operation::MakeUnnamed { .. }
            | Operation::Other(_) => 0,
            Operation::Create { .. } | Operation::Lease => 1,
            Operation::Writing { .. } => OpenFiles::SIZE,
            Operation::Sync { .. } => 4,
            Operation::Write { .. } => 24,
            Operation::GetChange | Operation::Copy { .. } | Operation::Seek { .. } => 8,
            Operation::GetExtended(_) | Operation::ListExtended => MAX_EXTENDED,
            Operation::GetHandle => Handle::MAX_SIZE,
            Operation::GetAttributes => Attributes::SIZE,
            Operation::Read { .. } | Operation::ReadWhole { .. } => 5,
            Operation::Fetch { .. } => 1 + 1 + Attributes::SIZE + 4,
            Operation::ReadLink => proto::MAX_SYMLINK,
            Operation::ReadDirectory { limit, .. } => 1 + listing_size(*limit),
            Operation::StatFileSystem => FileSystem::SIZE,
            Operation::Locking(locking) => locking.result_size(),
        }
}

/// Most bytes of entries that are sent to a client that takes `limit` of them. A
/// listing that could not hold any one entry would never end.
pub(super) fn listing_size(limit: u32) -> usize {
    usize::try_from(limit)
        .unwrap_or(MAX_LISTING)
        .clamp(Entry::MAX_SIZE, MAX_LISTING)
}
