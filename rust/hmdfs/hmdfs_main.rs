// SPDX-License-Identifier: GPL-2.0

//! hmdfs: the files of all of a person's devices as one tree.

#![crate_name = "hmdfs"]
#![forbid(unsafe_code)]

mod export;

use kernel::prelude::*;

module! {
    type: Hmdfs,
    name: "hmdfs",
    authors: ["The hmdfs developers"],
    description: "Files of all of a person's devices as one tree",
    license: "GPL",
    alias: ["fs-hmdfs", "net-pf-16-proto-16-family-hmdfs"],
}

/// The loaded module.
struct Hmdfs;

impl kernel::Module for Hmdfs {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
