// SPDX-License-Identifier: BSD-2-Clause
/*
 * File contents that are kept: pages of PAGE_BYTES, of all files together as many as the option
 * cache-memory allows; those used longest ago go first.
 *
 * A page belongs to a node by its serial number, which no other node of the connection has or gets,
 * and to a generation of its data: the node's generation moves on when all of its data is to be
 * forgotten (node.h). Who forgets a part drops those pages. A page that is shorter than others says
 * that the file ended there.
 *
 * A page is filled by its maker alone, then published, and does not change any more. Readers hold
 * it while they copy.
 */
#ifndef CLIENT_PAGES_H
#define CLIENT_PAGES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/uses.h"
#include "mem/cursor.h"

#define PAGE_BYTES   65536u
#define PAGE_BUCKETS 4096

struct causeway;
struct fill;
struct node;

struct page {
	struct page *next; /* in its bucket */
	struct use use;
	uint64_t serial, generation, index;
	unsigned int refs; /* the table's among them */
	uint32_t len;
	char data[PAGE_BYTES];
};

struct pages {
	pthread_mutex_t lock;
	struct page *buckets[PAGE_BUCKETS];
	struct uses uses; /* of those in the table */
	size_t n; /* all that there are */
};

void pages_init(struct pages *pages);
void pages_destroy(struct pages *pages);

/* A page to be filled, or NULL where there is no room for one. */
struct page *page_new(struct causeway *c);

/* Makes a page known, if the node keeps what was read (node_keeps_data()). The caller keeps its
 * reference. */
void page_publish(struct causeway *c, struct node *node, struct page *page, struct fill *fill);
void page_put(struct causeway *c, struct page *page);

/* Copies what is known of a file from an offset on; how many bytes, and in *ends whether the file
 * ends there. */
size_t pages_copy(struct causeway *c, struct node *node, off_t offset, struct cursor *to,
	bool *ends);

/* Forgets all pages. */
void pages_clear(struct causeway *c);

/* Forgets a part of a node's data. */
void pages_drop(struct causeway *c, const struct node *node, off_t from, off_t to);

#endif
