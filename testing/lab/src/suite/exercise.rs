// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random work of several devices on the same files.

use anyhow::Result;

use crate::exercise::{fleet, run, Devices};
use crate::fleet::Fleet;
use crate::suite::{tests, Group};

/// On a file system that can do everything.
pub const GROUP: Group = Group {
    name: "exercise",
    fleet: Some(|| fleet("xfs")),
    seconds: 12,
    tests: tests![
        Fleet: one_device,
        a_device_and_the_owner,
        two_devices_and_the_owner,
    ],
};

fn one_device(fleet: &mut Fleet) -> Result<()> {
    let devices = Devices::of(fleet, "tablet", &["laptop"])?.without_owner();
    run(&devices, 100, 400)
}

fn a_device_and_the_owner(fleet: &mut Fleet) -> Result<()> {
    run(&Devices::of(fleet, "tablet", &["laptop"])?, 101, 400)
}

fn two_devices_and_the_owner(fleet: &mut Fleet) -> Result<()> {
    run(
        &Devices::of(fleet, "tablet", &["laptop", "phone"])?,
        107,
        200,
    )
}
