// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a device may see is what its owner allowed, and nothing before that.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{chown, PermissionsExt};

use anyhow::{ensure, Result};
use rustix::fs::{setxattr, XattrFlags};

use crate::fleet::{Fleet, Plan};
use crate::suite::support::{fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait;

/// The laptop may do nothing on the tablet, and has a low level on the phone.
pub const GROUP: Group = Group {
    name: "policy",
    fleet: Some(prepare),
    seconds: 5,
    tests: tests![
        Fleet: without_access_nothing_is_seen,
        with_access_everything_is,
        a_low_level_sees_and_cannot_open,
        a_label_decides_who_reads_a_file,
        a_label_that_makes_no_sense_is_for_nobody,
        peers_act_as_the_owner_of_the_share,
    ],
};

fn prepare() -> Result<Fleet> {
    let fleet = Plan::new(&["laptop", "tablet", "phone"])
        .policy("tablet", "laptop", "none", 4)
        .policy("phone", "laptop", "read", 1)
        .start()?;
    for device in fleet.devices() {
        fs::create_dir(device.export().join("folder"))?;
        fs::write(device.export().join("folder/file"), device.name())?;
    }
    Ok(fleet)
}

fn without_access_nothing_is_seen(fleet: &mut Fleet) -> Result<()> {
    let view = fleet.device("laptop")?.view("tablet");
    match tree::names(&view) {
        Ok(names) => ensure!(names.is_empty(), "the laptop sees {names:?}"),
        Err(error) => {
            let errno = error
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::raw_os_error);
            ensure!(
                matches!(errno, Some(libc::EACCES | libc::ENOENT)),
                "another error: {error:#}"
            );
        }
    }
    ensure!(
        File::open(view.join("folder/file")).is_err(),
        "a file was opened without access"
    );
    ensure!(
        fs::metadata(view.join("folder")).is_err(),
        "a folder was seen without access"
    );
    Ok(())
}

fn with_access_everything_is(fleet: &mut Fleet) -> Result<()> {
    for (viewer, owner) in [
        ("tablet", "laptop"),
        ("tablet", "phone"),
        ("phone", "tablet"),
    ] {
        let path = fleet.device(viewer)?.view(owner).join("folder/file");
        holds(&path, owner.as_bytes())?;
    }
    Ok(())
}

/// Files have the label S3 unless they say otherwise; level 1 reads S1.
fn a_low_level_sees_and_cannot_open(fleet: &mut Fleet) -> Result<()> {
    let folder = fleet.device("laptop")?.view("phone").join("folder");
    ensure!(tree::shows(&folder, "file")?, "the file is not shown");
    fs::metadata(folder.join("file"))?;
    fails("opening it", File::open(folder.join("file")), libc::EACCES)
}

/// A new file of the phone with this label, and its content seen by `viewer`.
fn read_labelled(fleet: &Fleet, viewer: &str, label: &str) -> Result<std::io::Result<Vec<u8>>> {
    let name = format!("labelled {label} for {viewer}");
    let home = fleet.device("phone")?.export().join(&name);
    fs::write(&home, label)?;
    setxattr(
        &home,
        "user.hmdfs.label",
        label.as_bytes(),
        XattrFlags::empty(),
    )?;
    let content = fs::read(fleet.device(viewer)?.view("phone").join(&name));
    fs::remove_file(home)?;
    Ok(content)
}

/// The laptop has level 1 on the phone, which reads S0 and S1; the tablet level 4, which reads all.
fn a_label_decides_who_reads_a_file(fleet: &mut Fleet) -> Result<()> {
    for label in ["S0", "S1"] {
        let content = read_labelled(fleet, "laptop", label)?;
        same("what the laptop reads", content?, label.as_bytes().to_vec())?;
    }
    for label in ["S2", "S3", "S4"] {
        let content = read_labelled(fleet, "laptop", label)?;
        fails(
            &format!("the laptop's reading {label}"),
            content,
            libc::EACCES,
        )?;
        let content = read_labelled(fleet, "tablet", label)?;
        same("what the tablet reads", content?, label.as_bytes().to_vec())?;
    }
    Ok(())
}

fn a_label_that_makes_no_sense_is_for_nobody(fleet: &mut Fleet) -> Result<()> {
    for label in [
        "S5",
        "S",
        "x0",
        "S0 ",
        "S00",
        "public",
        "S0S0S0S0S0S0S0S0S0S0S0S0S0",
    ] {
        let content = read_labelled(fleet, "tablet", label)?;
        fails(&format!("reading {label:?}"), content, libc::EACCES)?;
    }
    Ok(())
}

/// A person's home directory, although root mounted it.
fn peers_act_as_the_owner_of_the_share(fleet: &mut Fleet) -> Result<()> {
    const ANNA: Option<u32> = Some(1234);
    let export = fleet.device("phone")?.export();
    fs::create_dir(export.join("private"))?;
    for name in ["hers", "roots"] {
        let path = export.join("private").join(name);
        fs::write(&path, name)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    }
    fs::set_permissions(export.join("private"), Permissions::from_mode(0o700))?;
    for path in ["", "private", "private/hers"] {
        chown(export.join(path), ANNA, ANNA)?;
    }
    restart(fleet, "phone")?;
    let view = fleet.device("tablet")?.view("phone").join("private");
    let result = holds(&view.join("hers"), b"hers").and_then(|()| {
        fails(
            "reading root's",
            File::open(view.join("roots")),
            libc::EACCES,
        )
    });
    chown(&export, Some(0), Some(0))?;
    fs::remove_dir_all(export.join("private"))?;
    restart(fleet, "phone")?;
    result
}

/// Unmounts a device and mounts it again.
fn restart(fleet: &mut Fleet, name: &str) -> Result<()> {
    let device = fleet.device_mut(name)?;
    device.stop()?;
    device.umount()?;
    device.mount()?;
    device.start()?;
    fleet.wait_online(wait::PATIENCE).map(drop)
}
