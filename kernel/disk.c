// SPDX-License-Identifier: GPL-2.0
/*
 * Disks: gendisks with a name and a number, each for one device. To make one is
 * nearly all that a device costs, most of it for sysfs, so some are made ahead:
 * spares, of size 0 and hidden, in which no open finds a device.
 */
#include <linux/backing-dev.h>
#include <linux/blkdev.h>
#include <linux/kdev_t.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "blkfd.h"

#define BLKFD_DISK_MAX_SPARES	64

/* Not in the middle of what the spare was taken for. */
#define BLKFD_DISK_REFILL_DELAY	(HZ / 50)

/* A disk that is nobody's yet. */
struct blkfd_spare {
	struct list_head list;
	struct gendisk *disk;
	u64 id;
};

static int blkfd_disk_major;
static struct device_type blkfd_disk_type;
static const struct attribute_group *blkfd_disk_groups[4];

/* For what takes long, and nobody should wait for. */
struct workqueue_struct *blkfd_disk_queue;

static atomic64_t blkfd_disk_last_id = ATOMIC64_INIT(0);

/* Disks by minor number; a number rests until all others have been used. */
static DEFINE_XARRAY_ALLOC(blkfd_disk_minors);
static u32 blkfd_disk_next_minor;	/* lock of blkfd_disk_minors */

static DECLARE_WAIT_QUEUE_HEAD(blkfd_disk_gone);

static void blkfd_disk_refill(struct work_struct *work);

static DEFINE_SPINLOCK(blkfd_disk_lock);
static LIST_HEAD(blkfd_disk_spares);		/* blkfd_disk_lock */
static unsigned int blkfd_disk_spare_count;	/* blkfd_disk_lock */
static DECLARE_DELAYED_WORK(blkfd_disk_refill_work, blkfd_disk_refill);

static unsigned int blkfd_disk_spares_wanted = 4;

static int blkfd_disk_set_wanted(const char *text,
				 const struct kernel_param *param)
{
	int ret = param_set_uint_minmax(text, param, 0, BLKFD_DISK_MAX_SPARES);

	/*
	 * Not there yet while the module is being loaded. When it is unloaded
	 * the work is disabled before the queue goes.
	 */
	if (!ret && READ_ONCE(blkfd_disk_queue))
		mod_delayed_work(blkfd_disk_queue, &blkfd_disk_refill_work, 0);
	return ret;
}

static const struct kernel_param_ops blkfd_disk_wanted_ops = {
	.set	= blkfd_disk_set_wanted,
	.get	= param_get_uint,
};

module_param_cb(spares, &blkfd_disk_wanted_ops, &blkfd_disk_spares_wanted,
		0644);
MODULE_PARM_DESC(spares, "disks made ahead of need (0 to 64, default: 4)");

/* devtmpfs can make nothing of ".", and says nothing about it. */
static char *blkfd_disk_devnode(const struct device *dev, umode_t *mode,
				kuid_t *uid, kgid_t *gid)
{
	return kstrdup(".", GFP_KERNEL | __GFP_NOFAIL);
}

/* An error here keeps the event from being sent. */
static int blkfd_disk_uevent(const struct device *dev,
			     struct kobj_uevent_env *env)
{
	return -ENODEV;
}

/*
 * A stale inode names our major and a number that is nobody's: have the block
 * layer find nothing there, and not start modprobe over it.
 */
static void blkfd_disk_probe(dev_t dev)
{
}

static int blkfd_disk_register(struct gendisk *disk, u64 id)
{
	u32 minor;
	int ret;

	ret = xa_alloc_cyclic(&blkfd_disk_minors, &minor, disk,
			      XA_LIMIT(0, MINORMASK), &blkfd_disk_next_minor,
			      GFP_KERNEL);
	if (ret < 0)
		return ret == -EBUSY ? -ENOSPC : ret;
	disk->major = blkfd_disk_major;
	disk->first_minor = minor;
	disk->minors = 1;
	disk->flags |= GENHD_FL_NO_PART;
	disk->fops = &blkfd_device_ops;
	snprintf(disk->disk_name, DISK_NAME_LEN, "blkfd%llu", id);
	disk_to_dev(disk)->type = &blkfd_disk_type;
	device_set_pm_not_required(disk_to_dev(disk));
	ret = device_add_disk(NULL, disk, blkfd_info_groups);
	/* Without memory for the name it says that there is no name. */
	if (ret && !dev_name(disk_to_dev(disk)))
		ret = -ENOMEM;
	if (ret) {
		xa_erase(&blkfd_disk_minors, minor);
		return ret;
	}
	/*
	 * The event of its being added has been sent, which nothing could prevent.
	 * That of its removal is work for udevd that nobody asks for.
	 */
	dev_set_uevent_suppress(disk->bdi->dev, true);
	return 0;
}

/* Returns: a live disk without a device. */
static struct gendisk *blkfd_disk_make(u64 *id)
{
	struct gendisk *disk;
	int ret;

	disk = blk_alloc_disk(NULL, NUMA_NO_NODE);
	if (IS_ERR(disk))
		return disk;
	*id = atomic64_inc_return(&blkfd_disk_last_id);
	ret = blkfd_disk_register(disk, *id);
	if (ret) {
		put_disk(disk);
		return ERR_PTR(ret);
	}
	return disk;
}

/* To be used or deleted: del_gendisk() wants to see it as it was added, too. */
static struct blkfd_spare *blkfd_disk_take_spare(void)
{
	struct blkfd_spare *spare;

