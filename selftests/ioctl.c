// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctl contract of <linux/blkfd.h>: struct sizes, every refusal, and what
 * a device and BLKFD_GET_INFO say of themselves.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define SIZE		TEST_MIB
#define MAX_ARG		((1 << _IOC_SIZEBITS) - 1)

static int call(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

/* A call that must fail, and leave nothing. */
#define EXPECT_REFUSED(error, call) do { \
	EXPECT_EQ(-(error), call); \
	EXPECT_EQ(0, test_count_devices()); \
} while (0)

/*
 * Struct sizes and pointers: the same rules for all, by variant. Each has a good
 * argument in front of plenty of zeroes.
 */
FIXTURE(request) {
	int control;
	int backing;
	int device;
	int instance;
	int fd;
	char *arg;
};

/* junk: what comes of bytes behind the struct that are not zero. */
FIXTURE_VARIANT(request) {
	unsigned long request;
	size_t ver0;
	int junk;
	bool of_device;
};

FIXTURE_VARIANT_ADD(request, create) {
	.request = BLKFD_CREATE,
	.ver0 = BLKFD_CREATE_SIZE_VER0,
	.junk = -E2BIG,
};

FIXTURE_VARIANT_ADD(request, get_info) {
	.request = BLKFD_GET_INFO,
	.ver0 = BLKFD_INFO_SIZE_VER0,
	.of_device = true,
};

FIXTURE_VARIANT_ADD(request, resize) {
	.request = BLKFD_RESIZE,
	.ver0 = BLKFD_RESIZE_SIZE_VER0,
	.junk = -E2BIG,
	.of_device = true,
};

FIXTURE_VARIANT_ADD(request, get_limits) {
	.request = BLKFD_GET_LIMITS,
	.ver0 = BLKFD_LIMITS_SIZE_VER0,
};

FIXTURE_VARIANT_ADD(request, get_user) {
	.request = BLKFD_GET_USER,
	.ver0 = BLKFD_USER_SIZE_VER0,
	.junk = -E2BIG,
};

FIXTURE_VARIANT_ADD(request, new_instance) {
	.request = BLKFD_NEW_INSTANCE,
	.ver0 = BLKFD_INSTANCE_SIZE_VER0,
	.junk = -E2BIG,
};

FIXTURE_VARIANT_ADD(request, get_instance) {
	.request = BLKFD_GET_INSTANCE,
	.ver0 = BLKFD_INSTANCE_SIZE_VER0,
};

FIXTURE_VARIANT_ADD(request, revoke) {
	.request = BLKFD_REVOKE,
	.ver0 = BLKFD_REVOKE_SIZE_VER0,
	.junk = -E2BIG,
};

static void set_argument(char *arg, unsigned long request, int backing, int instance)
{
	if (request == BLKFD_CREATE)
		((struct blkfd_create *)arg)->fd = backing;
	else if (request == BLKFD_RESIZE)
		((struct blkfd_resize *)arg)->length = SIZE / 2;
	else if (request == BLKFD_REVOKE)
		((struct blkfd_revoke *)arg)->fd = instance;
}

FIXTURE_SETUP(request)
{
	struct blkfd_instance bounds = { };

	ASSERT_TRUE(test_wait_none());
	self->control = open("/dev/blkfd", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->control);
	self->backing = test_memfd(SIZE);
	self->device = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_LE(0, self->device);
	self->instance = ioctl(self->control, BLKFD_NEW_INSTANCE, &bounds);
	ASSERT_LE(0, self->instance);
	self->fd = variant->of_device ? self->device : self->control;
	self->arg = mmap(NULL, 2 * MAX_ARG, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, self->arg);
	set_argument(self->arg, variant->request, self->backing, self->instance);
}

FIXTURE_TEARDOWN(request)
{
}

TEST_F(request, number_holds_size_of_first_version)
{
	EXPECT_EQ(variant->ver0, _IOC_SIZE(variant->request));
}

TEST_F(request, smaller_than_first_version_is_einval)
{
	for (size_t size = 0; size < variant->ver0; size++)
		EXPECT_EQ(-EINVAL, call(self->fd, test_sized(variant->request, size),
					self->arg));
}

TEST_F(request, larger_with_zero_tail_is_taken)
{
	static const size_t extra[] = { 1, 4, 8, 100 };

	for (size_t i = 0; i < ARRAY_SIZE(extra); i++)
		EXPECT_LE(0, call(self->fd, test_sized(variant->request,
						       variant->ver0 + extra[i]),
				  self->arg));
}

TEST_F(request, page_sized_and_largest_with_zero_tail_are_taken)
{
	EXPECT_LE(0, call(self->fd, test_sized(variant->request, 4096), self->arg));
	EXPECT_LE(0, call(self->fd, test_sized(variant->request, MAX_ARG),
			  self->arg));
}

/* Some only write: what they do not know of comes back as zero. */
TEST_F(request, junk_behind_input_is_e2big_and_behind_output_cleared)
{
	static const size_t sizes[] = { 1, 8, 64, 4096, MAX_ARG };
	int devices = test_count_devices();
	uint64_t length;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t size = variant->ver0 + sizes[i];

		if (size > MAX_ARG)
			size = MAX_ARG;
		self->arg[size - 1] = 1;
		EXPECT_EQ(variant->junk,
			  call(self->fd, test_sized(variant->request, size),
			       self->arg));
		EXPECT_EQ(variant->junk ? 1 : 0, self->arg[size - 1]);
		self->arg[size - 1] = 0;
	}
	EXPECT_EQ(devices, test_count_devices());
	ASSERT_EQ(0, ioctl(self->device, BLKGETSIZE64, &length));
	EXPECT_EQ(SIZE, length);
}

TEST_F(request, direction_bits_do_not_matter)
{
	unsigned long request = variant->request;

	EXPECT_LE(0, call(self->fd, _IOC(_IOC_READ | _IOC_WRITE,
					 _IOC_TYPE(request), _IOC_NR(request),
					 _IOC_SIZE(request)), self->arg));
}

TEST_F(request, bad_pointers_are_efault)
{
	int devices = test_count_devices();

	EXPECT_EQ(-EFAULT, call(self->fd, variant->request, NULL));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->request, (void *)8));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->request, (void *)-4096L));
	EXPECT_EQ(devices, test_count_devices());
}

