// SPDX-License-Identifier: GPL-2.0
/*
 * Power loss: what was acknowledged is there. A device lies on a file of a file
 * system whose disk logs its writes (dm-log-writes). Writers work on a file system
 * on the device, or on the device itself, and mark in the log what they have been
 * told is safe. Then the log is replayed, and at points where the disk had been
 * flushed, what it held is mounted, compared and checked, on a copy.
 */
#include <endian.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "testlib.h"

#define OUTER		TEST_DIR "/outer"
#define INNER		TEST_DIR "/inner"
#define BACKING		OUTER "/backing"
#define DM_NAME		"blkfd-powerloss"
#define DM_PATH		"/dev/mapper/" DM_NAME

/* btrfs wants as much. */
#define DISK_SIZE	(128 * TEST_MIB)
#define LOG_SIZE	(2048 * TEST_MIB)
#define BACKING_SIZE	(48 * TEST_MIB)
#define SECTOR		512
#define CHUNK		(256 * TEST_KIB)

#define WRITERS		3
/* Of each writer; each is acknowledged as a whole. */
#define STEPS		30
#define COMPLAINTS_MAX	20

/* What lies on what. */
struct shape {
	const char *outer;
	/* NULL: the writers work on the device itself. */
	const char *inner;
	/* What the inner one is mounted with. */
	const char *options;
	uint32_t flags;
};

/* Which of the log's points is being looked at, and what there was to say. */
static unsigned int point;
static unsigned int complaints;

static __attribute__((format(printf, 1, 2))) int complain(const char *format, ...)
{
	va_list args;

	if (complaints++ >= COMPLAINTS_MAX)
		return -EILSEQ;
	va_start(args, format);
	fprintf(stderr, "# point %u: ", point);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return -EILSEQ;
}

/* The file systems, and the device between them */

static int make_fs(const char *fstype, int fd)
{
	char path[TEST_PATH_MAX];

	test_fd_path(fd, path, sizeof(path));
	/* Which is said to make small ones only. */
	if (!strcmp(fstype, "xfs"))
		return test_command("mkfs.xfs", "-q", "-f", "--unsupported", path);
	return test_mkfs(fstype, path);
}

static int check_fs(const char *fstype, int fd)
{
	char path[TEST_PATH_MAX];
	int ret;

	test_fd_path(fd, path, sizeof(path));
	if (!strcmp(fstype, "xfs"))
		ret = test_command("xfs_repair", "-n", "-P", path);
	else if (!strcmp(fstype, "ext4"))
		ret = test_command("e2fsck", "-fn", path);
	else
		ret = test_command("btrfs", "check", "--readonly", path);
	return ret ? complain("%s is not clean", fstype) : 0;
}

static int mount_at(const char *source, const char *fstype, const char *options,
		    const char *dir)
{
	if (mkdir(dir, 0755) && errno != EEXIST)
		return -errno;
	return mount(source, dir, fstype, 0, options) ? -errno : 0;
}

static int mount_inner(const struct shape *shape, int dev)
{
	char path[TEST_PATH_MAX];

	if (!shape->inner)
		return 0;
	test_fd_path(dev, path, sizeof(path));
	return mount_at(path, shape->inner, shape->options, INNER);
}

static int unmount_inner(const struct shape *shape)
{
	return shape->inner && umount(INNER) ? -errno : 0;
}

static int create_on_backing(const struct shape *shape)
{
	int file = open(BACKING, O_RDWR | O_CLOEXEC), dev;

	if (file < 0)
		return -errno;
	dev = test_create(file, shape->flags, 0, 0, 0);
	close(file);
	return dev;
}

static int make_inner(const struct shape *shape)
{
	int dev = create_on_backing(shape), ret;

	if (dev < 0)
		return dev;
	ret = shape->inner ? make_fs(shape->inner, dev) : 0;
	close(dev);
	return ret;
}

/* What is there before anything is logged. The file is sparse. */
static int make_disk(const struct shape *shape, int disk)
{
	char path[TEST_PATH_MAX];
	int dev, file, ret;

	dev = test_create(disk, 0, 0, 0, 0);
	if (dev < 0)
		return dev;
	test_fd_path(dev, path, sizeof(path));
	ret = make_fs(shape->outer, dev) ?: mount_at(path, shape->outer, NULL, OUTER);
	if (ret)
		goto out_close;
	file = test_file(BACKING, BACKING_SIZE, 0);
	ret = file < 0 ? file : make_inner(shape);
	close(file);
	if (umount(OUTER) && !ret)
		ret = -errno;
out_close:
	close(dev);
	return ret;
}

