// SPDX-License-Identifier: GPL-2.0

//! Directories of other devices.

use hmdfs_kapi::{
    errno::{ENAMETOOLONG, EPROTO, ESTALE},
    fs::{
        dentry::{InLookup, Instantiated, Intent, Negative, Spliced},
        directory::Context,
        file::{DirectoryOperations, File},
        inode_operations::{
            Opened, Opening, Operations, Query, Renamed, Stat, Tmpfile, TmpfileOpened,
        },
    },
    vfs::{rename::Flags, AclType, Changes},
};
use hmdfs_proto::{Attributes, Handle, Lease, Name, Operation, Outcome};
use kernel::{
    prelude::*,
    sync::{Arc, ArcBorrow},
};

use super::{
    attributes::{self, fill_stat, getattr},
    compound::{self, Outcomes},
    extended,
    inode::{iget, of},
    leases,
    listing::Listing,
    names, open, rename, set,
};
use crate::{
    link::Reply,
    mount::{Hmdfs, Mount, Question},
    node::{Dentry, Inode, Node as AnyNode},
    peer::Peer,
};

/// What is known of an entry after it was asked for.
pub(crate) struct Child {
    pub(crate) handle: Handle,
    pub(crate) attributes: Attributes,
    /// The target, of a symbolic link that this device may read.
    pub(crate) target: Option<KVec<u8>>,
    /// What it is the answer to.
    pub(crate) question: Question,
    /// Whether there is a lease on it.
    pub(crate) lease: Lease,
}

/// What is known of a name after it was asked for.
pub(crate) struct Found {
    /// What it stands for, if anything.
    pub(crate) child: Option<Child>,
    /// Whether there is a lease on the directory.
    pub(crate) lease: Lease,
    /// What it is the answer to.
    pub(crate) question: Question,
}

/// The operations that [`find`] consists of.
///
/// The last one fails unless the entry is a symbolic link, and that costs nothing.
pub(crate) fn find_operations<'a>(directory: Handle, name: Name<'a>) -> [Operation<'a>; 7] {
    [
        Operation::File(directory),
        Operation::Lease,
        Operation::Walk(name),
        Operation::GetHandle,
        Operation::Lease,
        Operation::GetAttributes,
        Operation::ReadLink,
    ]
}

/// Asks for an entry of a directory.
pub(crate) fn find(mount: &Mount, peer: &Peer, directory: Handle, name: Name<'_>) -> Result<Found> {
    let question = mount.ask();
    let operations = find_operations(directory, name);
    let reply = compound::call(peer, &operations, 0)?;
    found(&reply, &operations, question)
}

/// Asks for an entry of the directory `dir`; `None` when there is no such name.
pub(crate) fn find_in(mount: &Mount, dir: &Inode, bytes: &[u8]) -> Result<Option<Child>> {
    let node = of(dir)?;
    Ok(find(mount, node.peer(), node.handle(), name(bytes)?)?.child)
}

