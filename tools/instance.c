// SPDX-License-Identifier: GPL-2.0
/* blkfd instance and blkfd revoke: shares of what /dev/blkfd may do. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "blkfd.h"
#include "common.h"

/**
 * struct instance_request - the command line
 * @bounds: Of the instance.
 * @uid: Owner of the file that stands for it.
 * @gid: Its group.
 * @mode: Its permissions.
 * @path: Where to mount it; NULL: for a command.
 */
struct instance_request {
	struct blkfd_instance bounds;
	uint32_t uid;
	uint32_t gid;
	uint32_t mode;
	const char *path;
};

static const struct option instance_options[] = {
	{ "max-devices",	required_argument,	NULL, 'd' },
	{ "max-bytes",		required_argument,	NULL, 'b' },
	{ "block-sizes",	required_argument,	NULL, 's' },
	{ "deny",		required_argument,	NULL, 'n' },
	{ "read-only",		no_argument,		NULL, 'r' },
	{ "owner",		required_argument,	NULL, 'o' },
	{ "mode",		required_argument,	NULL, 'm' },
	{ "help",		no_argument,		NULL, 'h' },
	{ }
};

static int parse_number(const char *name, const char *text, int base,
			unsigned long max, uint32_t *number)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, base);
	if (errno || *text < '0' || *text > '9' || *end || value > max) {
		complain("%s: '%s' is not a number here", name, text);
		return -EINVAL;
	}
	*number = value;
	return 0;
}

/* What the kernel takes for no bound is none to ask for. */
static int refuse_0(const char *name, uint64_t max)
{
	if (max)
		return 0;
	complain("%s: 0 would be no bound", name);
	return -EINVAL;
}

/* Calls take with each word between commas. */
static int for_words(const char *name, char *text, struct blkfd_instance *bounds,
		     int (*take)(struct blkfd_instance *bounds, const char *word))
{
	char *word, *rest;
	int ret = -EINVAL;

	for (word = strtok_r(text, ",", &rest); word;
	     word = strtok_r(NULL, ",", &rest)) {
		ret = take(bounds, word);
		if (ret < 0)
			return ret;
	}
	if (ret < 0)
		complain("%s: an empty list", name);
	return ret;
}

static int take_block_size(struct blkfd_instance *bounds, const char *word)
{
	uint64_t size;
	int ret = parse_bytes("block-sizes", word, UINT32_MAX, &size);

	if (ret < 0)
		return ret;
	if (size < 512 || size > 65536 || size & (size - 1)) {
		complain("block-sizes: %s: must be a power of two from 512 to 64K",
			 word);
		return -EINVAL;
	}
	bounds->block_sizes |= size;
	return 0;
}

static int take_denied(struct blkfd_instance *bounds, const char *word)
{
	if (!strcmp(word, "direct")) {
		bounds->denied_flags |= BLKFD_F_DIRECT;
	} else if (!strcmp(word, "no-discard")) {
		bounds->denied_flags |= BLKFD_F_NODISCARD;
	} else {
		complain("deny: '%s' is neither direct nor no-discard", word);
		return -EINVAL;
	}
	return 0;
}

/* UID or UID:GID, changed in place. */
static int take_owner(struct instance_request *request, char *text)
{
	char *uid = strsep(&text, ":");
	int ret;

	ret = parse_number("owner", uid, 10, UINT32_MAX - 1, &request->uid);
	if (!ret && text)
		ret = parse_number("owner", text, 10, UINT32_MAX - 1,
				   &request->gid);
	return ret;
}

static int take_argument(struct instance_request *request, int c)
{
	struct blkfd_instance *bounds = &request->bounds;
	uint64_t bytes;
	int ret;

	switch (c) {
	case 'd':
		ret = parse_number("max-devices", optarg, 10, 1 << 20,
				   &bounds->max_devices);
		return ret ? ret : refuse_0("max-devices", bounds->max_devices);
	case 'b':
		ret = parse_bytes("max-bytes", optarg, INT64_MAX, &bytes);
		if (ret < 0)
			return ret;
		bounds->max_bytes = bytes;
		return refuse_0("max-bytes", bytes);
	case 's':
		return for_words("block-sizes", optarg, bounds, take_block_size);
	case 'n':
		return for_words("deny", optarg, bounds, take_denied);
	case 'r':
		bounds->flags |= BLKFD_INSTANCE_RDONLY;
		return 0;
	case 'o':
		return take_owner(request, optarg);
	case 'm':
		return parse_number("mode", optarg, 8, 0777, &request->mode);
	}
	return -EINVAL;
}

