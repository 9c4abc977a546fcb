// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fuzzes a vhost-user back-end: an input is what a front-end sends, messages with descriptors,
 * and the memory of its guest. All goes through a socket to vhost_backend_serve(), which starts
 * the threads of rings that get far enough. Another thread sends; where the input says so it first
 * gives the rings the time to serve a chain, and finishes chains whose answers were deferred.
 *
 * Input: u8 flags (trace; every other chain is deferred), u16 bytes of guest memory, those, then
 * messages: u8 request, u8 flags (below), u16 bytes of payload, one u8 for each descriptor (what it
 * is), the payload.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "fuzz.h"
#include "mem/cursor.h"
#include "vhost/backend.h"

#define MEMORY   0x8000u
#define MESSAGES 64
#define PAYLOAD  512

#define TRACE  1
#define DEFERS 2

/* Flags of a message. */
#define HAS_RAW_HEADER 0x80 /* the next 12 bytes are the header */
#define WANTS_REPLY    0x40
#define PAUSE          0x20 /* the rings run before it is sent */
#define FINISH         0x10 /* deferred chains are answered before it is sent */
#define FDS_MASK       0x0f /* how many descriptors */

#define PAUSE_US 500 /* for rings that have nothing to do */
#define DEFERRED 16

static struct vhost_backend dev;
static int memory_fd, empty_fd, stop_fd, null_fd;
static char *memory;
static const char config[40] = "fuzz";
static _Atomic unsigned int served; /* chains */
static bool defers;

static struct {
	pthread_mutex_t lock;
	struct vhost_deferred *d[DEFERRED];
	unsigned int n;
} deferred = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct queue {
	unsigned int index;
};

static void *start_worker(void *opaque, unsigned int queue)
{
	static struct queue queues[VHOST_QUEUES_MAX];

	queues[queue].index = queue;
	return queue == 7 ? NULL : &queues[queue];
}

static void stop_worker(void *worker)
{
}

/* True when the chain is answered later. */
static bool defer(struct queue *q, const struct virtq_chain *chain)
{
	struct vhost_deferred *d = NULL;

	pthread_mutex_lock(&deferred.lock);
	if (deferred.n < DEFERRED)
		d = vhost_defer(&dev, q->index, chain, "stopped", 8);
	if (d)
		deferred.d[deferred.n++] = d;
	pthread_mutex_unlock(&deferred.lock);
	return d != NULL;
}

/* Answers what was deferred; the last one after all others. */
static void finish(void)
{
	pthread_mutex_lock(&deferred.lock);
	for (unsigned int i = 0; i + 1 < deferred.n; i++)
		vhost_finish(deferred.d[i], "finished", 9);
	if (deferred.n > 0)
		vhost_finish_last(deferred.d[deferred.n - 1], "last", 5);
	deferred.n = 0;
	pthread_mutex_unlock(&deferred.lock);
}

/* Some of the request comes back as the reply. */
static uint32_t request(void *worker, const struct virtq_chain *chain)
{
	struct cursor in = cursor_over(chain->in, chain->in_len);
	struct cursor out = cursor_over(chain->out, chain->out_len);
	unsigned int n = atomic_fetch_add(&served, 1);
	char buf[256];

	if (defers && n % 2 == 0 && defer(worker, chain))
		return VHOST_DEFERRED;
	return (uint32_t)cursor_write(&out, buf, cursor_read(&in, buf, sizeof(buf)));
}

static void disconnected(void *opaque)
{
}

static const struct vhost_device device = {
	.start_worker = start_worker,
	.stop_worker = stop_worker,
	.request = request,
	.disconnected = disconnected,
	.config = config,
	.config_size = sizeof(config),
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	log_open("fuzz", LOG_OFF);
	/* As the daemon: what a message gives for an eventfd may be a pipe that nobody reads. */
	signal(SIGPIPE, SIG_IGN);
	memory_fd = memfd_create("guest", MFD_CLOEXEC);
	empty_fd = memfd_create("empty", MFD_CLOEXEC);
	stop_fd = eventfd(0, EFD_CLOEXEC);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	must(ftruncate(memory_fd, MEMORY) == 0);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	must(memory != MAP_FAILED);
	must(vhost_backend_init(&dev, &device) == 0);
	return 0;
}

