// SPDX-License-Identifier: GPL-2.0
/*
 * For the tests of inline I/O: reads a page from a device, as a task that is in such a
 * state as file systems put theirs into. Loading the module fails if the read does.
 */
#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/task_stack.h>

static char *device;
module_param(device, charp, 0400);
MODULE_PARM_DESC(device, "Path of the device");

enum blkfd_sender_how {
	BLKFD_SENDER_PLAIN,
	BLKFD_SENDER_TRANSACTION,
	BLKFD_SENDER_MEMALLOC,
	BLKFD_SENDER_NOFS,
	BLKFD_SENDER_DEEP,
	BLKFD_SENDER_ROOT_CGROUP,
};

static int how;
module_param(how, int, 0400);
MODULE_PARM_DESC(how, "In a transaction (1), for reclaim (2), under locks of file systems (3), deep in the stack (4), for the root cgroup (5), or in none of these ways (0)");

static int blkfd_sender_in_transaction(struct bio *bio)
{
	void *before = current->journal_info;
	int ret;

	current->journal_info = bio;
	ret = submit_bio_wait(bio);
	current->journal_info = before;
	return ret;
}

static int blkfd_sender_for_reclaim(struct bio *bio)
{
	unsigned int flags = memalloc_noreclaim_save();
	int ret = submit_bio_wait(bio);

	memalloc_noreclaim_restore(flags);
	return ret;
}

static int blkfd_sender_without_fs(struct bio *bio)
{
	unsigned int flags = memalloc_nofs_save();
	int ret = submit_bio_wait(bio);

	memalloc_nofs_restore(flags);
	return ret;
}

/* From where half of the stack is taken. */
static noinline int blkfd_sender_deep(struct bio *bio)
{
	unsigned long left = (unsigned long)__builtin_frame_address(0) -
			     (unsigned long)task_stack_page(current);
	char frame[256];
	int ret;

	barrier_data(frame);
	if (left > THREAD_SIZE / 2)
		ret = blkfd_sender_deep(bio);
	else
		ret = submit_bio_wait(bio);
	barrier_data(frame);
	return ret;
}

static int blkfd_sender_send(struct bio *bio)
{
	switch (how) {
	case BLKFD_SENDER_TRANSACTION:
		return blkfd_sender_in_transaction(bio);
	case BLKFD_SENDER_MEMALLOC:
		return blkfd_sender_for_reclaim(bio);
	case BLKFD_SENDER_NOFS:
		return blkfd_sender_without_fs(bio);
	case BLKFD_SENDER_DEEP:
		return blkfd_sender_deep(bio);
	case BLKFD_SENDER_ROOT_CGROUP:
		bio_associate_blkg_from_css(bio, blkcg_root_css);
		fallthrough;
	default:
		return submit_bio_wait(bio);
	}
}

static int blkfd_sender_read(struct block_device *bdev)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct bio *bio;
	int ret;

	if (!page)
		return -ENOMEM;
	bio = bio_alloc(bdev, 1, REQ_OP_READ, GFP_KERNEL);
	__bio_add_page(bio, page, PAGE_SIZE, 0);
	ret = blkfd_sender_send(bio);
	bio_put(bio);
	__free_page(page);
	return ret;
}

static int __init blkfd_sender_init(void)
{
	struct file *file;
	int ret;

	file = bdev_file_open_by_path(device, BLK_OPEN_READ, NULL, NULL);
	if (IS_ERR(file))
		return PTR_ERR(file);
	ret = blkfd_sender_read(file_bdev(file));
	fput(file);
	return ret;
}

static void __exit blkfd_sender_exit(void)
{
}

module_init(blkfd_sender_init);
module_exit(blkfd_sender_exit);

MODULE_DESCRIPTION("A read by a task in a state of one's choice, for tests");
MODULE_LICENSE("GPL");
