// SPDX-License-Identifier: GPL-2.0
/*
 * Functions and macros of the VFS that are only in headers.
 */

#include "fs.h"

void hmdfs_helper_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}
