// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * Requests for locks: what the file system is asked, and answers that come later.
 */
#include "unit.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "fuse_client.h"

#define ROOM 4096

/* A queue that takes one request at a time to be answered later. */
static struct {
	bool full;
	bool stopped;
	_Alignas(8) char first[FUSE_DEFERRED_REPLY]; /* what the guest gets if the queue stops */
	_Alignas(8) char reply[FUSE_DEFERRED_REPLY];
	uint32_t len;
	int deferred, finished, last;
} later;

static void *defer(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len)
{
	assert_ptr_equal(opaque, &later);
	assert_int_equal(queue, 1);
	assert_non_null(chain);
	assert_true(len <= sizeof(later.first));
	if (later.full)
		return NULL;
	memcpy(later.first, reply, len);
	later.deferred++;
	return &later;
}

static bool finish(void *deferred, const void *reply, uint32_t len)
{
	assert_ptr_equal(deferred, &later);
	memcpy(later.reply, reply, len);
	later.len = len;
	later.finished++;
	return !later.stopped;
}

static void finish_last(void *deferred, const void *reply, uint32_t len)
{
	finish(deferred, reply, len);
	later.last++;
}

static const struct fuse_deferral deferral = {
	.defer = defer, .finish = finish, .finish_last = finish_last, .opaque = &later};

static struct fuse_client c;
static struct fuse_lk_in in;

static void start(bool posix_lock, bool flock)
{
	struct fuse_config config = fc_config("auto");

	config.posix_lock = posix_lock;
	config.flock = flock;
	fc_open(&c, fc_recorder(), &config);
	fuse_session_defer(&c.se, &deferral);
	fc_init(&c);
	fc_calls();
	memset(&later, 0, sizeof(later));
	c.in.nodeid = 5;
	in = (struct fuse_lk_in){
		.fh = 9, .owner = 12, .lk = {.start = 1, .end = 2, .type = F_WRLCK, .pid = 33}};
}

static int setup(void **state)
{
	log_open("test", LOG_OFF);
	start(true, true);
	return 0;
}

static int teardown(void **state)
{
	fc_close(&c);
	return 0;
}

static int send(uint32_t opcode)
{
	return fc_send(&c, opcode, &in, sizeof(in), ROOM);
}

static void check_out(const void *bytes, int error)
{
	const struct fuse_out_header *out = bytes;

	assert_int_equal(out->len, sizeof(*out));
	assert_int_equal(out->error, error);
	assert_int_equal(out->unique, c.in.unique);
}

static void test_calls(void **state)
{
	const struct fuse_lk_out *out = (void *)c.payload;

	assert_int_equal(send(FUSE_GETLK), sizeof(*out));
	assert_string_equal(fc_calls(), "getlk 5/9 type 1 1-2 owner 12 pid 33;");
	assert_int_equal(out->lk.type, F_WRLCK);
	assert_int_equal(out->lk.start, 4);
	assert_int_equal(out->lk.end, 5);
	assert_int_equal(out->lk.pid, 6);
	assert_int_equal(send(FUSE_SETLK), 0);
	assert_string_equal(fc_calls(), "setlk 5/9 type 1 1-2 owner 12 pid 33;");
	assert_int_equal(send(FUSE_SETLKW), 0);
	assert_string_equal(fc_calls(), "setlk 5/9 type 1 1-2 owner 12 pid 33 waits;");
	in.lk_flags = FUSE_LK_FLOCK;
	assert_int_equal(send(FUSE_GETLK), -EINVAL);
	assert_int_equal(send(FUSE_SETLK), 0);
	assert_string_equal(fc_calls(), "setlk 5/9 type 1 1-2 owner 12 pid 33 flock;");
	fc_recorder_result = -EAGAIN;
	assert_int_equal(send(FUSE_SETLK), -EAGAIN);
	assert_int_equal(send(FUSE_SETLKW), -EAGAIN);
	fc_calls();
	in.lk_flags = 2;
	assert_int_equal(send(FUSE_SETLK), -EINVAL);
	in.lk_flags = 0;
	in.lk.end = 0;
	assert_int_equal(send(FUSE_SETLK), -EINVAL);
	in.lk.end = (uint64_t)INT64_MAX + 1;
	assert_int_equal(send(FUSE_SETLKW), -EINVAL);
	in.lk.end = INT64_MAX;
	in.lk.type = 3;
	assert_int_equal(send(FUSE_GETLK), -EINVAL);
	assert_string_equal(fc_calls(), "");
	assert_int_equal(later.deferred, 0);
}

