// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls of libblkfd that are about devices: thin wrappers of the ioctls,
 * and the two ways to a path.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <linux/fs.h>

#include "internal.h"

#define CONTROL_PATH "/dev/blkfd"

BLKFD_PUBLIC
int blkfd_control(void)
{
	int control = open(CONTROL_PATH, O_RDONLY | O_CLOEXEC);

	return control < 0 ? -errno : control;
}

BLKFD_PUBLIC
int blkfd_create_by(int control_fd, int backing_fd,
		    const struct blkfd_create_opts *opts)
{
	struct blkfd_create create = { .fd = backing_fd };
	int fd;

	if (opts) {
		create.flags = opts->flags;
		create.offset = opts->offset;
		create.length = opts->length;
		create.block_size = opts->block_size;
	}
	fd = ioctl(control_fd, BLKFD_CREATE, &create);
	return fd < 0 ? -errno : fd;
}

BLKFD_PUBLIC
int blkfd_create(int backing_fd, const struct blkfd_create_opts *opts)
{
	int control = blkfd_control(), fd;

	if (control < 0)
		return control;
	fd = blkfd_create_by(control, backing_fd, opts);
	close(control);
	return fd;
}

BLKFD_PUBLIC
int blkfd_get_info(int fd, struct blkfd_info *info)
{
	struct stat st;

	if (ioctl(fd, BLKFD_GET_INFO, info) < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* Device-mapper lets what is below it answer. */
	return st.st_rdev == makedev(info->dev_major, info->dev_minor) ? 0 : -ENOTTY;
}

BLKFD_PUBLIC
int blkfd_resize(int fd, uint64_t length)
{
	struct blkfd_resize resize = { .length = length };
	struct blkfd_info info;
	int ret = blkfd_get_info(fd, &info);

	if (ret < 0)
		return ret;
	return ioctl(fd, BLKFD_RESIZE, &resize) < 0 ? -errno : 0;
}

BLKFD_PUBLIC
int blkfd_get_limits(int control_fd, struct blkfd_limits *limits)
{
	return ioctl(control_fd, BLKFD_GET_LIMITS, limits) < 0 ? -errno : 0;
}

BLKFD_PUBLIC
int blkfd_get_user(int control_fd, struct blkfd_user *user)
{
	return ioctl(control_fd, BLKFD_GET_USER, user) < 0 ? -errno : 0;
}

BLKFD_PUBLIC
int blkfd_new_instance(int control_fd, const struct blkfd_instance *bounds)
{
	int fd = ioctl(control_fd, BLKFD_NEW_INSTANCE, bounds);

	return fd < 0 ? -errno : fd;
}

BLKFD_PUBLIC
int blkfd_get_instance(int control_fd, struct blkfd_instance *instance)
{
	return ioctl(control_fd, BLKFD_GET_INSTANCE, instance) < 0 ? -errno : 0;
}

BLKFD_PUBLIC
int blkfd_revoke(int control_fd, int instance_fd)
{
	struct blkfd_revoke revoke = { .fd = instance_fd };

	return ioctl(control_fd, BLKFD_REVOKE, &revoke) < 0 ? -errno : 0;
}

BLKFD_PUBLIC
int blkfd_path(int fd, char *path, size_t size)
{
	char text[BLKFD_PATH_MAX];
	int length;

	if (fd < 0)
		return -EBADF;
	/* /proc/self has the first thread's, who may have gone or have others. */
	length = snprintf(text, sizeof(text), "/proc/thread-self/fd/%d", fd);
	if ((size_t)length >= size)
		return -ERANGE;
	memcpy(path, text, length + 1);
	return 0;
}

BLKFD_PUBLIC
int blkfd_export_node(int fd, int dir_fd, const char *name, uint32_t mode)
{
	struct blkfd_info info;
	dev_t dev;
	int ret;

	if (!*name || strchr(name, '/') || mode & ~0777U)
		return -EINVAL;
	ret = blkfd_get_info(fd, &info);
	if (ret < 0)
		return ret;
	dev = makedev(info.dev_major, info.dev_minor);
	return mknodat(dir_fd, name, S_IFBLK | mode, dev) < 0 ? -errno : 0;
}

int blkfd_unique_name(int fd, char *name, size_t size)
{
	struct blkfd_info info;
	struct stat st;
	uint64_t seq;

	if (!blkfd_get_info(fd, &info)) {
		snprintf(name, size, "blkfd:[%llu]",
			 (unsigned long long)info.id);
		return 0;
	}
	/* The sequence number tells disks apart, not their partitions. */
	if (fstat(fd, &st) < 0 || ioctl(fd, BLKGETDISKSEQ, &seq) < 0)
		return -errno;
	snprintf(name, size, "block:[%u:%u-%llu]", major(st.st_rdev),
		 minor(st.st_rdev), (unsigned long long)seq);
	return 0;
}
