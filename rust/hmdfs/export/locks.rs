// SPDX-License-Identifier: GPL-2.0

//! Locks that clients have, and wait for, on files of this device.
//!
//! A lock is one of the lower file system, taken through an open file that is kept for its owner,
//! so it meets those of all programs. All that a client has belongs to a *session*, which ends when
//! this device has seen it go offline, or the client this device: then it has no locks any more, and
//! requests of the old session have no effect.
//!
//! A lock that is not free is waited for ([`super::lock_wait`]). When it is granted the client is
//! told, again and again until it has answered. The client may stop waiting at the same time; what
//! the answer to that says counts.

use core::mem;

use hmdfs_kapi::{
    errno::{ENOLCK, ESTALE},
    vfs::{
        lock::{Class, Kind, LockFile, Owner, Range},
        Path, RegularFile,
    },
};
use hmdfs_proto::{self as proto, LockClass, LockKind, LockOwner, LockRange};
use kernel::{
    cred::Credential,
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

use super::{
    lock_wait::{Request, Waker},
    Client,
};

/// Most locks of one client.
const MAX_LOCKS: usize = 4096;

/// Most files that are kept open for one client's locks.
const MAX_FILES: usize = 1024;

/// Most locks that one client waits for.
const MAX_WAITERS: usize = 256;

/// Most of them by `flock`: each has a thread.
const MAX_FLOCK_WAITERS: usize = 64;

/// What is held for one client between its requests.
#[pin_data]
pub(crate) struct Held {
    /// Taken before the kernel's locks of a file; no file is opened or closed under it.
    #[pin]
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: u64,
    files: KVec<File>,
    waiters: KVec<Waiter>,
}

/// What an owner has locked of a file.
struct File {
    identity: usize,
    by: (LockClass, u64),
    file: Arc<LockFile>,
    /// Number of locks.
    count: usize,
}

struct Waiter {
    id: u64,
    request: Request,
    /// Whether the client was told how it ended.
    told: bool,
    waker: Arc<dyn Waker>,
}

/// How a lock that was waited for ended.
pub(crate) struct Grant {
    /// The session in which it was wanted.
    pub(crate) session: u64,
    /// The client's number for it.
    pub(crate) waiter: u64,
    /// Whether it was granted.
    pub(crate) status: proto::Status,
    /// Who is told when the client could not be.
    pub(crate) waker: Arc<dyn Waker>,
}

impl Held {
    /// Nothing.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_mutex!(State::default(), "Held::state"),
        })
    }

    /// Gives up what is held in other sessions than `current`, which is called with the state
    /// locked. Sleeps.
    pub(crate) fn expire(&self, current: impl FnOnce() -> u64) {
        let mut state = self.state.lock();
        let gone = state.renew(current());
        drop(state);
        // Closes files, without the lock.
        drop(gone);
    }

    /// What the client has to be told now. Sleeps.
    pub(crate) fn grants(&self) -> KVec<Grant> {
        let mut grants = KVec::new();
        let mut state = self.state.lock();
        let State {
            session,
            files,
            waiters,
        } = &mut *state;
        for waiter in waiters.iter_mut() {
            if let Some(result) = waiter.request.poll() {
                let file = waiter.request.file().clone();
                recount(files, &file);
                waiter.request = Request::Done(file, result);
            }
            let Request::Done(_, result) = &waiter.request else {
                continue;
            };
            if waiter.told {
                continue;
            }
            let status = result.err().map_or(proto::Status::Ok, super::status);
            let grant = Grant {
                session: *session,
                waiter: waiter.id,
                status,
                waker: waiter.waker.clone(),
            };
            // Without memory it is told next time.
            waiter.told = grants.push(grant, GFP_KERNEL).is_ok();
        }
        grants
    }

    /// The client has answered what [`Held::grants`] gave, or could not be told.
    pub(crate) fn answered(&self, id: u64, heard: bool) {
        let mut state = self.state.lock();
        let place = state
            .waiters
            .iter()
            .position(|waiter| waiter.id == id && waiter.told);
        let Some(place) = place else {
            return;
        };
        if !heard {
            if let Some(waiter) = state.waiters.get_mut(place) {
                waiter.told = false;
            }
            return;
        }
        let Ok(waiter) = state.waiters.remove(place) else {
            return;
        };
        let unused = state.tidy_file(waiter.request.file());
        drop(state);
        drop((waiter, unused));
    }

    /// The open file of an owner, if it has one.
    pub(super) fn find(&self, path: &Path, by: &LockOwner) -> Option<Arc<LockFile>> {
        let state = self.state.lock();
        let file = state.file(path.identity(), by)?;
        Some(file.file.clone())
    }

    /// Takes a lock, or false when it will be granted later.
    pub(super) fn lock<C: Client + ?Sized>(
        &self,
        client: &C,
        path: &Path,
        cred: &Credential,
        lock: &proto::Lock,
    ) -> Result<bool> {
        let known = self.find(path, &lock.by);
        let mut opened = match known {
            Some(_) => None,
            None => Some(LockFile::open(path, cred)?),
        };
        let waker = match lock.waiter {
            0 => None,
            _ => Some(client.waker()?),
        };
        let mut state = self.state.lock();
        if lock.by.session != client.session() {
            return Err(ESTALE.into());
        }
        let gone = state.renew(lock.by.session);
        let result = state
            .keep(path, known, &mut opened, &lock.by)
            .and_then(|file| state.lock(file, waker, lock));
        let unused = state.tidy(path.identity(), &lock.by);
        drop(state);
        // Closes files, without the lock.
        drop((gone, unused, opened));
        result
    }

    /// Gives locks up.
    pub(super) fn unlock(&self, path: &Path, unlock: &proto::Unlock) -> Result {
        let mut state = self.state.lock();
        if state.session != unlock.by.session {
            // They are gone already.
            return Ok(());
        }
        let whole = unlock.range == LockRange::WHOLE;
        if !whole && state.count() >= 2 * MAX_LOCKS {
            // What is left may be two locks.
            return Err(ENOLCK.into());
        }
        let result = match state.file(path.identity(), &unlock.by) {
            Some(file) => file.file.unlock(range(&unlock.range)),
            None => Ok(()),
        };
        let unused = state.tidy(path.identity(), &unlock.by);
        drop(state);
        drop(unused);
        result
    }

    /// Stops waiting; whether the lock had been granted before.
    pub(super) fn cancel(&self, session: u64, id: u64) -> Result<bool> {
        let mut state = self.state.lock();
        if state.session != session {
            return Err(ESTALE.into());
        }
        let place = state.waiters.iter().position(|waiter| waiter.id == id);
        let waiter = place
            .and_then(|place| state.waiters.remove(place).ok())
            .ok_or(ENOENT)?;
        let file = waiter.request.file().clone();
        let result = waiter.request.cancel();
        recount(&mut state.files, &file);
        let unused = state.tidy_file(&file);
        drop(state);
        drop((file, unused));
        result
    }
}

