// SPDX-License-Identifier: GPL-2.0
/*
 * What an ordinary user can do who holds a device, or /dev/blkfd, and nothing else:
 * the claims of docs/security.md. Root opens what the user is to have; then the case
 * becomes that user.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/blktrace_api.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <linux/loop.h>
#include <linux/pr.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "ring.h"
#include "testlib.h"

/* Where the structure is smaller, and where libc's headers do not know it yet. */
#define BLKTRACESETUP_32	_IOC(_IOC_READ | _IOC_WRITE, 0x12, 115, 64)
#define BLKTRACESETUP_2		_IOC(_IOC_READ | _IOC_WRITE, 0x12, 142, 192)

#define USER	61000
#define SIZE	TEST_MIB
#define BLOCK	4096

/* As the user has them: for reading and writing, and read-only ones. */
FIXTURE(holder) {
	int control;
	int file;
	int dev;
	int reader;
	int ro_dev;
	uint64_t id;
};

FIXTURE_SETUP(holder)
{
	char path[TEST_PATH_MAX];
	int ro_file;

	ASSERT_EQ(0, test_private_mounts());
	self->control = blkfd_control();
	self->file = test_tmpfile(TEST_DIR, SIZE);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, test_write_pattern(self->file, 0, SIZE, 1));
	test_fd_path(self->file, path, sizeof(path));
	ro_file = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, ro_file);
	ASSERT_EQ(0, test_become(USER));
	self->dev = blkfd_create_by(self->control, self->file, NULL);
	ASSERT_LE(0, self->dev);
	self->ro_dev = blkfd_create_by(self->control, ro_file, NULL);
	ASSERT_LE(0, self->ro_dev);
	self->reader = test_reopen(self->dev, O_RDONLY);
	ASSERT_LE(0, self->reader);
	self->id = test_id(self->dev);
	close(ro_file);
}

FIXTURE_TEARDOWN(holder)
{
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, 1));
}

/* 0 or errno. */
static int try(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) ? errno : 0;
}

/* Of a descriptor that writes, too. */
TEST_F(holder, changes_nothing_of_the_disk)
{
	struct blkpg_ioctl_arg partition = { .op = BLKPG_DEL_PARTITION };
	struct pr_registration registration = { .new_key = 1 };
	struct pr_reservation reservation = { .key = 1, .type = PR_WRITE_EXCLUSIVE };
	int on = 1, dev = self->dev;

	EXPECT_EQ(EACCES, try(dev, BLKROSET, &on));
	EXPECT_EQ(EACCES, try(dev, BLKRASET, (void *)1));
	EXPECT_EQ(EACCES, try(dev, BLKFRASET, (void *)1));
	EXPECT_EQ(EACCES, try(dev, BLKPG, &partition));
	EXPECT_NE(0, try(dev, BLKRRPART, NULL));
	EXPECT_NE(0, try(dev, IOC_PR_REGISTER, &registration));
	EXPECT_NE(0, try(dev, IOC_PR_RESERVE, &reservation));
}

/* Its buffers are as large as is asked for, and charged to nobody. */
TEST_F(holder, traces_nothing)
{
	static struct blk_user_trace_setup trace = { .buf_size = 4096, .buf_nr = 4 };
	static struct blk_user_trace_setup *low;
	static char trace2[192];
	pid_t pid;

	EXPECT_EQ(EPERM, try(self->dev, BLKTRACESETUP, &trace));
	EXPECT_EQ(EPERM, try(self->dev, BLKTRACESETUP_2, trace2));
	EXPECT_EQ(EPERM, try(self->dev, BLKTRACESTART, NULL));
	EXPECT_EQ(EPERM, try(self->dev, BLKTRACESTOP, NULL));
	EXPECT_EQ(EPERM, try(self->dev, BLKTRACETEARDOWN, NULL));
	low = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, low);
	*low = trace;
	pid = fork();
	if (!pid)
		_exit(-test_ioctl_32(self->dev, BLKTRACESETUP_32, low));
	EXPECT_EQ(EPERM, test_reap(pid));
	ASSERT_EQ(0, test_enter_user_namespace(0));
	EXPECT_EQ(EPERM, try(self->dev, BLKTRACESETUP, &trace));
}

TEST(administrator_traces)
{
	struct blk_user_trace_setup trace = { .buf_size = 4096, .buf_nr = 4 };
	int dev = test_create(test_memfd(SIZE), 0, 0, 0, 0);
	int ret = try(dev, BLKTRACESETUP, &trace);

	if (ret == ENOTTY)
		SKIP(return, "this kernel does not trace block devices");
	EXPECT_EQ(0, ret);
	EXPECT_EQ(0, try(dev, BLKTRACETEARDOWN, NULL));
}

