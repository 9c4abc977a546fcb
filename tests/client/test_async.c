// SPDX-License-Identifier: BSD-2-Clause
/*
 * Operations that are submitted and reaped, and guest memory in the program's hands.
 */
#include "world.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define DEPTH 24
#define BLOCK 4096u

static const char *const small[] = {
	"queues", "2", "queue-size", "16", "memory", "1048576", NULL};

static int set_up_small(void **state)
{
	return world_enter(state, small);
}

/* Waits for the connection's descriptor, and reaps; how many. */
static unsigned int reap_some(struct causeway_completion *done, unsigned int n)
{
	struct pollfd fd = {.fd = causeway_event_fd(peer->c), .events = POLLIN};
	unsigned int taken;

	assert_true(fd.fd >= 0);
	/* One that never comes is found by the test's time limit. */
	while ((taken = causeway_reap(peer->c, done, n)) == 0)
		assert_int_equal(poll(&fd, 1, -1), 1);
	return taken;
}

static void fill_file(const char *path, unsigned int blocks)
{
	FILE *f = fopen(path, "w");
	char block[BLOCK];

	assert_non_null(f);
	for (unsigned int i = 0; i < blocks; i++) {
		memset(block, (int)(i % 251), sizeof(block));
		assert_int_equal(fwrite(block, sizeof(block), 1, f), 1);
	}
	assert_int_equal(fclose(f), 0);
}

/* A loop that keeps so many reads in flight, each checked against what must be there. */
static void read_all(struct causeway_file *f, char *buffers, unsigned int blocks)
{
	unsigned int next = 0, over = 0, where[DEPTH];

	for (; next < DEPTH; next++) {
		where[next] = next;
		assert_good(causeway_submit_pread(f, buffers + next * BLOCK, BLOCK, next * BLOCK,
			&where[next]));
	}
	while (over < blocks) {
		struct causeway_completion done[5];
		unsigned int n = reap_some(done, 5);

		for (unsigned int i = 0; i < n; i++) {
			unsigned int *block = done[i].user;
			char *buf = buffers + (block - where) * BLOCK;

			assert_int_equal(done[i].result, BLOCK);
			assert_int_equal((unsigned char)buf[0], *block % 251);
			assert_int_equal((unsigned char)buf[BLOCK - 1], *block % 251);
			over++;
			if (next == blocks)
				continue;
			*block = next++;
			assert_good(causeway_submit_pread(f, buf, BLOCK, *block * BLOCK, block));
		}
	}
	assert_int_equal(causeway_reap(peer->c, &(struct causeway_completion){NULL, 0}, 1), 0);
}

static void test_reads(void **state)
{
	struct pollfd fd = {.events = POLLIN};
	struct causeway_file *f;
	char *registered, *own;

	fill_file("f", 500);
	f = must_open("f", O_RDONLY);
	registered = causeway_buffer_alloc(peer->c, DEPTH * BLOCK);
	own = malloc(DEPTH * BLOCK);
	assert_true(registered && own);
	read_all(f, registered, 500);
	read_all(f, own, 500);
	fd.fd = causeway_event_fd(peer->c);
	assert_int_equal(poll(&fd, 1, 0), 0);
	causeway_buffer_free(peer->c, registered, DEPTH * BLOCK);
	free(own);
	causeway_close(f);
}

static void test_writes(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR | O_CREAT);
	unsigned int written = 0, synced = 0;
	char *buffers = causeway_buffer_alloc(peer->c, DEPTH * BLOCK);
	struct causeway_completion done[DEPTH + 1];
	struct stat st;

	assert_non_null(buffers);
	for (unsigned int i = 0; i < DEPTH; i++) {
		memset(buffers + i * BLOCK, (int)i, BLOCK);
		assert_good(causeway_submit_pwrite(f, buffers + i * BLOCK, BLOCK, i * BLOCK, f));
	}
	assert_good(causeway_submit_fsync(f, 1, NULL));
	/* Calls that wait may take back what others submitted: nothing is lost by that. */
	assert_good(causeway_stat(peer->c, NULL, "f", &st, 0));
	while (written + synced < DEPTH + 1) {
		unsigned int n = reap_some(done, DEPTH + 1);

		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(done[i].result, done[i].user ? BLOCK : 0);
			written += done[i].user == f;
			synced += done[i].user == NULL;
		}
	}
	assert_int_equal(synced, 1);
	assert_good(causeway_fstat(f, &st));
	assert_int_equal(st.st_size, DEPTH * BLOCK);
	read_all(f, buffers, DEPTH);
	causeway_buffer_free(peer->c, buffers, DEPTH * BLOCK);
	causeway_close(f);
}

