// SPDX-License-Identifier: BSD-2-Clause
#include "client/heat.h"

#include <errno.h>
#include <stdlib.h>

/* Misses for each range of the window until counts are halved, and the least of all. */
#define MISSES_EACH 64u
#define MISSES_MIN  256u

int heat_init(struct heat *h, unsigned int n)
{
	uint64_t places = 1024;

	while (places < 4 * (uint64_t)n)
		places *= 2;
	*h = (struct heat){
		.places = calloc(places, sizeof(*h->places)),
		.mask = places - 1,
		.period = MISSES_EACH * n + MISSES_MIN,
	};
	return h->places ? 0 : -ENOMEM;
}

void heat_free(struct heat *h)
{
	free(h->places);
	h->places = NULL;
}

uint32_t heat_add(struct heat *h, uint64_t serial, uint64_t index)
{
	uint64_t hash = (serial * 0x9e3779b97f4a7c15ull + index) * 0x9e3779b97f4a7c15ull;
	struct heat_place *p = &h->places[hash >> 32 & h->mask];

	h->misses++;
	if (p->serial == serial && p->index == index)
		return p->count < UINT32_MAX ? ++p->count : p->count;
	if (p->count > 1) {
		p->count--;
		return 1;
	}
	*p = (struct heat_place){.serial = serial, .index = index, .count = 1};
	return 1;
}

bool heat_cools(struct heat *h)
{
	if (h->misses < h->period)
		return false;
	h->misses = 0;
	for (uint64_t i = 0; i <= h->mask; i++)
		h->places[i].count /= 2;
	return true;
}
