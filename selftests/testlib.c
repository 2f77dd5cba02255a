// SPDX-License-Identifier: GPL-2.0
/*
 * What several test programs need; see testlib.h for the contracts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "testlib.h"

#define POLL_NS		(5 * 1000 * 1000)
#define CHUNK		(64 * TEST_KIB)

/* Devices */

int test_create(int fd, uint32_t flags, uint64_t offset, uint64_t length,
		uint32_t block_size)
{
	struct blkfd_create arg = {
		.fd = fd,
		.flags = flags,
		.offset = offset,
		.length = length,
		.block_size = block_size,
	};
	int control, ret;

	control = open("/dev/blkfd", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -errno;
	ret = test_create_by(control, &arg);
	close(control);
	return ret;
}

int test_create_by(int control, const struct blkfd_create *arg)
{
	int fd = ioctl(control, BLKFD_CREATE, arg);

	return fd < 0 ? -errno : fd;
}

int test_create_as(uid_t user, int fd)
{
	const struct blkfd_create arg = { .fd = fd };
	int control = open("/dev/blkfd", O_RDWR | O_CLOEXEC), dev;

	if (control < 0 || setresuid(-1, user, 0))
		return -errno;
	dev = test_create_by(control, &arg);
	if (setresuid(-1, 0, 0))
		return -errno;
	close(control);
	return dev;
}

unsigned long test_sized(unsigned long request, size_t size)
{
	return _IOC(_IOC_DIR(request), _IOC_TYPE(request), _IOC_NR(request),
		    size);
}

int test_info(int fd, struct blkfd_info *info)
{
	memset(info, 0, sizeof(*info));
	return ioctl(fd, BLKFD_GET_INFO, info) < 0 ? -errno : 0;
}

uint64_t test_id(int fd)
{
	struct blkfd_info info;

	return test_info(fd, &info) ? UINT64_MAX : info.id;
}

static bool is_device(uint64_t id)
{
	char value[64];

	return test_attr(id, "blkfd/id", value, sizeof(value)) != -ENODEV;
}

bool test_is_spare(uint64_t id)
{
	return test_attr_number(id, "hidden") == 1;
}

int test_disk_ids(uint64_t *ids, size_t size)
{
	unsigned long long id;
	struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	dir = opendir("/sys/block");
	if (!dir)
		return -errno;
	while (count < size && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "blkfd%llu", &id) == 1)
			ids[count++] = id;
	closedir(dir);
	return count;
}

/*
 * A disk that is made, or deleted, to be a spare or after it was one is neither a
 * device nor a spare.
 */
static int count_disks(bool (*are)(uint64_t id), bool expected)
{
	uint64_t ids[TEST_MAX_DISKS];
	int disks = test_disk_ids(ids, TEST_MAX_DISKS), count = 0;

	if (disks < 0)
		return disks;
	for (int i = 0; i < disks; i++)
		count += are(ids[i]) == expected;
	return count;
}

int test_count_devices(void)
{
	return count_disks(is_device, true);
}

int test_count_spares(void)
{
	return count_disks(test_is_spare, true);
}

static bool has_spares(void *arg)
{
	int count = *(int *)arg;

	return test_count_spares() == count &&
	       count_disks(is_device, false) == count;
}

int test_set_spares(int count)
{
	char text[16];
	int ret;

	snprintf(text, sizeof(text), "%d", count);
	ret = test_set_parameter("spares", text);
	if (ret)
		return ret;
	return test_wait(has_spares, &count, TEST_TIMEOUT_MS) ? 0 : -ETIMEDOUT;
}

int test_set_parameter(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/blkfd/parameters/%s", name);
	return test_write_text(path, value);
}

int test_write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

int test_read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, text, size - 1);
	if (len < 0)
		len = -errno;
	close(fd);
	if (len < 0)
		return len;
	if (len && text[len - 1] == '\n')
		len--;
	text[len] = 0;
	return len;
}

