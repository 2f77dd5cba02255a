/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What several test programs need: devices, backing files, mounts, commands,
 * bounded waiting, patterns. Descriptors are close-on-exec; functions that can
 * fail return a negative errno unless they say otherwise.
 */
#ifndef TESTLIB_H
#define TESTLIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <linux/blkfd.h>

#define TEST_KIB	1024ULL
#define TEST_MIB	(1024 * TEST_KIB)

/* Where test_private_mounts() puts an empty tmpfs. */
#define TEST_DIR	"/mnt"

/* The scratch disk: one test at a time has it. */
#define TEST_DISK	test_disk()

/*
 * The path that run.sh has in the environment, as TEST_DISK, of the VM's second disk or
 * of one made for the purpose: what is on it is lost. A path of nothing without.
 */
const char *test_disk(void);

/* What the kernel calls it: "vda". */
const char *test_disk_name(void);

/*
 * Of a case, in seconds: emulation takes its time, on a busy machine above all.
 * Takes effect if this header is included behind kselftest_harness.h.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

/* Long enough for anything that is bound to happen, under emulation too. */
#define TEST_TIMEOUT_MS	30000

/*
 * What both are multiplied by: 1, or $TEST_SLOWDOWN, which the runner sets on
 * kernels that are made to find bugs.
 */
unsigned int test_slowdown(void);

/*
 * How much of the same a case does: $TEST_ROUNDS, which the long forms in the top
 * Makefile set, or if that is not set so many.
 */
unsigned long test_rounds(unsigned long rounds);

/*
 * In a long form, says how far a case is, once in each of so many parts of all, but
 * for the first. The case has one thing that it counts.
 */
void test_tell(unsigned int parts, unsigned long done, unsigned long all, const char *what);

/* Since some time or other, by a clock that is not set. */
double test_seconds(void);

/* The harness has a case's seconds in static data: scaled before it starts. */
#undef TEST_HARNESS_MAIN
#define TEST_HARNESS_MAIN						\
	int main(int argc, char **argv)					\
	{								\
		struct __fixture_metadata *f;				\
		struct __test_metadata *t;				\
									\
		for (f = __fixture_list; f; f = f->next)		\
			for (t = f->tests; t; t = t->next)		\
				t->timeout *= test_slowdown();		\
		exit(test_harness_run(argc, argv));			\
	}

/* Devices, by raw ioctl. */

/* BLKFD_CREATE on a /dev/blkfd opened for the call. */
int test_create(int fd, uint32_t flags, uint64_t offset, uint64_t length,
		uint32_t block_size);

/* The same, by an open control file. */
int test_create_by(int control, const struct blkfd_create *arg);

/* All defaults, by this effective uid, on a /dev/blkfd opened as who calls. */
int test_create_as(uid_t user, int fd);

/* The request of this number, with another struct size. */
unsigned long test_sized(unsigned long request, size_t size);

/* 0 or -errno. */
int test_info(int fd, struct blkfd_info *info);

/* The device's id; UINT64_MAX if fd is none. */
uint64_t test_id(int fd);

/* How many blkfd devices /sys/block lists: disks, but for spares. */
int test_count_devices(void);

/* Of all disks, spares and what is made or deleted among them: how many. */
int test_disk_ids(uint64_t *ids, size_t size);

/* More than any test has. */
#define TEST_MAX_DISKS	1024

/* Whether blkfd<id> is a disk that no device has yet, and how many are. */
bool test_is_spare(uint64_t id);
int test_count_spares(void);

/* Has the module keep so many, and waits until there are neither more nor less. */
int test_set_spares(int count);

/* How many those are if nobody says anything. */
#define TEST_SPARES	4
#define TEST_MAX_SPARES	64

/* Sets a parameter of the module. */
int test_set_parameter(const char *name, const char *value);

/* Writes to a file that is there, in sysfs or the like, in one call: 0 or -errno. */
int test_write_text(const char *path, const char *text);

/* Reads one, in one call, without the final newline: its length, or -errno. */
int test_read_text(const char *path, char *text, size_t size);

/* The number behind a name, of a file with such lines, as /proc/meminfo: or -errno. */
long long test_read_field(const char *path, const char *name);