TEST_F(request, struct_that_runs_off_its_mapping_is_efault)
{
	int devices = test_count_devices();
	char *edge = self->arg + 4096 - variant->ver0 / 2;

	memcpy(edge, self->arg, variant->ver0 / 2);
	ASSERT_EQ(0, munmap(self->arg + 4096, 2 * MAX_ARG - 4096));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->request, edge));
	EXPECT_EQ(devices, test_count_devices());
}

TEST_F(request, belongs_to_its_own_file_alone)
{
	int other = self->fd == self->control ? self->device : self->control;

	EXPECT_EQ(-ENOTTY, call(other, variant->request, self->arg));
	EXPECT_EQ(-ENOTTY, call(self->backing, variant->request, self->arg));
}

TEST_F(request, unknown_numbers_and_types_are_enotty)
{
	size_t size = variant->ver0;

	for (int nr = _IOC_NR(BLKFD_REVOKE) + 1; nr < 256; nr++)
		EXPECT_EQ(-ENOTTY, call(self->fd, _IOC(_IOC_WRITE,
						       BLKFD_IOC_TYPE, nr, size),
					self->arg));
	EXPECT_EQ(-ENOTTY, call(self->fd, _IOC(_IOC_WRITE, 0xBE,
					       _IOC_NR(variant->request), size),
				self->arg));
}

/* An instance is not what another one was made by: it may refuse to revoke that. */
TEST_F(request, is_one_of_programs_of_32_bits_too)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (!variant->of_device &&
		    test_ioctl_32(self->instance, variant->request, self->arg) == -ENOTTY)
			_exit(1);
		_exit(test_ioctl_32(self->fd, variant->request, self->arg) < 0 ? 2 : 0);
	}
	status = test_reap(pid);
	if (status == 128 + SIGSEGV)
		SKIP(return, "no system calls of 32 bits");
	EXPECT_EQ(0, status);
}

/* What BLKFD_CREATE refuses. */

FIXTURE(create) {
	int control;
	int backing;
	struct blkfd_create arg;
};

FIXTURE_SETUP(create)
{
	ASSERT_TRUE(test_wait_none());
	self->control = open("/dev/blkfd", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->control);
	self->backing = test_memfd(SIZE);
	ASSERT_LE(0, self->backing);
	self->arg.fd = self->backing;
}

FIXTURE_TEARDOWN(create)
{
}

TEST_F(create, unknown_flags_are_einval)
{
	for (int bit = 3; bit < 32; bit++) {
		self->arg.flags = 1U << bit;
		EXPECT_REFUSED(EINVAL, call(self->control, BLKFD_CREATE,
					    &self->arg));
	}
}

TEST_F(create, known_flag_with_unknown_one_is_einval)
{
	self->arg.flags = BLKFD_F_RDONLY | 1U << 31;
	EXPECT_REFUSED(EINVAL, call(self->control, BLKFD_CREATE, &self->arg));
}

TEST_F(create, reserved_not_zero_is_einval)
{
	self->arg.reserved = 1;
	EXPECT_REFUSED(EINVAL, call(self->control, BLKFD_CREATE, &self->arg));
	self->arg.reserved = 1U << 31;
	EXPECT_REFUSED(EINVAL, call(self->control, BLKFD_CREATE, &self->arg));
}

TEST_F(create, descriptor_not_open_is_ebadf)
{
	EXPECT_REFUSED(EBADF, test_create(-1, 0, 0, 0, 0));
	EXPECT_REFUSED(EBADF, test_create(INT32_MIN, 0, 0, 0, 0));
	EXPECT_REFUSED(EBADF, test_create(1000, 0, 0, 0, 0));
}

TEST_F(create, o_path_descriptor_is_ebadf)
{
	char path[BLKFD_PATH_MAX];
	int fd;

	ASSERT_EQ(0, blkfd_path(self->backing, path, sizeof(path)));
	fd = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_REFUSED(EBADF, test_create(fd, 0, 0, 0, 0));
}

TEST_F(create, write_only_descriptor_is_ebadf)
{
	char path[BLKFD_PATH_MAX];
	int fd;

	ASSERT_EQ(0, blkfd_path(self->backing, path, sizeof(path)));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_REFUSED(EBADF, test_create(fd, 0, 0, 0, 0));
	EXPECT_REFUSED(EBADF, test_create(fd, BLKFD_F_RDONLY, 0, 0, 0));
}

TEST_F(create, directory_is_eisdir)
{
	EXPECT_REFUSED(EISDIR, test_create(open("/", O_RDONLY | O_CLOEXEC),
					   0, 0, 0, 0));
}

TEST_F(create, pipe_is_enotblk)
{
	int pipes[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	EXPECT_REFUSED(ENOTBLK, test_create(pipes[0], 0, 0, 0, 0));
}

TEST_F(create, socket_is_enotblk)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ASSERT_LE(0, fd);
	EXPECT_REFUSED(ENOTBLK, test_create(fd, 0, 0, 0, 0));
}

TEST_F(create, character_device_is_enotblk)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_REFUSED(ENOTBLK, test_create(fd, 0, 0, 0, 0));
	EXPECT_REFUSED(ENOTBLK, test_create(self->control, 0, 0, 0, 0));
}

TEST_F(create, anonymous_inode_is_enotblk)
{
	EXPECT_REFUSED(ENOTBLK, test_create(eventfd(0, EFD_CLOEXEC),
					    0, 0, 0, 0));
	EXPECT_REFUSED(ENOTBLK, test_create(epoll_create1(EPOLL_CLOEXEC),
					    0, 0, 0, 0));
}

TEST_F(create, append_only_descriptor_is_eperm)
{
	ASSERT_EQ(0, fcntl(self->backing, F_SETFL, O_APPEND));
	EXPECT_REFUSED(EPERM, test_create(self->backing, 0, 0, 0, 0));
}

TEST_F(create, file_without_read_iter_is_eopnotsupp)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_REFUSED(EOPNOTSUPP, test_create(fd, 0, 0, 0, 0));
}

