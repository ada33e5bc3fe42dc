// SPDX-License-Identifier: MIT OR Apache-2.0

//! Writing to another device's files: what is closed here is there, and nothing is lost.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{ensure, Context, Result};
use rustix::fs::{
    copy_file_range, fallocate, fsync, ioctl_ficlone, ioctl_setflags, seek, FallocateFlags, IFlags,
    SeekFrom,
};

use crate::device::Device;
use crate::fleet::{Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::mapping::Mapping;
use crate::random::Random;
use crate::storage::Storage;
use crate::suite::support::{drop_caches, fails, holds, same, same_bytes, same_file, writable};
use crate::suite::{tests, Group};
use crate::tree;

/// Two that may write to a tablet, and one that may not.
pub const GROUP: Group = Group {
    name: "writing",
    fleet: Some(prepare),
    seconds: 5,
    tests: tests![
        Fleet: what_is_closed_is_there,
        parts_are_overwritten,
        a_big_file_written_at_random,
        truncating,
        appending,
        threads_that_append_lose_nothing,
        memory_mappings_are_written,
        direct_and_synchronous_writes,
        what_came_with_opening_is_not_read_after_a_change,
        append_only_files_stay_so,
        own_writes_stay_cached,
        two_devices_take_turns,
        many_writers_at_once,
        space_is_allocated_and_freed,
        data_and_holes_are_found,
        copies_stay_on_the_device,
        clones_share_their_space,
        a_program_runs_right_after_it_was_written,
        what_is_open_stays_writable,
        no_space_is_reported_once_to_each_file,
        a_dead_owner_is_reported,
        reading_only_is_kept,
    ],
};

fn prepare() -> Result<Fleet> {
    Plan::with_storage(vec![
        ("laptop", Storage::Memory(64)),
        ("tablet", Storage::Image("xfs", 320)),
        ("phone", Storage::Memory(24)),
    ])
    .policy("tablet", "laptop", "write", 4)
    .policy("tablet", "phone", "write", 4)
    .policy("phone", "laptop", "write", 4)
    .start()
}

/// Makes a file at its owner; gives its path there, and as the laptop sees it.
fn file(fleet: &Fleet, owner: &str, name: &str, content: &[u8]) -> Result<(PathBuf, PathBuf)> {
    let home = fleet.device(owner)?.export().join(name);
    fs::write(&home, content)?;
    Ok((home, fleet.device("laptop")?.view(owner).join(name)))
}

fn what_is_closed_is_there(fleet: &mut Fleet) -> Result<()> {
    let phone = fleet.device("phone")?.view("tablet");
    let mut random = Random::new(60);
    for size in [1, 4095, 4096, 4097, 65_536, 1 << 20, (5 << 20) + 7] {
        let name = format!("closed-{size}");
        let (home, there) = file(fleet, "tablet", &name, b"")?;
        let content = random.bytes(size);
        let open = OpenOptions::new().write(true).open(&there)?;
        (&open).write_all(&content)?;
        same("own size", open.metadata()?.len(), size as u64)?;
        drop(open);
        holds(&home, &content)?;
        holds(&phone.join(&name), &content)?;
        holds(&there, &content)?;
    }
    Ok(())
}

fn parts_are_overwritten(fleet: &mut Fleet) -> Result<()> {
    let mut random = Random::new(61);
    let mut content = random.bytes(300_000);
    let (home, there) = file(fleet, "tablet", "parts", &content)?;
    drop_caches()?;
    let open = writable(&there)?;
    for (offset, length) in [
        (10, 5),
        (4000, 200),
        (100_000, 70_000),
        (299_999, 1),
        (0, 1),
    ] {
        let part = random.bytes(length);
        open.write_all_at(&part, offset as u64)?;
        content[offset..offset + length].copy_from_slice(&part);
        let mut around = vec![0; length];
        open.read_exact_at(&mut around, offset as u64)?;
        same_bytes("what was just written", &around, &part)?;
    }
    // Beyond the end: what is between is zeros.
    open.write_all_at(b"far", 500_000)?;
    content.resize(500_000, 0);
    content.extend_from_slice(b"far");
    fsync(&open)?;
    holds(&home, &content)?;
    drop(open);
    holds(&there, &content)
}

fn a_big_file_written_at_random(fleet: &mut Fleet) -> Result<()> {
    const SIZE: usize = 24 << 20;
    let mut random = Random::new(62);
    let mut content = vec![0; SIZE];
    let (home, there) = file(fleet, "tablet", "big", b"")?;
    let open = writable(&there)?;
    for _ in 0..150 {
        let length = random.below(400_000) as usize + 1;
        let offset = random.below((SIZE - length) as u64) as usize;
        let part = random.bytes(length);
        open.write_all_at(&part, offset as u64)?;
        content[offset..offset + length].copy_from_slice(&part);
    }
    open.write_all_at(&[7], SIZE as u64 - 1)?;
    content[SIZE - 1] = 7;
    drop(open);
    holds(&home, &content)?;
    drop(content);
    drop_caches()?;
    same_file(&there, &home)?;
    fs::remove_file(home)?;
    Ok(())
}

fn truncating(fleet: &mut Fleet) -> Result<()> {
    let phone = fleet.device("phone")?.view("tablet").join("truncated");
    let mut content = Random::new(69).bytes(100_000);
    let (home, there) = file(fleet, "tablet", "truncated", &content)?;
    for size in [200_000, 4097, 4096, 8192, 0, 70_000] {
        // What was written before the file became shorter must not come back.
        let open = writable(&there)?;
        open.write_all_at(b"end", content.len() as u64)?;
        content.extend_from_slice(b"end");
        open.set_len(size)?;
        content.resize(size as usize, 0);
        same("own size", open.metadata()?.len(), size)?;
        drop(open);
        same("size at home", fs::metadata(&home)?.len(), size)?;
        for path in [&home, &there, &phone] {
            holds(path, &content).with_context(|| format!("after {size}"))?;
        }
    }
    // By opening.
    let open = OpenOptions::new().write(true).truncate(true).open(&there)?;
    same("size at home", fs::metadata(&home)?.len(), 0)?;
    open.write_all_at(b"new", 0)?;
    drop(open);
    holds(&home, b"new")?;
    holds(&phone, b"new")
}

fn appending(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "tablet", "log", b"begin\n")?;
    let mut expected = b"begin\n".to_vec();
    for round in 0..20 {
        let line = format!("line {round}\n");
        // The owner and a peer, in turn.
        let path = if round % 2 == 0 { &there } else { &home };
        let mut open = OpenOptions::new().append(true).open(path)?;
        open.write_all(line.as_bytes())?;
        expected.extend_from_slice(line.as_bytes());
    }
    holds(&home, &expected)?;
    holds(&there, &expected)
}

