// SPDX-License-Identifier: BSD-2-Clause
/*
 * What each vhost-user message may look like and what it does to the back-end's state: the table
 * of src/vhost/messages.c, called without a socket loop and without threads.
 */
#include "unit.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/log.h"
#include "vhost/backend.h"

#define PAGE 4096u

static const char config[40] = "tag";

static void *start_worker(void *opaque, unsigned int queue)
{
	return opaque;
}

static void stop_worker(void *worker)
{
}

static uint32_t request(void *worker, const struct virtq_chain *chain)
{
	return 0;
}

static void disconnected(void *opaque)
{
	++*(int *)opaque;
}

static int disconnections;

static const struct vhost_device device = {
	.start_worker = start_worker,
	.stop_worker = stop_worker,
	.request = request,
	.disconnected = disconnected,
	.opaque = &disconnections,
	.config = config,
	.config_size = sizeof(config),
};

struct world {
	struct vhost_backend dev;
	struct vu_msg msg;
	int theirs; /* the front-end's end of the socket */
	int stop;
	int before;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int pair[2];

	log_open("test", LOG_OFF);
	w->before = unit_open_fds();
	assert_int_equal(vhost_backend_init(&w->dev, &device), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	w->dev.sock = pair[0];
	w->theirs = pair[1];
	w->stop = eventfd(0, 0);
	*state = w;
	return 0;
}

/* Lets serve() find the front-end gone, which must release whatever a test has set up. */
static int teardown(void **state)
{
	struct world *w = *state;
	struct vhost_events events = {.stop_fd = w->stop, .other_fd = -1};
	int sock = w->dev.sock;

	disconnections = 0;
	close(w->theirs);
	assert_int_equal(vhost_backend_serve(&w->dev, sock, &events), 0);
	assert_int_equal(disconnections, 1);
	assert_int_equal(w->dev.mem.nregions, 0);
	assert_int_equal(w->dev.features | w->dev.protocol_features, 0);
	vhost_backend_destroy(&w->dev);
	close(sock);
	close(w->stop);
	assert_int_equal(unit_open_fds(), w->before);
	free(w);
	return 0;
}

/* Handles a message of size bytes of body with nfds eventfds beside it. */
static int handle(struct world *w, uint32_t number, const void *body, uint32_t size,
	unsigned int nfds, uint32_t flags)
{
	int r;

	memset(&w->msg, 0, sizeof(w->msg));
	w->msg.head = (struct vu_header){number, VU_VERSION | flags, size};
	memcpy(&w->msg.body, body, size);
	for (w->msg.nfds = 0; w->msg.nfds < nfds; w->msg.nfds++)
		w->msg.fds[w->msg.nfds] = eventfd(0, EFD_NONBLOCK);
	r = vhost_handle(&w->dev, &w->msg);
	vu_msg_close(&w->msg);
	return r;
}

/* Receives a reply; -1 when there is none. */
static int reply(struct world *w, void *body, size_t room)
{
	char buf[sizeof(struct vu_header) + sizeof(union vu_payload)];
	struct vu_header head;
	ssize_t n = recv(w->theirs, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return -1;
	memcpy(&head, buf, sizeof(head));
	assert_int_equal(n, sizeof(head) + head.size);
	assert_int_equal(head.flags, VU_VERSION | VU_FLAG_REPLY);
	assert_true(head.size <= room);
	memcpy(body, buf + sizeof(head), head.size);
	return (int)head.size;
}

static int set_u64(struct world *w, uint32_t number, uint64_t value)
{
	return handle(w, number, &value, sizeof(value), 0, 0);
}

static uint64_t ask_u64(struct world *w, uint32_t number)
{
	uint64_t value = 0;

	assert_int_equal(handle(w, number, "", 0, 0, 0), 0);
	assert_int_equal(reply(w, &value, sizeof(value)), sizeof(value));
	return value;
}

static void negotiate(struct world *w)
{
	assert_int_equal(set_u64(w, VU_SET_FEATURES, ask_u64(w, VU_GET_FEATURES)), 0);
	assert_int_equal(
		set_u64(w, VU_SET_PROTOCOL_FEATURES, ask_u64(w, VU_GET_PROTOCOL_FEATURES)), 0);
}

/* Each message that a body of zeros is good for: its size, how many descriptors it may have. */
static const struct shape {
	uint32_t number, size;
	unsigned int fds_min, fds_max;
	uint64_t needs;
} shapes[] = {
	{VU_GET_FEATURES, 0, 0, 0, 0},
	{VU_SET_FEATURES, 8, 0, 0, 0},
	{VU_SET_OWNER, 0, 0, 0, 0},
	{VU_RESET_OWNER, 0, 0, 0, 0},
	{VU_SET_MEM_TABLE, 8, 0, 0, 0},
	{VU_SET_VRING_ADDR, 40, 0, 0, 0},
	{VU_SET_VRING_BASE, 8, 0, 0, 0},
	{VU_GET_VRING_BASE, 8, 0, 0, 0},
	{VU_SET_VRING_KICK, 8, 1, 1, 0},
	{VU_SET_VRING_CALL, 8, 1, 1, 0},
	{VU_SET_VRING_ERR, 8, 1, 1, 0},
	{VU_GET_PROTOCOL_FEATURES, 0, 0, 0, 0},
	{VU_SET_PROTOCOL_FEATURES, 8, 0, 0, 0},
	{VU_GET_QUEUE_NUM, 0, 0, 0, VU_PROTOCOL_F_MQ},
	{VU_SET_BACKEND_REQ_FD, 0, 1, 1, VU_PROTOCOL_F_BACKEND_REQ},
	{VU_GET_CONFIG, 12, 0, 0, VU_PROTOCOL_F_CONFIG},
	{VU_GET_MAX_MEM_SLOTS, 0, 0, 0, VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS},
	{VU_RESET_DEVICE, 0, 0, 0, VU_PROTOCOL_F_RESET_DEVICE},
	{VU_SET_STATUS, 8, 0, 0, VU_PROTOCOL_F_STATUS},
	{VU_GET_STATUS, 0, 0, 0, VU_PROTOCOL_F_STATUS},
};

static void test_shapes(void **state)
{
	struct world *w = *state;
	static const union vu_payload zeros;
	union vu_payload got;

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		const struct shape *s = &shapes[i];

		negotiate(w);
		for (uint32_t size = 0; size <= 64; size++) {
			bool good = size == s->size;

			assert_int_equal(handle(w, s->number, &zeros, size, s->fds_min, 0),
				good ? 0 : -EPROTO);
			while (reply(w, &got, sizeof(got)) >= 0)
				;
			negotiate(w);
		}
		for (unsigned int fds = 0; fds <= VU_FDS_MAX; fds++) {
			bool good = fds >= s->fds_min && fds <= s->fds_max;

			assert_int_equal(handle(w, s->number, &zeros, s->size, fds, 0),
				good ? 0 : -EPROTO);
			while (reply(w, &got, sizeof(got)) >= 0)
				;
			negotiate(w);
		}
		if (s->needs) {
			w->dev.protocol_features &= ~s->needs;
			assert_int_equal(handle(w, s->number, &zeros, s->size, s->fds_min, 0),
				-EPROTO);
		}
	}
}

static void test_unknown_messages(void **state)
{
	struct world *w = *state;
	static const uint32_t numbers[] = {0, 6, 7, 19, 20, 22, 23, 25, 26, 33, 35, 41, 44, 1000,
		UINT32_MAX};

	negotiate(w);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		assert_int_equal(handle(w, numbers[i], "", 0, 0, VU_FLAG_NEED_REPLY), -EPROTO);
	assert_int_equal(reply(w, NULL, 0), -1);
}

static void test_features(void **state)
{
	struct world *w = *state;
	const uint64_t must = 1ull << VIRTIO_F_VERSION_1_BIT | 1ull << VU_F_PROTOCOL_FEATURES_BIT |
		1ull << VIRTIO_F_INDIRECT_DESC_BIT | 1ull << VIRTIO_F_EVENT_IDX_BIT |
		1ull << VIRTIO_F_RING_PACKED_BIT;
	uint64_t offered = ask_u64(w, VU_GET_FEATURES);

	assert_int_equal(offered, must);
	for (int bit = 0; bit < 64; bit++)
		assert_int_equal(set_u64(w, VU_SET_FEATURES, 1ull << bit),
			offered >> bit & 1 ? 0 : -EPROTO);
	offered = ask_u64(w, VU_GET_PROTOCOL_FEATURES);
	for (int bit = 0; bit < 64; bit++)
		assert_int_equal(set_u64(w, VU_SET_PROTOCOL_FEATURES, 1ull << bit),
			offered >> bit & 1 ? 0 : -EPROTO);
	negotiate(w);
	assert_int_equal(ask_u64(w, VU_GET_QUEUE_NUM), VHOST_QUEUES_MAX);
	assert_int_equal(ask_u64(w, VU_GET_MAX_MEM_SLOTS), MEM_REGIONS_MAX);
	assert_int_equal(handle(w, VU_RESET_OWNER, "", 0, 0, 0), 0);
	assert_int_equal(w->dev.features, 0);
}

/* NEED_REPLY is answered once REPLY_ACK is negotiated, and not before. */
static void test_acknowledgement(void **state)
{
	struct world *w = *state;
	uint64_t value = 77;

	assert_int_equal(handle(w, VU_SET_OWNER, "", 0, 0, VU_FLAG_NEED_REPLY), 0);
	assert_int_equal(reply(w, &value, 8), -1);
	negotiate(w);
	assert_int_equal(handle(w, VU_SET_OWNER, "", 0, 0, 0), 0);
	assert_int_equal(reply(w, &value, 8), -1);
	assert_int_equal(handle(w, VU_SET_OWNER, "", 0, 0, VU_FLAG_NEED_REPLY), 0);
	assert_int_equal(reply(w, &value, 8), 8);
	assert_int_equal(value, 0);
	/* What has an answer of its own gets no second one. */
	assert_int_equal(handle(w, VU_GET_FEATURES, "", 0, 0, VU_FLAG_NEED_REPLY), 0);
	assert_int_equal(reply(w, &value, 8), 8);
	assert_int_equal(reply(w, &value, 8), -1);
}

static void test_vring_numbers(void **state)
{
	struct world *w = *state;
	static const uint32_t by_state[] = {VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_GET_VRING_BASE,
		VU_SET_VRING_ENABLE};
	struct vu_vring_addr addr = {.index = VHOST_QUEUES_MAX};
	struct vu_vring_state s = {0, 0};
	uint64_t bits;

	negotiate(w);
	for (size_t i = 0; i < ARRAY_SIZE(by_state); i++) {
		static const uint32_t bad[] = {VHOST_QUEUES_MAX, 256, UINT32_MAX};

		for (size_t b = 0; b < ARRAY_SIZE(bad); b++) {
			s.index = bad[b];
			s.num = by_state[i] == VU_SET_VRING_NUM ? 2 : 0;
			assert_int_equal(handle(w, by_state[i], &s, sizeof(s), 0, 0), -EPROTO);
		}
	}
	assert_int_equal(handle(w, VU_SET_VRING_ADDR, &addr, sizeof(addr), 0, 0), -EPROTO);
	addr = (struct vu_vring_addr){.index = 0, .flags = 1};
	assert_int_equal(handle(w, VU_SET_VRING_ADDR, &addr, sizeof(addr), 0, 0), -EPROTO);
	for (uint32_t number = VU_SET_VRING_KICK; number <= VU_SET_VRING_ERR; number++) {
		bits = VHOST_QUEUES_MAX;
		assert_int_equal(handle(w, number, &bits, 8, 1, 0), -EPROTO);
		bits = VHOST_QUEUES_MAX - 1;
		assert_int_equal(handle(w, number, &bits, 8, 1, 0), 0);
		bits |= VU_VRING_FD_NONE;
		assert_int_equal(handle(w, number, &bits, 8, 1, 0), -EPROTO);
		assert_int_equal(handle(w, number, &bits, 8, 0, 0), 0);
		for (int bit = 9; bit < 64; bit++) {
			bits = 1ull << bit;
			assert_int_equal(handle(w, number, &bits, 8, 1, 0), -EPROTO);
		}
	}
}

struct value {
	uint32_t number, value;
	int result;
};

/* Carries them out for ring 3, then asks for its base. */
static void try_values(struct world *w, bool packed, const struct value *values, size_t n,
	uint32_t base)
{
	uint64_t bit = 1ull << VIRTIO_F_RING_PACKED_BIT;
	uint64_t offered = ask_u64(w, VU_GET_FEATURES);
	struct vu_vring_state s = {3, 0};

	assert_int_equal(set_u64(w, VU_SET_FEATURES, packed ? offered : offered & ~bit), 0);
	for (size_t i = 0; i < n; i++) {
		struct vu_vring_state c = {3, values[i].value};

		assert_int_equal(handle(w, values[i].number, &c, sizeof(c), 0, 0),
			values[i].result);
	}
	assert_int_equal(handle(w, VU_GET_VRING_BASE, &s, sizeof(s), 0, 0), 0);
	assert_int_equal(reply(w, &s, sizeof(s)), sizeof(s));
	assert_int_equal(s.index, 3);
	assert_int_equal(s.num, base);
}

static void test_vring_values(void **state)
{
	struct world *w = *state;
	static const struct value split[] = {
		{VU_SET_VRING_NUM, 0, -EPROTO}, {VU_SET_VRING_NUM, 1, -EPROTO},
		{VU_SET_VRING_NUM, 2, 0}, {VU_SET_VRING_NUM, 3, -EPROTO},
		{VU_SET_VRING_NUM, 32768, 0}, {VU_SET_VRING_NUM, 65536, -EPROTO},
		{VU_SET_VRING_NUM, UINT32_MAX, -EPROTO}, {VU_SET_VRING_BASE, 0, 0},
		{VU_SET_VRING_BASE, 65535, 0}, {VU_SET_VRING_BASE, 65536, -EPROTO},
		{VU_SET_VRING_BASE, UINT32_MAX, -EPROTO}, {VU_SET_VRING_ENABLE, 0, 0},
		{VU_SET_VRING_ENABLE, 1, 0}, {VU_SET_VRING_ENABLE, 2, -EPROTO},
		{VU_SET_VRING_BASE, 4242, 0},
	};
	/* Slot and wrap counter to pop from; the same, in the upper half, to push to. */
	static const struct value packed[] = {
		{VU_SET_VRING_NUM, 0, -EPROTO}, {VU_SET_VRING_NUM, 1, -EPROTO},
		{VU_SET_VRING_NUM, 32769, -EPROTO}, {VU_SET_VRING_NUM, 32768, 0},
		{VU_SET_VRING_BASE, 0xffffffff, 0}, {VU_SET_VRING_NUM, 100, 0},
		{VU_SET_VRING_BASE, 0x80008000, 0}, {VU_SET_VRING_BASE, 0, 0},
		{VU_SET_VRING_BASE, 0x80638063, 0}, {VU_SET_VRING_BASE, 0x80648064, -EPROTO},
		{VU_SET_VRING_BASE, 0x80058003, -EPROTO}, {VU_SET_VRING_BASE, 0x80030005, -EPROTO},
		{VU_SET_VRING_BASE, 0x80058007, 0}, {VU_SET_VRING_BASE, 0x80050003, 0},
	};

	negotiate(w);
	try_values(w, false, split, ARRAY_SIZE(split), 4242);
	/* Another format begins anew. */
	try_values(w, true, NULL, 0, 0x80008000);
	try_values(w, true, packed, ARRAY_SIZE(packed), 0x80050003);
	try_values(w, false, NULL, 0, 0);
}

/* What the driver wrote is read back, but for features that the device does not take. */
static void test_status(void **state)
{
	struct world *w = *state;
	uint64_t offered = ask_u64(w, VU_GET_FEATURES), v1 = 1ull << VIRTIO_F_VERSION_1_BIT;

	negotiate(w);
	assert_int_equal(ask_u64(w, VU_GET_STATUS), 0);
	for (uint64_t status = 0; status < 256; status++) {
		assert_int_equal(set_u64(w, VU_SET_STATUS, status), 0);
		assert_int_equal(ask_u64(w, VU_GET_STATUS), status);
	}
	for (int bit = 8; bit < 64; bit++)
		assert_int_equal(set_u64(w, VU_SET_STATUS, 1ull << bit | 1), -EPROTO);
	assert_int_equal(ask_u64(w, VU_GET_STATUS), 255);
	assert_int_equal(set_u64(w, VU_SET_FEATURES, offered & ~v1), 0);
	assert_int_equal(set_u64(w, VU_SET_STATUS, 11), 0);
	assert_int_equal(ask_u64(w, VU_GET_STATUS), 3);
	assert_int_equal(set_u64(w, VU_SET_FEATURES, offered), 0);
	assert_int_equal(set_u64(w, VU_SET_STATUS, 11), 0);
	assert_int_equal(ask_u64(w, VU_GET_STATUS), 11);
	assert_int_equal(handle(w, VU_RESET_DEVICE, "", 0, 0, 0), 0);
	assert_int_equal(ask_u64(w, VU_GET_STATUS), 0);
	assert_int_equal(w->dev.features, 0);
	assert_int_not_equal(w->dev.protocol_features, 0);
}

static void test_config(void **state)
{
	struct world *w = *state;
	static const struct {
		uint32_t offset, size;
		bool good;
	} cases[] = {{0, 40, true}, {0, 0, true}, {40, 0, true}, {36, 4, true}, {1, 39, true},
		{1, 40, false}, {0, 41, false}, {41, 0, false}, {0, 256, false},
		{UINT32_MAX, 1, false}};
	static const uint32_t no_sizes[] = {39, 41, 257, UINT32_MAX, UINT32_MAX - 11};

	negotiate(w);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vu_config c = {.offset = cases[i].offset, .size = cases[i].size};

		memset(c.data, 'x', sizeof(c.data));
		assert_int_equal(handle(w, VU_GET_CONFIG, &c, VU_CONFIG_HEAD + c.size, 0, 0), 0);
		memset(&c, 0, sizeof(c));
		if (!cases[i].good) {
			assert_int_equal(reply(w, &c, sizeof(c)), 0);
			continue;
		}
		assert_int_equal(reply(w, &c, sizeof(c)), VU_CONFIG_HEAD + cases[i].size);
		assert_int_equal(c.offset, cases[i].offset);
		assert_int_equal(c.size, cases[i].size);
		assert_memory_equal(c.data, config + c.offset, c.size);
	}
	/* The message is as long as the room that it has for the answer. */
	for (size_t i = 0; i < ARRAY_SIZE(no_sizes); i++) {
		struct vu_config c = {.size = no_sizes[i]};

		assert_int_equal(handle(w, VU_GET_CONFIG, &c, VU_CONFIG_HEAD + 40, 0, 0), -EPROTO);
	}
}

