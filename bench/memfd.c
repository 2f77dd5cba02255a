// SPDX-License-Identifier: GPL-2.0
/*
 * memfd MIB COMMAND [ARG...]: runs COMMAND with a memfd of that size on descriptor 9.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMFD_FD 9

int main(int argc, char **argv)
{
	off_t size;
	int fd;

	if (argc < 3)
		errx(2, "what is needed is MIB COMMAND");
	size = strtoull(argv[1], NULL, 10) << 20;
	fd = memfd_create("bench", 0);
	if (fd < 0)
		err(1, "memfd_create");
	if (dup2(fd, MEMFD_FD) < 0)
		err(1, "descriptor %d", MEMFD_FD);
	if (ftruncate(MEMFD_FD, size) < 0)
		err(1, "%s MiB", argv[1]);
	if (fd != MEMFD_FD)
		close(fd);
	execvp(argv[2], argv + 2);
	err(1, "%s", argv[2]);
}
