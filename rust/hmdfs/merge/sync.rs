// SPDX-License-Identifier: GPL-2.0

//! Bringing the names in merged directories to stable storage.

use hmdfs_kapi::{cred::prepare_creds, vfs::DirectoryFile};
use hmdfs_proto::{Handle, Operation};
use kernel::prelude::*;

use super::of;
use crate::{
    node::Inode,
    remote::{
        compound::{request, Outcomes},
        gather::call_all,
    },
};

/// Waits until the names are on stable storage: here, and on the devices on which this one has
/// changed anything. All are asked at once; an error is that of one that failed.
///
/// `local` is this device's directory, if it was there already when the merged one was opened.
pub(super) fn fsync(inode: &Inode, local: Option<&DirectoryFile>, data_only: bool) -> Result {
    let parts = of(inode)?.parts();
    let (mut handles, mut requests) = (KVec::new(), KVec::new());
    for (peer, child) in parts.remote().filter(|(peer, _)| peer.is_unsynced()) {
        let request = request(&operations(child.handle, data_only), 0)?;
        requests.push((peer.clone(), request), GFP_KERNEL)?;
        handles.push(child.handle, GFP_KERNEL)?;
    }
    let mut result = match (local, parts.local()) {
        (Some(local), _) => local.fsync(),
        (None, Some(path)) => DirectoryFile::open(path, &*prepare_creds()?)?.fsync(),
        (None, None) => Ok(()),
    };
    for (handle, reply) in handles.into_iter().zip(call_all(requests)?) {
        let synced = reply.and_then(|reply| {
            let operations = operations(handle, data_only);
            let mut outcomes = Outcomes::new(&reply, &operations)?;
            outcomes.done()?;
            outcomes.synced().map(|_| ())
        });
        result = result.and(synced);
    }
    result
}

fn operations(handle: Handle, data_only: bool) -> [Operation<'static>; 2] {
    let sync = Operation::Sync {
        data_only,
        errors: None,
    };
    [Operation::File(handle), sync]
}
