// SPDX-License-Identifier: GPL-2.0
/*
 * How many devices there may be: of all, of a user, and in user namespaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "testlib.h"

#define SIZE		(64 * TEST_KIB)
#define SYSCTL		"/proc/sys/dev/blkfd/"
#define MANY		64

/* Nobody's, outside of these tests. */
#define USER		61000
#define OTHER_USER	61001

/* What children report. */
struct report {
	unsigned int made;
	int error;
	struct blkfd_limits limits;
	struct blkfd_user user;
};

FIXTURE(limits) {
	int control;
	int backing;
	struct report *report;
};

static int set(const char *name, unsigned int value)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), SYSCTL "%s", name);
	snprintf(text, sizeof(text), "%u", value);
	return test_write_text(path, text);
}

static unsigned int get(const char *name)
{
	unsigned int value = UINT32_MAX;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), SYSCTL "%s", name);
	file = fopen(path, "re");
	if (!file)
		return value;
	if (fscanf(file, "%u", &value) != 1)
		value = UINT32_MAX;
	fclose(file);
	return value;
}

static int set_all(unsigned int max_devices, unsigned int reserved,
		   unsigned int max_user_devices)
{
	return set("max_devices", max_devices) ?: set("reserved", reserved) ?:
	       set("max_user_devices", max_user_devices);
}

static int get_limits(int control, struct blkfd_limits *limits)
{
	return ioctl(control, BLKFD_GET_LIMITS, limits) ? -errno : 0;
}

/* What user @uid has, for who may ask: UINT32_MAX, not even that could be said. */
static unsigned int devices_of(int control, unsigned int uid)
{
	struct blkfd_user user = { .uid = uid };

	if (ioctl(control, BLKFD_GET_USER, &user))
		return errno == ENOENT ? 0 : UINT32_MAX;
	return user.uid == uid ? user.devices : 0;
}

static bool is_empty(void *control)
{
	struct blkfd_limits limits;

	return !get_limits(*(int *)control, &limits) && !limits.devices;
}

static int create(int control, int backing)
{
	struct blkfd_create arg = { .fd = backing };

	return test_create_by(control, &arg);
}

/* Until it fails: returns how many. */
static unsigned int create_all(int control, int backing, int *fds, int *error)
{
	unsigned int made = 0;

	*error = 0;
	while (made < MANY && !*error) {
		fds[made] = create(control, backing);
		if (fds[made] < 0)
			*error = fds[made];
		else
			made++;
	}
	return made;
}

static void close_all(const int *fds, unsigned int count)
{
	while (count--)
		close(fds[count]);
}

/* As USER, so many namespaces deep, all that can be made. */
static void create_in_namespaces(FIXTURE_DATA(limits) *self, int levels,
				 bool (*go_on)(FIXTURE_DATA(limits) *self))
{
	struct report *report = self->report;
	int fds[MANY];

	report->error = test_become(USER);
	while (!report->error && levels--)
		report->error = test_enter_user_namespace(0);
	if (report->error)
		_exit(1);
	report->made = create_all(self->control, self->backing, fds,
				  &report->error);
	_exit(go_on && !go_on(self));
}

static int run_in_namespaces(FIXTURE_DATA(limits) *self, int levels,
			     bool (*go_on)(FIXTURE_DATA(limits) *self))
{
	pid_t pid = fork();

	if (!pid)
		create_in_namespaces(self, levels, go_on);
	return test_reap(pid);
}

FIXTURE_SETUP(limits)
{
	self->control = open("/dev/blkfd", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->control);
	self->backing = test_memfd(SIZE);
	ASSERT_LE(0, self->backing);
	self->report = mmap(NULL, sizeof(*self->report), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->report);
	ASSERT_TRUE(test_wait(is_empty, &self->control, TEST_TIMEOUT_MS));
}

FIXTURE_TEARDOWN(limits)
{
	EXPECT_EQ(0, set_all(4096, 64, 1024));
}

TEST_F(limits, have_these_defaults)
{
	struct blkfd_limits limits;

	ASSERT_EQ(0, get_limits(self->control, &limits));
	EXPECT_EQ(4096, limits.max_devices);
	EXPECT_EQ(64, limits.reserved);
	EXPECT_EQ(1024, limits.max_user_devices);
	EXPECT_EQ(0, limits.devices);
	EXPECT_EQ(0, limits.user_devices);
	EXPECT_EQ(4096, get("max_devices"));
	EXPECT_EQ(64, get("reserved"));
	EXPECT_EQ(1024, get("max_user_devices"));
}

