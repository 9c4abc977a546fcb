// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * What the back-end asks of the front-end: requests as they are on the wire, answers in their
 * order, the barrier, how many are in flight, and who may ask when.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "shmem_world.h"

#define MiB (1ull << 20)

static struct vhost_shmem_change map(struct sw *w, uint64_t at, uint64_t len)
{
	return (struct vhost_shmem_change){.at = at, .len = len, .fd = w->file, .writable = true};
}

static struct vhost_shmem_change unmap(uint64_t at, uint64_t len)
{
	return (struct vhost_shmem_change){.at = at, .len = len, .fd = -1};
}

/* Reads the next request, whatever it is, and answers it. */
static uint32_t serve_one(struct sw *w, uint64_t value)
{
	struct sw_request r;

	assert_true(sw_receive(w, &r));
	close_fd(&r.fd);
	sw_answer(w, r.number, value);
	return r.number;
}

static void test_wire(void **state)
{
	struct sw *w = sw_run();
	struct vhost_shmem_change changes[] = {map(w, 2 * MiB, MiB), unmap(7 * MiB, 4096),
		map(w, 0, 4096)};
	struct sw_asker asker;

	changes[0].offset = 5 * 4096;
	changes[2].writable = false;
	assert_true(vhost_shmem_is_there(&w->dev));
	sw_ask(w, &asker, changes, 3);
	/* All of it comes before any answer. */
	sw_expect_map(w, 2 * MiB, MiB, 5 * 4096, true);
	sw_expect_unmap(w, 7 * MiB, 4096);
	sw_expect_map(w, 0, 4096, 0, false);
	sw_expect_barrier(w);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 0);
	sw_answer(w, VU_BACKEND_SHMEM_UNMAP, 1);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 0);
	/* QEMU does not know the object: what it says of it means nothing. */
	sw_answer(w, VU_BACKEND_SHARED_OBJECT_REMOVE, 1);
	sw_end(&asker);
	assert_int_equal(changes[0].result, 0);
	assert_int_equal(changes[1].result, -EIO);
	assert_int_equal(changes[2].result, 0);
	sw_finish(w);
}

