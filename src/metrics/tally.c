// SPDX-License-Identifier: BSD-2-Clause
#include "metrics/tally.h"

#include <pthread.h>
#include <string.h>

_Thread_local struct tally_block tally_mine;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list and of ended */
static struct tally_block *first;
static struct tally_block ended;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

/* The thread ends: what it counted stays. */
static void leave(void *arg)
{
	struct tally_block *mine = arg, **at = &first;

	pthread_mutex_lock(&lock);
	while (*at && *at != mine)
		at = &(*at)->next;
	if (*at)
		*at = mine->next;
	count_add_all(ended.n, mine->n, sizeof(mine->n));
	count_clear_all(mine->n, sizeof(mine->n));
	mine->joined = false;
	pthread_mutex_unlock(&lock);
}

static void make_key(void)
{
	/* Without one a thread's counts end with it, and its block must not be in the list. */
	if (pthread_key_create(&key, leave) != 0)
		key = (pthread_key_t)-1;
}

void tally_join(void)
{
	struct tally_block *mine = &tally_mine;

	pthread_once(&once, make_key);
	mine->joined = true;
	if (pthread_setspecific(key, mine) != 0)
		return;
	pthread_mutex_lock(&lock);
	mine->next = first;
	first = mine;
	pthread_mutex_unlock(&lock);
}

uint64_t tally_read(enum tally what)
{
	uint64_t sum;

	pthread_mutex_lock(&lock);
	sum = count_read(&ended.n[what]);
	for (const struct tally_block *b = first; b; b = b->next)
		sum += count_read(&b->n[what]);
	pthread_mutex_unlock(&lock);
	return sum;
}

void tally_metrics(struct metrics *m)
{
#define TALLY_ROW(name, in, with, text) {.family = (in), .labels = (with), .help = (text)},
	static const struct {
		const char *family, *labels, *help;
	} rows[TALLY_COUNT] = {TALLIES(TALLY_ROW)};
#undef TALLY_ROW

	for (unsigned int i = 0; i < TALLY_COUNT; i++) {
		if (i == 0 || strcmp(rows[i].family, rows[i - 1].family) != 0)
			metrics_family(m, rows[i].family, METRIC_COUNTER, rows[i].help);
		metrics_number(m, tally_read((enum tally)i), "%s", rows[i].labels);
	}
}
