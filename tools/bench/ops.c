// SPDX-License-Identifier: BSD-2-Clause

#include "ops.h"

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define REPLY(s) .reply = &(s), .size = sizeof(s), .least = sizeof(s)

// The directory of small files is held first, then the files.
static uint64_t files_dir(const struct session *s)
{
	return s->held[0].node;
}

static int prepare_dir(struct session *s)
{
	uint64_t dir;

	return session_find(s, FUSE_ROOT_ID, GROUND_FILES_DIR, &dir);
}

static int prepare_file(struct session *s)
{
	int ret = prepare_dir(s);
	uint64_t node;

	return ret ? ret : session_find(s, files_dir(s), ground_files[0], &node);
}

static int prepare_files(struct session *s)
{
	int ret = prepare_dir(s);
	uint64_t node;

	for (int i = 0; i < GROUND_FILES && !ret; i++)
		ret = session_find(s, files_dir(s), ground_files[i], &node);
	return ret;
}

static int prepare_open(struct session *s)
{
	int ret = prepare_file(s);

	return ret ? ret : session_keep_open(s, s->held[1].node, OPEN_FLAGS | O_RDWR);
}

static int prepare_beside(struct session *s)
{
	int ret = prepare_file(s);

	return ret ? ret : beside_prepare(s);
}

static int do_getattr(struct session *s)
{
	const struct fuse_getattr_in in = {.getattr_flags = 0};
	struct fuse_attr_out out;

	return session_call(s, &(struct request){.opcode = FUSE_GETATTR,
				       .node = s->held[1].node,
				       .arguments = {ARGUMENT(in)},
				       .narguments = 1,
				       REPLY(out)});
}

// A name that is held is looked up once more.
static int look_up_held(struct session *s, struct held **held)
{
	unsigned int i = (unsigned int)(s->turn++ % GROUND_FILES);
	uint64_t node;
	int ret = session_lookup(s, files_dir(s), ground_files[i], &node);

	if (ret)
		return ret;
	*held = &s->held[1 + i];
	if (node != (*held)->node)
		return -EPROTO;
	(*held)->lookups++;
	return 0;
}

static int do_lookup(struct session *s)
{
	struct held *held;

	return look_up_held(s, &held);
}

static int do_missing(struct session *s)
{
	uint64_t node;
	int ret = session_lookup(s, files_dir(s), "missing", &node);

	return ret == -ENOENT ? 0 : ret ? ret : -EPROTO;
}

static int do_lookup_forget(struct session *s)
{
	uint64_t node;
	int ret = session_lookup(s, files_dir(s), ground_files[s->turn++ % GROUND_FILES], &node);

	if (!ret)
		ret = session_forget(s, node, 1);
	// It would be done beside the next LOOKUP otherwise.
	return ret ? ret : session_drain(s);
}

static int do_open(struct session *s)
{
	uint64_t node = s->held[1 + s->turn++ % GROUND_FILES].node, fh;
	int ret = session_open_node(s, node, OPEN_FLAGS | O_RDONLY, &fh);

	return ret ? ret : session_release(s, node, fh, OPEN_FLAGS | O_RDONLY);
}

// Takes away what was made, and forgets it as a guest does then.
static int remove_new(struct session *s, uint32_t opcode, uint64_t node)
{
	int ret = session_call(s, &(struct request){.opcode = opcode,
					  .node = files_dir(s),
					  .arguments = {NAME(GROUND_NEW)},
					  .narguments = 1});

	return ret ? ret : session_forget(s, node, 1);
}

static int do_create(struct session *s)
{
	const struct fuse_create_in in = {.flags = OPEN_FLAGS | O_CREAT | O_EXCL | O_RDWR,
		.mode = S_IFREG | 0644,
		.umask = 022};
	struct fuse_create_out out;
	int ret = session_call(s, &(struct request){.opcode = FUSE_CREATE,
					  .node = files_dir(s),
					  .arguments = {ARGUMENT(in), NAME(GROUND_NEW)},
					  .narguments = 2,
					  REPLY(out)});

	if (ret >= 0 && !IS_NODE(out.entry.nodeid))
		ret = -EPROTO;
	if (ret >= 0)
		ret = session_release(s, out.entry.nodeid, out.open.fh, OPEN_FLAGS | O_RDWR);
	return ret < 0 ? ret : remove_new(s, FUSE_UNLINK, out.entry.nodeid);
}

