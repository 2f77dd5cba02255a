// SPDX-License-Identifier: GPL-2.0
/* From a path to a device: the file, its size, and what a refusal means. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"

static int fail_file(const char *path, int error)
{
	complain("%s: %s", path, strerror(error));
	return -error;
}

static int backing_open(struct backing *file,
			const struct device_options *options)
{
	int mode = options->create.flags & BLKFD_F_RDONLY ? O_RDONLY : O_RDWR;
	struct stat st;

	if (options->new) {
		file->fd = output_open(file->path, &file->dir);
		return file->fd < 0 ? file->fd : 0;
	}
	/* Opening a pipe would wait for its other end. */
	if (!stat(file->path, &st) && !S_ISREG(st.st_mode) &&
	    !S_ISBLK(st.st_mode) && !S_ISDIR(st.st_mode)) {
		complain("%s: neither a regular file nor a block device",
			 file->path);
		return -ENOTBLK;
	}
	file->fd = open(file->path, mode | O_CLOEXEC);
	if (file->fd >= 0)
		return 0;
	if (errno != ENOENT || !options->size)
		return fail_file(file->path, errno);
	file->fd = output_create(file->path, &file->dir);
	file->created = file->fd >= 0;
	if (file->created)
		return 0;
	if (file->fd != -EEXIST)
		return fail_file(file->path, -file->fd);
	complain("%s: a symbolic link to nothing, and no file is created there",
		 file->path);
	return -EEXIST;
}

static int backing_extend(struct backing *file, uint64_t size)
{
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return fail_file(file->path, errno);
	if (!S_ISREG(st.st_mode)) {
		complain("%s: only a regular file can be given a size",
			 file->path);
		return -EINVAL;
	}
	if (size < (uint64_t)st.st_size) {
		complain("%s: has %jd bytes already, and is never made smaller",
			 file->path, (intmax_t)st.st_size);
		return -EEXIST;
	}
	if (size == (uint64_t)st.st_size)
		return 0;
	if (ftruncate(file->fd, size) < 0)
		return fail_file(file->path, errno);
	file->old_size = st.st_size;
	file->new_size = size;
	return 0;
}

/* Unless somebody else has made it longer in the meantime. */
void backing_restore(const struct backing *file)
{
	struct stat st;
	int ret = 0;

	if (file->created)
		ret = output_remove(file->fd, file->dir, file->path);
	else if (file->new_size && !fstat(file->fd, &st) &&
		 st.st_size == file->new_size &&
		 ftruncate(file->fd, file->old_size) < 0)
		ret = -errno;
	/* The name is another file's by now. */
	if (ret && ret != -ENOENT)
		fail_file(file->path, -ret);
	close(file->fd);
}

static uint64_t backing_size(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);

	return end < 0 ? 0 : end;
}

static const char *multiple_fault(const struct blkfd_create_opts *opts,
				  unsigned long long size, uint32_t block,
				  unsigned long long *number)
{
	if (opts->offset % block) {
		*number = opts->offset;
		return "offset";
	}
	if (opts->length % block) {
		*number = opts->length;
		return "length";
	}
	*number = size;
	return !opts->length && size % block ? "its size" : NULL;
}

static void explain_alignment(const char *path, unsigned long long size,
			      const struct blkfd_create_opts *opts)
{
	uint32_t block = opts->block_size ? opts->block_size : 512;
	unsigned long long number;
	const char *what;

	if (block < 512 || block & (block - 1)) {
		complain("%s: block size %u: must be a power of two from 512",
			 path, block);
		return;
	}
	what = multiple_fault(opts, size, block, &number);
	if (what)
		complain("%s: %s, %llu bytes, is not a multiple of the block size %u",
			 path, what, number, block);
	else if (opts->block_size)
		complain("%s: the kernel or what the file lies on cannot do block size %u",
			 path, block);
	else
		complain("%s: size, offset or length is not a multiple of its block size",
			 path);
}

static void explain_unsupported(const char *path,
				const struct blkfd_create_opts *opts)
{
	static const char asked[] = "somebody is to be asked before it is read (fanotify)";

	if (!(opts->flags & BLKFD_F_DIRECT))
		complain("%s: its file system cannot read or write for a device, or %s",
			 path, asked);
	else if (opts->block_size)
		complain("%s: cannot do direct I/O in blocks of %u bytes, or %s",
			 path, opts->block_size, asked);
	else
		complain("%s: cannot do direct I/O, or %s", path, asked);
}

static void explain_window(const char *path, unsigned long long size,
			   const struct blkfd_create_opts *opts)
{
	complain("%s: offset %llu, length %llu: beyond the end of the file, %llu bytes",
		 path, (unsigned long long)opts->offset,
		 (unsigned long long)opts->length, size);
}

/* What BLKFD_CREATE's errors mean to somebody who has typed a command. */
static void explain_refusal(const char *path, int fd, int error,
			    const struct blkfd_create_opts *opts)
{
	uint64_t size = backing_size(fd);

	switch (error) {
	case EINVAL:
		explain_alignment(path, size, opts);
		break;
	case ERANGE:
		explain_window(path, size, opts);
		break;
	case ENODATA:
		complain("%s: no bytes from offset %llu on, and a device cannot be empty",
			 path, (unsigned long long)opts->offset);
		break;
	case EOPNOTSUPP:
		explain_unsupported(path, opts);
		break;
	case ETXTBSY:
		complain("%s: in use as swap space", path);
		break;
	case EOVERFLOW:
		complain("%s: you have no number in the user namespace of its server",
			 path);
		break;
	case ELOOP:
		complain("%s: on a device on a file, too deep", path);
		break;
	case EPERM:
		complain("%s: /dev/blkfd, or the device cgroup, allows for no such device here: "
			 "see 'blkfd limits' and blkfd(4)", path);
		break;
	case EDQUOT:
		complain("%s: as many devices, or bytes, as there may be for you: see %s",
			 path, "'blkfd limits'");
		break;
	case ENOSPC:
		complain("%s: as many devices as there may be: see 'blkfd limits'",
			 path);
		break;
	case ESTALE:
		complain("%s: /dev/blkfd was revoked", path);
		break;
	default:
		complain("%s: %s", path, strerror(error));
	}
}

static int create_by(int control, struct backing *file,
		     const struct device_options *options)
{
	int ret;

	ret = backing_open(file, options);
	if (ret < 0)
		return ret;
	if (options->size)
		ret = backing_extend(file, options->size);
	if (!ret) {
		ret = blkfd_create_by(control, file->fd, &options->create);
		if (ret < 0)
			explain_refusal(file->path, file->fd, -ret,
					&options->create);
	}
	if (ret < 0)
		backing_restore(file);
	return ret;
}

int device_open(struct backing *file, const char *path,
		const struct device_options *options)
{
	int control, ret;

	*file = (struct backing){ .path = path };
	control = open_control(CONTROL_PATH);
	if (control < 0)
		return control;
	ret = create_by(control, file, options);
	close(control);
	return ret;
}
