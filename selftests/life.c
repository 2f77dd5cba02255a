// SPDX-License-Identifier: GPL-2.0
/*
 * A device ends with its last reference, whichever that is. Its backing file is
 * the only open one of a tmpfs: that this can be unmounted shows that the file
 * was released; that /sys/block/blkfdN goes shows that the device did.
 */
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define HOLD		TEST_DIR "/hold"
#define UPPER		TEST_DIR "/upper"
#define SIZE		(64 * TEST_MIB)

FIXTURE(lifetime) {
	int fd;
	uint64_t id;
};

FIXTURE_SETUP(lifetime)
{
	int backing;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_tmpfs(HOLD));
	ASSERT_EQ(0, mkdir(UPPER, 0755));
	backing = test_tmpfile(HOLD, SIZE);
	ASSERT_LE(0, backing);
	self->fd = test_create(backing, 0, 0, 0, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, close(backing));
	self->id = test_id(self->fd);
}

FIXTURE_TEARDOWN(lifetime)
{
}

static bool backing_released(void *arg)
{
	return !umount(HOLD);
}

#define ASSERT_ALIVE() do { \
	ASSERT_EQ(-1, umount(HOLD)); \
	ASSERT_EQ(EBUSY, errno); \
	ASSERT_TRUE(test_device_listed(self->id)); \
} while (0)

/* By the call that came before: nothing is waited for. */
#define EXPECT_GONE() do { \
	EXPECT_EQ(0, umount(HOLD)); \
	EXPECT_TRUE(test_wait_gone(self->id)); \
} while (0)

/* For what the kernel does in the background. */
#define EXPECT_GONE_SOON() do { \
	EXPECT_TRUE(test_wait(backing_released, NULL, TEST_TIMEOUT_MS)); \
	EXPECT_TRUE(test_wait_gone(self->id)); \
} while (0)

static bool loaded_again(void *arg)
{
	return !test_module_unload(TEST_MODULE) && !test_module_load(TEST_MODULE_PATH, "");
}

static int make_ext4(int fd)
{
	char path[TEST_PATH_MAX];

	test_fd_path(fd, path, sizeof(path));
	return test_mkfs("ext4", path);
}

/* Descriptors */

TEST_F(lifetime, gone_after_close)
{
	ASSERT_ALIVE();
	ASSERT_EQ(0, close(self->fd));
	EXPECT_GONE();
}

TEST_F(lifetime, gone_after_last_dup_closed)
{
	int copy = dup(self->fd);

	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	ASSERT_EQ(0, close(copy));
	EXPECT_GONE();
}

TEST_F(lifetime, gone_after_last_reopened_file_closed)
{
	char path[BLKFD_PATH_MAX];
	int copy;

	ASSERT_EQ(0, blkfd_path(self->fd, path, sizeof(path)));
	copy = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, copy);
	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	ASSERT_EQ(0, close(copy));
	EXPECT_GONE();
}

TEST_F(lifetime, o_path_descriptor_does_not_hold_it)
{
	char path[BLKFD_PATH_MAX];
	int name;

	ASSERT_EQ(0, blkfd_path(self->fd, path, sizeof(path)));
	name = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, name);
	ASSERT_EQ(0, close(self->fd));
	EXPECT_GONE();
}

/* Which has the inode, and by it the number, but neither device nor mount. */
static int watch(int fd)
{
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[BLKFD_PATH_MAX];

	if (watch < 0)
		return -errno;
	return blkfd_path(fd, path, sizeof(path)) ?:
	       inotify_add_watch(watch, path, IN_OPEN) < 0 ? -errno : watch;
}

/* What the kernel waits for here would be for ever, and everybody's sync() as well. */
TEST_F(lifetime, gone_though_it_was_watched)
{
	struct inotify_event events[4];
	int watcher = watch(self->fd);

	ASSERT_LE(0, watcher);
	ASSERT_EQ(0, close(self->fd));
	EXPECT_GONE();
	sync();
	EXPECT_LT(0, read(watcher, events, sizeof(events)));
	EXPECT_EQ(IN_UNMOUNT, events[0].mask);
	EXPECT_EQ(0, close(watcher));
	EXPECT_TRUE(test_wait(loaded_again, NULL, TEST_TIMEOUT_MS));
}

