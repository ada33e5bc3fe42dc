// SPDX-License-Identifier: GPL-2.0

//! The processor, and who has it.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use hmdfs_bindings as bindings;

/// Lets others have the processor if they wait for it.
///
/// For kernel threads that compute for long: a kernel that preempts lazily lets them go on until
/// the next tick, and `cond_resched` does nothing there. May sleep, so no spin lock may be held.
pub fn give_way() {
    // SAFETY: The caller may sleep.
    unsafe { bindings::give_way() };
}

/// Whether the current task is a thread of the kernel, and so does nothing for a program that waits.
pub fn is_kthread() -> bool {
    // SAFETY: Looks at the current task only.
    unsafe { bindings::current_is_kthread() }
}
