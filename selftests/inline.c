// SPDX-License-Identifier: GPL-2.0
/*
 * Which I/O is carried out by the task that sends it, and which is not: the
 * counts of a device say. That what goes inline is right, io.c tests as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "ring.h"
#include "testlib.h"

#define SEED		0x11
#define SIZE		(8 * TEST_MIB)
#define PAGE		4096
#define STEP		(2 * PAGE)
#define COUNT		64
#define NOBODY		65534
#define DM_NAME		"blkfd-inline"
#define DM_PATH		"/dev/mapper/" DM_NAME

/* What a device has counted since the counts in from. */
static struct blkfd_info counts(int fd, const struct blkfd_info *from)
{
	struct blkfd_info info = {};

	if (test_info(fd, &info))
		return info;
	if (from) {
		info.inline_ios -= from->inline_ios;
		info.worker_ios -= from->worker_ios;
		info.would_block -= from->would_block;
	}
	return info;
}

/* COUNT pages, one by one, none beside another. */
static int read_pages(int fd)
{
	int ret = 0;

	for (uint64_t i = 0; !ret && i < COUNT; i++)
		ret = test_check_pattern(fd, i * STEP, PAGE, SEED);
	return ret;
}

static int write_pages(int fd)
{
	int ret = 0;

	for (uint64_t i = 0; !ret && i < COUNT; i++)
		ret = test_write_pattern(fd, i * STEP, PAGE, SEED);
	return ret;
}

/* A file of this size, its blocks written and on the disk. */
static int full_file(const char *dir)
{
	int file = test_tmpfile(dir, SIZE);
	char path[80];

	if (file == -EOPNOTSUPP) {
		snprintf(path, sizeof(path), "%s/file", dir);
		file = test_file(path, SIZE, 0);
	}
	if (file < 0 || test_write_pattern(file, 0, SIZE, SEED) || fsync(file))
		return -EIO;
	return file;
}

/* A file system below, the device, and the device open with O_DIRECT. */
struct rig {
	char dir[64];
	int file;
	int dev;
	int direct;
};

static int rig_file(struct rig *rig, const char *fstype)
{
	snprintf(rig->dir, sizeof(rig->dir), TEST_DIR "/%s", fstype);
	if (!strcmp(fstype, "disk")) {
		rig->file = open(TEST_DISK, O_RDWR | O_CLOEXEC);
		return rig->file < 0 ? -errno :
			test_write_pattern(rig->file, 0, SIZE, SEED) ?:
			fsync(rig->file);
	}
	if (strcmp(fstype, "tmpfs"))
		rig->file = test_scratch_mount(fstype, NULL);
	else
		rig->file = test_tmpfs(rig->dir);
	if (!rig->file)
		rig->file = full_file(rig->dir);
	return rig->file < 0 ? rig->file : 0;
}

static int rig_set_up(struct rig *rig, const char *fstype, uint32_t flags)
{
	int ret = test_private_mounts() ?: rig_file(rig, fstype);

	if (ret)
		return ret;
	rig->dev = test_create(rig->file, flags, 0, SIZE, 0);
	if (rig->dev < 0)
		return rig->dev;
	rig->direct = test_reopen(rig->dev, O_RDWR | O_DIRECT);
	return rig->direct < 0 ? rig->direct : 0;
}

static void rig_tear_down(struct rig *rig)
{
	close(rig->direct);
	close(rig->dev);
	close(rig->file);
	umount(rig->dir);
}

/* What the file allows for */

FIXTURE(way) {
	struct rig rig;
	struct blkfd_info before;
};

FIXTURE_VARIANT(way) {
	const char *fstype;
	uint32_t flags;
	bool reads;
	bool writes;
	bool in_memory;
};

FIXTURE_VARIANT_ADD(way, xfs_direct) {
	.fstype = "xfs",
	.flags = BLKFD_F_DIRECT,
	.reads = true,
	.writes = true,
};

FIXTURE_VARIANT_ADD(way, ext4_direct) {
	.fstype = "ext4",
	.flags = BLKFD_F_DIRECT,
	.reads = true,
	.writes = true,
};

