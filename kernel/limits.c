// SPDX-License-Identifier: GPL-2.0
/*
 * How many devices there may be. Each is charged to the user that creates it, in
 * the user namespace where that is, and to the owner of each namespace around it,
 * up to the initial one: to make namespaces gains nothing. It stays charged until
 * its disk is freed, and not only until it is closed: a husk takes memory, too, and
 * lasts while somebody holds an inode that names it. Husks that are on their way out
 * are counted apart: who can have a device once they are gone waits, and is not refused.
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
#include <linux/wait.h>

#include "blkfd.h"

/*
 * How many husks of a user are reaped at a time. Each takes milliseconds of waiting,
 * and work that no cgroup pays for: a user who makes devices and closes them as fast as
 * can be takes so much of the processors from all, and no more.
 */
#define BLKFD_LIMITS_REAPERS	2

/**
 * struct blkfd_account - what a user has in a user namespace
 * @node: In blkfd_limits_accounts.
 * @ns: The namespace; the credentials of each device's creator hold it.
 * @uid: The user.
 * @parent: Of the owner of @ns, in the namespace around it; NULL: there is none.
 * @devices: Those charged to it and to accounts below it.
 * @husks: Those of them that are on their way out.
 * @reaping: Of an account without @parent, how many of its husks are being reaped.
 *	There is an account as long as it has @devices, or this.
 * @waiting: The first of its husks that are to be reaped after those.
 * @waiting_end: Where the next is to be put.
 */
struct blkfd_account {
	struct hlist_node node;
	const struct user_namespace *ns;
	kuid_t uid;
	struct blkfd_account *parent;
	unsigned int devices;
	unsigned int husks;
	unsigned int reaping;
	struct blkfd_device *waiting;
	struct blkfd_device **waiting_end;
};

/* Lock order: this, blkfd_control_lock. */
static DEFINE_SPINLOCK(blkfd_limits_lock);
static DEFINE_HASHTABLE(blkfd_limits_accounts, 6);	/* blkfd_limits_lock */
static unsigned int blkfd_limits_devices;		/* blkfd_limits_lock */
static unsigned int blkfd_limits_husks;			/* blkfd_limits_lock */

/* How often something that somebody may wait for has come to its end. */
static unsigned int blkfd_limits_ends;			/* blkfd_limits_lock */
static DECLARE_WAIT_QUEUE_HEAD(blkfd_limits_ended);

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
		(*end)->waiting_end = &(*end)->waiting;
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

/*
 * Whether one more is within a bound: 0, @error, or -EAGAIN if it will be, once there
 * are no husks.
 */
static int blkfd_limits_compare(unsigned int devices, unsigned int husks,
				unsigned int max, int error)
{
	if (devices < max)
		return 0;
	return devices - husks < max ? -EAGAIN : error;
}

