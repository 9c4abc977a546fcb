// SPDX-License-Identifier: BSD-2-Clause
/*
 * A cursor over the scattered bytes of a request or a reply, as mem_translate() found them.
 *
 * Bytes are taken from the front, once: copied out (cursor_read), filled in (cursor_write), or
 * lent to a system call as iovecs (cursor_lend). What was taken is never looked at again, so
 * nothing a guest changes meanwhile is read twice.
 *
 * Bytes behind a certain one may be in memory that can vanish (mem.h, files of ours): they can be
 * lent. Where they are to be copied, zeros are read, what is written is dropped, and it is noted.
 */
#ifndef MEM_CURSOR_H
#define MEM_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct cursor {
	const struct iovec *iov; /* the current piece */
	size_t skip;             /* bytes of it already taken */
	size_t left;             /* bytes in all pieces that are not taken yet */
	size_t lent_only;        /* so many at the end of all may only be lent, */
	bool *strayed;           /* and this is set where one of them was to be copied */
};

/* Starts over pieces that hold len bytes together. */
static inline struct cursor cursor_over(const struct iovec *iov, size_t len)
{
	return (struct cursor){.iov = iov, .left = len};
}

/* Copies up to len bytes out of, or into, the pieces; returns how many there were. */
size_t cursor_read(struct cursor *c, void *dst, size_t len);
size_t cursor_write(struct cursor *c, const void *src, size_t len);

/* Passes over up to len bytes; returns how many there were. */
size_t cursor_skip(struct cursor *c, size_t len);

/* Takes up to len bytes as at most room iovecs. Returns how many iovecs; *taken says how many
 * bytes, fewer than len when the pieces or the room run out. */
int cursor_lend(struct cursor *c, size_t len, struct iovec *out, int room, size_t *taken);

#endif
