// SPDX-License-Identifier: GPL-2.0
/*
 * What is below a device fails: it hangs, dies, shrinks, or has no memory. Who uses
 * the device sees an error where one is due, and never a wrong byte; who waits does
 * so no longer than the cause lasts, alone; and the device ends as any other.
 * Errors of a disk, full and truncated files at rest are in io.c.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "servers/servers.h"
#include "testlib.h"

#define SIZE		(4 * TEST_MIB)
#define CUT		(2 * TEST_MIB)
#define SEED		0xfa
/* Of a file, and not root. */
#define OWNER		1000
#define PAGE		4096

#define BELOW		TEST_DIR "/below"
#define ABOVE		TEST_DIR "/above"
#define EXPORT		TEST_DIR "/export"
#define DM_NAME		"blkfd-faults"
#define DM_PATH		"/dev/mapper/" DM_NAME
/* No xfs is smaller. */
#define DM_SECTORS	"655360"
#define DM_LINEAR	table_of_disk("linear", "")
#define DM_ERROR	"0 " DM_SECTORS " error"
#define DM_WRITE_ERROR	table_of_disk("flakey", " 0 1 1 error_writes")

/* XFS_IOC_GOINGDOWN, which ext4 has, too; its argument to leave the log as it is. */
#define IOC_SHUTDOWN	_IOR('X', 125, uint32_t)
#define SHUTDOWN_NOLOG	2

/* Over the disk; good until the next. */
static const char *table_of_disk(const char *type, const char *rest)
{
	static char table[160];

	snprintf(table, sizeof(table), "0 " DM_SECTORS " %s %s 0%s", type, TEST_DISK, rest);
	return table;
}

/* A device, and all that is below it. */
struct below {
	pid_t server;
	int dir;
	int file;
	int dev;
	int direct;
	uint64_t id;
	bool begun;
	/* Shared with children: they are about to do what will wait. */
	atomic_bool *reached;
};

/*
 * What can happen: begin() has I/O wait and end() ends that; with die() after
 * begin(), and without, it fails from then on. open() gives the backing file.
 */
struct fault {
	int (*open)(struct below *below);
	int (*begin)(struct below *below);
	int (*end)(struct below *below);
	int (*die)(struct below *below);
	bool reads_go_on;
	bool cache_takes_writes;
	bool reads_keep_holes_out;
};

/* Device-mapper */

static int dm_suspend(struct below *below)
{
	return test_dm_suspend(DM_NAME);
}

static int dm_resume(struct below *below)
{
	return test_dm_resume(DM_NAME);
}

static int dm_die(struct below *below)
{
	return test_dm_replace(DM_NAME, DM_ERROR);
}

static int open_dm(struct below *below)
{
	int fd;

	if (test_dm_create(DM_NAME, DM_LINEAR))
		return -EIO;
	fd = open(DM_PATH, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* File systems on it */

static int mount_disk_at(struct below *below, const char *dir, const char *disk,
			 const char *fstype, const char *options)
{
	if (test_mkfs(fstype, disk))
		return -EIO;
	if (mkdir(dir, 0755) || mount(disk, dir, fstype, 0, options))
		return -errno;
	below->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return below->dir < 0 ? -errno : 0;
}

static int mount_disk(struct below *below, const char *disk, const char *fstype,
		      const char *options)
{
	return mount_disk_at(below, BELOW, disk, fstype, options);
}

/* form: a path with %s for the disk's name. */
static int write_of_disk(const char *form, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), form, test_disk_name());
	return test_write_text(path, text);
}

static int open_ext4(struct below *below)
{
	return mount_disk(below, TEST_DISK, "ext4", NULL) ?:
	       test_tmpfile(BELOW, SIZE);
}

static int open_ext4_on_dm(struct below *below)
{
	close(open_dm(below));
	return mount_disk(below, DM_PATH, "ext4", NULL) ?:
	       test_tmpfile(BELOW, SIZE);
}

static int open_xfs(struct below *below)
{
	return mount_disk(below, TEST_DISK, "xfs", NULL) ?:
	       test_tmpfile(BELOW, SIZE);
}

static int open_btrfs(struct below *below)
{
	return mount_disk(below, TEST_DISK, "btrfs", NULL) ?:
	       test_tmpfile(BELOW, SIZE);
}

/* The directory that the VM shares with its host, by 9p. */
static int open_shared(struct below *below)
{
	if (access("/run/blkfd", F_OK))
		return -ENODEV;
	if (mkdir(BELOW, 0755) || mount("/run/blkfd", BELOW, NULL, MS_BIND, NULL))
		return -errno;
	return test_file(BELOW "/file", SIZE, 0);
}

static int open_tmpfs(struct below *below)
{
	return test_tmpfs(BELOW) ?: test_tmpfile(BELOW, SIZE);
}

static int mount_overlay(void)
{
	if (mkdir(BELOW "/upper", 0755) || mkdir(BELOW "/work", 0755) ||
	    mkdir(BELOW "/overlay", 0755) ||
	    mount("overlay", BELOW "/overlay", "overlay", 0,
		  "lowerdir=" BELOW "/lower,upperdir=" BELOW "/upper,"
		  "workdir=" BELOW "/work"))
		return -errno;
	return 0;
}

static int open_overlay(struct below *below)
{
	int ret = mount_disk(below, TEST_DISK, "xfs", NULL);

	if (ret)
		return ret;
	if (mkdir(BELOW "/lower", 0755))
		return -errno;
	return mount_overlay() ?: test_file(BELOW "/overlay/file", SIZE, 0);
}

static int freeze(struct below *below)
{
	return ioctl(below->dir, FIFREEZE, 0) ? -errno : 0;
}

static int thaw(struct below *below)
{
	return ioctl(below->dir, FITHAW, 0) ? -errno : 0;
}

static int shut_down(struct below *below)
{
	uint32_t how = SHUTDOWN_NOLOG;

	return ioctl(below->dir, IOC_SHUTDOWN, &how) ? -errno : 0;
}

static int die_frozen(struct below *below)
{
	return shut_down(below) ?: thaw(below);
}

/* Servers */

