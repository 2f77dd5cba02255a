// SPDX-License-Identifier: GPL-2.0
/*
 * What an ordinary user can do who may open /dev/blkfd, and what not; what many
 * builders at once, and those in a cgroup, take from others.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "ring.h"
#include "testlib.h"

#define HOME		TEST_DIR "/home"
#define CGROUP		"/sys/fs/cgroup/blkfd-user"
#define USER_ID		61000
#define USER_TEXT	"61000"
#define BUILDERS	"100"

FIXTURE(user) {
	char out[8192];
};

static int sh_as_user(char *out, size_t size, const char *line)
{
	return test_output(out, size, "setpriv", "--reuid", USER_TEXT, "--regid",
			   USER_TEXT, "--clear-groups", "bash", "-c", line);
}

/* As an administrator would do it who lets users in: /dev/blkfd with another mode. */
static int let_users_in(void)
{
	struct blkfd_instance bounds = { };
	int control = blkfd_control(), instance;
	char options[64];

	instance = blkfd_new_instance(control, &bounds);
	snprintf(options, sizeof(options), "instance=%d,mode=666", instance);
	return instance < 0 ||
	       mount("none", "/dev/blkfd", "blkfdctl", 0, options) ? -1 : 0;
}

FIXTURE_SETUP(user)
{
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(HOME, 0755));
	ASSERT_EQ(0, chown(HOME, USER_ID, USER_ID));
	ASSERT_EQ(0, chdir(HOME));
	ASSERT_EQ(0, let_users_in());
}

FIXTURE_TEARDOWN(user)
{
	EXPECT_EQ(true, test_wait_none());
}

TEST_F(user, makes_and_checks_ext4)
{
	TEST_EXPECT_RUN(0, "hello", sh_as_user, "set -e; mkdir tree; echo hello >tree/file\n"
			"blkfd exec --size 16M image -- mkfs.ext4 -q -d tree {}\n"
			"blkfd exec image -- e2fsck -fn {}\n"
			"blkfd exec image -- debugfs -R 'cat /file' {}");
}

TEST_F(user, makes_and_checks_xfs)
{
	TEST_EXPECT_RUN(0, "magicnum = 0x58465342", sh_as_user, "set -e\n"
			"blkfd exec --size 320M image -- mkfs.xfs -q {}\n"
			"blkfd exec image -- xfs_repair {} 2>&1\n"
			"blkfd exec --read-only image -- xfs_db -r -c 'sb 0' -c p {}");
}

static int set_block_size(int fd, int size)
{
	return ioctl(fd, BLKBSZSET, &size) ? -errno : 0;
}

/* As root or not: the cache is the device's, and so is who may drop it. */
static int try_block_sizes(int fd, int read_only)
{
	int claimed, size;

	if (set_block_size(fd, 512) || ioctl(fd, BLKBSZGET, &size) || size != 512)
		return 1;
	if (set_block_size(fd, 300) != -EINVAL || set_block_size(fd, 256) != -EINVAL)
		return 2;
	if (set_block_size(fd, 2 * getpagesize()) != -EACCES)
		return 8;
	if (ioctl(fd, BLKBSZSET, 8) != -1 || errno != EFAULT)
		return 3;
	if (set_block_size(read_only, 1024) != -EACCES ||
	    ioctl(read_only, BLKFLSBUF) != -1 || errno != EACCES)
		return 4;
	if (ioctl(fd, BLKFLSBUF) || ioctl(fd, BLKROSET, &size) != -1 || errno != EACCES)
		return 5;
	claimed = test_reopen(fd, O_RDWR | O_EXCL);
	if (set_block_size(fd, 1024) != -EBUSY || set_block_size(claimed, 1024))
		return 6;
	close(claimed);
	return ioctl(fd, BLKBSZGET, &size) || size != 1024 ? 7 : 0;
}

