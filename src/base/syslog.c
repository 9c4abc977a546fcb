// SPDX-License-Identifier: BSD-2-Clause
#include "base/syslog.h"

#include <paths.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#include "base/util.h"

/* openlog(3) does not tell, and syslog(3) then drops every line without a word. */
static int probe(void)
{
	static const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* EPROTOTYPE: it listens, but for streams, to which syslog(3) turns by itself. */
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 && errno != EPROTOTYPE)
		return -errno;
	return 0;
}

int syslog_open(const char *program)
{
	int r = probe();

	if (r == 0)
		openlog(program, LOG_PID | LOG_NDELAY, LOG_DAEMON);
	return r;
}

void syslog_line(enum syslog_severity severity, const char *fmt, va_list ap)
{
	vsyslog((int)severity, fmt, ap);
}
