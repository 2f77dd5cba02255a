// SPDX-License-Identifier: GPL-2.0
/*
 * Instances: control files that may do less, and what they are handed on by.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "testlib.h"

#define SIZE		TEST_MIB
#define PATH		TEST_DIR "/blkfd"
#define USER		61000
#define ALL_BLOCKS	0x1fe00

FIXTURE(instance) {
	int control;
	int backing;
};

static int create(int control, int backing)
{
	struct blkfd_create arg = { .fd = backing };

	return test_create_by(control, &arg);
}

static int create_flags(int control, int backing, uint32_t flags)
{
	struct blkfd_create arg = { .fd = backing, .flags = flags };

	return test_create_by(control, &arg);
}

static int create_length(int control, int backing, uint64_t length)
{
	struct blkfd_create arg = { .fd = backing, .length = length };

	return test_create_by(control, &arg);
}

static int new_instance(int control, const struct blkfd_instance *bounds)
{
	int fd = ioctl(control, BLKFD_NEW_INSTANCE, bounds);

	return fd < 0 ? -errno : fd;
}

static int unbounded(int control)
{
	struct blkfd_instance bounds = { };

	return new_instance(control, &bounds);
}

static int revoke_instance(int control, int instance)
{
	struct blkfd_revoke arg = { .fd = instance };

	return ioctl(control, BLKFD_REVOKE, &arg) ? -errno : 0;
}

static int resize(int fd, uint64_t length)
{
	struct blkfd_resize arg = { .length = length };

	return ioctl(fd, BLKFD_RESIZE, &arg) ? -errno : 0;
}

static struct blkfd_instance get(int control)
{
	struct blkfd_instance instance;

	memset(&instance, 0xff, sizeof(instance));
	ioctl(control, BLKFD_GET_INSTANCE, &instance);
	return instance;
}

static bool is_empty(void *control)
{
	struct blkfd_instance instance = get(*(int *)control);

	return !instance.devices && !instance.bytes;
}

FIXTURE_SETUP(instance)
{
	self->control = open("/dev/blkfd", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->control);
	self->backing = test_memfd(SIZE);
	ASSERT_LE(0, self->backing);
	ASSERT_TRUE(test_wait(is_empty, &self->control, TEST_TIMEOUT_MS));
}

FIXTURE_TEARDOWN(instance)
{
	EXPECT_EQ(0, test_write_text("/proc/sys/dev/blkfd/max_user_devices",
				     "1024"));
}

TEST_F(instance, of_dev_blkfd_is_bounded_by_the_kernel_alone)
{
	struct blkfd_instance instance = get(self->control);

	EXPECT_EQ(0, instance.flags);
	EXPECT_EQ(0, instance.denied_flags);
	EXPECT_EQ(ALL_BLOCKS, instance.block_sizes);
	EXPECT_EQ(1 << 20, instance.max_devices);
	EXPECT_EQ(UINT64_MAX, instance.max_bytes);
	EXPECT_EQ(0, instance.zero);
}

TEST_F(instance, makes_devices)
{
	int instance = unbounded(self->control), fd;

	ASSERT_LE(0, instance);
	EXPECT_EQ(FD_CLOEXEC, fcntl(instance, F_GETFD));
	fd = create(instance, self->backing);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, test_write_pattern(fd, 0, SIZE, 1));
	EXPECT_EQ(1, get(instance).devices);
	EXPECT_EQ(SIZE, get(instance).bytes);
	EXPECT_EQ(1, get(self->control).devices);
	EXPECT_EQ(SIZE, get(self->control).bytes);
	close(fd);
	EXPECT_TRUE(test_wait(is_empty, &instance, TEST_TIMEOUT_MS));
	EXPECT_TRUE(test_wait(is_empty, &self->control, TEST_TIMEOUT_MS));
}

TEST_F(instance, bounds_devices)
{
	struct blkfd_instance bounds = { .max_devices = 2 };
	int instance = new_instance(self->control, &bounds), fds[2];

	ASSERT_LE(0, instance);
	for (int i = 0; i < 2; i++) {
		fds[i] = create(instance, self->backing);
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(-EDQUOT, create(instance, self->backing));
	EXPECT_LE(0, create(self->control, self->backing));
	for (int i = 0; i < 50; i++) {
		close(fds[0]);
		fds[0] = create(instance, self->backing);
		ASSERT_LE(0, fds[0]);
	}
}

TEST_F(instance, bounds_bytes)
{
	struct blkfd_instance bounds = { .max_bytes = SIZE };
	int instance = new_instance(self->control, &bounds), fds[2];

	ASSERT_LE(0, instance);
	fds[0] = create_length(instance, self->backing, SIZE / 2);
	ASSERT_LE(0, fds[0]);
	EXPECT_EQ(-EDQUOT, create(instance, self->backing));
	fds[1] = create_length(instance, self->backing, SIZE / 2);
	ASSERT_LE(0, fds[1]);
	EXPECT_EQ(-EDQUOT, create_length(instance, self->backing, 512));
	EXPECT_EQ(SIZE, get(instance).bytes);
}

TEST_F(instance, bounds_bytes_of_what_grows)
{
	struct blkfd_instance bounds = { .max_bytes = SIZE };
	int instance = new_instance(self->control, &bounds), fds[2];
	struct blkfd_info info;

	ASSERT_LE(0, instance);
	for (int i = 0; i < 2; i++) {
		fds[i] = create_length(instance, self->backing, SIZE / 2);
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(-EDQUOT, resize(fds[0], SIZE / 2 + 512));
	EXPECT_EQ(-EDQUOT, resize(fds[0], 0));
	ASSERT_EQ(0, test_info(fds[0], &info));
	EXPECT_EQ(SIZE / 2, info.length);
	ASSERT_EQ(0, resize(fds[1], SIZE / 4));
	EXPECT_EQ(3 * SIZE / 4, get(instance).bytes);
	EXPECT_EQ(0, resize(fds[0], 3 * SIZE / 4));
	EXPECT_EQ(SIZE, get(instance).bytes);
	EXPECT_EQ(-EDQUOT, resize(fds[1], SIZE / 2));
	close(fds[0]);
	close(fds[1]);
	EXPECT_TRUE(test_wait(is_empty, &instance, TEST_TIMEOUT_MS));
}

/* As over a full file system, which what is dirty at the end cannot be written to. */
TEST_F(instance, bounds_bytes_by_what_has_grown_and_no_attempt)
{
	int instance = unbounded(self->control), file, fd, ret;
	const uint64_t length = SIZE / 2 + 512;

	ASSERT_LE(0, instance);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mount("tmpfs", TEST_DIR, "tmpfs", 0, "size=64k"));
	file = test_tmpfile(TEST_DIR, SIZE);
	ASSERT_EQ(0, test_write_pattern(file, 0, 64 * TEST_KIB, 1));
	fd = create_length(instance, file, length);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_write_pattern(fd, length - 512, 512, 1));
	ret = resize(fd, SIZE);
	EXPECT_TRUE(ret == -ENOSPC || ret == -EIO);
	EXPECT_EQ(length, get(instance).bytes);
}

