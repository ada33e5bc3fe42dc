// SPDX-License-Identifier: GPL-2.0

//! Kernel threads that are always joined.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use core::ptr::NonNull;
use hmdfs_bindings as bindings;
use kernel::{
    error::from_err_ptr,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    str::CStrExt, //
};

/// A kernel thread. Dropping it waits for its end.
///
/// Nothing but its function ends the thread: whoever drops this value must first
/// have seen to it that the function returns. The thread must not drop its own
/// value, and may hold nothing that does.
///
/// # Invariants
///
/// `task` is a kernel thread that this value holds a reference to. `data` is the
/// function in its box as long as the thread has not begun with it, and `forget`
/// is what drops that.
pub struct Kthread {
    task: NonNull<bindings::task_struct>,
    data: *mut c_void,
    forget: unsafe fn(*mut c_void),
}

// SAFETY: A reference to a task may be used and given up by any task, and the
// function is `Send`.
unsafe impl Send for Kthread {}
// SAFETY: All that can be done with a shared reference is to send a signal.
unsafe impl Sync for Kthread {}

impl Kthread {
    /// Starts a thread that runs `function`. Of `name` 15 bytes are shown by tools.
    ///
    /// Errors: `ENOMEM`; `EINTR` when the current task is being killed.
    pub fn spawn<F: FnOnce() + Send + 'static>(name: &CStr, function: F) -> Result<Self> {
        let function = KBox::new(function, GFP_KERNEL)?;
        let data = KBox::into_raw(function);
        // SAFETY: `run` takes a pointer that came from such a box, once; `name` is
        // copied.
        let task = unsafe {
            bindings::kthread_create(Some(run::<F>), data.cast::<c_void>(), name.as_char_ptr())
        };
        let task = match from_err_ptr(task) {
            Ok(task) => task,
            Err(error) => {
                // SAFETY: No thread was made, so that the box is still ours.
                drop(unsafe { KBox::from_raw(data) });
                return Err(error);
            }
        };
        // SAFETY: The thread has not begun, and so cannot have ended.
        unsafe { bindings::get_task_struct(task) };
        // SAFETY: We hold a reference.
        unsafe { bindings::wake_up_process(task) };
        // INVARIANT: The reference was just taken, and the thread has its function.
        Ok(Self {
            task: NonNull::new(task).ok_or(ENOMEM)?,
            data: data.cast(),
            forget: forget::<F>,
        })
    }
}

impl Kthread {
    /// Ends the interruptible waits of the thread, now and later, if it has called
    /// [`allow_interrupt`].
    pub fn interrupt(&self) {
        // SAFETY: By the type invariant this is a task that exists.
        unsafe { bindings::interrupt(self.task.as_ptr()) };
    }
}

/// Lets [`Kthread::interrupt`] work on the calling kernel thread.
pub fn allow_interrupt() {
    // SAFETY: About the calling task; called by functions of threads.
    unsafe { bindings::allow_interrupt() };
}

impl Drop for Kthread {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is a kernel thread that exists.
        let result = unsafe { bindings::kthread_stop(self.task.as_ptr()) };
        // `run` returns zero: this is a thread that never came to its function.
        if result != 0 {
            // SAFETY: By the type invariant the function is still in its box, and
            // now nobody else will take it.
            unsafe { (self.forget)(self.data) };
        }
        // SAFETY: By the type invariant there is a reference to give up.
        unsafe { bindings::put_task_struct(self.task.as_ptr()) };
    }
}

/// Runs the function of a thread.
///
/// # Safety
///
/// `data` must come from `KBox::<F>::into_raw`, and belong to this call.
unsafe extern "C" fn run<F: FnOnce()>(data: *mut c_void) -> c_int {
    // SAFETY: By the safety requirements.
    let function = unsafe { KBox::from_raw(data.cast::<F>()) };
    KBox::into_inner(function)();
    0
}

/// Drops the function of a thread that did not run.
///
/// # Safety
///
/// As for [`run`].
unsafe fn forget<F>(data: *mut c_void) {
    // SAFETY: By the safety requirements.
    drop(unsafe { KBox::from_raw(data.cast::<F>()) });
}

#[cfg(HMDFS_KUNIT)]
#[kernel::prelude::kunit_tests(hmdfs_kthread)]
mod tests {
    use super::*;
    use kernel::sync::Arc;

    #[test]
    fn a_thread_is_joined_and_its_function_dropped() -> Result {
        let shared = Arc::new(0u32, GFP_KERNEL)?;
        // Whether a thread runs before it is joined or is stopped before that, what
        // its function holds is given up.
        for _ in 0..32 {
            let held = shared.clone();
            drop(Kthread::spawn(c"hmdfs-kunit", move || drop(held))?);
        }
        assert!(Arc::into_unique_or_drop(shared).is_some());
        Ok(())
    }
}
