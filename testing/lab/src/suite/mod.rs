// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tests. Each states one thing that a user or an administrator relies on.

use anyhow::Result;

use crate::fleet::Fleet;

mod broken;
mod coherence;
mod control;
mod disks;
mod exercise;
mod failing_disk;
mod fetching;
mod honesty;
mod hostile;
mod interface;
mod killing;
mod leases;
mod lies;
mod local;
mod locks;
mod merged;
mod merged_changing;
mod merged_directories;
mod merged_dying;
mod merged_leases;
mod merged_making;
mod merged_saving;
mod module;
mod mount_sources;
mod mounting;
mod names;
mod outage;
mod own;
mod owners;
mod parts;
mod policy;
mod remote;
mod remote_attributes;
mod remote_limits;
mod remote_names;
mod round_trips;
mod scale;
pub mod support;
mod unlinked;
mod windows;
mod write_leases;
mod writing;

/// What a test is given.
#[derive(Clone, Copy)]
pub enum Body {
    /// Nothing; it makes what it needs.
    Alone(fn() -> Result<()>),
    /// The fleet of its group, online, which it leaves as it found it.
    Fleet(fn(&mut Fleet) -> Result<()>),
}

/// One test.
pub struct Test {
    /// Its name within the group.
    pub name: &'static str,
    /// What it does; an error is a failure.
    pub body: Body,
}

/// Tests that share a fleet, to save the time of building it.
pub struct Group {
    /// The name.
    pub name: &'static str,
    /// Builds the fleet.
    pub fleet: Option<fn() -> Result<Fleet>>,
    /// About how many seconds one of them takes on the debugging kernel, emulated.
    pub seconds: u32,
    /// The tests, in the order in which they run.
    pub tests: &'static [Test],
}

/// A table of tests named after their functions.
macro_rules! tests {
    ($kind:ident: $($name:ident),+ $(,)?) => {
        &[$($crate::suite::Test {
            name: stringify!($name),
            body: $crate::suite::Body::$kind($name),
        }),+]
    };
}
pub(crate) use tests;

/// All groups. The first needs the module not to be in use, the last leaves it unloaded.
pub fn groups() -> Vec<Group> {
    vec![
        module::FIRST,
        mounting::GROUP,
        mount_sources::GROUP,
        control::GROUP,
        local::GROUP,
        local::LOWER,
        remote::GROUP,
        remote_names::GROUP,
        remote_attributes::GROUP,
        remote_attributes::LOWER,
        remote_limits::GROUP,
        remote_limits::HOSTILE,
        coherence::GROUP,
        leases::GROUP,
        leases::HOSTILE,
        write_leases::GROUP,
        write_leases::HOSTILE,
        round_trips::GROUP,
        fetching::GROUP,
        fetching::HOSTILE,
        writing::GROUP,
        unlinked::GROUP,
        unlinked::EXT4,
        locks::GROUP,
        interface::GROUP,
        owners::GROUP,
        exercise::GROUP,
        own::GROUP,
        merged::GROUP,
        merged_making::GROUP,
        merged_changing::GROUP,
        merged_directories::GROUP,
        merged_saving::GROUP,
        merged_saving::LOWER,
        merged_leases::GROUP,
        merged_dying::GROUP,
        names::GROUP,
        names::changes::GROUP,
        policy::GROUP,
        outage::GROUP,
        broken::GROUP,
        windows::GROUP,
        disks::SLOW,
        failing_disk::GROUP,
        scale::GROUP,
        honesty::GROUP,
        hostile::GROUP,
        parts::GROUP,
        lies::GROUP,
        killing::GROUP,
        module::LAST,
    ]
}
