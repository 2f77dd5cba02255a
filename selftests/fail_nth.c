// SPDX-License-Identifier: GPL-2.0
/*
 * Nothing is lost for want of memory: what a call allocates is refused it, the
 * first time the first, then the second, until the call gets by. For kernels
 * with fault injection; what the log of a lockdep, KASAN or kmemleak kernel
 * says of it counts as much as what is asserted here.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define SIZE		TEST_MIB
/* More than the block layer has room for on the stack. */
#define READ_SIZE	(64 * 1024)
#define FAIL_NTH	"fail-nth"
#define NTH_MAX		10000
#define TASKS_MAX	256

/* Single pages, of files too, and allocations that may sleep; nothing is logged. */
static int allow_faults(void)
{
	return test_write_text("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") ?:
	       test_write_text("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N") ?:
	       test_write_text("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N") ?:
	       test_write_text("/sys/kernel/debug/fail_page_alloc/min-order", "0") ?:
	       test_write_text("/sys/kernel/debug/failslab/verbose", "0") ?:
	       test_write_text("/sys/kernel/debug/fail_page_alloc/verbose", "0");
}

/* Those to whom memory is refused: this thread, or threads of the kernel. */
struct tasks {
	int nth[TASKS_MAX];
	int count;
};

static void add_task(struct tasks *tasks, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/" FAIL_NTH, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (tasks->count < TASKS_MAX)
		tasks->nth[tasks->count++] = fd;
	else
		close(fd);
}

/* Any of the workers that belong to no processor may be the next that is ours. */
static bool is_worker(const char *name)
{
	static const char start[] = "kworker/u";
	char path[64], comm[16] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/comm", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, comm, sizeof(comm)) < 0)
		comm[0] = 0;
	close(fd);
	return !strncmp(comm, start, strlen(start));
}

static void find_tasks(struct tasks *tasks, bool workers)
{
	struct dirent *entry;
	DIR *proc;

	tasks->count = 0;
	if (!workers) {
		add_task(tasks, "thread-self");
		return;
	}
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc)))
		if (is_worker(entry->d_name))
			add_task(tasks, entry->d_name);
	closedir(proc);
}

/* nth of 0: nothing more. A task may have ended: 0, or another error, negative. */
static int refuse_nth(const struct tasks *tasks, int nth)
{
	for (int i = 0; i < tasks->count; i++)
		if (dprintf(tasks->nth[i], "%d", nth) < 0 && errno != ESRCH)
			return -errno;
	return 0;
}

/* Whether any of them was: what is left to count is 0 then. */
static bool was_refused(const struct tasks *tasks)
{
	bool refused = false;

	for (int i = 0; i < tasks->count; i++) {
		char text[16] = "";

		if (pread(tasks->nth[i], text, sizeof(text) - 1, 0) > 0 && !atoi(text))
			refused = true;
	}
	return refused;
}

static void forget_tasks(struct tasks *tasks)
{
	while (tasks->count)
		close(tasks->nth[--tasks->count]);
}

FIXTURE(fail_nth) {
	int file;
	int dev;
};

FIXTURE_SETUP(fail_nth)
{
	if (access("/proc/self/" FAIL_NTH, W_OK))
		SKIP(return, "this kernel has no fault injection");
	ASSERT_EQ(0, allow_faults());
	self->file = test_memfd(SIZE);
	ASSERT_LE(0, self->file);
	self->dev = test_create(self->file, 0, 0, 0, 0);
	ASSERT_LE(0, self->dev);
}

FIXTURE_TEARDOWN(fail_nth)
{
}

/*
 * Calls until none of the allocations of this thread, or of the workers, is refused
 * any more; what it returned then.
 */
static int refuse_each(struct __test_metadata *_metadata, bool workers,
		       int (*call)(void *arg), void *arg,
		       void (*check)(struct __test_metadata *_metadata, int ret))
{
	struct tasks tasks;
	int i, ret = -1;
	bool refused;

	for (i = 1; i < NTH_MAX; i++) {
		find_tasks(&tasks, workers);
		ASSERT_LT(0, tasks.count);
		ASSERT_EQ(0, refuse_nth(&tasks, i));
		ret = call(arg);
		refused = was_refused(&tasks);
		ASSERT_EQ(0, refuse_nth(&tasks, 0));
		forget_tasks(&tasks);
		if (!refused)
			break;
		check(_metadata, ret);
	}
	TH_LOG("%d allocations were refused", i - 1);
	EXPECT_LT(1, i);
	EXPECT_GT(NTH_MAX, i);
	return ret;
}

