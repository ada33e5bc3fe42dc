// SPDX-License-Identifier: GPL-2.0

//! Regular files of other devices.

use hmdfs_kapi::{
    errno::{EOPENSTALE, EPROTO, ESTALE},
    fs::{
        lock::{FileLock, Owner},
        File,
    },
    netfs::{CopyRange, Operations, ReadSubrequest, WriteSubrequest},
    vfs::Allocation,
};
use hmdfs_proto::{Fetched, Lease, Name, Operation, MAX_DATA};
use kernel::prelude::*;

use super::{
    ahead::{self, Plan},
    attributes::{self, Locking},
    beginning::Beginning,
    compound::{self, Outcomes},
    inode::{self, of, Node},
    leases, lock, locks,
    open::access,
    opens::Open,
    sharing, space,
    write::{self, Syncing},
};
use crate::{
    link::{Completion, Destination, Reply},
    mount::{Hmdfs, Question},
    node::{Inode, InodeRef, Node as AnyNode},
    validity::Validity,
};

/// Files up to this size are read in the round trip that opens them.
pub(super) const BEGINNING: u32 = 64 << 10;

/// Operations of remote regular files.
pub(crate) struct FileOps;

impl Operations<Hmdfs> for FileOps {
    const READ_SIZE: u32 = MAX_DATA;
    const WRITE_SIZE: u32 = MAX_DATA;

    type Private = KBox<Open>;

    fn open(inode: &Inode, file: &File<Hmdfs>) -> Result<KBox<Open>> {
        let mount = inode.super_block().data();
        let node = of(inode)?;
        let (open, must_ask) = Open::new(inode, file.is_writable())?;
        if inode.is_being_written() {
            // Then what the owner tells is about what programs here have written. An error is
            // told to those who wrote.
            let _ = inode.write_and_wait();
        }
        let question = mount.ask();
        let access = access(file.is_readable(), file.is_writable());
        // The name may mean another file by now, so it is resolved in the same round trip.
        let (dentry, parent) = (file.dentry(), file.dentry().parent());
        let is_known = !must_ask && !dentry.is_unhashed() && node.attributes().nlink != 0;
        let only_reads = matches!(access, Operation::Open { write: false, .. });
        if only_reads && is_known && node.is_readable(&mount, inode) {
            let name = Validity::from_time(dentry.time());
            let holds = |dir: &Inode| name.is_leased() && leases::holds(&mount, dir, name);
            if parent.inode().is_some_and(holds) {
                // The owner would say what it said last.
                return Ok(open);
            }
        }
        let name = dentry.name();
        let directory = parent.inode().and_then(|dir| match dir.data() {
            AnyNode::Remote(directory) => Some(directory.handle()),
            AnyNode::Merge(directory) => directory
                .parts()
                .handle_by_name(node.peer().number(), name.as_bytes()),
            _ => None,
        });
        let lease = match (directory, Name::new(name.as_bytes())) {
            (Some(directory), Ok(name)) => {
                let path = [
                    Operation::File(directory),
                    Operation::Lease,
                    Operation::Walk(name),
                ];
                let dir = if is_wanted(inode, node, &access) {
                    inode::find(inode.super_block(), node.peer(), &directory)
                } else {
                    None
                };
                let ahead = dir.and_then(|dir| {
                    let plan = ahead::plan(&mount, &dir, &parent, name.as_bytes())?;
                    Some((dir, plan))
                });
                open_as(inode, node, question, &path, access, ahead)?
            }
            _ => {
                let path = [Operation::File(node.handle())];
                open_as(inode, node, question, &path, access, None)?
            }
        };
        // In a merged directory, other devices count too, and they were not asked.
        if let Some((dir, AnyNode::Remote(directory))) = parent.inode().map(|dir| (dir, dir.data()))
        {
            dentry.set_time(leases::settle(dir, directory, lease, question).as_time());
        }
        Ok(open)
    }

    fn issue_read(inode: &Inode, read: ReadSubrequest) {
        match of(inode) {
            Ok(node) => issue_read(node, read),
            Err(error) => read.fail(error),
        }
    }

    fn issue_write(write: WriteSubrequest<Hmdfs>) {
        write::issue_write(write);
    }

    type Syncing = Syncing;

    fn begin_fsync(inode: &Inode, data_only: bool) -> Syncing {
        Syncing::begin(inode, data_only)
    }

