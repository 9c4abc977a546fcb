// SPDX-License-Identifier: BSD-2-Clause
//
// A growing queue of bytes: added at the end, dropped from the front. Zero-initialised is empty.

#ifndef CAUSEWAY_TOOLS_BYTES_H
#define CAUSEWAY_TOOLS_BYTES_H

#include <stddef.h>

struct bytes {
	unsigned char *data; // the queue starts at data + start
	size_t start, len, cap;
};

static inline unsigned char *bytes_head(const struct bytes *b)
{
	return b->data + b->start;
}

// Appends n bytes at p; 0 or -ENOMEM.
int bytes_add(struct bytes *b, const void *p, size_t n);

// Drops the first n bytes (n <= len).
void bytes_drop(struct bytes *b, size_t n);

void bytes_free(struct bytes *b);

#endif
