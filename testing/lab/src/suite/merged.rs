// SPDX-License-Identifier: MIT OR Apache-2.0

//! `merge_view`: all devices' files as one tree.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use anyhow::{ensure, Result};

use crate::fleet::{Fleet, Plan};
use crate::suite::support::{fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;

/// Three devices that have some names in common.
pub const GROUP: Group = Group {
    name: "merged",
    fleet: Some(prepare),
    seconds: 4,
    tests: tests![
        Fleet: shows_files_of_all_devices,
        merges_directories_of_one_name,
        a_device_keeps_its_own_names,
        what_is_listed_is_found,
        what_is_not_listed_is_missing,
        follows_changes,
        others_files_cannot_be_changed_without_permission,
    ],
};

const DEVICES: [&str; 3] = ["laptop", "tablet", "phone"];

fn prepare() -> Result<Fleet> {
    let fleet = Plan::new(&DEVICES).start()?;
    for device in fleet.devices() {
        let (export, name) = (device.export(), device.name());
        fs::create_dir_all(export.join("shared/deeper"))?;
        fs::create_dir(export.join("empty"))?;
        fs::create_dir(export.join(format!("folder of {name}")))?;
        fs::write(export.join(format!("folder of {name}/file")), name)?;
        fs::write(export.join(format!("only on {name}")), name)?;
        fs::write(export.join(format!("shared/{name}.txt")), name)?;
        fs::write(export.join(format!("shared/deeper/{name}")), name)?;
        fs::write(export.join("common.txt"), name)?;
        fs::create_dir(export.join("sizes"))?;
    }
    // What the attempts to change something are made on; the phone's.
    let phone = fleet.device("phone")?.export().join("sizes");
    fs::write(phone.join("4096"), [4; 4096])?;
    fs::write(phone.join("1"), "1")?;
    Ok(fleet)
}

fn shows_files_of_all_devices(fleet: &mut Fleet) -> Result<()> {
    for viewer in fleet.devices() {
        for owner in DEVICES {
            let merged = viewer.merged();
            holds(&merged.join(format!("only on {owner}")), owner.as_bytes())?;
            holds(
                &merged.join(format!("folder of {owner}/file")),
                owner.as_bytes(),
            )?;
        }
    }
    Ok(())
}

fn merges_directories_of_one_name(fleet: &mut Fleet) -> Result<()> {
    for viewer in fleet.devices() {
        let shared = viewer.merged().join("shared");
        let mut expected: Vec<OsString> = DEVICES
            .iter()
            .map(|name| format!("{name}.txt").into())
            .collect();
        expected.push("deeper".into());
        expected.sort();
        same("names", tree::names(&shared)?, expected)?;
        for owner in DEVICES {
            holds(&shared.join(format!("{owner}.txt")), owner.as_bytes())?;
            holds(&shared.join("deeper").join(owner), owner.as_bytes())?;
        }
    }
    Ok(())
}

fn a_device_keeps_its_own_names(fleet: &mut Fleet) -> Result<()> {
    for viewer in fleet.devices() {
        let name = viewer.name().as_bytes();
        holds(&viewer.merged().join("common.txt"), name)?;
    }
    Ok(())
}

fn what_is_listed_is_found(fleet: &mut Fleet) -> Result<()> {
    for viewer in fleet.devices() {
        let merged = viewer.merged();
        let names = tree::names(&merged)?;
        let distinct: BTreeSet<_> = names.iter().collect();
        same("different names", distinct.len(), names.len())?;
        // Every listed entry can be looked up, down to the leaves.
        let all = tree::list(&merged)?;
        ensure!(all.len() > names.len(), "the listing does not go down");
    }
    Ok(())
}

fn what_is_not_listed_is_missing(fleet: &mut Fleet) -> Result<()> {
    for viewer in fleet.devices() {
        let merged = viewer.merged();
        fails(
            "a missing name",
            fs::metadata(merged.join("nothing")),
            libc::ENOENT,
        )?;
        let decorated = merged.join("only on phone_conflict_dev3");
        fails("a decorated name", fs::metadata(decorated), libc::ENOENT)?;
    }
    Ok(())
}

fn follows_changes(fleet: &mut Fleet) -> Result<()> {
    let merged = fleet.device("laptop")?.merged();
    let home = fleet.device("phone")?.export().join("shared/new");
    fs::write(&home, "one")?;
    holds(&merged.join("shared/new"), b"one")?;
    ensure!(
        tree::shows(&merged.join("shared"), "new")?,
        "it is not listed"
    );
    fs::write(&home, "two, longer")?;
    holds(&merged.join("shared/new"), b"two, longer")?;
    fs::remove_file(&home)?;
    ensure!(!tree::shows(&merged.join("shared"), "new")?, "still listed");
    fails(
        "opening it",
        fs::read(merged.join("shared/new")),
        libc::ENOENT,
    )
}

fn others_files_cannot_be_changed_without_permission(fleet: &mut Fleet) -> Result<()> {
    let merged = fleet.device("laptop")?.merged();
    let file = merged.join("sizes/4096");
    for (what, result) in [
        (
            "open for writing",
            File::options().write(true).open(&file).map(drop),
        ),
        ("unlink", fs::remove_file(&file)),
        ("rename", fs::rename(&file, merged.join("sizes/other"))),
        ("rename over", fs::rename(&file, merged.join("sizes/1"))),
        ("link", fs::hard_link(&file, merged.join("sizes/other"))),
        (
            "chmod",
            fs::set_permissions(&file, PermissionsExt::from_mode(0o600)),
        ),
    ] {
        fails(what, result, libc::EROFS)?;
    }
    holds(&file, &[4; 4096])
}
