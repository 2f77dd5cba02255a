// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls: sizes, copies and permissions. What they do is in device.c.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/uaccess.h>

#include "blkfd.h"

static_assert(sizeof(struct blkfd_create) == BLKFD_CREATE_SIZE_VER0);
static_assert(sizeof(struct blkfd_info) == BLKFD_INFO_SIZE_VER0);
static_assert(sizeof(struct blkfd_resize) == BLKFD_RESIZE_SIZE_VER0);
static_assert(sizeof(struct blkfd_limits) == BLKFD_LIMITS_SIZE_VER0);
static_assert(sizeof(struct blkfd_user) == BLKFD_USER_SIZE_VER0);
static_assert(sizeof(struct blkfd_instance) == BLKFD_INSTANCE_SIZE_VER0);
static_assert(sizeof(struct blkfd_revoke) == BLKFD_REVOKE_SIZE_VER0);

static bool blkfd_ioctl_is(unsigned int cmd, unsigned int known)
{
	return _IOC_TYPE(cmd) == _IOC_TYPE(known) &&
	       _IOC_NR(cmd) == _IOC_NR(known);
}

/* Returns a file of a new device. */
static struct file *blkfd_ioctl_create_file(struct blkfd_control *control,
					    const struct blkfd_create *arg)
{
	struct blkfd_window window;
	struct file *backing, *file;
	int ret;

	backing = fget(arg->fd);
	if (!backing)
		return ERR_PTR(-EBADF);
	ret = blkfd_backing_check(backing, arg, &window);
	if (!ret)
		ret = blkfd_control_check(control, arg->flags, &window);
	if (!ret)
		ret = blkfd_backing_open(&window);
	fput(backing);
	if (ret)
		return ERR_PTR(ret);
	file = blkfd_device_create(control, &window);
	fput(window.file);
	return file;
}

/* Gives @file, or the error that it is, to user space. */
static int blkfd_ioctl_return(int fd, struct file *file)
{
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}

static int blkfd_ioctl_create(struct blkfd_control *control,
			      void __user *uarg, size_t usize)
{
	struct blkfd_create arg;
	int fd, ret;

	if (usize < BLKFD_CREATE_SIZE_VER0)
		return -EINVAL;
	ret = copy_struct_from_user(&arg, sizeof(arg), uarg, usize);
	if (ret)
		return ret;
	if (arg.flags & ~BLKFD_FLAGS || arg.reserved)
		return -EINVAL;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	return blkfd_ioctl_return(fd, blkfd_ioctl_create_file(control, &arg));
}

static int blkfd_ioctl_new_instance(struct blkfd_control *control,
				    void __user *uarg, size_t usize)
{
	struct blkfd_instance arg;
	int fd, ret;

	if (usize < BLKFD_INSTANCE_SIZE_VER0)
		return -EINVAL;
	ret = copy_struct_from_user(&arg, sizeof(arg), uarg, usize);
	if (ret)
		return ret;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	return blkfd_ioctl_return(fd, blkfd_control_create(control, &arg));
}

static int blkfd_ioctl_get_instance(struct blkfd_control *control,
				    void __user *uarg, size_t usize)
{
	struct blkfd_instance instance;

	if (usize < BLKFD_INSTANCE_SIZE_VER0)
		return -EINVAL;
	blkfd_control_fill(control, &instance);
	return copy_struct_to_user(uarg, usize, &instance, sizeof(instance),
				   NULL);
}

static int blkfd_ioctl_revoke(struct blkfd_control *control,
			      void __user *uarg, size_t usize)
{
	struct blkfd_revoke arg;
	struct file *file;
	int ret;

	if (usize < BLKFD_REVOKE_SIZE_VER0)
		return -EINVAL;
	ret = copy_struct_from_user(&arg, sizeof(arg), uarg, usize);
	if (ret)
		return ret;
	if (arg.reserved)
		return -EINVAL;
	file = fget(arg.fd);
	if (!file)
		return -EBADF;
	ret = blkfd_control_revoke(control, file);
	fput(file);
	return ret;
}

