/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The life of a device. blkfd_device_create() makes it and its first file. The
 * block layer counts who has it open; when the last one closes, release drops
 * the backing file and hands the rest, a husk that refuses every open, to a
 * worker. The husk's memory and its device number go with the last reference to
 * the gendisk, which inodes hold too: while an inode names a device number, no
 * other device can have it.
 */
#ifndef BLKFD_BLKFD_H
#define BLKFD_BLKFD_H

#include <linux/blkdev.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/blkfd.h>

#include "compat.h"

/* How many devices may lie on each other's file systems. */
#define BLKFD_MAX_DEPTH 4

/* Commands of one device that may run at once; the others wait for a worker. */
#define BLKFD_IO_WORKERS 4

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
 * @dma_alignment: What memory of an I/O must be aligned to, minus 1.
 * @depth: Devices below this one, as far as the file system tells.
 */
struct blkfd_window {
	struct file *file;
	dev_t dev;
	u64 ino;
	u64 offset;
	u64 length;
	u32 flags;
	u32 block_size;
	u32 dma_alignment;
	unsigned int depth;
};

/**
 * struct blkfd_io_worker - one of those that work off a device's backlog
 * @work: Queued when @busy becomes true. Not part of a command: a workqueue
 *	takes a work item at the address of a running one for the same, and lets
 *	it wait, which a command in a finished one's memory may not.
 * @dev: The device.
 * @busy: Under io_lock.
 */
struct blkfd_io_worker {
	struct work_struct work;
	struct blkfd_device *dev;
	bool busy;
};

/*
 * Lock order: disk->open_mutex, lock. io_lock is innermost and taken with
 * interrupts off.
 */
struct blkfd_device {
	struct gendisk *disk;
	u64 id;
	const struct cred *creator;
	struct pid *creator_pid;

	/* One resize at a time; window.file for those without an open file. */
	struct mutex lock;
	struct blkfd_window window;

	/* open_mutex: the first file exists, so closing the last one counts. */
	bool published;
	/* open_mutex: the last file was closed. */
	bool dying;
	struct work_struct reap;

	/*
	 * The backlog and who works it off. A device shares neither its threads
	 * nor its reserve of commands: its file may lie on another one, or keep
	 * it waiting for ever.
	 */
	spinlock_t io_lock;
	struct list_head io_backlog;	/* io_lock */
	struct blkfd_io_worker io_workers[BLKFD_IO_WORKERS];
	struct workqueue_struct *io_queue;
	mempool_t io_cmds;
	atomic64_t io_errors;
};

/* backing.c */
int blkfd_backing_check(struct file *file, const struct blkfd_create *arg,
			struct blkfd_window *window);
int blkfd_backing_open(struct blkfd_window *window);
int blkfd_backing_length(const struct blkfd_window *window, u64 length,
			 u64 *result);
void blkfd_backing_limits(const struct blkfd_window *window,
			  struct queue_limits *lim);

/* device.c */
extern const struct block_device_operations blkfd_device_ops;
int blkfd_device_init(void);
void blkfd_device_exit(void);
struct file *blkfd_device_create(const struct blkfd_window *window);
int blkfd_device_resize(struct blkfd_device *dev, u64 length);

/* inode.c */
struct file *blkfd_inode_open(struct blkfd_device *dev);

/* info.c */
extern const struct attribute_group *blkfd_info_groups[];
void blkfd_info_fill(struct blkfd_device *dev, struct blkfd_info *info);

/* io.c */
int blkfd_io_init(void);
void blkfd_io_exit(void);
int blkfd_io_init_device(struct blkfd_device *dev);
void blkfd_io_exit_device(struct blkfd_device *dev);
void blkfd_io_submit(struct bio *bio);

/* ioctl.c */
long blkfd_ioctl_control(struct file *file, unsigned int cmd,
			 unsigned long arg);
int blkfd_ioctl_device(struct block_device *bdev, blk_mode_t mode,
		       unsigned int cmd, unsigned long arg);

#endif /* BLKFD_BLKFD_H */
