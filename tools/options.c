// SPDX-License-Identifier: GPL-2.0
/*
 * The options of devices and mounts: one list of names for "--name value" and
 * "-o name=value".
 */
#include <errno.h>
#include <libmount.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

const struct option long_options[] = {
	{ "read-only",	no_argument,		NULL, OPT_DEVICE },
	{ "direct",	no_argument,		NULL, OPT_DEVICE },
	{ "no-discard",	no_argument,		NULL, OPT_DEVICE },
	{ "offset",	required_argument,	NULL, OPT_DEVICE },
	{ "length",	required_argument,	NULL, OPT_DEVICE },
	{ "block-size",	required_argument,	NULL, OPT_DEVICE },
	{ "size",	required_argument,	NULL, OPT_DEVICE },
	{ "new",	no_argument,		NULL, 'n' },
	{ "type",	required_argument,	NULL, 't' },
	{ "options",	required_argument,	NULL, 'o' },
	{ "json",	no_argument,		NULL, 'j' },
	{ "help",	no_argument,		NULL, 'h' },
	{ }
};

/* What mount(8) and fstab(5) keep for themselves, and what that implies if it is here. */
static const struct mount_word {
	const char *name;
	const char *implied;
} mount_words[] = {
	{ "defaults" }, { "auto" }, { "noauto" }, { "nofail" }, { "_netdev" },
	{ "comment" }, { "helper" }, { "uhelper" },
	{ "user", "nosuid,nodev,noexec" }, { "nouser" },
	{ "users", "nosuid,nodev,noexec" },
	{ "group", "nosuid,nodev" }, { "nogroup" },
	{ "owner", "nosuid,nodev" }, { "noowner" },
};

/* The bytes that a suffix stands for, 0 if it is none. */
static uint64_t suffix_value(const char *suffix)
{
	static const char letters[] = "KMGTPE";
	const char *letter;
	uint64_t base = 1024, value = 1;

	if (!*suffix)
		return 1;
	/* A blank is no letter, though strchr() finds what becomes of it. */
	letter = *suffix == ' ' ? NULL : strchr(letters, *suffix & ~0x20);
	if (!letter)
		return 0;
	if (!strcmp(suffix + 1, "B"))
		base = 1000;
	else if (suffix[1] && strcmp(suffix + 1, "iB"))
		return 0;
	for (; letter >= letters; letter--)
		value *= base;
	return value;
}

int parse_bytes(const char *name, const char *text, uint64_t max,
		uint64_t *bytes)
{
	unsigned long long number;
	uint64_t unit;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	unit = suffix_value(end);
	if (*text < '0' || *text > '9' || !unit) {
		complain("%s: '%s' is not a number of bytes", name, text);
		return -EINVAL;
	}
	if (errno || number > max / unit) {
		complain("%s: %s is too large", name, text);
		return -EINVAL;
	}
	*bytes = number * unit;
	return 0;
}

int parse_json_option(int argc, char **argv)
{
	static const struct option json_options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c, choice = 0;

	while ((c = getopt_long(argc, argv, "h", json_options, NULL)) >= 0) {
		if (c != 'j')
			return c;
		choice = c;
	}
	return choice;
}

int find_separator(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--"))
			break;
	}
	return i;
}

static int set_flag(struct device_options *options, const char *name)
{
	if (!strcmp(name, "read-only"))
		options->create.flags |= BLKFD_F_RDONLY;
	else if (!strcmp(name, "direct"))
		options->create.flags |= BLKFD_F_DIRECT;
	else
		options->create.flags |= BLKFD_F_NODISCARD;
	return 0;
}

static int set_bytes(struct device_options *options, const char *name,
		     const char *value)
{
	uint64_t bytes;
	int ret;

	ret = parse_bytes(name, value,
			  strcmp(name, "block-size") ? INT64_MAX : UINT32_MAX,
			  &bytes);
	if (ret < 0)
		return ret;
	if (!strcmp(name, "offset"))
		options->create.offset = bytes;
	else if (!strcmp(name, "length"))
		options->create.length = bytes;
	else if (!strcmp(name, "block-size"))
		options->create.block_size = bytes;
	else
		options->size = bytes;
	if (strcmp(name, "size") || bytes)
		return 0;
	complain("size: a device cannot be empty");
	return -EINVAL;
}

