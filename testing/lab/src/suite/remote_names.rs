// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names of another device's files: made, removed, renamed from afar.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{
    symlink, DirBuilderExt, FileExt, FileTypeExt, MetadataExt, PermissionsExt,
};
use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};
use rustix::fs::{mknodat, renameat_with, FileType, Mode, RenameFlags, CWD};

use crate::fleet::{Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::suite::support::{drop_caches, fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;

/// A laptop that may change a tablet's files.
pub const GROUP: Group = Group {
    name: "remote_names",
    fleet: Some(prepare),
    seconds: 1,
    tests: tests![
        Fleet: files_are_made,
        an_exclusive_create_is_exact,
        a_create_opens_what_somebody_else_made,
        a_file_of_any_mode_is_open_when_it_is_made,
        the_umask_is_applied_once,
        directories_are_made_and_removed,
        fifos_and_sockets_are_made_and_devices_are_not,
        symbolic_links_are_made,
        hard_links_share_an_inode,
        files_are_removed,
        an_open_file_outlives_its_name,
        files_are_renamed,
        directories_are_renamed,
        names_are_exchanged,
        a_file_moves_with_all_that_is_open,
        other_devices_are_other_file_systems,
        what_changed_meanwhile_is_found_out,
        what_is_removed_at_home_is_missed,
        directories_reach_the_disk,
        permissions_are_those_of_the_mode,
        each_change_costs_one_round_trip,
        a_directory_stays_known_while_only_we_change_it,
        a_tree_is_copied_and_removed,
    ],
};

fn prepare() -> Result<Fleet> {
    Plan::new(&["laptop", "tablet"])
        .policy("tablet", "laptop", "write", 4)
        .policy("laptop", "tablet", "read", 4)
        .start()
}

/// A new directory of the tablet: where it is, and where the laptop sees it.
fn folder(fleet: &Fleet, name: &str) -> Result<(PathBuf, PathBuf)> {
    let home = fleet.device("tablet")?.export().join(name);
    fs::create_dir(&home)?;
    Ok((home, fleet.device("laptop")?.view("tablet").join(name)))
}

/// `open` with `O_CREAT`, to be read.
fn create(path: &Path, mode: u32, flags: i32) -> io::Result<File> {
    // The standard library makes no file that is only read.
    let flags = libc::O_CREAT | libc::O_CLOEXEC | flags;
    let mode = Mode::from_raw_mode(mode);
    let flags = rustix::fs::OFlags::from_bits_retain(flags as u32);
    Ok(File::from(rustix::fs::openat(CWD, path, flags, mode)?))
}

fn mknod(path: &Path, kind: FileType, device: u64) -> io::Result<()> {
    Ok(mknodat(
        CWD,
        path,
        kind,
        Mode::from_raw_mode(0o644),
        device,
    )?)
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, flags)?)
}

fn permissions(path: &Path) -> Result<u32> {
    Ok(fs::symlink_metadata(path)?.permissions().mode() & 0o7777)
}

