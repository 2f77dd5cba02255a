// SPDX-License-Identifier: GPL-2.0
/*
 * blkfd_mountfd: a block device's descriptor as the source of a mount. Which file
 * systems can be mounted so is in mount.c; here it is ext4, if nothing is said.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <linux/fs.h>

#include "kselftest_harness.h"
#include "testlib.h"

#define SIZE		(16 * TEST_MIB)
#define TARGET		TEST_DIR "/target"
#define NODE		TEST_DIR "/node"
#define OTHER		"blkfd_other_patch"
#define OTHER_PATH	"selftests/modules/blkfd_other_patch.ko"
#define UNPRIVILEGED	1000

/* Calls, with -errno */

static int context_open(const char *fstype)
{
	int context = fsopen(fstype, FSOPEN_CLOEXEC);

	return context < 0 ? -errno : context;
}

static int set_fd(int context, int fd)
{
	return fsconfig(context, FSCONFIG_SET_FD, "source", NULL, fd) ? -errno : 0;
}

static int set_path(int context, int fd)
{
	char path[TEST_PATH_MAX];

	test_fd_path(fd, path, sizeof(path));
	return fsconfig(context, FSCONFIG_SET_STRING, "source", path, 0) ?
	       -errno : 0;
}

static int create(int context)
{
	return fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) ? -errno : 0;
}

static int attach(int context)
{
	int fd = fsmount(context, FSMOUNT_CLOEXEC, 0), ret = 0;

	if (fd < 0)
		return -errno;
	if (move_mount(fd, "", AT_FDCWD, TARGET, MOVE_MOUNT_F_EMPTY_PATH))
		ret = -errno;
	close(fd);
	return ret;
}

/* All that waits to be read, newlines between, in message. */
static void read_log(int context, char *message, size_t size)
{
	size_t used = 0;
	ssize_t length;

	*message = 0;
	while (used + 1 < size &&
	       (length = read(context, message + used, size - used - 1)) > 0)
		used += length;
	message[used] = 0;
}

/* From a descriptor to a mount at TARGET. */
static int mount_by_fd(int fd)
{
	int context = context_open("ext4"), ret;

	if (context < 0)
		return context;
	ret = set_fd(context, fd);
	ret = ret ?: create(context);
	ret = ret ?: attach(context);
	close(context);
	return ret;
}

static int make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : close(fd);
}

/* The ext4 of the fixture's device has a file of this name. */
#define MARK	TARGET "/mark"

static bool is_marked(void)
{
	return !access(MARK, F_OK);
}

static int make_device(uint64_t size)
{
	int file = test_tmpfile(TEST_DIR, size), dev;

	if (file < 0)
		return file;
	dev = test_create(file, 0, 0, 0, 0);
	close(file);
	return dev;
}

static int make_marked(int dev)
{
	char path[TEST_PATH_MAX];
	int ret;

	test_fd_path(dev, path, sizeof(path));
	ret = test_mkfs("ext4", path);
	if (ret)
		return ret;
	if (mount(path, TARGET, "ext4", 0, NULL))
		return -errno;
	ret = make_file(MARK);
	return umount(TARGET) ? -errno : ret;
}

FIXTURE(mountfd) {
	int dev;
	uint64_t id;
	char name[64];
};

FIXTURE_SETUP(mountfd)
{
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(TARGET, 0755));
	self->dev = make_device(SIZE);
	ASSERT_LE(0, self->dev);
	ASSERT_EQ(0, make_marked(self->dev));
	self->id = test_id(self->dev);
	snprintf(self->name, sizeof(self->name), "blkfd:[%llu]",
		 (unsigned long long)self->id);
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
}

FIXTURE_TEARDOWN(mountfd)
{
	umount(TARGET);
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
}

/* What is mounted */

TEST_F(mountfd, descriptor_is_mounted)
{
	ASSERT_EQ(0, mount_by_fd(self->dev));
	EXPECT_TRUE(is_marked());
	EXPECT_EQ(0, make_file(TARGET "/new"));
}

TEST_F(mountfd, read_only_descriptor_is_mounted_as_its_path_is)
{
	char path[TEST_PATH_MAX];
	int fd;

	test_fd_path(self->dev, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mount_by_fd(fd));
	EXPECT_EQ(0, make_file(TARGET "/new"));
}

