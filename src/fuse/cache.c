// SPDX-License-Identifier: BSD-2-Clause
#include "fuse/cache.h"

#include <string.h>

#include "base/util.h"
#include "proto/fuse_new.h"

#define SECOND_NS 1000000000ull
#define DAY_NS    (86400 * SECOND_NS)

static const struct cache_policy policies[] = {
	{.name = "none", .alias = "never"},
	{.name = "auto", .timeout_ns = SECOND_NS, .caches_data = true},
	{.name = "always",
		.timeout_ns = DAY_NS,
		.caches_data = true,
		.keeps_data = true,
		.keeps_names = true},
	{.name = "metadata", .timeout_ns = DAY_NS, .keeps_names = true},
};

const struct cache_policy *cache_policy_at(size_t i)
{
	return i < ARRAY_SIZE(policies) ? &policies[i] : NULL;
}

const struct cache_policy *cache_policy_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		const struct cache_policy *p = &policies[i];

		if (strcmp(name, p->name) == 0 || (p->alias && strcmp(name, p->alias) == 0))
			return p;
	}
	return NULL;
}

bool fuse_config_writeback(const struct fuse_config *config)
{
	return config->writeback && config->cache->caches_data;
}

static bool always(const struct fuse_config *config)
{
	return true;
}

static bool if_readdirplus(const struct fuse_config *config)
{
	return config->readdirplus;
}

bool fuse_config_keeps_unchanged(const struct fuse_config *config)
{
	return config->cache->caches_data && !config->cache->keeps_data;
}

/* A guest that holds back writes writes them at close, so Linux sends FLUSH then all the same. It
 * is by FLUSH that a process drops its locks. */
bool fuse_config_skips_flush(const struct fuse_config *config)
{
	return !fuse_config_writeback(config) && !config->posix_lock;
}

/*
 * Linux's zero-message opens: the first OPEN is answered with ENOSYS, and no other is sent. What
 * an OPEN would have done is lost, so it must have been nothing:
 * - the guest keeps what it cached and asks nobody (always);
 * - nothing is written: a descriptor for writing would have to stay open behind the guest's back,
 *   and keep the host from executing the file (ETXTBSY); a file that the guest removes while it is
 *   open there would be lost with its name; and O_TRUNC and the handle of CREATE would be, for
 *   Linux sends neither SETATTR (where ATOMIC_O_TRUNC is offered too) nor RELEASE. So --readonly;
 * - the flags of an open mean nothing to the host (--allow-direct-io);
 * - no lock is taken on the host, for handles have them (--posix-lock, --flock).
 */
bool fuse_config_no_open(const struct fuse_config *config)
{
	return config->cache->keeps_data && config->readonly && !config->direct_io &&
		!config->posix_lock && !config->flock;
}

/* Directories have neither data nor locks; where listings are kept, what OPENDIR answers is what
 * Linux takes for granted without it. */
bool fuse_config_no_opendir(const struct fuse_config *config)
{
	return config->cache->keeps_names;
}

static bool if_opens(const struct fuse_config *config)
{
	return !fuse_config_no_open(config);
}

static bool if_xattr(const struct fuse_config *config)
{
	return config->xattr;
}

static bool if_posix_acl(const struct fuse_config *config)
{
	return config->posix_acl != FUSE_WHEN_NEVER;
}

static bool if_security_label(const struct fuse_config *config)
{
	return config->security_label != FUSE_WHEN_NEVER;
}

static bool if_posix_lock(const struct fuse_config *config)
{
	return config->posix_lock;
}

static bool if_flock(const struct fuse_config *config)
{
	return config->flock;
}

/* Linux then leaves set-id bits alone at a write into the DAX window too, of which nobody hears. */
static bool if_killpriv(const struct fuse_config *config)
{
	return config->killpriv && !config->dax;
}

static bool if_mmap(const struct fuse_config *config)
{
	return config->allow_mmap && !config->cache->caches_data;
}

static bool if_dax(const struct fuse_config *config)
{
	return config->dax;
}

static bool if_submounts(const struct fuse_config *config)
{
	return config->announce_submounts;
}

static bool if_names_kept(const struct fuse_config *config)
{
	return config->cache->keeps_names;
}

static bool if_data_kept(const struct fuse_config *config)
{
	return config->cache->keeps_data;
}

static bool if_data_uncached(const struct fuse_config *config)
{
	return !config->cache->caches_data;
}

