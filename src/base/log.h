// SPDX-License-Identifier: BSD-2-Clause
/*
 * The log: lines to standard error, one write(2) each, so that threads do not mix them; or to the
 * system's log.
 *
 * Messages name what happened and what it means for the user; they carry no trailing newline.
 * Text that came from a guest passes through log_quote() first.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* Read on hot paths; written once, by log_open(), before any thread starts. */
extern enum log_level log_threshold;

/* Sets what is printed, and the program's name that starts each line (not copied). */
void log_open(const char *program, enum log_level level);

/* Sends the lines to syslog(3) from now on, with the levels as severities. Before any thread
 * starts. 0, or -errno where no system log listens; then nothing has changed. */
int log_to_syslog(void);

/* Finds a level by its name; false when there is none. */
bool log_level_parse(const char *name, enum log_level *level);

void log_print(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if (__builtin_expect((level) <= log_threshold, 0))                                 \
			log_print(level, __VA_ARGS__);                                             \
	} while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* Writes len bytes of s into out with everything that is not printable ASCII escaped as \xHH;
 * what does not fit in size bytes is cut. Returns out. */
char *log_quote(char *out, size_t size, const char *s, size_t len);

/* Prints one error line to standard error, where whoever started the program looks, and to the
 * system's log where that is used; ends the program with status 2. Only before serving starts. */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
