// SPDX-License-Identifier: BSD-2-Clause
/*
 * Translation of user or group ids between a guest and the host: --translate-uid, --translate-gid.
 *
 * A map is made of rules, as virtiofsd takes them. Each translates a range of ids in one direction,
 * or in both:
 *
 *   guest:GUEST:HOST:COUNT         guest ids to as many host ids
 *   host:HOST:GUEST:COUNT          host ids to as many guest ids
 *   map:GUEST:HOST:COUNT           both
 *   squash-guest:GUEST:HOST:COUNT  guest ids to the one host id
 *   squash-host:HOST:GUEST:COUNT   host ids to the one guest id
 *   forbid-guest:GUEST:COUNT       guest ids that nothing may belong to
 *
 * Ids that no rule names stay as they are, -1 always does. The directions need not agree. The ids
 * of a request are translated once, before its handler sees them (dispatch.c, op_attr.c), those
 * of attributes when the reply is built (reply.c): the file system knows ids of the host only.
 */
#ifndef FUSE_IDMAP_H
#define FUSE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap;

/* Adds a rule, whose text must outlive the map; *map is made where it is NULL. 0, or -1 and a line
 * in error: the rule is none, or translates what another one does. */
int idmap_add(struct idmap **map, const char *rule, char *error, size_t size);
void idmap_free(struct idmap *map);

/* A guest's id as the host's: 0, or -EPERM where it is forbidden. NULL changes nothing. */
int idmap_to_host(const struct idmap *map, uint32_t *id);

/* A host's id as the guest's. NULL changes nothing. */
uint32_t idmap_to_guest(const struct idmap *map, uint32_t id);

#endif
