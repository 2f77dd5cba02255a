// SPDX-License-Identifier: GPL-2.0
/*
 * Workers: threads that carry a device's commands out, one after the other, in
 * the name of each bio's cgroups and with the rights of the device's creator.
 * One that is awake is enough, and costs the fewest wake-ups; one that goes to
 * sleep over a command leaves the rest of the backlog to another.
 */
#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "blkfd.h"
#include "cgroup.h"

/* Ends of so many commands may wait for each other. */
#define BLKFD_WORKER_BATCH	16

/* For what is over when a worker goes to sleep; waits for nobody's files. */
static struct workqueue_struct *blkfd_worker_ends;

/* How far into the backlog a command's neighbour is looked for. */
#define BLKFD_WORKER_LOOK	8

/* How often one who waits for room looks whether he keeps up others. */
#define BLKFD_WORKER_LOOK_UP	HZ

/**
 * struct blkfd_worker_run - what a worker has with it while it runs
 * @worker: The worker.
 * @plug: Of the thread.
 * @sleeps: In @plug; called before the thread goes to sleep.
 * @ended: Commands whose bios are to be ended.
 * @ended_count: How many those are.
 * @blkcg: What the thread is charged to, with @memcg.
 * @memcg_asked: By the command, or NULL.
 * @memcg: Holds a reference.
 */
struct blkfd_worker_run {
	struct blkfd_worker *worker;
	struct blk_plug plug;
	struct blk_plug_cb sleeps;
	struct list_head ended;
	unsigned int ended_count;
	struct cgroup_subsys_state *blkcg;
	struct cgroup_subsys_state *memcg_asked;
	struct cgroup_subsys_state *memcg;
};

static struct blkfd_worker *blkfd_worker_find_idle(struct blkfd_device *dev)
{
	int i;

	lockdep_assert_held(&dev->worker_lock);
	for (i = 0; i < BLKFD_WORKERS; i++)
		if (dev->workers[i].state == BLKFD_WORKER_IDLE)
			return &dev->workers[i];
	return NULL;
}

/* Somebody must be on the way to the backlog, or have gone to sleep trying. */
static void blkfd_worker_wake(struct blkfd_device *dev)
{
	struct blkfd_worker *worker;

	lockdep_assert_held(&dev->worker_lock);
	if (dev->workers_awake || list_empty(&dev->backlog))
		return;
	worker = blkfd_worker_find_idle(dev);
	if (!worker)
		return;
	worker->state = BLKFD_WORKER_AWAKE;
	dev->workers_awake++;
	queue_work(dev->worker_queue, &worker->work);
}

/**
 * blkfd_worker_queue - leave a command to the workers
 * @dev: Its device.
 * @cmd: Not the caller's any more.
 *
 * Context: any.
 */
void blkfd_worker_queue(struct blkfd_device *dev, struct blkfd_io_cmd *cmd)
{
	unsigned long flags;

	if (!cmd->by_worker && cmd->counts)
		atomic_inc(&dev->worker_count);
	cmd->by_worker = true;
	spin_lock_irqsave(&dev->worker_lock, flags);
	list_add_tail(&cmd->entry, &dev->backlog);
	blkfd_worker_wake(dev);
	spin_unlock_irqrestore(&dev->worker_lock, flags);
}

/**
 * blkfd_worker_bounds_current - whether this task has to heed what workers have
 *
 * Processes, who may send one page, or none, without an end. The kernel's own threads,
 * and reclaim, send what they have memory for, and must not wait for a file: one that
 * writes a device's cache back, or ends I/O, does so for others as well, and who makes
 * room in memory may hold what workers need.
 *
 * Returns: whether its commands count.
 */
bool blkfd_worker_bounds_current(void)
{
	return current->mm && !(current->flags & PF_MEMALLOC);
}

/**
 * blkfd_worker_has_room - whether one more command would be taken without a wait
 * @dev: The device.
 *
 * Returns: so at the moment.
 */
bool blkfd_worker_has_room(struct blkfd_device *dev)
{
	return !READ_ONCE(dev->workers_full) &&
	       atomic_read(&dev->worker_count) < BLKFD_WORKER_DEPTH;
}

static unsigned int blkfd_worker_begin_full(struct blkfd_device *dev)
{
	unsigned int rooms;

	spin_lock_irq(&dev->worker_lock);
	WRITE_ONCE(dev->workers_full, true);
	rooms = dev->worker_rooms;
	spin_unlock_irq(&dev->worker_lock);
	return rooms;
}

