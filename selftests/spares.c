// SPDX-License-Identifier: GPL-2.0
/*
 * Spare disks: made ahead of need, of no use to anybody before a device has one,
 * and then no different from one that was made for it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define SIZE		(4 * TEST_MIB)
#define NODE		TEST_DIR "/node"

/* Made and closed in a row; and so many of them that some wait for certain. */
#define HUSKS		100
#define HUSKS_LEFT	10

FIXTURE(spares) {
	int backing;
};

FIXTURE_SETUP(spares)
{
	ASSERT_EQ(0, test_set_spares(TEST_SPARES));
	self->backing = test_memfd(SIZE);
	ASSERT_LE(0, self->backing);
}

FIXTURE_TEARDOWN(spares)
{
	EXPECT_EQ(0, test_set_spares(TEST_SPARES));
}

/* The number of one of them; UINT64_MAX: there is none. */
static uint64_t find_spare(void)
{
	uint64_t ids[TEST_MAX_DISKS];
	int count = test_disk_ids(ids, TEST_MAX_DISKS);

	while (count-- > 0)
		if (test_is_spare(ids[count]))
			return ids[count];
	return UINT64_MAX;
}

TEST_F(spares, have_nothing_to_say)
{
	static const char * const names[] = {
		"id", "backing_dev", "backing_ino", "backing_file", "offset",
		"length", "flags", "block_size", "creator_uid", "creator_pid",
		"stats",
	};
	uint64_t id = find_spare();
	char name[64], value[512];

	ASSERT_NE(UINT64_MAX, id);
	EXPECT_EQ(0, test_attr_number(id, "size"));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(name, sizeof(name), "blkfd/%s", names[i]);
		EXPECT_EQ(-ENODEV, test_attr(id, name, value, sizeof(value)))
			TH_LOG("%s", name);
	}
}

static int get_number(uint64_t id, dev_t *number)
{
	char value[64], *colon;
	unsigned int major;
	int ret = test_attr(id, "dev", value, sizeof(value));

	if (ret < 0)
		return ret;
	major = strtoul(value, &colon, 10);
	if (*colon != ':')
		return -EBADMSG;
	*number = makedev(major, strtoul(colon + 1, NULL, 10));
	return 0;
}

static int open_by_number(dev_t number, int flags)
{
	int fd;

	unlink(NODE);
	if (mknod(NODE, S_IFBLK | 0600, number))
		return -errno;
	fd = open(NODE, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

TEST_F(spares, cannot_be_opened)
{
	dev_t number;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, get_number(find_spare(), &number));
	EXPECT_EQ(-ENXIO, open_by_number(number, O_RDONLY));
	EXPECT_EQ(-ENXIO, open_by_number(number, O_RDWR | O_EXCL));
	EXPECT_EQ(TEST_SPARES, test_count_spares());
}

TEST_F(spares, are_not_listed)
{
	char out[4096], name[32];

	snprintf(name, sizeof(name), "blkfd%llu",
		 (unsigned long long)find_spare());
	EXPECT_EQ(0, test_output(out, sizeof(out), "blkfd", "list", "--json"));
	EXPECT_EQ(NULL, strstr(out, name));
	EXPECT_EQ(1, test_output(out, sizeof(out), "blkfd", "info", name));
	EXPECT_NE(NULL, strstr(out, strerror(ENOENT)));
	EXPECT_EQ(0, test_output(out, sizeof(out), "lsblk", "--noheadings",
				 "--all"));
	EXPECT_NE(NULL, strstr(out, test_disk_name()));
	EXPECT_EQ(NULL, strstr(out, "blkfd"));
}

/* The parameter */

TEST_F(spares, parameter_has_a_range)
{
	EXPECT_EQ(-EINVAL, test_set_parameter("spares", "65"));
	EXPECT_EQ(-EINVAL, test_set_parameter("spares", "-1"));
	EXPECT_EQ(-EINVAL, test_set_parameter("spares", "some"));
	EXPECT_EQ(TEST_SPARES, test_count_spares());
}

TEST_F(spares, parameter_takes_effect)
{
	EXPECT_EQ(0, test_set_spares(0));
	EXPECT_EQ(0, test_set_spares(TEST_MAX_SPARES));
	EXPECT_EQ(0, test_set_spares(1));
}

/* Use */

TEST_F(spares, one_is_used_and_replaced)
{
	uint64_t id = find_spare();
	int fds[TEST_SPARES], ours = 0;

	for (int i = 0; i < TEST_SPARES; i++) {
		fds[i] = test_create(self->backing, 0, 0, 0, 0);
		ASSERT_LE(0, fds[i]);
		ours += test_id(fds[i]) == id;
	}
	EXPECT_EQ(1, ours);
	EXPECT_EQ(0, test_set_spares(TEST_SPARES));
	EXPECT_EQ(TEST_SPARES, test_count_devices());
	for (int i = 0; i < TEST_SPARES; i++)
		EXPECT_EQ(0, close(fds[i]));
	EXPECT_TRUE(test_wait_gone(id));
	EXPECT_TRUE(test_wait_none());
	EXPECT_EQ(TEST_SPARES, test_count_spares());
}

TEST_F(spares, are_not_needed)
{
	int fd;

	ASSERT_EQ(0, test_set_spares(0));
	fd = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, test_write_pattern(fd, 0, SIZE, 1));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(0, test_check_pattern(self->backing, 0, SIZE, 1));
	EXPECT_EQ(0, test_count_spares());
}

