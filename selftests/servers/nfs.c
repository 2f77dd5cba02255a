// SPDX-License-Identifier: GPL-2.0
/*
 * This kernel's NFS server, set up by hand, and a relay between it and the client:
 * threads of the kernel cannot be stopped and killed, the relay can.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nfsd/cld.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../testlib.h"
#include "servers.h"

#define NFSD		"/proc/fs/nfsd/"
#define CHANNEL(name)	"/proc/net/rpc/" name "/channel"
#define FLUSH(name)	"/proc/net/rpc/" name "/flush"
#define PIPES		TEST_DIR "/pipes"
#define FOR_EVER	"2147483647"
/* By fsid, from any port, without a subtree check; root as itself or as nobody. */
#define EXPORT_FLAGS	"9218"
#define SQUASH_FLAGS	"9222"

#define SERVER_PORT	2049
#define RELAY_PORT	20490
#define OPTIONS		"vers=4.2,proto=tcp,port=20490,sec=sys,addr=127.0.0.1," \
			"clientaddr=127.0.0.1,"

static pid_t list_keeper;

/* Of the last mount. */
static char knob[64];

static int export_as(const char *dir, const char *flags)
{
	char line[128];

	snprintf(line, sizeof(line), "all %s " FOR_EVER " %s 65534 65534 0\n", dir, flags);
	return test_write_text(CHANNEL("nfsd.export"), line);
}

int nfs_squash_root(const char *dir)
{
	return export_as(dir, SQUASH_FLAGS);
}

static int offer(const char *dir)
{
	char line[128];
	int ret;

	ret = test_write_text(CHANNEL("auth.unix.ip"),
			      "nfsd 127.0.0.1 " FOR_EVER " all\n") ?:
	      export_as(dir, EXPORT_FLAGS);
	if (ret)
		return ret;
	snprintf(line, sizeof(line), "all 1 \\x00000000 " FOR_EVER " %s\n", dir);
	return test_write_text(CHANNEL("nfsd.fh"), line);
}

static bool opens_list(void *list)
{
	int *fd = list;

	*fd = open(PIPES "/nfsd/cld", O_RDWR | O_CLOEXEC);
	return *fd >= 0;
}

/*
 * A list of clients that may come back after a restart, which the server asks for,
 * and waits in their favour if there is none. Ours has nobody on it: all that
 * it is told is well, and its version, which it may be asked for, the first.
 */
static void keep_list(void)
{
	struct pollfd list = { .events = POLLIN };
	struct cld_msg msg;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!test_wait(opens_list, &list.fd, TEST_TIMEOUT_MS))
		_exit(1);
	/* To read does not wait. */
	while (poll(&list, 1, -1) > 0 &&
	       read(list.fd, &msg, sizeof(msg)) == sizeof(msg)) {
		msg.cm_u.cm_version = 1;
		msg.cm_status = 0;
		if (write(list.fd, &msg, sizeof(msg)) < 0)
			break;
	}
	_exit(0);
}

/* The list appears, and has to be opened, while the threads are started. */
int nfs_serve(const char *dir)
{
	if (!test_has_module("nfsd") || !test_has_module("nfsv4"))
		return -ENODEV;
	if (mkdir(PIPES, 0755) || mount("pipes", PIPES, "rpc_pipefs", 0, NULL) ||
	    mount("nfsd", NFSD, "nfsd", 0, NULL))
		return -errno;
	list_keeper = fork();
	if (!list_keeper)
		keep_list();
	if (list_keeper < 0)
		return -errno;
	return offer(dir) ?:
	       /* As short as can be, should there be no list in time. */
	       test_write_text(NFSD "nfsv4gracetime", "10") ?:
	       test_write_text(NFSD "nfsv4leasetime", "10") ?:
	       test_write_text(NFSD "versions", "-3 +4 -4.0 -4.1 +4.2\n") ?:
	       test_write_text(NFSD "portlist", "tcp 2049\n") ?:
	       test_write_text(NFSD "threads", "2\n");
}

/* What was served is in use until the caches forget it. */
void nfs_stop_serving(void)
{
	if (access(NFSD "threads", F_OK))
		return;
	test_write_text(NFSD "threads", "0\n");
	test_write_text(FLUSH("nfsd.fh"), FOR_EVER "\n");
	test_write_text(FLUSH("nfsd.export"), FOR_EVER "\n");
	test_write_text(FLUSH("auth.unix.ip"), FOR_EVER "\n");
	if (list_keeper > 0) {
		kill(list_keeper, SIGKILL);
		test_reap(list_keeper);
	}
	umount(PIPES);
	umount(NFSD);
}

/* A socket, by listen() or connect(), at this port of this machine. */
static int local_socket(int port, bool listens)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct sockaddr *to = (const struct sockaddr *)&address;

	if (!listens)
		return connect(fd, to, sizeof(address)) ? -errno : fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return bind(fd, to, sizeof(address)) || listen(fd, 1) ? -errno : fd;
}

static bool relay_some(int from, int to)
{
	static char buf[64 * TEST_KIB];
	ssize_t len = read(from, buf, sizeof(buf)), sent = 0, done;

	for (; sent < len; sent += done) {
		done = write(to, buf + sent, len - sent);
		if (done < 0)
			return false;
	}
	return len > 0;
}

static void relay_connection(int client, int server)
{
	struct pollfd ends[] = { { client, POLLIN, 0 }, { server, POLLIN, 0 } };
	bool open = true;

	while (open && poll(ends, 2, -1) > 0)
		for (int i = 0; i < 2; i++)
			if (open && ends[i].revents)
				open = relay_some(ends[i].fd, ends[!i].fd);
	close(client);
	close(server);
}

/* Nothing of the test's: it would hold devices, and be held by what it serves. */
static void have_only(int listener)
{
	dup2(listener, STDIN_FILENO);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	if (unshare(CLONE_NEWNS) || umount2(TEST_DIR, MNT_DETACH))
		_exit(1);
}

/* The client has one connection at a time. */
static void relay(int listener)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	have_only(listener);
	for (;;)
		relay_connection(accept(STDIN_FILENO, NULL, NULL),
				 local_socket(SERVER_PORT, false));
}

int nfs_be_reached(pid_t *server)
{
	int listener = local_socket(RELAY_PORT, true);

	if (listener < 0)
		return listener;
	*server = fork();
	if (!*server)
		relay(listener);
	close(listener);
	return *server < 0 ? -errno : 0;
}

/* Asked for at once: later, the server is asked for what is at path. */
static int find_knob(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	snprintf(knob, sizeof(knob), "/sys/fs/nfs/%u:%u/shutdown",
		 major(st.st_dev), minor(st.st_dev));
	return 0;
}

int nfs_mount(const char *path, const char *options)
{
	char all[256];

	snprintf(all, sizeof(all), OPTIONS "%s", options);
	if (mkdir(path, 0755) || mount("127.0.0.1:/", path, "nfs", 0, all))
		return -errno;
	return find_knob(path);
}

int nfs_shut_down(void)
{
	return test_write_text(knob, "1\n");
}
