// SPDX-License-Identifier: MIT OR Apache-2.0

//! hmdfs between two devices.

use std::path::PathBuf;

use anyhow::Result;
use lab::device::{Device, Peer, PORT};
use lab::fleet::wait_for_state;
use lab::storage::Storage;
use lab::wait;

use super::SIZE;
use crate::measure::{drop_caches, Hooks};
use crate::network::{Cable, Shape, OWNER, READER};
use crate::system::System;

/// Two devices that may write to each other; the first reads what the second owns.
pub struct Hmdfs {
    reader: Device,
    owner: Device,
    merged: bool,
    _cable: Cable,
}

impl Hmdfs {
    /// `merged`: through merge_view instead of device_view.
    pub fn set_up(shape: Shape, merged: bool) -> Result<Self> {
        lab::module::ensure_loaded()?;
        let mut cable = Cable::lay(shape)?;
        let namespace = cable.take_namespace()?;
        let reader = Device::create("laptop", Some(namespace), Storage::Memory(SIZE))?;
        let owner = Device::create("tablet", None, Storage::Memory(SIZE))?;
        reader.configure(&[])?;
        owner.configure(&[])?;
        let peer = |device: &Device, number, address| -> Result<Peer> {
            Ok(Peer {
                id: device.id()?,
                number,
                name: device.name().to_owned(),
                address: format!("{address}:{PORT}"),
                access: "write",
                level: 4,
            })
        };
        let (laptop, tablet) = (peer(&reader, 1, READER)?, peer(&owner, 2, OWNER)?);
        reader.configure(&[tablet])?;
        owner.configure(&[laptop])?;
        let mut system = Self {
            reader,
            owner,
            merged,
            _cable: cable,
        };
        for device in [&mut system.owner, &mut system.reader] {
            device.mount()?;
            device.start()?;
        }
        wait_for_state(&system.reader, "tablet", true, wait::PATIENCE)?;
        wait_for_state(&system.owner, "laptop", true, wait::PATIENCE)?;
        Ok(system)
    }
}

impl Hooks for Hmdfs {
    fn cold(&self) -> Result<()> {
        drop_caches()
    }

    fn round_trips(&self) -> Option<Result<u64>> {
        let counters = self.reader.control().counters();
        Some(counters.map(|counters| counters.requests_sent))
    }
}

impl System for Hmdfs {
    fn root(&self) -> PathBuf {
        let view = if self.merged {
            self.reader.merged()
        } else {
            self.reader.view("tablet")
        };
        view.join("work")
    }

    fn owner(&self) -> PathBuf {
        self.owner.export().join("work")
    }
}
