// SPDX-License-Identifier: GPL-2.0
/*
 * Inodes that a device can be opened by: block special files of a file system
 * that is mounted nowhere. Each holds its gendisk, so the device number that
 * it names cannot become another device's. Open files hold the file system, and its
 * superblock the module.
 */
#include <linux/blkdev.h>
#include <linux/blktrace_api.h>
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pseudo_fs.h>
#include <linux/uaccess.h>

#include "blkfd.h"

#define BLKFD_INODE_MAGIC	0x426c6b66	/* "Blkf" */

/* BLKTRACESETUP2, which 6.12 does not know. */
#define BLKFD_BLKTRACESETUP2_NR	142

static struct vfsmount *blkfd_inode_mnt;
static int blkfd_inode_count;

/* The block layer's for special files, which it does not export, and ours. */
static const struct file_operations *blkfd_inode_block_fops __ro_after_init;
static struct file_operations blkfd_inode_fops __ro_after_init;

static void blkfd_inode_evict(struct inode *inode)
{
	struct blkfd_device *dev = inode->i_private;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (dev)
		put_disk(dev->disk);
}

/* Not a path, so that nobody who looks at the link takes it for one. */
static char *blkfd_inode_dname(struct dentry *dentry, char *buffer, int buflen)
{
	struct blkfd_device *dev = d_inode(dentry)->i_private;
	char name[32];
	int size;

	size = scnprintf(name, sizeof(name), "blkfd:[%llu]", dev->id) + 1;
	if (size > buflen)
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(buffer + buflen - size, name, size);
}

static const struct super_operations blkfd_inode_super_ops = {
	.statfs		= simple_statfs,
	.evict_inode	= blkfd_inode_evict,
};

static const struct dentry_operations blkfd_inode_dentry_ops = {
	.d_dname	= blkfd_inode_dname,
};

static int blkfd_inode_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx;

	ctx = init_pseudo(fc, BLKFD_INODE_MAGIC);
	if (!ctx)
		return -ENOMEM;
	ctx->ops = &blkfd_inode_super_ops;
	ctx->dops = &blkfd_inode_dentry_ops;
	/* Opening devices by /proc/self/fd is what these inodes are for. */
	fc->s_iflags &= ~SB_I_NODEV;
	return 0;
}

/*
 * As the block layer's BLKBSZSET: not while somebody else has claimed the device. Blocks
 * larger than a page, which not all kernels take, need larger pages in the cache: who
 * faults or splices meanwhile may bring in one of the size before, with not a block in
 * it. That is root's to risk.
 */
static int blkfd_inode_set_blocksize(struct file *file, int __user *argp)
{
	struct file *claim;
	int size, ret;

	if (get_user(size, argp))
		return -EFAULT;
	if (size > (int)PAGE_SIZE && size != i_blocksize(file->f_mapping->host))
		return -EACCES;
	if (file->private_data)		/* opened with O_EXCL */
		return set_blocksize(file, size);
	claim = bdev_file_open_by_dev(file_inode(file)->i_rdev,
				      BLK_OPEN_READ | BLK_OPEN_WRITE, &claim,
				      NULL);
	if (IS_ERR(claim))
		return -EBUSY;
	ret = set_blocksize(claim, size);
	bdev_fput(claim);
	return ret;
}

static int blkfd_inode_flush_cache(struct file *file)
{
	struct block_device *bdev = I_BDEV(file->f_mapping->host);
	int ret;

	ret = sync_blockdev(bdev);
	invalidate_bdev(bdev);
	return ret;
}

/*
 * What the block layer wants an administrator for, and mkfs.xfs and xfs_repair
 * cannot do without. It concerns how the device is cached, which is for anybody to
 * say who may write it: there is nobody else's data on it.
 */
static int blkfd_inode_ioctl_of_writer(struct file *file, unsigned int cmd,
				       void __user *argp)
{
	if (!(file->f_mode & FMODE_WRITE))
		return -EACCES;
	switch (cmd) {
	case BLKBSZSET:
		return blkfd_inode_set_blocksize(file, argp);
	case BLKFLSBUF:
		return blkfd_inode_flush_cache(file);
	default:
		return -EACCES;
	}
}

/*
 * The block layer lets whoever opened a device trace it, into buffers as large as they
 * like that are charged to nobody: it takes them for the administrator.
 */
static bool blkfd_inode_is_refused(unsigned int cmd)
{
	if (_IOC_TYPE(cmd) != _IOC_TYPE(BLKTRACESETUP))
		return false;
	switch (_IOC_NR(cmd)) {
	case _IOC_NR(BLKTRACESETUP):
	case _IOC_NR(BLKTRACESTART):
	case _IOC_NR(BLKTRACESTOP):
	case _IOC_NR(BLKTRACETEARDOWN):
	case BLKFD_BLKTRACESETUP2_NR:
		return !capable(CAP_SYS_ADMIN);
	default:
		return false;
	}
}

static long blkfd_inode_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	long ret;

	if (blkfd_inode_is_refused(cmd))
		return -EPERM;
	ret = blkfd_inode_block_fops->unlocked_ioctl(file, cmd, arg);
	if (ret != -EACCES)
		return ret;
	return blkfd_inode_ioctl_of_writer(file, cmd, (void __user *)arg);
}

#define BLKFD_BLKBSZSET_32	_IOW(0x12, 113, int)

