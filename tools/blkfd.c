// SPDX-License-Identifier: GPL-2.0
/* blkfd: block devices from files, for a command or a mount. */
#include <stdio.h>
#include <string.h>

#include "blkfd.h"
#include "common.h"

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *synopsis;
	const char *text;
	bool makes_device;
} commands[] = {
	{
		"exec", exec_main, "[OPTION...] FILE -- COMMAND [ARG...]",
		"Run COMMAND with a device over FILE on descriptor 3; {} in an ARG, and\n"
		"$BLKFD, are a path to it.\n"
		"\n"
		"      --new             give FILE, which must not exist, its name when COMMAND\n"
		"                        has succeeded and all is on the disk; with --size\n", true,
	}, {
		"mount", mount_main,
		"[OPTION...] [-t TYPE] [-o OPTIONS] [--json] FILE DIR",
		"Mount the file system in FILE at DIR; umount DIR is all there is to clean up.\n"
		"\n"
		"  -t, --type TYPE       file system (auto, the default: what is found there)\n"
		"  -o, --options LIST    mount options, comma separated\n"
		"      --json            print what was mounted as JSON\n", true,
	}, {
		"list", list_main, "[--json]",
		"List the devices that live.\n"
		"\n"
		"      --json            print JSON\n", false,
	}, {
		"info", info_main, "[--json] DEVICE...",
		"Print what the kernel knows of each DEVICE: a path, blkfdN, or N.\n"
		"\n"
		"      --json            print JSON\n", false,
	}, {
		"limits", limits_main, "[--json] [PATH]",
		"Print how many devices there may be and are, and for root who has them; and the\n"
		"bounds of the instance at PATH (/dev/blkfd).\n"
		"\n"
		"      --json            print JSON\n", false,
	}, {
		"instance", instance_main,
		"[OPTION...] PATH | [OPTION...] -- COMMAND [ARG...]",
		"Make a control file that may do less than /dev/blkfd, at PATH, or run COMMAND\n"
		"with it at /dev/blkfd.\n"
		"\n"
		"      --max-devices N   so many devices at a time\n"
		"      --max-bytes BYTES  so many bytes in all of them\n"
		"      --block-sizes BYTES,...  these logical block sizes\n"
		"      --deny WORD,...   none that are direct, or no-discard\n"
		"      --read-only       read-only ones\n"
		"      --owner UID[:GID]  of the file (yours)\n"
		"      --mode MODE       its permissions (600)\n", false,
	}, {
		"revoke", revoke_main, "PATH...",
		"Have nothing be made by the instances at each PATH any more.\n", false,
	},
};

static const char device_help[] =
	"      --read-only       a read-only device\n"
	"      --direct          bypass the page cache below the device\n"
	"      --no-discard      offer no discard\n"
	"      --offset BYTES    where in FILE the device begins (0)\n"
	"      --length BYTES    its size (0: to the end of FILE)\n"
	"      --block-size BYTES  logical block size (0: what FILE needs)\n"
	"      --size BYTES      create FILE with this size, or extend it\n"
	"\n"
	"BYTES: a number, or one with K, M, G, T, P or E (powers of 1024; KB, MB ...:\n"
	"powers of 1000).\n";

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	}
	return NULL;
}

int usage_error(const char *command)
{
	fprintf(stderr, "Try 'blkfd help%s%s'.\n", command ? " " : "",
		command ? command : "");
	return EXIT_USAGE;
}

static int usage_all(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("%s blkfd %s %s\n", i ? "      " : "Usage:",
		       commands[i].name, commands[i].synopsis);
	printf("       blkfd help [COMMAND]\n"
	       "       blkfd --version\n");
	return finish_stdout();
}

int usage(const char *name)
{
	const struct command *command = find_command(name);

	printf("Usage: blkfd %s %s\n%s", name, command->synopsis,
	       command->text);
	if (command->makes_device)
		printf("\n%s", device_help);
	return finish_stdout();
}

static int help(const char *name)
{
	if (!name)
		return usage_all();
	if (find_command(name))
		return usage(name);
	complain("no command '%s'", name);
	return usage_error(NULL);
}

static bool is(const char *arg, const char *word, const char *option)
{
	return !strcmp(arg, word) || !strcmp(arg, option);
}

int main(int argc, char **argv)
{
	const struct command *command;

	if (open_standard_fds() < 0)
		return EXIT_FAILED;
	if (argc < 2) {
		complain("a command is needed");
		return usage_error(NULL);
	}
	if (is(argv[1], "help", "--help") || !strcmp(argv[1], "-h"))
		return help(argv[2]);
	if (is(argv[1], "version", "--version") || !strcmp(argv[1], "-V")) {
		printf("blkfd %s\n", VERSION);
		return finish_stdout();
	}
	command = find_command(argv[1]);
	if (command)
		return command->main(argc - 1, argv + 1);
	complain("no command '%s'", argv[1]);
	return usage_error(NULL);
}