fn files_are_made(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "made")?;
    let file = create(&there.join("file"), 0o640, 0)?;
    same("size", file.metadata()?.len(), 0)?;
    same("mode", permissions(&home.join("file"))?, 0o640)?;
    same("mode from afar", permissions(&there.join("file"))?, 0o640)?;
    let longest = "n".repeat(255);
    create(&there.join(&longest), 0o600, 0)?;
    ensure!(home.join(&longest).exists(), "the longest name is missing");
    let any: Vec<u8> = (1..=255).filter(|&byte| byte != b'/').collect();
    let any = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&any);
    create(&there.join(any), 0o600, 0)?;
    ensure!(home.join(any).exists(), "a name of all bytes is missing");
    // By mknod(2), too.
    mknod(&there.join("node"), FileType::RegularFile, 0)?;
    ensure!(home.join("node").is_file(), "mknod made no file");
    fails(
        "mknod again",
        mknod(&there.join("node"), FileType::RegularFile, 0),
        libc::EEXIST,
    )?;
    fails(
        "too long a name",
        create(&there.join("n".repeat(256)), 0o600, 0),
        libc::ENAMETOOLONG,
    )?;
    fails(
        "a file in what does not exist",
        create(&there.join("nothing/file"), 0o600, 0),
        libc::ENOENT,
    )?;
    fails(
        "a file in a file",
        create(&there.join("file/file"), 0o600, 0),
        libc::ENOTDIR,
    )?;
    fails("a directory", create(&there, 0o600, 0), libc::EISDIR)?;
    same("names", tree::names(&there)?, tree::names(&home)?)?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn an_exclusive_create_is_exact(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "exclusive")?;
    create(&there.join("mine"), 0o600, libc::O_EXCL)?;
    fails(
        "again",
        create(&there.join("mine"), 0o600, libc::O_EXCL),
        libc::EEXIST,
    )?;
    // The laptop was told that there is no such name, and then there is.
    fails("stat", fs::metadata(there.join("late")), libc::ENOENT)?;
    fs::write(home.join("late"), "x")?;
    fails(
        "what the owner made",
        create(&there.join("late"), 0o600, libc::O_EXCL),
        libc::EEXIST,
    )?;
    // It knows of one, and then there is none.
    fs::metadata(there.join("late"))?;
    fs::remove_file(home.join("late"))?;
    create(&there.join("late"), 0o600, libc::O_EXCL)?;
    // Directories and links count, also those that lead nowhere.
    fs::create_dir(home.join("folder"))?;
    symlink("nowhere", home.join("link"))?;
    for name in ["folder", "link"] {
        fails(
            name,
            create(&there.join(name), 0o600, libc::O_EXCL),
            libc::EEXIST,
        )?;
        fails(name, fs::create_dir(there.join(name)), libc::EEXIST)?;
        fails(name, symlink("x", there.join(name)), libc::EEXIST)?;
    }
    // One of many wins.
    let tries: Vec<u32> = (0..8).collect();
    for round in 0..10 {
        let name = format!("race {round}");
        let winners = tree::in_parallel(tries.len(), &tries, |number| {
            let folder = if number % 2 == 0 { &home } else { &there };
            match create(&folder.join(&name), 0o600, libc::O_EXCL) {
                Ok(_) => Ok(Some(format!("{number}"))),
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(None),
                Err(error) => Err(error.into()),
            }
        });
        same("winners", winners.len(), 1)?;
    }
    fs::remove_dir_all(home)?;
    Ok(())
}

fn a_create_opens_what_somebody_else_made(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "shared")?;
    fails("stat", fs::metadata(there.join("theirs")), libc::ENOENT)?;
    fs::write(home.join("theirs"), "content")?;
    fs::set_permissions(home.join("theirs"), fs::Permissions::from_mode(0o604))?;
    let file = create(&there.join("theirs"), 0o640, 0)?;
    let mut content = [0; 7];
    file.read_exact_at(&mut content, 0)?;
    same("content", &content, b"content")?;
    same("mode", permissions(&home.join("theirs"))?, 0o604)?;
    // Through a link, which is not what is opened.
    symlink("theirs", home.join("link"))?;
    let file = create(&there.join("link"), 0o640, 0)?;
    file.read_exact_at(&mut content, 0)?;
    symlink("made by a link", home.join("dangling"))?;
    create(&there.join("dangling"), 0o640, 0)?;
    ensure!(
        home.join("made by a link").is_file(),
        "nothing was made where the link leads"
    );
    fs::remove_dir_all(home)?;
    Ok(())
}

/// Who makes a file may use it, even if nobody may from then on.
fn a_file_of_any_mode_is_open_when_it_is_made(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "modes")?;
    for mode in [0, 0o200, 0o400, 0o777] {
        let name = format!("{mode:o}");
        let file = create(&there.join(&name), mode, libc::O_EXCL)?;
        same("size", file.metadata()?.len(), 0)?;
        // The umask of the tests is the usual one.
        same("mode", permissions(&home.join(&name))?, mode & !0o022)?;
    }
    fs::remove_dir_all(home)?;
    Ok(())
}

/// Runs `work` with another umask.
fn with_umask<T>(umask: u32, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let old = rustix::process::umask(Mode::from_raw_mode(umask));
    let result = work();
    rustix::process::umask(old);
    result
}

