// SPDX-License-Identifier: GPL-2.0
/*
 * libblkfd: every function of libblkfd.h, and the library as a builder of
 * programs meets it: headers, shared object, pkg-config file, threads.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define SIZE		(16 * TEST_MIB)
#define TARGET		TEST_DIR "/target"
#define OTHER_TARGET	TEST_DIR "/other"
#define NOBODY		65534

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	while (dir && readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int count_descriptors(void)
{
	return count_entries("/proc/self/fd");
}

/* blkfd_create(), info of the result */

FIXTURE(create) {
	int file;
};

FIXTURE_SETUP(create)
{
	self->file = test_memfd(SIZE);
	ASSERT_LE(0, self->file);
}

FIXTURE_TEARDOWN(create)
{
}

static int info_with(int file, const struct blkfd_create_opts *opts,
		     struct blkfd_info *info)
{
	int fd = blkfd_create(file, opts), ret;

	memset(info, 0, sizeof(*info));
	if (fd < 0)
		return fd;
	ret = blkfd_get_info(fd, info);
	close(fd);
	return ret;
}

TEST_F(create, without_opts_takes_the_whole_file)
{
	struct blkfd_info info;

	ASSERT_EQ(0, info_with(self->file, NULL, &info));
	EXPECT_EQ(0, info.offset);
	EXPECT_EQ(SIZE, info.length);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(512, info.block_size);
}

TEST_F(create, with_zeroed_opts_is_the_same_as_without)
{
	struct blkfd_create_opts opts = { 0 };
	struct blkfd_info info;

	ASSERT_EQ(0, info_with(self->file, &opts, &info));
	EXPECT_EQ(0, info.offset);
	EXPECT_EQ(SIZE, info.length);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(512, info.block_size);
}

TEST_F(create, passes_offset)
{
	struct blkfd_create_opts opts = { .offset = TEST_MIB };
	struct blkfd_info info;

	ASSERT_EQ(0, info_with(self->file, &opts, &info));
	EXPECT_EQ(TEST_MIB, info.offset);
	EXPECT_EQ(SIZE - TEST_MIB, info.length);
}

TEST_F(create, passes_length)
{
	struct blkfd_create_opts opts = { .length = TEST_MIB };
	struct blkfd_info info;

	ASSERT_EQ(0, info_with(self->file, &opts, &info));
	EXPECT_EQ(0, info.offset);
	EXPECT_EQ(TEST_MIB, info.length);
}

TEST_F(create, passes_block_size)
{
	struct blkfd_create_opts opts = { .block_size = 4096 };
	struct blkfd_info info;

	ASSERT_EQ(0, info_with(self->file, &opts, &info));
	EXPECT_EQ(4096, info.block_size);
}

TEST_F(create, passes_read_only)
{
	struct blkfd_create_opts opts = { .flags = BLKFD_F_RDONLY };
	struct blkfd_info info;

	ASSERT_EQ(0, info_with(self->file, &opts, &info));
	EXPECT_EQ(BLKFD_F_RDONLY, info.flags & ~BLKFD_F_NODISCARD);
}

TEST_F(create, passes_no_discard)
{
	struct blkfd_create_opts opts = { .flags = BLKFD_F_NODISCARD };
	struct blkfd_info info;

	ASSERT_EQ(0, info_with(self->file, &opts, &info));
	EXPECT_EQ(BLKFD_F_NODISCARD, info.flags);
}

TEST_F(create, passes_direct)
{
	struct blkfd_create_opts opts = { .flags = BLKFD_F_DIRECT };
	int disk = open(TEST_DISK, O_RDWR | O_CLOEXEC);
	struct blkfd_info info;

	ASSERT_LE(0, disk);
	ASSERT_EQ(0, info_with(disk, &opts, &info));
	EXPECT_EQ(BLKFD_F_DIRECT, info.flags & BLKFD_F_DIRECT);
}

TEST_F(create, result_is_close_on_exec)
{
	int fd = blkfd_create(self->file, NULL);

	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
}

TEST_F(create, opens_one_descriptor_or_none)
{
	int before = count_descriptors();

	EXPECT_GT(0, blkfd_create(-1, NULL));
	EXPECT_EQ(before, count_descriptors());
	EXPECT_LE(0, blkfd_create(self->file, NULL));
	EXPECT_EQ(before + 1, count_descriptors());
}

TEST_F(create, returns_the_kernels_errors)
{
	struct blkfd_create_opts flags = { .flags = 1U << 31 };
	struct blkfd_create_opts beyond = { .length = 2 * SIZE };
	struct blkfd_create_opts odd = { .block_size = 513 };
	int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ASSERT_LE(0, dir);
	EXPECT_EQ(-EBADF, blkfd_create(-1, NULL));
	EXPECT_EQ(-EISDIR, blkfd_create(dir, NULL));
	EXPECT_EQ(-EINVAL, blkfd_create(self->file, &flags));
	EXPECT_EQ(-ERANGE, blkfd_create(self->file, &beyond));
	EXPECT_EQ(-EINVAL, blkfd_create(self->file, &odd));
}

TEST_F(create, without_the_module_is_enoent)
{
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_tmpfs("/dev"));
	EXPECT_EQ(-ENOENT, blkfd_create(self->file, NULL));
}

TEST_F(create, without_permission_is_eacces)
{
	struct stat st;

	ASSERT_EQ(0, stat("/dev/blkfd", &st));
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_tmpfs("/dev"));
	ASSERT_EQ(0, mknod("/dev/blkfd", S_IFCHR | 0600, st.st_rdev));
	EXPECT_LE(0, blkfd_create(self->file, NULL));
	ASSERT_EQ(0, test_become(NOBODY));
	EXPECT_EQ(-EACCES, blkfd_create(self->file, NULL));
}

/* The calls on a device */

FIXTURE(library) {
	int file;
	int fd;
	int dir;
};

FIXTURE_SETUP(library)
{
	ASSERT_EQ(0, test_private_mounts());
	self->file = test_memfd(SIZE);
	self->fd = blkfd_create(self->file, NULL);
	ASSERT_LE(0, self->fd);
	self->dir = open(TEST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->dir);
}

FIXTURE_TEARDOWN(library)
{
}

