// SPDX-License-Identifier: GPL-2.0
/*
 * The data path: each bio becomes a command, and each command one or more calls
 * on the backing file, made by workers in the name of the bio's cgroups and of
 * the device's creator. A command belongs to whoever runs it; a bio ends last of
 * all, since the file may be released as soon as nobody waits for I/O any more.
 */
#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mempool.h>
#include <linux/part_stat.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "blkfd.h"
#include "memcg.h"

/* Commands in reserve, for each device: enough to keep its workers busy. */
#define BLKFD_IO_RESERVE	BLKFD_IO_WORKERS

/**
 * struct blkfd_io_cmd - a bio on its way
 * @node: In the device's backlog.
 * @bio: What is to be done.
 * @iocb: The call on the file that is under way.
 * @refs: Who may still touch @iocb: the one that made the call, and the file.
 * @result: What the call returned.
 * @done: Bytes that earlier calls have moved.
 * @flushed: The flush that comes before the data is done.
 * @accounted: The bio is in the disk's statistics since @start.
 * @start: In jiffies.
 */
struct blkfd_io_cmd {
	struct list_head node;
	struct bio *bio;
	struct kiocb iocb;
	atomic_t refs;
	ssize_t result;
	unsigned int done;
	bool flushed;
	bool accounted;
	unsigned long start;
};

static struct kmem_cache *blkfd_io_cache;

static struct blkfd_device *blkfd_io_device(const struct bio *bio)
{
	return bio->bi_bdev->bd_disk->private_data;
}

static blk_status_t blkfd_io_status(int error)
{
	switch (error) {
	case -EDQUOT:
		return BLK_STS_NOSPC;
	case -EAGAIN:
		/* Means something else to who sent the bio. */
		return BLK_STS_IOERR;
	default:
		return errno_to_blk_status(error);
	}
}

/* A flush without data is no write; flushes are counted when they end. */
static void blkfd_io_account_start(struct blkfd_io_cmd *cmd)
{
	struct bio *bio = cmd->bio;

	cmd->accounted = blk_queue_io_stat(bio->bi_bdev->bd_disk->queue);
	if (cmd->accounted && bio->bi_iter.bi_size)
		cmd->start = bio_start_io_acct(bio);
}

static void blkfd_io_account_end(struct blkfd_io_cmd *cmd)
{
	struct bio *bio = cmd->bio;

	if (!cmd->accounted)
		return;
	if (bio->bi_iter.bi_size)
		bio_end_io_acct(bio, cmd->start);
	if (bio->bi_opf & REQ_PREFLUSH) {
		part_stat_lock();
		part_stat_inc(bio->bi_bdev, ios[STAT_FLUSH]);
		part_stat_unlock();
	}
}

/* The command is gone after this, and so may the device be. */
static void blkfd_io_end(struct blkfd_io_cmd *cmd, int error)
{
	struct blkfd_device *dev = blkfd_io_device(cmd->bio);
	struct bio *bio = cmd->bio;

	if (error) {
		bio->bi_status = blkfd_io_status(error);
		if (error != -EOPNOTSUPP)
			atomic64_inc(&dev->io_errors);
	}
	blkfd_io_account_end(cmd);
	mempool_free(cmd, &dev->io_cmds);
	bio_endio(bio);
}

static struct blkfd_io_worker *blkfd_io_idle_worker(struct blkfd_device *dev)
{
	int i;

	lockdep_assert_held(&dev->io_lock);
	for (i = 0; i < BLKFD_IO_WORKERS; i++)
		if (!dev->io_workers[i].busy)
			return &dev->io_workers[i];
	return NULL;
}

/* To an idle worker if there is one, else to whichever is through first. */
static void blkfd_io_queue(struct blkfd_device *dev, struct blkfd_io_cmd *cmd)
{
	struct blkfd_io_worker *worker;
	unsigned long flags;

	spin_lock_irqsave(&dev->io_lock, flags);
	list_add_tail(&cmd->node, &dev->io_backlog);
	worker = blkfd_io_idle_worker(dev);
	if (worker) {
		worker->busy = true;
		queue_work(dev->io_queue, &worker->work);
	}
	spin_unlock_irqrestore(&dev->io_lock, flags);
}

