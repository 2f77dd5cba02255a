// SPDX-License-Identifier: GPL-2.0
/*
 * What goes through a device arrives in its backing file, and nowhere else:
 * every way of reading and writing over every kind of backing file, holes,
 * zeroes, durability, errors, accounting.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/quota.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "ring.h"
#include "servers/servers.h"
#include "testlib.h"

#define SIZE		(4 * TEST_MIB)
#define SEED		0x10
#define DEPTH		32
#define PAGE		4096

/* A backing file, a device over it, and the device opened again with O_DIRECT. */
struct rig {
	const char *kind;
	int file;
	int dev;
	int direct;
	unsigned int block;
	char *buf;
};

static bool is_disk(const char *kind)
{
	return !strcmp(kind, "disk") || !strcmp(kind, "ram");
}

static bool is_mounted(const char *kind)
{
	return !is_disk(kind) && strcmp(kind, "memfd") && strcmp(kind, "tmpfs");
}

/* What an earlier case left there holds no named file: it can be used again. */
static int scratch_dir(const char *fstype, char *dir, size_t size)
{
	snprintf(dir, size, TEST_DIR "/%s", fstype);
	if (mkdir(dir, 0755))
		return -errno;
	if (!mount(TEST_DISK, dir, fstype, 0, NULL))
		return 0;
	return test_scratch_mount(fstype, NULL);
}

/* kind: memfd, disk, ram (a RAM disk) or the name of a file system. */
static int backing_open(const char *kind, uint64_t size)
{
	char dir[64];
	int ret;

	if (!strcmp(kind, "memfd"))
		return test_memfd(size);
	if (!strcmp(kind, "tmpfs"))
		return test_tmpfile(TEST_DIR, size);
	if (!strcmp(kind, "ram") &&
	    test_command("modprobe", "brd", "rd_nr=1", "rd_size=65536"))
		return -ENODEV;
	if (is_disk(kind)) {
		ret = open(*kind == 'r' ? "/dev/ram0" : TEST_DISK,
			   O_RDWR | O_CLOEXEC);
		return ret < 0 ? -errno : ret;
	}
	ret = scratch_dir(kind, dir, sizeof(dir));
	return ret ? ret : test_tmpfile(dir, size);
}

static void rig_make(struct __test_metadata *_metadata, struct rig *rig,
		     const char *kind, uint32_t flags)
{
	rig->kind = kind;
	ASSERT_EQ(0, test_private_mounts());
	rig->file = backing_open(kind, SIZE);
	ASSERT_LE(0, rig->file)
		TH_LOG("backing %s: %s", kind, strerror(-rig->file));
	rig->dev = test_create(rig->file, flags, 0, SIZE, 0);
	ASSERT_LE(0, rig->dev)
		TH_LOG("device over %s: %s", kind, strerror(-rig->dev));
	rig->direct = test_reopen(rig->dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, rig->direct);
	ASSERT_EQ(0, ioctl(rig->dev, BLKSSZGET, &rig->block));
	rig->buf = mmap(NULL, SIZE + PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, rig->buf);
}

/* The scratch disk must be free again for the next case's mkfs. */
static void rig_drop(struct rig *rig)
{
	char dir[64];

	close(rig->direct);
	close(rig->dev);
	close(rig->file);
	if (is_mounted(rig->kind)) {
		snprintf(dir, sizeof(dir), TEST_DIR "/%s", rig->kind);
		umount(dir);
	}
}

static int drop_device_cache(int dev)
{
	return ioctl(dev, BLKFLSBUF) ? -errno : 0;
}

/* The pattern for all of the device, by the seed. */
static void fill(struct rig *rig, uint64_t seed)
{
	test_fill(rig->buf, SIZE, 0, seed);
}

/* Ways to read */

static int read_mapped(int fd, uint64_t seed)
{
	ssize_t bad;
	void *map;

	map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	bad = test_compare(map, SIZE, 0, seed);
	munmap(map, SIZE);
	return bad < 0 ? 0 : -EILSEQ;
}

/* How one io_uring job moves the pattern, in blocks of one size. */
struct uring_job {
	int fd;
	bool write;
	bool registered;
	uint64_t seed;
};

#define URING_BLOCK	(16 * TEST_KIB)

static alignas(PAGE) char uring_pool[DEPTH][URING_BLOCK];

static void uring_queue(struct io_uring *ring, const struct uring_job *job,
			unsigned int slot, uint64_t offset)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	char *buf = uring_pool[slot];

	if (job->write)
		test_fill(buf, URING_BLOCK, offset, job->seed);
	if (job->write && job->registered)
		io_uring_prep_write_fixed(sqe, job->fd, buf, URING_BLOCK, offset, slot);
	else if (job->write)
		io_uring_prep_write(sqe, job->fd, buf, URING_BLOCK, offset);
	else if (job->registered)
		io_uring_prep_read_fixed(sqe, job->fd, buf, URING_BLOCK, offset, slot);
	else
		io_uring_prep_read(sqe, job->fd, buf, URING_BLOCK, offset);
	io_uring_sqe_set_data64(sqe, offset / URING_BLOCK * DEPTH + slot);
}

/* Takes one completion, checks it and puts the slot to use again. */
static int uring_turn(struct io_uring *ring, const struct uring_job *job,
		      uint64_t *next)
{
	struct io_uring_cqe *cqe;
	unsigned int slot;
	uint64_t offset;
	int ret;

	ret = io_uring_submit_and_wait(ring, 1);
	if (ret < 0)
		return ret;
	ret = io_uring_wait_cqe(ring, &cqe);
	if (ret)
		return ret;
	slot = cqe->user_data % DEPTH;
	offset = cqe->user_data / DEPTH * URING_BLOCK;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	if (ret != (int)URING_BLOCK)
		return ret < 0 ? ret : -ENODATA;
	if (!job->write &&
	    test_compare(uring_pool[slot], URING_BLOCK, offset, job->seed) >= 0)
		return -EILSEQ;
	if (*next < SIZE) {
		uring_queue(ring, job, slot, *next);
		*next += URING_BLOCK;
	}
	return 0;
}

static int uring_register(struct io_uring *ring)
{
	struct iovec iov[DEPTH];

	for (unsigned int i = 0; i < DEPTH; i++) {
		iov[i].iov_base = uring_pool[i];
		iov[i].iov_len = URING_BLOCK;
	}
	return io_uring_register_buffers(ring, iov, DEPTH);
}

static int uring_run(const struct uring_job *job)
{
	struct io_uring ring;
	uint64_t next = 0;
	int ret;

	ret = io_uring_queue_init(DEPTH, &ring, 0);
	if (ret)
		return ret;
	if (job->registered)
		ret = uring_register(&ring);
	for (unsigned int slot = 0; !ret && slot < DEPTH; slot++) {
		uring_queue(&ring, job, slot, next);
		next += URING_BLOCK;
	}
	for (uint64_t done = 0; !ret && done < SIZE; done += URING_BLOCK)
		ret = uring_turn(&ring, job, &next);
	io_uring_queue_exit(&ring);
	return ret;
}

/* Pieces whose bounds are aligned to nothing, 4099 bytes in all. */
static const size_t odd_sizes[] = { 1, 511, 3, 2048, 7, 513, 1016 };

#define ODD_TOTAL	4099

static void odd_iovec(struct iovec *iov, char *buf)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(odd_sizes); i++) {
		iov[i].iov_base = buf;
		iov[i].iov_len = odd_sizes[i];
		buf += odd_sizes[i];
	}
}

/* The whole device in odd steps; write takes it from buf, read puts it there. */
static int move_odd(int fd, char *buf, bool write)
{
	struct iovec iov[ARRAY_SIZE(odd_sizes)];
	uint64_t offset = 0;

	while (offset + ODD_TOTAL <= SIZE) {
		ssize_t done;

		odd_iovec(iov, buf + offset);
		done = write ? pwritev(fd, iov, ARRAY_SIZE(iov), offset) :
			       preadv(fd, iov, ARRAY_SIZE(iov), offset);
		if (done != ODD_TOTAL)
			return done < 0 ? -errno : -ENODATA;
		offset += ODD_TOTAL;
	}
	if (write)
		return pwrite(fd, buf + offset, SIZE - offset, offset) < 0 ? -errno : 0;
	return pread(fd, buf + offset, SIZE - offset, offset) < 0 ? -errno : 0;
}

static int read_odd(struct rig *rig, uint64_t seed)
{
	int ret;

	memset(rig->buf, 0xee, SIZE);
	ret = move_odd(rig->dev, rig->buf, false);
	if (ret)
		return ret;
	return test_compare(rig->buf, SIZE, 0, seed) < 0 ? 0 : -EILSEQ;
}

/* The pattern is there, whoever reads it, and in the file. */
static void expect_everywhere(struct __test_metadata *_metadata,
			      struct rig *rig, uint64_t seed)
{
	struct uring_job job = { .fd = rig->direct, .seed = seed };

	ASSERT_EQ(0, fsync(rig->dev));
	EXPECT_EQ(0, test_check_pattern(rig->file, 0, SIZE, seed));
	EXPECT_EQ(0, test_check_pattern(rig->direct, 0, SIZE, seed));
	EXPECT_EQ(0, uring_run(&job));
	job.registered = true;
	EXPECT_EQ(0, uring_run(&job));
	ASSERT_EQ(0, drop_device_cache(rig->dev));
	EXPECT_EQ(0, test_check_pattern(rig->dev, 0, SIZE, seed));
	ASSERT_EQ(0, drop_device_cache(rig->dev));
	EXPECT_EQ(0, read_mapped(rig->dev, seed));
	ASSERT_EQ(0, drop_device_cache(rig->dev));
	EXPECT_EQ(0, read_odd(rig, seed));
}

FIXTURE(io) {
	struct rig rig;
};

FIXTURE_VARIANT(io) {
	const char *kind;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(io, memfd_buffered) { .kind = "memfd" };

FIXTURE_VARIANT_ADD(io, ram_disk_direct) {
	.kind = "ram", .flags = BLKFD_F_DIRECT
};

FIXTURE_VARIANT_ADD(io, xfs_buffered) { .kind = "xfs" };

FIXTURE_VARIANT_ADD(io, xfs_direct) {
	.kind = "xfs", .flags = BLKFD_F_DIRECT
};

FIXTURE_VARIANT_ADD(io, ext4_direct) {
	.kind = "ext4", .flags = BLKFD_F_DIRECT
};

FIXTURE_VARIANT_ADD(io, btrfs_buffered) { .kind = "btrfs" };

FIXTURE_VARIANT_ADD(io, disk_buffered) { .kind = "disk" };

FIXTURE_SETUP(io)
{
	rig_make(_metadata, &self->rig, variant->kind, variant->flags);
}

FIXTURE_TEARDOWN(io)
{
	rig_drop(&self->rig);
}

TEST_F(io, buffered_writes_are_seen_everywhere)
{
	ASSERT_EQ(0, test_write_pattern(self->rig.dev, 0, SIZE, SEED));
	expect_everywhere(_metadata, &self->rig, SEED);
}

TEST_F(io, direct_writes_are_seen_everywhere)
{
	ASSERT_EQ(0, test_write_pattern(self->rig.direct, 0, SIZE, SEED + 1));
	expect_everywhere(_metadata, &self->rig, SEED + 1);
}

TEST_F(io, mapped_writes_are_seen_everywhere)
{
	void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->rig.dev, 0);

	ASSERT_NE(MAP_FAILED, map);
	test_fill(map, SIZE, 0, SEED + 2);
	ASSERT_EQ(0, msync(map, SIZE, MS_SYNC));
	ASSERT_EQ(0, munmap(map, SIZE));
	expect_everywhere(_metadata, &self->rig, SEED + 2);
}

TEST_F(io, uring_writes_are_seen_everywhere)
{
	struct uring_job job = {
		.fd = self->rig.direct,
		.write = true,
		.seed = SEED + 3,
	};

	ASSERT_EQ(0, uring_run(&job));
	EXPECT_EQ(0, test_check_pattern(self->rig.file, 0, SIZE, SEED + 3));
	job.registered = true;
	job.seed = SEED + 4;
	ASSERT_EQ(0, uring_run(&job));
	expect_everywhere(_metadata, &self->rig, SEED + 4);
}

TEST_F(io, odd_vectors_are_seen_everywhere)
{
	fill(&self->rig, SEED + 5);
	ASSERT_EQ(0, move_odd(self->rig.dev, self->rig.buf, true));
	expect_everywhere(_metadata, &self->rig, SEED + 5);
}