TEST_F(limits, take_only_sane_values)
{
	EXPECT_EQ(0, set("max_devices", 1 << 20));
	EXPECT_EQ(-EINVAL, set("max_devices", (1 << 20) + 1));
	EXPECT_EQ(1 << 20, get("max_devices"));
	EXPECT_EQ(-EINVAL, test_write_text(SYSCTL "max_devices", "-1"));
	EXPECT_EQ(-EINVAL, test_write_text(SYSCTL "reserved", "many"));
	EXPECT_EQ(64, get("reserved"));
	EXPECT_EQ(1 << 20, get("max_devices"));
}

TEST_F(limits, count_what_there_is)
{
	struct blkfd_limits limits;
	int fds[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = create(self->control, self->backing);
		ASSERT_LE(0, fds[i]);
		ASSERT_EQ(0, get_limits(self->control, &limits));
		EXPECT_EQ(i + 1, limits.devices);
		EXPECT_EQ(i + 1, limits.user_devices);
		EXPECT_EQ(i + 1, devices_of(self->control, 0));
	}
	close_all(fds, 3);
	EXPECT_TRUE(test_wait(is_empty, &self->control, TEST_TIMEOUT_MS));
	EXPECT_EQ(0, devices_of(self->control, 0));
}

TEST_F(limits, of_a_user)
{
	int fds[MANY], error;

	ASSERT_EQ(0, set("max_user_devices", 3));
	ASSERT_EQ(3, create_all(self->control, self->backing, fds, &error));
	EXPECT_EQ(-EDQUOT, error);
	EXPECT_EQ(3, devices_of(self->control, 0));
	ASSERT_EQ(0, set("max_user_devices", 0));
	close_all(fds, 3);
	EXPECT_EQ(-EDQUOT, create(self->control, self->backing));
}

TEST_F(limits, of_all)
{
	int fds[MANY], error;

	ASSERT_EQ(0, set("max_devices", 3));
	ASSERT_EQ(3, create_all(self->control, self->backing, fds, &error));
	EXPECT_EQ(-ENOSPC, error);
	/* Its own limit is what a user can do something about. */
	ASSERT_EQ(0, set("max_user_devices", 3));
	EXPECT_EQ(-EDQUOT, create(self->control, self->backing));
}

/* Who has closed a device can have another, at once and each time. */
TEST_F(limits, do_not_count_what_was_closed)
{
	int fd;

	ASSERT_EQ(0, set("max_user_devices", 1));
	for (int i = 0; i < 100; i++) {
		fd = create(self->control, self->backing);
		ASSERT_LE(0, fd) {
			TH_LOG("round %d: %s", i, strerror(-fd));
		}
		close(fd);
	}
	ASSERT_EQ(0, set_all(1, 0, 1024));
	for (int i = 0; i < 100; i++) {
		fd = create(self->control, self->backing);
		ASSERT_LE(0, fd);
		close(fd);
	}
}

/* A husk takes memory. */
TEST_F(limits, count_what_an_inode_holds)
{
	char path[TEST_PATH_MAX];
	int fd, held;

	ASSERT_EQ(0, set("max_user_devices", 1));
	fd = create(self->control, self->backing);
	ASSERT_LE(0, fd);
	test_fd_path(fd, path, sizeof(path));
	held = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, held);
	close(fd);
	EXPECT_EQ(-EDQUOT, create(self->control, self->backing));
	EXPECT_EQ(1, devices_of(self->control, 0));
	close(held);
	EXPECT_LE(0, create(self->control, self->backing));
}

TEST_F(limits, when_lowered_end_no_device)
{
	struct blkfd_limits limits;
	int fds[4];

	for (int i = 0; i < 4; i++) {
		fds[i] = create(self->control, self->backing);
		ASSERT_LE(0, fds[i]);
	}
	ASSERT_EQ(0, set_all(2, 64, 2));
	ASSERT_EQ(0, get_limits(self->control, &limits));
	EXPECT_EQ(4, limits.devices);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, test_write_pattern(fds[i], 0, SIZE, 1));
	close_all(fds, 2);
	EXPECT_EQ(-EDQUOT, create(self->control, self->backing));
	close(fds[2]);
	EXPECT_LE(0, create(self->control, self->backing));
}

TEST_F(limits, of_one_user_are_not_those_of_another)
{
	int fds[MANY], error;

	ASSERT_EQ(0, set("max_user_devices", 2));
	ASSERT_EQ(0, seteuid(USER));
	EXPECT_EQ(2, create_all(self->control, self->backing, fds, &error));
	EXPECT_EQ(-EDQUOT, error);
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, seteuid(OTHER_USER));
	EXPECT_EQ(2, create_all(self->control, self->backing, fds, &error));
	EXPECT_EQ(-EDQUOT, error);
	ASSERT_EQ(0, seteuid(0));
	EXPECT_EQ(2, devices_of(self->control, USER));
	EXPECT_EQ(2, devices_of(self->control, OTHER_USER));
	EXPECT_EQ(0, devices_of(self->control, 0));
}

