// SPDX-License-Identifier: BSD-2-Clause
/*
 * The system's log. Apart from log.h, whose names for levels are macros of <syslog.h>.
 */
#ifndef BASE_SYSLOG_H
#define BASE_SYSLOG_H

#include <stdarg.h>

/* RFC 5424, section 6.2.1 */
enum syslog_severity {
	SYSLOG_ERROR = 3,
	SYSLOG_WARNING = 4,
	SYSLOG_INFO = 6,
	SYSLOG_DEBUG = 7,
};

/* Connects to the system's log, as facility daemon, once and for all: a log that is started anew
 * gets nothing more. Lines name the process that calls this; the name of the program is not copied.
 * 0, or -errno where nobody listens there. */
int syslog_open(const char *program);

/* What leads there, for a process that closes what it has inherited; or -1. */
int syslog_descriptor(void);

/* Sends one line. From any thread. */
void syslog_line(enum syslog_severity severity, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

#endif