/* Those of huge pages are written by mapping them, and in no other way. */
TEST_F(create, writable_file_without_write_iter_is_eopnotsupp)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);

	if (fd < 0)
		SKIP(return, "no huge pages: %s", strerror(errno));
	ASSERT_EQ(0, ftruncate(fd, 4 * TEST_MIB));
	EXPECT_REFUSED(EOPNOTSUPP, test_create(fd, 0, 0, 0, 0));
	EXPECT_REFUSED(EOPNOTSUPP, test_create(fd, BLKFD_F_RDONLY, 0, 0, 0));
	fd = test_create(test_reopen(fd, O_RDONLY), 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, test_check_zero(fd, 0, SIZE));
}

TEST_F(create, direct_on_file_system_without_it_is_eopnotsupp)
{
	int fd;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mount("ramfs", TEST_DIR, "ramfs", 0, NULL));
	fd = test_file(TEST_DIR "/file", SIZE, 0);
	ASSERT_LE(0, fd);
	EXPECT_REFUSED(EOPNOTSUPP, test_create(fd, BLKFD_F_DIRECT, 0, 0, 0));
	EXPECT_REFUSED(EOPNOTSUPP, test_create(fd, BLKFD_F_DIRECT, 0, 0, 4096));
}

TEST_F(create, emfile_at_the_limit_and_nothing_is_left)
{
	struct rlimit limit, tight;
	int next = dup(0);

	ASSERT_LE(0, next);
	close(next);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	tight = (struct rlimit){ .rlim_cur = next, .rlim_max = limit.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &tight));
	EXPECT_EQ(-EMFILE, call(self->control, BLKFD_CREATE, &self->arg));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(0, test_count_devices());
}

TEST_F(create, unreadable_argument_installs_nothing)
{
	int next = dup(0);

	ASSERT_LE(0, next);
	close(next);
	EXPECT_REFUSED(EFAULT, call(self->control, BLKFD_CREATE, NULL));
	EXPECT_EQ(-1, fcntl(next, F_GETFD));
}

TEST_F(create, empty_file_is_enodata)
{
	ASSERT_EQ(0, ftruncate(self->backing, 0));
	EXPECT_REFUSED(ENODATA, test_create(self->backing, 0, 0, 0, 0));
}

TEST_F(create, size_of_file_not_aligned_is_einval)
{
	ASSERT_EQ(0, ftruncate(self->backing, SIZE - 512));
	EXPECT_REFUSED(EINVAL, test_create(self->backing, 0, 0, 0, 4096));
	ASSERT_EQ(0, ftruncate(self->backing, SIZE + 1));
	EXPECT_REFUSED(EINVAL, test_create(self->backing, 0, 0, 0, 0));
}

TEST_F(create, tail_of_unaligned_file_is_left_out_by_length)
{
	ASSERT_EQ(0, ftruncate(self->backing, SIZE + 1));
	EXPECT_LE(0, test_create(self->backing, 0, 0, SIZE, 0));
}

/* Windows that are refused on a file of SIZE bytes, by variant. */

FIXTURE(window) {
	int backing;
};

FIXTURE_VARIANT(window) {
	uint64_t offset;
	uint64_t length;
	uint32_t block_size;
	int error;
};

FIXTURE_VARIANT_ADD(window, block_size_1) { 0, 0, 1, EINVAL };
FIXTURE_VARIANT_ADD(window, block_size_3) { 0, 0, 3, EINVAL };
FIXTURE_VARIANT_ADD(window, block_size_256) { 0, 0, 256, EINVAL };
FIXTURE_VARIANT_ADD(window, block_size_511) { 0, 0, 511, EINVAL };
FIXTURE_VARIANT_ADD(window, block_size_513) { 0, 0, 513, EINVAL };
FIXTURE_VARIANT_ADD(window, block_size_1536) { 0, 0, 1536, EINVAL };
FIXTURE_VARIANT_ADD(window, block_size_128k) { 0, 0, 1 << 17, EINVAL };
FIXTURE_VARIANT_ADD(window, block_size_2g) { 0, 0, 1U << 31, EINVAL };
FIXTURE_VARIANT_ADD(window, block_size_max) { 0, 0, UINT32_MAX, EINVAL };
FIXTURE_VARIANT_ADD(window, offset_1) { 1, 0, 0, EINVAL };
FIXTURE_VARIANT_ADD(window, offset_511) { 511, 512, 0, EINVAL };
FIXTURE_VARIANT_ADD(window, offset_512_of_4k) { 512, 4096, 4096, EINVAL };
FIXTURE_VARIANT_ADD(window, length_1) { 0, 1, 0, EINVAL };
FIXTURE_VARIANT_ADD(window, length_513) { 0, 513, 0, EINVAL };
FIXTURE_VARIANT_ADD(window, length_512_of_4k) { 0, 512, 4096, EINVAL };
FIXTURE_VARIANT_ADD(window, one_block_too_long) { 0, SIZE + 512, 0, ERANGE };
FIXTURE_VARIANT_ADD(window, one_block_too_far) { 512, SIZE, 0, ERANGE };
FIXTURE_VARIANT_ADD(window, begins_at_end) { SIZE, 512, 0, ERANGE };
FIXTURE_VARIANT_ADD(window, begins_beyond_end) { SIZE + 512, 0, 0, ERANGE };
FIXTURE_VARIANT_ADD(window, sum_beyond_2_63) { 512, 0x7ffffffffffffe00, 0, ERANGE };
FIXTURE_VARIANT_ADD(window, length_2_63) { 0, 1ULL << 63, 0, ERANGE };
FIXTURE_VARIANT_ADD(window, offset_2_63) { 1ULL << 63, 512, 0, ERANGE };
FIXTURE_VARIANT_ADD(window, offset_2_63_to_end) { 1ULL << 63, 0, 0, ERANGE };
FIXTURE_VARIANT_ADD(window, sum_wraps_to_0) { 0xfffffffffffffe00, 512, 0, ERANGE };
FIXTURE_VARIANT_ADD(window, sum_wraps_into_file) { 0xfffffffffffffe00, 1024, 0, ERANGE };
FIXTURE_VARIANT_ADD(window, empty_at_end) { SIZE, 0, 0, ENODATA };

