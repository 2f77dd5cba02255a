// SPDX-License-Identifier: GPL-2.0
/*
 * What is known of a device: for BLKFD_GET_INFO, and as files in
 * /sys/block/blkfdN/blkfd, one value each, with the names of struct blkfd_info. A
 * disk that has no device yet has the files; reading them gives ENODEV.
 */
#include <linux/cred.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/part_stat.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/sysfs.h>
#include <linux/user_namespace.h>

#include "blkfd.h"

static u32 blkfd_info_creator_uid(struct blkfd_device *dev)
{
	return from_kuid_munged(current_user_ns(), dev->creator->euid);
}

static u32 blkfd_info_creator_pid(struct blkfd_device *dev)
{
	u32 pid = 0;

	rcu_read_lock();
	if (pid_task(dev->creator_pid, PIDTYPE_TGID))
		pid = pid_vnr(dev->creator_pid);
	rcu_read_unlock();
	return pid;
}

/* Each processor goes on counting while they are added up. */
#define blkfd_info_stat(part, field) data_race(part_stat_read(part, field))

static void blkfd_info_fill_stats(struct blkfd_device *dev,
				  struct blkfd_info *info)
{
	struct block_device *part = dev->disk->part0;

	info->reads = blkfd_info_stat(part, ios[STAT_READ]);
	info->read_bytes =
		(u64)blkfd_info_stat(part, sectors[STAT_READ]) << SECTOR_SHIFT;
	info->writes = blkfd_info_stat(part, ios[STAT_WRITE]);
	info->write_bytes =
		(u64)blkfd_info_stat(part, sectors[STAT_WRITE]) << SECTOR_SHIFT;
	info->discards = blkfd_info_stat(part, ios[STAT_DISCARD]);
	info->flushes = blkfd_info_stat(part, ios[STAT_FLUSH]);
	info->errors = atomic64_read(&dev->io_errors);
}

static void blkfd_info_fill_io(struct blkfd_device *dev,
			       struct blkfd_info *info)
{
	struct blkfd_io_stats *stats;
	int cpu;

	for_each_possible_cpu(cpu) {
		stats = per_cpu_ptr(dev->io_stats, cpu);
		info->inline_ios += READ_ONCE(stats->inline_ios);
		info->worker_ios += READ_ONCE(stats->worker_ios);
		info->would_block += READ_ONCE(stats->would_block);
	}
}

/**
 * blkfd_info_fill - what is known of a device now
 * @dev: The device.
 * @info: Filled in whole.
 */
void blkfd_info_fill(struct blkfd_device *dev, struct blkfd_info *info)
{
	*info = (struct blkfd_info) {
		.id		= dev->id,
		.diskseq	= dev->disk->diskseq,
		.dev_major	= dev->disk->major,
		.dev_minor	= dev->disk->first_minor,
		.backing_major	= MAJOR(dev->window.dev),
		.backing_minor	= MINOR(dev->window.dev),
		.backing_ino	= dev->window.ino,
		.offset		= dev->window.offset,
		.length		= bdev_nr_bytes(dev->disk->part0),
		.flags		= dev->window.flags,
		.block_size	= dev->window.block_size,
		.creator_uid	= blkfd_info_creator_uid(dev),
		.creator_pid	= blkfd_info_creator_pid(dev),
	};
	blkfd_info_fill_stats(dev, info);
	blkfd_info_fill_io(dev, info);
}

/* NULL: a spare disk. */
static struct blkfd_device *blkfd_info_device(struct device *ddev)
{
	/* Pairs with that of blkfd_device_dress_disk(). */
	return smp_load_acquire(&dev_to_disk(ddev)->private_data);
}

#define BLKFD_INFO_ATTR(name, format, ...)				\
static ssize_t name##_show(struct device *ddev,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	struct blkfd_device *dev = blkfd_info_device(ddev);		\
	struct blkfd_info info;						\
									\
	if (!dev)							\
		return -ENODEV;						\
	blkfd_info_fill(dev, &info);					\
	return sysfs_emit(buf, format "\n", __VA_ARGS__);		\
}									\
static DEVICE_ATTR_RO(name)

BLKFD_INFO_ATTR(id, "%llu", info.id);
BLKFD_INFO_ATTR(backing_dev, "%u:%u", info.backing_major, info.backing_minor);
BLKFD_INFO_ATTR(backing_ino, "%llu", info.backing_ino);
BLKFD_INFO_ATTR(offset, "%llu", info.offset);
BLKFD_INFO_ATTR(length, "%llu", info.length);
BLKFD_INFO_ATTR(block_size, "%u", info.block_size);
BLKFD_INFO_ATTR(creator_uid, "%u", info.creator_uid);
BLKFD_INFO_ATTR(creator_pid, "%u", info.creator_pid);
BLKFD_INFO_ATTR(stats,
		"reads %llu\nread_bytes %llu\nwrites %llu\nwrite_bytes %llu\n"
		"discards %llu\nflushes %llu\nerrors %llu\n"
		"inline_ios %llu\nworker_ios %llu\nwould_block %llu",
		info.reads, info.read_bytes, info.writes, info.write_bytes,
		info.discards, info.flushes, info.errors,
		info.inline_ios, info.worker_ios, info.would_block);

static const char * const blkfd_info_flag_names[] = {
	"rdonly", "direct", "nodiscard",
};

static ssize_t flags_show(struct device *ddev, struct device_attribute *attr,
			  char *buf)
{
	struct blkfd_device *dev = blkfd_info_device(ddev);
	u32 flags;
	int i, len = 0;

	if (!dev)
		return -ENODEV;
	flags = dev->window.flags;
	for (i = 0; i < ARRAY_SIZE(blkfd_info_flag_names); i++)
		if (flags & BIT(i))
			len += sysfs_emit_at(buf, len, "%s%s", len ? " " : "",
					     blkfd_info_flag_names[i]);
	return len + sysfs_emit_at(buf, len, "\n");
}
static DEVICE_ATTR_RO(flags);

/* The path that the file has now, as the reader sees it; for root only. */
static ssize_t backing_file_show(struct device *ddev,
				 struct device_attribute *attr, char *buf)
{
	struct blkfd_device *dev = blkfd_info_device(ddev);
	ssize_t len = -ENODEV;
	char *path;

	if (!dev)
		return -ENODEV;
	mutex_lock(&dev->lock);
	if (dev->window.file) {
		path = file_path(dev->window.file, buf, PAGE_SIZE - 1);
		len = PTR_ERR_OR_ZERO(path);
		if (!len) {
			len = strlen(path);
			memmove(buf, path, len);
			buf[len++] = '\n';
		}
	}
	mutex_unlock(&dev->lock);
	return len;
}
static DEVICE_ATTR_ADMIN_RO(backing_file);

static struct attribute *blkfd_info_attrs[] = {
	&dev_attr_id.attr,
	&dev_attr_backing_dev.attr,
	&dev_attr_backing_ino.attr,
	&dev_attr_backing_file.attr,
	&dev_attr_offset.attr,
	&dev_attr_length.attr,
	&dev_attr_flags.attr,
	&dev_attr_block_size.attr,
	&dev_attr_creator_uid.attr,
	&dev_attr_creator_pid.attr,
	&dev_attr_stats.attr,
	NULL
};

static const struct attribute_group blkfd_info_group = {
	.name	= "blkfd",
	.attrs	= blkfd_info_attrs,
};

const struct attribute_group *blkfd_info_groups[] = {
	&blkfd_info_group,
	NULL
};
