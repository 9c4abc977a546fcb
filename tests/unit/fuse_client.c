// SPDX-License-Identifier: BSD-2-Clause
#include "fuse_client.h"

#include "unit.h"

#include <string.h>

#define IN_MAX (1 << 17)

void fc_open(struct fuse_client *c, struct fs *fs, const struct fuse_config *config)
{
	memset(c, 0, sizeof(*c));
	fuse_session_init(&c->se, fs, config);
	c->worker = fuse_worker_new(&c->se, 1);
	assert_non_null(c->worker);
	c->in = (struct fuse_in_header){
		.unique = 7, .nodeid = FS_ROOT, .uid = 11, .gid = 22, .pid = 33};
}

void fc_close(struct fuse_client *c)
{
	fuse_worker_free(c->worker);
}

struct fuse_config fc_config(const char *mode)
{
	const struct cache_policy *policy = cache_policy_find(mode);

	assert_non_null(policy);
	return (struct fuse_config){
		.cache = policy,
		.readdirplus = true,
		.killpriv = true,
		.attr_ns = policy->timeout_ns,
		.entry_ns = policy->timeout_ns,
	};
}

/* Cuts len bytes into iovecs of piece bytes. */
static struct iovec *cut(char *bytes, size_t len, size_t piece)
{
	struct iovec *iov = calloc(len / piece + 2, sizeof(*iov));
	int n = 0;

	for (size_t at = 0; at < len; at += piece)
		iov[n++] = (struct iovec){bytes + at, min_t(size_t, piece, len - at)};
	return iov;
}

/* Serves a request from memory of exactly its size, so that sanitizers see the edges. */
static int serve(struct fuse_client *c, const void *args, size_t len, size_t room, size_t piece)
{
	size_t in_len = sizeof(c->in) + len;
	char *in = malloc(in_len), *out = malloc(room + 1);
	struct iovec *in_iov = cut(in, in_len, piece), *out_iov = cut(out, room, piece);
	struct virtq_chain chain = {
		.in = in_iov, .in_len = in_len, .out = out_iov, .out_len = room};
	bool deferred;

	memcpy(in, &c->in, sizeof(c->in));
	if (len > 0)
		memcpy(in + sizeof(c->in), args, len);
	memset(out, 0x5a, room + 1);
	c->written = fuse_serve(c->worker, &chain);
	deferred = c->written == FUSE_DEFERRED;
	if (deferred)
		c->written = 0;
	assert_true(c->written <= room);
	for (size_t i = c->written; i <= room; i++)
		assert_int_equal(out[i], 0x5a);
	c->payload_len = 0;
	if (c->written > 0) {
		assert_true(c->written >= sizeof(c->out));
		memcpy(&c->out, out, sizeof(c->out));
		assert_int_equal(c->out.len, c->written);
		c->payload_len = c->written - sizeof(c->out);
		assert_true(c->payload_len <= sizeof(c->payload));
		memcpy(c->payload, out + sizeof(c->out), c->payload_len);
	}
	free(in);
	free(out);
	free(in_iov);
	free(out_iov);
	if (deferred)
		return FC_DEFERRED;
	if (c->written == 0)
		return -EPROTO;
	assert_true(c->out.error <= 0);
	assert_true(c->out.error == 0 || c->payload_len == 0);
	return c->out.error ? c->out.error : (int)c->payload_len;
}

int fc_send(struct fuse_client *c, uint32_t opcode, const void *args, size_t len, size_t room)
{
	c->in.opcode = opcode;
	c->in.len = (uint32_t)(sizeof(c->in) + len);
	return serve(c, args, len, room, IN_MAX);
}

int fc_send_raw(struct fuse_client *c, const void *args, size_t len, size_t room)
{
	return serve(c, args, len, room, 1);
}

void fc_init(struct fuse_client *c)
{
	struct fuse_init_in in = {
		.major = 7, .minor = 45, .flags = UINT32_MAX, .flags2 = UINT32_MAX};

	assert_int_equal(fc_send(c, FUSE_INIT, &in, sizeof(in), 4096),
		sizeof(struct fuse_init_out));
}
