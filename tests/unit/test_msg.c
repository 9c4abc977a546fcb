// SPDX-License-Identifier: BSD-2-Clause
/* The codec of vhost-user messages: fragments, descriptors, ends of the stream, bad headers. */
#include "unit.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "vhost/msg.h"

struct world {
	int ours, theirs; /* the two ends of the socket */
	int stop;
	int before; /* descriptors open */
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->ours = pair[0];
	w->theirs = pair[1];
	w->stop = eventfd(0, EFD_CLOEXEC);
	w->before = unit_open_fds();
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->ours);
	close(w->theirs);
	close(w->stop);
	free(w);
	return 0;
}

/* Sends bytes with n descriptors beside them; the caller keeps its own. */
static void send_with(int sock, const void *bytes, size_t len, const int *fds, unsigned int n)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(64 * sizeof(int))];
	} control = {.align = {.cmsg_len = 0}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n > 0) {
		struct cmsghdr *c = &control.align;

		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	must(sendmsg(sock, &mh, MSG_NOSIGNAL) == (ssize_t)len);
}

/* A message with a payload of size bytes that count up from 1. */
struct raw {
	struct vu_header head;
	uint8_t body[2 * sizeof(union vu_payload)];
};

static struct raw message(uint32_t request, uint32_t size)
{
	struct raw m = {.head = {.request = request, .flags = VU_VERSION, .size = size}};

	for (size_t i = 0; i < sizeof(m.body); i++)
		m.body[i] = (uint8_t)(i + 1);
	return m;
}

static void check_message(const struct vu_msg *msg, const struct raw *m)
{
	assert_int_equal(msg->head.request, m->head.request);
	assert_int_equal(msg->head.flags, m->head.flags);
	assert_int_equal(msg->head.size, m->head.size);
	assert_memory_equal(&msg->body, m->body, m->head.size);
	/* What did not come reads as zero. */
	for (size_t i = m->head.size; i < sizeof(msg->body); i++)
		assert_int_equal(((const char *)&msg->body)[i], 0);
}

static void test_sizes(void **state)
{
	struct world *w = *state;
	struct vu_msg msg;

	for (uint32_t size = 0; size <= sizeof(union vu_payload); size++) {
		struct raw m = message(size, size);

		m.head.flags |= size % 2 ? VU_FLAG_NEED_REPLY : 0;
		send_with(w->theirs, &m, sizeof(m.head) + size, NULL, 0);
		/* The next message waits behind it and is not touched. */
		m.head.request++;
		send_with(w->theirs, &m, sizeof(m.head) + size, NULL, 0);
		m.head.request--;
		assert_int_equal(vu_msg_recv(w->ours, w->stop, &msg), 1);
		check_message(&msg, &m);
		m.head.request++;
		assert_int_equal(vu_msg_recv(w->ours, w->stop, &msg), 1);
		check_message(&msg, &m);
		assert_int_equal(msg.nfds, 0);
	}
}

struct sender {
	int sock;
	const struct raw *m;
	size_t piece;
	int fd; /* goes with every piece, unless -1 */
	unsigned int fds; /* so many times in all */
};

/* Sends a message piece by piece, each only when the one before has been taken. */
static void *send_pieces(void *arg)
{
	struct sender *s = arg;
	size_t len = sizeof(s->m->head) + s->m->head.size;

	for (size_t at = 0; at < len; at += s->piece) {
		unsigned int n = s->fds > 0 ? 1 : 0;
		int unread = 1;

		send_with(s->sock, (const char *)s->m + at, min_t(size_t, s->piece, len - at),
			&s->fd, n);
		s->fds -= n;
		while (unread > 0) {
			must(ioctl(s->sock, SIOCOUTQ, &unread) == 0);
			sched_yield();
		}
	}
	return NULL;
}

static void test_fragments(void **state)
{
	struct world *w = *state;
	struct raw m = message(5, 40);

	for (size_t piece = 1; piece <= 52; piece += piece < 14 ? 1 : 7) {
		struct sender s = {w->theirs, &m, piece, w->stop, (unsigned int)(52 / piece) % 9};
		unsigned int fds = s.fds;
		struct vu_msg msg;
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, send_pieces, &s), 0);
		assert_int_equal(vu_msg_recv(w->ours, w->stop, &msg), 1);
		pthread_join(thread, NULL);
		check_message(&msg, &m);
		assert_int_equal(msg.nfds, fds);
		vu_msg_close(&msg);
		assert_int_equal(unit_open_fds(), w->before);
	}
}

static ino_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void test_descriptors(void **state)
{
	struct world *w = *state;
	struct raw m = message(5, 8);
	int fds[VU_FDS_MAX];

	for (unsigned int i = 0; i < VU_FDS_MAX; i++)
		fds[i] = memfd_create("region", 0);
	for (unsigned int n = 0; n <= VU_FDS_MAX; n++) {
		struct vu_msg msg;
		int before = unit_open_fds();

		send_with(w->theirs, &m, sizeof(m.head) + 8, fds, n);
		assert_int_equal(vu_msg_recv(w->ours, w->stop, &msg), 1);
		check_message(&msg, &m);
		assert_int_equal(msg.nfds, n);
		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(inode_of(msg.fds[i]), inode_of(fds[i]));
			assert_true(fcntl(msg.fds[i], F_GETFD) & FD_CLOEXEC);
		}
		if (n > 2) {
			int taken = vu_msg_take_fd(&msg, 1);

			vu_msg_close(&msg);
			assert_int_equal(inode_of(taken), inode_of(fds[1]));
			close(taken);
		}
		vu_msg_close(&msg);
		assert_int_equal(unit_open_fds(), before);
	}
	for (unsigned int i = 0; i < VU_FDS_MAX; i++)
		close(fds[i]);
}

