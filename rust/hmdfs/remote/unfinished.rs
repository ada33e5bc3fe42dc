// SPDX-License-Identifier: GPL-2.0

//! What this device has begun on others, and could neither end nor take back because they went away,
//! or whoever wanted it was killed. It is taken back when they are there again:
//!
//! - a copy that was to replace a file ([`super::replace`]), and still has a name of its own;
//! - a directory that was renamed, or perhaps was, when its other parts were not
//!   ([`crate::merge`]). Should they be after all, it follows them.
//!
//! What has become of something whose answer did not arrive is looked up; nothing is done to what
//! is not what it was left as.

use hmdfs_kapi::{
    errno::ENOTCONN,
    workqueue::{cancel_delayed_work, OwnedQueue},
};
use hmdfs_proto::{Handle, Operation, RenameFlags};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, ArcBorrow, Mutex},
    time::{msecs_to_jiffies, Instant, Monotonic},
    workqueue::WorkItem,
};

use super::{
    compound::{self, Outcomes},
    directory::{find, name},
    inode::of,
    leases,
};
use crate::{mount::Mount, node::Inode, peer::Peer};

/// Most things that are remembered.
const MOST: usize = 64;

/// After so many milliseconds, a request whose answer nobody waits for was executed, or never will
/// be: longer than a call may take.
const SETTLED: i64 = 15_000;

/// Milliseconds between two looks at what cannot be taken back yet on a device that is there.
const TICK: u32 = 1_000;

/// What is unfinished on other devices.
#[pin_data]
pub(crate) struct Unfinished {
    /// Held for moments.
    #[pin]
    list: Mutex<KVec<Entry>>,
    queue: OwnedQueue,
}

struct Entry {
    peer: Arc<Peer>,
    since: Instant<Monotonic>,
    /// Whether a request may be on its way still.
    unsettled: bool,
    what: What,
}

enum What {
    Copy(Place),
    Renamed(Renamed),
}

/// A name in a directory.
pub(crate) struct Place {
    directory: Handle,
    name: KVec<u8>,
}

impl Place {
    /// The name `bytes` in `dir`.
    pub(crate) fn new(dir: &Inode, bytes: &[u8]) -> Result<Self> {
        let mut name = KVec::new();
        name.extend_from_slice(bytes, GFP_KERNEL)?;
        Ok(Self {
            directory: of(dir)?.handle(),
            name,
        })
    }
}

/// A part of a directory that has its old name again, when it is taken back.
pub(crate) struct Renamed {
    /// The part.
    pub(crate) file: Handle,
    /// Where it has to be.
    pub(crate) to: Place,
    /// Where it may be instead.
    pub(crate) from: Place,
    /// Whether it was exchanged for what is where it has to be.
    pub(crate) is_exchange: bool,
    /// The permissions of the empty directory that was replaced, if one was.
    pub(crate) replaced: Option<u16>,
    /// Whether an empty directory that is where it has to be is replaced.
    pub(crate) replaces: bool,
    /// The merged directories of the old name and of the new one.
    pub(crate) merged: (u64, u64),
}

/// Whether a change that failed like this may have been made.
pub(crate) fn is_in_doubt(error: Error) -> bool {
    error == ENOTCONN || error == ETIMEDOUT || error == EINTR || error == EIO
}

/// A copy may be left of this name, which could not be removed because of `error`.
pub(super) fn note_copy(dir: &Inode, name: &[u8], error: Error) {
    let noted = Place::new(dir, name).and_then(|place| note(dir, error, What::Copy(place)));
    if noted.is_err() {
        pr_info!("an unfinished copy may stay on another device\n");
    }
}

/// A part of a directory is not, or perhaps not, where it has to be, which is in `dir` or in another
/// directory of that device. `error` is why.
pub(crate) fn note_renamed(dir: &Inode, renamed: Renamed, error: Error) -> Result {
    note(dir, error, What::Renamed(renamed))
}

fn note(dir: &Inode, error: Error, what: What) -> Result {
    let mount = dir.super_block().data();
    let entry = Entry {
        peer: of(dir)?.peer().clone(),
        since: Instant::now(),
        unsettled: error == ETIMEDOUT || error == EINTR,
        what,
    };
    mount.unfinished.add(entry)?;
    wake(mount, TICK);
    Ok(())
}

/// A device is there again, or something is unfinished on one that is: looks at it after so many
/// milliseconds. Does not sleep.
pub(crate) fn wake(mount: ArcBorrow<'_, Mount>, delay: u32) {
    // Refused when it is waiting already.
    let _ = mount
        .unfinished
        .queue
        .enqueue_delayed::<Arc<Mount>, 0>(mount.into(), msecs_to_jiffies(delay));
}