static void blkfd_worker_end_full(struct blkfd_device *dev)
{
	unsigned long flags;

	spin_lock_irqsave(&dev->worker_lock, flags);
	WRITE_ONCE(dev->workers_full, false);
	WRITE_ONCE(dev->worker_rooms, dev->worker_rooms + 1);
	spin_unlock_irqrestore(&dev->worker_lock, flags);
	wake_up_all(&dev->worker_room);
}

/*
 * Who faults in a page of the device while he writes to its file holds what workers
 * need, the file's i_rwsem or its file system's freeze protection: he must end if he is
 * killed, as from the wait for the page. Who sends his own memory does not, and would go
 * on to send all of it.
 */
static bool blkfd_worker_may_be_killed(struct bio *bio)
{
	return !bio_flagged(bio, BIO_PAGE_PINNED);
}

/* Not 0 if there was some since @rooms were counted, or nobody is there to see it. */
static long blkfd_worker_sees_room(struct blkfd_device *dev, struct bio *bio,
				   unsigned int rooms)
{
	if (blkfd_worker_may_be_killed(bio))
		return wait_event_killable_timeout(dev->worker_room,
						   READ_ONCE(dev->worker_rooms) != rooms,
						   BLKFD_WORKER_LOOK_UP);
	return wait_event_timeout(dev->worker_room,
				  READ_ONCE(dev->worker_rooms) != rooms,
				  BLKFD_WORKER_LOOK_UP);
}

/* Which waits for all that are submitting a bio, and keeps others from it. */
static bool blkfd_worker_queue_freezes(struct blkfd_device *dev)
{
	return READ_ONCE(dev->disk->queue->mq_freeze_depth);
}

/**
 * blkfd_worker_wait_for_room - wait until workers may have one more command
 * @dev: The device.
 * @bio: What it is for.
 *
 * For those whose commands count. They keep whoever wants to freeze the queue waiting,
 * so they look for such now and then, and go on. Several who come at once, or are let go
 * before there is room, exceed the depth by as many.
 */
void blkfd_worker_wait_for_room(struct blkfd_device *dev, struct bio *bio)
{
	unsigned int rooms;

	if (blkfd_worker_has_room(dev))
		return;
	rooms = blkfd_worker_begin_full(dev);
	/* Either this sees the last one go that has to, or that one sees the above. */
	smp_mb();
	if (atomic_read(&dev->worker_count) <= BLKFD_WORKER_ROOM)
		blkfd_worker_end_full(dev);
	while (!blkfd_worker_sees_room(dev, bio, rooms) &&
	       !blkfd_worker_queue_freezes(dev))
		;
}

/**
 * blkfd_worker_make_room - a command that came to the workers is over
 * @dev: Its device.
 * @cmd: The command.
 *
 * Context: any.
 */
void blkfd_worker_make_room(struct blkfd_device *dev,
			    const struct blkfd_io_cmd *cmd)
{
	if (!cmd->counts)
		return;
	if (atomic_dec_return(&dev->worker_count) == BLKFD_WORKER_ROOM &&
	    READ_ONCE(dev->workers_full))
		blkfd_worker_end_full(dev);
}

static struct blkfd_io_cmd *blkfd_worker_pop(struct list_head *list)
{
	struct blkfd_io_cmd *cmd;

	cmd = list_first_entry_or_null(list, struct blkfd_io_cmd, entry);
	if (cmd)
		list_del(&cmd->entry);
	return cmd;
}

/*
 * Small writes into holes, one beside the other, are one allocation for the file
 * system below if they come in one call, and as many as they are otherwise.
 */
static void blkfd_worker_merge(struct blkfd_device *dev,
			       struct blkfd_io_cmd *cmd)
{
	struct blkfd_io_cmd *pos, *next;
	int looked = 0;

	lockdep_assert_held(&dev->worker_lock);
	list_for_each_entry_safe(pos, next, &dev->backlog, entry) {
		if (looked++ == BLKFD_WORKER_LOOK)
			break;
		if (!blkfd_io_is_next(cmd, pos))
			continue;
		list_move_tail(&pos->entry, &cmd->merged);
		cmd->length += pos->length;
		looked = 0;
	}
}

/* From here on the scheduler tells of a thread that goes to sleep. */
static void blkfd_worker_watch_sleep(struct blkfd_worker_run *run)
{
	list_add(&run->sleeps.list, &run->plug.cb_list);
}

/*
 * The next command, with its neighbours; without one, the worker counts no more as
 * awake if it @may_go. One that does is watched, whatever it is at: nobody else is
 * woken meanwhile.
 */