FIXTURE_VARIANT_ADD(way, f2fs_direct) {
	.fstype = "f2fs",
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(way, btrfs_direct) {
	.fstype = "btrfs",
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(way, ntfs_direct) {
	.fstype = "ntfs",
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(way, disk_direct) {
	.fstype = "disk",
	.flags = BLKFD_F_DIRECT,
	.reads = true,
	.writes = true,
};

FIXTURE_VARIANT_ADD(way, xfs) {
	.fstype = "xfs",
	.reads = true,
};

FIXTURE_VARIANT_ADD(way, ext4) {
	.fstype = "ext4",
	.reads = true,
};

FIXTURE_VARIANT_ADD(way, f2fs) {
	.fstype = "f2fs",
};

FIXTURE_VARIANT_ADD(way, btrfs) {
	.fstype = "btrfs",
};

FIXTURE_VARIANT_ADD(way, ntfs) {
	.fstype = "ntfs",
};

FIXTURE_VARIANT_ADD(way, tmpfs) {
	.fstype = "tmpfs",
	.reads = true,
	.writes = true,
	.in_memory = true,
};

FIXTURE_VARIANT_ADD(way, disk) {
	.fstype = "disk",
};

FIXTURE_SETUP(way)
{
	if (!strcmp(variant->fstype, "ntfs") && !test_has_module("ntfs"))
		SKIP(return, "this kernel has no ntfs");
	ASSERT_EQ(0, rig_set_up(&self->rig, variant->fstype, variant->flags));
	ASSERT_EQ(0, read_pages(self->rig.file));
	self->before = counts(self->rig.dev, NULL);
}

FIXTURE_TEARDOWN(way)
{
	rig_tear_down(&self->rig);
}

TEST_F(way, reads_go_as_the_file_allows)
{
	struct blkfd_info info;

	ASSERT_EQ(0, read_pages(self->rig.direct));
	info = counts(self->rig.dev, &self->before);
	EXPECT_EQ(COUNT, info.inline_ios + info.worker_ios);
	EXPECT_LE(variant->reads ? COUNT - 4 : 0, info.inline_ios);
	if (!variant->reads)
		EXPECT_EQ(0, info.inline_ios + info.would_block);
}

/*
 * One for which the file's times are due is for a worker. That is so once in a
 * tick of the clock, which under emulation may be every time for a while.
 */
TEST_F(way, writes_go_as_the_file_allows)
{
	struct blkfd_info info;
	int rounds = 0;

	do {
		ASSERT_EQ(0, write_pages(self->rig.direct));
		info = counts(self->rig.dev, &self->before);
		rounds++;
		ASSERT_EQ(rounds * COUNT, info.inline_ios + info.worker_ios);
	} while (variant->writes && !info.inline_ios && rounds < 100);
	EXPECT_LE(variant->writes, info.inline_ios);
	if (!variant->writes)
		EXPECT_EQ(0, info.inline_ios + info.would_block);
	ASSERT_EQ(0, fsync(self->rig.direct));
	EXPECT_EQ(0, test_check_pattern(self->rig.file, 0, SIZE, SEED));
}

TEST_F(way, flushes_and_writes_to_stable_storage_take_workers)
{
	int sync = test_reopen(self->rig.dev, O_RDWR | O_DIRECT | O_DSYNC);
	struct blkfd_info info;

	ASSERT_LE(0, sync);
	ASSERT_EQ(0, test_write_pattern(sync, 0, PAGE, SEED));
	ASSERT_EQ(0, fsync(self->rig.direct));
	info = counts(self->rig.dev, &self->before);
	if (variant->in_memory) {
		/* The write is as any other, and there is nothing to flush. */
		EXPECT_EQ(1, info.inline_ios);
		EXPECT_EQ(0, info.worker_ios);
	} else {
		EXPECT_EQ(0, info.inline_ios);
		EXPECT_LE(2, info.worker_ios);
	}
	close(sync);
}

/* File systems keep metadata there, and hold locks while they read it. */
TEST_F(way, cache_of_the_device_is_filled_by_workers)
{
	struct blkfd_info info;

	ASSERT_EQ(0, test_drop_caches());
	ASSERT_EQ(0, test_check_pattern(self->rig.dev, 0, SIZE, SEED));
	info = counts(self->rig.dev, &self->before);
	EXPECT_EQ(0, info.inline_ios + info.would_block);
	EXPECT_LT(0, info.worker_ios);
}

/* They hold some while they write it, too, which tmpfs never wants. */
TEST_F(way, cache_of_the_device_is_written_as_the_locks_below_allow)
{
	struct blkfd_info info;

	ASSERT_EQ(0, test_write_pattern(self->rig.dev, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(self->rig.dev));
	info = counts(self->rig.dev, &self->before);
	if (variant->in_memory) {
		EXPECT_LT(0, info.inline_ios);
	} else {
		EXPECT_EQ(0, info.inline_ios + info.would_block);
		EXPECT_LT(0, info.worker_ios);
	}
	EXPECT_EQ(0, test_check_pattern(self->rig.file, 0, SIZE, SEED));
}

TEST_F(way, parameter_leaves_all_to_workers)
{
	struct blkfd_info info;

	ASSERT_EQ(0, test_set_parameter("inline_io", "N"));
	EXPECT_EQ(0, read_pages(self->rig.direct));
	EXPECT_EQ(0, write_pages(self->rig.direct));
	EXPECT_EQ(0, test_set_parameter("inline_io", "Y"));
	info = counts(self->rig.dev, &self->before);
	EXPECT_EQ(0, info.inline_ios + info.would_block);
	EXPECT_EQ(2 * COUNT, info.worker_ios);
}

/*
 * What such a disk refuses ext4 and xfs take for an error of the disk, and tell whoever
 * watches for those.
 */
static long long inline_over(const char *type, const char *rest)
{
	char table[160], dir[] = TEST_DIR "/dm";
	struct rig rig = { .file = -1 };
	struct blkfd_info before, info;
	int ret;

	snprintf(table, sizeof(table), "0 655360 %s %s 0%s", type, TEST_DISK, rest);
	if (test_dm_create(DM_NAME, table))
		return -1;
	if (!test_mkfs("ext4", DM_PATH) && (!mkdir(dir, 0755) || errno == EEXIST) &&
	    !mount(DM_PATH, dir, "ext4", 0, NULL))
		rig.file = full_file(dir);
	rig.dev = test_create(rig.file, BLKFD_F_DIRECT, 0, SIZE, 0);
	rig.direct = test_reopen(rig.dev, O_RDWR | O_DIRECT);
	before = counts(rig.dev, NULL);
	ret = read_pages(rig.direct) ?: write_pages(rig.direct);
	info = counts(rig.dev, &before);
	close(rig.direct);
	close(rig.dev);
	close(rig.file);
	umount(dir);
	return test_dm_remove(DM_NAME) || ret ? -1 : info.inline_ios + info.would_block;
}

TEST(disk_that_cannot_be_asked_not_to_wait_takes_workers)
{
	ASSERT_EQ(0, test_private_mounts());
	EXPECT_LT(COUNT, inline_over("linear", ""));
	EXPECT_EQ(0, inline_over("flakey", " 1 0"));
}

/* What the task and the moment allow for */

FIXTURE(direct) {
	struct rig rig;
	struct blkfd_info before;
};

FIXTURE_VARIANT(direct) {
	const char *fstype;
};

FIXTURE_VARIANT_ADD(direct, xfs) { .fstype = "xfs" };
FIXTURE_VARIANT_ADD(direct, ext4) { .fstype = "ext4" };

FIXTURE_SETUP(direct)
{
	ASSERT_EQ(0, rig_set_up(&self->rig, variant->fstype, BLKFD_F_DIRECT));
	self->before = counts(self->rig.dev, NULL);
}

/* A test that fails half-way has left the table, and the file system frozen. */
FIXTURE_TEARDOWN(direct)
{
	int dir = open(self->rig.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ioctl(dir, FITHAW, 0);
	close(dir);
	if (!access(DM_PATH, F_OK))
		test_dm_remove(DM_NAME);
	rig_tear_down(&self->rig);
}

/* Of a block that is shared, xfs writes a part into its page cache. */
TEST_F(direct, writes_of_parts_of_a_block_take_workers)
{
	int twin = test_tmpfile(self->rig.dir, 0);
	struct blkfd_info info = { };
	unsigned int part;

	ASSERT_EQ(0, ioctl(self->rig.dev, BLKSSZGET, &part));
	if (part == PAGE)
		SKIP(return, "the device's blocks are those of the file");
	if (!strcmp(variant->fstype, "xfs"))
		ASSERT_EQ(0, ioctl(twin, FICLONE, self->rig.file));
	for (int i = 0; i < 8 * COUNT && !info.inline_ios; i++) {
		ASSERT_EQ(0, test_write_pattern(self->rig.direct,
						i % COUNT * STEP + part, part, SEED));
		info = counts(self->rig.dev, &self->before);
	}
	EXPECT_EQ(0, info.inline_ios + info.would_block);
	ASSERT_EQ(0, fsync(self->rig.direct));
	EXPECT_EQ(0, test_check_pattern(self->rig.file, 0, SIZE, SEED));
	close(twin);
}

TEST_F(direct, clones_of_device_mapper_take_workers)
{
	char path[TEST_PATH_MAX], table[128];
	struct blkfd_info info;
	int top;

	test_fd_path(self->rig.dev, path, sizeof(path));
	snprintf(table, sizeof(table), "0 %llu linear %s 0", SIZE / 512, path);
	ASSERT_EQ(0, test_dm_create(DM_NAME, table));
	top = open(DM_PATH, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, top);
	self->before = counts(self->rig.dev, NULL);
	EXPECT_EQ(0, read_pages(top));
	info = counts(self->rig.dev, &self->before);
	EXPECT_EQ(0, info.inline_ios + info.would_block);
	EXPECT_EQ(COUNT, info.worker_ios);
	ASSERT_EQ(0, close(top));
	ASSERT_EQ(0, test_dm_remove(DM_NAME));
}

/* It does for files: SIGXFSZ would end this. */
TEST_F(direct, limit_on_file_sizes_does_not_hold)
{
	const struct rlimit limit = { PAGE, PAGE };
	struct blkfd_info info;

	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	EXPECT_EQ(0, write_pages(self->rig.direct));
	info = counts(self->rig.dev, &self->before);
	EXPECT_EQ(COUNT, info.worker_ios);
}

/* On ext4 in a transaction, which is not tried, either. */
TEST_F(direct, write_for_which_times_are_due_takes_a_worker)
{
	const struct timespec long_ago[2] = { };
	struct blkfd_info info;

	ASSERT_EQ(0, futimens(self->rig.file, long_ago));
	ASSERT_EQ(0, test_write_pattern(self->rig.direct, 0, PAGE, SEED));
	info = counts(self->rig.dev, &self->before);
	EXPECT_EQ(0, info.inline_ios + info.would_block);
	EXPECT_EQ(1, info.worker_ios);
}

static int set_flag(int file, int flag)
{
	int flags;

	if (ioctl(file, FS_IOC_GETFLAGS, &flags))
		return -errno;
	flags |= flag;
	return ioctl(file, FS_IOC_SETFLAGS, &flags) ? -errno : 0;
}

/* As by chattr +S. Until the next tick of the clock, times that are set are not due. */
TEST_F(direct, writes_to_a_synchronous_file_take_workers)
{
	struct blkfd_info info;

	ASSERT_EQ(0, set_flag(self->rig.file, FS_SYNC_FL));
	for (uint64_t i = 0; i < COUNT; i++) {
		ASSERT_EQ(0, futimens(self->rig.file, NULL));
		ASSERT_EQ(0, test_write_pattern(self->rig.direct, i * STEP, PAGE, SEED));
	}
	info = counts(self->rig.dev, &self->before);
	EXPECT_EQ(0, info.inline_ios + info.would_block);
	EXPECT_EQ(COUNT, info.worker_ios);
}

static int freeze(const char *dir, unsigned long request)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = ioctl(fd, request, 0) ? -errno : 0;

	close(fd);
	return ret;
}

static bool is_completed(void *arg)
{
	struct io_uring_cqe *cqe;

	return !io_uring_peek_cqe(arg, &cqe);
}

/* The next result of an I/O; its number, or -ETIMEDOUT. */
static int next_result(struct io_uring *ring, int *result)
{
	struct io_uring_cqe *cqe;
	int number;

	if (!test_wait(is_completed, ring, TEST_TIMEOUT_MS) ||
	    io_uring_peek_cqe(ring, &cqe))
		return -ETIMEDOUT;
	number = io_uring_cqe_get_data64(cqe);
	*result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return number;
}

/* Else the one who is to thaw it could be waiting for that. */
TEST_F(direct, who_writes_is_not_kept_by_a_frozen_file_system)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));
	struct io_uring ring;
	int result;

	ASSERT_EQ(0, io_uring_queue_init(COUNT, &ring, 0));
	ASSERT_EQ(0, freeze(self->rig.dir, FIFREEZE));
	for (int i = 0; i < COUNT; i++)
		io_uring_prep_write(io_uring_get_sqe(&ring), self->rig.direct,
				    buf, PAGE, i * PAGE);
	ASSERT_EQ(COUNT, io_uring_submit(&ring));
	EXPECT_FALSE(is_completed(&ring));
	EXPECT_EQ(0, read_pages(self->rig.direct));
	ASSERT_EQ(0, freeze(self->rig.dir, FITHAW));
	for (int i = 0; i < COUNT; i++) {
		ASSERT_NE(-ETIMEDOUT, next_result(&ring, &result));
		EXPECT_EQ(PAGE, result);
	}
	io_uring_queue_exit(&ring);
	EXPECT_EQ(0, test_check_zero(self->rig.direct, 0, COUNT * PAGE));
}

TEST_F(direct, time_of_change_goes_on_and_that_of_access_stays)
{
	struct stat before, after;

	ASSERT_EQ(0, fstat(self->rig.file, &before));
	do {
		ASSERT_EQ(0, write_pages(self->rig.direct));
		ASSERT_EQ(0, fstat(self->rig.file, &after));
	} while (after.st_mtim.tv_sec == before.st_mtim.tv_sec);
	EXPECT_LT(before.st_ctim.tv_sec, after.st_ctim.tv_sec);
	ASSERT_EQ(0, read_pages(self->rig.direct));
	ASSERT_EQ(0, fstat(self->rig.file, &after));
	EXPECT_EQ(0, memcmp(&before.st_atim, &after.st_atim,
			    sizeof(before.st_atim)));
}

/* Every other page of a file: its map does not fit into the inode. */
static int scattered_file(const char *dir)
{
	int file = test_tmpfile(dir, SIZE);

	for (uint64_t at = 0; at < SIZE; at += STEP)
		if (test_write_pattern(file, at, PAGE, SEED) ||
		    sync_file_range(file, at, PAGE, SYNC_FILE_RANGE_WRITE))
			return -EIO;
	return fsync(file) ? -errno : file;
}

/*
 * The file system below reads its map within the call. Queued behind the bio
 * that is being submitted, that would wait for ever.
 */
TEST_F(direct, map_of_the_file_is_read_meanwhile)
{
	int file = scattered_file(self->rig.dir), dev, direct;

	ASSERT_LE(0, file);
	dev = test_create(file, BLKFD_F_DIRECT, 0, 0, 0);
	ASSERT_LE(0, dev);
	direct = test_reopen(dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, direct);
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, test_drop_caches());
		ASSERT_EQ(0, read_pages(direct));
	}
	EXPECT_EQ(4 * COUNT, counts(dev, NULL).inline_ios +
		  counts(dev, NULL).worker_ios);
	close(direct);
	close(dev);
	close(file);
}