/* What was closed a moment ago does not count. */
TEST_F(instance, bounds_bytes_of_what_grows_at_once)
{
	struct blkfd_instance bounds = { .max_bytes = SIZE };
	int instance = new_instance(self->control, &bounds), fds[2];

	ASSERT_LE(0, instance);
	fds[0] = create_length(instance, self->backing, SIZE / 2);
	ASSERT_LE(0, fds[0]);
	for (int i = 0; i < 50; i++) {
		fds[1] = create_length(instance, self->backing, SIZE / 2);
		ASSERT_LE(0, fds[1]);
		close(fds[1]);
		ASSERT_EQ(0, resize(fds[0], SIZE));
		ASSERT_EQ(0, resize(fds[0], SIZE / 2));
	}
}

/* Two files of all the bytes there can be take nothing from others. */
TEST_F(instance, bounds_no_bytes_unless_asked_to)
{
	int instance = unbounded(self->control), huge;

	ASSERT_LE(0, instance);
	huge = test_memfd(INT64_MAX & ~511LL);
	ASSERT_LE(0, huge);
	for (int i = 0; i < 3; i++)
		ASSERT_LE(0, create(instance, huge));
	EXPECT_LE(0, create(self->control, self->backing));
	EXPECT_LE(0, create(instance, self->backing));
}

