// SPDX-License-Identifier: GPL-2.0

//! hmdfs: the files of all of a person's devices as one tree.
//!
//! | module | is |
//! |---|---|
//! | [`mount`] | a mount: what it exports, its peers, its options |
//! | [`control`] | the netlink interface to the daemon |
//! | [`peer`], [`link`] | other devices, and the connections to them |
//! | [`mod@export`] | what peers are served |
//! | [`view`] | the directories above the trees of the devices |
//! | [`remote`] | files and directories of other devices |
//! | [`local`] | files and directories of this device |
//! | [`merge`] | directories of several devices as one |

#![crate_name = "hmdfs"]
#![forbid(unsafe_code)]

use hmdfs_kapi::{
    fs,
    netlink, //
};
use kernel::prelude::*;

mod control;
mod export;
mod link;
mod local;
mod merge;
mod mount;
mod node;
mod peer;
mod remote;
mod validity;
mod view;

module! {
    type: Hmdfs,
    name: "hmdfs",
    authors: ["The hmdfs developers"],
    description: "Files of all of a person's devices as one tree",
    license: "GPL",
    alias: ["fs-hmdfs", "net-pf-16-proto-16-family-hmdfs"],
}

/// The loaded module.
///
/// Fields are dropped in order: nothing can be mounted any more when the rest goes.
#[pin_data]
struct Hmdfs {
    #[pin]
    file_system: fs::Registration<mount::Hmdfs>,
    netlink: netlink::Registration,
}

impl kernel::InPlaceModule for Hmdfs {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            netlink: netlink::Registration::new::<control::Control>()?,
            file_system <- fs::Registration::new(module),
        })
    }
}
