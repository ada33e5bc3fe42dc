// SPDX-License-Identifier: MIT OR Apache-2.0

//! A file system that is measured.

use std::path::PathBuf;

use anyhow::{bail, Result};

use crate::measure::Hooks;
use crate::network::Shape;
use crate::{local, remote};

/// Set up by whoever makes it, taken down when dropped.
pub trait System: Hooks {
    /// The directory in which the workloads work, as this system shows it.
    fn root(&self) -> PathBuf;

    /// The same directory where it lies.
    fn owner(&self) -> PathBuf;

    /// Makes what the owner just put there visible at once.
    ///
    /// Preparing goes around the measured system, whose caches may hold what was there before.
    fn settle(&self) -> Result<()> {
        self.cold()
    }
}

/// Sets up the system called `name` on a network.
pub fn set_up(name: &str, shape: Shape) -> Result<Box<dyn System>> {
    if let Some((kind, lower)) = name.split_once(':') {
        return local::set_up(kind, lower);
    }
    match name {
        "hmdfs_device" => Ok(Box::new(remote::Hmdfs::set_up(shape, false)?)),
        "hmdfs_merge" => Ok(Box::new(remote::Hmdfs::set_up(shape, true)?)),
        "nfs" => Ok(Box::new(remote::Nfs::set_up(shape, false)?)),
        "nfs_tls" => Ok(Box::new(remote::Nfs::set_up(shape, true)?)),
        "smb" => Ok(Box::new(remote::Smb::set_up(shape, false)?)),
        "smb_seal" => Ok(Box::new(remote::Smb::set_up(shape, true)?)),
        "p9" => Ok(Box::new(remote::P9::set_up(shape)?)),
        "sshfs" => Ok(Box::new(remote::Sshfs::set_up(shape)?)),
        _ => bail!("there is no system called {name}"),
    }
}
