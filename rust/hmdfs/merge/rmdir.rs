// SPDX-License-Identifier: GPL-2.0

//! Removing merged directories: on all devices that have a part of it, or on none.
//!
//! First all are asked whether theirs is empty. Then it is removed from one after the
//! other, this device last. If one refuses, or goes away, the others get theirs back:
//! made anew, with the mode that it had. What is known of the directory is asked for
//! again then, whatever became of it.

use hmdfs_kapi::{
    cred::prepare_creds,
    errno::{ENOTEMPTY, EPROTO, ESTALE},
    vfs,
};
use hmdfs_proto::{Handle, Operation, Outcome};
use kernel::{prelude::*, sync::Arc};

use super::{
    lookup::{find_on_all, Meaning},
    of, refresh, siblings, Part, Parts,
};
use crate::{
    link::Reply,
    node::{Dentry, Inode, Node},
    remote::{
        compound::{request, Outcomes},
        directory::Child,
        gather::call_all,
        names,
    },
};

/// Removes an empty merged directory.
pub(super) fn rmdir(dir: &Inode, dentry: &Dentry) -> Result {
    let (parts, name) = parts_now(dir, dentry)?;
    check_empty(&parts)?;
    let above = of(dir)?.parts();
    let result = remove(dir, &above, &parts, &name);
    siblings::doubt(dentry);
    dir.copy_lower_attributes();
    siblings::forget(&dentry.parent(), &above, &name);
    result
}

/// What the merged directory `dentry` in `dir` is made of, asked for just now, and its real name.
///
/// ESTALE when it is another directory, or none. A device that fails to answer might have a part.
pub(super) fn parts_now(dir: &Inode, dentry: &Dentry) -> Result<(Arc<Parts>, KVec<u8>)> {
    let inode = dentry.inode().ok_or(ENOENT)?;
    let Node::Merge(directory) = inode.data() else {
        return Err(ENOTDIR);
    };
    let shown = dentry.name();
    let mount = dir.super_block().data();
    let mut name = KVec::new();
    let above = refresh::current(&mount, dir, || dentry.parent())?;
    let found = find_on_all(dir, &above, shown.as_bytes(), &mut name)?;
    let is_same = match found {
        Some(Meaning::Directory(parts)) => directory.take(inode, parts)?,
        _ => false,
    };
    if !is_same {
        siblings::doubt(dentry);
        return Err(ESTALE.into());
    }
    if name.is_empty() {
        name.extend_from_slice(shown.as_bytes(), GFP_KERNEL)?;
    }
    Ok((directory.parts(), name))
}

/// ENOTEMPTY unless all parts are empty; all are asked at once.
///
/// One that may not be listed may be removed still: then it is for its file system to say.
pub(super) fn check_empty(parts: &Parts) -> Result {
    let mut requests = KVec::new();
    for (peer, child) in parts.remote() {
        let request = request(&first_entry(child.handle), 0)?;
        requests.push((peer.clone(), request), GFP_KERNEL)?;
    }
    let check = |empty: Result<bool>| match empty {
        Ok(false) => Err(ENOTEMPTY.into()),
        Err(error) if error != EACCES => Err(error),
        _ => Ok(()),
    };
    if let Some(path) = parts.local() {
        check(is_empty(path))?;
    }
    for ((_, child), reply) in parts.remote().zip(call_all(requests)?) {
        check(reply.and_then(|reply| has_no_entry(child.handle, &reply)))?;
    }
    Ok(())
}

fn first_entry(directory: Handle) -> [Operation<'static>; 2] {
    [
        Operation::File(directory),
        Operation::ReadDirectory {
            cookie: 0,
            limit: 1,
            plus: false,
            lease: false,
        },
    ]
}

fn has_no_entry(directory: Handle, reply: &Reply) -> Result<bool> {
    let operations = first_entry(directory);
    let mut outcomes = Outcomes::new(reply, &operations)?;
    match outcomes.done() {
        // It is gone already.
        Err(error) if error == ESTALE => return Ok(true),
        other => other?,
    }
    match outcomes.next()? {
        Outcome::Directory { mut entries, .. } => Ok(entries.next().is_none()),
        _ => Err(EPROTO.into()),
    }
}

fn is_empty(path: &vfs::Path) -> Result<bool> {
    let mut directory = vfs::DirectoryFile::open(path, &*prepare_creds()?)?;
    let (mut empty, mut more) = (true, true);
    while empty && more {
        more = false;
        directory.iterate(|entry| {
            more = true;
            empty &= matches!(entry.name, b"." | b"..");
            empty
        })?;
    }
    Ok(empty)
}

/// Removes all parts, or puts back what was removed.
fn remove(dir: &Inode, above: &Parts, parts: &Parts, name: &[u8]) -> Result {
    let mut removed = KVec::with_capacity(parts.iter().count(), GFP_KERNEL)?;
    // This device comes last: it fails least, and nothing of it has to be made anew.
    for part in parts.iter().rev() {
        match remove_part(dir, above, part, name) {
            Ok(()) => removed.push(part, GFP_KERNEL)?,
            // Somebody was faster.
            Err(error) if error == ENOENT => {}
            Err(error) => {
                for part in removed {
                    put_back(dir, above, part, name);
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

fn remove_part(dir: &Inode, above: &Parts, part: &Part, name: &[u8]) -> Result {
    match part {
        Part::Local(path) => dir.lower().ok_or(EIO)?.rmdir(name, path),
        Part::Remote(peer, _) => {
            let parent = above.inode_of(dir, peer)?;
            names::remove_inode(&parent, name, &*part.remote_inode(&parent)?, true)?;
            Ok(())
        }
    }
}

/// Makes a part again that was removed. That of this device was the last.
fn put_back(dir: &Inode, above: &Parts, part: &Part, name: &[u8]) {
    let Part::Remote(peer, child) = part else {
        return;
    };
    let parent = above.inode_of(dir, peer);
    if let Err(error) = parent.and_then(|parent| restore(&parent, child, name)) {
        pr_info!("an empty directory that was to stay is removed: {error:?}\n");
    }
}

/// Makes a remote directory anew that is no more.
pub(super) fn restore(parent: &Inode, child: &Child, name: &[u8]) -> Result {
    names::make_directory(parent, name, child.attributes.mode & 0o7777)?;
    Ok(())
}
