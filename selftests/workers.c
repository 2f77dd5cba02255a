// SPDX-License-Identifier: GPL-2.0
/*
 * In what state of its own a worker ends what is over. Whoever waits for a bio
 * may do at its end what cannot be done everywhere, and asks where he is: a
 * thread on its way to sleep looks like one that may sleep.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "ring.h"
#include "testlib.h"

#define SEED		0x17
#define SIZE		(16 * TEST_MIB)
#define PAGE		4096

/* Where bios are ended, as the kernel sees it: a stack for each. */

#define TRACE		"/sys/kernel/tracing/instances/blkfd"
#define TRACE_TRIGGER	TRACE "/events/block/block_bio_complete/trigger"
#define TRACE_ISSUE	TRACE "/events/block/block_rq_issue"
#define TRACE_SIZE	(16 * TEST_MIB)
#define TRACE_STACK	"<stack trace>"
#define TRACE_ASLEEP	"=> schedule\n"

static void trace_stop(void)
{
	test_write_text(TRACE_TRIGGER, "!stacktrace");
	test_write_text(TRACE_ISSUE "/enable", "0");
	rmdir(TRACE);
}

/* Those of this device: 0 or -errno, -ENOENT in a kernel that cannot. */
static int trace_start(int dev)
{
	struct stat stat;
	char text[64];

	/* Of a test that was killed. */
	trace_stop();
	if (fstat(dev, &stat) || mkdir(TRACE, 0700))
		return -errno;
	snprintf(text, sizeof(text), "stacktrace if dev == %u",
		 major(stat.st_rdev) << 20 | minor(stat.st_rdev));
	return test_write_text(TRACE_TRIGGER, text);
}

/* All that was seen, in memory for a string that the caller frees; or NULL. */
static char *trace_read(void)
{
	int fd = open(TRACE "/trace", O_RDONLY | O_CLOEXEC);
	char *text = calloc(1, TRACE_SIZE);
	size_t size = 0;
	ssize_t ret = -1;

	while (fd >= 0 && text && size < TRACE_SIZE - 1) {
		ret = read(fd, text + size, TRACE_SIZE - 1 - size);
		if (ret <= 0)
			break;
		size += ret;
	}
	close(fd);
	if (!ret)
		return text;
	free(text);
	return NULL;
}

static unsigned int count_in(const char *text, const char *what)
{
	unsigned int count = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		count++;
	}
	return count;
}

/* At least so many bios were ended, and none by a thread on its way to sleep. */
static void expect_ends(struct __test_metadata *_metadata, unsigned int least)
{
	char *text = trace_read(), *asleep;

	ASSERT_NE(NULL, text);
	EXPECT_LE(least, count_in(text, TRACE_STACK));
	EXPECT_EQ(0, count_in(text, TRACE_ASLEEP));
	asleep = strstr(text, TRACE_ASLEEP);
	if (asleep) {
		*asleep = '\0';
		TH_LOG("%s", strrchr(text, '<') ?: text);
	}
	free(text);
}

/*
 * A file that is not cached, of whose server each read waits: a worker has one that
 * is over when it goes to sleep over the next.
 */
#define BACKING		TEST_DIR "/backing"

FIXTURE(worker) {
	struct test_fuse fuse;
	int file;
	int dev;
};

FIXTURE_SETUP(worker)
{
	if (!test_has_module("fuse"))
		SKIP(return, "this kernel has no fuse");
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_fuse_mount(&self->fuse, BACKING, SIZE, PAGE));
	self->file = open(BACKING, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->file);
	self->dev = test_create(self->file, 0, 0, 0, 0);
	ASSERT_LE(0, self->dev);
}

FIXTURE_TEARDOWN(worker)
{
	trace_stop();
	close(self->dev);
	close(self->file);
	umount(BACKING);
	EXPECT_EQ(0, test_reap(self->fuse.server));
}

#define COUNT		32
#define STEP		(SIZE / COUNT)

