// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guest memory in the program's hands: buffers that data need not be copied from or to, and what
 * was read, lent where it is. The back-end sees all of it, at any time, and may write to it.
 */
#include <errno.h>
#include <limits.h>

#include "base/util.h"
#include "client/file.h"

static void *take_pages(struct causeway *c, size_t size)
{
	void *p;
	int r = c->connected ? arena_alloc(&c->t.arena, size, false, &p) : -ENOTCONN;

	if (r == 0)
		return p;
	client_fail(c, r, r == -ENOTCONN ? "not connected" :
			"there are no %zu bytes of guest memory to have; see the option 'memory'",
		size);
	errno = -r;
	return NULL;
}

EXPORT void *causeway_buffer_alloc(struct causeway *c, size_t size)
{
	return take_pages(c, size);
}

EXPORT void causeway_buffer_free(struct causeway *c, void *buffer, size_t size)
{
	if (buffer)
		arena_free(&c->t.arena, buffer, size, false);
}

EXPORT ssize_t causeway_pread_lent(struct causeway_file *f, size_t size, off_t offset,
	struct causeway_lent *lent)
{
	ssize_t n;
	void *p;

	*lent = (struct causeway_lent){.data = NULL};
	size = min_t(size_t, size, f->c->session.max_data);
	p = take_pages(f->c, size);
	if (!p)
		return -errno;
	n = causeway_pread(f, p, size, offset);
	if (n <= 0) {
		arena_free(&f->c->t.arena, p, size, false);
		return n;
	}
	*lent = (struct causeway_lent){.data = p, .size = (size_t)n, .room = size};
	return n;
}

EXPORT void causeway_release(struct causeway *c, struct causeway_lent *lent)
{
	if (lent->data)
		arena_free(&c->t.arena, (void *)lent->data, lent->room, false);
	lent->data = NULL;
}
