// SPDX-License-Identifier: MIT OR Apache-2.0

//! `device_view/local`: the lower file system, with all that it can do.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{symlink, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};

use anyhow::{ensure, Context, Result};
use rustix::fs::{getxattr, listxattr, removexattr, setxattr, XattrFlags};

use crate::fleet::{Fleet, Plan};
use crate::manifest;
use crate::mapping::Mapping;
use crate::random::Random;
use crate::sample;
use crate::storage::Storage;
use crate::suite::support::{fails, holds, same, same_bytes};
use crate::suite::{tests, Group};
use crate::tree;

/// One device without peers, its tree in memory.
pub const GROUP: Group = Group {
    name: "local",
    fleet: Some(|| Plan::new(&["laptop"]).build()),
    seconds: 1,
    tests: tests![
        Fleet: shows_what_is_exported,
        changes_beneath_are_seen_at_once,
        files_are_made_written_and_removed,
        names_are_changed,
        attributes_are_changed,
        hard_links_share_an_inode,
        extended_attributes,
        memory_mappings_share_the_page_cache,
        mappings_have_the_name_that_was_opened,
        direct_io,
        files_grow_and_shrink,
        open_files_survive_their_removal,
        files_removed_beneath_take_no_space,
        errors_are_those_of_the_lower_file_system,
        statfs_is_the_lower_one,
        big_directories_are_listed_completely,
    ],
};

/// The same on the file systems that people have.
pub const LOWER: Group = Group {
    name: "lower",
    fleet: None,
    seconds: 7,
    tests: tests![Alone: ext4, xfs, btrfs, vfat],
};

fn shows_what_is_exported(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (below, above) = (laptop.export().join("tree"), laptop.local().join("tree"));
    fs::create_dir(&below)?;
    sample::everything(&below, &mut Random::new(2))?;
    manifest::must_be_equal(&below, &above)?;
    fs::remove_dir_all(&above)?;
    ensure!(!below.exists(), "removed above and still there below");
    Ok(())
}

fn changes_beneath_are_seen_at_once(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (below, above) = (laptop.export().join("news"), laptop.local().join("news"));
    fails("reading nothing", fs::read(&above), libc::ENOENT)?;
    fs::write(&below, "one")?;
    holds(&above, b"one")?;
    let open = File::open(&above)?;
    fs::write(&below, "three")?;
    let mut buffer = [0; 5];
    open.read_exact_at(&mut buffer, 0)?;
    same("through the open file", &buffer, b"three")?;
    same("size", open.metadata()?.len(), 5)?;
    fs::rename(&below, laptop.export().join("olds"))?;
    fails("reading it", fs::read(&above), libc::ENOENT)?;
    holds(&laptop.local().join("olds"), b"three")?;
    fs::remove_file(laptop.export().join("olds"))?;
    ensure!(!tree::shows(&laptop.local(), "olds")?, "still listed");
    Ok(())
}

fn files_are_made_written_and_removed(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (below, above) = (laptop.export().join("made"), laptop.local().join("made"));
    let content = Random::new(3).bytes(300_000);
    fs::write(&above, &content)?;
    holds(&below, &content)?;
    let mut file = OpenOptions::new().append(true).open(&above)?;
    file.write_all(b"more")?;
    file.sync_all()?;
    same("size below", fs::metadata(&below)?.len(), 300_004)?;
    same("size above", fs::metadata(&above)?.len(), 300_004)?;
    let exclusive = OpenOptions::new().write(true).create_new(true).open(&above);
    fails("making it again", exclusive, libc::EEXIST)?;
    fs::remove_file(&above)?;
    ensure!(!below.exists(), "still there below");
    Ok(())
}

