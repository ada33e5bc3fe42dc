// SPDX-License-Identifier: GPL-2.0

//! Devices.

use super::mount_of;
use crate::{
    mount::Mount,
    peer::{
        DeviceId,
        DeviceName,
        DeviceSettings,
        Peer,
        SettingsError, //
    },
};
use hmdfs_kapi::{
    errno::ENOTUNIQ,
    netlink::{
        uapi,
        Dump,
        Message,
        Request, //
    }, //
};
use hmdfs_model::security::{
    Access,
    Level, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(super) fn set(request: &Request<'_>) -> Result {
    let mount = mount_of(request)?;
    let settings = settings(request)?;
    let before = mount
        .peers
        .by_id(&settings.id)
        .map(|peer| (peer.access(), peer.level()));
    mount.peers.set(&settings).map_err(|error| match error {
        SettingsError::NumberMissing => request.refuse(EINVAL, c"a new device needs a number"),
        SettingsError::NameMissing => request.refuse(EINVAL, c"a new device needs a name"),
        SettingsError::NumberFixed => request.refuse_attribute(
            EINVAL,
            uapi::DEVICE_NUMBER,
            c"the device has another number, which it keeps for ever",
        ),
        SettingsError::NumberTaken => request.refuse_attribute(
            ENOTUNIQ,
            uapi::DEVICE_NUMBER,
            c"another device has this number; numbers are never used again",
        ),
        SettingsError::NameTaken => request.refuse_attribute(
            ENOTUNIQ,
            uapi::DEVICE_NAME,
            c"another device has this name; choose another one",
        ),
        SettingsError::Unmounting => request.refuse(ENODEV, c"hmdfs is being unmounted"),
        SettingsError::Memory => ENOMEM,
    })?;
    let peer = mount.peers.by_id(&settings.id);
    if let (Some(before), Some(peer), Some(share)) = (before, peer, mount.share()) {
        if before != (peer.access(), peer.level()) {
            // What it may not read any more, it is to be told the next time that it asks.
            share.export.leases().break_all(&peer);
        }
    }
    Ok(())
}

fn settings(request: &Request<'_>) -> Result<DeviceSettings> {
    let name = match request.string(uapi::DEVICE_NAME) {
        None => None,
        Some(bytes) => Some(DeviceName::new(bytes).ok_or_else(|| {
            request.refuse_attribute(
                EINVAL,
                uapi::DEVICE_NAME,
                c"not the name of a device: 1 to 63 bytes without '/', and none of '.', '..', 'local' and 'merge'",
            )
        })?),
    };
    let access = match request.u32(uapi::DEVICE_ACCESS) {
        None => None,
        Some(0) => Some(Access::None),
        Some(1) => Some(Access::Read),
        Some(2) => Some(Access::Write),
        Some(_) => {
            return Err(request.refuse_attribute(
                EINVAL,
                uapi::DEVICE_ACCESS,
                c"access is one of none, read and write",
            ))
        }
    };
    let level = match request.u32(uapi::DEVICE_LEVEL) {
        None => None,
        Some(number) => {
            let level = u8::try_from(number).ok().and_then(Level::new);
            Some(level.ok_or_else(|| {
                request.refuse_attribute(
                    EINVAL,
                    uapi::DEVICE_LEVEL,
                    c"a level is a number from 1 to 5",
                )
            })?)
        }
    };
    Ok(DeviceSettings {
        id: id(request)?,
        number: request.u32(uapi::DEVICE_NUMBER),
        name,
        access,
        level,
    })
}

fn id(request: &Request<'_>) -> Result<DeviceId> {
    request
        .bytes(uapi::DEVICE_PEER_ID)
        .and_then(DeviceId::new)
        .ok_or_else(|| {
            request.refuse(
                EINVAL,
                c"peer-id is missing: the SHA-256 of the device's public key",
            )
        })
}

pub(super) fn unknown(request: &Request<'_>, attribute: u32) -> Error {
    request.refuse_attribute(
        ENOENT,
        attribute,
        c"the device is not known here; make it known with device-set",
    )
}

pub(super) fn delete(request: &Request<'_>) -> Result {
    let mount = mount_of(request)?;
    if mount.peers.remove(&id(request)?) {
        Ok(())
    } else {
        Err(unknown(request, uapi::DEVICE_PEER_ID))
    }
}

pub(super) fn get(request: &Request<'_>) -> Result {
    let mount = mount_of(request)?;
    let peer = mount
        .peers
        .by_id(&id(request)?)
        .ok_or_else(|| unknown(request, uapi::DEVICE_PEER_ID))?;
    request.reply(|message| describe(&peer, message))
}

pub(super) fn dump(mount: &Mount, dump: &mut Dump<'_>) -> Result {
    // By number, so that devices that come and go between two parts do not matter.
    while let Some(peer) = next(mount, dump.state()) {
        dump.entry(|message| describe(&peer, message))?;
        dump.set_state(peer.number().saturating_add(1) as usize);
    }
    Ok(())
}

fn next(mount: &Mount, number: usize) -> Option<Arc<Peer>> {
    mount.peers.at_or_after(u32::try_from(number).ok()?)
}

pub(super) fn describe(peer: &Peer, message: &mut Message<'_>) -> Result {
    let links = peer.links_up();
    message.put_bytes(uapi::DEVICE_PEER_ID, peer.id().as_bytes())?;
    message.put_u32(uapi::DEVICE_NUMBER, peer.number())?;
    message.put_string(uapi::DEVICE_NAME, peer.name().as_bytes())?;
    message.put_u32(uapi::DEVICE_ACCESS, peer.access() as u32)?;
    if let Some(level) = peer.level() {
        message.put_u32(uapi::DEVICE_LEVEL, level.number().into())?;
    }
    message.put_u8(uapi::DEVICE_ONLINE, peer.is_online().into())?;
    message.put_u32(uapi::DEVICE_LINKS, links)
}
