// SPDX-License-Identifier: MIT OR Apache-2.0

//! Saving files in `merge_view` as editors do, on whatever device the file is.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{anyhow, ensure, Context, Result};
use rustix::fs::{fchmod, Mode};

use crate::fleet::{Fleet, Plan};
use crate::module;
use crate::random::Random;
use crate::storage::Storage;
use crate::suite::merged_making::{absent, home, lists, merged, prepare, put};
use crate::suite::remote_attributes::{some_list, ACCESS};
use crate::suite::support::{fails, holds, same, same_bytes};
use crate::suite::{tests, Group};
use crate::tree;

/// Three devices; the laptop may change what the others have.
pub const GROUP: Group = Group {
    name: "merged_saving",
    fleet: Some(prepare),
    seconds: 6,
    tests: tests![
        Fleet: editors_that_write_in_place,
        editors_that_replace_the_file,
        editors_that_move_the_old_file_away,
        attributes_of_a_saved_file_are_kept,
        large_files_are_saved,
        a_reader_keeps_the_old_content,
        what_cannot_be_saved_stays,
    ],
};

/// The same on file systems on a disk.
pub const LOWER: Group = Group {
    name: "saving_lower",
    fleet: None,
    seconds: 6,
    tests: tests![Alone: tmpfs, ext4, xfs, btrfs, vfat],
};

/// The file that is edited: on this device, on another, and one that has another name here.
const FILES: [(&str, &str); 3] = [
    ("local.txt", "laptop"),
    ("remote.txt", "tablet"),
    ("both_conflict_dev3.txt", "phone"),
];

/// A directory with these files.
fn folder(fleet: &Fleet, name: &str) -> Result<PathBuf> {
    put(
        fleet,
        &[
            ("laptop", &format!("{name}/local.txt")),
            ("tablet", &format!("{name}/remote.txt")),
            ("laptop", &format!("{name}/both.txt")),
            ("phone", &format!("{name}/both.txt")),
        ],
    )?;
    merged(fleet, name)
}

/// Where a file of [`FILES`] is at home.
fn home_of(fleet: &Fleet, folder: &str, name: &str, device: &str) -> Result<PathBuf> {
    let real = name.replace("_conflict_dev3", "");
    home(fleet, device, &format!("{folder}/{real}"))
}

const NAMES: [&str; 4] = [
    "both.txt",
    "both_conflict_dev3.txt",
    "local.txt",
    "remote.txt",
];

/// A way of saving: its name, and what it does with a path and the new content.
type Way<'a> = (&'a str, fn(&Path, &[u8]) -> Result<()>);

