// SPDX-License-Identifier: GPL-2.0
/*
 * Every block file system that the kernel has and Debian can make: made on a
 * device, mounted in every way, filled, and read back after a remount.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <libblkfd.h>

#include "kselftest_harness.h"
#include "testlib.h"

#define TARGET		TEST_DIR "/target"
#define SOURCE		TEST_DIR "/source"
#define ARGS_MAX	16

/* Trees of files with known content */

struct sample {
	const char *name;
	size_t size;
};

static const struct sample samples[] = {
	{ "empty", 0 },
	{ "one byte", 1 },
	{ "edge-4095", 4095 },
	{ "edge-4096", 4096 },
	{ "edge-4097", 4097 },
	{ "large", 1000003 },
	{ "dir/inner/deep", 12345 },
	{ "a-name-that-is-rather-longer-than-most-and-has-dots.and.more.dots",
	  100 },
};

/* What a file system can hold of the samples. */
struct limits {
	size_t name_max;
	bool flat;
};

static const struct limits no_limits = { .name_max = 255 };

static bool fits(const struct sample *sample, const struct limits *limits)
{
	return strlen(sample->name) <= limits->name_max &&
	       !(limits->flat && strchr(sample->name, '/'));
}

/* The pattern for the sample, in whole words; the caller frees it. */
static char *content_of(const struct sample *sample)
{
	size_t size = (sample->size + 7) & ~7;
	char *content = malloc(size + 8);

	if (content)
		test_fill(content, size, 0, sample - samples);
	return content;
}

