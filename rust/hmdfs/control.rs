// SPDX-License-Identifier: GPL-2.0

//! The netlink interface to the daemon (Documentation/netlink/specs/hmdfs.yaml).
//!
//! A command acts on the mount of the network namespace that its socket is in.
//! Every refusal says why in words.

mod device;
mod instance;
mod link;
pub(crate) mod notify;

use crate::mount::{
    self,
    Mount, //
};
use hmdfs_kapi::{
    errno::EOPNOTSUPP,
    netlink::{
        uapi,
        Dump,
        Handler,
        Request, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The commands of the family.
pub(crate) struct Control;

impl Handler for Control {
    fn doit(command: u32, request: &Request<'_>) -> Result {
        match command {
            uapi::CMD_INSTANCE_GET => instance::get(request),
            uapi::CMD_DEVICE_SET => device::set(request),
            uapi::CMD_DEVICE_DEL => device::delete(request),
            uapi::CMD_DEVICE_GET => device::get(request),
            uapi::CMD_LINK_ADD => link::add(request),
            uapi::CMD_LINK_DEL => link::delete(request),
            uapi::CMD_LINK_GET => link::get(request),
            _ => Err(request.refuse(EOPNOTSUPP, c"this kernel does not have the command")),
        }
    }

    fn dumpit(command: u32, dump: &mut Dump<'_>) -> Result {
        // A namespace without a mount has nothing to list.
        let Some(mount) = mount::find(dump.net()) else {
            return Ok(());
        };
        match command {
            uapi::CMD_DEVICE_GET => device::dump(&mount, dump),
            uapi::CMD_LINK_GET => link::dump(&mount, dump),
            _ => Err(EOPNOTSUPP.into()),
        }
    }
}

/// The mount that a command is for.
fn mount_of(request: &Request<'_>) -> Result<Arc<Mount>> {
    mount::find(request.net()).ok_or_else(|| {
        request.refuse(
            ENODEV,
            c"no hmdfs is mounted in this network namespace; mount one first",
        )
    })
}