static int copy_range(int to, uint64_t to_offset, int from, uint64_t offset, uint64_t size)
{
	static char buf[CHUNK];

	while (size) {
		ssize_t got = pread(from, buf, size < CHUNK ? size : CHUNK, offset);

		if (got <= 0)
			return got ? -errno : -ENODATA;
		if (pwrite(to, buf, got, to_offset) != got)
			return -EIO;
		offset += got;
		to_offset += got;
		size -= got;
	}
	return 0;
}

/* A new memfd, as sparse as the other one. */
static int copy_disk(int disk)
{
	int copy = test_memfd(DISK_SIZE);
	off_t data = 0, hole;

	while (copy >= 0 && (data = lseek(disk, data, SEEK_DATA)) >= 0) {
		hole = lseek(disk, data, SEEK_HOLE);
		if (copy_range(copy, data, disk, data, hole - data))
			return -EIO;
		data = hole;
	}
	return copy;
}

/* The log */

static int dm_create(int disk, int log)
{
	struct blkfd_info on, to;
	char table[128];

	if (test_info(disk, &on) || test_info(log, &to))
		return -errno;
	snprintf(table, sizeof(table), "0 %llu log-writes %u:%u %u:%u", on.length / SECTOR,
		 on.dev_major, on.dev_minor, to.dev_major, to.dev_minor);
	return test_dm_create(DM_NAME, table);
}

struct writer {
	unsigned int number;
	int control;
	/* Locked by whose mark it is. */
	int turn;
	/* Of the inner file system. */
	int dir;
	/* The device, in three ways. */
	int dev;
	int direct;
	int fua;
};

static void dm_ioctl_init(struct dm_ioctl *arg, size_t size, uint32_t flags)
{
	arg->version[0] = DM_VERSION_MAJOR;
	arg->data_size = size;
	arg->data_start = sizeof(*arg);
	arg->flags = flags;
	snprintf(arg->name, sizeof(arg->name), DM_NAME);
}

static int dm_mark(int control, const char *text)
{
	char buf[sizeof(struct dm_ioctl) + sizeof(struct dm_target_msg) + 32]
		__attribute__((aligned(8))) = "";
	struct dm_target_msg *msg = (void *)(buf + sizeof(struct dm_ioctl));

	dm_ioctl_init((void *)buf, sizeof(buf), 0);
	snprintf(msg->message, 32, "mark %s", text);
	return ioctl(control, DM_TARGET_MSG, buf) ? -errno : 0;
}

static int dm_suspend(int control, uint32_t flags)
{
	struct dm_ioctl arg = { };

	dm_ioctl_init(&arg, sizeof(arg), flags);
	return ioctl(control, DM_DEV_SUSPEND, &arg) ? -errno : 0;
}

/*
 * That this writer has been told of so many steps; in the log before it goes on.
 * dm-log-writes hands what has been written to the first flush that comes, and logs it
 * when that one ends: where a second overtakes the first, the disk has what the log
 * has not. So no flush is under way when the mark is made.
 */
static int mark_steps(const struct writer *writer, unsigned int steps)
{
	char text[24];
	int ret, resumed;

	snprintf(text, sizeof(text), "%u.%u", writer->number, steps);
	if (lockf(writer->turn, F_LOCK, 0))
		return -errno;
	ret = dm_suspend(writer->control, DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG);
	if (!ret) {
		ret = dm_mark(writer->control, text);
		resumed = dm_suspend(writer->control, 0);
		ret = ret ?: resumed;
	}
	return lockf(writer->turn, F_ULOCK, 0) ? -errno : ret;
}

#define LOG_MAGIC	0x6a736677736872ULL
#define LOG_FLUSH	0x1
#define LOG_FUA		0x2
#define LOG_DISCARD	0x4
#define LOG_MARK	0x8

/* In the log's first sector. */
struct log_super {
	uint64_t magic;
	uint64_t version;
	uint64_t entries;
	uint32_t sector_size;
};

