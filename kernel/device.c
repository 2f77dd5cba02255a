// SPDX-License-Identifier: GPL-2.0
/*
 * Making, resizing and ending devices. See blkfd.h for who holds what.
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pid.h>
#include <linux/slab.h>

#include "blkfd.h"

/* How often a page that is dirtied again and again is written for a resize. */
#define BLKFD_GROW_TRIES 100

static int blkfd_device_open(struct gendisk *disk, blk_mode_t mode)
{
	struct blkfd_device *dev = disk->private_data;

	lockdep_assert_held(&disk->open_mutex);
	if (!dev || dev->dying)
		return -ENXIO;
	if (mode & BLK_OPEN_WRITE && get_disk_ro(disk))
		return -EROFS;
	return 0;
}

/*
 * Closing the device writes what is dirty, and tells nobody of an error: whoever has the
 * file open is told by fsync() of that, which for an overlay's is one of the real file.
 * A disk's mapping is the file system's on it.
 */
static void blkfd_device_leave_loss(struct blkfd_device *dev)
{
	struct file *file = dev->window.file;

	if (S_ISREG(file_inode(file)->i_mode))
		filemap_set_wb_err(blkfd_backing_inode(file)->i_mapping,
				   xchg(&dev->write_error, 0));
}

/*
 * The last one to close waits for this, and for the final fput() of the backing
 * file, which runs as task work when the block layer's locks are released. No I/O
 * is under way: whoever sends some has the device open.
 */
static void blkfd_device_release(struct gendisk *disk)
{
	struct blkfd_device *dev = disk->private_data;

	lockdep_assert_held(&disk->open_mutex);
	if (disk_openers(disk) || !dev->published)
		return;
	dev->dying = true;
	mutex_lock(&dev->lock);
	blkfd_device_leave_loss(dev);
	fput(dev->window.file);
	dev->window.file = NULL;
	mutex_unlock(&dev->lock);
	blkfd_limits_bury(dev);
}

/* Takes milliseconds, most of them waiting for RCU: nobody should have to. */
static void blkfd_device_reap(struct work_struct *work)
{
	struct blkfd_device *dev = container_of(work, struct blkfd_device,
						reap);

	del_gendisk(dev->disk);
	/* Not when the disk is freed, which may be in any context. */
	blkfd_io_exit_device(dev);
	blkfd_limits_put_disk(dev);
}

static void blkfd_device_free_uncharged(struct blkfd_device *dev)
{
	blkfd_control_put(dev->control);
	put_pid(dev->creator_pid);
	put_cred(dev->creator);
	mutex_destroy(&dev->resize_lock);
	mutex_destroy(&dev->lock);
	kfree(dev);
}

static void blkfd_device_free(struct blkfd_device *dev)
{
	blkfd_limits_uncharge(dev);
	blkfd_device_free_uncharged(dev);
}

