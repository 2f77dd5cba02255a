// SPDX-License-Identifier: GPL-2.0
/* Devices as a table, as blocks of lines, and as JSON. */
#include <stdio.h>
#include <string.h>

#include "common.h"
#include "device-info.h"

/* The numbers of struct blkfd_info under the names that they have there. */
struct field {
	const char *name;
	unsigned long long value;
};

typedef void (*field_fn)(const char *name, unsigned long long value);

static void visit_fields(const struct blkfd_info *info, field_fn print)
{
	const struct field fields[] = {
		{ "id", info->id },
		{ "diskseq", info->diskseq },
		{ "dev_major", info->dev_major },
		{ "dev_minor", info->dev_minor },
		{ "backing_major", info->backing_major },
		{ "backing_minor", info->backing_minor },
		{ "backing_ino", info->backing_ino },
		{ "offset", info->offset },
		{ "length", info->length },
		{ "block_size", info->block_size },
		{ "creator_uid", info->creator_uid },
		{ "creator_pid", info->creator_pid },
		{ "reads", info->reads },
		{ "read_bytes", info->read_bytes },
		{ "writes", info->writes },
		{ "write_bytes", info->write_bytes },
		{ "discards", info->discards },
		{ "flushes", info->flushes },
		{ "errors", info->errors },
		{ "inline_ios", info->inline_ios },
		{ "worker_ios", info->worker_ios },
		{ "would_block", info->would_block },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		print(fields[i].name, fields[i].value);
}

void print_words(const struct flag_word *words, uint32_t flags,
		 const char *separator, const char *quote)
{
	const char *before = "";

	for (; words->flag; words++) {
		if (!(flags & words->flag))
			continue;
		printf("%s%s%s%s", before, quote, words->word, quote);
		before = separator;
	}
}

/* Length of the UTF-8 character at text, 0 if there is none. */
static size_t utf8_length(const unsigned char *text)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length, i;
	uint32_t code;

	if (*text < 0x80)
		return 1;
	length = *text >= 0xf0 ? 4 : *text >= 0xe0 ? 3 : 2;
	if (*text < 0xc2 || *text > 0xf4)
		return 0;
	code = *text & (0xff >> (length + 1));
	for (i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < smallest[length] || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	return length;
}

/* Of a character of UTF-8. U+0080 to U+009F are controls, too. */
static bool is_control(const unsigned char *text)
{
	return *text < ' ' || *text == 0x7f || (*text == 0xc2 && text[1] < 0xa0);
}

/* For a terminal: controls, what is not UTF-8 and backslashes in octal, as in /proc/mounts. */
static void print_text(const char *string)
{
	const unsigned char *text = (const unsigned char *)string;
	size_t length;

	for (; *text; text += length) {
		length = utf8_length(text);
		if (length && *text != '\\' && !is_control(text)) {
			fwrite(text, 1, length, stdout);
			continue;
		}
		length = 1;
		printf("\\%03o", *text);
	}
}

static void print_mounts(const struct device_info *device)
{
	size_t i;

	for (i = 0; i < device->mount_count; i++) {
		if (i)
			putchar(' ');
		print_text(device->mounts[i]);
	}
}

static void print_backing(const struct device_info *device)
{
	if (device->backing_file)
		print_text(device->backing_file);
	else
		printf("%u:%u inode %llu", device->info.backing_major,
		       device->info.backing_minor,
		       (unsigned long long)device->info.backing_ino);
}

void print_table(const struct device_info *devices, size_t count)
{
	const struct device_info *device;

	if (count)
		printf("%10s %14s %6s %10s %10s  %s\n", "ID", "LENGTH", "BLOCK",
		       "UID", "PID", "BACKING  FLAGS  MOUNTS");
	for (device = devices; device < devices + count; device++) {
		printf("%10llu %14llu %6u %10u %10u  ",
		       (unsigned long long)device->info.id,
		       (unsigned long long)device->info.length, device->info.block_size,
		       device->info.creator_uid, device->info.creator_pid);
		print_backing(device);
		printf("  ");
		print_words(create_words, device->info.flags, ",", "");
		if (!device->info.flags)
			putchar('-');
		printf("  ");
		print_mounts(device);
		if (!device->mount_count)
			putchar('-');
		putchar('\n');
	}
}

static void print_line(const char *name, unsigned long long value)
{
	printf("%s: %llu\n", name, value);
}

void print_blocks(const struct device_info *devices, size_t count)
{
	const struct device_info *device;

	for (device = devices; device < devices + count; device++) {
		if (device > devices)
			putchar('\n');
		visit_fields(&device->info, print_line);
		printf("flags: ");
		print_words(create_words, device->info.flags, ",", "");
		printf("\nbacking_file: ");
		if (device->backing_file)
			print_text(device->backing_file);
		printf("\nmounts: ");
		print_mounts(device);
		putchar('\n');
	}
}

/*
 * File names are bytes, JSON is Unicode: a byte that is not UTF-8 becomes a lone
 * surrogate, U+DC00 plus the byte, from which it can be had back.
 */
void print_json_string(const char *string)
{
	const unsigned char *text = (const unsigned char *)string;
	size_t length;

	putchar('"');
	for (; *text; text += length) {
		length = utf8_length(text);
		if (!length) {
			printf("\\udc%02x", *text);
			length = 1;
		} else if (is_control(text)) {
			/* Of two bytes, the last is the character's number. */
			printf("\\u%04x", text[length - 1]);
		} else {
			if (*text == '"' || *text == '\\')
				putchar('\\');
			fwrite(text, 1, length, stdout);
		}
	}
	putchar('"');
}

static void print_json_number(const char *name, unsigned long long value)
{
	printf("\"%s\": %llu, ", name, value);
}

static void print_json_device(const struct device_info *device)
{
	size_t i;

	putchar('{');
	visit_fields(&device->info, print_json_number);
	printf("\"flags\": [");
	print_words(create_words, device->info.flags, ", ", "\"");
	printf("], ");
	if (device->backing_file) {
		printf("\"backing_file\": ");
		print_json_string(device->backing_file);
		printf(", ");
	}
	printf("\"mounts\": [");
	for (i = 0; i < device->mount_count; i++) {
		if (i)
			printf(", ");
		print_json_string(device->mounts[i]);
	}
	printf("]}");
}

void print_json(const struct device_info *devices, size_t count)
{
	size_t i;

	putchar('[');
	for (i = 0; i < count; i++) {
		printf("%s\n  ", i ? "," : "");
		print_json_device(&devices[i]);
	}
	printf("%s]\n", count ? "\n" : "");
}
