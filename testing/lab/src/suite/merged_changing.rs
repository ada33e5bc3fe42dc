// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removing, linking and renaming files in `merge_view`: each stays on its device.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{ensure, Result};
use rustix::fs::{renameat_with, FlockOperation, RenameFlags, CWD};

use crate::fleet::Fleet;
use crate::hmdfsctl::round_trips;
use crate::suite::merged_making::{absent, home, lists, merged, prepare, put};
use crate::suite::support::{fails, holds, same};
use crate::suite::{tests, Group};

/// Three devices; the laptop may change what the others have.
pub const GROUP: Group = Group {
    name: "merged_changing",
    fleet: Some(prepare),
    seconds: 3,
    tests: tests![
        Fleet: removing_reaches_the_device_that_is_shown,
        the_next_device_takes_the_name_at_once,
        removing_what_changed_meanwhile_removes_nothing_else,
        links_stay_on_one_device,
        files_are_renamed_on_their_device,
        renaming_makes_the_directories_that_are_missing,
        renaming_over_a_file_of_the_same_device,
        renaming_without_replacing_and_exchanging,
        files_of_two_devices_are_not_renamed_over_each_other,
        views_are_different_file_systems,
        attributes_reach_the_device_that_is_shown,
        a_removed_file_stays_open,
        space_is_that_of_all_devices,
        directories_reach_the_disks,
    ],
};

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, flags)?)
}

fn removing_reaches_the_device_that_is_shown(fleet: &mut Fleet) -> Result<()> {
    for device in ["laptop", "tablet", "phone"] {
        put(
            fleet,
            &[
                (device, "remove/f.txt"),
                (device, &format!("remove/{device}")),
            ],
        )?;
    }
    let folder = merged(fleet, "remove")?;
    fs::remove_file(folder.join("f_conflict_dev3.txt"))?;
    absent(fleet, &["phone"], "remove/f.txt")?;
    fs::remove_file(folder.join("tablet"))?;
    absent(fleet, &["tablet"], "remove/tablet")?;
    fs::remove_file(folder.join("laptop"))?;
    absent(fleet, &["laptop"], "remove/laptop")?;
    lists(&folder, &["f.txt", "f_conflict_dev2.txt", "phone"])?;
    holds(&home(fleet, "laptop", "remove/f.txt")?, b"laptop")?;
    holds(&home(fleet, "tablet", "remove/f.txt")?, b"tablet")
}

fn the_next_device_takes_the_name_at_once(fleet: &mut Fleet) -> Result<()> {
    for device in ["laptop", "tablet", "phone"] {
        put(fleet, &[(device, "next/f.txt")])?;
    }
    put(
        fleet,
        &[
            ("laptop", "next/d"),
            ("tablet", "next/d/t"),
            ("phone", "next/d/p"),
        ],
    )?;
    let folder = merged(fleet, "next")?;
    let exists = |name: &str| folder.join(name).exists();
    // All are looked up, so that all are cached.
    for (name, next) in [
        ("f_conflict_dev2.txt", "tablet"),
        ("f_conflict_dev3.txt", "phone"),
    ] {
        ensure!(exists("f.txt") && exists(name), "{name} is missing");
        fs::remove_file(folder.join("f.txt"))?;
        holds(&folder.join("f.txt"), next.as_bytes())?;
        ensure!(!exists(name), "{name} is still there");
    }
    fs::remove_file(folder.join("f.txt"))?;
    fails("the last", File::open(folder.join("f.txt")), libc::ENOENT)?;
    ensure!(exists("d_remote_directory/t"), "no directory");
    fs::rename(folder.join("d"), folder.join("e"))?;
    ensure!(
        exists("d/t") && exists("d/p"),
        "the directory has another name"
    );
    ensure!(!exists("d_remote_directory"), "the old name is still there");
    lists(&folder, &["d", "e"])
}

