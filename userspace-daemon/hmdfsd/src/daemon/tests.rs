// SPDX-License-Identifier: MIT OR Apache-2.0

//! The daemon with a kernel that only takes notes.

use std::net::{TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hmdfs_control::{Device as Shown, Reply, Request, Status};
use hmdfs_netlink::{
    Device, DeviceSettings, DownReason, Link, LinkRole, LinkStats, PeerId, Refusal,
};
use hmdfs_tls::Answer;
use tempfile::TempDir;

use super::*;
use crate::kernel::Requests;

#[derive(Debug, Default)]
struct Notes {
    devices: Vec<Device>,
    links: Vec<Link>,
    deleted_links: Vec<u32>,
    refuse_links: Option<String>,
    next_link: u32,
}

#[derive(Clone, Debug, Default)]
struct FakeKernel(Arc<Mutex<Notes>>);

impl FakeKernel {
    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.0.lock().unwrap()
    }

    fn mount(&self, id: u32) -> Notice {
        let instance = Instance {
            id,
            mounted: true,
            ..Instance::default()
        };
        Notice::Mounted(Kernel::new(self.clone()), instance)
    }
}

impl Requests for FakeKernel {
    fn instance(&mut self) -> Result<Option<Instance>, Error> {
        Ok(None)
    }

    fn device_set(&mut self, settings: &DeviceSettings) -> Result<(), Error> {
        let mut notes = self.notes();
        notes
            .devices
            .retain(|device| device.peer_id != settings.peer_id);
        notes.devices.push(Device {
            peer_id: settings.peer_id,
            number: settings.number,
            name: settings.name.clone(),
            access: settings.access,
            level: settings.level,
            online: false,
            links: 0,
        });
        Ok(())
    }

    fn device_del(&mut self, peer: &PeerId) -> Result<(), Error> {
        self.notes()
            .devices
            .retain(|device| device.peer_id != *peer);
        Ok(())
    }

    fn devices(&mut self) -> Result<Vec<Device>, Error> {
        Ok(self.notes().devices.clone())
    }

    fn link_add(&mut self, _: &PeerId, _: BorrowedFd<'_>, _: LinkRole) -> Result<u32, Error> {
        let mut notes = self.notes();
        if let Some(message) = notes.refuse_links.clone() {
            return Err(Error::Refused(Refusal {
                errno: libc::EINVAL,
                message,
                offset: None,
                missing: None,
            }));
        }
        notes.next_link += 1;
        Ok(notes.next_link)
    }

    fn link_del(&mut self, link: u32) -> Result<(), Error> {
        self.notes().deleted_links.push(link);
        Ok(())
    }

    fn links(&mut self) -> Result<Vec<Link>, Error> {
        Ok(self.notes().links.clone())
    }
}

fn peer_section(octet: u8, name: &str, rest: &str) -> String {
    let id = DeviceId([octet; 32]);
    format!("[[peer]]\nid = '{id}'\nnumber = {octet}\nname = '{name}'\n{rest}\n")
}

/// Their IDs are smaller and larger than that of any daemon of these tests.
const SMALL: u8 = 1;
const LARGE: u8 = 255;

fn configure(directory: &Path, peers: &str) {
    let text = format!(
        "name = 'laptop'\nstate-dir = '{}'\n{peers}",
        directory.display()
    );
    std::fs::write(directory.join("hmdfsd.toml"), text).unwrap();
}

/// An identity whose ID lies between the small and the large.
fn identity() -> Identity {
    loop {
        let identity = Identity::generate().unwrap();
        if identity.id() > DeviceId([SMALL; 32]) && identity.id() < DeviceId([LARGE; 32]) {
            return identity;
        }
    }
}

fn daemon(peers: &str) -> (Daemon, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    configure(directory.path(), peers);
    let path = directory.path().join("hmdfsd.toml");
    let config = Config::load(&path).unwrap();
    let identity = identity();
    let mut numbers = Numbers::load(directory.path()).unwrap();
    numbers.claim(&config.peers).unwrap();
    (Daemon::new(path, config, identity, numbers), directory)
}

fn link(id: u32, octet: u8, role: LinkRole, state: LinkState) -> Link {
    Link {
        id,
        peer_id: [octet; 32],
        role,
        state,
        down_reason: DownReason::None,
        error: 0,
        stats: LinkStats::default(),
    }
}

fn up(id: u32, octet: u8, role: LinkRole) -> Notice {
    Notice::Event(Event::Link(link(id, octet, role, LinkState::Up)))
}

fn down(id: u32, octet: u8, reason: DownReason, error: i32) -> Notice {
    let mut link = link(id, octet, LinkRole::Initiator, LinkState::Down);
    link.down_reason = reason;
    link.error = error;
    Notice::Event(Event::Link(link))
}

fn connection(octet: u8) -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let connection = Connection {
        peer: DeviceId([octet; 32]),
        socket,
    };
    (connection, listener.accept().unwrap().0)
}