static int open_fuse(struct below *below)
{
	struct test_fuse fuse = { };
	int ret = test_fuse_mount(&fuse, BELOW, SIZE, PAGE), fd;

	if (ret)
		return ret;
	below->server = fuse.server;
	fd = open(BELOW, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_nfs_with(struct below *below, const char *options)
{
	return test_tmpfs(EXPORT) ?: nfs_serve(EXPORT) ?:
	       nfs_be_reached(&below->server) ?: nfs_mount(BELOW, options) ?:
	       test_file(BELOW "/file", SIZE, 0);
}

/*
 * Who asks in vain asks on, until somebody gives the mount up. It says that its blocks
 * are large, unless it is told: too large for direct I/O of less.
 */
static int open_nfs(struct below *below)
{
	return open_nfs_with(below, "bsize=4096");
}

/* Or gives up ten seconds after the connection broke, which is no slow server's answer. */
static int open_soft_nfs(struct below *below)
{
	return open_nfs_with(below, "soft,timeo=50,retrans=1");
}

static int open_9p(struct below *below)
{
	return test_tmpfs(EXPORT) ?: p9_mount(EXPORT, BELOW, &below->server) ?:
	       test_file(BELOW "/file", SIZE, 0);
}

/* Before it has stopped it may take a request, and who has sent that cannot leave. */
static int stop_server(struct below *below)
{
	siginfo_t info;

	return kill(below->server, SIGSTOP) ||
	       waitid(P_PID, below->server, &info, WSTOPPED) ? -errno : 0;
}

static int continue_server(struct below *below)
{
	return kill(below->server, SIGCONT) ? -errno : 0;
}

static int kill_server(struct below *below)
{
	if (kill(below->server, SIGKILL))
		return -errno;
	return test_reap(below->server) == 128 + SIGKILL ? 0 : -ECHILD;
}

/* Without the file: a process that is made while the server is away would flush it. */
static int lose_nfs_server(struct below *below)
{
	if (close(below->file))
		return -errno;
	below->file = -1;
	return kill_server(below);
}

static bool opens_file(void *arg)
{
	struct below *below = arg;

	below->file = open(BELOW "/file", O_RDWR | O_CLOEXEC);
	return below->file >= 0;
}

/* The longer a client was refused, the later it asks again: a soft one may give up before. */
static int find_nfs_server(struct below *below)
{
	return nfs_be_reached(&below->server) ?:
	       test_wait(opens_file, below, TEST_TIMEOUT_MS) ? 0 : -ETIMEDOUT;
}

static int give_nfs_up(struct below *below)
{
	return kill_server(below) ?: nfs_shut_down();
}

/* The device */

static int below_begin(struct below *below)
{
	*below = (struct below) { .dir = -1, .file = -1, .dev = -1, .direct = -1 };
	below->reached = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return below->reached == MAP_FAILED ? -errno : test_private_mounts();
}

/* length: 0 for all of the file. */
static int below_make(struct below *below, uint32_t flags, uint64_t length)
{
	below->dev = test_create(below->file, flags, 0, length, 0);
	if (below->dev < 0)
		return below->dev;
	below->id = test_id(below->dev);
	below->direct = test_reopen(below->dev, O_RDWR | O_DIRECT);
	return below->direct < 0 ? below->direct : 0;
}

static int below_open(struct below *below, const struct fault *fault,
		      uint32_t flags)
{
	int ret;

	ret = below_begin(below);
	if (ret)
		return ret;
	below->file = fault->open(below);
	if (below->file < 0)
		return below->file;
	return below_make(below, flags, SIZE);
}

/* From here on, reads have to go all the way down. */
static int forget(struct below *below)
{
	if (fsync(below->dev) || ioctl(below->dev, BLKFLSBUF) ||
	    fsync(below->file))
		return -errno;
	return posix_fadvise(below->file, 0, 0, POSIX_FADV_DONTNEED);
}

static int below_fill(struct below *below)
{
	return test_write_pattern(below->dev, 0, SIZE, SEED) ?: forget(below);
}

static void close_ours(struct below *below)
{
	close(below->direct);
	close(below->dev);
	below->direct = -1;
	below->dev = -1;
}

/* Which succeeds at once if the device has released its file. */
static int unmount_below(struct below *below)
{
	close(below->file);
	close(below->dir);
	below->file = -1;
	below->dir = -1;
	umount(BELOW "/overlay");
	unlink(BELOW "/file");
	unlink(BELOW "/name");
	if (umount(BELOW) && errno != EINVAL && errno != ENOENT)
		return -errno;
	nfs_stop_serving();
	umount(EXPORT);
	if (!access(DM_PATH, F_OK))
		return test_dm_remove(DM_NAME);
	return 0;
}

static bool is_unmounted(void *below)
{
	return !unmount_below(below);
}

#define EXPECT_GONE(below) do { \
	close_ours(below); \
	EXPECT_TRUE(test_wait_gone((below)->id)); \
	EXPECT_EQ(0, unmount_below(below)); \
} while (0)

static void below_drop(struct below *below)
{
	close_ours(below);
	unmount_below(below);
}

/* Whether there is one; the case is skipped if there can be none. */
static bool below_setup(struct __test_metadata *_metadata, struct below *below,
			const struct fault *fault, uint32_t flags)
{
	int ret = below_open(below, fault, flags);

	if (ret)
		below_drop(below);
	if (ret == -ENODEV)
		SKIP(return false, "not on this machine, or not in its kernel");
	ASSERT_EQ(0, ret);
	return true;
}

/* For cases of this alone; all of the device has the pattern. */
static void set_up_over(struct __test_metadata *_metadata, struct below *below,
			int (*open)(struct below *below), uint32_t flags)
{
	const struct fault fault = { .open = open };

	if (below_setup(_metadata, below, &fault, flags))
		ASSERT_EQ(0, below_fill(below));
}

static int read_error(int fd, uint64_t at)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));

	return pread(fd, buf, PAGE, at) < 0 ? errno : 0;
}

static int write_error(int fd, uint64_t at)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));

	test_fill(buf, PAGE, at, SEED);
	return pwrite(fd, buf, PAGE, at) < 0 ? errno : 0;
}

static void expect_pattern(struct __test_metadata *_metadata,
			   struct below *below, uint64_t seed)
{
	EXPECT_EQ(0, forget(below));
	EXPECT_EQ(0, test_check_pattern(below->dev, 0, SIZE, seed));
	EXPECT_EQ(0, test_check_pattern(below->direct, 0, SIZE, seed));
	EXPECT_EQ(0, test_check_pattern(below->file, 0, SIZE, seed));
}

/* After all that, it is a device like any other. */
static void expect_works(struct __test_metadata *_metadata, struct below *below)
{
	/* These tell of errors before. */
	fsync(below->dev);
	fsync(below->file);
	EXPECT_EQ(0, test_write_pattern(below->dev, 0, SIZE, SEED + 2));
	expect_pattern(_metadata, below, SEED + 2);
	EXPECT_GONE(below);
}

/* Who waits */

/* Children, since those can be killed; each says by its status how it went. */
static pid_t start(struct below *below, int (*work)(struct below *below))
{
	pid_t pid;

	*below->reached = false;
	pid = fork();
	if (!pid)
		_exit(-work(below));
	return pid;
}

static int work_write(struct below *below)
{
	*below->reached = true;
	return test_write_pattern(below->direct, 0, SIZE, SEED + 1) ?:
	       fsync(below->dev) ? -errno : 0;
}

static int work_fsync(struct below *below)
{
	int ret = test_write_pattern(below->direct, 0, SIZE, SEED + 1);

	*below->reached = true;
	return ret ?: fsync(below->dev) ? -errno : 0;
}

static int work_read(struct below *below)
{
	*below->reached = true;
	return test_check_pattern(below->dev, 0, SIZE, SEED);
}

/* And it is the last to close it, perhaps. */
static int work_dirty(struct below *below)
{
	int ret = test_write_pattern(below->dev, 0, SIZE, SEED + 1);

	*below->reached = true;
	return ret;
}

static int work_shrink(struct below *below)
{
	struct blkfd_resize arg = { .length = CUT };

	return work_dirty(below) ?:
	       ioctl(below->dev, BLKFD_RESIZE, &arg) ? -errno : 0;
}

/* As anybody might. */
static int work_sync(struct below *below)
{
	int ret = work_dirty(below);

	sync();
	return ret;
}

static int work_create(struct below *below)
{
	int dev;

	*below->reached = true;
	dev = test_create(below->file, 0, 0, SIZE, 0);
	return dev < 0 ? dev : 0;
}

static int work_look(struct below *below)
{
	char value[4096];
	int len = test_attr(below->id, "blkfd/backing_file", value, sizeof(value));

	return len < 0 ? len : 0;
}

static char state_of(pid_t pid)
{
	char path[32], text[64] = "";
	const char *name_end;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	name_end = strchr(text, ')');
	return name_end ? name_end[2] : 0;
}

struct waiter {
	struct below *below;
	pid_t pid;
};

static bool is_waiting(void *arg)
{
	struct waiter *waiter = arg;
	char state = state_of(waiter->pid);

	return *waiter->below->reached && (state == 'D' || state == 'S');
}

static bool waits(struct below *below, pid_t pid)
{
	struct waiter waiter = { below, pid };

	return test_wait(is_waiting, &waiter, TEST_TIMEOUT_MS);
}

static bool is_running(pid_t pid)
{
	siginfo_t info = { };

	return !waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       !info.si_pid;
}

static bool has_ended(void *arg)
{
	return !is_running(*(pid_t *)arg);
}

#define EXPECT_ENDS(pid) \
	EXPECT_TRUE(test_wait(has_ended, &(pid), TEST_TIMEOUT_MS))

/* The whole life of a device beside. */
static int use_another(struct below *below)
{
	int file = test_memfd(SIZE), dev = test_create(file, 0, 0, 0, 0);
	uint64_t id = test_id(dev);
	int ret;

	ret = test_write_pattern(dev, 0, SIZE, SEED) ?:
	      fsync(dev) ? -errno : test_check_pattern(file, 0, SIZE, SEED);
	close(dev);
	close(file);
	return ret ?: test_wait_gone(id) ? 0 : -EBUSY;
}

/* What hangs */

FIXTURE(hang) {
	struct below below;
};

