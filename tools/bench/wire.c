// SPDX-License-Identifier: BSD-2-Clause

#include "wire.h"

#include "common.h"
#include "proto/fuse_new.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// How often a client that polls looks at the ring between two looks at everything else.
#define LOOKS 1024
// More than the kernel's own errors; a reply with one is none of FUSE.
#define ERROR_MAX 512
#define CONNECT_MS 10000

int wire_lose(struct wire *w, const char *why)
{
	const char *none = NULL;

	atomic_compare_exchange_strong(&w->lost, &none, why);
	return -ENOTCONN;
}

int wire_open(struct wire *w, int sock, unsigned int queues, size_t memory)
{
	const struct vhost_frontend_config config = {
		.queues = queues,
		.queue_size = WIRE_QUEUE_SIZE,
		.memory = memory,
		.regions = 1,
		.features = VHOST_FRONTEND_FEATURES,
		.protocol = VHOST_FRONTEND_PROTOCOL,
		.timeout_ms = CONNECT_MS,
	};
	int ret;

	*w = (struct wire){.lost = NULL};
	ret = vhost_frontend_open(&w->fe, sock, &config);
	if (ret) {
		snprintf(w->lost_text, sizeof(w->lost_text), "%s", w->fe.error);
		w->lost = w->lost_text;
		return ret;
	}
	// The first touch of a page is not the server's time.
	memset(w->fe.memory, 0, w->fe.memory_size);
	return 0;
}

void wire_close(struct wire *w)
{
	vhost_frontend_close(&w->fe);
}

void *wire_memory(struct wire *w, size_t bytes)
{
	char *p = w->fe.memory + w->used;

	w->used += (bytes + WIRE_PAGE - 1) / WIRE_PAGE * WIRE_PAGE;
	return p;
}

void wire_slot_init(struct wire *w, struct wire_slot *slot, size_t data)
{
	*slot = (struct wire_slot){.data_size = data};
	slot->in = wire_memory(w, WIRE_PAGE);
	slot->out = wire_memory(w, WIRE_PAGE);
	slot->data = wire_memory(w, data);
	slot->in_gpa = vhost_frontend_gpa(&w->fe, slot->in);
	slot->out_gpa = vhost_frontend_gpa(&w->fe, slot->out);
	slot->data_gpa = vhost_frontend_gpa(&w->fe, slot->data);
}

static void add_buffer(struct wire_slot *slot, uint64_t gpa, size_t len)
{
	slot->buffers[slot->nin + slot->nout] =
		(struct virtq_buffer){.gpa = gpa, .len = (uint32_t)len};
}

void wire_begin(struct wire_slot *slot, uint32_t opcode, uint64_t node)
{
	struct fuse_in_header head = {
		.opcode = opcode,
		.nodeid = node,
		.uid = bench_uid,
		.gid = bench_gid,
		.pid = bench_pid,
	};

	memcpy(slot->in, &head, sizeof(head));
	slot->nin = slot->nout = 0;
	add_buffer(slot, slot->in_gpa, sizeof(head));
	slot->nin = 1;
	slot->in_len = slot->sent_len = sizeof(head);
}

void wire_argument(struct wire_slot *slot, const void *p, size_t len)
{
	memcpy(slot->in + slot->in_len, p, len);
	add_buffer(slot, slot->in_gpa + slot->in_len, len);
	slot->nin++;
	slot->in_len += (uint32_t)len;
	slot->sent_len += (uint32_t)len;
}

void wire_payload(struct wire_slot *slot, size_t len)
{
	add_buffer(slot, slot->data_gpa, len);
	slot->nin++;
	slot->sent_len += (uint32_t)len;
}

void wire_room(struct wire_slot *slot, size_t reply, size_t data)
{
	add_buffer(slot, slot->out_gpa, sizeof(struct fuse_out_header));
	slot->nout++;
	if (reply) {
		add_buffer(slot, slot->out_gpa + sizeof(struct fuse_out_header), reply);
		slot->nout++;
	}
	if (data) {
		add_buffer(slot, slot->data_gpa, data);
		slot->nout++;
	}
}

static int push(struct wire *w, unsigned int queue, const struct virtq_buffer *buffers,
	unsigned int nin, unsigned int nout, void *cookie)
{
	struct vhost_frontend_queue *q = &w->fe.queues[queue];
	const uint64_t one = 1;
	int ret = virtq_driver_add(&q->vq, buffers, nin, nout, cookie);

	// A kick that does not fit into the counter means that the server is told already.
	if (!ret && virtq_driver_publish(&q->vq) && write(q->kick_fd, &one, sizeof(one)) < 0)
		return errno == EAGAIN ? 0 : wire_lose(w, "a kick failed");
	return ret;
}