/* A page that has no block yet: the transaction for it is a worker's. */
TEST_F(direct, first_writes_to_a_hole_take_workers)
{
	int file = test_tmpfile(self->rig.dir, SIZE), dev, direct;
	struct blkfd_info info;

	dev = test_create(file, BLKFD_F_DIRECT, 0, 0, 0);
	ASSERT_LE(0, dev);
	direct = test_reopen(dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, direct);
	ASSERT_EQ(0, write_pages(direct));
	info = counts(dev, NULL);
	EXPECT_EQ(0, info.inline_ios);
	EXPECT_EQ(COUNT, info.worker_ios);
	EXPECT_EQ(0, read_pages(direct));
	close(direct);
	close(dev);
	close(file);
}

/* By tmpfs's own way, which does what its write_iter does. */
TEST(writes_to_tmpfs_change_its_times)
{
	const struct timespec long_ago[2] = { };
	struct rig rig;
	struct stat stat;

	ASSERT_EQ(0, rig_set_up(&rig, "tmpfs", 0));
	ASSERT_EQ(0, futimens(rig.file, long_ago));
	ASSERT_EQ(0, write_pages(rig.direct));
	EXPECT_LT(0, counts(rig.dev, NULL).inline_ios);
	ASSERT_EQ(0, fstat(rig.file, &stat));
	EXPECT_LT(0, stat.st_mtim.tv_sec);
	rig_tear_down(&rig);
}

