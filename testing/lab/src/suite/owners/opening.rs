// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every way to open a file, and files that have no name while they are open.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{symlink, FileExt, MetadataExt};

use anyhow::{Context, Result};
use rustix::fs::{linkat, AtFlags, CWD};

use super::Stage;
use crate::random::Random;
use crate::suite::support::{drop_caches, fails, holds, open_with, same, same_bytes, writable};

const BLOCK: usize = 4096;

/// So aligned as direct I/O wants it.
#[repr(align(4096))]
struct Block([u8; BLOCK]);

/// Each flag of open(2).
pub fn every_flag(stage: &Stage<'_>) -> Result<()> {
    let [home, there, third] = stage.file("opened");
    let create = libc::O_CREAT | libc::O_EXCL;
    drop(open_with(&there, create | libc::O_WRONLY).context("O_CREAT, O_EXCL")?);
    for path in [&home, &there, &third] {
        fails("again", open_with(path, create), libc::EEXIST)?;
    }
    drop(open_with(&there, libc::O_CREAT | libc::O_RDWR).context("O_CREAT of one that exists")?);
    let folder = open_with(&stage.there, libc::O_RDONLY | libc::O_DIRECTORY)?;
    drop(folder);
    let not_there = stage.there.join("missing");
    for (what, path, flags, errno) in [
        (
            "a directory, made",
            &stage.there,
            libc::O_CREAT,
            libc::EISDIR,
        ),
        (
            "a directory, written",
            &stage.there,
            libc::O_RDWR,
            libc::EISDIR,
        ),
        ("no directory", &there, libc::O_DIRECTORY, libc::ENOTDIR),
        ("nothing", &not_there, libc::O_RDONLY, libc::ENOENT),
    ] {
        fails(what, open_with(path, flags), errno)?;
    }
    appended_and_cut(stage)?;
    for flag in [libc::O_SYNC, libc::O_DSYNC, libc::O_DIRECT] {
        written_through(stage, flag).with_context(|| format!("the flag {flag:#o}"))?;
    }
    for flag in [libc::O_NOATIME, libc::O_NONBLOCK, libc::O_NOCTTY] {
        let file = open_with(&there, flag).with_context(|| format!("the flag {flag:#o}"))?;
        same("size", file.metadata()?.len(), fs::metadata(&home)?.len())?;
    }
    let path = open_with(&there, libc::O_PATH)?;
    same("inode", path.metadata()?.ino(), fs::metadata(&there)?.ino())?;
    fails("reading it", path.read_at(&mut [0; 4], 0), libc::EBADF)?;
    if stage.owner.unix {
        let link = stage.there.join("link");
        symlink("opened", &link)?;
        fails("a link", open_with(&link, libc::O_NOFOLLOW), libc::ELOOP)?;
        same(
            "size",
            open_with(&link, 0)?.metadata()?.len(),
            fs::metadata(&home)?.len(),
        )?;
        fails("one that exists", open_with(&link, create), libc::EEXIST)?;
    }
    Ok(())
}

fn appended_and_cut(stage: &Stage<'_>) -> Result<()> {
    let [home, there, third] = stage.file("appended");
    fs::write(&third, "begin")?;
    // Each has opened it before the other has written.
    for part in ["one", "two"] {
        let mut file = open_with(&there, libc::O_WRONLY | libc::O_APPEND)?;
        file.write_all(part.as_bytes())?;
        file.write_all(b",")?;
    }
    for path in [&home, &there, &third] {
        holds(path, b"beginone,two,")?;
    }
    let file = open_with(&there, libc::O_WRONLY | libc::O_TRUNC)?;
    for path in [&home, &third] {
        holds(path, b"")?;
    }
    file.write_all_at(b"new", 0)?;
    drop(file);
    for path in [&home, &there, &third] {
        holds(path, b"new")?;
    }
    Ok(())
}