TEST_F(lifetime, watch_of_one_among_others_lasts)
{
	int backing = test_memfd(TEST_MIB), watcher = watch(self->fd);
	int other = test_create(backing, 0, 0, 0, 0);

	ASSERT_LE(0, other);
	ASSERT_LE(0, watcher);
	ASSERT_EQ(0, close(self->fd));
	EXPECT_GONE();
	ASSERT_EQ(0, close(other));
	EXPECT_EQ(0, close(watcher));
	sync();
	EXPECT_TRUE(test_wait(loaded_again, NULL, TEST_TIMEOUT_MS));
}

TEST_F(lifetime, watch_ends_with_the_name_of_a_dead_device)
{
	int watcher = watch(self->fd), name;
	char path[BLKFD_PATH_MAX];

	ASSERT_LE(0, watcher);
	ASSERT_EQ(0, blkfd_path(self->fd, path, sizeof(path)));
	name = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, name);
	ASSERT_EQ(0, close(self->fd));
	EXPECT_GONE();
	EXPECT_EQ(0, close(name));
	EXPECT_EQ(0, close(watcher));
	sync();
	EXPECT_TRUE(test_wait(loaded_again, NULL, TEST_TIMEOUT_MS));
}

/* A child that has the device, and blocks in read until it is ended. */
static pid_t fork_holder(int fd, int pipes[2])
{
	pid_t pid;
	char byte;

	if (pipe2(pipes, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid)
		return pid;
	close(pipes[1]);
	_exit(read(pipes[0], &byte, 1) < 0 || fcntl(fd, F_GETFD) < 0);
}

TEST_F(lifetime, gone_after_exit)
{
	int pipes[2];
	pid_t pid = fork_holder(self->fd, pipes);

	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	ASSERT_EQ(0, close(pipes[1]));
	ASSERT_EQ(0, test_reap(pid));
	EXPECT_GONE();
}

TEST_F(lifetime, gone_after_sigkill)
{
	int pipes[2];
	pid_t pid = fork_holder(self->fd, pipes);

	ASSERT_LE(0, pid);
	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(128 + SIGKILL, test_reap(pid));
	EXPECT_GONE();
}

/* cat echoes a byte: then the new program runs. */
static pid_t exec_cat(int in, int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	dup2(in, 0);
	dup2(out, 1);
	execlp("cat", "cat", NULL);
	_exit(1);
}

TEST_F(lifetime, gone_after_exec)
{
	int in[2], out[2];
	char byte = 'x';
	pid_t pid;

	ASSERT_EQ(0, pipe2(in, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(out, O_CLOEXEC));
	pid = exec_cat(in[0], out[1]);
	ASSERT_EQ(0, close(self->fd));
	ASSERT_EQ(1, write(in[1], &byte, 1));
	ASSERT_EQ(1, read(out[0], &byte, 1));
	EXPECT_GONE();
	ASSERT_EQ(0, close(in[1]));
	EXPECT_EQ(0, test_reap(pid));
}

TEST_F(lifetime, gone_when_lost_in_a_socket_queue)
{
	int socks[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	ASSERT_EQ(0, test_send_fd(socks[0], self->fd));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	ASSERT_EQ(0, close(socks[0]));
	ASSERT_ALIVE();
	ASSERT_EQ(0, close(socks[1]));
	EXPECT_GONE_SOON();
}

/* The end of any socket makes the kernel look for cycles. */
static bool collected(void *arg)
{
	int socks[2];

	if (!socketpair(AF_UNIX, SOCK_STREAM, 0, socks)) {
		close(socks[0]);
		close(socks[1]);
	}
	return backing_released(arg);
}

TEST_F(lifetime, gone_when_a_socket_cycle_is_collected)
{
	int socks[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	ASSERT_EQ(0, test_send_fd(socks[0], self->fd));
	ASSERT_EQ(0, test_send_fd(socks[0], socks[1]));
	ASSERT_EQ(0, test_send_fd(socks[1], socks[0]));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	ASSERT_EQ(0, close(socks[0]));
	ASSERT_EQ(0, close(socks[1]));
	EXPECT_TRUE(test_wait(collected, NULL, TEST_TIMEOUT_MS));
	EXPECT_TRUE(test_wait_gone(self->id));
}

TEST_F(lifetime, gone_after_munmap)
{
	char *map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, close(self->fd));
	map[4096] = 1;
	ASSERT_ALIVE();
	ASSERT_EQ(0, munmap(map, 65536));
	EXPECT_GONE();
}

TEST_F(lifetime, gone_with_the_ring_it_is_registered_in)
{
	struct io_uring ring;

	ASSERT_EQ(0, io_uring_queue_init(4, &ring, 0));
	ASSERT_EQ(0, io_uring_register_files(&ring, &self->fd, 1));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	io_uring_queue_exit(&ring);
	EXPECT_GONE_SOON();
}

/* Mounts */

TEST_F(lifetime, gone_after_umount)
{
	ASSERT_EQ(0, make_ext4(self->fd));
	ASSERT_EQ(0, blkfd_mount(self->fd, "ext4", NULL, 0, UPPER, NULL, 0));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	ASSERT_EQ(0, umount(UPPER));
	EXPECT_GONE();
}

TEST_F(lifetime, gone_after_close_that_follows_umount)
{
	ASSERT_EQ(0, make_ext4(self->fd));
	ASSERT_EQ(0, blkfd_mount(self->fd, "ext4", NULL, 0, UPPER, NULL, 0));
	ASSERT_EQ(0, umount(UPPER));
	ASSERT_ALIVE();
	ASSERT_EQ(0, close(self->fd));
	EXPECT_GONE();
}

TEST_F(lifetime, gone_after_last_file_of_a_lazily_unmounted_one)
{
	int file;

	ASSERT_EQ(0, make_ext4(self->fd));
	ASSERT_EQ(0, blkfd_mount(self->fd, "ext4", NULL, 0, UPPER, NULL, 0));
	ASSERT_EQ(0, close(self->fd));
	file = test_file(UPPER "/file", 4096, 0);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, umount2(UPPER, MNT_DETACH));
	ASSERT_ALIVE();
	ASSERT_EQ(0, test_write_pattern(file, 0, 4096, 1));
	ASSERT_EQ(0, close(file));
	EXPECT_GONE();
}

/* A child whose mount namespace alone has the device mounted. */
static pid_t fork_mounter(int fd, int ready[2], int end[2])
{
	char byte = 0;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) || pipe2(end, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid)
		return pid;
	close(end[1]);
	if (unshare(CLONE_NEWNS) ||
	    blkfd_mount(fd, "ext4", NULL, 0, UPPER, NULL, 0))
		_exit(1);
	close(fd);
	if (write(ready[1], &byte, 1) != 1)
		_exit(1);
	_exit(read(end[0], &byte, 1) != 0);
}

TEST_F(lifetime, gone_after_its_mount_namespace)
{
	int ready[2], end[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, make_ext4(self->fd));
	pid = fork_mounter(self->fd, ready, end);
	ASSERT_EQ(0, close(ready[1]));
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	ASSERT_EQ(0, close(end[1]));
	ASSERT_EQ(0, test_reap(pid));
	EXPECT_GONE();
}

TEST_F(lifetime, gone_after_its_mounter_was_killed)
{
	int ready[2], end[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, make_ext4(self->fd));
	pid = fork_mounter(self->fd, ready, end);
	ASSERT_EQ(0, close(ready[1]));
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(128 + SIGKILL, test_reap(pid));
	EXPECT_GONE();
}

TEST_F(lifetime, gone_after_detached_mount_closed)
{
	int mount;

	ASSERT_EQ(0, make_ext4(self->fd));
	mount = blkfd_fsmount(self->fd, "ext4", NULL, 0);
	ASSERT_LE(0, mount);
	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	ASSERT_EQ(0, close(mount));
	EXPECT_GONE();
}

/* Device-mapper */

static int dm_create(const char *name, int fd)
{
	struct blkfd_info info;
	char table[128];
	int ret;

	ret = test_info(fd, &info);
	if (ret)
		return ret;
	snprintf(table, sizeof(table), "0 %llu linear %u:%u 0",
		 info.length / 512, info.dev_major, info.dev_minor);
	return test_command("dmsetup", "create", name, "--noudevsync",
			    "--table", table);
}

TEST_F(lifetime, gone_after_dm_table_removed)
{
	ASSERT_EQ(0, dm_create("blkfd-life", self->fd));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_ALIVE();
	ASSERT_EQ(0, test_dm_remove("blkfd-life"));
	EXPECT_GONE();
}

/* More than one */

static int create_windows(const char *dir, int count)
{
	int backing = test_tmpfile(dir, count * 4096);

	for (int i = 0; i < count; i++)
		if (test_create(backing, 0, i * 4096, 4096, 0) < 0)
			return -1;
	return 0;
}

TEST_F(lifetime, hundred_devices_gone_after_sigkill)
{
	int ready[2];
	pid_t pid;
	char byte;

	ASSERT_EQ(0, close(self->fd));
	ASSERT_TRUE(test_wait_none());
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		if (create_windows(HOLD, 100) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(0, close(ready[1]));
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_EQ(100, test_count_devices());
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(128 + SIGKILL, test_reap(pid));
	EXPECT_EQ(0, umount(HOLD));
	EXPECT_TRUE(test_wait_none());
}

TEST_F(lifetime, window_ends_without_its_neighbour)
{
	int backing = test_tmpfile(HOLD, 8192), left, right;
	uint64_t id;

	left = test_create(backing, 0, 0, 4096, 0);
	right = test_create(backing, 0, 4096, 4096, 0);
	ASSERT_LE(0, left);
	ASSERT_LE(0, right);
	id = test_id(left);
	ASSERT_EQ(0, close(left));
	EXPECT_TRUE(test_wait_gone(id));
	EXPECT_TRUE(test_device_listed(test_id(right)));
	EXPECT_EQ(0, test_write_pattern(right, 0, 4096, 1));
}

/* What was written is there after the last close, without any sync. */

TEST(dirty_data_is_written_by_the_last_close)
{
	int backing = test_memfd(8 * TEST_MIB), fd;

	fd = test_create(backing, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_write_pattern(fd, 0, 8 * TEST_MIB, 7));
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(0, test_check_pattern(backing, 0, 8 * TEST_MIB, 7));
}

TEST(dirty_mapping_is_written_by_munmap_of_the_last_reference)
{
	int backing = test_memfd(TEST_MIB), fd;
	char *map;

	fd = test_create(backing, 0, 0, 0, 0);
	map = mmap(NULL, TEST_MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, close(fd));
	test_fill(map, TEST_MIB, 0, 8);
	ASSERT_EQ(0, munmap(map, TEST_MIB));
	EXPECT_EQ(0, test_check_pattern(backing, 0, TEST_MIB, 8));
}

/* The module */

TEST_F(lifetime, module_is_pinned_by_a_descriptor)
{
	EXPECT_EQ(-EWOULDBLOCK, test_module_unload(TEST_MODULE));
	EXPECT_EQ(self->id, test_id(self->fd));
}

TEST_F(lifetime, module_is_pinned_by_a_mount)
{
	ASSERT_EQ(0, make_ext4(self->fd));
	ASSERT_EQ(0, blkfd_mount(self->fd, "ext4", NULL, 0, UPPER, NULL, 0));
	ASSERT_EQ(0, close(self->fd));
	EXPECT_EQ(-EWOULDBLOCK, test_module_unload(TEST_MODULE));
	ASSERT_EQ(0, umount(UPPER));
	EXPECT_GONE();
}

TEST_F(lifetime, module_is_pinned_by_the_control_file)
{
	int control = open("/dev/blkfd", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, control);
	ASSERT_EQ(0, close(self->fd));
	ASSERT_TRUE(test_wait_none());
	EXPECT_EQ(-EWOULDBLOCK, test_module_unload(TEST_MODULE));
}

TEST_F(lifetime, module_goes_and_comes_when_all_is_closed)
{
	int backing = test_memfd(TEST_MIB), fd;

	ASSERT_EQ(0, close(self->fd));
	ASSERT_TRUE(test_wait_none());
	ASSERT_TRUE(test_wait(loaded_again, NULL, TEST_TIMEOUT_MS));
	fd = test_create(backing, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, test_write_pattern(fd, 0, 4096, 1));
}

/* Husks are still on their way out when the module goes. */
TEST_F(lifetime, module_goes_right_after_many_closes)
{
	pid_t pid = fork();

	if (!pid)
		_exit(create_windows(HOLD, 20) ? 1 : 0);
	ASSERT_EQ(0, test_reap(pid));
	ASSERT_EQ(0, close(self->fd));
	EXPECT_TRUE(test_wait(loaded_again, NULL, TEST_TIMEOUT_MS));
}

TEST_F(lifetime, module_goes_only_after_names_of_dead_devices)
{
	char path[BLKFD_PATH_MAX];
	struct stat st;
	int name;

	ASSERT_EQ(0, blkfd_path(self->fd, path, sizeof(path)));
	name = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, name);
	ASSERT_EQ(0, close(self->fd));
	EXPECT_EQ(-EWOULDBLOCK, test_module_unload(TEST_MODULE));
	EXPECT_EQ(0, fstat(name, &st));
	ASSERT_EQ(0, blkfd_path(name, path, sizeof(path)));
	EXPECT_EQ(-1, open(path, O_RDONLY | O_CLOEXEC));
	EXPECT_EQ(ENXIO, errno);
	ASSERT_EQ(0, close(name));
	EXPECT_TRUE(test_wait(loaded_again, NULL, TEST_TIMEOUT_MS));
}

TEST_HARNESS_MAIN
