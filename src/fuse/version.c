// SPDX-License-Identifier: BSD-2-Clause
#include "fuse/version.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>

#include "base/util.h"
#include "coherence/request.h"

/* A row of VT_OPS. */
struct row {
	uint16_t looks, marks, more;
	uint8_t when;
};

/* clang-format off */
#define ROW(op, looks, marks, more, when) [FUSE_##op] = {looks, marks, more, VT_WHEN_##when},
static const struct row rows[FUSE_OPCODE_MAX] = { VT_OPS(ROW) };
#undef ROW

/* What is answered later is copied: words and payload have room in one reply. */
enum {
#define SIZE(op, looks, marks, more, when)                                                         \
	WORDS_##op = ((looks) | (marks) | (more) ? sizeof(struct vt_reply) : 0) +                  \
		__builtin_popcount(looks) * sizeof(struct vt_look) +                               \
		__builtin_popcount((marks) | (more)) * sizeof(struct vt_move),
	VT_OPS(SIZE)
#undef SIZE
};
#define LATER (FUSE_OP_SIZES | FUSE_OP_SLEEPS | FUSE_OP_MAPS | FUSE_OP_ENDS)
#define FITS(op, fixed, names, tail, reply, flags)                                                 \
	_Static_assert(!((flags) & LATER) || sizeof(struct fuse_out_header) + WORDS_##op +         \
		sizeof(reply) <= FUSE_DEFERRED_REPLY, #op " has too long a reply");
FUSE_OPS(FITS)
#undef FITS
/* clang-format on */

static const struct row *row_of(uint32_t opcode)
{
	static const struct row none;

	return opcode < FUSE_OPCODE_MAX ? &rows[opcode] : &none;
}

static unsigned int changes_of(const struct row *row)
{
	return row->marks | row->more;
}

unsigned int version_words_size(const struct fuse_session *se, uint32_t opcode)
{
	const struct row *row = row_of(opcode);

	if (!atomic_load_explicit(&se->agreed, memory_order_relaxed))
		return 0;
	return vt_words_size(row->looks, changes_of(row));
}

bool fuse_reply_has_words(const struct fuse_session *se, uint32_t opcode)
{
	return version_words_size(se, opcode) > 0;
}

static bool sets_flags(const struct fuse_ioctl_in *in)
{
	return in->cmd == FS_IOC_SETFLAGS || in->cmd == FS_IOC32_SETFLAGS ||
		in->cmd == FS_IOC_FSSETXATTR;
}

/* Whether a request is to be refused where there is no table to mark its change in. What ends with
 * RELEASE has to end; copies that it would write back are the file system's to leave alone. */
static bool is_change(const struct fuse_req *req, const struct row *row)
{
	const struct fuse_open_in *open = req->args;

	switch ((enum vt_when)row->when) {
	case VT_WHEN_TRUNC:
		return row->marks || open->flags & O_TRUNC;
	case VT_WHEN_SETS:
		return sets_flags(req->args);
	case VT_WHEN_COPIES:
		return req->se->config.dax && req->in.opcode != FUSE_RELEASE;
	case VT_WHEN_SIZE:
	case VT_WHEN_DIRS:
	case VT_WHEN_NEVER:
		break;
	}
	return row->marks;
}

int version_handle(struct fuse_req *req)
{
	const struct row *row = row_of(req->in.opcode);
	struct vtable *t = req->se->table;
	struct vtable_request v;
	int r;

	/* Where nobody reads words, only changes are of interest. */
	if (!t || !(changes_of(row) || (row->looks && req->words)))
		return req->op->handle(req);
	vtable_request_begin(&v, t, req->words > 0);
	r = vtable_is_lost(t) && is_change(req, row) ? -EIO : req->op->handle(req);
	vtable_request_end(&v);
	if (req->words)
		vtable_request_words(&v, row->looks, changes_of(row), req->w->words);
	return r;
}

/* What a guest that holds back writes knows of its files is ahead of any word. */
static int begin(struct fuse_session *se, const uint8_t theirs[VT_ID_SIZE],
	const uint8_t ours[VT_ID_SIZE])
{
	if (fuse_has(se, FUSE_WRITEBACK_CACHE))
		return -EBUSY;
	if (memcmp(theirs, ours, VT_ID_SIZE) != 0)
		return -ESTALE;
	atomic_store(&se->agreed, true);
	return 0;
}

static int hello(struct fuse_req *req)
{
	const struct vt_hello_in *in = req->args;
	struct vtable *t = req->se->table;
	struct vt_hello_out out = {.layout = VT_LAYOUT};
	bool lost;
	int r = 0;

	if (!t)
		return -ENOSYS;
	if (in->wire == 0 || in->flags & ~VT_HELLO_BEGIN)
		return -EINVAL;
	out.wire = min_t(uint32_t, in->wire, VT_WIRE);
	vtable_enter(t);
	lost = vtable_is_lost(t);
	memcpy(out.id, t->id, sizeof(out.id));
	out.slots = t->slots;
	vtable_leave(t);
	if (lost)
		return -ENOSYS;
	if (in->flags & VT_HELLO_BEGIN)
		r = begin(req->se, in->id, out.id);
	return r < 0 ? r : fuse_reply(req, &out, sizeof(out));
}

const struct fuse_op version_hello = {
	.name = "VT_HELLO",
	.handle = hello,
	.fixed = sizeof(struct vt_hello_in),
	.reply = sizeof(struct vt_hello_out),
};
