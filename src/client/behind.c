// SPDX-License-Identifier: BSD-2-Clause
#include "client/behind.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "client/file.h"

struct behind {
	struct causeway *c;
	struct behind *next, *prev; /* of the connection */
	unsigned int users; /* who looks at it beside its node; under the list's lock */
	pthread_mutex_t lock; /* of all that follows */
	struct causeway_file *f; /* whose bytes wait */
	off_t at;
	size_t len;
	int error; /* to be told */
	char bytes[];
};

/* The node's, made where there is none: NULL without memory, or where it would be too much. */
static struct behind *behind_of(struct causeway *c, struct node *node)
{
	struct behinds *all = &c->behinds;
	struct behind *b;

	pthread_mutex_lock(&all->lock);
	b = node->behind;
	if (!b && all->bytes + c->session.max_data <= c->options.cache_memory)
		b = malloc(sizeof(*b) + c->session.max_data);
	if (b && !node->behind) {
		memset(b, 0, sizeof(*b));
		b->c = c;
		pthread_mutex_init(&b->lock, NULL);
		b->next = all->first;
		if (b->next)
			b->next->prev = b;
		all->first = b;
		all->bytes += c->session.max_data;
		atomic_store_explicit(&node->behind, b, memory_order_release);
	}
	pthread_mutex_unlock(&all->lock);
	return b;
}

/* Under the lock. */
static int send_run(struct behind *b)
{
	size_t done = 0;
	int r = 0;

	while (r == 0 && done < b->len) {
		struct iovec iov = {b->bytes + done, b->len - done};
		ssize_t n = client_write_once(b->f, &iov, 1, iov.iov_len, b->at + (off_t)done);

		/* A write that takes nothing never will. */
		r = n < 0 ? (int)n : n == 0 ? -EIO : 0;
		done += n > 0 ? (size_t)n : 0;
	}
	if (b->len > 0)
		node_wrote(b->c, b->f->node, b->at, b->at + (off_t)b->len, NULL);
	if (r < 0)
		b->error = r;
	b->len = 0;
	b->f = NULL;
	return r;
}

static bool may_wait(const struct causeway_file *f, size_t size)
{
	return f->c->options.writeback && f->keeps_data && size < f->c->session.max_data &&
		!(f->flags & (O_APPEND | O_SYNC | O_DSYNC | O_DIRECT));
}

bool behind_take(struct causeway_file *f, struct cursor *from, off_t offset)
{
	size_t size = from->left;
	struct behind *b;

	if (!may_wait(f, size) || !(b = behind_of(f->c, f->node))) {
		behind_send(f->c, f->node);
		return false;
	}
	pthread_mutex_lock(&b->lock);
	if (b->len > 0 && (b->f != f || offset != b->at + (off_t)b->len ||
				  b->len + size > f->c->session.max_data))
		send_run(b);
	if (b->len == 0)
		b->at = offset;
	b->f = f;
	cursor_read(from, b->bytes + b->len, size);
	b->len += size;
	pthread_mutex_unlock(&b->lock);
	node_wrote(f->c, f->node, offset, offset + (off_t)size, NULL);
	return true;
}

int behind_send(struct causeway *c, struct node *node)
{
	struct behind *b = atomic_load_explicit(&node->behind, memory_order_acquire);
	int r;

	if (!b)
		return 0;
	pthread_mutex_lock(&b->lock);
	r = send_run(b);
	pthread_mutex_unlock(&b->lock);
	return r;
}

int behind_send_all(struct causeway *c)
{
	struct behinds *all = &c->behinds;
	struct behind *b;
	int r = 0;

	pthread_mutex_lock(&all->lock);
	for (b = all->first; b; b = b->next) {
		int one;

		b->users++;
		pthread_mutex_unlock(&all->lock);
		pthread_mutex_lock(&b->lock);
		one = send_run(b);
		pthread_mutex_unlock(&b->lock);
		r = r < 0 ? r : one;
		pthread_mutex_lock(&all->lock);
		if (--b->users == 0)
			pthread_cond_broadcast(&all->unused);
	}
	pthread_mutex_unlock(&all->lock);
	return r;
}

int behind_error(struct causeway *c, struct node *node)
{
	struct behind *b = atomic_load_explicit(&node->behind, memory_order_acquire);
	int r;

	if (!b)
		return 0;
	pthread_mutex_lock(&b->lock);
	r = b->error;
	b->error = 0;
	pthread_mutex_unlock(&b->lock);
	return r < 0 ? client_fail(c, r, "what was written before: %s", strerror(-r)) : 0;
}

void behind_free(struct causeway *c, struct node *node)
{
	struct behinds *all = &c->behinds;
	struct behind *b = node->behind;

	if (!b)
		return;
	pthread_mutex_lock(&all->lock);
	while (b->users > 0)
		pthread_cond_wait(&all->unused, &all->lock);
	if (b->prev)
		b->prev->next = b->next;
	else
		all->first = b->next;
	if (b->next)
		b->next->prev = b->prev;
	all->bytes -= c->session.max_data;
	pthread_mutex_unlock(&all->lock);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