long long test_read_field(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	long long value, found = -ENODATA;
	char line[128], key[64];

	if (!file)
		return -errno;
	while (found < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63[^: ]%*[: ]%lld", key, &value) == 2 && !strcmp(key, name))
			found = value;
	fclose(file);
	return found;
}

struct field {
	const char *path;
	const char *name;
	long long least;
};

static bool has_least(void *arg)
{
	const struct field *field = arg;

	return test_read_field(field->path, field->name) >= field->least;
}

bool test_wait_field(const char *path, const char *name, long long least)
{
	struct field field = { path, name, least };

	return test_wait(has_least, &field, TEST_TIMEOUT_MS);
}

bool test_device_listed(uint64_t id)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/blkfd%llu",
		 (unsigned long long)id);
	return !access(path, F_OK);
}

static bool device_gone(void *arg)
{
	return !test_device_listed(*(uint64_t *)arg);
}

bool test_wait_gone(uint64_t id)
{
	return test_wait(device_gone, &id, TEST_TIMEOUT_MS);
}

static bool no_devices(void *arg)
{
	return !test_count_devices();
}

bool test_wait_none(void)
{
	return test_wait(no_devices, NULL, TEST_TIMEOUT_MS);
}

int test_attr(uint64_t id, const char *name, char *value, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/block/blkfd%llu/%s",
		 (unsigned long long)id, name);
	return test_read_text(path, value, size);
}

uint64_t test_attr_number(uint64_t id, const char *name)
{
	unsigned long long number;
	char value[64];
	int end = 0;

	if (test_attr(id, name, value, sizeof(value)) <= 0 ||
	    sscanf(value, "%llu%n", &number, &end) != 1 || value[end])
		return UINT64_MAX;
	return number;
}

void test_fd_path(int fd, char *path, size_t size)
{
	snprintf(path, size, "/proc/%d/fd/%d", getpid(), fd);
}

int test_reopen(int fd, int flags)
{
	char path[TEST_PATH_MAX];
	int ret;

	test_fd_path(fd, path, sizeof(path));
	ret = open(path, flags | O_CLOEXEC);
	return ret < 0 ? -errno : ret;
}

/* Backing files */

static int sized(int fd, uint64_t size)
{
	int error;

	if (fd < 0)
		return -errno;
	if (!ftruncate(fd, size))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int test_memfd(uint64_t size)
{
	return sized(memfd_create("blkfd-test", MFD_CLOEXEC), size);
}

int test_tmpfile(const char *dir, uint64_t size)
{
	return sized(open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), size);
}

int test_file(const char *path, uint64_t size, int flags)
{
	int made, fd;

	unlink(path);
	made = sized(open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600),
		     size);
	if (made < 0 || !flags)
		return made;
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(made);
	return fd;
}

/* Mounts */

int test_private_mounts(void)
{
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	return test_tmpfs(TEST_DIR);
}

int test_tmpfs(const char *dir)
{
	if (mkdir(dir, 0755) && errno != EEXIST)
		return -errno;
	return mount("tmpfs", dir, "tmpfs", 0, NULL) ? -errno : 0;
}

int test_mkfs(const char *fstype, const char *path)
{
	const char *force = strncmp(fstype, "ext", 3) ? "-f" : "-F";
	char program[32];

	if (!strcmp(fstype, "ntfs"))
		force = "-QF";
	snprintf(program, sizeof(program), "mkfs.%s", fstype);
	return test_command(program, "-q", force, path);
}

const char *test_disk(void)
{
	return getenv("TEST_DISK") ?: "/dev/no-test-disk";
}

const char *test_disk_name(void)
{
	return strrchr(test_disk(), '/') + 1;
}

int test_scratch_mount(const char *fstype, const char *options)
{
	char dir[64];
	int ret;

	ret = test_mkfs(fstype, TEST_DISK);
	if (ret)
		return ret < 0 ? ret : -EIO;
	snprintf(dir, sizeof(dir), TEST_DIR "/%s", fstype);
	if (mkdir(dir, 0755) && errno != EEXIST)
		return -errno;
	return mount(TEST_DISK, dir, fstype, 0, options) ? -errno : 0;
}

int test_drop_caches(void)
{
	sync();
	return test_write_text("/proc/sys/vm/drop_caches", "3");
}