/* A sector, and then, but for marks and discards, as many as it says. */
struct log_entry {
	uint64_t sector;
	uint64_t sectors;
	uint64_t flags;
	uint64_t text_size;
	char text[SECTOR - 32];
};

/*
 * @disk: What is applied to it; -1: nothing.
 * @changed: Since the last point, the disk or what is acknowledged.
 * @flushed: The disk, as it is now.
 */
struct replay {
	int log;
	int disk;
	uint64_t offset;
	uint64_t entries;
	uint64_t left;
	unsigned int acked[WRITERS];
	bool changed;
	bool flushed;
};

static int replay_start(struct replay *replay, int log, int disk)
{
	struct log_super super;

	memset(replay, 0, sizeof(*replay));
	if (pread(log, &super, sizeof(super), 0) != sizeof(super) ||
	    le64toh(super.magic) != LOG_MAGIC || le64toh(super.version) != 1 ||
	    le32toh(super.sector_size) != SECTOR)
		return -EINVAL;
	replay->log = log;
	replay->disk = disk;
	replay->offset = SECTOR;
	replay->entries = le64toh(super.entries);
	replay->left = replay->entries;
	return 0;
}

static void replay_mark(struct replay *replay, const char *text)
{
	unsigned int writer, steps;

	/* There is one more at the end, of the kernel's. */
	if (sscanf(text, "%u.%u", &writer, &steps) != 2 || writer >= WRITERS)
		return;
	replay->acked[writer] = steps;
	replay->changed = true;
	replay->flushed = true;
}

static int replay_data(struct replay *replay, const struct log_entry *entry)
{
	uint64_t at = le64toh(entry->sector) * SECTOR, size = le64toh(entry->sectors) * SECTOR;
	uint64_t from = replay->offset;

	replay->changed = true;
	if (!(le64toh(entry->flags) & LOG_DISCARD))
		replay->offset += size;
	if (replay->disk < 0)
		return 0;
	if (!(le64toh(entry->flags) & LOG_DISCARD))
		return copy_range(replay->disk, at, replay->log, from, size);
	return fallocate(replay->disk, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, size) ?
	       -errno : 0;
}

/*
 * Goes on to where the disk has been flushed, or something acknowledged, and is
 * about to be written to again, which a FUA write is on both sides of. Returns 1,
 * at the end of the log 0, or -errno.
 */
static int replay_next_point(struct replay *replay)
{
	struct log_entry entry;
	uint64_t flags;
	int ret = 0;

	for (; replay->left && !ret; replay->left--) {
		if (pread(replay->log, &entry, SECTOR, replay->offset) != SECTOR)
			return -EIO;
		flags = le64toh(entry.flags);
		replay->flushed |= !!(flags & LOG_FLUSH);
		if (entry.sectors && replay->flushed && replay->changed)
			break;
		replay->offset += SECTOR;
		if (flags & LOG_MARK)
			replay_mark(replay, entry.text);
		if (!entry.sectors)
			continue;
		ret = replay_data(replay, &entry);
		replay->flushed = flags & (LOG_FLUSH | LOG_FUA);
	}
	if (!ret)
		ret = replay->changed;
	replay->changed = false;
	return ret;
}

static int replay_count_points(int log)
{
	struct replay replay;
	int count = 0, ret;

	ret = replay_start(&replay, log, -1);
	if (ret)
		return ret;
	while ((ret = replay_next_point(&replay)) > 0)
		count++;
	return ret ?: count;
}

/* What writers do on a file system: a step takes a file to the next stage of its life */

enum stage { CREATE, APPEND, OVERWRITE, RENAME, REMOVE, STAGES };

/* The last step of a file's five removes the one so many before it. */
#define KEPT		2
#define FILES		((STEPS + STAGES - 1) / STAGES)
#define OVERWRITTEN	8192

static uint64_t first_size(unsigned int writer, unsigned int file)
{
	return OVERWRITTEN + 8 * ((file * 613 + writer * 71) % 1500);
}

static uint64_t full_size(unsigned int writer, unsigned int file)
{
	return first_size(writer, file) + 8 * (1 + (file * 389 + writer * 53) % 2000);
}

static uint64_t seed_of(unsigned int writer, unsigned int number, bool again)
{
	return 2 * (writer * 1000 + number) + again;
}

