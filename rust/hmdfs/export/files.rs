// SPDX-License-Identifier: GPL-2.0

//! Files that are kept open from one request to the next.
//!
//! Reading a file takes many requests, and so does listing a large directory.
//! Opening for each of them would cost more than the reading, and lose the lower
//! file system's readahead and place in the directory.
//!
//! A regular file is shared by all requests that read it. A directory has a
//! position, so a request takes it out, and puts it back under the new position:
//! only the request that goes on there finds it.
//!
//! What is not used for some seconds is closed, so that deleted files give their
//! space back soon.

use hmdfs_kapi::{
    vfs::{DirectoryFile, RegularFile},
    workqueue::{cancel_delayed_work, OwnedQueue},
};
use hmdfs_proto::Handle;
use kernel::{
    impl_has_delayed_work, new_delayed_work, new_mutex,
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{Arc, Mutex},
    time::{msecs_to_jiffies, Delta, Instant, Monotonic},
    workqueue::{DelayedWork, WorkItem},
};

/// Most files that are kept open.
const MAX_FILES: usize = 256;

/// For how long a file that is not used stays open: long enough for a program that
/// reads a file bit by bit.
const IDLE: Delta = Delta::from_secs(5);

/// Milliseconds between two searches for files that are not used.
const SEARCH: u32 = 2500;

/// The open files of an export, which end with this value.
pub(super) struct OpenFiles(Arc<Shared>);

/// A bounded set of open files.
#[pin_data]
struct Shared {
    queue: OwnedQueue,
    #[pin]
    search: DelayedWork<Shared>,
    /// Innermost lock: nothing is opened, closed or waited for under it.
    #[pin]
    files: Mutex<Files>,
}

struct Files {
    tree: RBTree<Key, Kept>,
    count: usize,
}

/// A handle in short, and a position in the directory (0 for a regular file).
type Key = (u64, u64);

struct Kept {
    handle: Handle,
    used: Instant<Monotonic>,
    file: File,
}

enum File {
    Regular(Arc<RegularFile>),
    Directory(DirectoryFile),
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Shared { self.search }
}

impl OpenFiles {
    pub(super) fn new() -> Result<Self> {
        let queue = OwnedQueue::new(c"hmdfs_files")?;
        let shared = Arc::pin_init(
            pin_init!(Shared {
                queue,
                search <- new_delayed_work!("OpenFiles::search"),
                files <- new_mutex!(
                    Files {
                        tree: RBTree::new(),
                        count: 0,
                    },
                    "OpenFiles::files"
                ),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self(shared))
    }

    /// The regular file of a handle, if it is open.
    pub(super) fn regular(&self, handle: &Handle) -> Option<Arc<RegularFile>> {
        let mut files = self.0.files.lock();
        let kept = files.tree.get_mut(&key(handle, 0))?;
        match &kept.file {
            File::Regular(file) if kept.handle == *handle => {
                let file = file.clone();
                kept.used = Instant::now();
                Some(file)
            }
            _ => None,
        }
    }

    /// Keeps a regular file open.
    pub(super) fn keep_regular(&self, handle: &Handle, file: &Arc<RegularFile>) {
        self.keep(key(handle, 0), handle, File::Regular(file.clone()));
    }

    /// Closes the regular file of a handle, if it is open and nobody is reading it.
    pub(super) fn forget(&self, handle: &Handle) {
        let key = key(handle, 0);
        let mut files = self.0.files.lock();
        let forgotten = files.tree.remove_node(&key);
        if forgotten.is_some() {
            files.count = files.count.saturating_sub(1);
        }
        drop(files);
        // Closes the file, without the lock.
        drop(forgotten);
    }

    /// The directory of a handle, if it is open at that position.
    pub(super) fn take_directory(&self, handle: &Handle, position: u64) -> Option<DirectoryFile> {
        let key = key(handle, position);
        let mut files = self.0.files.lock();
        match files.tree.get(&key) {
            Some(Kept {
                handle: kept,
                file: File::Directory(_),
                ..
            }) if kept == handle => {}
            _ => return None,
        }
        let kept = files.tree.remove(&key)?;
        files.count = files.count.saturating_sub(1);
        drop(files);
        match kept.file {
            File::Directory(directory) => Some(directory),
            File::Regular(_) => None,
        }
    }

    /// Keeps a directory open, at that position.
    pub(super) fn keep_directory(&self, handle: &Handle, position: u64, file: DirectoryFile) {
        self.keep(key(handle, position), handle, File::Directory(file));
    }

    /// Closes all of them.
    #[cfg(HMDFS_KUNIT)]
    pub(super) fn close(&self) {
        self.0.close_idle(Delta::ZERO);
    }

    fn keep(&self, key: Key, handle: &Handle, file: File) {
        let kept = Kept {
            handle: *handle,
            used: Instant::now(),
            file,
        };
        // Without memory the file is just not kept.
        let Ok(node) = RBTreeNode::new(key, kept, GFP_KERNEL) else {
            return;
        };
        let mut files = self.0.files.lock();
        let replaced = files.tree.insert(node);
        let mut oldest = None;
        if replaced.is_none() {
            files.count = files.count.saturating_add(1);
            if files.count > MAX_FILES {
                oldest = files.remove_oldest();
            }
        }
        drop(files);
        // Closes files, without the lock.
        drop((replaced, oldest));
        Shared::search_later(&self.0);
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        // Then nobody but us refers to the files, and the queue does not end within
        // one of its own items.
        cancel_delayed_work(&self.0);
    }
}

impl Shared {
    /// Closes the files that were not used for the time `idle`, and says whether any are left.
    fn close_idle(&self, idle: Delta) -> bool {
        let start = Instant::<Monotonic>::now();
        loop {
            let mut files = self.files.lock();
            let expired = files
                .tree
                .iter()
                .find(|(_, kept)| start - kept.used >= idle)
                .map(|(key, _)| *key);
            let Some(key) = expired else {
                return files.count != 0;
            };
            let closed = files.tree.remove_node(&key);
            files.count = files.count.saturating_sub(1);
            drop(files);
            // Closes the file, without the lock.
            drop(closed);
        }
    }

    fn search_later(this: &Arc<Self>) {
        // When there is a search to come already, that one does.
        let _ = this
            .queue
            .enqueue_delayed(this.clone(), msecs_to_jiffies(SEARCH));
    }
}

impl WorkItem for Shared {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        if this.close_idle(IDLE) {
            Self::search_later(&this);
        }
    }
}

impl Files {
    fn remove_oldest(&mut self) -> Option<RBTreeNode<Key, Kept>> {
        let now = Instant::now();
        let (key, _) = self
            .tree
            .iter()
            .max_by_key(|(_, kept)| (now - kept.used).as_nanos())?;
        let key = *key;
        self.count = self.count.saturating_sub(1);
        self.tree.remove_node(&key)
    }
}

/// The end of a handle is its authentication code, which tells handles apart as
/// well as any hash.
fn key(handle: &Handle, position: u64) -> Key {
    let code = handle.as_bytes().last_chunk().copied().unwrap_or_default();
    (u64::from_le_bytes(code), position)
}