/* One call for all of it: bios beyond every limit, their vectors mid-page. */
TEST_F(io, large_writes_from_mid_page_are_seen_everywhere)
{
	char *buf = self->rig.buf + 1536;

	test_fill(buf, SIZE, 0, SEED + 6);
	ASSERT_EQ(SIZE, pwrite(self->rig.direct, buf, SIZE, 0));
	expect_everywhere(_metadata, &self->rig, SEED + 6);
	memset(buf, 0, SIZE);
	ASSERT_EQ(SIZE, pread(self->rig.direct, buf, SIZE, 0));
	EXPECT_EQ(-1, test_compare(buf, SIZE, 0, SEED + 6));
}

/* Random mixture, against a model in memory */

#define MIX_STEPS	160
#define MIX_MAX		(256 * TEST_KIB)

enum mix_way { MIX_BUFFERED, MIX_DIRECT, MIX_ODD, MIX_MAPPED, MIX_WAYS };

struct mix {
	struct rig *rig;
	char *model;
	char *map;
	unsigned int state;
};

struct extent {
	uint64_t offset;
	size_t len;
};

static struct extent mix_extent(struct mix *mix, enum mix_way way)
{
	unsigned int unit = way == MIX_DIRECT ? mix->rig->block : 1;
	struct extent extent;

	if (way == MIX_ODD)
		extent.len = ODD_TOTAL;
	else
		extent.len = (1 + rand_r(&mix->state) % (MIX_MAX / unit)) * unit;
	extent.offset = rand_r(&mix->state) %
			((SIZE - extent.len) / unit + 1) * unit;
	return extent;
}

/* Direct I/O from each of the eight 512-byte offsets in a page. */
static char *mix_buffer(struct mix *mix)
{
	return mix->rig->buf + rand_r(&mix->state) % 8 * 512;
}

static ssize_t mix_move(struct mix *mix, enum mix_way way, bool write,
			char *buf, const struct extent *at)
{
	struct iovec iov[ARRAY_SIZE(odd_sizes)];
	int fd = way == MIX_DIRECT ? mix->rig->direct : mix->rig->dev;

	if (way == MIX_MAPPED) {
		if (write)
			memcpy(mix->map + at->offset, buf, at->len);
		else
			memcpy(buf, mix->map + at->offset, at->len);
		return at->len;
	}
	if (way == MIX_ODD) {
		odd_iovec(iov, buf);
		return write ? pwritev(fd, iov, ARRAY_SIZE(iov), at->offset) :
			       preadv(fd, iov, ARRAY_SIZE(iov), at->offset);
	}
	return write ? pwrite(fd, buf, at->len, at->offset) :
		       pread(fd, buf, at->len, at->offset);
}

static int mix_step(struct mix *mix)
{
	enum mix_way way = rand_r(&mix->state) % MIX_WAYS;
	bool write = rand_r(&mix->state) % 2;
	struct extent at = mix_extent(mix, way);
	char *buf = mix_buffer(mix);

	if (write)
		for (size_t i = 0; i < at.len; i++)
			buf[i] = mix->state + i * 31;
	if (mix_move(mix, way, write, buf, &at) != (ssize_t)at.len)
		return -errno;
	if (write)
		memcpy(mix->model + at.offset, buf, at.len);
	else if (memcmp(mix->model + at.offset, buf, at.len))
		return -EILSEQ;
	return 0;
}

TEST_F(io, random_mixture_matches_a_model)
{
	struct mix mix = { .rig = &self->rig, .state = 7 };

	mix.model = malloc(SIZE);
	ASSERT_NE(NULL, mix.model);
	test_fill(mix.model, SIZE, 0, SEED);
	ASSERT_EQ(0, test_write_pattern(self->rig.dev, 0, SIZE, SEED));
	mix.map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       self->rig.dev, 0);
	ASSERT_NE(MAP_FAILED, mix.map);
	for (int step = 0; step < MIX_STEPS; step++)
		ASSERT_EQ(0, mix_step(&mix));
	ASSERT_EQ(0, munmap(mix.map, SIZE));
	ASSERT_EQ(0, fsync(self->rig.dev));
	ASSERT_EQ(SIZE, pread(self->rig.file, self->rig.buf, SIZE, 0));
	EXPECT_EQ(0, memcmp(mix.model, self->rig.buf, SIZE));
}

TEST_F(io, ends_where_its_window_ends)
{
	struct rig *rig = &self->rig;
	uint64_t last = SIZE - rig->block;
	int past;

	test_fill(rig->buf, 2 * rig->block, last, SEED);
	EXPECT_EQ(rig->block, pwrite(rig->direct, rig->buf, rig->block, last));
	EXPECT_EQ(0, test_check_pattern(rig->dev, last, rig->block, SEED));
	EXPECT_EQ(rig->block, pread(rig->direct, rig->buf, 2 * rig->block, last));
	EXPECT_EQ(0, pread(rig->direct, rig->buf, rig->block, SIZE));
	EXPECT_EQ(0, pread(rig->dev, rig->buf, 1, SIZE));
	past = pwrite(rig->direct, rig->buf, rig->block, SIZE);
	EXPECT_EQ(-1, past);
	EXPECT_EQ(ENOSPC, errno);
	past = pwrite(rig->dev, rig->buf, 1, SIZE);
	EXPECT_EQ(-1, past);
	EXPECT_EQ(ENOSPC, errno);
}

/* From the page cache some would; direct ones are left to workers. */
TEST_F(io, nowait_reads_are_right_or_would_block)
{
	struct rig *rig = &self->rig;
	int fds[] = { rig->direct, rig->dev };

	ASSERT_EQ(0, test_write_pattern(rig->direct, 0, SIZE, SEED));
	for (unsigned int i = 0; i < 64; i++) {
		uint64_t offset = i * 64 * TEST_KIB;
		struct iovec iov = { .iov_base = rig->buf, .iov_len = 16384 };
		ssize_t got;

		got = preadv2(fds[i % 2], &iov, 1, offset, RWF_NOWAIT);
		if (i % 2 && got < 0) {
			EXPECT_EQ(EAGAIN, errno);
			continue;
		}
		if (i % 2 == 0)
			ASSERT_EQ((ssize_t)iov.iov_len, got);
		EXPECT_EQ(-1, test_compare(rig->buf, got & ~7, offset, SEED));
	}
}

TEST_F(io, fio_verifies)
{
	char name[64], path[32];

	test_fd_path(self->rig.dev, path, sizeof(path));
	snprintf(name, sizeof(name), "--filename=%s", path);
	EXPECT_EQ(0, test_command("fio", "--name=verify", name, "--rw=randrw",
				  "--ioengine=io_uring", "--direct=1",
				  "--iodepth=32", "--bsrange=4k-64k",
				  "--size=4m", "--verify=crc32c",
				  "--verify_fatal=1", "--randseed=1",
				  "--minimal"));
}

/* Accounting */

enum {
	STAT_READS = 0,
	STAT_READ_SECTORS = 2,
	STAT_WRITES = 4,
	STAT_WRITE_SECTORS = 6,
	STAT_DISCARDS = 11,
	STAT_FLUSHES = 15,
	STAT_FIELDS = 17,
};

static int read_stat(uint64_t id, uint64_t stat[STAT_FIELDS])
{
	char text[512], *at = text;

	if (test_attr(id, "stat", text, sizeof(text)) <= 0)
		return -ENOENT;
	for (int i = 0; i < STAT_FIELDS; i++)
		stat[i] = strtoull(at, &at, 10);
	return 0;
}

/* GET_INFO says what /sys/block/blkfdN/stat says. */
static void read_counts(struct __test_metadata *_metadata, int dev,
			struct blkfd_info *info)
{
	uint64_t stat[STAT_FIELDS];

	ASSERT_EQ(0, test_info(dev, info));
	ASSERT_EQ(0, read_stat(info->id, stat));
	EXPECT_EQ(stat[STAT_READS], info->reads);
	EXPECT_EQ(stat[STAT_READ_SECTORS], info->read_bytes / 512);
	EXPECT_EQ(stat[STAT_WRITES], info->writes);
	EXPECT_EQ(stat[STAT_WRITE_SECTORS], info->write_bytes / 512);
	EXPECT_EQ(stat[STAT_DISCARDS], info->discards);
	EXPECT_EQ(stat[STAT_FLUSHES], info->flushes);
}

TEST_F(io, counts_exactly_what_was_done)
{
	struct rig *rig = &self->rig;
	struct blkfd_info before, after;

	ASSERT_EQ(0, test_write_pattern(rig->direct, 0, SIZE, SEED));
	read_counts(_metadata, rig->dev, &before);
	for (int i = 0; i < 10; i++)
		ASSERT_EQ(PAGE, pread(rig->direct, rig->buf, PAGE, i * 3 * PAGE));
	for (int i = 0; i < 5; i++)
		ASSERT_EQ(2 * PAGE, pwrite(rig->direct, rig->buf, 2 * PAGE,
					   i * 5 * PAGE));
	ASSERT_EQ(0, fsync(rig->direct));
	read_counts(_metadata, rig->dev, &after);
	EXPECT_EQ(10, after.reads - before.reads);
	EXPECT_EQ(10 * PAGE, after.read_bytes - before.read_bytes);
	EXPECT_EQ(5, after.writes - before.writes);
	EXPECT_EQ(10 * PAGE, after.write_bytes - before.write_bytes);
	EXPECT_EQ(strcmp(rig->kind, "memfd") ? 1 : 0, after.flushes - before.flushes);
	EXPECT_EQ(before.errors, after.errors);
}

/* Holes and zeroes */

FIXTURE(io_holes) {
	struct rig rig;
};