TEST_F(library, get_info_is_what_the_ioctl_says)
{
	struct blkfd_info info, raw;

	memset(&info, 0xff, sizeof(info));
	ASSERT_EQ(0, blkfd_get_info(self->fd, &info));
	ASSERT_EQ(0, test_info(self->fd, &raw));
	EXPECT_EQ(0, memcmp(&info, &raw, sizeof(info)));
}

TEST_F(library, get_info_of_anything_else_is_enotty)
{
	int control = open("/dev/blkfd", O_RDWR | O_CLOEXEC);
	int disk = open(TEST_DISK, O_RDONLY | O_CLOEXEC);
	struct blkfd_info info;

	ASSERT_LE(0, control);
	ASSERT_LE(0, disk);
	EXPECT_EQ(-ENOTTY, blkfd_get_info(self->file, &info));
	EXPECT_EQ(-ENOTTY, blkfd_get_info(self->dir, &info));
	EXPECT_EQ(-ENOTTY, blkfd_get_info(disk, &info));
	EXPECT_EQ(-ENOTTY, blkfd_get_info(control, &info));
}

TEST_F(library, get_info_of_no_descriptor_is_ebadf)
{
	struct blkfd_info info;

	EXPECT_EQ(-EBADF, blkfd_get_info(-1, &info));
}

static uint64_t length_of(int fd)
{
	struct blkfd_info info;

	return blkfd_get_info(fd, &info) ? UINT64_MAX : info.length;
}

TEST_F(library, resize_shrinks_and_grows)
{
	EXPECT_EQ(0, blkfd_resize(self->fd, TEST_MIB));
	EXPECT_EQ(TEST_MIB, length_of(self->fd));
	EXPECT_EQ(0, blkfd_resize(self->fd, 2 * TEST_MIB));
	EXPECT_EQ(2 * TEST_MIB, length_of(self->fd));
}

TEST_F(library, resize_to_0_follows_the_file)
{
	ASSERT_EQ(0, ftruncate(self->file, 2 * SIZE));
	EXPECT_EQ(0, blkfd_resize(self->fd, 0));
	EXPECT_EQ(2 * SIZE, length_of(self->fd));
}

TEST_F(library, resize_that_fails_changes_nothing)
{
	EXPECT_EQ(-EINVAL, blkfd_resize(self->fd, TEST_MIB + 1));
	EXPECT_EQ(-ERANGE, blkfd_resize(self->fd, 2 * SIZE));
	EXPECT_EQ(SIZE, length_of(self->fd));
}

TEST_F(library, resize_of_anything_else_is_enotty)
{
	EXPECT_EQ(-ENOTTY, blkfd_resize(self->file, 0));
	EXPECT_EQ(-EBADF, blkfd_resize(-1, 0));
}

#define DM_NAME	"blkfd-library"

/* It hands ioctls on to what is below. */
TEST_F(library, calls_on_device_mapper_above_are_enotty)
{
	struct blkfd_info info;
	char table[64];
	int fd;

	ASSERT_EQ(0, blkfd_get_info(self->fd, &info));
	snprintf(table, sizeof(table), "0 16 linear %u:%u 8", info.dev_major,
		 info.dev_minor);
	ASSERT_EQ(0, test_dm_create(DM_NAME, table));
	fd = open("/dev/mapper/" DM_NAME, O_RDWR | O_CLOEXEC);
	EXPECT_LE(0, fd);
	EXPECT_EQ(-ENOTTY, blkfd_get_info(fd, &info));
	EXPECT_EQ(-ENOTTY, blkfd_resize(fd, SIZE / 2));
	EXPECT_EQ(-ENOTTY, blkfd_export_node(fd, self->dir, "node", 0600));
	close(fd);
	EXPECT_EQ(0, test_dm_remove(DM_NAME));
	EXPECT_EQ(SIZE, length_of(self->fd));
}

TEST_F(library, limits_count_the_device)
{
	int control = blkfd_control();
	struct blkfd_limits limits;
	struct blkfd_user user = { };

	ASSERT_LE(0, control);
	EXPECT_EQ(FD_CLOEXEC, fcntl(control, F_GETFD));
	ASSERT_EQ(0, blkfd_get_limits(control, &limits));
	EXPECT_LE(1, limits.devices);
	EXPECT_LE(1, limits.user_devices);
	ASSERT_EQ(0, blkfd_get_user(control, &user));
	EXPECT_EQ(0, user.uid);
	EXPECT_LE(1, user.devices);
	user.uid = 1;
	EXPECT_EQ(-ENOENT, blkfd_get_user(control, &user));
	ASSERT_EQ(0, test_become(NOBODY));
	EXPECT_EQ(-EPERM, blkfd_get_user(control, &user));
	EXPECT_EQ(-EACCES, blkfd_control());
}

TEST_F(library, limits_of_anything_else_are_enotty)
{
	struct blkfd_limits limits;
	struct blkfd_user user = { };

	EXPECT_EQ(-ENOTTY, blkfd_get_limits(self->fd, &limits));
	EXPECT_EQ(-ENOTTY, blkfd_get_user(self->fd, &user));
	EXPECT_EQ(-ENOTTY, blkfd_get_limits(self->file, &limits));
	EXPECT_EQ(-EBADF, blkfd_get_limits(-1, &limits));
	EXPECT_EQ(-EBADF, blkfd_get_user(-1, &user));
}

TEST_F(library, instance_is_a_share)
{
	struct blkfd_instance bounds = { .max_devices = 1 }, found;
	struct blkfd_create_opts opts = { .block_size = 4096 };
	int control = blkfd_control(), instance, fd;
	struct blkfd_info info;

	instance = blkfd_new_instance(control, &bounds);
	ASSERT_LE(0, instance);
	EXPECT_EQ(FD_CLOEXEC, fcntl(instance, F_GETFD));
	fd = blkfd_create_by(instance, self->file, &opts);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, blkfd_get_info(fd, &info));
	EXPECT_EQ(4096, info.block_size);
	EXPECT_EQ(-EDQUOT, blkfd_create_by(instance, self->file, NULL));
	ASSERT_EQ(0, blkfd_get_instance(instance, &found));
	EXPECT_EQ(1, found.devices);
	EXPECT_EQ(SIZE, found.bytes);
	bounds.max_devices = 2;
	EXPECT_EQ(-EPERM, blkfd_new_instance(instance, &bounds));
	EXPECT_EQ(-EPERM, blkfd_revoke(instance, instance));
	EXPECT_EQ(0, blkfd_revoke(control, instance));
	EXPECT_EQ(-ESTALE, blkfd_create_by(instance, self->file, NULL));
}

