// SPDX-License-Identifier: GPL-2.0

//! Waiting for locks.
//!
//! C header: [`include/linux/filelock.h`](srctree/include/linux/filelock.h)

use core::ptr;

use hmdfs_bindings as bindings;
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Release},
        Arc,
    },
    types::Opaque,
};

use super::{new_lock, Kind, LockFile, Range};
use crate::{
    errno::ENOLCK,
    kthread::{self, Kthread},
};

/// Told that it may be worthwhile to try again.
pub trait Unblocked: Send + Sync + 'static {
    /// Called with spin locks of the kernel held: must not sleep.
    fn unblocked(&self);
}

/// A request for a lock by `fcntl`, for which no task waits.
///
/// # Invariants
///
/// The lock is initialised. It is in the kernel's lists only between a [`LockRequest::try_lock`]
/// that gave false and the next one, or the drop.
#[pin_data(PinnedDrop)]
pub struct LockRequest<N: Unblocked> {
    #[pin]
    lock: Opaque<bindings::file_lock>,
    file: Arc<LockFile>,
    kind: Kind,
    range: Range,
    pid: i32,
    note: N,
}

// SAFETY: A request may be used and dropped by any task.
unsafe impl<N: Unblocked> Send for LockRequest<N> {}
// SAFETY: A shared reference gives access to `note` only, which is `Sync`.
unsafe impl<N: Unblocked> Sync for LockRequest<N> {}

impl<N: Unblocked> LockRequest<N> {
    const OPERATIONS: &'static bindings::lock_manager_operations =
        &bindings::lock_manager_operations {
            lm_notify: Some(Self::notify),
            ..pin_init::zeroed()
        };

    /// A request that was not made yet. `note` is told when it is worthwhile to repeat it.
    pub fn new(
        file: Arc<LockFile>,
        kind: Kind,
        range: Range,
        pid: i32,
        note: N,
    ) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                lock <- new_lock(),
                file,
                kind,
                range,
                pid,
                note,
            }),
            GFP_KERNEL,
        )
    }

    /// The file.
    pub fn file(&self) -> &Arc<LockFile> {
        &self.file
    }

    /// Who is told.
    pub fn note(&self) -> &N {
        &self.note
    }

    /// Takes the lock, or gives false: then the request stays with the kernel, and the note will
    /// be told.
    ///
    /// # Errors
    ///
    /// - `EDEADLK`: it would never be granted.
    /// - `ENOLCK`: no memory, or the file system cannot be waited for without a task.
    pub fn try_lock(self: Pin<&mut Self>) -> Result<bool> {
        let lock = self.lock.get();
        // After the note was told, the kernel may still be about to let the lock go.
        // SAFETY: It is initialised.
        unsafe { bindings::locks_delete_block(lock) };
        // SAFETY: It is in no list now, and ours: we have a mutable reference.
        unsafe {
            self.file
                .fill(lock, self.kind.number(), self.range, self.pid);
            (*lock).c.flc_flags |= bindings::FL_SLEEP;
            (*lock).fl_lmops = Self::OPERATIONS;
        }
        let file = self.file.file.as_raw();
        // INVARIANT: If it is in a list now, the result says so.
        // SAFETY: Both are valid, and the request is pinned until it is dropped.
        let result =
            unsafe { bindings::vfs_lock_file(file, bindings::F_SETLK, lock, ptr::null_mut()) };
        match result {
            0 => Ok(true),
            // CAST: One.
            DEFERRED => Ok(false),
            error => match Error::from_errno(error) {
                // A file system that does its own locking, and wants a task to wait.
                error if error == EAGAIN => Err(ENOLCK.into()),
                error => Err(error),
            },
        }
    }

    /// # Safety
    ///
    /// Called by the kernel with the lock of a request, which is in no list any more. That cannot
    /// be dropped before this returns, for `locks_delete_block` waits.
    unsafe extern "C" fn notify(lock: *mut bindings::file_lock) {
        let lock = lock.cast::<Opaque<bindings::file_lock>>();
        // SAFETY: By the function's contract.
        let this = unsafe { &*kernel::container_of!(lock, Self, lock) };
        this.note.unblocked();
    }
}

