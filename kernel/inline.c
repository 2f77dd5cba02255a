// SPDX-License-Identifier: GPL-2.0
/*
 * Whether an I/O may be carried out by the task that submits it, in the middle
 * of whatever that task is doing, and not by a worker.
 *
 * The task holds locks, most of them of the file system on the device. They are
 * of two kinds. The outer ones (i_rwsem, invalidate_lock, freeze protection) are
 * held over the I/O of data. Inside them, and never around them, come those of
 * transactions, block maps and inodes' buffers. Below, only the outer ones keep
 * to IOCB_NOWAIT everywhere; the inner ones are taken by every file system that
 * looks where a block is. So an I/O is for a worker unless the file system below
 * waits for inner ones only, and the task can hold nothing but outer locks. tmpfs,
 * which has neither, is written to under any.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/iversion.h>
#include <linux/magic.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/shmem_fs.h>

#include "blkfd.h"
#include "cgroup.h"

/* So many attempts in a row for nothing, and only one in so many is made. */
#define BLKFD_INLINE_MISSES	8
#define BLKFD_INLINE_RETRY	16

static bool blkfd_inline_io = true;
module_param_named(inline_io, blkfd_inline_io, bool, 0644);
MODULE_PARM_DESC(inline_io, "I/O by the task that submits it, where that is safe (default: Y)");

static bool blkfd_inline_is_on(const struct file *file, unsigned long magic)
{
	return file_inode(file)->i_sb->s_magic == magic;
}

/*
 * FMODE_NOWAIT is no promise: btrfs waits for an inode's i_rwsem in direct reads,
 * ntfs in all, and f2fs, in its mode for zoned disks, for direct writes, asked not to
 * or not. With the same file system above, the task may hold that of another inode.
 * And what the disk cannot do, as dm-crypt cannot, the file system takes for its error,
 * and reports. Those that are known not to wait:
 */
static bool blkfd_inline_keeps_nowait(const struct file *file)
{
	struct inode *inode = file_inode(file);

	if (!(file->f_mode & FMODE_NOWAIT))
		return false;
	if (S_ISBLK(inode->i_mode))
		return true;
	return (blkfd_inline_is_on(file, EXT4_SUPER_MAGIC) ||
		blkfd_inline_is_on(file, XFS_SUPER_MAGIC)) &&
	       bdev_nowait(inode->i_sb->s_bdev);
}

/* tmpfs knows no IOCB_NOWAIT, but its reads wait for swap at most. */
static bool blkfd_inline_can_read(const struct blkfd_window *window)
{
	struct file *file = window->file;

	if (shmem_mapping(file->f_mapping))
		return true;
	if (!blkfd_inline_keeps_nowait(file))
		return false;
	/* Out of its cache, a block device is read under its i_rwsem. */
	return window->flags & BLKFD_F_DIRECT ||
	       S_ISREG(file_inode(file)->i_mode);
}

/*
 * Into the page cache, xfs writes all that is dirty when it runs out of space,
 * asked not to wait or not; ext4 cannot be asked.
 */
static bool blkfd_inline_can_write(const struct blkfd_window *window)
{
	struct file *file = window->file;

	if (window->flags & BLKFD_F_RDONLY)
		return false;
	if (shmem_mapping(file->f_mapping))
		return true;
	return blkfd_inline_keeps_nowait(file) && window->flags & BLKFD_F_DIRECT;
}

/*
 * Direct writes of parts of blocks wait for others, and xfs has those of blocks
 * that are shared go to the page cache. None of a device's is, in most cases.
 */
static unsigned int blkfd_inline_block_mask(const struct blkfd_window *window)
{
	struct inode *inode = file_inode(window->file);
	unsigned int mask = i_blocksize(inode) - 1;

	if (!S_ISREG(inode->i_mode) || !(window->flags & BLKFD_F_DIRECT))
		return 0;
	return (window->offset | window->block_size) & mask ? mask : 0;
}

static u64 blkfd_inline_bit(enum req_op op)
{
	return BIT_ULL((__force u32)op);
}

/**
 * blkfd_inline_init_device - what the file of a new device allows for
 * @dev: The device; its window is final.
 */
void blkfd_inline_init_device(struct blkfd_device *dev)
{
	if (blkfd_inline_can_read(&dev->window))
		dev->inline_ops |= blkfd_inline_bit(REQ_OP_READ);
	if (blkfd_inline_can_write(&dev->window))
		dev->inline_ops |= blkfd_inline_bit(REQ_OP_WRITE);
	dev->inline_mask = blkfd_inline_block_mask(&dev->window);
}

/* Data only, and no flush: that waits for the whole file system. */
static bool blkfd_inline_suits_bio(const struct blkfd_device *dev,
				   struct bio *bio)
{
	return blkfd_inline_bit(bio_op(bio)) & dev->inline_ops &&
	       !(bio->bi_opf & (REQ_PREFLUSH | REQ_FUA)) &&
	       bio->bi_iter.bi_size;
}

