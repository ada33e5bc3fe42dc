// SPDX-License-Identifier: GPL-2.0

//! Runs of bytes that lie in pages which are only referred to, not copied.
//!
//! C headers: [`include/linux/bvec.h`](srctree/include/linux/bvec.h),
//! [`include/linux/mm.h`](srctree/include/linux/mm.h)

use hmdfs_bindings as bindings;
use kernel::{alloc::Flags, error::code::EOVERFLOW, prelude::*};

/// Bytes in pages, for example in the page cache of a file.
///
/// The pages stay; what is in them may change as long as they also belong to
/// somebody else.
///
/// # Invariants
///
/// Each element describes bytes within one folio, of which the run holds one
/// reference per element; `length` is the sum of their lengths.
pub struct PageRun {
    bvecs: KVVec<bindings::bio_vec>,
    length: usize,
}

// SAFETY: A page reference may be dropped by any task.
unsafe impl Send for PageRun {}

// SAFETY: A shared reference gives only addresses and lengths.
unsafe impl Sync for PageRun {}

impl PageRun {
    /// An empty run.
    pub const fn new() -> Self {
        Self {
            bvecs: KVVec::new(),
            length: 0,
        }
    }

    /// Number of bytes.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The pieces, for `iov_iter_bvec`.
    pub(crate) fn bio_vecs(&self) -> &[bindings::bio_vec] {
        &self.bvecs
    }

    /// A copy of the bytes.
    #[cfg(HMDFS_KUNIT)]
    pub fn copy(&self) -> Result<KVVec<u8>> {
        let mut copy = KVVec::new();
        for bvec in &self.bvecs {
            let start = copy.len();
            copy.resize(start + bvec.bv_len as usize, 0, GFP_KERNEL)?;
            // SAFETY: By the type invariant the bytes exist; there is room for them. Pages of
            // the file systems in tests are not of large folios.
            unsafe {
                bindings::memcpy_from_page(
                    copy.as_mut_ptr().add(start).cast(),
                    bvec.bv_page,
                    bvec.bv_offset as usize,
                    bvec.bv_len as usize,
                )
            };
        }
        Ok(copy)
    }

    /// Appends `length` bytes at `offset` of `page`, and takes a reference.
    ///
    /// # Safety
    ///
    /// `page` must be a valid page, or the first of a folio that has all the bytes, and must not
    /// be a slab page.
    pub(crate) unsafe fn push(
        &mut self,
        page: *mut bindings::page,
        offset: u32,
        length: u32,
        flags: Flags,
    ) -> Result {
        let total = self
            .length
            .checked_add(usize::try_from(length)?)
            .ok_or(EOVERFLOW)?;
        self.bvecs.push(
            bindings::bio_vec {
                bv_page: page,
                bv_len: length,
                bv_offset: offset,
            },
            flags,
        )?;
        // INVARIANT: The reference for the new element; the caller vouches for the folio.
        // SAFETY: By the function's contract.
        unsafe { bindings::get_page(page) };
        self.length = total;
        Ok(())
    }
}

impl Default for PageRun {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PageRun {
    fn drop(&mut self) {
        for bvec in &self.bvecs {
            // SAFETY: By the type invariant there is a reference for this element.
            unsafe { bindings::put_page(bvec.bv_page) };
        }
    }
}
