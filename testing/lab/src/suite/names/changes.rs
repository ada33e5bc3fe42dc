// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names in `merge_view` while files and devices come and go, and what they cost.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{bail, ensure, Result};

use super::{prepare, put, remount, shows, Shown, D, DEVICES, F, O};
use crate::fleet::{wait_for_state, Fleet};
use crate::hmdfsctl::round_trips;
use crate::suite::support::{fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::{self, PATIENCE};

/// Seen from the phone, as the group "names".
pub const GROUP: Group = Group {
    name: "names_change",
    fleet: Some(prepare),
    seconds: 6,
    tests: tests![
        Fleet: a_conflict_name_reaches_the_devices_file,
        names_change_with_the_files,
        local_files_hide_others_at_once,
        a_dying_device_costs_its_own_entries,
        an_absent_device_gives_its_names_to_others,
        a_listing_goes_on_while_a_device_leaves,
        large_directories_are_listed_completely,
        local_names_cost_no_message,
        a_conflict_name_costs_two_questions,
    ],
};

fn a_conflict_name_reaches_the_devices_file(fleet: &mut Fleet) -> Result<()> {
    put(fleet, "reach", b"a.txt", [F, F, F])?;
    let folder = fleet.device("phone")?.merged().join("reach");
    let conflict = folder.join("a_conflict_dev2.txt");
    let home = fleet.device("tablet")?.export().join("reach/a.txt");
    holds(&conflict, b"tablet")?;
    // What is changed there is seen at the next opening.
    fs::write(&home, "changed by its owner")?;
    holds(&conflict, b"changed by its owner")?;
    // Another file of the same name is another file, while the old one stays open.
    let mut open = File::open(&conflict)?;
    fs::write(home.with_extension("new"), "replaced")?;
    fs::rename(home.with_extension("new"), &home)?;
    holds(&conflict, b"replaced")?;
    let mut content = String::new();
    open.read_to_string(&mut content)?;
    same("the open file", content.as_str(), "changed by its owner")?;
    holds(&folder.join("a_conflict_dev1.txt"), b"laptop")?;
    holds(&folder.join("a.txt"), b"phone")
}

fn names_change_with_the_files(fleet: &mut Fleet) -> Result<()> {
    put(fleet, "change", b"f", [F, F, F])?;
    let folder = fleet.device("phone")?.merged().join("change");
    let at = |device: &str| Ok::<_, anyhow::Error>(fleet.device(device)?.export().join("change/f"));
    shows(
        &folder,
        &[
            ("f", &["phone"]),
            ("f_conflict_dev1", &["laptop"]),
            ("f_conflict_dev2", &["tablet"]),
        ],
    )?;
    fs::remove_file(at("phone")?)?;
    shows(
        &folder,
        &[("f", &["laptop"]), ("f_conflict_dev2", &["tablet"])],
    )?;
    fs::remove_file(at("laptop")?)?;
    wait::until("the plain name to be the tablet's", PATIENCE, || {
        Ok(shows(&folder, &[("f", &["tablet"])]).is_ok())
    })?;
    fs::create_dir(at("laptop")?)?;
    fs::write(at("laptop")?.join("of laptop"), "laptop")?;
    wait::until("the plain name to be the laptop's", PATIENCE, || {
        let expected: [Shown<'_>; 2] = [("f/", &["laptop"]), ("f_conflict_dev2", &["tablet"])];
        Ok(shows(&folder, &expected).is_ok())
    })?;
    fails(
        "the name of nothing",
        File::open(folder.join("f_conflict_dev1")),
        libc::ENOENT,
    )
}

fn local_files_hide_others_at_once(fleet: &mut Fleet) -> Result<()> {
    put(fleet, "hide", b"f", [O, F, O])?;
    let phone = fleet.device("phone")?;
    let path = phone.merged().join("hide/f");
    holds(&path, b"laptop")?;
    fs::write(phone.export().join("hide/f"), "phone")?;
    holds(&path, b"phone")?;
    holds(&path.with_file_name("f_conflict_dev1"), b"laptop")?;
    fs::remove_file(phone.export().join("hide/f"))?;
    holds(&path, b"laptop")
}

fn a_dying_device_costs_its_own_entries(fleet: &mut Fleet) -> Result<()> {
    put(fleet, "dying", b"f.txt", [F, F, F])?;
    put(fleet, "dying", b"d", [O, D, D])?;
    let phone = fleet.device("phone")?;
    let folder = phone.merged().join("dying");
    fs::metadata(&folder)?;
    fleet.cut("laptop")?;
    // Nobody knows yet; some of these are the first to wait for it.
    let result = shows(
        &folder,
        &[
            ("f.txt", &["phone"]),
            ("f_conflict_dev2.txt", &["tablet"]),
            ("d/", &["tablet"]),
        ],
    );
    let noticed = wait_for_state(phone, "laptop", false, PATIENCE);
    fleet.join("laptop")?;
    result?;
    noticed?;
    fleet.wait_online(PATIENCE)?;
    holds(&folder.join("f_conflict_dev1.txt"), b"laptop")
}

fn an_absent_device_gives_its_names_to_others(fleet: &mut Fleet) -> Result<()> {
    put(fleet, "absent", b"f.txt", [O, F, F])?;
    put(fleet, "absent", b"N", [O, F, D])?;
    put(fleet, "absent", b"d", [O, D, D])?;
    let phone = fleet.device("phone")?;
    let folder = phone.merged().join("absent");
    let all: [Shown<'_>; 5] = [
        ("f.txt", &["laptop"]),
        ("f_conflict_dev2.txt", &["tablet"]),
        ("N", &["laptop"]),
        ("N_remote_directory/", &["tablet"]),
        ("d/", &["laptop", "tablet"]),
    ];
    shows(&folder, &all)?;
    fleet.cut("laptop")?;
    let gone = wait_for_state(phone, "laptop", false, PATIENCE).and_then(|_| {
        shows(
            &folder,
            &[
                ("f.txt", &["tablet"]),
                ("N/", &["tablet"]),
                ("d/", &["tablet"]),
            ],
        )?;
        fails(
            "a conflict of one",
            fs::metadata(folder.join("f_conflict_dev2.txt")),
            libc::ENOENT,
        )
    });
    fleet.join("laptop")?;
    gone?;
    fleet.wait_online(PATIENCE)?;
    shows(&folder, &all)
}

/// Names of a large directory.
fn numbered(prefix: &str, count: usize) -> impl Iterator<Item = String> + '_ {
    (0..count).map(move |number| format!("{prefix} with a long name {number:06}"))
}

fn fill(fleet: &Fleet, device: &str, folder: &str, prefix: &str, count: usize) -> Result<()> {
    let folder = fleet.device(device)?.export().join(folder);
    fs::create_dir_all(&folder)?;
    for name in numbered(prefix, count) {
        File::create(folder.join(name))?;
    }
    Ok(())
}

fn a_listing_goes_on_while_a_device_leaves(fleet: &mut Fleet) -> Result<()> {
    const COUNT: usize = 2_000;
    for device in DEVICES {
        fill(fleet, device, "leaving", device, COUNT)?;
        fill(fleet, device, "leaving", "common", COUNT)?;
    }
    let phone = fleet.device("phone")?;
    let mut entries = fs::read_dir(phone.merged().join("leaving"))?;
    let mut names = BTreeSet::new();
    let mut take = |most: usize, names: &mut BTreeSet<OsString>| {
        for entry in entries.by_ref().take(most) {
            let name = entry?.file_name();
            ensure!(names.insert(name.clone()), "{name:?} twice");
        }
        Ok(())
    };
    take(COUNT, &mut names)?;
    fleet.cut("laptop")?;
    let middle =
        wait_for_state(phone, "laptop", false, PATIENCE).and_then(|_| take(COUNT, &mut names));
    fleet.join("laptop")?;
    middle?;
    fleet.wait_online(PATIENCE)?;
    take(usize::MAX, &mut names)?;
    for device in ["phone", "tablet", "common"] {
        for name in numbered(device, COUNT) {
            ensure!(
                names.contains(Path::new(&name).as_os_str()),
                "{name} is missing"
            );
        }
    }
    // Begun anew, it shows all again.
    let folder = phone.merged().join("leaving");
    same("names", tree::names(&folder)?.len(), 6 * COUNT)
}

fn large_directories_are_listed_completely(fleet: &mut Fleet) -> Result<()> {
    const OWN: usize = 3_000;
    const COMMON: usize = 2_000;
    for device in DEVICES {
        fill(fleet, device, "large", device, OWN)?;
        fill(fleet, device, "large", "common.x", COMMON)?;
    }
    let folder = fleet.device("phone")?.merged().join("large");
    let names: BTreeSet<OsString> = tree::names(&folder)?.into_iter().collect();
    same("names", names.len(), 3 * OWN + 3 * COMMON)?;
    for prefix in DEVICES.into_iter().chain([
        "common.x",
        "common_conflict_dev1.x",
        "common_conflict_dev2.x",
    ]) {
        let count = if prefix.starts_with("common") {
            COMMON
        } else {
            OWN
        };
        for name in numbered(prefix, count) {
            ensure!(
                names.contains(Path::new(&name).as_os_str()),
                "{name} is missing"
            );
        }
    }
    let last = numbered("common_conflict_dev2.x", COMMON).last();
    let Some(last) = last else { bail!("no names") };
    holds(&folder.join(last), b"")
}

/// On the phone, where what was told is used for an hour.
fn counted(fleet: &mut Fleet, work: impl FnOnce(&Fleet) -> Result<()>) -> Result<()> {
    remount(fleet, &[("attr_timeout", Some("3600"))])?;
    let result = work(fleet);
    remount(fleet, &[])?;
    result
}

fn local_names_cost_no_message(fleet: &mut Fleet) -> Result<()> {
    put(fleet, "cost", b"f", [F, F, F])?;
    put(fleet, "cost", b"g_conflict_dev1", [F, O, O])?;
    counted(fleet, |fleet| {
        let phone = fleet.device("phone")?;
        let folder = phone.merged().join("cost");
        fs::metadata(&folder)?;
        let cost = round_trips(&phone.control(), || {
            for name in ["f", "g_conflict_dev1"] {
                holds(&folder.join(name), b"phone")?;
                fs::metadata(folder.join(name))?;
            }
            fs::write(phone.export().join("cost/f"), "phone")?;
            holds(&folder.join("f"), b"phone")
        })?;
        same("messages", cost, 0)
    })
}

fn a_conflict_name_costs_two_questions(fleet: &mut Fleet) -> Result<()> {
    put(fleet, "questions", b"f", [F, F, F])?;
    counted(fleet, |fleet| {
        let phone = fleet.device("phone")?;
        let folder = phone.merged().join("questions");
        fs::metadata(&folder)?;
        let conflict = folder.join("f_conflict_dev2");
        let cost = round_trips(&phone.control(), || {
            same("size", fs::metadata(&conflict)?.len(), 6)
        })?;
        // Whether it is a real name, and who has "f": each of two devices.
        same("messages of the first look", cost, 4)?;
        let cost = round_trips(&phone.control(), || {
            same("size", fs::metadata(&conflict)?.len(), 6)
        })?;
        same("messages of the second look", cost, 0)
    })
}