TEST_F(library, instance_of_anything_else_is_enotty)
{
	struct blkfd_instance bounds = { };

	EXPECT_EQ(-ENOTTY, blkfd_new_instance(self->fd, &bounds));
	EXPECT_EQ(-ENOTTY, blkfd_get_instance(self->file, &bounds));
	EXPECT_EQ(-ENOTTY, blkfd_revoke(self->dir, self->fd));
	EXPECT_EQ(-ENOTTY, blkfd_create_by(self->file, self->file, NULL));
	EXPECT_EQ(-EBADF, blkfd_create_by(-1, self->file, NULL));
}

TEST_F(library, path_opens_the_device)
{
	char path[BLKFD_PATH_MAX], wanted[64];
	int fd;

	ASSERT_EQ(0, blkfd_path(self->fd, path, sizeof(path)));
	snprintf(wanted, sizeof(wanted), "/proc/thread-self/fd/%d", self->fd);
	EXPECT_STREQ(wanted, path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(test_id(self->fd), test_id(fd));
}

TEST_F(library, path_of_any_number_fits)
{
	char path[BLKFD_PATH_MAX];

	EXPECT_EQ(0, blkfd_path(INT_MAX, path, sizeof(path)));
	EXPECT_STREQ("/proc/thread-self/fd/2147483647", path);
}

TEST_F(library, path_needs_room_for_all_of_it)
{
	char path[] = "untouched, whatever it is";
	size_t size = sizeof("/proc/thread-self/fd/7");

	EXPECT_EQ(-ERANGE, blkfd_path(7, NULL, 0));
	EXPECT_EQ(-ERANGE, blkfd_path(7, path, size - 1));
	EXPECT_STREQ("untouched, whatever it is", path);
	EXPECT_EQ(0, blkfd_path(7, path, size));
	EXPECT_STREQ("/proc/thread-self/fd/7", path);
}

TEST_F(library, path_of_a_negative_descriptor_is_ebadf)
{
	char path[BLKFD_PATH_MAX] = "untouched";

	EXPECT_EQ(-EBADF, blkfd_path(-1, path, sizeof(path)));
	EXPECT_STREQ("untouched", path);
}

/* blkfd_export_node() */

TEST_F(library, exported_node_opens_the_device)
{
	int fd;

	ASSERT_EQ(0, blkfd_export_node(self->fd, self->dir, "node", 0600));
	fd = openat(self->dir, "node", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(test_id(self->fd), test_id(fd));
}

TEST_F(library, exported_node_has_the_mode)
{
	struct stat st;

	umask(0);
	ASSERT_EQ(0, blkfd_export_node(self->fd, self->dir, "node", 0646));
	ASSERT_EQ(0, fstatat(self->dir, "node", &st, AT_SYMLINK_NOFOLLOW));
	EXPECT_EQ(S_IFBLK | 0646, st.st_mode);
}

TEST_F(library, export_node_replaces_nothing)
{
	struct stat st;

	ASSERT_EQ(0, symlinkat("elsewhere", self->dir, "node"));
	EXPECT_EQ(-EEXIST,
		  blkfd_export_node(self->fd, self->dir, "node", 0600));
	ASSERT_EQ(0, fstatat(self->dir, "node", &st, AT_SYMLINK_NOFOLLOW));
	EXPECT_TRUE(S_ISLNK(st.st_mode));
	EXPECT_EQ(-1, faccessat(self->dir, "elsewhere", F_OK, 0));
}

TEST_F(library, exported_node_holds_no_reference)
{
	uint64_t id = test_id(self->fd);

	ASSERT_EQ(0, blkfd_export_node(self->fd, self->dir, "node", 0600));
	ASSERT_EQ(0, close(self->fd));
	EXPECT_TRUE(test_wait_gone(id));
	EXPECT_EQ(-1, openat(self->dir, "node", O_RDONLY | O_CLOEXEC));
	EXPECT_EQ(ENXIO, errno);
}

TEST_F(library, export_node_refuses_what_is_no_name_or_mode)
{
	int before = count_entries(TEST_DIR);

	EXPECT_EQ(-EINVAL, blkfd_export_node(self->fd, self->dir, "", 0600));
	EXPECT_EQ(-EINVAL, blkfd_export_node(self->fd, self->dir, "a/b", 0600));
	EXPECT_EQ(-EINVAL,
		  blkfd_export_node(self->fd, self->dir, "/mnt/n", 0600));
	EXPECT_EQ(-EINVAL,
		  blkfd_export_node(self->fd, self->dir, "n", 04600));
	EXPECT_EQ(-EINVAL,
		  blkfd_export_node(self->fd, self->dir, "n", S_IFREG | 0600));
	EXPECT_EQ(before, count_entries(TEST_DIR));
}

TEST_F(library, export_node_returns_the_kernels_errors)
{
	EXPECT_EQ(-ENOTTY, blkfd_export_node(self->file, self->dir, "n", 0600));
	EXPECT_EQ(-EBADF, blkfd_export_node(self->fd, -1, "n", 0600));
	EXPECT_EQ(-ENOTDIR,
		  blkfd_export_node(self->fd, self->file, "n", 0600));
}

TEST_F(library, export_node_needs_cap_mknod)
{
	ASSERT_EQ(0, chmod(TEST_DIR, 0777));
	ASSERT_EQ(0, test_become(NOBODY));
	EXPECT_EQ(-EPERM, blkfd_export_node(self->fd, self->dir, "n", 0600));
}

/* Mounts */

/* Whether one of a list with commas is this. */
static bool has_option(const char *list, const char *option)
{
	size_t length = strlen(option);

	for (const char *p = list; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (!strncmp(p, option, length) &&
		    (!p[length] || p[length] == ','))
			return true;
	}
	return false;
}

/* A device with this file system, fresh. */
static int device_with(const char *fstype, uint64_t size)
{
	int file = test_memfd(size), fd = blkfd_create(file, NULL);
	char path[TEST_PATH_MAX];

	close(file);
	if (fd < 0)
		return fd;
	test_fd_path(fd, path, sizeof(path));
	if (!test_mkfs(fstype, path))
		return fd;
	close(fd);
	return -EIO;
}

static int write_in(int dir, const char *name)
{
	int fd = openat(dir, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	int ret;

	if (fd < 0)
		return -errno;
	ret = test_write_pattern(fd, 0, 8192, 1);
	if (!ret)
		ret = test_check_pattern(fd, 0, 8192, 1);
	close(fd);
	return ret;
}

static int check_at(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = test_check_pattern(fd, 0, 8192, 1);
	close(fd);
	return ret;
}

FIXTURE(fsmount) {
	int fd;
	uint64_t id;
};

/* option: of this file system alone, shown in mountinfo as it is given. */
FIXTURE_VARIANT(fsmount) {
	const char *fstype;
	uint64_t size;
	const char *option;
};

FIXTURE_VARIANT_ADD(fsmount, ext4) {
	.fstype = "ext4", .size = SIZE, .option = "commit=17",
};

FIXTURE_VARIANT_ADD(fsmount, xfs) {
	.fstype = "xfs", .size = 300 * TEST_MIB, .option = "logbsize=64k",
};

FIXTURE_VARIANT_ADD(fsmount, btrfs) {
	.fstype = "btrfs", .size = 128 * TEST_MIB, .option = "commit=17",
};

FIXTURE_SETUP(fsmount)
{
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(TARGET, 0755));
	self->fd = device_with(variant->fstype, variant->size);
	ASSERT_LE(0, self->fd);
	self->id = test_id(self->fd);
}

FIXTURE_TEARDOWN(fsmount)
{
}

TEST_F(fsmount, goes_with_its_descriptor_and_takes_the_device_along)
{
	int dir = blkfd_fsmount(self->fd, variant->fstype, NULL, 0);

	ASSERT_LE(0, dir);
	ASSERT_EQ(0, close(self->fd));
	EXPECT_EQ(0, write_in(dir, "file"));
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, close(dir));
	EXPECT_TRUE(test_wait_gone(self->id));
}

TEST_F(fsmount, bad_option_gives_the_kernels_message)
{
	char message[BLKFD_MESSAGE_MAX], wanted[128];
	int before = test_count_mounts();

	snprintf(wanted, sizeof(wanted), "%s: Unknown parameter 'no_such'\n",
		 variant->fstype);
	EXPECT_EQ(-EINVAL,
		  blkfd_fsmount_message(self->fd, variant->fstype,
					"noatime,no_such=1", 0, message,
					sizeof(message)));
	EXPECT_STREQ(wanted, message);
	strcpy(message, "old");
	EXPECT_EQ(-EINVAL, blkfd_mount(self->fd, variant->fstype, "no_such", 0,
				       TARGET, message, sizeof(message)));
	EXPECT_STREQ(wanted, message);
	EXPECT_EQ(before, test_count_mounts());
}

TEST_F(fsmount, mount_passes_options_to_file_system_and_mount)
{
	struct test_mount line;
	char options[64];

	snprintf(options, sizeof(options), "nosuid,%s,noatime",
		 variant->option);
	ASSERT_EQ(0, blkfd_mount(self->fd, variant->fstype, options,
				 MOUNT_ATTR_NODEV, TARGET, NULL, 0));
	ASSERT_TRUE(test_find_mount(TARGET, &line));
	EXPECT_STREQ(variant->fstype, line.fstype);
	EXPECT_TRUE(has_option(line.options, "rw"));
	EXPECT_TRUE(has_option(line.options, "nosuid"));
	EXPECT_TRUE(has_option(line.options, "noatime"));
	EXPECT_TRUE(has_option(line.options, "nodev"));
	EXPECT_FALSE(has_option(line.options, "noexec"));
	EXPECT_TRUE(has_option(line.super, variant->option))
		TH_LOG("%s", line.super);
}

TEST_F(fsmount, read_only_is_of_mount_and_file_system)
{
	struct test_mount line;

	ASSERT_EQ(0, blkfd_mount(self->fd, variant->fstype, "ro", 0, TARGET,
				 NULL, 0));
	ASSERT_TRUE(test_find_mount(TARGET, &line));
	EXPECT_TRUE(has_option(line.options, "ro"));
	EXPECT_TRUE(has_option(line.super, "ro"));
	ASSERT_EQ(0, umount(TARGET));
	ASSERT_EQ(0, blkfd_mount(self->fd, variant->fstype, NULL,
				 MOUNT_ATTR_RDONLY, TARGET, NULL, 0));
	ASSERT_TRUE(test_find_mount(TARGET, &line));
	EXPECT_TRUE(has_option(line.options, "ro"));
	EXPECT_TRUE(has_option(line.super, "ro"));
	EXPECT_EQ(-1, mkdir(TARGET "/new", 0755));
	EXPECT_EQ(EROFS, errno);
}

TEST_F(fsmount, mount_outlives_the_process_that_made_it)
{
	pid_t pid = fork();
	int dir;

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-blkfd_mount(self->fd, variant->fstype, NULL, 0, TARGET,
				   NULL, 0));
	ASSERT_EQ(0, test_reap(pid));
	ASSERT_EQ(0, close(self->fd));
	dir = open(TARGET, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, dir);
	EXPECT_EQ(0, write_in(dir, "file"));
	ASSERT_EQ(0, close(dir));
	EXPECT_EQ(0, check_at(TARGET "/file"));
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, umount(TARGET));
	EXPECT_TRUE(test_wait_gone(self->id));
}