fn threads_that_append_lose_nothing(fleet: &mut Fleet) -> Result<()> {
    const LINES: usize = 300;
    let (home, there) = file(fleet, "tablet", "shared-log", b"")?;
    let names = ["a", "b", "c", "d"];
    let texts = tree::in_parallel(names.len(), &names, |name| {
        let mut open = OpenOptions::new().append(true).open(&there)?;
        for number in 0..LINES {
            open.write_all(format!("{name} {number}\n").as_bytes())?;
        }
        Ok(None)
    });
    ensure!(texts.is_empty(), "{}", texts.join("\n"));
    let text = fs::read_to_string(&home)?;
    same("lines", text.lines().count(), names.len() * LINES)?;
    for name in names {
        let own: Vec<_> = text.lines().filter(|line| line.starts_with(name)).collect();
        let expected: Vec<_> = (0..LINES)
            .map(|number| format!("{name} {number}"))
            .collect();
        ensure!(
            own == expected,
            "the lines of {name} are not all there, in order"
        );
    }
    Ok(())
}

fn memory_mappings_are_written(fleet: &mut Fleet) -> Result<()> {
    let mut content = Random::new(63).bytes(100_000);
    let (home, there) = file(fleet, "tablet", "mapped", &content)?;
    drop_caches()?;
    let open = writable(&there)?;
    let mapping = Mapping::of(&open, content.len(), true)?;
    for offset in [0, 5000, 99_990] {
        mapping.write(offset, b"mapped")?;
        content[offset..offset + 6].copy_from_slice(b"mapped");
    }
    mapping.sync()?;
    holds(&home, &content)?;
    // After the descriptor is closed, too.
    drop(open);
    mapping.write(50_000, b"later")?;
    content[50_000..50_005].copy_from_slice(b"later");
    mapping.sync()?;
    drop(mapping);
    holds(&home, &content)?;
    holds(
        &fleet.device("phone")?.view("tablet").join("mapped"),
        &content,
    )
}

