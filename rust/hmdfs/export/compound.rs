// SPDX-License-Identifier: GPL-2.0

//! Executes the operations of a compound request.

use core::cell::Cell;

use hmdfs_kapi::{
    cred,
    errno::{EOPNOTSUPP, ESTALE},
    page_run::PageRun,
    vfs::{Mask, Path, RegularFile},
};
use hmdfs_model::security::Access;
use hmdfs_proto::{
    self as proto, Attributes, Entry, Fetched, FileSystem, Handle, Lease, Locking, OpenFiles,
    Operation, Outcome, ReplyWriter, RequestReader, Status, Target,
};
use kernel::{
    error::code::EOVERFLOW,
    prelude::*,
    sync::{Arc, UniqueArc},
};

use super::{
    access, attributes, directory, label,
    replay::{Begin, Kept, MAX_REPLY},
    set, status, write,
    writing::File,
    Body, Client, Export, Response,
};
use crate::peer::Peer;

/// Most bytes of encoded entries in a reply, whatever the client would take.
const MAX_LISTING: usize = 256 << 10;

/// Most bytes of an extended attribute's value, and of a list of names (`XATTR_SIZE_MAX`,
/// `XATTR_LIST_MAX`).
const MAX_EXTENDED: usize = 64 << 10;

/// Executes the request `body`, unless that was done before; see [`Export::compound`].
pub(super) fn serve<C: Client + ?Sized>(
    export: core::result::Result<&Export, Status>,
    client: &C,
    body: &[u8],
    input: Option<PageRun>,
) -> proto::Result<Option<Response>> {
    let plan = plan(body, input.as_ref().map_or(0, PageRun::len))?;
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
        seen: [const { None }; SEEN],
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

/// What is known of a request before anything is done.
#[derive(Clone, Copy)]
struct Plan {
    /// Most bytes of the reply.
    size: usize,
    /// Slot and number, if it must not be executed twice.
    once: Option<(u16, u64)>,
    /// Whether it may change something.
    changes: bool,
}

/// Checks all of a request that comes with `input` bytes of data, and finds out how long its reply
/// can become.
///
/// So a malformed request has no effect, and a short reply takes little memory.
fn plan(body: &[u8], input: usize) -> proto::Result<Plan> {
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
    Ok(Plan {
        size: size.min(limit),
        once,
        changes,
    })
}

/// Most bytes that the outcome of an operation takes.
fn outcome_size(operation: &Operation<'_>) -> usize {
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
fn listing_size(limit: u32) -> usize {
    usize::try_from(limit)
        .unwrap_or(MAX_LISTING)
        .clamp(Entry::MAX_SIZE, MAX_LISTING)
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
    acted: bool,
    /// The data of the reply.
    data: Option<PageRun>,
    /// Files that were named by a handle.
    seen: [Option<Current>; SEEN],
    /// What the value of an extended attribute begins with; no longer than a request.
    pub(super) value: KVVec<u8>,
}

/// Files that a compound may name without looking for any of them twice: both directories of
/// a rename, and what is renamed.
const SEEN: usize = 3;

/// The file that operations work on. It lies below the export's root.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) path: Path,
    handle: Option<Handle>,
    /// It, open for reading.
    pub(super) file: Option<Arc<RegularFile>>,
}

impl Current {
    pub(super) fn new(path: Path) -> Self {
        Self {
            path,
            handle: None,
            file: None,
        }
    }

    pub(super) fn handle(&mut self, export: &Export) -> Result<Handle> {
        match self.handle {
            Some(handle) => Ok(handle),
            None => {
                let handle = export.handles.encode(&self.path)?;
                self.handle = Some(handle);
                Ok(handle)
            }
        }
    }
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
        let asks = matches!(operation, Operation::GetChange);
        // What is written goes where others who write know of it, and need not be asked each time.
        let writes = matches!(operation, Operation::Write { .. });
        if (asks || operation.is_change()) && !writes {
            let is_reg = |current: &Current| current.path.is_reg();
            if self.current.as_ref().is_some_and(is_reg) {
                self.act()?;
            }
        }
        // Nobody knows what it was like before that makes it.
        let makes = matches!(
            operation,
            Operation::Create { .. } | Operation::MakeUnnamed { .. }
        );
        self.acted |= operation.is_change() && !makes;
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
            Operation::Fetch { file, limit } => {
                let before = self.current.take();
                let fetched = self.fetch(file, *limit);
                self.current = before;
                // Whoever wants to know why asks for it by itself.
                Outcome::Fetched(fetched.unwrap_or(None))
            }
            Operation::ReadLink => return self.read_link(operation, writer),
            Operation::Lease => Outcome::Lease(self.lease()?),
            Operation::ReadDirectory {
                cookie,
                limit,
                plus,
                lease,
            } => {
                let export = self.export;
                let client = self.client;
                let limit = listing_size(*limit);
                let current = self.current()?;
                let handle = current.handle(export)?;
                let listing = directory::Listing {
                    export,
                    directory: &current.path,
                    handle,
                    limit,
                    plus: *plus,
                    holder: client.peer().filter(|_| *lease),
                    has_looked: Cell::new(false),
                };
                return listing.write(*cookie, operation, writer);
            }
            Operation::StatFileSystem => {
                Outcome::FileSystem(attributes::file_system(&self.current()?.path.statfs()?))
            }
            // The replay has seen to it.
            Operation::Once { .. } => Outcome::Done,
            Operation::GetChange => Outcome::Change(write::change(self.current()?)?),
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

    /// The current file; [`EBADF`] when no operation has set it.
    pub(super) fn current(&mut self) -> Result<&mut Current> {
        self.current.as_mut().ok_or(EBADF)
    }

    /// The file of a handle. Compounds name the same few files again and again, which are found
    /// once.
    pub(super) fn file(&mut self, handle: &Handle) -> Result<Current> {
        let mut seen = self.seen.iter().flatten();
        if let Some(current) = seen.find(|seen| seen.handle == Some(*handle)) {
            // An operation before this one may have removed it.
            if !current.path.is_unlinked() {
                return Ok(current.clone());
            }
        }
        let current = self.find(handle)?;
        if let Some(room) = self.seen.iter_mut().find(|seen| seen.is_none()) {
            *room = Some(current.clone());
        }
        Ok(current)
    }

    fn find(&self, handle: &Handle) -> Result<Current> {
        let export = self.export;
        let open = export.files.regular(handle);
        if let Some(file) = open.as_ref().filter(|file| !file.path().is_unlinked()) {
            // The handle was decoded when the file was opened.
            let current = Current {
                path: file.path(),
                handle: Some(*handle),
                file: open.clone(),
            };
            export.check_reachable(&current.path)?;
            return Ok(current);
        }
        let found = cred::with_creds(&export.mounter, || {
            export.handles.decode(&export.root, handle)
        });
        let (path, file) = match found {
            Ok(path) if !path.is_unlinked() => {
                export.check_reachable(&path)?;
                (path, None)
            }
            // Wherever it was, the client has been there.
            found => {
                let path = self.without_a_name(handle, found)?;
                let file = open.filter(|file| file.path().identity() == path.identity());
                (path, file)
            }
        };
        Ok(Current {
            path,
            handle: Some(*handle),
            file,
        })
    }

    /// The file of a handle that has no name any more, if it is kept for the client; `found` is what
    /// the handle led to.
    fn without_a_name(&self, handle: &Handle, found: Result<Path>) -> Result<Path> {
        let export = self.export;
        let stale = || ESTALE.error();
        let peer = self.client.peer().ok_or_else(stale)?;
        if !export.handles.is_genuine(handle) {
            return Err(stale());
        }
        let key = handle.identity().key();
        if let Some(path) = export.leases.kept(peer, key) {
            let is_it = export.handles.is_of(handle, &path)?;
            return is_it.then_some(path).ok_or_else(stale);
        }
        // It may be losing its name just now.
        let path = found?;
        let kept = export.leases.keep(peer, key, &path);
        kept.then_some(path).ok_or_else(stale)
    }

    /// The client has the current file, a regular one, open from now on, perhaps for writing.
    pub(super) fn opened(&mut self, write: bool) -> Result {
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        let key = current.handle(export)?.identity().key();
        if let Some(peer) = client.peer() {
            export.leases.opened(peer, key);
            if write {
                let ino = current.path.ino();
                export.leases.opened_for_writing(peer, File { ino, key });
            }
            if current.path.is_unlinked() {
                export.leases.keep(peer, key, &current.path);
            }
        }
        Ok(())
    }

    /// The client has the current file, which has no name, open from now on.
    ///
    /// `ENFILE` when it has too many of that kind.
    pub(super) fn opened_without_a_name(&mut self) -> Result {
        let (client, export) = (self.client, self.export);
        let peer = client.peer().ok_or(EOPNOTSUPP)?;
        let current = self.current()?;
        let key = current.handle(export)?.identity().key();
        if !export.leases.keep_open(peer, key, &current.path) {
            return Err(ENFILE);
        }
        // It may be given a name.
        let ino = current.path.ino();
        export.leases.opened_for_writing(peer, File { ino, key });
        Ok(())
    }

    /// The client may have closed the current file.
    fn closed(&mut self) -> Result {
        let (client, export) = (self.client, self.export);
        let handle = self.current()?.handle(export)?;
        // A file without a name that is kept open would keep its space.
        export.files.forget(&handle);
        self.seen = [const { None }; SEEN];
        self.current = None;
        if let Some(peer) = client.peer() {
            export.leases.closed(peer, handle.identity().key());
        }
        Ok(())
    }

    /// The client is about to change the current file, or asks what it is like before it does: what others
    /// have written to it by now comes first, and is not asked for from then on. What came between would
    /// pass for the client's own doing.
    fn act(&mut self) -> Result {
        let (client, export) = (self.client, self.export);
        let acted = core::mem::replace(&mut self.acted, true);
        let current = self.current()?;
        if let Some(peer) = client.peer().filter(|_| !acted) {
            let (ino, key) = (current.path.ino(), current.handle(export)?.identity().key());
            export.leases.is_written(peer, File { ino, key });
        }
        Ok(())
    }

    /// Gives the client a lease on the current file, if it can have one. What others have written to that
    /// comes first, unless something was done to it.
    fn lease(&mut self) -> Result<Lease> {
        let (client, export, acted) = (self.client, self.export, self.acted);
        let current = self.current()?;
        let handle = current.handle(export)?;
        let Some(peer) = client.peer() else {
            return Ok(Lease::None);
        };
        let lease = export
            .leases
            .grant(peer, &current.path, &handle, &export.writers);
        if !current.path.is_reg() {
            return Ok(lease);
        }
        let (ino, key) = (current.path.ino(), handle.identity().key());
        // The lease was noted before: whoever opens the file for writing from now on breaks it.
        let is_written = if acted {
            export.leases.may_be_written(peer, File { ino, key })
        } else {
            export.leases.is_written(peer, File { ino, key })
        };
        Ok(if is_written { Lease::Busy } else { lease })
    }

    /// Checks that the current file may be opened like this.
    fn open(&mut self, read: bool, write: bool) -> Result {
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        write::check_regular(current)?;
        if read {
            access::check_open(export, client, &current.path, Mask::Read)?;
        }
        if write {
            access::check_open(export, client, &current.path, Mask::Write)?;
        }
        self.opened(write)
    }

    /// Reads all of a small file.
    fn read_whole(&mut self, limit: u32) -> Result<Outcome<'static>> {
        let size = self.current()?.path.getattr()?.size;
        if size > u64::from(limit) {
            return Ok(Outcome::Read {
                length: 0,
                end_of_file: false,
            });
        }
        self.read(0, limit)
    }

    /// Gives all of a small file, and a lease on it.
    fn fetch(&mut self, handle: &Handle, limit: u32) -> Result<Option<Fetched>> {
        let found = self.find(handle)?;
        self.current = Some(found);
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        write::check_regular(current)?;
        let (ino, key) = (current.path.ino(), handle.identity().key());
        let others = |peer: &Arc<Peer>| export.leases.may_be_written(peer, File { ino, key });
        if client.peer().is_some_and(others) {
            // Nobody has asked for it, so nobody is asked.
            return Ok(None);
        }
        let lease = self.lease()?;
        let current = self.current()?;
        // That it is opened under the lease is not said, so this is for all times that it is.
        access::check_open(export, client, &current.path, Mask::Read)?;
        self.opened(false)?;
        let attributes = attributes::attributes(&self.current()?.path.getattr()?);
        if attributes.size > u64::from(limit.min(self.data_left())) {
            return Ok(None);
        }
        let (data, end_of_file) = self.read_data(0, limit)?;
        if !end_of_file {
            return Ok(None);
        }
        let length = u32::try_from(data.len())?;
        self.add_data(data)?;
        Ok(Some(Fetched {
            lease,
            attributes,
            length,
        }))
    }

    /// How many bytes of data the reply has room for.
    fn data_left(&self) -> u32 {
        let taken = self.data.as_ref().map_or(0, PageRun::len);
        // CAST: A reply has no more than `MAX_DATA`.
        proto::MAX_DATA.saturating_sub(taken as u32)
    }

    /// Puts more data behind those that the reply has; all or none.
    fn add_data(&mut self, data: PageRun) -> Result {
        match &mut self.data {
            Some(before) => before.append(data),
            none => {
                *none = Some(data);
                Ok(())
            }
        }
    }

    fn read(&mut self, offset: u64, length: u32) -> Result<Outcome<'static>> {
        let (data, end_of_file) = self.read_data(offset, length)?;
        let length = u32::try_from(data.len())?;
        self.add_data(data)?;
        Ok(Outcome::Read {
            length,
            end_of_file,
        })
    }

    /// Data of the current file, as far as the reply has room for them, and whether they reach its end.
    fn read_data(&mut self, offset: u64, length: u32) -> Result<(PageRun, bool)> {
        let length = length.min(self.data_left());
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        write::check_regular(current)?;
        access::check_use(export, client, &current.path, Mask::Read)?;
        let file = self.keep_open()?;
        let data = file.splice_read(offset, usize::try_from(length)?)?;
        let read = u32::try_from(data.len())?;
        let reached = offset.saturating_add(read.into());
        let end_of_file = (length != 0 && read == 0) || reached >= file.size();
        Ok((data, end_of_file))
    }

    fn read_link(&mut self, operation: &Operation<'_>, writer: &mut ReplyWriter<'_>) -> Result {
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        if !current.path.is_symlink() {
            return Err(EINVAL);
        }
        label::check(export, client, &current.path)?;
        current.path.with_link(|target| {
            let target = Target::new(target).map_err(|_| EIO)?;
            writer
                .push(operation, &Outcome::Target(target))
                .map_err(|_| EOVERFLOW)
        })?
    }
}
