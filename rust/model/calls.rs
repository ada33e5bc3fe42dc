// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The calls of one link that wait for their replies.
//!
//! A fixed number of slots, so that a call costs no memory and is found by the
//! identifier of its reply at once. The identifier holds the number of the slot in
//! its low 16 bits and a count above them, so that none comes twice.
//!
//! A call whose deadline passed is given back to its caller, but its slot stays
//! taken until the reply arrives: the peer still holds the request, and counts it
//! and its data. What it was is not forgotten either: a note stays with the slot.

use core::marker::PhantomData;
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
pub struct Slot<T, N> {
    id: u64,
    /// Bytes of data in the request.
    data: u32,
    note: N,
    state: State<T>,
}

impl<T, N: Default> Default for Slot<T, N> {
    fn default() -> Self {
        Self {
            id: 0,
            data: 0,
            note: N::default(),
            state: State::Free(NONE),
        }
    }
}

/// What is known of a call that ended with its slot.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken<T, N> {
    /// The call, unless it was abandoned.
    pub call: Option<T>,
    /// The note.
    pub note: N,
}

/// A reply to a request that does not wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

/// The calls of one link.
///
/// # Invariants
///
/// `taken` slots are not free, and the others are on the list that begins with
/// `free`. `data` is the sum of the taken slots' data.
#[derive(Debug)]
pub struct Calls<T, N, S: DerefMut<Target = [Slot<T, N>]>> {
    slots: S,
    free: u16,
    taken: u16,
    window: u16,
    data: u32,
    data_window: u32,
    count: u64,
    _note: PhantomData<(T, N)>,
}

