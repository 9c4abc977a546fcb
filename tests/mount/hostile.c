// SPDX-License-Identifier: BSD-2-Clause
/*
 * hostile SOCKET [OPCODE FAULT]: a back-end with one file, one symlink and an empty root, for one
 * front-end. It answers requests of the opcode with the fault: of those that it is started with, or
 * of the last line `OPCODE FAULT` that it has read; each is acknowledged with a line. At the end of
 * its input, when its front-end has gone, it says how many DESTROYs it had. Every name
 * is the file's but "link" and those that begin with "no". Nothing may be cached.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "forger.h"

enum { NODE_FILE = 2, NODE_LINK = 3 };
#define SIZE 4096

static const char *const opcodes[FUSE_OPCODE_MAX] = {
#define NAME(OPCODE, ...) [FUSE_##OPCODE] = #OPCODE,
	FUSE_OPS(NAME)
#undef NAME
};

/* ---- What a good server says ---------------------------------------------------------------- */

static struct fuse_attr attr_of(uint64_t node)
{
	uint32_t modes[] = {
		[FUSE_ROOT_ID] = S_IFDIR | 0755, [NODE_FILE] = S_IFREG | 0644,
		[NODE_LINK] = S_IFLNK | 0777};

	return (struct fuse_attr){.ino = node, .size = SIZE, .mode = modes[node], .nlink = 1};
}

/* Payloads of a size with which requests may come by io_uring too. */
static void begin(struct forged *f)
{
	const struct fuse_init_in *in = (const void *)f->args;
	struct fuse_init_out out = {
		.major = 7, .minor = 45, .max_write = 1 << 20, .max_pages = 256};

	out.flags = in->flags & (FUSE_MAX_PAGES | FUSE_DO_READDIRPLUS | FUSE_EXPORT_SUPPORT);
	forge_reply(f, &out, sizeof(out));
}

static void look_up(struct forged *f)
{
	uint64_t node = strcmp(f->args, "link") == 0 ? NODE_LINK : NODE_FILE;
	struct fuse_entry_out out = {.nodeid = node, .attr = attr_of(node)};

	if (strncmp(f->args, "no", 2) == 0)
		forge_error(f, ENOENT);
	else
		forge_reply(f, &out, sizeof(out));
}

static void get_attr(struct forged *f)
{
	struct fuse_attr_out out = {.attr = attr_of(f->in.nodeid)};

	forge_reply(f, &out, sizeof(out));
}

static void open_file(struct forged *f)
{
	struct fuse_open_out out = {.fh = 1, .open_flags = FOPEN_DIRECT_IO};

	forge_reply(f, &out, sizeof(out));
}

static void read_file(struct forged *f)
{
	const struct fuse_read_in *in = (const void *)f->args;
	char bytes[SIZE];

	memset(bytes, 'x', sizeof(bytes));
	forge_reply(f, bytes, in->offset < SIZE ? min_t(size_t, in->size, SIZE) : 0);
}

static void write_file(struct forged *f)
{
	const struct fuse_write_in *in = (const void *)f->args;
	struct fuse_write_out out = {.size = in->size};

	forge_reply(f, &out, sizeof(out));
}

static void get_xattr(struct forged *f)
{
	const struct fuse_getxattr_in *in = (const void *)f->args;
	struct fuse_getxattr_out out = {.size = 5};

	forge_reply(f, in->size ? (const void *)"value" : &out, in->size ? 5 : sizeof(out));
}

static void stat_fs(struct forged *f)
{
	struct fuse_statfs_out out = {.st = {.bsize = 4096, .frsize = 4096, .blocks = 1000}};

	forge_reply(f, &out, sizeof(out));
}

static void answer(struct forged *f)
{
	switch (f->in.opcode) {
	case FUSE_INIT:
		begin(f);
		break;
	case FUSE_LOOKUP:
		look_up(f);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		get_attr(f);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		open_file(f);
		break;
	case FUSE_READ:
		read_file(f);
		break;
	case FUSE_WRITE:
		write_file(f);
		break;
	case FUSE_GETXATTR:
		get_xattr(f);
		break;
	case FUSE_READLINK:
		forge_reply(f, "target", 6);
		break;
	case FUSE_STATFS:
		stat_fs(f);
		break;
	case FUSE_READDIRPLUS:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
		break;
	default:
		if (!forge_default(f))
			forge_error(f, ENOSYS);
		break;
	}
}

/* ---- Faults --------------------------------------------------------------------------------- */

static size_t whole(const struct forged *f)
{
	return sizeof(f->out) + f->reply_len;
}

static void nothing(struct forged *f)
{
	f->cut = whole(f);
}

static void half_a_header(struct forged *f)
{
	f->cut = whole(f) - 8;
}

