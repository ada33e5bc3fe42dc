// SPDX-License-Identifier: GPL-2.0

//! Writing to files of other devices.

use hmdfs_kapi::{
    errno::{EDQUOT, EPROTO},
    netfs::WriteSubrequest,
};
use hmdfs_proto::{Attributes, Operation, Written, MAX_DATA};
use kernel::prelude::*;

use super::{
    compound::{self, Outcomes},
    gather::call_all,
    inode::{of, Node},
};
use crate::{
    link::{Completion, Destination, Reply},
    mount::{Hmdfs, Mount, Question},
    node::{Inode, InodeRef},
};

/// Sends a part of a file. The attributes that the file has then come back in the same round
/// trip.
pub(super) fn issue_write(write: WriteSubrequest<Hmdfs>) {
    let inode = write.inode();
    let begun = (|| {
        let node = of(inode)?;
        if node.has_lost_locks() {
            return Err(EIO);
        }
        // More than is ever asked for first may be left of a direct write that was cut short; the
        // library sees to the rest.
        let data = write.data(MAX_DATA)?;
        let length = u32::try_from(data.len())?;
        // The whole file, while somebody waits for it to be stored: that is done in the same round
        // trip.
        let is_whole = write.offset() == 0 && u64::from(length) == inode.size();
        let sync = node.is_syncing() && is_whole;
        let operations = operations(node, write.offset(), length, sync)?;
        let question = inode.super_block().data().ask();
        let mut request = compound::request(&operations, 0)?;
        request.data = Some(data);
        Ok::<_, Error>((node.peer().clone(), question, (length, sync), request))
    })();
    let (peer, question, (length, sync), request) = match begun {
        Ok(begun) => begun,
        Err(error) => return failed(write, error),
    };
    let completion = WriteCompletion {
        question,
        length,
        sync,
        write: Some(write),
    };
    // Without memory the completion is gone, and with it the write, which ends with EIO.
    if let Ok(completion) = KBox::new(completion, GFP_KERNEL) {
        peer.call(request, completion);
    }
}

/// What a part of a file is sent with; `sync` says whether it is to be stored for good, too.
fn operations(
    node: &Node,
    offset: u64,
    length: u32,
    sync: bool,
) -> Result<KVec<Operation<'static>>> {
    let mut operations = KVec::with_capacity(5, GFP_KERNEL)?;
    operations.push(Operation::File(node.handle()), GFP_KERNEL)?;
    operations.push(Operation::Write { offset, length }, GFP_KERNEL)?;
    if sync {
        let (data_only, errors) = (false, None);
        operations.push(Operation::Sync { data_only, errors }, GFP_KERNEL)?;
    }
    operations.push(Operation::Lease, GFP_KERNEL)?;
    operations.push(Operation::GetAttributes, GFP_KERNEL)?;
    Ok(operations)
}

fn failed(write: WriteSubrequest<Hmdfs>, error: Error) {
    if let Ok(node) = of(write.inode()) {
        node.write_failed();
    }
    write.fail(error);
}

/// A write that waits for its reply.
struct WriteCompletion {
    question: Question,
    length: u32,
    /// Whether it is to be stored for good.
    sync: bool,
    /// Taken by `complete`, or when dropped.
    write: Option<WriteSubrequest<Hmdfs>>,
}

impl Completion for WriteCompletion {
    fn destination(&mut self, _length: u32) -> Result<Destination<'_>> {
        // No data are asked for.
        Err(EINVAL)
    }

    fn complete(&mut self, result: Result<Reply>) {
        let Some(write) = self.write.take() else {
            return;
        };
        let outcome = result.and_then(|reply| Ok((self.outcome(&write, &reply)?, reply.epoch)));
        match outcome {
            Ok(((written, synced, question, attributes), epoch)) => {
                let inode = write.inode();
                if let Ok(node) = of(inode) {
                    let mount = inode.super_block().data();
                    node.wrote(&mount, question, written, epoch, attributes);
                    if synced {
                        node.synced_with_write(question);
                    }
                    node.peer().set_unsynced(epoch);
                }
                // CAST: `usize` has at least 32 bits here.
                write.complete(written.length as usize);
            }
            Err(error) => failed(write, error),
        }
    }
}

