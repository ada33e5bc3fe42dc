// SPDX-License-Identifier: GPL-2.0

//! Executes the operations of a compound request, one after the other until one fails.
//!
//! [`serve`] sees to it that a request with a number is executed once, [`Execution`] is what its
//! operations share. What each of them does is in the file that is named after it.

use hmdfs_kapi::{cred, errno::EOPNOTSUPP, page_run::PageRun};
use hmdfs_model::security::Access;
use hmdfs_proto::{self as proto, Locking, Operation, Outcome, ReplyWriter, RequestReader, Status};
use kernel::{error::code::EOVERFLOW, prelude::*, sync::UniqueArc};

use super::{
    attributes,
    current::{Current, Seen},
    plan::{outcome_size, Plan},
    replay::{Begin, Kept},
    set, status, Body, Client, Export, Response,
};

/// Executes the request `body`, unless that was done before; see [`Export::compound`].
pub(super) fn serve<C: Client + ?Sized>(
    export: core::result::Result<&Export, Status>,
    client: &C,
    body: &[u8],
    input: Option<PageRun>,
) -> proto::Result<Option<Response>> {
    let plan = Plan::new(body, input.as_ref().map_or(0, PageRun::len))?;
    let Some((slot, sequence)) = plan.once else {
        let reply = match export {
            Ok(export) => execute(export, client, body, input, plan)?,
            Err(status) => Err(status),
        };
        return Ok(Some(reply.map_or_else(Response::failed, Response::from)));
    };
    let Some((replay, epoch)) = client.replay() else {
        return stale(slot, sequence).map(Some);
    };
    let kept = match replay.begin(epoch, slot, sequence) {
        Begin::Execute(turn) => {
            let kept = match export {
                Ok(export) => keep(|| execute(export, client, body, input, plan))?,
                Err(status) => Kept::Failed(status),
            };
            turn.end(kept.clone());
            Some(kept)
        }
        Begin::Wait(waiter) => {
            // What a peer sent is not kept for longer than it is of use.
            drop(input);
            waiter.wait()
        }
        Begin::Again(kept) => Some(kept),
        Begin::Stale => return stale(slot, sequence).map(Some),
    };
    Ok(kept.map(Response::from))
}

/// Executes a request, in such a way that its reply can be kept: all memory for that is there
/// before anything is done.
fn keep(
    execute: impl FnOnce() -> proto::Result<core::result::Result<Reply, Status>>,
) -> proto::Result<Kept> {
    let Ok(room) = UniqueArc::<KVVec<u8>>::new_uninit(GFP_KERNEL) else {
        return Ok(Kept::Failed(Status::ENOMEM));
    };
    Ok(match execute()? {
        Ok(reply) => Kept::Body(room.write(reply.body).into()),
        Err(status) => Kept::Failed(status),
    })
}

impl From<Kept> for Response {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Body(body) => Self {
                status: Status::Ok,
                body: Body::Kept(body),
                data: None,
            },
            Kept::Failed(status) => Self::failed(status),
        }
    }
}

/// The answer to a compound with a number that it cannot have.
fn stale(slot: u16, sequence: u64) -> proto::Result<Response> {
    let size = 2 + ReplyWriter::OUTCOME_HEADER;
    let Ok(mut body) = KVVec::from_elem(0, size, GFP_KERNEL) else {
        return Ok(Response::failed(Status::ENOMEM));
    };
    ReplyWriter::new(&mut body)?.fail(&Operation::Once { slot, sequence }, Status::ESTALE)?;
    Ok(Response {
        status: Status::Ok,
        body: Body::Own(body),
        data: None,
    })
}

/// What operations have led to.
struct Reply {
    body: KVVec<u8>,
    data: Option<PageRun>,
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        Self {
            status: Status::Ok,
            body: Body::Own(reply.body),
            data: reply.data,
        }
    }
}

/// Executes the operations of a request whose reply takes at most `size` bytes. Without memory
/// for the reply nothing is done.
fn execute<C: Client + ?Sized>(
    export: &Export,
    client: &C,
    body: &[u8],
    input: Option<PageRun>,
    Plan { size, changes, .. }: Plan,
) -> proto::Result<core::result::Result<Reply, Status>> {
    let Ok(mut reply) = KVVec::from_elem(0, size, GFP_KERNEL) else {
        return Ok(Err(Status::ENOMEM));
    };
    let mut execution = Execution {
        export,
        client,
        capacity: size,
        current: None,
        input,
        acted: false,
        data: None,
        seen: Seen::NONE,
        value: KVVec::new(),
    };
    // Its own changes are to leave its leases alone, and others' leases are waited for.
    let changing = match client.peer().filter(|_| changes) {
        Some(peer) => match export.leases.change(peer) {
            Ok(changing) => Some(changing),
            Err(_) => return Ok(Err(Status::ENOMEM)),
        },
        None => None,
    };
    let length = cred::with_creds(&export.server, || execution.run(body, &mut reply))?;
    if let Some(changing) = changing {
        changing.settle();
    }
    let data = execution.data;
    reply.truncate(length);
    Ok(Ok(Reply { body: reply, data }))
}