TEST_F(mountfd, o_path_descriptor_is_mounted)
{
	char path[TEST_PATH_MAX];
	struct test_mount mount;
	int fd;

	test_fd_path(self->dev, path, sizeof(path));
	fd = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mount_by_fd(fd));
	EXPECT_TRUE(is_marked());
	ASSERT_TRUE(test_find_mount(TARGET, &mount));
	EXPECT_STREQ(self->name, mount.source);
}

TEST_F(mountfd, o_path_descriptor_of_a_dead_device_is_enxio)
{
	char path[TEST_PATH_MAX];
	int fd;

	test_fd_path(self->dev, path, sizeof(path));
	fd = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, close(self->dev));
	ASSERT_TRUE(test_wait_gone(self->id));
	EXPECT_EQ(-ENXIO, mount_by_fd(fd));
	close(fd);
}

static void expect_disk(struct __test_metadata *_metadata, int flags)
{
	struct test_mount mount;
	int fd;

	ASSERT_EQ(0, test_mkfs("ext4", TEST_DISK));
	fd = open(TEST_DISK, flags | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mount_by_fd(fd));
	EXPECT_EQ(0, make_file(TARGET "/new"));
	ASSERT_TRUE(test_find_mount(TARGET, &mount));
	EXPECT_STREQ(TEST_DISK, mount.source);
}

TEST_F(mountfd, other_block_device_is_mounted)
{
	expect_disk(_metadata, O_RDWR);
}

TEST_F(mountfd, o_path_descriptor_of_another_device_is_mounted)
{
	expect_disk(_metadata, O_PATH);
}

TEST_F(mountfd, number_may_be_closed_before_the_mount)
{
	int context = context_open("ext4");

	ASSERT_LE(0, context);
	ASSERT_EQ(0, set_fd(context, self->dev));
	ASSERT_EQ(0, close(self->dev));
	ASSERT_EQ(0, create(context));
	ASSERT_EQ(0, attach(context));
	EXPECT_TRUE(is_marked());
}

TEST_F(mountfd, number_may_be_used_again_before_the_mount)
{
	int context = context_open("ext4"), other = make_device(SIZE);
	char path[TEST_PATH_MAX];

	ASSERT_LE(0, context);
	ASSERT_LE(0, other);
	test_fd_path(other, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	ASSERT_EQ(0, set_fd(context, self->dev));
	ASSERT_EQ(self->dev, dup2(other, self->dev));
	ASSERT_EQ(0, create(context));
	ASSERT_EQ(0, attach(context));
	EXPECT_TRUE(is_marked());
}

TEST_F(mountfd, process_that_was_sent_the_context_can_mount)
{
	int context, socks[2];
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->dev);
		context = test_recv_fd(socks[1]);
		_exit(context < 0 || create(context) || attach(context) ||
		      !is_marked());
	}
	context = context_open("ext4");
	ASSERT_LE(0, context);
	ASSERT_EQ(0, set_fd(context, self->dev));
	ASSERT_EQ(0, close(self->dev));
	ASSERT_EQ(0, test_send_fd(socks[0], context));
	close(context);
	EXPECT_EQ(0, test_reap(pid));
}

TEST_F(mountfd, options_come_before_or_after)
{
	int context = context_open("ext4");

	ASSERT_LE(0, context);
	ASSERT_EQ(0, fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0));
	ASSERT_EQ(0, set_fd(context, self->dev));
	ASSERT_EQ(0, fsconfig(context, FSCONFIG_SET_STRING, "commit", "17", 0));
	ASSERT_EQ(0, create(context));
	ASSERT_EQ(0, attach(context));
	EXPECT_EQ(-EROFS, make_file(TARGET "/new"));
}

TEST_F(mountfd, context_can_reconfigure_what_it_mounted)
{
	int context = context_open("ext4");

	ASSERT_LE(0, context);
	ASSERT_EQ(0, set_fd(context, self->dev));
	ASSERT_EQ(0, create(context));
	ASSERT_EQ(0, attach(context));
	ASSERT_EQ(0, fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0));
	ASSERT_EQ(0, fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	EXPECT_EQ(-EROFS, make_file(TARGET "/new"));
}

