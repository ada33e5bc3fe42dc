/* SPDX-License-Identifier: GPL-2.0 */
#ifndef HMDFS_HELPERS_TASK_H
#define HMDFS_HELPERS_TASK_H

#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

unsigned int hmdfs_helper_memalloc_nofs_save(void);
void hmdfs_helper_memalloc_nofs_restore(unsigned int flags);
void hmdfs_helper_sigprocmask_block_all(sigset_t *old);
void hmdfs_helper_sigprocmask_restore(sigset_t *old);
struct task_struct *
hmdfs_helper_kthread_create(int (*threadfn)(void *data), void *data,
			    const char *name);
void hmdfs_helper_allow_interrupt(void);
void hmdfs_helper_interrupt(struct task_struct *task);
void hmdfs_helper_get_task_struct(struct task_struct *task);
void hmdfs_helper_put_task_struct(struct task_struct *task);
struct workqueue_struct *hmdfs_helper_alloc_workqueue(const char *name,
						      unsigned int flags);
void hmdfs_helper_flush_workqueue(struct workqueue_struct *queue);
bool hmdfs_helper_current_fatal_signal_pending(void);
bool hmdfs_helper_current_was_killed(void);

int hmdfs_helper_current_umask(void);
int hmdfs_helper_replace_umask(int umask);
bool hmdfs_helper_current_is_kthread(void);
void hmdfs_helper_give_way(void);

#endif /* HMDFS_HELPERS_TASK_H */
