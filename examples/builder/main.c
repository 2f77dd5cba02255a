// SPDX-License-Identifier: GPL-2.0
/* mkimage: a file-system image from a directory tree. Reads the command line. */
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "builder.h"

static const char usage[] =
"Usage: mkimage [options] TREE IMAGE\n"
"Makes IMAGE, a file system that holds what is in the directory TREE.\n"
"\n"
"  -t, --type TYPE        xfs (default), ext4 or btrfs\n"
"  -s, --size SIZE        of the image, in bytes or with K, M, G, T; a multiple of\n"
"                         4096 (default: what TREE needs, and some more)\n"
"  -L, --label LABEL      of the file system\n"
"  -U, --uuid UUID        of the file system\n"
"      --mkfs-option ARG  one more argument for mkfs; can be repeated\n"
"      --cross-mounts     take in what is mounted on directories in TREE\n"
"      --check            run the file system's checker before IMAGE appears\n"
"  -q, --quiet            no progress, even on a terminal\n"
"  -h, --help             this text\n"
"\n"
"Needs root. IMAGE must not exist, and appears only when it is complete and on\n"
"disk. Contents, owners, modes, times, links, extended attributes, ACLs, holes,\n"
"devices, FIFOs and sockets are kept; inode flags (chattr) are not. An error, or\n"
"being killed, at any moment, leaves nothing behind.\n"
"\n"
"Exit status: 0 IMAGE is there, 1 it is not, 2 wrong usage.\n";

enum { OPTION_MKFS = 256, OPTION_CROSS, OPTION_CHECK };

static const struct option options[] = {
	{ "type", required_argument, NULL, 't' },
	{ "size", required_argument, NULL, 's' },
	{ "label", required_argument, NULL, 'L' },
	{ "uuid", required_argument, NULL, 'U' },
	{ "mkfs-option", required_argument, NULL, OPTION_MKFS },
	{ "cross-mounts", no_argument, NULL, OPTION_CROSS },
	{ "check", no_argument, NULL, OPTION_CHECK },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static noreturn PRINTF_LIKE void misuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("mkimage: ", stderr);
	vfprintf(stderr, format, args);
	fputs("\nTry mkimage --help.\n", stderr);
	exit(2);
}

static void set_type(struct build *build, const char *name)
{
	build->type = fstype_find(name);
	if (!build->type)
		misuse("%s: not one of xfs, ext4, btrfs", name);
}

static void set_size(struct build *build, const char *text)
{
	if (!size_parse(text, &build->size) || !build->size || build->size % 4096)
		misuse("%s: not a size that is a multiple of 4096", text);
}

static void add_mkfs_option(struct build *build, const char *option)
{
	static size_t count;

	/* One more for the NULL at the end. */
	build->mkfs_options = reallocarray(build->mkfs_options, count + 2, sizeof(char *));
	if (!build->mkfs_options)
		die("out of memory");
	build->mkfs_options[count++] = option;
	build->mkfs_options[count] = NULL;
}

static void set_option(struct build *build, int option)
{
	switch (option) {
	case 't':
		set_type(build, optarg);
		break;
	case 's':
		set_size(build, optarg);
		break;
	case 'L':
		build->label = optarg;
		break;
	case 'U':
		build->uuid = optarg;
		break;
	case OPTION_MKFS:
		add_mkfs_option(build, optarg);
		break;
	case OPTION_CROSS:
		build->cross_mounts = true;
		break;
	case OPTION_CHECK:
		build->check = true;
		break;
	case 'q':
		build->quiet = true;
		break;
	case 'h':
		fputs(usage, stdout);
		if (fflush(stdout))
			die_errno("standard output");
		exit(0);
	default:
		misuse("wrong usage");
	}
}

static void parse(struct build *build, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "t:s:L:U:qh", options, NULL)) >= 0)
		set_option(build, option);
	if (argc - optind != 2)
		misuse("TREE and IMAGE are needed, no more, no less");
	build->tree = argv[optind];
	build->image = argv[optind + 1];
	if (build->label && strlen(build->label) > fstype_label_max(build->type))
		misuse("%s: a label of %s has at most %zu bytes", build->label,
		       fstype_name(build->type), fstype_label_max(build->type));
}

/* Two descriptors are open for each level of the tree. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		die_errno("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die_errno("setrlimit");
}

/*
 * Descriptors 0 to 2, if our caller closed them, are not to be the image's. To print
 * there is an error still.
 */
static void open_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			die_errno("/dev/null");
}

int main(int argc, char **argv)
{
	struct build build = { .type = fstype_find("xfs") };

	open_standard_descriptors();
	/* What a terminal shows is for the locale to say. */
	setlocale(LC_CTYPE, "");
	/* Were it ignored, as our caller may have it, no child's end could be waited for. */
	signal(SIGCHLD, SIG_DFL);
	parse(&build, argc, argv);
	raise_descriptor_limit();
	progress_start(build.quiet);
	build_image(&build);
	return 0;
}