static int create(void *arg)
{
	return test_create(*(int *)arg, 0, 0, 0, 0);
}

static void expect_fd_or_enomem(struct __test_metadata *_metadata, int ret)
{
	if (ret >= 0)
		ret = close(ret) ?: -ENOMEM;
	EXPECT_EQ(-ENOMEM, ret);
}

static void refuse_creation(struct __test_metadata *_metadata,
			    FIXTURE_DATA(fail_nth) *self, int spares)
{
	int first = create(&self->file), ret;

	ASSERT_LE(0, first);
	ASSERT_EQ(0, close(first));
	ASSERT_EQ(0, test_set_spares(spares));
	ret = refuse_each(_metadata, false, create, &self->file, expect_fd_or_enomem);
	/* No descriptor is lost; the one by which memory was refused was open. */
	EXPECT_EQ(first + 1, ret);
	EXPECT_EQ(0, close(ret));
	EXPECT_EQ(0, close(self->dev));
	EXPECT_TRUE(test_wait_none());
	EXPECT_EQ(0, test_set_spares(TEST_SPARES));
}

TEST_F(fail_nth, creation_fails_and_leaves_nothing)
{
	refuse_creation(_metadata, self, 0);
}

TEST_F(fail_nth, creation_on_a_spare_fails_and_leaves_nothing)
{
	refuse_creation(_metadata, self, TEST_MAX_SPARES);
}

static int new_instance(void *arg)
{
	const struct blkfd_instance bounds = { };

	return blkfd_new_instance(*(int *)arg, &bounds);
}

TEST_F(fail_nth, new_instance_fails_and_leaves_nothing)
{
	int control = blkfd_control(), first = new_instance(&control), ret;

	ASSERT_LE(0, first);
	ASSERT_EQ(0, close(first));
	ret = refuse_each(_metadata, false, new_instance, &control, expect_fd_or_enomem);
	EXPECT_EQ(first + 1, ret);
	EXPECT_EQ(0, close(ret));
	EXPECT_EQ(0, close(control));
}

/* Stops when memory may be refused, and when it was. */
static void create_in_namespaces(int control, int file)
{
	const struct blkfd_create arg = { .fd = file };
	int ret;

	if (test_enter_user_namespace(0) || test_enter_user_namespace(0) ||
	    raise(SIGSTOP))
		_exit(2);
	ret = test_create_by(control, &arg);
	raise(SIGSTOP);
	_exit(ret >= 0 ? 0 : ret == -ENOMEM ? 1 : 3);
}

static bool waits_stopped(pid_t pid)
{
	int status;

	return waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status);
}

/* Each is charged, as is its owner around it: to accounts that are new, too. */
TEST_F(fail_nth, creation_in_new_namespaces_fails_and_leaves_nothing)
{
	int control = blkfd_control(), status, i;
	struct tasks tasks;
	bool refused = true;
	char name[16];
	pid_t pid;

	ASSERT_LE(0, control);
	for (i = 1; refused && i < NTH_MAX; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			create_in_namespaces(control, self->file);
		ASSERT_TRUE(waits_stopped(pid));
		tasks.count = 0;
		snprintf(name, sizeof(name), "%d", pid);
		add_task(&tasks, name);
		ASSERT_EQ(1, tasks.count);
		ASSERT_EQ(0, refuse_nth(&tasks, i));
		ASSERT_EQ(0, kill(pid, SIGCONT));
		ASSERT_TRUE(waits_stopped(pid));
		refused = was_refused(&tasks);
		ASSERT_EQ(0, refuse_nth(&tasks, 0));
		forget_tasks(&tasks);
		ASSERT_EQ(0, kill(pid, SIGCONT));
		status = test_reap(pid);
		EXPECT_TRUE(!status || (refused && status == 1)) TH_LOG("ended with %d", status);
	}
	TH_LOG("%d allocations were refused", i - 2);
	EXPECT_LT(2, i);
	EXPECT_FALSE(refused);
	EXPECT_EQ(0, close(control));
	EXPECT_EQ(0, close(self->dev));
	EXPECT_TRUE(test_wait_none());
}

