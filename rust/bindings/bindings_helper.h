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
#include <linux/namei.h>
#include <linux/netfs.h>
#include <linux/pagemap.h>
#include <linux/splice.h>
#include <linux/statfs.h>

#include "helpers/fs.h"
#include "helpers/vfs.h"

/* Macros that bindgen cannot evaluate. */
const unsigned int RUST_CONST_HELPER_LOOKUP_DIRECTORY = LOOKUP_DIRECTORY;
const unsigned int RUST_CONST_HELPER_LOOKUP_FOLLOW = LOOKUP_FOLLOW;
