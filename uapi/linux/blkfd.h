/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * blkfd: a block device from a file descriptor.
 *
 * BLKFD_GET_INFO and BLKFD_RESIZE are ioctls of the descriptors that BLKFD_CREATE
 * returns (and of any other open file of the same block device), the others of
 * control files: /dev/blkfd, and the instances that BLKFD_NEW_INSTANCE makes.
 */
#ifndef _UAPI_LINUX_BLKFD_H
#define _UAPI_LINUX_BLKFD_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: Sizes and errors
 *
 * The size of each struct is part of the ioctl number; the kernel dispatches
 * on the type and the low eight bits alone. A caller with an older, shorter
 * struct gets zero for the fields it does not know of; a longer one is taken if
 * the part that the kernel does not know is zero. Structs grow at the end only.
 *
 * Every ioctl can fail with
 *
 * - ENOTTY: no such ioctl on this file.
 * - EINVAL: the size is below the first published one; an unknown flag is set;
 *   a reserved field is not zero.
 * - E2BIG: the struct is longer than the kernel's and not zero beyond it
 *   (where the kernel only fills it in, it zeroes the rest).
 * - EFAULT: the struct cannot be read or written.
 *
 * and with what its own description lists. A call that fails has changed
 * nothing.
 */

#define BLKFD_IOC_TYPE		0xBF

/*
 * No write reaches the file: open(2) for writing fails with EROFS, and writes
 * that come in other ways (from device-mapper, say) with EIO.
 */
#define BLKFD_F_RDONLY		0x00000001
/* I/O bypasses the page cache of the file system that holds the file. */
#define BLKFD_F_DIRECT		0x00000002
/* Discard is not offered; without it, discards punch holes in the file. */
#define BLKFD_F_NODISCARD	0x00000004

/**
 * struct blkfd_create - argument of BLKFD_CREATE
 * @fd: Descriptor of the backing file: a regular file of any file system, a
 *	memfd, or a block device; open for reading. If it is not open for
 *	writing, the device is read-only, as with BLKFD_F_RDONLY. The device
 *	opens the file anew, with the same access mode, for itself, and with
 *	O_NOATIME.
 * @flags: BLKFD_F_RDONLY, BLKFD_F_DIRECT, BLKFD_F_NODISCARD or none.
 * @offset: First byte of the file that belongs to the device. A multiple of
 *	the block size. Default 0.
 * @length: Size of the device in bytes, a multiple of the block size.
 *	0: from @offset to the end of the file, where its server has it now if
 *	it is on a network.
 * @block_size: Logical block size in bytes: a power of two from 512 to the
 *	page size, or up to 65536 where the kernel supports it. 0: what the
 *	file needs, that is 512, the logical block size of a backing block
 *	device, or, with BLKFD_F_DIRECT, the smallest size at which the file
 *	takes direct I/O.
 * @reserved: Must be zero.
 *
 * Returns a new descriptor, close-on-exec, of a new block device that exists as
 * long as something refers to it: descriptors, mounts, device-mapper tables.
 * It is open for reading, and for writing unless the device is read-only. The
 * caller owns its inode, mode 0600.
 *
 * - EBADF: @fd is not open, not open for reading, or open with O_PATH.
 * - EISDIR: it is a directory.
 * - ENOTBLK: it is neither a regular file nor a block device.
 * - EPERM: it is open with O_APPEND.
 * - ETXTBSY: it is in use as swap.
 * - EOPNOTSUPP: its file system offers no read_iter or write_iter; or
 *   BLKFD_F_DIRECT, and it cannot do direct I/O at this block size, or only
 *   with memory that is aligned to more than a page; or
 *   fanotify(7) is to ask somebody before the file is read (FAN_PRE_ACCESS, who
 *   may fill it then, or FAN_ACCESS_PERM), which it does not do for a device.
 *   Kernels before 6.14 do not tell. A mark that is made when the device has
 *   the file holds for those who open it later.
 * - EOVERFLOW: it is of a FUSE server in a user namespace in which the caller has
 *   no uid or gid, so that nothing would be read or written for the device.
 * - EINVAL: the block size is not possible, or @offset, @length or the end
 *   of the file (with @length 0) is not a multiple of it.
 * - ERANGE: the window does not lie inside the file.
 * - ENODATA: the window is empty.
 * - ELOOP: devices are nested too deep.
 * - EPERM: an instance does not allow for these flags, this block size, or a
 *   device that can be written to (see struct blkfd_instance); or the caller's
 *   cgroup does not allow for block devices of our major number.
 * - EDQUOT: the caller, or the owner of a user namespace around it, has as many
 *   devices as a user may have (see struct blkfd_limits); or the device is more
 *   than is left of an instance's share.
 * - ESTALE: the instance was revoked.
 * - ENOSPC: there are as many devices as there may be, or, outside of the
 *   initial user namespace, as many but for those that are reserved for it; or
 *   no minor number is free.
 * - EMFILE, ENFILE, ENOMEM: as for open(2).
 *
 * Other errors of open(2) and stat(2) are possible where a file system, or a
 * security module, does not let the file be opened once more (9p, if it is
 * unlinked), or the server does not say how long it is.
 */
