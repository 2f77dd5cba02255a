// SPDX-License-Identifier: GPL-2.0
/*
 * The data of a regular file. Holes stay holes, and a file that is changed
 * while it is copied is an error: what we have of it never existed.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/param.h>
#include <unistd.h>
#include "builder.h"

#define CHUNK	(256 * 1024)

struct contents {
	const struct copy *copy;
	const struct tree_entry *entry;
	int from;
	int to;
};

static void die_changed(const struct tree_entry *entry)
{
	errno = EBUSY;
	tree_die(entry, "was changed while it was copied");
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static void check_unchanged(const struct contents *contents)
{
	const struct stat *then = &contents->entry->st;
	struct stat now;

	if (fstat(contents->from, &now))
		tree_die(contents->entry, "cannot be read");
	if (now.st_dev != then->st_dev || now.st_ino != then->st_ino ||
	    now.st_size != then->st_size || !same_time(&now.st_mtim, &then->st_mtim) ||
	    !same_time(&now.st_ctim, &then->st_ctim))
		die_changed(contents->entry);
}

static void write_all(const struct contents *contents, const char *data, size_t size, off_t offset)
{
	while (size) {
		ssize_t written = pwrite(contents->to, data, size, offset);

		if (written < 0)
			populate_die(contents->copy, contents->entry, "cannot be written");
		data += written;
		size -= written;
		offset += written;
	}
}

static void copy_stretch(const struct contents *contents, off_t offset, off_t end)
{
	static char chunk[CHUNK];

	while (offset < end) {
		ssize_t size = pread(contents->from, chunk, MIN(CHUNK, end - offset), offset);

		if (size < 0)
			tree_die(contents->entry, "cannot be read");
		if (!size)
			die_changed(contents->entry);
		write_all(contents, chunk, size, offset);
		offset += size;
		progress_add(0, size);
	}
}

static void copy_stretches(const struct contents *contents)
{
	off_t size = contents->entry->st.st_size;
	off_t offset = 0, end = 0, hole = 0;
	int found;

	/* First: a file that grows by writing is given blocks in advance by XFS. */
	if (ftruncate(contents->to, size))
		populate_die(contents->copy, contents->entry, "cannot be written");
	while ((found = data_next(contents->from, size, &offset, &end)) > 0) {
		progress_add(0, offset - hole);
		copy_stretch(contents, offset, end);
		offset = end;
		hole = end;
	}
	if (found < 0)
		tree_die(contents->entry, "cannot be read");
	progress_add(0, size - hole);
}

void contents_copy(const struct copy *copy, const struct tree_entry *entry)
{
	struct contents contents = { .copy = copy, .entry = entry };

	contents.from = openat(entry->dir->fd, entry->name,
			       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (contents.from < 0)
		tree_die(entry, "cannot be opened");
	contents.to = openat(entry->dir->copy, entry->name,
			     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (contents.to < 0)
		populate_die(copy, entry, "cannot be made");
	check_unchanged(&contents);
	copy_stretches(&contents);
	check_unchanged(&contents);
	if (close(contents.to))
		populate_die(copy, entry, "cannot be written");
	close(contents.from);
}
