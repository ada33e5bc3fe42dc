// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names: which there can be, how they are changed, and how they are listed meanwhile.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use rustix::fs::{mknodat, renameat_with, FileType, Mode, RenameFlags, CWD};

use super::Stage;
use crate::suite::remote::entries;
use crate::suite::support::{drop_caches, fails, holds, open_with, same};
use crate::tree::{self, below};

/// Up to 255 bytes, whichever they are.
pub fn of_any_bytes(stage: &Stage<'_>) -> Result<()> {
    let odd: Vec<u8> = (1..=255).filter(|&byte| byte != b'/').collect();
    let mut longest = odd.clone();
    longest.push(b'~');
    let names: [&[u8]; 6] = [&longest, &odd, b" ", b"\n", b"\xff\xfe", b"a?*:b"];
    for name in names {
        let path = below(&stage.there, name);
        let made = open_with(&path, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY);
        let what = format!("the name {:?}", String::from_utf8_lossy(name));
        stage.tries(&what, stage.owner.unix, made, libc::EINVAL)?;
        if stage.owner.unix {
            fs::write(&path, name)?;
        }
    }
    // Letters are for everybody.
    let plain = [b'n'; 255];
    fs::write(below(&stage.there, &plain), plain)?;
    drop_caches()?;
    let listed = tree::names(&stage.home)?;
    same("names", listed.len(), if stage.owner.unix { 7 } else { 1 })?;
    for folder in [&stage.there, &stage.third] {
        same("names", tree::names(folder)?, listed.clone())?;
        for name in &listed {
            holds(&folder.join(name), name.as_encoded_bytes())?;
        }
    }
    let too_long = below(&stage.there, &[b'n'; 256]);
    fails("256 bytes", fs::write(too_long, ""), libc::ENAMETOOLONG)?;
    special(stage)
}

/// Names of what is no regular file; nothing of it works between devices.
fn special(stage: &Stage<'_>) -> Result<()> {
    let (fifo, socket) = (stage.there.join("fifo"), stage.there.join("socket"));
    let mode = Mode::from_raw_mode(0o600);
    let made = mknodat(CWD, &fifo, FileType::Fifo, mode, 0).map_err(io::Error::from);
    let Some(()) = stage.tries("a FIFO", stage.owner.unix, made, libc::EPERM)? else {
        return Ok(());
    };
    let made = mknodat(CWD, &socket, FileType::Socket, mode, 0);
    made.context("a socket")?;
    let device = mknodat(
        CWD,
        stage.there.join("null"),
        FileType::CharacterDevice,
        mode,
        0x103,
    );
    fails("a device", device.map_err(Into::into), libc::EPERM)?;
    for folder in [&stage.home, &stage.there, &stage.third] {
        let kind = |name| Ok::<_, io::Error>(fs::symlink_metadata(folder.join(name))?.file_type());
        ensure!(kind("fifo")?.is_fifo(), "the FIFO is something else");
        ensure!(kind("socket")?.is_socket(), "the socket is something else");
    }
    for path in [&fifo, &socket] {
        let opened = open_with(path, libc::O_RDONLY | libc::O_NONBLOCK);
        fails("opening it", opened, libc::ENXIO)?;
    }
    // The path of a socket may not be long, so that is done from within.
    let bound = stage.home.join("bound");
    let home = File::open(&stage.home)?;
    let short = format!("/proc/self/fd/{}/bound", home.as_raw_fd());
    drop(UnixListener::bind(&short).context("a socket of the owner's")?);
    ensure!(
        tree::is_special(&stage.there.join("bound"))?,
        "the owner's socket is something else"
    );
    Ok(fs::remove_file(bound)?)
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, flags)?)
}

/// Each flag, files and directories, within one directory and between two.
pub fn renamed(stage: &Stage<'_>) -> Result<()> {
    let at = |path: &str| stage.there.join(path);
    for folder in ["a", "b", "a/full", "b/empty"] {
        fs::create_dir(at(folder))?;
    }
    for file in ["a/one", "a/two", "a/full/inside"] {
        fs::write(at(file), file)?;
    }
    // All is known on the third device, which must not go by that.
    let known = tree::list(&stage.third)?;
    same("entries", known.len(), 7)?;
    let none = RenameFlags::empty();
    let cases = [
        ("a/one", "a/two", RenameFlags::NOREPLACE, libc::EEXIST),
        ("a/one", "a/none", RenameFlags::EXCHANGE, libc::ENOENT),
        ("a/none", "a/other", none, libc::ENOENT),
        ("a/one", "b/empty", none, libc::EISDIR),
        ("b/empty", "a/one", none, libc::ENOTDIR),
        ("a", "a/full/below", none, libc::EINVAL),
        ("a/one", "a/white", RenameFlags::WHITEOUT, libc::EINVAL),
    ];
    for (from, to, flags, errno) in cases {
        let what = format!("{from} to {to} with {flags:?}");
        fails(&what, rename(&at(from), &at(to), flags), errno)?;
    }
    // EEXIST or ENOTEMPTY, as the file system has it.
    let [here, there] = [&stage.home, &stage.there].map(|folder| {
        let renamed = rename(&folder.join("b/empty"), &folder.join("a/full"), none);
        renamed.err().and_then(|error| error.raw_os_error())
    });
    ensure!(here.is_some(), "a full directory was replaced");
    same("the error", there, here)?;
    rename(&at("a/one"), &at("b/moved"), RenameFlags::NOREPLACE)?;
    rename(&at("b/moved"), &at("a/two"), none)?;
    // A directory takes the place of an empty one, and of a file by exchange.
    rename(&at("a/full"), &at("b/empty"), none)?;
    rename(&at("b/empty"), &at("a/two"), RenameFlags::EXCHANGE)?;
    for folder in [&stage.home, &stage.there, &stage.third] {
        let found: Vec<_> = tree::list(folder)?.into_keys().collect();
        let expected = ["a", "a/two", "a/two/inside", "b", "b/empty"];
        same("entries", found, expected.map(Into::into).to_vec())?;
        holds(&folder.join("b/empty"), b"a/one")?;
        holds(&folder.join("a/two/inside"), b"a/full/inside")?;
    }
    linked(stage)?;
    spelled_otherwise(stage)?;
    if !stage.owner.unix {
        // Until it is stored, a FAT file system lists what was exchanged as what was there before.
        drop_caches()?;
    }
    Ok(())
}