int wire_submit(struct wire *w, unsigned int queue, struct wire_slot *slot)
{
	struct fuse_in_header *head = (struct fuse_in_header *)slot->in;

	// Odd numbers are INTERRUPTs, as Linux has it. Queues count for themselves.
	slot->unique = ++w->sent[queue].n * VHOST_FRONTEND_QUEUES_MAX * 2 + queue * 2;
	head->unique = slot->unique;
	head->len = slot->sent_len;
	return push(w, queue, slot->buffers, slot->nin, slot->nout, slot);
}

int wire_send(struct wire *w, unsigned int queue, const void *p, size_t len, void *cookie)
{
	const struct virtq_buffer buffer = {
		.gpa = vhost_frontend_gpa(&w->fe, p), .len = (uint32_t)len};

	return push(w, queue, &buffer, 1, 0, cookie);
}

int wire_collect(struct wire *w, unsigned int queue, void **cookie, uint32_t *written)
{
	struct virtq_driver *vq = &w->fe.queues[queue].vq;
	int ret = virtq_driver_collect(vq, cookie, written);

	return ret < 0 ? wire_lose(w, vq->broken_by) : ret;
}

// Nothing is ever to be read from a server that is set up.
static int look_at_connection(struct wire *w)
{
	char byte;
	ssize_t n = recv(w->fe.sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	if (n > 0)
		return wire_lose(w, "it sent a message that was not asked for");
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return wire_lose(w, "it ended the connection");
	return 0;
}

// Tells the processor that this is a loop that waits.
static inline void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

static int poll_ring(struct wire *w, struct virtq_driver *vq, unsigned int n)
{
	uint64_t end = 0;

	virtq_driver_refuse_calls(vq);
	for (;;) {
		int ret;

		for (int i = 0; i < LOOKS; i++) {
			if (virtq_driver_ready(vq) >= n)
				return 0;
			relax();
		}
		if (bench_stop)
			return -EINTR;
		if (!end)
			end = bench_now_ns() + WIRE_SECONDS * NS_PER_S;
		else if (bench_now_ns() > end)
			return wire_lose(w, "it does not answer");
		ret = look_at_connection(w);
		if (ret)
			return ret;
	}
}

static int sleep_until_called(struct wire *w, struct vhost_frontend_queue *q, unsigned int n)
{
	const uint64_t end = bench_now_ns() + WIRE_SECONDS * NS_PER_S;
	struct pollfd fds[2] = {
		{.fd = q->call_fd, .events = POLLIN},
		{.fd = w->fe.sock, .events = POLLIN | POLLRDHUP},
	};
	uint64_t calls;

	for (;;) {
		int ret;

		virtq_driver_want_calls_after(&q->vq, n);
		if (virtq_driver_ready(&q->vq) >= n)
			return 0;
		if (bench_stop)
			return -EINTR;
		ret = poll(fds, 2, WIRE_SECONDS * 1000);
		// Calls alone are no answer.
		if (ret == 0 || bench_now_ns() > end)
			return wire_lose(w, "it does not answer");
		if (ret < 0 && errno != EINTR)
			return wire_lose(w, "poll() failed");
		if (ret < 0)
			continue;
		if (fds[0].revents && read(q->call_fd, &calls, sizeof(calls)) < 0 &&
			errno != EAGAIN)
			return wire_lose(w, "a queue's call descriptor fails");
		if (fds[1].revents && virtq_driver_ready(&q->vq) < n)
			ret = look_at_connection(w);
		if (ret < 0)
			return ret;
	}
}

int wire_wait(struct wire *w, unsigned int queue, unsigned int n)
{
	struct vhost_frontend_queue *q = &w->fe.queues[queue];

	if (w->lost)
		return -ENOTCONN;
	return w->polls ? poll_ring(w, &q->vq, n) : sleep_until_called(w, q, n);
}

int wire_call(struct wire *w, unsigned int queue, struct wire_slot *slot)
{
	int ret = w->lost ? -ENOTCONN : wire_submit(w, queue, slot);
	void *cookie;

	while (!ret) {
		ret = wire_collect(w, queue, &cookie, &slot->written);
		if (ret > 0)
			return 0;
		if (!ret)
			ret = wire_wait(w, queue, 1);
	}
	// A request that is still out there would be taken for the next one's.
	if (ret == -EINTR)
		wire_lose(w, "the bench was stopped");
	return ret;
}

int wire_reply(const struct wire_slot *slot, void *copy, size_t size)
{
	struct fuse_out_header head;
	size_t len;

	if (slot->written < sizeof(head))
		return -EPROTO;
	memcpy(&head, slot->out, sizeof(head));
	if (head.unique != slot->unique || head.len < sizeof(head) || head.len > slot->written)
		return -EPROTO;
	len = head.len - sizeof(head);
	if (head.error > 0 || head.error <= -ERROR_MAX || (head.error && len))
		return -EPROTO;
	if (head.error)
		return head.error;
	if (size)
		memcpy(copy, slot->out + sizeof(head), len < size ? len : size);
	return (int)len;
}