struct blkfd_create {
	__s32 fd;
	__u32 flags;
	__aligned_u64 offset;
	__aligned_u64 length;
	__u32 block_size;
	__u32 reserved;
};

#define BLKFD_CREATE_SIZE_VER0	32

/**
 * struct blkfd_info - result of BLKFD_GET_INFO
 * @id: Number of the device, never used again until the module is reloaded;
 *	the N of /sys/block/blkfdN.
 * @diskseq: Disk sequence number, as BLKGETDISKSEQ returns it.
 * @dev_major: Major number of the device.
 * @dev_minor: Minor number of the device.
 * @backing_major: Major number of the device that holds the backing file, as
 *	stat(2) shows it, or of the backing block device itself.
 * @backing_minor: Its minor number.
 * @backing_ino: Inode number of the backing file.
 * @offset: Where in the backing file the device begins, in bytes.
 * @length: Size of the device in bytes, as of now.
 * @flags: BLKFD_F_* in force. RDONLY also if the descriptor was read-only,
 *	NODISCARD also if the device is or the file has no fallocate.
 * @block_size: Logical block size in bytes.
 * @creator_uid: User that created the device, in the caller's user namespace
 *	(the overflow uid if it has no number there).
 * @creator_pid: Process that created it, in the caller's PID namespace, 0 if it
 *	is not visible there or has exited.
 * @reads: Read requests completed since creation.
 * @read_bytes: Bytes that they were for.
 * @writes: Write requests completed.
 * @write_bytes: Bytes that they were for.
 * @discards: Discard requests completed; write zeroes count as writes.
 * @flushes: Flushes completed.
 * @errors: Requests that failed, also counted above; not those that the file
 *	does not support at all.
 * @inline_ios: Requests of all kinds, failed ones too, that the task that sent
 *	them carried out.
 * @worker_ios: Those that a worker carried out, in whole or in part.
 * @would_block: Attempts without a worker that came to nothing, since they
 *	would have had to wait; each is also among @worker_ios.
 *
 * Only output. The counts from @reads to @flushes are those of
 * /sys/block/blkfdN/stat and stand still while queue/iostats is off.
 */
struct blkfd_info {
	__aligned_u64 id;
	__aligned_u64 diskseq;
	__u32 dev_major;
	__u32 dev_minor;
	__u32 backing_major;
	__u32 backing_minor;
	__aligned_u64 backing_ino;
	__aligned_u64 offset;
	__aligned_u64 length;
	__u32 flags;
	__u32 block_size;
	__u32 creator_uid;
	__u32 creator_pid;
	__aligned_u64 reads;
	__aligned_u64 read_bytes;
	__aligned_u64 writes;
	__aligned_u64 write_bytes;
	__aligned_u64 discards;
	__aligned_u64 flushes;
	__aligned_u64 errors;
	__aligned_u64 inline_ios;
	__aligned_u64 worker_ios;
	__aligned_u64 would_block;
};