fn the_umask_is_applied_once(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "umask")?;
    for umask in [0, 0o002, 0o027, 0o077, 0o777] {
        with_umask(umask, || {
            create(&there.join(format!("file {umask}")), 0o666, 0)?;
            fs::DirBuilder::new()
                .mode(0o777)
                .create(there.join(format!("folder {umask}")))?;
            mknod(&there.join(format!("fifo {umask}")), FileType::Fifo, 0)?;
            Ok(())
        })?;
        let mode = |kind: &str| permissions(&home.join(format!("{kind} {umask}")));
        same("mode of the file", mode("file")?, 0o666 & !umask)?;
        same("mode of the folder", mode("folder")?, 0o777 & !umask)?;
        same("mode of the FIFO", mode("fifo")?, 0o644 & !umask)?;
    }
    fs::remove_dir_all(home)?;
    Ok(())
}

fn directories_are_made_and_removed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "folders")?;
    fs::create_dir(there.join("one"))?;
    ensure!(home.join("one").is_dir(), "there is no directory at home");
    fs::create_dir_all(there.join("one/two/three"))?;
    ensure!(home.join("one/two/three").is_dir(), "no directories below");
    same(
        "links of the parent",
        fs::metadata(there.join("one"))?.nlink(),
        fs::metadata(home.join("one"))?.nlink(),
    )?;
    fails(
        "mkdir again",
        fs::create_dir(there.join("one")),
        libc::EEXIST,
    )?;
    fails(
        "removing a directory with something in it",
        fs::remove_dir(there.join("one")),
        libc::ENOTEMPTY,
    )?;
    let open = File::open(there.join("one/two/three"))?;
    fs::remove_dir(there.join("one/two/three"))?;
    ensure!(!home.join("one/two/three").exists(), "still there at home");
    same("links of what was removed", open.metadata()?.nlink(), 0)?;
    fails(
        "again",
        fs::remove_dir(there.join("one/two/three")),
        libc::ENOENT,
    )?;
    create(&there.join("file"), 0o600, 0)?;
    fails(
        "rmdir of a file",
        fs::remove_dir(there.join("file")),
        libc::ENOTDIR,
    )?;
    fails(
        "unlink of a directory",
        fs::remove_file(there.join("one")),
        libc::EISDIR,
    )?;
    // Filled at home, although the laptop has seen it empty.
    fs::create_dir(there.join("filling"))?;
    same("names", tree::names(&there.join("filling"))?.len(), 0)?;
    fs::write(home.join("filling/late"), "")?;
    fails(
        "rmdir",
        fs::remove_dir(there.join("filling")),
        libc::ENOTEMPTY,
    )?;
    fs::remove_dir_all(there)?;
    ensure!(!home.exists(), "the tree is still there at home");
    Ok(())
}

fn fifos_and_sockets_are_made_and_devices_are_not(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "nodes")?;
    mknod(&there.join("fifo"), FileType::Fifo, 0)?;
    ensure!(
        fs::metadata(home.join("fifo"))?.file_type().is_fifo(),
        "no FIFO at home"
    );
    mknod(&there.join("socket"), FileType::Socket, 0)?;
    ensure!(
        fs::metadata(home.join("socket"))?.file_type().is_socket(),
        "no socket at home"
    );
    ensure!(
        tree::is_special(&there.join("fifo"))? && tree::is_special(&there.join("socket"))?,
        "the laptop sees something else"
    );
    let null = rustix::fs::makedev(1, 3);
    for kind in [FileType::CharacterDevice, FileType::BlockDevice] {
        fails(
            "a device",
            mknod(&there.join("device"), kind, null),
            libc::EPERM,
        )?;
    }
    ensure!(!home.join("device").exists(), "a device was made");
    fs::remove_dir_all(home)?;
    Ok(())
}

