/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libblkfd: block devices from file descriptors.
 *
 * Every function returns a negative errno on failure and has then changed
 * nothing. Descriptors that are returned are close-on-exec. No function prints,
 * and none keeps state: all can be called from any thread.
 */
#ifndef LIBBLKFD_H
#define LIBBLKFD_H

#include <stddef.h>
#include <stdint.h>
#include <linux/blkfd.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct blkfd_create_opts - what blkfd_create() takes beyond the file
 * @flags: BLKFD_F_RDONLY, BLKFD_F_DIRECT, BLKFD_F_NODISCARD or 0.
 * @block_size: Logical block size in bytes; 0: what the file needs.
 * @offset: First byte of the file that belongs to the device.
 * @length: Size of the device in bytes; 0: to the end of the file.
 *
 * Zero the whole struct, then set what is wanted.
 */
struct blkfd_create_opts {
	uint32_t flags;
	uint32_t block_size;
	uint64_t offset;
	uint64_t length;
};

/* Bytes that a path from blkfd_path() needs, the final 0 included. */
#define BLKFD_PATH_MAX 32

/* Bytes of buffer that hold every message that the kernel gives on a mount. */
#define BLKFD_MESSAGE_MAX 4096

/*
 * A new block device over backing_fd; opts may be NULL. Returns its descriptor.
 * -ENOENT: there is no /dev/blkfd, the module is not loaded; -EACCES: the caller
 * may not open it; else as BLKFD_CREATE in <linux/blkfd.h>.
 */
int blkfd_create(int backing_fd, const struct blkfd_create_opts *opts);

/*
 * The same, by an open control file: that of blkfd_control(), or an instance.
 * -ENOTTY: control_fd is none.
 */
int blkfd_create_by(int control_fd, int backing_fd,
		    const struct blkfd_create_opts *opts);

/* What the kernel knows of the device. -ENOTTY: fd is not a blkfd device. */
int blkfd_get_info(int fd, struct blkfd_info *info);

/* A new size in bytes; 0: follow the backing file. As BLKFD_RESIZE. */
int blkfd_resize(int fd, uint64_t length);

/*
 * /dev/blkfd, open. -ENOENT: the module is not loaded; -EACCES: the caller may not
 * open it.
 */
int blkfd_control(void);

/* How many devices there may be, and are. As BLKFD_GET_LIMITS. */
int blkfd_get_limits(int control_fd, struct blkfd_limits *limits);

/* The first user from user->uid on that has devices. As BLKFD_GET_USER. */
int blkfd_get_user(int control_fd, struct blkfd_user *user);

/*
 * An instance: a share of what control_fd may do. As BLKFD_NEW_INSTANCE. Returns its
 * descriptor.
 */
int blkfd_new_instance(int control_fd, const struct blkfd_instance *bounds);

/* Bounds and counts of an instance, or of /dev/blkfd. As BLKFD_GET_INSTANCE. */
int blkfd_get_instance(int control_fd, struct blkfd_instance *instance);

/* Nothing is made by instance_fd any more. As BLKFD_REVOKE. */
int blkfd_revoke(int control_fd, int instance_fd);

/*
 * Writes "/proc/thread-self/fd/N", the path by which who uses it can open its fd again.
 * -EBADF: fd is negative; -ERANGE: size is too small.
 */
int blkfd_path(int fd, char *path, size_t size);

/*
 * Makes a node of the device in the directory dir_fd (needs CAP_MKNOD), for tools
 * that insist on a name. The node holds no reference: it is a name for nothing
 * once the device is gone; removing it is up to the caller.
 */
int blkfd_export_node(int fd, int dir_fd, const char *name, uint32_t mode);

/*
 * A detached mount of the file system on fd, which may be any block device. It
 * and the device are gone when the returned descriptor is closed, unless it is
 * attached by move_mount(2). options: as for mount -o, comma separated, or
 * NULL; attr_flags: MOUNT_ATTR_*, as fsmount(2) takes them.
 * MOUNT_ATTR_RDONLY also makes the file system itself read-only.
 */
int blkfd_fsmount(int fd, const char *fstype, const char *options,
		  unsigned int attr_flags);

/*
 * The same, and on failure puts the messages that the kernel left on the
 * file-system context into message, one per line, "" if there are none. message
 * may be NULL if size is 0.
 */
int blkfd_fsmount_message(int fd, const char *fstype, const char *options,
			  unsigned int attr_flags, char *message, size_t size);

/* The same, attached at target. Returns 0. */
int blkfd_mount(int fd, const char *fstype, const char *options,
		unsigned int attr_flags, const char *target,
		char *message, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* LIBBLKFD_H */
