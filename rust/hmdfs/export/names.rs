// SPDX-License-Identifier: GPL-2.0

//! Making, removing and renaming files for other devices.
//!
//! A name is changed only where the client may read both the directory and what the
//! name stands for, as far as labels go: what is too sensitive to be read is not to
//! be replaced either. New files take over the label of their directory.

use hmdfs_kapi::{
    cred,
    errno::{EOPNOTSUPP, ESTALE},
    random::get_random_u64,
    vfs::{
        self,
        rename::{rename, Flags},
        Mask, Path,
    },
};
use hmdfs_model::security::Access;
use hmdfs_proto::{Handle, Name, Operation, Outcome, RenameFlags, Target};
use kernel::prelude::*;

use super::{compound::Execution, current::Current, label, Client, Export};

/// Types of files as `st_mode` has them.
const TYPE: u16 = 0o170_000;
const FIFO: u16 = 0o010_000;
const SOCKET: u16 = 0o140_000;

/// `S_ISUID` and `S_ISGID`: a program of a client must not run here as somebody else.
pub(super) const SET_ID: u16 = 0o6000;

/// Permissions of a new file, and what of them a umask takes away.
type Mode = (u16, u16);

/// Changes the names of directories for a client.
struct Names<'a, C: ?Sized> {
    export: &'a Export,
    client: &'a C,
}

