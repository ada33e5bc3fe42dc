// SPDX-License-Identifier: MIT OR Apache-2.0

//! The netlink interface: what it does, and that every "no" says why.

use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use hmdfs_netlink::{
    Access, Client, DeviceSettings, Error, Event, Events, LinkRole, PeerId, Refusal,
};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;

use crate::device::Device;
use crate::fleet;
use crate::module;
use crate::netns::Namespace;
use crate::storage::Storage;
use crate::suite::support::same;
use crate::suite::{tests, Group};
use crate::wait::{self, PATIENCE};

/// Mounts without a daemon.
pub const GROUP: Group = Group {
    name: "control",
    fleet: None,
    seconds: 1,
    tests: tests![
        Alone: tells_about_the_mount,
        announces_mounts,
        keeps_devices,
        refuses_bad_devices,
        refuses_what_is_no_tls_connection,
        refuses_links_of_unknown_devices,
        refuses_the_unprivileged,
        shows_each_namespace_its_own,
    ],
};

const PEER: PeerId = [7; 32];

/// A device that is mounted and has no daemon.
fn prepared() -> Result<Device> {
    fleet::clean()?;
    module::ensure_loaded()?;
    let namespace = Namespace::create("laptop")?;
    let mut device = Device::create("laptop", Some(namespace), Storage::Memory(16))?;
    device.mount()?;
    Ok(device)
}

fn client(device: &Device) -> Result<Client> {
    device.enter(|| Ok(Client::connect()?))
}

fn settings(number: u32, name: &str) -> DeviceSettings {
    DeviceSettings {
        peer_id: PEER,
        number,
        name: name.to_owned(),
        access: Access::Read,
        level: Some(3),
    }
}

/// The kernel's words, which must be there.
fn refused<T>(what: &str, result: Result<T, Error>) -> Result<Refusal> {
    match result {
        Ok(_) => bail!("{what} was not refused"),
        Err(Error::Refused(refusal)) => {
            ensure!(
                !refusal.message.is_empty() || refusal.offset.is_some(),
                "{what} was refused without a word: {refusal}"
            );
            Ok(refusal)
        }
        Err(error) => Err(error).context(format!("{what} failed otherwise")),
    }
}

fn tells_about_the_mount() -> Result<()> {
    let mut device = prepared()?;
    let mut client = client(&device)?;
    let first = client.instance()?.context("there is no mount")?;
    ensure!(first.mounted, "it is not mounted");
    ensure!(
        first.protocol_min >= 1 && first.protocol_min <= first.protocol_max,
        "odd versions: {first:?}"
    );
    device.umount()?;
    same("the mount after unmounting", client.instance()?, None)?;
    device.mount()?;
    let second = client.instance()?.context("there is no second mount")?;
    ensure!(
        second.id != first.id,
        "the number {} was used again",
        first.id
    );
    ensure!(second.epoch != first.epoch, "the epoch was used again");
    device.close()
}

fn next_instance(events: &mut Events) -> Result<bool> {
    let mut mounted = None;
    wait::until("a notification", PATIENCE, || {
        for event in events.take()? {
            if let Event::Instance(instance) = event {
                mounted = Some(instance.mounted);
            }
        }
        Ok(mounted.is_some())
    })?;
    mounted.context("no notification of a mount")
}

fn announces_mounts() -> Result<()> {
    let mut device = prepared()?;
    let mut events = device.enter(|| Ok(Client::connect()?.subscribe()?))?;
    device.umount()?;
    same("mounted", next_instance(&mut events)?, false)?;
    device.mount()?;
    same("mounted", next_instance(&mut events)?, true)?;
    device.close()
}

fn keeps_devices() -> Result<()> {
    let device = prepared()?;
    let mut client = client(&device)?;
    same("devices at first", client.devices()?, vec![])?;
    client.device_set(&settings(4, "tablet"))?;
    let mut renamed = settings(4, "old tablet");
    renamed.access = Access::Write;
    renamed.level = None;
    client.device_set(&renamed)?;
    let devices = client.devices()?;
    same("devices", devices.len(), 1)?;
    let found = &devices[0];
    same("name", found.name.as_str(), "old tablet")?;
    same("number", found.number, 4)?;
    same("access", found.access, Access::Write)?;
    same("level, which was not given again", found.level, Some(3))?;
    ensure!(!found.online, "online without a link");
    client.device_del(&PEER)?;
    same("devices at last", client.devices()?, vec![])?;
    refused("forgetting it again", client.device_del(&PEER))?;
    device.close()
}

