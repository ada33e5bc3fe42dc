// SPDX-License-Identifier: GPL-2.0

//! One call: a request and whom its reply goes to.

use crate::link::request::{
    Completion,
    Effect,
    Reply,
    Request, //
};
use hmdfs_kapi::{
    completion::Completion as Event,
    errno::ENOTCONN,
    page_run::PageRun, //
};
use hmdfs_model::slots::Ticket;
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
const EXTENSION: u32 = 50_000;

/// A call with more bytes of data than this, in either direction, is one of many that move a large
/// file.
const BULK: u32 = 64 << 10;

/// For how long data that are written may wait without the peer doing anything with what it has
/// been sent, in milliseconds.
const STANDSTILL: u32 = DEADLINE + EXTENSION;

/// How long writing may take at the latest, and all else that waits for the peer's disk, in
/// milliseconds.
const STORING: u32 = 300_000;

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

    /// Errors: those of the call, which ends by itself after at most `limit` milliseconds; `EINTR`
    /// when the task is being killed.
    pub(super) fn wait(&self, limit: u32) -> Result<Reply> {
        self.wait_within(limit.saturating_add(GRACE))
    }

    /// As [`Waiter::wait`], but does not wait any longer, though the call goes on: `ETIMEDOUT`.
    pub(super) fn wait_within(&self, limit: u32) -> Result<Reply> {
        self.done.wait_killable_timeout(limit)?;
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
    /// Nobody: it is only of interest that there is one.
    Nobody,
}

/// What moves between the peer and here, as those see it who wait.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    /// Whether data of replies are arriving.
    pub(crate) arriving: bool,
    /// For how many milliseconds the peer has neither taken nor written any data.
    pub(crate) standing: u32,
}

impl Flow {
    /// Nothing moves.
    pub(crate) const NONE: Self = Self {
        arriving: false,
        standing: u32::MAX,
    };

    /// What moves on either of two links.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            arriving: self.arriving || other.arriving,
            standing: self.standing.min(other.standing),
        }
    }
}

/// What is sent, perhaps more than once.
pub(crate) struct Message {
    /// The body of the request.
    pub(crate) body: KVVec<u8>,
    /// The data after it.
    pub(crate) data: Option<PageRun>,
}

/// A call that has not ended.
///
/// # Invariants
///
/// `sink` is taken by what ends the call, and by nothing else; so it ends exactly
/// once, at the latest when it is dropped.
pub(crate) struct Call {
    sink: Option<Sink>,
    message: Arc<Message>,
    begun: Instant<Monotonic>,
    /// When it was sent last; when it was begun, if it was not.
    moved: Instant<Monotonic>,
    data_limit: u32,
    effect: Effect,
    slow: bool,
    /// Of a call that must not be executed twice: its number.
    pub(super) ticket: Option<Ticket>,
    /// Whether it may have been executed.
    pub(super) sent: bool,
}

impl Call {
    /// The call for `request`. Without memory the sink is told.
    pub(super) fn new(request: Request, sink: Sink) -> Option<Self> {
        let Request {
            body,
            data,
            data_limit,
            effect,
            slow,
        } = request;
        let Ok(message) = Arc::new(Message { body, data }, GFP_KERNEL) else {
            sink.end(Err(ENOMEM));
            return None;
        };
        let now = Instant::now();
        // INVARIANT: It has not ended.
        Some(Self {
            sink: Some(sink),
            message,
            begun: now,
            moved: now,
            data_limit: data_limit.min(MAX_DATA),
            effect,
            slow,
            ticket: None,
            sent: false,
        })
    }

    /// The call that asks what became of a number, and executes nothing: `body` is that of a
    /// compound that is only numbered.
    pub(super) fn probe(ticket: Ticket, body: KVVec<u8>) -> Option<Self> {
        let request = Request {
            body,
            data: None,
            data_limit: 0,
            effect: Effect::Once,
            slow: false,
        };
        let mut call = Self::new(request, Sink::Nobody)?;
        call.ticket = Some(ticket);
        call.sent = true;
        Some(call)
    }

    /// What is to be sent.
    pub(crate) fn message(&self) -> &Arc<Message> {
        &self.message
    }

    /// Bytes of data in the request.
    pub(crate) fn data_length(&self) -> u32 {
        let length = self.message.data.as_ref().map_or(0, PageRun::len);
        u32::try_from(length).unwrap_or(u32::MAX)
    }

    /// Whether it moves so much data that others should not have to wait behind it.
    pub(crate) fn is_bulk(&self) -> bool {
        self.data_length().max(self.data_limit) > BULK
    }

    /// What doing it twice would do.
    pub(super) fn effect(&self) -> Effect {
        self.effect
    }

    /// The number under which it is sent.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.ticket
    }

    /// From now on it may have been executed.
    pub(crate) fn set_sent(&mut self) {
        self.sent = true;
        self.moved = Instant::now();
    }

    /// Most bytes of data that were asked for.
    pub(crate) fn data_limit(&self) -> u32 {
        self.data_limit
    }

    /// For how many milliseconds the peer may think that somebody waits for the reply.
    ///
    /// It must not give up before this side does. And what changes something must not be done
    /// after that, when whoever wanted it believes that it failed.
    pub(crate) fn patience(&self) -> u32 {
        // Zero would be for ever.
        self.limit().saturating_sub(elapsed(self.begun)).max(1)
    }

    /// After how many milliseconds it ends at the latest.
    pub(super) fn limit(&self) -> u32 {
        if self.slow || self.data_length() != 0 {
            STORING
        } else if self.data_limit != 0 {
            DEADLINE + EXTENSION
        } else {
            DEADLINE
        }
    }

    /// Whether the call has to end without a reply.
    ///
    /// A call for data waits longer while others' data are arriving on its link: on
    /// a slow link the deadline is no reason to give up what is on its way. One that writes waits
    /// for as long as the peer gets on with that, and longer: a disk may stand still for a
    /// while, and what is given up is lost. What else waits for the disk does so as long as the
    /// peer gives signs of life, without which its link ends.
    pub(crate) fn is_overdue(&self, flow: Flow) -> bool {
        let age = elapsed(self.begun);
        if age >= self.limit() {
            return true;
        }
        if self.data_length() != 0 {
            return elapsed(self.moved).min(flow.standing) >= STANDSTILL;
        }
        !self.slow && age >= DEADLINE && !flow.arriving
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
        if let Some(sink) = self.sink.take() {
            sink.end(result);
        }
    }
}

fn elapsed(since: Instant<Monotonic>) -> u32 {
    u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX)
}

impl Sink {
    fn end(self, result: Result<Reply>) {
        match self {
            Sink::Waiter(waiter) => waiter.complete(result),
            Sink::Completion(mut completion) => completion.complete(result),
            Sink::Nobody => {}
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Err(ENOTCONN.into()));
    }
}