async fn status(daemon: &Daemon) -> Status {
    match report::answer(daemon, Request::Status).await {
        Reply::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

async fn shown(daemon: &Daemon, name: &str) -> Shown {
    let devices = status(daemon).await.devices;
    devices
        .into_iter()
        .find(|device| device.name == name)
        .unwrap()
}

async fn decision(daemon: &mut Daemon, octet: u8) -> Answer {
    let (answer, decision) = oneshot::channel();
    daemon
        .on_arrival(Arrival::Asks(DeviceId([octet; 32]), answer))
        .await;
    decision.await.unwrap()
}

#[tokio::test]
async fn a_mount_learns_of_the_configured_devices_and_forgets_others() {
    let peers =
        peer_section(SMALL, "tablet", "access = 'read'\nlevel = 3") + &peer_section(2, "phone", "");
    let (mut daemon, _directory) = daemon(&peers);
    let kernel = FakeKernel::default();
    let mut stranger = kernel.clone();
    let settings = DeviceSettings {
        peer_id: [9; 32],
        number: 9,
        name: "sold".into(),
        access: hmdfs_netlink::Access::Write,
        level: Some(5),
    };
    stranger.device_set(&settings).unwrap();
    daemon.on_notice(kernel.mount(7)).await;
    let mut names: Vec<_> = kernel
        .notes()
        .devices
        .iter()
        .map(|d| d.name.clone())
        .collect();
    names.sort();
    assert_eq!(names, ["phone", "tablet"]);
    let status = status(&daemon).await;
    assert_eq!(status.mount.map(|mount| mount.instance), Some(7));
    assert_eq!(status.problem, None);
    assert_eq!(status.devices[0].level, Some(3));
}

#[tokio::test]
async fn nobody_gets_a_link_without_a_mount() {
    let (mut daemon, _directory) = daemon(&peer_section(SMALL, "tablet", ""));
    assert_eq!(decision(&mut daemon, SMALL).await, Answer::NotMounted);
    let kernel = FakeKernel::default();
    daemon.on_notice(kernel.mount(1)).await;
    assert_eq!(decision(&mut daemon, SMALL).await, Answer::Accepted);
    daemon
        .on_notice(Notice::NotMounted("it was unmounted".into()))
        .await;
    assert_eq!(decision(&mut daemon, SMALL).await, Answer::NotMounted);
    assert_eq!(
        status(&daemon).await.problem.as_deref(),
        Some("it was unmounted")
    );
}

#[tokio::test]
async fn the_kernels_refusal_is_shown() {
    let (mut daemon, _directory) = daemon(&peer_section(SMALL, "tablet", ""));
    let kernel = FakeKernel::default();
    kernel.notes().refuse_links = Some("the socket does not run kTLS".into());
    daemon.on_notice(kernel.mount(1)).await;
    let (connection, _other) = connection(SMALL);
    daemon.on_arrival(Arrival::Ready(connection)).await;
    let reason = shown(&daemon, "tablet").await.reason.unwrap();
    assert!(reason.contains("the socket does not run kTLS"), "{reason}");
    assert!(!daemon.is_linked(DeviceId([SMALL; 32])));
}

#[tokio::test]
async fn the_daemon_keeps_no_descriptor_of_a_link() {
    let (mut daemon, _directory) = daemon(&peer_section(SMALL, "tablet", ""));
    let kernel = FakeKernel::default();
    daemon.on_notice(kernel.mount(1)).await;
    let (connection, other) = connection(SMALL);
    daemon.on_arrival(Arrival::Ready(connection)).await;
    assert!(daemon.is_linked(DeviceId([SMALL; 32])));
    // This kernel has no reference of its own, so the connection ends with the descriptor.
    let mut buffer = [0; 1];
    assert_eq!(std::io::Read::read(&mut { other }, &mut buffer).unwrap(), 0);
}

#[tokio::test]
async fn of_two_links_the_one_of_the_smaller_id_stays() {
    for (octet, spared, ended) in [(SMALL, 2, 1), (LARGE, 1, 2)] {
        let (mut daemon, _directory) = daemon(&peer_section(octet, "tablet", ""));
        let kernel = FakeKernel::default();
        daemon.on_notice(kernel.mount(1)).await;
        daemon.on_notice(up(1, octet, LinkRole::Initiator)).await;
        daemon.on_notice(up(2, octet, LinkRole::Acceptor)).await;
        assert_eq!(
            kernel.notes().deleted_links,
            [ended],
            "link {spared} should stay"
        );
    }
}

#[tokio::test]
async fn a_second_link_is_refused_when_ours_stays() {
    let (mut daemon, _directory) = daemon(&peer_section(LARGE, "tablet", ""));
    let kernel = FakeKernel::default();
    daemon.on_notice(kernel.mount(1)).await;
    daemon.on_notice(up(1, LARGE, LinkRole::Initiator)).await;
    assert_eq!(decision(&mut daemon, LARGE).await, Answer::Duplicate);
    daemon
        .on_notice(down(1, LARGE, DownReason::Closed, 0))
        .await;
    assert_eq!(decision(&mut daemon, LARGE).await, Answer::Accepted);
}

#[tokio::test]
async fn a_lost_link_says_why_and_is_dialled_again() {
    let peers = peer_section(LARGE, "tablet", "addresses = ['127.0.0.1:1']");
    let (mut daemon, _directory) = daemon(&peers);
    let kernel = FakeKernel::default();
    daemon.on_notice(kernel.mount(1)).await;
    let id = DeviceId([LARGE; 32]);
    assert!(daemon.peers[&id].due().is_some());
    daemon.on_notice(up(1, LARGE, LinkRole::Initiator)).await;
    assert!(daemon.peers[&id].due().is_none());
    daemon
        .on_notice(down(1, LARGE, DownReason::Timeout, libc::ETIMEDOUT))
        .await;
    assert!(daemon.peers[&id].due().is_some());
    let reason = shown(&daemon, "tablet").await.reason.unwrap();
    assert!(
        reason.contains("timeout") && reason.contains("timed out"),
        "{reason}"
    );
}

#[tokio::test]
async fn lost_notifications_are_made_up_for() {
    let peers = peer_section(LARGE, "tablet", "addresses = ['127.0.0.1:1']");
    let (mut daemon, _directory) = daemon(&peers);
    let kernel = FakeKernel::default();
    daemon.on_notice(kernel.mount(1)).await;
    let id = DeviceId([LARGE; 32]);
    kernel.notes().links = vec![
        link(4, LARGE, LinkRole::Initiator, LinkState::Up),
        link(3, LARGE, LinkRole::Initiator, LinkState::Down),
    ];
    daemon.on_notice(Notice::Lost).await;
    assert!(daemon.is_linked(id));
    assert!(daemon.peers[&id].due().is_none());
    kernel.notes().links.clear();
    daemon.on_notice(Notice::Lost).await;
    assert!(!daemon.is_linked(id));
    assert!(daemon.peers[&id].due().is_some());
}

#[tokio::test]
async fn reading_the_configuration_again_removes_and_adds_devices() {
    let (mut daemon, directory) = daemon(&peer_section(SMALL, "tablet", ""));
    let kernel = FakeKernel::default();
    daemon.on_notice(kernel.mount(1)).await;
    let pins = daemon.pins();
    configure(directory.path(), &peer_section(2, "phone", ""));
    daemon.reload().await;
    let names: Vec<_> = kernel
        .notes()
        .devices
        .iter()
        .map(|d| d.name.clone())
        .collect();
    assert_eq!(names, ["phone"]);
    assert_eq!(**pins.borrow(), HashSet::from([DeviceId([2; 32])]));
}

#[tokio::test]
async fn a_wrong_configuration_changes_nothing() {
    let (mut daemon, directory) = daemon(&peer_section(SMALL, "tablet", ""));
    let pins = daemon.pins();
    let own = daemon.identity.id();
    let reused = peer_section(2, "phone", "").replace("number = 2", "number = 1");
    let itself = format!("[[peer]]\nid = '{own}'\nnumber = 5\nname = 'me'\n");
    for wrong in ["nonsense".to_owned(), reused, itself] {
        configure(directory.path(), &wrong);
        assert!(daemon.load_again().is_err(), "{wrong}");
        daemon.reload().await;
        assert_eq!(**pins.borrow(), HashSet::from([DeviceId([SMALL; 32])]));
    }
}

/// From the first attempt to the link, with another daemon's listener.
#[tokio::test]
async fn a_device_that_is_due_is_dialled() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut daemon, _directory) = daemon(&peer_section(
        LARGE,
        "tablet",
        &format!("addresses = ['{address}']"),
    ));
    let kernel = FakeKernel::default();
    daemon.on_notice(kernel.mount(1)).await;
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            daemon.dial_due();
            let (stream, _) = listener.accept().await.unwrap();
            drop(stream);
            let (id, result) = daemon.dialled.1.recv().await.unwrap();
            daemon.on_dialled(id, result).await;
        })
        .await;
    let reason = shown(&daemon, "tablet").await.reason.unwrap();
    assert!(reason.contains(&address.to_string()), "{reason}");
    assert!(daemon.peers[&DeviceId([LARGE; 32])].due().is_some());
}

#[tokio::test]
async fn a_change_of_the_network_ends_the_waiting() {
    let peers = peer_section(LARGE, "tablet", "addresses = ['127.0.0.1:1']");
    let (mut daemon, _directory) = daemon(&peers);
    let kernel = FakeKernel::default();
    daemon.on_network_change();
    let id = DeviceId([LARGE; 32]);
    assert!(daemon.peers[&id].due().is_none(), "nothing is mounted");
    daemon.on_notice(kernel.mount(1)).await;
    for _ in 0..10 {
        daemon.failed(id, "no route".into());
    }
    let waiting = daemon.peers[&id].due().unwrap();
    daemon.on_network_change();
    assert!(daemon.peers[&id].due().unwrap() < waiting);
    daemon.on_notice(up(1, LARGE, LinkRole::Initiator)).await;
    daemon.on_network_change();
    assert!(daemon.peers[&id].due().is_none(), "it is linked");
}
