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

#endif
