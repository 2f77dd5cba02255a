/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The life of a device. blkfd_device_create() dresses a disk, mostly one that was
 * made before, and opens its first file. The block layer counts who has it open;
 * when the last one closes, release drops the backing file and hands the rest, a
 * husk that refuses every open, to a worker. The husk's memory and its device
 * number go with the last reference to the gendisk, which inodes hold too: while
 * an inode names a device number, no other device can have it.
 */
#ifndef BLKFD_BLKFD_H
#define BLKFD_BLKFD_H

#include <linux/blkdev.h>
#include <linux/errseq.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/blkfd.h>

#include "compat.h"

/* How many devices may lie on each other's file systems. */
#define BLKFD_MAX_DEPTH 4

/* Commands of one device that may wait at once; others wait for a worker. */
#define BLKFD_WORKERS 4

/*
 * Commands of processes that the workers of one device may have at once, as a disk has
 * tags, and how many are left when those go on who wait to send more. Nothing else keeps
 * anybody from sending more than there is memory for.
 */
#define BLKFD_WORKER_DEPTH 128
#define BLKFD_WORKER_ROOM (BLKFD_WORKER_DEPTH * 3 / 4)

#define BLKFD_FLAGS (BLKFD_F_RDONLY | BLKFD_F_DIRECT | BLKFD_F_NODISCARD)

/**
 * struct blkfd_window - the part of a file that a device shows
 * @file: The backing file, of a device opened for it alone.
 * @dev: The device that holds the file, or that it is.
 * @ino: Its inode number.
 * @offset: Its first byte, a multiple of @block_size.
 * @length: In bytes, a multiple of @block_size, never 0. Of the device's first
 *	moment: from then on its capacity says.
 * @flags: BLKFD_F_* in force.
 * @block_size: Logical block size in bytes.
 * @min_block: The smallest that the file could be used with.
 * @dma_alignment: What memory of an I/O must be aligned to, minus 1.
 * @depth: Devices below this one, as far as the file system tells.
 * @dsync: A write with IOCB_DSYNC is durable when it is over, however it is made.
 * @tells: The file's f_wb_err shows what such a write has been told of.
 */
struct blkfd_window {
	struct file *file;
	dev_t dev;
	u64 ino;
	u64 offset;
	u64 length;
	u32 flags;
	u32 block_size;
	u32 min_block;
	u32 dma_alignment;
	unsigned int depth;
	bool dsync;
	bool tells;
};

/**
 * struct blkfd_io_cmd - a bio on its way
 * @entry: In the device's backlog, among those that a worker is to end, or in
 *	another's @merged.
 * @bio: What is to be done.
 * @iocb: The call on the file that is under way.
 * @refs: Who may still touch @iocb: the one that made the call, and the file.
 * @result: What the call returned.
 * @error: What to end the bio with, 0 or negative.
 * @length: Bytes that calls are to move: of the bio and of those @merged.
 * @done: Bytes that earlier calls have moved.
 * @merged: Those that the call is for as well, each of which begins where the one
 *	before ends.
 * @bvecs: If there are such, the memory of all, allocated for the call.
 * @bvec_count: How many those are.
 * @alone: Not to be merged: a call along with others came to less than all.
 * @memcg: Who pays for memory, with a reference, or NULL: whom the bio names.
 * @nowait: The call is one that may not wait.
 * @by_worker: It took a worker.
 * @counts: It was left to workers by one who has to wait if they have too many.
 * @uncharged: Its cgroup had no memory for it: it is to be charged to none.
 * @flushed: The flush that comes before the data is done.
 * @fsync: One is to follow the write, as the file does not keep to IOCB_DSYNC.
 * @accounted: The bio is in the disk's statistics since @start.
 * @start: In jiffies.
 */
struct blkfd_io_cmd {
	struct list_head entry;
	struct bio *bio;
	struct kiocb iocb;
	atomic_t refs;
	ssize_t result;
	int error;
	unsigned int length;
	unsigned int done;
	struct list_head merged;
	struct bio_vec *bvecs;
	unsigned int bvec_count;
	struct cgroup_subsys_state *memcg;
	bool alone;
	bool nowait;
	bool by_worker;
	bool counts;
	bool uncharged;
	bool flushed;
	bool fsync;
	bool accounted;
	unsigned long start;
};

/* What has become of a command after a call. */
enum blkfd_io_state {
	BLKFD_IO_OVER,		/* to be ended */
	BLKFD_IO_LEFT,		/* or a part of it, for a worker */
	BLKFD_IO_GONE,		/* under way, and nobody's here */
};

/**
 * struct blkfd_io_stats - which way I/Os went
 * @inline_ios: By the task that sent them.
 * @worker_ios: By a worker, at least the last part.
 * @would_block: Attempts without a worker that came to nothing.
 */
