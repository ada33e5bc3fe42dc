// SPDX-License-Identifier: MIT OR Apache-2.0

//! Devices that vanish: nobody hangs, nobody lies, and they come back.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use crate::fleet::{wait_for_state, Fleet, Plan};
use crate::manifest;
use crate::process;
use crate::random::Random;
use crate::sample;
use crate::suite::support::{drop_caches, holds};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::{self, PATIENCE};

/// Three devices, of which the tablet has bad luck.
pub const GROUP: Group = Group {
    name: "outage",
    fleet: Some(prepare),
    seconds: 12,
    tests: tests![
        Fleet: a_cut_devices_files_leave_and_come_back,
        other_devices_are_read_meanwhile,
        a_reader_of_a_dead_device_can_be_killed,
        a_reader_of_a_dead_device_gets_an_error,
        a_restarted_daemon_keeps_the_devices_together,
        a_killed_daemon_comes_back,
        a_remounted_device_comes_back,
        a_bad_line_loses_nothing,
        unmounting_with_a_dead_device_works,
    ],
};

fn prepare() -> Result<Fleet> {
    let fleet = Plan::new(&["laptop", "tablet", "phone"]).start()?;
    let random = &mut Random::new(50);
    for device in fleet.devices() {
        sample::forest(&device.export(), 40, random)?;
        fs::write(device.export().join("mark"), device.name())?;
        fs::write(device.export().join("big"), random.bytes(4 << 20))?;
        fs::write(device.export().join(format!("of {}", device.name())), "x")?;
    }
    Ok(fleet)
}

/// Whether the tablet's files are in none of the laptop's views.
fn has_left(fleet: &Fleet) -> Result<bool> {
    let laptop = fleet.device("laptop")?;
    let merged = tree::shows(&laptop.merged(), "of tablet")?;
    let view = laptop.view("tablet").join("mark");
    Ok(!merged && fs::metadata(view).is_err())
}

fn wait_until_gone(fleet: &Fleet) -> Result<()> {
    wait_for_state(fleet.device("laptop")?, "tablet", false, PATIENCE)?;
    wait::until("the tablet's files to leave the views", PATIENCE, || {
        has_left(fleet)
    })?;
    Ok(())
}

fn back(fleet: &Fleet) -> Result<()> {
    fleet.wait_online(PATIENCE)?;
    for (viewer, owner) in fleet.pairs() {
        holds(
            &viewer.view(owner.name()).join("mark"),
            owner.name().as_bytes(),
        )?;
    }
    Ok(())
}

fn a_cut_devices_files_leave_and_come_back(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    tree::list(&laptop.view("tablet"))?;
    fleet.cut("tablet")?;
    let gone = wait_until_gone(fleet);
    fleet.join("tablet")?;
    gone?;
    back(fleet)?;
    let home = fleet.device("tablet")?.export();
    manifest::must_be_equal(&home, &laptop.view("tablet"))
}

fn other_devices_are_read_meanwhile(fleet: &mut Fleet) -> Result<()> {
    let (laptop, phone) = (fleet.device("laptop")?, fleet.device("phone")?);
    fleet.cut("tablet")?;
    // Before anyone has noticed, and after.
    drop_caches()?;
    let before = manifest::must_be_equal(&phone.export(), &laptop.view("phone"));
    let gone = wait_until_gone(fleet);
    drop_caches()?;
    let after = manifest::must_be_equal(&phone.export(), &laptop.view("phone"));
    fleet.join("tablet")?;
    before.context("right after the cut")?;
    gone?;
    after.context("when the tablet was gone")?;
    back(fleet)
}

fn reader(path: &Path) -> Result<Child> {
    Command::new("cat")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start cat")
}

fn a_reader_of_a_dead_device_can_be_killed(fleet: &mut Fleet) -> Result<()> {
    let path = fleet.device("laptop")?.view("tablet").join("big");
    drop_caches()?;
    fs::metadata(&path)?;
    fleet.cut("tablet")?;
    let mut cat = reader(&path)?;
    thread::sleep(Duration::from_millis(300));
    let running = cat.try_wait()?.is_none();
    cat.kill()?;
    let status = process::wait(&mut cat, PATIENCE)?;
    fleet.join("tablet")?;
    let status = status.context("the reader did not die")?;
    if running {
        let signal = status.signal();
        ensure!(
            signal == Some(libc::SIGKILL),
            "it ended otherwise: {status}"
        );
    }
    back(fleet)
}

fn a_reader_of_a_dead_device_gets_an_error(fleet: &mut Fleet) -> Result<()> {
    let path = fleet.device("laptop")?.view("tablet").join("big");
    drop_caches()?;
    fs::metadata(&path)?;
    fleet.cut("tablet")?;
    let mut cat = reader(&path)?;
    let status = process::wait(&mut cat, PATIENCE)?;
    cat.kill()?;
    fleet.join("tablet")?;
    let status = status.context("the reader waits for ever")?;
    ensure!(!status.success(), "reading from nowhere succeeded");
    back(fleet)
}

/// The links are the kernel's; the daemon just makes them.
fn a_restarted_daemon_keeps_the_devices_together(fleet: &mut Fleet) -> Result<()> {
    let tablet = fleet.device_mut("tablet")?;
    tablet.stop()?;
    tablet.start()?;
    back(fleet)
}

fn a_killed_daemon_comes_back(fleet: &mut Fleet) -> Result<()> {
    let tablet = fleet.device_mut("tablet")?;
    tablet.kill()?;
    tablet.start()?;
    back(fleet)
}

fn a_remounted_device_comes_back(fleet: &mut Fleet) -> Result<()> {
    let tablet = fleet.device_mut("tablet")?;
    tablet.umount()?;
    tablet.mount()?;
    back(fleet)?;
    let tablet = fleet.device("tablet")?;
    let phone = fleet.device("phone")?;
    manifest::must_be_equal(&tablet.export(), &phone.view("tablet"))?;
    manifest::must_be_equal(&phone.export(), &tablet.view("phone"))
}

fn a_bad_line_loses_nothing(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let bad = crate::net::Line {
        delay_us: 5_000,
        rate_mbit: 0,
        loss: 200,
    };
    drop_caches()?;
    fleet.network.shape(tablet.namespace()?, bad)?;
    let result = manifest::must_be_equal(&tablet.export(), &laptop.view("tablet"));
    let good = crate::net::Line {
        delay_us: 1,
        ..Default::default()
    };
    fleet.network.shape(tablet.namespace()?, good)?;
    result
}

fn unmounting_with_a_dead_device_works(fleet: &mut Fleet) -> Result<()> {
    let path = fleet.device("laptop")?.view("tablet").join("mark");
    drop_caches()?;
    let held = File::open(&path)?;
    fleet.cut("tablet")?;
    drop(held);
    let laptop = fleet.device_mut("laptop")?;
    let unmounted = laptop.umount();
    let mounted = match unmounted {
        Ok(()) => laptop.mount(),
        Err(_) => Ok(()),
    };
    fleet.join("tablet")?;
    unmounted?;
    mounted?;
    back(fleet)
}
