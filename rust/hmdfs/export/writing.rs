// SPDX-License-Identifier: GPL-2.0

//! Which files peers may be writing to: their write leases.
//!
//! What a program of a peer has written stays there until it closes the file, or somebody else wants
//! to see it. A peer that opens a file for writing is noted here ([`Leases::opened_for_writing`]),
//! and the leases of all others on it are broken. From then on whoever asks about the file, be it another
//! peer ([`Leases::is_written`]) or a program of this device that opens it ([`Leases::program_opens`]),
//! has the writer asked first, who sends what it has. Others get no lease as long as the file is open for
//! writing, so they ask again each time.
//!
//! Nobody says that it has closed a file. So a note means "perhaps", and the answer of the peer removes
//! it. Whoever is asked about one file is asked about more at once, and about all of them when another peer
//! lists a directory: what a peer has closed is found out with a message for many files.
//!
//! A writer that does not answer within some seconds is not waited for, nor for a while afterwards: then
//! others see what has arrived here, as they do of a file that is not closed on any network file system.
//! What it sends later breaks their leases as every change does.

use hmdfs_kapi::{
    errno::ENOTCONN,
    schedule::is_kthread, //
};
use hmdfs_proto::{OpenFiles, Recall};
use kernel::{
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{
        atomic::{Full, Relaxed},
        Arc,
    },
    time::{Instant, Monotonic},
};

use super::leases::{Leases, MOMENT};
use crate::peer::Peer;

/// Most files that are noted for one peer. When there are more, it is asked which of them it still writes
/// to.
const MOST: usize = 1 << 12;

/// How many files a peer is asked about when somebody waits for one of them.
const FEW: usize = 64;

/// How long another peer waits for what others have written, in milliseconds: together with the time in which
/// leases are broken, less than it waits for this device.
const PATIENCE: u32 = 3_000;

/// Most tasks that wait for one writer, so that there are always others to take what it sends.
const MOST_WAITING: u32 = 16;

/// A file, by the number of its inode and the key of its identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct File {
    pub(super) ino: u64,
    pub(super) key: u64,
}

const FIRST: File = File { ino: 0, key: 0 };

/// The files that a peer may be writing to.
///
/// # Invariants
///
/// `count` is the number of files.
pub(super) struct Writing {
    /// With the number of the note.
    files: RBTree<File, u64>,
    count: usize,
    /// Number of the last note.
    last: u64,
    /// Where the search for files to be asked about goes on.
    hand: File,
}

/// The time that somebody has to wait.
struct Time {
    begun: Instant<Monotonic>,
    limit: u32,
}

impl Time {
    /// At most so many milliseconds from now on.
    fn limit(limit: u32) -> Self {
        Self {
            begun: Instant::now(),
            limit,
        }
    }

    /// How many milliseconds are left.
    fn left(&self) -> u32 {
        let passed = u32::try_from(self.begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        self.limit.saturating_sub(passed)
    }
}

/// Files that a peer is asked about, with the numbers of their notes.
type Asked = KVVec<(File, u64)>;

impl Writing {
    pub(super) fn new() -> Self {
        // INVARIANT: There are none.
        Self {
            files: RBTree::new(),
            count: 0,
            last: 0,
            hand: FIRST,
        }
    }

    fn has(&self, file: &File) -> bool {
        self.files.get(file).is_some()
    }

    /// The first file from `from` on that has its inode number.
    fn find(&self, from: File) -> Option<File> {
        let cursor = self.files.cursor_lower_bound(&from)?;
        let (&file, _) = cursor.current();
        (file.ino == from.ino).then_some(file)
    }

    /// Notes a file; `node` is room for it. When there is no more, another one is forgotten.
    fn note(&mut self, file: File, node: RBTreeNode<File, u64>) {
        self.last = self.last.saturating_add(1);
        if let Some(number) = self.files.get_mut(&file) {
            *number = self.last;
            return;
        }
        if self.count >= MOST {
            let forgotten = self.next();
            self.forget(&forgotten);
        }
        self.files.insert(node);
        // INVARIANT: It is one more.
        self.count = self.count.saturating_add(1);
        if let Some(number) = self.files.get_mut(&file) {
            *number = self.last;
        }
    }

    /// The file that the hand points to.
    fn next(&self) -> File {
        let at = self.files.cursor_lower_bound(&self.hand);
        let at = at.or_else(|| self.files.cursor_front());
        at.map_or(FIRST, |at| *at.current().0)
    }

