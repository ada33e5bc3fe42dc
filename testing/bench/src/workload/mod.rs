// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is done to a file system while the clock runs.
//!
//! A workload is timed as often as [`Workload::runs`] says; all that it needs beforehand it
//! makes itself, in the owner's directory and outside the time.

use anyhow::Result;

use crate::measure::{Measured, Place, Unit};
use crate::selection::Scale;

mod bulk;
mod files;
mod mixed;
mod names;
mod programs;
mod trees;

pub use trees::{list_stat, LIST_STAT_WARM};

/// One row of the results.
pub struct Workload {
    /// Its name in the results.
    pub name: &'static str,
    /// What its figure is.
    pub unit: Unit,
    /// Runs before those that count: something becomes cached, or hot, only then.
    pub warm_ups: usize,
    /// Runs, in full and in quick benchmarks.
    pub runs: (usize, usize),
    /// Makes what the runs need.
    pub prepare: fn(&Place) -> Result<()>,
    /// One run.
    pub run: fn(&Place) -> Result<Measured>,
    /// Removes what the runs made.
    pub clean: fn(&Place) -> Result<()>,
}

impl Workload {
    /// Whether it needs programs and data that only `tools/bench-root` has.
    pub fn needs_programs(&self) -> bool {
        self.name == "compile"
    }

    /// How often it is timed.
    pub fn runs(&self, scale: Scale) -> usize {
        scale.pick(self.runs.0, self.runs.1)
    }
}

fn nothing(_: &Place) -> Result<()> {
    Ok(())
}

/// Those on files of this device, in the order in which they run.
pub const LOCAL: &[Workload] = &[
    names::STAT_WARM,
    names::OPEN_WARM,
    files::READ_4K_WARM,
    files::WRITE_4K_WARM,
    files::MMAP_READ,
    names::CREATE_UNLINK,
    names::RENAME,
    bulk::SEQ_READ_WARM,
    bulk::SEQ_WRITE_WARM,
    trees::LIST_STAT_WARM,
    programs::COMPILE_LOCAL,
];

/// Those on files of another device.
pub const REMOTE: &[Workload] = &[
    names::STAT_WARM,
    names::OPEN_WARM,
    files::READ_4K_WARM,
    files::SMALL_READ,
    trees::LIST_STAT_COLD,
    trees::LIST_STAT_WARM,
    trees::WALK_COLD,
    trees::WALK_WARM,
    bulk::SEQ_READ,
    bulk::RAND_READ_4K,
    bulk::STREAMS_4,
    files::MMAP_READ,
    mixed::LATENCY_UNDER_COPY,
    programs::GIT_STATUS_COLD,
    programs::GIT_STATUS_WARM,
    programs::COMPILE,
    files::WRITE_4K_WARM,
    files::SMALL_CREATE,
    files::SMALL_UNLINK,
    names::CREATE_UNLINK,
    names::RENAME,
    bulk::SEQ_WRITE,
    bulk::RAND_WRITE_4K,
    programs::UNTAR,
    mixed::SHARED_DIR,
];
