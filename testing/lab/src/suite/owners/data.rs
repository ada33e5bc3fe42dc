// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is in files: space, holes, copies, very long files, mappings.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use anyhow::{ensure, Context, Result};
use rustix::fs::{copy_file_range, fallocate, ioctl_ficlone, seek, FallocateFlags, SeekFrom};

use super::Stage;
use crate::mapping::Mapping;
use crate::random::Random;
use crate::suite::support::{
    close, drop_caches, fails, holds, same, same_bytes, truncate, writable,
};
use crate::suite::writing::without_data;

const MIB: u64 = 1 << 20;

/// Space that is allocated, freed, and found.
pub fn space(stage: &Stage<'_>) -> Result<()> {
    // xfs has tests of its own, with more cases.
    if stage.owner.name == "xfs" {
        return Ok(());
    }
    let paths = stage.file("space");
    let [home, there, _] = &paths;
    let mut content = Random::new(66).bytes(MIB as usize);
    fs::write(home, &content)?;
    let open = writable(there)?;
    let owner = stage.owner;
    let call = |what: &str, able: bool, flags, range: (u64, u64)| -> Result<bool> {
        let done = fallocate(&open, flags, range.0, range.1).map_err(io::Error::from);
        Ok(stage.tries(what, able, done, libc::EOPNOTSUPP)?.is_some())
    };
    let check = |what: &str, content: &[u8]| -> Result<()> {
        for path in &paths {
            holds(path, content).with_context(|| what.to_owned())?;
        }
        Ok(())
    };
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    if call("a hole", owner.holes, punch, (65_537, 100_000))? {
        content[65_537..165_537].fill(0);
        check("a hole", &content)?;
    }
    let zero = FallocateFlags::ZERO_RANGE;
    if call("zeroes", owner.zeroes, zero, (300_000, 50_000))? {
        content[300_000..350_000].fill(0);
        check("zeroes", &content)?;
    }
    let collapse = FallocateFlags::COLLAPSE_RANGE;
    if call("collapsing", owner.shifts, collapse, (8192, 16_384))? {
        content.drain(8192..8192 + 16_384);
        check("collapsed", &content)?;
    }
    let insert = FallocateFlags::INSERT_RANGE;
    if call("inserting", owner.shifts, insert, (4096, 8192))? {
        content.splice(4096..4096, [0; 8192]);
        check("inserted", &content)?;
    }
    call("allocating", true, FallocateFlags::empty(), (0, 2 * MIB))?;
    content.resize(2 * MIB as usize, 0);
    check("allocated", &content)?;
    let beyond = (2 * MIB, MIB);
    call("beyond the end", true, FallocateFlags::KEEP_SIZE, beyond)?;
    check("allocated beyond the end", &content)?;
    let blocks = fs::metadata(home)?.blocks();
    ensure!(blocks >= 3 << 11, "{blocks} blocks are allocated");
    same("blocks from afar", fs::metadata(there)?.blocks(), blocks)?;
    drop(open);
    found(stage)
}

fn found(stage: &Stage<'_>) -> Result<()> {
    let [home, there, _] = stage.file("sparse");
    let open = File::create_new(&there)?;
    for offset in [MIB, 4 * MIB] {
        open.write_all_at(&[1; 65_536], offset)?;
    }
    let end = 4 * MIB + 65_536;
    let data = |from| Ok::<_, io::Error>(seek(&open, SeekFrom::Data(from))?);
    let hole = |from| Ok::<_, io::Error>(seek(&open, SeekFrom::Hole(from))?);
    // Nothing was closed; yet what is told is right.
    if stage.owner.holes {
        same("first data", data(0)?, MIB)?;
        let begin = hole(MIB)?;
        ensure!(
            (MIB + 65_536..4 * MIB).contains(&begin),
            "a hole at {begin}"
        );
        same("next data", data(begin)?, 4 * MIB)?;
    } else {
        same("first data", data(MIB / 2)?, MIB / 2)?;
        same("no hole", hole(0)?, end)?;
    }
    same("the end", hole(4 * MIB)?, end)?;
    fails("beyond the end", data(end), libc::ENXIO)?;
    drop(open);
    let blocks = fs::metadata(&home)?.blocks();
    let sparse = blocks < MIB >> 9;
    same("that it takes little space", sparse, stage.owner.holes)
}

