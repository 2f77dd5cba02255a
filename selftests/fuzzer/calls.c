// SPDX-License-Identifier: GPL-2.0
/*
 * What the fuzzer's programs can call. All that they touch is their own: files in
 * a directory of the fuzzer, devices over those, and what is mounted from them. No
 * call waits for another program.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/blkpg.h>
#include <linux/blktrace_api.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "calls.h"
#include "libblkfd.h"
#include "../testlib.h"

#define SLOTS		16
#define BUFFER		(128 * 1024)
#define IMAGE_SIZE	(2 * TEST_MIB)
#define USER		61002
#define NOT_MADE	INT32_MIN

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define CHOOSE(table, byte) ((table)[(byte) % ARRAY_SIZE(table)])

enum kind { NOTHING, BACKING, CONTROL, DEVICE, MOUNT, OTHER };

/*
 * holds_fs: on it, or below it, is a file system that was made by mkfs. Nobody writes
 * there but the file system's own driver: what that makes of damage is not our matter.
 */
struct slot {
	int fd;
	enum kind kind;
	bool holds_fs;
};

struct call {
	uint8_t kind;
	uint8_t slot;
	uint8_t other;
	uint8_t out;
	uint8_t a;
	uint8_t b;
	uint8_t c;
	uint8_t d;
};

static struct slot slots[SLOTS];
static char *map;		/* MAP_SIZE bytes of something, or NULL */
#define MAP_SIZE	65536

static const char *dir;
static int room, image, zero, null, control, queue[2];
static char *buffer;		/* where 32-bit pointers reach */
static struct fuzz_counts *counts;
static const struct fuzz_program *program;
static unsigned int position;
static uint64_t *progress;
static void (*tell_child)(void);
static bool in_child, set_limits, trusted;

/* The file's text as it was, for those that programs write. */
static struct setting {
	const char *path;
	char text[32];
} settings[] = {
	{ "/proc/sys/dev/blkfd/max_devices", "" },
	{ "/proc/sys/dev/blkfd/reserved", "" },
	{ "/proc/sys/dev/blkfd/max_user_devices", "" },
	{ "/sys/module/blkfd/parameters/spares", "" },
};

static void fail(const char *what, const char *detail)
{
	if (__atomic_exchange_n(&counts->failed, true, __ATOMIC_SEQ_CST))
		return;
	snprintf(counts->failure, sizeof(counts->failure), "%s: %s", what, detail);
}

/* Numbers and slots */

static uint64_t value(uint8_t byte)
{
	static const uint64_t values[] = {
		0, 512, 1024, 4096, 8192, 65536, 131072, 1, 2, 3, 511, 513, 2048, 4095,
		4097, 16384, 32768, 1 << 20, (1 << 20) - 512, 1 << 24, 0x7fffffff,
		1ULL << 31, 0xffffffff, 1ULL << 32, (1ULL << 32) + 512, 1ULL << 40,
		1ULL << 41, 1ULL << 62, INT64_MAX, 1ULL << 63, INT64_MAX - 511,
		-512ULL, -1ULL, -4096ULL,
	};

	return byte < ARRAY_SIZE(values) ? values[byte] : byte * 512ULL;
}

static size_t size_of(uint8_t byte)
{
	return value(byte) % (BUFFER / 2 + 1);
}

/* Mostly the next one of this kind from there. */
static struct slot *pick(uint8_t choice, enum kind kind)
{
	for (unsigned int i = 0; i < SLOTS && !(choice & 0x80); i++) {
		struct slot *slot = &slots[(choice + i) % SLOTS];

		if (slot->kind == kind)
			return slot;
	}
	return &slots[choice % SLOTS];
}

static void empty(struct slot *slot)
{
	if (slot->kind != NOTHING)
		close(slot->fd);
	*slot = (struct slot){ .fd = -1 };
}

static int put(const struct call *call, int fd, enum kind kind, bool holds_fs)
{
	struct slot *slot = &slots[call->out % SLOTS];

	if (fd < 0)
		return fd;
	empty(slot);
	*slot = (struct slot){ fd, kind, holds_fs };
	return fd;
}

/* Backing files */

static int copy_image(void)
{
	int fd = test_memfd(IMAGE_SIZE);
	off_t start = 0, end;

	while (fd >= 0 && (start = lseek(image, start, SEEK_DATA)) >= 0) {
		end = lseek(image, start, SEEK_HOLE);
		for (; start < end; start += TEST_KIB * 4)
			if (pread(image, buffer, 4096, start) != 4096 ||
			    pwrite(fd, buffer, 4096, start) != 4096)
				return fd;
	}
	return fd;
}

