// SPDX-License-Identifier: BSD-2-Clause
#include "trace/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "trace/fields.h"
#include "trace/ops.h"

/* Pieces that a message is written from; one that has more is copied. */
#define PIECES 64

struct recorder {
	int fd;
	bool with_data;
	uint64_t began_ns; /* CLOCK_MONOTONIC */
	_Atomic bool ended; /* by an error */
	void (*failed)(int error);
};

int recorder_open(const char *path, bool with_data, void (*failed)(int error),
	struct recorder **rec)
{
	struct record_head head = {
		.magic = RECORD_MAGIC,
		.version = RECORD_VERSION,
		.with_data = with_data,
		.began_ns = clock_ns(CLOCK_REALTIME),
	};
	/* Guests' names and data are nobody else's to read. */
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	CLEANUP_FREE struct recorder *new = calloc(1, sizeof(*new));
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (!new)
		return -ENOMEM;
	n = write(fd, &head, sizeof(head));
	if (n != sizeof(head))
		return n < 0 ? -errno : -EIO;
	new->with_data = with_data;
	new->failed = failed;
	new->began_ns = clock_ns(CLOCK_MONOTONIC);
	new->fd = steal_fd(&fd);
	*rec = new;
	new = NULL;
	return 0;
}

void recorder_close(struct recorder *rec)
{
	if (!rec)
		return;
	close(rec->fd);
	free(rec);
}

/* Copies up to len bytes out of pieces; how many there were. */
static size_t copy(void *to, const struct iovec *iov, size_t left, size_t len)
{
	size_t done = 0, want = min_t(size_t, left, len);

	for (; done < want; iov++) {
		size_t part = min_t(size_t, iov->iov_len, want - done);

		memcpy((char *)to + done, iov->iov_base, part);
		done += part;
	}
	return done;
}

/* Writes a record with the first size bytes of a message. #syscalls(record): writev */
static void put(struct recorder *rec, struct record *r, const struct iovec *iov)
{
	CLEANUP_FREE char *copied = NULL;
	struct iovec out[PIECES + 1] = {{r, sizeof(*r)}};
	uint32_t left = r->size;
	ssize_t done;
	int n = 1;

	r->time_ns = clock_ns(CLOCK_MONOTONIC) - rec->began_ns;
	for (; left > 0 && n <= PIECES; iov++) {
		out[n] = (struct iovec){iov->iov_base, min_t(size_t, iov->iov_len, left)};
		left -= (uint32_t)out[n].iov_len;
		n++;
	}
	if (left > 0) {
		copied = malloc(r->size);
		if (!copied)
			return;
		iov -= PIECES;
		copy(copied, iov, r->size, r->size);
		out[1] = (struct iovec){copied, r->size};
		n = 2;
	}
	done = writev(rec->fd, out, n);
	/* A part of a record cannot be followed by another. */
	if (done != (ssize_t)(sizeof(*r) + r->size) && !atomic_exchange(&rec->ended, true) &&
		rec->failed)
		rec->failed(done < 0 ? errno : ENOSPC);
}

/* How much of a message is kept that has a structure of so many bytes. */
static uint32_t kept(const struct recorder *rec, size_t len, size_t structured)
{
	size_t most = rec->with_data ? RECORD_SIZE_MAX : structured;

	return (uint32_t)min_t(size_t, len, most);
}

struct recorded recorder_request(struct recorder *rec, unsigned int queue,
	const struct iovec *iov, size_t len)
{
	struct fuse_in_header in = {0};
	struct trace_shape shape;
	struct record r;

	copy(&in, iov, len, sizeof(in));
	shape = trace_shape(in.opcode);
	r = (struct record){
		.kind = RECORD_REQUEST,
		.queue = (uint16_t)queue,
		.unique = in.unique,
		.opcode = in.opcode,
		.length = (uint32_t)len,
		.size = kept(rec, len, shape.tail == FUSE_TAIL_DATA
				? sizeof(in) + trace_request_size(in.opcode) : RECORD_SIZE_MAX),
	};
	if (!atomic_load_explicit(&rec->ended, memory_order_relaxed))
		put(rec, &r, iov);
	return (struct recorded){.unique = in.unique, .opcode = in.opcode};
}

void recorder_reply(struct recorder *rec, unsigned int queue, const struct recorded *of,
	const struct iovec *iov, size_t written)
{
	size_t head = sizeof(struct fuse_out_header);
	size_t words = of->words && written > head ? trace_words_size(of->opcode) : 0;
	struct record r = {
		.kind = words ? RECORD_REPLY_WORDS : RECORD_REPLY,
		.queue = (uint16_t)queue,
		.unique = of->unique,
		.opcode = of->opcode,
		.length = (uint32_t)written,
		.size = kept(rec, written,
			head + words + trace_reply_size(of->opcode)),
	};

	if (written > 0 && !atomic_load_explicit(&rec->ended, memory_order_relaxed))
		put(rec, &r, iov);
}