int device_option_set(struct device_options *options, const char *name,
		      const char *value)
{
	return value ? set_bytes(options, name, value) :
		set_flag(options, name);
}

int device_options_check(const struct device_options *options)
{
	if (options->new && !options->size) {
		complain("new: the size has to be given, too");
		return -EINVAL;
	}
	if (!options->size || !(options->create.flags & BLKFD_F_RDONLY))
		return 0;
	complain("size: the file cannot be created or extended read-only");
	return -EINVAL;
}

static const struct option *device_option_find(const char *name)
{
	const struct option *option;

	for (option = long_options; option->val == OPT_DEVICE; option++) {
		if (!strcmp(name, option->name))
			return option;
	}
	return NULL;
}

static const struct mount_word *find_mount_word(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mount_words); i++) {
		if (!strcmp(name, mount_words[i].name))
			return &mount_words[i];
	}
	return NULL;
}

static int pass_option(struct mount_options *options, const char *name,
		       const char *value)
{
	int ret = mnt_optstr_append_option(&options->options, name, value);

	if (ret < 0)
		complain("%s: %s", name, strerror(-ret));
	return ret;
}

/* "auto" is what mount(8) takes for none. */
int mount_options_set_type(struct mount_options *options, const char *value)
{
	bool is_none = !strcmp(value, "auto");

	free(options->type);
	options->type = is_none ? NULL : strdup(value);
	if (options->type || is_none)
		return 0;
	complain("fstype: %s", strerror(ENOMEM));
	return -ENOMEM;
}

static int take_option(struct mount_options *options, const char *name,
		       const char *value)
{
	const struct mount_word *word;
	const struct option *option;

	/* mount(8) takes "offset" for itself, and makes a loop device of it. */
	if (!strncmp(name, "blkfd.", 6))
		name += 6;
	option = device_option_find(name);
	word = find_mount_word(name);
	/*
	 * A mount is read-only with its device. The last of both counts, as with mount(8),
	 * which says rw before all that it is told.
	 */
	if (!value && !strcmp(name, "ro"))
		return device_option_set(&options->device, "read-only", NULL);
	if (!value && !strcmp(name, "rw")) {
		options->device.create.flags &= ~BLKFD_F_RDONLY;
		return 0;
	}
	if (option) {
		if (!value == !option->has_arg)
			return device_option_set(&options->device, name, value);
		complain("%s: %s", name, value ? "takes no value" :
			 "needs a value");
		return -EINVAL;
	}
	/* In its place in the list: what comes behind it may take it back. */
	if (word)
		return word->implied ?
		       mount_options_parse(options, word->implied) : 0;
	if (!strncmp(name, "x-", 2) || !strncmp(name, "X-", 2))
		return 0;
	if (!strcmp(name, "loop")) {
		complain("loop: this is no loop device; the offset is said by blkfd.offset=");
		return -EINVAL;
	}
	if (!strcmp(name, "fstype") && value)
		return mount_options_set_type(options, value);
	return pass_option(options, name, value);
}

int mount_options_parse(struct mount_options *options, const char *text)
{
	char *next = (char *)text, *name, *value, *one_name, *one_value;
	size_t name_size, value_size;
	int ret;

	while ((ret = mnt_optstr_next_option(&next, &name, &name_size,
					     &value, &value_size)) == 0) {
		one_name = strndup(name, name_size);
		one_value = value ? strndup(value, value_size) : NULL;
		if (!one_name || (value && !one_value))
			ret = -ENOMEM;
		else
			ret = take_option(options, one_name, one_value);
		free(one_name);
		free(one_value);
		if (ret < 0)
			return ret;
	}
	if (ret < 0)
		complain("'%s': bad options", text);
	return ret < 0 ? ret : 0;
}

void mount_options_free(struct mount_options *options)
{
	free(options->type);
	free(options->options);
}
