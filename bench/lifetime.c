// SPDX-License-Identifier: GPL-2.0
/*
 * lifetime KIND churn FILE COUNT PAUSE_MS
 * lifetime KIND live FILE COUNT
 *
 * What it takes to make and to close devices over FILE, in nanoseconds of the caller,
 * and the memory that they take. KIND is blkfd or loop. A result is a line: its
 * name and its value.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <linux/blkfd.h>

/* How often one more device is made while many live. */
#define PROBES 9
/* Until what the kernel does later is done, in milliseconds. */
#define SETTLE_MS 2000
#define PROBE_PAUSE_MS 100

struct kind {
	const char *name;
	const char *control;
	int (*create)(int control, int file);
};

struct cost {
	unsigned long long create, close;
};

static int create_blkfd(int control, int file)
{
	struct blkfd_create arg = { .fd = file };

	return ioctl(control, BLKFD_CREATE, &arg);
}

/* As a program has to that wants what blkfd gives: any free device, gone at the end. */
static int create_loop(int control, int file)
{
	struct loop_config config = {
		.fd = file, .info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int number = ioctl(control, LOOP_CTL_GET_FREE), device;
	char path[32];

	if (number < 0)
		return -1;
	snprintf(path, sizeof(path), "/dev/loop%d", number);
	device = open(path, O_RDWR | O_CLOEXEC);
	if (device < 0)
		return -1;
	if (ioctl(device, LOOP_CONFIGURE, &config) < 0)
		err(1, "LOOP_CONFIGURE");
	return device;
}

static const struct kind kinds[] = {
	{ "blkfd", "/dev/blkfd", create_blkfd },
	{ "loop", "/dev/loop-control", create_loop },
};

static const struct kind *find_kind(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	errx(2, "%s: neither blkfd nor loop", name);
}

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static void pause_ms(unsigned int ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	if (ms)
		nanosleep(&time, NULL);
}

static int create(const struct kind *kind, int control, int file)
{
	int device = kind->create(control, file);

	if (device < 0)
		err(1, "no device of %s", kind->name);
	return device;
}

static int by_value(const void *a, const void *b)
{
	unsigned long long first = *(const unsigned long long *)a;
	unsigned long long second = *(const unsigned long long *)b;

	return first < second ? -1 : first > second;
}

static unsigned long long median(unsigned long long *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_value);
	return values[count / 2];
}

/* The medians over count devices, one after the other. */
static struct cost churn(const struct kind *kind, int control, int file,
			 size_t count, unsigned int pause)
{
	unsigned long long *creates = calloc(count, sizeof(*creates));
	unsigned long long *closes = calloc(count, sizeof(*closes));
	struct cost cost;
	size_t i;

	if (!creates || !closes)
		err(1, "memory");
	for (i = 0; i < count; i++) {
		unsigned long long start = now(), created;
		int device = create(kind, control, file);

		created = now();
		close(device);
		closes[i] = now() - created;
		creates[i] = created - start;
		pause_ms(pause);
	}
	cost.create = median(creates, count);
	cost.close = median(closes, count);
	free(creates);
	free(closes);
	return cost;
}

/* A line of /proc/meminfo, in bytes. */
static long long memory(const char *name)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	long long kib = -1;

	if (!file)
		err(1, "/proc/meminfo");
	while (kib < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), ": %lld", &kib);
	fclose(file);
	if (kib < 0)
		errx(1, "/proc/meminfo has no %s", name);
	return kib << 10;
}

static void print_memory(size_t alive, size_t added, long long free_before,
			 long long slab_before)
{
	/* What few devices take is lost in what else goes on. */
	if (added >= 50)
		printf("slab-%zu %lld\n", alive,
		       (memory("Slab") - slab_before) / (long long)added);
	if (added >= 500)
		printf("memory-%zu %lld\n", alive,
		       (free_before - memory("MemFree")) / (long long)added);
}

/* With 1, 100, 1,000... up to most alive: the next one's cost, and each one's memory. */
static void live(const struct kind *kind, int control, int file, size_t most)
{
	size_t alive = 0, target;

	for (target = 1; target <= most; target *= target == 1 ? 100 : 10) {
		long long free_before = memory("MemFree");
		long long slab_before = memory("Slab");
		size_t added = target - alive;
		struct cost cost;

		while (alive < target) {
			create(kind, control, file);
			alive++;
		}
		pause_ms(SETTLE_MS);
		print_memory(alive, added, free_before, slab_before);
		cost = churn(kind, control, file, PROBES, PROBE_PAUSE_MS);
		printf("create-%zu %llu\n", alive, cost.create);
		printf("close-%zu %llu\n", alive, cost.close);
		fflush(stdout);
		pause_ms(SETTLE_MS);
	}
}

static void allow_descriptors(rlim_t count)
{
	struct rlimit limit = { count, count };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "RLIMIT_NOFILE %lu", (unsigned long)count);
}

static int open_or_die(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

int main(int argc, char **argv)
{
	const struct kind *kind;
	int control, file;
	size_t count;

	if (argc < 5)
		errx(2, "KIND churn FILE COUNT PAUSE_MS, or KIND live FILE COUNT");
	kind = find_kind(argv[1]);
	control = open_or_die(kind->control);
	file = open_or_die(argv[3]);
	count = strtoull(argv[4], NULL, 10);
	if (!strcmp(argv[2], "live")) {
		allow_descriptors(count + 64);
		live(kind, control, file, count);
	} else if (!strcmp(argv[2], "churn") && argc == 6) {
		struct cost cost = churn(kind, control, file, count, atoi(argv[5]));

		printf("create %llu\nclose %llu\n", cost.create, cost.close);
	} else {
		errx(2, "%s: neither churn nor live", argv[2]);
	}
	return 0;
}