FIXTURE_VARIANT(hang) {
	struct fault fault;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(hang, frozen_ext4) {
	.fault = { open_ext4, freeze, thaw, die_frozen, true },
};

FIXTURE_VARIANT_ADD(hang, frozen_xfs_direct) {
	.fault = { open_xfs, freeze, thaw, die_frozen, true },
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(hang, suspended_disk) {
	.fault = { open_dm, dm_suspend, dm_resume, dm_die },
	.flags = BLKFD_F_DIRECT,
};

/* Writes end in the page cache of the file. */
FIXTURE_VARIANT_ADD(hang, ext4_on_suspended_disk) {
	.fault = { open_ext4_on_dm, dm_suspend, dm_resume, dm_die, false, true },
};

FIXTURE_VARIANT_ADD(hang, stopped_fuse) {
	.fault = { open_fuse, stop_server, continue_server, kill_server },
};

FIXTURE_VARIANT_ADD(hang, stopped_fuse_direct) {
	.fault = { open_fuse, stop_server, continue_server, kill_server },
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(hang, stopped_nfs) {
	.fault = { open_nfs, stop_server, continue_server, give_nfs_up, false, true },
};

FIXTURE_VARIANT_ADD(hang, stopped_nfs_direct) {
	.fault = { open_nfs, stop_server, continue_server, give_nfs_up },
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(hang, stopped_9p) {
	.fault = { open_9p, stop_server, continue_server, kill_server },
};

static int begin(struct below *below, const struct fault *fault)
{
	int ret = fault->begin(below);

	below->begun = !ret;
	return ret;
}

static int end(struct below *below, const struct fault *fault)
{
	if (!below->begun)
		return -EALREADY;
	below->begun = false;
	return fault->end(below);
}

/* Of reads and writes: the first and the fifth number of the block layer's. */
static unsigned long long completed(struct below *below)
{
	unsigned long long reads = 0, writes = 0;
	char text[256] = "";

	/* There is none while one is being made. */
	if (test_attr(below->id, "stat", text, sizeof(text)) > 0 &&
	    sscanf(text, "%llu %*u %*u %*u %llu", &reads, &writes) != 2)
		abort();
	return reads + writes;
}

/* It does not end while others do all that there is. */
#define ASSERT_IS_HELD(pid) do { \
	ASSERT_TRUE(waits(&self->below, pid)); \
	EXPECT_EQ(0, use_another(&self->below)); \
	ASSERT_TRUE(is_running(pid)); \
} while (0)

/* Nor does it end because it is killed. */
#define ASSERT_OUTLIVES_KILL(pid) do { \
	ASSERT_EQ(0, kill(pid, SIGKILL)); \
	EXPECT_EQ(0, use_another(&self->below)); \
	EXPECT_TRUE(is_running(pid)); \
} while (0)

/* Nor does it get on. */
#define ASSERT_WAITS(pid) do { \
	unsigned long long before; \
	ASSERT_TRUE(waits(&self->below, pid)); \
	before = completed(&self->below); \
	ASSERT_IS_HELD(pid); \
	EXPECT_EQ(before, completed(&self->below)); \
} while (0)

FIXTURE_SETUP(hang)
{
	if (!below_setup(_metadata, &self->below, &variant->fault, variant->flags))
		return;
	ASSERT_EQ(0, below_fill(&self->below));
	ASSERT_EQ(0, begin(&self->below, &variant->fault));
}

FIXTURE_TEARDOWN(hang)
{
	end(&self->below, &variant->fault);
	below_drop(&self->below);
}

static pid_t start_writer(struct below *below, const struct fault *fault)
{
	return start(below, fault->cache_takes_writes ? work_fsync : work_write);
}

TEST_F(hang, writes_wait_and_arrive)
{
	pid_t pid = start_writer(&self->below, &variant->fault);

	ASSERT_WAITS(pid);
	ASSERT_EQ(0, end(&self->below, &variant->fault));
	EXPECT_EQ(0, test_reap(pid));
	expect_pattern(_metadata, &self->below, SEED + 1);
	EXPECT_GONE(&self->below);
}

/* Of what is frozen, they go on. */
TEST_F(hang, reads_are_right_in_the_end)
{
	pid_t pid = start(&self->below, work_read);

	if (variant->fault.reads_go_on)
		EXPECT_ENDS(pid);
	if (!variant->fault.reads_go_on)
		ASSERT_WAITS(pid);
	ASSERT_EQ(0, end(&self->below, &variant->fault));
	EXPECT_EQ(0, test_reap(pid));
	EXPECT_GONE(&self->below);
}

TEST_F(hang, killed_reader_does_not_wait)
{
	pid_t pid;

	if (variant->fault.reads_go_on)
		SKIP(return, "reads do not hang");
	pid = start(&self->below, work_read);
	ASSERT_WAITS(pid);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_ENDS(pid);
	ASSERT_EQ(0, end(&self->below, &variant->fault));
	EXPECT_EQ(128 + SIGKILL, test_reap(pid));
	expect_pattern(_metadata, &self->below, SEED);
	EXPECT_GONE(&self->below);
}

/* The kernel lets nobody leave a direct write, or its last close. */
TEST_F(hang, killed_last_holder_goes_when_it_ends)
{
	pid_t pid = start_writer(&self->below, &variant->fault);

	ASSERT_WAITS(pid);
	close_ours(&self->below);
	ASSERT_OUTLIVES_KILL(pid);
	EXPECT_TRUE(test_device_listed(self->below.id));
	ASSERT_EQ(0, end(&self->below, &variant->fault));
	EXPECT_EQ(128 + SIGKILL, test_reap(pid));
	EXPECT_GONE(&self->below);
}

TEST_F(hang, last_close_waits_and_loses_nothing)
{
	pid_t pid;

	if (variant->fault.cache_takes_writes)
		SKIP(return, "the file's page cache takes it all");
	pid = start(&self->below, work_dirty);
	close_ours(&self->below);
	ASSERT_WAITS(pid);
	ASSERT_EQ(0, end(&self->below, &variant->fault));
	EXPECT_EQ(0, test_reap(pid));
	EXPECT_EQ(0, test_check_pattern(self->below.file, 0, SIZE, SEED + 1));
	EXPECT_GONE(&self->below);
}

/* The kernel waits there for all that is dirty on any disk, and can be told of none. */
TEST_F(hang, keeps_sync_of_the_whole_system)
{
	pid_t pid;

	if (variant->fault.cache_takes_writes)
		SKIP(return, "the file's page cache takes it all");
	pid = start(&self->below, work_sync);
	ASSERT_IS_HELD(pid);
	ASSERT_OUTLIVES_KILL(pid);
	ASSERT_EQ(0, end(&self->below, &variant->fault));
	EXPECT_EQ(128 + SIGKILL, test_reap(pid));
	expect_pattern(_metadata, &self->below, SEED + 1);
	EXPECT_GONE(&self->below);
}

/* Who looks at all devices must not be kept by a user's. */
TEST_F(hang, can_be_looked_at_while_a_resize_waits)
{
	pid_t pid, look;

	if (variant->fault.cache_takes_writes)
		SKIP(return, "the file's page cache takes it all");
	pid = start(&self->below, work_shrink);
	ASSERT_WAITS(pid);
	look = start(&self->below, work_look);
	EXPECT_ENDS(look);
	ASSERT_EQ(0, end(&self->below, &variant->fault));
	EXPECT_EQ(0, test_reap(look));
	EXPECT_EQ(0, test_reap(pid));
	EXPECT_EQ(CUT, lseek(self->below.dev, 0, SEEK_END));
	EXPECT_GONE(&self->below);
}

TEST_F(hang, what_waits_fails_if_it_dies)
{
	pid_t pid = start_writer(&self->below, &variant->fault);

	ASSERT_WAITS(pid);
	ASSERT_EQ(0, variant->fault.die(&self->below));
	self->below.begun = false;
	EXPECT_ENDS(pid);
	EXPECT_EQ(EIO, test_reap(pid));
	EXPECT_GONE(&self->below);
}

FIXTURE(server) {
	struct below below;
};

FIXTURE_VARIANT(server) {
	int (*open)(struct below *below);
	/* Who asks its client for something waits for the answer, killed or not. */
	bool keeps_killed;
};

FIXTURE_VARIANT_ADD(server, of_fuse) {
	.open = open_fuse,
};

FIXTURE_VARIANT_ADD(server, of_nfs) {
	.open = open_nfs,
};

FIXTURE_VARIANT_ADD(server, of_9p) {
	.open = open_9p,
	.keeps_killed = true,
};

FIXTURE_SETUP(server)
{
	const struct fault fault = { .open = variant->open };

	below_setup(_metadata, &self->below, &fault, 0);
}

FIXTURE_TEARDOWN(server)
{
	continue_server(&self->below);
	below_drop(&self->below);
}

TEST_F(server, that_hangs_keeps_creations_no_longer)
{
	pid_t pid;

	close_ours(&self->below);
	ASSERT_EQ(0, stop_server(&self->below));
	pid = start(&self->below, work_create);
	ASSERT_WAITS(pid);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	if (!variant->keeps_killed)
		EXPECT_ENDS(pid);
	ASSERT_EQ(0, continue_server(&self->below));
	EXPECT_EQ(128 + SIGKILL, test_reap(pid));
	EXPECT_GONE(&self->below);
	if (variant->open == open_fuse)
		EXPECT_EQ(0, test_reap(self->below.server));
}

/* What dies */

FIXTURE(death) {
	struct below below;
};

FIXTURE_VARIANT(death) {
	struct fault fault;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(death, of_ext4) {
	.fault = { .open = open_ext4, .die = shut_down },
};

FIXTURE_VARIANT_ADD(death, of_ext4_direct) {
	.fault = { .open = open_ext4, .die = shut_down },
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(death, of_xfs) {
	.fault = { .open = open_xfs, .die = shut_down },
};

FIXTURE_VARIANT_ADD(death, of_xfs_direct) {
	.fault = { .open = open_xfs, .die = shut_down },
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(death, of_xfs_below_overlay) {
	.fault = { .open = open_overlay, .die = shut_down },
};

FIXTURE_VARIANT_ADD(death, of_the_disk) {
	.fault = { .open = open_dm, .die = dm_die },
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(death, of_fuse) {
	.fault = { .open = open_fuse, .die = kill_server },
};

FIXTURE_VARIANT_ADD(death, of_fuse_direct) {
	.fault = { .open = open_fuse, .die = kill_server },
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(death, of_nfs) {
	.fault = { .open = open_nfs, .die = give_nfs_up, .cache_takes_writes = true },
};

FIXTURE_VARIANT_ADD(death, of_nfs_direct) {
	.fault = { .open = open_nfs, .die = give_nfs_up },
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(death, of_9p) {
	.fault = { .open = open_9p, .die = kill_server },
};

FIXTURE_SETUP(death)
{
	below_setup(_metadata, &self->below, &variant->fault, variant->flags);
}

FIXTURE_TEARDOWN(death)
{
	below_drop(&self->below);
}

TEST_F(death, is_eio_for_reads_and_writes)
{
	struct below *below = &self->below;

	ASSERT_EQ(0, below_fill(below));
	ASSERT_EQ(0, variant->fault.die(below));
	EXPECT_EQ(EIO, read_error(below->direct, 0));
	EXPECT_EQ(EIO, read_error(below->dev, CUT));
	if (!variant->fault.cache_takes_writes)
		EXPECT_EQ(EIO, write_error(below->direct, PAGE));
	EXPECT_EQ(0, write_error(below->dev, 2 * PAGE));
	EXPECT_EQ(-1, fsync(below->dev));
	EXPECT_EQ(EIO, errno);
	EXPECT_GONE(below);
}

TEST_F(death, holds_no_device_that_is_dirty)
{
	ASSERT_EQ(0, below_fill(&self->below));
	ASSERT_EQ(0, work_dirty(&self->below));
	ASSERT_EQ(0, variant->fault.die(&self->below));
	if (!variant->fault.cache_takes_writes)
		EXPECT_EQ(EIO, read_error(self->below.direct, CUT));
	EXPECT_GONE(&self->below);
}

TEST_F(death, lets_what_is_mounted_be_unmounted)
{
	char path[TEST_PATH_MAX];
	int file;

	test_fd_path(self->below.dev, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	ASSERT_EQ(0, mkdir(ABOVE, 0755));
	ASSERT_EQ(0, blkfd_mount(self->below.dev, "ext4", NULL, 0, ABOVE, NULL, 0));
	file = test_file(ABOVE "/file", 0, 0);
	ASSERT_EQ(0, test_write_pattern(file, 0, TEST_MIB, SEED));
	ASSERT_EQ(0, variant->fault.die(&self->below));
	EXPECT_EQ(-1, fsync(file));
	/* Read-only, if the journal got to know of it first. */
	EXPECT_TRUE(errno == EIO || errno == EROFS);
	ASSERT_EQ(0, close(file));
	EXPECT_EQ(0, umount(ABOVE));
	EXPECT_GONE(&self->below);
}

/* Pages that must not change while they are written: their checksum would not fit. */

static int work_change(struct below *below)
{
	*below->reached = true;
	return test_write_pattern(below->dev, 0, PAGE, SEED + 1);
}

/* That it matters, btrfs says, and ext4 over a device on it; its disk can be suspended. */
static int open_stable(struct below *below)
{
	char path[TEST_PATH_MAX], table[128];
	int file, dev;

	if (test_scratch_mount("btrfs", NULL))
		return -EIO;
	file = test_tmpfile(TEST_DIR "/btrfs", 64 * TEST_MIB);
	dev = test_create(file, BLKFD_F_DIRECT, 0, 0, 0);
	close(file);
	test_fd_path(dev, path, sizeof(path));
	snprintf(table, sizeof(table), "0 %llu linear %s 0", 64 * TEST_MIB / 512, path);
	if (test_dm_create(DM_NAME, table))
		return -EIO;
	close(dev);
	return mount_disk(below, DM_PATH, "ext4", NULL) ?: test_tmpfile(BELOW, SIZE);
}

TEST(page_does_not_change_while_it_is_written)
{
	const struct fault fault = { .open = open_stable };
	struct below below;
	pid_t pid;

	ASSERT_EQ(0, below_open(&below, &fault, BLKFD_F_DIRECT));
	ASSERT_EQ(1, test_attr_number(below.id, "queue/stable_writes"));
	ASSERT_EQ(0, below_fill(&below));
	ASSERT_EQ(0, test_dm_suspend(DM_NAME));
	EXPECT_EQ(0, test_write_pattern(below.dev, 0, PAGE, SEED));
	EXPECT_EQ(0, sync_file_range(below.dev, 0, PAGE, SYNC_FILE_RANGE_WRITE));
	pid = start(&below, work_change);
	EXPECT_TRUE(waits(&below, pid));
	EXPECT_EQ(0, use_another(&below));
	EXPECT_TRUE(is_running(pid));
	ASSERT_EQ(0, test_dm_resume(DM_NAME));
	EXPECT_EQ(0, test_reap(pid));
	EXPECT_EQ(0, fsync(below.dev));
	EXPECT_EQ(0, test_check_pattern(below.file, 0, PAGE, SEED + 1));
	EXPECT_GONE(&below);
	EXPECT_EQ(0, umount(TEST_DIR "/btrfs"));
}

/* Load meanwhile */

#define LOAD_BLOCK	(16 * TEST_KIB)

/*
 * Threads write the pattern, here and there, and read. What is not the pattern
 * must be a zero, if there may be holes; and the error, if any, must be
 * this. Below @kept neither is tolerated.
 */
struct load {
	int fd;
	bool holes;
	int error;
	uint64_t kept;
	unsigned long base;
	atomic_bool stop, reads_wait;
	atomic_ulong ios, errors, bad_ios, bad_errors;
	pthread_t threads[3];
};

static bool is_tolerable(struct load *load, const void *got, size_t len,
			 uint64_t at)
{
	uint64_t wanted[LOAD_BLOCK / sizeof(uint64_t)];
	const uint64_t *words = got;

	test_fill(wanted, len, at, SEED);
	for (size_t i = 0; i < len / sizeof(*words); i++)
		if (words[i] != wanted[i] &&
		    (words[i] || !load->holes || at < load->kept))
			return false;
	return true;
}

static void load_turn(struct load *load, char *buf, uint64_t at, bool write)
{
	ssize_t done;

	if (write)
		test_fill(buf, LOAD_BLOCK, at, SEED);
	done = write ? pwrite(load->fd, buf, LOAD_BLOCK, at) :
		       pread(load->fd, buf, LOAD_BLOCK, at);
	load->ios++;
	if (done < 0) {
		load->errors++;
		load->bad_errors += errno != load->error || at < load->kept;
	} else if (!write && !is_tolerable(load, buf, done, at)) {
		load->bad_ios++;
	}
}

static void *load_run(void *arg)
{
	static atomic_uint seeds;
	unsigned int seed = ++seeds;
	bool write = seed % 3 == 0;
	struct load *load = arg;
	char *buf = aligned_alloc(PAGE, LOAD_BLOCK);

	while (!load->stop) {
		if (load->reads_wait && !write)
			sched_yield();
		else
			load_turn(load, buf, rand_r(&seed) % (SIZE / LOAD_BLOCK) * LOAD_BLOCK,
				  write);
	}
	free(buf);
	return NULL;
}

/* Each thread may have one under way that was sent before the step. */
static bool load_goes_on(void *arg)
{
	struct load *load = arg;

	return load->ios >= load->base + 2 * ARRAY_SIZE(load->threads);
}

static int load_start(struct load *load, int fd)
{
	load->fd = fd;
	for (size_t i = 0; i < ARRAY_SIZE(load->threads); i++)
		if (pthread_create(&load->threads[i], NULL, load_run, load))
			return -EAGAIN;
	return 0;
}

static void expect_load_was_right(struct __test_metadata *_metadata,
				  struct load *load)
{
	load->stop = true;
	for (size_t i = 0; i < ARRAY_SIZE(load->threads); i++)
		pthread_join(load->threads[i], NULL);
	TH_LOG("%lu I/Os, %lu errors", load->ios, load->errors);
	EXPECT_EQ(0, load->bad_ios);
	EXPECT_EQ(0, load->bad_errors);
}

/* Between two steps some I/O is done, whether it fails or not. */
#define ASSERT_LOAD_GOES_ON(load) \
do { \
	(load)->base = (load)->ios; \
	ASSERT_TRUE(test_wait(load_goes_on, load, TEST_TIMEOUT_MS)); \
} while (0)

TEST_F_TIMEOUT(hang, often_in_a_row_does_load_no_harm, 80000)
{
	const unsigned long rounds = test_rounds(2);
	struct load load = { };

	if (variant->fault.cache_takes_writes)
		SKIP(return, "the file's page cache takes it all");
	ASSERT_EQ(0, end(&self->below, &variant->fault));
	ASSERT_EQ(0, load_start(&load, self->below.direct));
	for (unsigned long i = 0; i < rounds; i++) {
		ASSERT_EQ(0, begin(&self->below, &variant->fault));
		ASSERT_EQ(0, end(&self->below, &variant->fault));
		ASSERT_LOAD_GOES_ON(&load);
		test_tell(2, i, rounds, "rounds");
	}
	expect_load_was_right(_metadata, &load);
	expect_works(_metadata, &self->below);
}

FIXTURE(changed) {
	struct below below;
};

FIXTURE_VARIANT(changed) {
	struct fault fault;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(changed, tmpfs) {
	.fault = { .open = open_tmpfs },
};

FIXTURE_VARIANT_ADD(changed, ext4) {
	.fault = { .open = open_ext4 },
};

FIXTURE_VARIANT_ADD(changed, ext4_direct) {
	.fault = { .open = open_ext4 },
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(changed, xfs_direct) {
	.fault = { .open = open_xfs },
	.flags = BLKFD_F_DIRECT,
};

/* Which begins again and again, for ever where it is slow, to punch what is being read. */
FIXTURE_VARIANT_ADD(changed, btrfs) {
	.fault = { .open = open_btrfs, .reads_keep_holes_out = true },
};

FIXTURE_VARIANT_ADD(changed, by_9p) {
	.fault = { .open = open_shared },
};

FIXTURE_VARIANT_ADD(changed, by_nfs) {
	.fault = { .open = open_nfs },
};

FIXTURE_SETUP(changed)
{
	if (!below_setup(_metadata, &self->below, &variant->fault, variant->flags))
		return;
	ASSERT_EQ(0, below_fill(&self->below));
}

FIXTURE_TEARDOWN(changed)
{
	below_drop(&self->below);
}

TEST_F_TIMEOUT(changed, truncation_is_zeroes_or_eio, 80000)
{
	const unsigned long rounds = test_rounds(5);
	struct load load = { .holes = true, .error = EIO, .kept = CUT };

	ASSERT_EQ(0, load_start(&load, self->below.direct));
	for (unsigned long i = 0; i < rounds; i++) {
		ASSERT_EQ(0, ftruncate(self->below.file, CUT + i % 3 * 1000));
		ASSERT_LOAD_GOES_ON(&load);
		ASSERT_EQ(0, ftruncate(self->below.file, SIZE));
		ASSERT_LOAD_GOES_ON(&load);
		test_tell(2, i, rounds, "rounds");
	}
	expect_load_was_right(_metadata, &load);
	expect_works(_metadata, &self->below);
}

TEST_F_TIMEOUT(changed, holes_are_zeroes, 80000)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const unsigned long rounds = test_rounds(5);
	struct load load = { .holes = true, .kept = CUT };

	if (fallocate(self->below.file, punch, CUT, PAGE) && errno == EOPNOTSUPP)
		SKIP(return, "no holes in this file system");
	ASSERT_EQ(0, load_start(&load, self->below.direct));
	for (unsigned long i = 0; i < rounds; i++) {
		load.reads_wait = variant->fault.reads_keep_holes_out;
		ASSERT_EQ(0, fallocate(self->below.file, punch,
				       CUT + i % 7 * 1000, TEST_MIB));
		load.reads_wait = false;
		ASSERT_LOAD_GOES_ON(&load);
		test_tell(2, i, rounds, "rounds");
	}
	expect_load_was_right(_metadata, &load);
	expect_works(_metadata, &self->below);
}

/* The device has the file, not its name. */
TEST_F_TIMEOUT(changed, file_of_its_name_is_another, 80000)
{
	struct below *below = &self->below;
	const unsigned long rounds = test_rounds(2);
	struct load load = { };
	int other = -1;

	close_ours(below);
	close(below->file);
	below->file = test_file(BELOW "/name", SIZE, 0);
	below->dev = test_create(below->file, variant->flags, 0, 0, 0);
	ASSERT_LE(0, below->dev);
	below->id = test_id(below->dev);
	below->direct = test_reopen(below->dev, O_RDWR | O_DIRECT);
	ASSERT_EQ(0, below_fill(below));
	ASSERT_EQ(0, load_start(&load, below->direct));
	for (unsigned long i = 0; i < rounds; i++) {
		close(other);
		other = test_file(BELOW "/other", SIZE, 0);
		ASSERT_EQ(0, test_write_pattern(other, 0, SIZE, SEED + 3));
		ASSERT_EQ(0, rename(BELOW "/other", BELOW "/name"));
		ASSERT_LOAD_GOES_ON(&load);
		EXPECT_EQ(0, test_check_pattern(other, 0, SIZE, SEED + 3));
		test_tell(2, i, rounds, "rounds");
	}
	expect_load_was_right(_metadata, &load);
	EXPECT_EQ(0, test_check_pattern(other, 0, SIZE, SEED + 3));
	close(other);
	expect_works(_metadata, below);
}

/* Errors of the disk, by turns */

FIXTURE(disk) {
	struct below below;
};

FIXTURE_SETUP(disk)
{
	set_up_over(_metadata, &self->below, open_dm, BLKFD_F_DIRECT);
}

FIXTURE_TEARDOWN(disk)
{
	below_drop(&self->below);
}

TEST_F_TIMEOUT(disk, errors_come_and_go_as_eio, 80000)
{
	const unsigned long rounds = test_rounds(2);
	struct load load = { .error = EIO };

	ASSERT_EQ(0, load_start(&load, self->below.direct));
	for (unsigned long i = 0; i < rounds; i++) {
		ASSERT_EQ(0, test_dm_replace(DM_NAME, i % 2 ? DM_ERROR : DM_WRITE_ERROR));
		ASSERT_LOAD_GOES_ON(&load);
		ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_LINEAR));
		ASSERT_LOAD_GOES_ON(&load);
		test_tell(2, i, rounds, "rounds");
	}
	expect_load_was_right(_metadata, &load);
	EXPECT_LT(0, load.errors);
	expect_works(_metadata, &self->below);
}

TEST_F(disk, that_takes_no_writes_is_read)
{
	struct below *below = &self->below;

	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_WRITE_ERROR));
	EXPECT_EQ(EIO, write_error(below->direct, 0));
	EXPECT_EQ(0, test_check_pattern(below->direct, 0, SIZE, SEED));
	ASSERT_EQ(0, work_dirty(below));
	EXPECT_EQ(-1, fsync(below->dev));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_LINEAR));
	expect_works(_metadata, below);
}

#define FAIL_REQUESTS	"/sys/kernel/debug/fail_make_request/"

static int fail_requests(const char *probability)
{
	return test_write_text(FAIL_REQUESTS "verbose", "0") ?:
	       test_write_text(FAIL_REQUESTS "times", "-1") ?:
	       test_write_text(FAIL_REQUESTS "probability", probability);
}

TEST_F_TIMEOUT(disk, fails_requests_at_random, 80000)
{
	const unsigned long rounds = test_rounds(20);
	struct load load = { .error = EIO };

	if (access(FAIL_REQUESTS, F_OK))
		SKIP(return, "this kernel has no fail_make_request");
	ASSERT_EQ(0, write_of_disk("/sys/block/%s/make-it-fail", "1"));
	ASSERT_EQ(0, fail_requests("20"));
	ASSERT_EQ(0, load_start(&load, self->below.direct));
	for (unsigned long i = 0; i < rounds; i++) {
		ASSERT_LOAD_GOES_ON(&load);
		test_tell(2, i, rounds, "rounds");
	}
	ASSERT_EQ(0, fail_requests("0"));
	ASSERT_EQ(0, write_of_disk("/sys/block/%s/make-it-fail", "0"));
	expect_load_was_right(_metadata, &load);
	EXPECT_LT(0, load.errors);
	expect_works(_metadata, &self->below);
}

/* What the file said was written, and lost */

FIXTURE(loss) {
	struct below below;
};

FIXTURE_SETUP(loss)
{
	set_up_over(_metadata, &self->below, open_dm, 0);
}

FIXTURE_TEARDOWN(loss)
{
	below_drop(&self->below);
}

TEST_F(loss, is_told_to_each_open_file_once)
{
	struct below *below = &self->below;
	const int others[] = { below->dev, test_reopen(below->dev, O_RDONLY) };

	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_WRITE_ERROR));
	ASSERT_EQ(0, write_error(below->direct, 0));
	EXPECT_EQ(-1, fsync(below->direct));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_LINEAR));
	EXPECT_EQ(0, fsync(below->direct));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		EXPECT_EQ(-1, fsync(others[i]));
		EXPECT_EQ(EIO, errno);
		EXPECT_EQ(0, fsync(others[i]));
	}
	close(others[1]);
	expect_works(_metadata, below);
}

