// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * The pool: which requests it takes, what their queue does meanwhile, what is answered.
 */
#include "unit.h"

#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "fs/null.h"
#include "fuse/pool.h"
#include "fuse_client.h"

#define ROOM   4096
#define HANDLE 1 /* the only one that fs/null.c knows */

/* Answers that came later, in the order in which they came. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool full; /* the queue takes none */
	unsigned int deferred, finished;
	struct fuse_out_header out[FUSE_POOL_JOBS];
	char payload[FUSE_POOL_JOBS][FUSE_DEFERRED_REPLY];
} later = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *defer(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len)
{
	assert_int_equal(queue, 1);
	if (later.full)
		return NULL;
	later.deferred++;
	return &later;
}

static bool finish(void *deferred, const void *reply, uint32_t len)
{
	pthread_mutex_lock(&later.lock);
	memcpy(&later.out[later.finished], reply, sizeof(struct fuse_out_header));
	assert_int_equal(later.out[later.finished].len, len);
	memcpy(later.payload[later.finished], (const char *)reply + sizeof(struct fuse_out_header),
		len - sizeof(struct fuse_out_header));
	later.finished++;
	pthread_cond_broadcast(&later.changed);
	pthread_mutex_unlock(&later.lock);
	return true;
}

static void finish_last(void *deferred, const void *reply, uint32_t len)
{
	fail();
}

#define DATA 24

/* The room for a whole reply, its header in a piece of its own. */
static struct iovec *reach(void *deferred, size_t *len)
{
	struct {
		struct iovec iov[2];
		char head[sizeof(struct fuse_out_header)], data[DATA];
	} *room = malloc(sizeof(*room));

	assert_non_null(room);
	room->iov[0] = (struct iovec){room->head, sizeof(room->head)};
	room->iov[1] = (struct iovec){room->data, DATA};
	*len = sizeof(room->head) + DATA;
	return room->iov;
}

static void leave(void *opaque)
{
}

/* As if what is there already had been in the reply. */
static bool finish_data(void *deferred, const struct iovec *iov, uint32_t len)
{
	char whole[sizeof(struct fuse_out_header) + DATA];
	size_t head = iov[0].iov_len;

	assert_true(head == sizeof(struct fuse_out_header) && len <= sizeof(whole));
	memcpy(whole, iov[0].iov_base, head);
	memcpy(whole + head, iov[1].iov_base, len - head);
	return finish(deferred, whole, len);
}

static const struct fuse_deferral deferral = {
	.defer = defer,
	.finish = finish,
	.finish_last = finish_last,
	.defer_data = defer,
	.reach = reach,
	.leave = leave,
	.finish_data = finish_data,
};

static pthread_t ring; /* the thread of the test */

/* A file system whose slow calls end when they are let. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int entered, let;
	int result;
} slow = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int slow_fsync(struct fs *fs, const struct fs_target *t, bool data_only)
{
	unsigned int mine;
	int r;

	pthread_mutex_lock(&slow.lock);
	mine = ++slow.entered;
	pthread_cond_broadcast(&slow.changed);
	while (slow.let < mine)
		pthread_cond_wait(&slow.changed, &slow.lock);
	r = t->handle == HANDLE ? slow.result : -EBADF;
	pthread_mutex_unlock(&slow.lock);
	return r;
}

/* Of a file that is on a slow disk; whoever has to may read it at once. */
static ssize_t slow_read(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
	uint64_t offset, bool at_once)
{
	int r;

	if (at_once)
		return -EAGAIN;
	r = pthread_equal(pthread_self(), ring) ? 0 : slow_fsync(fs, t, false);
	if (r < 0)
		return r;
	assert_int_equal(n, 1);
	memset(iov->iov_base, 'd', iov->iov_len);
	return (ssize_t)iov->iov_len;
}

static ssize_t copy_some(struct fs *fs, const struct fs_copy *copy)
{
	return copy->len == 77 && copy->from_offset == 5 && copy->to.handle == 3 ? 42 : -EIO;
}

static void wait_entered(unsigned int n)
{
	pthread_mutex_lock(&slow.lock);
	while (slow.entered < n)
		pthread_cond_wait(&slow.changed, &slow.lock);
	pthread_mutex_unlock(&slow.lock);
}

static void let(unsigned int n)
{
	pthread_mutex_lock(&slow.lock);
	slow.let += n;
	pthread_cond_broadcast(&slow.changed);
	pthread_mutex_unlock(&slow.lock);
}

