// SPDX-License-Identifier: BSD-2-Clause
/*
 * What becomes of good replies that list, or carry data: each lie is one thing that a client might
 * believe and must not.
 */
#include "liar.h"

#include "unit.h"

#include <fcntl.h>
#include <string.h>

/* ---- Listings -------------------------------------------------------------------------------- */

/* One entry, then the same again and again while there is room. */
static void list_names(struct forged *f, const char *name, uint32_t namelen, uint64_t off,
	uint64_t step)
{
	const struct fuse_read_in *in = (const void *)f->args;
	const bool plus = f->in.opcode == FUSE_READDIRPLUS;
	struct {
		struct fuse_entry_out entry;
		struct fuse_dirent dirent;
		char name[64];
	} one = {.entry = {.nodeid = LIAR_INNER, .attr = liar_attr(LIAR_INNER)},
		.dirent = {.ino = LIAR_INNER, .namelen = namelen, .type = 8}};
	const size_t from = plus ? 0 : sizeof(one.entry);
	const size_t len = sizeof(one) - sizeof(one.name) - from +
		FUSE_REC_ALIGN(namelen < sizeof(one.name) ? namelen : 8);

	memcpy(one.name, name, strlen(name) + 1);
	f->reply_len = 0;
	for (one.dirent.off = off; f->reply_len + len <= in->size; one.dirent.off += step) {
		memcpy(f->reply + f->reply_len, (char *)&one + from, len);
		f->reply_len += len;
	}
	f->out.len = (uint32_t)(sizeof(f->out) + f->reply_len);
}

static void list_same(struct forged *f)
{
	list_names(f, "inner", 5, 1, 0);
}

static void list_backwards(struct forged *f)
{
	list_names(f, "inner", 5, INT64_MAX, (uint64_t)-1);
}

static void list_negative(struct forged *f)
{
	list_names(f, "inner", 5, (uint64_t)INT64_MIN, 1);
}

static void list_slashes(struct forged *f)
{
	list_names(f, "../../x", 7, 1, 1);
}

static void list_dots(struct forged *f)
{
	list_names(f, "..", 2, 1, 1);
}

static void list_zeros(struct forged *f)
{
	list_names(f, "in\0er", 5, 1, 1);
}

static void list_no_name(struct forged *f)
{
	list_names(f, "", 0, 1, 1);
}

static void list_long_name(struct forged *f)
{
	list_names(f, "inner", 5000, 1, 1);
}

static void list_endless_name(struct forged *f)
{
	list_names(f, "inner", UINT32_MAX, 1, 1);
}

static void list_wrapping_name(struct forged *f)
{
	list_names(f, "inner", UINT32_MAX - 30, 1, 1);
}

static void list_cut(struct forged *f)
{
	f->reply_len -= f->reply_len ? 5 : 0;
	f->out.len = (uint32_t)(sizeof(f->out) + f->reply_len);
}

static void list_nodes(struct forged *f)
{
	static const uint64_t nodes[] = {LIAR_ROOT, LIAR_DIR, LIAR_SUB, 0, UINT64_MAX, LIAR_FILE};
	static unsigned int turn;

	list_names(f, "inner", 5, 1, 1);
	for (size_t at = 0; at + sizeof(struct fuse_entry_out) <= f->reply_len; at += 160)
		((struct fuse_entry_out *)(void *)(f->reply + at))->nodeid =
			nodes[turn++ % ARRAY_SIZE(nodes)];
}

/* ---- Data ------------------------------------------------------------------------------------ */

static void read_more(struct forged *f)
{
	const struct fuse_read_in *in = (const void *)f->args;
	const size_t len = in->size + 4096 < sizeof(f->reply) ? in->size + 4096 : in->size;

	memset(f->reply, 'm', len);
	f->reply_len = len;
	f->out.len = (uint32_t)(sizeof(f->out) + len);
}

static void read_odd(struct forged *f)
{
	f->reply_len = f->reply_len < 1000 ? 0 : 1000;
	f->out.len = (uint32_t)(sizeof(f->out) + f->reply_len);
}

static void written_more(struct forged *f)
{
	LIAR_AS(f, struct fuse_write_out)->size = UINT32_MAX;
}

static void written_nothing(struct forged *f)
{
	LIAR_AS(f, struct fuse_write_out)->size = 0;
}

static void written_one(struct forged *f)
{
	LIAR_AS(f, struct fuse_write_out)->size = 1;
}

static void seek_negative(struct forged *f)
{
	LIAR_AS(f, struct fuse_lseek_out)->offset = (uint64_t)INT64_MIN;
}

static void open_all_flags(struct forged *f)
{
	LIAR_AS(f, struct fuse_open_out)->open_flags = UINT32_MAX;
}