static int make_parents(int dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s", name);
	for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdirat(dir, path, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int write_sample(int dir, const struct sample *sample)
{
	char *content = content_of(sample);
	int ret = make_parents(dir, sample->name), fd;

	if (!ret) {
		fd = openat(dir, sample->name,
			    O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0 ||
		    write(fd, content, sample->size) != (ssize_t)sample->size)
			ret = -errno;
		close(fd);
	}
	free(content);
	return ret;
}

static int check_sample(int dir, const struct sample *sample)
{
	char *content = content_of(sample), *got = malloc(sample->size + 1);
	int fd = openat(dir, sample->name, O_RDONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		ret = -errno;
	else if (read(fd, got, sample->size + 1) != (ssize_t)sample->size ||
		 memcmp(content, got, sample->size))
		ret = -EILSEQ;
	close(fd);
	free(content);
	free(got);
	return ret;
}

static int for_samples(int dir, const struct limits *limits,
		       int (*visit)(int dir, const struct sample *sample))
{
	int ret = 0;

	for (size_t i = 0; !ret && i < ARRAY_SIZE(samples); i++) {
		if (!fits(&samples[i], limits))
			continue;
		ret = visit(dir, &samples[i]);
		if (ret)
			fprintf(stderr, "# %s: %s\n", samples[i].name,
				strerror(-ret));
	}
	return ret;
}

static int for_samples_at(const char *path, const struct limits *limits,
			  int (*visit)(int dir, const struct sample *sample))
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;

	if (dir < 0)
		return -errno;
	ret = for_samples(dir, limits, visit);
	close(dir);
	return ret;
}

/* The ways to mount */

static void self_path(int fd, char *path, size_t size)
{
	snprintf(path, size, "/proc/self/fd/%d", fd);
}

static int mount_old(int dev, const char *fstype, bool read_only)
{
	char source[32];

	self_path(dev, source, sizeof(source));
	return mount(source, TARGET, fstype, read_only ? MS_RDONLY : 0, NULL) ?
	       -errno : 0;
}

/* Which source a context is given. */
typedef int (*source_fn)(int context, int dev);

static int source_path(int context, int dev)
{
	char source[32];

	self_path(dev, source, sizeof(source));
	return fsconfig(context, FSCONFIG_SET_STRING, "source", source, 0);
}

static int source_fd(int context, int dev)
{
	return fsconfig(context, FSCONFIG_SET_FD, "source", NULL, dev);
}

static int configure(int context, int dev, bool read_only, source_fn source)
{
	if (source(context, dev) ||
	    (read_only && fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0)) ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	return 0;
}

/* A mount that is attached nowhere. */
static int mount_detached(int dev, const char *fstype, bool read_only,
			  source_fn source)
{
	int context = fsopen(fstype, FSOPEN_CLOEXEC), ret;

	if (context < 0)
		return -errno;
	ret = configure(context, dev, read_only, source);
	if (!ret) {
		ret = fsmount(context, FSMOUNT_CLOEXEC, 0);
		if (ret < 0)
			ret = -errno;
	}
	close(context);
	return ret;
}

static int mount_attached(int dev, const char *fstype, bool read_only,
			  source_fn source)
{
	int fd = mount_detached(dev, fstype, read_only, source), ret = 0;

	if (fd < 0)
		return fd;
	if (move_mount(fd, "", AT_FDCWD, TARGET, MOVE_MOUNT_F_EMPTY_PATH))
		ret = -errno;
	close(fd);
	return ret;
}

static int mount_new(int dev, const char *fstype, bool read_only)
{
	return mount_attached(dev, fstype, read_only, source_path);
}

static int mount_fd(int dev, const char *fstype, bool read_only)
{
	return mount_attached(dev, fstype, read_only, source_fd);
}

static int mount_library(int dev, const char *fstype, bool read_only)
{
	return blkfd_mount(dev, fstype, NULL, read_only ? MOUNT_ATTR_RDONLY : 0,
			   TARGET, NULL, 0);
}

/* Runs the arguments with these appended, up to the first NULL. */
static int run_with(const char *const *args, const char *first,
		    const char *second, const char *third)
{
	const char *argv[ARGS_MAX] = { NULL };
	int count = 0;

	while (args[count]) {
		argv[count] = args[count];
		count++;
	}
	argv[count++] = first;
	argv[count++] = second;
	argv[count] = third;
	return test_run(NULL, 0, argv);
}

static int device_over(int file, uint32_t flags)
{
	return test_create(file, flags, 0, 0, 0);
}

/* File systems that can be written */

FIXTURE(mount) {
	int file;
	int dev;
	uint64_t id;
};

FIXTURE_VARIANT(mount) {
	const char *fstype;
	const char *module;
	uint64_t size;
	struct limits limits;
	const char *mkfs[ARGS_MAX - 3];
};

/* Sizes are the smallest that mkfs takes, or near. */
FIXTURE_VARIANT_ADD(mount, ext2) {
	.fstype = "ext2", .module = "ext4", .size = 8 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.ext2", "-q", "-F" },
};

FIXTURE_VARIANT_ADD(mount, ext3) {
	.fstype = "ext3", .module = "ext4", .size = 8 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.ext3", "-q", "-F" },
};

FIXTURE_VARIANT_ADD(mount, ext4) {
	.fstype = "ext4", .module = "ext4", .size = 8 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.ext4", "-q", "-F" },
};

FIXTURE_VARIANT_ADD(mount, xfs) {
	.fstype = "xfs", .module = "xfs", .size = 300 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.xfs", "-q", "-f", "-K" },
};

FIXTURE_VARIANT_ADD(mount, btrfs) {
	.fstype = "btrfs", .module = "btrfs", .size = 114 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.btrfs", "-q", "-f" },
};

FIXTURE_VARIANT_ADD(mount, f2fs) {
	.fstype = "f2fs", .module = "f2fs", .size = 64 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.f2fs", "-q", "-f" },
};

FIXTURE_VARIANT_ADD(mount, vfat) {
	.fstype = "vfat", .module = "vfat", .size = 4 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.vfat", "-I" },
};

FIXTURE_VARIANT_ADD(mount, exfat) {
	.fstype = "exfat", .module = "exfat", .size = 8 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.exfat", "-q" },
};

FIXTURE_VARIANT_ADD(mount, ntfs3) {
	.fstype = "ntfs3", .module = "ntfs3", .size = 16 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.ntfs", "-q", "-Q", "-F" },
};

/* The successor of ntfs3 in newer kernels. */
FIXTURE_VARIANT_ADD(mount, ntfs) {
	.fstype = "ntfs", .module = "ntfs", .size = 16 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.ntfs", "-q", "-Q", "-F" },
};

FIXTURE_VARIANT_ADD(mount, nilfs2) {
	.fstype = "nilfs2", .module = "nilfs2", .size = 130 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.nilfs2", "-q", "-f" },
};

FIXTURE_VARIANT_ADD(mount, jfs) {
	.fstype = "jfs", .module = "jfs", .size = 16 * TEST_MIB,
	.limits = { 255 }, .mkfs = { "mkfs.jfs", "-q" },
};

FIXTURE_VARIANT_ADD(mount, minix) {
	.fstype = "minix", .module = "minix", .size = 4 * TEST_MIB,
	.limits = { 30 }, .mkfs = { "mkfs.minix" },
};

FIXTURE_VARIANT_ADD(mount, bfs) {
	.fstype = "bfs", .module = "bfs", .size = 4 * TEST_MIB,
	.limits = { 14, true }, .mkfs = { "mkfs.bfs" },
};

FIXTURE_SETUP(mount)
{
	char path[32];

	if (!test_has_module(variant->module))
		SKIP(return, "this kernel has no %s", variant->fstype);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(TARGET, 0755));
	self->file = test_tmpfile(TEST_DIR, variant->size);
	ASSERT_LE(0, self->file);
	self->dev = device_over(self->file, 0);
	ASSERT_LE(0, self->dev);
	self->id = test_id(self->dev);
	test_fd_path(self->dev, path, sizeof(path));
	ASSERT_EQ(0, run_with(variant->mkfs, path, NULL, NULL));
}

FIXTURE_TEARDOWN(mount)
{
	close(self->dev);
	close(self->file);
}

static void expect_read_back(struct __test_metadata *_metadata,
			     FIXTURE_DATA(mount) *self,
			     const FIXTURE_VARIANT(mount) *variant,
			     int (*mount_it)(int dev, const char *fstype,
					     bool read_only))
{
	const struct limits *limits = &variant->limits;
	int ret;

	ret = mount_it(self->dev, variant->fstype, false);
	ASSERT_EQ(0, ret);
	EXPECT_EQ(0, for_samples_at(TARGET, limits, write_sample));
	ASSERT_EQ(0, umount(TARGET));
	ret = mount_it(self->dev, variant->fstype, false);
	ASSERT_EQ(0, ret);
	EXPECT_EQ(0, for_samples_at(TARGET, limits, check_sample));
	close(self->dev);
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, umount(TARGET));
	EXPECT_TRUE(test_wait_gone(self->id));
}