static int do_mkdir(struct session *s)
{
	const struct fuse_mkdir_in in = {.mode = 0755, .umask = 022};
	struct fuse_entry_out out;
	int ret = session_call(s, &(struct request){.opcode = FUSE_MKDIR,
					  .node = files_dir(s),
					  .arguments = {ARGUMENT(in), NAME(GROUND_NEW)},
					  .narguments = 2,
					  REPLY(out)});

	if (ret >= 0 && !IS_NODE(out.nodeid))
		ret = -EPROTO;
	return ret < 0 ? ret : remove_new(s, FUSE_RMDIR, out.nodeid);
}

static int do_rename(struct session *s)
{
	const struct fuse_rename_in in = {.newdir = files_dir(s)};
	const char *from = s->turned ? GROUND_RENAMED : ground_files[0];
	const char *to = s->turned ? ground_files[0] : GROUND_RENAMED;

	s->turned = !s->turned;
	return session_call(s, &(struct request){.opcode = FUSE_RENAME,
				       .node = files_dir(s),
				       .arguments = {ARGUMENT(in), NAME(from), NAME(to)},
				       .narguments = 3});
}

static int do_small_file(struct session *s)
{
	const uint32_t flags = OPEN_FLAGS | O_RDONLY;
	struct held *held;
	uint64_t fh;
	int ret = look_up_held(s, &held), n;

	if (!ret)
		ret = session_enter(s, held->node, flags, &fh);
	if (ret)
		return ret;
	n = session_read(s, FUSE_READ, held->node, fh, 0, GROUND_FILE_SIZE);
	ret = session_leave(s, held->node, fh, flags);
	return n < 0 ? n : n != GROUND_FILE_SIZE ? -EPROTO : ret;
}

static int do_fsync(struct session *s)
{
	const struct fuse_write_in write = {.fh = s->open.fh, .size = GROUND_FILE_SIZE};
	const struct fuse_fsync_in sync = {.fh = s->open.fh};
	int ret = session_write(s, s->held[1].node, &write);

	if (ret)
		return ret;
	return session_call(s, &(struct request){.opcode = FUSE_FSYNC,
				       .node = s->held[1].node,
				       .arguments = {ARGUMENT(sync)},
				       .narguments = 1});
}

static int do_getxattr(struct session *s)
{
	const struct fuse_getxattr_in in = {.size = GROUND_XATTR_SIZE};
	char value[GROUND_XATTR_SIZE];

	return session_call(s, &(struct request){.opcode = FUSE_GETXATTR,
				       .node = s->held[1].node,
				       .arguments = {ARGUMENT(in), NAME(GROUND_XATTR)},
				       .narguments = 2,
				       REPLY(value)});
}

static int do_setxattr(struct session *s)
{
	// Without FUSE_SETXATTR_EXT the structure is shorter.
	const struct fuse_setxattr_in in = {.size = GROUND_XATTR_SIZE};
	size_t size = s->flags & FUSE_SETXATTR_EXT ? sizeof(in) : FUSE_COMPAT_SETXATTR_IN_SIZE;
	char value[GROUND_XATTR_SIZE];

	memset(value, 'a' + (int)(s->turn++ % 26), sizeof(value));
	return session_call(
		s, &(struct request){.opcode = FUSE_SETXATTR,
			   .node = s->held[1].node,
			   .arguments = {{(void *)&in, size}, NAME(GROUND_XATTR), ARGUMENT(value)},
			   .narguments = 3});
}

// As git-status(1): each name that the index has, then what else is there.
static int do_status(struct session *s)
{
	uint64_t node;
	int ret = 0;

	for (int i = 0; i < GROUND_FILES && !ret; i++)
		ret = session_find(s, files_dir(s), ground_files[i], &node);
	return ret ? ret : tree_list_files(s);
}

