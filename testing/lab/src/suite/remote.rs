// SPDX-License-Identifier: MIT OR Apache-2.0

//! Another device's files: the same as at home, to the last byte, and read-only.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{symlink, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};
use rustix::fs::{openat, seek, statvfs, Mode, OFlags, RawDir, SeekFrom, CWD};

use crate::fleet::{Fleet, Plan};
use crate::manifest;
use crate::mapping::Mapping;
use crate::random::Random;
use crate::sample;
use crate::suite::support::{drop_caches, fails, same, same_bytes, same_file};
use crate::suite::{tests, Group};
use crate::tree;

/// A laptop that reads a tablet.
pub const GROUP: Group = Group {
    name: "remote",
    fleet: Some(prepare),
    seconds: 4,
    tests: tests![
        Fleet: shows_the_device,
        everything_is_as_at_home,
        both_ways_at_once,
        a_missing_name_is_enoent,
        nothing_can_be_changed,
        reading_past_the_end,
        memory_mappings,
        direct_reads,
        a_big_file_read_at_random_and_in_order,
        many_readers_at_once,
        a_big_directory_can_be_read_from_any_place,
        special_files_are_shown_and_cannot_be_opened,
        links_that_leave_the_device_are_not_followed,
        statfs_is_the_owners,
        executables_run,
    ],
};

fn prepare() -> Result<Fleet> {
    let fleet = Plan::new(&["laptop", "tablet"]).start()?;
    let random = &mut Random::new(20);
    for device in fleet.devices() {
        let export = device.export();
        sample::everything(&export, random)?;
        fs::create_dir(export.join("forest"))?;
        sample::forest(&export.join("forest"), 60, random)?;
    }
    Ok(fleet)
}

fn shows_the_device(fleet: &mut Fleet) -> Result<()> {
    let devices = fleet.device("laptop")?.mount_point().join("device_view");
    let names = tree::names(&devices)?;
    same("the devices", names, vec!["local".into(), "tablet".into()])?;
    fails(
        "another device",
        fs::metadata(devices.join("phone")),
        libc::ENOENT,
    )
}

fn everything_is_as_at_home(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    manifest::must_be_equal(&tablet.export(), &laptop.view("tablet"))?;
    // From the caches.
    manifest::must_be_equal(&tablet.export(), &laptop.view("tablet"))
}

/// Each serves the other while it waits for it.
fn both_ways_at_once(fleet: &mut Fleet) -> Result<()> {
    drop_caches()?;
    let views = [("laptop", "tablet"), ("tablet", "laptop")];
    let texts = tree::in_parallel(2, &views, |(viewer, owner)| {
        let home = fleet.device(owner)?.export().join("forest");
        let there = fleet.device(viewer)?.view(owner).join("forest");
        manifest::must_be_equal(&home, &there).map(|()| None)
    });
    ensure!(texts.is_empty(), "{}", texts.join("\n"));
    Ok(())
}

fn a_missing_name_is_enoent(fleet: &mut Fleet) -> Result<()> {
    let view = fleet.device("laptop")?.view("tablet");
    fails("stat", fs::metadata(view.join("nothing")), libc::ENOENT)?;
    fails("open", File::open(view.join("sizes/nothing")), libc::ENOENT)?;
    fails(
        "a path through it",
        File::open(view.join("nothing/x")),
        libc::ENOENT,
    )?;
    fails(
        "a path through a file",
        File::open(view.join("sizes/1/x")),
        libc::ENOTDIR,
    )?;
    let long = view.join("n".repeat(256));
    fails("a long name", fs::metadata(long), libc::ENAMETOOLONG)
}

