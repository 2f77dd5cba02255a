// SPDX-License-Identifier: GPL-2.0
/*
 * What may be done to a device, done at once by threads that share its descriptors,
 * until the process they are in is killed, while somebody else unloads and loads the
 * module. Whatever comes of a call is one of the errors that it may end with; what
 * is read is what was written; and all is gone in the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define THREADS		6
#define SIZE		TEST_MIB
#define BLOCK		4096
#define BLOCKS		(SIZE / BLOCK)
/* Descriptors of devices, known to all threads; there may be none. */
#define FIRST		100
#define SLOTS		8
#define MOUNTED		4	/* the last of them have a file system */
/* Cycles of a process: devices made. */
#define CYCLES		100
/* In the short form; a kernel that is slow does its part. */
#define ALL_CYCLES	1500
#define HELD		300

/* What all processes of a case see. */
struct shared {
	int tick[2];	/* a pipe: a byte now and then, for who unloads */
	atomic_ulong cycles;
	atomic_ulong calls;
	atomic_ulong mounts;
	atomic_ulong unloads;
	atomic_bool stop;
	atomic_int bad_error;	/* the first that no call should end with */
	char bad_call[32];
};

struct thread {
	struct shared *shared;
	unsigned int seed;
	int pattern;
	int file_system;
};

FIXTURE(races) {
	struct shared *shared;
	int pattern;
	int file_system;
};

