// SPDX-License-Identifier: GPL-2.0
/*
 * Devices as sysfs shows them, and where they are mounted. A device can go at
 * any moment: what is then missing is -ENOENT.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common.h"
#include "device-info.h"

#define SYS_BLOCK "/sys/block"

const struct flag_word create_words[] = {
	{ BLKFD_F_RDONLY, "rdonly" },
	{ BLKFD_F_DIRECT, "direct" },
	{ BLKFD_F_NODISCARD, "nodiscard" },
	{ }
};

/* To open or read what is being removed is ENODEV. */
static int missing(int error)
{
	return error == ENODEV || error == ENXIO ? -ENOENT : -error;
}

/* The file's text without its newline: its length. */
static int read_text(int dir, const char *name, char *text, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t length;
	int ret;

	if (fd < 0)
		return missing(errno);
	length = read(fd, text, size - 1);
	ret = length < 0 ? missing(errno) : (int)length;
	close(fd);
	if (ret < 0)
		return ret;
	if (ret && text[ret - 1] == '\n')
		ret--;
	text[ret] = 0;
	return ret;
}

static int read_u64(int dir, const char *name, __u64 *value)
{
	char text[32];
	char *end;
	int ret = read_text(dir, name, text, sizeof(text));

	if (ret < 0)
		return ret;
	*value = strtoull(text, &end, 10);
	return end == text || *end ? -EBADMSG : 0;
}

static int read_u32(int dir, const char *name, __u32 *value)
{
	__u64 number;
	int ret = read_u64(dir, name, &number);

	if (!ret)
		*value = number;
	return ret;
}

static int read_dev(int dir, const char *name, __u32 *major, __u32 *minor)
{
	char text[32];
	int ret = read_text(dir, name, text, sizeof(text));

	if (ret < 0)
		return ret;
	return sscanf(text, "%u:%u", major, minor) == 2 ? 0 : -EBADMSG;
}

static int read_flags(int dir, __u32 *flags)
{
	char text[256], *word, *rest;
	const struct flag_word *known;
	int ret = read_text(dir, "blkfd/flags", text, sizeof(text));

	if (ret < 0)
		return ret;
	for (word = strtok_r(text, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		for (known = create_words; known->flag; known++) {
			if (!strcmp(word, known->word))
				*flags |= known->flag;
		}
	}
	return 0;
}

static int read_stats(int dir, struct blkfd_info *info)
{
	const struct {
		const char *name;
		__u64 *value;
	} counters[] = {
		{ "reads", &info->reads },
		{ "read_bytes", &info->read_bytes },
		{ "writes", &info->writes },
		{ "write_bytes", &info->write_bytes },
		{ "discards", &info->discards },
		{ "flushes", &info->flushes },
		{ "errors", &info->errors },
		{ "inline_ios", &info->inline_ios },
		{ "worker_ios", &info->worker_ios },
		{ "would_block", &info->would_block },
	};
	char text[512], name[32], *line, *rest;
	unsigned long long value;
	size_t i;
	int ret = read_text(dir, "blkfd/stats", text, sizeof(text));

	if (ret < 0)
		return ret;
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (sscanf(line, "%31s %llu", name, &value) != 2)
			return -EBADMSG;
		for (i = 0; i < ARRAY_SIZE(counters); i++) {
			if (!strcmp(name, counters[i].name))
				*counters[i].value = value;
		}
	}
	return 0;
}

static int read_info(int dir, struct blkfd_info *info)
{
	int ret;

	ret = read_u64(dir, "diskseq", &info->diskseq);
	if (!ret)
		ret = read_dev(dir, "dev", &info->dev_major, &info->dev_minor);
	if (!ret)
		ret = read_dev(dir, "blkfd/backing_dev", &info->backing_major,
			       &info->backing_minor);
	if (!ret)
		ret = read_u64(dir, "blkfd/backing_ino", &info->backing_ino);
	if (!ret)
		ret = read_u64(dir, "blkfd/offset", &info->offset);
	if (!ret)
		ret = read_u64(dir, "blkfd/length", &info->length);
	if (!ret)
		ret = read_u32(dir, "blkfd/block_size", &info->block_size);
	if (!ret)
		ret = read_flags(dir, &info->flags);
	if (!ret)
		ret = read_u32(dir, "blkfd/creator_uid", &info->creator_uid);
	if (!ret)
		ret = read_u32(dir, "blkfd/creator_pid", &info->creator_pid);
	return ret ? ret : read_stats(dir, info);
}

/* Root alone may read it; others do without, as all do if it is longer than a path may be. */
static int read_backing_file(int dir, char **path)
{
	char text[PATH_MAX + 16];
	int ret = read_text(dir, "blkfd/backing_file", text, sizeof(text));

	if (ret == -EACCES || ret == -EPERM || ret == -ENAMETOOLONG)
		return 0;
	if (ret < 0)
		return ret;
	*path = strdup(text);
	return *path ? 0 : -ENOMEM;
}

/*
 * btrfs has a device number of its own; there the source tells, as libblkfd or
 * blkfd_mountfd writes it.
 */
static bool id_in_source(struct libmnt_fs *fs, unsigned long long *id)
{
	const char *source = mnt_fs_get_source(fs), *slash;
	int end = 0;

	if (!source || major(mnt_fs_get_devno(fs)))
		return false;
	slash = strrchr(source, '/');
	source = slash ? slash + 1 : source;
	return sscanf(source, "blkfd:[%llu]%n", id, &end) == 1 && end && !source[end];
}

