/* SPDX-License-Identifier: GPL-2.0 */
/* The subcommands of blkfd: each takes its own name as argv[0]. */
#ifndef BLKFD_BLKFD_H
#define BLKFD_BLKFD_H

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

int exec_main(int argc, char **argv);
int mount_main(int argc, char **argv);
int list_main(int argc, char **argv);
int info_main(int argc, char **argv);
int limits_main(int argc, char **argv);
int instance_main(int argc, char **argv);
int revoke_main(int argc, char **argv);

/* Says where help is to be had; EXIT_USAGE. */
int usage_error(const char *command);

/* Prints what "blkfd help COMMAND" prints; 0, or EXIT_FAILED. */
int usage(const char *command);

#endif /* BLKFD_BLKFD_H */
