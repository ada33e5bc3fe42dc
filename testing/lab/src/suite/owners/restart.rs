// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is left when an owner, and then this device, has started anew.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};

use super::{Owner, OWNERS};
use crate::fleet::Fleet;
use crate::suite::remote_attributes::{mtime, time, utimes};
use crate::suite::support::{holds, same, same_bytes, writable};
use crate::tree;
use crate::wait::PATIENCE;

const NAMES: [&str; 3] = ["kept", "kept folder", "kept open"];

/// Handles of open files lead to them still, and what programs have set stays.
pub fn owners_that_start_anew(fleet: &mut Fleet) -> Result<()> {
    let stamp = time(1_000_000_000, 0);
    let mut open = Vec::new();
    for owner in lasting() {
        let [kept, folder, held] = NAMES.map(|name| view(fleet, owner, name));
        let (kept, folder, held) = (kept?, folder?, held?);
        fs::write(&kept, "kept")?;
        fs::create_dir(&folder)?;
        fs::write(&held, "before")?;
        for path in [&kept, &folder, &held] {
            utimes(path, stamp, stamp)?;
        }
        let file = writable(&held)?;
        file.sync_all()?;
        open.push(file);
    }
    for owner in lasting() {
        let device = fleet.device_mut(owner.name)?;
        device.remount_all().context(owner.name)?;
    }
    fleet.wait_online(PATIENCE)?;
    for (owner, file) in lasting().zip(&open) {
        works(fleet, owner, file).context(owner.name)?;
    }
    drop(open);
    let laptop = fleet.device_mut("laptop")?;
    laptop.umount()?;
    laptop.mount()?;
    fleet.wait_online(PATIENCE)?;
    for owner in lasting() {
        let [kept, folder, held] = NAMES.map(|name| view(fleet, owner, name));
        let (kept, folder, held) = (kept?, folder?, held?);
        for path in [&kept, &folder] {
            let found = mtime(path).context(owner.name)?;
            same("time after all", found, (stamp.tv_sec, 0))?;
        }
        holds(&kept, b"kept")?;
        fs::remove_file(kept)?;
        fs::remove_file(held)?;
        fs::remove_dir(folder)?;
    }
    Ok(())
}

/// Where no handle leads to a file any more, its name does.
pub fn names_after_an_owner_has_started_anew(fleet: &mut Fleet) -> Result<()> {
    for owner in [&super::EXT4, &super::VFAT] {
        let folder = view(fleet, owner, "named")?;
        fs::create_dir(&folder)?;
        fs::create_dir(folder.join("inner"))?;
        let inside = folder.join("inner").join("inside");
        fs::write(&inside, owner.name)?;
        let current = File::open(&folder)?;
        for path in [&folder, &inside] {
            fs::metadata(path)?;
        }
        fleet
            .device_mut(owner.name)?
            .remount_all()
            .context(owner.name)?;
        fleet.wait_online(PATIENCE)?;
        let found = (|| {
            let size = fs::metadata(&inside).context("stat")?.len();
            same("size", size, owner.name.len() as u64)?;
            holds(&inside, owner.name.as_bytes()).context("reading")?;
            same("names", tree::names(&folder)?, vec!["inner".into()])?;
            fs::write(&inside, "new").context("writing anew")?;
            holds(&inside, b"new").context("reading what is new")?;
            fs::remove_dir_all(&folder).context("removing all")
        })();
        found.context(owner.name)?;
        drop(current);
    }
    Ok(())
}

/// A FAT file system knows nothing of the numbers that its files had.
fn lasting() -> impl Iterator<Item = &'static Owner> {
    OWNERS.into_iter().filter(|owner| owner.unix)
}

fn view(fleet: &Fleet, owner: &Owner, name: &str) -> Result<std::path::PathBuf> {
    Ok(fleet.device("laptop")?.view(owner.name).join(name))
}

fn works(fleet: &Fleet, owner: &Owner, file: &File) -> Result<()> {
    let held = view(fleet, owner, NAMES[2])?;
    for name in NAMES {
        let found = mtime(&view(fleet, owner, name)?)?;
        same("time", found, (1_000_000_000, 0))?;
    }
    file.write_all_at(b"AFTER", 0)?;
    file.sync_all().context("fsync")?;
    holds(&held, b"AFTERe")?;
    let mut read = [0; 6];
    file.read_exact_at(&mut read, 0)?;
    same_bytes("what is read", &read, b"AFTERe")
}