struct blkfd_io_stats {
	u64 inline_ios;
	u64 worker_ios;
	u64 would_block;
};

enum blkfd_worker_state {
	BLKFD_WORKER_IDLE,
	BLKFD_WORKER_AWAKE,	/* on the way to the backlog */
	BLKFD_WORKER_ASLEEP,	/* or was, during the present command; or leaves */
};

/**
 * struct blkfd_worker - one of those that work off a device's backlog
 * @work: Queued when an idle worker wakes. Not part of a command: a workqueue
 *	takes a work item at the address of a running one for the same, and lets
 *	it wait, which a command in a finished one's memory may not.
 * @end_work: Queued when @ended has commands.
 * @dev: The device.
 * @state: Under worker_lock.
 * @ended: Commands that were over when the worker went to sleep, and whose bios
 *	are to be ended. Under worker_lock.
 */
struct blkfd_worker {
	struct work_struct work;
	struct work_struct end_work;
	struct blkfd_device *dev;
	enum blkfd_worker_state state;
	struct list_head ended;
};

/*
 * Lock order: resize_lock, disk->open_mutex, lock; resize_lock, the i_rwsem and the
 * invalidate_lock of the block layer's inode. worker_lock is innermost and taken with
 * interrupts off.
 */
struct blkfd_device {
	struct gendisk *disk;
	u64 id;
	const struct cred *creator;
	struct blkfd_account *account;
	struct blkfd_control *control;
	/* Bytes that count for @control; resize_lock, once there is a file. */
	u64 charged;
	struct pid *creator_pid;

	/* One resize at a time. Held over I/O, which may hang. */
	struct mutex resize_lock;
	/* window.file for those without an open file. */
	struct mutex lock;
	struct blkfd_window window;

	/* open_mutex: the first file exists, so closing the last one counts. */
	bool published;
	/* open_mutex: the last file was closed. */
	bool dying;
	struct work_struct reap;

	/* Of limits.c. @freed: to be set when the disk is freed. */
	struct blkfd_device *next_husk;
	bool is_husk;
	bool *freed;

	/* REQ_OP_* to try without a worker, as bits. */
	unsigned int inline_ops;
	/* The size of the file's blocks, minus 1, if writes may be of less; else 0. */
	unsigned int inline_mask;
	/* Attempts in a row that came to nothing; races do no harm. */
	unsigned int inline_misses;
	/* When the file's times were last seen to be those of now, in jiffies. */
	unsigned long inline_times_at;

	/* I/O makes pages of the file, for which somebody has to pay. */
	bool takes_pages;
	/* When they are written, their memory can be had for something else. */
	bool gives_pages_back;

	struct blkfd_io_stats __percpu *io_stats;
	atomic64_t io_errors;
	/* Of the last write that failed, if no fsync() has told since. */
	int write_error;
	/* The file's f_wb_err at the last flush. */
	errseq_t flushed_wb_err;

	/*
	 * The last cgroup that had no memory for a call, only to be compared, and
	 * until when that holds, in jiffies; races do no harm.
	 */
	struct cgroup_subsys_state *full_cgroup;
	unsigned long full_until;

	/*
	 * The backlog and who works it off. A device shares neither its threads
	 * nor its reserve of commands: its file may lie on another one, or keep
	 * it waiting for ever.
	 */
	mempool_t io_cmds;
	spinlock_t worker_lock;		/* of what says so */
	struct list_head backlog;	/* worker_lock */
	unsigned int workers_awake;	/* worker_lock */
	/* Commands that came to the workers, of those that count, and are not over. */
	atomic_t worker_count;
	/* Those were BLKFD_WORKER_DEPTH, and not BLKFD_WORKER_ROOM since. */
	bool workers_full;		/* worker_lock */
	/* How often that has ended. */
	unsigned int worker_rooms;	/* worker_lock */
	wait_queue_head_t worker_room;
	struct blkfd_worker workers[BLKFD_WORKERS];
	struct workqueue_struct *worker_queue;
};

/* backing.c */
struct inode *blkfd_backing_inode(struct file *file);
int blkfd_backing_check(struct file *file, const struct blkfd_create *arg,
			struct blkfd_window *window);
int blkfd_backing_open(struct blkfd_window *window);
int blkfd_backing_length(const struct blkfd_window *window, u64 length,
			 u64 *result);
void blkfd_backing_limits(const struct blkfd_window *window,
			  struct queue_limits *lim);

/* control.c */
extern const struct file_operations blkfd_control_main_fops;
extern const struct file_operations blkfd_control_fops;
struct blkfd_control *blkfd_control_get(struct blkfd_control *control);
void blkfd_control_put(struct blkfd_control *control);
struct blkfd_control *blkfd_control_of(struct file *file);
int blkfd_control_check(const struct blkfd_control *control, u32 flags,
			const struct blkfd_window *window);