FIXTURE_VARIANT(io_holes) {
	const char *kind;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(io_holes, memfd_buffered) { .kind = "memfd" };

FIXTURE_VARIANT_ADD(io_holes, tmpfs_buffered) { .kind = "tmpfs" };

FIXTURE_VARIANT_ADD(io_holes, xfs_buffered) { .kind = "xfs" };

FIXTURE_VARIANT_ADD(io_holes, xfs_direct) {
	.kind = "xfs", .flags = BLKFD_F_DIRECT
};

FIXTURE_VARIANT_ADD(io_holes, ext4_direct) {
	.kind = "ext4", .flags = BLKFD_F_DIRECT
};

FIXTURE_VARIANT_ADD(io_holes, btrfs_buffered) { .kind = "btrfs" };

#define HOLE_START	TEST_MIB
#define HOLE_LEN	TEST_MIB

FIXTURE_SETUP(io_holes)
{
	struct rig *rig = &self->rig;

	rig_make(_metadata, rig, variant->kind, variant->flags);
	ASSERT_EQ(0, test_write_pattern(rig->dev, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(rig->dev));
	ASSERT_EQ(0, fsync(rig->file));
}

FIXTURE_TEARDOWN(io_holes)
{
	rig_drop(&self->rig);
}

/* The range reads as zeroes by all ways, what is beside it as before. */
static void expect_zero_range(struct __test_metadata *_metadata,
			      struct rig *rig)
{
	int fds[] = { rig->dev, rig->direct, rig->file };
	uint64_t end = HOLE_START + HOLE_LEN;

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		EXPECT_EQ(0, test_check_pattern(fds[i], 0, HOLE_START, SEED));
		EXPECT_EQ(0, test_check_zero(fds[i], HOLE_START, HOLE_LEN));
		EXPECT_EQ(0, test_check_pattern(fds[i], end, SIZE - end, SEED));
	}
}

static uint64_t allocated(int file)
{
	struct stat st;

	fsync(file);
	return fstat(file, &st) ? 0 : st.st_blocks * 512ULL;
}

/* The blocks of the file's own extent tree count as well: not to the byte. */
#define TREE_MAX	(64 * TEST_KIB)

static void expect_kept(struct __test_metadata *_metadata, struct rig *rig,
			uint64_t before)
{
	uint64_t after = allocated(rig->file);

	EXPECT_LE(before, after + TREE_MAX);
	EXPECT_LE(after, before + TREE_MAX);
}

static void expect_punched(struct __test_metadata *_metadata, struct rig *rig,
			   uint64_t before)
{
	expect_kept(_metadata, rig, before - HOLE_LEN);
	EXPECT_EQ(HOLE_START, lseek(rig->file, 0, SEEK_HOLE));
	EXPECT_EQ(HOLE_START + HOLE_LEN,
		  lseek(rig->file, HOLE_START, SEEK_DATA));
	EXPECT_EQ(SIZE, lseek(rig->file, HOLE_START + HOLE_LEN, SEEK_HOLE));
	expect_zero_range(_metadata, rig);
}

static int range_ioctl(int dev, unsigned long request)
{
	uint64_t range[] = { HOLE_START, HOLE_LEN };

	return ioctl(dev, request, range) ? -errno : 0;
}

TEST_F(io_holes, discard_punches_a_hole)
{
	uint64_t before = allocated(self->rig.file);
	struct blkfd_info first, second;

	read_counts(_metadata, self->rig.dev, &first);
	ASSERT_EQ(0, range_ioctl(self->rig.dev, BLKDISCARD));
	read_counts(_metadata, self->rig.dev, &second);
	EXPECT_LT(first.discards, second.discards);
	EXPECT_EQ(first.errors, second.errors);
	expect_punched(_metadata, &self->rig, before);
}

TEST_F(io_holes, fallocate_punch_punches_a_hole)
{
	uint64_t before = allocated(self->rig.file);

	ASSERT_EQ(0, fallocate(self->rig.dev,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       HOLE_START, HOLE_LEN));
	expect_punched(_metadata, &self->rig, before);
}

TEST_F(io_holes, zeroout_keeps_the_space)
{
	uint64_t before = allocated(self->rig.file);

	ASSERT_EQ(0, range_ioctl(self->rig.dev, BLKZEROOUT));
	expect_zero_range(_metadata, &self->rig);
	expect_kept(_metadata, &self->rig, before);
}

TEST_F(io_holes, fallocate_zero_range_keeps_the_space)
{
	uint64_t before = allocated(self->rig.file);

	ASSERT_EQ(0, fallocate(self->rig.dev, FALLOC_FL_ZERO_RANGE, HOLE_START,
			       HOLE_LEN));
	expect_zero_range(_metadata, &self->rig);
	expect_kept(_metadata, &self->rig, before);
}

TEST_F(io_holes, a_hole_takes_new_data)
{
	struct rig *rig = &self->rig;

	ASSERT_EQ(0, range_ioctl(rig->dev, BLKDISCARD));
	ASSERT_EQ(0, test_write_pattern(rig->direct, HOLE_START, HOLE_LEN, SEED));
	EXPECT_EQ(0, test_check_pattern(rig->dev, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(rig->dev));
	EXPECT_EQ(0, test_check_pattern(rig->file, 0, SIZE, SEED));
}

TEST_F(io_holes, nodiscard_refuses_to_discard)
{
	struct rig *rig = &self->rig;
	uint64_t before = allocated(rig->file);
	int dev;

	dev = test_create(rig->file, variant->flags | BLKFD_F_NODISCARD, 0, 0, 0);
	ASSERT_LE(0, dev);
	EXPECT_EQ(-EOPNOTSUPP, range_ioctl(dev, BLKDISCARD));
	EXPECT_EQ(0, test_check_pattern(dev, 0, SIZE, SEED));
	expect_kept(_metadata, rig, before);
	close(dev);
}

TEST(zeroes_that_a_file_never_takes_are_not_offered_twice)
{
	const char *attr = "queue/write_zeroes_max_bytes";
	int file = test_memfd(SIZE), dev;

	dev = test_create(file, BLKFD_F_NODISCARD, 0, 0, 0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, test_write_pattern(dev, 0, SIZE, SEED));
	EXPECT_LT(0, test_attr_number(test_id(dev), attr));
	ASSERT_EQ(0, range_ioctl(dev, BLKZEROOUT));
	EXPECT_EQ(0, test_attr_number(test_id(dev), attr));
	EXPECT_EQ(0, test_check_zero(dev, HOLE_START, HOLE_LEN));
	close(dev);
	close(file);
}

/* Windows */

FIXTURE(io_windows) {
	struct rig rig;
	int window[3];
};

FIXTURE_VARIANT(io_windows) {
	const char *kind;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(io_windows, tmpfs_buffered) { .kind = "tmpfs" };

FIXTURE_VARIANT_ADD(io_windows, xfs_direct) {
	.kind = "xfs", .flags = BLKFD_F_DIRECT
};

FIXTURE_VARIANT_ADD(io_windows, disk_buffered) { .kind = "disk" };

/* Guard, window, window, guard, window, guard: none on a page's bound. */
#define GUARD		1536ULL
#define WINDOW		(TEST_MIB + 512)

static const uint64_t window_start[] = {
	GUARD, GUARD + WINDOW, 2 * (GUARD + WINDOW)
};

FIXTURE_SETUP(io_windows)
{
	struct rig *rig = &self->rig;

	rig_make(_metadata, rig, variant->kind, variant->flags);
	ASSERT_EQ(0, test_write_pattern(rig->direct, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(rig->direct));
	for (int i = 0; i < 3; i++) {
		self->window[i] = test_create(rig->file, variant->flags,
					      window_start[i], WINDOW, 512);
		ASSERT_LE(0, self->window[i]);
	}
}

FIXTURE_TEARDOWN(io_windows)
{
	for (int i = 0; i < 3; i++)
		close(self->window[i]);
	rig_drop(&self->rig);
}

/* Reads all of the file and compares the parts by whose they are. */
static void expect_windows(struct __test_metadata *_metadata, struct rig *rig)
{
	uint64_t end = window_start[2] + WINDOW;
	char *buf = rig->buf;

	ASSERT_EQ(SIZE, pread(rig->file, buf, SIZE, 0));
	EXPECT_EQ(-1, test_compare(buf, GUARD, 0, SEED));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(-1, test_compare(buf + window_start[i], WINDOW, 0,
					   SEED + 1 + i));
	EXPECT_EQ(-1, test_compare(buf + window_start[1] + WINDOW, GUARD,
				   window_start[1] + WINDOW, SEED));
	EXPECT_EQ(-1, test_compare(buf + end, SIZE - end, end, SEED));
}

TEST_F(io_windows, buffered_writes_stay_inside)
{
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, test_write_pattern(self->window[i], 0, WINDOW,
						SEED + 1 + i));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, fsync(self->window[i]));
	expect_windows(_metadata, &self->rig);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, drop_device_cache(self->window[i]));
		EXPECT_EQ(0, test_check_pattern(self->window[i], 0, WINDOW,
						SEED + 1 + i));
	}
}

TEST_F(io_windows, direct_writes_stay_inside)
{
	for (int i = 0; i < 3; i++) {
		int direct = test_reopen(self->window[i], O_RDWR | O_DIRECT);

		ASSERT_LE(0, direct);
		ASSERT_EQ(0, test_write_pattern(direct, 0, WINDOW, SEED + 1 + i));
		EXPECT_EQ(0, test_check_pattern(direct, 0, WINDOW, SEED + 1 + i));
		close(direct);
	}
	expect_windows(_metadata, &self->rig);
}

TEST_F(io_windows, zeroing_all_of_one_stays_inside)
{
	uint64_t range[] = { 0, WINDOW };
	char *buf = self->rig.buf;
	uint64_t end = window_start[1] + WINDOW;

	ASSERT_EQ(0, ioctl(self->window[1], BLKZEROOUT, range));
	ASSERT_EQ(0, fsync(self->window[1]));
	ASSERT_EQ(SIZE, pread(self->rig.file, buf, SIZE, 0));
	EXPECT_EQ(-1, test_compare(buf, window_start[1], 0, SEED));
	EXPECT_EQ(0, test_check_zero(self->rig.file, window_start[1], WINDOW));
	EXPECT_EQ(-1, test_compare(buf + end, SIZE - end, end, SEED));
}

TEST_F(io_windows, discarding_all_of_one_stays_inside)
{
	uint64_t range[] = { 0, WINDOW };
	uint64_t end = window_start[1] + WINDOW;
	char *buf = self->rig.buf;

	ASSERT_EQ(0, ioctl(self->window[1], BLKDISCARD, range));
	ASSERT_EQ(SIZE, pread(self->rig.file, buf, SIZE, 0));
	EXPECT_EQ(-1, test_compare(buf, window_start[1], 0, SEED));
	EXPECT_EQ(-1, test_compare(buf + end, SIZE - end, end, SEED));
}

/* Durability: extents that the lower xfs has not given blocks yet are told. */

FIXTURE(io_durable) {
	struct rig rig;
};

FIXTURE_SETUP(io_durable)
{
	rig_make(_metadata, &self->rig, "xfs", 0);
	fill(&self->rig, SEED);
}

FIXTURE_TEARDOWN(io_durable)
{
	rig_drop(&self->rig);
}

/* How many of the file's extents there exist in memory alone; -errno. */
static int count_delayed_in(int file, uint64_t start, uint64_t len)
{
	union {
		struct fiemap map;
		char space[sizeof(struct fiemap) +
			   32 * sizeof(struct fiemap_extent)];
	} arg = {
		.map = {
			.fm_start = start,
			.fm_length = len,
			.fm_extent_count = 32,
		},
	};
	int count = 0;

	if (ioctl(file, FS_IOC_FIEMAP, &arg.map))
		return -errno;
	for (unsigned int i = 0; i < arg.map.fm_mapped_extents; i++)
		count += !!(arg.map.fm_extents[i].fe_flags & FIEMAP_EXTENT_DELALLOC);
	return count;
}

static int count_delayed(int file)
{
	return count_delayed_in(file, 0, SIZE);
}

TEST_F(io_durable, fsync_reaches_the_file)
{
	struct rig *rig = &self->rig;

	ASSERT_EQ(SIZE, pwrite(rig->direct, rig->buf, SIZE, 0));
	ASSERT_LT(0, count_delayed(rig->file));
	ASSERT_EQ(0, fsync(rig->dev));
	EXPECT_EQ(0, count_delayed(rig->file));
}

/* From the beginning of the window to where it ends by now. */
TEST_F(io_durable, fsync_reaches_all_of_a_window_that_has_grown)
{
	struct blkfd_resize to_the_end = { };
	struct rig *rig = &self->rig;
	int dev, direct;

	dev = test_create(rig->file, 0, 3 * TEST_MIB, PAGE, 0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, ioctl(dev, BLKFD_RESIZE, &to_the_end));
	direct = test_reopen(dev, O_RDWR | O_DIRECT);
	ASSERT_EQ(TEST_MIB, pwrite(direct, rig->buf, TEST_MIB, 0));
	ASSERT_LT(0, count_delayed(rig->file));
	ASSERT_EQ(0, fsync(dev));
	EXPECT_EQ(0, count_delayed(rig->file));
	close(direct);
	close(dev);
}