static bool is_mount_of(struct libmnt_fs *fs, const struct blkfd_info *info)
{
	unsigned long long id;

	return mnt_fs_get_devno(fs) == makedev(info->dev_major, info->dev_minor) ||
	       (id_in_source(fs, &id) && id == info->id);
}

static int add_mount(struct device_info *device, const char *target)
{
	char **mounts = reallocarray(device->mounts, device->mount_count + 1,
				     sizeof(*mounts));

	if (!mounts)
		return -ENOMEM;
	device->mounts = mounts;
	mounts[device->mount_count] = strdup(target);
	if (!mounts[device->mount_count])
		return -ENOMEM;
	device->mount_count++;
	return 0;
}

/* One device can be there twice. */
static int add_to_devices(struct libmnt_fs *fs, struct device_info *devices, size_t count)
{
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < count; i++) {
		if (is_mount_of(fs, &devices[i].info))
			ret = add_mount(&devices[i], mnt_fs_get_target(fs));
	}
	return ret;
}

static int read_mounts(struct libmnt_table **mounts)
{
	int ret;

	*mounts = mnt_new_table();
	if (!*mounts)
		return -ENOMEM;
	ret = mnt_table_parse_file(*mounts, MOUNTINFO_PATH);
	if (ret < 0)
		mnt_unref_table(*mounts);
	return ret < 0 ? ret : 0;
}

struct libmnt_fs *find_mount(struct libmnt_table *mounts, uint64_t mount_id)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs, *found = NULL;

	while (iter && !found && !mnt_table_next_fs(mounts, iter, &fs)) {
		if ((uint64_t)mnt_fs_get_id(fs) == mount_id)
			found = fs;
	}
	mnt_free_iter(iter);
	return found;
}

int device_infos_find_mounts(struct device_info *devices, size_t count)
{
	struct libmnt_table *mounts;
	struct libmnt_iter *iter;
	struct libmnt_fs *fs;
	int ret = read_mounts(&mounts);

	if (ret < 0)
		return ret;
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	if (!iter)
		ret = -ENOMEM;
	while (!ret && !mnt_table_next_fs(mounts, iter, &fs))
		ret = add_to_devices(fs, devices, count);
	mnt_free_iter(iter);
	mnt_unref_table(mounts);
	return ret;
}

static int open_device(unsigned long long id)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), SYS_BLOCK "/blkfd%llu", id);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int device_info_read(struct device_info *device, unsigned long long id)
{
	int dir = open_device(id), ret;

	memset(device, 0, sizeof(*device));
	if (dir < 0)
		return dir;
	device->info.id = id;
	ret = read_info(dir, &device->info);
	if (!ret)
		ret = read_backing_file(dir, &device->backing_file);
	close(dir);
	if (ret)
		device_info_free(device);
	return ret;
}

static int id_by_number(unsigned int major, unsigned int minor, unsigned long long *id)
{
	char path[64], target[256];
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major, minor);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return -errno;
	target[length] = 0;
	return sscanf(basename(target), "blkfd%llu", id) == 1 ? 0 : -ENOENT;
}

static int id_by_mount(uint64_t mount_id, unsigned long long *id)
{
	struct libmnt_table *mounts;
	struct libmnt_fs *fs;
	int ret = read_mounts(&mounts);

	if (ret < 0)
		return ret;
	fs = find_mount(mounts, mount_id);
	ret = fs && id_in_source(fs, id) ? 0 : -ENOENT;
	mnt_unref_table(mounts);
	return ret;
}

int device_info_read_mounted(struct device_info *device, const char *dir)
{
	unsigned long long id;
	struct statx stx;
	int ret;

	if (statx(AT_FDCWD, dir, AT_NO_AUTOMOUNT, STATX_MNT_ID, &stx) < 0)
		return -errno;
	ret = stx.stx_dev_major ? id_by_number(stx.stx_dev_major, stx.stx_dev_minor, &id) :
				  id_by_mount(stx.stx_mnt_id, &id);
	return ret ? ret : device_info_read(device, id);
}

int device_info_complete(struct device_info *device)
{
	int dir = open_device(device->info.id), ret = 0;

	/* A container can have the device without its sysfs. */
	if (dir >= 0) {
		ret = read_backing_file(dir, &device->backing_file);
		close(dir);
	}
	return ret == -ENOENT ? 0 : ret;
}

static int compare_ids(const void *a, const void *b)
{
	unsigned long long one = *(const unsigned long long *)a;
	unsigned long long other = *(const unsigned long long *)b;

	return (one > other) - (one < other);
}

int device_ids(unsigned long long **ids)
{
	struct dirent **entries;
	int n = scandir(SYS_BLOCK, &entries, NULL, NULL), i, count = 0;
	char rest;

	if (n < 0)
		return -errno;
	*ids = calloc(n + 1, sizeof(**ids));
	for (i = 0; i < n; i++) {
		if (*ids && sscanf(entries[i]->d_name, "blkfd%llu%c",
				   &(*ids)[count], &rest) == 1)
			count++;
		free(entries[i]);
	}
	free(entries);
	if (!*ids)
		return -ENOMEM;
	qsort(*ids, count, sizeof(**ids), compare_ids);
	return count;
}

void device_info_free(struct device_info *device)
{
	while (device->mount_count)
		free(device->mounts[--device->mount_count]);
	free(device->mounts);
	free(device->backing_file);
	memset(device, 0, sizeof(*device));
}
