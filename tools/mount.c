// SPDX-License-Identifier: GPL-2.0
/* blkfd mount: the file system in a file, at a directory. */
#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkfd.h"
#include "common.h"
#include "device-info.h"

/**
 * struct request - the command line
 * @options: What is to be mounted, and how.
 * @json: Print what came of it.
 */
struct request {
	struct mount_options options;
	bool json;
};

static int take_argument(struct request *request, int c, int index)
{
	switch (c) {
	case OPT_DEVICE:
		return device_option_set(&request->options.device,
					 long_options[index].name, optarg);
	case 'o':
		return mount_options_parse(&request->options, optarg);
	case 't':
		return mount_options_set_type(&request->options, optarg);
	case 'j':
		request->json = true;
		return 0;
	case 'n':
		complain("mount: --new is for exec");
		return -1;
	}
	return -1;
}

static void print_field(const char *name, const char *value)
{
	printf(", \"%s\": ", name);
	print_json_string(value ? value : "");
}

/* A source that is no path was given as a descriptor: libblkfd gives paths. */
static void print_mount(uint64_t id, struct libmnt_fs *fs)
{
	const char *source = mnt_fs_get_source(fs);

	printf("{\"id\": %llu", (unsigned long long)id);
	print_field("target", mnt_fs_get_target(fs));
	print_field("fstype", mnt_fs_get_fstype(fs));
	print_field("source", source);
	print_field("source_by", source && *source == '/' ? "path" : "fd");
	printf("}\n");
}

/* What the kernel says of the mount. */
static int report(uint64_t id, int mount_fd, const char *dir)
{
	struct libmnt_table *table;
	struct libmnt_fs *fs = NULL;
	struct statx stx;

	table = mnt_new_table_from_file(MOUNTINFO_PATH);
	if (table && !statx(mount_fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx))
		fs = find_mount(table, stx.stx_mnt_id);
	if (fs)
		print_mount(id, fs);
	else
		complain("%s: not found in " MOUNTINFO_PATH " once mounted", dir);
	mnt_unref_table(table);
	return fs ? finish_stdout() : EXIT_FAILED;
}

/* Who is not told of a mount will not unmount it. Returns: whether it is gone. */
static bool take_away(int mount_fd, const char *dir)
{
	char path[BLKFD_PATH_MAX];

	blkfd_path(mount_fd, path, sizeof(path));
	if (!umount2(path, MNT_DETACH))
		return true;
	complain("%s: still mounted: %s", dir, strerror(errno));
	return false;
}

/* Sets mounted where something is, whatever came of the rest. */
static int attach_and_report(int fd, const struct request *request,
			     const char *file, const char *dir, bool *mounted)
{
	struct blkfd_info info = { };
	int ret = request->json ? blkfd_get_info(fd, &info) : 0, mount_fd;

	if (ret < 0) {
		complain("%s: device: %s", file, strerror(-ret));
		close(fd);
		return EXIT_FAILED;
	}
	mount_fd = attach(fd, file, &request->options, dir, -1);
	if (mount_fd < 0)
		return EXIT_FAILED;
	if (request->json)
		ret = report(info.id, mount_fd, dir);
	*mounted = !ret || !take_away(mount_fd, dir);
	close(mount_fd);
	return ret;
}

static int mount_file(const struct request *request, const char *file,
		      const char *dir)
{
	struct backing backing;
	int fd = device_open(&backing, file, &request->options.device), ret;
	bool mounted = false;

	if (fd < 0)
		return EXIT_FAILED;
	ret = attach_and_report(fd, request, file, dir, &mounted);
	if (mounted)
		close(backing.fd);
	else
		backing_restore(&backing);
	return ret;
}

int mount_main(int argc, char **argv)
{
	struct request request = { };
	int index, c, ret;

	while ((c = getopt_long(argc, argv, "ht:o:", long_options,
				&index)) >= 0) {
		if (c == 'h')
			return usage(argv[0]);
		if (take_argument(&request, c, index) < 0)
			return usage_error("mount");
	}
	if (argc - optind != 2) {
		complain("mount: what is needed is FILE DIR");
		return usage_error("mount");
	}
	if (device_options_check(&request.options.device) < 0)
		return usage_error("mount");
	/* To be met as an error, while there is something to take away. */
	signal(SIGPIPE, SIG_IGN);
	ret = mount_file(&request, argv[optind], argv[optind + 1]);
	mount_options_free(&request.options);
	return ret;
}
