// SPDX-License-Identifier: BSD-2-Clause
/*
 * Words of a mapping that several programs share, through nothing but that memory.
 *
 * turns: one word goes from program to program, each adding one when it is its turn.
 *
 * hammer: each word of the mapping has one owner, by its number, who raises its counter, by stores
 * and by pwrite(). All look at all words, by loads and by pread(): a word has to stay what it is,
 * and its counter must never be seen lower than before. Counters have one byte, so that no copy can
 * tear one. The file begins as tests/lib/mapper.py makes it.
 */
#include "mapper.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 180, LOOKS = 8, COUNTER = 255 };

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

void do_turns(struct slot *s, char **argv)
{
	uint64_t *word = (uint64_t *)mapped(s, number(argv[2]), sizeof(*word));
	const uint64_t me = number(argv[3]), parties = number(argv[4]), rounds = number(argv[5]);
	const uint64_t end = now() + LIMIT_SECONDS;
	uint64_t turn, mine = 0;

	while ((turn = __atomic_load_n(word, __ATOMIC_ACQUIRE)) < rounds) {
		if (turn % parties == me) {
			__atomic_store_n(word, turn + 1, __ATOMIC_RELEASE);
			mine++;
		} else if (now() > end) {
			printf("stuck at %llu", (unsigned long long)turn);
			return;
		} else {
			sched_yield();
		}
	}
	printf("%llu", (unsigned long long)mine);
}

struct hammer {
	struct slot *slot;
	uint64_t *words;
	unsigned char *seen;
	size_t count;
	uint64_t chance;
};

static uint64_t chance(struct hammer *h)
{
	h->chance ^= h->chance << 13;
	h->chance ^= h->chance >> 7;
	h->chance ^= h->chance << 17;
	return h->chance >> 11;
}

static uint64_t look_at(struct hammer *h, size_t i)
{
	uint64_t value = 0;

	if (chance(h) % 4)
		return __atomic_load_n(&h->words[i], __ATOMIC_ACQUIRE);
	if (pread(h->slot->fd, &value, sizeof(value), (off_t)(i * sizeof(value))) !=
		sizeof(value))
		return UINT64_MAX;
	return value;
}

static bool look(struct hammer *h)
{
	size_t i = chance(h) % h->count;
	uint64_t value = look_at(h, i);

	if (value >> 8 == i && (value & COUNTER) >= h->seen[i]) {
		h->seen[i] = value & COUNTER;
		return true;
	}
	printf("word %zu is %#llx, its counter was %u", i, (unsigned long long)value, h->seen[i]);
	return false;
}

static bool raise_to(struct hammer *h, size_t i, uint64_t counter)
{
	uint64_t value = (uint64_t)i << 8 | counter;

	h->seen[i] = (unsigned char)counter;
	if (chance(h) % 8) {
		__atomic_store_n(&h->words[i], value, __ATOMIC_RELEASE);
		return true;
	}
	if (pwrite(h->slot->fd, &value, sizeof(value), (off_t)(i * sizeof(value))) ==
		sizeof(value))
		return true;
	answer(-1);
	return false;
}

void do_hammer(struct slot *s, char **argv)
{
	const uint64_t me = number(argv[2]), parties = number(argv[3]), rounds = number(argv[4]);
	struct hammer h = {.slot = s,
		.words = (uint64_t *)mapped(s, 0, s->len),
		.count = s->len / sizeof(uint64_t),
		.chance = number(argv[5]) * 0x9e3779b97f4a7c15u + 1};

	h.seen = calloc(h.count, 1);
	for (uint64_t round = 1; h.seen && round <= rounds && round <= COUNTER; round++)
		for (size_t i = me; i < h.count; i += parties) {
			bool good = raise_to(&h, i, round);

			for (int n = 0; good && n < LOOKS; n++)
				good = look(&h);
			if (!good) {
				free(h.seen);
				return;
			}
		}
	free(h.seen);
	fputs("0", stdout);
}
