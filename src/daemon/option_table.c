// SPDX-License-Identifier: BSD-2-Clause
/* Each long option: what it takes, what it sets, and its line in --help. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "daemon/parse.h"

/* Longer than any cache should trust itself; keeps nanoseconds within 64 bits. */
#define TIMEOUT_MAX 31536000.0

static int set_shared_dir(struct parse *p, const char *arg)
{
	p->o->shared_dir = arg;
	return 0;
}

static int set_socket_path(struct parse *p, const char *arg)
{
	p->o->socket_path = arg;
	return 0;
}

static int set_control_path(struct parse *p, const char *arg)
{
	p->o->control_path = arg;
	return 0;
}

static int set_fd(struct parse *p, const char *arg)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(arg, &end, 10);
	if (errno || end == arg || *end || n < 0 || n > INT_MAX)
		return fail(p, "--fd: '%s' is not the number of a descriptor", arg);
	p->o->fd = (int)n;
	return 0;
}

static int set_tag(struct parse *p, const char *arg)
{
	if (*arg == '\0' || strlen(arg) > TAG_MAX)
		return fail(p, "--tag: '%s' is not 1 to %d bytes long", arg, TAG_MAX);
	p->o->tag = arg;
	return 0;
}

static int set_cache(struct parse *p, const char *arg)
{
	char names[80] = "";
	size_t used = 0;

	p->o->fuse.cache = cache_policy_find(arg);
	if (p->o->fuse.cache)
		return 0;
	for (size_t i = 0; cache_policy_at(i); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
			i ? ", " : "", cache_policy_at(i)->name);
	return fail(p, "--cache: '%s' is none of %s", arg, names);
}

static int set_writeback(struct parse *p, const char *arg)
{
	p->o->fuse.writeback = true;
	return 0;
}

static int set_timeout(struct parse *p, const char *arg, uint64_t *ns, bool *given)
{
	char *end;
	double seconds;

	errno = 0;
	seconds = strtod(arg, &end);
	if (errno || end == arg || *end || !(seconds >= 0 && seconds <= TIMEOUT_MAX))
		return fail(p, "--%s: '%s' is not a number of seconds from 0 to %.0f", p->name, arg,
			TIMEOUT_MAX);
	*ns = (uint64_t)(seconds * 1e9);
	*given = true;
	return 0;
}

static int set_attr_timeout(struct parse *p, const char *arg)
{
	return set_timeout(p, arg, &p->o->fuse.attr_ns, &p->o->has_attr_timeout);
}

static int set_entry_timeout(struct parse *p, const char *arg)
{
	return set_timeout(p, arg, &p->o->fuse.entry_ns, &p->o->has_entry_timeout);
}

static int set_readonly(struct parse *p, const char *arg)
{
	p->o->fuse.readonly = true;
	return 0;
}

static int set_no_readdirplus(struct parse *p, const char *arg)
{
	p->o->fuse.readdirplus = false;
	return 0;
}

static int set_xattr(struct parse *p, const char *arg)
{
	p->o->fuse.xattr = true;
	return 0;
}

static int set_xattrmap(struct parse *p, const char *arg)
{
	xattrmap_free(p->o->xattrmap);
	p->o->xattrmap = NULL;
	p->o->passthrough.xattrmap = NULL;
	if (xattrmap_parse(arg, &p->o->xattrmap, p->error, p->size) < 0)
		return -1;
	p->o->passthrough.xattrmap = p->o->xattrmap;
	p->o->fuse.xattr = true;
	return 0;
}

static int set_when(struct parse *p, const char *arg, enum fuse_when *when)
{
	static const char *const names[] = {
		[FUSE_WHEN_NEVER] = "never",
		[FUSE_WHEN_AUTO] = "auto",
		[FUSE_WHEN_ALWAYS] = "always",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(arg ? arg : "always", names[i]) == 0) {
			*when = (enum fuse_when)i;
			return 0;
		}
	}
	return fail(p, "--%s: '%s' is none of never, auto, always", p->name, arg);
}

static int set_posix_acl(struct parse *p, const char *arg)
{
	return set_when(p, arg, &p->o->fuse.posix_acl);
}

static int set_security_label(struct parse *p, const char *arg)
{
	return set_when(p, arg, &p->o->fuse.security_label);
}

static int add_rule(struct parse *p, const char *arg, struct idmap **map)
{
	char what[200];

	if (idmap_add(map, arg, what, sizeof(what)) < 0)
		return fail(p, "--%s: %s", p->name, what);
	p->o->fuse.uids = p->o->uids;
	p->o->fuse.gids = p->o->gids;
	return 0;
}

