// SPDX-License-Identifier: GPL-2.0
/*
 * Control files: /dev/blkfd, and the instances that BLKFD_NEW_INSTANCE makes, each
 * a share of what the one that it was made by may do. What counts against an
 * instance counts against all that are around it, up to /dev/blkfd.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/refcount.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "blkfd.h"

/* How deep instances may be made by each other. */
#define BLKFD_CONTROL_MAX_DEPTH	8

/* All powers of two that a block can have on any kernel. */
#define BLKFD_CONTROL_BLOCK_SIZES (2 * SZ_64K - SECTOR_SIZE)

/* No bound: two files can be larger than this together, and take no space. */
#define BLKFD_CONTROL_ANY_BYTES	U64_MAX

/**
 * struct blkfd_control - what a control file stands for
 * @refs: Of files, mounts, devices, and instances made by it.
 * @parent: What it was made by; NULL: this is /dev/blkfd.
 * @depth: How many there are around it.
 * @bounds: Never wider than those of @parent; what is output in it, under
 *	blkfd_control_lock.
 * @husks: Devices in @bounds that are on their way out; under blkfd_control_lock.
 * @husk_bytes: Of these.
 * @revoked: Makes nothing any more; under blkfd_control_lock.
 */
struct blkfd_control {
	refcount_t refs;
	struct blkfd_control *parent;
	unsigned int depth;
	struct blkfd_instance bounds;
	u32 husks;
	u64 husk_bytes;
	bool revoked;
};

static DEFINE_SPINLOCK(blkfd_control_lock);

static struct blkfd_control blkfd_control_main = {
	.refs	= REFCOUNT_INIT(1),
	.bounds = {
		.block_sizes	= BLKFD_CONTROL_BLOCK_SIZES,
		.max_devices	= MINORMASK + 1,
		.max_bytes	= BLKFD_CONTROL_ANY_BYTES,
	},
};

struct blkfd_control *blkfd_control_get(struct blkfd_control *control)
{
	refcount_inc(&control->refs);
	return control;
}

/* Nobody puts the last reference to that of /dev/blkfd. */
void blkfd_control_put(struct blkfd_control *control)
{
	struct blkfd_control *parent;

	for (; refcount_dec_and_test(&control->refs); control = parent) {
		parent = control->parent;
		kfree(control);
	}
}

/**
 * blkfd_control_check - whether a device is within what a control file may do
 * @control: The control file's.
 * @flags: BLKFD_F_* that were asked for.
 * @window: What the device is to show.
 *
 * Returns: 0 or -EPERM.
 */
int blkfd_control_check(const struct blkfd_control *control, u32 flags,
			const struct blkfd_window *window)
{
	const struct blkfd_instance *bounds = &control->bounds;

	if (flags & bounds->denied_flags ||
	    !(window->block_size & bounds->block_sizes))
		return -EPERM;
	if (bounds->flags & BLKFD_INSTANCE_RDONLY &&
	    !(window->flags & BLKFD_F_RDONLY))
		return -EPERM;
	return 0;
}

static bool blkfd_control_is_revoked(const struct blkfd_control *control)
{
	lockdep_assert_held(&blkfd_control_lock);
	for (; control; control = control->parent)
		if (control->revoked)
			return true;
	return false;
}

/* Whether there is room for more, beside what is there but for @husks: no sum, which could wrap. */
static bool blkfd_control_holds(const struct blkfd_instance *bounds,
				u32 husks, u64 husk_bytes, u32 devices,
				u64 bytes)
{
	u32 alive = bounds->devices - husks;
	u64 alive_bytes = bounds->bytes - husk_bytes;

	return devices <= bounds->max_devices - alive &&
	       (bounds->max_bytes == BLKFD_CONTROL_ANY_BYTES ||
		bytes <= bounds->max_bytes - alive_bytes);
}

/* Returns: 0, -EDQUOT, or -EAGAIN if there will be room once there are no husks. */
static int blkfd_control_check_room(const struct blkfd_control *control,
				    u32 devices, u64 bytes)
{
	int ret = 0;

	lockdep_assert_held(&blkfd_control_lock);
	for (; control; control = control->parent) {
		if (blkfd_control_holds(&control->bounds, 0, 0, devices, bytes))
			continue;
		if (!blkfd_control_holds(&control->bounds, control->husks,
					 control->husk_bytes, devices, bytes))
			return -EDQUOT;
		ret = -EAGAIN;
	}
	return ret;
}

