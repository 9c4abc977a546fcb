// SPDX-License-Identifier: BSD-2-Clause
/*
 * What both formats share, and the choice between them.
 */
#include "virtq/virtq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "virtq/formats.h"

int virtq_break(struct virtq *vq, const char *rule)
{
	vq->broken = -EINVAL;
	vq->broken_by = rule;
	return vq->broken;
}

static bool is_size(const struct virtq *vq, unsigned int size)
{
	return size >= RING_SIZE_MIN && size <= RING_SIZE_MAX &&
		(vq->packed || (size & (size - 1)) == 0);
}

void virtq_set_packed(struct virtq *vq, bool packed)
{
	if (vq->packed == packed)
		return;
	vq->packed = packed;
	virtq_rewind(vq, packed ? VIRTQ_BASE_PACKED : VIRTQ_BASE_SPLIT);
}

static void free_scratch(struct virtq *vq)
{
	free(vq->table);
	free(vq->iov);
	free(vq->lengths);
}

int virtq_set_size(struct virtq *vq, unsigned int size)
{
	if (!is_size(vq, size))
		return -EINVAL;
	free_scratch(vq);
	vq->size = size;
	vq->resolved = false;
	vq->room = max_t(unsigned int, size, VIRTQ_CHAIN_MIN);
	vq->table = calloc(vq->room, sizeof(struct ring_desc));
	vq->iov = calloc(vq->room + IOV_SLACK, sizeof(*vq->iov));
	vq->lengths = calloc(size, sizeof(*vq->lengths));
	return vq->table && vq->iov && vq->lengths ? 0 : -ENOMEM;
}

void virtq_reset(struct virtq *vq)
{
	struct mem *mem = vq->mem;

	free_scratch(vq);
	*vq = (struct virtq){.mem = mem};
}

bool virtq_is_base(const struct virtq *vq, uint32_t base)
{
	return vq->packed ? packed_is_base(vq, base) : base <= UINT16_MAX;
}

void virtq_rewind(struct virtq *vq, uint32_t base)
{
	vq->resolved = false;
	vq->called = false;
	vq->strayed = false;
	vq->broken = 0;
	if (vq->packed)
		packed_rewind(vq, base);
	else
		vq->next_avail = (uint16_t)base;
}

uint32_t virtq_base(const struct virtq *vq)
{
	return vq->packed ? packed_base(vq) : vq->next_avail;
}

int virtq_resolve(struct virtq *vq)
{
	int r;

	if (!is_size(vq, vq->size) || !vq->iov || !vq->table || !vq->lengths)
		return virtq_break(vq, "it has no size, or one that its format cannot have");
	if (!virtq_is_base(vq, virtq_base(vq)))
		return virtq_break(vq, "its base is beyond its size");
	r = vq->packed ? packed_resolve(vq) : split_resolve(vq);
	if (r < 0) {
		virtq_break(vq, "its areas are not in memory, or misaligned");
		return r;
	}
	vq->resolved = true;
	return 0;
}

bool virtq_pending(const struct virtq *vq)
{
	return !vq->broken && (vq->packed ? packed_pending(vq) : split_pending(vq));
}

unsigned int virtq_waiting(const struct virtq *vq)
{
	if (vq->broken)
		return 0;
	return vq->packed ? packed_waiting(vq) : split_waiting(vq);
}

int virtq_pop(struct virtq *vq, struct virtq_chain *chain)
{
	if (vq->broken)
		return vq->broken;
	return vq->packed ? packed_pop(vq, chain) : split_pop(vq, chain);
}

int virtq_check_strayed(struct virtq *vq)
{
	if (!vq->strayed)
		return 0;
	return virtq_break(vq, "what is copied of a chain is in a mapped file");
}

void virtq_push(struct virtq *vq, uint16_t head, uint32_t len)
{
	if (vq->packed)
		packed_push(vq, head, len);
	else
		split_push(vq, head, len);
}

bool virtq_publish(struct virtq *vq)
{
	return vq->packed ? packed_publish(vq) : split_publish(vq);
}

void virtq_want_kicks(struct virtq *vq)
{
	if (vq->packed)
		packed_want_kicks(vq);
	else
		split_want_kicks(vq);
	/* The driver writes a chain, then looks at what we asked for; we do the reverse. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void virtq_refuse_kicks(struct virtq *vq)
{
	if (vq->packed)
		packed_refuse_kicks(vq);
	else
		split_refuse_kicks(vq);
}