FIXTURE_SETUP(window)
{
	ASSERT_TRUE(test_wait_none());
	self->backing = test_memfd(SIZE);
	ASSERT_LE(0, self->backing);
}

FIXTURE_TEARDOWN(window)
{
}

TEST_F(window, is_refused)
{
	EXPECT_REFUSED(variant->error,
		       test_create(self->backing, 0, variant->offset,
				   variant->length, variant->block_size));
}

/* Of TEST_DIR "/<dir>", to be read at TEST_DIR "/overlay". */
static int mount_overlay_of(const char *dir)
{
	char options[128];

	snprintf(options, sizeof(options), "lowerdir=" TEST_DIR "/%s:" TEST_DIR "/lowest", dir);
	if (mkdir(TEST_DIR "/lowest", 0755) || mkdir(TEST_DIR "/overlay", 0755) ||
	    mount("overlay", TEST_DIR "/overlay", "overlay", 0, options))
		return -errno;
	return 0;
}

/* Refusals that take a file system of its own. */

#define SWAP		TEST_DIR "/ext4/swap"

/* A file that is in use as swap, open for writing. */
static int swap_file(struct __test_metadata *_metadata)
{
	int fd;

	ASSERT_TRUE(test_wait_none());
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("ext4", NULL));
	fd = test_file(SWAP, 4 * TEST_MIB, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, posix_fallocate(fd, 0, 4 * TEST_MIB));
	ASSERT_EQ(0, test_command("mkswap", "-q", SWAP));
	ASSERT_EQ(0, swapon(SWAP, 0));
	return fd;
}

TEST(swap_file_is_etxtbsy)
{
	int fd = swap_file(_metadata), ro;

	ro = open(SWAP, O_RDONLY | O_CLOEXEC);
	EXPECT_REFUSED(ETXTBSY, test_create(fd, 0, 0, 0, 0));
	EXPECT_REFUSED(ETXTBSY, test_create(ro, 0, 0, 0, 0));
	ASSERT_EQ(0, swapoff(SWAP));
	EXPECT_LE(0, test_create(fd, 0, 0, 0, 0));
}

TEST(swap_file_below_an_overlay_is_etxtbsy)
{
	int fd;

	swap_file(_metadata);
	ASSERT_EQ(0, mount_overlay_of("ext4"));
	fd = open(TEST_DIR "/overlay/swap", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_REFUSED(ETXTBSY, test_create(fd, 0, 0, 0, 0));
	ASSERT_EQ(0, swapoff(SWAP));
	EXPECT_LE(0, test_create(fd, 0, 0, 0, 0));
}

TEST(disk_in_use_as_swap_is_etxtbsy)
{
	int fd = open(TEST_DISK, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(test_wait_none());
	ASSERT_EQ(0, test_command("mkswap", "-q", TEST_DISK));
	ASSERT_EQ(0, swapon(TEST_DISK, 0));
	EXPECT_REFUSED(ETXTBSY, test_create(fd, 0, 0, 0, 0));
	ASSERT_EQ(0, swapoff(TEST_DISK));
	EXPECT_LE(0, test_create(fd, 0, 0, 0, 0));
}

/* By way of the page cache, and without a word, as data have to be in the journal. */
TEST(direct_on_journaled_ext4_is_eopnotsupp)
{
	int fd, flags;

	ASSERT_TRUE(test_wait_none());
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("ext4", "nodelalloc"));
	fd = test_tmpfile(TEST_DIR "/ext4", SIZE);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, FS_IOC_GETFLAGS, &flags));
	flags |= FS_JOURNAL_DATA_FL;
	ASSERT_EQ(0, ioctl(fd, FS_IOC_SETFLAGS, &flags));
	EXPECT_REFUSED(EOPNOTSUPP, test_create(fd, BLKFD_F_DIRECT, 0, 0, 0));
	EXPECT_REFUSED(EOPNOTSUPP, test_create(fd, BLKFD_F_DIRECT, 0, 0, 4096));
	EXPECT_LE(0, test_create(fd, 0, 0, 0, 0));
}

FIXTURE(four_k_disk) {
	int backing;
};

/* A file on a file system on a device with blocks of 4 KiB. */
FIXTURE_SETUP(four_k_disk)
{
	char path[TEST_PATH_MAX];
	int disk;

	ASSERT_EQ(0, test_private_mounts());
	disk = test_create(test_memfd(64 * TEST_MIB), 0, 0, 0, 4096);
	ASSERT_LE(0, disk);
	test_fd_path(disk, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	ASSERT_EQ(0, blkfd_mount(disk, "ext4", NULL, 0, TEST_DIR, NULL, 0));
	self->backing = test_file(TEST_DIR "/file", SIZE, 0);
	ASSERT_LE(0, self->backing);
}

FIXTURE_TEARDOWN(four_k_disk)
{
}

TEST_F(four_k_disk, direct_at_512_is_eopnotsupp)
{
	EXPECT_EQ(-EOPNOTSUPP, test_create(self->backing, BLKFD_F_DIRECT,
					   0, 0, 512));
}

TEST_F(four_k_disk, direct_by_default_has_4k_blocks)
{
	struct blkfd_info info;
	int fd = test_create(self->backing, BLKFD_F_DIRECT, 0, 0, 0);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_info(fd, &info));
	EXPECT_EQ(4096, info.block_size);
	EXPECT_EQ(BLKFD_F_DIRECT, info.flags);
}

/* The disk itself has no smaller ones, whoever reads it. */
TEST(block_of_a_disk_is_the_least_there_is)
{
	int disk = test_create(test_memfd(SIZE), 0, 0, 0, 4096), fd, size;

	ASSERT_LE(0, disk);
	EXPECT_EQ(-EINVAL, test_create(disk, 0, 0, 0, 512));
	EXPECT_EQ(-EOPNOTSUPP, test_create(disk, BLKFD_F_DIRECT, 0, 0, 512));
	fd = test_create(disk, BLKFD_F_DIRECT, 0, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, BLKSSZGET, &size));
	EXPECT_EQ(4096, size);
}