/* What one file system is enough for */

FIXTURE(ext4) {
	int fd;
	uint64_t id;
};

FIXTURE_SETUP(ext4)
{
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(TARGET, 0755));
	ASSERT_EQ(0, mkdir(OTHER_TARGET, 0755));
	self->fd = device_with("ext4", SIZE);
	ASSERT_LE(0, self->fd);
	self->id = test_id(self->fd);
}

FIXTURE_TEARDOWN(ext4)
{
}

TEST_F(ext4, detached_mount_is_in_no_namespace)
{
	int before = test_count_mounts(), dir;

	dir = blkfd_fsmount(self->fd, "ext4", NULL, 0);
	ASSERT_LE(0, dir);
	EXPECT_EQ(before, test_count_mounts());
	EXPECT_EQ(FD_CLOEXEC, fcntl(dir, F_GETFD));
}

TEST_F(ext4, fsmount_opens_one_descriptor_or_none)
{
	int before = count_descriptors();

	EXPECT_GT(0, blkfd_fsmount(self->fd, "ext4", "no_such=1", 0));
	EXPECT_EQ(before, count_descriptors());
	EXPECT_LE(0, blkfd_fsmount(self->fd, "ext4", NULL, 0));
	EXPECT_EQ(before + 1, count_descriptors());
}

