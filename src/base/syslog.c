// SPDX-License-Identifier: BSD-2-Clause
/*
 * Not syslog(3): that one connects again by name when a line could not be sent, which a sandbox
 * must not let it, and names the process by its number in its own pid namespace.
 */
#include "base/syslog.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/util.h"

#define FACILITY_DAEMON 3

static struct {
	int fd;
	bool is_stream; /* lines end with a NUL */
	const char *program;
	pid_t pid;
} to = {.fd = -1};

static int connect_log(int type)
{
	static const struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	CLEANUP_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return steal_fd(&fd);
}

int syslog_open(const char *program)
{
	int fd = connect_log(SOCK_DGRAM);

	to.is_stream = fd == -EPROTOTYPE;
	if (to.is_stream)
		fd = connect_log(SOCK_STREAM);
	if (fd < 0)
		return fd;
	close_fd(&to.fd);
	to.fd = fd;
	to.program = program;
	to.pid = getpid();
	/* Reads the time zone while its file can be reached. */
	tzset();
	return 0;
}

int syslog_descriptor(void)
{
	return to.fd;
}

/* #syscalls(syslog): sendto */
void syslog_line(enum syslog_severity severity, const char *fmt, va_list ap)
{
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec"};
	time_t now = time(NULL);
	char line[1200];
	struct tm tm;
	int len;

	/* RFC 3164, as each system log takes it. */
	localtime_r(&now, &tm);
	len = snprintf(line, sizeof(line), "<%d>%s %2d %02d:%02d:%02d %s[%d]: ",
		FACILITY_DAEMON << 3 | (int)severity, months[tm.tm_mon], tm.tm_mday, tm.tm_hour,
		tm.tm_min, tm.tm_sec, to.program, to.pid);
	len += vsnprintf(line + len, sizeof(line) - (size_t)len, fmt, ap);
	len = min_t(int, len, (int)sizeof(line) - 1);
	/* A log that is gone has nowhere to say so. */
	if (send(to.fd, line, (size_t)len + to.is_stream, MSG_NOSIGNAL) < 0)
		return;
}