static int reopen(void *arg)
{
	char path[BLKFD_PATH_MAX];
	int ret;

	ret = blkfd_path(*(int *)arg, path, sizeof(path));
	if (ret)
		return ret;
	ret = open(path, O_RDWR | O_CLOEXEC);
	return ret < 0 ? -errno : ret;
}

TEST_F(fail_nth, device_outlives_failing_opens)
{
	int ret = refuse_each(_metadata, false, reopen, &self->dev, expect_fd_or_enomem);

	EXPECT_EQ(0, close(ret));
	EXPECT_EQ(0, test_write_pattern(self->dev, 0, SIZE, 1));
	EXPECT_EQ(0, fsync(self->dev));
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, 1));
}

static int read_direct(void *arg)
{
	static char buf[READ_SIZE] __attribute__((aligned(4096)));
	ssize_t ret;

	ret = pread(*(int *)arg, buf, sizeof(buf), 0);
	if (ret < 0)
		return -errno;
	return test_compare(buf, ret, 0, 1) < 0 ? ret : -EILSEQ;
}

static void expect_data_or_enomem(struct __test_metadata *_metadata, int ret)
{
	EXPECT_TRUE(ret == -ENOMEM || ret == READ_SIZE);
}

/* The commands have a reserve; who sends the bio may fail. */
TEST_F(fail_nth, reads_are_right_or_fail)
{
	char path[BLKFD_PATH_MAX];
	int fd;

	ASSERT_EQ(0, test_write_pattern(self->file, 0, SIZE, 1));
	ASSERT_EQ(0, blkfd_path(self->dev, path, sizeof(path)));
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(READ_SIZE, refuse_each(_metadata, false, read_direct, &fd,
					 expect_data_or_enomem));
}

static void expect_done_or_enomem(struct __test_metadata *_metadata, int ret)
{
	EXPECT_TRUE(!ret || ret == -ENOMEM) TH_LOG("returned %d", ret);
}

/* What is dirty is written first. */
static int write_and_resize(void *arg)
{
	static char buf[4096];
	int fd = *(int *)arg;

	if (pwrite(fd, buf, sizeof(buf), 0) < 0)
		return -errno;
	return blkfd_resize(fd, SIZE / 2) ?: blkfd_resize(fd, SIZE);
}

TEST_F(fail_nth, device_outlives_failing_resizes)
{
	ASSERT_EQ(0, refuse_each(_metadata, false, write_and_resize, &self->dev,
				 expect_done_or_enomem));
	EXPECT_EQ(SIZE, lseek(self->dev, 0, SEEK_END));
	EXPECT_EQ(0, test_write_pattern(self->dev, 0, SIZE, 2));
	EXPECT_EQ(0, fsync(self->dev));
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, 2));
}

static int mount_ext4(void *arg)
{
	return blkfd_fsmount(*(int *)arg, "ext4", NULL, 0);
}

/* What it says is up to the file system. */
static void expect_mount_or_error(struct __test_metadata *_metadata, int ret)
{
	if (ret >= 0)
		EXPECT_EQ(0, close(ret));
}