	spin_lock(&blkfd_disk_lock);
	spare = list_first_entry_or_null(&blkfd_disk_spares, struct blkfd_spare,
					 list);
	if (spare) {
		list_del(&spare->list);
		blkfd_disk_spare_count--;
		spare->disk->flags &= ~GENHD_FL_HIDDEN;
	}
	spin_unlock(&blkfd_disk_lock);
	return spare;
}

/**
 * blkfd_disk_get - a disk for a new device
 * @id: Set to its number, the N of blkfdN.
 * @made_ahead: It may be a spare, to be replaced on the kernel's time, not the caller's.
 *
 * Returns: a live disk of size 0 without private_data, to be given back by
 * del_gendisk() and put_disk(), or an ERR_PTR.
 */
struct gendisk *blkfd_disk_get(u64 *id, bool made_ahead)
{
	struct blkfd_spare *spare;
	struct gendisk *disk;

	if (!made_ahead)
		return blkfd_disk_make(id);
	spare = blkfd_disk_take_spare();
	queue_delayed_work(blkfd_disk_queue, &blkfd_disk_refill_work,
			   BLKFD_DISK_REFILL_DELAY);
	if (!spare)
		return blkfd_disk_make(id);
	disk = spare->disk;
	*id = spare->id;
	kfree(spare);
	return disk;
}

/**
 * blkfd_disk_free_number - let another disk have the number of one that is freed
 * @disk: What the block layer frees.
 */
void blkfd_disk_free_number(struct gendisk *disk)
{
	xa_lock(&blkfd_disk_minors);
	__xa_erase(&blkfd_disk_minors, disk->first_minor);
	wake_up(&blkfd_disk_gone);
	xa_unlock(&blkfd_disk_minors);
}

static void blkfd_disk_discard(struct blkfd_spare *spare)
{
	del_gendisk(spare->disk);
	put_disk(spare->disk);
	kfree(spare);
}

static bool blkfd_disk_add_spare(void)
{
	struct blkfd_spare *spare = kmalloc_obj(*spare, GFP_KERNEL);

	if (!spare)
		return false;
	spare->disk = blkfd_disk_make(&spare->id);
	if (IS_ERR(spare->disk)) {
		kfree(spare);
		return false;
	}
	spin_lock(&blkfd_disk_lock);
	/* So that who looks through sysfs for disks, as lsblk does, skips it. */
	spare->disk->flags |= GENHD_FL_HIDDEN;
	list_add_tail(&spare->list, &blkfd_disk_spares);
	blkfd_disk_spare_count++;
	spin_unlock(&blkfd_disk_lock);
	return true;
}

/*
 * No more than are missing now, however many are taken meanwhile: others wait for
 * this queue. Without memory for a spare there is none; the next device asks again.
 */
static void blkfd_disk_refill(struct work_struct *work)
{
	int missing = READ_ONCE(blkfd_disk_spares_wanted) -
		      READ_ONCE(blkfd_disk_spare_count);
	struct blkfd_spare *spare;

	for (; missing > 0 && blkfd_disk_add_spare(); missing--)
		cond_resched();
	for (; missing < 0 && (spare = blkfd_disk_take_spare()); missing++)
		blkfd_disk_discard(spare);
}

/* A NULL ends the list. */
static void blkfd_disk_init_groups(void)
{
	const struct attribute_group **from = blkfd_disk_type.groups;
	const struct attribute_group **to = blkfd_disk_groups;

	for (; *from && to < &blkfd_disk_groups[3]; from++)
		if (!(*from)->name)
			*to++ = *from;
	blkfd_disk_type.groups = blkfd_disk_groups;
}

/*
 * The block layer knows its disks by their device type where it lists them or
 * tells user space of them. Ours have a type of their own, otherwise the same, but
 * for groups of attributes with a name: those for tracing, which has an ioctl, and
 * for integrity data, which no file has. They would take 2 KiB for each disk.
 */
static int blkfd_disk_init_type(void)
{
	struct gendisk *disk;

	disk = blk_alloc_disk(NULL, NUMA_NO_NODE);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	blkfd_disk_type = *disk_to_dev(disk)->type;
	blkfd_disk_type.devnode = blkfd_disk_devnode;
	blkfd_disk_type.uevent = blkfd_disk_uevent;
	blkfd_disk_init_groups();
	put_disk(disk);
	return 0;
}

int blkfd_disk_init(void)
{
	struct workqueue_struct *queue;
	int ret;

	ret = blkfd_disk_init_type();
	if (ret)
		return ret;
	queue = alloc_workqueue("blkfd_disks", WQ_UNBOUND, 0);
	if (!queue)
		return -ENOMEM;
	blkfd_disk_major = __register_blkdev(0, "blkfd", blkfd_disk_probe);
	if (blkfd_disk_major < 0) {
		destroy_workqueue(queue);
		return blkfd_disk_major;
	}
	WRITE_ONCE(blkfd_disk_queue, queue);
	queue_delayed_work(queue, &blkfd_disk_refill_work, 0);
	return 0;
}

/* Nothing holds a device any more; husks may still be on their way out. */
void blkfd_disk_exit(void)
{
	struct blkfd_spare *spare;

	disable_delayed_work_sync(&blkfd_disk_refill_work);
	while ((spare = blkfd_disk_take_spare()))
		blkfd_disk_discard(spare);
	wait_event(blkfd_disk_gone, xa_empty(&blkfd_disk_minors));
	/* Whoever freed the last number is done with the wait queue. */
	xa_lock(&blkfd_disk_minors);
	xa_unlock(&blkfd_disk_minors);
	unregister_blkdev(blkfd_disk_major, "blkfd");
	destroy_workqueue(blkfd_disk_queue);
	xa_destroy(&blkfd_disk_minors);
}
