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
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/netfs.h>
#include <linux/pagemap.h>
#include <linux/statfs.h>
#include <linux/tls.h>
#include <linux/workqueue.h>

#include "helpers/fs.h"
#include "helpers/net.h"
#include "helpers/task.h"