fn names_are_changed(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (below, above) = (laptop.export(), laptop.local());
    fs::create_dir_all(above.join("a/b"))?;
    ensure!(
        below.join("a/b").is_dir(),
        "the directories are missing below"
    );
    fs::write(above.join("a/file"), "1")?;
    fs::write(above.join("a/b/over"), "2")?;
    fs::rename(above.join("a/file"), above.join("a/b/over"))?;
    holds(&below.join("a/b/over"), b"1")?;
    fs::rename(above.join("a/b"), above.join("c"))?;
    holds(&above.join("c/over"), b"1")?;
    symlink("c/over", above.join("link"))?;
    holds(&above.join("link"), b"1")?;
    same(
        "the target below",
        fs::read_link(below.join("link"))?,
        "c/over".into(),
    )?;
    fails(
        "removing a full directory",
        fs::remove_dir(above.join("c")),
        libc::ENOTEMPTY,
    )?;
    for name in ["a", "c"] {
        fs::remove_dir_all(above.join(name))?;
    }
    fs::remove_file(above.join("link"))?;
    same("what is left", tree::names(&below)?, vec![])
}

fn attributes_are_changed(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (below, above) = (laptop.export().join("file"), laptop.local().join("file"));
    sample::file(&above, b"x", 0o600, &mut Random::new(4))?;
    same(
        "attributes",
        tree::Entry::of(&above)?,
        tree::Entry::of(&below)?,
    )?;
    fs::set_permissions(&above, Permissions::from_mode(0o2751))?;
    same("mode below", fs::metadata(&below)?.mode() & 0o7777, 0o2751)?;
    std::os::unix::fs::chown(&above, Some(1000), Some(1001))?;
    let metadata = fs::metadata(&below)?;
    same(
        "owner below",
        (metadata.uid(), metadata.gid()),
        (1000, 1001),
    )?;
    let metadata = fs::metadata(&above)?;
    same(
        "owner above",
        (metadata.uid(), metadata.gid()),
        (1000, 1001),
    )?;
    fs::remove_file(&above)?;
    Ok(())
}

fn hard_links_share_an_inode(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (one, two) = (laptop.local().join("one"), laptop.local().join("two"));
    fs::write(&one, "same")?;
    fs::hard_link(&one, &two)?;
    let (first, second) = (fs::metadata(&one)?, fs::metadata(&two)?);
    same("inode numbers", first.ino(), second.ino())?;
    same("link count", second.nlink(), 2)?;
    fs::write(&two, "changed")?;
    holds(&one, b"changed")?;
    fs::remove_file(&two)?;
    same("link count", fs::metadata(&one)?.nlink(), 1)?;
    fs::remove_file(&one)?;
    Ok(())
}

fn extended_attributes(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (below, above) = (laptop.export().join("file"), laptop.local().join("file"));
    fs::write(&above, "")?;
    setxattr(&above, "user.colour", b"blue", XattrFlags::CREATE)?;
    let mut value = [0; 16];
    for path in [&below, &above] {
        let length = getxattr(path, "user.colour", &mut value)?;
        same("the value", &value[..length], b"blue".as_slice())?;
    }
    let mut names = vec![0; 1024];
    let length = listxattr(&above, &mut names)?;
    let listed = names[..length]
        .split(|byte| *byte == 0)
        .any(|name| name == b"user.colour");
    ensure!(listed, "the attribute is not listed");
    removexattr(&above, "user.colour")?;
    let gone = getxattr(&below, "user.colour", &mut value);
    fails("reading it then", gone.map_err(Into::into), libc::ENODATA)?;
    fs::remove_file(&above)?;
    Ok(())
}

fn memory_mappings_share_the_page_cache(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (below, above) = (laptop.export().join("map"), laptop.local().join("map"));
    let content = Random::new(5).bytes(10_000);
    fs::write(&above, &content)?;
    let file = OpenOptions::new().read(true).write(true).open(&above)?;
    let mapping = Mapping::of(&file, content.len(), true)?;
    drop(file);
    same_bytes("the mapping", &mapping.read(), &content)?;
    mapping.write(5_000, b"mapped")?;
    let lower = OpenOptions::new().read(true).write(true).open(&below)?;
    let mut buffer = [0; 6];
    lower.read_exact_at(&mut buffer, 5_000)?;
    same("what was stored, below", &buffer, b"mapped")?;
    lower.write_all_at(b"below!", 9_000)?;
    same_bytes(
        "what was written below",
        &mapping.read()[9_000..9_006],
        b"below!",
    )?;
    mapping.sync()?;
    drop(mapping);
    fs::remove_file(&above)?;
    Ok(())
}

