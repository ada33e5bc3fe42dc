/* SPDX-License-Identifier: GPL-2.0 */

void hmdfs_helper_global_mutex_lock(void);
void hmdfs_helper_global_mutex_unlock(void);
