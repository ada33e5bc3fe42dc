// SPDX-License-Identifier: GPL-2.0

//! File identifiers that outlive a restart.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)

use hmdfs_bindings as bindings;
use kernel::{
    error::{code::EOVERFLOW, from_err_ptr},
    prelude::*,
};

use crate::errno::{EOPNOTSUPP, ESTALE};

use super::Path;

/// Most words of an identifier that [`Path::exportfs_encode_fh`] gives.
pub const MAX_FID_WORDS: usize = 10;

/// What an identifier consists of.
#[derive(Clone, Copy, Debug)]
pub struct Fid {
    /// Its type, which the file system knows.
    pub fid_type: u8,
    /// Number of words.
    pub length: usize,
    /// How many of them tell which file it is; those after them tell where it is.
    pub file: usize,
}

impl Path {
    /// Whether the file system can find its files by identifiers; C: `exportfs_may_export`.
    pub fn exportfs_may_export(&self) -> bool {
        // SAFETY: The superblock is valid.
        unsafe { bindings::exportfs_may_export(self.super_block()) }
    }

    /// Writes an identifier of the file to `words`; C: `exportfs_encode_fh`.
    ///
    /// Where the file system can do it, the identifier of what is not a directory names the
    /// parent directory too, so that the file can be found below it without being in memory.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: the file system has no such identifiers.
    /// - `EOVERFLOW`: the identifier is too long.
    pub fn exportfs_encode_fh(&self, words: &mut [u32; MAX_FID_WORDS]) -> Result<Fid> {
        const CONNECTABLE: c_int = bindings::EXPORT_FH_CONNECTABLE as c_int;
        // SAFETY: The superblock is valid.
        let connectable =
            unsafe { bindings::exportfs_can_encode_fh(self.super_block(), CONNECTABLE) };
        let (fid_type, length) =
            self.encode_fh(words, if connectable { CONNECTABLE } else { 0 })?;
        let mut fid = Fid {
            fid_type,
            length,
            file: length,
        };
        if connectable && !self.is_dir() {
            let mut alone = [0; MAX_FID_WORDS];
            let (_, file) = self.encode_fh(&mut alone, 0)?;
            // All file systems put the file first.
            if file <= length && words.get(..file) == alone.get(..file) {
                fid.file = file;
            }
        }
        Ok(fid)
    }

    fn encode_fh(&self, words: &mut [u32; MAX_FID_WORDS], flags: c_int) -> Result<(u8, usize)> {
        // CAST: Ten.
        let mut length = MAX_FID_WORDS as c_int;
        // SAFETY: The dentry is valid and positive; there is room for `length` words.
        let fid_type = unsafe {
            bindings::exportfs_encode_fh(
                self.dentry(),
                words.as_mut_ptr().cast(),
                &mut length,
                flags,
            )
        };
        if fid_type < 0 {
            return Err(EOPNOTSUPP.into());
        }
        match (u8::try_from(fid_type), usize::try_from(length)) {
            // `FILEID_ROOT` is never given, and `FILEID_INVALID` says that there is no room.
            (Ok(fid_type @ 1..=0xfe), Ok(length @ 1..=MAX_FID_WORDS)) => Ok((fid_type, length)),
            _ => Err(EOVERFLOW),
        }
    }

    /// The file of an identifier, if it lies below `self`; C: `exportfs_decode_fh`.
    ///
    /// The result is of the mount of `self`. Of a file that has names it is one of them, unless none
    /// is found: then one that it does not have any more ([`Path::is_unlinked`]), if that is still
    /// in memory. Looks through directories when the file is not in memory, with the permissions
    /// of the calling task.
    ///
    /// # Errors
    ///
    /// - `ESTALE`: there is no such file, or it is somewhere else.
    /// - [`ENOMEM`]: no memory for looking.
    pub fn exportfs_decode_fh(&self, fid_type: u8, words: &[u32]) -> Result<Path> {
        let found = self.decode_fh(fid_type, words, true);
        if found.as_ref().is_err_and(|&error| error == ESTALE) {
            return self.decode_fh(fid_type, words, false);
        }
        found
    }

    fn decode_fh(&self, fid_type: u8, words: &[u32], with_name: bool) -> Result<Path> {
        let mut fid = [0; MAX_FID_WORDS];
        fid.get_mut(..words.len())
            .ok_or_else(|| ESTALE.error())?
            .copy_from_slice(words);
        let wanted = Wanted {
            root: self,
            with_name,
        };
        // SAFETY: The mount is valid. The identifier may be any bytes: file systems take them
        // from user space as well. `acceptable` gets the pointer to `wanted`, which outlives the
        // call.
        let dentry = unsafe {
            bindings::exportfs_decode_fh(
                (*self.as_raw()).mnt,
                fid.as_mut_ptr().cast(),
                // CAST: At most ten.
                words.len() as c_int,
                fid_type.into(),
                Some(acceptable),
                (&raw const wanted).cast_mut().cast(),
            )
        };
        let dentry = from_err_ptr(dentry)?;
        if dentry.is_null() {
            return Err(ESTALE.into());
        }
        // SAFETY: The reference is ours.
        if unsafe { (*dentry).d_inode }.is_null() {
            // SAFETY: The reference is ours, and given up here.
            unsafe { bindings::dput(dentry) };
            return Err(ESTALE.into());
        }
        // SAFETY: With the reference to the dentry, which is positive.
        Ok(unsafe { self.with_dentry(dentry) })
    }
}

/// Which dentries of a file will do.
struct Wanted<'a> {
    /// Below this one.
    root: &'a Path,
    /// A name that was removed will not, as long as the file has others.
    with_name: bool,
}

/// # Safety
///
/// `context` must point to a [`Wanted`], and `dentry` be valid and positive, which it stays as long as
/// a reference to it is held.
unsafe extern "C" fn acceptable(context: *mut c_void, dentry: *mut bindings::dentry) -> c_int {
    // SAFETY: By the function's contract.
    let wanted = unsafe { &*context.cast::<Wanted<'_>>() };
    // SAFETY: By the function's contract.
    if wanted.with_name && unsafe { bindings::d_unlinked(dentry) } {
        // SAFETY: As above; the count is only a hint.
        let links =
            unsafe { (&raw const (*(*dentry).d_inode).__bindgen_anon_1.i_nlink).read_volatile() };
        if links != 0 {
            return 0;
        }
    }
    // SAFETY: By the function's contract, and the type invariant of `root`.
    unsafe { bindings::is_subdir(dentry, wanted.root.dentry()) }.into()
}
