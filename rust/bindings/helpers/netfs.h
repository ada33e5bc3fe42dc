/* SPDX-License-Identifier: GPL-2.0 */

#include <linux/netfs.h>

void hmdfs_helper_netfs_inode_init(struct netfs_inode *ictx, const struct netfs_request_ops *ops,
				   bool use_zero_point);
void hmdfs_helper_netfs_set_size(struct netfs_inode *ictx, loff_t size);
void hmdfs_helper_netfs_wait_for_outstanding_io(struct inode *inode);
void hmdfs_helper_netfs_sreq_set_flag(struct netfs_io_subrequest *subreq, int flag);
