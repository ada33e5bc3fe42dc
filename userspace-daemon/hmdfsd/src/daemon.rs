// SPDX-License-Identifier: MIT OR Apache-2.0

//! The daemon proper: one task that owns all state and hears of everything through channels.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hmdfs_control::{Reply, Request};
use hmdfs_netlink::{Error, Event, Instance, Link, LinkRole, LinkState};
use hmdfs_tls::{Answer, DeviceId, Identity};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, error, info, warn};

use crate::config::Config;
use crate::kernel::{Kernel, Notice};
use crate::links::{preferred_role, superfluous, KnownLink, SIMULTANEOUS};
use crate::listener::Arrival;
use crate::numbers::Numbers;
use crate::peer::Peer;
use crate::policy::{changes, Change};
use crate::report;
use crate::service::{self, Order, Signals};
use crate::transport::{self, Connection};

/// A request of `hmdfsctl` and the way back.
pub type Question = (Request, oneshot::Sender<Reply>);
type Dialled = (DeviceId, Result<Connection, String>);

/// What the daemon hears from its other tasks.
#[derive(Debug)]
pub struct Inputs {
    /// From the kernel.
    pub notices: mpsc::Receiver<Notice>,
    /// From the listener.
    pub arrivals: mpsc::Receiver<Arrival>,
    /// From the control socket.
    pub questions: mpsc::Receiver<Question>,
    /// From the system.
    pub signals: Signals,
}

/// All state.
#[derive(Debug)]
pub struct Daemon {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) mount: Option<(Kernel, Instance)>,
    pub(crate) problem: String,
    pub(crate) peers: BTreeMap<DeviceId, Peer>,
    config_path: PathBuf,
    numbers: Numbers,
    links: HashMap<u32, KnownLink>,
    pins: watch::Sender<Arc<HashSet<DeviceId>>>,
    dialled: (mpsc::Sender<Dialled>, mpsc::Receiver<Dialled>),
}

impl Daemon {
    /// A daemon that knows the peers of `config`, whose numbers `numbers` has accepted.
    pub fn new(config_path: PathBuf, config: Config, identity: Identity, numbers: Numbers) -> Self {
        let mut daemon = Daemon {
            config,
            identity,
            mount: None,
            problem: "the kernel was not asked yet".to_owned(),
            peers: BTreeMap::new(),
            config_path,
            numbers,
            links: HashMap::new(),
            pins: watch::Sender::default(),
            dialled: mpsc::channel(64),
        };
        daemon.adopt_peers();
        daemon
    }

    /// The devices that may connect, always up to date.
    pub fn pins(&self) -> watch::Receiver<Arc<HashSet<DeviceId>>> {
        self.pins.subscribe()
    }

    /// Runs until the system ends the daemon.
    pub async fn run(mut self, mut inputs: Inputs) {
        loop {
            self.dial_due();
            let due = self.peers.values().filter_map(Peer::due).min();
            let due = due.filter(|_| self.mount.is_some());
            tokio::select! {
                Some(notice) = inputs.notices.recv() => self.on_notice(notice).await,
                Some(arrival) = inputs.arrivals.recv() => self.on_arrival(arrival).await,
                Some((peer, result)) = self.dialled.1.recv() => self.on_dialled(peer, result).await,
                Some((request, answer)) = inputs.questions.recv() => {
                    // Who asked may have gone.
                    let _ = answer.send(report::answer(&self, request).await);
                }
                order = inputs.signals.next() => match order {
                    Order::Reload => self.reload().await,
                    Order::ProveLife => service::alive(),
                    Order::Stop => return,
                },
                () = sleep_until(due) => {}
            }
        }
    }