TEST_F(holder, has_no_ioctls_of_other_drivers)
{
	char arg[256] = "";

	EXPECT_EQ(ENOTTY, try(self->dev, SG_IO, arg));
	EXPECT_EQ(ENOTTY, try(self->dev, HDIO_GET_IDENTITY, arg));
	EXPECT_EQ(ENOTTY, try(self->dev, LOOP_SET_STATUS64, arg));
	EXPECT_EQ(ENOTTY, try(self->dev, LOOP_CLR_FD, NULL));
	EXPECT_NE(0, try(self->dev, FIFREEZE, NULL));
	EXPECT_NE(0, try(self->dev, FITHAW, NULL));
}

/* Where <linux/blkdev.h> is older than the kernel. */
#define URING_DISCARD	_IO(0x12, 0)

static int refused_by_uring(struct io_uring *ring)
{
	return io_uring_submit(ring) == 1 ? ring_least(ring, 1) : 0;
}

/* A write, a hole, and a discard that no ioctl is needed for: 0 if all are refused. */
static int write_by_uring(int fd)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	char data[8] = "data";

	if (io_uring_queue_init(1, &ring, 0))
		return 1;
	io_uring_prep_write(io_uring_get_sqe(&ring), fd, data, sizeof(data), 0);
	if (refused_by_uring(&ring) != -EBADF)
		return 2;
	io_uring_prep_fallocate(io_uring_get_sqe(&ring), fd, punch, 0, BLOCK);
	if (refused_by_uring(&ring) != -EBADF)
		return 3;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = URING_DISCARD;
	sqe->addr3 = BLOCK;
	/* EBADF, or there is no such thing. */
	return refused_by_uring(&ring) < 0 ? 0 : 4;
}

static void expect_no_writing(struct __test_metadata *_metadata, int fd)
{
	uint64_t range[2] = { 0, BLOCK };
	int size = 1024;
	char data[8] = "data";
	pid_t pid;

	EXPECT_EQ(-1, pwrite(fd, data, sizeof(data), 0));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BLOCK));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, BLOCK, PROT_WRITE, MAP_SHARED, fd, 0));
	EXPECT_EQ(EACCES, errno);
	/* EBADF, or there is no such thing. */
	EXPECT_NE(0, try(fd, BLKDISCARD, range));
	EXPECT_NE(0, try(fd, BLKSECDISCARD, range));
	EXPECT_EQ(EBADF, try(fd, BLKZEROOUT, range));
	EXPECT_EQ(EACCES, try(fd, BLKBSZSET, &size));
	EXPECT_EQ(EACCES, try(fd, BLKFLSBUF, NULL));
	/* A child: who has threads, of the kernel's own even, may not leave a namespace. */
	pid = fork();
	if (!pid)
		_exit(write_by_uring(fd));
	EXPECT_EQ(0, test_reap(pid));
}

TEST_F(holder, of_a_descriptor_for_reading_reads)
{
	expect_no_writing(_metadata, self->reader);
	EXPECT_EQ(0, test_check_pattern(self->reader, 0, SIZE, 1));
}

/* The inode is the user's, and its mode does not matter. */
TEST_F(holder, of_a_read_only_device_never_writes)
{
	int writable = 0, node;
	char path[64];

	expect_no_writing(_metadata, self->ro_dev);
	EXPECT_EQ(EACCES, try(self->ro_dev, BLKROSET, &writable));
	EXPECT_EQ(0, fchmod(self->ro_dev, 0666));
	EXPECT_EQ(-EROFS, test_reopen(self->ro_dev, O_RDWR));
	EXPECT_EQ(-EROFS, test_reopen(self->ro_dev, O_WRONLY));
	snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/%d", getpid(), getpid(),
		 self->ro_dev);
	node = open(path, O_RDWR | O_CLOEXEC);
	EXPECT_EQ(-1, node);
	EXPECT_EQ(EROFS, errno);
	/* Nor as root of a user namespace. */
	ASSERT_EQ(0, test_enter_user_namespace(0));
	EXPECT_EQ(-EROFS, test_reopen(self->ro_dev, O_RDWR));
	EXPECT_EQ(EACCES, try(self->ro_dev, BLKROSET, &writable));
}