TEST_F(mountfd, exclusive_create_is_exclusive)
{
	int first = context_open("ext4"), second = context_open("ext4");

	ASSERT_LE(0, first);
	ASSERT_LE(0, second);
	ASSERT_EQ(0, set_fd(first, self->dev));
	ASSERT_EQ(0, set_fd(second, self->dev));
	ASSERT_EQ(0, fsconfig(first, FSCONFIG_CMD_CREATE_EXCL, NULL, NULL, 0));
	EXPECT_EQ(-1, fsconfig(second, FSCONFIG_CMD_CREATE_EXCL, NULL, NULL, 0));
	EXPECT_EQ(EBUSY, errno);
}

/* 32-bit programs have an entry of their own: fsconfig is 431 there, too. */
static long fsconfig_32(int fd, unsigned int cmd, const void *key,
			const void *value, int aux)
{
	long ret = SYS_fsconfig;

	asm volatile("int $0x80" : "+a" (ret)
		     : "b" ((long)fd), "c" ((long)cmd), "d" (key), "S" (value),
		       "D" ((long)aux)
		     : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

/* Where they are not run, the call kills. */
static bool runs_32_bits(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(fsconfig_32(-1, FSCONFIG_SET_FLAG, NULL, NULL, 0) != -EINVAL);
	return !test_reap(pid);
}

TEST_F(mountfd, program_of_32_bits_can_mount)
{
	int context = context_open("ext4");
	char *low;

	if (!runs_32_bits())
		SKIP(return, "this kernel runs no 32-bit programs");

	ASSERT_LE(0, context);
	low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, low);
	strcpy(low, "source");
	ASSERT_EQ(0, fsconfig_32(context, FSCONFIG_SET_FD, low, NULL, self->dev));
	ASSERT_EQ(0, close(self->dev));
	ASSERT_EQ(0, fsconfig_32(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	ASSERT_EQ(0, attach(context));
	EXPECT_TRUE(is_marked());
}

/* How long the device is held */

TEST_F(mountfd, context_holds_the_device_until_it_is_closed)
{
	int context = context_open("ext4");

	ASSERT_LE(0, context);
	ASSERT_EQ(0, set_fd(context, self->dev));
	ASSERT_EQ(0, close(self->dev));
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, close(context));
	EXPECT_TRUE(test_wait_gone(self->id));
}

/* The patch has a reference of its own. */
static bool module_is_free(void *arg)
{
	char count[16] = "";
	int fd = open("/sys/module/" TEST_MOUNTFD "/refcnt", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, count, sizeof(count) - 1) < 0)
		return false;
	close(fd);
	return !strcmp(count, "1\n");
}

TEST_F(mountfd, context_holds_no_source_after_the_mount)
{
	int context = context_open("ext4");

	ASSERT_LE(0, context);
	ASSERT_EQ(0, set_fd(context, self->dev));
	EXPECT_FALSE(module_is_free(NULL));
	ASSERT_EQ(0, create(context));
	EXPECT_TRUE(test_wait(module_is_free, NULL, TEST_TIMEOUT_MS));
}

TEST_F(mountfd, context_holds_no_device_after_a_failure)
{
	int context = context_open("xfs");

	ASSERT_LE(0, context);
	ASSERT_EQ(0, set_fd(context, self->dev));
	EXPECT_EQ(-EINVAL, create(context));
	ASSERT_EQ(0, close(self->dev));
	EXPECT_TRUE(test_wait_gone(self->id));
}

TEST_F(mountfd, killed_owner_of_a_context_leaves_nothing)
{
	int pipes[2], context;
	char byte = 1;
	pid_t pid;

	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		context = context_open("ext4");
		byte = context < 0 || set_fd(context, self->dev);
		_exit(write(pipes[1], &byte, 1) == 1 && pause());
	}
	ASSERT_EQ(0, close(self->dev));
	ASSERT_EQ(1, read(pipes[0], &byte, 1));
	EXPECT_EQ(0, byte);
	EXPECT_TRUE(test_device_listed(self->id));
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, test_reap(pid));
	EXPECT_TRUE(test_wait_gone(self->id));
}

/* What is refused */

static void expect_second_refused(struct __test_metadata *_metadata, int dev,
				  int (*first)(int context, int fd),
				  int (*second)(int context, int fd))
{
	int context = context_open("ext4");
	char message[256];

	ASSERT_LE(0, context);
	ASSERT_EQ(0, first(context, dev));
	EXPECT_EQ(-EINVAL, second(context, dev));
	read_log(context, message, sizeof(message));
	EXPECT_NE(NULL, strstr(message, "Multiple sources"))
		TH_LOG("%s", message);
	EXPECT_EQ(0, create(context));
	close(context);
}

