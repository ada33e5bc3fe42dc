// SPDX-License-Identifier: GPL-2.0

//! Calls that no link has room for, first in, first out.

use super::call::Call;
use core::mem;
use hmdfs_kapi::page_run::PageRun;
use kernel::prelude::*;

/// A call that was not sent.
pub(crate) struct Outgoing {
    /// Whom the reply goes to.
    pub(crate) call: Call,
    /// The body of the request.
    pub(crate) body: KVVec<u8>,
    /// The data after it.
    pub(crate) data: Option<PageRun>,
}

/// A place in the queue.
pub(super) struct Place {
    outgoing: Outgoing,
    next: Option<KBox<Place>>,
}

impl Place {
    /// Memory for a call that is to wait; on failure the call comes back.
    pub(super) fn new(outgoing: Outgoing) -> Result<KBox<Self>, Outgoing> {
        match KBox::<Self>::new_uninit(GFP_KERNEL) {
            Ok(memory) => Ok(KBox::write(
                memory,
                Self {
                    outgoing,
                    next: None,
                },
            )),
            Err(_) => Err(outgoing),
        }
    }

    /// The call that waited.
    pub(super) fn into_outgoing(place: KBox<Self>) -> Outgoing {
        KBox::into_inner(place).outgoing
    }
}

/// The queue: a stack to take from and, the other way round, one to put on.
#[derive(Default)]
pub(super) struct Queue {
    first: Option<KBox<Place>>,
    last: Option<KBox<Place>>,
}

impl Queue {
    /// Appends a call.
    pub(super) fn push(&mut self, place: KBox<Place>) {
        put(&mut self.last, place);
    }

    /// Puts a call back that was popped just now.
    pub(super) fn push_front(&mut self, place: KBox<Place>) {
        put(&mut self.first, place);
    }

    /// Takes the call that has waited for longest.
    pub(super) fn pop(&mut self) -> Option<KBox<Place>> {
        if self.first.is_none() {
            while let Some(place) = take(&mut self.last) {
                put(&mut self.first, place);
            }
        }
        take(&mut self.first)
    }

    /// Takes the call that has waited for longest if `condition` is true for it.
    pub(super) fn pop_if(&mut self, condition: impl FnOnce(&Call) -> bool) -> Option<Outgoing> {
        let place = self.pop()?;
        if condition(&place.outgoing.call) {
            return Some(Place::into_outgoing(place));
        }
        self.push_front(place);
        None
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // One after the other: the stack of a kernel thread is too small for a chain
        // of boxes that drop each other.
        while self.pop().is_some() {}
    }
}

fn put(stack: &mut Option<KBox<Place>>, mut place: KBox<Place>) {
    place.next = stack.take();
    *stack = Some(place);
}

fn take(stack: &mut Option<KBox<Place>>) -> Option<KBox<Place>> {
    let mut place = mem::take(stack)?;
    *stack = place.next.take();
    Some(place)
}
