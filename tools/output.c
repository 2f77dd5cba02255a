// SPDX-License-Identifier: GPL-2.0
/* Files that are made: for blkfd exec --new without a name before they are complete. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"

static int fail(const char *path, int error)
{
	complain("%s: %s", path, strerror(error));
	return -error;
}

static const char *name_in(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int open_directory_of(const char *path, int flags)
{
	char *dir = strndup(path, name_in(path) - path);
	int fd, ret;

	if (!dir)
		return -ENOMEM;
	fd = open(*dir ? dir : ".", flags | O_DIRECTORY | O_CLOEXEC);
	ret = fd < 0 ? -errno : fd;
	free(dir);
	return ret;
}

static int open_in(int dir, const char *path)
{
	struct stat st;
	int fd;

	if (!lstat(path, &st))
		errno = EEXIST;
	if (errno != ENOENT)
		return fail(path, errno);
	fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return fail(path, errno);
	complain("%s: --new: the file system there has no files without a name", path);
	return -EOPNOTSUPP;
}

int output_open(const char *path, int *dir)
{
	int fd;

	if (!*path)
		return fail(path, ENOENT);
	*dir = open_directory_of(path, O_RDONLY);
	if (*dir < 0)
		return fail(path, -*dir);
	fd = open_in(*dir, path);
	if (fd < 0)
		close(*dir);
	return fd;
}

int output_create(const char *path, int *dir)
{
	int fd;

	*dir = open_directory_of(path, O_PATH);
	if (*dir < 0)
		return *dir;
	fd = openat(*dir, name_in(path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd >= 0)
		return fd;
	fd = -errno;
	close(*dir);
	return fd;
}

static int link_file(int fd, int dir, const char *name)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

int output_remove(int fd, int dir, const char *path)
{
	const char *name = name_in(path);
	struct stat st, named;

	if (fstat(fd, &st) < 0 ||
	    fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (named.st_dev != st.st_dev || named.st_ino != st.st_ino)
		return -ENOENT;
	return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

int output_publish(int fd, int dir, const char *path)
{
	const char *name = name_in(path);
	int ret, removed;

	/* Of what closing the device lost, tmpfs tells by the first alone. */
	if (sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE_AND_WAIT) || fsync(fd))
		return fail(path, errno);
	ret = link_file(fd, dir, name);
	if (ret)
		return fail(path, -ret);
	if (!fsync(dir))
		return 0;
	ret = -errno;
	removed = output_remove(fd, dir, path);
	if (removed && removed != -ENOENT)
		complain("%s is complete, but may not outlive a crash: %s", path,
			 strerror(-ret));
	else
		complain("%s: its directory: %s", path, strerror(-ret));
	return ret;
}