static void test_errors(void **state)
{
	struct causeway_file *f = must_open("f", O_WRONLY | O_CREAT), *d = must_open(".", O_RDONLY);
	struct causeway_completion done;
	uint64_t max;
	char byte = 0;

	assert_int_equal(causeway_get(peer->c, "max-data", &max), 0);
	assert_int_equal(causeway_submit_pread(f, &byte, 1, 0, NULL), -EBADF);
	assert_int_equal(causeway_submit_pwrite(f, &byte, 1, -1, NULL), -EINVAL);
	assert_int_equal(causeway_submit_pwrite(f, &byte, max + 1, 0, NULL), -EMSGSIZE);
	assert_int_equal(causeway_submit_pread(d, &byte, 1, 0, NULL), -EISDIR);
	assert_int_equal(causeway_submit_fsync(d, 0, NULL), -EISDIR);
	/* What the back-end refuses comes with the completion: no file is so long. */
	assert_good(causeway_submit_pwrite(f, &byte, 1, INT64_MAX, &byte));
	assert_int_equal(reap_some(&done, 1), 1);
	assert_true(done.user == &byte && done.result < 0 && done.result != -EPROTO);
	causeway_close(f);
	causeway_close(d);
}

/* Makes calls of its own, which take back what was submitted before them on the same queue. */
static void call_often(void)
{
	struct statx st;

	for (int i = 0; i < 20; i++)
		assert_good(causeway_statx(peer->c, NULL, "/", AT_STATX_FORCE_SYNC, 0, &st));
}

/* What another call noticed makes the descriptor readable too, also one that is made later. */
static void test_noticed_elsewhere(void **state)
{
	struct causeway_file *f;
	struct causeway_completion done;
	char byte;

	put("f", "x");
	f = must_open("f", O_RDONLY);
	for (int i = 0; i < 3; i++) {
		struct pollfd fd = {.events = POLLIN};
		unsigned int taken;

		assert_good(causeway_submit_pread(f, &byte, 1, 0, f));
		call_often();
		fd.fd = causeway_event_fd(peer->c);
		do {
			assert_int_equal(poll(&fd, 1, -1), 1);
			taken = causeway_reap(peer->c, &done, 1);
		} while (taken == 0);
		assert_int_equal(done.result, 1);
		assert_int_equal(poll(&fd, 1, 0), 0);
	}
	causeway_close(f);
}

/* The daemon goes: whatever is in flight is over. */
static void test_lost(void **state)
{
	struct causeway_file *f;
	char buf[BLOCK];
	pid_t pid;

	if (peer->kind == PEER_VIRTIOFSD)
		return;
	fill_file("f", 1);
	f = must_open("f", O_RDONLY);
	pid = peer_serving(peer);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	for (unsigned int i = 0; i < 8; i++)
		assert_good(causeway_submit_pread(f, buf, BLOCK, 0, NULL));
	assert_int_equal(kill(pid, SIGKILL), 0);
	for (unsigned int n = 0; n < 8;) {
		struct causeway_completion done[8];
		unsigned int more = reap_some(done, 8);

		/* The signal that stops it may come after some answers. */
		for (unsigned int i = 0; i < more; i++)
			assert_true(done[i].result == -ENOTCONN || done[i].result == BLOCK);
		n += more;
	}
	assert_int_equal(causeway_submit_pread(f, buf, BLOCK, 0, NULL), -ENOTCONN);
	causeway_close(f);
}