fn mappings_have_the_name_that_was_opened(fleet: &mut Fleet) -> Result<()> {
    let above = fleet.device("laptop")?.local().join("mapped file");
    fs::write(&above, vec![7; 10_000])?;
    for writable in [false, true] {
        let file = OpenOptions::new().read(true).write(writable).open(&above)?;
        let mappings = [
            Mapping::of(&file, 4_096, writable)?,
            Mapping::of(&file, 10_000, writable)?,
        ];
        let ino = file.metadata()?.ino();
        drop(file);
        let maps = fs::read_to_string("/proc/self/maps")?;
        let end = format!(" {ino} ");
        let ours = maps
            .lines()
            .filter(|line| line.contains(&end) && line.ends_with(&*above.to_string_lossy()));
        same("mappings of that name", ours.count(), mappings.len())?;
    }
    fs::remove_file(&above)?;
    Ok(())
}

fn direct_io(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let above = laptop.local().join("direct");
    let content = Random::new(6).bytes(1 << 16);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .custom_flags(libc::O_DIRECT)
        .open(&above)
        .context("cannot open with O_DIRECT")?;
    let mut buffer = vec![0; content.len() + 4096];
    let start = buffer.as_ptr().align_offset(4096);
    let aligned = &mut buffer[start..start + content.len()];
    aligned.copy_from_slice(&content);
    file.write_all_at(aligned, 0)?;
    aligned.fill(0);
    file.read_exact_at(aligned, 0)?;
    same_bytes("read directly", aligned, &content)?;
    holds(&laptop.export().join("direct"), &content)?;
    fs::remove_file(&above)?;
    Ok(())
}

fn files_grow_and_shrink(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (below, above) = (laptop.export().join("size"), laptop.local().join("size"));
    let mut file = File::create_new(&above)?;
    file.write_all(&[7; 10_000])?;
    file.set_len(5_000)?;
    same("size below", fs::metadata(&below)?.len(), 5_000)?;
    file.set_len(1 << 20)?;
    file.seek(SeekFrom::Start(1 << 21))?;
    file.write_all(b"end")?;
    let mut expected = vec![7; 5_000];
    expected.resize(1 << 21, 0);
    expected.extend(b"end");
    holds(&above, &expected)?;
    holds(&below, &expected)?;
    drop(OpenOptions::new().write(true).truncate(true).open(&above)?);
    same("size", fs::metadata(&above)?.len(), 0)?;
    fs::remove_file(&above)?;
    Ok(())
}

fn open_files_survive_their_removal(fleet: &mut Fleet) -> Result<()> {
    let above = fleet.device("laptop")?.local().join("gone");
    fs::write(&above, "still here")?;
    let file = OpenOptions::new().read(true).write(true).open(&above)?;
    fs::remove_file(&above)?;
    let mut buffer = [0; 10];
    file.read_exact_at(&mut buffer, 0)?;
    same("content", &buffer, b"still here")?;
    file.write_all_at(b"STILL", 0)?;
    same("links", file.metadata()?.nlink(), 0)
}

