// SPDX-License-Identifier: GPL-2.0

//! Unfinished copies on other devices ([`super::replace`]) that could not be removed, most
//! likely because their device went away. They are removed when something is replaced
//! there again.

use hmdfs_kapi::errno::ENOTCONN;
use hmdfs_proto::{Handle, Operation};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

use super::{
    compound::{self, Outcomes},
    directory::{find, name},
    inode::of,
};
use crate::{mount::Mount, node::Inode, peer::Peer};

/// Most copies that are remembered.
const MOST_LEFT: usize = 64;

/// Notes that a copy may be left of this name.
pub(super) fn note(dir: &Inode, name: &[u8]) {
    if let Ok(node) = of(dir) {
        let leftovers = &dir.super_block().data().leftovers;
        if leftovers.add(node.peer(), node.handle(), name).is_err() {
            pr_info!("an unfinished copy may stay on another device\n");
        }
    }
}

/// The copies of a mount.
#[pin_data]
pub(crate) struct Leftovers {
    /// Held for moments.
    #[pin]
    list: Mutex<KVec<Leftover>>,
}

/// A copy that may exist.
struct Leftover {
    peer: Arc<Peer>,
    directory: Handle,
    name: KVec<u8>,
}

impl Leftovers {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            list <- new_mutex!(KVec::new(), "hmdfs::remote::Leftovers"),
        })
    }

    fn add(&self, peer: &Arc<Peer>, directory: Handle, name: &[u8]) -> Result {
        let mut copy = KVec::new();
        copy.extend_from_slice(name, GFP_KERNEL)?;
        let mut list = self.list.lock();
        if list.len() >= MOST_LEFT {
            return Err(ENOSPC);
        }
        let leftover = Leftover {
            peer: peer.clone(),
            directory,
            name: copy,
        };
        Ok(list.push(leftover, GFP_KERNEL)?)
    }

    /// Removes what is left on a device that is there again. What cannot be removed now stays for
    /// the next time, if the device is the reason.
    pub(super) fn remove(&self, mount: &Mount, peer: &Arc<Peer>) {
        let mut mine = KVec::new();
        {
            let mut list = self.list.lock();
            let is_of_peer = |left: &Leftover| Arc::ptr_eq(&left.peer, peer);
            while let Some(index) = list.iter().position(is_of_peer) {
                let Ok(left) = list.remove(index) else {
                    break;
                };
                if mine.push(left, GFP_KERNEL).is_err() {
                    return;
                }
            }
        }
        for left in mine {
            match left.remove(mount) {
                Err(error) if error == ENOTCONN || error == ETIMEDOUT || error == EINTR => {
                    let _ = self.add(&left.peer, left.directory, &left.name);
                }
                _ => {}
            }
        }
    }
}

impl Leftover {
    fn remove(&self, mount: &Mount) -> Result {
        let name = name(&self.name)?;
        let Some(child) = find(mount, &self.peer, self.directory, name)?.child else {
            return Ok(());
        };
        let operations = [
            Operation::File(self.directory),
            Operation::Remove {
                name,
                file: child.handle,
                directory: false,
                open: false,
            },
        ];
        let reply = compound::change(mount, &self.peer, &operations)?;
        let mut outcomes = Outcomes::new(&reply, &operations)?;
        outcomes.done()?;
        outcomes.done()
    }
}