static void half_a_reply(struct forged *f)
{
	f->reply_len /= 2;
	f->out.len = (uint32_t)whole(f);
}

static void no_reply(struct forged *f)
{
	forge_reply(f, "", 0);
}

static void len_beyond(struct forged *f)
{
	f->out.len += 8;
}

static void len_endless(struct forged *f)
{
	f->out.len = UINT32_MAX;
}

static void len_within_header(struct forged *f)
{
	f->out.len = 8;
}

static void len_zero(struct forged *f)
{
	f->out.len = 0;
}

static void other_unique(struct forged *f)
{
	f->out.unique ^= 0x100;
}

/* Over /dev/fuse this is a notification of what `error` says. */
static void no_unique(struct forged *f)
{
	f->out.unique = 0;
	f->out.error = FUSE_NOTIFY_INVAL_INODE;
}

static void interrupt_unique(struct forged *f)
{
	f->out.unique |= 1;
}

static void error_positive(struct forged *f)
{
	f->out.error = EPERM;
}

static void error_far(struct forged *f)
{
	f->out.error = -512;
}

static void error_least(struct forged *f)
{
	f->out.error = INT32_MIN;
}

static void error_and_reply(struct forged *f)
{
	char byte[8] = "";

	forge_reply(f, byte, sizeof(byte));
	f->out.error = -EPERM;
}

static void used_beyond(struct forged *f)
{
	f->claim = UINT32_MAX / 2;
}

static void keep(struct forged *f)
{
	f->keep = true;
}

static void refuse(struct forged *f)
{
	forge_error(f, EPERM);
}

static struct fuse_init_out *init_of(struct forged *f)
{
	return (struct fuse_init_out *)f->reply;
}

static void other_major(struct forged *f)
{
	init_of(f)->major = 8;
}

/* More than any request may carry, and all that can be said. */
static void boundless(struct forged *f)
{
	init_of(f)->max_write = UINT32_MAX;
	init_of(f)->max_pages = UINT16_MAX;
	init_of(f)->flags |= FUSE_MAX_PAGES;
}

static void all_flags(struct forged *f)
{
	init_of(f)->flags = init_of(f)->flags2 = UINT32_MAX;
}

static void no_write(struct forged *f)
{
	init_of(f)->max_write = 0;
	init_of(f)->max_pages = 0;
}

static const struct {
	const char *name;
	void (*spoil)(struct forged *f);
} faults[] = {
	{"none", NULL},
	{"nothing", nothing},
	{"half-a-header", half_a_header},
	{"half-a-reply", half_a_reply},
	{"no-reply", no_reply},
	{"len-beyond", len_beyond},
	{"len-endless", len_endless},
	{"len-within-header", len_within_header},
	{"len-zero", len_zero},
	{"other-unique", other_unique},
	{"no-unique", no_unique},
	{"interrupt-unique", interrupt_unique},
	{"error-positive", error_positive},
	{"error-far", error_far},
	{"error-least", error_least},
	{"error-and-reply", error_and_reply},
	{"used-beyond", used_beyond},
	{"keep", keep},
	{"refuse", refuse},
	{"other-major", other_major},
	{"boundless", boundless},
	{"all-flags", all_flags},
	{"no-write", no_write},
};

/* A fault is opcode and place in the table, so that it changes at once. */
static void forge(struct forger *forger, struct forged *f)
{
	int fault = atomic_load(&forger->fault);

	answer(f);
	if (f->in.opcode == (uint32_t)(fault & 0xff) && faults[fault >> 8].spoil)
		faults[fault >> 8].spoil(f);
}

static void set_fault(struct forger *forger, const char *opcode, const char *fault)
{
	for (int op = 0; op < FUSE_OPCODE_MAX; op++) {
		for (int i = 0; i < (int)ARRAY_SIZE(faults); i++) {
			if (opcodes[op] && strcmp(opcodes[op], opcode) == 0 &&
				strcmp(faults[i].name, fault) == 0) {
				atomic_store(&forger->fault, i << 8 | op);
				return;
			}
		}
	}
	fprintf(stderr, "no %s with %s\n", opcode, fault);
	exit(2);
}

int main(int argc, char **argv)
{
	struct forger *forger = forger_new();
	char opcode[32], fault[32];

	if (argc != 2 && argc != 4)
		return 2;
	forger->forge = forge;
	if (argc == 4)
		set_fault(forger, argv[2], argv[3]);
	forger_start_on(forger, forger_accept(argv[1]), -1);
	while (scanf("%31s %31s", opcode, fault) == 2) {
		set_fault(forger, opcode, fault);
		puts("set");
		fflush(stdout);
	}
	printf("%u\n", atomic_load(&forger->requests[FUSE_DESTROY]));
	forger_end(forger);
	return 0;
}
