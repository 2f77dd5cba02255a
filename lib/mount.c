// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mounting a device that has no name, by fsopen(2) and its kin. Nothing is
 * visible to anybody before the last step, and all of it goes with the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define ATTRIBUTES_KNOWN (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | \
			  MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | \
			  MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME | \
			  MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW)

/* Options that are about the mount, not the file system. */
static const struct attribute {
	const char *name;
	unsigned int clear;
	unsigned int set;
} attributes[] = {
	{ "ro",		0, MOUNT_ATTR_RDONLY },
	{ "rw",		MOUNT_ATTR_RDONLY, 0 },
	{ "nosuid",	0, MOUNT_ATTR_NOSUID },
	{ "suid",	MOUNT_ATTR_NOSUID, 0 },
	{ "nodev",	0, MOUNT_ATTR_NODEV },
	{ "dev",	MOUNT_ATTR_NODEV, 0 },
	{ "noexec",	0, MOUNT_ATTR_NOEXEC },
	{ "exec",	MOUNT_ATTR_NOEXEC, 0 },
	{ "noatime",	MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME },
	{ "strictatime", MOUNT_ATTR__ATIME, MOUNT_ATTR_STRICTATIME },
	{ "relatime",	MOUNT_ATTR__ATIME, 0 },
	{ "atime",	MOUNT_ATTR__ATIME, 0 },
	{ "norelatime",	MOUNT_ATTR__ATIME, 0 },
	{ "nostrictatime", MOUNT_ATTR__ATIME, 0 },
	{ "nodiratime",	0, MOUNT_ATTR_NODIRATIME },
	{ "diratime",	MOUNT_ATTR_NODIRATIME, 0 },
	{ "nosymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW },
	{ "symfollow",	MOUNT_ATTR_NOSYMFOLLOW, 0 },
	{ "defaults",	0, 0 },
};

static int configure(int fs_fd, enum fsconfig_command command, const char *key,
		     const void *value, int aux)
{
	return fsconfig(fs_fd, command, key, value, aux) < 0 ? -errno : 0;
}

static int set_option(int fs_fd, const char *key, const char *value)
{
	return configure(fs_fd, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			 key, value, 0);
}

/*
 * Splits the first option off *list, in place: 1, or 0 at the end of the list.
 * *value is NULL if there is no "=". Quotes around the value are taken away.
 */
static int next_option(char **list, char **key, char **value)
{
	char *p = *list + strspn(*list, ",");
	bool quoted = false;

	*key = p;
	*value = NULL;
	for (; *p && (quoted || *p != ','); p++) {
		if (*p == '"') {
			quoted = !quoted;
		} else if (*p == '=' && !*value && !quoted) {
			*p = 0;
			*value = p + 1;
		}
	}
	*list = *p ? p + 1 : p;
	*p = 0;
	if (*value && **value == '"' && p - *value > 1 && p[-1] == '"') {
		p[-1] = 0;
		++*value;
	}
	if (quoted || (*value && !**key))
		return -EINVAL;
	return *value || **key;
}

static bool take_attribute(const char *name, unsigned int *attr_flags)
{
	size_t i;

	for (i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		if (strcmp(name, attributes[i].name))
			continue;
		*attr_flags &= ~attributes[i].clear;
		*attr_flags |= attributes[i].set;
		return true;
	}
	return false;
}

static int set_options(int fs_fd, char *list, unsigned int *attr_flags)
{
	char *key, *value;
	int ret;

	while ((ret = next_option(&list, &key, &value)) > 0) {
		if (!value && take_attribute(key, attr_flags))
			continue;
		ret = set_option(fs_fd, key, value);
		if (ret < 0)
			return ret;
	}
	if (ret < 0)
		return ret;
	return *attr_flags & MOUNT_ATTR_RDONLY ?
		set_option(fs_fd, "ro", NULL) : 0;
}

static int mount_detached(int fs_fd, unsigned int attr_flags)
{
	int ret = configure(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0);

	if (ret < 0)
		return ret;
	ret = fsmount(fs_fd, FSMOUNT_CLOEXEC, attr_flags);
	return ret < 0 ? -errno : ret;
}

/* A directory that can be reached through its descriptor alone. */
static int private_directory(void)
{
	int fs_fd, ret;

	fs_fd = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs_fd < 0)
		return -errno;
	ret = set_option(fs_fd, "mode", "0700");
	if (!ret)
		ret = set_option(fs_fd, "nr_inodes", "2");
	if (!ret)
		ret = mount_detached(fs_fd, MOUNT_ATTR_NODEV |
				     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	close(fs_fd);
	return ret;
}

/*
 * The source stays readable in /proc/mounts, and programs take a path there for
 * the device that is mounted. "/proc/.../fd/N" would soon be another device, so
 * the source is a link to it, which resolves to nothing once the descriptor that
 * this returns is closed, and has a name of this device alone if the number of
 * the descriptor is used again.
 */
static int set_source_link(int fs_fd, int fd)
{
	char name[64], target[BLKFD_PATH_MAX];
	char source[BLKFD_PATH_MAX + sizeof(name)];
	int dir, ret;

	ret = blkfd_unique_name(fd, name, sizeof(name));
	if (ret < 0)
		return ret;
	dir = private_directory();
	if (dir < 0)
		return dir;
	blkfd_path(dir, target, sizeof(target));
	snprintf(source, sizeof(source), "%s/%s", target, name);
	blkfd_path(fd, target, sizeof(target));
	ret = symlinkat(target, dir, name) < 0 ? -errno : 0;
	if (!ret)
		ret = set_option(fs_fd, "source", source);
	if (ret < 0) {
		close(dir);
		return ret;
	}
	return dir;
}

/* Reads the messages that wait; message gets as many as have room. */
static void read_messages(int fs_fd, char *message, size_t size)
{
	char line[BLKFD_MESSAGE_MAX];
	const char *text;
	size_t used = 0;
	ssize_t length;

	if (size)
		*message = 0;
	while ((length = read(fs_fd, line, sizeof(line) - 1)) > 0) {
		line[length] = 0;
		/* "e ", "w " or "i " says what kind of message it is. */
		text = length > 2 && line[1] == ' ' ? line + 2 : line;
		if (strlen(text) < size - used && size)
			used = stpcpy(message + used, text) - message;
	}
}

/*
 * Kernels that do not take a descriptor say EINVAL, file systems of the old kind
 * EOPNOTSUPP. *by_fd: whether to try it; then, whether it was taken. Returns a
 * descriptor that must stay open until the superblock is there, -1 if there is
 * none, or a negative errno.
 */
static int set_source(int fs_fd, int fd, bool *by_fd, int *keep)
{
	int ret = -EINVAL;

	*keep = -1;
	if (*by_fd)
		ret = configure(fs_fd, FSCONFIG_SET_FD, "source", NULL, fd);
	*by_fd = !ret;
	if (ret != -EINVAL && ret != -EOPNOTSUPP)
		return ret;
	read_messages(fs_fd, NULL, 0);
	ret = set_source_link(fs_fd, fd);
	if (ret < 0)
		return ret;
	*keep = ret;
	return 0;
}

static int mount_context(int fs_fd, int fd, char *options,
			 unsigned int attr_flags, bool *by_fd)
{
	int keep, ret;

	ret = set_source(fs_fd, fd, by_fd, &keep);
	if (ret < 0)
		return ret;
	ret = set_options(fs_fd, options, &attr_flags);
	if (!ret)
		ret = mount_detached(fs_fd, attr_flags);
	if (keep >= 0)
		close(keep);
	return ret;
}

static int mount_once(int fd, const char *fstype, const char *options,
		      unsigned int attr_flags, bool *by_fd,
		      char *message, size_t size)
{
	char *copy = strdup(options ? options : "");
	int fs_fd, ret;

	if (!copy)
		return -ENOMEM;
	fs_fd = fsopen(fstype, FSOPEN_CLOEXEC);
	ret = fs_fd < 0 ? -errno : mount_context(fs_fd, fd, copy, attr_flags,
						 by_fd);
	free(copy);
	if (fs_fd < 0)
		return ret;
	if (ret < 0)
		read_messages(fs_fd, message, size);
	close(fs_fd);
	return ret;
}

static int check_mount(int fd, unsigned int attr_flags)
{
	unsigned int atime = attr_flags & MOUNT_ATTR__ATIME;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode))
		return -ENOTBLK;
	if (attr_flags & ~ATTRIBUTES_KNOWN ||
	    atime == (MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME))
		return -EINVAL;
	return 0;
}

