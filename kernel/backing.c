// SPDX-License-Identifier: GPL-2.0
/*
 * What a file must be to back a device, and what a device over it can do.
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/magic.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/stat.h>
#include <linux/swap.h>
#include <linux/uidgid.h>

#include "blkfd.h"

/* What the block layer is told of the longest I/O, in bytes; any is taken. */
#define BLKFD_MAX_IO SZ_4M

static struct block_device *blkfd_backing_bdev(struct file *file)
{
	struct inode *inode = file->f_mapping->host;

	return S_ISBLK(inode->i_mode) ? I_BDEV(inode) : NULL;
}

/**
 * blkfd_backing_inode - whose pages a file's data is in, and whose blocks
 * @file: The file.
 *
 * An overlay's inode has neither. The real file's inode with its data, not one with
 * metadata alone: what a file that is open for writing is written to. One that is open
 * for reading alone may be copied to another file system later, with larger blocks: its
 * reads are right or fail there.
 *
 * Returns: The inode, which lives as long as @file is open.
 */
struct inode *blkfd_backing_inode(struct file *file)
{
	struct inode *inode = d_real_inode(file->f_path.dentry);

	return inode == file_inode(file) ? file->f_mapping->host : inode;
}

/*
 * A device reads and writes as who made it, and for one who has no number in the user
 * namespace of a file's server FUSE sends nothing.
 */
static bool blkfd_backing_serves_creator(struct file *file)
{
	struct super_block *sb = file_inode(file)->i_sb;

	if (sb->s_magic != FUSE_SUPER_MAGIC || !(sb->s_iflags & SB_I_NOIDMAP) ||
	    blkfd_backing_bdev(file))
		return true;
	return kuid_has_mapping(sb->s_user_ns, current_fsuid()) &&
	       kgid_has_mapping(sb->s_user_ns, current_fsgid());
}

static int blkfd_backing_check_file(struct file *file)
{
	umode_t mode = file_inode(file)->i_mode;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (S_ISDIR(mode))
		return -EISDIR;
	if (!S_ISREG(mode) && !S_ISBLK(mode))
		return -ENOTBLK;
	if (file->f_flags & O_APPEND)
		return -EPERM;
	if (IS_SWAPFILE(blkfd_backing_inode(file)))
		return -ETXTBSY;
	if (!file->f_op->read_iter)
		return -EOPNOTSUPP;
	if (file->f_mode & FMODE_WRITE && !file->f_op->write_iter)
		return -EOPNOTSUPP;
	if (!blkfd_backing_serves_creator(file))
		return -EOVERFLOW;
	return 0;
}

/*
 * The smallest block at which the file takes direct I/O. Where the file system
 * does not say, its own block size always does; a smaller one might make it go
 * through the page cache without a word.
 */
static int blkfd_backing_direct(struct blkfd_window *window,
				const struct kstat *stat, u32 *block_size)
{
	u32 memory = SECTOR_SIZE, block;

	if (!(window->file->f_mode & FMODE_CAN_ODIRECT))
		return -EOPNOTSUPP;
	block = i_blocksize(blkfd_backing_inode(window->file));
	if (stat->result_mask & STATX_DIOALIGN) {
		if (!stat->dio_offset_align)
			return -EOPNOTSUPP;
		block = stat->dio_offset_align;
		memory = max_t(u32, stat->dio_mem_align, SECTOR_SIZE);
	}
	block = max_t(u32, block, SECTOR_SIZE);
	/* The block layer promises no alignment above that of a page. */
	if (!is_power_of_2(block) || !is_power_of_2(memory) ||
	    memory > PAGE_SIZE)
		return -EOPNOTSUPP;
	*block_size = block;
	window->dma_alignment = memory - 1;
	return 0;
}

/* The smallest block size at which the file can be used as @window says. */
static int blkfd_backing_min_block(struct blkfd_window *window,
				   const struct kstat *stat, u32 *block_size)
{
	struct block_device *bdev = blkfd_backing_bdev(window->file);

	*block_size = SECTOR_SIZE;
	window->dma_alignment = SECTOR_SIZE - 1;
	if (bdev) {
		*block_size = bdev_logical_block_size(bdev);
		window->dma_alignment = max_t(u32, bdev_dma_alignment(bdev),
					      SECTOR_SIZE - 1);
		return 0;
	}
	if (window->flags & BLKFD_F_DIRECT)
		return blkfd_backing_direct(window, stat, block_size);
	return 0;
}

static int blkfd_backing_set_block(struct blkfd_window *window,
				   const struct kstat *stat, u32 wanted)
{
	u32 least;
	int ret;

	if (wanted && (wanted < SECTOR_SIZE || wanted > BLK_MAX_BLOCK_SIZE ||
		       !is_power_of_2(wanted)))
		return -EINVAL;
	ret = blkfd_backing_min_block(window, stat, &least);
	if (ret)
		return ret;
	if (least > BLK_MAX_BLOCK_SIZE || (wanted && wanted < least))
		return window->flags & BLKFD_F_DIRECT ? -EOPNOTSUPP : -EINVAL;
	window->block_size = wanted ?: least;
	window->min_block = least;
	return 0;
}

