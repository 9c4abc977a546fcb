// SPDX-License-Identifier: BSD-2-Clause
#include "coherence/hash.h"

#include <string.h>

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static inline void rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

static void absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	rounds(v, 2);
	v[0] ^= word;
}

static uint64_t word_at(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/* Fewer than eight bytes, by loads that may overlap. */
static uint64_t rest_at(const uint8_t *p, size_t len)
{
	uint32_t low, high;

	if (len == 0)
		return 0;
	if (len < sizeof(low))
		return p[0] | (uint64_t)p[len / 2] << 8 * (len / 2) |
			(uint64_t)p[len - 1] << 8 * (len - 1);
	memcpy(&low, p, sizeof(low));
	memcpy(&high, p + len - sizeof(high), sizeof(high));
	return low | (uint64_t)high << 8 * (len - sizeof(high));
}

void hash_begin(struct hash_begun *h, const uint8_t key[HASH_KEY_SIZE])
{
	uint64_t k0 = word_at(key), k1 = word_at(key + 8);

	*h = (struct hash_begun){
		.v = {
			k0 ^ 0x736f6d6570736575ull,
			k1 ^ 0x646f72616e646f6dull,
			k0 ^ 0x6c7967656e657261ull,
			k1 ^ 0x7465646279746573ull,
		},
	};
}

void hash_word(struct hash_begun *h, uint64_t word)
{
	absorb(h->v, word);
	h->len += sizeof(word);
}

uint64_t hash_end(const struct hash_begun *h, const void *rest, size_t len)
{
	uint64_t v[4] = {h->v[0], h->v[1], h->v[2], h->v[3]};
	const uint8_t *p = rest;
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8)
		absorb(v, word_at(p));
	absorb(v, rest_at(p, left) | (uint64_t)(h->len + len) << 56);
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_siphash(const uint8_t key[HASH_KEY_SIZE], const void *data, size_t len)
{
	struct hash_begun h;

	hash_begin(&h, key);
	return hash_end(&h, data, len);
}
