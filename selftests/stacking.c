// SPDX-License-Identifier: GPL-2.0
/*
 * Devices over devices: files on file systems on devices, to the depth that the
 * module allows; device-mapper and loop on top; a disk's window below.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "testlib.h"

#define SEED		0x57
#define SIZE		(4 * TEST_MIB)
#define PAGE		4096

/* Runs a command on the path of a descriptor, appended to its arguments. */
#define on_device(fd, ...) ({						\
	char on_path[32];						\
									\
	test_fd_path(fd, on_path, sizeof(on_path));			\
	test_command(__VA_ARGS__, on_path);				\
})

static int mount_device(int dev, const char *fstype, const char *dir)
{
	char path[32];

	if (mkdir(dir, 0755) && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dev);
	return mount(path, dir, fstype, 0, NULL) ? -errno : 0;
}

/* Devices over files on file systems on devices */

#define LEVELS		3

/* Room for an xfs, whose least size is 300 MiB, in an xfs in an xfs. */
static const uint64_t level_size[LEVELS] = {
	900 * TEST_MIB, 600 * TEST_MIB, 64 * TEST_MIB
};

FIXTURE(stack) {
	int file[LEVELS];
	int dev[LEVELS];
	int mounted;
};

static void level_dir(int level, char *dir, size_t size)
{
	snprintf(dir, size, level ? TEST_DIR "/xfs%d" : TEST_DIR "/xfs", level);
}

FIXTURE_SETUP(stack)
{
	char dir[32];

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("xfs", NULL));
	self->mounted = 1;
	for (int level = 0; level < LEVELS; level++) {
		level_dir(level, dir, sizeof(dir));
		self->file[level] = test_tmpfile(dir, level_size[level]);
		ASSERT_LE(0, self->file[level]);
		self->dev[level] = test_create(self->file[level], 0, 0, 0, 0);
		ASSERT_LE(0, self->dev[level]);
		if (level == LEVELS - 1)
			break;
		ASSERT_EQ(0, on_device(self->dev[level], "mkfs.xfs", "-q", "-K"));
		level_dir(level + 1, dir, sizeof(dir));
		ASSERT_EQ(0, mount_device(self->dev[level], "xfs", dir));
		self->mounted++;
	}
}

FIXTURE_TEARDOWN(stack)
{
	char dir[32];

	for (int level = LEVELS - 1; level >= 0; level--) {
		close(self->dev[level]);
		close(self->file[level]);
		level_dir(level, dir, sizeof(dir));
		if (level < self->mounted)
			umount(dir);
	}
}