impl<C: Client + ?Sized> Names<'_, C> {
    /// The regular file of this name, which is made if it does not exist, and whether it was.
    fn create(
        &self,
        directory: &Path,
        name: &Name<'_>,
        mode: Mode,
        exclusive: bool,
    ) -> Result<(Path, bool)> {
        let existing = || match directory.lookup(name.as_bytes()) {
            Ok(path) if !exclusive && path.is_reg() => Ok(path),
            Ok(_) => Err(EEXIST),
            Err(error) => Err(error),
        };
        match existing() {
            Ok(path) => return Ok((path, false)),
            Err(error) if error == ENOENT => {}
            Err(error) => return Err(error),
        }
        self.may_change(directory)?;
        check_mode(mode.0)?;
        match cred::with_umask(mode.1, || directory.create(name.as_bytes(), mode.0)) {
            // Somebody was faster.
            Err(error) if error == EEXIST => Ok((existing()?, false)),
            made => Ok((self.made(directory, name, made?)?, true)),
        }
    }

    /// Makes a regular file without a name in the file system of `directory`.
    fn tmpfile(&self, directory: &Path, mode: Mode) -> Result<Path> {
        self.may_change(directory)?;
        check_mode(mode.0)?;
        let path = cred::with_umask(mode.1, || {
            directory.tmpfile(mode.0 & 0o7777, &self.export.server)
        })?;
        label::inherit(self.export, directory, &path)?;
        Ok(path)
    }

    /// Makes a directory.
    fn mkdir(&self, directory: &Path, name: &Name<'_>, mode: Mode) -> Result<Path> {
        self.may_add(directory, name)?;
        let made = cred::with_umask(mode.1, || directory.mkdir(name.as_bytes(), mode.0 & 0o7777))?;
        self.made(directory, name, made)
    }

    /// Makes a FIFO or a socket.
    fn mknod(&self, directory: &Path, name: &Name<'_>, mode: Mode) -> Result<Path> {
        self.may_add(directory, name)?;
        if !matches!(mode.0 & TYPE, FIFO | SOCKET) {
            return Err(EPERM);
        }
        check_mode(mode.0)?;
        let made = cred::with_umask(mode.1, || directory.mknod(name.as_bytes(), mode.0, 0))?;
        self.made(directory, name, made)
    }

    /// Makes a symbolic link.
    fn symlink(&self, directory: &Path, name: &Name<'_>, target: &Target<'_>) -> Result<Path> {
        self.may_add(directory, name)?;
        let target = terminated(target.as_bytes())?;
        let target = CStr::from_bytes_with_nul(&target).map_err(|_| EINVAL)?;
        directory.symlink(name.as_bytes(), target)
    }

    /// Gives a file another name.
    fn link(&self, directory: &Path, name: &Name<'_>, file: &Path) -> Result<Path> {
        self.may_add(directory, name)?;
        if file.is_dir() {
            return Err(EPERM);
        }
        label::check(self.export, self.client, file)?;
        // As `protected_hardlinks` has it: a file can be kept from being removed by a link to it.
        if !file.is_own() {
            let harmless = file.is_reg() && file.permissions() & SET_ID == 0;
            let usable = [Mask::Read, Mask::Write]
                .into_iter()
                .all(|mask| file.inode_permission(mask).is_ok());
            if !harmless || !usable {
                return Err(EPERM);
            }
        }
        directory.link(name.as_bytes(), file)
    }

    /// Removes a name, and gives what it stood for.
    fn remove(
        &self,
        directory: &Path,
        name: &Name<'_>,
        file: &Handle,
        is_directory: bool,
    ) -> Result<Path> {
        self.may_change(directory)?;
        let path = self.expected(directory, name, file)?;
        if is_directory {
            directory.rmdir(name.as_bytes(), &path)?;
        } else {
            directory.unlink(name.as_bytes(), &path)?;
        }
        // A file that is kept open would keep its space.
        self.export.files.forget(file);
        self.export.unstored.removed(&path);
        Ok(path)
    }

    /// Whether the client has the file that it removes next open.
    fn removes_open(&self, file: &Handle, open: bool) {
        let Some(peer) = self.client.peer() else {
            return;
        };
        self.export.leases.set_keeps(open);
        if open {
            self.export.leases.opened(peer, file.identity().key());
        }
    }

    /// Whether the client has the file open that it replaces next, if it replaces one.
    fn replaces_open(&self, directory: &Path, name: &Name<'_>, open: bool) {
        if !open {
            return self.export.leases.set_keeps(false);
        }
        let replaced = directory
            .lookup(name.as_bytes())
            .and_then(|path| self.export.handles.encode(&path));
        if let Ok(file) = replaced {
            self.removes_open(&file, true);
        }
    }

    /// Renames an entry of `directory` to `new_name` in `new_directory`.
    fn rename(
        &self,
        directory: &Path,
        name: &Name<'_>,
        file: &Handle,
        new_directory: &Path,
        new_name: &Name<'_>,
        how: RenameFlags,
    ) -> Result {
        self.may_change(directory)?;
        self.may_change(new_directory)?;
        if !new_directory.is_dir() {
            return Err(ENOTDIR);
        }
        let path = self.expected(directory, name, file)?;
        let target = new_directory.lookup_entry(new_name.as_bytes())?.path();
        let flags = match (how, &target) {
            (RenameFlags::Replace, _) => Flags::new(0),
            (RenameFlags::NoReplace, None) => Flags::new(Flags::NOREPLACE),
            (RenameFlags::NoReplace, Some(_)) => return Err(EEXIST),
            (RenameFlags::Exchange, None) => return Err(ENOENT),
            (RenameFlags::Exchange, Some(_)) => Flags::new(Flags::EXCHANGE),
        };
        let mut replaced = None;
        if let Some(target) = &target {
            label::check(self.export, self.client, target)?;
            if how == RenameFlags::Replace {
                replaced = self.export.handles.encode(target).ok();
            }
        }
        rename(
            &vfs::rename::Name {
                parent: directory,
                name: name.as_bytes().into(),
                file: Some(&path),
            },
            &vfs::rename::Name {
                parent: new_directory,
                name: new_name.as_bytes().into(),
                file: target.as_ref(),
            },
            flags,
        )?;
        if let Some(replaced) = replaced {
            self.export.files.forget(&replaced);
        }
        if let Some(target) = target.filter(Path::is_unlinked) {
            self.export.unstored.removed(&target);
        }
        Ok(())
    }

    /// Puts a file that has no name in the place of another regular file.
    fn replace(
        &self,
        directory: &Path,
        name: &Name<'_>,
        replaced: &Handle,
        file: &Path,
    ) -> Result<Path> {
        self.may_change(directory)?;
        let target = self.expected(directory, name, replaced)?;
        if !file.is_reg() || !target.is_reg() || !file.is_unlinked() {
            return Err(EINVAL);
        }
        label::check(self.export, self.client, file)?;
        let temporary = temporary_name()?;
        let placed = directory.replace(name.as_bytes(), &target, file, &temporary)?;
        self.export.files.forget(replaced);
        Ok(placed)
    }

    /// What the name stands for, which must be the file that the client means and may be changed
    /// by it.
    fn expected(&self, directory: &Path, name: &Name<'_>, file: &Handle) -> Result<Path> {
        let path = directory.lookup(name.as_bytes())?;
        if !self.export.handles.is_of(file, &path)? {
            return Err(ESTALE.into());
        }
        label::check(self.export, self.client, &path)?;
        Ok(path)
    }

    /// Whether the client may change the names in a directory, as far as it is not for the file
    /// system to say.
    fn may_change(&self, directory: &Path) -> Result {
        if self.client.access() != Access::Write {
            return Err(EROFS);
        }
        label::check(self.export, self.client, directory)
    }

    /// Whether the client may make something of this name. That there is something already is the
    /// better answer for one that may not.
    fn may_add(&self, directory: &Path, name: &Name<'_>) -> Result {
        self.may_change(directory).map_err(|error| {
            if directory.lookup(name.as_bytes()).is_ok() {
                EEXIST
            } else {
                error
            }
        })
    }

    /// Gives what was made in `directory` the label that this has, if any. Where that fails it is
    /// removed again: without the label, others could see what is put into it.
    fn made(&self, directory: &Path, name: &Name<'_>, path: Path) -> Result<Path> {
        let Err(error) = label::inherit(self.export, directory, &path) else {
            return Ok(path);
        };
        let removed = if path.is_dir() {
            directory.rmdir(name.as_bytes(), &path)
        } else {
            directory.unlink(name.as_bytes(), &path)
        };
        if let Err(error) = removed {
            pr_warn!("a new file without its directory's label could not be removed: {error:?}\n");
        }
        Err(error)
    }
}