TEST_F(user, says_how_to_cache_what_it_may_write)
{
	int image = test_file("image", TEST_MIB, 0);
	pid_t pid;

	ASSERT_LE(0, image);
	ASSERT_EQ(0, fchown(image, USER_ID, USER_ID));
	pid = fork();
	if (!pid) {
		int fd, read_only;

		if (test_become(USER_ID))
			_exit(100);
		fd = blkfd_create(image, NULL);
		read_only = test_reopen(fd, O_RDONLY);
		_exit(fd < 0 ? 101 : try_block_sizes(fd, read_only));
	}
	EXPECT_EQ(0, test_reap(pid));
}

/* Written, and then read anew. */
TEST_F(user, empties_the_cache_of_its_device)
{
	int backing = test_memfd(TEST_MIB), fd;
	pid_t pid;

	fd = blkfd_create(backing, NULL);
	ASSERT_LE(0, fd);
	pid = fork();
	if (!pid)
		_exit(test_become(USER_ID) || test_write_pattern(fd, 0, TEST_MIB, 1) ||
		      ioctl(fd, BLKFLSBUF) || test_check_pattern(backing, 0, TEST_MIB, 1) ||
		      test_write_pattern(backing, 0, TEST_MIB, 2) ||
		      test_check_pattern(fd, 0, TEST_MIB, 2));
	EXPECT_EQ(0, test_reap(pid));
	close(fd);
}

TEST_F(user, says_so_from_a_32_bit_program)
{
	int *size = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int fd = blkfd_create(test_memfd(TEST_MIB), NULL);
	int status;

	ASSERT_NE(MAP_FAILED, size);
	ASSERT_LE(0, fd);
	if (!fork()) {
		*size = 512;
		_exit(test_become(USER_ID) ? 3 :
		      test_ioctl_32(fd, _IOW(0x12, 113, int), size) ? 1 :
		      ioctl(fd, BLKBSZGET, size) || *size != 512 ? 2 : 0);
	}
	ASSERT_LT(0, wait(&status));
	close(fd);
	if (WIFSIGNALED(status))
		SKIP(return, "no system calls of 32 bits");
	EXPECT_EQ(0, status);
}

TEST_F(user, partitions_and_copies)
{
	TEST_EXPECT_RUN(0, "size=        2048", sh_as_user, "set -e\n"
			"head -c 1M /dev/urandom >data\n"
			"blkfd exec --size 8M image -- sh -c \\\n"
			"'echo start=2048,size=2048 | sfdisk -q {}; sfdisk -d {}'\n"
			"blkfd exec --offset 1M --length 1M image -- dd if=data of={} status=none\n"
			"blkfd exec --offset 1M --length 1M image -- cmp data {}\n");
}

/* Mode and capabilities are as for any device of the user's own. */
TEST_F(user, does_nothing_privileged)
{
	TEST_EXPECT_RUN(0, "", sh_as_user, "blkfd exec --size 16M image -- mkfs.ext4 -q {}");
	TEST_EXPECT_RUN(1, "Operation not permitted", sh_as_user,
			"mkdir dir; blkfd mount image dir");
	TEST_EXPECT_RUN(32, "", sh_as_user, "blkfd exec image -- mount -t ext4 {} dir");
	TEST_EXPECT_RUN(1, "Permission denied", sh_as_user,
			"blkfd exec image -- blockdev --setro {}");
	TEST_EXPECT_RUN(1, "Operation not permitted", sh_as_user, "mknod node b 240 0");
	TEST_EXPECT_RUN(255, "Operation not permitted", sh_as_user,
			"blkfd exec image -- sh -c 'mkswap -q {}; swapon {}'");
}

TEST_F(user, sees_no_file_that_it_may_not)
{
	ASSERT_LE(0, test_file(TEST_DIR "/secret", TEST_MIB, 0));
	ASSERT_EQ(0, chmod(TEST_DIR "/secret", 0600));
	ASSERT_LE(0, test_file(TEST_DIR "/public", TEST_MIB, 0));
	ASSERT_EQ(0, chmod(TEST_DIR "/public", 0644));
	TEST_EXPECT_RUN(1, "Permission denied", sh_as_user,
			"blkfd exec " TEST_DIR "/secret -- true");
	TEST_EXPECT_RUN(1, "Permission denied", sh_as_user,
			"blkfd exec " TEST_DIR "/public -- true");
	TEST_EXPECT_RUN(2, "Read-only file system", sh_as_user,
			"blkfd exec --read-only " TEST_DIR "/public -- sh -c ': >>{}'");
}

