// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading and unloading the kernel module.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::system::{delete_module, finit_module};

/// The module under test: `$HMDFS_MODULE`, or where the guest has it.
pub fn path() -> PathBuf {
    std::env::var_os("HMDFS_MODULE")
        .unwrap_or_else(|| "/lib/modules/hmdfs.ko".into())
        .into()
}

/// Whether it is loaded.
pub fn is_loaded() -> Result<bool> {
    let table = fs::read_to_string("/proc/modules").context("cannot read /proc/modules")?;
    Ok(table.lines().any(|line| line.starts_with("hmdfs ")))
}

/// Loads it; EEXIST when it is loaded.
pub fn load() -> Result<()> {
    let path = path();
    let file = File::open(&path).with_context(|| {
        format!(
            "cannot open the module {}; set HMDFS_MODULE to where it is",
            path.display()
        )
    })?;
    finit_module(file.as_fd(), c"", 0).with_context(|| format!("cannot load {}", path.display()))
}

/// Loads it unless it is.
pub fn ensure_loaded() -> Result<()> {
    if is_loaded()? {
        return Ok(());
    }
    load()
}

/// Unloads it; fails at once when it is in use.
pub fn unload() -> Result<()> {
    delete_module(c"hmdfs", libc::O_NONBLOCK).context("cannot unload hmdfs")
}
