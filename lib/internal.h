/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of libblkfd share. */
#ifndef BLKFD_INTERNAL_H
#define BLKFD_INTERNAL_H

#include "libblkfd.h"

#define BLKFD_PUBLIC __attribute__((visibility("default")))

/* A name for the block device on fd that no other device ever has. */
int blkfd_unique_name(int fd, char *name, size_t size);

#endif /* BLKFD_INTERNAL_H */
