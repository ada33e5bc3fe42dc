// SPDX-License-Identifier: GPL-2.0

//! Which files a peer may have open, and those that it keeps alive.
//!
//! Opening a file notes it here ([`Leases::opened`]). The note says "perhaps": a peer with a lease
//! opens a file without a word, and none says when it closes one. When a file loses its last
//! name, a reference to it is kept for each peer that may have it open ([`Leases::unlinked`]),
//! and the peer is asked, by the very RECALL that takes back its lease. What it does not have open
//! is given up when it has answered. The rest is a file without a name, as for a program of this
//! device, until the peer says that it has closed it or the session ends.
//!
//! So opening and closing files costs nothing. A peer that removes a file itself says in the same
//! request whether it has it open, and is not asked.
//!
//! The answer to a question that was asked before a file was opened says nothing about that:
//! opening takes the question back.

use hmdfs_kapi::vfs::Path;
use hmdfs_proto::{OpenFiles, Recall};
use kernel::{
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::Arc,
};

use super::leases::Leases;
use crate::peer::Peer;

/// Most files that are noted for one peer. When there are more, it is asked which of them it has
/// open.
const MOST: usize = 1 << 14;

/// Most files without a name that one peer keeps alive.
const MOST_KEPT: usize = 1 << 10;

/// What is known of a file.
pub(super) struct File {
    /// The file, when it has no name any more.
    kept: Option<Path>,
    question: Question,
}

/// Whether the peer has to be asked if it has a file open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    /// No.
    None,
    /// It is to be asked.
    Wanted,
    /// It is being asked.
    Asked,
}

/// Files, by the keys of their identities. Dropping them may close files, which sleeps.
pub(super) type Files = RBTree<u64, File>;

/// The files that a peer may have open.
///
/// # Invariants
///
/// The numbers are those of all files, of those that are kept, and of those whose question is
/// wanted.
pub(super) struct Opened {
    files: Files,
    count: usize,
    kept: usize,
    wanted: usize,
    /// Where the search for files to be asked about goes on.
    hand: u64,
    /// The session that what is kept belongs to.
    session: u64,
}

impl Opened {
    pub(super) fn new() -> Self {
        // INVARIANT: There are none.
        Self {
            files: RBTree::new(),
            count: 0,
            kept: 0,
            wanted: 0,
            hand: 0,
            session: 0,
        }
    }

    fn has(&self, key: u64) -> bool {
        self.files.get(&key).is_some()
    }

    fn is_kept(&self, key: u64) -> bool {
        self.files.get(&key).is_some_and(|file| file.kept.is_some())
    }

    fn set_question(&mut self, key: u64, question: Question) {
        let Some(file) = self.files.get_mut(&key) else {
            return;
        };
        // INVARIANT: Both numbers follow.
        if file.question == Question::Wanted {
            self.wanted = self.wanted.saturating_sub(1);
        }
        if question == Question::Wanted {
            self.wanted = self.wanted.saturating_add(1);
        }
        file.question = question;
    }

    /// Adds a file with its `node`, which is new; false when there is no room.
    fn add(&mut self, node: RBTreeNode<u64, File>) -> bool {
        if self.count >= MOST {
            return false;
        }
        if self.files.insert(node).is_none() {
            // INVARIANT: It is one more; no question is wanted, and it is not kept.
            self.count = self.count.saturating_add(1);
        }
        true
    }

    /// Takes a file out, which may hold a path that must not be dropped under a spin lock.
    fn take(&mut self, key: u64) -> Option<RBTreeNode<u64, File>> {
        self.set_question(key, Question::None);
        let kept = self.is_kept(key);
        let node = self.files.remove_node(&key)?;
        // INVARIANT: It is one less.
        self.count = self.count.saturating_sub(1);
        self.kept = self.kept.saturating_sub(kept.into());
        Some(node)
    }