static int add_translate_uid(struct parse *p, const char *arg)
{
	return add_rule(p, arg, &p->o->uids);
}

static int add_translate_gid(struct parse *p, const char *arg)
{
	return add_rule(p, arg, &p->o->gids);
}

static int set_killpriv_v2(struct parse *p, const char *arg)
{
	p->o->fuse.killpriv = true;
	return 0;
}

static int set_no_killpriv_v2(struct parse *p, const char *arg)
{
	p->o->fuse.killpriv = false;
	return 0;
}

static int set_posix_lock(struct parse *p, const char *arg)
{
	p->o->fuse.posix_lock = true;
	return 0;
}

static int set_flock(struct parse *p, const char *arg)
{
	p->o->fuse.flock = true;
	return 0;
}

static int set_file_handles(struct parse *p, const char *arg)
{
	static const char *const names[] = {
		[PT_FILE_HANDLES_PREFER] = "prefer",
		[PT_FILE_HANDLES_NEVER] = "never",
		[PT_FILE_HANDLES_MANDATORY] = "mandatory",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(arg, names[i]) == 0) {
			p->o->passthrough.file_handles = (enum pt_file_handles)i;
			return 0;
		}
	}
	/* An older name. */
	if (strcmp(arg, "fallback") == 0)
		return set_file_handles(p, names[PT_FILE_HANDLES_PREFER]);
	return fail(p, "--inode-file-handles: '%s' is none of never, prefer, mandatory", arg);
}

static int set_log_level(struct parse *p, const char *arg)
{
	if (!log_level_parse(arg, &p->o->log_level))
		return fail(p, "--log-level: '%s' is none of off, error, warn, info, debug, trace",
			arg);
	return 0;
}

static int set_syslog(struct parse *p, const char *arg)
{
	p->o->syslog = true;
	return 0;
}

static int set_record(struct parse *p, const char *arg)
{
	p->o->record = arg;
	return 0;
}

static int set_record_data(struct parse *p, const char *arg)
{
	p->o->record_data = true;
	return 0;
}

static int set_keep_listening(struct parse *p, const char *arg)
{
	p->o->keep_listening = true;
	return 0;
}

static int set_socket_group(struct parse *p, const char *arg)
{
	if (*arg == '\0')
		return fail(p, "--socket-group: an empty name is none");
	p->o->socket_group = arg;
	return 0;
}

static int set_allow_mmap(struct parse *p, const char *arg)
{
	p->o->fuse.allow_mmap = true;
	return 0;
}

static int set_allow_direct_io(struct parse *p, const char *arg)
{
	p->o->fuse.direct_io = true;
	return 0;
}

static int set_announce_submounts(struct parse *p, const char *arg)
{
	p->o->fuse.announce_submounts = true;
	return 0;
}

static int set_no_announce_submounts(struct parse *p, const char *arg)
{
	p->o->fuse.announce_submounts = false;
	return 0;
}

static int set_preserve_noatime(struct parse *p, const char *arg)
{
	p->o->passthrough.preserve_noatime = true;
	return 0;
}

static int set_print_capabilities(struct parse *p, const char *arg)
{
	p->o->print_capabilities = true;
	return 0;
}

static int refuse_migration(struct parse *p, const char *arg)
{
	return fail(p, "--%s: migration is not supported", p->name);
}

static int set_help(struct parse *p, const char *arg)
{
	p->o->help = true;
	return 0;
}

static int set_version(struct parse *p, const char *arg)
{
	p->o->version = true;
	return 0;
}