/// Every change that a program may try, on a file, a directory and a link of `view`.
fn refuses_changes(view: &Path) -> Result<()> {
    let file = view.join("sizes/4096");
    let write = |options: &mut OpenOptions| options.open(&file).map(drop);
    let mut attempts: Vec<(&str, io::Result<()>)> = vec![
        ("open for writing", write(OpenOptions::new().write(true))),
        (
            "open for both",
            write(OpenOptions::new().read(true).write(true)),
        ),
        ("open for appending", write(OpenOptions::new().append(true))),
        (
            "truncate on open",
            write(OpenOptions::new().write(true).truncate(true)),
        ),
        ("create", File::create_new(view.join("made")).map(drop)),
        (
            "create deeper",
            File::create_new(view.join("empty/made")).map(drop),
        ),
        ("mkdir", fs::create_dir(view.join("made"))),
        ("symlink", symlink("x", view.join("made"))),
        ("link", fs::hard_link(&file, view.join("made"))),
        ("unlink", fs::remove_file(&file)),
        ("rmdir", fs::remove_dir(view.join("empty"))),
        ("rename", fs::rename(&file, view.join("made"))),
        ("rename over", fs::rename(&file, view.join("sizes/1"))),
        (
            "chmod",
            fs::set_permissions(&file, Permissions::from_mode(0o600)),
        ),
        ("chown", std::os::unix::fs::chown(&file, Some(1), None)),
    ];
    let now = std::time::SystemTime::now();
    let touched = File::open(&file).and_then(|file| file.set_modified(now));
    attempts.push(("utimes", touched));
    let flags = rustix::fs::XattrFlags::empty();
    let labelled = rustix::fs::setxattr(&file, "user.x", b"y", flags);
    attempts.push(("setxattr", labelled.map_err(Into::into)));
    for (what, result) in attempts {
        fails(what, result, libc::EROFS)?;
    }
    Ok(())
}

fn nothing_can_be_changed(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let before = tree::list(&tablet.export())?;
    refuses_changes(&laptop.view("tablet"))?;
    same("the tree at home", tree::list(&tablet.export())?, before)
}

fn reading_past_the_end(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?.view("tablet");
    for size in ["0", "1", "4095", "4096", "65537"] {
        let file = File::open(laptop.join("sizes").join(size))?;
        let size: u64 = size.parse()?;
        let mut buffer = vec![0xaa; 10_000];
        for offset in [size, size + 1, size + 4096, 1 << 40] {
            let what = format!("bytes at {offset} of {size}");
            same(&what, file.read_at(&mut buffer, offset)?, 0)?;
        }
        if size > 0 {
            same("the last byte", file.read_at(&mut buffer, size - 1)?, 1)?;
            same("beyond it", buffer[1], 0xaa)?;
        }
    }
    Ok(())
}

fn memory_mappings(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    drop_caches()?;
    for size in ["4097", "1048577"] {
        let home = fs::read(tablet.export().join("sizes").join(size))?;
        let file = File::open(laptop.view("tablet").join("sizes").join(size))?;
        let mapping = Mapping::of(&file, home.len(), false)?;
        drop(file);
        same_bytes("the mapping", &mapping.read(), &home)?;
    }
    Ok(())
}

fn direct_reads(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let home = fs::read(tablet.export().join("sizes/131072"))?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(laptop.view("tablet").join("sizes/131072"))
        .context("cannot open with O_DIRECT")?;
    let mut buffer = vec![0; 65_536 + 4096];
    let start = buffer.as_ptr().align_offset(4096);
    let aligned = &mut buffer[start..start + 65_536];
    for offset in [0, 65_536] {
        file.read_exact_at(aligned, offset as u64)?;
        same_bytes("read directly", aligned, &home[offset..offset + 65_536])?;
    }
    Ok(())
}

const BIG: usize = 64 << 20;

fn a_big_file_read_at_random_and_in_order(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let (home, there) = (
        tablet.export().join("big"),
        laptop.view("tablet").join("big"),
    );
    let mut random = Random::new(21);
    // Every page differs from every other one, by its number.
    let mut content = random.bytes(1 << 20).repeat(BIG >> 20);
    for (number, page) in content.chunks_exact_mut(4096).enumerate() {
        page[..8].copy_from_slice(&number.to_le_bytes());
    }
    fs::write(&home, &content)?;
    let file = File::open(&there)?;
    let mut buffer = vec![0; 100_000];
    for _ in 0..100 {
        let length = random.below(buffer.len() as u64) as usize + 1;
        let offset = random.below((BIG - length) as u64) as usize;
        file.read_exact_at(&mut buffer[..length], offset as u64)?;
        let expected = &content[offset..offset + length];
        same_bytes(&format!("at {offset}"), &buffer[..length], expected)?;
    }
    drop((file, content));
    drop_caches()?;
    same_file(&there, &home)?;
    fs::remove_file(&home)?;
    Ok(())
}