/* As statfs(2) has it; not every C library names it. */
#define FLAG_NOSYMFOLLOW	0x2000

#define FLAGS_LOOKED_AT	(ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC | \
			 ST_NOATIME | ST_NODIRATIME | ST_RELATIME | \
			 FLAG_NOSYMFOLLOW)

struct attribute {
	const char *options;
	unsigned int attr_flags;
	unsigned long flags;
};

static const struct attribute attributes[] = {
	{ "", 0, ST_RELATIME },
	{ "ro", MOUNT_ATTR_RDONLY, ST_RDONLY | ST_RELATIME },
	{ "nosuid", MOUNT_ATTR_NOSUID, ST_NOSUID | ST_RELATIME },
	{ "nodev", MOUNT_ATTR_NODEV, ST_NODEV | ST_RELATIME },
	{ "noexec", MOUNT_ATTR_NOEXEC, ST_NOEXEC | ST_RELATIME },
	{ "noatime", MOUNT_ATTR_NOATIME, ST_NOATIME },
	{ "strictatime", MOUNT_ATTR_STRICTATIME, 0 },
	{ "relatime", MOUNT_ATTR_RELATIME, ST_RELATIME },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, ST_NODIRATIME | ST_RELATIME },
	{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW,
	  FLAG_NOSYMFOLLOW | ST_RELATIME },
	{ "ro,nosuid,noatime",
	  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME,
	  ST_RDONLY | ST_NOSUID | ST_NOATIME },
};

/* Options that take back what options or attributes before them said. */
static const struct attribute undone[] = {
	{ "rw", MOUNT_ATTR_RDONLY, ST_RELATIME },
	{ "suid", MOUNT_ATTR_NOSUID, ST_RELATIME },
	{ "dev", MOUNT_ATTR_NODEV, ST_RELATIME },
	{ "exec", MOUNT_ATTR_NOEXEC, ST_RELATIME },
	{ "relatime", MOUNT_ATTR_NOATIME, ST_RELATIME },
	{ "atime", MOUNT_ATTR_NOATIME, ST_RELATIME },
	{ "nostrictatime", MOUNT_ATTR_STRICTATIME, ST_RELATIME },
	{ "diratime", MOUNT_ATTR_NODIRATIME, ST_RELATIME },
	{ "symfollow", MOUNT_ATTR_NOSYMFOLLOW, ST_RELATIME },
	{ "ro,nosuid,rw,suid", 0, ST_RELATIME },
	{ "noatime,strictatime", 0, 0 },
	{ "strictatime,noatime", 0, ST_NOATIME },
	{ "nodev,defaults", 0, ST_NODEV | ST_RELATIME },
	{ ",,noexec,", 0, ST_NOEXEC | ST_RELATIME },
};

/* The flags of a mount made so, -1 if it failed. */
static long flags_with(int fd, const char *options, unsigned int attr_flags)
{
	int dir = blkfd_fsmount(fd, "ext4", options, attr_flags);
	struct statvfs st;
	long flags = -1;

	if (dir >= 0 && !fstatvfs(dir, &st))
		flags = st.f_flag & FLAGS_LOOKED_AT;
	close(dir);
	return flags;
}

TEST_F(ext4, attr_flags_are_those_of_the_mount)
{
	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		EXPECT_EQ(attributes[i].flags,
			  flags_with(self->fd, NULL, attributes[i].attr_flags))
			TH_LOG("%s", attributes[i].options);
	}
}

TEST_F(ext4, options_of_the_mount_are_taken_as_attributes)
{
	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		EXPECT_EQ(attributes[i].flags,
			  flags_with(self->fd, attributes[i].options, 0))
			TH_LOG("%s", attributes[i].options);
	}
}

TEST_F(ext4, later_options_win)
{
	for (size_t i = 0; i < ARRAY_SIZE(undone); i++) {
		EXPECT_EQ(undone[i].flags,
			  flags_with(self->fd, undone[i].options,
				     undone[i].attr_flags))
			TH_LOG("%s", undone[i].options);
	}
}

TEST_F(ext4, options_of_every_file_system_are_passed)
{
	struct test_mount line;

	ASSERT_EQ(0, blkfd_mount(self->fd, "ext4", "sync,dirsync,lazytime", 0,
				 TARGET, NULL, 0));
	ASSERT_TRUE(test_find_mount(TARGET, &line));
	EXPECT_TRUE(has_option(line.super, "sync"));
	EXPECT_TRUE(has_option(line.super, "dirsync"));
	EXPECT_TRUE(has_option(line.super, "lazytime"));
}

/* tmpfs: it has an option with a comma in its value; it wants no device. */
TEST_F(ext4, quoted_value_keeps_its_commas)
{
	struct test_mount line;

	if (access("/proc/self/numa_maps", F_OK))
		SKIP(return, "this kernel has no NUMA policies");
	ASSERT_EQ(0, blkfd_mount(self->fd, "tmpfs",
				 "mpol=\"bind:0,0\",mode=0711", 0, TARGET,
				 NULL, 0));
	ASSERT_TRUE(test_find_mount(TARGET, &line));
	EXPECT_TRUE(has_option(line.super, "mpol=bind:0"));
	EXPECT_TRUE(has_option(line.super, "mode=711"));
}

