// SPDX-License-Identifier: GPL-2.0
/*
 * Programs of calls, saved ones and changed ones, run by processes that are different
 * users; see fuzzer/calls.h. Where the kernel has KCOV, a program that gets to code of
 * the module that none before it got to is kept. Settings, in the environment:
 * FUZZ_SEED, a number; FUZZ_CORPUS, the file of saved programs, a line of hex digits
 * each; FUZZ_OUT, a directory for such a file of what was found, and for what was covered.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcov.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"
#include "fuzzer/calls.h"

#define KCOV		"/sys/kernel/debug/kcov"
#define MODULE_TEXT	"/sys/module/blkfd/sections/.text"
#define TEXT_MAX	(512 * 1024)
#define TRACE_MAX	(64 * 1024)
#define POINTS_MAX	8192
#define INPUTS_MAX	2048
#define SAVE_LOOKS	60
/* Without a call while the watchdog looked so many times a process is stuck. */
#define STUCK		120

/* A program that was kept, and the points that it gets to, as bits. */
struct input {
	struct fuzz_program program;
	bool ready;
	uint8_t points[POINTS_MAX / 8];
};

struct worker {
	pid_t pid;
	uint64_t progress;
	uint64_t seen;		/* by the watchdog */
	unsigned int looks;	/* since then */
	struct fuzz_program now;
};

/* Points are return addresses of KCOV's calls, numbered as they were found. */
static struct shared {
	struct fuzz_counts counts;
	uint64_t rounds;
	uint64_t programs;
	unsigned int inputs;
	unsigned int saved;	/* of these, what was there at first */
	unsigned int points;
	uint16_t point_of[TEXT_MAX];
	struct worker workers[FUZZ_WHO];
	struct input input[INPUTS_MAX];
} *shared;

/* Of a worker */
static struct worker *me;
static uint64_t rng;
static uint64_t text_start;

struct trace {
	int fd;
	uint64_t *area;
};

static struct trace own = { -1, NULL }, of_child = { -1, NULL };

