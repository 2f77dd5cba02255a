// SPDX-License-Identifier: GPL-2.0
/*
 * Sources that are files. A context with one has operations of ours in front of
 * the file system's, from FSCONFIG_SET_FD to the end of FSCONFIG_CMD_CREATE or
 * of the context: they hold the file, and this module. The file system sees a
 * source with a name; while it makes the superblock, lookup_bdev() of that name,
 * by that task, leads to the file.
 */
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "../compat.h"
#include "mountfd.h"

/**
 * struct mountfd_source - a file that is to be mounted
 * @ops: What its contexts have as their operations.
 * @inner: What they had before.
 * @refs: Contexts that have @ops, and who is at work with it.
 * @file: The block device.
 * @name: What file systems and /proc/mounts see.
 */
struct mountfd_source {
	struct fs_context_operations ops;
	const struct fs_context_operations *inner;
	refcount_t refs;
	struct file *file;
	char *name;
};

static LIST_HEAD(mountfd_calls);		/* mountfd_calls_lock */
static DEFINE_SPINLOCK(mountfd_calls_lock);

static struct mountfd_source *mountfd_source_of(struct fs_context *fc)
{
	return container_of(fc->ops, struct mountfd_source, ops);
}

/**
 * mountfd_source_put - drop a reference
 * @source: Gone with the last one.
 */
void mountfd_source_put(struct mountfd_source *source)
{
	if (!refcount_dec_and_test(&source->refs))
		return;
	fput(source->file);
	kfree(source->name);
	kfree(source);
	module_put(THIS_MODULE);
}

/* The names of nodes are good for those that they lead to the device. */
static bool mountfd_source_leads_to(const char *name, dev_t dev)
{
	struct inode *inode;
	struct path path;
	bool match;

	if (kern_path(name, LOOKUP_FOLLOW, &path))
		return false;
	inode = d_backing_inode(path.dentry);
	match = S_ISBLK(inode->i_mode) && inode->i_rdev == dev;
	path_put(&path);
	return match;
}

/* A device of ours has its id, whatever node it was opened by. */
static bool mountfd_source_id(struct file *file, unsigned long long *id)
{
	struct inode *inode = file->f_mapping->host;
	char rest;

	if (file->f_mode & FMODE_PATH || !S_ISBLK(inode->i_mode))
		return false;
	return sscanf(I_BDEV(inode)->bd_disk->disk_name, "blkfd%llu%c", id,
		      &rest) == 1;
}

/*
 * A name that is true of the device for as long as it is mounted: its id, the
 * path of the node, or, if that leads nowhere or elsewhere, its number.
 */
static char *mountfd_source_name(struct file *file, char *buf)
{
	dev_t dev = file_inode(file)->i_rdev;
	unsigned long long id;
	char *path;

	if (mountfd_source_id(file, &id))
		return kasprintf(GFP_KERNEL_ACCOUNT, "blkfd:[%llu]", id);
	path = file_path(file, buf, PATH_MAX);
	if (!IS_ERR(path) &&
	    (!strcmp(file_inode(file)->i_sb->s_type->name, "blkfd") ||
	     mountfd_source_leads_to(path, dev)))
		return kstrdup(path, GFP_KERNEL_ACCOUNT);
	return kasprintf(GFP_KERNEL_ACCOUNT, "block:[%u:%u]", MAJOR(dev),
			 MINOR(dev));
}

/**
 * mountfd_source_alloc - make a source of a file
 * @file: A block device, perhaps open with O_PATH.
 *
 * To be called from a function of the patch: the module stays while that runs.
 *
 * Returns: the only reference to it, or ERR_PTR(-ENOMEM).
 */
struct mountfd_source *mountfd_source_alloc(struct file *file)
{
	struct mountfd_source *source;
	char *buf;

	buf = kmalloc(PATH_MAX, GFP_KERNEL);
	source = kzalloc_obj(*source, GFP_KERNEL_ACCOUNT);
	if (!buf || !source)
		goto out_free;
	source->name = mountfd_source_name(file, buf);
	if (!source->name)
		goto out_free;
	kfree(buf);
	__module_get(THIS_MODULE);
	refcount_set(&source->refs, 1);
	source->file = get_file(file);
	return source;

out_free:
	kfree(source);
	kfree(buf);
	return ERR_PTR(-ENOMEM);
}

/* The call that the running task is in, if that came here by the patch. */
static struct mountfd_call *mountfd_source_call(void)
{
	struct mountfd_call *call, *found = NULL;

	spin_lock(&mountfd_calls_lock);
	list_for_each_entry(call, &mountfd_calls, node) {
		if (call->task == current) {
			found = call;
			break;
		}
	}
	spin_unlock(&mountfd_calls_lock);
	return found;
}

/**
 * mountfd_source_enter - the running task begins to make a superblock
 * @call: Its own until mountfd_source_leave().
 */
void mountfd_source_enter(struct mountfd_call *call)
{
	call->task = current;
	call->source = NULL;
	spin_lock(&mountfd_calls_lock);
	list_add(&call->node, &mountfd_calls);
	spin_unlock(&mountfd_calls_lock);
}

