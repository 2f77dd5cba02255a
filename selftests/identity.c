// SPDX-License-Identifier: GPL-2.0
/*
 * A descriptor, an inode and a device number name one device for ever: none of
 * them leads to another one, whoever asks and whenever.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define SIZE		(16 * TEST_MIB)
#define NOBODY		65534
#define MANY		200

FIXTURE(identity) {
	int backing;
	int fd;
	char path[BLKFD_PATH_MAX];
};

FIXTURE_SETUP(identity)
{
	ASSERT_EQ(0, test_private_mounts());
	self->backing = test_memfd(SIZE);
	self->fd = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, blkfd_path(self->fd, self->path, sizeof(self->path)));
}

FIXTURE_TEARDOWN(identity)
{
}

/* 0 if it opened (and was closed again), or -errno. */
static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static dev_t number_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_rdev;
}

static dev_t create_and_close(int backing)
{
	int fd = test_create(backing, 0, 0, 0, 0);
	dev_t number = number_of(fd);

	close(fd);
	return number;
}

/* What the descriptor says */

TEST_F(identity, descriptor_is_a_block_device_of_that_number)
{
	struct blkfd_info info;
	struct stat st;

	ASSERT_EQ(0, fstat(self->fd, &st));
	ASSERT_EQ(0, test_info(self->fd, &info));
	EXPECT_TRUE(S_ISBLK(st.st_mode));
	EXPECT_EQ(makedev(info.dev_major, info.dev_minor), st.st_rdev);
}

TEST_F(identity, owner_is_the_creator_and_mode_0600)
{
	struct stat st;

	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(geteuid(), st.st_uid);
	EXPECT_EQ(getegid(), st.st_gid);
	EXPECT_EQ(0600, st.st_mode & 07777);
}

TEST_F(identity, owner_is_an_unprivileged_creator)
{
	struct blkfd_create arg = { .fd = self->backing };
	int control = open("/dev/blkfd", O_RDWR | O_CLOEXEC), fd;
	struct stat st;

	ASSERT_LE(0, control);
	ASSERT_EQ(0, setresgid(NOBODY, NOBODY, NOBODY));
	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, NOBODY));
	fd = ioctl(control, BLKFD_CREATE, &arg);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(NOBODY, st.st_uid);
	EXPECT_EQ(NOBODY, st.st_gid);
}

TEST_F(identity, link_text_is_no_path)
{
	char text[64], wanted[64];
	ssize_t len = readlink(self->path, text, sizeof(text) - 1);

	ASSERT_LT(0, len);
	text[len] = 0;
	snprintf(wanted, sizeof(wanted), "blkfd:[%llu]",
		 (unsigned long long)test_id(self->fd));
	EXPECT_STREQ(wanted, text);
}

TEST_F(identity, fdinfo_can_be_read)
{
	char path[64], text[1024];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	len = read(fd, text, sizeof(text) - 1);
	ASSERT_LT(0, len);
	text[len] = 0;
	EXPECT_NE(NULL, strstr(text, "pos:\t0\n"));
}

TEST_F(identity, two_devices_on_one_file_differ)
{
	int other = test_create(self->backing, 0, 0, 0, 0);

	ASSERT_LE(0, other);
	EXPECT_NE(test_id(self->fd), test_id(other));
	EXPECT_NE(number_of(self->fd), number_of(other));
}

/* Opening it again */

FIXTURE(reopen) {
	int backing;
	int fd;
	char path[64];
};

FIXTURE_VARIANT(reopen) {
	const char *format;
};

FIXTURE_VARIANT_ADD(reopen, proc_self_fd) {
	.format = "/proc/self/fd/%d",
};

FIXTURE_VARIANT_ADD(reopen, dev_fd) {
	.format = "/dev/fd/%d",
};

FIXTURE_SETUP(reopen)
{
	self->backing = test_memfd(SIZE);
	self->fd = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_LE(0, self->fd);
	snprintf(self->path, sizeof(self->path), variant->format, self->fd);
}

FIXTURE_TEARDOWN(reopen)
{
}