/*
 * Waits until it is so much. In memory.stat of a cgroup the kernel adds up within two
 * seconds what is less than some pages for each processor.
 */
bool test_wait_field(const char *path, const char *name, long long least);

bool test_device_listed(uint64_t id);

/* Waits until /sys/block/blkfd<id> is gone. */
bool test_wait_gone(uint64_t id);

/* Waits until no blkfd device is left. */
bool test_wait_none(void);

/*
 * Reads /sys/block/blkfd<id>/<name> as test_read_text() does.
 * What the device itself adds is under the name "blkfd/...".
 */
int test_attr(uint64_t id, const char *name, char *value, size_t size);

/* The same, as a number; UINT64_MAX if it cannot be read. */
uint64_t test_attr_number(uint64_t id, const char *name);

/*
 * "/proc/<pid>/fd/<fd>": a name by which a command that we run can open it, fd
 * being close-on-exec.
 */
void test_fd_path(int fd, char *path, size_t size);

/* Enough for such a path. */
#define TEST_PATH_MAX	48

/* A new open file of what fd refers to; flags as for open(2). */
int test_reopen(int fd, int flags);

/* Backing files. */

int test_memfd(uint64_t size);

/* A nameless file of this size, open O_RDWR, on the file system of dir. */
int test_tmpfile(const char *dir, uint64_t size);

/* A named one, made anew; flags as for open(2), O_RDWR if 0. */
int test_file(const char *path, uint64_t size, int flags);

/* Mounts. */

/*
 * Puts the calling process into a mount namespace of its own, in which nothing
 * propagates, with an empty tmpfs at TEST_DIR. All of it goes with the process.
 */
int test_private_mounts(void);

/*
 * mkfs of this type on TEST_DISK, mounted at TEST_DIR "/<fstype>" (made for it).
 * Call test_private_mounts() first. options as for mount -o, or NULL.
 */
int test_scratch_mount(const char *fstype, const char *options);

/* Makes dir and mounts a tmpfs there. */
int test_tmpfs(const char *dir);

/*
 * A FUSE file system that is one file, in memory that its server, a child, shares
 * with us. Stopped, the server keeps everybody waiting; killed, it leaves errors.
 * When it is unmounted it exits with 0. If it lost its power, the stable data would
 * be left: those at the last fsync, which can be told to fail (-errno). Every second
 * open fails with *reopen_error, unless that is 0.
 */
struct test_fuse {
	uint32_t open_flags;	/* FOPEN_*, to be set before */
	uid_t owner;		/* of all ids the only one it answers, too */
	pid_t server;
	char *data;
	char *stable;
	int *fsync_error;
	int *reopen_error;
};

/* The file, of this size and block size, is at path: 0 or -errno. */
int test_fuse_mount(struct test_fuse *fuse, const char *path, uint64_t size,
		    uint32_t block);

/* mkfs.<fstype>, quiet and forced, on path: its exit status or -errno. */
int test_mkfs(const char *fstype, const char *path);

/* sync(2), then nothing that is clean stays cached. */
int test_drop_caches(void);

/* Loads the module unless it is there: false, silently, if there is none. */
bool test_has_module(const char *name);

/*
 * Loads the .ko at this path, given from the top of the tree; parameters as for insmod:
 * 0 or -errno, at once. -ENOENT: it was not built.
 */
int test_module_load(const char *path, const char *parameters);
int test_module_unload(const char *name);

#define TEST_MODULE		"blkfd"
#define TEST_MODULE_PATH	"kernel/blkfd.ko"

/* The same, and waits until the patch in it is in force. */
int test_livepatch_load(const char *path, const char *parameters);

/* Disables the patch of this name: 0 or -errno. It may stay in force for a while. */
int test_livepatch_begin_disable(const char *name);

/* The same, unless it is disabled, and waits until it is out of force. */
int test_livepatch_disable(const char *name);

/* The same, and unloads it. */
int test_livepatch_unload(const char *name);

/* Whether a livepatch is on its way in or out. */
bool test_livepatch_in_transition(const char *name);

#define TEST_MOUNTFD		"blkfd_mountfd"
#define TEST_MOUNTFD_PATH	"kernel/mountfd/blkfd_mountfd.ko"