fn removing_what_changed_meanwhile_removes_nothing_else(fleet: &mut Fleet) -> Result<()> {
    put(fleet, &[("tablet", "race/f"), ("phone", "race/f")])?;
    let folder = merged(fleet, "race")?;
    holds(&folder.join("f"), b"tablet")?;
    holds(&folder.join("f_conflict_dev3"), b"phone")?;
    // Behind the laptop's back; what it knows of the names is still fresh.
    fs::remove_file(home(fleet, "tablet", "race/f")?)?;
    put(fleet, &[("laptop", "race/f_conflict_dev3")])?;
    fs::remove_file(folder.join("f_conflict_dev3"))?;
    absent(fleet, &["laptop"], "race/f_conflict_dev3")?;
    holds(&home(fleet, "phone", "race/f")?, b"phone")
}

fn links_stay_on_one_device(fleet: &mut Fleet) -> Result<()> {
    put(
        fleet,
        &[
            ("laptop", "link/l"),
            ("laptop", "link/f.txt"),
            ("tablet", "link/t"),
            ("phone", "link/f.txt"),
            ("phone", "only phone/sub/x"),
        ],
    )?;
    let folder = merged(fleet, "link")?;
    let other = merged(fleet, "only phone/sub")?;
    let link = |from: &str, to: &Path| fs::hard_link(folder.join(from), to);
    link("l", &folder.join("l2"))?;
    link("t", &folder.join("t2"))?;
    // Into directories that the device of the file does not have yet.
    link("l", &other.join("l3"))?;
    link("t", &other.join("t3"))?;
    link("f_conflict_dev3.txt", &other.join("p2"))?;
    for (device, path, content) in [
        ("laptop", "link/l2", "laptop"),
        ("tablet", "link/t2", "tablet"),
        ("laptop", "only phone/sub/l3", "laptop"),
        ("tablet", "only phone/sub/t3", "tablet"),
        ("phone", "only phone/sub/p2", "phone"),
    ] {
        let path = home(fleet, device, path)?;
        holds(&path, content.as_bytes())?;
        ensure!(
            fs::metadata(&path)?.nlink() > 1,
            "{} is a copy",
            path.display()
        );
    }
    let numbers = [&folder.join("t"), &folder.join("t2"), &other.join("t3")]
        .map(|path| fs::metadata(path).map(|metadata| (metadata.ino(), metadata.nlink())));
    for number in numbers {
        same("inode and links", number?.1, 3)?;
    }
    fails("a shown name", link("l", &folder.join("t")), libc::EEXIST)?;
    // A directory that the file's device cannot have.
    put(fleet, &[("laptop", "blocked"), ("tablet", "blocked/t")])?;
    let blocked = merged(fleet, "blocked_remote_directory/l")?;
    fails("across devices", link("l", &blocked), libc::EXDEV)?;
    absent(fleet, &["tablet"], "blocked/l")
}

fn files_are_renamed_on_their_device(fleet: &mut Fleet) -> Result<()> {
    for device in ["laptop", "tablet", "phone"] {
        put(
            fleet,
            &[(device, "move/f.txt"), (device, &format!("move/{device}"))],
        )?;
    }
    let folder = merged(fleet, "move")?;
    for (from, to, device) in [
        ("laptop", "new laptop", "laptop"),
        ("tablet", "new tablet", "tablet"),
        ("f_conflict_dev3.txt", "g.txt", "phone"),
        ("f_conflict_dev2.txt", "h.txt", "tablet"),
        // The name of a conflict that there is none of.
        ("new tablet", "i_conflict_dev2", "tablet"),
    ] {
        fs::rename(folder.join(from), folder.join(to))?;
        holds(&folder.join(to), device.as_bytes())?;
        holds(&home(fleet, device, "move")?.join(to), device.as_bytes())?;
        fails(from, File::open(folder.join(from)), libc::ENOENT)?;
    }
    lists(
        &folder,
        &[
            "f.txt",
            "g.txt",
            "h.txt",
            "i_conflict_dev2",
            "new laptop",
            "phone",
        ],
    )
}

fn renaming_makes_the_directories_that_are_missing(fleet: &mut Fleet) -> Result<()> {
    put(
        fleet,
        &[
            ("laptop", "from/l"),
            ("tablet", "from/t"),
            ("phone", "to/sub/p"),
        ],
    )?;
    let (from, to) = (merged(fleet, "from")?, merged(fleet, "to/sub")?);
    for (name, device) in [("l", "laptop"), ("t", "tablet")] {
        fs::rename(from.join(name), to.join(name))?;
        holds(
            &home(fleet, device, "to/sub")?.join(name),
            device.as_bytes(),
        )?;
        holds(&to.join(name), device.as_bytes())?;
        absent(fleet, &["phone"], &format!("to/sub/{name}"))?;
    }
    lists(&to, &["l", "p", "t"])?;
    lists(&from, &[])
}

