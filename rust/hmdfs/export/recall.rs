// SPDX-License-Identifier: GPL-2.0

//! Telling holders that leases were broken, and asking them which files they have open.
//!
//! # When a holder does not reply
//!
//! A device relies on leases only as long as it has a link, and a link on which nothing
//! arrives for six seconds is dead (`link::liveness`). After [`PATIENCE`], which is longer, a
//! device that has not replied either has no link any more, or its link works and it breaks the
//! rules, which is its own loss. Its links are ended, and for a while it gets no leases.

use hmdfs_proto::{Encoder, Opcode, OpenFiles, Recall};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{delay::fsleep, Delta, Instant, Monotonic},
};

use crate::{link::DownReason, peer::Peer};

/// How long a holder may take to reply, in milliseconds. More than a link without a sign of life
/// lives, and less than a call may take.
pub(super) const PATIENCE: u32 = 7_000;

/// How often, in milliseconds, a holder without a link is looked for.
const RETRY: i64 = 100;

/// Tells a holder of all leases that were broken, and asks which files it has open.
pub(crate) fn tell(peer: &Arc<Peer>) {
    let holder = peer.holder();
    let mut keys = [0; Recall::MAX / 8];
    let mut answers = true;
    loop {
        let broken = holder.take(&mut keys);
        let count = broken.map_or(0, |(count, _)| count);
        let count = holder.opened().lock().ask(&mut keys, count, answers);
        if count == 0 {
            return;
        }
        let asked = keys.get(..count).unwrap_or(&[]);
        let answer = match deliver(peer, asked) {
            Delivery::Answered(open) => Some(open),
            Delivery::Gone => None,
            Delivery::Silent => {
                distrust(peer);
                None
            }
        };
        answers &= answer.is_some();
        let closed = holder.opened().lock().answered(asked, answer.as_ref());
        if let Some((_, told)) = broken {
            holder.set_void(told);
        }
        // Not under the lock: files may be closed.
        drop(closed);
    }
}

/// How it went to tell a holder something.
enum Delivery {
    /// It has replied.
    Answered(OpenFiles),
    /// It cannot rely on leases any more.
    Gone,
    /// It is there, and does not reply.
    Silent,
}

/// Tells a holder that the leases on the files with these keys are broken.
fn deliver(peer: &Peer, keys: &[u64]) -> Delivery {
    let begun = Instant::<Monotonic>::now();
    let mut body = [0; Recall::MAX_SIZE / 8];
    let mut encoder = Encoder::new(&mut body);
    if keys.is_empty() || Recall::encode(keys, &mut encoder).is_err() {
        return Delivery::Silent;
    }
    let length = encoder.len();
    let body = body.get(..length).unwrap_or(&[]);
    loop {
        let passed = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        let left = PATIENCE.saturating_sub(passed);
        // After so long without a link, it relies on nothing.
        if left == 0 || peer.is_forgotten() || peer.is_without_link_for(i64::from(PATIENCE)) {
            return Delivery::Gone;
        }
        match peer.tell(Opcode::Recall, body, left) {
            Ok(open) => return Delivery::Answered(open),
            Err(error) if error == ETIMEDOUT => return Delivery::Silent,
            // The link has ended. There may be another one.
            Err(_) => fsleep(Delta::from_millis(RETRY)),
        }
    }
}

/// Ends the links of a peer that does not reply, so that it cannot rely on its leases.
pub(super) fn distrust(peer: &Peer) {
    pr_warn!("{} does not give leases back\n", peer.name());
    peer.holder().set_distrusted();
    peer.end_links(DownReason::Timeout);
}
