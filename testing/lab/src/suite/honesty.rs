// SPDX-License-Identifier: MIT OR Apache-2.0

//! What was written and is lost is told, to everybody who wrote it, once.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{ensure, Context, Result};

use crate::device::Device;
use crate::fleet::{Fleet, Plan};
use crate::random::Random;
use crate::storage::Storage;
use crate::suite::support::{fails, holds};
use crate::suite::{tests, Group};
use crate::wait::PATIENCE;

/// Two that write to a tablet.
pub const GROUP: Group = Group {
    name: "honesty",
    fleet: Some(prepare),
    seconds: 5,
    tests: tests![
        Fleet: fsync_tells_of_a_restart,
        a_program_at_home_does_not_pass_for_us,
    ],
};

fn prepare() -> Result<Fleet> {
    Plan::with_storage(vec![
        ("laptop", Storage::Memory(64)),
        ("phone", Storage::Memory(64)),
        ("tablet", Storage::Image("ext4", 128)),
    ])
    .policy("tablet", "laptop", "write", 4)
    .policy("tablet", "phone", "write", 4)
    .start()
}

/// Writes in such a way that the owner has the data, and nobody has asked it to store them.
fn write_through(file: &File, content: &[u8]) -> Result<()> {
    let mut other = file.try_clone()?;
    other.write_all(content)?;
    drop(other);
    Ok(())
}

fn fsync_tells_of_a_restart(fleet: &mut Fleet) -> Result<()> {
    let there = fleet.device("laptop")?.view("tablet");
    let (stored, lost) = (there.join("stored"), there.join("perhaps lost"));
    let stored = File::create(stored)?;
    write_through(&stored, b"stored")?;
    stored.sync_all()?;
    let first = File::create(&lost)?;
    let second = File::options().write(true).open(&lost)?;
    write_through(&first, b"who knows")?;
    let tablet = fleet.device_mut("tablet")?;
    tablet.umount()?;
    tablet.mount()?;
    fleet.wait_online(PATIENCE)?;
    stored.sync_all().context("of what was stored before")?;
    fails("fsync", first.sync_all(), libc::EIO)?;
    fails("fsync of the other one", second.sync_all(), libc::EIO)?;
    first.sync_all().context("once more")?;
    second.sync_all().context("once more")?;
    write_through(&first, b"again")?;
    first.sync_all().context("of what was written anew")?;
    Ok(())
}

/// Bytes that the laptop receives when it reads a file with this content.
fn fetched(laptop: &Device, path: &Path, content: &[u8]) -> Result<u64> {
    let before = laptop.control().counters()?.rx_bytes;
    holds(path, content)?;
    Ok(laptop.control().counters()?.rx_bytes - before)
}

/// Whoever has the file open for writing at home may have written in the same moment as we.
fn a_program_at_home_does_not_pass_for_us(fleet: &mut Fleet) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let content = Random::new(92).bytes(1 << 20);
    let home = tablet.export().join("at home");
    let there = laptop.view("tablet").join("at home");
    fs::write(&home, &content)?;
    holds(&there, &content)?;
    let program = File::options().write(true).open(&home)?;
    let write = || -> Result<()> {
        let open = File::options().read(true).write(true).open(&there)?;
        open.write_all_at(&content[100..200], 100)?;
        Ok(())
    };
    write()?;
    let received = fetched(laptop, &there, &content)?;
    ensure!(
        received > 1 << 20,
        "only {received} bytes were fetched anew"
    );
    drop(program);
    write()?;
    let received = fetched(laptop, &there, &content)?;
    ensure!(received < 100_000, "{received} bytes were fetched anew");
    Ok(())
}