    /// Keeps the file of `key` at `path`, if it is noted and there is room, and says whether it is
    /// kept now. No path is dropped.
    fn keep(&mut self, key: u64, path: &Path) -> bool {
        match self.files.get_mut(&key) {
            Some(file) if file.kept.is_some() => true,
            Some(file) if self.kept < MOST_KEPT => {
                file.kept = Some(path.clone());
                // INVARIANT: It is one more.
                self.kept = self.kept.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    /// Wants to know of some of the files whether they are open; each time of others.
    fn look_through(&mut self) {
        let mut left = Recall::MAX.saturating_sub(self.wanted);
        let mut cursor = self.files.cursor_lower_bound_mut(&self.hand);
        self.hand = 0;
        while let Some(mut at) = cursor {
            let (&key, file) = at.current_mut();
            if left == 0 {
                self.hand = key;
                return;
            }
            if file.question == Question::None {
                file.question = Question::Wanted;
                // INVARIANT: It is one more.
                self.wanted = self.wanted.saturating_add(1);
                left = left.saturating_sub(1);
            }
            cursor = at.move_next();
        }
    }

    /// The first `count` of `keys` are about to be told to the peer. Puts those of files behind them
    /// that it is to be asked about, unless it has not answered before (`others` is false), and
    /// gives how many there are then.
    pub(super) fn ask(&mut self, keys: &mut [u64], count: usize, others: bool) -> usize {
        let mut end = count;
        if self.wanted == 0 {
            return end;
        }
        for &key in keys.get(..count).unwrap_or(&[]) {
            let is_wanted = |file: &File| file.question == Question::Wanted;
            if self.files.get(&key).is_some_and(is_wanted) {
                self.set_question(key, Question::Asked);
            }
        }
        if !others {
            return end;
        }
        for (&key, file) in self.files.iter_mut() {
            if self.wanted == 0 {
                break;
            }
            if file.question != Question::Wanted {
                continue;
            }
            let Some(place) = keys.get_mut(end) else {
                break;
            };
            *place = key;
            end = end.saturating_add(1);
            file.question = Question::Asked;
            // INVARIANT: It is one less.
            self.wanted = self.wanted.saturating_sub(1);
        }
        end
    }

    /// The peer has answered which files of `keys` it has open, or could not be reached. Gives those
    /// that it does not have open, to be dropped where that may sleep.
    pub(super) fn answered(&mut self, keys: &[u64], answer: Option<&OpenFiles>) -> Files {
        let mut closed = Files::new();
        for (place, &key) in keys.iter().enumerate() {
            let is_asked = |file: &File| file.question == Question::Asked;
            if !self.files.get(&key).is_some_and(is_asked) {
                continue;
            }
            match answer {
                None => self.set_question(key, Question::Wanted),
                Some(answer) if answer.has(place) => self.set_question(key, Question::None),
                Some(_) => {
                    if let Some(node) = self.take(key) {
                        closed.insert(node);
                    }
                }
            }
        }
        closed
    }

    /// From now on, what is kept belongs to `session`. Gives what was kept in another one.
    pub(super) fn begin(&mut self, session: u64) -> Files {
        let mut ended = Files::new();
        if self.session == session {
            return ended;
        }
        self.session = session;
        let mut cursor = self.files.cursor_front_mut();
        while let Some(at) = cursor {
            let (_, file) = at.current();
            if file.kept.is_none() {
                cursor = at.move_next();
                continue;
            }
            // INVARIANT: All numbers follow.
            if file.question == Question::Wanted {
                self.wanted = self.wanted.saturating_sub(1);
            }
            self.count = self.count.saturating_sub(1);
            self.kept = self.kept.saturating_sub(1);
            let (next, node) = at.remove_current();
            ended.insert(node);
            cursor = next;
        }
        ended
    }
}

impl Leases {
    /// A peer has opened the file of `key`.
    pub(super) fn opened(&self, peer: &Arc<Peer>, key: u64) {
        if self.admit(peer).is_err() {
            return;
        }
        {
            let mut opened = peer.holder().opened().lock();
            if opened.has(key) {
                return opened.set_question(key, Question::None);
            }
        }
        let file = File {
            kept: None,
            question: Question::None,
        };
        // Without memory it is just not noted.
        let Ok(node) = RBTreeNode::new(key, file, GFP_KERNEL) else {
            return;
        };
        let added = {
            let mut opened = peer.holder().opened().lock();
            let added = opened.add(node);
            if !added {
                opened.look_through();
            }
            added
        };
        if !added {
            self.wake(peer);
        }
    }

    /// A peer may have closed the file of `key`.
    pub(super) fn closed(&self, peer: &Arc<Peer>, key: u64) {
        peer.holder()
            .opened()
            .lock()
            .set_question(key, Question::Wanted);
        self.wake(peer);
    }

    /// The file that is kept for a peer.
    pub(super) fn kept(&self, peer: &Peer, key: u64) -> Option<Path> {
        let opened = peer.holder().opened().lock();
        opened.files.get(&key)?.kept.clone()
    }

    /// Keeps a file without a name for a peer, if it may have it open, and says whether it does.
    pub(super) fn keep(&self, peer: &Arc<Peer>, key: u64, path: &Path) -> bool {
        let kept = {
            let mut opened = peer.holder().opened().lock();
            let kept = opened.keep(key, path);
            if kept {
                opened.set_question(key, Question::Wanted);
            }
            kept
        };
        if kept {
            self.wake(peer);
        }
        kept
    }

    /// Keeps a file without a name for a peer that has it open.
    pub(super) fn keep_open(&self, peer: &Arc<Peer>, key: u64, path: &Path) -> bool {
        self.opened(peer, key);
        peer.holder().opened().lock().keep(key, path)
    }

    /// Whether any peer may have any file open.
    pub(super) fn has_opened(&self) -> bool {
        let holders = self.holders().lock();
        holders
            .iter()
            .any(|peer| peer.holder().opened().lock().count != 0)
    }

    /// The file of `key` at `path` has lost its last name. Called by the task that removed it, with
    /// locks of the lower file system held, and before the leases on it are broken.
    pub(super) fn unlinked(&self, key: u64, path: &Path) {
        let mut forgotten = None;
        let holders = self.holders().lock();
        for peer in holders.iter() {
            let own = self.keeps(peer);
            let mut opened = peer.holder().opened().lock();
            match own {
                Some(true) => {
                    opened.keep(key, path);
                }
                // It does not have it open.
                Some(false) if !opened.is_kept(key) => forgotten = opened.take(key),
                Some(false) => {}
                None => {
                    if opened.keep(key, path) {
                        opened.set_question(key, Question::Wanted);
                        self.wake(peer);
                    }
                }
            }
        }
        drop(holders);
        drop(forgotten);
    }
}

#[cfg(HMDFS_KUNIT)]
#[kunit_tests(hmdfs_opened)]
mod tests {
    use super::*;

    fn opened(keys: core::ops::Range<u64>) -> Result<Opened> {
        let mut opened = Opened::new();
        for key in keys {
            let file = File {
                kept: None,
                question: Question::None,
            };
            assert!(opened.add(RBTreeNode::new(key, file, GFP_KERNEL)?));
        }
        Ok(opened)
    }

    fn answer(places: &[usize]) -> OpenFiles {
        let mut open = OpenFiles::default();
        places.iter().for_each(|&place| open.add(place));
        open
    }

    #[test]
    fn what_is_not_open_is_forgotten() -> Result {
        let mut opened = opened(0..4)?;
        opened.set_question(1, Question::Wanted);
        opened.set_question(2, Question::Wanted);
        // A lease on the first one is being taken back, too.
        let mut keys = [1, 0, 0, 0];
        assert_eq!(opened.ask(&mut keys, 1, true), 2);
        assert_eq!(keys, [1, 2, 0, 0]);
        assert_eq!(opened.wanted, 0);
        opened.answered(&[1, 2], Some(&answer(&[1])));
        assert!(!opened.has(1) && opened.has(2) && opened.has(0) && opened.has(3));
        assert_eq!(opened.count, 3);
        Ok(())
    }

    #[test]
    fn opening_takes_the_question_back() -> Result {
        let mut opened = opened(0..1)?;
        opened.set_question(0, Question::Wanted);
        assert_eq!(opened.ask(&mut [0; 4], 0, true), 1);
        opened.set_question(0, Question::None);
        opened.answered(&[0], Some(&answer(&[])));
        assert!(opened.has(0));
        Ok(())
    }

    #[test]
    fn what_was_not_answered_is_asked_again() -> Result {
        let mut opened = opened(0..1)?;
        opened.set_question(0, Question::Wanted);
        assert_eq!(opened.ask(&mut [0; 4], 0, true), 1);
        opened.answered(&[0], None);
        assert_eq!(opened.ask(&mut [0; 4], 0, false), 0);
        assert_eq!(opened.ask(&mut [0; 4], 0, true), 1);
        Ok(())
    }

    #[test]
    fn room_is_made_by_asking() -> Result {
        let mut opened = opened(0..MOST as u64)?;
        let file = File {
            kept: None,
            question: Question::None,
        };
        assert!(!opened.add(RBTreeNode::new(u64::MAX, file, GFP_KERNEL)?));
        let mut asked = 0;
        let mut keys = [0; 64];
        for _ in 0..3 {
            opened.look_through();
            assert_eq!(opened.wanted, Recall::MAX);
            loop {
                let count = opened.ask(&mut keys, 0, true);
                if count == 0 {
                    break;
                }
                asked += count;
                // Only the first of each question is open.
                opened.answered(&keys[..count], Some(&answer(&[0])));
            }
        }
        assert_eq!(asked, 3 * Recall::MAX);
        assert_eq!(opened.count, MOST - asked + asked / keys.len());
        assert_eq!(opened.files.iter().count(), opened.count);
        Ok(())
    }
}
