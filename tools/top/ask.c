// SPDX-License-Identifier: BSD-2-Clause
//
// One question to a daemon (src/daemon/control.h): a connection, a line, and all that comes back.

#include "top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_SECONDS 20
#define ANSWER_MAX ((size_t)4 << 20)
#define FAILURE "# error: "
#define LAST "# EOF\n"

static int connect_to(const char *path)
{
	const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

// All that comes until its end: 0 or -errno.
static int read_all(int fd, FILE *f)
{
	static char buffer[65536];
	size_t all = 0;
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		all += (size_t)n;
		if (all > ANSWER_MAX)
			return -EMSGSIZE;
		fwrite(buffer, 1, (size_t)n, f);
	}
	return n < 0 ? -errno : 0;
}

static bool is_whole(const char *text, size_t size)
{
	const size_t last = strlen(LAST);

	return strlen(text) == size && size >= last && !strcmp(text + size - last, LAST);
}

// What came instead. A refusal is one line of the daemon's; it may be anybody's, so it is shown as
// text.
static void explain(const char *socket, char *text, int error, char why[TOP_WHY])
{
	const char *what = error ? strerror(-error) : "this is no control socket of causewayd";

	if (error == -EAGAIN)
		what = "it does not answer";
	if (!error && !strncmp(text, FAILURE, strlen(FAILURE))) {
		text[strcspn(text, "\n")] = 0;
		for (char *p = text; *p; p++)
			if (*p < ' ' || *p > '~')
				*p = '?';
		what = text + strlen(FAILURE);
	}
	snprintf(why, TOP_WHY, "%s: %s", socket, what);
}

char *top_ask(const char *socket, char why[TOP_WHY])
{
	static const char question[] = "metrics\n";
	AUTO_CLOSE int fd = connect_to(socket);
	char *text = NULL;
	size_t size = 0;
	FILE *f;
	int ret = fd < 0 ? fd : 0;

	if (!ret && send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) < 0)
		ret = -errno;
	f = ret ? NULL : open_memstream(&text, &size);
	if (!ret)
		ret = f ? read_all(fd, f) : -ENOMEM;
	if (f && fclose(f) && !ret)
		ret = -ENOMEM;
	if (!ret && is_whole(text, size))
		return text;
	explain(socket, text, ret, why);
	free(text);
	return NULL;
}