/* splitmix64 */
static uint64_t any(void)
{
	uint64_t x = rng += 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static unsigned int any_below(unsigned int bound)
{
	return any() % bound;
}

/* Making programs */

static unsigned int calls_of(const struct fuzz_program *program)
{
	return program->size ? (program->size - 1) / FUZZ_CALL : 0;
}

static uint8_t *call_at(struct fuzz_program *program, unsigned int call)
{
	return program->bytes + 1 + call * FUZZ_CALL;
}

static uint8_t any_argument(void)
{
	switch (any_below(4)) {
	case 0:
		return 0;
	case 1:
		return any_below(8);
	case 2:
		return any_below(40);
	default:
		return any();
	}
}

static void fill_call(uint8_t *call)
{
	call[0] = fuzz_calls_any(any());
	for (int i = 1; i < FUZZ_CALL; i++)
		call[i] = any_argument();
	/* Mostly what fits is taken, by the 64-bit entry. */
	if (any_below(8))
		call[1] &= 0x0f;
}

/* Makes room at this place, with the call there before twice. */
static bool open_gap(struct fuzz_program *program, unsigned int call)
{
	if (program->size + FUZZ_CALL > FUZZ_MAX)
		return false;
	memmove(call_at(program, call) + FUZZ_CALL, call_at(program, call),
		program->bytes + program->size - call_at(program, call));
	program->size += FUZZ_CALL;
	return true;
}

static void drop_call(struct fuzz_program *program, unsigned int call)
{
	memmove(call_at(program, call), call_at(program, call) + FUZZ_CALL,
		program->bytes + program->size - call_at(program, call) - FUZZ_CALL);
	program->size -= FUZZ_CALL;
}

static void append_tail(struct fuzz_program *program, const struct fuzz_program *of)
{
	unsigned int from = any_below(calls_of(of) + 1);
	size_t size = of->size - 1 - from * FUZZ_CALL;

	if (program->size + size > FUZZ_MAX)
		size = (FUZZ_MAX - program->size) / FUZZ_CALL * FUZZ_CALL;
	memcpy(program->bytes + program->size, of->bytes + 1 + from * FUZZ_CALL, size);
	program->size += size;
}

static const struct fuzz_program *any_input(void)
{
	unsigned int inputs = __atomic_load_n(&shared->inputs, __ATOMIC_ACQUIRE);
	struct input *input = &shared->input[inputs ? any_below(inputs) : 0];

	return __atomic_load_n(&input->ready, __ATOMIC_ACQUIRE) ? &input->program : NULL;
}

static void mutate_once(struct fuzz_program *program)
{
	unsigned int calls = calls_of(program), call = calls ? any_below(calls) : 0;
	const struct fuzz_program *other;

	switch (calls ? any_below(8) : 0) {
	case 0:
		if (open_gap(program, call))
			fill_call(call_at(program, call));
		break;
	case 1:
		drop_call(program, call);
		break;
	case 2:
		open_gap(program, call);
		break;
	case 3:
		other = any_input();
		if (other)
			append_tail(program, other);
		break;
	case 4:
		call_at(program, call)[any_below(FUZZ_CALL)] ^= 1 << any_below(8);
		break;
	case 5:
		fill_call(call_at(program, call));
		break;
	default:
		call_at(program, call)[1 + any_below(FUZZ_CALL - 1)] = any_argument();
	}
}

/* A file, a device over it, and what comes. */
static void invent(struct fuzz_program *program)
{
	*program = (struct fuzz_program){ .size = 1 };
	for (unsigned int call = 0; call < 4 + any_below(20); call++) {
		open_gap(program, call);
		fill_call(call_at(program, call));
	}
	if (any_below(4)) {
		memset(call_at(program, 0), 0, 2 * FUZZ_CALL);
		memcpy(call_at(program, 0), (uint8_t []){ 0, 0, 0, 1, 0, any_argument() }, 6);
		memcpy(call_at(program, 1), (uint8_t []){ 1, 0, 1, 2, any_below(8) }, 5);
	}
}

static void make_program(struct fuzz_program *program, unsigned int who)
{
	const struct fuzz_program *input = any_input();

	if (!input || !any_below(8)) {
		invent(program);
	} else {
		*program = *input;
		do
			mutate_once(program);
		while (any_below(3));
	}
	program->bytes[0] = who;
}

/* Coverage */

static int open_trace(struct trace *trace)
{
	trace->fd = open(KCOV, O_RDWR | O_CLOEXEC);
	if (trace->fd < 0)
		return -errno;
	if (ioctl(trace->fd, KCOV_INIT_TRACE, TRACE_MAX))
		return -errno;
	trace->area = mmap(NULL, TRACE_MAX * sizeof(uint64_t), PROT_READ | PROT_WRITE,
			   MAP_SHARED, trace->fd, 0);
	if (trace->area == MAP_FAILED)
		return -errno;
	trace->area[0] = 0;
	return 0;
}

/* Of children that live at once the first has it. */
static void trace_child(void)
{
	if (of_child.area)
		ioctl(of_child.fd, KCOV_ENABLE, KCOV_TRACE_PC);
}

/* 0: not of the module. Numbers begin with 1; two may get one each for the same place. */
static unsigned int point_of(uint64_t address)
{
	uint16_t *point = &shared->point_of[address - text_start], none = 0;
	unsigned int number;

	if (address - text_start >= TEXT_MAX)
		return 0;
	if (*point)
		return *point;
	number = __atomic_add_fetch(&shared->points, 1, __ATOMIC_SEQ_CST);
	if (number >= POINTS_MAX)
		return 0;
	if (__atomic_compare_exchange_n(point, &none, number, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		return number;
	return none;
}

/* Returns: whether there was one that had no number before. */
static bool take_points(struct trace *trace, uint8_t *points)
{
	uint64_t count = trace->area[0];
	unsigned int before = shared->points, point;

	for (uint64_t i = 1; i <= count && i < TRACE_MAX; i++) {
		point = point_of(trace->area[i]);
		points[point / 8] |= 1 << point % 8;
	}
	trace->area[0] = 0;
	points[0] &= ~1;
	return shared->points != before;
}

static bool run_program(const struct fuzz_program *program, uint8_t *points)
{
	bool is_new;

	me->now = *program;
	if (own.area)
		own.area[0] = 0;
	fuzz_calls_run(program, &me->progress, trace_child);
	__atomic_fetch_add(&shared->programs, 1, __ATOMIC_RELAXED);
	if (!own.area)
		return false;
	memset(points, 0, POINTS_MAX / 8);
	is_new = take_points(&own, points);
	return take_points(&of_child, points) || is_new;
}

static bool has_points(const uint8_t *points, const uint8_t *wanted)
{
	for (int i = 0; i < POINTS_MAX / 8; i++)
		if (wanted[i] & ~points[i])
			return false;
	return true;
}

/* Calls without which it gets to the same new points are left out. */
static void trim(struct fuzz_program *program, uint8_t *points, const uint8_t *wanted)
{
	uint8_t fewer[POINTS_MAX / 8];
	struct fuzz_program shorter;

	for (int call = calls_of(program) - 1; call >= 0; call--) {
		shorter = *program;
		drop_call(&shorter, call);
		run_program(&shorter, fewer);
		if (!has_points(fewer, wanted))
			continue;
		*program = shorter;
		memcpy(points, fewer, sizeof(fewer));
	}
}

static void keep(const struct fuzz_program *program, const uint8_t *points)
{
	unsigned int number = __atomic_fetch_add(&shared->inputs, 1, __ATOMIC_SEQ_CST);
	struct input *input = &shared->input[number];

	if (number >= INPUTS_MAX) {
		__atomic_fetch_sub(&shared->inputs, 1, __ATOMIC_SEQ_CST);
		return;
	}
	input->program = *program;
	memcpy(input->points, points, sizeof(input->points));
	__atomic_store_n(&input->ready, true, __ATOMIC_RELEASE);
}

static void try_program(struct fuzz_program *program)
{
	static const uint8_t nothing[POINTS_MAX / 8];
	uint8_t points[POINTS_MAX / 8], wanted[POINTS_MAX / 8] = { };
	unsigned int before = shared->points;

	if (!run_program(program, points))
		return;
	/* Those of a number that nobody had at the start. */
	for (unsigned int point = before + 1; point < POINTS_MAX; point++)
		wanted[point / 8] |= points[point / 8] & 1 << point % 8;
	/* It may have been another process that found something. */
	if (has_points(nothing, wanted))
		return;
	trim(program, points, wanted);
	keep(program, points);
}

/* Workers */

static bool goes_on(void)
{
	return shared->counts.calls < shared->rounds && !shared->counts.failed;
}

static void work(unsigned int who, uint64_t seed)
{
	struct fuzz_program program;

	rng = seed * FUZZ_WHO + who;
	if (fuzz_calls_enter(who) ||
	    (own.area && ioctl(own.fd, KCOV_ENABLE, KCOV_TRACE_PC)))
		_exit(100);
	for (unsigned int i = 0; i < shared->saved; i++) {
		struct input *input = &shared->input[i];

		if (input->program.bytes[0] % FUZZ_WHO == who)
			run_program(&input->program, input->points);
	}
	while (goes_on()) {
		make_program(&program, who);
		try_program(&program);
	}
	_exit(0);
}

static int start_worker(unsigned int who, uint64_t seed)
{
	struct worker *worker = &shared->workers[who];
	pid_t pid;

	if (!access(KCOV, W_OK) && (open_trace(&own) || open_trace(&of_child)))
		return -EIO;
	pid = fork();
	if (!pid) {
		me = worker;
		work(who, seed);
	}
	*worker = (struct worker){ .pid = pid };
	return pid < 0 ? -errno : 0;
}

static void show_hex(FILE *file, const struct fuzz_program *program)
{
	for (unsigned int i = 0; i < program->size; i++)
		fprintf(file, "%02x", program->bytes[i]);
	fputc('\n', file);
}

static void show_worker(const struct worker *worker, const char *what)
{
	char line[96], stack[4096];

	fprintf(stderr, "# process %td %s; its program:\n", worker - shared->workers, what);
	show_hex(stderr, &worker->now);
	if (!worker->pid)
		return;
	snprintf(line, sizeof(line), "cd /proc; for i in %d $(pgrep -P %d); do cat $i/stack; done",
		 worker->pid, worker->pid);
	test_shell(stack, sizeof(stack), line);
	fprintf(stderr, "%s", stack);
}

/* Looks, not seconds, which pass while this machine, or its host, stands still. */
static bool is_alive(struct worker *worker)
{
	if (worker->progress != worker->seen) {
		worker->seen = worker->progress;
		worker->looks = 0;
	}
	return ++worker->looks < STUCK * test_slowdown();
}

/* Kills all who are left of them. Returns: how many. */
static int kill_workers(void)
{
	int left = 0;

	for (int i = 0; i < FUZZ_WHO; i++) {
		if (!shared->workers[i].pid)
			continue;
		show_worker(&shared->workers[i], "is killed");
		kill(shared->workers[i].pid, SIGKILL);
		left++;
	}
	return left;
}

static int judge(pid_t pid, int status)
{
	for (int i = 0; i < FUZZ_WHO; i++) {
		if (shared->workers[i].pid != pid)
			continue;
		if (status)
			show_worker(&shared->workers[i], "died");
		shared->workers[i].pid = 0;
	}
	return status ? -1 : 0;
}

static int check_workers(void)
{
	int status, ret = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		ret |= judge(pid, status);
	for (int i = 0; i < FUZZ_WHO; i++)
		if (shared->workers[i].pid && !is_alive(&shared->workers[i]))
			ret = -1;
	return pid < 0 && !ret ? 1 : ret;
}

/* Files */

static int top_file(char *path, size_t size, const char *name)
{
	ssize_t length = readlink("/proc/self/exe", path, size - 1);

	if (length < 0)
		return -errno;
	path[length] = 0;
	snprintf(strrchr(path, '/'), size - length, "/%s", name);
	return 0;
}

static void parse(const char *line, struct fuzz_program *program)
{
	unsigned int byte;

	*program = (struct fuzz_program){ };
	while (program->size < FUZZ_MAX && sscanf(line, "%2x", &byte) == 1) {
		program->bytes[program->size++] = byte;
		line += 2;
	}
}

static int load_corpus(void)
{
	const char *given = getenv("FUZZ_CORPUS");
	char path[4096], line[2 * FUZZ_MAX + 2];
	FILE *file;

	if (top_file(path, sizeof(path), "fuzzer/corpus"))
		return -errno;
	file = fopen(given ?: path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file) && shared->inputs < INPUTS_MAX) {
		struct input *input = &shared->input[shared->inputs];

		parse(line, &input->program);
		input->ready = input->program.size > 0;
		shared->inputs += input->ready;
	}
	shared->saved = shared->inputs;
	fclose(file);
	return 0;
}

static int read_text_start(void)
{
	FILE *file = fopen(MODULE_TEXT, "re");
	unsigned long start;

	if (!file)
		return -errno;
	if (fscanf(file, "%lx", &start) == 1)
		text_start = start;
	fclose(file);
	return text_start ? 0 : -EINVAL;
}

static int count_missing(const struct input *input, const uint8_t *have)
{
	int count = 0;

	for (int i = 0; i < POINTS_MAX / 8; i++)
		count += __builtin_popcount(input->points[i] & ~have[i]);
	return count;
}

/* Again and again the program that gets to most of what is not there yet. */
static void save_programs(FILE *file)
{
	uint8_t have[POINTS_MAX / 8] = { };
	struct input *best;
	int most;

	do {
		most = 0;
		for (unsigned int i = 0; i < shared->inputs; i++) {
			int count = count_missing(&shared->input[i], have);

			if (count <= most)
				continue;
			most = count;
			best = &shared->input[i];
		}
		for (int i = 0; i < POINTS_MAX / 8 && most; i++)
			have[i] |= best->points[i];
		if (most)
			show_hex(file, &best->program);
	} while (most);
}

/* Offsets in .text, which fuzzer/coverage.sh makes lines of. */
static void save_points(FILE *file)
{
	for (unsigned int i = 0; i < TEXT_MAX; i++)
		if (shared->point_of[i])
			fprintf(file, "%x\n", i);
}

static unsigned int count_points(void)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < TEXT_MAX; i++)
		count += !!shared->point_of[i];
	return count;
}

