// SPDX-License-Identifier: BSD-2-Clause
/*
 * What becomes of good replies about nodes, names and attributes: each lie is one thing that a
 * client might believe and must not.
 */
#include "liar.h"

#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool asks_for(const struct forged *f, const char *name)
{
	return !strcmp(f->args, name);
}

static void set_entry(struct forged *f, uint64_t node, struct fuse_attr attr)
{
	struct fuse_entry_out out = {.nodeid = node, .generation = 1, .attr = attr};

	forge_reply(f, &out, sizeof(out));
}

/* ---- What a node is, and where --------------------------------------------------------------- */

static void file_is_directory(struct forged *f)
{
	if (asks_for(f, "file"))
		set_entry(f, LIAR_FILE, liar_attr(LIAR_DIR));
}

static void directory_is_file(struct forged *f)
{
	if (asks_for(f, "dir"))
		set_entry(f, LIAR_DIR, liar_attr(LIAR_FILE));
}

static void file_is_link(struct forged *f)
{
	if (asks_for(f, "file"))
		set_entry(f, LIAR_FILE, liar_attr(LIAR_LINK));
}

static void attr_is_directory(struct forged *f)
{
	if (f->in.nodeid == LIAR_FILE)
		LIAR_AS(f, struct fuse_attr_out)->attr = liar_attr(LIAR_DIR);
}

static void attr_is_device(struct forged *f)
{
	LIAR_AS(f, struct fuse_attr_out)->attr.mode = S_IFBLK | 0666;
}

static void attr_is_nothing(struct forged *f)
{
	LIAR_AS(f, struct fuse_attr_out)->attr.mode = 0;
}

static void root_again(struct forged *f)
{
	if (asks_for(f, "dir") || asks_for(f, "sub"))
		set_entry(f, LIAR_ROOT, liar_attr(LIAR_ROOT));
}

static void root_is_file(struct forged *f)
{
	if (asks_for(f, "file"))
		set_entry(f, LIAR_ROOT, liar_attr(LIAR_FILE));
}

/* A directory within itself, and one that is at two places. */
static void within_itself(struct forged *f)
{
	if (asks_for(f, "sub"))
		set_entry(f, LIAR_DIR, liar_attr(LIAR_DIR));
}

static void at_two_places(struct forged *f)
{
	if (asks_for(f, "link"))
		set_entry(f, LIAR_SUB, liar_attr(LIAR_SUB));
}

/* Each name is below each: no two directories agree which is above the other. */
static void below_each_other(struct forged *f)
{
	set_entry(f, f->in.nodeid == LIAR_SUB ? LIAR_DIR : LIAR_SUB, liar_attr(LIAR_SUB));
}

static void another_generation(struct forged *f)
{
	static uint64_t generation;

	LIAR_AS(f, struct fuse_entry_out)->generation = ++generation;
}

static void another_node(struct forged *f)
{
	static uint64_t node = 1u << 20;

	if (!f->out.error)
		LIAR_AS(f, struct fuse_entry_out)->nodeid = ++node;
}

static void no_node(struct forged *f)
{
	LIAR_AS(f, struct fuse_entry_out)->nodeid = 0;
}

static void last_node(struct forged *f)
{
	LIAR_AS(f, struct fuse_entry_out)->nodeid = UINT64_MAX;
}

static void entry_mode(struct forged *f)
{
	LIAR_AS(f, struct fuse_entry_out)->attr.mode = UINT32_MAX;
}

static void entry_size(struct forged *f)
{
	LIAR_AS(f, struct fuse_entry_out)->attr.size = UINT64_MAX;
}

static void submounts(struct forged *f)
{
	LIAR_AS(f, struct fuse_entry_out)->attr.flags = UINT32_MAX;
}

static void made_root(struct forged *f)
{
	LIAR_AS(f, struct fuse_entry_out)->nodeid = LIAR_ROOT;
}

static void made_parent(struct forged *f)
{
	LIAR_AS(f, struct fuse_entry_out)->nodeid = f->in.nodeid;
}

