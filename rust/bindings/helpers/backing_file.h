/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel exports, but declares in no header that modules see. */

#include <linux/fs.h>

struct file *alloc_empty_backing_file(int flags, const struct cred *cred,
				      const struct file *user_file);
void backing_file_set_user_path(struct file *f, const struct path *path);