/// Copies within an owner stay there, and share their space where that is possible.
pub fn copies(stage: &Stage<'_>) -> Result<()> {
    let content = Random::new(67).bytes(3 << 20);
    let [_, source, _] = stage.file("source");
    fs::write(stage.home.join("source"), &content)?;
    let targets = stage.file("target");
    without_data(stage.device, || {
        let (from, to) = (File::open(&source)?, File::create_new(&targets[1])?);
        let (mut at, mut into) = (1000, 50);
        let mut left = content.len() - 1000;
        while left != 0 {
            let copied = copy_file_range(&from, Some(&mut at), &to, Some(&mut into), left)?;
            ensure!(copied != 0, "nothing was copied");
            left -= copied;
        }
        Ok(())
    })?;
    for path in &targets {
        holds(path, &[&[0; 50][..], &content[1000..]].concat())?;
    }
    let clones = stage.file("clone");
    fs::write(&clones[1], "something else")?;
    let able = stage.owner.clones;
    without_data(stage.device, || {
        let cloned = ioctl_ficlone(writable(&clones[1])?, File::open(&source)?);
        stage.tries(
            "a clone",
            able,
            cloned.map_err(Into::into),
            libc::EOPNOTSUPP,
        )?;
        // A part of a file: where from, how much, and where to.
        let from = File::open(&source)?;
        let request = libc::file_clone_range {
            src_fd: from.as_raw_fd().into(),
            src_offset: 0,
            src_length: 65_536,
            dest_offset: 65_536,
        };
        let target = writable(&clones[1])?;
        // SAFETY: both descriptors are open, and the request reads such a structure.
        let done = unsafe { libc::ioctl(target.as_raw_fd(), libc::FICLONERANGE, &request) };
        let done = if done < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        };
        stage.tries("a part", able, done, libc::EOPNOTSUPP)?;
        Ok(())
    })?;
    let mut expected = b"something else".to_vec();
    if able {
        expected.clone_from(&content);
        expected[65_536..131_072].copy_from_slice(&content[..65_536]);
    }
    for path in &clones {
        holds(path, &expected)?;
    }
    // They share their space until one is written.
    let open = writable(&clones[1])?;
    open.write_all_at(b"changed", 5)?;
    close(open)?;
    holds(&source, &content)
}

/// A long file costs nothing where it has no data. FAT ends at 4 GiB.
pub fn beyond_four_gib(stage: &Stage<'_>) -> Result<()> {
    const FAR: u64 = (5 << 30) + 1000;
    let paths = stage.file("long");
    let [home, there, third] = &paths;
    fs::write(home, "begin")?;
    let open = writable(there)?;
    if !stage.owner.unix {
        fails("the size", open.set_len(FAR), libc::EFBIG)?;
        fails("by its name", truncate(there, 1 << 32), libc::EFBIG)?;
        let other = writable(there)?;
        // It is told once to each open file, when it is known.
        let written = open.write_all_at(b"far", FAR);
        if written.is_ok() {
            fails("fsync", open.sync_all(), libc::EFBIG)?;
            fails("of the other", other.sync_all(), libc::EFBIG)?;
        } else {
            fails("writing", written, libc::EFBIG)?;
        }
        close(open).context("it was told already")?;
        close(other).context("it was told already")?;
        for path in &paths {
            holds(path, b"begin")?;
        }
        return Ok(());
    }
    open.write_all_at(b"far", FAR)?;
    open.write_all_at(b"middle", (1 << 32) - 3)?;
    close(open)?;
    for path in &paths {
        let open = File::open(path)?;
        same("size", open.metadata()?.len(), FAR + 3)?;
        let mut read = [1; 12];
        open.read_exact_at(&mut read, (1 << 32) - 6)?;
        same_bytes("across 4 GiB", &read, b"\0\0\0middle\0\0\0")?;
        open.read_exact_at(&mut read[..3], FAR)?;
        same_bytes("the end", &read[..3], b"far")?;
        same("at the end", open.read_at(&mut read, FAR + 3)?, 0)?;
    }
    drop_caches()?;
    let open = File::open(third)?;
    let data = seek(&open, SeekFrom::Data(1 << 20))?;
    ensure!(
        ((1 << 32) - 65_536..1 << 32).contains(&data),
        "data at {data}"
    );
    truncate(there, (1 << 32) + 1)?;
    same("size", fs::metadata(home)?.len(), (1 << 32) + 1)?;
    let mut read = [0; 4];
    File::open(third)?.read_exact_at(&mut read, (1 << 32) - 3)?;
    same_bytes("what is left", &read, b"midd")
}

/// Shared mappings of two devices, and files that become shorter and longer.
pub fn mapped_and_cut(stage: &Stage<'_>) -> Result<()> {
    const SIZE: usize = 100_000;
    let paths = stage.file("mapped");
    let mut content = Random::new(63).bytes(SIZE);
    fs::write(&paths[0], &content)?;
    drop_caches()?;
    // On tmpfs, what the owner's programs write through a mapping changes no time.
    let by = if stage.owner.name == "tmpfs" {
        [1, 2, 1]
    } else {
        [1, 2, 0]
    };
    for (round, path) in by.map(|place| &paths[place]).into_iter().enumerate() {
        let open = writable(path)?;
        let mapping = Mapping::of(&open, SIZE, true)?;
        same_bytes("the mapping", &mapping.read(), &content)?;
        let offset = 30_000 * round;
        mapping.write(offset, b"mapped")?;
        content[offset..offset + 6].copy_from_slice(b"mapped");
        mapping.sync()?;
        drop((mapping, open));
        for path in &paths {
            holds(path, &content)?;
        }
    }
    for (round, size) in [50_000_u64, 60_000, 4_097, 8_192, 0, 70_000]
        .into_iter()
        .enumerate()
    {
        // Written, so that it has to go, too; and what is cut off does not come back.
        let open = writable(&paths[1])?;
        open.write_all_at(b"end", content.len() as u64)?;
        content.extend(b"end");
        if round % 2 == 0 {
            open.set_len(size)?;
        } else {
            truncate(&paths[1], size)?;
        }
        content.resize(size as usize, 0);
        same("own size", open.metadata()?.len(), size)?;
        close(open)?;
        for path in &paths {
            holds(path, &content).with_context(|| format!("cut to {size}"))?;
        }
    }
    Ok(())
}