fn symbolic_links_are_made(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "links")?;
    fs::write(home.join("file"), "content")?;
    let long = "x/".repeat(2047);
    for (name, target) in [
        ("to a file", "file"),
        ("to nothing", "../nothing/at all"),
        ("out", "/etc/passwd"),
        ("long", long.as_str()),
    ] {
        symlink(target, there.join(name))?;
        same(
            "target at home",
            fs::read_link(home.join(name))?,
            target.into(),
        )?;
        same(
            "target from afar",
            fs::read_link(there.join(name))?,
            target.into(),
        )?;
        same(
            "length",
            fs::symlink_metadata(there.join(name))?.len(),
            target.len() as u64,
        )?;
    }
    holds(&there.join("to a file"), b"content")?;
    fails("again", symlink("x", there.join("to a file")), libc::EEXIST)?;
    fails("no target", symlink("", there.join("empty")), libc::ENOENT)?;
    fs::remove_file(there.join("to a file"))?;
    ensure!(home.join("file").exists(), "the file went with the link");
    fs::remove_dir_all(home)?;
    Ok(())
}

fn hard_links_share_an_inode(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "hard links")?;
    fs::create_dir(home.join("other"))?;
    fs::write(home.join("file"), "content")?;
    fs::metadata(there.join("file"))?;
    fs::hard_link(there.join("file"), there.join("second"))?;
    fs::hard_link(there.join("second"), there.join("other/third"))?;
    same("links at home", fs::metadata(home.join("file"))?.nlink(), 3)?;
    let inode = fs::metadata(there.join("file"))?.ino();
    for name in ["file", "second", "other/third"] {
        let metadata = fs::metadata(there.join(name))?;
        same(name, (metadata.ino(), metadata.nlink()), (inode, 3))?;
        holds(&there.join(name), b"content")?;
    }
    fails(
        "over a name",
        fs::hard_link(there.join("file"), there.join("second")),
        libc::EEXIST,
    )?;
    fails(
        "of a directory",
        fs::hard_link(there.join("other"), there.join("directory")),
        libc::EPERM,
    )?;
    // Seen anew, in either order, and without the first name.
    drop_caches()?;
    same(
        "inode",
        fs::metadata(there.join("other/third"))?.ino(),
        inode,
    )?;
    fs::remove_file(there.join("file"))?;
    for name in ["second", "other/third"] {
        let metadata = fs::metadata(there.join(name))?;
        same(name, (metadata.ino(), metadata.nlink()), (inode, 2))?;
        holds(&there.join(name), b"content")?;
    }
    fs::remove_dir_all(home)?;
    Ok(())
}

