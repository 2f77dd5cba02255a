// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest image builder: an ext4 image with one file in it.
 *
 * No loop device to find, no directory to mount on, nothing to clean up: the
 * device and the mount are descriptors, gone with them however we end.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <libblkfd.h>

static const char text[] = "Hello from a device without a name.\n";

static int check(int result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
	return result;
}

/* libblkfd returns a negative errno. */
static int check_lib(int result, const char *what)
{
	if (result < 0)
		errno = -result;
	return check(result, what);
}

static void make_ext4(int device)
{
	char path[64];
	char *const argv[] = { "mkfs.ext4", "-q", path, NULL };
	int status;
	pid_t pid;

	/* mkfs inherits the device, and opens its own, by this path. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", device);
	check(fcntl(device, F_SETFD, 0), "device");
	errno = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	check(errno ? -1 : waitpid(pid, &status, 0), argv[0]);
	if (status)
		errx(1, "%s failed", argv[0]);
}

static void write_file(int mount, const char *name)
{
	int file = check(openat(mount, name, O_WRONLY | O_CREAT | O_EXCL, 0644), name);

	if (write(file, text, sizeof(text) - 1) != sizeof(text) - 1)
		err(1, "%s", name);
	check(syncfs(file), name);
	close(file);
}

int main(int argc, char **argv)
{
	int image, device, mount;

	if (argc != 3)
		errx(2, "usage: minimal IMAGE BYTES");
	signal(SIGCHLD, SIG_DFL);		/* if our caller ignores it, as some do */
	image = check(open(argv[1], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644), argv[1]);
	check(ftruncate(image, strtoll(argv[2], NULL, 0)), argv[2]);

	device = check_lib(blkfd_create(image, NULL), "blkfd_create");
	make_ext4(device);
	mount = check_lib(blkfd_fsmount(device, "ext4", NULL, 0), "blkfd_fsmount");
	write_file(mount, "hello");

	close(mount);				/* unmounts */
	check(fsync(device), "device");		/* what unmounting wrote, too */
	close(device);				/* and the device is gone */
	check(fsync(image), argv[1]);
	return 0;
}