/*
 * A server is asked, whatever its client remembers: others may have made the file
 * longer since. It is asked by the user that opened the file, who may be the only one
 * it answers. What is in the page cache of an overlay's file may be of a lower one.
 */
static int blkfd_backing_stat(struct file *file, struct kstat *stat)
{
	const struct cred *old_cred = override_creds(file->f_cred);
	struct block_device *bdev = blkfd_backing_bdev(file);
	int ret = vfs_getattr(&file->f_path, stat,
			      STATX_INO | STATX_SIZE | STATX_DIOALIGN,
			      AT_STATX_FORCE_SYNC);

	revert_creds(old_cred);
	if (!ret && bdev)
		stat->size = bdev_nr_bytes(bdev);
	return ret;
}

static int blkfd_backing_set_length(const struct blkfd_window *window, u64 size,
				    u64 length, u64 *result)
{
	if ((window->offset | length) & (window->block_size - 1))
		return -EINVAL;
	if (window->offset > size || length > size - window->offset)
		return -ERANGE;
	if (!length)
		length = size - window->offset;
	if (!length)
		return -ENODATA;
	if (length & (window->block_size - 1))
		return -EINVAL;
	*result = length;
	return 0;
}

/**
 * blkfd_backing_length - how long an open window can be made
 * @window: The window.
 * @length: What is wanted, in bytes; 0: to the end of the file.
 * @result: Where the length goes.
 *
 * Returns: 0, -EINVAL, -ERANGE or -ENODATA as <linux/blkfd.h> says, or an errno as
 * for stat(2).
 */
int blkfd_backing_length(const struct blkfd_window *window, u64 length,
			 u64 *result)
{
	struct kstat stat;
	int ret = blkfd_backing_stat(window->file, &stat);

	return ret ?: blkfd_backing_set_length(window, stat.size, length, result);
}

static u32 blkfd_backing_flags(struct file *file, u32 flags)
{
	if (!(file->f_mode & FMODE_WRITE))
		flags |= BLKFD_F_RDONLY;
	if (flags & BLKFD_F_RDONLY || !file->f_op->fallocate)
		flags |= BLKFD_F_NODISCARD;
	return flags;
}

/* File systems on several devices, and device-mapper, hide what is below. */
static unsigned int blkfd_backing_depth(struct file *file)
{
	struct block_device *bdev = blkfd_backing_bdev(file);
	struct blkfd_device *below;

	if (!bdev)
		bdev = blkfd_backing_inode(file)->i_sb->s_bdev;
	if (!bdev || bdev->bd_disk->fops != &blkfd_device_ops)
		return 0;
	below = bdev->bd_disk->private_data;
	return below->window.depth + 1;
}

/*
 * Those that are known to keep to IOCB_DSYNC, in calls that do not wait for their
 * I/O, too. FUSE does not in these, nor does NFS, whose data an fsync alone may have
 * found later (pNFS), and 9p and SMB (netfs) in none that are direct. An overlay leaves
 * it to the file system of the file that is written to.
 */
