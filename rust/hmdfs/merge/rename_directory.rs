// SPDX-License-Identifier: GPL-2.0

//! Renaming merged directories: on each device that has a part of it, or on none.
//!
//! The directories that are missing on the way to the new name are made first. Then
//! one device after the other renames its part, this one last; if one refuses, or goes
//! away, the others rename theirs back. A directory that is replaced must be empty on
//! all devices, and on no other ones than have a part of the old one: else the two
//! would become one tree, or part of the new one would stay. Then it is EXDEV.
//!
//! A device that went away may have renamed its part, or keep it where it is not to be. That is
//! looked at when it is back ([`crate::remote::unfinished`]).

use hmdfs_kapi::{
    errno::ESTALE,
    fs::inode_operations::Renamed,
    vfs::{
        self,
        rename::{rename, Flags, Name},
    },
};
use kernel::prelude::*;

use super::{
    change::same_real_name,
    of, parents,
    rename::Renaming,
    rmdir::{check_empty, parts_now, restore},
    siblings, Part, Parts,
};
use crate::{
    node::{Inode, InodeRef, Node},
    remote::{
        rename::{rename_entries, Entry},
        unfinished,
    },
};

/// Renames a directory, or exchanges two.
pub(super) fn rename_directory(renaming: &Renaming<'_>) -> Result<Renamed> {
    let (old, new) = (renaming.old, renaming.new);
    let (parts, old_name) = parts_now(renaming.old_dir, old)?;
    let (replaced, new_name) = match new.inode().map(Inode::data) {
        None => (None, same_real_name(new)?),
        Some(Node::Merge(_)) => {
            let (parts, name) = parts_now(renaming.new_dir, new)?;
            (Some(parts), name)
        }
        // Of two different kinds, only an exchange gets here.
        Some(_) => return Err(EXDEV),
    };
    if let Some(replaced) = &replaced {
        check_replaced(renaming, &parts, replaced, &new_name)?;
    }
    let mut steps = KVec::with_capacity(parts.iter().count(), GFP_KERNEL)?;
    for part in parts.iter().rev() {
        let replaced = replaced.as_deref();
        steps.push(Step::new(renaming, part, replaced)?, GFP_KERNEL)?;
    }
    let merged = (
        of(renaming.old_dir)?.number(),
        of(renaming.new_dir)?.number(),
    );
    let result = rename_all(&steps, merged, (&old_name, &new_name), renaming.flags);
    if result.is_ok() {
        let mount = renaming.old_dir.super_block().data();
        mount.unfinished.renamed(merged, &old_name, &new_name);
    }
    for dentry in [old, new] {
        siblings::doubt(dentry);
    }
    for dir in [renaming.old_dir, renaming.new_dir] {
        dir.copy_lower_attributes();
    }
    renaming.forget_old(&old_name)?;
    result.map(|()| Renamed::Moved)
}

/// Whether the directory that has the new name can be replaced, or exchanged.
fn check_replaced(
    renaming: &Renaming<'_>,
    parts: &Parts,
    replaced: &Parts,
    new_name: &[u8],
) -> Result {
    let is_exchange = renaming.flags.is_exchange();
    if !is_exchange {
        check_empty(replaced)?;
    }
    let has_all =
        |all: &Parts, other: &Parts| other.iter().all(|part| all.of_same_device(part).is_some());
    // Whoever has no part of a directory that is shown by another name has something else there.
    let is_decorated = renaming.new.name().as_bytes() != new_name;
    let is_possible =
        has_all(parts, replaced) && (!(is_exchange || is_decorated) || has_all(replaced, parts));
    if is_possible {
        Ok(())
    } else {
        Err(EXDEV)
    }
}

/// Renames on all devices, or takes back what was done.
fn rename_all(
    steps: &[Step<'_>],
    merged: (u64, u64),
    names: (&[u8], &[u8]),
    flags: Flags,
) -> Result {
    for (index, step) in steps.iter().enumerate() {
        if let Err(error) = step.rename(names, flags) {
            step.follow_up(merged, names, flags, error);
            for done in steps.get(..index).unwrap_or(&[]).iter().rev() {
                if let Err(error) = done.undo(names, flags) {
                    pr_info!("a part of a directory stays where it was moved to: {error:?}\n");
                    done.follow_up(merged, names, flags, error);
                }
            }
            return Err(error);
        }
    }
    Ok(())
}

/// The rename on one device.
struct Step<'a> {
    moved: &'a Part,
    replaced: Option<&'a Part>,
    from: Place,
    to: Place,
}