/* Nothing is done before the barrier's answer: without one, nothing is sure. */
static void test_barrier_counts(void **state)
{
	struct sw *w = sw_run();
	struct vhost_shmem_change changes[] = {map(w, 0, MiB), map(w, MiB, MiB)};
	struct sw_asker asker;

	sw_ask(w, &asker, changes, 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(serve_one(w, i), VU_BACKEND_SHMEM_MAP);
	w->in_flight = &asker;
	sw_enable(w, false);
	assert_int_equal(changes[0].result, -EINTR);
	assert_int_equal(changes[1].result, -EIO);
	sw_finish(w);
}

static void test_many_in_flight(void **state)
{
	enum { N = 5 * VHOST_SHMEM_IN_FLIGHT + 3 };
	struct sw *w = sw_run();
	struct vhost_shmem_change changes[N];
	struct sw_asker asker;

	for (unsigned int i = 0; i < N; i++)
		changes[i] = i % 2 ? unmap(i * MiB, MiB) : map(w, i * MiB, MiB);
	sw_ask(w, &asker, changes, N);
	for (unsigned int read = 0, answered = 0; answered < N + 1; answered++) {
		for (; read < N + 1 && read < answered + VHOST_SHMEM_IN_FLIGHT; read++) {
			if (read == N)
				sw_expect_barrier(w);
			else if (read % 2)
				sw_expect_unmap(w, read * MiB, MiB);
			else
				sw_expect_map(w, read * MiB, MiB, 0, true);
		}
		sw_answer(w, answered == N ? VU_BACKEND_SHARED_OBJECT_REMOVE
			: answered % 2     ? VU_BACKEND_SHMEM_UNMAP
					   : VU_BACKEND_SHMEM_MAP,
			answered % 7 == 3);
	}
	sw_end(&asker);
	for (unsigned int i = 0; i < N; i++)
		assert_int_equal(changes[i].result, i % 7 == 3 ? -EIO : 0);
	sw_finish(w);
}

/* A channel that has room for a few requests: the others wait until those are read, whether or not
 * they are answered. */
static void test_narrow_channel(void **state)
{
	enum { N = VHOST_SHMEM_IN_FLIGHT - 1 };
	struct sw *w = sw_run();
	struct vhost_shmem_change changes[N];
	struct sw_asker asker;

	sw_open_channel(w, 1);
	for (unsigned int i = 0; i < N; i++)
		changes[i] = map(w, i * MiB, MiB);
	sw_ask(w, &asker, changes, N);
	for (unsigned int i = 0; i < N; i++)
		sw_expect_map(w, i * MiB, MiB, 0, true);
	sw_expect_barrier(w);
	for (unsigned int i = 0; i < N; i++)
		sw_answer(w, VU_BACKEND_SHMEM_MAP, 0);
	sw_answer(w, VU_BACKEND_SHARED_OBJECT_REMOVE, 1);
	sw_end(&asker);
	for (unsigned int i = 0; i < N; i++)
		assert_int_equal(changes[i].result, 0);

	/* And one that nobody reads, when the ring stops. */
	sw_ask(w, &asker, changes, N);
	assert_int_equal(poll(&(struct pollfd){.fd = w->channel, .events = POLLIN}, 1, -1), 1);
	w->in_flight = &asker;
	sw_stop_ring(w);
	for (unsigned int i = 0; i < N; i++)
		assert_int_equal(changes[i].result, -EINTR);
	sw_finish(w);
}

/* An answer may come in pieces. */
static void test_slow_answer(void **state)
{
	struct sw *w = sw_run();
	struct vhost_shmem_change change = map(w, 0, MiB);
	const uint32_t words[] = {VU_BACKEND_SHMEM_MAP, VU_VERSION | VU_FLAG_REPLY, 8, 0, 0};
	struct sw_asker asker;

	sw_ask(w, &asker, &change, 1);
	sw_expect_map(w, 0, MiB, 0, true);
	for (size_t i = 0; i < sizeof(words); i++)
		assert_int_equal(send(w->channel, (const char *)words + i, 1, 0), 1);
	sw_expect_barrier(w);
	sw_answer(w, VU_BACKEND_SHARED_OBJECT_REMOVE, 0);
	sw_end(&asker);
	assert_int_equal(change.result, 0);
	sw_finish(w);
}

static void test_without_barrier(void **state)
{
	struct sw *w = sw_start(SW_WINDOW, VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ |
			VU_PROTOCOL_F_BACKEND_SEND_FD | VU_PROTOCOL_F_SHMEM);
	struct vhost_shmem_change change = map(w, 0, MiB);
	struct sw_asker asker;

	sw_open_channel(w, 0);
	sw_set_ring(w);
	sw_enable(w, true);
	for (int i = 0; i < 2; i++) {
		sw_ask(w, &asker, &change, 1);
		assert_int_equal(serve_one(w, 0), VU_BACKEND_SHMEM_MAP);
		sw_end(&asker);
		assert_int_equal(change.result, 0);
	}
	sw_finish(w);
}

static void test_not_there(void **state)
{
	const uint64_t all = VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ |
		VHOST_SHMEM_FEATURES;
	const uint64_t without[] = {VU_PROTOCOL_F_BACKEND_SEND_FD, VU_PROTOCOL_F_SHMEM};

	for (size_t i = 0; i <= ARRAY_SIZE(without); i++) {
		bool no_channel = i == ARRAY_SIZE(without);
		struct sw *w = sw_start(SW_WINDOW, no_channel ? all : all & ~without[i]);
		struct vhost_shmem_change changes[] = {map(w, 0, MiB), unmap(0, MiB)};

		if (!no_channel)
			sw_open_channel(w, 0);
		sw_set_ring(w);
		sw_enable(w, true);
		assert_false(vhost_shmem_is_there(&w->dev));
		vhost_shmem_apply(&w->dev, changes, 2);
		assert_int_equal(changes[0].result, -ENOTCONN);
		assert_int_equal(changes[1].result, -ENOTCONN);
		vhost_shmem_apply(&w->dev, changes, 0);
		sw_finish(w);
	}
}

static void test_bad_descriptor(void **state)
{
	struct sw *w = sw_run();
	struct vhost_shmem_change changes[] = {map(w, 0, MiB), map(w, MiB, MiB),
		map(w, 2 * MiB, MiB)};
	struct sw_asker asker;

	/* Beyond any table: a number once closed, this side's receipt of the first map takes. */
	changes[1].fd = INT_MAX;
	sw_ask(w, &asker, changes, 3);
	sw_expect_map(w, 0, MiB, 0, true);
	sw_expect_map(w, 2 * MiB, MiB, 0, true);
	sw_expect_barrier(w);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 0);
	sw_answer(w, VU_BACKEND_SHMEM_MAP, 1);
	sw_answer(w, VU_BACKEND_SHARED_OBJECT_REMOVE, 0);
	sw_end(&asker);
	assert_int_equal(changes[0].result, 0);
	assert_int_equal(changes[1].result, -EBADF);
	assert_int_equal(changes[2].result, -EIO);
	sw_finish(w);
}

static void test_config(void **state)
{
	const struct vu_header ask = {VU_GET_SHMEM_CONFIG, VU_VERSION, 0};
	struct sw *w = sw_run();
	struct {
		struct vu_header head;
		struct vu_shmem_config config;
	} __attribute__((packed)) answer;
	const struct vu_header features = {VU_GET_PROTOCOL_FEATURES, VU_VERSION, 0};
	struct {
		struct vu_header head;
		uint64_t value;
	} __attribute__((packed)) offered;

	assert_int_equal(send(w->theirs, &ask, sizeof(ask), 0), sizeof(ask));
	assert_int_equal(recv(w->theirs, &answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
	assert_int_equal(answer.head.flags, VU_VERSION | VU_FLAG_REPLY);
	assert_int_equal(answer.head.size, 2056);
	assert_int_equal(answer.config.nregions, 1);
	assert_int_equal(answer.config.sizes[0], SW_WINDOW);
	for (size_t i = 1; i < VU_SHMEM_REGIONS_MAX; i++)
		assert_int_equal(answer.config.sizes[i], 0);
	sw_finish(w);

	/* A device without a window says nothing of all that. */
	w = sw_start(0, VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ);
	assert_int_equal(send(w->theirs, &features, sizeof(features), 0), sizeof(features));
	assert_int_equal(recv(w->theirs, &offered, sizeof(offered), MSG_WAITALL), sizeof(offered));
	assert_int_equal(offered.value & VHOST_SHMEM_FEATURES, 0);
	assert_int_not_equal(offered.value & VU_PROTOCOL_F_BACKEND_REQ, 0);
	assert_int_equal(send(w->theirs, &ask, sizeof(ask), 0), sizeof(ask));
	w->expected = -EPROTO;
	sw_finish(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_barrier_counts),
		cmocka_unit_test(test_many_in_flight),
		cmocka_unit_test(test_narrow_channel),
		cmocka_unit_test(test_slow_answer),
		cmocka_unit_test(test_without_barrier),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_bad_descriptor),
		cmocka_unit_test(test_config),
	};

	log_open("test", LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
