// SPDX-License-Identifier: BSD-2-Clause
/*
 * From a descriptor chain to a handler and back: the only reader of request headers.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "fuse/pins.h"
#include "fuse/pool.h"
#include "fuse/request.h"
#include "fuse/sleep.h"
#include "fuse/version.h"

_Static_assert(sizeof(struct fuse_out_header) + sizeof(struct fuse_init_out) <= FUSE_DEFERRED_REPLY,
	"what is answered last is the answer of INIT or DESTROY");

/* clang-format off */
#define OP(op, fixed, names, tail, reply, flags) \
	[FUSE_##op] = {#op, fuse_do_##op, sizeof(fixed), sizeof(reply), names, FUSE_TAIL_##tail, \
		flags},
static const struct fuse_op ops[FUSE_OPCODE_MAX] = { FUSE_OPS(OP) };
#undef OP
/* clang-format on */

void fuse_session_init(struct fuse_session *se, struct fs *fs, const struct fuse_config *config)
{
	*se = (struct fuse_session){
		.fs = fs,
		.config = *config,
		.open_flags_file = fuse_open_offer(config, false),
		.open_flags_dir = fuse_open_offer(config, true),
	};
	fuse_counts_init(&se->counts);
}

void fuse_session_defer(struct fuse_session *se, const struct fuse_deferral *deferral)
{
	se->deferral = deferral;
}

void fuse_session_version(struct fuse_session *se, struct vtable *table)
{
	se->table = table;
}

void fuse_session_watch(struct fuse_session *se, const struct watch *watch)
{
	se->watch = watch;
}

void fuse_session_drop(struct fuse_session *se)
{
	se->fs->ops->reset(se->fs);
	atomic_store(&se->agreed, false);
	atomic_store(&se->pins, false);
	atomic_store(&se->sleeps, false);
	atomic_store(&se->asleep, false);
}

void fuse_session_reset(struct fuse_session *se)
{
	atomic_store(&se->ready, false);
	fuse_session_drop(se);
}

void fuse_session_device_reset(struct fuse_session *se)
{
	if (atomic_load(&se->asleep))
		log_debug("the guest sleeps: its session goes on");
	else
		fuse_session_reset(se);
}

struct fuse_worker *fuse_worker_new(struct fuse_session *se, unsigned int queue)
{
	struct fuse_worker *w = calloc(1, sizeof(*w));

	if (w) {
		w->se = se;
		w->queue = queue;
		fuse_count_join(&se->counts, &w->count);
	}
	return w;
}

void fuse_worker_free(struct fuse_worker *w)
{
	if (w)
		fuse_count_leave(&w->se->counts, &w->count);
	free(w);
}

void fuse_session_metrics(struct fuse_session *se, struct metrics *m)
{
	fuse_counts_metrics(&se->counts, m);
	fuse_pool_metrics(se, m);
}

void fuse_worker_end_waits(struct fuse_worker *w)
{
	w->se->fs->ops->end_waits(w->se->fs, w, 0);
	fuse_pool_drain(w);
}

const struct fuse_op *fuse_op_find(uint32_t opcode)
{
	if (opcode == VT_HELLO)
		return &version_hello;
	if (opcode == CW_HELLO)
		return &pins_hello;
	if (opcode == CW_SLEEP)
		return &sleep_op;
	return opcode < FUSE_OPCODE_MAX && ops[opcode].handle ? &ops[opcode] : NULL;
}

struct fs_caller fuse_caller(const struct fuse_req *req, uint32_t umask)
{
	const struct fuse_ext *ext = &req->w->ext;

	return (struct fs_caller){
		.uid = req->in.uid,
		.gid = req->in.gid,
		.umask = umask & 0777,
		.groups = ext->groups,
		.n_groups = ext->n_groups,
		.labels = ext->labels,
		.n_labels = ext->n_labels,
	};
}

static struct fs_target target(const struct fuse_req *req, uint64_t handle, uint64_t without)
{
	return (struct fs_target){
		.node = req->in.nodeid,
		.handle = handle,
		.has_handle = handle != 0 || !fuse_has(req->se, without),
	};
}

struct fs_target fuse_target(const struct fuse_req *req, uint64_t handle)
{
	return target(req, handle, FUSE_NO_OPEN_SUPPORT);
}