/* The next command; without one, the worker is off the device. */
static struct blkfd_io_cmd *blkfd_io_next(struct blkfd_io_worker *worker)
{
	struct blkfd_device *dev = worker->dev;
	struct blkfd_io_cmd *cmd;

	spin_lock_irq(&dev->io_lock);
	cmd = list_first_entry_or_null(&dev->io_backlog, struct blkfd_io_cmd,
				       node);
	if (cmd)
		list_del(&cmd->node);
	else
		worker->busy = false;
	spin_unlock_irq(&dev->io_lock);
	return cmd;
}

static void blkfd_io_end_write(struct blkfd_io_cmd *cmd)
{
	if (op_is_write(bio_op(cmd->bio)) &&
	    S_ISREG(file_inode(cmd->iocb.ki_filp)->i_mode))
		kiocb_end_write(&cmd->iocb);
}

/* Direct I/O cannot go on in the middle of a block. */
static bool blkfd_io_can_go_on(struct blkfd_device *dev,
			       struct blkfd_io_cmd *cmd)
{
	return !(dev->window.flags & BLKFD_F_DIRECT) ||
	       !(cmd->done & (dev->window.block_size - 1));
}

/*
 * A call is over. One that moved less than was left goes on in a worker; one
 * that moved nothing has come to the end of a file that is now too short.
 */
static void blkfd_io_put(struct blkfd_io_cmd *cmd)
{
	struct blkfd_device *dev = blkfd_io_device(cmd->bio);

	if (!atomic_dec_and_test(&cmd->refs))
		return;
	blkfd_io_end_write(cmd);
	if (cmd->result <= 0) {
		blkfd_io_end(cmd, cmd->result ?: -EIO);
		return;
	}
	cmd->done += cmd->result;
	if (cmd->done >= cmd->bio->bi_iter.bi_size)
		blkfd_io_end(cmd, 0);
	else if (blkfd_io_can_go_on(dev, cmd))
		blkfd_io_queue(dev, cmd);
	else
		blkfd_io_end(cmd, -EIO);
}

static void blkfd_io_complete(struct kiocb *iocb, long result)
{
	struct blkfd_io_cmd *cmd = container_of(iocb, struct blkfd_io_cmd,
						iocb);

	cmd->result = result;
	blkfd_io_put(cmd);
}

/* What is left of the bio, straight from its own vector. */
static void blkfd_io_init_iter(struct blkfd_io_cmd *cmd, struct iov_iter *iter)
{
	struct bio *bio = cmd->bio;
	struct bvec_iter left = bio->bi_iter;
	struct bvec_iter pos;
	struct bio_vec bvec;
	unsigned int count = 0;
	struct bio_vec *first;

	bio_advance_iter(bio, &left, cmd->done);
	__bio_for_each_bvec(bvec, bio, pos, left)
		count++;
	first = bio->bi_io_vec + left.bi_idx;
	bvec = mp_bvec_iter_bvec(bio->bi_io_vec, left);
	iov_iter_bvec(iter, op_is_write(bio_op(bio)) ? ITER_SOURCE : ITER_DEST,
		      first, count, left.bi_size);
	iter->iov_offset = bvec.bv_offset - first->bv_offset;
}

/* Where the bio begins in the file. */
static loff_t blkfd_io_pos(struct blkfd_device *dev, struct bio *bio)
{
	return dev->window.offset + (bio->bi_iter.bi_sector << SECTOR_SHIFT);
}

static void blkfd_io_init_iocb(struct blkfd_device *dev,
			       struct blkfd_io_cmd *cmd)
{
	struct file *file = dev->window.file;
	struct bio *bio = cmd->bio;

	cmd->iocb = (struct kiocb) {
		.ki_filp	= file,
		.ki_pos		= blkfd_io_pos(dev, bio) + cmd->done,
		.ki_complete	= blkfd_io_complete,
		.ki_flags	= file->f_iocb_flags & (IOCB_DSYNC | IOCB_SYNC),
		.ki_ioprio	= bio->bi_ioprio,
	};
	if (dev->window.flags & BLKFD_F_DIRECT)
		cmd->iocb.ki_flags |= IOCB_DIRECT;
	if (bio->bi_opf & REQ_FUA)
		cmd->iocb.ki_flags |= IOCB_DSYNC;
}

