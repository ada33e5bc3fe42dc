// SPDX-License-Identifier: GPL-2.0

//! Open merged directories.

use hmdfs_kapi::{
    cred::prepare_creds,
    fs::{
        directory::Context,
        file::{DirectoryOperations, File},
    },
    vfs::DirectoryFile,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, ArcBorrow, Mutex},
};

use super::{prime::prime, refresh, snapshot::Snapshot, sync, MergeOps};
use crate::{
    mount::Hmdfs,
    node::{Dentry, Inode},
};

/// An open merged directory.
#[pin_data]
pub(crate) struct Listing {
    #[pin]
    open: Mutex<Open>,
}

struct Open {
    /// This device's directory, if it has one.
    local: Option<DirectoryFile>,
    /// Where names come from, from the beginning to the end of a listing.
    source: Option<Source>,
}

enum Source {
    /// This device's directory, which is all there is.
    Local,
    /// The whole list, as it was when listing began, so that positions stay right while devices
    /// come and go. Position 2 is the first name, after "." and "..".
    Snapshot(Snapshot),
}

impl Source {
    /// `has_local` says whether this device's directory was open from the beginning.
    fn begin(inode: &Inode, dentry: &Dentry, has_local: bool) -> Result<Self> {
        let mount = inode.super_block().data();
        let parts = refresh::current(&mount, inode, || dentry.into())?;
        if has_local && parts.only_local().is_some() {
            return Ok(Source::Local);
        }
        let (mut snapshot, told) = Snapshot::collect(inode, &parts)?;
        prime(inode, &parts, dentry, &mut snapshot, &told)?;
        Ok(Source::Snapshot(snapshot))
    }
}

impl DirectoryOperations<Hmdfs> for MergeOps {
    type Private = Arc<Listing>;

    fn open(inode: &Inode, _file: &File<Hmdfs>) -> Result<Arc<Listing>> {
        let local = match inode.lower() {
            Some(path) => Some(DirectoryFile::open(path, &*prepare_creds()?)?),
            None => None,
        };
        let source = None;
        Arc::pin_init(
            pin_init!(Listing {
                // Held while devices are asked; only the users of this open file wait.
                open <- new_mutex!(Open { local, source }, "hmdfs::merge::Listing"),
            }),
            GFP_KERNEL,
        )
    }

    fn iterate(
        inode: &Inode,
        listing: ArcBorrow<'_, Listing>,
        context: &mut Context<'_, Hmdfs>,
    ) -> Result {
        let mut open = listing.open.lock();
        let open = &mut *open;
        // Rewinding asks again, as POSIX wants of rewinddir().
        if context.position() == 0 {
            open.source = None;
            if let Some(local) = &mut open.local {
                local.seek(0)?;
            }
        }
        let source = match &mut open.source {
            Some(source) => source,
            none => {
                let has_local = open.local.is_some();
                none.insert(Source::begin(inode, context.dentry(), has_local)?)
            }
        };
        let snapshot = match source {
            Source::Local => {
                let local = open.local.as_mut().ok_or(EIO)?;
                return context.iterate(local);
            }
            Source::Snapshot(snapshot) => snapshot,
        };
        if !context.emit_dots() {
            return Ok(());
        }
        loop {
            let index = usize::try_from(context.position().saturating_sub(2))?;
            let Some((name, ino, file_type)) = snapshot.get(index) else {
                return Ok(());
            };
            if !context.emit(name.as_bytes(), ino, file_type) {
                return Ok(());
            }
            context.set_position(context.position().saturating_add(1));
        }
    }

    fn fsync(inode: &Inode, listing: ArcBorrow<'_, Listing>, data_only: bool) -> Result {
        sync::fsync(inode, listing.open.lock().local.as_ref(), data_only)
    }
}
