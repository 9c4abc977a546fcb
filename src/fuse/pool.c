// SPDX-License-Identifier: BSD-2-Clause
#include "fuse/pool.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* Bytes of arguments of an operation that sleeps, beside an array. */
#define ARGS_MAX 96

struct job {
	struct job *next; /* in the list of those that wait, or that are free */
	void *deferred;
	const struct fuse_op *op; /* NULL: the reply is there */
	bool ends;                /* it is to be the last, when nothing is mapped */
	struct fuse_worker *from; /* of the queue that it came by */
	struct fuse_in_header in;
	bool unprivileged;
	uint16_t words;
	void *longer; /* arguments that the job has no room for, or NULL */
	size_t array_len;
	union {
		char bytes[ARGS_MAX];
		uint64_t align;
	} args;
	uint64_t sized; /* to be settled */
	uint64_t begun; /* when it was taken (fuse/count.h) */
	uint32_t reply_len;
	char reply[FUSE_DEFERRED_REPLY];
};

struct fuse_pool {
	struct fuse_session *se;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t work;  /* a job waits, or it is time to end */
	pthread_cond_t idle;  /* a worker has no job here any more, or a thread has begun */
	struct job *first, **last; /* waiting */
	struct job *free;
	bool stop;
	unsigned int waiting, busy; /* jobs that wait, and that a thread has */
	uint64_t taken, full; /* jobs until now; requests for which none was free */
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
		pool->waiting--;
		pool->busy++;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

/* ran: a thread has had it. */
static void job_done(struct fuse_pool *pool, struct job *job, bool ran)
{
	free(job->longer);
	pthread_mutex_lock(&pool->lock);
	job->next = pool->free;
	pool->free = job;
	pool->busy -= ran;
	if (--job->from->jobs == 0)
		pthread_cond_broadcast(&pool->idle);
	pthread_mutex_unlock(&pool->lock);
}

/* Has the DAX window follow a size before it is told. */
static void settle(const struct fuse_session *se, uint64_t node)
{
	if (node != 0 && se->config.dax && se->fs->ops->is_unsettled(se->fs, node))
		se->fs->ops->settle(se->fs, node);
}

/* Runs the request as its ring's thread would have, with the job's buffer in place of the chain. */
static void run(struct fuse_worker *w, struct job *job)
{
	struct iovec iov = {.iov_base = job->reply, .iov_len = sizeof(job->reply)};
	struct fuse_req req = {
		.se = w->se,
		.w = w,
		.op = job->op,
		.in = job->in,
		.unprivileged = job->unprivileged,
		.beside = true,
		.words = job->words,
		.args = job->longer ? job->longer : job->args.bytes,
		.array_len = job->array_len,
		.out = cursor_over(&iov, sizeof(job->reply)),
	};
	struct fuse_out_header head;
	int r;

	w->queue = job->from->queue;
	cursor_skip(&req.out, sizeof(head) + job->words);
	r = fuse_handle(&req);
	fuse_count_end(fuse_count_of(&w->count, job->in.opcode), job->begun, r);
	if (log_threshold >= LOG_TRACE)
		fuse_print(&req, r);
	head = fuse_out_head(&req, r);
	memcpy(job->reply, &head, sizeof(head));
	if (r >= 0)
		memcpy(job->reply + sizeof(head), w->words, job->words);
	job->reply_len = head.len;
	job->sized = req.sized;
}

static void serve(struct fuse_worker *w, struct job *job)
{
	if (job->ends) {
		w->se->fs->ops->unmap_all(w->se->fs);
		w->se->deferral->finish_last(job->deferred, job->reply, job->reply_len);
		return;
	}
	if (job->op)
		run(w, job);
	settle(w->se, job->sized);
	w->se->deferral->finish(job->deferred, job->reply, job->reply_len);
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
		serve(w, job);
		job_done(pool, job, true);
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
		job->from = from;
		job->op = NULL;
		job->ends = false;
		job->longer = NULL;
		job->sized = 0;
		pool->taken++;
	} else {
		pool->full++;
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
	pool->waiting++;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

bool fuse_may_map(const struct fuse_req *req)
{
	struct fs *fs = req->se->fs;
	const struct fuse_setattr_in *set = req->args;

	if (!req->se->config.dax || !(req->op->flags & FUSE_OP_MAPS))
		return false;
	switch (req->in.opcode) {
	case FUSE_OPEN:
		return fs->ops->opens_late(fs, req->in.nodeid);
	case FUSE_SETATTR:
		return set->valid & FATTR_SIZE;
	default:
		return true;
	}
}

/* Fills a job from a request. False without memory. */
static bool fill_job(struct job *job, const struct fuse_req *req)
{
	size_t len = req->op->fixed + req->array_len;

	job->op = req->op;
	job->in = req->in;
	job->unprivileged = req->unprivileged;
	job->words = req->words;
	job->array_len = req->array_len;
	job->begun = clock_ns(CLOCK_MONOTONIC);
	job->longer = len > ARGS_MAX ? malloc(len) : NULL;
	if (len > ARGS_MAX && !job->longer)
		return false;
	memcpy(job->longer ? job->longer : job->args.bytes, req->args, len);
	return true;
}

/* Defers the request's chain and has a thread serve its job, which is filled. */
static bool send_job(struct fuse_pool *pool, struct job *job, const struct fuse_req *req)
{
	const struct fuse_deferral *deferral = req->se->deferral;
	/* The queue does not end before the job has: nobody sees this. */
	struct fuse_out_header never = {
		.len = sizeof(never), .error = -EIO, .unique = req->in.unique};
	void *deferred = deferral->defer(deferral->opaque, req->w->queue, req->chain, &never,
		sizeof(never));

	job->deferred = deferred;
	/* From here on it may be done, and another's. */
	if (deferred)
		add_job(pool, job);
	return deferred != NULL;
}

bool fuse_pool_take(struct fuse_req *req)
{
	struct fuse_pool *pool = req->se->pool;
	struct job *job;

	if (!pool || (!(req->op->flags & FUSE_OP_SLEEPS) && !fuse_may_map(req)))
		return false;
	job = take_free(pool, req->w);
	if (!job)
		return false;
	if (fill_job(job, req) && send_job(pool, job, req))
		return true;
	job_done(pool, job, false);
	return false;
}

/* A job for a reply that is there; NULL where none is free. */
static struct job *take_reply(struct fuse_req *req, const void *reply, uint32_t len)
{
	struct job *job = req->se->pool ? take_free(req->se->pool, req->w) : NULL;

	if (job) {
		job->reply_len = len;
		memcpy(job->reply, reply, len);
	}
	return job;
}

bool fuse_pool_settle(struct fuse_req *req, const void *reply, uint32_t len)
{
	struct fuse_session *se = req->se;
	struct job *job;

	if (req->sized == 0 || !se->fs->ops->is_unsettled(se->fs, req->sized))
		return false;
	job = take_reply(req, reply, len);
	if (!job)
		return false;
	job->sized = req->sized;
	if (send_job(se->pool, job, req))
		return true;
	job_done(se->pool, job, false);
	return false;
}

bool fuse_pool_end(struct fuse_req *req, void *deferred, const void *reply, uint32_t len)
{
	struct job *job = req->se->config.dax ? take_reply(req, reply, len) : NULL;

	if (!job)
		return false;
	job->ends = true;
	job->deferred = deferred;
	add_job(req->se->pool, job);
	return true;
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

void fuse_pool_metrics(struct fuse_session *se, struct metrics *m)
{
	struct fuse_pool *pool = se->pool;
	unsigned int waiting = 0, busy = 0;
	uint64_t taken = 0, full = 0;

	if (pool) {
		pthread_mutex_lock(&pool->lock);
		waiting = pool->waiting;
		busy = pool->busy;
		taken = pool->taken;
		full = pool->full;
		pthread_mutex_unlock(&pool->lock);
	}
	metrics_family(m, "pool_threads", METRIC_GAUGE, "Threads for what waits for disks");
	metrics_number(m, pool ? pool->nthreads : 0, "%s", "");
	metrics_family(m, "pool_jobs", METRIC_GAUGE,
		"Requests that wait for such a thread, or have one");
	metrics_number(m, waiting, "state=\"waiting\"");
	metrics_number(m, busy, "state=\"running\"");
	metrics_family(m, "pool_jobs_total", METRIC_COUNTER, "Requests that were given to them");
	metrics_number(m, taken, "%s", "");
	metrics_family(m, "pool_full_total", METRIC_COUNTER,
		"Requests that could not be, as there were too many");
	metrics_number(m, full, "%s", "");
}
