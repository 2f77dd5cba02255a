// SPDX-License-Identifier: GPL-2.0
/*
 * fsconfig(2) as it is with the patch. FSCONFIG_SET_FD of "source" with a block
 * device is served here, whatever the file system's own parser thinks of
 * descriptors; all else is left to the kernel's function.
 */
#include <linux/compat.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/kprobes.h>
#include <linux/mutex.h>
#include <linux/ptrace.h>
#include <linux/slab.h>
#include <linux/static_call.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <uapi/linux/mount.h>
#include <asm/ibt.h>

#include "mountfd.h"

/* As long as fsconfig(2) takes a key. */
#define MOUNTFD_KEY_MAX 256

typedef long mountfd_fsconfig_fn(int fd, unsigned int cmd,
				 const char __user *key,
				 const void __user *value, int aux);

/*
 * The body that both entries of the kernel share; with one entry alone it would
 * be part of that. Called directly, as they do: nothing has its address, so that
 * it need not have an ENDBR.
 */
DEFINE_STATIC_CALL_NULL(mountfd_fsconfig_kernel, mountfd_fsconfig_fn);

/* Where fscontext_release() is, by which a file is known as a context. */
static unsigned long mountfd_fsconfig_release;

/* Returns the context that a file is, or NULL. The probe's address is past ENDBR. */
static struct fs_context *mountfd_fsconfig_context(struct file *file)
{
	unsigned long release = (unsigned long)file->f_op->release;

	if (release != mountfd_fsconfig_release &&
	    release + ENDBR_INSN_SIZE != mountfd_fsconfig_release)
		return NULL;
	return file->private_data;
}

static bool mountfd_fsconfig_key_is_source(const char __user *ukey)
{
	char *key = strndup_user(ukey, MOUNTFD_KEY_MAX);
	bool match;

	if (IS_ERR(key))
		return false;
	match = !strcmp(key, "source");
	kfree(key);
	return match;
}

/* Only a new mount of a file system on a block device has such a source. */
static int mountfd_fsconfig_set_locked(struct fs_context *fc,
				       struct mountfd_source *source)
{
	lockdep_assert_held(&fc->uapi_mutex);
	if (fc->phase != FS_CONTEXT_CREATE_PARAMS ||
	    fc->purpose != FS_CONTEXT_FOR_MOUNT)
		return -ENOPARAM;
	return mountfd_source_set(source, fc);
}

static int mountfd_fsconfig_set_source(struct fs_context *fc,
				       struct file *file)
{
	struct mountfd_source *source;
	int ret;

	source = mountfd_source_alloc(file);
	if (IS_ERR(source))
		return PTR_ERR(source);
	ret = mutex_lock_interruptible(&fc->uapi_mutex);
	if (!ret) {
		ret = mountfd_fsconfig_set_locked(fc, source);
		mutex_unlock(&fc->uapi_mutex);
	}
	mountfd_source_put(source);
	return ret;
}

/* O_PATH will do: what is mounted is what the file leads to. */
static int mountfd_fsconfig_set_file(struct fs_context *fc, int aux)
{
	struct file *file;
	int ret = -ENOPARAM;

	if (!(fc->fs_type->fs_flags & FS_REQUIRES_DEV))
		return -ENOPARAM;
	file = fget_raw(aux);
	if (!file)
		return -ENOPARAM;
	if (S_ISBLK(file_inode(file)->i_mode))
		ret = mountfd_fsconfig_set_source(fc, file);
	fput(file);
	return ret;
}

/* -ENOPARAM: a case for the kernel, which also knows what is wrong with it. */
static int mountfd_fsconfig_set_fd(int fd, const char __user *key, int aux)
{
	struct fs_context *fc;
	struct file *file;
	int ret = -ENOPARAM;

	file = fget(fd);
	if (!file)
		return -ENOPARAM;
	fc = mountfd_fsconfig_context(file);
	if (fc && mountfd_fsconfig_key_is_source(key))
		ret = mountfd_fsconfig_set_file(fc, aux);
	fput(file);
	return ret;
}

/* As long as this runs, livepatch does not take the patch from the task. */
static long mountfd_fsconfig_create(int fd, unsigned int cmd,
				    const char __user *key,
				    const void __user *value, int aux)
{
	struct mountfd_call call;
	long ret;

	mountfd_source_enter(&call);
	ret = static_call(mountfd_fsconfig_kernel)(fd, cmd, key, value, aux);
	mountfd_source_leave(&call);
	return ret;
}

static long mountfd_fsconfig(int fd, unsigned int cmd, const char __user *key,
			     const void __user *value, int aux)
{
	int ret;

	switch (cmd) {
	case FSCONFIG_CMD_CREATE:
	case FSCONFIG_CMD_CREATE_EXCL:
		return mountfd_fsconfig_create(fd, cmd, key, value, aux);
	case FSCONFIG_SET_FD:
		ret = value ? -ENOPARAM : mountfd_fsconfig_set_fd(fd, key, aux);
		if (ret != -ENOPARAM)
			return ret;
	}
	return static_call(mountfd_fsconfig_kernel)(fd, cmd, key, value, aux);
}

/* Replaces __x64_sys_fsconfig(). */
asmlinkage long mountfd_fsconfig_64(const struct pt_regs *regs)
{
	return mountfd_fsconfig(regs->di, regs->si,
				(const char __user *)regs->dx,
				(const void __user *)regs->r10, regs->r8);
}

/* Replaces __ia32_sys_fsconfig(). */
asmlinkage long mountfd_fsconfig_32(const struct pt_regs *regs)
{
	return mountfd_fsconfig(regs->bx, regs->cx,
				compat_ptr(regs->dx),
				compat_ptr(regs->si), regs->di);
}

/* Where a function that is not exported begins, past its ENDBR; 0: nowhere. */
static unsigned long __init mountfd_fsconfig_find(const char *name)
{
	struct kprobe probe = {
		.symbol_name	= name,
		.flags		= KPROBE_FLAG_DISABLED,
	};
	unsigned long address;

	if (register_kprobe(&probe))
		return 0;
	address = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
	return address;
}

/**
 * mountfd_fsconfig_init - find what of the kernel is needed beside its exports
 *
 * Returns: 0, or -EOPNOTSUPP: this kernel is built differently.
 */
int __init mountfd_fsconfig_init(void)
{
	unsigned long body = mountfd_fsconfig_find("__do_sys_fsconfig");

	mountfd_fsconfig_release = mountfd_fsconfig_find("fscontext_release");
	if (!body || !mountfd_fsconfig_release)
		return -EOPNOTSUPP;
	static_call_update(mountfd_fsconfig_kernel,
			   (mountfd_fsconfig_fn *)body);
	return 0;
}
