// SPDX-License-Identifier: MIT OR Apache-2.0

//! How links come about, how they end, and what follows from it.

use std::os::fd::AsFd;
use std::time::Instant;

use hmdfs_netlink::{Link, LinkRole, LinkState};
use hmdfs_tls::{Answer, DeviceId};
use tracing::{debug, info};

use super::Daemon;
use crate::links::{preferred_role, superfluous, KnownLink, SIMULTANEOUS};
use crate::listener::Arrival;
use crate::transport::{self, Connection};

impl Daemon {
    pub(super) async fn on_link(&mut self, link: &Link) {
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
            self.links.insert(link.id, KnownLink::of(link, since));
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
    pub(super) async fn settle(&mut self, id: DeviceId) {
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

    pub(super) async fn on_arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Asks(peer, answer) => {
                let _ = answer.send(self.decide(peer));
            }
            Arrival::Ready(connection) => self.add_link(connection, LinkRole::Acceptor).await,
        }
    }

    /// Whether an authenticated device gets the link that it asks for.
    fn decide(&mut self, id: DeviceId) -> Answer {
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
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.expect(Instant::now());
        }
        Answer::Accepted
    }

    pub(super) async fn on_dialled(&mut self, id: DeviceId, result: Result<Connection, String>) {
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
            .call(move |client| client.link_add(&id.0, connection.socket.as_fd(), role))
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
    pub(super) fn failed(&mut self, id: DeviceId, problem: String) {
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

    pub(super) fn dial_due(&mut self) {
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

    pub(super) fn is_linked(&self, id: DeviceId) -> bool {
        self.links.values().any(|link| link.peer == id.0)
    }
}
