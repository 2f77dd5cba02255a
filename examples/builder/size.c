// SPDX-License-Identifier: GPL-2.0
/* Sizes as people write and read them, in powers of 1024. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "builder.h"

static const char units[] = "KMGTPE";

bool size_parse(const char *text, uint64_t *size)
{
	const char *unit;
	char *end;
	unsigned int shift = 0;
	unsigned long long number;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || (end[1] && strcmp(end + 1, "iB")))
			return false;
		shift = 10 * (unit - units + 1);
	}
	if (number << shift >> shift != number)
		return false;
	*size = number << shift;
	return true;
}

const char *size_format(uint64_t size, char text[SIZE_TEXT_MAX])
{
	double number = size;
	int unit = -1;

	for (; number >= 1024 && units[unit + 1]; unit++)
		number /= 1024;
	if (unit < 0)
		snprintf(text, SIZE_TEXT_MAX, "%u B", (unsigned int)size);
	else
		snprintf(text, SIZE_TEXT_MAX, "%.1f %ciB", number, units[unit]);
	return text;
}
