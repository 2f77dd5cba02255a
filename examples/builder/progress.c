// SPDX-License-Identifier: GPL-2.0
/*
 * Progress: one line on the terminal, drawn again ten times a second at most.
 * If stderr is no terminal nothing is ever written.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <time.h>
#include <unistd.h>
#include "builder.h"

#define REDRAW_NS	100000000LL
#define LINE_MAX_WIDTH	512

static struct {
	bool shown;
	const char *phase;
	struct totals total;		/* files 0: not known */
	struct totals done;
	int64_t drawn_at;
} progress;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return MIN(size.ws_col, LINE_MAX_WIDTH);
}

/* The average of both: many small files take as long as few large ones. */
static unsigned int percent_done(void)
{
	double files = (double)progress.done.files / progress.total.files;
	double bytes = 1;

	if (progress.total.bytes)
		bytes = (double)progress.done.bytes / progress.total.bytes;
	return MIN(100, (unsigned int)(50 * (files + bytes)));
}

static void format_counts(char *text, size_t size)
{
	char done[SIZE_TEXT_MAX], total[SIZE_TEXT_MAX];

	if (progress.total.files)
		snprintf(text, size, "%3u %%  %s of %s  %ju of %ju files", percent_done(),
			 size_format(progress.done.bytes, done),
			 size_format(progress.total.bytes, total),
			 (uintmax_t)progress.done.files, (uintmax_t)progress.total.files);
	else if (progress.done.files)
		snprintf(text, size, "%ju files", (uintmax_t)progress.done.files);
	else
		snprintf(text, size, "...");
}

/* Fills what the rest of the line leaves of it; nothing if that is little. */
static void format_bar(char *bar, int width)
{
	int full = width * (int)percent_done() / 100;

	*bar = '\0';
	if (width < 8)
		return;
	memset(bar, '#', full);
	memset(bar + full, '.', width - full);
	memcpy(bar + width, "  ", 3);
}

static void draw(void)
{
	char counts[128], bar[LINE_MAX_WIDTH + 3] = "";
	int room;

	format_counts(counts, sizeof(counts));
	room = terminal_width() - (int)(strlen(progress.phase) + strlen(counts)) - 5;
	if (progress.total.files)
		format_bar(bar, MIN(40, room));
	fprintf(stderr, "\r\033[K%s  %s%s", progress.phase, bar, counts);
	fflush(stderr);
	progress.drawn_at = now_ns();
}

void progress_start(bool quiet)
{
	progress.shown = !quiet && isatty(STDERR_FILENO);
}

void progress_phase(const char *phase)
{
	progress.phase = phase;
	memset(&progress.total, 0, sizeof(progress.total));
	memset(&progress.done, 0, sizeof(progress.done));
	if (progress.shown)
		draw();
}

void progress_expect(const struct totals *totals)
{
	progress.total = *totals;
}

void progress_add(uint64_t files, uint64_t bytes)
{
	progress.done.files += files;
	progress.done.bytes += bytes;
	if (progress.shown && now_ns() - progress.drawn_at >= REDRAW_NS)
		draw();
}

void progress_clear(void)
{
	if (progress.shown && progress.phase)
		fputs("\r\033[K", stderr);
}