fn files_are_removed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "removed files")?;
    fs::write(home.join("file"), "x")?;
    holds(&there.join("file"), b"x")?;
    fs::remove_file(there.join("file"))?;
    ensure!(!home.join("file").exists(), "still there at home");
    fails("stat", fs::metadata(there.join("file")), libc::ENOENT)?;
    fails("again", fs::remove_file(there.join("file")), libc::ENOENT)?;
    same("names", tree::names(&there)?.len(), 0)?;
    // Made again at once, here and there.
    create(&there.join("file"), 0o600, libc::O_EXCL)?;
    fs::remove_file(there.join("file"))?;
    fs::write(home.join("file"), "new")?;
    holds(&there.join("file"), b"new")?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn an_open_file_outlives_its_name(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "outlived")?;
    fs::write(home.join("file"), "content")?;
    let file = File::open(there.join("file"))?;
    let mut content = [0; 7];
    file.read_exact_at(&mut content, 0)?;
    let before = file.metadata()?;
    fs::remove_file(there.join("file"))?;
    let after = file.metadata()?;
    same("links", after.nlink(), 0)?;
    same("inode", after.ino(), before.ino())?;
    ensure!(
        (after.ctime(), after.ctime_nsec()) > (before.ctime(), before.ctime_nsec()),
        "the time of the change is from before it"
    );
    file.read_exact_at(&mut content, 0)?;
    same("content", &content, b"content")?;
    same("names", tree::names(&home)?.len(), 0)?;
    // One of two names is left.
    fs::write(home.join("one"), "x")?;
    fs::hard_link(home.join("one"), home.join("two"))?;
    let file = File::open(there.join("one"))?;
    fs::remove_file(there.join("one"))?;
    same("links", file.metadata()?.nlink(), 1)?;
    // Replaced by a rename.
    fs::write(home.join("old"), "old")?;
    fs::write(home.join("new"), "new")?;
    let file = File::open(there.join("old"))?;
    let mut content = [0; 3];
    file.read_exact_at(&mut content, 0)?;
    fs::rename(there.join("new"), there.join("old"))?;
    same("links of what was replaced", file.metadata()?.nlink(), 0)?;
    file.read_exact_at(&mut content, 0)?;
    same("content", &content, b"old")?;
    holds(&there.join("old"), b"new")?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn files_are_renamed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "renamed files")?;
    fs::create_dir(home.join("sub"))?;
    fs::write(home.join("a"), "a")?;
    fs::write(home.join("b"), "b")?;
    fs::rename(there.join("a"), there.join("c"))?;
    holds(&home.join("c"), b"a")?;
    holds(&there.join("c"), b"a")?;
    fails("the old name", fs::metadata(there.join("a")), libc::ENOENT)?;
    ensure!(!home.join("a").exists(), "the old name is there at home");
    // Over another, known and not known here.
    holds(&there.join("b"), b"b")?;
    fs::rename(there.join("c"), there.join("b"))?;
    holds(&there.join("b"), b"a")?;
    fs::write(home.join("unknown"), "u")?;
    fs::rename(there.join("b"), there.join("unknown"))?;
    holds(&home.join("unknown"), b"a")?;
    // To another directory and back.
    fs::rename(there.join("unknown"), there.join("sub/moved"))?;
    holds(&home.join("sub/moved"), b"a")?;
    holds(&there.join("sub/moved"), b"a")?;
    fs::rename(there.join("sub/moved"), there.join("back"))?;
    holds(&there.join("back"), b"a")?;
    same("names below", tree::names(&there.join("sub"))?.len(), 0)?;
    fs::write(home.join("other"), "o")?;
    for name in ["other", "sub"] {
        fails(
            "not to replace",
            rename(
                &there.join("back"),
                &there.join(name),
                RenameFlags::NOREPLACE,
            ),
            libc::EEXIST,
        )?;
    }
    rename(
        &there.join("back"),
        &there.join("fresh"),
        RenameFlags::NOREPLACE,
    )?;
    holds(&home.join("fresh"), b"a")?;
    fails(
        "a file over a directory",
        fs::rename(there.join("fresh"), there.join("sub")),
        libc::EISDIR,
    )?;
    fails(
        "what does not exist",
        fs::rename(there.join("nothing"), there.join("x")),
        libc::ENOENT,
    )?;
    // Two names of one file: nothing happens.
    fs::hard_link(home.join("fresh"), home.join("twin"))?;
    fs::rename(there.join("fresh"), there.join("twin"))?;
    holds(&there.join("twin"), b"a")?;
    holds(&there.join("fresh"), b"a")?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn directories_are_renamed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "renamed folders")?;
    fs::create_dir_all(home.join("a/b/c"))?;
    fs::create_dir(home.join("empty"))?;
    fs::write(home.join("a/b/c/file"), "deep")?;
    holds(&there.join("a/b/c/file"), b"deep")?;
    fs::rename(there.join("a"), there.join("z"))?;
    holds(&there.join("z/b/c/file"), b"deep")?;
    holds(&home.join("z/b/c/file"), b"deep")?;
    fs::rename(there.join("z/b"), there.join("b"))?;
    holds(&there.join("b/c/file"), b"deep")?;
    same(
        "links",
        fs::metadata(there.join("z"))?.nlink(),
        fs::metadata(home.join("z"))?.nlink(),
    )?;
    // ".." of what was moved.
    let up = fs::metadata(there.join("b/.."))?.ino();
    same("the parent", up, fs::metadata(&there)?.ino())?;
    fs::rename(there.join("b"), there.join("empty"))?;
    holds(&there.join("empty/c/file"), b"deep")?;
    fails(
        "over one with something in it",
        fs::rename(there.join("z"), there.join("empty")),
        libc::ENOTEMPTY,
    )?;
    fails(
        "into itself",
        fs::rename(there.join("empty"), there.join("empty/c/inside")),
        libc::EINVAL,
    )?;
    fs::write(home.join("file"), "")?;
    fails(
        "over a file",
        fs::rename(there.join("z"), there.join("file")),
        libc::ENOTDIR,
    )?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn names_are_exchanged(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "exchanged")?;
    fs::create_dir_all(home.join("folder/deeper"))?;
    fs::write(home.join("one"), "one")?;
    fs::write(home.join("folder/two"), "two")?;
    let exchange = RenameFlags::EXCHANGE;
    rename(&there.join("one"), &there.join("folder/two"), exchange)?;
    holds(&there.join("one"), b"two")?;
    holds(&there.join("folder/two"), b"one")?;
    holds(&home.join("folder/two"), b"one")?;
    // A file and a directory.
    rename(&there.join("one"), &there.join("folder/deeper"), exchange)?;
    holds(&there.join("folder/deeper"), b"two")?;
    ensure!(there.join("one").is_dir(), "the directory did not come");
    ensure!(home.join("one").is_dir(), "it did not come at home");
    fails(
        "with nothing",
        rename(&there.join("one"), &there.join("nothing"), exchange),
        libc::ENOENT,
    )?;
    fs::remove_dir_all(home)?;
    Ok(())
}

