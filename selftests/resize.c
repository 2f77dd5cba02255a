// SPDX-License-Identifier: GPL-2.0
/*
 * BLKFD_RESIZE: a live device grows, shrinks and follows its file, within the
 * file and by whoever may; a mounted file system grows with it.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define SIZE		(4 * TEST_MIB)
#define NOBODY		65534

/* By raw ioctl. */
static int resize(int fd, uint64_t length)
{
	struct blkfd_resize arg = { .length = length };

	return ioctl(fd, BLKFD_RESIZE, &arg) ? -errno : 0;
}

static uint64_t size_of(int fd)
{
	uint64_t size;

	return ioctl(fd, BLKGETSIZE64, &size) ? UINT64_MAX : size;
}

FIXTURE(resize) {
	int backing;
	int fd;
};

FIXTURE_SETUP(resize)
{
	self->backing = test_memfd(SIZE);
	self->fd = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(resize)
{
}

/* What follows */

TEST_F(resize, grows_to_a_length)
{
	ASSERT_EQ(0, ftruncate(self->backing, 3 * SIZE));
	ASSERT_EQ(0, resize(self->fd, 2 * SIZE));
	EXPECT_EQ(2 * SIZE, size_of(self->fd));
}

TEST_F(resize, shrinks_to_a_length)
{
	ASSERT_EQ(0, resize(self->fd, SIZE / 2));
	EXPECT_EQ(SIZE / 2, size_of(self->fd));
}

TEST_F(resize, follows_the_file_up)
{
	ASSERT_EQ(0, ftruncate(self->backing, 2 * SIZE));
	EXPECT_EQ(SIZE, size_of(self->fd));
	ASSERT_EQ(0, resize(self->fd, 0));
	EXPECT_EQ(2 * SIZE, size_of(self->fd));
}

TEST_F(resize, follows_the_file_down)
{
	ASSERT_EQ(0, ftruncate(self->backing, SIZE / 2));
	ASSERT_EQ(0, resize(self->fd, 0));
	EXPECT_EQ(SIZE / 2, size_of(self->fd));
}

TEST_F(resize, to_the_same_length_is_fine)
{
	EXPECT_EQ(0, resize(self->fd, SIZE));
	EXPECT_EQ(SIZE, size_of(self->fd));
}

TEST_F(resize, shows_in_seek_info_and_sysfs)
{
	struct blkfd_info info;

	ASSERT_EQ(0, resize(self->fd, SIZE / 4));
	EXPECT_EQ(SIZE / 4, lseek(self->fd, 0, SEEK_END));
	ASSERT_EQ(0, test_info(self->fd, &info));
	EXPECT_EQ(SIZE / 4, info.length);
	EXPECT_EQ(SIZE / 4, test_attr_number(info.id, "blkfd/length"));
	EXPECT_EQ(SIZE / 4 / 512, test_attr_number(info.id, "size"));
}

TEST_F(resize, shows_in_every_open_file)
{
	int other = test_reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, resize(self->fd, SIZE / 2));
	EXPECT_EQ(SIZE / 2, size_of(other));
	EXPECT_EQ(SIZE / 2, lseek(other, 0, SEEK_END));
}

TEST_F(resize, leaves_the_file_alone)
{
	struct stat st;

	ASSERT_EQ(0, test_write_pattern(self->backing, 0, SIZE, 1));
	ASSERT_EQ(0, resize(self->fd, 512));
	ASSERT_EQ(0, fstat(self->backing, &st));
	EXPECT_EQ(SIZE, st.st_size);
	EXPECT_EQ(0, test_check_pattern(self->backing, 0, SIZE, 1));
}

/* I/O around the new end */

TEST_F(resize, io_beyond_the_new_end_fails)
{
	char block[4096] = "";

	ASSERT_EQ(0, resize(self->fd, SIZE / 2));
	EXPECT_EQ(0, pread(self->fd, block, sizeof(block), SIZE / 2));
	EXPECT_EQ(-1, pwrite(self->fd, block, sizeof(block), SIZE / 2));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, test_check_zero(self->backing, SIZE / 2, SIZE / 2));
}

TEST_F(resize, direct_io_beyond_the_new_end_fails)
{
	int fd = test_reopen(self->fd, O_RDWR | O_DIRECT);
	char *block = aligned_alloc(4096, 4096);

	ASSERT_LE(0, fd);
	memset(block, 0xff, 4096);
	ASSERT_EQ(0, resize(self->fd, SIZE / 2));
	EXPECT_EQ(0, pread(fd, block, 4096, SIZE / 2));
	EXPECT_EQ(-1, pwrite(fd, block, 4096, SIZE / 2));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, test_check_zero(self->backing, SIZE / 2, SIZE / 2));
	free(block);
}

