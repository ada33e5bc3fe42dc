// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removing and renaming merged directories: on all devices, or on none.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{ensure, Context, Result};
use rustix::fs::{renameat_with, RenameFlags, CWD};

use crate::fleet::Fleet;
use crate::suite::merged_making::{absent, home, lists, merged, prepare, put};
use crate::suite::support::{fails, holds, same};
use crate::suite::{tests, Group};

/// Three devices; the laptop may change what the others have.
pub const GROUP: Group = Group {
    name: "merged_directories",
    fleet: Some(prepare),
    seconds: 6,
    tests: tests![
        Fleet: an_empty_directory_is_removed_everywhere,
        a_directory_that_is_not_empty_somewhere_stays_everywhere,
        a_removal_that_one_device_refuses_is_taken_back,
        a_directory_with_another_name_is_removed,
        a_directory_made_meanwhile_is_removed_too,
        a_directory_is_renamed_everywhere,
        it_moves_to_a_directory_that_is_missing,
        a_rename_that_one_device_refuses_is_taken_back,
        an_empty_directory_is_replaced,
        trees_do_not_merge_by_renaming,
        directories_are_exchanged,
    ],
};

const DEVICES: [&str; 3] = ["laptop", "tablet", "phone"];

/// Makes a directory at home on each of these devices.
fn make(fleet: &Fleet, devices: &[&str], path: &str) -> Result<()> {
    for device in devices {
        fs::create_dir_all(home(fleet, device, path)?)?;
    }
    Ok(())
}

/// Each of these devices has a directory of this path.
fn exists(fleet: &Fleet, devices: &[&str], path: &str) -> Result<()> {
    for device in devices {
        let there = home(fleet, device, path)?.is_dir();
        ensure!(there, "the {device} has no directory {path}");
    }
    Ok(())
}

/// Puts a file named after the device into a directory of each.
fn fill(fleet: &Fleet, devices: &[&str], path: &str) -> Result<()> {
    for device in devices {
        put(fleet, &[(device, &format!("{path}/of {device}"))])?;
    }
    Ok(())
}

/// Runs `work` while a device refuses to have names changed in one of its directories.
fn refusing(
    fleet: &Fleet,
    device: &str,
    path: &str,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let path = home(fleet, device, path)?;
    fs::set_permissions(&path, PermissionsExt::from_mode(0o555))?;
    let result = work();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    result
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, flags)?)
}

fn an_empty_directory_is_removed_everywhere(fleet: &mut Fleet) -> Result<()> {
    make(fleet, &DEVICES, "all/gone")?;
    make(fleet, &["tablet", "phone"], "all/theirs")?;
    make(fleet, &["laptop"], "all/ours")?;
    for name in ["gone", "theirs", "ours"] {
        let path = merged(fleet, "all")?.join(name);
        fs::remove_dir(&path)?;
        absent(fleet, &DEVICES, &format!("all/{name}"))?;
        fails(name, fs::metadata(&path), libc::ENOENT)?;
    }
    lists(&merged(fleet, "all")?, &[])
}

fn a_directory_that_is_not_empty_somewhere_stays_everywhere(fleet: &mut Fleet) -> Result<()> {
    for device in DEVICES {
        let path = format!("full of {device}/d");
        make(fleet, &DEVICES, &path)?;
        fill(fleet, &[device], &path)?;
        let removed = fs::remove_dir(merged(fleet, &path)?);
        fails(device, removed, libc::ENOTEMPTY)?;
        exists(fleet, &DEVICES, &path)?;
        lists(&merged(fleet, &path)?, &[&format!("of {device}")])?;
    }
    Ok(())
}

