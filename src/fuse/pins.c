// SPDX-License-Identifier: BSD-2-Clause
#include "fuse/pins.h"

#include <errno.h>

#include "base/util.h"

static int hello(struct fuse_req *req)
{
	const struct cw_hello_in *in = req->args;
	struct fuse_session *se = req->se;
	struct cw_hello_out out = {0};

	if (in->wire == 0)
		return -EINVAL;
	out.wire = min_t(uint32_t, in->wire, CW_WIRE);
	out.extensions = in->extensions & CW_EXT_SLEEP;
	if (in->extensions & CW_EXT_PINS && se->config.pins)
		out.extensions |= CW_EXT_PINS;
	/* Before the answer: what the guest sends after it may be served by another thread. */
	atomic_store(&se->pins, out.extensions & CW_EXT_PINS);
	atomic_store(&se->sleeps, out.extensions & CW_EXT_SLEEP);
	return fuse_reply(req, &out, sizeof(out));
}

const struct fuse_op pins_hello = {
	.name = "CW_HELLO",
	.handle = hello,
	.fixed = sizeof(struct cw_hello_in),
	.reply = sizeof(struct cw_hello_out),
};

void pins_give(const struct fuse_req *req, uint64_t node, int flags, struct fuse_open_out *out)
{
	struct fs *fs = req->se->fs;
	unsigned int kept;

	if (!atomic_load_explicit(&req->se->pins, memory_order_relaxed))
		return;
	kept = fs->ops->keep(fs, node, out->fh, flags);
	if (kept & FS_KEPT_READ)
		out->open_flags |= CW_FOPEN_PINNED_READ;
	if (kept & FS_KEPT_WRITE)
		out->open_flags |= CW_FOPEN_PINNED_WRITE;
}

struct fs_target pins_target_of(const struct fuse_req *req, uint64_t node, uint64_t handle,
	unsigned int kept)
{
	if (handle == CW_FH_NODE && atomic_load_explicit(&req->se->pins, memory_order_relaxed))
		return (struct fs_target){.node = node, .kept = kept};
	return (struct fs_target){.node = node, .handle = handle, .has_handle = true};
}

struct fs_target pins_target(const struct fuse_req *req, uint64_t handle, unsigned int kept)
{
	struct fs_target t = pins_target_of(req, req->in.nodeid, handle, kept);

	return t.kept ? t : fuse_target(req, handle);
}