BLKFD_PUBLIC
int blkfd_fsmount_message(int fd, const char *fstype, const char *options,
			  unsigned int attr_flags, char *message, size_t size)
{
	bool by_fd = true;
	int ret;

	if (size)
		*message = 0;
	ret = check_mount(fd, attr_flags);
	if (ret < 0)
		return ret;
	ret = mount_once(fd, fstype, options, attr_flags, &by_fd, message,
			 size);
	/* erofs takes any descriptor, and later only a regular file's. */
	if (ret == -EINVAL && by_fd) {
		by_fd = false;
		if (size)
			*message = 0;
		ret = mount_once(fd, fstype, options, attr_flags, &by_fd,
				 message, size);
	}
	return ret;
}

BLKFD_PUBLIC
int blkfd_fsmount(int fd, const char *fstype, const char *options,
		  unsigned int attr_flags)
{
	return blkfd_fsmount_message(fd, fstype, options, attr_flags, NULL, 0);
}

BLKFD_PUBLIC
int blkfd_mount(int fd, const char *fstype, const char *options,
		unsigned int attr_flags, const char *target,
		char *message, size_t size)
{
	int dir, mount_fd, ret = 0;

	if (size)
		*message = 0;
	dir = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	mount_fd = blkfd_fsmount_message(fd, fstype, options, attr_flags,
					 message, size);
	if (mount_fd < 0)
		ret = mount_fd;
	else if (move_mount(mount_fd, "", dir, "", MOVE_MOUNT_F_EMPTY_PATH |
			    MOVE_MOUNT_T_EMPTY_PATH) < 0)
		ret = -errno;
	if (mount_fd >= 0)
		close(mount_fd);
	close(dir);
	return ret;
}