static void blkfd_control_add(struct blkfd_control *control, u32 devices,
			      u64 bytes)
{
	lockdep_assert_held(&blkfd_control_lock);
	for (; control; control = control->parent) {
		control->bounds.devices += devices;
		control->bounds.bytes += bytes;
	}
}

/**
 * blkfd_control_charge - count a device that is to be made
 * @control: Of the control file.
 * @bytes: The size of the device.
 * @really: Otherwise only say what would come of it.
 *
 * Context: may be called under a spinlock.
 *
 * Returns: 0, -ESTALE if it was revoked, -EDQUOT, -EAGAIN if husks are in the way.
 */
int blkfd_control_charge(struct blkfd_control *control, u64 bytes, bool really)
{
	int ret;

	spin_lock(&blkfd_control_lock);
	if (blkfd_control_is_revoked(control))
		ret = -ESTALE;
	else
		ret = blkfd_control_check_room(control, 1, bytes);
	if (!ret && really)
		blkfd_control_add(control, 1, bytes);
	spin_unlock(&blkfd_control_lock);
	return ret;
}

/**
 * blkfd_control_add_husks - count devices as being on their way out, or not
 * @control: Of the control file they were made by.
 * @count: How many more of them are.
 * @bytes: The size of all of them, with the same sign.
 */
void blkfd_control_add_husks(struct blkfd_control *control, int count,
			     s64 bytes)
{
	spin_lock(&blkfd_control_lock);
	for (; control; control = control->parent) {
		control->husks += count;
		control->husk_bytes += bytes;
	}
	spin_unlock(&blkfd_control_lock);
}

/* The end of blkfd_control_charge(); bytes as of the last change. */
void blkfd_control_uncharge(struct blkfd_control *control, u64 bytes)
{
	spin_lock(&blkfd_control_lock);
	blkfd_control_add(control, -1, -bytes);
	spin_unlock(&blkfd_control_lock);
}

/**
 * blkfd_control_recharge - count a device whose size changes
 * @control: What it was made by.
 * @before: Its size in bytes.
 * @after: What that is to become.
 *
 * Returns: 0; if @after is more, also -EDQUOT or -EAGAIN, if husks are in the way.
 */
int blkfd_control_recharge(struct blkfd_control *control, u64 before,
			   u64 after)
{
	int ret = 0;

	spin_lock(&blkfd_control_lock);
	if (after > before)
		ret = blkfd_control_check_room(control, 0, after - before);
	if (!ret)
		blkfd_control_add(control, 0, after - before);
	spin_unlock(&blkfd_control_lock);
	return ret;
}

/**
 * blkfd_control_fill - bounds, and what counts towards them
 * @control: Of the control file.
 * @instance: Filled in whole.
 */
void blkfd_control_fill(const struct blkfd_control *control,
			struct blkfd_instance *instance)
{
	spin_lock(&blkfd_control_lock);
	*instance = control->bounds;
	if (blkfd_control_is_revoked(control))
		instance->flags |= BLKFD_INSTANCE_REVOKED;
	spin_unlock(&blkfd_control_lock);
}

/* What is not asked for is as it is for the parent. */
static int blkfd_control_bound(const struct blkfd_control *parent,
			       const struct blkfd_instance *asked,
			       struct blkfd_instance *bounds)
{
	const struct blkfd_instance *around = &parent->bounds;

	if (asked->flags & ~BLKFD_INSTANCE_RDONLY ||
	    asked->denied_flags & ~BLKFD_FLAGS ||
	    asked->block_sizes & ~BLKFD_CONTROL_BLOCK_SIZES ||
	    asked->devices || asked->bytes || asked->zero)
		return -EINVAL;
	if (asked->block_sizes & ~around->block_sizes ||
	    asked->max_devices > around->max_devices ||
	    asked->max_bytes > around->max_bytes)
		return -EPERM;
	*bounds = (struct blkfd_instance) {
		.flags		= asked->flags | around->flags,
		.denied_flags	= asked->denied_flags | around->denied_flags,
		.block_sizes	= asked->block_sizes ?: around->block_sizes,
		.max_devices	= asked->max_devices ?: around->max_devices,
		.max_bytes	= asked->max_bytes ?: around->max_bytes,
	};
	return 0;
}

