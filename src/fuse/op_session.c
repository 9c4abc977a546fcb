// SPDX-License-Identifier: BSD-2-Clause
/*
 * INIT and what ends with it: DESTROY, FORGET, INTERRUPT.
 */
#include <errno.h>

#include "base/log.h"
#include "base/util.h"
#include "fuse/request.h"

/* Requests that a guest may keep in flight in the background; its ring is the real limit. */
#define MAX_BACKGROUND UINT16_MAX

/* What is mapped in a DAX window begins and ends at multiples of 4096. */
#define MAP_ALIGNMENT_BITS 12

/* The flags that the guest wants, of which the upper half came late in the protocol. */
static uint64_t wanted_flags(struct fuse_req *req, const struct fuse_init_in_oldest *in)
{
	uint32_t flags2 = 0;

	if (in->flags & FUSE_INIT_EXT)
		cursor_read(&req->data, &flags2, sizeof(flags2));
	return in->flags | (uint64_t)flags2 << 32;
}

/* Whether the guest has agreed to what it must. */
static bool meets_demands(struct fuse_session *se, uint64_t flags)
{
	const char *missing = NULL;

	if (se->config.posix_acl == FUSE_WHEN_ALWAYS && !(flags & FUSE_POSIX_ACL))
		missing = "enforce ACLs, as --posix-acl=always demands";
	if (se->config.security_label == FUSE_WHEN_ALWAYS && !(flags & FUSE_SECURITY_CTX))
		missing = "label what it creates, as --security-label=always demands";
	if (missing && !atomic_exchange(&se->told_old, true))
		log_error("the guest cannot %s", missing);
	return !missing;
}

int fuse_do_INIT(struct fuse_req *req)
{
	const struct fuse_init_in_oldest *in = req->args;
	struct fuse_session *se = req->se;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = min_t(uint32_t, in->minor, FUSE_MINOR_NEWEST),
		.max_readahead = in->max_readahead,
		.max_background = MAX_BACKGROUND,
		.congestion_threshold = MAX_BACKGROUND / 4 * 3,
		.max_write = FUSE_DATA_MAX,
		.time_gran = 1,
		.max_pages = FUSE_DATA_MAX / 4096,
		.map_alignment = req->se->config.dax ? MAP_ALIGNMENT_BITS : 0,
	};
	uint64_t flags;

	/* A newer guest tries again with the version that it is told. */
	if (in->major > FUSE_KERNEL_VERSION) {
		out.minor = FUSE_MINOR_NEWEST;
		return fuse_reply(req, &out, sizeof(out));
	}
	if (in->major < FUSE_KERNEL_VERSION || in->minor < FUSE_MINOR_OLDEST) {
		/* Once: a guest must not be able to fill the log. */
		if (!atomic_exchange(&se->told_old, true))
			log_error("the guest speaks FUSE %u.%u; 7.%d is the oldest that is served",
				in->major, in->minor, FUSE_MINOR_OLDEST);
		return -EPROTO;
	}
	flags = wanted_flags(req, in) & fuse_init_offer(&se->config);
	if (!meets_demands(se, flags))
		return -EPROTO;
	out.flags = (uint32_t)flags;
	out.flags2 = (uint32_t)(flags >> 32);
	if (req->out.left < sizeof(out))
		return -EINVAL;
	/* A guest that starts over holds nothing, whatever the one before it held. */
	fuse_session_drop(se);
	atomic_store(&se->flags, flags);
	atomic_store(&se->ready, true);
	log_debug("the guest speaks FUSE 7.%u, flags %#llx", in->minor, (unsigned long long)flags);
	return fuse_reply(req, &out, sizeof(out));
}

int fuse_do_DESTROY(struct fuse_req *req)
{
	fuse_session_reset(req->se);
	return 0;
}

int fuse_do_FORGET(struct fuse_req *req)
{
	const struct fuse_forget_in *in = req->args;

	req->se->fs->ops->forget(req->se->fs, req->in.nodeid, in->nlookup);
	return 0;
}

int fuse_do_BATCH_FORGET(struct fuse_req *req)
{
	const struct fuse_batch_forget_in *in = req->args;
	struct fuse_forget_one one;

	if (in->count > req->data.left / sizeof(one))
		return -EINVAL;
	for (uint32_t i = 0; i < in->count; i++) {
		cursor_read(&req->data, &one, sizeof(one));
		req->se->fs->ops->forget(req->se->fs, one.nodeid, one.nlookup);
	}
	return 0;
}

/* The only requests that wait are for locks; whichever else INTERRUPT names has been answered, or
 * will be without delay. */
int fuse_do_INTERRUPT(struct fuse_req *req)
{
	const struct fuse_interrupt_in *in = req->args;

	req->se->fs->ops->end_waits(req->se->fs, NULL, in->unique);
	return 0;
}
