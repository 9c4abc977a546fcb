// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tokens: they end calls that wait, from another thread, by INTERRUPT.
 *
 * A call that waits is in its token's list from when it was submitted until its answer is there.
 * An INTERRUPT names it and goes out on the high-priority queue, as virtio wants it (and where no
 * request waits that would take its place). Queues have no order among each other: a back-end may
 * see it first, and remembers it for a while. Its number is the other's with the lowest bit set,
 * as Linux has it, and nobody answers it: what ends is the other request, with EINTR, or with a
 * lock if that was faster.
 */
#include <errno.h>
#include <stdlib.h>

#include "client/client.h"

struct causeway_token {
	struct causeway *c;
	pthread_mutex_t lock;
	bool interrupted; /* for good */
	struct interruptible *first;
};

EXPORT struct causeway_token *causeway_token_new(struct causeway *c)
{
	struct causeway_token *t = calloc(1, sizeof(*t));

	if (t) {
		t->c = c;
		pthread_mutex_init(&t->lock, NULL);
	}
	return t;
}

EXPORT void causeway_token_free(struct causeway_token *t)
{
	if (t)
		pthread_mutex_destroy(&t->lock);
	free(t);
}

static void send_interrupt(struct causeway *c, uint64_t unique)
{
	struct fuse_interrupt_in in = {.unique = unique};
	struct call call = {
		.opcode = FUSE_INTERRUPT,
		.unique = unique | 1,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
	};

	/* Where this fails the connection is lost, which ends the other call too. */
	client_send(c, &call);
}

EXPORT void causeway_interrupt(struct causeway_token *t)
{
	pthread_mutex_lock(&t->lock);
	t->interrupted = true;
	for (struct interruptible *i = t->first; i; i = i->next)
		send_interrupt(t->c, i->unique);
	pthread_mutex_unlock(&t->lock);
}

int token_check(struct causeway_token *t, struct causeway *c)
{
	bool interrupted;

	if (t->c != c)
		return client_fail(c, -EINVAL, "the token is another connection's");
	pthread_mutex_lock(&t->lock);
	interrupted = t->interrupted;
	pthread_mutex_unlock(&t->lock);
	return interrupted ? client_fail(c, -EINTR, "it was interrupted before it began") : 0;
}

void token_enter(struct causeway_token *t, struct interruptible *i)
{
	pthread_mutex_lock(&t->lock);
	i->next = t->first;
	t->first = i;
	/* It came between the first look and here. */
	if (t->interrupted)
		send_interrupt(t->c, i->unique);
	pthread_mutex_unlock(&t->lock);
}

void token_leave(struct causeway_token *t, struct interruptible *i)
{
	struct interruptible **at = &t->first;

	pthread_mutex_lock(&t->lock);
	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	pthread_mutex_unlock(&t->lock);
}
