/* SPDX-License-Identifier: GPL-2.0 */
/* What several tests that send I/O by io_uring need; not all link with liburing. */
#ifndef RING_H
#define RING_H

#include <limits.h>
#include <liburing.h>

/*
 * So many writes keep all workers of a device as long as the file's file system is
 * frozen, if none is beside another: what is sent after them comes into the backlog.
 */
#define RING_KEEPERS	4

/* Waits for so many I/Os: the least of their results, or -errno. */
static inline int ring_least(struct io_uring *ring, int count)
{
	struct io_uring_cqe *cqe;
	int least = INT_MAX, ret;

	while (count--) {
		ret = io_uring_wait_cqe(ring, &cqe);
		if (ret)
			return ret;
		if (cqe->res < least)
			least = cqe->res;
		io_uring_cqe_seen(ring, cqe);
	}
	return least;
}

#endif /* RING_H */