/* All that is written there is, whoever writes it. */
TEST_F(io_durable, write_reaches_a_file_that_was_opened_for_such)
{
	struct rig *rig = &self->rig;
	int file = test_reopen(rig->file, O_RDWR | O_DSYNC), dev, direct;

	dev = test_create(file, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	direct = test_reopen(dev, O_RDWR | O_DIRECT);
	ASSERT_EQ(TEST_MIB, pwrite(direct, rig->buf, TEST_MIB, 0));
	EXPECT_EQ(0, count_delayed(rig->file));
	EXPECT_EQ(0, test_check_pattern(rig->file, 0, TEST_MIB, SEED));
	close(direct);
	close(dev);
	close(file);
}

TEST_F(io_durable, fdatasync_reaches_the_file)
{
	struct rig *rig = &self->rig;

	ASSERT_EQ(SIZE, pwrite(rig->dev, rig->buf, SIZE, 0));
	ASSERT_EQ(0, fdatasync(rig->dev));
	EXPECT_EQ(0, count_delayed(rig->file));
	EXPECT_EQ(0, test_check_pattern(rig->file, 0, SIZE, SEED));
}

TEST_F(io_durable, dsync_write_reaches_the_file)
{
	struct rig *rig = &self->rig;
	struct iovec iov = { .iov_base = rig->buf, .iov_len = TEST_MIB };

	ASSERT_EQ(TEST_MIB, pwritev2(rig->direct, &iov, 1, 0, RWF_DSYNC));
	EXPECT_EQ(0, count_delayed(rig->file));
	EXPECT_EQ(0, test_check_pattern(rig->file, 0, TEST_MIB, SEED));
}

TEST_F(io_durable, o_sync_write_reaches_the_file)
{
	struct rig *rig = &self->rig;
	int fd = test_reopen(rig->dev, O_RDWR | O_SYNC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(TEST_MIB, pwrite(fd, rig->buf, TEST_MIB, 0));
	EXPECT_EQ(0, count_delayed(rig->file));
	EXPECT_EQ(0, test_check_pattern(rig->file, 0, TEST_MIB, SEED));
	close(fd);
}

TEST_F(io_durable, device_has_a_volatile_cache_and_fua)
{
	uint64_t id = test_id(self->rig.dev);
	char value[32];

	ASSERT_LT(0, test_attr(id, "queue/write_cache", value, sizeof(value)));
	EXPECT_STREQ("write back", value);
	EXPECT_EQ(1, test_attr_number(id, "queue/fua"));
}

TEST(memfd_has_nothing_to_flush)
{
	int file = test_memfd(SIZE), dev = test_create(file, 0, 0, 0, 0);
	struct blkfd_info info;
	char value[32];

	ASSERT_EQ(0, test_info(dev, &info));
	ASSERT_LT(0, test_attr(info.id, "queue/write_cache", value, sizeof(value)));
	EXPECT_STREQ("write through", value);
	ASSERT_EQ(0, test_write_pattern(dev, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(dev));
	ASSERT_EQ(0, test_info(dev, &info));
	EXPECT_EQ(0, info.flushes);
	EXPECT_EQ(0, test_check_pattern(file, 0, SIZE, SEED));
	close(dev);
	close(file);
}

/* Full lower file systems */

FIXTURE(io_full) {
	int file;
	int dev;
	int direct;
	char *buf;
};

FIXTURE_VARIANT(io_full) {
	const char *fstype;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(io_full, tmpfs_buffered) { .fstype = "tmpfs" };

FIXTURE_VARIANT_ADD(io_full, ext4_buffered) { .fstype = "ext4" };

FIXTURE_VARIANT_ADD(io_full, ext4_direct) {
	.fstype = "ext4", .flags = BLKFD_F_DIRECT
};

FIXTURE_VARIANT_ADD(io_full, xfs_buffered) { .fstype = "xfs" };

FIXTURE_VARIANT_ADD(io_full, overlay_buffered) { .fstype = "overlay" };

#define FULL_DIR	TEST_DIR "/full"
#define FULL_SIZE	(32 * TEST_MIB)
#define FULL_KEPT	TEST_MIB
#define FULL_FREE	(16 * TEST_MIB)

/* The smallest xfs that there can be, all but a little of it in use. */
static int mount_full_xfs(void)
{
	struct statvfs st;
	int fd, ret;

	if (test_command("mkfs.xfs", "-q", "-f", "-d", "size=320m", TEST_DISK))
		return -EIO;
	if (mount(TEST_DISK, FULL_DIR, "xfs", 0, NULL) || statvfs(FULL_DIR, &st))
		return -errno;
	fd = test_file(FULL_DIR "/rest", 0, 0);
	ret = fallocate(fd, 0, 0, st.f_bavail * st.f_frsize - FULL_FREE);
	close(fd);
	return ret ? -errno : 0;
}

/* Of what is mounted there, in its place. */
static int mount_full_overlay(void)
{
	if (mkdir(FULL_DIR "/lower", 0755) || mkdir(FULL_DIR "/upper", 0755) ||
	    mkdir(FULL_DIR "/work", 0755) ||
	    mount("overlay", FULL_DIR, "overlay", 0, "lowerdir=" FULL_DIR "/lower,"
		  "upperdir=" FULL_DIR "/upper,workdir=" FULL_DIR "/work"))
		return -errno;
	return 0;
}

static int mount_small(const char *fstype)
{
	if (mkdir(FULL_DIR, 0755))
		return -errno;
	if (!strcmp(fstype, "tmpfs"))
		return mount("small", FULL_DIR, "tmpfs", 0, "size=8m") ? -errno : 0;
	if (!strcmp(fstype, "xfs"))
		return mount_full_xfs();
	if (test_command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0",
			 TEST_DISK, "16M"))
		return -EIO;
	if (mount(TEST_DISK, FULL_DIR, "ext4", 0, NULL))
		return -errno;
	return strcmp(fstype, "overlay") ? 0 : mount_full_overlay();
}

FIXTURE_SETUP(io_full)
{
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mount_small(variant->fstype));
	self->file = test_tmpfile(FULL_DIR, FULL_SIZE);
	ASSERT_LE(0, self->file);
	self->dev = test_create(self->file, variant->flags, 0, 0, 0);
	ASSERT_LE(0, self->dev);
	self->direct = test_reopen(self->dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);
	self->buf = mmap(NULL, FULL_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->buf);
	ASSERT_EQ(0, test_write_pattern(self->dev, 0, FULL_KEPT, SEED));
	ASSERT_EQ(0, fsync(self->dev));
}

FIXTURE_TEARDOWN(io_full)
{
	close(self->direct);
	close(self->dev);
	close(self->file);
	while (!umount(FULL_DIR))
		;
}

/* Direct writes in steps until one fails: its errno; 0 if none does. */
static int fill_direct(int fd, char *buf, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to; at += 64 * TEST_KIB)
		if (pwrite(fd, buf, 64 * TEST_KIB, at) < 0)
			return errno;
	return 0;
}

TEST_F(io_full, direct_write_fails_with_enospc)
{
	uint64_t errors;
	struct blkfd_info info;

	ASSERT_EQ(0, test_info(self->dev, &info));
	errors = info.errors;
	memset(self->buf, 0x5a, FULL_SIZE);
	EXPECT_EQ(ENOSPC, fill_direct(self->direct, self->buf, FULL_KEPT,
				      FULL_SIZE));
	ASSERT_EQ(0, test_info(self->dev, &info));
	EXPECT_LT(errors, info.errors);
	EXPECT_EQ(0, test_check_pattern(self->direct, 0, FULL_KEPT, SEED));
}

/*
 * The page cache of block devices knows one error on the way back, EIO; what
 * matters is that fsync does not succeed.
 */
TEST_F(io_full, buffered_write_fails_at_fsync)
{
	memset(self->buf, 0x5a, FULL_SIZE);
	ASSERT_EQ(FULL_SIZE - FULL_KEPT,
		  pwrite(self->dev, self->buf, FULL_SIZE - FULL_KEPT, FULL_KEPT));
	EXPECT_EQ(-1, fsync(self->dev));
	EXPECT_TRUE(errno == ENOSPC || errno == EIO);
	ASSERT_EQ(0, drop_device_cache(self->dev));
	EXPECT_EQ(0, test_check_pattern(self->dev, 0, FULL_KEPT, SEED));
	EXPECT_EQ(0, test_check_pattern(self->file, 0, FULL_KEPT, SEED));
}

/* Closing the device tells nobody. In fsync() tmpfs does not look what was lost. */
TEST_F(io_full, file_tells_of_what_closing_the_device_lost)
{
	bool tmpfs = !strcmp(variant->fstype, "tmpfs");

	memset(self->buf, 0x5a, FULL_SIZE);
	ASSERT_EQ(FULL_SIZE - FULL_KEPT,
		  pwrite(self->dev, self->buf, FULL_SIZE - FULL_KEPT, FULL_KEPT));
	close(self->direct);
	close(self->dev);
	self->direct = -1;
	self->dev = -1;
	EXPECT_EQ(-1, tmpfs ? sync_file_range(self->file, 0, 0,
					      SYNC_FILE_RANGE_WRITE_AND_WAIT) :
			      fsync(self->file));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, fsync(self->file));
}

/* What a file system keeps for root */

#define NOBODY		65534
#define RESERVE_FS	"64M"
#define RESERVE_SIZE	(44 * TEST_MIB)

FIXTURE(io_reserve) {
	int file;
	int dev;
	int direct;
	char *buf;
};

FIXTURE_VARIANT(io_reserve) {
	uid_t creator;
	int error;
};

FIXTURE_VARIANT_ADD(io_reserve, device_of_root) { .creator = 0, .error = 0 };

FIXTURE_VARIANT_ADD(io_reserve, device_of_nobody) {
	.creator = NOBODY, .error = ENOSPC
};

FIXTURE_SETUP(io_reserve)
{
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_command("mkfs.ext4", "-q", "-F", "-m", "50", "-E",
				  "lazy_itable_init=0", TEST_DISK, RESERVE_FS));
	ASSERT_EQ(0, mkdir(FULL_DIR, 0755));
	ASSERT_EQ(0, mount(TEST_DISK, FULL_DIR, "ext4", 0, NULL));
	self->file = test_tmpfile(FULL_DIR, RESERVE_SIZE);
	ASSERT_LE(0, self->file);
	self->dev = test_create_as(variant->creator, self->file);
	ASSERT_LE(0, self->dev);
	self->direct = test_reopen(self->dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);
	self->buf = mmap(NULL, RESERVE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->buf);
}

FIXTURE_TEARDOWN(io_reserve)
{
	close(self->direct);
	close(self->dev);
	close(self->file);
	umount(FULL_DIR);
}

TEST_F(io_reserve, is_for_whom_it_would_be_without_the_device)
{
	memset(self->buf, 0x5a, RESERVE_SIZE);
	EXPECT_EQ(variant->error, fill_direct(self->direct, self->buf, 0,
					      RESERVE_SIZE));
}

/* What a user's quota, of the file's owner, does not hold is as a full disk. */

#define QUOTA_OWNER	61000
#define QUOTA_BYTES	(2 * TEST_MIB)

static int limit_owner(void)
{
	struct fs_disk_quota quota = {
		.d_version = FS_DQUOT_VERSION,
		.d_flags = FS_USER_QUOTA,
		.d_fieldmask = FS_DQ_BHARD,
		.d_id = QUOTA_OWNER,
		.d_blk_hardlimit = QUOTA_BYTES / 512,
	};

	return syscall(SYS_quotactl, QCMD(Q_XSETQLIM, USRQUOTA), TEST_DISK,
		       QUOTA_OWNER, &quota) ? -errno : 0;
}

TEST(beyond_a_quota_there_is_no_space)
{
	static alignas(PAGE) char buf[64 * TEST_KIB];
	int file, plain, dev, direct;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("xfs", "uquota"));
	ASSERT_EQ(0, limit_owner());
	plain = test_tmpfile(TEST_DIR "/xfs", SIZE);
	ASSERT_EQ(0, fchown(plain, QUOTA_OWNER, QUOTA_OWNER));
	EXPECT_EQ(EDQUOT, fill_direct(plain, buf, 0, SIZE));
	ASSERT_EQ(0, close(plain));
	file = test_tmpfile(TEST_DIR "/xfs", SIZE);
	ASSERT_EQ(0, fchown(file, QUOTA_OWNER, QUOTA_OWNER));
	dev = test_create(file, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	direct = test_reopen(dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, direct);
	EXPECT_EQ(ENOSPC, fill_direct(direct, buf, 0, SIZE));
	close(direct);
	close(dev);
	close(file);
	ASSERT_EQ(0, umount(TEST_DIR "/xfs"));
}

/* Files that became shorter */

FIXTURE(io_truncated) {
	struct rig rig;
};

