// SPDX-License-Identifier: GPL-2.0

//! The file that the operations of a compound work on, and how it is found by its handle.
//!
//! A handle is looked for among the files that are kept open, then in the lower file system, and, when
//! the file has no name any more, among those that are kept for the client.

use hmdfs_kapi::{
    cred,
    errno::{ELOOP, ESTALE},
    vfs::{Path, RegularFile},
};
use hmdfs_proto::Handle;
use kernel::{prelude::*, sync::Arc};

use super::{attributes, compound::Execution, writing::File, Client, Export};

/// The file that operations work on. It lies below the export's root.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) path: Path,
    handle: Option<Handle>,
    /// It, open for reading.
    pub(super) file: Option<Arc<RegularFile>>,
}

impl Current {
    pub(super) fn new(path: Path) -> Self {
        Self {
            path,
            handle: None,
            file: None,
        }
    }

    pub(super) fn handle(&mut self, export: &Export) -> Result<Handle> {
        match self.handle {
            Some(handle) => Ok(handle),
            None => {
                let handle = export.handles.encode(&self.path)?;
                self.handle = Some(handle);
                Ok(handle)
            }
        }
    }

    /// What it is called where it is noted who writes to it.
    pub(super) fn noted(&mut self, export: &Export) -> Result<File> {
        let key = self.handle(export)?.identity().key();
        let ino = self.path.ino();
        Ok(File { ino, key })
    }

    /// Its change attribute.
    pub(super) fn change(&self) -> Result<u64> {
        Ok(attributes::attributes(&self.path.getattr()?).change)
    }

    /// Checks that it is a regular file.
    pub(super) fn check_regular(&self) -> Result {
        if self.path.is_dir() {
            return Err(EISDIR);
        }
        if self.path.is_symlink() {
            return Err(ELOOP.into());
        }
        if !self.path.is_reg() {
            return Err(EACCES);
        }
        Ok(())
    }
}

/// Files that a compound may name without looking for any of them twice: both directories of
/// a rename, and what is renamed.
const SEEN: usize = 3;

/// Files that a compound has named by a handle.
pub(super) struct Seen([Option<Current>; SEEN]);

impl Seen {
    /// None.
    pub(super) const NONE: Self = Self([const { None }; SEEN]);

    /// The file of `handle`, if it is one of them.
    fn find(&self, handle: &Handle) -> Option<&Current> {
        let mut seen = self.0.iter().flatten();
        seen.find(|seen| seen.handle == Some(*handle))
    }

    /// Adds a file, if there is room.
    fn add(&mut self, current: &Current) {
        if let Some(room) = self.0.iter_mut().find(|seen| seen.is_none()) {
            *room = Some(current.clone());
        }
    }
}

impl<C: Client + ?Sized> Execution<'_, C> {
    /// The current file; [`EBADF`] when no operation has set it.
    pub(super) fn current(&mut self) -> Result<&mut Current> {
        self.current.as_mut().ok_or(EBADF)
    }

    /// The file of a handle. Compounds name the same few files again and again, which are found
    /// once.
    pub(super) fn file(&mut self, handle: &Handle) -> Result<Current> {
        if let Some(current) = self.seen.find(handle) {
            // An operation before this one may have removed it.
            if !current.path.is_unlinked() {
                return Ok(current.clone());
            }
        }
        let current = self.find(handle)?;
        self.seen.add(&current);
        Ok(current)
    }

    /// The file of a handle, whether or not it was named before.
    pub(super) fn find(&self, handle: &Handle) -> Result<Current> {
        let export = self.export;
        let open = export.files.regular(handle);
        if let Some(file) = open.as_ref().filter(|file| !file.path().is_unlinked()) {
            // The handle was decoded when the file was opened.
            let current = Current {
                path: file.path(),
                handle: Some(*handle),
                file: open.clone(),
            };
            export.check_reachable(&current.path)?;
            return Ok(current);
        }
        let found = cred::with_creds(&export.mounter, || {
            export.handles.decode(&export.root, handle)
        });
        let (path, file) = match found {
            Ok(path) if !path.is_unlinked() => {
                export.check_reachable(&path)?;
                (path, None)
            }
            // Wherever it was, the client has been there.
            found => {
                let path = self.without_a_name(handle, found)?;
                let file = open.filter(|file| file.path().identity() == path.identity());
                (path, file)
            }
        };
        Ok(Current {
            path,
            handle: Some(*handle),
            file,
        })
    }

    /// The file of a handle that has no name any more, if it is kept for the client; `found` is what
    /// the handle led to.
    fn without_a_name(&self, handle: &Handle, found: Result<Path>) -> Result<Path> {
        let export = self.export;
        let stale = || ESTALE.error();
        let peer = self.client.peer().ok_or_else(stale)?;
        if !export.handles.is_genuine(handle) {
            return Err(stale());
        }
        let key = handle.identity().key();
        if let Some(path) = export.leases.kept(peer, key) {
            let is_it = export.handles.is_of(handle, &path)?;
            return is_it.then_some(path).ok_or_else(stale);
        }
        // It may be losing its name just now.
        let path = found?;
        let kept = export.leases.keep(peer, key, &path);
        kept.then_some(path).ok_or_else(stale)
    }
}
