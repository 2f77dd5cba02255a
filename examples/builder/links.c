// SPDX-License-Identifier: GPL-2.0
/* Files with several names, by device and inode number. */
#include <search.h>
#include <stdlib.h>
#include "builder.h"

struct link {
	dev_t dev;
	ino_t ino;
	char *path;
};

static int compare_links(const void *left, const void *right)
{
	const struct link *a = left, *b = right;

	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return 0;
}

static void *remember(struct links *links, const struct tree_entry *entry)
{
	struct link *link = malloc(sizeof(*link));

	if (!link)
		return NULL;
	*link = (struct link){ entry->st.st_dev, entry->st.st_ino, tree_path(entry) };
	return tsearch(link, &links->root, compare_links);
}

const char *links_first(struct links *links, const struct tree_entry *entry)
{
	struct link key = { entry->st.st_dev, entry->st.st_ino, NULL };
	struct link **found;

	if (entry->st.st_nlink < 2)
		return NULL;
	found = tfind(&key, &links->root, compare_links);
	if (found)
		return (*found)->path;
	if (!remember(links, entry))
		die("out of memory");
	return NULL;
}

static void free_link(void *link)
{
	free(((struct link *)link)->path);
	free(link);
}

void links_free(struct links *links)
{
	tdestroy(links->root, free_link);
}
