// SPDX-License-Identifier: GPL-2.0
/*
 * What is only in headers of the functions for file locks.
 */

#include "lock.h"

#include <linux/sched.h>

/* By which fcntl() knows the calling process. */
void *hmdfs_helper_current_files(void)
{
	return current->files;
}

/* How many locks on the inode the owner has; of flock(), the owner is the open file. */
unsigned int hmdfs_helper_locks_count(const struct inode *inode, bool flock, const void *owner)
{
	struct file_lock_context *ctx = locks_inode_context(inode);
	struct file_lock_core *lock;
	unsigned int count = 0;

	if (!ctx)
		return 0;
	spin_lock(&ctx->flc_lock);
	list_for_each_entry(lock, flock ? &ctx->flc_flock : &ctx->flc_posix, flc_list) {
		if ((flock ? (const void *)lock->flc_file : lock->flc_owner) == owner)
			count++;
	}
	spin_unlock(&ctx->flc_lock);
	return count;
}
