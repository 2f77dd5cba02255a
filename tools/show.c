// SPDX-License-Identifier: GPL-2.0
/* blkfd list and blkfd info. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkfd.h"
#include "common.h"
#include "device-info.h"

#define CLASS_PATH "/sys/class/misc/blkfd"

static void free_devices(struct device_info *devices, size_t count)
{
	while (count)
		device_info_free(&devices[--count]);
	free(devices);
}

/* Devices that go while we look are none. */
static int read_all(const unsigned long long *ids, int count,
		    struct device_info *devices)
{
	int i, ret, known = 0;

	for (i = 0; i < count; i++) {
		ret = device_info_read(&devices[known], ids[i]);
		if (ret == -ENOENT)
			continue;
		if (ret < 0) {
			complain("blkfd%llu: %s", ids[i], strerror(-ret));
			while (known)
				device_info_free(&devices[--known]);
			return ret;
		}
		known++;
	}
	return known;
}

static int add_mounts(struct device_info *devices, size_t count)
{
	int ret = count ? device_infos_find_mounts(devices, count) : 0;

	if (ret < 0)
		complain(MOUNTINFO_PATH ": %s", strerror(-ret));
	return ret;
}

static int list(bool json)
{
	struct device_info *devices = NULL;
	unsigned long long *ids = NULL;
	int count = device_ids(&ids), ret;

	if (count > 0)
		devices = calloc(count, sizeof(*devices));
	if (count < 0 || (count && !devices)) {
		complain("/sys/block: %s", strerror(count < 0 ? -count :
						    ENOMEM));
		free(ids);
		return EXIT_FAILED;
	}
	count = read_all(ids, count, devices);
	free(ids);
	if (count < 0) {
		free(devices);
		return EXIT_FAILED;
	}
	ret = add_mounts(devices, count);
	if (!ret && json)
		print_json(devices, count);
	else if (!ret)
		print_table(devices, count);
	free_devices(devices, count);
	return ret < 0 ? EXIT_FAILED : finish_stdout();
}

/* Without the module there is neither. */
static int complain_no_class(int error)
{
	if (access(CONTROL_PATH, F_OK) < 0)
		complain_missing();
	else
		complain(CLASS_PATH ": %s", strerror(error));
	return EXIT_FAILED;
}

int list_main(int argc, char **argv)
{
	int choice = parse_json_option(argc, argv);

	if (choice == 'h')
		return usage(argv[0]);
	if (choice == '?')
		return usage_error("list");
	if (optind < argc) {
		complain("list: '%s': no argument is taken", argv[optind]);
		return usage_error("list");
	}
	if (access(CLASS_PATH, F_OK) < 0)
		return complain_no_class(errno);
	return list(choice == 'j');
}

static int info_by_path(const char *path, struct device_info *device)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = blkfd_get_info(fd, &device->info);
	if (!ret)
		ret = device_info_complete(device);
	close(fd);
	return ret;
}

static int info_one(const char *name, struct device_info *device)
{
	unsigned long long id;
	int end = 0, ret;

	if ((sscanf(name, "blkfd%llu%n", &id, &end) == 1 && !name[end]) ||
	    (sscanf(name, "%llu%n", &id, &end) == 1 && !name[end]))
		ret = device_info_read(device, id);
	else
		ret = info_by_path(name, device);
	if (ret == -ENOTTY)
		complain("%s: not a blkfd device", name);
	else if (ret < 0)
		complain("%s: %s", name, strerror(-ret));
	return ret;
}

/* All or nothing: a reader of JSON gets no half of what was asked for. */
static int info(bool json, int count, char **names)
{
	struct device_info *devices = calloc(count, sizeof(*devices));
	int i, ret = devices ? 0 : -ENOMEM;

	if (!devices)
		complain("%s", strerror(ENOMEM));
	for (i = 0; i < count && !ret; i++)
		ret = info_one(names[i], &devices[i]);
	if (!ret)
		ret = add_mounts(devices, count);
	if (!ret && json)
		print_json(devices, count);
	else if (!ret)
		print_blocks(devices, count);
	free_devices(devices, devices ? count : 0);
	return ret < 0 ? EXIT_FAILED : finish_stdout();
}

int info_main(int argc, char **argv)
{
	int choice = parse_json_option(argc, argv);

	if (choice == 'h')
		return usage(argv[0]);
	if (choice == '?')
		return usage_error("info");
	if (optind == argc) {
		complain("info: a DEVICE is needed");
		return usage_error("info");
	}
	return info(choice == 'j', argc - optind, argv + optind);
}
