// SPDX-License-Identifier: MIT OR Apache-2.0

//! What must hold whatever the owner's files lie on, on every kind of file system; what one
//! of them cannot do fails on another device as it fails there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::device::Device;
use crate::fleet::{Fleet, Plan};
use crate::storage::Storage;
use crate::suite::support::fails;
use crate::suite::{Body, Group, Test};

mod attributes;
mod costs;
mod data;
mod names;
mod opening;
mod restart;
mod sharing;

/// A device whose tree lies on this file system, which it is called after.
pub struct Owner {
    name: &'static str,
    storage: &'static Storage,
    /// Links, special files, extended attributes, files without a name, any byte in names.
    unix: bool,
    /// Holes are found, and made by fallocate(2).
    holes: bool,
    /// FALLOC_FL_ZERO_RANGE.
    zeroes: bool,
    /// FALLOC_FL_COLLAPSE_RANGE and FALLOC_FL_INSERT_RANGE.
    shifts: bool,
    /// Files that share their space.
    clones: bool,
}

/// All of them can do what is not named here.
const ABLE: Owner = Owner {
    name: "",
    storage: &Storage::Memory(256),
    unix: true,
    holes: true,
    zeroes: true,
    shifts: true,
    clones: true,
};

static EXT4: Owner = Owner {
    name: "ext4",
    storage: &Storage::Image("ext4", 192),
    clones: false,
    ..ABLE
};

static XFS: Owner = Owner {
    name: "xfs",
    storage: &Storage::Image("xfs", 320),
    ..ABLE
};

static BTRFS: Owner = Owner {
    name: "btrfs",
    storage: &Storage::Image("btrfs", 320),
    shifts: false,
    ..ABLE
};

static TMPFS: Owner = Owner {
    name: "tmpfs",
    zeroes: false,
    shifts: false,
    clones: false,
    ..ABLE
};

static VFAT: Owner = Owner {
    name: "vfat",
    storage: &Storage::Image("vfat", 128),
    unix: false,
    holes: false,
    zeroes: false,
    shifts: false,
    clones: false,
};

static OWNERS: [&Owner; 5] = [&EXT4, &XFS, &BTRFS, &TMPFS, &VFAT];

/// One test of each theme for each owner.
macro_rules! on_each {
    ($($theme:path as $name:literal),+ $(,)?) => {
        &[$(
            Test { name: concat!($name, "_on_ext4"), body: Body::Fleet(|fleet| run(&EXT4, fleet, $theme)) },
            Test { name: concat!($name, "_on_xfs"), body: Body::Fleet(|fleet| run(&XFS, fleet, $theme)) },
            Test { name: concat!($name, "_on_btrfs"), body: Body::Fleet(|fleet| run(&BTRFS, fleet, $theme)) },
            Test { name: concat!($name, "_on_tmpfs"), body: Body::Fleet(|fleet| run(&TMPFS, fleet, $theme)) },
            Test { name: concat!($name, "_on_vfat"), body: Body::Fleet(|fleet| run(&VFAT, fleet, $theme)) },
        )+
            Test { name: "names_after_an_owner_has_started_anew", body: Body::Fleet(restart::names_after_an_owner_has_started_anew) },
            Test { name: "owners_that_start_anew", body: Body::Fleet(restart::owners_that_start_anew) },
        ]
    };
}

/// A laptop that may change the files of five others.
pub const GROUP: Group = Group {
    name: "owners",
    fleet: Some(prepare),
    seconds: 6,
    tests: on_each![
        opening::every_flag as "every_flag",
        opening::without_a_name as "files_without_a_name",
        names::of_any_bytes as "names_of_any_bytes",
        names::renamed as "renaming",
        names::listed_while_they_change as "listings",
        attributes::told as "attributes_are_told",
        attributes::times as "times",
        attributes::extended as "extended_attributes",
        data::space as "space",
        data::copies as "copies",
        data::beyond_four_gib as "files_beyond_4_gib",
        data::mapped_and_cut as "mapped_and_cut",
        sharing::locks as "locks",
        sharing::changes_of_others as "changes_of_others",
        costs::round_trips_of_files as "round_trips",
        costs::many_small_files as "many_small_files",
    ],
};

/// Who else may change an owner's files: another owner.
fn third(owner: &Owner) -> &'static str {
    if owner.name == TMPFS.name {
        EXT4.name
    } else {
        TMPFS.name
    }
}

fn prepare() -> Result<Fleet> {
    let mut devices = vec![("laptop", Storage::Memory(64))];
    devices.extend(OWNERS.map(|owner| (owner.name, owner.storage.clone())));
    OWNERS
        .iter()
        .fold(Plan::with_storage(devices), |plan, owner| {
            plan.policy(owner.name, "laptop", "write", 4).policy(
                owner.name,
                third(owner),
                "write",
                4,
            )
        })
        .start()
}

/// A directory of an owner, and where the others see it.
struct Stage<'a> {
    owner: &'static Owner,
    /// The owner itself.
    device: &'a Device,
    laptop: &'a Device,
    /// Where the owner has it.
    home: PathBuf,
    /// Where the laptop sees it.
    there: PathBuf,
    /// Where a third device sees it.
    third: PathBuf,
}

impl Stage<'_> {
    /// What must work where the file system can do it, and fails with `errno` where it cannot; gives
    /// whether it worked.
    fn tries<T>(
        &self,
        what: &str,
        able: bool,
        result: io::Result<T>,
        errno: i32,
    ) -> Result<Option<T>> {
        if able {
            result.map(Some).with_context(|| what.to_owned())
        } else {
            fails(what, result, errno).map(|()| None)
        }
    }

    /// One file in all three places.
    fn file(&self, name: &str) -> [PathBuf; 3] {
        [&self.home, &self.there, &self.third].map(|folder| folder.join(name))
    }
}

fn run(owner: &'static Owner, fleet: &Fleet, theme: fn(&Stage<'_>) -> Result<()>) -> Result<()> {
    const FOLDER: &str = "folder";
    let device = fleet.device(owner.name)?;
    let laptop = fleet.device("laptop")?;
    let home = device.export().join(FOLDER);
    // What a test that failed has left.
    remove(&home)?;
    fs::create_dir(&home)?;
    let stage = Stage {
        owner,
        device,
        laptop,
        there: laptop.view(owner.name).join(FOLDER),
        third: fleet.device(third(owner))?.view(owner.name).join(FOLDER),
        home,
    };
    theme(&stage)?;
    remove(&stage.home)
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("cannot remove {}", folder.display())),
    }
}
