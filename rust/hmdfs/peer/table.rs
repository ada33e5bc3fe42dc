// SPDX-License-Identifier: GPL-2.0

//! The peers of a mount, and the queues that work for them.

use super::{
    DeviceId,
    DeviceSettings,
    Peer,
    SettingsError, //
};
use crate::link::{
    DownReason,
    Link,
    StartError, //
};
use hmdfs_kapi::workqueue::{
    cancel_delayed_work,
    OwnedQueue, //
};
use kernel::{
    new_condvar,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        CondVar,
        Mutex, //
    }, //
};

/// What is known of the devices.
struct Table {
    /// Ordered by device number.
    peers: KVec<Arc<Peer>>,
    /// Nothing is added any more.
    closed: bool,
}

/// The other devices of a mount.
///
/// [`Peers::shutdown`] must come before the last reference to the mount goes: the
/// links refer to the mount, and their work is in the queues.
#[pin_data]
pub(crate) struct Peers {
    #[pin]
    table: Mutex<Table>,
    generation: Atomic<u64>,
    next_link: Atomic<u32>,
    /// Number of links that began and have not quite ended.
    #[pin]
    alive: Mutex<u32>,
    #[pin]
    none_alive: CondVar,
    /// Ends links and keeps them alive; nothing in it waits for a peer's answer.
    control: OwnedQueue,
    /// Works for the peers.
    serve: OwnedQueue,
}