static int blkfd_ioctl_get_info(struct blkfd_device *dev, void __user *uarg,
				size_t usize)
{
	struct blkfd_info info;

	if (usize < BLKFD_INFO_SIZE_VER0)
		return -EINVAL;
	blkfd_info_fill(dev, &info);
	return copy_struct_to_user(uarg, usize, &info, sizeof(info), NULL);
}

/*
 * The size of a window is its creator's business: who was given the device must
 * not be able to look beyond the window's end.
 */
static bool blkfd_ioctl_may_resize(struct blkfd_device *dev)
{
	return uid_eq(current_euid(), dev->creator->euid) ||
	       ns_capable(dev->creator->user_ns, CAP_SYS_ADMIN);
}

static int blkfd_ioctl_resize(struct blkfd_device *dev, blk_mode_t mode,
			      void __user *uarg, size_t usize)
{
	struct blkfd_resize arg;
	int ret;

	if (usize < BLKFD_RESIZE_SIZE_VER0)
		return -EINVAL;
	ret = copy_struct_from_user(&arg, sizeof(arg), uarg, usize);
	if (ret)
		return ret;
	if (!(mode & BLK_OPEN_WRITE) && !(dev->window.flags & BLKFD_F_RDONLY))
		return -EBADF;
	if (!blkfd_ioctl_may_resize(dev))
		return -EPERM;
	return blkfd_device_resize(dev, arg.length);
}

static int blkfd_ioctl_get_limits(void __user *uarg, size_t usize)
{
	struct blkfd_limits limits;

	if (usize < BLKFD_LIMITS_SIZE_VER0)
		return -EINVAL;
	blkfd_limits_fill(&limits);
	return copy_struct_to_user(uarg, usize, &limits, sizeof(limits), NULL);
}

static int blkfd_ioctl_get_user(void __user *uarg, size_t usize)
{
	struct blkfd_user user;
	int ret;

	if (usize < BLKFD_USER_SIZE_VER0)
		return -EINVAL;
	if (!ns_capable(current_user_ns(), CAP_SYS_ADMIN))
		return -EPERM;
	ret = copy_struct_from_user(&user, sizeof(user), uarg, usize);
	if (ret)
		return ret;
	ret = blkfd_limits_next_user(&user);
	if (ret)
		return ret;
	return copy_struct_to_user(uarg, usize, &user, sizeof(user), NULL);
}

long blkfd_ioctl_control(struct blkfd_control *control, unsigned int cmd,
			 unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	size_t usize = _IOC_SIZE(cmd);

	if (blkfd_ioctl_is(cmd, BLKFD_CREATE))
		return blkfd_ioctl_create(control, uarg, usize);
	if (blkfd_ioctl_is(cmd, BLKFD_GET_LIMITS))
		return blkfd_ioctl_get_limits(uarg, usize);
	if (blkfd_ioctl_is(cmd, BLKFD_GET_USER))
		return blkfd_ioctl_get_user(uarg, usize);
	if (blkfd_ioctl_is(cmd, BLKFD_NEW_INSTANCE))
		return blkfd_ioctl_new_instance(control, uarg, usize);
	if (blkfd_ioctl_is(cmd, BLKFD_GET_INSTANCE))
		return blkfd_ioctl_get_instance(control, uarg, usize);
	if (blkfd_ioctl_is(cmd, BLKFD_REVOKE))
		return blkfd_ioctl_revoke(control, uarg, usize);
	return -ENOTTY;
}

int blkfd_ioctl_device(struct block_device *bdev, blk_mode_t mode,
		       unsigned int cmd, unsigned long arg)
{
	struct blkfd_device *dev = bdev->bd_disk->private_data;
	void __user *uarg = (void __user *)arg;

	if (blkfd_ioctl_is(cmd, BLKFD_GET_INFO))
		return blkfd_ioctl_get_info(dev, uarg, _IOC_SIZE(cmd));
	if (blkfd_ioctl_is(cmd, BLKFD_RESIZE))
		return blkfd_ioctl_resize(dev, mode, uarg, _IOC_SIZE(cmd));
	return -ENOTTY;
}
