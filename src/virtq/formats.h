// SPDX-License-Identifier: BSD-2-Clause
/*
 * Between the files of this folder: what each format does for virtq.h (split.c, packed.c), and how
 * both collect the buffers of a chain (here and in gather.c).
 */
#ifndef VIRTQ_FORMATS_H
#define VIRTQ_FORMATS_H

#include <errno.h>

#include "virtq/virtq.h"

/* The ring areas are shared with the driver: every access is one load or one store. */
#define shared_load(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define shared_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

/* iovecs beyond one for each descriptor, for buffers that cross from one region to the next. */
#define IOV_SLACK 64

/* What a chain has gathered so far. */
struct gather {
	struct virtq_chain *chain;
	unsigned int iovs; /* used of vq->iov */
	unsigned int in_iovs;
};

/* Adds a buffer. -errno when the queue broke. Inline: it runs for each descriptor. */
static inline int gather_buffer(struct virtq *vq, struct gather *g, uint64_t gpa, uint32_t len,
	bool writable)
{
	bool own = false;
	int n;

	if (!writable && g->chain->out_len > 0)
		return virtq_break(vq, "a readable descriptor follows a writable one");
	n = mem_translate_any(vq->mem, gpa, len, vq->iov + g->iovs,
		(int)(vq->room + IOV_SLACK - g->iovs), &own);
	if (n == -EFAULT)
		return virtq_break(vq, "a descriptor points outside memory");
	if (n < 0)
		return virtq_break(vq, "a chain has too many pieces");
	g->iovs += (unsigned int)n;
	if (writable) {
		g->chain->out_len += len;
		if (own || g->chain->out_lent > 0)
			g->chain->out_lent += len;
	} else {
		g->chain->in_len += len;
		g->in_iovs = g->iovs;
		if (own || g->chain->in_lent > 0)
			g->chain->in_lent += len;
	}
	return 0;
}

/* Copies an indirect table to vq->table, so that the driver cannot change it between check and
 * use. Returns how many descriptors it has, or -errno when the queue broke. */
int gather_table(struct virtq *vq, const struct gather *g, uint64_t gpa, uint32_t len);

/* The chain is whole. */
static inline void gather_end(struct virtq *vq, const struct gather *g)
{
	g->chain->in = vq->iov;
	g->chain->out = vq->iov + g->in_iovs;
	g->chain->strayed = &vq->strayed;
}

int split_resolve(struct virtq *vq);
int split_pop(struct virtq *vq, struct virtq_chain *chain);
bool split_pending(const struct virtq *vq);
unsigned int split_waiting(const struct virtq *vq);
void split_push(struct virtq *vq, uint16_t head, uint32_t len);
bool split_publish(struct virtq *vq);
void split_want_kicks(struct virtq *vq);
void split_refuse_kicks(struct virtq *vq);

bool packed_is_base(const struct virtq *vq, uint32_t base);
void packed_rewind(struct virtq *vq, uint32_t base);
uint32_t packed_base(const struct virtq *vq);
int packed_resolve(struct virtq *vq);
int packed_pop(struct virtq *vq, struct virtq_chain *chain);
bool packed_pending(const struct virtq *vq);
unsigned int packed_waiting(const struct virtq *vq);
void packed_push(struct virtq *vq, uint16_t id, uint32_t len);
bool packed_publish(struct virtq *vq);
void packed_want_kicks(struct virtq *vq);
void packed_refuse_kicks(struct virtq *vq);

#endif