static int sealed_memfd(uint64_t size, unsigned int seals)
{
	int fd = memfd_create("blkfd-fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && !ftruncate(fd, size))
		fcntl(fd, F_ADD_SEALS, seals);
	return fd;
}

static int reopened(int made, int flags)
{
	int fd = made < 0 ? made : test_reopen(made, flags | O_NONBLOCK);

	close(made);
	return fd;
}

static int no_file(uint8_t which)
{
	int pipes[2];

	switch (which % 4) {
	case 0:
		return open("/proc/version", O_RDONLY | O_CLOEXEC);
	case 1:
		return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 2:
		return dup(zero);
	default:
		if (pipe2(pipes, O_NONBLOCK | O_CLOEXEC))
			return -1;
		close(pipes[1]);
		return pipes[0];
	}
}

static int call_backing(const struct call *call)
{
	static const int flags[] = {
		O_RDONLY, O_RDWR | O_APPEND, O_WRONLY, O_PATH, O_RDWR | O_DIRECT, O_RDWR | O_SYNC,
	};
	uint64_t size = value(call->b) % (2 * TEST_MIB) ?: 65536;

	switch (call->a % 8) {
	case 1:
		return put(call, test_tmpfile(dir, size), BACKING, false);
	case 2:
		return put(call, sealed_memfd(size, call->c), BACKING, false);
	case 3:
		return put(call, reopened(test_memfd(size), CHOOSE(flags, call->c)), BACKING,
			   false);
	case 4:
		return put(call, no_file(call->c), OTHER, false);
	case 5:
		return put(call, copy_image(), BACKING, true);
	default:
		return put(call, test_memfd(size), BACKING, false);
	}
}

static int call_mount_file(const struct call *call)
{
	static const int flags[] = {
		O_RDWR, O_RDONLY, O_RDWR | O_DIRECT, O_RDWR | O_TRUNC, O_RDWR | O_APPEND,
	};
	char name[] = "file0";
	int fd;

	name[4] += call->c % 4;
	fd = openat(pick(call->slot, MOUNT)->fd, name,
		    O_CREAT | O_CLOEXEC | O_NONBLOCK | CHOOSE(flags, call->a), 0600);
	if (fd >= 0 && ftruncate(fd, value(call->b) % TEST_MIB ?: 65536))
		close(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	return put(call, fd, BACKING, false);
}

/* Our ioctls */

/* Sometimes from the 32-bit entry. */
static int enter(const struct call *call, int fd, unsigned int request, void *arg)
{
	if (call->slot & 0x40)
		return test_ioctl_32(fd, request, arg);
	return ioctl(fd, request, arg);
}

/* With the struct, of this size, that is in the buffer; sometimes not that. */
static int enter_struct(const struct call *call, int fd, unsigned int request)
{
	size_t size = _IOC_SIZE(request);
	char *arg = buffer;

	switch (call->out >> 4) {
	case 15:
		arg = (char *)0x1000;
		break;
	case 14:
		buffer[size + value(call->d) % 64] = 1;
		size += 64;
		break;
	case 13:
		size += size_of(call->d) % 8192;
		break;
	case 12:
		size = size_of(call->d) % (size + 1);
		break;
	case 11:
		request ^= _IOC_DIRMASK << _IOC_DIRSHIFT;
		break;
	case 10:
		/* The struct ends where memory does. */
		arg = memcpy(buffer + BUFFER - size, buffer, size);
		break;
	}
	return enter(call, fd, test_sized(request, size), arg);
}

/* Starts with zeroes, behind it too. */
static void *clean_buffer(void)
{
	return memset(buffer, 0, 16384);
}

/* What holds of any new device, whatever was asked for. */
static void check_created(int fd, const struct blkfd_create *arg)
{
	struct blkfd_info info;

	if (test_info(fd, &info))
		fail("a new device", "gives no info");
	else if (info.block_size < 512 || info.block_size & (info.block_size - 1) ||
		 info.length % info.block_size || info.offset % info.block_size)
		fail("a new device", "has an odd block, offset or length");
	else if (!info.length || (arg->length && info.length != arg->length))
		fail("a new device", "has a length that was not asked for");
	else if (arg->flags & ~info.flags)
		fail("a new device", "lacks a flag");
	else if (arg->reserved)
		fail("a new device", "was asked for with a reserved field");
}

static int call_create(const struct call *call)
{
	static const uint32_t sizes[] = {
		0, 512, 4096, 1024, 8192, 65536, 131072, 513, 256, 0x80000000, -1U,
	};
	struct slot *backing = pick(call->other, BACKING);
	struct blkfd_create *arg = clean_buffer(), asked;
	int fd;

	arg->fd = backing->fd;
	arg->flags = call->a & 0x80 ? 1U << (call->a % 32) : call->a % 8;
	arg->offset = value(call->b);
	arg->length = value(call->c);
	arg->block_size = CHOOSE(sizes, call->d & 0x3f);
	arg->reserved = call->d >= 0xfc;
	asked = *arg;
	fd = enter_struct(call, pick(call->slot, CONTROL)->fd, BLKFD_CREATE);
	/* A struct of another size may have been another one. */
	if (fd >= 0 && call->out >> 4 < 10)
		check_created(fd, &asked);
	return put(call, fd, DEVICE, backing->holds_fs);
}

static int call_get_info(const struct call *call)
{
	clean_buffer();
	return enter_struct(call, pick(call->slot, DEVICE)->fd, BLKFD_GET_INFO);
}

static int call_resize(const struct call *call)
{
	struct blkfd_resize *arg = clean_buffer();

	arg->length = value(call->a);
	return enter_struct(call, pick(call->slot, DEVICE)->fd, BLKFD_RESIZE);
}

static int call_get_limits(const struct call *call)
{
	clean_buffer();
	return enter_struct(call, pick(call->slot, CONTROL)->fd, BLKFD_GET_LIMITS);
}

static int call_get_user(const struct call *call)
{
	struct blkfd_user *arg = clean_buffer();

	arg->uid = call->a & 1 ? USER : value(call->a);
	arg->devices = call->b;
	return enter_struct(call, pick(call->slot, CONTROL)->fd, BLKFD_GET_USER);
}

static int call_new_instance(const struct call *call)
{
	struct blkfd_instance *arg = clean_buffer();
	int fd;

	arg->flags = call->a & 0x80 ? 1U << (call->a % 32) : (call->a & 3) == 3;
	arg->denied_flags = call->b & 0x80 ? 1U << (call->b % 32) : call->b & 7 & call->b >> 3;
	arg->block_sizes = call->c & 3 ? 0 : value(call->c >> 2);
	arg->max_devices = call->a & 4 ? call->a >> 3 : 0;
	arg->max_bytes = call->d & 1 ? value(call->d >> 1) : 0;
	if (call->d >= 0xf0)
		buffer[24 + call->d % 16] = 1;
	fd = enter_struct(call, pick(call->slot, CONTROL)->fd, BLKFD_NEW_INSTANCE);
	return put(call, fd, CONTROL, false);
}

static int call_get_instance(const struct call *call)
{
	clean_buffer();
	return enter_struct(call, pick(call->slot, CONTROL)->fd, BLKFD_GET_INSTANCE);
}

static int call_revoke(const struct call *call)
{
	struct blkfd_revoke *arg = clean_buffer();

	arg->fd = call->a >= 0xf0 ? -1 : pick(call->other, CONTROL)->fd;
	arg->reserved = call->b >= 0xf0;
	return enter_struct(call, pick(call->slot, CONTROL)->fd, BLKFD_REVOKE);
}

static int call_unknown(const struct call *call)
{
	unsigned int type = call->d & 1 ? BLKFD_IOC_TYPE : 0x12;

	memset(clean_buffer(), call->c, 64);
	return enter(call, pick(call->slot, call->d & 2 ? DEVICE : CONTROL)->fd,
		     _IOC(call->d >> 6, type, call->a, call->b), buffer);
}

/* Those of the block layer */

/* They get two numbers, of which most take but one. */
static const struct block_ioctl {
	unsigned int request;
	bool writes;
} block_ioctls[] = {
	{ BLKROSET, false }, { BLKROGET, false }, { BLKBSZSET, false }, { BLKBSZGET, false },
	{ BLKFLSBUF, false }, { BLKDISCARD, true }, { BLKZEROOUT, true },
	{ BLKSECDISCARD, true }, { BLKGETSIZE64, false }, { BLKGETSIZE, false },
	{ BLKSSZGET, false }, { BLKPBSZGET, false }, { BLKIOMIN, false }, { BLKIOOPT, false },
	{ BLKALIGNOFF, false }, { BLKDISCARDZEROES, false }, { BLKROTATIONAL, false },
	{ BLKRASET, false }, { BLKRAGET, false }, { BLKRRPART, false }, { BLKPG, false },
	{ BLKTRACESTART, false }, { BLKTRACESTOP, false }, { BLKTRACETEARDOWN, false },
	{ HDIO_GETGEO, false }, { HDIO_GET_IDENTITY, false }, { FIOQSIZE, false },
	{ FIONREAD, false }, { FIGETBSZ, false },
	{ _IOR(0x12, 128, uint64_t), false },		/* BLKGETDISKSEQ */
	{ _IOWR(0x12, 130, uint64_t[2]), false },	/* BLKREPORTZONE */
	{ _IOW(0x12, 131, uint64_t[2]), true },		/* BLKRESETZONE */
	{ 0x2285, false },				/* SG_IO */
	{ 0x5331, false },				/* CDROM_GET_CAPABILITY */
	{ _IOW(0x12, 113, int), false },		/* BLKBSZSET of 32 bits */
	{ _IOR('p', 200, uint64_t[3]), false },		/* IOC_PR_REGISTER */
};

static int call_block_ioctl(const struct call *call)
{
	const struct block_ioctl *ioctl = &CHOOSE(block_ioctls, call->a);
	struct slot *slot = pick(call->slot, DEVICE);
	uint64_t *arg = clean_buffer();

	if (ioctl->writes && slot->holds_fs)
		return NOT_MADE;
	arg[0] = value(call->b);
	arg[1] = value(call->c);
	return enter(call, slot->fd, ioctl->request, call->d == 0xff ? NULL : arg);
}

static int call_partition(const struct call *call)
{
	struct blkpg_partition *partition = clean_buffer();
	struct blkpg_ioctl_arg *arg = (void *)(partition + 1);

	partition->start = value(call->a);
	partition->length = value(call->b);
	partition->pno = call->c % 4;
	arg->op = call->d % 5;
	arg->datalen = sizeof(*partition);
	arg->data = partition;
	return ioctl(pick(call->slot, DEVICE)->fd, BLKPG, arg);
}

static int call_trace(const struct call *call)
{
	struct blk_user_trace_setup *arg = clean_buffer();

	arg->act_mask = value(call->a);
	arg->buf_size = 4096 << call->b % 3;
	arg->buf_nr = call->c % 4;
	return ioctl(pick(call->slot, DEVICE)->fd, BLKTRACESETUP, arg);
}

/* Descriptors */

static int call_reopen(const struct call *call)
{
	static const int flags[] = {
		O_RDWR, O_RDONLY, O_WRONLY, O_PATH, O_RDWR | O_DIRECT, O_RDWR | O_EXCL,
		O_RDONLY | O_EXCL, O_RDWR | O_SYNC, O_RDWR | O_DSYNC | O_DIRECT,
		O_RDONLY | O_TRUNC, O_RDWR | O_APPEND, 3, O_RDONLY | O_DIRECTORY,
		O_RDWR | O_TRUNC | O_CREAT, O_RDONLY | O_NOFOLLOW,
	};
	static const enum kind kinds[] = { DEVICE, DEVICE, CONTROL, BACKING, MOUNT };
	struct slot *slot = pick(call->slot, CHOOSE(kinds, call->b));
	enum kind kind = slot->kind == MOUNT ? CONTROL : slot->kind;

	if (slot->kind == NOTHING || (slot->holds_fs && CHOOSE(flags, call->a) & O_TRUNC))
		return NOT_MADE;
	return put(call, test_reopen(slot->fd, O_NONBLOCK | CHOOSE(flags, call->a)), kind,
		   slot->holds_fs);
}

/* By a device number, which another device may have by now. */
static int call_node(const struct call *call)
{
	static const int flags[] = { O_RDWR, O_RDONLY, O_PATH, O_RDWR | O_EXCL };
	struct slot *slot = pick(call->slot, DEVICE);
	char name[24];
	int fd;

	snprintf(name, sizeof(name), "node-%d", getpid());
	if (blkfd_export_node(slot->fd, room, name, 0600))
		return -1;
	if (call->b & 1)
		empty(slot);
	fd = openat(room, name, O_CLOEXEC | CHOOSE(flags, call->a));
	unlinkat(room, name, 0);
	return put(call, fd, DEVICE, slot->holds_fs);
}

static int call_dup(const struct call *call)
{
	struct slot *slot = pick(call->slot | 0x80, OTHER);

	if (slot->kind == NOTHING)
		return NOT_MADE;
	return put(call, fcntl(slot->fd, F_DUPFD_CLOEXEC, 0), slot->kind, slot->holds_fs);
}

static int call_close(const struct call *call)
{
	struct slot *slot = pick(call->slot, call->a & 1 ? DEVICE : MOUNT);

	if (slot->kind == NOTHING)
		return NOT_MADE;
	empty(slot);
	return 0;
}

/* To whichever process takes it. */
static int call_send(const struct call *call)
{
	struct slot *slot = pick(call->slot, call->a & 1 ? DEVICE : CONTROL);

	if (slot->holds_fs || slot->kind == NOTHING)
		return NOT_MADE;
	return test_send_fd(queue[call->b & 1], slot->fd);
}

static int call_receive(const struct call *call)
{
	int fd = test_recv_fd(queue[call->b & 1]);
	struct stat st;
	enum kind kind = OTHER;

	if (fd < 0 || fstat(fd, &st))
		return -1;
	if (S_ISBLK(st.st_mode))
		kind = DEVICE;
	else if (S_ISREG(st.st_mode))
		kind = BACKING;
	else if (S_ISCHR(st.st_mode) || !(st.st_mode & S_IFMT))
		kind = CONTROL;
	return put(call, fd, kind, false);
}

static int call_meta(const struct call *call)
{
	struct slot *slot = pick(call->slot, call->b & 1 ? DEVICE : CONTROL);
	int fd = slot->fd;
	struct statx st;

	switch (call->a % 10) {
	case 0:
		return fchmod(fd, 0600 | (value(call->c) & 0777));
	case 1:
		return fchown(fd, call->c & 1 ? USER : -1, -1);
	case 2:
		return statx(fd, "", AT_EMPTY_PATH, call->c * 0x01010101U, &st);
	case 3:
		return fsetxattr(fd, "user.fuzz", buffer, call->c, 0);
	case 4:
		return fgetxattr(fd, "security.selinux", buffer, call->c);
	case 5:
		return fcntl(fd, F_SETFL, value(call->c) & (O_APPEND | O_DIRECT | O_NONBLOCK));
	case 6:
		return flock(fd, call->c % 16 | LOCK_NB);
	case 7:
		return fcntl(fd, F_ADD_SEALS, call->c);
	case 8:
		return futimens(fd, NULL);
	default:
		return fcntl(fd, F_GETFL);
	}
}

static int read_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;

	ret = fd < 0 ? -1 : read(fd, buffer, 4096);
	close(fd);
	return ret;
}

static int call_fdinfo(const struct call *call)
{
	int fd = pick(call->slot, call->a & 1 ? DEVICE : CONTROL)->fd;
	char path[64];

	if (call->a & 2) {
		test_fd_path(fd, path, sizeof(path));
		return readlink(path, buffer, value(call->b) % 128 + 1);
	}
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return read_text(path);
}

static int call_sysfs(const struct call *call)
{
	static const char * const names[] = {
		"blkfd/id", "blkfd/stats", "blkfd/backing_file", "blkfd/backing_dev",
		"blkfd/flags", "blkfd/creator_pid", "blkfd/creator_uid", "blkfd/length",
		"blkfd/backing_ino", "blkfd/block_size", "blkfd/offset",
		"queue/iostats", "queue/read_ahead_kb", "queue/write_cache",
		"queue/discard_max_bytes", "queue/max_sectors_kb", "queue/rotational",
		"queue/stable_writes", "stat", "size", "ro", "uevent", "events_poll_msecs",
	};
	struct slot *slot = pick(call->slot, DEVICE);
	uint64_t id = test_id(slot->fd);
	char path[96], text[24];

	if (id == UINT64_MAX)
		return NOT_MADE;
	if (call->d & 1)
		empty(slot);
	snprintf(path, sizeof(path), "/sys/block/blkfd%llu/%s", (unsigned long long)id,
		 CHOOSE(names, call->a));
	if (!(call->b & 1))
		return read_text(path);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value(call->c) % 65537);
	return test_write_text(path, text);
}

