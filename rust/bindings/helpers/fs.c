// SPDX-License-Identifier: GPL-2.0
/*
 * Functions and macros of the VFS that are only in headers.
 */

#include <linux/jiffies.h>
#include <linux/kdev_t.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>

#include "fs.h"

struct inode *hmdfs_helper_alloc_inode_sb(struct super_block *sb, struct kmem_cache *cache)
{
	return alloc_inode_sb(sb, cache, GFP_KERNEL);
}

void hmdfs_helper_d_lookup_done(struct dentry *dentry)
{
	d_lookup_done(dentry);
}

bool hmdfs_helper_d_in_lookup(const struct dentry *dentry)
{
	return d_in_lookup(dentry);
}

struct dentry *hmdfs_helper_dget(struct dentry *dentry)
{
	return dget(dentry);
}

bool hmdfs_helper_dir_emit(struct dir_context *ctx, const char *name, int length, u64 ino,
			   unsigned int type)
{
	return dir_emit(ctx, name, length, ino, type);
}

bool hmdfs_helper_dir_emit_dot(struct file *file, struct dir_context *ctx)
{
	return dir_emit_dot(file, ctx);
}

bool hmdfs_helper_dir_emit_dotdot(struct file *file, struct dir_context *ctx)
{
	return dir_emit_dotdot(file, ctx);
}

void hmdfs_helper_errorfc(struct fs_context *fc, const char *message)
{
	errorfc(fc, "%s", message);
}

struct inode *hmdfs_helper_file_inode(const struct file *file)
{
	return file_inode(file);
}

struct dentry *hmdfs_helper_file_dentry(const struct file *file)
{
	return file_dentry(file);
}

void hmdfs_helper_i_size_write(struct inode *inode, loff_t size)
{
	i_size_write(inode, size);
}

loff_t hmdfs_helper_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

void hmdfs_helper_ihold(struct inode *inode)
{
	ihold(inode);
}

void hmdfs_helper_inode_set_atime(struct inode *inode, s64 seconds, u32 nanoseconds)
{
	inode_set_atime(inode, seconds, nanoseconds);
}

void hmdfs_helper_inode_set_ctime(struct inode *inode, s64 seconds, u32 nanoseconds)
{
	inode_set_ctime(inode, seconds, nanoseconds);
}

bool hmdfs_helper_inode_is_new(struct inode *inode)
{
	return inode_state_read_once(inode) & I_NEW;
}

bool hmdfs_helper_inode_is_open_for_write(const struct inode *inode)
{
	return inode_is_open_for_write(inode);
}

void hmdfs_helper_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}

void hmdfs_helper_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

void hmdfs_helper_inode_set_mtime(struct inode *inode, s64 seconds, u32 nanoseconds)
{
	inode_set_mtime(inode, seconds, nanoseconds);
}

void hmdfs_helper_inode_dont_cache_acl(struct inode *inode)
{
#ifdef CONFIG_FS_POSIX_ACL
	inode->i_acl = ACL_DONT_CACHE;
	inode->i_default_acl = ACL_DONT_CACHE;
#endif
}

const char *hmdfs_helper_inode_cached_link(const struct inode *inode)
{
	return S_ISLNK(inode->i_mode) ? inode->i_link : NULL;
}

uid_t hmdfs_helper_i_uid_read(const struct inode *inode)
{
	return i_uid_read(inode);
}

void hmdfs_helper_i_uid_write(struct inode *inode, uid_t uid)
{
	i_uid_write(inode, uid);
}

void hmdfs_helper_i_gid_write(struct inode *inode, gid_t gid)
{
	i_gid_write(inode, gid);
}

void hmdfs_helper_mapping_set_large_folios(struct address_space *mapping)
{
	mapping_set_large_folios(mapping);
}

bool hmdfs_helper_mapping_has_pages(const struct address_space *mapping)
{
	return mapping->nrpages != 0;
}

dev_t hmdfs_helper_mkdev(unsigned int major, unsigned int minor)
{
	return MKDEV(major, minor);
}

/* For somebody who has one already. */
void hmdfs_helper_get_active_super(struct super_block *sb)
{
	atomic_inc(&sb->s_active);
}

void hmdfs_helper_set_sb_flags(struct super_block *sb, unsigned long flags)
{
	sb->s_flags |= flags;
}

unsigned long hmdfs_helper_jiffies(void)
{
	return jiffies;
}
