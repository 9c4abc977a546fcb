// SPDX-License-Identifier: BSD-2-Clause
/* The options of the version table. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/parse.h"
#include "proto/version_table.h"

int set_version_table(struct parse *p, const char *arg)
{
	size_t len = strlen(arg);

	if (len == 0 || arg[len - 1] == '/')
		return fail(p, "--version-table: '%s' is not the name of a file; memfd stands for "
			       "memory of this server alone", arg);
	p->o->version_table = arg;
	return 0;
}

int set_version_slots(struct parse *p, const char *arg)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(arg, &end, 10);
	if (errno || *arg < '0' || *arg > '9' || *end || !vt_are_slots(n))
		return fail(p, "--version-slots: '%s' is not a power of two from 1 to %llu", arg,
			VT_SLOTS_MAX);
	p->o->version_slots = n;
	return 0;
}

int check_version(struct parse *p)
{
	struct options *o = p->o;

	if (o->version_slots && !o->version_table)
		return fail(p, "--version-slots needs --version-table: slots of which table?");
	if (!o->version_table)
		return 0;
	/* In there, FILE is somebody else's. */
	if (strcmp(o->version_table, "memfd") != 0 &&
		(o->isolation.uid_map.n || o->isolation.gid_map.n))
		return fail(p, "--version-table FILE and --%s exclude each other: with other ids, "
			       "no new table could take FILE's place; memfd goes",
			o->isolation.uid_map.n ? "uid-map" : "gid-map");
	o->isolation.versions = true;
	return 0;
}
