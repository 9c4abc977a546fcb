// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/xattrmap.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

enum type { PREFIX, OK, BAD, UNSUPPORTED };

#define CLIENT 1
#define SERVER 2
#define ALL    (CLIENT | SERVER)

struct rule {
	enum type type;
	int scope;
	char *key, *prepend; /* parts of the map's text */
};

struct xattrmap {
	char *text; /* with a NUL for each separator */
	struct rule *rules;
	size_t n;
};

static const char *const type_names[] = {
	[PREFIX] = "prefix", [OK] = "ok", [BAD] = "bad", [UNSUPPORTED] = "unsupported"};
static const char *const scope_names[] = {[CLIENT] = "client", [SERVER] = "server", [ALL] = "all"};

/* Fields of a rule; rules that `map` is short for. */
#define FIELDS_MAX 4
#define MAP_RULES  4

struct parse {
	struct xattrmap *map;
	char *at;
	unsigned int number; /* of the rule, from 1 */
	char *error;
	size_t size;
};

#define fail(p, fmt, ...)                                                                          \
	(snprintf((p)->error, (p)->size, "--xattrmap: rule %u: " fmt, (p)->number, __VA_ARGS__), -1)

static void add(struct xattrmap *map, enum type type, int scope, char *key, char *prepend)
{
	map->rules[map->n++] =
		(struct rule){.type = type, .scope = scope, .key = key, .prepend = prepend};
}

static int find(const char *const *names, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++) {
		if (names[i] && strcmp(names[i], word) == 0)
			return (int)i;
	}
	return -1;
}

/* Cuts the next field off at the separator. */
static char *field(struct parse *p, char separator)
{
	char *start = p->at, *end = strchr(start, separator);

	if (!end)
		return NULL;
	*end = '\0';
	p->at = end + 1;
	return start;
}

static int parse_map(struct parse *p, char separator)
{
	static char none[] = "";
	char *key = field(p, separator);
	char *prepend = key ? field(p, separator) : NULL;

	if (!prepend)
		return fail(p, "'map' needs a key and a prefix, each with a '%c' behind it",
			separator);
	if (!*prepend)
		return fail(p, "'map' needs a prefix that is not %s", "empty");
	add(p->map, PREFIX, ALL, key, prepend);
	if (!*key) {
		add(p->map, BAD, ALL, none, none);
		return 0;
	}
	/* What the host has under the key is its own; what is stored is reached by its own name. */
	add(p->map, BAD, SERVER, none, key);
	add(p->map, BAD, CLIENT, prepend, none);
	add(p->map, OK, ALL, none, none);
	return 0;
}

static int parse_rule(struct parse *p)
{
	char separator = *p->at++;
	char *fields[FIELDS_MAX] = {field(p, separator)};
	int type, scope;

	if (!fields[0])
		return fail(p, "no '%c' behind the type", separator);
	if (strcmp(fields[0], "map") == 0)
		return parse_map(p, separator);
	type = find(type_names, ARRAY_SIZE(type_names), fields[0]);
	if (type < 0)
		return fail(p, "'%s' is none of prefix, ok, bad, unsupported, map", fields[0]);
	for (size_t i = 1; i < FIELDS_MAX; i++) {
		fields[i] = field(p, separator);
		if (!fields[i])
			return fail(p, "has %zu fields, not type, scope, key and prefix, "
				"each with a '%c' behind it", i, separator);
	}
	scope = find(scope_names, ARRAY_SIZE(scope_names), fields[1]);
	if (scope < 0)
		return fail(p, "'%s' is none of client, server, all", fields[1]);
	add(p->map, (enum type)type, scope, fields[2], fields[3]);
	return 0;
}

static void skip_blanks(struct parse *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

static int parse_all(struct parse *p)
{
	bool ends[ALL + 1] = {false}, mapped = false;

	for (skip_blanks(p); *p->at; skip_blanks(p)) {
		size_t before = p->map->n;

		p->number++;
		if (mapped)
			return fail(p, "'map' must be the %s", "last rule");
		if (parse_rule(p) < 0)
			return -1;
		mapped = p->map->n > before + 1;
	}
	for (size_t i = 0; i < p->map->n; i++) {
		const struct rule *r = &p->map->rules[i];

		ends[CLIENT] |= (r->scope & CLIENT) && !*r->key;
		ends[SERVER] |= (r->scope & SERVER) && !*r->prepend;
	}
	if (ends[CLIENT] && ends[SERVER])
		return 0;
	p->number++;
	return fail(p, "is missing: one for all other names of the %s, such as ':bad:all:::'",
		ends[CLIENT] ? "host" : "guest");
}

int xattrmap_parse(const char *text, struct xattrmap **map, char *error, size_t size)
{
	struct parse p = {.map = calloc(1, sizeof(**map)), .error = error, .size = size};
	int r = -1;

	if (p.map) {
		p.map->text = strdup(text);
		/* A rule has 4 characters at least. */
		p.map->rules = calloc(strlen(text) / 4 + MAP_RULES, sizeof(struct rule));
	}
	if (!p.map || !p.map->text || !p.map->rules) {
		snprintf(error, size, "--xattrmap: %s", strerror(ENOMEM));
	} else {
		p.at = p.map->text;
		r = parse_all(&p);
	}
	if (r < 0)
		xattrmap_free(p.map);
	else
		*map = p.map;
	return r;
}

void xattrmap_free(struct xattrmap *map)
{
	if (!map)
		return;
	free(map->rules);
	free(map->text);
	free(map);
}

static bool starts_with(const char *name, const char *start)
{
	return strncmp(name, start, strlen(start)) == 0;
}

int xattrmap_client(const struct xattrmap *map, const char *name, struct xattrmap_name *host)
{
	const struct rule *r = map->rules;
	int n;

	while (!(r->scope & CLIENT) || !starts_with(name, r->key))
		r++;
	if (r->type == BAD || r->type == UNSUPPORTED)
		return r->type == BAD ? -EPERM : -EOPNOTSUPP;
	n = snprintf(host->s, sizeof(host->s), "%s%s", r->type == PREFIX ? r->prepend : "", name);
	return (size_t)n < sizeof(host->s) ? 0 : -ERANGE;
}

const char *xattrmap_server(const struct xattrmap *map, const char *name)
{
	const struct rule *r = map->rules;

	while (!(r->scope & SERVER) || !starts_with(name, r->prepend))
		r++;
	if (r->type == BAD || r->type == UNSUPPORTED)
		return NULL;
	name += r->type == PREFIX ? strlen(r->prepend) : 0;
	return *name ? name : NULL;
}