/* Of an error that nobody has seen yet, whoever opens the file is told. */
TEST_F(loss, that_was_seen_before_is_not_told_by_a_new_device)
{
	struct below *below = &self->below;
	int dev;

	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_WRITE_ERROR));
	ASSERT_EQ(0, write_error(below->file, 0));
	ASSERT_EQ(-1, fsync(below->file));
	ASSERT_EQ(EIO, errno);
	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_LINEAR));
	dev = test_create(below->file, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	EXPECT_EQ(0, write_error(dev, 0));
	EXPECT_EQ(0, fsync(dev));
	close(dev);
	expect_works(_metadata, below);
}

/* As of a file system that has no file left to tell it by, once unmounted. */
TEST_F(loss, that_a_write_was_told_of_is_told_once_more_by_fsync)
{
	struct below *below = &self->below;
	int dev = test_create(below->file, BLKFD_F_DIRECT, 0, SIZE, 0);
	int direct = test_reopen(dev, O_RDWR | O_DIRECT);
	int reader = test_reopen(dev, O_RDONLY);

	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_WRITE_ERROR));
	ASSERT_EQ(EIO, write_error(direct, 0));
	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_LINEAR));
	/* Who may read alone cannot take it from the others. */
	EXPECT_EQ(-1, fsync(reader));
	EXPECT_EQ(-1, fsync(dev));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, fsync(dev));
	EXPECT_EQ(0, fsync(direct));
	EXPECT_EQ(0, fsync(reader));
	close(reader);
	close(direct);
	close(dev);
	expect_works(_metadata, below);
}

