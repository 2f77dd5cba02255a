// SPDX-License-Identifier: GPL-2.0
/*
 * Making, resizing and ending devices. See blkfd.h for who holds what.
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/kdev_t.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "blkfd.h"

static int blkfd_device_major;
static struct device_type blkfd_device_type;
static struct workqueue_struct *blkfd_device_reaper;

static atomic64_t blkfd_device_last_id = ATOMIC64_INIT(0);

/* Devices by minor number; a number rests until all others have been used. */
static DEFINE_XARRAY_ALLOC(blkfd_device_minors);
static u32 blkfd_device_next_minor;	/* lock of blkfd_device_minors */

static DECLARE_WAIT_QUEUE_HEAD(blkfd_device_gone);

/* devtmpfs can make nothing of ".", and says nothing about it. */
static char *blkfd_device_devnode(const struct device *dev, umode_t *mode,
				  kuid_t *uid, kgid_t *gid)
{
	return kstrdup(".", GFP_KERNEL | __GFP_NOFAIL);
}

/* An error here keeps the event from being sent. */
static int blkfd_device_uevent(const struct device *dev,
			       struct kobj_uevent_env *env)
{
	return -ENODEV;
}

/*
 * A stale inode names our major and a number that is nobody's: have the block
 * layer find nothing there, and not start modprobe over it.
 */
static void blkfd_device_probe(dev_t dev)
{
}

static int blkfd_device_open(struct gendisk *disk, blk_mode_t mode)
{
	struct blkfd_device *dev = disk->private_data;

	lockdep_assert_held(&disk->open_mutex);
	if (dev->dying)
		return -ENXIO;
	if (mode & BLK_OPEN_WRITE && get_disk_ro(disk))
		return -EROFS;
	return 0;
}

/*
 * The last one to close waits for this, and for the final fput() of the backing
 * file, which runs as task work when the block layer's locks are released. No
 * I/O is under way: whoever sends some has the device open.
 */
static void blkfd_device_release(struct gendisk *disk)
{
	struct blkfd_device *dev = disk->private_data;

	lockdep_assert_held(&disk->open_mutex);
	if (disk_openers(disk) || !dev->published)
		return;
	dev->dying = true;
	mutex_lock(&dev->lock);
	fput(dev->window.file);
	dev->window.file = NULL;
	mutex_unlock(&dev->lock);
	queue_work(blkfd_device_reaper, &dev->reap);
}

/* Takes milliseconds, most of them waiting for RCU: nobody should have to. */
static void blkfd_device_reap(struct work_struct *work)
{
	struct blkfd_device *dev = container_of(work, struct blkfd_device,
						reap);

	del_gendisk(dev->disk);
	/* Not when the disk is freed, which may be in any context. */
	blkfd_io_exit_device(dev);
	put_disk(dev->disk);
}

static void blkfd_device_free(struct blkfd_device *dev)
{
	put_pid(dev->creator_pid);
	put_cred(dev->creator);
	mutex_destroy(&dev->lock);
	kfree(dev);
}

/* With the last reference to the disk; its number is free from here on. */
static void blkfd_device_free_disk(struct gendisk *disk)
{
	u32 minor = disk->first_minor;

	blkfd_device_free(disk->private_data);
	xa_erase(&blkfd_device_minors, minor);
	wake_up(&blkfd_device_gone);
}

const struct block_device_operations blkfd_device_ops = {
	.owner		= THIS_MODULE,
	.submit_bio	= blkfd_io_submit,
	.open		= blkfd_device_open,
	.release	= blkfd_device_release,
	.ioctl		= blkfd_ioctl_device,
	.compat_ioctl	= blkdev_compat_ptr_ioctl,
	.free_disk	= blkfd_device_free_disk,
};

static struct blkfd_device *
blkfd_device_alloc(const struct blkfd_window *window)
{
	struct blkfd_device *dev;
	int ret;

	dev = kzalloc_obj(*dev, GFP_KERNEL_ACCOUNT);
	if (!dev)
		return ERR_PTR(-ENOMEM);
	dev->id = atomic64_inc_return(&blkfd_device_last_id);
	dev->window = *window;
	ret = blkfd_io_init_device(dev);
	if (ret) {
		kfree(dev);
		return ERR_PTR(ret);
	}
	dev->creator = get_current_cred();
	dev->creator_pid = get_pid(task_tgid(current));
	mutex_init(&dev->lock);
	INIT_WORK(&dev->reap, blkfd_device_reap);
	return dev;
}

static void blkfd_device_dress_disk(struct blkfd_device *dev, u32 minor)
{
	struct gendisk *disk = dev->disk;

	disk->major = blkfd_device_major;
	disk->first_minor = minor;
	disk->minors = 1;
	disk->flags |= GENHD_FL_NO_PART;
	disk->fops = &blkfd_device_ops;
	disk->private_data = dev;
	snprintf(disk->disk_name, DISK_NAME_LEN, "blkfd%llu", dev->id);
	disk_to_dev(disk)->type = &blkfd_device_type;
	set_capacity(disk, dev->window.length >> SECTOR_SHIFT);
	set_disk_ro(disk, dev->window.flags & BLKFD_F_RDONLY);
}

