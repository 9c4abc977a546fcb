// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attributes, entries and opens as the guest wants them.
 */
#include <sys/sysmacros.h>

#include "fuse/request.h"
#include "watch/watch.h"

#define SECOND_NS 1000000000ull

/* Linux's 32-bit encoding of device numbers. */
static uint32_t encode_dev(uint32_t major_nr, uint32_t minor_nr)
{
	return (minor_nr & 0xff) | (major_nr << 8) | ((minor_nr & ~0xffu) << 12);
}

void fuse_fill_attr(const struct fuse_session *se, struct fuse_attr *attr, const struct statx *st)
{
	*attr = (struct fuse_attr){
		.ino = st->stx_ino,
		.size = st->stx_size,
		.blocks = st->stx_blocks,
		.atime = (uint64_t)st->stx_atime.tv_sec,
		.mtime = (uint64_t)st->stx_mtime.tv_sec,
		.ctime = (uint64_t)st->stx_ctime.tv_sec,
		.atimensec = st->stx_atime.tv_nsec,
		.mtimensec = st->stx_mtime.tv_nsec,
		.ctimensec = st->stx_ctime.tv_nsec,
		.mode = st->stx_mode,
		.nlink = st->stx_nlink,
		.uid = idmap_to_guest(se->config.uids, st->stx_uid),
		.gid = idmap_to_guest(se->config.gids, st->stx_gid),
		.rdev = encode_dev(st->stx_rdev_major, st->stx_rdev_minor),
		.blksize = st->stx_blksize,
	};
	if (st->stx_attributes & STATX_ATTR_DAX && fuse_has(se, FUSE_HAS_INODE_DAX))
		attr->flags |= FUSE_ATTR_DAX;
}

/* With --cache auto a guest trusts what it is told for a while: not what somebody on the host is
 * changing at this time. One that reads words goes by these instead. */
static bool is_restless(const struct fuse_session *se, const struct statx *st)
{
	return se->watch && fuse_config_keeps_unchanged(&se->config) &&
		!atomic_load_explicit(&se->agreed, memory_order_relaxed) &&
		watch_is_restless(se->watch, makedev(st->stx_dev_major, st->stx_dev_minor),
			st->stx_ino);
}

uint64_t fuse_attr_ns(const struct fuse_session *se, const struct statx *st)
{
	return is_restless(se, st) ? 0 : se->config.attr_ns;
}

/* All but for how long. */
static void fill_node(const struct fuse_session *se, struct fuse_entry_out *out,
	const struct fs_entry *entry)
{
	out->nodeid = entry->node;
	out->generation = 0;
	fuse_fill_attr(se, &out->attr, &entry->attr);
	if (entry->submount && fuse_has(se, FUSE_SUBMOUNTS))
		out->attr.flags |= FUSE_ATTR_SUBMOUNT;
}

void fuse_fill_entry(const struct fuse_session *se, struct fuse_entry_out *out,
	const struct fs_entry *entry)
{
	bool dax = entry->attr.stx_attributes & STATX_ATTR_DAX && fuse_has(se, FUSE_HAS_INODE_DAX);
	uint64_t attr_ns = fuse_attr_ns(se, &entry->attr);
	uint64_t entry_ns = dax ? se->config.dax_entry_ns : se->config.entry_ns;

	/* An entry without a node has no attributes; and names that lead to a file whose data is in
	 * a window stay. */
	if (entry->node && !dax && is_restless(se, &entry->attr))
		entry_ns = 0;

	fill_node(se, out, entry);
	out->entry_valid = entry_ns / SECOND_NS;
	out->entry_valid_nsec = (uint32_t)(entry_ns % SECOND_NS);
	out->attr_valid = attr_ns / SECOND_NS;
	out->attr_valid_nsec = (uint32_t)(attr_ns % SECOND_NS);
}

void fuse_fill_entry_words(const struct fuse_session *se, struct fuse_entry_out *out,
	const struct fs_entry *entry)
{
	fill_node(se, out, entry);
	vt_put_look(&entry->name_look, &out->entry_valid, &out->entry_valid_nsec);
	vt_put_look(&entry->attr_look, &out->attr_valid, &out->attr_valid_nsec);
}

void fuse_fill_open(const struct fuse_session *se, struct fuse_open_out *out, uint64_t handle,
	bool directory)
{
	*out = (struct fuse_open_out){
		.fh = handle,
		.open_flags = directory ? se->open_flags_dir : se->open_flags_file,
	};
}

int fuse_reply_entry(struct fuse_req *req, const struct fs_entry *entry)
{
	struct fuse_entry_out out;

	fuse_fill_entry(req->se, &out, entry);
	req->sized = entry->node;
	return fuse_reply(req, &out, sizeof(out));
}

int fuse_reply_attr(struct fuse_req *req, const struct statx *st)
{
	uint64_t attr_ns = fuse_attr_ns(req->se, st);
	struct fuse_attr_out out = {
		.attr_valid = attr_ns / SECOND_NS,
		.attr_valid_nsec = (uint32_t)(attr_ns % SECOND_NS),
	};

	fuse_fill_attr(req->se, &out.attr, st);
	req->sized = req->in.nodeid;
	return fuse_reply(req, &out, sizeof(out));
}
