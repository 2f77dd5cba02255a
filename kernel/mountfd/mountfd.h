/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A block device's descriptor as the source of a mount, by livepatch. Three
 * functions of the kernel are replaced: the two entries of fsconfig(2), which
 * turn the file into a source of a name that only we resolve (fsconfig.c), and
 * lookup_bdev(), where file systems look that name up (source.c).
 */
#ifndef BLKFD_MOUNTFD_H
#define BLKFD_MOUNTFD_H

#include <linux/fs_context.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/types.h>

struct pt_regs;
struct mountfd_source;

/**
 * struct mountfd_call - a task that makes a superblock, with the patch
 * @node: In the list of them.
 * @task: The task.
 * @source: The source that it mounts now, or NULL. Its own business.
 */
struct mountfd_call {
	struct list_head node;
	struct task_struct *task;
	struct mountfd_source *source;
};

/* fsconfig.c */
int mountfd_fsconfig_init(void);
asmlinkage long mountfd_fsconfig_64(const struct pt_regs *regs);
asmlinkage long mountfd_fsconfig_32(const struct pt_regs *regs);

/* source.c */
struct mountfd_source *mountfd_source_alloc(struct file *file);
void mountfd_source_put(struct mountfd_source *source);
int mountfd_source_set(struct mountfd_source *source, struct fs_context *fc);
void mountfd_source_enter(struct mountfd_call *call);
void mountfd_source_leave(struct mountfd_call *call);
int mountfd_source_lookup_bdev(const char *pathname, dev_t *dev);

#endif /* BLKFD_MOUNTFD_H */
