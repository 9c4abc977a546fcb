// SPDX-License-Identifier: BSD-2-Clause
#include "mem/cursor.h"

#include <string.h>

#include "base/util.h"

/* The next contiguous run, at most len bytes; there is one as long as bytes are left. */
static size_t next_run(struct cursor *c, size_t len, char **run)
{
	size_t piece;

	while (c->skip == c->iov->iov_len) {
		c->iov++;
		c->skip = 0;
	}
	piece = min_t(size_t, len, c->iov->iov_len - c->skip);
	*run = (char *)c->iov->iov_base + c->skip;
	c->skip += piece;
	c->left -= piece;
	return piece;
}

/* How many of the next len bytes may be copied; notes it where that is not all. */
static size_t copyable(const struct cursor *c, size_t len)
{
	size_t plain = c->left > c->lent_only ? c->left - c->lent_only : 0;

	if (__builtin_expect(len <= plain, 1))
		return len;
	*c->strayed = true;
	return plain;
}

size_t cursor_read(struct cursor *c, void *dst, size_t len)
{
	size_t done = 0, plain;

	len = min_t(size_t, len, c->left);
	plain = copyable(c, len);
	while (done < plain) {
		char *run;
		size_t piece = next_run(c, plain - done, &run);

		memcpy((char *)dst + done, run, piece);
		done += piece;
	}
	if (plain < len) {
		memset((char *)dst + plain, 0, len - plain);
		cursor_skip(c, len - plain);
	}
	return len;
}

size_t cursor_write(struct cursor *c, const void *src, size_t len)
{
	size_t done = 0, plain;

	len = min_t(size_t, len, c->left);
	plain = copyable(c, len);
	while (done < plain) {
		char *run;
		size_t piece = next_run(c, plain - done, &run);

		memcpy(run, (const char *)src + done, piece);
		done += piece;
	}
	cursor_skip(c, len - plain);
	return len;
}

size_t cursor_skip(struct cursor *c, size_t len)
{
	size_t done = 0;

	len = min_t(size_t, len, c->left);
	while (done < len) {
		char *run;

		done += next_run(c, len - done, &run);
	}
	return len;
}

int cursor_lend(struct cursor *c, size_t len, struct iovec *out, int room, size_t *taken)
{
	int n = 0;

	*taken = 0;
	len = min_t(size_t, len, c->left);
	while (*taken < len && n < room) {
		char *run;
		size_t piece = next_run(c, len - *taken, &run);

		out[n++] = (struct iovec){.iov_base = run, .iov_len = piece};
		*taken += piece;
	}
	return n;
}