TEST_F(instance, bounds_more_bytes_than_wrap)
{
	struct blkfd_instance bounds = { .max_bytes = UINT64_MAX - 1 };
	int instance = new_instance(self->control, &bounds), huge;

	ASSERT_LE(0, instance);
	huge = test_memfd(INT64_MAX & ~511LL);
	ASSERT_LE(0, huge);
	EXPECT_LE(0, create(instance, huge));
	EXPECT_LE(0, create(instance, huge));
	EXPECT_EQ(-EDQUOT, create(instance, huge));
}

/* Returns: how many devices were made, or what refused one, but for the bounds. */
static void *churn(void *arg)
{
	int instance = *(int *)arg, backing = test_memfd(SIZE), fd;
	int rounds = 200 / test_slowdown();
	intptr_t made = 0;

	for (int i = 0; i < rounds; i++) {
		fd = create_length(instance, backing, SIZE / 2);
		if (fd == -EDQUOT)
			continue;
		if (fd < 0) {
			made = fd;
			break;
		}
		made++;
		resize(fd, i % 2 ? SIZE : SIZE / 4);
		close(fd);
	}
	close(backing);
	return (void *)made;
}

TEST_F(instance, counts_right_under_contention)
{
	struct blkfd_instance bounds = {
		.max_devices = 3, .max_bytes = 2 * SIZE,
	};
	int instance = new_instance(self->control, &bounds);
	pthread_t threads[4];
	intptr_t total = 0;
	void *made;

	ASSERT_LE(0, instance);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &instance));
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &made);
		EXPECT_LE(0, (intptr_t)made);
		total += (intptr_t)made;
	}
	/* One that the others are always ahead of has none. */
	EXPECT_LT(0, total);
	EXPECT_TRUE(test_wait(is_empty, &instance, TEST_TIMEOUT_MS));
	EXPECT_TRUE(test_wait(is_empty, &self->control, TEST_TIMEOUT_MS));
}

TEST_F(instance, read_only_makes_no_other)
{
	struct blkfd_instance bounds = { .flags = BLKFD_INSTANCE_RDONLY };
	int instance = new_instance(self->control, &bounds), rdonly;

	ASSERT_LE(0, instance);
	EXPECT_EQ(-EPERM, create(instance, self->backing));
	EXPECT_LE(0, create_flags(instance, self->backing, BLKFD_F_RDONLY));
	rdonly = test_reopen(self->backing, O_RDONLY);
	ASSERT_LE(0, rdonly);
	EXPECT_LE(0, create(instance, rdonly));
	EXPECT_EQ(2, get(instance).devices);
}

TEST_F(instance, denies_flags)
{
	struct blkfd_instance bounds = {
		.denied_flags = BLKFD_F_DIRECT | BLKFD_F_NODISCARD,
	};
	int instance = new_instance(self->control, &bounds);

	ASSERT_LE(0, instance);
	EXPECT_EQ(-EPERM, create_flags(instance, self->backing,
				       BLKFD_F_NODISCARD));
	EXPECT_LE(0, create(instance, self->backing));
	/* What follows from read-only was not asked for. */
	EXPECT_LE(0, create_flags(instance, self->backing, BLKFD_F_RDONLY));
}

TEST_F(instance, bounds_block_sizes)
{
	struct blkfd_instance bounds = { .block_sizes = 1024 | 4096 };
	int instance = new_instance(self->control, &bounds);
	struct blkfd_create arg = { .fd = self->backing };

	ASSERT_LE(0, instance);
	EXPECT_EQ(-EPERM, test_create_by(instance, &arg));
	arg.block_size = 2048;
	EXPECT_EQ(-EPERM, test_create_by(instance, &arg));
	arg.block_size = 1024;
	EXPECT_LE(0, test_create_by(instance, &arg));
	arg.block_size = 4096;
	EXPECT_LE(0, test_create_by(instance, &arg));
}

