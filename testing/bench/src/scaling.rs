// SPDX-License-Identifier: MIT OR Apache-2.0

//! How cost grows: with the entries of a directory, with the devices that are online; and what
//! a file, a name and a device cost in memory.

use std::fs::{self, File};

use anyhow::{ensure, Context, Result};
use lab::device::{Device, Peer, PORT};
use lab::fleet::wait_for_state;
use lab::net::{Line, Network};
use lab::netns::Namespace;
use lab::storage::Storage;
use lab::wait;

use crate::cell::{figure, gap, place};
use crate::local;
use crate::measure::{now, Place};
use crate::plan::Cell;
use crate::selection::{Scale, Selection};
use crate::system::System;
use crate::workload::{self, list_stat};

/// In the results, with the number of devices behind a colon: [`list_beside_peers`].
pub const LIST_PEERS: &str = "list_peers";

/// In the results, the first two carry the number of entries or of peers behind a colon.
pub const WORKLOADS: [&str; 3] = ["entries", "peers", "memory"];

/// Whether a system on this device's own files lists them together with those of others.
pub fn lists_beside_peers(system: &str) -> bool {
    system.starts_with("hmdfs_merge:")
}

/// `ls -l` of 5,000 files of this device, again and again, while none, one or two devices are online
/// that have no such directory.
pub fn list_beside_peers(cell: &Cell, lower: &str, scale: Scale) -> Result<()> {
    for count in 0..=2 {
        let name = format!("{LIST_PEERS}:{count}");
        eprintln!("  {name}");
        let samples = local::beside(lower, count).and_then(|system| {
            let place = place(system.as_ref(), scale)?;
            fs::create_dir_all(&place.owner)?;
            let row = &workload::LIST_STAT_WARM;
            (row.prepare)(&place)?;
            place.enter()?;
            let mut samples = Vec::new();
            for _ in 0..row.warm_ups + row.runs(scale) {
                samples.push((row.run)(&place)?.figure(row.unit));
            }
            place.leave()?;
            Ok(samples.split_off(row.warm_ups))
        });
        match samples {
            Ok(samples) => figure(cell, &name, workload::LIST_STAT_WARM.unit.name(), samples),
            Err(error) => gap(cell, &name, &format!("not possible: {error:#}")),
        }
    }
    // What the run was asked for is answered.
    figure(cell, LIST_PEERS, "rows", vec![1.0]);
    Ok(())
}

/// Where this is measured: it does not depend on the network.
pub fn belongs_to(system: &str, network: &str) -> bool {
    matches!(system, "hmdfs_device" | "hmdfs_merge") && network == "unlimited"
}

/// Gives back slabs that are empty, and makes the counts of the others exact: objects that a
/// processor keeps at hand count as used.
fn shrink_slabs() -> Result<()> {
    for cache in fs::read_dir("/sys/kernel/slab").context("no statistics of slabs")? {
        // Some caches cannot be shrunk, which is the same before and after.
        let _ = fs::write(cache?.path().join("shrink"), "1");
    }
    Ok(())
}

/// Bytes that the kernel uses for itself: objects in slabs, stacks, what is per processor or
/// mapped. Not pages of files.
fn kernel_memory() -> Result<u64> {
    shrink_slabs()?;
    let slabs = fs::read_to_string("/proc/slabinfo").context("cannot read /proc/slabinfo")?;
    let objects: u64 = slabs.lines().filter_map(slab_bytes).sum();
    let other = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let other: u64 = other
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| matches!(*name, "KernelStack" | "Percpu" | "VmallocUsed"))
        .filter_map(|(_, rest)| rest.trim().split(' ').next()?.parse::<u64>().ok())
        .sum();
    Ok(objects + other * 1024)
}

/// The bytes of one line of /proc/slabinfo: `NAME ACTIVE_OBJECTS OBJECTS SIZE ...`.
fn slab_bytes(line: &str) -> Option<u64> {
    let mut words = line.split_ascii_whitespace();
    let _name = words.next()?;
    let active: u64 = words.next()?.parse().ok()?;
    let _all = words.next()?;
    let size: u64 = words.next()?.parse().ok()?;
    active.checked_mul(size)
}

/// Listings of more and more entries, and the memory of names and of open files.
pub fn entries(
    cell: &Cell,
    system: &dyn System,
    selection: &Selection,
    scale: Scale,
) -> Result<()> {
    let place = place(system, scale)?;
    if selection.workload("entries") {
        eprintln!("  entries");
        for count in scale.pick(
            [10, 100, 1_000, 10_000, 100_000].as_slice(),
            [10, 1_000].as_slice(),
        ) {
            let name = format!("entries:{count}");
            match listings(&place, *count) {
                Ok(samples) => figure(cell, &name, "us", samples),
                Err(error) => gap(cell, &name, &format!("not possible: {error:#}")),
            }
        }
        // What the run was asked for is answered.
        figure(cell, "entries", "rows", vec![1.0]);
    }
    if selection.workload("memory") {
        eprintln!("  memory");
        match memory(&place) {
            Ok((name, file)) => {
                figure(cell, "memory", "bytes/name", vec![name]);
                figure(cell, "memory", "bytes/open_file", vec![file]);
            }
            Err(error) => gap(cell, "memory", &format!("not possible: {error:#}")),
        }
    }
    Ok(())
}

fn fill(place: &Place, count: usize) -> Result<()> {
    let folder = place.owner.join("entries");
    fs::create_dir(&folder)?;
    for number in 0..count {
        File::create(folder.join(format!("entry number {number}")))?;
    }
    Ok(())
}