fn direct_and_synchronous_writes(fleet: &mut Fleet) -> Result<()> {
    let mut content = vec![b'.'; 3 << 20];
    let (home, there) = file(fleet, "tablet", "direct", &content)?;
    let mut buffer = vec![b'd'; (2 << 20) + 4096];
    let start = buffer.as_ptr().align_offset(4096);
    let aligned = &mut buffer[start..start + (2 << 20)];
    let direct = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(&there)?;
    direct.write_all_at(aligned, 4096)?;
    content[4096..4096 + (2 << 20)].fill(b'd');
    // Nothing was closed: it is there already.
    holds(&home, &content).context("written directly")?;
    let synchronous = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_SYNC)
        .open(&there)?;
    synchronous.write_all_at(b"synchronous", 7)?;
    content[7..18].copy_from_slice(b"synchronous");
    holds(&home, &content).context("written synchronously")?;
    drop((direct, synchronous));
    holds(&there, &content)
}

/// The data of a small file come along when it is opened, and may be old a moment later.
fn what_came_with_opening_is_not_read_after_a_change(fleet: &mut Fleet) -> Result<()> {
    let mut content = vec![b'.'; 20_480];
    let (home, there) = file(fleet, "tablet", "beginning", &content)?;
    drop_caches()?;
    fs::metadata(&there)?;
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(&there)?;
    let mut buffer = vec![b'd'; 4096 * 3];
    let start = buffer.as_ptr().align_offset(4096);
    let aligned = &mut buffer[start..start + 4096];
    open.write_all_at(aligned, 4096)?;
    content[4096..8192].fill(b'd');
    aligned.fill(0);
    open.read_exact_at(aligned, 4096)?;
    same_bytes("read directly", aligned, &content[4096..8192])?;
    drop(open);
    drop_caches()?;
    let open = writable(&there)?;
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&open, punch, 0, 4096)?;
    content[..4096].fill(0);
    let mut read = vec![1; content.len()];
    open.read_exact_at(&mut read, 0)?;
    same_bytes("after a hole was made", &read, &content)?;
    holds(&home, &content)
}

fn append_only_files_stay_so(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "tablet", "append-only", b"kept")?;
    let owner = File::open(&home)?;
    for flag in [IFlags::APPEND, IFlags::IMMUTABLE] {
        ioctl_setflags(&owner, flag).context("cannot set the attribute")?;
        let written = writable(&there).and_then(|open| {
            open.write_all_at(b"gone", 0)?;
            Ok(fsync(&open)?)
        });
        ioctl_setflags(&owner, IFlags::empty())?;
        ensure!(written.is_err(), "a file with {flag:?} was written");
        holds(&home, b"kept")?;
        holds(&there, b"kept")?;
    }
    Ok(())
}

/// What this device has written itself is not fetched again.
fn own_writes_stay_cached(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let content = Random::new(64).bytes(2 << 20);
    let (_, there) = file(fleet, "tablet", "cached", b"")?;
    fs::metadata(&there)?;
    let open = writable(&there)?;
    open.write_all_at(&content, 0)?;
    drop(open);
    for _ in 0..3 {
        let received = laptop.control().counters()?.rx_bytes;
        let cost = round_trips(&laptop.control(), || holds(&there, &content))?;
        same("round trips of reading it again", cost, 1)?;
        let received = laptop.control().counters()?.rx_bytes - received;
        ensure!(received < 10_000, "{received} bytes were fetched again");
        let open = writable(&there)?;
        open.write_all_at(&content[100..200], 100)?;
    }
    Ok(())
}

fn two_devices_take_turns(fleet: &mut Fleet) -> Result<()> {
    let phone = fleet.device("phone")?.view("tablet").join("turns");
    let (home, there) = file(fleet, "tablet", "turns", &[0; 9000])?;
    let mut random = Random::new(65);
    let mut content = vec![0; 9000];
    for round in 0..60 {
        let path = [&there, &phone, &home][round % 3];
        let length = random.below(6000) as usize + 1;
        let offset = random.below(9000) as usize;
        let part = random.bytes(length);
        let open = writable(path)?;
        holds(path, &content).with_context(|| format!("round {round}"))?;
        open.write_all_at(&part, offset as u64)?;
        drop(open);
        content.resize(content.len().max(offset + length), 0);
        content[offset..offset + length].copy_from_slice(&part);
    }
    for path in [&home, &there, &phone] {
        holds(path, &content)?;
    }
    Ok(())
}