static int save(const char *name, void (*write)(FILE *file))
{
	const char *out = getenv("FUZZ_OUT");
	char path[4096];
	FILE *file;

	if (!out)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", out, name);
	file = fopen(path, "we");
	if (!file)
		return -errno;
	write(file);
	return fclose(file) ? -errno : 0;
}

static int save_all(void)
{
	return save("corpus", save_programs) ?: save("points", save_points);
}

/* Until all have ended. Returns: 0, or -1 if one did not, or ill. */
static int watch(void)
{
	const struct timespec second = { .tv_sec = 1 };
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (unsigned int looks = 1; !(ret = check_workers()); looks++) {
		sigtimedwait(&set, NULL, &second);
		test_tell(20, shared->counts.calls, shared->rounds, "calls");
		/* A long run may be ended from outside. */
		if (!(looks % SAVE_LOOKS))
			save_all();
	}
	if (ret < 0)
		kill_workers();
	if (shared->counts.failed) {
		fprintf(stderr, "# %s\n", shared->counts.failure);
		for (int i = 0; i < FUZZ_WHO; i++)
			show_worker(&shared->workers[i], "was at it then");
		ret = -1;
	}
	return ret < 0 ? -1 : 0;
}

/* The cases */

FIXTURE(fuzz) {
	uint64_t seed;
	double start;
	char console[64];
};

