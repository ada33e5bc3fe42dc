// SPDX-License-Identifier: GPL-2.0

//! For how long something that a peer told is taken as it is.

use hmdfs_kapi::fs::dentry;

/// Until when a cached answer is good, as the number that a dentry keeps.
///
/// The upper half is the generation of the set of peers in which the answer was
/// given: it ends when any device comes, goes or changes. The lower half is the time
/// at which the answer gets too old, in jiffies, or zero for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity(u64);

impl Validity {
    /// Of what never changes.
    pub(crate) const FOREVER: Self = Self(u64::MAX);

    /// Of what has to be asked for at every use.
    pub(crate) const NONE: Self = Self(0);

    /// Good while no device comes or goes.
    pub(crate) fn generation(generation: u64) -> Self {
        Self(generation << 32)
    }

    /// Good for `jiffies` from now on, while no device comes or goes.
    pub(crate) fn lease(generation: u64, jiffies: usize) -> Self {
        let end = dentry::jiffies().wrapping_add(jiffies) as u32;
        // Zero stands for never.
        Self((generation << 32) | u64::from(end.max(1)))
    }

    /// Whether it ends after some time.
    pub(crate) fn is_lease(self) -> bool {
        self != Self::FOREVER && self.0 as u32 != 0
    }

    /// What a dentry keeps.
    pub(crate) fn as_time(self) -> usize {
        self.0 as usize
    }

    /// What a dentry has kept.
    pub(crate) fn from_time(time: usize) -> Self {
        Self(time as u64)
    }

    /// Whether it is still good in this generation of the set of peers.
    pub(crate) fn holds(self, generation: u64) -> bool {
        if self == Self::FOREVER {
            return true;
        }
        let (born, end) = ((self.0 >> 32) as u32, self.0 as u32);
        if self == Self::NONE || born != generation as u32 {
            return false;
        }
        end == 0 || (end.wrapping_sub(dentry::jiffies() as u32) as i32) > 0
    }
}
