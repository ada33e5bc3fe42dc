// SPDX-License-Identifier: GPL-2.0

//! Locks that programs ask a file system for.
//!
//! C header: [`include/linux/filelock.h`](srctree/include/linux/filelock.h)
//!
//! A file system that asks others for locks records them with the inode as well: so the VFS knows
//! what to give up when a file is closed, and programs of this device are kept apart without
//! asking.

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::{error::to_result, prelude::*, types::Opaque};

use super::{File, FileSystem, Inode};
use crate::vfs::lock::{Class, Conflict, Kind, Range};

/// Who has locks, as the VFS tells owners apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// How it asks.
    pub class: Class,
    /// An address: of the open file, or for [`Class::Posix`] of the table of open files.
    pub address: usize,
}

impl Owner {
    /// The calling process.
    pub fn current() -> Self {
        Self {
            class: Class::Posix,
            // SAFETY: About the calling task.
            address: unsafe { bindings::current_files() }.addr(),
        }
    }

    /// An open file.
    pub fn file<F: FileSystem>(class: Class, file: &File<F>) -> Self {
        Self {
            class,
            address: file.as_raw().addr(),
        }
    }
}

/// What a program asks for; C: the `struct file_lock` of `file_operations.lock`.
///
/// # Invariants
///
/// File and lock are valid, and the lock is in no list.
pub struct FileLock<'a, F: FileSystem> {
    file: &'a File<F>,
    lock: *mut bindings::file_lock,
    _lock: PhantomData<&'a mut bindings::file_lock>,
}

impl<'a, F: FileSystem> FileLock<'a, F> {
    /// # Safety
    ///
    /// `lock` must be valid for `'a`, in no list, and belong to the calling task.
    pub(crate) unsafe fn from_raw(file: &'a File<F>, lock: *mut bindings::file_lock) -> Self {
        // INVARIANT: By the function's contract.
        Self {
            file,
            lock,
            _lock: PhantomData,
        }
    }

    fn core(&self) -> &bindings::file_lock_core {
        // SAFETY: Valid, by the type invariant.
        unsafe { &(*self.lock).c }
    }

    /// Which kind of lock; `None` to give locks up.
    pub fn kind(&self) -> Option<Kind> {
        Kind::of(self.core().flc_type)
    }

    /// Who asks.
    pub fn owner(&self) -> Owner {
        let class = Class::of(self.core().flc_flags);
        Owner {
            class,
            address: match class {
                Class::Posix => self.core().flc_owner.addr(),
                Class::Ofd | Class::Flock => self.file.as_raw().addr(),
            },
        }
    }

    /// The process.
    pub fn pid(&self) -> i32 {
        self.core().flc_pid
    }

    /// Which bytes.
    pub fn range(&self) -> Range {
        if Class::of(self.core().flc_flags) == Class::Flock {
            return Range::WHOLE;
        }
        // SAFETY: Valid, by the type invariant.
        let (start, end) = unsafe { ((*self.lock).fl_start, (*self.lock).fl_end) };
        // The VFS has checked that they are not negative.
        Range {
            start: u64::try_from(start).unwrap_or(0),
            end: u64::try_from(end).unwrap_or(0),
        }
    }

    /// Whether the program waits for the lock.
    pub fn waits(&self) -> bool {
        self.core().flc_flags & bindings::FL_SLEEP != 0
    }

    /// Whether the file is being closed: nobody sees the result.
    pub fn is_close(&self) -> bool {
        self.core().flc_flags & bindings::FL_CLOSE != 0
    }

    /// [`EAGAIN`] when a lock that is recorded here is in the way.
    pub fn check(&mut self) -> Result {
        self.apply(bindings::FL_ACCESS)
    }

    /// Records what the program asks for, without waiting. Of locks that are taken, this can fail:
    /// [`EAGAIN`], `ENOLCK`, [`ENOMEM`].
    pub fn record(&mut self) -> Result {
        self.apply(0)
    }

    fn apply(&mut self, flag: u32) -> Result {
        // SAFETY: Valid and ours, by the type invariant; without `FL_SLEEP` nothing is waited for,
        // and the lock is in no list afterwards.
        to_result(unsafe {
            let flags = (*self.lock).c.flc_flags;
            (*self.lock).c.flc_flags = (flags & !bindings::FL_SLEEP) | flag;
            let result = bindings::locks_lock_inode_wait(self.file.inode().as_raw(), self.lock);
            (*self.lock).c.flc_flags = flags;
            result
        })
    }

    /// Looks for a lock that is recorded here and in the way; if there is one, that is the answer
    /// for the program.
    pub fn test(&mut self) -> bool {
        // SAFETY: Valid and ours, by the type invariant.
        unsafe {
            let number = (*self.lock).c.flc_type;
            bindings::posix_test_lock(self.file.as_raw(), self.lock);
            if Kind::of((*self.lock).c.flc_type).is_some() {
                return true;
            }
            (*self.lock).c.flc_type = number;
        }
        false
    }

    /// Tells the program what is in its way, of another device.
    pub fn answer(&mut self, conflict: Option<&Conflict>) {
        // SAFETY: Valid and ours, by the type invariant.
        let lock = unsafe { &mut *self.lock };
        let Some(conflict) = conflict else {
            // CAST: A small number.
            lock.c.flc_type = bindings::F_UNLCK as u8;
            return;
        };
        lock.c.flc_type = conflict.kind.number();
        lock.c.flc_flags = conflict.class.flags();
        lock.c.flc_pid = conflict.pid;
        lock.fl_start = i64::try_from(conflict.range.start).unwrap_or(i64::MAX);
        lock.fl_end = i64::try_from(conflict.range.end).unwrap_or(i64::MAX);
    }
}

/// Functions for locks that are recorded.
impl<F: FileSystem> Inode<F> {
    /// How many locks of an owner are recorded.
    pub fn count_locks(&self, owner: Owner) -> usize {
        let flock = owner.class == Class::Flock;
        // SAFETY: The inode is valid; the owner is compared only.
        let count = unsafe {
            bindings::locks_count(
                self.as_raw(),
                flock,
                core::ptr::without_provenance(owner.address),
            )
        };
        // CAST: `usize` has at least 32 bits here.
        count as usize
    }

    /// Drops the record of all locks of an owner, which it has lost.
    pub fn forget_locks(&self, owner: Owner) -> Result {
        let lock = KBox::pin_init(
            Opaque::ffi_init(|slot: *mut bindings::file_lock| {
                // SAFETY: `slot` is memory for a lock.
                unsafe { bindings::locks_init_lock(slot) }
            }),
            GFP_KERNEL,
        )?;
        let lock = lock.get();
        // SAFETY: The lock is initialised and ours. Owners and files are compared only, when locks
        // are removed.
        to_result(unsafe {
            let core = &mut (*lock).c;
            core.flc_flags = owner.class.flags();
            // CAST: A small number.
            core.flc_type = bindings::F_UNLCK as u8;
            core.flc_owner = core::ptr::without_provenance_mut(owner.address);
            core.flc_file = core::ptr::without_provenance_mut(owner.address);
            (*lock).fl_end = i64::MAX;
            bindings::locks_lock_inode_wait(self.as_raw(), lock)
        })
    }
}