static void wait_finished(unsigned int n)
{
	pthread_mutex_lock(&later.lock);
	while (later.finished < n)
		pthread_cond_wait(&later.changed, &later.lock);
	pthread_mutex_unlock(&later.lock);
}

static struct fs_ops ops;
static struct fs fs = {.ops = &ops};
static struct fuse_client c;
static const struct fuse_fsync_in fsync_in = {.fh = HANDLE};

static void open_client(void)
{
	struct fuse_config config = fc_config("auto");

	log_open("test", LOG_OFF);
	ops = *fs_null()->ops;
	ops.fsync = slow_fsync;
	ops.copy_file_range = copy_some;
	ops.read = slow_read;
	ring = pthread_self();
	later.full = false;
	later.deferred = later.finished = 0;
	slow.entered = slow.let = 0;
	slow.result = 0;
	fc_open(&c, &fs, &config);
	fuse_session_defer(&c.se, &deferral);
	fc_init(&c);
}

static int setup(void **state)
{
	open_client();
	assert_int_equal(fuse_pool_start(&c.se, 2), 0);
	return 0;
}

static int teardown(void **state)
{
	fuse_pool_stop(&c.se);
	assert_null(c.se.pool);
	fc_close(&c);
	return 0;
}

static int send_fsync(void)
{
	c.in.nodeid = 2;
	c.in.unique += 2;
	return fc_send(&c, FUSE_FSYNC, &fsync_in, sizeof(fsync_in), ROOM);
}

static int send_getattr(void)
{
	struct fuse_getattr_in in = {0};

	c.in.nodeid = FS_ROOT;
	return fc_send(&c, FUSE_GETATTR, &in, sizeof(in), ROOM);
}

/* Other requests of the queue are served while slow ones run; each gets its own answer. */
static void test_beside(void **state)
{
	uint64_t unique[2];

	assert_int_equal(send_fsync(), FC_DEFERRED);
	unique[0] = c.in.unique;
	assert_int_equal(send_fsync(), FC_DEFERRED);
	unique[1] = c.in.unique;
	wait_entered(2);
	assert_int_equal(send_getattr(), sizeof(struct fuse_attr_out));
	assert_int_equal(later.finished, 0);
	let(2);
	wait_finished(2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(later.out[i].error, 0);
		assert_int_equal(later.out[i].len, sizeof(struct fuse_out_header));
	}
	assert_true(later.out[0].unique == unique[0] || later.out[0].unique == unique[1]);
	assert_int_equal(later.out[0].unique + later.out[1].unique, unique[0] + unique[1]);
}

static void test_errors(void **state)
{
	slow.result = -EMFILE;
	let(2);
	assert_int_equal(send_fsync(), FC_DEFERRED);
	wait_finished(1);
	assert_int_equal(later.out[0].error, -ENFILE);
	slow.result = -EIO;
	assert_int_equal(send_fsync(), FC_DEFERRED);
	wait_finished(2);
	assert_int_equal(later.out[1].error, -EIO);
}

/* Arguments are the request's, and a reply has its payload. */
static void test_payload(void **state)
{
	struct fuse_copy_file_range_in in = {
		.fh_in = HANDLE, .off_in = 5, .nodeid_out = 2, .fh_out = 3, .len = 77};
	struct fuse_write_out out;

	c.in.nodeid = 2;
	assert_int_equal(fc_send(&c, FUSE_COPY_FILE_RANGE, &in, sizeof(in), ROOM), FC_DEFERRED);
	wait_finished(1);
	assert_int_equal(later.out[0].error, 0);
	assert_int_equal(later.out[0].len, sizeof(struct fuse_out_header) + sizeof(out));
	memcpy(&out, later.payload[0], sizeof(out));
	assert_int_equal(out.size, 42);
}

static int send_read(void)
{
	struct fuse_read_in in = {.fh = HANDLE, .size = DATA};

	c.in.nodeid = 2;
	c.in.unique += 2;
	return fc_send(&c, FUSE_READ, &in, sizeof(in), sizeof(struct fuse_out_header) + DATA);
}