fn many_writers_at_once(fleet: &mut Fleet) -> Result<()> {
    let (laptop, phone) = (
        fleet.device("laptop")?.view("tablet"),
        fleet.device("phone")?.view("tablet"),
    );
    let numbers: Vec<u64> = (0..16).collect();
    let content = |number: u64| Random::new(number).bytes(200_000 + number as usize);
    for number in &numbers {
        file(fleet, "tablet", &format!("many-{number}"), b"")?;
    }
    let texts = tree::in_parallel(8, &numbers, |number| {
        let view = if number % 2 == 0 { &laptop } else { &phone };
        let open = writable(&view.join(format!("many-{number}")))?;
        for (index, part) in content(*number).chunks(7001).enumerate() {
            open.write_all_at(part, index as u64 * 7001)?;
        }
        fsync(&open)?;
        Ok(None)
    });
    ensure!(texts.is_empty(), "{}", texts.join("\n"));
    for number in numbers {
        let name = format!("many-{number}");
        for view in [&laptop, &phone, &fleet.device("tablet")?.export()] {
            holds(&view.join(&name), &content(number))?;
        }
    }
    Ok(())
}

fn space_is_allocated_and_freed(fleet: &mut Fleet) -> Result<()> {
    let mut content = Random::new(66).bytes(1 << 20);
    let (home, there) = file(fleet, "tablet", "space", &content)?;
    let open = writable(&there)?;
    let check = |what: &str, content: &[u8]| -> Result<()> {
        holds(&there, content).context(what.to_owned())?;
        holds(&home, content).context(what.to_owned())
    };
    check("before", &content)?;
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&open, punch, 65_537, 100_000).context("punch")?;
    content[65_537..165_537].fill(0);
    check("punched", &content)?;
    fallocate(&open, FallocateFlags::ZERO_RANGE, 300_000, 50_000).context("zero")?;
    content[300_000..350_000].fill(0);
    check("zeroed", &content)?;
    fallocate(&open, FallocateFlags::COLLAPSE_RANGE, 8192, 16_384).context("collapse")?;
    content.drain(8192..8192 + 16_384);
    check("collapsed", &content)?;
    fallocate(&open, FallocateFlags::INSERT_RANGE, 4096, 8192).context("insert")?;
    content.splice(4096..4096, [0; 8192]);
    check("inserted", &content)?;
    fallocate(&open, FallocateFlags::empty(), 0, 2 << 20).context("allocate")?;
    content.resize(2 << 20, 0);
    check("allocated", &content)?;
    fallocate(&open, FallocateFlags::KEEP_SIZE, 2 << 20, 1 << 20).context("keep size")?;
    check("allocated beyond the end", &content)?;
    ensure!(
        fs::metadata(&home)?.blocks_512() >= 3 << 11,
        "no space was allocated"
    );
    // Written, and freed before it was sent.
    open.write_all_at(&[9; 20_000], 0)?;
    fallocate(&open, punch, 0, 10_000)?;
    content[..20_000].fill(9);
    content[..10_000].fill(0);
    drop(open);
    check("punched what was just written", &content)
}

/// The space of a file, in units of 512 bytes.
trait Blocks {
    fn blocks_512(&self) -> u64;
}

impl Blocks for fs::Metadata {
    fn blocks_512(&self) -> u64 {
        std::os::unix::fs::MetadataExt::blocks(self)
    }
}

fn data_and_holes_are_found(fleet: &mut Fleet) -> Result<()> {
    let (_, there) = file(fleet, "tablet", "sparse", b"")?;
    let open = writable(&there)?;
    open.write_all_at(&[1; 65_536], 1 << 20)?;
    open.write_all_at(&[2; 65_536], 4 << 20)?;
    // Although nothing of it was closed or synchronised.
    same("first data", seek(&open, SeekFrom::Data(0))?, 1 << 20)?;
    let hole = seek(&open, SeekFrom::Hole(1 << 20))?;
    ensure!(
        ((1 << 20) + 65_536..4 << 20).contains(&hole),
        "the hole begins at {hole}"
    );
    same("next data", seek(&open, SeekFrom::Data(hole))?, 4 << 20)?;
    let end = (4 << 20) + 65_536;
    same(
        "the hole at the end",
        seek(&open, SeekFrom::Hole(4 << 20))?,
        end,
    )?;
    fails(
        "data beyond the end",
        seek(&open, SeekFrom::Data(end)).map_err(Into::into),
        libc::ENXIO,
    )
}

/// Runs `work`, and checks that no more than some messages come to the owner.
pub fn without_data(owner: &Device, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let control = owner.control();
    let before = control.counters()?.rx_bytes;
    work()?;
    let received = control.counters()?.rx_bytes - before;
    ensure!(received < 20_000, "{received} bytes were sent to the owner");
    Ok(())
}