/* More descriptors than any message has, in one send or in several: refused, none stays open. */
static void test_too_many_descriptors(void **state)
{
	struct world *w = *state;
	static const unsigned int counts[][2] = {
		{9, 0}, {10, 0}, {64, 0}, {8, 1}, {1, 8}, {5, 5}, {0, 9}};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct raw m = message(5, 8);
		struct vu_msg msg;
		int pair[2], fds[64];

		for (size_t f = 0; f < ARRAY_SIZE(fds); f++)
			fds[f] = w->stop;
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		send_with(pair[1], &m, sizeof(m.head), fds, counts[i][0]);
		send_with(pair[1], m.body, 8, fds, counts[i][1]);
		assert_int_equal(vu_msg_recv(pair[0], w->stop, &msg), -EBADMSG);
		close(pair[0]);
		close(pair[1]);
		assert_int_equal(unit_open_fds(), w->before);
	}
}

/* The stream ends behind each byte of a message that has a descriptor beside it. */
static void test_end_of_stream(void **state)
{
	struct world *w = *state;

	for (size_t len = 0; len <= sizeof(struct vu_header) + 8; len++) {
		struct raw m = message(5, 8);
		bool whole = len == sizeof(m.head) + 8;
		struct vu_msg msg;
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		if (len > 0)
			send_with(pair[1], &m, len, &w->stop, 1);
		close(pair[1]);
		assert_int_equal(vu_msg_recv(pair[0], w->stop, &msg),
			whole ? 1 : len == 0 ? 0 : -EBADMSG);
		if (whole) {
			vu_msg_close(&msg);
			assert_int_equal(vu_msg_recv(pair[0], w->stop, &msg), 0);
		}
		close(pair[0]);
		assert_int_equal(unit_open_fds(), w->before);
	}
}

static void test_bad_headers(void **state)
{
	struct world *w = *state;
	static const struct vu_header bad[] = {
		{.request = 1, .flags = 0, .size = 8},
		{.request = 1, .flags = 2, .size = 8},
		{.request = 1, .flags = 3, .size = 8},
		{.request = 1, .flags = VU_VERSION | VU_FLAG_REPLY, .size = 8},
		{.request = 1, .flags = VU_VERSION, .size = sizeof(union vu_payload) + 1},
		{.request = 1, .flags = VU_VERSION, .size = UINT32_MAX},
		{.request = 1, .flags = VU_VERSION, .size = 1u << 31},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct raw m = message(1, 8);
		struct vu_msg msg;
		int pair[2];

		m.head = bad[i];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		send_with(pair[1], &m, sizeof(m), &w->stop, 1);
		assert_int_equal(vu_msg_recv(pair[0], w->stop, &msg), -EBADMSG);
		close(pair[0]);
		close(pair[1]);
		assert_int_equal(unit_open_fds(), w->before);
	}
}

/* A stop interrupts the wait for a message, and for the rest of one. */
static void test_stop(void **state)
{
	struct world *w = *state;
	const uint64_t one = 1;
	struct raw m = message(1, 8);
	struct vu_msg msg;

	assert_int_equal(write(w->stop, &one, sizeof(one)), sizeof(one));
	assert_int_equal(vu_msg_recv(w->ours, w->stop, &msg), -EINTR);
	send_with(w->theirs, &m, sizeof(m.head) + 3, &w->ours, 1);
	assert_int_equal(vu_msg_recv(w->ours, w->stop, &msg), -EINTR);
	assert_int_equal(unit_open_fds(), w->before);
}

static void test_reset_connection(void **state)
{
	struct world *w = *state;
	struct vu_msg msg;

	/* An end that closes with bytes of ours unread resets the connection. */
	send_with(w->ours, "x", 1, NULL, 0);
	close(w->theirs);
	assert_int_equal(vu_msg_recv(w->ours, w->stop, &msg), -ECONNRESET);
	w->theirs = eventfd(0, 0);
}

static void test_reply(void **state)
{
	struct world *w = *state;
	struct vu_msg msg;
	struct raw got;

	for (uint32_t size = 0; size <= sizeof(union vu_payload); size += 4) {
		struct raw m = message(11, size);

		m.head.flags |= VU_FLAG_NEED_REPLY;
		memcpy(&msg.head, &m.head, sizeof(m.head));
		memcpy(&msg.body, m.body, size);
		assert_int_equal(vu_msg_reply(w->ours, &msg, size), 0);
		assert_int_equal(recv(w->theirs, &got, sizeof(got), 0), sizeof(m.head) + size);
		assert_int_equal(got.head.request, 11);
		assert_int_equal(got.head.flags, VU_VERSION | VU_FLAG_REPLY);
		assert_int_equal(got.head.size, size);
		assert_memory_equal(got.body, m.body, size);
	}
}

/* A front-end that never reads, or has gone, gives an error: no hang, no signal. */
static void test_reply_to_nobody(void **state)
{
	struct world *w = *state;
	struct vu_msg msg = {.head = {.request = 1}};
	int r = 0;

	for (int i = 0; i < 100000 && r == 0; i++)
		r = vu_msg_reply(w->ours, &msg, sizeof(msg.body));
	assert_int_equal(r, -EAGAIN);
	close(w->theirs);
	assert_int_equal(vu_msg_reply(w->ours, &msg, 8), -EPIPE);
	w->theirs = eventfd(0, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_sizes),
		CASE(test_fragments),
		CASE(test_descriptors),
		CASE(test_too_many_descriptors),
		CASE(test_end_of_stream),
		CASE(test_bad_headers),
		CASE(test_stop),
		CASE(test_reset_connection),
		CASE(test_reply),
		CASE(test_reply_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