impl State {
    fn file(&self, identity: usize, by: &LockOwner) -> Option<&File> {
        self.files
            .iter()
            .find(|file| file.identity == identity && file.by == (by.class, by.owner))
    }

    /// Number of the client's locks.
    fn count(&self) -> usize {
        self.files
            .iter()
            .fold(0, |sum: usize, file| sum.saturating_add(file.count))
    }

    /// Begins another session; what is given back has to be dropped without the lock.
    fn renew(&mut self, session: u64) -> State {
        if self.session == session {
            return State::default();
        }
        mem::replace(
            self,
            State {
                session,
                ..State::default()
            },
        )
    }

    fn lock(
        &mut self,
        file: Arc<LockFile>,
        waker: Option<Arc<dyn Waker>>,
        lock: &proto::Lock,
    ) -> Result<bool> {
        if self.count() >= MAX_LOCKS {
            return Err(ENOLCK.into());
        }
        let Some(waker) = waker else {
            let (kind, range) = (kind(lock.kind), range(&lock.range));
            return file.lock(kind, range, pid(lock)).map(|()| true);
        };
        if self.waiters.len() >= MAX_WAITERS {
            return Err(ENOLCK.into());
        }
        if self.waiters.iter().any(|waiter| waiter.id == lock.waiter) {
            return Err(EINVAL);
        }
        self.waiters.reserve(1, GFP_KERNEL)?;
        let may_have_thread = || {
            let threads = self
                .waiters
                .iter()
                .filter(|other| other.request.has_thread());
            threads.count() < MAX_FLOCK_WAITERS
        };
        let Some(request) = Request::begin(file, lock, waker.clone(), may_have_thread)? else {
            return Ok(true);
        };
        let waiter = Waiter {
            id: lock.waiter,
            request,
            told: false,
            waker,
        };
        self.waiters.push(waiter, GFP_KERNEL)?;
        Ok(false)
    }

