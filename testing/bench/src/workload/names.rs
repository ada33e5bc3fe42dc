// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names that are known already, and names made and changed.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};

use super::{nothing, Workload};
use crate::measure::{Measured, Place, Unit};

/// Three directories deep, as files are.
const FILE: &str = "a/b/c/file";
const FOLDER: &str = "a/b/c";

/// The path as system calls take it, so that the loops measure nothing else.
pub(super) fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .with_context(|| format!("{} has a zero byte", path.display()))
}

pub(super) fn prepare(place: &Place) -> Result<()> {
    fs::create_dir_all(place.owner.join(FOLDER))?;
    let file = place.owner.join(FILE);
    if !file.exists() {
        fs::write(file, vec![7; 65_536])?;
    }
    Ok(())
}

/// The file that [`prepare`] made.
pub(super) fn file() -> Result<CString> {
    c_path(Path::new(FILE))
}

/// stat of one name whose attributes were just read.
pub const STAT_WARM: Workload = Workload {
    name: "stat_warm",
    unit: Unit::Micros,
    warm_ups: 2,
    runs: (7, 5),
    prepare,
    run: stat_warm,
    clean: nothing,
};

fn stat_warm(place: &Place) -> Result<Measured> {
    let path = file()?;
    let count = place.scale.pick(10_000, 3_000);
    let measured = place.time(|| {
        for _ in 0..count {
            rustix::fs::stat(path.as_c_str()).context("stat")?;
        }
        Ok(())
    })?;
    Ok(measured.of(count, 0))
}

/// open and close of one file that was just read.
pub const OPEN_WARM: Workload = Workload {
    name: "open_warm",
    unit: Unit::Micros,
    warm_ups: 2,
    runs: (7, 5),
    prepare,
    run: open_warm,
    clean: nothing,
};

fn open_warm(place: &Place) -> Result<Measured> {
    let path = file()?;
    let count = place.scale.pick(2_000, 500);
    let measured = place.time(|| {
        for _ in 0..count {
            let file =
                rustix::fs::open(path.as_c_str(), OFlags::RDONLY, Mode::empty()).context("open")?;
            drop(file);
        }
        Ok(())
    })?;
    Ok(measured.of(count, 0))
}

/// An empty file made and removed again; the operation is the pair.
pub const CREATE_UNLINK: Workload = Workload {
    name: "create_unlink",
    unit: Unit::Micros,
    warm_ups: 2,
    runs: (7, 5),
    prepare,
    run: create_unlink,
    clean: nothing,
};

fn create_unlink(place: &Place) -> Result<Measured> {
    let path = c_path(&Path::new(FOLDER).join("new"))?;
    let count = place.scale.pick(1_000, 300);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
    let measured = place.time(|| {
        for _ in 0..count {
            let file = rustix::fs::open(path.as_c_str(), flags, Mode::from_raw_mode(0o644))
                .context("create")?;
            drop(file);
            rustix::fs::unlink(path.as_c_str()).context("unlink")?;
        }
        Ok(())
    })?;
    Ok(measured.of(count, 0))
}

/// A file renamed within its directory.
pub const RENAME: Workload = Workload {
    name: "rename",
    unit: Unit::Micros,
    warm_ups: 2,
    runs: (7, 5),
    prepare,
    run: rename,
    clean: nothing,
};

fn rename(place: &Place) -> Result<Measured> {
    let here = file()?;
    let there = c_path(&Path::new(FOLDER).join("renamed"))?;
    let pairs = place.scale.pick(500, 150);
    let measured = place.time(|| {
        for _ in 0..pairs {
            rustix::fs::rename(here.as_c_str(), there.as_c_str()).context("rename")?;
            rustix::fs::rename(there.as_c_str(), here.as_c_str()).context("rename back")?;
        }
        Ok(())
    })?;
    Ok(measured.of(2 * pairs, 0))
}
