// SPDX-License-Identifier: GPL-2.0
/*
 * fsload: random operations on files by several processes, each of which knows
 * byte for byte what its files must hold, and looks. The files of all lie in
 * the same few directories. The first difference or unexpected error ends all.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define FILES		12
#define FILE_MAX	(256 * 1024)
#define DIRECTORIES	4
#define BLOCK		4096

#define HOLE_SIZE	4096

/**
 * struct file - a file and what is known of it
 * @bytes: Its contents; zeroes behind @size.
 * @size: In bytes.
 * @exists: It is there.
 * @dir: In which directory.
 */
struct file {
	unsigned char *bytes;
	size_t size;
	bool exists;
	int dir;
};

static struct file files[FILES];
static unsigned int self;
static unsigned long operations;
static const char *operation = "start";

static noreturn void fail(const char *format, ...)
{
	int error = errno;
	va_list args;

	fprintf(stderr, "fsload: process %u, operation %lu (%s): ", self,
		operations, operation);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (%s)\n", strerror(error));
	exit(1);
}

static void check(bool ok, const struct file *file)
{
	if (!ok)
		fail("file %d", (int)(file - files));
}

/* Of a number below limit, never 0 for limit 0. */
static size_t any(size_t limit)
{
	return limit ? (size_t)random() % limit : 0;
}

static const char *name_of(const struct file *file, const char *suffix)
{
	static char names[2][64];
	static int turn;

	turn = !turn;
	snprintf(names[turn], sizeof(names[turn]), "d%d/p%u.f%d%s", file->dir,
		 self, (int)(file - files), suffix);
	return names[turn];
}

static int open_file(const struct file *file, int flags)
{
	int fd = open(name_of(file, ""), flags | O_CLOEXEC, 0644);

	check(fd >= 0, file);
	return fd;
}

/* A random part of it, at any byte, sometimes whole blocks. */
static void choose_range(size_t limit, size_t *start, size_t *length)
{
	*start = any(limit);
	*length = 1 + any(limit - *start);
	if (any(2))
		*length = 1 + any(*length < 2 * BLOCK ? *length : 2 * BLOCK);
	if (any(2)) {
		*start -= *start % BLOCK;
		*length -= *length > BLOCK ? *length % BLOCK : 0;
	}
}

static void fill(unsigned char *bytes, size_t length)
{
	unsigned char first = random();

	for (size_t i = 0; i < length; i++)
		bytes[i] = first + i * 7 + (i >> 8);
}

/* The range gets new contents: what it must hold is noted. */
static void note_write(struct file *file, size_t start, size_t length)
{
	fill(file->bytes + start, length);
	if (start + length > file->size)
		file->size = start + length;
}

static void do_create(struct file *file)
{
	file->dir = any(DIRECTORIES);
	close(open_file(file, O_RDWR | O_CREAT | O_EXCL));
	memset(file->bytes, 0, FILE_MAX);
	file->size = 0;
	file->exists = true;
}

static void do_write(struct file *file)
{
	int flags = any(8) ? O_RDWR : O_RDWR | O_DSYNC;
	int fd = open_file(file, flags);
	size_t start, length;

	choose_range(FILE_MAX, &start, &length);
	note_write(file, start, length);
	check(pwrite(fd, file->bytes + start, length, start) ==
	      (ssize_t)length, file);
	close(fd);
}

/* Whole blocks, from memory that is aligned. */
static void do_direct_write(struct file *file)
{
	static alignas(BLOCK) unsigned char buffer[8 * BLOCK];
	size_t start = BLOCK * any(FILE_MAX / BLOCK - 8);
	size_t length = BLOCK * (1 + any(8));
	int fd = open_file(file, O_RDWR | O_DIRECT);

	note_write(file, start, length);
	memcpy(buffer, file->bytes + start, length);
	check(pwrite(fd, buffer, length, start) == (ssize_t)length, file);
	close(fd);
}

