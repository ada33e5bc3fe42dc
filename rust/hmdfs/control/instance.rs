// SPDX-License-Identifier: GPL-2.0

//! The mount itself.

use super::mount_of;
use crate::{
    link::FEATURES,
    mount::Mount, //
};
use hmdfs_kapi::netlink::{
    uapi,
    Message,
    Request, //
};
use hmdfs_proto::{
    VERSION_MAX,
    VERSION_MIN, //
};
use kernel::prelude::*;

pub(super) fn get(request: &Request<'_>) -> Result {
    let mount = mount_of(request)?;
    request.reply(|message| describe(&mount, true, message))
}

pub(super) fn describe(mount: &Mount, mounted: bool, message: &mut Message<'_>) -> Result {
    message.put_u32(uapi::INSTANCE_ID, mount.id)?;
    message.put_u8(uapi::INSTANCE_MOUNTED, mounted.into())?;
    message.put_u32(uapi::INSTANCE_PROTOCOL_MIN, VERSION_MIN.into())?;
    message.put_u32(uapi::INSTANCE_PROTOCOL_MAX, VERSION_MAX.into())?;
    message.put_uint(uapi::INSTANCE_FEATURES, FEATURES)?;
    message.put_uint(uapi::INSTANCE_EPOCH, mount.epoch)
}