/* Every flag that Linux knows. Without a condition it is not offered. */
static const struct fuse_flag_info init_flags[] = {
#define FLAG(name, condition, why) {FUSE_##name, #name, why, condition, NULL}
	/* clang-format off */
	FLAG(ASYNC_READ, always, "reads of one file may be in flight together"),
	FLAG(POSIX_LOCKS, if_posix_lock, "--posix-lock: locks of fcntl(2) are taken on the host"),
	FLAG(FILE_OPS, NULL, "means nothing to Linux any more"),
	FLAG(ATOMIC_O_TRUNC, if_opens, "OPEN truncates: one request less"),
	FLAG(EXPORT_SUPPORT, always, "LOOKUP serves \".\" and \"..\""),
	FLAG(BIG_WRITES, always, "writes larger than a page"),
	FLAG(DONT_MASK, always, "the host applies the umask, or a default ACL instead"),
	FLAG(SPLICE_WRITE, NULL, "of /dev/fuse"),
	FLAG(SPLICE_MOVE, NULL, "of /dev/fuse"),
	FLAG(SPLICE_READ, NULL, "of /dev/fuse"),
	FLAG(HAS_IOCTL_DIR, always, "IOCTL reads and sets the inode flags of directories too"),
	FLAG(FLOCK_LOCKS, if_flock, "--flock: locks of flock(2) are taken on the host"),
	FLAG(AUTO_INVAL_DATA, fuse_config_keeps_unchanged,
		"a changed mtime or size drops cached data"),
	FLAG(DO_READDIRPLUS, if_readdirplus, "listings bring attributes along"),
	FLAG(READDIRPLUS_AUTO, if_readdirplus, "... when the guest seems to want them"),
	FLAG(ASYNC_DIO, always, "direct reads and writes may be in flight together"),
	FLAG(WRITEBACK_CACHE, fuse_config_writeback, "--writeback, where data is cached"),
	FLAG(NO_OPEN_SUPPORT, fuse_config_no_open, "no OPEN, FLUSH and RELEASE at all"),
	FLAG(PARALLEL_DIROPS, always, "directories are locked by the host"),
	FLAG(HANDLE_KILLPRIV, NULL, "HANDLE_KILLPRIV_V2 says which writes clear"),
	FLAG(POSIX_ACL, if_posix_acl, "--posix-acl: the guest enforces ACLs"),
	FLAG(ABORT_ERROR, NULL, "of /dev/fuse"),
	FLAG(MAX_PAGES, always, "requests of 1 MiB and more"),
	FLAG(CACHE_SYMLINKS, if_names_kept, "symlink targets stay valid"),
	FLAG(NO_OPENDIR_SUPPORT, fuse_config_no_opendir, "no OPENDIR and RELEASEDIR at all"),
	FLAG(EXPLICIT_INVAL_DATA, NULL, "nobody would invalidate explicitly"),
	FLAG(MAP_ALIGNMENT, if_dax, "--dax-window: ranges of files are mapped in whole pages"),
	FLAG(SUBMOUNTS, if_submounts,
		"what is mounted below the share is a file system of its own to the guest"),
	FLAG(HANDLE_KILLPRIV_V2, if_killpriv,
		"the host clears set-id bits: no request before a write"),
	FLAG(SETXATTR_EXT, if_xattr, "--xattr: says when an ACL clears the set-group-id bit"),
	FLAG(INIT_EXT, always, "flags beyond 32 bits"),
	FLAG(SECURITY_CTX, if_security_label, "--security-label: new inodes have theirs at once"),
	FLAG(HAS_INODE_DAX, if_dax, "--dax-window: attributes say which files go through it"),
	FLAG(CREATE_SUPP_GROUP, always, "a creator in the directory's group keeps S_ISGID"),
	FLAG(HAS_EXPIRE_ONLY, NULL, "Linux takes no notifications over virtio"),
	FLAG(DIRECT_IO_ALLOW_MMAP, if_mmap, "--allow-mmap: shared mappings may be stale"),
	FLAG(PASSTHROUGH, NULL, "of /dev/fuse"),
	FLAG(NO_EXPORT_SUPPORT, NULL, "LOOKUP serves \".\" and \"..\""),
	FLAG(HAS_RESEND, NULL, "Linux takes no notifications over virtio"),
	FLAG(ALLOW_IDMAP, NULL, "only what creates would say who asks; set-id bits need it"),
	FLAG(OVER_IO_URING, NULL, "of /dev/fuse"),
	FLAG(REQUEST_TIMEOUT, NULL, "slow disks are no reason to give up"),
	/* clang-format on */
#undef FLAG
};

static const struct fuse_flag_info open_flags[] = {
#define FLAG(name, files, directories, why) {FOPEN_##name, #name, why, files, directories}
	/* clang-format off */
	FLAG(DIRECT_IO, if_data_uncached, NULL, "data bypasses the guest's page cache"),
	FLAG(KEEP_CACHE, if_data_kept, if_names_kept,
		"what was cached before the open stays; with auto, of files that did not change"),
	FLAG(NONSEEKABLE, NULL, NULL, "only files and directories are opened"),
	FLAG(CACHE_DIR, NULL, if_names_kept, "listings are cached"),
	FLAG(STREAM, NULL, NULL, "only files and directories are opened"),
	FLAG(NOFLUSH, fuse_config_skips_flush, NULL,
		"no request at close; not where a file system (network, FUSE) held writes back"),
	FLAG(PARALLEL_DIRECT_WRITES, if_data_uncached, NULL, "the host orders writes"),
	FLAG(PASSTHROUGH, NULL, NULL, "of /dev/fuse"),
	/* clang-format on */
#undef FLAG
};

const struct fuse_flag_info *fuse_init_flag_at(size_t i)
{
	return i < ARRAY_SIZE(init_flags) ? &init_flags[i] : NULL;
}

const struct fuse_flag_info *fuse_open_flag_at(size_t i)
{
	return i < ARRAY_SIZE(open_flags) ? &open_flags[i] : NULL;
}

uint64_t fuse_init_offer(const struct fuse_config *config)
{
	uint64_t offer = 0;

	for (size_t i = 0; i < ARRAY_SIZE(init_flags); i++) {
		if (init_flags[i].for_files && init_flags[i].for_files(config))
			offer |= init_flags[i].flag;
	}
	return offer;
}

uint32_t fuse_open_offer(const struct fuse_config *config, bool directory)
{
	uint32_t offer = 0;

	for (size_t i = 0; i < ARRAY_SIZE(open_flags); i++) {
		const struct fuse_flag_info *info = &open_flags[i];
		bool (*condition)(const struct fuse_config *) =
			directory ? info->for_directories : info->for_files;

		if (condition && condition(config))
			offer |= (uint32_t)info->flag;
	}
	return offer;
}