/* I/O */

static int any_io_slot(const struct call *call, struct slot **slot, bool writes)
{
	*slot = pick(call->slot, call->other & 0x40 ? BACKING : DEVICE);
	return writes && (*slot)->holds_fs ? NOT_MADE : 0;
}

static int call_read(const struct call *call)
{
	struct slot *slot;

	any_io_slot(call, &slot, false);
	return pread(slot->fd, buffer + call->c % 16 * 512 + (call->d == 0xff), size_of(call->a),
		     value(call->b));
}

static int call_write(const struct call *call)
{
	struct slot *slot;

	if (any_io_slot(call, &slot, true))
		return NOT_MADE;
	memset(buffer, call->d, 4096);
	return pwrite(slot->fd, buffer + call->c % 16 * 512 + (call->d == 0xff),
		      size_of(call->a), value(call->b) % TEST_MIB);
}

/* In two pieces. */
static int call_vectors(const struct call *call)
{
	struct iovec parts[2] = {
		{ buffer + call->c % 8 * 512, size_of(call->a) },
		{ buffer + BUFFER / 2, call->a & 1 ? 512 : 0 },
	};
	struct slot *slot;

	if (any_io_slot(call, &slot, call->d & 1))
		return NOT_MADE;
	if (call->d & 1)
		return pwritev2(slot->fd, parts, 2, value(call->b) % TEST_MIB, call->d >> 1);
	return preadv2(slot->fd, parts, 2, value(call->b) % TEST_MIB, call->d >> 1);
}

