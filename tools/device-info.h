/* SPDX-License-Identifier: GPL-2.0 */
/* What list and info know of a device, and how they print it. */
#ifndef BLKFD_DEVICE_INFO_H
#define BLKFD_DEVICE_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libblkfd.h>

struct libmnt_fs;
struct libmnt_table;

/**
 * struct device_info - one device
 * @info: As BLKFD_GET_INFO shows it.
 * @backing_file: Path of the backing file; NULL if we may not see it.
 * @mounts: Where it is mounted in our mount namespace.
 * @mount_count: How many places that are.
 */
struct device_info {
	struct blkfd_info info;
	char *backing_file;
	char **mounts;
	size_t mount_count;
};

/* A flag and its word; a flag of 0 ends a table. */
struct flag_word {
	uint32_t flag;
	const char *word;
};

/* sysfs.c; nothing is printed here, negative errno */

/* Of BLKFD_F_*, as in blkfd/flags. */
extern const struct flag_word create_words[];

/* Reads /sys/block/blkfd<id>. -ENOENT: it is not there, or no longer. */
int device_info_read(struct device_info *device, unsigned long long id);

/* The same, for the one that is mounted at dir, uppermost. -ENOENT: none that can be seen. */
int device_info_read_mounted(struct device_info *device, const char *dir);

/* What only sysfs tells of a device whose info is known. */
int device_info_complete(struct device_info *device);

#define MOUNTINFO_PATH "/proc/self/mountinfo"

/* The mount by its id, as another may be on top of it; NULL: it is not there. */
struct libmnt_fs *find_mount(struct libmnt_table *mounts, uint64_t mount_id);

/* What only our mounts tell: reads them, from there, once for all devices. */
int device_infos_find_mounts(struct device_info *devices, size_t count);

/* The ids of all devices, ascending: their number. Free *ids. */
int device_ids(unsigned long long **ids);

void device_info_free(struct device_info *device);

/* print.c */

/* The words for flags, each between quotes, with separator between them. */
void print_words(const struct flag_word *words, uint32_t flags,
		 const char *separator, const char *quote);

void print_table(const struct device_info *devices, size_t count);
void print_blocks(const struct device_info *devices, size_t count);
void print_json(const struct device_info *devices, size_t count);

/* In quotes, with escapes for what JSON or a terminal must not see as it is. */
void print_json_string(const char *string);

#endif /* BLKFD_DEVICE_INFO_H */