TEST_F(four_k_disk, buffered_has_512_byte_blocks)
{
	int fd = test_create(self->backing, 0, 0, 0, 512), size;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, BLKSSZGET, &size));
	EXPECT_EQ(512, size);
	EXPECT_EQ(0, test_write_pattern(fd, 512, 512, 1));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(0, test_check_pattern(self->backing, 512, 512, 1));
}

/* f2fs has I/O from less than whole pages of memory go through its page cache. */
TEST(memory_is_aligned_as_the_file_wants_it)
{
	const char *attr = "queue/dma_alignment";
	int file, fd;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("f2fs", NULL));
	file = test_tmpfile(TEST_DIR "/f2fs", SIZE);
	fd = test_create(file, BLKFD_F_DIRECT, 0, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(4095, test_attr_number(test_id(fd), attr));
	fd = test_create(file, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(511, test_attr_number(test_id(fd), attr));
}

/* Of an overlay, what counts is the file below. */

FIXTURE(overlay) {
	int real;
	int backing;
};

static int mount_writable_overlay(void)
{
	static const char * const dirs[] = { "lower", "upper", "work", "overlay" };
	char path[64];

	for (unsigned int i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), TEST_DIR "/btrfs/%s", dirs[i]);
		if (mkdir(path, 0755))
			return -errno;
	}
	if (mount("overlay", TEST_DIR "/btrfs/overlay", "overlay", 0,
		  "lowerdir=" TEST_DIR "/btrfs/lower,upperdir=" TEST_DIR "/btrfs/upper,"
		  "workdir=" TEST_DIR "/btrfs/work"))
		return -errno;
	return 0;
}

FIXTURE_SETUP(overlay)
{
	ASSERT_TRUE(test_wait_none());
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("btrfs", NULL));
	ASSERT_EQ(0, mount_writable_overlay());
	self->real = test_file(TEST_DIR "/btrfs/file", SIZE, 0);
	ASSERT_LE(0, self->real);
	self->backing = test_file(TEST_DIR "/btrfs/overlay/file", SIZE, 0);
	ASSERT_LE(0, self->backing);
}

FIXTURE_TEARDOWN(overlay)
{
}

/* btrfs does not say at which size it takes direct I/O. */
TEST_F(overlay, direct_by_default_has_blocks_of_the_file_below)
{
	int fd = test_create(self->backing, BLKFD_F_DIRECT, 0, 0, 0);
	struct blkfd_info info;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_info(fd, &info));
	EXPECT_EQ(4096, info.block_size);
	EXPECT_EQ(-EOPNOTSUPP, test_create(self->backing, BLKFD_F_DIRECT, 0, 0, 512));
}

TEST_F(overlay, discards_are_as_coarse_as_on_the_file_below)
{
	int real = test_create(self->real, 0, 0, 0, 0);
	int fd = test_create(self->backing, 0, 0, 0, 0);

	ASSERT_LE(0, real);
	ASSERT_LE(0, fd);
	EXPECT_EQ(4096, test_attr_number(test_id(real), "queue/discard_granularity"));
	EXPECT_EQ(4096, test_attr_number(test_id(fd), "queue/discard_granularity"));
}

/* Whose checksums are of what must not change while it is written. */
TEST_F(overlay, direct_has_stable_writes_as_on_the_file_below)
{
	int real = test_create(self->real, BLKFD_F_DIRECT, 0, 0, 0);
	int fd = test_create(self->backing, BLKFD_F_DIRECT, 0, 0, 0);

	ASSERT_LE(0, real);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, test_attr_number(test_id(real), "queue/stable_writes"));
	EXPECT_EQ(1, test_attr_number(test_id(fd), "queue/stable_writes"));
}

/* An overlay lets each of its files be opened for direct I/O. */
TEST(direct_over_an_overlay_of_a_file_that_cannot_is_eopnotsupp)
{
	int fd;

	ASSERT_TRUE(test_wait_none());
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(TEST_DIR "/ramfs", 0755));
	ASSERT_EQ(0, mount("ramfs", TEST_DIR "/ramfs", "ramfs", 0, NULL));
	close(test_file(TEST_DIR "/ramfs/file", SIZE, 0));
	ASSERT_EQ(0, mount_overlay_of("ramfs"));
	fd = open(TEST_DIR "/overlay/file", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_REFUSED(EOPNOTSUPP, test_create(fd, BLKFD_F_DIRECT, 0, 0, 0));
	fd = test_create(fd, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, test_check_zero(fd, 0, SIZE));
}

/* Files that somebody watches, to fill them before they are read */

/* FAN_PRE_ACCESS, which is newer than headers are. */
#define PRE_ACCESS	0x00100000

#define WATCHED		TEST_DIR "/ext4/file"

FIXTURE(watched) {
	int backing;
	int group;
};

FIXTURE_VARIANT(watched) {
	uint64_t mask;
};

FIXTURE_VARIANT_ADD(watched, before_contents) { .mask = PRE_ACCESS };

FIXTURE_VARIANT_ADD(watched, for_permission) { .mask = FAN_ACCESS_PERM };

static int watch(int group, unsigned int how, uint64_t mask)
{
	return fanotify_mark(group, how, mask, AT_FDCWD, WATCHED) ? -errno : 0;
}

FIXTURE_SETUP(watched)
{
	ASSERT_TRUE(test_wait_none());
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("ext4", NULL));
	self->backing = test_file(WATCHED, SIZE, 0);
	ASSERT_LE(0, self->backing);
	self->group = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
	if (self->group < 0)
		SKIP(return, "no fanotify: %s", strerror(errno));
	/* Kernels without it do not tell who opens a file of either. */
	if (watch(self->group, FAN_MARK_ADD, PRE_ACCESS) == -EINVAL)
		SKIP(return, "no FAN_PRE_ACCESS");
	ASSERT_EQ(0, watch(self->group, FAN_MARK_REMOVE, PRE_ACCESS));
}

FIXTURE_TEARDOWN(watched)
{
}

/* Nobody is there to answer: what asks would wait. */
TEST_F(watched, file_is_eopnotsupp)
{
	ASSERT_EQ(0, watch(self->group, FAN_MARK_ADD, variant->mask));
	EXPECT_REFUSED(EOPNOTSUPP, test_create(self->backing, 0, 0, 0, 0));
	ASSERT_EQ(0, watch(self->group, FAN_MARK_REMOVE, variant->mask));
	EXPECT_LE(0, test_create(self->backing, 0, 0, 0, 0));
}

