// SPDX-License-Identifier: GPL-2.0
/*
 * What is only in headers of the functions that a stacked file system uses.
 */

#include "backing_file.h"
#include "stack.h"

int hmdfs_helper_break_deleg_wait(struct delegated_inode *delegated)
{
	return break_deleg_wait(delegated);
}

int hmdfs_helper_try_break_deleg(struct inode *inode, unsigned int flags,
				 struct delegated_inode *delegated)
{
	return try_break_deleg(inode, flags, delegated);
}

bool hmdfs_helper_is_delegated(struct delegated_inode *delegated)
{
	return is_delegated(delegated);
}

bool hmdfs_helper_d_unhashed(const struct dentry *dentry)
{
	return d_unhashed(dentry);
}

/*
 * Whether a dentry is hashed in this directory with this name, and needs no file
 * system to judge names. While d_lock or the lock of the directory is held, it stays so.
 */
static bool is_entry(const struct dentry *dentry, const struct dentry *parent,
		     const struct qstr *name)
{
	return !(dentry->d_flags & (DCACHE_OP_HASH | DCACHE_OP_COMPARE | DCACHE_OP_REVALIDATE)) &&
	       !d_unhashed(dentry) && dentry->d_parent == parent &&
	       dentry->d_name.len == name->len &&
	       !memcmp(dentry->d_name.name, name->name, name->len);
}

/*
 * The sequence number of a dentry, which is even, if it is hashed in this
 * directory with this name and inode, and needs no file system to judge names;
 * else an odd number. While the number stays the same, so does all of that.
 */
unsigned int hmdfs_helper_d_seq_if(struct dentry *dentry, const struct dentry *parent,
				   const struct qstr *name, const struct inode *inode)
{
	unsigned int seq = 1;

	spin_lock(&dentry->d_lock);
	if (dentry->d_inode == inode && is_entry(dentry, parent, name))
		seq = raw_read_seqcount(&dentry->d_seq);
	spin_unlock(&dentry->d_lock);
	return seq;
}

/*
 * What start_creating() and start_removing() give, without looking it up, if that is
 * the dentry that @upper stands on, as it most likely is: @parent is locked then.
 * Otherwise NULL, and it is not. The caller may search @parent.
 */
struct dentry *hmdfs_helper_start_known(struct dentry *upper, struct dentry *parent,
					const struct qstr *name)
{
	struct dentry *dentry;

	rcu_read_lock();
	dentry = READ_ONCE(upper->d_fsdata);
	if (dentry && !lockref_get_not_dead(&dentry->d_lockref))
		dentry = NULL;
	rcu_read_unlock();
	if (!dentry)
		return NULL;
	inode_lock_nested(d_inode(parent), I_MUTEX_PARENT);
	if (is_entry(dentry, parent, name) && !IS_DEADDIR(d_inode(parent)))
		return dentry;
	inode_unlock(d_inode(parent));
	dput(dentry);
	return NULL;
}

/*
 * As hmdfs_helper_start_known(), for start_renaming(). Both directories are set in
 * @data.
 */
bool hmdfs_helper_start_renaming_known(struct renamedata *data, struct dentry *old_upper,
				       struct dentry *new_upper, const struct qstr *old_name,
				       const struct qstr *new_name)
{
	struct dentry *old, *new;
	bool started = false;

	rcu_read_lock();
	old = READ_ONCE(old_upper->d_fsdata);
	if (old && !lockref_get_not_dead(&old->d_lockref))
		old = NULL;
	new = READ_ONCE(new_upper->d_fsdata);
	if (new && !lockref_get_not_dead(&new->d_lockref))
		new = NULL;
	rcu_read_unlock();
	if (old && new && !start_renaming_two_dentries(data, old, new)) {
		started = is_entry(old, data->old_parent, old_name) &&
			  is_entry(new, data->new_parent, new_name);
		if (!started)
			end_renaming(data);
	}
	dput(old);
	dput(new);
	return started;
}

void hmdfs_helper_file_set_flags(struct file *file, unsigned int mask, unsigned int flags)
{
	spin_lock(&file->f_lock);
	file->f_flags = (file->f_flags & ~mask) | (flags & mask);
	file->f_iocb_flags = iocb_flags(file);
	spin_unlock(&file->f_lock);
}

/*
 * What the lower file can do, this one can. The mapping stays our own, empty one:
 * some code tells the type of an inode by the mapping of the file.
 */
void hmdfs_helper_file_follow(struct file *file, const struct file *lower)
{
	file->f_mode |= lower->f_mode &
			(FMODE_CAN_ATOMIC_WRITE | FMODE_CAN_ODIRECT | FMODE_NOWAIT);
}

/* Whether only somebody who watches the whole file system for just these events would be told. */
static bool only_watched_for(const struct super_block *sb, u32 events)
{
	return READ_ONCE(sb->s_fsnotify_mask) == events &&
	       atomic_long_read(fsnotify_sb_watched_objects((struct super_block *)sb)) == 1;
}

/*
 * What is done with this open file is told to nobody, if nobody would be told but
 * those who watch the whole file system for just these events: they know that it
 * is open.
 */
void hmdfs_helper_file_be_quiet(struct file *file, u32 events)
{
	if (only_watched_for(file_inode(file)->i_sb, events))
		file_set_fsnotify_mode(file, FMODE_NONOTIFY);
}

static void set_user_path(struct file *lower, const struct file *file)
{
	const struct path *path = file_user_path(file);

	path_get(path);
	backing_file_set_user_path(lower, path);
}

/*
 * backing_file_open() as the calling task, except that
 *
 * - a file that is only read gets the path of @file when it is mapped: nobody asks
 *   for it before that;
 * - if what is done with it is told to nobody, see hmdfs_helper_file_be_quiet(), then
 *   that it is opened is not either: @quiet is set, and the caller has to tell.
 */
