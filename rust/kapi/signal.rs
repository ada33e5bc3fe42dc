// SPDX-License-Identifier: GPL-2.0

//! Signals of the current task.
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use core::marker::PhantomData;
use hmdfs_bindings as bindings;
use kernel::types::NotThreadSafe;

/// While it lives, no signal, not even SIGKILL, interrupts this task's waits.
///
/// For sections that are short, or that something else is sure to end: half a
/// message on a stream cannot be taken back.
pub struct BlockedSignals {
    old: bindings::sigset_t,
    _task: PhantomData<NotThreadSafe>,
}

impl BlockedSignals {
    /// Blocks all signals.
    pub fn new() -> Self {
        let mut old = bindings::sigset_t::default();
        // SAFETY: `old` can be written to.
        unsafe { bindings::sigprocmask_block_all(&raw mut old) };
        Self {
            old,
            _task: PhantomData,
        }
    }
}

impl Default for BlockedSignals {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: `old` was this task's mask, for the type cannot be sent to another.
        unsafe { bindings::sigprocmask_restore(&raw mut self.old) };
    }
}

/// Whether the calling task is being killed; C: `fatal_signal_pending`.
pub fn fatal_signal_pending() -> bool {
    // SAFETY: About the calling task.
    unsafe { bindings::current_fatal_signal_pending() }
}

/// Whether a signal has ended the calling task, which gives up what it has. Nothing interrupts its
/// waits any more: it should not begin any that could take long.
pub fn was_killed() -> bool {
    // SAFETY: About the calling task.
    unsafe { bindings::current_was_killed() }
}