/* Which end with a flush, whoever sends them. */
TEST(writes_to_a_file_that_was_opened_for_durable_ones_take_workers)
{
	struct rig rig;
	int file, dev, direct;

	ASSERT_EQ(0, rig_set_up(&rig, "tmpfs", 0));
	file = test_reopen(rig.file, O_RDWR | O_DSYNC);
	dev = test_create(file, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	direct = test_reopen(dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, direct);
	ASSERT_EQ(0, write_pages(direct));
	EXPECT_EQ(0, counts(dev, NULL).inline_ios);
	close(direct);
	close(dev);
	close(file);
	rig_tear_down(&rig);
}

/* Under whose locks the one below may want its own; xfs has pages of its own for it. */
TEST(metadata_of_a_file_system_takes_workers)
{
	const char *dir = TEST_DIR "/above";
	char path[TEST_PATH_MAX];
	struct blkfd_info before, info;
	struct rig rig;

	ASSERT_EQ(0, rig_set_up(&rig, "ext4", BLKFD_F_DIRECT));
	ASSERT_EQ(0, ftruncate(rig.file, 320 * TEST_MIB));
	ASSERT_EQ(0, blkfd_resize(rig.dev, 320 * TEST_MIB));
	test_fd_path(rig.dev, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("xfs", path));
	ASSERT_EQ(0, mkdir(dir, 0755));
	before = counts(rig.dev, NULL);
	ASSERT_EQ(0, mount(path, dir, "xfs", 0, NULL));
	ASSERT_EQ(0, umount(dir));
	info = counts(rig.dev, &before);
	EXPECT_EQ(0, info.inline_ios + info.would_block);
	EXPECT_LT(0, info.worker_ios);
	rig_tear_down(&rig);
}

/* Root could write to a program and leave it one that is run as another user. */
TEST(rights_are_those_of_the_creator)
{
	struct rig rig = { .dir = TEST_DIR "/tmpfs" };
	struct blkfd_info info;
	struct stat stat;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, rig_file(&rig, "tmpfs"));
	rig.dev = test_create_as(NOBODY, rig.file);
	ASSERT_LE(0, rig.dev);
	rig.direct = test_reopen(rig.dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, rig.direct);
	ASSERT_EQ(0, fchmod(rig.file, 04755));
	ASSERT_EQ(0, write_pages(rig.direct));
	info = counts(rig.dev, NULL);
	EXPECT_LT(0, info.inline_ios);
	ASSERT_EQ(0, fstat(rig.file, &stat));
	EXPECT_EQ(0755, stat.st_mode & 07777);
	rig_tear_down(&rig);
}

