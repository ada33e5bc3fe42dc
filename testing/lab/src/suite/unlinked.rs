// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files of other devices that lose their last name while they are open: they go on working
//! until they are closed, and take no space afterwards.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};
use rustix::fs::{
    fgetxattr, flistxattr, fsetxattr, linkat, openat, AtFlags, Mode, OFlags, XattrFlags, CWD,
};

use crate::fleet::{wait_for_state, Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::lock::{self, Class, Kind};
use crate::mapping::Mapping;
use crate::random::Random;
use crate::storage::Storage;
use crate::suite::support::{drop_caches, fails, holds, same, same_bytes};
use crate::suite::{tests, Group, Test};
use crate::tree;
use crate::wait::{self, PATIENCE};

/// The tablet's files are in memory.
pub const GROUP: Group = Group {
    name: "unlinked",
    fleet: Some(|| plan(Storage::Memory(512))),
    seconds: 4,
    tests: TESTS,
};

/// They are on disks, of file systems that find them by handles in other ways.
pub const EXT4: Group = Group {
    name: "unlinked_ext4",
    fleet: Some(|| plan(Storage::Image("ext4", 128))),
    seconds: 4,
    tests: TESTS,
};

const TESTS: &[Test] = tests![
    Fleet: what_the_owner_removes,
    what_another_device_removes,
    what_this_device_removes,
    what_the_owner_replaces,
    what_another_device_replaces,
    what_this_device_replaces,
    a_file_that_was_opened_for_nothing,
    a_file_that_has_changed_since_it_was_opened,
    a_mapping_without_an_open_file,
    a_file_with_another_name_stays,
    many_files_at_once,
    closed_files_give_their_space_back,
    temporary_files_cost_nothing_more,
    a_file_that_never_had_a_name,
    a_file_without_a_name_gets_one,
    a_device_that_was_away_has_lost_them,
];

const SIZE: usize = 1 << 20;

fn plan(storage: Storage) -> Result<Fleet> {
    let devices = ["laptop", "tablet", "phone"];
    Plan::with_storage(
        devices
            .iter()
            .map(|name| (*name, storage.clone()))
            .collect(),
    )
    .policy("tablet", "laptop", "write", 3)
    .policy("tablet", "phone", "write", 3)
    .start()
}

/// A file of the tablet, and what the laptop has opened.
struct Held {
    home: PathBuf,
    there: PathBuf,
    phones: PathBuf,
    content: Vec<u8>,
    file: File,
}

/// Nothing of it is in memory but what the opening brought.
fn open(fleet: &Fleet, name: &str) -> Result<Held> {
    let home = fleet.device("tablet")?.export().join(name);
    let there = fleet.device("laptop")?.view("tablet").join(name);
    let content = Random::new(name.len() as u64).bytes(SIZE);
    fs::write(&home, &content)?;
    drop_caches()?;
    let file = File::options().read(true).write(true).open(&there)?;
    Ok(Held {
        home,
        phones: fleet.device("phone")?.view("tablet").join(name),
        there,
        content,
        file,
    })
}

impl Held {
    /// Whatever can be done with an open file.
    fn works(&mut self) -> Result<()> {
        let file = &self.file;
        let state = file.metadata()?;
        same("links", state.nlink(), 0)?;
        same("size", state.len(), SIZE as u64)?;
        let mut read = vec![0; SIZE];
        file.read_exact_at(&mut read, 0)?;
        same_bytes("what was not read before", &read, &self.content)?;
        // All of it again, from the owner.
        file.sync_all()?;
        drop_caches()?;
        file.write_all_at(b"written", 70_000)?;
        self.content[70_000..70_007].copy_from_slice(b"written");
        file.sync_all()?;
        drop_caches()?;
        file.read_exact_at(&mut read, 0)?;
        same_bytes("what was written", &read, &self.content)?;
        let mapping = Mapping::of(file, SIZE, true)?;
        drop_caches()?;
        mapping.write(500_000, b"mapped")?;
        self.content[500_000..500_006].copy_from_slice(b"mapped");
        mapping.sync()?;
        drop(mapping);
        drop_caches()?;
        same_bytes(
            "a mapping",
            &Mapping::of(file, SIZE, false)?.read(),
            &self.content,
        )?;
        file.set_len(600_000)?;
        file.set_len(SIZE as u64)?;
        self.content[600_000..].fill(0);
        file.sync_data()?;
        drop_caches()?;
        file.read_exact_at(&mut read, 0)?;
        same_bytes("what was cut and grown", &read, &self.content)?;
        fsetxattr(file, "user.colour", b"red", XattrFlags::empty())?;
        let mut value = [0; 100];
        let length = fgetxattr(file, "user.colour", &mut value)?;
        same("attribute", &value[..length], &b"red"[..])?;
        let length = flistxattr(file, &mut value)?;
        same("attributes", &value[..length], &b"user.colour\0"[..])?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        same("mode", file.metadata()?.mode() & 0o777, 0o600)?;
        lock::lock(file, Class::Ofd, Kind::Write, lock::WHOLE)?;
        lock::unlock(file, Class::Ofd)?;
        same("links", file.metadata()?.nlink(), 0)
    }

    /// No name leads to it, anywhere.
    fn is_nameless(&self) -> Result<()> {
        for path in [&self.home, &self.there, &self.phones] {
            fails("its name", fs::metadata(path), libc::ENOENT)?;
            let (folder, name) = (path.parent(), path.file_name());
            let names = tree::names(folder.unwrap_or(Path::new("/")))?;
            ensure!(
                !names.iter().any(|left| Some(left.as_ref()) == name),
                "{names:?} in {}",
                path.display()
            );
        }
        Ok(())
    }
}

fn removed_by(fleet: &Fleet, name: &str, by: impl FnOnce(&Held) -> io::Result<()>) -> Result<()> {
    let before = free(fleet)?;
    let names = tree::names(&fleet.device("tablet")?.export())?;
    let mut held = open(fleet, name)?;
    by(&held)?;
    held.is_nameless()?;
    held.works()?;
    same(
        "names",
        tree::names(&fleet.device("tablet")?.export())?,
        names,
    )?;
    drop(held);
    given_back(fleet, before)
}

fn replaced_by(fleet: &Fleet, name: &str, by: impl FnOnce(&Held) -> io::Result<()>) -> Result<()> {
    let mut held = open(fleet, name)?;
    fs::write(held.home.with_extension("new"), "new")?;
    by(&held)?;
    holds(&held.there, b"new")?;
    held.works()?;
    for path in [&held.home, &held.there, &held.phones] {
        holds(path, b"new")?;
    }
    fs::remove_file(&held.home)?;
    Ok(())
}

/// Free blocks of the tablet's file system, in bytes.
fn free(fleet: &Fleet) -> Result<u64> {
    let space = rustix::fs::statvfs(fleet.device("tablet")?.export())?;
    Ok(space.f_bfree * space.f_frsize)
}

/// Waits until as much is free as was, but for what the file system itself may have taken.
fn given_back(fleet: &Fleet, before: u64) -> Result<()> {
    wait::until("the space to be free again", PATIENCE, || {
        rustix::fs::sync();
        Ok(free(fleet)? + (SIZE as u64) / 2 >= before)
    })?;
    Ok(())
}

fn what_the_owner_removes(fleet: &mut Fleet) -> Result<()> {
    removed_by(fleet, "by the owner", |held| fs::remove_file(&held.home))
}

fn what_another_device_removes(fleet: &mut Fleet) -> Result<()> {
    removed_by(fleet, "by another", |held| fs::remove_file(&held.phones))
}

fn what_this_device_removes(fleet: &mut Fleet) -> Result<()> {
    removed_by(fleet, "by itself", |held| fs::remove_file(&held.there))
}

fn what_the_owner_replaces(fleet: &mut Fleet) -> Result<()> {
    replaced_by(fleet, "replaced by the owner", |held| {
        fs::rename(held.home.with_extension("new"), &held.home)
    })
}

fn what_another_device_replaces(fleet: &mut Fleet) -> Result<()> {
    replaced_by(fleet, "replaced by another", |held| {
        fs::rename(held.phones.with_extension("new"), &held.phones)
    })
}

fn what_this_device_replaces(fleet: &mut Fleet) -> Result<()> {
    replaced_by(fleet, "replaced by itself", |held| {
        fs::rename(held.there.with_extension("new"), &held.there)
    })
}

/// The owner was not asked when it was opened the last time.
fn a_file_that_was_opened_for_nothing(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?.control();
    for by_owner in [true, false] {
        let held = open(fleet, "leased")?;
        let (home, there, content) = (held.home, held.there, held.content);
        drop(held.file);
        let mut file = File::open(&there)?;
        let cost = round_trips(&laptop, || {
            drop(File::open(&there)?);
            file = File::open(&there)?;
            Ok(())
        })?;
        same("round trips of opening it again", cost, 0)?;
        fs::remove_file(if by_owner { &home } else { &there })?;
        let mut read = vec![0; SIZE];
        file.read_exact_at(&mut read, 0)?;
        same_bytes("the content", &read, &content)?;
        same("links", file.metadata()?.nlink(), 0)?;
    }
    Ok(())
}

/// So that there is no lease when it is removed.
fn a_file_that_has_changed_since_it_was_opened(fleet: &mut Fleet) -> Result<()> {
    let mut held = open(fleet, "changed")?;
    for round in 0..3 {
        held.content[round] = b'x';
        fs::write(&held.home, &held.content)?;
    }
    fs::remove_file(&held.home)?;
    held.works()
}

fn a_mapping_without_an_open_file(fleet: &mut Fleet) -> Result<()> {
    let held = open(fleet, "mapped")?;
    let mapping = Mapping::of(&held.file, SIZE, true)?;
    drop(held.file);
    fs::remove_file(&held.home)?;
    drop_caches()?;
    mapping.write(SIZE - 4, b"last")?;
    mapping.sync()?;
    drop_caches()?;
    let read = mapping.read();
    same_bytes(
        "the beginning",
        &read[..SIZE - 4],
        &held.content[..SIZE - 4],
    )?;
    same_bytes("the end", &read[SIZE - 4..], b"last")
}

fn a_file_with_another_name_stays(fleet: &mut Fleet) -> Result<()> {
    let held = open(fleet, "two names")?;
    let other = held.there.with_file_name("the other");
    fs::hard_link(&held.there, &other)?;
    fs::remove_file(&held.there)?;
    same("links", held.file.metadata()?.nlink(), 1)?;
    drop(held.file);
    holds(&other, &held.content)?;
    fs::remove_file(&other)?;
    fails("it", fs::metadata(&other), libc::ENOENT)
}

/// All that a device has open, among many that it had open.
fn many_files_at_once(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("many");
    let there = fleet.device("laptop")?.view("tablet").join("many");
    fs::create_dir(&home)?;
    let mut open = Vec::new();
    for number in 0..300 {
        fs::write(home.join(number.to_string()), number.to_string())?;
    }
    for number in 0..300 {
        let file = File::open(there.join(number.to_string()))?;
        if number % 3 == 0 {
            open.push((number, file));
        }
    }
    fs::remove_dir_all(&home)?;
    drop_caches()?;
    for (number, file) in &open {
        let expected = number.to_string();
        let mut read = vec![0; expected.len()];
        file.read_exact_at(&mut read, 0)?;
        same_bytes("the content", &read, expected.as_bytes())?;
        same("links", file.metadata()?.nlink(), 0)?;
    }
    Ok(())
}

fn closed_files_give_their_space_back(fleet: &mut Fleet) -> Result<()> {
    let before = free(fleet)?;
    for by_owner in [true, false] {
        let held = open(fleet, "closed")?;
        drop(held.file);
        fs::remove_file(if by_owner { &held.home } else { &held.there })?;
        given_back(fleet, before)?;
    }
    Ok(())
}

fn temporary_files_cost_nothing_more(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?.control();
    let folder = fleet.device("laptop")?.view("tablet").join("temporary");
    fs::create_dir(&folder)?;
    let path = folder.join("file");
    fs::write(&path, "content")?;
    let cost = round_trips(&laptop, || Ok(fs::remove_file(&path)?))?;
    same("round trips of removing it", cost, 1)?;
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    let cost = round_trips(&laptop, || Ok(fs::remove_file(&path)?))?;
    same("round trips of removing it while it is open", cost, 1)?;
    file.write_all_at(b"content", 0)?;
    file.sync_all()?;
    let mut read = [0; 7];
    file.read_exact_at(&mut read, 0)?;
    same_bytes("content", &read, b"content")
}

/// Opens a file without a name in the tablet's tree.
fn unnamed(fleet: &Fleet, flags: OFlags) -> Result<File> {
    let folder = fleet.device("laptop")?.view("tablet");
    let flags = OFlags::TMPFILE | OFlags::RDWR | flags;
    Ok(openat(CWD, &folder, flags, Mode::from_raw_mode(0o640))?.into())
}

/// Gives an open file a name, as linkat(2) of what `/proc` shows does.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn a_file_that_never_had_a_name(fleet: &mut Fleet) -> Result<()> {
    let before = free(fleet)?;
    let home = fleet.device("tablet")?.export();
    let names = tree::names(&home)?;
    let file = unnamed(fleet, OFlags::EXCL)?;
    same("links", file.metadata()?.nlink(), 0)?;
    same("mode", file.metadata()?.mode() & 0o777, 0o640)?;
    let content = Random::new(7).bytes(SIZE);
    file.write_all_at(&content, 0)?;
    file.sync_all()?;
    drop_caches()?;
    let mut read = vec![0; SIZE];
    file.read_exact_at(&mut read, 0)?;
    same_bytes("its content", &read, &content)?;
    ensure!(free(fleet)? + (SIZE as u64) / 2 < before, "it is nowhere");
    let there = fleet.device("laptop")?.view("tablet").join("excluded");
    fails("giving it a name", link(&file, &there), libc::ENOENT)?;
    same("names", tree::names(&home)?, names)?;
    drop(file);
    given_back(fleet, before)
}

