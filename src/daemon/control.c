// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"

/* #syscalls(control): eventfd2 accept4 poll ppoll read write close getsockopt:2=SO_PEERCRED */

/* How long nobody is taken after that failed: there are too many descriptors. */
#define REST_MS 1000

struct client {
	int fd; /* -1: a free place */
	bool refused;
	uint64_t end_ms; /* when its time is over */
	size_t used;     /* bytes of its request */
	char *answer;    /* what it gets, len bytes; NULL: its request has not come */
	size_t len, sent;
	char request[CONTROL_REQUEST];
};

struct control {
	const struct listener *listener;
	const struct counters *counters;
	pthread_t thread;
	int stop_fd;
	uid_t own;
	uint64_t rest_ms; /* until when nobody is taken */
	struct client clients[CONTROL_CLIENTS];
};

static void drop(struct client *client)
{
	close_fd(&client->fd);
	free(client->answer);
	client->answer = NULL;
	client->used = client->len = client->sent = 0;
}

/* The mode of the socket has said so already, unless somebody changed it. */
static bool may_ask(const struct control *c, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
		(peer.uid == c->own || peer.uid == 0);
}

static struct client *free_place(struct control *c)
{
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		if (c->clients[i].fd < 0)
			return &c->clients[i];
	}
	return NULL;
}

static void take_client(struct control *c, struct client *place)
{
	int fd = accept4(c->listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			c->rest_ms = clock_ms() + REST_MS;
		return;
	}
	place->fd = fd;
	place->refused = !may_ask(c, fd);
	place->end_ms = clock_ms() + CONTROL_MS;
}

/* What the client gets, in front of it a head as HTTP wants it. */
static void answer(struct client *client, bool http, const char *status, const char *text,
	size_t len)
{
	char head[200] = "";
	int n = 0;

	if (http)
		n = snprintf(head, sizeof(head),
			"HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
			"Content-Length: %zu\r\nConnection: close\r\n\r\n", status, len);
	client->answer = malloc((size_t)n + len);
	if (!client->answer) {
		drop(client);
		return;
	}
	memcpy(client->answer, head, (size_t)n);
	memcpy(client->answer + n, text, len);
	client->len = (size_t)n + len;
}

static void answer_error(struct client *client, bool http, const char *status, const char *why)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "# error: %s\n", why);

	answer(client, http, status, text, (size_t)n);
}

static void answer_metrics(struct control *c, struct client *client, bool http)
{
	struct metrics m = {0};

	counters_metrics(c->counters, &m);
	if (metrics_end(&m) == 0)
		answer(client, http, "200 OK", m.text, m.len);
	else
		answer_error(client, http, "503 Service Unavailable", "no memory for it");
	free(m.text);
}

/* The length of the first line, without its end; -1 where it has none yet. */
static int first_line(const struct client *client)
{
	const char *end = memchr(client->request, '\n', client->used);
	int len = end ? (int)(end - client->request) : -1;

	return len > 0 && end[-1] == '\r' ? len - 1 : len;
}