fn refuses_bad_devices() -> Result<()> {
    let device = prepared()?;
    let mut client = client(&device)?;
    for name in ["", ".", "..", "a/b", "local", "merge", &"n".repeat(64)] {
        let result = client.device_set(&settings(1, name));
        refused(&format!("the name {name:?}"), result)?;
    }
    for number in [0, 4096, u32::MAX] {
        let result = client.device_set(&settings(number, "tablet"));
        refused(&format!("the number {number}"), result)?;
    }
    for level in [0, 6] {
        let mut bad = settings(1, "tablet");
        bad.level = Some(level);
        refused(&format!("the level {level}"), client.device_set(&bad))?;
    }
    client.device_set(&settings(1, "tablet"))?;
    let mut other = settings(1, "phone");
    other.peer_id = [8; 32];
    refused("a number that is taken", client.device_set(&other))?;
    let mut other = settings(2, "tablet");
    other.peer_id = [8; 32];
    refused("a name that is taken", client.device_set(&other))?;
    same("devices", client.devices()?.len(), 1)?;
    device.close()
}

fn add(client: &mut Client, socket: BorrowedFd<'_>) -> Result<u32, Error> {
    client.link_add(&PEER, socket, LinkRole::Initiator)
}

fn refuses_what_is_no_tls_connection() -> Result<()> {
    let device = prepared()?;
    let mut client = client(&device)?;
    client.device_set(&settings(1, "tablet"))?;
    let (listener, connected, datagrams) = device.enter(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let connected = TcpStream::connect(listener.local_addr()?)?;
        Ok((listener, connected, UdpSocket::bind("127.0.0.1:0")?))
    })?;
    let refusal = refused("a plain connection", add(&mut client, connected.as_fd()))?;
    ensure!(
        refusal.message.contains("TLS"),
        "the message does not say what is missing: {refusal}"
    );
    refused("a listening socket", add(&mut client, listener.as_fd()))?;
    refused("a UDP socket", add(&mut client, datagrams.as_fd()))?;
    let file = File::open("/proc/self/status")?;
    refused("a file", add(&mut client, file.as_fd()))?;
    same("links", client.links()?, vec![])?;
    // It is still the user's: the kernel kept no hold on it.
    connected.set_read_timeout(Some(Duration::from_secs(1)))?;
    same("its peer", connected.peer_addr()?, listener.local_addr()?)?;
    device.close()
}

fn refuses_links_of_unknown_devices() -> Result<()> {
    let device = prepared()?;
    let mut client = client(&device)?;
    let connected = device.enter(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok(TcpStream::connect(listener.local_addr()?)?)
    })?;
    refused("a link", add(&mut client, connected.as_fd()))?;
    refused("ending no link", client.link_del(12_345))?;
    device.close()
}

fn refuses_the_unprivileged() -> Result<()> {
    let device = prepared()?;
    device.enter(|| {
        let mut client = Client::connect()?;
        let nobody = Uid::from_raw(65534);
        // This thread only, which ends here.
        set_thread_res_uid(nobody, nobody, nobody)?;
        let errno = |result: Result<(), Error>| match result {
            Err(Error::Refused(refusal)) => Some(refusal.errno),
            _ => None,
        };
        let denied = Some(libc::EPERM);
        same("asking", errno(client.instance().map(drop)), denied)?;
        same("listing", errno(client.devices().map(drop)), denied)?;
        let result = client.device_set(&settings(1, "tablet"));
        same("changing", errno(result), denied)?;
        ensure!(client.subscribe().is_err(), "anyone can listen");
        Ok(())
    })?;
    device.close()
}

fn shows_each_namespace_its_own() -> Result<()> {
    let device = prepared()?;
    let mut here = client(&device)?;
    here.device_set(&settings(1, "tablet"))?;
    let elsewhere = Namespace::create("elsewhere")?;
    let mut there = elsewhere.enter(|| Ok(Client::connect()?))?;
    same("the mount elsewhere", there.instance()?, None)?;
    refused(
        "a device elsewhere",
        there.device_set(&settings(2, "phone")),
    )?;
    same("devices here", here.devices()?.len(), 1)?;
    drop(elsewhere);
    device.close()
}
