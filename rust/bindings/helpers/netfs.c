// SPDX-License-Identifier: GPL-2.0
/*
 * Functions of the netfs library that are only in its header.
 */

#include "netfs.h"

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
	if (ret > 0)
		ret = netfs_buffered_write_iter_locked(iocb, from, NULL);
	iocb->ki_flags |= sync;
unlock:
	inode_unlock(inode);
	if (ret > 0)
		ret = generic_write_sync(iocb, ret);
	return ret;
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
