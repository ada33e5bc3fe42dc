// SPDX-License-Identifier: GPL-2.0

//! What this device has to show and to serve: the directory that it exports.

use hmdfs_kapi::{
    fs::context::Log,
    random::get_random_u64,
    vfs::{self, PrivateMount, XattrMode},
};
use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

use crate::export::Export;

/// The exported directory.
pub(crate) struct Share {
    /// What peers are served.
    pub(crate) export: Arc<Export>,
    /// The directory, in a mount of its own: what else is mounted below it, and where
    /// it is unmounted, does not matter.
    pub(crate) root: vfs::Path,
    /// Dropped after all paths of it.
    _private: PrivateMount,
    source: CString,
}

impl Share {
    /// Exports the directory of this name. What is wrong is logged.
    pub(super) fn new(source: &CStr, log: &Log<'_>) -> Result<Arc<Self>> {
        let root = vfs::Path::kern_path_directory(source).inspect_err(|&error| {
            let why = if error == ENOTDIR {
                "is not a directory"
            } else if error == ENOENT {
                "does not exist"
            } else {
                "cannot be opened"
            };
            log.error(fmt!(
                "the directory to export, '{}', {why}",
                source.to_str().unwrap_or("?")
            ));
        })?;
        let private = PrivateMount::clone_private_mount(&root).inspect_err(|_| {
            log.error(fmt!(
                "the directory to export is not in this mount namespace, or may not be mounted elsewhere"
            ));
        })?;
        let root = private.root();
        let export = Export::new(root.clone(), handle_key(&root)).map_err(|refusal| {
            log.error(fmt!("{}", refusal.as_str()));
            Error::from(refusal)
        })?;
        Ok(Arc::new(
            Self {
                export,
                root,
                _private: private,
                source: source.try_into()?,
            },
            GFP_KERNEL,
        )?)
    }

    /// How the directory was named.
    pub(super) fn source(&self) -> &str {
        self.source.to_str().unwrap_or("?")
    }
}

/// The key that authenticates the handles of an exported directory.
///
/// It is kept with the directory, where only the administrator of this device can read it, so
/// that handles stay good over restarts. Where it cannot be kept, they are good for one mount.
fn handle_key(root: &vfs::Path) -> [u8; 16] {
    const NAME: &CStr = c"trusted.hmdfs.key";
    let mut key = [0; 16];
    if root.getxattr(NAME, &mut key) == Ok(key.len()) {
        return key;
    }
    let (low, high) = key.split_at_mut(8);
    low.copy_from_slice(&get_random_u64().to_le_bytes());
    high.copy_from_slice(&get_random_u64().to_le_bytes());
    if let Err(error) = root.setxattr(NAME, &key, XattrMode::Any) {
        pr_info!("handles of this export end with this mount: {error:?}\n");
    }
    key
}
