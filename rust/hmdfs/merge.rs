// SPDX-License-Identifier: GPL-2.0

//! Directories of several devices as one.
//!
//! Devices are ordered, this one first, then the others by their numbers, and
//! [`hmdfs_model::names`] says what each entry of each is called. All devices are
//! asked at once, and one that fails costs its own entries only.
//!
//! What a dentry stands for may have another name on its device. Whatever is to be
//! done there under the real name begins with [`lookup::find`].
//!
//! A merged directory is made of the directories that existed when it was looked up
//! last, see [`parts`]. When a device comes or goes, every name of the view is looked
//! up again before it is used.

use hmdfs_kapi::{
    errno::{EPROTO, ESTALE},
    fs::{
        dentry::{InLookup, Instantiated, Intent, Negative, Spliced},
        inode,
        inode_operations::{Operations, Query, Renamed, Tmpfile, TmpfileOpened},
        SuperBlock,
    },
    vfs::{self, rename::Flags, AclType, Changes, Entry},
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
};

use crate::{
    local,
    mount::{Hmdfs, Mount},
    node::{self, Dentry, Inode, InodeRef, Node},
    remote::{
        self,
        compound::request,
        directory::{root_of, ROOT_OPERATIONS},
        gather::call_all,
        leases::of_nothing,
    },
    validity::Validity,
    view,
};

mod attributes;
mod change;
mod collect;
mod leases;
mod listing;
mod lookup;
mod parents;
mod parts;
mod prime;
mod refresh;
mod rename;
mod rename_directory;
mod rmdir;
mod save;
mod siblings;
mod snapshot;
mod statfs;
mod sync;

pub(crate) use attributes::{getxattr, setxattr};
pub(crate) use leases::{changed_here, local_changed, recalled, Dependents};
use lookup::{find, Found, Meaning};
pub(crate) use parts::Directory;
use parts::{Part, Parts};
use rename::Renaming;
pub(crate) use statfs::statfs;

/// Number of the next merged directory.
static NEXT: Atomic<u64> = Atomic::new(1);

/// What the inode of a merged directory is found by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Never used again.
    number: u64,
    hash: u64,
}

impl Key {
    /// Before all others.
    const NONE: Self = Self { number: 0, hash: 0 };

    /// That of a new directory, which is made of `parts`.
    fn new(parts: &Parts) -> Self {
        let number = NEXT.fetch_add(1, Relaxed);
        let hash = match parts.local() {
            // Whoever changes that in the exported tree finds this one, too; see `local::watch`.
            Some(path) => local::Key::of(path).hash(),
            None => node::Key::merged_number(number),
        };
        Self { number, hash }
    }

    /// A hash for finding the inode.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The first one after it.
    fn next(self) -> Self {
        Self {
            number: self.number.saturating_add(1),
            hash: 0,
        }
    }
}

/// Whether an entry of the exported tree is `file`, or nothing if that is none.
fn is_entry_of(entry: &Entry<'_>, file: Option<&vfs::Path>) -> bool {
    match (entry.path(), file) {
        (Some(path), Some(file)) => path.identity() == file.identity(),
        (None, None) => true,
        _ => false,
    }
}

/// Makes the inode of a merged directory.
fn iget(sb: &SuperBlock<Hmdfs>, parts: Arc<Parts>) -> Result<InodeRef> {
    let attributes = parts.attributes()?;
    let local = parts.local().cloned();
    let own = Key::new(&parts);
    let key = node::Key::Merge(own);
    let is_alone = parts.only_local().is_some();
    let node = Node::Merge(Directory::new(&sb.data(), own, parts)?);
    let ino = node::Key::merged_number(own.number);
    match sb.iget5_locked(key.hash(), ino, key, node)? {
        // The number was never used before.
        inode::Found::Existing(_) => Err(ESTALE.into()),
        inode::Found::New(new) => {
            new.set_type(0o040_000 | attributes.mode & 0o7777, 0, (0, 0));
            if let Some(path) = local {
                new.gain_lower(path);
            }
            new.set_attributes(&attributes);
            new.set_alone(is_alone);
            // Also where nobody else can have it now, another device may get the parent directory.
            new.set_time(Validity::NONE.as_time());
            new.set_inode_operations::<MergeOps>();
            new.allow_fast_exec();
            new.set_directory_operations::<MergeOps>();
            new.unlock().ok_or(ENOMEM)
        }
    }
}

