// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The change attribute: a number that differs whenever a file has changed.

/// What of a file the change attribute is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The lower file system's own counter of changes, where it has one.
    pub cookie: Option<u64>,
    /// Seconds of the last change of anything.
    pub ctime_seconds: i64,
    /// Nanoseconds of the last change of anything, less than a billion.
    pub ctime_nanoseconds: u32,
    /// Size in bytes.
    pub size: u64,
}

impl Version {
    /// The change attribute.
    ///
    /// A counter may run back in a crash, when its last values had not reached the
    /// disk, and then forward again over other data; the time of the last change
    /// does not repeat, so it is mixed in. Where there is no counter, the time may
    /// be coarse: the size then tells at least appended and shortened files apart.
    pub fn change(&self) -> u64 {
        let time = (self.ctime_seconds as u64)
            .wrapping_shl(30)
            .wrapping_add(self.ctime_nanoseconds.into());
        match self.cookie {
            Some(cookie) => cookie.wrapping_add(time),
            None => time ^ self.size.rotate_right(24),
        }
    }
}

/// How many seconds one value of a coarse time may stand for; two are those of FAT.
const COARSE: u64 = 2;

/// Whether a file whose last change was at `ctime` may be changed again without getting another one,
/// as far as times are coarse. Both are in seconds.
pub fn may_keep_time(ctime: i64, now: i64) -> bool {
    // The clock may tick between the two.
    now.abs_diff(ctime) <= COARSE + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VERSION: Version = Version {
        cookie: None,
        ctime_seconds: 1_700_000_000,
        ctime_nanoseconds: 5,
        size: 4096,
    };

    #[test]
    fn a_time_is_settled_when_it_has_passed() {
        for (ctime, now, may_keep) in [
            (100, 100, true),
            (100, 102, true),
            (100, 104, false),
            (104, 100, false),
            (i64::MIN, i64::MAX, false),
        ] {
            assert_eq!(may_keep_time(ctime, now), may_keep, "{ctime} at {now}");
        }
    }

    proptest! {
        #[test]
        fn a_counted_change_shows(cookie in any::<u64>(), steps in 1u64..1 << 40) {
            let before = Version { cookie: Some(cookie), ..VERSION };
            let after = Version { cookie: Some(cookie.wrapping_add(steps)), ..VERSION };
            prop_assert_ne!(before.change(), after.change());
        }

        #[test]
        fn a_later_time_shows(seconds in 0i64..1 << 33, nanoseconds in 0u32..1_000_000_000) {
            let after = Version {
                ctime_seconds: seconds,
                ctime_nanoseconds: nanoseconds,
                ..VERSION
            };
            prop_assert_eq!(after.change() == VERSION.change(), after == VERSION);
        }

        #[test]
        fn another_size_shows_without_a_counter(size in any::<u64>()) {
            let after = Version { size, ..VERSION };
            prop_assert_eq!(after.change() == VERSION.change(), size == VERSION.size);
        }

        #[test]
        fn a_counter_that_ran_back_does_not_repeat(
            lost in 1u64..1 << 20, redone in 0u64..1 << 20, later in 1i64..1 << 20,
        ) {
            // After a crash, writes count on from an older value, at a later time.
            let before = Version { cookie: Some(1 << 30), ..VERSION };
            let after = Version {
                cookie: Some((1 << 30) - lost + redone),
                ctime_seconds: VERSION.ctime_seconds + later,
                ..VERSION
            };
            prop_assert_ne!(before.change(), after.change());
        }
    }
}