/* Who unmounts, and then asks, would not be told by xfs, which met it. */
TEST_F(loss, that_a_file_system_met_is_told_by_fsync_of_the_device)
{
	int dev = test_create(self->below.file, 0, 0, 0, 0), file;
	char path[TEST_PATH_MAX];

	test_fd_path(dev, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("xfs", path));
	ASSERT_EQ(0, fsync(dev));
	ASSERT_EQ(0, mkdir(ABOVE, 0755));
	ASSERT_EQ(0, blkfd_mount(dev, "xfs", NULL, 0, ABOVE, NULL, 0));
	file = test_file(ABOVE "/file", 0, 0);
	ASSERT_EQ(0, test_write_pattern(file, 0, TEST_MIB, SEED));
	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_WRITE_ERROR));
	EXPECT_EQ(-1, syncfs(file));
	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_LINEAR));
	ASSERT_EQ(0, close(file));
	ASSERT_EQ(0, umount(ABOVE));
	EXPECT_EQ(-1, fsync(dev));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, fsync(dev));
	ASSERT_EQ(0, close(dev));
	expect_works(_metadata, &self->below);
}

#define DM_TWO		"blkfd-faults-2"

/* By device-mapper, as file systems do: it has no open file to be told by. */
TEST_F(loss, that_a_durable_write_was_told_of_is_told_to_the_next_flush)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));
	struct below *below = &self->below;
	struct iovec part = { buf, PAGE };
	struct blkfd_info info;
	char table[64];
	int above;

	ASSERT_EQ(0, test_info(below->dev, &info));
	snprintf(table, sizeof(table), "0 %llu linear %u:%u 0", SIZE >> 9,
		 info.dev_major, info.dev_minor);
	ASSERT_EQ(0, test_dm_create(DM_TWO, table));
	above = open("/dev/mapper/" DM_TWO, O_RDWR | O_CLOEXEC);
	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_WRITE_ERROR));
	ASSERT_EQ(0, write_error(below->direct, 0));
	EXPECT_EQ(-1, fsync(below->file));
	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_LINEAR));
	EXPECT_EQ(-1, pwritev2(below->direct, &part, 1, PAGE, RWF_DSYNC));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, fsync(above));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, fsync(above));
	EXPECT_EQ(-1, fsync(below->dev));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, fsync(below->dev));
	close(above);
	ASSERT_EQ(0, test_dm_remove(DM_TWO));
	expect_works(_metadata, below);
}

