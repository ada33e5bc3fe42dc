// SPDX-License-Identifier: MIT OR Apache-2.0

//! Notices when the network changes, so that nobody waits for the next attempt in vain.

use std::time::Duration;

use hmdfs_netlink::{Error, NetworkChanges};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::sync::mpsc;
use tracing::warn;

/// One change comes in many notifications, and an address is usable a moment after it appears.
const SETTLE: Duration = Duration::from_millis(500);

/// Sends to `changed` after each change, until nobody listens.
pub async fn watch(changed: mpsc::Sender<()>) {
    if let Err(error) = observe(&changed).await {
        warn!("changes of the network are not noticed: {error}");
    }
}

async fn observe(changed: &mpsc::Sender<()>) -> Result<(), Error> {
    let changes = NetworkChanges::subscribe()?;
    // SAFETY: `NetworkChanges` owns its descriptor, which stays open and the same until it is
    // dropped.
    let registered = unsafe { AsyncFd::register_with_interest(changes, Interest::READABLE) };
    let mut changes = registered.map_err(|error| Error::Io("poll", error.into()))?;
    loop {
        let guard = changes.readable_mut().await;
        let mut guard = guard.map_err(|error| Error::Io("poll", error))?;
        let any = guard.get_inner_mut().take()?;
        guard.clear_ready();
        drop(guard);
        if !any {
            continue;
        }
        tokio::time::sleep(SETTLE).await;
        changes.get_mut().take()?;
        if changed.send(()).await.is_err() {
            return Ok(());
        }
    }
}