/* All are sent before the first can end. */
TEST_F(worker, ends_nothing_on_its_way_to_sleep)
{
	static char buf[COUNT][PAGE] __attribute__((aligned(PAGE)));
	int ret = trace_start(self->dev), direct;
	struct io_uring ring;

	if (ret == -ENOENT)
		SKIP(return, "this kernel traces no bios");
	ASSERT_EQ(0, ret);
	direct = test_reopen(self->dev, O_RDONLY | O_DIRECT);
	ASSERT_LE(0, direct);
	test_fill(self->fuse.data, SIZE, 0, SEED);
	ASSERT_EQ(0, io_uring_queue_init(COUNT, &ring, 0));
	for (int i = 0; i < COUNT; i++)
		io_uring_prep_read(io_uring_get_sqe(&ring), direct, buf[i], PAGE,
				   i * STEP);
	ASSERT_EQ(0, kill(self->fuse.server, SIGSTOP));
	EXPECT_EQ(COUNT, io_uring_submit(&ring));
	ASSERT_EQ(0, kill(self->fuse.server, SIGCONT));
	EXPECT_EQ(PAGE, ring_least(&ring, COUNT));
	for (int i = 0; i < COUNT; i++)
		EXPECT_GT(0, test_compare(buf[i], PAGE, i * STEP, SEED));
	expect_ends(_metadata, COUNT);
	io_uring_queue_exit(&ring);
	close(direct);
}

/* Where it says how many requests the server has not answered. */
#define CONTROL		TEST_DIR "/control"

static int count_requests(int file, char *path, size_t size)
{
	struct stat stat;

	if (fstat(file, &stat) || mkdir(CONTROL, 0700) ||
	    mount("control", CONTROL, "fusectl", 0, NULL))
		return -errno;
	snprintf(path, size, CONTROL "/%u/waiting", minor(stat.st_dev));
	return 0;
}

static bool counts_any(void *path)
{
	char count[16];

	return test_read_text(path, count, sizeof(count)) > 0 && strtoul(count, NULL, 10);
}

/* Of a task, as <linux/sched.h> has them: PF_LOCAL_THROTTLE and PF_MEMALLOC_NOIO. */
#define WORKER_FLAGS	0x180000

/* The task that is at work for this queue: its directory in /proc, or -ENOENT. */
static int find_worker(const char *queue, char *path, size_t size)
{
	DIR *proc = opendir("/proc");
	int ret = -ENOENT, length;
	struct dirent *entry;
	char comm[64];

	while (ret && proc && (entry = readdir(proc))) {
		snprintf(path, size, "/proc/%s/comm", entry->d_name);
		length = test_read_text(path, comm, sizeof(comm));
		if (length > (int)strlen(queue) &&
		    !strcmp(comm + length - strlen(queue), queue))
			ret = 0;
	}
	if (!ret)
		snprintf(path, size, "/proc/%s", entry->d_name);
	if (proc)
		closedir(proc);
	return ret;
}

/* Of the device of this id; a moment after the thread is there it has them. */
static bool worker_has_flags(void *id)
{
	char queue[32], path[300], stat[512];
	unsigned long long flags;

	snprintf(queue, sizeof(queue), "+blkfd%ju", (uintmax_t)*(uint64_t *)id);
	if (find_worker(queue, path, sizeof(path)))
		return false;
	strcat(path, "/stat");
	if (test_read_text(path, stat, sizeof(stat)) <= 0 || !strrchr(stat, ')') ||
	    sscanf(strrchr(stat, ')'), ") %*c %*d %*d %*d %*d %*d %llu", &flags) != 1)
		return false;
	return (flags & WORKER_FLAGS) == WORKER_FLAGS;
}

/* Else memory that this device is to free, or a limit of dirty pages, could stop it. */
TEST_F(worker, waits_for_nothing_that_may_wait_for_the_device)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));
	int direct = test_reopen(self->dev, O_RDONLY | O_DIRECT);
	uint64_t id = test_id(self->dev);
	struct io_uring ring;

	ASSERT_LE(0, direct);
	ASSERT_EQ(0, io_uring_queue_init(1, &ring, 0));
	io_uring_prep_read(io_uring_get_sqe(&ring), direct, buf, PAGE, 0);
	ASSERT_EQ(0, kill(self->fuse.server, SIGSTOP));
	EXPECT_EQ(1, io_uring_submit(&ring));
	EXPECT_TRUE(test_wait(worker_has_flags, &id, TEST_TIMEOUT_MS));
	ASSERT_EQ(0, kill(self->fuse.server, SIGCONT));
	EXPECT_EQ(PAGE, ring_least(&ring, 1));
	io_uring_queue_exit(&ring);
	close(direct);
}