/* A table of n regions, of which the message claims to have claimed. */
static int set_table(struct world *w, uint32_t claimed, uint32_t n, unsigned int nfds)
{
	struct vu_mem_table *table = &w->msg.body.mem;
	int r;

	memset(&w->msg, 0, sizeof(w->msg));
	w->msg.head = (struct vu_header){
		VU_SET_MEM_TABLE, VU_VERSION, 8 + n * (uint32_t)sizeof(struct vu_mem_region)};
	table->nregions = claimed;
	for (uint32_t i = 0; i < n; i++)
		table->regions[i] = (struct vu_mem_region){i * 2ull * PAGE, PAGE, i * PAGE, 0};
	for (w->msg.nfds = 0; w->msg.nfds < nfds; w->msg.nfds++) {
		w->msg.fds[w->msg.nfds] = memfd_create("region", MFD_CLOEXEC);
		assert_int_equal(ftruncate(w->msg.fds[w->msg.nfds], PAGE), 0);
	}
	r = vhost_handle(&w->dev, &w->msg);
	vu_msg_close(&w->msg);
	return r;
}

static void test_memory_table(void **state)
{
	struct world *w = *state;

	negotiate(w);
	for (uint32_t n = 0; n <= VU_MEM_TABLE_MAX; n++) {
		assert_int_equal(set_table(w, n, n, n), 0);
		assert_int_equal(w->dev.mem.nregions, n);
	}
	assert_int_equal(set_table(w, 3, 2, 3), -EPROTO);
	assert_int_equal(set_table(w, 2, 3, 2), -EPROTO);
	assert_int_equal(set_table(w, 3, 3, 2), -EPROTO);
	assert_int_equal(set_table(w, 3, 3, 4), -EPROTO);
	assert_int_equal(set_table(w, 9, 8, 8), -EPROTO);
	assert_int_equal(set_table(w, UINT32_MAX, 8, 8), -EPROTO);
	assert_int_equal(w->dev.mem.nregions, VU_MEM_TABLE_MAX);
}

