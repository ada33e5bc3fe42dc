// SPDX-License-Identifier: MIT OR Apache-2.0

//! Attributes of another device's files, changed from afar, and every change on every kind of
//! lower file system.

use std::ffi::{CStr, CString};
use std::fs::{self, File, FileTimes, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{chown, symlink, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{ensure, Context, Result};
use rustix::fs::{
    getxattr, listxattr, mknodat, removexattr, renameat_with, setxattr, utimensat, AtFlags,
    FileType, Mode, RenameFlags, Timespec, Timestamps, XattrFlags, CWD, UTIME_NOW, UTIME_OMIT,
};

use crate::fleet::{Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::storage::Storage;
use crate::suite::support::{drop_caches, fails, holds, same, same_bytes, truncate};
use crate::suite::{tests, Group};
use crate::tree;

/// A laptop that may change a tablet's files, in memory.
pub const GROUP: Group = Group {
    name: "remote_attributes",
    fleet: Some(|| {
        Plan::new(&["laptop", "tablet"])
            .policy("tablet", "laptop", "write", 4)
            .start()
    }),
    seconds: 2,
    tests: tests![
        Fleet: permissions_are_changed,
        owners_are_changed,
        times_are_set,
        times_stay_as_they_were_set,
        files_are_cut_and_extended,
        extended_attributes,
        access_control_lists,
        default_lists_stand_in_for_the_umask,
        each_costs_one_round_trip,
    ],
};

/// The same on file systems on a disk.
pub const LOWER: Group = Group {
    name: "remote_lower",
    fleet: None,
    seconds: 10,
    tests: tests![Alone: ext4, xfs, btrfs, vfat],
};

fn file(fleet: &Fleet, name: &str) -> Result<(PathBuf, PathBuf)> {
    let home = fleet.device("tablet")?.export().join(name);
    fs::write(&home, "content")?;
    Ok((home, fleet.device("laptop")?.view("tablet").join(name)))
}

fn chmod(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::symlink_metadata(path)?.mode() & 0o7777)
}

fn permissions_are_changed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "chmod")?;
    for bits in [0o600, 0o777, 0, 0o644] {
        chmod(&there, bits)?;
        same("mode at home", mode(&home)?, bits)?;
        same("mode from afar", mode(&there)?, bits)?;
    }
    // A program must not run at home as somebody else because of a peer.
    for bits in [0o4755, 0o2755, 0o6777] {
        fails("set-user-ID", chmod(&there, bits), libc::EPERM)?;
    }
    same("mode", mode(&home)?, 0o644)?;
    // Bits that the owner has set are shown, and go when somebody else writes.
    chmod(&home, 0o4755)?;
    let open = File::open(&there)?;
    same("mode from afar", open.metadata()?.mode() & 0o7777, 0o4755)?;
    let folder = (home.with_extension("d"), there.with_extension("d"));
    fs::create_dir(&folder.0)?;
    for bits in [0o1777, 0o2755, 0o700] {
        chmod(&folder.1, bits)?;
        same("mode at home", mode(&folder.0)?, bits)?;
        same("mode from afar", mode(&folder.1)?, bits)?;
    }
    fs::remove_dir(folder.1)?;
    fs::remove_file(home)?;
    Ok(())
}

/// The tablet acts as the owner of its tree, who is root here and has no powers.
fn owners_are_changed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "chown")?;
    let owner = fs::metadata(&home)?.uid();
    chown(&there, Some(owner), Some(fs::metadata(&home)?.gid()))?;
    chown(&there, None, None)?;
    for (uid, gid) in [
        (Some(1000), None),
        (None, Some(1000)),
        (Some(1000), Some(1000)),
    ] {
        fails("chown", chown(&there, uid, gid), libc::EPERM)?;
    }
    let metadata = fs::metadata(&there)?;
    same("owner", (metadata.uid(), metadata.gid()), (0, 0))?;
    // What the owner changes is seen, and is none of the peer's business any more.
    chown(&home, Some(1000), Some(1000))?;
    let open = File::open(&there)?;
    same("owner from afar", open.metadata()?.uid(), 1000)?;
    fails("chmod of another's", chmod(&there, 0o600), libc::EPERM)?;
    fs::remove_file(home)?;
    Ok(())
}

/// A point in time.
pub const fn time(seconds: i64, nanoseconds: i64) -> Timespec {
    Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds as _,
    }
}

/// Sets the times of a file, links not followed.
pub fn utimes(path: &Path, atime: Timespec, mtime: Timespec) -> io::Result<()> {
    let times = Timestamps {
        last_access: atime,
        last_modification: mtime,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// When a file was modified, links not followed.
pub fn mtime(path: &Path) -> Result<(i64, i64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.mtime(), metadata.mtime_nsec()))
}

