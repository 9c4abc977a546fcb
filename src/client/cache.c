// SPDX-License-Identifier: BSD-2-Clause
#include "client/cache.h"

#include <string.h>

#include "base/util.h"
#include "client/behind.h"
#include "client/client.h"

static const struct cache_mode modes[] = {
	{.name = "auto", .keeps = true, .looks = true},
	{.name = "always", .keeps = true, .for_ever = true},
	{.name = "none"},
	{.name = "shared", .keeps = true, .by_words = true},
};

const struct cache_mode *cache_mode_at(size_t i)
{
	return i < ARRAY_SIZE(modes) ? &modes[i] : NULL;
}

const struct cache_mode *cache_mode_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	}
	return NULL;
}

struct validity cache_validity(const struct causeway *c, const struct call *call, unsigned int bit,
	uint64_t seconds, uint32_t nanoseconds)
{
	const struct cache_mode *mode = c->options.cache;

	if (!mode->keeps)
		return (struct validity){.until_ns = 0};
	if (mode->by_words)
		return words_shown(c, &call->words, bit);
	if (mode->for_ever)
		return (struct validity){.until_ns = UINT64_MAX};
	return validity_for(seconds, nanoseconds);
}

EXPORT void causeway_drop_caches(struct causeway *c)
{
	behind_send_all(c);
	entries_clear(c);
	nodes_forget_data(c);
	pages_clear(c);
}