static bool has_two(FIXTURE_DATA(limits) *self)
{
	return devices_of(self->control, 0) == 2 &&
	       devices_of(self->control, 1) == 0 &&
	       !get_limits(self->control, &self->report->limits);
}

TEST_F(limits, hold_in_a_user_namespace)
{
	ASSERT_EQ(0, set("max_user_devices", 2));
	ASSERT_EQ(0, run_in_namespaces(self, 1, has_two));
	EXPECT_EQ(2, self->report->made);
	EXPECT_EQ(-EDQUOT, self->report->error);
	EXPECT_EQ(2, self->report->limits.user_devices);
}

/* One is left of two: more namespaces make no more of it. */
TEST_F(limits, are_those_of_the_owner_of_the_namespaces)
{
	ASSERT_EQ(0, set("max_user_devices", 2));
	ASSERT_EQ(0, seteuid(USER));
	ASSERT_LE(0, create(self->control, self->backing));
	ASSERT_EQ(0, seteuid(0));
	for (int levels = 1; levels < 5; levels++) {
		ASSERT_EQ(0, run_in_namespaces(self, levels, NULL)) {
			TH_LOG("%d deep: %s", levels,
			       strerror(-self->report->error));
		}
		EXPECT_EQ(1, self->report->made);
		EXPECT_EQ(-EDQUOT, self->report->error);
	}
	EXPECT_EQ(0, devices_of(self->control, 0));
}

static bool stop(FIXTURE_DATA(limits) *self)
{
	kill(getpid(), SIGSTOP);
	return true;
}

/* A namespace whose owner is USER, in which OTHER_USER makes devices. */
static void create_as_other(FIXTURE_DATA(limits) *self, int wait)
{
	int fds[MANY];
	char byte;

	prctl(PR_SET_DUMPABLE, 1);
	if (test_become(USER) || unshare(CLONE_NEWUSER))
		_exit(1);
	/* Until root has said who is who here. */
	prctl(PR_SET_DUMPABLE, 1);
	kill(getpid(), SIGSTOP);
	if (read(wait, &byte, 1) != 1 || setresuid(1, 1, 1))
		_exit(2);
	self->report->made = create_all(self->control, self->backing, fds,
					&self->report->error);
	kill(getpid(), SIGSTOP);
	_exit(0);
}

TEST_F(limits, of_others_in_a_namespace_are_its_owners)
{
	int pair[2], status;
	char path[64];
	pid_t pid;

	ASSERT_EQ(0, set("max_user_devices", 3));
	ASSERT_EQ(0, pipe2(pair, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		create_as_other(self, pair[0]);
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	ASSERT_EQ(0, test_write_text(path, "0 61000 1\n1 61001 1\n"));
	kill(pid, SIGCONT);
	ASSERT_EQ(1, write(pair[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(3, self->report->made);
	EXPECT_EQ(-EDQUOT, self->report->error);
	EXPECT_EQ(3, devices_of(self->control, USER));
	EXPECT_EQ(0, devices_of(self->control, OTHER_USER));
	ASSERT_EQ(0, seteuid(USER));
	EXPECT_EQ(-EDQUOT, create(self->control, self->backing));
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, seteuid(OTHER_USER));
	EXPECT_LE(0, create(self->control, self->backing));
	ASSERT_EQ(0, seteuid(0));
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, test_reap(pid));
}

/* While the namespaces are there, and after their user was killed. */
TEST_F(limits, count_for_the_owner)
{
	pid_t pid;
	int status;

	ASSERT_EQ(0, set("max_user_devices", 5));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		create_in_namespaces(self, 3, stop);
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(5, self->report->made);
	EXPECT_EQ(5, devices_of(self->control, USER));
	EXPECT_EQ(0, devices_of(self->control, 0));
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, test_reap(pid));
	EXPECT_TRUE(test_wait(is_empty, &self->control, TEST_TIMEOUT_MS));
}

TEST_F(limits, leave_a_reserve_outside_of_namespaces)
{
	int fds[MANY], error;

	ASSERT_EQ(0, set_all(6, 2, 1024));
	ASSERT_EQ(0, run_in_namespaces(self, 1, NULL));
	EXPECT_EQ(4, self->report->made);
	EXPECT_EQ(-ENOSPC, self->report->error);
	EXPECT_EQ(6, create_all(self->control, self->backing, fds, &error));
	EXPECT_EQ(-ENOSPC, error);
	/* More than all is all. */
	ASSERT_EQ(0, set_all(6, 7, 1024));
	close_all(fds, 6);
	ASSERT_EQ(0, run_in_namespaces(self, 1, NULL));
	EXPECT_EQ(0, self->report->made);
	EXPECT_EQ(-ENOSPC, self->report->error);
}

/* Whoever closed it last: made in a namespace that is gone, closed outside. */
TEST_F(limits, count_for_the_creator_to_the_end)
{
	int pair[2], fd;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	if (!pid) {
		if (test_become(USER) || test_enter_user_namespace(0))
			_exit(1);
		fd = create(self->control, self->backing);
		_exit(fd < 0 || test_send_fd(pair[1], fd));
	}
	ASSERT_EQ(0, test_reap(pid));
	fd = test_recv_fd(pair[0]);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, devices_of(self->control, USER));
	close(fd);
	EXPECT_TRUE(test_wait(is_empty, &self->control, TEST_TIMEOUT_MS));
}

TEST_F(limits, list_users_in_order)
{
	struct blkfd_user user = { };

	ASSERT_LE(0, create(self->control, self->backing));
	ASSERT_EQ(0, seteuid(OTHER_USER));
	ASSERT_LE(0, create(self->control, self->backing));
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, seteuid(USER));
	ASSERT_LE(0, create(self->control, self->backing));
	ASSERT_LE(0, create(self->control, self->backing));
	ASSERT_EQ(0, seteuid(0));

	ASSERT_EQ(0, ioctl(self->control, BLKFD_GET_USER, &user));
	EXPECT_EQ(0, user.uid);
	EXPECT_EQ(1, user.devices);
	user.uid++;
	ASSERT_EQ(0, ioctl(self->control, BLKFD_GET_USER, &user));
	EXPECT_EQ(USER, user.uid);
	EXPECT_EQ(2, user.devices);
	user.uid++;
	ASSERT_EQ(0, ioctl(self->control, BLKFD_GET_USER, &user));
	EXPECT_EQ(OTHER_USER, user.uid);
	EXPECT_EQ(1, user.devices);
	user.uid++;
	EXPECT_EQ(-1, ioctl(self->control, BLKFD_GET_USER, &user));
	EXPECT_EQ(ENOENT, errno);
}