TEST_F(mount, files_by_mount_are_read_back)
{
	expect_read_back(_metadata, self, variant, mount_old);
}

TEST_F(mount, files_by_fsconfig_are_read_back)
{
	expect_read_back(_metadata, self, variant, mount_new);
}

TEST_F(mount, files_by_the_library_are_read_back)
{
	expect_read_back(_metadata, self, variant, mount_library);
}

TEST_F(mount, files_by_descriptor_are_read_back)
{
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
	expect_read_back(_metadata, self, variant, mount_fd);
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
}

/* File systems that are made whole */

FIXTURE(mount_image) {
	int file;
	int dev;
	uint64_t id;
};

FIXTURE_VARIANT(mount_image) {
	const char *fstype;
	const char *module;
	/* The source comes first, and this last. */
	const char *last;
	const char *build[ARGS_MAX - 3];
};

FIXTURE_VARIANT_ADD(mount_image, erofs) {
	.fstype = "erofs", .module = "erofs", .build = { "mkfs.erofs" },
};

FIXTURE_VARIANT_ADD(mount_image, squashfs) {
	.fstype = "squashfs", .module = "squashfs", .last = "-noappend",
	.build = { "mksquashfs" },
};

FIXTURE_VARIANT_ADD(mount_image, iso9660) {
	.fstype = "iso9660", .module = "isofs",
	.build = { "genisoimage", "-quiet", "-R", "-o" },
};

FIXTURE_SETUP(mount_image)
{
	char path[32];

	if (!test_has_module(variant->module))
		SKIP(return, "this kernel has no %s", variant->fstype);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(TARGET, 0755));
	ASSERT_EQ(0, mkdir(SOURCE, 0755));
	ASSERT_EQ(0, for_samples_at(SOURCE, &no_limits, write_sample));
	self->file = test_tmpfile(TEST_DIR, 8 * TEST_MIB);
	ASSERT_LE(0, self->file);
	self->dev = device_over(self->file, 0);
	ASSERT_LE(0, self->dev);
	test_fd_path(self->dev, path, sizeof(path));
	ASSERT_EQ(0, variant->last ?
		     run_with(variant->build, SOURCE, path, variant->last) :
		     run_with(variant->build, path, SOURCE, NULL));
	ASSERT_EQ(0, close(self->dev));
	self->dev = device_over(self->file, BLKFD_F_RDONLY);
	ASSERT_LE(0, self->dev);
	self->id = test_id(self->dev);
}

FIXTURE_TEARDOWN(mount_image)
{
	close(self->dev);
	close(self->file);
}