int blkfd_control_charge(struct blkfd_control *control, u64 bytes, bool really);
void blkfd_control_add_husks(struct blkfd_control *control, int count,
			     s64 bytes);
void blkfd_control_uncharge(struct blkfd_control *control, u64 bytes);
int blkfd_control_recharge(struct blkfd_control *control, u64 before,
			   u64 after);
void blkfd_control_fill(const struct blkfd_control *control,
			struct blkfd_instance *instance);
struct file *blkfd_control_create(struct blkfd_control *parent,
				  const struct blkfd_instance *asked);
int blkfd_control_revoke(const struct blkfd_control *around,
			 struct file *file);

/* controlfs.c */
int blkfd_controlfs_init(void);
void blkfd_controlfs_exit(void);

/* device.c */
extern const struct block_device_operations blkfd_device_ops;
struct file *blkfd_device_create(struct blkfd_control *control,
				 const struct blkfd_window *window);
int blkfd_device_resize(struct blkfd_device *dev, u64 length);

/* disk.c */
extern struct workqueue_struct *blkfd_disk_queue;
int blkfd_disk_init(void);
void blkfd_disk_exit(void);
struct gendisk *blkfd_disk_get(u64 *id, bool made_ahead);
void blkfd_disk_free_number(struct gendisk *disk);

/* inode.c */
int blkfd_inode_init(void);
struct file *blkfd_inode_open(struct blkfd_device *dev);

/* info.c */
extern const struct attribute_group *blkfd_info_groups[];
void blkfd_info_fill(struct blkfd_device *dev, struct blkfd_info *info);

/* inline.c */
void blkfd_inline_init_device(struct blkfd_device *dev);
bool blkfd_inline_submit(struct blkfd_device *dev, struct blkfd_io_cmd *cmd);
void blkfd_inline_count_attempt(struct blkfd_device *dev,
				const struct blkfd_io_cmd *cmd);
ssize_t blkfd_inline_write_iter(struct blkfd_device *dev, struct kiocb *iocb,
				struct iov_iter *iter);

/* io.c */
int blkfd_io_init(void);
void blkfd_io_exit(void);
int blkfd_io_init_device(struct blkfd_device *dev);
void blkfd_io_exit_device(struct blkfd_device *dev);
void blkfd_io_submit(struct bio *bio);
bool blkfd_io_start_write(struct blkfd_device *dev, struct blkfd_io_cmd *cmd);
enum blkfd_io_state blkfd_io_transfer(struct blkfd_device *dev,
				      struct blkfd_io_cmd *cmd);
bool blkfd_io_is_next(const struct blkfd_io_cmd *cmd,
		      const struct blkfd_io_cmd *next);
bool blkfd_io_is_charged(struct blkfd_device *dev, struct blkfd_io_cmd *cmd);
bool blkfd_io_execute(struct blkfd_device *dev, struct blkfd_io_cmd *cmd);
void blkfd_io_end(struct blkfd_io_cmd *cmd);

/* ioctl.c */
long blkfd_ioctl_control(struct blkfd_control *control, unsigned int cmd,
			 unsigned long arg);
int blkfd_ioctl_device(struct block_device *bdev, blk_mode_t mode,
		       unsigned int cmd, unsigned long arg);

/* limits.c */
int blkfd_limits_init(void);
void blkfd_limits_exit(void);
unsigned int blkfd_limits_now(void);
int blkfd_limits_wait(unsigned int since);
int blkfd_limits_charge(struct blkfd_device *dev);
bool blkfd_limits_has_backlog(const struct blkfd_device *dev);
void blkfd_limits_bury(struct blkfd_device *dev);
void blkfd_limits_put_disk(struct blkfd_device *dev);
void blkfd_limits_uncharge(struct blkfd_device *dev);
void blkfd_limits_fill(struct blkfd_limits *limits);
int blkfd_limits_next_user(struct blkfd_user *user);

/* worker.c */
int blkfd_worker_init(void);
void blkfd_worker_exit(void);
int blkfd_worker_init_device(struct blkfd_device *dev);
void blkfd_worker_exit_device(struct blkfd_device *dev);
void blkfd_worker_queue(struct blkfd_device *dev, struct blkfd_io_cmd *cmd);
bool blkfd_worker_bounds_current(void);
bool blkfd_worker_has_room(struct blkfd_device *dev);
void blkfd_worker_wait_for_room(struct blkfd_device *dev, struct bio *bio);
void blkfd_worker_make_room(struct blkfd_device *dev,
			    const struct blkfd_io_cmd *cmd);

#endif /* BLKFD_BLKFD_H */
