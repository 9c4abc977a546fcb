// SPDX-License-Identifier: BSD-2-Clause
#include "client/pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "client/client.h"

static struct page **bucket(struct pages *pages, uint64_t serial, uint64_t index)
{
	return &pages->buckets[((serial * 0x9e3779b97f4a7c15ull + index) *
				       0x9e3779b97f4a7c15ull) >> 52];
}

static struct page **find(struct pages *pages, uint64_t serial, uint64_t index)
{
	struct page **at = bucket(pages, serial, index);

	while (*at && ((*at)->serial != serial || (*at)->index != index))
		at = &(*at)->next;
	return at;
}

static void unref(struct pages *pages, struct page *p)
{
	if (--p->refs > 0)
		return;
	pages->n--;
	free(p);
}

/* Nobody finds it any more. */
static void take_out(struct pages *pages, struct page **at)
{
	struct page *p = *at;

	*at = p->next;
	uses_remove(&pages->uses, &p->use);
	unref(pages, p);
}

static void take_out_oldest(struct pages *pages)
{
	struct page *p = container_of(pages->uses.oldest, struct page, use);

	take_out(pages, find(pages, p->serial, p->index));
}

void pages_init(struct pages *pages)
{
	memset(pages, 0, sizeof(*pages));
	pthread_mutex_init(&pages->lock, NULL);
}

void pages_destroy(struct pages *pages)
{
	for (struct use *u = pages->uses.newest, *older; u; u = older) {
		older = u->older;
		free(container_of(u, struct page, use));
	}
	pthread_mutex_destroy(&pages->lock);
}

struct page *page_new(struct causeway *c)
{
	struct pages *pages = &c->pages;
	size_t most = c->options.cache_memory / PAGE_BYTES;
	struct page *p = NULL;

	pthread_mutex_lock(&pages->lock);
	while (pages->n >= most && pages->uses.oldest)
		take_out_oldest(pages);
	/* Others hold them all. */
	if (pages->n < most)
		p = malloc(sizeof(*p));
	if (p) {
		pages->n++;
		p->refs = 1;
		p->len = 0;
	}
	pthread_mutex_unlock(&pages->lock);
	return p;
}

void page_publish(struct causeway *c, struct node *node, struct page *page, struct fill *fill)
{
	uint64_t tail = page->len < PAGE_BYTES ? page->index + 1 : 0;
	struct pages *pages = &c->pages;
	struct page **at;

	pthread_mutex_lock(&pages->lock);
	if (node_keeps_data(c, node, fill, tail)) {
		page->serial = node->serial;
		page->generation = fill->generation;
		at = find(pages, page->serial, page->index);
		if (*at)
			take_out(pages, at);
		at = bucket(pages, page->serial, page->index);
		page->next = *at;
		*at = page;
		page->refs++;
		uses_add(&pages->uses, &page->use);
	}
	pthread_mutex_unlock(&pages->lock);
}

void page_put(struct causeway *c, struct page *page)
{
	pthread_mutex_lock(&c->pages.lock);
	unref(&c->pages, page);
	pthread_mutex_unlock(&c->pages.lock);
}

/* A page that is still good, referenced, or NULL. */
static struct page *get(struct causeway *c, struct node *node, uint64_t index)
{
	struct pages *pages = &c->pages;
	struct page **at, *p = NULL;

	pthread_mutex_lock(&pages->lock);
	at = find(pages, node->serial, index);
	if (*at && !node_has_data(c, node, (*at)->generation)) {
		take_out(pages, at);
	} else if (*at) {
		p = *at;
		p->refs++;
		uses_remove(&pages->uses, &p->use);
		uses_add(&pages->uses, &p->use);
	}
	pthread_mutex_unlock(&pages->lock);
	return p;
}

size_t pages_copy(struct causeway *c, struct node *node, off_t offset, struct cursor *to,
	bool *ends)
{
	size_t done = 0;

	*ends = false;
	while (to->left > 0 && !*ends) {
		uint64_t at = (uint64_t)offset + done;
		uint32_t within = at % PAGE_BYTES;
		struct page *p = get(c, node, at / PAGE_BYTES);

		if (!p)
			break;
		if (within < p->len)
			done += cursor_write(to, p->data + within, p->len - within);
		*ends = p->len < PAGE_BYTES;
		page_put(c, p);
	}
	return done;
}

void pages_drop(struct causeway *c, const struct node *node, off_t from, off_t to)
{
	struct pages *pages = &c->pages;

	if (to <= from)
		return;
	pthread_mutex_lock(&pages->lock);
	for (uint64_t i = (uint64_t)from / PAGE_BYTES; i <= ((uint64_t)to - 1) / PAGE_BYTES; i++) {
		struct page **at = find(pages, node->serial, i);

		if (*at)
			take_out(pages, at);
	}
	pthread_mutex_unlock(&pages->lock);
}

void pages_clear(struct causeway *c)
{
	struct pages *pages = &c->pages;

	pthread_mutex_lock(&pages->lock);
	while (pages->uses.oldest)
		take_out_oldest(pages);
	pthread_mutex_unlock(&pages->lock);
}
