// SPDX-License-Identifier: MIT OR Apache-2.0

//! Devices whose disk stands still: what waits for it is bounded, and nothing is lost.

use std::fs;
use std::path::PathBuf;
use std::thread;

use anyhow::{anyhow, ensure, Result};
use hmdfs_netlink::DownReason;
use hmdfs_proto::{Name, Opcode, Operation, MAX_DATA};

use crate::fleet::{Fleet, Plan};
use crate::freeze::Frozen;
use crate::impostor::{compound, Impostor, Watch};
use crate::net::Network;
use crate::storage::Storage;
use crate::suite::support::same;
use crate::suite::{tests, Group};
use crate::wait::PATIENCE;

/// A tablet whose disk can be stopped, and a laptop that may write to it.
pub const GROUP: Group = Group {
    name: "windows",
    fleet: Some(prepare),
    seconds: 10,
    tests: tests![
        Fleet: more_data_than_allowed_end_the_link,
    ],
};

fn prepare() -> Result<Fleet> {
    Plan::with_storage(vec![
        ("laptop", Storage::Memory(64)),
        ("tablet", Storage::Image("ext4", 192)),
    ])
    .policy("tablet", "laptop", "write", 4)
    .start()
}

/// A device that sends and sends, whatever the tablet says that it can hold.
fn more_data_than_allowed_end_the_link(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export();
    fs::write(home.join("flood"), "")?;
    let laptop = fleet.device_mut("laptop")?;
    laptop.stop()?;
    laptop.umount()?;
    let result = flood(fleet, home);
    let laptop = fleet.device_mut("laptop")?;
    laptop.mount()?;
    laptop.start()?;
    fleet.wait_online(PATIENCE)?;
    result
}

fn flood(fleet: &Fleet, home: PathBuf) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let mut impostor = Impostor::greeted(laptop, tablet, &Network::address(2))?;
    let name = Name::new(b"flood").map_err(|error| anyhow!("{error:?}"))?;
    let write = [
        Operation::Root,
        Operation::Walk(name),
        Operation::Write {
            offset: 0,
            length: MAX_DATA,
        },
    ];
    let mut message = impostor.request(Opcode::Compound, &compound(&write)?);
    // The length of the data is in the header.
    message[20..24].copy_from_slice(&MAX_DATA.to_le_bytes());
    message.resize(message.len() + MAX_DATA as usize, 7);
    let mut watch = Watch::on(tablet)?;
    let frozen = Frozen::new(home)?;
    let (reason, sent) = thread::scope(|scope| {
        // It may wait for room in a socket that nobody reads any more, for as long as the disk stands
        // still: the tablet keeps the connection until its requests have ended.
        let sender = scope.spawn(|| {
            let mut sent = 0;
            while sent < 64 && impostor.send(&message).is_ok() {
                sent += 1;
            }
            sent
        });
        let reason = watch.down();
        drop(frozen);
        (reason, sender.join().unwrap_or_default())
    });
    same("the reason", reason?, DownReason::Protocol)?;
    ensure!(sent >= 16, "the link ended after {sent} MiB already");
    Ok(())
}
