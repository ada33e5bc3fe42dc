// SPDX-License-Identifier: GPL-2.0

//! Locks on files of other devices.
//!
//! The owner of a file has its locks. What programs here have got is recorded with the inode, too,
//! so that they are kept apart without asking; the record never says more than the owner does: a
//! lock is recorded after it was granted, and no longer before it is given up.
//!
//! Taking a lock and giving it up are points of coherence: what was written before is sent before,
//! and what the owner has then is seen afterwards.
//!
//! A lock belongs to a session with the owner. When that has ended, the lock is lost
//! ([`super::locks`]). The program that had it gets EIO from whatever it does with the file, until it
//! unlocks or closes it; and what was written and not sent is not sent any more, for others may have
//! the lock.

use hmdfs_kapi::{
    errno::ENOTCONN,
    fs::lock::{FileLock, Owner},
    vfs::lock::{Class, Conflict, Kind, Range},
};
use hmdfs_proto::{
    Lock, LockClass, LockKind, LockOwner, LockRange, Locking, Operation, TestLock, Unlock,
};
use kernel::{prelude::*, sync::Arc};

use super::{
    attributes::{self, Locking as InodeLocking},
    compound::{self, Outcomes},
    inode::{of, Node},
    locks,
};
use crate::{
    mount::{Hmdfs, Question},
    node::Inode,
    peer::session::LockWait,
};

/// Takes a lock or gives locks up.
pub(super) fn lock(inode: &Inode, lock: &mut FileLock<'_, Hmdfs>) -> Result {
    let node = of(inode)?;
    locks::settle(inode, node)?;
    match lock.kind() {
        Some(kind) => acquire(inode, node, lock, kind),
        None => release(inode, node, lock),
    }
}

/// How asking for a lock failed.
enum Failure {
    /// The owner has not granted it.
    Refused(Error),
    /// The owner may have granted it: it stays noted that something has to be given up.
    Unknown(Error),
}

fn acquire(inode: &Inode, node: &Node, lock: &mut FileLock<'_, Hmdfs>, kind: Kind) -> Result {
    let owner = lock.owner();
    // What was written before belongs to before.
    inode.write_and_wait()?;
    if !lock.waits() {
        // One who waits does so at the owner, who sees who waits for whom, and who came first.
        lock.check()?;
    }
    let session = node.peer().sessions().asking();
    node.locks().enter(owner, session)?;
    let failure = match ask(inode, node, lock, kind, session) {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let error = match failure {
        Failure::Refused(error) => {
            if inode.count_locks(owner) == 0 {
                node.locks().leave(owner);
            }
            error
        }
        Failure::Unknown(error) => error,
    };
    Err(error)
}

/// Asks the owner for a lock, waits for it if that is wanted, and records it.
fn ask(
    inode: &Inode,
    node: &Node,
    lock: &mut FileLock<'_, Hmdfs>,
    kind: Kind,
    session: u64,
) -> Result<(), Failure> {
    let mount = inode.super_block().data();
    let owner = lock.owner();
    let wait = match lock.waits() {
        true => Some(Wait::begin(node, session).map_err(Failure::Refused)?),
        false => None,
    };
    let operations = [
        Operation::File(node.handle()),
        Operation::Locking(Locking::Lock(Lock {
            by: by(node, owner, session),
            kind: match kind {
                Kind::Read => LockKind::Read,
                Kind::Write => LockKind::Write,
            },
            range: range(lock.range()).map_err(Failure::Refused)?,
            pid: lock.pid().unsigned_abs(),
            waiter: wait.as_ref().map_or(0, |wait| wait.0.id()),
        })),
        Operation::GetAttributes,
    ];
    let question = mount.ask();
    let reply = compound::call(node.peer(), &operations, 0).map_err(|error| {
        if let Some(wait) = &wait {
            // Nobody will wait for it.
            let _ = wait.cancel(node);
        }
        Failure::Unknown(error)
    })?;
    let mut outcomes = Outcomes::new(&reply, &operations).map_err(Failure::Unknown)?;
    let granted = outcomes.done().and_then(|()| outcomes.locked());
    if owner.class == Class::Flock && !matches!(granted, Ok(true)) {
        // To change a lock is to give it up first.
        let _ = inode.forget_locks(owner);
    }
    match (granted.map_err(Failure::Refused)?, wait) {
        (true, _) => {
            let taken = outcomes
                .attributes()
                .and_then(|attributes| take(inode, node, question, &attributes));
            taken.map_err(Failure::Unknown)?;
        }
        (false, Some(wait)) => {
            wait.finish(node)?;
            see(inode, node).map_err(Failure::Unknown)?;
        }
        (false, None) => return Err(Failure::Unknown(EIO)),
    }
    if node.peer().sessions().asking() != session {
        return Err(Failure::Unknown(ENOTCONN.into()));
    }
    lock.record().map_err(Failure::Unknown)
}

/// Takes over what the owner tells of a file that was just locked.
fn take(
    inode: &Inode,
    node: &Node,
    question: Question,
    attributes: &hmdfs_proto::Attributes,
) -> Result {
    attributes::take(inode, node, question, attributes, None, InodeLocking::Wait)
}

/// Asks what the owner has of a file that was just locked.
fn see(inode: &Inode, node: &Node) -> Result {
    let question = inode.super_block().data().ask();
    let operations = [Operation::File(node.handle()), Operation::GetAttributes];
    let reply = compound::call(node.peer(), &operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    take(inode, node, question, &outcomes.attributes()?)
}

/// Waits for a lock; given up when dropped.
struct Wait<'a>(Arc<LockWait>, &'a Node, u64);

impl<'a> Wait<'a> {
    fn begin(node: &'a Node, session: u64) -> Result<Self> {
        Ok(Self(node.peer().sessions().wait(session)?, node, session))
    }

    /// Waits until the lock is granted.
    fn finish(&self, node: &Node) -> Result<(), Failure> {
        let signal = match self.0.wait() {
            Ok(result) => return result.map_err(Failure::Refused),
            Err(signal) => signal,
        };
        // The owner says which was first, the signal or the lock.
        match self.cancel(node) {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Failure::Refused(signal)),
            // It does not know of it any more, because it has told how it ended.
            Ok(Err(error)) => self
                .0
                .result()
                .unwrap_or(Err(error))
                .map_err(Failure::Refused),
            Err(_) => Err(Failure::Unknown(signal)),
        }
    }

    /// Stops waiting at the owner. Whether the lock had been granted; the outer error means that
    /// this is not known.
    fn cancel(&self, node: &Node) -> Result<Result<bool>> {
        let operations = [Operation::Locking(Locking::Cancel {
            session: self.2,
            waiter: self.0.id(),
        })];
        let reply = compound::call(node.peer(), &operations, 0)?;
        let mut outcomes = Outcomes::new(&reply, &operations)?;
        Ok(outcomes.locked())
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.1.peer().sessions().give_up(&self.0);
    }
}

