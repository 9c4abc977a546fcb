// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * How waits for the front-end end: rings that stop, answers that come too late, front-ends that go,
 * close the channel, or answer what they must not.
 */
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "shmem_world.h"

#define MiB (1ull << 20)

static struct vhost_shmem_change map(struct sw *w, uint64_t at)
{
	return (struct vhost_shmem_change){.at = at, .len = MiB, .fd = w->file, .writable = true};
}

/* A change that the front-end makes. */
static void must_map(struct sw *w, uint64_t at)
{
	struct vhost_shmem_change change = map(w, at);
	struct sw_asker asker;

	sw_ask(w, &asker, &change, 1);
	sw_expect_map(w, at, MiB, 0, true);
	sw_expect_barrier(w);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 0);
	sw_answer(w, VU_BACKEND_SHARED_OBJECT_REMOVE, 1);
	sw_end(&asker);
	assert_int_equal(change.result, 0);
}

/* Nothing was sent to the front-end that it has not read. */
static void must_be_silent(struct sw *w)
{
	assert_int_equal(poll(&(struct pollfd){.fd = w->channel, .events = POLLIN}, 1, 0), 0);
}

/* QEMU 11.1 crashes on what it is asked before the device runs, or while it is stopped. */
static void test_only_while_it_runs(void **state)
{
	struct sw *w = sw_start(SW_WINDOW,
		VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ | VHOST_SHMEM_FEATURES);
	struct vhost_shmem_change change = map(w, 0);
	struct vu_vring_addr other = {.index = 1, .desc = 1};

	sw_open_channel(w, 0);
	for (int step = 0; step < 4; step++) {
		if (step == 1)
			sw_set_ring(w);
		if (step == 2) {
			sw_enable(w, true);
			must_map(w, 0);
			sw_enable(w, false);
		}
		if (step == 3) {
			sw_enable(w, true);
			must_map(w, 0);
			sw_stop_ring(w);
		}
		assert_true(vhost_shmem_is_there(&w->dev));
		vhost_shmem_apply(&w->dev, &change, 1);
		assert_int_equal(change.result, -EINTR);
		must_be_silent(w);
	}
	sw_set_ring(w);
	must_map(w, 0);
	/* One ring of two that stops is enough: a front-end stops them one by one. */
	assert_int_equal(sw_tell(w, VU_SET_VRING_ADDR, &other, sizeof(other), -1), 0);
	vhost_shmem_apply(&w->dev, &change, 1);
	assert_int_equal(change.result, -EINTR);
	must_be_silent(w);
	sw_finish(w);
}

/* A ring's end waits for requests that wait for the front-end, which waits for the ring's end. */
static void test_ring_stops(void **state)
{
	struct sw *w = sw_run();
	struct vhost_shmem_change first[3] = {map(w, 0), map(w, MiB), map(w, 2 * MiB)};
	struct vhost_shmem_change second[2] = {map(w, 3 * MiB), map(w, 4 * MiB)};
	struct sw_asker asker;

	sw_ask(w, &asker, first, 3);
	for (int i = 0; i < 3; i++)
		sw_expect_map(w, i * MiB, MiB, 0, true);
	sw_expect_barrier(w);
	w->in_flight = &asker;
	sw_stop_ring(w);
	for (int i = 0; i < 3; i++)
		assert_int_equal(first[i].result, -EINTR);
	/* The next one's answers come behind those that are owed. */
	sw_set_ring(w);
	sw_ask(w, &asker, second, 2);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 1);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 0);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 1);
	sw_answer(w, VU_BACKEND_SHARED_OBJECT_REMOVE, 1);
	sw_expect_map(w, 3 * MiB, MiB, 0, true);
	sw_expect_map(w, 4 * MiB, MiB, 0, true);
	sw_expect_barrier(w);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 0);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 1);
	sw_answer(w, VU_BACKEND_SHARED_OBJECT_REMOVE, 1);
	sw_end(&asker);
	assert_int_equal(second[0].result, 0);
	assert_int_equal(second[1].result, -EIO);
	for (int i = 0; i < 3; i++)
		assert_int_equal(first[i].result, -EINTR);
	sw_finish(w);
}