TEST_F(stack, pattern_survives_three_levels)
{
	int top = self->dev[LEVELS - 1];

	ASSERT_EQ(0, test_write_pattern(top, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(top));
	ASSERT_EQ(0, test_drop_caches());
	ASSERT_EQ(0, ioctl(top, BLKFLSBUF));
	EXPECT_EQ(0, test_check_pattern(top, 0, SIZE, SEED));
	ASSERT_EQ(0, test_drop_caches());
	EXPECT_EQ(0, test_check_pattern(self->file[LEVELS - 1], 0, SIZE, SEED));
}

TEST_F(stack, mixed_depths_work_at_once)
{
	pid_t pids[LEVELS];

	for (int level = 1; level < LEVELS; level++) {
		uint64_t at = level_size[level] - SIZE;

		pids[level] = fork();
		ASSERT_LE(0, pids[level]);
		if (!pids[level])
			_exit(test_write_pattern(self->dev[level], at, SIZE,
						 level) ||
			      fsync(self->dev[level]) ||
			      ioctl(self->dev[level], BLKFLSBUF) ||
			      test_check_pattern(self->dev[level], at, SIZE,
						 level));
	}
	for (int level = 1; level < LEVELS; level++)
		EXPECT_EQ(0, test_reap(pids[level]));
}

TEST_F(stack, discard_frees_space_at_the_bottom)
{
	uint64_t range[] = { 0, 16 * TEST_MIB };
	int top = self->dev[LEVELS - 1];
	struct stat before, after;

	ASSERT_EQ(0, test_write_pattern(top, 0, range[1], SEED));
	ASSERT_EQ(0, fsync(top));
	ASSERT_EQ(0, fstat(self->file[LEVELS - 1], &before));
	ASSERT_EQ(0, ioctl(top, BLKDISCARD, range));
	ASSERT_EQ(0, fstat(self->file[LEVELS - 1], &after));
	EXPECT_EQ(range[1], (before.st_blocks - after.st_blocks) * 512ULL);
	ASSERT_EQ(0, fstat(self->file[0], &before));
	ASSERT_EQ(0, test_command("fstrim", TEST_DIR "/xfs2"));
	ASSERT_EQ(0, test_command("fstrim", TEST_DIR "/xfs1"));
	ASSERT_EQ(0, fstat(self->file[0], &after));
	EXPECT_LE(range[1], (before.st_blocks - after.st_blocks) * 512ULL);
}

#define CGROUP		"/sys/fs/cgroup/blkfd-stacking"
/* Three levels of 48 MiB each go through it; 32 MiB get the writer killed. */
#define LIMIT		"67108864"
#define PRESSURE	(48 * TEST_MIB)

static int write_under_pressure(int dev)
{
	return test_write_text(CGROUP "/cgroup.procs", "0") ||
	       test_write_pattern(dev, 0, PRESSURE, SEED) || fsync(dev) ||
	       test_check_pattern(dev, 0, PRESSURE, SEED);
}

TEST_F(stack, writes_through_in_little_memory)
{
	int top = self->dev[LEVELS - 1];
	pid_t pid;

	ASSERT_EQ(0, mkdir(CGROUP, 0755));
	ASSERT_EQ(0, test_write_text(CGROUP "/memory.max", LIMIT));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(write_under_pressure(top));
	EXPECT_EQ(0, test_reap(pid));
	EXPECT_EQ(0, rmdir(CGROUP));
	ASSERT_EQ(0, ioctl(top, BLKFLSBUF));
	EXPECT_EQ(0, test_check_pattern(top, 0, PRESSURE, SEED));
}

/* How deep */

/* As docs/design.md has it; more are tried. */
#define DEPTH		4
#define DEPTH_MAX	8

FIXTURE(depth) {
	int file;
	int dev[DEPTH_MAX];
	int count;
	int error;
};

/* Each device over the one before it, until one is refused. */
FIXTURE_SETUP(depth)
{
	int below, dev;

	ASSERT_TRUE(test_wait_none());
	self->file = test_memfd(32 * TEST_MIB);
	ASSERT_LE(0, self->file);
	below = self->file;
	do {
		dev = test_create(below, 0, 0, 0, 0);
		if (dev < 0)
			break;
		self->dev[self->count++] = dev;
		below = dev;
	} while (self->count < DEPTH_MAX);
	self->error = dev < 0 ? dev : test_create(below, 0, 0, 0, 0);
}

FIXTURE_TEARDOWN(depth)
{
	while (self->count)
		close(self->dev[--self->count]);
	close(self->file);
}

TEST_F(depth, is_bounded_by_eloop)
{
	EXPECT_EQ(DEPTH, self->count);
	EXPECT_EQ(-ELOOP, self->error);
	EXPECT_EQ(self->count, test_count_devices());
}

TEST_F(depth, deepest_device_works)
{
	int top = self->dev[self->count - 1];

	ASSERT_EQ(0, test_write_pattern(top, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(top));
	for (int i = 0; i < self->count; i++)
		ASSERT_EQ(0, ioctl(self->dev[i], BLKFLSBUF));
	EXPECT_EQ(0, test_check_pattern(top, 0, SIZE, SEED));
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, SEED));
}

/* A file system on the topmost device, at TEST_DIR/deep. */
static int mount_top(FIXTURE_DATA(depth) *self)
{
	int top = self->dev[self->count - 1];

	return test_private_mounts() ?: on_device(top, "mkfs.ext4", "-q") ?:
	       mount_device(top, "ext4", TEST_DIR "/deep");
}

TEST_F(depth, counts_file_systems_too)
{
	int file;

	ASSERT_EQ(0, mount_top(self));
	file = test_tmpfile(TEST_DIR "/deep", TEST_MIB);
	ASSERT_LE(0, file);
	EXPECT_EQ(-ELOOP, test_create(file, 0, 0, 0, 0));
	close(file);
	ASSERT_EQ(0, umount(TEST_DIR "/deep"));
}