/* Reads or writes what is left; the command is not ours any more afterwards. */
static void blkfd_io_transfer(struct blkfd_device *dev,
			      struct blkfd_io_cmd *cmd)
{
	const struct file_operations *fops = dev->window.file->f_op;
	struct kiocb *iocb = &cmd->iocb;
	struct iov_iter iter;
	ssize_t ret;

	blkfd_io_init_iter(cmd, &iter);
	blkfd_io_init_iocb(dev, cmd);
	atomic_set(&cmd->refs, 2);
	if (op_is_write(bio_op(cmd->bio))) {
		if (S_ISREG(file_inode(iocb->ki_filp)->i_mode))
			kiocb_start_write(iocb);
		iocb->ki_flags |= IOCB_WRITE;
		ret = fops->write_iter(iocb, &iter);
	} else {
		ret = fops->read_iter(iocb, &iter);
	}
	if (ret != -EIOCBQUEUED)
		blkfd_io_complete(iocb, ret);
	blkfd_io_put(cmd);
}

static int blkfd_io_flush(struct blkfd_device *dev)
{
	loff_t start = dev->window.offset;

	return vfs_fsync_range(dev->window.file, start,
			       start + bdev_nr_bytes(dev->disk->part0) - 1, 1);
}

static int blkfd_io_fallocate(struct blkfd_device *dev, struct bio *bio,
			      int mode)
{
	return vfs_fallocate(dev->window.file, mode | FALLOC_FL_KEEP_SIZE,
			     blkfd_io_pos(dev, bio), bio->bi_iter.bi_size);
}

/* Who is told "not supported" falls back to writing, or does without. */
static int blkfd_io_discard(struct blkfd_device *dev, struct bio *bio)
{
	int ret;

	ret = blkfd_io_fallocate(dev, bio, FALLOC_FL_PUNCH_HOLE);
	if (ret == -EOPNOTSUPP)
		blk_queue_disable_discard(dev->disk->queue);
	return ret;
}

static int blkfd_io_write_zeroes(struct blkfd_device *dev, struct bio *bio)
{
	bool may_punch = !(dev->window.flags & BLKFD_F_NODISCARD);
	bool punch = may_punch && !(bio->bi_opf & REQ_NOUNMAP);
	int ret;

	ret = blkfd_io_fallocate(dev, bio, punch ? FALLOC_FL_PUNCH_HOLE :
						   FALLOC_FL_ZERO_RANGE);
	/* Unless the other way may work. */
	if (ret == -EOPNOTSUPP && punch == may_punch)
		blk_queue_disable_write_zeroes(dev->disk->queue);
	return ret;
}

/*
 * Who opened a read-only device for reading can send it writes: the block layer
 * warns and lets them through. Its file was not opened for that, and may have
 * no write_iter.
 */
static bool blkfd_io_is_refused(struct blkfd_device *dev, struct bio *bio)
{
	return dev->window.flags & BLKFD_F_RDONLY && bio->bi_iter.bi_size &&
	       op_is_write(bio_op(bio));
}

/* The command is not ours any more afterwards. */
static void blkfd_io_execute(struct blkfd_device *dev,
			     struct blkfd_io_cmd *cmd)
{
	struct bio *bio = cmd->bio;
	int ret = 0;

	if (blkfd_io_is_refused(dev, bio)) {
		blkfd_io_end(cmd, -EIO);
		return;
	}
	if (bio->bi_opf & REQ_PREFLUSH && !cmd->flushed) {
		ret = blkfd_io_flush(dev);
		cmd->flushed = true;
	}
	if (ret || !bio->bi_iter.bi_size) {
		blkfd_io_end(cmd, ret);
		return;
	}
	switch (bio_op(bio)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		blkfd_io_transfer(dev, cmd);
		return;
	case REQ_OP_DISCARD:
		ret = blkfd_io_discard(dev, bio);
		break;
	case REQ_OP_WRITE_ZEROES:
		ret = blkfd_io_write_zeroes(dev, bio);
		break;
	default:
		ret = -EOPNOTSUPP;
	}
	blkfd_io_end(cmd, ret);
}

/* In the name of the bio's cgroups, though it may be over by the return. */
static void blkfd_io_execute_charged(struct blkfd_device *dev,
				     struct blkfd_io_cmd *cmd)
{
	struct cgroup_subsys_state *blkcg = bio_blkcg_css(cmd->bio);
	struct cgroup_subsys_state *memcg = blkfd_memcg_get(blkcg);
	struct mem_cgroup *old_memcg;

