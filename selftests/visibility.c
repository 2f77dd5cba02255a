// SPDX-License-Identifier: GPL-2.0
/*
 * A device has no name: no node in /dev, no line in /proc, no uevent, at any
 * time of its life. And who goes through all devices anyway is not harmed.
 */
#include <fcntl.h>
#include <ftw.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define SIZE		(64 * TEST_MIB)
#define MESSAGE_MAX	8192

/* /dev */

static unsigned int nodes_major;
static int nodes_found;

static int count_node(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	const char *name = path + ftw->base;

	nodes_found += S_ISBLK(st->st_mode) && major(st->st_rdev) == nodes_major;
	nodes_found += !strncmp(name, "blkfd", 5) && strcmp(path, "/dev/blkfd");
	return 0;
}

/* What below /dev is a device of that major number, or called like one. */
static int nodes_in_dev(unsigned int major)
{
	nodes_major = major;
	nodes_found = 0;
	return nftw("/dev", count_node, 16, FTW_PHYS | FTW_MOUNT) ? -1 :
								  nodes_found;
}

static bool file_mentions(const char *path, const char *word)
{
	char line[512];
	bool found = false;
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		found |= !!strstr(line, word);
	if (file)
		fclose(file);
	return found;
}

FIXTURE(visibility) {
	int backing;
	int fd;
	uint64_t id;
	struct blkfd_info info;
};

FIXTURE_SETUP(visibility)
{
	ASSERT_TRUE(test_wait_none());
	ASSERT_EQ(0, test_private_mounts());
	self->backing = test_memfd(SIZE);
	self->fd = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, test_info(self->fd, &self->info));
	self->id = self->info.id;
}

FIXTURE_TEARDOWN(visibility)
{
}

static int make_and_mount(int fd, const char *fstype)
{
	char path[TEST_PATH_MAX];
	int ret;

	test_fd_path(fd, path, sizeof(path));
	ret = test_mkfs(fstype, path);
	return ret ?: blkfd_mount(fd, fstype, NULL, 0, TEST_DIR, NULL, 0);
}

TEST_F(visibility, dev_has_no_node_while_it_lives)
{
	EXPECT_EQ(0, nodes_in_dev(self->info.dev_major));
}

TEST_F(visibility, dev_has_no_node_while_it_is_mounted)
{
	ASSERT_EQ(0, make_and_mount(self->fd, "ext4"));
	EXPECT_EQ(0, nodes_in_dev(self->info.dev_major));
}

TEST_F(visibility, dev_has_no_node_after)
{
	ASSERT_EQ(0, close(self->fd));
	ASSERT_TRUE(test_wait_none());
	EXPECT_EQ(0, nodes_in_dev(self->info.dev_major));
}

TEST_F(visibility, scan_of_dev_finds_what_has_a_node)
{
	struct stat st;

	ASSERT_EQ(0, stat(TEST_DISK, &st));
	EXPECT_LT(0, nodes_in_dev(major(st.st_rdev)));
}

/* /proc */

TEST_F(visibility, proc_partitions_has_no_line)
{
	EXPECT_FALSE(file_mentions("/proc/partitions", "blkfd"));
	EXPECT_TRUE(file_mentions("/proc/partitions", test_disk_name()));
}

TEST_F(visibility, proc_diskstats_has_no_line)
{
	ASSERT_EQ(0, test_write_pattern(self->fd, 0, TEST_MIB, 1));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_FALSE(file_mentions("/proc/diskstats", "blkfd"));
	EXPECT_TRUE(file_mentions("/proc/diskstats", test_disk_name()));
}

TEST_F(visibility, sys_block_lists_it_while_it_lives)
{
	EXPECT_TRUE(test_device_listed(self->id));
	ASSERT_EQ(0, close(self->fd));
	EXPECT_TRUE(test_wait_gone(self->id));
}

/* Uevents */

#define MARKER		"/sys/class/mem/null/uevent"
#define MARKER_PATH	"DEVPATH=/devices/virtual/mem/null"