impl<T, N: Copy, S: DerefMut<Target = [Slot<T, N>]>> Calls<T, N, S> {
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
            data: 0,
            data_window: 0,
            count: 0,
            _note: PhantomData,
        }
    }

    /// From now on, at most `window` slots are taken by new calls.
    pub fn set_window(&mut self, window: u16) {
        self.window = window;
    }

    /// From now on, what new calls bring along is at most `window` bytes of data with that
    /// of the slots that are taken.
    pub fn set_data_window(&mut self, window: u32) {
        self.data_window = window;
    }

    /// How many slots are taken, by calls that wait and by those that were
    /// abandoned.
    pub fn in_flight(&self) -> u16 {
        self.taken
    }

    /// Whether one more call with `data` bytes of data may be sent.
    pub fn has_room(&self, data: u32) -> bool {
        let all = self.data.saturating_add(data);
        self.taken < self.window && self.free != NONE && (data == 0 || all <= self.data_window)
    }

    /// Whether many calls more may be sent: otherwise, what takes long to be answered should leave
    /// the rest to what does not.
    pub fn has_much_room(&self) -> bool {
        self.window.saturating_sub(self.taken) > self.window / 8
    }

    /// Takes a slot for a call with `data` bytes of data, and gives the identifier for the
    /// request; the call comes back when there is no room.
    pub fn insert(&mut self, call: T, note: N, data: u32) -> Result<u64, T> {
        if !self.has_room(data) {
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
        *slot = Slot {
            id,
            data,
            note,
            state: State::Waiting(call),
        };
        // INVARIANT: The first free slot is taken now, with its data.
        self.free = next;
        self.taken = self.taken.saturating_add(1);
        self.data = self.data.saturating_add(data);
        Ok(id)
    }

    /// The reply `id` arrived: frees the slot, and gives the call unless that was abandoned.
    pub fn take(&mut self, id: u64) -> Result<Taken<T, N>, Unknown> {
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
        self.data = self.data.saturating_sub(slot.data);
        Ok(Taken {
            call: match state {
                State::Waiting(call) => Some(call),
                State::Abandoned | State::Free(_) => None,
            },
            note: slot.note,
        })
    }

    /// The link has ended: takes out one of the calls for which no reply will come.
    pub fn take_any(&mut self) -> Option<Taken<T, N>> {
        let taken = |slot: &&Slot<T, N>| !matches!(slot.state, State::Free(_));
        let id = self.slots.iter().find(taken)?.id;
        self.take(id).ok()
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
            && !self.has_room(0)
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

    type Boxed = Calls<u32, u32, Box<[Slot<u32, u32>]>>;

    fn calls(slots: usize, window: u16) -> Boxed {
        let mut calls = Calls::new((0..slots).map(|_| Slot::default()).collect());
        calls.set_window(window);
        calls.set_data_window(100);
        calls
    }

    /// Takes a slot for `call`, with a note to match.
    fn insert(calls: &mut Boxed, call: u32) -> Result<u64, u32> {
        calls.insert(call, call + 1000, 0)
    }

    fn take(calls: &mut Boxed, id: u64) -> Result<Option<u32>, Unknown> {
        let taken = calls.take(id)?;
        if let Some(call) = taken.call {
            assert_eq!(taken.note, call + 1000);
        }
        Ok(taken.call)
    }

    #[test]
    fn the_window_and_the_slots_limit_what_is_in_flight() {
        let mut calls = calls(3, 2);
        let first = insert(&mut calls, 1).unwrap();
        insert(&mut calls, 2).unwrap();
        assert_eq!(insert(&mut calls, 3), Err(3));
        calls.set_window(9);
        insert(&mut calls, 3).unwrap();
        assert_eq!(insert(&mut calls, 4), Err(4));
        assert_eq!(take(&mut calls, first), Ok(Some(1)));
        assert_eq!(take(&mut calls, first), Err(Unknown));
        insert(&mut calls, 4).unwrap();
        assert_eq!(calls.in_flight(), 3);
    }

    #[test]
    fn an_eighth_of_the_window_is_left() {
        let mut calls = calls(16, 16);
        while calls.has_much_room() {
            insert(&mut calls, 1).unwrap();
        }
        assert_eq!(calls.in_flight(), 14);
        assert!(calls.has_room(0));
    }

    #[test]
    fn nothing_is_sent_before_the_peer_opened_its_window() {
        assert_eq!(insert(&mut calls(4, 0), 1), Err(1));
        assert_eq!(insert(&mut calls(0, 4), 1), Err(1));
    }

    #[test]
    fn an_abandoned_call_keeps_its_slot_until_the_reply() {
        let mut calls = calls(2, 1);
        let id = insert(&mut calls, 7).unwrap();
        assert!(!calls.is_choked());
        assert_eq!(calls.abandon(0, |_| true), Some((7, 1)));
        assert_eq!(calls.abandon(0, |_| true), None);
        assert!(calls.is_choked());
        assert_eq!(insert(&mut calls, 8), Err(8));
        assert_eq!(take(&mut calls, id), Ok(None));
        assert_eq!(take(&mut calls, id), Err(Unknown));
        insert(&mut calls, 8).unwrap();
    }

    #[test]
    fn data_have_a_window_of_their_own() {
        let mut calls = calls(8, 8);
        let first = calls.insert(1, 0, 60).unwrap();
        assert_eq!(calls.insert(2, 0, 41), Err(2));
        assert!(calls.has_room(0) && !calls.has_room(41));
        calls.insert(2, 0, 40).unwrap();
        insert(&mut calls, 3).unwrap();
        // Whoever gave up still has its data there.
        assert_eq!(calls.abandon(0, |&call| call == 1), Some((1, 1)));
        assert_eq!(calls.insert(4, 0, 1), Err(4));
        assert_eq!(
            calls.take(first),
            Ok(Taken {
                call: None,
                note: 0
            })
        );
        calls.insert(4, 0, 60).unwrap();
    }

    #[test]
    fn what_is_left_at_the_end_is_told() {
        let mut calls = calls(3, 3);
        insert(&mut calls, 1).unwrap();
        insert(&mut calls, 2).unwrap();
        calls.abandon(0, |&call| call == 2);
        let first = calls.take_any().unwrap();
        let second = calls.take_any().unwrap();
        assert_eq!((first.call, first.note), (Some(1), 1001));
        assert_eq!((second.call, second.note), (None, 1002));
        assert_eq!(calls.take_any(), None);
        assert_eq!(calls.in_flight(), 0);
    }

    #[test]
    fn identifiers_from_nowhere_are_unknown() {
        let mut calls = calls(2, 2);
        for id in [0, 1, 2, 1 << 16, u64::MAX] {
            assert_eq!(take(&mut calls, id), Err(Unknown));
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
                    0 => match insert(&mut calls, next) {
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
                        prop_assert_eq!(take(&mut calls, id), Ok(waiting.remove(&id)));
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
