// SPDX-License-Identifier: GPL-2.0
/*
 * How many devices there may be. Each is charged to the user that creates it, in
 * the user namespace where that is, and to the owner of each namespace around it,
 * up to the initial one: to make namespaces gains nothing. It stays charged until
 * its disk is freed, and not only until it is closed: a husk takes memory, too, and
 * lasts while somebody holds an inode that names it.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/hashtable.h>
#include <linux/kdev_t.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/sysctl.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "blkfd.h"

/**
 * struct blkfd_account - what a user has in a user namespace
 * @node: In blkfd_limits_accounts.
 * @ns: The namespace; the credentials of each device's creator hold it.
 * @uid: The user.
 * @parent: Of the owner of @ns, in the namespace around it; NULL: there is none.
 * @devices: Those charged to it, never 0, and those of accounts below it.
 */
struct blkfd_account {
	struct hlist_node node;
	const struct user_namespace *ns;
	kuid_t uid;
	struct blkfd_account *parent;
	unsigned int devices;
};

/* Lock order: this, blkfd_control_lock. */
static DEFINE_SPINLOCK(blkfd_limits_lock);
static DEFINE_HASHTABLE(blkfd_limits_accounts, 6);	/* blkfd_limits_lock */
static unsigned int blkfd_limits_devices;		/* blkfd_limits_lock */

/* Set by the administrator, read at each creation. */
static unsigned int blkfd_limits_max_devices = 4096;
static unsigned int blkfd_limits_reserved = 64;
static unsigned int blkfd_limits_max_user_devices = 1024;

static unsigned int blkfd_limits_most = MINORMASK + 1;

