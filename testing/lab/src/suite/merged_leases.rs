// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `merge_view` knows without asking as long as leases are held, and what ends that.
//!
//! Without leases nothing is remembered here: `attr_timeout` is zero.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::fleet::{wait_for_state, Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::suite::leases::changes_are_seen;
use crate::suite::support::{drop_caches, fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::PATIENCE;

/// What the laptop sees of three devices.
pub const GROUP: Group = Group {
    name: "merged_leases",
    fleet: Some(prepare),
    seconds: 5,
    tests: tests![
        Fleet: what_was_listed_is_known_and_so_is_what_was_not,
        what_was_looked_up_is_known,
        files_are_opened_and_read_again_for_nothing,
        a_work_tree_is_looked_through_for_nothing,
        names_of_this_device_cost_nothing,
        what_this_device_makes_leaves_the_others_names_known,
        another_device_is_noticed,
        the_owners_programs_are_noticed,
        changes_in_the_view_of_a_device_are_seen,
        changes_in_the_merged_view_are_seen_in_that_of_a_device,
        a_name_of_this_device_comes_first_at_once,
        conflicts_come_and_go,
        directories_come_together_and_part,
        a_directory_that_joins_brings_its_names,
        nothing_is_known_after_an_outage,
    ],
};

fn prepare() -> Result<Fleet> {
    Plan::new(&["laptop", "tablet", "phone"])
        .policy("tablet", "laptop", "write", 3)
        .policy("tablet", "phone", "write", 4)
        .policy("phone", "laptop", "write", 4)
        .mount_option("attr_timeout", "0")
        .start()
}

/// A new directory of this name on each of these devices.
fn make(fleet: &Fleet, name: &str, devices: &[&str]) -> Result<PathBuf> {
    for device in devices {
        fs::create_dir_all(fleet.device(device)?.export().join(name))?;
    }
    Ok(fleet.device("laptop")?.merged().join(name))
}

/// What `work` costs the laptop.
fn cost(fleet: &Fleet, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    round_trips(&fleet.device("laptop")?.control(), work)
}

fn is_free(fleet: &Fleet, what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    same(&format!("round trips of {what}"), cost(fleet, work)?, 0)
}

fn is_missing(path: &Path) -> Result<()> {
    let what = path.display().to_string();
    fails(&what, fs::metadata(path), libc::ENOENT)?;
    fails(&what, File::open(path), libc::ENOENT)
}

/// As `ls -l` does.
fn look_through(folder: &Path, count: usize) -> Result<()> {
    let names = tree::names(folder)?;
    same("names", names.len(), count)?;
    for name in names {
        fs::symlink_metadata(folder.join(name))?;
    }
    Ok(())
}

fn what_was_listed_is_known_and_so_is_what_was_not(fleet: &mut Fleet) -> Result<()> {
    for (name, devices, messages) in [
        ("listed on one", &["tablet"][..], 1),
        ("listed on two", &["tablet", "phone"], 2),
        ("listed on all", &["laptop", "tablet", "phone"], 2),
    ] {
        let folder = make(fleet, name, devices)?;
        for device in devices {
            let home = fleet.device(device)?.export().join(name);
            for number in 0..100 {
                fs::write(home.join(format!("{device} {number}")), vec![1; number])?;
            }
            fs::write(home.join("common.txt"), device)?;
            fs::create_dir(home.join(format!("folder of {device}")))?;
        }
        drop_caches()?;
        fs::metadata(&folder)?;
        let count = devices.len() * 102;
        let first = cost(fleet, || look_through(&folder, count))?;
        same("round trips of listing it with attributes", first, messages)?;
        // What it would be depends on files that a listing alone does not tell of.
        is_missing(&folder.join("common_conflict_dev9.txt"))?;
        is_free(fleet, "what is known", || {
            look_through(&folder, count)?;
            for missing in ["no", "nor_conflict_dev2.txt", "common_conflict_dev9.txt"] {
                is_missing(&folder.join(missing))?;
            }
            for device in devices {
                let size = fs::metadata(folder.join(format!("{device} 99")))?.len();
                same("size", size, 99)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn what_was_looked_up_is_known(fleet: &mut Fleet) -> Result<()> {
    let all = &["laptop", "tablet", "phone"];
    let folder = make(fleet, "looked up", all)?;
    fs::write(fleet.device("tablet")?.export().join("looked up/file"), "1")?;
    for device in ["tablet", "phone"] {
        fs::create_dir(fleet.device(device)?.export().join("looked up/both"))?;
    }
    let look = || {
        same("size", fs::metadata(folder.join("file"))?.len(), 1)?;
        same("names", fs::metadata(folder.join("both"))?.is_dir(), true)?;
        is_missing(&folder.join("missing"))
    };
    look()?;
    is_free(fleet, "what was looked up", || {
        (0..3).try_for_each(|_| look())
    })
}

fn files_are_opened_and_read_again_for_nothing(fleet: &mut Fleet) -> Result<()> {
    let all = &["laptop", "tablet", "phone"];
    let folder = make(fleet, "read", all)?;
    for device in all {
        let home = fleet.device(device)?.export().join("read");
        fs::write(home.join("same.txt"), device)?;
    }
    let read = || {
        holds(&folder.join("same.txt"), b"laptop")?;
        holds(&folder.join("same_conflict_dev2.txt"), b"tablet")?;
        holds(&folder.join("same_conflict_dev3.txt"), b"phone")
    };
    read()?;
    is_free(fleet, "reading it again", read)
}

/// As `git status` does.
fn a_work_tree_is_looked_through_for_nothing(fleet: &mut Fleet) -> Result<()> {
    let work = make(fleet, "work", &["tablet"])?;
    let home = fleet.device("tablet")?.export().join("work");
    for directory in 0..50 {
        let directory = home.join(format!("d{directory}"));
        fs::create_dir_all(&directory)?;
        for file in 0..100 {
            fs::write(directory.join(format!("f{file}")), "x")?;
        }
    }
    drop_caches()?;
    let look = || -> Result<()> {
        look_through(&work, 50)?;
        for directory in 0..50 {
            let directory = work.join(format!("d{directory}"));
            look_through(&directory, 100)?;
            is_missing(&directory.join(".gitignore"))?;
        }
        Ok(())
    };
    fs::metadata(&work)?;
    // One for each directory.
    same("round trips at first", cost(fleet, look)?, 51)?;
    is_free(fleet, "5,000 files that have not changed", look)?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn names_of_this_device_cost_nothing(fleet: &mut Fleet) -> Result<()> {
    let folder = make(fleet, "own", &["laptop", "tablet", "phone"])?;
    fs::write(fleet.device("tablet")?.export().join("own/other"), "x")?;
    // That nobody else has these names is known from here on.
    tree::names(&folder)?;
    is_free(fleet, "files of this device", || {
        for round in 0..3 {
            let (file, moved) = (folder.join("file"), folder.join("moved"));
            fs::write(&file, format!("{round}"))?;
            holds(&file, format!("{round}").as_bytes())?;
            fs::rename(&file, &moved)?;
            is_missing(&file)?;
            same("size", fs::metadata(&moved)?.len(), 1)?;
            fs::remove_file(&moved)?;
            is_missing(&moved)?;
            fs::create_dir(&file)?;
            fs::write(file.join("below"), "y")?;
            fs::remove_dir_all(&file)?;
        }
        Ok(())
    })
}

fn what_this_device_makes_leaves_the_others_names_known(fleet: &mut Fleet) -> Result<()> {
    let folder = make(fleet, "busy", &["laptop", "tablet"])?;
    let home = fleet.device("tablet")?.export().join("busy");
    fs::write(home.join("file"), "x")?;
    fs::create_dir(home.join("folder"))?;
    look_through(&folder, 2)?;
    is_missing(&folder.join("missing"))?;
    let own = fleet.device("laptop")?.export().join("busy");
    is_free(fleet, "what others have", || {
        for _ in 0..3 {
            for place in [&own, &folder] {
                fs::write(place.join("temporary"), "y")?;
                look_through(&folder, 3)?;
                fs::remove_file(place.join("temporary"))?;
                is_missing(&folder.join("temporary"))?;
                look_through(&folder, 2)?;
                is_missing(&folder.join("missing"))?;
                same("size", fs::metadata(folder.join("file"))?.len(), 1)?;
            }
        }
        Ok(())
    })
}

fn another_device_is_noticed(fleet: &mut Fleet) -> Result<()> {
    for (name, devices) in [
        ("third", &["tablet"][..]),
        ("third here", &["laptop", "tablet"]),
    ] {
        let seen = make(fleet, name, devices)?;
        let there = fleet.device("phone")?.view("tablet").join(name);
        changes_are_seen(&there.join("below"), &seen.join("below"))?;
    }
    Ok(())
}

fn the_owners_programs_are_noticed(fleet: &mut Fleet) -> Result<()> {
    for (name, devices) in [
        ("owner", &["tablet"][..]),
        ("owner here", &["laptop", "tablet", "phone"]),
    ] {
        let seen = make(fleet, name, devices)?;
        let there = fleet.device("tablet")?.export().join(name);
        changes_are_seen(&there.join("below"), &seen.join("below"))?;
    }
    Ok(())
}

fn changes_in_the_view_of_a_device_are_seen(fleet: &mut Fleet) -> Result<()> {
    for (name, devices) in [
        ("other view", &["tablet"][..]),
        ("other view here", &["laptop", "tablet", "phone"]),
    ] {
        let seen = make(fleet, name, devices)?;
        let there = fleet.device("laptop")?.view("tablet").join(name);
        changes_are_seen(&there.join("below"), &seen.join("below"))?;
    }
    Ok(())
}

fn changes_in_the_merged_view_are_seen_in_that_of_a_device(fleet: &mut Fleet) -> Result<()> {
    make(fleet, "both views", &["tablet"])?;
    let laptop = fleet.device("laptop")?;
    let home = fleet.device("tablet")?.export().join("both views");
    let there = laptop.view("tablet").join("both views");
    let merged = laptop.merged().join("both views");
    for round in 0..3 {
        for name in ["removed", "moved", "linked"] {
            fs::write(home.join(name), name)?;
        }
        for view in [&there, &merged] {
            for name in ["removed", "moved", "linked"] {
                holds(&view.join(name), name.as_bytes())?;
            }
            for name in ["new name", "second name"] {
                is_missing(&view.join(name))?;
            }
        }
        let (acting, other) = if round == 1 {
            (&there, &merged)
        } else {
            (&merged, &there)
        };
        fs::remove_file(acting.join("removed"))?;
        fs::rename(acting.join("moved"), acting.join("new name"))?;
        fs::hard_link(acting.join("linked"), acting.join("second name"))?;
        for view in [other, acting] {
            is_missing(&view.join("removed"))?;
            is_missing(&view.join("moved"))?;
            holds(&view.join("new name"), b"moved")?;
            holds(&view.join("second name"), b"linked")?;
            same("names", tree::names(view)?.len(), 3)?;
        }
        for name in ["new name", "linked", "second name"] {
            fs::remove_file(acting.join(name))?;
        }
        for view in [other, acting] {
            same("names", tree::names(view)?.len(), 0)?;
            is_missing(&view.join("second name"))?;
        }
    }
    Ok(())
}

fn a_name_of_this_device_comes_first_at_once(fleet: &mut Fleet) -> Result<()> {
    let folder = make(fleet, "shadow", &["laptop", "tablet"])?;
    let laptop = fleet.device("laptop")?;
    let (own, view) = (
        laptop.export().join("shadow"),
        laptop.local().join("shadow"),
    );
    let home = fleet.device("tablet")?.export().join("shadow");
    fs::write(home.join("name.txt"), "tablet")?;
    fs::create_dir(home.join("folder"))?;
    fs::write(home.join("folder/file"), "tablet")?;
    let (name, conflict) = (
        folder.join("name.txt"),
        folder.join("name_conflict_dev2.txt"),
    );
    for place in [own, view] {
        holds(&name, b"tablet")?;
        is_missing(&conflict)?;
        holds(&folder.join("folder/file"), b"tablet")?;
        fs::write(place.join("name.txt"), "laptop")?;
        holds(&name, b"laptop")?;
        holds(&conflict, b"tablet")?;
        fs::create_dir(place.join("folder"))?;
        fs::write(place.join("folder/file"), "laptop")?;
        holds(&folder.join("folder/file"), b"laptop")?;
        fs::remove_file(place.join("name.txt"))?;
        holds(&name, b"tablet")?;
        is_missing(&conflict)?;
        fs::remove_dir_all(place.join("folder"))?;
        holds(&folder.join("folder/file"), b"tablet")?;
    }
    Ok(())
}

fn conflicts_come_and_go(fleet: &mut Fleet) -> Result<()> {
    let folder = make(fleet, "conflicts", &["tablet", "phone"])?;
    let [tablet, phone] = ["tablet", "phone"].map(|name| {
        let export = fleet.device(name).map(|device| device.export());
        export.map(|export| export.join("conflicts"))
    });
    let (tablet, phone) = (tablet?, phone?);
    let (plain, decorated) = (folder.join("a.txt"), folder.join("a_conflict_dev3.txt"));
    for _ in 0..2 {
        is_missing(&plain)?;
        is_missing(&decorated)?;
        fs::write(phone.join("a.txt"), "phone")?;
        holds(&plain, b"phone")?;
        is_missing(&decorated)?;
        fs::write(tablet.join("a.txt"), "tablet")?;
        holds(&plain, b"tablet")?;
        holds(&decorated, b"phone")?;
        is_free(fleet, "both", || {
            holds(&plain, b"tablet")?;
            holds(&decorated, b"phone")
        })?;
        // Through the merged view, too.
        fs::remove_file(&plain)?;
        holds(&plain, b"phone")?;
        is_missing(&decorated)?;
        fs::remove_file(&plain)?;
    }
    is_missing(&plain)?;
    same("names", tree::names(&folder)?.len(), 0)
}

fn directories_come_together_and_part(fleet: &mut Fleet) -> Result<()> {
    let folder = make(fleet, "together", &["tablet", "phone"])?;
    let phone = fleet.device("phone")?.export().join("together");
    let tablet = fleet.device("tablet")?.export().join("together");
    fs::create_dir(tablet.join("inner"))?;
    fs::write(tablet.join("inner/of tablet"), "x")?;
    let inner = folder.join("inner");
    for _ in 0..3 {
        same("names", tree::names(&inner)?.len(), 1)?;
        is_missing(&inner.join("of phone"))?;
        fs::create_dir(phone.join("inner"))?;
        fs::write(phone.join("inner/of phone"), "y")?;
        holds(&inner.join("of phone"), b"y")?;
        same("names", tree::names(&inner)?.len(), 2)?;
        fs::remove_dir_all(phone.join("inner"))?;
        is_missing(&inner.join("of phone"))?;
    }
    holds(&inner.join("of tablet"), b"x")
}

/// What is known of that directory was known before.
fn a_directory_that_joins_brings_its_names(fleet: &mut Fleet) -> Result<()> {
    let folder = make(fleet, "joined", &["tablet", "phone"])?;
    let tablet = fleet.device("tablet")?.export().join("joined");
    let phone = fleet.device("phone")?.export().join("joined");
    fs::create_dir(tablet.join("inner"))?;
    fs::create_dir(phone.join("elsewhere"))?;
    fs::write(phone.join("elsewhere/file"), "phone")?;
    let view = fleet
        .device("laptop")?
        .view("phone")
        .join("joined/elsewhere");
    same("names", tree::names(&view)?.len(), 1)?;
    holds(&view.join("file"), b"phone")?;
    let inner = folder.join("inner");
    is_missing(&inner.join("file"))?;
    same("names", tree::names(&inner)?.len(), 0)?;
    is_missing(&inner.join("file"))?;
    fs::rename(phone.join("elsewhere"), phone.join("inner"))?;
    holds(&inner.join("file"), b"phone")?;
    same("names", tree::names(&inner)?.len(), 1)
}

fn nothing_is_known_after_an_outage(fleet: &mut Fleet) -> Result<()> {
    let folder = make(fleet, "outage", &["laptop", "tablet", "phone"])?;
    let home = fleet.device("tablet")?.export().join("outage");
    fs::write(home.join("file"), "before")?;
    holds(&folder.join("file"), b"before")?;
    is_missing(&folder.join("new"))?;
    tree::names(&folder)?;
    fleet.cut("tablet")?;
    wait_for_state(fleet.device("laptop")?, "tablet", false, PATIENCE)?;
    // Nobody can be told of these.
    fs::write(home.join("file"), "meanwhile")?;
    fs::write(home.join("new"), "new")?;
    fleet.join("tablet")?;
    fleet.wait_online(PATIENCE)?;
    holds(&folder.join("file"), b"meanwhile")?;
    holds(&folder.join("new"), b"new")
}
