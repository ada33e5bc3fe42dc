// SPDX-License-Identifier: MIT OR Apache-2.0

//! Small files, and small parts of files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use lab::random::Random;
use rustix::fs::{Mode, OFlags};
use rustix::mm::{MapFlags, ProtFlags};

use super::names::{c_path, file, prepare};
use super::{nothing, Workload};
use crate::measure::{Measured, Place, Unit};

const PAGE: usize = 4096;

/// 4 KiB read again and again from an open, cached file.
pub const READ_4K_WARM: Workload = Workload {
    name: "read_4k_warm",
    unit: Unit::Micros,
    warm_ups: 2,
    runs: (7, 5),
    prepare,
    run: read_4k_warm,
    clean: nothing,
};

fn read_4k_warm(place: &Place) -> Result<Measured> {
    let file = rustix::fs::open(file()?, OFlags::RDONLY, Mode::empty()).context("open")?;
    let count = place.scale.pick(5_000, 2_000);
    let mut buffer = vec![0; PAGE];
    // The first one may have to fetch it.
    rustix::io::pread(&file, &mut buffer, 0)?;
    let measured = place.time(|| {
        for number in 0..count {
            let offset = number % 16 * PAGE as u64;
            let length = rustix::io::pread(&file, &mut buffer, offset).context("pread")?;
            ensure!(length == PAGE, "a read of {length} bytes");
        }
        Ok(())
    })?;
    Ok(measured.of(count, count * PAGE as u64))
}

/// 4 KiB written again and again to the same pages of an open file.
pub const WRITE_4K_WARM: Workload = Workload {
    name: "write_4k_warm",
    unit: Unit::Micros,
    warm_ups: 2,
    runs: (7, 5),
    prepare,
    run: write_4k_warm,
    clean: nothing,
};

fn write_4k_warm(place: &Place) -> Result<Measured> {
    let file =
        rustix::fs::open(file()?, OFlags::RDWR, Mode::empty()).context("open for writing")?;
    let count = place.scale.pick(5_000, 1_000);
    let buffer = vec![8; PAGE];
    for page in 0..16 {
        rustix::io::pwrite(&file, &buffer, page * PAGE as u64)?;
    }
    let measured = place.time(|| {
        for number in 0..count {
            let offset = number % 16 * PAGE as u64;
            let length = rustix::io::pwrite(&file, &buffer, offset).context("pwrite")?;
            ensure!(length == PAGE, "a write of {length} bytes");
        }
        Ok(())
    })?;
    rustix::fs::fsync(&file).context("fsync")?;
    Ok(measured.of(count, count * PAGE as u64))
}

const MAPPED: usize = 16 << 20;

/// 16 MiB of a cached file mapped, one byte of each page read, unmapped.
pub const MMAP_READ: Workload = Workload {
    name: "mmap_read",
    unit: Unit::Megabytes,
    warm_ups: 2,
    runs: (7, 5),
    prepare: |place| {
        let path = place.owner.join("mapped");
        if !path.exists() {
            fs::write(path, Random::new(3).bytes(MAPPED))?;
        }
        Ok(())
    },
    run: mmap_read,
    clean: |place| Ok(fs::remove_file(place.owner.join("mapped"))?),
};

fn mmap_read(place: &Place) -> Result<Measured> {
    let path = c_path(Path::new("mapped"))?;
    let file = rustix::fs::open(path, OFlags::RDONLY, Mode::empty()).context("open")?;
    let mut sum = 0_u64;
    let measured = place.time(|| {
        // SAFETY: a new mapping at an address that the kernel chooses.
        let mapping = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                MAPPED,
                ProtFlags::READ,
                MapFlags::SHARED,
                &file,
                0,
            )
        }
        .context("mmap")?;
        for offset in (0..MAPPED).step_by(PAGE) {
            // SAFETY: inside the mapping of a file that nobody makes shorter.
            sum += u64::from(unsafe { mapping.cast::<u8>().add(offset).read_volatile() });
        }
        // SAFETY: nothing refers to the mapping any more.
        unsafe { rustix::mm::munmap(mapping, MAPPED) }.context("munmap")
    })?;
    ensure!(sum > 0, "the mapping was empty");
    Ok(measured.of(1, MAPPED as u64))
}

