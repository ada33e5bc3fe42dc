// SPDX-License-Identifier: MIT OR Apache-2.0

//! Much data: in sequence, at random places, several streams at once.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{anyhow, ensure, Context, Result};
use lab::random::Random;
use rustix::fs::{Mode, OFlags};

use super::names::c_path;
use super::{nothing, Workload};
use crate::measure::{Place, Unit};

const PAGE: usize = 4096;
const MIB: u64 = 1 << 20;

/// What programs that copy files use at once.
const BLOCK: usize = 128 << 10;

/// Makes a file that does not compress, of `size` bytes.
pub(super) fn fill(path: &Path, size: u64, seed: u64) -> Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == size) {
        return Ok(());
    }
    let block = Random::new(seed).bytes(1 << 20);
    let mut file = File::create(path)?;
    let mut left = size;
    while left > 0 {
        let part = left.min(MIB) as usize;
        file.write_all(&block[..part])?;
        left -= part as u64;
    }
    Ok(())
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    rustix::fs::open(c_path(path)?, flags, Mode::from_raw_mode(0o644))
        .with_context(|| format!("open {}", path.display()))
}

/// Reads all of `path` in blocks; returns how much that was.
pub(super) fn read_all(path: &Path) -> Result<u64> {
    let file = open(path, OFlags::RDONLY)?;
    let mut buffer = vec![0; BLOCK];
    let mut total = 0;
    loop {
        let length = rustix::io::read(&file, &mut buffer).context("read")?;
        if length == 0 {
            return Ok(total);
        }
        total += length as u64;
    }
}

fn write_blocks(file: &OwnedFd, size: u64) -> Result<()> {
    let buffer = Random::new(5).bytes(BLOCK);
    for _ in 0..size / BLOCK as u64 {
        let length = rustix::io::write(file, &buffer).context("write")?;
        ensure!(length == BLOCK, "a write of {length} bytes");
    }
    Ok(())
}

fn warm_size(place: &Place) -> u64 {
    place.scale.pick(32 * MIB, 8 * MIB)
}

/// A cached file read in blocks of 128 KiB.
pub const SEQ_READ_WARM: Workload = Workload {
    name: "seq_read",
    unit: Unit::Megabytes,
    warm_ups: 2,
    runs: (7, 5),
    prepare: |place| fill(&place.owner.join("warm"), warm_size(place), 6),
    run: |place| {
        let path = Path::new("warm");
        let size = read_all(path)?;
        ensure!(size == warm_size(place), "the file has {size} bytes");
        Ok(place.time(|| read_all(path).map(drop))?.of(1, size))
    },
    clean: nothing,
};

/// A cached file written again in blocks of 128 KiB, without waiting for a disk.
pub const SEQ_WRITE_WARM: Workload = Workload {
    name: "seq_write",
    unit: Unit::Megabytes,
    warm_ups: 2,
    runs: (7, 5),
    prepare: |place| fill(&place.owner.join("warm"), warm_size(place), 6),
    run: |place| {
        let file = open(Path::new("warm"), OFlags::WRONLY)?;
        let size = warm_size(place);
        let measured = place.time(|| write_blocks(&file, size))?;
        rustix::fs::fsync(&file).context("fsync")?;
        Ok(measured.of(1, size))
    },
    clean: |place| Ok(fs::remove_file(place.owner.join("warm"))?),
};

fn big_size(place: &Place) -> u64 {
    place.scale.pick(128 * MIB, 16 * MIB)
}

fn prepare_big(place: &Place) -> Result<()> {
    fill(&place.owner.join("big"), big_size(place), 7)
}

/// A file read in sequence, nothing of it cached.
pub const SEQ_READ: Workload = Workload {
    name: "seq_read",
    unit: Unit::Megabytes,
    warm_ups: 1,
    runs: (3, 2),
    prepare: prepare_big,
    run: |place| {
        let path = Path::new("big");
        let mut size = 0;
        let measured = place.time_cold(|| {
            size = read_all(path)?;
            Ok(())
        })?;
        ensure!(size == big_size(place), "the file has {size} bytes");
        Ok(measured.of(1, size))
    },
    clean: nothing,
};