TEST_F(ext4, options_that_cannot_be_split_are_einval)
{
	EXPECT_EQ(-EINVAL, blkfd_fsmount(self->fd, "ext4", "a=\"b,noatime", 0));
	EXPECT_EQ(-EINVAL, blkfd_fsmount(self->fd, "ext4", "=b", 0));
}

TEST_F(ext4, unknown_attributes_are_einval)
{
	EXPECT_EQ(-EINVAL, blkfd_fsmount(self->fd, "ext4", NULL, 1U << 31));
	EXPECT_EQ(-EINVAL, blkfd_fsmount(self->fd, "ext4", NULL,
					 MOUNT_ATTR_NOATIME |
					 MOUNT_ATTR_STRICTATIME));
}

TEST_F(ext4, unknown_file_system_is_enodev)
{
	char message[BLKFD_MESSAGE_MAX] = "old";

	EXPECT_EQ(-ENODEV,
		  blkfd_fsmount_message(self->fd, "no_such_fs", NULL, 0,
					message, sizeof(message)));
	EXPECT_STREQ("", message);
}

TEST_F(ext4, only_block_devices_are_mounted)
{
	int file = test_memfd(SIZE);

	EXPECT_EQ(-ENOTBLK, blkfd_fsmount(file, "ext4", NULL, 0));
	EXPECT_EQ(-EBADF, blkfd_fsmount(-1, "ext4", NULL, 0));
}

TEST_F(ext4, any_block_device_is_mounted)
{
	struct test_mount line;
	struct stat st;
	int disk;

	ASSERT_EQ(0, test_mkfs("ext4", TEST_DISK));
	disk = open(TEST_DISK, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, disk);
	ASSERT_EQ(0, blkfd_mount(disk, "ext4", NULL, 0, TARGET, NULL, 0));
	ASSERT_TRUE(test_find_mount(TARGET, &line));
	EXPECT_EQ(-1, lstat(line.source, &st));
	ASSERT_EQ(0, umount(TARGET));
}

TEST_F(ext4, empty_device_is_an_error_and_stays)
{
	int fd = blkfd_create(test_memfd(SIZE), NULL);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EINVAL, blkfd_fsmount(fd, "ext4", NULL, 0));
	EXPECT_EQ(0, test_check_zero(fd, 0, SIZE));
}