fn times_are_set(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "touched")?;
    let (now, omit) = (time(0, UTIME_NOW), time(0, UTIME_OMIT));
    for (seconds, nanoseconds) in [(1_000_000_000, 123_456_789), (0, 0), (-5, 1), (1 << 33, 5)] {
        utimes(&there, omit, time(seconds, nanoseconds))?;
        same("time at home", mtime(&home)?, (seconds, nanoseconds))?;
        same("time from afar", mtime(&there)?, (seconds, nanoseconds))?;
    }
    utimes(&there, time(77, 7), omit)?;
    same("time", mtime(&home)?, (1 << 33, 5))?;
    let metadata = fs::metadata(&home)?;
    same("access", (metadata.atime(), metadata.atime_nsec()), (77, 7))?;
    // By the clock of the owner, which is the same one here.
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    utimes(&there, now, now)?;
    let set = mtime(&home)?.0;
    ensure!(
        set + 1 >= before.as_secs() as i64 && set < before.as_secs() as i64 + 60,
        "touched at {set}, at {before:?}"
    );
    same("time from afar", mtime(&there)?, mtime(&home)?)?;
    symlink("touched", home.with_extension("link"))?;
    let link = there.with_extension("link");
    utimes(&link, omit, time(99, 9))?;
    same("time of the link", mtime(&link)?, (99, 9))?;
    fs::remove_file(link)?;
    let folder = there.with_extension("folder");
    fs::create_dir(&folder)?;
    utimes(&folder, omit, time(98, 8))?;
    same("time of the folder", mtime(&folder)?, (98, 8))?;
    fs::remove_dir(folder)?;
    fs::remove_file(home)?;
    Ok(())
}

/// As `cp -p` and `rsync -t` do it.
fn times_stay_as_they_were_set(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "copied")?;
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 5000);
    let file = File::options().write(true).open(&there)?;
    file.write_all_at(&[b'x'; 100_000], 0)?;
    file.set_times(FileTimes::new().set_modified(old).set_accessed(old))?;
    same("time while it is open", file.metadata()?.modified()?, old)?;
    drop(file);
    same("time at home", fs::metadata(&home)?.modified()?, old)?;
    same("time from afar", fs::metadata(&there)?.modified()?, old)?;
    drop_caches()?;
    same("time from afar", fs::metadata(&there)?.modified()?, old)?;
    holds(&home, &[b'x'; 100_000])?;
    fs::remove_file(home)?;
    Ok(())
}

fn files_are_cut_and_extended(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "sized")?;
    let content: Vec<u8> = (0..100_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    fs::write(&home, &content)?;
    holds(&there, &content)?;
    // What is cached beyond the end must not come back when the file grows again.
    let file = File::options().read(true).write(true).open(&there)?;
    for (cut, size) in [(50_000, 60_000_usize), (4_096, 8_192), (1, 70_000), (0, 10)] {
        file.set_len(cut)?;
        same("size", file.metadata()?.len(), cut)?;
        same("size at home", fs::metadata(&home)?.len(), cut)?;
        file.set_len(size as u64)?;
        let mut expected = content[..cut as usize].to_vec();
        expected.resize(size, 0);
        holds(&home, &expected)?;
        let mut found = vec![1; size];
        file.read_exact_at(&mut found, 0)?;
        same_bytes("from afar", &found, &expected)?;
        drop_caches()?;
        holds(&there, &expected)?;
        file.write_all_at(&content, 0)?;
        same("size when written again", file.metadata()?.len(), 100_000)?;
    }
    drop(file);
    holds(&home, &content)?;
    truncate(&there, 5)?;
    holds(&there, &content[..5])?;
    fs::File::options()
        .write(true)
        .truncate(true)
        .open(&there)?;
    same("size after O_TRUNC", fs::metadata(&home)?.len(), 0)?;
    let folder = fleet.device("laptop")?.view("tablet");
    fails("of a directory", truncate(&folder, 1), libc::EISDIR)?;
    // Made for nobody to write, and written by who made it.
    let closed = there.with_extension("closed");
    let file = File::options().write(true).create_new(true).open(&closed)?;
    chmod(&closed, 0o444)?;
    file.write_all_at(b"closed", 0)?;
    file.set_len(3)?;
    drop(file);
    holds(&home.with_extension("closed"), b"clo")?;
    fs::remove_file(closed)?;
    fs::remove_file(home)?;
    Ok(())
}

