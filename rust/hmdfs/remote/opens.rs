// SPDX-License-Identifier: GPL-2.0

//! Which files of other devices are open here.
//!
//! The owner of a file that loses its last name keeps it for those who have it open. It knows from
//! the opening, or from a lease under which it was opened without a word, who may have; and asks
//! when it has to know. The answer comes from the receiver of the link, which cannot look at more
//! than a number, the tally of the inode: how many open files there are, how many of them are open for
//! writing, and two bits.
//!
//! The tally is changed under the lock of [`Peer::recalled`](crate::peer::Peer::recalled), which
//! puts it in order with recalls: either a recall is noted before a file is counted, and then it
//! is not opened under the lease that is gone, or the recall's answer says that it is open. What
//! was asked for before it was counted does not count if there was a recall meanwhile
//! ([`confirm`]).

use hmdfs_proto::Operation;
use kernel::{prelude::*, sync::atomic::Relaxed};

use super::{
    compound::{self, Outcomes},
    inode::{of, Node},
};
use crate::{
    link::{Completion, Destination, Reply},
    mount::Question,
    node::{Inode, InodeRef},
};

/// The owner was told that the file is open, and is to be told when it is not any more.
const TOLD: u64 = 1 << 32;

/// This device is removing a name of the file, which was not open when it began.
const REMOVING: u64 = 1 << 33;

/// The number of open files.
const COUNT: u64 = TOLD - 1;

/// One of those that are open for writing, whose number is in the highest bits.
const WRITER: u64 = 1 << 40;

/// An open file. When it is closed, what was read ahead with its opening is given up.
pub(crate) struct Open {
    inode: InodeRef,
    /// What it counts for.
    weight: u64,
}

impl Open {
    /// Counts an open file of `inode`, and says whether the owner has to be asked if it may be
    /// opened, whatever is known of it. May sleep.
    ///
    /// Errors: [`ENOMEM`]; EINTR when the task is being killed.
    pub(super) fn new(inode: &Inode, writable: bool) -> Result<(KBox<Self>, bool)> {
        let weight = if writable { 1 | WRITER } else { 1 };
        let tally = {
            let _lock = of(inode)?.peer().recalled().lock();
            let tally = inode.tally().load(Relaxed);
            inode.tally().store(tally.saturating_add(weight), Relaxed);
            tally
        };
        let inode = inode.to_ref();
        let open = KBox::new(Self { inode, weight }, GFP_KERNEL)?;
        let is_removed = tally & REMOVING != 0;
        if is_removed {
            // Until it is known what became of that.
            drop(open.inode.lock_killable()?);
        }
        Ok((open, is_removed))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Ok(node) = of(&self.inode) else {
            return;
        };
        let is_told = {
            let _lock = node.peer().recalled().lock();
            let tally = self.inode.tally().load(Relaxed);
            let tally = tally.saturating_sub(self.weight);
            let is_last = tally & COUNT == 0;
            let left = if is_last { tally & !TOLD } else { tally };
            self.inode.tally().store(left, Relaxed);
            is_last && tally & TOLD != 0
        };
        node.closed();
        if is_told {
            tell_closed(node);
        }
    }
}

/// A file was opened, and counted, only after the owner had answered `question` by opening it. Sees to
/// it that the owner knows that it is open, if it may have been told otherwise meanwhile.
///
/// ESTALE when the file is gone.
pub(super) fn confirm(
    inode: &Inode,
    question: Question,
    must_ask: bool,
    access: Operation<'_>,
) -> Result {
    let node = of(inode)?;
    let is_known = {
        let recalled = node.peer().recalled().lock();
        recalled.allows(node.key(), question.number)
    };
    if is_known && !must_ask {
        return Ok(());
    }
    let operations = [Operation::File(node.handle()), access];
    let reply = compound::call(node.peer(), &operations, 0)?;
    let mut outcomes = Outcomes::new(&reply, &operations)?;
    outcomes.done()?;
    match outcomes.done() {
        // Whoever has made it may have it open, but there is no telling the owner again.
        Err(error) if error == EACCES => Ok(()),
        result => result,
    }
}

/// While this device removes a name of a file, whose inode is locked.
pub(super) struct Removal<'a> {
    inode: &'a Inode,
    /// Whether the file is open.
    pub(super) is_open: bool,
}

impl<'a> Removal<'a> {
    /// Until this is dropped, nobody opens the file who does not have to ask the owner, unless it is
    /// open already.
    pub(super) fn begin(inode: &'a Inode) -> Result<Self> {
        let _lock = of(inode)?.peer().recalled().lock();
        let tally = inode.tally().load(Relaxed);
        let is_open = tally & COUNT != 0;
        let bit = if is_open { TOLD } else { REMOVING };
        inode.tally().store(tally | bit, Relaxed);
        Ok(Self { inode, is_open })
    }

    /// The last name was removed. If the file was not open, the owner does not have it any more,
    /// whatever it has said before.
    pub(super) fn was_last(&self) {
        let Ok(node) = of(self.inode) else {
            return;
        };
        if !self.is_open {
            let mut recalled = node.peer().recalled().lock();
            let number = self.inode.super_block().data().ask().number;
            recalled.note(node.key(), number);
        }
    }
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        if let Ok(node) = of(self.inode) {
            let _lock = node.peer().recalled().lock();
            let tally = self.inode.tally().load(Relaxed);
            self.inode.tally().store(tally & !REMOVING, Relaxed);
        }
    }
}

/// The owner keeps the file, which has no name, for as long as it is open here.
pub(super) fn set_told(inode: &Inode) -> Result {
    let _lock = of(inode)?.peer().recalled().lock();
    let tally = inode.tally().load(Relaxed);
    inode.tally().store(tally | TOLD, Relaxed);
    Ok(())
}

/// Whether the file is open for writing, also if only a mapping of it is left.
pub(super) fn is_open_for_write(inode: &Inode) -> bool {
    inode.tally().load(Relaxed) >= WRITER
}

/// The owner wants to know whether a file is open, of which this is the tally; that it is not any
/// more will be told. The lock is held.
pub(super) fn tell_open(tally: &kernel::sync::atomic::Atomic<u64>) -> bool {
    let open = tally.load(Relaxed);
    if open & COUNT == 0 {
        return false;
    }
    tally.store(open | TOLD, Relaxed);
    true
}

/// Tells the owner that a file is not open any more. Does not wait for it.
fn tell_closed(node: &Node) {
    let operations = [Operation::File(node.handle()), Operation::Closed];
    let told = compound::request(&operations, 0)
        .and_then(|request| Ok((request, KBox::new(Nobody, GFP_KERNEL)?)));
    // Without memory, the owner finds out at the end of the session.
    if let Ok((request, nobody)) = told {
        node.peer().call(request, nobody);
    }
}

/// Who waits for the answer.
struct Nobody;

impl Completion for Nobody {
    fn destination(&mut self, _length: u32) -> Result<Destination<'_>> {
        // No data are asked for.
        Err(EINVAL)
    }

    fn complete(&mut self, _result: Result<Reply>) {}
}