/* What this thread has had devices read, in bytes; -ENOENT: nobody counts. */
static long long bytes_read(void)
{
	return test_read_field("/proc/thread-self/io", "read_bytes");
}

/*
 * Of a file whose data are in ext4's journal, which takes that they are allocated at
 * once. Reading ahead may wait for the lock under which a hole is punched.
 */
TEST(reads_that_cannot_be_direct_read_nothing_ahead)
{
	struct rig rig = { .dir = TEST_DIR "/ext4" };
	long long before;

	if (bytes_read() < 0)
		SKIP(return, "this kernel does not count who reads");
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("ext4", "nodelalloc"));
	rig.file = full_file(rig.dir);
	rig.dev = test_create(rig.file, BLKFD_F_DIRECT, 0, 0, 0);
	ASSERT_LE(0, rig.dev);
	rig.direct = test_reopen(rig.dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, rig.direct);
	ASSERT_EQ(0, set_flag(rig.file, FS_JOURNAL_DATA_FL));
	ASSERT_EQ(0, test_drop_caches());
	before = bytes_read();
	ASSERT_EQ(0, read_pages(rig.direct));
	EXPECT_EQ(COUNT * PAGE, bytes_read() - before);
	rig_tear_down(&rig);
}

/* Read by way of the page cache, blocks larger than pages may be there in part. */
TEST(blocks_that_are_cached_in_part_are_read)
{
	struct rig rig = { .dir = TEST_DIR "/ext4" };
	char page[PAGE];

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("ext4", "nodelalloc"));
	rig.file = full_file(rig.dir);
	rig.dev = test_create(rig.file, BLKFD_F_DIRECT, 0, 0, 4 * PAGE);
	if (rig.dev == -EINVAL)
		SKIP(return, "this kernel has no blocks larger than pages");
	ASSERT_LE(0, rig.dev);
	rig.direct = test_reopen(rig.dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, rig.direct);
	ASSERT_EQ(0, set_flag(rig.file, FS_JOURNAL_DATA_FL));
	ASSERT_EQ(0, test_drop_caches());
	ASSERT_EQ(0, posix_fadvise(rig.file, 0, 0, POSIX_FADV_RANDOM));
	ASSERT_EQ(PAGE, pread(rig.file, page, PAGE, 0));
	EXPECT_EQ(0, test_check_pattern(rig.direct, 0, 4 * PAGE, SEED));
	EXPECT_EQ(1, counts(rig.dev, NULL).worker_ios);
	rig_tear_down(&rig);
}

