/* SPDX-License-Identifier: GPL-2.0 */

#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/slab.h>

struct inode *hmdfs_helper_alloc_inode_sb(struct super_block *sb, struct kmem_cache *cache);
void hmdfs_helper_d_lookup_done(struct dentry *dentry);
bool hmdfs_helper_d_in_lookup(const struct dentry *dentry);
struct dentry *hmdfs_helper_dget(struct dentry *dentry);
bool hmdfs_helper_dir_emit(struct dir_context *ctx, const char *name, int length, u64 ino,
			   unsigned int type);
bool hmdfs_helper_dir_emit_dot(struct file *file, struct dir_context *ctx);
bool hmdfs_helper_dir_emit_dotdot(struct file *file, struct dir_context *ctx);
void hmdfs_helper_errorfc(struct fs_context *fc, const char *message);
struct inode *hmdfs_helper_file_inode(const struct file *file);
struct dentry *hmdfs_helper_file_dentry(const struct file *file);
void hmdfs_helper_i_size_write(struct inode *inode, loff_t size);
loff_t hmdfs_helper_i_size_read(const struct inode *inode);
void hmdfs_helper_ihold(struct inode *inode);
void hmdfs_helper_inode_set_atime(struct inode *inode, s64 seconds, u32 nanoseconds);
void hmdfs_helper_inode_set_ctime(struct inode *inode, s64 seconds, u32 nanoseconds);
bool hmdfs_helper_inode_is_new(struct inode *inode);
bool hmdfs_helper_inode_is_open_for_write(const struct inode *inode);
void hmdfs_helper_inode_lock(struct inode *inode);
void hmdfs_helper_inode_unlock(struct inode *inode);
void hmdfs_helper_inode_set_mtime(struct inode *inode, s64 seconds, u32 nanoseconds);
void hmdfs_helper_inode_dont_cache_acl(struct inode *inode);
const char *hmdfs_helper_inode_cached_link(const struct inode *inode);
uid_t hmdfs_helper_i_uid_read(const struct inode *inode);
void hmdfs_helper_i_uid_write(struct inode *inode, uid_t uid);
void hmdfs_helper_i_gid_write(struct inode *inode, gid_t gid);
void hmdfs_helper_mapping_set_large_folios(struct address_space *mapping);
bool hmdfs_helper_mapping_has_pages(const struct address_space *mapping);
dev_t hmdfs_helper_mkdev(unsigned int major, unsigned int minor);
void hmdfs_helper_get_active_super(struct super_block *sb);
void hmdfs_helper_set_sb_flags(struct super_block *sb, unsigned long flags);
unsigned long hmdfs_helper_jiffies(void);
