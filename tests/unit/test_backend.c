// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * A back-end with its threads, driven by real messages over a socket and a real driver in shared
 * memory: kicks, calls, memory that comes and goes, rings that stop and break.
 */
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/log.h"
#include "mem/cursor.h"
#include "ring_driver.h"
#include "vhost/backend.h"

#define SIZE 16

/* What the device has deferred: the newest, and a post for each. */
static struct vhost_backend *_Atomic deferring;
static struct vhost_deferred *_Atomic deferred;
static sem_t deferrals;

static uint32_t defer(const struct virtq_chain *chain)
{
	deferred = vhost_defer(deferring, 0, chain, "EINT", 4);
	sem_post(&deferrals);
	return deferred ? VHOST_DEFERRED : 0;
}

/* The driver whose ring a request that begins with 'l' never lets become empty; NULL: no more. */
static struct ring_driver *_Atomic looping;
static sem_t loops;

static uint32_t loop(const struct virtq_chain *chain)
{
	struct ring_driver *d = looping;

	if (d)
		rd_offer(d, chain->head);
	sem_post(&loops);
	return 0;
}

/* Holds a request that begins with 'h' until the test says so. */
static sem_t holding, held;

static uint32_t hold(void)
{
	sem_post(&holding);
	sem_wait(&held);
	return 0;
}

/* Answers with the request's bytes turned around; with a 'w' before them later, with an 'l' again
 * and again. */
static uint32_t turn_around(void *worker, const struct virtq_chain *chain)
{
	struct cursor in = cursor_over(chain->in, chain->in_len);
	struct cursor out = cursor_over(chain->out, chain->out_len);
	char bytes[256], turned[256];
	size_t n = cursor_read(&in, bytes, sizeof(bytes));

	if (n > 0 && bytes[0] == 'w')
		return defer(chain);
	if (n > 0 && bytes[0] == 'l')
		return loop(chain);
	if (n > 0 && bytes[0] == 'h')
		return hold();
	for (size_t i = 0; i < n; i++)
		turned[i] = bytes[n - 1 - i];
	return (uint32_t)cursor_write(&out, turned, n);
}

static void *start_worker(void *opaque, unsigned int queue)
{
	return opaque;
}

static void stop_worker(void *worker)
{
}

static void disconnected(void *opaque)
{
}

/* How often the guest reset the device. */
static atomic_int resets;

static void reset(void *opaque)
{
	resets++;
}

static char token;

static const struct vhost_device device = {
	.start_worker = start_worker,
	.stop_worker = stop_worker,
	.request = turn_around,
	.reset = reset,
	.disconnected = disconnected,
	.opaque = &token,
};

struct world {
	struct vhost_backend dev;
	struct ring_driver d;
	int ours, theirs; /* the back-end's end of the socket, and the front-end's */
	int stop, kick, call, err;
	bool event_idx;
	pthread_t server;
	int before;
	int result;
};

static void *serve(void *arg)
{
	struct world *w = arg;
	struct vhost_events events = {.stop_fd = w->stop, .other_fd = -1};

	w->result = vhost_backend_serve(&w->dev, w->ours, &events);
	return NULL;
}

static void send_message(struct world *w, uint32_t number, const void *body, uint32_t size, int fd)
{
	struct vu_header head = {number, VU_VERSION | VU_FLAG_NEED_REPLY, size};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.align = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov[] = {{&head, sizeof(head)}, {(void *)(uintptr_t)body, size}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};

	if (fd >= 0) {
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(w->theirs, &mh, 0), sizeof(head) + size);
}