struct file *hmdfs_helper_open_below(const struct file *file, unsigned int flags,
				     const struct path *path, u32 events, bool *quiet)
{
	struct file *lower;
	int error;

	*quiet = only_watched_for(path->dentry->d_sb, events);
	lower = alloc_empty_backing_file(flags, current_cred(), file);
	if (IS_ERR(lower))
		return lower;
	if (lower->f_mode & FMODE_WRITE)
		set_user_path(lower, file);
	lower->__f_path.mnt = path->mnt;
	error = finish_open(lower, path->dentry, NULL);
	if (error) {
		fput(lower);
		return ERR_PTR(error);
	}
	if (*quiet)
		file_set_fsnotify_mode(lower, FMODE_NONOTIFY);
	else
		fsnotify_open(lower);
	return lower;
}

/* Lets maps of @lower, the file below @file, show the path of the latter. */
void hmdfs_helper_file_show_path(struct file *lower, const struct file *file)
{
	spin_lock(&lower->f_lock);
	if (!backing_file_user_path(lower)->mnt)
		set_user_path(lower, file);
	spin_unlock(&lower->f_lock);
}

void hmdfs_helper_inode_copy_owner(struct inode *to, const struct inode *from)
{
	const unsigned int flags = S_APPEND | S_IMMUTABLE;
	umode_t mode = READ_ONCE(from->i_mode);
	kuid_t uid = READ_ONCE(from->i_uid);
	kgid_t gid = READ_ONCE(from->i_gid);
#ifdef CONFIG_FS_POSIX_ACL
	/* That there is no list may be known here; a list is asked for below. */
	struct posix_acl *acl = NULL;

	if (IS_POSIXACL(from) && READ_ONCE(from->i_acl))
		acl = ACL_DONT_CACHE;
	if (unlikely(READ_ONCE(to->i_acl) != acl))
		WRITE_ONCE(to->i_acl, acl);
#endif
	/* Compared first, so that a path walk does not write. */
	if (unlikely(READ_ONCE(to->i_mode) != mode))
		WRITE_ONCE(to->i_mode, mode);
	if (unlikely(!uid_eq(to->i_uid, uid)))
		WRITE_ONCE(to->i_uid, uid);
	if (unlikely(!gid_eq(to->i_gid, gid)))
		WRITE_ONCE(to->i_gid, gid);
	if (unlikely((READ_ONCE(to->i_flags) ^ READ_ONCE(from->i_flags)) & flags))
		inode_set_flags(to, from->i_flags & flags, flags);
}

void hmdfs_helper_inode_copy_size(struct inode *to, struct inode *from)
{
	if (i_size_read(to) != i_size_read(from))
		fsstack_copy_inode_size(to, from);
}

void hmdfs_helper_inode_copy_attributes(struct inode *to, const struct inode *from)
{
	hmdfs_helper_inode_copy_owner(to, from);
	fsstack_copy_attr_times(to, from);
	if (to->i_nlink == from->i_nlink)
		return;
	/* The superblock counts the inodes without links. */
	spin_lock(&to->i_lock);
	set_nlink(to, READ_ONCE(from->i_nlink));
	spin_unlock(&to->i_lock);
}

int hmdfs_helper_get_write_access(struct inode *inode)
{
	return get_write_access(inode);
}

/*
 * The part of vfs_getattr_nosec() that is still to be done for the file below,
 * when it was called for the file above.
 */
int hmdfs_helper_getattr_below(const struct path *path, struct kstat *stat, u32 mask,
			       unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct mnt_idmap *idmap = mnt_idmap(path->mnt);

	if (inode->i_sb->s_flags & SB_NOATIME)
		stat->result_mask &= ~STATX_ATIME;
	if (IS_DAX(inode))
		stat->attributes |= STATX_ATTR_DAX;
	if (inode->i_op->getattr)
		return inode->i_op->getattr(idmap, path, stat, mask, flags);
	generic_fillattr(idmap, mask, inode, stat);
	return 0;
}

bool hmdfs_helper_inode_generic_drop(struct inode *inode)
{
	return inode_generic_drop(inode);
}

void hmdfs_helper_inode_set_nosec(struct inode *inode)
{
	inode->i_flags |= S_NOSEC;
}

/*
 * Times, privileges to take away at a write, and access control lists are the
 * lower inode's affair. What a write takes away is decided there, and it must not
 * be tried here, where the inode is not locked then.
 */
void hmdfs_helper_inode_set_stacked(struct inode *inode)
{
	inode->i_flags |= S_NOATIME | S_NOCMTIME | S_NOSEC;
#ifdef CONFIG_FS_POSIX_ACL
	inode->i_default_acl = ACL_DONT_CACHE;
#endif
}

/*
 * Lets path walks through a directory judge its mode by themselves, if nothing
 * else counts below.
 */
void hmdfs_helper_inode_allow_fast_exec(struct inode *inode, const struct inode *lower,
					const struct mnt_idmap *idmap)
{
	if (S_ISDIR(lower->i_mode) && !lower->i_op->permission && idmap == &nop_mnt_idmap)
		inode->i_opflags |= IOP_FASTPERM_MAY_EXEC;
}

void hmdfs_helper_init_sync_kiocb(struct kiocb *kiocb, struct file *file)
{
	init_sync_kiocb(kiocb, file);
}

const struct cred *hmdfs_helper_current_cred(void)
{
	return current_cred();
}

void hmdfs_helper_put_write_access(struct inode *inode)
{
	put_write_access(inode);
}

struct inode *hmdfs_helper_fsnotify_data_inode(const void *data, int data_type)
{
	return fsnotify_data_inode(data, data_type);
}