FIXTURE_VARIANT(io_truncated) {
	const char *kind;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(io_truncated, tmpfs_buffered) { .kind = "tmpfs" };

FIXTURE_VARIANT_ADD(io_truncated, xfs_buffered) { .kind = "xfs" };

FIXTURE_VARIANT_ADD(io_truncated, xfs_direct) {
	.kind = "xfs", .flags = BLKFD_F_DIRECT
};

FIXTURE_VARIANT_ADD(io_truncated, ext4_direct) {
	.kind = "ext4", .flags = BLKFD_F_DIRECT
};

FIXTURE_VARIANT_ADD(io_truncated, btrfs_buffered) { .kind = "btrfs" };

#define CUT		(2 * TEST_MIB)

FIXTURE_SETUP(io_truncated)
{
	struct rig *rig = &self->rig;

	rig_make(_metadata, rig, variant->kind, variant->flags);
	ASSERT_EQ(0, test_write_pattern(rig->dev, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(rig->dev));
	ASSERT_EQ(0, drop_device_cache(rig->dev));
}

FIXTURE_TEARDOWN(io_truncated)
{
	rig_drop(&self->rig);
}

static int read_errno(int fd, char *buf, size_t len, uint64_t offset)
{
	return pread(fd, buf, len, offset) < 0 ? errno : 0;
}

TEST_F(io_truncated, reads_beyond_the_end_fail)
{
	struct rig *rig = &self->rig;
	struct blkfd_info before, after;

	ASSERT_EQ(0, ftruncate(rig->file, CUT));
	ASSERT_EQ(0, test_info(rig->dev, &before));
	EXPECT_EQ(EIO, read_errno(rig->direct, rig->buf, PAGE, CUT));
	EXPECT_EQ(EIO, read_errno(rig->direct, rig->buf, PAGE, SIZE - PAGE));
	EXPECT_EQ(EIO, read_errno(rig->dev, rig->buf, PAGE, CUT + TEST_MIB));
	EXPECT_EQ(EIO, read_errno(rig->dev, rig->buf, 100, SIZE - 100));
	ASSERT_EQ(0, test_info(rig->dev, &after));
	EXPECT_LE(before.errors + 4, after.errors);
	EXPECT_LE(before.reads + 4, after.reads);
}

TEST_F(io_truncated, reads_across_the_end_fail)
{
	struct rig *rig = &self->rig;

	ASSERT_EQ(0, ftruncate(rig->file, CUT + 100));
	EXPECT_EQ(EIO, read_errno(rig->direct, rig->buf, 2 * PAGE, CUT - PAGE));
	EXPECT_EQ(EIO, read_errno(rig->direct, rig->buf, rig->block, CUT));
	EXPECT_EQ(EIO, read_errno(rig->dev, rig->buf, 200, CUT));
	EXPECT_EQ(0, test_check_pattern(rig->direct, 0, CUT, SEED));
	EXPECT_EQ(0, test_check_pattern(rig->dev, 0, CUT, SEED));
}

TEST_F(io_truncated, works_again_when_the_file_has_grown)
{
	struct rig *rig = &self->rig;

	ASSERT_EQ(0, ftruncate(rig->file, CUT));
	EXPECT_EQ(EIO, read_errno(rig->dev, rig->buf, PAGE, CUT));
	ASSERT_EQ(0, ftruncate(rig->file, SIZE));
	EXPECT_EQ(0, test_check_zero(rig->direct, CUT, SIZE - CUT));
	ASSERT_EQ(0, test_write_pattern(rig->dev, CUT, SIZE - CUT, SEED));
	ASSERT_EQ(0, fsync(rig->dev));
	EXPECT_EQ(0, test_check_pattern(rig->direct, 0, SIZE, SEED));
	EXPECT_EQ(0, test_check_pattern(rig->file, 0, SIZE, SEED));
}

/* How a range comes to be zeroes, or is said to be of no use. */

static int zero_by_zeroout(int dev, uint64_t offset, uint64_t len)
{
	uint64_t range[] = { offset, len };

	return ioctl(dev, BLKZEROOUT, range) ? -errno : 0;
}

static int zero_by_punching(int dev, uint64_t offset, uint64_t len)
{
	return fallocate(dev, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len) ?
	       -errno : 0;
}

static int zero_by_range(int dev, uint64_t offset, uint64_t len)
{
	return fallocate(dev, FALLOC_FL_ZERO_RANGE, offset, len) ? -errno : 0;
}

static int discard(int dev, uint64_t offset, uint64_t len)
{
	uint64_t range[] = { offset, len };

	return ioctl(dev, BLKDISCARD, range) ? -errno : 0;
}

static uint64_t file_size(int file)
{
	struct stat stat = {};

	return fstat(file, &stat) ? UINT64_MAX : (uint64_t)stat.st_size;
}

#define ZERO_LEN	(64 * TEST_KIB)

static int (*const zero_ways[])(int dev, uint64_t offset, uint64_t len) = {
	zero_by_zeroout, zero_by_punching, zero_by_range,
};

TEST_F(io_truncated, zeroes_beyond_the_end_make_the_file_longer)
{
	const uint64_t start = CUT + TEST_MIB, end = start + ZERO_LEN;
	struct rig *rig = &self->rig;

	for (size_t i = 0; i < ARRAY_SIZE(zero_ways); i++) {
		ASSERT_EQ(0, ftruncate(rig->file, CUT + 100));
		EXPECT_EQ(0, zero_ways[i](rig->dev, start, ZERO_LEN));
		EXPECT_EQ(end, file_size(rig->file));
		EXPECT_EQ(0, test_check_zero(rig->direct, start, ZERO_LEN));
		EXPECT_EQ(0, test_check_zero(rig->direct, CUT + PAGE, TEST_MIB));
		EXPECT_EQ(EIO, read_errno(rig->direct, rig->buf, PAGE, end));
	}
	EXPECT_EQ(0, test_check_pattern(rig->direct, 0, CUT, SEED));
}

TEST_F(io_truncated, zeroes_across_the_end_make_the_file_longer)
{
	const uint64_t start = CUT - PAGE, end = start + ZERO_LEN;
	struct rig *rig = &self->rig;

	for (size_t i = 0; i < ARRAY_SIZE(zero_ways); i++) {
		ASSERT_EQ(0, ftruncate(rig->file, CUT + 100));
		ASSERT_EQ(0, test_write_pattern(rig->file, start, PAGE, SEED));
		EXPECT_EQ(0, zero_ways[i](rig->dev, start, ZERO_LEN));
		EXPECT_EQ(end, file_size(rig->file));
		EXPECT_EQ(0, test_check_zero(rig->direct, start, ZERO_LEN));
	}
	EXPECT_EQ(0, test_check_pattern(rig->direct, 0, start, SEED));
}

TEST_F(io_truncated, discards_beyond_the_end_leave_the_file_as_it_is)
{
	struct rig *rig = &self->rig;

	ASSERT_EQ(0, ftruncate(rig->file, CUT));
	EXPECT_EQ(0, discard(rig->dev, CUT + TEST_MIB, ZERO_LEN));
	EXPECT_EQ(CUT, file_size(rig->file));
	EXPECT_EQ(EIO, read_errno(rig->direct, rig->buf, PAGE, CUT + TEST_MIB));
	EXPECT_EQ(0, test_check_pattern(rig->direct, 0, CUT, SEED));
}

/* Errors of the disk below */

#define DM_NAME		"blkfd-io"
#define DM_PATH		"/dev/mapper/" DM_NAME
#define DM_SIZE		(64 * TEST_MIB)

FIXTURE(io_errors) {
	int file;
	int dev;
	int direct;
	char *buf;
};

/* A table over the scratch disk in which this range fails; none if len is 0. */
static void error_table(char *table, size_t size, uint64_t start, uint64_t len)
{
	unsigned long long from = start / 512, count = len / 512;
	unsigned long long end = from + count, total = DM_SIZE / 512;
	int used = 0;

	if (from)
		used = snprintf(table, size, "0 %llu linear %s 0\n", from, TEST_DISK);
	if (count)
		used += snprintf(table + used, size - used, "%llu %llu error\n",
				 from, count);
	snprintf(table + used, size - used, "%llu %llu linear %s %llu\n", end,
		 total - end, TEST_DISK, end);
}

static int dm_create(uint64_t start, uint64_t len)
{
	char table[256];

	error_table(table, sizeof(table), start, len);
	return test_dm_create(DM_NAME, table);
}

static int dm_replace(uint64_t start, uint64_t len)
{
	char table[256];

	error_table(table, sizeof(table), start, len);
	return test_dm_replace(DM_NAME, table);
}

FIXTURE_SETUP(io_errors)
{
	ASSERT_EQ(0, test_private_mounts());
	self->file = -1;
	self->dev = -1;
	self->direct = -1;
	self->buf = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->buf);
}

FIXTURE_TEARDOWN(io_errors)
{
	close(self->direct);
	close(self->dev);
	close(self->file);
	umount(TEST_DIR "/dm");
	if (!access(DM_PATH, F_OK))
		test_dm_remove(DM_NAME);
}

static void expect_eio_at(struct __test_metadata *_metadata, int fd, char *buf,
			  uint64_t offset)
{
	EXPECT_EQ(EIO, read_errno(fd, buf, PAGE, offset));
	EXPECT_EQ(-1, pwrite(fd, buf, PAGE, offset));
	EXPECT_EQ(EIO, errno);
}

TEST_F(io_errors, of_a_backing_disk_arrive_as_eio)
{
	struct blkfd_info info;

	ASSERT_EQ(0, dm_create(TEST_MIB, TEST_MIB));
	self->file = open(DM_PATH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->file);
	self->dev = test_create(self->file, BLKFD_F_DIRECT, 0, SIZE, 0);
	ASSERT_LE(0, self->dev);
	self->direct = test_reopen(self->dev, O_RDWR | O_DIRECT);
	ASSERT_EQ(0, test_write_pattern(self->direct, 0, TEST_MIB, SEED));
	ASSERT_EQ(0, test_write_pattern(self->direct, 2 * TEST_MIB, TEST_MIB, SEED));
	expect_eio_at(_metadata, self->direct, self->buf, TEST_MIB);
	EXPECT_EQ(EIO, read_errno(self->dev, self->buf, 1, 2 * TEST_MIB - 1));
	ASSERT_EQ(0, test_info(self->dev, &info));
	EXPECT_LE(3, info.errors);
	EXPECT_EQ(0, test_check_pattern(self->direct, 0, TEST_MIB, SEED));
	EXPECT_EQ(0, test_check_pattern(self->dev, 2 * TEST_MIB, TEST_MIB, SEED));
}

/* The same, all of it on a device of ours that can be read only. */
static int dm_replace_by(int dev)
{
	char path[TEST_PATH_MAX], table[128];

	test_fd_path(dev, path, sizeof(path));
	snprintf(table, sizeof(table), "0 %llu linear %s 0", DM_SIZE / 512, path);
	return test_dm_suspend(DM_NAME) ?:
	       test_command("dmsetup", "reload", DM_NAME, "--readonly", "--table", table) ?:
	       test_dm_resume(DM_NAME);
}

/*
 * Nobody can open it for writing, but device-mapper can be left with what is to
 * be written. The pages are neighbours, some of which make one call.
 */
TEST_F(io_errors, of_writes_to_a_read_only_device)
{
	const int pages = 32;
	struct blkfd_info info;
	int top;

	self->file = test_memfd(DM_SIZE);
	ASSERT_EQ(0, test_write_pattern(self->file, 0, pages * PAGE, SEED));
	self->dev = test_create(self->file, BLKFD_F_RDONLY, 0, 0, 4096);
	ASSERT_LE(0, self->dev);
	ASSERT_EQ(0, dm_create(0, 0));
	top = open(DM_PATH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, top);
	ASSERT_EQ(0, test_write_pattern(top, 0, pages * PAGE, SEED + 1));
	ASSERT_EQ(0, dm_replace_by(self->dev));
	EXPECT_EQ(-1, fsync(top));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(0, test_info(self->dev, &info));
	EXPECT_LT(0, info.errors);
	EXPECT_EQ(info.writes, info.errors);
	EXPECT_EQ(0, test_check_pattern(self->file, 0, pages * PAGE, SEED));
	EXPECT_EQ(0, close(top));
	/* It is not one that the file has lost. */
	ASSERT_EQ(0, test_dm_remove(DM_NAME));
	EXPECT_EQ(0, close(self->dev));
	self->dev = -1;
	EXPECT_EQ(0, sync_file_range(self->file, 0, 0, SYNC_FILE_RANGE_WRITE_AND_WAIT));
}

static uint64_t first_extent(int file)
{
	union {
		struct fiemap map;
		char space[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} arg = {
		.map = { .fm_length = PAGE, .fm_extent_count = 1 },
	};

	if (ioctl(file, FS_IOC_FIEMAP, &arg.map) ||
	    arg.map.fm_mapped_extents != 1)
		return 0;
	return arg.map.fm_extents[0].fe_physical;
}

/* A written file on ext4 whose first page then fails on the disk. */
static void bad_file(struct __test_metadata *_metadata,
		     FIXTURE_DATA(io_errors) *self, uint32_t flags)
{
	uint64_t at;

	ASSERT_EQ(0, dm_create(0, 0));
	ASSERT_EQ(0, test_mkfs("ext4", DM_PATH));
	ASSERT_EQ(0, mkdir(TEST_DIR "/dm", 0755));
	ASSERT_EQ(0, mount(DM_PATH, TEST_DIR "/dm", "ext4", 0, NULL));
	self->file = test_tmpfile(TEST_DIR "/dm", SIZE);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, test_write_pattern(self->file, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(self->file));
	at = first_extent(self->file);
	ASSERT_NE(0, at);
	ASSERT_EQ(0, posix_fadvise(self->file, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_EQ(0, dm_replace(at, PAGE));
	self->dev = test_create(self->file, flags, 0, 0, 0);
	ASSERT_LE(0, self->dev);
	self->direct = test_reopen(self->dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);
}

TEST_F(io_errors, below_a_direct_file_arrive_as_eio)
{
	bad_file(_metadata, self, BLKFD_F_DIRECT);
	expect_eio_at(_metadata, self->direct, self->buf, 0);
	EXPECT_EQ(0, test_check_pattern(self->direct, PAGE, SIZE - PAGE, SEED));
}

TEST_F(io_errors, below_a_buffered_file_arrive_as_eio)
{
	bad_file(_metadata, self, 0);
	EXPECT_EQ(EIO, read_errno(self->direct, self->buf, PAGE, 0));
	EXPECT_EQ(EIO, read_errno(self->dev, self->buf, 100, 0));
	EXPECT_EQ(0, test_check_pattern(self->direct, PAGE, SIZE - PAGE, SEED));
	ASSERT_EQ(PAGE, pwrite(self->direct, self->buf, PAGE, 0));
	EXPECT_EQ(-1, fsync(self->dev));
	EXPECT_EQ(EIO, errno);
}

TEST_F(io_errors, of_write_back_are_told_to_the_device_too)
{
	ASSERT_EQ(0, dm_create(0, 0));
	self->file = open(DM_PATH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->file);
	self->dev = test_create(self->file, 0, 0, SIZE, 0);
	ASSERT_LE(0, self->dev);
	self->direct = test_reopen(self->dev, O_RDWR | O_DIRECT);
	ASSERT_EQ(0, dm_replace(0, SIZE));
	ASSERT_EQ(0, test_write_pattern(self->direct, 0, SIZE, SEED));
	EXPECT_EQ(-1, fsync(self->file));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(0, dm_replace(0, 0));
	EXPECT_EQ(-1, fsync(self->dev));
	EXPECT_EQ(EIO, errno);
}

/* Files that can be opened again, though not by every path */

FIXTURE(io_reopen) {
	int file;
};

FIXTURE_VARIANT(io_reopen) {
	int (*open)(void);
};

static int open_unlinked(void)
{
	int file = test_file(TEST_DIR "/file", SIZE, 0);

	return unlink(TEST_DIR "/file") ? -errno : file;
}

static int open_sealed(void)
{
	int file = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (ftruncate(file, SIZE) ||
	    fcntl(file, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW))
		return -errno;
	return file;
}

static int open_on_overlay(void)
{
	if (mkdir(TEST_DIR "/lower", 0755) || mkdir(TEST_DIR "/upper", 0755) ||
	    mkdir(TEST_DIR "/work", 0755) || mkdir(TEST_DIR "/overlay", 0755) ||
	    mount("overlay", TEST_DIR "/overlay", "overlay", 0,
		  "lowerdir=" TEST_DIR "/lower,upperdir=" TEST_DIR "/upper,"
		  "workdir=" TEST_DIR "/work"))
		return -errno;
	return test_file(TEST_DIR "/overlay/file", SIZE, 0);
}

/* The directory that the VM shares with its host, by 9p. */
static int open_on_9p(void)
{
	return test_file("/run/blkfd/reopen", SIZE, 0);
}

FIXTURE_VARIANT_ADD(io_reopen, unlinked) { .open = open_unlinked };

FIXTURE_VARIANT_ADD(io_reopen, sealed) { .open = open_sealed };

FIXTURE_VARIANT_ADD(io_reopen, overlay) { .open = open_on_overlay };

FIXTURE_VARIANT_ADD(io_reopen, by_9p) { .open = open_on_9p };

FIXTURE_SETUP(io_reopen)
{
	ASSERT_EQ(0, test_private_mounts());
	self->file = variant->open();
	if (self->file == -ENOENT)
		SKIP(return, "nothing is shared with a host");
	ASSERT_LE(0, self->file);
}

FIXTURE_TEARDOWN(io_reopen)
{
	close(self->file);
	unlink("/run/blkfd/reopen");
}

TEST_F(io_reopen, is_written_through_a_device)
{
	int dev = test_create(self->file, 0, 0, 0, 0);

	ASSERT_LE(0, dev)
		TH_LOG("%s", strerror(-dev));
	ASSERT_EQ(0, test_write_pattern(dev, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(dev));
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, SEED));
	close(dev);
}

/* Who was given the file could not open it by its path. */
TEST(file_of_another_user_can_be_used)
{
	struct blkfd_create arg = { };
	int control = open("/dev/blkfd", O_RDWR | O_CLOEXEC), dev;

	ASSERT_EQ(0, test_private_mounts());
	arg.fd = test_file(TEST_DIR "/file", SIZE, 0);
	ASSERT_LE(0, arg.fd);
	ASSERT_EQ(0, fchmod(arg.fd, 0));
	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, NOBODY));
	dev = ioctl(control, BLKFD_CREATE, &arg);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, test_write_pattern(dev, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(dev));
	EXPECT_EQ(0, test_check_pattern(arg.fd, 0, SIZE, SEED));
}

/* A file of a file system that says what we want to hear */

#define FUSE_FILE	TEST_DIR "/fuse"

TEST(block_of_a_file_below_a_sector_is_a_sector)
{
	struct test_fuse fuse = { };
	int file, dev;

	if (!test_has_module("fuse"))
		SKIP(return, "no fuse");
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_fuse_mount(&fuse, FUSE_FILE, SIZE, 256));
	file = open(FUSE_FILE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	dev = test_create(file, BLKFD_F_DIRECT, 0, 0, 0);
	EXPECT_LE(0, dev)
		TH_LOG("%s", strerror(-dev));
	EXPECT_EQ(0, test_check_zero(dev, 0, SIZE));
	close(dev);
	close(file);
	ASSERT_EQ(0, umount(FUSE_FILE));
	EXPECT_EQ(0, test_reap(fuse.server));
}

/* What is not supported is no error, and nothing is lost by it. */
static void expect_no_errors(struct __test_metadata *_metadata, int dev)
{
	struct blkfd_info info;

	ASSERT_EQ(0, test_info(dev, &info));
	EXPECT_EQ(0, info.errors);
	EXPECT_EQ(0, fsync(dev));
}

TEST(zeroes_that_a_file_does_not_take_are_no_error)
{
	int file = test_memfd(SIZE), dev = test_create(file, 0, 0, 0, 0);

	ASSERT_LE(0, dev);
	EXPECT_EQ(0, range_ioctl(dev, BLKZEROOUT));
	expect_no_errors(_metadata, dev);
	close(dev);
	close(file);
}

/* Not by its server, which is asked but once. */
TEST(discards_that_a_file_does_not_take_are_no_error)
{
	const char *attr = "queue/discard_max_bytes";
	struct test_fuse fuse = { };
	int file, dev;

	if (!test_has_module("fuse"))
		SKIP(return, "no fuse");
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_fuse_mount(&fuse, FUSE_FILE, SIZE, PAGE));
	file = open(FUSE_FILE, O_RDWR | O_CLOEXEC);
	dev = test_create(file, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	EXPECT_LT(0, test_attr_number(test_id(dev), attr));
	/* The block layer keeps the first answer to itself. */
	range_ioctl(dev, BLKDISCARD);
	EXPECT_EQ(0, test_attr_number(test_id(dev), attr));
	EXPECT_EQ(-EOPNOTSUPP, range_ioctl(dev, BLKDISCARD));
	expect_no_errors(_metadata, dev);
	close(dev);
	close(file);
	ASSERT_EQ(0, umount(FUSE_FILE));
	EXPECT_EQ(0, test_reap(fuse.server));
}

/* What was to be thrown away is not missed; here it is a seal that keeps it. */
TEST(discards_that_fail_are_an_error_and_no_loss)
{
	int file = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING), dev;
	struct blkfd_info info;

	ASSERT_EQ(0, ftruncate(file, SIZE));
	dev = test_create(file, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(-EIO, range_ioctl(dev, BLKDISCARD));
	ASSERT_EQ(0, test_info(dev, &info));
	EXPECT_EQ(1, info.errors);
	EXPECT_EQ(0, fsync(dev));
	close(dev);
	close(file);
}

/* By a process that is all this user's; sent to the caller. */
static int open_as(uid_t user, const char *path)
{
	int socks[2], fd;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		return -errno;
	pid = fork();
	if (!pid) {
		if (test_become(user))
			_exit(1);
		fd = open(path, O_RDWR | O_CLOEXEC);
		_exit(fd < 0 || test_send_fd(socks[1], fd));
	}
	close(socks[1]);
	fd = test_recv_fd(socks[0]);
	close(socks[0]);
	return test_reap(pid) ? -EIO : fd;
}

/* Not even to root; who makes the device has been given the file. */
TEST(file_that_answers_one_user_alone_can_be_used)
{
	struct test_fuse fuse = { .owner = NOBODY };
	struct blkfd_resize half = { .length = SIZE / 2 }, to_the_end = { };
	struct stat st;
	int file, dev;

	if (!test_has_module("fuse"))
		SKIP(return, "no fuse");
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_fuse_mount(&fuse, FUSE_FILE, SIZE, 4096));
	EXPECT_EQ(-1, stat(FUSE_FILE, &st));
	EXPECT_EQ(EACCES, errno);
	file = open_as(NOBODY, FUSE_FILE);
	ASSERT_LE(0, file);
	dev = test_create(file, 0, 0, 0, 0);
	EXPECT_LE(0, dev)
		TH_LOG("%s", strerror(-dev));
	EXPECT_EQ(0, test_write_pattern(dev, 0, SIZE, SEED));
	EXPECT_EQ(0, fsync(dev));
	EXPECT_EQ(0, test_check_pattern(dev, 0, SIZE, SEED));
	EXPECT_EQ(0, ioctl(dev, BLKFD_RESIZE, &half));
	EXPECT_EQ(0, ioctl(dev, BLKFD_RESIZE, &to_the_end));
	close(dev);
	close(file);
	ASSERT_EQ(0, umount(FUSE_FILE));
	EXPECT_EQ(0, test_reap(fuse.server));
}

