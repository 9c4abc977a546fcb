// SPDX-License-Identifier: BSD-2-Clause
/*
 * liar SOCKET [--window BYTES TAG | TABLE [TABLE]]: for one front-end; nothing that it says may be
 * cached. Each line of input is the name of a lie (liar_nodes.c, liar_data.c, liar_ours.c,
 * liar_window.c), or "none", and is acknowledged with a line. `liar --list` names them, but those
 * about version tables and DAX windows: `liar --list words` and `liar --list window` do.
 */
#include "liar.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static _Atomic uint64_t last_new = LIAR_NEW;

static const struct {
	uint64_t dir;
	const char *name;
	uint64_t node;
} tree[] = {
	{LIAR_ROOT, "file", LIAR_FILE},
	{LIAR_ROOT, "dir", LIAR_DIR},
	{LIAR_ROOT, "link", LIAR_LINK},
	{LIAR_DIR, "sub", LIAR_SUB},
	{LIAR_DIR, "inner", LIAR_INNER},
};

struct fuse_attr liar_attr(uint64_t node)
{
	const bool dir = node == LIAR_ROOT || node == LIAR_DIR || node == LIAR_SUB ||
		(node > LIAR_NEW && node % 2);
	const uint32_t mode = dir ? S_IFDIR | 0755 : S_IFREG | 0644;

	return (struct fuse_attr){
		.ino = node,
		.size = node == LIAR_LINK ? 6 : LIAR_SIZE,
		.mode = node == LIAR_LINK ? S_IFLNK | 0777 : mode,
		.nlink = dir ? 2 : 1,
		.blksize = 4096,
	};
}

static struct fuse_entry_out entry_of(uint64_t node)
{
	return (struct fuse_entry_out){.nodeid = node, .generation = 1, .attr = liar_attr(node)};
}

static void look_up(struct forged *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(tree); i++) {
		if (tree[i].dir == f->in.nodeid && !strcmp(tree[i].name, f->args)) {
			struct fuse_entry_out out = entry_of(tree[i].node);

			forge_reply(f, &out, sizeof(out));
			return;
		}
	}
	forge_error(f, ENOENT);
}

static void make(struct forged *f, bool dir)
{
	struct fuse_create_out out = {.entry = entry_of(
		(atomic_fetch_add(&last_new, 2) | 1) + (dir ? 2 : 1)), .open = {.fh = 1}};
	const bool opens = f->in.opcode == FUSE_CREATE || f->in.opcode == FUSE_TMPFILE;

	if (f->in.opcode == FUSE_SYMLINK)
		out.entry.attr = liar_attr(LIAR_LINK);
	forge_reply(f, &out, opens ? sizeof(out) : sizeof(out.entry));
}

static void add(struct forged *f, const void *bytes, size_t len)
{
	must(f->reply_len + len <= sizeof(f->reply));
	memcpy(f->reply + f->reply_len, bytes, len);
	f->reply_len += len;
	f->out.len = (uint32_t)(sizeof(f->out) + f->reply_len);
}

static void list(struct forged *f, bool plus)
{
	const struct fuse_read_in *in = (const void *)f->args;

	for (size_t i = in->offset; i < ARRAY_SIZE(tree); i++) {
		struct fuse_entry_out entry = entry_of(tree[i].node);
		struct fuse_dirent dirent = {.ino = tree[i].node,
			.off = i + 1,
			.namelen = (uint32_t)strlen(tree[i].name),
			.type = entry.attr.mode >> 12};

		if (tree[i].dir != f->in.nodeid)
			continue;
		if (plus)
			add(f, &entry, sizeof(entry));
		add(f, &dirent, offsetof(struct fuse_dirent, name));
		add(f, tree[i].name, FUSE_DIRENT_ALIGN(dirent.namelen));
	}
}

static void read_file(struct forged *f)
{
	const struct fuse_read_in *in = (const void *)f->args;
	static const char bytes[LIAR_SIZE] = LIAR_TEXT;
	const uint64_t left = in->offset < LIAR_SIZE ? LIAR_SIZE - in->offset : 0;

	forge_reply(f, bytes, in->size < left ? in->size : left);
}

/* A size, or of that many bytes the value. */
static void get_xattr(struct forged *f)
{
	const struct fuse_getxattr_in *in = (const void *)f->args;
	struct fuse_getxattr_out out = {.size = 8};

	forge_reply(f, in->size ? (const void *)"user.a\0" : &out, 8);
}

#define REPLY(F, TYPE, ...)                                                                        \
	do {                                                                                       \
		TYPE out_ = {__VA_ARGS__};                                                         \
		forge_reply(F, &out_, sizeof(out_));                                               \
	} while (0)

static void answer_simple(struct forged *f)
{
	const struct fuse_write_in *write = (const void *)f->args;
	const struct fuse_copy_file_range_in *copy = (const void *)f->args;
	const struct fuse_attr attr = liar_attr(f->in.nodeid);

	switch (f->in.opcode) {
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		REPLY(f, struct fuse_attr_out, .attr = attr);
		break;
	case FUSE_STATX:
		REPLY(f, struct fuse_statx_out,
			.stat = {.mask = 0xfff, .mode = (uint16_t)attr.mode, .ino = attr.ino,
				.size = attr.size, .nlink = attr.nlink, .blksize = attr.blksize});
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		REPLY(f, struct fuse_open_out, .fh = 1);
		break;
	case FUSE_WRITE:
		REPLY(f, struct fuse_write_out, .size = write->size);
		break;
	case FUSE_COPY_FILE_RANGE:
		REPLY(f, struct fuse_write_out, .size = (uint32_t)copy->len);
		break;
	case FUSE_LSEEK:
		REPLY(f, struct fuse_lseek_out, .offset = 4096);
		break;
	case FUSE_STATFS:
		REPLY(f, struct fuse_statfs_out, .st = {.bsize = 4096, .frsize = 4096,
			.blocks = 1000, .namelen = 255});
		break;
	case FUSE_GETLK:
		REPLY(f, struct fuse_lk_out, .lk = {.type = F_UNLCK});
		break;
	case FUSE_IOCTL:
		REPLY(f, struct fuse_ioctl_out, .result = 0);
		break;
	case FUSE_READLINK:
		forge_reply(f, "target", 6);
		break;
	default:
		break; /* Success has nothing to say. */
	}
}