static int blkfd_limits_check(const struct blkfd_account *wanted)
{
	unsigned int max = READ_ONCE(blkfd_limits_max_user_devices);
	const struct blkfd_account *pos, *account;
	int ret, result = 0;

	for (pos = wanted; pos; pos = pos->parent) {
		account = blkfd_limits_find(pos->ns, pos->uid);
		ret = blkfd_limits_compare(account ? account->devices : 0,
					   account ? account->husks : 0,
					   max, -EDQUOT);
		if (ret == -EDQUOT)
			return ret;
		result = ret ?: result;
	}
	ret = blkfd_limits_compare(blkfd_limits_devices, blkfd_limits_husks,
				   blkfd_limits_allowed(wanted->ns), -ENOSPC);
	return ret ?: result;
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

/* Charges @first, which is then to be what it is linked to. Returns: 0 or an errno. */
static int blkfd_limits_try(struct blkfd_account **first,
			    struct blkfd_account **rest,
			    struct blkfd_control *control, u64 bytes)
{
	struct blkfd_account *pos;
	int ret, wait;

	lockdep_assert_held(&blkfd_limits_lock);
	wait = blkfd_limits_check(*first);
	if (wait && wait != -EAGAIN)
		return wait;
	ret = blkfd_control_charge(control, bytes, !wait);
	if (ret || wait)
		return ret ?: wait;
	*rest = blkfd_limits_link(first);
	for (pos = *first; pos; pos = pos->parent)
		pos->devices++;
	blkfd_limits_devices++;
	return 0;
}

/**
 * blkfd_limits_now - what to give blkfd_limits_wait()
 *
 * To be called before something is tried that fails with -EAGAIN.
 *
 * Returns: A count of what has ended, for comparison only.
 */
unsigned int blkfd_limits_now(void)
{
	return READ_ONCE(blkfd_limits_ends);
}

/**
 * blkfd_limits_wait - wait until less may be charged than there was
 * @since: What blkfd_limits_now() returned.
 *
 * Returns: 0, or -EINTR if the caller is to die.
 */
int blkfd_limits_wait(unsigned int since)
{
	return wait_event_killable(blkfd_limits_ended,
				   READ_ONCE(blkfd_limits_ends) != since) ?
	       -EINTR : 0;
}

/**
 * blkfd_limits_charge - charge a device that is to be made
 * @dev: The device, its creator, control and size; its account is filled in.
 *
 * All of it, or nothing, and at once: what is refused takes nothing from others.
 * Waits if there are only husks in the way.
 *
 * Returns: 0, -EDQUOT, -ENOSPC, -ESTALE, -ENOMEM, -EINTR.
 */
int blkfd_limits_charge(struct blkfd_device *dev)
{
	struct blkfd_account *first, *rest = NULL;
	unsigned int now;
	int ret;

	first = blkfd_limits_alloc(dev->creator);
	if (!first)
		return -ENOMEM;
	do {
		spin_lock(&blkfd_limits_lock);
		now = blkfd_limits_ends;
		ret = blkfd_limits_try(&first, &rest, dev->control,
				       dev->charged);
		spin_unlock(&blkfd_limits_lock);
	} while (ret == -EAGAIN && !(ret = blkfd_limits_wait(now)));
	if (ret)
		rest = first;
	else
		dev->account = first;
	blkfd_limits_free(rest);
	return ret;
}

static struct blkfd_account *blkfd_limits_top(struct blkfd_account *account)
{
	while (account->parent)
		account = account->parent;
	return account;
}

static void blkfd_limits_add_husks(struct blkfd_device *dev, int count)
{
	struct blkfd_account *pos;

	lockdep_assert_held(&blkfd_limits_lock);
	for (pos = dev->account; pos; pos = pos->parent)
		pos->husks += count;
	blkfd_limits_husks += count;
	blkfd_control_add_husks(dev->control, count, count * dev->charged);
}

/**
 * blkfd_limits_has_backlog - does a user close devices faster than they go?
 * @dev: A device of the user's, that is being made.
 *
 * Who does has the kernel's time for reaping, and is to make the next ones in its own.
 *
 * Returns: true if closed devices of the user's wait to be reaped.
 */
bool blkfd_limits_has_backlog(const struct blkfd_device *dev)
{
	bool backlog;

	spin_lock(&blkfd_limits_lock);
	backlog = blkfd_limits_top(dev->account)->waiting;
	spin_unlock(&blkfd_limits_lock);
	return backlog;
}

static void blkfd_limits_put(struct blkfd_account *account)
{
	lockdep_assert_held(&blkfd_limits_lock);
	if (account->devices || account->reaping)
		return;
	hash_del(&account->node);
	kfree(account);
}

/**
 * blkfd_limits_bury - have a device reaped that is closed
 * @dev: The device. A worker calls its @reap, then or later.
 */
void blkfd_limits_bury(struct blkfd_device *dev)
{
	struct blkfd_account *top;
	bool now;

	spin_lock(&blkfd_limits_lock);
	top = blkfd_limits_top(dev->account);
	blkfd_limits_add_husks(dev, 1);
	dev->is_husk = true;
	now = top->reaping < BLKFD_LIMITS_REAPERS;
	if (now) {
		top->reaping++;
	} else {
		*top->waiting_end = dev;
		top->waiting_end = &dev->next_husk;
	}
	spin_unlock(&blkfd_limits_lock);
	if (now)
		queue_work(blkfd_disk_queue, &dev->reap);
}

static struct blkfd_device *blkfd_limits_next_husk(struct blkfd_account *top)
{
	struct blkfd_device *dev = top->waiting;

	lockdep_assert_held(&blkfd_limits_lock);
	if (!dev)
		return NULL;
	top->waiting = dev->next_husk;
	if (!top->waiting)
		top->waiting_end = &top->waiting;
	return dev;
}

/* The caller wakes those that wait, without the lock: they may be many. */
static void blkfd_limits_end(void)
{
	lockdep_assert_held(&blkfd_limits_lock);
	WRITE_ONCE(blkfd_limits_ends, blkfd_limits_ends + 1);
}

/**
 * blkfd_limits_put_disk - put the disk of a device that has been reaped
 * @dev: The device, which may be gone after that.
 *
 * If somebody holds the disk nobody can say for how long that will be: the device
 * counts as one that is alive.
 */
void blkfd_limits_put_disk(struct blkfd_device *dev)
{
	struct blkfd_account *top = blkfd_limits_top(dev->account);
	struct blkfd_device *next;
	bool freed = false;

	dev->freed = &freed;
	put_disk(dev->disk);
	spin_lock(&blkfd_limits_lock);
	if (!freed) {
		blkfd_limits_add_husks(dev, -1);
		dev->is_husk = false;
		dev->freed = NULL;
	}
	next = blkfd_limits_next_husk(top);
	if (!next) {
		top->reaping--;
		blkfd_limits_put(top);
	}
	blkfd_limits_end();
	spin_unlock(&blkfd_limits_lock);
	wake_up_all(&blkfd_limits_ended);
	if (next)
		queue_work(blkfd_disk_queue, &next->reap);
}

/**
 * blkfd_limits_uncharge - the end of blkfd_limits_charge()
 * @dev: The device, its size as of its last change.
 */
void blkfd_limits_uncharge(struct blkfd_device *dev)
{
	struct blkfd_account *account, *parent;

	spin_lock(&blkfd_limits_lock);
	if (dev->is_husk)
		blkfd_limits_add_husks(dev, -1);
	if (dev->freed)
		*dev->freed = true;
	blkfd_control_uncharge(dev->control, dev->charged);
	blkfd_limits_devices--;
	for (account = dev->account; account; account = parent) {
		parent = account->parent;
		account->devices--;
		blkfd_limits_put(account);
	}
	blkfd_limits_end();
	spin_unlock(&blkfd_limits_lock);
	wake_up_all(&blkfd_limits_ended);
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
		if (account->ns != ns || !account->devices)
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
