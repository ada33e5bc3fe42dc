// SPDX-License-Identifier: GPL-2.0

//! The directories above the trees of the devices: the root of a mount and
//! `device_view`.

use hmdfs_kapi::fs::{
    dentry::{self, InLookup, Intent, Spliced},
    directory::{Context, EntryType},
    file::{DirectoryOperations, File},
    inode::{Attributes, Found},
    inode_operations::{Operations, Query},
    SuperBlock,
};
use kernel::{
    prelude::*,
    sync::{Arc, ArcBorrow},
};

use crate::{
    local, merge,
    mount::{Hmdfs, Mount},
    node::{Dentry, Inode, InodeRef, Key, Node},
    peer::Peer,
    remote,
    validity::Validity,
};

/// Name of the directory that has one directory for each device.
pub(crate) const DEVICE_VIEW: &[u8] = b"device_view";

/// Name of the directory that has the files of all devices.
pub(crate) const MERGE_VIEW: &[u8] = b"merge_view";

/// Name of this device's own directory in `device_view`.
pub(crate) const LOCAL: &[u8] = b"local";

/// A directory that exists in views only. The numbers are their inode numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// The root of the mount.
    Root = 1,
    /// `device_view`.
    Devices = 2,
}

/// Finds or makes the inode of a view's directory.
pub(crate) fn iget(sb: &SuperBlock<Hmdfs>, view: View) -> Result<InodeRef> {
    let key = Key::View(view);
    match sb.iget5_locked(key.hash(), key.hash(), key, Node::View(view))? {
        Found::Existing(inode) => Ok(inode),
        Found::New(new) => {
            let now = sb.data().mounted_at;
            new.set_type(0o040_555, 0, (0, 0));
            new.set_attributes(&Attributes {
                mode: 0o555,
                nlink: 2,
                atime: now,
                mtime: now,
                ctime: now,
                ..Attributes::default()
            });
            new.set_inode_operations::<ViewOps>();
            new.set_directory_operations::<ViewOps>();
            new.unlock().ok_or(ENOMEM)
        }
    }
}

/// Operations of a view's directories.
pub(crate) struct ViewOps;

fn view_of(inode: &Inode) -> Result<View> {
    match inode.data() {
        Node::View(view) => Ok(*view),
        _ => Err(EINVAL),
    }
}

/// Whether a name in a view's directory still means what `dentry` says.
fn revalidate(
    mount: &Mount,
    view: View,
    name: &[u8],
    dentry: &Dentry,
    intent: Intent,
) -> Result<bool> {
    let Some(inode) = dentry.inode() else {
        return Ok(false);
    };
    Ok(match (view, inode.data()) {
        (View::Root, Node::Merge(root)) => {
            let generation = mount.peers.generation();
            let valid = merge::refresh_root(mount, inode, root)?;
            if valid {
                dentry.set_time(Validity::generation(generation).as_time());
            }
            valid
        }
        (View::Devices, Node::Remote(node)) => {
            let generation = mount.peers.generation();
            let same = |peer: &Arc<Peer>| Arc::ptr_eq(peer, node.peer());
            match mount.peers.by_name(name).filter(same) {
                // What is mounted somewhere of its tree, or on it, stays: it may be back soon.
                Some(peer) if !peer.is_online() => return Err(ENOENT),
                // Its handle leads nowhere any more: the device has begun anew, on a file system
                // that cannot keep the key of handles, or shows another directory.
                Some(peer) if intent.must_ask() => {
                    let valid = node.learn(remote::directory::root(mount, &peer)?.handle);
                    if valid {
                        dentry.set_time(Validity::generation(generation).as_time());
                    }
                    valid
                }
                Some(_) => {
                    dentry.set_time(Validity::generation(generation).as_time());
                    true
                }
                None => false,
            }
        }
        (View::Devices, Node::Local(_)) => true,
        _ => false,
    })
}

#[vtable]
impl Operations<Hmdfs> for ViewOps {
    const READ_ONLY: bool = true;

