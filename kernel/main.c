// SPDX-License-Identifier: GPL-2.0
/*
 * Block devices from file descriptors: the control device and the module.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "blkfd.h"

static struct miscdevice blkfd_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "blkfd",
	.fops	= &blkfd_control_main_fops,
	.mode	= 0600,
};

static int __init blkfd_init(void)
{
	int ret;

	ret = blkfd_inode_init();
	if (ret)
		return ret;
	ret = blkfd_io_init();
	if (ret)
		return ret;
	ret = blkfd_worker_init();
	if (ret)
		goto out_io_exit;
	ret = blkfd_disk_init();
	if (ret)
		goto out_worker_exit;
	ret = blkfd_limits_init();
	if (ret)
		goto out_disk_exit;
	ret = blkfd_controlfs_init();
	if (ret)
		goto out_limits_exit;
	ret = misc_register(&blkfd_misc);
	if (ret)
		goto out_controlfs_exit;
	return 0;

out_controlfs_exit:
	blkfd_controlfs_exit();
out_limits_exit:
	blkfd_limits_exit();
out_disk_exit:
	blkfd_disk_exit();
out_worker_exit:
	blkfd_worker_exit();
out_io_exit:
	blkfd_io_exit();
	return ret;
}

/*
 * What is waited for tells of its end from within the module: a task that was preempted
 * on its way out of there is waited for at last.
 */
static void __exit blkfd_exit(void)
{
	misc_deregister(&blkfd_misc);
	blkfd_controlfs_exit();
	blkfd_limits_exit();
	blkfd_disk_exit();
	blkfd_worker_exit();
	blkfd_io_exit();
	synchronize_rcu_tasks();
}

module_init(blkfd_init);
module_exit(blkfd_exit);

MODULE_DESCRIPTION("Block devices from file descriptors");
MODULE_LICENSE("GPL");
