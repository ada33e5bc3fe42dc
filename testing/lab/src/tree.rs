// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is in a tree, and how two trees differ.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file of so many bytes.
    File(u64),
    /// A symbolic link and its target.
    Link(OsString),
    /// A device node, socket or FIFO.
    Special,
}

/// One entry of a tree, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its kind, with what belongs to that.
    pub kind: Kind,
    /// Permission bits, with set-user-id and the like.
    pub mode: u32,
    /// Modification time: seconds and nanoseconds.
    pub mtime: (i64, i64),
}

impl Entry {
    /// The entry at `path`, symbolic links not followed.
    pub fn of(path: &Path) -> Result<Self> {
        let metadata = fs::symlink_metadata(path)
            .with_context(|| format!("cannot stat {}", path.display()))?;
        let target = if metadata.is_symlink() {
            let target = fs::read_link(path)
                .with_context(|| format!("cannot read the link {}", path.display()))?;
            Some(target.into_os_string())
        } else {
            None
        };
        Ok(Self::new(&metadata, target))
    }

    fn new(metadata: &Metadata, target: Option<OsString>) -> Self {
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File(metadata.len())
        } else if let Some(target) = target {
            Kind::Link(target)
        } else {
            Kind::Special
        };
        Self {
            kind,
            mode: metadata.mode() & 0o7777,
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Directory => write!(f, "directory")?,
            Kind::File(size) => write!(f, "file of {size} bytes")?,
            Kind::Link(target) => write!(f, "link to {target:?}")?,
            Kind::Special => write!(f, "special file")?,
        }
        let (seconds, nanoseconds) = self.mtime;
        write!(
            f,
            ", mode {:04o}, mtime {seconds}.{nanoseconds:09}",
            self.mode
        )
    }
}

/// Every entry below a directory, by its path from there.
pub type Tree = BTreeMap<PathBuf, Entry>;

/// Reads the names and attributes of everything below `root`.
pub fn list(root: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(folder) = todo.pop() {
        let path = root.join(&folder);
        let entries =
            fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", path.display()))?;
            let place = folder.join(entry.file_name());
            let found = Entry::of(&entry.path())?;
            if found.kind == Kind::Directory {
                todo.push(place.clone());
            }
            tree.insert(place, found);
        }
    }
    Ok(tree)
}

/// The names in one directory, sorted.
pub fn names(directory: &Path) -> Result<Vec<OsString>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", directory.display()))?;
        names.push(entry.file_name());
    }
    names.sort();
    Ok(names)
}

/// SHA-256 of a file's content, read from beginning to end.
pub fn digest(path: &Path) -> Result<[u8; 32]> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        let length = file
            .read(&mut buffer)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if length == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&buffer[..length]);
    }
}

/// Runs `work` on every item in `threads` threads; collects the texts and errors.
pub fn in_parallel<T: Sync>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<Option<String>> + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let texts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = match work(item) {
                        Ok(None) => continue,
                        Ok(Some(text)) => text,
                        Err(error) => format!("{error:#}"),
                    };
                    if let Ok(mut texts) = texts.lock() {
                        texts.push(text);
                    }
                }
            });
        }
    });
    texts
        .into_inner()
        .unwrap_or_else(|poison| poison.into_inner())
}

/// Whether a name is among those listed in `directory`.
pub fn shows(directory: &Path, name: impl AsRef<OsStr>) -> Result<bool> {
    let name = name.as_ref();
    Ok(names(directory)?.iter().any(|found| found == name))
}

/// Whether `path` is a FIFO, socket or device node.
pub fn is_special(path: &Path) -> Result<bool> {
    let kind = fs::symlink_metadata(path)?.file_type();
    Ok(kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device())
}

/// A path below `root` from raw bytes, which need not be UTF-8.
pub fn below(root: &Path, name: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(name))
}