TEST_F(resize, new_space_holds_data)
{
	ASSERT_EQ(0, ftruncate(self->backing, 2 * SIZE));
	ASSERT_EQ(0, resize(self->fd, 0));
	ASSERT_EQ(0, test_write_pattern(self->fd, 0, 2 * SIZE, 2));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, test_check_pattern(self->backing, 0, 2 * SIZE, 2));
}

TEST_F(resize, shrinking_writes_dirty_data_first)
{
	ASSERT_EQ(0, test_write_pattern(self->fd, 0, SIZE, 3));
	ASSERT_EQ(0, resize(self->fd, SIZE / 2));
	EXPECT_EQ(0, test_check_pattern(self->backing, 0, SIZE, 3));
}

TEST_F(resize, cached_tail_does_not_come_back)
{
	ASSERT_EQ(0, test_write_pattern(self->fd, 0, SIZE, 4));
	ASSERT_EQ(0, resize(self->fd, SIZE / 2));
	ASSERT_EQ(0, test_write_pattern(self->backing, SIZE / 2, SIZE / 2, 5));
	ASSERT_EQ(0, resize(self->fd, SIZE));
	EXPECT_EQ(0, test_check_pattern(self->fd, 0, SIZE / 2, 4));
	EXPECT_EQ(0, test_check_pattern(self->fd, SIZE / 2, SIZE / 2, 5));
}

TEST_F(resize, mapped_tail_does_not_come_back)
{
	char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);

	ASSERT_NE(MAP_FAILED, map);
	test_fill(map, SIZE, 0, 4);
	ASSERT_EQ(0, resize(self->fd, SIZE / 2));
	ASSERT_EQ(0, test_write_pattern(self->backing, SIZE / 2, SIZE / 2, 5));
	ASSERT_EQ(0, resize(self->fd, SIZE));
	EXPECT_EQ(0, test_check_pattern(self->fd, 0, SIZE / 2, 4));
	EXPECT_EQ(0, test_check_pattern(self->fd, SIZE / 2, SIZE / 2, 5));
	EXPECT_EQ(-1, test_compare(map, SIZE / 2, 0, 4));
	EXPECT_EQ(-1, test_compare(map + SIZE / 2, SIZE / 2, SIZE / 2, 5));
}

/* Also for the kernel, which looks at the same page table. */
TEST_F(resize, mapped_tail_cannot_be_read)
{
	char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	int pipes[2];

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe(pipes));
	test_fill(map, SIZE, 0, 4);
	ASSERT_EQ(0, resize(self->fd, SIZE / 2));
	EXPECT_EQ(1, write(pipes[1], map, 1));
	EXPECT_EQ(-1, write(pipes[1], map + SIZE / 2, 1));
	EXPECT_EQ(EFAULT, errno);
}

/* The end lies within a page, whose rest the kernel fills with zeroes. */
TEST_F(resize, page_at_the_end_is_read_anew)
{
	const uint64_t end = SIZE / 2 + 512;

	ASSERT_EQ(0, test_write_pattern(self->backing, 0, SIZE, 4));
	ASSERT_EQ(0, resize(self->fd, end));
	EXPECT_EQ(0, test_check_pattern(self->fd, 0, end, 4));
	ASSERT_EQ(0, resize(self->fd, SIZE));
	EXPECT_EQ(0, test_check_pattern(self->fd, 0, SIZE, 4));
	ASSERT_EQ(0, resize(self->fd, end));
	EXPECT_EQ(0, test_check_pattern(self->fd, 0, end, 4));
}

/* Nor does it get to the file when there is room for it. */
TEST_F(resize, page_at_the_end_is_no_data)
{
	const uint64_t end = SIZE / 2 + 512;

	ASSERT_EQ(0, test_write_pattern(self->backing, 0, SIZE, 4));
	ASSERT_EQ(0, resize(self->fd, end));
	ASSERT_EQ(0, test_write_pattern(self->fd, end - 512, 512, 5));
	ASSERT_EQ(0, resize(self->fd, SIZE));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, test_check_pattern(self->backing, 0, end - 512, 4));
	EXPECT_EQ(0, test_check_pattern(self->backing, end - 512, 512, 5));
	EXPECT_EQ(0, test_check_pattern(self->backing, end, SIZE - end, 4));
	EXPECT_EQ(0, test_check_pattern(self->fd, end, SIZE - end, 4));
}