/* All is frozen, as for a sleep, and thawed. */
#define PM_TEST		"/sys/power/pm_test"

static int sleep_a_moment(int timeout_ms)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", timeout_ms);
	return test_write_text("/sys/module/suspend/parameters/pm_test_delay", "0") ?:
	       test_write_text("/sys/power/pm_freeze_timeout", text) ?:
	       test_write_text("/sys/power/state", "freeze");
}

/* Its server sleeps before it does. */
TEST_F(worker, keeps_the_system_awake_while_it_waits)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));
	struct io_uring ring;
	char path[64];
	int direct;

	if (test_write_text(PM_TEST, "freezer"))
		SKIP(return, "this kernel cannot try to sleep");
	direct = test_reopen(self->dev, O_RDONLY | O_DIRECT);
	ASSERT_LE(0, direct);
	ASSERT_EQ(0, count_requests(self->file, path, sizeof(path)));
	ASSERT_EQ(0, io_uring_queue_init(1, &ring, 0));
	io_uring_prep_read(io_uring_get_sqe(&ring), direct, buf, PAGE, 0);
	ASSERT_EQ(0, kill(self->fuse.server, SIGSTOP));
	EXPECT_EQ(1, io_uring_submit(&ring));
	EXPECT_TRUE(test_wait(counts_any, path, TEST_TIMEOUT_MS));
	EXPECT_EQ(-EBUSY, sleep_a_moment(3000));
	ASSERT_EQ(0, kill(self->fuse.server, SIGCONT));
	EXPECT_EQ(PAGE, ring_least(&ring, 1));
	EXPECT_EQ(0, sleep_a_moment(test_slowdown() * TEST_TIMEOUT_MS));
	EXPECT_EQ(0, test_write_text(PM_TEST, "none"));
	/* The kernel's own. */
	EXPECT_EQ(0, test_write_text("/sys/power/pm_freeze_timeout", "20000"));
	io_uring_queue_exit(&ring);
	close(direct);
}

#define WAITING		"blkfd_waiting_end"
#define WAITING_PATH	"selftests/modules/blkfd_waiting_end.ko"

/*
 * The worker has slept over the first bio, and counts as awake again when it ends it:
 * somebody has to be woken for the second.
 */
TEST_F(worker, leaves_the_backlog_to_another_when_an_end_waits)
{
	char path[TEST_PATH_MAX], device[TEST_PATH_MAX + 16];
	int ret;

	test_fd_path(self->dev, path, sizeof(path));
	snprintf(device, sizeof(device), "device=%s", path);
	ret = test_module_load(WAITING_PATH, device);
	if (ret == -ENOENT)
		SKIP(return, "without kernel headers no module was built");
	ASSERT_EQ(0, ret);
	EXPECT_EQ(0, test_module_unload(WAITING));
}

/* Best effort, and not the level that everybody has. */
#define PRIORITY	IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 1)
#define PRIORITY_TEXT	" be,0,1 "

static int trace_requests(void)
{
	char format[4096];

	trace_stop();
	if (mkdir(TRACE, 0700))
		return -errno;
	if (test_read_text(TRACE_ISSUE "/format", format, sizeof(format)) < 0 ||
	    !strstr(format, "ioprio"))
		return -ENOENT;
	return test_write_text(TRACE_ISSUE "/enable", "1");
}

/* Of what it sends to the disk below. */
TEST(priority_is_the_senders)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));
	int disk = open(TEST_DISK, O_RDWR | O_CLOEXEC), dev, direct, ret;
	char *text;

	ret = trace_requests();
	if (ret == -ENOENT)
		SKIP(trace_stop(); return, "this kernel traces no priorities");
	ASSERT_EQ(0, ret);
	dev = test_create(disk, BLKFD_F_DIRECT, 0, 0, 0);
	ASSERT_LE(0, dev);
	direct = test_reopen(dev, O_RDONLY | O_DIRECT);
	ASSERT_LE(0, direct);
	ASSERT_EQ(0, test_set_parameter("inline_io", "N"));
	ASSERT_EQ(0, syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, PRIORITY));
	EXPECT_EQ(PAGE, pread(direct, buf, PAGE, 0));
	ASSERT_EQ(0, test_set_parameter("inline_io", "Y"));
	text = trace_read();
	ASSERT_NE(NULL, text);
	EXPECT_LT(0, count_in(text, PRIORITY_TEXT)) TH_LOG("%s", text);
	free(text);
	trace_stop();
	close(direct);
	close(dev);
	close(disk);
}

