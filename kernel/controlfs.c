// SPDX-License-Identifier: GPL-2.0
/*
 * blkfdctl: a file system whose root is a file, the control file of an instance.
 * Mounted over one, it gives the instance a path, for programs that open
 * /dev/blkfd.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "blkfd.h"

#define BLKFD_CONTROLFS_MAGIC	0x426c6b63	/* "Blkc" */

/**
 * struct blkfd_controlfs_options - what a mount was asked for
 * @control: Of the instance, with a reference, or NULL.
 * @uid: Owner of the file.
 * @gid: Its group.
 * @mode: Its permissions.
 * @given: There was an option.
 */
struct blkfd_controlfs_options {
	struct blkfd_control *control;
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
	bool given;
};

enum blkfd_controlfs_param {
	BLKFD_CONTROLFS_INSTANCE,
	BLKFD_CONTROLFS_UID,
	BLKFD_CONTROLFS_GID,
	BLKFD_CONTROLFS_MODE,
};

static const struct fs_parameter_spec blkfd_controlfs_params[] = {
	fsparam_fd("instance",	BLKFD_CONTROLFS_INSTANCE),
	fsparam_uid("uid",	BLKFD_CONTROLFS_UID),
	fsparam_gid("gid",	BLKFD_CONTROLFS_GID),
	fsparam_u32oct("mode",	BLKFD_CONTROLFS_MODE),
	{ }
};

static int blkfd_controlfs_set_instance(struct fs_context *fc,
					struct fs_parameter *param, int fd)
{
	struct blkfd_controlfs_options *options = fc->fs_private;
	struct blkfd_control *control;
	struct file *file;

	if (param->type == fs_value_is_file)
		file = get_file(param->file);
	else
		file = fget(fd);
	if (!file)
		return invalf(fc, "instance: not an open file");
	control = blkfd_control_of(file);
	if (control) {
		if (options->control)
			blkfd_control_put(options->control);
		options->control = blkfd_control_get(control);
	}
	fput(file);
	return control ? 0 : invalf(fc, "instance: not one of blkfd");
}

static int blkfd_controlfs_parse_param(struct fs_context *fc,
				       struct fs_parameter *param)
{
	struct blkfd_controlfs_options *options = fc->fs_private;
	struct fs_parse_result result;
	int opt;

	opt = fs_parse(fc, blkfd_controlfs_params, param, &result);
	options->given |= opt >= 0;
	switch (opt) {
	case BLKFD_CONTROLFS_INSTANCE:
		return blkfd_controlfs_set_instance(fc, param,
						    result.uint_32);
	case BLKFD_CONTROLFS_UID:
		if (!kuid_has_mapping(fc->user_ns, result.uid))
			return invalf(fc, "uid: not in this user namespace");
		options->uid = result.uid;
		return 0;
	case BLKFD_CONTROLFS_GID:
		if (!kgid_has_mapping(fc->user_ns, result.gid))
			return invalf(fc, "gid: not in this user namespace");
		options->gid = result.gid;
		return 0;
	case BLKFD_CONTROLFS_MODE:
		if (result.uint_32 & ~0777)
			return invalf(fc, "mode: permissions only");
		options->mode = result.uint_32;
		return 0;
	default:
		return opt;
	}
}

/* As of a device node, which O_TRUNC does nothing to. */
static int blkfd_controlfs_setattr(struct mnt_idmap *idmap,
				   struct dentry *dentry, struct iattr *attr)
{
	attr->ia_valid &= ~ATTR_SIZE;
	return simple_setattr(idmap, dentry, attr);
}

static const struct inode_operations blkfd_controlfs_inode_ops = {
	.setattr	= blkfd_controlfs_setattr,
};

static const struct super_operations blkfd_controlfs_super_ops = {
	.statfs		= simple_statfs,
};

static int blkfd_controlfs_fill_super(struct super_block *sb,
				      struct fs_context *fc)
{
	const struct blkfd_controlfs_options *options = fc->fs_private;
	struct inode *inode;

	sb->s_iflags |= SB_I_NODEV | SB_I_NOEXEC;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = BLKFD_CONTROLFS_MAGIC;
	sb->s_op = &blkfd_controlfs_super_ops;
	sb->s_fs_info = blkfd_control_get(options->control);
	inode = new_inode(sb);
	if (!inode)
		return -ENOMEM;
	inode->i_ino = 1;
	inode->i_mode = S_IFREG | options->mode;
	inode->i_uid = options->uid;
	inode->i_gid = options->gid;
	inode->i_op = &blkfd_controlfs_inode_ops;
	inode->i_fop = &blkfd_control_fops;
	inode->i_private = options->control;
	simple_inode_init_ts(inode);
	sb->s_root = d_make_root(inode);
	return sb->s_root ? 0 : -ENOMEM;
}

static int blkfd_controlfs_get_tree(struct fs_context *fc)
{
	const struct blkfd_controlfs_options *options = fc->fs_private;

	if (!options->control)
		return invalf(fc, "instance: needed");
	return get_tree_nodev(fc, blkfd_controlfs_fill_super);
}

static int blkfd_controlfs_reconfigure(struct fs_context *fc)
{
	const struct blkfd_controlfs_options *options = fc->fs_private;

	if (options->given)
		return invalf(fc, "cannot be changed by mounting again");
	return 0;
}

static void blkfd_controlfs_free(struct fs_context *fc)
{
	struct blkfd_controlfs_options *options = fc->fs_private;

	if (options->control)
		blkfd_control_put(options->control);
	kfree(options);
}

static const struct fs_context_operations blkfd_controlfs_context_ops = {
	.parse_param	= blkfd_controlfs_parse_param,
	.get_tree	= blkfd_controlfs_get_tree,
	.reconfigure	= blkfd_controlfs_reconfigure,
	.free		= blkfd_controlfs_free,
};

static int blkfd_controlfs_init_fs_context(struct fs_context *fc)
{
	struct blkfd_controlfs_options *options;

	options = kzalloc_obj(*options, GFP_KERNEL_ACCOUNT);
	if (!options)
		return -ENOMEM;
	options->uid = current_fsuid();
	options->gid = current_fsgid();
	options->mode = 0600;
	fc->fs_private = options;
	fc->ops = &blkfd_controlfs_context_ops;
	return 0;
}

static void blkfd_controlfs_kill_sb(struct super_block *sb)
{
	struct blkfd_control *control = sb->s_fs_info;

	kill_anon_super(sb);
	if (control)
		blkfd_control_put(control);
}

static struct file_system_type blkfd_controlfs_type = {
	.owner			= THIS_MODULE,
	.name			= "blkfdctl",
	.init_fs_context	= blkfd_controlfs_init_fs_context,
	.parameters		= blkfd_controlfs_params,
	.kill_sb		= blkfd_controlfs_kill_sb,
	.fs_flags		= FS_USERNS_MOUNT,
};

int blkfd_controlfs_init(void)
{
	return register_filesystem(&blkfd_controlfs_type);
}

void blkfd_controlfs_exit(void)
{
	unregister_filesystem(&blkfd_controlfs_type);
}