static void do_map_write(struct file *file)
{
	size_t start, length;
	unsigned char *map;
	int fd;

	if (!file->size)
		return;
	fd = open_file(file, O_RDWR);
	map = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(map != MAP_FAILED, file);
	choose_range(file->size, &start, &length);
	note_write(file, start, length);
	memcpy(map + start, file->bytes + start, length);
	check(any(4) || !msync(map, file->size, MS_SYNC), file);
	munmap(map, file->size);
	close(fd);
}

static void compare(struct file *file, const unsigned char *found)
{
	for (size_t i = 0; i < file->size; i++)
		if (found[i] != file->bytes[i])
			fail("%s: byte %zu of %zu is %#x, not %#x",
			     name_of(file, ""), i, file->size, found[i],
			     file->bytes[i]);
}

/* Half of the time from below the page cache; through a mapping, too. */
static void do_check(struct file *file)
{
	static unsigned char found[FILE_MAX + 1];
	int fd = open_file(file, O_RDONLY);
	void *map;

	if (any(2))
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (any(4) || !file->size) {
		check(pread(fd, found, sizeof(found), 0) ==
		      (ssize_t)file->size, file);
		compare(file, found);
	} else {
		map = mmap(NULL, file->size, PROT_READ, MAP_SHARED, fd, 0);
		check(map != MAP_FAILED, file);
		compare(file, map);
		munmap(map, file->size);
	}
	close(fd);
}

static void do_truncate(struct file *file)
{
	size_t size = any(FILE_MAX);

	if (size < file->size)
		memset(file->bytes + size, 0, file->size - size);
	file->size = size;
	check(!truncate(name_of(file, ""), size), file);
}

/* Not every file system has every mode. */
static void change_space(struct file *file, int mode, bool zeroes)
{
	int fd = open_file(file, O_RDWR);
	size_t start, length;

	choose_range(FILE_MAX, &start, &length);
	if (!fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, start, length)) {
		if (zeroes)
			memset(file->bytes + start, 0, length);
	} else {
		check(errno == EOPNOTSUPP, file);
	}
	close(fd);
}

static void do_allocate(struct file *file)
{
	change_space(file, 0, false);
}

static void do_punch(struct file *file)
{
	change_space(file, FALLOC_FL_PUNCH_HOLE, true);
}

static void do_zero(struct file *file)
{
	change_space(file, FALLOC_FL_ZERO_RANGE, true);
}

static void do_sync(struct file *file)
{
	int fd = open_file(file, O_RDWR);

	check(!(any(2) ? fsync(fd) : fdatasync(fd)), file);
	close(fd);
}

static void do_rename(struct file *file)
{
	char old[64];

	snprintf(old, sizeof(old), "%s", name_of(file, ""));
	file->dir = any(DIRECTORIES);
	check(!rename(old, name_of(file, "")), file);
}

/* The second name lies beside where the first is now, and goes before that moves. */
static void do_link(struct file *file)
{
	check(!link(name_of(file, ""), name_of(file, ".link")), file);
	check(!unlink(name_of(file, ".link")), file);
}

static void do_symlink(struct file *file)
{
	check(!symlink(name_of(file, ""), name_of(file, ".symlink")), file);
	check(!unlink(name_of(file, ".symlink")), file);
}

static void do_unlink(struct file *file)
{
	check(!unlink(name_of(file, "")), file);
	file->exists = false;
}

static void do_directory(struct file *file)
{
	check(!mkdir(name_of(file, ".dir"), 0755), file);
	check(!rmdir(name_of(file, ".dir")), file);
}

static void do_attribute(struct file *file)
{
	char value[512], found[sizeof(value)];
	size_t length = 1 + any(sizeof(value) - 1);

	fill((unsigned char *)value, length);
	check(!setxattr(name_of(file, ""), "user.fsload", value, length, 0),
	      file);
	check(getxattr(name_of(file, ""), "user.fsload", found,
		       sizeof(found)) == (ssize_t)length &&
	      !memcmp(value, found, length), file);
}

