// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading and unloading the module.

use std::fs;

use anyhow::{ensure, Context, Result};

use crate::fleet::{self, Plan};
use crate::manifest;
use crate::module;
use crate::sample;
use crate::suite::{tests, Group};
use crate::{random::Random, wait};

/// Before anything else uses it.
pub const FIRST: Group = Group {
    name: "module",
    fleet: None,
    seconds: 5,
    tests: tests![Alone: loads_and_unloads_twice, has_autoload_aliases, can_be_used_again_after_unloading],
};

/// After everything else.
pub const LAST: Group = Group {
    name: "unload",
    fleet: None,
    seconds: 8,
    tests: tests![Alone: while_mounted_is_refused, right_after_unmounting],
};

fn registered() -> Result<bool> {
    let table = fs::read_to_string("/proc/filesystems")?;
    Ok(table.lines().any(|line| line.ends_with("\thmdfs")))
}

/// Unloading fails while kernel threads of links still wind down; a user would
/// try again, for a short time.
fn unload_soon() -> Result<()> {
    wait::until("the module to be unloaded", wait::PATIENCE, || {
        module::unload().map(|()| true)
    })?;
    Ok(())
}

fn loads_and_unloads_twice() -> Result<()> {
    fleet::clean()?;
    if module::is_loaded()? {
        module::unload()?;
    }
    for _ in 0..2 {
        module::load()?;
        ensure!(registered()?, "the file system type is not registered");
        module::unload()?;
        ensure!(!registered()?, "the file system type is still registered");
    }
    Ok(())
}

fn has_autoload_aliases() -> Result<()> {
    let path = module::path();
    let image =
        fs::read(&path).with_context(|| format!("cannot read the module {}", path.display()))?;
    // The strings of the section .modinfo end with NUL.
    for alias in ["alias=fs-hmdfs", "alias=net-pf-16-proto-16-family-hmdfs"] {
        let found = image
            .split(|byte| *byte == 0)
            .any(|text| text == alias.as_bytes());
        ensure!(found, "{} lacks {alias}", path.display());
    }
    Ok(())
}

fn small_fleet() -> Result<fleet::Fleet> {
    let fleet = Plan::new(&["laptop", "tablet"]).start()?;
    let tablet = fleet.device("tablet")?.export();
    sample::forest(&tablet, 20, &mut Random::new(1))?;
    Ok(fleet)
}

fn can_be_used_again_after_unloading() -> Result<()> {
    for _ in 0..2 {
        module::ensure_loaded()?;
        let fleet = small_fleet()?;
        let laptop = fleet.device("laptop")?;
        manifest::must_be_equal(&fleet.device("tablet")?.export(), &laptop.view("tablet"))?;
        fleet.close()?;
        unload_soon()?;
    }
    Ok(())
}

fn while_mounted_is_refused() -> Result<()> {
    module::ensure_loaded()?;
    let fleet = small_fleet()?;
    ensure!(
        module::unload().is_err(),
        "the module was unloaded although it was in use"
    );
    fleet.close()
}

fn right_after_unmounting() -> Result<()> {
    module::ensure_loaded()?;
    let mut fleet = small_fleet()?;
    // The daemons still hold their ends, and bytes are under way.
    let laptop = fleet.device("laptop")?.view("tablet");
    crate::tree::list(&laptop)?;
    for name in ["laptop", "tablet"] {
        fleet.device_mut(name)?.umount()?;
    }
    unload_soon()?;
    fleet.close()
}