#define DISK		"blkfd_waiting_disk"
#define DISK_PATH	"selftests/modules/" DISK ".ko"
#define DISK_PARAMETERS	"/sys/module/" DISK "/parameters/"

/* Not while udevd looks at the disk. */
static bool disk_goes(void *arg)
{
	return !test_module_unload(DISK);
}

static void write_direct(struct io_uring *ring, int fd, uint64_t offset)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));

	io_uring_prep_write(io_uring_get_sqe(ring), fd, buf, PAGE, offset);
	io_uring_submit(ring);
}

/*
 * What a worker has given to the disk is in its thread's plug, at the latest until
 * the worker has nothing more to do; and then the disk's driver may have it wait.
 */
TEST(worker_that_the_disk_keeps_in_the_end_keeps_nobody)
{
	int ret = test_module_load(DISK_PATH, ""), disk, dev, direct;
	struct io_uring ring;
	char text[8] = "";

	if (ret == -ENOENT)
		SKIP(return, "without kernel headers no module was built");
	ASSERT_EQ(0, ret);
	disk = open("/dev/waiting_disk", O_RDWR | O_CLOEXEC);
	dev = test_create(disk, BLKFD_F_DIRECT, 0, 0, 0);
	ASSERT_LE(0, dev);
	direct = test_reopen(dev, O_RDWR | O_DIRECT);
	ASSERT_EQ(0, io_uring_queue_init(2, &ring, 0));
	ASSERT_EQ(0, test_set_parameter("inline_io", "N"));
	write_direct(&ring, direct, 0);
	EXPECT_TRUE(test_wait(counts_any, DISK_PARAMETERS "writes", TEST_TIMEOUT_MS));
	write_direct(&ring, direct, TEST_MIB / 2);
	EXPECT_EQ(PAGE, ring_least(&ring, 2));
	ASSERT_EQ(0, test_set_parameter("inline_io", "Y"));
	EXPECT_EQ(1, test_read_text(DISK_PARAMETERS "in_time", text, sizeof(text)));
	EXPECT_STREQ("Y", text);
	io_uring_queue_exit(&ring);
	close(direct);
	close(dev);
	close(disk);
	EXPECT_TRUE(test_wait(disk_goes, NULL, TEST_TIMEOUT_MS));
}

#define IMAGE		TEST_DIR "/image"
#define TREE		TEST_DIR "/tree"
#define TARGET		TEST_DIR "/target"
#define FILES		"0 1 2 3"

/* Of files that are packed, into the memory of the backing file. */
static int make_image(char *data)
{
	const char *make = "mkdir " TREE " " TARGET "; for i in " FILES "; do "
			   "seq ${i}00000 ${i}99999 >" TREE "/$i; done; "
			   "mkfs.erofs --quiet -zlz4 " IMAGE " " TREE;
	int fd, ret;

	if (test_shell(NULL, 0, make))
		return -EIO;
	fd = open(IMAGE, O_RDONLY | O_CLOEXEC);
	ret = read(fd, data, SIZE) > 0 ? 0 : -errno;
	close(fd);
	return ret;
}

/* A file system that unpacks what it has read, where the bio ends if it may. */
TEST_F(worker, has_erofs_unpack_where_that_may_sleep)
{
	char path[TEST_PATH_MAX];
	int ret;

	if (!test_has_module("erofs"))
		SKIP(return, "this kernel has no erofs");
	ret = trace_start(self->dev);
	if (ret == -ENOENT)
		SKIP(return, "this kernel traces no bios");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, make_image(self->fuse.data));
	test_fd_path(self->dev, path, sizeof(path));
	ASSERT_EQ(0, mount(path, TARGET, "erofs", MS_RDONLY, NULL));
	EXPECT_EQ(0, test_shell(NULL, 0, "for i in " FILES "; do "
				"cmp " TREE "/$i " TARGET "/$i & pids+=\" $!\"; done; "
				"for pid in $pids; do wait $pid || exit; done"));
	EXPECT_EQ(0, umount(TARGET));
	expect_ends(_metadata, 1);
}

TEST_HARNESS_MAIN