/* It is the writer's own, who is told. */
TEST_F(loss, of_one_durable_write_does_not_stop_a_file_system)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));
	int dev = test_create(self->below.file, BLKFD_F_DIRECT, 0, 0, 0), file;
	struct iovec part = { buf, PAGE };
	char path[TEST_PATH_MAX];

	test_fd_path(dev, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	ASSERT_EQ(0, mkdir(ABOVE, 0755));
	ASSERT_EQ(0, blkfd_mount(dev, "ext4", "commit=600", 0, ABOVE, NULL, 0));
	file = test_file(ABOVE "/file", 0, O_RDWR | O_DIRECT);
	ASSERT_EQ(PAGE, write(file, buf, PAGE));
	ASSERT_EQ(0, syncfs(file));
	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_WRITE_ERROR));
	EXPECT_EQ(-1, pwritev2(file, &part, 1, 0, RWF_DSYNC));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(0, test_dm_replace(DM_NAME, DM_LINEAR));
	EXPECT_EQ(PAGE, pwritev2(file, &part, 1, 0, RWF_DSYNC));
	EXPECT_EQ(0, ftruncate(file, 0));
	EXPECT_EQ(0, syncfs(file));
	ASSERT_EQ(0, close(file));
	ASSERT_EQ(0, umount(ABOVE));
	EXPECT_EQ(-1, fsync(dev));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, fsync(dev));
	ASSERT_EQ(0, close(dev));
	expect_works(_metadata, &self->below);
}

/* Read-only file systems */

FIXTURE(remount) {
	struct below below;
};

FIXTURE_SETUP(remount)
{
	struct below *below = &self->below;

	ASSERT_EQ(0, below_begin(below));
	ASSERT_EQ(0, mount_disk(below, TEST_DISK, "ext4", "errors=remount-ro"));
	below->file = test_file(BELOW "/file", SIZE, 0);
	ASSERT_LE(0, below->file);
	ASSERT_EQ(0, test_write_pattern(below->file, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(below->file));
}

FIXTURE_TEARDOWN(remount)
{
	below_drop(&self->below);
}

static void add_device(struct __test_metadata *_metadata, struct below *below,
		       uint32_t flags)
{
	int mode = flags & BLKFD_F_RDONLY ? O_RDONLY : O_RDWR;

	below->dev = test_create(below->file, flags, 0, 0, 0);
	ASSERT_LE(0, below->dev);
	below->id = test_id(below->dev);
	below->direct = test_reopen(below->dev, mode | O_DIRECT);
	ASSERT_LE(0, below->direct);
	ASSERT_EQ(0, close(below->file));
	below->file = -1;
}

static int remount(unsigned long how)
{
	return mount(NULL, BELOW, NULL, MS_REMOUNT | MS_RDONLY | how, NULL) ?
	       errno : 0;
}

TEST_F(remount, is_refused_below_a_device_that_can_be_written)
{
	add_device(_metadata, &self->below, 0);
	EXPECT_EQ(EBUSY, remount(0));
	EXPECT_EQ(EBUSY, remount(MS_BIND));
	EXPECT_EQ(0, write_error(self->below.direct, 0));
	close_ours(&self->below);
	EXPECT_EQ(0, remount(0));
}

TEST_F(remount, leaves_a_read_only_device_alone)
{
	add_device(_metadata, &self->below, BLKFD_F_RDONLY);
	EXPECT_EQ(0, remount(0));
	ASSERT_EQ(0, test_drop_caches());
	EXPECT_EQ(0, test_check_pattern(self->below.direct, 0, SIZE, SEED));
	EXPECT_GONE(&self->below);
}

TEST_F(remount, for_an_error_is_eio_for_writes)
{
	struct below *below = &self->below;
	int error;

	ASSERT_EQ(0, ftruncate(below->file, 2 * SIZE));
	add_device(_metadata, below, 0);
	ASSERT_EQ(0, write_of_disk("/sys/fs/ext4/%s/trigger_fs_error", "x"));
	EXPECT_EQ(EIO, write_error(below->direct, SIZE));
	error = read_error(below->direct, 0);
	TH_LOG("reads give %d", error);
	if (!error)
		EXPECT_EQ(0, test_check_pattern(below->direct, 0, SIZE, SEED));
	EXPECT_EQ(EIO, error ?: EIO);
	EXPECT_GONE(below);
}

/* Memory */

#define CGROUP		"/sys/fs/cgroup/blkfd-faults"
#define LIMIT		"50331648"
#define PRESSURE	(64 * TEST_MIB)

FIXTURE(memory) {
	struct below below;
};

FIXTURE_SETUP(memory)
{
	struct below *below = &self->below;

	ASSERT_EQ(0, below_begin(below));
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK))
		SKIP(return, "no cgroup2 at /sys/fs/cgroup");
	ASSERT_EQ(0, test_write_text("/sys/fs/cgroup/cgroup.subtree_control",
				     "+memory"));
	ASSERT_TRUE(!mkdir(CGROUP, 0755) || errno == EEXIST);
	ASSERT_EQ(0, test_write_text(CGROUP "/memory.max", LIMIT));
	ASSERT_EQ(0, mount_disk(below, TEST_DISK, "ext4", NULL));
	below->file = test_file(BELOW "/file", PRESSURE, 0);
	below->dev = test_create(below->file, 0, 0, 0, 0);
	ASSERT_LE(0, below->dev);
	below->id = test_id(below->dev);
}

FIXTURE_TEARDOWN(memory)
{
	below_drop(&self->below);
	EXPECT_EQ(0, rmdir(CGROUP));
}

/* How often something happened to the group. */
static long long memory_event(const char *name)
{
	return test_read_field(CGROUP "/memory.events", name);
}

static int work_press(struct below *below)
{
	return test_write_text(CGROUP "/cgroup.procs", "0") ?:
	       test_write_pattern(below->dev, 0, PRESSURE, SEED) ?:
	       fsync(below->dev) ? -errno : 0;
}

