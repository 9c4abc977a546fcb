// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fuzzes a vhost-user back-end: an input is what a front-end sends, messages with descriptors,
 * and the memory of its guest. All goes through a socket to vhost_backend_serve(), which starts
 * the threads of rings that get far enough.
 *
 * Input: u8 flags, u16 bytes of guest memory, those, then messages: u8 request, u8 flags (how
 * many descriptors; need reply; raw: the next 12 bytes are the header), u16 bytes of payload,
 * one u8 for each descriptor (what it is), the payload.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "fuzz.h"
#include "mem/cursor.h"
#include "vhost/backend.h"

#define MEMORY   0x8000u
#define MESSAGES 64
#define PAYLOAD  512

#define HAS_RAW_HEADER 0x80
#define WANTS_REPLY    0x40
#define FDS_MASK       0x0f

static struct vhost_backend dev;
static int memory_fd, empty_fd, stop_fd, null_fd;
static char *memory;
static const char config[40] = "fuzz";

static void *start_worker(void *opaque, unsigned int queue)
{
	return queue == 7 ? NULL : opaque;
}

static void stop_worker(void *worker)
{
}

/* Some of the request comes back as the reply. */
static uint32_t request(void *worker, const struct virtq_chain *chain)
{
	struct cursor in = cursor_over(chain->in, chain->in_len);
	struct cursor out = cursor_over(chain->out, chain->out_len);
	char buf[256];

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
	.opaque = &dev,
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
	sent = send_all(sock, &m, sizeof(m.head) + size, fds, nfds);
	for (unsigned int i = 0; i < nfds; i++)
		close(fds[i]);
	return sent;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_events events = {.stop_fd = stop_fd, .other_fd = -1};
	struct input in = {data, size};
	uint8_t flags = take_u8(&in);
	size_t image = take_u16(&in) % MEMORY;
	int before = next_fd(), pair[2], r;

	log_open("fuzz", flags & 1 ? LOG_TRACE : LOG_OFF);
	memset(memory, 0, MEMORY);
	take(&in, memory, image < in.left ? image : in.left);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	for (int i = 0; i < MESSAGES && in.left > 0; i++) {
		if (!send_message(pair[1], &in))
			break;
	}
	shutdown(pair[1], SHUT_WR);
	r = vhost_backend_serve(&dev, pair[0], &events);
	must(r <= 0 && r != -EINTR);
	must(dev.mem.nregions == 0 && dev.mem.gates == NULL && !dev.mem.closing);
	must(dev.features == 0 && dev.protocol_features == 0 && dev.backend_req_fd < 0);
	close(pair[0]);
	close(pair[1]);
	must(next_fd() == before);
	return 0;
}
