// SPDX-License-Identifier: GPL-2.0

//! Who may do what with a file.

use hmdfs_kapi::vfs::{Mask, Path};
use hmdfs_model::security::Access;
use kernel::prelude::*;

use super::{label, Client, Export};

/// Checks that the client may change things in this share at all; [`EROFS`] when not.
pub(super) fn check_change<C: Client + ?Sized>(client: &C) -> Result {
    match client.access() {
        Access::Write => Ok(()),
        Access::Read => Err(EROFS),
        Access::None => Err(EACCES),
    }
}

/// Checks that a file's content may be opened like this: by what the client may do with the
/// share, by the permissions of the server, and by the label.
pub(super) fn check_open<C: Client + ?Sized>(
    export: &Export,
    client: &C,
    path: &Path,
    mask: Mask,
) -> Result {
    if mask == Mask::Write {
        check_change(client)?;
    }
    path.inode_permission(mask)?;
    label::check(export, client, path)
}

/// Checks that a file's content may be read or written, for a client that has opened it before.
///
/// As on the device itself, mode bits that changed since do not close what is open: there is no
/// telling when the client opened it, so they do not count for the file's owner. Everybody else
/// is held to them.
pub(super) fn check_use<C: Client + ?Sized>(
    export: &Export,
    client: &C,
    path: &Path,
    mask: Mask,
) -> Result {
    if mask == Mask::Write {
        check_change(client)?;
    }
    if !path.is_own() {
        path.inode_permission(mask)?;
    }
    label::check(export, client, path)
}