TEST_F(reopen, for_writing_is_the_same_device)
{
	int fd = open(self->path, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(test_id(self->fd), test_id(fd));
	EXPECT_EQ(0, test_write_pattern(fd, 0, 4096, 1));
	EXPECT_EQ(0, test_check_pattern(self->fd, 0, 4096, 1));
}

TEST_F(reopen, for_reading_gives_no_write)
{
	int fd = open(self->path, O_RDONLY | O_CLOEXEC);
	char block[512] = "";

	ASSERT_LE(0, fd);
	EXPECT_EQ(test_id(self->fd), test_id(fd));
	EXPECT_EQ(0, test_check_zero(fd, 0, 4096));
	EXPECT_EQ(-1, pwrite(fd, block, sizeof(block), 0));
	EXPECT_EQ(EBADF, errno);
}

TEST_F(reopen, exclusively_works_once)
{
	int fd = open(self->path, O_RDWR | O_EXCL | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBUSY, try_open(self->path, O_RDWR | O_EXCL));
	EXPECT_EQ(-EBUSY, try_open(self->path, O_RDONLY | O_EXCL));
	EXPECT_EQ(0, try_open(self->path, O_RDWR));
	close(fd);
	EXPECT_EQ(0, try_open(self->path, O_RDWR | O_EXCL));
}

TEST_F(reopen, with_o_direct_works)
{
	int fd = open(self->path, O_RDWR | O_DIRECT | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, test_write_pattern(fd, 0, 65536, 2));
	EXPECT_EQ(0, test_check_pattern(fd, 0, 65536, 2));
}

TEST_F(reopen, of_a_read_only_device_for_writing_is_erofs)
{
	char path[64];
	int fd = test_create(self->backing, BLKFD_F_RDONLY, 0, 0, 0);

	ASSERT_LE(0, fd);
	snprintf(path, sizeof(path), variant->format, fd);
	EXPECT_EQ(-EROFS, try_open(path, O_RDWR));
	EXPECT_EQ(-EROFS, try_open(path, O_WRONLY));
	EXPECT_EQ(0, try_open(path, O_RDONLY));
}

/* A child of another user, who may look at its own descriptors. */
static int open_as_nobody(const char *path, int flags)
{
	pid_t pid = fork();

	if (pid)
		return -test_reap(pid);
	if (setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY) ||
	    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
		_exit(255);
	_exit(-try_open(path, flags));
}

TEST_F(reopen, by_another_user_is_eacces)
{
	EXPECT_EQ(-EACCES, open_as_nobody(self->path, O_RDONLY));
	EXPECT_EQ(-EACCES, open_as_nobody(self->path, O_RDWR));
}

TEST_F(reopen, by_another_user_is_up_to_fchmod)
{
	ASSERT_EQ(0, fchmod(self->fd, 0644));
	EXPECT_EQ(0, open_as_nobody(self->path, O_RDONLY));
	EXPECT_EQ(-EACCES, open_as_nobody(self->path, O_RDWR));
	ASSERT_EQ(0, fchmod(self->fd, 0666));
	EXPECT_EQ(0, open_as_nobody(self->path, O_RDWR));
}

TEST_F(reopen, by_another_user_is_up_to_fchown)
{
	ASSERT_EQ(0, fchown(self->fd, NOBODY, NOBODY));
	EXPECT_EQ(0, open_as_nobody(self->path, O_RDWR));
}

/* Another process */

TEST_F(identity, descriptor_works_in_another_process)
{
	uint64_t id = test_id(self->fd);
	int socks[2], fd;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks));
	pid = fork();
	if (!pid) {
		close(self->fd);
		fd = test_recv_fd(socks[1]);
		_exit(test_id(fd) != id || test_write_pattern(fd, 0, 4096, 3));
	}
	ASSERT_EQ(0, test_send_fd(socks[0], self->fd));
	ASSERT_EQ(0, test_reap(pid));
	EXPECT_EQ(0, test_check_pattern(self->fd, 0, 4096, 3));
}

/* Inodes that outlive their device */

FIXTURE(stale) {
	int backing;
	int name;
	dev_t number;
	uint64_t id;
	char path[BLKFD_PATH_MAX];
};

/* The image is mountable, so that a mount fails for want of the device alone. */
FIXTURE_SETUP(stale)
{
	char path[TEST_PATH_MAX];
	int fd;

	ASSERT_EQ(0, test_private_mounts());
	self->backing = test_memfd(SIZE);
	fd = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	self->number = number_of(fd);
	self->id = test_id(fd);
	test_fd_path(fd, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	self->name = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, self->name);
	ASSERT_EQ(0, blkfd_path(self->name, self->path, sizeof(self->path)));
	ASSERT_EQ(0, try_open(self->path, O_RDWR));
	ASSERT_EQ(0, close(fd));
}

FIXTURE_TEARDOWN(stale)
{
}

TEST_F(stale, open_is_enxio)
{
	EXPECT_EQ(-ENXIO, try_open(self->path, O_RDONLY));
	EXPECT_EQ(-ENXIO, try_open(self->path, O_RDWR));
	EXPECT_EQ(-ENXIO, try_open(self->path, O_RDWR | O_EXCL));
	ASSERT_TRUE(test_wait_gone(self->id));
	EXPECT_EQ(-ENXIO, try_open(self->path, O_RDONLY));
	EXPECT_EQ(-ENXIO, try_open(self->path, O_RDWR));
}

TEST_F(stale, mount_is_enxio)
{
	EXPECT_EQ(-1, mount(self->path, TEST_DIR, "ext4", 0, NULL));
	EXPECT_EQ(ENXIO, errno);
	ASSERT_TRUE(test_wait_gone(self->id));
	EXPECT_EQ(-1, mount(self->path, TEST_DIR, "ext4", 0, NULL));
	EXPECT_EQ(ENXIO, errno);
}

TEST_F(stale, stat_and_link_still_work)
{
	struct stat st;
	char text[64];

	ASSERT_TRUE(test_wait_gone(self->id));
	EXPECT_EQ(0, fstat(self->name, &st));
	EXPECT_TRUE(S_ISBLK(st.st_mode));
	EXPECT_LT(0, readlink(self->path, text, sizeof(text)));
}

