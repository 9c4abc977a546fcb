// SPDX-License-Identifier: BSD-2-Clause

#include "frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

struct frame_head {
	uint8_t magic, type, stream, zero;
	uint32_t len;
};

_Static_assert(sizeof(struct frame_head) + sizeof(uint32_t) == FRAME_OVERHEAD, "frame layout");

int frame_put(
	struct bytes *out, enum frame_type type, unsigned int stream, const void *data, size_t len)
{
	struct frame_head h = {
		.magic = FRAME_MAGIC, .type = type, .stream = stream, .len = htole32(len)};
	uint32_t trailer = htole32(FRAME_TRAILER);
	size_t before = out->len;

	if (bytes_add(out, &h, sizeof(h)) || bytes_add(out, data, len) ||
		bytes_add(out, &trailer, sizeof(trailer))) {
		out->len = before;
		return -ENOMEM;
	}
	return 0;
}

int frame_put_u32(struct bytes *out, enum frame_type type, unsigned int stream, uint32_t value)
{
	uint32_t le = htole32(value);

	return frame_put(out, type, stream, &le, sizeof(le));
}

size_t frame_get(struct bytes *in, size_t max, struct frame *f)
{
	while (in->len) {
		const unsigned char *p = bytes_head(in);
		struct frame_head h;
		uint32_t trailer;
		size_t len;

		if (p[0] != FRAME_MAGIC) {
			bytes_drop(in, 1);
			continue;
		}
		if (in->len < sizeof(h))
			return 0;
		memcpy(&h, p, sizeof(h));
		len = le32toh(h.len);
		if (h.zero || h.type == FRAME_PAD || h.type >= FRAME_TYPES || len > max) {
			bytes_drop(in, 1);
			continue;
		}
		if (in->len < len + FRAME_OVERHEAD)
			return 0;
		memcpy(&trailer, p + sizeof(h) + len, sizeof(trailer));
		if (le32toh(trailer) != FRAME_TRAILER) {
			bytes_drop(in, len + FRAME_OVERHEAD);
			continue;
		}
		*f = (struct frame){
			.type = h.type, .stream = h.stream, .data = p + sizeof(h), .len = len};
		return len + FRAME_OVERHEAD;
	}
	return 0;
}

uint32_t frame_u32(const struct frame *f)
{
	uint32_t le;

	if (f->len < sizeof(le))
		return 0;
	memcpy(&le, f->data, sizeof(le));
	return le32toh(le);
}