static unsigned int count_charged(int control)
{
	struct blkfd_limits limits;

	return blkfd_get_limits(control, &limits) ? 0 : limits.devices;
}

static bool is_one_of(uint64_t id, const uint64_t *ids, int count)
{
	while (count-- > 0)
		if (ids[count] == id)
			return true;
	return false;
}

/*
 * Whether a device is on a disk that was there before it. -EAGAIN: it was not made while
 * so many closed ones waited for their end, and says nothing.
 */
static int make_beside_husks(int control, int backing)
{
	uint64_t ids[TEST_MAX_DISKS];
	int count, fd, ret;

	for (int i = 0; i < HUSKS; i++)
		close(test_create(backing, 0, 0, 0, 0));
	count = test_disk_ids(ids, TEST_MAX_DISKS);
	fd = test_create(backing, 0, 0, 0, 0);
	if (fd < 0 || count < 0)
		return -EIO;
	ret = is_one_of(test_id(fd), ids, count);
	if (count == TEST_MAX_DISKS || count_charged(control) <= HUSKS_LEFT)
		ret = -EAGAIN;
	close(fd);
	return ret;
}

/* They are made on the kernel's time, which would have no end. */
TEST_F(spares, are_not_for_who_closes_devices_faster_than_they_go)
{
	int control = blkfd_control(), seen = 0, ret;
	time_t end = time(NULL) + 60;

	ASSERT_LE(0, control);
	while (seen < 5 && time(NULL) < end) {
		ret = make_beside_husks(control, self->backing);
		ASSERT_TRUE(ret >= 0 || ret == -EAGAIN);
		ASSERT_NE(1, ret);
		seen += !ret;
	}
	close(control);
	EXPECT_TRUE(test_wait_none());
	EXPECT_EQ(0, test_set_spares(TEST_SPARES));
	if (seen < 5)
		SKIP(return, "too few waited for their end: the machine is too slow, or too fast");
}

/* What a refused window does to a spare: nothing. */
TEST_F(spares, failed_creation_takes_none)
{
	uint64_t id = find_spare();

	EXPECT_EQ(-EINVAL, test_create(self->backing, 0, 1, 0, 0));
	EXPECT_EQ(id, find_spare());
	EXPECT_EQ(TEST_SPARES, test_count_spares());
}

FIXTURE(kind) {
	int backing;
};

FIXTURE_VARIANT(kind) {
	const char *fstype;
	uint32_t flags;
	uint64_t offset;
	uint64_t length;
	uint32_t block_size;
};

FIXTURE_VARIANT_ADD(kind, plain) {
	.fstype = "xfs",
};

FIXTURE_VARIANT_ADD(kind, rdonly) {
	.fstype = "xfs",
	.flags = BLKFD_F_RDONLY,
};

FIXTURE_VARIANT_ADD(kind, direct) {
	.fstype = "xfs",
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_VARIANT_ADD(kind, nodiscard_4k) {
	.fstype = "xfs",
	.flags = BLKFD_F_NODISCARD,
	.block_size = 4096,
};

FIXTURE_VARIANT_ADD(kind, window) {
	.fstype = "xfs",
	.offset = 512,
	.length = 1024 * 1024,
};

/* Whose checksums are of pages that must not change while they are written. */
FIXTURE_VARIANT_ADD(kind, stable_writes) {
	.fstype = "btrfs",
	.flags = BLKFD_F_DIRECT,
};

FIXTURE_SETUP(kind)
{
	char dir[64];

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_scratch_mount(variant->fstype, NULL));
	snprintf(dir, sizeof(dir), TEST_DIR "/%s", variant->fstype);
	self->backing = test_tmpfile(dir, SIZE);
	ASSERT_LE(0, self->backing);
}

FIXTURE_TEARDOWN(kind)
{
	EXPECT_EQ(0, test_set_spares(TEST_SPARES));
}

static const char * const dirs[] = { "", "queue/", "bdi/" };

