// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a device may see is what its owner allowed, and nothing before that.

use std::fs::{self, File};

use anyhow::{ensure, Result};

use crate::fleet::{Fleet, Plan};
use crate::suite::support::{fails, holds};
use crate::suite::{tests, Group};
use crate::tree;

/// The laptop may do nothing on the tablet, and has a low level on the phone.
pub const GROUP: Group = Group {
    name: "policy",
    fleet: Some(prepare),
    tests: tests![
        Fleet: without_access_nothing_is_seen,
        with_access_everything_is,
        a_low_level_sees_and_cannot_open,
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