fn renaming_over_a_file_of_the_same_device(fleet: &mut Fleet) -> Result<()> {
    for device in ["laptop", "tablet"] {
        put(
            fleet,
            &[(device, "over/f.txt"), (device, &format!("over/{device}"))],
        )?;
    }
    put(fleet, &[("tablet", "elsewhere/t")])?;
    let folder = merged(fleet, "over")?;
    for (from, to, device) in [
        (folder.join("laptop"), "f.txt", "laptop"),
        (folder.join("tablet"), "f_conflict_dev2.txt", "tablet"),
        (
            merged(fleet, "elsewhere/t")?,
            "f_conflict_dev2.txt",
            "tablet",
        ),
    ] {
        let real = home(fleet, device, "over/f.txt")?;
        let old = fs::metadata(&real)?.ino();
        fs::rename(&from, folder.join(to))?;
        ensure!(fs::metadata(&real)?.ino() != old, "{to} was not replaced");
        holds(&folder.join(to), device.as_bytes())?;
    }
    lists(&folder, &["f.txt", "f_conflict_dev2.txt"])
}

fn renaming_without_replacing_and_exchanging(fleet: &mut Fleet) -> Result<()> {
    put(
        fleet,
        &[
            ("laptop", "flags/f.txt"),
            ("tablet", "flags/f.txt"),
            ("tablet", "flags/t"),
            ("laptop", "flags/l"),
        ],
    )?;
    let folder = merged(fleet, "flags")?;
    fs::write(home(fleet, "tablet", "flags/t")?, "other")?;
    fs::write(home(fleet, "laptop", "flags/l")?, "local")?;
    let (conflict, plain) = (folder.join("f_conflict_dev2.txt"), folder.join("f.txt"));
    for to in [&conflict, &plain] {
        for from in ["t", "l"] {
            let result = rename(&folder.join(from), to, RenameFlags::NOREPLACE);
            fails("NOREPLACE", result, libc::EEXIST)?;
        }
    }
    rename(&folder.join("t"), &conflict, RenameFlags::EXCHANGE)?;
    holds(&folder.join("t"), b"tablet")?;
    holds(&conflict, b"other")?;
    holds(&home(fleet, "tablet", "flags/f.txt")?, b"other")?;
    rename(&folder.join("l"), &plain, RenameFlags::EXCHANGE)?;
    holds(&folder.join("l"), b"laptop")?;
    holds(&plain, b"local")?;
    for (one, other) in [("l", "t"), ("t", "l")] {
        let result = rename(
            &folder.join(one),
            &folder.join(other),
            RenameFlags::EXCHANGE,
        );
        fails("exchange", result, libc::EXDEV)?;
    }
    rename(&folder.join("t"), &folder.join("u"), RenameFlags::NOREPLACE)?;
    holds(&home(fleet, "tablet", "flags/u")?, b"tablet")
}

fn files_of_two_devices_are_not_renamed_over_each_other(fleet: &mut Fleet) -> Result<()> {
    put(
        fleet,
        &[("laptop", "two/l"), ("tablet", "two/t"), ("phone", "two/p")],
    )?;
    let folder = merged(fleet, "two")?;
    for (from, to) in [("t", "l"), ("t", "p"), ("p", "t"), ("p", "l")] {
        let result = fs::rename(folder.join(from), folder.join(to));
        fails(&format!("{from} to {to}"), result, libc::EXDEV)?;
    }
    for (name, device) in [("l", "laptop"), ("t", "tablet"), ("p", "phone")] {
        holds(&folder.join(name), device.as_bytes())?;
        holds(&home(fleet, device, "two")?.join(name), device.as_bytes())?;
    }
    Ok(())
}

