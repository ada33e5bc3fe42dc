// SPDX-License-Identifier: MIT OR Apache-2.0

//! What things are called in `merge_view`: Documentation/names.md, on real devices.
//!
//! Everything is seen from the phone: the laptop is its device 1, the tablet 2.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::{ensure, Context, Result};

use crate::fleet::{Fleet, Plan};
use crate::suite::support::{fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::PATIENCE;

pub mod changes;

/// Three devices that have much in common.
pub const GROUP: Group = Group {
    name: "names",
    fleet: Some(prepare),
    seconds: 5,
    tests: tests![
        Fleet: the_suffix_stands_before_the_last_dot,
        files_and_directories_of_one_name,
        remote_directories_can_be_kept_apart,
        real_names_win,
        long_names_are_cut,
        what_is_not_listed_is_missing,
        directories_merge_behind_a_file,
    ],
};

const DEVICES: [&str; 3] = ["laptop", "tablet", "phone"];

fn prepare() -> Result<Fleet> {
    Plan::new(&DEVICES).start()
}

/// What one device has of a name.
#[derive(Clone, Copy, PartialEq)]
enum Has {
    Nothing,
    File,
    Directory,
}

use Has::{Directory as D, File as F, Nothing as O};

/// What is shown of a name, and the devices behind it.
type Shown<'a> = (&'a str, &'a [&'a str]);

/// Gives each device, the phone first, what it is to have: a file that holds the name of the
/// device, or a directory with such a file.
fn put(fleet: &Fleet, folder: &str, name: &[u8], has: [Has; 3]) -> Result<()> {
    for (device, has) in ["phone", "laptop", "tablet"].into_iter().zip(has) {
        let folder = fleet.device(device)?.export().join(folder);
        fs::create_dir_all(&folder)?;
        let path = tree::below(&folder, name);
        match has {
            O => {}
            F => fs::write(path, device)?,
            D => {
                fs::create_dir(&path)?;
                fs::write(path.join(format!("of {device}")), device)?;
            }
        }
    }
    Ok(())
}

/// The names in a directory, with the types that the listing tells.
fn listed(folder: &Path) -> Result<BTreeSet<(OsString, bool)>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = (entry.file_name(), entry.file_type()?.is_dir());
        ensure!(names.insert(found), "{:?} twice", entry.file_name());
    }
    Ok(names)
}

/// A directory shows exactly this; a slash at the end of a name stands for a directory, which has
/// one file of each of the devices.
fn shows(folder: &Path, expected: &[Shown<'_>]) -> Result<()> {
    let all = expected
        .iter()
        .map(|(name, _)| match name.strip_suffix('/') {
            Some(name) => (name.into(), true),
            None => ((*name).into(), false),
        });
    same("the names", listed(folder)?, all.collect())?;
    for (name, devices) in expected {
        let path = folder.join(name);
        if !name.ends_with('/') {
            holds(&path, devices[0].as_bytes())?;
            continue;
        }
        let inside: BTreeSet<_> = devices
            .iter()
            .map(|device| (format!("of {device}").into(), false))
            .collect();
        same(name, listed(&path)?, inside)?;
        for device in *devices {
            holds(&path.join(format!("of {device}")), device.as_bytes())?;
        }
    }
    Ok(())
}

fn the_suffix_stands_before_the_last_dot(fleet: &mut Fleet) -> Result<()> {
    const ROWS: [(&str, &str); 6] = [
        ("notes", "notes_conflict_dev1"),
        ("a.txt", "a_conflict_dev1.txt"),
        ("a.tar.gz", "a.tar_conflict_dev1.gz"),
        (".bashrc", ".bashrc_conflict_dev1"),
        (".config.json", ".config_conflict_dev1.json"),
        ("a.", "a_conflict_dev1."),
    ];
    let mut expected: Vec<Shown<'_>> = Vec::new();
    for (name, conflict) in ROWS {
        put(fleet, "dots", name.as_bytes(), [F, F, O])?;
        expected.push((name, &["phone"]));
        expected.push((conflict, &["laptop"]));
    }
    shows(&fleet.device("phone")?.merged().join("dots"), &expected)
}

fn files_and_directories_of_one_name(fleet: &mut Fleet) -> Result<()> {
    type Row = ([Has; 3], &'static [Shown<'static>]);
    const ROWS: [Row; 7] = [
        (
            [F, O, F],
            &[("N", &["phone"]), ("N_conflict_dev2", &["tablet"])],
        ),
        (
            [O, F, F],
            &[("N", &["laptop"]), ("N_conflict_dev2", &["tablet"])],
        ),
        ([D, D, D], &[("N/", &["phone", "laptop", "tablet"])]),
        (
            [D, F, D],
            &[
                ("N/", &["phone", "tablet"]),
                ("N_conflict_dev1", &["laptop"]),
            ],
        ),
        (
            [F, D, D],
            &[
                ("N", &["phone"]),
                ("N_remote_directory/", &["laptop", "tablet"]),
            ],
        ),
        (
            [F, D, F],
            &[
                ("N", &["phone"]),
                ("N_remote_directory/", &["laptop"]),
                ("N_conflict_dev2", &["tablet"]),
            ],
        ),
        (
            [O, F, D],
            &[("N", &["laptop"]), ("N_remote_directory/", &["tablet"])],
        ),
    ];
    let merged = fleet.device("phone")?.merged();
    for (number, (has, expected)) in ROWS.into_iter().enumerate() {
        let folder = format!("row {number}");
        put(fleet, &folder, b"N", has)?;
        shows(&merged.join(&folder), expected).with_context(|| folder)?;
    }
    Ok(())
}