	if (blkcg)
		kthread_associate_blkcg(blkcg);
	old_memcg = blkfd_memcg_enter(memcg);
	blkfd_io_execute(dev, cmd);
	blkfd_memcg_leave(memcg, old_memcg);
	if (blkcg)
		kthread_associate_blkcg(NULL);
}

/*
 * Must not wait for memory that only this device can free by writing, nor be
 * throttled for the dirty pages of the devices above. What the file system
 * keeps for root, or from a user by quota, is as for the device's creator.
 */
static void blkfd_io_work(struct work_struct *work)
{
	struct blkfd_io_worker *worker = container_of(work,
						      struct blkfd_io_worker,
						      work);
	struct blkfd_io_cmd *cmd;
	const struct cred *old_cred = override_creds(worker->dev->creator);
	unsigned int noio = memalloc_noio_save();
	unsigned long old_flags = current->flags;

	current->flags |= PF_LOCAL_THROTTLE;
	while ((cmd = blkfd_io_next(worker))) {
		blkfd_io_execute_charged(worker->dev, cmd);
		cond_resched();
	}
	current_restore_flags(old_flags, PF_LOCAL_THROTTLE);
	memalloc_noio_restore(noio);
	revert_creds(old_cred);
}

/**
 * blkfd_io_init_device - what a new device needs before its first bio
 * @dev: Zeroed, but for its id.
 *
 * The threads are not of the kind that is promised to run when memory is short
 * (WQ_MEM_RECLAIM): such may not wait for others, and file systems do wait for
 * theirs, xfs when space runs out.
 *
 * Returns: 0 or -ENOMEM.
 */
int blkfd_io_init_device(struct blkfd_device *dev)
{
	int i, ret;

	spin_lock_init(&dev->io_lock);
	INIT_LIST_HEAD(&dev->io_backlog);
	for (i = 0; i < BLKFD_IO_WORKERS; i++) {
		dev->io_workers[i].dev = dev;
		INIT_WORK(&dev->io_workers[i].work, blkfd_io_work);
	}
	ret = mempool_init_slab_pool(&dev->io_cmds, BLKFD_IO_RESERVE,
				     blkfd_io_cache);
	if (ret)
		return ret;
	dev->io_queue = alloc_workqueue("blkfd%llu",
					WQ_UNBOUND | WQ_FREEZABLE,
					BLKFD_IO_WORKERS, dev->id);
	if (!dev->io_queue) {
		mempool_exit(&dev->io_cmds);
		return -ENOMEM;
	}
	return 0;
}

/**
 * blkfd_io_exit_device - the end of blkfd_io_init_device()
 * @dev: A device that no bio can come to any more.
 *
 * Waits until no worker touches the device.
 */
void blkfd_io_exit_device(struct blkfd_device *dev)
{
	destroy_workqueue(dev->io_queue);
	mempool_exit(&dev->io_cmds);
}

/**
 * blkfd_io_submit - submit_bio of the block device operations
 * @bio: Goes to a worker whole, or in parts of which each comes here again.
 *
 * This is the one place where a bio is taken on: an I/O that can do without a
 * worker would branch off here.
 */
void blkfd_io_submit(struct bio *bio)
{
	struct blkfd_device *dev = blkfd_io_device(bio);
	struct blkfd_io_cmd *cmd;

	bio = bio_split_to_limits(bio);
	if (!bio)
		return;
	cmd = mempool_alloc(&dev->io_cmds,
			    bio->bi_opf & REQ_NOWAIT ? GFP_NOWAIT : GFP_NOIO);
	if (!cmd) {
		bio_wouldblock_error(bio);
		return;
	}
	*cmd = (struct blkfd_io_cmd) { .bio = bio };
	blkfd_io_account_start(cmd);
	blkfd_io_queue(dev, cmd);
}

int blkfd_io_init(void)
{
	blkfd_io_cache = KMEM_CACHE(blkfd_io_cmd, 0);
	return blkfd_io_cache ? 0 : -ENOMEM;
}

void blkfd_io_exit(void)
{
	kmem_cache_destroy(blkfd_io_cache);
}
