// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/shard.h"

#include <errno.h>

#include "fs/passthrough/pt.h"

#define FIRST_BUCKETS 16

struct pt_key pt_key_of(const struct statx *attr)
{
	return (struct pt_key){
		.mount = attr->stx_mnt_id,
		.dev = (uint64_t)attr->stx_dev_major << 32 | attr->stx_dev_minor,
		.ino = attr->stx_ino,
	};
}

bool pt_is_beside(const struct statx *attr, const struct pt_node *node)
{
	struct pt_key key = pt_key_of(attr);

	return key.mount == node->key.mount && key.dev == node->key.dev;
}

uint64_t pt_key_hash(const struct pt_key *key)
{
	uint64_t h = key->ino * 0x9e3779b97f4a7c15ull;

	h = (h ^ h >> 32 ^ key->dev) * 0x9e3779b97f4a7c15ull;
	return (h ^ h >> 32 ^ key->mount) * 0x9e3779b97f4a7c15ull;
}

static bool same_key(const struct pt_key *a, const struct pt_key *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->mount == b->mount;
}

/* The shard comes from the top bits of the hash, the bucket from those below. */
struct pt_shard *pt_shard_of(struct passthrough *pt, uint64_t hash)
{
	return &pt->shards[hash >> 58];
}

struct pt_shard *pt_node_shard(struct passthrough *pt, const struct pt_node *node)
{
	return pt_shard_of(pt, pt_key_hash(&node->key));
}

bool pt_has_key(const struct statx *attr, const struct pt_key *key)
{
	struct pt_key its = pt_key_of(attr);

	return same_key(&its, key);
}

static struct pt_node **bucket_of(struct pt_shard *shard, uint64_t hash)
{
	return &shard->buckets[hash >> 26 & (shard->nbuckets - 1)];
}

/* Doubles the buckets; without memory, chains get longer instead. */
static void grow(struct pt_shard *shard)
{
	struct pt_shard bigger = {
		.nbuckets = shard->nbuckets ? shard->nbuckets * 2 : FIRST_BUCKETS};

	bigger.buckets = calloc(bigger.nbuckets, sizeof(struct pt_node *));
	if (!bigger.buckets)
		return;
	for (size_t i = 0; i < shard->nbuckets; i++) {
		struct pt_node *next;

		for (struct pt_node *node = shard->buckets[i]; node; node = next) {
			struct pt_node **bucket = bucket_of(&bigger, pt_key_hash(&node->key));

			next = node->next;
			node->next = *bucket;
			*bucket = node;
		}
	}
	free(shard->buckets);
	shard->buckets = bigger.buckets;
	shard->nbuckets = bigger.nbuckets;
}

struct pt_node *pt_shard_find(struct pt_shard *shard, uint64_t hash, const struct pt_key *key)
{
	struct pt_node *node = shard->nbuckets ? *bucket_of(shard, hash) : NULL;

	while (node && !same_key(&node->key, key))
		node = node->next;
	return node;
}

int pt_shard_insert(struct pt_shard *shard, uint64_t hash, struct pt_node *node)
{
	struct pt_node **bucket;

	if (shard->count >= shard->nbuckets)
		grow(shard);
	if (shard->nbuckets == 0)
		return -ENOMEM;
	bucket = bucket_of(shard, hash);
	node->next = *bucket;
	*bucket = node;
	shard->count++;
	return 0;
}

void pt_shard_remove(struct pt_shard *shard, struct pt_node *node)
{
	struct pt_node **p = bucket_of(shard, pt_key_hash(&node->key));

	while (*p != node)
		p = &(*p)->next;
	*p = node->next;
	shard->count--;
}