static void create_all_flags(struct forged *f)
{
	LIAR_AS(f, struct fuse_create_out)->open.open_flags = UINT32_MAX;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static void fill(struct forged *f, char byte, size_t len)
{
	memset(f->reply, byte, len);
	f->reply_len = len;
	f->out.len = (uint32_t)(sizeof(f->out) + len);
}

static void link_empty(struct forged *f)
{
	fill(f, 0, 0);
}

static void link_zeros(struct forged *f)
{
	fill(f, 0, 100);
}

static void link_long(struct forged *f)
{
	fill(f, 'l', 4096);
}

static void xattr_size(struct forged *f)
{
	const struct fuse_getxattr_in *in = (const void *)f->args;

	if (!in->size)
		LIAR_AS(f, struct fuse_getxattr_out)->size = UINT32_MAX;
}

static void xattr_more(struct forged *f)
{
	const struct fuse_getxattr_in *in = (const void *)f->args;

	if (in->size)
		fill(f, 'x', in->size + 100 < sizeof(f->reply) ? in->size + 100 : in->size);
}

/* Without the zero at its end. */
static void xattr_open_end(struct forged *f)
{
	const struct fuse_getxattr_in *in = (const void *)f->args;

	if (in->size)
		fill(f, 'x', in->size < sizeof(f->reply) ? in->size : sizeof(f->reply));
}

/* ---- Other ----------------------------------------------------------------------------------- */

static void lock_garbage(struct forged *f)
{
	memset(f->reply, 0xff, f->reply_len);
}

static void ioctl_again(struct forged *f)
{
	*LIAR_AS(f, struct fuse_ioctl_out) = (struct fuse_ioctl_out){
		.flags = FUSE_IOCTL_RETRY, .in_iovs = UINT32_MAX, .out_iovs = UINT32_MAX};
}

static void not_known(struct forged *f)
{
	forge_error(f, ENOSYS);
}

static void interrupted(struct forged *f)
{
	forge_error(f, EINTR);
}

/* What only a kernel says to itself. */
static void restarted(struct forged *f)
{
	forge_error(f, 512);
}

/* The extensions of causeway_wire.h and version_wire.h, all of them, and no sense in them. */
static void all_extensions(struct forged *f)
{
	if (f->in.opcode > FUSE_STATX) {
		f->out.error = 0;
		fill(f, (char)0xff, 64);
	}
}

static void init_nothing(struct forged *f)
{
	struct fuse_init_out *out = LIAR_AS(f, struct fuse_init_out);

	*out = (struct fuse_init_out){.major = 7, .minor = out->minor};
}

static void init_all(struct forged *f)
{
	struct fuse_init_out *out = LIAR_AS(f, struct fuse_init_out);

	memset(out, 0xff, sizeof(*out));
	out->major = 7;
	out->minor = 45;
}

static void init_old(struct forged *f)
{
	LIAR_AS(f, struct fuse_init_out)->minor = 1;
	fill(f, f->reply[0], 8);
	LIAR_AS(f, struct fuse_init_out)->major = 7;
	LIAR_AS(f, struct fuse_init_out)->minor = 1;
}

const struct lie lies_of_data[] = {
	{"list-same", FUSE_READDIR, list_same},
	{"list-backwards", FUSE_READDIR, list_backwards},
	{"list-negative", FUSE_READDIR, list_negative},
	{"plus-same", FUSE_READDIRPLUS, list_same},
	{"plus-backwards", FUSE_READDIRPLUS, list_backwards},
	{"plus-slashes", FUSE_READDIRPLUS, list_slashes},
	{"plus-dots", FUSE_READDIRPLUS, list_dots},
	{"plus-zeros", FUSE_READDIRPLUS, list_zeros},
	{"plus-no-name", FUSE_READDIRPLUS, list_no_name},
	{"plus-long-name", FUSE_READDIRPLUS, list_long_name},
	{"plus-endless-name", FUSE_READDIRPLUS, list_endless_name},
	{"plus-wrapping-name", FUSE_READDIRPLUS, list_wrapping_name},
	{"plus-cut", FUSE_READDIRPLUS, list_cut},
	{"plus-nodes", FUSE_READDIRPLUS, list_nodes},
	{"plus-not-known", FUSE_READDIRPLUS, not_known},
	{"read-more", FUSE_READ, read_more},
	{"read-odd", FUSE_READ, read_odd},
	{"written-more", FUSE_WRITE, written_more},
	{"written-nothing", FUSE_WRITE, written_nothing},
	{"written-one", FUSE_WRITE, written_one},
	{"copied-more", FUSE_COPY_FILE_RANGE, written_more},
	{"seek-negative", FUSE_LSEEK, seek_negative},
	{"open-all-flags", FUSE_OPEN, open_all_flags},
	{"opendir-all-flags", FUSE_OPENDIR, open_all_flags},
	{"create-all-flags", FUSE_CREATE, create_all_flags},
	{"link-empty", FUSE_READLINK, link_empty},
	{"link-zeros", FUSE_READLINK, link_zeros},
	{"link-long", FUSE_READLINK, link_long},
	{"xattr-size", FUSE_GETXATTR, xattr_size},
	{"xattr-more", FUSE_GETXATTR, xattr_more},
	{"xattrs-size", FUSE_LISTXATTR, xattr_size},
	{"xattrs-open-end", FUSE_LISTXATTR, xattr_open_end},
	{"lock-garbage", FUSE_GETLK, lock_garbage},
	{"ioctl-again", FUSE_IOCTL, ioctl_again},
	{"not-known", 0, not_known},
	{"interrupted", 0, interrupted},
	{"restarted", 0, restarted},
	{"all-extensions", 0, all_extensions},
	{"init-nothing", FUSE_INIT, init_nothing},
	{"init-all", FUSE_INIT, init_all},
	{"init-old", FUSE_INIT, init_old},
	{NULL, 0, NULL},
};
