/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Charging memory to the cgroup that an I/O comes from, in kernels with and
 * without memory cgroups.
 */
#ifndef BLKFD_MEMCG_H
#define BLKFD_MEMCG_H

#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>

#if IS_ENABLED(CONFIG_BLK_CGROUP) && IS_ENABLED(CONFIG_MEMCG)
/* The memory cgroup that goes with a blkcg, or NULL; takes a reference. */
static inline struct cgroup_subsys_state *
blkfd_memcg_get(struct cgroup_subsys_state *blkcg)
{
	if (!blkcg)
		return NULL;
	return cgroup_get_e_css(blkcg->cgroup, &memory_cgrp_subsys);
}

/* Charges go to @memcg, if there is one, until blkfd_memcg_leave(). */
static inline struct mem_cgroup *
blkfd_memcg_enter(struct cgroup_subsys_state *memcg)
{
	return memcg ? set_active_memcg(mem_cgroup_from_css(memcg)) : NULL;
}

/* Takes the reference of @memcg over. */
static inline void blkfd_memcg_leave(struct cgroup_subsys_state *memcg,
				     struct mem_cgroup *old)
{
	if (!memcg)
		return;
	set_active_memcg(old);
	css_put(memcg);
}
#else
static inline struct cgroup_subsys_state *
blkfd_memcg_get(struct cgroup_subsys_state *blkcg)
{
	return NULL;
}

static inline struct mem_cgroup *
blkfd_memcg_enter(struct cgroup_subsys_state *memcg)
{
	return NULL;
}

static inline void blkfd_memcg_leave(struct cgroup_subsys_state *memcg,
				     struct mem_cgroup *old)
{
}
#endif

#endif /* BLKFD_MEMCG_H */
