// SPDX-License-Identifier: MIT OR Apache-2.0

//! Devices whose disk stands still: what waits for it is bounded, and nothing is lost.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, ensure, Context, Result};
use hmdfs_netlink::DownReason;
use hmdfs_proto::{Name, Opcode, Operation, MAX_DATA};

use crate::fleet::{Fleet, Plan};
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

const FIFREEZE: libc::Ioctl = 0xc004_5877_u32 as libc::Ioctl;
const FITHAW: libc::Ioctl = 0xc004_5878_u32 as libc::Ioctl;

/// A file system on which nothing can be changed, until this is dropped.
pub struct Frozen(PathBuf);

impl Frozen {
    /// Freezes the file system that holds `path`.
    pub fn new(path: PathBuf) -> Result<Self> {
        ioctl(&path, FIFREEZE).context("cannot freeze")?;
        Ok(Self(path))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = ioctl(&self.0, FITHAW) {
            eprintln!("lab: cannot thaw {}: {error:#}", self.0.display());
        }
    }
}

fn ioctl(path: &Path, request: libc::Ioctl) -> Result<()> {
    let directory = File::open(path)?;
    // SAFETY: neither request reads or writes memory.
    if unsafe { libc::ioctl(directory.as_raw_fd(), request, 0) } < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
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
    let mut sent = 0;
    while sent < 64 && impostor.send(&message).is_ok() {
        sent += 1;
    }
    let reason = watch.down();
    drop(frozen);
    same("the reason", reason?, DownReason::Protocol)?;
    ensure!(sent >= 16, "the link ended after {sent} MiB already");
    Ok(())
}
