// SPDX-License-Identifier: BSD-2-Clause
#include "client/notify.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "client/client.h"

#define QUEUE 1

struct notification {
	struct request request; /* first: finished() gets this */
	struct causeway *c;
	char *memory; /* of the guest */
	size_t size;
	char *copy;   /* as much, and ours alone */
};

/* Takes a structure off the beginning of a message. */
#define TAKE(s, at, len)                                                                           \
	({                                                                                         \
		bool take_there_ = (len) >= sizeof(s);                                             \
		if (take_there_)                                                                   \
			memcpy(&(s), at, sizeof(s));                                               \
		take_there_;                                                                       \
	})

static void inode_changed(struct causeway *c, const char *at, size_t len)
{
	struct fuse_notify_inval_inode_out out;
	struct node *node = TAKE(out, at, len) ? node_find(c, out.ino) : NULL;

	if (!node)
		return;
	/* A range of data that begins below 0 is none: only the attributes changed. */
	if (out.off < 0)
		node_drop_attr(c, node);
	else
		node_drop_data(c, node);
	node_put(c, node);
}

static void name_changed(struct causeway *c, uint64_t parent, const char *at, size_t len,
	uint32_t name_len)
{
	const struct validity none = {.until_ns = 0};
	struct node *dir = name_len <= NAME_MAX && name_len <= len ? node_find(c, parent) : NULL;
	char name[NAME_MAX + 1];

	if (!dir)
		return;
	memcpy(name, at, name_len);
	name[name_len] = '\0';
	entry_changed(c, dir, name, NULL, none, 0);
	node_put(c, dir);
}

static void entry_invalid(struct causeway *c, const char *at, size_t len)
{
	struct fuse_notify_inval_entry_out out;

	if (TAKE(out, at, len))
		name_changed(c, out.parent, at + sizeof(out), len - sizeof(out), out.namelen);
}

static void entry_deleted(struct causeway *c, const char *at, size_t len)
{
	struct fuse_notify_delete_out out;
	struct node *child;

	if (!TAKE(out, at, len))
		return;
	name_changed(c, out.parent, at + sizeof(out), len - sizeof(out), out.namelen);
	child = node_find(c, out.child);
	if (!child)
		return;
	node_drop_attr(c, child);
	node_put(c, child);
}

/* Data that the back-end would have us keep: it is asked for when it is wanted. */
static void data_stored(struct causeway *c, const char *at, size_t len)
{
	struct fuse_notify_store_out out;
	struct node *node = TAKE(out, at, len) ? node_find(c, out.nodeid) : NULL;

	if (!node)
		return;
	node_drop_data(c, node);
	node_put(c, node);
}

static void everything_changed(struct causeway *c, const char *at, size_t len)
{
	entries_clear(c);
	nodes_forget_data(c);
}

static void (*const kinds[])(struct causeway *c, const char *at, size_t len) = {
	[FUSE_NOTIFY_INVAL_INODE] = inode_changed,
	[FUSE_NOTIFY_INVAL_ENTRY] = entry_invalid,
	[FUSE_NOTIFY_STORE] = data_stored,
	[FUSE_NOTIFY_DELETE] = entry_deleted,
	[FUSE_NOTIFY_INC_EPOCH] = everything_changed,
};

/* A notification is a reply to nothing: its unique is 0, and its kind in the place of the error. */
static void hear(struct causeway *c, const char *message, size_t len)
{
	struct fuse_out_header head;

	if (!TAKE(head, message, len) || head.unique != 0 || head.len < sizeof(head) ||
		head.len > len)
		return;
	if (head.error > 0 && (size_t)head.error < ARRAY_SIZE(kinds) && kinds[head.error])
		kinds[head.error](c, message + sizeof(head), head.len - sizeof(head));
}

static void heard(struct request *request)
{
	struct notification *n = container_of(request, struct notification, request);
	size_t len = min_t(size_t, request->written, n->size);

	if (request->status < 0)
		return;
	memcpy(n->copy, n->memory, len);
	hear(n->c, n->copy, len);
	/* Where this fails the back-end has gone. */
	transport_submit(&n->c->t, QUEUE, request);
}

static int offer(struct causeway *c, struct notification *n, size_t size)
{
	void *memory;
	int r = arena_alloc(&c->t.arena, size, false, &memory);

	n->c = c;
	n->size = size;
	n->copy = malloc(size);
	if (r == 0 && !n->copy)
		r = -ENOMEM;
	if (r < 0)
		return client_fail(c, r, "there is no room for notifications of %zu bytes", size);
	n->memory = memory;
	n->request.finished = heard;
	request_add_out(&c->t, &n->request, n->memory, size);
	return transport_submit(&c->t, QUEUE, &n->request) < 0 ? client_lost(c) : 0;
}

int client_listen(struct causeway *c)
{
	uint32_t size = c->t.fe.notify_size;
	int r = 0;

	if (c->t.fe.first_request != QUEUE + 1)
		return 0;
	if (size < sizeof(struct fuse_out_header) || size > NOTIFICATION_BYTES)
		return client_fail(c, -EPROTO, "the back-end's notifications are said to be up to "
					       "%u bytes long", size);
	c->notifications = calloc(NOTIFICATIONS, sizeof(*c->notifications));
	if (!c->notifications)
		return client_fail(c, -ENOMEM, "there is no memory for notifications");
	for (unsigned int i = 0; r == 0 && i < min_t(uint64_t, NOTIFICATIONS,
						     c->options.queue_size); i++)
		r = offer(c, &c->notifications[i], size);
	return r;
}

void client_hear(struct causeway *c)
{
	if (c->notifications && virtq_driver_pending(&c->t.queues[QUEUE].q->vq))
		transport_reap_one(&c->t, QUEUE);
}

void client_listen_end(struct causeway *c)
{
	for (unsigned int i = 0; c->notifications && i < NOTIFICATIONS; i++)
		free(c->notifications[i].copy);
	free(c->notifications);
	c->notifications = NULL;
}