bool test_has_module(const char *name)
{
	char silent[256];

	return !test_output(silent, sizeof(silent), "modprobe", "-q", name);
}

/* The top of the tree that this program was built in. */
static int top_path(const char *path, char *full, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", full, size - 1);

	if (length < 0)
		return -errno;
	full[length] = 0;
	for (int up = 0; up < 2; up++)
		*strrchr(full, '/') = 0;
	length = strlen(full);
	return (size_t)snprintf(full + length, size - length, "/%s", path) <
	       size - length ? 0 : -ENAMETOOLONG;
}

static int livepatch_attr(const char *name, const char *attr, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/livepatch/%s/%s", name, attr);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool livepatch_is(const char *name, const char *attr)
{
	int fd = livepatch_attr(name, attr, O_RDONLY);
	char value = '0';

	if (fd < 0)
		return false;
	if (read(fd, &value, 1) != 1)
		value = '0';
	close(fd);
	return value != '0';
}

bool test_livepatch_in_transition(const char *name)
{
	return livepatch_is(name, "transition");
}

static bool livepatch_settled(void *arg)
{
	return !test_livepatch_in_transition(arg);
}

static int livepatch_settle(const char *name)
{
	/* The kernel itself looks again once a second only. */
	return test_wait(livepatch_settled, (void *)name,
			 2 * TEST_TIMEOUT_MS) ? 0 : -ETIMEDOUT;
}

int test_module_load(const char *path, const char *parameters)
{
	char full[512];
	int fd, ret;

	ret = top_path(path, full, sizeof(full));
	if (ret)
		return ret;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return ret;
}

int test_module_unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

int test_livepatch_load(const char *path, const char *parameters)
{
	const char *slash = strrchr(path, '/');
	char name[64];
	int ret;

	ret = test_module_load(path, parameters);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(slash + 1, "."),
		 slash + 1);
	return ret ?: livepatch_settle(name);
}

int test_livepatch_begin_disable(const char *name)
{
	int fd = livepatch_attr(name, "enabled", O_WRONLY), ret;

	if (fd < 0)
		return fd;
	ret = write(fd, "0", 1) == 1 ? 0 : -errno;
	close(fd);
	return ret;
}

int test_livepatch_disable(const char *name)
{
	int ret = 0;

	if (livepatch_is(name, "enabled"))
		ret = test_livepatch_begin_disable(name);
	return ret ?: livepatch_settle(name);
}

static bool module_removed(void *arg)
{
	if (!syscall(SYS_delete_module, arg, O_NONBLOCK))
		errno = 0;
	return errno != EAGAIN;
}

/* The patch lets go of its module a moment after it has left /sys. */
int test_livepatch_unload(const char *name)
{
	int ret = test_livepatch_disable(name);

	if (!ret)
		ret = test_wait(module_removed, (void *)name, TEST_TIMEOUT_MS) ?
		      -errno : -EBUSY;
	return ret;
}

int test_count_mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	int lines = 0;

	if (!file)
		return -errno;
	for (int c = fgetc(file); c != EOF; c = fgetc(file))
		lines += c == '\n';
	fclose(file);
	return lines;
}

int test_dm_create(const char *name, const char *table)
{
	return test_command("dmsetup", "create", name, "--table", table);
}

int test_dm_replace(const char *name, const char *table)
{
	return test_dm_suspend(name) ?:
	       test_command("dmsetup", "reload", name, "--table", table) ?:
	       test_dm_resume(name);
}

int test_dm_suspend(const char *name)
{
	return test_command("dmsetup", "suspend", "--nolockfs", name);
}

int test_dm_resume(const char *name)
{
	return test_command("dmsetup", "resume", name);
}

static bool dm_removed(void *name)
{
	char silent[256];

	return !test_output(silent, sizeof(silent), "dmsetup", "remove", "--retry", name);
}

/* By itself it tries for five seconds, in which udevd may be looking at it. */
int test_dm_remove(const char *name)
{
	return test_wait(dm_removed, (void *)name, TEST_TIMEOUT_MS) ? 0 : -EBUSY;
}