TEST_F(fail_nth, device_outlives_failing_mounts)
{
	char path[TEST_PATH_MAX];
	int mount;

	test_fd_path(self->dev, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	mount = refuse_each(_metadata, false, mount_ext4, &self->dev,
			    expect_mount_or_error);
	ASSERT_LE(0, mount);
	EXPECT_EQ(0, close(self->dev));
	EXPECT_EQ(0, close(mount));
	EXPECT_TRUE(test_wait_none());
	test_fd_path(self->file, path, sizeof(path));
	EXPECT_EQ(0, test_command("e2fsck", "-fn", path));
}

/* close() writes what is dirty, and cannot fail. */
static int live_and_die(void *arg)
{
	static char buf[4096];
	int fd = create(arg), ret = 0;

	if (fd < 0)
		return fd;
	if (pwrite(fd, buf, sizeof(buf), 0) < 0)
		ret = -errno;
	return close(fd) ? -errno : ret;
}

/* The workers' part of it, too; this thread would not find it for want of memory. */
static int live_and_be_gone(void *arg)
{
	static char buf[4096];
	int fd = create(arg), ret = 0;
	uint64_t id;

	if (fd < 0)
		return fd;
	id = test_id(fd);
	if (pwrite(fd, buf, sizeof(buf), 0) < 0)
		ret = -errno;
	if (close(fd))
		ret = -errno;
	return test_wait_gone(id) ? ret : -EBUSY;
}

static void refuse_life(struct __test_metadata *_metadata,
			FIXTURE_DATA(fail_nth) *self, bool workers)
{
	ASSERT_EQ(0, refuse_each(_metadata, workers,
				 workers ? live_and_be_gone : live_and_die, &self->file,
				 expect_done_or_enomem));
	EXPECT_EQ(0, close(self->dev));
	EXPECT_TRUE(test_wait_none());
}

TEST_F(fail_nth, device_ends_for_all_that)
{
	refuse_life(_metadata, self, false);
}

TEST_F(fail_nth, device_ends_though_workers_lack_memory)
{
	refuse_life(_metadata, self, true);
}

/* I/O, which the sender or workers carry out */

FIXTURE(io) {
	int file;
	int dev;
	int direct;
	uint64_t turn;
};

FIXTURE_VARIANT(io) {
	const char *fstype;	/* NULL: a memfd */
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(io, memfd) {
};

FIXTURE_VARIANT_ADD(io, ext4) {
	.fstype = "ext4",
};

FIXTURE_VARIANT_ADD(io, ext4_direct) {
	.fstype = "ext4",
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(io, xfs_direct) {
	.fstype = "xfs",
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_SETUP(io)
{
	char dir[TEST_PATH_MAX];

	if (access("/proc/self/" FAIL_NTH, W_OK))
		SKIP(return, "this kernel has no fault injection");
	ASSERT_EQ(0, allow_faults());
	ASSERT_EQ(0, test_private_mounts());
	if (variant->fstype) {
		snprintf(dir, sizeof(dir), TEST_DIR "/%s", variant->fstype);
		ASSERT_EQ(0, test_scratch_mount(variant->fstype, NULL));
	}
	self->file = variant->fstype ? test_tmpfile(dir, SIZE) : test_memfd(SIZE);
	ASSERT_LE(0, self->file);
	self->dev = test_create(self->file, variant->flags, 0, 0, 0);
	ASSERT_LE(0, self->dev);
	self->direct = test_reopen(self->dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);
}

FIXTURE_TEARDOWN(io)
{
	close(self->direct);
	close(self->dev);
	close(self->file);
}

/* Holes are what inline submission leaves to workers. */
static int zero_write_and_read(void *arg)
{
	static char buf[READ_SIZE] __attribute__((aligned(4096)));
	FIXTURE_DATA(io) *self = arg;
	uint64_t offset = self->turn++ % (SIZE / READ_SIZE) * READ_SIZE;
	uint64_t range[] = { offset, READ_SIZE };

	if (ioctl(self->dev, BLKDISCARD, range) || ioctl(self->dev, BLKZEROOUT, range))
		return -errno;
	test_fill(buf, READ_SIZE, offset, 3);
	if (pwrite(self->direct, buf, READ_SIZE, offset) < 0 || fdatasync(self->direct))
		return -errno;
	memset(buf, 0, READ_SIZE);
	if (pread(self->direct, buf, READ_SIZE, offset) < 0)
		return -errno;
	return test_compare(buf, READ_SIZE, offset, 3) < 0 ? 0 : -EILSEQ;
}

static void expect_done_or_error(struct __test_metadata *_metadata, int ret)
{
	EXPECT_TRUE(!ret || ret == -ENOMEM || ret == -EIO) TH_LOG("returned %d", ret);
}

static void refuse_io(struct __test_metadata *_metadata, FIXTURE_DATA(io) *self,
		      bool workers)
{
	ASSERT_EQ(0, refuse_each(_metadata, workers, zero_write_and_read, self,
				 expect_done_or_error));
	EXPECT_EQ(0, test_write_pattern(self->dev, 0, SIZE, 4));
	EXPECT_EQ(0, fsync(self->dev));
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, 4));
}

TEST_F(io, is_right_or_fails_if_its_sender_lacks_memory)
{
	refuse_io(_metadata, self, false);
}

TEST_F(io, is_right_or_fails_if_workers_lack_memory)
{
	if (!variant->fstype)
		SKIP(return, "what workers do for a memfd takes no memory");
	refuse_io(_metadata, self, true);
}

TEST_HARNESS_MAIN
