// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Whether cached data are still those of their owner, while this device writes.
//!
//! Every change of a file gives it another change attribute. One that was not caused
//! here means that what is cached is old. The owner tells the attribute before and
//! after each of our writes, so that these are not mistaken for somebody else's, in
//! whatever order the replies arrive.

/// Which change attribute the cached data of a file belong to.
#[derive(Clone, Debug)]
pub struct Content {
    change: u64,
    /// Writes whose predecessor is not known yet: attribute before, and after.
    early: [Option<(u64, u64)>; Content::EARLY],
    /// What is cached is not what the owner has.
    doubtful: bool,
}

impl Content {
    /// How many replies may overtake that to an earlier write. With more, cached data are
    /// dropped without need.
    pub const EARLY: usize = 32;

    /// Data that belong to `change`.
    pub const fn new(change: u64) -> Self {
        Self {
            change,
            early: [None; Self::EARLY],
            doubtful: false,
        }
    }

    /// Whether a file with this change attribute has the data that are cached.
    pub const fn is_current(&self, change: u64) -> bool {
        !self.doubtful && self.change == change
    }

    /// This device has changed the file, and with it what is cached: the attribute was `before`,
    /// and is `after`.
    pub fn changed(&mut self, before: u64, after: u64) {
        if before == self.change {
            self.change = after;
            self.catch_up();
        } else if let Some(place) = self.early.iter_mut().find(|place| place.is_none()) {
            *place = Some((before, after));
        }
        // Without a place for it, the chain stays broken, and the data seem old.
    }

    /// What is cached was dropped; from now on it belongs to `change`.
    pub fn replace(&mut self, change: u64) {
        *self = Self::new(change);
    }

    /// A write failed: the owner may not have what is cached.
    pub fn doubt(&mut self) {
        self.doubtful = true;
    }

    fn catch_up(&mut self) {
        while let Some(place) = self
            .early
            .iter_mut()
            .find(|place| place.is_some_and(|(before, _)| before == self.change))
        {
            match place.take() {
                // A write that changed nothing must not go round for ever.
                Some((before, after)) if before != after => self.change = after,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Changes in the order of their execution; `true`: by this device. Gives the pairs that the
    /// owner tells, and the attribute at the end.
    fn execute(start: u64, steps: &[bool]) -> (Vec<(u64, u64)>, u64) {
        let mut change = start;
        let mut told = Vec::new();
        for (step, own) in (1..).zip(steps) {
            let before = change;
            change = change.wrapping_add(step * 7919);
            if *own {
                told.push((before, change));
            }
        }
        (told, change)
    }

    proptest! {
        #[test]
        fn own_writes_keep_what_is_cached(
            start in any::<u64>(),
            (count, order) in (1..Content::EARLY)
                .prop_flat_map(|count| (Just(count), Just((0..count).collect::<Vec<_>>()).prop_shuffle())),
        ) {
            let (told, end) = execute(start, &std::vec![true; count]);
            let mut content = Content::new(start);
            for index in order {
                prop_assert!(!content.is_current(end));
                content.changed(told[index].0, told[index].1);
            }
            prop_assert!(content.is_current(end));
        }

        #[test]
        fn the_change_of_another_is_never_overlooked(
            start in any::<u64>(),
            steps in proptest::collection::vec(any::<bool>(), 1..100),
            keys in proptest::collection::vec(any::<u32>(), 100),
        ) {
            prop_assume!(steps.contains(&false));
            let (told, end) = execute(start, &steps);
            let mut content = Content::new(start);
            let mut replies: Vec<_> = told.into_iter().zip(keys).collect();
            replies.sort_by_key(|(_, key)| *key);
            for ((before, after), _) in replies {
                content.changed(before, after);
            }
            prop_assert!(!content.is_current(end));
            content.replace(end);
            prop_assert!(content.is_current(end));
        }
    }

    #[test]
    fn a_failed_write_leaves_doubt() {
        let mut content = Content::new(1);
        content.doubt();
        assert!(!content.is_current(1));
        content.replace(1);
        assert!(content.is_current(1));
    }

    #[test]
    fn a_write_without_effect_is_no_loop() {
        let mut content = Content::new(1);
        content.changed(2, 2);
        content.changed(1, 2);
        assert!(content.is_current(2));
    }
}
