// SPDX-License-Identifier: GPL-2.0

//! What the daemon is told without having asked.
//!
//! A notification that finds no memory is lost, as one is that a socket has no room
//! for: whoever listens must be able to ask for the state.

use super::{
    device,
    instance,
    link, //
};
use crate::{
    link::Link,
    mount::Mount,
    peer::Peer, //
};
use hmdfs_kapi::netlink::{
    multicast,
    uapi,
    Message, //
};
use kernel::prelude::*;

/// The mount was made, or is gone.
pub(crate) fn mount(mount: &Mount, mounted: bool) {
    send(mount, uapi::CMD_INSTANCE_NTF, |message| {
        instance::describe(mount, mounted, message)
    });
}

/// A device went online or offline.
pub(crate) fn device(mount: &Mount, peer: &Peer) {
    send(mount, uapi::CMD_DEVICE_NTF, |message| {
        device::describe(peer, message)
    });
}

/// A link changed its state.
pub(crate) fn link(mount: &Mount, link: &Link) {
    send(mount, uapi::CMD_LINK_NTF, |message| {
        link::describe(link, message)
    });
}

fn send(mount: &Mount, command: u32, write: impl FnOnce(&mut Message<'_>) -> Result) {
    if let Err(error) = multicast(&mount.net, command, uapi::GROUP_EVENTS, write) {
        pr_warn!("a notification was lost: {:?}\n", error);
    }
}