FIXTURE_SETUP(races)
{
	char path[TEST_PATH_MAX];

	self->shared = mmap(NULL, sizeof(*self->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->shared);
	ASSERT_EQ(0, pipe2(self->shared->tick, O_CLOEXEC | O_NONBLOCK));
	ASSERT_EQ(0, fcntl(self->shared->tick[0], F_SETFL, 0));
	self->pattern = test_memfd(SIZE);
	self->file_system = test_memfd(4 * SIZE);
	ASSERT_EQ(0, test_write_pattern(self->pattern, 0, SIZE, 1));
	test_fd_path(self->file_system, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
}

FIXTURE_TEARDOWN(races)
{
}

/* A full pipe is a tick, too. */
static void tick(struct shared *shared)
{
	if (write(shared->tick[1], "", 1) < 0 && errno != EAGAIN)
		abort();
}

static bool is_allowed(int error, const int *allowed)
{
	while (*allowed && *allowed != error)
		allowed++;
	return *allowed;
}

/* ret is a descriptor, 0, or an errno, negative; returns it. */
static int judge(struct thread *thread, const char *call, int ret, const int *allowed)
{
	struct shared *shared = thread->shared;
	int none = 0;

	if (!(atomic_fetch_add(&shared->calls, 1) % 16))
		tick(shared);
	if (ret < 0 && !is_allowed(-ret, allowed) &&
	    atomic_compare_exchange_strong(&shared->bad_error, &none, -ret))
		snprintf(shared->bad_call, sizeof(shared->bad_call), "%s", call);
	return ret;
}

#define JUDGE(call, ret, ...) \
	judge(thread, call, ret, (const int[]){ __VA_ARGS__, 0 })

static int random_of(struct thread *thread, int count)
{
	return rand_r(&thread->seed) % count;
}

static int random_slot(struct thread *thread)
{
	return FIRST + random_of(thread, SLOTS);
}

static bool has_pattern(int slot)
{
	return slot < FIRST + SLOTS - MOUNTED;
}

/* Whatever was in the slot is closed by that. */
static void create(struct thread *thread)
{
	static const uint32_t flags[] = { 0, BLKFD_F_RDONLY, BLKFD_F_NODISCARD };
	int slot = random_slot(thread);
	struct blkfd_create_opts opts = {
		.flags = has_pattern(slot) ? flags[random_of(thread, 3)] : BLKFD_F_RDONLY,
	};
	int fd = blkfd_create(has_pattern(slot) ? thread->pattern : thread->file_system,
			      &opts);

	/* The module is being unloaded, or loaded. */
	if (JUDGE("create", fd, ENOENT, ENXIO, ENODEV) < 0)
		return;
	atomic_fetch_add(&thread->shared->cycles, 1);
	JUDGE("dup3", dup3(fd, slot, O_CLOEXEC) < 0 ? -errno : 0, EBUSY);
	close(fd);
}

static int reopen(struct thread *thread, int slot)
{
	static const int modes[] = {
		O_RDONLY, O_RDWR, O_RDONLY | O_EXCL, O_RDONLY | O_DIRECT, O_PATH,
	};
	char path[BLKFD_PATH_MAX];
	int fd;

	blkfd_path(slot, path, sizeof(path));
	fd = open(path, modes[random_of(thread, 5)] | O_CLOEXEC);
	return JUDGE("open", fd < 0 ? -errno : fd, ENOENT, ENXIO, EBUSY, EROFS);
}

/*
 * EIO is for what was sent before the device was made smaller, and was looked at
 * after it: not the next time.
 */
static ssize_t read_block(int fd, void *buf, uint64_t offset)
{
	int tries = 4;
	ssize_t length;

	do
		length = pread(fd, buf, BLOCK, offset);
	while (length < 0 && errno == EIO && --tries);
	return length < 0 ? -errno : length;
}

/* Beyond the end of one that has been made smaller there is nothing to read. */
static void read_and_compare(struct thread *thread)
{
	int slot = random_slot(thread), fd = reopen(thread, slot);
	uint64_t offset = random_of(thread, BLOCKS) * BLOCK;
	char buf[BLOCK] __attribute__((aligned(BLOCK)));
	ssize_t length;

	if (fd < 0)
		return;
	length = read_block(fd, buf, offset);
	JUDGE("read", length < 0 ? length : 0, EBADF, ENXIO);
	if (length == BLOCK && has_pattern(slot) && test_id(fd) != UINT64_MAX)
		JUDGE("compare", test_compare(buf, BLOCK, offset, 1) < 0 ? 0 : -EILSEQ, 0);
	close(fd);
}

/* What is there already. EIO: made smaller since the length was looked at. */
static void write_same(struct thread *thread)
{
	int slot = FIRST + random_of(thread, SLOTS - MOUNTED);
	uint64_t offset = random_of(thread, BLOCKS) * BLOCK;
	char buf[BLOCK];

	test_fill(buf, BLOCK, offset, 1);
	JUDGE("write", pwrite(slot, buf, BLOCK, offset) < 0 ? -errno : 0,
	      EBADF, ENOSPC, EPERM, EIO);
	JUDGE("fsync", fsync(slot) ? -errno : 0, EBADF, EIO);
}

static void resize(struct thread *thread)
{
	struct blkfd_resize arg = {
		.length = random_of(thread, 2) ? (random_of(thread, BLOCKS) + 1) * BLOCK : 0,
	};
	int fd = FIRST + random_of(thread, SLOTS - MOUNTED);

	JUDGE("resize", ioctl(fd, BLKFD_RESIZE, &arg) ? -errno : 0,
	      EBADF, EACCES, EPERM, EINTR);
}

static void get_info(struct thread *thread)
{
	struct blkfd_info info;
	char text[256];
	int ret = JUDGE("get_info", test_info(random_slot(thread), &info), EBADF);

	if (!ret)
		test_attr(info.id, "blkfd/stats", text, sizeof(text));
}

static void mount_and_read(struct thread *thread)
{
	int slot = FIRST + SLOTS - 1 - random_of(thread, MOUNTED), mount, fd;

	mount = blkfd_fsmount(slot, "ext4", NULL, MOUNT_ATTR_RDONLY);
	if (JUDGE("mount", mount, EBADF, ENXIO, ENOENT, EBUSY, EINVAL, ENOTBLK) < 0)
		return;
	fd = openat(mount, "lost+found", O_RDONLY | O_CLOEXEC);
	JUDGE("openat", fd < 0 ? -errno : 0, 0);
	atomic_fetch_add(&thread->shared->mounts, 1);
	close(fd);
	close(mount);
}

static void close_one(struct thread *thread)
{
	close(random_slot(thread));
}

/* A process that has all of them for a moment. */
static void kill_one(struct thread *thread)
{
	pid_t us = getpid(), pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == us)
			pause();
		_exit(0);
	}
	if (pid < 0)
		return;
	kill(pid, SIGKILL);
	test_reap(pid);
}

static void (*const calls[])(struct thread *thread) = {
	create, create, create, read_and_compare, read_and_compare, write_same, resize,
	get_info, mount_and_read, close_one, close_one, kill_one,
};

static void *live(void *arg)
{
	struct thread *thread = arg;

	while (!thread->shared->stop && !thread->shared->bad_error)
		calls[random_of(thread, sizeof(calls) / sizeof(calls[0]))](thread);
	return NULL;
}