impl Peers {
    /// No peers.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            table <- new_mutex!(
                Table { peers: KVec::new(), closed: false },
                "Peers::table"
            ),
            generation: Atomic::new(1),
            next_link: Atomic::new(1),
            alive <- new_mutex!(0, "Peers::alive"),
            none_alive <- new_condvar!("Peers::none_alive"),
            control: OwnedQueue::for_reclaim(c"hmdfs-control")?,
            serve: OwnedQueue::new(c"hmdfs-serve")?,
        })
    }

    /// The queue for what keeps links going.
    pub(crate) fn control(&self) -> &OwnedQueue {
        &self.control
    }

    /// The queue for the peers' requests.
    pub(crate) fn serve(&self) -> &OwnedQueue {
        &self.serve
    }

    /// A number for a new link.
    pub(crate) fn next_link(&self) -> u32 {
        self.next_link.fetch_add(1, Relaxed)
    }

    /// A number that changes whenever a device appears, disappears, is renamed, or
    /// goes online or offline.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Changes [`Peers::generation`].
    pub(crate) fn bump(&self) {
        self.generation.fetch_add(1, Full);
    }

    /// Makes a device known, or changes what is known of it.
    pub(crate) fn set(&self, settings: &DeviceSettings) -> Result<(), SettingsError> {
        let mut table = self.table.lock();
        if table.closed {
            return Err(SettingsError::Unmounting);
        }
        let known = table
            .peers
            .iter()
            .find(|peer| *peer.id() == settings.id)
            .cloned();
        for other in table.peers.iter().filter(|peer| *peer.id() != settings.id) {
            if settings.number == Some(other.number()) {
                return Err(SettingsError::NumberTaken);
            }
            if settings.name == Some(other.name()) {
                return Err(SettingsError::NameTaken);
            }
        }
        let changed = match known {
            Some(peer) => {
                if settings
                    .number
                    .is_some_and(|number| number != peer.number())
                {
                    return Err(SettingsError::NumberFixed);
                }
                peer.apply(settings)
            }
            None => {
                let number = settings.number.ok_or(SettingsError::NumberMissing)?;
                let name = settings.name.ok_or(SettingsError::NameMissing)?;
                let peer =
                    Peer::new(settings.id, number, name).map_err(|_| SettingsError::Memory)?;
                peer.apply(settings);
                let place = table
                    .peers
                    .iter()
                    .take_while(|other| other.number() < number)
                    .count();
                table
                    .peers
                    .reserve(1, GFP_KERNEL)
                    .map_err(|_| SettingsError::Memory)?;
                table
                    .peers
                    .insert_within_capacity(place, peer)
                    .map_err(|_| SettingsError::Memory)?;
                true
            }
        };
        drop(table);
        if changed {
            self.bump();
        }
        Ok(())
    }

    /// Forgets a device and ends its links; says whether it was known.
    pub(crate) fn remove(&self, id: &DeviceId) -> bool {
        let removed = {
            let mut table = self.table.lock();
            let place = table.peers.iter().position(|peer| peer.id() == id);
            place.and_then(|place| table.peers.remove(place).ok())
        };
        let Some(peer) = removed else {
            return false;
        };
        self.bump();
        peer.forget();
        peer.cancel_delayed();
        peer.end_links(DownReason::Admin);
        cancel_delayed_work::<Peer, 1>(&peer);
        true
    }

    /// The device of this identifier.
    pub(crate) fn by_id(&self, id: &DeviceId) -> Option<Arc<Peer>> {
        self.find(|peer| peer.id() == id)
    }

    /// The device of this name.
    pub(crate) fn by_name(&self, name: &[u8]) -> Option<Arc<Peer>> {
        self.find(|peer| peer.name().as_bytes() == name)
    }

    /// The device with the smallest number that is not below `number`.
    pub(crate) fn at_or_after(&self, number: u32) -> Option<Arc<Peer>> {
        self.find(|peer| peer.number() >= number)
    }

    fn find(&self, condition: impl Fn(&Peer) -> bool) -> Option<Arc<Peer>> {
        let table = self.table.lock();
        table.peers.iter().find(|peer| condition(peer)).cloned()
    }

    /// All devices, ordered by number.
    pub(crate) fn snapshot(&self) -> Result<KVec<Arc<Peer>>> {
        let table = self.table.lock();
        let mut peers = KVec::with_capacity(table.peers.len(), GFP_KERNEL)?;
        for peer in &table.peers {
            peers.push(peer.clone(), GFP_KERNEL)?;
        }
        Ok(peers)
    }

    /// Calls `visit` with each link, until it returns something. The table is
    /// locked meanwhile.
    pub(crate) fn find_link<T>(&self, mut visit: impl FnMut(&Arc<Link>) -> Option<T>) -> Option<T> {
        let table = self.table.lock();
        table
            .peers
            .iter()
            .flat_map(|peer| peer.links())
            .flatten()
            .find_map(|link| visit(&link))
    }

    /// Adds a link that is about to begin to its peer; [`Peers::link_ended`] must
    /// follow.
    pub(crate) fn admit(&self, link: &Arc<Link>) -> Result<(), StartError> {
        let table = self.table.lock();
        if table.closed {
            return Err(StartError::Unmounting);
        }
        let in_use = table
            .peers
            .iter()
            .flat_map(|peer| peer.links())
            .flatten()
            .any(|other| other.shares_socket(link));
        if in_use {
            return Err(StartError::InUse);
        }
        link.peer().add_link(link).map_err(StartError::Refused)?;
        let mut alive = self.alive.lock();
        *alive = alive.saturating_add(1);
        Ok(())
    }

    /// A link has ended, but for work that is in the queues.
    pub(crate) fn link_ended(&self) {
        let mut alive = self.alive.lock();
        *alive = alive.saturating_sub(1);
        if *alive == 0 {
            self.none_alive.notify_all();
        }
    }

    /// Ends all links, and with them all calls, without waiting: for `umount -f`.
    pub(crate) fn abort(&self) {
        let mut number = 0;
        while let Some(peer) = self.at_or_after(number) {
            peer.end_links(DownReason::Admin);
            peer.lose_hope();
            number = peer.number().saturating_add(1);
        }
    }

    /// Ends all links for ever, and waits until nothing of them is left.
    pub(crate) fn shutdown(&self) {
        let peers = {
            let mut table = self.table.lock();
            table.closed = true;
            core::mem::take(&mut table.peers)
        };
        for peer in &peers {
            peer.forget();
            peer.end_links(DownReason::Admin);
        }
        {
            let mut alive = self.alive.lock();
            while *alive != 0 {
                self.none_alive.wait(&mut alive);
            }
        }
        for peer in &peers {
            cancel_delayed_work::<Peer, 1>(peer);
            peer.cancel_delayed();
        }
        // What a peer wanted may go on after its link ended, and queue control work;
        // nothing in the control queue makes work for the other.
        self.serve.flush();
        self.control.flush();
    }
}