fn remount(fleet: &mut Fleet, options: &[(&str, Option<&str>)]) -> Result<()> {
    let phone = fleet.device_mut("phone")?;
    phone.umount()?;
    phone.mount_with(options)?;
    fleet.wait_online(PATIENCE)?;
    Ok(())
}

fn remote_directories_can_be_kept_apart(fleet: &mut Fleet) -> Result<()> {
    put(fleet, "apart", b"here", [D, D, D])?;
    put(fleet, "apart", b"there", [O, D, D])?;
    put(fleet, "apart", b"file", [F, D, D])?;
    put(fleet, "apart", b"mixed", [D, F, D])?;
    remount(fleet, &[("dirs", Some("rename"))])?;
    let merged = fleet.device("phone")?.merged();
    // Only names that exist here are kept apart, so what is below "apart" is not merged.
    let result = same(
        "the names at the top",
        tree::shows(&merged, "apart_remote_directory")?,
        true,
    )
    .and_then(|()| {
        shows(
            &merged.join("apart"),
            &[
                ("here/", &["phone"]),
                ("file", &["phone"]),
                ("mixed/", &["phone"]),
            ],
        )?;
        shows(
            &merged.join("apart_remote_directory"),
            &[
                ("here/", &["laptop", "tablet"]),
                ("there/", &["laptop", "tablet"]),
                ("file/", &["laptop", "tablet"]),
                ("mixed", &["laptop"]),
                ("mixed_remote_directory/", &["tablet"]),
            ],
        )?;
        let table = fs::read_to_string("/proc/self/mounts")?;
        ensure!(table.contains("dirs=rename"), "mount does not show it");
        fails(
            "a merged name",
            fs::metadata(merged.join("apart/there")),
            libc::ENOENT,
        )
    });
    remount(fleet, &[])?;
    result?;
    shows(
        &fleet.device("phone")?.merged().join("apart"),
        &[
            ("here/", &["phone", "laptop", "tablet"]),
            ("there/", &["laptop", "tablet"]),
            ("file", &["phone"]),
            ("file_remote_directory/", &["laptop", "tablet"]),
            ("mixed/", &["phone", "tablet"]),
            ("mixed_conflict_dev1", &["laptop"]),
        ],
    )
}

fn real_names_win(fleet: &mut Fleet) -> Result<()> {
    for (name, has) in [
        ("a", [F, F, D]),
        ("a_conflict_dev1", [O, O, F]),
        ("a_conflict_dev1_2", [O, D, O]),
        ("a_remote_directory", [O, O, F]),
        ("b.c", [F, O, F]),
        ("b_conflict_dev2.c", [F, O, O]),
        // Both would be d_conflict_dev2.e_remote_directory: the file is.
        ("d.e_remote_directory", [F, O, F]),
        ("d_conflict_dev2.e", [F, O, D]),
    ] {
        put(fleet, "real", name.as_bytes(), has)?;
    }
    shows(
        &fleet.device("phone")?.merged().join("real"),
        &[
            ("a", &["phone"]),
            ("a_conflict_dev1", &["tablet"]),
            ("a_conflict_dev1_2/", &["laptop"]),
            ("a_conflict_dev1_3", &["laptop"]),
            ("a_remote_directory", &["tablet"]),
            ("a_remote_directory_2/", &["tablet"]),
            ("b.c", &["phone"]),
            ("b_conflict_dev2.c", &["phone"]),
            ("b_conflict_dev2_2.c", &["tablet"]),
            ("d.e_remote_directory", &["phone"]),
            ("d_conflict_dev2.e_remote_directory", &["tablet"]),
            ("d_conflict_dev2.e", &["phone"]),
            ("d_conflict_dev2.e_remote_directory_2/", &["tablet"]),
        ],
    )
}