/* On success the disk is live and owns the device. */
static int blkfd_device_add_disk(struct blkfd_device *dev)
{
	struct queue_limits lim = {};
	u32 minor;
	int ret;

	blkfd_backing_limits(&dev->window, &lim);
	dev->disk = blk_alloc_disk(&lim, NUMA_NO_NODE);
	if (IS_ERR(dev->disk))
		return PTR_ERR(dev->disk);
	ret = xa_alloc_cyclic(&blkfd_device_minors, &minor, dev,
			      XA_LIMIT(0, MINORMASK), &blkfd_device_next_minor,
			      GFP_KERNEL);
	if (ret < 0) {
		ret = ret == -EBUSY ? -ENOSPC : ret;
		goto out_put_disk;
	}
	blkfd_device_dress_disk(dev, minor);
	ret = device_add_disk(NULL, dev->disk, blkfd_info_groups);
	/* Without memory for the name it says that there is no name. */
	if (ret && !dev_name(disk_to_dev(dev->disk)))
		ret = -ENOMEM;
	if (ret)
		goto out_free_minor;
	return 0;

out_free_minor:
	xa_erase(&blkfd_device_minors, minor);
out_put_disk:
	put_disk(dev->disk);
	return ret;
}

/*
 * From here on the last one to close it ends it, or this, if nobody has it open
 * now: the disk must not go before its mutex is free.
 */
static void blkfd_device_publish(struct blkfd_device *dev)
{
	struct gendisk *disk = dev->disk;

	get_device(disk_to_dev(disk));
	mutex_lock(&disk->open_mutex);
	dev->published = true;
	blkfd_device_release(disk);
	mutex_unlock(&disk->open_mutex);
	put_disk(disk);
}

/**
 * blkfd_device_create - make a device
 * @window: What it shows, its file open for the device; a reference is taken.
 *
 * Returns: the only file that refers to it, or an ERR_PTR. The device is gone
 * with the last such reference.
 */
struct file *blkfd_device_create(const struct blkfd_window *window)
{
	struct blkfd_device *dev;
	struct file *file;
	int ret;

	dev = blkfd_device_alloc(window);
	if (IS_ERR(dev))
		return ERR_CAST(dev);
	ret = blkfd_device_add_disk(dev);
	if (ret) {
		blkfd_io_exit_device(dev);
		blkfd_device_free(dev);
		return ERR_PTR(ret);
	}
	/* The disk owns the device from here, and that the backing file. */
	get_file(dev->window.file);
	file = blkfd_inode_open(dev);
	blkfd_device_publish(dev);
	return file;
}

/* Where the device ends within a page, the rest of the page is no data. */
static void blkfd_device_drop_edge(struct block_device *bdev, u64 end)
{
	struct address_space *mapping = bdev->bd_mapping;
	pgoff_t index = end >> PAGE_SHIFT;

	filemap_write_and_wait_range(mapping, round_down(end, PAGE_SIZE), end);
	invalidate_inode_pages2_range(mapping, index, index);
}

/*
 * What is cached beyond the end must not come back when the device grows. A
 * file system may have taken hold of buffers there, and must be left those: as
 * in truncate_bdev_range().
 */
static void blkfd_device_drop_tail(struct block_device *bdev, u64 end)
{
	u64 start = round_up(end, PAGE_SIZE);
	void *holder = blkfd_device_drop_tail;

	if (bd_prepare_to_claim(bdev, holder, NULL)) {
		invalidate_inode_pages2_range(bdev->bd_mapping,
					      start >> PAGE_SHIFT, -1);
		return;
	}
	truncate_pagecache(bdev->bd_mapping->host, start);
	bd_abort_claiming(bdev, holder);
}

static int blkfd_device_set_length(struct blkfd_device *dev, u64 length)
{
	struct block_device *bdev = dev->disk->part0;
	u64 before = bdev_nr_bytes(bdev);
	int ret;

	lockdep_assert_held(&dev->lock);
	if (length < before) {
		ret = sync_blockdev(bdev);
		if (ret)
			return ret;
	}
	set_capacity(dev->disk, length >> SECTOR_SHIFT);
	blkfd_device_drop_edge(bdev, min(before, length));
	if (length < before)
		blkfd_device_drop_tail(bdev, length);
	return 0;
}

/**
 * blkfd_device_resize - change the size of an open device
 * @dev: The device.
 * @length: New length in bytes; 0: to the end of the file.
 *
 * Returns: 0, or an errno as struct blkfd_resize lists them.
 */
int blkfd_device_resize(struct blkfd_device *dev, u64 length)
{
	int ret;

	mutex_lock(&dev->lock);
	ret = blkfd_backing_length(&dev->window, length, &length);
	if (!ret)
		ret = blkfd_device_set_length(dev, length);
	mutex_unlock(&dev->lock);
	return ret;
}

/*
 * The block layer knows its disks by their device type where it lists them or
 * tells user space of them. Ours have a type of their own, otherwise the same.
 */
static int blkfd_device_init_type(void)
{
	struct gendisk *disk;

	disk = blk_alloc_disk(NULL, NUMA_NO_NODE);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	blkfd_device_type = *disk_to_dev(disk)->type;
	blkfd_device_type.devnode = blkfd_device_devnode;
	blkfd_device_type.uevent = blkfd_device_uevent;
	put_disk(disk);
	return 0;
}

int blkfd_device_init(void)
{
	int ret;

	ret = blkfd_device_init_type();
	if (ret)
		return ret;
	blkfd_device_reaper = alloc_workqueue("blkfd_reap", WQ_UNBOUND, 0);
	if (!blkfd_device_reaper)
		return -ENOMEM;
	blkfd_device_major = __register_blkdev(0, "blkfd", blkfd_device_probe);
	if (blkfd_device_major < 0) {
		destroy_workqueue(blkfd_device_reaper);
		return blkfd_device_major;
	}
	return 0;
}

/* Nothing holds a device any more; husks may still be on their way out. */
void blkfd_device_exit(void)
{
	wait_event(blkfd_device_gone, xa_empty(&blkfd_device_minors));
	unregister_blkdev(blkfd_device_major, "blkfd");
	destroy_workqueue(blkfd_device_reaper);
	xa_destroy(&blkfd_device_minors);
}
