// SPDX-License-Identifier: GPL-2.0
/* A 9p server, diod, and its client, at the two ends of a socket. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../testlib.h"
#include "servers.h"

#define DIOD	"/usr/sbin/diod"

static void serve(const char *dir, int sock)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(sock, STDIN_FILENO) < 0)
		_exit(1);
	execl(DIOD, DIOD, "-f", "-n", "-N", "-c", "/dev/null", "-e", dir,
	      "-r", "0", "-w", "0", NULL);
	_exit(1);
}

int p9_mount(const char *dir, const char *path, pid_t *server)
{
	char options[192];
	int socks[2], ret;

	if (access(DIOD, X_OK) || !test_has_module("9pnet_fd") ||
	    !test_has_module("9p"))
		return -ENODEV;
	if (mkdir(path, 0755) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		return -errno;
	*server = fork();
	if (!*server)
		serve(dir, socks[1]);
	close(socks[1]);
	snprintf(options, sizeof(options),
		 "trans=fd,rfdno=%d,wfdno=%d,version=9p2000.L,aname=%s,uname=root,"
		 "access=client", socks[0], socks[0], dir);
	ret = *server < 0 || mount("diod", path, "9p", 0, options) ? -errno : 0;
	close(socks[0]);
	return ret;
}