/* A mount, as mountinfo shows it. */
struct test_mount {
	char options[256];
	char fstype[64];
	char source[256];
	char super[256];
};

/* The last one at target, if there is one. */
bool test_find_mount(const char *target, struct test_mount *mount);

/* Those that this process sees. */
int test_count_mounts(void);

/*
 * Device-mapper: dmsetup's exit status or -errno. What is dirty above is not written
 * to the old table before another takes its place, nor before it is suspended.
 */
int test_dm_create(const char *name, const char *table);
int test_dm_replace(const char *name, const char *table);
int test_dm_suspend(const char *name);
int test_dm_resume(const char *name);
int test_dm_remove(const char *name);

/* Commands and processes. */

/*
 * Runs argv[0] from PATH, stdin /dev/null, and waits. out gets what it wrote to
 * stdout and stderr, cut at size and terminated; out may be NULL: then it
 * is shown if the command fails. Returns the exit status, 128 + signal, or -errno.
 */
int test_run(char *out, size_t size, const char *const argv[]);

#define test_command(...) \
	test_run(NULL, 0, (const char *const[]){ __VA_ARGS__, NULL })

#define test_output(out, size, ...) \
	test_run(out, size, (const char *const[]){ __VA_ARGS__, NULL })

/* A command line of bash. */
int test_shell(char *out, size_t size, const char *line);

/*
 * In a test whose fixture has an array out: how(), which is test_shell() or one like
 * it, ends with status and has printed, among others, text.
 */
#define TEST_EXPECT_RUN(status, text, how, line) \
do { \
	const char *run_line = line; \
	EXPECT_EQ(status, how(self->out, sizeof(self->out), run_line)) \
		TH_LOG("%s: %s", run_line, self->out); \
	EXPECT_NE(NULL, strstr(self->out, text)) \
		TH_LOG("%s: %s", run_line, self->out); \
} while (0)

/* All uids, and all gids, of the process. */
int test_become(unsigned int user);

/*
 * A user namespace in which the caller, who was not root, is; with more namespaces
 * as for unshare(2).
 */
int test_enter_user_namespace(int more);

/* Waits for the child: its exit status or 128 + signal. */
int test_reap(pid_t pid);

/*
 * A child that has joined the cgroup and done work(arg), which gave 0: else, -1. It
 * stays, lest what it has be counted for others, until it is ended.
 */
pid_t test_start_member(const char *cgroup, int (*work)(void *arg), void *arg);
void test_end_member(pid_t pid);

/*
 * Waiting: polls until cond(arg) is true, false if that took longer than
 * timeout_ms times the slow-down.
 */
bool test_wait(bool (*cond)(void *arg), void *arg, unsigned int timeout_ms);

/*
 * As a 32-bit program calls it, whose pointers arg must fit; a kernel that has no
 * entry for those kills the caller.
 */
static inline int test_ioctl_32(int fd, unsigned int cmd, void *arg)
{
#ifdef __x86_64__
	int ret = 54;

	asm volatile("int $0x80" : "+a" (ret) : "b" (fd), "c" (cmd), "d" (arg)
		     : "memory");
	return ret;
#else
	abort();
#endif
}

/* Descriptors over sockets. */

int test_send_fd(int sock, int fd);
int test_recv_fd(int sock);

/*
 * Patterns: each 8 bytes depend on the seed and on their position in the file.
 * offset and size are multiples of 8.
 */

void test_fill(void *buf, size_t size, uint64_t offset, uint64_t seed);

/* Where the first difference is, in bytes from the start of buf; -1: none. */
ssize_t test_compare(const void *buf, size_t size, uint64_t offset,
		     uint64_t seed);

/* pwrite(2) of the pattern that belongs at offset. */
int test_write_pattern(int fd, uint64_t offset, uint64_t size, uint64_t seed);

/* 0, -errno (-ENODATA: end of file), or -EILSEQ if something else is there. */
int test_check_pattern(int fd, uint64_t offset, uint64_t size, uint64_t seed);

/* As test_check_pattern(), for bytes that must all be 0. */
int test_check_zero(int fd, uint64_t offset, uint64_t size);

#endif /* TESTLIB_H */