static int call_sync(const struct call *call)
{
	struct slot *slot;

	any_io_slot(call, &slot, false);
	switch (call->a % 5) {
	case 0:
		return fsync(slot->fd);
	case 1:
		return fdatasync(slot->fd);
	case 2:
		return sync_file_range(slot->fd, value(call->b) % TEST_MIB, size_of(call->c),
				       call->d % 8);
	case 3:
		return posix_fadvise(slot->fd, value(call->b) % TEST_MIB, size_of(call->c),
				     call->d % 6) ? -1 : 0;
	default:
		return syncfs(slot->fd);
	}
}

static int call_fallocate(const struct call *call)
{
	struct slot *slot;

	if (any_io_slot(call, &slot, true))
		return NOT_MADE;
	return fallocate(slot->fd, call->a, value(call->b) % TEST_MIB, size_of(call->c));
}

/* Of files with a file system, too: what is gone cannot be read. */
static int call_truncate(const struct call *call)
{
	struct slot *slot = pick(call->slot, BACKING);

	if (slot->holds_fs && call->a & 1)
		return ftruncate(slot->fd, value(call->b) % IMAGE_SIZE);
	return ftruncate(slot->fd, value(call->b) % (2 * TEST_MIB));
}

static int call_seek(const struct call *call)
{
	struct slot *slot;

	any_io_slot(call, &slot, false);
	return lseek(slot->fd, value(call->a), call->b % 6) < 0 ? -1 : 0;
}