fn a_removal_that_one_device_refuses_is_taken_back(fleet: &mut Fleet) -> Result<()> {
    for device in DEVICES {
        let outer = format!("refused by {device}");
        let path = format!("{outer}/d");
        make(fleet, &DEVICES, &path)?;
        for device in DEVICES {
            let mode = PermissionsExt::from_mode(0o750);
            fs::set_permissions(home(fleet, device, &path)?, mode)?;
        }
        // The laptop's own programs run as root, which its file system does not refuse anything.
        if device == "laptop" {
            continue;
        }
        refusing(fleet, device, &outer, || {
            let removed = fs::remove_dir(merged(fleet, &path)?);
            fails(device, removed, libc::EACCES)?;
            exists(fleet, &DEVICES, &path)
        })?;
        for device in DEVICES {
            let mode = fs::metadata(home(fleet, device, &path)?)?.mode() & 0o7777;
            same("mode", mode, 0o750).with_context(|| device)?;
        }
        fill(fleet, &DEVICES, &path)?;
        lists(
            &merged(fleet, &path)?,
            &["of laptop", "of phone", "of tablet"],
        )?;
    }
    Ok(())
}

fn a_directory_with_another_name_is_removed(fleet: &mut Fleet) -> Result<()> {
    put(fleet, &[("laptop", "other/N")])?;
    make(fleet, &["tablet", "phone"], "other/N")?;
    fs::remove_dir(merged(fleet, "other/N_remote_directory")?)?;
    absent(fleet, &["tablet", "phone"], "other/N")?;
    lists(&merged(fleet, "other")?, &["N"])
}

fn a_directory_made_meanwhile_is_removed_too(fleet: &mut Fleet) -> Result<()> {
    make(fleet, &["tablet"], "meanwhile/d")?;
    make(fleet, &["phone"], "meanwhile")?;
    let path = merged(fleet, "meanwhile/d")?;
    fs::metadata(&path)?;
    make(fleet, &["phone"], "meanwhile/d")?;
    fs::remove_dir(&path)?;
    absent(fleet, &DEVICES, "meanwhile/d")
}

fn a_directory_is_renamed_everywhere(fleet: &mut Fleet) -> Result<()> {
    fill(fleet, &DEVICES, "move/d/sub")?;
    put(fleet, &[("laptop", "move/N")])?;
    fill(fleet, &["tablet", "phone"], "move/N")?;
    let folder = merged(fleet, "move")?;
    let open = File::open(folder.join("d/sub"))?;
    fs::rename(folder.join("d"), folder.join("e"))?;
    exists(fleet, &DEVICES, "move/e/sub")?;
    absent(fleet, &DEVICES, "move/d")?;
    let inside = ["of laptop", "of phone", "of tablet"];
    lists(&folder.join("e/sub"), &inside)?;
    let number = fs::metadata(folder.join("e/sub"))?.ino();
    same("the open directory", open.metadata()?.ino(), number)?;
    for device in DEVICES {
        holds(
            &folder.join(format!("e/sub/of {device}")),
            device.as_bytes(),
        )?;
    }
    fs::rename(folder.join("N_remote_directory"), folder.join("M"))?;
    exists(fleet, &["tablet", "phone"], "move/M")?;
    lists(&folder, &["M", "N", "e"])?;
    lists(&folder.join("M"), &["of phone", "of tablet"])?;
    // Made in it afterwards, on this device.
    fs::write(folder.join("M/new"), "new")?;
    holds(&home(fleet, "laptop", "move/M/new")?, b"new")
}

fn it_moves_to_a_directory_that_is_missing(fleet: &mut Fleet) -> Result<()> {
    fill(fleet, &DEVICES, "from/d")?;
    fill(fleet, &["phone"], "into/deep")?;
    fs::rename(merged(fleet, "from/d")?, merged(fleet, "into/deep/d")?)?;
    exists(fleet, &DEVICES, "into/deep/d")?;
    absent(fleet, &DEVICES, "from/d")?;
    lists(
        &merged(fleet, "into/deep/d")?,
        &["of laptop", "of phone", "of tablet"],
    )
}

