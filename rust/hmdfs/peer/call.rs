// SPDX-License-Identifier: GPL-2.0

//! One call: a request and whom its reply goes to.

use crate::link::request::{
    Completion,
    Reply,
    Request, //
};
use hmdfs_kapi::{
    completion::Completion as Event,
    errno::ENOTCONN, //
};
use hmdfs_proto::MAX_DATA;
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// How long a call may take, in milliseconds.
pub(crate) const DEADLINE: u32 = 10_000;

/// How much later than its deadline a call for data ends at the latest, in milliseconds.
pub(crate) const EXTENSION: u32 = 50_000;

/// How much longer than its deadline a caller waits before it believes that the
/// call was lost, in milliseconds: the time in which what ends overdue calls runs
/// several times.
const GRACE: u32 = 5_000;

/// A task that waits for a reply.
#[pin_data]
pub(crate) struct Waiter {
    #[pin]
    done: Event,
    #[pin]
    result: SpinLock<Option<Result<Reply>>>,
}

impl Waiter {
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                done <- Event::new(),
                result <- new_spinlock!(None, "Waiter::result"),
            }),
            GFP_KERNEL,
        )
    }

    /// Errors: those of the call; `EINTR` when the task is being killed.
    pub(super) fn wait(&self) -> Result<Reply> {
        self.done
            .wait_killable_timeout(DEADLINE + EXTENSION + GRACE)?;
        self.result.lock().take().ok_or(EIO)?
    }

    fn complete(&self, result: Result<Reply>) {
        *self.result.lock() = Some(result);
        self.done.complete_all();
    }
}

/// Whom a reply goes to.
pub(crate) enum Sink {
    /// A task; what it gets of data is put into memory of the reply.
    Waiter(Arc<Waiter>),
    /// Somebody who is told.
    Completion(KBox<dyn Completion>),
}

/// A call that has not ended.
///
/// # Invariants
///
/// `sink` is taken by what ends the call, and by nothing else; so it ends exactly
/// once, at the latest when it is dropped.
pub(crate) struct Call {
    sink: Option<Sink>,
    begun: Instant<Monotonic>,
    data_limit: u32,
}

impl Call {
    /// The call for `request`.
    pub(super) fn new(request: &Request, sink: Sink) -> Self {
        Self {
            sink: Some(sink),
            begun: Instant::now(),
            data_limit: request.data_limit.min(MAX_DATA),
        }
    }

    /// Most bytes of data that were asked for.
    pub(crate) fn data_limit(&self) -> u32 {
        self.data_limit
    }

    /// Milliseconds until the deadline, zero when it has passed.
    pub(crate) fn patience(&self) -> u32 {
        let age = u32::try_from(self.begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        DEADLINE.saturating_sub(age)
    }

    /// Whether the call has to end without a reply.
    ///
    /// A call for data waits longer while others' data are arriving on its link (`flowing`): on
    /// a slow link the deadline is no reason to give up what is on its way.
    pub(crate) fn is_overdue(&self, flowing: bool) -> bool {
        if self.patience() != 0 {
            return false;
        }
        let age = self.begun.elapsed().as_millis();
        !flowing || self.data_limit == 0 || age > i64::from(DEADLINE + EXTENSION)
    }

    /// Whom the data of the reply go to.
    pub(crate) fn sink(&mut self) -> Option<&mut Sink> {
        self.sink.as_mut()
    }

    /// Ends the call.
    pub(crate) fn complete(mut self, result: Result<Reply>) {
        self.end(result);
    }

    fn end(&mut self, result: Result<Reply>) {
        // INVARIANT: Taken here only.
        match self.sink.take() {
            Some(Sink::Waiter(waiter)) => waiter.complete(result),
            Some(Sink::Completion(mut completion)) => completion.complete(result),
            None => {}
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Err(ENOTCONN.into()));
    }
}
