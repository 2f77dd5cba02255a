// SPDX-License-Identifier: GPL-2.0
/* mount.blkfd: what mount(8) runs for "mount -t blkfd". */
#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common.h"
#include "device-info.h"

/* Exit statuses, as mount(8) has them. */
#define EXIT_USAGE 1
#define EXIT_SYSTEM 2
#define EXIT_MOUNT 32

/**
 * struct request - the command line
 * @options: What -o and -t say.
 * @fake: Mount nothing.
 * @verbose: Say what was mounted.
 * @namespace: Mount namespace to mount in, a path or a PID; NULL: ours.
 */
struct request {
	struct mount_options options;
	bool fake;
	bool verbose;
	const char *namespace;
};

static int usage_error(void)
{
	fprintf(stderr, "Usage: mount.blkfd FILE DIR %s\n",
		"[-sfnvrw] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]");
	return EXIT_USAGE;
}

/* mount(8) says "blkfd", or "blkfd.xfs" for what it was told to mount. */
static int take_type(struct mount_options *options, const char *type)
{
	if (!strcmp(type, "blkfd"))
		return 0;
	if (!strncmp(type, "blkfd.", 6))
		type += 6;
	return mount_options_set_type(options, type);
}

static int take_option(struct request *request, int c)
{
	switch (c) {
	case 's':
	case 'n':
		return 0;
	case 'f':
		request->fake = true;
		return 0;
	case 'v':
		request->verbose = true;
		return 0;
	case 'r':
		return mount_options_parse(&request->options, "ro");
	case 'w':
		return mount_options_parse(&request->options, "rw");
	case 'N':
		request->namespace = optarg;
		return 0;
	case 'o':
		return mount_options_parse(&request->options, optarg);
	case 't':
		return take_type(&request->options, optarg);
	}
	return -EINVAL;
}

static int open_namespace(const char *namespace)
{
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", namespace);
	fd = open(namespace[strspn(namespace, "0123456789")] ? namespace : path,
		  O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	ret = -errno;
	complain("namespace %s: %s", namespace, strerror(-ret));
	return ret;
}

/* What mount(8) means by one: the machine lacks something, not the file. */
static bool is_system_error(int error)
{
	return error == ENOPKG || error == ENOMEM || error == EMFILE ||
	       error == ENFILE || error == ENOSPC;
}

/* A disk is the same by whichever of its nodes. */
static bool is_over(const struct blkfd_info *info, const struct stat *st)
{
	bool disk = S_ISBLK(st->st_mode);
	dev_t dev = disk ? st->st_rdev : st->st_dev;

	return info->backing_major == major(dev) && info->backing_minor == minor(dev) &&
	       (disk || info->backing_ino == st->st_ino);
}

/*
 * mount -a knows what is mounted by its source, which is not the file. Once more is
 * a second device, and two that are written to ruin a file system.
 */
static bool is_mounted(const char *file, uint64_t offset, const char *dir)
{
	struct device_info device;
	struct stat st;
	bool same;

	if (stat(file, &st) < 0 || device_info_read_mounted(&device, dir) < 0)
		return false;
	same = is_over(&device.info, &st) && device.info.offset == offset;
	device_info_free(&device);
	return same;
}

/* The file is looked up in our namespace, the directory in the other one. */
static int mount_file(const struct request *request, const char *file,
		      const char *dir)
{
	int namespace = -1, fd, mount_fd;
	struct backing backing;

	if (request->namespace) {
		namespace = open_namespace(request->namespace);
		if (namespace < 0)
			return EXIT_SYSTEM;
	} else if (is_mounted(file, request->options.device.create.offset, dir)) {
		complain("%s: mounted on %s already", file, dir);
		return EXIT_MOUNT;
	}
	fd = device_open(&backing, file, &request->options.device);
	if (fd < 0)
		return is_system_error(-fd) ? EXIT_SYSTEM : EXIT_MOUNT;
	mount_fd = attach(fd, file, &request->options, dir, namespace);
	if (mount_fd < 0) {
		backing_restore(&backing);
		return EXIT_MOUNT;
	}
	close(mount_fd);
	close(backing.fd);
	if (request->verbose)
		printf("mount.blkfd: %s mounted on %s.\n", file, dir);
	finish_stdout();
	return 0;
}

/* From a line of fstab: what it says of the device was for when that was made. */
static int remount_at(const struct request *request, const char *dir)
{
	bool rdonly = request->options.device.create.flags & BLKFD_F_RDONLY;
	char message[BLKFD_MESSAGE_MAX] = "";
	struct libmnt_context *context;
	int ret, status = EXIT_SYSTEM;

	if (request->namespace) {
		complain("remount: not in another namespace");
		return EXIT_USAGE;
	}
	context = mnt_new_context();
	if (context && !mnt_context_set_target(context, dir) &&
	    !mnt_context_set_options(context, request->options.options) &&
	    !mnt_context_append_options(context, rdonly ? "ro" : "rw") &&
	    !mnt_context_disable_helpers(context, 1) &&
	    !mnt_context_set_optsmode(context, MNT_OMODE_NOTAB)) {
		ret = mnt_context_mount(context);
		status = mnt_context_get_excode(context, ret, message, sizeof(message));
	}
	if (status)
		complain("%s: %s", dir, *message ? message : "cannot be remounted");
	mnt_free_context(context);
	return status;
}

static bool is_remount(const struct request *request)
{
	const char *options = request->options.options;
	char *value;
	size_t size;

	return options && !mnt_optstr_get_option(options, "remount", &value, &size);
}

int main(int argc, char **argv)
{
	struct request request = { };
	int c, ret = 0;
	bool remounts;

	if (open_standard_fds() < 0)
		return EXIT_SYSTEM;
	/* mount(8) has the options last. */
	unsetenv("POSIXLY_CORRECT");
	/* It is mounted, whether that can be said or not. */
	signal(SIGPIPE, SIG_IGN);
	while ((c = getopt(argc, argv, "sfnvrwN:o:t:")) >= 0) {
		if (take_option(&request, c) < 0)
			return usage_error();
	}
	if (argc - optind != 2) {
		complain("what is needed is FILE DIR");
		return usage_error();
	}
	remounts = is_remount(&request);
	if (!remounts && device_options_check(&request.options.device) < 0)
		return EXIT_USAGE;
	if (!request.fake)
		ret = remounts ? remount_at(&request, argv[optind + 1]) :
				 mount_file(&request, argv[optind], argv[optind + 1]);
	mount_options_free(&request.options);
	return ret;
}