/*
 * A clone's maker, device-mapper say, may have hidden that it is metadata. I/O
 * of memory that is registered with io_uring looks the same.
 */
static bool blkfd_inline_is_clone(struct bio *bio)
{
	return bio_flagged(bio, BIO_CLONED);
}

/*
 * Inner locks are held over the I/O of metadata: ext4 reads a block of its map
 * under i_data_sem, which the ext4 below takes for its own map. File systems
 * mark it, or do it by way of the device's own cache.
 */
static bool blkfd_inline_is_metadata(const struct blkfd_device *dev,
				     struct bio *bio)
{
	if (bio->bi_opf & REQ_META)
		return true;
	return bio_first_folio_all(bio)->mapping ==
		dev->disk->part0->bd_mapping;
}

/*
 * tmpfs has no transactions and no map of blocks: a write waits for a page that is
 * being copied, or comes back from swap. So does whoever waits for a worker to write,
 * with the same locks: they are held until it is over. Reads are another matter. What
 * is read ahead of need is sent under locks that who has the page may be waiting for.
 */
static bool blkfd_inline_suits_locks(const struct blkfd_device *dev,
				     struct bio *bio)
{
	if (shmem_mapping(dev->window.file->f_mapping) && op_is_write(bio_op(bio)))
		return true;
	return !blkfd_inline_is_clone(bio) && !blkfd_inline_is_metadata(dev, bio);
}

/* In a transaction, which the one below would nest in and might wait for. */
static bool blkfd_inline_in_transaction(void)
{
	return current->journal_info;
}

/*
 * Where the task has said that file systems, or block devices, must not be
 * entered for memory: it holds what they might want. Reclaim itself is one of
 * these places. So is this one: memory of the call below that comes from
 * another device of ours is that one's workers' to read.
 */
static bool blkfd_inline_in_reclaim_scope(void)
{
	return current->flags & (PF_MEMALLOC | PF_MEMALLOC_NOFS | PF_MEMALLOC_NOIO);
}

/* The file system below, and the drivers below that, want half of a stack. */
static bool blkfd_inline_has_stack(void)
{
	unsigned long left = (unsigned long)__builtin_frame_address(0) -
			     (unsigned long)task_stack_page(current);

	return left > THREAD_SIZE / 2;
}

/* A write that ends with a flush, as the file has it: FUA on every write. */
static bool blkfd_inline_is_sync(const struct blkfd_device *dev)
{
	struct file *file = dev->window.file;

	return file->f_iocb_flags & (IOCB_DSYNC | IOCB_SYNC) ||
	       IS_SYNC(file->f_mapping->host);
}

/* What the task may not write to files does not hold for devices: SIGXFSZ. */
static bool blkfd_inline_has_file_limit(void)
{
	return rlimit(RLIMIT_FSIZE) != RLIM_INFINITY;
}

static bool blkfd_inline_times_differ(struct inode *inode)
{
	struct timespec64 now = current_time(inode);
	struct timespec64 mtime = inode_get_mtime(inode);
	struct timespec64 ctime = inode_get_ctime(inode);

	return !timespec64_equal(&mtime, &now) ||
	       !timespec64_equal(&ctime, &now) ||
	       (IS_I_VERSION(inode) && inode_iversion_need_inc(inode));
}

/*
 * ext4 changes times in a transaction, asked not to wait or not. Times go on
 * with the clock's tick: to look once in each is enough.
 */
static bool blkfd_inline_times_are_due(struct blkfd_device *dev)
{
	unsigned long now = jiffies;

	if (READ_ONCE(dev->inline_times_at) == now)
		return false;
	if (blkfd_inline_times_differ(file_inode(dev->window.file)))
		return true;
	WRITE_ONCE(dev->inline_times_at, now);
	return false;
}

static bool blkfd_inline_is_whole(const struct blkfd_device *dev,
				  const struct bio *bio)
{
	u64 start = dev->window.offset +
		    (bio->bi_iter.bi_sector << SECTOR_SHIFT);

	return !((start | bio->bi_iter.bi_size) & dev->inline_mask);
}

/*
 * tmpfs has its times in memory alone. All else that it has is there, too, and who pays
 * for it may have to wait until there is some: the kernel's threads must not, since one
 * writes what many have made dirty.
 */
static bool blkfd_inline_allows_write(struct blkfd_device *dev,
				      const struct bio *bio)
{
	if (!blkfd_inline_is_whole(dev, bio) || blkfd_inline_is_sync(dev) ||
	    blkfd_inline_has_file_limit())
		return false;
	if (shmem_mapping(dev->window.file->f_mapping))
		return current->mm;
	return !blkfd_inline_times_are_due(dev);
}

/* An attempt costs. Off by a few, and by a race, is good enough. */
static bool blkfd_inline_is_hopeless(struct blkfd_device *dev)
{
	unsigned int misses = READ_ONCE(dev->inline_misses);

	if (misses < BLKFD_INLINE_MISSES)
		return false;
	WRITE_ONCE(dev->inline_misses, misses + 1);
	return misses % BLKFD_INLINE_RETRY;
}

