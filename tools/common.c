// SPDX-License-Identifier: GPL-2.0
/* How the commands speak, and the state in which they start and end. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

void complain(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void complain_missing(void)
{
	complain("/dev/blkfd is missing: load the module with '%s' (%s)",
		 "modprobe blkfd", "'make help' in its sources says how to get it");
}

int open_control(const char *path)
{
	/* Opening a pipe would wait for its other end. */
	int control = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), error = errno;

	if (control >= 0)
		return control;
	if (!strcmp(path, CONTROL_PATH) &&
	    (error == ENOENT || error == ENXIO || error == ENODEV)) {
		complain_missing();
		return -ENOPKG;
	}
	complain("%s: %s", path, strerror(error));
	return -error;
}

int open_standard_fds(void)
{
	int fd, ret;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 ||
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) >= 0)
			continue;
		ret = -errno;
		complain("/dev/null: %s", strerror(-ret));
		return ret;
	}
	return 0;
}

int finish_stdout(void)
{
	if (!ferror(stdout) && !fflush(stdout))
		return 0;
	complain("standard output: %s", strerror(errno));
	return 1;
}