/* States of the task, into which a module puts it */

#define SENDER		"blkfd_sender"
#define SENDER_PATH	"selftests/modules/" SENDER ".ko"
#define ROOT_CGROUP	"/sys/fs/cgroup"
#define CGROUP		ROOT_CGROUP "/blkfd-inline"

FIXTURE(sender) {
	int dev;
};

FIXTURE_VARIANT(sender) {
	int how;
	bool in_cgroup;
};

FIXTURE_VARIANT_ADD(sender, plain) { .how = 0 };
FIXTURE_VARIANT_ADD(sender, in_a_transaction) { .how = 1 };
FIXTURE_VARIANT_ADD(sender, for_reclaim) { .how = 2 };
FIXTURE_VARIANT_ADD(sender, under_locks_of_file_systems) { .how = 3 };
FIXTURE_VARIANT_ADD(sender, deep_in_the_stack) { .how = 4 };
FIXTURE_VARIANT_ADD(sender, in_a_cgroup) { .how = 0, .in_cgroup = true };
FIXTURE_VARIANT_ADD(sender, for_another_cgroup) { .how = 5, .in_cgroup = true };

FIXTURE_SETUP(sender)
{
	if (variant->in_cgroup &&
	    test_write_text(ROOT_CGROUP "/cgroup.subtree_control", "+io"))
		SKIP(return, "no cgroup2 with an I/O controller");
	self->dev = test_create(test_memfd(SIZE), 0, 0, 0, 0);
	ASSERT_LE(0, self->dev);
}

FIXTURE_TEARDOWN(sender)
{
	close(self->dev);
}

/* One read of a page: 0, or -ENOENT if there is no such module. */
static int send_by_module(int dev, int how)
{
	char path[TEST_PATH_MAX], parameters[TEST_PATH_MAX + 32];
	int ret;

	test_fd_path(dev, path, sizeof(path));
	snprintf(parameters, sizeof(parameters), "device=%s how=%d", path, how);
	ret = test_module_load(SENDER_PATH, parameters);
	return ret ?: test_module_unload(SENDER);
}

