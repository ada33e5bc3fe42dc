// SPDX-License-Identifier: MIT OR Apache-2.0

//! This device's own files in `merge_view`, while other devices are online.

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{ensure, Result};
use rustix::fs::{statat, AtFlags};

use crate::device::Device;
use crate::fleet::{Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::suite::remote_names::as_user;
use crate::suite::support::{fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;

/// Seen on the laptop.
pub const GROUP: Group = Group {
    name: "own",
    fleet: Some(prepare),
    seconds: 4,
    tests: tests![
        Fleet: names_cost_no_message,
        nor_do_own_files_among_others,
        directories_changed_beneath_are_seen_at_once,
        modes_changed_beneath_are_seen_at_once,
        a_directory_becomes_one_of_several,
        listings_have_the_positions_of_the_lower_file_system,
    ],
};

fn prepare() -> Result<Fleet> {
    let fleet = Plan::new(&["laptop", "tablet", "phone"]).start()?;
    let laptop = fleet.device("laptop")?.export();
    fs::create_dir_all(laptop.join("own/a/b"))?;
    fs::write(laptop.join("own/a/b/file"), "mine")?;
    for device in fleet.devices() {
        let shared = device.export().join("shared");
        fs::create_dir(&shared)?;
        fs::write(shared.join(device.name()), device.name())?;
    }
    Ok(fleet)
}

/// A path to an open directory that does not lead through its name: what that stands for may
/// have to be asked for again at any moment.
fn through(directory: &File) -> PathBuf {
    format!("/proc/self/fd/{}", directory.as_raw_fd()).into()
}

fn names_cost_no_message(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let open = File::open(laptop.merged().join("own"))?;
    let own = through(&open);
    let cost = round_trips(&laptop.control(), || {
        holds(&own.join("a/b/file"), b"mine")?;
        same("size", fs::metadata(own.join("a/b/file"))?.len(), 4)?;
        fails(
            "a missing name",
            fs::metadata(own.join("a/x")),
            libc::ENOENT,
        )?;
        fails(
            "a missing file",
            File::open(own.join("a/x/y")),
            libc::ENOENT,
        )?;
        same("names", tree::names(&own)?, vec!["a".into()])
    })?;
    same("messages", cost, 0)
}

fn nor_do_own_files_among_others(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let open = File::open(laptop.merged().join("shared"))?;
    let shared = through(&open);
    let cost = round_trips(&laptop.control(), || {
        holds(&shared.join("laptop"), b"laptop")?;
        same("size", fs::metadata(shared.join("laptop"))?.len(), 6)?;
        fs::write(shared.join("laptop"), "LAPTOP")?;
        Ok(())
    })?;
    same("messages", cost, 0)?;
    holds(&laptop.export().join("shared/laptop"), b"LAPTOP")?;
    holds(&shared.join("tablet"), b"tablet")
}

fn directories_changed_beneath_are_seen_at_once(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (below, above) = (laptop.export(), laptop.merged());
    holds(&above.join("own/a/b/file"), b"mine")?;
    for (one, other) in [
        ("own", "moved"),
        ("moved/a", "moved/other"),
        ("moved", "own"),
    ] {
        fs::rename(below.join(one), below.join(other))?;
        fails("the old name", fs::metadata(above.join(one)), libc::ENOENT)?;
        ensure!(above.join(other).is_dir(), "{other} is not a directory");
    }
    holds(&above.join("own/other/b/file"), b"mine")?;
    fs::rename(below.join("own/other"), below.join("own/a"))?;
    holds(&above.join("own/a/b/file"), b"mine")?;
    // Among names of other devices, too.
    fs::create_dir(below.join("shared/folder"))?;
    ensure!(above.join("shared/folder").is_dir(), "it is missing");
    fs::remove_dir(below.join("shared/folder"))?;
    fails(
        "the removed directory",
        fs::metadata(above.join("shared/folder")),
        libc::ENOENT,
    )?;
    fs::write(below.join("shared/folder"), "a file now")?;
    holds(&above.join("shared/folder"), b"a file now")?;
    fs::remove_file(below.join("shared/folder"))?;
    Ok(())
}

fn modes_changed_beneath_are_seen_at_once(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let below = laptop.export().join("own/a");
    let views = [laptop.local(), laptop.merged()];
    for view in views.iter().chain(&views) {
        let file = view.join("own/a/b/file");
        // A directory that is open is not looked up again.
        let open = File::open(view.join("own/a"))?;
        let from_there = || Ok(statat(&open, "b/file", AtFlags::empty()).map(drop)?);
        as_user(1000, || Ok(fs::metadata(&file).map(drop)?))?;
        as_user(1000, from_there)?;
        fs::set_permissions(&below, Permissions::from_mode(0o700))?;
        let refused = as_user(1000, || {
            fails(
                "from within",
                statat(&open, "b/file", AtFlags::empty()).map_err(std::io::Error::from),
                libc::EACCES,
            )?;
            fails("behind a closed door", fs::metadata(&file), libc::EACCES)
        });
        fs::set_permissions(&below, Permissions::from_mode(0o755))?;
        refused?;
        as_user(1000, || Ok(fs::metadata(&file).map(drop)?))?;
        as_user(1000, from_there)?;
    }
    Ok(())
}

fn a_directory_becomes_one_of_several(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let above = laptop.merged().join("own");
    let open = File::open(&above)?;
    let theirs = tablet.export().join("own");
    fs::create_dir_all(theirs.join("a"))?;
    fs::write(theirs.join("a/theirs"), "theirs")?;
    fs::write(theirs.join("top"), "theirs")?;
    same(
        "names",
        tree::names(&above)?,
        vec!["a".into(), "top".into()],
    )?;
    same(
        "names below",
        tree::names(&above.join("a"))?,
        vec!["b".into(), "theirs".into()],
    )?;
    holds(&above.join("a/theirs"), b"theirs")?;
    holds(&above.join("a/b/file"), b"mine")?;
    // What was opened before shows what it was made of then.
    holds(&through(&open).join("a/b/file"), b"mine")?;
    fs::remove_dir_all(&theirs)?;
    same("names then", tree::names(&above)?, vec!["a".into()])?;
    same(
        "and below",
        tree::names(&above.join("a"))?,
        vec!["b".into()],
    )?;
    holds(&above.join("a/b/file"), b"mine")
}

fn listings_have_the_positions_of_the_lower_file_system(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let below = laptop.export().join("own/many");
    fs::create_dir(&below)?;
    for number in 0..2_000 {
        File::create_new(below.join(format!("entry_conflict_dev{number}")))?;
    }
    let listed = positions(laptop, "own/many")?;
    same("entries and positions", listed.0, listed.1)?;
    fs::remove_dir_all(&below)?;
    Ok(())
}

/// Names and positions as they are listed in `merge_view` and in the exported tree.
type Listed = Vec<(Vec<u8>, i64)>;

fn positions(device: &Device, folder: &str) -> Result<(Listed, Listed)> {
    let list = |root: PathBuf| -> Result<Listed> {
        let directory = File::open(root.join(folder))?;
        let mut entries = Vec::new();
        let mut buffer = Vec::with_capacity(32_768);
        let mut reader = rustix::fs::RawDir::new(&directory, buffer.spare_capacity_mut());
        while let Some(entry) = reader.next() {
            let entry = entry?;
            entries.push((
                entry.file_name().to_bytes().to_vec(),
                entry.next_entry_cookie() as i64,
            ));
        }
        Ok(entries)
    };
    Ok((list(device.merged())?, list(device.export())?))
}