#define BLKFD_INFO_SIZE_VER0	152

/**
 * struct blkfd_resize - argument of BLKFD_RESIZE
 * @length: New size of the device in bytes, a multiple of the block size.
 *	0: up to the present end of the file, as with BLKFD_CREATE.
 *
 * The backing file itself is not changed. What is dirty in the device's cache
 * is written before the device shrinks; what somebody writes beyond the new end
 * meanwhile may be lost. Nothing beyond it stays cached or mapped (touching it
 * is SIGBUS), but for what a mounted file system holds: when the device grows,
 * it shows what is then in the file.
 *
 * - EBADF: the descriptor is not open for writing and the device is not
 *   read-only.
 * - EPERM: the caller is neither the user that created the device nor has
 *   CAP_SYS_ADMIN in the user namespace in which it was created.
 * - EINVAL: @length, or the end of the file with @length 0, is not a multiple
 *   of the block size.
 * - ERANGE: the window would not lie inside the file.
 * - ENODATA: the window would be empty.
 * - EDQUOT: it would be larger than what is left of an instance's share.
 * - EBUSY: it would grow, but does not end with a page, and what is cached of its
 *   last one is in use: somebody writes to it by a mapping all the time, or a file
 *   system that is mounted holds it.
 * - EIO, ENOSPC: writing back what is dirty failed, now or before, if no fsync() has
 *   told of it since, nor BLKFLSBUF, BLKBSZSET or an umount met it (then it is told
 *   once here, too); the size is as before.
 *
 * Other errors of stat(2) are possible where the server does not say how long the
 * file is.
 */
struct blkfd_resize {
	__aligned_u64 length;
};

#define BLKFD_RESIZE_SIZE_VER0	8

/**
 * struct blkfd_limits - result of BLKFD_GET_LIMITS
 * @max_devices: How many devices there may be. Default 4096.
 * @reserved: How many of those only users in the initial user namespace may
 *	create. Default 64.
 * @max_user_devices: How many a user may have. Default 1024.
 * @devices: How many there are.
 * @user_devices: How many the calling user (by effective uid) has in its user
 *	namespace.
 * @zero: Always zero.
 *
 * Only output. The first three are those of /proc/sys/dev/blkfd, from 0 to
 * 1048576, which root sets; a new value counts for creations alone. A device
 * counts for the user that created it, and for the owner of each user namespace
 * around that user's, in the namespace where that owner made it. It counts until
 * its memory is freed: when it is closed, or, if somebody holds it open with
 * O_PATH, after that.
 */
struct blkfd_limits {
	__u32 max_devices;
	__u32 reserved;
	__u32 max_user_devices;
	__u32 devices;
	__u32 user_devices;
	__u32 zero;
};

#define BLKFD_LIMITS_SIZE_VER0	24

/**
 * struct blkfd_user - argument and result of BLKFD_GET_USER
 * @uid: In: the least uid to look for. Out: the least that is not below it and
 *	has devices, in the caller's user namespace.
 * @devices: Out: how many; in it is ignored.
 *
 * To see all, begin with 0 and go on with the result's @uid + 1.
 *
 * - EPERM: the caller does not have CAP_SYS_ADMIN in its user namespace.
 * - ENOENT: no such user.
 */
struct blkfd_user {
	__u32 uid;
	__u32 devices;
};

#define BLKFD_USER_SIZE_VER0	8

/* Only devices that are read-only. */
#define BLKFD_INSTANCE_RDONLY	0x00000001
/* Output only: nothing can be made by it any more. */
#define BLKFD_INSTANCE_REVOKED	0x00000002

