/* SPDX-License-Identifier: GPL-2.0 */

#include <linux/netfs.h>
#include <linux/splice.h>

void hmdfs_helper_netfs_inode_init(struct netfs_inode *ictx, const struct netfs_request_ops *ops,
				   bool use_zero_point);
void hmdfs_helper_inode_dio_wait(struct inode *inode);
void hmdfs_helper_inode_touch_mtime(struct inode *inode);
bool hmdfs_helper_mapping_is_being_written(const struct address_space *mapping);
void hmdfs_helper_mapping_set_error(struct address_space *mapping, int error);
void hmdfs_helper_netfs_set_size(struct netfs_inode *ictx, loff_t size);
void hmdfs_helper_netfs_truncate(struct netfs_inode *ictx, loff_t size);
ssize_t hmdfs_helper_netfs_write_iter(struct kiocb *iocb, struct iov_iter *from);
void hmdfs_helper_netfs_wait_for_outstanding_io(struct inode *inode);
void hmdfs_helper_netfs_sreq_set_flag(struct netfs_io_subrequest *subreq, int flag);
ssize_t hmdfs_helper_splice_copy_file_range(struct file *in, loff_t in_offset, struct file *out,
					    loff_t out_offset, size_t length);
