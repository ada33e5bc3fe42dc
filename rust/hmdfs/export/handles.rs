// SPDX-License-Identifier: GPL-2.0

//! Handles of the files of a share.

use hmdfs_kapi::{
    errno::ESTALE,
    siphash::Key,
    vfs::{Path, MAX_FID_WORDS},
};
use hmdfs_model::handle::{self, FileId};
use hmdfs_proto::Handle;
use kernel::{error::code::EOVERFLOW, prelude::*};

kernel::static_assert!(MAX_FID_WORDS == FileId::MAX_WORDS);
kernel::static_assert!(handle::Encoded::MAX <= Handle::MAX);

/// Makes the handles of a share, and recognises them.
pub(super) struct Handles {
    /// Depends on the share: a handle of another one is not recognised.
    key: Key,
}

impl Handles {
    /// Handles of the files below `root`.
    pub(super) fn new(root: &Path, key: [u8; 16]) -> Result<Self> {
        let key = Key::new(key);
        let id = file_id(root)?;
        let mut share = KVec::with_capacity(64, GFP_KERNEL)?;
        share.extend_from_slice(&root.file_system_uuid(), GFP_KERNEL)?;
        share.push(id.file_type(), GFP_KERNEL)?;
        for word in id.words() {
            share.extend_from_slice(&word.to_le_bytes(), GFP_KERNEL)?;
        }
        let mut derived = [0; 16];
        for (half, number) in derived.chunks_exact_mut(8).zip(0..) {
            share.push(number, GFP_KERNEL)?;
            half.copy_from_slice(&key.siphash(&share).to_le_bytes());
        }
        Ok(Self {
            key: Key::new(derived),
        })
    }

    /// The handle of a file.
    pub(super) fn encode(&self, path: &Path) -> Result<Handle> {
        let encoded = handle::encode(&file_id(path)?, |bytes| self.key.siphash(bytes));
        Handle::with_identity(encoded.as_bytes(), encoded.identity()).map_err(|_| EOVERFLOW)
    }

    /// Whether `handle` is one of the file at `path`.
    pub(super) fn is_of(&self, handle: &Handle, path: &Path) -> Result<bool> {
        Ok(self.encode(path)?.is_same_file(handle))
    }

    /// Whether the handle is one that this share has given.
    pub(super) fn is_genuine(&self, handle: &Handle) -> bool {
        handle::decode(handle.as_bytes(), |bytes| self.key.siphash(bytes)).is_some()
    }

    /// The file of a handle, if it lies below `root`; one without a name, too, as long as it is
    /// there.
    ///
    /// `ESTALE` when it does not, when there is no such file, and when the handle is not one of
    /// ours. Looks through directories with the permissions of the calling task.
    pub(super) fn decode(&self, root: &Path, handle: &Handle) -> Result<Path> {
        let id = handle::decode(handle.as_bytes(), |bytes| self.key.siphash(bytes))
            .ok_or_else(|| ESTALE.error())?;
        root.exportfs_decode_fh(id.file_type(), id.words())
    }
}

fn file_id(path: &Path) -> Result<FileId> {
    let mut words = [0; MAX_FID_WORDS];
    let fid = path.exportfs_encode_fh(&mut words)?;
    FileId::new(fid.fid_type, &words, fid.length, fid.file).ok_or(EOVERFLOW)
}