static bool parse_mount(const char *line, const char *target, struct test_mount *mount)
{
	const char *dash = strstr(line, " - ");
	char path[256];

	return dash &&
	       sscanf(line, "%*s %*s %*s %*s %255s %255s", path, mount->options) == 2 &&
	       sscanf(dash, " - %63s %255s %255s", mount->fstype, mount->source,
		      mount->super) == 3 && !strcmp(path, target);
}

bool test_find_mount(const char *target, struct test_mount *mount)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	struct test_mount seen;
	char line[1024];
	bool found = false;

	while (file && fgets(line, sizeof(line), file)) {
		if (!parse_mount(line, target, &seen))
			continue;
		*mount = seen;
		found = true;
	}
	if (file)
		fclose(file);
	return found;
}

/* FUSE: the root itself is the file */

#define FUSE_BUFFER	(64 * TEST_KIB)

struct fuse_file {
	int fd;
	char *data;
	char *stable;
	int *fsync_error;
	uint64_t size;
	uint32_t block;
	uid_t owner;
	int *reopen_error;
	unsigned int opens;
	uint32_t open_flags;
};

struct fuse_request {
	struct fuse_in_header header;
	union {
		struct fuse_read_in read;
		struct fuse_write_in write;
		char space[FUSE_BUFFER + 4096];
	};
};

struct fuse_reply {
	struct fuse_out_header header;
	union {
		struct fuse_init_out init;
		struct fuse_attr_out attr;
		struct fuse_open_out open;
		struct fuse_write_out write;
		char data[FUSE_BUFFER];
	};
};

static void fuse_attr(const struct fuse_file *file, struct fuse_attr *attr)
{
	*attr = (struct fuse_attr) {
		.ino = 1,
		.size = file->size,
		.mode = S_IFREG | 0644,
		.nlink = 1,
		.blksize = file->block,
	};
}

static int fuse_fsync(const struct fuse_file *file)
{
	if (!*file->fsync_error)
		memcpy(file->stable, file->data, file->size);
	return *file->fsync_error;
}

static int fuse_read(const struct fuse_file *file,
		     const struct fuse_read_in *in, char *data)
{
	uint64_t left = in->offset < file->size ? file->size - in->offset : 0;
	uint64_t len = in->size < left ? in->size : left;

	memcpy(data, file->data + in->offset, len);
	return len;
}

static int fuse_write(const struct fuse_file *file,
		      const struct fuse_write_in *in, struct fuse_write_out *out)
{
	if (in->offset > file->size || in->size > file->size - in->offset)
		return -EFBIG;
	memcpy(file->data + in->offset, in + 1, in->size);
	out->size = in->size;
	return sizeof(*out);
}