/*
 * A server in a user namespace that has a number for this user alone. Its file is sent
 * to the caller, who closes it, and then the socket.
 */
static int serve_in_namespace(uid_t user, int sock)
{
	struct test_fuse fuse = { };
	char end;
	int fd;

	if (test_become(user) || test_enter_user_namespace(CLONE_NEWNS) ||
	    test_fuse_mount(&fuse, FUSE_FILE, SIZE, PAGE))
		return 1;
	fd = open(FUSE_FILE, O_RDWR | O_CLOEXEC);
	if (fd < 0 || test_send_fd(sock, fd))
		return 1;
	close(fd);
	return read(sock, &end, 1) || umount(FUSE_FILE) || test_reap(fuse.server);
}

static int create_and_read(uid_t user, int control, int file)
{
	struct blkfd_create arg = { .fd = file };
	int dev;

	if (test_become(user))
		return 1;
	dev = test_create_by(control, &arg);
	return dev < 0 || test_check_zero(dev, 0, SIZE);
}

/* FUSE sends nothing for others, and all their I/O would fail. */
TEST(file_whose_server_has_no_number_for_the_creator_is_eoverflow)
{
	int control = open("/dev/blkfd", O_RDWR | O_CLOEXEC), socks[2], file;
	pid_t server, reader;

	if (!test_has_module("fuse"))
		SKIP(return, "no fuse");
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, chmod("/dev/fuse", 0666));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks));
	server = fork();
	if (!server) {
		close(socks[0]);
		_exit(serve_in_namespace(NOBODY, socks[1]));
	}
	close(socks[1]);
	file = test_recv_fd(socks[0]);
	ASSERT_LE(0, file);
	EXPECT_EQ(-EOVERFLOW, test_create(file, 0, 0, 0, 0));
	reader = fork();
	if (!reader)
		_exit(create_and_read(NOBODY, control, file));
	EXPECT_EQ(0, test_reap(reader));
	close(file);
	close(socks[0]);
	EXPECT_EQ(0, test_reap(server));
}

/* A file whose server loses its power. */

#define POWER_SIZE	(16 * TEST_MIB)
#define POWER_MOUNT	TEST_DIR "/mount"
#define POWER_FILE	POWER_MOUNT "/file"

FIXTURE(io_power) {
	struct test_fuse fuse;
	int file;
	int dev;
	int lost;		/* what is left without power */
};

FIXTURE_VARIANT(io_power) {
	uint32_t flags;
	uint32_t open_flags;
};

FIXTURE_VARIANT_ADD(io_power, fuse) { .flags = 0 };

FIXTURE_VARIANT_ADD(io_power, fuse_direct) { .flags = BLKFD_F_DIRECT };

FIXTURE_VARIANT_ADD(io_power, fuse_uncached) { .open_flags = FOPEN_DIRECT_IO };

FIXTURE_SETUP(io_power)
{
	if (!test_has_module("fuse"))
		SKIP(return, "no fuse");
	ASSERT_EQ(0, test_private_mounts());
	self->fuse.open_flags = variant->open_flags;
	ASSERT_EQ(0, test_fuse_mount(&self->fuse, FUSE_FILE, POWER_SIZE, PAGE));
	self->file = open(FUSE_FILE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->file);
	self->dev = test_create(self->file, variant->flags, 0, 0, 0);
	ASSERT_LE(0, self->dev);
	self->lost = test_memfd(POWER_SIZE);
	ASSERT_LE(0, self->lost);
	ASSERT_EQ(0, mkdir(POWER_MOUNT, 0755));
}