TEST_F(mountfd, second_source_is_refused)
{
	expect_second_refused(_metadata, self->dev, set_fd, set_fd);
	expect_second_refused(_metadata, self->dev, set_fd, set_path);
	expect_second_refused(_metadata, self->dev, set_path, set_fd);
}

/* The result of one attempt, and what the context has to say. */
struct refusal {
	int set;
	char log[256];
};

static const char * const refusing[] = { "ext4", "xfs", "btrfs", "tmpfs", "overlay" };

#define BAD_DESCRIPTORS	6

static void try_refusals(int dev, struct refusal *refusals)
{
	int fds[BAD_DESCRIPTORS] = {
		test_memfd(TEST_MIB),
		open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		open("/etc/passwd", O_PATH | O_CLOEXEC),
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
		open("/dev/null", O_RDWR | O_CLOEXEC),
		999,
	};
	size_t i, j;
	int context;

	for (i = 0; i < ARRAY_SIZE(refusing); i++) {
		for (j = 0; j < ARRAY_SIZE(fds); j++, refusals++) {
			context = context_open(refusing[i]);
			refusals->set = set_fd(context, fds[j]);
			read_log(context, refusals->log, sizeof(refusals->log));
			close(context);
		}
	}
	/* No block file systems: the device is nothing to them. */
	for (i = 3; i < ARRAY_SIZE(refusing); i++, refusals++) {
		context = context_open(refusing[i]);
		refusals->set = set_fd(context, dev);
		read_log(context, refusals->log, sizeof(refusals->log));
		close(context);
	}
	for (j = 0; j < ARRAY_SIZE(fds); j++)
		close(fds[j]);
}

TEST_F(mountfd, everything_else_is_refused_as_without_the_patch)
{
	struct refusal with[64] = { }, without[64] = { };

	try_refusals(self->dev, with);
	ASSERT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
	try_refusals(self->dev, without);
	for (size_t i = 0; i < ARRAY_SIZE(with); i++) {
		EXPECT_EQ(without[i].set, with[i].set) TH_LOG("case %zu", i);
		EXPECT_STREQ(without[i].log, with[i].log);
	}
	EXPECT_EQ(-EINVAL, without[0].set);
	EXPECT_NE(NULL, strstr(without[0].log, "Non-string source"));
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
}

TEST_F(mountfd, bad_arguments_are_refused)
{
	int context = context_open("ext4");

	ASSERT_LE(0, context);
	EXPECT_EQ(-1, fsconfig(context, FSCONFIG_SET_FD, NULL, NULL, self->dev));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fsconfig(context, FSCONFIG_SET_FD, "source", "x", self->dev));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fsconfig(context, FSCONFIG_SET_FD, "source", NULL, -1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fsconfig(context, FSCONFIG_SET_FD, (char *)8, NULL, self->dev));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, fsconfig(context, FSCONFIG_SET_FD, "sources", NULL, self->dev));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fsconfig(self->dev, FSCONFIG_SET_FD, "source", NULL, self->dev));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fsconfig(999, FSCONFIG_SET_FD, "source", NULL, self->dev));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(0, set_fd(context, self->dev));
	EXPECT_EQ(0, create(context));
}

TEST_F(mountfd, source_after_the_mount_is_refused_as_a_path_is)
{
	int context = context_open("ext4");

	ASSERT_LE(0, context);
	ASSERT_EQ(0, set_fd(context, self->dev));
	ASSERT_EQ(0, create(context));
	EXPECT_EQ(-EBUSY, set_path(context, self->dev));
	EXPECT_EQ(-EBUSY, set_fd(context, self->dev));
}

/* Whether a context takes this; if not, it would not without the patch, either. */
static bool is_taken(struct __test_metadata *_metadata, int context, const char *key, int fd)
{
	if (!fsconfig(context, FSCONFIG_SET_FD, key, NULL, fd))
		return true;
	ASSERT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
	ASSERT_EQ(-1, fsconfig(context, FSCONFIG_SET_FD, key, NULL, fd));
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
	return false;
}