static int new_instance(const struct blkfd_instance *bounds)
{
	int control = open_control(CONTROL_PATH), instance;

	if (control < 0)
		return control;
	instance = blkfd_new_instance(control, bounds);
	close(control);
	if (instance == -EPERM)
		complain("instance: that of " CONTROL_PATH
			 " here has a smaller share: see 'blkfd limits'");
	else if (instance < 0)
		complain("instance: %s", strerror(-instance));
	return instance;
}

/* A file to mount it on is made if there is none. */
static int mount_instance(int instance, const struct instance_request *request,
			  const char *path)
{
	char data[80];
	int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool made = fd >= 0;

	if (made) {
		close(fd);
	} else if (errno != EEXIST) {
		complain("%s: %s", path, strerror(errno));
		return -EINVAL;
	}
	snprintf(data, sizeof(data), "instance=%d,uid=%u,gid=%u,mode=%o",
		 instance, request->uid, request->gid, request->mode);
	if (mount("blkfd", path, "blkfdctl", 0, data) < 0) {
		complain("%s: %s", path, strerror(errno));
		if (made)
			unlink(path);
		return -EINVAL;
	}
	return 0;
}

/* Only what is started here sees it. */
static int enter_mounts(void)
{
	if (!unshare(CLONE_NEWNS) &&
	    !mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		return 0;
	complain("a mount namespace: %s", strerror(errno));
	return -errno;
}

static int run(int instance, const struct instance_request *request,
	       char **argv)
{
	int error;

	if (enter_mounts() < 0 ||
	    mount_instance(instance, request, CONTROL_PATH) < 0)
		return EXIT_FAILED;
	execvp(argv[0], argv);
	error = errno;
	complain("%s: %s", argv[0], strerror(error));
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

static int usage_missing(void)
{
	complain("instance: what is needed is PATH, or -- COMMAND");
	return usage_error("instance");
}

int instance_main(int argc, char **argv)
{
	int separator = find_separator(argc, argv), instance, c;
	struct instance_request request = {
		.uid = geteuid(), .gid = getegid(), .mode = 0600,
	};

	while ((c = getopt_long(separator, argv, "h", instance_options,
				NULL)) >= 0) {
		if (c == 'h')
			return usage(argv[0]);
		if (c == '?' || take_argument(&request, c) < 0)
			return usage_error("instance");
	}
	if (separator == argc && argc - optind == 1)
		request.path = argv[optind];
	else if (separator != optind || separator + 1 >= argc)
		return usage_missing();
	instance = new_instance(&request.bounds);
	if (instance < 0)
		return EXIT_FAILED;
	if (!request.path)
		return run(instance, &request, argv + separator + 1);
	return mount_instance(instance, &request, request.path) < 0 ?
		EXIT_FAILED : 0;
}

static int revoke_path(int control, const char *path)
{
	int instance = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), ret;

	if (instance < 0) {
		complain("%s: %s", path, strerror(errno));
		return -errno;
	}
	ret = blkfd_revoke(control, instance);
	close(instance);
	if (ret == -EINVAL)
		complain("%s: not an instance of blkfd", path);
	else if (ret == -EPERM)
		complain("%s: not made by " CONTROL_PATH " here", path);
	else if (ret < 0)
		complain("%s: %s", path, strerror(-ret));
	return ret;
}

int revoke_main(int argc, char **argv)
{
	static const struct option revoke_options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int control, c, failed = 0;

	c = getopt_long(argc, argv, "h", revoke_options, NULL);
	if (c == 'h')
		return usage(argv[0]);
	if (c == '?')
		return usage_error("revoke");
	if (optind == argc) {
		complain("revoke: a PATH is needed");
		return usage_error("revoke");
	}
	control = open_control(CONTROL_PATH);
	if (control < 0)
		return EXIT_FAILED;
	for (; optind < argc; optind++)
		if (revoke_path(control, argv[optind]) < 0)
			failed = EXIT_FAILED;
	close(control);
	return failed;
}