/// An open file is the same file wherever it is.
fn a_file_moves_with_all_that_is_open(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "moving")?;
    fs::create_dir(home.join("sub"))?;
    fs::write(home.join("file"), "content")?;
    let file = File::open(there.join("file"))?;
    let inode = file.metadata()?.ino();
    fs::rename(there.join("file"), there.join("sub/file"))?;
    same("inode", fs::metadata(there.join("sub/file"))?.ino(), inode)?;
    drop_caches()?;
    let mut content = [0; 7];
    file.read_exact_at(&mut content, 0)?;
    same("content", &content, b"content")?;
    file.set_permissions(fs::Permissions::from_mode(0o611))?;
    same("mode", permissions(&home.join("sub/file"))?, 0o611)?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn other_devices_are_other_file_systems(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "borders")?;
    let local = fleet.device("laptop")?.local();
    fs::write(local.join("mine"), "m")?;
    fs::write(home.join("theirs"), "t")?;
    fails(
        "out",
        fs::rename(there.join("theirs"), local.join("x")),
        libc::EXDEV,
    )?;
    fails(
        "in",
        fs::rename(local.join("mine"), there.join("x")),
        libc::EXDEV,
    )?;
    fails(
        "a link out",
        fs::hard_link(there.join("theirs"), local.join("x")),
        libc::EXDEV,
    )?;
    fails(
        "a link in",
        fs::hard_link(local.join("mine"), there.join("x")),
        libc::EXDEV,
    )?;
    let views = fleet.device("laptop")?.mount_point().join("device_view");
    fails(
        "the device",
        fs::rename(views.join("tablet"), views.join("x")),
        libc::EROFS,
    )?;
    fails(
        "its root",
        fs::remove_dir(views.join("tablet")),
        libc::EROFS,
    )?;
    fs::remove_file(local.join("mine"))?;
    fs::remove_dir_all(home)?;
    Ok(())
}

