// SPDX-License-Identifier: GPL-2.0

//! Security labels of files.
//!
//! They are read and set with the powers of whoever mounted: a file that the server
//! may not read has one too.

use hmdfs_kapi::{
    cred,
    errno::{ENODATA, EOPNOTSUPP},
    vfs::{Path, XattrMode},
};
use hmdfs_model::security::{self, Label, Level};
use kernel::prelude::*;

use super::{Client, Export};

/// The extended attribute that holds a file's label.
pub(super) const LABEL: &CStr = c"user.hmdfs.label";

/// Checks that the client may see the content of `path`, and so may change it too; [`EACCES`] when
/// not.
pub(super) fn check<C: Client + ?Sized>(export: &Export, client: &C, path: &Path) -> Result {
    let label = match read(export, path)? {
        Some(text) => text.as_bytes().and_then(Label::parse),
        None => Some(Label::DEFAULT),
    };
    if security::may_read(client.level().and_then(Level::new), label) {
        Ok(())
    } else {
        Err(EACCES)
    }
}

/// Gives a new file or directory the label of the directory that it was made in, if that has one.
pub(super) fn inherit(export: &Export, directory: &Path, path: &Path) -> Result {
    if !path.is_reg() && !path.is_dir() {
        // Nothing else can have one.
        return Ok(());
    }
    let Some(text) = read(export, directory)? else {
        return Ok(());
    };
    let label = text.as_bytes().ok_or(EINVAL)?;
    cred::with_creds(&export.mounter, || {
        path.setxattr(LABEL, label, XattrMode::Any)
    })
}

/// The text of a label.
struct Text {
    bytes: [u8; Label::MAX_TEXT],
    /// More than there is room for, when it is longer than any label.
    length: usize,
}

impl Text {
    /// The text; [`None`] when it is longer than any label.
    fn as_bytes(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length)
    }
}

/// The label that a file carries.
fn read(export: &Export, path: &Path) -> Result<Option<Text>> {
    let mut bytes = [0; Label::MAX_TEXT];
    match cred::with_creds(&export.mounter, || path.getxattr(LABEL, &mut bytes)) {
        Ok(length) => Ok(Some(Text { bytes, length })),
        Err(error) if error == ENODATA || error == EOPNOTSUPP => Ok(None),
        Err(error) if error == ERANGE => Ok(Some(Text {
            bytes,
            length: usize::MAX,
        })),
        Err(error) => Err(error),
    }
}