fn many_readers_at_once(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    drop_caches()?;
    // All want the same pages, in different orders.
    let readers: Vec<u64> = (0..16).collect();
    let home = fs::read(tablet.export().join("sizes/1310720"))?;
    let there = laptop.view("tablet").join("sizes/1310720");
    let texts = tree::in_parallel(readers.len(), &readers, |seed| {
        let mut random = Random::new(*seed);
        let file = File::open(&there)?;
        let mut buffer = vec![0; 30_000];
        for _ in 0..30 {
            let offset = random.below((home.len() - buffer.len()) as u64) as usize;
            file.read_exact_at(&mut buffer, offset as u64)?;
            let expected = &home[offset..offset + buffer.len()];
            same_bytes(&format!("at {offset}"), &buffer, expected)?;
        }
        Ok(None)
    });
    ensure!(texts.is_empty(), "{}", texts.join("\n"));
    Ok(())
}

/// The names of a directory as the kernel gives them, each with the place after it.
pub fn entries(directory: &File, from: u64) -> Result<Vec<(Vec<u8>, u64)>> {
    seek(directory, SeekFrom::Start(from))?;
    let mut buffer = Vec::with_capacity(4096);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        found.push((name.to_vec(), entry.next_entry_cookie()));
    }
    Ok(found)
}

fn a_big_directory_can_be_read_from_any_place(fleet: &mut Fleet) -> Result<()> {
    const COUNT: usize = 5_000;
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let home = tablet.export().join("many");
    fs::create_dir(&home)?;
    for number in 0..COUNT {
        File::create_new(home.join(format!("one of many files, number {number:05}")))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let path = laptop.view("tablet").join("many");
    let directory = File::from(openat(CWD, &path, flags, Mode::empty())?);
    let all = entries(&directory, 0)?;
    let distinct: BTreeSet<_> = all.iter().map(|(name, _)| name).collect();
    same("names", all.len(), COUNT + 2)?;
    same("different names", distinct.len(), COUNT + 2)?;
    for index in [1, 2_500, 4_998, COUNT] {
        let rest = entries(&directory, all[index].1)?;
        let names = |list: &[(Vec<u8>, u64)]| -> Vec<Vec<u8>> {
            list.iter().map(|(name, _)| name.clone()).collect()
        };
        ensure!(
            names(&rest) == names(&all[index + 1..]),
            "another listing from place {index} on: {} names",
            rest.len()
        );
    }
    fs::remove_dir_all(&home)?;
    Ok(())
}

fn special_files_are_shown_and_cannot_be_opened(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let home = tablet.export();
    let mode = Mode::from_raw_mode(0o666);
    let null = rustix::fs::makedev(1, 3);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(CWD, home.join("pipe"), fifo, mode, 0)?;
    let character = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(CWD, home.join("null"), character, mode, null)?;
    for name in ["pipe", "null"] {
        let path = laptop.view("tablet").join(name);
        ensure!(
            tree::is_special(&path)?,
            "{name} is shown as something else"
        );
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path);
        ensure!(opened.is_err(), "{name} of another device was opened");
        fs::remove_file(home.join(name))?;
    }
    Ok(())
}

/// A link of a peer must not lead into the viewer's own files.
fn links_that_leave_the_device_are_not_followed(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let home = tablet.export();
    symlink("/etc/passwd", home.join("absolute"))?;
    symlink("../../../../../etc/passwd", home.join("climbing"))?;
    symlink("/proc/self/mounts", home.join("magic"))?;
    let view = laptop.view("tablet");
    for name in ["absolute", "climbing", "magic"] {
        let target = fs::read_link(home.join(name))?;
        same("the target", fs::read_link(view.join(name))?, target)?;
        ensure!(
            fs::read(view.join(name)).is_err(),
            "the link {name} led out of the tablet's tree"
        );
        fs::remove_file(home.join(name))?;
    }
    let inside = fs::read(view.join("links/to a file"))?;
    same_bytes("the file", &inside, &fs::read(home.join("sizes/4096"))?)
}

fn statfs_is_the_owners(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let home = statvfs(tablet.export())?;
    let there = statvfs(laptop.view("tablet"))?;
    let bytes = |stat: &rustix::fs::StatVfs| stat.f_blocks * stat.f_frsize;
    same("bytes in all", bytes(&there), bytes(&home))?;
    same("longest name", there.f_namemax, home.f_namemax)
}

fn executables_run(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let home = tablet.export().join("program");
    fs::write(&home, "#!/bin/sh\necho \"from afar: $1\"\n")?;
    fs::set_permissions(&home, Permissions::from_mode(0o755))?;
    let output = Command::new(laptop.view("tablet").join("program"))
        .arg("hello")
        .output()
        .context("cannot run a program of the tablet")?;
    fs::remove_file(&home)?;
    same("its output", output.stdout, b"from afar: hello\n".to_vec())
}
