/* SPDX-License-Identifier: GPL-2.0 */

#include <linux/filelock.h>
#include <linux/fs.h>

unsigned int hmdfs_helper_locks_count(const struct inode *inode, bool flock, const void *owner);
void *hmdfs_helper_current_files(void);