TEST_F(limits, of_others_are_not_for_everybody)
{
	struct blkfd_limits limits;
	struct blkfd_user user = { };

	ASSERT_LE(0, create(self->control, self->backing));
	ASSERT_EQ(0, seteuid(USER));
	EXPECT_EQ(-1, ioctl(self->control, BLKFD_GET_USER, &user));
	EXPECT_EQ(EPERM, errno);
	ASSERT_EQ(0, get_limits(self->control, &limits));
	EXPECT_EQ(1, limits.devices);
	EXPECT_EQ(0, limits.user_devices);
	ASSERT_EQ(0, seteuid(0));
}

static bool sees_itself_alone(FIXTURE_DATA(limits) *self)
{
	struct blkfd_user *user = &self->report->user;

	return !ioctl(self->control, BLKFD_GET_USER, user) && !user->uid &&
	       user->devices == self->report->made &&
	       ++user->uid && ioctl(self->control, BLKFD_GET_USER, user);
}

TEST_F(limits, of_others_are_not_for_root_of_a_namespace)
{
	ASSERT_EQ(0, set("max_user_devices", 2));
	ASSERT_LE(0, create(self->control, self->backing));
	ASSERT_EQ(0, run_in_namespaces(self, 1, sees_itself_alone));
	EXPECT_EQ(2, self->report->made);
}

TEST_F(limits, ioctls_take_shorter_and_longer_structs)
{
	struct {
		struct blkfd_limits limits;
		unsigned char rest[16];
	} limits;
	struct {
		struct blkfd_user user;
		unsigned char rest[16];
	} user = { };

	memset(&limits, 0xff, sizeof(limits));
	ASSERT_EQ(0, ioctl(self->control, test_sized(BLKFD_GET_LIMITS, sizeof(limits)), &limits));
	EXPECT_EQ(4096, limits.limits.max_devices);
	for (size_t i = 0; i < sizeof(limits.rest); i++)
		EXPECT_EQ(0, limits.rest[i]);
	EXPECT_EQ(-1, ioctl(self->control, test_sized(BLKFD_GET_LIMITS, BLKFD_LIMITS_SIZE_VER0 - 4),
			    &limits));
	EXPECT_EQ(EINVAL, errno);
	user.rest[15] = 1;
	EXPECT_EQ(-1, ioctl(self->control, test_sized(BLKFD_GET_USER, sizeof(user)), &user));
	EXPECT_EQ(E2BIG, errno);
	EXPECT_EQ(-1, ioctl(self->control, test_sized(BLKFD_GET_USER, BLKFD_USER_SIZE_VER0 - 4),
			    &user));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(self->control, BLKFD_GET_LIMITS, NULL));
	EXPECT_EQ(EFAULT, errno);
}

TEST_HARNESS_MAIN