TEST_F(instance, is_never_wider_than_what_is_around_it)
{
	struct blkfd_instance bounds = {
		.flags = BLKFD_INSTANCE_RDONLY,
		.denied_flags = BLKFD_F_DIRECT,
		.block_sizes = 512 | 4096,
		.max_devices = 3,
		.max_bytes = SIZE,
	}, wider = { };
	int outer = new_instance(self->control, &bounds), inner;
	struct blkfd_instance instance;

	ASSERT_LE(0, outer);
	wider.max_devices = 4;
	EXPECT_EQ(-EPERM, new_instance(outer, &wider));
	wider = (struct blkfd_instance) { .max_bytes = SIZE + 1 };
	EXPECT_EQ(-EPERM, new_instance(outer, &wider));
	wider = (struct blkfd_instance) { .block_sizes = 4096 | 8192 };
	EXPECT_EQ(-EPERM, new_instance(outer, &wider));

	wider = (struct blkfd_instance) { .denied_flags = BLKFD_F_NODISCARD };
	inner = new_instance(outer, &wider);
	ASSERT_LE(0, inner);
	instance = get(inner);
	EXPECT_EQ(BLKFD_INSTANCE_RDONLY, instance.flags);
	EXPECT_EQ(BLKFD_F_DIRECT | BLKFD_F_NODISCARD, instance.denied_flags);
	EXPECT_EQ(512 | 4096, instance.block_sizes);
	EXPECT_EQ(3, instance.max_devices);
	EXPECT_EQ(SIZE, instance.max_bytes);
	EXPECT_EQ(-EPERM, create(inner, self->backing));
}

TEST_F(instance, counts_for_all_around_it)
{
	struct blkfd_instance two = { .max_devices = 2 };
	int outer = new_instance(self->control, &two);
	int inner[2] = { unbounded(outer), unbounded(outer) };

	ASSERT_LE(0, outer);
	ASSERT_LE(0, inner[0]);
	ASSERT_LE(0, inner[1]);
	EXPECT_LE(0, create(inner[0], self->backing));
	EXPECT_LE(0, create(inner[1], self->backing));
	EXPECT_EQ(-EDQUOT, create(inner[0], self->backing));
	EXPECT_EQ(-EDQUOT, create(outer, self->backing));
	EXPECT_EQ(1, get(inner[0]).devices);
	EXPECT_EQ(2, get(outer).devices);
}

TEST_F(instance, nests_eight_deep)
{
	int instance = self->control, next;

	for (int i = 0; i < 8; i++) {
		next = unbounded(instance);
		ASSERT_LE(0, next);
		/* It holds what is around it. */
		if (instance != self->control)
			close(instance);
		instance = next;
	}
	EXPECT_EQ(-ELOOP, unbounded(instance));
	EXPECT_LE(0, create(instance, self->backing));
}

TEST_F(instance, is_held_by_its_devices)
{
	struct blkfd_instance two = { .max_devices = 2 };
	int outer = new_instance(self->control, &two), inner, fd;

	ASSERT_LE(0, outer);
	inner = unbounded(outer);
	ASSERT_LE(0, inner);
	fd = create(inner, self->backing);
	ASSERT_LE(0, fd);
	close(inner);
	EXPECT_EQ(0, test_write_pattern(fd, 0, SIZE, 1));
	EXPECT_EQ(1, get(outer).devices);
	close(fd);
	EXPECT_TRUE(test_wait(is_empty, &outer, TEST_TIMEOUT_MS));
}

TEST_F(instance, that_is_revoked_makes_nothing)
{
	int outer = unbounded(self->control), inner, fd;

	ASSERT_LE(0, outer);
	inner = unbounded(outer);
	ASSERT_LE(0, inner);
	fd = create_length(inner, self->backing, SIZE / 2);
	ASSERT_LE(0, fd);

	ASSERT_EQ(0, revoke_instance(self->control, outer));
	EXPECT_EQ(BLKFD_INSTANCE_REVOKED, get(outer).flags);
	EXPECT_EQ(BLKFD_INSTANCE_REVOKED, get(inner).flags);
	EXPECT_EQ(-ESTALE, create(outer, self->backing));
	EXPECT_EQ(-ESTALE, create(inner, self->backing));
	EXPECT_EQ(-ESTALE, unbounded(outer));
	EXPECT_EQ(-ESTALE, unbounded(inner));
	/* Its devices live on. */
	EXPECT_EQ(0, test_write_pattern(fd, 0, SIZE / 2, 1));
	EXPECT_EQ(0, resize(fd, SIZE));
	EXPECT_LE(0, create(self->control, self->backing));
	EXPECT_EQ(0, revoke_instance(self->control, outer));
}

