// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The calls of one link that wait for their replies.
//!
//! A fixed number of slots, so that a call costs no memory and is found by the
//! identifier of its reply at once. The identifier holds the number of the slot in
//! its low 16 bits and a count above them, so that none comes twice.
//!
//! A call whose deadline passed is given back to its caller, but its slot stays
//! taken until the reply arrives: the peer still holds the request, and counts it.

use core::mem;
use core::ops::DerefMut;

/// The end of the list of free slots.
const NONE: u16 = u16::MAX;

/// What is in a slot.
#[derive(Debug)]
enum State<T> {
    /// Nothing; the number of the next free slot.
    Free(u16),
    /// A call that waits for its reply.
    Waiting(T),
    /// A call that ended before its reply came.
    Abandoned,
}

/// Room for one call.
#[derive(Debug)]
pub struct Slot<T> {
    id: u64,
    state: State<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            id: 0,
            state: State::Free(NONE),
        }
    }
}

/// A reply to a request that does not wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

/// The calls of one link.
///
/// # Invariants
///
/// `taken` slots are not free, and the others are on the list that begins with
/// `free`.
#[derive(Debug)]
pub struct Calls<T, S: DerefMut<Target = [Slot<T>]>> {
    slots: S,
    free: u16,
    taken: u16,
    window: u16,
    count: u64,
}

impl<T, S: DerefMut<Target = [Slot<T>]>> Calls<T, S> {
    /// No calls, and none allowed yet, in the memory of `slots`; what is beyond
    /// 65,535 of them stays unused.
    pub fn new(mut slots: S) -> Self {
        let length = u16::try_from(slots.len()).unwrap_or(NONE);
        for (number, slot) in (0..length).zip(slots.iter_mut()) {
            let next = number.saturating_add(1);
            slot.state = State::Free(if next < length { next } else { NONE });
        }
        Self {
            slots,
            free: if length == 0 { NONE } else { 0 },
            taken: 0,
            window: 0,
            count: 0,
        }
    }

    /// From now on, at most `window` slots are taken by new calls.
    pub fn set_window(&mut self, window: u16) {
        self.window = window;
    }

    /// How many slots are taken, by calls that wait and by those that were
    /// abandoned.
    pub fn in_flight(&self) -> u16 {
        self.taken
    }

    /// Whether one more call may be sent.
    pub fn has_room(&self) -> bool {
        self.taken < self.window && self.free != NONE
    }

    /// Takes a slot and gives the identifier for the request; the call comes back
    /// when there is no room.
    pub fn insert(&mut self, call: T) -> Result<u64, T> {
        if !self.has_room() {
            return Err(call);
        }
        let Some(slot) = self.slots.get_mut(usize::from(self.free)) else {
            return Err(call);
        };
        let State::Free(next) = slot.state else {
            return Err(call);
        };
        self.count = self.count.wrapping_add(1);
        // The highest bit is left to identifiers that are not of calls.
        let id = (self.count << 16 | u64::from(self.free)) & (u64::MAX >> 1);
        slot.id = id;
        slot.state = State::Waiting(call);
        // INVARIANT: The first free slot is taken now.
        self.free = next;
        self.taken = self.taken.saturating_add(1);
        Ok(id)
    }

    /// The reply `id` arrived: frees the slot and gives the call, or nothing when
    /// it was abandoned.
    pub fn take(&mut self, id: u64) -> Result<Option<T>, Unknown> {
        // CAST: The low bits are the number of the slot.
        let number = id as u16;
        let slot = self.slots.get_mut(usize::from(number)).ok_or(Unknown)?;
        if slot.id != id || matches!(slot.state, State::Free(_)) {
            return Err(Unknown);
        }
        // INVARIANT: The slot was taken, and is the first free one now.
        let state = mem::replace(&mut slot.state, State::Free(self.free));
        self.free = number;
        self.taken = self.taken.saturating_sub(1);
        Ok(match state {
            State::Waiting(call) => Some(call),
            State::Abandoned | State::Free(_) => None,
        })
    }