/// C: `FILE_LOCK_DEFERRED`.
const DEFERRED: c_int = 1;

#[pinned_drop]
impl<N: Unblocked> PinnedDrop for LockRequest<N> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: It is initialised. After this, the kernel does not know it any more.
        unsafe { bindings::locks_delete_block(self.lock.get()) };
        // SAFETY: It is in no list.
        unsafe { bindings::locks_release_private(self.lock.get()) };
    }
}

/// A request for a lock by `flock`. The kernel has no way to wait for one without a task, so there
/// is a thread.
pub struct FlockWait {
    state: Arc<FlockState>,
    thread: Option<Kthread>,
}

struct FlockState {
    file: Arc<LockFile>,
    /// [`WAITING`], or how it ended: zero, or a negative error number.
    result: Atomic<i32>,
    /// Whether nobody wants the lock any more; 0 or 1.
    cancelled: Atomic<i32>,
}

const WAITING: i32 = 1;

impl FlockWait {
    /// Begins to wait. `note` is told when there is a result.
    ///
    /// `ENOLCK`: the file system does its own locking.
    pub fn start<N: Unblocked>(file: Arc<LockFile>, kind: Kind, pid: i32, note: N) -> Result<Self> {
        // SAFETY: The file is open, and has operations.
        if unsafe { (*(*file.file.as_raw()).f_op).flock }.is_some() {
            return Err(ENOLCK.into());
        }
        let state = Arc::new(
            FlockState {
                file,
                result: Atomic::new(WAITING),
                cancelled: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        let shared = state.clone();
        let thread = Kthread::spawn(c"hmdfs-flock", move || {
            kthread::allow_interrupt();
            let result = match shared.cancelled.load(Acquire) {
                0 => shared.wait(kind, pid),
                _ => Err(EINTR),
            };
            let number = result.err().map_or(0, Error::to_errno);
            shared.result.store(number, Release);
            note.unblocked();
        })?;
        Ok(Self {
            state,
            thread: Some(thread),
        })
    }

    /// The file.
    pub fn file(&self) -> &Arc<LockFile> {
        &self.state.file
    }

    /// How it ended, if it has.
    pub fn result(&self) -> Option<Result> {
        match self.state.result.load(Acquire) {
            WAITING => None,
            0 => Some(Ok(())),
            error => Some(Err(Error::from_errno(error))),
        }
    }

    /// Stops waiting, and says whether the lock had been granted before. Sleeps for a moment.
    pub fn cancel(mut self) -> bool {
        self.stop();
        matches!(self.result(), Some(Ok(())))
    }

    fn stop(&mut self) {
        self.state.cancelled.store(1, Release);
        if let Some(thread) = self.thread.take() {
            thread.interrupt();
            // Joins it.
            drop(thread);
        }
    }
}

impl Drop for FlockWait {
    fn drop(&mut self) {
        self.stop();
    }
}

impl FlockState {
    fn wait(&self, kind: Kind, pid: i32) -> Result {
        let lock = KBox::pin_init(new_lock(), GFP_KERNEL)?;
        let lock = lock.get();
        // SAFETY: The lock is initialised, in no list, and ours.
        unsafe {
            self.file.fill(lock, kind.number(), Range::WHOLE, pid);
            (*lock).c.flc_flags |= bindings::FL_SLEEP;
        }
        // SAFETY: When this returns, the lock is in no list; the file holds the inode.
        let result = to_result(unsafe {
            bindings::locks_lock_inode_wait(bindings::file_inode(self.file.file.as_raw()), lock)
        });
        // SAFETY: It is in no list.
        unsafe { bindings::locks_release_private(lock) };
        result
    }
}
