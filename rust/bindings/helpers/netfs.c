// SPDX-License-Identifier: GPL-2.0
/*
 * Functions of the netfs library that are only in its header.
 */

#include <linux/folio_batch.h>

#include "netfs.h"
#include "task.h"

void hmdfs_helper_netfs_inode_init(struct netfs_inode *ictx, const struct netfs_request_ops *ops,
				   bool use_zero_point)
{
	netfs_inode_init(ictx, ops, use_zero_point);
}

void hmdfs_helper_inode_dio_wait(struct inode *inode)
{
	inode_dio_wait(inode);
}

void hmdfs_helper_inode_touch_mtime(struct inode *inode)
{
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
}

void hmdfs_helper_mapping_set_error(struct address_space *mapping, int error)
{
	mapping_set_error(mapping, error);
}

bool hmdfs_helper_mapping_is_being_written(const struct address_space *mapping)
{
	return mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) ||
	       mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK);
}

void hmdfs_helper_netfs_set_size(struct netfs_inode *ictx, loff_t size)
{
	struct inode *inode = &ictx->inode;

	spin_lock(&inode->i_lock);
	/* No zero point: another device may have written beyond any size. */
	netfs_write_sizes(inode, size, size, LLONG_MAX);
	spin_unlock(&inode->i_lock);
}

void hmdfs_helper_netfs_truncate(struct netfs_inode *ictx, loff_t size)
{
	struct inode *inode = &ictx->inode;
	loff_t old = i_size_read(inode);

	truncate_setsize(inode, size);
	hmdfs_helper_netfs_set_size(ictx, size);
	if (size > old)
		netfs_clear_stale_post_isize(inode, old, size);
}