// As a compiler: its headers are not in the first directory that it looks into.
static int do_compile(struct session *s)
{
	int ret = 0;

	for (int i = 0; i < OPS_HEADERS && !ret; i++) {
		ret = do_missing(s);
		if (!ret)
			ret = do_small_file(s);
	}
	return ret ? ret : do_create(s);
}

// clang-format off
const struct operation operation_table[] = {
	{"getattr", "GETATTR: a round trip", PART_FILES, false, GROUND_FILES, prepare_file, do_getattr, plain_getattr, NULL},
	{"lookup", "LOOKUP of a name that is known", PART_FILES, false, GROUND_FILES, prepare_files, do_lookup, plain_lookup, NULL},
	{"lookup-missing", "LOOKUP of a name that is not there", PART_FILES, false, 1, prepare_dir, do_missing, plain_missing, NULL},
	{"lookup-forget", "LOOKUP of a name that is not known, its FORGET", PART_FILES, false, GROUND_FILES, prepare_dir, do_lookup_forget, plain_hold, NULL},
	{"open-release", "OPEN, RELEASE", PART_FILES, false, GROUND_FILES, prepare_files, do_open, plain_open_close, NULL},
	{"create-unlink", "CREATE, RELEASE, UNLINK, FORGET", PART_FILES, false, 0, prepare_dir, do_create, plain_create, NULL},
	{"mkdir-rmdir", "MKDIR, RMDIR, FORGET", PART_FILES, false, 0, prepare_dir, do_mkdir, plain_mkdir, NULL},
	{"rename", "RENAME", PART_FILES, false, 0, prepare_file, do_rename, plain_rename, NULL},
	{"list-2000", "OPENDIR, READDIRPLUS of 2,000 entries, RELEASEDIR, their FORGETs", PART_LIST, false, 1, tree_prepare_list, tree_list, plain_list, NULL},
	{"list-100000", "the same with 100,000 entries", PART_LONG_LIST, true, 1, tree_prepare_long_list, tree_long_list, plain_long_list, NULL},
	{"walk", "READDIRPLUS through 73 directories with 1,024 files, then their FORGETs", PART_WALK, false, 1, tree_prepare_walk, tree_walk, plain_walk, NULL},
	{"find-1000000", "READDIRPLUS through 1,000 directories of 1,000 files, then their FORGETs", PART_FIND, true, 1, tree_prepare_find, tree_find, plain_find, NULL},
	{"small-file", "LOOKUP, OPEN, READ of 4 KiB, RELEASE", PART_FILES, false, GROUND_FILES, prepare_files, do_small_file, plain_small_file, NULL},
	{"status", "LOOKUP of 256 names, READDIRPLUS of their directory, their FORGETs: as git status", PART_FILES, false, 1, prepare_dir, do_status, plain_status, NULL},
	{"compile", "16 times lookup-missing and small-file, then create-unlink: as a compiler", PART_FILES, false, GROUND_FILES / OPS_HEADERS, prepare_files, do_compile, plain_compile, NULL},
	{"fsync", "WRITE of 4 KiB, FSYNC", PART_FILES, false, 0, prepare_open, do_fsync, plain_fsync, NULL},
	{"getattr-fsync", "GETATTR while the same queue has an FSYNC under way, of 16 MiB", PART_FILES | PART_DATA, false, 0, prepare_beside, beside_getattr, plain_getattr, beside_begin_fsync},
	{"getattr-read", "GETATTR while the same queue has a READ under way, of 1 MiB that the host has to get from its disk", PART_FILES | PART_DATA, false, 0, prepare_beside, beside_getattr, plain_getattr, beside_begin_read},
	{"getxattr", "GETXATTR of 16 bytes", PART_FILES, false, 0, prepare_file, do_getxattr, plain_getxattr, NULL},
	{"setxattr", "SETXATTR of 16 bytes", PART_FILES, false, 0, prepare_file, do_setxattr, plain_setxattr, NULL},
};
// clang-format on

const unsigned int noperations = sizeof(operation_table) / sizeof(operation_table[0]);