/* What is not worth a warning takes long to tell on an emulated serial line. */
static int quiet_console(char *before, size_t size)
{
	int fd = open("/proc/sys/kernel/printk", O_RDONLY | O_CLOEXEC), length;

	length = read(fd, before, size - 1);
	close(fd);
	if (length <= 0)
		return -EIO;
	before[length] = 0;
	return test_write_text("/proc/sys/kernel/printk", "5");
}

static uint64_t choose_seed(void)
{
	const char *text = getenv("FUZZ_SEED");
	uint32_t seed = 0;

	if (text)
		return strtoull(text, NULL, 10);
	return getrandom(&seed, sizeof(seed), 0) == sizeof(seed) ? seed : 1;
}

FIXTURE_SETUP(fuzz)
{
	if (access("/proc/self/ns/user", F_OK))
		SKIP(return, "no user namespaces");
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, quiet_console(self->console, sizeof(self->console)));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_EQ(0, fuzz_calls_init(TEST_DIR, &shared->counts));
	ASSERT_EQ(0, load_corpus());
	ASSERT_EQ(0, read_text_start());
	self->seed = choose_seed();
	self->start = test_seconds();
}

FIXTURE_TEARDOWN(fuzz)
{
	fuzz_calls_exit();
	test_write_text("/proc/sys/kernel/printk", self->console);
}

