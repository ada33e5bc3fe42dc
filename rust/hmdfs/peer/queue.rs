// SPDX-License-Identifier: GPL-2.0

//! Calls that no link has room for, first in, first out, but for the large ones, which let all
//! others go first.

use super::call::Call;
use core::mem;
use kernel::prelude::*;

/// A place in the queue.
pub(super) struct Place {
    /// There is one, unless it was taken out to be sent.
    call: Option<Call>,
    next: Option<KBox<Place>>,
}

impl Place {
    /// Memory for a call that is to wait; on failure the call comes back.
    pub(super) fn new(call: Call) -> Result<KBox<Self>, Call> {
        match KBox::<Self>::new_uninit(GFP_KERNEL) {
            Ok(memory) => Ok(KBox::write(
                memory,
                Self {
                    call: Some(call),
                    next: None,
                },
            )),
            Err(_) => Err(call),
        }
    }

    /// The call that waited.
    pub(super) fn take(&mut self) -> Option<Call> {
        self.call.take()
    }

    /// The call has to wait on.
    pub(super) fn put_back(&mut self, call: Call) {
        self.call = Some(call);
    }
}

/// Which of the two queues.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// For what is answered soon.
    Urgent,
    /// For what moves much data.
    Bulk,
}

impl Lane {
    /// In the order in which they are emptied.
    pub(super) const ALL: [Self; 2] = [Lane::Urgent, Lane::Bulk];

    /// The one of a call.
    pub(super) fn of(call: &Call) -> Self {
        if call.is_bulk() {
            Lane::Bulk
        } else {
            Lane::Urgent
        }
    }
}

/// Both queues.
#[derive(Default)]
pub(super) struct Lanes {
    urgent: Queue,
    bulk: Queue,
}

impl Lanes {
    /// One of them.
    pub(super) fn lane(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

/// A queue: a stack to take from and, the other way round, one to put on.
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

    /// Puts a call in front of all others.
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

    /// Takes out all calls for which `condition` is true, and keeps the order of the others.
    pub(super) fn extract(&mut self, condition: impl Fn(&Call) -> bool) -> Queue {
        let mut extracted = Queue::default();
        let mut rest = Queue::default();
        while let Some(place) = self.pop() {
            if place.call.as_ref().is_none_or(&condition) {
                extracted.push(place);
            } else {
                rest.push(place);
            }
        }
        *self = rest;
        extracted
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