/// A compound that is being executed.
pub(super) struct Execution<'a, C: ?Sized> {
    pub(super) export: &'a Export,
    pub(super) client: &'a C,
    /// Bytes of the reply's buffer.
    capacity: usize,
    pub(super) current: Option<Current>,
    /// The data of the request.
    pub(super) input: Option<PageRun>,
    /// Whether something has been done to a regular file that the client has to tell from what others do.
    pub(super) acted: bool,
    /// The data of the reply.
    pub(super) data: Option<PageRun>,
    /// Files that were named by a handle.
    pub(super) seen: Seen,
    /// What the value of an extended attribute begins with; no longer than a request.
    pub(super) value: KVVec<u8>,
}

impl<C: Client + ?Sized> Execution<'_, C> {
    /// Executes the operations, and gives the length of the reply.
    fn run(&mut self, body: &[u8], reply: &mut [u8]) -> proto::Result<usize> {
        let mut writer = ReplyWriter::new(reply)?;
        for operation in RequestReader::new(body)? {
            let operation = operation?;
            if let Err(error) = self.operation(&operation, &mut writer) {
                writer.fail(&operation, status(error))?;
                break;
            }
        }
        Ok(writer.len())
    }

    fn operation(&mut self, operation: &Operation<'_>, writer: &mut ReplyWriter<'_>) -> Result {
        // What the client grants is no request to do something here.
        let granted = matches!(operation, Operation::Locking(Locking::Granted { .. }));
        if self.client.access() == Access::None && !granted {
            return Err(EACCES);
        }
        let needed = usize::saturating_add(outcome_size(operation), ReplyWriter::OUTCOME_HEADER);
        if usize::saturating_add(writer.len(), needed) > self.capacity {
            return Err(E2BIG);
        }
        if operation.is_change() && self.client.access() != Access::Write {
            // What makes something has a better answer when it is there already.
            if !matches!(operation.code(), 13..=17) {
                return Err(EROFS);
            }
        }
        self.before(operation)?;
        let outcome = match operation {
            Operation::Root => {
                self.current = Some(Current::new(self.export.root.clone()));
                Outcome::Done
            }
            Operation::File(handle) => {
                self.current = Some(self.file(handle)?);
                Outcome::Done
            }
            Operation::Walk(name) => {
                let path = self.current()?.path.lookup(name.as_bytes())?;
                self.current = Some(Current::new(path));
                Outcome::Done
            }
            Operation::GetHandle => {
                let export = self.export;
                Outcome::Handle(self.current()?.handle(export)?)
            }
            Operation::GetAttributes => {
                Outcome::Attributes(attributes::attributes(&self.current()?.path.getattr()?))
            }
            Operation::Open { read, write } => {
                self.open(*read, *write)?;
                Outcome::Done
            }
            Operation::Read { offset, length } => self.read(*offset, *length)?,
            Operation::ReadWhole { limit } => self.read_whole(*limit)?,
            Operation::Fetch { file, limit } => self.fetch(file, *limit),
            Operation::ReadLink => return self.read_link(operation, writer),
            Operation::Lease => Outcome::Lease(self.lease()?),
            Operation::ReadDirectory { .. } => return self.read_directory(operation, writer),
            Operation::StatFileSystem => {
                Outcome::FileSystem(attributes::file_system(&self.current()?.path.statfs()?))
            }
            // The replay has seen to it.
            Operation::Once { .. } => Outcome::Done,
            Operation::GetChange => Outcome::Change(self.current()?.change()?),
            Operation::Write { offset, length } => self.write(*offset, *length)?,
            Operation::Sync { data_only, errors } => self.sync(*data_only, *errors)?,
            Operation::SyncFileSystem => self.sync_file_system()?,
            Operation::Allocate(allocate) => self.allocate(allocate)?,
            Operation::Copy {
                source,
                source_offset,
                offset,
                length,
                clone,
            } => self.copy(source, *source_offset, *offset, *length, *clone)?,
            Operation::Seek { offset, hole } => self.seek(*offset, *hole)?,
            Operation::Value(bytes) => {
                self.value.extend_from_slice(bytes, GFP_KERNEL)?;
                Outcome::Done
            }
            Operation::GetExtended(_)
            | Operation::SetExtended { .. }
            | Operation::ListExtended
            | Operation::RemoveExtended(_) => return self.extended(operation, writer),
            Operation::Locking(locking) => self.locking(locking)?,
            Operation::Closed => {
                self.closed()?;
                Outcome::Done
            }
            Operation::SetAttributes(changes) => {
                let (client, export) = (self.client, self.export);
                set::set(export, client, &self.current()?.path, changes)?;
                Outcome::Done
            }
            Operation::Create { .. }
            | Operation::MakeDirectory { .. }
            | Operation::MakeNode { .. }
            | Operation::MakeLink { .. }
            | Operation::MakeUnnamed { .. }
            | Operation::Link { .. }
            | Operation::Replace { .. }
            | Operation::Remove { .. }
            | Operation::Rename { .. } => self.names(operation)?,
            _ => return Err(EOPNOTSUPP.into()),
        };
        writer.push(operation, &outcome).map_err(|_| EOVERFLOW)
    }
}
