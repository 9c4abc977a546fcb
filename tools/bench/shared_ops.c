// SPDX-License-Identifier: BSD-2-Clause
//
// What `causeway bench --shared` measures.

#include "bench.h"
#include "causeway.h"
#include "proto/version_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096

static int open_first(struct shared_turn *turn)
{
	if (turn->client)
		return causeway_open(turn->client, NULL, turn->paths[0], O_RDONLY, 0, &turn->file);
	turn->fd = openat(turn->root, turn->paths[0], O_RDONLY | O_CLOEXEC);
	return from_call(turn->fd);
}

static void close_first(struct shared_turn *turn)
{
	if (turn->file)
		causeway_close(turn->file);
	close_fd(&turn->fd);
}

static int stat_handle(struct shared_turn *turn, size_t file)
{
	struct stat st;

	return turn->client ? causeway_fstat(turn->file, &st) : from_call(fstat(turn->fd, &st));
}

static int stat_path(struct shared_turn *turn, size_t file)
{
	const char *path = turn->paths[file];
	struct stat st;

	if (turn->client)
		return causeway_stat(turn->client, NULL, path, &st, AT_SYMLINK_NOFOLLOW);
	return from_call(fstatat(turn->root, path, &st, AT_SYMLINK_NOFOLLOW));
}

int shared_ask(struct shared_turn *turn, const struct request *r)
{
	const unsigned int words = turn->words ? vt_row_size(vt_row(r->opcode)) : 0;
	const bool answered = r->opcode != FUSE_FORGET && r->opcode != FUSE_BATCH_FORGET;
	struct fuse_in_header head = {.opcode = r->opcode,
		.nodeid = r->node,
		.uid = bench_uid,
		.gid = bench_gid,
		.pid = bench_pid};
	struct {
		struct fuse_out_header head;
		char words[VT_WORDS_MAX];
	} answer;
	struct iovec in[4] = {ARGUMENT(head)};
	const struct iovec out[] = {{&answer, sizeof(answer.head) + words}, {r->reply, r->size}};
	struct causeway_raw raw = {.in = in,
		.nin = 1 + r->narguments,
		.out = out,
		.nout = !answered ? 0
			: r->size ? 2
				  : 1,
		.queue = answered ? 1 : 0,
		.flags = answered ? 0 : CAUSEWAY_RAW_NO_REPLY};
	int ret;

	memcpy(&in[1], r->arguments, r->narguments * sizeof(in[0]));
	turn->requests++;
	ret = causeway_raw(turn->client, &raw);
	if (ret || !answered)
		return ret;
	return raw.written >= out[0].iov_len + r->least &&
			raw.written <= out[0].iov_len + r->size ? 0 : -EPROTO;
}

static int create(struct shared_turn *turn, const char *name, uint64_t *node, uint64_t *fh)
{
	struct fuse_create_in in = {.flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644};
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} reply;
	int ret = shared_ask(turn, &REQUEST(FUSE_CREATE, FUSE_ROOT_ID, &reply, sizeof(reply),
					   ARGUMENT(in), NAME(name)));

	if (ret)
		return ret;
	*node = reply.entry.nodeid;
	*fh = reply.open.fh;
	return 0;
}

// Closes, unlinks and forgets what was created.
static int undo(struct shared_turn *turn, const char *name, uint64_t node, uint64_t fh)
{
	struct fuse_release_in release = {.fh = fh, .flags = O_RDWR};
	struct fuse_forget_in forget = {.nlookup = 1};
	const struct request requests[] = {
		REQUEST(FUSE_RELEASE, node, NULL, 0, ARGUMENT(release)),
		REQUEST(FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, NAME(name)),
		REQUEST(FUSE_FORGET, node, NULL, 0, ARGUMENT(forget)),
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		int one = shared_ask(turn, &requests[i]);

		ret = ret ? ret : one;
	}
	return ret;
}

