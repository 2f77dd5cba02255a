// SPDX-License-Identifier: GPL-2.0
/*
 * The walk through the tree. Each directory is opened relative to the one that
 * holds it, so that somebody who changes the tree meanwhile cannot lead us out.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "builder.h"

struct walk {
	const struct tree_visitor *visitor;
	void *arg;
	uint64_t mount;
};

static char *dir_path(const struct tree_dir *dir)
{
	char *up, *path;

	if (!dir->up)
		return strdup("");
	up = dir_path(dir->up);
	if (!up || asprintf(&path, "%s%s/", up, dir->name) < 0)
		die("out of memory");
	free(up);
	return path;
}

char *tree_path(const struct tree_entry *entry)
{
	char *dir = dir_path(entry->dir), *path;

	if (!dir || asprintf(&path, "%s%s", dir, entry->name) < 0)
		die("out of memory");
	free(dir);
	return path;
}

void tree_die(const struct tree_entry *entry, const char *what)
{
	int error = errno;
	char *path = tree_path(entry);

	errno = error;
	die_errno("%s: %s", path, what);
}

static int is_not_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

/* In the order of bytes, so that equal trees make equal images. */
static int compare_names(const struct dirent **left, const struct dirent **right)
{
	return strcmp((*left)->d_name, (*right)->d_name);
}

static void walk_entry(struct walk *walk, const struct tree_dir *dir, const char *name);

static void walk_dir(struct walk *walk, const struct tree_dir *dir)
{
	struct dirent **entries;
	int count = scandirat(dir->fd, ".", &entries, is_not_dots, compare_names);

	if (count < 0)
		tree_die(&(struct tree_entry){ .dir = dir, .name = "." }, "cannot be read");
	for (int i = 0; i < count; i++) {
		walk_entry(walk, dir, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

static void walk_below(struct walk *walk, const struct tree_entry *entry, struct tree_dir *dir)
{
	dir->fd = openat(entry->dir->fd, entry->name,
			 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir->fd < 0)
		tree_die(entry, "cannot be opened");
	walk_dir(walk, dir);
	close(dir->fd);
}

/* By the mount and not by st_dev, which in an overlayfs differs between files. */
static uint64_t mount_of(const struct tree_entry *entry)
{
	struct statx stx;

	if (statx(entry->dir->fd, entry->name, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &stx))
		tree_die(entry, "cannot be read");
	if (!(stx.stx_mask & STATX_MNT_ID))
		die("this kernel does not tell mounts apart: --cross-mounts is needed");
	return stx.stx_mnt_id;
}

static bool skip(struct walk *walk, const struct tree_entry *entry)
{
	if (walk->visitor->cross_mounts || mount_of(entry) == walk->mount)
		return false;
	if (walk->visitor->skip)
		walk->visitor->skip(entry, walk->arg);
	return true;
}

static void walk_entry(struct walk *walk, const struct tree_dir *dir, const char *name)
{
	struct tree_entry entry = { .dir = dir, .name = name };
	struct tree_dir below = { .up = dir, .name = name, .fd = -1, .copy = -1 };
	bool skipped;

	if (fstatat(dir->fd, name, &entry.st, AT_SYMLINK_NOFOLLOW))
		tree_die(&entry, "cannot be read");
	skipped = skip(walk, &entry);
	if (!S_ISDIR(entry.st.st_mode)) {
		if (!skipped)
			walk->visitor->file(&entry, walk->arg);
		return;
	}
	walk->visitor->enter(&entry, &below, walk->arg);
	if (!skipped)
		walk_below(walk, &entry, &below);
	if (walk->visitor->leave)
		walk->visitor->leave(&entry, &below, walk->arg);
}

void tree_walk(int top, int copy, const struct tree_visitor *visitor, void *arg)
{
	struct walk walk = { .visitor = visitor, .arg = arg };
	struct tree_dir dir = { .fd = top, .copy = copy };

	if (!visitor->cross_mounts)
		walk.mount = mount_of(&(struct tree_entry){ .dir = &dir, .name = "." });
	walk_dir(&walk, &dir);
}
