// SPDX-License-Identifier: BSD-2-Clause
#include "server.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "causeway.h"
#include "fs/fscases.h"

enum { SETTINGS = 32, PROGRAM_FD = 3 };

#define VIRTIOFSD "/usr/lib/qemu/virtiofsd"

static struct {
	bool virtiofsd;
	const char *record;
	char *names[SETTINGS], *values[SETTINGS];
	int n;
	pid_t pid;   /* of virtiofsd */
	int servers; /* that this process has had */
} server;

const char way_usage[] = " [--server causewayd|virtiofsd] [--set OPTION=VALUE]... [--record DIR]";

static bool add_setting(const char *text)
{
	const char *sign = strchr(text, '=');

	if (!sign || server.n == SETTINGS)
		return false;
	server.names[server.n] = strndup(text, (size_t)(sign - text));
	server.values[server.n++] = strdup(sign + 1);
	return true;
}

bool way_option(const char *option, const char *value)
{
	if (!strcmp(option, "--set"))
		return add_setting(value);
	if (!strcmp(option, "--record"))
		return (server.record = value);
	server.virtiofsd = !strcmp(value, "virtiofsd");
	return !strcmp(option, "--server") && (server.virtiofsd || !strcmp(value, "causewayd"));
}

static void check(struct causeway *c, int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "connection of %d: %s\n", getpid(), causeway_error(c));
	exit(1);
}

static void set_number(struct causeway *c, const char *option, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	check(c, causeway_set(c, option, text));
}

static void configure(struct causeway *c, uid_t uid, gid_t gid)
{
	char path[PATH_MAX];

	set_number(c, "uid", uid);
	set_number(c, "gid", gid);
	for (int i = 0; i < server.n; i++)
		check(c, causeway_set(c, server.names[i], server.values[i]));
	if (server.record) {
		snprintf(path, sizeof(path), "%s/%d-%d", server.record, getpid(), server.servers++);
		check(c, causeway_set(c, "record", path));
	}
}

/* Runs virtiofsd on a socket that listens already, so that nobody has to wait until it does. */
static void run_virtiofsd(const char *dir, int listening)
{
	char fd[16], source[PATH_MAX + 8];

	snprintf(fd, sizeof(fd), "--fd=%d", PROGRAM_FD);
	snprintf(source, sizeof(source), "source=%s", dir);
	/* Where it is that one already it has to lose its O_CLOEXEC. */
	if (dup2(listening, PROGRAM_FD) != PROGRAM_FD || fcntl(PROGRAM_FD, F_SETFD, 0))
		_exit(127);
	execl(VIRTIOFSD, "virtiofsd", fd, "-o", source, "-o", "sandbox=chroot", "-o", "xattr", "-o",
		"posix_lock", "-o", "flock", "-o", "cache=none", "-o", "log_level=err", NULL);
	_exit(127);
}

static int connect_virtiofsd(struct causeway *c, const char *dir)
{
	/* An abstract name, of which no file is left. */
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "causeway-cases-%d", getpid());
	if (bind(listening, (struct sockaddr *)&name, sizeof(name)) || listen(listening, 1) ||
		connect(fd, (struct sockaddr *)&name, sizeof(name)))
		return -errno;
	server.pid = fork();
	if (server.pid == 0)
		run_virtiofsd(dir, listening);
	close(listening);
	r = server.pid < 0 ? -errno : causeway_connect_fd(c, fd);
	close(fd);
	return r;
}

struct causeway *server_connect(const char *dir, uid_t uid, gid_t gid)
{
	struct causeway *c = causeway_new();

	configure(c, uid, gid);
	check(c, server.virtiofsd ? connect_virtiofsd(c, dir) : causeway_share(c, dir));
	return c;
}

int server_disconnect(struct causeway *c)
{
	int status = 0;

	causeway_free(c);
	if (server.pid > 0 && (waitpid(server.pid, &status, 0) != server.pid || status))
		fprintf(stderr, "virtiofsd ended with status %#x\n", status);
	server.pid = 0;
	return status ? -1 : 0;
}

void server_leave_to_parent(void)
{
	server.pid = 0;
}