fn names_of(path: &Path) -> Result<Vec<String>> {
    let mut buffer = vec![0; 4096];
    let length = listxattr(path, &mut buffer)?;
    let mut names: Vec<String> = buffer[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// C: `getxattr`.
pub fn value(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 65_536];
    let length = getxattr(path, name, &mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

/// C: `setxattr`.
pub fn set(path: &Path, name: &str, value: &[u8], flags: XattrFlags) -> io::Result<()> {
    Ok(setxattr(path, name, value, flags)?)
}

/// Whether there is such an attribute or not.
pub const ANY: XattrFlags = XattrFlags::empty();

/// The length of a value, as a program asks for it that has no room yet.
fn length_of(path: &Path, name: &CStr) -> Result<isize> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both are C strings, and without room nothing is written.
    Ok(unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) })
}

fn extended_attributes(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "noted")?;
    same("names", names_of(&there)?.len(), 0)?;
    set(&there, "user.one", b"1", ANY)?;
    set(&there, "user.empty", b"", ANY)?;
    same("at home", value(&home, "user.one")?, b"1".to_vec())?;
    same("from afar", value(&there, "user.empty")?, vec![])?;
    same("names", names_of(&there)?, names_of(&home)?)?;
    fails(
        "again",
        set(&there, "user.one", b"2", XattrFlags::CREATE),
        libc::EEXIST,
    )?;
    fails(
        "none",
        set(&there, "user.two", b"2", XattrFlags::REPLACE),
        libc::ENODATA,
    )?;
    set(&there, "user.one", b"other", XattrFlags::REPLACE)?;
    same("replaced", value(&home, "user.one")?, b"other".to_vec())?;
    let mut short = [0; 2];
    fails(
        "no room",
        getxattr(&there, "user.one", &mut short).map_err(Into::into),
        libc::ERANGE,
    )?;
    same("the length", length_of(&there, c"user.one")?, 5)?;
    fails("missing", value(&there, "user.none"), libc::ENODATA)?;
    let large = vec![7; 30_000];
    set(&there, "user.large", &large, ANY)?;
    same_bytes("large", &value(&home, "user.large")?, &large)?;
    fails(
        "too large",
        set(&there, "user.x", &vec![0; 65_537], ANY),
        libc::E2BIG,
    )?;
    removexattr(&there, "user.one")?;
    fails("removed", value(&home, "user.one"), libc::ENODATA)?;
    fails(
        "again",
        removexattr(&there, "user.one").map_err(Into::into),
        libc::ENODATA,
    )?;
    // What belongs to the owner's system.
    for name in ["trusted.x", "security.x", "system.x", "other.x"] {
        fails(name, set(&there, name, b"x", ANY), libc::EOPNOTSUPP)?;
        fails(name, value(&there, name), libc::EOPNOTSUPP)?;
    }
    setxattr(&home, "trusted.secret", b"x", ANY)?;
    ensure!(
        !names_of(&there)?.contains(&"trusted.secret".into()),
        "shown from afar"
    );
    // The label is the owner's alone.
    fails(
        "the label",
        set(&there, "user.hmdfs.label", b"s0", ANY),
        libc::EPERM,
    )?;
    setxattr(&home, "user.hmdfs.label", b"s2", ANY)?;
    same(
        "the label",
        value(&there, "user.hmdfs.label")?,
        b"s2".to_vec(),
    )?;
    fails(
        "removing it",
        removexattr(&there, "user.hmdfs.label").map_err(Into::into),
        libc::EPERM,
    )?;
    let folder = there.with_extension("folder");
    fs::create_dir(&folder)?;
    set(&folder, "user.kind", b"folder", ANY)?;
    same(
        "of a folder",
        value(&folder, "user.kind")?,
        b"folder".to_vec(),
    )?;
    fs::remove_dir(folder)?;
    fs::remove_file(home)?;
    Ok(())
}

/// The attribute that an access control list is seen as.
pub const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

/// An access control list in the form of getxattr(2): pairs of tag and permissions, and who is
/// meant.
fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

const NOBODY: u32 = u32::MAX;

/// The owner has all, user 1000 may read, a mask lets groups read at most, others nothing.
pub fn some_list() -> Vec<u8> {
    list(&[
        (1, 7, NOBODY),
        (2, 4, 1000),
        (4, 5, NOBODY),
        (0x10, 4, NOBODY),
        (0x20, 0, NOBODY),
    ])
}

