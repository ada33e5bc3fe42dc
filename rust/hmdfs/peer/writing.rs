// SPDX-License-Identifier: GPL-2.0

//! Asking a peer for what its programs have written to files of this device.

use hmdfs_proto::{OpenFiles, Operation, Recall};
use kernel::prelude::*;

use super::Peer;
use crate::remote::compound::{self, Outcomes};

impl Peer {
    /// Which of the files with these keys the peer may write to, or may have written to without having
    /// sent that; of the first `flush` ones it sends it before it answers. Waits for at most `limit`
    /// milliseconds.
    ///
    /// Errors: those of [`Peer::call_within`].
    pub(crate) fn writing(&self, flush: u16, keys: &[u64], limit: u32) -> Result<OpenFiles> {
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
