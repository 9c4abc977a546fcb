// SPDX-License-Identifier: BSD-2-Clause
#include "vhost/frontend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <fcntl.h>

#include "base/util.h"
#include "vhost/talk.h"

#define PAGE 4096u

/* Where guest memory is for the back-end: anywhere but where it is for us. */
#define GUEST_BASE 0x100000000ull

#define WINDOW (VHOST_FRONTEND_WINDOW | VU_PROTOCOL_F_SHARED_OBJECT)
#define NOTIFICATION (1ull << VIRTIO_FS_F_NOTIFICATION_BIT)

int vhost_connect(const char *path, char *error, size_t size)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int r;

	if (*path == '\0' || strlen(path) >= sizeof(addr.sun_path)) {
		snprintf(error, size, "'%s' cannot be the name of a socket: it has 1 to %zu bytes",
			path, sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(addr.sun_path, path);
	r = fd < 0 ? -errno : neg_errno(connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	if (r < 0) {
		snprintf(error, size, "cannot connect to '%s': %s", path, strerror(-r));
		return r;
	}
	return steal_fd(&fd);
}

uint64_t vhost_frontend_gpa(const struct vhost_frontend *fe, const void *p)
{
	return GUEST_BASE + (uint64_t)((const char *)p - fe->map);
}

void *vhost_frontend_pointer(const struct vhost_frontend *fe, uint64_t gpa)
{
	return fe->map + (gpa - GUEST_BASE);
}

static int read_config(struct vhost_frontend *fe)
{
	/* The tag, how many request queues, and, with the feature, how long notifications are. */
	const uint32_t size = VHOST_FRONTEND_TAG_MAX + sizeof(uint32_t) +
		(fe->features & NOTIFICATION ? sizeof(uint32_t) : 0);
	struct vu_msg msg = {.head = {.request = VU_GET_CONFIG, .size = VU_CONFIG_HEAD + size}};
	int r;

	msg.body.config.size = size;
	r = frontend_ask(fe, "GET_CONFIG", &msg, msg.head.size);
	if (r == 0)
		memcpy(fe->tag, msg.body.config.data, VHOST_FRONTEND_TAG_MAX);
	if (r == 0 && fe->features & NOTIFICATION)
		memcpy(&fe->notify_size, msg.body.config.data + size - sizeof(uint32_t),
			sizeof(uint32_t));
	return r;
}

static int negotiate(struct vhost_frontend *fe, const struct vhost_frontend_config *config)
{
	uint64_t features = 0, protocol = 0, queues = 0;
	int r = ASK_U64(fe, GET_FEATURES, &features);

	fe->features = features &
		(config->features | (config->notifications ? NOTIFICATION : 0));
	if (r == 0 && !(fe->features & 1ull << VIRTIO_F_VERSION_1_BIT))
		r = frontend_fail(fe, -EPROTO, "the back-end does not offer VIRTIO_F_VERSION_1");
	if (r == 0 && (fe->features & 1ull << VU_F_PROTOCOL_FEATURES_BIT)) {
		r = ASK_U64(fe, GET_PROTOCOL_FEATURES, &protocol);
		protocol &= config->protocol | (config->window || config->table ? WINDOW : 0);
		/* A part of what a window needs is of no use. */
		if ((protocol & VHOST_FRONTEND_WINDOW) != VHOST_FRONTEND_WINDOW)
			protocol &= config->protocol;
		if (r == 0)
			r = tell_u64(fe, SET_PROTOCOL_FEATURES, protocol);
		fe->protocol = protocol;
	}
	/* That needs a queue more, and the size of what comes there. */
	if ((protocol & (VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_CONFIG)) !=
		(VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_CONFIG))
		fe->features &= ~NOTIFICATION;
	fe->first_request = fe->features & NOTIFICATION ? 2 : 1;
	fe->nqueues = fe->first_request + config->queues;
	if (r == 0 && (protocol & VU_PROTOCOL_F_MQ)) {
		r = ASK_U64(fe, GET_QUEUE_NUM, &queues);
		if (r == 0 && queues < fe->first_request + 1)
			r = frontend_fail(fe, -EPROTO,
				"the back-end has %llu queues; %u are the least",
				(unsigned long long)queues, fe->first_request + 1);
		if (r == 0)
			fe->nqueues = (unsigned int)min_t(uint64_t, fe->nqueues, queues);
	} else {
		/* No more can be known to be there. */
		fe->nqueues = 2;
	}
	if (r == 0) {
		struct vu_msg owner = {.head = {.request = VU_SET_OWNER}};

		r = frontend_tell(fe, "SET_OWNER", &owner);
	}
	if (r == 0 && (protocol & VU_PROTOCOL_F_CONFIG))
		r = read_config(fe);
	return r < 0 ? r : tell_u64(fe, SET_FEATURES, fe->features);
}

/* Whether there are a window and a table is the back-end's word, and their sizes. */
static int open_window(struct vhost_frontend *fe, const struct vhost_frontend_config *config)
{
	struct vu_msg msg = {.head = {.request = VU_GET_SHMEM_CONFIG}};
	struct vu_msg channel = {.head = {.request = VU_SET_BACKEND_REQ_FD}, .nfds = 1};
	int r = frontend_ask(fe, "GET_SHMEM_CONFIG", &msg, sizeof(msg.body.shmem_config));
	uint64_t size = config->window ? msg.body.shmem_config.sizes[0] : 0;

	if (config->table)
		fe->window.table_size = msg.body.shmem_config.sizes[1];
	if (r < 0 || msg.body.shmem_config.nregions == 0 ||
		(size == 0 && fe->window.table_size == 0))
		return r;
	if (size % VHOST_WINDOW_PAGE != 0 || size > VHOST_WINDOW_MAX)
		return frontend_fail(fe, -EPROTO, "the back-end's window has %llu bytes: whole "
						  "pages, and not more than %llu, will do",
			(unsigned long long)size, VHOST_WINDOW_MAX);
	r = vhost_window_open(&fe->window, size, fe->sock, &channel.fds[0]);
	if (r < 0)
		return frontend_fail(fe, r, "cannot have a window of %llu bytes: %s",
			(unsigned long long)size, strerror(-r));
	r = frontend_tell(fe, "SET_BACKEND_REQ_FD", &channel);
	vu_msg_close(&channel);
	return r;
}

static int make_memory(struct vhost_frontend *fe, const struct vhost_frontend_config *config)
{
	size_t rings = fe->nqueues * virtq_driver_bytes(config->queue_size);
	int r = 0;

	fe->memory_size = (config->memory + PAGE - 1) / PAGE * PAGE;
	fe->map_size = rings + fe->memory_size;
	fe->mem_fd = memfd_create("causeway-guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fe->mem_fd < 0 || ftruncate(fe->mem_fd, (off_t)fe->map_size) < 0 ||
		fcntl(fe->mem_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r == 0) {
		void *map = mmap(NULL, fe->map_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			fe->mem_fd, 0);

		if (map != MAP_FAILED)
			fe->map = map;
		else
			r = -errno;
	}
	if (r < 0)
		return frontend_fail(fe, r, "cannot have %zu bytes of guest memory: %s",
			fe->map_size, strerror(-r));
	fe->memory = fe->map + rings;
	return 0;
}

/* The rings stay in one region: an area of a ring must not cross from one to the next. */
static int tell_memory(struct vhost_frontend *fe, unsigned int regions)
{
	size_t first = (size_t)(fe->memory - fe->map);
	size_t step = fe->memory_size / regions / PAGE * PAGE;
	struct vu_msg msg = {.head = {.request = VU_SET_MEM_TABLE}, .nfds = regions};
	size_t at = 0;

	for (unsigned int i = 0; i < regions; i++) {
		size_t end = i + 1 == regions ? fe->map_size : first + (i + 1) * step;

		msg.body.mem.regions[i] = (struct vu_mem_region){
			.gpa = GUEST_BASE + at,
			.size = end - at,
			.uva = (uintptr_t)fe->map + at,
			.offset = at,
		};
		msg.fds[i] = fe->mem_fd;
		at = end;
	}
	msg.body.mem.nregions = regions;
	msg.head.size = (uint32_t)(offsetof(struct vu_mem_table, regions) +
		regions * sizeof(struct vu_mem_region));
	return frontend_tell(fe, "SET_MEM_TABLE", &msg);
}

static int tell_address(struct vhost_frontend *fe, unsigned int i)
{
	const struct virtq_driver *vq = &fe->queues[i].vq;
	struct vu_msg msg = {
		.head = {.request = VU_SET_VRING_ADDR, .size = sizeof(struct vu_vring_addr)}};

	msg.body.addr = (struct vu_vring_addr){
		.index = i,
		.desc = (uintptr_t)vq->desc,
		.used = (uintptr_t)vq->used,
		.avail = (uintptr_t)vq->avail,
	};
	return frontend_tell(fe, "SET_VRING_ADDR", &msg);
}

static int open_queue(struct vhost_frontend *fe, unsigned int i, unsigned int size)
{
	struct vhost_frontend_queue *q = &fe->queues[i];
	char *ring = fe->map + i * virtq_driver_bytes(size);
	int r = virtq_driver_init(&q->vq, size, ring, vhost_frontend_gpa(fe, ring),
		fe->features & 1ull << VIRTIO_F_EVENT_IDX_BIT,
		fe->features & 1ull << VIRTIO_F_INDIRECT_DESC_BIT);

	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r == 0 && (q->kick_fd < 0 || q->call_fd < 0))
		r = -errno;
	if (r < 0)
		return frontend_fail(fe, r, "cannot make queue %u: %s", i, strerror(-r));
	r = tell_state(fe, SET_VRING_NUM, i, size);
	if (r == 0)
		r = tell_state(fe, SET_VRING_BASE, i, 0);
	if (r == 0)
		r = tell_address(fe, i);
	if (r == 0)
		r = tell_fd(fe, SET_VRING_CALL, i, q->call_fd);
	if (r == 0)
		r = tell_fd(fe, SET_VRING_KICK, i, q->kick_fd);
	/* Without protocol features a ring runs once it is kicked. */
	if (r == 0 && (fe->features & 1ull << VU_F_PROTOCOL_FEATURES_BIT))
		r = tell_state(fe, SET_VRING_ENABLE, i, 1);
	return r;
}

int vhost_frontend_open(struct vhost_frontend *fe, int sock,
	const struct vhost_frontend_config *config)
{
	int r;

	memset(fe, 0, sizeof(*fe));
	vhost_window_init(&fe->window);
	fe->sock = sock;
	fe->mem_fd = -1;
	fe->timeout_ms = config->timeout_ms;
	fe->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	r = fe->timer < 0 ? frontend_fail(fe, -errno, "no timer: %s", strerror(errno)) :
			    negotiate(fe, config);
	if (r == 0)
		r = make_memory(fe, config);
	if (r == 0) {
		fe->queues = calloc(fe->nqueues, sizeof(*fe->queues));
		if (!fe->queues)
			r = frontend_fail(fe, -ENOMEM, "no memory for %u queues", fe->nqueues);
	}
	for (unsigned int i = 0; fe->queues && i < fe->nqueues; i++)
		fe->queues[i].kick_fd = fe->queues[i].call_fd = -1;
	if (r == 0)
		r = tell_memory(fe, config->regions);
	if (r == 0 && fe->protocol & VU_PROTOCOL_F_SHMEM)
		r = open_window(fe, config);
	for (unsigned int i = 0; r == 0 && i < fe->nqueues; i++)
		r = open_queue(fe, i, config->queue_size);
	if (r < 0) {
		vhost_window_close(&fe->window);
		close_fd(&fe->sock);
		vhost_frontend_close(fe);
	}
	return r;
}

/* A back-end that answers this has let go of the ring. */
static int stop_queue(struct vhost_frontend *fe, unsigned int i)
{
	struct vu_msg msg = {
		.head = {.request = VU_GET_VRING_BASE, .size = sizeof(struct vu_vring_state)}};

	msg.body.state.index = i;
	return frontend_ask(fe, "GET_VRING_BASE", &msg, msg.head.size);
}

void vhost_frontend_close(struct vhost_frontend *fe)
{
	for (unsigned int i = 0; fe->sock >= 0 && i < fe->nqueues; i++) {
		if (stop_queue(fe, i) < 0)
			break;
	}
	/* What serves it may shut the socket down. */
	vhost_window_close(&fe->window);
	close_fd(&fe->sock);
	for (unsigned int i = 0; fe->queues && i < fe->nqueues; i++) {
		virtq_driver_destroy(&fe->queues[i].vq);
		close_fd(&fe->queues[i].kick_fd);
		close_fd(&fe->queues[i].call_fd);
	}
	free(fe->queues);
	fe->queues = NULL;
	if (fe->map)
		munmap(fe->map, fe->map_size);
	fe->map = NULL;
	close_fd(&fe->mem_fd);
	close_fd(&fe->timer);
}
