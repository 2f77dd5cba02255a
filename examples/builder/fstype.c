// SPDX-License-Identifier: GPL-2.0
/* File systems: how they are made and checked, and how much room they want. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include "builder.h"

#define KIB	1024ULL
#define MIB	(1024 * KIB)
#define ARGS	8

struct fstype {
	const char *name;
	const char *make[ARGS];
	const char *check[ARGS];
	const char *uuid_option;
	const char *uuid_prefix;
	size_t label_max;
	const char *mount_options;
	/* Estimates, rather too large than too small: the image is sparse. */
	uint64_t size_min;
	uint64_t size_base;		/* journal and the like */
	uint64_t size_per_file;		/* besides its data */
	unsigned int size_percent;	/* on top of all */
};

static const struct fstype types[] = {
	{
		.name = "xfs",
		.make = { "mkfs.xfs", "-q" },
		.check = { "xfs_repair", "-n" },
		.uuid_option = "-m",
		.uuid_prefix = "uuid=",
		.label_max = 12,
		/* An earlier image with this UUID may be mounted. */
		.mount_options = "nouuid",
		.size_min = 300 * MIB,
		.size_base = 96 * MIB,
		.size_per_file = 1 * KIB,
		.size_percent = 8,
	}, {
		.name = "ext4",
		/* Or the kernel would zero the inode tables while it is mounted. */
		.make = { "mkfs.ext4", "-q", "-E", "assume_storage_prezeroed=1" },
		.check = { "e2fsck", "-f", "-n" },
		.uuid_option = "-U",
		.uuid_prefix = "",
		.label_max = 16,
		.size_min = 16 * MIB,
		.size_base = 80 * MIB,
		/* mkfs.ext4 makes one inode for each 16 KiB of a large image. */
		.size_per_file = 18 * KIB,
		.size_percent = 12,
	}, {
		.name = "btrfs",
		.make = { "mkfs.btrfs", "-q" },
		.check = { "btrfs", "check", "--readonly" },
		.uuid_option = "-U",
		.uuid_prefix = "",
		.label_max = 255,
		.size_min = 256 * MIB,
		.size_base = 256 * MIB,
		/* Twice, since metadata is stored twice. */
		.size_per_file = 4 * KIB,
		.size_percent = 15,
	},
	{ }
};

const struct fstype *fstype_find(const char *name)
{
	for (const struct fstype *type = types; type->name; type++)
		if (!strcmp(type->name, name))
			return type;
	return NULL;
}

const char *fstype_name(const struct fstype *type)
{
	return type->name;
}

const char *fstype_mount_options(const struct fstype *type)
{
	return type->mount_options;
}

size_t fstype_label_max(const struct fstype *type)
{
	return type->label_max;
}

uint64_t fstype_size_for(const struct fstype *type, const struct totals *totals)
{
	uint64_t size = totals->blocks + totals->files * type->size_per_file + type->size_base;

	size += size / 100 * type->size_percent;
	return roundup(MAX(size, type->size_min), MIB);
}

struct args {
	const char **argv;
	size_t count;
};

/* Room for the first few, and as many as there are in more. */
static void args_init(struct args *args, const char *const *first, const char *const *more)
{
	size_t count = 2 * ARGS;

	for (; more && *more; more++)
		count++;
	args->argv = calloc(count, sizeof(*args->argv));
	if (!args->argv)
		die("out of memory");
	for (args->count = 0; first[args->count]; args->count++)
		args->argv[args->count] = first[args->count];
}

static void args_add(struct args *args, const char *option, const char *value)
{
	if (!value)
		return;
	if (option)
		args->argv[args->count++] = option;
	args->argv[args->count++] = value;
}

void fstype_make(const struct build *build, const char *device)
{
	const struct fstype *type = build->type;
	char uuid[64];
	struct args args;

	args_init(&args, type->make, build->mkfs_options);
	args_add(&args, "-L", build->label);
	snprintf(uuid, sizeof(uuid), "%s%s", type->uuid_prefix, build->uuid ?: "");
	args_add(&args, type->uuid_option, build->uuid ? uuid : NULL);
	for (size_t i = 0; build->mkfs_options && build->mkfs_options[i]; i++)
		args_add(&args, NULL, build->mkfs_options[i]);
	args_add(&args, NULL, device);
	progress_phase(type->make[0]);
	if (!child_run(args.argv))
		die("%s failed", type->make[0]);
	free(args.argv);
}

void fstype_check(const struct fstype *type, const char *device)
{
	struct args args;

	args_init(&args, type->check, NULL);
	args_add(&args, NULL, device);
	progress_phase(type->check[0]);
	if (!child_run(args.argv))
		die("%s has found errors", type->check[0]);
	free(args.argv);
}
