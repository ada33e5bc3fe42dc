// SPDX-License-Identifier: GPL-2.0

//! Replacing another device's file by a copy of one of this device.
//!
//! The copy has no name until it reached the owner's stable storage, and then gets that of the
//! other. So at any moment the name stands for the old file or for all of the new one, and
//! once this succeeds it does for good. The owner gives up what has no name when it does not hear of
//! this device any more. Where the file system has no files without a name, the copy is
//! made beside the other file, under a name of its own.

use hmdfs_kapi::{
    cred::prepare_creds,
    errno::{ENODATA, EOPNOTSUPP},
    random::get_random_u64,
    signal::fatal_signal_pending,
    vfs::{self, rename::Flags, AclType, RegularFile, XattrMode},
};
use hmdfs_proto::{Operation, SetAttributes, SetTime, Timestamp, MAX_DATA};
use kernel::prelude::*;

use super::{
    attributes::{self, Locking},
    compound::{self, Outcomes},
    extended,
    inode::{iget, of},
    names,
    open::make_unnamed,
    opens::Open,
    place::place,
    rename::{rename_entries, Entry},
    unfinished::note_copy,
};
use crate::node::{Inode, InodeRef};

/// What the name of a copy begins with, if it has one.
const PREFIX: &[u8] = b".hmdfs-save.";

/// Most bytes in the value of an extended attribute; C: `XATTR_SIZE_MAX`.
const VALUE: usize = 64 << 10;

/// The label of a file, which decides what devices may do; no device sets that of another.
const LABEL: &[u8] = b"user.hmdfs.label";

/// Replaces `target`, which has the name `wanted` in `dir`, by a copy of `source`: content, mode,
/// times, access control list and extended attributes of programs. Both are regular files, and `target` is locked.
///
/// After an error, `target` is what it was, or, when that could not be found out, was replaced.
pub(crate) fn replace(dir: &Inode, wanted: &[u8], target: &Inode, source: &vfs::Path) -> Result {
    let mut copy = Copy::make(dir, source)?;
    copy.write(source)?;
    copy.set_extended(source)?;
    let permissions = copy.set_acl(source)?;
    copy.finish(source, permissions)?;
    copy.place(wanted, target)?;
    names::fsync(dir, false)
}

/// A copy that is being made; dropping it removes it, unless it has taken its place.
struct Copy<'a> {
    dir: &'a Inode,
    inode: InodeRef,
    kept: Kept,
    /// The epoch of the owner in which the content was written, and its mark of errors before.
    written: Option<(u64, u32)>,
    is_placed: bool,
}

/// What keeps a copy.
enum Kept {
    /// That it is open, and has no name.
    Open { _open: KBox<Open> },
    /// A name of its own.
    Name(KVec<u8>),
}

impl<'a> Copy<'a> {
    fn make(dir: &'a Inode, source: &vfs::Path) -> Result<Self> {
        // Nobody else is to read it before it has the mode that it is to have.
        let mode = source.permissions() & 0o700;
        let (inode, kept) = match make_unnamed(dir, (mode, 0), (false, true)) {
            Err(error) if error == EOPNOTSUPP || error == ENFILE => Self::make_named(dir, mode)?,
            made => made.map(|(inode, _open)| (inode, Kept::Open { _open }))?,
        };
        Ok(Self {
            dir,
            inode,
            kept,
            written: None,
            is_placed: false,
        })
    }

    fn make_named(dir: &Inode, mode: u16) -> Result<(InodeRef, Kept)> {
        let mut name = KVec::new();
        name.extend_from_slice(PREFIX, GFP_KERNEL)?;
        let random = get_random_u64();
        for shift in (0..16u32).rev() {
            let nibble = random.wrapping_shr(shift.wrapping_mul(4)) & 0xf;
            // CAST: Four bits.
            let digit = char::from_digit(nibble as u32, 16).map_or(b'0', |digit| digit as u8);
            name.push(digit, GFP_KERNEL)?;
        }
        let made = names::make_file(dir, &name, mode);
        let child = made.inspect_err(|&error| note_copy(dir, &name, error))?;
        let inode = iget(dir.super_block(), of(dir)?.peer(), &child)?;
        Ok((inode, Kept::Name(name)))
    }

