// SPDX-License-Identifier: GPL-2.0
/*
 * Somebody else's livepatch, for the tests of blkfd_mountfd to live with: it puts
 * a line of its own into /proc/cmdline. With replace=1 it takes the place of all
 * other patches.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static bool replace;
module_param(replace, bool, 0400);

static int blkfd_other_cmdline_show(struct seq_file *file, void *v)
{
	seq_puts(file, "patched\n");
	return 0;
}

static struct klp_func blkfd_other_funcs[] = {
	{
		.old_name = "cmdline_proc_show",
		.new_func = blkfd_other_cmdline_show,
	}, { }
};

static struct klp_object blkfd_other_objects[] = {
	{ .funcs = blkfd_other_funcs }, { }
};

static struct klp_patch blkfd_other_patch = {
	.mod	= THIS_MODULE,
	.objs	= blkfd_other_objects,
};

static int __init blkfd_other_init(void)
{
	blkfd_other_patch.replace = replace;
	return klp_enable_patch(&blkfd_other_patch);
}

static void __exit blkfd_other_exit(void)
{
}

module_init(blkfd_other_init);
module_exit(blkfd_other_exit);

MODULE_DESCRIPTION("Another livepatch, for tests");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
