// SPDX-License-Identifier: GPL-2.0

//! Waiting for the library in ways that end when the program is killed.
//!
//! The library waits for what it has asked the file system for whatever the signal. So
//! what programs wait for is begun in a way that the library does not wait: direct I/O as if
//! it was asynchronous, and the reading of one folio by a worker. A program that is killed leaves;
//! what was begun goes on, and holds all that it needs.

use core::ptr::NonNull;

use hmdfs_bindings as bindings;
use kernel::{
    error::code::EIOCBQUEUED,
    impl_has_work, new_work,
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Release},
        Arc,
    },
    types::Opaque,
    workqueue::{Work, WorkItem},
};

use crate::{completion::Completion, workqueue::system_dfl};

/// A folio that is being read by a worker.
///
/// # Invariants
///
/// References to the file and the folio are held; the folio is locked until it was read.
#[pin_data(PinnedDrop)]
struct FolioRead {
    file: NonNull<bindings::file>,
    folio: NonNull<bindings::folio>,
    result: Atomic<i32>,
    #[pin]
    done: Completion,
    #[pin]
    work: Work<FolioRead>,
}

// SAFETY: References to files and folios belong to no task.
unsafe impl Send for FolioRead {}
// SAFETY: The pointers do not change.
unsafe impl Sync for FolioRead {}

impl_has_work! {
    impl HasWork<Self> for FolioRead { self.work }
}

impl WorkItem for FolioRead {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        // SAFETY: By the type invariant. This unlocks the folio.
        let result =
            unsafe { bindings::netfs_read_folio(this.file.as_ptr(), this.folio.as_ptr().cast()) };
        this.result.store(result, Release);
        this.done.complete_all();
    }
}

#[pinned_drop]
impl PinnedDrop for FolioRead {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The reference is ours, and given up here.
        unsafe { bindings::folio_put(self.folio.as_ptr().cast()) };
        // SAFETY: As above.
        unsafe { bindings::fput(self.file.as_ptr()) };
    }
}

/// As `netfs_read_folio`, but EINTR when the task is being killed.
///
/// # Safety
///
/// The VFS calls this with a locked folio of a file of the library, and perhaps an open file.
pub(super) unsafe extern "C" fn read_folio(
    file: *mut bindings::file,
    folio: *mut kernel::bindings::folio,
) -> c_int {
    // SAFETY: By the function's contract.
    match unsafe { start_read(file, folio.cast()) } {
        Some(read) => match read.done.wait_killable() {
            Ok(()) => read.result.load(Acquire),
            Err(error) => error.to_errno(),
        },
        // SAFETY: By the function's contract.
        None => unsafe { bindings::netfs_read_folio(file, folio) },
    }
}

/// Has a folio read by a worker; nothing if that cannot be done.
///
/// # Safety
///
/// As for [`read_folio`].
unsafe fn start_read(
    file: *mut bindings::file,
    folio: *mut bindings::folio,
) -> Option<Arc<FolioRead>> {
    let (file, folio) = (NonNull::new(file)?, NonNull::new(folio)?);
    let read = Arc::pin_init(
        pin_init!(FolioRead {
            file: {
                // SAFETY: By the function's contract.
                unsafe { bindings::get_file(file.as_ptr()) };
                file
            },
            folio: {
                // SAFETY: By the function's contract.
                unsafe { bindings::folio_get(folio.as_ptr().cast()) };
                folio
            },
            result: Atomic::new(0),
            done <- Completion::new(),
            work <- new_work!("FolioRead::work"),
        }),
        GFP_KERNEL,
    )
    .ok()?;
    // It is not queued yet.
    let _ = system_dfl().enqueue(read.clone());
    Some(read)
}

/// A direct read or write that is under way.
///
/// # Invariants
///
/// `iocb` comes first, and holds a reference to its file. Whoever completes it has a reference to the
/// value.
#[repr(C)]
#[pin_data(PinnedDrop)]
struct Direct {
    #[pin]
    iocb: Opaque<bindings::kiocb>,
    result: Atomic<isize>,
    #[pin]
    done: Completion,
}

