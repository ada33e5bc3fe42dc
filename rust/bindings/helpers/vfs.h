/* SPDX-License-Identifier: GPL-2.0 */

#include <linux/bvec.h>
#include <linux/cred.h>
#include <linux/delayed_call.h>
#include <linux/exportfs.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/siphash.h>

int hmdfs_helper_break_lease(struct inode *inode, unsigned int mode);
int hmdfs_helper_cred_become(struct cred *cred, uid_t uid, gid_t gid);
bool hmdfs_helper_d_unlinked(const struct dentry *dentry);
void hmdfs_helper_do_delayed_call(struct delayed_call *call);
bool hmdfs_helper_exportfs_can_encode_fh(const struct super_block *sb, int flags);
bool hmdfs_helper_exportfs_may_export(const struct super_block *sb);
loff_t hmdfs_helper_file_size(const struct file *file);
void hmdfs_helper_get_page(struct page *page);
bool hmdfs_helper_inode_keeps_data(const struct inode *inode);
bool hmdfs_helper_inode_has_writers(const struct inode *inode, int own);
u32 hmdfs_helper_inode_sample_errors(const struct inode *inode);
bool hmdfs_helper_inode_has_errors(const struct inode *inode, u32 since);
int hmdfs_helper_inode_check_errors(struct inode *inode, u32 *since);
bool hmdfs_helper_sb_has_fine_times(const struct super_block *sb);
bool hmdfs_helper_inode_is_dirty(const struct inode *inode);
u32 hmdfs_helper_sb_sample_errors(struct super_block *sb);
int hmdfs_helper_sb_check_errors(struct super_block *sb, u32 *since);
void hmdfs_helper_memcpy_from_page(char *to, struct page *page, size_t offset, size_t length);
bool hmdfs_helper_inode_is_own(const struct inode *inode);
struct mnt_idmap *hmdfs_helper_mnt_idmap(const struct vfsmount *mnt);
const struct cred *hmdfs_helper_override_creds(const struct cred *cred);
void hmdfs_helper_posix_acl_release(struct posix_acl *acl);
struct posix_acl *hmdfs_helper_posix_acl_from_xattr(const void *value, size_t size);
void *hmdfs_helper_posix_acl_to_xattr(const struct posix_acl *acl, size_t *size);
void hmdfs_helper_put_page(struct page *page);
const struct cred *hmdfs_helper_revert_creds(const struct cred *cred);
u64 hmdfs_helper_siphash(const void *data, size_t length, const siphash_key_t *key);