static void begin(struct forged *f)
{
	const struct fuse_init_in *in = (const void *)f->args;
	struct fuse_init_out out = {.major = 7, .minor = 45, .max_write = 32768, .max_pages = 8,
		.max_readahead = in->max_readahead, .time_gran = 1, .map_alignment = 12};

	out.flags = in->flags & (FUSE_MAX_PAGES | FUSE_DO_READDIRPLUS | FUSE_EXPORT_SUPPORT |
		FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_WRITEBACK_CACHE |
		FUSE_PARALLEL_DIROPS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
		FUSE_MAP_ALIGNMENT);
	forge_reply(f, &out, sizeof(out));
}

void liar_answer(struct forged *f)
{
	if (f->in.opcode > FUSE_STATX) {
		if (!liar_hello(f))
			forge_error(f, ENOSYS);
		return;
	}
	switch (f->in.opcode) {
	case FUSE_INIT:
		liar_hello(f);
		begin(f);
		break;
	case FUSE_LOOKUP:
		look_up(f);
		break;
	case FUSE_MKDIR:
		make(f, true);
		break;
	case FUSE_MKNOD:
	case FUSE_SYMLINK:
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		make(f, false);
		break;
	case FUSE_LINK:
		REPLY(f, struct fuse_entry_out, .nodeid = LIAR_FILE, .generation = 1,
			.attr = liar_attr(LIAR_FILE));
		break;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		list(f, f->in.opcode == FUSE_READDIRPLUS);
		break;
	case FUSE_READ:
		read_file(f);
		break;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		get_xattr(f);
		break;
	case FUSE_SETUPMAPPING:
		liar_set_up(f);
		break;
	case FUSE_REMOVEMAPPING:
		liar_remove(f);
		break;
	default:
		answer_simple(f);
		break;
	}
}

static bool unanswered(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT;
}

/* By the node alone, which is for who has been given that. */
static bool names_pin(const struct forged *f)
{
	uint64_t fh;

	switch (f->in.opcode) {
	case FUSE_READ:
	case FUSE_WRITE:
	case FUSE_RELEASE:
	case FUSE_FSYNC:
	case FUSE_FLUSH:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_RELEASEDIR:
	case FUSE_FSYNCDIR:
	case FUSE_GETLK:
	case FUSE_SETLK:
	case FUSE_SETLKW:
	case FUSE_IOCTL:
	case FUSE_FALLOCATE:
	case FUSE_LSEEK:
	case FUSE_COPY_FILE_RANGE:
		/* All of them begin with it. */
		memcpy(&fh, f->args, sizeof(fh));
		return fh == CW_FH_NODE;
	default:
		return false;
	}
}

/* By what --list has them. */
static const struct {
	const char *kind;
	const struct lie *lies;
} tables[] = {
	{"", lies_of_nodes},
	{"", lies_of_data},
	{"", lies_of_pins},
	{"words", lies_of_words},
	{"window", lies_of_window},
};

/* The one of a number, from 1; NULL: there is none. */
static const struct lie *find_lie(int number)
{
	for (size_t i = 0; number > 0 && i < ARRAY_SIZE(tables); i++)
		for (const struct lie *lie = tables[i].lies; lie->name; lie++)
			if (--number == 0)
				return lie;
	return NULL;
}

static void list_lies(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct lie *lie = tables[i].lies; lie->name; lie++)
			if (!strcmp(tables[i].kind, kind))
				puts(lie->name);
}

static int number_of(const char *name)
{
	const struct lie *lie;
	int number = 0;

	if (!strcmp(name, "none"))
		return 0;
	while ((lie = find_lie(++number)))
		if (!strcmp(lie->name, name))
			return number;
	fprintf(stderr, "there is no lie %s\n", name);
	exit(2);
}

/* No more than fits: what the front-end has room for, it checks by itself. */
static void forge(struct forger *forger, struct forged *f)
{
	const struct lie *lie = find_lie(atomic_load(&forger->fault));
	const bool answers = !unanswered(f->in.opcode);
	const bool any = lie && !lie->opcode && f->in.opcode != FUSE_INIT && answers;

	if (answers)
		liar_answer(f);
	if (names_pin(f))
		forge_error(f, EBADF);
	liar_add_words(f);
	if (lie && (any || lie->opcode == f->in.opcode))
		lie->spoil(f);
}

int main(int argc, char **argv)
{
	struct forger *forger = forger_new();
	char name[40];

	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "--list")) {
		list_lies(argc > 2 ? argv[2] : "");
		return 0;
	}
	if (argc > 4 && !strcmp(argv[2], "--window"))
		liar_open_window(forger, strtoull(argv[3], NULL, 0), argv[4]);
	else
		liar_set_tables(argv + 2);
	forger->forge = forge;
	forger_start_on(forger, forger_accept(argv[1]), -1);
	while (scanf("%39s", name) == 1) {
		atomic_store(&forger->fault, number_of(name));
		puts("set");
		fflush(stdout);
	}
	forger_end(forger);
	return 0;
}
