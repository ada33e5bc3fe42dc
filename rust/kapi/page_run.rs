// SPDX-License-Identifier: GPL-2.0

//! Runs of bytes that lie in pages which are only referred to, not copied.
//!
//! C headers: [`include/linux/bvec.h`](srctree/include/linux/bvec.h),
//! [`include/linux/mm.h`](srctree/include/linux/mm.h)

use hmdfs_bindings as bindings;
use kernel::{
    alloc::Flags,
    error::{code::EOVERFLOW, to_result},
    prelude::*,
};

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

    /// Puts the bytes of another run behind those of this one.
    pub fn append(&mut self, other: Self) -> Result {
        self.bvecs.reserve(other.bvecs.len(), GFP_KERNEL)?;
        for bvec in &other.bvecs {
            // SAFETY: The other run holds the folio of each of its elements.
            unsafe { self.push(bvec.bv_page, bvec.bv_offset, bvec.bv_len, GFP_KERNEL)? };
        }
        Ok(())
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

    /// A run of `length` bytes in pages of its own, to be filled.
    ///
    /// What is in them at first may be anything that was in the memory before, so all of it must
    /// be filled before it is shown to anybody.
    pub fn allocate(length: usize) -> Result<Self> {
        const PAGE: usize = bindings::PAGE_SIZE;
        let mut run = Self::new();
        let mut left = length;
        while left != 0 {
            let wanted = left.div_ceil(PAGE).next_power_of_two().ilog2();
            // Large pieces where they are easily had.
            let (page, order) = (0..=wanted.min(Self::LARGE_ORDER))
                .rev()
                .find_map(|order| Some((Self::allocate_page(order)?, order)))
                .ok_or(ENOMEM)?;
            let part = left.min(PAGE << order);
            // CAST: At most the bytes of a large piece.
            // SAFETY: The piece was just allocated, as one folio, and has that many bytes.
            let pushed = unsafe { run.push(page, 0, part as u32, GFP_KERNEL) };
            // SAFETY: The reference of the allocation; the run has taken its own.
            unsafe { bindings::put_page(page) };
            pushed?;
            left = left.saturating_sub(part);
        }
        Ok(run)
    }

    /// Order of the largest pieces that [`Self::allocate`] asks for: 64 KiB.
    const LARGE_ORDER: u32 = 4;

    fn allocate_page(order: u32) -> Option<*mut bindings::page> {
        // SAFETY: Whoever may sleep may allocate.
        let page = unsafe { bindings::alloc_run_page(order) };
        (!page.is_null()).then_some(page)
    }

    /// The run of the next bytes of an iterator, at most `limit`, which is not changed: of its very pages where they
    /// can be referred to, of a copy otherwise.
    ///
    /// # Safety
    ///
    /// `iterator` must be valid, of data to be read, and its memory stay until this returns.
    pub(crate) unsafe fn of_iterator(
        iterator: *const bindings::iov_iter,
        limit: usize,
    ) -> Result<Self> {
        // SAFETY: By the function's contract; a copy of an iterator may be used in its place.
        let mut iterator = unsafe { core::ptr::read(iterator) };
        // SAFETY: It is valid.
        unsafe { bindings::iov_iter_truncate(&mut iterator, limit) };
        // SAFETY: It is valid.
        let length = unsafe { bindings::iov_iter_count(&iterator) };
        // SAFETY: It is valid.
        if !unsafe { bindings::iov_iter_has_pages(&iterator) } {
            let run = Self::allocate(length)?;
            for bvec in &run.bvecs {
                // SAFETY: The piece has that many bytes, and the iterator has as many left.
                let copied = unsafe {
                    bindings::copy_page_from_iter(
                        bvec.bv_page,
                        bvec.bv_offset as usize,
                        bvec.bv_len as usize,
                        &mut iterator,
                    )
                };
                if copied != bvec.bv_len as usize {
                    return Err(EFAULT);
                }
            }
            return Ok(run);
        }
        let mut run = Self::new();
        // SAFETY: By the function's contract; the callback is given the run.
        let result = unsafe {
            bindings::iov_iter_visit_pages(
                &mut iterator,
                Some(push_page),
                (&raw mut run).cast::<c_void>(),
            )
        };
        to_result(result)?;
        if run.length != length {
            return Err(EFAULT);
        }
        Ok(run)
    }

    /// Appends bytes of a page, to the last element if they follow it in the same folio.
    ///
    /// # Safety
    ///
    /// As for [`Self::push`].
    unsafe fn push_adjacent(
        &mut self,
        page: *mut bindings::page,
        offset: u32,
        length: u32,
    ) -> Result {
        if let Some(last) = self.bvecs.last_mut() {
            // SAFETY: Both are valid, by the type invariant and the function's contract.
            if unsafe { bindings::bvec_is_followed_by(last, page, offset) } {
                let total = self.length.checked_add(length as usize).ok_or(EOVERFLOW)?;
                // INVARIANT: The bytes are in the folio of the element, which has its reference.
                last.bv_len = last.bv_len.checked_add(length).ok_or(EOVERFLOW)?;
                self.length = total;
                return Ok(());
            }
        }
        // SAFETY: By the function's contract.
        unsafe { self.push(page, offset, length, GFP_KERNEL) }
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

/// # Safety
///
/// `run` must point to a [`PageRun`] that nobody else uses; for the rest see [`PageRun::push`].
unsafe extern "C" fn push_page(
    run: *mut c_void,
    page: *mut bindings::page,
    offset: usize,
    length: usize,
) -> c_int {
    // SAFETY: By the function's contract.
    let run = unsafe { &mut *run.cast::<PageRun>() };
    // CAST: Both are below the size of a page.
    // SAFETY: By the function's contract.
    match unsafe { run.push_adjacent(page, offset as u32, length as u32) } {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
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