TEST_F(ext4, read_only_device_is_mounted_read_only_or_not_at_all)
{
	struct blkfd_create_opts opts = { .flags = BLKFD_F_RDONLY };
	char path[TEST_PATH_MAX];
	int file, fd, ret;

	file = test_memfd(SIZE);
	test_fd_path(file, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	fd = blkfd_create(file, &opts);
	ASSERT_LE(0, fd);
	ret = blkfd_fsmount(fd, "ext4", NULL, 0);
	EXPECT_TRUE(ret == -EROFS || ret == -EACCES) TH_LOG("%d", ret);
	EXPECT_LE(0, blkfd_fsmount(fd, "ext4", "ro", 0));
}

TEST_F(ext4, message_without_room_is_left_out_whole)
{
	char message[8] = "\0untold";

	EXPECT_EQ(-EINVAL, blkfd_fsmount_message(self->fd, "ext4", "no_such", 0,
						 message, 4));
	EXPECT_EQ(0, memcmp("\0untold", message, sizeof(message)));
}

TEST_F(ext4, message_is_empty_after_success)
{
	char message[BLKFD_MESSAGE_MAX] = "old";

	EXPECT_LE(0, blkfd_fsmount_message(self->fd, "ext4", NULL, 0, message,
					   sizeof(message)));
	EXPECT_STREQ("", message);
}

/* Of 7.3 takes any descriptor, and then only a regular file's: it is mounted by path. */
TEST_F(ext4, message_is_empty_after_success_at_the_second_attempt)
{
	char message[BLKFD_MESSAGE_MAX] = "old", path[TEST_PATH_MAX];
	int dev;

	if (!test_has_module("erofs"))
		SKIP(return, "this kernel has no erofs");
	ASSERT_EQ(0, mkdir(TEST_DIR "/tree", 0755));
	test_fd_path(self->fd, path, sizeof(path));
	ASSERT_EQ(0, test_command("mkfs.erofs", path, TEST_DIR "/tree"));
	dev = test_reopen(self->fd, O_RDONLY);
	ASSERT_LE(0, dev);
	EXPECT_LE(0, blkfd_fsmount_message(dev, "erofs", NULL, MOUNT_ATTR_RDONLY, message,
					   sizeof(message)));
	EXPECT_STREQ("", message);
}

TEST_F(ext4, mount_needs_a_directory)
{
	int before = test_count_mounts(), file;

	file = open(TEST_DIR "/file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	ASSERT_LE(0, file);
	EXPECT_EQ(-ENOENT, blkfd_mount(self->fd, "ext4", NULL, 0,
				       TEST_DIR "/no-such", NULL, 0));
	EXPECT_EQ(-ENOTDIR, blkfd_mount(self->fd, "ext4", NULL, 0,
					TEST_DIR "/file", NULL, 0));
	EXPECT_EQ(before, test_count_mounts());
}

TEST_F(ext4, mount_leaves_no_descriptor)
{
	int before = count_descriptors();

	EXPECT_EQ(0, blkfd_mount(self->fd, "ext4", NULL, 0, TARGET, NULL, 0));
	EXPECT_EQ(before, count_descriptors());
	EXPECT_GT(0, blkfd_mount(self->fd, "ext4", "no_such", 0, TARGET,
				 NULL, 0));
	EXPECT_EQ(before, count_descriptors());
}

TEST_F(ext4, mount_without_privilege_is_eperm)
{
	ASSERT_EQ(0, test_become(NOBODY));
	EXPECT_EQ(-EPERM, blkfd_fsmount(self->fd, "ext4", NULL, 0));
}

TEST_F(ext4, source_names_the_device_and_resolves_to_nothing)
{
	struct test_mount line;
	char name[64];
	struct stat st;

	ASSERT_EQ(0, blkfd_mount(self->fd, "ext4", NULL, 0, TARGET,
				 NULL, 0));
	ASSERT_TRUE(test_find_mount(TARGET, &line));
	snprintf(name, sizeof(name), "blkfd:[%llu]",
		 (unsigned long long)self->id);
	EXPECT_NE(NULL, strstr(line.source, name)) TH_LOG("%s", line.source);
	EXPECT_EQ(-1, lstat(line.source, &st));
}

TEST_F(ext4, sources_of_two_devices_on_one_number_differ)
{
	int other = device_with("ext4", SIZE);
	struct test_mount first, second;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, blkfd_mount(self->fd, "ext4", NULL, 0, TARGET,
				 NULL, 0));
	ASSERT_EQ(self->fd, dup2(other, self->fd));
	ASSERT_EQ(0, blkfd_mount(self->fd, "ext4", NULL, 0,
				 OTHER_TARGET, NULL, 0));
	ASSERT_TRUE(test_find_mount(TARGET, &first));
	ASSERT_TRUE(test_find_mount(OTHER_TARGET, &second));
	EXPECT_STRNE(first.source, second.source);
}

/* mkfs.btrfs refuses a path that it finds among the sources of mounts. */
TEST_F(ext4, mount_does_not_bar_other_devices_on_that_number)
{
	int other = blkfd_create(test_memfd(128 * TEST_MIB), NULL);
	char path[BLKFD_PATH_MAX];

	ASSERT_LE(0, other);
	ASSERT_EQ(0, blkfd_mount(self->fd, "ext4", NULL, 0, TARGET, NULL, 0));
	ASSERT_EQ(self->fd, dup2(other, self->fd));
	ASSERT_EQ(0, blkfd_path(self->fd, path, sizeof(path)));
	EXPECT_EQ(0, test_mkfs("btrfs", path));
}

/* What a child of its own mount namespace does. */
static int mount_privately(int fd)
{
	if (unshare(CLONE_NEWNS) ||
	    blkfd_mount(fd, "ext4", NULL, 0, TARGET, NULL, 0))
		return 1;
	if (mkdir(TARGET "/new", 0755))
		return 2;
	return 0;
}

TEST_F(ext4, mount_in_a_childs_namespace_goes_with_it)
{
	int before = test_count_mounts();
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(mount_privately(self->fd));
	ASSERT_EQ(0, test_reap(pid));
	EXPECT_EQ(before, test_count_mounts());
	ASSERT_EQ(0, close(self->fd));
	EXPECT_TRUE(test_wait_gone(self->id));
}

/* Threads */

#define THREADS	4
#define ROUNDS	5

struct worker {
	pthread_t thread;
	int image;
	int result;
};

static int copy_of(int file, uint64_t size)
{
	int copy = test_memfd(size);
	off_t done = 0;

	while (copy >= 0 && done < (off_t)size)
		if (sendfile(copy, file, &done, size - done) <= 0)
			return -EIO;
	return copy;
}

/* One device, mount and file; the mount that the device has is its own. */
static int create_and_mount(int image)
{
	int file = copy_of(image, SIZE), fd, dir, ret;
	struct stat st, on_it;

	fd = blkfd_create(file, NULL);
	dir = blkfd_fsmount(fd, "ext4", "nosuid", 0);
	ret = dir < 0 ? dir : write_in(dir, "file");
	if (!ret && (fstat(fd, &st) || fstat(dir, &on_it) ||
		     st.st_rdev != on_it.st_dev))
		ret = -EXDEV;
	close(dir);
	close(fd);
	close(file);
	return ret;
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	for (int i = 0; !worker->result && i < ROUNDS; i++)
		worker->result = create_and_mount(worker->image);
	return NULL;
}

TEST_F(ext4, threads_create_and_mount_at_once)
{
	struct worker workers[THREADS] = { };
	char path[TEST_PATH_MAX];
	int image = test_memfd(SIZE), before;

	ASSERT_LE(0, image);
	test_fd_path(image, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	before = count_descriptors();
	for (int i = 0; i < THREADS; i++) {
		workers[i].image = image;
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL, work,
					    &workers[i]));
	}
	for (int i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(workers[i].thread, NULL));
		EXPECT_EQ(0, workers[i].result);
	}
	EXPECT_EQ(before, count_descriptors());
}

/* That the path leads to the device, and the mount is of it: 0 or -errno. */
static int check_descriptor(int fd)
{
	struct stat st, on_it, by_path;
	char path[BLKFD_PATH_MAX];
	int dir = blkfd_fsmount(fd, "ext4", NULL, 0);

	if (dir < 0)
		return dir;
	if (blkfd_path(fd, path, sizeof(path)) || fstat(fd, &st) || fstat(dir, &on_it) ||
	    stat(path, &by_path))
		return -EIO;
	return st.st_rdev == on_it.st_dev && st.st_rdev == by_path.st_rdev ? 0 : -EXDEV;
}

/* What is in /proc/self is the first thread's. */
static bool first_is_gone(void *fd)
{
	char path[TEST_PATH_MAX];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", *(int *)fd);
	return access(path, F_OK) < 0;
}

static void *outlive_the_first(void *fd)
{
	if (!test_wait(first_is_gone, fd, TEST_TIMEOUT_MS))
		_exit(ETIME);
	_exit(-check_descriptor(*(int *)fd));
}

TEST_F(ext4, threads_outlive_the_first)
{
	pthread_t thread;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (pthread_create(&thread, NULL, outlive_the_first, &self->fd))
			_exit(EAGAIN);
		pthread_exit(NULL);
	}
	EXPECT_EQ(0, test_reap(pid));
}

struct two_devices {
	int fd;
	int other;
};

/* The other device is on that number here, and here alone. */
static void *use_own_table(void *arg)
{
	struct two_devices *devices = arg;

	if (unshare(CLONE_FILES) || dup2(devices->other, devices->fd) < 0)
		return (void *)(intptr_t)-errno;
	return (void *)(intptr_t)check_descriptor(devices->fd);
}

TEST_F(ext4, thread_with_descriptors_of_its_own_mounts_these)
{
	struct two_devices devices = { self->fd, device_with("ext4", SIZE) };
	pthread_t thread;
	void *result;

	ASSERT_LE(0, devices.other);
	ASSERT_EQ(0, pthread_create(&thread, NULL, use_own_table, &devices));
	ASSERT_EQ(0, pthread_join(thread, &result));
	EXPECT_EQ(0, (intptr_t)result);
}