TEST_F(resize, page_at_the_end_that_is_mapped_is_no_data)
{
	const uint64_t page = SIZE / 2, end = page + 512;
	char *map;

	ASSERT_EQ(0, test_write_pattern(self->backing, 0, SIZE, 4));
	ASSERT_EQ(0, resize(self->fd, end));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, page);
	ASSERT_NE(MAP_FAILED, map);
	memset(map, 'x', 4096);
	ASSERT_EQ(0, resize(self->fd, SIZE));
	EXPECT_EQ('x', map[511]);
	EXPECT_NE(0, memcmp(map + 511, map + 512, 512));
	EXPECT_EQ(0, munmap(map, 4096));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, test_check_pattern(self->backing, 0, page, 4));
	EXPECT_EQ(0, test_check_pattern(self->backing, end, SIZE - end, 4));
	EXPECT_EQ(0, test_check_pattern(self->fd, end, SIZE - end, 4));
}

/* Which may make the page dirty each time that it was written. */
TEST_F(resize, page_at_the_end_is_no_data_while_it_is_written)
{
	const uint64_t page = SIZE / 2, end = page + 512;
	atomic_int *map;
	pid_t pid;
	int ret;

	ASSERT_EQ(0, test_write_pattern(self->backing, 0, SIZE, 4));
	ASSERT_EQ(0, resize(self->fd, end));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, page);
	ASSERT_NE(MAP_FAILED, map);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!pid)
		atomic_fetch_add(map, 1);
	for (int i = 0; i < 50; i++) {
		ret = resize(self->fd, SIZE);
		EXPECT_TRUE(!ret || ret == -EBUSY);
		EXPECT_EQ(ret ? end : SIZE, size_of(self->fd));
		EXPECT_EQ(0, resize(self->fd, end));
	}
	EXPECT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, test_reap(pid));
	EXPECT_EQ(0, resize(self->fd, SIZE));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, test_check_pattern(self->backing, 0, page, 4));
	EXPECT_EQ(0, test_check_pattern(self->backing, end, SIZE - end, 4));
	EXPECT_EQ(0, test_check_pattern(self->fd, end, SIZE - end, 4));
}

/* Windows */

TEST_F(resize, window_grows_to_the_end_of_the_file_at_most)
{
	int fd = test_create(self->backing, 0, TEST_MIB, TEST_MIB, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-ERANGE, resize(fd, 3 * TEST_MIB + 512));
	EXPECT_EQ(TEST_MIB, size_of(fd));
	EXPECT_EQ(0, resize(fd, 3 * TEST_MIB));
	EXPECT_EQ(3 * TEST_MIB, size_of(fd));
	EXPECT_EQ(0, resize(fd, 512));
	EXPECT_EQ(0, resize(fd, 0));
	EXPECT_EQ(3 * TEST_MIB, size_of(fd));
}

TEST_F(resize, grown_window_still_begins_where_it_did)
{
	int fd = test_create(self->backing, 0, TEST_MIB, TEST_MIB, 0);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_write_pattern(self->backing, 0, SIZE, 6));
	ASSERT_EQ(0, resize(fd, 2 * TEST_MIB));
	ASSERT_EQ(0, test_write_pattern(fd, 0, 2 * TEST_MIB, 7));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, test_check_pattern(self->backing, 0, TEST_MIB, 6));
	EXPECT_EQ(0, test_check_pattern(self->backing, 3 * TEST_MIB, TEST_MIB,
					6));
	EXPECT_EQ(-EILSEQ, test_check_pattern(self->backing, TEST_MIB, 512, 6));
}

/* Refusals; the size stays */

#define EXPECT_REFUSED(error, file, length) do { \
	EXPECT_EQ(-(error), resize(file, length)); \
	EXPECT_EQ(SIZE, size_of(self->fd)); \
} while (0)

TEST_F(resize, misaligned_is_einval)
{
	EXPECT_REFUSED(EINVAL, self->fd, 1);
	EXPECT_REFUSED(EINVAL, self->fd, SIZE - 1);
	EXPECT_REFUSED(EINVAL, self->fd, SIZE / 2 + 256);
}

TEST_F(resize, misaligned_to_its_block_size_is_einval)
{
	int fd = test_create(self->backing, 0, 0, 0, 4096);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EINVAL, resize(fd, SIZE - 512));
	EXPECT_EQ(SIZE, size_of(fd));
}

TEST_F(resize, misaligned_end_of_file_is_einval)
{
	ASSERT_EQ(0, ftruncate(self->backing, SIZE - 100));
	EXPECT_REFUSED(EINVAL, self->fd, 0);
}