/* How many files in the directory the caller can open for writing. */
static int count_writable(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int count = 0, fd;

	while (dir && (entry = readdir(dir))) {
		fd = entry->d_type == DT_REG ?
		     openat(dirfd(dir), entry->d_name, O_WRONLY | O_CLOEXEC) : -1;
		if (fd < 0)
			continue;
		fprintf(stderr, "# %s/%s can be written\n", directory, entry->d_name);
		close(fd);
		count++;
	}
	if (dir)
		closedir(dir);
	return dir ? count : -1;
}

TEST_F(holder, writes_nothing_in_sysfs)
{
	static const char *const names[] = { "", "/queue", "/blkfd", "/bdi" };
	char path[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/sys/block/blkfd%ju%s",
			 (uintmax_t)self->id, names[i]);
		EXPECT_EQ(0, count_writable(path));
	}
	EXPECT_EQ(0, count_writable("/sys/module/blkfd/parameters"));
	EXPECT_EQ(0, count_writable("/proc/sys/dev/blkfd"));
}

TEST_F(holder, sees_no_path_in_sysfs)
{
	char path[256];

	EXPECT_EQ(-EACCES, test_attr(self->id, "blkfd/backing_file", path, sizeof(path)));
	EXPECT_LT(0, test_attr(self->id, "blkfd/stats", path, sizeof(path)));
}

/* What was never written is zeroes, whatever the buffer and the kernel's pages hold. */
TEST_F(holder, reads_no_memory_of_the_kernel)
{
	static char buf[64 * TEST_KIB] __attribute__((aligned(BLOCK)));
	int file = test_memfd(SIZE), dev, direct;

	dev = blkfd_create_by(self->control, file, NULL);
	ASSERT_LE(0, dev);
	direct = test_reopen(dev, O_RDWR | O_DIRECT);
	for (uint64_t at = 0; at < SIZE; at += sizeof(buf)) {
		memset(buf, 0xaa, sizeof(buf));
		ASSERT_EQ((ssize_t)sizeof(buf), pread(direct, buf, sizeof(buf), at));
		for (size_t i = 0; i < sizeof(buf); i++)
			ASSERT_EQ(0, buf[i]);
	}
	EXPECT_EQ(0, test_check_zero(dev, 0, SIZE));
	memset(buf, 0xaa, sizeof(buf));
	ASSERT_EQ(0, ftruncate(file, BLOCK));
	EXPECT_EQ(-1, pread(direct, buf, BLOCK, SIZE / 2));
	EXPECT_EQ(EIO, errno);
	for (size_t i = 0; i < BLOCK; i++)
		ASSERT_EQ((char)0xaa, buf[i]);
}

/* Seals */

FIXTURE(sealed) {
	int file;
	int dev;
};

FIXTURE_VARIANT(sealed) {
	int seal;
};

FIXTURE_VARIANT_ADD(sealed, for_writing) {
	.seal = F_SEAL_WRITE,
};

FIXTURE_VARIANT_ADD(sealed, for_writing_in_future) {
	.seal = F_SEAL_FUTURE_WRITE,
};

FIXTURE_SETUP(sealed)
{
	int control = blkfd_control();

	ASSERT_LE(0, control);
	ASSERT_EQ(0, test_become(USER));
	self->file = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_EQ(0, ftruncate(self->file, SIZE));
	ASSERT_EQ(0, test_write_pattern(self->file, 0, SIZE, 1));
	ASSERT_EQ(0, fcntl(self->file, F_ADD_SEALS, variant->seal));
	self->dev = blkfd_create_by(control, self->file, NULL);
	ASSERT_LE(0, self->dev);
}

FIXTURE_TEARDOWN(sealed)
{
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, 1));
}

/* There is a device, of which all that is written fails. */
TEST_F(sealed, file_is_written_by_no_device)
{
	static char data[BLOCK] __attribute__((aligned(BLOCK)));
	uint64_t range[2] = { 0, BLOCK };
	int direct = test_reopen(self->dev, O_RDWR | O_DIRECT);

	ASSERT_LE(0, direct);
	EXPECT_EQ(-1, pwrite(direct, data, BLOCK, 0));
	EXPECT_EQ(EIO, errno);
	EXPECT_NE(0, try(direct, BLKDISCARD, range));
	EXPECT_NE(0, try(direct, BLKZEROOUT, range));
	EXPECT_EQ(BLOCK, pwrite(self->dev, data, BLOCK, 0));
	EXPECT_EQ(-1, fsync(self->dev));
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, 1));
}

TEST_HARNESS_MAIN
