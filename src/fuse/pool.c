// SPDX-License-Identifier: BSD-2-Clause
#include "fuse/pool.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "base/util.h"
#include "fuse/job.h"

struct fuse_pool {
	struct fuse_session *se;
	/* A post for each job that waits, and at the end for each thread. Not a condition: who
	 * wakes from one marks the lock as wanted, and has to tell the kernel as it leaves it. */
	sem_t work;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t idle;  /* a worker has no job here any more, or a thread has begun */
	struct fuse_job *first, **last; /* waiting */
	struct fuse_job *free;
	unsigned int waiting, busy; /* jobs that wait, and that a thread has */
	unsigned int reads; /* jobs that are taken for a READ */
	uint64_t taken, full; /* jobs until now; requests for which none was free */
	unsigned int running; /* threads that have begun */
	unsigned int nthreads;
	pthread_t threads[FUSE_POOL_THREADS_MAX];
	struct fuse_job jobs[FUSE_POOL_JOBS];
};

/* The oldest job that waits, or NULL when it is time to end. */
static struct fuse_job *next_job(struct fuse_pool *pool)
{
	struct fuse_job *job;

	while (sem_wait(&pool->work) < 0)
		;
	pthread_mutex_lock(&pool->lock);
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
static void job_done(struct fuse_pool *pool, struct fuse_job *job, bool ran)
{
	free(job->longer);
	pthread_mutex_lock(&pool->lock);
	job->next = pool->free;
	pool->free = job;
	pool->busy -= ran;
	pool->reads -= job->data;
	if (--job->from->jobs == 0)
		pthread_cond_broadcast(&pool->idle);
	pthread_mutex_unlock(&pool->lock);
}

static void *pool_thread(void *arg)
{
	struct fuse_worker *w = arg;
	struct fuse_pool *pool = w->se->pool;
	struct fuse_job *job;

	pthread_setname_np(pthread_self(), "pool");
	pthread_mutex_lock(&pool->lock);
	pool->running++;
	pthread_cond_broadcast(&pool->idle);
	pthread_mutex_unlock(&pool->lock);
	while ((job = next_job(pool))) {
		fuse_job_serve(w, job);
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
	sem_init(&pool->work, 0, 0);
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
	for (unsigned int i = 0; i < pool->nthreads; i++)
		sem_post(&pool->work);
	for (unsigned int i = 0; i < pool->nthreads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->idle);
	sem_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	se->pool = NULL;
	free(pool);
}

/* READs leave jobs to what cannot be done elsewhere. */
static struct fuse_job *take_free(struct fuse_pool *pool, struct fuse_worker *from, bool data)
{
	struct fuse_job *job;

	pthread_mutex_lock(&pool->lock);
	job = data && pool->reads == FUSE_POOL_READS ? NULL : pool->free;
	if (job) {
		pool->free = job->next;
		from->jobs++;
		job->from = from;
		job->op = NULL;
		job->ends = false;
		job->data = data;
		pool->reads += data;
		job->longer = NULL;
		job->sized = 0;
		pool->taken++;
	} else {
		pool->full++;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void add_job(struct fuse_pool *pool, struct fuse_job *job)
{
	pthread_mutex_lock(&pool->lock);
	job->next = NULL;
	*pool->last = job;
	pool->last = &job->next;
	pool->waiting++;
	pthread_mutex_unlock(&pool->lock);
	/* Whom this wakes would have to wait for the lock. */
	sem_post(&pool->work);
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
static bool fill_job(struct fuse_job *job, const struct fuse_req *req)
{
	size_t len = req->op->fixed + req->array_len;

	job->op = req->op;
	job->in = req->in;
	job->unprivileged = req->unprivileged;
	job->words = req->words;
	job->array_len = req->array_len;
	job->begun = clock_ns(CLOCK_MONOTONIC);
	job->longer = len > FUSE_JOB_ARGS ? malloc(len) : NULL;
	if (len > FUSE_JOB_ARGS && !job->longer)
		return false;
	memcpy(job->longer ? job->longer : job->args.bytes, req->args, len);
	return true;
}

/* Defers the request's chain and has a thread serve its job, which is filled. */
static bool send_job(struct fuse_pool *pool, struct fuse_job *job, const struct fuse_req *req)
{
	const struct fuse_deferral *deferral = req->se->deferral;
	/* The queue does not end before the job has: nobody sees this. */
	struct fuse_out_header never = {
		.len = sizeof(never), .error = -EIO, .unique = req->in.unique};
	void *deferred = (job->data ? deferral->defer_data : deferral->defer)(deferral->opaque,
		req->w->queue, req->chain, &never, sizeof(never));

	job->deferred = deferred;
	/* From here on it may be done, and another's. */
	if (deferred)
		add_job(pool, job);
	return deferred != NULL;
}

static bool take(struct fuse_req *req, bool data)
{
	struct fuse_pool *pool = req->se->pool;
	struct fuse_job *job = take_free(pool, req->w, data);

	if (!job)
		return false;
	if (fill_job(job, req) && send_job(pool, job, req))
		return true;
	job_done(pool, job, false);
	return false;
}

/* Whether the ring's thread should not run it. */
static bool is_slow(const struct fuse_req *req)
{
	struct fs *fs = req->se->fs;

	if (!(req->op->flags & FUSE_OP_SLEEPS))
		return fuse_may_map(req);
	return !(req->in.opcode == FUSE_FSYNC || req->in.opcode == FUSE_FSYNCDIR) ||
		!fs->ops->syncs_at_once || !fs->ops->syncs_at_once(fs, req->in.nodeid);
}

bool fuse_pool_take(struct fuse_req *req)
{
	return req->se->pool && is_slow(req) && take(req, false);
}

bool fuse_pool_take_data(struct fuse_req *req)
{
	return take(req, true);
}

/* A job for a reply that is there; NULL where none is free. */
static struct fuse_job *take_reply(struct fuse_req *req, const void *reply, uint32_t len)
{
	struct fuse_job *job = req->se->pool ? take_free(req->se->pool, req->w, false) : NULL;

	if (job) {
		job->reply_len = len;
		memcpy(job->reply, reply, len);
	}
	return job;
}

bool fuse_pool_settle(struct fuse_req *req, const void *reply, uint32_t len)
{
	struct fuse_session *se = req->se;
	struct fuse_job *job;

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
	struct fuse_job *job = req->se->config.dax ? take_reply(req, reply, len) : NULL;

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
