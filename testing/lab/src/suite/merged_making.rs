// SPDX-License-Identifier: MIT OR Apache-2.0

//! Making files in `merge_view`: on this device, in directories that are made when they are missing.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{symlink, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};
use rustix::fs::{linkat, makedev, mknodat, openat, AtFlags, FileType, Mode, OFlags, CWD};

use crate::fleet::{Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::mapping::Mapping;
use crate::suite::support::{fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::PATIENCE;

/// Three devices; the laptop may change what the others have.
pub const GROUP: Group = Group {
    name: "merged_making",
    fleet: Some(prepare),
    seconds: 5,
    tests: tests![
        Fleet: everything_is_made_on_this_device,
        missing_directories_are_made,
        an_open_directory_goes_on_after_it_was_made_here,
        names_that_are_shown_exist,
        what_is_made_is_a_local_file,
        temporary_files_have_no_name,
        a_directory_that_cannot_be_here_is_used_where_it_is,
        directories_that_are_kept_apart_stay_so,
        attributes_of_directories_are_the_first_devices,
    ],
};

pub fn prepare() -> Result<Fleet> {
    Plan::new(&["laptop", "tablet", "phone"])
        .policy("tablet", "laptop", "write", 4)
        .policy("phone", "laptop", "write", 4)
        .start()
}

/// Where a path is at home on a device.
pub fn home(fleet: &Fleet, device: &str, path: &str) -> Result<PathBuf> {
    Ok(fleet.device(device)?.export().join(path))
}

/// Where it is in the laptop's `merge_view`.
pub fn merged(fleet: &Fleet, path: &str) -> Result<PathBuf> {
    Ok(fleet.device("laptop")?.merged().join(path))
}

/// Writes files, and the directories that they are in, at home on their devices.
pub fn put(fleet: &Fleet, files: &[(&str, &str)]) -> Result<()> {
    for (device, path) in files {
        let path = home(fleet, device, path)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, device)?;
    }
    Ok(())
}

/// The names in a directory are exactly these.
pub fn lists(folder: &Path, expected: &[&str]) -> Result<()> {
    let mut expected: Vec<_> = expected.iter().map(Into::into).collect();
    expected.sort();
    same(
        &folder.display().to_string(),
        tree::names(folder)?,
        expected,
    )
}

/// None of these devices has anything of this path.
pub fn absent(fleet: &Fleet, devices: &[&str], path: &str) -> Result<()> {
    for device in devices {
        let there = fs::symlink_metadata(home(fleet, device, path)?).is_ok();
        ensure!(!there, "{path} is on the {device}");
    }
    Ok(())
}

fn permissions(path: &Path) -> Result<u32> {
    Ok(fs::symlink_metadata(path)?.permissions().mode() & 0o7777)
}

fn everything_is_made_on_this_device(fleet: &mut Fleet) -> Result<()> {
    put(
        fleet,
        &[("laptop", "all/l"), ("tablet", "all/t"), ("phone", "all/p")],
    )?;
    let (folder, here) = (merged(fleet, "all")?, home(fleet, "laptop", "all")?);
    fs::write(folder.join("file"), "content")?;
    holds(&here.join("file"), b"content")?;
    let mut exclusive = File::create_new(folder.join("exclusive"))?;
    exclusive.write_all(b"mine")?;
    holds(&here.join("exclusive"), b"mine")?;
    fs::create_dir_all(folder.join("directory/deeper"))?;
    fs::write(folder.join("directory/deeper/file"), "deep")?;
    holds(&here.join("directory/deeper/file"), b"deep")?;
    symlink("file", folder.join("link"))?;
    same("target", fs::read_link(here.join("link"))?, "file".into())?;
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, folder.join("fifo"), FileType::Fifo, mode, 0)?;
    mknodat(
        CWD,
        folder.join("device"),
        FileType::CharacterDevice,
        mode,
        makedev(1, 3),
    )?;
    ensure!(
        fs::metadata(here.join("fifo"))?.file_type().is_fifo(),
        "no FIFO"
    );
    // What is this device's own can be opened: this is /dev/null.
    fs::write(folder.join("device"), "x")?;
    let made = ["file", "exclusive", "directory", "link", "fifo", "device"];
    for name in made {
        absent(fleet, &["tablet", "phone"], &format!("all/{name}"))?;
    }
    lists(&folder, &[&["l", "t", "p"][..], &made].concat())?;
    fs::write(merged(fleet, "at the top")?, "top")?;
    holds(&home(fleet, "laptop", "at the top")?, b"top")
}