/**
 * struct blkfd_instance - argument of BLKFD_NEW_INSTANCE, result of
 *	BLKFD_GET_INSTANCE
 * @flags: BLKFD_INSTANCE_RDONLY or none. What holds around it holds in it.
 * @denied_flags: BLKFD_F_* that BLKFD_CREATE refuses here, those that are refused
 *	around it among them.
 * @block_sizes: Logical block sizes that devices may have, in bytes, or'ed
 *	together. 0: as around it.
 * @max_devices: How many devices there may be. 0: as around it.
 * @max_bytes: How many bytes they may have together. 0: as around it.
 * @bytes: Output, 0 in input: how many they have.
 * @devices: Output, 0 in input: how many there are.
 * @zero: Always zero.
 *
 * BLKFD_NEW_INSTANCE makes an instance, a control file that may do less than the
 * one that it is called on: a share, to be handed to a container, say. It returns
 * its descriptor, close-on-exec. A device counts for the instance that it was made
 * by and for all around it, until its memory is freed (see struct blkfd_limits, which
 * binds as well). When the last descriptor, and mount, of an instance is gone nothing
 * can be made by it any more; its devices, and instances made by it, live on. To end
 * all that somebody else may have made of it, there is BLKFD_REVOKE.
 *
 * A mount of type blkfdctl, with the option instance=FD, gives an instance a path.
 * Whoever can open that, if only for reading, can do all that the instance may; the
 * options uid=, gid= and mode= say who.
 *
 * BLKFD_GET_INSTANCE says what is in force. That of /dev/blkfd has a @max_bytes of
 * 2^64 - 1, which is no bound: where that is so, @bytes may have wrapped around.
 *
 * - EPERM: it would be wider than what is around it.
 * - ELOOP: there are eight instances around it already.
 * - ESTALE: it is called on an instance that was revoked.
 * - EMFILE, ENFILE, ENOMEM: as for open(2).
 */
struct blkfd_instance {
	__u32 flags;
	__u32 denied_flags;
	__u32 block_sizes;
	__u32 max_devices;
	__aligned_u64 max_bytes;
	__aligned_u64 bytes;
	__u32 devices;
	__u32 zero;
};

#define BLKFD_INSTANCE_SIZE_VER0	40

/**
 * struct blkfd_revoke - argument of BLKFD_REVOKE
 * @fd: A descriptor of an instance.
 * @reserved: Must be zero.
 *
 * By that instance, and those within it, nothing can be made any more, but for what
 * is being made while this is called. Their devices live on.
 *
 * - EBADF: @fd is not open, or open with O_PATH.
 * - EINVAL: it is not an instance.
 * - EPERM: it was not made by the control file that this is called on, nor by an
 *   instance within that.
 */
struct blkfd_revoke {
	__s32 fd;
	__u32 reserved;
};

#define BLKFD_REVOKE_SIZE_VER0	8

#define BLKFD_CREATE	_IOW(BLKFD_IOC_TYPE, 0, struct blkfd_create)
#define BLKFD_GET_INFO	_IOR(BLKFD_IOC_TYPE, 1, struct blkfd_info)
#define BLKFD_RESIZE	_IOW(BLKFD_IOC_TYPE, 2, struct blkfd_resize)
#define BLKFD_GET_LIMITS \
	_IOR(BLKFD_IOC_TYPE, 3, struct blkfd_limits)
#define BLKFD_GET_USER	_IOWR(BLKFD_IOC_TYPE, 4, struct blkfd_user)
#define BLKFD_NEW_INSTANCE \
	_IOW(BLKFD_IOC_TYPE, 5, struct blkfd_instance)
#define BLKFD_GET_INSTANCE \
	_IOR(BLKFD_IOC_TYPE, 6, struct blkfd_instance)
#define BLKFD_REVOKE	_IOW(BLKFD_IOC_TYPE, 7, struct blkfd_revoke)

#endif /* _UAPI_LINUX_BLKFD_H */
