// SPDX-License-Identifier: GPL-2.0
/*
 * A builder that is killed, at moments spread evenly over its run, leaves nothing:
 * no device, no mount, no space taken, and no image that is not complete. It is killed
 * with all that it has started, as by an administrator, an OOM killer or a crash.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "testlib.h"

#define TREE		TEST_DIR "/tree"
#define IMAGES		TEST_DIR "/images"
#define IMAGE		IMAGES "/image"
#define FILES		60
/* In the short form. */
#define KILLS		10

FIXTURE(killed) {
	uint64_t space;
	char *mounts;
};

FIXTURE_VARIANT(killed) {
	const char *build;
};

FIXTURE_VARIANT_ADD(killed, mkimage_xfs) {
	.build = "exec mkimage -t xfs " TREE " " IMAGE,
};

FIXTURE_VARIANT_ADD(killed, mkimage_ext4) {
	.build = "exec mkimage -t ext4 " TREE " " IMAGE,
};

FIXTURE_VARIANT_ADD(killed, mkimage_btrfs) {
	.build = "exec mkimage -t btrfs " TREE " " IMAGE,
};

/* The mount is in a namespace of the command's own, and goes with it. */
FIXTURE_VARIANT_ADD(killed, script) {
	.build = "set -e\n"
		 "fill() { mount $1 " IMAGES "; cp -a " TREE "/. " IMAGES "; umount " IMAGES "; }\n"
		 "export -f fill\n"
		 "blkfd exec --new --size 64M " IMAGE " -- bash -ec \\\n"
		 "	'mkfs.ext4 -q {}; unshare -m bash -ec \"fill {}\"; e2fsck -fn {}'\n",
};

static uint64_t free_space(void)
{
	struct statfs vfs;

	return statfs(IMAGES, &vfs) ? 0 : vfs.f_bfree;
}

static char *read_mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *text = NULL;
	size_t size = 0;

	if (getdelim(&text, &size, 0, file) < 0)
		text = NULL;
	fclose(file);
	return text;
}

static int make_tree(void)
{
	char path[64];
	int fd, ret = mkdir(TREE, 0755);

	for (int i = 0; !ret && i < FILES; i++) {
		snprintf(path, sizeof(path), TREE "/%d", i);
		fd = test_file(path, 0, 0);
		ret = fd < 0 ? fd : test_write_pattern(fd, 0, 20000, i);
		close(fd);
	}
	return ret;
}

FIXTURE_SETUP(killed)
{
	char byte;

	/* Until the kernel's random numbers are seeded mkfs waits for them. */
	ASSERT_EQ(1, getrandom(&byte, 1, 0));
	/* What it has started is ours when it is dead. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_tmpfs(IMAGES));
	ASSERT_EQ(0, make_tree());
	self->space = free_space();
	self->mounts = read_mounts();
	ASSERT_NE(0, self->space);
	ASSERT_NE(NULL, self->mounts);
}

FIXTURE_TEARDOWN(killed)
{
	free(self->mounts);
}

static pid_t start(const char *build)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid = fork();

	if (pid) {
		close(null);
		return pid;
	}
	setsid();
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	execlp("bash", "bash", "-c", build, NULL);
	_exit(127);
}

/* The builder's own status, once all that it has started is dead, too. */
static int reap_all(pid_t pid)
{
	int status = test_reap(pid);

	while (waitpid(-1, NULL, 0) > 0)
		;
	return status;
}

static int kill_after(pid_t pid, uint64_t us)
{
	const struct timespec moment = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&moment, NULL);
	kill(-pid, SIGKILL);
	/* Before it was the leader of a session there was nobody else. */
	kill(pid, SIGKILL);
	return reap_all(pid);
}

/* The device is writable, over a copy: a log may be replayed. */
static int check_image(void)
{
	return test_shell(NULL, 0,
			  "set -e; cd " TEST_DIR "; mkdir -p dir\n"
			  "cp --sparse=always " IMAGE " copy; blkfd mount copy dir\n"
			  "diff -r --exclude=lost+found tree dir || bad=1\n"
			  "umount dir; rm copy; rmdir dir; [ -z \"$bad\" ]");
}

/* If it got its name before the end of the builder the image is whole. */
static bool is_good_or_not_there(int status)
{
	if (access(IMAGE, F_OK))
		return status != 0;
	return !check_image() && !unlink(IMAGE);
}

static bool space_is_free(void *space)
{
	return free_space() == *(uint64_t *)space;
}

static bool mounts_are(const char *before)
{
	char *now = read_mounts();
	bool same = now && !strcmp(now, before);

	free(now);
	return same;
}

static void expect_nothing_left(struct __test_metadata *_metadata,
				FIXTURE_DATA(killed) *self, int status, uint64_t moment)
{
	ASSERT_TRUE(is_good_or_not_there(status)) TH_LOG("at %ju us", moment);
	ASSERT_TRUE(test_wait_none()) TH_LOG("at %ju us", moment);
	ASSERT_TRUE(test_wait(space_is_free, &self->space, TEST_TIMEOUT_MS))
		TH_LOG("at %ju us", moment);
	ASSERT_TRUE(mounts_are(self->mounts)) TH_LOG("at %ju us", moment);
}

/* One that ends before it is killed was faster than the first: the next is to be killed sooner. */
TEST_F_TIMEOUT(killed, leaves_nothing_whenever_it_is, 80000)
{
	unsigned long kills = test_rounds(KILLS), killed = 0, late = 0, whole = 0;
	double duration;

	/* The first one reads its programs from the disk. */
	ASSERT_EQ(0, reap_all(start(variant->build)));
	ASSERT_EQ(0, unlink(IMAGE));
	duration = -test_seconds();
	ASSERT_EQ(0, reap_all(start(variant->build)));
	duration += test_seconds();
	ASSERT_EQ(0, check_image());
	ASSERT_EQ(0, unlink(IMAGE));
	while (killed < kills) {
		uint64_t moment = duration * 1e6 * killed / kills;
		pid_t pid = start(variant->build);
		int status;

		ASSERT_LE(0, pid);
		status = kill_after(pid, moment);
		whole += !access(IMAGE, F_OK);
		expect_nothing_left(_metadata, self, status, moment);
		if (status == 128 + SIGKILL) {
			test_tell(5, ++killed, kills, "kills");
			continue;
		}
		ASSERT_EQ(0, status) TH_LOG("at %ju us", moment);
		duration = moment / 1e6;
		late++;
	}
	TH_LOG("killed %lu times over a run of %.1f s, %lu more after it, %lu images were whole",
	       killed, duration, late, whole);
}

TEST_HARNESS_MAIN