/* The number that the next descriptor will have: higher after a run than before is a leak. */
static int next_fd(void)
{
	int fd = dup(stop_fd);

	close(fd);
	return fd;
}

/* A descriptor of a kind, to be closed after it was sent. */
static int make_fd(uint8_t kind)
{
	int pair[2];

	switch (kind % 8) {
	case 0:
		return dup(memory_fd);
	case 1:
		return eventfd(1, EFD_CLOEXEC); /* kicked already */
	case 2:
		return eventfd(0, EFD_CLOEXEC);
	case 3:
		return dup(empty_fd);
	case 4:
		return dup(null_fd);
	case 5:
		must(pipe(pair) == 0);
		close(pair[1]);
		return pair[0];
	case 6:
		must(pipe(pair) == 0);
		close(pair[0]);
		return pair[1];
	default:
		must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		close(pair[1]);
		return pair[0];
	}
}

static bool send_all(int sock, const void *bytes, size_t len, const int *fds, unsigned int n)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MASK * sizeof(int))];
	} control = {.align = {.cmsg_len = CMSG_LEN(n * sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n > 0) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, n * sizeof(int));
	}
	return sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

/* Lets the rings run until one has served something, or for a while. */
static void pause_sending(void)
{
	const struct timespec step = {.tv_nsec = 50000};
	unsigned int before = atomic_load(&served);

	for (int us = 0; us < PAUSE_US && atomic_load(&served) == before; us += 50)
		nanosleep(&step, NULL);
}

/* Sends one message of the input; false when the socket takes no more. */
static bool send_message(int sock, struct input *in)
{
	struct {
		struct vu_header head;
		uint8_t body[PAYLOAD];
	} m;
	uint8_t number = take_u8(in), flags = take_u8(in);
	uint16_t size = take_u16(in) % PAYLOAD;
	unsigned int nfds = flags & FDS_MASK;
	int fds[FDS_MASK];
	bool sent;

	m.head = (struct vu_header){number % (VU_REQUEST_MAX + 2),
		VU_VERSION | (flags & WANTS_REPLY ? VU_FLAG_NEED_REPLY : 0), size};
	if (flags & HAS_RAW_HEADER)
		take(in, &m.head, sizeof(m.head));
	for (unsigned int i = 0; i < nfds; i++)
		fds[i] = make_fd(take_u8(in));
	take(in, m.body, size);
	if (flags & PAUSE)
		pause_sending();
	if (flags & FINISH)
		finish();
	sent = send_all(sock, &m, sizeof(m.head) + size, fds, nfds);
	for (unsigned int i = 0; i < nfds; i++)
		close(fds[i]);
	return sent;
}

/* The front-end. */
struct sender {
	int sock;
	struct input in;
};

static void *send_messages(void *opaque)
{
	struct sender *sender = opaque;

	for (int i = 0; i < MESSAGES && sender->in.left > 0; i++) {
		if (!send_message(sender->sock, &sender->in))
			break;
	}
	shutdown(sender->sock, SHUT_WR);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_events events = {.stop_fd = stop_fd, .other_fd = -1};
	struct sender sender = {.in = {data, size}};
	uint8_t flags = take_u8(&sender.in);
	size_t image = take_u16(&sender.in) % MEMORY;
	int before = next_fd(), pair[2], r;
	pthread_t thread;

	log_open("fuzz", flags & TRACE ? LOG_TRACE : LOG_OFF);
	defers = flags & DEFERS;
	atomic_store(&served, 0);
	memset(memory, 0, MEMORY);
	take(&sender.in, memory, image < sender.in.left ? image : sender.in.left);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	sender.sock = pair[1];
	must(pthread_create(&thread, NULL, send_messages, &sender) == 0);
	r = vhost_backend_serve(&dev, pair[0], &events);
	must(r <= 0 && r != -EINTR);
	/* Who is still sending finds nobody there. */
	shutdown(pair[0], SHUT_RDWR);
	must(pthread_join(thread, NULL) == 0);
	finish();
	must(dev.mem.nregions == 0 && dev.mem.gates == NULL && !dev.mem.closing);
	must(dev.features == 0 && dev.protocol_features == 0 && dev.shmem.fd < 0);
	close(pair[0]);
	close(pair[1]);
	must(next_fd() == before);
	return 0;
}