TEST_F(instance, is_revoked_by_what_made_it_alone)
{
	int outer = unbounded(self->control), other = unbounded(self->control);
	int inner = unbounded(outer);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, inner);
	EXPECT_EQ(-EPERM, revoke_instance(outer, outer));
	EXPECT_EQ(-EPERM, revoke_instance(inner, outer));
	EXPECT_EQ(-EPERM, revoke_instance(other, outer));
	EXPECT_EQ(-EPERM, revoke_instance(other, inner));
	EXPECT_EQ(-EINVAL, revoke_instance(self->control, self->control));
	EXPECT_EQ(-EINVAL, revoke_instance(self->control, null));
	EXPECT_EQ(-EBADF, revoke_instance(self->control, -1));
	EXPECT_LE(0, create(inner, self->backing));
	/* At second hand, too. */
	EXPECT_EQ(0, revoke_instance(self->control, inner));
	EXPECT_EQ(-ESTALE, create(inner, self->backing));
	EXPECT_LE(0, create(outer, self->backing));
}

/* By who may not open /dev/blkfd. */
TEST_F(instance, can_be_sent)
{
	struct blkfd_instance two = { .max_devices = 2 };
	int instance = new_instance(self->control, &two), pair[2], fd;
	pid_t pid;

	ASSERT_LE(0, instance);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	if (!pid) {
		close(instance);
		close(self->control);
		if (test_become(USER) || open("/dev/blkfd", O_RDWR) >= 0)
			_exit(1);
		instance = test_recv_fd(pair[1]);
		if (create(instance, self->backing) < 0 ||
		    create(instance, self->backing) < 0)
			_exit(2);
		_exit(create(instance, self->backing) != -EDQUOT);
	}
	ASSERT_EQ(0, test_send_fd(pair[0], instance));
	EXPECT_EQ(0, test_reap(pid));
	fd = create(instance, self->backing);
	EXPECT_LE(0, fd);
}

TEST_F(instance, does_not_widen_the_users_limit)
{
	int instance = unbounded(self->control);

	ASSERT_LE(0, instance);
	ASSERT_EQ(0, test_write_text("/proc/sys/dev/blkfd/max_user_devices", "1"));
	EXPECT_LE(0, create(instance, self->backing));
	EXPECT_EQ(-EDQUOT, create(instance, self->backing));
	EXPECT_EQ(1, get(instance).devices);
}

static int mount_at(const char *path, int instance, const char *options)
{
	char data[128];

	snprintf(data, sizeof(data), "instance=%d%s", instance, options);
	return mount("none", path, "blkfdctl", 0, data) ? -errno : 0;
}

TEST_F(instance, can_be_given_a_path)
{
	struct blkfd_instance two = { .max_devices = 2 };
	int instance = new_instance(self->control, &two), opened, fd;
	struct stat st;

	ASSERT_LE(0, instance);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_LE(0, test_file(PATH, 0, 0));
	ASSERT_EQ(0, mount_at(PATH, instance, ",uid=61000,gid=61001,mode=640"));
	close(instance);
	ASSERT_EQ(0, stat(PATH, &st));
	EXPECT_EQ(S_IFREG | 0640, st.st_mode);
	EXPECT_EQ(61000, st.st_uid);
	EXPECT_EQ(61001, st.st_gid);

	opened = open(PATH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, opened);
	fd = create(opened, self->backing);
	ASSERT_LE(0, fd);
	close(opened);
	opened = open(PATH, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, opened);
	EXPECT_EQ(1, get(opened).devices);
	EXPECT_LE(0, create(opened, self->backing));
	EXPECT_EQ(-EDQUOT, create(opened, self->backing));
	EXPECT_EQ(0, revoke_instance(self->control, opened));
	EXPECT_EQ(-ESTALE, create(opened, self->backing));
	EXPECT_EQ(-EBUSY, umount(PATH) ? -errno : 0);
	close(opened);
	EXPECT_EQ(0, umount(PATH));
	EXPECT_EQ(0, test_write_pattern(fd, 0, SIZE, 1));
}