/* Which is on no device itself, and has no file of its own if nobody writes. */
TEST_F(depth, counts_what_is_below_an_overlay_too)
{
	int file;

	ASSERT_EQ(0, mount_top(self));
	close(test_file(TEST_DIR "/deep/file", TEST_MIB, 0));
	ASSERT_EQ(0, mkdir(TEST_DIR "/lowest", 0755));
	ASSERT_EQ(0, mkdir(TEST_DIR "/overlay", 0755));
	ASSERT_EQ(0, mount("overlay", TEST_DIR "/overlay", "overlay", 0,
			   "lowerdir=" TEST_DIR "/deep:" TEST_DIR "/lowest"));
	file = open(TEST_DIR "/overlay/file", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	EXPECT_EQ(-ELOOP, test_create(file, 0, 0, 0, 0));
	close(file);
	ASSERT_EQ(0, umount(TEST_DIR "/overlay"));
	ASSERT_EQ(0, umount(TEST_DIR "/deep"));
}

TEST_F(depth, orphans_die_with_the_top)
{
	uint64_t bottom = test_id(self->dev[0]);
	int top = self->count - 1;

	for (int i = 0; i < top; i++) {
		close(self->dev[i]);
		self->dev[i] = -1;
	}
	EXPECT_TRUE(test_device_listed(bottom));
	ASSERT_EQ(0, test_write_pattern(self->dev[top], 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(self->dev[top]));
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, SEED));
	ASSERT_EQ(0, close(self->dev[top]));
	self->dev[top] = -1;
	EXPECT_TRUE(test_wait_none());
}

/* Device-mapper on top */

#define DM_NAME		"blkfd-stacking"
#define DM_PATH		"/dev/mapper/" DM_NAME
#define KEY_FILE	TEST_DIR "/key"

FIXTURE(dm) {
	int file;
	int dev;
	uint64_t id;
	int top;
	char path[32];
};

#define DM_SIZE		(24 * TEST_MIB)

FIXTURE_SETUP(dm)
{
	ASSERT_EQ(0, test_private_mounts());
	self->top = -1;
	self->file = test_memfd(DM_SIZE);
	ASSERT_LE(0, self->file);
	self->dev = test_create(self->file, 0, 0, 0, 0);
	ASSERT_LE(0, self->dev);
	self->id = test_id(self->dev);
	test_fd_path(self->dev, self->path, sizeof(self->path));
}

/* A test that fails half-way has left its table. */
FIXTURE_TEARDOWN(dm)
{
	close(self->top);
	close(self->dev);
	close(self->file);
	umount(TEST_DIR "/dm");
	if (!access(DM_PATH, F_OK))
		test_dm_remove(DM_NAME);
}

static int linear_over(const char *path)
{
	char table[128];

	snprintf(table, sizeof(table), "0 %llu linear %s 0", DM_SIZE / 512, path);
	return test_dm_create(DM_NAME, table);
}

TEST_F(dm, linear_table_keeps_the_device_alive_until_removed)
{
	ASSERT_EQ(0, linear_over(self->path));
	ASSERT_EQ(0, close(self->dev));
	self->dev = -1;
	EXPECT_TRUE(test_device_listed(self->id));
	self->top = open(DM_PATH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->top);
	ASSERT_EQ(0, test_write_pattern(self->top, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(self->top));
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, SEED));
	ASSERT_EQ(0, close(self->top));
	self->top = -1;
	ASSERT_EQ(0, test_dm_remove(DM_NAME));
	EXPECT_TRUE(test_wait_gone(self->id));
}

TEST_F(dm, linear_table_holds_a_file_system)
{
	int file;

	ASSERT_EQ(0, linear_over(self->path));
	ASSERT_EQ(0, test_mkfs("ext4", DM_PATH));
	ASSERT_EQ(0, mkdir(TEST_DIR "/dm", 0755));
	ASSERT_EQ(0, mount(DM_PATH, TEST_DIR "/dm", "ext4", 0, NULL));
	file = test_file(TEST_DIR "/dm/file", SIZE, 0);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, test_write_pattern(file, 0, SIZE, SEED));
	ASSERT_EQ(0, close(file));
	ASSERT_EQ(0, umount(TEST_DIR "/dm"));
	ASSERT_EQ(0, test_dm_remove(DM_NAME));
	ASSERT_EQ(0, mount_device(self->dev, "ext4", TEST_DIR "/dm"));
	file = open(TEST_DIR "/dm/file", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	EXPECT_EQ(0, test_check_pattern(file, 0, SIZE, SEED));
	ASSERT_EQ(0, close(file));
	ASSERT_EQ(0, umount(TEST_DIR "/dm"));
}

