// SPDX-License-Identifier: BSD-2-Clause
/*
 * Indirect tables of both formats.
 */
#include "mem/cursor.h"
#include "virtq/formats.h"

int gather_table(struct virtq *vq, const struct gather *g, uint64_t gpa, uint32_t len)
{
	struct iovec *iov = vq->iov + g->iovs;
	struct cursor c;
	int n;

	/* Descriptors of both formats have one size. */
	if (len == 0 || len % sizeof(struct ring_desc) != 0)
		return virtq_break(vq, "an indirect table has a bad length");
	if (len / sizeof(struct ring_desc) > vq->room)
		return virtq_break(vq, "an indirect table is too long");
	n = mem_translate(vq->mem, gpa, len, iov, (int)(vq->room + IOV_SLACK - g->iovs));
	if (n < 0)
		return virtq_break(vq, "an indirect table is outside memory");
	vq->last.table = iov->iov_base;
	c = cursor_over(iov, len);
	cursor_read(&c, vq->table, len);
	return (int)(len / sizeof(struct ring_desc));
}
