// SPDX-License-Identifier: GPL-2.0

#include <linux/fs_struct.h>
#include <linux/kthread.h>

#include "task.h"

unsigned int hmdfs_helper_memalloc_nofs_save(void)
{
	return memalloc_nofs_save();
}

void hmdfs_helper_memalloc_nofs_restore(unsigned int flags)
{
	memalloc_nofs_restore(flags);
}

void hmdfs_helper_sigprocmask_block_all(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, old);
}

void hmdfs_helper_sigprocmask_restore(sigset_t *old)
{
	sigprocmask(SIG_SETMASK, old, NULL);
	/*
	 * A SIGKILL that came meanwhile has found no thread that takes it: it is
	 * left for the way back to user space, and ends no wait on the way there.
	 */
	if (sigismember(&current->signal->shared_pending.signal, SIGKILL))
		send_sig(SIGKILL, current, 1);
}

struct task_struct *
hmdfs_helper_kthread_create(int (*threadfn)(void *data), void *data,
			    const char *name)
{
	return kthread_create(threadfn, data, "%s", name);
}

void hmdfs_helper_get_task_struct(struct task_struct *task)
{
	get_task_struct(task);
}

void hmdfs_helper_put_task_struct(struct task_struct *task)
{
	put_task_struct(task);
}

struct workqueue_struct *hmdfs_helper_alloc_workqueue(const char *name,
						      unsigned int flags)
{
	return alloc_workqueue("%s", flags, 0, name);
}

void hmdfs_helper_flush_workqueue(struct workqueue_struct *queue)
{
	__flush_workqueue(queue);
}

bool hmdfs_helper_current_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

/*
 * Whether a signal has ended the current task, which gives up what it has:
 * nothing interrupts its waits any more, not even another SIGKILL.
 */
bool hmdfs_helper_current_was_killed(void)
{
	return (current->flags & PF_EXITING) && (current->signal->group_exit_code & 0x7f);
}

int hmdfs_helper_current_umask(void)
{
	return current_umask();
}

/*
 * Sets the umask of a kernel thread, and gives the one before. Kernel threads
 * share what a umask is part of with the init process; this one gets its own
 * first, as the threads of nfsd do.
 */
int hmdfs_helper_replace_umask(int umask)
{
	int old = current_umask();
	int error;

	if (old == umask)
		return old;
	if (WARN_ON_ONCE(!(current->flags & PF_KTHREAD)))
		return -EPERM;
	if (current->fs->users != 1) {
		error = unshare_fs_struct();
		if (error)
			return error;
	}
	current->fs->umask = umask;
	return old;
}

/* Lets hmdfs_helper_interrupt() end the waits of the current kernel thread. */
void hmdfs_helper_allow_interrupt(void)
{
	allow_kernel_signal(SIGTERM);
}

void hmdfs_helper_interrupt(struct task_struct *task)
{
	send_sig(SIGTERM, task, 1);
}

bool hmdfs_helper_current_is_kthread(void)
{
	return current->flags & PF_KTHREAD;
}

/* May sleep. Where there is no lazy preemption, the two flags are one. */
void hmdfs_helper_give_way(void)
{
	if (need_resched() || test_thread_flag(TIF_NEED_RESCHED_LAZY))
		schedule();
}
