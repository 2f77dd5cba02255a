// SPDX-License-Identifier: GPL-2.0
/*
 * blkfd exec: a command with a device on descriptor 3. This process holds the
 * device too while the command runs, at a path that no other device has.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blkfd.h"
#include "common.h"

#define DEVICE_FD 3

/* The path by which others reach our descriptor; "self" is us in this /proc. */
static char *holder_path(int fd)
{
	char self[32], *path;
	ssize_t length = readlink("/proc/self", self, sizeof(self) - 1);

	if (length < 0)
		return NULL;
	self[length] = 0;
	return asprintf(&path, "/proc/%s/fd/%d", self, fd) < 0 ? NULL : path;
}

static char *replace_braces(const char *arg, const char *path)
{
	size_t size = 1, length = strlen(path);
	const char *p;
	char *new, *end;

	for (p = arg; *p; p++)
		size += strncmp(p, "{}", 2) ? 1 : length;
	new = malloc(size);
	if (!new)
		return NULL;
	for (p = arg, end = new; *p; p++) {
		if (strncmp(p, "{}", 2)) {
			*end++ = *p;
		} else {
			end = stpcpy(end, path);
			p++;
		}
	}
	*end = 0;
	return new;
}

/* Changed in place: argv belongs to us, and exec follows. */
static int name_device(char **argv, const char *path)
{
	for (; *argv; argv++) {
		if (!strstr(*argv, "{}"))
			continue;
		*argv = replace_braces(*argv, path);
		if (!*argv)
			return -ENOMEM;
	}
	return setenv("BLKFD", path, 1) < 0 ? -errno : 0;
}

/*
 * In the child, which gets the signal mask and the SIGCHLD of our caller back: does
 * not return. report, the higher end of a pipe, is above DEVICE_FD.
 */
static void become(int fd, char **argv, const sigset_t *mask, bool ignored,
		   int report)
{
	int error;

	if (ignored)
		signal(SIGCHLD, SIG_IGN);
	sigprocmask(SIG_SETMASK, mask, NULL);
	if ((fd == DEVICE_FD ? fcntl(fd, F_SETFD, 0) :
			       dup2(fd, DEVICE_FD)) >= 0)
		execvp(argv[0], argv);
	error = errno;
	_exit(write(report, &error, sizeof(error)) < 0);
}

/*
 * The command's process, or why there is none. Our own SIGCHLD stays as it is: were
 * it ignored for a moment, a child that ends in it would leave nothing to wait for.
 */
static pid_t spawn(int fd, char **argv, const sigset_t *mask, bool ignored)
{
	int pipes[2], error = 0;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (!pid)
		become(fd, argv, mask, ignored, pipes[1]);
	if (pid < 0)
		error = errno;
	close(pipes[1]);
	/* Nothing to read: the command has taken the child's place. */
	if (pid > 0 && read(pipes[0], &error, sizeof(error)) > 0)
		waitpid(pid, NULL, 0);
	close(pipes[0]);
	return error ? -error : pid;
}

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
		WEXITSTATUS(status);
}

/*
 * Those of the terminal reach the command without our help; but that it is gone is told
 * to the session's leader alone, and to others when he ends.
 */
static bool is_for_command(const siginfo_t *info)
{
	if (info->si_signo == SIGHUP && getsid(0) == getpid())
		return true;
	return info->si_signo != SIGCHLD && info->si_code <= 0;
}

static int wait_for(pid_t pid, const sigset_t *signals)
{
	siginfo_t info;
	pid_t ended;
	int status;

	for (;;) {
		ended = waitpid(pid, &status, WNOHANG);
		if (ended == pid)
			return exit_status(status);
		if (ended < 0) {
			complain("the command's end: %s", strerror(errno));
			return EXIT_FAILED;
		}
		if (sigwaitinfo(signals, &info) < 0)
			continue;
		if (is_for_command(&info))
			kill(pid, info.si_signo);
	}
}