static void test_options(void **state)
{
	for (int i = 0; i < 3; i++) {
		fc_close(&c);
		start(i == 1, i == 2);
		in.lk_flags = 0;
		assert_int_equal(send(FUSE_SETLK), i == 1 ? 0 : -ENOSYS);
		assert_int_equal(send(FUSE_SETLKW), i == 1 ? 0 : -ENOSYS);
		in.lk_flags = FUSE_LK_FLOCK;
		assert_int_equal(send(FUSE_SETLK), i == 2 ? 0 : -ENOSYS);
		assert_int_equal(!!(c.se.flags & FUSE_POSIX_LOCKS), i == 1);
		assert_int_equal(!!(c.se.flags & FUSE_FLOCK_LOCKS), i == 2);
		/* Only FLUSH tells that a process closed a file. */
		assert_int_equal(!!(c.se.open_flags_file & FOPEN_NOFLUSH), i != 1);
	}
}

/* A request that waits; the answers that it may get. */
static void test_wait(void **state)
{
	fc_recorder_result = FS_WAITS;
	assert_int_equal(fc_send(&c, FUSE_SETLKW, &in, sizeof(in), ROOM), FC_DEFERRED);
	assert_int_equal(later.deferred, 1);
	check_out(later.first, -EINTR);
	assert_true(fc_recorder_wait->done(fc_recorder_wait, 0));
	assert_int_equal(later.len, sizeof(struct fuse_out_header));
	check_out(later.reply, 0);
	assert_int_equal(send(FUSE_SETLKW), FC_DEFERRED);
	later.stopped = true;
	assert_false(fc_recorder_wait->done(fc_recorder_wait, -EDEADLK));
	check_out(later.reply, -EDEADLK);
	later.full = true;
	assert_int_equal(send(FUSE_SETLKW), -ENOLCK);
	fuse_session_defer(&c.se, NULL);
	assert_int_equal(send(FUSE_SETLKW), -ENOLCK);
	assert_int_equal(later.finished, 2);
	fc_recorder_wait = NULL;
}

static void test_interrupt(void **state)
{
	struct fuse_interrupt_in interrupt = {.unique = 7};

	fc_recorder_result = FS_WAITS;
	assert_int_equal(send(FUSE_SETLKW), FC_DEFERRED);
	fc_calls();
	assert_int_equal(fc_send(&c, FUSE_INTERRUPT, &interrupt, sizeof(interrupt), 0), -EPROTO);
	assert_string_equal(fc_calls(), "end_waits of 7;");
	check_out(later.reply, -EINTR);
	fc_recorder_result = FS_WAITS;
	assert_int_equal(send(FUSE_SETLKW), FC_DEFERRED);
	fc_calls();
	fuse_worker_end_waits(c.worker);
	assert_string_equal(fc_calls(), "end_waits of a worker 0;");
	assert_int_equal(later.finished, 2);
}

/* INIT and DESTROY answer at once while nothing ever waited, else after those who did. */
static void test_last(void **state)
{
	struct fuse_init_in init = {.major = 7, .minor = 38, .flags = FUSE_POSIX_LOCKS};
	const struct fuse_init_out *out = (void *)(later.reply + sizeof(struct fuse_out_header));

	assert_int_equal(fc_send(&c, FUSE_INIT, &init, sizeof(init), ROOM), sizeof(*out));
	assert_int_equal(later.deferred, 0);
	fc_recorder_result = FS_WAITS;
	assert_int_equal(send(FUSE_SETLKW), FC_DEFERRED);
	fc_recorder_wait->done(fc_recorder_wait, 0);
	fc_recorder_wait = NULL;
	fc_recorder_result = 0;
	assert_int_equal(fc_send(&c, FUSE_INIT, &init, sizeof(init), ROOM), FC_DEFERRED);
	assert_int_equal(later.last, 1);
	assert_int_equal(later.len, sizeof(struct fuse_out_header) + sizeof(*out));
	assert_int_equal(out->flags, FUSE_POSIX_LOCKS);
	assert_memory_equal(later.first, later.reply, later.len);
	/* An error, and a queue that takes no more. */
	init.major = 6;
	assert_int_equal(fc_send(&c, FUSE_INIT, &init, sizeof(init), ROOM), FC_DEFERRED);
	check_out(later.reply, -EPROTO);
	assert_int_equal(fc_send(&c, FUSE_DESTROY, "", 0, ROOM), FC_DEFERRED);
	check_out(later.reply, 0);
	assert_int_equal(later.last, 3);
	later.full = true;
	assert_int_equal(fc_send(&c, FUSE_DESTROY, "", 0, ROOM), -EIO);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_calls), CASE(test_options), CASE(test_wait), CASE(test_interrupt),
		CASE(test_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