static void made_file(struct forged *f)
{
	set_entry(f, LIAR_FILE, liar_attr(LIAR_FILE));
}

static void made_directory(struct forged *f)
{
	struct fuse_entry_out out = {.nodeid = LIAR_DIR, .attr = liar_attr(LIAR_DIR)};

	memcpy(f->reply, &out, sizeof(out));
}

/* ---- Attributes ------------------------------------------------------------------------------ */

static void attr_garbage(struct forged *f)
{
	const uint32_t mode = LIAR_AS(f, struct fuse_attr_out)->attr.mode;

	memset(f->reply, 0xff, f->reply_len);
	LIAR_AS(f, struct fuse_attr_out)->attr.mode = mode | 07777;
}

static void attr_shrinks(struct forged *f)
{
	static uint64_t turn;

	LIAR_AS(f, struct fuse_attr_out)->attr.size = turn++ % 2 ? 0 : INT64_MAX;
	LIAR_AS(f, struct fuse_attr_out)->attr.mtime = turn;
}

static void attr_block_size(struct forged *f)
{
	static const uint32_t sizes[] = {0, 1, 3, 1u << 31, UINT32_MAX};
	static unsigned int turn;

	LIAR_AS(f, struct fuse_attr_out)->attr.blksize = sizes[turn++ % ARRAY_SIZE(sizes)];
}

static void statx_garbage(struct forged *f)
{
	memset(f->reply, 0xff, f->reply_len);
}

static void statfs_garbage(struct forged *f)
{
	memset(f->reply, 0xff, f->reply_len);
}

static void statfs_zeros(struct forged *f)
{
	memset(f->reply, 0, f->reply_len);
}

const struct lie lies_of_nodes[] = {
	{"file-is-directory", FUSE_LOOKUP, file_is_directory},
	{"directory-is-file", FUSE_LOOKUP, directory_is_file},
	{"file-is-link", FUSE_LOOKUP, file_is_link},
	{"attr-is-directory", FUSE_GETATTR, attr_is_directory},
	{"attr-is-device", FUSE_GETATTR, attr_is_device},
	{"attr-is-nothing", FUSE_GETATTR, attr_is_nothing},
	{"setattr-is-device", FUSE_SETATTR, attr_is_device},
	{"root-again", FUSE_LOOKUP, root_again},
	{"root-is-file", FUSE_LOOKUP, root_is_file},
	{"within-itself", FUSE_LOOKUP, within_itself},
	{"at-two-places", FUSE_LOOKUP, at_two_places},
	{"below-each-other", FUSE_LOOKUP, below_each_other},
	{"another-generation", FUSE_LOOKUP, another_generation},
	{"another-node", FUSE_LOOKUP, another_node},
	{"no-node", FUSE_LOOKUP, no_node},
	{"last-node", FUSE_LOOKUP, last_node},
	{"entry-mode", FUSE_LOOKUP, entry_mode},
	{"entry-size", FUSE_LOOKUP, entry_size},
	{"submounts", FUSE_LOOKUP, submounts},
	{"mkdir-root", FUSE_MKDIR, made_root},
	{"mkdir-parent", FUSE_MKDIR, made_parent},
	{"mkdir-file", FUSE_MKDIR, made_file},
	{"mknod-root", FUSE_MKNOD, made_root},
	{"create-root", FUSE_CREATE, made_root},
	{"create-directory", FUSE_CREATE, made_directory},
	{"create-no-node", FUSE_CREATE, no_node},
	{"symlink-parent", FUSE_SYMLINK, made_parent},
	{"link-directory", FUSE_LINK, made_directory},
	{"tmpfile-root", FUSE_TMPFILE, made_root},
	{"attr-garbage", FUSE_GETATTR, attr_garbage},
	{"attr-shrinks", FUSE_GETATTR, attr_shrinks},
	{"attr-block-size", FUSE_GETATTR, attr_block_size},
	{"statx-garbage", FUSE_STATX, statx_garbage},
	{"statfs-garbage", FUSE_STATFS, statfs_garbage},
	{"statfs-zeros", FUSE_STATFS, statfs_zeros},
	{NULL, 0, NULL},
};
