// SPDX-License-Identifier: BSD-2-Clause
/*
 * The front-end against back-ends that go wrong at each message of the set-up, each in each way:
 * it says what happened, in the time it was given, and nothing is left open.
 */
#include "unit.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "vhost/frontend.h"
#include "vhost/msg.h"

enum fault { NONE, CLOSE, SILENCE, OTHER, SHORT, NO_REPLY_FLAG, REFUSE, FAULTS };

/* One scripted back-end, which takes a connection and misbehaves at message `at`. */
struct backend {
	int sock;
	enum fault fault;
	unsigned int at;
	uint64_t features, protocol, queues;
	struct vu_shmem_config shmem;
	unsigned int channels;     /* that it was given */
	unsigned int messages;     /* that came */
	uint32_t last;             /* request of the faulty one */
	bool kicked[65];           /* rings with a kick descriptor */
	unsigned int mem_fds;
	pthread_t thread;
};

static bool wants_reply(const struct backend *b, const struct vu_msg *msg)
{
	switch (msg->head.request) {
	case VU_GET_FEATURES:
	case VU_GET_PROTOCOL_FEATURES:
	case VU_GET_QUEUE_NUM:
	case VU_GET_VRING_BASE:
	case VU_GET_CONFIG:
	case VU_GET_SHMEM_CONFIG:
		return true;
	default:
		return msg->head.flags & VU_FLAG_NEED_REPLY;
	}
}

static uint32_t answer(struct backend *b, struct vu_msg *msg)
{
	switch (msg->head.request) {
	case VU_GET_FEATURES:
		msg->body.u64 = b->features;
		return 8;
	case VU_GET_PROTOCOL_FEATURES:
		msg->body.u64 = b->protocol;
		return 8;
	case VU_GET_QUEUE_NUM:
		msg->body.u64 = b->queues;
		return 8;
	case VU_GET_CONFIG:
		memcpy(msg->body.config.data, "the tag", 7);
		return msg->head.size;
	case VU_GET_SHMEM_CONFIG:
		msg->body.shmem_config = b->shmem;
		return sizeof(b->shmem);
	case VU_GET_VRING_BASE:
		return msg->head.size;
	default:
		msg->body.u64 = 0;
		return 8;
	}
}

/* The faulty message; whether the connection goes on. */
static bool misbehave(struct backend *b, struct vu_msg *msg)
{
	uint32_t size = answer(b, msg);

	b->last = msg->head.request;
	switch (b->fault) {
	case CLOSE:
		return false;
	case SILENCE:
		return true;
	case OTHER:
		msg->head.request = VU_SET_OWNER + 100;
		vu_msg_reply(b->sock, msg, size);
		return true;
	case SHORT:
		vu_msg_reply(b->sock, msg, size - 1);
		return true;
	case NO_REPLY_FLAG:
		msg->head.flags = VU_VERSION;
		msg->head.size = size;
		msg->nfds = 0;
		vu_msg_send(b->sock, msg);
		return true;
	default:
		msg->body.u64 = 1;
		vu_msg_reply(b->sock, msg, size);
		return true;
	}
}

static void *serve(void *arg)
{
	struct backend *b = arg;
	struct vu_msg msg;

	while (vu_msg_recv(b->sock, -1, &msg) == 1) {
		bool reply = wants_reply(b, &msg), go_on = true;

		if (msg.head.request == VU_SET_MEM_TABLE)
			b->mem_fds = msg.nfds;
		if (msg.head.request == VU_SET_BACKEND_REQ_FD)
			b->channels += msg.nfds;
		if (msg.head.request == VU_SET_VRING_KICK && msg.nfds == 1)
			b->kicked[msg.body.u64] = true;
		vu_msg_close(&msg);
		if (reply && b->fault != NONE && b->messages == b->at) {
			go_on = misbehave(b, &msg);
			/* vu_msg_send() leaves descriptors alone. */
		} else if (reply) {
			uint32_t size = answer(b, &msg);

			must(vu_msg_reply(b->sock, &msg, size) == 0);
		}
		b->messages += reply;
		if (!go_on)
			break;
	}
	close(b->sock);
	return NULL;
}

static struct vhost_frontend_config config = {
	.queues = 3,
	.queue_size = 16,
	.memory = 100000,
	.regions = 2,
	.features = VHOST_FRONTEND_FEATURES,
	.protocol = VHOST_FRONTEND_PROTOCOL,
	.window = true,
};

static int open_over(struct backend *b, struct vhost_frontend *fe)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	b->sock = pair[1];
	/* Who is not to be waited for does not answer at all. */
	config.timeout_ms = b->fault == SILENCE ? 200 : 60000;
	assert_int_equal(pthread_create(&b->thread, NULL, serve, b), 0);
	return vhost_frontend_open(fe, pair[0], &config);
}

static struct backend backend(enum fault fault, unsigned int at)
{
	return (struct backend){.fault = fault,
		.at = at,
		.features = ~0ull,
		.protocol = ~0ull,
		.queues = 64,
		.shmem = {.nregions = 1, .sizes = {64 << 20}}};
}

static void test_sets_up(void **state)
{
	int before = unit_open_fds();
	struct backend b = backend(NONE, 0);
	struct vhost_frontend fe;

	assert_int_equal(open_over(&b, &fe), 0);
	assert_string_equal(fe.tag, "the tag");
	assert_int_equal(fe.nqueues, 4);
	assert_int_equal(fe.features, VHOST_FRONTEND_FEATURES);
	assert_int_equal(fe.memory_size % 4096, 0);
	assert_int_equal(fe.window.size, 64 << 20);
	assert_non_null(fe.window.base);
	assert_int_equal(b.channels, 1);
	assert_true(fe.memory_size >= config.memory);
	vhost_frontend_close(&fe);
	pthread_join(b.thread, NULL);
	assert_int_equal(b.mem_fds, 2);
	for (int i = 0; i < 4; i++)
		assert_true(b.kicked[i]);
	assert_int_equal(unit_open_fds(), before);
}

