// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Compounds that must be executed once, as their receiver sees them (section 5 of
//! Documentation/protocol.md). How they are numbered is [`crate::slots`].

use core::ops::DerefMut;

/// What the receiver keeps of one of the sender's slots.
#[derive(Debug)]
pub struct Slot<R> {
    /// The number of the last compound.
    sequence: u64,
    /// Its reply; nothing while it is being executed.
    reply: Option<R>,
    /// How often it arrived while it was being executed.
    asked: u32,
}

impl<R> Default for Slot<R> {
    fn default() -> Self {
        Self {
            sequence: 0,
            reply: None,
            asked: 0,
        }
    }
}

/// What is to be done with a compound that arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Begin<'a, R> {
    /// It is new: it has to be executed, and [`Replay::end`] called.
    Execute,
    /// It is being executed: [`Replay::poll`] with this number tells when there is a reply.
    Wait(u32),
    /// This was the reply.
    Again(&'a R),
    /// Its number is neither the last one nor the next.
    Stale,
}

/// What is to be done with a compound that arrived while it was being executed.
#[derive(Debug, PartialEq, Eq)]
pub enum Poll<'a, R> {
    /// It still is.
    Wait,
    /// This is the reply.
    Again(&'a R),
    /// Nobody waits for the reply here: the compound has arrived once more since, or the
    /// sender had a reply and went on.
    Gone,
}

/// The last compound of each slot of one sender, in one of its epochs.
#[derive(Debug)]
pub struct Replay<R, S: DerefMut<Target = [Slot<R>]>> {
    slots: S,
    _reply: core::marker::PhantomData<R>,
}

impl<R, S: DerefMut<Target = [Slot<R>]>> Replay<R, S> {
    /// Nothing was executed yet.
    pub fn new(slots: S) -> Self {
        let mut replay = Self {
            slots,
            _reply: core::marker::PhantomData,
        };
        replay.clear();
        replay
    }

    /// Forgets everything: the sender began a new epoch.
    pub fn clear(&mut self) {
        for slot in self.slots.iter_mut() {
            *slot = Slot::default();
        }
    }