    fn forget(&mut self, file: &File) {
        if self.files.remove(file).is_some() {
            // INVARIANT: It is one less.
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Fills `asked` with `first`, and then with others as long as there is room; each time other ones.
    fn choose(&mut self, first: Option<File>, asked: &mut Asked) {
        if let Some(file) = first {
            let number = self.files.get(&file).copied().unwrap_or(0);
            // Without room it is not asked about.
            let _ = asked.push_within_capacity((file, number));
        }
        let mut cursor = self.files.cursor_lower_bound_mut(&self.hand);
        self.hand = FIRST;
        while let Some(at) = cursor {
            let (&file, &number) = at.current();
            if Some(file) != first && asked.push_within_capacity((file, number)).is_err() {
                self.hand = file;
                return;
            }
            cursor = at.move_next();
        }
    }

    /// The peer has answered which of the files it may write to. Those are forgotten that it does not,
    /// and has not opened again meanwhile.
    fn answered(&mut self, asked: &Asked, written: &OpenFiles) {
        for (place, (file, number)) in asked.iter().enumerate() {
            if !written.has(place) && self.files.get(file) == Some(number) {
                self.forget(file);
            }
        }
    }
}

impl Leases {
    /// A peer has opened a file for writing: notes that, and waits until nobody else relies on what is
    /// known of the file.
    pub(super) fn opened_for_writing(&self, peer: &Arc<Peer>, file: File) {
        if !self.is_enabled() || self.admit(peer).is_err() {
            return;
        }
        let writing = peer.holder().writing();
        let is_full = {
            let writing = writing.lock();
            writing.count >= MOST && !writing.has(&file)
        };
        if is_full {
            self.ask(peer, None, Recall::MAX, &Time::limit(MOMENT));
        }
        // Without memory it is just not noted.
        if let Ok(node) = RBTreeNode::new(file, 0, GFP_KERNEL) {
            self.with_writing(peer, |writing| writing.note(file, node));
        }
        self.break_others(peer, file.ino);
        // From now on they write through. What they have written before must not come later.
        self.is_written(peer, file);
    }

    /// Whether another peer than `client` may be writing to the file. Waits until what it has written by
    /// now is here.
    pub(super) fn is_written(&self, client: &Peer, file: File) -> bool {
        let mut is_written = false;
        let time = Time::limit(PATIENCE);
        self.for_each_other(client.serial(), |peer| {
            if peer.holder().writing().lock().has(&file) {
                is_written |= self.ask(peer, Some(file), FEW, &time);
            }
        });
        is_written
    }

    /// Whether another peer than `client` may be writing to the file, so far as is known.
    pub(super) fn may_be_written(&self, client: &Peer, file: File) -> bool {
        let mut is_noted = false;
        self.for_each_other(client.serial(), |peer| {
            is_noted |= peer.holder().writing().lock().has(&file);
        });
        is_noted
    }

    /// Asks all other peers than `client` which files they still write to, for a moment at most.
    pub(super) fn look_through_written(&self, client: &Peer) {
        let time = Time::limit(MOMENT);
        self.for_each_other(client.serial(), |peer| {
            let count = peer.holder().writing().lock().count;
            for _ in 0..count.div_ceil(Recall::MAX) {
                self.ask(peer, None, Recall::MAX, &time);
            }
        });
    }

    /// A program of this device has opened the file with this inode number: waits until what peers have
    /// written to it is here, for a moment at most.
    pub(crate) fn program_opens(&self, ino: u64) {
        if self.noted().load(Relaxed) == 0 || is_kthread() {
            return;
        }
        let time = Time::limit(MOMENT);
        self.for_each_other(0, |peer| {
            // There is more than one if the number has been another file's.
            let mut next = peer.holder().writing().lock().find(File { ino, key: 0 });
            while let Some(file) = next {
                self.ask(peer, Some(file), FEW, &time);
                let after = file.key.checked_add(1).map(|key| File { ino, key });
                next = after.and_then(|after| peer.holder().writing().lock().find(after));
            }
        });
    }

    /// Calls `visit` with each peer that may be writing to something, but for the one with the serial
    /// number `client`.
    fn for_each_other(&self, client: u64, mut visit: impl FnMut(&Peer)) {
        if self.noted().load(Relaxed) == 0 {
            return;
        }
        for number in 0.. {
            // `visit` may sleep.
            let peer = self.holders().lock().get(number).cloned();
            match peer {
                Some(peer) if peer.serial() == client => {}
                Some(peer) => visit(&peer),
                None => return,
            }
        }
    }

    /// Asks a peer whether it may write to `first`, of which it sends what it has, and to others; to
    /// at most so many files. Gives whether it may write to `first`.
    fn ask(&self, peer: &Peer, first: Option<File>, most: usize, time: &Time) -> bool {
        let holder = peer.holder();
        let left = time.left();
        if left == 0 || holder.is_late() {
            return true;
        }
        let mut answer = Err(EBUSY);
        if holder.waiting().fetch_add(1, Full) < MOST_WAITING {
            answer = self.answer(peer, first, most, left);
        }
        holder.waiting().fetch_sub(1, Full);
        match answer {
            Ok(written) => written.has(0),
            // What it has written comes when it is back, if at all, and is a change like any other.
            Err(error) if error == ENOTCONN => false,
            Err(error) => {
                if error == ETIMEDOUT {
                    holder.set_late();
                }
                true
            }
        }
    }

    fn answer(
        &self,
        peer: &Peer,
        first: Option<File>,
        most: usize,
        limit: u32,
    ) -> Result<OpenFiles> {
        let mut asked = Asked::with_capacity(most, GFP_KERNEL)?;
        self.with_writing(peer, |writing| writing.choose(first, &mut asked));
        let mut keys = KVVec::with_capacity(asked.len(), GFP_KERNEL)?;
        for (file, _) in &asked {
            keys.push(file.key, GFP_KERNEL)?;
        }
        let written = peer.writing(first.is_some(), &keys, limit)?;
        self.with_writing(peer, |writing| writing.answered(&asked, &written));
        Ok(written)
    }

    /// Changes the notes of a peer.
    fn with_writing(&self, peer: &Peer, change: impl FnOnce(&mut Writing)) {
        let mut writing = peer.holder().writing().lock();
        let before = writing.count;
        change(&mut writing);
        self.noted().fetch_add(writing.count, Relaxed);
        self.noted().fetch_sub(before, Relaxed);
    }
}

#[cfg(HMDFS_KUNIT)]
#[kunit_tests(hmdfs_writing)]
mod tests {
    use super::*;

    fn file(ino: usize) -> File {
        // CAST: `usize` has at most 64 bits here.
        let ino = ino as u64;
        File { ino, key: !ino }
    }

    fn noted(count: usize) -> Result<Writing> {
        let mut writing = Writing::new();
        for ino in 0..count {
            note(&mut writing, ino)?;
        }
        Ok(writing)
    }

    fn note(writing: &mut Writing, ino: usize) -> Result {
        writing.note(file(ino), RBTreeNode::new(file(ino), 0, GFP_KERNEL)?);
        assert_eq!(writing.files.iter().count(), writing.count);
        Ok(())
    }

    #[test]
    fn what_is_not_written_is_forgotten() -> Result {
        let mut writing = noted(10)?;
        let mut asked = Asked::with_capacity(4, GFP_KERNEL)?;
        writing.choose(Some(file(7)), &mut asked);
        assert!(asked.iter().map(|(file, _)| file.ino).eq([7, 0, 1, 2]));
        let mut written = OpenFiles::default();
        written.add(1);
        // It was opened again after the question.
        note(&mut writing, 2)?;
        writing.answered(&asked, &written);
        assert!(writing
            .files
            .keys()
            .map(|file| file.ino)
            .eq([0, 2, 3, 4, 5, 6, 8, 9]));
        assert_eq!(writing.count, 8);
        assert!(writing.find(file(8)) == Some(file(8)) && writing.find(file(7)).is_none());
        Ok(())
    }

    #[test]
    fn all_are_asked_about_in_turn() -> Result {
        let mut writing = noted(10)?;
        for expected in [&[0, 1, 2, 3][..], &[4, 5, 6, 7], &[8, 9], &[0, 1, 2, 3]] {
            let mut asked = Asked::with_capacity(4, GFP_KERNEL)?;
            writing.choose(None, &mut asked);
            assert!(asked
                .iter()
                .map(|(file, _)| file.ino)
                .eq(expected.iter().copied()));
        }
        Ok(())
    }

    #[test]
    fn there_is_an_end_to_it() -> Result {
        let mut writing = noted(MOST)?;
        note(&mut writing, MOST)?;
        assert_eq!(writing.count, MOST);
        assert!(writing.has(&file(MOST)) && !writing.has(&file(0)));
        Ok(())
    }
}