static void expect_image(struct __test_metadata *_metadata,
			 FIXTURE_DATA(mount_image) *self, int ret)
{
	ASSERT_EQ(0, ret);
	close(self->dev);
	EXPECT_EQ(0, for_samples_at(TARGET, &no_limits, check_sample));
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, umount(TARGET));
	EXPECT_TRUE(test_wait_gone(self->id));
}

TEST_F(mount_image, files_by_mount_are_read)
{
	expect_image(_metadata, self,
		     mount_old(self->dev, variant->fstype, true));
}

TEST_F(mount_image, files_by_fsconfig_are_read)
{
	expect_image(_metadata, self,
		     mount_new(self->dev, variant->fstype, true));
}

TEST_F(mount_image, files_by_the_library_are_read)
{
	expect_image(_metadata, self,
		     mount_library(self->dev, variant->fstype, true));
}

TEST_F(mount_image, files_by_descriptor_are_read)
{
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
	expect_image(_metadata, self,
		     mount_fd(self->dev, variant->fstype, true));
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
}

/* Read-only devices, and mounts that outlive descriptors */

FIXTURE(mount_life) {
	int file;
	int dev;
	uint64_t id;
};

FIXTURE_VARIANT(mount_life) {
	const char *fstype;
	uint64_t size;
};

FIXTURE_VARIANT_ADD(mount_life, ext4) {
	.fstype = "ext4", .size = 16 * TEST_MIB,
};

FIXTURE_VARIANT_ADD(mount_life, xfs) {
	.fstype = "xfs", .size = 300 * TEST_MIB,
};

FIXTURE_SETUP(mount_life)
{
	char path[32];

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(TARGET, 0755));
	self->file = test_tmpfile(TEST_DIR, variant->size);
	ASSERT_LE(0, self->file);
	self->dev = device_over(self->file, 0);
	ASSERT_LE(0, self->dev);
	self->id = test_id(self->dev);
	test_fd_path(self->dev, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs(variant->fstype, path));
}

FIXTURE_TEARDOWN(mount_life)
{
	close(self->dev);
	close(self->file);
}

TEST_F(mount_life, detached_mount_takes_the_device_along)
{
	int dir = mount_detached(self->dev, variant->fstype, false,
				 source_path);

	ASSERT_LE(0, dir);
	ASSERT_EQ(0, close(self->dev));
	EXPECT_EQ(0, for_samples(dir, &no_limits, write_sample));
	EXPECT_EQ(0, for_samples(dir, &no_limits, check_sample));
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, close(dir));
	EXPECT_TRUE(test_wait_gone(self->id));
	self->dev = device_over(self->file, 0);
	ASSERT_LE(0, self->dev);
	ASSERT_EQ(0, mount_old(self->dev, variant->fstype, false));
	EXPECT_EQ(0, for_samples_at(TARGET, &no_limits, check_sample));
	ASSERT_EQ(0, umount(TARGET));
}

TEST_F(mount_life, killed_holder_of_a_detached_mount_leaves_nothing)
{
	int pipes[2], dir;
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		dir = mount_detached(self->dev, variant->fstype, false,
				     source_path);
		byte = dir < 0 || for_samples(dir, &no_limits, write_sample);
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

TEST_F(mount_life, attached_mount_outlives_its_creator)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-mount_new(self->dev, variant->fstype, false));
	ASSERT_EQ(0, test_reap(pid));
	ASSERT_EQ(0, close(self->dev));
	EXPECT_TRUE(test_device_listed(self->id));
	EXPECT_EQ(0, for_samples_at(TARGET, &no_limits, write_sample));
	ASSERT_EQ(0, test_drop_caches());
	EXPECT_EQ(0, for_samples_at(TARGET, &no_limits, check_sample));
	ASSERT_EQ(0, umount(TARGET));
	EXPECT_TRUE(test_wait_gone(self->id));
}

/* Fills the file system, then makes the device anew, read-only. */
static void fill_and_reopen(struct __test_metadata *_metadata,
			    FIXTURE_DATA(mount_life) *self, const char *fstype)
{
	ASSERT_EQ(0, mount_old(self->dev, fstype, false));
	ASSERT_EQ(0, for_samples_at(TARGET, &no_limits, write_sample));
	ASSERT_EQ(0, umount(TARGET));
	ASSERT_EQ(0, close(self->dev));
	self->dev = device_over(self->file, BLKFD_F_RDONLY);
	ASSERT_LE(0, self->dev);
}