/// What is with the owner when write(2) returns.
fn written_through(stage: &Stage<'_>, flag: i32) -> Result<()> {
    let [home, there, third] = stage.file(&format!("through {flag}"));
    let mut content = vec![b'.'; 4 * BLOCK];
    fs::write(&home, &content)?;
    drop_caches()?;
    let file = open_with(&there, libc::O_RDWR | flag)?;
    let mut block = Block([b'x'; BLOCK]);
    file.write_all_at(&block.0, BLOCK as u64)?;
    content[BLOCK..2 * BLOCK].fill(b'x');
    for path in [&home, &third] {
        holds(path, &content)?;
    }
    // What somebody else has written since is read past all caches.
    if flag == libc::O_DIRECT {
        let other = File::options().write(true).open(&third)?;
        other.write_all_at(&[b'y'; BLOCK], 2 * BLOCK as u64)?;
        drop(other);
        content[2 * BLOCK..3 * BLOCK].fill(b'y');
    }
    for (index, expected) in content.chunks(BLOCK).enumerate() {
        file.read_exact_at(&mut block.0, (index * BLOCK) as u64)?;
        same_bytes("what is read", &block.0, expected)?;
    }
    Ok(())
}

/// Files that are removed, replaced, or were made without a name.
pub fn without_a_name(stage: &Stage<'_>) -> Result<()> {
    // tmpfs and ext4 have a suite of their own.
    if !matches!(stage.owner.name, "tmpfs" | "ext4") {
        removed_and_replaced(stage)?;
    }
    let flags = libc::O_TMPFILE | libc::O_RDWR;
    let made = open_with(&stage.there, flags);
    let able = stage.owner.unix;
    let Some(file) = stage.tries("O_TMPFILE", able, made, libc::EOPNOTSUPP)? else {
        return Ok(());
    };
    same("links", file.metadata()?.nlink(), 0)?;
    file.write_all_at(b"content", 0)?;
    file.sync_all()?;
    drop_caches()?;
    let [home, there, third] = stage.file("named");
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, open, CWD, &there, AtFlags::SYMLINK_FOLLOW)?;
    drop(file);
    for path in [&home, &there, &third] {
        holds(path, b"content")?;
    }
    let file = open_with(&stage.there, flags | libc::O_EXCL)?;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    let other = stage.there.join("other");
    let linked = linkat(CWD, open, CWD, &other, AtFlags::SYMLINK_FOLLOW);
    fails("a name", linked.map_err(Into::into), libc::ENOENT)
}

/// All at once, because it takes a while to store them.
fn removed_and_replaced(stage: &Stage<'_>) -> Result<()> {
    const SIZE: usize = 200_000;
    let by = ["the owner", "this device", "another device"];
    let content = Random::new(SIZE as u64).bytes(SIZE);
    let names = [
        ["removed 0", "removed 1", "removed 2"],
        ["old 0", "old 1", "old 2"],
    ];
    for name in names.as_flattened() {
        fs::write(stage.home.join(name), &content)?;
    }
    fs::write(stage.home.join("new"), "new")?;
    drop_caches()?;
    let mut open = Vec::new();
    for name in names.as_flattened() {
        open.push(writable(&stage.there.join(name))?);
    }
    for place in 0..by.len() {
        let folder = [&stage.home, &stage.there, &stage.third][place];
        let new = folder.join("new");
        fs::remove_file(folder.join(names[0][place])).context(by[place])?;
        fs::rename(&new, folder.join(names[1][place])).context(by[place])?;
        fs::write(new, "new")?;
    }
    drop_caches()?;
    let mut read = vec![0; SIZE];
    for (file, name) in open.iter().zip(names.as_flattened()) {
        // On FAT attributes are some seconds old.
        if stage.owner.unix {
            same(&format!("links of {name}"), file.metadata()?.nlink(), 0)?;
        }
        file.read_exact_at(&mut read, 0)?;
        same_bytes("what was not read before", &read, &content)?;
        file.write_all_at(b"written", 70_000)?;
        file.sync_all()?;
    }
    drop_caches()?;
    let mut content = content;
    content[70_000..70_007].copy_from_slice(b"written");
    for file in &open {
        file.read_exact_at(&mut read, 0)?;
        same_bytes("what was written", &read, &content)?;
    }
    for place in 0..by.len() {
        for path in stage.file(names[0][place]) {
            fails(by[place], File::open(path), libc::ENOENT)?;
        }
        for path in stage.file(names[1][place]) {
            holds(&path, b"new").context(by[place])?;
        }
    }
    Ok(())
}