/* Sends a message that wants an acknowledgement, and returns what it says. */
static uint64_t tell(struct world *w, uint32_t number, const void *body, uint32_t size, int fd)
{
	struct {
		struct vu_header head;
		uint64_t value;
	} __attribute__((packed)) answer;

	send_message(w, number, body, size, fd);
	assert_int_equal(recv(w->theirs, &answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
	assert_int_equal(answer.head.request, number);
	return answer.value;
}

static void tell_u64(struct world *w, uint32_t number, uint64_t value, int fd)
{
	assert_int_equal(tell(w, number, &value, sizeof(value), fd), 0);
}

static uint64_t tell_state(struct world *w, uint32_t number, uint32_t num)
{
	struct vu_vring_state s = {0, num};

	return tell(w, number, &s, sizeof(s), -1);
}

static uint64_t tell_region(struct world *w, uint32_t number, const struct mem_region_desc *r)
{
	struct vu_mem_reg reg = {.region = {r->gpa, r->size, r->uva, r->offset}};

	return tell(w, number, &reg, sizeof(reg), number == VU_ADD_MEM_REG ? w->d.fd : -1);
}

static void set_protocol(struct world *w)
{
	const uint64_t features = VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS |
		VU_PROTOCOL_F_RESET_DEVICE | VU_PROTOCOL_F_STATUS;

	/* Acknowledgements begin behind this message. */
	send_message(w, VU_SET_PROTOCOL_FEATURES, &features, sizeof(features), -1);
}

static void set_ring(struct world *w)
{
	struct ring_driver *d = &w->d;
	struct vu_vring_addr addr = {
		.desc = d->desc_gpa + RD_UVA_BIAS,
		.avail = d->avail_gpa + RD_UVA_BIAS,
		.used = d->used_gpa + RD_UVA_BIAS,
	};

	assert_int_equal(tell_state(w, VU_SET_VRING_NUM, SIZE), 0);
	assert_int_equal(tell_state(w, VU_SET_VRING_BASE, rd_base(d)), 0);
	assert_int_equal(tell(w, VU_SET_VRING_ADDR, &addr, sizeof(addr), -1), 0);
	tell_u64(w, VU_SET_VRING_KICK, 0, w->kick);
	assert_int_equal(tell_state(w, VU_SET_VRING_ENABLE, 1), 0);
}

/* The format of the rings, for one group of tests after the other. */
static bool packed;

static void set_features(struct world *w)
{
	tell_u64(w, VU_SET_FEATURES,
		1ull << VIRTIO_F_VERSION_1_BIT | 1ull << VU_F_PROTOCOL_FEATURES_BIT |
			(w->event_idx ? 1ull << VIRTIO_F_EVENT_IDX_BIT : 0) |
			(packed ? 1ull << VIRTIO_F_RING_PACKED_BIT : 0), -1);
}

static struct world *start(bool event_idx)
{
	struct world *w = calloc(1, sizeof(*w));
	struct mem_region_desc regions[3];
	int pair[2];

	log_open("test", LOG_OFF);
	w->before = unit_open_fds();
	assert_int_equal(vhost_backend_init(&w->dev, &device), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	w->ours = pair[0];
	w->theirs = pair[1];
	w->stop = eventfd(0, 0);
	w->kick = eventfd(0, 0);
	w->call = eventfd(0, 0);
	w->err = eventfd(0, 0);
	deferring = &w->dev;
	assert_int_equal(sem_init(&deferrals, 0, 0), 0);
	rd_open_memory(&w->d, SIZE, packed);
	rd_regions(&w->d, regions);
	assert_int_equal(pthread_create(&w->server, NULL, serve, w), 0);
	set_protocol(w);
	w->event_idx = event_idx;
	set_features(w);
	for (int i = 0; i < 3; i++)
		assert_int_equal(tell_region(w, VU_ADD_MEM_REG, &regions[i]), 0);
	tell_u64(w, VU_SET_VRING_CALL, 0, w->call);
	tell_u64(w, VU_SET_VRING_ERR, 0, w->err);
	set_ring(w);
	return w;
}

static void finish(struct world *w)
{
	close(w->theirs);
	pthread_join(w->server, NULL);
	assert_int_equal(w->result, 0);
	vhost_backend_destroy(&w->dev);
	rd_close(&w->d);
	close(w->ours);
	close(w->stop);
	close(w->kick);
	close(w->call);
	close(w->err);
	assert_int_equal(unit_open_fds(), w->before);
	free(w);
}

static void kick(struct world *w)
{
	const uint64_t one = 1;

	assert_int_equal(write(w->kick, &one, sizeof(one)), sizeof(one));
}

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n;

	/* A signal that never comes is found by the test's time limit. */
	assert_int_equal(poll(&p, 1, -1), 1);
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
}

static void offer_bytes(struct world *w, unsigned int slot, const char *bytes)
{
	uint64_t at = RD_DATA_GPA + slot * 64;
	const struct rd_piece pieces[] = {{at, 4, false}, {at + 16, 4, true}};

	memcpy(rd_at(&w->d, at), bytes, 4);
	memset(rd_at(&w->d, at + 16), 0, 4);
	rd_chain(&w->d, RD_DIRECT, (uint16_t)(2 * slot), pieces, 2);
	rd_offer(&w->d, (uint16_t)(2 * slot));
}

static void offer_request(struct world *w, unsigned int slot)
{
	offer_bytes(w, slot, "abcd");
}

static void collect_bytes(struct world *w, unsigned int slot, const char *bytes)
{
	struct ring_used_elem elem;

	while (!rd_collect(&w->d, &elem))
		wait_for(w->call);
	assert_int_equal(elem.id, 2 * slot);
	assert_int_equal(elem.len, 4);
	assert_memory_equal(rd_at(&w->d, RD_DATA_GPA + slot * 64 + 16), bytes, 4);
}

static void collect_reply(struct world *w, unsigned int slot)
{
	collect_bytes(w, slot, "dcba");
}

static void exchange(struct world *w, unsigned int requests)
{
	for (unsigned int i = 0; i < requests; i++) {
		rd_want_call(&w->d);
		offer_request(w, i % 8);
		kick(w);
		collect_reply(w, i % 8);
	}
}

static void test_requests(void **state)
{
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		struct world *w = start(event_idx);

		exchange(w, 2000);
		finish(w);
	}
}

/* Regions come and go beside the ones in use while requests run. */
static void test_memory_changes(void **state)
{
	struct world *w = start(true);
	struct mem_region_desc extra = {1ull << 40, 4096, 1ull << 40, 0};

	for (int i = 0; i < 100; i++) {
		exchange(w, 3);
		assert_int_equal(tell_region(w, VU_ADD_MEM_REG, &extra), 0);
		offer_request(w, 0);
		kick(w);
		assert_int_equal(tell_region(w, VU_REM_MEM_REG, &extra), 0);
		rd_want_call(&w->d);
		collect_reply(w, 0);
	}
	finish(w);
}

/* The region of the rings goes away under an idle ring, then the driver kicks: the queue breaks
 * and says so; once all is back and set up again, it works. */
static void ring_memory_goes(bool event_idx)
{
	struct world *w = start(event_idx);
	struct mem_region_desc regions[3];

	rd_regions(&w->d, regions);
	exchange(w, 10);
	assert_int_equal(tell_region(w, VU_REM_MEM_REG, &regions[0]), 0);
	offer_request(w, 0);
	kick(w);
	wait_for(w->err);
	assert_int_equal(tell_region(w, VU_ADD_MEM_REG, &regions[0]), 0);
	rd_restart(&w->d);
	set_ring(w);
	exchange(w, 10);
	finish(w);
}

static void test_ring_memory_goes(void **state)
{
	ring_memory_goes(false);
	ring_memory_goes(true);
}

static void test_broken_ring(void **state)
{
	struct world *w = start(false);
	const struct rd_piece good = {RD_DATA_GPA, 4, false};

	exchange(w, 3);
	rd_chain(&w->d, RD_DIRECT, SIZE, &good, 1);
	rd_offer(&w->d, SIZE);
	kick(w);
	wait_for(w->err);
	/* The device goes on: messages are served, a new set-up mends the ring. */
	rd_restart(&w->d);
	set_ring(w);
	exchange(w, 20);
	finish(w);
}

/* A request made available while the ring is disabled is served once it is enabled, unkicked. */
static void test_enable(void **state)
{
	struct world *w = start(true);

	for (int i = 0; i < 50; i++) {
		assert_int_equal(tell_state(w, VU_SET_VRING_ENABLE, 0), 0);
		rd_want_call(&w->d);
		offer_request(w, 1);
		assert_int_equal(tell_state(w, VU_SET_VRING_ENABLE, 1), 0);
		collect_reply(w, 1);
	}
	finish(w);
}

/* Call descriptors change while the ring is busy. */
static void test_replace_call(void **state)
{
	struct world *w = start(false);

	for (int i = 0; i < 200; i++) {
		int old = w->call;

		offer_request(w, 0);
		kick(w);
		w->call = eventfd(0, 0);
		tell_u64(w, VU_SET_VRING_CALL, 0, w->call);
		/* Which of the two was called depends on who was first. */
		for (;;) {
			struct pollfd fds[2] = {{old, POLLIN, 0}, {w->call, POLLIN, 0}};
			struct ring_used_elem elem;

			if (rd_collect(&w->d, &elem))
				break;
			assert_true(poll(fds, 2, -1) > 0);
		}
		close(old);
	}
	finish(w);
}

/* Every chain went back. */
static void assert_answered(const struct world *w)
{
	const struct virtq *vq = &w->dev.queues[0].vq;

	if (packed)
		assert_int_equal(virtq_base(vq) >> 16, w->d.avail_idx);
	else
		assert_int_equal(w->d.used->idx, w->d.avail_idx);
}

/* Has a request deferred; the driver wants to be called for its reply. */
static struct vhost_deferred *offer_deferred(struct world *w, unsigned int slot)
{
	rd_want_call(&w->d);
	offer_bytes(w, slot, "wait");
	kick(w);
	sem_wait(&deferrals);
	assert_non_null(deferred);
	return deferred;
}

static void *finish_soon(void *arg)
{
	return vhost_finish(arg, "done", 4) ? arg : NULL;
}

/* A deferred request holds up no other. */
static void test_deferred(void **state)
{
	struct world *w = start(true);

	for (int i = 0; i < 200; i++) {
		struct vhost_deferred *d = offer_deferred(w, 7);

		for (unsigned int slot = 0; slot < 3; slot++) {
			rd_want_call(&w->d);
			offer_request(w, slot);
			kick(w);
			collect_reply(w, slot);
		}
		rd_want_call(&w->d);
		assert_true(vhost_finish(d, "done", 4));
		collect_bytes(w, 7, "done");
	}
	finish(w);
}

/* Returns when the ring's thread has said that it sleeps, and has left its gate. */
static void wait_asleep(struct world *w)
{
	struct vhost_queue *q = &w->dev.queues[0];

	while (!atomic_load(&q->deferred.asleep))
		sched_yield();
	mem_enter(&w->dev.mem, &q->gate);
	mem_leave(&q->gate);
}

#define TIMES 50

/* What is finished while the ring's thread sleeps goes back without it, before vhost_finish()
 * returns. (A kick that comes late, of a chain that was found by polling, may wake the thread at
 * any time; so not each of many need be.) */
static void test_pushed_beside(void **state)
{
	struct world *w = start(true);
	struct vhost_queue *q = &w->dev.queues[0];
	unsigned int pushed = 0;

	for (unsigned int i = 0; i < TIMES; i++) {
		struct vhost_deferred *d = offer_deferred(w, 5);
		uint64_t before;

		wait_asleep(w);
		before = count_read(&q->stats.beside);
		assert_true(vhost_finish(d, "done", 4));
		pushed += count_read(&q->stats.beside) == before + 1;
		collect_bytes(w, 5, "done");
	}
	assert_true(pushed > TIMES / 2);
	assert_int_equal(count_read(&q->stats.beside), pushed);
	finish(w);
}

/* The gate is taken while a chain is finished, by which nobody is held up: the ring's thread pushes
 * it as soon as it can. */
static void test_pushed_when_open(void **state)
{
	struct world *w = start(true);
	struct vhost_queue *q = &w->dev.queues[0];

	for (int i = 0; i < 50; i++) {
		struct vhost_deferred *d = offer_deferred(w, 5);

		wait_asleep(w);
		mem_close_gates(&w->dev.mem);
		assert_true(vhost_finish(d, "done", 4));
		mem_open_gates(&w->dev.mem);
		collect_bytes(w, 5, "done");
	}
	assert_int_equal(count_read(&q->stats.beside), 0);
	finish(w);
}

#define FINISHED 6

static void collect_some(struct world *w)
{
	struct ring_used_elem elem;
	const char *reply;

	while (!rd_collect(&w->d, &elem)) {
		rd_want_call(&w->d);
		if (rd_collect(&w->d, &elem))
			break;
		wait_for(w->call);
	}
	assert_int_equal(elem.len, 4);
	reply = rd_at(&w->d, RD_DATA_GPA + elem.id / 2 * 64 + 16);
	assert_memory_equal(reply, elem.id == 2 * FINISHED ? "dcba" : "done", 4);
}

/* Several are finished at once, while others come and memory changes: none stays behind. */
static void test_finished_at_once(void **state)
{
	struct world *w = start(true);
	struct mem_region_desc extra = {1ull << 40, 4096, 1ull << 40, 0};

	for (int i = 0; i < 300; i++) {
		struct vhost_deferred *d[FINISHED];
		pthread_t finishers[FINISHED];

		for (unsigned int j = 0; j < FINISHED; j++)
			d[j] = offer_deferred(w, j);
		if (i % 2)
			wait_asleep(w);
		for (unsigned int j = 0; j < FINISHED; j++)
			assert_int_equal(
				pthread_create(&finishers[j], NULL, finish_soon, d[j]), 0);
		if (i % 3 == 0) {
			assert_int_equal(tell_region(w, VU_ADD_MEM_REG, &extra), 0);
			assert_int_equal(tell_region(w, VU_REM_MEM_REG, &extra), 0);
		}
		offer_request(w, FINISHED);
		kick(w);
		for (unsigned int j = 0; j < FINISHED + 1; j++)
			collect_some(w);
		for (unsigned int j = 0; j < FINISHED; j++)
			pthread_join(finishers[j], NULL);
	}
	finish(w);
}

/* Whoever stops the ring finds every chain answered, and the late reply is told so. */
static void test_deferred_stop(void **state)
{
	struct world *w = start(true);
	struct vhost_deferred *d = offer_deferred(w, 1);
	struct ring_used_elem elem;

	assert_int_equal(tell_state(w, VU_GET_VRING_BASE, 0),
		(uint64_t)(w->d.avail_idx | (packed ? (uint32_t)w->d.avail_idx << 16 : 0)) << 32);
	collect_bytes(w, 1, "EINT");
	assert_false(vhost_finish(d, "late", 4));
	set_ring(w);
	d = offer_deferred(w, 2);
	close(w->theirs);
	pthread_join(w->server, NULL);
	assert_true(rd_collect(&w->d, &elem));
	assert_memory_equal(rd_at(&w->d, RD_DATA_GPA + 2 * 64 + 16), "EINT", 4);
	assert_false(vhost_finish(d, "late", 4));
	w->theirs = -1;
	assert_int_equal(pthread_create(&w->server, NULL, serve, w), 0);
	finish(w);
}

/* Status 0, as before a pause: everything is answered, and the ring goes on where it was, whether
 * it is asked for its base or not. */
static void test_status_zero(void **state)
{
	struct world *w = start(true);

	for (int i = 0; i < 20; i++) {
		struct vhost_deferred *d = offer_deferred(w, 3);
		uint32_t base;

		tell_u64(w, VU_SET_STATUS, 0, -1);
		assert_answered(w);
		collect_bytes(w, 3, "EINT");
		assert_false(vhost_finish(d, "late", 4));
		base = rd_base(&w->d);
		offer_request(w, 1);
		if (i % 2) {
			assert_int_equal(tell_state(w, VU_SET_VRING_ENABLE, 0), 0);
			assert_int_equal(tell_state(w, VU_GET_VRING_BASE, 0), (uint64_t)base << 32);
			assert_int_equal(tell_state(w, VU_SET_VRING_BASE, base), 0);
		}
		rd_want_call(&w->d);
		tell_u64(w, VU_SET_VRING_KICK, 0, w->kick);
		assert_int_equal(tell_state(w, VU_SET_VRING_ENABLE, 1), 0);
		collect_reply(w, 1);
		exchange(w, 3);
	}
	finish(w);
}

/* A reset of the device: all is answered, then the guest's state goes; what the front-end gave
 * once stays, memory and the call and error descriptors. */
static void test_reset_device(void **state)
{
	struct world *w = start(true);
	const struct rd_piece good = {RD_DATA_GPA, 4, false};

	for (int i = 0; i < 10; i++) {
		struct vhost_deferred *d = offer_deferred(w, 3);

		resets = 0;
		assert_int_equal(tell(w, VU_RESET_DEVICE, "", 0, -1), 0);
		assert_int_equal(resets, 1);
		collect_bytes(w, 3, "EINT");
		assert_false(vhost_finish(d, "late", 4));
		rd_restart(&w->d);
		set_features(w);
		set_ring(w);
		exchange(w, 3);
		rd_chain(&w->d, RD_DIRECT, SIZE, &good, 1);
		rd_offer(&w->d, SIZE);
		kick(w);
		wait_for(w->err);
		assert_int_equal(tell(w, VU_RESET_DEVICE, "", 0, -1), 0);
		rd_restart(&w->d);
		set_features(w);
		set_ring(w);
	}
	finish(w);
}

/* A reply and a stop at the same time: one of the two answers, exactly once. */
static void test_deferred_race(void **state)
{
	struct world *w = start(true);

	for (int i = 0; i < 300; i++) {
		struct vhost_deferred *d = offer_deferred(w, 1);
		pthread_t finisher;
		void *in_time;

		assert_int_equal(pthread_create(&finisher, NULL, finish_soon, d), 0);
		assert_int_equal(tell_state(w, VU_SET_VRING_ENABLE, 0), 0);
		pthread_join(finisher, &in_time);
		assert_answered(w);
		collect_bytes(w, 1, in_time ? "done" : "EINT");
		assert_int_equal(tell_state(w, VU_SET_VRING_ENABLE, 1), 0);
	}
	finish(w);
}

/* The memory of a deferred chain goes away: nothing is written, the queue breaks. */
static void test_deferred_memory(void **state)
{
	struct world *w = start(true);
	struct mem_region_desc regions[3];
	struct vhost_deferred *d = offer_deferred(w, 1);

	rd_regions(&w->d, regions);
	assert_int_equal(tell_region(w, VU_REM_MEM_REG, &regions[1]), 0);
	assert_true(vhost_finish(d, "done", 4));
	wait_for(w->err);
	assert_memory_equal(rd_at(&w->d, RD_DATA_GPA + 64 + 16), "\0\0\0\0", 4);
	finish(w);
}

/* A ring that broke meanwhile answers nothing, and gives up its chains when it stops. */
static void test_deferred_broken(void **state)
{
	struct world *w = start(true);
	const struct rd_piece good = {RD_DATA_GPA, 4, false};
	struct vhost_deferred *late = offer_deferred(w, 2), *never = offer_deferred(w, 3);
	struct ring_used_elem elem;

	rd_chain(&w->d, RD_DIRECT, SIZE, &good, 1);
	rd_offer(&w->d, SIZE);
	kick(w);
	wait_for(w->err);
	assert_true(vhost_finish(late, "done", 4));
	assert_int_equal(tell_state(w, VU_SET_VRING_ENABLE, 0), 0);
	assert_false(vhost_finish(never, "late", 4));
	assert_false(rd_collect(&w->d, &elem));
	for (unsigned int slot = 2; slot <= 3; slot++)
		assert_memory_equal(rd_at(&w->d, RD_DATA_GPA + slot * 64 + 16), "\0\0\0\0", 4);
	finish(w);
}

/* A reply in single bytes, over the place where two regions meet; what the driver does to the
 * descriptors meanwhile changes nothing. */
static void test_deferred_pieces(void **state)
{
	struct world *w = start(true);
	const uint64_t at = RD_DATA_GPA + RD_DATA_HALF - 2;
	const struct rd_piece pieces[] = {{RD_DATA_GPA, 4, false}, {at, 0, true}, {at - 9, 1, true},
		{at, 3, true}, {0, 0, true}, {at + 5, 1, true}};
	struct ring_used_elem elem;
	unsigned int slot;

	memcpy(rd_at(&w->d, RD_DATA_GPA), "wait", 4);
	slot = packed ? w->d.avail_idx & ~RD_WRAP : 3;
	rd_chain(&w->d, RD_INDIRECT, 3, pieces, 6);
	rd_want_call(&w->d);
	rd_offer(&w->d, 3);
	kick(w);
	sem_wait(&deferrals);
	rd_desc(&w->d, slot, 0, UINT32_MAX, RING_DESC_F_NEXT, 3);
	memset(rd_at(&w->d, RD_TABLE), 0xff, 16);
	assert_true(vhost_finish(deferred, "abcdefgh", 8));
	wait_for(w->call);
	assert_true(rd_collect(&w->d, &elem));
	assert_int_equal(elem.id, 3);
	assert_int_equal(elem.len, 5);
	assert_int_equal(*rd_at(&w->d, at - 9), 'a');
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(*rd_at(&w->d, at + i), "bcd"[i]);
	assert_int_equal(*rd_at(&w->d, at + 5), 'e');
	finish(w);
}

/* One ring defers so many and no more, also where a driver offers one chain again and again. */
static void test_deferred_limit(void **state)
{
	struct vhost_deferred *all[VHOST_DEFERRED_MAX];
	struct world *w = start(true);

	for (unsigned int i = 0; i < VHOST_DEFERRED_MAX; i++)
		all[i] = offer_deferred(w, 1);
	offer_bytes(w, 1, "wait");
	kick(w);
	sem_wait(&deferrals);
	assert_null(deferred);
	assert_int_equal(tell_state(w, VU_SET_VRING_ENABLE, 0), 0);
	assert_answered(w);
	for (unsigned int i = 0; i < VHOST_DEFERRED_MAX; i++)
		assert_false(vhost_finish(all[i], "late", 4));
	finish(w);
}

/* While a ring is served it wants no kicks; once it is empty it does. */
static void test_refused_kicks(void **state)
{
	struct world *w = start(true);
	struct ring_used_elem elem;
	unsigned int kicked = 0;

	assert_int_equal(sem_init(&holding, 0, 0), 0);
	assert_int_equal(sem_init(&held, 0, 0), 0);
	for (int round = 0; round < 20; round++) {
		uint16_t since = w->d.avail_idx;

		rd_set_used_event(&w->d, since);
		offer_bytes(w, 0, "hold");
		/* Not in each round: a kick that it did not need wakes the thread to look again. */
		if (rd_needs_kick(&w->d, since)) {
			kick(w);
			kicked++;
		}
		sem_wait(&holding);
		for (unsigned int slot = 1; slot < 8; slot++) {
			since = w->d.avail_idx;
			offer_request(w, slot);
			assert_false(rd_needs_kick(&w->d, since));
		}
		sem_post(&held);
		while (!rd_collect(&w->d, &elem))
			wait_for(w->call);
		for (unsigned int slot = 1; slot < 8; slot++) {
			rd_want_call(&w->d);
			collect_reply(w, slot);
		}
		/* Asleep, as a driver sees it: it wants to be woken for what comes next. */
		while (rd_avail_event(&w->d) != w->d.avail_idx)
			sched_yield();
	}
	assert_true(kicked > 0);
	finish(w);
}

/* A ring that is never empty holds up neither a message for it nor a change of memory. */
static void test_busy_ring(void **state)
{
	struct world *w = start(true);
	struct mem_region_desc extra = {1ull << 40, 4096, 1ull << 40, 0};

	assert_int_equal(sem_init(&loops, 0, 0), 0);
	offer_bytes(w, 1, "loop");
	/* From here on the driver is the ring's thread's. */
	looping = &w->d;
	kick(w);
	for (int i = 0; i < 20; i++) {
		sem_wait(&loops);
		tell_u64(w, VU_SET_VRING_CALL, 0, w->call);
		assert_int_equal(tell_region(w, VU_ADD_MEM_REG, &extra), 0);
		assert_int_equal(tell_region(w, VU_REM_MEM_REG, &extra), 0);
	}
	looping = NULL;
	assert_int_equal(tell_state(w, VU_SET_VRING_ENABLE, 0), 0);
	finish(w);
}

/* The tests that hold for both formats; the others write the split ring by hand. */
#define COMMON                                                                                     \
	cmocka_unit_test(test_requests),                                                           \
	cmocka_unit_test(test_memory_changes),                                                     \
	cmocka_unit_test(test_ring_memory_goes),                                                   \
	cmocka_unit_test(test_broken_ring),                                                        \
	cmocka_unit_test(test_enable),                                                             \
	cmocka_unit_test(test_replace_call),                                                       \
	cmocka_unit_test(test_refused_kicks),                                                      \
	cmocka_unit_test(test_deferred),                                                           \
	cmocka_unit_test(test_pushed_beside),                                                      \
	cmocka_unit_test(test_pushed_when_open),                                                   \
	cmocka_unit_test(test_finished_at_once),                                                   \
	cmocka_unit_test(test_status_zero),                                                        \
	cmocka_unit_test(test_reset_device),                                                       \
	cmocka_unit_test(test_deferred_stop),                                                      \
	cmocka_unit_test(test_deferred_race),                                                      \
	cmocka_unit_test(test_deferred_memory),                                                    \
	cmocka_unit_test(test_deferred_broken),                                                    \
	cmocka_unit_test(test_deferred_pieces)

int main(void)
{
	const struct CMUnitTest split[] = {
		COMMON,
		cmocka_unit_test(test_busy_ring),
		cmocka_unit_test(test_deferred_limit),
	};
	const struct CMUnitTest both[] = {COMMON};
	int failed = cmocka_run_group_tests_name("split", split, NULL, NULL);

	packed = true;
	return failed + cmocka_run_group_tests_name("packed", both, NULL, NULL);
}
