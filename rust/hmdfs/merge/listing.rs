// SPDX-License-Identifier: GPL-2.0

//! Open merged directories.

use hmdfs_kapi::fs::{
    directory::Context,
    file::{DirectoryOperations, File},
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, ArcBorrow, Mutex},
};

use super::{of, snapshot::Snapshot, MergeOps};
use crate::{mount::Hmdfs, node::Inode};

/// An open merged directory: the whole list, as it was when listing began, so that positions stay
/// right while devices come and go. Position 2 is the first name, after "." and "..".
#[pin_data]
pub(crate) struct Listing {
    #[pin]
    snapshot: Mutex<Option<Snapshot>>,
}

impl DirectoryOperations<Hmdfs> for MergeOps {
    type Private = Arc<Listing>;

    fn open(_inode: &Inode, _file: &File<Hmdfs>) -> Result<Arc<Listing>> {
        Arc::pin_init(
            pin_init!(Listing {
                // Held while devices are asked; only the readers of this open file wait.
                snapshot <- new_mutex!(None, "hmdfs::merge::Listing"),
            }),
            GFP_KERNEL,
        )
    }

    fn iterate(
        inode: &Inode,
        listing: ArcBorrow<'_, Listing>,
        context: &mut Context<'_, Hmdfs>,
    ) -> Result {
        // Rewinding asks again, as POSIX wants of rewinddir().
        let rewound = context.position() == 0;
        if !context.emit_dots() {
            return Ok(());
        }
        let mut current = listing.snapshot.lock();
        if rewound {
            *current = None;
        }
        let snapshot = match &mut *current {
            Some(snapshot) => snapshot,
            none => none.insert(Snapshot::collect(&inode.super_block().data(), of(inode)?)?),
        };
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
}