/// Makes `merge_view` as it is now.
pub(crate) fn root(mount: &Mount, sb: &SuperBlock<Hmdfs>) -> Result<InodeRef> {
    iget(sb, root_parts(mount)?)
}

/// Has `merge_view` consist of what it is made of now; false when it is another directory.
pub(crate) fn refresh_root(mount: &Mount, inode: &Inode, root: &Directory) -> Result<bool> {
    root.take(inode, root_parts(mount)?)
}

fn root_parts(mount: &Mount) -> Result<Arc<Parts>> {
    let operations = ROOT_OPERATIONS;
    let generation = mount.peers.generation();
    let question = mount.ask();
    let mut parts = KVec::new();
    if let Some(share) = mount.share() {
        parts.push(Part::Local(share.root.clone()), GFP_KERNEL)?;
    }
    let mut peers = mount.peers.snapshot()?;
    peers.retain(|peer| peer.is_online());
    let mut requests = KVec::with_capacity(peers.len(), GFP_KERNEL)?;
    for peer in &peers {
        requests.push((peer.clone(), request(&operations, 0)?), GFP_KERNEL)?;
    }
    for (peer, reply) in peers.into_iter().zip(call_all(requests)?) {
        let child = reply.and_then(|reply| root_of(&reply, &operations, question));
        match child {
            Ok(child) => {
                parts.push(Part::Remote(peer, Arc::new(child, GFP_KERNEL)?), GFP_KERNEL)?
            }
            Err(error) => pr_debug!("a device is not in the merged view: {error:?}\n"),
        }
    }
    Parts::new(parts, generation)
}

/// Whether `name` in the merged directory `dir` still means what `dentry` says.
pub(crate) fn revalidate(
    mount: &Mount,
    dir: &Inode,
    bytes: &[u8],
    dentry: &Dentry,
    intent: Intent,
) -> Result<bool> {
    let directory = &*of(dir)?.parts();
    let known = dentry.inode();
    let was_shared = match known.map(Inode::data) {
        Some(Node::Merge(merged)) => merged.parts().only_local().is_none(),
        _ => false,
    };
    // A directory that others had, too, is found again without them, below.
    if directory.only_local().is_some() && !was_shared {
        let Some(known) = known else {
            return directory.stand_if_same(bytes, dentry, None);
        };
        return match known.lower() {
            Some(file) => directory.stand_if_same(bytes, dentry, Some(file)),
            None => Ok(false),
        };
    }
    if !intent.must_ask() {
        if let Some(valid) = leases::renew(dir, directory, bytes, dentry)? {
            return Ok(valid);
        }
    }
    if let Some(Node::Remote(node)) = known.map(Inode::data) {
        let regular = known.is_some_and(|inode| inode.file_type() == 0o100_000);
        let validity = Validity::from_time(dentry.time());
        if regular
            && intent.is_open()
            && !intent.must_ask()
            && validity.holds(mount.peers.generation(), dir.note().load(Relaxed))
            && directory.lookup_local(bytes)?.is_none()
            && directory
                .handle_by_name(node.peer().number(), bytes)
                .is_some()
        {
            // Opening resolves the name again on its device.
            return Ok(true);
        }
    }
    if let (Some(inode), Some(Node::Merge(merged)), Some(_)) =
        (known, known.map(Inode::data), directory.local())
    {
        let is_fresh = !intent.must_ask() && view::is_fresh(mount, 0, inode.time(), intent);
        if is_fresh && directory.stand_if_same(bytes, dentry, merged.parts().local())? {
            // What has changed about the name here was something else.
            return Ok(true);
        }
    }
    let Found { meaning, told } = find(dir, directory, bytes)?;
    let is_right = match (meaning, known.map(Inode::data)) {
        (None, None) => true,
        (Some(Meaning::Local(path)), Some(Node::Local(node))) => {
            let same = node.is(&path);
            if same {
                stand_on(directory, bytes, dentry, &path)?;
                known.inspect(|inode| inode.copy_lower_attributes());
            }
            // It is right until the name changes in the exported tree.
            return Ok(same);
        }
        (Some(Meaning::Remote(peer, child)), Some(Node::Remote(node))) => {
            let same = Arc::ptr_eq(&peer, node.peer()) && child.handle == node.handle();
            if same {
                remote::inode::iget(dir.super_block(), &peer, &child)?;
            }
            same
        }
        (Some(Meaning::Directory(parts)), Some(Node::Merge(merged))) => {
            let inode = known.ok_or(EIO)?;
            let same = merged.take(inode, parts)?;
            if same && directory.local().is_some() {
                told.stamp(dir, directory, |validity| {
                    inode.set_time(validity.as_time())
                });
                return directory.stand_if_same(bytes, dentry, merged.parts().local());
            }
            same
        }
        _ => false,
    };
    if is_right {
        let is_nothing = known.is_none();
        told.stamp(dir, directory, |validity| {
            dentry.set_time(of_name(validity, is_nothing).as_time());
        });
    }
    Ok(is_right)
}