/* As many answers are owed as may be: the next one reads before it asks. */
static void test_all_owed(void **state)
{
	struct sw *w = sw_run();
	struct vhost_shmem_change many[VHOST_SHMEM_IN_FLIGHT + 1];
	struct vhost_shmem_change late = map(w, 0);
	struct sw_asker asker;

	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = map(w, i * MiB);
	sw_ask(w, &asker, many, ARRAY_SIZE(many));
	for (unsigned int i = 0; i < VHOST_SHMEM_IN_FLIGHT; i++)
		sw_expect_map(w, i * MiB, MiB, 0, true);
	w->in_flight = &asker;
	sw_stop_ring(w);
	must_be_silent(w);
	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++)
		assert_int_equal(many[i].result, -EINTR);
	sw_set_ring(w);
	sw_ask(w, &asker, &late, 1);
	for (unsigned int i = 0; i < VHOST_SHMEM_IN_FLIGHT; i++)
		sw_answer(w, VU_BACKEND_SHMEM_MAP, 1);
	sw_expect_map(w, 0, MiB, 0, true);
	sw_expect_barrier(w);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 0);
	sw_answer(w, VU_BACKEND_SHARED_OBJECT_REMOVE, 1);
	sw_end(&asker);
	assert_int_equal(late.result, 0);
	sw_finish(w);
}

/* The front-end goes while it owes answers; or tells us to end. */
static void test_front_end_goes(void **state)
{
	for (int told = 0; told < 2; told++) {
		struct sw *w = sw_run();
		struct vhost_shmem_change changes[2] = {map(w, 0), map(w, MiB)};
		const uint64_t one = 1;
		struct sw_asker asker;

		sw_ask(w, &asker, changes, 2);
		sw_expect_map(w, 0, MiB, 0, true);
		w->in_flight = &asker;
		if (told) {
			assert_int_equal(write(w->stop, &one, sizeof(one)), sizeof(one));
			w->expected = -EINTR;
		}
		/* Its end waits for the asker's. */
		sw_finish(w);
		assert_int_equal(changes[0].result, -ENOTCONN);
		assert_int_equal(changes[1].result, -ENOTCONN);
	}
}

/* It closes the channel only: everything else goes on, and a new channel is good again. */
static void test_channel_closes(void **state)
{
	struct sw *w = sw_run();
	struct vhost_shmem_change change = map(w, 0);
	struct sw_asker asker;

	for (int round = 0; round < 3; round++) {
		sw_ask(w, &asker, &change, 1);
		sw_expect_map(w, 0, MiB, 0, true);
		if (round < 2)
			close_fd(&w->channel);
		else
			sw_open_channel(w, 0);
		sw_end(&asker);
		assert_int_equal(change.result, round < 2 ? -ENOTCONN : -EINTR);
		if (round < 2) {
			assert_false(vhost_shmem_is_there(&w->dev));
			vhost_shmem_apply(&w->dev, &change, 1);
			assert_int_equal(change.result, -ENOTCONN);
			sw_open_channel(w, 0);
		}
		/* What the old channel owed is forgotten. */
		must_map(w, MiB);
	}
	sw_finish(w);
}

static void send_answer(struct sw *w, const uint32_t words[5], size_t len, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = {(void *)(uintptr_t)words, len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		mh.msg_control = control;
		mh.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&mh) =
			(struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(w->channel, &mh, MSG_NOSIGNAL), len);
}

