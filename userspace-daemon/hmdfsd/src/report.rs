// SPDX-License-Identifier: MIT OR Apache-2.0

//! Answers what `hmdfsctl` asks.

use hmdfs_control::{Device, Failure, FailureCode, Link, LinkStats, Mount, Reply, Request, Status};
use hmdfs_tls::DeviceId;

use crate::daemon::Daemon;
use crate::peer::Peer;

/// Answers one request.
pub async fn answer(daemon: &Daemon, request: Request) -> Reply {
    let result = match request {
        Request::Status => status(daemon).await.map(Reply::Status),
        Request::Devices => devices(daemon).await.map(Reply::Devices),
        Request::Links => links(daemon).await.map(Reply::Links),
    };
    result.unwrap_or_else(|error| {
        Reply::Error(Failure {
            code: FailureCode::Kernel,
            message: error.to_string(),
        })
    })
}

async fn status(daemon: &Daemon) -> Result<Status, hmdfs_netlink::Error> {
    let mount = daemon.mount.as_ref().map(|(_, instance)| Mount {
        instance: instance.id,
        protocol_min: instance.protocol_min,
        protocol_max: instance.protocol_max,
        features: instance.features,
    });
    Ok(Status {
        id: daemon.identity.id().to_string(),
        name: daemon.config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        listen: daemon.config.listen.clone(),
        problem: mount.is_none().then(|| daemon.problem.clone()),
        mount,
        devices: devices(daemon).await?,
    })
}

async fn devices(daemon: &Daemon) -> Result<Vec<Device>, hmdfs_netlink::Error> {
    let known = match &daemon.mount {
        Some((kernel, _)) => kernel.call(|requests| requests.devices()).await?,
        None => Vec::new(),
    };
    let mut devices: Vec<_> = daemon
        .peers
        .iter()
        .map(|(id, peer)| device(peer, known.iter().find(|known| known.peer_id == id.0)))
        .collect();
    devices.sort_by_key(|device| device.number);
    Ok(devices)
}

fn device(peer: &Peer, known: Option<&hmdfs_netlink::Device>) -> Device {
    let config = &peer.config;
    let online = known.is_some_and(|known| known.online);
    Device {
        id: config.id.to_string(),
        number: config.number,
        name: config.name.clone(),
        access: config.access.to_string(),
        level: config.level,
        addresses: config.addresses.clone(),
        online,
        links: known.map_or(0, |known| known.links),
        reason: (!online).then(|| peer.reason.clone()),
    }
}

async fn links(daemon: &Daemon) -> Result<Vec<Link>, hmdfs_netlink::Error> {
    let Some((kernel, _)) = &daemon.mount else {
        return Ok(Vec::new());
    };
    let mut links: Vec<_> = kernel
        .call(|requests| requests.links())
        .await?
        .iter()
        .map(|l| link(daemon, l))
        .collect();
    links.sort_by_key(|link| link.id);
    Ok(links)
}

fn link(daemon: &Daemon, link: &hmdfs_netlink::Link) -> Link {
    let id = DeviceId(link.peer_id);
    let stats = link.stats;
    Link {
        id: link.id,
        peer_id: id.to_string(),
        device: daemon.peers.get(&id).map(|peer| peer.config.name.clone()),
        role: link.role.to_string(),
        state: link.state.to_string(),
        down_reason: link.down_reason.to_string(),
        error: link.error,
        stats: LinkStats {
            requests_sent: stats.requests_sent,
            requests_received: stats.requests_received,
            replies_received: stats.replies_received,
            rx_bytes: stats.rx_bytes,
            tx_bytes: stats.tx_bytes,
            timeouts: stats.timeouts,
            inflight: stats.inflight,
            rtt_usec: stats.rtt_usec,
        },
    }
}