/*
 * Which of the two is the kernel's business: a limit that is all dirty pages of two
 * levels was seen to get the writer killed.
 */
TEST_F(memory, limit_has_writes_arrive_or_the_writer_killed)
{
	int status = test_reap(start(&self->below, work_press));
	struct blkfd_info info;

	EXPECT_LT(0, memory_event("max"));
	EXPECT_EQ(status ? 128 + SIGKILL : 0, status);
	EXPECT_EQ(!status, !memory_event("oom_kill"));
	EXPECT_EQ(0, use_another(&self->below));
	/* What it wrote before arrives, too. */
	EXPECT_EQ(0, fsync(self->below.dev));
	EXPECT_EQ(0, test_info(self->below.dev, &info));
	EXPECT_EQ(0, info.errors);
	if (!status)
		EXPECT_EQ(0, test_check_pattern(self->below.file, 0, PRESSURE, SEED));
	EXPECT_GONE(&self->below);
}

/* A file system in the making, then more memory than there may be. */
static int work_build(struct below *below)
{
	int mount = blkfd_fsmount(below->dev, "ext4", NULL, 0), file;

	close(below->dev);
	file = openat(mount, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (test_write_text(CGROUP "/cgroup.procs", "0") ||
	    test_write_pattern(file, 0, TEST_MIB, SEED))
		return -EIO;
	*below->reached = true;
	for (;;)
		memset(malloc(TEST_MIB), 0x5a, TEST_MIB);
}

TEST_F(memory, oom_killed_builder_leaves_no_device)
{
	char path[TEST_PATH_MAX];
	pid_t pid;

	test_fd_path(self->below.dev, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	pid = start(&self->below, work_build);
	close_ours(&self->below);
	EXPECT_EQ(128 + SIGKILL, test_reap(pid));
	EXPECT_TRUE(*self->below.reached);
	EXPECT_LT(0, memory_event("oom_kill"));
	EXPECT_TRUE(test_wait_gone(self->below.id));
	test_fd_path(self->below.file, path, sizeof(path));
	EXPECT_EQ(0, test_command("e2fsck", "-fp", path) & ~1);
	EXPECT_GONE(&self->below);
}

/* Who sends without an end */

#define FLOOD		512
#define FLOOD_STEP	(4ULL << 30)
#define FLOOD_AT(n)	((n) * 2ULL * PAGE)

FIXTURE(flood) {
	struct below below;
};

/* Of a file of this length, a discard is so many bios. */
static int open_long(struct below *below)
{
	int file = open_ext4_on_dm(below);

	return file < 0 ? file : ftruncate(file, FLOOD * FLOOD_STEP) ? -errno : file;
}

FIXTURE_SETUP(flood)
{
	const struct fault fault = { .open = open_long };

	if (!below_setup(_metadata, &self->below, &fault, 0))
		return;
	close_ours(&self->below);
	ASSERT_EQ(0, below_make(&self->below, 0, 0));
}

FIXTURE_TEARDOWN(flood)
{
	if (!access(DM_PATH, F_OK))
		dm_resume(&self->below);
	thaw(&self->below);
	below_drop(&self->below);
}

static int work_discard(struct below *below)
{
	uint64_t range[2] = { 0, FLOOD * FLOOD_STEP };

	*below->reached = true;
	return ioctl(below->dev, BLKDISCARD, range) ? -errno : 0;
}

/* Of two pages each, all at once; the end of the process waits for them. */
static int submit_many(struct below *below, int opcode)
{
	char *buf = mmap(NULL, FLOOD_AT(FLOOD), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	static struct iocb iocbs[FLOOD], *list[FLOOD];
	aio_context_t context = 0;
	long ret;

	if (buf == MAP_FAILED || syscall(SYS_io_setup, FLOOD, &context))
		return -errno;
	for (int i = 0; i < FLOOD; i++) {
		iocbs[i] = (struct iocb) {
			.aio_lio_opcode	= opcode,
			.aio_fildes	= below->direct,
			.aio_buf	= (uintptr_t)buf + FLOOD_AT(i),
			.aio_nbytes	= FLOOD_AT(1),
			.aio_offset	= FLOOD_AT(i),
		};
		list[i] = &iocbs[i];
	}
	*below->reached = true;
	ret = syscall(SYS_io_submit, context, FLOOD, list);
	return ret < 0 ? -errno : ret == FLOOD ? 0 : -EIO;
}

static int work_many_writes(struct below *below)
{
	return submit_many(below, IOCB_CMD_PWRITE);
}

static int work_many_reads(struct below *below)
{
	return submit_many(below, IOCB_CMD_PREAD);
}

static int work_read_beyond(struct below *below)
{
	char byte;

	*below->reached = true;
	return pread(below->dev, &byte, 1, FLOOD_AT(FLOOD)) == 1 ? 0 : -errno;
}

/* Whose first halves are in memory. */
static int prepare_many_reads(struct below *below)
{
	char byte;

	if (test_write_pattern(below->dev, 0, FLOOD_AT(FLOOD), SEED) || forget(below))
		return -EIO;
	if (posix_fadvise(below->file, 0, 0, POSIX_FADV_RANDOM))
		return -EINVAL;
	for (int i = 0; i < FLOOD; i++)
		if (pread(below->file, &byte, 1, FLOOD_AT(i)) != 1)
			return -errno;
	return 0;
}

/* By sysfs, in all ways that there are. */
static int work_freeze_queue(struct below *below)
{
	const char *const settings[] = { "nomerges", "0", "iostats", "1" };
	char path[64];
	int ret = 0;

	*below->reached = true;
	for (int i = 0; i < 4 && !ret; i += 2) {
		snprintf(path, sizeof(path), "/sys/block/blkfd%llu/queue/%s",
			 (unsigned long long)below->id, settings[i]);
		ret = test_write_text(path, settings[i + 1]);
	}
	return ret;
}

/* At once, by the kernel's threads alone. */
static int write_back(void)
{
	static const char path[] = "/proc/sys/vm/dirty_writeback_centisecs";
	char before[32];

	return test_read_text(path, before, sizeof(before)) < 0 ||
	       test_write_text(path, "4321") || test_write_text(path, before) ? -EIO : 0;
}

static long long in_flight(struct below *below)
{
	unsigned long long reads, writes;
	char text[64];

	return test_attr(below->id, "inflight", text, sizeof(text)) < 0 ||
	       sscanf(text, "%llu %llu", &reads, &writes) != 2 ? -1 :
	       (long long)(reads + writes);
}

static bool all_in_flight(void *below)
{
	return in_flight(below) >= FLOOD;
}

/* The sender waits, as for a disk whose tags are in use: memory has an end, too. */
#define ASSERT_HELD_BACK(pid) do { \
	long long under_way; \
	ASSERT_WAITS(pid); \
	under_way = in_flight(&self->below); \
	EXPECT_LT(64, under_way); \
	EXPECT_GT(FLOOD / 2, under_way); \
	ASSERT_IS_HELD(pid); \
	EXPECT_EQ(under_way, in_flight(&self->below)); \
} while (0)

TEST_F(flood, is_held_back)
{
	pid_t pid;

	ASSERT_EQ(0, freeze(&self->below));
	pid = start(&self->below, work_discard);
	ASSERT_HELD_BACK(pid);
	ASSERT_EQ(0, thaw(&self->below));
	EXPECT_EQ(0, test_reap(pid));
	EXPECT_GONE(&self->below);
}

/* What the sender read itself is but a part. */
TEST_F(flood, of_what_is_left_is_held_back)
{
	pid_t pid;

	ASSERT_EQ(0, prepare_many_reads(&self->below));
	ASSERT_EQ(0, dm_suspend(&self->below));
	pid = start(&self->below, work_many_reads);
	ASSERT_HELD_BACK(pid);
	ASSERT_EQ(0, dm_resume(&self->below));
	EXPECT_EQ(0, test_reap(pid));
	EXPECT_GONE(&self->below);
}

/* It may hold what the workers wait for: nothing else would end that. */
TEST_F(flood, killed_reader_does_not_wait)
{
	pid_t writer, reader;

	ASSERT_EQ(0, freeze(&self->below));
	writer = start(&self->below, work_many_writes);
	ASSERT_HELD_BACK(writer);
	reader = start(&self->below, work_read_beyond);
	ASSERT_WAITS(reader);
	ASSERT_EQ(0, kill(reader, SIGKILL));
	EXPECT_ENDS(reader);
	ASSERT_EQ(0, thaw(&self->below));
	EXPECT_EQ(0, test_reap(writer));
	EXPECT_EQ(128 + SIGKILL, test_reap(reader));
	EXPECT_GONE(&self->below);
}

/* Or else all that it has left would be sent at once. */
TEST_F(flood, killed_sender_is_held_back)
{
	pid_t pid;

	ASSERT_EQ(0, freeze(&self->below));
	pid = start(&self->below, work_many_writes);
	ASSERT_HELD_BACK(pid);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_HELD_BACK(pid);
	ASSERT_EQ(0, thaw(&self->below));
	EXPECT_EQ(128 + SIGKILL, test_reap(pid));
	EXPECT_GONE(&self->below);
}

/* Who does that may hold what concerns all, such as a cgroup's files. */
TEST_F(flood, does_not_keep_the_queue_from_being_frozen)
{
	pid_t writer, other;

	ASSERT_EQ(0, freeze(&self->below));
	writer = start(&self->below, work_many_writes);
	ASSERT_HELD_BACK(writer);
	other = start(&self->below, work_freeze_queue);
	EXPECT_ENDS(other);
	ASSERT_HELD_BACK(writer);
	ASSERT_EQ(0, thaw(&self->below));
	EXPECT_EQ(0, test_reap(other));
	EXPECT_EQ(0, test_reap(writer));
	EXPECT_GONE(&self->below);
}

/* What the kernel writes back has a limit of its own, and takes nobody's room. */
TEST_F(flood, of_writeback_leaves_room)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));
	struct iovec page = { buf, PAGE };

	ASSERT_EQ(PAGE, pread(self->below.file, buf, PAGE, 0));
	ASSERT_EQ(0, freeze(&self->below));
	for (int i = 1; i <= FLOOD; i++)
		ASSERT_EQ(PAGE, pwrite(self->below.dev, buf, PAGE, FLOOD_AT(i)));
	EXPECT_EQ(0, write_back());
	EXPECT_TRUE(test_wait(all_in_flight, &self->below, TEST_TIMEOUT_MS));
	EXPECT_EQ(PAGE, preadv2(self->below.direct, &page, 1, 0, RWF_NOWAIT));
	ASSERT_EQ(0, thaw(&self->below));
	EXPECT_GONE(&self->below);
}