FIXTURE_TEARDOWN(io_power)
{
	umount(POWER_MOUNT);
	close(self->lost);
	close(self->dev);
	close(self->file);
	umount(FUSE_FILE);
	EXPECT_EQ(0, test_reap(self->fuse.server));
}

static int mount_ext4_on(int dev, const char *options)
{
	char path[TEST_PATH_MAX];

	test_fd_path(dev, path, sizeof(path));
	return mount(path, POWER_MOUNT, "ext4", 0, options) ? -errno : 0;
}

static void lose_power(struct __test_metadata *_metadata,
		       FIXTURE_DATA(io_power) *self)
{
	ASSERT_EQ(POWER_SIZE, pwrite(self->lost, self->fuse.stable, POWER_SIZE, 0));
}

/* ext4 ends a transaction with a FUA write, and nothing else. */
TEST_F(io_power, leaves_what_a_journal_has)
{
	char path[TEST_PATH_MAX];
	int file, dev;

	test_fd_path(self->dev, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	ASSERT_EQ(0, mount_ext4_on(self->dev, NULL));
	file = test_file(POWER_FILE, 0, 0);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, fsync(file));
	lose_power(_metadata, self);
	close(file);
	ASSERT_EQ(0, umount(POWER_MOUNT));
	dev = test_create(self->lost, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, mount_ext4_on(dev, NULL));
	EXPECT_EQ(0, access(POWER_FILE, F_OK));
	close(dev);
}

/* With RWF_DSYNC it is FUA, and not followed by a flush, as one that waits is. */
static int write_async(int dev, const void *buf, size_t size, int flags)
{
	int direct = test_reopen(dev, O_RDWR | O_DIRECT), ret;
	struct io_uring_sqe *sqe;
	struct io_uring ring;

	if (direct < 0)
		return direct;
	ret = io_uring_queue_init(1, &ring, 0);
	if (ret)
		return ret;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_write(sqe, direct, buf, size, 0);
	sqe->rw_flags = flags;
	ret = io_uring_submit(&ring);
	if (ret == 1)
		ret = ring_least(&ring, 1);
	io_uring_queue_exit(&ring);
	close(direct);
	return ret;
}

TEST_F(io_power, leaves_what_was_written_to_be_durable)
{
	static alignas(PAGE) char buf[16 * PAGE];

	test_fill(buf, sizeof(buf), 0, SEED);
	ASSERT_EQ(sizeof(buf), write_async(self->dev, buf, sizeof(buf),
					   RWF_DSYNC));
	lose_power(_metadata, self);
	EXPECT_EQ(0, test_check_pattern(self->lost, 0, sizeof(buf), SEED));
}

TEST_F(io_power, of_which_the_server_cannot_be_sure_is_eio)
{
	static alignas(PAGE) char buf[PAGE];

	*self->fuse.fsync_error = -EIO;
	EXPECT_EQ(-EIO, write_async(self->dev, buf, sizeof(buf), RWF_DSYNC));
	*self->fuse.fsync_error = 0;
	EXPECT_EQ(sizeof(buf), write_async(self->dev, buf, sizeof(buf),
					   RWF_DSYNC));
}

/* For the block layer, a flush that is not supported is one that is not needed. */
TEST_F(io_power, that_the_server_does_not_support_is_eio)
{
	struct blkfd_info info;

	*self->fuse.fsync_error = -EOPNOTSUPP;
	EXPECT_EQ(-1, fsync(self->dev));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(0, test_info(self->dev, &info));
	EXPECT_EQ(1, info.errors);
	*self->fuse.fsync_error = 0;
	EXPECT_EQ(0, fsync(self->dev));
}

/* The file tells of its loss once, and it may be what others have written. */
TEST_F(io_power, loss_met_by_a_durable_write_is_told_to_each_open_file)
{
	const int others[] = { self->dev, test_reopen(self->dev, O_RDONLY) };
	static alignas(PAGE) char buf[PAGE];

	*self->fuse.fsync_error = -EIO;
	EXPECT_EQ(-EIO, write_async(self->dev, buf, sizeof(buf), RWF_DSYNC));
	*self->fuse.fsync_error = 0;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		EXPECT_EQ(-1, fsync(others[i]));
		EXPECT_EQ(EIO, errno);
		EXPECT_EQ(0, fsync(others[i]));
	}
	close(others[1]);
}

/* To who sends a bio, EAGAIN says that it would have had to wait. */
TEST_F(io_power, of_which_the_server_says_eagain_is_eio)
{
	static alignas(PAGE) char buf[PAGE];

	ASSERT_EQ(sizeof(buf), write_async(self->dev, buf, sizeof(buf), 0));
	*self->fuse.fsync_error = -EAGAIN;
	EXPECT_EQ(-1, fsync(self->dev));
	EXPECT_EQ(EIO, errno);
	*self->fuse.fsync_error = 0;
	EXPECT_EQ(0, fsync(self->dev));
}

/* Its last block says that all before it is durable: it must not be there alone. */
TEST_F(io_power, ends_no_transaction_whose_flush_failed)
{
	char path[TEST_PATH_MAX];
	int file, dev;

	test_fd_path(self->dev, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	ASSERT_EQ(0, mount_ext4_on(self->dev, "commit=300"));
	file = test_file(POWER_FILE, 0, 0);
	ASSERT_LE(0, file);
	*self->fuse.fsync_error = -EIO;
	EXPECT_EQ(-1, fsync(file));
	EXPECT_EQ(EIO, errno);
	*self->fuse.fsync_error = 0;
	ASSERT_EQ(POWER_SIZE, pwrite(self->lost, self->fuse.data, POWER_SIZE, 0));
	close(file);
	ASSERT_EQ(0, umount(POWER_MOUNT));
	dev = test_create(self->lost, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, mount_ext4_on(dev, NULL));
	EXPECT_EQ(-1, access(POWER_FILE, F_OK));
	close(dev);
}

/* A 9p client without a cache writes all to the server's at once. */
TEST(durable_write_by_9p_reaches_the_file)
{
	static alignas(PAGE) char buf[16 * PAGE];
	int file, served, dev;
	pid_t server;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("xfs", NULL));
	file = test_file(TEST_DIR "/xfs/file", SIZE, 0);
	ASSERT_LE(0, file);
	if (p9_mount(TEST_DIR "/xfs", TEST_DIR "/9p", &server) == -ENODEV)
		SKIP(return, "no 9p");
	served = open(TEST_DIR "/9p/file", O_RDWR | O_CLOEXEC);
	dev = test_create(served, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(sizeof(buf), write_async(dev, buf, sizeof(buf), 0));
	EXPECT_LT(0, count_delayed(file));
	ASSERT_EQ(sizeof(buf), write_async(dev, buf, sizeof(buf), RWF_DSYNC));
	EXPECT_EQ(0, count_delayed(file));
	close(dev);
	close(served);
	ASSERT_EQ(0, umount(TEST_DIR "/9p"));
	kill(server, SIGKILL);
	test_reap(server);
	close(file);
	ASSERT_EQ(0, umount(TEST_DIR "/xfs"));
}

/* FUA writes are no cheaper there than flushes. */
TEST_F(io_power, has_a_cache_but_no_fua)
{
	uint64_t id = test_id(self->dev);
	char value[32];

	ASSERT_LT(0, test_attr(id, "queue/write_cache", value, sizeof(value)));
	EXPECT_STREQ("write back", value);
	EXPECT_EQ(0, test_attr_number(id, "queue/fua"));
}

/* Devices whose file keeps them waiting */

#define FROZEN_DEVICES	70
#define FROZEN_WRITES	4	/* to each */
#define FROZEN_SPAN	(FROZEN_WRITES * PAGE)

FIXTURE(io_frozen) {
	int dir;
	int file;
	int direct[FROZEN_DEVICES];
	struct io_uring ring;
};

FIXTURE_SETUP(io_frozen)
{
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("ext4", NULL));
	ASSERT_EQ(0, io_uring_queue_init(512, &self->ring, 0));
	self->dir = open(TEST_DIR "/ext4", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->dir);
	self->file = test_tmpfile(TEST_DIR "/ext4", FROZEN_DEVICES * FROZEN_SPAN);
	ASSERT_LE(0, self->file);
	for (int i = 0; i < FROZEN_DEVICES; i++) {
		int dev = test_create(self->file, 0, i * FROZEN_SPAN,
				      FROZEN_SPAN, 0);

		ASSERT_LE(0, dev);
		self->direct[i] = test_reopen(dev, O_RDWR | O_DIRECT);
		ASSERT_LE(0, self->direct[i]);
		close(dev);
	}
	ASSERT_EQ(0, ioctl(self->dir, FIFREEZE, 0));
}

FIXTURE_TEARDOWN(io_frozen)
{
	ioctl(self->dir, FITHAW, 0);
	io_uring_queue_exit(&self->ring);
	for (int i = 0; i < FROZEN_DEVICES; i++)
		close(self->direct[i]);
	close(self->file);
	close(self->dir);
	umount(TEST_DIR "/ext4");
}

static int write_frozen(struct io_uring *ring, const int *direct, const void *buf)
{
	const int count = FROZEN_DEVICES * FROZEN_WRITES;

	for (int i = 0; i < count; i++)
		io_uring_prep_write(io_uring_get_sqe(ring),
				    direct[i / FROZEN_WRITES], buf, PAGE,
				    i % FROZEN_WRITES * PAGE);
	return io_uring_submit(ring) == count ? 0 : -EIO;
}

/* One read of a device: its result, or -ETIME. */
static int read_in_time(int fd, void *buf, uint64_t offset)
{
	struct __kernel_timespec limit = {
		.tv_sec = TEST_TIMEOUT_MS / 1000 * test_slowdown(),
	};
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int ret;

	ret = io_uring_queue_init(1, &ring, 0);
	if (ret)
		return ret;
	io_uring_prep_read(io_uring_get_sqe(&ring), fd, buf, PAGE, offset);
	io_uring_submit(&ring);
	ret = io_uring_wait_cqe_timeout(&ring, &cqe, &limit);
	return ret ? ret : cqe->res;
}

TEST_F(io_frozen, writes_do_not_stop_another_device)
{
	static alignas(PAGE) char buf[2][PAGE];
	int file = test_memfd(SIZE), dev, direct;
	struct io_uring_cqe *cqe;

	dev = test_create(file, 0, 0, 0, 0);
	direct = test_reopen(dev, O_RDONLY | O_DIRECT);
	ASSERT_LE(0, direct);
	ASSERT_EQ(0, write_frozen(&self->ring, self->direct, buf[0]));
	EXPECT_EQ(PAGE, read_in_time(direct, buf[1], 0));
	EXPECT_NE(0, io_uring_peek_cqe(&self->ring, &cqe));
	ASSERT_EQ(0, ioctl(self->dir, FITHAW, 0));
	EXPECT_EQ(PAGE, ring_least(&self->ring, FROZEN_DEVICES * FROZEN_WRITES));
	close(direct);
	close(dev);
	close(file);
}

/* Neighbours in the backlog, all of whose workers wait for a file system to thaw. */

#define NEIGHBOURS	(2 * TEST_MIB)
#define LAST		(SIZE - PAGE)

FIXTURE(io_neighbours) {
	struct rig rig;
	struct io_uring ring;
	int dir;
};

