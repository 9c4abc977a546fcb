// SPDX-License-Identifier: BSD-2-Clause
#include "fuse/pool.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* Bytes of arguments of an operation that sleeps. */
#define ARGS_MAX 64

struct job {
	struct job *next; /* in the list of those that wait, or that are free */
	void *deferred;
	const struct fuse_op *op;
	struct fuse_worker *from; /* of the queue that it came by */
	struct fuse_in_header in;
	bool unprivileged;
	union {
		char bytes[ARGS_MAX];
		uint64_t align;
	} args;
};

struct fuse_pool {
	struct fuse_session *se;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t work;  /* a job waits, or it is time to end */
	pthread_cond_t idle;  /* a worker has no job here any more, or a thread has begun */
	struct job *first, **last; /* waiting */
	struct job *free;
	bool stop;
	unsigned int running; /* threads that have begun */
	unsigned int nthreads;
	pthread_t threads[FUSE_POOL_THREADS_MAX];
	struct job jobs[FUSE_POOL_JOBS];
};

/* The oldest job that waits, or NULL when it is time to end. */
static struct job *next_job(struct fuse_pool *pool)
{
	struct job *job;

	pthread_mutex_lock(&pool->lock);
	while (!pool->first && !pool->stop)
		pthread_cond_wait(&pool->work, &pool->lock);
	job = pool->first;
	if (job) {
		pool->first = job->next;
		if (!pool->first)
			pool->last = &pool->first;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void job_done(struct fuse_pool *pool, struct job *job)
{
	pthread_mutex_lock(&pool->lock);
	job->next = pool->free;
	pool->free = job;
	if (--job->from->jobs == 0)
		pthread_cond_broadcast(&pool->idle);
	pthread_mutex_unlock(&pool->lock);
}

/* Runs the request as its ring's thread would have, with a buffer in place of the chain. */
static void run(struct fuse_worker *w, const struct job *job)
{
	char reply[FUSE_DEFERRED_REPLY];
	struct iovec iov = {.iov_base = reply, .iov_len = sizeof(reply)};
	struct fuse_req req = {
		.se = w->se,
		.w = w,
		.op = job->op,
		.in = job->in,
		.unprivileged = job->unprivileged,
		.args = job->args.bytes,
		.out = cursor_over(&iov, sizeof(reply)),
	};
	struct fuse_out_header head;
	int r;

	w->queue = job->from->queue;
	cursor_skip(&req.out, sizeof(head));
	r = fuse_handle(&req);
	if (log_threshold >= LOG_TRACE)
		fuse_print(&req, r);
	head = fuse_out_head(&req, r);
	memcpy(reply, &head, sizeof(head));
	w->se->deferral->finish(job->deferred, reply, head.len);
}

static void *pool_thread(void *arg)
{
	struct fuse_worker *w = arg;
	struct fuse_pool *pool = w->se->pool;
	struct job *job;

	pthread_setname_np(pthread_self(), "pool");
	pthread_mutex_lock(&pool->lock);
	pool->running++;
	pthread_cond_broadcast(&pool->idle);
	pthread_mutex_unlock(&pool->lock);
	while ((job = next_job(pool))) {
		run(w, job);
		job_done(pool, job);
	}
	fuse_worker_free(w);
	return NULL;
}

static int start_thread(struct fuse_pool *pool)
{
	struct fuse_worker *w = fuse_worker_new(pool->se, 0);
	int r = w ? -pthread_create(&pool->threads[pool->nthreads], NULL, pool_thread, w)
		  : -ENOMEM;

	if (r == 0)
		pool->nthreads++;
	else
		fuse_worker_free(w);
	return r;
}

int fuse_pool_start(struct fuse_session *se, unsigned int n)
{
	struct fuse_pool *pool = calloc(1, sizeof(*pool));
	int r = 0;

	if (!pool)
		return -ENOMEM;
	pool->se = se;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->idle, NULL);
	pool->last = &pool->first;
	for (size_t i = 0; i < FUSE_POOL_JOBS; i++) {
		pool->jobs[i].next = pool->free;
		pool->free = &pool->jobs[i];
	}
	se->pool = pool;
	while (r == 0 && pool->nthreads < n)
		r = start_thread(pool);
	pthread_mutex_lock(&pool->lock);
	while (pool->running < pool->nthreads)
		pthread_cond_wait(&pool->idle, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	if (r < 0)
		fuse_pool_stop(se);
	return r;
}

void fuse_pool_stop(struct fuse_session *se)
{
	struct fuse_pool *pool = se->pool;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->nthreads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->idle);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	se->pool = NULL;
	free(pool);
}

static struct job *take_free(struct fuse_pool *pool, struct fuse_worker *from)
{
	struct job *job;

	pthread_mutex_lock(&pool->lock);
	job = pool->free;
	if (job) {
		pool->free = job->next;
		from->jobs++;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void add_job(struct fuse_pool *pool, struct job *job)
{
	pthread_mutex_lock(&pool->lock);
	job->next = NULL;
	*pool->last = job;
	pool->last = &job->next;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

bool fuse_pool_take(struct fuse_req *req)
{
	const struct fuse_deferral *deferral = req->se->deferral;
	struct fuse_pool *pool = req->se->pool;
	/* The queue does not end before the job has: nobody sees this. */
	struct fuse_out_header never = {
		.len = sizeof(never), .error = -EIO, .unique = req->in.unique};
	void *deferred;
	struct job *job;

	if (!pool || !(req->op->flags & FUSE_OP_SLEEPS))
		return false;
	job = take_free(pool, req->w);
	if (!job)
		return false;
	job->op = req->op;
	job->from = req->w;
	job->in = req->in;
	job->unprivileged = req->unprivileged;
	memcpy(job->args.bytes, req->args, req->op->fixed);
	deferred = deferral->defer(deferral->opaque, req->w->queue, req->chain, &never,
		sizeof(never));
	job->deferred = deferred;
	/* From here on it may be done, and another's. */
	if (deferred)
		add_job(pool, job);
	else
		job_done(pool, job);
	return deferred != NULL;
}

void fuse_pool_drain(struct fuse_worker *w)
{
	struct fuse_pool *pool = w->se->pool;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	while (w->jobs > 0)
		pthread_cond_wait(&pool->idle, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}
