// SPDX-License-Identifier: GPL-2.0
/* Where a file has data, and where holes. */
#include <errno.h>
#include <sys/param.h>
#include <unistd.h>
#include "builder.h"

int data_next(int fd, off_t size, off_t *offset, off_t *end)
{
	off_t start;

	if (*offset >= size)
		return 0;
	start = lseek(fd, *offset, SEEK_DATA);
	if (start < 0)
		return errno == ENXIO ? 0 : -1;
	if (start >= size)
		return 0;
	*end = lseek(fd, start, SEEK_HOLE);
	if (*end < 0)
		return -1;
	*offset = start;
	*end = MIN(*end, size);
	return 1;
}
