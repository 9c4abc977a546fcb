// SPDX-License-Identifier: BSD-2-Clause
/*
 * Caching modes, and what follows from them: how long a guest may trust a reply, which INIT
 * flags are offered, which FOPEN flags an open carries. Three tables; docs/caching.md says what
 * users see.
 */
#ifndef FUSE_CACHE_H
#define FUSE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/idmap.h"

struct cache_policy {
	const char *name;
	const char *alias; /* or NULL */
	uint64_t timeout_ns; /* of attributes and entries, missing names included */
	bool caches_data;    /* the guest may keep file contents */
	bool keeps_data;     /* ... from one open to the next */
	bool keeps_names;    /* listings and symlink targets stay valid until it changes them */
};

/* Whether something is served that the guest has a part in. */
enum fuse_when {
	FUSE_WHEN_NEVER,
	FUSE_WHEN_AUTO,   /* where it can */
	FUSE_WHEN_ALWAYS, /* a guest that cannot is not served */
};

/* How an export is served; fixed before the first request. */
struct fuse_config {
	const struct cache_policy *cache;
	bool writeback; /* asked for; effective only where data is cached */
	bool readonly;
	bool readdirplus;
	bool announce_submounts;
	bool direct_io; /* O_DIRECT reaches the host */
	bool allow_mmap; /* shared mappings of files whose data is not cached */
	bool xattr; /* extended attributes are served */
	enum fuse_when posix_acl;      /* the guest enforces POSIX ACLs; needs xattr */
	enum fuse_when security_label; /* the guest labels what it creates; needs xattr */
	bool posix_lock, flock; /* locks are taken on the host */
	bool pins;   /* files are kept open for guests that ask for it (pins.h) */
	bool dax;    /* the file system has a DAX window */
	bool killpriv; /* the host clears set-id bits and capabilities, and the guest need not */
	const struct idmap *uids, *gids; /* outlive the session; or NULL */
	uint64_t attr_ns;
	uint64_t entry_ns;
	uint64_t dax_entry_ns; /* entry_ns of files that guests are told to map */
};

/* Finds a policy by name or alias, or NULL. */
const struct cache_policy *cache_policy_find(const char *name);

/* The i-th policy, or NULL after the last. */
const struct cache_policy *cache_policy_at(size_t i);

/* Whether the guest may hold back writes under this configuration. */
bool fuse_config_writeback(const struct fuse_config *config);

/* INIT flags to offer (bits of flags and, shifted by 32, of flags2). */
uint64_t fuse_init_offer(const struct fuse_config *config);

/* Whether a file that did not change since it was last opened may keep what is cached of it,
 * where others may not. */
bool fuse_config_keeps_unchanged(const struct fuse_config *config);

/* Whether a file may be closed without a word where the file system below has none to say. */
bool fuse_config_skips_flush(const struct fuse_config *config);

/* Whether the guest may do without OPEN and RELEASE, or OPENDIR and RELEASEDIR: what it asks for
 * then names handle 0. */
bool fuse_config_no_open(const struct fuse_config *config);
bool fuse_config_no_opendir(const struct fuse_config *config);

/* FOPEN flags for an opened file or directory. */
uint32_t fuse_open_offer(const struct fuse_config *config, bool directory);

/* The tables, for documents and tests: entry i, or NULL after the last. */
struct fuse_flag_info {
	uint64_t flag;
	const char *name;
	const char *why; /* offered, or not */
	bool (*for_files)(const struct fuse_config *config);       /* INIT: for the connection */
	bool (*for_directories)(const struct fuse_config *config); /* FOPEN only */
};
const struct fuse_flag_info *fuse_init_flag_at(size_t i);
const struct fuse_flag_info *fuse_open_flag_at(size_t i);

#endif
