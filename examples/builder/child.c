// SPDX-License-Identifier: GPL-2.0
/*
 * Runs mkfs and fsck. They hold the device open: were they to outlive us, it
 * would outlive us too, so they are killed when we die.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "builder.h"

static void become(const char *const argv[], pid_t parent, int output)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		_exit(126);
	/* Did it die before that? */
	if (getppid() != parent)
		_exit(126);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		_exit(126);
	execvp(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void show(int output)
{
	char text[4096];
	ssize_t size;

	progress_clear();
	lseek(output, 0, SEEK_SET);
	while ((size = read(output, text, sizeof(text))) > 0)
		fwrite(text, 1, size, stderr);
}

bool child_run(const char *const argv[])
{
	int output = memfd_create("output", MFD_CLOEXEC);
	pid_t parent = getpid(), pid;
	int status;

	if (output < 0)
		die_errno("memfd_create");
	pid = fork();
	if (pid < 0)
		die_errno("fork");
	if (!pid)
		become(argv, parent, output);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die_errno("%s", argv[0]);
	if (status)
		show(output);
	close(output);
	return !status;
}
