// SPDX-License-Identifier: GPL-2.0

//! Completions that can be waited for with a deadline, and given up.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use hmdfs_bindings as bindings;
use kernel::{
    prelude::*,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::Opaque, //
};

use crate::signal::was_killed;

/// Something that happens once, and that tasks wait for.
#[pin_data]
pub struct Completion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: A completion may be used and dropped by any task.
unsafe impl Send for Completion {}
// SAFETY: All that can be done with it takes its own lock.
unsafe impl Sync for Completion {}

impl Completion {
    /// One that has not happened.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is memory for a completion, pinned from now on.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// Lets everyone go who waits, now and later.
    pub fn complete_all(&self) {
        // SAFETY: It is initialised.
        unsafe { bindings::complete_all(self.inner.get()) };
    }

    /// EINTR for a task that was killed, if it would have to wait: nothing would wake it.
    fn check_killed(&self) -> Result {
        // SAFETY: It is initialised.
        if was_killed() && !unsafe { bindings::completion_done(self.inner.get()) } {
            return Err(EINTR);
        }
        Ok(())
    }

    /// Waits, whatever the signal.
    pub fn wait(&self) {
        // SAFETY: It is initialised, and `self` lives until the call returns.
        unsafe { bindings::wait_for_completion(self.inner.get()) };
    }

    /// Waits; EINTR when the task is being killed, or was.
    pub fn wait_killable(&self) -> Result {
        self.check_killed()?;
        // SAFETY: It is initialised, and `self` lives until the call returns.
        match unsafe { bindings::wait_for_completion_killable(self.inner.get()) } {
            0 => Ok(()),
            _ => Err(EINTR),
        }
    }

    /// Waits; ERESTARTSYS when there is a signal for the task.
    pub fn wait_interruptible(&self) -> Result {
        // SAFETY: It is initialised, and `self` lives until the call returns.
        match unsafe { bindings::wait_for_completion_interruptible(self.inner.get()) } {
            0 => Ok(()),
            _ => Err(ERESTARTSYS),
        }
    }

    /// Waits for at most `timeout` milliseconds.
    ///
    /// Errors: `ETIMEDOUT`; `EINTR` when the task is being killed, or was.
    pub fn wait_killable_timeout(&self, timeout: Msecs) -> Result {
        self.check_killed()?;
        // SAFETY: It is initialised, and `self` lives until the call returns.
        let left = unsafe {
            bindings::wait_for_completion_killable_timeout(
                self.inner.get(),
                msecs_to_jiffies(timeout),
            )
        };
        match left {
            0 => Err(ETIMEDOUT),
            1.. => Ok(()),
            _ => Err(EINTR),
        }
    }
}

#[cfg(HMDFS_KUNIT)]
#[kernel::prelude::kunit_tests(hmdfs_completion)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_event_or_the_time() -> Result {
        let event = KBox::pin_init(Completion::new(), GFP_KERNEL)?;
        assert_eq!(event.wait_killable_timeout(1), Err(ETIMEDOUT));
        event.complete_all();
        assert_eq!(event.wait_killable_timeout(1), Ok(()));
        Ok(())
    }
}
