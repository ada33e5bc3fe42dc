// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mounting one directory of one device by itself: `mount -t hmdfs DEVICE:/PATH DIR`.

use std::fs::{self, File};
use std::os::unix::fs::{symlink, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{anyhow, bail, ensure, Context, Result};
use rustix::io::Errno;

use crate::device::Device;
use crate::fleet::{wait_for_state, Fleet, Plan};
use crate::fsmount::{self, Refused};
use crate::process;
use crate::suite::support::{fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::{self, PATIENCE};

/// Three devices, of which the laptop mounts directories.
pub const GROUP: Group = Group {
    name: "mount_sources",
    fleet: Some(prepare),
    seconds: 4,
    tests: tests![
        Fleet: a_directory_of_a_device,
        it_shares_inodes_and_caches_with_the_views,
        all_of_a_device,
        the_own_device,
        the_merged_tree,
        devices_come_and_go_in_the_merged_tree,
        several_at_once,
        as_fstab_has_it,
        reading_only_is_for_one_mount,
        an_unknown_device_is_refused,
        a_path_that_does_not_exist_is_refused,
        a_file_is_refused,
        dots_are_refused,
        links_are_followed_inside_the_device_only,
        a_device_that_is_away_is_refused,
        it_is_as_away_as_its_device,
        what_is_mounted_on_top_outlives_an_outage,
        without_exporting_anything,
        exporting_afterwards,
        nobody_is_there,
    ],
};

fn prepare() -> Result<Fleet> {
    let fleet = Plan::new(&["laptop", "tablet", "phone"])
        .policy("tablet", "laptop", "write", 4)
        .start()?;
    for device in fleet.devices() {
        let music = device.export().join("music");
        fs::create_dir_all(music.join("albums"))?;
        fs::write(music.join("albums/owner"), device.name())?;
        fs::write(music.join(format!("of {}", device.name())), device.name())?;
        fs::write(device.export().join("file"), "no directory")?;
        symlink("albums", music.join("inside"))?;
        symlink("../../..", music.join("above"))?;
        symlink("/music", music.join("absolute"))?;
    }
    Ok(fleet)
}

/// Something that is mounted, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(device: &Device, source: &str, name: &str) -> Result<Self> {
        Self::with_options(device, &[("source", Some(source))], name)
    }

    fn with_options(device: &Device, options: &[(&str, Option<&str>)], name: &str) -> Result<Self> {
        let target = target(device, name)?;
        device.enter(|| Ok(fsmount::mount("hmdfs", options, &target)?))?;
        Ok(Self(target))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn umount(self) -> Result<()> {
        let path = self.0.clone();
        std::mem::forget(self);
        fsmount::umount(&path).with_context(|| format!("cannot unmount {}", path.display()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = fsmount::detach(&self.0);
    }
}

fn target(device: &Device, name: &str) -> Result<PathBuf> {
    let target = device.mount_point().with_file_name(format!("on {name}"));
    fs::create_dir_all(&target)?;
    Ok(target)
}

fn refused(device: &Device, source: &str) -> Result<Refused> {
    let target = target(device, "refused")?;
    let result = device.enter(|| Ok(fsmount::mount_source("hmdfs", source, &target)))?;
    match result {
        Err(refused) => Ok(refused),
        Ok(()) => {
            fsmount::umount(&target)?;
            bail!("mounting {source} was not refused")
        }
    }
}

fn because(refused: &Refused, errno: Errno, texts: &[&str]) -> Result<()> {
    same("the error", refused.errno, errno)?;
    for text in texts {
        ensure!(
            refused.says(text),
            "the message does not say {text:?}: {refused}"
        );
    }
    Ok(())
}

/// The source and the options of what is mounted there.
fn in_the_table(path: &Path) -> Result<(String, String)> {
    let table = fs::read_to_string("/proc/self/mounts")?;
    let name = path.to_string_lossy().replace(' ', "\\040");
    let line = table
        .lines()
        .find(|line| line.split(' ').nth(1) == Some(&name))
        .ok_or_else(|| anyhow!("{} is not in /proc/self/mounts", path.display()))?;
    let fields: Vec<&str> = line.split(' ').collect();
    Ok((fields[0].replace("\\040", " "), fields[3].to_owned()))
}

fn a_directory_of_a_device(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let music = Mounted::new(laptop, "tablet:/music", "music")?;
    same(
        "the names",
        tree::names(music.path())?,
        ["above", "absolute", "albums", "inside", "of tablet"]
            .map(Into::into)
            .to_vec(),
    )?;
    holds(&music.path().join("albums/owner"), b"tablet")?;
    same(
        "the source",
        in_the_table(music.path())?.0.as_str(),
        "tablet:/music",
    )?;
    let tablet = rustix::fs::statfs(fleet.device("tablet")?.export())?;
    let here = rustix::fs::statfs(music.path())?;
    same("the blocks", here.f_blocks, tablet.f_blocks)?;
    same(
        "the parent of the root",
        music.path().join("albums/..").canonicalize()?,
        music.path().into(),
    )?;
    music.umount()
}

fn it_shares_inodes_and_caches_with_the_views(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let view = laptop.view("tablet").join("music");
    let music = Mounted::new(laptop, "tablet:/music/", "music")?;
    for name in [".", "albums", "of tablet"] {
        let (one, other) = (
            fs::metadata(view.join(name))?,
            fs::metadata(music.path().join(name))?,
        );
        same("the device", other.dev(), one.dev())?;
        same("the inode", other.ino(), one.ino())?;
    }
    // What is not with its owner yet is seen through both.
    let written = File::create(music.path().join("new"))?;
    std::io::Write::write_all(&mut &written, b"not closed")?;
    holds(&view.join("new"), b"not closed")?;
    drop(written);
    holds(
        &fleet.device("tablet")?.export().join("music/new"),
        b"not closed",
    )?;
    fs::rename(view.join("new"), view.join("renamed"))?;
    holds(&music.path().join("renamed"), b"not closed")?;
    fs::remove_file(music.path().join("renamed"))?;
    ensure!(!view.join("renamed").exists(), "it is still in the view");
    music.umount()
}

fn all_of_a_device(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let tablet = Mounted::new(laptop, "tablet:/", "tablet")?;
    same(
        "the names",
        tree::names(tablet.path())?,
        tree::names(&laptop.view("tablet"))?,
    )?;
    tablet.umount()
}

fn the_own_device(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let local = Mounted::new(laptop, "local:/music", "local")?;
    holds(&local.path().join("of laptop"), b"laptop")?;
    fs::write(laptop.export().join("music/fresh"), "seen at once")?;
    holds(&local.path().join("fresh"), b"seen at once")?;
    fs::remove_file(local.path().join("fresh"))?;
    ensure!(!laptop.export().join("music/fresh").exists(), "not removed");
    local.umount()
}

fn the_merged_tree(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    for (source, path) in [("merge:/", "music"), ("merge:/music", "")] {
        let merged = Mounted::new(laptop, source, "merged")?;
        for device in ["laptop", "tablet", "phone"] {
            let file = merged.path().join(path).join(format!("of {device}"));
            holds(&file, device.as_bytes())?;
        }
        same(
            "the source",
            in_the_table(merged.path())?.0.as_str(),
            source,
        )?;
        merged.umount()?;
    }
    Ok(())
}

fn devices_come_and_go_in_the_merged_tree(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let shows_tablet = |mounted: &Mounted, expected: bool| -> Result<()> {
        let name = "of tablet";
        let listed = tree::names(mounted.path())?
            .iter()
            .any(|found| found == name);
        same("listed", listed, expected)?;
        same("found", mounted.path().join(name).exists(), expected)
    };
    let mut music = None;
    without_the_tablet(fleet, || {
        let mounted = Mounted::new(laptop, "merge:/music", "merged")?;
        shows_tablet(&mounted, false)?;
        music = Some(mounted);
        Ok(())
    })?;
    let music = music.context("not mounted")?;
    shows_tablet(&music, true)?;
    without_the_tablet(fleet, || shows_tablet(&music, false))?;
    shows_tablet(&music, true)?;
    music.umount()
}

fn several_at_once(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let one = Mounted::new(laptop, "tablet:/music", "one")?;
    let other = Mounted::new(laptop, "tablet:/music/albums", "other")?;
    let third = Mounted::new(laptop, "phone:/music", "third")?;
    one.umount()?;
    holds(&other.path().join("owner"), b"tablet")?;
    holds(&third.path().join("of phone"), b"phone")?;
    other.umount()?;
    holds(&third.path().join("of phone"), b"phone")?;
    third.umount()?;
    holds(&laptop.view("tablet").join("music/of tablet"), b"tablet")
}

/// With mount(8), from a table of its own, and what only mount(8) understands.
fn as_fstab_has_it(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let target = laptop.mount_point().with_file_name("photos");
    fs::create_dir_all(&target)?;
    let table = laptop.mount_point().with_file_name("fstab");
    fs::write(
        &table,
        format!(
            "tablet:/music/albums {} hmdfs _netdev,nofail,noatime 0 0\n",
            target.display()
        ),
    )?;
    let output = laptop.enter(|| {
        let mut mount = Command::new("mount");
        mount.arg("-T").arg(&table).arg(&target);
        process::output(&mut mount, "", process::HELPER_LIMIT)
    })?;
    ensure!(output.status.success(), "mount: {}", output.stderr);
    let mounted = Mounted(target);
    holds(&mounted.path().join("owner"), b"tablet")?;
    let (source, options) = in_the_table(mounted.path())?;
    same("the source", source.as_str(), "tablet:/music/albums")?;
    ensure!(
        options.split(',').any(|option| option == "noatime"),
        "the options: {options}"
    );
    mounted.umount()
}

fn reading_only_is_for_one_mount(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let target = target(laptop, "read only")?;
    laptop.enter(|| {
        Ok(rustix::mount::mount(
            "tablet:/music",
            &target,
            "hmdfs",
            rustix::mount::MountFlags::RDONLY,
            None,
        )?)
    })?;
    let mounted = Mounted(target);
    fails(
        "writing",
        fs::write(mounted.path().join("new"), ""),
        libc::EROFS,
    )?;
    let other = laptop.view("tablet").join("music/new");
    fs::write(&other, "")?;
    fs::remove_file(&other)?;
    mounted.umount()
}

fn an_unknown_device_is_refused(fleet: &mut Fleet) -> Result<()> {
    let refused = refused(fleet.device("laptop")?, "watch:/music")?;
    because(&refused, Errno::NXIO, &["'watch'", "'tablet'", "'phone'"])
}

fn a_path_that_does_not_exist_is_refused(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    for source in ["tablet:/films", "local:/films", "merge:/films"] {
        because(
            &refused(laptop, source)?,
            Errno::NOENT,
            &["/films", "exist"],
        )?;
    }
    Ok(())
}

fn a_file_is_refused(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    for source in ["tablet:/file", "tablet:/file/below", "local:/file"] {
        because(&refused(laptop, source)?, Errno::NOTDIR, &["/file"])?;
    }
    Ok(())
}

fn dots_are_refused(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    for source in ["tablet:/..", "tablet:/music/../music", "local:/../etc"] {
        because(&refused(laptop, source)?, Errno::INVAL, &["'..'"])?;
    }
    Ok(())
}

fn links_are_followed_inside_the_device_only(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    for name in ["tablet", "local"] {
        let inside = Mounted::new(laptop, &format!("{name}:/music/inside"), "inside")?;
        let owner = if name == "local" { "laptop" } else { name };
        holds(&inside.path().join("owner"), owner.as_bytes())?;
        inside.umount()?;
        for link in ["above", "absolute"] {
            let refused = refused(laptop, &format!("{name}:/music/{link}"))?;
            ensure!(
                [Errno::XDEV, Errno::ACCESS].contains(&refused.errno),
                "{refused}"
            );
            ensure!(refused.says("link"), "the message: {refused}");
        }
    }
    Ok(())
}

/// Runs `work` while the tablet's cable is pulled and the laptop knows it.
fn without_the_tablet(fleet: &Fleet, work: impl FnOnce() -> Result<()>) -> Result<()> {
    fleet.cut("tablet")?;
    let result =
        wait_for_state(fleet.device("laptop")?, "tablet", false, PATIENCE).and_then(|_| work());
    fleet.join("tablet")?;
    fleet.wait_online(PATIENCE)?;
    result
}

fn a_device_that_is_away_is_refused(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    without_the_tablet(fleet, || {
        because(
            &refused(laptop, "tablet:/music")?,
            Errno::HOSTDOWN,
            &["'tablet'", "away"],
        )
    })?;
    Mounted::new(laptop, "tablet:/music", "music")?.umount()
}

fn it_is_as_away_as_its_device(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let music = Mounted::new(laptop, "tablet:/music", "music")?;
    let all = Mounted::new(laptop, "tablet:/", "all")?;
    let phone = Mounted::new(laptop, "phone:/music", "phone")?;
    without_the_tablet(fleet, || {
        for path in [music.path().into(), all.path().join("music")] {
            fails("stat", fs::metadata(path.join("of tablet")), libc::ENOTCONN)?;
            fails(
                "a listing",
                fs::read_dir(&path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>),
                libc::ENOTCONN,
            )?;
            fails(
                "making a file",
                fs::write(path.join("new"), ""),
                libc::ENOTCONN,
            )?;
        }
        fails(
            "stat of the root",
            fs::metadata(music.path()),
            libc::ENOTCONN,
        )?;
        // A walk through the views meets the same directories.
        ensure!(
            !laptop.view("tablet").join("music").exists(),
            "still in the view"
        );
        holds(&phone.path().join("of phone"), b"phone")
    })?;
    holds(&music.path().join("albums/owner"), b"tablet")?;
    holds(&all.path().join("music/albums/owner"), b"tablet")?;
    same(
        "the directory",
        fs::metadata(music.path())?.ino(),
        fs::metadata(laptop.view("tablet").join("music"))?.ino(),
    )?;
    // Its root has not become a deleted directory.
    let here = process::run(
        "sh",
        &[
            "-c",
            &format!("cd '{}' && /usr/bin/env pwd -P", music.path().display()),
        ],
    )?;
    same(
        "the working directory",
        Path::new(here.trim()),
        music.path(),
    )?;
    for mounted in [music, all, phone] {
        mounted.umount()?;
    }
    Ok(())
}

fn what_is_mounted_on_top_outlives_an_outage(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    let below = laptop.view("tablet").join("music/albums");
    rustix::mount::mount(
        "tmpfs",
        &below,
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        None,
    )?;
    let mounted = Mounted(below);
    fs::write(mounted.path().join("mark"), "tmpfs")?;
    without_the_tablet(fleet, || {
        ensure!(!laptop.view("tablet").exists(), "still in the view");
        Ok(())
    })?;
    holds(&mounted.path().join("mark"), b"tmpfs")?;
    mounted.umount()
}

fn without_exporting_anything(fleet: &mut Fleet) -> Result<()> {
    fleet.device_mut("laptop")?.umount()?;
    let result = (|| {
        let laptop = fleet.device("laptop")?;
        // The daemon has to learn of it first, and to make the links.
        let music = Mounted::new(laptop, "tablet:/music", "music")?;
        holds(&music.path().join("albums/owner"), b"tablet")?;
        let merged = Mounted::new(laptop, "merge:/music", "merged")?;
        holds(&merged.path().join("of tablet"), b"tablet")?;
        ensure!(!merged.path().join("of laptop").exists(), "it exports");
        because(
            &refused(laptop, "local:/")?,
            Errno::NXIO,
            &["'local'", "exports nothing"],
        )?;
        // The other devices see that it is there, and that it shows nothing.
        let tablet = fleet.device("tablet")?;
        wait_for_state(tablet, "laptop", true, PATIENCE)?;
        fails(
            "what is not exported",
            fs::metadata(tablet.view("laptop").join("music")),
            libc::ENODEV,
        )?;
        rustix::fs::statfs(merged.path())?;
        merged.umount()?;
        music.umount()
    })();
    fleet.device_mut("laptop")?.mount()?;
    fleet.wait_online(PATIENCE)?;
    result
}

fn exporting_afterwards(fleet: &mut Fleet) -> Result<()> {
    fleet.device_mut("laptop")?.umount()?;
    let result = (|| {
        let music = Mounted::new(fleet.device("laptop")?, "tablet:/music", "music")?;
        let merged = Mounted::new(fleet.device("laptop")?, "merge:/", "merged")?;
        fleet.device_mut("laptop")?.mount()?;
        let laptop = fleet.device("laptop")?;
        holds(&laptop.local().join("music/of laptop"), b"laptop")?;
        holds(&laptop.merged().join("music/of laptop"), b"laptop")?;
        let tablet = fleet.device("tablet")?;
        wait::until("the laptop's files to be served", PATIENCE, || {
            Ok(fs::read(tablet.view("laptop").join("music/of laptop"))? == b"laptop")
        })?;
        // The export lives on as long as anything is mounted.
        fleet.device_mut("laptop")?.umount()?;
        holds(&music.path().join("of tablet"), b"tablet")?;
        merged.umount()?;
        music.umount()
    })();
    fleet.device_mut("laptop")?.mount()?;
    fleet.wait_online(PATIENCE)?;
    result
}

/// Without a daemon, a mount that waits for a device ends by itself, or when it is killed.
fn nobody_is_there(fleet: &mut Fleet) -> Result<()> {
    fleet.device_mut("laptop")?.umount()?;
    fleet.device_mut("laptop")?.stop()?;
    let result = (|| {
        let laptop = fleet.device("laptop")?;
        because(
            &refused(laptop, "tablet:/music")?,
            Errno::NXIO,
            &["'tablet'", "hmdfsd"],
        )?;
        let target = target(laptop, "killed")?;
        let mut mount = laptop.enter(|| {
            Ok(Command::new("mount")
                .args(["-t", "hmdfs", "tablet:/music"])
                .arg(&target)
                .spawn()?)
        })?;
        std::thread::sleep(Duration::from_millis(500));
        mount.kill()?;
        let status = process::wait(&mut mount, PATIENCE)?;
        ensure!(status.is_some(), "mount(8) does not die");
        Ok(())
    })();
    fleet.device_mut("laptop")?.mount()?;
    fleet.device_mut("laptop")?.start()?;
    fleet.wait_online(PATIENCE)?;
    result
}
