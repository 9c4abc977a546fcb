// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * Locks of the client against a back-end that makes its replies up: what GETLK may say, how
 * INTERRUPT names its request, and what closing a handle sends.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>

#include "causeway.h"
#include "forger.h"

/* What is wrong with the reply to GETLK; and a back-end that interrupts for its own reasons. */
enum { GOOD, SHORT, NO_TYPE, BACKWARDS, TOO_FAR, FREE, ENDS_EARLY };

static void reply_lock(struct forger *forger, struct forged *f)
{
	struct fuse_lk_out out = {.lk = {.start = 5, .end = 9, .type = F_WRLCK, .pid = 77}};

	if (forger->fault == NO_TYPE)
		out.lk.type = 9;
	if (forger->fault == BACKWARDS)
		out.lk.start = 10;
	if (forger->fault == TOO_FAR)
		out.lk.end = 1ull << 63;
	if (forger->fault == FREE)
		out.lk = (struct fuse_file_lock){.type = F_UNLCK, .start = 7};
	forge_reply(f, &out, forger->fault == SHORT ? sizeof(out) - 1 : sizeof(out));
}

/* Ends the request that is kept, if it is the one. */
static void interrupt(struct forger *forger, const struct forged *f)
{
	const struct fuse_interrupt_in *in = (const void *)f->args;
	struct fuse_out_header out = {
		.len = sizeof(out), .error = -EINTR, .unique = forger->noted};

	must(f->queue == 0 && f->args_len == sizeof(*in));
	must(in->unique == forger->noted && f->in.unique == (in->unique | 1));
	must(in->unique % 2 == 0);
	must(atomic_exchange(&forger->nkept, 0) == 1);
	vhost_finish(forger->kept[forger->places - 1], &out, sizeof(out));
}

static void note_close(struct forger *forger, const struct forged *f)
{
	const struct fuse_flush_in *flush = (const void *)f->args;
	const struct fuse_release_in *release = (const void *)f->args;

	if (f->in.opcode == FUSE_FLUSH)
		atomic_fetch_add(&forger->noted, flush->lock_owner);
	else if (release->release_flags & FUSE_RELEASE_FLOCK_UNLOCK)
		atomic_fetch_add(&forger->noted, release->lock_owner ? 1 : 0);
}

static void forge(struct forger *forger, struct forged *f)
{
	const struct fuse_init_in *init = (const void *)f->args;
	struct fuse_init_out *init_out = (void *)f->reply;
	struct fuse_entry_out entry = {
		.nodeid = 5, .attr_valid = 9, .attr = {.ino = 7, .mode = S_IFREG | 0644}};
	struct fuse_open_out open = {.fh = 3};

	if (forge_default(f)) {
		if (f->in.opcode == FUSE_INIT)
			init_out->flags |= init->flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS);
		return;
	}
	switch (f->in.opcode) {
	case FUSE_LOOKUP:
		forge_reply(f, &entry, sizeof(entry));
		break;
	case FUSE_OPEN:
		forge_reply(f, &open, sizeof(open));
		break;
	case FUSE_GETLK:
		reply_lock(forger, f);
		break;
	case FUSE_SETLKW:
		atomic_store(&forger->noted, f->in.unique);
		if (forger->fault == ENDS_EARLY)
			forge_error(f, EINTR);
		else
			f->keep = true;
		break;
	case FUSE_INTERRUPT:
		interrupt(forger, f);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		note_close(forger, f);
		break;
	default:
		break;
	}
}

static struct forger *forger;
static struct causeway *c;
static struct causeway_file *f;

static int set_up(void **state)
{
	int sock;

	forger = forger_new();
	forger->forge = forge;
	c = causeway_new();
	assert_int_equal(causeway_set(c, "queue-size", "4"), 0);
	sock = forger_start(forger);
	assert_int_equal(causeway_connect_fd(c, sock), 0);
	close(sock);
	assert_int_equal(causeway_open(c, NULL, "f", O_RDWR, 0, &f), 0);
	return 0;
}