fn missing_directories_are_made(fleet: &mut Fleet) -> Result<()> {
    put(
        fleet,
        &[("tablet", "far/away/from/here/t"), ("phone", "far/away/p")],
    )?;
    for (path, mode) in [
        ("far", 0o755),
        ("far/away", 0o1777),
        ("far/away/from", 0o700),
    ] {
        fs::set_permissions(
            home(fleet, "tablet", path)?,
            PermissionsExt::from_mode(mode),
        )?;
    }
    let folder = merged(fleet, "far/away/from/here")?;
    fs::write(folder.join("new"), "new")?;
    holds(&home(fleet, "laptop", "far/away/from/here/new")?, b"new")?;
    for (path, mode) in [
        ("far", 0o755),
        ("far/away", 0o1777),
        ("far/away/from", 0o700),
    ] {
        same(path, permissions(&home(fleet, "laptop", path)?)?, mode)?;
    }
    absent(fleet, &["tablet", "phone"], "far/away/from/here/new")?;
    lists(&folder, &["new", "t"])?;
    lists(&merged(fleet, "far/away")?, &["from", "p"])?;
    // One that is looked up in a directory that exists here by now.
    fs::create_dir(merged(fleet, "far/away/from/there")?)?;
    ensure!(
        home(fleet, "laptop", "far/away/from/there")?.is_dir(),
        "it is not here"
    );
    holds(&folder.join("t"), b"tablet")
}

fn an_open_directory_goes_on_after_it_was_made_here(fleet: &mut Fleet) -> Result<()> {
    put(fleet, &[("tablet", "open/inner/t")])?;
    let path = merged(fleet, "open/inner")?;
    // What a program has as its current directory.
    let outer = File::open(merged(fleet, "open")?)?;
    let inner = File::open(&path)?;
    let numbers = (outer.metadata()?.ino(), inner.metadata()?.ino());
    fs::write(path.join("one"), "one")?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
    let mode = Mode::from_raw_mode(0o600);
    File::from(openat(&inner, "two", flags, mode)?).write_all(b"two")?;
    File::from(openat(&outer, "inner/three", flags, mode)?).write_all(b"three")?;
    for name in ["one", "two", "three"] {
        holds(
            &home(fleet, "laptop", "open/inner")?.join(name),
            name.as_bytes(),
        )?;
    }
    let mut there = String::new();
    let found = openat(inner.as_fd(), "t", OFlags::RDONLY, Mode::empty())?;
    File::from(found).read_to_string(&mut there)?;
    same("the tablet's file", there.as_str(), "tablet")?;
    let now = (outer.metadata()?.ino(), inner.metadata()?.ino());
    same("the inode numbers", now, numbers)?;
    same("that of the path", fs::metadata(&path)?.ino(), numbers.1)?;
    lists(&path, &["one", "two", "three", "t"])
}

fn names_that_are_shown_exist(fleet: &mut Fleet) -> Result<()> {
    put(
        fleet,
        &[
            ("tablet", "shown/t.txt"),
            ("phone", "shown/t.txt"),
            ("tablet", "shown/d/x"),
            ("phone", "shown/d2/x"),
        ],
    )?;
    let folder = merged(fleet, "shown")?;
    for name in ["t.txt", "t_conflict_dev3.txt", "d", "d2"] {
        let path = folder.join(name);
        fails(name, File::create_new(&path), libc::EEXIST)?;
        fails(name, fs::create_dir(&path), libc::EEXIST)?;
        fails(name, symlink("x", &path), libc::EEXIST)?;
    }
    absent(fleet, &["laptop"], "shown")?;
    // Without O_EXCL it is the file that is shown.
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    let mut file = options.open(folder.join("t.txt"))?;
    file.write_all(b"written")?;
    drop(file);
    holds(&home(fleet, "tablet", "shown/t.txt")?, b"written")?;
    let truncated = options
        .truncate(true)
        .open(folder.join("t_conflict_dev3.txt"))?;
    same("size", truncated.metadata()?.len(), 0)?;
    drop(truncated);
    holds(&home(fleet, "phone", "shown/t.txt")?, b"")?;
    absent(fleet, &["laptop"], "shown")?;
    // A name that only looks like that of a conflict is one like any other.
    fs::write(folder.join("u_conflict_dev3.txt"), "mine")?;
    holds(
        &home(fleet, "laptop", "shown/u_conflict_dev3.txt")?,
        b"mine",
    )
}

fn what_is_made_is_a_local_file(fleet: &mut Fleet) -> Result<()> {
    put(fleet, &[("tablet", "like/t")])?;
    let laptop = fleet.device("laptop")?;
    let path = merged(fleet, "like/file")?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&path)?;
    let here = home(fleet, "laptop", "like/file")?;
    same("inode", file.metadata()?.ino(), fs::metadata(&here)?.ino())?;
    let view = laptop.local().join("like/file");
    same(
        "in device_view",
        file.metadata()?.ino(),
        fs::metadata(view)?.ino(),
    )?;
    same("mode", permissions(&here)?, 0o640)?;
    let cost = round_trips(&laptop.control(), || {
        file.write_all(&[7; 8192])?;
        let mapping = Mapping::of(&file, 8192, true)?;
        mapping.write(4096, &[8; 16])?;
        drop(mapping);
        file.rewind()?;
        let mut all = Vec::new();
        file.read_to_end(&mut all)?;
        same("what was mapped", &all[4096..4112], &[8; 16][..])?;
        file.set_len(10)?;
        file.sync_all()?;
        Ok(())
    })?;
    same("messages", cost, 0)?;
    same("size", fs::metadata(&here)?.len(), 10)
}

