// SPDX-License-Identifier: BSD-2-Clause
#include "client/arena.h"

#include <errno.h>
#include <stdlib.h>

#define WORD 64u

static size_t pages_of(size_t bytes)
{
	return bytes ? (bytes + ARENA_PAGE - 1) / ARENA_PAGE : 1;
}

int arena_init(struct arena *a, void *base, size_t bytes)
{
	*a = (struct arena){.base = base, .pages = bytes / ARENA_PAGE};
	a->bits = calloc((a->pages + WORD - 1) / WORD, sizeof(*a->bits));
	if (!a->bits)
		return -ENOMEM;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->freed, NULL);
	return 0;
}

void arena_destroy(struct arena *a)
{
	if (!a->bits)
		return;
	free(a->bits);
	a->bits = NULL;
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->freed);
}

static bool in_use(const struct arena *a, size_t page)
{
	return a->bits[page / WORD] >> page % WORD & 1;
}

/* Finds n free pages in a row within [from, to), or returns to. */
static size_t find_run(const struct arena *a, size_t from, size_t to, size_t n)
{
	size_t run = 0;

	for (size_t i = from; i < to; i++) {
		if (i % WORD == 0 && a->bits[i / WORD] == UINT64_MAX) {
			run = 0;
			i += WORD - 1;
			continue;
		}
		run = in_use(a, i) ? 0 : run + 1;
		if (run == n)
			return i + 1 - n;
	}
	return to;
}

static void mark(struct arena *a, size_t page, size_t n)
{
	for (size_t i = page; i < page + n; i++)
		a->bits[i / WORD] ^= 1ull << i % WORD;
}

int arena_alloc(struct arena *a, size_t bytes, bool passing, void **p)
{
	size_t n = pages_of(bytes), at;
	int r = 0;

	if (n > a->pages)
		return -EMSGSIZE;
	pthread_mutex_lock(&a->lock);
	for (;;) {
		at = find_run(a, a->hint, a->pages, n);
		if (at == a->pages)
			at = find_run(a, 0, a->pages, n);
		if (at < a->pages)
			break;
		if (a->passing == 0) {
			r = -ENOBUFS;
			break;
		}
		a->waiting++;
		pthread_cond_wait(&a->freed, &a->lock);
		a->waiting--;
	}
	if (r == 0) {
		mark(a, at, n);
		a->hint = at + n;
		a->passing += passing;
		*p = a->base + at * ARENA_PAGE;
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}

void arena_free(struct arena *a, void *p, size_t bytes, bool passing)
{
	size_t at = (size_t)((char *)p - a->base) / ARENA_PAGE;

	pthread_mutex_lock(&a->lock);
	mark(a, at, pages_of(bytes));
	/* What was used last is warm. */
	a->hint = at;
	a->passing -= passing;
	if (a->waiting)
		pthread_cond_broadcast(&a->freed);
	pthread_mutex_unlock(&a->lock);
}

bool arena_holds(const struct arena *a, const void *p, size_t bytes)
{
	uintptr_t at = (uintptr_t)p - (uintptr_t)a->base, size = a->pages * ARENA_PAGE;

	return at <= size && bytes <= size - at;
}