fn count(place: &Place) -> usize {
    place.scale.pick(1_000, 200)
}

fn small(number: usize) -> PathBuf {
    Path::new("small").join(format!("file{number:04}"))
}

fn prepare_small(place: &Place) -> Result<()> {
    let folder = place.owner.join("small");
    fs::create_dir_all(&folder)?;
    let mut random = Random::new(4);
    for number in 0..count(place) {
        fs::write(folder.join(format!("file{number:04}")), random.bytes(PAGE))?;
    }
    Ok(())
}

fn remove_small(place: &Place) -> Result<()> {
    Ok(fs::remove_dir_all(place.owner.join("small"))?)
}

/// Files of 4 KiB opened, read and closed, nothing of them cached.
pub const SMALL_READ: Workload = Workload {
    name: "small_read",
    unit: Unit::Micros,
    warm_ups: 1,
    runs: (5, 3),
    prepare: prepare_small,
    run: small_read,
    clean: remove_small,
};

fn small_read(place: &Place) -> Result<Measured> {
    let mut paths = Vec::new();
    for number in 0..count(place) {
        paths.push(c_path(&small(number))?);
    }
    let mut buffer = vec![0; PAGE + 1];
    let measured = place.time_cold(|| {
        for path in &paths {
            let file =
                rustix::fs::open(path.as_c_str(), OFlags::RDONLY, Mode::empty()).context("open")?;
            let length = rustix::io::read(&file, &mut buffer).context("read")?;
            ensure!(length == PAGE, "a read of {length} bytes");
        }
        Ok(())
    })?;
    Ok(measured.of(paths.len() as u64, (paths.len() * PAGE) as u64))
}

/// Files of 4 KiB made, written and closed.
pub const SMALL_CREATE: Workload = Workload {
    name: "small_create",
    unit: Unit::Micros,
    warm_ups: 1,
    runs: (5, 3),
    prepare: |place| Ok(fs::create_dir_all(place.owner.join("small"))?),
    run: small_create,
    clean: remove_small,
};

fn small_create(place: &Place) -> Result<Measured> {
    let buffer = vec![9; PAGE];
    let mut paths = Vec::new();
    for number in 0..count(place) {
        paths.push(c_path(&small(number))?);
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
    let measured = place.time_cold(|| {
        for path in &paths {
            let file = rustix::fs::open(path.as_c_str(), flags, Mode::from_raw_mode(0o644))
                .context("create")?;
            let length = rustix::io::write(&file, &buffer).context("write")?;
            ensure!(length == PAGE, "a write of {length} bytes");
        }
        Ok(())
    })?;
    for path in &paths {
        rustix::fs::unlink(path.as_c_str()).context("unlink")?;
    }
    Ok(measured.of(paths.len() as u64, (paths.len() * PAGE) as u64))
}

/// Files of 4 KiB removed.
pub const SMALL_UNLINK: Workload = Workload {
    name: "small_unlink",
    unit: Unit::Micros,
    warm_ups: 1,
    runs: (5, 3),
    prepare: |place| Ok(fs::create_dir_all(place.owner.join("small"))?),
    run: small_unlink,
    clean: remove_small,
};

fn small_unlink(place: &Place) -> Result<Measured> {
    prepare_small(place)?;
    let mut paths = Vec::new();
    for number in 0..count(place) {
        paths.push(c_path(&small(number))?);
    }
    let measured = place.time_cold(|| {
        for path in &paths {
            rustix::fs::unlink(path.as_c_str()).context("unlink")?;
        }
        Ok(())
    })?;
    Ok(measured.of(paths.len() as u64, 0))
}
