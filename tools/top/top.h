// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway top`: what its files share. top.c has the theory of operation.

#ifndef CAUSEWAY_TOOLS_TOP_H
#define CAUSEWAY_TOOLS_TOP_H

#include "../tool.h"

#include <stddef.h>
#include <stdio.h>

#define TOP_SOCKETS_MAX 16

struct top_options {
	long count;	 // of views; 0: until it is ended
	double interval; // seconds
	bool batch, metrics, sum;
	const char *sockets[TOP_SOCKETS_MAX];
	unsigned int n;
};

// options.c. 0 to go on; else *status is the exit status (--help: 0).
int top_options_parse(struct top_options *o, int argc, char **argv, int *status);

// ask.c. The text that a daemon answers with, owned by the caller; or NULL, and why there is none.
#define TOP_WHY 300
char *top_ask(const char *socket, char why[TOP_WHY]);

// sample.c. One line of such a text: the name without "causeway_", what stands between the braces,
// and the value.
struct sample {
	const char *name, *labels;
	double value;
};

// Those of one daemon, or of several that are looked at as one.
struct samples {
	struct sample *v;
	size_t n;
	char *texts[TOP_SOCKETS_MAX]; // that they point into
	unsigned int ntexts;
};

// Adds those of a text, which is the list's from now on: 0, or -EBADMSG where it is none.
int samples_add(struct samples *s, char *text);
void samples_free(struct samples *s);

// The sum of all that have a name and a label; key NULL: of all that have the name.
double samples_sum(const struct samples *s, const char *name, const char *key, const char *value);
bool samples_has(const struct samples *s, const char *name);

// The value of a label, cut where it has no room; false: there is no such label.
#define TOP_LABEL 256
bool sample_label(const struct sample *s, const char *key, char value[TOP_LABEL]);

// view.c. What is shown: what was counted between two times, which are so many seconds apart.
struct view {
	const struct samples *now, *before; // before NULL: nothing was counted before
	double seconds;
	const char *title; // the socket, or what is shown as one
};
void view_print(const struct view *v, FILE *f);

// The value that `part` of a histogram's are not above, in seconds, of the samples that were added
// in between; below 0: there are none.
double view_quantile(const struct view *v, const char *name, const char *op, double part);

// screen.c. A terminal that is redrawn.
struct screen;
struct screen *screen_open(void); // NULL: standard output is none
void screen_draw(struct screen *s, const char *text);
// Waits so long, or until the window has another size: false where a key or a signal says that it
// is time to end.
bool screen_wait(struct screen *s, double seconds);
void screen_close(struct screen *s);

#endif