/* With the last reference to the disk; its number is free from here on. */
static void blkfd_device_free_disk(struct gendisk *disk)
{
	if (disk->private_data)
		blkfd_device_free(disk->private_data);
	blkfd_disk_free_number(disk);
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
blkfd_device_alloc(struct blkfd_control *control,
		   const struct blkfd_window *window)
{
	struct blkfd_device *dev;
	int ret;

	dev = kzalloc_obj(*dev, GFP_KERNEL_ACCOUNT);
	if (!dev)
		return ERR_PTR(-ENOMEM);
	dev->window = *window;
	dev->control = blkfd_control_get(control);
	dev->charged = window->length;
	dev->creator = get_current_cred();
	dev->creator_pid = get_pid(task_tgid(current));
	mutex_init(&dev->lock);
	mutex_init(&dev->resize_lock);
	INIT_WORK(&dev->reap, blkfd_device_reap);
	ret = blkfd_limits_charge(dev);
	if (ret) {
		blkfd_device_free_uncharged(dev);
		return ERR_PTR(ret);
	}
	return dev;
}

/* On success the disk owns the device, and can be opened. */
static int blkfd_device_dress_disk(struct blkfd_device *dev)
{
	struct gendisk *disk = dev->disk;
	struct queue_limits lim;
	int ret;

	lim = queue_limits_start_update(disk->queue);
	blkfd_backing_limits(&dev->window, &lim);
	ret = queue_limits_commit_update(disk->queue, &lim);
	if (ret)
		return ret;
	if (bdev_stable_writes(disk->part0))
		mapping_set_stable_writes(disk->part0->bd_mapping);
	set_capacity(disk, dev->window.length >> SECTOR_SHIFT);
	set_disk_ro(disk, dev->window.flags & BLKFD_F_RDONLY);
	mutex_lock(&disk->open_mutex);
	/* Pairs with that of sysfs, where nobody has the device open. */
	smp_store_release(&disk->private_data, dev);
	mutex_unlock(&disk->open_mutex);
	return 0;
}

static int blkfd_device_get_disk(struct blkfd_device *dev)
{
	struct gendisk *disk;
	int ret;

	disk = blkfd_disk_get(&dev->id, !blkfd_limits_has_backlog(dev));
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	dev->disk = disk;
	ret = blkfd_io_init_device(dev);
	if (ret)
		goto out_delete_disk;
	ret = blkfd_device_dress_disk(dev);
	if (ret)
		goto out_exit_io;
	return 0;

out_exit_io:
	blkfd_io_exit_device(dev);
out_delete_disk:
	del_gendisk(disk);
	put_disk(disk);
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
 * @control: Of the control file that it is made by.
 * @window: What it shows, its file open for the device; a reference is taken.
 *
 * Returns: the only file that refers to it, or an ERR_PTR. The device is gone
 * with the last such reference.
 */
struct file *blkfd_device_create(struct blkfd_control *control,
				 const struct blkfd_window *window)
{
	struct blkfd_device *dev;
	struct file *file;
	int ret;

	dev = blkfd_device_alloc(control, window);
	if (IS_ERR(dev))
		return ERR_CAST(dev);
	ret = blkfd_device_get_disk(dev);
	if (ret) {
		blkfd_device_free(dev);
		return ERR_PTR(ret);
	}
	/* The disk owns the device from here, and that the backing file. */
	get_file(dev->window.file);
	file = blkfd_inode_open(dev);
	blkfd_device_publish(dev);
	return file;
}

/* Where nobody reads or writes by way of the cache, or has a new page mapped. */
static int blkfd_device_lock_cache(struct block_device *bdev)
{
	if (down_write_killable(&bdev->bd_mapping->host->i_rwsem))
		return -EINTR;
	filemap_invalidate_lock(bdev->bd_mapping);
	return 0;
}

static void blkfd_device_unlock_cache(struct block_device *bdev)
{
	filemap_invalidate_unlock(bdev->bd_mapping);
	inode_unlock(bdev->bd_mapping->host);
}

/*
 * Where the device ends within a page, or block, the rest of that is no data: it is
 * written and dropped while it is still beyond the end, lest it be taken for some.
 * Somebody may make it dirty by a mapping meanwhile.
 */
static int blkfd_device_try_grow(struct blkfd_device *dev, u64 before, u64 length)
{
	struct block_device *bdev = dev->disk->part0;
	pgoff_t index = before >> PAGE_SHIFT;
	int ret;

	ret = filemap_write_and_wait_range(bdev->bd_mapping,
					   round_down(before, PAGE_SIZE), before);
	if (ret)
		return ret;
	ret = blkfd_device_lock_cache(bdev);
	if (ret)
		return ret;
	ret = invalidate_inode_pages2_range(bdev->bd_mapping, index, index);
	if (!ret)
		set_capacity(dev->disk, length >> SECTOR_SHIFT);
	blkfd_device_unlock_cache(bdev);
	return ret;
}

static int blkfd_device_grow(struct blkfd_device *dev, u64 before, u64 length)
{
	int tries = BLKFD_GROW_TRIES, ret;

	do
		ret = blkfd_device_try_grow(dev, before, length);
	while (ret == -EBUSY && --tries);
	return ret;
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

static int blkfd_device_shrink(struct blkfd_device *dev, u64 length)
{
	struct block_device *bdev = dev->disk->part0;
	int ret;

	ret = sync_blockdev(bdev);
	if (ret)
		return ret;
	ret = blkfd_device_lock_cache(bdev);
	if (ret)
		return ret;
	set_capacity(dev->disk, length >> SECTOR_SHIFT);
	blkfd_device_drop_tail(bdev, length);
	blkfd_device_unlock_cache(bdev);
	return 0;
}

static int blkfd_device_change_length(struct blkfd_device *dev, u64 length)
{
	u64 before = bdev_nr_bytes(dev->disk->part0);

	lockdep_assert_held(&dev->resize_lock);
	if (length > before)
		return blkfd_device_grow(dev, before, length);
	if (length < before)
		return blkfd_device_shrink(dev, length);
	return 0;
}

/*
 * The larger size counts until it is sure that the smaller one will do. Returns: 0 or
 * an errno; with @husks set, there are only those in the way.
 */
static int blkfd_device_set_length(struct blkfd_device *dev, u64 length,
				   bool *husks)
{
	u64 most = max(dev->charged, length), now;
	int ret;

	lockdep_assert_held(&dev->resize_lock);
	ret = blkfd_control_recharge(dev->control, dev->charged, most);
	*husks = ret == -EAGAIN;
	if (ret)
		return ret;
	ret = blkfd_device_change_length(dev, length);
	now = bdev_nr_bytes(dev->disk->part0);
	blkfd_control_recharge(dev->control, most, now);
	dev->charged = now;
	return ret;
}

static int blkfd_device_try_resize(struct blkfd_device *dev, u64 length,
				   bool *husks)
{
	int ret;

	*husks = false;
	if (mutex_lock_killable(&dev->resize_lock))
		return -EINTR;
	ret = blkfd_backing_length(&dev->window, length, &length);
	if (!ret)
		ret = blkfd_device_set_length(dev, length, husks);
	mutex_unlock(&dev->resize_lock);
	return ret;
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
	unsigned int now;
	bool husks;
	int ret;

	do {
		now = blkfd_limits_now();
		ret = blkfd_device_try_resize(dev, length, &husks);
	} while (husks && !(ret = blkfd_limits_wait(now)));
	return ret;
}