TEST_F(mount_life, read_only_device_mounts_read_only)
{
	fill_and_reopen(_metadata, self, variant->fstype);
	ASSERT_EQ(0, mount_old(self->dev, variant->fstype, true));
	EXPECT_EQ(0, for_samples_at(TARGET, &no_limits, check_sample));
	EXPECT_EQ(-1, mkdir(TARGET "/new", 0755));
	EXPECT_EQ(EROFS, errno);
	EXPECT_EQ(-1, mount(NULL, TARGET, NULL, MS_REMOUNT, NULL));
	ASSERT_EQ(0, umount(TARGET));
	ASSERT_EQ(0, mount_new(self->dev, variant->fstype, true));
	EXPECT_EQ(0, for_samples_at(TARGET, &no_limits, check_sample));
	ASSERT_EQ(0, umount(TARGET));
}

TEST_F(mount_life, read_only_device_refuses_to_mount_writable)
{
	int ret;

	fill_and_reopen(_metadata, self, variant->fstype);
	ret = mount_old(self->dev, variant->fstype, false);
	EXPECT_TRUE(ret == -EROFS || ret == -EACCES)
		TH_LOG("mount: %d", ret);
	ret = mount_new(self->dev, variant->fstype, false);
	EXPECT_TRUE(ret == -EROFS || ret == -EACCES)
		TH_LOG("fsconfig: %d", ret);
}

/* Partitions */

#define FIRST_START	TEST_MIB
#define FIRST_SIZE	(8 * TEST_MIB)
#define SECOND_START	(FIRST_START + FIRST_SIZE)
#define SECOND_SIZE	(16 * TEST_MIB)

static void expect_blkid(struct __test_metadata *_metadata, int dev,
			 const char *tag, const char *value)
{
	char path[32], out[64];

	test_fd_path(dev, path, sizeof(path));
	ASSERT_EQ(0, test_output(out, sizeof(out), "blkid", "-p", "-o", "value",
				 "-s", tag, path));
	out[strcspn(out, "\n")] = 0;
	EXPECT_STREQ(value, out);
}

static void expect_partition(struct __test_metadata *_metadata, int dev,
			     const char *fstype, const char *const *mkfs)
{
	char path[32];

	ASSERT_LE(0, dev);
	test_fd_path(dev, path, sizeof(path));
	ASSERT_EQ(0, run_with(mkfs, path, NULL, NULL));
	expect_blkid(_metadata, dev, "TYPE", fstype);
	ASSERT_EQ(0, mount_old(dev, fstype, false));
	EXPECT_EQ(0, for_samples_at(TARGET, &no_limits, write_sample));
	ASSERT_EQ(0, umount(TARGET));
}

TEST(windows_on_partitions_hold_file_systems)
{
	static const char * const vfat[] = { "mkfs.vfat", "-I", NULL };
	static const char * const ext4[] = { "mkfs.ext4", "-q", "-F", NULL };
	int file = test_memfd(32 * TEST_MIB), whole, first, second;
	char script[512], path[32];

	ASSERT_LE(0, file);
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(TARGET, 0755));
	whole = device_over(file, 0);
	ASSERT_LE(0, whole);
	test_fd_path(whole, path, sizeof(path));
	snprintf(script, sizeof(script),
		 "printf 'label: gpt\\nstart=%llu,size=%llu,type=U\\nstart=%llu,size=%llu,type=L\\n' | sfdisk -q --no-reread --no-tell-kernel %s",
		 FIRST_START / 512, FIRST_SIZE / 512, SECOND_START / 512,
		 SECOND_SIZE / 512, path);
	ASSERT_EQ(0, test_command("sh", "-c", script));
	first = test_create(file, 0, FIRST_START, FIRST_SIZE, 0);
	expect_partition(_metadata, first, "vfat", vfat);
	second = test_create(file, 0, SECOND_START, SECOND_SIZE, 0);
	expect_partition(_metadata, second, "ext4", ext4);
	ASSERT_EQ(0, mount_new(first, "vfat", true));
	EXPECT_EQ(0, for_samples_at(TARGET, &no_limits, check_sample));
	ASSERT_EQ(0, umount(TARGET));
	expect_blkid(_metadata, whole, "PTTYPE", "gpt");
	EXPECT_EQ(0, test_command("sfdisk", "-q", "--verify", path));
}

TEST_HARNESS_MAIN
