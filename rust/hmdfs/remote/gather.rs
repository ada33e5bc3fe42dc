// SPDX-License-Identifier: GPL-2.0

//! Asking several devices at once.

use hmdfs_kapi::completion::Completion as Done;
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{Atomic, Full},
        Arc, SpinLock,
    },
};

use crate::{
    link::{Completion, Destination, Reply, Request},
    peer::Peer,
};

/// The answers of several devices, as they arrive.
#[pin_data]
struct Gather {
    #[pin]
    answers: SpinLock<KVec<Option<Result<Reply>>>>,
    missing: Atomic<usize>,
    #[pin]
    done: Done,
}

/// One call among several.
struct Call {
    gather: Arc<Gather>,
    index: usize,
}

impl Completion for Call {
    fn destination(&mut self, _length: u32) -> Result<Destination<'_>> {
        // None of these requests asks for data.
        Err(EINVAL)
    }

    fn complete(&mut self, result: Result<Reply>) {
        if let Some(answer) = self.gather.answers.lock().get_mut(self.index) {
            *answer = Some(result);
        }
        if self.gather.missing.fetch_sub(1, Full) == 1 {
            self.gather.done.complete_all();
        }
    }
}

/// Sends each request to its peer, and waits until all have answered or failed; the slowest is
/// waited for until its deadline. The results are in the order of the requests.
///
/// Errors: EINTR when the task is being killed, ENOMEM; a peer's failure is its own result.
pub(crate) fn call_all(requests: KVec<(Arc<Peer>, Request)>) -> Result<KVec<Result<Reply>>> {
    let count = requests.len();
    if count == 0 {
        return Ok(KVec::new());
    }
    let mut answers = KVec::with_capacity(count, GFP_KERNEL)?;
    let mut calls = KVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        answers.push(None, GFP_KERNEL)?;
    }
    let gather = Arc::pin_init(
        pin_init!(Gather {
            answers <- new_spinlock!(answers, "hmdfs::remote::Gather"),
            missing: Atomic::new(count),
            done <- Done::new(),
        }),
        GFP_KERNEL,
    )?;
    // All memory is there before the first call goes out.
    for index in 0..count {
        let gather = gather.clone();
        calls.push(KBox::new(Call { gather, index }, GFP_KERNEL)?, GFP_KERNEL)?;
    }
    for ((peer, request), call) in requests.into_iter().zip(calls) {
        peer.call(request, call);
    }
    gather.done.wait_killable()?;
    let answers = core::mem::take(&mut *gather.answers.lock());
    let mut results = KVec::with_capacity(count, GFP_KERNEL)?;
    for answer in answers {
        results.push(answer.unwrap_or(Err(EIO)), GFP_KERNEL)?;
    }
    Ok(results)
}