struct fs_target fuse_dir_target(const struct fuse_req *req, uint64_t handle)
{
	return target(req, handle, FUSE_NO_OPENDIR_SUPPORT);
}

/*
 * Extensions fill the rest of a request, as its header says. Labels alone stood there already
 * before Linux 6.3 had the header say so.
 */
static int take_extensions(struct fuse_req *req, const char *rest, size_t len)
{
	uint64_t flags = atomic_load(&req->se->flags);
	bool untold = req->in.total_extlen == 0 && len > 0;

	if (!untold && len != req->in.total_extlen * 8u)
		return -EINVAL;
	if (len == 0)
		return 0;
	if (!(req->op->flags & FUSE_OP_CREATES))
		return -EINVAL;
	return fuse_ext_parse(&req->w->ext, rest, len,
		flags & (untold ? FUSE_SECURITY_CTX : FUSE_SECURITY_CTX | FUSE_CREATE_SUPP_GROUP));
}

/* The names and extensions must fill the request exactly, each name with its terminator. */
static int split(struct fuse_req *req, const char *names, size_t len)
{
	for (unsigned int i = 0; i < req->op->names; i++) {
		const char *end = memchr(names, '\0', len);

		if (!end)
			return -EINVAL;
		req->name[i] = names;
		len -= (size_t)(end + 1 - names);
		names = end + 1;
	}
	return take_extensions(req, names, len);
}

/* Copies the arguments out of guest memory, once, and checks their shape. */
static int decode(struct fuse_req *req)
{
	const struct fuse_op *op = req->op;
	char *args = req->w->args.bytes;
	size_t len = op->tail == FUSE_TAIL_DATA ? op->fixed : req->data.left;
	size_t rest;

	req->w->ext.n_groups = req->w->ext.n_labels = 0;
	if (req->data.left < op->fixed || (op->tail != FUSE_TAIL_NONE && req->in.total_extlen))
		return -EINVAL;
	if (len > FUSE_ARGS_MAX)
		return op->names ? -ENAMETOOLONG : -EINVAL;
	cursor_read(&req->data, args, len);
	req->args = args;
	rest = len - op->fixed;
	if (op->tail == FUSE_TAIL_ARRAY)
		req->array_len = rest;
	return op->tail == FUSE_TAIL_NONE ? split(req, args + op->fixed, rest) : 0;
}

/* Who asks, as the host has it. Who is forbidden there creates nothing; what else they may do, the
 * guest has decided. */
static int translate_caller(struct fuse_req *req)
{
	const struct fuse_config *config = &req->se->config;
	struct fuse_ext *ext = &req->w->ext;
	int r;

	if (!config->uids && !config->gids)
		return 0;
	r = idmap_to_host(config->uids, &req->in.uid);
	if (r == 0)
		r = idmap_to_host(config->gids, &req->in.gid);
	for (unsigned int i = 0; r == 0 && i < ext->n_groups; i++)
		r = idmap_to_host(config->gids, &ext->groups[i]);
	return req->op->flags & FUSE_OP_CREATES || req->in.opcode == FUSE_ACCESS ? r : 0;
}

/* Everything that must hold before a handler may run. */
static int check(struct fuse_req *req, size_t in_len)
{
	const struct fuse_op *op = req->op;
	int r;

	if (in_len < sizeof(req->in) || req->in.len != in_len)
		return -EIO;
	if (!op)
		return -ENOSYS;
	if (!(op->flags & FUSE_OP_EARLY) && !atomic_load(&req->se->ready))
		return -EIO;
	if ((op->flags & FUSE_OP_CHANGES) && req->se->config.readonly)
		return -EROFS;
	/* A reply without room is refused here, so that no handler has to undo its work. */
	if (cursor_skip(&req->out, req->words) < req->words || req->out.left < op->reply)
		return -EINVAL;
	req->unprivileged = req->in.uid != 0;
	r = decode(req);
	return r < 0 ? r : translate_caller(req);
}

int fuse_reply(struct fuse_req *req, const void *payload, size_t size)
{
	if (req->out.left < size)
		return -EINVAL;
	cursor_write(&req->out, payload, size);
	return (int)size;
}

/* What ends waiting requests is answered after them: their answers may still be on their way,
 * through other queues. */
