// SPDX-License-Identifier: GPL-2.0

//! What programs here have written and the owner does not have, when another device wants to see it.

use hmdfs_proto::{
    OpenFiles,
    Operation,
    Outcome,
    Recall,
    ReplyWriter,
    RequestReader, //
};
use kernel::prelude::*;

use crate::{mount::Mount, peer::Peer};

/// If the request `body` of a peer is nothing but [`Operation::Writing`]: the reply. Sleeps until what is asked
/// for has been sent.
pub(crate) fn answer(mount: &Mount, peer: &Peer, body: &[u8]) -> Option<KVVec<u8>> {
    let mut operations = RequestReader::new(body).ok()?;
    let operation = operations.next()?.ok()?;
    let Operation::Writing { flush, files } = operation else {
        return None;
    };
    if operations.next().is_some() {
        return None;
    }
    let written = flush_files(mount, peer, flush.into(), files);
    let size = 2 + ReplyWriter::OUTCOME_HEADER + OpenFiles::SIZE;
    let mut reply = KVVec::from_elem(0, size, GFP_KERNEL).ok()?;
    let mut writer = ReplyWriter::new(&mut reply).ok()?;
    writer.push(&operation, &Outcome::Writing(written)).ok()?;
    let length = writer.len();
    reply.truncate(length);
    Some(reply)
}

/// Sends what was written to the first `flush` files of the peer, and gives those of all that may be
/// written to.
fn flush_files(mount: &Mount, peer: &Peer, flush: usize, files: Recall<'_>) -> OpenFiles {
    let mut written = OpenFiles::default();
    let Some(visit) = mount.visit() else {
        // What was written has been sent, or is lost.
        return written;
    };
    for (place, key) in files.keys().enumerate() {
        let is_written = visit.with_inode(peer, key, |inode| {
            if place < flush {
                // An error is told to those who wrote.
                let _ = inode.write_and_wait();
            }
            inode.is_open_for_write() || inode.is_being_written()
        });
        if is_written.unwrap_or(false) {
            written.add(place);
        }
    }
    written
}
