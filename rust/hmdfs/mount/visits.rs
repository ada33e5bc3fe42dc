// SPDX-License-Identifier: GPL-2.0

//! Those who use inodes because another device wants them to, and have nothing open: the mount must not
//! go meanwhile, and nothing else keeps it.

use hmdfs_kapi::fs::inode::Inodes;
use kernel::{
    new_condvar, new_spinlock,
    prelude::*,
    sync::{CondVar, SpinLock},
};

use super::{Hmdfs, Mount};
use crate::{
    node::{Inode, Key},
    peer::Peer,
};

/// How many there are.
#[pin_data]
pub(super) struct Visits {
    #[pin]
    count: SpinLock<usize>,
    #[pin]
    ended: CondVar,
}

impl Visits {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            count <- new_spinlock!(0, "Visits::count"),
            ended <- new_condvar!("Visits::ended"),
        })
    }

    /// Waits until there are none; nobody may begin any more.
    pub(super) fn wait(&self) {
        let mut count = self.count.lock();
        while *count != 0 {
            self.ended.wait(&mut count);
        }
    }
}

/// The right to use inodes.
pub(crate) struct Visit<'a> {
    mount: &'a Mount,
    inodes: Inodes<Hmdfs>,
}

impl Mount {
    /// Keeps the mount until the result is dropped, if it is not going already.
    pub(crate) fn visit(&self) -> Option<Visit<'_>> {
        let inodes = self.inodes.lock();
        let visit = Visit {
            mount: self,
            inodes: inodes.clone()?,
        };
        let mut count = self.visits.count.lock();
        *count = count.saturating_add(1);
        drop(count);
        Some(visit)
    }
}

impl Visit<'_> {
    /// Calls `visit` with the inode of the peer's file that leases are recalled by `key` of, if it is in
    /// memory. May sleep.
    pub(crate) fn with_inode<R>(
        &self,
        peer: &Peer,
        key: u64,
        visit: impl FnOnce(&Inode) -> R,
    ) -> Option<R> {
        let serial = peer.serial();
        let hash = Key::remote_hash(serial, key);
        let inode = self
            .inodes
            .ilookup5(hash, |found| found.is_remote(serial, key))?;
        Some(visit(&inode))
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut count = self.mount.visits.count.lock();
        *count = count.saturating_sub(1);
        drop(count);
        self.mount.visits.ended.notify_all();
    }
}
