// SPDX-License-Identifier: MIT OR Apache-2.0

//! Accepts connections, and gives strangers little to work with.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hmdfs_tls::{Answer, DeviceId, HandshakeError, Identity};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use crate::transport::{self, Connection, TransportError};

/// Connections at once that have not proven who they are: all together, and of one address.
const UNAUTHENTICATED: usize = 8;
const UNAUTHENTICATED_PER_ADDRESS: usize = 2;
/// Wait after the system refused a connection, above all because there are too many files open.
const PAUSE: Duration = Duration::from_millis(100);

/// What the daemon hears from here.
#[derive(Debug)]
pub enum Arrival {
    /// A device has proven who it is: may it have a link?
    Asks(DeviceId, oneshot::Sender<Answer>),
    /// A connection is ready for the kernel.
    Ready(Connection),
}

/// Opens the sockets of the configuration.
///
/// # Errors
/// A text for the user.
pub async fn bind(addresses: &[String]) -> Result<Vec<TcpListener>, String> {
    let mut listeners = Vec::new();
    for address in addresses {
        let bound = match TcpListener::bind(address).await {
            // A system without IPv6 still has the other one.
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                match address.strip_prefix("[::]:") {
                    Some(port) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
                    None => Err(error),
                }
            }
            other => other,
        };
        listeners.push(bound.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    ": another program listens there; end it, or choose another port with 'listen'"
                }
                io::ErrorKind::AddrNotAvailable => {
                    ": this device has no such address; correct 'listen'"
                }
                _ => "",
            };
            format!("cannot listen on {address}: {error}{hint}")
        })?);
    }
    Ok(listeners)
}

/// Counts the connections that have not proven who they are.
#[derive(Debug, Default)]
struct Gate(RefCell<HashMap<IpAddr, usize>>);

/// A place in the count.
#[derive(Debug)]
struct Place {
    gate: Rc<Gate>,
    address: IpAddr,
}

impl Gate {
    fn enter(self: &Rc<Self>, address: SocketAddr) -> Option<Place> {
        let address = address.ip().to_canonical();
        let mut counts = self.0.borrow_mut();
        let total: usize = counts.values().sum();
        let count = counts.get(&address).copied().unwrap_or(0);
        if total >= UNAUTHENTICATED || count >= UNAUTHENTICATED_PER_ADDRESS {
            return None;
        }
        counts.insert(address, count + 1);
        Some(Place {
            gate: self.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.gate.0.borrow_mut();
        match counts.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(&self.address);
            }
        }
    }
}

/// What every connection needs.
#[derive(Clone, Debug)]
pub struct Acceptor {
    /// This device.
    pub identity: Identity,
    /// The devices that may connect.
    pub pins: watch::Receiver<Arc<HashSet<DeviceId>>>,
    /// To the daemon.
    pub arrivals: mpsc::Sender<Arrival>,
}

impl Acceptor {
    /// Accepts connections from all `listeners`, in tasks of the current thread.
    pub fn run(&self, listeners: Vec<TcpListener>) {
        let gate = Rc::new(Gate::default());
        for listener in listeners {
            tokio::task::spawn_local(self.clone().serve(listener, gate.clone()));
        }
    }

    async fn serve(self, listener: TcpListener, gate: Rc<Gate>) {
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!("accepting a connection: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            match gate.enter(from) {
                Some(place) => {
                    tokio::task::spawn_local(self.clone().handle(stream, from, place));
                }
                None => debug!("{from}: refused: too many connections that prove nothing"),
            }
        }
    }

    async fn handle(self, stream: TcpStream, from: SocketAddr, place: Place) {
        let pins = self.pins.borrow().clone();
        let arrivals = self.arrivals.clone();
        let decide = |peer| async move {
            let (answer, decision) = oneshot::channel();
            if arrivals.send(Arrival::Asks(peer, answer)).await.is_err() {
                return Answer::ShuttingDown;
            }
            decision.await.unwrap_or(Answer::ShuttingDown)
        };
        let result = transport::accept(&self.identity, pins, stream, decide).await;
        drop(place);
        match result {
            Ok(connection) => {
                let _ = self.arrivals.send(Arrival::Ready(connection)).await;
            }
            // Our own "no", which is told to the other side in its own words.
            Err(TransportError::Handshake(HandshakeError::Refused(answer))) => {
                debug!("connection from {from}: refused: {answer:?}");
            }
            Err(error) => info!("connection from {from}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_few_places() {
        let gate = Rc::new(Gate::default());
        let first = gate.enter(address("10.0.0.1:1000"));
        let second = gate.enter(address("[::ffff:10.0.0.1]:1001"));
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter(address("10.0.0.1:1002")).is_none());
        assert!(gate.enter(address("10.0.0.2:1000")).is_some());
        drop(first);
        assert!(gate.enter(address("10.0.0.1:1003")).is_some());
    }

    #[test]
    fn all_together_have_few_places() {
        let gate = Rc::new(Gate::default());
        let places: Vec<_> = (0..20)
            .filter_map(|octet| gate.enter(address(&format!("10.0.0.{octet}:9"))))
            .collect();
        assert_eq!(places.len(), UNAUTHENTICATED);
        drop(places);
        assert!(gate.0.borrow().is_empty());
    }

    #[tokio::test]
    async fn a_taken_port_is_explained() {
        let first = bind(&["127.0.0.1:0".to_owned()]).await.unwrap();
        let taken = first[0].local_addr().unwrap().to_string();
        let error = bind(std::slice::from_ref(&taken)).await.unwrap_err();
        assert!(
            error.contains(&taken) && error.contains("'listen'"),
            "{error}"
        );
    }
}