TEST_F(dm, deferred_removal_drops_the_device_at_the_last_close)
{
	ASSERT_EQ(0, linear_over(self->path));
	self->top = open(DM_PATH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->top);
	ASSERT_EQ(0, test_command("dmsetup", "remove", "--deferred", DM_NAME));
	ASSERT_EQ(0, close(self->dev));
	self->dev = -1;
	ASSERT_EQ(0, test_write_pattern(self->top, 0, SIZE, SEED));
	EXPECT_EQ(0, test_check_pattern(self->top, 0, SIZE, SEED));
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, close(self->top));
	self->top = -1;
	EXPECT_TRUE(test_wait_gone(self->id));
}

static int write_key(void)
{
	int fd = test_file(KEY_FILE, 0, 0), ret;

	if (fd < 0)
		return fd;
	ret = test_write_pattern(fd, 0, 32, 99);
	close(fd);
	return ret;
}

static int open_plain(const char *path)
{
	return test_command("cryptsetup", "open", "-q", "--type", "plain",
			    "--cipher", "aes-xts-plain64", "--key-size", "256",
			    "--key-file", KEY_FILE, path, DM_NAME);
}

static int format_luks(const char *path)
{
	return test_command("cryptsetup", "luksFormat", "-q", "--type", "luks2",
			    "--pbkdf", "pbkdf2", "--pbkdf-force-iterations",
			    "1000", "--key-file", KEY_FILE, path);
}

static int open_luks(const char *path)
{
	return test_command("cryptsetup", "open", "-q", "--key-file", KEY_FILE,
			    path, DM_NAME);
}

/* What went in comes out again by the key, and cannot be read below. */
static void expect_encrypted(struct __test_metadata *_metadata,
			     FIXTURE_DATA(dm) *self,
			     int (*open_crypt)(const char *path))
{
	char *below = malloc(DM_SIZE);
	uint64_t word[2];

	ASSERT_EQ(0, open_crypt(self->path));
	self->top = open(DM_PATH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->top);
	ASSERT_EQ(0, test_write_pattern(self->top, 0, SIZE, SEED));
	ASSERT_EQ(0, fsync(self->top));
	ASSERT_EQ(0, close(self->top));
	self->top = -1;
	ASSERT_EQ(0, test_dm_remove(DM_NAME));
	test_fill(word, sizeof(word), 4096, SEED);
	ASSERT_EQ(DM_SIZE, pread(self->file, below, DM_SIZE, 0));
	EXPECT_NULL(memmem(below, DM_SIZE, word, sizeof(word)));
	free(below);
	ASSERT_EQ(0, open_crypt(self->path));
	self->top = open(DM_PATH, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->top);
	EXPECT_EQ(0, test_check_pattern(self->top, 0, SIZE, SEED));
	ASSERT_EQ(0, close(self->top));
	self->top = -1;
	ASSERT_EQ(0, close(self->dev));
	self->dev = -1;
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, test_dm_remove(DM_NAME));
	EXPECT_TRUE(test_wait_gone(self->id));
}

TEST_F(dm, plain_crypt_reads_back)
{
	ASSERT_EQ(0, write_key());
	expect_encrypted(_metadata, self, open_plain);
}

TEST_F(dm, luks_reads_back)
{
	ASSERT_EQ(0, write_key());
	ASSERT_EQ(0, format_luks(self->path));
	expect_encrypted(_metadata, self, open_luks);
}

/* The root hash that veritysetup prints; false if it prints none. */
static bool verity_format(const char *data, const char *hash, char root[65])
{
	char out[2048], *at;

	if (test_output(out, sizeof(out), "veritysetup", "format", data, hash))
		return false;
	at = strstr(out, "Root hash:");
	return at && sscanf(at, "Root hash: %64[0-9a-f]", root) == 1;
}