fn access_control_lists(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "listed")?;
    fails("none", value(&there, ACCESS), libc::ENODATA)?;
    set(&there, ACCESS, &some_list(), ANY)?;
    same_bytes("at home", &value(&home, ACCESS)?, &some_list())?;
    same_bytes("from afar", &value(&there, ACCESS)?, &some_list())?;
    // The group's bits are the mask now.
    same("mode", mode(&there)?, 0o740)?;
    same("mode at home", mode(&home)?, 0o740)?;
    chmod(&there, 0o770)?;
    let mask = value(&home, ACCESS)?;
    same("the mask after chmod", mask[4 + 3 * 8 + 2], 7)?;
    setxattr(&home, ACCESS, &some_list(), ANY)?;
    same_bytes("changed at home", &value(&there, ACCESS)?, &some_list())?;
    fails(
        "nonsense",
        set(&there, ACCESS, b"nonsense", ANY),
        libc::EOPNOTSUPP,
    )
    .or_else(|_| {
        fails(
            "nonsense",
            set(&there, ACCESS, b"nonsense", ANY),
            libc::EINVAL,
        )
    })?;
    fails(
        "a default list",
        set(&there, DEFAULT, &some_list(), ANY),
        libc::EACCES,
    )?;
    removexattr(&there, ACCESS)?;
    fails("removed", value(&home, ACCESS), libc::ENODATA)?;
    fs::remove_file(home)?;
    Ok(())
}

fn default_lists_stand_in_for_the_umask(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("inheriting");
    let there = fleet.device("laptop")?.view("tablet").join("inheriting");
    fs::create_dir(&there)?;
    let default = list(&[
        (1, 7, NOBODY),
        (2, 6, 1000),
        (4, 7, NOBODY),
        (0x10, 7, NOBODY),
        (0x20, 5, NOBODY),
    ]);
    set(&there, DEFAULT, &default, ANY)?;
    let old = rustix::process::umask(Mode::from_raw_mode(0o077));
    let made = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(there.join("file"))
        .and_then(|_| fs::create_dir(there.join("folder")));
    rustix::process::umask(old);
    made?;
    // The umask of 077 would have taken the group's bits.
    same("mode of the file", mode(&home.join("file"))?, 0o664)?;
    same("mode of the folder", mode(&home.join("folder"))?, 0o775)?;
    same_bytes(
        "handed down",
        &value(&there.join("folder"), DEFAULT)?,
        &default,
    )?;
    let entries = value(&home.join("file"), ACCESS)?;
    same("entries", entries.len(), default.len())?;
    fs::remove_dir_all(there)?;
    Ok(())
}

fn each_costs_one_round_trip(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = file(fleet, "counted")?;
    let laptop = fleet.device("laptop")?.control();
    let folder = fleet.device("laptop")?.view("tablet");
    let costs = |what: &str, work: &dyn Fn() -> io::Result<()>| -> Result<()> {
        tree::names(&folder)?;
        let cost = round_trips(&laptop, || work().with_context(|| what.to_owned()))?;
        same(&format!("round trips of {what}"), cost, 1)
    };
    costs("chmod", &|| chmod(&there, 0o600))?;
    costs("utimes", &|| utimes(&there, time(5, 5), time(6, 6)))?;
    costs("truncate", &|| truncate(&there, 3))?;
    costs("setxattr", &|| set(&there, "user.x", b"y", ANY))?;
    costs("getxattr", &|| value(&there, "user.x").map(drop))?;
    costs("listxattr", &|| {
        Ok(listxattr(&there, &mut [0_u8; 100]).map(drop)?)
    })?;
    costs("setting a list", &|| set(&there, ACCESS, &some_list(), ANY))?;
    costs("getting a list", &|| value(&there, ACCESS).map(drop))?;
    costs("removexattr", &|| Ok(removexattr(&there, "user.x")?))?;
    fs::remove_file(home)?;
    Ok(())
}

/// What a file system can do.
struct Abilities {
    fstype: &'static str,
    unix: bool,
}

