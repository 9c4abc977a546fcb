// SPDX-License-Identifier: BSD-2-Clause
/*
 * INIT: which version and features both sides speak; and DESTROY.
 */
#include <errno.h>

#include "base/util.h"
#include "client/client.h"

#define PAGE        4096u
#define PAYLOAD_MAX (1u << 20)
/* What a request may carry where the back-end knows no FUSE_MAX_PAGES. */
#define PAGES_DEFAULT 32

/* What this client can use. INIT_EXT only says that there are flags beyond 32 bits. */
#define WANTED                                                                                     \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_ATOMIC_O_TRUNC |             \
		FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA |    \
		FUSE_DO_READDIRPLUS | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |     \
		FUSE_HANDLE_KILLPRIV_V2 | FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT |         \
		FUSE_CACHE_SYMLINKS | FUSE_SETXATTR_EXT | FUSE_INIT_EXT)
/* With a window for files. */
#define WANTED_DAX (FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX)

static uint64_t wanted(const struct causeway *c)
{
	return (uint64_t)WANTED | (c->t.fe.window.base ? WANTED_DAX : 0);
}

static int negotiated(struct causeway *c, const struct fuse_init_out *out, uint32_t len)
{
	struct client_session *s = &c->session;
	size_t pages = PAGES_DEFAULT;

	if (out->major != FUSE_KERNEL_VERSION || out->minor < CLIENT_MINOR_OLDEST)
		return client_fail(c, -EPROTO, "the back-end speaks FUSE %u.%u; 7.%d is the oldest "
					       "that will do", out->major, out->minor,
			CLIENT_MINOR_OLDEST);
	if (len < sizeof(*out))
		return client_fail(c, -EPROTO, "the back-end's reply to INIT is malformed: "
					       "it is too short");
	s->minor = min_t(uint32_t, out->minor, (uint32_t)c->options.minor);
	s->flags = out->flags;
	if (out->flags & FUSE_INIT_EXT)
		s->flags |= (uint64_t)out->flags2 << 32;
	if (s->flags & ~wanted(c))
		return client_fail(c, -EPROTO, "the back-end turns on what was not offered: "
					       "flags %#llx",
			(unsigned long long)(s->flags & ~wanted(c)));
	if (s->flags & FUSE_MAX_PAGES)
		pages = max_t(size_t, out->max_pages, 1);
	s->max_data = min_t(size_t, pages * PAGE, max_t(size_t, out->max_write, PAGE));
	/* Several must fit beside each other. */
	s->max_data = min_t(size_t, s->max_data, c->t.fe.memory_size / 8 / PAGE * PAGE);
	s->max_data = min_t(size_t, s->max_data, PAYLOAD_MAX);
	s->time_gran = out->time_gran;
	return window_open(c, s->flags & FUSE_MAP_ALIGNMENT ? out->map_alignment : 0);
}

int client_init(struct causeway *c)
{
	struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = (uint32_t)c->options.minor,
		.max_readahead = PAYLOAD_MAX,
		.flags = (uint32_t)wanted(c),
		.flags2 = (uint32_t)(wanted(c) >> 32),
	};
	struct fuse_init_out out = {.major = 0};
	struct call call = {
		.opcode = FUSE_INIT,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = 2 * sizeof(uint32_t),
	};
	int r;

	/* A server of before 7.36 takes the shorter one only. */
	if (in.minor < 36) {
		in.flags &= ~(uint32_t)FUSE_INIT_EXT;
		call.args[0].iov_len = sizeof(struct fuse_init_in_oldest);
	}
	r = client_call(c, &call);
	return r < 0 ? r : negotiated(c, &out, call.out_len);
}

void client_destroy(struct causeway *c)
{
	struct call call = {.opcode = FUSE_DESTROY};

	/* Queues are served side by side, and a forget behind the end is an error to QEMU's daemon,
	 * which it cannot even tell. */
	transport_drain(&c->t, 0);
	/* A server that does not know it has nothing to destroy. */
	client_call(c, &call);
}