fn a_file_without_a_name_gets_one(fleet: &mut Fleet) -> Result<()> {
    let file = unnamed(fleet, OFlags::empty())?;
    file.write_all_at(b"content", 0)?;
    let there = fleet.device("laptop")?.view("tablet").join("named");
    let home = fleet.device("tablet")?.export().join("named");
    fails("its name", fs::metadata(&there), libc::ENOENT)?;
    link(&file, &there)?;
    same("links", file.metadata()?.nlink(), 1)?;
    file.sync_all()?;
    holds(&home, b"content")?;
    fails("a name that exists", link(&file, &there), libc::EEXIST)?;
    file.write_all_at(b"C", 0)?;
    drop(file);
    drop_caches()?;
    for path in [&home, &there] {
        holds(path, b"Content")?;
        same("mode", fs::metadata(path)?.mode() & 0o777, 0o640)?;
    }
    fs::write(&there, "other")?;
    holds(&home, b"other")?;
    fs::remove_file(&there)?;
    Ok(())
}

/// They do not keep the space of the owner for a device that may never come back.
fn a_device_that_was_away_has_lost_them(fleet: &mut Fleet) -> Result<()> {
    let before = free(fleet)?;
    let held = open(fleet, "lost")?;
    let mut read = vec![0; 4096];
    held.file.read_exact_at(&mut read, 0)?;
    fs::remove_file(&held.home)?;
    held.file.read_exact_at(&mut read, SIZE as u64 - 4096)?;
    fleet.cut("laptop")?;
    let gone = wait_for_state(fleet.device("tablet")?, "laptop", false, PATIENCE);
    let free = given_back(fleet, before);
    fleet.join("laptop")?;
    gone?;
    free?;
    fleet.wait_online(PATIENCE)?;
    drop_caches()?;
    let result = held.file.read_exact_at(&mut read, 0);
    fails("reading it", result, libc::ESTALE)?;
    drop(held.file);
    fs::write(&held.there, "new")?;
    holds(&held.home, b"new")?;
    fs::remove_file(&held.there)?;
    Ok(())
}
