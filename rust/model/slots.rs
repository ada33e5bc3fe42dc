// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Compounds that must be executed once, as their sender numbers them (section 5 of
//! Documentation/protocol.md). What the other side does with the numbers is
//! [`crate::replay`].
//!
//! A compound takes a slot until its reply is there, however often it is sent. When its
//! sender has given it up and its link has ended, no reply will come by itself: then the
//! slot is in doubt, and becomes free by sending the same number once more, with nothing
//! else in the compound. If the number was never seen, nothing is executed under it any
//! more; if it was, its reply is what comes back.

/// The right to send one compound, again and again, until its reply arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The epoch of the receiver in which it counts.
    pub epoch: u64,
    /// The slot.
    pub slot: u16,
    /// The number of the compound in the slot.
    pub sequence: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    Taken,
    Doubtful,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The number that was used last.
    sequence: u64,
    state: State,
}

/// The slots of one receiver, of which there are at most `N`.
#[derive(Debug)]
pub struct Slots<const N: usize> {
    epoch: u64,
    used: usize,
    slots: [Slot; N],
}

impl<const N: usize> Default for Slots<N> {
    fn default() -> Self {
        Self {
            epoch: 0,
            used: 0,
            slots: [Slot::default(); N],
        }
    }
}

impl<const N: usize> Slots<N> {
    /// The receiver began a new epoch, in which it keeps replies for `limit` slots: all of
    /// them are free, and no ticket of before counts.
    pub fn begin(&mut self, epoch: u64, limit: u16) {
        *self = Self {
            epoch,
            used: N.min(limit.into()),
            ..Self::default()
        };
    }

    /// Whether a ticket is of the present epoch.
    pub fn is_current(&self, ticket: &Ticket) -> bool {
        ticket.epoch == self.epoch
    }

    /// Takes a slot for another compound.
    pub fn take(&mut self) -> Option<Ticket> {
        let (slot, found) = self.find(State::Free)?;
        found.state = State::Taken;
        found.sequence = found.sequence.saturating_add(1);
        let sequence = found.sequence;
        Some(self.ticket(slot, sequence))
    }

    /// The reply has arrived.
    pub fn replied(&mut self, ticket: &Ticket) {
        if let Some(slot) = self.taken(ticket) {
            slot.state = State::Free;
        }
    }

    /// The compound was never sent.
    pub fn give_back(&mut self, ticket: &Ticket) {
        if let Some(slot) = self.taken(ticket) {
            slot.state = State::Free;
            slot.sequence = slot.sequence.saturating_sub(1);
        }
    }

    /// The compound will not be sent again, and no reply is on its way.
    pub fn doubt(&mut self, ticket: &Ticket) {
        if let Some(slot) = self.taken(ticket) {
            slot.state = State::Doubtful;
        }
    }

    /// Takes a slot that is in doubt, whose number is to be sent with nothing else.
    pub fn probe(&mut self) -> Option<Ticket> {
        let (slot, found) = self.find(State::Doubtful)?;
        found.state = State::Taken;
        let sequence = found.sequence;
        Some(self.ticket(slot, sequence))
    }

    fn find(&mut self, state: State) -> Option<(usize, &mut Slot)> {
        self.slots
            .iter_mut()
            .take(self.used)
            .enumerate()
            .find(|(_, slot)| slot.state == state)
    }

    fn ticket(&self, slot: usize, sequence: u64) -> Ticket {
        Ticket {
            epoch: self.epoch,
            // There are no more than a `u16` can count.
            slot: u16::try_from(slot).unwrap_or(u16::MAX),
            sequence,
        }
    }

    fn taken(&mut self, ticket: &Ticket) -> Option<&mut Slot> {
        if !self.is_current(ticket) {
            return None;
        }
        self.slots
            .get_mut(usize::from(ticket.slot))
            .filter(|slot| slot.sequence == ticket.sequence && slot.state == State::Taken)
    }
}

/// How many epochs of before are remembered.
const RETIRED: usize = 8;

/// What an epoch that the other side tells is, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// The present one.
    Known,
    /// A new one, which is the present one from now on.
    New,
    /// One that has ended: what says so has been on its way for too long.
    Ended,
}

/// The epochs of the other side.
#[derive(Debug, Default)]
pub struct Epochs {
    present: Option<u64>,
    retired: [Option<u64>; RETIRED],
    next: usize,
}

impl Epochs {
    /// The other side tells its epoch.
    pub fn greet(&mut self, epoch: u64) -> Greeting {
        if self.present == Some(epoch) {
            return Greeting::Known;
        }
        if self.retired.contains(&Some(epoch)) {
            return Greeting::Ended;
        }
        if let Some(ended) = self.present.replace(epoch) {
            if let Some(place) = self.retired.get_mut(self.next) {
                *place = Some(ended);
            }
            self.next = self.next.wrapping_add(1) % RETIRED;
        }
        Greeting::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_up_by_one_in_each_slot() {
        let mut slots = Slots::<4>::default();
        assert_eq!(slots.take(), None);
        slots.begin(7, 2);
        let first = slots.take().unwrap();
        let second = slots.take().unwrap();
        assert_eq!((first.slot, first.sequence), (0, 1));
        assert_eq!((second.slot, second.sequence), (1, 1));
        assert_eq!(slots.take(), None);
        slots.replied(&first);
        slots.replied(&first);
        let third = slots.take().unwrap();
        assert_eq!((third.slot, third.sequence), (0, 2));
        assert_eq!(slots.take(), None);
    }

    #[test]
    fn a_number_that_was_not_sent_is_used_again() {
        let mut slots = Slots::<1>::default();
        slots.begin(7, 9);
        let ticket = slots.take().unwrap();
        slots.give_back(&ticket);
        assert_eq!(slots.take(), Some(ticket));
    }

    #[test]
    fn a_doubtful_number_is_asked_about_before_the_slot_is_used() {
        let mut slots = Slots::<1>::default();
        slots.begin(7, 1);
        let ticket = slots.take().unwrap();
        slots.doubt(&ticket);
        assert_eq!(slots.take(), None);
        assert_eq!(slots.probe(), Some(ticket));
        assert_eq!(slots.probe(), None);
        slots.replied(&ticket);
        assert_eq!(slots.take().unwrap().sequence, 2);
    }

    #[test]
    fn tickets_end_with_their_epoch() {
        let mut slots = Slots::<1>::default();
        slots.begin(7, 1);
        let old = slots.take().unwrap();
        slots.begin(8, 1);
        assert!(!slots.is_current(&old));
        let new = slots.take().unwrap();
        slots.replied(&old);
        slots.doubt(&old);
        slots.give_back(&old);
        assert_eq!(slots.take(), None);
        slots.replied(&new);
        assert!(slots.take().is_some());
    }

    #[test]
    fn an_epoch_that_has_ended_does_not_come_back() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.greet(0), Greeting::New);
        assert_eq!(epochs.greet(0), Greeting::Known);
        assert_eq!(epochs.greet(5), Greeting::New);
        assert_eq!(epochs.greet(0), Greeting::Ended);
        assert_eq!(epochs.greet(5), Greeting::Known);
        for epoch in 10..100 {
            assert_eq!(epochs.greet(epoch), Greeting::New);
            let before = if epoch == 10 { 5 } else { epoch - 1 };
            assert_eq!(epochs.greet(before), Greeting::Ended);
        }
    }
}
