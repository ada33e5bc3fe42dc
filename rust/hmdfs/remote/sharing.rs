// SPDX-License-Identifier: GPL-2.0

//! What becomes of data that a program writes to a file that others may be writing to as well.
//!
//! As long as this device has a lease on the file, it is the only one that writes, and keeps data in
//! the page cache until the file is closed or somebody wants to see it ([`super::writing`]). When
//! another device, or a program of the owner, opens the file for writing, that takes the lease back;
//! from then on each write goes to the owner at once, and exactly its bytes: what is sent from the page
//! cache are whole folios, with what others may have changed in them since.

use hmdfs_kapi::fs::dentry::jiffies;
use hmdfs_proto::Lease;
use kernel::{
    sync::atomic::{Atomic, Relaxed},
    time::msecs_to_jiffies,
};

use super::{
    attributes::{refresh, Locking},
    inode::{of, Node},
};
use crate::{mount::Mount, node::Inode, validity::Validity};

/// After how many milliseconds it is asked again whether the others still write.
const AGAIN: u32 = 1_000;

/// The owner gives no leases, or has not been asked.
const UNKNOWN: u64 = 0;

/// It has given one.
const ALONE: u64 = 1;

/// It has not, because others may write. A bit beside the time until which that is taken as it is, in
/// jiffies.
const SHARED: u64 = 1 << 63;

/// What the owner has said last.
pub(super) struct Sharing(Atomic<u64>);

impl Sharing {
    pub(super) const fn new() -> Self {
        Self(Atomic::new(UNKNOWN))
    }

    /// The owner has answered the wish for a lease.
    pub(super) fn told(&self, lease: Lease) {
        let state = match lease {
            Lease::None => UNKNOWN,
            Lease::Granted | Lease::Bare => ALONE,
            Lease::Busy => {
                let end = jiffies().wrapping_add(msecs_to_jiffies(AGAIN) as usize);
                // CAST: The lower half is enough to compare.
                SHARED | u64::from(end as u32)
            }
        };
        self.0.store(state, Relaxed);
    }

    fn state(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn is_shared(&self) -> bool {
        self.state() & SHARED != 0
    }
}

/// Whether the owner was told to be asked again by now.
fn is_over(state: u64) -> bool {
    // CAST: As above; the difference is small in either direction.
    (state as u32).wrapping_sub(jiffies() as u32) as i32 <= 0
}

/// Whether a lease on the file is held.
fn is_leased(mount: &Mount, inode: &Inode) -> bool {
    let note = Validity::from_number(inode.note().load(Relaxed));
    note.is_leased() && note.holds(mount.peers.generation(), note.as_number())
}

/// Whether a program's data have to go to the owner at once. Asks the owner if that is not known. May
/// sleep.
pub(super) fn writes_through(inode: &Inode) -> bool {
    let Ok(node) = of(inode) else {
        return false;
    };
    let mount = inode.super_block().data();
    let state = node.sharing().state();
    if state == UNKNOWN || is_leased(&mount, inode) {
        return false;
    }
    let is_known = state & SHARED != 0 && !is_over(state);
    if !is_known && is_reachable(node) {
        // Without an answer, it is the old one that counts. Writing meets with the error.
        let _ = refresh(inode, Locking::Try);
    }
    node.sharing().is_shared()
}

/// Asks the owner where the file, whose inode is locked, ends by now. May sleep.
pub(super) fn find_end(inode: &Inode) {
    // Without an answer, writing meets with the error.
    let _ = refresh(inode, Locking::Held);
}

/// Whether data that have just been written to the page cache may stay there: whether the lease under
/// which they were written is held still.
pub(super) fn may_stay(inode: &Inode) -> bool {
    let Ok(node) = of(inode) else {
        return true;
    };
    let mount = inode.super_block().data();
    node.sharing().state() == UNKNOWN || is_leased(&mount, inode) || !is_reachable(node)
}

/// Whether the owner can be asked just now. A file that is not known to be shared is written to the page
/// cache while it cannot.
fn is_reachable(node: &Node) -> bool {
    node.peer().any_link().is_some()
}