TEST_F(dm, verity_reads_what_is_whole_and_refuses_what_is_not)
{
	int hash_file = test_memfd(4 * TEST_MIB), hash;
	char hash_path[32], root[65], byte, buf[512];
	const uint64_t bad = 5 * PAGE + 77;

	ASSERT_EQ(0, test_write_pattern(self->file, 0, DM_SIZE, SEED));
	hash = test_create(hash_file, 0, 0, 0, 0);
	ASSERT_LE(0, hash);
	test_fd_path(hash, hash_path, sizeof(hash_path));
	ASSERT_TRUE(verity_format(self->path, hash_path, root));
	ASSERT_EQ(1, pread(self->file, &byte, 1, bad));
	byte ^= 1;
	ASSERT_EQ(1, pwrite(self->file, &byte, 1, bad));
	ASSERT_EQ(0, test_command("veritysetup", "open", self->path, DM_NAME,
				  hash_path, root));
	ASSERT_EQ(0, close(hash));
	self->top = open(DM_PATH, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->top);
	ASSERT_EQ(0, posix_fadvise(self->top, 0, 0, POSIX_FADV_RANDOM));
	EXPECT_EQ(0, test_check_pattern(self->top, 16 * PAGE, TEST_MIB, SEED));
	EXPECT_EQ(-1, pread(self->top, buf, sizeof(buf), 5 * PAGE));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, test_check_pattern(self->top, 0, 5 * PAGE, SEED));
	EXPECT_EQ(0, test_check_pattern(self->top, 6 * PAGE, PAGE, SEED));
	close(hash_file);
}

TEST_F(dm, loop_device_on_top_works_and_lets_go)
{
	char out[64];

	ASSERT_TRUE(test_has_module("loop"));
	ASSERT_EQ(0, test_output(out, sizeof(out), "losetup", "--find",
				 "--show", self->path));
	out[strcspn(out, "\n")] = 0;
	ASSERT_EQ(0, close(self->dev));
	self->dev = -1;
	EXPECT_TRUE(test_device_listed(self->id));
	self->top = open(out, O_RDWR | O_CLOEXEC);
	EXPECT_LE(0, self->top);
	EXPECT_EQ(0, test_write_pattern(self->top, 0, SIZE, SEED));
	EXPECT_EQ(0, fsync(self->top));
	EXPECT_EQ(0, test_check_pattern(self->file, 0, SIZE, SEED));
	close(self->top);
	self->top = -1;
	ASSERT_EQ(0, test_command("losetup", "--detach", out));
	EXPECT_TRUE(test_wait_gone(self->id));
}

/* Who opens a read-only device for reading may write bios all the same. */

#define COW_DIR		TEST_DIR "/cow"
#define COW_IMAGE	TEST_DIR "/cow.erofs"
#define COW_SIZE	(8 * TEST_MIB)

FIXTURE(cow) {
	int file;
	int dev;
};

FIXTURE_VARIANT(cow) {
	bool writable_below;
};

FIXTURE_VARIANT_ADD(cow, tmpfs) { .writable_below = true };

FIXTURE_VARIANT_ADD(cow, erofs) { .writable_below = false };

/* In place of the directory, an image of it. */
static int cover_with_erofs(void)
{
	char path[32];
	int file, dev, ret;

	if (test_command("mkfs.erofs", "--quiet", COW_IMAGE, COW_DIR))
		return -EIO;
	file = open(COW_IMAGE, O_RDONLY | O_CLOEXEC);
	dev = test_create(file, 0, 0, 0, 0);
	test_fd_path(dev, path, sizeof(path));
	ret = mount(path, COW_DIR, "erofs", MS_RDONLY, NULL) ? -errno : 0;
	close(dev);
	close(file);
	return ret;
}

FIXTURE_SETUP(cow)
{
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(COW_DIR, 0755));
	close(test_file(COW_DIR "/file", COW_SIZE, 0));
	if (!variant->writable_below)
		ASSERT_EQ(0, cover_with_erofs());
	self->file = open(COW_DIR "/file", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->file);
	self->dev = test_create(self->file, 0, 0, 0, 0);
	ASSERT_LE(0, self->dev);
}

FIXTURE_TEARDOWN(cow)
{
	close(self->dev);
	close(self->file);
	umount(COW_DIR);
}

