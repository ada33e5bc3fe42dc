/* SPDX-License-Identifier: GPL-2.0 */

#include <linux/bvec.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/uio.h>

typedef int (*hmdfs_page_actor_t)(void *context, struct page *page, size_t offset, size_t length);

struct page *hmdfs_helper_alloc_run_page(unsigned int order);
bool hmdfs_helper_bvec_is_followed_by(const struct bio_vec *bvec, struct page *page,
				      unsigned int offset);
size_t hmdfs_helper_iov_iter_count(const struct iov_iter *iter);
void hmdfs_helper_iov_iter_truncate(struct iov_iter *iter, size_t limit);
bool hmdfs_helper_iov_iter_has_pages(const struct iov_iter *iter);
int hmdfs_helper_iov_iter_visit_pages(struct iov_iter *iter, hmdfs_page_actor_t actor,
				      void *context);
