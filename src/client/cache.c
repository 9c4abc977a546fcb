// SPDX-License-Identifier: BSD-2-Clause
#include "client/cache.h"

#include <string.h>

#include "base/util.h"
#include "client/client.h"

static const struct cache_mode modes[] = {
	{.name = "auto", .keeps = true, .looks = true},
	{.name = "always", .keeps = true, .for_ever = true},
	{.name = "none"},
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

struct validity cache_validity(const struct causeway *c, uint64_t seconds, uint32_t nanoseconds)
{
	const struct cache_mode *mode = c->options.cache;

	if (!mode->keeps)
		return (struct validity){.until_ns = 0};
	if (mode->for_ever)
		return (struct validity){.until_ns = UINT64_MAX};
	return validity_for(seconds, nanoseconds);
}