/* As to a container: a bind mount, and another user than root. */
TEST_F(instance, path_can_be_bound_elsewhere)
{
	int instance = unbounded(self->control), opened;
	pid_t pid;

	ASSERT_LE(0, instance);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_LE(0, test_file(PATH, 0, 0));
	ASSERT_LE(0, test_file(TEST_DIR "/bound", 0, 0));
	ASSERT_EQ(0, mount_at(PATH, instance, ",mode=600,uid=61000"));
	ASSERT_EQ(0, mount(PATH, TEST_DIR "/bound", NULL, MS_BIND, NULL));
	ASSERT_EQ(0, umount(PATH));
	pid = fork();
	if (!pid) {
		if (test_become(USER))
			_exit(1);
		opened = open(TEST_DIR "/bound", O_RDWR | O_CLOEXEC);
		_exit(create(opened, self->backing) < 0);
	}
	EXPECT_EQ(0, test_reap(pid));
	pid = fork();
	if (!pid) {
		if (test_become(USER + 1))
			_exit(1);
		_exit(open(TEST_DIR "/bound", O_RDWR) >= 0 || errno != EACCES);
	}
	EXPECT_EQ(0, test_reap(pid));
}

TEST_F(instance, can_be_given_a_path_in_a_user_namespace)
{
	int instance = unbounded(self->control), opened;
	pid_t pid;

	ASSERT_LE(0, instance);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_LE(0, test_file(PATH, 0, 0));
	pid = fork();
	if (!pid) {
		if (test_become(USER) || test_enter_user_namespace(CLONE_NEWNS))
			_exit(1);
		if (mount_at(PATH, instance, ",uid=1") != -EINVAL)
			_exit(2);
		if (mount_at(PATH, instance, ""))
			_exit(3);
		opened = open(PATH, O_RDWR | O_CLOEXEC);
		_exit(create(opened, self->backing) < 0);
	}
	EXPECT_EQ(0, test_reap(pid));
}

/* Neither changed in silence nor resized. */
TEST_F(instance, path_is_what_it_was_made)
{
	int instance = unbounded(self->control), opened;
	struct stat st;

	ASSERT_LE(0, instance);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_LE(0, test_file(PATH, 0, 0));
	ASSERT_EQ(0, mount_at(PATH, instance, ""));
	EXPECT_EQ(-1, mount("none", PATH, NULL, MS_REMOUNT, "mode=644"));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, mount("none", PATH, NULL, MS_REMOUNT, NULL));
	opened = open(PATH, O_RDWR | O_TRUNC | O_CLOEXEC);
	ASSERT_LE(0, opened);
	EXPECT_EQ(0, ftruncate(opened, SIZE));
	ASSERT_EQ(0, fstat(opened, &st));
	EXPECT_EQ(0, st.st_size);
	EXPECT_EQ(4096, st.st_blksize);
	EXPECT_EQ(S_IFREG | 0600, st.st_mode);
	EXPECT_EQ(-EOPNOTSUPP, create(self->control, opened));
	ASSERT_EQ(0, chmod(PATH, 0640));
	ASSERT_EQ(0, fstat(opened, &st));
	EXPECT_EQ(S_IFREG | 0640, st.st_mode);
	EXPECT_LE(0, create(opened, self->backing));
}

/* By which its owner could keep waiting, or refuse, who opens it to revoke it. */
TEST_F(instance, path_takes_no_lease)
{
	int instance = unbounded(self->control), opened;

	ASSERT_LE(0, instance);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_LE(0, test_file(PATH, 0, 0));
	ASSERT_EQ(0, mount_at(PATH, instance, ""));
	opened = open(PATH, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, opened);
	EXPECT_EQ(-1, fcntl(opened, F_SETLEASE, F_RDLCK));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fcntl(opened, F_SETLEASE, F_WRLCK));
	EXPECT_EQ(EINVAL, errno);
}

static int module_users(void)
{
	FILE *file = fopen("/sys/module/blkfd/refcnt", "re");
	int count = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &count) != 1)
		count = -1;
	fclose(file);
	return count;
}

/* A file, a file system, one that is not mounted yet: none outlives the module. */
TEST_F(instance, holds_the_module)
{
	int before = module_users(), instance = unbounded(self->control), context;

	ASSERT_LT(0, before);
	ASSERT_LE(0, instance);
	EXPECT_LT(before, module_users());
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_LE(0, test_file(PATH, 0, 0));
	ASSERT_EQ(0, mount_at(PATH, instance, ""));
	context = syscall(SYS_fsopen, "blkfdctl", 1);
	ASSERT_LE(0, context);
	close(instance);
	EXPECT_LE(before + 2, module_users());
	ASSERT_EQ(0, umount(PATH));
	EXPECT_EQ(before + 1, module_users());
	close(context);
	EXPECT_EQ(before, module_users());
}