TEST_F(watched, file_that_a_device_has_is_read_as_by_others_that_have_it)
{
	struct fanotify_event_metadata event;
	int fd = test_create(self->backing, 0, 0, 0, 0);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, watch(self->group, FAN_MARK_ADD, variant->mask));
	EXPECT_EQ(0, test_check_zero(self->backing, 0, SIZE));
	EXPECT_EQ(0, test_check_zero(fd, 0, SIZE));
	EXPECT_EQ(-1, read(self->group, &event, sizeof(event)));
	EXPECT_EQ(EAGAIN, errno);
}

/*
 * Fills the file when it is first asked, and lets everybody read it. The event's
 * descriptor is of the overlay's own mount of the file system, which is read-only.
 */
static void serve(int group, int file)
{
	struct fanotify_response answer = { .response = FAN_ALLOW };
	struct pollfd ready = { .fd = group, .events = POLLIN };
	static alignas(8) char buf[4096];
	struct fanotify_event_metadata *event;
	bool filled = false;
	ssize_t size;

	while (poll(&ready, 1, -1) == 1) {
		size = read(group, buf, sizeof(buf));
		event = (struct fanotify_event_metadata *)buf;
		for (; FAN_EVENT_OK(event, size); event = FAN_EVENT_NEXT(event, size)) {
			if (!filled && test_write_pattern(file, 0, SIZE, 1))
				exit(1);
			filled = true;
			answer.fd = event->fd;
			if (write(group, &answer, sizeof(answer)) < 0)
				exit(1);
			close(event->fd);
		}
	}
	exit(1);
}

/* Who reads the file below is the overlay, in the ordinary way. */
TEST_F(watched, file_below_an_overlay_is_filled_before_it_is_read)
{
	pid_t server;
	int fd;

	ASSERT_EQ(0, mount_overlay_of("ext4"));
	ASSERT_EQ(0, watch(self->group, FAN_MARK_ADD, variant->mask));
	server = fork();
	ASSERT_LE(0, server);
	if (!server)
		serve(self->group, self->backing);
	/* When the server is gone, so is the mark, and nobody waits for an answer. */
	close(self->group);
	fd = open(TEST_DIR "/overlay/file", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	fd = test_create(fd, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, test_check_pattern(fd, 0, SIZE, 1));
	ASSERT_EQ(0, kill(server, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, test_reap(server));
}

/* By one who could be asked, and is not about this file, nor about reading any. */
TEST(file_beside_one_that_is_watched_is_taken)
{
	int backing, group;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount("ext4", NULL));
	close(test_file(WATCHED, SIZE, 0));
	backing = test_tmpfile(TEST_DIR "/ext4", SIZE);
	ASSERT_LE(0, backing);
	group = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC, O_RDONLY);
	if (group < 0)
		SKIP(return, "no fanotify: %s", strerror(errno));
	ASSERT_EQ(0, watch(group, FAN_MARK_ADD, FAN_CLOSE_WRITE));
	EXPECT_LE(0, test_create(backing, 0, 0, 0, 0));
}

/* What the new descriptor and its device are like. */

FIXTURE(device) {
	int backing;
	int fd;
	uint64_t id;
};

FIXTURE_SETUP(device)
{
	self->backing = test_memfd(SIZE);
	self->fd = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_LE(0, self->fd);
	self->id = test_id(self->fd);
}

FIXTURE_TEARDOWN(device)
{
}

static int read_only_copy(int fd)
{
	char path[BLKFD_PATH_MAX];

	blkfd_path(fd, path, sizeof(path));
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int read_only(int fd)
{
	int ro = -1;

	return ioctl(fd, BLKROGET, &ro) ? -errno : ro;
}

TEST_F(device, descriptor_is_close_on_exec)
{
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
}

TEST_F(device, writable_file_gives_writable_device)
{
	EXPECT_EQ(O_RDWR, fcntl(self->fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(0, read_only(self->fd));
}

TEST_F(device, read_only_descriptor_gives_read_only_device)
{
	int fd = test_create(read_only_copy(self->backing), 0, 0, 0, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(1, read_only(fd));
}

TEST_F(device, rdonly_flag_gives_read_only_device)
{
	int fd = test_create(self->backing, BLKFD_F_RDONLY, 0, 0, 0);
	char block[512] = "";

	ASSERT_LE(0, fd);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(1, read_only(fd));
	EXPECT_EQ(-1, pwrite(fd, block, sizeof(block), 0));
	EXPECT_EQ(EBADF, errno);
}

TEST_F(device, block_sizes_up_to_a_page_are_in_force)
{
	for (int wanted = 512; wanted <= getpagesize(); wanted *= 2) {
		int fd = test_create(self->backing, 0, 0, 0, wanted), size = 0;

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ioctl(fd, BLKSSZGET, &size));
		EXPECT_EQ(wanted, size);
		EXPECT_EQ(wanted, test_attr_number(test_id(fd),
						   "queue/logical_block_size"));
		close(fd);
	}
}

/* Since 6.15 the block layer takes logical blocks larger than pages. */
static bool kernel_has_large_blocks(void)
{
	struct utsname name;
	int major, minor;

	uname(&name);
	return sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 15));
}

TEST_F(device, blocks_larger_than_a_page_work_or_are_einval)
{
	for (int wanted = 2 * getpagesize(); wanted <= 65536; wanted *= 2) {
		int fd = test_create(self->backing, 0, 0, 0, wanted), size = 0;

		if (!kernel_has_large_blocks()) {
			EXPECT_EQ(-EINVAL, fd);
			continue;
		}
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ioctl(fd, BLKSSZGET, &size));
		EXPECT_EQ(wanted, size);
		EXPECT_EQ(0, test_write_pattern(fd, wanted, wanted, wanted));
		EXPECT_EQ(0, fsync(fd));
		EXPECT_EQ(0, test_check_pattern(self->backing, wanted, wanted,
						wanted));
		close(fd);
	}
}