/*
 * The rule as an administrator would put it in force, but for the group's name. Settled
 * is an event, too, that udevd gave up or had an older rule for: who sees that asks again.
 */
TEST_F_TIMEOUT(user, rule_lets_a_group_in, 600)
{
	if (access("/run/udev/control", F_OK))
		SKIP(return, "no udevd");
	TEST_EXPECT_RUN(0, "660 disk", test_shell, "set -e\n"
			"rules=/run/udev/rules.d/60-blkfd.rules\n"
			"umount /dev/blkfd; mkdir -p ${rules%/*}\n"
			"udevadm settle --timeout=100\n"
			"trap 'rm $rules; udevadm control --reload\n"
			"	chgrp root /dev/blkfd; chmod 600 /dev/blkfd' EXIT\n"
			"for try in 1 2; do\n"
			"	sed 's/GROUP=\"blkfd\"/GROUP=\"disk\"/' \\\n"
			"		/blkfd/tools/admin/60-blkfd.rules >$rules\n"
			"	udevadm control --reload\n"
			"	udevadm trigger --settle /sys/class/misc/blkfd\n"
			"	seen=$(stat -c '%a %G' /dev/blkfd)\n"
			"	echo \"$seen\"; [ \"$seen\" != '660 disk' ] || exit 0\n"
			"	grep -H /dev/blkfd /proc/*/mountinfo || udevadm info /dev/blkfd\n"
			"done");
}

/* No step is tried twice. */
#define BUILD \
	"build() {\n" \
	"	set -e; mkdir $1.dir; echo $1 >$1.text\n" \
	"	blkfd exec --size 4M $1 -- mkfs.ext4 -q {}\n" \
	"	blkfd mount $1 $1.dir; cp $1.text $1.dir/file; umount $1.dir\n" \
	"	blkfd exec --read-only $1 -- e2fsck -fn {}\n" \
	"	[ \"$(blkfd exec --read-only $1 -- debugfs -R 'cat /file' {} 2>&-)\" = $1 ]\n" \
	"}\n"

TEST_F_TIMEOUT(user, builders_do_not_get_in_each_others_way, 600)
{
	TEST_EXPECT_RUN(0, "all " BUILDERS, test_shell, BUILD
			"jobs= failed=0\n"
			"for i in $(seq " BUILDERS "); do\n"
			"	(build $i) >log.$i 2>&1 & jobs+=\" $!\"\n"
			"done\n"
			"for job in $jobs; do wait $job || failed=$((failed + 1)); done\n"
			"[ $failed = 0 ] && echo all " BUILDERS " || tail -n 3 log.*\n"
			"exit $failed\n");
}

FIXTURE(cgroup) {
	char out[8192];
};

/* What all cgroups below the root have. */
#define ALL_CGROUPS	"/sys/fs/cgroup/cgroup.subtree_control"

static int write_cgroup(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUP "/%s", name);
	return test_write_text(path, text);
}

FIXTURE_SETUP(cgroup)
{
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK))
		SKIP(return, "no cgroup2 at /sys/fs/cgroup");
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_write_text(ALL_CGROUPS, "+memory +io"));
	ASSERT_TRUE(!mkdir(CGROUP, 0755) || errno == EEXIST);
}

FIXTURE_TEARDOWN(cgroup)
{
	EXPECT_EQ(0, rmdir(CGROUP));
}

static int make_device_on_disk(uint32_t flags)
{
	int file;

	if (test_scratch_mount("ext4", NULL))
		return -EIO;
	file = test_tmpfile(TEST_DIR "/ext4", 8 * TEST_MIB);
	if (test_write_pattern(file, 0, 8 * TEST_MIB, 1) || fsync(file))
		return -EIO;
	return blkfd_create(file, &(struct blkfd_create_opts){ .flags = flags });
}

