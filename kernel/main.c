// SPDX-License-Identifier: GPL-2.0
/*
 * Block devices from file descriptors: the control device and the module.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "blkfd.h"

static const struct file_operations blkfd_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= blkfd_ioctl_control,
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice blkfd_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "blkfd",
	.fops	= &blkfd_fops,
	.mode	= 0600,
};

static int __init blkfd_init(void)
{
	int ret;

	ret = blkfd_io_init();
	if (ret)
		return ret;
	ret = blkfd_disk_init();
	if (ret)
		goto out_io_exit;
	ret = blkfd_limits_init();
	if (ret)
		goto out_disk_exit;
	ret = misc_register(&blkfd_misc);
	if (ret)
		goto out_limits_exit;
	return 0;

out_limits_exit:
	blkfd_limits_exit();
out_disk_exit:
	blkfd_disk_exit();
out_io_exit:
	blkfd_io_exit();
	return ret;
}

static void __exit blkfd_exit(void)
{
	misc_deregister(&blkfd_misc);
	blkfd_limits_exit();
	blkfd_disk_exit();
	blkfd_io_exit();
}

module_init(blkfd_init);
module_exit(blkfd_exit);

MODULE_DESCRIPTION("Block devices from file descriptors");
MODULE_LICENSE("GPL");