TEST_F(device, default_block_size_is_512)
{
	int size;

	ASSERT_EQ(0, ioctl(self->fd, BLKSSZGET, &size));
	EXPECT_EQ(512, size);
}

TEST_F(device, length_0_reaches_to_the_end)
{
	int fd = test_create(self->backing, 0, SIZE / 4, 0, 0);
	uint64_t size;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, BLKGETSIZE64, &size));
	EXPECT_EQ(SIZE - SIZE / 4, size);
}

/* BLKFD_GET_INFO and the attributes in sysfs. */

TEST_F(device, info_has_the_device_number)
{
	struct blkfd_info info;
	struct stat st;

	ASSERT_EQ(0, test_info(self->fd, &info));
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(major(st.st_rdev), info.dev_major);
	EXPECT_EQ(minor(st.st_rdev), info.dev_minor);
}

TEST_F(device, info_has_the_disk_sequence_number)
{
	struct blkfd_info info;
	uint64_t seq;

	ASSERT_EQ(0, test_info(self->fd, &info));
	ASSERT_EQ(0, ioctl(self->fd, BLKGETDISKSEQ, &seq));
	EXPECT_EQ(seq, info.diskseq);
}

TEST_F(device, info_has_the_backing_file)
{
	struct blkfd_info info;
	struct stat st;

	ASSERT_EQ(0, test_info(self->fd, &info));
	ASSERT_EQ(0, fstat(self->backing, &st));
	EXPECT_EQ(major(st.st_dev), info.backing_major);
	EXPECT_EQ(minor(st.st_dev), info.backing_minor);
	EXPECT_EQ(st.st_ino, info.backing_ino);
}

TEST_F(device, info_has_the_backing_block_device)
{
	int disk = open(TEST_DISK, O_RDONLY | O_CLOEXEC), fd;
	struct blkfd_info info;
	struct stat st;
	uint64_t size;

	ASSERT_LE(0, disk);
	ASSERT_EQ(0, fstat(disk, &st));
	ASSERT_EQ(0, ioctl(disk, BLKGETSIZE64, &size));
	fd = test_create(disk, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_info(fd, &info));
	EXPECT_EQ(major(st.st_rdev), info.backing_major);
	EXPECT_EQ(minor(st.st_rdev), info.backing_minor);
	EXPECT_EQ(st.st_ino, info.backing_ino);
	EXPECT_EQ(size, info.length);
}

TEST_F(device, info_has_the_window)
{
	int fd = test_create(self->backing, 0, 8192, 16384, 4096);
	struct blkfd_info info;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_info(fd, &info));
	EXPECT_EQ(8192, info.offset);
	EXPECT_EQ(16384, info.length);
	EXPECT_EQ(4096, info.block_size);
}

/* ramfs has files without fallocate. */
TEST_F(device, of_a_file_that_takes_no_holes_offers_none)
{
	uint64_t range[2] = { 0, SIZE / 2 };
	struct blkfd_info info;
	int file, fd;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mount("ramfs", TEST_DIR, "ramfs", 0, NULL));
	file = test_file(TEST_DIR "/file", SIZE, 0);
	ASSERT_EQ(0, test_write_pattern(file, 0, SIZE, 1));
	fd = test_create(file, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_info(fd, &info));
	EXPECT_EQ(BLKFD_F_NODISCARD, info.flags);
	EXPECT_EQ(0, test_attr_number(info.id, "queue/discard_max_bytes"));
	EXPECT_EQ(0, test_attr_number(info.id, "queue/write_zeroes_max_bytes"));
	EXPECT_EQ(-EOPNOTSUPP, call(fd, BLKDISCARD, range));
	EXPECT_EQ(0, call(fd, BLKZEROOUT, range));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(0, test_check_zero(file, 0, SIZE / 2));
	EXPECT_EQ(0, test_check_pattern(file, SIZE / 2, SIZE / 2, 1));
}

static int flags_in_force(int backing, uint32_t flags)
{
	int fd = test_create(backing, flags, 0, 0, 0);
	struct blkfd_info info;

	return fd < 0 ? fd : test_info(fd, &info) ?: (int)info.flags;
}

TEST_F(device, info_has_the_flags_in_force)
{
	const int ro = BLKFD_F_RDONLY | BLKFD_F_NODISCARD;
	int copy = read_only_copy(self->backing);

	EXPECT_EQ(0, flags_in_force(self->backing, 0));
	EXPECT_EQ(BLKFD_F_NODISCARD, flags_in_force(self->backing,
						    BLKFD_F_NODISCARD));
	EXPECT_EQ(ro, flags_in_force(self->backing, BLKFD_F_RDONLY));
	EXPECT_EQ(ro, flags_in_force(copy, 0));
}

TEST_F(device, info_has_the_creator)
{
	struct blkfd_info info;

	ASSERT_EQ(0, test_info(self->fd, &info));
	EXPECT_EQ(getuid(), info.creator_uid);
	EXPECT_EQ(getpid(), info.creator_pid);
}

TEST_F(device, info_of_a_dead_creator_has_pid_0)
{
	struct blkfd_info info;
	int socks[2], fd;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	pid = fork();
	if (!pid) {
		fd = test_create(self->backing, 0, 0, 0, 0);
		_exit(test_send_fd(socks[1], fd) ? 1 : 0);
	}
	ASSERT_EQ(0, test_reap(pid));
	fd = test_recv_fd(socks[0]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_info(fd, &info));
	EXPECT_EQ(0, info.creator_pid);
}

TEST_F(device, info_in_a_user_namespace_has_the_overflow_uid)
{
	struct blkfd_info info;
	pid_t pid = fork();

	if (!pid) {
		if (unshare(CLONE_NEWUSER))
			_exit(2);
		_exit(test_info(self->fd, &info) || info.creator_uid != 65534);
	}
	EXPECT_EQ(0, test_reap(pid));
}

TEST_F(device, info_in_a_pid_namespace_has_pid_0)
{
	struct blkfd_info info;
	pid_t pid;

	ASSERT_EQ(0, unshare(CLONE_NEWPID));
	pid = fork();
	if (!pid)
		_exit(test_info(self->fd, &info) || info.creator_pid);
	EXPECT_EQ(0, test_reap(pid));
}