TEST_F(resize, beyond_the_file_is_erange)
{
	EXPECT_REFUSED(ERANGE, self->fd, SIZE + 512);
	EXPECT_REFUSED(ERANGE, self->fd, 1ULL << 63);
	EXPECT_REFUSED(ERANGE, self->fd, -512ULL);
}

TEST_F(resize, empty_file_is_enodata)
{
	ASSERT_EQ(0, ftruncate(self->backing, 0));
	EXPECT_REFUSED(ENODATA, self->fd, 0);
}

TEST_F(resize, file_that_ends_before_the_window_is_erange)
{
	int fd = test_create(self->backing, 0, SIZE / 2, 0, 0);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(self->backing, SIZE / 4));
	EXPECT_EQ(-ERANGE, resize(fd, 0));
	EXPECT_EQ(SIZE / 2, size_of(fd));
}

TEST_F(resize, read_only_descriptor_of_a_writable_device_is_ebadf)
{
	int fd = test_reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_REFUSED(EBADF, fd, SIZE / 2);
}

TEST_F(resize, read_only_device_resizes)
{
	int fd = test_create(self->backing, BLKFD_F_RDONLY, 0, 0, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, resize(fd, SIZE / 2));
	EXPECT_EQ(SIZE / 2, size_of(fd));
}

static int become_nobody(void)
{
	return setresgid(NOBODY, NOBODY, NOBODY) ?:
	       setresuid(NOBODY, NOBODY, NOBODY);
}

TEST_F(resize, by_another_user_is_eperm)
{
	ASSERT_EQ(0, become_nobody());
	EXPECT_REFUSED(EPERM, self->fd, SIZE / 2);
}

/* Where anybody can be root. */
TEST_F(resize, by_root_of_another_namespace_is_eperm)
{
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, test_enter_user_namespace(0));
	EXPECT_REFUSED(EPERM, self->fd, SIZE / 2);
}

TEST_F(resize, by_an_unprivileged_creator_works)
{
	struct blkfd_create arg = { .fd = self->backing };
	int control = open("/dev/blkfd", O_RDWR | O_CLOEXEC), fd;

	ASSERT_LE(0, control);
	ASSERT_EQ(0, become_nobody());
	fd = ioctl(control, BLKFD_CREATE, &arg);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, resize(fd, SIZE / 2));
}

TEST_F(resize, of_anothers_device_by_root_works)
{
	struct blkfd_create arg = { .fd = self->backing };
	int control = open("/dev/blkfd", O_RDWR | O_CLOEXEC), fd;

	ASSERT_LE(0, control);
	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, 0));
	fd = ioctl(control, BLKFD_CREATE, &arg);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, setresuid(0, 0, 0));
	EXPECT_EQ(0, resize(fd, SIZE / 2));
}

/* In a namespace of users that root has given names to: another one there makes it. */
static int resize_as_root_there(int control, int backing)
{
	struct blkfd_create arg = { .fd = backing };
	int fd;

	if (unshare(CLONE_NEWUSER) || raise(SIGSTOP) || setresuid(1, 1, 0))
		return 1;
	fd = test_create_by(control, &arg);
	if (fd < 0 || setresuid(0, 0, 0))
		return 2;
	return resize(fd, SIZE / 2) ? 3 : 0;
}

TEST_F(resize, of_anothers_device_by_root_of_its_namespace_works)
{
	int control = open("/dev/blkfd", O_RDWR | O_CLOEXEC), status;
	pid_t pid = fork();
	char path[64];

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(resize_as_root_there(control, self->backing));
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	EXPECT_EQ(0, test_write_text(path, "0 61000 1\n1 61001 1\n"));
	ASSERT_EQ(0, kill(pid, SIGCONT));
	EXPECT_EQ(0, test_reap(pid));
}

TEST_F(resize, that_cannot_write_back_fails_and_changes_nothing)
{
	int backing, fd, error;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mount("tmpfs", TEST_DIR, "tmpfs", 0, "size=1m"));
	backing = test_tmpfile(TEST_DIR, SIZE);
	fd = test_create(backing, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_write_pattern(fd, 0, SIZE, 8));
	error = resize(fd, SIZE / 2);
	EXPECT_TRUE(error == -ENOSPC || error == -EIO) {
		TH_LOG("resize gave %d", error);
	}
	EXPECT_EQ(SIZE, size_of(fd));
}

/* By a seal on the file; and sync() tells nobody. */
static int lose_a_page(int fd)
{
	int ret = test_write_pattern(fd, 0, 4096, 9);

	sync();
	return ret;
}

