// SPDX-License-Identifier: MIT OR Apache-2.0

//! Systems on this device's own files: the lower file system itself, overlayfs, hmdfs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use lab::fleet::{Fleet, Plan};
use lab::fsmount;
use lab::storage::Storage;

use crate::measure::{drop_caches, Hooks};
use crate::system::System;

/// Where everything but hmdfs is mounted.
pub const FOLDER: &str = "/run/hmdfs-bench";

/// MiB of a lower file system.
const SIZE: u32 = 512;

fn storage(lower: &str) -> Result<Storage> {
    match lower {
        "ext4" => Ok(Storage::Image("ext4", SIZE)),
        "xfs" => Ok(Storage::Image("xfs", SIZE)),
        "tmpfs" => Ok(Storage::Memory(SIZE)),
        _ => bail!("there is no lower file system called {lower} here"),
    }
}

/// Sets up `kind` on a fresh `lower`.
pub fn set_up(kind: &str, lower: &str) -> Result<Box<dyn System>> {
    let storage = storage(lower)?;
    match kind {
        "native" => Ok(Box::new(Native::set_up(storage)?)),
        "overlayfs" => Ok(Box::new(Overlay::set_up(storage)?)),
        "hmdfs_device" => Ok(Box::new(Own::set_up(storage, false, 1)?)),
        "hmdfs_merge" => Ok(Box::new(Own::set_up(storage, true, 1)?)),
        _ => bail!("there is no local system called {kind}"),
    }
}

/// `merge_view` of files on a fresh `lower`, while `others` devices are online that have nothing.
pub fn beside(lower: &str, others: usize) -> Result<Box<dyn System>> {
    Ok(Box::new(Own::set_up(storage(lower)?, true, others)?))
}

struct Native {
    storage: Storage,
    root: PathBuf,
}

impl Native {
    fn set_up(storage: Storage) -> Result<Self> {
        let root = Path::new(FOLDER).join("lower");
        fs::create_dir_all(&root)?;
        storage.attach(&root)?;
        Ok(Self { storage, root })
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if let Err(error) = self.storage.detach(&self.root) {
            eprintln!("bench: {error:#}");
        }
    }
}

impl Hooks for Native {
    fn cold(&self) -> Result<()> {
        drop_caches()
    }
}

impl System for Native {
    fn root(&self) -> PathBuf {
        self.root.join("work")
    }

    fn owner(&self) -> PathBuf {
        self.root()
    }
}

/// An empty lower layer and everything in the upper one: nothing is ever copied up, which is
/// the best that overlayfs can do.
struct Overlay {
    lower: Native,
    mount: PathBuf,
}

impl Overlay {
    fn set_up(storage: Storage) -> Result<Self> {
        let lower = Native::set_up(storage)?;
        let part = |name: &str| -> Result<String> {
            let path = lower.root.join(name);
            fs::create_dir_all(&path)?;
            Ok(path.to_string_lossy().into_owned())
        };
        let (empty, upper, work) = (part("empty")?, part("upper")?, part("workdir")?);
        let mount = Path::new(FOLDER).join("overlay");
        fs::create_dir_all(&mount)?;
        fsmount::mount(
            "overlay",
            &[
                ("source", Some("bench")),
                ("lowerdir", Some(&empty)),
                ("upperdir", Some(&upper)),
                ("workdir", Some(&work)),
            ],
            &mount,
        )
        .context("cannot mount overlayfs")?;
        Ok(Self { lower, mount })
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        if let Err(error) = fsmount::umount(&self.mount) {
            eprintln!("bench: cannot unmount overlayfs: {error}");
        }
    }
}

impl Hooks for Overlay {
    fn cold(&self) -> Result<()> {
        self.lower.cold()
    }
}

impl System for Overlay {
    fn root(&self) -> PathBuf {
        self.mount.join("work")
    }

    // Changing an upper layer beneath a mounted overlayfs is not allowed.
    fn owner(&self) -> PathBuf {
        self.root()
    }
}

/// This device's own files in one of hmdfs's views, while other devices are online.
struct Own {
    fleet: Fleet,
    merged: bool,
}

impl Own {
    fn set_up(storage: Storage, merged: bool, others: usize) -> Result<Self> {
        lab::module::ensure_loaded()?;
        let mut devices = vec![("laptop", storage)];
        for name in ["tablet", "phone"].into_iter().take(others) {
            devices.push((name, Storage::Memory(SIZE)));
        }
        let plan = Plan::with_storage(devices);
        let fleet = plan
            .policy("tablet", "laptop", "write", 4)
            .policy("laptop", "tablet", "write", 4)
            .start()?;
        Ok(Self { fleet, merged })
    }
}

impl Hooks for Own {
    fn cold(&self) -> Result<()> {
        drop_caches()
    }
}

impl System for Own {
    fn root(&self) -> PathBuf {
        // The fleet was made with this device.
        let laptop = &self.fleet.devices()[0];
        let view = if self.merged {
            laptop.merged()
        } else {
            laptop.local()
        };
        view.join("work")
    }

    fn owner(&self) -> PathBuf {
        self.fleet.devices()[0].export().join("work")
    }
}