/* All has been written but for the last two pages, which have no space yet. */
FIXTURE_SETUP(io_neighbours)
{
	struct rig *rig = &self->rig;

	rig_make(_metadata, rig, "xfs", 0);
	self->dir = open(TEST_DIR "/xfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->dir);
	ASSERT_EQ(0, io_uring_queue_init(DEPTH, &self->ring, 0));
	ASSERT_EQ(0, test_write_pattern(rig->file, 0, LAST - PAGE, SEED));
	ASSERT_EQ(0, fsync(rig->file));
	ASSERT_EQ(0, ioctl(self->dir, FIFREEZE, 0));
	/* None beside another, so that each takes a worker. */
	test_fill(rig->buf, SIZE, 0, SEED);
	for (int i = 0; i < RING_KEEPERS; i++)
		io_uring_prep_write(io_uring_get_sqe(&self->ring), rig->direct,
				    rig->buf + 2 * i * PAGE, PAGE, 2 * i * PAGE);
}

FIXTURE_TEARDOWN(io_neighbours)
{
	EXPECT_EQ(0, test_set_parameter("inline_io", "Y"));
	ioctl(self->dir, FITHAW, 0);
	close(self->dir);
	io_uring_queue_exit(&self->ring);
	rig_drop(&self->rig);
}

static void run_neighbours(struct __test_metadata *_metadata,
			   FIXTURE_DATA(io_neighbours) *self, int count)
{
	struct io_uring_cqe *cqe;

	ASSERT_EQ(RING_KEEPERS + count, io_uring_submit(&self->ring));
	EXPECT_NE(0, io_uring_peek_cqe(&self->ring, &cqe));
	ASSERT_EQ(0, ioctl(self->dir, FITHAW, 0));
	EXPECT_EQ(PAGE, ring_least(&self->ring, RING_KEEPERS + count));
}

TEST_F(io_neighbours, read_is_not_written)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
	char *buf = self->rig.buf + NEIGHBOURS;

	test_fill(buf, PAGE, NEIGHBOURS, SEED + 1);
	memset(buf + PAGE, 0, PAGE);
	ASSERT_EQ(0, test_set_parameter("inline_io", "N"));
	io_uring_prep_write(sqe, self->rig.direct, buf, PAGE, NEIGHBOURS);
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_read(sqe, self->rig.direct, buf + PAGE, PAGE, NEIGHBOURS + PAGE);
	run_neighbours(_metadata, self, 2);
	EXPECT_EQ(-1, test_compare(buf + PAGE, PAGE, NEIGHBOURS + PAGE, SEED));
	EXPECT_EQ(0, test_check_pattern(self->rig.file, NEIGHBOURS, PAGE, SEED + 1));
	EXPECT_EQ(0, test_check_pattern(self->rig.file, NEIGHBOURS + PAGE, PAGE, SEED));
}

/* The first page is cached, and read by who asks; the others are for a worker. */
TEST_F(io_neighbours, read_that_is_done_in_part_is_right)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
	char *buf = self->rig.buf + NEIGHBOURS;
	int file = self->rig.file;

	ASSERT_EQ(0, posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_EQ(0, posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM));
	ASSERT_EQ(PAGE, pread(file, buf, PAGE, NEIGHBOURS));
	memset(buf, 0, 3 * PAGE);
	io_uring_prep_read(sqe, self->rig.direct, buf, 2 * PAGE, NEIGHBOURS);
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_read(sqe, self->rig.direct, buf + 2 * PAGE, PAGE,
			   NEIGHBOURS + 2 * PAGE);
	run_neighbours(_metadata, self, 2);
	EXPECT_EQ(-1, test_compare(buf, 3 * PAGE, NEIGHBOURS, SEED));
}

TEST_F(io_neighbours, write_that_is_to_be_durable_is)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
	char *buf = self->rig.buf + LAST - PAGE;

	io_uring_prep_write(sqe, self->rig.direct, buf, PAGE, LAST - PAGE);
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_write(sqe, self->rig.direct, buf + PAGE, PAGE, LAST);
	sqe->rw_flags = RWF_DSYNC;
	run_neighbours(_metadata, self, 2);
	EXPECT_EQ(0, count_delayed_in(self->rig.file, LAST, PAGE));
	EXPECT_EQ(0, test_check_pattern(self->rig.file, 0, SIZE, SEED));
}

/* One worker that sleeps over a write leaves the rest to another. */
TEST(write_that_waits_does_not_stop_a_read)
{
	static alignas(PAGE) char buf[2][PAGE];
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	struct rig rig;
	int dir;

	rig_make(_metadata, &rig, "ext4", 0);
	ASSERT_EQ(0, test_write_pattern(rig.file, 0, SIZE, SEED));
	dir = open(TEST_DIR "/ext4", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(0, test_set_parameter("inline_io", "N"));
	ASSERT_EQ(0, io_uring_queue_init(1, &ring, 0));
	ASSERT_EQ(0, ioctl(dir, FIFREEZE, 0));
	io_uring_prep_write(io_uring_get_sqe(&ring), rig.direct, buf[0], PAGE, 0);
	EXPECT_EQ(1, io_uring_submit(&ring));
	EXPECT_EQ(PAGE, read_in_time(rig.direct, buf[1], SIZE / 2));
	EXPECT_NE(0, io_uring_peek_cqe(&ring, &cqe));
	ASSERT_EQ(0, ioctl(dir, FITHAW, 0));
	EXPECT_EQ(PAGE, ring_least(&ring, 1));
	ASSERT_EQ(0, test_set_parameter("inline_io", "Y"));
	io_uring_queue_exit(&ring);
	close(dir);
	rig_drop(&rig);
}

/* Read-only devices */

FIXTURE(io_read_only) {
	int file;
	int dev;
};

FIXTURE_VARIANT(io_read_only) {
	bool by_flag;
};

FIXTURE_VARIANT_ADD(io_read_only, by_flag) { .by_flag = true };

FIXTURE_VARIANT_ADD(io_read_only, by_descriptor) { .by_flag = false };

FIXTURE_SETUP(io_read_only)
{
	int given;

	self->file = test_memfd(SIZE);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, test_write_pattern(self->file, 0, SIZE, SEED));
	given = test_reopen(self->file, variant->by_flag ? O_RDWR : O_RDONLY);
	ASSERT_LE(0, given);
	self->dev = test_create(given, variant->by_flag ? BLKFD_F_RDONLY : 0,
				0, 0, 0);
	ASSERT_LE(0, self->dev);
	close(given);
}

FIXTURE_TEARDOWN(io_read_only)
{
	close(self->dev);
	close(self->file);
}

TEST_F(io_read_only, reads)
{
	EXPECT_EQ(0, test_check_pattern(self->dev, 0, SIZE, SEED));
}

TEST_F(io_read_only, cannot_be_opened_for_writing)
{
	EXPECT_EQ(-EROFS, test_reopen(self->dev, O_RDWR));
	EXPECT_EQ(-EROFS, test_reopen(self->dev, O_WRONLY));
	EXPECT_EQ(-EROFS, test_reopen(self->dev, O_RDWR | O_DIRECT));
}

TEST_F(io_read_only, descriptor_does_not_write)
{
	char byte = 0;

	EXPECT_EQ(-1, pwrite(self->dev, &byte, 1, 0));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED, self->dev, 0));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(io_read_only, takes_no_discard_and_no_zeroes)
{
	EXPECT_EQ(-EOPNOTSUPP, range_ioctl(self->dev, BLKDISCARD));
	EXPECT_EQ(-EBADF, range_ioctl(self->dev, BLKZEROOUT));
	EXPECT_EQ(-1, fallocate(self->dev,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				HOLE_START, HOLE_LEN));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, SEED));
}

TEST_F(io_read_only, cannot_be_made_writable)
{
	int read_only = 0;

	ioctl(self->dev, BLKROSET, &read_only);
	ASSERT_EQ(0, ioctl(self->dev, BLKROGET, &read_only));
	EXPECT_EQ(1, read_only);
	EXPECT_EQ(-EROFS, test_reopen(self->dev, O_RDWR));
}

/* Block sizes */

TEST(block_of_4096_refuses_direct_io_of_512)
{
	int file = test_memfd(SIZE), dev, direct;
	char *buf = aligned_alloc(PAGE, 2 * PAGE);

	ASSERT_LE(0, file);
	dev = test_create(file, 0, 0, 0, 4096);
	ASSERT_LE(0, dev);
	direct = test_reopen(dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, direct);
	EXPECT_EQ(EINVAL, read_errno(direct, buf, 512, 0));
	EXPECT_EQ(EINVAL, read_errno(direct, buf, 4096, 512));
	EXPECT_EQ(-1, pwrite(direct, buf, 512, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(4096, pwrite(direct, buf, 4096, 4096));
	EXPECT_EQ(512, pread(dev, buf, 512, 512));
}

TEST(block_of_64k_reads_and_writes)
{
	const uint32_t block = 65536;
	int file = test_memfd(SIZE), dev, direct;
	char *buf = aligned_alloc(block, 2 * block);

	ASSERT_LE(0, file);
	dev = test_create(file, 0, 0, 0, block);
	if (dev == -EINVAL)
		SKIP(return, "this kernel has no blocks larger than pages");
	ASSERT_LE(0, dev);
	direct = test_reopen(dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, direct);
	EXPECT_EQ(EINVAL, read_errno(direct, buf, 4096, 0));
	ASSERT_EQ(0, test_write_pattern(direct, 0, SIZE / 2, SEED));
	ASSERT_EQ(0, test_write_pattern(dev, SIZE / 2, SIZE / 2, SEED));
	ASSERT_EQ(0, fsync(dev));
	EXPECT_EQ(0, test_check_pattern(file, 0, SIZE, SEED));
	EXPECT_EQ(0, test_check_pattern(direct, 0, SIZE, SEED));
}

/* Control groups */

#define CGROUP		"/sys/fs/cgroup/blkfd-io"
#define COLD_FILE	TEST_DIR "/xfs/cold"

FIXTURE(io_cgroup) {
	struct rig rig;
};

FIXTURE_VARIANT(io_cgroup) {
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(io_cgroup, buffered) { .flags = 0 };

FIXTURE_VARIANT_ADD(io_cgroup, direct) { .flags = BLKFD_F_DIRECT };

/*
 * An inode belongs to the group that dirtied it first. So that it is nobody's
 * yet, the rig's file is replaced by one that was written before this mount.
 */
static void make_cold(struct __test_metadata *_metadata, struct rig *rig,
		      uint32_t flags)
{
	close(rig->direct);
	close(rig->dev);
	close(rig->file);
	rig->file = test_file(COLD_FILE, SIZE, 0);
	ASSERT_LE(0, rig->file);
	ASSERT_EQ(0, test_write_pattern(rig->file, 0, SIZE, SEED));
	ASSERT_EQ(0, close(rig->file));
	ASSERT_EQ(0, umount(TEST_DIR "/xfs"));
	ASSERT_EQ(0, mount(TEST_DISK, TEST_DIR "/xfs", "xfs", 0, NULL));
	rig->file = open(COLD_FILE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, rig->file);
	rig->dev = test_create(rig->file, flags, 0, 0, 0);
	ASSERT_LE(0, rig->dev);
	rig->direct = test_reopen(rig->dev, O_RDWR | O_DIRECT);
	ASSERT_LE(0, rig->direct);
}

FIXTURE_SETUP(io_cgroup)
{
	ASSERT_EQ(0, mkdir(CGROUP, 0755));
	rig_make(_metadata, &self->rig, "xfs", variant->flags);
	make_cold(_metadata, &self->rig, variant->flags);
	fill(&self->rig, SEED);
}

FIXTURE_TEARDOWN(io_cgroup)
{
	unlink(COLD_FILE);
	rig_drop(&self->rig);
	rmdir(CGROUP);
}

/* Bytes that the group has had the scratch disk read or write. */
static uint64_t disk_bytes(const char *key)
{
	FILE *stream = fopen(CGROUP "/io.stat", "re");
	char prefix[32], line[256];
	uint64_t value = 0;
	struct stat st;

	if (!stream || stat(TEST_DISK, &st))
		return 0;
	snprintf(prefix, sizeof(prefix), "%u:%u ", major(st.st_rdev),
		 minor(st.st_rdev));
	while (fgets(line, sizeof(line), stream)) {
		char *at = strstr(line, key);

		if (!strncmp(line, prefix, strlen(prefix)) && at)
			value = strtoull(at + strlen(key), NULL, 10);
	}
	fclose(stream);
	return value;
}

static int member_writes(void *arg)
{
	struct rig *rig = arg;

	return pwrite(rig->direct, rig->buf, SIZE, 0) != (ssize_t)SIZE ||
	       fsync(rig->dev);
}

static int member_reads(void *arg)
{
	struct rig *rig = arg;

	return pread(rig->direct, rig->buf, SIZE, 0) != (ssize_t)SIZE;
}

TEST_F(io_cgroup, disk_writes_count_for_the_writer)
{
	pid_t pid = test_start_member(CGROUP, member_writes, &self->rig);

	ASSERT_LT(0, pid);
	EXPECT_LE(SIZE, disk_bytes("wbytes="));
	test_end_member(pid);
}

TEST_F(io_cgroup, disk_reads_count_for_the_reader)
{
	pid_t pid = test_start_member(CGROUP, member_reads, &self->rig);

	ASSERT_LT(0, pid);
	EXPECT_LE(SIZE, disk_bytes("rbytes="));
	test_end_member(pid);
}

TEST_F(io_cgroup, page_cache_of_the_file_counts_for_the_writer)
{
	pid_t pid;

	if (variant->flags)
		SKIP(return, "direct I/O leaves nothing in the page cache");
	pid = test_start_member(CGROUP, member_writes, &self->rig);
	ASSERT_LT(0, pid);
	EXPECT_TRUE(test_wait_field(CGROUP "/memory.stat", "file", SIZE));
	test_end_member(pid);
}

TEST_HARNESS_MAIN