/// Each way of saving, on each of the files. They must be where they were, with the new content.
fn stay_where_they_are(fleet: &Fleet, ways: &[Way<'_>]) -> Result<()> {
    for (way, save) in ways {
        let folder_name = format!("saved by {way}");
        let folder = folder(fleet, &folder_name)?;
        for (name, device) in FILES {
            let path = folder.join(name);
            let text = format!("{name}, saved by {way}");
            // Twice: the second time, what the first one has made is there.
            for text in ["once", &text] {
                save(&path, text.as_bytes()).with_context(|| format!("{way}, {name}"))?;
                holds(&path, text.as_bytes())?;
                holds(
                    &home_of(fleet, &folder_name, name, device)?,
                    text.as_bytes(),
                )?;
            }
        }
        lists(&folder, &NAMES).with_context(|| (*way).to_owned())?;
        lists(
            &home(fleet, "laptop", &folder_name)?,
            &["both.txt", "local.txt"],
        )?;
        lists(&home(fleet, "tablet", &folder_name)?, &["remote.txt"])?;
        lists(&home(fleet, "phone", &folder_name)?, &["both.txt"])?;
        holds(&folder.join("both.txt"), b"laptop")?;
    }
    Ok(())
}

fn beside(path: &Path, name: &str) -> PathBuf {
    path.with_file_name(name)
}

/// A new file next to another one, as `mkstemp` makes it.
fn temporary(path: &Path, name: &str) -> Result<File> {
    Ok(OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(beside(path, name))?)
}

/// `set backupcopy=yes`: the backup is a copy.
fn vim_copying(path: &Path, text: &[u8]) -> Result<()> {
    let swap = temporary(path, ".x.swp")?;
    let backup = beside(path, "x~");
    let old = fs::read(path)?;
    fs::write(&backup, old)?;
    fs::set_permissions(&backup, fs::metadata(path)?.permissions())?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    fs::remove_file(backup)?;
    drop(swap);
    Ok(fs::remove_file(beside(path, ".x.swp"))?)
}

/// nano, and programs that know nothing better.
fn truncating(path: &Path, text: &[u8]) -> Result<()> {
    Ok(fs::write(path, text)?)
}

fn editors_that_write_in_place(fleet: &mut Fleet) -> Result<()> {
    stay_where_they_are(
        fleet,
        &[("vim copying", vim_copying), ("truncating", truncating)],
    )
}

/// `g_file_set_contents`.
fn glib_set_contents(path: &Path, text: &[u8]) -> Result<()> {
    let name = "x.txt.A1B2C3";
    let mut file = temporary(path, name)?;
    file.write_all(text)?;
    fchmod(&file, Mode::from_raw_mode(0o644))?;
    file.sync_all()?;
    drop(file);
    Ok(fs::rename(beside(path, name), path)?)
}

/// `g_file_replace`: takes over owner and mode first.
fn glib_output_stream(path: &Path, text: &[u8]) -> Result<()> {
    let name = ".goutputstream-D4E5F6";
    let old = File::open(path)?.metadata()?;
    let mut file = temporary(path, name)?;
    std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
    file.set_permissions(old.permissions())?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    Ok(fs::rename(beside(path, name), path)?)
}

/// KDE's `QSaveFile`: a file without a name if it can, and a lock file beside it.
fn qt_save_file(path: &Path, text: &[u8]) -> Result<()> {
    let name = "x.txt.G7H8I9";
    let mut file = temporary(path, name)?;
    file.write_all(text)?;
    file.sync_data()?;
    file.set_permissions(fs::metadata(path)?.permissions())?;
    drop(file);
    Ok(fs::rename(beside(path, name), path)?)
}

/// LibreOffice: a lock file, and a temporary that is renamed over the document.
fn libre_office(path: &Path, text: &[u8]) -> Result<()> {
    let lock = beside(path, ".~lock.x.odt#");
    fs::write(&lock, "me")?;
    let name = "lu12345.tmp";
    let mut file = temporary(path, name)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    fs::rename(beside(path, name), path)?;
    Ok(fs::remove_file(lock)?)
}

/// `file-precious-flag`: a temporary that is renamed; the lock is a link to nowhere.
fn emacs_precious(path: &Path, text: &[u8]) -> Result<()> {
    let lock = beside(path, ".#x.txt");
    std::os::unix::fs::symlink("me@laptop.1:2", &lock)?;
    let name = "x.txtJ0K1L2";
    let mut file = temporary(path, name)?;
    file.write_all(text)?;
    file.sync_all()?;
    file.set_permissions(fs::metadata(path)?.permissions())?;
    drop(file);
    fs::rename(beside(path, name), path)?;
    Ok(fs::remove_file(lock)?)
}

fn editors_that_replace_the_file(fleet: &mut Fleet) -> Result<()> {
    stay_where_they_are(
        fleet,
        &[
            ("g_file_set_contents", glib_set_contents),
            ("g_file_replace", glib_output_stream),
            ("QSaveFile", qt_save_file),
            ("LibreOffice", libre_office),
            ("emacs", emacs_precious),
        ],
    )
}

/// `set backupcopy=no`, and emacs by default: what is written then is a new file, and new files
/// are this device's.
fn editors_that_move_the_old_file_away(fleet: &mut Fleet) -> Result<()> {
    let folder = folder(fleet, "moved away")?;
    for (name, device) in FILES {
        let (path, backup) = (folder.join(name), folder.join(format!("{name}~")));
        fs::rename(&path, &backup)?;
        holds(&backup, device.as_bytes())?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&path)?;
        file.write_all(b"new")?;
        file.sync_all()?;
        drop(file);
        holds(&path, b"new")?;
        holds(&home(fleet, "laptop", "moved away")?.join(name), b"new")?;
        // The old content is where it was, until the editor removes it.
        holds(
            &home(fleet, device, "moved away")?.join(format!("{name}~")),
            device.as_bytes(),
        )?;
        fs::remove_file(&backup)?;
        holds(&path, b"new")?;
    }
    lists(&folder, &NAMES)
}