TEST_F(resize, tells_once_of_what_was_lost_before)
{
	int backing = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING), fd;

	ASSERT_EQ(0, ftruncate(backing, SIZE));
	fd = test_create(backing, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fcntl(backing, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(0, lose_a_page(fd));
	EXPECT_EQ(-EIO, resize(fd, SIZE / 2));
	EXPECT_EQ(SIZE, size_of(fd));
	EXPECT_EQ(0, resize(fd, SIZE / 2));
	EXPECT_EQ(-1, fsync(fd));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(0, lose_a_page(fd));
	EXPECT_EQ(-1, fsync(fd));
	EXPECT_EQ(0, resize(fd, SIZE));
}

/* Mounted file systems, by a node: their tools look up what is mounted. */

#define NODE		TEST_DIR "/node"
#define MOUNT		TEST_DIR "/mount"

FIXTURE(mounted) {
	int backing;
	int fd;
};

FIXTURE_VARIANT(mounted) {
	const char *fstype;
	uint64_t before;
	const char *grow[3];
	const char *check[4];
};

FIXTURE_VARIANT_ADD(mounted, xfs) {
	.fstype = "xfs",
	.before = 320 * TEST_MIB,
	.grow = { "xfs_growfs", MOUNT },
	.check = { "xfs_repair", "-n", NODE },
};

FIXTURE_VARIANT_ADD(mounted, ext4) {
	.fstype = "ext4",
	.before = 64 * TEST_MIB,
	.grow = { "resize2fs", NODE },
	.check = { "e2fsck", "-fn", NODE },
};

FIXTURE_SETUP(mounted)
{
	int dir;

	ASSERT_EQ(0, test_private_mounts());
	self->backing = test_memfd(variant->before);
	self->fd = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_LE(0, self->fd);
	dir = open(TEST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(0, blkfd_export_node(self->fd, dir, "node", 0600));
	ASSERT_EQ(0, test_mkfs(variant->fstype, NODE));
	ASSERT_EQ(0, mkdir(MOUNT, 0755));
	ASSERT_EQ(0, mount(NODE, MOUNT, variant->fstype, 0, NULL));
}

FIXTURE_TEARDOWN(mounted)
{
}

static uint64_t mounted_bytes(void)
{
	struct statvfs st;

	return statvfs(MOUNT, &st) ? 0 : (uint64_t)st.f_blocks * st.f_frsize;
}

TEST_F(mounted, grows_and_keeps_its_files)
{
	int file = test_file(MOUNT "/file", SIZE, 0);
	uint64_t before = mounted_bytes();
	char out[4096];

	ASSERT_EQ(0, test_write_pattern(file, 0, SIZE, 9));
	ASSERT_EQ(0, ftruncate(self->backing, 2 * variant->before));
	ASSERT_EQ(0, resize(self->fd, 0));
	ASSERT_EQ(0, test_run(out, sizeof(out), variant->grow)) {
		TH_LOG("%s", out);
	}
	EXPECT_LT(before + variant->before / 2, mounted_bytes());
	EXPECT_EQ(0, test_check_pattern(file, 0, SIZE, 9));
	ASSERT_EQ(0, close(file));
	ASSERT_EQ(0, umount(MOUNT));
	EXPECT_EQ(0, test_run(out, sizeof(out), variant->check)) {
		TH_LOG("%s", out);
	}
}

#define DIRS		16

/*
 * What ext4 is to write with its transaction is in buffers of the device's cache, and
 * not dirty there yet: beyond the end, too, they are the file system's.
 */
TEST_F(mounted, keeps_what_its_journal_holds_beyond_the_end)
{
	int dir = open(MOUNT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[] = "a", out[4096];

	if (strcmp(variant->fstype, "ext4"))
		SKIP(return, "xfs has a cache of its own");
	ASSERT_EQ(0, mount(NULL, MOUNT, NULL, MS_REMOUNT, "commit=600,noinit_itable"));
	for (int i = 0; i < DIRS; i++, name[0]++)
		ASSERT_EQ(0, mkdirat(dir, name, 0755));
	ASSERT_EQ(0, resize(self->fd, TEST_MIB));
	ASSERT_EQ(0, resize(self->fd, variant->before));
	EXPECT_EQ(0, syncfs(dir));
	ASSERT_EQ(0, close(dir));
	ASSERT_EQ(0, umount(MOUNT));
	EXPECT_EQ(0, test_run(out, sizeof(out), variant->check)) {
		TH_LOG("%s", out);
	}
}

TEST_HARNESS_MAIN
