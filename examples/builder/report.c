// SPDX-License-Identifier: GPL-2.0
/* Messages, which must not end up behind a progress bar. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>
#include "builder.h"

/*
 * The names in it are anybody's, and a terminal takes orders: what it cannot show, and
 * backslashes, in octal, as in /proc/mounts.
 */
static void put_text(const char *text)
{
	size_t length;
	wchar_t c;

	for (; *text; text += length) {
		mbstate_t state = { 0 };

		length = mbrtowc(&c, text, strlen(text), &state);
		if (length <= strlen(text) && iswprint(c) && c != '\\') {
			fwrite(text, 1, length, stderr);
			continue;
		}
		length = 1;
		fprintf(stderr, "\\%03o", (unsigned char)*text);
	}
}

static void say(const char *format, va_list args, int error)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	progress_clear();
	fputs("mkimage: ", stderr);
	put_text(text ?: format);
	free(text);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
}

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args, 0);
	exit(1);
}

void die_errno(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	say(format, args, error);
	exit(1);
}

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args, 0);
	va_end(args);
}
