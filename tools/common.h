/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What blkfd and mount.blkfd share. Functions that can fail print why and return
 * a negative errno; descriptors are close-on-exec.
 */
#ifndef BLKFD_COMMON_H
#define BLKFD_COMMON_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <libblkfd.h>

#define CONTROL_PATH "/dev/blkfd"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/**
 * struct device_options - what the options say about the file and its device
 * @create: As blkfd_create() takes it.
 * @size: Create the file with this size or extend it to it; 0: leave it alone.
 * @new: The file must not exist, and is made without a name.
 */
struct device_options {
	struct blkfd_create_opts create;
	uint64_t size;
	bool new;
};

/*
 * The long options of exec and mount: those that fill it, for which getopt_long()
 * returns OPT_DEVICE, --help ('h'), exec's --new ('n'), and mount's --type ('t'),
 * --options ('o') and --json ('j').
 */
#define OPT_DEVICE 256
extern const struct option long_options[];

/**
 * struct mount_options - what is to be mounted, and how
 * @device: The file and its device.
 * @type: File-system type; NULL: ask libblkid.
 * @options: What is left for the file system, as for blkfd_mount(), or NULL.
 */
struct mount_options {
	struct device_options device;
	char *type;
	char *options;
};

/* common.c */

/* "<program>: ..." and a newline to stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* That the module is not loaded, and how to get it. */
void complain_missing(void);

/* /dev/blkfd, or another control file, open. -ENOPKG: the module is not loaded. */
int open_control(const char *path);

/*
 * Descriptors 0 to 2 open; those that the caller closed are no good to read from, or to
 * print to, as they would be if they were closed.
 */
int open_standard_fds(void);

/* What printing to stdout came to: 0, or 1 if it failed. */
int finish_stdout(void);

/* options.c */

/* A number of bytes, at most max; name is for messages. */
int parse_bytes(const char *name, const char *text, uint64_t max,
		uint64_t *bytes);

/*
 * For commands whose one option is --json: 'j', 0, or what else the command line
 * asks for: 'h' or '?'.
 */
int parse_json_option(int argc, char **argv);

/* Which argument is "--"; argc: none. */
int find_separator(int argc, char **argv);

/* Takes the option of this name, as listed above; value NULL: it has none. */
int device_option_set(struct device_options *options, const char *name,
		      const char *value);

/* Takes the text after -o: what is ours, what is mount(8)'s, and the rest. */
int mount_options_parse(struct mount_options *options, const char *text);

int mount_options_set_type(struct mount_options *options, const char *type);

void mount_options_free(struct mount_options *options);

/* Checks what only all options together can tell. */
int device_options_check(const struct device_options *options);

/* device.c */

/**
 * struct backing - the file below a device
 * @path: Its path, for messages and for removal.
 * @fd: Open as the device needs it.
 * @dir: Where a new one is, or is to be, or 0; stays open.
 * @created: It did not exist.
 * @old_size: Its size before it was extended.
 * @new_size: Its size after that; 0: it was not.
 */
struct backing {
	const char *path;
	int fd;
	int dir;
	bool created;
	off_t old_size;
	off_t new_size;
};

/*
 * The device over the file at path, which is created or extended if that is
 * asked for, and put back as it was if the device cannot be made. -ENOPKG: the
 * module is not loaded. Else the file is the caller's to restore, or to close.
 */
int device_open(struct backing *file, const char *path,
		const struct device_options *options);

/* Puts the file back as it was before device_open(), and closes it. */
void backing_restore(const struct backing *file);

/* output.c */

/*
 * A file without a name, in the directory of path, where there is none; dir is set to
 * that directory, open.
 */
int output_open(const char *path, int *dir);

/*
 * A new file at path, and its directory, by which it is found from another namespace, too.
 * Prints nothing.
 */
int output_create(const char *path, int *dir);

/*
 * Gives it the name in that directory, wherever that is by now, once all of it is on the
 * disk, and takes it back if the name is not.
 */
int output_publish(int fd, int dir, const char *path);

/* Takes the name from the file. -ENOENT: it is another file's by now; prints nothing. */
int output_remove(int fd, int dir, const char *path);

/* attach.c */

/*
 * Mounts the file system on the device dev_fd over the file at path at dir: a descriptor
 * of the mount. namespace, unless it is -1, is a mount namespace in which dir is and we
 * are afterwards. Closes dev_fd.
 */
int attach(int dev_fd, const char *path, const struct mount_options *options,
	   const char *dir, int namespace);

#endif /* BLKFD_COMMON_H */
