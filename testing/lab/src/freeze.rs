// SPDX-License-Identifier: MIT OR Apache-2.0

//! Disks that stand still for a while.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fsmount;

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

/// Thaws what a test that was killed has left frozen at or below `root`: it could not be unmounted.
pub fn thaw_below(root: &Path) -> Result<()> {
    for disk in fsmount::disks_below(root)? {
        // An error says that it is not frozen.
        let _ = ioctl(&disk, FITHAW);
    }
    Ok(())
}

fn ioctl(path: &Path, request: libc::Ioctl) -> Result<()> {
    let directory = File::open(path)?;
    // SAFETY: neither request reads or writes memory.
    if unsafe { libc::ioctl(directory.as_raw_fd(), request, 0) } < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}
