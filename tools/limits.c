// SPDX-License-Identifier: GPL-2.0
/* blkfd limits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkfd.h"
#include "common.h"

static const struct option limits_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

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

static void print_text(const struct blkfd_limits *limits,
		       const struct users *users)
{
	size_t i;

	printf("devices: %u of %u, %u of these for the initial user namespace\n",
	       limits->devices, limits->max_devices, limits->reserved);
	printf("yours: %u of %u\n", limits->user_devices,
	       limits->max_user_devices);
	if (users->count)
		printf("%10s %10s\n", "UID", "DEVICES");
	for (i = 0; i < users->count; i++)
		printf("%10u %10u\n", users->users[i].uid,
		       users->users[i].devices);
}

static void print_limits_json(const struct blkfd_limits *limits,
			      const struct users *users)
{
	size_t i;

	printf("{\"max_devices\": %u, \"reserved\": %u, \"max_user_devices\": %u, "
	       "\"devices\": %u, \"user_devices\": %u", limits->max_devices,
	       limits->reserved, limits->max_user_devices, limits->devices,
	       limits->user_devices);
	if (users->known)
		printf(", \"users\": [");
	for (i = 0; i < users->count; i++)
		printf("%s{\"uid\": %u, \"devices\": %u}", i ? ", " : "",
		       users->users[i].uid, users->users[i].devices);
	printf("%s}\n", users->known ? "]" : "");
}

static int show(bool json)
{
	struct users users = { };
	struct blkfd_limits limits;
	int control = blkfd_control(), ret;

	if (control == -ENOENT) {
		complain_missing();
		return EXIT_FAILED;
	}
	if (control < 0) {
		complain("/dev/blkfd: %s", strerror(-control));
		return EXIT_FAILED;
	}
	ret = blkfd_get_limits(control, &limits);
	if (!ret)
		ret = read_users(control, &users);
	close(control);
	if (ret < 0)
		complain("limits: %s", strerror(-ret));
	else if (json)
		print_limits_json(&limits, &users);
	else
		print_text(&limits, &users);
	free(users.users);
	return ret < 0 ? EXIT_FAILED : finish_stdout();
}

int limits_main(int argc, char **argv)
{
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", limits_options, NULL)) >= 0) {
		if (c == 'h')
			return usage(argv[0]);
		if (c == '?')
			return usage_error("limits");
		json = true;
	}
	if (optind < argc) {
		complain("limits: '%s': no argument is taken", argv[optind]);
		return usage_error("limits");
	}
	return show(json);
}