static int run(int fd, char **argv, bool *started)
{
	static const int passed_on[] = {
		SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT
	};
	static const struct timespec now;
	sigset_t signals, mask;
	bool ignored;
	int status;
	pid_t pid;
	size_t i;

	sigemptyset(&signals);
	for (i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&signals, passed_on[i]);
	sigprocmask(SIG_BLOCK, &signals, &mask);
	ignored = signal(SIGCHLD, SIG_DFL) == SIG_IGN;
	pid = spawn(fd, argv, &mask, ignored);
	*started = pid > 0;
	if (*started) {
		status = wait_for(pid, &signals);
		/* What came before the command's end was the command's. */
		while (sigtimedwait(&signals, NULL, &now) > 0)
			;
		sigprocmask(SIG_SETMASK, &mask, NULL);
		return status;
	}
	complain("%s: %s", argv[0], strerror(-pid));
	return pid == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

static int fail_device(const char *file, int error)
{
	complain("%s: device: %s", file, strerror(error));
	return -error;
}

/*
 * What is still in the device's cache goes to the file, and no further, as by closing the
 * device, which would not tell if it did not get there. If there was an error before that,
 * fsync() says whether data was lost. fd is an open file of our own, since each is told
 * once, and the command has the other one.
 */
static int write_back(const char *file, int fd)
{
	struct blkfd_info info;
	int ret;

	if (sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE_AND_WAIT))
		return fail_device(file, errno);
	ret = blkfd_get_info(fd, &info);
	if (!ret && info.errors && fsync(fd))
		ret = -errno;
	return ret ? fail_device(file, -ret) : 0;
}

/* The command may have been told of what was lost, and have paid no heed. */
static int sync_device(const char *file, int fd)
{
	struct blkfd_info info;
	int ret = fsync(fd) ? -errno : blkfd_get_info(fd, &info);

	if (ret)
		return fail_device(file, -ret);
	if (!info.errors)
		return 0;
	complain("%s: %llu requests of the device have failed: is the file system there full?",
		 file, (unsigned long long)info.errors);
	return -EIO;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/*
 * What the command left running, or mounted, would go on to change the file. A device that
 * we have closed, and that can still be opened by node, is such a one's; who is about to
 * end has five seconds.
 */
static int finish_device(const char *file, int fd, const char *node)
{
	static const struct timespec pause = { .tv_nsec = 20000000 };
	double end = seconds() + 5;
	int looks = 0, ret;

	for (;;) {
		ret = sync_device(file, fd);
		close(fd);
		if (ret)
			return ret;
		fd = open(node, O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno == ENXIO)
			return 0;
		if (fd < 0)
			return fail_device(file, errno);
		if (++looks > 10 && seconds() > end)
			break;
		nanosleep(&pause, NULL);
	}
	complain("%s: the command has left the device mounted, or in use", file);
	close(fd);
	return -EBUSY;
}

static int publish(const struct backing *backing, int fd, const char *path)
{
	char node_path[BLKFD_PATH_MAX];
	int node = open(path, O_PATH | O_CLOEXEC), ret;

	if (node < 0)
		return fail_device(backing->path, errno);
	blkfd_path(node, node_path, sizeof(node_path));
	ret = finish_device(backing->path, fd, node_path);
	close(node);
	return ret ? ret : output_publish(backing->fd, backing->dir, backing->path);
}

static int exec_device(int fd, const char *path, char **argv, bool *started)
{
	int ret;

	if (!path) {
		complain("/proc/self: %s", strerror(errno));
		return EXIT_FAILED;
	}
	ret = name_device(argv, path);
	if (!ret)
		return run(fd, argv, started);
	complain("%s: %s", argv[0], strerror(-ret));
	return EXIT_FAILED;
}

static int exec_file(const char *file, const struct device_options *options,
		     char **argv)
{
	struct backing backing;
	bool started = false;
	int fd, own, ret;
	char *path;

	fd = device_open(&backing, file, options);
	if (fd < 0)
		return EXIT_FAILED;
	path = holder_path(fd);
	own = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ret = exec_device(fd, own < 0 ? NULL : path, argv, &started);
	/* What has been started may have written. */
	if (!started) {
		close(own);
		close(fd);
		backing_restore(&backing);
		return ret;
	}
	if (!options->new)
		return write_back(file, own) && !ret ? EXIT_FAILED : ret;
	close(own);
	if (ret)
		return ret;
	return publish(&backing, fd, path) ? EXIT_FAILED : 0;
}

int exec_main(int argc, char **argv)
{
	struct device_options options = { };
	int separator = find_separator(argc, argv), index, c;

	while ((c = getopt_long(separator, argv, "h", long_options,
				&index)) >= 0) {
		if (c == 'h')
			return usage(argv[0]);
		if (c == 't' || c == 'o' || c == 'j')
			complain("exec: --%s is for mount",
				 long_options[index].name);
		if (c == 'n')
			options.new = true;
		else if (c != OPT_DEVICE ||
			 device_option_set(&options, long_options[index].name,
					   optarg) < 0)
			return usage_error("exec");
	}
	if (separator - optind != 1 || separator + 1 >= argc) {
		complain("exec: what is needed is FILE -- COMMAND");
		return usage_error("exec");
	}
	if (device_options_check(&options) < 0)
		return usage_error("exec");
	return exec_file(argv[optind], &options, argv + separator + 1);
}
