// SPDX-License-Identifier: GPL-2.0
/*
 * Nothing is lost for want of memory: what a call allocates is refused it, the
 * first time the first, then the second, until the call gets by. For kernels
 * with fault injection; what the log of a lockdep, KASAN or kmemleak kernel
 * says of it counts as much as what is asserted here.
 */
#include <fcntl.h>
#include <stdio.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define SIZE		TEST_MIB
/* More than the block layer has room for on the stack. */
#define READ_SIZE	(64 * 1024)
#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define NTH_MAX		10000

/* Allocations that may sleep are refused too, without a word in the log. */
static int allow_faults(void)
{
	return test_write_text("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") ?:
	       test_write_text("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N") ?:
	       test_write_text("/sys/kernel/debug/failslab/verbose", "0") ?:
	       test_write_text("/sys/kernel/debug/fail_page_alloc/verbose", "0");
}

FIXTURE(fail_nth) {
	int nth;
	int file;
	int dev;
};

FIXTURE_SETUP(fail_nth)
{
	self->nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (self->nth < 0)
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

/* Calls until none of the allocations is refused any more; what it returned. */
static int refuse_each(struct __test_metadata *_metadata, int nth,
		       int (*call)(void *arg), void *arg,
		       void (*check)(struct __test_metadata *_metadata, int ret))
{
	char text[16] = "";
	int i, ret = -1;

	for (i = 1; i < NTH_MAX; i++) {
		snprintf(text, sizeof(text), "%d", i);
		ASSERT_LT(0, pwrite(nth, text, strlen(text), 0));
		ret = call(arg);
		memset(text, 0, sizeof(text));
		ASSERT_LT(0, pread(nth, text, sizeof(text) - 1, 0));
		ASSERT_LT(0, pwrite(nth, "0", 1, 0));
		if (atoi(text))
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

static void expect_device_or_enomem(struct __test_metadata *_metadata, int ret)
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
	ret = refuse_each(_metadata, self->nth, create, &self->file,
			  expect_device_or_enomem);
	EXPECT_EQ(first, ret);
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
	int ret = refuse_each(_metadata, self->nth, reopen, &self->dev,
			      expect_device_or_enomem);

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
	EXPECT_EQ(READ_SIZE, refuse_each(_metadata, self->nth, read_direct, &fd,
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
	ASSERT_EQ(0, refuse_each(_metadata, self->nth, write_and_resize, &self->dev,
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
	mount = refuse_each(_metadata, self->nth, mount_ext4, &self->dev,
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

TEST_F(fail_nth, device_ends_for_all_that)
{
	ASSERT_EQ(0, refuse_each(_metadata, self->nth, live_and_die, &self->file,
				 expect_done_or_enomem));
	EXPECT_EQ(0, close(self->dev));
	EXPECT_TRUE(test_wait_none());
}

TEST_HARNESS_MAIN