static int unmap(void)
{
	char *before = map;

	map = NULL;
	return before ? munmap(before, MAP_SIZE) : NOT_MADE;
}

static int call_map(const struct call *call)
{
	int protection = PROT_READ | (call->a & 1 ? PROT_WRITE : 0);
	struct slot *slot;
	char *mapped;

	/* madvise() can make holes in what is mapped for reading. */
	if (any_io_slot(call, &slot, true))
		return NOT_MADE;
	mapped = mmap(NULL, MAP_SIZE, protection, call->a & 2 ? MAP_PRIVATE : MAP_SHARED,
		      slot->fd, value(call->b) % TEST_MIB);
	if (mapped == MAP_FAILED)
		return -1;
	unmap();
	map = mapped;
	return 0;
}

/* By a system call: where the device has ended that fails, and is no signal. */
static int call_touch(const struct call *call)
{
	size_t start = value(call->b) % MAP_SIZE;

	if (!map)
		return NOT_MADE;
	switch (call->a % 4) {
	case 0:
		return read(zero, map + start, call->c % 64 * 64 % (MAP_SIZE - start));
	case 1:
		return msync(map, MAP_SIZE, call->c & 1 ? MS_SYNC : MS_ASYNC);
	case 2:
		return madvise(map, MAP_SIZE, call->c % 26);
	default:
		return write(queue[0], map + start, 1) < 0 && errno == EFAULT ? -1 : 0;
	}
}