fn attributes_of_a_saved_file_are_kept(fleet: &mut Fleet) -> Result<()> {
    let folder = folder(fleet, "kept")?;
    let flags = rustix::fs::XattrFlags::empty();
    for (name, device) in FILES {
        let new = folder.join("new");
        fs::write(&new, "new content")?;
        fs::set_permissions(&new, Permissions::from_mode(0o640))?;
        rustix::fs::setxattr(&new, "user.colour", b"green", flags)?;
        rustix::fs::setxattr(&new, "user.empty", b"", flags)?;
        rustix::fs::setxattr(&new, ACCESS, &some_list(), flags)?;
        let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_234_567, 89_000);
        File::options().write(true).open(&new)?.set_modified(time)?;
        fs::rename(&new, folder.join(name))?;
        for path in [home_of(fleet, "kept", name, device)?, folder.join(name)] {
            let metadata = fs::metadata(&path)?;
            same("mode", metadata.mode() & 0o7777, 0o740)?;
            same("time", metadata.modified()?, time)?;
            let mut value = [0; 16];
            let length = rustix::fs::getxattr(&path, "user.colour", &mut value)?;
            same("attribute", &value[..length], b"green")?;
            let mut value = [0; 64];
            let length = rustix::fs::getxattr(&path, ACCESS, &mut value)?;
            same_bytes("access control list", &value[..length], &some_list())?;
            same(
                "length",
                rustix::fs::getxattr(&path, "user.empty", &mut value)?,
                0,
            )?;
        }
        let found = fs::metadata(&new).map_err(|error| error.kind());
        same("the new file", found.err(), Some(ErrorKind::NotFound))?;
        absent(fleet, &["laptop"], "kept/new")?;
    }
    Ok(())
}

fn large_files_are_saved(fleet: &mut Fleet) -> Result<()> {
    let folder = folder(fleet, "large")?;
    for length in [0, 1, 4096, (1 << 20) - 1, 1 << 20, (5 << 20) + 321] {
        let content = Random::new(length as u64).bytes(length);
        fs::write(folder.join("new"), &content)?;
        fs::rename(folder.join("new"), folder.join("remote.txt"))?;
        holds(&folder.join("remote.txt"), &content)?;
        holds(&home(fleet, "tablet", "large/remote.txt")?, &content)?;
    }
    lists(&home(fleet, "tablet", "large")?, &["remote.txt"])
}

fn a_reader_keeps_the_old_content(fleet: &mut Fleet) -> Result<()> {
    let folder = folder(fleet, "reader")?;
    for (name, device) in FILES {
        let old = File::open(folder.join(name))?;
        let number = old.metadata()?.ino();
        let mut bytes = [0; 4];
        std::os::unix::fs::FileExt::read_exact_at(&old, &mut bytes, 0)?;
        glib_set_contents(&folder.join(name), b"other content")?;
        std::os::unix::fs::FileExt::read_exact_at(&old, &mut bytes, 0)?;
        same("the old content", &bytes[..], &device.as_bytes()[..4])?;
        same("links of the old file", old.metadata()?.nlink(), 0)?;
        ensure!(
            fs::metadata(folder.join(name))?.ino() != number,
            "it is the same file"
        );
    }
    Ok(())
}