    fn fsync(inode: &Inode, syncing: Syncing) -> Result {
        write::fsync(inode, &syncing)
    }

    fn fallocate(
        inode: &Inode,
        what: Allocation,
        keep_size: bool,
        offset: u64,
        length: u64,
    ) -> Result {
        space::fallocate(inode, what, keep_size, offset, length)
    }

    fn copy(source: &Inode, target: &Inode, range: &CopyRange) -> Result<u64> {
        space::copy(source, target, range)
    }

    fn seek(inode: &Inode, offset: u64, hole: bool) -> Result<u64> {
        space::seek(of(inode)?, offset, hole)
    }

    fn lock(inode: &Inode, lock: &mut FileLock<'_, Hmdfs>) -> Result {
        lock::lock(inode, lock)
    }

    fn test_lock(inode: &Inode, lock: &mut FileLock<'_, Hmdfs>) -> Result {
        lock::test(inode, lock)
    }

    fn closed(inode: &Inode, owner: Owner) {
        lock::closed(inode, owner);
    }

    fn may_transfer(inode: &Inode, file: &File<Hmdfs>) -> Result {
        locks::may_transfer(inode, file)
    }

    fn writes_through(inode: &Inode) -> bool {
        sharing::writes_through(inode)
    }

    fn find_end(inode: &Inode) {
        sharing::find_end(inode);
    }

    fn may_stay(inode: &Inode) -> bool {
        sharing::may_stay(inode)
    }
}

/// Whether a file that is opened will be read in a moment, so that it should come along: a small one of
/// which the cache has no page.
fn is_wanted(inode: &Inode, node: &Node, access: &Operation<'_>) -> bool {
    matches!(access, Operation::Open { read: true, .. })
        && !inode.has_pages()
        && node.is_read()
        && inode.size() != 0
        && inode.size() <= BEGINNING.into()
}

