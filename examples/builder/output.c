// SPDX-License-Identifier: GPL-2.0
/*
 * The image's file: without a name until it is complete and on disk, so that
 * nobody ever sees half of it and nothing is left if we die. A file that has
 * the name already is never replaced: linkat() cannot, and what can, rename(),
 * would need another name first, which could be left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "builder.h"

static void refuse_existing(const struct output *output)
{
	struct stat st;

	if (!fstatat(output->dir, output->name, &st, AT_SYMLINK_NOFOLLOW))
		errno = EEXIST;
	if (errno != ENOENT)
		die_errno("%s", output->path);
}

static int open_dir_of(const char *path, const char *name)
{
	char *dir = strndup(path, name - path);
	int fd;

	if (!dir)
		die_errno("%s", path);
	fd = open(*dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		die_errno("%s", *dir ? dir : ".");
	free(dir);
	return fd;
}

void output_open(struct output *output, const char *path)
{
	const char *slash = strrchr(path, '/');

	output->path = path;
	output->name = slash ? slash + 1 : path;
	output->dir = open_dir_of(path, output->name);
	if (!*output->name)
		die("%s: not the name of a file", path);
	refuse_existing(output);
	output->file = openat(output->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (output->file < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		die("%s: the file system there has no O_TMPFILE: choose another", path);
	if (output->file < 0)
		die_errno("%s", path);
}

/* Unless the name is another file's by now. */
static bool remove_again(const struct output *output)
{
	struct stat st, named;

	return !fstat(output->file, &st) &&
	       !fstatat(output->dir, output->name, &named, AT_SYMLINK_NOFOLLOW) &&
	       named.st_dev == st.st_dev && named.st_ino == st.st_ino &&
	       !unlinkat(output->dir, output->name, 0);
}

static noreturn void die_unsynced(const struct output *output)
{
	int error = errno;
	bool removed = remove_again(output);

	errno = error;
	if (removed)
		die_errno("%s: its directory", output->path);
	die_errno("%s is complete, but not sure to outlive a crash", output->path);
}

void output_publish(struct output *output)
{
	char path[64];

	if (fsync(output->file))
		die_errno("%s", output->path);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", output->file);
	if (linkat(AT_FDCWD, path, output->dir, output->name, AT_SYMLINK_FOLLOW))
		die_errno("%s", output->path);
	if (fsync(output->dir))
		die_unsynced(output);
	close(output->file);
	close(output->dir);
}
