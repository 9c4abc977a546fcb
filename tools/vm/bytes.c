// SPDX-License-Identifier: BSD-2-Clause

#include "bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int bytes_add(struct bytes *b, const void *p, size_t n)
{
	if (b->start && b->start + b->len + n > b->cap) {
		memmove(b->data, bytes_head(b), b->len);
		b->start = 0;
	}
	if (b->start + b->len + n > b->cap) {
		size_t cap = (b->len + n) * 2 + 4096;
		unsigned char *data = realloc(b->data, cap);

		if (!data)
			return -ENOMEM;
		b->data = data;
		b->cap = cap;
	}
	if (n)
		memcpy(bytes_head(b) + b->len, p, n);
	b->len += n;
	return 0;
}

void bytes_drop(struct bytes *b, size_t n)
{
	b->start += n;
	b->len -= n;
	if (!b->len)
		b->start = 0;
}

void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){0};
}
