// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway top`: what daemons do, live.
//
// Theory of operation. Each second every daemon is asked for its metrics (ask.c), the same text
// that monitoring gets; it is taken apart (sample.c), and what changed since the second before is
// shown (view.c), on a terminal that is redrawn (screen.c) or as plain text. The first view has
// nothing before it: it shows all since the daemon's start.

#include "top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXIT_FAILED 1

// What is shown as one: a daemon, or all of them.
struct group {
	const char *title;
	const char *const *sockets;
	unsigned int n;
	struct samples now, before;
	double now_s, before_s; // by our clock; before 0: there is none
};

static double clock_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int ask_group(struct group *g, char why[TOP_WHY])
{
	samples_free(&g->before);
	g->before = g->now;
	g->before_s = g->now_s;
	g->now = (struct samples){0};
	g->now_s = clock_s();
	for (unsigned int i = 0; i < g->n; i++) {
		char *text = top_ask(g->sockets[i], why);

		if (!text)
			return -1;
		if (samples_add(&g->now, text)) {
			snprintf(why, TOP_WHY, "%s: it says something that is not understood",
				g->sockets[i]);
			return -1;
		}
	}
	return 0;
}

// For how long it counted what is shown the first time.
static double longest_up(const struct samples *s)
{
	return samples_sum(s, "uptime_seconds", NULL, NULL) / s->ntexts;
}

static void print_group(const struct group *g, FILE *f)
{
	struct view v = {
		.now = &g->now,
		.before = g->before_s > 0 ? &g->before : NULL,
		.title = g->title,
	};

	v.seconds = v.before ? g->now_s - g->before_s : longest_up(&g->now);
	view_print(&v, f);
}

// All groups below each other, owned by the caller; or NULL, and why.
static char *next_view(struct group *groups, unsigned int n, char why[TOP_WHY])
{
	char *text = NULL;
	size_t size = 0;
	FILE *f;

	for (unsigned int i = 0; i < n; i++)
		if (ask_group(&groups[i], why))
			return NULL;
	f = open_memstream(&text, &size);
	for (unsigned int i = 0; f && i < n; i++) {
		if (i)
			fputc('\n', f);
		print_group(&groups[i], f);
	}
	if (f && !fclose(f))
		return text;
	snprintf(why, TOP_WHY, "out of memory");
	free(text);
	return NULL;
}

// Both: 0, or -1 and why.
static int batch(const struct top_options *o, struct group *groups, unsigned int n,
	char why[TOP_WHY])
{
	const struct timespec pause = {.tv_sec = (time_t)o->interval,
		.tv_nsec = (long)((o->interval - (double)(time_t)o->interval) * 1e9)};

	for (long i = 0; !o->count || i < o->count; i++) {
		char *text;

		if (i) {
			nanosleep(&pause, NULL);
			putchar('\n');
		}
		text = next_view(groups, n, why);
		if (!text)
			return -1;
		fputs(text, stdout);
		free(text);
		if (fflush(stdout)) {
			snprintf(why, TOP_WHY, "standard output: %s", strerror(errno));
			return -1;
		}
	}
	return 0;
}

static int live(const struct top_options *o, struct group *groups, unsigned int n,
	struct screen *screen, char why[TOP_WHY])
{
	for (long i = 0; !o->count || i < o->count; i++) {
		char *text;

		if (i && !screen_wait(screen, o->interval))
			return 0;
		text = next_view(groups, n, why);
		if (!text)
			return -1;
		screen_draw(screen, text);
		free(text);
	}
	return 0;
}

static int print_metrics(const struct top_options *o)
{
	char why[TOP_WHY];
	int status = 0;

	for (unsigned int i = 0; i < o->n; i++) {
		char *text = top_ask(o->sockets[i], why);

		if (text)
			fputs(text, stdout);
		else
			say("top: %s", why);
		status = text ? status : EXIT_FAILED;
		free(text);
	}
	return fflush(stdout) ? EXIT_FAILED : status;
}

static unsigned int make_groups(const struct top_options *o, struct group *groups)
{
	if (o->sum && o->n > 1) {
		groups[0] = (struct group){"together", o->sockets, o->n, .now_s = 0};
		return 1;
	}
	for (unsigned int i = 0; i < o->n; i++)
		groups[i] = (struct group){o->sockets[i], &o->sockets[i], 1, .now_s = 0};
	return o->n;
}

int cmd_top(int argc, char **argv)
{
	struct group groups[TOP_SOCKETS_MAX];
	struct screen *screen;
	struct top_options o;
	char why[TOP_WHY];
	unsigned int n;
	int status, ret;

	if (top_options_parse(&o, argc, argv, &status))
		return status;
	if (o.metrics)
		return print_metrics(&o);
	n = make_groups(&o, groups);
	screen = o.batch ? NULL : screen_open();
	ret = screen ? live(&o, groups, n, screen, why) : batch(&o, groups, n, why);
	// What is said while it is there goes with it.
	screen_close(screen);
	if (ret)
		say("top: %s", why);
	for (unsigned int i = 0; i < n; i++) {
		samples_free(&groups[i].now);
		samples_free(&groups[i].before);
	}
	return ret ? EXIT_FAILED : 0;
}