/// What a name stands for at home decides, not what the laptop believes.
fn what_changed_meanwhile_is_found_out(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "meanwhile")?;
    for name in ["removed", "renamed", "replaced"] {
        fs::write(home.join(name), "old")?;
        holds(&there.join(name), b"old")?;
        fs::remove_file(home.join(name))?;
        fs::write(home.join(name), "new")?;
    }
    // The file that has the name now is what the user means.
    fs::remove_file(there.join("removed"))?;
    ensure!(!home.join("removed").exists(), "not removed");
    fs::rename(there.join("renamed"), there.join("elsewhere"))?;
    holds(&home.join("elsewhere"), b"new")?;
    fs::rename(there.join("elsewhere"), there.join("replaced"))?;
    holds(&home.join("replaced"), b"new")?;
    // A file became a directory.
    fs::write(home.join("changeling"), "")?;
    fs::metadata(there.join("changeling"))?;
    fs::remove_file(home.join("changeling"))?;
    fs::create_dir(home.join("changeling"))?;
    fails(
        "unlink",
        fs::remove_file(there.join("changeling")),
        libc::EISDIR,
    )?;
    fs::remove_dir(there.join("changeling"))?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn what_is_removed_at_home_is_missed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "gone")?;
    fs::write(home.join("file"), "")?;
    fs::create_dir(home.join("folder"))?;
    fs::metadata(there.join("file"))?;
    fs::metadata(there.join("folder"))?;
    fs::remove_file(home.join("file"))?;
    fs::remove_dir(home.join("folder"))?;
    fails("unlink", fs::remove_file(there.join("file")), libc::ENOENT)?;
    fails("rmdir", fs::remove_dir(there.join("folder")), libc::ENOENT)?;
    fs::create_dir(home.join("folder"))?;
    fs::metadata(there.join("folder"))?;
    fs::remove_dir(home.join("folder"))?;
    fails(
        "create",
        create(&there.join("folder/x"), 0o600, 0),
        libc::ENOENT,
    )?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn directories_reach_the_disk(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "synced")?;
    create(&there.join("file"), 0o600, 0)?;
    let laptop = fleet.device("laptop")?.control();
    let open = File::open(&there)?;
    let cost = round_trips(&laptop, || Ok(open.sync_all()?))?;
    same("round trips of fsync", cost, 1)?;
    open.sync_data()?;
    fs::remove_dir_all(home)?;
    Ok(())
}

/// Runs `work` as an ordinary user.
pub(super) fn as_user<T: Send>(uid: u32, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                // The capabilities for files go with the identity, for this thread only.
                // SAFETY: neither has to do with memory.
                unsafe {
                    libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>());
                    libc::setfsgid(uid);
                    libc::setfsuid(uid);
                }
                work()
            })
            .join()
            .map_err(|_| anyhow::anyhow!("the user's thread panicked"))?
    })
}

fn permissions_are_those_of_the_mode(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "permissions")?;
    fs::write(home.join("file"), "")?;
    fs::create_dir(home.join("open"))?;
    fs::set_permissions(home.join("open"), fs::Permissions::from_mode(0o777))?;
    fs::create_dir(home.join("sticky"))?;
    fs::set_permissions(home.join("sticky"), fs::Permissions::from_mode(0o1777))?;
    fs::write(home.join("sticky/file"), "")?;
    fs::write(home.join("sticky/other"), "")?;
    as_user(1000, || {
        let file = there.join("file");
        fails("create", create(&there.join("x"), 0o600, 0), libc::EACCES)?;
        fails("mkdir", fs::create_dir(there.join("x")), libc::EACCES)?;
        fails("symlink", symlink("x", there.join("x")), libc::EACCES)?;
        fails("unlink", fs::remove_file(&file), libc::EACCES)?;
        fails("rename", fs::rename(&file, there.join("x")), libc::EACCES)?;
        fails(
            "chmod",
            fs::set_permissions(&file, fs::Permissions::from_mode(0o777)),
            libc::EPERM,
        )?;
        let chown = std::os::unix::fs::chown(&file, Some(1000), None);
        fails("chown", chown, libc::EPERM)?;
        create(&there.join("open/x"), 0o600, 0)?;
        // Whose files these are counts in a sticky directory, known or not.
        let sticky = there.join("sticky");
        fails("unlink", fs::remove_file(sticky.join("file")), libc::EPERM)?;
        fs::rename(there.join("open/x"), sticky.join("x"))?;
        fails(
            "rename over another's",
            fs::rename(sticky.join("x"), sticky.join("other")),
            libc::EPERM,
        )
    })?;
    ensure!(home.join("sticky/other").exists(), "the other file is gone");
    fs::remove_dir_all(home)?;
    Ok(())
}