static void test_bad_answers(void **state)
{
	const struct {
		uint32_t words[5];
		size_t len;
		bool with_fd;
	} cases[] = {
		{{VU_BACKEND_SHMEM_UNMAP, 5, 8}, 20, false},
		{{VU_BACKEND_SHARED_OBJECT_REMOVE, 5, 8}, 20, false},
		{{UINT32_MAX, 5, 8}, 12, false},
		{{VU_BACKEND_SHMEM_MAP, 1, 8}, 20, false},
		{{VU_BACKEND_SHMEM_MAP, 6, 8}, 20, false},
		{{VU_BACKEND_SHMEM_MAP, 0xd, 8}, 20, false},
		{{VU_BACKEND_SHMEM_MAP, 5, 0}, 12, false},
		{{VU_BACKEND_SHMEM_MAP, 5, 7}, 12, false},
		{{VU_BACKEND_SHMEM_MAP, 5, UINT32_MAX}, 20, false},
		{{VU_BACKEND_SHMEM_MAP, 5, 8}, 20, true},
		{{VU_BACKEND_SHMEM_MAP, 5, 8}, 1, true},
		{{~0u, ~0u, ~0u, ~0u, ~0u}, 20, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sw *w = sw_run();
		struct vhost_shmem_change changes[2] = {map(w, 0), map(w, MiB)};
		struct sw_asker asker;
		char end;

		sw_ask(w, &asker, changes, 2);
		sw_expect_map(w, 0, MiB, 0, true);
		send_answer(w, cases[i].words, cases[i].len, cases[i].with_fd ? w->file : -1);
		sw_end(&asker);
		assert_int_equal(recv(w->theirs, &end, 1, 0), 0);
		assert_int_equal(changes[0].result, -ENOTCONN);
		assert_int_equal(changes[1].result, -ENOTCONN);
		sw_finish(w);
	}
}

#define STORM_CHANGES (VHOST_SHMEM_IN_FLIGHT - 2)

/* Several ask, and the ring stops and starts again and again: after the answer to what stops it,
 * nothing is sent before it starts. */
struct storm {
	struct sw *w;
	atomic_bool over;
};

static void *keep_asking(void *arg)
{
	struct storm *storm = arg;
	struct vhost_shmem_change changes[STORM_CHANGES];

	for (unsigned int i = 0; i < STORM_CHANGES; i++)
		changes[i] = map(storm->w, i * MiB);
	while (!storm->over) {
		vhost_shmem_apply(&storm->w->dev, changes, STORM_CHANGES);
		for (unsigned int i = 0; i < STORM_CHANGES; i++)
			must(changes[i].result == 0 || changes[i].result == -EINTR);
	}
	return NULL;
}

/* Answers what has come, at most so many; how many that was. */
static unsigned int answer(struct sw *w, unsigned int max)
{
	unsigned int n = 0;

	while (n < max && poll(&(struct pollfd){.fd = w->channel, .events = POLLIN}, 1, 0) == 1) {
		struct sw_request r;

		must(sw_receive(w, &r));
		close_fd(&r.fd);
		sw_answer(w, r.number, r.number == VU_BACKEND_SHARED_OBJECT_REMOVE);
		n++;
	}
	return n;
}

/* Bytes of requests that the front-end has not read. */
static int unread(struct sw *w)
{
	int n;

	assert_int_equal(ioctl(w->channel, FIONREAD, &n), 0);
	return n;
}

static void test_storm(void **state)
{
	struct sw *w = sw_run();
	struct storm storm = {.w = w};
	pthread_t threads[SW_ASKERS];
	unsigned int rounds = 0;
	int sent;

	for (int i = 0; i < SW_ASKERS; i++)
		pthread_create(&threads[i], NULL, keep_asking, &storm);
	while (rounds < 120) {
		for (unsigned int left = 1 + rounds % 40; left > 0;)
			left -= answer(w, left);
		sw_enable(w, false);
		sent = unread(w);
		for (int i = 0; i < 20; i++) {
			sched_yield();
			assert_int_equal(unread(w), sent);
		}
		answer(w, UINT_MAX);
		sw_enable(w, true);
		rounds++;
	}
	storm.over = true;
	sw_enable(w, false);
	for (int i = 0; i < SW_ASKERS; i++)
		pthread_join(threads[i], NULL);
	sw_finish(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_while_it_runs),
		cmocka_unit_test(test_ring_stops),
		cmocka_unit_test(test_all_owed),
		cmocka_unit_test(test_front_end_goes),
		cmocka_unit_test(test_channel_closes),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_storm),
	};

	log_open("test", LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
