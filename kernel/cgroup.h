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
 * The cgroup of the page that @bio has first, if it is of @cache or the task has no
 * memory of its own: who made that page dirty, and not who has it written. Of any
 * other page, it is who sends it, whose page it may not be. Under RCU.
 */
static inline struct mem_cgroup *
blkfd_cgroup_find_memcg(struct bio *bio, const struct address_space *cache)
{
	struct folio *folio = bio_has_data(bio) ? page_folio(bio_page(bio)) : NULL;

	if (current->active_memcg)
		return current->active_memcg;
	if (folio && (folio->mapping == cache || !current->mm))
		return folio_memcg_check(folio);
	return current->mm ? mem_cgroup_from_task(current) : NULL;
}

/* Else a bio of the cgroup names an ancestor's. */
static inline bool blkfd_cgroup_has_io(struct mem_cgroup *memcg)
{
	return rcu_access_pointer(memcg->css.cgroup->subsys[io_cgrp_id]);
}

/*
 * Who is to pay for the memory that @bio takes in what is below, with a reference, or
 * NULL if that is the cgroup which the bio names for its I/O.
 */
static inline struct cgroup_subsys_state *
blkfd_cgroup_get_memcg(struct bio *bio, const struct address_space *cache)
{
	struct cgroup_subsys_state *css = NULL;
	struct mem_cgroup *memcg;

	if (mem_cgroup_disabled())
		return NULL;
	rcu_read_lock();
	memcg = blkfd_cgroup_find_memcg(bio, cache);
	if (memcg && !blkfd_cgroup_has_io(memcg) && css_tryget(&memcg->css))
		css = &memcg->css;
	rcu_read_unlock();
	return css;
}

static inline void blkfd_cgroup_put_memcg(struct cgroup_subsys_state *memcg)
{
	if (memcg)
		css_put(memcg);
}

/*
 * Memory is charged to @memcg, or else to the cgroup of @blkcg, if there is one, until
 * blkfd_cgroup_leave() of what this returns. For threads that are of none.
 */
static inline struct cgroup_subsys_state *
blkfd_cgroup_enter(struct cgroup_subsys_state *blkcg,
		   struct cgroup_subsys_state *memcg)
{
	if (memcg)
		css_get(memcg);
	else if (blkcg)
		memcg = cgroup_get_e_css(blkcg->cgroup, &memory_cgrp_subsys);
	else
		return NULL;
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

/* The same for a task that is of one, which holds @memcg meanwhile. */
static inline struct mem_cgroup *
blkfd_cgroup_borrow(struct cgroup_subsys_state *memcg)
{
	return set_active_memcg(memcg ? mem_cgroup_from_css(memcg) :
				current->active_memcg);
}

static inline void blkfd_cgroup_return(struct mem_cgroup *memcg)
{
	set_active_memcg(memcg);
}
#else
static inline struct cgroup_subsys_state *
blkfd_cgroup_get_memcg(struct bio *bio, const struct address_space *cache)
{
	return NULL;
}

static inline void blkfd_cgroup_put_memcg(struct cgroup_subsys_state *memcg)
{
}

static inline struct cgroup_subsys_state *
blkfd_cgroup_enter(struct cgroup_subsys_state *blkcg,
		   struct cgroup_subsys_state *memcg)
{
	return NULL;
}

static inline void blkfd_cgroup_leave(struct cgroup_subsys_state *memcg)
{
}

static inline struct mem_cgroup *
blkfd_cgroup_borrow(struct cgroup_subsys_state *memcg)
{
	return NULL;
}

static inline void blkfd_cgroup_return(struct mem_cgroup *memcg)
{
}
#endif

#endif /* BLKFD_CGROUP_H */
