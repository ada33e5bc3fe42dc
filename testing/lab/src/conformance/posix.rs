// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether system calls do what POSIX says: pjdfstest.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{ensure, Result};

use super::{directory, fleet, run, View};
use crate::fleet::Fleet;
use crate::suite::{tests, Group};

/// Names, modes, owners and times. In `merge_view` new files are this device's, whatever is beside
/// them.
pub const PJDFSTEST: Group = Group {
    name: "pjdfstest",
    fleet: Some(fleet),
    seconds: 5,
    tests: tests![
        Fleet: pjdfstest_local,
        pjdfstest_merged_local,
        pjdfstest_device,
    ],
};

/// Parts of the names of tests that cannot pass on another device's files; see
/// Documentation/limits.md.
const OF_DEVICES: [&str; 9] = [
    // Device nodes are refused.
    "::block",
    "::char",
    // Absolute symbolic links lead out of the tree of their device.
    "eloop_",
    "_symlink",
    "::change_perm::",
    "::create_symlink",
    // Files are not given away, and get no set-ID bits.
    "uid_gid_eq_euid_egid",
    "::share_metadata::",
    "::clear_isgid_bit",
];

/// A directory that may be several ones has a link count that says nothing.
const OF_MERGED: [&str; 1] = ["rename::updates_link_parent"];

/// The tests of pjdfstest that fail in a view.
fn pjdfstest(fleet: &Fleet, view: View) -> Result<BTreeSet<String>> {
    let config = "/tmp/pjdfstest.toml";
    fs::write(
        config,
        "[features]\nposix_fallocate = {}\nutime_now = {}\nutimensat = {}\nrename_ctime = {}\n\
         [settings]\nnaptime = 0.01\nallow_remount = false\n\
         [dummy_auth]\nentries = [[\"nobody\", \"nogroup\"], [\"daemon\", \"daemon\"]]\n",
    )?;
    let path = directory(fleet, view)?;
    let path = path.to_string_lossy();
    let (text, _) = run("pjdfstest", &["-c", config, "-p", &path], "/".as_ref())?;
    ensure!(text.contains("Summary"), "it ended early:\n{text}");
    // What failed comes with a reason on the lines after it.
    let mut failed = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_suffix("FAILED") else {
            continue;
        };
        let reason = lines
            .next_if(|next| next.starts_with('\t'))
            .map_or("", str::trim);
        println!("{} {reason}", name.trim());
        failed.insert(name.trim().to_owned());
    }
    Ok(failed)
}

/// What fails in a view must fail in the exported tree itself, too, or be one of those `expected`.
fn as_below(fleet: &Fleet, view: View, expected: &[&str]) -> Result<()> {
    let below = pjdfstest(fleet, View::Lower)?;
    let failed = pjdfstest(fleet, view)?;
    let more: Vec<&String> = failed
        .difference(&below)
        .filter(|name| !expected.iter().any(|part| name.contains(part)))
        .collect();
    ensure!(more.is_empty(), "these fail: {more:#?}");
    Ok(())
}

fn pjdfstest_local(fleet: &mut Fleet) -> Result<()> {
    as_below(fleet, View::Local, &[])
}

fn pjdfstest_merged_local(fleet: &mut Fleet) -> Result<()> {
    as_below(fleet, View::MergedLocal, &OF_MERGED)
}

fn pjdfstest_device(fleet: &mut Fleet) -> Result<()> {
    as_below(fleet, View::Device, &OF_DEVICES)
}
