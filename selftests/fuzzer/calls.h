/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs of the fuzzer: any bytes are one. The first says as whom it runs, every
 * eight that follow are a call: its number, three slots (of what it is about, what
 * else it takes, where the result goes), and four bytes for its arguments.
 */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUZZ_CALL	8
#define FUZZ_MAX_CALLS	31
#define FUZZ_MAX	(1 + FUZZ_CALL * FUZZ_MAX_CALLS)

/* Root twice, a user in a namespace, a user who has only a narrow instance. */
#define FUZZ_WHO	4

struct fuzz_program {
	unsigned int size;
	uint8_t bytes[FUZZ_MAX];
};

#define FUZZ_KINDS_MAX	64

/* Of all processes together. */
struct fuzz_counts {
	uint64_t calls;
	uint64_t made[FUZZ_KINDS_MAX];
	uint64_t succeeded[FUZZ_KINDS_MAX];
	/* What was seen that must not be; the first to see something writes it. */
	bool failed;
	char failure[128];
};

/* Once, as root, with an empty directory to work in: 0 or -errno. */
int fuzz_calls_init(const char *dir, struct fuzz_counts *counts);
void fuzz_calls_exit(void);

/* In a process of its own, before any program: 0 or -errno. */
int fuzz_calls_enter(unsigned int who);

/*
 * Nothing but what it sent away is left of a program afterwards. *progress grows
 * with each call; in a child of the program in_child(true) is called at the start.
 */
void fuzz_calls_run(const struct fuzz_program *program, uint64_t *progress,
		    void (*in_child)(void));

/* The first byte of a call, likely ones more often; seed is any number. */
uint8_t fuzz_calls_any(uint32_t seed);

/* How many kinds there are, and what they are called. */
unsigned int fuzz_calls_kinds(void);
const char *fuzz_calls_name(unsigned int kind);

#endif /* FUZZ_CALLS_H */
