// SPDX-License-Identifier: BSD-2-Clause
//
// The text of metrics (src/metrics/text.h) taken apart, where it is: names, labels and values are
// pieces of it.

#include "top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "causeway_"

// The end of labels that begin here; a brace within quotes is none. NULL: there is no end.
static char *labels_end(char *p)
{
	bool quoted = false;

	for (; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (*p == '}' && !quoted)
			return p;
	}
	return NULL;
}

// One line, whose end is a NUL. 0, or -EBADMSG.
static int take_apart(char *line, struct sample *s)
{
	char *end = line + strcspn(line, "{ "), *value;

	if (strncmp(line, PREFIX, strlen(PREFIX)))
		return -EBADMSG;
	*s = (struct sample){.name = line + strlen(PREFIX), .labels = ""};
	if (*end == '{') {
		*end++ = 0;
		s->labels = end;
		end = labels_end(end);
		if (!end || end[1] != ' ')
			return -EBADMSG;
		*end++ = 0;
	}
	if (*end != ' ')
		return -EBADMSG;
	*end++ = 0;
	s->value = strtod(end, &value);
	return value == end || *value ? -EBADMSG : 0;
}

static int add_line(struct samples *s, char *line)
{
	struct sample *v;
	int ret;

	if (!*line || *line == '#')
		return 0;
	// Doubles at powers of two.
	if (!(s->n & (s->n - 1))) {
		v = reallocarray(s->v, s->n ? 2 * s->n : 1, sizeof(*v));
		if (!v)
			return -ENOMEM;
		s->v = v;
	}
	ret = take_apart(line, &s->v[s->n]);
	s->n += !ret;
	return ret;
}

int samples_add(struct samples *s, char *text)
{
	int ret = 0;
	char *line;

	s->texts[s->ntexts++] = text;
	while (!ret && (line = strsep(&text, "\n")))
		ret = add_line(s, line);
	return ret;
}

void samples_free(struct samples *s)
{
	for (unsigned int i = 0; i < s->ntexts; i++)
		free(s->texts[i]);
	free(s->v);
	*s = (struct samples){0};
}

bool sample_label(const struct sample *s, const char *key, char value[TOP_LABEL])
{
	const size_t len = strlen(key);
	const char *p = s->labels;

	while (*p) {
		const bool found = !strncmp(p, key, len) && p[len] == '=';
		size_t used = 0;

		p += strcspn(p, "\"");
		for (p += *p == '"'; *p && *p != '"'; p++) {
			if (*p == '\\' && p[1])
				p++;
			// It goes to a terminal.
			if (used + 1 < TOP_LABEL)
				value[used++] = *p >= ' ' && *p <= '~' ? *p : '?';
		}
		value[used] = 0;
		if (found)
			return true;
		p += *p == '"';
		p += *p == ',';
	}
	return false;
}

double samples_sum(const struct samples *s, const char *name, const char *key, const char *value)
{
	char label[TOP_LABEL];
	double sum = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->v[i].name, name))
			continue;
		if (!key || (sample_label(&s->v[i], key, label) && !strcmp(label, value)))
			sum += s->v[i].value;
	}
	return sum;
}

bool samples_has(const struct samples *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i].name, name))
			return true;
	return false;
}
