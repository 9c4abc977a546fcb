// SPDX-License-Identifier: BSD-2-Clause
/* Leaving out what makes serving fast, one by one: to show what it is worth, or to find out whether
 * it is to blame. One more is a function and a line of the table here, and a line in
 * man/causewayd.1.scd. */
#include <string.h>

#include "base/util.h"
#include "daemon/parse.h"

static void without_polling(struct options *o)
{
	o->poll_us = 0;
}

static void without_borrowing(struct options *o)
{
	o->no_borrowing = true;
}

static void without_answering(struct options *o)
{
	o->no_answering = true;
}

static void without_batching(struct options *o)
{
	o->no_batching = true;
}

static void without_event_idx(struct options *o)
{
	o->no_event_idx = true;
}

static void without_pool(struct options *o)
{
	o->thread_pool_size = 0;
}

static void without_descriptors(struct options *o)
{
	o->passthrough.keeps_no_descriptors = true;
}

static void without_cold_nodes(struct options *o)
{
	o->passthrough.starts_hot = true;
}

static void without_credentials(struct options *o)
{
	o->passthrough.keeps_no_rights = true;
}

static void without_pins(struct options *o)
{
	o->passthrough.keeps = 0;
}

static void without_open_cache(struct options *o)
{
	o->passthrough.spares = 0;
}

static void without_file_handles(struct options *o)
{
	o->passthrough.file_handles = PT_FILE_HANDLES_NEVER;
}

static void without_known_names(struct options *o)
{
	o->passthrough.opens_names = true;
}

static void without_inside_cache(struct options *o)
{
	o->passthrough.believes_nothing = true;
}

static const struct {
	const char *name;
	void (*leave_out)(struct options *o);
} table[] = {
	{"polling", without_polling},
	{"borrowing", without_borrowing},
	{"answering", without_answering},
	{"batching", without_batching},
	{"event-idx", without_event_idx},
	{"pool", without_pool},
	{"node-descriptors", without_descriptors},
	{"cold-nodes", without_cold_nodes},
	{"known-names", without_known_names},
	{"credentials", without_credentials},
	{"pins", without_pins},
	{"open-cache", without_open_cache},
	{"inside-cache", without_inside_cache},
	{"file-handles", without_file_handles},
};

_Static_assert(ARRAY_SIZE(table) <= 8 * sizeof(((struct options *)0)->without), "a bit for each");

static int add_word(struct parse *p, const char *word, size_t len)
{
	char names[200] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strlen(table[i].name) == len && strncmp(table[i].name, word, len) == 0) {
			p->o->without |= 1u << i;
			return 0;
		}
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
			table[i].name);
	}
	return fail(p, "--without: '%.*s' is none of %s", (int)len, word, names);
}

int set_without(struct parse *p, const char *arg)
{
	for (;;) {
		size_t len = strcspn(arg, ",");

		if (add_word(p, arg, len) < 0)
			return -1;
		if (arg[len] == '\0')
			return 0;
		arg += len + 1;
	}
}

/* Whatever else the options say, in any order. */
int check_without(struct parse *p)
{
	struct options *o = p->o;
	bool mandatory = o->passthrough.file_handles == PT_FILE_HANDLES_MANDATORY;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (o->without & 1u << i)
			table[i].leave_out(o);
	}
	if (mandatory && o->passthrough.file_handles != PT_FILE_HANDLES_MANDATORY)
		return fail(p, "--without file-handles and --inode-file-handles mandatory exclude "
			       "each other");
	return 0;
}