fn views_are_different_file_systems(fleet: &mut Fleet) -> Result<()> {
    put(fleet, &[("laptop", "views/l"), ("tablet", "views/t")])?;
    let laptop = fleet.device("laptop")?;
    let folder = merged(fleet, "views")?;
    for (view, name) in [(laptop.local(), "l"), (laptop.view("tablet"), "t")] {
        let there = view.join("views");
        let (out, into) = (folder.join(name), there.join(name));
        fails("out", fs::rename(out, there.join("new")), libc::EXDEV)?;
        fails("into", fs::rename(into, folder.join("new")), libc::EXDEV)?;
    }
    lists(&folder, &["l", "t"])
}

fn attributes_reach_the_device_that_is_shown(fleet: &mut Fleet) -> Result<()> {
    for device in ["laptop", "tablet", "phone"] {
        put(fleet, &[(device, "attributes/f")])?;
    }
    let folder = merged(fleet, "attributes")?;
    let flags = rustix::fs::XattrFlags::empty();
    for (name, device) in [
        ("f", "laptop"),
        ("f_conflict_dev2", "tablet"),
        ("f_conflict_dev3", "phone"),
    ] {
        let (path, there) = (folder.join(name), home(fleet, device, "attributes/f")?);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o604);
        fs::set_permissions(&path, mode)?;
        same("mode", fs::metadata(&there)?.mode() & 0o7777, 0o604)?;
        rustix::fs::setxattr(&path, "user.x", device.as_bytes(), flags)?;
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(&there, "user.x", &mut value)?;
        same("attribute", &value[..length], device.as_bytes())?;
        let file = File::options().write(true).open(&path)?;
        file.set_len(2)?;
        same("size", fs::metadata(&there)?.len(), 2)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    }
    Ok(())
}

fn a_removed_file_stays_open(fleet: &mut Fleet) -> Result<()> {
    for device in ["laptop", "tablet"] {
        put(fleet, &[(device, "stay/f")])?;
    }
    let folder = merged(fleet, "stay")?;
    for (name, content) in [("f_conflict_dev2", "tablet"), ("f", "laptop")] {
        let file = File::open(folder.join(name))?;
        // What is read once is in memory; a remote owner keeps nothing open.
        let mut bytes = [0; 6];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0)?;
        fs::remove_file(folder.join(name))?;
        same("links", file.metadata()?.nlink(), 0)?;
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0)?;
        same("content", &bytes[..], content.as_bytes())?;
    }
    lists(&folder, &[])
}

fn space_is_that_of_all_devices(fleet: &mut Fleet) -> Result<()> {
    put(fleet, &[("tablet", "space/t"), ("phone", "space/p")])?;
    let bytes = |path: &Path| {
        let space = rustix::fs::statvfs(path)?;
        Ok::<_, anyhow::Error>((space.f_blocks * space.f_frsize, space.f_files))
    };
    let sum = |devices: &[&str]| {
        let mut sum = (0, 0);
        for device in devices {
            let (bytes, files) = bytes(&home(fleet, device, "")?)?;
            sum = (sum.0 + bytes, sum.1 + files);
        }
        Ok::<_, anyhow::Error>(sum)
    };
    let all = bytes(&merged(fleet, "")?)?;
    same("all", all, sum(&["laptop", "tablet", "phone"])?)?;
    let two = bytes(&merged(fleet, "space")?)?;
    same("two", two, sum(&["tablet", "phone"])?)?;
    let one = bytes(&merged(fleet, "space/t")?)?;
    same("the device's own", one, sum(&["tablet"])?)
}

fn directories_reach_the_disks(fleet: &mut Fleet) -> Result<()> {
    put(
        fleet,
        &[
            ("laptop", "disk/l"),
            ("tablet", "disk/t"),
            ("phone", "disk/p"),
        ],
    )?;
    let laptop = fleet.device("laptop")?;
    let folder = merged(fleet, "disk")?;
    let directory = File::open(&folder)?;
    rustix::fs::syncfs(&directory)?;
    let cost = || round_trips(&laptop.control(), || Ok(directory.sync_all()?));
    same("messages when nothing was changed elsewhere", cost()?, 0)?;
    fs::rename(folder.join("t"), folder.join("u"))?;
    same("messages to the tablet", cost()?, 1)
}
