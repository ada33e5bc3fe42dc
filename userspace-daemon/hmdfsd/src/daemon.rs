// SPDX-License-Identifier: MIT OR Apache-2.0

//! The daemon proper: one task that owns all state and hears of everything through channels.

mod linking;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hmdfs_control::{Reply, Request};
use hmdfs_netlink::{Error, Event, Instance, LinkState};
use hmdfs_tls::{DeviceId, Identity};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, error, info, warn};

use crate::config::Config;
use crate::kernel::{Kernel, Notice};
use crate::links::KnownLink;
use crate::listener::Arrival;
use crate::numbers::Numbers;
use crate::peer::Peer;
use crate::policy::{changes, Change};
use crate::report;
use crate::service::{self, Order, Signals};
use crate::transport::Connection;

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
    /// From the network.
    pub changes: mpsc::Receiver<()>,
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
                Some(()) = inputs.changes.recv() => self.on_network_change(),
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
                debug!("asking the kernel again for everything");
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
            self.links.insert(link.id, KnownLink::of(link, since));
        }
        let ids: Vec<_> = self.peers.keys().copied().collect();
        for id in ids {
            let linked = self.is_linked(id);
            if let Some(peer) = self.peers.get_mut(&id) {
                if linked {
                    peer.rest();
                } else if peer.is_idle() {
                    peer.dial_now(Instant::now());
                }
            }
            self.settle(id).await;
        }
    }

    /// What failed before may succeed now.
    fn on_network_change(&mut self) {
        if self.mount.is_none() {
            return;
        }
        let now = Instant::now();
        for (id, peer) in &mut self.peers {
            if !self.links.values().any(|link| link.peer == id.0) {
                peer.dial_now(now);
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

    fn name_of(&self, id: DeviceId) -> String {
        let peer = self.peers.get(&id);
        peer.map_or_else(|| id.short(), |peer| peer.config.name.clone())
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