static bool blkfd_inline_is_allowed(struct blkfd_device *dev, struct bio *bio)
{
	if (!READ_ONCE(blkfd_inline_io) || !blkfd_inline_suits_bio(dev, bio) ||
	    !blkfd_inline_suits_locks(dev, bio) ||
	    blkfd_inline_in_transaction() || blkfd_inline_in_reclaim_scope() ||
	    !blkfd_inline_has_stack() || !blkfd_cgroup_is_current(bio))
		return false;
	if (op_is_write(bio_op(bio)) && !blkfd_inline_allows_write(dev, bio))
		return false;
	return !blkfd_inline_is_hopeless(dev);
}

static ssize_t blkfd_inline_write_locked(struct kiocb *iocb,
					 struct iov_iter *iter)
{
	ssize_t ret;

	/* Which tmpfs does not know. */
	iocb->ki_flags &= ~(IOCB_NOWAIT | IOCB_NOIO);
	ret = generic_write_checks(iocb, iter);
	if (ret <= 0)
		return ret;
	ret = file_remove_privs(iocb->ki_filp);
	if (ret)
		return ret;
	ret = file_update_time(iocb->ki_filp);
	if (ret)
		return ret;
	return generic_perform_write(iocb, iter);
}

/*
 * The write_iter of tmpfs waits for i_rwsem, and there ends all that it waits
 * for. Here is the same without.
 */
static ssize_t blkfd_inline_try_write(struct kiocb *iocb, struct iov_iter *iter)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	ssize_t ret;

	if (!shmem_mapping(file->f_mapping))
		return file->f_op->write_iter(iocb, iter);
	if (!inode_trylock(inode))
		return -EAGAIN;
	ret = blkfd_inline_write_locked(iocb, iter);
	inode_unlock(inode);
	return ret;
}

/**
 * blkfd_inline_write_iter - write_iter of a file that a task may write to
 * @dev: The device.
 * @iocb: With IOCB_NOWAIT.
 * @iter: What to write.
 *
 * With the rights of the device's creator, as by a worker: root may go beyond a
 * quota, and leave a program that it writes to one that is run as another user.
 *
 * Returns: As write_iter does.
 */
ssize_t blkfd_inline_write_iter(struct blkfd_device *dev, struct kiocb *iocb,
				struct iov_iter *iter)
{
	const struct cred *old_cred = override_creds(dev->creator);
	ssize_t ret = blkfd_inline_try_write(iocb, iter);

	revert_creds(old_cred);
	return ret;
}

/**
 * blkfd_inline_count_attempt - see what came of a call that might not wait
 * @dev: The command's device.
 * @cmd: The command; the call is over, and the result is its.
 *
 * One that came to nothing says nothing else: a worker's call will.
 */
void blkfd_inline_count_attempt(struct blkfd_device *dev,
				const struct blkfd_io_cmd *cmd)
{
	if (cmd->result > 0) {
		if (READ_ONCE(dev->inline_misses))
			WRITE_ONCE(dev->inline_misses, 0);
		return;
	}
	WRITE_ONCE(dev->inline_misses, READ_ONCE(dev->inline_misses) + 1);
	this_cpu_inc(dev->io_stats->would_block);
}

/*
 * What the file system below submits, and waits for, must not be queued behind
 * the bio that is being submitted now.
 */
static enum blkfd_io_state blkfd_inline_transfer(struct blkfd_device *dev,
						 struct blkfd_io_cmd *cmd)
{
	struct bio_list *bio_list = current->bio_list;
	struct mem_cgroup *memcg = blkfd_cgroup_borrow(cmd->memcg);
	unsigned int noio = memalloc_noio_save();
	enum blkfd_io_state state;

	current->bio_list = NULL;
	state = blkfd_io_transfer(dev, cmd);
	current->bio_list = bio_list;
	blkfd_cgroup_return(memcg);
	memalloc_noio_restore(noio);
	return state;
}

/**
 * blkfd_inline_submit - carry a command out without a worker, if that is safe
 * @dev: Its device.
 * @cmd: A new command. Not the caller's any more, unless this returns false.
 *
 * Context: Where its bio was submitted.
 *
 * Returns: false if it is for a worker, or what is left of it.
 */
bool blkfd_inline_submit(struct blkfd_device *dev, struct blkfd_io_cmd *cmd)
{
	enum blkfd_io_state state;

	if (!blkfd_inline_is_allowed(dev, cmd->bio))
		return false;
	cmd->nowait = true;
	/* Thawing may depend on what the task does next. */
	if (!blkfd_io_start_write(dev, cmd))
		return false;
	state = blkfd_inline_transfer(dev, cmd);
	if (state == BLKFD_IO_OVER)
		blkfd_io_end(cmd);
	return state != BLKFD_IO_LEFT;
}
