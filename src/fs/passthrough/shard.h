/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map from what identifies an inode to its node, in parts with a lock each.
 */
#ifndef PASSTHROUGH_SHARD_H
#define PASSTHROUGH_SHARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct passthrough;
struct pt_node;

/* What makes an inode the same one while a descriptor holds it. */
struct pt_key {
	uint64_t mount;
	uint64_t dev;
	uint64_t ino;
};

#define PT_SHARDS 64

struct pt_shard {
	pthread_mutex_t lock;
	struct pt_node **buckets;
	size_t nbuckets; /* a power of two, or 0 */
	size_t count;
};

struct pt_key pt_key_of(const struct statx *attr);
uint64_t pt_key_hash(const struct pt_key *key);

/* Whether these are the attributes of the inode with a key. */
bool pt_has_key(const struct statx *attr, const struct pt_key *key);

/* Whether an inode with these attributes is on the device and mount of a node. */
bool pt_is_beside(const struct statx *attr, const struct pt_node *node);

/* The shard of a key's hash, and the one that a node is in. */
struct pt_shard *pt_shard_of(struct passthrough *pt, uint64_t hash);
struct pt_shard *pt_node_shard(struct passthrough *pt, const struct pt_node *node);

/* The lock of the shard is held in these. A node that is removed is found by nobody any more. */
struct pt_node *pt_shard_find(struct pt_shard *shard, uint64_t hash, const struct pt_key *key);
int pt_shard_insert(struct pt_shard *shard, uint64_t hash, struct pt_node *node);
void pt_shard_remove(struct pt_shard *shard, struct pt_node *node);

#endif