    /// Abandons the first call from slot `from` on that `condition` is true for.
    /// Gives the call and the number of the slot to go on with.
    pub fn abandon(
        &mut self,
        from: usize,
        mut condition: impl FnMut(&T) -> bool,
    ) -> Option<(T, usize)> {
        for (number, slot) in self.slots.iter_mut().enumerate().skip(from) {
            if !matches!(&slot.state, State::Waiting(call) if condition(call)) {
                continue;
            }
            if let State::Waiting(call) = mem::replace(&mut slot.state, State::Abandoned) {
                return Some((call, number.saturating_add(1)));
            }
        }
        None
    }

    /// Whether the whole window is taken by calls that were abandoned, so that
    /// nothing can be sent until the peer answers one of them.
    pub fn is_choked(&self) -> bool {
        self.window != 0
            && !self.has_room()
            && !self
                .slots
                .iter()
                .any(|slot| matches!(slot.state, State::Waiting(_)))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::collections::{HashMap, HashSet};
    use std::vec::Vec;

    fn calls(slots: usize, window: u16) -> Calls<u32, Box<[Slot<u32>]>> {
        let mut calls = Calls::new((0..slots).map(|_| Slot::default()).collect());
        calls.set_window(window);
        calls
    }

    #[test]
    fn the_window_and_the_slots_limit_what_is_in_flight() {
        let mut calls = calls(3, 2);
        let first = calls.insert(1).unwrap();
        calls.insert(2).unwrap();
        assert_eq!(calls.insert(3), Err(3));
        calls.set_window(9);
        calls.insert(3).unwrap();
        assert_eq!(calls.insert(4), Err(4));
        assert_eq!(calls.take(first), Ok(Some(1)));
        assert_eq!(calls.take(first), Err(Unknown));
        calls.insert(4).unwrap();
        assert_eq!(calls.in_flight(), 3);
    }

    #[test]
    fn nothing_is_sent_before_the_peer_opened_its_window() {
        assert_eq!(calls(4, 0).insert(1), Err(1));
        assert_eq!(calls(0, 4).insert(1), Err(1));
    }

    #[test]
    fn an_abandoned_call_keeps_its_slot_until_the_reply() {
        let mut calls = calls(2, 1);
        let id = calls.insert(7).unwrap();
        assert!(!calls.is_choked());
        assert_eq!(calls.abandon(0, |_| true), Some((7, 1)));
        assert_eq!(calls.abandon(0, |_| true), None);
        assert!(calls.is_choked());
        assert_eq!(calls.insert(8), Err(8));
        assert_eq!(calls.take(id), Ok(None));
        assert_eq!(calls.take(id), Err(Unknown));
        calls.insert(8).unwrap();
    }

    #[test]
    fn identifiers_from_nowhere_are_unknown() {
        let mut calls = calls(2, 2);
        for id in [0, 1, 2, 1 << 16, u64::MAX] {
            assert_eq!(calls.take(id), Err(Unknown));
        }
    }

    proptest! {
        #[test]
        fn every_call_ends_exactly_once(
            steps in proptest::collection::vec((0u8..3, 0usize..8), 0..200)
        ) {
            let mut calls = calls(5, 4);
            let mut sent: Vec<u64> = Vec::new();
            let mut waiting: HashMap<u64, u32> = HashMap::new();
            let mut ids = HashSet::new();
            let mut next = 0;
            for (step, pick) in steps {
                match step {
                    0 => match calls.insert(next) {
                        Ok(id) => {
                            prop_assert!(ids.insert(id));
                            sent.push(id);
                            waiting.insert(id, next);
                            next += 1;
                        }
                        Err(_) => prop_assert_eq!(sent.len(), 4),
                    },
                    1 if !sent.is_empty() => {
                        let id = sent.remove(pick % sent.len());
                        prop_assert_eq!(calls.take(id), Ok(waiting.remove(&id)));
                    }
                    _ => {
                        if let Some((call, _)) = calls.abandon(pick, |_| true) {
                            let before = waiting.len();
                            waiting.retain(|_, &mut value| value != call);
                            prop_assert_eq!(waiting.len() + 1, before);
                        }
                    }
                }
                prop_assert_eq!(usize::from(calls.in_flight()), sent.len());
            }
        }
    }
}