/// For how long a name is right where the names of its directory are for `validity`.
fn of_name(validity: Validity, is_nothing: bool) -> Validity {
    if is_nothing {
        of_nothing(validity)
    } else {
        validity
    }
}

/// Makes the dentry of a file of this device stand on the name in the exported tree.
fn stand_on(directory: &Parts, name: &[u8], dentry: &Dentry, path: &vfs::Path) -> Result {
    let parent = directory.local().ok_or(EIO)?;
    dentry.set_lower(parent, name, path.as_lower())
}

/// Looks up a name where only this device has the directory: nobody else is asked, nor ever about
/// what is below it.
fn lookup_local(
    mount: &Mount,
    sb: &SuperBlock<Hmdfs>,
    parent: &vfs::Path,
    dentry: InLookup<'_, Hmdfs>,
) -> Result<Spliced<Hmdfs>> {
    let entry = parent.lookup_entry(dentry.name().as_bytes())?;
    let inode = match entry.path() {
        Some(path) if path.is_dir() => {
            let mut parts = KVec::new();
            let generation = mount.peers.generation();
            parts.push(Part::Local(path), GFP_KERNEL)?;
            Some(iget(sb, Parts::new(parts, generation)?)?)
        }
        Some(path) => Some(local::iget(sb, path)?),
        None => None,
    };
    dentry.splice_lower(inode, parent, entry.as_lower())
}

/// Completes the lookup of a merged directory in one of which this device has a part.
fn stand(
    directory: &Parts,
    dentry: InLookup<'_, Hmdfs>,
    inode: &InodeRef,
) -> Result<Spliced<Hmdfs>> {
    let parent = directory.local().ok_or(EIO)?;
    let entry = parent.lookup_entry(dentry.name().as_bytes())?;
    if !is_entry_of(&entry, of(inode)?.parts().local()) {
        // Somebody has just changed it.
        return Err(ESTALE.into());
    }
    dentry.splice_lower(Some(inode.clone()), parent, entry.as_lower())
}

/// Operations of merged directories.
pub(crate) struct MergeOps;

/// The merged directory of an inode that is known to be one.
fn of(inode: &Inode) -> Result<&Directory> {
    match inode.data() {
        Node::Merge(directory) => Ok(directory),
        _ => Err(EPROTO.into()),
    }
}

#[vtable]
impl Operations<Hmdfs> for MergeOps {
    const PARTLY_STACKED: bool = true;

