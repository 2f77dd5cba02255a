// SPDX-License-Identifier: GPL-2.0
/*
 * For the tests of workers: a disk whose driver keeps the first write until it has
 * another, or has waited for that in vain: then in_time is N.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sizes.h>

#define BLKFD_WAIT	(100 * HZ)
#define BLKFD_DEPTH	4

static int writes;
module_param(writes, int, 0444);
MODULE_PARM_DESC(writes, "How many there were");

static bool in_time = true;
module_param(in_time, bool, 0444);
MODULE_PARM_DESC(in_time, "Whether the first did not wait in vain");

static atomic_t blkfd_writes = ATOMIC_INIT(0);
static DECLARE_COMPLETION(blkfd_second);
static struct blk_mq_tag_set blkfd_tags;
static struct gendisk *blkfd_disk;

static void blkfd_write(void)
{
	int number = atomic_inc_return(&blkfd_writes);

	WRITE_ONCE(writes, number);
	if (number == 1)
		in_time = wait_for_completion_timeout(&blkfd_second, BLKFD_WAIT);
	else
		complete_all(&blkfd_second);
}

/* Who looks what there is on a new disk reads nothing in particular. */
static blk_status_t blkfd_queue_rq(struct blk_mq_hw_ctx *hctx,
				   const struct blk_mq_queue_data *data)
{
	blk_mq_start_request(data->rq);
	if (req_op(data->rq) == REQ_OP_WRITE)
		blkfd_write();
	blk_mq_end_request(data->rq, BLK_STS_OK);
	return BLK_STS_OK;
}

static const struct blk_mq_ops blkfd_mq_ops = {
	.queue_rq	= blkfd_queue_rq,
};

static const struct block_device_operations blkfd_disk_ops = {
	.owner		= THIS_MODULE,
};

static int __init blkfd_waiting_disk_init(void)
{
	int ret;

	blkfd_tags.ops = &blkfd_mq_ops;
	blkfd_tags.nr_hw_queues = 1;
	blkfd_tags.queue_depth = BLKFD_DEPTH;
	blkfd_tags.numa_node = NUMA_NO_NODE;
	blkfd_tags.flags = BLK_MQ_F_BLOCKING | BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	ret = blk_mq_alloc_tag_set(&blkfd_tags);
	if (ret)
		return ret;
	blkfd_disk = blk_mq_alloc_disk(&blkfd_tags, NULL, NULL);
	ret = PTR_ERR_OR_ZERO(blkfd_disk);
	if (ret)
		goto out_free_tags;
	blkfd_disk->fops = &blkfd_disk_ops;
	blkfd_disk->flags |= GENHD_FL_NO_PART;
	strscpy(blkfd_disk->disk_name, "waiting_disk", DISK_NAME_LEN);
	set_capacity(blkfd_disk, SZ_1M >> SECTOR_SHIFT);
	ret = add_disk(blkfd_disk);
	if (ret)
		goto out_put_disk;
	return 0;

out_put_disk:
	put_disk(blkfd_disk);
out_free_tags:
	blk_mq_free_tag_set(&blkfd_tags);
	return ret;
}

static void __exit blkfd_waiting_disk_exit(void)
{
	del_gendisk(blkfd_disk);
	put_disk(blkfd_disk);
	blk_mq_free_tag_set(&blkfd_tags);
}

module_init(blkfd_waiting_disk_init);
module_exit(blkfd_waiting_disk_exit);

MODULE_DESCRIPTION("A disk that keeps a request until it has another, for tests");
MODULE_LICENSE("GPL");
