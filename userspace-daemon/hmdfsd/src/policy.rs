// SPDX-License-Identifier: MIT OR Apache-2.0

//! What to tell the kernel so that it knows the devices of the configuration and no others.

use hmdfs_netlink::{Device, DeviceSettings, PeerId};

use crate::config::PeerConfig;

/// One request to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Forget a device, and with it all that it was allowed.
    Delete(PeerId),
    /// Make a device known, or change it.
    Set(DeviceSettings),
}

/// The requests that lead from what the kernel knows to what is configured. Deletions come first,
/// since a name or a number may pass to another device.
pub fn changes(known: &[Device], peers: &[PeerConfig]) -> Vec<Change> {
    let mut deletions = Vec::new();
    let mut kept = Vec::new();
    for device in known {
        let peer = peers.iter().find(|peer| peer.id.0 == device.peer_id);
        if peer.is_some_and(|peer| can_become(device, peer)) {
            kept.push(device);
        } else {
            deletions.push(Change::Delete(device.peer_id));
        }
    }
    let settings = peers.iter().map(settings).filter(|wanted| {
        let device = kept.iter().find(|device| device.peer_id == wanted.peer_id);
        !device.is_some_and(|device| is_as(device, wanted))
    });
    deletions.extend(settings.map(Change::Set));
    deletions
}

/// A level can be changed but not taken away, and a number stays: both need a new beginning. So
/// does a name, whose directory may have been looked up already.
fn can_become(device: &Device, peer: &PeerConfig) -> bool {
    device.number == peer.number
        && device.name == peer.name
        && (device.level.is_none() || peer.level.is_some())
}

fn settings(peer: &PeerConfig) -> DeviceSettings {
    DeviceSettings {
        peer_id: peer.id.0,
        number: peer.number,
        name: peer.name.clone(),
        access: peer.access,
        level: peer.level,
    }
}

fn is_as(device: &Device, wanted: &DeviceSettings) -> bool {
    device.number == wanted.number
        && device.name == wanted.name
        && device.access == wanted.access
        && device.level == wanted.level
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmdfs_netlink::Access;
    use hmdfs_tls::DeviceId;

    fn peer(octet: u8) -> PeerConfig {
        PeerConfig {
            id: DeviceId([octet; 32]),
            number: u32::from(octet),
            name: format!("peer{octet}"),
            addresses: Vec::new(),
            access: Access::Read,
            level: Some(3),
        }
    }

    fn known(peer: &PeerConfig) -> Device {
        Device {
            peer_id: peer.id.0,
            number: peer.number,
            name: peer.name.clone(),
            access: peer.access,
            level: peer.level,
            online: true,
            links: 1,
        }
    }

    #[test]
    fn nothing_changes_when_all_is_known() {
        let peers = [peer(1), peer(2)];
        let devices: Vec<_> = peers.iter().map(known).collect();
        assert!(changes(&devices, &peers).is_empty());
    }

    #[test]
    fn removed_devices_are_deleted_before_new_ones_are_set() {
        let new = peer(2);
        let result = changes(&[known(&peer(1))], std::slice::from_ref(&new));
        assert_eq!(
            result,
            [Change::Delete([1; 32]), Change::Set(settings(&new))]
        );
    }

    #[test]
    fn access_changes_in_place() {
        let mut now = peer(1);
        now.access = Access::None;
        let result = changes(&[known(&peer(1))], std::slice::from_ref(&now));
        assert_eq!(result, [Change::Set(settings(&now))]);
    }

    #[test]
    fn a_level_is_taken_away_by_forgetting_the_device() {
        let mut now = peer(1);
        now.level = None;
        let result = changes(&[known(&peer(1))], std::slice::from_ref(&now));
        assert_eq!(
            result,
            [Change::Delete([1; 32]), Change::Set(settings(&now))]
        );
    }

    #[test]
    fn what_the_kernel_does_not_know_is_set() {
        let peers = [peer(1)];
        assert_eq!(changes(&[], &peers), [Change::Set(settings(&peers[0]))]);
    }
}
