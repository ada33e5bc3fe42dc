// SPDX-License-Identifier: GPL-2.0
/*
 * The mutex of the module's static variables.
 */

#include <linux/mutex.h>

#include "global.h"

static DEFINE_MUTEX(global_mutex);

void hmdfs_helper_global_mutex_lock(void)
{
	mutex_lock(&global_mutex);
}

void hmdfs_helper_global_mutex_unlock(void)
{
	mutex_unlock(&global_mutex);
}
