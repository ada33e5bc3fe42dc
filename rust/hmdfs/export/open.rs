// SPDX-License-Identifier: GPL-2.0

//! The operations that open and close files.
//!
//! Opening checks that the client may, and notes that it may have the file open from then on and
//! whether it may be writing to it ([`super::opened`], [`super::writing`]); nothing is opened here for
//! that.

use hmdfs_kapi::{errno::EOPNOTSUPP, vfs::Mask};
use kernel::prelude::*;

use super::{access, compound::Execution, current::Seen, Client};

impl<C: Client + ?Sized> Execution<'_, C> {
    /// Checks that the current file may be opened like this, and notes that it is.
    pub(super) fn open(&mut self, read: bool, write: bool) -> Result {
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        current.check_regular()?;
        if read {
            access::check_open(export, client, &current.path, Mask::Read)?;
        }
        if write {
            access::check_open(export, client, &current.path, Mask::Write)?;
        }
        self.opened(write)
    }

    /// The client has the current file, a regular one, open from now on, perhaps for writing.
    pub(super) fn opened(&mut self, write: bool) -> Result {
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        let file = current.noted(export)?;
        if let Some(peer) = client.peer() {
            export.leases.opened(peer, file.key);
            if write {
                export.leases.opened_for_writing(peer, file);
            }
            if current.path.is_unlinked() {
                export.leases.keep(peer, file.key, &current.path);
            }
        }
        Ok(())
    }

    /// The client has the current file, which has no name, open from now on.
    ///
    /// `ENFILE` when it has too many of that kind.
    pub(super) fn opened_without_a_name(&mut self) -> Result {
        let (client, export) = (self.client, self.export);
        let peer = client.peer().ok_or(EOPNOTSUPP)?;
        let current = self.current()?;
        let file = current.noted(export)?;
        if !export.leases.keep_open(peer, file.key, &current.path) {
            return Err(ENFILE);
        }
        // It may be given a name.
        export.leases.opened_for_writing(peer, file);
        Ok(())
    }

    /// The client may have closed the current file.
    pub(super) fn closed(&mut self) -> Result {
        let (client, export) = (self.client, self.export);
        let handle = self.current()?.handle(export)?;
        // A file without a name that is kept open would keep its space.
        export.files.forget(&handle);
        self.seen = Seen::NONE;
        self.current = None;
        if let Some(peer) = client.peer() {
            export.leases.closed(peer, handle.identity().key());
        }
        Ok(())
    }
}