TEST_F(stale, never_leads_to_one_of_many_later_devices)
{
	int fds[MANY];

	ASSERT_TRUE(test_wait_gone(self->id));
	for (int i = 0; i < MANY; i++) {
		fds[i] = test_create(self->backing, 0, 0, 0, 0);
		ASSERT_LE(0, fds[i]);
		EXPECT_NE(self->number, number_of(fds[i]));
		EXPECT_NE(self->id, test_id(fds[i]));
	}
	EXPECT_EQ(-ENXIO, try_open(self->path, O_RDONLY));
	EXPECT_EQ(-1, mount(self->path, TEST_DIR, "ext4", 0, NULL));
	EXPECT_EQ(ENXIO, errno);
}

static int compare_numbers(const void *a, const void *b)
{
	dev_t left = *(const dev_t *)a, right = *(const dev_t *)b;

	return (left > right) - (left < right);
}

TEST_F(identity, numbers_rest_after_use)
{
	dev_t numbers[MANY];

	for (int i = 0; i < MANY; i++)
		numbers[i] = create_and_close(self->backing);
	qsort(numbers, MANY, sizeof(*numbers), compare_numbers);
	for (int i = 1; i < MANY; i++)
		EXPECT_NE(numbers[i - 1], numbers[i]);
}

/* In what order they come depends on which spare disk was there first. */
TEST_F(identity, ids_are_not_used_again)
{
	uint64_t ids[20];

	for (int i = 0; i < 20; i++) {
		int fd = test_create(self->backing, 0, 0, 0, 0);

		ids[i] = test_id(fd);
		EXPECT_NE(test_id(self->fd), ids[i]);
		for (int before = 0; before < i; before++)
			EXPECT_NE(ids[before], ids[i]);
		close(fd);
	}
}

/* Opens by name until that fails: 0 if it is by ENXIO and never by another id. */
static int open_until_gone(const char *path, uint64_t id)
{
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return errno != ENXIO;
		if (test_id(fd) != id)
			return 2;
		close(fd);
	}
}

TEST_F(identity, open_that_races_with_the_last_close_is_enxio_or_it)
{
	char path[TEST_PATH_MAX], byte = 0;
	int ready[2], fd, name;
	pid_t pid;

	for (int i = 0; i < 20; i++) {
		fd = test_create(self->backing, 0, 0, 0, 0);
		test_fd_path(fd, path, sizeof(path));
		name = open(path, O_PATH | O_CLOEXEC);
		ASSERT_EQ(0, blkfd_path(name, path, sizeof(path)));
		ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
		pid = fork();
		if (!pid) {
			uint64_t id = test_id(fd);

			close(fd);
			if (write(ready[1], &byte, 1) != 1)
				_exit(3);
			_exit(open_until_gone(path, id));
		}
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		ASSERT_EQ(0, close(fd));
		EXPECT_EQ(0, test_reap(pid));
		close(name);
		close(ready[0]);
		close(ready[1]);
	}
}

/* Nodes */

static int export_node(int fd)
{
	int dir = open(TEST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = blkfd_export_node(fd, dir, "node", 0600);

	close(dir);
	return ret;
}

TEST_F(identity, exported_node_opens_the_device)
{
	int fd;

	ASSERT_EQ(0, export_node(self->fd));
	fd = open(TEST_DIR "/node", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(test_id(self->fd), test_id(fd));
}

TEST_F(identity, node_holds_no_reference_and_names_nothing_after)
{
	uint64_t id = test_id(self->fd);

	ASSERT_EQ(0, export_node(self->fd));
	ASSERT_EQ(0, close(self->fd));
	EXPECT_EQ(-ENXIO, try_open(TEST_DIR "/node", O_RDONLY));
	EXPECT_TRUE(test_wait_gone(id));
	EXPECT_EQ(-ENXIO, try_open(TEST_DIR "/node", O_RDONLY));
	EXPECT_EQ(-ENXIO, try_open(TEST_DIR "/node", O_RDWR));
}

TEST_F(identity, file_opened_by_a_node_holds_the_device)
{
	uint64_t id = test_id(self->fd);
	int fd;

	ASSERT_EQ(0, mknod(TEST_DIR "/node", S_IFBLK | 0600,
			   number_of(self->fd)));
	fd = open(TEST_DIR "/node", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, close(self->fd));
	EXPECT_EQ(id, test_id(fd));
	EXPECT_EQ(0, test_check_zero(fd, 0, 4096));
	ASSERT_EQ(0, close(fd));
	EXPECT_TRUE(test_wait_gone(id));
}

TEST_F(identity, node_of_a_number_that_nobody_had_is_enxio)
{
	dev_t number = makedev(major(number_of(self->fd)), (1 << 20) - 1);

	ASSERT_EQ(0, mknod(TEST_DIR "/node", S_IFBLK | 0600, number));
	EXPECT_EQ(-ENXIO, try_open(TEST_DIR "/node", O_RDONLY));
}

TEST_HARNESS_MAIN