impl Unfinished {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            list <- new_mutex!(KVec::new(), "hmdfs::remote::Unfinished"),
            queue: OwnedQueue::new(c"hmdfs-unfinished")?,
        })
    }

    fn add(&self, entry: Entry) -> Result {
        let mut list = self.list.lock();
        if list.len() >= MOST {
            return Err(ENOSPC);
        }
        Ok(list.push(entry, GFP_KERNEL)?)
    }

    /// The directory that is called `old` in one of the two merged directories was renamed to `new` in
    /// the other one: parts of it that were to be there are to follow.
    pub(crate) fn renamed(&self, merged: (u64, u64), old: &[u8], new: &[u8]) {
        for entry in self.list.lock().iter_mut() {
            let What::Renamed(renamed) = &mut entry.what else {
                continue;
            };
            let is_it = *renamed.to.name == *old && *renamed.from.name == *new;
            if is_it && renamed.merged == merged {
                core::mem::swap(&mut renamed.to, &mut renamed.from);
                renamed.merged = (merged.1, merged.0);
                renamed.replaces = renamed.replaced.take().is_some();
            }
        }
    }

    /// Takes an entry out that can be dealt with now.
    fn next(&self) -> Option<Entry> {
        let mut list = self.list.lock();
        let index = list.iter().position(Entry::is_ready)?;
        list.remove(index).ok()
    }

    /// Whether something is to be dealt with later, on a device that is there.
    fn waits(&self) -> bool {
        self.list.lock().iter().any(|entry| entry.peer.is_online())
    }

    /// No device will be there any more. Waits for what is being done.
    pub(crate) fn end(&self, mount: ArcBorrow<'_, Mount>) {
        let mount: Arc<Mount> = mount.into();
        cancel_delayed_work::<Mount, 0>(&mount);
        self.queue.flush();
    }
}

impl WorkItem for Mount {
    type Pointer = Arc<Mount>;

    fn run(this: Arc<Mount>) {
        let unfinished = &this.unfinished;
        while let Some(mut entry) = unfinished.next() {
            let peer = &entry.peer;
            let result = match &entry.what {
                What::Copy(place) => remove(&this, peer, place),
                What::Renamed(renamed) => renamed.take_back(&this, peer),
            };
            match result {
                Err(error) if is_in_doubt(error) && error != EIO => {
                    entry.since = Instant::now();
                    entry.unsettled = error == ETIMEDOUT;
                    if unfinished.add(entry).is_err() {
                        pr_info!("something stays unfinished on another device\n");
                    }
                    break;
                }
                Err(error) => pr_info!("something stays unfinished on another device: {error:?}\n"),
                Ok(()) => {}
            }
        }
        if unfinished.waits() {
            wake(this.as_arc_borrow(), TICK);
        }
    }
}

impl Entry {
    fn is_ready(&self) -> bool {
        let is_settled = !self.unsettled || self.since.elapsed().as_millis() >= SETTLED;
        is_settled && self.peer.is_online()
    }
}

/// Removes a copy.
fn remove(mount: &Mount, peer: &Peer, place: &Place) -> Result {
    let name = name(&place.name)?;
    let Some(child) = find(mount, peer, place.directory, name)?.child else {
        return Ok(());
    };
    let operations = [
        Operation::File(place.directory),
        Operation::Remove {
            name,
            file: child.handle,
            directory: false,
            open: false,
        },
    ];
    change(mount, peer, &operations)
}

impl Renamed {
    fn take_back(&self, mount: &Mount, peer: &Peer) -> Result {
        let (old, new) = (name(&self.to.name)?, name(&self.from.name)?);
        let found = find(mount, peer, self.from.directory, new)?.child;
        if !found.is_some_and(|child| child.handle.is_same_file(&self.file)) {
            return Ok(());
        }
        let rename = [
            Operation::File(self.from.directory),
            Operation::Rename {
                name: new,
                file: self.file,
                new_directory: self.to.directory,
                new_name: old,
                flags: match (self.is_exchange, self.replaces) {
                    (true, _) => RenameFlags::Exchange,
                    (false, true) => RenameFlags::Replace,
                    (false, false) => RenameFlags::NoReplace,
                },
                open: false,
            },
        ];
        change(mount, peer, &rename)?;
        let Some(mode) = self.replaced else {
            return Ok(());
        };
        let make = [
            Operation::File(self.from.directory),
            Operation::MakeDirectory {
                name: new,
                mode: (mode, 0),
            },
        ];
        change(mount, peer, &make)
    }
}

/// Changes something that is known here as it was.
fn change(mount: &Mount, peer: &Peer, operations: &[Operation<'_>]) -> Result {
    let reply = compound::change(mount, peer, operations)?;
    let mut outcomes = Outcomes::new(&reply, operations)?;
    leases::doubt(mount, peer, operations);
    operations.iter().try_for_each(|_| outcomes.done())
}
