// SPDX-License-Identifier: MIT OR Apache-2.0

//! The demonstration: real files of real devices, compared to the last byte.

use std::time::{Duration, Instant};

use anyhow::{ensure, Result};

use crate::device::Device;
use crate::manifest::Manifest;
use crate::tree;

mod fleet;
mod machines;

pub use fleet::three_devices;
pub use machines::two_machines;

/// A device that fell silent leaves the views within this time.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// How many files are read at once.
const READERS: usize = 8;

/// Says what happens, with the time since the start.
struct Narrator {
    start: Instant,
}

impl Narrator {
    fn begin() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    fn chapter(&self, text: &str) {
        println!("\n[{:6.1} s] {text}", self.start.elapsed().as_secs_f64());
    }

    fn say(&self, text: &str) {
        for line in text.lines() {
            println!("           {line}");
        }
    }
}

/// Bytes as a person reads them.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Shows what a device exports: a count, and the first names.
fn show_tree(narrator: &Narrator, device: &Device, home: &Manifest) -> Result<()> {
    let names: Vec<String> = tree::names(&device.export())?
        .iter()
        .take(6)
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    narrator.say(&format!(
        "{:<7} {:5} files, {:>9}: {}",
        device.name(),
        home.files().count(),
        megabytes(home.files().map(|(_, size, _)| size).sum()),
        names.join("  ")
    ));
    Ok(())
}

/// Reads every file of `owner` through `viewer` and compares with what it is at home.
fn compare(narrator: &Narrator, viewer: &Device, owner: &str, home: &Manifest) -> Result<()> {
    let start = Instant::now();
    let result = home.compare(&viewer.view(owner), READERS)?;
    let count = result.differences.len();
    for difference in result.differences.iter().take(10) {
        narrator.say(difference);
    }
    ensure!(
        count == 0,
        "{owner} as {} sees it differs in {count} places",
        viewer.name()
    );
    ensure!(result.files > 0, "{owner} has no files to compare");
    narrator.say(&format!(
        "{:<7} reads {:<7} {:5} files, {:>9}, all equal ({:.1} s)",
        viewer.name(),
        owner,
        result.files,
        megabytes(result.bytes),
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}
