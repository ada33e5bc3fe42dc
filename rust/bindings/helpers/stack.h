/* SPDX-License-Identifier: GPL-2.0 */

#include <linux/backing-file.h>
#include <linux/dcache.h>
#include <linux/filelock.h>
#include <linux/fileattr.h>
#include <linux/fs.h>
#include <linux/fs_stack.h>
#include <linux/fsnotify.h>
#include <linux/mnt_idmapping.h>
#include <linux/namei.h>
#include <linux/posix_acl.h>
#include <linux/xattr.h>

int hmdfs_helper_break_deleg_wait(struct delegated_inode *delegated);
bool hmdfs_helper_is_delegated(struct delegated_inode *delegated);
int hmdfs_helper_try_break_deleg(struct inode *inode, unsigned int flags,
				 struct delegated_inode *delegated);
bool hmdfs_helper_d_unhashed(const struct dentry *dentry);
unsigned int hmdfs_helper_d_seq_if(struct dentry *dentry, const struct dentry *parent,
				   const struct qstr *name, const struct inode *inode);
struct dentry *hmdfs_helper_start_known(struct dentry *upper, struct dentry *parent,
					const struct qstr *name);
bool hmdfs_helper_start_renaming_known(struct renamedata *data, struct dentry *old_upper,
				       struct dentry *new_upper, const struct qstr *old_name,
				       const struct qstr *new_name);
void hmdfs_helper_file_be_quiet(struct file *file, u32 events);
struct file *hmdfs_helper_open_below(const struct file *file, unsigned int flags,
				     const struct path *path, u32 events, bool *quiet);
void hmdfs_helper_file_show_path(struct file *lower, const struct file *file);
void hmdfs_helper_file_follow(struct file *file, const struct file *lower);
void hmdfs_helper_file_set_flags(struct file *file, unsigned int mask, unsigned int flags);
void hmdfs_helper_inode_allow_fast_exec(struct inode *inode, const struct inode *lower,
					const struct mnt_idmap *idmap);
void hmdfs_helper_inode_copy_attributes(struct inode *to, const struct inode *from);
void hmdfs_helper_inode_copy_owner(struct inode *to, const struct inode *from);
void hmdfs_helper_inode_copy_size(struct inode *to, struct inode *from);
struct inode *hmdfs_helper_fsnotify_data_inode(const void *data, int data_type);
int hmdfs_helper_get_write_access(struct inode *inode);
int hmdfs_helper_getattr_below(const struct path *path, struct kstat *stat, u32 mask,
			       unsigned int flags);
void hmdfs_helper_inode_set_nosec(struct inode *inode);
void hmdfs_helper_inode_set_stacked(struct inode *inode);
bool hmdfs_helper_inode_generic_drop(struct inode *inode);
void hmdfs_helper_init_sync_kiocb(struct kiocb *kiocb, struct file *file);
const struct cred *hmdfs_helper_current_cred(void);
void hmdfs_helper_put_write_access(struct inode *inode);