/// One device's part of the directory in which a name is.
enum Place {
    Local(vfs::Path),
    Remote(InodeRef),
}

impl<'a> Step<'a> {
    /// The rename of the part `moved`; makes the directory that it goes to, if that is missing.
    fn new(renaming: &Renaming<'_>, moved: &'a Part, replaced: Option<&'a Parts>) -> Result<Self> {
        let (old_dir, new_dir) = (renaming.old_dir, renaming.new_dir);
        let new_parent = renaming.new.parent();
        let (from, to) = match moved {
            Part::Local(_) => {
                if parents::place(new_dir, || new_parent.clone())?.is_some() {
                    return Err(EXDEV);
                }
                let lower = |dir: &Inode| dir.lower().cloned().ok_or(ESTALE);
                (Place::Local(lower(old_dir)?), Place::Local(lower(new_dir)?))
            }
            Part::Remote(peer, _) => (
                Place::Remote(of(old_dir)?.parts().inode_of(old_dir, peer)?),
                Place::Remote(parents::on_peer(new_dir, &new_parent, peer)?),
            ),
        };
        Ok(Self {
            moved,
            replaced: replaced.and_then(|parts| parts.of_same_device(moved)),
            from,
            to,
        })
    }

    fn rename(&self, (old, new): (&[u8], &[u8]), flags: Flags) -> Result {
        move_part(
            self.moved,
            (&self.from, old),
            (&self.to, new),
            self.replaced,
            flags,
        )
    }

    /// After an error, the part may be where it is not to be: if so, it is renamed back when its device
    /// is there again.
    fn follow_up(
        &self,
        merged: (u64, u64),
        (old, new): (&[u8], &[u8]),
        flags: Flags,
        error: Error,
    ) {
        let (Place::Remote(from), Place::Remote(to)) = (&self.from, &self.to) else {
            return;
        };
        let Part::Remote(_, child) = self.moved else {
            return;
        };
        if !unfinished::is_in_doubt(error) {
            return;
        }
        let replaced = match self.replaced {
            Some(Part::Remote(_, child)) => Some(child.attributes.mode & 0o7777),
            _ => None,
        };
        let noted = (|| {
            let renamed = unfinished::Renamed {
                file: child.handle,
                to: unfinished::Place::new(from, old)?,
                from: unfinished::Place::new(to, new)?,
                is_exchange: flags.is_exchange(),
                replaced: replaced.filter(|_| !flags.is_exchange()),
                replaces: false,
                merged,
            };
            unfinished::note_renamed(from, renamed, error)
        })();
        if let Err(error) = noted {
            pr_info!("a part of a directory may stay where it was moved to: {error:?}\n");
        }
    }

    /// Renames back. A directory that was replaced is made anew.
    fn undo(&self, (old, new): (&[u8], &[u8]), flags: Flags) -> Result {
        let (from, to) = ((&self.to, new), (&self.from, old));
        if flags.is_exchange() {
            return move_part(self.moved, from, to, self.replaced, flags);
        }
        move_part(self.moved, from, to, None, flags)?;
        // This device is the last one: what it has done stays.
        if let (Place::Remote(parent), Some(Part::Remote(_, child))) = (&self.to, self.replaced) {
            restore(parent, child, new)?;
        }
        Ok(())
    }
}

/// Renames one device's directory; nothing is replaced but what is known to be there.
fn move_part(
    moved: &Part,
    (from, old): (&Place, &[u8]),
    (to, new): (&Place, &[u8]),
    replaced: Option<&Part>,
    flags: Flags,
) -> Result {
    match (from, to) {
        (Place::Local(from), Place::Local(to)) => {
            rename(
                &Name {
                    parent: from,
                    name: old.into(),
                    file: moved.local(),
                },
                &Name {
                    parent: to,
                    name: new.into(),
                    file: replaced.and_then(Part::local),
                },
                flags,
            )?;
        }
        (Place::Remote(from), Place::Remote(to)) => {
            let moved = moved.remote_inode(from)?;
            let replaced = replaced.map(|part| part.remote_inode(to)).transpose()?;
            let flags = match replaced {
                None => Flags::new(Flags::NOREPLACE),
                Some(_) => flags,
            };
            let (old, new) = (
                Entry {
                    dir: from,
                    name: old,
                    inode: Some(&*moved),
                },
                Entry {
                    dir: to,
                    name: new,
                    inode: replaced.as_deref(),
                },
            );
            rename_entries(&old, &new, flags)?;
        }
        _ => return Err(EXDEV),
    }
    Ok(())
}