fn long_names_are_cut(fleet: &mut Fleet) -> Result<()> {
    let long = |start: &str, filler: &[u8], end: &str| {
        let mut name = start.as_bytes().to_vec();
        while name.len() + filler.len() + end.len() <= 255 {
            name.extend(filler);
        }
        name.extend(end.as_bytes());
        name
    };
    let names = [
        long("one", b"x", ".txt"),
        // Equal but for what is cut.
        long("one", b"x", "y.txt"),
        long("two", "\u{20ac}".as_bytes(), ".txt"),
        long("three", b"\xfe\x80", ""),
        long(".", b"x", ""),
        long("five.", b"x", ""),
    ];
    for name in &names {
        put(fleet, "long", name, [F, D, F])?;
    }
    let folder = fleet.device("phone")?.merged().join("long");
    let all = listed(&folder)?;
    same("the number of names", all.len(), 3 * names.len())?;
    let (mut conflicts, mut directories) = (0, 0);
    for (name, is_directory) in all {
        let bytes = name.as_bytes();
        let has = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
        ensure!(bytes.len() <= 255, "{name:?} is too long");
        let path = folder.join(&name);
        if is_directory {
            directories += 1;
            ensure!(has(b"_remote_directory") && has(b"~"), "{name:?}");
            holds(&path.join("of laptop"), b"laptop")?;
        } else if has(b"_conflict_dev2") {
            conflicts += 1;
            ensure!(has(b"~"), "{name:?}");
            holds(&path, b"tablet")?;
        } else {
            ensure!(names.contains(&name.clone().into_vec()), "{name:?}");
            holds(&path, b"phone")?;
        }
        if bytes.starts_with(b"two") {
            ensure!(name.to_str().is_some(), "{name:?} is not UTF-8 any more");
        }
    }
    same("conflicts", conflicts, names.len())?;
    same("directories", directories, names.len())
}

fn what_is_not_listed_is_missing(fleet: &mut Fleet) -> Result<()> {
    put(fleet, "missing", b"a.txt", [F, O, F])?;
    put(fleet, "missing", b"only", [O, F, O])?;
    put(fleet, "missing", b"merged", [D, D, O])?;
    let folder = fleet.device("phone")?.merged().join("missing");
    let tagged = format!("{}~0123abcd_conflict_dev2.txt", "x".repeat(228));
    same("length", tagged.len(), 255)?;
    for name in [
        "a_conflict_dev1.txt",
        "a_conflict_dev2",
        "a_conflict_dev2_2.txt",
        "a_conflict_dev02.txt",
        "a.txt_conflict_dev2",
        "a.txt_remote_directory",
        "only_conflict_dev1",
        "merged_remote_directory",
        "merged_conflict_dev1",
        "nothing_conflict_dev1",
        "nothing_remote_directory",
        "._conflict_dev1",
        ".._remote_directory",
        "_conflict_dev1",
        &tagged,
    ] {
        fails(name, fs::symlink_metadata(folder.join(name)), libc::ENOENT)?;
    }
    Ok(())
}

fn directories_merge_behind_a_file(fleet: &mut Fleet) -> Result<()> {
    put(fleet, "behind", b"N", [F, D, D])?;
    for (device, kinds) in [("laptop", [F, D, F]), ("tablet", [F, D, D])] {
        let folder = fleet.device(device)?.export().join("behind/N");
        for (name, kind) in ["file", "folder", "mixed"].into_iter().zip(kinds) {
            if kind == F {
                fs::write(folder.join(name), device)?;
            } else {
                fs::create_dir(folder.join(name))?;
                fs::write(folder.join(name).join(format!("of {device}")), device)?;
            }
        }
    }
    let folder = fleet.device("phone")?.merged().join("behind");
    let inside = folder.join("N_remote_directory");
    shows(
        &inside.join("folder"),
        &[("of laptop", &["laptop"]), ("of tablet", &["tablet"])],
    )?;
    let expected: [Shown<'_>; 7] = [
        ("file", &["laptop"]),
        ("file_conflict_dev2", &["tablet"]),
        ("folder/", &["laptop", "tablet"]),
        ("mixed", &["laptop"]),
        ("mixed_remote_directory/", &["tablet"]),
        ("of laptop", &["laptop"]),
        ("of tablet", &["tablet"]),
    ];
    shows(&inside, &expected)?;
    // From outside, the same: what is merged does not depend on how it is reached.
    std::env::set_current_dir(&inside)?;
    let result = shows(Path::new("."), &expected);
    std::env::set_current_dir("/")?;
    result
}