static struct blkfd_io_cmd *blkfd_worker_take(struct blkfd_worker_run *run,
					      bool may_go)
{
	struct blkfd_worker *worker = run->worker;
	struct blkfd_device *dev = worker->dev;
	struct blkfd_io_cmd *cmd;

	spin_lock_irq(&dev->worker_lock);
	if (worker->state == BLKFD_WORKER_ASLEEP) {
		worker->state = BLKFD_WORKER_AWAKE;
		dev->workers_awake++;
		blkfd_worker_watch_sleep(run);
	}
	cmd = blkfd_worker_pop(&dev->backlog);
	if (cmd)
		blkfd_worker_merge(dev, cmd);
	if (!cmd && may_go) {
		list_del(&run->sleeps.list);
		worker->state = BLKFD_WORKER_ASLEEP;
		dev->workers_awake--;
	}
	spin_unlock_irq(&dev->worker_lock);
	return cmd;
}

/* The worker is off the device, unless what has come since has nobody else. */
static bool blkfd_worker_goes(struct blkfd_worker *worker)
{
	struct blkfd_device *dev = worker->dev;
	bool goes;

	spin_lock_irq(&dev->worker_lock);
	goes = dev->workers_awake || list_empty(&dev->backlog);
	if (goes)
		worker->state = BLKFD_WORKER_IDLE;
	spin_unlock_irq(&dev->worker_lock);
	return goes;
}

static void blkfd_worker_end_list(struct list_head *ended)
{
	struct blkfd_io_cmd *cmd;

	while ((cmd = blkfd_worker_pop(ended)))
		blkfd_io_end(cmd);
}

static void blkfd_worker_end_commands(struct blkfd_worker_run *run)
{
	blkfd_worker_end_list(&run->ended);
	run->ended_count = 0;
}

/* As by the worker itself: whoever is told of an end may want memory. */
static void blkfd_worker_end_work(struct work_struct *work)
{
	struct blkfd_worker *worker = container_of(work, struct blkfd_worker,
						   end_work);
	unsigned int noio = memalloc_noio_save();
	LIST_HEAD(ended);

	spin_lock_irq(&worker->dev->worker_lock);
	list_splice_init(&worker->ended, &ended);
	spin_unlock_irq(&worker->dev->worker_lock);
	blkfd_worker_end_list(&ended);
	memalloc_noio_restore(noio);
}

/*
 * Nothing may be ended by a thread that is on its way to sleep, under whatever
 * locks. Whoever is told of an end, and would take more than a moment over it,
 * asks whether he may sleep; and such a thread looks as if it might.
 */
static void blkfd_worker_leave_ends(struct blkfd_worker_run *run)
{
	struct blkfd_worker *worker = run->worker;

	lockdep_assert_held(&worker->dev->worker_lock);
	if (!run->ended_count)
		return;
	list_splice_tail_init(&run->ended, &worker->ended);
	run->ended_count = 0;
	queue_work(blkfd_worker_ends, &worker->end_work);
}

/*
 * Whoever waits for what is over may send the next commands. Let them do it now,
 * while they have nobody to wake.
 */
static struct blkfd_io_cmd *blkfd_worker_next(struct blkfd_worker_run *run)
{
	struct blkfd_io_cmd *cmd;

	if (run->ended_count >= BLKFD_WORKER_BATCH)
		blkfd_worker_end_commands(run);
	cmd = blkfd_worker_take(run, !run->ended_count);
	if (cmd || !run->ended_count)
		return cmd;
	blkfd_worker_end_commands(run);
	cond_resched();
	return blkfd_worker_take(run, true);
}

/*
 * The scheduler flushes the plug of a task that goes to sleep, and calls this
 * first. The worker may be long: nobody must wait for it.
 */
static void blkfd_worker_sleeps(struct blk_plug_cb *cb, bool from_schedule)
{
	struct blkfd_worker_run *run = container_of(cb, struct blkfd_worker_run,
						    sleeps);
	struct blkfd_worker *worker = run->worker;
	struct blkfd_device *dev = worker->dev;
	unsigned long flags;

	spin_lock_irqsave(&dev->worker_lock, flags);
	blkfd_worker_leave_ends(run);
	worker->state = BLKFD_WORKER_ASLEEP;
	dev->workers_awake--;
	blkfd_worker_wake(dev);
	spin_unlock_irqrestore(&dev->worker_lock, flags);
}

/* Until the next such call; NULL for both: the thread is charged as before. */
static void blkfd_worker_charge(struct blkfd_worker_run *run,
				struct cgroup_subsys_state *blkcg,
				struct cgroup_subsys_state *memcg)
{
	if (blkcg == run->blkcg && memcg == run->memcg_asked)
		return;
	blkfd_cgroup_leave(run->memcg);
	kthread_associate_blkcg(blkcg);
	run->blkcg = blkcg;
	run->memcg_asked = memcg;
	run->memcg = blkfd_cgroup_enter(blkcg, memcg);
}

