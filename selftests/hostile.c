// SPDX-License-Identifier: GPL-2.0
/*
 * Two that do not trust each other, in cgroups and user namespaces of their own: one
 * builds images, the other does what it can to keep it from that.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define CGROUPS		"/sys/fs/cgroup"
#define BUILDS		4
#define CROWD		256
#define BUILDER		61000
#define HOSTILE		61001

/* Of one who builds: no step is tried twice. */
#define BUILD \
	"set -e; rm -f image\n" \
	"blkfd exec --size 8M image -- mkfs.ext4 -q -d tree {}\n" \
	"blkfd exec --read-only image -- e2fsck -fn {} >log 2>&1\n" \
	"[ \"$(blkfd exec --read-only image -- debugfs -R 'cat file' {} 2>&-)\" = hello ]\n"

/* A party: what it is called, its user, and what it does as process 1 of its own. */
struct party {
	const char *name;
	unsigned int user;
	void (*live)(void);
	pid_t pid;
};

FIXTURE(hostile) {
	struct party builder;
	int control;
	int built;
};

static int write_cgroup(const char *party, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUPS "/blkfd-%s/%s", party, name);
	return test_write_text(path, text);
}

static int make_cgroup(const char *party)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUPS "/blkfd-%s", party);
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	return write_cgroup(party, "memory.max", "256M") ?:
	       write_cgroup(party, "pids.max", "100");
}

/* An instance that is bounded by nothing, at a path, for the party's user. */
static int make_room(int control, const struct party *party)
{
	struct blkfd_instance bounds = { };
	char dir[64], path[80], options[96];
	int instance, file;

	snprintf(dir, sizeof(dir), TEST_DIR "/%s", party->name);
	if (mkdir(dir, 0755) || mount("none", dir, "tmpfs", 0, NULL) ||
	    chown(dir, party->user, party->user))
		return -errno;
	snprintf(path, sizeof(path), "%s/blkfd", dir);
	file = open(path, O_CREAT | O_CLOEXEC, 0600);
	instance = blkfd_new_instance(control, &bounds);
	snprintf(options, sizeof(options), "instance=%d,uid=%u,gid=%u", instance,
		 party->user, party->user);
	if (mount("none", path, "blkfdctl", 0, options))
		return -errno;
	close(file);
	close(instance);
	return make_cgroup(party->name);
}

static int enter_room(const struct party *party)
{
	struct rlimit files = { 65536, 65536 };
	char dir[64];

	snprintf(dir, sizeof(dir), TEST_DIR "/%s", party->name);
	return setrlimit(RLIMIT_NOFILE, &files) ? -errno :
	       write_cgroup(party->name, "cgroup.procs", "0") ?:
	       test_become(party->user) ?:
	       test_enter_user_namespace(CLONE_NEWNS | CLONE_NEWPID) ?:
	       chdir(dir) || mount("blkfd", "/dev/blkfd", NULL, MS_BIND, NULL) ?
	       -errno : 0;
}

static void start(struct party *party)
{
	party->pid = fork();
	if (party->pid)
		return;
	if (enter_room(party))
		_exit(100);
	/* What the first child does is in the new namespace, and dies with it. */
	party->pid = fork();
	if (!party->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		party->live();
		_exit(0);
	}
	_exit(test_reap(party->pid));
}

/* Builders tell of each build by a byte. */
static int built_pipe[2];

static void build_for_ever(void)
{
	char out[4096];
	int status;

	mkdir("tree", 0755);
	close(test_file("tree/file", 0, 0));
	test_write_text("tree/file", "hello");
	do {
		status = test_shell(out, sizeof(out), BUILD);
		if (status)
			fprintf(stderr, "# build: status %d: %s\n", status, out);
	} while (write(built_pipe[1], &status, 1) == 1 && !status);
}

/* Attacks, each a process that is started again whenever it dies. */

static int backing(void)
{
	return test_memfd(TEST_MIB);
}

static void hoard_devices(void)
{
	int control = blkfd_control(), file = backing();

	while (blkfd_create_by(control, file, NULL) >= 0)
		;
	pause();
}

/* The disks of devices that are closed. */
static void hoard_husks(void)
{
	int control = blkfd_control(), file = backing(), fd;
	char path[64];

	while ((fd = blkfd_create_by(control, file, NULL)) >= 0) {
		test_fd_path(fd, path, sizeof(path));
		if (open(path, O_PATH | O_CLOEXEC) < 0)
			break;
		close(fd);
	}
}

static void create_and_close(void)
{
	int control = blkfd_control(), file = backing();

	while (true)
		close(blkfd_create_by(control, file, NULL));
}

static void nest_instances(void)
{
	struct blkfd_instance bounds = { };
	int control = blkfd_control(), fd;

	while ((fd = blkfd_new_instance(control, &bounds)) >= 0)
		if (rand() % 3)
			control = fd;
		else
			control = blkfd_control();
}

static void nest_namespaces(void)
{
	int control = blkfd_control(), file = backing();

	while (!test_enter_user_namespace(0))
		for (int i = 0; i < 100; i++)
			close(blkfd_create_by(control, file, NULL));
}

static void flush_and_discard(void)
{
	uint64_t range[2] = { 0, TEST_MIB };
	int fd = blkfd_create_by(blkfd_control(), backing(), NULL);
	char data[4096];

	memset(data, 1, sizeof(data));
	while (pwrite(fd, data, sizeof(data), rand() % 256 * 4096) > 0) {
		fsync(fd);
		if (!(rand() % 8))
			ioctl(fd, BLKDISCARD, range);
	}
}

