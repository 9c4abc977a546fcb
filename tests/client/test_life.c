// SPDX-License-Identifier: BSD-2-Clause
/*
 * A connection's life with real servers: set up, used from many threads, lost by kill -9 of either
 * side; and daemons that do not start.
 */
#include "unit.h"

#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "peer.h"

static int getattr(struct causeway *c, unsigned int queue, uint32_t *mode)
{
	struct {
		struct fuse_in_header head;
		struct fuse_getattr_in args;
	} in = {.head = {.opcode = FUSE_GETATTR, .nodeid = FUSE_ROOT_ID}};
	struct {
		struct fuse_out_header head;
		struct fuse_attr_out attr;
	} out;
	struct causeway_raw raw = {
		.in = &(struct iovec){&in, sizeof(in)},
		.nin = 1,
		.out = &(struct iovec){&out, sizeof(out)},
		.nout = 1,
		.queue = queue,
	};
	int r = causeway_raw(c, &raw);

	if (r == 0)
		*mode = out.attr.attr.mode;
	return r;
}

struct caller {
	struct causeway *c;
	unsigned int queue;
	pthread_t thread;
};

static void *call_often(void *arg)
{
	struct caller *caller = arg;
	uint32_t mode;

	for (int i = 0; i < 500; i++)
		must(getattr(caller->c, caller->queue, &mode) == 0 && S_ISDIR(mode));
	return NULL;
}

static void use(enum peer_kind kind, const char *queues, const char *regions, const char *spin,
	const char *feature)
{
	const char *const options[] = {"queues", queues, "regions", regions, "spin-us", spin,
		"queue-size", "16", "event-idx", feature, "indirect", feature, NULL};
	struct peer *p = peer_start(kind, options);
	struct caller callers[8];
	uint64_t n;

	assert_int_equal(causeway_get(p->c, "queues", &n), 0);
	assert_true(n >= 1 && n <= 64);
	if (kind == PEER_CAUSEWAYD)
		assert_int_equal(n, strtoul(queues, NULL, 10));
	for (unsigned int i = 0; i < ARRAY_SIZE(callers); i++) {
		callers[i] = (struct caller){p->c, 1 + i % (unsigned int)n, 0};
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]),
			0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(callers); i++)
		pthread_join(callers[i].thread, NULL);
	peer_finish(p);
}

static void test_use(void **state)
{
	for (enum peer_kind kind = 0; kind < PEER_KINDS; kind++) {
		if (!peer_exists(kind))
			continue;
		use(kind, "1", "1", "0", "1");
		use(kind, "4", "8", "100", "0");
		use(kind, "64", "3", "0", "1");
	}
}

/* The daemon is killed: every call says so from then on, and freeing does not wait. */
static void test_daemon_killed(void **state)
{
	struct peer *p = peer_start(PEER_CAUSEWAYD, NULL);
	uint64_t pid;
	uint32_t mode;
	int r;

	assert_int_equal(causeway_get(p->c, "daemon-pid", &pid), 0);
	assert_true(pid > 1);
	assert_int_equal(getattr(p->c, 1, &mode), 0);
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
	while ((r = getattr(p->c, 1, &mode)) == 0)
		;
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(r, -ENOTCONN);
		assert_string_equal(causeway_error(p->c),
			"the back-end has ended the connection");
		r = getattr(p->c, i % 2, &mode);
	}
	peer_finish(p);
}

/* The program is killed: its daemon ends. */
static void test_client_killed(void **state)
{
	struct pollfd end = {.events = POLLIN};
	int pipe_fds[2], status;
	uint64_t daemon;
	pid_t child;

	assert_int_equal(pipe(pipe_fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct causeway *c = causeway_new();

		must(causeway_set(c, "daemon", peer_causewayd()) == 0);
		must(causeway_share(c, "/tmp") == 0);
		must(causeway_get(c, "daemon-pid", &daemon) == 0);
		must(write(pipe_fds[1], &daemon, sizeof(daemon)) == sizeof(daemon));
		pause();
	}
	assert_int_equal(read(pipe_fds[0], &daemon, sizeof(daemon)), sizeof(daemon));
	end.fd = (int)syscall(SYS_pidfd_open, (pid_t)daemon, 0);
	assert_true(end.fd >= 0);
	assert_int_equal(poll(&end, 1, 0), 0);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	/* One that stays is found by the test's time limit. */
	assert_int_equal(poll(&end, 1, -1), 1);
	close(end.fd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void test_no_start(void **state)
{
	struct causeway *c = causeway_new();
	int before = unit_open_fds();

	assert_int_equal(causeway_set(c, "daemon", "/nonexistent/causewayd"), 0);
	assert_int_equal(causeway_share(c, "/tmp"), -ENOENT);
	assert_string_equal(causeway_error(c), "cannot start '/nonexistent/causewayd' to share "
					       "'/tmp': No such file or directory");
	assert_int_equal(causeway_set(c, "daemon", "false"), 0);
	assert_int_equal(causeway_share(c, "/tmp"), -ENOTCONN);
	assert_non_null(strstr(causeway_error(c), "the daemon ended with status 1"));
	assert_int_equal(causeway_connect(c, "/nonexistent/sock"), -ENOENT);
	assert_int_equal(causeway_connect_fd(c, 12345), -EBADF);
	assert_int_equal(unit_open_fds(), before);
	causeway_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_use),
		cmocka_unit_test(test_daemon_killed),
		cmocka_unit_test(test_client_killed),
		cmocka_unit_test(test_no_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
