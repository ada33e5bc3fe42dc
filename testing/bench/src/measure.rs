// SPDX-License-Identifier: MIT OR Apache-2.0

//! One run of one workload: what it took.

use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::time::{clock_gettime, ClockId};

use crate::profile;
use crate::selection::Scale;

/// What a workload's figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds for one operation.
    Micros,
    /// 10^6 bytes in a second.
    Megabytes,
    /// Seconds for the whole.
    Seconds,
}

impl Unit {
    /// As the results have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Micros => "us",
            Self::Megabytes => "MB/s",
            Self::Seconds => "s",
        }
    }

    /// Whether a greater figure is the better one.
    pub fn greater_is_better(name: &str) -> bool {
        matches!(name, "MB/s" | "ops/s")
    }
}

/// What one run took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Guest time, which under instruction counting is instructions and waiting.
    pub nanos: u64,
    /// Operations done.
    pub operations: u64,
    /// Bytes moved; zero where that is not the point.
    pub bytes: u64,
    /// Requests that went over the network, where the system counts them.
    pub round_trips: Option<u64>,
}

impl Measured {
    /// The figure in `unit`.
    pub fn figure(&self, unit: Unit) -> f64 {
        let nanos = self.nanos.max(1) as f64;
        match unit {
            Unit::Micros => nanos / 1e3 / self.operations.max(1) as f64,
            Unit::Megabytes => self.bytes as f64 * 1e3 / nanos,
            Unit::Seconds => nanos / 1e9,
        }
    }

    /// The same run with `operations` and `bytes` that were done.
    pub fn of(mut self, operations: u64, bytes: u64) -> Self {
        self.operations = operations;
        self.bytes = bytes;
        self
    }
}

/// Nanoseconds of guest time.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as u64)
}

/// What a system offers to a workload besides its files.
pub trait Hooks {
    /// Makes the reader and the owner forget what they have cached.
    fn cold(&self) -> Result<()>;

    /// A counter of requests that went over the network.
    fn round_trips(&self) -> Option<Result<u64>> {
        None
    }
}

/// Where a workload runs.
///
/// The current directory is the one that the measured system shows, so that what is timed uses
/// relative paths, equally long for all systems wherever they are mounted.
pub struct Place<'a> {
    /// The current directory while workloads run: as the measured system shows it.
    pub root: PathBuf,
    /// The same directory where it lies, to prepare and to look at.
    pub owner: PathBuf,
    /// A directory in memory, for what a program makes elsewhere.
    pub scratch: PathBuf,
    /// How much to do.
    pub scale: Scale,
    /// What else the system offers.
    pub hooks: &'a dyn Hooks,
}

impl Place<'_> {
    /// Enters the directory of the measured system.
    pub fn enter(&self) -> Result<()> {
        std::env::set_current_dir(&self.root)
            .with_context(|| format!("cannot enter {}", self.root.display()))
    }

    /// Leaves it, so that it can be unmounted.
    pub fn leave(&self) -> Result<()> {
        std::env::set_current_dir("/").context("cannot leave")
    }

    /// Makes the reader and the owner forget what they have cached.
    pub fn cold(&self) -> Result<()> {
        self.leave()?;
        self.hooks.cold()?;
        self.enter()
    }

    /// Times `work`.
    pub fn time(&self, work: impl FnOnce() -> Result<()>) -> Result<Measured> {
        let trips = || self.hooks.round_trips().transpose();
        let before = trips()?;
        profile::mark();
        let start = now();
        let result = work();
        let nanos = now().saturating_sub(start);
        profile::mark();
        result?;
        let after = trips()?;
        Ok(Measured {
            nanos,
            operations: 1,
            bytes: 0,
            round_trips: before
                .zip(after)
                .map(|(before, after)| after.saturating_sub(before)),
        })
    }

    /// [`Place::time`] with nothing cached.
    pub fn time_cold(&self, work: impl FnOnce() -> Result<()>) -> Result<Measured> {
        self.cold()?;
        self.time(work)
    }
}

/// Drops the page cache, dentries and inodes that nobody uses, of all devices: they are
/// one kernel.
pub fn drop_caches() -> Result<()> {
    rustix::fs::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "3")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let measured = Measured {
            nanos: 2_000_000,
            ..Measured::default()
        }
        .of(1_000, 4_000_000);
        assert_eq!(measured.figure(Unit::Micros), 2.0);
        assert_eq!(measured.figure(Unit::Megabytes), 2_000.0);
        assert_eq!(measured.figure(Unit::Seconds), 0.002);
    }
}