static int call_unmap(const struct call *call)
{
	return unmap();
}

/* From a device or file to another. */
static int call_copy(const struct call *call)
{
	struct slot *from = pick(call->slot, call->a & 1 ? DEVICE : BACKING);
	struct slot *to = pick(call->other, call->a & 2 ? DEVICE : BACKING);
	off_t offset = value(call->b) % TEST_MIB;

	if (to->holds_fs)
		return NOT_MADE;
	if (call->a & 4)
		return copy_file_range(from->fd, &offset, to->fd, NULL, size_of(call->c), 0);
	return sendfile(to->fd, from->fd, &offset, size_of(call->c));
}

/* An io_uring of its own for each. */
static int call_uring(const struct call *call)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	struct slot *slot;
	int ret;

	/* A pipe that has a writer, O_NONBLOCK or not, keeps a ring waiting. */
	if (any_io_slot(call, &slot, true) || slot->kind == OTHER)
		return NOT_MADE;
	if (io_uring_queue_init(2, &ring, 0))
		return -1;
	switch (call->a % 4) {
	case 0:
		io_uring_prep_read(io_uring_get_sqe(&ring), slot->fd, buffer, size_of(call->c),
				   value(call->b));
		break;
	case 1:
		io_uring_prep_write(io_uring_get_sqe(&ring), slot->fd, buffer, size_of(call->c),
				    value(call->b) % TEST_MIB);
		break;
	case 2:
		io_uring_prep_fsync(io_uring_get_sqe(&ring), slot->fd, 0);
		break;
	default:
		io_uring_prep_cmd_discard(io_uring_get_sqe(&ring), slot->fd, value(call->b),
					  value(call->c));
	}
	ret = io_uring_submit(&ring);
	if (ret > 0 && call->d & 1)
		empty(slot);
	if (ret > 0 && !(call->d & 2))
		ret = io_uring_wait_cqe(&ring, &cqe) ? -1 : cqe->res;
	io_uring_queue_exit(&ring);
	return ret;
}

/* Mounts */

