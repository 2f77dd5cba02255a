// SPDX-License-Identifier: GPL-2.0
/* blkfd limits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkfd.h"
#include "common.h"
#include "device-info.h"

/* What /dev/blkfd itself is bounded by. */
#define MOST_DEVICES	1048576
#define ALL_BLOCK_SIZES	(2 * 65536 - 512)

/**
 * struct users - who has devices
 * @users: By uid, ascending; NULL: none, or not for the caller to know.
 * @count: How many those are.
 * @known: The caller may know.
 */
struct users {
	struct blkfd_user *users;
	size_t count;
	bool known;
};

static int add_user(struct users *users, const struct blkfd_user *user)
{
	struct blkfd_user *more = reallocarray(users->users, users->count + 1,
					       sizeof(*user));

	if (!more)
		return -ENOMEM;
	users->users = more;
	users->users[users->count++] = *user;
	return 0;
}

static int read_users(int control, struct users *users)
{
	struct blkfd_user user = { };
	int ret;

	while (!(ret = blkfd_get_user(control, &user))) {
		ret = add_user(users, &user);
		if (ret < 0 || user.uid++ == UINT32_MAX)
			break;
	}
	users->known = ret != -EPERM;
	return ret == -EPERM || ret == -ENOENT ? 0 : ret;
}

/**
 * struct shares - what is printed
 * @limits: Those of all, and of the caller.
 * @instance: Bounds of the control file.
 * @users: Who has devices.
 */
struct shares {
	struct blkfd_limits limits;
	struct blkfd_instance instance;
	struct users users;
};

static const struct flag_word instance_words[] = {
	{ BLKFD_INSTANCE_RDONLY, "rdonly" },
	{ BLKFD_INSTANCE_REVOKED, "revoked" },
	{ }
};

static void print_block_sizes(uint32_t sizes)
{
	bool first = true;
	uint32_t size;

	for (size = 512; size <= 65536; size *= 2) {
		if (!(sizes & size))
			continue;
		printf("%s%u", first ? "" : ", ", size);
		first = false;
	}
}

static void print_instance(const struct blkfd_instance *instance)
{
	printf("here: %u of %u", instance->devices, instance->max_devices);
	if (instance->max_bytes != UINT64_MAX)
		printf(", %llu of %llu bytes",
		       (unsigned long long)instance->bytes,
		       (unsigned long long)instance->max_bytes);
	printf(", block sizes ");
	print_block_sizes(instance->block_sizes);
	if (instance->flags)
		printf(", ");
	print_words(instance_words, instance->flags, ", ", "");
	if (instance->denied_flags)
		printf(", denied: ");
	print_words(create_words, instance->denied_flags, ", ", "");
	putchar('\n');
}

static bool is_bounded(const struct blkfd_instance *instance)
{
	return instance->flags || instance->denied_flags ||
	       instance->block_sizes != ALL_BLOCK_SIZES ||
	       instance->max_devices != MOST_DEVICES ||
	       instance->max_bytes != UINT64_MAX;
}

static void print_text(const struct shares *shares)
{
	const struct blkfd_limits *limits = &shares->limits;
	const struct users *users = &shares->users;
	size_t i;

	printf("devices: %u of %u, %u of these for the initial user namespace\n",
	       limits->devices, limits->max_devices, limits->reserved);
	printf("yours: %u of %u\n", limits->user_devices,
	       limits->max_user_devices);
	if (is_bounded(&shares->instance))
		print_instance(&shares->instance);
	if (users->count)
		printf("%10s %10s\n", "UID", "DEVICES");
	for (i = 0; i < users->count; i++)
		printf("%10u %10u\n", users->users[i].uid,
		       users->users[i].devices);
}

static void print_instance_json(const struct blkfd_instance *instance)
{
	printf(", \"instance\": {\"flags\": [");
	print_words(instance_words, instance->flags, ", ", "\"");
	printf("], \"denied_flags\": [");
	print_words(create_words, instance->denied_flags, ", ", "\"");
	printf("], \"block_sizes\": [");
	print_block_sizes(instance->block_sizes);
	printf("], \"max_devices\": %u, \"max_bytes\": %llu, \"bytes\": %llu, "
	       "\"devices\": %u}", instance->max_devices,
	       (unsigned long long)instance->max_bytes,
	       (unsigned long long)instance->bytes, instance->devices);
}

static void print_shares_json(const struct shares *shares)
{
	const struct blkfd_limits *limits = &shares->limits;
	const struct users *users = &shares->users;
	size_t i;

	printf("{\"max_devices\": %u, \"reserved\": %u, \"max_user_devices\": %u, "
	       "\"devices\": %u, \"user_devices\": %u", limits->max_devices,
	       limits->reserved, limits->max_user_devices, limits->devices,
	       limits->user_devices);
	print_instance_json(&shares->instance);
	if (users->known)
		printf(", \"users\": [");
	for (i = 0; i < users->count; i++)
		printf("%s{\"uid\": %u, \"devices\": %u}", i ? ", " : "",
		       users->users[i].uid, users->users[i].devices);
	printf("%s}\n", users->known ? "]" : "");
}

static int read_shares(int control, struct shares *shares)
{
	int ret = blkfd_get_limits(control, &shares->limits);

	if (!ret)
		ret = blkfd_get_instance(control, &shares->instance);
	return ret ? ret : read_users(control, &shares->users);
}

/* Of the control file at path. */
static int show(const char *path, bool json)
{
	struct shares shares = { };
	int control = open_control(path), ret;

	if (control < 0)
		return EXIT_FAILED;
	ret = read_shares(control, &shares);
	close(control);
	if (ret < 0)
		complain("%s: %s", path, strerror(-ret));
	else if (json)
		print_shares_json(&shares);
	else
		print_text(&shares);
	free(shares.users.users);
	return ret < 0 ? EXIT_FAILED : finish_stdout();
}

int limits_main(int argc, char **argv)
{
	int choice = parse_json_option(argc, argv);

	if (choice == 'h')
		return usage(argv[0]);
	if (choice == '?')
		return usage_error("limits");
	if (argc - optind > 1) {
		complain("limits: '%s': one PATH is enough", argv[optind + 1]);
		return usage_error("limits");
	}
	return show(optind < argc ? argv[optind] : CONTROL_PATH, choice == 'j');
}