/* 2 MiB of the device are read or written, in parts: 0 or -1. */
static int transfer_parts(int fd, bool writes)
{
	int direct = test_reopen(fd, O_RDWR | O_DIRECT);
	const size_t part = 128 * TEST_KIB;
	ssize_t done = part;
	void *buf;

	if (direct < 0 || posix_memalign(&buf, 4096, part))
		return -1;
	test_fill(buf, part, 0, 1);
	for (uint64_t at = 0; done == (ssize_t)part && at < 2 * TEST_MIB; at += part)
		done = writes ? pwrite(direct, buf, part, at) :
				pread(direct, buf, part, at);
	free(buf);
	close(direct);
	return done == (ssize_t)part ? 0 : -1;
}

/* By a member of the cgroup: seconds, or -1. */
static double transfer_in_cgroup(int fd, bool writes)
{
	int result[2];
	double time;
	pid_t pid;

	if (pipe2(result, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		if (write_cgroup("cgroup.procs", "0"))
			_exit(1);
		time = test_seconds();
		if (transfer_parts(fd, writes))
			_exit(2);
		time = test_seconds() - time;
		_exit(write(result[1], &time, sizeof(time)) != sizeof(time));
	}
	if (test_reap(pid) || read(result[0], &time, sizeof(time)) != sizeof(time))
		time = -1;
	close(result[0]);
	close(result[1]);
	return time;
}

/*
 * By the limit of the cgroup of who sends it, for the disk below, whoever carries
 * it out: it cannot be faster than that allows for.
 */
TEST_F(cgroup, io_is_throttled_as_that_of_the_sender)
{
	int fd = make_device_on_disk(BLKFD_F_DIRECT);
	char limit[64];
	struct stat st;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, stat(TEST_DISK, &st));
	snprintf(limit, sizeof(limit), "%u:%u rbps=1048576 wbps=1048576",
		 major(st.st_rdev), minor(st.st_rdev));
	ASSERT_EQ(0, write_cgroup("io.max", limit));
	EXPECT_LE(1.5, transfer_in_cgroup(fd, false));
	EXPECT_LE(1.5, transfer_in_cgroup(fd, true));
	ASSERT_EQ(0, test_set_parameter("inline_io", "N"));
	EXPECT_LE(1.5, transfer_in_cgroup(fd, false));
	EXPECT_LE(1.5, transfer_in_cgroup(fd, true));
	ASSERT_EQ(0, test_set_parameter("inline_io", "Y"));
}

static bool is_gone(void *arg)
{
	return !test_count_devices();
}

/* Of which the I/O controller knows nothing, as systemd has it by default. */
#define MEMBER		CGROUP "/member"

enum writer { SENDER, WORKER, SYNCER };

/* Whether the cgroup pays for a memfd when a member wrote to a device. */
static bool pays_for_writes(enum writer writer)
{
	const uint64_t size = 16 * TEST_MIB;
	int file = test_memfd(size), fd = test_create(file, 0, 0, 0, 0), status;
	bool pays;
	pid_t pid;

	if (test_set_parameter("inline_io", writer == WORKER ? "N" : "Y"))
		return false;
	pid = fork();
	if (!pid) {
		if (writer == SENDER)
			fd = test_reopen(fd, O_RDWR | O_DIRECT);
		_exit(write_cgroup("member/cgroup.procs", "0") ||
		      test_write_pattern(fd, 0, size, 1) ||
		      (writer != SYNCER && fsync(fd)));
	}
	status = test_reap(pid);
	if (writer == SYNCER)
		sync();
	pays = !status && !test_check_pattern(file, 0, size, 1) &&
	       test_wait_field(MEMBER "/memory.stat", "shmem", 15 * TEST_MIB);
	close(fd);
	close(file);
	return !test_set_parameter("inline_io", "Y") && pays;
}

