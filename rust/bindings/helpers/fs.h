/* SPDX-License-Identifier: GPL-2.0 */

#include <linux/fs.h>
#include <linux/magic.h>

void hmdfs_helper_inode_lock(struct inode *inode);
