// SPDX-License-Identifier: GPL-2.0

//! For how long something that a peer told is taken as it is.

use hmdfs_kapi::fs::dentry;

/// Until when a cached answer is good, as the number that a dentry keeps.
///
/// The upper half is the generation of the set of peers in which the answer was
/// given: it ends when any device comes, goes or changes. The lower half is the time
/// at which the answer gets too old, in jiffies, or zero for never.
///
/// An answer that was given under a lease has the highest bit set, which no generation
/// reaches. It is good while the note of the inode that the lease is on has the same
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity(u64);

/// The highest bit: a lease.
const LEASE: u64 = 1 << 63;

/// Where the lower bits of the generation are in the number of a lease. Below is which lease it
/// is.
const LEASE_GENERATION: u32 = 40;

const LEASE_NUMBER: u64 = (1 << LEASE_GENERATION) - 1;

impl Validity {
    /// Of what never changes.
    pub(crate) const FOREVER: Self = Self(u64::MAX);

    /// Of what has to be asked for at every use.
    pub(crate) const NONE: Self = Self(0);

    /// Good while no device comes or goes.
    pub(crate) fn generation(generation: u64) -> Self {
        Self((generation << 32) & !LEASE)
    }

    /// Good for `jiffies` from now on, while no device comes or goes.
    pub(crate) fn timed(generation: u64, jiffies: usize) -> Self {
        let end = dentry::jiffies().wrapping_add(jiffies) as u32;
        // Zero stands for never.
        Self(Self::generation(generation).0 | u64::from(end.max(1)))
    }

    /// Good while a lease is held that was asked for by the question `number`.
    pub(crate) fn leased(generation: u64, number: u64) -> Self {
        let lease = (generation << LEASE_GENERATION) | (number & LEASE_NUMBER);
        // All ones stand for ever.
        Self((lease | LEASE).min(u64::MAX - 1))
    }

    /// Whether it ends after some time.
    pub(crate) fn is_timed(self) -> bool {
        !self.is_leased() && self != Self::FOREVER && self.0 as u32 != 0
    }

    /// Whether it ends with a lease.
    pub(crate) fn is_leased(self) -> bool {
        self != Self::FOREVER && self.0 & LEASE != 0
    }

    /// Whether it ends with a lease that is held in this generation of the set of peers, and was when
    /// `since` was given, which ends with a lease, too.
    pub(crate) fn is_held_since(self, generation: u64, since: Self) -> bool {
        let is_current = |lease: Self| lease.is_leased() && lease.holds(generation, lease.0);
        is_current(self) && is_current(since) && self.0 & LEASE_NUMBER <= since.0 & LEASE_NUMBER
    }

    /// Whether it ends with a lease that was asked for after the question `number`.
    pub(crate) fn is_later_than(self, number: u64) -> bool {
        self.is_leased() && self.0 & LEASE_NUMBER > number & LEASE_NUMBER
    }

    /// What a dentry, and the note of an inode, keeps.
    pub(crate) fn as_number(self) -> u64 {
        self.0
    }

    /// What was kept.
    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// What a dentry keeps.
    pub(crate) fn as_time(self) -> usize {
        self.0 as usize
    }

    /// What a dentry has kept.
    pub(crate) fn from_time(time: usize) -> Self {
        Self(time as u64)
    }

    /// Whether it is still good in this generation of the set of peers, where `note` is the one of
    /// the inode that the lease would be on.
    pub(crate) fn holds(self, generation: u64, note: u64) -> bool {
        if self == Self::FOREVER {
            return true;
        }
        if self.is_leased() {
            return self.0 == note && (self.0 ^ Self::leased(generation, 0).0) <= LEASE_NUMBER;
        }
        let (born, end) = (self.0 >> 32, self.0 as u32);
        if self == Self::NONE || born != Self::generation(generation).0 >> 32 {
            return false;
        }
        end == 0 || (end.wrapping_sub(dentry::jiffies() as u32) as i32) > 0
    }
}