TEST_F(sender, of_a_read_carries_it_out_if_it_may)
{
	struct blkfd_info info;
	int ret;

	if (variant->in_cgroup) {
		ASSERT_TRUE(!mkdir(CGROUP, 0755) || errno == EEXIST);
		ASSERT_EQ(0, test_write_text(CGROUP "/cgroup.procs", "0"));
	}
	ret = send_by_module(self->dev, variant->how);
	if (variant->in_cgroup) {
		ASSERT_EQ(0, test_write_text(ROOT_CGROUP "/cgroup.procs", "0"));
		EXPECT_EQ(0, rmdir(CGROUP));
	}
	if (ret == -ENOENT)
		SKIP(return, "without kernel headers no module was built");
	ASSERT_EQ(0, ret);
	info = counts(self->dev, NULL);
	EXPECT_EQ(variant->how ? 0 : 1, info.inline_ios);
	EXPECT_EQ(variant->how ? 1 : 0, info.worker_ios);
	EXPECT_EQ(0, info.would_block);
}

/* Uncached reads of a buffered device */

FIXTURE(uncached) {
	struct rig rig;
};

FIXTURE_SETUP(uncached)
{
	ASSERT_EQ(0, rig_set_up(&self->rig, "xfs", 0));
	ASSERT_EQ(0, posix_fadvise(self->rig.file, 0, 0, POSIX_FADV_RANDOM));
	ASSERT_EQ(0, test_drop_caches());
}

FIXTURE_TEARDOWN(uncached)
{
	rig_tear_down(&self->rig);
}

/* Pages so far apart that reading ahead does not bring them. */
static int read_far_pages(int fd, int count)
{
	int ret = 0;

	for (uint64_t i = 0; !ret && i < (uint64_t)count; i++)
		ret = test_check_pattern(fd, i * 37 % 128 * 65536, PAGE, SEED);
	return ret;
}

TEST_F(uncached, attempt_that_would_wait_ends_in_a_worker)
{
	struct blkfd_info info;

	ASSERT_EQ(0, read_far_pages(self->rig.direct, 1));
	info = counts(self->rig.dev, NULL);
	EXPECT_EQ(1, info.would_block);
	EXPECT_EQ(1, info.worker_ios);
	ASSERT_EQ(0, read_far_pages(self->rig.direct, 1));
	info = counts(self->rig.dev, &info);
	EXPECT_EQ(0, info.would_block);
	EXPECT_EQ(1, info.inline_ios);
}

TEST_F(uncached, attempts_get_fewer_while_all_would_wait)
{
	struct blkfd_info info;

	ASSERT_EQ(0, read_far_pages(self->rig.direct, 128));
	info = counts(self->rig.dev, NULL);
	EXPECT_EQ(128, info.worker_ios + info.inline_ios);
	EXPECT_LT(0, info.would_block);
	EXPECT_GT(32, info.would_block);
}

TEST_F(uncached, attempts_are_resumed_when_all_is_cached)
{
	struct blkfd_info info;

	ASSERT_EQ(0, read_far_pages(self->rig.direct, 128));
	info = counts(self->rig.dev, NULL);
	ASSERT_EQ(0, read_far_pages(self->rig.direct, 128));
	info = counts(self->rig.dev, &info);
	EXPECT_LT(128 - 32, info.inline_ios);
}

/* Of devices over each other */

FIXTURE(nested) {
	int bottom;
	int below;
	int file;
	int dev;
	int direct;
};

FIXTURE_SETUP(nested)
{
	char path[TEST_PATH_MAX];

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("xfs", NULL));
	self->bottom = test_tmpfile(TEST_DIR "/xfs", 512 * TEST_MIB);
	self->below = test_create(self->bottom, BLKFD_F_DIRECT, 0, 0, 0);
	ASSERT_LE(0, self->below);
	test_fd_path(self->below, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("xfs", path));
	ASSERT_EQ(0, mkdir(TEST_DIR "/nested", 0755));
	ASSERT_EQ(0, mount(path, TEST_DIR "/nested", "xfs", 0, NULL));
	self->file = full_file(TEST_DIR "/nested");
	ASSERT_LE(0, self->file);
	self->dev = test_create(self->file, BLKFD_F_DIRECT, 0, 0, 0);
	ASSERT_LE(0, self->dev);
	self->direct = test_reopen(self->dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);
}

FIXTURE_TEARDOWN(nested)
{
	close(self->direct);
	close(self->dev);
	close(self->file);
	umount(TEST_DIR "/nested");
	close(self->below);
	close(self->bottom);
	umount(TEST_DIR "/xfs");
}

/* Each level would add to the stack, and its locks to those of the first. */
TEST_F(nested, only_the_topmost_goes_inline)
{
	struct blkfd_info above = counts(self->dev, NULL);
	struct blkfd_info below = counts(self->below, NULL);

	ASSERT_EQ(0, read_pages(self->direct));
	above = counts(self->dev, &above);
	below = counts(self->below, &below);
	EXPECT_LE(COUNT - 4, above.inline_ios);
	EXPECT_EQ(0, below.inline_ios + below.would_block);
	EXPECT_LE(COUNT, below.worker_ios);
}