/* As filemap_fdatawait_range(), but the errors stay, and a signal that kills ends it. */
static int wait_writeback_killable(struct address_space *mapping, loff_t start, loff_t end)
{
	pgoff_t index = start >> PAGE_SHIFT;
	struct folio_batch batch;
	unsigned int count, i;
	int ret = 0;

	folio_batch_init(&batch);
	while (!ret && index <= end >> PAGE_SHIFT) {
		count = filemap_get_folios_tag(mapping, &index, end >> PAGE_SHIFT,
					       PAGECACHE_TAG_WRITEBACK, &batch);
		if (!count)
			break;
		for (i = 0; i < count && !ret; i++)
			ret = folio_wait_writeback_killable(batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
	return ret ? -EINTR : 0;
}

/*
 * As filemap_fdatawrite_range() and filemap_fdatawait_range_keep_errors(), but
 * -EINTR when the task is being killed, or was: then writing goes on by itself.
 */
static int write_and_wait_killable(struct address_space *mapping, loff_t start, loff_t end)
{
	int error, ret;

	if (!mapping->nrpages)
		return 0;
	if (hmdfs_helper_current_was_killed()) {
		if (!hmdfs_helper_mapping_is_being_written(mapping))
			return 0;
		filemap_flush(mapping);
		return -EINTR;
	}
	/*
	 * The library writes back one part of a file after the other, and waits
	 * for its turn whatever the signal.
	 */
	ret = wait_writeback_killable(mapping, 0, LLONG_MAX);
	if (ret)
		return ret;
	error = filemap_fdatawrite_range(mapping, start, end);
	if (error != -EIO) {
		ret = wait_writeback_killable(mapping, start, end);
		if (ret)
			return ret;
	}
	return error;
}

int hmdfs_helper_mapping_write_and_wait_killable(struct address_space *mapping)
{
	int error = write_and_wait_killable(mapping, 0, LLONG_MAX);
	int told;

	if (error == -EINTR)
		return error;
	told = filemap_check_errors(mapping);
	return error ?: told;
}

int hmdfs_helper_file_write_and_wait_killable(struct file *file, loff_t start, loff_t end)
{
	int error = write_and_wait_killable(file->f_mapping, start, end);
	int told;

	if (error == -EINTR)
		return error;
	told = file_check_and_advance_wb_err(file);
	return error ?: told;
}

/*
 * Of a folio that was not read, one part can be written that hangs together.
 * Before another one is, the library sends what there is, and waits whatever the
 * signal.
 */
static int send_other_part(struct address_space *mapping, loff_t pos)
{
	struct folio *folio = filemap_get_folio(mapping, pos >> PAGE_SHIFT);
	struct netfs_folio *part = NULL;
	bool other = false;
	loff_t start, end;
	int ret;

	if (IS_ERR(folio))
		return 0;
	if (!folio_test_private(folio) || folio_test_uptodate(folio)) {
		folio_put(folio);
		return 0;
	}
	ret = folio_lock_killable(folio);
	if (!ret) {
		/* Until it has ended, the part belongs to the writeback. */
		ret = folio_wait_writeback_killable(folio);
		if (!ret && folio->mapping == mapping && !folio_test_uptodate(folio))
			part = netfs_folio_info(folio);
		start = folio_pos(folio);
		end = start + folio_size(folio) - 1;
		if (part)
			other = pos != start + part->dirty_offset + part->dirty_len;
		folio_unlock(folio);
	}
	folio_put(folio);
	if (ret)
		return -EINTR;
	return other ? write_and_wait_killable(mapping, start, end) : 0;
}

bool hmdfs_helper_is_direct_for_user(struct kiocb *iocb, const struct iov_iter *iter)
{
	return is_sync_kiocb(iocb) && iocb->ki_flags & IOCB_DIRECT && user_backed_iter(iter);
}

void hmdfs_helper_kiocb_clone(struct kiocb *kiocb, const struct kiocb *from,
			      void (*complete)(struct kiocb *iocb, long ret))
{
	*kiocb = *from;
	get_file(kiocb->ki_filp);
	kiocb->ki_complete = complete;
}

int hmdfs_helper_kiocb_write_and_wait(struct kiocb *iocb, const struct iov_iter *iter)
{
	if (!iov_iter_count(iter))
		return 0;
	return write_and_wait_killable(iocb->ki_filp->f_mapping, iocb->ki_pos,
				       iocb->ki_pos + iov_iter_count(iter) - 1);
}

void hmdfs_helper_get_file(struct file *file)
{
	get_file(file);
}

void hmdfs_helper_folio_get(struct folio *folio)
{
	folio_get(folio);
}

void hmdfs_helper_folio_put(struct folio *folio)
{
	folio_put(folio);
}

/*
 * As netfs_file_write_iter(), which lets buffered writers of one file run at the
 * same time: then two that append would write to the same place, and overlapping
 * writes would be mixed.
 */
ssize_t hmdfs_helper_netfs_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct netfs_inode *ictx = netfs_inode(inode);
	int sync = iocb->ki_flags & (IOCB_DSYNC | IOCB_SYNC);
	ssize_t ret;

	if (!iov_iter_count(from))
		return 0;
	if (iocb->ki_flags & IOCB_DIRECT)
		return netfs_unbuffered_write_iter(iocb, from);

	if (iocb->ki_flags & IOCB_NOWAIT) {
		if (!inode_trylock(inode))
			return -EAGAIN;
	} else {
		ret = down_write_killable(&inode->i_rwsem);
		if (ret)
			return ret;
	}
	if (test_bit(NETFS_ICTX_ODIRECT, &ictx->flags)) {
		if (iocb->ki_flags & IOCB_NOWAIT) {
			ret = -EAGAIN;
			goto unlock;
		}
		clear_bit(NETFS_ICTX_ODIRECT, &ictx->flags);
		inode_dio_wait(inode);
	}
	/*
	 * The library's writing through leaves folios dirty of which only a part is
	 * valid: the next writeback would send the rest, too. generic_write_sync()
	 * does all that is wanted.
	 */
	iocb->ki_flags &= ~sync;
	ret = generic_write_checks(iocb, from);
	if (ret > 0 && !(iocb->ki_flags & IOCB_NOWAIT)) {
		int error = send_other_part(inode->i_mapping, iocb->ki_pos);

		if (error)
			ret = error;
	}
	if (ret > 0)
		ret = netfs_buffered_write_iter_locked(iocb, from, NULL);
	iocb->ki_flags |= sync;
unlock:
	inode_unlock(inode);
	if (ret > 0)
		ret = generic_write_sync(iocb, ret);
	return ret;
}

bool hmdfs_helper_iov_iter_is_of_user(const struct iov_iter *iter)
{
	return user_backed_iter(iter);
}

/*
 * As netfs_unbuffered_write_iter(), with the inode locked exclusively, so that
 * the size is right until it has ended, and without anything in the page cache.
 */
ssize_t hmdfs_helper_netfs_write_through_locked(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;

	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		return ret;
	ret = file_remove_privs(iocb->ki_filp);
	if (!ret)
		ret = file_update_time(iocb->ki_filp);
	if (!ret)
		ret = filemap_invalidate_inode(inode, true, 0, LLONG_MAX);
	if (ret)
		return ret;
	iocb->ki_flags |= IOCB_DIRECT;
	return netfs_unbuffered_write_iter_locked(iocb, from, NULL);
}

ssize_t hmdfs_helper_generic_write_sync(struct kiocb *iocb, ssize_t written)
{
	return written > 0 ? generic_write_sync(iocb, written) : written;
}

void hmdfs_helper_netfs_wait_for_outstanding_io(struct inode *inode)
{
	netfs_wait_for_outstanding_io(inode);
}

void hmdfs_helper_netfs_sreq_set_flag(struct netfs_io_subrequest *subreq, int flag)
{
	__set_bit(flag, &subreq->flags);
}

ssize_t hmdfs_helper_splice_copy_file_range(struct file *in, loff_t in_offset, struct file *out,
					    loff_t out_offset, size_t length)
{
	return splice_copy_file_range(in, in_offset, out, out_offset, length);
}