    fn lookup(dir: &Inode, dentry: InLookup<'_, Hmdfs>) -> Result<Spliced<Hmdfs>> {
        let sb = dir.super_block();
        let mount = sb.data();
        let name = dentry.name();
        let generation = Validity::generation(mount.peers.generation());
        let (inode, validity) = match (view_of(dir)?, name.as_bytes()) {
            (View::Root, DEVICE_VIEW) => (Some(iget(sb, View::Devices)?), Validity::FOREVER),
            (View::Root, MERGE_VIEW) => (Some(merge::root(&mount, sb)?), generation),
            (View::Root, _) => (None, Validity::FOREVER),
            (View::Devices, LOCAL) => match mount.local_root(sb)? {
                Some(root) => (Some(root), Validity::FOREVER),
                None => (None, generation),
            },
            (View::Devices, name) => match mount.peers.by_name(name) {
                Some(peer) if peer.is_online() => {
                    let root = remote::directory::root(&mount, &peer)?;
                    (Some(remote::inode::iget(sb, &peer, &root)?), generation)
                }
                _ => (None, generation),
            },
        };
        dentry.splice_alias(inode, validity.as_time())
    }

    fn getattr(_inode: &Inode, _query: Query) -> Result {
        Ok(())
    }
}

impl DirectoryOperations<Hmdfs> for ViewOps {
    type Private = ();

    fn open(_inode: &Inode, _file: &File<Hmdfs>) -> Result {
        Ok(())
    }

    fn iterate(inode: &Inode, _private: (), context: &mut Context<'_, Hmdfs>) -> Result {
        if !context.emit_dots() {
            return Ok(());
        }
        let view = view_of(inode)?;
        match view {
            View::Root => {
                for (position, name) in [(2, DEVICE_VIEW), (3, MERGE_VIEW)] {
                    let ino = Key::View(View::Devices).hash();
                    if context.position() == position {
                        if !context.emit(name, ino, EntryType::DIRECTORY) {
                            return Ok(());
                        }
                        context.set_position(position + 1);
                    }
                }
                Ok(())
            }
            View::Devices => list_devices(&inode.super_block().data(), inode, context),
        }
    }
}

/// Lists `local` at position 2 and each device that is online at 3 + its number, so that
/// positions stay right while devices come and go.
fn list_devices(mount: &Mount, inode: &Inode, context: &mut Context<'_, Hmdfs>) -> Result {
    if context.position() == 2 {
        if mount.share().is_some() && !context.emit(LOCAL, inode.ino(), EntryType::DIRECTORY) {
            return Ok(());
        }
        context.set_position(3);
    }
    for peer in &mount.peers.snapshot()? {
        let position = u64::from(peer.number()).saturating_add(3);
        if position < context.position() || !peer.is_online() {
            continue;
        }
        let name = peer.name();
        if !context.emit(name.as_bytes(), inode.ino(), EntryType::DIRECTORY) {
            return Ok(());
        }
        context.set_position(position.saturating_add(1));
    }
    Ok(())
}

/// Operations of all dentries of a mount.
pub(crate) struct DentryOps;

/// Whether what a peer told and gave this time is used without asking again.
///
/// `note` is that of the inode of the directory.
pub(crate) fn is_fresh(mount: &Mount, note: u64, time: usize, intent: Intent) -> bool {
    let validity = Validity::from_time(time);
    // What is opened is as it is at its owner now, and what must not exist does not exist there:
    // without a lease, that is not known.
    let must_ask = (intent.is_open() || intent.is_exclusive()) && validity.is_timed();
    !must_ask && validity.holds(mount.peers.generation(), note)
}

impl dentry::Operations<Hmdfs> for DentryOps {
    fn is_fresh(mount: ArcBorrow<'_, Mount>, note: u64, time: usize, intent: Intent) -> bool {
        is_fresh(&mount, note, time, intent)
    }

    fn revalidate(dir: &Inode, name: &[u8], dentry: &Dentry, intent: Intent) -> Result<bool> {
        let mount = dir.super_block().data();
        match dir.data() {
            Node::View(view) => revalidate(&mount, *view, name, dentry, intent),
            Node::Merge(_) => merge::revalidate(&mount, dir, name, dentry, intent),
            Node::Remote(_) => remote::directory::revalidate(&mount, dir, name, dentry, intent),
            Node::Local(_) => local::revalidate(dir, name, dentry),
        }
    }
}