fn release(inode: &Inode, node: &Node, lock: &mut FileLock<'_, Hmdfs>) -> Result {
    let owner = lock.owner();
    let Some(session) = node.locks().session(owner) else {
        return lock.record();
    };
    // Whoever gets the lock next sees what was written. Errors are told by `fsync` and `close`. Who
    // is being killed keeps the lock until the file is closed.
    let written = inode.write_and_wait();
    if lock.is_close() {
        settle_writes(inode);
    } else if written == Err(EINTR) {
        return written;
    }
    let wanted = lock.range();
    lock.record()?;
    if session != node.peer().sessions().asking() {
        node.locks().leave(owner);
        return if lock.is_close() { Ok(()) } else { Err(EIO) };
    }
    let all = inode.count_locks(owner) == 0;
    let wanted = if all { Range::WHOLE } else { wanted };
    unlock(node, owner, session, wanted)?;
    if all {
        node.locks().leave(owner);
    }
    Ok(())
}

/// Gives up what an owner may still have after the VFS has seen to what is recorded.
pub(super) fn closed(inode: &Inode, owner: Owner) {
    let Ok(node) = of(inode) else {
        return;
    };
    if node.locks().is_empty() {
        return;
    }
    let Some(session) = node.locks().session(owner) else {
        return;
    };
    settle_writes(inode);
    // Without memory the VFS does it in a moment.
    let _ = inode.forget_locks(owner);
    if session == node.peer().sessions().asking() {
        // If it cannot be told, the session ends, and with it the locks.
        let _ = unlock(node, owner, session, Range::WHOLE);
    }
    node.locks().leave(owner);
}

/// Waits until what was written under a lock that is about to be given up is with the owner. A
/// program that was killed has not waited for it, but others must not get the lock before.
fn settle_writes(inode: &Inode) {
    if inode.is_being_written() {
        // Errors are told by `fsync` and `close`.
        let _ = inode.write_and_wait_uninterruptible();
    }
}

fn unlock(node: &Node, owner: Owner, session: u64, wanted: Range) -> Result {
    let operations = [
        Operation::File(node.handle()),
        Operation::Locking(Locking::Unlock(Unlock {
            by: by(node, owner, session),
            range: range(wanted)?,
        })),
    ];
    let reply = compound::call(node.peer(), &operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    outcomes.done()
}

/// Answers whether a lock would be granted.
pub(super) fn test(inode: &Inode, lock: &mut FileLock<'_, Hmdfs>) -> Result {
    let node = of(inode)?;
    locks::settle(inode, node)?;
    // First the locks of this device: the owner does not know them as theirs who ask.
    if lock.test() {
        return Ok(());
    }
    let Some(kind) = lock.kind() else {
        // Its own locks were asked for, and there are none.
        lock.answer(None);
        return Ok(());
    };
    let session = node.peer().sessions().asking();
    let operations = [
        Operation::File(node.handle()),
        Operation::Locking(Locking::Test(TestLock {
            by: by(node, lock.owner(), session),
            kind: match kind {
                Kind::Read => LockKind::Read,
                Kind::Write => LockKind::Write,
            },
            range: range(lock.range())?,
        })),
    ];
    let reply = compound::call(node.peer(), &operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    let conflict = outcomes.conflict()?.map(|conflict| Conflict {
        class: match conflict.class {
            LockClass::Posix => Class::Posix,
            LockClass::Ofd => Class::Ofd,
            LockClass::Flock => Class::Flock,
        },
        kind: match conflict.kind {
            LockKind::Read => Kind::Read,
            LockKind::Write => Kind::Write,
        },
        range: Range {
            start: conflict.range.start(),
            end: conflict.range.end(),
        },
        // A process of another device.
        pid: i32::try_from(conflict.pid)
            .unwrap_or(i32::MAX)
            .wrapping_neg(),
    });
    lock.answer(conflict.as_ref());
    Ok(())
}

fn by(node: &Node, owner: Owner, session: u64) -> LockOwner {
    LockOwner {
        session,
        class: match owner.class {
            Class::Posix => LockClass::Posix,
            Class::Ofd => LockClass::Ofd,
            Class::Flock => LockClass::Flock,
        },
        owner: node.peer().sessions().owner(owner.address),
    }
}

fn range(range: Range) -> Result<LockRange> {
    LockRange::new(range.start, range.end).map_err(|_| EINVAL)
}