// SAFETY: A request belongs to no task.
unsafe impl Send for Direct {}
// SAFETY: It is used by whoever carries it out, and by the others after `done`.
unsafe impl Sync for Direct {}

impl Direct {
    fn file(&self) -> *mut bindings::file {
        // SAFETY: The field does not change.
        unsafe { (*self.iocb.get()).ki_filp }
    }
}

#[pinned_drop]
impl PinnedDrop for Direct {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The reference is ours, and given up here.
        unsafe { bindings::fput(self.file()) };
    }
}

/// # Safety
///
/// `iocb` must be that of a [`Direct`] whose reference for this is given up.
unsafe extern "C" fn complete(iocb: *mut bindings::kiocb, result: c_long) {
    // SAFETY: By the function's contract; it is the first field.
    let direct = unsafe { Arc::from_raw(iocb.cast_const().cast::<Direct>()) };
    direct.result.store(result, Release);
    direct.done.complete_all();
}

/// How the library reads or writes.
type Transfer = unsafe extern "C" fn(*mut bindings::kiocb, *mut bindings::iov_iter) -> isize;

/// Reads or writes; if a program waits for direct I/O, EINTR when it is being killed. The library holds
/// on to its memory until the I/O has ended.
///
/// # Safety
///
/// As for `transfer`, which must be of the library.
pub(super) unsafe fn transfer(
    request: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
    transfer: Transfer,
) -> isize {
    // SAFETY: By the function's contract.
    if !unsafe { bindings::is_direct_for_user(request, iter) } {
        // SAFETY: By the function's contract.
        return unsafe { transfer(request, iter) };
    }
    // What the library would wait for first.
    // SAFETY: By the function's contract.
    let written = unsafe { bindings::kiocb_write_and_wait(request, iter) };
    if written != 0 {
        return written as isize;
    }
    // SAFETY: By the function's contract.
    unsafe { wait_for(request, iter, transfer, true) }
}

/// Writes what a program writes as with O_DIRECT, and waits for it, whatever kind of request it is. Nothing of
/// the file is in the page cache afterwards. EINTR when the task is being killed.
///
/// # Safety
///
/// `request` must be one to write to a file of the library, whose inode is locked.
pub(super) unsafe fn write_through(
    request: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> isize {
    // Memory of the kernel is not held on to: it must stay until the I/O has ended.
    // SAFETY: By the function's contract.
    let killable = unsafe { bindings::iov_iter_is_of_user(iter) };
    // SAFETY: By the function's contract.
    unsafe {
        wait_for(
            request,
            iter,
            bindings::netfs_write_through_locked,
            killable,
        )
    }
}

/// Has the library carry out a copy of `request`, and waits for that.
///
/// # Safety
///
/// As for `transfer`, which must be of the library.
unsafe fn wait_for(
    request: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
    transfer: Transfer,
    killable: bool,
) -> isize {
    let direct = Arc::pin_init(
        pin_init!(Direct {
            iocb <- Opaque::ffi_init(|slot: *mut bindings::kiocb| {
                // SAFETY: `slot` may be written; the request is valid.
                unsafe { bindings::kiocb_clone(slot, request, Some(complete)) };
            }),
            result: Atomic::new(0),
            done <- Completion::new(),
        }),
        GFP_KERNEL,
    );
    let Ok(direct) = direct else {
        return ENOMEM.to_errno() as isize;
    };
    let iocb = Arc::into_raw(direct.clone())
        .cast_mut()
        .cast::<bindings::kiocb>();
    // SAFETY: The request is valid until it is completed.
    let mut result = unsafe { transfer(iocb, iter) };
    if result == EIOCBQUEUED.to_errno() as isize {
        if !killable {
            direct.done.wait();
        } else if let Err(error) = direct.done.wait_killable() {
            return error.to_errno() as isize;
        }
        result = direct.result.load(Acquire);
    } else {
        // SAFETY: It will not be completed; the reference is given back.
        drop(unsafe { Arc::from_raw(iocb.cast_const().cast::<Direct>()) });
    }
    // SAFETY: Nobody else uses either any more.
    unsafe { (*request).ki_pos = (*direct.iocb.get()).ki_pos };
    result
}
