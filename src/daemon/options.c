// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/options.h"

#include <getopt.h>
#include <string.h>

#include "base/util.h"
#include "daemon/parse.h"
#include "vhost/poll.h"

/*
 * How long guests keep the name of a file that they map, unless told otherwise: Linux drops an
 * inode whose name is over when it is closed, and in 6.1.y to 6.12.y of late 2025 the end of that
 * close waits for itself if the file is mapped (docs/dax.md). A file that is renamed on the host is
 * found by its old name for as long.
 */
#define DAX_ENTRY_NS (86400 * UINT64_C(1000000000))

/* Enough that a few slow calls do not wait for each other. */
#define POOL_SIZE 4

void options_help(FILE *to)
{
	fprintf(to, "Usage: causewayd --shared-dir DIR (--socket-path PATH | --fd N) [OPTION...]\n"
		    "Share a directory with a virtual machine as a virtio-fs device.\n\n");
	for (size_t i = 0; i < option_count; i++) {
		const char *arg = option_descs[i].arg ? option_descs[i].arg : "";
		char left[40];

		if (!option_descs[i].help)
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", option_descs[i].name,
			*arg && *arg != '[' ? " " : "", arg);
		fprintf(to, "  %-26s %s\n", left, option_descs[i].help);
	}
	fprintf(to, "\n  -o WORD[=VALUE],... takes these as older daemons did;\n"
		    "  -d: --log-level debug; -f: no effect; -h: --help; -V: --version\n");
}

bool options_print(const struct options *o, const char *version)
{
	if (o->help)
		options_help(stdout);
	else if (o->version)
		printf("causewayd %s\n", version);
	else if (o->print_capabilities)
		printf("{\n  \"type\": \"fs\",\n  \"features\": [\n"
		       "    \"posix-acl-negotiation-mode\",\n"
		       "    \"security-label-negotiation-mode\",\n"
		       "    \"separate-options\"\n  ]\n}\n");
	return o->help || o->version || o->print_capabilities;
}

/* What no option alone can tell. */
static int check(struct parse *p)
{
	struct options *o = p->o;

	if (!o->shared_dir)
		return fail(p, "--shared-dir is missing: which directory is to be shared?");
	if (!o->socket_path && o->fd < 0)
		return fail(p, "--socket-path is missing (or --fd): where will the VMM connect?");
	if (o->socket_path && o->fd >= 0)
		return fail(p, "--socket-path and --fd exclude each other");
	if (o->socket_group && !o->socket_path)
		return fail(p, "--socket-group and --fd exclude each other");
	if (o->record_data && !o->record)
		return fail(p, "--record-data needs --record: into which file?");
	/* Their ids are in the values, which nobody translates. */
	if ((o->uids || o->gids) && o->fuse.posix_acl != FUSE_WHEN_NEVER)
		return fail(p, "--%s and --posix-acl exclude each other: the ids of ACLs are not "
			       "translated", o->uids ? "translate-uid" : "translate-gid");
	/* ACLs and labels are kept as extended attributes. */
	if (o->fuse.posix_acl != FUSE_WHEN_NEVER || o->fuse.security_label != FUSE_WHEN_NEVER)
		o->fuse.xattr = true;
	o->passthrough.locks = o->fuse.posix_lock || o->fuse.flock;
	if (!o->has_attr_timeout)
		o->fuse.attr_ns = o->fuse.cache->timeout_ns;
	if (!o->has_entry_timeout)
		o->fuse.entry_ns = o->fuse.cache->timeout_ns;
	o->fuse.dax_entry_ns = o->has_entry_timeout ? o->fuse.entry_ns : DAX_ENTRY_NS;
	if (o->control_path && o->socket_path && strcmp(o->control_path, o->socket_path) == 0)
		return fail(p, "--control-path and --socket-path are two sockets, not one");
	if (check_without(p) < 0 || check_dax(p) < 0 || check_version(p) < 0)
		return -1;
	/* O_DIRECT is of an open file, not of a request: one that is kept is not opened for it. */
	o->fuse.pins = o->passthrough.keeps > 0 && !o->fuse.direct_io;
	return check_isolation(p);
}

static const struct option_desc *find(const char *name)
{
	for (size_t i = 0; i < option_count; i++) {
		if (strcmp(name, option_descs[i].name) == 0)
			return &option_descs[i];
	}
	return NULL;
}

bool option_exists(const char *name)
{
	return find(name) != NULL;
}

int option_set(struct parse *p, const char *name, const char *arg)
{
	const struct option_desc *desc = find(name);

	if (!desc)
		return fail(p, "unknown option '--%s'; causewayd --help lists them", name);
	if (desc->arg && *desc->arg != '[' && !arg)
		return fail(p, "option '--%s' needs a value", name);
	if (!desc->arg && arg)
		return fail(p, "option '--%s' takes no value", name);
	p->name = desc->name;
	return desc->set(p, arg);
}

/* What a short option stands for; name NULL: nothing. */
static const struct {
	char letter;
	const char *name, *arg;
} shorts[] = {
	{'d', "log-level", "debug"},
	{'f', NULL, NULL}, /* it never leaves the foreground */
	{'h', "help", NULL},
	{'V', "version", NULL},
};

static int parse_one(struct parse *p, int which, char **argv)
{
	/* Inside a cluster of short options getopt has not moved on. */
	if (which == '?' && optopt > 0)
		return fail(p, "unknown option '-%c'; causewayd --help lists them", optopt);
	if (which == '?')
		return fail(p, "unknown option '%s'; causewayd --help lists them",
			argv[optind - 1]);
	if (which == ':')
		return fail(p, "option '%s' needs a value", argv[optind - 1]);
	if (which == 'o')
		return legacy_parse(p, optarg);
	for (size_t i = 0; i < ARRAY_SIZE(shorts); i++) {
		if (which == shorts[i].letter)
			return shorts[i].name ? option_set(p, shorts[i].name, shorts[i].arg) : 0;
	}
	p->name = option_descs[which].name;
	return option_descs[which].set(p, optarg);
}

int options_parse(struct options *o, int argc, char **argv, char *error, size_t size)
{
	struct option longs[OPTIONS_MAX + 1] = {{0}};
	struct parse p = {.o = o, .error = error, .size = size};
	int index, c;

	*o = (struct options){
		.fd = -1,
		.fuse = {.cache = cache_policy_find("auto"), .readdirplus = true,
			.announce_submounts = true,
			.killpriv = true},
		.passthrough = {.settle_ms = PT_SETTLE_MS, .keeps = PT_KEEPS,
			.spares = PT_SPARES},
		.log_level = LOG_INFO,
		.rlimit_nofile = -1,
		.thread_pool_size = POOL_SIZE,
		.poll_us = VHOST_POLL_LIMIT_NS / 1000,
	};
	for (size_t i = 0; i < option_count; i++)
		longs[i] = (struct option){.name = option_descs[i].name,
			.has_arg = !option_descs[i].arg    ? no_argument
				: *option_descs[i].arg == '[' ? optional_argument
						       : required_argument};
	opterr = 0;
	optind = 0; /* start afresh, also when called again */
	while ((c = getopt_long(argc, argv, ":o:dfhV", longs, &index)) != -1) {
		if (parse_one(&p, c == 0 ? index : c, argv) < 0)
			return -1;
		if (o->help || o->version || o->print_capabilities)
			return 0;
	}
	if (optind < argc)
		return fail(&p, "unexpected argument '%s'; causewayd --help lists the options",
			argv[optind]);
	return check(&p);
}
