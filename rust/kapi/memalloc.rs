// SPDX-License-Identifier: GPL-2.0

//! Scopes that change what memory allocations of the current task may do.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use core::marker::PhantomData;
use hmdfs_bindings as bindings;
use kernel::{
    ffi::c_uint,
    types::NotThreadSafe, //
};

/// While it lives, allocations of this task do not call into file systems.
///
/// Scopes nest; each is to be left in the reverse order of entering.
pub struct NofsScope {
    flags: c_uint,
    _task: PhantomData<NotThreadSafe>,
}

impl NofsScope {
    /// Enters the scope (`memalloc_nofs_save`).
    pub fn enter() -> Self {
        Self {
            // SAFETY: Changes a flag of the current task; nothing is required.
            flags: unsafe { bindings::memalloc_nofs_save() },
            _task: PhantomData,
        }
    }
}

impl Drop for NofsScope {
    fn drop(&mut self) {
        // SAFETY: `flags` is what `memalloc_nofs_save` gave in this very task, for
        // the type cannot be sent to another.
        unsafe { bindings::memalloc_nofs_restore(self.flags) };
    }
}
