// SPDX-License-Identifier: GPL-2.0

//! Workqueues of one's own, which end before the module does.
//!
//! What is queued is described by [`kernel::workqueue`].
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::{
    ops::Deref,
    ptr::NonNull, //
};
use hmdfs_bindings as bindings;
use kernel::{
    container_of,
    prelude::*,
    str::CStrExt,
    sync::Arc,
    workqueue::{
        HasDelayedWork,
        Queue,
        WorkItem, //
    }, //
};

/// The kernel's own workqueue that runs its items on any CPU; C: `system_dfl_wq`.
///
/// What is queued must keep the module from being unloaded until it has run.
pub fn system_dfl() -> &'static Queue {
    // SAFETY: It is there always.
    unsafe { Queue::from_raw(kernel::bindings::system_dfl_wq) }
}

/// A workqueue that runs its items on any CPU, many at a time.
///
/// Dropping it waits for all of its items, so that must not be done by one of
/// them, and delayed items must have been cancelled with [`cancel_delayed_work`].
///
/// # Invariants
///
/// The pointer is to a workqueue that belongs to this value.
pub struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be used and destroyed by any task.
unsafe impl Send for OwnedQueue {}
// SAFETY: What a shared reference allows takes the workqueue's own locks.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// A queue called `name`.
    pub fn new(name: &CStr) -> Result<Self> {
        Self::with_flags(name, bindings::wq_flags_WQ_UNBOUND)
    }

    /// A queue that goes on when there is no memory to make more workers: for what
    /// writing back dirty memory waits for.
    pub fn for_reclaim(name: &CStr) -> Result<Self> {
        Self::with_flags(
            name,
            bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_MEM_RECLAIM,
        )
    }

    fn with_flags(name: &CStr, flags: bindings::wq_flags) -> Result<Self> {
        // SAFETY: `name` is a string, and copied.
        let queue = unsafe { bindings::alloc_workqueue(name.as_char_ptr(), flags) };
        // INVARIANT: It was made for this value.
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }

    /// Waits for the items that are in the queue now.
    pub fn flush(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::flush_workqueue(self.0.as_ptr()) };
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariant it is valid as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is ours.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// Cancels a delayed item and waits for it to end if it runs already
/// (`cancel_delayed_work_sync`). It may be queued again afterwards.
pub fn cancel_delayed_work<T, const ID: u64>(item: &Arc<T>)
where
    T: HasDelayedWork<T, ID> + WorkItem<ID, Pointer = Arc<T>>,
{
    let pointer = Arc::as_ptr(item);
    // SAFETY: `pointer` is to a valid value; only the address of a field is taken.
    let work = unsafe { T::raw_get_work(pointer.cast_mut()) };
    // SAFETY: The work is that field, and valid.
    let work = unsafe { kernel::workqueue::Work::raw_get(work) };
    // SAFETY: `HasDelayedWork` promises that the work lies in a `delayed_work`.
    let delayed = unsafe { container_of!(work, bindings::delayed_work, work) };
    // SAFETY: It was initialised when `item` was made.
    if unsafe { bindings::cancel_delayed_work_sync(delayed) } {
        // SAFETY: It was in the queue, which had got a reference with
        // `Arc::into_raw`, and will not run: that reference is ours.
        drop(unsafe { Arc::from_raw(pointer) });
    }
}

#[cfg(HMDFS_KUNIT)]
#[kernel::prelude::kunit_tests(hmdfs_workqueue)]
mod tests {
    use super::*;
    use kernel::{
        impl_has_delayed_work,
        new_delayed_work,
        sync::atomic::{
            Atomic,
            Relaxed, //
        },
        workqueue::DelayedWork, //
    };

    #[pin_data]
    struct Item {
        runs: Atomic<u32>,
        #[pin]
        work: DelayedWork<Item>,
    }

    impl_has_delayed_work! {
        impl HasDelayedWork<Self> for Item { self.work }
    }

    impl WorkItem for Item {
        type Pointer = Arc<Item>;

        fn run(this: Arc<Item>) {
            this.runs.add(1, Relaxed);
        }
    }

    fn item() -> Result<Arc<Item>> {
        Arc::pin_init(
            pin_init!(Item {
                runs: Atomic::new(0),
                work <- new_delayed_work!("Item::work"),
            }),
            GFP_KERNEL,
        )
    }

    #[test]
    fn a_cancelled_item_does_not_run_and_is_dropped() -> Result {
        let queue = OwnedQueue::new(c"hmdfs-kunit")?;
        let item = item()?;
        assert!(queue.enqueue_delayed(item.clone(), 1_000_000).is_ok());
        cancel_delayed_work(&item);
        cancel_delayed_work(&item);
        assert_eq!(item.runs.load(Relaxed), 0);
        assert!(Arc::into_unique_or_drop(item).is_some());
        Ok(())
    }

    #[test]
    fn dropping_a_queue_waits_for_its_items() -> Result {
        let queue = OwnedQueue::for_reclaim(c"hmdfs-kunit")?;
        let item = item()?;
        assert!(queue.enqueue(item.clone()).is_ok());
        drop(queue);
        assert_eq!(item.runs.load(Relaxed), 1);
        Ok(())
    }
}
