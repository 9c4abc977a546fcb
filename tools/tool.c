// SPDX-License-Identifier: BSD-2-Clause

#include "tool.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool say_to_raw_terminal;

static bool progress_shown;

static void put_line(const char *before, const char *fmt, va_list ap, const char *after)
{
	char line[2048];
	int n = snprintf(line, sizeof(line), "%scauseway: ", before);

	n += vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	if (n > (int)sizeof(line) - 8)
		n = sizeof(line) - 8;
	n += snprintf(line + n, sizeof(line) - n, "%s", after);
	// One write, so that lines of several processes do not mix.
	if (write(2, line, n) < 0) {
		// Nowhere left to complain.
	}
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line(progress_shown ? "\r\033[K" : "", fmt, ap, say_to_raw_terminal ? "\r\n" : "\n");
	va_end(ap);
	progress_shown = false;
}

void progress(const char *fmt, ...)
{
	va_list ap;

	if (!fmt) {
		if (progress_shown && write(2, "\r\033[K", 4) < 0) {
			// As above.
		}
		progress_shown = false;
		return;
	}
	if (!isatty(2))
		return;
	va_start(ap, fmt);
	put_line("\r\033[K", fmt, ap, "");
	va_end(ap);
	progress_shown = true;
}

static _Noreturn void no_memory(void)
{
	say("out of memory");
	exit(125);
}

static char *format_list(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		no_memory();
	return s;
}

char *format(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = format_list(fmt, ap);
	va_end(ap);
	return s;
}

char *doubled(const char *text, char c)
{
	char *out = format("%s%s", text, text), *p = out;

	for (; *text; text++) {
		if (*text == c)
			*p++ = c;
		*p++ = *text;
	}
	*p = 0;
	return out;
}

static void words_own(struct words *w, char *word)
{
	char **v = reallocarray(w->v, w->n + 2, sizeof(*v));

	if (!v)
		no_memory();
	v[w->n++] = word;
	v[w->n] = NULL;
	w->v = v;
}

void words_add(struct words *w, const char *word)
{
	words_own(w, format("%s", word));
}

void words_addf(struct words *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	words_own(w, format_list(fmt, ap));
	va_end(ap);
}

void words_free(struct words *w)
{
	for (unsigned int i = 0; i < w->n; i++)
		free(w->v[i]);
	free(w->v);
	*w = (struct words){0};
}

void free_pointer(void *p)
{
	free(*(void **)p);
}

char *find_own(const char *name, const char *build, const char *installed)
{
	const char *where[] = {".", build, installed};
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0)
		return NULL;
	exe[n] = 0;
	*strrchr(exe, '/') = 0;
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		char *path = format("%s/%s/%s", exe, where[i], name);

		if (!access(path, R_OK))
			return path;
		free(path);
	}
	return NULL;
}

char *find_causewayd(void)
{
	const char *named = getenv("CAUSEWAYD");
	char *own;

	if (named && *named)
		return format("%s", named);
	own = find_own("causewayd", "../src/daemon", "../libexec/causeway");
	return own ? own : format("causewayd");
}

void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

uint64_t parse_size(const char *value)
{
	static const struct {
		const char *suffix;
		int shift;
	} units[] = {{"", 20}, {"M", 20}, {"m", 20}, {"MiB", 20}, {"G", 30}, {"g", 30}, {"GiB", 30},
		{"K", 10}, {"k", 10}};
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (end != value && *value != '-' && n < 1ul << 30)
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (!strcmp(end, units[i].suffix))
				return (uint64_t)n << units[i].shift;
	return 0;
}