impl WriteCompletion {
    fn outcome(
        &self,
        write: &WriteSubrequest<Hmdfs>,
        reply: &Reply,
    ) -> Result<(Written, bool, Question, Attributes)> {
        let (inode, node) = (write.inode(), of(write.inode())?);
        let operations = operations(node, write.offset(), self.length, self.sync)?;
        let mut outcomes = Outcomes::new(reply, &operations)?;
        outcomes.done()?;
        let written = outcomes.written()?;
        // Nothing at all, and no error, would be asked for again for ever.
        if written.length == 0 || written.length > self.length {
            return Err(EPROTO.into());
        }
        // If it has met with an error since, that is for `fsync` to find out.
        let synced =
            self.sync && outcomes.synced()? == written.errors && written.length == self.length;
        let (question, attributes) = outcomes.told(inode, node, self.question)?;
        Ok((written, synced, question, attributes))
    }
}

impl Drop for WriteCompletion {
    fn drop(&mut self) {
        if let Some(write) = self.write.take() {
            failed(write, EIO);
        }
    }
}

/// An `fsync` that is under way.
pub(crate) struct Syncing {
    inode: InodeRef,
    data_only: bool,
    /// Number of a question from before it began.
    begun: u64,
}

impl Syncing {
    /// What was written is about to be written back.
    pub(super) fn begin(inode: &Inode, data_only: bool) -> Self {
        let begun = inode.super_block().data().ask().number;
        if let Ok(node) = of(inode) {
            node.begin_sync();
        }
        Self {
            inode: inode.to_ref(),
            data_only,
            begun,
        }
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        if let Ok(node) = of(&self.inode) {
            node.end_sync();
        }
    }
}

/// Waits until what was written is on stable storage of the owner. That some of it is lost is told
/// to all who have the file open.
pub(super) fn fsync(inode: &Inode, syncing: &Syncing) -> Result {
    let node = of(inode)?;
    if node.is_synced_since(syncing.begun) {
        // Everything has just been stored in the round trip that has brought it.
        return Ok(());
    }
    let data_only = syncing.data_only;
    let unsynced = node.unsynced();
    let operations = [
        Operation::File(node.handle()),
        Operation::Sync {
            data_only,
            errors: unsynced.map(|unsynced| unsynced.errors),
        },
    ];
    let reply = compound::call(node.peer(), &operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    let lost = match outcomes.synced() {
        // The owner has begun anew since, perhaps without what it had not stored.
        Ok(_) if unsynced.is_some_and(|unsynced| unsynced.epoch != reply.epoch) => EIO,
        Ok(errors) => {
            node.synced(unsynced, Some(errors));
            return Ok(());
        }
        Err(error) if error == EIO || error == ENOSPC || error == EDQUOT => error,
        Err(error) => return Err(error),
    };
    node.synced(unsynced, None);
    node.write_failed();
    inode.set_write_error(lost);
    Ok(())
}

/// Waits until everything that this device has changed on others is on stable storage there.
///
/// All are asked at once. Errors: that of a device that failed, when all are done.
pub(crate) fn sync(mount: &Mount) -> Result {
    let operations = [Operation::Root, Operation::SyncFileSystem];
    let mut peers = KVec::new();
    let mut requests = KVec::new();
    for peer in mount.peers.snapshot()? {
        if let Some(epoch) = peer.take_unsynced() {
            requests.push(
                (peer.clone(), compound::request(&operations, 0)?),
                GFP_KERNEL,
            )?;
            peers.push((peer, epoch), GFP_KERNEL)?;
        }
    }
    let mut result = Ok(());
    for ((peer, epoch), reply) in peers.iter().zip(call_all(requests)?) {
        let synced = reply.and_then(|reply| {
            let mut outcomes = Outcomes::new(&reply, &operations)?;
            outcomes.done()?;
            outcomes.done()?;
            Ok(reply.epoch)
        });
        match synced {
            Ok(now) if now == *epoch => {}
            // The owner has begun anew since, perhaps without what it had not stored.
            Ok(_) => result = Err(EIO),
            Err(error) => {
                peer.set_unsynced(*epoch);
                result = Err(error);
            }
        }
    }
    result
}
