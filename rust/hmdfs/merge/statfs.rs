// SPDX-License-Identifier: GPL-2.0

//! Space of merged directories: that of all devices which have a part of it, together.

use hmdfs_kapi::{errno::ENOTCONN, vfs::StatFs};
use kernel::prelude::*;

use super::of;
use crate::{
    node::Inode,
    remote::{
        compound::request,
        gather::call_all,
        statfs::{question, told},
    },
};

/// Sums up what the devices have. All are asked at once, and one that fails has nothing; ENOTCONN
/// when all do.
pub(crate) fn statfs(inode: &Inode) -> Result<StatFs> {
    let parts = of(inode)?.parts();
    let mut requests = KVec::new();
    for (peer, child) in parts.remote() {
        let request = request(&question(child.handle), 0)?;
        requests.push((peer.clone(), request), GFP_KERNEL)?;
    }
    let replies = call_all(requests)?;
    let mut sum = parts.local().map(|path| path.statfs()).transpose()?;
    for ((_, child), reply) in parts.remote().zip(replies) {
        match reply.and_then(|reply| told(child.handle, &reply)) {
            Ok(more) => sum = Some(sum.map_or(more, |sum| add(&sum, &more))),
            Err(error) => pr_debug!("a device did not tell its space: {error:?}\n"),
        }
    }
    sum.ok_or(ENOTCONN.into())
}

/// Both together, in blocks of the first.
fn add(one: &StatFs, other: &StatFs) -> StatFs {
    let size = u64::from(one.block_size).max(1);
    let blocks = |ours: u64, theirs: u64| {
        let bytes = theirs.saturating_mul(other.block_size.into());
        ours.saturating_add(bytes.checked_div(size).unwrap_or(0))
    };
    StatFs {
        block_size: one.block_size,
        blocks: blocks(one.blocks, other.blocks),
        blocks_free: blocks(one.blocks_free, other.blocks_free),
        blocks_available: blocks(one.blocks_available, other.blocks_available),
        files: one.files.saturating_add(other.files),
        files_free: one.files_free.saturating_add(other.files_free),
        name_max: one.name_max.min(other.name_max),
    }
}
