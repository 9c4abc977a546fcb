// SPDX-License-Identifier: BSD-2-Clause
/*
 * Operations that are submitted now and reaped later.
 *
 * What has come back is noticed by any thread that waits for something on its queue, or by
 * causeway_reap(). It is put into a list, from which causeway_reap() takes. A program's loop waits
 * for one descriptor, which is readable while a queue has something or the list has.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "client/behind.h"
#include "client/file.h"

struct operation {
	struct call call;
	struct causeway_file *f;
	void *user;
	off_t offset;
	ssize_t result;
	struct operation *next;
	struct iovec iov;
	struct fuse_write_out out;
};

void completed_init(struct completed *done)
{
	pthread_mutex_init(&done->lock, NULL);
	done->end = &done->first;
	done->wake_fd = done->event_fd = -1;
}

void completed_destroy(struct completed *done)
{
	for (struct operation *op = done->first, *next; op; op = next) {
		next = op->next;
		free(op);
	}
	close_fd(&done->wake_fd);
	close_fd(&done->event_fd);
	pthread_mutex_destroy(&done->lock);
}

/* Makes the descriptor readable, for the list. */
static void wake(struct completed *done)
{
	const uint64_t one = 1;

	/* It cannot fail but for being readable already. */
	if (done->wake_fd >= 0 && write(done->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static void over(struct call *call, int r)
{
	struct operation *op = container_of(call, struct operation, call);
	struct completed *done = &op->f->c->completed;
	bool writes = call->opcode == FUSE_WRITE;

	op->result = r < 0 ? r : writes ? (ssize_t)op->out.size : (ssize_t)call->taken;
	/* As in data.c: it wrote more than it was given. */
	if (r == 0 && writes && op->out.size > op->iov.iov_len)
		op->result = -EPROTO;
	if (writes && op->result >= 0 && op->f->flags & O_APPEND)
		node_appended(op->f->c, op->f->node, &call->words);
	else if (writes && op->result > 0)
		node_wrote(op->f->c, op->f->node, op->offset, op->offset + op->result,
			&call->words);
	else if (writes)
		node_drop_data(op->f->c, op->f->node);
	op->next = NULL;
	pthread_mutex_lock(&done->lock);
	if (!done->first)
		wake(done);
	*done->end = op;
	done->end = &op->next;
	pthread_mutex_unlock(&done->lock);
}

static int start(struct causeway_file *f, const struct call *call, struct iovec iov, off_t offset,
	void *user)
{
	struct operation *op = malloc(sizeof(*op));
	int r;

	if (!op)
		return client_fail(f->c, -ENOMEM, "no memory for an operation");
	*op = (struct operation){.call = *call, .f = f, .user = user, .iov = iov,
		.offset = offset};
	op->call.nodeid = f->node->id;
	op->call.nargs = 1;
	op->call.in_place = true;
	op->call.done = over;
	if (call->opcode == FUSE_READ) {
		op->call.take = &op->iov;
		op->call.ntake = 1;
	} else if (call->opcode == FUSE_WRITE) {
		op->call.send = &op->iov;
		op->call.nsend = 1;
		op->call.out = &op->out;
		op->call.out_size = op->call.out_least = sizeof(op->out);
	}
	/* What was written before comes first. */
	behind_send(f->c, f->node);
	r = client_start(f->c, &op->call);
	if (r < 0)
		free(op);
	return r;
}

static int check(struct causeway_file *f, int not_mode, size_t size, off_t offset)
{
	int r = client_check_open(f, not_mode);

	if (r < 0)
		return r;
	if (offset < 0)
		return client_fail(f->c, -EINVAL, "there is no offset %lld", (long long)offset);
	return size <= f->c->session.max_data ? 0 :
		client_fail(f->c, -EMSGSIZE, "%zu bytes: one request carries %zu at most", size,
			f->c->session.max_data);
}

EXPORT int causeway_submit_pread(struct causeway_file *f, void *buf, size_t size, off_t offset,
	void *user)
{
	struct fuse_read_in in = {
		.fh = f->fh,
		.offset = (uint64_t)offset,
		.size = (uint32_t)size,
		.flags = client_open_flags(f),
	};
	const struct call call = {.opcode = FUSE_READ, .args = {CALL_STRUCT(in)}};
	int r = check(f, O_WRONLY, size, offset);

	return r < 0 ? r : start(f, &call, (struct iovec){buf, size}, offset, user);
}

EXPORT int causeway_submit_pwrite(struct causeway_file *f, const void *buf, size_t size,
	off_t offset, void *user)
{
	struct fuse_write_in in = {
		.fh = f->fh,
		.offset = (uint64_t)offset,
		.size = (uint32_t)size,
		.flags = client_open_flags(f),
		.write_flags = client_kills_priv(f->c) ? FUSE_WRITE_KILL_SUIDGID : 0,
	};
	const struct call call = {.opcode = FUSE_WRITE, .args = {CALL_STRUCT(in)}};
	int r = check(f, O_RDONLY, size, offset);

	return r < 0 ? r : start(f, &call, (struct iovec){(void *)buf, size}, offset, user);
}

EXPORT int causeway_submit_fsync(struct causeway_file *f, int data_only, void *user)
{
	struct fuse_fsync_in in = {
		.fh = f->fh, .fsync_flags = data_only ? FUSE_FSYNC_FDATASYNC : 0};
	const struct call call = {.opcode = FUSE_FSYNC, .args = {CALL_STRUCT(in)}};
	int r = check(f, -1, 0, 0);

	return r < 0 ? r : start(f, &call, (struct iovec){NULL, 0}, 0, user);
}

EXPORT unsigned int causeway_reap(struct causeway *c, struct causeway_completion *completions,
	unsigned int n)
{
	struct completed *done = &c->completed;
	unsigned int taken = 0;
	uint64_t wakes;

	if (c->connected)
		transport_reap(&c->t);
	pthread_mutex_lock(&done->lock);
	while (taken < n && done->first) {
		struct operation *op = done->first;

		completions[taken++] =
			(struct causeway_completion){.user = op->user, .result = op->result};
		done->first = op->next;
		free(op);
	}
	if (!done->first) {
		done->end = &done->first;
		if (done->wake_fd >= 0 && read(done->wake_fd, &wakes, sizeof(wakes)) < 0)
			wakes = 0; /* it was not readable */
	}
	pthread_mutex_unlock(&done->lock);
	return taken;
}

/* Under the lock. */
static int make_event_fd(struct causeway *c)
{
	struct completed *done = &c->completed;
	struct epoll_event event = {.events = EPOLLIN};
	CLEANUP_FD int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CLEANUP_FD int event_fd = epoll_create1(EPOLL_CLOEXEC);

	if (wake_fd < 0 || event_fd < 0 ||
		epoll_ctl(event_fd, EPOLL_CTL_ADD, wake_fd, &event) < 0 ||
		epoll_ctl(event_fd, EPOLL_CTL_ADD, c->t.epoll_fd, &event) < 0)
		return -errno;
	done->wake_fd = steal_fd(&wake_fd);
	done->event_fd = steal_fd(&event_fd);
	if (done->first)
		wake(done);
	return 0;
}

EXPORT int causeway_event_fd(struct causeway *c)
{
	struct completed *done = &c->completed;
	int r = 0;

	if (!c->connected)
		return client_fail(c, -ENOTCONN, "not connected");
	pthread_mutex_lock(&done->lock);
	if (done->event_fd < 0)
		r = make_event_fd(c);
	if (r == 0)
		r = done->event_fd;
	pthread_mutex_unlock(&done->lock);
	return r < 0 ? client_fail(c, r, "no descriptor for the loop: %s", strerror(-r)) : r;
}
