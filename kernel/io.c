// SPDX-License-Identifier: GPL-2.0
/*
 * The data path: each bio becomes a command, and each command one or more calls
 * on the backing file, made by the task that submitted it where inline.c allows
 * it, else by workers. A command belongs to whoever runs it; a bio ends last of
 * all, since the file may be released as soon as nobody waits for I/O any more.
 */
#include <linux/backing-dev.h>
#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/local_lock.h>
#include <linux/mempool.h>
#include <linux/pagemap.h>
#include <linux/part_stat.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "blkfd.h"
#include "cgroup.h"

/* Commands in reserve, for each device: enough to keep its workers busy. */
#define BLKFD_IO_RESERVE	BLKFD_WORKERS

/* Commands that a processor keeps at hand. */
#define BLKFD_IO_SPARES		32

/* What a call may come to by merging, in bytes. */
#define BLKFD_IO_MERGE_MAX	SZ_1M

/* How long it is held to be true that a cgroup has no memory. */
#define BLKFD_IO_FULL_TIME	HZ

static struct kmem_cache *blkfd_io_cache;

/* Commands at hand on a processor, of no device: most never need others. */
struct blkfd_io_spares {
	local_lock_t lock;
	struct blkfd_io_cmd *cmds[BLKFD_IO_SPARES];	/* lock */
	unsigned int count;				/* lock */
};

static DEFINE_PER_CPU(struct blkfd_io_spares, blkfd_io_spares) = {
	.lock = INIT_LOCAL_LOCK(lock),
};

static struct blkfd_device *blkfd_io_device(const struct bio *bio)
{
	return bio->bi_bdev->bd_disk->private_data;
}

