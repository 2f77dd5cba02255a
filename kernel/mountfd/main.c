// SPDX-License-Identifier: GPL-2.0
/*
 * The livepatch. Loading the module enables it; it can be unloaded when it has
 * been disabled through /sys/kernel/livepatch/blkfd_mountfd/enabled.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "mountfd.h"

static struct klp_func mountfd_funcs[] = {
	{ .old_name = "__x64_sys_fsconfig", .new_func = mountfd_fsconfig_64 },
	{ .old_name = "__ia32_sys_fsconfig", .new_func = mountfd_fsconfig_32 },
	{ .old_name = "lookup_bdev", .new_func = mountfd_source_lookup_bdev },
	{ }
};

static struct klp_object mountfd_objects[] = {
	{ .funcs = mountfd_funcs },	/* no name: the kernel itself */
	{ }
};

static struct klp_patch mountfd_patch = {
	.mod	= THIS_MODULE,
	.objs	= mountfd_objects,
};

static int __init mountfd_init(void)
{
	int ret;

	ret = mountfd_fsconfig_init();
	if (ret)
		return ret;
	return klp_enable_patch(&mountfd_patch);
}

/*
 * No task runs a function of the patch any more, livepatch says, and no context
 * has operations of ours. A task that was preempted on its way out of one, after
 * it dropped the last reference, is waited for.
 */
static void __exit mountfd_exit(void)
{
	synchronize_rcu_tasks();
}

module_init(mountfd_init);
module_exit(mountfd_exit);

MODULE_DESCRIPTION("Block device descriptors as the source of mounts");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
