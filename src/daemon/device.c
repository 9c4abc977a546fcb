// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/device.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static_assert(FUSE_DEFERRED == VHOST_DEFERRED, "one value for both");
static_assert(FUSE_DEFERRED_REPLY <= VHOST_DEFERRED_REPLY, "replies have room");

struct worker {
	struct device *d;
	struct fuse_worker *fuse;
	unsigned int queue;
};

/* A request that is answered later, while there is a recording. */
struct held {
	struct device *d;
	struct vhost_deferred *deferred;
	struct recorded of;
	unsigned int queue;
	char first[FUSE_DEFERRED_REPLY]; /* what the guest gets if its queue stops */
	uint32_t len;
};

static void *defer_plainly(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len)
{
	struct device *d = opaque;

	return vhost_defer(d->backend, queue, chain, reply, len);
}

static bool finish_plainly(void *deferred, const void *reply, uint32_t len)
{
	return vhost_finish(deferred, reply, len);
}

static void finish_last_plainly(void *deferred, const void *reply, uint32_t len)
{
	vhost_finish_last(deferred, reply, len);
}

static void *defer_data_plainly(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len)
{
	struct device *d = opaque;

	return vhost_defer_data(d->backend, queue, chain, reply, len);
}

static struct iovec *reach_plainly(void *deferred, size_t *len)
{
	return vhost_reach(deferred, len);
}

static void leave(void *opaque)
{
	struct device *d = opaque;

	vhost_leave(d->backend);
}

static bool finish_data_plainly(void *deferred, const struct iovec *iov, uint32_t len)
{
	return vhost_finish_data(deferred, iov->iov_base, (uint32_t)iov->iov_len, len);
}

typedef struct vhost_deferred *defer_function(struct vhost_backend *dev, unsigned int queue,
	const struct virtq_chain *chain, const void *reply, uint32_t len);

static void *hold(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len, defer_function *defer)
{
	struct device *d = opaque;
	CLEANUP_FREE struct held *h = malloc(sizeof(*h));
	struct held *taken = h;

	if (!h)
		return NULL;
	h->d = d;
	h->of = d->current[queue];
	h->queue = queue;
	h->len = len;
	memcpy(h->first, reply, len);
	h->deferred = defer(d->backend, queue, chain, reply, len);
	if (!h->deferred)
		return NULL;
	h = NULL;
	return taken;
}

static void *defer_recorded(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len)
{
	return hold(opaque, queue, chain, reply, len, vhost_defer);
}

static void *defer_data_recorded(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len)
{
	return hold(opaque, queue, chain, reply, len, vhost_defer_data);
}

static struct iovec *reach_recorded(void *deferred, size_t *len)
{
	const struct held *h = deferred;

	return vhost_reach(h->deferred, len);
}

static void record_reply(const struct held *h, const void *reply, uint32_t len)
{
	const struct iovec iov = {(void *)(uintptr_t)reply, len};

	recorder_reply(h->d->recorder, h->queue, &h->of, &iov, len);
}

static bool finish_recorded(void *deferred, const void *reply, uint32_t len)
{
	CLEANUP_FREE struct held *h = deferred;
	bool heard = vhost_finish(h->deferred, reply, len);

	if (heard)
		record_reply(h, reply, len);
	else
		record_reply(h, h->first, h->len);
	return heard;
}

static void finish_last_recorded(void *deferred, const void *reply, uint32_t len)
{
	CLEANUP_FREE struct held *h = deferred;

	record_reply(h, reply, len);
	vhost_finish_last(h->deferred, reply, len);
}

static bool finish_data_recorded(void *deferred, const struct iovec *iov, uint32_t len)
{
	CLEANUP_FREE struct held *h = deferred;

	recorder_reply(h->d->recorder, h->queue, &h->of, iov, len);
	return finish_data_plainly(h->deferred, iov, len);
}

static const struct fuse_deferral plainly = {
	.defer = defer_plainly,
	.finish = finish_plainly,
	.finish_last = finish_last_plainly,
	.defer_data = defer_data_plainly,
	.reach = reach_plainly,
	.leave = leave,
	.finish_data = finish_data_plainly,
};

static const struct fuse_deferral recorded = {
	.defer = defer_recorded,
	.finish = finish_recorded,
	.finish_last = finish_last_recorded,
	.defer_data = defer_data_recorded,
	.reach = reach_recorded,
	.leave = leave,
	.finish_data = finish_data_recorded,
};

void device_init(struct device *d, struct fuse_session *session, struct vhost_backend *backend,
	struct recorder *recorder)
{
	*d = (struct device){.session = session, .backend = backend, .recorder = recorder};
	d->deferral = recorder ? recorded : plainly;
	d->deferral.opaque = d;
	fuse_session_defer(session, &d->deferral);
}

void *device_start_worker(void *opaque, unsigned int queue)
{
	struct worker *w = malloc(sizeof(*w));

	if (!w)
		return NULL;
	w->d = opaque;
	w->queue = queue;
	w->fuse = fuse_worker_new(w->d->session, queue);
	if (!w->fuse) {
		free(w);
		return NULL;
	}
	return w;
}

void device_stop_worker(void *worker)
{
	struct worker *w = worker;

	fuse_worker_free(w->fuse);
	free(w);
}

static uint32_t serve_recorded(struct worker *w, const struct virtq_chain *chain)
{
	struct device *d = w->d;
	struct recorded of = recorder_request(d->recorder, w->queue, chain->in, chain->in_len);
	uint32_t written;

	of.words = fuse_reply_has_words(d->session, of.opcode);
	d->current[w->queue] = of;
	written = fuse_serve(w->fuse, chain);
	if (written != FUSE_DEFERRED)
		recorder_reply(d->recorder, w->queue, &of, chain->out, written);
	return written;
}

uint32_t device_request(void *worker, const struct virtq_chain *chain)
{
	struct worker *w = worker;

	return w->d->recorder ? serve_recorded(w, chain) : fuse_serve(w->fuse, chain);
}

void device_end_waits(void *worker)
{
	struct worker *w = worker;

	fuse_worker_end_waits(w->fuse);
}