/* Nor does what workers send in their turn, who write back what is to be flushed. */
TEST_F(nested, flush_by_a_worker_above_takes_workers)
{
	int dev = test_create(self->file, 0, 0, 0, 0);
	struct blkfd_info below = counts(self->below, NULL);

	ASSERT_LE(0, dev);
	for (int i = 0; i < 8; i++) {
		ASSERT_EQ(0, write_pages(dev));
		ASSERT_EQ(0, futimens(self->bottom, NULL));
		ASSERT_EQ(0, fsync(dev));
	}
	below = counts(self->below, &below);
	EXPECT_EQ(0, below.inline_ios + below.would_block);
	EXPECT_LE(8 * COUNT, below.worker_ios);
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, SEED));
	close(dev);
}

/* What workers find when they can go on is one beside the other: a few calls do. */
TEST_F(nested, neighbours_take_one_call)
{
	static char buf[COUNT][PAGE] __attribute__((aligned(PAGE))), back[PAGE];
	struct blkfd_info above, below, after;
	struct io_uring ring;
	int result;

	ASSERT_EQ(0, io_uring_queue_init(COUNT, &ring, 0));
	above = counts(self->dev, NULL);
	ASSERT_EQ(0, freeze(TEST_DIR "/nested", FIFREEZE));
	below = counts(self->below, NULL);
	for (int i = 0; i < COUNT; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		memset(buf[i], i + 1, PAGE);
		io_uring_prep_write(sqe, self->direct, buf[i], PAGE, i * PAGE);
		io_uring_sqe_set_data64(sqe, i);
	}
	EXPECT_EQ(COUNT, io_uring_submit(&ring));
	EXPECT_EQ(0, freeze(TEST_DIR "/nested", FITHAW));
	for (int i = 0; i < COUNT; i++) {
		ASSERT_LE(0, next_result(&ring, &result));
		EXPECT_EQ(PAGE, result);
	}
	after = counts(self->below, NULL);
	above = counts(self->dev, &above);
	EXPECT_LE(COUNT, above.worker_ios);
	EXPECT_GT(COUNT / 2, after.writes - below.writes);
	for (int i = 0; i < COUNT; i++) {
		ASSERT_EQ(PAGE, pread(self->file, back, PAGE, i * PAGE));
		ASSERT_EQ(0, memcmp(buf[i], back, PAGE));
	}
	io_uring_queue_exit(&ring);
}

#define READS		8
#define FIRST_READ	12
#define FIRST_LOST	16

/*
 * As many writes as there are workers keep them while the file system is frozen,
 * so that the reads, of which the file has lost some, come to be one call.
 */
TEST_F(nested, of_neighbours_each_gets_its_own_error)
{
	static char buf[RING_KEEPERS + READS][PAGE] __attribute__((aligned(PAGE)));
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	int result, number;

	ASSERT_EQ(0, io_uring_queue_init(COUNT, &ring, 0));
	ASSERT_EQ(0, ftruncate(self->file, FIRST_LOST * PAGE));
	ASSERT_EQ(0, test_set_parameter("inline_io", "N"));
	ASSERT_EQ(0, freeze(TEST_DIR "/nested", FIFREEZE));
	for (int i = 0; i < RING_KEEPERS + READS; i++) {
		sqe = io_uring_get_sqe(&ring);
		if (i < RING_KEEPERS)
			io_uring_prep_write(sqe, self->direct, buf[i], PAGE,
					    2 * i * PAGE);
		else
			io_uring_prep_read(sqe, self->direct, buf[i], PAGE,
					   (FIRST_READ + i - RING_KEEPERS) * PAGE);
		io_uring_sqe_set_data64(sqe, i);
	}
	EXPECT_EQ(RING_KEEPERS + READS, io_uring_submit(&ring));
	EXPECT_FALSE(is_completed(&ring));
	EXPECT_EQ(0, freeze(TEST_DIR "/nested", FITHAW));
	for (int i = 0; i < RING_KEEPERS + READS; i++) {
		number = next_result(&ring, &result);
		ASSERT_LE(0, number);
		EXPECT_EQ(number < RING_KEEPERS + FIRST_LOST - FIRST_READ ?
			  PAGE : -EIO, result);
	}
	EXPECT_EQ(0, test_set_parameter("inline_io", "Y"));
	EXPECT_EQ(READS - (FIRST_LOST - FIRST_READ),
		  counts(self->dev, NULL).errors);
	for (int i = 0; i < FIRST_LOST - FIRST_READ; i++) {
		static char file[PAGE];

		ASSERT_EQ(PAGE, pread(self->file, file, PAGE,
				      (FIRST_READ + i) * PAGE));
		EXPECT_EQ(0, memcmp(buf[RING_KEEPERS + i], file, PAGE));
	}
	io_uring_queue_exit(&ring);
}

TEST_HARNESS_MAIN
