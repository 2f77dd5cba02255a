/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What kernels older than the newest lack, under the newest kernel's names.
 * Deleting a shim deletes the compatibility.
 */
#ifndef BLKFD_COMPAT_H
#define BLKFD_COMPAT_H

#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error blkfd needs Linux 6.12 or later
#endif

/* Block sizes above the page size. */
#ifndef BLK_MAX_BLOCK_SIZE
#define BLK_MAX_BLOCK_SIZE PAGE_SIZE
#endif

/* Allocations by type. */
#ifndef kzalloc_obj
#define kmalloc_obj(object, gfp) kmalloc(sizeof(object), gfp)
#define kzalloc_obj(object, gfp) kzalloc(sizeof(object), gfp)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline int copy_struct_to_user(void __user *dst, size_t usize,
				      const void *src, size_t ksize,
				      bool *ignored_trailing)
{
	size_t size = min(ksize, usize);
	size_t rest = max(ksize, usize) - size;

	if (usize > ksize && clear_user(dst + size, rest))
		return -EFAULT;
	if (ignored_trailing)
		*ignored_trailing = usize < ksize &&
			memchr_inv(src + size, 0, rest);
	return copy_to_user(dst, src, size) ? -EFAULT : 0;
}
#endif

/* Leases, of which files have none unless they say so from 7.0 on. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define BLKFD_NO_LEASES simple_nosetlease
#else
#define BLKFD_NO_LEASES NULL
#endif

/*
 * Whether somebody is to be asked before the file is read. Files did not say, or, since
 * some 6.12.x, that this may be so of any file of their file system.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#undef FMODE_FSNOTIFY_HSM
#define FMODE_FSNOTIFY_HSM(mode) 0
#endif

#endif /* BLKFD_COMPAT_H */