/* A bio names a cgroup of the I/O controller, which is the one above. */
TEST_F(cgroup, pays_for_what_its_members_write_without_the_io_controller)
{
	ASSERT_EQ(0, write_cgroup("cgroup.subtree_control", "+memory"));
	ASSERT_EQ(0, mkdir(MEMBER, 0755));
	EXPECT_TRUE(pays_for_writes(SENDER));
	EXPECT_TRUE(pays_for_writes(WORKER));
	EXPECT_TRUE(pays_for_writes(SYNCER));
	EXPECT_EQ(0, rmdir(MEMBER));
	EXPECT_EQ(0, write_cgroup("cgroup.subtree_control", "-memory"));
}

static int write_to(void *dev)
{
	return test_write_pattern(*(int *)dev, 0, 16 * TEST_MIB, 1);
}

static bool has_written(void *dev)
{
	struct blkfd_info info;

	return !test_info(*(int *)dev, &info) && info.inline_ios + info.worker_ios;
}

#define WRITE_AFTER	"/proc/sys/vm/dirty_expire_centisecs"
#define WRITE_EVERY	"/proc/sys/vm/dirty_writeback_centisecs"

/* Has dirty pages written back as soon as may be, until the device has some of it. */
static bool wait_for_flusher(int dev)
{
	char after[32], every[32];
	bool written;

	if (test_read_text(WRITE_AFTER, after, sizeof(after)) < 0 ||
	    test_read_text(WRITE_EVERY, every, sizeof(every)) < 0 ||
	    test_write_text(WRITE_AFTER, "1") || test_write_text(WRITE_EVERY, "1"))
		return false;
	written = test_wait(has_written, &dev, TEST_TIMEOUT_MS);
	return !test_write_text(WRITE_AFTER, after) &&
	       !test_write_text(WRITE_EVERY, every) && written;
}

