// SPDX-License-Identifier: BSD-2-Clause
/*
 * A connection's life: made, connected in one of three ways, freed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/util.h"
#include "client/client.h"
#include "client/notify.h"

/* How long a daemon of ours may take to end. */
#define CAPTIVE_SECONDS 10

EXPORT const char *causeway_version(void)
{
	return CAUSEWAY_VERSION;
}

EXPORT struct causeway *causeway_new(void)
{
	struct causeway *c = calloc(1, sizeof(*c));

	if (c) {
		client_options_init(&c->options);
		nodes_init(&c->nodes);
		entries_init(&c->entries);
		pages_init(&c->pages);
		pthread_mutex_init(&c->behinds.lock, NULL);
		pthread_cond_init(&c->behinds.unused, NULL);
		table_init(&c->table);
		completed_init(&c->completed);
	}
	return c;
}

static void disconnect(struct causeway *c)
{
	if (c->connected) {
		if (c->options.init && !atomic_load(&c->t.lost))
			client_destroy(c);
		transport_close(&c->t);
		window_close(c);
		client_listen_end(c);
	}
	c->connected = false;
	vhost_spawn_end(&c->captive, CAPTIVE_SECONDS);
}

EXPORT void causeway_free(struct causeway *c)
{
	if (!c)
		return;
	disconnect(c);
	completed_destroy(&c->completed);
	entries_destroy(&c->entries);
	nodes_destroy(c);
	pages_destroy(&c->pages);
	table_destroy(&c->table);
	pthread_mutex_destroy(&c->behinds.lock);
	pthread_cond_destroy(&c->behinds.unused);
	client_options_free(&c->options);
	free(c);
}

static int begin_recording(struct causeway *c)
{
	const struct client_options *o = &c->options;
	int r = recorder_open(o->record, o->record_data, NULL, &c->t.recorder);

	return r < 0 ? client_fail(c, r, "record=%s: %s", o->record, strerror(-r)) : 0;
}

/* Brings up everything over a socket, which is ours from now on. */
static int bring_up(struct causeway *c, int sock)
{
	const struct client_options *o = &c->options;
	struct vhost_frontend_config config = {
		.queues = (unsigned int)o->queues,
		.queue_size = (unsigned int)o->queue_size,
		.memory = o->memory,
		.regions = (unsigned int)o->regions,
		.features = VHOST_FRONTEND_FEATURES,
		.protocol = VHOST_FRONTEND_PROTOCOL,
		.timeout_ms = (int)o->timeout_ms,
		.window = o->init && o->dax != DAX_NEVER,
		.table = o->cache->by_words && !o->version_table,
		.notifications = o->init && o->cache->keeps,
	};
	int r;

	if (!o->event_idx)
		config.features &= ~(1ull << VIRTIO_F_EVENT_IDX_BIT);
	if (!o->indirect)
		config.features &= ~(1ull << VIRTIO_F_INDIRECT_DESC_BIT);
	r = transport_open(&c->t, sock, &config, (uint32_t)o->spin_us);
	if (r < 0)
		return client_fail(c, r, "%s", c->t.why);
	c->connected = true;
	if (o->record)
		r = begin_recording(c);
	if (r == 0 && o->init)
		r = client_init(c);
	/* Nothing else is under way when replies begin to have words. */
	if (r == 0 && o->cache->by_words)
		r = table_agree(c);
	if (r == 0)
		r = client_listen(c);
	if (r < 0) {
		/* What INIT said stays the text. */
		transport_close(&c->t);
		window_close(c);
		client_listen_end(c);
		c->connected = false;
	}
	return r;
}

/* Whether it can be connected as it is set. */
static int check_set(struct causeway *c)
{
	const struct client_options *o = &c->options;

	if (c->connected)
		return client_fail(c, -EISCONN, "it is connected already");
	if (o->cache->by_words && o->writeback)
		return client_fail(c, -EINVAL, "cache=shared and writeback=1 exclude each other: "
					       "others must see what is written");
	if (o->cache->by_words && !o->init)
		return client_fail(c, -EINVAL, "cache=shared needs init=1: a table is agreed to "
					       "after INIT");
	return 0;
}

EXPORT int causeway_connect_fd(struct causeway *c, int fd)
{
	int r = check_set(c);
	int own = r < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (r < 0)
		return r;
	if (own < 0)
		return client_fail(c, -errno, "descriptor %d: %s", fd, strerror(errno));
	return bring_up(c, own);
}

EXPORT int causeway_connect(struct causeway *c, const char *socket_path)
{
	char error[256];
	int r = check_set(c);

	if (r < 0)
		return r;
	r = vhost_connect(socket_path, error, sizeof(error));
	return r < 0 ? client_fail(c, r, "%s", error) : bring_up(c, r);
}

/* A daemon that ended by itself has said why on standard error. */
static int explain_end(struct causeway *c, int r)
{
	int status = vhost_spawn_end(&c->captive, CAPTIVE_SECONDS);
	char text[192];

	if (r != -ENOTCONN)
		return r;
	snprintf(text, sizeof(text), "%s", causeway_error(c));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return client_fail(c, r, "%s: the daemon cannot be run", text);
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		return client_fail(c, r, "%s: the daemon ended with status %d", text,
			WEXITSTATUS(status));
	return r;
}

EXPORT int causeway_share(struct causeway *c, const char *directory)
{
	const char *program = c->options.daemon ? c->options.daemon : "causewayd";
	char error[256];
	int sock, r = check_set(c);

	if (r < 0)
		return r;
	r = vhost_spawn(&c->captive, program, directory, c->options.daemon_options, &sock, error,
		sizeof(error));
	if (r < 0)
		return client_fail(c, r, "%s", error);
	r = bring_up(c, sock);
	return r < 0 ? explain_end(c, r) : 0;
}

EXPORT const char *causeway_tag(struct causeway *c)
{
	return c->connected ? c->t.fe.tag : "";
}

EXPORT int causeway_get(struct causeway *c, const char *property, uint64_t *value)
{
	const struct {
		const char *name;
		uint64_t value;
	} properties[] = {
		{"queues", c->connected ? c->t.fe.nqueues - c->t.fe.first_request : 0},
		{"minor", c->session.minor},
		{"flags", c->session.flags},
		{"max-data", c->session.max_data},
		{"requests", atomic_load(&c->requests)},
		{"table-slots", table_slots(&c->table)},
		{"dax-window", c->window.base ? c->t.fe.window.size : 0},
		{"dax-ranges", atomic_load(&c->window.nlive)},
		{"daemon-pid", (uint64_t)c->captive.pid},
	};

	for (size_t i = 0; i < ARRAY_SIZE(properties); i++) {
		if (strcmp(properties[i].name, property) == 0) {
			*value = properties[i].value;
			return 0;
		}
	}
	return client_fail(c, -ENOENT, "there is no property '%s'", property);
}
