// SPDX-License-Identifier: MIT OR Apache-2.0

//! Listings with attributes.

use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};

use super::{nothing, Workload};
use crate::measure::{Measured, Place, Unit};

/// Entries of the directory that is listed.
const ENTRIES: usize = 5_000;

fn prepare_list(place: &Place) -> Result<()> {
    let folder = place.owner.join("list");
    if folder.exists() {
        return Ok(());
    }
    fs::create_dir(&folder)?;
    for number in 0..ENTRIES {
        fs::write(folder.join(format!("entry number {number}")), b"x")?;
    }
    Ok(())
}

/// Lists `folder` and stats each entry, as `ls -l` does.
pub fn list_stat(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder).context("opendir")? {
        let entry = entry.context("readdir")?;
        entry.metadata().context("stat")?;
        count += 1;
    }
    Ok(count)
}

fn list(place: &Place, cold: bool) -> Result<Measured> {
    let folder = Path::new("list");
    let mut count = 0;
    let work = || {
        count = list_stat(folder)?;
        Ok(())
    };
    let measured = if cold {
        place.time_cold(work)?
    } else {
        list_stat(folder)?;
        place.time(work)?
    };
    ensure!(count == ENTRIES, "{count} entries were listed");
    Ok(measured.of(count as u64, 0))
}

/// A directory of 5,000 files listed with attributes, nothing of it cached.
pub const LIST_STAT_COLD: Workload = Workload {
    name: "list_stat_cold",
    unit: Unit::Seconds,
    warm_ups: 1,
    runs: (3, 2),
    prepare: prepare_list,
    run: |place| list(place, true),
    clean: nothing,
};

/// The same listed again at once.
pub const LIST_STAT_WARM: Workload = Workload {
    name: "list_stat_warm",
    unit: Unit::Seconds,
    warm_ups: 1,
    runs: (5, 3),
    prepare: prepare_list,
    run: |place| list(place, false),
    clean: |place| Ok(fs::remove_dir_all(place.owner.join("list"))?),
};

/// Every entry of a tree with its attributes, as `find -ls` does; returns how many.
pub(super) fn walk(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("opendir {}", folder.display()))? {
        let entry = entry.context("readdir")?;
        let metadata = entry
            .metadata()
            .with_context(|| format!("stat {}", entry.path().display()))?;
        count += 1;
        if metadata.is_dir() {
            count += walk(&entry.path())?;
        }
    }
    Ok(count)
}

fn prepare_walk(place: &Place) -> Result<()> {
    super::programs::unpack(place, "tree")
}

fn walk_tree(place: &Place, cold: bool) -> Result<Measured> {
    let tree = Path::new("tree");
    let expected = walk(&place.owner.join("tree"))?;
    let mut count = 0;
    let work = || {
        count = walk(tree)?;
        Ok(())
    };
    let measured = if cold {
        place.time_cold(work)?
    } else {
        walk(tree)?;
        place.time(work)?
    };
    ensure!(count == expected, "{count} entries of {expected} were seen");
    Ok(measured.of(count as u64, 0))
}

/// A tree of some thousand real files walked with attributes, nothing of it cached.
pub const WALK_COLD: Workload = Workload {
    name: "walk_cold",
    unit: Unit::Seconds,
    warm_ups: 1,
    runs: (3, 2),
    prepare: prepare_walk,
    run: |place| walk_tree(place, true),
    clean: nothing,
};

/// The same walked again at once.
pub const WALK_WARM: Workload = Workload {
    name: "walk_warm",
    unit: Unit::Seconds,
    warm_ups: 1,
    runs: (3, 2),
    prepare: prepare_walk,
    run: |place| walk_tree(place, false),
    clean: nothing,
};
