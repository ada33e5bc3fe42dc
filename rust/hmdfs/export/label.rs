// SPDX-License-Identifier: GPL-2.0

//! Security labels of files.

use hmdfs_kapi::{
    errno::{ENODATA, EOPNOTSUPP},
    vfs::Path,
};
use hmdfs_model::security::{self, Label, Level};
use kernel::prelude::*;

use super::Client;

/// The extended attribute that holds a file's label.
const LABEL: &CStr = c"user.hmdfs.label";

/// Checks that the client may see the content of `path`; [`EACCES`] when not.
pub(super) fn check<C: Client + ?Sized>(client: &C, path: &Path) -> Result {
    if security::may_read(client.level().and_then(Level::new), label(path)?) {
        Ok(())
    } else {
        Err(EACCES)
    }
}

/// The label of a file; [`None`] when it makes no sense.
fn label(path: &Path) -> Result<Option<Label>> {
    let mut text = [0; Label::MAX_TEXT];
    match path.getxattr(LABEL, &mut text) {
        Ok(length) => Ok(text.get(..length).and_then(Label::parse)),
        Err(error) if error == ENODATA || error == EOPNOTSUPP => Ok(Some(Label::DEFAULT)),
        // Longer than any label.
        Err(error) if error == ERANGE => Ok(None),
        Err(error) => Err(error),
    }
}
