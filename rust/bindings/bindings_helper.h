/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The headers that bindgen reads.
 *
 * hrtimer_types.h comes first because enums that are declared before they are
 * defined confuse bindgen; see rust/bindings/bindings_helper.h in the kernel.
 */

#include <linux/hrtimer_types.h>

#include <linux/backing-file.h>
#include <linux/exportfs.h>
#include <linux/falloc.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/fsnotify_backend.h>
#include <linux/namei.h>
#include <linux/netfs.h>
#include <linux/pagemap.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/splice.h>
#include <linux/statfs.h>
#include <linux/tls.h>
#include <linux/workqueue.h>

#include "helpers/fs.h"
#include "helpers/global.h"
#include "helpers/lock.h"
#include "helpers/net.h"
#include "helpers/netfs.h"
#include "helpers/netlink.h"
#include "helpers/page_run.h"
#include "helpers/stack.h"
#include "helpers/task.h"
#include "helpers/vfs.h"

#include "../netlink/netlink_gen.h"

/* Macros with casts, which bindgen cannot read. Sorted. */
const int RUST_CONST_HELPER_ACL_TYPE_ACCESS = ACL_TYPE_ACCESS;
const unsigned int RUST_CONST_HELPER_FL_ACCESS = FL_ACCESS;
const unsigned int RUST_CONST_HELPER_FL_CLOSE = FL_CLOSE;
const unsigned int RUST_CONST_HELPER_FL_FLOCK = FL_FLOCK;
const unsigned int RUST_CONST_HELPER_FL_OFDLCK = FL_OFDLCK;
const unsigned int RUST_CONST_HELPER_FL_POSIX = FL_POSIX;
const unsigned int RUST_CONST_HELPER_FL_SLEEP = FL_SLEEP;
const fmode_t RUST_CONST_HELPER_FMODE_CREATED = FMODE_CREATED;
const fmode_t RUST_CONST_HELPER_FMODE_OPENED = FMODE_OPENED;
const fmode_t RUST_CONST_HELPER_FMODE_READ = FMODE_READ;
const fmode_t RUST_CONST_HELPER_FMODE_WRITE = FMODE_WRITE;
const fop_flags_t RUST_CONST_HELPER_FOP_DIO_PARALLEL_WRITE = FOP_DIO_PARALLEL_WRITE;
const fop_flags_t RUST_CONST_HELPER_FOP_DONTCACHE = FOP_DONTCACHE;
const int RUST_CONST_HELPER_IOCB_APPEND = IOCB_APPEND;
const int RUST_CONST_HELPER_IOCB_DONTCACHE = IOCB_DONTCACHE;
const unsigned int RUST_CONST_HELPER_LOOKUP_BENEATH = LOOKUP_BENEATH;
const unsigned int RUST_CONST_HELPER_LOOKUP_CREATE = LOOKUP_CREATE;
const unsigned int RUST_CONST_HELPER_LOOKUP_DIRECTORY = LOOKUP_DIRECTORY;
const unsigned int RUST_CONST_HELPER_LOOKUP_EXCL = LOOKUP_EXCL;
const unsigned int RUST_CONST_HELPER_LOOKUP_FOLLOW = LOOKUP_FOLLOW;
const unsigned int RUST_CONST_HELPER_LOOKUP_OPEN = LOOKUP_OPEN;
const unsigned int RUST_CONST_HELPER_LOOKUP_RCU = LOOKUP_RCU;
const unsigned int RUST_CONST_HELPER_LOOKUP_RENAME_TARGET = LOOKUP_RENAME_TARGET;
const unsigned int RUST_CONST_HELPER_LOOKUP_REVAL = LOOKUP_REVAL;
const loff_t RUST_CONST_HELPER_MAX_LFS_FILESIZE = MAX_LFS_FILESIZE;
const unsigned long RUST_CONST_HELPER_SB_ACTIVE = SB_ACTIVE;
const unsigned long RUST_CONST_HELPER_SB_POSIXACL = SB_POSIXACL;
const slab_flags_t RUST_CONST_HELPER_SLAB_ACCOUNT = SLAB_ACCOUNT;
const slab_flags_t RUST_CONST_HELPER_SLAB_RECLAIM_ACCOUNT = SLAB_RECLAIM_ACCOUNT;