TEST_F(device, info_works_on_every_open_file_of_the_device)
{
	int copy = read_only_copy(self->fd);

	ASSERT_LE(0, copy);
	EXPECT_EQ(self->id, test_id(copy));
}

static void expect_attr(struct __test_metadata *_metadata, uint64_t id,
			const char *name, uint64_t value)
{
	EXPECT_EQ(value, test_attr_number(id, name)) {
		TH_LOG("%s", name);
	}
}

TEST_F(device, sysfs_shows_numbers_of_info)
{
	struct blkfd_info info;

	ASSERT_EQ(0, test_info(self->fd, &info));
	expect_attr(_metadata, self->id, "blkfd/id", info.id);
	expect_attr(_metadata, self->id, "blkfd/backing_ino", info.backing_ino);
	expect_attr(_metadata, self->id, "blkfd/offset", info.offset);
	expect_attr(_metadata, self->id, "blkfd/length", info.length);
	expect_attr(_metadata, self->id, "blkfd/block_size", info.block_size);
	expect_attr(_metadata, self->id, "blkfd/creator_uid", getuid());
	expect_attr(_metadata, self->id, "blkfd/creator_pid", getpid());
	expect_attr(_metadata, self->id, "diskseq", info.diskseq);
	expect_attr(_metadata, self->id, "size", info.length / 512);
}

TEST_F(device, sysfs_shows_backing_file_and_its_device)
{
	char value[256], dev[32];
	struct stat st;
	int backing, fd;

	ASSERT_EQ(0, test_private_mounts());
	backing = test_file(TEST_DIR "/image", SIZE, 0);
	fd = test_create(backing, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(backing, &st));
	snprintf(dev, sizeof(dev), "%u:%u", major(st.st_dev),
		 minor(st.st_dev));
	ASSERT_LT(0, test_attr(test_id(fd), "blkfd/backing_dev", value,
			       sizeof(value)));
	EXPECT_STREQ(dev, value);
	ASSERT_LT(0, test_attr(test_id(fd), "blkfd/backing_file", value,
			       sizeof(value)));
	EXPECT_STREQ(TEST_DIR "/image", value);
}

TEST_F(device, sysfs_shows_flags_as_words)
{
	char value[64];
	int fd;

	ASSERT_LE(0, test_attr(self->id, "blkfd/flags", value, sizeof(value)));
	EXPECT_STREQ("", value);
	fd = test_create(self->backing, BLKFD_F_NODISCARD, 0, 0, 0);
	ASSERT_LE(0, test_attr(test_id(fd), "blkfd/flags", value,
			       sizeof(value)));
	EXPECT_STREQ("nodiscard", value);
	fd = test_create(self->backing, BLKFD_F_RDONLY, 0, 0, 0);
	ASSERT_LE(0, test_attr(test_id(fd), "blkfd/flags", value,
			       sizeof(value)));
	EXPECT_STREQ("rdonly nodiscard", value);
}

TEST_F(device, info_counts_what_was_done)
{
	uint64_t range[2] = { 65536, 65536 };
	struct blkfd_info info;
	int fd, reader;

	ASSERT_EQ(0, test_write_pattern(self->fd, 0, 65536, 1));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, ioctl(self->fd, BLKDISCARD, range));
	ASSERT_EQ(0, test_info(self->fd, &info));
	EXPECT_EQ(65536, info.write_bytes);
	EXPECT_LE(1, info.writes);
	EXPECT_GE(16, info.writes);
	EXPECT_EQ(1, info.discards);
	/* A memfd has nothing to flush. */
	EXPECT_EQ(0, info.flushes);
	EXPECT_EQ(0, info.errors);

	fd = test_create(self->backing, 0, 0, 0, 0);
	reader = read_only_copy(fd);
	ASSERT_EQ(0, fcntl(reader, F_SETFL, O_DIRECT));
	ASSERT_EQ(0, test_check_pattern(reader, 0, 65536, 1));
	ASSERT_EQ(0, test_info(fd, &info));
	EXPECT_EQ(65536, info.read_bytes);
	EXPECT_EQ(1, info.reads);
	EXPECT_EQ(0, info.writes);
}

TEST_F(device, sysfs_shows_counts_of_info)
{
	char wanted[512], value[512];
	struct blkfd_info info;

	ASSERT_EQ(0, test_write_pattern(self->fd, 0, 65536, 1));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, test_info(self->fd, &info));
	snprintf(wanted, sizeof(wanted), "reads %llu\nread_bytes %llu\n"
		 "writes %llu\nwrite_bytes %llu\ndiscards %llu\n"
		 "flushes %llu\nerrors %llu\ninline_ios %llu\n"
		 "worker_ios %llu\nwould_block %llu", info.reads,
		 info.read_bytes, info.writes, info.write_bytes, info.discards,
		 info.flushes, info.errors, info.inline_ios, info.worker_ios,
		 info.would_block);
	ASSERT_LT(0, test_attr(self->id, "blkfd/stats", value, sizeof(value)));
	EXPECT_STREQ(wanted, value);
}

TEST_F(device, info_counts_no_more_than_the_block_layer_may)
{
	struct blkfd_info before, after;
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/blkfd%llu/queue/iostats",
		 (unsigned long long)self->id);
	ASSERT_EQ(0, test_info(self->fd, &before));
	ASSERT_EQ(0, test_write_text(path, "0"));
	ASSERT_EQ(0, test_write_pattern(self->fd, 0, 65536, 1));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, test_info(self->fd, &after));
	EXPECT_EQ(before.writes, after.writes);
	EXPECT_EQ(before.flushes, after.flushes);
	EXPECT_LT(before.inline_ios + before.worker_ios,
		  after.inline_ios + after.worker_ios);
}

TEST_F(device, info_counts_errors)
{
	struct blkfd_info info;

	ASSERT_EQ(0, ftruncate(self->backing, 0));
	EXPECT_EQ(-EIO, test_check_zero(self->fd, 0, 4096));
	ASSERT_EQ(0, test_info(self->fd, &info));
	EXPECT_LE(1, info.errors);
}

TEST_HARNESS_MAIN
