// SPDX-License-Identifier: GPL-2.0

//! The calls that wait for their replies on a link.

use super::Link;
use crate::peer::call::Call;
use hmdfs_kapi::errno::ENOTCONN;
use hmdfs_model::calls::{
    Calls,
    Slot,
    Unknown, //
};
use kernel::prelude::*;

/// Most calls that wait on one link, whatever the peer's window is.
const SLOTS: usize = 256;

/// The calls, and whether there may be more.
pub(super) struct Table {
    calls: Calls<Call, KVVec<Slot<Call>>>,
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
    /// Takes a call that is about to be sent, and gives its identifier.
    pub(crate) fn reserve(&self, call: Call) -> Result<u64, Call> {
        let id = {
            let mut table = self.calls.lock();
            if table.closed {
                return Err(call);
            }
            table.calls.insert(call)?
        };
        self.counters.requests_sent.add(1);
        Ok(id)
    }

    /// Number of requests that the peer has not answered.
    pub(crate) fn in_flight(&self) -> u16 {
        self.calls.lock().calls.in_flight()
    }

    /// Whether the peer would hold one more request.
    pub(crate) fn has_room(&self) -> bool {
        let table = self.calls.lock();
        !table.closed && table.calls.has_room()
    }

    /// The peer holds up to `window` requests from now on.
    pub(super) fn set_window(&self, window: u16) {
        self.calls.lock().calls.set_window(window);
    }

    /// The call that a reply is for; nothing when it ended before.
    pub(super) fn take_call(&self, id: u64) -> Result<Option<Call>, Unknown> {
        let call = self.calls.lock().calls.take(id)?;
        self.pump();
        Ok(call)
    }

    /// Takes no more calls.
    pub(super) fn close_calls(&self) {
        self.calls.lock().closed = true;
    }

    /// Ends all calls. The receiver must have returned.
    pub(super) fn fail_calls(&self) {
        self.abandon_calls(|_| true, || ENOTCONN.into());
    }

    /// Ends the calls whose deadline passed, and says whether nothing more can be
    /// sent because all that the peer holds are such.
    pub(super) fn expire_calls(&self) -> bool {
        let flowing = self.is_flowing();
        let expired = self.abandon_calls(|call| call.is_overdue(flowing), || ETIMEDOUT);
        self.counters.timeouts.add(expired);
        self.calls.lock().calls.is_choked()
    }

    fn abandon_calls(&self, condition: impl Fn(&Call) -> bool, error: impl Fn() -> Error) -> usize {
        let mut ended: usize = 0;
        let mut from = 0;
        loop {
            // Without the lock while the call is told, which may sleep.
            let found = self.calls.lock().calls.abandon(from, &condition);
            let Some((call, next)) = found else {
                return ended;
            };
            call.complete(Err(error()));
            ended = ended.saturating_add(1);
            from = next;
        }
    }
}
