// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names of extended attributes, as the guest and as the host has them (--xattrmap).
 *
 * A map is a list of rules in virtiofsd's language, with white space between them. The first
 * character of a rule separates its fields, here ':':
 *
 *   :TYPE:SCOPE:KEY:PREPEND:   TYPE prefix, ok, bad, unsupported; SCOPE client, server, all
 *   :map:KEY:PREPEND:          the last rule, short for those that keep the guest's attributes that
 *                              start with KEY under PREPEND on the host
 *
 * The first rule counts whose KEY a name of the guest starts with (scope client), or whose PREPEND
 * a name of the host (scope server); for each name there must be one.
 */
#ifndef PASSTHROUGH_XATTRMAP_H
#define PASSTHROUGH_XATTRMAP_H

#include <linux/limits.h>
#include <stddef.h>

struct xattrmap;

struct xattrmap_name {
	char s[XATTR_NAME_MAX + 1];
};

/* Reads a map, which the caller frees. 0, or -1 with one line in error that names the rule. */
int xattrmap_parse(const char *text, struct xattrmap **map, char *error, size_t size);
void xattrmap_free(struct xattrmap *map);

/* The host's name for one of the guest: 0, -EPERM, -EOPNOTSUPP, -ERANGE where it gets too long. */
int xattrmap_client(const struct xattrmap *map, const char *name, struct xattrmap_name *host);

/* The guest's name for one of the host, a part of it; NULL where the guest sees none. */
const char *xattrmap_server(const struct xattrmap *map, const char *name);

#endif