static int call_mount(const struct call *call)
{
	static const char * const options[] = {
		NULL, "ro", "noload,ro", "discard", "data=journal", "errors=continue", "bogus",
	};
	struct slot *slot = pick(call->slot, DEVICE);

	return put(call, blkfd_fsmount(slot->fd, "ext4", CHOOSE(options, call->a),
				       call->b & 1 ? MOUNT_ATTR_RDONLY : 0), MOUNT, false);
}

static int configure(int context, const char *key, uint8_t byte)
{
	char text[24];

	if (byte & 1)
		return 0;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value(byte >> 1));
	return fsconfig(context, FSCONFIG_SET_STRING, key, text, 0);
}

static int call_mount_control(const struct call *call)
{
	int instance = pick(call->slot, CONTROL)->fd, fd = -1, context;
	char text[16];

	context = fsopen("blkfdctl", FSOPEN_CLOEXEC);
	if (context < 0)
		return -1;
	snprintf(text, sizeof(text), "%d", instance);
	if (call->a & 1)
		fsconfig(context, FSCONFIG_SET_STRING, "instance", text, 0);
	if (!(call->a & 1) || call->a & 2)
		fsconfig(context, FSCONFIG_SET_FD, "instance", NULL, instance);
	configure(context, "uid", call->b);
	configure(context, "gid", call->c);
	configure(context, "mode", call->d);
	if (call->a & 4)
		configure(context, "bogus", call->d);
	if (!fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (fd >= 0 && call->a & 8) {
		configure(context, "mode", call->d);
		fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0);
	}
	close(context);
	return put(call, fd, MOUNT, false);
}

/* Processes */

static void run_calls(unsigned int count);

/* Children of a worker are killed with it, whoever they have become. */
static void live_as_child(unsigned int calls, uint8_t end)
{
	in_child = true;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	tell_child();
	run_calls(calls);
	if (end & 1)
		raise(SIGKILL);
	_exit(0);
}

static int reap(pid_t pid)
{
	int status = test_reap(pid);
	char text[16];

	if (status && status != 128 + SIGKILL && status != -ECHILD) {
		snprintf(text, sizeof(text), "status %d", status);
		fail("a child", text);
	}
	return status;
}

/* The next calls are the child's, and perhaps the parent's as well. */
static int call_fork(const struct call *call)
{
	unsigned int calls = 1 + call->a % 8;
	pid_t pid;

	if (in_child)
		return NOT_MADE;
	pid = fork();
	if (!pid)
		live_as_child(calls, call->c);
	if (pid < 0)
		return -1;
	if (!(call->b & 1))
		position += calls;
	if (!(call->b & 2))
		reap(pid);
	return 0;
}

static int call_user_namespace(const struct call *call)
{
	if (!in_child)
		return NOT_MADE;
	return test_enter_user_namespace(call->a & 1 ? CLONE_NEWNS : 0);
}

static int call_become(const struct call *call)
{
	if (!in_child)
		return NOT_MADE;
	return test_become(call->a & 1 ? USER : 0);
}

static void restore_settings(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings) && set_limits; i++)
		test_write_text(settings[i].path, settings[i].text);
	set_limits = false;
}

static int call_setting(const struct call *call)
{
	static const uint32_t numbers[] = { 0, 1, 2, 64, 1024, 1048576, -1U };
	char text[16];

	/* A child may not be there to put it back. */
	if (in_child)
		return NOT_MADE;
	set_limits = true;
	snprintf(text, sizeof(text), "%u", CHOOSE(numbers, call->b));
	return test_write_text(CHOOSE(settings, call->a).path, text);
}

/* New ones go to the end: saved programs have the numbers. */
static const struct {
	const char *name;
	int (*make)(const struct call *call);
	unsigned int weight;
} kinds[] = {
	{ "backing",		call_backing,		6 },
	{ "create",		call_create,		8 },
	{ "info",		call_get_info,		3 },
	{ "resize",		call_resize,		6 },
	{ "limits",		call_get_limits,	2 },
	{ "user",		call_get_user,		2 },
	{ "new_instance",	call_new_instance,	4 },
	{ "get_instance",	call_get_instance,	2 },
	{ "revoke",		call_revoke,		3 },
	{ "unknown",		call_unknown,		3 },
	{ "block_ioctl",	call_block_ioctl,	10 },
	{ "partition",		call_partition,		1 },
	{ "trace",		call_trace,		1 },
	{ "reopen",		call_reopen,		8 },
	{ "node",		call_node,		1 },
	{ "dup",		call_dup,		3 },
	{ "close",		call_close,		5 },
	{ "send",		call_send,		3 },
	{ "receive",		call_receive,		3 },
	{ "meta",		call_meta,		4 },
	{ "fdinfo",		call_fdinfo,		2 },
	{ "sysfs",		call_sysfs,		3 },
	{ "read",		call_read,		6 },
	{ "write",		call_write,		8 },
	{ "vectors",		call_vectors,		6 },
	{ "sync",		call_sync,		4 },
	{ "fallocate",		call_fallocate,		5 },
	{ "truncate",		call_truncate,		6 },
	{ "seek",		call_seek,		2 },
	{ "map",		call_map,		4 },
	{ "touch",		call_touch,		5 },
	{ "unmap",		call_unmap,		2 },
	{ "copy",		call_copy,		3 },
	{ "uring",		call_uring,		2 },
	{ "mount",		call_mount,		2 },
	{ "mount_file",		call_mount_file,	2 },
	{ "mount_control",	call_mount_control,	3 },
	{ "fork",		call_fork,		2 },
	{ "user_namespace",	call_user_namespace,	1 },
	{ "become",		call_become,		1 },
	{ "setting",		call_setting,		1 },
};