/* overlayfs takes layers by descriptor where the kernel lets it. */
TEST_F(mountfd, other_parameters_keep_their_descriptors)
{
	int context = context_open("overlay"), layer, upper;

	ASSERT_LE(0, context);
	ASSERT_EQ(0, mkdir(TEST_DIR "/lower", 0755));
	ASSERT_EQ(0, mkdir(TEST_DIR "/upper", 0755));
	ASSERT_EQ(0, make_file(TEST_DIR "/lower/mark"));
	layer = open(TEST_DIR "/lower", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	upper = open(TEST_DIR "/upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, layer);
	ASSERT_LE(0, upper);
	if (!is_taken(_metadata, context, "lowerdir+", layer))
		SKIP(return, "this kernel's overlayfs takes no descriptors");
	ASSERT_EQ(0, fsconfig(context, FSCONFIG_SET_FD, "lowerdir+", NULL, upper));
	ASSERT_EQ(0, create(context));
	ASSERT_EQ(0, attach(context));
	EXPECT_TRUE(is_marked());
}

/* erofs takes a regular file, though no tmpfs's, where the kernel lets it. */
#define EROFS_IMAGE	TEST_DIR "/ext4/image"

TEST_F(mountfd, regular_files_are_still_taken_by_who_takes_them)
{
	int context, file;

	ASSERT_EQ(0, test_scratch_mount("ext4", NULL));
	ASSERT_EQ(0, mkdir(TEST_DIR "/tree", 0755));
	ASSERT_EQ(0, make_file(TEST_DIR "/tree/mark"));
	ASSERT_EQ(0, test_command("mkfs.erofs", EROFS_IMAGE, TEST_DIR "/tree"));
	file = open(EROFS_IMAGE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	context = context_open("erofs");
	ASSERT_LE(0, context);
	if (!is_taken(_metadata, context, "source", file))
		SKIP(return, "this kernel's erofs takes no descriptors");
	ASSERT_EQ(0, create(context));
	ASSERT_EQ(0, attach(context));
	EXPECT_TRUE(is_marked());
}

/* Who may */

/* The errors of an attempt to mount, made as somebody else. */
struct attempt {
	int open;
	int set;
	int create;
};

static struct attempt try_as(int (*become)(void), int dev,
			     int (*set)(int context, int fd))
{
	struct attempt attempt = { .open = -EPIPE };
	int pipes[2], context;
	pid_t pid;

	if (pipe(pipes))
		return attempt;
	pid = fork();
	if (!pid) {
		attempt.open = become();
		context = attempt.open ?: context_open("ext4");
		attempt.open = context < 0 ? context : 0;
		attempt.set = context < 0 ? 0 : set(context, dev);
		attempt.create = context < 0 ? 0 : create(context);
		_exit(write(pipes[1], &attempt, sizeof(attempt)) !=
		      sizeof(attempt));
	}
	close(pipes[1]);
	if (read(pipes[0], &attempt, sizeof(attempt)) != sizeof(attempt))
		attempt.open = -EPIPE;
	close(pipes[0]);
	test_reap(pid);
	return attempt;
}

static int become_user(void)
{
	return setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED) ||
	       setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED) ? -errno : 0;
}

static int become_root_of_a_user_namespace(void)
{
	return become_user() ?:
	       unshare(CLONE_NEWUSER | CLONE_NEWNS) ? -errno : 0;
}

TEST_F(mountfd, ordinary_user_is_refused)
{
	struct attempt by_fd = try_as(become_user, self->dev, set_fd);

	EXPECT_EQ(-EPERM, by_fd.open);
}

/* The creator's own device, handed in: by its path it is no different. */
TEST_F(mountfd, user_namespace_gets_as_far_as_by_path)
{
	struct attempt by_fd, by_path;

	by_path = try_as(become_root_of_a_user_namespace, self->dev, set_path);
	by_fd = try_as(become_root_of_a_user_namespace, self->dev, set_fd);
	EXPECT_EQ(0, by_path.open);
	EXPECT_EQ(by_path.open, by_fd.open);
	EXPECT_EQ(by_path.set, by_fd.set);
	EXPECT_EQ(-EPERM, by_path.create);
	EXPECT_EQ(by_path.create, by_fd.create);
}

/* Makes a node of the device at NODE, on a file system of its own. */
static int make_node(int dev, unsigned long flags, const char *options)
{
	struct stat st;

	if (mkdir(NODE, 0755) || mount("tmpfs", NODE, "tmpfs", flags, options) ||
	    fstat(dev, &st) || mknod(NODE "/dev", S_IFBLK | 0600, st.st_rdev))
		return -errno;
	return 0;
}

TEST_F(mountfd, node_on_a_nodev_mount_is_eacces_as_by_path)
{
	int fd, context = context_open("ext4");

	ASSERT_LE(0, context);
	ASSERT_EQ(0, make_node(self->dev, MS_NODEV, NULL));
	fd = open(NODE "/dev", O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EACCES, mount_by_fd(fd));
	ASSERT_EQ(0, fsconfig(context, FSCONFIG_SET_STRING, "source",
			      NODE "/dev", 0));
	EXPECT_EQ(-EACCES, create(context));
}

/* What is shown */

TEST_F(mountfd, source_is_the_id)
{
	struct test_mount mount;
	struct stat st;

	ASSERT_EQ(0, mount_by_fd(self->dev));
	ASSERT_TRUE(test_find_mount(TARGET, &mount));
	EXPECT_STREQ(self->name, mount.source);
	EXPECT_EQ(-1, lstat(mount.source, &st));
}

TEST_F(mountfd, source_is_the_id_whatever_the_node)
{
	struct test_mount mount;
	int fd;

	ASSERT_EQ(0, make_node(self->dev, 0, NULL));
	fd = open(NODE "/dev", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mount_by_fd(fd));
	ASSERT_TRUE(test_find_mount(TARGET, &mount));
	EXPECT_STREQ(self->name, mount.source);
}

TEST_F(mountfd, source_of_another_device_is_its_node)
{
	int disk = open(TEST_DISK, O_RDONLY | O_CLOEXEC), fd;
	struct test_mount mount;

	ASSERT_LE(0, disk);
	ASSERT_EQ(0, test_mkfs("ext4", TEST_DISK));
	ASSERT_EQ(0, make_node(disk, 0, NULL));
	fd = open(NODE "/dev", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mount_by_fd(fd));
	ASSERT_TRUE(test_find_mount(TARGET, &mount));
	EXPECT_STREQ(NODE "/dev", mount.source);
}

/* A path that leads elsewhere, or nowhere, would be taken for something else. */
TEST_F(mountfd, source_is_the_number_where_the_node_has_no_path)
{
	struct test_mount mount;
	char wanted[64];
	int disk = open(TEST_DISK, O_RDONLY | O_CLOEXEC), fd;
	struct stat st;

	ASSERT_LE(0, disk);
	ASSERT_EQ(0, fstat(disk, &st));
	ASSERT_EQ(0, test_mkfs("ext4", TEST_DISK));
	ASSERT_EQ(0, make_node(disk, 0, NULL));
	fd = open(NODE "/dev", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, unlink(NODE "/dev"));
	ASSERT_EQ(0, mount_by_fd(fd));
	ASSERT_TRUE(test_find_mount(TARGET, &mount));
	snprintf(wanted, sizeof(wanted), "block:[%u:%u]", major(st.st_rdev),
		 minor(st.st_rdev));
	EXPECT_STREQ(wanted, mount.source);
}

/* What it shows is no path that anybody can use to mount something. */
TEST_F(mountfd, name_of_a_source_is_no_path_for_others)
{
	int pending = context_open("ext4"), context = context_open("ext4");

	ASSERT_LE(0, pending);
	ASSERT_LE(0, context);
	ASSERT_EQ(0, set_fd(pending, self->dev));
	ASSERT_EQ(0, fsconfig(context, FSCONFIG_SET_STRING, "source",
			      self->name, 0));
	EXPECT_EQ(-ENOENT, create(context));
	EXPECT_EQ(0, create(pending));
}

/* STATMOUNT_SB_SOURCE, struct mnt_id_req and struct statmount, of headers as old as need be. */
struct statmount_request {
	uint32_t size;
	uint32_t spare;
	uint64_t mnt_id;
	uint64_t param;
};

struct statmount_head {
	uint32_t size;
	uint32_t mnt_opts;
	uint64_t mask;
};

#define SB_SOURCE		0x200
#define SB_SOURCE_OFFSET	124
#define STATMOUNT_TEXT		512

TEST_F(mountfd, statmount_shows_the_id)
{
	struct statmount_request request = { .size = 24 };
	union {
		struct statmount_head head;
		char bytes[4096];
	} result = { };
	struct statx stx;
	uint32_t offset;

	ASSERT_EQ(0, mount_by_fd(self->dev));
	ASSERT_EQ(0, statx(AT_FDCWD, TARGET, 0, 0x4000 /* STATX_MNT_ID_UNIQUE */,
			   &stx));
	request.mnt_id = stx.stx_mnt_id;
	request.param = SB_SOURCE;
	ASSERT_EQ(0, syscall(457 /* statmount */, &request, &result, sizeof(result), 0));
	if (!(result.head.mask & SB_SOURCE))
		SKIP(return, "this kernel's statmount() tells no source");
	memcpy(&offset, result.bytes + SB_SOURCE_OFFSET, sizeof(offset));
	ASSERT_GT(sizeof(result) - STATMOUNT_TEXT, offset);
	EXPECT_STREQ(self->name, result.bytes + STATMOUNT_TEXT + offset);
}

/* The life of the patch */

TEST_F(mountfd, module_stays_while_the_patch_is_in_force)
{
	EXPECT_EQ(-1, syscall(SYS_delete_module, TEST_MOUNTFD, O_NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
}

TEST_F(mountfd, mounts_outlive_the_module)
{
	ASSERT_EQ(0, mount_by_fd(self->dev));
	ASSERT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
	EXPECT_EQ(0, make_file(TARGET "/new"));
	ASSERT_EQ(0, close(self->dev));
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, umount(TARGET));
	EXPECT_TRUE(test_wait_gone(self->id));
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
}

TEST_F(mountfd, source_without_the_patch_is_an_error_and_says_so)
{
	int context = context_open("ext4");
	char message[256];

	ASSERT_LE(0, context);
	ASSERT_EQ(0, set_fd(context, self->dev));
	ASSERT_EQ(0, test_livepatch_disable(TEST_MOUNTFD));
	EXPECT_EQ(-1, syscall(SYS_delete_module, TEST_MOUNTFD, O_NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(-EOPNOTSUPP, create(context));
	read_log(context, message, sizeof(message));
	EXPECT_NE(NULL, strstr(message, "blkfd_mountfd is not in force"))
		TH_LOG("%s", message);
}

TEST_F(mountfd, context_outlives_the_patch)
{
	int context = context_open("ext4");

	ASSERT_LE(0, context);
	ASSERT_EQ(0, set_fd(context, self->dev));
	ASSERT_EQ(0, test_livepatch_disable(TEST_MOUNTFD));
	ASSERT_EQ(0, close(self->dev));
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, close(context));
	EXPECT_TRUE(test_wait_gone(self->id));
}

/* A device-mapper device over the scratch disk that can be made to wait. */
#define SLOW		"blkfd-slow"
#define SLOW_PATH	"/dev/mapper/" SLOW

static int make_slow(void)
{
	char script[512];

	snprintf(script, sizeof(script),
		 "mkfs.ext4 -q -F %s 64M && dmsetup create --noudevsync %s --table \"0 $(blockdev --getsz %s) linear %s 0\" && dmsetup mknodes %s",
		 TEST_DISK, SLOW, TEST_DISK, TEST_DISK, SLOW);
	return test_command("sh", "-c", script);
}

/* Not frozen: a device that is cannot be mounted. */
static int slow(const char *verb)
{
	return test_command("dmsetup", verb, "--noudevsync", "--nolockfs", SLOW);
}

static bool is_asleep(void *arg)
{
	char path[64], line[256] = "";
	FILE *file;
	bool asleep;

	snprintf(path, sizeof(path), "/proc/%d/stat", *(pid_t *)arg);
	file = fopen(path, "re");
	asleep = file && fgets(line, sizeof(line), file) && strstr(line, ") D ");
	if (file)
		fclose(file);
	return asleep;
}

/* A child that mounts by this kind of source, and sleeps in doing so, not before. */
static pid_t sleeping_mount(int fd, int (*set)(int context, int fd))
{
	int context, ready[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		context = context_open("ext4");
		_exit(context < 0 || set(context, fd) || write(ready[1], "", 1) != 1 ||
		      create(context) || attach(context));
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1 || !test_wait(is_asleep, &pid, TEST_TIMEOUT_MS))
		pid = -1;
	close(ready[0]);
	return pid;
}

static bool in_transition(void *name)
{
	return test_livepatch_in_transition(name);
}

TEST_F(mountfd, disabling_waits_for_who_sleeps_in_a_mount)
{
	pid_t pid;
	int fd;

	ASSERT_EQ(0, make_slow());
	fd = open(SLOW_PATH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, slow("suspend"));
	pid = sleeping_mount(fd, set_fd);
	EXPECT_LT(0, pid);
	EXPECT_EQ(0, test_livepatch_begin_disable(TEST_MOUNTFD));
	EXPECT_TRUE(test_livepatch_in_transition(TEST_MOUNTFD));
	EXPECT_EQ(-1, syscall(SYS_delete_module, TEST_MOUNTFD, O_NONBLOCK));
	ASSERT_EQ(0, slow("resume"));
	EXPECT_EQ(0, test_reap(pid));
	EXPECT_EQ(0, make_file(TARGET "/new"));
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
	EXPECT_EQ(0, umount(TARGET));
	close(fd);
	EXPECT_EQ(0, test_dm_remove(SLOW));
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
}

TEST_F(mountfd, loading_waits_for_who_sleeps_in_a_mount)
{
	pid_t pid, loader;
	int fd;

	ASSERT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
	ASSERT_EQ(0, make_slow());
	fd = open(SLOW_PATH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, slow("suspend"));
	pid = sleeping_mount(fd, set_path);
	EXPECT_LT(0, pid);
	loader = fork();
	if (!loader)
		_exit(-test_livepatch_load(TEST_MOUNTFD_PATH, ""));
	/* Others have the patch before it is in force for all. */
	EXPECT_TRUE(test_wait(in_transition, TEST_MOUNTFD, TEST_TIMEOUT_MS));
	ASSERT_EQ(0, slow("resume"));
	EXPECT_EQ(0, test_reap(pid));
	EXPECT_EQ(0, test_reap(loader));
	EXPECT_EQ(0, umount(TARGET));
	EXPECT_EQ(0, mount_by_fd(self->dev));
	EXPECT_TRUE(is_marked());
	close(fd);
	EXPECT_EQ(0, test_dm_remove(SLOW));
}

/* Other patches */

static bool cmdline_is_patched(void)
{
	char out[4096] = "";

	test_output(out, sizeof(out), "cat", "/proc/cmdline");
	return !strcmp(out, "patched\n");
}

TEST_F(mountfd, lives_with_a_later_patch)
{
	if (test_livepatch_load(OTHER_PATH, ""))
		SKIP(return, "no %s was built", OTHER_PATH);
	EXPECT_TRUE(cmdline_is_patched());
	EXPECT_EQ(0, mount_by_fd(self->dev));
	EXPECT_TRUE(is_marked());
	EXPECT_EQ(0, umount(TARGET));
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
	EXPECT_TRUE(cmdline_is_patched());
	EXPECT_EQ(-EINVAL, mount_by_fd(self->dev));
	EXPECT_EQ(0, test_livepatch_unload(OTHER));
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
}

TEST_F(mountfd, lives_with_an_earlier_patch)
{
	ASSERT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
	if (test_livepatch_load(OTHER_PATH, ""))
		SKIP(return, "no %s was built", OTHER_PATH);
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
	EXPECT_EQ(0, mount_by_fd(self->dev));
	EXPECT_TRUE(cmdline_is_patched());
	EXPECT_EQ(0, test_livepatch_unload(OTHER));
	EXPECT_FALSE(cmdline_is_patched());
	EXPECT_EQ(0, umount(TARGET));
	EXPECT_EQ(0, mount_by_fd(self->dev));
	EXPECT_TRUE(is_marked());
}

TEST_F(mountfd, patch_that_replaces_all_others_ends_it_cleanly)
{
	int pending = context_open("ext4");

	ASSERT_LE(0, pending);
	ASSERT_EQ(0, set_fd(pending, self->dev));
	if (test_livepatch_load(OTHER_PATH, "replace=1"))
		SKIP(return, "no %s was built", OTHER_PATH);
	EXPECT_EQ(-EOPNOTSUPP, create(pending));
	EXPECT_EQ(-EINVAL, mount_by_fd(self->dev));
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
	EXPECT_EQ(0, test_livepatch_unload(OTHER));
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
}

TEST_HARNESS_MAIN