/// Opens the file that `path` leads to, which must be the one of `inode`; EOPENSTALE when it is
/// another one, or none. Gives the lease on the directory. Other files of the directory may come along.
fn open_as(
    inode: &Inode,
    node: &Node,
    question: Question,
    path: &[Operation<'_>],
    access: Operation<'_>,
    ahead: Option<(InodeRef, Plan)>,
) -> Result<Lease> {
    let wanted = is_wanted(inode, node, &access);
    let count = ahead.as_ref().map_or(0, |(_, plan)| plan.len());
    let mut operations = KVec::with_capacity(count.saturating_add(8), GFP_KERNEL)?;
    operations.extend_from_slice(path, GFP_KERNEL)?;
    operations.extend_from_slice(
        &[
            Operation::GetHandle,
            Operation::Lease,
            Operation::GetAttributes,
            access,
        ],
        GFP_KERNEL,
    )?;
    for operation in ahead.iter().flat_map(|(_, plan)| plan.operations()) {
        operations.push(operation, GFP_KERNEL)?;
    }
    if wanted {
        operations.push(
            Operation::Read {
                offset: 0,
                length: BEGINNING,
            },
            GFP_KERNEL,
        )?;
    }
    let limit = match (count, wanted) {
        (0, false) => 0,
        (0, true) => BEGINNING,
        // They may have grown; there are never more.
        _ => MAX_DATA,
    };
    let mut reply = compound::call(node.peer(), &operations, limit)?;
    let mut data = core::mem::take(&mut reply.data);
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    let mut lease = Lease::None;
    for step in path {
        let done = match step {
            Operation::Lease => outcomes.lease().map(|given| lease = given),
            _ => outcomes.done(),
        };
        done.map_err(|error| {
            if error == ENOENT || error == ESTALE {
                EOPENSTALE.into()
            } else {
                error
            }
        })?;
    }
    if !node.learn(outcomes.handle()?) {
        return Err(EOPENSTALE.into());
    }
    let (told, attributes) = outcomes.told(inode, node, question)?;
    outcomes.done()?;
    let fetched = fetched(&mut outcomes, count, &data)?;
    let beginning = if wanted {
        let (length, end_of_file) = outcomes.read()?;
        let taken = fetched.iter().map(|(_, data)| data.len()).sum::<usize>();
        if data.len().checked_sub(taken) != usize::try_from(length).ok() {
            return Err(EPROTO.into());
        }
        if taken != 0 {
            let mut rest = KVVec::with_capacity(data.len().saturating_sub(taken), GFP_KERNEL)?;
            rest.extend_from_slice(data.get(taken..).ok_or(EPROTO)?, GFP_KERNEL)?;
            data = rest;
        }
        let own = ahead.as_ref().map(|(_, plan)| plan.own.clone());
        Some(Beginning::new(question, data, end_of_file).noted(own))
    } else {
        None
    };
    if let Some((dir, plan)) = ahead.filter(|_| !fetched.is_empty()) {
        let mount = inode.super_block().data();
        plan.take(&mount, &dir, question, fetched);
    }
    attributes::take(inode, node, told, &attributes, beginning, Locking::Wait)?;
    if matches!(access, Operation::Open { read: true, .. }) {
        node.set_readable(told.validity);
    }
    Ok(lease)
}

/// The next `count` outcomes: files that were fetched, and the data of each, which are the first ones of
/// `data`.
fn fetched(
    outcomes: &mut Outcomes<'_>,
    count: usize,
    data: &[u8],
) -> Result<KVec<(Option<Fetched>, KVVec<u8>)>> {
    let mut all = KVec::with_capacity(count, GFP_KERNEL)?;
    let mut rest = data;
    for _ in 0..count {
        let fetched = outcomes.fetched()?;
        let length = fetched.map_or(0, |fetched| fetched.length);
        let (its, others) = rest
            .split_at_checked(usize::try_from(length)?)
            .ok_or(EPROTO)?;
        rest = others;
        let mut copy = KVVec::with_capacity(its.len(), GFP_KERNEL)?;
        copy.extend_from_slice(its, GFP_KERNEL)?;
        all.push((fetched, copy), GFP_KERNEL)?;
    }
    Ok(all)
}

/// Reads from what came with the opening, or else from the owner.
fn issue_read(node: &Node, mut read: ReadSubrequest) {
    let offset = read.offset();
    let length = read.length();
    let copied = node.with_beginning(|beginning| {
        let start = usize::try_from(offset).ok()?;
        let available = beginning.data.get(start..)?;
        if available.len() < length && !beginning.end_of_file {
            return None;
        }
        let data = available.get(..length.min(available.len()))?;
        (read.destination().copy_to_iter(data) == data.len()).then_some(data.len())
    });
    if let Some(copied) = copied {
        read.complete(copied, copied < length);
        return;
    }
    node.set_read(true);
    let length = u32::try_from(length).unwrap_or(MAX_DATA).min(MAX_DATA);
    let operations = [
        Operation::File(node.handle()),
        Operation::Read { offset, length },
    ];
    let request = match compound::request(&operations, length) {
        Ok(request) => request,
        Err(error) => return read.fail(error),
    };
    let completion = ReadCompletion {
        handle: node.handle(),
        offset,
        length,
        read: Some(read),
    };
    // Without memory the completion is gone, and with it the read, which ends with EIO.
    if let Ok(completion) = KBox::new(completion, GFP_KERNEL) {
        node.peer().call(request, completion);
    }
}

/// A read that waits for its reply.
struct ReadCompletion {
    handle: hmdfs_proto::Handle,
    offset: u64,
    length: u32,
    /// Taken by `complete`.
    read: Option<ReadSubrequest>,
}

impl Completion for ReadCompletion {
    fn destination(&mut self, _length: u32) -> Result<Destination<'_>> {
        let read = self.read.as_mut().ok_or(EINVAL)?;
        Ok(read.destination())
    }

    fn rewind(&mut self) {
        if let Some(read) = &mut self.read {
            read.rewind();
        }
    }

    fn complete(&mut self, result: Result<Reply>) {
        let Some(read) = self.read.take() else {
            return;
        };
        match result.and_then(|reply| self.outcome(&reply)) {
            Ok((length, end_of_file)) => read.complete(length as usize, end_of_file),
            Err(error) => read.fail(error),
        }
    }
}

impl ReadCompletion {
    /// Length of the data that have arrived, and whether they reach the end of the file.
    fn outcome(&self, reply: &Reply) -> Result<(u32, bool)> {
        let operations = [
            Operation::File(self.handle),
            Operation::Read {
                offset: self.offset,
                length: self.length,
            },
        ];
        let mut outcomes = Outcomes::new(reply, &operations)?;
        outcomes.done()?;
        let (length, end_of_file) = outcomes.read()?;
        if length != reply.data_length {
            return Err(EPROTO.into());
        }
        // Short of the end of the file, something in between cannot be read: the library asks
        // for the rest, and is told why.
        Ok((length, end_of_file))
    }
}