static int listen_uevents(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int size = 4 * TEST_MIB;
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
			NETLINK_KOBJECT_UEVENT);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	return fd;
}

static bool mentions(const char *message, size_t size, const char *text)
{
	return memmem(message, size, text, strlen(text));
}

struct events {
	int block;	/* of any disk but TEST_DISK, which udevd looks after */
	int ours;	/* that mention blkfd anywhere */
	int bdi;	/* of our number's backing_dev_info */
};

static void count_event(struct events *events, const char *message,
			size_t size, const char *bdi)
{
	bool ours = mentions(message, size, "blkfd"), block;
	char disk[64];

	snprintf(disk, sizeof(disk), "/block/%s", test_disk_name());
	block = mentions(message, size, "SUBSYSTEM=block") &&
		!mentions(message, size, disk);
	events->block += block;
	events->ours += ours;
	events->bdi += mentions(message, size, bdi);
	if (block || ours)
		fprintf(stderr, "# event: %s\n", message);
}

/*
 * Counts all events up to one that is provoked here, and so shows by the way
 * that the listener hears. 0 or -errno.
 */
static int drain(int sock, const struct blkfd_info *info, struct events *events)
{
	char message[MESSAGE_MAX], bdi[64];
	ssize_t size;
	int ret;

	memset(events, 0, sizeof(*events));
	snprintf(bdi, sizeof(bdi), "DEVPATH=/devices/virtual/bdi/%u:%u",
		 info->dev_major, info->dev_minor);
	ret = test_write_text(MARKER, "change");
	if (ret)
		return ret;
	for (;;) {
		size = recv(sock, message, sizeof(message) - 1, 0);
		if (size < 0)
			return -errno;
		message[size] = 0;
		if (mentions(message, size, MARKER_PATH))
			return 0;
		count_event(events, message, size, bdi);
	}
}

#define EXPECT_SILENCE() do { \
	struct events events; \
	ASSERT_EQ(0, drain(sock, &self->info, &events)); \
	EXPECT_EQ(0, events.block); \
	EXPECT_EQ(0, events.ours); \
} while (0)

TEST_F(visibility, creation_and_end_send_no_block_event)
{
	int sock = listen_uevents(), fd;

	ASSERT_LE(0, sock);
	fd = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_SILENCE();
	ASSERT_EQ(0, close(fd));
	fd = test_create(self->backing, BLKFD_F_RDONLY, 0, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_SILENCE();
	ASSERT_EQ(0, close(fd));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_TRUE(test_wait_none());
	EXPECT_SILENCE();
}

/*
 * The bdi class announces every disk, by number: mm/backing-dev.c. Of a device on
 * a spare disk, when that was made.
 */
TEST_F(visibility, creation_sends_one_bdi_event_and_the_end_none)
{
	int sock, fd;
	struct blkfd_info info;
	struct events events;

	ASSERT_EQ(0, test_set_spares(0));
	sock = listen_uevents();
	ASSERT_LE(0, sock);
	fd = test_create(self->backing, 0, 0, 0, 0);
	ASSERT_EQ(0, test_info(fd, &info));
	ASSERT_EQ(0, drain(sock, &info, &events));
	EXPECT_EQ(1, events.bdi);
	ASSERT_EQ(0, close(fd));
	ASSERT_TRUE(test_wait_gone(info.id));
	ASSERT_EQ(0, drain(sock, &info, &events));
	EXPECT_EQ(0, events.bdi);
	EXPECT_EQ(0, test_set_spares(TEST_SPARES));
}

TEST_F(visibility, resize_sends_no_event)
{
	int sock = listen_uevents();

	ASSERT_LE(0, sock);
	ASSERT_EQ(0, blkfd_resize(self->fd, SIZE / 2));
	ASSERT_EQ(0, blkfd_resize(self->fd, 0));
	EXPECT_SILENCE();
}

TEST_F(visibility, writing_opener_that_closes_sends_no_event)
{
	int sock = listen_uevents(), fd;
	char path[BLKFD_PATH_MAX];

	ASSERT_LE(0, sock);
	ASSERT_EQ(0, blkfd_path(self->fd, path, sizeof(path)));
	fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_write_pattern(fd, 0, 4096, 1));
	ASSERT_EQ(0, close(fd));
	EXPECT_SILENCE();
}