/// Reads the reply to [`find_operations`].
pub(crate) fn found(
    reply: &Reply,
    operations: &[Operation<'_>],
    question: Question,
) -> Result<Found> {
    let mut outcomes = Outcomes::new(reply, operations)?;
    outcomes.done()?;
    let mut found = Found {
        child: None,
        lease: outcomes.lease()?,
        question,
    };
    match outcomes.done() {
        Ok(()) => {}
        Err(error) if error == ENOENT => return Ok(found),
        Err(error) => return Err(error),
    }
    let (handle, lease) = (outcomes.handle()?, outcomes.lease()?);
    let attributes = outcomes.attributes()?;
    let target = match outcomes.next() {
        Ok(Outcome::Target(target)) => {
            let mut copy = KVec::new();
            copy.extend_from_slice(target.as_bytes(), GFP_KERNEL)?;
            Some(copy)
        }
        Ok(_) => return Err(EPROTO.into()),
        Err(_) => None,
    };
    found.child = Some(Child {
        handle,
        attributes,
        target,
        question,
        lease,
    });
    Ok(found)
}

/// The operations that [`root`] consists of.
pub(crate) const ROOT_OPERATIONS: [Operation<'static>; 4] = [
    Operation::Root,
    Operation::GetHandle,
    Operation::Lease,
    Operation::GetAttributes,
];

/// Asks for the root of a peer's tree.
pub(crate) fn root(mount: &Mount, peer: &Peer) -> Result<Child> {
    let question = mount.ask();
    let operations = ROOT_OPERATIONS;
    let reply = compound::call(peer, &operations, 0)?;
    root_of(&reply, &operations, question)
}

/// Reads the reply to what [`root`] asks: a directory, or EPROTO.
pub(crate) fn root_of(
    reply: &Reply,
    operations: &[Operation<'_>],
    question: Question,
) -> Result<Child> {
    let mut outcomes = Outcomes::new(reply, operations)?;
    outcomes.done()?;
    let (handle, lease) = (outcomes.handle()?, outcomes.lease()?);
    let attributes = outcomes.attributes()?;
    if !attributes.is_directory() {
        return Err(EPROTO.into());
    }
    Ok(Child {
        handle,
        attributes,
        target: None,
        question,
        lease,
    })
}

/// Checks a name that a program gave.
pub(crate) fn name(bytes: &[u8]) -> Result<Name<'_>> {
    Name::new(bytes).map_err(|_| {
        if bytes.len() > Name::MAX {
            ENAMETOOLONG.into()
        } else {
            EINVAL
        }
    })
}

/// Whether `name` in the remote directory `dir` still means what `dentry` says; what the owner
/// tells is taken over.
pub(crate) fn revalidate(
    mount: &Mount,
    dir: &Inode,
    bytes: &[u8],
    dentry: &Dentry,
    intent: Intent,
) -> Result<bool> {
    let Some(inode) = dentry.inode() else {
        // A new lookup costs what asking here would.
        return Ok(false);
    };
    let AnyNode::Remote(node) = inode.data() else {
        return Ok(false);
    };
    if intent.is_open() && !intent.must_ask() && inode.file_type() == 0o100_000 {
        // Opening resolves the name again, in the same round trip.
        return Ok(true);
    }
    let directory = of(dir)?;
    let found = match find(mount, directory.peer(), directory.handle(), name(bytes)?) {
        Ok(found) => found,
        // The directory itself is gone.
        Err(error) if error == ESTALE => return Ok(false),
        Err(error) => return Err(error),
    };
    let validity = leases::settle_names(dir, found.lease, found.question)?;
    match found.child {
        Some(child) if node.learn(child.handle) => {
            attributes::learn(inode, node, &child)?;
            dentry.set_time(validity.as_time());
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Operations of remote directories.
pub(crate) struct DirectoryOps;

#[vtable]
impl Operations<Hmdfs> for DirectoryOps {
    fn lookup(dir: &Inode, dentry: InLookup<'_, Hmdfs>) -> Result<Spliced<Hmdfs>> {
        if names::finds_out(dir, dentry.intent())? {
            return Ok(dentry.leave());
        }
        let mount = dir.super_block().data();
        let node = of(dir)?;
        let wanted = dentry.name();
        let wanted = name(wanted.as_bytes())?;
        if let Some(validity) = node.lacks(&mount, dir, wanted) {
            return dentry.splice_alias(None, validity.as_time());
        }
        let found = find(&mount, node.peer(), node.handle(), wanted)?;
        let validity = leases::settle_names(dir, found.lease, found.question)?;
        let (inode, validity) = match found.child {
            Some(child) => (
                Some(iget(dir.super_block(), node.peer(), &child)?),
                validity,
            ),
            None => (None, leases::of_nothing(validity)),
        };
        dentry.splice_alias(inode, validity.as_time())
    }

    fn atomic_open(dir: &Inode, opening: Opening<'_, Hmdfs>) -> Result<Opened> {
        open::atomic_open(dir, opening)
    }

    fn create(
        dir: &Inode,
        dentry: Negative<'_, Hmdfs>,
        mode: u16,
        _exclusive: bool,
    ) -> Result<Instantiated> {
        names::create(dir, dentry, mode)
    }

    fn mkdir(dir: &Inode, dentry: Negative<'_, Hmdfs>, mode: u16) -> Result<Spliced<Hmdfs>> {
        names::mkdir(dir, dentry, mode)
    }

    fn mknod(
        dir: &Inode,
        dentry: Negative<'_, Hmdfs>,
        mode: u16,
        device: u32,
    ) -> Result<Instantiated> {
        names::mknod(dir, dentry, mode, device)
    }

    fn symlink(dir: &Inode, dentry: Negative<'_, Hmdfs>, target: &CStr) -> Result<Instantiated> {
        names::symlink(dir, dentry, target)
    }

    fn link(file: &Inode, dir: &Inode, dentry: Negative<'_, Hmdfs>) -> Result<Instantiated> {
        names::link(file, dir, dentry)
    }

    fn unlink(dir: &Inode, dentry: &Dentry) -> Result {
        names::remove(dir, dentry.name().as_bytes(), dentry, false)
    }

    fn rmdir(dir: &Inode, dentry: &Dentry) -> Result {
        names::remove(dir, dentry.name().as_bytes(), dentry, true)
    }

    fn rename(
        old_dir: &Inode,
        old: &Dentry,
        new_dir: &Inode,
        new: &Dentry,
        flags: Flags,
    ) -> Result<Renamed> {
        rename::rename(old_dir, old, new_dir, new, flags)
    }

    fn tmpfile(dir: &Inode, file: Tmpfile<'_, Hmdfs>) -> Result<TmpfileOpened> {
        open::tmpfile(dir, file)
    }

    fn getattr(inode: &Inode, query: Query) -> Result {
        getattr(inode, query)
    }

    fn fill_stat(inode: &Inode, stat: &mut Stat<'_>) {
        fill_stat(inode, stat);
    }

    fn setattr(inode: &Inode, changes: &Changes) -> Result {
        set::setattr(inode, changes)
    }

    fn listxattr(inode: &Inode, list: &mut [u8]) -> Result<usize> {
        extended::listxattr(inode, list)
    }

    fn get_acl(inode: &Inode, acl_type: AclType) -> Result<Option<KVVec<u8>>> {
        extended::get_acl(inode, acl_type)
    }

    fn set_acl(inode: &Inode, acl_type: AclType, acl: Option<&[u8]>) -> Result {
        extended::set_acl(inode, acl_type, acl)
    }
}

impl DirectoryOperations<Hmdfs> for DirectoryOps {
    type Private = Arc<Listing>;

    fn open(_inode: &Inode, _file: &File<Hmdfs>) -> Result<Arc<Listing>> {
        Listing::new()
    }

    fn iterate(
        inode: &Inode,
        listing: ArcBorrow<'_, Listing>,
        context: &mut Context<'_, Hmdfs>,
    ) -> Result {
        listing.iterate(&inode.super_block().data(), inode, of(inode)?, context)
    }

    fn fsync(inode: &Inode, _listing: ArcBorrow<'_, Listing>, data_only: bool) -> Result {
        names::fsync(inode, data_only)
    }
}