/* The thread has others' pages to write, and whose memory it takes may have to wait. */
TEST_F(cgroup, is_not_waited_for_by_a_thread_that_writes_back)
{
	struct blkfd_info info;
	int file, dev, ret;
	pid_t member;

	/* Else a bio names a cgroup that the thread is not in. */
	ret = test_write_text(ALL_CGROUPS, "-io");
	if (ret == -EBUSY)
		SKIP(return, "other cgroups have the I/O controller");
	ASSERT_EQ(0, ret);
	file = test_memfd(16 * TEST_MIB);
	dev = test_create(file, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	member = test_start_member(CGROUP, write_to, &dev);
	ASSERT_LT(0, member);
	EXPECT_TRUE(wait_for_flusher(dev));
	ASSERT_EQ(0, test_info(dev, &info));
	EXPECT_EQ(0, info.inline_ios);
	EXPECT_LT(0, info.worker_ios);
	test_end_member(member);
	close(dev);
	close(file);
	EXPECT_EQ(0, test_write_text(ALL_CGROUPS, "+io"));
}

static int write_page(void *dev)
{
	return test_write_pattern(*(int *)dev, 0, 4096, 1);
}

/*
 * What is dirty on a device of a file, when the cgroup that pays for it has no memory
 * and nobody to be killed for it; 0 or an errno.
 */
static int flush_without_memory(int file)
{
	int fd = test_create(file, 0, 0, 0, 0), ret;
	pid_t pid = test_start_member(CGROUP, write_page, &fd);

	if (pid <= 0)
		return -1;
	test_end_member(pid);
	if (write_cgroup("memory.max", "0"))
		return -1;
	ret = fsync(fd) ? errno : 0;
	close(fd);
	return write_cgroup("memory.max", "max") ? -1 : ret;
}

/* Else one who has no more than that could put into a memfd what he likes. */
TEST_F(cgroup, without_memory_has_what_is_dirty_written_to_files_but_not_to_memory)
{
	int file;

	ASSERT_EQ(0, test_scratch_mount("ext4", NULL));
	file = test_tmpfile(TEST_DIR "/ext4", TEST_MIB);
	EXPECT_EQ(0, flush_without_memory(file));
	EXPECT_EQ(0, test_check_pattern(file, 0, 4096, 1));
	close(file);
	file = test_memfd(TEST_MIB);
	EXPECT_EQ(EIO, flush_without_memory(file));
	close(file);
}

#define LATER_WRITTEN	(16 * TEST_MIB)

static int write_file(void *path)
{
	return test_write_pattern(test_file(path, LATER_WRITTEN, 0), 0, LATER_WRITTEN, 1);
}

/* In a file system on a device: the bios are of this cgroup, who sends them is not. */
TEST_F(cgroup, pays_for_what_others_write_of_its_members)
{
	char source[TEST_PATH_MAX], path[] = TEST_DIR "/mount/file";
	int fd = test_create(test_memfd(320 * TEST_MIB), 0, 0, 0, 0), file;
	pid_t pid;

	test_fd_path(fd, source, sizeof(source));
	ASSERT_EQ(0, test_mkfs("xfs", source));
	ASSERT_EQ(0, mkdir(TEST_DIR "/mount", 0755));
	ASSERT_EQ(0, mount(source, TEST_DIR "/mount", "xfs", 0, NULL));
	pid = test_start_member(CGROUP, write_file, path);
	ASSERT_LT(0, pid);
	file = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(0, fsync(file));
	EXPECT_TRUE(test_wait_field(CGROUP "/memory.stat", "shmem", 15 * TEST_MIB));
	close(file);
	test_end_member(pid);
	EXPECT_EQ(0, umount(TEST_DIR "/mount"));
	close(fd);
}

/*
 * What lies beside each other in the backlog, all of whose workers wait for a file system
 * to thaw, makes one call, and that has one payer.
 */
#define KEPT		(4 * TEST_MIB)
#define PART		(512 * TEST_KIB)

/* Sends a write that may wait; the process ends when it has been carried out. */
static pid_t start_neighbour(int fd, const char *procs, uint64_t at)
{
	int sent[2], direct = test_reopen(fd, O_RDWR | O_DIRECT);
	struct io_uring ring;
	char byte, *buf;
	pid_t pid;

	if (direct < 0 || pipe2(sent, O_CLOEXEC) ||
	    posix_memalign((void **)&buf, TEST_MIB, PART))
		return -1;
	test_fill(buf, PART, at, 1);
	pid = fork();
	if (!pid) {
		if (write_cgroup(procs, "0") || io_uring_queue_init(1, &ring, 0))
			_exit(1);
		io_uring_prep_write(io_uring_get_sqe(&ring), direct, buf, PART, at);
		if (io_uring_submit(&ring) != 1 || write(sent[1], "", 1) != 1)
			_exit(2);
		_exit(ring_least(&ring, 1) != PART);
	}
	close(sent[1]);
	if (read(sent[0], &byte, 1) != 1)
		pid = -1;
	close(sent[0]);
	close(direct);
	free(buf);
	return pid;
}

/* None beside another, so that each takes a worker. */
static int send_keepers(struct io_uring *ring, int direct, char *page)
{
	for (int i = 0; i < RING_KEEPERS; i++)
		io_uring_prep_write(io_uring_get_sqe(ring), direct, page, 4096,
				    KEPT + i * 8192);
	return io_uring_submit(ring) == RING_KEEPERS ? 0 : -EIO;
}

static void write_as_neighbours(struct __test_metadata *_metadata, const char *controllers)
{
	static char page[4096] __attribute__((aligned(4096)));
	int fd = make_device_on_disk(0), dir, direct;
	struct io_uring ring;
	pid_t pids[2];

	ASSERT_EQ(0, test_drop_caches());
	ASSERT_EQ(0, write_cgroup("cgroup.subtree_control", controllers));
	ASSERT_EQ(0, mkdir(MEMBER, 0755));
	ASSERT_EQ(0, mkdir(CGROUP "/other", 0755));
	direct = test_reopen(fd, O_RDWR | O_DIRECT);
	dir = open(TEST_DIR "/ext4", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(0, io_uring_queue_init(RING_KEEPERS, &ring, 0));
	ASSERT_EQ(0, ioctl(dir, FIFREEZE, 0));
	EXPECT_EQ(0, send_keepers(&ring, direct, page));
	pids[0] = start_neighbour(fd, "member/cgroup.procs", 0);
	pids[1] = start_neighbour(fd, "other/cgroup.procs", PART);
	ASSERT_EQ(0, ioctl(dir, FITHAW, 0));
	EXPECT_EQ(sizeof(page), ring_least(&ring, RING_KEEPERS));
	EXPECT_EQ(0, test_reap(pids[0]));
	EXPECT_EQ(0, test_reap(pids[1]));
	io_uring_queue_exit(&ring);
	close(dir);
	close(direct);
	close(fd);
}

static void expect_halves(struct __test_metadata *_metadata)
{
	EXPECT_TRUE(test_wait_field(MEMBER "/memory.stat", "file", PART / 4 * 3));
	EXPECT_TRUE(test_wait_field(CGROUP "/other/memory.stat", "file", PART / 4 * 3));
	EXPECT_EQ(0, rmdir(CGROUP "/other"));
	EXPECT_EQ(0, rmdir(MEMBER));
}

TEST_F(cgroup, pays_for_no_neighbour)
{
	write_as_neighbours(_metadata, "+memory +io");
	expect_halves(_metadata);
	EXPECT_EQ(0, write_cgroup("cgroup.subtree_control", "-memory -io"));
}

TEST_F(cgroup, pays_for_no_neighbour_without_the_io_controller)
{
	write_as_neighbours(_metadata, "+memory");
	expect_halves(_metadata);
	EXPECT_EQ(0, write_cgroup("cgroup.subtree_control", "-memory"));
}

/* Three counts of I/Os: struct blkfd_io_stats. */
#define COUNTS_SIZE	24LL

/* Made until there are no more to be had, by who has limit of memory. */
static void make_all(int ready, int go)
{
	struct rlimit files = { 65536, 65536 };
	int backing = test_memfd(TEST_MIB), count = 0;
	char byte;

	if (write_cgroup("cgroup.procs", "0") ||
	    setrlimit(RLIMIT_NOFILE, &files))
		_exit(1);
	while (blkfd_create(backing, NULL) >= 0)
		count++;
	if (write(ready, &count, sizeof(count)) != sizeof(count) ||
	    read(go, &byte, 1))
		_exit(1);
	_exit(0);
}

TEST_F(cgroup, memory_of_64_mib_makes_devices_take_no_more)
{
	int ready[2], go[2], count = 0;
	long long before, after;
	pid_t pid;

	ASSERT_EQ(0, write_cgroup("memory.max", "64M"));
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	before = test_read_field("/proc/meminfo", "MemAvailable");
	pid = fork();
	if (!pid) {
		close(go[1]);
		make_all(ready[1], go[0]);
	}
	ASSERT_EQ(sizeof(count), read(ready[0], &count, sizeof(count)));
	after = test_read_field("/proc/meminfo", "MemAvailable");
	ASSERT_LT(0, before);
	ASSERT_LT(0, after);
	TH_LOG("%d devices take %lld KiB", count, before - after);
	EXPECT_LE(16, count);
	EXPECT_GE(1024, count);
	/* A kernel made to find bugs keeps its own notes on each allocation. */
	EXPECT_GT((test_slowdown() > 1 ? 4 : 1) * 64 * 1024, before - after);
	/* Of each processor, what it has counted of the device. */
	EXPECT_TRUE(test_wait_field(CGROUP "/memory.stat", "percpu",
				    COUNTS_SIZE * count * get_nprocs_conf()));
	close(go[1]);
	EXPECT_EQ(0, test_reap(pid));
	EXPECT_EQ(true, test_wait(is_gone, NULL, 3 * TEST_TIMEOUT_MS));
}

TEST_HARNESS_MAIN
