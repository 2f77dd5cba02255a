// SPDX-License-Identifier: GPL-2.0
/*
 * For the tests of workers: reads from a device, and where that bio ends, waits
 * for another. Loading the module fails with ETIMEDOUT if the other ended only
 * when nobody waited any more.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

static char *device;
module_param(device, charp, 0400);
MODULE_PARM_DESC(device, "Path of the device");

#define BLKFD_WAIT	(100 * HZ)

static DECLARE_COMPLETION(blkfd_first_over);
static DECLARE_COMPLETION(blkfd_second_over);
static struct bio *blkfd_first, *blkfd_second;
static bool blkfd_in_time;

static void blkfd_second_end(struct bio *bio)
{
	complete(&blkfd_second_over);
}

static void blkfd_first_end(struct bio *bio)
{
	submit_bio(blkfd_second);
	blkfd_in_time = wait_for_completion_timeout(&blkfd_second_over, BLKFD_WAIT);
	complete(&blkfd_first_over);
}

static struct bio *blkfd_read_of(struct block_device *bdev, struct page *page,
				 sector_t sector, bio_end_io_t *end)
{
	struct bio *bio = bio_alloc(bdev, 1, REQ_OP_READ, GFP_KERNEL);

	bio->bi_iter.bi_sector = sector;
	bio->bi_end_io = end;
	__bio_add_page(bio, page, PAGE_SIZE, 0);
	return bio;
}

static int blkfd_read_both(struct block_device *bdev, struct page *page)
{
	blkfd_first = blkfd_read_of(bdev, page, 0, blkfd_first_end);
	blkfd_second = blkfd_read_of(bdev, page, PAGE_SECTORS, blkfd_second_end);
	submit_bio(blkfd_first);
	wait_for_completion(&blkfd_first_over);
	if (!blkfd_in_time)
		wait_for_completion(&blkfd_second_over);
	/* Nobody is in this module's code any more, which may go now. */
	synchronize_rcu_tasks();
	bio_put(blkfd_first);
	bio_put(blkfd_second);
	return blkfd_in_time ? 0 : -ETIMEDOUT;
}

static int __init blkfd_waiting_end_init(void)
{
	struct file *file;
	struct page *page;
	int ret = -ENOMEM;

	file = bdev_file_open_by_path(device, BLK_OPEN_READ, NULL, NULL);
	if (IS_ERR(file))
		return PTR_ERR(file);
	page = alloc_page(GFP_KERNEL);
	if (page) {
		ret = blkfd_read_both(file_bdev(file), page);
		__free_page(page);
	}
	fput(file);
	return ret;
}

static void __exit blkfd_waiting_end_exit(void)
{
}

module_init(blkfd_waiting_end_init);
module_exit(blkfd_waiting_end_exit);

MODULE_DESCRIPTION("A bio that waits for another where it ends, for tests");
MODULE_LICENSE("GPL");