/* The library from outside */

#define CALL	"'#include <libblkfd.h>\\n" \
		"int main(void) { return blkfd_path(7, 0, 0) != -34; }\\n'"
#define STRICT	"-Wall -Wextra -Wpedantic -Werror"

/* Runs a script at the top of this tree. */
static int script(const char *text)
{
	char tree[PATH_MAX];
	ssize_t length;

	length = readlink("/proc/self/exe", tree, sizeof(tree) - 1);
	if (length < 0)
		return -errno;
	tree[length] = 0;
	*strrchr(tree, '/') = 0;
	*strrchr(tree, '/') = 0;
	return test_command("env", "-C", tree, "bash", "-euc", text);
}

FIXTURE(build) {
};

FIXTURE_SETUP(build)
{
	ASSERT_EQ(0, test_private_mounts());
}

FIXTURE_TEARDOWN(build)
{
}

TEST_F(build, header_is_plain_c99)
{
	EXPECT_EQ(0, script("printf " CALL " | gcc -x c -std=c99 " STRICT
			    " -Ilib -Iuapi -fsyntax-only -"));
}

TEST_F(build, header_and_static_library_serve_cxx)
{
	EXPECT_EQ(0, script("printf " CALL " | g++ -x c++ -std=c++11 " STRICT
			    " -Ilib -Iuapi -o " TEST_DIR "/call - \\\n"
			    "	-x none lib/libblkfd.a\n"
			    TEST_DIR "/call"));
}

TEST_F(build, shared_library_exports_what_the_header_declares)
{
	EXPECT_EQ(0, script("cd lib\n"
			    "nm -D --defined-only libblkfd.so.1 |\n"
			    "	awk '$2 != \"A\" { print $3 }' |\n"
			    "	sort >" TEST_DIR "/exported\n"
			    "sed -nE 's/^int (blkfd_\\w+)\\(.*/\\1@@LIBBLKFD_1/p' \\\n"
			    "	libblkfd.h | sort >" TEST_DIR "/declared\n"
			    "grep -q blkfd_create " TEST_DIR "/declared\n"
			    "diff " TEST_DIR "/declared " TEST_DIR "/exported"));
}

TEST_F(build, shared_library_exports_what_the_version_map_lists)
{
	EXPECT_EQ(0, script("cd lib\n"
			    "nm -D --defined-only libblkfd.so.1 |\n"
			    "	sed -n 's/.* \\(.*\\)@@.*/\\1/p' |\n"
			    "	sort >" TEST_DIR "/exported\n"
			    "sed -n '/global:/,/local:/s/^\\t\\(\\w*\\);/\\1/p' \\\n"
			    "	libblkfd.map | sort >" TEST_DIR "/mapped\n"
			    "grep -q blkfd_create " TEST_DIR "/mapped\n"
			    "diff " TEST_DIR "/mapped " TEST_DIR "/exported"));
}

static int write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	if (!file)
		return -errno;
	fputs(text, file);
	return fclose(file) ? -errno : 0;
}

/* A program as its own author would write it, and how it is run. */
#define PROGRAM		TEST_DIR "/program"
#define RUN		"LD_LIBRARY_PATH=$dir " PROGRAM "\n" \
			"nm -D " PROGRAM " | grep -q 'U blkfd_create@LIBBLKFD_1'\n"

static const char program[] =
	"#define _GNU_SOURCE\n"
	"#include <libblkfd.h>\n"
	"#include <sys/mman.h>\n"
	"#include <unistd.h>\n"
	"int main(void)\n"
	"{\n"
	"	int file = memfd_create(\"image\", 0);\n"
	"	struct blkfd_info info;\n"
	"	int fd;\n"
	"	if (ftruncate(file, 1 << 20))\n"
	"		return 2;\n"
	"	fd = blkfd_create(file, NULL);\n"
	"	if (fd < 0 || blkfd_get_info(fd, &info))\n"
	"		return 3;\n"
	"	return info.length != 1 << 20;\n"
	"}\n";

TEST_F(build, program_with_the_shared_library_works)
{
	ASSERT_EQ(0, write_file(PROGRAM ".c", program));
	EXPECT_EQ(0, script("dir=$PWD/lib\n"
			    "gcc -Ilib -Iuapi -o " PROGRAM " " PROGRAM ".c \\\n"
			    "	-Llib -lblkfd\n" RUN));
}

TEST_F(build, installed_library_is_found_by_pkg_config)
{
	ASSERT_EQ(0, write_file(PROGRAM ".c", program));
	EXPECT_EQ(0, script("stage=" TEST_DIR "/stage\n"
			    "make -C lib install DESTDIR=$stage PREFIX=/opt/blkfd\n"
			    "dir=$stage/opt/blkfd/lib\n"
			    "export PKG_CONFIG_PATH=$dir/pkgconfig\n"
			    "export PKG_CONFIG_SYSROOT_DIR=$stage\n"
			    "flags=$(pkg-config --cflags --libs libblkfd)\n"
			    "gcc -o " PROGRAM " " PROGRAM ".c $flags\n" RUN));
}

TEST_F(build, uninstall_leaves_no_file)
{
	EXPECT_EQ(0, script("stage=" TEST_DIR "/stage\n"
			    "make -C lib install DESTDIR=$stage\n"
			    "[ -n \"$(find $stage ! -type d)\" ]\n"
			    "make -C lib uninstall DESTDIR=$stage\n"
			    "[ -z \"$(find $stage ! -type d)\" ]\n"));
}

TEST_F(build, all_is_installed_below_one_relative_directory)
{
	EXPECT_EQ(0, script("cp -a Makefile lib tools man uapi " TEST_DIR "\n"
			    "cd " TEST_DIR "\n"
			    "make install DESTDIR=stage\n"
			    "cd stage/usr/local\n"
			    "ls bin/blkfd lib/libblkfd.so.1 share/man/man3/libblkfd.3\n"
			    "make -C " TEST_DIR " uninstall DESTDIR=stage\n"
			    "[ -z \"$(find ../.. ! -type d)\" ]\n"));
}

TEST_HARNESS_MAIN
