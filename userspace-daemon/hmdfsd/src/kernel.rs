// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's side: waits for the module and the mount, and carries requests to it.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmdfs_netlink::{
    Client, Device, DeviceSettings, Error, Event, Events, Instance, Link, LinkRole, PeerId,
};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::backoff::{self, Backoff};

const FIRST: Duration = Duration::from_millis(500);
/// The kernel tells of a mount; this only finds one whose telling was missed, or a module that
/// was loaded again.
const LAST: Duration = Duration::from_secs(5);

/// What the daemon asks of the kernel; each is one operation of the interface.
#[allow(clippy::missing_errors_doc)]
pub trait Requests: Send {
    /// The mount, if there is one.
    fn instance(&mut self) -> Result<Option<Instance>, Error>;
    /// Makes a device known, or changes it.
    fn device_set(&mut self, settings: &DeviceSettings) -> Result<(), Error>;
    /// Forgets a device.
    fn device_del(&mut self, peer: &PeerId) -> Result<(), Error>;
    /// All devices that the mount knows.
    fn devices(&mut self) -> Result<Vec<Device>, Error>;
    /// Hands a connection over; returns the link's number.
    fn link_add(&mut self, peer: &PeerId, fd: BorrowedFd<'_>, role: LinkRole)
        -> Result<u32, Error>;
    /// Ends a link.
    fn link_del(&mut self, link: u32) -> Result<(), Error>;
    /// All links.
    fn links(&mut self) -> Result<Vec<Link>, Error>;
}

impl Requests for Client {
    fn instance(&mut self) -> Result<Option<Instance>, Error> {
        Client::instance(self)
    }
    fn device_set(&mut self, settings: &DeviceSettings) -> Result<(), Error> {
        Client::device_set(self, settings)
    }
    fn device_del(&mut self, peer: &PeerId) -> Result<(), Error> {
        Client::device_del(self, peer)
    }
    fn devices(&mut self) -> Result<Vec<Device>, Error> {
        Client::devices(self)
    }
    fn link_add(
        &mut self,
        peer: &PeerId,
        fd: BorrowedFd<'_>,
        role: LinkRole,
    ) -> Result<u32, Error> {
        Client::link_add(self, peer, fd, role)
    }
    fn link_del(&mut self, link: u32) -> Result<(), Error> {
        Client::link_del(self, link)
    }
    fn links(&mut self) -> Result<Vec<Link>, Error> {
        Client::links(self)
    }
}

/// After so much silence the kernel is asked whether all is as it was.
const CERTAINTY: Duration = Duration::from_secs(60);

/// Carries requests to the kernel, from a thread where they may take their time.
#[derive(Clone)]
pub struct Kernel(Arc<Mutex<dyn Requests>>);

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kernel")
    }
}

impl Kernel {
    /// Carries requests to `requests`.
    pub fn new(requests: impl Requests + 'static) -> Self {
        Kernel(Arc::new(Mutex::new(requests)))
    }

    /// Makes one or more requests.
    ///
    /// # Errors
    /// Those of `request`, and [`Error::Io`] when the thread died.
    pub async fn call<T: Send + 'static>(
        &self,
        request: impl FnOnce(&mut dyn Requests) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let client = self.0.clone();
        let thread = tokio::task::spawn_blocking(move || {
            request(&mut *client.lock().unwrap_or_else(PoisonError::into_inner))
        });
        thread
            .await
            .unwrap_or_else(|error| Err(Error::Io("thread", error.into())))
    }
}

/// What the daemon hears from here.
#[derive(Debug)]
pub enum Notice {
    /// A mount is there: this one, reached through this client.
    Mounted(Kernel, Instance),
    /// There is no mount, for this reason.
    NotMounted(String),
    /// Something changed.
    Event(Event),
    /// Notifications were lost, or none came for long: ask again for everything.
    Lost,
}

/// Watches the kernel until the receiver of `notices` is gone.
pub async fn watch(notices: mpsc::Sender<Notice>) {
    let mut backoff = Backoff::new(FIRST, LAST);
    while !notices.is_closed() {
        // A mount that has gone may be followed by another at once, so only an error waits.
        if let Err(error) = observe(&notices, &mut backoff).await {
            let _ = notices.send(Notice::NotMounted(error.to_string())).await;
            tokio::time::sleep(backoff.wait(backoff::random())).await;
        }
    }
}

/// Returns when there is no mount (any more), or when the kernel cannot be asked.
async fn observe(notices: &mpsc::Sender<Notice>, backoff: &mut Backoff) -> Result<(), Error> {
    let mut client = Client::connect()?;
    // First subscribe, then ask: a mount between the two is not missed.
    let mut events = subscribe(&client)?;
    let Some(instance) = client.instance()? else {
        return wait_for_mount(notices, &mut events, backoff).await;
    };
    backoff.reset();
    let kernel = Kernel::new(client);
    let id = instance.id;
    if notices
        .send(Notice::Mounted(kernel.clone(), instance))
        .await
        .is_err()
    {
        return Ok(());
    }
    loop {
        let news = match timeout(CERTAINTY, next(&mut events)).await {
            // What was lost may be the unmounting itself.
            Ok(Err(Error::Overrun)) | Err(_) => {
                let now = kernel.call(|requests| requests.instance()).await?;
                if now.is_none_or(|now| now.id != id) {
                    return Ok(());
                }
                vec![Notice::Lost]
            }
            Ok(other) => other?.into_iter().map(Notice::Event).collect(),
        };
        for notice in news {
            if let Notice::Event(Event::Instance(now)) = &notice {
                if !now.mounted || now.id != id {
                    return Ok(());
                }
            }
            if notices.send(notice).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Returns after a mount was made, or after a while.
async fn wait_for_mount(
    notices: &mpsc::Sender<Notice>,
    events: &mut AsyncFd<Events>,
    backoff: &mut Backoff,
) -> Result<(), Error> {
    let problem = "hmdfs is not mounted: mount -t hmdfs DIRECTORY MOUNTPOINT".to_owned();
    if notices.send(Notice::NotMounted(problem)).await.is_err() {
        return Ok(());
    }
    let mounted = async {
        loop {
            let news = match next(events).await {
                Err(Error::Overrun) => return Ok(()),
                other => other?,
            };
            if news
                .iter()
                .any(|event| matches!(event, Event::Instance(i) if i.mounted))
            {
                return Ok(());
            }
        }
    };
    let result = timeout(backoff.wait(backoff::random()), mounted).await;
    if result.is_ok() {
        backoff.reset();
    }
    result.unwrap_or(Ok(()))
}

fn subscribe(client: &Client) -> Result<AsyncFd<Events>, Error> {
    let events = client.subscribe()?;
    // SAFETY: `Events` owns its descriptor, which stays open and the same until it is dropped.
    let registered = unsafe { AsyncFd::register_with_interest(events, Interest::READABLE) };
    registered.map_err(|error| Error::Io("poll", error.into()))
}

/// Waits for notifications.
async fn next(events: &mut AsyncFd<Events>) -> Result<Vec<Event>, Error> {
    loop {
        let guard = events.readable_mut().await;
        let mut guard = guard.map_err(|error| Error::Io("poll", error))?;
        let news = guard.get_inner_mut().take()?;
        // All was taken, so wait for the next arrival.
        guard.clear_ready();
        if !news.is_empty() {
            return Ok(news);
        }
    }
}