TEST_F(visibility, ext4_mount_and_umount_send_no_event)
{
	int sock = listen_uevents();

	ASSERT_LE(0, sock);
	ASSERT_EQ(0, make_and_mount(self->fd, "ext4"));
	ASSERT_EQ(0, umount(TEST_DIR));
	EXPECT_SILENCE();
}

TEST_F(visibility, xfs_mount_and_umount_send_no_event)
{
	int sock = listen_uevents();

	ASSERT_LE(0, sock);
	ASSERT_EQ(0, ftruncate(self->backing, 320 * TEST_MIB));
	ASSERT_EQ(0, blkfd_resize(self->fd, 0));
	ASSERT_EQ(0, make_and_mount(self->fd, "xfs"));
	ASSERT_EQ(0, umount(TEST_DIR));
	EXPECT_SILENCE();
}

TEST_F(visibility, event_asked_for_in_sysfs_is_not_sent)
{
	int sock = listen_uevents();
	char path[64];

	ASSERT_LE(0, sock);
	snprintf(path, sizeof(path), "/sys/block/blkfd%llu/uevent",
		 (unsigned long long)self->id);
	EXPECT_EQ(-ENODEV, test_write_text(path, "add"));
	EXPECT_EQ(-ENODEV, test_write_text(path, "change"));
	EXPECT_SILENCE();
}

/* Each would be a disk of its own, with an event and a node. */
TEST_F(visibility, partitions_are_refused_to_root)
{
	struct blkpg_partition partition = { .length = TEST_MIB, .pno = 1 };
	struct blkpg_ioctl_arg add = {
		.op = BLKPG_ADD_PARTITION,
		.datalen = sizeof(partition),
		.data = &partition,
	};
	int sock = listen_uevents();

	ASSERT_LE(0, sock);
	EXPECT_EQ(-1, ioctl(self->fd, BLKPG, &add));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(self->fd, BLKRRPART));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_SILENCE();
}

/* Who goes through all devices */

TEST_F(visibility, udevadm_trigger_makes_no_node)
{
	EXPECT_EQ(0, test_command("udevadm", "trigger", "--action=add",
				  "--subsystem-match=block", "--settle"));
	EXPECT_EQ(0, nodes_in_dev(self->info.dev_major));
	EXPECT_EQ(0, test_write_pattern(self->fd, 0, 4096, 1));
}

TEST_F(visibility, udev_keeps_no_record)
{
	char path[64];

	ASSERT_EQ(0, test_command("udevadm", "settle"));
	snprintf(path, sizeof(path), "/run/udev/data/b%u:%u",
		 self->info.dev_major, self->info.dev_minor);
	EXPECT_EQ(-1, access(path, F_OK));
	EXPECT_EQ(ENOENT, errno);
}

TEST_F(visibility, blkid_does_not_report_it)
{
	char path[TEST_PATH_MAX], out[8192];

	test_fd_path(self->fd, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	EXPECT_LE(0, test_output(out, sizeof(out), "blkid", "-c", "/dev/null"));
	EXPECT_EQ(NULL, strstr(out, "blkfd"));
}

TEST_F(visibility, blkid_probes_it_by_descriptor)
{
	char path[TEST_PATH_MAX], out[256];

	test_fd_path(self->fd, path, sizeof(path));
	ASSERT_EQ(0, test_mkfs("ext4", path));
	ASSERT_EQ(0, test_output(out, sizeof(out), "blkid", "-p", "-o", "value",
				 "-s", "TYPE", path));
	EXPECT_STREQ("ext4\n", out);
}

TEST_F(visibility, lsblk_survives)
{
	EXPECT_EQ(0, test_command("lsblk", "-a"));
}

TEST_HARNESS_MAIN