    /// Copies the content.
    fn write(&mut self, source: &vfs::Path) -> Result {
        let source = RegularFile::open(source, &*prepare_creds()?)?;
        let node = of(&self.inode)?;
        let mut offset = 0u64;
        let mut latest = None;
        loop {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            let data = source.splice_read(offset, MAX_DATA as usize)?;
            let length = u32::try_from(data.len())?;
            if length == 0 {
                break;
            }
            let operations = [
                Operation::File(node.handle()),
                Operation::Write { offset, length },
                Operation::GetAttributes,
            ];
            let question = self.dir.super_block().data().ask();
            let mut request = compound::request(&operations, 0)?;
            request.data = Some(data);
            let reply = node.peer().call_sync(request)?;
            let mut outcomes = Outcomes::new(&reply, &operations)?;
            outcomes.done()?;
            let written = outcomes.written()?;
            if written.length == 0 || written.length > length {
                return Err(EIO);
            }
            self.written.get_or_insert((reply.epoch, written.errors));
            offset = offset.saturating_add(written.length.into());
            latest = Some((question, outcomes.attributes()?));
        }
        if let Some((question, attributes)) = latest {
            attributes::take(&self.inode, node, question, &attributes, None, Locking::Try)?;
        }
        Ok(())
    }

    /// Copies the extended attributes of programs, as far as the owner's file system has any.
    fn set_extended(&self, source: &vfs::Path) -> Result {
        let list = match source.listxattr() {
            Err(error) if error == EOPNOTSUPP => return Ok(()),
            other => other?,
        };
        let mut value = KVVec::from_elem(0u8, VALUE, GFP_KERNEL)?;
        let node = of(&self.inode)?;
        for name in list.split_inclusive(|&byte| byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else {
                continue;
            };
            if !name.to_bytes().starts_with(b"user.") || name.to_bytes() == LABEL {
                continue;
            }
            let length = source.getxattr(name, &mut value)?;
            let value = value.get(..length).ok_or(ERANGE)?;
            match extended::setxattr(&self.inode, node, name, Some(value), XattrMode::Any) {
                Err(error) if error == EOPNOTSUPP => return Ok(()),
                other => other?,
            }
        }
        Ok(())
    }

    /// Copies the access control list; returns which bits of the mode the copy may have.
    fn set_acl(&self, source: &vfs::Path) -> Result<u16> {
        const ALL: u16 = 0o1777;
        let list = match source.get_acl(AclType::Access) {
            Err(error) if error == ENODATA || error == EOPNOTSUPP => return Ok(ALL),
            other => other?,
        };
        match extended::set_acl(&self.inode, AclType::Access, Some(&list)) {
            // The group's bits show the most that anybody in the list has: the group itself may
            // have had less.
            Err(error) if error == EOPNOTSUPP => Ok(ALL & !0o070),
            other => other.map(|()| ALL),
        }
    }

    /// Copies times and mode, of which only `permissions`, and brings everything to stable storage.
    fn finish(&self, source: &vfs::Path, permissions: u16) -> Result {
        let stat = source.getattr()?;
        let time = |time: vfs::Timespec| {
            let time = Timestamp::new(time.seconds, time.nanoseconds).map_err(|_| EINVAL)?;
            Ok::<_, Error>(Some(SetTime::To(time)))
        };
        let node = of(&self.inode)?;
        let operations = [
            Operation::File(node.handle()),
            Operation::SetAttributes(SetAttributes {
                mode: Some(stat.mode & permissions),
                uid: None,
                gid: None,
                size: None,
                atime: time(stat.atime)?,
                mtime: time(stat.mtime)?,
            }),
            Operation::Sync {
                data_only: false,
                errors: self.written.map(|(_, errors)| errors),
            },
            Operation::GetAttributes,
        ];
        let mount = self.dir.super_block().data();
        let question = mount.ask();
        let reply = compound::change(&mount, node.peer(), &operations)?;
        let mut outcomes = Outcomes::new(&reply, &operations)?;
        outcomes.done()?;
        outcomes.done()?;
        outcomes.synced()?;
        if self.written.is_some_and(|(epoch, _)| epoch != reply.epoch) {
            // The owner has begun anew, perhaps without what it had not stored.
            return Err(EIO);
        }
        let attributes = outcomes.attributes()?;
        if attributes.size != stat.size {
            // It was changed meanwhile, so this is not a copy.
            return Err(EAGAIN);
        }
        attributes::take(&self.inode, node, question, &attributes, None, Locking::Try)
    }

    /// Gives it the name `wanted` of `target`.
    fn place(&mut self, wanted: &[u8], target: &Inode) -> Result {
        match &self.kept {
            Kept::Open { .. } => place(self.dir, wanted, target, &self.inode)?,
            Kept::Name(name) => {
                let copied = Entry {
                    dir: self.dir,
                    name,
                    inode: Some(&*self.inode),
                };
                let replaced = Entry {
                    dir: self.dir,
                    name: wanted,
                    inode: Some(target),
                };
                rename_entries(&copied, &replaced, Flags::new(0))?;
            }
        }
        self.is_placed = true;
        Ok(())
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        let Kept::Name(name) = &self.kept else {
            return;
        };
        if self.is_placed {
            return;
        }
        if let Err(error) = names::remove_inode(self.dir, name, &self.inode, false) {
            note_copy(self.dir, name, error);
        }
    }
}
