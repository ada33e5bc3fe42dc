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

use super::opens;
use crate::{
    mount::{Mount, Visit},
    peer::Peer,
};

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
    let written = written(mount, peer, flush, files);
    let size = 2 + ReplyWriter::OUTCOME_HEADER + OpenFiles::SIZE;
    let mut reply = KVVec::from_elem(0, size, GFP_KERNEL).ok()?;
    let mut writer = ReplyWriter::new(&mut reply).ok()?;
    writer.push(&operation, &Outcome::Writing(written)).ok()?;
    let length = writer.len();
    reply.truncate(length);
    Some(reply)
}

/// Sends what was written to the first one of the peer's files, if that is wanted, and gives those of all that
/// may be written to.
fn written(mount: &Mount, peer: &Peer, flush: bool, files: Recall<'_>) -> OpenFiles {
    let mut written = OpenFiles::default();
    // Without, the mount is going: what was written will be sent, or is lost.
    let Some(visit) = mount.visit() else {
        return written;
    };
    for (place, key) in files.keys().enumerate() {
        let mut is_written = may_be_written(&visit, peer, key);
        if is_written && flush && place == 0 {
            if let Some(_turn) = peer.flush_turn() {
                visit.with_inode(peer, key, |inode| {
                    // An error is told to those who wrote.
                    let _ = inode.write_and_wait();
                });
                is_written = may_be_written(&visit, peer, key);
            }
        }
        if !is_written {
            // Whoever is opening the file just now, and has not been counted, has the owner note that again.
            let number = mount.ask().number;
            peer.recalled().lock().note(key, number);
            is_written = may_be_written(&visit, peer, key);
        }
        if is_written {
            written.add(place);
        }
    }
    written
}

fn may_be_written(visit: &Visit<'_>, peer: &Peer, key: u64) -> bool {
    visit
        .with_inode(peer, key, |inode| {
            opens::is_open_for_write(inode) || inode.is_being_written()
        })
        .unwrap_or(false)
}
