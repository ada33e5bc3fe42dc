// SPDX-License-Identifier: GPL-2.0

//! Files that peers have written and that are not on stable storage yet.
//!
//! When what was written cannot be stored, the kernel notes that in the inode, until somebody asks
//! with `fsync`. A program of this device has the file open meanwhile, which keeps the inode in
//! memory. A peer's program has it open elsewhere, so the inode is kept from here, until all of it
//! is stored or it has no name any more. One that has met with an error stays: nobody knows how
//! many programs will ask.

use hmdfs_kapi::{
    vfs::Path,
    workqueue::{cancel_delayed_work, OwnedQueue},
};
use kernel::{
    impl_has_delayed_work, new_delayed_work, new_mutex,
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{Arc, Mutex},
    time::msecs_to_jiffies,
    workqueue::{DelayedWork, WorkItem},
};

/// Most files that are kept. The kernel itself keeps a file in memory until it was stored or not, so
/// that errors of more are only lost when memory is short just then.
const MOST: usize = 1 << 14;

/// Milliseconds between two searches for files that are stored.
const SEARCH: u32 = 2500;

/// The files of an export that are not stored yet, which end with this value.
pub(super) struct Unstored(Arc<Shared>);

#[pin_data]
struct Shared {
    queue: OwnedQueue,
    #[pin]
    search: DelayedWork<Shared>,
    /// Innermost lock: no file is given up under it.
    #[pin]
    files: Mutex<Files>,
}

/// By [`Path::identity`], which nothing else can have as long as the file is kept.
#[derive(Default)]
struct Files {
    tree: RBTree<usize, File>,
    count: usize,
}

struct File {
    path: Path,
    /// Which errors it had met with before it was written.
    errors: u32,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Shared { self.search }
}

impl Unstored {
    pub(super) fn new() -> Result<Self> {
        let queue = OwnedQueue::new(c"hmdfs_unstored")?;
        let shared = Arc::pin_init(
            pin_init!(Shared {
                queue,
                search <- new_delayed_work!("Unstored::search"),
                files <- new_mutex!(Files::default(), "Unstored::files"),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self(shared))
    }

    /// The file at `path`, which had met with `errors`, was written.
    pub(super) fn written(&self, path: &Path, errors: u32) {
        let key = path.identity();
        let is_known = {
            let files = self.0.files.lock();
            files.count >= MOST || files.tree.get(&key).is_some()
        };
        if is_known {
            return;
        }
        let file = File {
            path: path.clone(),
            errors,
        };
        // Without memory it is just not kept.
        let Ok(node) = RBTreeNode::new(key, file, GFP_KERNEL) else {
            return;
        };
        let mut files = self.0.files.lock();
        let replaced = files.tree.insert(node);
        if replaced.is_none() {
            files.count = files.count.saturating_add(1);
        }
        drop(files);
        // Gives up a path, without the lock.
        drop(replaced);
        Shared::search_later(&self.0);
    }

    /// The file at `path` was removed.
    pub(super) fn removed(&self, path: &Path) {
        let removed = self.0.files.lock().take(path.identity());
        // Gives up a path, without the lock.
        drop(removed);
    }
}

impl Drop for Unstored {
    fn drop(&mut self) {
        // Then nobody but us refers to the files, and the queue does not end within one of its own
        // items.
        cancel_delayed_work(&self.0);
    }
}

impl Files {
    fn take(&mut self, key: usize) -> Option<RBTreeNode<usize, File>> {
        let node = self.tree.remove_node(&key)?;
        self.count = self.count.saturating_sub(1);
        Some(node)
    }

    /// Takes those out that are not to be kept any more.
    fn take_stored(&mut self) -> RBTree<usize, File> {
        let mut stored = RBTree::new();
        let mut cursor = self.tree.cursor_front_mut();
        while let Some(at) = cursor {
            let (_, file) = at.current();
            if file.is_wanted() {
                cursor = at.move_next();
                continue;
            }
            let (next, node) = at.remove_current();
            stored.insert(node);
            self.count = self.count.saturating_sub(1);
            cursor = next;
        }
        stored
    }
}

impl File {
    fn is_wanted(&self) -> bool {
        // In this order: the error is noted before a page counts as written back.
        let path = &self.path;
        !path.is_unlinked() && (path.is_dirty() || path.has_errors_since(self.errors))
    }
}

impl Shared {
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
        let mut files = this.files.lock();
        let stored = files.take_stored();
        let some_are_left = files.count != 0;
        drop(files);
        // Gives up paths, without the lock.
        drop(stored);
        if some_are_left {
            Self::search_later(&this);
        }
    }
}
