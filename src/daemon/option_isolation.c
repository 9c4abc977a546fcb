// SPDX-License-Identifier: BSD-2-Clause
/* The options of isolation.h, with virtiofsd's words. */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "daemon/parse.h"
#include "daemon/stages.h"

int one_of(struct parse *p, const char *arg, const char *const *words, size_t n)
{
	char all[80] = "";
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(arg, words[i]) == 0)
			return (int)i;
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "",
			words[i]);
	}
	return fail(p, "--%s: '%s' is none of %s", p->name, arg, all);
}

static const char *const sandboxes[] = {
	[SANDBOX_NAMESPACE] = "namespace",
	[SANDBOX_CHROOT] = "chroot",
	[SANDBOX_NONE] = "none",
};

int set_sandbox(struct parse *p, const char *arg)
{
	int which = one_of(p, arg, sandboxes, ARRAY_SIZE(sandboxes));

	if (which < 0)
		return which;
	p->o->isolation.sandbox = (enum sandbox)which;
	return 0;
}

int set_seccomp(struct parse *p, const char *arg)
{
	static const char *const words[] = {
		[SECCOMP_KILL] = "kill",
		[SECCOMP_LOG] = "log",
		[SECCOMP_TRAP] = "trap",
		[SECCOMP_NONE] = "none",
	};
	int which = one_of(p, arg, words, ARRAY_SIZE(words));

	if (which < 0)
		return which;
	p->o->isolation.seccomp = (enum seccomp_mode)which;
	return 0;
}

/* +NAME:-NAME...; the last word about a capability counts. */
int set_modcaps(struct parse *p, const char *arg)
{
	struct isolation *i = &p->o->isolation;
	const char *at = arg;

	i->caps_added = i->caps_dropped = 0;
	for (;;) {
		size_t len = strcspn(at, ":");
		uint64_t bit = len > 1 ? capability_bit(at + 1, len - 1) : 0;

		if (*at != '+' && *at != '-')
			return fail(p, "--modcaps: '%.*s' begins with neither '+' nor '-'",
				(int)len, at);
		if (bit == 0)
			return fail(p, "--modcaps: '%.*s': there is no such capability; "
				"capabilities(7) has their names, here without CAP_", (int)len, at);
		i->caps_added = *at == '+' ? i->caps_added | bit : i->caps_added & ~bit;
		i->caps_dropped = *at == '-' ? i->caps_dropped | bit : i->caps_dropped & ~bit;
		if (at[len] == '\0')
			return 0;
		at += len + 1;
	}
}

/* Three numbers, each followed by the character that the whole begins with. */
static int parse_range(const char *arg, struct id_range *range)
{
	uint32_t *const fields[] = {&range->inside, &range->outside, &range->count};
	const char *at = arg + 1;

	if (*arg == '\0' || (*arg >= '0' && *arg <= '9'))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		unsigned long long n;
		char *end;

		if (*at < '0' || *at > '9')
			return -1;
		errno = 0;
		n = strtoull(at, &end, 10);
		if (errno || *end != *arg || n > UINT32_MAX)
			return -1;
		*fields[i] = (uint32_t)n;
		at = end + 1;
	}
	return *at == '\0' ? 0 : -1;
}

static bool overlap(uint32_t a, uint32_t b, uint32_t a_count, uint32_t b_count)
{
	return a < (uint64_t)b + b_count && b < (uint64_t)a + a_count;
}

static int add_range(struct parse *p, struct id_map *map, const char *arg)
{
	struct id_range r;

	if (parse_range(arg, &r) < 0)
		return fail(p, "--%s: '%s' is not :INSIDE:OUTSIDE:COUNT:, as in :0:100000:65536:",
			p->name, arg);
	/* The last number, -1, is no id. */
	if (r.count == 0 || UINT32_MAX - r.inside < r.count || UINT32_MAX - r.outside < r.count)
		return fail(p, "--%s: '%s' has no ids, or more than there are", p->name, arg);
	if (map->n == ID_RANGES_MAX)
		return fail(p, "--%s: given more than %d times", p->name, ID_RANGES_MAX);
	for (size_t i = 0; i < map->n; i++) {
		const struct id_range *other = &map->ranges[i];

		if (overlap(r.inside, other->inside, r.count, other->count) ||
			overlap(r.outside, other->outside, r.count, other->count))
			return fail(p, "--%s: '%s' overlaps with an earlier one", p->name, arg);
	}
	map->ranges[map->n++] = r;
	return 0;
}

int set_uid_map(struct parse *p, const char *arg)
{
	return add_range(p, &p->o->isolation.uid_map, arg);
}

int set_gid_map(struct parse *p, const char *arg)
{
	return add_range(p, &p->o->isolation.gid_map, arg);
}

int check_isolation(struct parse *p)
{
	struct options *o = p->o;
	struct isolation *i = &o->isolation;

	if ((i->uid_map.n || i->gid_map.n) && i->sandbox != SANDBOX_NAMESPACE)
		return fail(p, "--%s and --sandbox %s exclude each other: the user namespace of "
			"--sandbox namespace maps ids", i->uid_map.n ? "uid-map" : "gid-map",
			sandboxes[i->sandbox]);
	if (o->passthrough.file_handles == PT_FILE_HANDLES_MANDATORY &&
		i->caps_dropped & UINT64_C(1) << CAP_DAC_READ_SEARCH)
		return fail(p, "--modcaps -dac_read_search and --inode-file-handles mandatory "
			"exclude each other: file handles need that capability");
	i->readonly = o->fuse.readonly;
	i->xattr = o->fuse.xattr;
	i->file_handles = o->passthrough.file_handles != PT_FILE_HANDLES_NEVER;
	/* There the host says at each open what may be opened, and here Landlock (landlock.c). */
	if (userns_is_wanted(i) || !i->file_handles)
		o->passthrough.spares = 0;
	i->syslog = o->syslog;
	i->record = o->record != NULL;
	i->control = o->control_path != NULL;
	i->sockets[0] = o->socket_path;
	i->sockets[1] = o->control_path;
	return 0;
}
