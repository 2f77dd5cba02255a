// SPDX-License-Identifier: GPL-2.0
/*
 * The course of a build. The image's file, the device over it and the mount
 * of the device are held by descriptors only; each is closed, and so gone,
 * before the next step needs that it is. If we are killed, they all go.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>
#include <libblkfd.h>
#include "builder.h"

struct device {
	int fd;
	char path[64];		/* what other programs can open it by */
};

/* The number that we have in this /proc, which may be of another namespace. */
static int number_in_proc(void)
{
	char self[16];
	ssize_t length = readlink("/proc/self", self, sizeof(self) - 1);

	if (length < 0)
		die_errno("/proc/self");
	self[length] = '\0';
	return atoi(self);
}

/*
 * The descriptor that is kept is not open for writing: where the kernel forbids
 * writers beside a mount (BLK_DEV_WRITE_MOUNTED=n), it could not be mounted.
 */
static void device_open(struct device *device, int file, uint32_t flags)
{
	struct blkfd_create_opts opts = { .flags = flags };
	char path[BLKFD_PATH_MAX];
	int fd = blkfd_create(file, &opts);

	errno = -fd;
	if (fd == -ENOENT)
		die("no /dev/blkfd: is the module blkfd loaded?");
	if (fd < 0)
		die_errno("the device cannot be made");
	blkfd_path(fd, path, sizeof(path));
	device->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (device->fd < 0)
		die_errno("the device cannot be opened");
	close(fd);
	/*
	 * Not /proc/self/fd/N: other devices will be on some process's descriptor
	 * N, and mkfs.btrfs would take them for this one.
	 */
	snprintf(device->path, sizeof(device->path), "/proc/%d/fd/%d", number_in_proc(),
		 device->fd);
}

static void check_unused(const struct device *device)
{
	int fd = open(device->path, O_RDONLY | O_EXCL | O_CLOEXEC);

	if (fd < 0)
		die_errno("the file system in the image did not unmount");
	close(fd);
}

static void device_close(struct device *device)
{
	struct blkfd_info info;
	int error = blkfd_get_info(device->fd, &info);

	if (fsync(device->fd))
		die_errno("the image cannot be written");
	errno = -error;
	if (error)
		die_errno("the device's error count cannot be read");
	if (info.errors)
		die("%ju requests of the device have failed: is the image's file system full?",
		    (uintmax_t)info.errors);
	close(device->fd);
}

static int mount_device(const struct build *build, const struct device *device)
{
	unsigned int attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	char message[BLKFD_MESSAGE_MAX] = "";
	int mount;

	mount = blkfd_fsmount_message(device->fd, fstype_name(build->type),
				      fstype_mount_options(build->type), attributes,
				      message, sizeof(message));
	if (mount >= 0)
		return mount;
	if (*message)
		note("%s", message);
	errno = -mount;
	die_errno("the %s in the image cannot be mounted", fstype_name(build->type));
}

static void write_back(int top)
{
	if (syncfs(top))
		die_errno("the image cannot be written");
}

/* Free space that has been in use takes room in the image until then. */
static void discard_free(const struct build *build, const struct device *device, int top)
{
	struct fstrim_range all = { .len = UINT64_MAX };
	struct blkfd_info info;
	int error = blkfd_get_info(device->fd, &info);

	errno = -error;
	if (error)
		die_errno("the device's flags cannot be read");
	if (info.flags & BLKFD_F_NODISCARD) {
		note("%s: the file system there punches no holes: free space is kept",
		     build->image);
		return;
	}
	progress_phase("discarding free space");
	if (ioctl(top, FITRIM, &all))
		die_errno("free space cannot be discarded");
}

static void fill(const struct build *build, const struct device *device, int tree,
		 const struct totals *totals)
{
	int mount = mount_device(build, device);
	int top = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (top < 0)
		die_errno("the file system in the image cannot be opened");
	progress_phase("copying");
	progress_expect(totals);
	populate(tree, top, build->cross_mounts, fstype_size_for(build->type, totals));
	progress_phase("writing back");
	write_back(top);
	discard_free(build, device, top);
	write_back(top);
	progress_phase("unmounting");
	close(top);
	close(mount);
	check_unused(device);
}

static void check(const struct build *build, int file)
{
	struct device device;

	device_open(&device, file, BLKFD_F_RDONLY);
	fstype_check(build->type, device.path);
	device_close(&device);
}

static int tree_open(const char *path, bool cross_mounts, struct totals *totals)
{
	int tree = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (tree < 0)
		die_errno("%s", path);
	scan_tree(tree, cross_mounts, totals);
	return tree;
}

void build_image(const struct build *build)
{
	struct totals totals = { 0 };
	struct output output;
	struct device device;
	int tree;

	output_open(&output, build->image);
	tree = tree_open(build->tree, build->cross_mounts, &totals);
	if (ftruncate(output.file, build->size ?: fstype_size_for(build->type, &totals)))
		die_errno("%s", build->image);
	device_open(&device, output.file, 0);
	fstype_make(build, device.path);
	fill(build, &device, tree, &totals);
	device_close(&device);
	if (build->check)
		check(build, output.file);
	progress_phase("writing to disk");
	output_publish(&output);
	progress_clear();
	close(tree);
}
