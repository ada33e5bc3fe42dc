// SPDX-License-Identifier: GPL-2.0

//! Where in a merged directory things are made, and the directories that are missing there.
//!
//! A file is made on this device. If it has no such directory yet, that is made
//! first, and so on upwards, with the modes that the merged ones show. What becomes
//! merged with the others by its name; so a device can have its part only of a
//! directory that is shown by its real name, and not where `dirs=rename` keeps
//! it apart. Of a directory that this device cannot have, the first device that has it
//! gets what is made in it.

use hmdfs_kapi::{
    errno::{ENOTCONN, ESTALE},
    vfs,
};
use hmdfs_model::names::{is_decorated, Directories};
use kernel::{
    prelude::*,
    sync::{aref::ARef, Arc},
};

use super::{
    lookup::{find_real, Meaning},
    of, Directory,
};
use crate::{
    mount::Mount,
    node::{Dentry, Inode, InodeRef, Node},
    peer::Peer,
    remote::{directory, names},
};

/// The bits of a mode that a directory is made with for another one.
const MODE: u16 = 0o1777;

/// Sees to it that something can be made in the directory `dir`, whose dentry `dentry` gives: on this
/// device, where `dir` then has a lower directory, or, if this gives one, in a remote directory.
///
/// `dir` is locked, or a file without a name is to be made in it. May sleep.
pub(super) fn place(
    dir: &Inode,
    dentry: impl FnOnce() -> ARef<Dentry>,
) -> Result<Option<InodeRef>> {
    if dir.lower().is_some() {
        return Ok(None);
    }
    let mount = dir.super_block().data();
    match lacking(&mount, &dentry(), None)? {
        Some(missing) => {
            for dentry in missing.iter().rev() {
                make_local(dentry)?;
            }
            Ok(None)
        }
        None => Ok(Some(of(dir)?.parts().first_remote(dir)?)),
    }
}

/// The directory of `peer` that is a part of `dir`, whose dentry is `dentry`; made if it is
/// missing. EXDEV when it cannot have one.
pub(super) fn on_peer(dir: &Inode, dentry: &Dentry, peer: &Arc<Peer>) -> Result<InodeRef> {
    let mount = dir.super_block().data();
    let missing = lacking(&mount, dentry, Some(peer))?.ok_or(EXDEV)?;
    for dentry in missing.iter().rev() {
        make_remote(dentry, peer)?;
    }
    of(dir)?.parts().inode_of(dir, peer)
}

/// The merged directory of a dentry; ESTALE when it is none.
fn merged(dentry: &Dentry) -> Result<(&Inode, &Directory)> {
    let inode = dentry.inode().ok_or(ESTALE)?;
    match inode.data() {
        Node::Merge(directory) => Ok((inode, directory)),
        _ => Err(ESTALE.into()),
    }
}

/// Which directories a device, this one or `peer`, lacks from the one of `dentry` upwards; `None`
/// when it cannot have all of them.
fn lacking(
    mount: &Mount,
    dentry: &Dentry,
    peer: Option<&Arc<Peer>>,
) -> Result<Option<KVec<ARef<Dentry>>>> {
    let mut missing = KVec::new();
    let mut current: ARef<Dentry> = dentry.into();
    loop {
        let (inode, directory) = merged(&current)?;
        let parts = directory.parts();
        let has = match peer {
            None => inode.lower().is_some(),
            Some(peer) => parts.remote().any(|(other, _)| Arc::ptr_eq(other, peer)),
        };
        if has {
            return Ok(Some(missing));
        }
        let parent = current.parent();
        let Ok((dir, above)) = merged(&parent) else {
            // The view itself: of it, a device that is away is no part, and neither is this one
            // if it exports nothing.
            return peer.map_or(Ok(None), |_| Err(ENOTCONN.into()));
        };
        let keeps_apart = mount.directories() == Directories::Rename
            && (peer.is_none() || inode.lower().is_some());
        if keeps_apart || !is_plain(dir, above, current.name().as_bytes())? {
            return Ok(None);
        }
        missing.push(current, GFP_KERNEL)?;
        current = parent;
    }
}

/// Whether the directory that is shown as `shown` in `directory` is shown by its real name.
fn is_plain(dir: &Inode, directory: &Directory, shown: &[u8]) -> Result<bool> {
    if !is_decorated(shown) {
        return Ok(true);
    }
    let mut real = KVec::new();
    match find_real(dir, &directory.parts(), shown, &mut real)? {
        Some(Meaning::Directory(_)) => Ok(real.is_empty()),
        _ => Err(ESTALE.into()),
    }
}

/// Makes this device's part of the directory of `dentry`. The one above has its part.
///
/// The caller acts as himself: he must be allowed to make it.
fn make_local(dentry: &Dentry) -> Result {
    let parent = dentry.parent();
    let (above, _) = merged(&parent)?;
    let (inode, directory) = merged(dentry)?;
    let name = dentry.name();
    let lower = above.lower().ok_or(ESTALE)?;
    let mode = directory.parts().attributes()?.mode & MODE;
    let path = match lower.mkdir(dentry.component(name.as_bytes()), mode) {
        Ok(path) => {
            if path.permissions() & MODE != mode {
                set_mode(&path, mode);
            }
            path
        }
        // Somebody was faster.
        Err(error) if error == EEXIST => lower.lookup(name.as_bytes())?,
        Err(error) => return Err(error),
    };
    let is_here = |dentry: &Dentry| {
        dentry.name().as_bytes() == name.as_bytes()
            && core::ptr::eq::<Dentry>(&*dentry.parent(), &*parent)
    };
    if !path.is_dir() || !is_here(dentry) {
        // It was renamed meanwhile, or this device has a file of that name now.
        return Err(ESTALE.into());
    }
    directory.gain_local(inode, path)
}

/// The umask took something away.
fn set_mode(path: &vfs::Path, mode: u16) {
    let changes = vfs::Changes {
        mode: Some(mode),
        ..vfs::Changes::default()
    };
    if let Err(error) = path.set_attributes(&changes) {
        pr_debug!("a directory has fewer permissions than those it merges with: {error:?}\n");
    }
}

/// Makes the part of `peer` of the directory of `dentry`. The one above has its part.
fn make_remote(dentry: &Dentry, peer: &Arc<Peer>) -> Result {
    let parent = dentry.parent();
    let (above, parts) = merged(&parent)?;
    let (inode, directory) = merged(dentry)?;
    let name = dentry.name();
    let mode = directory.parts().attributes()?.mode & MODE;
    let part = parts.parts().inode_of(above, peer)?;
    let child = match names::make_directory(&part, name.as_bytes(), mode) {
        // Somebody was faster, or the device has a file of this name, which is shown by another.
        Err(error) if error == EEXIST => {
            let mount = above.super_block().data();
            directory::find_in(&mount, &part, name.as_bytes())?
                .filter(|child| child.attributes.is_directory())
                .ok_or(EXDEV)?
        }
        other => other?,
    };
    directory.gain_remote(inode, peer, child)
}
