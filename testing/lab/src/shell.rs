// SPDX-License-Identifier: MIT OR Apache-2.0

//! Three devices and a prompt.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::device::FOLDER;
use crate::disk;
use crate::fleet::Plan;
use crate::module;
use crate::net::Line;
use crate::random::Random;
use crate::sample;
use crate::storage::Storage;
use crate::tree;

const PROFILE: &str = r#"
on() { device=$1; shift; ip netns exec "lab-$device" "$@"; }
ctl() { device=$1; shift; hmdfsctl --socket "/run/hmdfs-lab/$device/hmdfsd.socket" "$@"; }
port() { case $1 in laptop) echo port1;; tablet) echo port2;; phone) echo port3;; *) return 1;; esac; }
cut_cable() { ip -n lab-switch link set "$(port "$1")" down; }
join_cable() { ip -n lab-switch link set "$(port "$1")" up; }
PS1='devices:\w# '
"#;

const HELP: &str = "
laptop, tablet and phone are up, 2 ms apart. Where you are:
  laptop/export                     the laptop's own files
  laptop/mount/device_view/tablet   the tablet's, as the laptop sees them
  laptop/mount/merge_view           all of them
  laptop/hmdfsd.log, hmdfsd.toml    its daemon's log and configuration
What you can do:
  ctl laptop status|devices|links   ask its daemon
  on laptop COMMAND...              run something in its network
  cut_cable tablet, join_cable tablet
  exit                              end everything
";

/// The guest's disk with this label, or, without one, some files in memory.
fn storage(name: &'static str) -> (&'static str, Storage) {
    (name, disk::storage(name).unwrap_or(Storage::Memory(128)))
}

/// Starts the devices and a shell; returns when the shell ends.
pub fn run() -> Result<()> {
    module::ensure_loaded()?;
    let line = Line {
        delay_us: 1_000,
        ..Default::default()
    };
    let plan = Plan::with_storage(["laptop", "tablet", "phone"].map(storage).to_vec());
    let fleet = plan.line(line).start()?;
    let mut random = Random::new(60);
    for device in fleet.devices() {
        disk::tidy(&device.export())?;
        if tree::names(&device.export())?.is_empty() {
            sample::forest(&device.export(), 60, &mut random)?;
        }
    }
    let profile = Path::new(FOLDER).join("profile");
    fs::write(&profile, PROFILE)?;
    print!("{HELP}");
    Command::new("sh")
        .arg("-i")
        .env("ENV", &profile)
        .current_dir(FOLDER)
        .status()
        .context("cannot start a shell")?;
    fleet.close()
}
