// SPDX-License-Identifier: GPL-2.0
/*
 * What is only in headers of the functions that a file server uses.
 */

#include "vfs.h"

int hmdfs_helper_break_lease(struct inode *inode, unsigned int mode)
{
	return break_lease(inode, mode);
}

int hmdfs_helper_cred_become(struct cred *cred, uid_t uid, gid_t gid)
{
	kuid_t kuid = make_kuid(&init_user_ns, uid);
	kgid_t kgid = make_kgid(&init_user_ns, gid);
	struct group_info *none;

	if (!uid_valid(kuid) || !gid_valid(kgid))
		return -EINVAL;
	none = groups_alloc(0);
	if (!none)
		return -ENOMEM;
	cred->uid = kuid;
	cred->euid = kuid;
	cred->suid = kuid;
	cred->fsuid = kuid;
	cred->gid = kgid;
	cred->egid = kgid;
	cred->sgid = kgid;
	cred->fsgid = kgid;
	set_groups(cred, none);
	put_group_info(none);
	return 0;
}

bool hmdfs_helper_d_unlinked(const struct dentry *dentry)
{
	return d_unlinked(dentry);
}

void hmdfs_helper_do_delayed_call(struct delayed_call *call)
{
	do_delayed_call(call);
}

bool hmdfs_helper_exportfs_can_encode_fh(const struct super_block *sb, int flags)
{
	return exportfs_can_encode_fh(sb->s_export_op, flags);
}

bool hmdfs_helper_exportfs_may_export(const struct super_block *sb)
{
	return exportfs_may_export(sb->s_export_op);
}

loff_t hmdfs_helper_file_size(const struct file *file)
{
	return i_size_read(file_inode(file));
}

void hmdfs_helper_get_page(struct page *page)
{
	get_page(page);
}

bool hmdfs_helper_inode_is_own(const struct inode *inode)
{
	return uid_eq(inode->i_uid, current_fsuid());
}

bool hmdfs_helper_inode_keeps_data(const struct inode *inode)
{
	return IS_APPEND(inode) || IS_IMMUTABLE(inode);
}

bool hmdfs_helper_inode_has_writers(const struct inode *inode, int own)
{
	return atomic_read(&inode->i_writecount) > own;
}

u32 hmdfs_helper_inode_sample_errors(const struct inode *inode)
{
	return errseq_sample(&inode->i_mapping->wb_err);
}

bool hmdfs_helper_inode_has_errors(const struct inode *inode, u32 since)
{
	return errseq_check(&inode->i_mapping->wb_err, since);
}

int hmdfs_helper_inode_check_errors(struct inode *inode, u32 *since)
{
	return errseq_check_and_advance(&inode->i_mapping->wb_err, since);
}

bool hmdfs_helper_sb_has_fine_times(const struct super_block *sb)
{
	return sb->s_type->fs_flags & FS_MGTIME;
}

bool hmdfs_helper_inode_is_dirty(const struct inode *inode)
{
	return mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY) ||
	       mapping_tagged(inode->i_mapping, PAGECACHE_TAG_WRITEBACK);
}

u32 hmdfs_helper_sb_sample_errors(struct super_block *sb)
{
	return errseq_sample(&sb->s_wb_err);
}

int hmdfs_helper_sb_check_errors(struct super_block *sb, u32 *since)
{
	return errseq_check_and_advance(&sb->s_wb_err, since);
}

void hmdfs_helper_memcpy_from_page(char *to, struct page *page, size_t offset, size_t length)
{
	memcpy_from_page(to, page, offset, length);
}

struct mnt_idmap *hmdfs_helper_mnt_idmap(const struct vfsmount *mnt)
{
	return mnt_idmap(mnt);
}

const struct cred *hmdfs_helper_override_creds(const struct cred *cred)
{
	return override_creds(cred);
}

void hmdfs_helper_put_page(struct page *page)
{
	put_page(page);
}

const struct cred *hmdfs_helper_revert_creds(const struct cred *cred)
{
	return revert_creds(cred);
}

void hmdfs_helper_posix_acl_release(struct posix_acl *acl)
{
	posix_acl_release(acl);
}

struct posix_acl *hmdfs_helper_posix_acl_from_xattr(const void *value, size_t size)
{
	return posix_acl_from_xattr(&init_user_ns, value, size);
}

void *hmdfs_helper_posix_acl_to_xattr(const struct posix_acl *acl, size_t *size)
{
	return posix_acl_to_xattr(&init_user_ns, acl, size, GFP_KERNEL);
}

u64 hmdfs_helper_siphash(const void *data, size_t length, const siphash_key_t *key)
{
	return siphash(data, length, key);
}