static long blkfd_inode_compat_ioctl(struct file *file, unsigned int cmd,
				     unsigned long arg)
{
	long ret;

	if (blkfd_inode_is_refused(cmd))
		return -EPERM;
	ret = blkfd_inode_block_fops->compat_ioctl(file, cmd, arg);
	if (ret != -EACCES)
		return ret;
	if (cmd == BLKFD_BLKBSZSET_32)
		cmd = BLKBSZSET;
	return blkfd_inode_ioctl_of_writer(file, cmd, compat_ptr(arg));
}

/*
 * Tells of what blkfd_io_note_loss() has noted. That is told once, to one of those who
 * may write the device: who may not, and is told as often as he asks, is not to keep it
 * from them.
 */
static int blkfd_inode_fsync(struct file *file, loff_t start, loff_t end,
			     int datasync)
{
	struct blkfd_device *dev = file_inode(file)->i_private;
	int ret, lost;

	ret = blkfd_inode_block_fops->fsync(file, start, end, datasync);
	/* The flush that has just failed is one of those noted, too. */
	if (ret)
		ret = file_check_and_advance_wb_err(file) ?: ret;
	lost = file->f_mode & FMODE_WRITE ? xchg(&dev->write_error, 0) :
					    READ_ONCE(dev->write_error);
	return ret ?: lost;
}

static struct file_system_type blkfd_inode_fs = {
	.owner			= THIS_MODULE,
	.name			= "blkfd",
	.init_fs_context	= blkfd_inode_init_fs_context,
	.kill_sb		= kill_anon_super,
};

static int blkfd_inode_pin_fs(void)
{
	return simple_pin_fs(&blkfd_inode_fs, &blkfd_inode_mnt,
			     &blkfd_inode_count);
}

static void blkfd_inode_release_fs(void)
{
	simple_release_fs(&blkfd_inode_mnt, &blkfd_inode_count);
}

/*
 * Not an inode keeps the mount for new ones, since a watch may be the last to hold that,
 * and the end of the file system waits for the watch. Nor does a device: a mount like
 * this ends at once, under the locks of whoever puts it. A file has it in its path as
 * well, until it is closed.
 */
static int blkfd_inode_file_open(struct inode *inode, struct file *file)
{
	int ret;

	ret = blkfd_inode_pin_fs();
	if (ret)
		return ret;
	ret = blkfd_inode_block_fops->open(inode, file);
	if (ret)
		blkfd_inode_release_fs();
	return ret;
}

static int blkfd_inode_file_release(struct inode *inode, struct file *file)
{
	int ret = blkfd_inode_block_fops->release(inode, file);

	blkfd_inode_release_fs();
	return ret;
}

/**
 * blkfd_inode_init - learn the block layer's file operations, and make our own of them
 *
 * Returns: 0 or a negative errno.
 */
int __init blkfd_inode_init(void)
{
	struct inode *inode;
	int ret;

	ret = blkfd_inode_pin_fs();
	if (ret)
		return ret;
	inode = new_inode(blkfd_inode_mnt->mnt_sb);
	if (inode) {
		init_special_inode(inode, S_IFBLK, 0);
		blkfd_inode_block_fops = inode->i_fop;
		blkfd_inode_fops = *inode->i_fop;
		blkfd_inode_fops.owner = THIS_MODULE;
		blkfd_inode_fops.open = blkfd_inode_file_open;
		blkfd_inode_fops.release = blkfd_inode_file_release;
		blkfd_inode_fops.fsync = blkfd_inode_fsync;
		blkfd_inode_fops.unlocked_ioctl = blkfd_inode_ioctl;
		blkfd_inode_fops.compat_ioctl = blkfd_inode_compat_ioctl;
		iput(inode);
	}
	blkfd_inode_release_fs();
	return inode ? 0 : -ENOMEM;
}

/* Takes a reference to the disk. */
static struct inode *blkfd_inode_alloc(struct blkfd_device *dev)
{
	struct inode *inode;

	inode = new_inode(blkfd_inode_mnt->mnt_sb);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	get_device(disk_to_dev(dev->disk));
	inode->i_private = dev;
	inode->i_ino = dev->id + 1;	/* 1 is the root */
	inode->i_uid = current_fsuid();
	inode->i_gid = current_fsgid();
	simple_inode_init_ts(inode);
	/* Of no use to anybody who has no name to find it by. */
	inode->i_flags |= S_NOATIME | S_NOCMTIME;
	init_special_inode(inode, S_IFBLK | 0600, disk_devt(dev->disk));
	inode->i_fop = &blkfd_inode_fops;
	return inode;
}

static struct file *blkfd_inode_open_new(struct blkfd_device *dev)
{
	bool rdonly = dev->window.flags & BLKFD_F_RDONLY;
	struct inode *inode;
	struct file *file;
	struct path path;

	inode = blkfd_inode_alloc(dev);
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	path.mnt = mntget(blkfd_inode_mnt);
	path.dentry = d_obtain_alias(inode);	/* takes the inode over */
	if (IS_ERR(path.dentry)) {
		mntput(path.mnt);
		return ERR_CAST(path.dentry);
	}
	file = dentry_open(&path, rdonly ? O_RDONLY : O_RDWR, current_cred());
	path_put(&path);
	return file;
}

/**
 * blkfd_inode_open - open a device by a new inode
 * @dev: The device; its disk is live.
 *
 * Returns: the open file, the only reference to the inode, or an ERR_PTR.
 */
struct file *blkfd_inode_open(struct blkfd_device *dev)
{
	struct file *file;
	int ret;

	ret = blkfd_inode_pin_fs();
	if (ret)
		return ERR_PTR(ret);
	file = blkfd_inode_open_new(dev);
	blkfd_inode_release_fs();
	return file;
}
