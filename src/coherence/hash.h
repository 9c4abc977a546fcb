// SPDX-License-Identifier: BSD-2-Clause
/*
 * SipHash-2-4 (Aumasson and Bernstein): a hash that nobody can aim without its key. Guests name
 * files; without the key they cannot choose names whose slots another one's names have too.
 */
#ifndef COHERENCE_HASH_H
#define COHERENCE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_KEY_SIZE 16

uint64_t hash_siphash(const uint8_t key[HASH_KEY_SIZE], const void *data, size_t len);

/* The same piece by piece: whole words (of eight bytes, in the machine's order) first, then all
 * that is left. What has begun stays as it is, for other ends. */
struct hash_begun {
	uint64_t v[4];
	size_t len; /* bytes so far */
};

void hash_begin(struct hash_begun *h, const uint8_t key[HASH_KEY_SIZE]);
void hash_word(struct hash_begun *h, uint64_t word);
uint64_t hash_end(const struct hash_begun *h, const void *rest, size_t len);

#endif
