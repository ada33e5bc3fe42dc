// SPDX-License-Identifier: GPL-2.0 OR MIT

//! When the files of a directory are fetched ahead.
//!
//! A program that reads one file of a directory after the other, in the order of the
//! listing or of the names, is likely to go on. So after some in a row the next ones
//! are fetched together with one that it opens, and more each time. If it does not
//! use them, no more are fetched from this directory.

/// How files follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they are listed.
    Listing,
    /// By their names.
    Name,
}

impl Order {
    const ALL: [Order; 2] = [Order::Listing, Order::Name];

    /// The place in this order.
    pub const fn of(self, at: Places) -> u32 {
        match self {
            Order::Listing => at.listing,
            Order::Name => at.name,
        }
    }
}

/// The place of a file among those of its directory, in each order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// As they are listed.
    pub listing: u32,
    /// By their names.
    pub name: u32,
}

/// How far the next file may be away: there may be directories, and files that are cached,
/// between them.
const GAP: u32 = 4;

/// How many files have to follow each other before any are fetched.
const ENOUGH: u8 = 2;

/// How many files are fetched at first.
const FIRST: u16 = 4;

/// Most files that are fetched at once.
const MOST: u16 = 48;

/// Which files of a directory were opened.
#[derive(Debug)]
pub struct Sequence {
    last: Option<Places>,
    /// How many have followed the first one, in each order.
    run: [u8; 2],
    /// Up to where files were fetched.
    until: Option<(Order, u32)>,
    /// How many are fetched next.
    window: u16,
    stopped: bool,
}

impl Sequence {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            last: None,
            run: [0; 2],
            until: None,
            window: FIRST,
            stopped: false,
        }
    }

    /// The file at these places is opened, and its owner is to be asked. `was_read` says whether the one
    /// before was read; `were_used` whether most files are used by now that were fetched last, if
    /// any were.
    ///
    /// Gives the order in which some of the next files should be fetched, and how many.
    pub fn opened(&mut self, at: Places, was_read: bool, were_used: bool) -> Option<(Order, u16)> {
        let last = self.last.replace(at)?;
        if self.stopped {
            return None;
        }
        if let Some((order, until)) = self.until {
            let (from, to) = (order.of(last), order.of(at));
            if from <= to && to <= until {
                return None;
            }
            if !were_used {
                self.stopped = true;
                return None;
            }
            if until < to && to <= until.saturating_add(GAP) {
                self.window = self.window.saturating_mul(2).min(MOST);
                return Some((order, self.window));
            }
            self.until = None;
            self.run = [0; 2];
            self.window = FIRST;
        }
        let mut wanted = None;
        for (order, run) in Order::ALL.into_iter().zip(&mut self.run) {
            let step = order.of(at).checked_sub(order.of(last));
            let follows = was_read && step.is_some_and(|step| (1..=GAP).contains(&step));
            *run = if follows { run.saturating_add(1) } else { 0 };
            if *run >= ENOUGH && wanted.is_none() {
                wanted = Some((order, self.window));
            }
        }
        wanted
    }

    /// Files were asked for in this order, up to this place.
    pub fn fetched(&mut self, order: Order, until: u32) {
        self.until = Some((order, until));
    }
}

impl Default for Sequence {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens the files at these places of a listing, whose names are in another order, and gives
    /// how often the owner is asked. What is fetched is used, or not.
    fn asked(places: impl Iterator<Item = u32>, used: bool) -> (usize, u32) {
        let mut sequence = Sequence::new();
        let (mut asked, mut fetched) = (0, 0);
        let mut known = 0..0;
        for place in places {
            if used && known.contains(&place) {
                continue;
            }
            asked += 1;
            let at = Places {
                listing: place,
                name: place.wrapping_mul(0x9e37_79b1) >> 8,
            };
            if let Some((order, count)) = sequence.opened(at, true, used) {
                assert_eq!(order, Order::Listing);
                let until = place + u32::from(count);
                sequence.fetched(order, until);
                known = place + 1..until + 1;
                fetched += u32::from(count);
            }
        }
        (asked, fetched)
    }

    #[test]
    fn reading_in_order_is_answered_in_few_messages() {
        assert_eq!(asked(0..3, true).0, 3);
        let (messages, fetched) = asked(0..1_000, true);
        assert!(messages < 30, "{messages}");
        assert!(fetched < 1_050, "{fetched}");
    }

    #[test]
    fn what_is_not_used_is_not_fetched_again() {
        let (messages, fetched) = asked(0..1_000, false);
        assert_eq!((messages, fetched), (1_000, FIRST.into()));
    }

    #[test]
    fn files_in_no_order_are_not_fetched() {
        let places = (0..1_000_u32).map(|number| number * 617 % 1_000);
        assert_eq!(asked(places, true), (1_000, 0));
        assert_eq!(asked((0..1_000).rev(), true), (1_000, 0));
    }

    #[test]
    fn small_gaps_are_put_up_with() {
        let (messages, _) = asked((0..1_000).step_by(3), true);
        assert!(messages < 100, "{messages}");
    }

    #[test]
    fn what_is_not_read_is_not_fetched() {
        let mut sequence = Sequence::new();
        for place in 0..100 {
            let at = Places {
                listing: place,
                name: place,
            };
            assert_eq!(sequence.opened(at, false, true), None);
        }
    }

    #[test]
    fn names_have_an_order_too() {
        let mut sequence = Sequence::new();
        let mut found = None;
        for place in 0..10_u32 {
            let at = Places {
                listing: 1_000 - place,
                name: place,
            };
            found = found.or(sequence.opened(at, true, true));
        }
        assert_eq!(found, Some((Order::Name, FIRST)));
    }
}