TEST_F(cow, writes_to_a_read_only_device_fail)
{
	char table[128], path[32], out[256];
	struct blkfd_info info;

	ASSERT_TRUE(test_has_module("dm-snapshot"));
	test_fd_path(self->dev, path, sizeof(path));
	snprintf(table, sizeof(table), "0 %llu snapshot %s %s P 8",
		 COW_SIZE / 512, TEST_DISK, path);
	/* The table may come about or not. */
	if (!test_output(out, sizeof(out), "dmsetup", "create", "-r", DM_NAME,
			 "--table", table))
		ASSERT_EQ(0, test_dm_remove(DM_NAME));
	ASSERT_EQ(0, test_info(self->dev, &info));
	EXPECT_LT(0, info.errors);
	EXPECT_EQ(0, test_check_zero(self->file, 0, COW_SIZE));
}

/* A window of a disk below */

TEST(window_of_a_disk_is_a_partition)
{
	const uint64_t start = 64 * TEST_MIB, size = 32 * TEST_MIB;
	int disk, dev, file;

	ASSERT_EQ(0, test_private_mounts());
	disk = open(TEST_DISK, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, disk);
	ASSERT_EQ(0, test_write_pattern(disk, start - PAGE, PAGE, SEED));
	ASSERT_EQ(0, test_write_pattern(disk, start + size, PAGE, SEED));
	dev = test_create(disk, 0, start, size, 0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, on_device(dev, "mkfs.ext4", "-q"));
	ASSERT_EQ(0, mount_device(dev, "ext4", TEST_DIR "/window"));
	file = test_file(TEST_DIR "/window/file", SIZE, 0);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, test_write_pattern(file, 0, SIZE, SEED));
	ASSERT_EQ(0, close(file));
	ASSERT_EQ(0, umount(TEST_DIR "/window"));
	ASSERT_EQ(0, close(dev));
	EXPECT_EQ(0, test_check_pattern(disk, start - PAGE, PAGE, SEED));
	EXPECT_EQ(0, test_check_pattern(disk, start + size, PAGE, SEED));
	dev = test_create(disk, BLKFD_F_DIRECT, start, size, 0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, mount_device(dev, "ext4", TEST_DIR "/window"));
	file = open(TEST_DIR "/window/file", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	EXPECT_EQ(0, test_check_pattern(file, 0, SIZE, SEED));
	ASSERT_EQ(0, close(file));
	ASSERT_EQ(0, umount(TEST_DIR "/window"));
	ASSERT_EQ(0, close(dev));
	close(disk);
}

/*
 * A node of a disk can be where no file may be as large: on ext4 with blocks of 1 KiB,
 * 4 TiB are the end.
 */
#define LARGE_SIZE	(5 * TEST_MIB * TEST_MIB)
#define NODE		TEST_DIR "/nodes/node"

TEST(discards_reach_all_of_a_disk_wherever_its_node_is)
{
	uint64_t range[2] = { LARGE_SIZE - SIZE, SIZE };
	int file, disk, nodes, dev;
	struct blkfd_info info;
	struct stat stat;

	ASSERT_EQ(0, test_private_mounts());
	nodes = test_create(test_tmpfile(TEST_DIR, 32 * TEST_MIB), 0, 0, 0, 0);
	ASSERT_EQ(0, on_device(nodes, "mkfs.ext4", "-q", "-b", "1024"));
	ASSERT_EQ(0, mount_device(nodes, "ext4", TEST_DIR "/nodes"));
	file = test_memfd(LARGE_SIZE);
	disk = test_create(file, 0, 0, 0, 0);
	ASSERT_EQ(0, fstat(disk, &stat));
	ASSERT_EQ(0, mknod(NODE, S_IFBLK | 0600, stat.st_rdev));
	dev = test_create(open(NODE, O_RDWR | O_CLOEXEC), 0, 0, 0, 0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, test_write_pattern(dev, range[0], SIZE, SEED));
	ASSERT_EQ(0, fsync(dev));
	EXPECT_EQ(0, ioctl(dev, BLKDISCARD, range));
	EXPECT_EQ(0, ioctl(dev, BLKZEROOUT, range));
	EXPECT_EQ(0, test_check_zero(file, range[0], SIZE));
	ASSERT_EQ(0, test_info(dev, &info));
	EXPECT_EQ(0, info.errors);
	ASSERT_EQ(0, umount2(TEST_DIR "/nodes", MNT_DETACH));
}

TEST_HARNESS_MAIN
