/* SPDX-License-Identifier: GPL-2.0 */
/*
 * File systems whose server is another machine's, elsewhere: NFS and 9p. Each has a
 * process, a child of the caller, that stands for the server: stopped, it keeps the
 * client waiting; killed, it is never heard of again. What needs something that the
 * kernel or the machine lacks returns -ENODEV, else 0 or a negative errno.
 */
#ifndef TEST_SERVERS_H
#define TEST_SERVERS_H

#include <sys/types.h>

/* NFS 4.2. There is one such server on the machine: it exports dir. */
int nfs_serve(const char *dir);

/* From here on, the root of its clients is nobody there. */
int nfs_squash_root(const char *dir);

/* With that it lets go of dir; nothing if it does not run. */
void nfs_stop_serving(void);

/* Clients reach it as long as this server lives; after that, by the next. */
int nfs_be_reached(pid_t *server);

/* Mounts what is served at path, with more options. */
int nfs_mount(const char *path, const char *options);

/* What an administrator does to a mount, here the last, if its server stays away. */
int nfs_shut_down(void);

/* Mounts dir at path, by 9p. */
int p9_mount(const char *dir, const char *path, pid_t *server);

#endif /* TEST_SERVERS_H */