static int tear_down(void **state)
{
	causeway_close(f);
	causeway_free(c);
	forger_end(forger);
	return 0;
}

static void test_getlk(void **state)
{
	struct flock lock = {.l_type = F_RDLCK};

	assert_int_equal(causeway_getlk(f, 1, &lock), 0);
	assert_int_equal(lock.l_type, F_WRLCK);
	assert_int_equal(lock.l_start, 5);
	assert_int_equal(lock.l_len, 5);
	assert_int_equal(lock.l_pid, 77);
	for (int fault = SHORT; fault <= TOO_FAR; fault++) {
		forger->fault = fault;
		assert_int_equal(causeway_getlk(f, 1, &lock), -EPROTO);
		assert_non_null(strstr(causeway_error(c), "reply to GETLK is malformed"));
	}
	forger->fault = FREE;
	assert_int_equal(causeway_getlk(f, 1, &lock), 0);
	assert_int_equal(lock.l_type, F_UNLCK);
	assert_int_equal(lock.l_start, 5);
	forger->fault = GOOD;
}

struct waiter {
	struct causeway_token *token;
	pthread_t thread;
	int result;
};

static void *wait_for_lock(void *arg)
{
	struct flock all = {.l_type = F_WRLCK};
	struct waiter *w = arg;

	w->result = causeway_setlkw(f, 9, &all, w->token);
	return NULL;
}

static void test_interrupt(void **state)
{
	for (int i = 0; i < 20; i++) {
		struct waiter w = {.token = causeway_token_new(c)};

		assert_non_null(w.token);
		assert_int_equal(pthread_create(&w.thread, NULL, wait_for_lock, &w), 0);
		while (atomic_load(&forger->nkept) < 1)
			sched_yield();
		causeway_interrupt(w.token);
		pthread_join(w.thread, NULL);
		assert_int_equal(w.result, -EINTR);
		/* Whoever has ended is not named again. */
		causeway_interrupt(w.token);
		causeway_token_free(w.token);
		assert_int_equal(atomic_load(&forger->requests[FUSE_SETLKW]), i + 1);
	}
	assert_int_equal(atomic_load(&forger->requests[FUSE_INTERRUPT]), 20);
	/* Without a token it may end so too. */
	forger->fault = ENDS_EARLY;
	assert_int_equal(causeway_setlkw(f, 9, &(struct flock){.l_type = F_WRLCK}, NULL), -EINTR);
	forger->fault = GOOD;
}

/* One FLUSH for each owner that has locked, and a RELEASE that knows of flock(2). */
static void test_close(void **state)
{
	struct flock lock = {.l_type = F_WRLCK}, unlock = {.l_type = F_UNLCK};

	assert_int_equal(causeway_setlk(f, 3, &lock), 0);
	assert_int_equal(causeway_setlk(f, 3, &lock), 0);
	assert_int_equal(causeway_setlk(f, 50, &lock), 0);
	assert_int_equal(causeway_setlk(f, 1000, &unlock), 0);
	assert_int_equal(causeway_flock(f, LOCK_EX | LOCK_NB, NULL), 0);
	atomic_store(&forger->noted, 0);
	assert_int_equal(causeway_close(f), 0);
	f = NULL;
	assert_int_equal(atomic_load(&forger->noted), 3 + 50 + 1);
	assert_int_equal(atomic_load(&forger->requests[FUSE_FLUSH]), 2);
	/* Of a handle without locks: one of nobody's, for the data. */
	assert_int_equal(causeway_open(c, NULL, "f", O_RDWR, 0, &f), 0);
	assert_int_equal(causeway_close(f), 0);
	f = NULL;
	assert_int_equal(atomic_load(&forger->noted), 3 + 50 + 1);
	assert_int_equal(atomic_load(&forger->requests[FUSE_FLUSH]), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_getlk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_interrupt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_close, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
