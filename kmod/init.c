// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What both sides agree on: INIT (FUSE), then CW_HELLO (proto/causeway_wire.h), the version table
 * (coherence.c) and the DAX window (dax.c).
 *
 * `flags` is the table of all that this client can do. A flag that it does not name is not asked
 * for; one that the server answers without having been asked is ignored.
 */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>

#include "coherence.h"
#include "conn.h"
#include "dax.h"
#include "init.h"

#define PAGES_DEFAULT 32 /* of a request, without FUSE_MAX_PAGES */
#define PAGES_MAX     1024
#define READAHEAD     (1u << 20)

static bool always(const struct cw_conn *c)
{
	return true;
}

static bool writes_back(const struct cw_conn *c)
{
	return c->opt.writeback;
}

static bool looks_at_times(const struct cw_conn *c)
{
	return c->opt.cache == CW_CACHE_AUTO;
}

static bool has_window(const struct cw_conn *c)
{
	phys_addr_t start;
	size_t size;

	return c->opt.dax != CW_DAX_NEVER &&
		cw_dev_region(c->dev, VIRTIO_FS_SHMCAP_ID_CACHE, &start, &size);
}

static bool has_window_by_inode(const struct cw_conn *c)
{
	return has_window(c) && c->opt.dax != CW_DAX_ALWAYS;
}

static const struct {
	u64 flag;
	bool (*when)(const struct cw_conn *c);
} flags[] = {
	{ FUSE_ASYNC_READ, always },
	{ FUSE_POSIX_LOCKS, always },
	{ FUSE_FLOCK_LOCKS, always },
	{ FUSE_ATOMIC_O_TRUNC, always },
	{ FUSE_EXPORT_SUPPORT, always },
	{ FUSE_BIG_WRITES, always },
	{ FUSE_DONT_MASK, always },
	{ FUSE_HAS_IOCTL_DIR, always },
	{ FUSE_AUTO_INVAL_DATA, looks_at_times },
	{ FUSE_DO_READDIRPLUS, always },
	{ FUSE_READDIRPLUS_AUTO, always },
	{ FUSE_ASYNC_DIO, always },
	{ FUSE_WRITEBACK_CACHE, writes_back },
	{ FUSE_NO_OPEN_SUPPORT, always },
	{ FUSE_PARALLEL_DIROPS, always },
	{ FUSE_POSIX_ACL, always },
	{ FUSE_ABORT_ERROR, always },
	{ FUSE_MAX_PAGES, always },
	{ FUSE_CACHE_SYMLINKS, always },
	{ FUSE_NO_OPENDIR_SUPPORT, always },
	{ FUSE_MAP_ALIGNMENT, has_window },
	{ FUSE_SUBMOUNTS, always },
	{ FUSE_HANDLE_KILLPRIV_V2, always },
	{ FUSE_SETXATTR_EXT, always },
	{ FUSE_INIT_EXT, always },
	{ FUSE_SECURITY_CTX, always },
	{ FUSE_HAS_INODE_DAX, has_window_by_inode },
	{ FUSE_CREATE_SUPP_GROUP, always },
	{ FUSE_DIRECT_IO_ALLOW_MMAP, always },
};

static u64 wanted(const struct cw_conn *c)
{
	u64 all = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].when(c))
			all |= flags[i].flag;
	return all;
}

static unsigned int whole_pages(unsigned int bytes, unsigned int pages)
{
	return clamp_t(unsigned int, bytes & PAGE_MASK, PAGE_SIZE, pages << PAGE_SHIFT);
}

static void take_init(struct cw_conn *c, struct super_block *sb, const struct fuse_init_out *out,
		      u64 asked)
{
	unsigned int pages = PAGES_DEFAULT;

	c->minor = min_t(u32, out->minor, FUSE_MINOR_NEWEST);
	c->flags = out->flags;
	if (out->flags & FUSE_INIT_EXT)
		c->flags |= (u64)out->flags2 << 32;
	c->flags &= asked;
	if (c->flags & FUSE_MAX_PAGES)
		pages = clamp_t(unsigned int, out->max_pages, 1, PAGES_MAX);
	c->max_pages = min(pages, cw_dev_max_pages(c->dev));
	c->max_write = whole_pages(out->max_write, c->max_pages);
	c->max_read = whole_pages(c->opt.max_read ?: UINT_MAX, c->max_pages);
	c->time_gran = out->time_gran;
	c->map_alignment = c->flags & FUSE_MAP_ALIGNMENT ? out->map_alignment : 0;
	if (c->time_gran == 0 || c->time_gran > NSEC_PER_SEC)
		c->time_gran = 1;
	sb->s_bdi->ra_pages = min(out->max_readahead, c->max_read) >> PAGE_SHIFT;
	sb->s_bdi->io_pages = c->max_read >> PAGE_SHIFT;
}

static int init(struct cw_conn *c, struct super_block *sb, struct fs_context *fc)
{
	u64 asked = wanted(c);
	struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_MINOR_NEWEST,
		.max_readahead = READAHEAD,
		.flags = (u32)asked,
		.flags2 = asked >> 32,
	};
	struct fuse_init_out out = {};
	struct cw_call call = {
		.opcode = FUSE_INIT,
		.nin = 1,
		.in = { { &in, sizeof(in) } },
		.out = &out,
		.out_size = sizeof(out),
		.out_short = true,
		.as_kernel = true,
	};
	int r = cw_call(c, &call);

	if (r < 0) {
		errorf(fc, "causeway: '%s': the server refuses INIT: error %d",
		       cw_dev_tag(c->dev), r);
		return r;
	}
	if (out.major != FUSE_KERNEL_VERSION || out.minor < FUSE_MINOR_OLDEST) {
		errorf(fc, "causeway: '%s': the server speaks FUSE %u.%u, too old or unknown",
		       cw_dev_tag(c->dev), out.major, out.minor);
		return -EPROTO;
	}
	take_init(c, sb, &out, asked);
	if (c->opt.writeback && !(c->flags & FUSE_WRITEBACK_CACHE))
		warnf(fc,
			"causeway: '%s': the server does not let writes be held back: writeback "
			"has no effect",
			cw_dev_tag(c->dev));
	return 0;
}

/* Servers that are not ours know nothing of it. What is kept open would be in the way of a window
 * that all files are to be in. */
static int hello(struct cw_conn *c)
{
	const bool all_mapped = has_window(c) && c->opt.dax == CW_DAX_ALWAYS;
	const struct cw_hello_in in = {
		.wire = CW_WIRE,
		.extensions = CW_EXT_SLEEP | (all_mapped ? 0 : CW_EXT_PINS),
	};
	struct cw_hello_out out;
	int r = cw_simple(c, CW_HELLO, 0, &in, sizeof(in), NULL, &out, sizeof(out), NULL);

	if (r == -ENOSYS || r == -EOPNOTSUPP || r == -EINVAL)
		return 0;
	if (r < 0)
		return r;
	c->ours = true;
	if (out.wire == CW_WIRE)
		c->extensions = out.extensions & in.extensions;
	return 0;
}

int cw_init(struct cw_conn *c, struct super_block *sb, struct fs_context *fc)
{
	int r = init(c, sb, fc);

	if (r == 0)
		r = hello(c);
	if (r == 0)
		r = cw_coherence_start(c, fc);
	if (r == 0)
		r = cw_dax_start(c, fc);
	return r;
}