/// A new file written in sequence, with an fsync at the end.
pub const SEQ_WRITE: Workload = Workload {
    name: "seq_write",
    unit: Unit::Megabytes,
    warm_ups: 1,
    runs: (3, 2),
    prepare: nothing,
    run: |place| {
        let path = Path::new("written");
        let size = big_size(place);
        let measured = place.time_cold(|| {
            let file = open(path, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY)?;
            write_blocks(&file, size)?;
            rustix::fs::fsync(&file).context("fsync")
        })?;
        let written = fs::metadata(place.owner.join("written"))?.len();
        fs::remove_file(path)?;
        ensure!(written == size, "the owner has {written} bytes of {size}");
        Ok(measured.of(1, size))
    },
    clean: |place| {
        let _ = fs::remove_file(place.owner.join("written"));
        Ok(())
    },
};

fn offsets(size: u64, count: usize) -> Vec<u64> {
    let mut random = Random::new(8);
    let pages = size / PAGE as u64;
    (0..count)
        .map(|_| random.below(pages) * PAGE as u64)
        .collect()
}

/// 4 KiB read at random places of a big file, nothing of it cached.
pub const RAND_READ_4K: Workload = Workload {
    name: "rand_read_4k",
    unit: Unit::Micros,
    warm_ups: 1,
    runs: (5, 3),
    prepare: prepare_big,
    run: |place| {
        let offsets = offsets(big_size(place), place.scale.pick(1_000, 200));
        let mut buffer = vec![0; PAGE];
        place.cold()?;
        let file = open(Path::new("big"), OFlags::RDONLY)?;
        // Otherwise readahead would guess.
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random)?;
        let measured = place.time(|| {
            for offset in &offsets {
                let length = rustix::io::pread(&file, &mut buffer, *offset).context("pread")?;
                ensure!(length == PAGE, "a read of {length} bytes");
            }
            Ok(())
        })?;
        Ok(measured.of(offsets.len() as u64, (offsets.len() * PAGE) as u64))
    },
    clean: nothing,
};

/// 4 KiB written at random places of a big file, with an fsync at the end.
pub const RAND_WRITE_4K: Workload = Workload {
    name: "rand_write_4k",
    unit: Unit::Micros,
    warm_ups: 1,
    runs: (5, 3),
    prepare: prepare_big,
    run: |place| {
        let offsets = offsets(big_size(place), place.scale.pick(1_000, 200));
        let buffer = vec![10; PAGE];
        place.cold()?;
        let file = open(Path::new("big"), OFlags::RDWR)?;
        let measured = place.time(|| {
            for offset in &offsets {
                let length = rustix::io::pwrite(&file, &buffer, *offset).context("pwrite")?;
                ensure!(length == PAGE, "a write of {length} bytes");
            }
            rustix::fs::fsync(&file).context("fsync")
        })?;
        Ok(measured.of(offsets.len() as u64, (offsets.len() * PAGE) as u64))
    },
    clean: |place| Ok(fs::remove_file(place.owner.join("big"))?),
};

/// Four files read in sequence at the same time, nothing of them cached.
pub const STREAMS_4: Workload = Workload {
    name: "streams_4",
    unit: Unit::Megabytes,
    warm_ups: 1,
    runs: (3, 2),
    prepare: |place| {
        for number in 0..4 {
            let path = place.owner.join(format!("stream{number}"));
            fill(&path, big_size(place) / 4, 9 + number)?;
        }
        Ok(())
    },
    run: |place| {
        let mut total = 0;
        let measured = place.time_cold(|| {
            thread::scope(|scope| {
                let readers: Vec<_> = (0..4)
                    .map(|number| PathBuf::from(format!("stream{number}")))
                    .map(|path| scope.spawn(move || read_all(&path)))
                    .collect();
                for reader in readers {
                    total += reader.join().map_err(|_| anyhow!("a reader panicked"))??;
                }
                Ok(())
            })
        })?;
        ensure!(total == big_size(place), "{total} bytes were read");
        Ok(measured.of(4, total))
    },
    clean: |place| {
        for number in 0..4 {
            fs::remove_file(place.owner.join(format!("stream{number}")))?;
        }
        Ok(())
    },
};
