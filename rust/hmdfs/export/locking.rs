// SPDX-License-Identifier: GPL-2.0

//! The operations that have to do with locks.

use hmdfs_kapi::{
    errno::ENOLCK,
    vfs::{
        lock::{Class, Conflict, Kind, LockFile},
        Mask, Path, RegularFile,
    },
};
use hmdfs_proto::{self as proto, LockClass, LockKind, LockRange, Locking, Outcome};
use kernel::prelude::*;

use super::{
    access,
    compound::Execution,
    locks::{kind, range},
    Client,
};

/// What a client is told of a lock that is in its way.
fn told(conflict: &Conflict) -> Result<proto::Conflict> {
    Ok(proto::Conflict {
        class: match conflict.class {
            Class::Posix => LockClass::Posix,
            Class::Ofd => LockClass::Ofd,
            Class::Flock => LockClass::Flock,
        },
        kind: match conflict.kind {
            Kind::Read => LockKind::Read,
            Kind::Write => LockKind::Write,
        },
        range: LockRange::new(conflict.range.start, conflict.range.end).map_err(|_| EINVAL)?,
        pid: conflict.pid.unsigned_abs(),
    })
}

impl<C: Client + ?Sized> Execution<'_, C> {
    /// Executes an operation on locks.
    pub(super) fn locking(&mut self, locking: &Locking) -> Result<Outcome<'static>> {
        let (client, export) = (self.client, self.export);
        let held = client.held().ok_or(ENOLCK)?;
        match locking {
            Locking::Lock(lock) => {
                let path = self.lockable(lock.kind, lock.by.class)?;
                let granted = held.lock(client, &path, &export.server, lock)?;
                Ok(Outcome::Locked(granted))
            }
            Locking::Unlock(unlock) => {
                // No permission is needed to give something up.
                held.unlock(&self.current()?.path, unlock)?;
                Ok(Outcome::Done)
            }
            Locking::Test(test) => {
                let path = self.lockable(LockKind::Read, test.by.class)?;
                if test.by.class == LockClass::Flock {
                    return Err(EINVAL);
                }
                let own = held.find(&path, &test.by);
                let file = RegularFile::open(&path, &export.server)?;
                let owner = own.as_ref().map(|file| file.owner());
                let found = LockFile::test(&file, owner, kind(test.kind), range(&test.range))?;
                Ok(Outcome::Conflict(found.as_ref().map(told).transpose()?))
            }
            Locking::Cancel { session, waiter } => {
                Ok(Outcome::Locked(held.cancel(*session, *waiter)?))
            }
            Locking::Granted {
                session,
                waiter,
                status,
            } => {
                client.granted(*session, *waiter, *status);
                Ok(Outcome::Done)
            }
        }
    }

    /// The current file, when the client may lock it like this.
    fn lockable(&mut self, kind: LockKind, class: LockClass) -> Result<Path> {
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        current.check_regular()?;
        let path = current.path.clone();
        let read = access::check_use(export, client, &path, Mask::Read);
        // As on the device itself: `flock` is for everybody who has the file open.
        if read.is_ok() && (kind == LockKind::Read || class == LockClass::Flock) {
            return Ok(path);
        }
        access::check_use(export, client, &path, Mask::Write)?;
        Ok(path)
    }
}