fn each_change_costs_one_round_trip(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "counted")?;
    let laptop = fleet.device("laptop")?.control();
    fs::create_dir(home.join("sub"))?;
    fs::write(home.join("old"), "")?;
    fs::write(home.join("second"), "")?;
    let costs = |what: &str, work: &dyn Fn() -> io::Result<()>| -> Result<()> {
        // What the names mean is known from a listing, made a moment ago.
        tree::names(&there)?;
        tree::names(&there.join("sub"))?;
        let cost = round_trips(&laptop, || Ok(work()?))?;
        same(&format!("round trips of {what}"), cost, 1)
    };
    costs("open with O_CREAT", &|| {
        create(&there.join("new"), 0o600, 0).map(drop)
    })?;
    costs("open with O_EXCL", &|| {
        create(&there.join("own"), 0o600, libc::O_EXCL).map(drop)
    })?;
    costs("open of what was just made", &|| {
        File::open(there.join("own")).map(drop)
    })?;
    costs("mkdir", &|| fs::create_dir(there.join("folder")))?;
    costs("mknod", &|| mknod(&there.join("fifo"), FileType::Fifo, 0))?;
    costs("symlink", &|| symlink("x", there.join("link")))?;
    costs("link", &|| {
        fs::hard_link(there.join("old"), there.join("hard"))
    })?;
    costs("rename", &|| {
        fs::rename(there.join("old"), there.join("renamed"))
    })?;
    costs("rename elsewhere", &|| {
        fs::rename(there.join("renamed"), there.join("sub/moved"))
    })?;
    costs("rename over a known name", &|| {
        fs::rename(there.join("sub/moved"), there.join("second"))
    })?;
    costs("rename without replacing", &|| {
        rename(
            &there.join("second"),
            &there.join("third"),
            RenameFlags::NOREPLACE,
        )
    })?;
    costs("exchange", &|| {
        rename(
            &there.join("third"),
            &there.join("own"),
            RenameFlags::EXCHANGE,
        )
    })?;
    costs("chmod", &|| {
        fs::set_permissions(there.join("own"), fs::Permissions::from_mode(0o644))
    })?;
    costs("chown", &|| {
        std::os::unix::fs::chown(there.join("own"), Some(0), None)
    })?;
    costs("unlink", &|| fs::remove_file(there.join("own")))?;
    costs("rmdir", &|| fs::remove_dir(there.join("folder")))?;
    // It is known to exist as long as nobody has taken the lease back.
    tree::names(&there)?;
    let cost = round_trips(&laptop, || {
        fails(
            "create",
            create(&there.join("third"), 0o600, libc::O_EXCL),
            libc::EEXIST,
        )
    })?;
    same("round trips of create of what exists", cost, 0)?;
    fs::remove_dir_all(home)?;
    Ok(())
}

/// Attributes of what we changed, and of where, are known without asking.
fn a_directory_stays_known_while_only_we_change_it(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "known")?;
    let laptop = fleet.device("laptop")?.control();
    for number in 0..20 {
        fs::write(home.join(format!("file {number}")), "x")?;
    }
    tree::names(&there)?;
    let cost = round_trips(&laptop, || {
        create(&there.join("new"), 0o600, libc::O_EXCL)?;
        let (seen, real) = (fs::metadata(&there)?, fs::metadata(&home)?);
        same(
            "time of the directory",
            seen.mtime_nsec(),
            real.mtime_nsec(),
        )?;
        same("links", fs::metadata(there.join("new"))?.nlink(), 1)?;
        for number in 0..20 {
            fs::metadata(there.join(format!("file {number}")))?;
        }
        fs::remove_file(there.join("file 3"))?;
        let (seen, real) = (fs::metadata(&there)?, fs::metadata(&home)?);
        same(
            "time of the directory",
            seen.mtime_nsec(),
            real.mtime_nsec(),
        )
    })?;
    same("round trips", cost, 2)?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn a_tree_is_copied_and_removed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = folder(fleet, "forest")?;
    let mut count = 0;
    for outer in 0..5 {
        for inner in 0..5 {
            let folder = there.join(format!("{outer}/{inner}"));
            fs::create_dir_all(&folder)?;
            for file in 0..4 {
                create(&folder.join(format!("{file}")), 0o644, libc::O_EXCL)?;
                count += 1;
            }
        }
    }
    same("files made", count, 100)?;
    same("the trees", tree::list(&there)?, tree::list(&home)?)?;
    fs::remove_dir_all(&there)?;
    ensure!(!home.exists(), "something is left");
    Ok(())
}