    async fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Mounted(kernel, instance) => {
                info!("mount {}: taking care of it", instance.id);
                self.mount = Some((kernel, instance));
                self.synchronize().await;
            }
            Notice::NotMounted(problem) => {
                if self.mount.take().is_some() || self.problem != problem {
                    info!("{problem}");
                }
                self.problem = problem;
                self.links.clear();
                for peer in self.peers.values_mut() {
                    peer.rest();
                    peer.note("hmdfs is not mounted on this device".to_owned());
                }
            }
            Notice::Event(Event::Link(link)) => self.on_link(&link).await,
            Notice::Event(Event::Device(device)) => {
                let name = self.name_of(DeviceId(device.peer_id));
                debug!(
                    "{name}: {}",
                    if device.online { "online" } else { "offline" }
                );
            }
            Notice::Event(Event::Instance(_)) => {}
            Notice::Lost => {
                debug!("notifications were lost; asking again");
                self.synchronize().await;
            }
        }
    }

    /// Makes the kernel know the configured devices, and learns which links it has.
    async fn synchronize(&mut self) {
        let Some((kernel, _)) = self.mount.clone() else {
            return;
        };
        let peers: Vec<_> = self
            .peers
            .values()
            .map(|peer| peer.config.clone())
            .collect();
        let result = kernel
            .call(move |client| {
                let changes = changes(&client.devices()?, &peers);
                let mut refusals = Vec::new();
                for change in changes {
                    let (id, result) = match &change {
                        Change::Delete(id) => (*id, client.device_del(id)),
                        Change::Set(settings) => (settings.peer_id, client.device_set(settings)),
                    };
                    match result {
                        Err(Error::Refused(refusal)) => refusals.push((id, refusal)),
                        other => other?,
                    }
                }
                Ok((refusals, client.links()?))
            })
            .await;
        let (refusals, links) = match result {
            Ok(result) => result,
            Err(error) => {
                warn!("the kernel could not be told of the devices: {error}");
                return;
            }
        };
        for (id, refusal) in refusals {
            warn!(
                "{}: the kernel refused the device: {refusal}",
                self.name_of(DeviceId(id))
            );
        }
        let old = std::mem::take(&mut self.links);
        for link in links.iter().filter(|link| link.state != LinkState::Down) {
            let since = old.get(&link.id).and_then(|known| known.since);
            self.links.insert(link.id, known(link, since));
        }
        let ids: Vec<_> = self.peers.keys().copied().collect();
        for id in ids {
            let linked = self.is_linked(id);
            if let Some(peer) = self.peers.get_mut(&id) {
                if linked {
                    peer.rest();
                } else if peer.due().is_none() {
                    peer.dial_now(Instant::now());
                }
            }
            self.settle(id).await;
        }
    }

    async fn on_link(&mut self, link: &Link) {
        let id = DeviceId(link.peer_id);
        let now = Instant::now();
        let name = self.name_of(id);
        if link.state != LinkState::Down {
            let old = self.links.get(&link.id).copied();
            let was_up = old.is_some_and(|old| old.state == LinkState::Up);
            let is_up = link.state == LinkState::Up;
            let since = match old {
                Some(old) if was_up => old.since,
                _ => is_up.then_some(now),
            };
            self.links.insert(link.id, known(link, since));
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.rest();
            }
            if is_up && !was_up {
                info!("{name}: link {} is up ({})", link.id, link.role);
                self.settle(id).await;
            }
            return;
        }
        let old = self.links.remove(&link.id);
        let cause = match link.error {
            0 => format!("{}", link.down_reason),
            errno => {
                format!(
                    "{}: {}",
                    link.down_reason,
                    std::io::Error::from_raw_os_error(errno)
                )
            }
        };
        info!("{name}: link {} is down ({cause})", link.id);
        if self.is_linked(id) {
            return;
        }
        let up = old
            .and_then(|old| old.since)
            .map(|since| now.duration_since(since));
        // A link that was up before the daemon looked has lasted.
        let found_up = old.is_some_and(|old| old.state == LinkState::Up && old.since.is_none());
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.note(format!("the link went down: {cause}"));
            if found_up {
                peer.dial_now(now);
            } else {
                peer.lost(now, up);
            }
        }
    }

    /// Ends the links that a peer has too many.
    async fn settle(&mut self, id: DeviceId) {
        let links: Vec<_> = self
            .links
            .values()
            .filter(|l| l.peer == id.0)
            .copied()
            .collect();
        let preferred = preferred_role(self.identity.id(), id);
        let Some((kernel, _)) = self.mount.clone() else {
            return;
        };
        for link in superfluous(&links, preferred) {
            debug!("{}: ending link {link}: another one does", self.name_of(id));
            // The other side may have ended it already.
            if let Err(error) = kernel.call(move |client| client.link_del(link)).await {
                debug!("{}: ending link {link}: {error}", self.name_of(id));
            }
        }
    }

    async fn on_arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Asks(peer, answer) => {
                let _ = answer.send(self.decide(peer));
            }
            Arrival::Ready(connection) => self.add_link(connection, LinkRole::Acceptor).await,
        }
    }

    /// Whether an authenticated device gets the link that it asks for.
    fn decide(&self, id: DeviceId) -> Answer {
        if self.mount.is_none() {
            return Answer::NotMounted;
        }
        let preferred = preferred_role(self.identity.id(), id);
        // Both have dialled, and the link that stays is there already.
        let settled = self.links.values().any(|link| {
            link.peer == id.0
                && link.state == LinkState::Up
                && link.role == preferred
                && preferred == LinkRole::Initiator
                && link
                    .since
                    .is_some_and(|since| since.elapsed() < SIMULTANEOUS)
        });
        if settled {
            return Answer::Duplicate;
        }
        Answer::Accepted
    }

    async fn on_dialled(&mut self, id: DeviceId, result: Result<Connection, String>) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.end();
        }
        match result {
            Ok(connection) => self.add_link(connection, LinkRole::Initiator).await,
            Err(problem) => self.failed(id, problem),
        }
    }

    /// Hands a connection to the kernel and closes the daemon's own descriptor.
    async fn add_link(&mut self, connection: Connection, role: LinkRole) {
        let id = connection.peer;
        let name = self.name_of(id);
        let (Some((kernel, _)), true) = (self.mount.clone(), self.peers.contains_key(&id)) else {
            debug!("{name}: a connection is no longer wanted");
            return;
        };
        let added = kernel
            .call(move |client| {
                use std::os::fd::AsFd;
                client.link_add(&id.0, connection.socket.as_fd(), role)
            })
            .await;
        match added {
            Ok(link) => {
                debug!("{name}: link {link} is with the kernel ({role})");
                let link = KnownLink {
                    id: link,
                    peer: id.0,
                    role,
                    state: LinkState::Greeting,
                    since: None,
                };
                self.links.insert(link.id, link);
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.rest();
                    peer.note("the devices are greeting each other".to_owned());
                }
            }
            Err(error) => self.failed(id, format!("the kernel refused the link: {error}")),
        }
    }

    /// No link came about. Each problem is logged once, not at every attempt.
    fn failed(&mut self, id: DeviceId, problem: String) {
        let linked = self.is_linked(id);
        if let Some(peer) = self.peers.get_mut(&id) {
            if peer.note(problem.clone()) {
                info!("{}: {problem}", peer.config.name);
            } else {
                debug!("{}: {problem}", peer.config.name);
            }
            if !linked {
                peer.dial_later(Instant::now());
            }
        }
    }

    fn dial_due(&mut self) {
        if self.mount.is_none() {
            return;
        }
        let now = Instant::now();
        for (id, peer) in &mut self.peers {
            if self.links.values().any(|link| link.peer == id.0) {
                peer.rest();
            } else if peer.begin(now) {
                let (id, addresses) = (*id, peer.config.addresses.clone());
                let (identity, dialled) = (self.identity.clone(), self.dialled.0.clone());
                tokio::task::spawn_local(async move {
                    let result = transport::dial(&identity, id, &addresses).await;
                    let _ = dialled.send((id, result)).await;
                });
            }
        }
    }

    async fn reload(&mut self) {
        service::reloading();
        match self.load_again() {
            Ok(config) => {
                for (key, differs) in [
                    ("listen", config.listen != self.config.listen),
                    ("state-dir", config.state_dir != self.config.state_dir),
                    ("socket", config.socket != self.config.socket),
                ] {
                    if differs {
                        warn!("'{key}' has changed: restart hmdfsd for it to take effect");
                    }
                }
                self.config = config;
                self.adopt_peers();
                self.synchronize().await;
                info!(
                    "the configuration was read again: {} peers",
                    self.peers.len()
                );
            }
            Err(error) => error!("the configuration is as before: {error}"),
        }
        service::ready();
    }

    fn load_again(&mut self) -> Result<Config, String> {
        let path = &self.config_path;
        let config = Config::load(path).map_err(|error| error.to_string())?;
        let own = config.check_own(path, self.identity.id());
        own.map_err(|error| error.to_string())?;
        let claimed = self.numbers.claim(&config.peers);
        claimed.map_err(|problem| format!("{}: {problem}", path.display()))?;
        Ok(config)
    }

    /// Takes over the peers of the configuration, keeping what is known of those that stay.
    fn adopt_peers(&mut self) {
        let mut old = std::mem::take(&mut self.peers);
        for config in &self.config.peers {
            let peer = match old.remove(&config.id) {
                Some(mut peer) => {
                    if peer.config.addresses != config.addresses {
                        peer.dial_now(Instant::now());
                    }
                    peer.config = config.clone();
                    peer
                }
                None => Peer::new(config.clone(), self.identity.id() > config.id),
            };
            self.peers.insert(config.id, peer);
        }
        self.pins
            .send_replace(Arc::new(self.peers.keys().copied().collect()));
    }

    fn is_linked(&self, id: DeviceId) -> bool {
        self.links.values().any(|link| link.peer == id.0)
    }

    fn name_of(&self, id: DeviceId) -> String {
        let peer = self.peers.get(&id);
        peer.map_or_else(|| id.short(), |peer| peer.config.name.clone())
    }
}

fn known(link: &Link, since: Option<Instant>) -> KnownLink {
    KnownLink {
        id: link.id,
        peer: link.peer_id,
        role: link.role,
        state: link.state,
        since,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