static void name_file(char name[32], unsigned int writer, unsigned int file, bool renamed)
{
	snprintf(name, 32, "%u-%s-%u", writer, renamed ? "kept" : "new", file);
}

static int create_file(const struct writer *writer, const char *name, unsigned int file)
{
	int fd = openat(writer->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), ret;

	if (fd < 0)
		return -errno;
	ret = test_write_pattern(fd, 0, first_size(writer->number, file),
				 seed_of(writer->number, file, false));
	if (!ret && (fsync(fd) || fsync(writer->dir)))
		ret = -errno;
	close(fd);
	return ret;
}

static int append_file(const struct writer *writer, const char *name, unsigned int file)
{
	int fd = openat(writer->dir, name, O_WRONLY | O_DSYNC | O_CLOEXEC), ret;
	uint64_t from = first_size(writer->number, file);

	if (fd < 0)
		return -errno;
	ret = test_write_pattern(fd, from, full_size(writer->number, file) - from,
				 seed_of(writer->number, file, false));
	close(fd);
	return ret;
}

static int sync_file(int fd, unsigned int how)
{
	switch (how) {
	case 0:
		return fsync(fd);
	case 1:
		return fdatasync(fd);
	case 2:
		return syncfs(fd);
	default:
		return 0;
	}
}

