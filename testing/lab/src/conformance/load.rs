// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether what was written is what is read, under load: fio, dbench, stress-ng.

use std::fs;

use anyhow::{ensure, Result};

use super::{directory, fleet, succeeds, View};
use crate::fleet::Fleet;
use crate::suite::{tests, Group};

/// All of them.
pub const GROUP: Group = Group {
    name: "load",
    fleet: Some(fleet),
    seconds: 5,
    tests: tests![
        Fleet: fio_local,
        fio_merged_local,
        fio_device,
        fio_merged_device,
        dbench_local,
        dbench_device,
        dbench_merged_device,
        stress_local,
        stress_merged_local,
        stress_device,
        stress_merged_device,
    ],
};

/// Random writes through one way of doing I/O after another, each verified.
fn fio(fleet: &Fleet, view: View) -> Result<()> {
    let path = directory(fleet, view)?;
    if matches!(view, View::MergedDevice) {
        // New files are this device's.
        let home = fleet.device("laptop")?.export();
        fs::write(home.join(view.name()).join("data"), "")?;
    }
    for (engine, direct) in [
        ("psync", "0"),
        ("psync", "1"),
        ("mmap", "0"),
        ("libaio", "1"),
        ("io_uring", "0"),
        ("io_uring", "1"),
    ] {
        println!("{engine}, direct={direct}");
        let engine = format!("--ioengine={engine}");
        let direct = format!("--direct={direct}");
        succeeds(
            "fio",
            &[
                "--name=verify",
                "--filename=data",
                "--rw=randwrite",
                "--bsrange=4k-64k",
                "--blockalign=4k",
                "--size=8m",
                "--verify=crc32c",
                "--verify_fatal=1",
                "--end_fsync=1",
                "--iodepth=8",
                "--randseed=7",
                &engine,
                &direct,
            ],
            &path,
        )?;
    }
    Ok(())
}

fn fio_local(fleet: &mut Fleet) -> Result<()> {
    fio(fleet, View::Local)
}

fn fio_merged_local(fleet: &mut Fleet) -> Result<()> {
    fio(fleet, View::MergedLocal)
}

fn fio_device(fleet: &mut Fleet) -> Result<()> {
    fio(fleet, View::Device)
}

fn fio_merged_device(fleet: &mut Fleet) -> Result<()> {
    fio(fleet, View::MergedDevice)
}

/// The file operations of an office, as dbench has recorded them.
fn dbench(fleet: &Fleet, view: View) -> Result<()> {
    let path = directory(fleet, view)?;
    succeeds(
        "dbench",
        &[
            "--loadfile=/usr/share/dbench/client.txt",
            "--timelimit=20",
            "-D",
            ".",
            "2",
        ],
        &path,
    )
}

fn dbench_local(fleet: &mut Fleet) -> Result<()> {
    dbench(fleet, View::Local)
}

fn dbench_device(fleet: &mut Fleet) -> Result<()> {
    dbench(fleet, View::Device)
}

fn dbench_merged_device(fleet: &mut Fleet) -> Result<()> {
    dbench(fleet, View::MergedDevice)
}

/// What stress-ng does to files. Its stressors of whole file systems, of devices and
/// of what is not a file's are left out.
const STRESSORS: [&str; 26] = [
    "access",
    "chdir",
    "chmod",
    "copy-file",
    "dentry",
    "dir",
    "dirdeep",
    "dirmany",
    "fallocate",
    "fcntl",
    "file-ioctl",
    "filename",
    "flock",
    "fpunch",
    "fstat",
    "getdent",
    "hdd",
    "iomix",
    "lease",
    "link",
    "locka",
    "lockofd",
    "metamix",
    "rename",
    "symlink",
    "utime",
];

fn stress(fleet: &Fleet, view: View) -> Result<()> {
    let path = directory(fleet, view)?;
    let mut failed = Vec::new();
    for stressor in STRESSORS {
        println!("{stressor}");
        let stressor = format!("--{stressor}");
        let mut arguments = vec![stressor.as_str(), "2", "--verify", "--timeout", "5"];
        arguments.extend(["--temp-path", "."]);
        arguments.extend(["--hdd-bytes", "8m"]);
        arguments.extend(["--iomix-bytes", "8m"]);
        arguments.extend(["--fallocate-bytes", "8m"]);
        if let Err(error) = succeeds("stress-ng", &arguments, &path) {
            failed.push(format!("{error:#}"));
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn stress_local(fleet: &mut Fleet) -> Result<()> {
    stress(fleet, View::Local)
}

fn stress_merged_local(fleet: &mut Fleet) -> Result<()> {
    stress(fleet, View::MergedLocal)
}

fn stress_device(fleet: &mut Fleet) -> Result<()> {
    stress(fleet, View::Device)
}

fn stress_merged_device(fleet: &mut Fleet) -> Result<()> {
    stress(fleet, View::MergedDevice)
}