    /// The open file of an owner: the one that is kept, `known`, which was a moment ago, or that of
    /// `opened`.
    fn keep(
        &mut self,
        path: &Path,
        known: Option<Arc<LockFile>>,
        opened: &mut Option<RegularFile>,
        by: &LockOwner,
    ) -> Result<Arc<LockFile>> {
        if let Some(file) = self.file(path.identity(), by) {
            return Ok(file.file.clone());
        }
        if self.files.len() >= MAX_FILES {
            return Err(ENOLCK.into());
        }
        self.files.reserve(1, GFP_KERNEL)?;
        // One owner of locks on several files is one, so that the kernel sees who waits for whom.
        let owner = self
            .files
            .iter()
            .find(|file| file.by == (by.class, by.owner))
            .map(|file| file.file.owner().clone());
        let file = match (known, opened.take()) {
            (Some(file), _) => file,
            (None, Some(opened)) => {
                let owner = owner.map_or_else(Owner::new, Ok)?;
                Arc::new(LockFile::new(opened, owner, class(by.class)), GFP_KERNEL)?
            }
            (None, None) => return Err(EINVAL),
        };
        let kept = File {
            identity: path.identity(),
            by: (by.class, by.owner),
            file: file.clone(),
            count: 0,
        };
        self.files.push(kept, GFP_KERNEL)?;
        Ok(file)
    }

    /// Counts the locks of an owner again. If it has none and waits for none, its file is given
    /// back, to be dropped without the lock.
    fn tidy(&mut self, identity: usize, by: &LockOwner) -> Option<File> {
        let file = self.file(identity, by)?.file.clone();
        recount(&mut self.files, &file);
        self.tidy_file(&file)
    }

    fn tidy_file(&mut self, file: &Arc<LockFile>) -> Option<File> {
        let waited = self
            .waiters
            .iter()
            .any(|waiter| Arc::ptr_eq(waiter.request.file(), file));
        let place = self
            .files
            .iter()
            .position(|kept| Arc::ptr_eq(&kept.file, file) && kept.count == 0)?;
        if waited {
            return None;
        }
        self.files.remove(place).ok()
    }
}

/// Counts the locks that `file` is used for.
fn recount(files: &mut KVec<File>, file: &Arc<LockFile>) {
    if let Some(kept) = files.iter_mut().find(|kept| Arc::ptr_eq(&kept.file, file)) {
        kept.count = file.count();
    }
}

fn class(class: LockClass) -> Class {
    match class {
        LockClass::Posix => Class::Posix,
        LockClass::Ofd => Class::Ofd,
        LockClass::Flock => Class::Flock,
    }
}

pub(super) fn kind(kind: LockKind) -> Kind {
    match kind {
        LockKind::Read => Kind::Read,
        LockKind::Write => Kind::Write,
    }
}

/// Of another device, which is how negative numbers are understood.
pub(super) fn pid(lock: &proto::Lock) -> i32 {
    i32::try_from(lock.pid).unwrap_or(i32::MAX).wrapping_neg()
}

pub(super) fn range(range: &LockRange) -> Range {
    Range {
        start: range.start(),
        end: range.end(),
    }
}