/* The length of what is in the reply behind its header, or -errno. */
static int fuse_answer(struct fuse_file *file,
		       const struct fuse_request *in, struct fuse_reply *out)
{
	switch (in->header.opcode) {
	case FUSE_INIT:
		out->init = (struct fuse_init_out) {
			.major = 7,
			.minor = 31,
			.flags = FUSE_BIG_WRITES | FUSE_ASYNC_DIO,
			.max_write = FUSE_BUFFER,
		};
		return sizeof(out->init);
	case FUSE_GETATTR:
		fuse_attr(file, &out->attr.attr);
		return sizeof(out->attr);
	case FUSE_OPEN:
		if (in->header.uid != file->owner)
			return -EACCES;
		if (file->opens++ % 2 && *file->reopen_error)
			return -*file->reopen_error;
		out->open.open_flags = FOPEN_NOFLUSH | file->open_flags;
		return sizeof(out->open);
	case FUSE_READ:
		return fuse_read(file, &in->read, out->data);
	case FUSE_WRITE:
		return fuse_write(file, &in->write, &out->write);
	case FUSE_FSYNC:
		return fuse_fsync(file);
	case FUSE_RELEASE:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void fuse_serve(struct fuse_file *file)
{
	static struct fuse_request in;
	static struct fuse_reply out;
	int len;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(file->fd, &in, sizeof(in)) > 0) {
		if (in.header.opcode == FUSE_FORGET ||
		    in.header.opcode == FUSE_BATCH_FORGET)
			continue;
		memset(&out, 0, sizeof(out));
		len = fuse_answer(file, &in, &out);
		out.header.unique = in.header.unique;
		out.header.error = len < 0 ? len : 0;
		out.header.len = sizeof(out.header) + (len < 0 ? 0 : len);
		/* Who has been killed meanwhile takes no answer. */
		if (write(file->fd, &out, out.header.len) < 0 && errno != ENOENT)
			_exit(1);
	}
	_exit(0);
}

int test_fuse_mount(struct test_fuse *fuse, const char *path, uint64_t size,
		    uint32_t block)
{
	struct fuse_file file = {
		.size = size,
		.block = block,
		.owner = fuse->owner,
		.open_flags = fuse->open_flags,
	};
	char options[128];

	file.data = mmap(NULL, 2 * size + 2 * sizeof(int), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	file.stable = file.data + size;
	file.fsync_error = (int *)(file.stable + size);
	file.reopen_error = file.fsync_error + 1;
	file.fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (file.data == MAP_FAILED || file.fd < 0)
		return -errno;
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=100644,user_id=%u,group_id=%u,max_read=%llu",
		 file.fd, fuse->owner, fuse->owner, FUSE_BUFFER);
	close(test_file(path, 0, 0));
	if (mount("test", path, "fuse", 0, options))
		return -errno;
	fuse->data = file.data;
	fuse->stable = file.stable;
	fuse->fsync_error = file.fsync_error;
	fuse->reopen_error = file.reopen_error;
	fuse->server = fork();
	if (!fuse->server)
		fuse_serve(&file);
	close(file.fd);
	return fuse->server < 0 ? -errno : 0;
}

/* Commands and processes */

/* Reads to the end, keeps what fits and terminates it. */
static void collect(int fd, char *out, size_t size)
{
	char rest[512];
	size_t used = 0;
	ssize_t got;

	do {
		bool full = used + 1 >= size;

		got = full ? read(fd, rest, sizeof(rest)) :
			     read(fd, out + used, size - 1 - used);
		if (got > 0 && !full)
			used += got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	out[used] = 0;
}

static int spawn(pid_t *pid, int output, const char *const argv[])
{
	posix_spawn_file_actions_t actions;
	int ret;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, 1);
	posix_spawn_file_actions_adddup2(&actions, output, 2);
	ret = posix_spawnp(pid, argv[0], &actions, NULL, (char **)argv,
			   environ);
	posix_spawn_file_actions_destroy(&actions);
	return -ret;
}

int test_run(char *out, size_t size, const char *const argv[])
{
	char own[4096];
	int pipes[2];
	pid_t pid;
	int ret;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	ret = spawn(&pid, pipes[1], argv);
	close(pipes[1]);
	if (!ret) {
		collect(pipes[0], out ? out : own, out ? size : sizeof(own));
		ret = test_reap(pid);
		if (ret && !out)
			fprintf(stderr, "# %s: status %d: %s\n", argv[0], ret, own);
	}
	close(pipes[0]);
	return ret;
}

int test_shell(char *out, size_t size, const char *line)
{
	return test_output(out, size, "bash", "-c", line);
}

int test_become(unsigned int user)
{
	if (setresgid(user, user, user) || setresuid(user, user, user))
		return -errno;
	return 0;
}

int test_enter_user_namespace(int more)
{
	unsigned int uid = geteuid(), gid = getegid();
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %u 1", uid);
	snprintf(gids, sizeof(gids), "0 %u 1", gid);
	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER | more))
		return -errno;
	return test_write_text("/proc/self/uid_map", uids) ?:
	       test_write_text("/proc/self/setgroups", "deny") ?:
	       test_write_text("/proc/self/gid_map", gids);
}

int test_reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   128 + WTERMSIG(status);
}