unsigned int fuzz_calls_kinds(void)
{
	return ARRAY_SIZE(kinds);
}

const char *fuzz_calls_name(unsigned int kind)
{
	return kinds[kind].name;
}

uint8_t fuzz_calls_any(uint32_t seed)
{
	unsigned int total = 0, kind = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		total += kinds[i].weight;
	for (seed %= total; seed >= kinds[kind].weight; kind++)
		seed -= kinds[kind].weight;
	return kind;
}

/* Programs */

static void add(uint64_t *count)
{
	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

static void run_call(const struct call *call)
{
	unsigned int kind = call->kind % ARRAY_SIZE(kinds);
	int ret = kinds[kind].make(call);

	add(progress);
	if (ret == NOT_MADE)
		return;
	add(&counts->calls);
	add(&counts->made[kind]);
	if (ret >= 0)
		add(&counts->succeeded[kind]);
}

static void run_calls(unsigned int count)
{
	struct call call;

	while (count-- && 1 + (position + 1) * FUZZ_CALL <= program->size) {
		memcpy(&call, program->bytes + 1 + position * FUZZ_CALL, sizeof(call));
		position++;
		run_call(&call);
	}
}

/* What a user has who is trusted with little; anybody it is sent to may revoke it. */
static int narrow_instance(void)
{
	struct blkfd_instance bounds = {
		.denied_flags = BLKFD_F_DIRECT,
		.max_devices = 3,
		.max_bytes = TEST_MIB,
	};

	return blkfd_new_instance(control, &bounds);
}

void fuzz_calls_run(const struct fuzz_program *next, uint64_t *moves, void (*child)(void))
{
	program = next;
	position = 0;
	progress = moves;
	tell_child = child;
	for (int i = 0; i < SLOTS; i++)
		slots[i] = (struct slot){ .fd = -1 };
	slots[0].fd = trusted ? fcntl(control, F_DUPFD_CLOEXEC, 0) : narrow_instance();
	slots[0].kind = CONTROL;
	run_calls(FUZZ_MAX_CALLS);
	unmap();
	for (int i = 0; i < SLOTS; i++)
		empty(&slots[i]);
	while (reap(-1) >= 0)
		;
	restore_settings();
}

/* Rooms */

static int make_image(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/image", dir);
	image = test_file(path, IMAGE_SIZE, 0);
	if (image < 0)
		return image;
	return test_command("mkfs.ext4", "-q", "-b", "1024", "-N", "32", path) ? -EIO : 0;
}

static int save_settings(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		int size = read_text(settings[i].path);

		if (size <= 0 || size >= (int)sizeof(settings[i].text))
			return -EIO;
		memcpy(settings[i].text, buffer, size);
	}
	return 0;
}

int fuzz_calls_init(const char *empty_dir, struct fuzz_counts *shared)
{
	dir = empty_dir;
	counts = shared;
	/* What lies behind the buffer is to be a fault. */
	buffer = mmap(NULL, BUFFER + 4096, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (buffer == MAP_FAILED || mprotect(buffer + BUFFER, 4096, PROT_NONE))
		return -errno;
	room = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	control = blkfd_control();
	zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (room < 0 || control < 0 || zero < 0 || null < 0 || chmod(dir, 0777) ||
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, queue))
		return -errno;
	return save_settings() ?: make_image();
}

void fuzz_calls_exit(void)
{
	close(queue[0]);
	close(queue[1]);
	close(control);
	close(image);
	queue[0] = -1;
	queue[1] = -1;
	control = -1;
	image = -1;
	set_limits = true;
	restore_settings();
}

int fuzz_calls_enter(unsigned int who)
{
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	trusted = who != 3;
	if (who < 2)
		return 0;
	if (test_become(USER))
		return -EPERM;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return who == 2 ? test_enter_user_namespace(CLONE_NEWNS) : 0;
}