static void resize(void)
{
	int fd = blkfd_create_by(blkfd_control(), backing(), NULL);

	while (!blkfd_resize(fd, TEST_MIB / 2) && !blkfd_resize(fd, TEST_MIB))
		;
}

static void write_much(void)
{
	int file = test_memfd(16 * TEST_MIB);
	int fd = blkfd_create_by(blkfd_control(), file, NULL);
	static char data[TEST_MIB];

	for (int i = 0; pwrite(fd, data, sizeof(data), i % 16 * TEST_MIB) > 0; i++)
		;
}

static void burn(void)
{
	while (true)
		;
}

static void (*const attacks[])(void) = {
	hoard_devices, hoard_husks, create_and_close, create_and_close, nest_instances,
	nest_namespaces, flush_and_discard, flush_and_discard, flush_and_discard,
	flush_and_discard, resize, write_much,
};

#define ATTACKS		(sizeof(attacks) / sizeof(attacks[0]))

static pid_t spawn_attack(void (*attack)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	attack();
	_exit(0);
}

static void attack_for_ever(void)
{
	pid_t pids[ATTACKS], pid;

	for (size_t i = 0; i < ATTACKS; i++)
		pids[i] = spawn_attack(attacks[i]);
	while ((pid = wait(NULL)) > 0)
		for (size_t i = 0; i < ATTACKS; i++)
			if (pids[i] == pid)
				pids[i] = spawn_attack(attacks[i]);
}

static void burn_for_ever(void)
{
	for (size_t i = 0; i < ATTACKS; i++)
		spawn_attack(burn);
	pause();
}

FIXTURE_SETUP(hostile)
{
	if (access("/proc/self/ns/user", F_OK) ||
	    access(CGROUPS "/cgroup.controllers", F_OK))
		SKIP(return, "no user namespaces, or no cgroups");
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_write_text(CGROUPS "/cgroup.subtree_control",
				     "+memory +pids"));
	if (test_write_text(CGROUPS "/cgroup.subtree_control", "+cpu"))
		TH_LOG("this kernel has no shares of processors");
	self->control = blkfd_control();
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, pipe2(built_pipe, O_CLOEXEC));
	self->builder = (struct party){ "builder", BUILDER, build_for_ever, 0 };
	ASSERT_EQ(0, make_room(self->control, &self->builder));
}

FIXTURE_TEARDOWN(hostile)
{
	EXPECT_EQ(true, test_wait_none());
}

/* Waits until so many more have been built. */
static int wait_for_builds(int count)
{
	char status;

	while (count--)
		if (read(built_pipe[0], &status, 1) != 1 || status)
			return -1;
	return 0;
}

/* How long the next builds take, in seconds; below 0: one failed. */
static double time_builds(void)
{
	double start;
	int before;

	if (ioctl(built_pipe[0], FIONREAD, &before) || wait_for_builds(before + 1))
		return -1;
	start = test_seconds();
	if (wait_for_builds(BUILDS))
		return -1;
	return test_seconds() - start;
}

static bool remove_directory(void *path)
{
	return !rmdir(path);
}

/* By the end of its process 1. */
static int kill_party(struct party *party)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUPS "/blkfd-%s", party->name);
	return party->pid < 0 || kill(party->pid, SIGKILL) || test_reap(party->pid) != 137 ||
	       !test_wait(remove_directory, path, TEST_TIMEOUT_MS) ? -1 : 0;
}

static bool is_unused(void *control)
{
	struct blkfd_limits limits;

	return !blkfd_get_limits(*(int *)control, &limits) && !limits.devices;
}

/* How many disks there have been. */
static uint64_t count_disks(int control)
{
	int file = backing(), fd = blkfd_create_by(control, file, NULL);
	uint64_t id = fd < 0 ? 0 : test_id(fd);

	close(fd);
	close(file);
	return id;
}

static bool is_crowded(void *control)
{
	struct blkfd_limits limits;

	return !blkfd_get_limits(*(int *)control, &limits) && limits.devices > CROWD;
}

TEST_F_TIMEOUT(hostile, neighbour_keeps_nobody_from_building, 1000)
{
	struct party burner = { "burner", HOSTILE, burn_for_ever, 0 };
	struct party hostile = { "hostile", HOSTILE, attack_for_ever, 0 };
	struct blkfd_limits limits;
	double alone, beside_burner, beside_hostile;
	uint64_t disks;

	ASSERT_EQ(0, make_room(self->control, &burner));
	ASSERT_EQ(0, make_room(self->control, &hostile));
	start(&self->builder);
	alone = time_builds();
	start(&burner);
	beside_burner = time_builds();
	ASSERT_EQ(0, kill_party(&burner));
	start(&hostile);
	EXPECT_TRUE(test_wait(is_crowded, &self->control, 10 * TEST_TIMEOUT_MS));
	disks = count_disks(self->control);
	beside_hostile = time_builds();
	disks = count_disks(self->control) - disks;
	EXPECT_EQ(0, blkfd_get_limits(self->control, &limits));
	TH_LOG("%d builds: %.2f s alone, %.2f s beside a burner, %.2f s beside the attack",
	       BUILDS, alone, beside_burner, beside_hostile);
	TH_LOG("which had %u devices, and %llu disks made meanwhile",
	       limits.devices, (unsigned long long)disks);
	EXPECT_LT(0, alone);
	EXPECT_LT(0, beside_burner);
	EXPECT_LT(0, beside_hostile);
	ASSERT_EQ(0, kill_party(&hostile));
	ASSERT_EQ(0, kill_party(&self->builder));
	EXPECT_TRUE(test_wait(is_unused, &self->control, 3 * TEST_TIMEOUT_MS));
}

TEST_HARNESS_MAIN
