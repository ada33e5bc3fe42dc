// SPDX-License-Identifier: MIT OR Apache-2.0

//! How often the network is crossed, by the links' own counters.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};

use anyhow::{ensure, Result};

use crate::fleet::{Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::random::Random;
use crate::suite::support::{drop_caches, fails, same, same_bytes};
use crate::suite::{tests, Group};
use crate::tree;

/// Counted on the laptop.
pub const GROUP: Group = Group {
    name: "round_trips",
    fleet: Some(prepare),
    seconds: 4,
    tests: tests![
        Fleet: a_small_file_costs_one,
        so_does_one_whose_name_is_not_known,
        what_is_not_read_is_not_sent_again,
        a_listing_with_attributes_costs_three,
        a_big_read_costs_no_more_than_its_megabytes,
        local_files_cost_none,
        a_new_file_costs_two_and_storing_it_no_more,
        what_was_written_before_is_stored_too,
    ],
};

fn prepare() -> Result<Fleet> {
    let fleet = Plan::new(&["laptop", "tablet"])
        .policy("tablet", "laptop", "write", 3)
        .start()?;
    let export = fleet.device("tablet")?.export();
    let mut random = Random::new(40);
    fs::create_dir(export.join("thousand"))?;
    for number in 0..1_000 {
        let name = format!("file number {number}");
        fs::write(export.join("thousand").join(name), random.bytes(100))?;
    }
    fs::create_dir(export.join("small"))?;
    fs::write(export.join("small/file"), random.bytes(4096))?;
    fs::write(export.join("big"), random.bytes(16 << 20))?;
    Ok(fleet)
}

fn a_small_file_costs_one(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    drop_caches()?;
    let folder = laptop.view("tablet").join("small");
    same("names", tree::names(&folder)?.len(), 1)?;
    let mut content = vec![0; 4096];
    let cost = round_trips(&laptop.control(), || {
        let file = File::open(folder.join("file"))?;
        file.read_exact_at(&mut content, 0)?;
        Ok(())
    })?;
    same("round trips of open and read", cost, 1)?;
    same_bytes(
        "the file",
        &content,
        &fs::read(tablet.export().join("small/file"))?,
    )
}

fn so_does_one_whose_name_is_not_known(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    for (name, size) in [
        ("unknown", 4096),
        ("unknown-empty", 0),
        ("unknown-big", 70_000),
    ] {
        fs::write(
            tablet.export().join("small").join(name),
            Random::new(41).bytes(size),
        )?;
    }
    drop_caches()?;
    let folder = laptop.view("tablet").join("small");
    fs::metadata(&folder)?;
    let mut content = Vec::new();
    let cost = round_trips(&laptop.control(), || {
        content = fs::read(folder.join("unknown"))?;
        same("size", fs::read(folder.join("unknown-empty"))?.len(), 0)
    })?;
    same("round trips of two small files", cost, 2)?;
    same_bytes("the file", &content, &Random::new(41).bytes(4096))?;
    let cost = round_trips(&laptop.control(), || {
        content = fs::read(folder.join("unknown-big"))?;
        Ok(())
    })?;
    same("round trips of a bigger one", cost, 2)?;
    same_bytes("the bigger file", &content, &Random::new(41).bytes(70_000))?;
    let cost = round_trips(&laptop.control(), || {
        fails(
            "a name that does not exist",
            File::open(folder.join("nothing")),
            libc::ENOENT,
        )
    })?;
    same("round trips of a missing name", cost, 1)
}

fn what_is_not_read_is_not_sent_again(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    fs::write(tablet.export().join("small/opened"), [1; 60_000])?;
    drop_caches()?;
    let path = laptop.view("tablet").join("small/opened");
    let before = laptop.control().counters()?.rx_bytes;
    for _ in 0..10 {
        File::open(&path)?;
    }
    let received = laptop.control().counters()?.rx_bytes - before;
    ensure!(received < 80_000, "{received} bytes for opening ten times");
    same("content", fs::read(&path)?, vec![1; 60_000])
}

fn a_listing_with_attributes_costs_three(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    drop_caches()?;
    let folder = laptop.view("tablet").join("thousand");
    let cost = round_trips(&laptop.control(), || {
        let names = tree::names(&folder)?;
        same("names", names.len(), 1_000)?;
        for name in names {
            same("size", fs::metadata(folder.join(name))?.len(), 100)?;
        }
        Ok(())
    })?;
    ensure!(cost >= 1, "the listing came from nowhere");
    ensure!(
        cost <= 3,
        "{cost} round trips for one listing with attributes"
    );
    Ok(())
}

fn a_big_read_costs_no_more_than_its_megabytes(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    drop_caches()?;
    let path = laptop.view("tablet").join("big");
    let cost = round_trips(&laptop.control(), || {
        same("bytes", fs::read(&path)?.len(), 16 << 20)
    })?;
    ensure!(cost >= 1, "16 MiB came from nowhere");
    // 16 MiB; readahead begins small, and opening costs one more.
    ensure!(cost <= 32, "{cost} round trips for 16 MiB");
    Ok(())
}

fn local_files_cost_none(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let local = laptop.local();
    let cost = round_trips(&laptop.control(), || {
        fs::write(local.join("own"), "x")?;
        same("content", fs::read(local.join("own"))?, b"x".to_vec())?;
        tree::list(&local)?;
        fs::remove_file(local.join("own"))?;
        Ok(())
    })?;
    same("round trips", cost, 0)
}

/// One that makes it, and one with all of its data: who opens a file is told at once if it cannot be
/// made.
fn a_new_file_costs_two_and_storing_it_no_more(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let folder = laptop.view("tablet").join("made");
    fs::create_dir(&folder)?;
    for (number, size) in [0, 1, 5_000, 65_536].into_iter().enumerate() {
        let content = Random::new(number as u64).bytes(size);
        let messages = if size == 0 { 1 } else { 2 };
        for sync in [false, true] {
            let name = format!("{size} {sync}");
            let cost = round_trips(&laptop.control(), || {
                let mut file = File::create(folder.join(&name))?;
                file.write_all(&content)?;
                if sync {
                    file.sync_all()?;
                }
                drop(file);
                Ok(())
            })?;
            // An empty one has to be stored, too.
            let more = u64::from(sync && size == 0);
            same(&format!("round trips of {name}"), cost, messages + more)?;
            same_bytes(
                "the file",
                &fs::read(tablet.export().join("made").join(&name))?,
                &content,
            )?;
        }
    }
    Ok(())
}

/// Each way of writing and storing leaves nothing behind that is not stored.
fn what_was_written_before_is_stored_too(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let path = laptop.view("tablet").join("stored");
    let file = File::create(&path)?;
    let cost = round_trips(&laptop.control(), || {
        file.write_all_at(&[1; 4096], 0)?;
        file.sync_all()?;
        // Not all of the file: what was sent before may still have to be stored.
        file.write_all_at(&[2; 10], 4096)?;
        file.sync_data()?;
        Ok(())
    })?;
    same("round trips", cost, 3)?;
    let cost = round_trips(&laptop.control(), || {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.sync_all()?;
        Ok(())
    })?;
    same("round trips of a mode", cost, 2)
}