static void blkfd_worker_charge_for(struct blkfd_worker_run *run,
				    struct blkfd_io_cmd *cmd)
{
	if (blkfd_io_is_charged(run->worker->dev, cmd))
		blkfd_worker_charge(run, bio_blkcg_css(cmd->bio), cmd->memcg);
	else
		blkfd_worker_charge(run, NULL, NULL);
}

static void blkfd_worker_execute(struct blkfd_worker_run *run,
				 struct blkfd_io_cmd *cmd)
{
	blkfd_worker_charge_for(run, cmd);
	if (!blkfd_io_execute(run->worker->dev, cmd))
		return;
	list_add_tail(&cmd->entry, &run->ended);
	run->ended_count++;
}

/* All that is there; then what is in the plug goes, which may be long as well. */
static void blkfd_worker_execute_all(struct blkfd_worker_run *run)
{
	struct blkfd_io_cmd *cmd;

	while ((cmd = blkfd_worker_next(run))) {
		blkfd_worker_execute(run, cmd);
		cond_resched();
	}
	blk_finish_plug(&run->plug);
}

static void blkfd_worker_run(struct blkfd_worker *worker)
{
	struct blkfd_worker_run run = {
		.worker		= worker,
		.sleeps.callback = blkfd_worker_sleeps,
	};

	INIT_LIST_HEAD(&run.ended);
	blk_start_plug(&run.plug);
	blkfd_worker_watch_sleep(&run);
	blkfd_worker_execute_all(&run);
	while (!blkfd_worker_goes(worker)) {
		blk_start_plug(&run.plug);
		blkfd_worker_execute_all(&run);
	}
	blkfd_worker_charge(&run, NULL, NULL);
}

/*
 * Must not wait for memory that only this device can free by writing, nor be
 * throttled for the dirty pages of the devices above. What the file system
 * keeps for root, or from a user by quota, is as for the device's creator.
 */
static void blkfd_worker_work(struct work_struct *work)
{
	struct blkfd_worker *worker = container_of(work, struct blkfd_worker,
						   work);
	const struct cred *old_cred = override_creds(worker->dev->creator);
	unsigned int noio = memalloc_noio_save();
	unsigned long old_flags = current->flags;

	current->flags |= PF_LOCAL_THROTTLE;
	blkfd_worker_run(worker);
	current_restore_flags(old_flags, PF_LOCAL_THROTTLE);
	memalloc_noio_restore(noio);
	revert_creds(old_cred);
}

/**
 * blkfd_worker_init_device - the workers of a new device, all idle
 * @dev: Zeroed, but for its id.
 *
 * The threads are not of the kind that is promised to run when memory is short
 * (WQ_MEM_RECLAIM): such may not wait for others, and file systems do wait for
 * theirs, xfs when space runs out.
 *
 * Returns: 0 or -ENOMEM.
 */
int blkfd_worker_init_device(struct blkfd_device *dev)
{
	struct blkfd_worker *worker;
	int i;

	spin_lock_init(&dev->worker_lock);
	init_waitqueue_head(&dev->worker_room);
	INIT_LIST_HEAD(&dev->backlog);
	for (i = 0; i < BLKFD_WORKERS; i++) {
		worker = &dev->workers[i];
		worker->dev = dev;
		INIT_WORK(&worker->work, blkfd_worker_work);
		INIT_WORK(&worker->end_work, blkfd_worker_end_work);
		INIT_LIST_HEAD(&worker->ended);
	}
	dev->worker_queue = alloc_workqueue("blkfd%llu",
					    WQ_UNBOUND | WQ_FREEZABLE,
					    BLKFD_WORKERS, dev->id);
	return dev->worker_queue ? 0 : -ENOMEM;
}

/**
 * blkfd_worker_exit_device - the end of blkfd_worker_init_device()
 * @dev: A device that no bio can come to any more.
 *
 * Waits until no worker touches the device.
 */
void blkfd_worker_exit_device(struct blkfd_device *dev)
{
	int i;

	destroy_workqueue(dev->worker_queue);
	for (i = 0; i < BLKFD_WORKERS; i++)
		flush_work(&dev->workers[i].end_work);
}

/*
 * Memory may not come before dirty pages are written, which are so when this is
 * done: it has the promise that workers have not.
 */
int blkfd_worker_init(void)
{
	blkfd_worker_ends = alloc_workqueue("blkfd_ends",
					    WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return blkfd_worker_ends ? 0 : -ENOMEM;
}

/* No device is left. */
void blkfd_worker_exit(void)
{
	destroy_workqueue(blkfd_worker_ends);
}