const struct option_desc option_descs[] = {
	{"shared-dir", "DIR", set_shared_dir, "the directory to share"},
	{"socket-path", "PATH", set_socket_path, "listen for the VMM on this Unix socket"},
	{"socket-group", "GROUP", set_socket_group, "let this group connect to the socket"},
	{"fd", "N", set_fd, "use this socket, listening or connected, instead"},
	{"tag", "TAG", set_tag, "name of the share, for VMMs that ask for it"},
	{"cache", "MODE", set_cache,
		"what guests may cache: none, auto, always, metadata [auto]"},
	{"writeback", NULL, set_writeback, "let guests hold back writes until close or fsync"},
	{"attr-timeout", "SECONDS", set_attr_timeout, "how long guests trust attributes [by cache mode]"},
	{"entry-timeout", "SECONDS", set_entry_timeout, "how long guests trust names [by cache mode]"},
	{"readonly", NULL, set_readonly, "refuse every change"},
	{"no-readdirplus", NULL, set_no_readdirplus, "list names without attributes"},
	{"xattr", NULL, set_xattr, "serve extended attributes"},
	{"xattrmap", "MAP", set_xattrmap,
		"keep attributes under other names on the host; rules as in causewayd(1)"},
	{"posix-acl", "[=WHEN]", set_posix_acl,
		"serve POSIX ACLs: never, auto, always [never; always]"},
	{"security-label", "[=WHEN]", set_security_label,
		"label what guests create at once: never, auto, always [never; always]"},
	{"posix-lock", NULL, set_posix_lock, "take locks of fcntl(2) on the host, so that they exclude others"},
	{"flock", NULL, set_flock, "take locks of flock(2) on the host, so that they exclude others"},
	{"translate-uid", "RULE", add_translate_uid,
		"translate user ids between guest and host; rules as in causewayd(1)"},
	{"translate-gid", "RULE", add_translate_gid, "the same for group ids"},
	{"killpriv-v2", NULL, set_killpriv_v2,
		"clear set-id bits and capabilities for the guest [yes]"},
	{"no-killpriv-v2", NULL, set_no_killpriv_v2, "leave that to the guest"},
	{"inode-file-handles", "WHEN", set_file_handles,
		"find idle inodes by file handle: never, prefer, mandatory [prefer]"},
	{"announce-submounts", NULL, set_announce_submounts,
		"show guests what is mounted below as file systems of its own [yes]"},
	{"no-announce-submounts", NULL, set_no_announce_submounts,
		"show it all as one file system"},
	{"allow-direct-io", NULL, set_allow_direct_io, "pass O_DIRECT of guests on to the host"},
	{"allow-mmap", NULL, set_allow_mmap, "let guests map files shared where no data is cached"},
	{"dax-window", "SIZE", set_dax_window,
		"let guests map files into a window of this size"},
	{"dax", "POLICY", set_dax, "which files: never, auto, always [auto with --dax-window]"},
	{"version-table", "FILE", set_version_table,
		"tell guests what changes, in a table that servers share"},
	{"version-slots", "N", set_version_slots, "words in a new table, a power of two [1048576]"},
	{"preserve-noatime", NULL, set_preserve_noatime, "refuse O_NOATIME where the host does, instead of opening without it"},
	{"sandbox", "HOW", set_sandbox,
		"keep the process in: namespace, chroot, none [namespace]"},
	{"seccomp", "ACTION", set_seccomp,
		"for system calls that are not needed: none, kill, log, trap [kill]"},
	{"modcaps", "LIST", set_modcaps, "keep or drop capabilities: +NAME, -NAME, between colons"},
	{"uid-map", "MAP", set_uid_map, "user ids of the sandbox, as :INSIDE:OUTSIDE:COUNT:"},
	{"gid-map", "MAP", set_gid_map, "group ids of the sandbox, as :INSIDE:OUTSIDE:COUNT:"},
	{"thread-pool-size", "N", set_thread_pool_size, "threads for what waits for disks, beside one for each queue [4]"},
	{"poll", "MICROSECONDS", set_poll, "stay awake so long for the next request at most, 0: never [50]"},
	{"pins", "N", set_pins, "files to keep open for guests that have causeway.ko, 0: none [1024]"},
	{"without", "LIST", set_without, "leave out what makes it fast; names as in causewayd(1)"},
	{"rlimit-nofile", "N", set_rlimit_nofile, "descriptors this process may have, 0: leave as it is [all it may]"},
	{"control-path", "PATH", set_control_path, "let causeway top and monitoring ask by this Unix socket"},
	{"log-level", "LEVEL", set_log_level, "off, error, warn, info, debug or trace [info]"},
	{"syslog", NULL, set_syslog, "log to syslog(3) instead of standard error"},
	{"record", "FILE", set_record, "record requests and replies for causeway decode"},
	{"record-data", NULL, set_record_data, "... with file contents, names in listings and attributes"},
	{"keep-listening", NULL, set_keep_listening, "wait for the next VMM when one has gone"},
	{"print-capabilities", NULL, set_print_capabilities, "print what management tools ask for, as JSON, and exit"},
	{"help", NULL, set_help, "print this and exit"},
	{"version", NULL, set_version, "print the version and exit"},
	/* Not in --help: an older name, and virtiofsd's for migration, which is not to be had. */
	{"socket", "PATH", set_socket_path, NULL},
	{"migration-mode", "MODE", refuse_migration, NULL},
	{"migration-on-error", "WHAT", refuse_migration, NULL},
	{"migration-verify-handles", NULL, refuse_migration, NULL},
	{"migration-confirm-paths", NULL, refuse_migration, NULL},
};
const size_t option_count = ARRAY_SIZE(option_descs);
static_assert(ARRAY_SIZE(option_descs) <= OPTIONS_MAX, "getopt's table in options.c is too small");
