// SPDX-License-Identifier: GPL-2.0

//! The calls that wait for their replies on a link.

use super::{
    send::Sending,
    Link, //
};
use crate::peer::call::Call;
use hmdfs_model::{
    calls::{
        Calls,
        Slot,
        Taken,
        Unknown, //
    },
    slots::Ticket,
};
use kernel::prelude::*;

/// Most calls that wait on one link, whatever the peer's window is.
const SLOTS: usize = 256;

/// A call's number, which outlives the call: the peer may still execute it.
pub(super) type Note = Option<Ticket>;

/// The calls, and whether there may be more.
pub(super) struct Table {
    calls: Calls<Call, Note, KVVec<Slot<Call, Note>>>,
    closed: bool,
}

impl Table {
    pub(super) fn new() -> Result<Self> {
        let mut slots = KVVec::with_capacity(SLOTS, GFP_KERNEL)?;
        for _ in 0..SLOTS {
            slots.push(Slot::default(), GFP_KERNEL)?;
        }
        Ok(Self {
            calls: Calls::new(slots),
            closed: false,
        })
    }
}

impl Link {
    /// Takes a call that is about to be sent, and gives what is to be sent.
    pub(crate) fn reserve(&self, mut call: Call) -> Result<Sending, Call> {
        let ticket = call.ticket();
        let (message, patience) = (call.message().clone(), call.patience());
        let data = call.data_length();
        let id = {
            let mut table = self.calls.lock();
            let other_epoch = ticket.is_some_and(|ticket| ticket.epoch != self.epoch());
            let crowded = call.is_bulk() && !table.calls.has_much_room();
            if table.closed || other_epoch || crowded || !table.calls.has_room(data) {
                return Err(call);
            }
            call.set_sent();
            table.calls.insert(call, ticket, data)?
        };
        self.counters.requests_sent.add(1);
        Ok(Sending {
            id,
            patience,
            ticket,
            message,
        })
    }

    /// Number of requests that the peer has not answered.
    pub(crate) fn in_flight(&self) -> u16 {
        self.calls.lock().calls.in_flight()
    }

    /// The peer holds up to `window` requests from now on.
    pub(super) fn set_window(&self, window: u16) {
        self.calls.lock().calls.set_window(window);
    }

    /// The peer holds up to `window` bytes of data.
    pub(super) fn set_data_window(&self, window: u32) {
        self.calls.lock().calls.set_data_window(window);
    }

    /// The call that a reply is for, unless it ended before, and its number.
    pub(super) fn take_call(&self, id: u64) -> Result<Taken<Call, Note>, Unknown> {
        self.calls.lock().calls.take(id)
    }

    /// Takes no more calls.
    pub(super) fn close_calls(&self) {
        self.calls.lock().closed = true;
    }

    /// Gives all calls back to the peer. The receiver must have returned.
    pub(super) fn return_calls(&self) {
        loop {
            // Without the lock while the call is told, which may sleep.
            let taken = self.calls.lock().calls.take_any();
            match taken {
                Some(Taken {
                    call: Some(call), ..
                }) => self.peer().resubmit(call),
                Some(Taken {
                    call: None,
                    note: Some(ticket),
                }) => self.peer().doubt(&ticket),
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Ends the calls whose deadline passed, and says whether nothing more can be
    /// sent because all that the peer holds are such.
    pub(super) fn expire_calls(&self) -> bool {
        let flow = self.flow();
        let mut from = 0;
        loop {
            // Without the lock while the call is told, which may sleep.
            let overdue = |call: &Call| call.is_overdue(flow);
            let found = self.calls.lock().calls.abandon(from, overdue);
            let Some((call, next)) = found else {
                break;
            };
            call.complete(Err(ETIMEDOUT));
            self.counters.timeouts.add(1);
            from = next;
        }
        self.calls.lock().calls.is_choked()
    }
}
