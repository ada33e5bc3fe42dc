// SPDX-License-Identifier: GPL-2.0

//! Who has locks on a file of another device, and who has lost them.
//!
//! Locks belong to a session with the device that has the file, and are lost with it. Whoever had
//! some is noted until it gives them up, and fails with whatever it does with the file meanwhile.

use hmdfs_kapi::{
    fs::{lock::Owner, File},
    memalloc::NofsScope,
    vfs::lock::Class,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Mutex,
    },
};

use super::inode::{of, Node};
use crate::{mount::Hmdfs, node::Inode};

/// Who has, wants or has lost locks on one inode.
#[pin_data]
pub(super) struct Locks {
    /// Taken on the way of a write: nothing is waited for with it locked.
    #[pin]
    holders: Mutex<KVec<Holder>>,
    /// Their number, to be looked at without the lock.
    count: Atomic<usize>,
}

/// An owner of locks.
struct Holder {
    owner: Owner,
    /// The session with the device that has the file.
    session: u64,
    /// The session has ended, and the locks are not recorded any more.
    lost: bool,
}

impl Locks {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            holders <- new_mutex!(KVec::new(), "hmdfs::remote::Locks"),
            count: Atomic::new(0),
        })
    }

    /// Whether nobody has any.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// Notes that an owner wants a lock in `session`; EIO when it has lost some.
    pub(super) fn enter(&self, owner: Owner, session: u64) -> Result {
        let _nofs = NofsScope::enter();
        let mut holders = self.holders.lock();
        match holders.iter().find(|holder| holder.owner == owner) {
            Some(holder) if holder.session != session => Err(EIO),
            Some(_) => Ok(()),
            None => {
                let holder = Holder {
                    owner,
                    session,
                    lost: false,
                };
                holders.push(holder, GFP_KERNEL)?;
                self.count.store(holders.len(), Relaxed);
                Ok(())
            }
        }
    }

    /// The session in which an owner has locks.
    pub(super) fn session(&self, owner: Owner) -> Option<u64> {
        let holders = self.holders.lock();
        holders
            .iter()
            .find(|holder| holder.owner == owner)
            .map(|holder| holder.session)
    }

    /// Forgets an owner.
    pub(super) fn leave(&self, owner: Owner) {
        let mut holders = self.holders.lock();
        holders.retain(|holder| holder.owner != owner);
        self.count.store(holders.len(), Relaxed);
    }

    /// An owner that has lost its locks since the last time.
    fn next_lost(&self, session: u64) -> Option<Owner> {
        let mut holders = self.holders.lock();
        let holder = holders
            .iter_mut()
            .find(|holder| holder.session != session && !holder.lost)?;
        holder.lost = true;
        Some(holder.owner)
    }

    fn any(&self, condition: impl Fn(&Holder) -> bool) -> bool {
        !self.is_empty() && self.holders.lock().iter().any(condition)
    }
}

impl Node {
    /// Whether somebody has lost locks on the file, and does not know it: then nothing is written
    /// to the owner. Does not wait for anything.
    pub(super) fn has_lost_locks(&self) -> bool {
        let session = self.peer().sessions().asking();
        self.locks().any(|holder| holder.session != session)
    }
}

/// Whether the calling task has not lost locks that it took through `file`.
pub(super) fn may_transfer(inode: &Inode, file: &File<Hmdfs>) -> Result {
    let node = of(inode)?;
    let lost = !node.locks().is_empty() && {
        let session = node.peer().sessions().asking();
        node.locks().any(|holder| {
            let own = match holder.owner.class {
                Class::Posix => Owner::current(),
                class => Owner::file(class, file),
            };
            holder.session != session && holder.owner == own
        })
    };
    if lost {
        return Err(EIO);
    }
    Ok(())
}

/// Drops the record of locks that were lost.
pub(super) fn settle(inode: &Inode, node: &Node) -> Result {
    if node.locks().is_empty() {
        return Ok(());
    }
    let session = node.peer().sessions().asking();
    while let Some(owner) = node.locks().next_lost(session) {
        inode.forget_locks(owner)?;
    }
    Ok(())
}
