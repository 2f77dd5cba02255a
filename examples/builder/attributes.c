// SPDX-License-Identifier: GPL-2.0
/*
 * Owner, mode, extended attributes and times, in this order: a new owner costs
 * set-user-ID and capabilities, all of it the times. ACLs and capabilities are
 * extended attributes; all of them are copied, byte for byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "builder.h"

/* A path that names the file itself, even if it is a symbolic link. */
struct attr_path {
	char text[32 + NAME_MAX];
};

static void path_in(struct attr_path *path, int dir, const char *name)
{
	snprintf(path->text, sizeof(path->text), "/proc/self/fd/%d/%s", dir, name);
}

/* Some say ENOSPC of an attribute that is too large for them. */
static bool has_space(const struct copy *copy)
{
	struct statvfs vfs;

	return !fstatvfs(copy->top, &vfs) && vfs.f_bavail > vfs.f_blocks / 64;
}

static void copy_xattr(const struct copy *copy, const struct tree_entry *entry,
		       const struct attr_path *to, const char *name)
{
	static char value[XATTR_SIZE_MAX];
	struct attr_path from;
	ssize_t size;

	path_in(&from, entry->dir->fd, entry->name);
	size = lgetxattr(from.text, name, value, sizeof(value));
	if (size < 0)
		tree_die(entry, name);
	if (!lsetxattr(to->text, name, value, size, 0))
		return;
	if (errno == ENOSPC && has_space(copy))
		errno = E2BIG;
	populate_die(copy, entry, name);
}

/* XFS lists ACLs a second time, by the names that it stores them under. */
static bool is_acl_of_xfs(const char *name)
{
	return !strcmp(name, "trusted.SGI_ACL_FILE") ||
	       !strcmp(name, "trusted.SGI_ACL_DEFAULT");
}

static void copy_xattrs(const struct copy *copy, const struct tree_entry *entry)
{
	static char names[XATTR_LIST_MAX];
	struct attr_path from, to;
	ssize_t size;

	path_in(&from, entry->dir->fd, entry->name);
	path_in(&to, entry->dir->copy, entry->name);
	size = llistxattr(from.text, names, sizeof(names));
	if (size < 0 && errno != EOPNOTSUPP)
		tree_die(entry, "extended attributes cannot be read");
	for (char *name = names; name < names + size; name += strlen(name) + 1)
		if (!is_acl_of_xfs(name))
			copy_xattr(copy, entry, &to, name);
}

/* A time that the file system cannot hold is cut without an error. */
static void check_kept(const struct copy *copy, const struct tree_entry *entry)
{
	struct stat st;

	if (fstatat(entry->dir->copy, entry->name, &st, AT_SYMLINK_NOFOLLOW))
		populate_die(copy, entry, "cannot be read again");
	errno = EOVERFLOW;
	if (st.st_mtim.tv_sec != entry->st.st_mtim.tv_sec ||
	    st.st_mtim.tv_nsec != entry->st.st_mtim.tv_nsec)
		tree_die(entry, "the image cannot hold its modification time");
	if (st.st_mode != entry->st.st_mode)
		tree_die(entry, "the image cannot hold its mode");
}

void attributes_copy(const struct copy *copy, const struct tree_entry *entry)
{
	const struct stat *st = &entry->st;
	struct timespec times[] = { st->st_atim, st->st_mtim };
	int dir = entry->dir->copy;

	if (fchownat(dir, entry->name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW))
		populate_die(copy, entry, "owner");
	if (!S_ISLNK(st->st_mode) && fchmodat(dir, entry->name, st->st_mode & 07777, 0))
		populate_die(copy, entry, "mode");
	copy_xattrs(copy, entry);
	if (utimensat(dir, entry->name, times, AT_SYMLINK_NOFOLLOW))
		populate_die(copy, entry, "times");
	check_kept(copy, entry);
}
