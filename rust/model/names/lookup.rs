// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What one name of a merged directory stands for.

use super::{
    decoration::{may_be_shortened, Parsed},
    Decorated, Directories, Kind, Role, Slot, Suffix, Taken, Text, MAX_COUNTER,
};

/// How many counters are asked about at once.
const AHEAD: usize = 8;

/// A device that has some name, and what it has of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The number of the device.
    pub device: u32,
    /// What it has.
    pub kind: Kind,
}

/// What is known of the real names of a directory.
///
/// A name about which nothing is known yet may be asked for more than once before it is known.
pub trait RealNames {
    /// Calls `each` for every device that has an entry `name`, in ascending order of their
    /// numbers and once for each, and gives true. When that is not known, notes that it is
    /// wanted, and gives false.
    fn holders(&mut self, name: &[u8], each: impl FnMut(Holder)) -> bool;
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no memory to put the name into"
)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// The entries of just this name that have no suffix ([`Role::suffix`]).
    Plain,
    /// The entries of this real name that have this suffix.
    Decorated(Text, Suffix),
    /// Perhaps something: it has the form of a name that was cut, and whether it is one only a
    /// listing tells.
    Shortened,
}

/// Some real names have to be asked for first. All that are likely to count were wanted at once;
/// more can turn out only if those are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete;

/// Finds what `shown` stands for.
///
/// [`Incomplete`] when more is to be known of the real names, and then it should be called again.
/// A name that is no decorated one takes one real name, another one two, and one more for each
/// counter below its own, of which eight are wanted at once.
pub fn resolve(
    names: &mut impl RealNames,
    shown: &[u8],
    directories: Directories,
) -> Result<Answer, Incomplete> {
    let mut rules = Rules { names, directories };
    let is_real = rules.is_real(shown);
    if is_real == Some(true) {
        return Ok(Answer::Plain);
    }
    // What is not known is wanted on the way, whatever the answer is.
    let conflict = Parsed::conflict(shown);
    let directory = Parsed::remote_directory(shown);
    let is_conflict = conflict.map_or(Some(false), |parsed| rules.conflict_exists(&parsed));
    let is_directory = match is_conflict {
        Some(true) => Some(false),
        _ => directory.map_or(Some(false), |parsed| rules.directory_exists(&parsed)),
    };
    let parsed = match (is_real, is_conflict, is_directory) {
        (Some(_), Some(true), _) => conflict,
        (Some(_), Some(false), Some(true)) => directory,
        (Some(_), Some(false), Some(false)) if may_be_shortened(shown) => {
            return Ok(Answer::Shortened)
        }
        (Some(_), Some(false), Some(false)) => None,
        _ => return Err(Incomplete),
    };
    Ok(parsed.map_or(Answer::Nothing, |parsed| {
        Answer::Decorated(parsed.name, parsed.suffix)
    }))
}

/// The rules, applied to real names that may not be known yet: then the answer is `None`.
pub(super) struct Rules<'a, N> {
    pub(super) names: &'a mut N,
    pub(super) directories: Directories,
}

impl<N: RealNames> Rules<'_, N> {
    /// Whether any device has the name.
    fn is_real(&mut self, name: &[u8]) -> Option<bool> {
        let mut found = false;
        let known = self.names.holders(name, |_| found = true);
        known.then_some(found)
    }

    /// Whether the real name gives rise to a name with this suffix.
    fn is_claimed(&mut self, name: &[u8], suffix: Suffix) -> Option<bool> {
        let (mut first, mut found) = (None, false);
        let directories = self.directories;
        let known = self.names.holders(name, |holder| {
            let first = *first.get_or_insert(holder);
            let role = Role::of(holder, first, directories);
            found |= role.suffix(holder.device) == Some(suffix);
        });
        known.then_some(found)
    }

    /// Whether a complete name with [`Suffix::Conflict`], which is no real name, is shown.
    fn conflict_exists(&mut self, parsed: &Parsed) -> Option<bool> {
        self.exists(parsed, Self::is_real)
    }

    /// Whether a complete name with [`Suffix::RemoteDirectory`], which is neither a real name nor
    /// a shown one with [`Suffix::Conflict`], is shown.
    fn directory_exists(&mut self, parsed: &Parsed) -> Option<bool> {
        self.exists(parsed, Self::is_taken_by_file)
    }

    /// Whether the parsed name is shown, when it is free and no counter below its own may be.
    fn exists(
        &mut self,
        parsed: &Parsed,
        mut is_taken: impl FnMut(&mut Self, &[u8]) -> Option<bool>,
    ) -> Option<bool> {
        let name = parsed.name.as_bytes();
        let mut answer = self.is_claimed(name, parsed.suffix);
        let mut unknown = 0usize;
        for counter in 1..parsed.counter {
            if answer == Some(false) || unknown == AHEAD {
                break;
            }
            let before = Decorated::new(name, parsed.suffix, counter);
            match is_taken(self, before.as_bytes()) {
                Some(true) => {}
                Some(false) => answer = Some(false),
                None => {
                    answer = None;
                    unknown = unknown.saturating_add(1);
                }
            }
        }
        answer
    }

    /// Whether a name is real, or is shown with [`Suffix::Conflict`] and complete.
    fn is_taken_by_file(&mut self, name: &[u8]) -> Option<bool> {
        let is_real = self.is_real(name);
        let Some(parsed) = Parsed::conflict(name).filter(|_| is_real != Some(true)) else {
            return is_real;
        };
        match (is_real, self.conflict_exists(&parsed)) {
            (None, _) => None,
            (_, exists) => exists,
        }
    }

    /// Whether a name is real, or is shown and complete.
    fn is_taken(&mut self, name: &[u8]) -> Option<bool> {
        match self.is_taken_by_file(name) {
            Some(false) => Parsed::remote_directory(name)
                .map_or(Some(false), |parsed| self.directory_exists(&parsed)),
            other => other,
        }
    }

    /// The counter of the complete name that an entry gets, if it gets one. All names are known.
    pub(super) fn counter(&mut self, name: &[u8], suffix: Suffix) -> Option<u32> {
        for counter in 1..=MAX_COUNTER {
            let decorated = Decorated::new(name, suffix, counter);
            if decorated.is_shortened {
                break;
            }
            let is_taken = match suffix {
                Suffix::Conflict(_) => self.is_real(decorated.as_bytes()),
                Suffix::RemoteDirectory => self.is_taken_by_file(decorated.as_bytes()),
            };
            if is_taken != Some(true) {
                return Some(counter);
            }
        }
        None
    }

    /// The counter of the name that an entry gets that gets no complete one. All names are known.
    pub(super) fn counter_shortened<S: core::ops::DerefMut<Target = [Slot]>>(
        &mut self,
        name: &[u8],
        suffix: Suffix,
        taken: &mut Taken<S>,
    ) -> Option<u32> {
        (1..=MAX_COUNTER).find(|&counter| {
            let decorated = Decorated::new(name, suffix, counter);
            decorated.is_shortened
                && self.is_taken(decorated.as_bytes()) == Some(false)
                && taken.insert(decorated.as_bytes())
        })
    }
}