fn files_removed_beneath_take_no_space(fleet: &mut Fleet) -> Result<()> {
    const SIZE: usize = 4 << 20;
    let laptop = fleet.device("laptop")?;
    let below = laptop.export().join("big");
    let free = || -> Result<u64> {
        let space = rustix::fs::statvfs(laptop.export())?;
        Ok(space.f_bfree * space.f_frsize)
    };
    for above in [laptop.local().join("big"), laptop.merged().join("big")] {
        let before = free()?;
        // Of one of its names, or the other, the view knows nothing when it goes.
        for (is_open, is_linked) in [(false, false), (true, false), (false, true), (true, true)] {
            fs::write(&below, vec![1; SIZE])?;
            let file = is_open.then(|| File::open(&above)).transpose()?;
            fs::metadata(&above)?;
            if is_linked {
                fs::hard_link(&below, laptop.export().join("other"))?;
                fs::metadata(above.with_file_name("other"))?;
                fs::remove_file(laptop.export().join("other"))?;
            }
            fs::remove_file(&below)?;
            if let Some(file) = file {
                ensure!(free()? + SIZE as u64 / 2 < before, "an open file is gone");
                drop(file);
            }
            ensure!(
                free()? + SIZE as u64 / 2 > before,
                "the space of {} is not free (open: {is_open}, linked: {is_linked})",
                above.display()
            );
        }
    }
    Ok(())
}

fn errors_are_those_of_the_lower_file_system(fleet: &mut Fleet) -> Result<()> {
    let above = fleet.device("laptop")?.local();
    fails(
        "a long name",
        fs::write(above.join("n".repeat(256)), ""),
        libc::ENAMETOOLONG,
    )?;
    fs::write(above.join("file"), "")?;
    fails(
        "a file as directory",
        fs::read(above.join("file/x")),
        libc::ENOTDIR,
    )?;
    fails(
        "mkdir over a file",
        fs::create_dir(above.join("file")),
        libc::EEXIST,
    )?;
    fails(
        "rmdir of a file",
        fs::remove_dir(above.join("file")),
        libc::ENOTDIR,
    )?;
    fs::remove_file(above.join("file"))?;
    let outside = fs::rename(above.join("missing"), above.join("other"));
    fails("renaming nothing", outside, libc::ENOENT)
}

fn statfs_is_the_lower_one(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let below = rustix::fs::statvfs(laptop.export())?;
    let above = rustix::fs::statvfs(laptop.local())?;
    same("block size", above.f_bsize, below.f_bsize)?;
    same("blocks", above.f_blocks, below.f_blocks)?;
    same("longest name", above.f_namemax, below.f_namemax)
}

fn big_directories_are_listed_completely(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let (below, above) = (laptop.export().join("big"), laptop.local().join("big"));
    fs::create_dir(&below)?;
    for number in 0..1_000 {
        File::create_new(below.join(format!("entry number {number}")))?;
    }
    same("the names", tree::names(&above)?, tree::names(&below)?)?;
    fs::remove_dir_all(&above)?;
    Ok(())
}

/// The essentials above another lower file system.
fn essentials(fstype: &'static str, mib: u32, posix: bool) -> Result<()> {
    crate::module::ensure_loaded()?;
    let plan = Plan::with_storage(vec![("laptop", Storage::Image(fstype, mib))]);
    let mut fleet = plan.build()?;
    let export = fleet.device("laptop")?.export();
    let lost = export.join("lost+found");
    if lost.exists() {
        fs::remove_dir(lost)?;
    }
    changes_beneath_are_seen_at_once(&mut fleet)?;
    files_are_made_written_and_removed(&mut fleet)?;
    files_grow_and_shrink(&mut fleet)?;
    memory_mappings_share_the_page_cache(&mut fleet)?;
    direct_io(&mut fleet)?;
    statfs_is_the_lower_one(&mut fleet)?;
    if posix {
        shows_what_is_exported(&mut fleet)?;
        names_are_changed(&mut fleet)?;
        attributes_are_changed(&mut fleet)?;
        hard_links_share_an_inode(&mut fleet)?;
        extended_attributes(&mut fleet)?;
        open_files_survive_their_removal(&mut fleet)?;
    }
    fleet.close()
}

fn ext4() -> Result<()> {
    essentials("ext4", 64, true)
}

fn xfs() -> Result<()> {
    essentials("xfs", 320, true)
}

fn btrfs() -> Result<()> {
    essentials("btrfs", 160, true)
}

fn vfat() -> Result<()> {
    essentials("vfat", 64, false)
}
