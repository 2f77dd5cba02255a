// SPDX-License-Identifier: GPL-2.0
/* Mounting a device: which file system it holds, and how. */
#include <blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common.h"

static int probe_values(blkid_probe probe, const char *path, char **type)
{
	const char *name, *usage = "";
	int ret;

	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE |
					  BLKID_SUBLKS_USAGE);
	errno = 0;
	ret = blkid_do_safeprobe(probe);
	if (ret < 0 && errno) {
		ret = -errno;
		complain("%s: %s", path, strerror(-ret));
		return ret;
	}
	/* -2 where it is documented; libblkid 2.41 says -1. */
	if (ret < 0) {
		complain("%s: holds traces of several file systems: -t must say which is meant",
			 path);
		return -EINVAL;
	}
	if (ret || blkid_probe_lookup_value(probe, "TYPE", &name, NULL)) {
		complain("%s: holds no known file system", path);
		return -EINVAL;
	}
	blkid_probe_lookup_value(probe, "USAGE", &usage, NULL);
	if (strcmp(usage, "filesystem")) {
		complain("%s: holds %s, which is no file system", path, name);
		return -EINVAL;
	}
	*type = strdup(name);
	return *type ? 0 : -ENOMEM;
}

static int probe_type(int fd, const char *path, char **type)
{
	blkid_probe probe = blkid_new_probe();
	int ret;

	if (!probe || blkid_probe_set_device(probe, fd, 0, 0)) {
		complain("%s: cannot look for a file system", path);
		ret = -EIO;
	} else {
		ret = probe_values(probe, path, type);
	}
	blkid_free_probe(probe);
	return ret;
}

/* Where the kernel protects what is mounted, nobody else may hold it for writing. */
static int reopen_read_only(int fd)
{
	char path[BLKFD_PATH_MAX];
	int ret = blkfd_path(fd, path, sizeof(path));

	if (ret < 0)
		return ret;
	ret = open(path, O_RDONLY | O_CLOEXEC);
	return ret < 0 ? -errno : ret;
}

static void explain_failure(const char *path, const char *type,
			    const char *dir, int error, char *message)
{
	char *line;

	if (error == ENODEV)
		complain("%s: the kernel does not know file system '%s'",
			 path, type);
	else
		complain("%s on %s as %s: %s%s", path, dir, type,
			 strerror(error),
			 *message ? "" : " (the kernel's log may say more)");
	for (line = strtok(message, "\n"); line; line = strtok(NULL, "\n"))
		complain("%s", line);
}

static int open_target(const char *dir, const char *where)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), ret = -errno;

	if (fd >= 0)
		return fd;
	complain("%s%s: %s", dir, where, strerror(-ret));
	return ret;
}

static int open_target_in(int namespace, const char *dir)
{
	int ret;

	if (!setns(namespace, CLONE_NEWNS))
		return open_target(dir, ", in the other namespace");
	ret = -errno;
	complain("the other namespace: %s", strerror(-ret));
	return ret;
}

static int mount_detached(int fd, const char *path, const char *type,
			  const struct mount_options *options, const char *dir)
{
	unsigned int attr_flags = 0;
	char message[BLKFD_MESSAGE_MAX];
	int ret;

	if (options->device.create.flags & BLKFD_F_RDONLY)
		attr_flags |= MOUNT_ATTR_RDONLY;
	ret = blkfd_fsmount_message(fd, type, options->options, attr_flags,
				    message, sizeof(message));
	if (ret < 0)
		explain_failure(path, type, dir, -ret, message);
	return ret;
}

static int move_to(int mount_fd, int dir_fd, const char *dir)
{
	int ret;

	if (!move_mount(mount_fd, "", dir_fd, "", MOVE_MOUNT_F_EMPTY_PATH |
			MOVE_MOUNT_T_EMPTY_PATH))
		return mount_fd;
	ret = -errno;
	complain("%s: %s", dir, strerror(-ret));
	return ret;
}

/*
 * Without the directory nothing is mounted, which would leave traces in the file. In
 * another namespace it is looked up last of all: there may be no /proc, or none with
 * us in it.
 */
static int attach_as(int fd, const char *path, const char *type,
		     const struct mount_options *options, const char *dir,
		     int namespace)
{
	int dir_fd = -1, mount_fd, ret;

	if (namespace < 0) {
		dir_fd = open_target(dir, "");
		if (dir_fd < 0)
			return dir_fd;
	}
	mount_fd = mount_detached(fd, path, type, options, dir);
	if (mount_fd >= 0 && namespace >= 0)
		dir_fd = open_target_in(namespace, dir);
	ret = mount_fd < 0 ? mount_fd : dir_fd;
	if (ret >= 0)
		ret = move_to(mount_fd, dir_fd, dir);
	if (dir_fd >= 0)
		close(dir_fd);
	if (ret < 0 && mount_fd >= 0)
		close(mount_fd);
	return ret;
}

int attach(int dev_fd, const char *path, const struct mount_options *options,
	   const char *dir, int namespace)
{
	char *type = NULL;
	int fd, ret = 0;

	fd = reopen_read_only(dev_fd);
	close(dev_fd);
	if (fd < 0) {
		complain("%s: device: %s", path, strerror(-fd));
		return fd;
	}
	if (!options->type)
		ret = probe_type(fd, path, &type);
	if (!ret)
		ret = attach_as(fd, path, type ? type : options->type, options,
				dir, namespace);
	free(type);
	close(fd);
	return ret;
}
