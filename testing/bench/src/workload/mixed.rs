// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several things at once.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{anyhow, ensure, Context, Result};
use rustix::fs::{Mode, OFlags};

use super::bulk::{fill, read_all};
use super::names::c_path;
use super::Workload;
use crate::measure::{now, Measured, Place, Unit};

/// Small files opened, read and closed, nothing of them cached, while a big file is copied
/// again and again from the same device; the figure is the middle of their latencies.
pub const LATENCY_UNDER_COPY: Workload = Workload {
    name: "latency_under_copy",
    unit: Unit::Micros,
    warm_ups: 1,
    runs: (3, 2),
    prepare: |place| {
        fill(&place.owner.join("big"), big(place), 7)?;
        let folder = place.owner.join("probe");
        fs::create_dir_all(&folder)?;
        for number in 0..PROBES {
            fs::write(folder.join(format!("file{number}")), vec![1; 4096])?;
        }
        Ok(())
    },
    run: latency_under_copy,
    clean: |place| Ok(fs::remove_dir_all(place.owner.join("probe"))?),
};

const PROBES: usize = 50;

fn big(place: &Place) -> u64 {
    place.scale.pick(128 << 20, 16 << 20)
}

fn latency_under_copy(place: &Place) -> Result<Measured> {
    place.cold()?;
    let end = AtomicBool::new(false);
    let copied = Path::new("big");
    thread::scope(|scope| {
        let copy = scope.spawn(|| -> Result<()> {
            while !end.load(Ordering::Relaxed) {
                read_all(copied)?;
                // What was read is forgotten, or the second round would cost nothing.
                let file = fs::File::open(copied)?;
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
            }
            Ok(())
        });
        // The copy is under way.
        thread::sleep(std::time::Duration::from_millis(200));
        let probes = probe();
        end.store(true, Ordering::Relaxed);
        copy.join().map_err(|_| anyhow!("the copy panicked"))??;
        let mut times = probes?;
        times.sort_unstable();
        Ok(Measured {
            nanos: times.get(times.len() / 2).copied().unwrap_or(0),
            ..Measured::default().of(1, 0)
        })
    })
}

fn probe() -> Result<Vec<u64>> {
    let mut times = Vec::new();
    let mut buffer = vec![0; 4096];
    for number in 0..PROBES {
        let path = c_path(&Path::new("probe").join(format!("file{number}")))?;
        let start = now();
        let file =
            rustix::fs::open(path.as_c_str(), OFlags::RDONLY, Mode::empty()).context("open")?;
        let length = rustix::io::read(&file, &mut buffer).context("read")?;
        drop(file);
        times.push(now().saturating_sub(start));
        ensure!(length == 4096, "a read of {length} bytes");
    }
    Ok(times)
}

/// This device and the owner make files in one directory at the same time; at the end
/// both have all of them. One operation is one file of this device.
pub const SHARED_DIR: Workload = Workload {
    name: "shared_dir",
    unit: Unit::Micros,
    warm_ups: 1,
    runs: (3, 2),
    prepare: |place| Ok(fs::create_dir_all(place.owner.join("shared"))?),
    run: shared_dir,
    clean: |place| Ok(fs::remove_dir_all(place.owner.join("shared"))?),
};

fn make(folder: &Path, who: &str, count: usize, end: &AtomicBool) -> Result<usize> {
    let mut made = 0;
    while made < count && !end.load(Ordering::Relaxed) {
        fs::write(folder.join(format!("{who}{made}")), [2; 512])
            .with_context(|| format!("create as {who}"))?;
        made += 1;
        // Both get their turn on the one processor.
        thread::yield_now();
    }
    Ok(made)
}

fn shared_dir(place: &Place) -> Result<Measured> {
    let (here, there) = (Path::new("shared"), place.owner.join("shared"));
    let count = place.scale.pick(500, 100);
    let mut others = 0;
    let measured = place.time_cold(|| {
        let end = AtomicBool::new(false);
        thread::scope(|scope| {
            let owner = scope.spawn(|| make(&there, "owner", count, &end));
            let result = make(here, "reader", count, &AtomicBool::new(false));
            end.store(true, Ordering::Relaxed);
            others = owner.join().map_err(|_| anyhow!("the owner panicked"))??;
            result.map(drop)
        })
    })?;
    // What a device caches about the other's changes may be some seconds old.
    let all = count + others;
    lab::wait::until("both to see all files", lab::wait::PATIENCE, || {
        Ok(fs::read_dir(here)?.count() == all && fs::read_dir(&there)?.count() == all)
    })?;
    fs::remove_dir_all(&there)?;
    fs::create_dir(&there)?;
    Ok(measured.of(count as u64, 0))
}
