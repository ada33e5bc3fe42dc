// SPDX-License-Identifier: MIT OR Apache-2.0

//! How long to wait before trying again.

use std::time::Duration;

/// Doubles from `first` to `last`, and varies, so that many devices do not try in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits `first`, then twice as long each time, but never longer than `last`.
    pub fn new(first: Duration, last: Duration) -> Self {
        Backoff {
            first,
            last,
            next: first,
        }
    }

    /// Begins again: the last attempt was a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next wait: half of it is certain, half is drawn by `random`, 0 to 255.
    pub fn wait(&mut self, random: u8) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.last);
        whole / 2 + whole / 2 * u32::from(random) / 255
    }
}

/// Randomness for waits. It need not be secret, just different between devices.
pub fn random() -> u8 {
    use std::hash::{BuildHasher, Hasher};
    let hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.finish() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_last_and_begins_again() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        let waits: Vec<_> = (0..9).map(|_| backoff.wait(255).as_millis()).collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
        );
        backoff.reset();
        assert_eq!(backoff.wait(255).as_millis(), 500);
        assert_eq!(backoff.wait(0).as_millis(), 500);
    }
}