impl<C: Client + ?Sized> Execution<'_, C> {
    /// Executes an operation on the names of the current file, a directory.
    pub(super) fn names(&mut self, operation: &Operation<'_>) -> Result<Outcome<'static>> {
        let names = Names {
            export: self.export,
            client: self.client,
        };
        let directory = self.current()?.path.clone();
        if !directory.is_dir() {
            return Err(ENOTDIR);
        }
        let mut outcome = Outcome::Done;
        let path = match operation {
            Operation::Create {
                name,
                mode,
                exclusive,
            } => {
                let (path, created) = names.create(&directory, name, *mode, *exclusive)?;
                outcome = Outcome::Created(created);
                path
            }
            Operation::MakeUnnamed { mode } => {
                let path = names.tmpfile(&directory, *mode)?;
                self.current = Some(Current::new(path));
                self.opened_without_a_name()?;
                return Ok(outcome);
            }
            Operation::MakeDirectory { name, mode } => names.mkdir(&directory, name, *mode)?,
            Operation::MakeNode { name, mode, .. } => names.mknod(&directory, name, *mode)?,
            Operation::MakeLink { name, target } => names.symlink(&directory, name, target)?,
            Operation::Link { name, file } => {
                names.link(&directory, name, &self.file(file)?.path)?
            }
            Operation::Replace {
                name,
                replaced,
                file,
                open,
            } => {
                let file = self.file(file)?.path;
                names.removes_open(replaced, *open);
                names.replace(&directory, name, replaced, &file)?
            }
            Operation::Remove {
                name,
                file,
                directory: is_directory,
                open,
            } => {
                names.removes_open(file, *open && !is_directory);
                names.remove(&directory, name, file, *is_directory)?
            }
            Operation::Rename {
                name,
                file,
                new_directory,
                new_name,
                flags,
                open,
            } => {
                let new_directory = self.file(new_directory)?.path;
                names.replaces_open(&new_directory, new_name, *open);
                names.rename(&directory, name, file, &new_directory, new_name, *flags)?;
                return Ok(outcome);
            }
            _ => return Err(EOPNOTSUPP.into()),
        };
        self.current = Some(Current::new(path));
        if matches!(outcome, Outcome::Created(true)) {
            // Whoever makes a file may open it, whatever its mode.
            self.opened(true)?;
        }
        Ok(outcome)
    }
}

/// A name that nothing has, and that is gone again before anybody can see it.
fn temporary_name() -> Result<KVec<u8>> {
    let mut name = KVec::new();
    name.extend_from_slice(b".hmdfs-save.", GFP_KERNEL)?;
    for byte in get_random_u64().to_be_bytes() {
        for digit in [byte >> 4, byte & 0xf] {
            let digit = char::from_digit(digit.into(), 16).map_or(b'0', |digit| digit as u8);
            name.push(digit, GFP_KERNEL)?;
        }
    }
    Ok(name)
}

/// Refuses bits that would let a program of a client run here as somebody else.
pub(super) fn check_mode(mode: u16) -> Result {
    if mode & SET_ID != 0 {
        return Err(EPERM);
    }
    Ok(())
}

/// A copy with a NUL at its end, as C strings have it.
pub(super) fn terminated(bytes: &[u8]) -> Result<KVec<u8>> {
    let mut copy = KVec::with_capacity(bytes.len().saturating_add(1), GFP_KERNEL)?;
    copy.extend_from_slice(bytes, GFP_KERNEL)?;
    copy.push(0, GFP_KERNEL)?;
    Ok(copy)
}