/* In place: by FUA, if not by one of the calls that flush. */
static int overwrite_file(const struct writer *writer, const char *name, unsigned int file)
{
	unsigned int how = (file + writer->number) % 4;
	int flags = how == 3 ? O_RDWR | O_DIRECT | O_DSYNC : O_RDWR;
	int fd = openat(writer->dir, name, flags | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = test_write_pattern(fd, 0, OVERWRITTEN, seed_of(writer->number, file, true));
	if (!ret && sync_file(fd, how))
		ret = -errno;
	close(fd);
	return ret;
}

static int remove_file(const struct writer *writer, unsigned int file)
{
	char name[32];

	name_file(name, writer->number, file, true);
	return unlinkat(writer->dir, name, 0) || fsync(writer->dir) ? -errno : 0;
}

static int rename_file(const struct writer *writer, const char *name, unsigned int file)
{
	char kept[32];

	name_file(kept, writer->number, file, true);
	return renameat(writer->dir, name, writer->dir, kept) || fsync(writer->dir) ? -errno : 0;
}

static int step_files(const struct writer *writer, unsigned int step)
{
	unsigned int file = step / STAGES;
	char name[32];

	name_file(name, writer->number, file, false);
	switch (step % STAGES) {
	case CREATE:
		return create_file(writer, name, file);
	case APPEND:
		return append_file(writer, name, file);
	case OVERWRITE:
		return overwrite_file(writer, name, file);
	case RENAME:
		return rename_file(writer, name, file);
	default:
		return file < KEPT ? 0 : remove_file(writer, file - KEPT);
	}
}

/* What must be there of it after so many steps; the next may be half done, or done. */

/* Each sector has what was there before, which was nothing without old, or what came. */
static bool is_old_or_new(const char *buf, size_t size, uint64_t offset, const uint64_t *old,
			  const uint64_t *new)
{
	static const char zero[SECTOR];
	bool is_old, is_new;

	for (size_t at = 0; at < size; at += SECTOR) {
		is_old = old ? test_compare(buf + at, SECTOR, offset + at, *old) < 0 :
			       !memcmp(buf + at, zero, SECTOR);
		is_new = new && test_compare(buf + at, SECTOR, offset + at, *new) < 0;
		if (!is_old && !is_new)
			return false;
	}
	return true;
}

static int check_overwritten(int fd, unsigned int writer, unsigned int file, unsigned int steps)
{
	uint64_t old = seed_of(writer, file, false), new = seed_of(writer, file, true);
	unsigned int step = file * STAGES + OVERWRITE;
	char buf[OVERWRITTEN];

	if (pread(fd, buf, sizeof(buf), 0) != sizeof(buf))
		return -EIO;
	if (is_old_or_new(buf, sizeof(buf), 0, steps > step ? &new : &old,
			  steps == step ? &new : NULL))
		return 0;
	return -EILSEQ;
}

static int check_bytes(int fd, unsigned int writer, unsigned int file, unsigned int steps)
{
	unsigned int appended = file * STAGES + APPEND;
	uint64_t size = steps > appended ? full_size(writer, file) : first_size(writer, file);
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (steps == appended ? (uint64_t)st.st_size < size : (uint64_t)st.st_size != size)
		return -ERANGE;
	return check_overwritten(fd, writer, file, steps) ?:
	       test_check_pattern(fd, OVERWRITTEN, size - OVERWRITTEN,
				  seed_of(writer, file, false));
}

static const char *what_is_wrong(int error)
{
	switch (error) {
	case -EILSEQ:
		return "other bytes";
	case -ERANGE:
		return "other size";
	default:
		return strerror(-error);
	}
}

static int check_file(int dir, unsigned int writer, unsigned int file, unsigned int steps)
{
	unsigned int rename = file * STAGES + RENAME;
	unsigned int removal = (file + KEPT) * STAGES + REMOVE;
	char old[32], new[32];
	bool is_old, is_new;
	int fd, ret;

	if (steps <= file * STAGES + CREATE)
		return 0;
	name_file(old, writer, file, false);
	name_file(new, writer, file, true);
	is_old = !faccessat(dir, old, F_OK, 0);
	is_new = !faccessat(dir, new, F_OK, 0);
	if (steps > removal ? is_new : !is_old && !is_new && steps != removal)
		return complain("%s is %s after %u steps", new, is_new ? "there" : "lost", steps);
	if (steps > rename ? is_old : is_new && (is_old || steps != rename))
		return complain("%s has the wrong name after %u steps", new, steps);
	if (!is_old && !is_new)
		return 0;
	fd = openat(dir, is_new ? new : old, O_RDONLY | O_CLOEXEC);
	ret = fd < 0 ? -errno : check_bytes(fd, writer, file, steps);
	close(fd);
	return ret ? complain("%s: %s after %u steps", new, what_is_wrong(ret), steps) : 0;
}

static int check_files(int dir, unsigned int writer, unsigned int steps)
{
	int ret = 0;

	for (unsigned int file = 0; file < FILES; file++)
		ret = check_file(dir, writer, file, steps) ?: ret;
	return ret;
}

/* What they do on the device: each step writes one of their places, over and over */

#define PLACES		4
#define PLACE		(32 * TEST_KIB)
/* In so many pieces, if the flush comes after it: plain writes may go inline. */
#define PIECES		8

static uint64_t place_of(unsigned int writer, unsigned int place)
{
	return (writer * PLACES + place) * TEST_MIB;
}

static int write_pieces(int fd, uint64_t at, uint64_t seed)
{
	int ret = 0;

	for (unsigned int i = 0; i < PIECES && !ret; i++)
		ret = test_write_pattern(fd, at + i * (PLACE / PIECES), PLACE / PIECES, seed);
	return ret ?: fdatasync(fd) ? -errno : 0;
}

static int step_on_device(const struct writer *writer, unsigned int step)
{
	uint64_t at = place_of(writer->number, step % PLACES);
	uint64_t seed = seed_of(writer->number, step, false);
	int ret;

	switch (step % 3) {
	case 0:
		return test_write_pattern(writer->fua, at, PLACE, seed);
	case 1:
		return write_pieces(writer->direct, at, seed);
	default:
		ret = test_write_pattern(writer->dev, at, PLACE, seed);
		return ret ?: fsync(writer->dev) ? -errno : 0;
	}
}

static int check_place(int dev, unsigned int writer, unsigned int place, unsigned int steps)
{
	unsigned int before = (steps + PLACES - 1 - place) / PLACES;
	uint64_t at = place_of(writer, place), old, new;
	static char buf[PLACE];

	if (before)
		old = seed_of(writer, (before - 1) * PLACES + place, false);
	new = seed_of(writer, steps, false);
	if (pread(dev, buf, sizeof(buf), at) != sizeof(buf))
		return complain("place %u of writer %u cannot be read", place, writer);
	if (!is_old_or_new(buf, sizeof(buf), at, before ? &old : NULL,
			   steps % PLACES == place ? &new : NULL))
		return complain("place %u of writer %u is lost after %u steps", place, writer,
				steps);
	return 0;
}

static int check_places(int dev, unsigned int writer, unsigned int steps)
{
	int ret = 0;

	for (unsigned int place = 0; place < PLACES; place++)
		ret = check_place(dev, writer, place, steps) ?: ret;
	return ret;
}

/* All writers */

static int work(const struct shape *shape, const struct writer *writer)
{
	int ret = 0;

	for (unsigned int step = 0; step < STEPS && !ret; step++) {
		ret = shape->inner ? step_files(writer, step) : step_on_device(writer, step);
		if (!ret)
			ret = mark_steps(writer, step + 1);
		if (ret)
			fprintf(stderr, "# writer %u, step %u: %s\n", writer->number, step,
				strerror(-ret));
	}
	return ret;
}

static int work_all(const struct shape *shape, struct writer *writer)
{
	pid_t pids[WRITERS];
	int ret = 0;

	for (writer->number = 0; writer->number < WRITERS; writer->number++) {
		pids[writer->number] = fork();
		if (!pids[writer->number])
			_exit(!!work(shape, writer));
	}
	for (unsigned int i = 0; i < WRITERS; i++)
		ret = test_reap(pids[i]) ?: ret;
	return ret ? -EIO : 0;
}

static int work_on(const struct shape *shape, int dev)
{
	struct writer writer = {
		.control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC),
		.turn = test_memfd(0),
		.dir = shape->inner ? open(INNER, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1,
		.dev = test_reopen(dev, O_RDWR),
		.direct = test_reopen(dev, O_RDWR | O_DIRECT),
		.fua = test_reopen(dev, O_RDWR | O_DIRECT | O_DSYNC),
	};
	int ret = work_all(shape, &writer);

	close(writer.fua);
	close(writer.direct);
	close(writer.dev);
	close(writer.dir);
	close(writer.turn);
	close(writer.control);
	return ret;
}

static int work_on_backing(const struct shape *shape, struct blkfd_info *info)
{
	int dev = create_on_backing(shape), ret;

	if (dev < 0)
		return dev;
	ret = mount_inner(shape, dev);
	if (!ret)
		ret = work_on(shape, dev);
	if (unmount_inner(shape) && !ret)
		ret = -errno;
	test_info(dev, info);
	close(dev);
	return ret;
}

/* Has them work on what disk holds, and all that is written to it in the log. */
static int record(const struct shape *shape, int disk, int log, struct blkfd_info *info)
{
	int on = test_create(disk, 0, 0, 0, 0), to = test_create(log, 0, 0, 0, 0), ret;

	ret = dm_create(on, to);
	close(to);
	close(on);
	if (ret)
		return ret;
	ret = mount_at(DM_PATH, shape->outer, NULL, OUTER);
	if (!ret)
		ret = work_on_backing(shape, info);
	if (umount(OUTER) && !ret)
		ret = -errno;
	return test_dm_remove(DM_NAME) ?: ret;
}

/* One point of the log */

static int check_acked(const struct shape *shape, int dev, const unsigned int *acked)
{
	int dir = shape->inner ? open(INNER, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, ret = 0;

	for (unsigned int i = 0; i < WRITERS; i++)
		ret = (shape->inner ? check_files(dir, i, acked[i]) :
				      check_places(dev, i, acked[i])) ?: ret;
	close(dir);
	return ret;
}

static int check_backing(const struct shape *shape, const unsigned int *acked)
{
	int dev = create_on_backing(shape), ret;

	if (dev < 0)
		return complain("no device: %s", strerror(-dev));
	ret = mount_inner(shape, dev);
	if (ret) {
		ret = complain("inner %s: %s", shape->inner, strerror(-ret));
	} else {
		ret = check_acked(shape, dev, acked);
		if (unmount_inner(shape))
			ret = complain("inner %s stays mounted", shape->inner);
	}
	if (shape->inner)
		ret = check_fs(shape->inner, dev) ?: ret;
	close(dev);
	return ret;
}

static int check_point(const struct shape *shape, const struct replay *replay)
{
	int copy = copy_disk(replay->disk), dev = test_create(copy, 0, 0, 0, 0);
	char path[TEST_PATH_MAX];
	int ret;

	test_fd_path(dev, path, sizeof(path));
	ret = mount_at(path, shape->outer, NULL, OUTER);
	if (ret) {
		ret = complain("outer %s: %s", shape->outer, strerror(-ret));
	} else {
		ret = check_backing(shape, replay->acked);
		if (umount(OUTER))
			ret = complain("outer %s stays mounted", shape->outer);
	}
	ret = check_fs(shape->outer, dev) ?: ret;
	close(dev);
	close(copy);
	return ret;
}

FIXTURE(powerloss) {
	/* To be written to, and then, from what it was before, by the log alone. */
	int disk;
	int replayed;
	int log;
};

FIXTURE_VARIANT(powerloss) {
	struct shape shape;
};

FIXTURE_VARIANT_ADD(powerloss, xfs_on_xfs) {
	.shape = { .outer = "xfs", .inner = "xfs" },
};

FIXTURE_VARIANT_ADD(powerloss, xfs_on_ext4_direct) {
	.shape = { .outer = "ext4", .inner = "xfs", .options = "discard", .flags = BLKFD_F_DIRECT },
};

FIXTURE_VARIANT_ADD(powerloss, ext4_on_xfs_direct) {
	.shape = { .outer = "xfs", .inner = "ext4", .flags = BLKFD_F_DIRECT },
};

FIXTURE_VARIANT_ADD(powerloss, ext4_on_ext4) {
	.shape = { .outer = "ext4", .inner = "ext4", .options = "discard" },
};

FIXTURE_VARIANT_ADD(powerloss, xfs_on_btrfs) {
	.shape = { .outer = "btrfs", .inner = "xfs" },
};

FIXTURE_VARIANT_ADD(powerloss, device_on_xfs) {
	.shape = { .outer = "xfs" },
};

FIXTURE_VARIANT_ADD(powerloss, device_on_xfs_direct) {
	.shape = { .outer = "xfs", .flags = BLKFD_F_DIRECT },
};

FIXTURE_VARIANT_ADD(powerloss, device_on_ext4) {
	.shape = { .outer = "ext4" },
};

FIXTURE_VARIANT_ADD(powerloss, device_on_ext4_direct) {
	.shape = { .outer = "ext4", .flags = BLKFD_F_DIRECT },
};

FIXTURE_SETUP(powerloss)
{
	if (!test_has_module("dm-log-writes"))
		SKIP(return, "this kernel has no dm-log-writes");
	ASSERT_EQ(0, test_private_mounts());
	self->disk = test_memfd(DISK_SIZE);
	self->log = test_memfd(LOG_SIZE);
	ASSERT_EQ(0, make_disk(&variant->shape, self->disk));
	self->replayed = copy_disk(self->disk);
	ASSERT_LE(0, self->replayed);
}

FIXTURE_TEARDOWN(powerloss)
{
	umount(INNER);
	umount(OUTER);
	if (!access(DM_PATH, F_OK))
		test_dm_remove(DM_NAME);
}

/* Of the points, so many, and the last one always. */
TEST_F_TIMEOUT(powerloss, loses_nothing_that_was_acknowledged, 80000)
{
	unsigned long rounds = test_rounds(4), checked = 0, bad = 0;
	const struct shape *shape = &variant->shape;
	struct blkfd_info info = { };
	struct replay replay;
	int points, ret;

	ASSERT_EQ(0, record(shape, self->disk, self->log, &info));
	points = replay_count_points(self->log);
	ASSERT_LT(0, points);
	ASSERT_EQ(0, replay_start(&replay, self->log, self->replayed));
	for (point = 0; (ret = replay_next_point(&replay)) > 0; point++) {
		if (point * rounds / points == (point + 1) * rounds / points)
			continue;
		checked++;
		bad += !!check_point(shape, &replay);
		test_tell(3, point, points, "points");
	}
	EXPECT_EQ(0, ret);
	for (unsigned int i = 0; i < WRITERS; i++)
		EXPECT_EQ(STEPS, replay.acked[i]);
	TH_LOG("%s on %s%s: %d points, %lu checked, %lu bad; %llu I/Os inline, %llu by workers",
	       shape->inner ?: "device", shape->outer,
	       shape->flags & BLKFD_F_DIRECT ? ", direct" : "", points, checked, bad,
	       info.inline_ios, info.worker_ios);
	EXPECT_EQ(0, bad);
}

TEST_HARNESS_MAIN
