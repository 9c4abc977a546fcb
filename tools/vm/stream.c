// SPDX-License-Identifier: BSD-2-Clause

#include "stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

// A descriptor that others share must not be made non-blocking. After poll says so, this much can
// be written to a pipe or a terminal without waiting.
#define SINK_STEP 4096u

// virtio-serial takes at most this much in one write.
#define LINK_STEP 32768u

int link_fill(struct link *l)
{
	unsigned char buf[FRAME_WINDOW];
	ssize_t n = read(l->fd, buf, sizeof(buf));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		return -EPIPE;
	return bytes_add(&l->in, buf, n);
}

int link_flush(struct link *l)
{
	while (l->out.len) {
		size_t want = l->out.len < LINK_STEP ? l->out.len : LINK_STEP;
		ssize_t n = write(l->fd, bytes_head(&l->out), want);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		bytes_drop(&l->out, n);
	}
	return 0;
}

short source_wants(const struct source *s, const struct link *l)
{
	return s->fd >= 0 && s->credit && l->out.len < LINK_OUT_MAX ? POLLIN : 0;
}

int source_ready(struct source *s, struct link *l)
{
	unsigned char buf[FRAME_DATA_MAX];
	ssize_t n;

	if (!source_wants(s, l))
		return 0;
	n = read(s->fd, buf, s->credit < sizeof(buf) ? s->credit : sizeof(buf));
	if (n > 0) {
		s->credit -= n;
		return frame_put(&l->out, FRAME_DATA, s->stream, buf, n);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	// End of file, or an error such as EIO of a terminal that is gone: nothing more will come.
	s->fd = -1;
	return frame_put(&l->out, FRAME_EOF, s->stream, NULL, 0);
}

void source_frame(struct source *s, const struct frame *f)
{
	if (f->type == FRAME_CREDIT) {
		s->credit += frame_u32(f);
		if (s->credit > FRAME_WINDOW)
			s->credit = FRAME_WINDOW;
	} else if (f->type == FRAME_EOF) {
		s->fd = -1;
	}
}

short sink_wants(const struct sink *s)
{
	return s->fd >= 0 && s->held.len ? POLLOUT : 0;
}

static void sink_end(struct sink *s)
{
	if (s->fd >= 0 && s->close_fd)
		close(s->fd);
	s->fd = -1;
	bytes_free(&s->held);
}

static int sink_broken(struct sink *s, struct link *l)
{
	sink_end(s);
	return frame_put(&l->out, FRAME_EOF, s->stream, NULL, 0);
}

int sink_ready(struct sink *s, struct link *l)
{
	struct pollfd p = {.fd = s->fd};
	ssize_t n;

	if (s->fd < 0)
		return 0;
	if (!sink_wants(s)) {
		// Nothing to write, so what poll reported was that the reader has gone.
		return poll(&p, 1, 0) > 0 && (p.revents & POLLERR) ? sink_broken(s, l) : 0;
	}
	n = write(s->fd, bytes_head(&s->held), s->held.len < SINK_STEP ? s->held.len : SINK_STEP);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		return sink_broken(s, l);
	}
	bytes_drop(&s->held, n);
	s->owed += n;
	if (s->eof && !s->held.len) {
		sink_end(s);
		return 0;
	}
	if (s->held.len && s->owed < FRAME_WINDOW / 4)
		return 0;
	n = s->owed;
	s->owed = 0;
	return frame_put_u32(&l->out, FRAME_CREDIT, s->stream, n);
}

int sink_frame(struct sink *s, struct link *l, const struct frame *f)
{
	if (s->fd < 0)
		return 0;
	if (f->type == FRAME_EOF) {
		s->eof = true;
		if (!s->held.len)
			sink_end(s);
		return 0;
	}
	// Whoever sends more than the credit given is broken; the bound is what keeps us small.
	if (s->held.len + f->len > FRAME_WINDOW)
		return -EPROTO;
	return bytes_add(&s->held, f->data, f->len);
}