/* A READ that would wait does it in the pool, and its data comes with its reply. */
static void test_data(void **state)
{
	char want[DATA];

	memset(want, 'd', DATA);
	assert_int_equal(send_read(), FC_DEFERRED);
	wait_entered(1);
	assert_int_equal(send_getattr(), sizeof(struct fuse_attr_out));
	assert_int_equal(later.finished, 0);
	let(1);
	wait_finished(1);
	assert_int_equal(later.out[0].error, 0);
	assert_int_equal(later.out[0].len, sizeof(struct fuse_out_header) + DATA);
	assert_memory_equal(later.payload[0], want, DATA);
	slow.result = -EIO;
	let(1);
	assert_int_equal(send_read(), FC_DEFERRED);
	wait_finished(2);
	assert_int_equal(later.out[1].error, -EIO);
	assert_int_equal(later.out[1].len, sizeof(struct fuse_out_header));
}

/* READs leave jobs to what cannot wait in the ring. */
static void test_many_reads(void **state)
{
	for (int i = 0; i < FUSE_POOL_READS; i++)
		assert_int_equal(send_read(), FC_DEFERRED);
	assert_int_equal(send_read(), DATA);
	assert_int_equal(send_fsync(), FC_DEFERRED);
	let(FUSE_POOL_READS + 1);
	wait_finished(FUSE_POOL_READS + 1);
	let(1);
	assert_int_equal(send_read(), FC_DEFERRED);
	wait_finished(FUSE_POOL_READS + 2);
}

/* What is wrong with a request is found before the pool has it; what does not sleep stays. */
static void test_not_taken(void **state)
{
	c.in.nodeid = 2;
	assert_int_equal(fc_send(&c, FUSE_FSYNC, &fsync_in, 8, ROOM), -EINVAL);
	assert_int_equal(fc_send(&c, FUSE_FSYNC, &fsync_in, sizeof(fsync_in), 8), -EPROTO);
	assert_int_equal(send_getattr(), sizeof(struct fuse_attr_out));
	assert_int_equal(later.deferred, 0);
	assert_int_equal(slow.entered, 0);
}

/* A queue that cannot defer runs the request itself. */
static void test_cannot_defer(void **state)
{
	let(1);
	later.full = true;
	assert_int_equal(send_fsync(), 0);
	assert_int_equal(later.finished, 0);
	/* Its job is free again. */
	later.full = false;
	for (int i = 0; i < FUSE_POOL_JOBS; i++)
		assert_int_equal(send_fsync(), FC_DEFERRED);
	let(FUSE_POOL_JOBS);
	wait_finished(FUSE_POOL_JOBS);
}

static void *run_inline(void *arg)
{
	*(int *)arg = send_fsync();
	return NULL;
}

static void test_all_taken(void **state)
{
	pthread_t thread;
	int result = FC_DEFERRED;

	for (int i = 0; i < FUSE_POOL_JOBS; i++)
		assert_int_equal(send_fsync(), FC_DEFERRED);
	wait_entered(2);
	/* Whoever sends one more runs it: it enters as the third, while two threads are busy. */
	assert_int_equal(pthread_create(&thread, NULL, run_inline, &result), 0);
	wait_entered(3);
	let(FUSE_POOL_JOBS + 1);
	pthread_join(thread, NULL);
	assert_int_equal(result, 0);
	wait_finished(FUSE_POOL_JOBS);
	assert_int_equal(later.deferred, FUSE_POOL_JOBS);
}

static void *end_queue(void *arg)
{
	fuse_worker_end_waits(c.worker);
	/* All was answered by then. */
	*(unsigned int *)arg = later.finished;
	return NULL;
}

/* A queue ends when its requests are answered, those included that no thread has begun. */
static void test_drain(void **state)
{
	unsigned int finished = 0;
	pthread_t thread;

	for (int i = 0; i < 5; i++)
		assert_int_equal(send_fsync(), FC_DEFERRED);
	wait_entered(2);
	assert_int_equal(pthread_create(&thread, NULL, end_queue, &finished), 0);
	let(5);
	pthread_join(thread, NULL);
	assert_int_equal(finished, 5);
	/* With nothing to wait for it returns. */
	fuse_pool_drain(c.worker);
}

static void test_no_pool(void **state)
{
	open_client();
	let(1);
	assert_int_equal(send_fsync(), 0);
	assert_int_equal(later.deferred, 0);
	fuse_pool_drain(c.worker);
	fuse_pool_stop(&c.se);
	fc_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_beside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_payload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_data, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cannot_defer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
		cmocka_unit_test(test_no_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
