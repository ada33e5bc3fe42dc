// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several devices that know each other.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, Context, Result};

use crate::device::{Device, Peer, FOLDER, PORT};
use crate::freeze;
use crate::fsmount;
use crate::net::{Line, Network};
use crate::netns::{self, Namespace};
use crate::storage::Storage;
use crate::wait;

/// What a fleet is to be like.
pub struct Plan {
    names: Vec<(&'static str, Storage)>,
    line: Line,
    policies: Vec<(&'static str, &'static str, &'static str, u32)>,
    options: Vec<(&'static str, Option<&'static str>)>,
    addresses: Vec<(&'static str, &'static str, String)>,
}

impl Plan {
    /// Devices with these names, numbered from 1, each with its tree in memory.
    pub fn new(names: &[&'static str]) -> Self {
        let names = names.iter().map(|name| (*name, Storage::Memory(512)));
        Self::with_storage(names.collect())
    }

    /// Devices with a lower file system each.
    pub fn with_storage(names: Vec<(&'static str, Storage)>) -> Self {
        Self {
            names,
            line: Line::default(),
            policies: Vec::new(),
            options: Vec::new(),
            addresses: Vec::new(),
        }
    }

    /// All cables behave like this.
    pub fn line(mut self, line: Line) -> Self {
        self.line = line;
        self
    }

    /// All are mounted with this option.
    pub fn mount_option(mut self, name: &'static str, value: &'static str) -> Self {
        self.options.push((name, Some(value)));
        self
    }

    /// What `owner` allows `peer` to do; otherwise it may read, at level 4.
    pub fn policy(
        mut self,
        owner: &'static str,
        peer: &'static str,
        access: &'static str,
        level: u32,
    ) -> Self {
        self.policies.push((owner, peer, access, level));
        self
    }

    /// Where `device` believes `peer` to be, if not where it is.
    pub fn address(mut self, device: &'static str, peer: &'static str, address: String) -> Self {
        self.addresses.push((device, peer, address));
        self
    }

    fn believed_address(&self, device: &str, peer: &str, number: u32) -> String {
        self.addresses
            .iter()
            .find(|address| address.0 == device && address.1 == peer)
            .map_or_else(
                || format!("{}:{PORT}", Network::address(number)),
                |address| address.2.clone(),
            )
    }

    fn allowed(&self, owner: &str, peer: &str) -> (&'static str, u32) {
        self.policies
            .iter()
            .find(|policy| policy.0 == owner && policy.1 == peer)
            .map_or(("read", 4), |policy| (policy.2, policy.3))
    }

    /// Builds the fleet: cables, exports, identities, mounts, daemons.
    pub fn build(&self) -> Result<Fleet> {
        clean()?;
        let mut fleet = Fleet {
            devices: Vec::new(),
            network: Network::create()?,
        };
        for (index, (name, storage)) in self.names.iter().enumerate() {
            let namespace = Namespace::create(name)?;
            fleet
                .network
                .plug(&namespace, index as u32 + 1, self.line)?;
            let device = Device::create(name, Some(namespace), storage.clone())?;
            device.configure(&[])?;
            fleet.devices.push(device);
        }
        let ids = fleet
            .devices
            .iter()
            .map(Device::id)
            .collect::<Result<Vec<_>>>()?;
        for owner in &fleet.devices {
            let peers: Vec<Peer> = fleet
                .devices
                .iter()
                .zip(&ids)
                .enumerate()
                .filter(|(_, (peer, _))| peer.name() != owner.name())
                .map(|(index, (peer, id))| {
                    let (access, level) = self.allowed(owner.name(), peer.name());
                    let number = index as u32 + 1;
                    Peer {
                        id: id.clone(),
                        number,
                        name: peer.name().to_owned(),
                        address: self.believed_address(owner.name(), peer.name(), number),
                        access,
                        level,
                    }
                })
                .collect();
            owner.configure(&peers)?;
        }
        for device in &mut fleet.devices {
            device.mount_with(&self.options)?;
            device.start()?;
        }
        Ok(fleet)
    }

    /// [`Plan::build`], and everybody is online.
    pub fn start(&self) -> Result<Fleet> {
        let fleet = self.build()?;
        fleet.wait_online(wait::PATIENCE)?;
        Ok(fleet)
    }
}

/// Devices on one switch.
pub struct Fleet {
    devices: Vec<Device>,
    /// The network between them.
    pub network: Network,
}

impl Fleet {
    /// The device called `name`.
    pub fn device(&self, name: &str) -> Result<&Device> {
        self.devices
            .iter()
            .find(|device| device.name() == name)
            .ok_or_else(|| anyhow!("there is no device {name} here"))
    }

    /// The device called `name`, to be changed.
    pub fn device_mut(&mut self, name: &str) -> Result<&mut Device> {
        self.devices
            .iter_mut()
            .find(|device| device.name() == name)
            .ok_or_else(|| anyhow!("there is no device {name} here"))
    }

    /// All devices.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Every pair (viewer, owner) of different devices.
    pub fn pairs(&self) -> impl Iterator<Item = (&Device, &Device)> {
        self.devices.iter().flat_map(|viewer| {
            self.devices
                .iter()
                .filter(|owner| owner.name() != viewer.name())
                .map(move |owner| (viewer, owner))
        })
    }

    fn number(&self, name: &str) -> Result<u32> {
        self.devices
            .iter()
            .position(|device| device.name() == name)
            .map(|index| index as u32 + 1)
            .ok_or_else(|| anyhow!("there is no device {name} here"))
    }

    /// Pulls the cable of a device.
    pub fn cut(&self, name: &str) -> Result<()> {
        self.network.cut(self.number(name)?)
    }

    /// Plugs the cable of a device in again.
    pub fn join(&self, name: &str) -> Result<()> {
        self.network.join(self.number(name)?)
    }

    /// Waits until every device sees every other one; returns how long that took.
    pub fn wait_online(&self, limit: Duration) -> Result<Duration> {
        let mut longest = Duration::ZERO;
        for (viewer, owner) in self.pairs() {
            let took = wait_for_state(viewer, owner.name(), true, limit)?;
            longest = longest.max(took);
        }
        Ok(longest)
    }

    /// Ends everything; an error says what could not be undone.
    pub fn close(self) -> Result<()> {
        let mut result = Ok(());
        for device in self.devices {
            let name = device.name().to_owned();
            if let Err(error) = device.close() {
                result = Err(error.context(format!("while closing {name}")));
            }
        }
        result
    }

    /// The last lines of every daemon's log, for a test that failed.
    pub fn logs(&self) -> String {
        self.devices
            .iter()
            .map(|device| format!("hmdfsd of {}:\n{}\n", device.name(), device.log()))
            .collect()
    }
}

/// Waits until `viewer` has `owner` online (or offline): in its daemon's list and in `device_view`.
pub fn wait_for_state(
    viewer: &Device,
    owner: &str,
    online: bool,
    limit: Duration,
) -> Result<Duration> {
    let state = if online { "online" } else { "offline" };
    let what = format!("{owner} to be {state} on {}", viewer.name());
    let control = viewer.control();
    wait::until(&what, limit, || Ok(control.is_online(owner)? == online))
        .map_err(|error| anyhow!("{error:#}\nhmdfsd of {}:\n{}", viewer.name(), viewer.log()))
}

/// Removes what an interrupted run left behind.
pub fn clean() -> Result<()> {
    freeze::thaw_below(Path::new(FOLDER))?;
    for target in fsmount::mounts_below(Path::new(FOLDER))? {
        fsmount::detach(&target).with_context(|| format!("cannot unmount {}", target.display()))?;
    }
    netns::delete_leftovers()?;
    if Path::new(FOLDER).exists() {
        fs::remove_dir_all(FOLDER).with_context(|| format!("cannot remove {FOLDER}"))?;
    }
    Ok(())
}