static int blkfd_control_check_parent(const struct blkfd_control *parent)
{
	int ret = 0;

	if (parent->depth >= BLKFD_CONTROL_MAX_DEPTH)
		return -ELOOP;
	spin_lock(&blkfd_control_lock);
	if (blkfd_control_is_revoked(parent))
		ret = -ESTALE;
	spin_unlock(&blkfd_control_lock);
	return ret;
}

static struct blkfd_control *
blkfd_control_alloc(struct blkfd_control *parent,
		    const struct blkfd_instance *asked)
{
	struct blkfd_instance bounds;
	struct blkfd_control *control;
	int ret;

	ret = blkfd_control_bound(parent, asked, &bounds);
	if (!ret)
		ret = blkfd_control_check_parent(parent);
	if (ret)
		return ERR_PTR(ret);
	control = kzalloc_obj(*control, GFP_KERNEL_ACCOUNT);
	if (!control)
		return ERR_PTR(-ENOMEM);
	refcount_set(&control->refs, 1);
	control->parent = blkfd_control_get(parent);
	control->depth = parent->depth + 1;
	control->bounds = bounds;
	return control;
}

static long blkfd_control_ioctl_main(struct file *file, unsigned int cmd,
				     unsigned long arg)
{
	return blkfd_ioctl_control(&blkfd_control_main, cmd, arg);
}

const struct file_operations blkfd_control_main_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= blkfd_control_ioctl_main,
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

static long blkfd_control_ioctl(struct file *file, unsigned int cmd,
				unsigned long arg)
{
	return blkfd_ioctl_control(file->private_data, cmd, arg);
}

/* By the path of a mount, see controlfs.c. */
static int blkfd_control_open(struct inode *inode, struct file *file)
{
	file->private_data = blkfd_control_get(inode->i_private);
	return 0;
}

static int blkfd_control_release(struct inode *inode, struct file *file)
{
	blkfd_control_put(file->private_data);
	return 0;
}

const struct file_operations blkfd_control_fops = {
	.owner		= THIS_MODULE,
	.open		= blkfd_control_open,
	.release	= blkfd_control_release,
	.unlocked_ioctl	= blkfd_control_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
	/* Who opens a path to revoke the instance must not wait for its users. */
	.setlease	= BLKFD_NO_LEASES,
};

/**
 * blkfd_control_of - what an open file is a control file of
 * @file: Any file.
 *
 * Returns: without a reference of its own; NULL: it is no instance.
 */
struct blkfd_control *blkfd_control_of(struct file *file)
{
	return file->f_op == &blkfd_control_fops ? file->private_data : NULL;
}

/**
 * blkfd_control_create - make an instance
 * @parent: What it is a share of.
 * @asked: Its bounds.
 *
 * Returns: an open file, or an ERR_PTR as struct blkfd_instance says.
 */
struct file *blkfd_control_create(struct blkfd_control *parent,
				  const struct blkfd_instance *asked)
{
	struct blkfd_control *control;
	struct file *file;

	control = blkfd_control_alloc(parent, asked);
	if (IS_ERR(control))
		return ERR_CAST(control);
	file = anon_inode_getfile("[blkfd-instance]", &blkfd_control_fops,
				  control, O_RDWR);
	if (IS_ERR(file))
		blkfd_control_put(control);
	return file;
}

static bool blkfd_control_is_within(const struct blkfd_control *control,
				    const struct blkfd_control *around)
{
	while ((control = control->parent))
		if (control == around)
			return true;
	return false;
}

/**
 * blkfd_control_revoke - have an instance make nothing any more
 * @around: What it was made by, at first or second hand.
 * @file: The instance's.
 *
 * Returns: 0, -EINVAL if @file is no instance, -EPERM if it is not one of these.
 */
int blkfd_control_revoke(const struct blkfd_control *around, struct file *file)
{
	struct blkfd_control *control = blkfd_control_of(file);

	if (!control)
		return -EINVAL;
	if (!blkfd_control_is_within(control, around))
		return -EPERM;
	spin_lock(&blkfd_control_lock);
	control->revoked = true;
	spin_unlock(&blkfd_control_lock);
	return 0;
}