static int make_kept(struct shared_turn *turn)
{
	if (turn->client)
		return create(turn, turn->kept, &turn->node, &turn->fh);
	turn->fd = openat(turn->root, turn->kept, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	return from_call(turn->fd);
}

static void drop_kept(struct shared_turn *turn)
{
	if (turn->node)
		undo(turn, turn->kept, turn->node, turn->fh);
	if (turn->fd >= 0)
		unlinkat(turn->root, turn->kept, 0);
	close_fd(&turn->fd);
}

static int request_getattr(struct shared_turn *turn, size_t file)
{
	struct fuse_getattr_in in = {.getattr_flags = 0};
	struct fuse_attr_out reply;

	if (!turn->client)
		return stat_handle(turn, file);
	return shared_ask(turn, &REQUEST(FUSE_GETATTR, turn->node, &reply, sizeof(reply),
					ARGUMENT(in)));
}

// The server counts these; it forgets all of them when the file is forgotten or the client gone.
static int request_lookup(struct shared_turn *turn, size_t file)
{
	struct fuse_entry_out reply;
	struct stat st;

	if (!turn->client)
		return from_call(fstatat(turn->root, turn->kept, &st, AT_SYMLINK_NOFOLLOW));
	return shared_ask(
		turn, &REQUEST(FUSE_LOOKUP, FUSE_ROOT_ID, &reply, sizeof(reply), NAME(turn->kept)));
}

static int request_create(struct shared_turn *turn, size_t file)
{
	uint64_t node, fh;
	int ret;

	if (turn->client) {
		ret = create(turn, turn->fresh, &node, &fh);
		return ret ? ret : undo(turn, turn->fresh, node, fh);
	}
	ret = openat(turn->root, turn->fresh, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (ret < 0)
		return -errno;
	close_fd(&ret);
	return from_call(unlinkat(turn->root, turn->fresh, 0));
}

static int rename_once(struct shared_turn *turn, const char *from, const char *to)
{
	struct fuse_rename_in in = {.newdir = FUSE_ROOT_ID};

	if (!turn->client)
		return from_call(renameat(turn->root, from, turn->root, to));
	return shared_ask(turn, &REQUEST(FUSE_RENAME, FUSE_ROOT_ID, NULL, 0, ARGUMENT(in),
					NAME(from), NAME(to)));
}

static int request_rename(struct shared_turn *turn, size_t file)
{
	int ret = rename_once(turn, turn->kept, turn->fresh);

	return ret ? ret : rename_once(turn, turn->fresh, turn->kept);
}

// The file that is there is replaced by a new one, which is there then.
static int replace_kept(struct shared_turn *turn)
{
	struct fuse_release_in release = {.fh = turn->fh, .flags = O_RDWR};
	struct fuse_forget_in forget = {.nlookup = 1};
	const struct request gone[] = {
		REQUEST(FUSE_RELEASE, turn->node, NULL, 0, ARGUMENT(release)),
		REQUEST(FUSE_FORGET, turn->node, NULL, 0, ARGUMENT(forget)),
	};
	uint64_t node, fh;
	int ret = create(turn, turn->fresh, &node, &fh);

	if (ret)
		return ret;
	ret = rename_once(turn, turn->fresh, turn->kept);
	if (ret) {
		undo(turn, turn->fresh, node, fh);
		return ret;
	}
	ret = shared_ask(turn, &gone[0]);
	shared_ask(turn, &gone[1]);
	turn->node = node;
	turn->fh = fh;
	return ret;
}

static int request_replace(struct shared_turn *turn, size_t file)
{
	int fd, ret;

	if (turn->client)
		return replace_kept(turn);
	fd = openat(turn->root, turn->fresh, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	ret = rename_once(turn, turn->fresh, turn->kept);
	close_fd(&turn->fd);
	turn->fd = fd;
	return ret;
}

static int request_write(struct shared_turn *turn, size_t file)
{
	static const char data[BLOCK];
	struct fuse_write_in in = {.fh = turn->fh, .size = BLOCK, .flags = O_RDWR};
	struct fuse_write_out reply;
	int ret;

	if (!turn->client) {
		ssize_t n = pwrite(turn->fd, data, BLOCK, 0);

		return n < 0 ? -errno : n == BLOCK ? 0 : -EIO;
	}
	ret = shared_ask(turn, &REQUEST(FUSE_WRITE, turn->node, &reply, sizeof(reply), ARGUMENT(in),
				ARGUMENT(data)));
	return ret ? ret : reply.size == BLOCK ? 0 : -EPROTO;
}

static int request_setattr(struct shared_turn *turn, size_t file)
{
	struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = S_IFREG | 0640};
	struct fuse_attr_out reply;

	if (!turn->client)
		return from_call(fchmod(turn->fd, 0640));
	return shared_ask(turn, &REQUEST(FUSE_SETATTR, turn->node, &reply, sizeof(reply),
					ARGUMENT(in)));
}

static int request_mkdir(struct shared_turn *turn, size_t file)
{
	struct fuse_mkdir_in in = {.mode = 0755};
	struct fuse_forget_in forget = {.nlookup = 1};
	struct fuse_entry_out reply;
	int ret;

	if (!turn->client) {
		ret = mkdirat(turn->root, turn->fresh, 0755);
		return from_call(ret ? ret : unlinkat(turn->root, turn->fresh, AT_REMOVEDIR));
	}
	ret = shared_ask(turn, &REQUEST(FUSE_MKDIR, FUSE_ROOT_ID, &reply, sizeof(reply),
				       ARGUMENT(in), NAME(turn->fresh)));
	if (ret == 0)
		ret = shared_ask(turn, &REQUEST(FUSE_RMDIR, FUSE_ROOT_ID, NULL, 0,
					       NAME(turn->fresh)));
	if (ret == 0)
		ret = shared_ask(turn, &REQUEST(FUSE_FORGET, reply.nodeid, NULL, 0,
					       ARGUMENT(forget)));
	return ret;
}

// With a block to read.
static int make_block(struct shared_turn *turn)
{
	int ret = make_kept(turn);

	return ret < 0 ? ret : request_write(turn, 0);
}

static int request_read(struct shared_turn *turn, size_t file)
{
	struct fuse_read_in in = {.fh = turn->fh, .size = BLOCK, .flags = O_RDWR};
	char data[BLOCK];

	if (!turn->client) {
		ssize_t n = pread(turn->fd, data, BLOCK, 0);

		return n < 0 ? -errno : n == BLOCK ? 0 : -EIO;
	}
	return shared_ask(turn, &REQUEST(FUSE_READ, turn->node, data, sizeof(data), ARGUMENT(in)));
}

const struct shared_op shared_ops[] = {
	{"fstat", "causeway_fstat() or fstat(2) of one file, again and again", false, false, 1000,
		open_first, stat_handle, close_first},
	{"lstat", "causeway_stat() or lstat(2) by paths of four components, of 100 files in turn",
		false, false, SHARED_FEW, NULL, stat_path, NULL},
	{"walk", "the same of all files of a tree", true, false, 1, NULL, stat_path, NULL},
	{"request-getattr", "GETATTR", false, true, 1, make_kept, request_getattr, drop_kept},
	{"request-lookup", "LOOKUP of a name in the root", false, true, 1, make_kept,
		request_lookup, drop_kept},
	{"request-create", "CREATE, RELEASE, UNLINK and FORGET", false, true, 1, NULL,
		request_create, NULL},
	{"request-rename", "RENAME of a file in the root, there and back", false, true, 1,
		make_kept, request_rename, drop_kept},
	{"request-replace", "CREATE, RENAME over another file, RELEASE and FORGET of that", false,
		true, 1, make_kept, request_replace, drop_kept},
	{"request-setattr", "SETATTR of a mode", false, true, 1, make_kept, request_setattr,
		drop_kept},
	{"request-mkdir", "MKDIR, RMDIR and FORGET", false, true, 1, NULL, request_mkdir, NULL},
	{"request-list", "READDIRPLUS of the directory of a file", false, true, 1, shared_open_listing,
		shared_list, shared_close_listing},
	{"request-list-new", "the same of files that nobody knows yet, and BATCH_FORGET", false,
		true, 1, shared_open_listing, shared_list_new, shared_close_listing},
	{"request-read-4k", "READ of 4 KiB", false, true, 1, make_block, request_read, drop_kept},
	{"request-write-4k", "WRITE of 4 KiB", false, true, 1, make_kept, request_write, drop_kept},
};
const unsigned int nshared_ops = sizeof(shared_ops) / sizeof(shared_ops[0]);