TEST_F(instance, path_needs_an_instance)
{
	int instance = unbounded(self->control);

	ASSERT_LE(0, instance);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_LE(0, test_file(PATH, 0, 0));
	EXPECT_EQ(-EINVAL, mount_at(PATH, self->control, ""));
	EXPECT_EQ(-EINVAL, mount_at(PATH, 1000, ""));
	EXPECT_EQ(-EINVAL, mount_at(PATH, instance, ",mode=4755"));
	EXPECT_EQ(-EINVAL, mount_at(PATH, instance, ",frob"));
	EXPECT_EQ(-1, mount("none", PATH, "blkfdctl", 0, NULL));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-ENOTDIR, mount_at(TEST_DIR, instance, ""));
}

/* The new mount API hands the descriptor itself. */
TEST_F(instance, path_takes_a_descriptor)
{
	int instance = unbounded(self->control), context, mounted, opened;

	ASSERT_LE(0, instance);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_LE(0, test_file(PATH, 0, 0));
	context = syscall(SYS_fsopen, "blkfdctl", 1);
	ASSERT_LE(0, context);
	EXPECT_EQ(-1, syscall(SYS_fsconfig, context, FSCONFIG_SET_FD, "instance",
			      NULL, self->backing));
	ASSERT_EQ(0, syscall(SYS_fsconfig, context, FSCONFIG_SET_FD, "instance",
			     NULL, instance));
	ASSERT_EQ(0, syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL,
			     NULL, 0));
	mounted = syscall(SYS_fsmount, context, 1, 0);
	ASSERT_LE(0, mounted);
	ASSERT_EQ(0, syscall(SYS_move_mount, mounted, "", AT_FDCWD, PATH,
			     MOVE_MOUNT_F_EMPTY_PATH));
	opened = open(PATH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, opened);
	EXPECT_LE(0, create(opened, self->backing));
}

TEST_F(instance, is_no_file_to_read_or_to_back_a_device)
{
	int instance = unbounded(self->control);
	char byte;

	ASSERT_LE(0, instance);
	EXPECT_EQ(-1, read(instance, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(instance, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-ENOTBLK, create(self->control, instance));
	EXPECT_EQ(-1, ioctl(instance, BLKFD_RESIZE, &byte));
	EXPECT_EQ(ENOTTY, errno);
}

TEST_F(instance, takes_no_bad_input)
{
	struct {
		struct blkfd_instance instance;
		unsigned char rest[8];
	} arg = { };
	struct blkfd_revoke bad = { .fd = self->control, .reserved = 1 };
	const struct blkfd_instance refused[] = {
		{ .flags = BLKFD_INSTANCE_REVOKED }, { .flags = 4 },
		{ .denied_flags = 8 }, { .block_sizes = 256 },
		{ .block_sizes = 131072 }, { .devices = 1 }, { .bytes = 1 },
		{ .zero = 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		EXPECT_EQ(-EINVAL, new_instance(self->control, &refused[i]));
	EXPECT_EQ(-1, ioctl(self->control,
			    test_sized(BLKFD_NEW_INSTANCE, BLKFD_INSTANCE_SIZE_VER0 - 8), &arg));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_LE(0, ioctl(self->control, test_sized(BLKFD_NEW_INSTANCE, sizeof(arg)), &arg));
	arg.rest[7] = 1;
	EXPECT_EQ(-1, ioctl(self->control, test_sized(BLKFD_NEW_INSTANCE, sizeof(arg)), &arg));
	EXPECT_EQ(E2BIG, errno);
	EXPECT_EQ(0, ioctl(self->control, test_sized(BLKFD_GET_INSTANCE, sizeof(arg)), &arg));
	EXPECT_EQ(0, arg.rest[7]);
	EXPECT_EQ(-1, ioctl(self->control, BLKFD_NEW_INSTANCE, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->control, BLKFD_REVOKE, &bad));
	EXPECT_EQ(EINVAL, errno);
}

TEST_HARNESS_MAIN