#define BLKFD_LIMITS_ENTRY(name)				\
{								\
	.procname	= #name,				\
	.data		= &blkfd_limits_##name,			\
	.maxlen		= sizeof(blkfd_limits_##name),		\
	.mode		= 0644,					\
	.proc_handler	= proc_douintvec_minmax,		\
	.extra1		= SYSCTL_ZERO,				\
	.extra2		= &blkfd_limits_most,			\
}

static struct ctl_table blkfd_limits_table[] = {
	BLKFD_LIMITS_ENTRY(max_devices),
	BLKFD_LIMITS_ENTRY(reserved),
	BLKFD_LIMITS_ENTRY(max_user_devices),
};

static struct ctl_table_header *blkfd_limits_header;

static unsigned long blkfd_limits_key(const struct user_namespace *ns,
				      kuid_t uid)
{
	return (unsigned long)ns + __kuid_val(uid);
}

static struct blkfd_account *
blkfd_limits_find(const struct user_namespace *ns, kuid_t uid)
{
	struct blkfd_account *account;

	lockdep_assert_held(&blkfd_limits_lock);
	hash_for_each_possible(blkfd_limits_accounts, account, node,
			       blkfd_limits_key(ns, uid))
		if (account->ns == ns && uid_eq(account->uid, uid))
			return account;
	return NULL;
}

/* Those from @account up. */
static void blkfd_limits_free(struct blkfd_account *account)
{
	struct blkfd_account *parent;

	for (; account; account = parent) {
		parent = account->parent;
		kfree(account);
	}
}

/* Accounts for a user and all around it, nothing charged to them. */
static struct blkfd_account *blkfd_limits_alloc(const struct cred *cred)
{
	const struct user_namespace *ns = cred->user_ns;
	struct blkfd_account *first = NULL, **end = &first;
	kuid_t uid = cred->euid;

	for (; ns; uid = ns->owner, ns = ns->parent) {
		*end = kzalloc_obj(**end, GFP_KERNEL_ACCOUNT);
		if (!*end) {
			blkfd_limits_free(first);
			return NULL;
		}
		(*end)->ns = ns;
		(*end)->uid = uid;
		end = &(*end)->parent;
	}
	return first;
}

static unsigned int blkfd_limits_allowed(const struct user_namespace *ns)
{
	unsigned int max = READ_ONCE(blkfd_limits_max_devices);
	unsigned int reserved = READ_ONCE(blkfd_limits_reserved);

	if (ns == &init_user_ns)
		return max;
	return max - min(max, reserved);
}

static int blkfd_limits_check(const struct blkfd_account *wanted)
{
	unsigned int max = READ_ONCE(blkfd_limits_max_user_devices);
	const struct blkfd_account *pos, *account;

	for (pos = wanted; pos; pos = pos->parent) {
		account = blkfd_limits_find(pos->ns, pos->uid);
		if ((account ? account->devices : 0) >= max)
			return -EDQUOT;
	}
	if (blkfd_limits_devices >= blkfd_limits_allowed(wanted->ns))
		return -ENOSPC;
	return 0;
}

/* Puts accounts that exist in the place of new ones. Returns: those left over. */
static struct blkfd_account *blkfd_limits_link(struct blkfd_account **first)
{
	struct blkfd_account **pos, *account, *rest;

	for (pos = first; *pos; pos = &(*pos)->parent) {
		account = blkfd_limits_find((*pos)->ns, (*pos)->uid);
		if (account) {
			rest = *pos;
			*pos = account;
			return rest;
		}
		hash_add(blkfd_limits_accounts, &(*pos)->node,
			 blkfd_limits_key((*pos)->ns, (*pos)->uid));
	}
	return NULL;
}

/**
 * blkfd_limits_charge - charge a device that is to be made
 * @cred: Of its creator; to be held until it is uncharged.
 * @control: Of the control file that it is made by.
 * @bytes: Its size.
 *
 * All of it, or nothing, and at once: what is refused takes nothing from others.
 *
 * Returns: for blkfd_limits_uncharge(), or an ERR_PTR: -EDQUOT, -ENOSPC, -ESTALE,
 * -ENOMEM.
 */
struct blkfd_account *blkfd_limits_charge(const struct cred *cred,
					  struct blkfd_control *control,
					  u64 bytes)
{
	struct blkfd_account *first, *pos, *rest;
	int ret;

	first = blkfd_limits_alloc(cred);
	if (!first)
		return ERR_PTR(-ENOMEM);
	spin_lock(&blkfd_limits_lock);
	ret = blkfd_limits_check(first);
	if (!ret)
		ret = blkfd_control_charge(control, bytes);
	if (ret) {
		rest = first;
		first = ERR_PTR(ret);
	} else {
		rest = blkfd_limits_link(&first);
		for (pos = first; pos; pos = pos->parent)
			pos->devices++;
		blkfd_limits_devices++;
	}
	spin_unlock(&blkfd_limits_lock);
	blkfd_limits_free(rest);
	return first;
}

/**
 * blkfd_limits_uncharge - the end of blkfd_limits_charge()
 * @account: What that returned.
 * @control: As it was given.
 * @bytes: The device's size as of its last change.
 */
void blkfd_limits_uncharge(struct blkfd_account *account,
			   struct blkfd_control *control, u64 bytes)
{
	struct blkfd_account *parent;

	spin_lock(&blkfd_limits_lock);
	blkfd_control_uncharge(control, bytes);
	blkfd_limits_devices--;
	for (; account; account = parent) {
		parent = account->parent;
		if (--account->devices)
			continue;
		hash_del(&account->node);
		kfree(account);
	}
	spin_unlock(&blkfd_limits_lock);
}

/**
 * blkfd_limits_fill - limits, and what counts towards them
 * @limits: Filled in whole, with what concerns the current user.
 */
void blkfd_limits_fill(struct blkfd_limits *limits)
{
	const struct blkfd_account *account;

	*limits = (struct blkfd_limits) {
		.max_devices	  = READ_ONCE(blkfd_limits_max_devices),
		.reserved	  = READ_ONCE(blkfd_limits_reserved),
		.max_user_devices = READ_ONCE(blkfd_limits_max_user_devices),
	};
	spin_lock(&blkfd_limits_lock);
	limits->devices = blkfd_limits_devices;
	account = blkfd_limits_find(current_user_ns(), current_euid());
	if (account)
		limits->user_devices = account->devices;
	spin_unlock(&blkfd_limits_lock);
}

/**
 * blkfd_limits_next_user - who has devices
 * @user: Its uid, in the current user namespace, is the least that will do; filled
 *	in with the first such user.
 *
 * Returns: 0, or -ENOENT if there is none.
 */
int blkfd_limits_next_user(struct blkfd_user *user)
{
	struct user_namespace *ns = current_user_ns();
	const struct blkfd_account *account;
	u32 least = user->uid, uid;
	int bucket;

	*user = (struct blkfd_user) { .uid = U32_MAX };
	spin_lock(&blkfd_limits_lock);
	hash_for_each(blkfd_limits_accounts, bucket, account, node) {
		if (account->ns != ns)
			continue;
		uid = from_kuid_munged(ns, account->uid);
		if (uid < least || uid > user->uid)
			continue;
		if (uid < user->uid)
			*user = (struct blkfd_user) { .uid = uid };
		user->devices += account->devices;
	}
	spin_unlock(&blkfd_limits_lock);
	return user->devices ? 0 : -ENOENT;
}

int blkfd_limits_init(void)
{
	blkfd_limits_header = register_sysctl("dev/blkfd", blkfd_limits_table);
	return blkfd_limits_header ? 0 : -ENOMEM;
}

void blkfd_limits_exit(void)
{
	unregister_sysctl_table(blkfd_limits_header);
}
