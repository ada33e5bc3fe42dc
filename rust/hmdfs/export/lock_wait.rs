// SPDX-License-Identifier: GPL-2.0

//! A lock that a client waits for.
//!
//! No task waits for a lock that is not free, but for `flock`, which the kernel gives no other way to
//! wait for: that has a thread. When the lock may be free the client's [`Waker`] is told, in whatever
//! context that is, and sees to it that somebody looks ([`Request::poll`]).

use hmdfs_kapi::{
    errno::ENOLCK,
    vfs::lock::{FlockWait, LockFile, LockRequest, Unblocked},
};
use hmdfs_proto::{self as proto, LockClass};
use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Full, Release},
        Arc,
    },
};

use super::locks::{kind, pid, range};

/// Sees to it that [`Held::grants`](super::Held::grants) is called soon.
pub(crate) trait Waker: Send + Sync {
    /// At once. Must not sleep.
    fn wake(&self);

    /// After a while. Must not sleep.
    fn wake_later(&self);
}

/// A lock that is waited for, or was.
pub(super) enum Request {
    /// It is waited for without a task.
    Record(Pin<KBox<LockRequest<Note>>>),
    /// A thread waits for it.
    Flock(FlockWait),
    /// How it ended.
    Done(Arc<LockFile>, Result),
}

/// Who is told when a lock may have become free.
pub(super) struct Note {
    /// 0 or 1.
    unblocked: Atomic<i32>,
    waker: Arc<dyn Waker>,
}

impl Unblocked for Note {
    fn unblocked(&self) {
        self.unblocked.store(1, Release);
        self.waker.wake();
    }
}

impl Request {
    /// Takes a lock, or begins to wait for it; nothing if it was taken at once. ENOLCK if it would
    /// have to be waited for by a thread, and there may be no more of these.
    pub(super) fn begin(
        file: Arc<LockFile>,
        lock: &proto::Lock,
        waker: Arc<dyn Waker>,
        may_have_thread: impl FnOnce() -> bool,
    ) -> Result<Option<Self>> {
        let (kind, range, pid) = (kind(lock.kind), range(&lock.range), pid(lock));
        let note = Note {
            unblocked: Atomic::new(0),
            waker,
        };
        match lock.by.class {
            LockClass::Posix | LockClass::Ofd => {
                let mut request = LockRequest::new(file, kind, range, pid, note)?;
                if request.as_mut().try_lock()? {
                    return Ok(None);
                }
                Ok(Some(Request::Record(request)))
            }
            LockClass::Flock => {
                match file.lock(kind, range, pid) {
                    Err(error) if error == EAGAIN => {}
                    result => return result.map(|()| None),
                }
                if !may_have_thread() {
                    return Err(ENOLCK.into());
                }
                Ok(Some(Request::Flock(FlockWait::start(
                    file, kind, pid, note,
                )?)))
            }
        }
    }

    /// Whether a thread waits for it.
    pub(super) fn has_thread(&self) -> bool {
        matches!(self, Request::Flock(_))
    }

    /// Stops waiting for it. Whether it had been granted.
    pub(super) fn cancel(self) -> Result<bool> {
        match self {
            Request::Record(request) => {
                // From here on the kernel does not grant it.
                drop(request);
                Ok(false)
            }
            Request::Flock(wait) => Ok(wait.cancel()),
            Request::Done(_, result) => result.map(|()| true),
        }
    }

    /// What is to be locked.
    pub(super) fn file(&self) -> &Arc<LockFile> {
        match self {
            Request::Record(request) => request.file(),
            Request::Flock(wait) => wait.file(),
            Request::Done(file, _) => file,
        }
    }

    /// How it ended, if it has.
    pub(super) fn poll(&mut self) -> Option<Result> {
        match self {
            Request::Record(request) => {
                if request.note().unblocked.xchg(0, Full) == 0 {
                    return None;
                }
                match request.as_mut().try_lock() {
                    Ok(false) => None,
                    Ok(true) => Some(Ok(())),
                    Err(error) => Some(Err(error)),
                }
            }
            Request::Flock(wait) => wait.result(),
            Request::Done(..) => None,
        }
    }
}
