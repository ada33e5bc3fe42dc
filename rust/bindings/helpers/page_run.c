// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that are to be sent, or received into.
 */

#include <linux/net.h>

#include "page_run.h"

/* The pages of one folio; only single pages are worth any effort. */
struct page *hmdfs_helper_alloc_run_page(unsigned int order)
{
	gfp_t gfp = GFP_KERNEL;

	if (order)
		gfp |= __GFP_COMP | __GFP_NORETRY | __GFP_NOWARN;
	return alloc_pages(gfp, order);
}

bool hmdfs_helper_bvec_is_followed_by(const struct bio_vec *bvec, struct page *page,
				      unsigned int offset)
{
	size_t end = bvec->bv_offset + bvec->bv_len;

	return offset == 0 && end % PAGE_SIZE == 0 &&
	       page_folio(bvec->bv_page) == page_folio(page) &&
	       page_to_pfn(bvec->bv_page) + end / PAGE_SIZE == page_to_pfn(page);
}

size_t hmdfs_helper_iov_iter_count(const struct iov_iter *iter)
{
	return iov_iter_count(iter);
}

void hmdfs_helper_iov_iter_truncate(struct iov_iter *iter, size_t limit)
{
	iov_iter_truncate(iter, limit);
}

/*
 * Whether the memory is in pages that can be referred to, also by a socket: kernel buffers may be
 * slab, and those that a loop device passes on as well.
 */
bool hmdfs_helper_iov_iter_has_pages(const struct iov_iter *iter)
{
	size_t skip = iter->iov_offset, left = iov_iter_count(iter);
	const struct bio_vec *bvec;

	if (iov_iter_is_folioq(iter) || iov_iter_is_xarray(iter))
		return true;
	if (!iov_iter_is_bvec(iter))
		return false;
	for (bvec = iter->bvec; left; bvec++) {
		size_t part = min_t(size_t, bvec->bv_len - skip, left);
		size_t offset = bvec->bv_offset + skip;

		if (part && !sendpages_ok(bvec->bv_page, offset_in_page(offset) + part, offset))
			return false;
		left -= part;
		skip = 0;
	}
	return true;
}

int hmdfs_helper_iov_iter_visit_pages(struct iov_iter *iter, hmdfs_page_actor_t actor,
				      void *context)
{
	while (iov_iter_count(iter)) {
		struct page *batch[16], **pages = batch;
		size_t offset;
		ssize_t left;

		left = iov_iter_extract_pages(iter, &pages, SIZE_MAX, ARRAY_SIZE(batch), 0,
					      &offset);
		if (left <= 0)
			return left ?: -EFAULT;
		for (unsigned int i = 0; left > 0 && i < ARRAY_SIZE(batch); i++) {
			size_t part = min_t(size_t, left, PAGE_SIZE - offset);
			int err = actor(context, batch[i], offset, part);

			if (err)
				return err;
			left -= part;
			offset = 0;
		}
	}
	return 0;
}