fn temporary_files_have_no_name(fleet: &mut Fleet) -> Result<()> {
    put(fleet, &[("tablet", "tmp/t")])?;
    let folder = merged(fleet, "tmp")?;
    let flags = OFlags::TMPFILE | OFlags::RDWR;
    let mut file = File::from(openat(CWD, &folder, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(b"temporary")?;
    lists(&folder, &["t"])?;
    ensure!(
        home(fleet, "laptop", "tmp")?.is_dir(),
        "it has no place here"
    );
    linkat(
        file.as_fd(),
        "",
        CWD,
        folder.join("named"),
        AtFlags::EMPTY_PATH,
    )?;
    holds(&home(fleet, "laptop", "tmp/named")?, b"temporary")?;
    holds(&folder.join("named"), b"temporary")
}

/// The laptop has a file of that name, so it cannot have the directory.
fn a_directory_that_cannot_be_here_is_used_where_it_is(fleet: &mut Fleet) -> Result<()> {
    put(
        fleet,
        &[("laptop", "N"), ("tablet", "N/sub/t"), ("phone", "N/sub/p")],
    )?;
    let folder = merged(fleet, "N_remote_directory")?;
    fs::write(folder.join("file"), "content")?;
    fs::create_dir(folder.join("made"))?;
    symlink("file", folder.join("sub/link"))?;
    holds(&home(fleet, "tablet", "N/file")?, b"content")?;
    ensure!(home(fleet, "tablet", "N/made")?.is_dir(), "no directory");
    same(
        "target",
        fs::read_link(home(fleet, "tablet", "N/sub/link")?)?,
        "file".into(),
    )?;
    let flags = OFlags::TMPFILE | OFlags::RDWR;
    let mut unnamed = File::from(openat(CWD, &folder, flags, Mode::from_raw_mode(0o600))?);
    unnamed.write_all(b"unnamed")?;
    lists(&folder, &["file", "made", "sub"])?;
    drop(unnamed);
    lists(&folder.join("sub"), &["link", "p", "t"])?;
    holds(&merged(fleet, "N")?, b"laptop")?;
    absent(fleet, &["phone"], "N/file")
}

fn remount(fleet: &mut Fleet, options: &[(&str, Option<&str>)]) -> Result<()> {
    let laptop = fleet.device_mut("laptop")?;
    laptop.umount()?;
    laptop.mount_with(options)?;
    fleet.wait_online(PATIENCE)?;
    Ok(())
}

fn directories_that_are_kept_apart_stay_so(fleet: &mut Fleet) -> Result<()> {
    put(fleet, &[("tablet", "apart/t"), ("phone", "apart/p")])?;
    remount(fleet, &[("dirs", Some("rename"))])?;
    let result = (|| {
        let folder = merged(fleet, "apart")?;
        fs::write(folder.join("file"), "content")?;
        holds(&folder.join("t"), b"tablet")?;
        lists(&folder, &["file", "p", "t"])?;
        holds(&home(fleet, "tablet", "apart/file")?, b"content")?;
        absent(fleet, &["laptop", "phone"], "apart/file")
    })();
    remount(fleet, &[])?;
    result
}

fn attributes_of_directories_are_the_first_devices(fleet: &mut Fleet) -> Result<()> {
    put(
        fleet,
        &[
            ("tablet", "attr/t"),
            ("phone", "attr/p"),
            ("laptop", "ours/l"),
            ("tablet", "ours/t"),
        ],
    )?;
    let flags = rustix::fs::XattrFlags::empty();
    for (path, first, other) in [("attr", "tablet", "phone"), ("ours", "laptop", "tablet")] {
        let folder = merged(fleet, path)?;
        let before = permissions(&home(fleet, other, path)?)?;
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o711))?;
        same("mode", permissions(&folder)?, 0o711)?;
        same(
            "mode at home",
            permissions(&home(fleet, first, path)?)?,
            0o711,
        )?;
        same(
            "another's",
            permissions(&home(fleet, other, path)?)?,
            before,
        )?;
        rustix::fs::setxattr(&folder, "user.colour", b"red", flags)?;
        let mut value = [0; 8];
        let there = home(fleet, first, path)?;
        same(
            "length",
            rustix::fs::getxattr(&there, "user.colour", &mut value)?,
            3,
        )?;
        same(
            "length here",
            rustix::fs::getxattr(&folder, "user.colour", &mut value)?,
            3,
        )?;
        same("value", &value[..3], b"red")?;
        let listed = rustix::fs::listxattr(&folder, &mut [0; 64])?;
        same("bytes of names", listed, "user.colour".len() + 1)?;
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        File::open(&folder)?.set_modified(time)?;
        same("time", fs::metadata(&there)?.modified()?, time)?;
        same("time here", fs::metadata(&folder)?.modified()?, time)?;
    }
    Ok(())
}
