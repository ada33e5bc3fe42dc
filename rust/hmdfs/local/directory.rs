// SPDX-License-Identifier: GPL-2.0

//! Directories of this device.

use hmdfs_kapi::{
    errno::ESTALE,
    fs::{
        dentry::{InLookup, Instantiated, Negative, Spliced},
        inode_operations::{Operations, Renamed, Tmpfile, TmpfileOpened},
    },
    vfs::{
        self,
        rename::{rename, Flags, Name},
        Component,
    },
};
use kernel::prelude::*;

use super::iget;
use crate::{
    mount::Hmdfs,
    node::{Dentry, Inode, InodeRef, Node},
};

/// Operations of a directory of this device. Those that change names are also those of other
/// directories that stand on one of this device.
pub(crate) struct DirectoryOps;

fn lower(inode: &Inode) -> Result<&vfs::Path> {
    inode.lower().ok_or(EIO)
}

/// The file of a positive dentry.
fn file(dentry: &Dentry) -> Result<&Inode> {
    dentry.inode().ok_or(ENOENT)
}

/// The name of what is to be made.
fn component<'a>(dentry: &'a Negative<'_, Hmdfs>) -> Component<'a> {
    dentry.component(dentry.name().as_bytes())
}

/// Makes the inode for what was made as `path`, and has the dentry stand on it.
fn adopt(dir: &Inode, dentry: &Negative<'_, Hmdfs>, path: vfs::Path) -> Result<InodeRef> {
    dentry.set_lower(lower(dir)?, dentry.name().as_bytes(), path.as_lower())?;
    // Without an inode it must not be taken for the name of nothing.
    let inode = iget(dir.super_block(), path).inspect_err(|_| dentry.d_drop())?;
    dir.copy_lower_attributes();
    Ok(inode)
}

#[vtable]
impl Operations<Hmdfs> for DirectoryOps {
    const STACKED: bool = true;

    fn lookup(dir: &Inode, dentry: InLookup<'_, Hmdfs>) -> Result<Spliced<Hmdfs>> {
        let parent = lower(dir)?;
        let entry = parent.lookup_entry(dentry.name().as_bytes())?;
        let inode = match entry.path() {
            Some(path) => Some(iget(dir.super_block(), path)?),
            None => None,
        };
        dentry.splice_lower(inode, parent, entry.as_lower())
    }

    fn create(
        dir: &Inode,
        dentry: Negative<'_, Hmdfs>,
        mode: u16,
        exclusive: bool,
    ) -> Result<Instantiated> {
        let made = lower(dir)?.create(component(&dentry), mode);
        let path = match made {
            // Somebody else has just made it: it is to be opened as it is.
            Err(error) if error == EEXIST && !exclusive => return Err(ESTALE.into()),
            other => other?,
        };
        let inode = adopt(dir, &dentry, path)?;
        dentry.d_instantiate(inode)
    }

    fn mkdir(dir: &Inode, dentry: Negative<'_, Hmdfs>, mode: u16) -> Result<Spliced<Hmdfs>> {
        let path = lower(dir)?.mkdir(component(&dentry), mode)?;
        let inode = adopt(dir, &dentry, path)?;
        dentry.d_splice_alias(inode)
    }

    fn mknod(
        dir: &Inode,
        dentry: Negative<'_, Hmdfs>,
        mode: u16,
        device: u32,
    ) -> Result<Instantiated> {
        let path = lower(dir)?.mknod(component(&dentry), mode, device)?;
        let inode = adopt(dir, &dentry, path)?;
        dentry.d_instantiate(inode)
    }

    fn symlink(dir: &Inode, dentry: Negative<'_, Hmdfs>, target: &CStr) -> Result<Instantiated> {
        let path = lower(dir)?.symlink(component(&dentry), target)?;
        let inode = adopt(dir, &dentry, path)?;
        dentry.d_instantiate(inode)
    }

    fn link(file: &Inode, dir: &Inode, dentry: Negative<'_, Hmdfs>) -> Result<Instantiated> {
        let old = file.lower().ok_or(EXDEV)?;
        let path = lower(dir)?.link(component(&dentry), old)?;
        let inode = adopt(dir, &dentry, path)?;
        dentry.d_instantiate(inode)
    }

    fn unlink(dir: &Inode, dentry: &Dentry) -> Result {
        let file = file(dentry)?;
        let name = dentry.name();
        lower(dir)?.unlink(dentry.component(name.as_bytes()), lower(file)?)?;
        removed(dir, file, dentry);
        Ok(())
    }

    fn rmdir(dir: &Inode, dentry: &Dentry) -> Result {
        let file = file(dentry)?;
        let name = dentry.name();
        lower(dir)?.rmdir(dentry.component(name.as_bytes()), lower(file)?)?;
        removed(dir, file, dentry);
        Ok(())
    }

    fn rename(
        old_dir: &Inode,
        old: &Dentry,
        new_dir: &Inode,
        new: &Dentry,
        flags: Flags,
    ) -> Result<Renamed> {
        if !flags.only(Flags::NOREPLACE | Flags::EXCHANGE) {
            return Err(EINVAL);
        }
        if !core::ptr::eq(old_dir, new_dir) && !is_alike(old_dir, new_dir) {
            return Err(EXDEV);
        }
        let (from, to) = (lower(old_dir)?, new_dir.lower().ok_or(EXDEV)?);
        let (old_name, new_name) = (old.name(), new.name());
        let (moved, replaced) = (file(old)?, new.inode());
        let (entry, exchanged) = rename(
            &Name {
                parent: from,
                name: old.component(old_name.as_bytes()),
                file: Some(lower(moved)?),
            },
            &Name {
                parent: to,
                name: new.component(new_name.as_bytes()),
                file: replaced.map(lower).transpose()?,
            },
            flags,
        )?;
        // It is done; all that can fail now is to remember it, and then it is looked up again.
        let _ = old.set_lower(to, new_name.as_bytes(), entry.as_lower());
        if let Some(exchanged) = exchanged {
            let _ = new.set_lower(from, old_name.as_bytes(), exchanged.as_lower());
        }
        for inode in [old_dir, new_dir, moved] {
            inode.copy_lower_attributes();
        }
        if let Some(replaced) = replaced {
            replaced.copy_lower_attributes();
        }
        Ok(Renamed::Moved)
    }

    fn tmpfile(dir: &Inode, file: Tmpfile<'_, Hmdfs>) -> Result<TmpfileOpened> {
        file.make(lower(dir)?, |path| iget(dir.super_block(), path))
    }
}

/// Whether two directories are of the same view: what is shown of an entry differs between views.
fn is_alike(one: &Inode, other: &Inode) -> bool {
    matches!(
        (one.data(), other.data()),
        (Node::Local(_), Node::Local(_)) | (Node::Merge(_), Node::Merge(_))
    )
}

/// What is to be done after a name was removed.
fn removed(dir: &Inode, file: &Inode, dentry: &Dentry) {
    // A dentry that stays would keep the lower dentry, and that the space that the file takes.
    dentry.d_drop();
    dir.copy_lower_attributes();
    file.copy_lower_attributes();
}