/* Threads that go on until the process is killed. */
static void run_threads(struct shared *shared, int pattern, int file_system)
{
	struct thread threads[THREADS];
	pthread_t ids[THREADS];

	for (int i = 0; i < THREADS; i++) {
		threads[i] = (struct thread){ shared, rand(), pattern, file_system };
		if (pthread_create(&ids[i], NULL, live, &threads[i]))
			abort();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(ids[i], NULL);
}

/* That many more devices have been made, or something is wrong. */
struct goal {
	struct shared *shared;
	unsigned long cycles;
	unsigned long unloads;
};

static bool is_reached(void *arg)
{
	struct goal *goal = arg;

	return goal->shared->cycles >= goal->cycles || goal->shared->bad_error;
}

static void unload_and_load(struct shared *shared)
{
	char byte;

	while (!shared->stop && read(shared->tick[0], &byte, 1) == 1) {
		if (!test_module_unload(TEST_MODULE))
			atomic_fetch_add(&shared->unloads, 1);
		test_module_load(TEST_MODULE_PATH, "");
	}
}

/* Once more than it was; a new process may start before that, too. */
static bool is_unloaded(void *arg)
{
	struct goal *goal = arg;

	tick(goal->shared);
	return goal->shared->unloads > goal->unloads;
}

static bool is_none_left(void *unused)
{
	return !test_count_devices();
}

static bool is_loaded(void *unused)
{
	int ret = test_module_load(TEST_MODULE_PATH, "");

	return !ret || ret == -EEXIST;
}

TEST_F_TIMEOUT(races, every_call_ends_as_it_may_and_all_is_gone, 80000)
{
	unsigned long all = test_rounds(ALL_CYCLES / test_slowdown()), killed = 0;
	struct shared *shared = self->shared;
	struct goal goal = { shared, 0, 0 };
	pid_t unloader, pid;

	srand(time(NULL));
	unloader = fork();
	if (!unloader) {
		unload_and_load(shared);
		_exit(0);
	}
	while (goal.cycles < all && !shared->bad_error) {
		int seed = rand();

		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			srand(seed);
			run_threads(shared, self->pattern, self->file_system);
			_exit(0);
		}
		goal.cycles += CYCLES;
		EXPECT_TRUE(test_wait(is_reached, &goal, 4 * TEST_TIMEOUT_MS));
		kill(pid, SIGKILL);
		test_reap(pid);
		tick(shared);
		goal.unloads = shared->unloads;
		test_tell(20, shared->cycles, all, "devices");
		if (killed++ % 2)
			EXPECT_TRUE(test_wait(is_unloaded, &goal, 4 * TEST_TIMEOUT_MS));
	}
	shared->stop = true;
	tick(shared);
	EXPECT_EQ(0, test_reap(unloader));
	TH_LOG("%lu devices, %lu calls, %lu mounts, %lu processes killed, %lu times unloaded",
	       shared->cycles, shared->calls, shared->mounts, killed, shared->unloads);
	EXPECT_EQ(0, shared->bad_error) TH_LOG("%s", shared->bad_call);
	EXPECT_LT(0, shared->mounts);
	EXPECT_LT(0, shared->unloads);
	EXPECT_EQ(0, test_check_pattern(self->pattern, 0, SIZE, 1));
	EXPECT_TRUE(test_wait(is_loaded, NULL, TEST_TIMEOUT_MS));
	EXPECT_TRUE(test_wait(is_none_left, NULL, 4 * TEST_TIMEOUT_MS));
}

static void hold(int file, unsigned long count, int ready)
{
	int control = blkfd_control();

	while (count && blkfd_create_by(control, file, NULL) >= 0)
		count--;
	if (write(ready, &count, sizeof(count)) == sizeof(count))
		pause();
	_exit(1);
}

#define SYSCTL "/proc/sys/dev/blkfd/"

FIXTURE(crowd) {
	unsigned long held;
};

FIXTURE_SETUP(crowd)
{
	struct rlimit files = { 20000, 20000 };

	/* As many as there are cycles in the other case, 10,000 at most. */
	self->held = test_rounds(HELD) < 10000 ? test_rounds(HELD) : 10000;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	ASSERT_EQ(0, test_write_text(SYSCTL "max_devices", "20000"));
	ASSERT_EQ(0, test_write_text(SYSCTL "max_user_devices", "20000"));
}

FIXTURE_TEARDOWN(crowd)
{
	EXPECT_EQ(0, test_write_text(SYSCTL "max_devices", "4096"));
	EXPECT_EQ(0, test_write_text(SYSCTL "max_user_devices", "1024"));
}

TEST_F_TIMEOUT(crowd, is_gone_with_the_process_that_held_it, 80000)
{
	double start = test_seconds(), made, killed;
	unsigned long left;
	int ready[2];
	pid_t pid;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = fork();
	if (!pid)
		hold(test_memfd(SIZE), self->held, ready[1]);
	ASSERT_EQ((ssize_t)sizeof(left), read(ready[0], &left, sizeof(left)));
	EXPECT_EQ(0, left);
	made = test_seconds();
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(128 + SIGKILL, test_reap(pid));
	killed = test_seconds();
	EXPECT_TRUE(test_wait(is_none_left, NULL, 30 * TEST_TIMEOUT_MS));
	TH_LOG("%lu devices, made in %.1f s", self->held, made - start);
	TH_LOG("after the kill: no process in %.2f s, no device in %.1f s",
	       killed - made, test_seconds() - made);
}

TEST_HARNESS_MAIN