/**
 * mountfd_source_leave - and is through with it
 * @call: As given to mountfd_source_enter().
 */
void mountfd_source_leave(struct mountfd_call *call)
{
	spin_lock(&mountfd_calls_lock);
	list_del(&call->node);
	spin_unlock(&mountfd_calls_lock);
}

/* Not by the patch: it was disabled since, and the name would lead elsewhere. */
static int mountfd_source_make_tree(struct mountfd_source *source,
				    struct fs_context *fc)
{
	struct mountfd_call *call = mountfd_source_call();
	struct mountfd_source *outer;
	int ret;

	if (!call) {
		errorf(fc, "blkfd_mountfd is not in force for this task: no file is a source");
		return -EOPNOTSUPP;
	}
	/* File systems of the old kind know no such thing, in 6.12. */
	if (fc->exclusive && !fc->fs_type->init_fs_context)
		return -EOPNOTSUPP;
	outer = call->source;
	call->source = source;
	ret = source->inner->get_tree(fc);
	call->source = outer;
	return ret;
}

/* Once only: what comes of it, the context needs the file no more. */
static int mountfd_source_get_tree(struct fs_context *fc)
{
	struct mountfd_source *source = mountfd_source_of(fc);
	int ret;

	ret = mountfd_source_make_tree(source, fc);
	fc->ops = source->inner;
	mountfd_source_put(source);
	return ret;
}

/* The reference is the copy's, whose free() drops it, also if this fails. */
static int mountfd_source_dup(struct fs_context *fc, struct fs_context *src_fc)
{
	struct mountfd_source *source = mountfd_source_of(src_fc);

	refcount_inc(&source->refs);
	return source->inner->dup(fc, src_fc);
}

static void mountfd_source_free(struct fs_context *fc)
{
	struct mountfd_source *source = mountfd_source_of(fc);

	fc->ops = source->inner;
	if (source->inner->free)
		source->inner->free(fc);
	mountfd_source_put(source);
}

/* The context has a reference from here. */
static void mountfd_source_attach(struct mountfd_source *source,
				  struct fs_context *fc)
{
	source->inner = fc->ops;
	source->ops = *fc->ops;
	source->ops.free = mountfd_source_free;
	source->ops.get_tree = mountfd_source_get_tree;
	if (source->inner->dup)
		source->ops.dup = mountfd_source_dup;
	refcount_inc(&source->refs);
	fc->ops = &source->ops;
}

/**
 * mountfd_source_set - make a source the source of a context
 * @source: The source, no other context's.
 * @fc: The context of a new mount, locked.
 *
 * For the file system and for LSMs it is the same as FSCONFIG_SET_STRING with
 * the source's name.
 *
 * Returns: 0, or what they have to say to a second source.
 */
int mountfd_source_set(struct mountfd_source *source, struct fs_context *fc)
{
	struct fs_parameter param = {
		.key	= "source",
		.type	= fs_value_is_string,
		.size	= strlen(source->name),
	};
	int ret;

	/* Some file systems take a second one instead of the first. */
	if (fc->ops->get_tree == mountfd_source_get_tree)
		return invalf(fc, "Multiple sources");
	param.string = kstrdup(source->name, GFP_KERNEL_ACCOUNT);
	if (!param.string)
		return -ENOMEM;
	ret = vfs_parse_fs_param(fc, &param);
	kfree(param.string);	/* NULL if it was taken */
	if (!ret)
		mountfd_source_attach(source, fc);
	return ret;
}

/* Where a path leads: for the task that mounts a file, the file's name to it. */
static int mountfd_source_find(const char *pathname, struct path *path)
{
	struct mountfd_call *call = mountfd_source_call();

	if (!call || !call->source || strcmp(pathname, call->source->name))
		return kern_path(pathname, LOOKUP_FOLLOW, path);
	*path = call->source->file->f_path;
	path_get(path);
	return 0;
}

/* The number that a path stands for, with the checks of lookup_bdev(). */
static int mountfd_source_dev(const struct path *path, dev_t *dev)
{
	struct inode *inode = d_backing_inode(path->dentry);

	if (!S_ISBLK(inode->i_mode))
		return -ENOTBLK;
	if (path->mnt->mnt_flags & MNT_NODEV ||
	    path->mnt->mnt_sb->s_iflags & SB_I_NODEV)
		return -EACCES;
	if (!inode->i_rdev)
		return -ENODEV;
	*dev = inode->i_rdev;
	return 0;
}

/**
 * mountfd_source_lookup_bdev - replaces lookup_bdev()
 * @pathname: A path, or the name of a source.
 * @dev: Where the device number goes.
 *
 * Returns: 0, or an errno as lookup_bdev() does.
 */
int mountfd_source_lookup_bdev(const char *pathname, dev_t *dev)
{
	struct path path;
	int ret;

	if (!pathname || !*pathname)
		return -EINVAL;
	ret = mountfd_source_find(pathname, &path);
	if (ret)
		return ret;
	ret = mountfd_source_dev(&path, dev);
	path_put(&path);
	return ret;
}