static bool begins(const char *line, int len, const char *with)
{
	return (size_t)len >= strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

/* A request of HTTP ends with an empty line. */
static bool is_whole(const struct client *client)
{
	return memmem(client->request, client->used, "\n\r\n", 3) ||
		memmem(client->request, client->used, "\n\n", 2);
}

static void answer_http(struct control *c, struct client *client, int len)
{
	const char *line = client->request;

	if (!begins(line, len, "GET "))
		answer_error(client, true, "405 Method Not Allowed", "there is GET only");
	else if (begins(line, len, "GET /metrics "))
		answer_metrics(c, client, true);
	else
		answer_error(client, true, "404 Not Found", "there is /metrics only");
}

/* Looks at what has come of the request, and answers it if that is all of it. */
static void look_at(struct control *c, struct client *client)
{
	const char *line = client->request;
	int len = first_line(client);
	bool http = len >= 0 && memmem(line, (size_t)len, " HTTP/1.", 8);

	if (client->refused) {
		answer_error(client, http, "403 Forbidden",
			"only the daemon's user and root may ask");
	} else if (len >= 0 && !http) {
		if (len == 7 && begins(line, len, "metrics"))
			answer_metrics(c, client, false);
		else
			answer_error(client, false, "", "unknown request; there is: metrics");
	} else if (http && is_whole(client)) {
		answer_http(c, client, len);
	} else if (client->used == sizeof(client->request)) {
		answer_error(client, http, "431 Request Header Fields Too Large",
			"the request is too long");
	}
}

static void hear(struct control *c, struct client *client)
{
	ssize_t n = read(client->fd, client->request + client->used,
		sizeof(client->request) - client->used);

	if (n > 0) {
		client->used += (size_t)n;
		look_at(c, client);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		drop(client);
	}
}

static void speak(struct client *client)
{
	ssize_t n = write(client->fd, client->answer + client->sent, client->len - client->sent);

	if (n > 0)
		client->sent += (size_t)n;
	if (client->sent < client->len && (n >= 0 || errno == EAGAIN || errno == EINTR))
		return;
	/* Where something is left unread, the client sees an error instead of the end. */
	if (read(client->fd, client->request, sizeof(client->request)) > 0)
		log_debug("control: a client said more than was asked of it");
	drop(client);
}

/* How long there is nothing to do unless somebody says something; -1: for ever. */
static int patience(struct control *c, uint64_t now)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *client = &c->clients[i];

		if (client->fd >= 0 && client->end_ms <= now)
			drop(client);
		if (client->fd >= 0)
			first = min_t(uint64_t, first, client->end_ms);
	}
	if (c->rest_ms > now)
		first = min_t(uint64_t, first, c->rest_ms);
	return first == UINT64_MAX ? -1 : (int)(first - now);
}

static void serve_client(struct control *c, struct client *client, short events)
{
	if (!events)
		return;
	if (client->answer)
		speak(client);
	else
		hear(c, client);
}

static void *serve(void *arg)
{
	struct control *c = arg;
	struct pollfd fds[2 + CONTROL_CLIENTS];

	pthread_setname_np(pthread_self(), "control");
	fds[0] = (struct pollfd){.fd = c->stop_fd, .events = POLLIN};
	for (;;) {
		uint64_t now = clock_ms();
		int timeout = patience(c, now);
		struct client *place = c->rest_ms > now ? NULL : free_place(c);

		/* A negative descriptor is passed over. */
		fds[1] = (struct pollfd){.fd = place ? c->listener->fd : -1, .events = POLLIN};
		for (size_t i = 0; i < CONTROL_CLIENTS; i++)
			fds[2 + i] = (struct pollfd){.fd = c->clients[i].fd,
				.events = c->clients[i].answer ? POLLOUT : POLLIN};
		if (poll(fds, ARRAY_SIZE(fds), timeout) < 0)
			continue;
		if (fds[0].revents)
			break;
		for (size_t i = 0; i < CONTROL_CLIENTS; i++)
			serve_client(c, &c->clients[i], fds[2 + i].revents);
		if (fds[1].revents)
			take_client(c, place);
	}
	return NULL;
}

int control_listen(struct listener *l, const char *path, char *error, size_t size)
{
	const struct listener_place place = {
		.option = "control-path",
		.path = path,
		.backlog = CONTROL_CLIENTS,
	};

	l->fd = -1;
	return path ? listener_open(l, &place, error, size) : 0;
}

int control_start(struct control **out, const struct listener *listener,
	const struct counters *counters)
{
	struct control *c;
	int r;

	*out = NULL;
	if (listener->fd < 0)
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->listener = listener;
	c->counters = counters;
	c->own = geteuid();
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		c->clients[i].fd = -1;
	c->stop_fd = eventfd(0, EFD_CLOEXEC);
	r = c->stop_fd < 0 ? -errno : -pthread_create(&c->thread, NULL, serve, c);
	if (r < 0) {
		close_fd(&c->stop_fd);
		free(c);
		return r;
	}
	*out = c;
	return 0;
}

void control_stop(struct control *c)
{
	const uint64_t one = 1;

	if (!c)
		return;
	if (write(c->stop_fd, &one, sizeof(one)) < 0)
		log_error("control: its thread cannot be told to end: %s", strerror(errno));
	pthread_join(c->thread, NULL);
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		drop(&c->clients[i]);
	close_fd(&c->stop_fd);
	free(c);
}