static const struct {
	const char *name;
	void (*run)(struct file *file);
	unsigned int weight;
} table[] = {
	{ "write", do_write, 8 },
	{ "direct write", do_direct_write, 4 },
	{ "map write", do_map_write, 4 },
	{ "check", do_check, 8 },
	{ "truncate", do_truncate, 2 },
	{ "allocate", do_allocate, 2 },
	{ "punch", do_punch, 2 },
	{ "zero", do_zero, 1 },
	{ "sync", do_sync, 3 },
	{ "rename", do_rename, 2 },
	{ "link", do_link, 1 },
	{ "symlink", do_symlink, 1 },
	{ "unlink", do_unlink, 1 },
	{ "directory", do_directory, 1 },
	{ "attribute", do_attribute, 1 },
	{ }
};

static unsigned int choose_operation(void)
{
	unsigned int total = 0, i, at;

	for (i = 0; table[i].run; i++)
		total += table[i].weight;
	at = any(total);
	for (i = 0; at >= table[i].weight; i++)
		at -= table[i].weight;
	return i;
}

static void step(void)
{
	struct file *file = &files[any(FILES)];
	unsigned int i = choose_operation();

	operations++;
	operation = file->exists ? table[i].name : "create";
	if (file->exists)
		table[i].run(file);
	else
		do_create(file);
}

static int run_process(unsigned int number, unsigned int seed, time_t end)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	self = number;
	srandom(seed + number);
	for (int i = 0; i < FILES; i++)
		files[i].bytes = calloc(1, FILE_MAX);
	while (time(NULL) < end)
		step();
	operation = "last check";
	for (int i = 0; i < FILES; i++)
		if (files[i].exists)
			do_check(&files[i]);
	printf("fsload: process %u: %lu operations\n", self, operations);
	return fflush(stdout) ? 1 : 0;
}

static int run(const char *dir, unsigned int processes, unsigned int seconds,
	       unsigned int seed)
{
	time_t end = time(NULL) + seconds;
	char name[16];
	int status;

	if (chdir(dir))
		fail("%s", dir);
	for (int i = 0; i < DIRECTORIES; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		if (mkdir(name, 0755))
			fail("%s", name);
	}
	for (unsigned int i = 0; i < processes; i++)
		if (!fork())
			exit(run_process(i, seed, end));
	while (wait(&status) > 0)
		if (status)
			return 1;
	return 0;
}

/* Every so often a hole: the more extents, the deeper the file system's trees. */
static int fragment(const char *path, size_t stride)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		fail("%s", path);
	for (off_t at = 0; at < st.st_size; at += stride)
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			      HOLE_SIZE))
			fail("%s", path);
	return close(fd) ? 1 : 0;
}

/*
 * Blocks of a file from all over it, into the page cache, out of it, and past it:
 * each needs to be looked up, if what says where they are does not stay cached.
 */
static int scatter(const char *path, unsigned int seconds)
{
	static alignas(BLOCK) unsigned char buffer[BLOCK];
	int cached = open(path, O_RDONLY | O_CLOEXEC);
	int direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	time_t end = time(NULL) + seconds;
	struct stat st;
	off_t at;

	operation = "scattered I/O";
	if (cached < 0 || direct < 0 || fstat(cached, &st))
		fail("%s", path);
	posix_fadvise(cached, 0, 0, POSIX_FADV_RANDOM);
	for (; time(NULL) < end; operations++) {
		at = any(st.st_size / BLOCK) * BLOCK;
		if (any(2))
			posix_fadvise(cached, at, BLOCK, POSIX_FADV_DONTNEED);
		if (pread(any(4) ? direct : cached, buffer, BLOCK, at) != BLOCK ||
		    (!any(4) && pwrite(direct, buffer, BLOCK, at) != BLOCK))
			fail("%s at %lld", path, (long long)at);
	}
	printf("fsload: %lu scattered operations\n", operations);
	return fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "run"))
		return run(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
	if (argc == 4 && !strcmp(argv[1], "fragment") && atoi(argv[3]))
		return fragment(argv[2], atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "scatter"))
		return scatter(argv[2], atoi(argv[3]));
	fprintf(stderr, "fsload run DIR PROCESSES SECONDS SEED\n"
			"fsload fragment FILE BYTES-BETWEEN-HOLES\n"
			"fsload scatter FILE SECONDS\n");
	return 2;
}
