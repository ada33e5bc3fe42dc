// SPDX-License-Identifier: GPL-2.0

//! Asking a peer for what its programs have written to files of this device, and being asked.

use hmdfs_proto::{OpenFiles, Operation, Recall};
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Full},
};

use super::Peer;
use crate::remote::compound::{self, Outcomes};

/// Most requests of one peer that wait at a time until something was sent to it.
const MOST_TURNS: u32 = 8;

/// The right to wait until something was sent to a peer because that wants it.
pub(crate) struct FlushTurn<'a>(&'a Atomic<u32>);

impl Drop for FlushTurn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Full);
    }
}

impl Peer {
    /// Begins to wait until something was sent to the peer, which is a worker that it holds up; nothing when
    /// it does so with enough of them.
    pub(crate) fn flush_turn(&self) -> Option<FlushTurn<'_>> {
        let turn = FlushTurn(&self.flushing);
        (self.flushing.fetch_add(1, Full) < MOST_TURNS).then_some(turn)
    }

    /// Which of the files with these keys the peer may write to, or may have written to without having
    /// sent that; with `flush`, what it has written to the first one it sends before it answers. Waits for at
    /// most `limit` milliseconds.
    ///
    /// Errors: those of [`Peer::call_within`].
    pub(crate) fn writing(&self, flush: bool, keys: &[u64], limit: u32) -> Result<OpenFiles> {
        let mut bytes = KVec::with_capacity(keys.len().saturating_mul(8), GFP_KERNEL)?;
        for key in keys {
            bytes.extend_from_slice(&key.to_le_bytes(), GFP_KERNEL)?;
        }
        let files = Recall::decode(&bytes).map_err(|_| EMSGSIZE)?;
        let operations = [Operation::Writing { flush, files }];
        let reply = self.call_within(compound::request(&operations, 0)?, limit)?;
        Outcomes::new(&reply, &operations)?.writing()
    }
}