/* What sysfs says of a disk, but for what differs from one disk to the next. */
static size_t describe(uint64_t id, char *text, size_t size)
{
	static const char differs[] = " dev diskseq uevent stat inflight max_bytes min_bytes ";
	char path[128], name[64], word[64], value[512];
	struct dirent **entries;
	size_t used = 0;
	int count;

	for (size_t d = 0; d < ARRAY_SIZE(dirs); d++) {
		snprintf(path, sizeof(path), "/sys/block/blkfd%llu/%s",
			 (unsigned long long)id, dirs[d]);
		count = scandir(path, &entries, NULL, alphasort);
		for (int i = 0; i < count; i++) {
			snprintf(word, sizeof(word), " %.50s ",
				 entries[i]->d_name);
			snprintf(name, sizeof(name), "%s%.50s", dirs[d],
				 entries[i]->d_name);
			if (!strstr(differs, word) && used < size &&
			    test_attr(id, name, value, sizeof(value)) >= 0)
				used += snprintf(text + used, size - used,
						 "%s: %.100s\n", name, value);
			free(entries[i]);
		}
		free(entries);
	}
	return used;
}

static uint64_t make(const FIXTURE_VARIANT(kind) *variant, int backing, int *fd)
{
	*fd = test_create(backing, variant->flags, variant->offset,
			  variant->length, variant->block_size);
	return test_id(*fd);
}

TEST_F(kind, looks_the_same_on_a_spare)
{
	char before[16384], after[16384];
	int fd, other;
	uint64_t id;

	ASSERT_EQ(0, test_set_spares(0));
	id = make(variant, self->backing, &fd);
	ASSERT_NE(UINT64_MAX, id);
	ASSERT_LT(1000, describe(id, before, sizeof(before)));
	EXPECT_EQ(variant->flags & BLKFD_F_RDONLY, test_attr_number(id, "ro"));
	EXPECT_EQ(!strcmp(variant->fstype, "btrfs"),
		  test_attr_number(id, "queue/stable_writes"));
	EXPECT_EQ(variant->block_size ?: test_attr_number(id, "blkfd/block_size"),
		  test_attr_number(id, "queue/logical_block_size"));
	EXPECT_EQ((variant->length ?: SIZE) / 512, test_attr_number(id, "size"));
	ASSERT_EQ(0, test_set_spares(TEST_SPARES));
	id = find_spare();
	for (int i = 0; i < TEST_SPARES; i++)
		if (make(variant, self->backing, &other) == id)
			break;
	ASSERT_EQ(id, test_id(other));
	ASSERT_LT(1000, describe(id, after, sizeof(after)));
	EXPECT_STREQ(before, after);
}

/* All at once */

static bool stop;
static int made;

/* Makes and uses devices until told to stop: 0 or -errno. */
static void *churn(void *arg)
{
	int backing = *(int *)arg, fd;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		fd = test_create(backing, 0, 0, 0, 0);
		if (fd < 0)
			return (void *)(long)fd;
		if (test_check_pattern(fd, 0, 8192, 3))
			return (void *)-EILSEQ;
		close(fd);
		__atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Opens the disk by number: a device that is one, or ENXIO. */
static int look_at(uint64_t id)
{
	char value[512];
	uint64_t size;
	dev_t number;
	int fd, ret;

	ret = test_attr(id, "blkfd/stats", value, sizeof(value));
	if (ret < 0 && ret != -ENODEV && ret != -ENOENT)
		return ret;
	if (get_number(id, &number))
		return 0;
	fd = open_by_number(number, O_RDONLY);
	if (fd < 0)
		return fd == -ENXIO ? 0 : fd;
	if (ioctl(fd, BLKGETSIZE64, &size) || size != SIZE || test_id(fd) != id)
		ret = -EILSEQ;
	else
		ret = test_check_pattern(fd, 0, 8192, 3);
	close(fd);
	return ret;
}

/* Goes through all disks until told to stop: 0 or -errno. */
static void *look(void *arg)
{
	uint64_t ids[TEST_MAX_DISKS];
	int count, ret = 0;

	while (!ret && !__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		count = test_disk_ids(ids, TEST_MAX_DISKS);
		while (!ret && count-- > 0)
			ret = look_at(ids[count]);
	}
	return (void *)(long)ret;
}

static bool has_made(void *arg)
{
	return __atomic_load_n(&made, __ATOMIC_RELAXED) >= *(int *)arg;
}

TEST_F(spares, come_and_go_while_devices_are_made)
{
	unsigned int rounds = test_slowdown() > 1 ? 4 : 20;
	pthread_t threads[4];
	int target = 0;
	void *error;

	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_write_pattern(self->backing, 0, SIZE, 3));
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    i ? churn : look, &self->backing));
	for (unsigned int i = 0; i < rounds; i++) {
		EXPECT_EQ(0, test_set_parameter("spares", i % 2 ? "0" : "16"));
		target += 20;
		EXPECT_TRUE(test_wait(has_made, &target, TEST_TIMEOUT_MS));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &error));
		EXPECT_EQ(NULL, error);
	}
	EXPECT_EQ(0, test_set_spares(TEST_SPARES));
	EXPECT_TRUE(test_wait_none());
}

TEST_HARNESS_MAIN
