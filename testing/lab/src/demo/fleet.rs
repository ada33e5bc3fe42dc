// SPDX-License-Identifier: MIT OR Apache-2.0

//! Three devices in one guest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

use crate::demo::{compare, megabytes, show_tree, Narrator, LEAVE_LIMIT, READERS};
use crate::device::Device;
use crate::disk;
use crate::fleet::{Fleet, Plan};
use crate::manifest::Manifest;
use crate::module;
use crate::net::Line;
use crate::suite::support::drop_caches;
use crate::tree;
use crate::wait::{self, PATIENCE};

/// What the readers of the phone did during the outage.
#[derive(Default)]
struct Readers {
    files: usize,
    bytes: u64,
    longest: Duration,
}

/// Runs the demonstration; an error says what was not as it should be.
pub fn three_devices() -> Result<()> {
    let narrator = Narrator::begin();
    narrator.chapter("Three devices start, 2 ms apart, each with a disk, a daemon and a mount");
    module::ensure_loaded()?;
    let plan = Plan::with_storage(vec![
        ("laptop", disk::storage("laptop")?),
        ("tablet", disk::storage("tablet")?),
        ("phone", disk::storage("phone")?),
    ]);
    let fleet = plan
        .line(Line {
            delay_us: 1_000,
            ..Default::default()
        })
        .start()?;
    for device in fleet.devices() {
        disk::tidy(&device.export())?;
    }

    let laptop = fleet.device("laptop")?;
    narrator.chapter("$ hmdfsctl devices; hmdfsctl links     # on the laptop");
    narrator.say(&laptop.control().text("devices")?);
    narrator.say(&laptop.control().text("links")?);

    narrator.chapter("What each of them has at home");
    let mut homes = BTreeMap::new();
    for device in fleet.devices() {
        let home = Manifest::of(&device.export(), READERS)?;
        show_tree(&narrator, device, &home)?;
        homes.insert(device.name(), home);
    }
    narrator.say(&format!(
        "on the laptop: device_view/{{{}}}, and {} names in merge_view",
        tree::names(&laptop.mount_point().join("device_view"))?
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(","),
        tree::names(&laptop.merged())?.len()
    ));

    narrator.chapter("Every file through every other device: SHA-256, size, mode, time");
    for (viewer, owner) in fleet.pairs() {
        compare(&narrator, viewer, owner.name(), &homes[owner.name()])?;
    }

    outage(&narrator, &fleet, &homes)?;
    drop(homes);

    narrator.chapter("Everything ends");
    fleet.close()?;
    module::unload()?;
    narrator.chapter("All files were the same everywhere.");
    Ok(())
}

/// The tablet's cable is pulled, and plugged in again.
fn outage(narrator: &Narrator, fleet: &Fleet, homes: &BTreeMap<&str, Manifest>) -> Result<()> {
    let (laptop, phone) = (fleet.device("laptop")?, fleet.device("phone")?);
    let tablet = fleet.device("tablet")?;
    let own = only_at(tablet, &[laptop, phone])?;

    narrator.chapter("The tablet's cable is pulled while the laptop reads the phone");
    let stop = AtomicBool::new(false);
    let (left, readers) = thread::scope(|scope| {
        let readers = scope.spawn(|| read_on(laptop, phone.name(), &homes["phone"], &stop));
        // So that the readers are under way.
        thread::sleep(Duration::from_millis(500));
        let left = fleet.cut("tablet").and_then(|()| {
            wait::until("the tablet's files to leave the views", PATIENCE, || {
                is_gone(laptop, &own)
            })
        });
        if left.is_ok() {
            thread::sleep(Duration::from_secs(1));
        }
        stop.store(true, Ordering::Relaxed);
        (left, readers.join())
    });
    let left = left?;
    let readers = readers.map_err(|_| anyhow::anyhow!("a reader panicked"))??;
    narrator.say(&format!(
        "its files left the laptop's views after {:.1} s",
        left.as_secs_f64()
    ));
    narrator.say(&format!(
        "meanwhile the laptop read {} files of the phone, {}, all equal; the slowest took {:.2} s",
        readers.files,
        megabytes(readers.bytes),
        readers.longest.as_secs_f64()
    ));
    ensure!(
        left <= LEAVE_LIMIT,
        "the tablet's files stayed in the views for more than {} s",
        LEAVE_LIMIT.as_secs()
    );
    ensure!(
        readers.files > 0,
        "nothing of the phone could be read meanwhile"
    );
    narrator.say(&laptop.control().text("devices")?);

    narrator.chapter("The cable is plugged in again");
    fleet.join("tablet")?;
    let took = fleet.wait_online(PATIENCE)?;
    narrator.say(&format!("online again after {:.1} s", took.as_secs_f64()));
    ensure!(
        laptop.merged().join(&own).exists(),
        "{own:?} did not come back"
    );
    compare(narrator, laptop, "tablet", &homes["tablet"])
}

/// A name at the top of `device` that none of the others has.
fn only_at(device: &Device, others: &[&Device]) -> Result<PathBuf> {
    for name in tree::names(&device.export())? {
        let elsewhere = others
            .iter()
            .any(|other| other.export().join(&name).exists());
        if !elsewhere {
            return Ok(name.into());
        }
    }
    // All names are common ones: one of its own, to be recognised by.
    let name = format!("made on the {}", device.name());
    fs::write(device.export().join(&name), device.name())?;
    Ok(name.into())
}

/// Whether a name of the tablet's is in neither view of `viewer`.
fn is_gone(viewer: &Device, name: &Path) -> Result<bool> {
    let merged = tree::shows(&viewer.merged(), name)?;
    Ok(!merged && fs::symlink_metadata(viewer.view("tablet").join(name)).is_err())
}

/// Reads the files of `owner` through `viewer`, one after the other, over the
/// network each time, until told to stop.
fn read_on(viewer: &Device, owner: &str, home: &Manifest, stop: &AtomicBool) -> Result<Readers> {
    let there = viewer.view(owner);
    let files: Vec<_> = home.files().collect();
    let mut readers = Readers::default();
    drop_caches()?;
    for (index, (name, size, expected)) in files.iter().cycle().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if index % 500 == 499 {
            drop_caches()?;
        }
        let start = Instant::now();
        let digest = tree::digest(&there.join(name))
            .with_context(|| format!("while the tablet was cut off from the {owner}"))?;
        readers.longest = readers.longest.max(start.elapsed());
        ensure!(digest == **expected, "{name:?} differs");
        readers.files += 1;
        readers.bytes += size;
    }
    Ok(readers)
}
