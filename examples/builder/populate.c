// SPDX-License-Identifier: GPL-2.0
/*
 * Copies the tree. By hand and not by libarchive, whose reader opens device
 * nodes and passes over extended attributes that it cannot read, and whose
 * writer makes regular files of sockets and fills up files that have shrunk.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "builder.h"

void populate_die(const struct copy *copy, const struct tree_entry *entry, const char *what)
{
	char needed[SIZE_TEXT_MAX], size[SIZE_TEXT_MAX];
	struct statvfs vfs;

	if (errno != ENOSPC || fstatvfs(copy->top, &vfs))
		tree_die(entry, what);
	die("%s: the image is full: it holds %s, the tree needs about %s (--size)",
	    tree_path(entry), size_format((uint64_t)vfs.f_blocks * vfs.f_frsize, size),
	    size_format(copy->needed, needed));
}

static void make_symlink(const struct copy *copy, const struct tree_entry *entry)
{
	char target[PATH_MAX];
	ssize_t size = readlinkat(entry->dir->fd, entry->name, target, sizeof(target));

	if (size < 0)
		tree_die(entry, "cannot be read");
	if (size == sizeof(target)) {
		errno = ENAMETOOLONG;
		tree_die(entry, "target");
	}
	target[size] = '\0';
	if (symlinkat(target, entry->dir->copy, entry->name))
		populate_die(copy, entry, "cannot be made");
}

static void make_special(const struct copy *copy, const struct tree_entry *entry)
{
	if (mknodat(entry->dir->copy, entry->name, entry->st.st_mode, entry->st.st_rdev))
		populate_die(copy, entry, "cannot be made");
}

static void make_link(const struct copy *copy, const struct tree_entry *entry, const char *first)
{
	if (linkat(copy->top, first, entry->dir->copy, entry->name, 0))
		populate_die(copy, entry, "cannot be linked");
}

static void make_first(const struct copy *copy, const struct tree_entry *entry)
{
	switch (entry->st.st_mode & S_IFMT) {
	case S_IFREG:
		contents_copy(copy, entry);
		break;
	case S_IFLNK:
		make_symlink(copy, entry);
		break;
	default:
		make_special(copy, entry);
	}
	attributes_copy(copy, entry);
}

static void populate_file(const struct tree_entry *entry, void *arg)
{
	struct copy *copy = arg;
	const char *first = links_first(&copy->links, entry);

	if (first)
		make_link(copy, entry, first);
	else
		make_first(copy, entry);
	progress_add(1, 0);
}

static void populate_enter(const struct tree_entry *entry, struct tree_dir *dir, void *arg)
{
	struct copy *copy = arg;

	/* mkfs.ext4 has made a lost+found already. */
	if (mkdirat(entry->dir->copy, entry->name, 0700) && errno != EEXIST)
		populate_die(copy, entry, "cannot be made");
	dir->copy = openat(entry->dir->copy, entry->name,
			   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir->copy < 0)
		populate_die(copy, entry, "cannot be opened in the image");
}

/* Only now: what was made in it has changed its times. */
static void populate_leave(const struct tree_entry *entry, struct tree_dir *dir, void *arg)
{
	close(dir->copy);
	attributes_copy(arg, entry);
	progress_add(1, 0);
}

void populate(int tree, int top, bool cross_mounts, uint64_t needed)
{
	struct tree_visitor visitor = {
		.file = populate_file,
		.enter = populate_enter,
		.leave = populate_leave,
		.cross_mounts = cross_mounts,
	};
	struct copy copy = { .top = top, .needed = needed };
	struct tree_dir dir = { .fd = tree, .copy = top };
	struct tree_entry entry = { .dir = &dir, .name = "." };

	if (fstat(tree, &entry.st))
		die_errno("top of the tree");
	tree_walk(tree, top, &visitor, &copy);
	attributes_copy(&copy, &entry);
	links_free(&copy.links);
}