static bool answer_last(struct fuse_req *req, uint32_t len)
{
	const struct fuse_deferral *deferral = req->se->deferral;
	char *reply = req->w->reply.bytes;
	void *deferred = NULL;

	if (deferral && (atomic_load(&req->se->waited) || req->se->config.dax))
		deferred = deferral->defer(deferral->opaque, req->w->queue, req->chain, reply, len);
	if (deferred && !fuse_pool_end(req, deferred, reply, len))
		deferral->finish_last(deferred, reply, len);
	return deferred != NULL;
}

/* Whether the reply is made in the worker's memory, since it may have to go out later. */
static bool is_held(const struct fuse_req *req)
{
	unsigned int flags = req->op ? req->op->flags : 0;

	return flags & FUSE_OP_ENDS || (flags & FUSE_OP_SIZES && req->se->config.dax);
}

/* Answers with a reply that is in the worker's memory, now or later. */
static uint32_t answer_held(struct fuse_req *req, uint32_t len, struct cursor head)
{
	if (req->op->flags & FUSE_OP_ENDS ? answer_last(req, len)
					  : fuse_pool_settle(req, req->w->reply.bytes, len))
		return FUSE_DEFERRED;
	return (uint32_t)cursor_write(&head, req->w->reply.bytes, len);
}

struct fuse_out_header fuse_out_head(const struct fuse_req *req, int r)
{
	return (struct fuse_out_header){
		.len = (uint32_t)sizeof(struct fuse_out_header) +
			(r < 0 ? 0 : req->words + (uint32_t)r),
		.error = r < 0 ? r : 0,
		.unique = req->in.unique,
	};
}

int fuse_handle(struct fuse_req *req)
{
	int r = version_handle(req);

	/* The limit that was met is not one of the guest's process. */
	return r == -EMFILE ? -ENFILE : r;
}

static uint32_t answer(struct fuse_req *req, struct cursor head, int r, bool held)
{
	struct fuse_out_header out = fuse_out_head(req, r);
	size_t words = r < 0 ? 0 : req->words;

	if (held) {
		memcpy(req->w->reply.bytes, &out, sizeof(out));
		memcpy(req->w->reply.bytes + sizeof(out), req->w->words, words);
		return answer_held(req, out.len, head);
	}
	cursor_write(&head, &out, sizeof(out));
	cursor_write(&head, req->w->words, words);
	return out.len;
}

/* On its ring's thread, or beside it. */
static int run(struct fuse_req *req)
{
	if (fuse_pool_take(req))
		return FUSE_LATER;
	/* A ring's thread must not wait for the front-end. */
	return fuse_may_map(req) ? -EAGAIN : fuse_handle(req);
}

uint32_t fuse_serve(struct fuse_worker *w, const struct virtq_chain *chain)
{
	struct cursor head = virtq_chain_out(chain);
	struct iovec own = {w->reply.bytes, sizeof(w->reply)};
	struct fuse_req req = {
		.se = w->se,
		.w = w,
		.chain = chain,
		.data = virtq_chain_in(chain),
		.out = virtq_chain_out(chain),
	};
	struct fuse_op_count *count;
	bool answered, held;
	uint64_t begun;
	uint32_t written = 0;
	int r;

	cursor_read(&req.data, &req.in, sizeof(req.in));
	req.op = fuse_op_find(req.in.opcode);
	count = fuse_count_of(&w->count, req.op ? req.in.opcode : 0);
	begun = fuse_count_begin(count);
	answered = !req.op || !(req.op->flags & FUSE_OP_NO_REPLY);
	req.words = (uint16_t)version_words_size(w->se, req.in.opcode);
	held = is_held(&req);
	if (held)
		req.out = cursor_over(&own, min_t(size_t, chain->out_len, sizeof(w->reply)));
	if (answered &&
		cursor_skip(&req.out, sizeof(struct fuse_out_header)) <
			sizeof(struct fuse_out_header))
		return 0;
	r = check(&req, chain->in_len);
	/* Its arguments were not what the guest put there; the ring breaks. */
	if (virtq_chain_strayed(chain))
		return 0;
	if (r == 0)
		r = run(&req);
	if (log_threshold >= LOG_TRACE)
		fuse_print(&req, r);
	/* Whoever answers it later counts that. */
	if (r == FUSE_LATER)
		return FUSE_DEFERRED;
	if (answered)
		written = answer(&req, head, r, held);
	fuse_count_end(count, begun, r);
	return written;
}