/* Each fault at each message that has an answer. */
static void test_faults(void **state)
{
	static const char *const texts[FAULTS] = {
		[CLOSE] = "the back-end ended the connection at",
		[SILENCE] = "did not answer",
		[OTHER] = "is another one, or too short",
		[SHORT] = "is another one, or too short",
		[NO_REPLY_FLAG] = "is no vhost-user message",
		[REFUSE] = "the back-end refused",
	};
	int before = unit_open_fds();
	unsigned int last = 0;

	for (enum fault fault = CLOSE; fault < FAULTS; fault++) {
		/* Every message that waits costs the time limit: a few of them will do. */
		unsigned int step = fault == SILENCE ? 6 : 1;

		for (unsigned int at = 0;; at += step) {
			struct backend b = backend(fault, at);
			struct vhost_frontend fe;
			int r = open_over(&b, &fe);

			if (r == 0)
				vhost_frontend_close(&fe);
			pthread_join(b.thread, NULL);
			assert_int_equal(unit_open_fds(), before);
			/* Refusals of messages that ask for something are just answers. */
			if (fault == REFUSE &&
				((at < 5 && at != 3) || b.last == VU_GET_SHMEM_CONFIG))
				continue;
			if (r == 0)
				break;
			assert_non_null(strstr(fe.error, texts[fault]));
			last = at;
		}
		assert_true(last > 12);
		last = 0;
	}
}

/* Back-ends that have less. */
static void test_less(void **state)
{
	struct vhost_frontend fe;
	struct backend b = backend(NONE, 0);

	b.protocol = 0;
	b.features = 1ull << VIRTIO_F_VERSION_1_BIT | 1ull << VU_F_PROTOCOL_FEATURES_BIT;
	assert_int_equal(open_over(&b, &fe), 0);
	assert_int_equal(fe.nqueues, 2);
	assert_string_equal(fe.tag, "");
	assert_false(fe.queues[1].vq.event_idx);
	assert_false(fe.queues[1].vq.indirect);
	vhost_frontend_close(&fe);
	pthread_join(b.thread, NULL);

	b = backend(NONE, 0);
	b.features = 1ull << VIRTIO_F_VERSION_1_BIT;
	assert_int_equal(open_over(&b, &fe), 0);
	assert_int_equal(fe.protocol, 0);
	vhost_frontend_close(&fe);
	pthread_join(b.thread, NULL);

	b = backend(NONE, 0);
	b.queues = 1;
	assert_int_equal(open_over(&b, &fe), -EPROTO);
	assert_string_equal(fe.error, "the back-end has 1 queues; 2 are the least");
	pthread_join(b.thread, NULL);

	b = backend(NONE, 0);
	b.features = 0;
	assert_int_equal(open_over(&b, &fe), -EPROTO);
	assert_string_equal(fe.error, "the back-end does not offer VIRTIO_F_VERSION_1");
	pthread_join(b.thread, NULL);
}

/* A window that is there in part, not at all, or makes no sense. */
static void test_windows(void **state)
{
	static const struct {
		uint64_t protocol, size;
		uint32_t nregions;
		int result;
		bool window;
	} cases[] = {
		{~0ull, 1ull << 21, 1, 0, true},
		{~0ull, 1ull << 21, 256, 0, true},
		{~0ull, 1ull << 21, 0, 0, false},
		{~0ull, 0, 1, 0, false},
		{~VU_PROTOCOL_F_SHMEM, 1ull << 21, 1, 0, false},
		{~VU_PROTOCOL_F_BACKEND_REQ, 1ull << 21, 1, 0, false},
		{~VU_PROTOCOL_F_BACKEND_SEND_FD, 1ull << 21, 1, 0, false},
		{~VU_PROTOCOL_F_REPLY_ACK, 1ull << 21, 1, 0, false},
		{~VU_PROTOCOL_F_SHARED_OBJECT, 1ull << 21, 1, 0, true},
		{~0ull, 4097, 1, -EPROTO, false},
		{~0ull, VHOST_WINDOW_MAX + 4096, 1, -EPROTO, false},
		{~0ull, UINT64_MAX, 1, -EPROTO, false},
	};
	int before = unit_open_fds();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct backend b = backend(NONE, 0);
		struct vhost_frontend fe;

		b.protocol = cases[i].protocol;
		b.shmem.nregions = cases[i].nregions;
		b.shmem.sizes[0] = cases[i].size;
		assert_int_equal(open_over(&b, &fe), cases[i].result);
		assert_int_equal(fe.window.base != NULL, cases[i].window);
		if (cases[i].result < 0)
			assert_non_null(strstr(fe.error, "the back-end's window has"));
		else
			vhost_frontend_close(&fe);
		pthread_join(b.thread, NULL);
		assert_int_equal(b.channels, cases[i].window);
		assert_int_equal(unit_open_fds(), before);
	}
}

static void test_connect(void **state)
{
	char error[320], name[200];

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(vhost_connect(name, error, sizeof(error)), -ENAMETOOLONG);
	assert_non_null(strstr(error, "it has 1 to 107 bytes"));
	assert_int_equal(vhost_connect("/nonexistent/socket", error, sizeof(error)), -ENOENT);
	assert_string_equal(error,
		"cannot connect to '/nonexistent/socket': No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets_up),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_less),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
