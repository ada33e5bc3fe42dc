// SPDX-License-Identifier: MIT OR Apache-2.0

//! Owners whose disks are slow: nothing is lost because of that.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::fleet::{Fleet, Plan};
use crate::freeze::Frozen;
use crate::random::Random;
use crate::storage::Storage;
use crate::suite::support::{close, holds, same_bytes};
use crate::suite::{tests, Group};

/// A laptop that writes to a tablet.
pub const SLOW: Group = Group {
    name: "slow_disk",
    fleet: Some(prepare),
    seconds: 12,
    tests: tests![
        Fleet: what_is_written_while_it_stands_still_is_there_afterwards,
    ],
};

/// Longer than a call takes that waits for nothing.
const STANDSTILL: Duration = Duration::from_secs(20);

fn prepare() -> Result<Fleet> {
    Plan::with_storage(vec![
        ("laptop", Storage::Memory(64)),
        ("tablet", Storage::Image("ext4", 192)),
    ])
    .policy("tablet", "laptop", "write", 4)
    .start()
}

fn what_is_written_while_it_stands_still_is_there_afterwards(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export();
    let there = fleet.device("laptop")?.view("tablet");
    let content = Random::new(50).bytes(3 << 20);
    for name in ["closed", "synced"] {
        fs::write(home.join(name), "")?;
    }
    let frozen = Frozen::new(home.clone())?;
    let result = thread::scope(|scope| {
        let write = |name| {
            let (path, content) = (there.join(name), &content);
            move || -> Result<()> {
                let file = File::options().write(true).open(path)?;
                file.write_all_at(content, 0)?;
                if name == "synced" {
                    file.sync_all().context("fsync")?;
                }
                // The descriptor is closed by hand, because errors count.
                close(file).context("close")
            }
        };
        let writers = ["closed", "synced"].map(|name| scope.spawn(write(name)));
        thread::sleep(STANDSTILL);
        drop(frozen);
        writers.into_iter().try_for_each(|writer| {
            writer
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a writer panicked")))
        })
    });
    result?;
    for name in ["closed", "synced"] {
        same_bytes(name, &fs::read(home.join(name))?, &content)?;
        holds(&there.join(name), &content)?;
    }
    Ok(())
}
