// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which names the entries of a merged directory get.
//!
//! A directory of several devices, in the order of their numbers, with this device
//! as number 0 in front. The rules, for each real name N that any of them has:
//!
//! 1. The first device that has N keeps the plain name.
//! 2. If that is a directory, the directories N of later devices are merged into it.
//! 3. If it is not, the first later directory is shown as `N_remote_directory`, and
//!    those after it are merged into that.
//! 4. Every later N that is no directory is shown with `_conflict_dev<number>`
//!    before the last dot of N, unless that is the first character or there is none;
//!    then at the end.
//! 5. Real names win: where a decorated name is a real name of any device, `_2`,
//!    `_3`... follows it, the first that is free.
//! 6. Where a decorated name would be longer than [`MAX`], what stands before the
//!    suffix is cut and gets `~` and a hash of N.
//!
//! Two different decorated names could be the same still. A complete one wins over
//! one that was cut, then that of a file over that of a directory; among those
//! that were cut, the one of the smaller real name wins. The others count on.
//!
//! So what a name stands for follows from a few real names ([`resolve`]), and only
//! for one that was cut the whole directory has to be known ([`list`]).

mod decoration;
mod hash;
mod listing;
mod lookup;
#[cfg(test)]
mod tests;

pub use decoration::{is_decorated, Decorated, Suffix, Text};
pub use listing::{list, list_shortened, Entries, Entry, Item, Slot, Taken};
pub use lookup::{resolve, Answer, Holder, Incomplete, RealNames};

/// Most bytes in a name; C: `NAME_MAX`.
pub const MAX: usize = 255;

/// The largest counter (rule 5). A directory in which an entry finds that many names
/// taken was made for it, and the entry is not shown.
pub const MAX_COUNTER: u32 = 1000;

/// What has a name. The order decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// What happens to remote directories whose names are those of local ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directories {
    /// They are merged into the local ones.
    #[default]
    Merge,
    /// They are shown as `N_remote_directory`: rule 2 is off for this device's directories.
    Rename,
}

/// In which way an entry is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// By its real name, or as a part of the directory of that name.
    Plain,
    /// As a part of the directory with [`Suffix::RemoteDirectory`].
    RemoteDirectory,
    /// By a name of its own, with [`Suffix::Conflict`].
    Conflict,
}

impl Role {
    /// The role of `holder`, when `first` is the first device that has the name; both may be the
    /// same.
    pub fn of(holder: Holder, first: Holder, directories: Directories) -> Self {
        let merges = first.kind == Kind::Directory
            && !(first.device == 0 && directories == Directories::Rename);
        match holder.kind {
            _ if holder.device == first.device => Role::Plain,
            Kind::Other => Role::Conflict,
            Kind::Directory if merges => Role::Plain,
            Kind::Directory => Role::RemoteDirectory,
        }
    }
    /// What is added to the names of entries of this role, of the device with this number.
    pub fn suffix(self, device: u32) -> Option<Suffix> {
        match self {
            Role::Plain => None,
            Role::RemoteDirectory => Some(Suffix::RemoteDirectory),
            Role::Conflict => Some(Suffix::Conflict(device)),
        }
    }
}