pid_t test_start_member(const char *cgroup, int (*work)(void *arg), void *arg)
{
	char path[128], byte;
	int done[2];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	if (pipe2(done, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid)
		_exit(test_write_text(path, "0") || work(arg) ||
		      write(done[1], "", 1) != 1 || pause());
	close(done[1]);
	if (read(done[0], &byte, 1) != 1)
		pid = -1;
	close(done[0]);
	return pid;
}

void test_end_member(pid_t pid)
{
	kill(pid, SIGKILL);
	test_reap(pid);
}

/* Waiting */

unsigned int test_slowdown(void)
{
	const char *value = getenv("TEST_SLOWDOWN");
	int slowdown = value ? atoi(value) : 1;

	return slowdown > 1 ? slowdown : 1;
}

unsigned long test_rounds(unsigned long rounds)
{
	const char *text = getenv("TEST_ROUNDS");

	return text ? strtoul(text, NULL, 10) : rounds;
}

void test_tell(unsigned int parts, unsigned long done, unsigned long all, const char *what)
{
	static unsigned long told;
	unsigned long part = all ? done * parts / all : 0;

	if (!getenv("TEST_ROUNDS") || part <= told || part >= parts)
		return;
	told = part;
	fprintf(stderr, "# %lu %s of %lu\n", done, what, all);
}

double test_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

bool test_wait(bool (*cond)(void *arg), void *arg, unsigned int timeout_ms)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	double end = test_seconds() + timeout_ms / 1e3 * test_slowdown();

	while (!cond(arg)) {
		if (test_seconds() > end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Descriptors over sockets */

union fd_message {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

int test_send_fd(int sock, int fd)
{
	union fd_message control = { };
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) < 0 ? -errno : 0;
}

int test_recv_fd(int sock)
{
	union fd_message control = { };
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	if (!CMSG_FIRSTHDR(&msg) || control.header.cmsg_type != SCM_RIGHTS)
		return -ENOMSG;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(int));
	return fd;
}

/* Patterns */

/* The finaliser of splitmix64: neighbours differ in half their bits. */
static uint64_t word_at(uint64_t offset, uint64_t seed)
{
	uint64_t x = offset + (seed + 1) * 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

void test_fill(void *buf, size_t size, uint64_t offset, uint64_t seed)
{
	uint64_t *words = buf;

	for (size_t i = 0; i < size / 8; i++)
		words[i] = word_at(offset + i * 8, seed);
}

ssize_t test_compare(const void *buf, size_t size, uint64_t offset,
		     uint64_t seed)
{
	const uint64_t *words = buf;

	for (size_t i = 0; i < size / 8; i++)
		if (words[i] != word_at(offset + i * 8, seed))
			return i * 8;
	return -1;
}

static ssize_t compare_zero(const void *buf, size_t size)
{
	const uint64_t *words = buf;

	for (size_t i = 0; i < size / 8; i++)
		if (words[i])
			return i * 8;
	return -1;
}

int test_write_pattern(int fd, uint64_t offset, uint64_t size, uint64_t seed)
{
	/* Aligned for descriptors that are open with O_DIRECT. */
	alignas(4096) char buf[CHUNK];

	while (size) {
		size_t len = size < CHUNK ? size : CHUNK;
		ssize_t done;

		test_fill(buf, len, offset, seed);
		done = pwrite(fd, buf, len, offset);
		if (done < 0)
			return -errno;
		if (done != (ssize_t)len)
			return -ENOSPC;
		offset += len;
		size -= len;
	}
	return 0;
}

static int check(int fd, uint64_t offset, uint64_t size, const uint64_t *seed)
{
	alignas(4096) char buf[CHUNK];

	while (size) {
		size_t len = size < CHUNK ? size : CHUNK;
		ssize_t got = pread(fd, buf, len, offset), bad;

		if (got < 0)
			return -errno;
		if (got != (ssize_t)len)
			return -ENODATA;
		bad = seed ? test_compare(buf, len, offset, *seed) :
			     compare_zero(buf, len);
		if (bad >= 0) {
			fprintf(stderr, "# differs at byte %llu\n",
				(unsigned long long)offset + bad);
			return -EILSEQ;
		}
		offset += len;
		size -= len;
	}
	return 0;
}

int test_check_pattern(int fd, uint64_t offset, uint64_t size, uint64_t seed)
{
	return check(fd, offset, size, &seed);
}

int test_check_zero(int fd, uint64_t offset, uint64_t size)
{
	return check(fd, offset, size, NULL);
}
