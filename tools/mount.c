// SPDX-License-Identifier: GPL-2.0
/* blkfd mount: the file system in a file, at a directory. */
#include <errno.h>
#include <libmount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* What the kernel says of the mount at the directory. */
static int report(uint64_t id, const char *dir)
{
	struct libmnt_table *table;
	struct libmnt_fs *fs = NULL;
	char *path = realpath(dir, NULL);

	table = mnt_new_table_from_file("/proc/self/mountinfo");
	if (path && table)
		fs = mnt_table_find_target(table, path, MNT_ITER_BACKWARD);
	if (fs)
		print_mount(id, fs);
	else
		complain("%s: mounted, but not found in /proc/self/mountinfo",
			 dir);
	mnt_unref_table(table);
	free(path);
	return fs ? finish_stdout() : EXIT_FAILED;
}

static int mount_file(const struct request *request, const char *file,
		      const char *dir)
{
	struct blkfd_info info = { };
	struct backing backing;
	int fd = device_open(&backing, file, &request->options.device), ret;

	if (fd < 0)
		return EXIT_FAILED;
	ret = request->json ? blkfd_get_info(fd, &info) : 0;
	if (ret < 0) {
		complain("%s: device: %s", file, strerror(-ret));
		close(fd);
		backing_restore(&backing);
		return EXIT_FAILED;
	}
	if (attach(fd, &backing, &request->options, dir, -1) < 0)
		return EXIT_FAILED;
	return request->json ? report(info.id, dir) : 0;
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
	ret = mount_file(&request, argv[optind], argv[optind + 1]);
	mount_options_free(&request.options);
	return ret;
}