    fn lookup(dir: &Inode, dentry: InLookup<'_, Hmdfs>) -> Result<Spliced<Hmdfs>> {
        let sb = dir.super_block();
        let mount = sb.data();
        let directory = &*refresh::current(&mount, dir, || dentry.parent())?;
        if let Some(parent) = directory.only_local() {
            return lookup_local(&mount, sb, parent, dentry);
        }
        let own = dentry.dentry();
        let Found { meaning, told } = find(dir, directory, dentry.name().as_bytes())?;
        let is_nothing = meaning.is_none();
        // For how long it is right is said when changes find the dentry, too.
        let unknown = Validity::NONE.as_time();
        let spliced = match meaning {
            Some(Meaning::Local(path)) => {
                let inode = local::iget(sb, path.clone())?;
                let parent = directory.local().ok_or(EIO)?;
                return dentry.splice_lower(Some(inode), parent, path.as_lower());
            }
            Some(Meaning::Directory(parts)) if directory.local().is_some() => {
                let inode = iget(sb, parts)?;
                let spliced = stand(directory, dentry, &inode)?;
                told.stamp(dir, directory, |validity| {
                    inode.set_time(validity.as_time())
                });
                return Ok(spliced);
            }
            Some(Meaning::Remote(peer, child)) => {
                dentry.splice_alias(Some(remote::inode::iget(sb, &peer, &child)?), unknown)?
            }
            Some(Meaning::Directory(parts)) => {
                dentry.splice_alias(Some(iget(sb, parts)?), unknown)?
            }
            None => dentry.splice_alias(None, unknown)?,
        };
        told.stamp(dir, directory, |validity| {
            let dentry = spliced.dentry().unwrap_or(&own);
            dentry.set_time(of_name(validity, is_nothing).as_time());
        });
        Ok(spliced)
    }

    fn create(
        dir: &Inode,
        dentry: Negative<'_, Hmdfs>,
        mode: u16,
        exclusive: bool,
    ) -> Result<Instantiated> {
        change::create(dir, dentry, mode, exclusive)
    }

    fn mkdir(dir: &Inode, dentry: Negative<'_, Hmdfs>, mode: u16) -> Result<Spliced<Hmdfs>> {
        change::mkdir(dir, dentry, mode)
    }

    fn mknod(
        dir: &Inode,
        dentry: Negative<'_, Hmdfs>,
        mode: u16,
        device: u32,
    ) -> Result<Instantiated> {
        change::mknod(dir, dentry, mode, device)
    }

    fn symlink(dir: &Inode, dentry: Negative<'_, Hmdfs>, target: &CStr) -> Result<Instantiated> {
        change::symlink(dir, dentry, target)
    }

    fn tmpfile(dir: &Inode, file: Tmpfile<'_, Hmdfs>) -> Result<TmpfileOpened> {
        change::tmpfile(dir, file)
    }

    fn link(file: &Inode, dir: &Inode, dentry: Negative<'_, Hmdfs>) -> Result<Instantiated> {
        change::link(file, dir, dentry)
    }

    fn unlink(dir: &Inode, dentry: &Dentry) -> Result {
        change::unlink(dir, dentry)
    }

    fn rmdir(dir: &Inode, dentry: &Dentry) -> Result {
        rmdir::rmdir(dir, dentry)
    }

    fn rename(
        old_dir: &Inode,
        old: &Dentry,
        new_dir: &Inode,
        new: &Dentry,
        flags: Flags,
    ) -> Result<Renamed> {
        rename::rename(&Renaming {
            old_dir,
            old,
            new_dir,
            new,
            flags,
        })
    }

    fn getattr(inode: &Inode, query: Query) -> Result {
        attributes::getattr(inode, query)
    }

    fn setattr(inode: &Inode, changes: &Changes) -> Result {
        attributes::setattr(inode, changes)
    }

    fn listxattr(inode: &Inode, list: &mut [u8]) -> Result<usize> {
        attributes::listxattr(inode, list)
    }

    fn get_acl(inode: &Inode, acl_type: AclType) -> Result<Option<KVVec<u8>>> {
        attributes::get_acl(inode, acl_type)
    }

    fn set_acl(inode: &Inode, acl_type: AclType, acl: Option<&[u8]>) -> Result {
        attributes::set_acl(inode, acl_type, acl)
    }
}