fn copies_stay_on_the_device(fleet: &mut Fleet) -> Result<()> {
    let content = Random::new(67).bytes(3 << 20);
    let (_, source) = file(fleet, "tablet", "source", &content)?;
    let (home, target) = file(fleet, "tablet", "target", &[5; 100])?;
    without_data(fleet.device("tablet")?, || {
        let (from, to) = (File::open(&source)?, writable(&target)?);
        let (mut at, mut into) = (1000, 50);
        let mut left = content.len() - 1000;
        while left != 0 {
            let copied = copy_file_range(&from, Some(&mut at), &to, Some(&mut into), left)?;
            ensure!(copied != 0, "nothing was copied");
            left -= copied;
        }
        Ok(())
    })?;
    let expected = [&[5; 50][..], &content[1000..]].concat();
    holds(&home, &expected)?;
    holds(&target, &expected)?;
    // Between two owners the data have to cross the network, and do.
    let (other_home, other) = file(fleet, "phone", "other", b"")?;
    let (from, to) = (File::open(&source)?, writable(&other)?);
    let (mut at, mut into) = (0, 0);
    while at < 100_000 {
        let left = 100_000 - at as usize;
        let copied = copy_file_range(&from, Some(&mut at), &to, Some(&mut into), left)?;
        ensure!(copied != 0, "nothing was copied");
    }
    drop(to);
    holds(&other_home, &content[..100_000])
}

fn clones_share_their_space(fleet: &mut Fleet) -> Result<()> {
    let content = Random::new(68).bytes(1 << 20);
    let (_, source) = file(fleet, "tablet", "original", &content)?;
    let (home, target) = file(fleet, "tablet", "clone", b"something else")?;
    without_data(fleet.device("tablet")?, || {
        ioctl_ficlone(writable(&target)?, File::open(&source)?).context("clone")
    })?;
    holds(&home, &content)?;
    holds(&target, &content)?;
    // Their space is shared until one is written.
    let open = writable(&target)?;
    open.write_all_at(b"changed", 5)?;
    drop(open);
    holds(&source, &content)
}

fn a_program_runs_right_after_it_was_written(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "tablet", "program", b"")?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755))?;
    for round in 0..5 {
        let open = writable(&there)?;
        open.write_all_at(format!("#!/bin/sh\nexit {round}\n").as_bytes(), 0)?;
        drop(open);
        let status = Command::new(&home).status().context("the owner runs it")?;
        same("exit code", status.code(), Some(round))?;
        let status = Command::new(&there).status().context("a peer runs it")?;
        same("exit code", status.code(), Some(round))?;
    }
    Ok(())
}

fn what_is_open_stays_writable(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "tablet", "locked", b"before")?;
    let open = writable(&there)?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o400))?;
    open.write_all_at(b"after!", 0)?;
    fsync(&open)?;
    drop(open);
    holds(&home, b"after!")
}

fn no_space_is_reported_once_to_each_file(fleet: &mut Fleet) -> Result<()> {
    let (_, there) = file(fleet, "phone", "full", b"")?;
    let (first, second) = (writable(&there)?, writable(&there)?);
    let chunk = vec![1; 1 << 20];
    // The phone has 24 MiB.
    let written = (0..40).try_for_each(|number| first.write_all_at(&chunk, number << 20));
    let synced = fsync(&first);
    ensure!(
        written.is_err() || synced.is_err(),
        "40 MiB went into 24 MiB"
    );
    if written.is_ok() {
        fails("the first fsync", synced.map_err(Into::into), libc::ENOSPC)?;
    }
    fsync(&first).context("the error was told to this file already")?;
    fails(
        "fsync of the other",
        fsync(&second).map_err(Into::into),
        libc::ENOSPC,
    )?;
    fsync(&second).context("the error was told to this file already")?;
    drop((first, second));
    // What could not be stored is not shown as if it had been.
    let home = fleet.device("phone")?.export().join("full");
    same_file(&there, &home)?;
    fs::remove_file(home)?;
    Ok(())
}

fn a_dead_owner_is_reported(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "tablet", "cut", b"")?;
    let open = writable(&there)?;
    open.write_all_at(&[1; 100_000], 0)?;
    fleet.cut("tablet")?;
    ensure!(fsync(&open).is_err(), "a device that is away has stored it");
    drop(open);
    fleet.join("tablet")?;
    fleet.wait_online(crate::wait::PATIENCE)?;
    let open = writable(&there)?;
    open.write_all_at(b"again", 0)?;
    fsync(&open)?;
    drop(open);
    same_file(&there, &home)
}

fn reading_only_is_kept(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("laptop")?.export().join("own");
    fs::write(&home, "mine")?;
    let there = fleet.device("tablet")?.view("laptop").join("own");
    fails(
        "opening for writing",
        OpenOptions::new().write(true).open(&there),
        libc::EROFS,
    )?;
    holds(&there, b"mine")
}