/// The time of one entry in a cold listing with attributes.
fn listings(place: &Place, count: usize) -> Result<Vec<f64>> {
    fill(place, count)?;
    let folder = place.root.join("entries");
    let mut samples = Vec::new();
    for _ in 0..=3 {
        let mut seen = 0;
        let measured = place.time_cold(|| {
            seen = list_stat(&folder)?;
            Ok(())
        })?;
        ensure!(seen == count, "{seen} entries of {count} were listed");
        samples.push(measured.nanos as f64 / 1e3 / count as f64);
    }
    samples.remove(0);
    place.leave()?;
    fs::remove_dir_all(place.owner.join("entries"))?;
    place.hooks.cold()?;
    Ok(samples)
}

/// Bytes for a cached name with its attributes, and for an open file besides that.
fn memory(place: &Place) -> Result<(f64, f64)> {
    const NAMES: usize = 5_000;
    const FILES: usize = 1_000;
    fill(place, NAMES)?;
    let folder = place.root.join("entries");
    place.hooks.cold()?;
    // The owner's own names are in memory for another reason.
    list_stat(&place.owner.join("entries"))?;
    let before = kernel_memory()?;
    list_stat(&folder)?;
    let name = kernel_memory()?.saturating_sub(before) as f64 / NAMES as f64;

    let before = kernel_memory()?;
    let files = (0..FILES)
        .map(|number| File::open(folder.join(format!("entry number {number}"))))
        .collect::<Result<Vec<_>, _>>()
        .context("open")?;
    let file = kernel_memory()?.saturating_sub(before) as f64 / FILES as f64;
    drop(files);
    fs::remove_dir_all(place.owner.join("entries"))?;
    place.hooks.cold()?;
    Ok((name, file))
}

/// Devices that only the first one knows.
struct Star {
    // Dropped in this order: the devices need the network until their end.
    center: Device,
    others: Vec<Device>,
    _network: Network,
}

impl Star {
    fn set_up(count: usize) -> Result<Self> {
        lab::module::ensure_loaded()?;
        let network = Network::create()?;
        let mut devices = Vec::new();
        for number in 1..=count as u32 + 1 {
            let name = format!("device{number}");
            let namespace = Namespace::create(&name)?;
            network.plug(&namespace, number, Line::default())?;
            let device = Device::create(&name, Some(namespace), Storage::Memory(16))?;
            device.configure(&[])?;
            devices.push(device);
        }
        let mut peers = Vec::new();
        for (number, device) in (1_u32..).zip(&devices) {
            peers.push(Peer {
                id: device.id()?,
                number,
                name: device.name().to_owned(),
                address: format!("{}:{PORT}", Network::address(number)),
                access: "read",
                level: 4,
            });
        }
        let center = devices.remove(0);
        let mut star = Self {
            center,
            others: devices,
            _network: network,
        };
        star.center.configure(&peers[1..])?;
        for device in &star.others {
            device.configure(&peers[..1])?;
            let folder = device.export().join("shared");
            fs::create_dir(&folder)?;
            for number in 0..20 {
                fs::write(folder.join(format!("{} {number}", device.name())), "x")?;
            }
        }
        for device in &mut star.others {
            device.mount()?;
            device.start()?;
        }
        Ok(star)
    }

    /// The center joins; returns the memory that this took, in bytes.
    fn join(&mut self) -> Result<u64> {
        self.center.mount()?;
        let before = kernel_memory()?;
        self.center.start()?;
        for device in &self.others {
            wait_for_state(&self.center, device.name(), true, wait::PATIENCE * 4)?;
        }
        Ok(kernel_memory()?.saturating_sub(before))
    }
}

/// Names found in merge_view, or in one device's tree, while more and more devices are online.
pub fn fleets(cell: &Cell, selection: &Selection, scale: Scale) -> Result<()> {
    if !selection.workload("peers") {
        return Ok(());
    }
    for count in scale.pick([1, 4, 16, 64].as_slice(), [1, 4].as_slice()) {
        eprintln!("  peers:{count}");
        let name = format!("peers:{count}");
        match peers(cell, *count, scale) {
            Ok(memory) => figure(cell, &name, "bytes/peer", vec![memory]),
            Err(error) => gap(cell, &name, &format!("not possible: {error:#}")),
        }
    }
    figure(cell, "peers", "rows", vec![1.0]);
    Ok(())
}

fn peers(cell: &Cell, count: usize, scale: Scale) -> Result<f64> {
    let mut star = Star::set_up(count)?;
    let memory = star.join()?;
    let root = if cell.system == "hmdfs_merge" {
        star.center.merged()
    } else {
        star.center.view("device2")
    };
    let folder = root.join("shared");
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    let path = folder.join("device2 0");
    let times = scale.pick(2_000, 500);
    for _ in 0..=3 {
        crate::measure::drop_caches()?;
        let start = now();
        let seen = list_stat(&folder)?;
        cold.push(now().saturating_sub(start) as f64 / 1e3);
        ensure!(seen >= 20, "{seen} entries were listed");
        let start = now();
        for _ in 0..times {
            rustix::fs::stat(&path)?;
        }
        warm.push(now().saturating_sub(start) as f64 / 1e3 / f64::from(times));
    }
    cold.remove(0);
    warm.remove(0);
    figure(cell, &format!("peers_list:{count}"), "us", cold);
    figure(cell, &format!("peers_stat_warm:{count}"), "us", warm);
    Ok(memory as f64 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_slabinfo() {
        let line = "dentry            1000   2100    192   21    1 : tunables    0    0    0";
        assert_eq!(slab_bytes(line), Some(192_000));
        assert_eq!(slab_bytes("slabinfo - version: 2.1"), None);
        assert_eq!(
            slab_bytes("# name  <active_objs> <num_objs> <objsize>"),
            None
        );
    }
}