/* With a registered buffer nothing is copied: there would be no room for that. */
static void test_buffers(void **state)
{
	struct causeway *c = peer->c;
	struct causeway_file *f = must_open("f", O_RDWR | O_CREAT);
	size_t size = 128 * 1024;
	char *buffers[7], *own = calloc(1, size);

	assert_non_null(own);
	for (size_t i = 0; i < ARRAY_SIZE(buffers); i++) {
		buffers[i] = causeway_buffer_alloc(c, size);
		assert_non_null(buffers[i]);
	}
	assert_null(causeway_buffer_alloc(c, size + 1));
	assert_int_equal(errno, ENOBUFS);
	assert_null(causeway_buffer_alloc(c, (size_t)1 << 40));
	memset(buffers[0], 'x', size);
	assert_int_equal(causeway_pwrite(f, buffers[0], size, 0), size);
	assert_int_equal(causeway_pread(f, buffers[1], size, 0), size);
	assert_memory_equal(buffers[0], buffers[1], size);
	assert_int_equal(causeway_pread(f, buffers[1] + 1, size - 1, 1), size - 1);
	assert_int_equal(causeway_pread(f, own, size, 0), -ENOBUFS);
	causeway_buffer_free(c, buffers[6], size);
	assert_int_equal(causeway_pread(f, own, size, 0), size);
	assert_memory_equal(own, buffers[0], size);
	for (size_t i = 0; i < 6; i++)
		causeway_buffer_free(c, buffers[i], size);
	causeway_buffer_free(c, NULL, size);
	causeway_close(f);
	free(own);
}

static void test_lent(void **state)
{
	struct causeway_lent lent, more[16];
	struct causeway_file *f;
	size_t n = 0;
	int r;

	put("f", "hello, world");
	f = must_open("f", O_RDONLY);
	assert_int_equal(causeway_pread_lent(f, 100, 7, &lent), 5);
	assert_int_equal(lent.size, 5);
	assert_memory_equal(lent.data, "world", 5);
	causeway_release(peer->c, &lent);
	assert_null(lent.data);
	causeway_release(peer->c, &lent);
	assert_int_equal(causeway_pread_lent(f, 100, 12, &lent), 0);
	assert_null(lent.data);
	assert_int_equal(causeway_pread_lent(f, 100, -1, &lent), -EINVAL);
	assert_null(lent.data);
	/* A program that keeps all is told so, and goes on when it gives some back. */
	while ((r = (int)causeway_pread_lent(f, 128 * 1024, 0, &more[n])) > 0)
		assert_true(++n < ARRAY_SIZE(more));
	assert_int_equal(r, -ENOBUFS);
	assert_true(n >= 7);
	causeway_release(peer->c, &more[--n]);
	assert_int_equal(causeway_pread_lent(f, 5, 0, &lent), 5);
	causeway_release(peer->c, &lent);
	while (n > 0)
		causeway_release(peer->c, &more[--n]);
	assert_int_equal(causeway_pread_lent(f, 128 * 1024, 0, &lent), 12);
	causeway_release(peer->c, &lent);
	causeway_close(f);
}

/* Threads that submit while others wait, on the same queues: each reaps what any submitted. */
static _Atomic unsigned int reaped;

static void *submit_many(void *arg)
{
	struct causeway_file *f = arg;
	static char buf[BLOCK];

	for (unsigned int i = 0; i < 500; i++) {
		struct causeway_completion done[4];
		struct stat st;
		unsigned int n;

		must(causeway_submit_pwrite(f, buf, 16, i * 16, NULL) == 0);
		must(causeway_fstat(f, &st) == 0);
		n = causeway_reap(peer->c, done, 4);
		for (unsigned int k = 0; k < n; k++)
			must(done[k].result == 16);
		atomic_fetch_add(&reaped, n);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR | O_CREAT);
	struct causeway_completion done[8];
	pthread_t threads[4];

	atomic_store(&reaped, 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, submit_many, f), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	while (atomic_load(&reaped) < 2000)
		atomic_fetch_add(&reaped, reap_some(done, 8));
	assert_int_equal(atomic_load(&reaped), 2000);
	causeway_close(f);
}

#define SMALL_CASE(f) cmocka_unit_test_setup_teardown(f, set_up_small, tear_down)

int main(void)
{
	struct CMUnitTest tests[] = {
		SMALL_CASE(test_reads),
		SMALL_CASE(test_writes),
		SMALL_CASE(test_errors),
		SMALL_CASE(test_noticed_elsewhere),
		SMALL_CASE(test_lost),
		SMALL_CASE(test_buffers),
		SMALL_CASE(test_lent),
		SMALL_CASE(test_threads),
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