    /// A compound has arrived.
    pub fn begin(&mut self, slot: u16, sequence: u64) -> Begin<'_, R> {
        let Some(slot) = self.slots.get_mut(usize::from(slot)) else {
            return Begin::Stale;
        };
        let executing = slot.sequence != 0 && slot.reply.is_none();
        if sequence == slot.sequence {
            if executing {
                slot.asked = slot.asked.wrapping_add(1);
                return Begin::Wait(slot.asked);
            }
            return slot.reply.as_ref().map_or(Begin::Stale, Begin::Again);
        }
        if executing || slot.sequence.checked_add(1) != Some(sequence) {
            return Begin::Stale;
        }
        *slot = Slot {
            sequence,
            ..Slot::default()
        };
        Begin::Execute
    }

    /// A compound was executed.
    pub fn end(&mut self, slot: u16, sequence: u64, reply: R) {
        if let Some(slot) = self.executing(slot, sequence) {
            slot.reply = Some(reply);
        }
    }

    /// Looks for the reply to a compound that arrived while it was being executed.
    pub fn poll(&self, slot: u16, sequence: u64, asked: u32) -> Poll<'_, R> {
        match self.slots.get(usize::from(slot)) {
            Some(slot) if slot.sequence == sequence && slot.asked == asked => {
                slot.reply.as_ref().map_or(Poll::Wait, Poll::Again)
            }
            _ => Poll::Gone,
        }
    }

    fn executing(&mut self, slot: u16, sequence: u64) -> Option<&mut Slot<R>> {
        self.slots
            .get_mut(usize::from(slot))
            .filter(|slot| slot.sequence == sequence && slot.reply.is_none())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::slots::{Slots, Ticket};
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::collections::HashMap;
    use std::vec::Vec;

    fn replay(slots: usize) -> Replay<u32, Box<[Slot<u32>]>> {
        Replay::new((0..slots).map(|_| Slot::default()).collect())
    }

    #[test]
    fn the_same_number_gets_the_same_reply() {
        let mut replay = replay(2);
        assert_eq!(replay.begin(0, 1), Begin::Execute);
        assert_eq!(replay.begin(0, 1), Begin::Wait(1));
        assert_eq!(replay.begin(0, 1), Begin::Wait(2));
        assert_eq!(replay.poll(0, 1, 2), Poll::Wait);
        assert_eq!(replay.poll(0, 1, 1), Poll::Gone);
        replay.end(0, 1, 10);
        assert_eq!(replay.poll(0, 1, 2), Poll::Again(&10));
        assert_eq!(replay.begin(0, 1), Begin::Again(&10));
        assert_eq!(replay.begin(1, 1), Begin::Execute);
        assert_eq!(replay.begin(0, 2), Begin::Execute);
        assert_eq!(replay.poll(0, 1, 2), Poll::Gone);
    }

    #[test]
    fn any_other_number_is_stale() {
        let mut replay = replay(1);
        for sequence in [0, 2, 3, u64::MAX] {
            assert_eq!(replay.begin(0, sequence), Begin::Stale);
        }
        assert_eq!(replay.begin(1, 1), Begin::Stale);
        assert_eq!(replay.begin(0, 1), Begin::Execute);
        // Its sender cannot have had a reply.
        assert_eq!(replay.begin(0, 2), Begin::Stale);
        replay.end(0, 1, 1);
        assert_eq!(replay.begin(0, 3), Begin::Stale);
        assert_eq!(replay.begin(0, 0), Begin::Stale);
        replay.clear();
        assert_eq!(replay.begin(0, 2), Begin::Stale);
        assert_eq!(replay.begin(0, 1), Begin::Execute);
    }

    /// A compound on its way; nothing in it is a question about its number.
    type Sent = (Ticket, Option<u32>);

    /// What the sender believes of a compound.
    struct Call {
        ticket: Ticket,
        given_up: bool,
    }

    proptest! {
        /// Whatever the network does with copies of compounds and with replies, each compound is
        /// executed at most once, and each reply is that to the compound that it is taken for.
        #[test]
        fn nothing_is_done_twice_and_no_reply_is_another_ones(
            steps in proptest::collection::vec((0u8..8, any::<u16>()), 0..400)
        ) {
            let mut slots = Slots::<3>::default();
            slots.begin(1, 3);
            let mut replay = replay(3);
            let mut next = 0u32;
            // What the compound of a number is, and how often each was executed.
            let mut calls: HashMap<u32, Call> = HashMap::new();
            let mut doubts: Vec<Ticket> = Vec::new();
            let mut executed: HashMap<u32, u32> = HashMap::new();
            let mut network: Vec<Sent> = Vec::new();
            let mut executing: Vec<Sent> = Vec::new();
            let mut replies: Vec<(Ticket, u32)> = Vec::new();
            // No compound at all was executed under a number.
            const NOTHING: u32 = u32::MAX;
            for (step, pick) in steps {
                let pick = usize::from(pick);
                match step {
                    // A new compound.
                    0 => if let Some(ticket) = slots.take() {
                        network.push((ticket, Some(next)));
                        calls.insert(next, Call { ticket, given_up: false });
                        next += 1;
                    },
                    // One is sent again; copies of before are still on their way.
                    1 => {
                        let waiting: Vec<_> = calls.iter().filter(|(_, call)| !call.given_up).collect();
                        if !waiting.is_empty() {
                            let (&number, call) = waiting[pick % waiting.len()];
                            network.push((call.ticket, Some(number)));
                        }
                    }
                    // A compound arrives, in any order, and perhaps once more later.
                    2 | 3 if !network.is_empty() => {
                        let at = pick % network.len();
                        let sent = if step == 2 { network.remove(at) } else { network[at] };
                        match replay.begin(sent.0.slot, sent.0.sequence) {
                            Begin::Execute => executing.push(sent),
                            Begin::Again(&reply) => replies.push((sent.0, reply)),
                            Begin::Wait(_) | Begin::Stale => {}
                        }
                    }
                    // One was executed.
                    4 if !executing.is_empty() => {
                        let (ticket, number) = executing.remove(pick % executing.len());
                        if let Some(number) = number {
                            *executed.entry(number).or_default() += 1;
                        }
                        let reply = number.unwrap_or(NOTHING);
                        replay.end(ticket.slot, ticket.sequence, reply);
                        replies.push((ticket, reply));
                    }
                    // A reply arrives; or is lost.
                    5 if !replies.is_empty() => {
                        let (ticket, reply) = replies.remove(pick % replies.len());
                        // Only those that wait for it on the link that it comes on: what was given
                        // up, and asked about, takes any reply.
                        let waits = calls.iter().find(|(_, call)| call.ticket == ticket && !call.given_up);
                        if let Some((&number, _)) = waits {
                            prop_assert_eq!(reply, number);
                            calls.remove(&number);
                            slots.replied(&ticket);
                        } else if doubts.contains(&ticket) {
                            doubts.retain(|other| *other != ticket);
                            calls.retain(|_, call| call.ticket != ticket);
                            slots.replied(&ticket);
                        }
                    }
                    // One is given up.
                    6 => {
                        let waiting: Vec<_> = calls.iter().filter(|(_, call)| !call.given_up).map(|(&number, _)| number).collect();
                        if !waiting.is_empty() {
                            let call = calls.get_mut(&waiting[pick % waiting.len()]).unwrap();
                            call.given_up = true;
                            slots.doubt(&call.ticket);
                        }
                    }
                    // A number is asked about.
                    7 => if let Some(ticket) = slots.probe() {
                        doubts.push(ticket);
                        network.push((ticket, None));
                    },
                    _ => {}
                }
                for (number, times) in &executed {
                    prop_assert!(*times <= 1, "{} was executed {} times", number, times);
                }
            }
        }
    }
}