static blk_status_t blkfd_io_status(enum req_op op, int error)
{
	switch (error) {
	case -EDQUOT:
		return BLK_STS_NOSPC;
	case -EAGAIN:
		/* Means something else to who sent the bio. */
		return BLK_STS_IOERR;
	case -EOPNOTSUPP:
		/* Of a flush it would mean that none is needed. */
		if (op == REQ_OP_READ || op == REQ_OP_WRITE)
			return BLK_STS_IOERR;
		return BLK_STS_NOTSUPP;
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

static struct blkfd_io_cmd *blkfd_io_take_spare(void)
{
	struct blkfd_io_cmd *cmd = NULL;
	struct blkfd_io_spares *spares;
	unsigned long flags;

	local_lock_irqsave(&blkfd_io_spares.lock, flags);
	spares = this_cpu_ptr(&blkfd_io_spares);
	if (spares->count)
		cmd = spares->cmds[--spares->count];
	local_unlock_irqrestore(&blkfd_io_spares.lock, flags);
	return cmd;
}

static bool blkfd_io_put_spare(struct blkfd_io_cmd *cmd)
{
	struct blkfd_io_spares *spares;
	unsigned long flags;
	bool put;

	local_lock_irqsave(&blkfd_io_spares.lock, flags);
	spares = this_cpu_ptr(&blkfd_io_spares);
	put = spares->count < BLKFD_IO_SPARES;
	if (put)
		spares->cmds[spares->count++] = cmd;
	local_unlock_irqrestore(&blkfd_io_spares.lock, flags);
	return put;
}

static struct blkfd_io_cmd *blkfd_io_alloc(struct blkfd_device *dev,
					   struct bio *bio)
{
	gfp_t gfp = bio->bi_opf & REQ_NOWAIT ? GFP_NOWAIT : GFP_NOIO;
	struct blkfd_io_cmd *cmd = blkfd_io_take_spare();

	if (!cmd)
		cmd = mempool_alloc(&dev->io_cmds, gfp);
	if (!cmd)
		return NULL;
	cmd->bio = bio;
	cmd->error = 0;
	cmd->length = bio->bi_iter.bi_size;
	cmd->done = 0;
	INIT_LIST_HEAD(&cmd->merged);
	cmd->memcg = NULL;
	cmd->alone = false;
	cmd->by_worker = false;
	cmd->counts = false;
	cmd->uncharged = false;
	cmd->flushed = false;
	cmd->fsync = false;
	return cmd;
}

/* The device's reserve comes first. */
static void blkfd_io_free(struct blkfd_device *dev, struct blkfd_io_cmd *cmd)
{
	blkfd_cgroup_put_memcg(cmd->memcg);
	if (READ_ONCE(dev->io_cmds.curr_nr) < BLKFD_IO_RESERVE ||
	    !blkfd_io_put_spare(cmd))
		mempool_free(cmd, &dev->io_cmds);
}

static bool blkfd_io_is_merged(const struct blkfd_io_cmd *cmd)
{
	return !list_empty(&cmd->merged);
}

/* All but the first, which the caller ends. */
static void blkfd_io_end_merged(struct blkfd_io_cmd *cmd)
{
	struct blkfd_io_cmd *pos, *next;

	list_for_each_entry_safe(pos, next, &cmd->merged, entry) {
		pos->error = cmd->error;
		blkfd_io_end(pos);
	}
}

/* How durable a write must be: as the bio has it, or the file for all. */
static int blkfd_io_sync_flags(struct blkfd_device *dev, struct bio *bio)
{
	int flags = dev->window.file->f_iocb_flags & (IOCB_DSYNC | IOCB_SYNC);

	return bio->bi_opf & REQ_FUA ? flags | IOCB_DSYNC : flags;
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

/*
 * What was written to the device and did not get to the file is told by fsync() of the
 * device, though it is the file system on it that met the error, or a flush of somebody
 * else's: the file tells of its own loss but once. If it was a write that was told, and
 * it shows, a flush finds that out.
 */
static void blkfd_io_note_loss(struct blkfd_device *dev, struct bio *bio)
{
	int error = blk_status_to_errno(bio->bi_status);

	if (!op_is_write(bio_op(bio)) || bio_op(bio) == REQ_OP_DISCARD)
		return;
	/* Refused, and not lost. */
	if (blkfd_io_is_refused(dev, bio))
		return;
	if (bio->bi_iter.bi_size)
		WRITE_ONCE(dev->write_error, error);
	if (bio->bi_opf & REQ_PREFLUSH ||
	    (!dev->window.tells && blkfd_io_sync_flags(dev, bio)))
		filemap_set_wb_err(dev->disk->part0->bd_mapping, error);
}

/**
 * blkfd_io_end - end the bios of a command that is over
 * @cmd: With its error, if any. Gone after this, and so may the device be.
 *
 * Context: any.
 */
void blkfd_io_end(struct blkfd_io_cmd *cmd)
{
	struct blkfd_device *dev = blkfd_io_device(cmd->bio);
	struct bio *bio = cmd->bio;

	blkfd_io_end_merged(cmd);
	if (cmd->error) {
		bio->bi_status = blkfd_io_status(bio_op(bio), cmd->error);
		if (bio->bi_status != BLK_STS_NOTSUPP) {
			atomic64_inc(&dev->io_errors);
			blkfd_io_note_loss(dev, bio);
		}
	}
	if (cmd->by_worker) {
		this_cpu_inc(dev->io_stats->worker_ios);
		blkfd_worker_make_room(dev, cmd);
	} else {
		this_cpu_inc(dev->io_stats->inline_ios);
	}
	blkfd_io_account_end(cmd);
	blkfd_io_free(dev, cmd);
	bio_endio(bio);
}

static bool blkfd_io_is_file_write(const struct blkfd_device *dev,
				   const struct blkfd_io_cmd *cmd)
{
	return op_is_write(bio_op(cmd->bio)) &&
	       S_ISREG(file_inode(dev->window.file)->i_mode);
}

/**
 * blkfd_io_start_write - begin a write to a file, if the command is one
 * @dev: The command's device.
 * @cmd: The command; its nowait is set.
 *
 * A file system that is to be frozen waits until the end of the call, whoever
 * ends that: as in kiocb_start_write().
 *
 * Returns: false if the file system is frozen, or about to be, and the command
 * may not wait.
 */
bool blkfd_io_start_write(struct blkfd_device *dev, struct blkfd_io_cmd *cmd)
{
	struct super_block *sb = file_inode(dev->window.file)->i_sb;

	if (!blkfd_io_is_file_write(dev, cmd))
		return true;
	if (!cmd->nowait)
		sb_start_write(sb);
	else if (!sb_start_write_trylock(sb))
		return false;
	__sb_writers_release(sb, SB_FREEZE_WRITE);
	return true;
}

/* Direct I/O cannot go on in the middle of a block, of the file's and not of ours. */
static bool blkfd_io_can_go_on(struct blkfd_device *dev,
			       struct blkfd_io_cmd *cmd)
{
	return !(dev->window.flags & BLKFD_F_DIRECT) ||
	       !(cmd->done & (dev->window.min_block - 1));
}

static bool blkfd_io_can_merge(const struct blkfd_io_cmd *cmd)
{
	enum req_op op = bio_op(cmd->bio);

	return (op == REQ_OP_READ || op == REQ_OP_WRITE) &&
	       !(cmd->bio->bi_opf & (REQ_PREFLUSH | REQ_FUA)) &&
	       cmd->length && !cmd->done && !cmd->alone;
}

/**
 * blkfd_io_is_next - whether one call can do for two commands
 * @cmd: The first, with those that are merged with it.
 * @next: Another of the same device.
 *
 * Returns: whether @next goes on where @cmd ends, in all ways alike.
 */
bool blkfd_io_is_next(const struct blkfd_io_cmd *cmd,
		      const struct blkfd_io_cmd *next)
{
	struct bio *bio = cmd->bio, *other = next->bio;

	return other->bi_iter.bi_sector ==
		bio->bi_iter.bi_sector + (cmd->length >> SECTOR_SHIFT) &&
	       blkfd_io_can_merge(cmd) && blkfd_io_can_merge(next) &&
	       bio_op(other) == bio_op(bio) &&
	       other->bi_ioprio == bio->bi_ioprio &&
	       bio_blkcg_css(other) == bio_blkcg_css(bio) &&
	       next->memcg == cmd->memcg &&
	       cmd->length <= BLKFD_IO_MERGE_MAX &&
	       next->length <= BLKFD_IO_MERGE_MAX - cmd->length;
}

/* Each for itself from here on; all but the first go back to the workers. */
static void blkfd_io_unmerge(struct blkfd_device *dev,
			     struct blkfd_io_cmd *cmd)
{
	struct blkfd_io_cmd *pos, *next;

	cmd->length = cmd->bio->bi_iter.bi_size;
	cmd->alone = true;
	list_for_each_entry_safe(pos, next, &cmd->merged, entry) {
		list_del(&pos->entry);
		pos->alone = true;
		blkfd_worker_queue(dev, pos);
	}
}

static struct cgroup_subsys_state *
blkfd_io_cgroup(const struct blkfd_io_cmd *cmd)
{
	return cmd->memcg ?: bio_blkcg_css(cmd->bio);
}

/*
 * A cgroup whose memory is all pages that are being written to the device has none
 * for the file's own pages, and gets none before they are written: there, and there
 * alone, the file's are charged to nobody, and only if they are free again when they
 * are written, as those of tmpfs never are. To find out that there is none takes the
 * kernel long: what comes soon after is not tried first.
 */
static bool blkfd_io_try_uncharged(struct blkfd_device *dev,
				   struct blkfd_io_cmd *cmd)
{
	if (cmd->result != -ENOMEM || cmd->uncharged || !dev->gives_pages_back)
		return false;
	WRITE_ONCE(dev->full_cgroup, blkfd_io_cgroup(cmd));
	WRITE_ONCE(dev->full_until, jiffies + BLKFD_IO_FULL_TIME);
	cmd->uncharged = true;
	cmd->alone = true;
	return true;
}

/**
 * blkfd_io_is_charged - whether a command's call is to be charged to anybody
 * @dev: Its device.
 * @cmd: The command.
 *
 * Returns: whether its cgroups pay for it.
 */
bool blkfd_io_is_charged(struct blkfd_device *dev, struct blkfd_io_cmd *cmd)
{
	return !cmd->uncharged &&
	       (blkfd_io_cgroup(cmd) != READ_ONCE(dev->full_cgroup) ||
		!time_before(jiffies, READ_ONCE(dev->full_until)));
}

/*
 * The end of a file is not there to be found. netfs (9p, SMB) calls it -ENODATA if it
 * comes sooner than the client thought, as of a file that becomes shorter meanwhile; of
 * a disk that is a medium error.
 */
static int blkfd_io_error(struct blkfd_device *dev, ssize_t result)
{
	struct inode *inode = file_inode(dev->window.file);
	bool disk = S_ISBLK(inode->i_mode) || inode->i_sb->s_bdev;

	return !result || (result == -ENODATA && !disk) ? -EIO : result;
}

/*
 * A call is over. One that moved less than was left goes on in a worker, as does
 * the command if an fsync is to follow, for which this may be no place; one
 * that moved nothing has come to the end of a file that is now too short. Of a
 * call for several commands that does not say whose the error is: each gets a
 * call of its own.
 */
static enum blkfd_io_state blkfd_io_judge(struct blkfd_device *dev,
					  struct blkfd_io_cmd *cmd)
{
	if (blkfd_io_is_file_write(dev, cmd))
		kiocb_end_write(&cmd->iocb);
	if (cmd->nowait)
		blkfd_inline_count_attempt(dev, cmd);
	if (blkfd_io_is_merged(cmd))
		kfree(cmd->bvecs);
	if (blkfd_io_is_merged(cmd) && cmd->result != cmd->length) {
		blkfd_io_unmerge(dev, cmd);
		return BLKFD_IO_LEFT;
	}
	if (cmd->result > 0)
		cmd->done += cmd->result;
	else if (!cmd->nowait && !blkfd_io_try_uncharged(dev, cmd))
		cmd->error = blkfd_io_error(dev, cmd->result);
	if (cmd->error || (cmd->done >= cmd->length && !cmd->fsync))
		return BLKFD_IO_OVER;
	if (!blkfd_io_can_go_on(dev, cmd)) {
		cmd->error = -EIO;
		return BLKFD_IO_OVER;
	}
	return BLKFD_IO_LEFT;
}

/* The file is through with the call, in whatever context. */
static void blkfd_io_complete(struct kiocb *iocb, long result)
{
	struct blkfd_io_cmd *cmd = container_of(iocb, struct blkfd_io_cmd,
						iocb);
	struct blkfd_device *dev = blkfd_io_device(cmd->bio);

	cmd->result = result;
	if (!atomic_dec_and_test(&cmd->refs))
		return;
	if (blkfd_io_judge(dev, cmd) == BLKFD_IO_OVER)
		blkfd_io_end(cmd);
	else
		blkfd_worker_queue(dev, cmd);
}

/* By the vector itself: an iterator would make a copy of each only to be counted. */
static unsigned int blkfd_io_count_bvecs(struct bio *bio,
					 struct bvec_iter left)
{
	const struct bio_vec *first = bio->bi_io_vec + left.bi_idx;
	const struct bio_vec *last = first;
	unsigned int size = mp_bvec_iter_len(bio->bi_io_vec, left);

	while (size < left.bi_size)
		size += (++last)->bv_len;
	return last - first + 1;
}

static void blkfd_io_add_bvecs(struct blkfd_io_cmd *cmd, struct bio *bio)
{
	struct bvec_iter iter;
	struct bio_vec bvec;

	bio_for_each_bvec(bvec, bio, iter)
		cmd->bvecs[cmd->bvec_count++] = bvec;
}

/*
 * The memory of all in one vector, which must last as long as the call. Returns
 * false if there is no memory for it.
 */
static bool blkfd_io_collect_bvecs(struct blkfd_io_cmd *cmd)
{
	unsigned int count = blkfd_io_count_bvecs(cmd->bio, cmd->bio->bi_iter);
	struct blkfd_io_cmd *pos;

	list_for_each_entry(pos, &cmd->merged, entry)
		count += blkfd_io_count_bvecs(pos->bio, pos->bio->bi_iter);
	cmd->bvecs = kmalloc_array(count, sizeof(*cmd->bvecs),
				   GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!cmd->bvecs)
		return false;
	cmd->bvec_count = 0;
	blkfd_io_add_bvecs(cmd, cmd->bio);
	list_for_each_entry(pos, &cmd->merged, entry)
		blkfd_io_add_bvecs(cmd, pos->bio);
	return true;
}

/* What is left of the bio, straight from its own vector. */
static void blkfd_io_init_iter(struct blkfd_io_cmd *cmd, struct iov_iter *iter)
{
	struct bio *bio = cmd->bio;
	int direction = op_is_write(bio_op(bio)) ? ITER_SOURCE : ITER_DEST;
	struct bvec_iter left = bio->bi_iter;
	struct bio_vec *first;

	if (blkfd_io_is_merged(cmd)) {
		iov_iter_bvec(iter, direction, cmd->bvecs, cmd->bvec_count,
			      cmd->length);
		return;
	}
	if (cmd->done)
		bio_advance_iter(bio, &left, cmd->done);
	first = bio->bi_io_vec + left.bi_idx;
	iov_iter_bvec(iter, direction, first, blkfd_io_count_bvecs(bio, left),
		      left.bi_size);
	iter->iov_offset = mp_bvec_iter_offset(bio->bi_io_vec, left) -
			   first->bv_offset;
}

/* Where the bio begins in the file. */
static loff_t blkfd_io_pos(struct blkfd_device *dev, struct bio *bio)
{
	return dev->window.offset + (bio->bi_iter.bi_sector << SECTOR_SHIFT);
}

static int blkfd_io_iocb_flags(struct blkfd_device *dev,
			       struct blkfd_io_cmd *cmd)
{
	bool direct = dev->window.flags & BLKFD_F_DIRECT;
	struct bio *bio = cmd->bio;
	int flags;

	flags = cmd->fsync ? 0 : blkfd_io_sync_flags(dev, bio);
	if (direct)
		flags |= IOCB_DIRECT;
	if (cmd->nowait)
		/* What cannot be direct is read by way of the page cache. */
		flags |= IOCB_NOWAIT | IOCB_NOIO;
	if (op_is_write(bio_op(bio)))
		flags |= IOCB_WRITE;
	return flags;
}

static void blkfd_io_init_iocb(struct blkfd_device *dev,
			       struct blkfd_io_cmd *cmd)
{
	cmd->iocb = (struct kiocb) {
		.ki_filp	= dev->window.file,
		.ki_pos		= blkfd_io_pos(dev, cmd->bio) + cmd->done,
		.ki_complete	= blkfd_io_complete,
		.ki_flags	= blkfd_io_iocb_flags(dev, cmd),
		.ki_ioprio	= cmd->bio->bi_ioprio,
	};
}

static ssize_t blkfd_io_call(struct blkfd_device *dev,
			     struct blkfd_io_cmd *cmd, struct iov_iter *iter)
{
	const struct file_operations *fops = dev->window.file->f_op;

	if (!(cmd->iocb.ki_flags & IOCB_WRITE))
		return fops->read_iter(&cmd->iocb, iter);
	if (cmd->nowait)
		return blkfd_inline_write_iter(dev, &cmd->iocb, iter);
	return fops->write_iter(&cmd->iocb, iter);
}

/**
 * blkfd_io_transfer - read or write what is left
 * @dev: The command's device.
 * @cmd: The command, after blkfd_io_start_write().
 *
 * Returns: what has become of it; it is the caller's to end, or to queue.
 */
enum blkfd_io_state blkfd_io_transfer(struct blkfd_device *dev,
				      struct blkfd_io_cmd *cmd)
{
	struct iov_iter iter;
	ssize_t ret;

	blkfd_io_init_iter(cmd, &iter);
	blkfd_io_init_iocb(dev, cmd);
	atomic_set(&cmd->refs, 2);
	ret = blkfd_io_call(dev, cmd, &iter);
	if (ret == -EIOCBQUEUED) {
		if (!atomic_dec_and_test(&cmd->refs))
			return BLKFD_IO_GONE;
	} else {
		cmd->result = ret;
	}
	return blkfd_io_judge(dev, cmd);
}

/*
 * Of what the file has lost it may have told a write that is to be durable, or, on NFS,
 * any: whose data that was, nobody knows, and so whoever sends a flush has to be told.
 */
static int blkfd_io_told_since(struct blkfd_device *dev)
{
	errseq_t now = READ_ONCE(dev->window.file->f_wb_err);

	return errseq_check(&now, xchg(&dev->flushed_wb_err, now));
}

static int blkfd_io_flush(struct blkfd_device *dev)
{
	loff_t start = dev->window.offset;
	int ret, told;

	ret = vfs_fsync_range(dev->window.file, start,
			      start + bdev_nr_bytes(dev->disk->part0) - 1, 1);
	told = blkfd_io_told_since(dev);
	return ret ?: told;
}

static bool blkfd_io_wants_fsync(struct blkfd_device *dev, struct bio *bio)
{
	return !dev->window.dsync && op_is_write(bio_op(bio)) &&
	       blkfd_io_sync_flags(dev, bio);
}

/* For all that is merged, too. */
static int blkfd_io_fsync(struct blkfd_device *dev, struct blkfd_io_cmd *cmd)
{
	int flags = blkfd_io_sync_flags(dev, cmd->bio);
	loff_t start = blkfd_io_pos(dev, cmd->bio);

	return vfs_fsync_range(dev->window.file, start, start + cmd->length - 1,
			       !(flags & IOCB_SYNC));
}

/*
 * vfs_fallocate() holds a disk to the length that a file may have where the disk's node
 * happens to be.
 */
static int blkfd_io_fallocate(struct blkfd_device *dev, struct bio *bio,
			      int mode)
{
	struct file *file = dev->window.file;
	loff_t pos = blkfd_io_pos(dev, bio), len = bio->bi_iter.bi_size;

	if (S_ISBLK(file_inode(file)->i_mode))
		return file->f_op->fallocate(file, mode, pos, len);
	return vfs_fallocate(file, mode, pos, len);
}

/* Beyond the end of a file that is now too short, this does nothing. */
static int blkfd_io_punch(struct blkfd_device *dev, struct bio *bio)
{
	return blkfd_io_fallocate(dev, bio, FALLOC_FL_PUNCH_HOLE |
					    FALLOC_FL_KEEP_SIZE);
}

/*
 * Zeroes are to be read where they were written, so the file becomes longer, as
 * with any write. All that comes before the last block is a hole.
 */
static int blkfd_io_lengthen(struct blkfd_device *dev, struct bio *bio)
{
	loff_t end = blkfd_io_pos(dev, bio) + bio->bi_iter.bi_size;
	u32 block = dev->window.block_size;
	struct file *file = dev->window.file;
	int ret;

	if (i_size_read(file->f_mapping->host) >= end)
		return 0;
	ret = vfs_fallocate(file, 0, end - block, block);
	return ret == -EOPNOTSUPP ? -EIO : ret;
}

/* Who is told "not supported" falls back to writing, or does without. */
static int blkfd_io_discard(struct blkfd_device *dev, struct bio *bio)
{
	int ret;

	ret = blkfd_io_punch(dev, bio);
	if (ret == -EOPNOTSUPP)
		blk_queue_disable_discard(dev->disk->queue);
	return ret;
}

static int blkfd_io_write_zeroes(struct blkfd_device *dev, struct bio *bio)
{
	bool may_punch = !(dev->window.flags & BLKFD_F_NODISCARD);
	bool punch = may_punch && !(bio->bi_opf & REQ_NOUNMAP);
	int ret;

	ret = punch ? blkfd_io_punch(dev, bio) :
		      blkfd_io_fallocate(dev, bio, FALLOC_FL_ZERO_RANGE);
	/* Unless the other way may work. */
	if (ret == -EOPNOTSUPP && punch == may_punch)
		blk_queue_disable_write_zeroes(dev->disk->queue);
	return ret ?: blkfd_io_lengthen(dev, bio);
}

static int blkfd_io_allocate(struct blkfd_device *dev, struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_DISCARD:
		return blkfd_io_discard(dev, bio);
	case REQ_OP_WRITE_ZEROES:
		return blkfd_io_write_zeroes(dev, bio);
	default:
		return -EOPNOTSUPP;
	}
}

/**
 * blkfd_io_execute - carry a command out
 * @dev: Its device.
 * @cmd: The command.
 *
 * Context: a worker.
 *
 * Returns: whether it is over, for the caller to end; else it is not the
 * caller's any more.
 */
bool blkfd_io_execute(struct blkfd_device *dev, struct blkfd_io_cmd *cmd)
{
	struct bio *bio = cmd->bio;
	enum blkfd_io_state state;

	/* It was here before, and is written. */
	if (cmd->fsync && cmd->done >= cmd->length) {
		cmd->error = blkfd_io_fsync(dev, cmd);
		return true;
	}
	if (blkfd_io_is_refused(dev, bio)) {
		cmd->error = -EIO;
		return true;
	}
	if (bio->bi_opf & REQ_PREFLUSH && !cmd->flushed) {
		cmd->error = blkfd_io_flush(dev);
		cmd->flushed = true;
	}
	if (cmd->error || !bio->bi_iter.bi_size)
		return true;
	if (bio_op(bio) != REQ_OP_READ && bio_op(bio) != REQ_OP_WRITE) {
		cmd->error = blkfd_io_allocate(dev, bio);
		return true;
	}
	/* Until the call is over, what is merged has its vector. */
	if (blkfd_io_is_merged(cmd) && !blkfd_io_collect_bvecs(cmd))
		blkfd_io_unmerge(dev, cmd);
	cmd->nowait = false;
	cmd->fsync = blkfd_io_wants_fsync(dev, bio);
	blkfd_io_start_write(dev, cmd);
	state = blkfd_io_transfer(dev, cmd);
	if (state == BLKFD_IO_LEFT)
		blkfd_worker_queue(dev, cmd);
	return state == BLKFD_IO_OVER;
}

/* tmpfs keeps to its pages, asked to go past them or not; btrfs may, for its sums. */
static bool blkfd_io_takes_pages(const struct blkfd_window *window)
{
	return !(window->flags & BLKFD_F_DIRECT) ||
	       !file_inode(window->file)->i_sb->s_bdev;
}

/**
 * blkfd_io_init_device - what a new device needs before its first bio
 * @dev: Zeroed, but for its id and its window.
 *
 * Returns: 0 or -ENOMEM.
 */
int blkfd_io_init_device(struct blkfd_device *dev)
{
	int ret;

	dev->takes_pages = blkfd_io_takes_pages(&dev->window);
	dev->gives_pages_back =
		mapping_can_writeback(blkfd_backing_inode(dev->window.file)->i_mapping);
	dev->flushed_wb_err = dev->window.file->f_wb_err;
	blkfd_inline_init_device(dev);
	dev->io_stats = alloc_percpu_gfp(struct blkfd_io_stats,
					 GFP_KERNEL_ACCOUNT);
	if (!dev->io_stats)
		return -ENOMEM;
	ret = mempool_init_slab_pool(&dev->io_cmds, BLKFD_IO_RESERVE,
				     blkfd_io_cache);
	if (ret)
		goto out_free_stats;
	ret = blkfd_worker_init_device(dev);
	if (ret)
		goto out_exit_pool;
	return 0;

out_exit_pool:
	mempool_exit(&dev->io_cmds);
out_free_stats:
	free_percpu(dev->io_stats);
	return ret;
}

/**
 * blkfd_io_exit_device - the end of blkfd_io_init_device()
 * @dev: A device that no bio can come to any more.
 *
 * Waits until no worker touches the device.
 */
void blkfd_io_exit_device(struct blkfd_device *dev)
{
	blkfd_worker_exit_device(dev);
	mempool_exit(&dev->io_cmds);
	free_percpu(dev->io_stats);
}

/**
 * blkfd_io_submit - submit_bio of the block device operations
 * @bio: Of any length: a file has no limits that it would have to be split to.
 *
 * This is the one place where a bio is taken on: one that can go to the disk
 * below as it is, past the file, would branch off here.
 */
void blkfd_io_submit(struct bio *bio)
{
	struct blkfd_device *dev = blkfd_io_device(bio);
	bool nowait = bio->bi_opf & REQ_NOWAIT;
	struct blkfd_io_cmd *cmd = NULL;

	if (!nowait || blkfd_worker_has_room(dev) ||
	    !blkfd_worker_bounds_current())
		cmd = blkfd_io_alloc(dev, bio);
	if (!cmd) {
		bio_wouldblock_error(bio);
		return;
	}
	if (dev->takes_pages)
		cmd->memcg = blkfd_cgroup_get_memcg(bio,
						    dev->disk->part0->bd_mapping);
	blkfd_io_account_start(cmd);
	if (blkfd_inline_submit(dev, cmd))
		return;
	cmd->counts = blkfd_worker_bounds_current();
	if (cmd->counts && !nowait)
		blkfd_worker_wait_for_room(dev, bio);
	blkfd_worker_queue(dev, cmd);
}

int blkfd_io_init(void)
{
	blkfd_io_cache = KMEM_CACHE(blkfd_io_cmd, 0);
	return blkfd_io_cache ? 0 : -ENOMEM;
}

static void blkfd_io_free_spares(struct blkfd_io_spares *spares)
{
	while (spares->count)
		kmem_cache_free(blkfd_io_cache, spares->cmds[--spares->count]);
}

/* No device is left. */
void blkfd_io_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		blkfd_io_free_spares(per_cpu_ptr(&blkfd_io_spares, cpu));
	kmem_cache_destroy(blkfd_io_cache);
}