fn linked(stage: &Stage<'_>) -> Result<()> {
    let [_, there, _] = stage.file("b/empty");
    let other = stage.there.join("a/linked");
    let linked = fs::hard_link(&there, &other);
    let Some(()) = stage.tries("link", stage.owner.unix, linked, libc::EPERM)? else {
        return Ok(());
    };
    // A file renamed to another name of its own stays as it is.
    rename(&there, &other, RenameFlags::empty())?;
    for folder in [&stage.home, &stage.there, &stage.third] {
        let (one, two) = (folder.join("b/empty"), folder.join("a/linked"));
        same("links", fs::metadata(&one)?.nlink(), 2)?;
        same(
            "inode",
            fs::metadata(&one)?.ino(),
            fs::metadata(&two)?.ino(),
        )?;
    }
    Ok(())
}

/// A FAT file system takes capital and small letters for the same; for what nobody has asked for.
fn spelled_otherwise(stage: &Stage<'_>) -> Result<()> {
    let (small, capital) = (stage.there.join("spelled"), stage.there.join("SPELLED"));
    fs::write(&small, "small")?;
    let create = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    let made = open_with(&capital, create);
    if stage.owner.unix {
        made.context("it is another file")?;
        fs::remove_file(&capital)?;
        return Ok(fs::remove_file(small)?);
    }
    fails("making it", made, libc::EEXIST)?;
    drop_caches()?;
    for folder in [&stage.home, &stage.there, &stage.third] {
        holds(&folder.join("Spelled"), b"small")?;
        same("names", tree::names(folder)?.len(), 3)?;
    }
    fs::remove_file(&small)?;
    for name in ["spelled", "SPELLED", "Spelled"] {
        let opened = File::open(stage.there.join(name));
        fails(name, opened, libc::ENOENT)?;
    }
    Ok(())
}

/// Positions of a listing stay right while names come and go.
pub fn listed_while_they_change(stage: &Stage<'_>) -> Result<()> {
    const COUNT: usize = 300;
    let name = |number: usize| format!("name {number:04}");
    for number in 0..COUNT {
        File::create(stage.home.join(name(number)))?;
    }
    drop_caches()?;
    let folder = File::open(&stage.there)?;
    let all = entries(&folder, 0)?;
    same("entries", all.len(), COUNT + 2)?;
    for index in [0, 1, COUNT / 2, COUNT] {
        let rest = entries(&folder, all[index].1)?;
        ensure!(rest == all[index + 1..], "another listing from {index} on");
    }
    // One of three before the middle and after it goes, by the owner or from afar; others come.
    let middle = COUNT / 2;
    let mut gone = BTreeSet::new();
    for (index, (entry, _)) in all.iter().enumerate() {
        if entry.starts_with(b".") || index % 3 != 0 || index == middle {
            continue;
        }
        let by = [&stage.home, &stage.there, &stage.third][index / 3 % 3];
        fs::remove_file(below(by, entry))?;
        gone.insert(entry.clone());
    }
    for number in COUNT..COUNT + 50 {
        File::create(stage.third.join(name(number)))?;
    }
    let fresh = File::open(&stage.there)?;
    for folder in [&folder, &fresh] {
        let rest = entries(folder, all[middle].1)?;
        let names: BTreeSet<_> = rest.iter().map(|(name, _)| name).collect();
        same("names that are shown twice", rest.len() - names.len(), 0)?;
        for (entry, _) in &all[middle + 1..] {
            let missed = !gone.contains(entry) && !names.contains(entry);
            ensure!(!missed, "{:?} was missed", String::from_utf8_lossy(entry));
        }
    }
    let expected: BTreeSet<OsString> = tree::names(&stage.home)?.into_iter().collect();
    same("names", expected.len(), COUNT + 50 - gone.len())?;
    for folder in [&stage.there, &stage.third] {
        let found: BTreeSet<_> = tree::names(folder)?.into_iter().collect();
        ensure!(found == expected, "another listing in {}", folder.display());
    }
    Ok(())
}
