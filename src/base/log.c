// SPDX-License-Identifier: BSD-2-Clause
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/syslog.h"
#include "base/util.h"

/* #syscalls: write */

enum log_level log_threshold = LOG_INFO;

static const char *log_program = "causeway";

static bool to_syslog;

static const char *const level_names[] = {"off", "error", "warn", "info", "debug", "trace"};

static const enum syslog_severity severities[] = {
	[LOG_ERROR] = SYSLOG_ERROR,
	[LOG_WARN] = SYSLOG_WARNING,
	[LOG_INFO] = SYSLOG_INFO,
	[LOG_DEBUG] = SYSLOG_DEBUG,
	[LOG_TRACE] = SYSLOG_DEBUG,
};

void log_open(const char *program, enum log_level level)
{
	log_program = program;
	log_threshold = level;
}

bool log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

int log_to_syslog(void)
{
	int r = syslog_open(log_program);

	to_syslog = r == 0;
	return r;
}

static void print_line(const char *label, const char *fmt, va_list ap)
{
	char line[1024];
	int len = snprintf(line, sizeof(line), "%s: %s%s", log_program, label, *label ? ": " : "");
	int more = vsnprintf(line + len, sizeof(line) - (size_t)len, fmt, ap);

	len = min_t(int, len + more, (int)sizeof(line) - 1);
	line[len++] = '\n';
	/* A log that can't be written has nowhere to say so. */
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		return;
}

void log_print(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	if (to_syslog)
		syslog_line(severities[level], fmt, ap);
	else
		print_line(level == LOG_INFO ? "" : level_names[level], fmt,
			ap);
	va_end(ap);
	errno = saved;
}

char *log_quote(char *out, size_t size, const char *s, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < len && used + 5 <= size; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c < 0x7f && c != '\\')
			out[used++] = (char)c;
		else
			used += (size_t)snprintf(out + used, size - used, "\\x%02x", c);
	}
	out[used] = '\0';
	return out;
}

void die(const char *fmt, ...)
{
	va_list ap;

	if (to_syslog) {
		va_start(ap, fmt);
		syslog_line(SYSLOG_ERROR, fmt, ap);
		va_end(ap);
	}
	va_start(ap, fmt);
	print_line("error", fmt, ap);
	va_end(ap);
	exit(2);
}
