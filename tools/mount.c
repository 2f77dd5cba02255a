// SPDX-License-Identifier: GPL-2.0
/* blkfd mount: the file system in a file, at a directory. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkfd.h"
#include "common.h"

static int take_argument(struct mount_options *options, int c, int index)
{
	switch (c) {
	case OPT_DEVICE:
		return device_option_set(&options->device,
					 long_options[index].name, optarg);
	case 'o':
		return mount_options_parse(options, optarg);
	case 't':
		return mount_options_set_type(options, optarg);
	}
	return -1;
}

static int mount_file(const struct mount_options *options, const char *file,
		      const char *dir)
{
	int fd = device_open(file, &options->device);

	return fd < 0 || attach(fd, file, options, dir) < 0 ? EXIT_FAILED : 0;
}

int mount_main(int argc, char **argv)
{
	struct mount_options options = { };
	int index, c, ret;

	while ((c = getopt_long(argc, argv, "ht:o:", long_options,
				&index)) >= 0) {
		if (c == 'h')
			return usage(argv[0]);
		if (take_argument(&options, c, index) < 0)
			return usage_error("mount");
	}
	if (argc - optind != 2) {
		complain("mount: what is needed is FILE DIR");
		return usage_error("mount");
	}
	ret = mount_file(&options, argv[optind], argv[optind + 1]);
	mount_options_free(&options);
	return ret;
}