fn what_cannot_be_saved_stays(fleet: &mut Fleet) -> Result<()> {
    let folder = folder(fleet, "refused")?;
    let there = home(fleet, "tablet", "refused")?;
    fs::write(folder.join("new"), "new")?;
    fs::set_permissions(&there, Permissions::from_mode(0o555))?;
    let result = fs::rename(folder.join("new"), folder.join("remote.txt"));
    fs::set_permissions(&there, Permissions::from_mode(0o755))?;
    fails("the owner refuses", result, libc::EACCES)?;
    // Of these, only regular files can be saved.
    std::os::unix::fs::symlink("new", folder.join("link"))?;
    let result = fs::rename(folder.join("link"), folder.join("remote.txt"));
    fails("a symbolic link", result, libc::EXDEV)?;
    std::os::unix::fs::symlink("x", there.join("their link"))?;
    let result = fs::rename(folder.join("new"), folder.join("their link"));
    fails("over a symbolic link", result, libc::EXDEV)?;
    holds(&folder.join("new"), b"new")?;
    holds(&folder.join("remote.txt"), b"tablet")?;
    lists(&there, &["remote.txt", "their link"])
}

fn on(storage: Storage, test: fn(&Fleet, &AtomicBool) -> Result<()>) -> Result<()> {
    module::ensure_loaded()?;
    let devices = vec![("laptop", Storage::Memory(64)), ("tablet", storage)];
    let fleet = Plan::with_storage(devices)
        .policy("tablet", "laptop", "write", 4)
        .start()?;
    put(&fleet, &[("tablet", "folder/file")])?;
    let stop = AtomicBool::new(false);
    let result = test(&fleet, &stop);
    stop.store(true, Ordering::Relaxed);
    result.and(fleet.close())
}

/// Saves again and again while somebody lists the directory, and calls `seen` with all names of the
/// tablet's files that are seen meanwhile besides the one that is there.
fn saved_and_watched(fleet: &Fleet, stop: &AtomicBool) -> Result<Vec<OsString>> {
    let folder = merged(fleet, "folder")?;
    let content = Random::new(9).bytes(3 << 20);
    let places = [
        home(fleet, "tablet", "folder")?,
        fleet.device("laptop")?.view("tablet").join("folder"),
    ];
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                for place in &places {
                    seen.extend(tree::names(place)?);
                }
            }
            Ok::<_, anyhow::Error>(seen)
        });
        let saved = (0..5).try_for_each(|_| {
            fs::write(folder.join("new"), &content)?;
            fs::rename(folder.join("new"), folder.join("file"))?;
            holds(&places[0].join("file"), &content)
        });
        stop.store(true, Ordering::Relaxed);
        let seen = watcher
            .join()
            .map_err(|_| anyhow!("the watcher panicked"))??;
        saved?;
        lists(&places[0], &["file"])?;
        ensure!(!seen.is_empty(), "nobody has watched");
        Ok(seen.into_iter().filter(|name| name != "file").collect())
    })
}

fn nobody_sees_an_unfinished_file(fleet: &Fleet, stop: &AtomicBool) -> Result<()> {
    same("seen besides", saved_and_watched(fleet, stop)?, Vec::new())
}

fn tmpfs() -> Result<()> {
    on(Storage::Memory(64), nobody_sees_an_unfinished_file)
}

fn ext4() -> Result<()> {
    on(Storage::Image("ext4", 64), nobody_sees_an_unfinished_file)
}

fn xfs() -> Result<()> {
    on(Storage::Image("xfs", 320), nobody_sees_an_unfinished_file)
}

fn btrfs() -> Result<()> {
    on(Storage::Image("btrfs", 160), nobody_sees_an_unfinished_file)
}

/// It knows no files without a name.
fn vfat() -> Result<()> {
    on(Storage::Image("vfat", 64), |fleet, stop| {
        let seen = saved_and_watched(fleet, stop)?;
        let is_copy = |name: &OsString| name.as_encoded_bytes().starts_with(b".hmdfs-save.");
        ensure!(seen.iter().all(is_copy), "seen besides: {seen:?}");
        Ok(())
    })
}
