// SPDX-License-Identifier: GPL-2.0
/* How much there is in the tree: for the image's size and the progress bar. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/param.h>
#include <unistd.h>
#include "builder.h"

#define BLOCK	4096

struct scan {
	struct totals *totals;
	struct links links;
};

static uint64_t sparse_blocks(const struct tree_entry *entry)
{
	off_t offset = 0, end;
	uint64_t blocks = 0;
	int fd, found;

	fd = openat(entry->dir->fd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		tree_die(entry, "cannot be opened");
	while ((found = data_next(fd, entry->st.st_size, &offset, &end)) > 0) {
		blocks += roundup(end - offset, BLOCK);
		offset = end;
	}
	if (found < 0)
		tree_die(entry, "cannot be read");
	close(fd);
	return blocks;
}

static void count(struct scan *scan)
{
	scan->totals->files++;
	progress_add(1, 0);
}

static void scan_file(const struct tree_entry *entry, void *arg)
{
	struct scan *scan = arg;
	uint64_t size = entry->st.st_size;

	count(scan);
	if (!S_ISREG(entry->st.st_mode) || links_first(&scan->links, entry))
		return;
	scan->totals->bytes += size;
	if ((uint64_t)entry->st.st_blocks * 512 < size)
		scan->totals->blocks += sparse_blocks(entry);
	else
		scan->totals->blocks += roundup(size, BLOCK);
}

static void scan_enter(const struct tree_entry *entry, struct tree_dir *dir, void *arg)
{
	count(arg);
}

static void scan_skip(const struct tree_entry *entry, void *arg)
{
	char *path = tree_path(entry);

	note("%s: something is mounted there: left %s (--cross-mounts takes it in)", path,
	     S_ISDIR(entry->st.st_mode) ? "empty" : "out");
	free(path);
}

void scan_tree(int tree, bool cross_mounts, struct totals *totals)
{
	struct tree_visitor visitor = {
		.file = scan_file,
		.enter = scan_enter,
		.skip = scan_skip,
		.cross_mounts = cross_mounts,
	};
	struct scan scan = { .totals = totals };

	progress_phase("scanning");
	tree_walk(tree, -1, &visitor, &scan);
	links_free(&scan.links);
}
