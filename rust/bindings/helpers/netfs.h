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
ssize_t hmdfs_helper_netfs_write_through_locked(struct kiocb *iocb, struct iov_iter *from);
ssize_t hmdfs_helper_generic_write_sync(struct kiocb *iocb, ssize_t written);
bool hmdfs_helper_iov_iter_is_of_user(const struct iov_iter *iter);
void hmdfs_helper_netfs_wait_for_outstanding_io(struct inode *inode);
void hmdfs_helper_netfs_sreq_set_flag(struct netfs_io_subrequest *subreq, int flag);
ssize_t hmdfs_helper_splice_copy_file_range(struct file *in, loff_t in_offset, struct file *out,
					    loff_t out_offset, size_t length);
int hmdfs_helper_mapping_write_and_wait_killable(struct address_space *mapping);
int hmdfs_helper_file_write_and_wait_killable(struct file *file, loff_t start, loff_t end);
bool hmdfs_helper_is_direct_for_user(struct kiocb *iocb, const struct iov_iter *iter);
void hmdfs_helper_kiocb_clone(struct kiocb *kiocb, const struct kiocb *from,
			      void (*complete)(struct kiocb *iocb, long ret));
int hmdfs_helper_kiocb_write_and_wait(struct kiocb *iocb, const struct iov_iter *iter);
void hmdfs_helper_get_file(struct file *file);
void hmdfs_helper_folio_get(struct folio *folio);
void hmdfs_helper_folio_put(struct folio *folio);
