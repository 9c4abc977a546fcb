// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "shmem_world.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/log.h"

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
}

/* A ring's end waits for its requests; the one in flight is asking the front-end. */
static void finish_deferred(void *worker)
{
	struct sw *w = worker;
	struct sw_asker *asker = atomic_exchange(&w->in_flight, NULL);

	if (asker)
		pthread_join(asker->thread, NULL);
}

static void *serve(void *arg)
{
	struct sw *w = arg;
	struct vhost_events events = {.stop_fd = w->stop, .other_fd = -1};

	w->result = vhost_backend_serve(&w->dev, w->ours, &events);
	return NULL;
}

static void send_with(int sock, const void *head, const void *body, uint32_t size, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.align = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov[] = {{(void *)(uintptr_t)head, sizeof(struct vu_header)},
		{(void *)(uintptr_t)body, size}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};

	if (fd >= 0) {
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(sock, &mh, MSG_NOSIGNAL), sizeof(struct vu_header) + size);
}

uint64_t sw_tell(struct sw *w, uint32_t number, const void *body, uint32_t size, int fd)
{
	struct vu_header head = {number, VU_VERSION | VU_FLAG_NEED_REPLY, size};
	struct {
		struct vu_header head;
		uint64_t value;
	} __attribute__((packed)) answer;

	send_with(w->theirs, &head, body, size, fd);
	assert_int_equal(recv(w->theirs, &answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
	assert_int_equal(answer.head.request, number);
	return answer.value;
}

static void tell_u64(struct sw *w, uint32_t number, uint64_t value, int fd)
{
	assert_int_equal(sw_tell(w, number, &value, sizeof(value), fd), 0);
}

static void tell_state(struct sw *w, uint32_t number, uint32_t num)
{
	struct vu_vring_state s = {0, num};

	assert_int_equal(sw_tell(w, number, &s, sizeof(s), -1), 0);
}

void sw_enable(struct sw *w, bool enable)
{
	tell_state(w, VU_SET_VRING_ENABLE, enable);
}

/* Its areas are nowhere: its thread finds that out, and waits to be stopped. */
void sw_set_ring(struct sw *w)
{
	struct vu_vring_addr addr = {.desc = 1};

	tell_state(w, VU_SET_VRING_NUM, 16);
	assert_int_equal(sw_tell(w, VU_SET_VRING_ADDR, &addr, sizeof(addr), -1), 0);
	tell_u64(w, VU_SET_VRING_KICK, 0, w->kick);
}

void sw_stop_ring(struct sw *w)
{
	struct vu_vring_state s = {0, 0};
	struct vu_header head = {VU_GET_VRING_BASE, VU_VERSION, sizeof(s)};
	char answer[sizeof(head) + sizeof(s)];

	send_with(w->theirs, &head, &s, sizeof(s), -1);
	assert_int_equal(recv(w->theirs, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
}

void sw_open_channel(struct sw *w, int room)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	if (room > 0)
		assert_int_equal(
			setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	assert_int_equal(sw_tell(w, VU_SET_BACKEND_REQ_FD, NULL, 0, pair[0]), 0);
	close(pair[0]);
	close_fd(&w->channel);
	w->channel = pair[1];
}

struct sw *sw_start(uint64_t shmem_size, uint64_t protocol)
{
	struct vu_header head = {VU_SET_PROTOCOL_FEATURES, VU_VERSION, sizeof(protocol)};
	struct sw *w = calloc(1, sizeof(*w));
	int pair[2];

	w->before = unit_open_fds();
	w->device = (struct vhost_device){
		.start_worker = start_worker,
		.stop_worker = stop_worker,
		.request = request,
		.finish_deferred = finish_deferred,
		.disconnected = disconnected,
		.opaque = w,
		.shmem_sizes = {shmem_size},
	};
	w->channel = -1;
	assert_int_equal(vhost_backend_init(&w->dev, &w->device), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	w->ours = pair[0];
	w->theirs = pair[1];
	w->stop = eventfd(0, 0);
	w->kick = eventfd(0, 0);
	w->file = memfd_create("mapped", MFD_CLOEXEC);
	assert_int_equal(pthread_create(&w->server, NULL, serve, w), 0);
	send_with(w->theirs, &head, &protocol, sizeof(protocol), -1);
	tell_u64(w, VU_SET_FEATURES,
		1ull << VIRTIO_F_VERSION_1_BIT | 1ull << VU_F_PROTOCOL_FEATURES_BIT, -1);
	return w;
}

struct sw *sw_run(void)
{
	struct sw *w = sw_start(SW_WINDOW,
		VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ | VHOST_SHMEM_FEATURES);

	sw_open_channel(w, 0);
	sw_set_ring(w);
	sw_enable(w, true);
	return w;
}

void sw_finish(struct sw *w)
{
	close_fd(&w->theirs);
	pthread_join(w->server, NULL);
	assert_int_equal(w->result, w->expected);
	assert_false(vhost_shmem_is_there(&w->dev));
	vhost_backend_destroy(&w->dev);
	close(w->ours);
	close_fd(&w->channel);
	close(w->stop);
	close(w->kick);
	close(w->file);
	assert_int_equal(unit_open_fds(), w->before);
	free(w);
}

bool sw_receive(struct sw *w, struct sw_request *r)
{
	char control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = {&r->number, sizeof(struct vu_header)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n;

	r->fd = -1;
	n = recvmsg(w->channel, &mh, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return false;
	must(n == sizeof(struct vu_header) && r->size <= sizeof(r->map));
	if (CMSG_FIRSTHDR(&mh)) {
		must(CMSG_FIRSTHDR(&mh)->cmsg_len == CMSG_LEN(sizeof(int)));
		memcpy(&r->fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(r->fd));
	}
	must(recv(w->channel, &r->map, r->size, MSG_WAITALL) == (ssize_t)r->size);
	return true;
}

static struct vu_shmem_map expect(struct sw *w, uint32_t number, bool with_fd)
{
	struct sw_request r;

	assert_true(sw_receive(w, &r));
	assert_int_equal(r.number, number);
	assert_int_equal(r.flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	assert_int_equal(r.size, sizeof(r.map));
	assert_int_equal(r.map.shmid, 0);
	assert_int_equal(r.fd >= 0, with_fd);
	if (with_fd) {
		struct stat got, wanted;

		assert_int_equal(fstat(r.fd, &got), 0);
		assert_int_equal(fstat(w->file, &wanted), 0);
		assert_int_equal(got.st_ino, wanted.st_ino);
		close(r.fd);
	}
	return r.map;
}

void sw_expect_map(struct sw *w, uint64_t at, uint64_t len, uint64_t offset, bool writable)
{
	struct vu_shmem_map map = expect(w, VU_BACKEND_SHMEM_MAP, true);

	assert_int_equal(map.shm_offset, at);
	assert_int_equal(map.len, len);
	assert_int_equal(map.fd_offset, offset);
	assert_int_equal(map.flags, writable ? VU_SHMEM_MAP_WRITABLE : 0);
}

void sw_expect_unmap(struct sw *w, uint64_t at, uint64_t len)
{
	struct vu_shmem_map map = expect(w, VU_BACKEND_SHMEM_UNMAP, false);

	assert_int_equal(map.shm_offset, at);
	assert_int_equal(map.len, len);
}

void sw_expect_barrier(struct sw *w)
{
	struct sw_request r;

	assert_true(sw_receive(w, &r));
	assert_int_equal(r.number, VU_BACKEND_SHARED_OBJECT_REMOVE);
	assert_int_equal(r.flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	assert_int_equal(r.size, VU_UUID_SIZE);
}

void sw_answer(struct sw *w, uint32_t number, uint64_t value)
{
	const struct {
		struct vu_header head;
		uint64_t value;
	} __attribute__((packed)) answer = {
		{number, VU_VERSION | VU_FLAG_REPLY, sizeof(value)}, value};

	must(send(w->channel, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer));
}

static void *ask(void *arg)
{
	struct sw_asker *asker = arg;

	vhost_shmem_apply(asker->dev, asker->changes, asker->n);
	return NULL;
}

void sw_ask(struct sw *w, struct sw_asker *asker, struct vhost_shmem_change *changes,
	unsigned int n)
{
	*asker = (struct sw_asker){.dev = &w->dev, .changes = changes, .n = n};
	for (unsigned int i = 0; i < n; i++)
		changes[i].result = 1;
	assert_int_equal(pthread_create(&asker->thread, NULL, ask, asker), 0);
}

void sw_end(struct sw_asker *asker)
{
	pthread_join(asker->thread, NULL);
}
