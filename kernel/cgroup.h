/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Charging memory and I/O to the cgroup that an I/O comes from, in kernels with
 * and without those controllers.
 */
#ifndef BLKFD_CGROUP_H
#define BLKFD_CGROUP_H

#include <linux/blk-cgroup.h>
#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>

#if IS_ENABLED(CONFIG_BLK_CGROUP)
/* Whether I/O of the current task is charged to where @bio is. */
static inline bool blkfd_cgroup_is_current(struct bio *bio)
{
	struct cgroup_subsys_state *css;

	rcu_read_lock();
	css = task_css(current, io_cgrp_id);
	rcu_read_unlock();
	return bio_blkcg_css(bio) == css;
}
#else
static inline bool blkfd_cgroup_is_current(struct bio *bio)
{
	return true;
}
#endif

#if IS_ENABLED(CONFIG_BLK_CGROUP) && IS_ENABLED(CONFIG_MEMCG)
/*
 * Memory is charged to the cgroup of @blkcg, if there is one, until
 * blkfd_cgroup_leave() of what this returns. For threads that are of none.
 */
static inline struct cgroup_subsys_state *
blkfd_cgroup_enter(struct cgroup_subsys_state *blkcg)
{
	struct cgroup_subsys_state *memcg;

	if (!blkcg)
		return NULL;
	memcg = cgroup_get_e_css(blkcg->cgroup, &memory_cgrp_subsys);
	set_active_memcg(mem_cgroup_from_css(memcg));
	return memcg;
}

static inline void blkfd_cgroup_leave(struct cgroup_subsys_state *memcg)
{
	if (!memcg)
		return;
	set_active_memcg(NULL);
	css_put(memcg);
}
#else
static inline struct cgroup_subsys_state *
blkfd_cgroup_enter(struct cgroup_subsys_state *blkcg)
{
	return NULL;
}

static inline void blkfd_cgroup_leave(struct cgroup_subsys_state *memcg)
{
}
#endif

#endif /* BLKFD_CGROUP_H */
