// SPDX-License-Identifier: GPL-2.0

//! Links.

use super::{
    device,
    mount_of, //
};
use crate::{
    link::{
        Counters,
        DownReason,
        Link,
        Role,
        StartError, //
    },
    mount::Mount,
    peer::{
        DeviceId,
        LinkRefusal,
        Peer, //
    },
};
use hmdfs_kapi::{
    errno::{
        EALREADY,
        ENOTCONN,
        ENOTSOCK,
        EOPNOTSUPP,
        EPROTONOSUPPORT, //
    },
    net::{
        tls::Unfit,
        Socket, //
    },
    netlink::{
        uapi,
        Dump,
        Message,
        Request, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(super) fn add(request: &Request<'_>) -> Result {
    let mount = mount_of(request)?;
    let peer = peer(request, &mount)?;
    let role = match request.u32(uapi::LINK_ROLE) {
        Some(0) => Role::Initiator,
        Some(1) => Role::Acceptor,
        _ => {
            return Err(request.refuse(
                EINVAL,
                c"role is missing: which side opened the TCP connection",
            ))
        }
    };
    let socket = socket(request, &mount)?;
    let id = Link::start(&mount, &peer, socket, role).map_err(|error| refusal(request, error))?;
    request.reply(|message| message.put_u32(uapi::LINK_ID, id))
}

fn peer(request: &Request<'_>, mount: &Mount) -> Result<Arc<Peer>> {
    let id = request
        .bytes(uapi::LINK_PEER_ID)
        .and_then(DeviceId::new)
        .ok_or_else(|| {
            request.refuse(
                EINVAL,
                c"peer-id is missing: the SHA-256 of the device's public key",
            )
        })?;
    mount
        .peers
        .by_id(&id)
        .ok_or_else(|| device::unknown(request, uapi::LINK_PEER_ID))
}

fn socket(request: &Request<'_>, mount: &Mount) -> Result<Socket> {
    let fd = request.s32(uapi::LINK_SOCKFD).ok_or_else(|| {
        request.refuse(
            EINVAL,
            c"sockfd is missing: a connected TCP socket with kTLS 1.3",
        )
    })?;
    let socket = Socket::from_fd(fd).map_err(|error| {
        if error == ENOTSOCK {
            request.refuse_attribute(error, uapi::LINK_SOCKFD, c"sockfd is not a socket")
        } else {
            request.refuse_attribute(error, uapi::LINK_SOCKFD, c"sockfd is not an open file")
        }
    })?;
    if *socket.namespace() != *mount.net {
        return Err(request.refuse_attribute(
            EXDEV,
            uapi::LINK_SOCKFD,
            c"the socket is of another network namespace than the mount",
        ));
    }
    Ok(socket)
}

fn refusal(request: &Request<'_>, error: StartError) -> Error {
    let attribute = uapi::LINK_SOCKFD;
    match error {
        StartError::Unfit(Unfit::NotTcp) => {
            request.refuse_attribute(EOPNOTSUPP, attribute, c"the socket is not a TCP socket")
        }
        StartError::Unfit(Unfit::NotEstablished) => {
            request.refuse_attribute(ENOTCONN, attribute, c"the socket is not connected")
        }
        StartError::Unfit(Unfit::NoTls) => request.refuse_attribute(
            EPROTONOSUPPORT,
            attribute,
            c"the socket has no kTLS; set TCP_ULP to \"tls\" and the keys first",
        ),
        StartError::Unfit(Unfit::NoSendKeys) => request.refuse_attribute(
            EPROTONOSUPPORT,
            attribute,
            c"the socket has no kTLS keys for sending; set TLS_TX first",
        ),
        StartError::Unfit(Unfit::NoReceiveKeys) => request.refuse_attribute(
            EPROTONOSUPPORT,
            attribute,
            c"the socket has no kTLS keys for receiving; set TLS_RX first",
        ),
        StartError::Unfit(Unfit::NotVersion13) => request.refuse_attribute(
            EPROTONOSUPPORT,
            attribute,
            c"the socket has another TLS version than 1.3",
        ),
        StartError::InUse => {
            request.refuse_attribute(EALREADY, attribute, c"the socket is a link already")
        }
        StartError::Unmounting => request.refuse(ENODEV, c"hmdfs is being unmounted"),
        StartError::Refused(LinkRefusal::TooMany) => request.refuse(
            EBUSY,
            c"the device has four links already; delete one first",
        ),
        StartError::Refused(LinkRefusal::Forgotten) => {
            request.refuse(ENOENT, c"the device was deleted meanwhile")
        }
        StartError::Other(error) => error,
    }
}

pub(super) fn delete(request: &Request<'_>) -> Result {
    let mount = mount_of(request)?;
    if let Some(id) = request.u32(uapi::LINK_ID) {
        find(request, &mount, id)?.end(DownReason::Admin, 0);
        return Ok(());
    }
    if request.bytes(uapi::LINK_PEER_ID).is_none() {
        return Err(request.refuse(
            EINVAL,
            c"neither the link (id) nor the device (peer-id) is named",
        ));
    }
    for link in peer(request, &mount)?.links().into_iter().flatten() {
        link.end(DownReason::Admin, 0);
    }
    Ok(())
}

pub(super) fn get(request: &Request<'_>) -> Result {
    let mount = mount_of(request)?;
    let id = request
        .u32(uapi::LINK_ID)
        .ok_or_else(|| request.refuse(EINVAL, c"id is missing: the number of the link"))?;
    let link = find(request, &mount, id)?;
    request.reply(|message| describe(&link, message))
}

fn find(request: &Request<'_>, mount: &Mount, id: u32) -> Result<Arc<Link>> {
    mount
        .peers
        .find_link(|link| (link.id() == id).then(|| link.clone()))
        .ok_or_else(|| {
            request.refuse_attribute(ENOENT, uapi::LINK_ID, c"there is no link of this number")
        })
}

pub(super) fn dump(mount: &Mount, dump: &mut Dump<'_>) -> Result {
    // By number, so that links that come and go between two parts do not matter.
    while let Some(link) = next(mount, dump.state()) {
        dump.entry(|message| describe(&link, message))?;
        dump.set_state(link.id().saturating_add(1) as usize);
    }
    Ok(())
}

/// The link with the smallest number that is not below `number`.
fn next(mount: &Mount, number: usize) -> Option<Arc<Link>> {
    let number = u32::try_from(number).ok()?;
    let mut found: Option<Arc<Link>> = None;
    mount.peers.find_link(|link| {
        let closer = found.as_ref().is_none_or(|best| link.id() < best.id());
        if link.id() >= number && closer {
            found = Some(link.clone());
        }
        None::<()>
    });
    found
}

pub(super) fn describe(link: &Link, message: &mut Message<'_>) -> Result {
    let (reason, errno) = link.down();
    message.put_u32(uapi::LINK_ID, link.id())?;
    message.put_bytes(uapi::LINK_PEER_ID, link.peer().id().as_bytes())?;
    message.put_u32(uapi::LINK_ROLE, link.role() as u32)?;
    message.put_u32(uapi::LINK_STATE, link.state() as u32)?;
    if reason != DownReason::None {
        message.put_u32(uapi::LINK_DOWN_REASON, reason as u32)?;
        if errno != 0 {
            message.put_u32(uapi::LINK_ERROR, errno)?;
        }
    }
    let in_flight = link.in_flight().into();
    message.nest(uapi::LINK_STATS, |message| {
        counters(link.counters(), in_flight, message)
    })
}

fn counters(counters: &Counters, in_flight: u32, message: &mut Message<'_>) -> Result {
    message.put_uint(uapi::STATS_REQUESTS_SENT, counters.requests_sent.get())?;
    message.put_uint(
        uapi::STATS_REQUESTS_RECEIVED,
        counters.requests_received.get(),
    )?;
    message.put_uint(
        uapi::STATS_REPLIES_RECEIVED,
        counters.replies_received.get(),
    )?;
    message.put_uint(uapi::STATS_RX_BYTES, counters.rx_bytes.get())?;
    message.put_uint(uapi::STATS_TX_BYTES, counters.tx_bytes.get())?;
    message.put_uint(uapi::STATS_TIMEOUTS, counters.timeouts.get())?;
    message.put_u32(uapi::STATS_INFLIGHT, in_flight)?;
    message.put_u32(uapi::STATS_RTT_USEC, counters.rtt())
}
