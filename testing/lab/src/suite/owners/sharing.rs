// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several devices at the same files.

use std::fs;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};

use super::Stage;
use crate::suite::support::{close, holds, open_with};
use crate::suite::{leases, locks};

/// Locks of every kind between devices, and with the owner's programs.
pub fn locks(stage: &Stage<'_>) -> Result<()> {
    let [home, there, third] = stage.file("locked");
    fs::write(&home, "x")?;
    locks::are_apart(&[
        ("the laptop", there),
        ("another", third),
        ("the owner", home),
    ])
}

/// What is known under leases is not known any more when somebody changes it; and what was closed is
/// seen by who opens it, leases or not.
pub fn changes_of_others(stage: &Stage<'_>) -> Result<()> {
    let places = stage.file("turns");
    for round in 0..9_u8 {
        // Of one size, and within one moment.
        let content = [round; 5000];
        let file = open_with(
            &places[usize::from(round % 3)],
            libc::O_RDWR | libc::O_CREAT,
        )?;
        file.write_all_at(&content, 0)?;
        close(file)?;
        for path in &places {
            holds(path, &content).with_context(|| format!("round {round}"))?;
        }
    }
    if !stage.owner.unix {
        // There are no leases on FAT.
        return Ok(());
    }
    let own = stage.device.local().join("folder");
    for (who, folder) in [
        ("the owner", &stage.home),
        ("the owner, through its mount", &own),
        ("another device", &stage.third),
        ("this device", &stage.there),
    ] {
        for seen in [&stage.there, &stage.third, &stage.home] {
            leases::changes_are_seen(&folder.join("changed"), &seen.join("changed"))
                .with_context(|| format!("changed by {who}, seen in {}", seen.display()))?;
        }
    }
    Ok(())
}