static int one_region(struct world *w, uint32_t number, uint64_t gpa, bool with_fd)
{
	int r;

	memset(&w->msg, 0, sizeof(w->msg));
	w->msg.head = (struct vu_header){number, VU_VERSION, sizeof(struct vu_mem_reg)};
	w->msg.body.reg.region = (struct vu_mem_region){gpa, PAGE, gpa, 0};
	if (with_fd) {
		w->msg.fds[0] = memfd_create("region", MFD_CLOEXEC);
		w->msg.nfds = 1;
		assert_int_equal(ftruncate(w->msg.fds[0], PAGE), 0);
	}
	r = vhost_handle(&w->dev, &w->msg);
	vu_msg_close(&w->msg);
	return r;
}

static void test_single_regions(void **state)
{
	struct world *w = *state;

	assert_int_equal(one_region(w, VU_ADD_MEM_REG, 0, true), -EPROTO);
	negotiate(w);
	assert_int_equal(one_region(w, VU_ADD_MEM_REG, 0, false), -EPROTO);
	for (uint64_t i = 0; i < MEM_REGIONS_MAX; i++)
		assert_int_equal(one_region(w, VU_ADD_MEM_REG, i * PAGE, true), 0);
	assert_int_equal(one_region(w, VU_ADD_MEM_REG, 1ull << 40, true), -EPROTO);
	assert_int_equal(one_region(w, VU_REM_MEM_REG, 0, false), 0);
	assert_int_equal(one_region(w, VU_REM_MEM_REG, PAGE, true), 0);
	assert_int_equal(one_region(w, VU_REM_MEM_REG, PAGE, true), -EPROTO);
	assert_int_equal(one_region(w, VU_ADD_MEM_REG, 2 * PAGE, true), -EPROTO);
	assert_int_equal(w->dev.mem.nregions, MEM_REGIONS_MAX - 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_shapes),
		CASE(test_unknown_messages),
		CASE(test_features),
		CASE(test_acknowledgement),
		CASE(test_vring_numbers),
		CASE(test_vring_values),
		CASE(test_status),
		CASE(test_config),
		CASE(test_memory_table),
		CASE(test_single_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
