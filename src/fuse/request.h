// SPDX-License-Identifier: BSD-2-Clause
/*
 * A request on its way through a handler, inside src/fuse.
 */
#ifndef FUSE_REQUEST_H
#define FUSE_REQUEST_H

#include <limits.h>

#include "fuse/count.h"
#include "fuse/session.h"
#include "mem/cursor.h"
#include "proto/fuse_ops.h"
#include "proto/version_rows.h"

/* The longest request that is copied whole: SYMLINK's name and target, RENAME2's two names. */
#define FUSE_ARGS_MAX 8192
/* The most that one READDIR or READLINK returns. */
#define FUSE_BUFFER_MAX (128 * 1024)
/* The most data that one READ or WRITE may carry, which INIT tells the guest. What a guest really
 * sends is bounded by its own limit and by the size of its ring (Linux: 256 pages, unless
 * fs.fuse.max_pages_limit says more). */
#define FUSE_DATA_MAX (16u << 20)
/* iovecs that one read or write is passed on with. */
#define FUSE_IOV_MAX 1024

/* What a request says of its caller behind its names (ext.c); 0 of each where it says nothing. */
#define FUSE_LABELS_MAX FUSE_MAX_NR_SECCTX
struct fuse_ext {
	unsigned int n_groups, n_labels;
	gid_t groups[FS_GROUPS_MAX];
	struct fs_label labels[FUSE_LABELS_MAX]; /* point into the request */
};

struct fuse_worker {
	struct fuse_session *se;
	unsigned int queue;
	unsigned int jobs; /* in the pool, of requests that came by this queue; under its lock */
	struct fuse_count count;
	union {
		char bytes[FUSE_ARGS_MAX];
		uint64_t align;
	} args;
	union {
		char bytes[512];
		uint64_t align;
	} reply;
	char words[VT_WORDS_MAX]; /* of the reply to the request that was run last */
	char buffer[FUSE_BUFFER_MAX];
	struct iovec iov[FUSE_IOV_MAX];
	struct fuse_ext ext;
};

struct fuse_req;

/* Handlers return how many bytes of payload the reply has (given with fuse_reply() or written to
 * req->out), or -errno, or FUSE_LATER where the request was deferred. */
#define FUSE_LATER INT_MAX
typedef int fuse_handler(struct fuse_req *req);

struct fuse_op {
	const char *name;
	fuse_handler *handle;
	uint16_t fixed; /* bytes of arguments before names */
	uint16_t reply; /* bytes that a successful reply has at least */
	uint8_t names;
	uint8_t tail;
	uint8_t flags; /* FUSE_OP_* */
};

struct fuse_req {
	struct fuse_session *se;
	struct fuse_worker *w;
	const struct fuse_op *op;
	const struct virtq_chain *chain;
	struct fuse_in_header in;
	bool unprivileged; /* the caller is not the guest's root */
	bool beside;         /* its queue: it may wait for the front-end */
	uint16_t words;      /* bytes of them in a successful reply, before the payload */
	const void *args;    /* op->fixed bytes, and those of FUSE_TAIL_ARRAY */
	size_t array_len;    /* bytes of the latter */
	uint64_t sized;      /* a node whose size the reply tells, or that it changed; or 0 */
	const char *name[2]; /* op->names of them */
	struct cursor data;  /* FUSE_TAIL_DATA */
	struct cursor out;   /* room for the payload; at least op->reply bytes */
};

/* Finds an operation by its number, or NULL. (dispatch.c) */
const struct fuse_op *fuse_op_find(uint32_t opcode);

/* Drops what the guest held, and what was agreed with it after INIT. (dispatch.c) */
void fuse_session_drop(struct fuse_session *se);

/* Runs the handler of a request that was checked. (dispatch.c) */
int fuse_handle(struct fuse_req *req);

/* The header of the reply to a request whose handler returned r. */
struct fuse_out_header fuse_out_head(const struct fuse_req *req, int r);

/* Makes size bytes the payload of the reply. Returns size, or -EINVAL where it has no room. */
int fuse_reply(struct fuse_req *req, const void *payload, size_t size);

/* Replies that several operations share. (reply.c) */
/* How long a guest may trust attributes. */
uint64_t fuse_attr_ns(const struct fuse_session *se, const struct statx *st);

void fuse_fill_attr(const struct fuse_session *se, struct fuse_attr *attr, const struct statx *st);
void fuse_fill_entry(const struct fuse_session *se, struct fuse_entry_out *out,
	const struct fs_entry *entry);
/* The same with words in the place of times, for a listing (proto/version_wire.h). */
void fuse_fill_entry_words(const struct fuse_session *se, struct fuse_entry_out *out,
	const struct fs_entry *entry);
void fuse_fill_open(const struct fuse_session *se, struct fuse_open_out *out, uint64_t handle,
	bool directory);
int fuse_reply_entry(struct fuse_req *req, const struct fs_entry *entry);
int fuse_reply_attr(struct fuse_req *req, const struct statx *st);

/* Takes len bytes of extensions apart, of the kinds that allowed (INIT flags) has: 0 or -EINVAL.
 * (ext.c) */
int fuse_ext_parse(struct fuse_ext *ext, const char *bytes, size_t len, uint64_t allowed);

/* The caller of a request, and the target of an operation on an open file or directory. Handle 0 is
 * none, where the guest opens without a message. */
struct fs_caller fuse_caller(const struct fuse_req *req, uint32_t umask);
struct fs_target fuse_target(const struct fuse_req *req, uint64_t handle);
struct fs_target fuse_dir_target(const struct fuse_req *req, uint64_t handle);

/* Whether INIT settled on a flag. */
static inline bool fuse_has(const struct fuse_session *se, uint64_t flag)
{
	return atomic_load_explicit(&se->flags, memory_order_relaxed) & flag;
}

/* Traces a request and what became of it. (print.c) */
void fuse_print(const struct fuse_req *req, int result);

/* clang-format off */
#define FUSE_DECLARE(op, fixed, names, tail, reply, flags) fuse_handler fuse_do_##op;
FUSE_OPS(FUSE_DECLARE)
#undef FUSE_DECLARE
/* clang-format on */

#endif