/// Every change, here and seen from there, with cold caches on both sides in between.
fn everything(abilities: &Abilities) -> Result<()> {
    let storage = Storage::Image(abilities.fstype, 320);
    let fleet = Plan::with_storage(vec![("laptop", Storage::Memory(64)), ("tablet", storage)])
        .policy("tablet", "laptop", "write", 4)
        .start()?;
    let home = fleet.device("tablet")?.export();
    let there = fleet.device("laptop")?.view("tablet");
    fs::create_dir_all(there.join("a/b"))?;
    fs::write(there.join("a/file"), "content")?;
    holds(&home.join("a/file"), b"content")?;
    // The file is found again although it is not where its handle says.
    let open = File::options()
        .read(true)
        .write(true)
        .open(there.join("a/file"))?;
    fs::rename(there.join("a/file"), there.join("a/b/moved"))?;
    // (A FAT file system gives its files new numbers when it has forgotten them.)
    if abilities.unix {
        drop_caches()?;
    }
    open.set_len(3)?;
    holds(&home.join("a/b/moved"), b"con")?;
    drop(open);
    drop_caches()?;
    fs::rename(there.join("a/b"), there.join("c"))?;
    holds(&there.join("c/moved"), b"con")?;
    fs::write(there.join("other"), "other")?;
    fs::rename(there.join("c/moved"), there.join("other"))?;
    holds(&home.join("other"), b"con")?;
    fs::write(there.join("second"), "second")?;
    renameat_with(
        CWD,
        there.join("other"),
        CWD,
        there.join("second"),
        RenameFlags::EXCHANGE,
    )?;
    holds(&home.join("other"), b"second")?;
    holds(&there.join("second"), b"con")?;
    fails(
        "without replacing",
        renameat_with(
            CWD,
            there.join("other"),
            CWD,
            there.join("second"),
            RenameFlags::NOREPLACE,
        )
        .map_err(Into::into),
        libc::EEXIST,
    )?;
    // Two seconds are what FAT can tell apart.
    utimes(
        &there.join("other"),
        time(1_000_000_000, 0),
        time(1_000_000_000, 0),
    )?;
    same("time", mtime(&home.join("other"))?.0, 1_000_000_000)?;
    File::open(&there)?.sync_all()?;
    unix_things(abilities, &home, &there)?;
    same("the trees", tree::list(&there)?, tree::list(&home)?)?;
    for name in tree::names(&there)? {
        if name == "trusted" || name == "lost+found" {
            continue;
        }
        let path = there.join(&name);
        if fs::symlink_metadata(&path)?.is_dir() {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
        ensure!(!home.join(&name).exists(), "{name:?} is still there");
    }
    fleet.close()
}

/// What a FAT file system cannot do, and how it says so.
fn unix_things(abilities: &Abilities, home: &Path, there: &Path) -> Result<()> {
    let unix = abilities.unix;
    let check = |what: &str, result: io::Result<()>, errno: i32| -> Result<()> {
        if unix {
            result.with_context(|| what.to_owned())
        } else {
            fails(what, result, errno)
        }
    };
    let file = there.join("other");
    check("symlink", symlink("other", there.join("link")), libc::EPERM)?;
    check(
        "link",
        fs::hard_link(&file, there.join("hard")),
        libc::EPERM,
    )?;
    let fifo = mknodat(
        CWD,
        there.join("fifo"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    );
    check("mknod", fifo.map_err(Into::into), libc::EPERM)?;
    // A FAT file system ignores what it cannot keep.
    chmod(&file, 0o604)?;
    same("mode", mode(&file)?, mode(&home.join("other"))?)?;
    check(
        "setxattr",
        set(&file, "user.x", b"y", ANY),
        libc::EOPNOTSUPP,
    )?;
    check(
        "a list",
        set(&file, ACCESS, &some_list(), ANY),
        libc::EOPNOTSUPP,
    )?;
    if unix {
        drop_caches()?;
        let inode = fs::metadata(&file)?.ino();
        same("inode", fs::metadata(there.join("hard"))?.ino(), inode)?;
        same("links", fs::metadata(&file)?.nlink(), 2)?;
        same("value", value(&file, "user.x")?, b"y".to_vec())?;
        same_bytes("list", &value(&home.join("other"), ACCESS)?, &some_list())?;
        holds(&there.join("link"), b"second")?;
        // By the name that is left, in another directory.
        fs::rename(there.join("hard"), there.join("c/hard"))?;
        let open = File::open(&file)?;
        fs::remove_file(&file)?;
        same("links", open.metadata()?.nlink(), 1)?;
        holds(&there.join("c/hard"), b"second")?;
        same("inode", fs::metadata(there.join("c/hard"))?.ino(), inode)?;
    }
    Ok(())
}

fn ext4() -> Result<()> {
    everything(&Abilities {
        fstype: "ext4",
        unix: true,
    })
}

fn xfs() -> Result<()> {
    everything(&Abilities {
        fstype: "xfs",
        unix: true,
    })
}

fn btrfs() -> Result<()> {
    everything(&Abilities {
        fstype: "btrfs",
        unix: true,
    })
}

fn vfat() -> Result<()> {
    everything(&Abilities {
        fstype: "vfat",
        unix: false,
    })
}
