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

void hmdfs_helper_netfs_set_size(struct netfs_inode *ictx, loff_t size)
{
	struct inode *inode = &ictx->inode;

	spin_lock(&inode->i_lock);
	/* No zero point: another device may have written beyond any size. */
	netfs_write_sizes(inode, size, size, LLONG_MAX);
	spin_unlock(&inode->i_lock);
}

void hmdfs_helper_netfs_wait_for_outstanding_io(struct inode *inode)
{
	netfs_wait_for_outstanding_io(inode);
}

void hmdfs_helper_netfs_sreq_set_flag(struct netfs_io_subrequest *subreq, int flag)
{
	__set_bit(flag, &subreq->flags);
}
