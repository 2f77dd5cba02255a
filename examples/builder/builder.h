/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mkimage: what its files have of each other. Functions that cannot do what
 * they are for end the program by die(): there is nothing to clean up, the
 * unfinished image, the device and the mount are descriptors.
 */
#ifndef BUILDER_H
#define BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/stat.h>

#define PRINTF_LIKE	__attribute__((__format__(__printf__, 1, 2)))

struct totals {
	uint64_t files;		/* of every kind, directories too */
	uint64_t bytes;		/* of regular files, holes too: what is to be read */
	uint64_t blocks;	/* in bytes: what they take, without holes */
};

struct build {
	const char *tree;
	const char *image;
	const struct fstype *type;
	uint64_t size;		/* 0: what the tree needs */
	const char *label;
	const char *uuid;
	const char **mkfs_options;
	bool cross_mounts;
	bool check;
	bool quiet;
};

/* build.c: the whole course of it */
void build_image(const struct build *build);

/* output.c: a file that has no name until it is complete */
struct output {
	int dir;
	int file;
	const char *path;
	const char *name;	/* in dir; the end of path */
};

void output_open(struct output *output, const char *path);
void output_publish(struct output *output);

/* fstype.c: what differs between file systems */
const struct fstype *fstype_find(const char *name);
const char *fstype_name(const struct fstype *type);
size_t fstype_label_max(const struct fstype *type);
const char *fstype_mount_options(const struct fstype *type);
uint64_t fstype_size_for(const struct fstype *type, const struct totals *totals);
void fstype_make(const struct build *build, const char *device);
void fstype_check(const struct fstype *type, const char *device);

/*
 * child.c: runs a program that dies with us. What it says is shown if it fails.
 * False if its exit status is not 0.
 */
bool child_run(const char *const argv[]);

/* tree.c: a walk through a directory tree that no symbolic link can divert */
struct tree_dir {
	const struct tree_dir *up;	/* NULL: the top */
	const char *name;
	int fd;
	int copy;			/* the visitor's own */
};

struct tree_entry {
	const struct tree_dir *dir;
	const char *name;
	struct stat st;
};

/*
 * Visits what is below the top, directories before (enter) and after (leave)
 * what they hold. Without cross_mounts, what is mounted somewhere in the tree is
 * skipped: a file altogether, of a directory what it holds. leave and
 * skip may be NULL.
 */
struct tree_visitor {
	void (*file)(const struct tree_entry *entry, void *arg);
	void (*enter)(const struct tree_entry *entry, struct tree_dir *dir, void *arg);
	void (*leave)(const struct tree_entry *entry, struct tree_dir *dir, void *arg);
	void (*skip)(const struct tree_entry *entry, void *arg);
	bool cross_mounts;
};

void tree_walk(int top, int copy, const struct tree_visitor *visitor, void *arg);
/* The entry's path from the top of the tree; to be freed. */
char *tree_path(const struct tree_entry *entry);
/* die(), with the entry's path before the message. */
noreturn void tree_die(const struct tree_entry *entry, const char *what);

/* links.c: which files have been seen under another name */
struct links {
	void *root;
};

/* The first path of this file, or NULL if this is the first, and remembers it. */
const char *links_first(struct links *links, const struct tree_entry *entry);
void links_free(struct links *links);

/*
 * data.c: from *offset on, the next stretch of a file that is not a hole, ending
 * at size at the latest. 1, 0 if there is none, or -1 and errno.
 */
int data_next(int fd, off_t size, off_t *offset, off_t *end);

/* scan.c */
void scan_tree(int tree, bool cross_mounts, struct totals *totals);

/* populate.c: copies what is in one directory, and its attributes, to another */
struct copy {
	int top;		/* the copy's */
	uint64_t needed;	/* what the copy should need, for a message */
	struct links links;
};

void populate(int tree, int copy, bool cross_mounts, uint64_t needed);
/* tree_die(), but for ENOSPC a message that says what would be needed. */
noreturn void populate_die(const struct copy *copy, const struct tree_entry *entry,
			   const char *what);

/* contents.c: the data of a regular file, holes kept */
void contents_copy(const struct copy *copy, const struct tree_entry *entry);

/* attributes.c: owner, mode, times, extended attributes, ACLs of any file */
void attributes_copy(const struct copy *copy, const struct tree_entry *entry);

/* progress.c: what is going on, on stderr if that is a terminal */
void progress_start(bool quiet);
void progress_phase(const char *phase);
/* From here on a bar: so much is to be done in this phase. */
void progress_expect(const struct totals *totals);
void progress_add(uint64_t files, uint64_t bytes);
void progress_clear(void);

/* size.c */
#define SIZE_TEXT_MAX	16

/* "10M": 10 * 1024 * 1024. False if it is no size. */
bool size_parse(const char *text, uint64_t *size);
/* To text, and returns it: "10.0 MiB". */
const char *size_format(uint64_t size, char text[SIZE_TEXT_MAX]);

/* report.c */
/* Ends the program with status 1 and a message; die_errno() adds strerror(). */
noreturn PRINTF_LIKE void die(const char *format, ...);
noreturn PRINTF_LIKE void die_errno(const char *format, ...);
/* A remark that is no error. */
PRINTF_LIKE void note(const char *format, ...);

#endif /* BUILDER_H */