/* NFS */

FIXTURE(nfs) {
	struct below below;
};

/* Of whose server the file system can be frozen and shut down. */
static int open_nfs_of_ext4(struct below *below)
{
	return mount_disk_at(below, EXPORT, TEST_DISK, "ext4", NULL) ?:
	       nfs_serve(EXPORT) ?: nfs_be_reached(&below->server) ?:
	       nfs_mount(BELOW, "bsize=4096") ?:
	       test_file(BELOW "/file", SIZE, 0);
}

FIXTURE_SETUP(nfs)
{
	set_up_over(_metadata, &self->below, open_nfs_of_ext4, 0);
}

FIXTURE_TEARDOWN(nfs)
{
	below_drop(&self->below);
}

TEST_F(nfs, hangs_and_dies_as_its_server_does)
{
	pid_t pid;

	ASSERT_EQ(0, freeze(&self->below));
	pid = start(&self->below, work_write);
	/* The client's page cache takes some. */
	ASSERT_IS_HELD(pid);
	ASSERT_EQ(0, thaw(&self->below));
	EXPECT_EQ(0, test_reap(pid));
	expect_pattern(_metadata, &self->below, SEED + 1);
	ASSERT_EQ(0, shut_down(&self->below));
	EXPECT_EQ(0, write_error(self->below.dev, 0));
	EXPECT_EQ(-1, fsync(self->below.dev));
	EXPECT_EQ(EIO, errno);
	EXPECT_GONE(&self->below);
}

TEST_F(nfs, waits_until_its_server_is_back)
{
	pid_t pid;

	ASSERT_EQ(0, lose_nfs_server(&self->below));
	pid = start(&self->below, work_fsync);
	ASSERT_WAITS(pid);
	ASSERT_EQ(0, find_nfs_server(&self->below));
	EXPECT_EQ(0, test_reap(pid));
	expect_pattern(_metadata, &self->below, SEED + 1);
	EXPECT_GONE(&self->below);
}

/* The client, which may remember attributes for a minute, is not told. */
TEST_F(nfs, is_as_long_as_its_server_says)
{
	struct blkfd_resize to_the_end = { };
	int file = open(EXPORT "/file", O_RDWR | O_CLOEXEC), dev;

	ASSERT_EQ(0, ftruncate(file, SIZE + CUT));
	dev = test_create(self->below.file, 0, 0, 0, 0);
	EXPECT_EQ(SIZE + CUT, lseek(dev, 0, SEEK_END));
	EXPECT_EQ(0, close(dev));
	ASSERT_EQ(0, ftruncate(file, SIZE + 2 * CUT));
	EXPECT_EQ(0, ioctl(self->below.dev, BLKFD_RESIZE, &to_the_end));
	EXPECT_EQ(SIZE + 2 * CUT, lseek(self->below.dev, 0, SEEK_END));
	ASSERT_EQ(0, ftruncate(file, SIZE - CUT));
	EXPECT_EQ(-ERANGE, test_create(self->below.file, 0, 0, SIZE, 0));
	EXPECT_EQ(0, close(file));
	EXPECT_GONE(&self->below);
}

/* Whoever makes the device: root may do nothing there. */
TEST_F(nfs, is_asked_on_behalf_of_who_opened_the_file)
{
	int file, dev;

	ASSERT_EQ(0, chown(EXPORT "/file", OWNER, -1));
	ASSERT_EQ(0, chmod(EXPORT "/file", 0600));
	ASSERT_EQ(0, nfs_squash_root(EXPORT));
	ASSERT_EQ(0, setresuid(-1, OWNER, -1));
	file = open(BELOW "/file", O_RDWR | O_CLOEXEC);
	ASSERT_EQ(0, setresuid(-1, 0, -1));
	ASSERT_LE(0, file);
	EXPECT_EQ(-1, open(BELOW "/file", O_RDWR | O_CLOEXEC));
	EXPECT_EQ(EACCES, errno);
	dev = test_create(file, 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	EXPECT_EQ(0, close(file));
	EXPECT_EQ(0, test_write_pattern(dev, 0, SIZE, SEED + 1));
	EXPECT_EQ(0, fsync(dev));
	EXPECT_EQ(0, test_drop_caches());
	EXPECT_EQ(0, test_check_pattern(dev, 0, SIZE, SEED + 1));
	EXPECT_EQ(0, close(dev));
	EXPECT_GONE(&self->below);
}

/* Over pNFS it is an fsync alone that commits where such a write went. */
TEST_F(nfs, leaves_no_durable_write_to_a_file_that_does_not_wait)
{
	int dev = test_create(self->below.file, BLKFD_F_DIRECT, 0, 0, 0);

	ASSERT_LE(0, dev);
	EXPECT_EQ(0, test_attr_number(test_id(dev), "queue/fua"));
	EXPECT_EQ(1, test_attr_number(self->below.id, "queue/fua"));
	EXPECT_EQ(0, close(dev));
	EXPECT_GONE(&self->below);
}

FIXTURE(soft_nfs) {
	struct below below;
};

FIXTURE_SETUP(soft_nfs)
{
	set_up_over(_metadata, &self->below, open_soft_nfs, 0);
}

FIXTURE_TEARDOWN(soft_nfs)
{
	below_drop(&self->below);
}

TEST_F(soft_nfs, is_eio_until_its_server_is_back)
{
	struct below *below = &self->below;

	ASSERT_EQ(0, lose_nfs_server(below));
	EXPECT_EQ(EIO, read_error(below->direct, 0));
	EXPECT_EQ(0, write_error(below->dev, PAGE));
	EXPECT_EQ(-1, fsync(below->dev));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(0, find_nfs_server(below));
	EXPECT_EQ(0, test_check_pattern(below->direct, 0, SIZE, SEED));
	expect_works(_metadata, below);
}

/* Overlays */

TEST(read_only_device_over_an_overlay_sees_the_file_copied_up)
{
	const int pages = 16;
	struct below below;
	int lower, writer;

	ASSERT_EQ(0, below_begin(&below));
	ASSERT_EQ(0, test_tmpfs(BELOW));
	ASSERT_EQ(0, mkdir(BELOW "/lower", 0755));
	lower = test_file(BELOW "/lower/file", pages * PAGE, 0);
	ASSERT_EQ(0, test_write_pattern(lower, 0, pages * PAGE, SEED));
	ASSERT_EQ(0, mount_overlay());
	below.file = open(BELOW "/overlay/file", O_RDONLY | O_CLOEXEC);
	add_device(_metadata, &below, BLKFD_F_RDONLY);
	EXPECT_EQ(0, test_check_pattern(below.direct, 0, pages * PAGE, SEED));
	writer = open(BELOW "/overlay/file", O_RDWR | O_CLOEXEC);
	ASSERT_EQ(0, test_write_pattern(writer, 0, pages * PAGE, SEED + 1));
	EXPECT_EQ(0, test_check_pattern(below.direct, 0, pages * PAGE, SEED + 1));
	EXPECT_EQ(0, test_check_pattern(lower, 0, pages * PAGE, SEED));
	close(writer);
	close(lower);
	close_ours(&below);
	EXPECT_TRUE(test_wait_gone(below.id));
	/* On 6.12 a worker opens the copy for each read; its last fput() is put off. */
	EXPECT_TRUE(test_wait(is_unmounted, &below, TEST_TIMEOUT_MS));
}

TEST_HARNESS_MAIN