fn a_rename_that_one_device_refuses_is_taken_back(fleet: &mut Fleet) -> Result<()> {
    for device in ["tablet", "phone"] {
        let outer = format!("kept by {device}");
        fill(fleet, &DEVICES, &format!("{outer}/d"))?;
        let folder = merged(fleet, &outer)?;
        refusing(fleet, device, &outer, || {
            let renamed = fs::rename(folder.join("d"), folder.join("e"));
            fails(device, renamed, libc::EACCES)?;
            exists(fleet, &DEVICES, &format!("{outer}/d"))?;
            absent(fleet, &DEVICES, &format!("{outer}/e"))
        })?;
        lists(&folder, &["d"])?;
        lists(&folder.join("d"), &["of laptop", "of phone", "of tablet"])?;
    }
    // One that has something of the new name, which nobody knew when the name was looked up.
    fill(fleet, &DEVICES, "late/d")?;
    let folder = merged(fleet, "late")?;
    fails("no such name", fs::metadata(folder.join("e")), libc::ENOENT)?;
    put(fleet, &[("tablet", "late/e")])?;
    ensure!(
        fs::rename(folder.join("d"), folder.join("e")).is_err(),
        "it was renamed"
    );
    exists(fleet, &DEVICES, "late/d")?;
    holds(&home(fleet, "tablet", "late/e")?, b"tablet")
}

fn an_empty_directory_is_replaced(fleet: &mut Fleet) -> Result<()> {
    fill(fleet, &DEVICES, "replace/d")?;
    make(fleet, &["laptop", "phone"], "replace/e")?;
    let folder = merged(fleet, "replace")?;
    fs::metadata(folder.join("e"))?;
    let result = rename(&folder.join("d"), &folder.join("e"), RenameFlags::NOREPLACE);
    fails("NOREPLACE", result, libc::EEXIST)?;
    fs::rename(folder.join("d"), folder.join("e"))?;
    exists(fleet, &DEVICES, "replace/e")?;
    absent(fleet, &DEVICES, "replace/d")?;
    lists(&folder.join("e"), &["of laptop", "of phone", "of tablet"])
}

fn trees_do_not_merge_by_renaming(fleet: &mut Fleet) -> Result<()> {
    fill(fleet, &["tablet"], "apart/d")?;
    make(fleet, &["tablet", "phone"], "apart/empty")?;
    fill(fleet, &["phone"], "apart/full")?;
    let folder = merged(fleet, "apart")?;
    let to = |name: &str| fs::rename(folder.join("d"), folder.join(name));
    fails("part of it would stay", to("empty"), libc::EXDEV)?;
    fails("not empty", to("full"), libc::ENOTEMPTY)?;
    lists(&folder, &["d", "empty", "full"])?;
    exists(fleet, &["tablet"], "apart/d")?;
    exists(fleet, &["tablet", "phone"], "apart/empty")
}

fn directories_are_exchanged(fleet: &mut Fleet) -> Result<()> {
    fill(fleet, &["laptop", "phone"], "swap/d")?;
    make(fleet, &["laptop", "phone"], "swap/e")?;
    fill(fleet, &["tablet"], "swap/f")?;
    put(fleet, &[("laptop", "swap/file")])?;
    let folder = merged(fleet, "swap")?;
    let swap = |one: &str, other: &str| {
        rename(
            &folder.join(one),
            &folder.join(other),
            RenameFlags::EXCHANGE,
        )
    };
    swap("d", "e")?;
    lists(&folder.join("e"), &["of laptop", "of phone"])?;
    lists(&folder.join("d"), &[])?;
    lists(&home(fleet, "phone", "swap/e")?, &["of phone"])?;
    fails("of other devices", swap("e", "f"), libc::EXDEV)?;
    fails("with a file", swap("e", "file"), libc::EXDEV)?;
    fails("a file with it", swap("file", "e"), libc::EXDEV)?;
    lists(&folder.join("e"), &["of laptop", "of phone"])
}