static int run_workers(uint64_t seed, uint64_t rounds)
{
	int ret = 0;

	shared->rounds = rounds;
	for (unsigned int who = 0; who < FUZZ_WHO && !ret; who++)
		ret = start_worker(who, seed);
	return ret ?: watch();
}

static void report(uint64_t seed, double start)
{
	const struct fuzz_counts *counts = &shared->counts;
	unsigned long long calls = counts->calls, programs = shared->programs;
	double seconds = test_seconds() - start;

	fprintf(stderr, "# seed %llu: %llu calls, %llu programs, %.0f s, %.0f calls a second\n",
		(unsigned long long)seed, calls, programs, seconds, calls / seconds);
	fprintf(stderr, "# %u points of the module, %u programs kept beside %u saved ones\n",
		count_points(), shared->inputs - shared->saved, shared->saved);
	fprintf(stderr, "# calls that succeeded:");
	for (unsigned int i = 0; i < fuzz_calls_kinds(); i++)
		fprintf(stderr, "%s %s %llu/%llu", i % 6 ? "" : "\n# ", fuzz_calls_name(i),
			(unsigned long long)counts->succeeded[i],
			(unsigned long long)counts->made[i]);
	fprintf(stderr, "\n");
}

static uint64_t count_succeeded(const char *name)
{
	for (unsigned int i = 0; i < fuzz_calls_kinds(); i++)
		if (!strcmp(fuzz_calls_name(i), name))
			return shared->counts.succeeded[i];
	return 0;
}

/* Without these, most of what there is to find is not looked for. */
static void expect_succeeded(struct __test_metadata *_metadata)
{
	static const char *const names[] = {
		"create", "resize", "mount", "map", "write", "uring",
	};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		EXPECT_LT(0, count_succeeded(names[i])) {
			TH_LOG("no %s", names[i]);
		}
	}
}

static bool is_unused(void *arg)
{
	struct blkfd_limits limits;
	int control = blkfd_control(), ret;

	ret = blkfd_get_limits(control, &limits);
	close(control);
	return !ret && !limits.devices;
}

TEST_F_TIMEOUT(fuzz, saved_programs_do_no_harm, 600)
{
	ASSERT_LT(0, shared->saved);
	EXPECT_EQ(0, run_workers(self->seed, 0));
	report(self->seed, self->start);
	fuzz_calls_exit();
	EXPECT_TRUE(test_wait(is_unused, NULL, 2 * TEST_TIMEOUT_MS));
}

TEST_F_TIMEOUT(fuzz, changed_programs_do_no_harm, 80000)
{
	EXPECT_EQ(0, run_workers(self->seed, test_rounds(20000)));
	report(self->seed, self->start);
	expect_succeeded(_metadata);
	EXPECT_EQ(0, save_all());
	fuzz_calls_exit();
	EXPECT_TRUE(test_wait(is_unused, NULL, 2 * TEST_TIMEOUT_MS));
}

TEST_HARNESS_MAIN