static bool blkfd_backing_keeps_dsync(struct file *file, u32 flags)
{
	if (blkfd_backing_bdev(file))
		return true;
	switch (blkfd_backing_inode(file)->i_sb->s_magic) {
	case NFS_SUPER_MAGIC:
		return !(flags & BLKFD_F_DIRECT);
	case BTRFS_SUPER_MAGIC:
	case EXT4_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case XFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

/* Of an overlay, it is the file below that is told of what is lost there. */
static bool blkfd_backing_is_told(struct file *file)
{
	return blkfd_backing_inode(file) == file->f_mapping->host;
}

/**
 * blkfd_backing_check - whether a device can be made as asked
 * @file: The backing file; no reference is taken.
 * @arg: What was asked, its flags known ones.
 * @window: Filled in on success.
 *
 * Returns: 0, or an errno as struct blkfd_create lists them.
 */
int blkfd_backing_check(struct file *file, const struct blkfd_create *arg,
			struct blkfd_window *window)
{
	struct kstat stat;
	int ret;

	ret = blkfd_backing_check_file(file);
	if (ret)
		return ret;
	ret = blkfd_backing_stat(file, &stat);
	if (ret)
		return ret;
	*window = (struct blkfd_window) {
		.file	= file,
		.dev	= S_ISBLK(stat.mode) ? stat.rdev : stat.dev,
		.ino	= stat.ino,
		.offset	= arg->offset,
		.flags	= blkfd_backing_flags(file, arg->flags),
		.depth	= blkfd_backing_depth(file),
		.dsync	= blkfd_backing_keeps_dsync(file, arg->flags),
	};
	window->tells = window->dsync && blkfd_backing_is_told(file);
	if (window->depth >= BLKFD_MAX_DEPTH)
		return -ELOOP;
	ret = blkfd_backing_set_block(window, &stat, arg->block_size);
	if (ret)
		return ret;
	return blkfd_backing_set_length(window, stat.size, arg->length,
					&window->length);
}

/* A file system on others has O_DIRECT from us to ask those whether they can. */
static int blkfd_backing_open_flags(const struct blkfd_window *window)
{
	int flags = O_LARGEFILE | (window->file->f_flags & O_SYNC);

	if (window->flags & BLKFD_F_DIRECT)
		flags |= O_DIRECT;
	return flags | (window->flags & BLKFD_F_RDONLY ? O_RDONLY : O_RDWR);
}

/* NFS asks its server on behalf of the file's cred, FUSE, 9p and SMB of the task's. */
static struct file *blkfd_backing_reopen(const struct blkfd_window *window)
{
	const struct cred *cred = window->file->f_cred;
	const struct cred *old_cred = override_creds(cred);
	struct file *file = dentry_open(&window->file->f_path,
					blkfd_backing_open_flags(window), cred);

	revert_creds(old_cred);
	return file;
}

/**
 * blkfd_backing_open - open the backing file for the device alone
 * @window: As blkfd_backing_check() filled it in, its file the caller's. On
 *	success the file is another one, and the caller's to put.
 *
 * Each open file is told of an error in writing back once. Shared with whoever
 * made the device, an fsync() of theirs would take what the device's own is to
 * report. Whoever makes the device, a file's server is asked on behalf of who
 * opened the descriptor, as it was for that.
 *
 * Returns: 0, -EOPNOTSUPP as struct blkfd_create says, or an errno as for open(2).
 */
int blkfd_backing_open(struct blkfd_window *window)
{
	struct file *file = blkfd_backing_reopen(window);

	if (window->flags & BLKFD_F_DIRECT && file == ERR_PTR(-EINVAL))
		return -EOPNOTSUPP;
	if (IS_ERR(file))
		return PTR_ERR(file);
	if (FMODE_FSNOTIFY_HSM(file->f_mode)) {
		fput(file);
		return -EOPNOTSUPP;
	}
	/* Nobody has it yet. Reads by the task that sends them: see inline.c. */
	file->f_flags |= O_NOATIME;
	window->file = file;
	return 0;
}

/* Where fsync does nothing, as on tmpfs, there is nothing to flush. */
static bool blkfd_backing_is_cached(struct file *file)
{
	return file->f_op->fsync && file->f_op->fsync != noop_fsync;
}

/* Holes are whole blocks of the file, wherever the window begins. */
static void blkfd_backing_discard_limits(const struct blkfd_window *window,
					 struct queue_limits *lim)
{
	u32 granularity = max_t(u32, window->block_size,
				i_blocksize(blkfd_backing_inode(window->file)));

	lim->max_hw_discard_sectors = UINT_MAX >> SECTOR_SHIFT;
	lim->discard_granularity = granularity;
	lim->discard_alignment = -window->offset & (granularity - 1);
}

/**
 * blkfd_backing_limits - the queue limits that suit a window
 * @window: The window.
 * @lim: The block layer's defaults.
 *
 * Without the feature FUA writes still come: it says that they cost less than a
 * flush. That a file system has fallocate does not say that it can punch holes; the
 * first attempt shows it and takes the limit away, see io.c.
 */
void blkfd_backing_limits(const struct blkfd_window *window,
			  struct queue_limits *lim)
{
	struct file *file = window->file;

	lim->logical_block_size = window->block_size;
	lim->physical_block_size = window->block_size;
	lim->dma_alignment = window->dma_alignment;
	lim->max_hw_sectors = BLKFD_MAX_IO >> SECTOR_SHIFT;
	lim->max_segments = USHRT_MAX;
	lim->max_segment_size = UINT_MAX;
	lim->features = BLK_FEAT_IO_STAT | BLK_FEAT_NOWAIT;
	if (window->flags & BLKFD_F_DIRECT &&
	    mapping_stable_writes(blkfd_backing_inode(file)->i_mapping))
		lim->features |= BLK_FEAT_STABLE_WRITES;
	if (window->flags & BLKFD_F_RDONLY)
		return;
	if (blkfd_backing_is_cached(file)) {
		lim->features |= BLK_FEAT_WRITE_CACHE;
		if (window->dsync)
			lim->features |= BLK_FEAT_FUA;
	}
	if (file->f_op->fallocate)
		lim->max_write_zeroes_sectors = UINT_MAX >> SECTOR_SHIFT;
	if (!(window->flags & BLKFD_F_NODISCARD))
		blkfd_backing_discard_limits(window, lim);
}
